//! Why a broker may, may not, might or might not have acted for a customer: the gate, condition by
//! condition, for now or for any instant of the past.
//!
//! It asks the same functions that decide: the fold over the facts that were known at the instant,
//! and the gate over what they come to. So an explanation cannot disagree with a refusal.

use crate::domain::authorization::{
    Acting, AuthorizationEvent, AuthorizationStatus, Purpose, Refusal, known_at,
};
use crate::domain::fold::{Fact, Verification};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, Status};
use crate::store::{Cause, RecordedFact};
use crate::usecase::{Appliance, Failure};

/// The gate between two organizations at an instant.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The customer.
    pub granting: OrganizationId,
    /// The broker.
    pub authorized: OrganizationId,
    /// The instant.
    pub at: Timestamp,
    /// Whether the LOA is effective: every condition holds.
    pub is_effective: bool,
    /// The conditions, in the order in which the gate asks.
    pub conditions: Vec<Condition>,
    /// What has to happen next, and who has to do it; `None` when nothing has to.
    pub next: Option<Next>,
}

/// One condition of the gate.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Which.
    pub name: ConditionName,
    /// Whether it holds.
    pub holds: bool,
    /// What it was found to be: `ACTIVE`, `PENDING`, `NONE`, `APPROVED`, ….
    pub value: &'static str,
    /// Since when it has been that.
    pub since: Option<Timestamp>,
    /// The fact that it rests on.
    pub fact: Option<RestsOn>,
}

/// Which condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionName {
    /// The customer granted an LOA, and it is not revoked.
    Live,
    /// It is signed.
    Signed,
    /// The customer's verification is APPROVED and has not expired.
    Approved,
}

impl ConditionName {
    /// The condition's word, in API and command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "authorization_live",
            Self::Signed => "authorization_signed",
            Self::Approved => "verification_approved",
        }
    }
}

/// The fact that a condition's value rests on.
#[derive(Clone, Debug)]
pub enum RestsOn {
    /// Something that happened to the LOA; the number is the fact's.
    Authorization(i64, AuthorizationEvent),
    /// Something that happened to the verification.
    Verification(i64, Event, Cause),
    /// Nothing happened: the approval that this fact gave has run out.
    Expiry(i64),
}

/// Who has to act next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The broker.
    Broker,
    /// The customer.
    Customer,
    /// Sumsub.
    Provider,
    /// An operator of this register.
    Operator,
}

impl Who {
    /// The word, in API and command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Customer => "customer",
            Self::Provider => "provider",
            Self::Operator => "operator",
        }
    }
}

/// The next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Who has to act.
    pub who: Who,
    /// What they have to do, as a sentence.
    pub what: &'static str,
}

/// Explains the gate between two organizations at `at`, or now.
pub fn explain(
    appliance: &Appliance,
    granting: &OrganizationId,
    authorized: &OrganizationId,
    at: Option<Timestamp>,
) -> Result<Explanation, Failure> {
    let now = (appliance.clock)();
    let at = at.unwrap_or(now);
    if at > now {
        return Err(Failure::Invalid(format!("`at` lies ahead; it is {now} now")));
    }
    let (created_at, recorded, loa_facts) = appliance.store.snapshot(|register| {
        let customer = register.organization(granting)?.ok_or(Failure::OrganizationNotFound)?;
        register.organization(authorized)?.ok_or(Failure::OrganizationNotFound)?;
        let loa_facts = register.authorization_facts(granting, authorized)?;
        Ok::<_, Failure>((customer.created_at, register.facts(granting)?, loa_facts))
    })?;
    let facts: Vec<Fact> =
        recorded.iter().map(|it| it.fact.clone()).filter(|it| it.known_at <= at).collect();
    let verification = Verification::rebuild(created_at, &facts);
    let standing = verification.at(at);
    let loa = known_at(&loa_facts, at);
    let live = loa.map(|(status, _)| status).filter(|it| *it != AuthorizationStatus::Revoked);
    let refusal =
        Acting::on_behalf(authorized.clone(), granting.clone(), Purpose::Act, live, standing).err();

    let loa_fact = loa.map(|(_, it)| RestsOn::Authorization(it.sequence, it.event));
    let loa_since = loa.map(|(_, it)| it.known_at);
    let conditions = vec![
        Condition {
            name: ConditionName::Live,
            holds: live.is_some(),
            value: loa.map_or("NONE", |(status, _)| status.as_str()),
            since: loa_since,
            fact: loa_fact.clone(),
        },
        Condition {
            name: ConditionName::Signed,
            holds: live == Some(AuthorizationStatus::Active),
            value: loa.map_or("NONE", |(status, _)| status.as_str()),
            since: loa_since,
            fact: loa_fact,
        },
        Condition {
            name: ConditionName::Approved,
            holds: standing.status == Status::Approved,
            value: standing.status.as_str(),
            since: Some(standing.updated_at),
            fact: deciding_fact(created_at, &facts, &recorded, at),
        },
    ];
    Ok(Explanation {
        granting: granting.clone(),
        authorized: authorized.clone(),
        at,
        is_effective: refusal.is_none(),
        conditions,
        next: refusal.map(|it| next(it, standing.status)),
    })
}

/// The fact whose recording gave readers the status that they saw at `at`.
fn deciding_fact(
    created_at: Timestamp,
    facts: &[Fact],
    recorded: &[RecordedFact],
    at: Timestamp,
) -> Option<RestsOn> {
    let history = Verification::history(created_at, facts);
    let (_, last) = history.last()?;
    let seen = last.at(at);
    if seen.status != last.state.status() {
        let approval = history.iter().rev().find(|(it, _)| gives_approval(it.event))?;
        return Some(RestsOn::Expiry(approval.0.sequence));
    }
    let (fact, _) = history.iter().rev().find(|(it, _)| it.known_at <= seen.updated_at)?;
    let cause = recorded.iter().find(|it| it.fact.sequence == fact.sequence)?.cause.clone();
    Some(RestsOn::Verification(fact.sequence, fact.event, cause))
}

fn gives_approval(event: Event) -> bool {
    matches!(event, Event::ProviderApproved | Event::OperatorApprove)
}

/// The one next action. The LOA comes first, because the customer can sign it at any time.
fn next(refusal: Refusal, status: Status) -> Next {
    let (who, what) = match (refusal, status) {
        (Refusal::NoLiveAuthorization, _) => {
            (Who::Broker, "Request a Letter of Authorization: POST /v1/authorizations.")
        }
        (Refusal::NotSigned, _) => (Who::Customer, "Sign the Letter of Authorization."),
        (_, Status::NotStarted | Status::ResubmissionRequired) => (
            Who::Broker,
            "Start a session (POST /v1/organizations/verification) and hand the customer over.",
        ),
        (_, Status::Pending) => {
            (Who::Provider, "Wait for the customer to finish and for Sumsub's verdict.")
        }
        (_, Status::OnHold) => {
            (Who::Operator, "Review the case and decide: approve, reject, resubmit.")
        }
        (_, Status::Rejected) => {
            (Who::Operator, "Nothing, unless the rejection was an error: then reopen it.")
        }
        (_, Status::Approved) => (Who::Broker, "Try again."),
    };
    Next { who, what }
}
