//! An operator's decision on a verification: hold, approve, reject, ask again, reopen.

use std::sync::Arc;

use crate::domain::fold::{Fact, Overrule, Standing, Verification, newest_said, overrule};
use crate::domain::organization::OrganizationId;
use crate::domain::text;
use crate::domain::timekeeper::{ClockStanding, Timekeeper};
use crate::domain::verification::{Event, Step, step};
use crate::store::{Cause, DatedBy, IgnoredApproval, NewFact, RecordedFact};
use crate::usecase::{Appliance, Failure};

/// The most characters of a reason.
pub const REASON_CHARACTERS_MAX: usize = 500;

/// What an operator may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// From any status.
    Hold,
    /// From `ON_HOLD`.
    Approve,
    /// From `ON_HOLD`.
    Reject,
    /// From `ON_HOLD`.
    Resubmit,
    /// From REJECTED.
    Reopen,
}

impl Decision {
    /// The command's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Resubmit => "resubmit",
            Self::Reopen => "reopen",
        }
    }

    fn event(self) -> Event {
        match self {
            Self::Hold => Event::OperatorHold,
            Self::Approve => Event::OperatorApprove,
            Self::Reject => Event::OperatorReject,
            Self::Resubmit => Event::OperatorResubmit,
            Self::Reopen => Event::OperatorReopen,
        }
    }
}

/// What a decision rests on, and how far it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The newest fact of Sumsub's or an operator's that the maker was shown, by its sequence; 0:
    /// there was none. [`shown`] tells it.
    pub basis: i64,
    /// Whether an approval may go against a verdict of Sumsub's.
    pub against_provider: bool,
}

/// What an operator is shown before a decision.
#[derive(Clone, Debug)]
pub struct Shown {
    /// How the verification stands.
    pub standing: Standing,
    /// The newest fact of Sumsub's or an operator's: the basis of a decision made on this.
    pub newest: Option<RecordedFact>,
    /// What an approval would overrule.
    pub overrule: Option<Overrule>,
    /// The approval of Sumsub's that does not count and waits for somebody.
    pub ignored: Option<IgnoredApproval>,
}

impl Shown {
    /// The basis of a decision made on this.
    pub fn basis(&self) -> i64 {
        self.newest.as_ref().map_or(0, |it| it.fact.sequence)
    }
}

/// Shows what a decision would rest on.
pub fn shown(appliance: &Appliance, organization: &OrganizationId) -> Result<Shown, Failure> {
    let now = (appliance.clock)();
    appliance.store.snapshot(|register| {
        let verification =
            register.verification(organization)?.ok_or(Failure::OrganizationNotFound)?;
        let recorded = register.facts(organization)?;
        let facts: Vec<Fact> = recorded.iter().map(|it| it.fact.clone()).collect();
        let newest = newest_said(&facts);
        Ok(Shown {
            standing: verification.at(now),
            overrule: overrule(&facts, verification.applicant_id.as_deref()),
            newest: recorded.into_iter().find(|it| it.fact.sequence == newest),
            ignored: register.ignored_approval(organization)?,
        })
    })
}

/// Records an operator's decision, if it fits the status, nothing has happened that its maker had not
/// been shown, and it overrules Sumsub only where it says so. `actor` is `operator:<login>`.
pub fn decide(
    appliance: &Appliance,
    organization: &OrganizationId,
    decision: Decision,
    ground: Ground,
    (actor, reason): (&str, &str),
) -> Result<Standing, Failure> {
    let cause = operators_cause(actor, reason)?;
    let (of, timekeeper, rules) =
        (organization.clone(), Arc::clone(&appliance.timekeeper), appliance.rules.clone());
    appliance.store.write(move |tx| {
        let now = timekeeper.moment();
        let kind = tx.organization(&of)?.ok_or(Failure::OrganizationNotFound)?.kind;
        // What our clock dated wrong is put right before anything is decided on it.
        tx.correct_clock(&of, &now)?;
        let verification = tx.verification(&of)?.ok_or(Failure::OrganizationNotFound)?;
        let facts = tx.bare_facts(&of)?;
        let newest = newest_said(&facts);
        if newest > ground.basis {
            return Err(Failure::Overtaken { newest });
        }
        if ground.basis != newest && !facts.iter().any(|it| it.sequence == ground.basis) {
            let what = format!(
                "this customer has no fact {} that a decision can rest on: `countersign verification show` \
                 numbers them",
                ground.basis
            );
            return Err(Failure::Invalid(what));
        }
        let state = verification.state_at(now.at);
        if step(state, decision.event()) == Step::Refused {
            let decision = decision.as_str();
            return Err(Failure::DecisionRefused { decision, status: state.status() });
        }
        if decision == Decision::Approve {
            may_approve(&timekeeper, &facts, &verification, ground)?;
        }
        let fact = NewFact {
            event: decision.event(),
            happened_at: now.at,
            applicant_id: None,
            begun_at: None,
            valid_days: rules.valid_days(kind),
            level: None,
            basis: Some(newest),
            dated_by: DatedBy::Us,
            cause,
        };
        let recorded = tx.record(&of, &fact, &now)?;
        Ok(recorded.after.at(recorded.known_at))
    })
}

fn may_approve(
    timekeeper: &Timekeeper,
    facts: &[Fact],
    verification: &Verification,
    ground: Ground,
) -> Result<(), Failure> {
    if let ClockStanding::Behind { by_ms } = timekeeper.standing() {
        return Err(Failure::ClockBehind { by_s: by_ms / 1000 });
    }
    match overrule(facts, verification.applicant_id.as_deref()) {
        Some(it @ Overrule::Against { .. }) if !ground.against_provider => {
            Err(Failure::Overrules(it))
        }
        Some(Overrule::Against { .. } | Overrule::NoCheck) | None => Ok(()),
    }
}

/// The cause of what an operator does to a verification. `actor` is `operator:<login>`.
pub fn operators_cause(actor: &str, reason: &str) -> Result<Cause, Failure> {
    Ok(Cause::Operator { actor: actor.to_owned(), reason: checked_reason(reason)? })
}

/// A reason is the only trace of why.
pub(super) fn checked_reason(text: &str) -> Result<String, Failure> {
    text::line(text, REASON_CHARACTERS_MAX)
        .map(ToOwned::to_owned)
        .map_err(|objection| Failure::Invalid(format!("the reason {objection}")))
}
