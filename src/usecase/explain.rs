//! Why a broker may, may not, might or might not have acted for a customer: the gate, condition by
//! condition, for now or for any instant of the past.
//!
//! It asks the same functions that decide: the fold over the facts that were known at the instant,
//! and the gate over what they come to. So an explanation cannot disagree with a refusal.

use crate::domain::authorization::{
    Acting, AuthorizationEvent, AuthorizationStatus, Purpose, Refusal, known_at,
};
use crate::domain::fold::{Fact, Standing, Verification};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, Status};
use crate::store::{AuthorizationCause, Cause, IgnoredApproval, Outcome, RecordedFact};
use crate::usecase::history::{ChangeSource, EXPIRED, changes, overruled};
use crate::usecase::{Appliance, Failure, in_words};

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

impl Explanation {
    /// Whether a condition is none of a party's business. How a customer's verification stands is
    /// told to a broker only where the gate would let it read it: while an LOA between the two is
    /// live. The customer may know everything about itself.
    pub fn withholds(&self, name: ConditionName, party: &OrganizationId) -> bool {
        let is_live = self.conditions.iter().any(|it| it.name == ConditionName::Live && it.holds);
        name == ConditionName::Approved && *party != self.granting && !is_live
    }
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
    /// What every reader is told of it.
    pub note: Option<String>,
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

/// The fact that a condition's value rests on, and why it was recorded. Its number is the register's,
/// for operators; its ordinal counts the facts of the same organization, or of the same two parties,
/// so that it tells a caller nothing of others.
#[derive(Clone, Debug)]
pub enum RestsOn {
    /// Something that happened to the LOA.
    Authorization {
        /// The fact's number.
        sequence: i64,
        /// Which of the two parties' LOA facts it is, from 1.
        ordinal: usize,
        /// What happened.
        event: AuthorizationEvent,
        /// Who did it.
        cause: AuthorizationCause,
    },
    /// Something that happened to the verification.
    Verification {
        /// The fact's number.
        sequence: i64,
        /// Which of the organization's facts it is, from 1.
        ordinal: usize,
        /// What happened.
        event: Event,
        /// Why it was recorded.
        cause: Cause,
    },
    /// Nothing happened: the approval that this fact gave has run out.
    Expiry {
        /// The fact's number.
        sequence: i64,
        /// Which of the organization's facts it is, from 1.
        ordinal: usize,
        /// Why the approval was recorded.
        cause: Cause,
    },
}

impl RestsOn {
    /// The event's word, in API and command line.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Authorization { event, .. } => event.as_str(),
            Self::Verification { event, .. } => event.as_str(),
            Self::Expiry { .. } => EXPIRED,
        }
    }

    /// The fact's id, in API and command line.
    pub fn id(&self) -> String {
        match self {
            Self::Authorization { ordinal, .. } => format!("authorization_event_{ordinal}"),
            Self::Verification { ordinal, .. } | Self::Expiry { ordinal, .. } => {
                format!("verification_event_{ordinal}")
            }
        }
    }
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

/// Explains the gate between two organizations at `at`, by what was known then; or now, by all that
/// is known, as the gate decides: after a step of the clock that is more than what bears an instant
/// until now.
pub fn explain(
    appliance: &Appliance,
    granting: &OrganizationId,
    authorized: &OrganizationId,
    at: Option<Timestamp>,
) -> Result<Explanation, Failure> {
    if granting == authorized {
        return Err(Failure::Invalid(
            "an organization acts for itself without a Letter of Authorization, so there is none \
             to explain: name the customer as the granting and its broker as the authorized \
             organization"
                .to_owned(),
        ));
    }
    let now = appliance.timekeeper.decision_instant();
    let known_until = at.unwrap_or(Timestamp::from_ms(i64::MAX));
    let at = at.unwrap_or(now);
    if at > now {
        return Err(Failure::Invalid(format!("`at` lies ahead; it is {now} now")));
    }
    let (created_at, recorded, loa, loa_fact, ignored) = appliance.store.snapshot(|register| {
        let customer = register.organization(granting)?.ok_or(Failure::OrganizationNotFound)?;
        register.organization(authorized)?.ok_or(Failure::OrganizationNotFound)?;
        let loa_facts = register.authorization_facts(granting, authorized)?;
        let loa = known_at(&loa_facts, known_until);
        let rests_on = loa
            .map(|(_, it)| {
                Ok::<_, Failure>(RestsOn::Authorization {
                    sequence: it.sequence,
                    ordinal: ordinal(loa_facts.iter().map(|it| it.sequence), it.sequence),
                    event: it.event,
                    cause: register.authorization_cause(it.sequence)?,
                })
            })
            .transpose()?;
        let ignored = register.ignored_approval(granting)?;
        Ok::<_, Failure>((customer.created_at, register.facts(granting)?, loa, rests_on, ignored))
    })?;
    let recorded: Vec<RecordedFact> =
        recorded.into_iter().filter(|it| it.fact.known_at <= known_until).collect();
    let facts: Vec<Fact> = recorded.iter().map(|it| it.fact.clone()).collect();
    let standing = Verification::rebuild(created_at, &facts).at(at);
    let live = loa.map(|(status, _)| status).filter(|it| *it != AuthorizationStatus::Revoked);
    let refusal =
        Acting::on_behalf(authorized.clone(), granting.clone(), Purpose::Act, live, standing).err();

    let deciding = deciding_fact(created_at, &recorded, at);
    // An approval that does not count is told where one is missing.
    let ignored = ignored.filter(|it| standing.status != Status::Approved && it.known_at <= at);
    let loa_since = loa.map(|(_, it)| it.known_at);
    let of_loa = |name, holds| Condition {
        name,
        holds,
        value: loa.map_or("NONE", |(status, _)| status.as_str()),
        since: loa_since,
        fact: loa_fact.clone(),
        note: None,
    };
    let conditions = vec![
        of_loa(ConditionName::Live, live.is_some()),
        of_loa(ConditionName::Signed, live == Some(AuthorizationStatus::Active)),
        Condition {
            name: ConditionName::Approved,
            holds: standing.status == Status::Approved,
            value: standing.status.as_str(),
            since: Some(standing.updated_at),
            note: noted(&facts, standing, ignored.as_ref()),
            fact: deciding,
        },
    ];
    Ok(Explanation {
        granting: granting.clone(),
        authorized: authorized.clone(),
        at,
        is_effective: refusal.is_none(),
        conditions,
        next: refusal.map(|it| next(it, standing.status, ignored.as_ref())),
    })
}

/// Facts become known in the order of their numbers, so an ordinal never changes.
fn ordinal(sequences: impl Iterator<Item = i64>, sequence: i64) -> usize {
    sequences.filter(|it| *it <= sequence).count()
}

/// What gave readers the status that they saw at `at`; `None`: nothing has happened yet.
fn deciding_fact(
    created_at: Timestamp,
    recorded: &[RecordedFact],
    at: Timestamp,
) -> Option<RestsOn> {
    let change = changes(created_at, recorded, at).pop()?;
    let RecordedFact { fact, cause } =
        recorded.iter().find(|it| Some(it.fact.sequence) == change.fact)?.clone();
    let sequence = fact.sequence;
    let ordinal = ordinal(recorded.iter().map(|it| it.fact.sequence), sequence);
    Some(if change.source == ChangeSource::Expiry {
        RestsOn::Expiry { sequence, ordinal, cause }
    } else {
        RestsOn::Verification { sequence, ordinal, event: fact.event, cause }
    })
}

/// What every reader is told of the verification's condition.
fn noted(facts: &[Fact], standing: Standing, ignored: Option<&IgnoredApproval>) -> Option<String> {
    if let Some(it) = ignored {
        return Some(ignored_in_words(it));
    }
    if standing.status != Status::Approved {
        return None;
    }
    Verification::approval(facts).and_then(|it| overruled(facts, it)).map(in_words)
}

/// An approval of Sumsub's that does not count, for whoever waits for one.
pub fn ignored_in_words(it: &IgnoredApproval) -> String {
    let named = |it: &Option<String>| it.as_ref().map_or("none", |it| it).to_owned();
    let why = match it.outcome {
        Outcome::OtherApplicantType => {
            format!(
                "the applicant's type ({}) is not the organization's",
                named(&it.applicant_type)
            )
        }
        Outcome::UnreadableGuard => "what guards it cannot be read".to_owned(),
        Outcome::WorkflowStep => "only the end of the workflow decides".to_owned(),
        Outcome::OtherLevel
        | Outcome::Changed
        | Outcome::NoChange
        | Outcome::NotCurrentApplicant
        | Outcome::Informational
        | Outcome::NoVerdict
        | Outcome::AwaitingProvider
        | Outcome::UnknownType
        | Outcome::UnknownApplicant
        | Outcome::MemberOfCompany
        | Outcome::OtherEnvironment
        | Outcome::TestEvent
        | Outcome::Unreadable => format!("level {} is not accepted", named(&it.level)),
    };
    format!("Sumsub approved at {}, and that does not count: {why}", it.happened_at)
}

/// The one next action. The LOA comes first, because the customer can sign it at any time.
fn next(refusal: Refusal, status: Status, ignored: Option<&IgnoredApproval>) -> Next {
    let (who, what) = match (refusal, status) {
        (Refusal::NoLiveAuthorization, _) => {
            (Who::Broker, "Request a Letter of Authorization: POST /v1/authorizations.")
        }
        (Refusal::NotSigned, _) => (Who::Customer, "Sign the Letter of Authorization."),
        (_, status) if ignored.is_some() && status != Status::Rejected => (
            Who::Operator,
            "Sumsub has approved, and the approval does not count: accept its level, or ask the \
             customer again. `countersign doctor` says how.",
        ),
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
