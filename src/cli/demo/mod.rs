//! `countersign demo`: the whole product on one machine, with no account, no network and no
//! arguments. [`stage`] sets it up, [`guide`] tells a person what to paste, [`watch`] shows what
//! happens, [`play`] and [`story`] drive it alone.

mod guide;
mod play;
mod stage;
mod story;
mod watch;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;

use super::console::Colours;
use super::exit::CliError;
use super::logging;
use super::output::{self, Answer, Format, tell};
use super::signals::Stop;
use stage::{Cast, Stage};

pub(super) const HELP: &str = "\
Examples:
  countersign demo
  countersign demo --play
  countersign demo --json | jq .api

Without arguments it prints calls to paste and stays up until SIGINT or SIGTERM;
then what it kept is removed, unless --directory named the place. On a terminal
Enter opens the operator's console, and q there comes back to the calls.";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct DemoArguments {
    /// Drive the whole story over HTTP, print every step, and end
    #[arg(long, conflicts_with = "json")]
    play: bool,
    /// Print one line of JSON for programs, then stay up
    #[arg(long)]
    json: bool,
    /// Keep the register in this new or empty directory, and leave it there
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// Runs the demo in one of its three ways. A signal ends a play at once, and the others in order.
pub(super) fn run(arguments: DemoArguments, colours: Colours) -> Result<Answer, CliError> {
    let stop = if arguments.play { None } else { Some(Stop::on_signal()?) };
    let is_seen = !arguments.play && !arguments.json && is_at_a_terminal();
    // A line of the log in the middle of the console helps nobody.
    let _log = logging::start(if is_seen { "off" } else { "error" });
    let stage = Stage::open(arguments.directory)?;
    let done = match stop {
        None => story::play(&stage),
        Some(stop) => attend(&stage, stop, Format::of(arguments.json), colours),
    };
    stage.close();
    done.map(|()| Answer::default())
}

fn is_at_a_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn attend(stage: &Stage, stop: Stop, format: Format, colours: Colours) -> Result<(), CliError> {
    let cast = Cast::assemble(stage)?;
    if format == Format::Json {
        output::out(&format!("{}\n", guide::for_programs(stage, &cast)))?;
        stop.wait();
        return Ok(());
    }
    output::out(&guide::for_people(stage, &cast)?)?;
    if is_at_a_terminal() {
        watch::until(stage, stop, colours)?;
    } else {
        stop.wait();
    }
    tell("The demo ends.");
    Ok(())
}
