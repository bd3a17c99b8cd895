//! `/v1/organizations/verification` and its import.

use serde::Serialize;

use super::body::Fields;
use super::error::ApiError;
use super::{Call, json};
use crate::domain::authorization::Purpose;
use crate::domain::fold::Standing;
use crate::domain::organization::OrganizationType;
use crate::http::Response;
use crate::store::Cause;
use crate::usecase::import_verification::{
    SHARE_TOKEN_CHARACTERS_MAX, ShareToken, import_verification,
};
use crate::usecase::start_session::start_session;

/// The poll: one read, never a call to Sumsub.
pub(super) fn show(call: &Call<'_>) -> Result<Response, ApiError> {
    let subject = call.caller(Purpose::Verify)?.subject;
    Ok(render(subject.kind, subject.verification.at(call.now)))
}

pub(super) fn start(call: &Call<'_>) -> Result<Response, ApiError> {
    let caller = call.caller(Purpose::Verify)?;
    Fields::none(call.request)?;
    let cause = Cause::Request(call.id.clone());
    let session = start_session(call.appliance, &caller.acting, cause)?;
    Ok(json(&SessionBody {
        object: "verification_session",
        url: &session.url,
        access_token: session.access_token.expose(),
    }))
}

pub(super) fn import(call: &Call<'_>) -> Result<Response, ApiError> {
    let caller = call.caller(Purpose::Import)?;
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
    let standing = import_verification(call.appliance, &caller.acting, &token, cause)?;
    Ok(render(caller.subject.kind, standing))
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
