//! Transitions as they happen, one line each, for a person at a terminal; and one key away the
//! operator's console on the same appliance.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stage::{ACTOR, Stage, text};
use crate::cli::console::{Colours, shown, stopped_by_signals, twin_flags};
use crate::cli::exit::CliError;
use crate::cli::output::{self, tell};
use crate::cli::signals::Stop;
use crate::cli::verification::cause;
use crate::console::run::{Ending, Options, is_called, is_gone, run};
use crate::console::state::Access;
use crate::domain::organization::OrganizationId;
use crate::domain::verification::Status;
use crate::usecase::Failure;

/// Often enough to feel immediate; a look is a few small reads.
const LOOK: Duration = Duration::from_millis(250);
/// The newest customers are looked at; a demo has few.
const CUSTOMERS_MAX: u32 = 100;

/// Prints transitions until a signal, or until the terminal is gone.
pub(super) fn until(stage: &Stage, mut stop: Stop, colours: Colours) -> Result<(), CliError> {
    let mut known = BTreeMap::new();
    look(stage, &mut known)?;
    tell(INVITATION);
    while !stop.is_due() && !is_gone() {
        for line in look(stage, &mut known)? {
            output::out(&format!("{line}\n"))?;
        }
        if !is_called(LOOK)? {
            continue;
        }
        if open_console(stage, colours)? == Ending::Stopped {
            return Ok(());
        }
        tell(INVITATION);
    }
    Ok(())
}

const INVITATION: &str = "Enter opens the operator's console.";

fn open_console(stage: &Stage, colours: Colours) -> Result<Ending, CliError> {
    let options = Options {
        actor: ACTOR.to_owned(),
        access: Access::Locked,
        theme: colours.theme(),
        configuration: configuration(stage),
        no_provider: None,
        twin_flags: twin_flags(&stage.config),
        stop: stopped_by_signals()?,
    };
    Ok(run(&stage.appliance, options)?)
}

fn look(
    stage: &Stage,
    known: &mut BTreeMap<OrganizationId, Status>,
) -> Result<Vec<String>, CliError> {
    let now = (stage.appliance.clock)();
    let mut lines = Vec::new();
    stage.appliance.store.snapshot(|register| {
        for it in register.organizations(None, CUSTOMERS_MAX)? {
            let verification =
                register.verification(&it.id)?.ok_or(Failure::OrganizationNotFound)?;
            let standing = verification.at(now);
            let before = known.insert(it.id.clone(), standing.status);
            if before == Some(standing.status) {
                continue;
            }
            let why = if standing.lapsed {
                "the approval has expired".to_owned()
            } else {
                register.facts(&it.id)?.last().map_or_else(
                    || "created".to_owned(),
                    |fact| format!("{} by {}", fact.fact.event.as_str(), cause(fact)),
                )
            };
            lines.push(format!(
                "{}  {}: {} -> {}  ({why})",
                standing.updated_at,
                it.name.as_str(),
                before.map_or("-", Status::as_str),
                standing.status.as_str(),
            ));
        }
        Ok::<_, Failure>(())
    })?;
    Ok(lines)
}

/// What the demo runs with: its own addresses in place of the defaults that it does not use.
fn configuration(stage: &Stage) -> Vec<(String, String)> {
    let of = |name: &str, value: &str| (name.to_owned(), format!("{value}  (demo)"));
    let mut rows = vec![
        of("listen", &stage.api),
        of("sumsub-url", text(&stage.sumsub, "/url")),
        of("simulator's control", &stage.control),
    ];
    let others = shown(&stage.config).into_iter();
    rows.extend(others.filter(|(name, _)| name != "listen" && !name.starts_with("sumsub-")));
    rows
}
