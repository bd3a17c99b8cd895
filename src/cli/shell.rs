//! `countersign completions` and `countersign man`: the command line, as shells and manuals want it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use clap_complete::Shell;

use super::exit::CliError;
use super::output::Answer;

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  countersign completions bash > /usr/share/bash-completion/completions/countersign
  countersign completions zsh > ~/.zfunc/_countersign
  countersign completions fish > ~/.config/fish/completions/countersign.fish";

pub(super) const MAN_HELP: &str = "\
Examples:
  countersign man | man -l -
  countersign man /usr/local/share/man/man1

Without a directory it prints the page of the whole program; into a directory it
writes a page for every command.";

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell that completes
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Write the pages of all commands here; it is made if it is not there
    directory: Option<PathBuf>,
}

pub(super) fn completions(mut command: clap::Command, arguments: &CompletionsArguments) -> Answer {
    let mut out = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "countersign", &mut out);
    Answer::text(String::from_utf8_lossy(&out).into_owned())
}

pub(super) fn man(command: clap::Command, arguments: &ManArguments) -> Result<Answer, CliError> {
    let Some(directory) = &arguments.directory else {
        let mut out = Vec::new();
        clap_mangen::Man::new(command).render(&mut out)?;
        return Ok(Answer::text(String::from_utf8_lossy(&out).into_owned()));
    };
    let place = directory.display();
    write_pages(command, directory).with_context(|| format!("cannot write pages into {place}"))?;
    Ok(Answer::default().telling(format!("The pages are in {place}.")))
}

fn write_pages(command: clap::Command, directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command, directory)
}
