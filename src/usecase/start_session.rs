//! A verification session: the same Sumsub applicant every time, a fresh token and link.
//!
//! Asks the table, then Sumsub (no transaction is open meanwhile), then the table and the gate again in
//! the commit that records the fact: what changed in between decides.

use std::sync::Arc;

use crate::domain::authorization::{Acting, AuthorizationStatus, Refusal};
use crate::domain::fold::Verification;
use crate::domain::organization::{OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, State, Status, Step, step};
use crate::store::{Cause, NewFact, Question, Tx};
use crate::sumsub::{AccessToken, Applicant};
use crate::usecase::authorizations::By;
use crate::usecase::handoff_links::{Handoff, LinkToken, insert_link};
use crate::usecase::receive_webhook::adopt;
use crate::usecase::reconcile::{FindingKind, apply};
use crate::usecase::{Appliance, Failure, Rules};

/// How long after one session another of the same applicant adds no fact.
const REPEATED_MS: i64 = 10 * 60_000;

/// What the customer is handed over with.
#[derive(Clone, Debug)]
pub struct Session {
    /// Our hand-off page while the customer's LOA is unsigned, else Sumsub's hosted page.
    pub url: String,
    /// For the `WebSDK`.
    pub access_token: AccessToken,
}

/// Starts or resumes the verification of `acting`'s subject. A broker whose customer has not signed
/// yet is handed our own page, where both happen in one sitting, if this server has one.
pub fn start_session(
    appliance: &Appliance,
    acting: &Acting,
    cause: Cause,
) -> Result<Session, Failure> {
    let door = match &appliance.handoff {
        Some(handoff) if is_unsigned(appliance, acting)? => {
            Door::Handoff(Arc::clone(handoff), LinkToken::random()?)
        }
        Some(_) | None => Door::Sumsub,
    };
    let Begun { access_token, url } = begin(appliance, acting, cause, door)?;
    Ok(Session { url, access_token })
}

fn is_unsigned(appliance: &Appliance, acting: &Acting) -> Result<bool, Failure> {
    let live = appliance
        .store
        .read(|register| register.live_authorization(acting.subject(), acting.caller()))?;
    Ok(live.is_some_and(|it| it.status == AuthorizationStatus::Pending))
}

/// Which page a session leads to.
pub(super) enum Door {
    /// Ours, by a new link with this token.
    Handoff(Arc<Handoff>, LinkToken),
    /// Sumsub's hosted one.
    Sumsub,
    /// None: the customer is on our page already, by the link whose token has this hash.
    Open([u8; 32]),
}

/// A session that has begun.
pub(super) struct Begun {
    pub(super) access_token: AccessToken,
    /// Empty without a door.
    pub(super) url: String,
}

/// Asks the table, Sumsub and the table again, and records the fact.
pub(super) fn begin(
    appliance: &Appliance,
    acting: &Acting,
    cause: Cause,
    door: Door,
) -> Result<Begun, Failure> {
    let (broker, subject) = (acting.caller().clone(), acting.subject().clone());
    let begun_at = (appliance.clock)();
    let (kind, seen, known) = appliance.store.snapshot(|register| {
        let organization = register.organization(&subject)?.ok_or(Failure::OrganizationNotFound)?;
        let verification = register.verification(&subject)?.ok_or(Failure::OrganizationNotFound)?;
        let state = verification.state_at(begun_at);
        if step(state, Event::SessionStarted) == Step::Refused {
            return Err(Failure::VerificationRejected);
        }
        // One that is linked can be read at Sumsub; another is looked for by its external id.
        let known = match &verification.applicant_id {
            None => None,
            Some(id) => register.external_user_id(id)?.map(|external| (id.clone(), external)),
        };
        let known = Known {
            linked: known,
            current: verification.applicant_id.clone(),
            is_to_resubmit: state == State::ResubmissionRequired,
        };
        Ok((organization.kind, verification.applicant_id, known))
    })?;

    let (applicant, begun) = ask_sumsub(appliance, &subject, kind, &known, &door)?;

    let (clock, rules) = (Arc::clone(&appliance.clock), appliance.rules.clone());
    appliance.store.write(move |tx| {
        let state = tx.verification(&subject)?.ok_or(Failure::OrganizationNotFound)?;
        if step(state.state_at(clock()), Event::SessionStarted) == Step::Refused {
            return Err(Failure::VerificationRejected);
        }
        if state.applicant_id != seen && state.applicant_id.as_ref() != Some(&applicant.id) {
            // An import has taken over meanwhile. Its applicant decides; a session of it can be had.
            return Err(Failure::Busy);
        }
        let now = clock();
        let refused = || Failure::AuthorizationRequired(Refusal::NoLiveAuthorization);
        let live = tx.live_authorization(&subject, &broker)?;
        if live.is_none() && broker != subject {
            return Err(refused());
        }
        match (&door, live) {
            // Signed meanwhile: the link leads on to the verification.
            (Door::Handoff(_, token), Some(live)) => {
                let by = By { actor: broker.as_str().to_owned(), request_id: request_of(&cause) };
                insert_link(tx, &live, token, by, now)?;
            }
            (Door::Open(link), _) => {
                let link = tx.handoff_link(link)?;
                if link.is_none_or(|it| it.revoked_at.is_some()) {
                    return Err(refused());
                }
            }
            (Door::Handoff(..), None) | (Door::Sumsub, _) => {}
        }
        if is_repeated(tx, &subject, &state, &applicant, now)? {
            return Ok(begun);
        }
        let arrival = Arrival { event: Event::SessionStarted, applicant, begun_at, cause };
        record_arrival(tx, &rules, &subject, &arrival, now)?;
        Ok(begun)
    })
}

/// Whether a session would add a fact that says what the last one said: a page that asks for a token
/// every minute is no history.
fn is_repeated(
    tx: &Tx<'_>,
    subject: &OrganizationId,
    current: &Verification,
    applicant: &Applicant,
    now: Timestamp,
) -> Result<bool, Failure> {
    let stays = step(current.state_at(now), Event::SessionStarted) == Step::Stay
        && current.applicant_id.as_ref() == Some(&applicant.id);
    if !stays {
        return Ok(false);
    }
    let last = tx.facts(subject)?.pop().map(|it| it.fact);
    Ok(last.is_some_and(|it| {
        it.event == Event::SessionStarted
            && it.applicant_id.as_ref() == Some(&applicant.id)
            && now < it.known_at.plus_ms(REPEATED_MS)
    }))
}

fn request_of(cause: &Cause) -> Option<String> {
    match cause {
        Cause::Request(id) => Some(id.clone()),
        Cause::Delivery(_) | Cause::Operator { .. } | Cause::Asked(_) => None,
    }
}

/// What the register knows before Sumsub is asked.
struct Known {
    /// The current applicant and its externalUserId, if it is linked.
    linked: Option<(String, String)>,
    /// The current applicant.
    current: Option<String>,
    /// Whether the status asks for a new submission, also where Sumsub does not know: an approval
    /// expired, an operator reopened.
    is_to_resubmit: bool,
}

impl Known {
    /// Whether an applicant that Sumsub has closed must be opened again, or the customer would stand
    /// before a closed door and no verdict would ever come.
    fn must_begin_anew(&self, applicant: &Applicant) -> bool {
        let takes_over = self.current.as_ref().is_some_and(|it| *it != applicant.id);
        applicant.is_settled && (self.is_to_resubmit || takes_over)
    }
}

fn ask_sumsub(
    appliance: &Appliance,
    subject: &OrganizationId,
    kind: OrganizationType,
    known: &Known,
    door: &Door,
) -> Result<(Applicant, Begun), Failure> {
    let _permit = appliance.permits.take()?;
    let (sumsub, asked_at) = (&appliance.sumsub, (appliance.clock)());
    // A known applicant may have been deleted at Sumsub meanwhile. A token for its external id would
    // make another one, whose verdicts nobody here would heed.
    let alive = match &known.linked {
        Some((id, external)) => sumsub.read_applicant(id, external)?,
        None => None,
    };
    let applicant = if let Some(applicant) = alive {
        applicant
    } else {
        let found = sumsub.find_or_create_applicant(subject.as_str(), kind)?;
        link_at_once(appliance, subject, &found)?;
        found
    };
    if known.must_begin_anew(&applicant) && !is_news(appliance, subject, &applicant, asked_at)? {
        sumsub.reset(&applicant.id)?;
    }
    let access_token = sumsub.access_token(&applicant.external_user_id, kind)?;
    let url = match door {
        Door::Handoff(handoff, token) => handoff.url(token),
        Door::Sumsub => sumsub.websdk_link(&applicant.external_user_id, kind)?,
        Door::Open(_) => String::new(),
    };
    Ok((applicant, Begun { access_token, url }))
}

/// Whether an applicant was closed by a verdict that no webhook has told yet, which then counts as if
/// one had: what the customer has handed in meanwhile must not be thrown away.
fn is_news(
    appliance: &Appliance,
    subject: &OrganizationId,
    applicant: &Applicant,
    asked_at: Timestamp,
) -> Result<bool, Failure> {
    let Some(review) = applicant.review else { return Ok(false) };
    let question = Question {
        organization: subject.clone(),
        applicant_id: applicant.id.clone(),
        external_user_id: applicant.external_user_id.clone(),
    };
    // One that asks for a new submission, too, leaves the applicant to be opened again.
    let found = apply(appliance, question, review, asked_at)?;
    Ok(matches!(found, Some(FindingKind::Drift { to, .. }) if to != Status::ResubmissionRequired))
}

/// Links an applicant before the session goes on: should it fail, an import that has lost its answer
/// must not take this applicant for its own.
fn link_at_once(
    appliance: &Appliance,
    subject: &OrganizationId,
    applicant: &Applicant,
) -> Result<(), Failure> {
    let (subject, now) = (subject.clone(), (appliance.clock)());
    let (id, external) = (applicant.id.clone(), applicant.external_user_id.clone());
    appliance.store.write(move |tx| Ok(tx.link_applicant(&subject, &id, &external, now)?))
}

/// An applicant that a session or an import brings.
pub(super) struct Arrival {
    pub(super) event: Event,
    pub(super) applicant: Applicant,
    pub(super) begun_at: Timestamp,
    pub(super) cause: Cause,
}

/// Records an arrival, and picks up what Sumsub has already said of the applicant.
pub(super) fn record_arrival(
    tx: &Tx<'_>,
    rules: &Rules,
    subject: &OrganizationId,
    arrival: &Arrival,
    now: Timestamp,
) -> Result<crate::store::Recorded, Failure> {
    let Applicant { id, external_user_id, .. } = &arrival.applicant;
    tx.link_applicant(subject, id, external_user_id, now)?;
    // Whoever bears the id of another organization of ours is that one's, linked already or not.
    let named = OrganizationId::new(external_user_id.as_str());
    let is_anothers = named != *subject && tx.organization(&named)?.is_some();
    if is_anothers || tx.organization_of_applicant(id)?.as_ref() != Some(subject) {
        return Err(Failure::Provider(crate::sumsub::SumsubError::Applicant(
            "it belongs to another organization".to_owned(),
        )));
    }
    let fact = NewFact {
        event: arrival.event,
        happened_at: now,
        applicant_id: Some(id.clone()),
        begun_at: Some(arrival.begun_at),
        valid_days: 0,
        cause: arrival.cause.clone(),
    };
    let recorded = tx.record(subject, &fact, now)?;
    adopt(tx, rules, id, now)?;
    Ok(recorded)
}
