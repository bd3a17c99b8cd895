//! Replay: what Sumsub delivered, read again by the rules of today, as after an upgrade that knows a type
//! which its predecessor did not. First told, then, on demand, applied.
//!
//! A delivery that has led to a fact keeps it, whatever it would mean today: facts are not changed. Such a
//! difference is told. A rehearsal is the real thing in a transaction that is rolled back; each
//! transaction holds whole organizations, so that none rests on what another one undid.

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, Status};
use crate::store::{Cause, Delivery, Outcome, Reader, RecordedFact, StoreError, Tx};
use crate::sumsub::wire::Webhook;
use crate::usecase::receive_webhook::{Applying, Reading, apply_again, outcome_of, read_delivery};
use crate::usecase::reconcile::Mode;
use crate::usecase::{Appliance, Failure, Rules};

/// Deliveries read at once.
const READ_AT_ONCE: u32 = 1000;
/// Deliveries of one transaction, unless one organization has more.
const APPLIED_AT_ONCE: usize = 100;

/// Which deliveries are read again; every condition that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Sumsub's `type`.
    pub event_type: Option<String>,
    /// Whose verification it is about, by the outcome in force or by today's reading.
    pub organization: Option<OrganizationId>,
    /// Received at that instant or later.
    pub since: Option<Timestamp>,
}

/// A delivery that reads otherwise today.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The delivery.
    pub delivery_id: i64,
    /// Sumsub's `type`.
    pub event_type: Option<String>,
    /// Whose verification it is about today.
    pub organization: Option<OrganizationId>,
    /// The outcome in force.
    pub before: Outcome,
    /// What it comes to.
    pub now: Today,
}

/// What a delivery comes to today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Today {
    /// Another outcome, and the status before and after it, if it is about a verification.
    Outcome(Outcome, Option<(Status, Status)>),
    /// The fact that was recorded stays; today it would be this one.
    FactStays(Event),
    /// The fact that was recorded stays; today the approval would not count.
    WouldNotCount(Outcome),
}

/// What came of a replay.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Deliveries read.
    pub read: u64,
    /// Those that read otherwise.
    pub differences: Vec<Difference>,
}

/// Reads the inbox again, and applies what differs unless it is a dry run.
pub fn replay_inbox(appliance: &Appliance, filter: &Filter, mode: Mode) -> Result<Replay, Failure> {
    let mut replay = Replay::default();
    let mut changing: Vec<(Option<OrganizationId>, i64)> = Vec::new();
    let mut after = 0;
    loop {
        let deliveries =
            appliance.store.read(|register| register.deliveries_after(after, READ_AT_ONCE))?;
        let Some(last) = deliveries.last() else { break };
        after = last.id;
        for delivery in &deliveries {
            let (rules, now) = (&appliance.rules, (appliance.clock)());
            let found = appliance
                .store
                .snapshot(|register| read_again(*register, rules, (filter, now), delivery))?;
            let Some(found) = found else { continue };
            replay.read = replay.read.saturating_add(1);
            match found {
                Found::Same => {}
                Found::Stays(it) => replay.differences.push(it),
                Found::Changes(organization) => changing.push((organization, delivery.id)),
            }
        }
    }
    changing.sort();
    for ids in whole_organizations(&changing) {
        replay.differences.extend(apply_all(appliance, ids, mode)?);
    }
    replay.differences.sort_by_key(|it| it.delivery_id);
    Ok(replay)
}

enum Found {
    Same,
    Stays(Difference),
    Changes(Option<OrganizationId>),
}

/// `None`: the filter leaves it out.
fn read_again(
    register: Reader<'_>,
    rules: &Rules,
    (filter, now): (&Filter, Timestamp),
    delivery: &Delivery,
) -> Result<Option<Found>, Failure> {
    let is_left_out = filter.since.is_some_and(|it| delivery.received_at < it)
        || (filter.event_type.is_some() && filter.event_type != delivery.event_type);
    if is_left_out {
        return Ok(None);
    }
    // Without its body there is nothing to read anew: what it did stands.
    let Some(body) = &delivery.body else { return Ok(None) };
    let reading = read_delivery(register, rules, Webhook::read(body).as_ref(), now)?;
    let organization = match &reading {
        Reading::Nothing(_, of) => of.clone().or_else(|| delivery.organization.clone()),
        Reading::Ignored(_, of) | Reading::Happened(_, of) => Some(of.clone()),
    };
    if filter.organization.is_some() && filter.organization != organization {
        return Ok(None);
    }
    if !delivery.has_fact {
        let is_same = match &reading {
            Reading::Nothing(outcome, of) => (*outcome, of) == (delivery.outcome, &organization),
            Reading::Ignored(ignored, _) => outcome_of(*ignored) == delivery.outcome,
            Reading::Happened(..) => false,
        };
        return Ok(Some(if is_same { Found::Same } else { Found::Changes(organization) }));
    }
    let now = match (&reading, &delivery.organization) {
        (Reading::Happened(event, _), Some(known_of)) => {
            let is_the_fact = |it: &&RecordedFact| it.cause == Cause::Delivery(delivery.id);
            let known = register.facts(known_of)?;
            let recorded = known.iter().find(is_the_fact).map(|it| it.fact.event);
            recorded.filter(|it| it != event).map(|_| Today::FactStays(*event))
        }
        (Reading::Ignored(ignored, _), Some(_)) => Some(Today::WouldNotCount(outcome_of(*ignored))),
        (Reading::Nothing(..), _) | (_, None) => None,
    };
    Ok(Some(now.map_or(Found::Same, |now| {
        Found::Stays(Difference {
            delivery_id: delivery.id,
            event_type: delivery.event_type.clone(),
            organization,
            before: delivery.outcome,
            now,
        })
    })))
}

/// Cuts a sorted list so that no organization is in two parts.
fn whole_organizations(all: &[(Option<OrganizationId>, i64)]) -> Vec<Vec<i64>> {
    let mut parts: Vec<Vec<i64>> = Vec::new();
    for group in all.chunk_by(|left, right| left.0 == right.0) {
        let ids = group.iter().map(|(_, id)| *id);
        match parts.last_mut().filter(|it| it.len() < APPLIED_AT_ONCE) {
            Some(part) => part.extend(ids),
            None => parts.push(ids.collect()),
        }
    }
    parts
}

/// How a transaction of a dry run ends: always rolled back.
enum Rehearsal {
    Over(Vec<Difference>),
    Failed(Failure),
}

impl From<StoreError> for Rehearsal {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

fn apply_all(appliance: &Appliance, ids: Vec<i64>, mode: Mode) -> Result<Vec<Difference>, Failure> {
    let applying = Applying::by(appliance);
    let applied = appliance.store.write(move |tx| {
        let differences = ids
            .iter()
            .map(|id| apply_one(tx, &applying, *id))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Rehearsal::Failed)?;
        let differences = differences.into_iter().flatten().collect();
        match mode {
            Mode::Apply => Ok(differences),
            Mode::DryRun => Err(Rehearsal::Over(differences)),
        }
    });
    match applied {
        Ok(differences) | Err(Rehearsal::Over(differences)) => Ok(differences),
        Err(Rehearsal::Failed(failure)) => Err(failure),
    }
}

fn apply_one(tx: &Tx<'_>, applying: &Applying, id: i64) -> Result<Option<Difference>, Failure> {
    let now = applying.timekeeper.now();
    let Some(delivery) = tx.delivery(id)? else { return Ok(None) };
    let Some(body) = &delivery.body else { return Ok(None) };
    let reading = read_delivery(**tx, &applying.rules, Webhook::read(body).as_ref(), now)?;
    let organization = match reading {
        Reading::Nothing(_, of) => of,
        Reading::Ignored(_, of) | Reading::Happened(_, of) => Some(of),
    };
    let status = || match &organization {
        Some(of) => Ok::<_, Failure>(tx.verification(of)?.map(|it| it.at(now).status)),
        None => Ok(None),
    };
    let from = status()?;
    let after = apply_again(tx, applying, &delivery)?;
    let to = status()?;
    Ok(Some(Difference {
        delivery_id: id,
        event_type: delivery.event_type,
        before: delivery.outcome,
        now: Today::Outcome(after, from.zip(to)),
        organization,
    }))
}
