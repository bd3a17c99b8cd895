//! Import: a partner's share token becomes an applicant of ours.
//!
//! A share token is spent by being sent, so it is sent last, after every check that could refuse,
//! and once. Before it leaves, its SHA-256 is committed: if the answer is lost (a timeout, a crash),
//! the same token again finds what Sumsub made of it instead of being called a bad token.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::domain::authorization::Acting;
use crate::domain::fold::{CLOCK_SKEW_MS, Standing};
use crate::domain::organization::{OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::Named;
use crate::domain::verification::{Event, Status, Step, step};
use crate::store::{Cause, ImportAttempt, Recorded, StoreError};
use crate::sumsub::{Applicant, ImportAnswer, ImportMode, SumsubError};
use crate::usecase::authenticate::Admission;
use crate::usecase::receive_webhook::Applying;
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
    let permit = appliance.permits.take(Some(acting.caller()))?;
    let sha256: [u8; 32] = Sha256::digest(token.0.as_bytes()).into();
    let (attempt, begun_at) = begin(appliance, &subject, &sha256, also.admission.clone())?;
    let answer = ask_sumsub(appliance, &subject, token, (&sha256, attempt, begun_at));
    drop(permit);

    let (clock, applying) = (Arc::clone(&appliance.clock), Applying::by(appliance));
    let applicant = match answer {
        Ok(applicant) => applicant,
        Err(failure) => {
            if is_final(&failure) {
                appliance.store.write(move |tx| tx.end_import(&subject, &sha256, clock()))?;
            }
            return Err(failure);
        }
    };
    let level = level_of(appliance, &applicant);
    appliance.store.write(move |tx| {
        let now = applying.timekeeper.moment();
        tx.end_import(&subject, &sha256, now.at)?;
        // The token is spent, whatever has ended meanwhile: the applicant is linked, for audit at least.
        let refusal = match also.admission.ask(**tx, applying.timekeeper.decision_instant()) {
            Ok(_) => None,
            Err(refusal) if refusal.is_of_gate() => Some(refusal),
            Err(failure) => return Err(failure),
        };
        let verification = tx.verification(&subject)?.ok_or(StoreError::Corrupt("verification"))?;
        let is_refused =
            step(verification.state_at(now.at), Event::ImportAccepted) == Step::Refused;
        let (level, begun_at) = (Some(level), refusal.is_none().then_some(begun_at));
        let arrival = Arrival { event: Event::ImportAccepted, applicant, level, begun_at, cause };
        let recorded = record_arrival(tx, &applying, &subject, &arrival, &now)?;
        let standing = standing_right_after(&recorded, &arrival.applicant);
        if let Some(refusal) = refusal.or(is_refused.then_some(Failure::VerificationRejected)) {
            return Ok(Err(refusal));
        }
        also.finish(tx, &standing)?;
        Ok::<_, Failure>(Ok(standing))
    })?
}

/// Notes that the token is about to be sent, unless the right to send it has ended; and since when it
/// is on its way.
fn begin(
    appliance: &Appliance,
    subject: &OrganizationId,
    sha256: &[u8; 32],
    admission: Admission,
) -> Result<(ImportAttempt, Timestamp), Failure> {
    // What is compared with Sumsub's instants must not be dated by a clock that may be wrong. Where
    // Sumsub does not answer, the import fails by itself.
    if appliance.timekeeper.measured().is_none() {
        drop(appliance.sumsub.ask_the_time());
    }
    let (of, sha256) = (subject.clone(), *sha256);
    let timekeeper = Arc::clone(&appliance.timekeeper);
    appliance.store.write(move |tx| {
        admission.ask(**tx, timekeeper.decision_instant())?;
        let now = timekeeper.moment().at;
        let attempt = tx.begin_import(&of, &sha256, now)?;
        let begun_at = match attempt {
            ImportAttempt::First => now,
            ImportAttempt::Resumed { begun_at } => begun_at,
        };
        Ok((attempt, begun_at))
    })
}

/// The level of an imported applicant: the one that was asked for, or the one that the copy has, by
/// Sumsub's answer or, where it names none, by the applicant. Empty: Sumsub names none.
fn level_of(appliance: &Appliance, applicant: &Applicant) -> String {
    let rules = &appliance.rules;
    let asked_for = rules.acceptance.level_asked_for(OrganizationType::Individual);
    let named = |it: &Applicant| it.level.value().cloned();
    match (rules.import_mode, &applicant.level) {
        (ImportMode::Reuse, _) => asked_for.unwrap_or_default().to_owned(),
        (ImportMode::Copy, Named::As(level)) => level.clone(),
        (ImportMode::Copy, Named::Unreadably) => String::new(),
        (ImportMode::Copy, Named::Not) => {
            let external = &applicant.external_user_id;
            // The token is spent: what is not known keeps the approval out, and not the import.
            let read = appliance.sumsub.read_applicant(&applicant.id, external).ok().flatten();
            read.as_ref().and_then(named).unwrap_or_default()
        }
    }
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

/// The external ids that an import may give its applicant: ours, and, where a session has taken that
/// one, another that only this token leads to.
fn external_ids(subject: &OrganizationId, sha256: &[u8; 32]) -> [String; 2] {
    let of_token =
        sha256.iter().take(8).fold(format!("{subject}-"), |id, byte| format!("{id}{byte:02x}"));
    [subject.as_str().to_owned(), of_token]
}

fn ask_sumsub(
    appliance: &Appliance,
    subject: &OrganizationId,
    token: &ShareToken,
    (sha256, attempt, begun_at): (&[u8; 32], ImportAttempt, Timestamp),
) -> Result<Applicant, Failure> {
    let (sumsub, mode) = (&appliance.sumsub, appliance.rules.import_mode);
    let ids = external_ids(subject, sha256);
    let [own, of_token] = &ids;
    let mut answer = sumsub.import(mode, &token.0, Some(own));
    if let Ok(ImportAnswer::ExternalIdTaken) = answer {
        answer = sumsub.import(mode, &token.0, Some(of_token));
    }
    let lost = || lost_applicant(appliance, &ids, begun_at);
    match answer {
        Ok(ImportAnswer::Imported(applicant)) => Ok(applicant),
        // Both are taken: the second one can only be by an import of this very token.
        Ok(ImportAnswer::ExternalIdTaken) => lost()?.ok_or_else(|| {
            SumsubError::Unreadable("conflict without an applicant".to_owned()).into()
        }),
        Err(SumsubError::ShareToken(reason)) if attempt != ImportAttempt::First => {
            lost()?.ok_or(Failure::ShareTokenInvalid(reason))
        }
        Err(SumsubError::Outage(what)) => lost()?.ok_or(SumsubError::Outage(what).into()),
        Err(error) => Err(error.into()),
    }
}

/// The applicant that an import made whose answer we never got. One that bears the token's own id is
/// it; one that bears the organization's is it only if it was made since the import began, and
/// neither a session nor a webhook has made it known to us before.
fn lost_applicant(
    appliance: &Appliance,
    [own, of_token]: &[String; 2],
    begun_at: Timestamp,
) -> Result<Option<Applicant>, Failure> {
    if let Some(applicant) = appliance.sumsub.find_applicant(of_token)? {
        return Ok(Some(applicant));
    }
    let since = begun_at.plus_ms(-CLOCK_SKEW_MS);
    let found = appliance
        .sumsub
        .find_applicant(own)?
        .filter(|it| it.created_at.is_some_and(|created_at| since <= created_at));
    let Some(applicant) = found else { return Ok(None) };
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
