//! The command line: what an operator types, turned into meaning once, and the wiring behind it.
//!
//! stdout is the answer, stderr the story, the exit code the verdict ([`exit`]). A command is a
//! function from its arguments to an [`output::Answer`]; nothing but `output` writes. Only
//! `wiring` knows the real clock.

mod authorization;
mod backup;
mod configuration;
mod console;
mod demo;
mod doctor;
mod exit;
mod explain;
mod flags;
mod identity;
mod inbox;
mod installed;
mod key;
mod link;
mod logging;
mod migrate;
mod openapi;
mod organization;
mod output;
mod progress;
mod prompt;
mod reconcile;
mod reload;
mod running;
mod serve;
mod shell;
mod signals;
mod simulator;
mod supervisor;
mod verification;
mod webhook;
mod webhook_key;
mod wiring;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use serde::Serialize;
use serde_json::Value;

use crate::config::{Config, Variables};
use crate::domain::timestamp::Timestamp;
use crate::store::files::resolved;
use console::Colours;
use exit::{CliError, EXIT_CODES, Exit};
use flags::SettingFlags;
use output::{Answer, Format};

/// Verify customers through Sumsub, hold their Letters of Authorization, and know at every instant
/// whether you may act for them.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, after_help = root_help(), arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    settings: SettingFlags,
    #[command(subcommand)]
    command: Command,
}

const ROOT_HELP: &str = "\
Examples:
  countersign demo
  countersign config
  countersign org create --name 'Broker Ltd.' --type BUSINESS
  countersign key create --org org_... --name backend
  countersign serve

`countersign config --help` lists every setting with its flag and its variable.";

fn root_help() -> String {
    format!("{ROOT_HELP}\n\n{EXIT_CODES}")
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API until SIGTERM or SIGINT
    #[command(after_help = serve::HELP)]
    Serve,
    /// Make, list, rotate and revoke API keys
    Key(key::KeyArguments),
    /// Create, list and show organizations
    Org(organization::OrganizationArguments),
    /// List, request, sign and revoke Letters of Authorization (LOA)
    Loa(authorization::LoaArguments),
    /// List, make and revoke the links by which customers sign and verify
    Link(link::LinkArguments),
    /// Tell why a broker may or may not act for a customer, now or at any instant
    Explain(explain::ExplainArguments),
    /// Show verifications, start or import them, and decide on them
    Verification(verification::VerificationArguments),
    /// Read what Sumsub delivered, and apply it again
    Inbox(inbox::InboxArguments),
    /// Ask Sumsub about verifications that wait, and apply what no webhook has said
    #[command(after_help = reconcile::HELP)]
    Reconcile(reconcile::ReconcileArguments),
    /// Make, list and change our callers' webhook endpoints, and see what was sent to them
    Webhook(webhook::WebhookArguments),
    /// Copy the register while it is used, and prove the copy
    Backup(backup::BackupArguments),
    /// Prove a register or a backup: pages, references, and every fact folded again
    Verify(backup::VerifyArguments),
    /// Put a backup in the place of the register
    Restore(backup::RestoreArguments),
    /// Bring a register of an earlier version to this one
    Migrate(migrate::MigrateArguments),
    /// Find what is wrong with this installation, and what mends it
    Doctor(doctor::DoctorArguments),
    /// Print what is configured and where each value came from
    #[command(after_help = configuration::help())]
    Config(configuration::ConfigArguments),
    /// Print the OpenAPI document of this version
    #[command(after_help = openapi::HELP)]
    Openapi,
    /// Print what a shell needs to complete this program's commands
    #[command(after_help = shell::COMPLETIONS_HELP)]
    Completions(shell::CompletionsArguments),
    /// Print the manual page, or write the pages of all commands
    #[command(after_help = shell::MAN_HELP)]
    Man(shell::ManArguments),
    /// See everything at a glance, and decide: the operator's terminal
    #[command(after_help = console::HELP)]
    Console(console::ConsoleArguments),
    /// Try everything without an account: simulator, server, a broker and two customers
    #[command(after_help = demo::HELP)]
    Demo(demo::DemoArguments),
    /// Run a simulator of Sumsub's API on loopback
    #[command(after_help = simulator::HELP)]
    Simulator(simulator::SimulatorArguments),
}

/// Who runs the command, on what.
struct Operator {
    config: Config,
    /// What the register records of them: see `identity`.
    actor: String,
}

/// Runs one command and answers its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    match dispatch(cli, &Variables::of_process()) {
        Ok(answer) => output::write(&answer),
        Err(error) => output::refuse(&error),
    }
}

fn dispatch(cli: Cli, variables: &Variables) -> Result<Answer, CliError> {
    let actor = identity::actor(variables);
    let load = || Config::load(&cli.settings.0, variables);
    let prepared = || -> Result<Config, CliError> {
        let mut config = load()?;
        installed::check(&config)?;
        // From here on the register has one path, by whatever link it was named.
        config.database = resolved(&config.database)?;
        Ok(config)
    };
    let operator = || -> Result<Operator, CliError> {
        Ok(Operator { config: prepared()?, actor: actor.clone() })
    };
    let colours = if variables.refuse_colours() { Colours::Refused } else { Colours::Allowed };
    match cli.command {
        Command::Serve => serve::serve(&prepared),
        Command::Key(arguments) => key::run(&operator()?, arguments),
        Command::Org(arguments) => organization::run(&operator()?, arguments),
        Command::Link(arguments) => link::run(&operator()?, arguments),
        Command::Loa(arguments) => authorization::run(&operator()?, arguments),
        Command::Explain(arguments) => explain::run(&operator()?, &arguments),
        Command::Verification(arguments) => verification::run(&operator()?, arguments),
        Command::Webhook(arguments) => webhook::run(&operator()?, arguments),
        Command::Inbox(arguments) => inbox::run(&operator()?, &arguments),
        Command::Reconcile(arguments) => reconcile::run(&operator()?, &arguments),
        Command::Backup(arguments) => backup::run(&operator()?, &arguments),
        // A file that is named is read, whatever is installed here.
        Command::Verify(arguments) if arguments.names_file() => {
            backup::verify(&Operator { config: load()?, actor }, &arguments)
        }
        Command::Verify(arguments) => backup::verify(&operator()?, &arguments),
        Command::Restore(arguments) => backup::put_back(&operator()?, &arguments),
        Command::Migrate(arguments) => migrate::run(&operator()?, &arguments),
        Command::Doctor(arguments) => Ok(doctor::run(&operator()?, &arguments)),
        Command::Config(arguments) => Ok(configuration::show(&load()?, &arguments)),
        Command::Openapi => Ok(openapi::print()),
        Command::Completions(arguments) => Ok(shell::completions(Cli::command(), &arguments)),
        Command::Man(arguments) => shell::man(Cli::command(), &arguments),
        Command::Console(arguments) => console::run(operator()?, &arguments, colours),
        // These two need no configuration, and none can harm them.
        Command::Demo(arguments) => demo::run(arguments, colours),
        Command::Simulator(arguments) => simulator::run(&arguments),
    }
}

/// Of the groups that list and show.
#[derive(Debug, clap::Args)]
struct Shape {
    /// Answer as JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

impl Shape {
    fn format(&self) -> Format {
        Format::of(self.json)
    }
}

/// An object of the API's, for programs.
fn shape_of(body: &impl Serialize) -> Value {
    serde_json::to_value(body).unwrap_or_default()
}

/// An instant that an operator typed behind a flag.
fn instant_of(flag: &str, text: &str) -> Result<Timestamp, CliError> {
    Timestamp::parse(text).ok_or_else(|| {
        CliError::new(
            Exit::Usage,
            format!("{flag} must be an instant as 2026-05-14T09:30:00Z, or a date as 2026-05-14"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    fn each_command(command: &clap::Command, check: &mut impl FnMut(&clap::Command)) {
        check(command);
        for it in command.get_subcommands().filter(|it| it.get_name() != "help") {
            each_command(it, check);
        }
    }

    #[test]
    fn every_commands_help_has_an_example() {
        let mut command = Cli::command();
        command.build();
        each_command(&command, &mut |it| {
            if it.get_name() == "help" {
                return;
            }
            let help = it.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example") && help.contains("countersign "), "{}", it.get_name());
        });
    }
}
