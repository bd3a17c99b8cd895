//! `/v1/api-keys` [our extension]: several active keys, with scopes, expiry and rotation.

use serde::Serialize;

use super::body::Fields;
use super::error::ApiError;
use super::paging::ListBody;
use super::{Call, json, query};
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::store::{ApiKey, Scopes};
use crate::usecase::Failure;
use crate::usecase::keys::{
    KeyText, NewKey, Reach, Revoked, create_key_with, revoke_key, rotate_key,
};

/// How long a rotated key goes on working when nothing is said: a day.
const OVERLAP_S_DEFAULT: u32 = 86_400;

/// How long an answer with a key's text in it is given again to the same request, from memory only.
/// After it the register has a mark, and the request is refused instead of done twice.
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
    let owner = call.manager()?;
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
    let also = call.marked_in_commit(KEY_TEXT_KEPT_S)?;
    let new = NewKey { name, scopes, expires_at };
    let (key, text) = create_key_with(call.appliance, &owner, &new, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(json(&KeyBody::of(&key, Some(&text))))
}

pub(super) fn rotate(call: &Call<'_>, id: &str) -> Result<Response, ApiError> {
    let owner = call.manager()?;
    query::none(call.request)?;
    let mut fields = Fields::read_optional(call.request)?;
    let overlap_s = fields.optional_count("overlapSeconds")?.unwrap_or(OVERLAP_S_DEFAULT);
    fields.end()?;
    let also = call.marked_in_commit(KEY_TEXT_KEPT_S)?;
    let (key, text) = rotate_key(call.appliance, &owner, id, i64::from(overlap_s) * 1000, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(json(&KeyBody::of(&key, Some(&text))))
}

pub(super) fn revoke(call: &Call<'_>, id: &str) -> Result<Response, ApiError> {
    let owner = call.manager()?;
    query::none(call.request)?;
    let mut fields = Fields::read_optional(call.request)?;
    let reach = match fields.optional_bool("withDescendants")? {
        Some(true) => Reach::WithDescendants,
        Some(false) | None => Reach::ThisKey,
    };
    fields.end()?;
    let also = call.kept_in_commit(render);
    let revoked = revoke_key(call.appliance, Some(&owner), id, reach, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(render(&revoked))
}

fn render(revoked: &Revoked) -> Response {
    json(&KeyBody::of_revoked(revoked))
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
    created_by_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_descendants: Option<usize>,
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
            created_by_key_id: key.created_by.as_deref(),
            revoked_descendants: None,
            key: text.map(KeyText::expose),
        }
    }

    /// The object of a revoked key; how many went with it only where that was asked for.
    pub fn of_revoked(revoked: &'a Revoked) -> Self {
        Self { revoked_descendants: revoked.descendants, ..Self::of(&revoked.key, None) }
    }
}
