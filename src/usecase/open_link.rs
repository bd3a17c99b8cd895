//! What a hand-off link shows: a read, which spends nothing and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::authorization::Authorization;
use crate::domain::fold::{Fact, Verification};
use crate::domain::handoff::{LetterSigned, LinkStanding, Progress, Stage, stage};
use crate::domain::letter::{Day, LetterTemplate};
use crate::domain::organization::{Organization, OrganizationId};
use crate::domain::timestamp::Timestamp;
use crate::store::{HandoffLink, Reader, RecordedSignature, WatchEnd, Woken};
use crate::usecase::handoff_links::{Handoff, LinkToken};
use crate::usecase::sign_letter::Letter;
use crate::usecase::waits::Waits;
use crate::usecase::{Appliance, Failure};

/// Everything that a hand-off page may show.
#[derive(Clone, Debug)]
pub struct Sitting {
    /// The link.
    pub link: HandoffLink,
    /// Who grants.
    pub customer: Organization,
    /// Who is authorized.
    pub broker: Organization,
    /// The LOA.
    pub authorization: Authorization,
    /// Its signature.
    pub signature: Option<RecordedSignature>,
    /// How the verification goes.
    pub progress: Progress,
    /// Where the customer stands.
    pub stage: Stage,
    /// The letter as it would be signed today.
    pub letter: Letter,
    /// What it was composed from: a reload may have put another one in force since.
    pub template: Arc<LetterTemplate>,
}

/// Reads a link's sitting; `None`: there is no such link.
pub fn open_link(appliance: &Appliance, token: &LinkToken) -> Result<Option<Sitting>, Failure> {
    let Some(handoff) = &appliance.handoff else { return Ok(None) };
    let now = (appliance.clock)();
    appliance.store.snapshot(|register| sitting(*register, handoff, token, now))
}

/// Reads a link's sitting as soon as its stage is another one than `known`, or after `at_most`; at
/// once, if its broker's customers have no place among the waiting. Holds neither lock nor connection
/// meanwhile.
pub fn await_stage(
    appliance: &Appliance,
    token: &LinkToken,
    (known, at_most): (&str, Duration),
    waits: &Waits,
) -> Result<Option<Sitting>, Failure> {
    let Some(first) = open_link(appliance, token)? else { return Ok(None) };
    if first.stage.as_str() != known {
        return Ok(Some(first));
    }
    let end = WatchEnd::default();
    let Some(_place) = waits.take(&first.broker.id, end.clone()) else { return Ok(Some(first)) };
    let mut watch = appliance.store.changes().watch_ended_by(&first.customer.id, at_most, &end);
    loop {
        // Read after the watch began, so that no change falls between.
        let Some(sitting) = open_link(appliance, token)? else { return Ok(None) };
        if sitting.stage.as_str() != known {
            return Ok(Some(sitting));
        }
        if watch.wait(None) == Woken::Over {
            // What is true now: a link or an approval may have ended by time alone.
            return open_link(appliance, token);
        }
    }
}

/// The same in a transaction of the caller's.
pub(super) fn sitting(
    register: Reader<'_>,
    handoff: &Handoff,
    token: &LinkToken,
    now: Timestamp,
) -> Result<Option<Sitting>, Failure> {
    let Some(link) = register.handoff_link(&token.sha256())? else { return Ok(None) };
    let authorization = register.authorization(link.authorization_id)?;
    let organization = |id| register.organization(id)?.ok_or(Failure::OrganizationNotFound);
    let customer = organization(&authorization.granting)?;
    let broker = organization(&authorization.authorized)?;
    let signature = register.signature(authorization.id)?;
    let course = Course::of(register, &customer.id)?;
    let (stage, progress) = course.stage(&link, &authorization, signature.as_ref(), now);
    let template = handoff.letter.get();
    Ok(Some(Sitting {
        stage,
        letter: Letter::of(&template, &customer, &broker, Day::of(now)),
        template,
        signature,
        progress,
        link,
        customer,
        broker,
        authorization,
    }))
}

/// The verification that an LOA's links lead to.
pub(super) struct Course {
    verification: Verification,
    facts: Vec<Fact>,
}

impl Course {
    /// Reads the customer's.
    pub(super) fn of(register: Reader<'_>, customer: &OrganizationId) -> Result<Self, Failure> {
        let verification = register.verification(customer)?.ok_or(Failure::OrganizationNotFound)?;
        Ok(Self { verification, facts: register.bare_facts(customer)? })
    }

    /// Where a link leads at `now`.
    pub(super) fn stage(
        &self,
        link: &HandoffLink,
        authorization: &Authorization,
        signature: Option<&RecordedSignature>,
        now: Timestamp,
    ) -> (Stage, Progress) {
        let signed = signature.map(|it| LetterSigned {
            at: it.known_at,
            by_this_link: it.evidence.as_ref().is_some_and(|it| it.link_id == link.id),
        });
        let standing = LinkStanding::of(link.revoked_at, link.expires_at, signed, now);
        let progress = Progress::of(&self.verification, &self.facts, link.created_at, now);
        (stage(standing, authorization.status, progress), progress)
    }
}
