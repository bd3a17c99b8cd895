//! An operator's decision on a verification: hold, approve, reject, ask again, reopen.

use std::sync::Arc;

use crate::domain::fold::Standing;
use crate::domain::organization::OrganizationId;
use crate::domain::verification::{Event, Step, step};
use crate::store::{Cause, NewFact};
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

/// Records an operator's decision, if it fits the status. `actor` is `operator:<login>`.
pub fn decide(
    appliance: &Appliance,
    organization: &OrganizationId,
    decision: Decision,
    actor: &str,
    reason: &str,
) -> Result<Standing, Failure> {
    let cause = Cause::Operator { actor: actor.to_owned(), reason: checked_reason(reason)? };
    let (of, clock, rules) =
        (organization.clone(), Arc::clone(&appliance.clock), appliance.rules.clone());
    appliance.store.write(move |tx| {
        let now = clock();
        let kind = tx.organization(&of)?.ok_or(Failure::OrganizationNotFound)?.kind;
        let verification = tx.verification(&of)?.ok_or(Failure::OrganizationNotFound)?;
        let state = verification.state_at(now);
        if step(state, decision.event()) == Step::Refused {
            let decision = decision.as_str();
            return Err(Failure::DecisionRefused { decision, status: state.status() });
        }
        let fact = NewFact {
            event: decision.event(),
            happened_at: now,
            applicant_id: None,
            begun_at: None,
            valid_days: rules.valid_days(kind),
            cause,
        };
        let recorded = tx.record(&of, &fact, now)?;
        Ok(recorded.after.at(recorded.known_at))
    })
}

/// A reason is the only trace of why: 1 to 500 characters.
pub(super) fn checked_reason(text: &str) -> Result<String, Failure> {
    let reason = text.trim();
    let fits = (1..=REASON_CHARACTERS_MAX).contains(&reason.chars().count())
        && !reason.chars().any(|it| it.is_control() && it != '\n');
    fits.then(|| reason.to_owned()).ok_or_else(|| {
        Failure::Invalid(format!(
            "a reason has 1 to {REASON_CHARACTERS_MAX} characters and no control characters"
        ))
    })
}
