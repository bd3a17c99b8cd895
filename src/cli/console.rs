//! `countersign console`: the operator's terminal, on the same register as a running server.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Operator;
use super::exit::{CliError, Exit};
use super::output::Answer;
use super::wiring::{Open, beside_a_server, build, real_timekeeper};
use crate::config::{Config, Source};
use crate::console::run::{Options, run as run_console};
use crate::console::state::Access;
use crate::console::theme::Theme;
use crate::console::twin::quoted;
use crate::store::Opening;

pub(super) const HELP: &str = "\
Examples:
  countersign console
  countersign console --read-only --database /var/lib/countersign/live.db

Starts read-only; u unlocks actions for five minutes. ? shows every key. Works
beside a running server and over SSH; without Sumsub's credentials everything
can be seen and decided, but no session started.";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct ConsoleArguments {
    /// Never let actions be unlocked
    #[arg(long)]
    read_only: bool,
    /// Use no colours, as `NO_COLOR` and TERM=dumb do
    #[arg(long)]
    no_color: bool,
}

/// Whether the environment lets a program use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// It does.
    Allowed,
    /// It does not.
    Refused,
}

impl Colours {
    pub(super) fn theme(self) -> Theme {
        match self {
            Self::Allowed => Theme::Colour,
            Self::Refused => Theme::Monochrome,
        }
    }
}

/// Set by every signal that ends a program at a terminal.
pub(super) fn stopped_by_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Runs the console until the operator leaves or a signal ends it.
pub(super) fn run(
    operator: Operator,
    arguments: &ConsoleArguments,
    colours: Colours,
) -> Result<Answer, CliError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(CliError::new(
            Exit::Usage,
            "the console needs a terminal; `countersign --help` lists the commands for programs",
        ));
    }
    // Without an account the register can still be read and decided on.
    let (provider, no_provider) = match operator.config.provider() {
        Ok(it) => (Some(it), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let colours = if arguments.no_color { Colours::Refused } else { colours };
    let options = Options {
        actor: operator.actor,
        access: if arguments.read_only { Access::ReadOnly } else { Access::Locked },
        theme: colours.theme(),
        configuration: shown(&operator.config),
        no_provider,
        twin_flags: twin_flags(&operator.config),
        stop: stopped_by_signals()?,
    };
    // Who only looks is to be told of a mistyped path, not given a new register.
    let opening = if arguments.read_only { Opening::MustExist } else { Opening::CreateIfMissing };
    let appliance = build(&operator.config, provider.as_ref(), opening, real_timekeeper())?;
    beside_a_server(&operator.config, &appliance)?;
    appliance.store.unmap()?;
    // Its lanes may still be reading when the operator has left.
    run_console(&Open::beside(appliance), options)?;
    Ok(Answer::default())
}

/// The flags by which another command comes to the same register: those that this one was given.
pub(super) fn twin_flags(config: &Config) -> String {
    let flags: Vec<String> = config
        .in_force
        .iter()
        .filter(|it| it.source == Source::Flag)
        .filter(|it| matches!(it.setting.name, "database" | "environment"))
        .map(|it| format!(" --{} {}", it.setting.name, quoted(it.shown())))
        .collect();
    flags.concat()
}

/// What is in force, as it may be shown.
pub(super) fn shown(config: &Config) -> Vec<(String, String)> {
    config
        .in_force
        .iter()
        .map(|it| (it.setting.name.to_owned(), format!("{}  ({})", it.shown(), it.source)))
        .collect()
}
