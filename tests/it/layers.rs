//! The direction of imports, and one home per outside crate, as tables.

use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import of ours. A room not named here may import nothing.
const MAY_IMPORT: [(&str, &[&str]); 13] = [
    ("domain", &[]),
    ("http", &[]),
    ("config", &[]),
    ("store", &["domain"]),
    ("sumsub", &["domain"]),
    ("outbox", &["domain"]),
    ("usecase", &["domain", "store", "sumsub", "outbox"]),
    ("api", &["domain", "usecase", "http", "store", "sumsub"]),
    ("handoff", &["domain", "usecase", "http"]),
    ("console", &["domain", "usecase", "store"]),
    ("sim", &["http", "sumsub"]),
    (
        "cli",
        &[
            "domain", "store", "sumsub", "outbox", "usecase", "http", "api", "handoff", "config",
            "sim", "console",
        ],
    ),
    ("main", &["cli"]),
];

/// Where each outside crate that wraps a part of the world may be named.
const HOMES: [(&str, &[&str]); 14] = [
    ("ratatui", &["console"]),
    ("crossterm", &["console"]),
    ("rusqlite", &["store"]),
    ("tiny_http", &["http"]),
    ("httparse", &["http"]),
    ("socket2", &["http"]),
    ("ureq", &["sumsub", "outbox", "sim", "cli"]),
    ("base64", &["outbox"]),
    ("clap", &["cli", "config"]),
    ("hmac", &["sumsub", "outbox"]),
    ("signal_hook", &["cli"]),
    ("anyhow", &["cli", "main"]),
    ("maud", &["handoff"]),
    ("governor", &["api", "handoff"]),
];

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
    for (_, path, text) in sources().into_iter().filter(|(room, ..)| room == "sim") {
        for imported in named_after(&text, "crate::sumsub::") {
            assert_eq!(imported, "signature", "{}", path.display());
        }
    }
}

#[test]
fn every_outside_crate_has_one_home() {
    for (room, path, text) in sources() {
        for (name, homes) in HOMES {
            let path_prefix = format!("{name}::");
            let is_named = text.lines().any(|line| {
                let code = line.trim_start();
                !code.starts_with("//")
                    && line.match_indices(&path_prefix).any(|(at, _)| {
                        !line[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_')
                    })
            });
            assert!(
                !is_named || homes.contains(&room.as_str()),
                "{} names {name}, whose home is {homes:?}",
                path.display()
            );
        }
    }
}
