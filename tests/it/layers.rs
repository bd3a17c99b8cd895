//! The direction of imports, and the homes of every outside crate, as tables.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import of ours. A room not named here may import nothing.
const MAY_IMPORT: [(&str, &[&str]); 14] = [
    ("domain", &[]),
    ("reloadable", &[]),
    ("http", &["reloadable"]),
    ("config", &[]),
    ("store", &["domain"]),
    ("sumsub", &["domain", "reloadable"]),
    ("outbox", &["domain"]),
    ("usecase", &["domain", "store", "sumsub", "outbox", "reloadable"]),
    ("api", &["domain", "usecase", "http", "store", "sumsub", "reloadable"]),
    ("handoff", &["domain", "usecase", "http", "reloadable"]),
    ("console", &["domain", "usecase", "store"]),
    ("sim", &["http", "sumsub"]),
    (
        "cli",
        &[
            "domain",
            "store",
            "sumsub",
            "outbox",
            "usecase",
            "http",
            "api",
            "handoff",
            "config",
            "sim",
            "console",
            "reloadable",
        ],
    ),
    ("main", &["cli"]),
];

/// Where each outside crate may be named.
const HOMES: [(&str, &[&str]); 34] = [
    ("anyhow", &["cli", "main"]),
    ("base64", &["outbox"]),
    ("clap", &["cli", "config"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("crossterm", &["console"]),
    ("form_urlencoded", &["api", "handoff"]),
    ("getrandom", &["outbox", "sumsub", "usecase"]),
    ("governor", &["usecase"]),
    ("hmac", &["sumsub", "outbox"]),
    ("httparse", &["http"]),
    ("ipnet", &["config", "http", "outbox"]),
    ("jiff", &["domain", "http"]),
    ("maud", &["handoff"]),
    ("nix", &["cli"]),
    ("percent_encoding", &["handoff", "sumsub"]),
    ("prometheus_client", &["api"]),
    ("qrcode", &["console"]),
    ("ratatui", &["console"]),
    ("rusqlite", &["store"]),
    ("rustix", &["cli", "config", "console", "http", "outbox", "sim", "store"]),
    ("sd_notify", &["cli"]),
    ("sha1", &["sumsub"]),
    ("sha2", &["api", "outbox", "store", "sumsub", "usecase"]),
    ("signal_hook", &["cli"]),
    ("socket2", &["http"]),
    ("subtle", &["sumsub"]),
    ("tiny_http", &["http"]),
    ("tracing_appender", &["cli"]),
    ("tracing_subscriber", &["cli"]),
    ("tui_input", &["console"]),
    ("unicode_width", &["console"]),
    ("ureq", &["config", "sumsub", "outbox", "sim", "cli"]),
    ("uuid", &["api", "cli", "store", "usecase"]),
];

/// Crates that are words of the language here, and at home everywhere.
const WORDS: [&str; 4] = ["serde", "serde_json", "thiserror", "tracing"];

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let room = path.strip_prefix(&root).unwrap().components().next().unwrap();
                let room = room.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                found.push((room, path, text));
            }
        }
    }
    found
}

/// The words that follow `prefix` in code (comments aside).
fn named_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(move |line| {
        line.match_indices(prefix).map(move |(at, _)| {
            let rest = &line[at + prefix.len()..];
            let end = rest.find(|it: char| !it.is_alphanumeric() && it != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
    })
}

#[test]
fn imports_point_downwards_only() {
    for (room, path, text) in sources() {
        if room == "lib" {
            continue;
        }
        let allowed = MAY_IMPORT.iter().find(|(it, _)| *it == room).map_or(&[][..], |(_, it)| it);
        let prefix = if room == "main" { "countersign::" } else { "crate::" };
        for imported in named_after(&text, prefix) {
            let is_room = MAY_IMPORT.iter().any(|(it, _)| *it == imported);
            assert!(
                !is_room || imported == room || allowed.contains(&imported),
                "{} imports {imported}, but {room} may import only {allowed:?}",
                path.display()
            );
        }
    }
}

#[test]
fn the_simulator_shares_nothing_with_the_client_but_the_signature() {
    let mut shared = 0;
    for (_, path, text) in sources().into_iter().filter(|(room, ..)| room == "sim") {
        for imported in named_after(&text, "crate::sumsub::") {
            assert_eq!(imported, "signature", "{}", path.display());
            shared += 1;
        }
    }
    assert!(shared > 0, "the simulator signs as Sumsub does");
}

/// Whether code (comments aside) names something of a crate.
fn names(text: &str, name: &str) -> bool {
    let prefix = format!("{name}::");
    text.lines().any(|line| {
        let code = line.trim_start();
        !code.starts_with("//")
            && line
                .match_indices(&prefix)
                .any(|(at, _)| !line[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_'))
    })
}

#[test]
fn every_outside_crate_has_its_homes_and_is_named_nowhere_else() {
    let sources = sources();
    let built: BTreeSet<String> = include_str!("../../Cargo.toml")
        .lines()
        .skip_while(|it| *it != "[dependencies]")
        .skip(1)
        .take_while(|it| !it.starts_with('['))
        .filter_map(|it| it.split_once(" = "))
        .map(|(name, _)| name.replace('-', "_"))
        .collect();
    let at_home: BTreeSet<String> =
        HOMES.iter().map(|(name, _)| *name).chain(WORDS).map(str::to_owned).collect();

    assert_eq!(at_home, built);
    for (name, homes) in HOMES {
        let places: Vec<_> = sources.iter().filter(|(.., text)| names(text, name)).collect();
        assert!(!places.is_empty(), "{name} is named nowhere");
        for (room, path, _) in places {
            let is_home = homes.contains(&room.as_str());
            assert!(is_home, "{} names {name}, whose homes are {homes:?}", path.display());
        }
    }
}

/// Its default is a proxy of the environment's, which is written for other programs: every client says
/// for itself what its proxy is.
#[test]
fn no_client_takes_its_proxy_from_the_environment() {
    let mut clients = 0;
    for (_, path, text) in sources() {
        let count = |call: &str| text.matches(call).count();
        let built = count("Agent::config_builder()");
        assert_eq!(built, count(".proxy("), "{}", path.display());
        for by_default in ["Agent::new_with_defaults", "ureq::agent()", "ureq::get(", "ureq::post("]
        {
            assert_eq!(count(by_default), 0, "{}", path.display());
        }
        clients += built;
    }
    assert!(clients >= 5, "Sumsub's, the webhooks', the simulator's, the demo's and the doctor's");
}
