//! `countersign config`: what is in force, and where it came from.

use std::fmt::Write as _;

use super::Shape;
use super::output::{Answer, table};
use crate::config::{Config, SETTINGS, Secrecy};

#[derive(Debug, clap::Args)]
pub(super) struct ConfigArguments {
    #[command(flatten)]
    shape: Shape,
}

/// Every setting, with its flag, its variable and its default.
pub(super) fn help() -> String {
    let mut text = "\
Examples:
  countersign config
  COUNTERSIGN_ENVIRONMENT=live countersign config --json

A flag outranks a variable, a variable outranks one in the settings file, and that
one outranks the default. Secrets are read from a variable or from a file, and never
shown. What is marked with * a running server takes over at SIGHUP, if a file says it.

Settings:
"
    .to_owned();
    for setting in SETTINGS {
        let file = match setting.secrecy {
            Secrecy::Open => String::new(),
            Secrecy::Secret | Secrecy::Login => format!(" or {}", setting.file_variable()),
        };
        let default = setting.default.map(|it| format!(" (default {it})")).unwrap_or_default();
        // Writing to a String does not fail.
        writeln!(
            text,
            "  --{}{}\n      {}: {}{default}\n      {}{file}",
            setting.flag,
            if setting.is_reloaded() { " *" } else { "" },
            setting.doc,
            setting.accepted,
            setting.variable()
        )
        .unwrap_or_default();
    }
    text
}

/// Shows the configuration; tells what would keep `serve` from starting.
pub(super) fn show(config: &Config, arguments: &ConfigArguments) -> Answer {
    let mut story: Vec<String> = config
        .unknown
        .iter()
        .map(|it| format!("{it} is set, but is no setting of countersign."))
        .collect();
    if let Err(error) = config.provider() {
        story.push(format!("`countersign serve` would refuse to start. {error}"));
    }
    let answer = if arguments.shape.json { json(config) } else { people(config) };
    if story.is_empty() { answer } else { answer.telling(story.join("\n")) }
}

fn json(config: &Config) -> Answer {
    let settings: Vec<_> = config
        .in_force
        .iter()
        .map(|it| {
            serde_json::json!({
                "name": it.setting.name,
                "value": it.shown(),
                "source": it.source.to_string(),
                "secret": it.setting.secrecy == Secrecy::Secret,
                "variable": it.setting.variable(),
            })
        })
        .collect();
    Answer::json(&serde_json::json!({"object": "configuration", "settings": settings}))
}

fn people(config: &Config) -> Answer {
    let rows: Vec<Vec<String>> = config
        .in_force
        .iter()
        .map(|it| vec![it.setting.name.to_owned(), it.shown().to_owned(), it.source.to_string()])
        .collect();
    Answer::text(table(&["SETTING", "VALUE", "SOURCE"], &rows))
}
