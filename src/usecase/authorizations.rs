//! Letters of Authorization: request, sign, revoke, list.

use std::sync::Arc;

use crate::domain::authorization::{Authorization, AuthorizationStatus, SIGNED_ON_PAGE};
use crate::domain::organization::OrganizationId;
use crate::domain::text;
use crate::domain::timestamp::Timestamp;
use crate::store::{AuthorizationFilter, AuthorizationNote, NewAuthorizationEvent};
use crate::usecase::decide::checked_reason;
use crate::usecase::{Also, Appliance, Failure, nothing_else};

/// The most characters of each word of a signature's evidence.
pub const EVIDENCE_CHARACTERS_MAX: usize = 200;

const DAY_MS: i64 = 86_400_000;
/// The easternmost zone is 14 hours ahead of UTC (Kiribati's Line Islands).
const FIRST_ZONE_MS: i64 = 14 * 3_600_000;

/// Who asks, and by which request.
#[derive(Clone, Debug)]
pub struct By {
    /// An organization's id, or `operator:<login>`.
    pub actor: String,
    /// The request.
    pub request_id: Option<String>,
}

/// The evidence of a signature.
#[derive(Clone, Debug)]
pub struct Signature {
    /// When it was signed, by the paper: not after now, or the midnight in UTC of a day that has begun
    /// somewhere.
    pub at: Timestamp,
    /// Who signed.
    pub signer_name: String,
    /// In which role.
    pub signer_role: String,
    /// How: `paper`, `e-signature`, ….
    pub how: String,
    /// Where the signed document is kept.
    pub reference: String,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// Issues a new PENDING LOA, for a customer that the broker created and that has no live one.
pub fn request_authorization(
    appliance: &Appliance,
    granting: &OrganizationId,
    authorized: &OrganizationId,
    by: By,
) -> Result<Authorization, Failure> {
    request_authorization_and(appliance, granting, authorized, by, nothing_else())
}

/// As [`request_authorization`], with something else in the same commit.
pub fn request_authorization_and(
    appliance: &Appliance,
    granting: &OrganizationId,
    authorized: &OrganizationId,
    by: By,
    also: Also<Authorization>,
) -> Result<Authorization, Failure> {
    let (granting, authorized) = (granting.clone(), authorized.clone());
    let timekeeper = Arc::clone(&appliance.timekeeper);
    appliance.commit(also, move |tx| {
        let customer = tx.organization(&granting)?.ok_or(Failure::OrganizationNotFound)?;
        if customer.created_by.as_ref() != Some(&authorized) {
            return Err(Failure::Forbidden(
                "a Letter of Authorization can be requested only of a customer that the requesting \
                 organization created",
            ));
        }
        if tx.live_authorization(&granting, &authorized)?.is_some() {
            return Err(Failure::AuthorizationExists);
        }
        let note = note(&by, timekeeper.moment().known_at);
        Ok(tx.issue_authorization(&granting, &authorized, &note)?)
    })
}

/// Records that the granter signed the PENDING LOA.
pub fn sign_authorization(
    appliance: &Appliance,
    granting: &OrganizationId,
    authorized: &OrganizationId,
    signature: &Signature,
    by: By,
) -> Result<Authorization, Failure> {
    let now = (appliance.clock)();
    if signature.at > now && !is_day_begun(signature.at, now) {
        return Err(ahead(signature.at, now));
    }
    if signature.how.trim() == SIGNED_ON_PAGE {
        let why = format!("only the page itself records a signature on the {SIGNED_ON_PAGE}");
        return Err(Failure::Invalid(why));
    }
    let event = NewAuthorizationEvent::Signed {
        at: signature.at,
        signer_name: evidence("signer's name", &signature.signer_name)?,
        signer_role: evidence("signer's role", &signature.signer_role)?,
        how: evidence("way of signing", &signature.how)?,
        reference: evidence("reference", &signature.reference)?,
        evidence: None,
    };
    let (granting, authorized) = (granting.clone(), authorized.clone());
    appliance.store.write(move |tx| {
        let live =
            tx.live_authorization(&granting, &authorized)?.ok_or(Failure::AuthorizationNotFound)?;
        match live.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Active | AuthorizationStatus::Revoked => {
                return Err(Failure::AlreadySigned);
            }
        }
        Ok(tx.record_authorization(live.id, &event, &note(&by, now))?)
    })
}

/// The instant of a signature from its text: an RFC 3339 instant that is not ahead, or the date on the
/// paper, if that day has begun anywhere on Earth. `None`: it is neither.
pub fn signed_at(text: &str, now: Timestamp) -> Option<Result<Timestamp, Failure>> {
    let at = Timestamp::parse(text)?;
    let is_date = Timestamp::parse_date(text).is_some();
    let may_be = at <= now || (is_date && is_day_begun(at, now));
    Some(if may_be { Ok(at) } else { Err(ahead(at, now)) })
}

/// Whether `at` is the midnight that a date is kept as, and that date has begun where days begin first.
/// Kept as it is, it is shown as the date that was given; the gate asks when a signature became known,
/// so the LOA counts at once.
fn is_day_begun(at: Timestamp, now: Timestamp) -> bool {
    at.as_ms().checked_rem(DAY_MS) == Some(0) && at.plus_ms(-FIRST_ZONE_MS) <= now
}

fn ahead(at: Timestamp, now: Timestamp) -> Failure {
    Failure::Invalid(format!("a signature cannot be dated {at}, after now ({now})"))
}

/// Takes a live LOA back. A second time there is none.
pub fn revoke_authorization(
    appliance: &Appliance,
    granting: &OrganizationId,
    authorized: &OrganizationId,
    reason: Option<&str>,
    by: By,
) -> Result<Authorization, Failure> {
    revoke_authorization_and(appliance, (granting, authorized), reason, by, nothing_else())
}

/// As [`revoke_authorization`], with something else in the same commit.
pub fn revoke_authorization_and(
    appliance: &Appliance,
    (granting, authorized): (&OrganizationId, &OrganizationId),
    reason: Option<&str>,
    by: By,
    also: Also<Authorization>,
) -> Result<Authorization, Failure> {
    let reason = reason.map(checked_reason).transpose()?;
    let (granting, authorized) = (granting.clone(), authorized.clone());
    let timekeeper = Arc::clone(&appliance.timekeeper);
    appliance.commit(also, move |tx| {
        let live =
            tx.live_authorization(&granting, &authorized)?.ok_or(Failure::AuthorizationNotFound)?;
        let event = NewAuthorizationEvent::Revoked { reason };
        let note = note(&by, timekeeper.moment().known_at);
        Ok(tx.record_authorization(live.id, &event, &note)?)
    })
}

/// A page of LOAs, newest first, and the cursor of the next page if there is one. A cursor is good
/// for the parties of the LOA that it names, and for operators.
pub fn list_authorizations(
    appliance: &Appliance,
    filter: &AuthorizationFilter,
) -> Result<(Page<Authorization>, Option<String>), Failure> {
    let one_more = AuthorizationFilter { limit: filter.limit.saturating_add(1), ..filter.clone() };
    appliance.store.snapshot(|register| {
        let before = match &filter.after {
            None => None,
            Some(id) => Some(
                register
                    .authorization_number(id, filter.party.as_ref())?
                    .ok_or_else(not_of_this_list)?,
            ),
        };
        let page = page(register.authorizations(&one_more, before)?, filter.limit);
        let last = page.rows.last().filter(|_| page.has_more);
        let next = last.map(|it| register.authorization_public_id(it.id)).transpose()?;
        Ok((page, next))
    })
}

/// A cursor that names nothing that its bearer may see.
pub(super) fn not_of_this_list() -> Failure {
    Failure::Invalid("`cursor` must be a nextCursor of this list".to_owned())
}

/// Cuts what was read with one row more than asked for.
pub(crate) fn page<T>(mut rows: Vec<T>, limit: u32) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    Page { rows, has_more }
}

fn note(by: &By, now: Timestamp) -> AuthorizationNote {
    AuthorizationNote { actor: by.actor.clone(), request_id: by.request_id.clone(), now }
}

/// A word of a signature's evidence.
pub(super) fn evidence(what: &str, text: &str) -> Result<String, Failure> {
    text::name(text, EVIDENCE_CHARACTERS_MAX)
        .map(ToOwned::to_owned)
        .map_err(|objection| Failure::Invalid(format!("the {what} {objection}")))
}
