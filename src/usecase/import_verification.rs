//! Import: a partner's share token becomes an applicant of ours.
//!
//! A share token is spent by being sent, so it is sent last, after every check that could refuse,
//! and once. Before it leaves, its SHA-256 is committed: if the answer is lost (a timeout, a crash),
//! the same token again finds what Sumsub made of it instead of being called a bad token.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::domain::authorization::Acting;
use crate::domain::fold::Standing;
use crate::domain::organization::{OrganizationId, OrganizationType};
use crate::domain::verification::{Event, Status, Step, step};
use crate::store::{Cause, ImportAttempt, Recorded, StoreError};
use crate::sumsub::{Applicant, ImportAnswer, SumsubError};
use crate::usecase::start_session::{Arrival, record_arrival};
use crate::usecase::{Also, Appliance, Failure, nothing_else};

/// The most characters of a share token (contract §4; Sumsub says at most 1 KB).
pub const SHARE_TOKEN_CHARACTERS_MAX: usize = 1024;

/// A share token: 1 to 1024 characters, none of them a space or a control character. Never printed.
#[derive(Clone)]
pub struct ShareToken(String);

impl ShareToken {
    /// Checks a token's form, and nothing else: it is opaque.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=SHARE_TOKEN_CHARACTERS_MAX).contains(&text.chars().count())
            && !text.chars().any(|it| it.is_whitespace() || it.is_control());
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for ShareToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareToken(…)")
    }
}

/// Imports a verification for `acting`'s subject. Answers how the verification stood right after
/// the import: PENDING also if the donor is green, because only the webhook decides; unchanged
/// where it was APPROVED or `ON_HOLD`.
pub fn import_verification(
    appliance: &Appliance,
    acting: &Acting,
    token: &ShareToken,
    cause: Cause,
) -> Result<Standing, Failure> {
    import_verification_and(appliance, acting, token, cause, nothing_else())
}

/// As [`import_verification`], with something else in the commit that records it.
pub fn import_verification_and(
    appliance: &Appliance,
    acting: &Acting,
    token: &ShareToken,
    cause: Cause,
    also: Also<Standing>,
) -> Result<Standing, Failure> {
    let subject = acting.subject().clone();
    let now = (appliance.clock)();
    appliance.store.snapshot(|register| {
        let organization = register.organization(&subject)?.ok_or(Failure::OrganizationNotFound)?;
        if organization.kind == OrganizationType::Business {
            return Err(Failure::ImportUnsupported);
        }
        let verification = register.verification(&subject)?.ok_or(Failure::OrganizationNotFound)?;
        match step(verification.state_at(now), Event::ImportAccepted) {
            Step::Refused => Err(Failure::VerificationRejected),
            Step::To(_) | Step::Stay | Step::Renew | Step::Outranked => Ok(()),
        }
    })?;
    let permit = appliance.permits.take()?;
    let sha256: [u8; 32] = Sha256::digest(token.0.as_bytes()).into();
    let of = subject.clone();
    let attempt = appliance.store.write(move |tx| tx.begin_import(&of, &sha256, now))?;
    let begun_at = match attempt {
        ImportAttempt::First => now,
        ImportAttempt::Resumed { begun_at } => begun_at,
    };

    let answer = ask_sumsub(appliance, &subject, token, attempt);
    drop(permit);

    let clock = Arc::clone(&appliance.clock);
    let applicant = match answer {
        Ok(applicant) => applicant,
        Err(failure) => {
            if is_final(&failure) {
                appliance.store.write(move |tx| tx.end_import(&subject, &sha256, clock()))?;
            }
            return Err(failure);
        }
    };
    let rules = appliance.rules.clone();
    appliance.store.write(move |tx| {
        let now = clock();
        tx.end_import(&subject, &sha256, now)?;
        let verification =
            tx.verification(&subject)?.ok_or(StoreError::Corrupt("verification"))?;
        let is_refused =
            step(verification.state_at(now), Event::ImportAccepted) == Step::Refused;
        let arrival = Arrival { event: Event::ImportAccepted, applicant, begun_at, cause };
        let recorded = record_arrival(tx, &rules, &subject, &arrival, now)?;
        let standing = standing_right_after(&recorded, &arrival.applicant);
        if is_refused {
            return Ok(None);
        }
        also(tx, &standing)?;
        Ok::<_, Failure>(Some(standing))
    })?
    // Rejected while Sumsub was asked: the applicant is linked for audit, and the answer is the
    // one that every other import of a rejected customer gets.
    .ok_or(Failure::VerificationRejected)
}

/// PENDING even if the verdict on this very applicant has overtaken our commit: there is no
/// synchronous APPROVED (contract §6). The next poll tells what the fold says.
fn standing_right_after(recorded: &Recorded, imported: &Applicant) -> Standing {
    let before = recorded.before.at(recorded.known_at);
    let is_overtaken = recorded.before.applicant_id.as_ref() == Some(&imported.id);
    match before.status {
        Status::Approved | Status::OnHold if !is_overtaken => before,
        Status::Pending | Status::Rejected => before,
        Status::Approved | Status::OnHold | Status::NotStarted | Status::ResubmissionRequired => {
            Standing {
                status: Status::Pending,
                updated_at: recorded.known_at,
                lapsed: before.lapsed,
            }
        }
    }
}

/// Whether Sumsub has said its last word on the token, so that a lost answer need not be looked for.
fn is_final(failure: &Failure) -> bool {
    matches!(failure, Failure::ShareTokenInvalid(_))
}

fn ask_sumsub(
    appliance: &Appliance,
    subject: &OrganizationId,
    token: &ShareToken,
    attempt: ImportAttempt,
) -> Result<Applicant, Failure> {
    let (sumsub, mode) = (&appliance.sumsub, appliance.rules.import_mode);
    let mut answer = sumsub.import(mode, &token.0, Some(subject.as_str()));
    if let Ok(ImportAnswer::ExternalIdTaken) = answer {
        // A session has made an applicant of that id before: the linked one gets an id of Sumsub's.
        answer = sumsub.import(mode, &token.0, None);
    }
    match answer {
        Ok(ImportAnswer::Imported(applicant)) => Ok(applicant),
        Ok(ImportAnswer::ExternalIdTaken) => {
            Err(SumsubError::Unreadable("conflict without an external id".to_owned()).into())
        }
        Err(SumsubError::ShareToken(reason)) if attempt != ImportAttempt::First => {
            lost_applicant(appliance, subject)?.ok_or(Failure::ShareTokenInvalid(reason))
        }
        Err(SumsubError::Outage(what)) => {
            lost_applicant(appliance, subject)?.ok_or(SumsubError::Outage(what).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The applicant that an import made whose answer we never got: it bears our external id, and we do
/// not know it yet.
fn lost_applicant(
    appliance: &Appliance,
    subject: &OrganizationId,
) -> Result<Option<Applicant>, Failure> {
    let Some(applicant) = appliance.sumsub.find_applicant(subject.as_str())? else {
        return Ok(None);
    };
    let is_known = appliance
        .store
        .read(|register| register.organization_of_applicant(&applicant.id))?
        .is_some();
    Ok((!is_known).then_some(applicant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_token_is_opaque_bounded_and_never_printed() {
        let token = ShareToken::parse("_act-sbx-jwt-abc.").unwrap();
        assert_eq!(format!("{token:?}"), "ShareToken(…)");
        assert!(ShareToken::parse(&"x".repeat(1024)).is_some());
        for refused in ["", " ", "a b", "a\nb", &"x".repeat(1025)] {
            assert!(ShareToken::parse(refused).is_none());
        }
    }

    #[test]
    fn only_sumsubs_word_on_the_token_ends_an_attempt() {
        let timeout = Failure::Provider(SumsubError::Outage(String::new()));
        assert!(!is_final(&timeout));
        assert!(is_final(&Failure::ShareTokenInvalid(String::new())));
    }
}
