//! The settings as flags, made of the one list in `config`, valid before and after any subcommand.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Flags, SETTINGS, Secrecy, Setting};

/// The two that nearly every command is given; the others show in `config --help` only.
const SHOWN: [&str; 2] = ["database", "environment"];

/// What the command line says of the settings.
#[derive(Debug)]
pub(super) struct SettingFlags(pub(super) Flags);

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Flags::new();
        for setting in SETTINGS {
            let values = matches
                .try_get_many::<String>(setting.name)
                .map_err(|it| clap::Error::raw(ErrorKind::InvalidValue, it.to_string()))?;
            let value = values.map(|it| it.cloned().collect::<Vec<_>>().join(","));
            flags.extend(value.map(|it| (setting.name, it)));
        }
        Ok(Self(flags))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        SETTINGS.iter().fold(command, |command, setting| {
            let arg = Arg::new(setting.name)
                .long(setting.flag)
                .value_name(value_name(setting))
                .action(if setting.repeats { ArgAction::Append } else { ArgAction::Set })
                .help(help(setting))
                .help_heading("Settings")
                .global(true)
                .hide(!SHOWN.contains(&setting.name));
            // Its value is written behind `=`: what comes after a blank is the next argument.
            command.arg(match setting.alone {
                None => arg,
                Some(value) => {
                    arg.num_args(0..=1).require_equals(true).default_missing_value(value)
                }
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn value_name(setting: &Setting) -> &'static str {
    match setting.secrecy {
        Secrecy::Secret => "FILE",
        Secrecy::Open | Secrecy::Login => "VALUE",
    }
}

fn help(setting: &Setting) -> String {
    let Setting { doc, default, .. } = setting;
    let default = default.map(|it| format!("; default {it}")).unwrap_or_default();
    format!("{doc} [{}{default}]", setting.variable())
}
