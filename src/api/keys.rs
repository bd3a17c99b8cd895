//! `/v1/api-keys` [our extension]: several active keys, with scopes, expiry and rotation.

use serde::Serialize;

use super::body::Fields;
use super::error::ApiError;
use super::paging::ListBody;
use super::{Call, json, query};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::store::{ApiKey, Scopes};
use crate::usecase::Failure;
use crate::usecase::keys::{KeyText, NewKey, create_key_with, revoke_own_key, rotate_key};

/// How long a rotated key goes on working when nothing is said: a day.
const OVERLAP_S_DEFAULT: u32 = 86_400;

/// How long an answer with a key's text in it is given again to the same request, from memory only.
const KEY_TEXT_KEPT_S: u32 = 600;

pub(super) fn list(call: &Call<'_>) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    let keys = call
        .appliance
        .store
        .read(|register| register.api_keys(Some(&owner)))
        .map_err(Failure::from)?;
    Ok(json(&ListBody {
        object: "list",
        data: keys.iter().map(|it| KeyBody::of(it, None)).collect(),
        has_more: false,
        next_cursor: None,
    }))
}

pub(super) fn create(call: &Call<'_>) -> Result<Response, ApiError> {
    let owner = manager(call)?;
    query::none(call.request)?;
    let mut fields = Fields::read(call.request)?;
    let name = fields.text("name")?;
    let scopes =
        fields.optional_texts("scopes")?.map_or(Ok(Scopes::ReadWrite), |it| scopes_of(&it))?;
    let expires_at = fields
        .optional_text("expiresAt")?
        .map(|it| {
            Timestamp::parse(&it).ok_or_else(|| {
                ApiError::invalid("the field `expiresAt` must be an ISO 8601 instant")
            })
        })
        .transpose()?;
    fields.end()?;
    call.holds_token(KEY_TEXT_KEPT_S);
    let (key, text) =
        create_key_with(call.appliance, &owner, &NewKey { name, scopes, expires_at })?;
    Ok(json(&KeyBody::of(&key, Some(&text))))
}

pub(super) fn rotate(call: &Call<'_>, id: &str) -> Result<Response, ApiError> {
    let owner = manager(call)?;
    query::none(call.request)?;
    let mut fields = Fields::read_optional(call.request)?;
    let overlap_s = fields.optional_count("overlapSeconds")?.unwrap_or(OVERLAP_S_DEFAULT);
    fields.end()?;
    call.holds_token(KEY_TEXT_KEPT_S);
    let (key, text) = rotate_key(call.appliance, &owner, id, i64::from(overlap_s) * 1000)?;
    Ok(json(&KeyBody::of(&key, Some(&text))))
}

pub(super) fn revoke(call: &Call<'_>, id: &str) -> Result<Response, ApiError> {
    let owner = manager(call)?;
    query::none(call.request)?;
    Fields::none(call.request)?;
    let also = call.kept_in_commit(render);
    let key =
        revoke_own_key(call.appliance, &owner, id, also).inspect_err(|_| call.not_committed())?;
    Ok(render(&key))
}

fn render(key: &ApiKey) -> Response {
    json(&KeyBody::of(key, None))
}

/// Only a key that may do everything makes and ends keys: none can give what it does not have.
fn manager(call: &Call<'_>) -> Result<OrganizationId, ApiError> {
    let (owner, key) = call.owner_and_key()?;
    if key.scopes != Scopes::ReadWrite {
        return Err(Failure::MissingScope(Scopes::Read.as_str()).into());
    }
    Ok(owner)
}

fn scopes_of(words: &[String]) -> Result<Scopes, ApiError> {
    let has = |scope: &str| words.iter().any(|it| it == scope);
    let is_known = words.iter().all(|it| it == "read" || it == "write");
    match (is_known, has("read"), has("write")) {
        (true, true, true) => Ok(Scopes::ReadWrite),
        (true, true, false) => Ok(Scopes::Read),
        (true, false, true) => Ok(Scopes::Write),
        _ => Err(ApiError::invalid("the field `scopes` must be a list of `read` and `write`")),
    }
}

/// The contract's `api_key` object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyBody<'a> {
    object: &'static str,
    id: &'a str,
    name: &'a str,
    scopes: Vec<&'static str>,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl<'a> KeyBody<'a> {
    /// The object of a key; with `key` only where a text is given.
    pub fn of(key: &'a ApiKey, text: Option<&'a KeyText>) -> Self {
        let instant = |it: Option<Timestamp>| it.map(|it| it.to_string());
        Self {
            object: "api_key",
            id: &key.id,
            name: &key.name,
            scopes: key.scopes.as_str().split(' ').collect(),
            created_at: key.created_at.to_string(),
            expires_at: instant(key.expires_at),
            last_used_at: instant(key.last_used_at),
            revoked_at: instant(key.revoked_at),
            key: text.map(KeyText::expose),
        }
    }
}
