//! Every crate that the program is built from is named, with a reason, for whoever must trust it.

use std::collections::BTreeSet;

const MANIFEST: &str = include_str!("../../Cargo.toml");
const REASONS: &str = include_str!("../../docs/dependencies.md");

#[test]
fn every_dependency_has_its_sentence_and_every_sentence_its_dependency() {
    let built: BTreeSet<&str> = MANIFEST
        .lines()
        .skip_while(|it| *it != "[dependencies]")
        .skip(1)
        .take_while(|it| !it.starts_with('['))
        .filter_map(|it| it.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    let explained: BTreeSet<&str> = REASONS
        .lines()
        .filter_map(|it| it.strip_prefix("| "))
        .filter_map(|it| it.split_once(" | "))
        .filter(|(names, why)| *names != "crate" && why.len() > " |".len())
        .flat_map(|(names, _)| names.split(", "))
        .collect();

    assert!(built.len() > 10, "{built:?}");
    assert_eq!(explained, built);
}
