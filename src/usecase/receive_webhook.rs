//! Sumsub calls: check the digest over the raw bytes, keep the bytes, apply them in the same commit.
//!
//! Every delivery with a right digest is kept and answered 200, whatever it says, because sending it
//! again would not make it say anything else. What it did is its [`Outcome`]. Only a failing register
//! answers otherwise, so that Sumsub sends again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use crate::domain::environment::Environment;
use crate::domain::fold::{CLOCK_SKEW_MS, Standing, placed};
use crate::domain::organization::{OrganizationId, OrganizationType};
use crate::domain::timekeeper::{Moment, Timekeeper};
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{DecidedBy, Ignored, Named, import_of, judge};
use crate::domain::verification::Event;
use crate::store::{
    Cause, DatedBy, Delivery, IgnoredApproval, NewDelivery, NewFact, Outcome, Reader, StoreError,
    Tx,
};
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

/// The secrets of Sumsub's webhook; never the app token's. During a rotation there are two, because
/// Sumsub and this server cannot change theirs in one instant.
pub struct WebhookSecrets {
    first: String,
    second: Option<String>,
}

impl WebhookSecrets {
    /// This secret, and during a rotation another one.
    pub fn new(first: String, second: Option<String>) -> Self {
        Self { first, second }
    }

    /// The place of the secret that a digest fits: 0 or 1. Both are always tried, so that the time it
    /// takes does not tell which one fits.
    fn fitting(&self, algorithm: DigestAlgorithm, digest: &str, body: &[u8]) -> Option<usize> {
        let fits = |it: &String| webhook_is_signed(it.as_bytes(), algorithm, digest, body);
        let (first, second) = (fits(&self.first), self.second.as_ref().is_some_and(fits));
        if first { Some(0) } else { second.then_some(1) }
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecrets(…)")
    }
}

/// How many webhooks had a digest of the first secret and of the second one, since the start.
#[derive(Debug, Default)]
pub struct BySecret([AtomicU64; 2]);

impl BySecret {
    fn count(&self, place: usize) {
        if let Some(it) = self.0.get(place) {
            it.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts, the first secret's first.
    pub fn counts(&self) -> [u64; 2] {
        self.0.each_ref().map(|it| it.load(Ordering::Relaxed))
    }
}

/// By what a delivery is applied.
#[derive(Clone)]
pub(super) struct Applying {
    pub(super) rules: Rules,
    pub(super) timekeeper: Arc<Timekeeper>,
}

impl Applying {
    pub(super) fn by(appliance: &Appliance) -> Self {
        let (rules, timekeeper) = (appliance.rules.clone(), Arc::clone(&appliance.timekeeper));
        Self { rules, timekeeper }
    }
}

/// The longest that Sumsub goes on sending a webhook that was not taken, and an hour (stated, "Webhook
/// retries": about a day).
const LATEST_DELIVERY_MS: i64 = 25 * 3_600_000;
/// An import whose answer was lost is looked for by its token; for the webhooks of its applicant it is
/// over after a day.
const IMPORT_MAX_MS: i64 = 24 * 3_600_000;

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
    let Some(place) = signed_by(&appliance.webhook_secrets.get(), headers, body) else {
        appliance.refused_digests.fetch_add(1, Ordering::Relaxed);
        return Err(Failure::DigestRefused);
    };
    appliance.webhooks_by_secret.count(place);
    let webhook = Webhook::read(body);
    let applying = Applying::by(appliance);
    let mut new = NewDelivery {
        body_sha256: Sha256::digest(body).into(),
        body: body.to_vec(),
        headers: kept_headers(headers),
        event_type: webhook.as_ref().and_then(|it| it.event_type.clone()),
        applicant_id: webhook.as_ref().and_then(|it| it.applicant_id.clone()),
        received_at: (appliance.clock)(),
    };
    appliance.store.write(move |tx| {
        let now = applying.timekeeper.moment();
        new.received_at = now.at;
        let Some(id) = tx.insert_delivery(&new)? else { return Ok(Received::Duplicate) };
        let outcome = apply(tx, &applying, (id, now.at, None), webhook.as_ref(), &now)?;
        Ok(Received::Kept(outcome))
    })
}

/// Applies a kept delivery again, by the rules of today. Answers the outcome before and after; a
/// delivery that has led to a fact, or whose body was let go of, keeps it.
pub fn replay_delivery(
    appliance: &Appliance,
    id: i64,
) -> Result<Option<(Outcome, Outcome)>, Failure> {
    let applying = Applying::by(appliance);
    appliance.store.write(move |tx| {
        let Some(delivery) = tx.delivery(id)? else { return Ok(None) };
        let before = delivery.outcome;
        Ok(Some((before, apply_again(tx, &applying, &delivery)?)))
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
    let applying = Applying::by(appliance);
    let rehearse = move |tx: &Tx<'_>| {
        let Some(delivery) = tx.delivery(id)? else { return Ok(None) };
        let now = applying.timekeeper.now();
        let after = apply_again(tx, &applying, &delivery)?;
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
pub(super) fn adopt(tx: &Tx<'_>, applying: &Applying, applicant_id: &str) -> Result<(), Failure> {
    for delivery in tx.unclaimed_deliveries(applicant_id)? {
        apply_again(tx, applying, &delivery)?;
    }
    Ok(())
}

pub(super) fn apply_again(
    tx: &Tx<'_>,
    applying: &Applying,
    delivery: &Delivery,
) -> Result<Outcome, Failure> {
    // Without its body there is nothing to read anew: what it did stands.
    let Some(body) = delivery.body.as_ref().filter(|_| !delivery.has_fact) else {
        return Ok(delivery.outcome);
    };
    let webhook = Webhook::read(body);
    let now = applying.timekeeper.moment();
    let said = (delivery.outcome, delivery.organization.clone());
    apply(tx, applying, (delivery.id, delivery.received_at, Some(said)), webhook.as_ref(), &now)
}

/// The place of the secret that a webhook is signed with.
fn signed_by(secrets: &WebhookSecrets, headers: &[(String, String)], body: &[u8]) -> Option<usize> {
    let header = |name: &str| {
        headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let digest = header("x-payload-digest")?;
    let algorithm = match header("x-payload-digest-alg") {
        Some(name) => DigestAlgorithm::parse(name),
        None => DigestAlgorithm::of_length(digest.len()),
    };
    secrets.fitting(algorithm?, digest, body)
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
    /// An approval of this verification that does not count.
    Ignored(Ignored, OrganizationId),
    /// Something that happened to this verification.
    Happened(Event, OrganizationId),
}

/// The word for an approval that does not count.
pub(super) fn outcome_of(ignored: Ignored) -> Outcome {
    match ignored {
        Ignored::OtherLevel => Outcome::OtherLevel,
        Ignored::OtherApplicantType => Outcome::OtherApplicantType,
        Ignored::UnreadableGuard => Outcome::UnreadableGuard,
        Ignored::WorkflowStep => Outcome::WorkflowStep,
    }
}

/// Reads a delivery.
pub(super) fn read_delivery(
    register: Reader<'_>,
    rules: &Rules,
    webhook: Option<&Webhook>,
    now: Timestamp,
) -> Result<Reading, Failure> {
    let Some(it) = webhook else { return Ok(Reading::Nothing(Outcome::Unreadable, None)) };
    let organization = organization_of(register, it)?;
    let outcome = match (verdict_free(rules, it), it.meaning, &organization) {
        (Some(outcome), _, _) => outcome,
        (None, Meaning::Unknown, _) => Outcome::UnknownType,
        (None, _, None) => Outcome::UnknownApplicant,
        (None, Meaning::Informational, Some(_)) => Outcome::Informational,
        (None, Meaning::NoVerdict, Some(_)) => Outcome::NoVerdict,
        // Where no workflow decides, the failure of one says nothing.
        (None, Meaning::Happened(Event::ProviderStepFailed), Some(_))
            if rules.acceptance.decided_by == DecidedBy::Level =>
        {
            Outcome::NoVerdict
        }
        (None, Meaning::Happened(event), Some(of)) => {
            return judged(register, rules, (it, event), (of, now));
        }
    };
    Ok(Reading::Nothing(outcome, organization))
}

/// Whether what a webhook says of this verification counts.
fn judged(
    register: Reader<'_>,
    rules: &Rules,
    (webhook, event): (&Webhook, Event),
    (of, now): (&OrganizationId, Timestamp),
) -> Result<Reading, Failure> {
    let kind = register.organization(of)?.ok_or(Failure::OrganizationNotFound)?.kind;
    if event == Event::ProviderApproved && rules.acceptance.levels(kind).is_empty() {
        let what = format!(
            "the Sumsub levels that verify a {} are not set, so nobody can tell whether Sumsub's \
             approvals count: set sumsub-level-{}",
            kind.as_str(),
            kind.as_str().to_lowercase()
        );
        return Err(Failure::Invalid(what));
    }
    let applicant = webhook.applicant_id.as_deref().unwrap_or_default();
    let decides_workflow = rules.acceptance.decided_by == DecidedBy::Workflow;
    // Until an import has been committed nobody can tell its applicant from a session's.
    if (decides_workflow || event == Event::ProviderApproved)
        && register.is_import_under_way(of, now.plus_ms(-IMPORT_MAX_MS))?
        && register.organization_of_applicant(applicant)?.is_none()
    {
        return Ok(Reading::Nothing(Outcome::UnknownApplicant, None));
    }
    // Only where something may be kept back does it matter who brought the applicant.
    let facts = if decides_workflow || event == Event::ProviderApproved {
        register.facts(of)?
    } else {
        Vec::new()
    };
    let import = import_of(facts.iter().map(|it| &it.fact), Some(applicant));
    Ok(match judge(&webhook.word(event), kind, import.as_ref(), &rules.acceptance) {
        Ok(event) => Reading::Happened(event, of.clone()),
        Err(ignored) => Reading::Ignored(ignored, of.clone()),
    })
}

/// Applies one delivery and records its outcome, in the caller's transaction.
fn apply(
    tx: &Tx<'_>,
    applying: &Applying,
    (id, received_at, said_before): (i64, Timestamp, Option<(Outcome, Option<OrganizationId>)>),
    webhook: Option<&Webhook>,
    now: &Moment,
) -> Result<Outcome, Failure> {
    let (outcome, organization) =
        match (read_delivery(**tx, &applying.rules, webhook, now.at)?, webhook) {
            (Reading::Happened(event, of), Some(it)) => {
                let outcome = match place(tx, applying, &of, (event, it, received_at), now)? {
                    None => Outcome::AwaitingProvider,
                    Some(happened_at) => {
                        record(tx, &applying.rules, &of, (event, happened_at, id, it), now)?
                    }
                };
                (outcome, Some(of))
            }
            (Reading::Ignored(ignored, of), Some(it)) => {
                let happened_at = it.happened_at.unwrap_or(received_at);
                let said = IgnoredApproval {
                    organization: of.clone(),
                    outcome: outcome_of(ignored),
                    applicant_id: it.applicant_id.clone().unwrap_or_default(),
                    level: it.level.value().cloned(),
                    applicant_type: it.applicant_type.value().map(|it| type_of(*it)),
                    happened_at,
                    known_at: now.at,
                    delivery_id: Some(id),
                };
                if ignored != Ignored::WorkflowStep {
                    note_ignored(tx, &applying.rules, &said)?;
                }
                (said.outcome, Some(of))
            }
            (Reading::Happened(_, of) | Reading::Ignored(_, of), None) => {
                (Outcome::Unreadable, Some(of))
            }
            (Reading::Nothing(outcome, organization), _) => (outcome, organization),
        };
    if said_before.as_ref() != Some(&(outcome, organization.clone())) {
        tx.insert_outcome(id, outcome, organization.as_ref(), now.at)?;
    }
    Ok(outcome)
}

/// Where what Sumsub says stands among the facts: at Sumsub's own instant. `None`: it is an approval
/// that has to wait until Sumsub has been asked, because nobody can tell whether it is the newest word.
fn place(
    tx: &Tx<'_>,
    applying: &Applying,
    of: &OrganizationId,
    (event, webhook, received_at): (Event, &Webhook, Timestamp),
    now: &Moment,
) -> Result<Option<Timestamp>, Failure> {
    let is_approval = event == Event::ProviderApproved;
    let Some(happened_at) = webhook.happened_at else {
        return if is_approval {
            undated(tx, of, (webhook, received_at))
        } else {
            Ok(Some(received_at))
        };
    };
    if is_approval {
        let waits = applying.timekeeper.must_ask_about(happened_at);
        return Ok((!waits).then_some(happened_at));
    }
    // Nothing has happened in the future: what claims so must not outlast all that comes until then.
    let latest = now.at.plus_ms(CLOCK_SKEW_MS);
    Ok(Some(if now.is_sure { happened_at.min(latest) } else { happened_at }))
}

/// Where an approval stands that Sumsub does not date: as early as it may have happened, so that
/// whatever takes it away comes after it; and nowhere, if something that takes access away is known.
fn undated(
    tx: &Tx<'_>,
    of: &OrganizationId,
    (webhook, received_at): (&Webhook, Timestamp),
) -> Result<Option<Timestamp>, Failure> {
    let facts = tx.bare_facts(of)?;
    let facts = placed(&facts);
    let is_contested = facts.iter().any(|it| {
        it.applicant_id == webhook.applicant_id
            && (it.event.is_verdict() && it.event != Event::ProviderApproved
                || it.event == Event::ProviderStepFailed)
    });
    let newest = facts.iter().map(|it| it.happened_at).max();
    let earliest = received_at.plus_ms(-LATEST_DELIVERY_MS);
    Ok((!is_contested).then(|| newest.map_or(earliest, |it| it.plus_ms(1)).max(earliest)))
}

/// Sumsub's word for an applicant's type.
pub(super) fn type_of(kind: OrganizationType) -> String {
    match kind {
        OrganizationType::Business => "company",
        OrganizationType::Individual => "individual",
    }
    .to_owned()
}

/// Puts an approval that does not count before an operator, unless Sumsub or an operator has said
/// something newer already.
pub(super) fn note_ignored(
    tx: &Tx<'_>,
    rules: &Rules,
    said: &IgnoredApproval,
) -> Result<(), Failure> {
    let of = &said.organization;
    let kind = tx.organization(of)?.ok_or(Failure::OrganizationNotFound)?.kind;
    let facts = tx.bare_facts(of)?;
    let is_answered = placed(&facts).iter().any(|it| {
        let is_about_it = it.applicant_id.as_deref() == Some(&*said.applicant_id);
        (it.event.is_provider() && is_about_it || it.event.is_operator())
            && it.happened_at >= said.happened_at
    });
    if !is_answered && tx.note_ignored_approval(said)? {
        tracing::warn!(
            organization = %of,
            outcome = said.outcome.as_str(),
            level = said.level.as_deref().unwrap_or("none that can be read"),
            accepted = rules.acceptance.levels(kind).join(","),
            applicant_type = said.applicant_type.as_deref().unwrap_or("none that can be read"),
            "Sumsub approved, and the approval does not count: see `countersign doctor`"
        );
    }
    Ok(())
}

/// What keeps a delivery from saying anything about a customer of this register. A guard that cannot be
/// read keeps back an approval only, and is judged with it.
fn verdict_free(rules: &Rules, webhook: &Webhook) -> Option<Outcome> {
    let is_other_world = match (rules.environment, &webhook.sandbox_mode) {
        (Environment::Test, Named::As(false)) | (Environment::Live, Named::As(true)) => true,
        (Environment::Test, Named::As(true)) | (Environment::Live, Named::As(false)) => false,
        (Environment::Test | Environment::Live, Named::Not | Named::Unreadably) => false,
    };
    if webhook.is_test == Named::As(true) {
        Some(Outcome::TestEvent)
    } else if is_other_world {
        Some(Outcome::OtherEnvironment)
    } else if webhook.is_member_of_company == Named::As(true) {
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

fn record(
    tx: &Tx<'_>,
    rules: &Rules,
    of: &OrganizationId,
    (event, happened_at, delivery, webhook): (Event, Timestamp, i64, &Webhook),
    now: &Moment,
) -> Result<Outcome, Failure> {
    let kind = tx.organization(of)?.ok_or(Failure::OrganizationNotFound)?.kind;
    let fact = NewFact {
        event,
        happened_at,
        applicant_id: webhook.applicant_id.clone(),
        begun_at: None,
        valid_days: rules.valid_days(kind),
        level: webhook.level.value().cloned(),
        basis: None,
        dated_by: match webhook.happened_at {
            None if happened_at == now.at => DatedBy::Us,
            Some(_) | None => DatedBy::Provider,
        },
        cause: Cause::Delivery(delivery),
    };
    let recorded = tx.record(of, &fact, now)?;
    if recorded.changed() {
        return Ok(Outcome::Changed);
    }
    let is_heeded = recorded.after.applicant_id == webhook.applicant_id;
    Ok(if is_heeded { Outcome::NoChange } else { Outcome::NotCurrentApplicant })
}
