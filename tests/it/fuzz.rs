//! Every input that a fuzzer ever learned from is met again, and holds what its target promises.

mod targets;

use std::path::PathBuf;

use countersign::config::SETTINGS;

use self::targets::{Asked, Connected};

/// The inputs of a target, by name.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target}");
    files.iter().map(|it| std::fs::read(it).unwrap()).collect()
}

#[test]
fn no_request_whatever_its_bytes_is_answered_beyond_the_contract() {
    let mut asked = Asked::new();
    for it in corpus("request") {
        asked.request(&it);
    }
}

#[test]
fn no_webhook_whatever_its_bytes_counts_twice_or_spoils_the_register() {
    let mut asked = Asked::new();
    for it in corpus("webhook") {
        asked.webhook(&it);
    }
}

#[test]
fn no_bytes_on_a_connection_mean_more_for_being_cut_into_pieces() {
    let connected = Connected::new();
    for it in corpus("connection") {
        connected.connection(&it);
    }
    connected.stop();
}

#[test]
fn no_answer_of_sumsubs_whatever_its_bytes_breaks_a_bound_or_is_quoted() {
    for it in corpus("provider") {
        targets::provider(&it);
    }
}

#[test]
fn no_setting_whatever_its_bytes_is_refused_without_its_name() {
    for it in corpus("configuration") {
        targets::configuration(&it);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 2000,
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    })]

    /// Settings that are added later, too.
    #[test]
    fn whatever_a_setting_says_is_taken_or_refused_by_its_name(
        index in 0..SETTINGS.len(),
        value in proptest::prop_oneof![
            r"\PC{0,60}", r"[0-9]{0,25}", r"[0-9a-f.:/,\[\] -]{0,40}", r"https?://[a-z.:@/0-9?#\[\]]{0,40}",
            r"[0-9]{0,20}[smhd]?",
        ],
    ) {
        targets::setting(index, &value);
    }
}
