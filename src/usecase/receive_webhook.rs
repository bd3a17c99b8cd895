//! Sumsub calls: check the digest over the raw bytes, keep the bytes, apply them in the same commit.
//!
//! Every delivery with a right digest is kept and answered 200, whatever it says, because sending it
//! again would not make it say anything else. What it did is its [`Outcome`]. Only a failing register
//! answers otherwise, so that Sumsub sends again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest as _, Sha256};

use crate::domain::environment::Environment;
use crate::domain::fold::{CLOCK_SKEW_MS, Standing};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::Event;
use crate::store::{Cause, Delivery, NewDelivery, NewFact, Outcome, Reader, StoreError, Tx};
use crate::sumsub::signature::{DigestAlgorithm, webhook_is_signed};
use crate::sumsub::wire::{Meaning, Webhook};
use crate::usecase::{Appliance, Failure, Rules};

/// Headers whose values are kept; of any other only the name, since a webhook may be configured to
/// carry secrets in headers of its own.
const KEPT_HEADERS: [&str; 6] = [
    "content-type",
    "content-length",
    "user-agent",
    "x-payload-digest",
    "x-payload-digest-alg",
    "x-request-id",
];

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Kept, with this outcome.
    Kept(Outcome),
    /// The same bytes are kept already: nothing was done.
    Duplicate,
}

/// Takes a delivery in.
pub fn receive_webhook(
    appliance: &Appliance,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Received, Failure> {
    if !is_signed(&appliance.rules, headers, body) {
        appliance.refused_digests.fetch_add(1, Ordering::Relaxed);
        return Err(Failure::DigestRefused);
    }
    let webhook = Webhook::read(body);
    let (clock, rules) = (Arc::clone(&appliance.clock), appliance.rules.clone());
    let mut new = NewDelivery {
        body_sha256: Sha256::digest(body).into(),
        body: body.to_vec(),
        headers: kept_headers(headers),
        event_type: webhook.as_ref().and_then(|it| it.event_type.clone()),
        applicant_id: webhook.as_ref().and_then(|it| it.applicant_id.clone()),
        received_at: clock(),
    };
    appliance.store.write(move |tx| {
        new.received_at = clock();
        let Some(id) = tx.insert_delivery(&new)? else { return Ok(Received::Duplicate) };
        let outcome = apply(tx, &rules, (id, new.received_at), webhook.as_ref(), new.received_at)?;
        Ok(Received::Kept(outcome))
    })
}

/// Applies a kept delivery again, by the rules of today. Answers the outcome before and after; a
/// delivery that has led to a fact, or whose body was let go of, keeps it.
pub fn replay_delivery(
    appliance: &Appliance,
    id: i64,
) -> Result<Option<(Outcome, Outcome)>, Failure> {
    let (clock, rules) = (Arc::clone(&appliance.clock), appliance.rules.clone());
    appliance.store.write(move |tx| {
        let Some(delivery) = tx.delivery(id)? else { return Ok(None) };
        let before = delivery.outcome;
        Ok(Some((before, apply_again(tx, &rules, &delivery, clock())?)))
    })
}

/// A rehearsal: the outcome before and after, and whose verification would stand how.
pub type Rehearsed = (Outcome, Outcome, Option<(OrganizationId, Standing)>);

/// What [`replay_delivery`] would do, without doing it: the outcome before and after, and whose
/// verification it would be about, by today's reading, and how that would stand. Nothing is kept.
pub fn rehearse_replay(appliance: &Appliance, id: i64) -> Result<Option<Rehearsed>, Failure> {
    /// Carries the answer out of a write that is rolled back because it ends with an error.
    enum Ended {
        Rehearsed(Option<Rehearsed>),
        Failed(Failure),
    }
    impl From<StoreError> for Ended {
        fn from(error: StoreError) -> Self {
            Self::Failed(error.into())
        }
    }
    let (clock, rules) = (Arc::clone(&appliance.clock), appliance.rules.clone());
    let rehearse = move |tx: &Tx<'_>| {
        let Some(delivery) = tx.delivery(id)? else { return Ok(None) };
        let now = clock();
        let after = apply_again(tx, &rules, &delivery, now)?;
        let of = tx.delivery(id)?.and_then(|it| it.organization);
        let verification = of.as_ref().map(|it| tx.verification(it)).transpose()?.flatten();
        let standing = of.zip(verification.map(|it| it.at(now)));
        Ok::<_, Failure>(Some((delivery.outcome, after, standing)))
    };
    let ended = appliance
        .store
        .write(move |tx| Err::<(), _>(rehearse(tx).map_or_else(Ended::Failed, Ended::Rehearsed)));
    match ended {
        Ok(()) => Ok(None),
        Err(Ended::Rehearsed(answer)) => Ok(answer),
        Err(Ended::Failed(failure)) => Err(failure),
    }
}

/// Applies what was said of an applicant before anybody here had it.
pub(super) fn adopt(
    tx: &Tx<'_>,
    rules: &Rules,
    applicant_id: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    for delivery in tx.unclaimed_deliveries(applicant_id)? {
        apply_again(tx, rules, &delivery, now)?;
    }
    Ok(())
}

pub(super) fn apply_again(
    tx: &Tx<'_>,
    rules: &Rules,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Outcome, Failure> {
    // Without its body there is nothing to read anew: what it did stands.
    let Some(body) = delivery.body.as_ref().filter(|_| !delivery.has_fact) else {
        return Ok(delivery.outcome);
    };
    let webhook = Webhook::read(body);
    apply(tx, rules, (delivery.id, delivery.received_at), webhook.as_ref(), now)
}

fn is_signed(rules: &Rules, headers: &[(String, String)], body: &[u8]) -> bool {
    let header = |name: &str| {
        headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let Some(digest) = header("x-payload-digest") else { return false };
    let algorithm = match header("x-payload-digest-alg") {
        Some(name) => DigestAlgorithm::parse(name),
        None => DigestAlgorithm::of_length(digest.len()),
    };
    algorithm.is_some_and(|it| webhook_is_signed(rules.webhook_secret.as_bytes(), it, digest, body))
}

fn kept_headers(headers: &[(String, String)]) -> String {
    let kept: Vec<[&str; 2]> = headers
        .iter()
        .map(|(name, value)| {
            let is_kept = KEPT_HEADERS.iter().any(|it| name.eq_ignore_ascii_case(it));
            [name.as_str(), if is_kept { value.as_str() } else { "…" }]
        })
        .collect();
    serde_json::json!(kept).to_string()
}

/// What a delivery says by the rules of today, before anything is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nothing that is recorded as a fact.
    Nothing(Outcome, Option<OrganizationId>),
    /// Something that happened to this verification.
    Happened(Event, OrganizationId),
}

/// Reads a delivery.
pub(super) fn read_delivery(
    register: Reader<'_>,
    rules: &Rules,
    webhook: Option<&Webhook>,
) -> Result<Reading, Failure> {
    let Some(it) = webhook else { return Ok(Reading::Nothing(Outcome::Unreadable, None)) };
    let organization = organization_of(register, it)?;
    let outcome = match (verdict_free(rules, it), it.meaning, &organization) {
        (Some(outcome), _, _) => outcome,
        (None, Meaning::Unknown, _) => Outcome::UnknownType,
        (None, _, None) => Outcome::UnknownApplicant,
        (None, Meaning::Informational, Some(_)) => Outcome::Informational,
        (None, Meaning::NoVerdict, Some(_)) => Outcome::NoVerdict,
        (None, Meaning::Happened(event), Some(of)) => {
            return Ok(Reading::Happened(event, of.clone()));
        }
    };
    Ok(Reading::Nothing(outcome, organization))
}

/// Applies one delivery and records its outcome, in the caller's transaction.
fn apply(
    tx: &Tx<'_>,
    rules: &Rules,
    (id, received_at): (i64, Timestamp),
    webhook: Option<&Webhook>,
    now: Timestamp,
) -> Result<Outcome, Failure> {
    let (outcome, organization) = match (read_delivery(**tx, rules, webhook)?, webhook) {
        (Reading::Happened(event, of), Some(it)) => {
            let happened_at = instant_of(it, received_at);
            (record(tx, rules, &of, (event, happened_at, id, it), now)?, Some(of))
        }
        (Reading::Happened(_, of), None) => (Outcome::Unreadable, Some(of)),
        (Reading::Nothing(outcome, organization), _) => (outcome, organization),
    };
    tx.insert_outcome(id, outcome, organization.as_ref(), now)?;
    Ok(outcome)
}

/// What keeps a delivery from saying anything about a customer of this register.
fn verdict_free(rules: &Rules, webhook: &Webhook) -> Option<Outcome> {
    let is_other_world = match (rules.environment, webhook.sandbox_mode) {
        (Environment::Test, Some(false)) | (Environment::Live, Some(true)) => true,
        (Environment::Test, Some(true) | None) | (Environment::Live, Some(false) | None) => false,
    };
    if webhook.is_test {
        Some(Outcome::TestEvent)
    } else if is_other_world {
        Some(Outcome::OtherEnvironment)
    } else if webhook.is_member_of_company {
        Some(Outcome::MemberOfCompany)
    } else {
        None
    }
}

/// By the applicant, which we know by its id whatever external id it has; else by the external id.
fn organization_of(
    register: Reader<'_>,
    webhook: &Webhook,
) -> Result<Option<OrganizationId>, Failure> {
    let Some(applicant) = &webhook.applicant_id else { return Ok(None) };
    if let Some(known) = register.organization_of_applicant(applicant)? {
        return Ok(Some(known));
    }
    let Some(external) = &webhook.external_user_id else { return Ok(None) };
    Ok(register.organization(&OrganizationId::new(external.as_str()))?.map(|it| it.id))
}

/// Sumsub's own instant; ours, where it names none, or one further ahead than clocks can differ: such
/// a fact would outlast every later one.
fn instant_of(webhook: &Webhook, received_at: Timestamp) -> Timestamp {
    webhook
        .happened_at
        .filter(|it| *it <= received_at.plus_ms(CLOCK_SKEW_MS))
        .unwrap_or(received_at)
}

fn record(
    tx: &Tx<'_>,
    rules: &Rules,
    of: &OrganizationId,
    (event, happened_at, delivery, webhook): (Event, Timestamp, i64, &Webhook),
    now: Timestamp,
) -> Result<Outcome, Failure> {
    let kind = tx.organization(of)?.ok_or(Failure::OrganizationNotFound)?.kind;
    let fact = NewFact {
        event,
        happened_at,
        applicant_id: webhook.applicant_id.clone(),
        begun_at: None,
        valid_days: rules.valid_days(kind),
        cause: Cause::Delivery(delivery),
    };
    let recorded = tx.record(of, &fact, now)?;
    if recorded.changed() {
        return Ok(Outcome::Changed);
    }
    let is_heeded = recorded.after.applicant_id == webhook.applicant_id;
    Ok(if is_heeded { Outcome::NoChange } else { Outcome::NotCurrentApplicant })
}
