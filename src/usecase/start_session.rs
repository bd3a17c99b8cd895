//! A verification session: the same Sumsub applicant every time, a fresh token and link.
//!
//! Asks the table, then Sumsub (no transaction is open meanwhile), then the table and the gate again in
//! the commit that records the fact: what changed in between decides.

use std::net::IpAddr;

use crate::domain::authorization::{Acting, AuthorizationStatus, Refusal};
use crate::domain::fold::{Verification, placed};
use crate::domain::organization::{OrganizationId, OrganizationType};
use crate::domain::timekeeper::Moment;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Acceptance, DecidedBy, Named};
use crate::domain::verification::{Event, State, Status, Step, step};
use crate::store::{Cause, DatedBy, NewFact, Question, Reader, Tx};
use crate::sumsub::{AccessToken, Applicant};
use crate::usecase::authenticate::Admission;
use crate::usecase::authorizations::By;
use crate::usecase::handoff_links::LinkMaker;
use crate::usecase::open_link::Course;
use crate::usecase::receive_webhook::{Applying, adopt};
use crate::usecase::reconcile::{Asked, FindingKind, apply};
use crate::usecase::{Appliance, Failure};

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
/// `asked_from` is the caller's address, if there is one: it is recorded with that page's link.
pub fn start_session(
    appliance: &Appliance,
    acting: &Acting,
    by: (Cause, Admission),
    asked_from: Option<IpAddr>,
) -> Result<Session, Failure> {
    let has_pages = appliance.handoff.is_some();
    let maker =
        if has_pages && is_unsigned(appliance, acting)? { LinkMaker::of(appliance) } else { None };
    let door = maker.map_or(Door::Sumsub, |maker| Door::Handoff { maker, asked_from });
    let Begun { access_token, url } = begin(appliance, acting, by, door)?;
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
    /// Ours, by the LOA's link.
    Handoff { maker: LinkMaker, asked_from: Option<IpAddr> },
    /// Sumsub's hosted one.
    Sumsub,
    /// None: the customer is on our page already, by the link whose token has this hash.
    Open([u8; 32]),
}

/// A session that has begun.
pub(super) struct Begun {
    pub(super) access_token: AccessToken,
    /// Empty without a door, and until the commit has found the LOA's link.
    pub(super) url: String,
}

/// Asks the table, Sumsub and the table again, and records the fact.
pub(super) fn begin(
    appliance: &Appliance,
    acting: &Acting,
    (cause, admission): (Cause, Admission),
    door: Door,
) -> Result<Begun, Failure> {
    let (broker, subject) = (acting.caller().clone(), acting.subject().clone());
    let asked_first = appliance.timekeeper.moment();
    let (kind, known) =
        appliance.store.snapshot(|register| look(*register, &subject, asked_first.at))?;
    let seen = known.current.clone();

    let permit = appliance.permits.take(Some(&broker))?;
    let (applicant, mut begun) = ask_sumsub(appliance, &subject, kind, &known, &door)?;
    drop(permit);

    let applying = Applying::by(appliance);
    appliance.store.write(move |tx| {
        let moment = applying.timekeeper.moment();
        let now = moment.at;
        admission.ask(**tx, applying.timekeeper.decision_instant())?;
        let state = tx.verification(&subject)?.ok_or(Failure::OrganizationNotFound)?;
        if step(state.state_at(now), Event::SessionStarted) == Step::Refused {
            return Err(Failure::VerificationRejected);
        }
        if state.applicant_id != seen && state.applicant_id.as_ref() != Some(&applicant.id) {
            // An import has taken over meanwhile. Its applicant decides; a session of it can be had.
            return Err(Failure::Busy);
        }
        let refused = || Failure::AuthorizationRequired(Refusal::NoLiveAuthorization);
        let live = tx.live_authorization(&subject, &broker)?;
        if live.is_none() && broker != subject {
            return Err(refused());
        }
        match (&door, live) {
            // Signed meanwhile: the link leads on to the verification.
            (Door::Handoff { maker, asked_from }, Some(live)) => {
                let by = By { actor: broker.as_str().to_owned(), request_id: request_of(&cause) };
                let (link, url) = maker.link_to(tx, &live, by, moment.known_at)?;
                let asked_from = asked_from.map(|it| it.to_canonical().to_string());
                tx.record_asked_from(&link.id, asked_from.as_deref())?;
                begun.url = url;
            }
            // The LOA that is live now may be another one than the link's.
            (Door::Open(link), _) => {
                if !opens_verification(tx, link, now)? {
                    return Err(refused());
                }
            }
            (Door::Handoff { .. }, None) | (Door::Sumsub, _) => {}
        }
        if is_repeated(tx, &subject, &state, &applicant, now)? {
            return Ok(begun);
        }
        // Sumsub has answered since, so that its time is known now, if it was not then.
        let took_ms = moment.uptime_ms.saturating_sub(asked_first.uptime_ms);
        let begun_at = now.plus_ms(took_ms.saturating_neg());
        let asked_for = applying.rules.acceptance.level_asked_for(kind).map(ToOwned::to_owned);
        let event = Event::SessionStarted;
        let arrival =
            Arrival { event, applicant, level: asked_for, begun_at: Some(begun_at), cause };
        record_arrival(tx, &applying, &subject, &arrival, &moment)?;
        Ok(begun)
    })
}

/// What the register knows before Sumsub is asked, if a session may begin.
fn look(
    register: Reader<'_>,
    subject: &OrganizationId,
    now: Timestamp,
) -> Result<(OrganizationType, Known), Failure> {
    let organization = register.organization(subject)?.ok_or(Failure::OrganizationNotFound)?;
    let verification = register.verification(subject)?.ok_or(Failure::OrganizationNotFound)?;
    let state = verification.state_at(now);
    if step(state, Event::SessionStarted) == Step::Refused {
        return Err(Failure::VerificationRejected);
    }
    // One that is linked can be read at Sumsub; another is looked for by its external id.
    let linked = match &verification.applicant_id {
        None => None,
        Some(id) => register.external_user_id(id)?.map(|external| (id.clone(), external)),
    };
    let facts = register.facts(subject)?;
    let audit_links = facts.iter().filter(|it| it.fact.is_audit_link());
    let known = Known {
        linked,
        state,
        is_imported: facts.iter().any(|it| {
            it.fact.event == Event::ImportAccepted
                && !it.fact.is_audit_link()
                && it.fact.applicant_id == verification.applicant_id
        }),
        audit_links: audit_links.filter_map(|it| it.fact.applicant_id.clone()).collect(),
        current: verification.applicant_id,
    };
    Ok((organization.kind, known))
}

/// Whether the link whose token has this hash still leads to the verification.
fn opens_verification(tx: &Tx<'_>, link: &[u8; 32], now: Timestamp) -> Result<bool, Failure> {
    let Some(link) = tx.handoff_link(link)? else { return Ok(false) };
    let authorization = tx.authorization(link.authorization_id)?;
    let signature = tx.signature(authorization.id)?;
    let course = Course::of(**tx, &authorization.granting)?;
    let (stage, _) = course.stage(&link, &authorization, signature.as_ref(), now);
    Ok(stage.opens_verification())
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
    let facts = tx.bare_facts(subject)?;
    let last = placed(&facts).iter().rfind(|it| it.event != Event::ClockCorrected).cloned();
    Ok(last.is_some_and(|it| {
        it.event == Event::SessionStarted
            && it.applicant_id.as_ref() == Some(&applicant.id)
            && now < it.happened_at.plus_ms(REPEATED_MS)
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
    /// How the verification stands. `RESUBMISSION_REQUIRED` asks for a new submission, also where Sumsub
    /// does not know: an approval expired, an operator reopened.
    state: State,
    /// Whether an import brought it: it stays at the level that it came with.
    is_imported: bool,
    /// Applicants of imports whose right had ended: their verdicts are not this customer's.
    audit_links: Vec<String>,
}

/// What has to be done at Sumsub before its applicant can be handed over to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// Nothing.
    Open,
    /// Sumsub has closed it: it must be opened again, or the customer would stand before a closed door
    /// and no verdict would ever come. Or it holds what an import without a right has brought, and a
    /// verdict on that would be taken for one on this customer.
    Reset,
    /// It is at a level whose approval would not count: it must be moved to ours.
    Move,
}

impl Known {
    fn opening(
        &self,
        applicant: &Applicant,
        kind: OrganizationType,
        acceptance: &Acceptance,
    ) -> Opening {
        let is_audit_link = self.current.as_ref() != Some(&applicant.id)
            && self.audit_links.contains(&applicant.id);
        let takes_over =
            self.current.as_ref().is_some_and(|it| *it != applicant.id) || is_audit_link;
        let counts = match &applicant.level {
            Named::As(level) => acceptance.levels(kind).contains(level),
            Named::Not | Named::Unreadably => true,
        };
        let is_astray = !counts && !self.is_imported && acceptance.decided_by == DecidedBy::Level;
        if self.state != State::ResubmissionRequired && !takes_over {
            Opening::Open
        } else if is_astray {
            Opening::Move
        } else if applicant.is_settled || is_audit_link {
            Opening::Reset
        } else {
            Opening::Open
        }
    }
}

fn ask_sumsub(
    appliance: &Appliance,
    subject: &OrganizationId,
    kind: OrganizationType,
    known: &Known,
    door: &Door,
) -> Result<(Applicant, Begun), Failure> {
    let (sumsub, asked) = (&appliance.sumsub, Asked::now(appliance, subject)?);
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
    let opening = known.opening(&applicant, kind, &appliance.rules.acceptance);
    if opening != Opening::Open && !is_news(appliance, subject, &applicant, asked)? {
        match opening {
            Opening::Open => {}
            Opening::Reset => sumsub.reset(&applicant.id)?,
            Opening::Move => sumsub.move_to_level(&applicant.id, kind)?,
        }
    }
    let access_token = sumsub.access_token(&applicant.external_user_id, kind)?;
    let url = match door {
        Door::Sumsub => sumsub.websdk_link(&applicant.external_user_id, kind)?,
        // Which link it is, the commit decides.
        Door::Handoff { .. } | Door::Open(_) => String::new(),
    };
    Ok((applicant, Begun { access_token, url }))
}

/// Whether an applicant was closed by a verdict that no webhook has told yet, which then counts as if
/// one had: what the customer has handed in meanwhile must not be thrown away.
fn is_news(
    appliance: &Appliance,
    subject: &OrganizationId,
    applicant: &Applicant,
    asked: Asked,
) -> Result<bool, Failure> {
    let question = Question {
        organization: subject.clone(),
        applicant_id: applicant.id.clone(),
        external_user_id: applicant.external_user_id.clone(),
    };
    // One that asks for a new submission, too, leaves the applicant to be opened again.
    let found = apply(appliance, question, applicant.clone(), asked)?;
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
    /// The level that was asked for, or that the copy of an applicant has.
    pub(super) level: Option<String>,
    /// When Sumsub was first asked; `None`: the applicant is linked for audit only.
    pub(super) begun_at: Option<Timestamp>,
    pub(super) cause: Cause,
}

/// Records an arrival, and picks up what Sumsub has already said of the applicant.
pub(super) fn record_arrival(
    tx: &Tx<'_>,
    applying: &Applying,
    subject: &OrganizationId,
    arrival: &Arrival,
    now: &Moment,
) -> Result<crate::store::Recorded, Failure> {
    let Applicant { id, external_user_id, .. } = &arrival.applicant;
    tx.link_applicant(subject, id, external_user_id, now.at)?;
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
        happened_at: now.at,
        applicant_id: Some(id.clone()),
        begun_at: arrival.begun_at,
        valid_days: 0,
        level: arrival.level.clone(),
        basis: None,
        dated_by: DatedBy::Us,
        cause: arrival.cause.clone(),
    };
    let recorded = tx.record(subject, &fact, now)?;
    adopt(tx, applying, id)?;
    Ok(recorded)
}
