//! `countersign migrate`: a register of an earlier version, brought to this one.

use serde_json::json;

use super::exit::CliError;
use super::output::{Answer, Format, table};
use super::progress::Bar;
use super::wiring::{environment, letter, real_clock};
use super::{Operator, Shape, supervisor};
use crate::config::Config;
use crate::store::{
    MIGRATIONS, Migration, ServingLock, check_stamp, refuse_other_names, steps_for,
};
use crate::usecase::migrate::migrate;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  countersign migrate --plan
  countersign migrate

Stop the server first. A copy is migrated and proven and then takes the register's
place; the register as it was stays as <register>.version-<n>-<instant>, and
`countersign restore` puts it back for the earlier program. --plan changes nothing.")]
pub(super) struct MigrateArguments {
    /// Only show what would be done
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    shape: Shape,
}

pub(super) fn run(operator: &Operator, arguments: &MigrateArguments) -> Result<Answer, CliError> {
    let register = &operator.config.database;
    let format = arguments.shape.format();
    check_stamp(register, environment(&operator.config))?;
    if arguments.plan {
        refuse_other_names(register)?;
        let (from, steps) = steps_for(register, MIGRATIONS)?;
        return Ok(answer(format, (from, steps), None));
    }
    let mut shown = Bar::on_stderr();
    let done = migrate(register, MIGRATIONS, real_clock()(), &mut |it| shown.tell(it));
    drop(shown);
    let done = done?;
    Ok(answer(format, (done.from, &done.steps), done.before.map(|it| it.display().to_string())))
}

/// Migrates the register of a service that starts, if it is of an earlier version. How long it takes is
/// told to the service manager, which would else end it.
pub(super) fn at_start(config: &Config) -> Result<(), CliError> {
    let register = &config.database;
    if !register.exists() {
        return Ok(());
    }
    // Before anything is opened: under another name it may be served.
    drop(ServingLock::take(register)?);
    if steps_for(register, MIGRATIONS)?.1.is_empty() {
        return Ok(());
    }
    check_stamp(register, environment(config))?;
    // What else keeps the server from starting is to be said while the register is as it was.
    if config.public_url.is_some() {
        letter(config)?;
    }
    tracing::warn!(path = %register.display(), "migrating a register of an earlier version");
    let done = migrate(register, MIGRATIONS, real_clock()(), &mut |it| {
        supervisor::is_migrating(it);
    })?;
    let before = done.before.map(|it| it.display().to_string()).unwrap_or_default();
    tracing::warn!(from = done.from, kept_as = before, "migrated and proven");
    Ok(())
}

fn answer(format: Format, (from, steps): (i32, &[Migration]), before: Option<String>) -> Answer {
    let to = steps.last().map_or(from, |it| it.to);
    match format {
        Format::Json => {
            let steps: Vec<_> =
                steps.iter().map(|it| json!({"to": it.to, "what": it.what})).collect();
            Answer::json(&json!({
                "object": "migration", "from": from, "to": to, "steps": steps,
                "keptAs": before,
            }))
        }
        Format::Table if steps.is_empty() => {
            Answer::text(format!("The register is of version {from}, and so is this program.\n"))
        }
        Format::Table => {
            let rows: Vec<Vec<String>> =
                steps.iter().map(|it| vec![it.to.to_string(), it.what.to_owned()]).collect();
            let text = table(&["VERSION", "WHAT IT BRINGS"], &rows);
            match before {
                None => Answer::text(text)
                    .telling("Nothing was changed. `countersign migrate` does it."),
                Some(it) => Answer::text(text)
                    .telling(format!("Done. The register as it was is kept as {it}.")),
            }
        }
    }
}
