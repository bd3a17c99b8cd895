//! `/v1/organizations/verification` and its import.

use std::time::Duration;

use serde::Serialize;

use super::body::Fields;
use super::error::ApiError;
use super::{Call, json, query};
use crate::domain::authorization::Purpose;
use crate::domain::fold::Standing;
use crate::domain::organization::OrganizationType;
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::store::{Cause, WatchEnd, Woken};
use crate::usecase::import_verification::{
    SHARE_TOKEN_CHARACTERS_MAX, ShareToken, import_verification_and,
};
use crate::usecase::start_session::start_session;

/// The longest time that a client may wait for a change (contract §4).
const WAIT_S_MAX: u64 = 60;

/// The poll: one read, never a call to Sumsub. With `Prefer: wait=N` and an `If-None-Match` that
/// still fits, the answer comes when it no longer does, or after N seconds as 304.
pub(super) fn show(call: &Call<'_>) -> Result<Response, ApiError> {
    let Some(known) = call.request.header("if-none-match") else { return poll(call, call.now) };
    let first = poll(call, call.now)?;
    if !is_known(&first, known) {
        return Ok(first);
    }
    let wait = call.request.header_values("prefer").find_map(wait_of);
    let (Some(wait_s), Some(caller)) = (wait, call.organization()) else {
        return Ok(not_modified(first));
    };
    let subject = call.on_behalf_of()?.unwrap_or_else(|| caller.clone());
    let end = WatchEnd::default();
    let Some(_place) = call.api.waits.take(&caller, end.clone()) else {
        return Ok(not_modified(first));
    };
    call.note("Preference-Applied", format!("wait={wait_s}"));
    let changes = call.appliance.store.changes();
    let mut watch = changes.watch_ended_by(&subject, Duration::from_secs(wait_s), &end);
    loop {
        // Read after the watch began, so that no change falls between; and all of it, because the
        // key or the LOA may have been revoked meanwhile.
        let now = call.appliance.timekeeper.decision_instant();
        let (answer, expires_at) = poll_with_expiry(call, now)?;
        if !is_known(&answer, known) {
            return Ok(answer);
        }
        let until_expiry = expires_at
            .map(|it| it.as_ms().saturating_sub(now.as_ms()))
            .and_then(|it| u64::try_from(it).ok())
            .map(Duration::from_millis);
        if watch.wait(until_expiry) == Woken::Over {
            let last = poll(call, call.appliance.timekeeper.decision_instant())?;
            return Ok(if is_known(&last, known) { not_modified(last) } else { last });
        }
    }
}

fn poll(call: &Call<'_>, now: Timestamp) -> Result<Response, ApiError> {
    poll_with_expiry(call, now).map(|(answer, _)| answer)
}

fn poll_with_expiry(
    call: &Call<'_>,
    now: Timestamp,
) -> Result<(Response, Option<Timestamp>), ApiError> {
    let subject = call.caller_at(Purpose::Verify, now)?.subject;
    query::none(call.request)?;
    let standing = subject.verification.at(now);
    let mut response = render(subject.kind, standing);
    response.headers.push(("ETag", etag(standing)));
    Ok((response, subject.verification.expires_at.filter(|it| now < *it)))
}

/// Another status or another change of it is another tag.
fn etag(standing: Standing) -> String {
    format!("\"{}-{:x}\"", standing.status.as_str(), standing.updated_at.as_ms())
}

/// Whether one of the tags of an `If-None-Match` is the answer's.
pub(super) fn is_known(answer: &Response, known: &str) -> bool {
    let tag = answer.headers.iter().find(|(name, _)| *name == "ETag").map(|(_, tag)| tag.as_str());
    known
        .split(',')
        .map(str::trim)
        .any(|it| it == "*" || Some(it.strip_prefix("W/").unwrap_or(it)) == tag)
}

pub(super) fn not_modified(mut answer: Response) -> Response {
    answer.status = 304;
    answer.headers.retain(|(name, _)| matches!(*name, "ETag" | "Cache-Control"));
    answer.body = Vec::new();
    answer
}

/// The seconds of `wait=N` in one `Prefer` header (RFC 7240), at most the longest wait.
fn wait_of(prefer: &str) -> Option<u64> {
    prefer
        .split(',')
        .filter_map(|it| it.split(';').next())
        .filter_map(|it| it.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, value)| value.trim().trim_matches('"').parse::<u64>().ok())
        .map(|it| it.min(WAIT_S_MAX))
        .filter(|it| *it > 0)
}

pub(super) fn start(call: &Call<'_>) -> Result<Response, ApiError> {
    let caller = call.caller(Purpose::Verify)?;
    query::none(call.request)?;
    Fields::none(call.request)?;
    let cause = Cause::Request(call.id.clone());
    call.holds_secret(call.appliance.sumsub.session_ttl_s())?;
    let asked_from = call.client_address();
    let session =
        start_session(call.appliance, &caller.acting, (cause, caller.admission), asked_from)?;
    Ok(json(&SessionBody {
        object: "verification_session",
        url: &session.url,
        access_token: session.access_token.expose(),
    }))
}

pub(super) fn import(call: &Call<'_>) -> Result<Response, ApiError> {
    let caller = call.caller(Purpose::Import)?;
    query::none(call.request)?;
    let mut fields = Fields::read(call.request)?;
    let token = fields.text("shareToken")?;
    fields.end()?;
    let token = ShareToken::parse(&token).ok_or_else(|| {
        ApiError::invalid(format!(
            "the field `shareToken` must have 1 to {SHARE_TOKEN_CHARACTERS_MAX} characters and no \
             spaces"
        ))
    })?;
    let cause = Cause::Request(call.id.clone());
    let kind = caller.subject.kind;
    let also = call.kept_in_commit(move |standing: &Standing| render(kind, *standing));
    let standing = import_verification_and(call.appliance, &caller.acting, &token, cause, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(render(kind, standing))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationBody {
    object: &'static str,
    status: &'static str,
    r#type: &'static str,
    updated_at: String,
}

fn render(kind: OrganizationType, standing: Standing) -> Response {
    json(&VerificationBody {
        object: "organization_verification",
        status: standing.status.as_str(),
        r#type: kind.as_str(),
        updated_at: standing.updated_at.to_string(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionBody<'a> {
    object: &'static str,
    url: &'a str,
    access_token: &'a str,
}
