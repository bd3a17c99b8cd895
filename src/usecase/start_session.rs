//! A verification session: the same Sumsub applicant every time, a fresh token and link.
//!
//! Asks the table, then Sumsub (no transaction is open meanwhile), then the table again in the
//! commit that records the fact: what changed in between decides.

use std::sync::Arc;

use crate::domain::authorization::Acting;
use crate::domain::organization::{OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, Step, step};
use crate::store::{Cause, NewFact, Tx};
use crate::sumsub::{AccessToken, Applicant};
use crate::usecase::receive_webhook::adopt;
use crate::usecase::{Appliance, Failure, Rules};

/// What the customer is handed over with.
#[derive(Clone, Debug)]
pub struct Session {
    /// Sumsub's hosted page.
    pub url: String,
    /// For the `WebSDK`.
    pub access_token: AccessToken,
}

/// Starts or resumes the verification of `acting`'s subject.
pub fn start_session(
    appliance: &Appliance,
    acting: &Acting,
    cause: Cause,
) -> Result<Session, Failure> {
    let subject = acting.subject().clone();
    let begun_at = (appliance.clock)();
    let (kind, known) = appliance.store.snapshot(|register| {
        let organization = register.organization(&subject)?.ok_or(Failure::OrganizationNotFound)?;
        let verification = register.verification(&subject)?.ok_or(Failure::OrganizationNotFound)?;
        if step(verification.state_at(begun_at), Event::SessionStarted) == Step::Refused {
            return Err(Failure::VerificationRejected);
        }
        let known = match verification.applicant_id {
            None => None,
            Some(id) => register
                .external_user_id(&id)?
                .map(|external_user_id| Applicant { id, external_user_id }),
        };
        Ok((organization.kind, known))
    })?;

    let (applicant, session) = ask_sumsub(appliance, &subject, kind, known)?;

    let (clock, rules) = (Arc::clone(&appliance.clock), appliance.rules.clone());
    appliance.store.write(move |tx| {
        let state = tx.verification(&subject)?.ok_or(Failure::OrganizationNotFound)?;
        if step(state.state_at(clock()), Event::SessionStarted) == Step::Refused {
            return Err(Failure::VerificationRejected);
        }
        let arrival = Arrival { event: Event::SessionStarted, applicant, begun_at, cause };
        record_arrival(tx, &rules, &subject, &arrival, clock())?;
        Ok(session)
    })
}

fn ask_sumsub(
    appliance: &Appliance,
    subject: &OrganizationId,
    kind: OrganizationType,
    known: Option<Applicant>,
) -> Result<(Applicant, Session), Failure> {
    let _permit = appliance.permits.take()?;
    let sumsub = &appliance.sumsub;
    // A known applicant may have been deleted at Sumsub meanwhile. A token for its external id would
    // make another one, whose verdicts nobody here would heed.
    let alive = match known {
        Some(applicant) => sumsub.read_applicant(&applicant.id)?,
        None => None,
    };
    let applicant = match alive {
        Some(applicant) => applicant,
        None => sumsub.find_or_create_applicant(subject.as_str(), kind)?,
    };
    let access_token = sumsub.access_token(&applicant.external_user_id, kind)?;
    let url = sumsub.websdk_link(&applicant.external_user_id, kind)?;
    Ok((applicant, Session { url, access_token }))
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
    let Applicant { id, external_user_id } = &arrival.applicant;
    tx.link_applicant(subject, id, external_user_id, now)?;
    if tx.organization_of_applicant(id)?.as_ref() != Some(subject) {
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
