//! Every change of a verification's status as readers saw it, expiries included.

use std::collections::BTreeSet;

use crate::domain::fold::{Fact, Verification};
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
    /// By which event: the register's word, or `approval_expired`.
    pub cause: &'static str,
}

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

fn changes(created_at: Timestamp, recorded: &[RecordedFact], now: Timestamp) -> Vec<Change> {
    let mut found = Vec::new();
    let mut seen = Verification::new(created_at);
    let facts: Vec<Fact> = recorded.iter().map(|it| it.fact.clone()).collect();
    let asked: BTreeSet<i64> = recorded
        .iter()
        .filter(|it| matches!(it.cause, Cause::Asked(_)))
        .map(|it| it.fact.sequence)
        .collect();
    for (fact, after) in Verification::history(created_at, &facts) {
        note_expiry(&mut found, &seen, fact.known_at);
        let (from, to) = (seen.at(fact.known_at).status, after.at(fact.known_at).status);
        if from != to {
            found.push(Change {
                from,
                to,
                at: fact.known_at,
                source: if asked.contains(&fact.sequence) {
                    ChangeSource::Reconcile
                } else {
                    source_of(fact.event)
                },
                cause: fact.event.as_str(),
            });
        }
        seen = after;
    }
    note_expiry(&mut found, &seen, now);
    found
}

/// An approval that ran out before `until` is a change that no fact records.
fn note_expiry(found: &mut Vec<Change>, seen: &Verification, until: Timestamp) {
    let standing = seen.at(until);
    if standing.status != seen.state.status() {
        found.push(Change {
            from: seen.state.status(),
            to: standing.status,
            at: standing.updated_at,
            source: ChangeSource::Expiry,
            cause: "approval_expired",
        });
    }
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
        | Event::ProviderReset => ChangeSource::Provider,
        Event::OperatorHold
        | Event::OperatorApprove
        | Event::OperatorReject
        | Event::OperatorResubmit
        | Event::OperatorReopen => ChangeSource::Operator,
    }
}
