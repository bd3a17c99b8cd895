//! Transitions as they happen, one line each, for a person at a terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stage::Stage;
use crate::cli::exit::CliError;
use crate::cli::output;
use crate::cli::serve::Stop;
use crate::cli::verification::cause;
use crate::cli::wiring::pause;
use crate::domain::organization::OrganizationId;
use crate::domain::verification::Status;
use crate::usecase::Failure;

/// Often enough to feel immediate; a look is a few small reads.
const LOOK: Duration = Duration::from_millis(250);
/// The newest customers are looked at; a demo has few.
const CUSTOMERS_MAX: u32 = 100;

/// Prints transitions until a signal.
pub(super) fn until(stage: &Stage, mut stop: Stop) -> Result<(), CliError> {
    let mut known = BTreeMap::new();
    look(stage, &mut known)?;
    while !stop.is_due() {
        for line in look(stage, &mut known)? {
            output::out(format!("{line}\n").as_bytes())?;
        }
        pause(LOOK);
    }
    Ok(())
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
