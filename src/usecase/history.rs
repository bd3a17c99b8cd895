//! Every change of a verification's status as readers saw it, expiries included.

use std::collections::BTreeSet;

use crate::domain::fold::{Fact, Overrule, Verification, overrule};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, Status};
use crate::store::{Cause, RecordedFact};
use crate::usecase::{Appliance, Failure};

/// One change of status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
    /// When readers saw it.
    pub at: Timestamp,
    /// Who brought it about.
    pub source: ChangeSource,
    /// By which event: the register's word, or [`EXPIRED`].
    pub cause: &'static str,
    /// The fact that brought it about; of an expiry, the one that gave the approval.
    pub fact: Option<i64>,
    /// What it overruled, if an operator approved.
    pub overrule: Option<Overrule>,
}

/// The word of a change that time brought about.
pub const EXPIRED: &str = "approval_expired";

/// Who brought a change about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeSource {
    /// Sumsub.
    Provider,
    /// Sumsub, when it was asked: no webhook had said so.
    Reconcile,
    /// An operator.
    Operator,
    /// A session.
    Session,
    /// An import.
    Import,
    /// Time.
    Expiry,
}

impl ChangeSource {
    /// The word, in API and command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Reconcile => "reconcile",
            Self::Operator => "operator",
            Self::Session => "session",
            Self::Import => "import",
            Self::Expiry => "expiry",
        }
    }
}

/// Every change of status until `now`, oldest first.
pub fn status_changes(
    appliance: &Appliance,
    organization: &OrganizationId,
    now: Timestamp,
) -> Result<Vec<Change>, Failure> {
    let (created_at, facts) = appliance.store.snapshot(|register| {
        let created_at =
            register.organization(organization)?.ok_or(Failure::OrganizationNotFound)?.created_at;
        Ok::<_, Failure>((created_at, register.facts(organization)?))
    })?;
    Ok(changes(created_at, &facts, now))
}

/// Every change of status until `now` that recorded facts, those of one organization, come to.
pub(super) fn changes(
    created_at: Timestamp,
    recorded: &[RecordedFact],
    now: Timestamp,
) -> Vec<Change> {
    let facts: Vec<Fact> = recorded.iter().map(|it| it.fact.clone()).collect();
    let asked: BTreeSet<i64> = recorded
        .iter()
        .filter(|it| matches!(it.cause, Cause::Asked(_)))
        .map(|it| it.fact.sequence)
        .collect();
    let verification = Verification::new(created_at);
    let mut walk = Walk { seen: verification.state.status(), verification, found: Vec::new() };
    for (fact, after) in Verification::history(created_at, &facts) {
        walk.look(fact.known_at, None, &facts);
        walk.verification = after;
        let source = if asked.contains(&fact.sequence) {
            ChangeSource::Reconcile
        } else {
            source_of(fact.event)
        };
        walk.look(fact.known_at, Some((&fact, source)), &facts);
    }
    walk.look(now, None, &facts);
    walk.found
}

/// The way through the facts as readers saw it.
struct Walk {
    verification: Verification,
    /// The status that readers saw last.
    seen: Status,
    found: Vec<Change>,
}

impl Walk {
    /// Notes what readers see at `at`, if it is another status than before: by the fact that was
    /// recorded then, or because an approval has run out, which no fact records.
    fn look(&mut self, at: Timestamp, recorded: Option<(&Fact, ChangeSource)>, facts: &[Fact]) {
        let standing = self.verification.at(at);
        if standing.status == self.seen {
            return;
        }
        let from = std::mem::replace(&mut self.seen, standing.status);
        let (source, cause, fact) = match recorded {
            Some((fact, source)) if standing.status == self.verification.state.status() => {
                (source, fact.event.as_str(), Some(fact))
            }
            _ => (ChangeSource::Expiry, EXPIRED, self.verification.approved_by(facts)),
        };
        self.found.push(Change {
            from,
            to: standing.status,
            at: standing.updated_at,
            source,
            cause,
            fact: fact.map(|it| it.sequence),
            overrule: fact.filter(|_| cause != EXPIRED).and_then(|it| overruled(facts, it)),
        });
    }
}

/// What an operator's approval overruled, by what was known when it was made.
pub(super) fn overruled(facts: &[Fact], approval: &Fact) -> Option<Overrule> {
    if approval.event != Event::OperatorApprove {
        return None;
    }
    let known: Vec<Fact> =
        facts.iter().filter(|it| it.sequence < approval.sequence).cloned().collect();
    let applicant = Verification::rebuild(approval.known_at, &known).applicant_id;
    overrule(&known, applicant.as_deref())
}

fn source_of(event: Event) -> ChangeSource {
    match event {
        Event::SessionStarted => ChangeSource::Session,
        Event::ImportAccepted => ChangeSource::Import,
        Event::ProviderPending
        | Event::ProviderAwaitingUser
        | Event::ProviderApproved
        | Event::ProviderRejected
        | Event::ProviderRetry
        | Event::ProviderOnHold
        | Event::ProviderReset
        | Event::ProviderStepFailed => ChangeSource::Provider,
        // Sumsub was asked for its time.
        Event::ClockCorrected => ChangeSource::Reconcile,
        Event::OperatorHold
        | Event::OperatorApprove
        | Event::OperatorReject
        | Event::OperatorResubmit
        | Event::OperatorReopen => ChangeSource::Operator,
    }
}
