//! `/v1/webhooks/endpoints`: endpoints and their secrets.
//!
//! They belong to the organization of the key; the header Nxos-On-Behalf-Of is ignored. No answer to
//! a request that changes something holds a secret, so that a stored answer never does: after
//! creating or rotating, GET …/secret tells it.

use serde::Serialize;

use super::body::Fields;
use super::error::ApiError;
use super::paging::{ListBody, limit_of};
use super::{Call, json, query};
use crate::domain::outgoing::EventType;
use crate::http::Response;
use crate::store::{Scopes, WebhookEndpoint};
use crate::usecase::Failure;
use crate::usecase::webhook_endpoints::{
    NewWebhookEndpoint, WebhookEndpointChange, change_webhook_endpoint, create_webhook_endpoint,
    delete_webhook_endpoint, list_webhook_endpoints, rotate_webhook_secret, webhook_endpoint,
    webhook_secret,
};

/// `url`; `description` may be absent; `eventTypes` may be absent or empty, for every type there is
/// and will be.
pub(super) fn create(call: &Call<'_>) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    let mut fields = Fields::read(call.request)?;
    let new = NewWebhookEndpoint {
        url: fields.text("url")?,
        description: fields.optional_text("description")?,
        event_types: fields
            .optional_texts("eventTypes")?
            .map_or(Ok(Vec::new()), |it| types(&it))?,
    };
    fields.end()?;
    let also = call.kept_in_commit(render);
    let endpoint = create_webhook_endpoint(call.appliance, &owner, new, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(render(&endpoint))
}

pub(super) fn list(call: &Call<'_>) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    let [limit, cursor] = query::read(call.request, ["limit", "cursor"])?;
    let limit = limit_of(limit.as_deref())?;
    if cursor.as_ref().is_some_and(|it| !is_endpoint_id(it)) {
        return Err(ApiError::invalid("`cursor` must be a nextCursor of this list"));
    }
    let page = list_webhook_endpoints(call.appliance, Some(&owner), cursor.as_deref(), limit)?;
    let last = page.rows.last().filter(|_| page.has_more);
    Ok(json(&ListBody {
        object: "list",
        next_cursor: last.map(|it| it.id.clone()),
        has_more: page.has_more,
        data: page.rows.iter().map(EndpointBody::of).collect(),
    }))
}

pub(super) fn show(call: &Call<'_>, id: &str) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    Ok(render(&webhook_endpoint(call.appliance, &owner, id)?))
}

/// Any of `url`, `description` (null takes it away), `eventTypes` and `disabled`.
pub(super) fn change(call: &Call<'_>, id: &str) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    let mut fields = Fields::read(call.request)?;
    let change = WebhookEndpointChange {
        url: fields.optional_text("url")?,
        description: fields.nullable_text("description")?,
        event_types: fields.optional_texts("eventTypes")?.map(|it| types(&it)).transpose()?,
        disabled: fields.optional_bool("disabled")?,
    };
    fields.end()?;
    let also = call.kept_in_commit(render);
    let endpoint = change_webhook_endpoint(call.appliance, &owner, id, change, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(render(&endpoint))
}

pub(super) fn delete(call: &Call<'_>, id: &str) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    Fields::none(call.request)?;
    let kept_id = id.to_owned();
    let also = call.kept_in_commit(move |()| deleted(&kept_id));
    delete_webhook_endpoint(call.appliance, &owner, id, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(deleted(id))
}

fn deleted(id: &str) -> Response {
    json(&DeletedBody { object: "webhook_endpoint", id, deleted: true })
}

/// Whoever has the secret can write messages in our name, so a key that only reads is not told.
pub(super) fn secret(call: &Call<'_>, id: &str) -> Result<Response, ApiError> {
    let (owner, key) = call.owner_and_key()?;
    if !key.scopes.covers(Scopes::Write) {
        return Err(Failure::MissingScope(Scopes::Write.as_str()).into());
    }
    query::none(call.request)?;
    let it = webhook_secret(call.appliance, &owner, id)?;
    Ok(json(&SecretBody {
        object: "webhook_endpoint_secret",
        secret: it.secret.expose(),
        previous_secret_expires_at: it.previous_until.map(|it| it.to_string()),
    }))
}

pub(super) fn rotate(call: &Call<'_>, id: &str) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    Fields::none(call.request)?;
    let also = call.kept_in_commit(render);
    let endpoint = rotate_webhook_secret(call.appliance, &owner, id, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(render(&endpoint))
}

/// Whether a text has the form of our ids: only a cursor must have one, an id in a path is opaque.
fn is_endpoint_id(text: &str) -> bool {
    text.strip_prefix("ep_")
        .is_some_and(|it| it.len() == 24 && it.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn types(words: &[String]) -> Result<Vec<EventType>, ApiError> {
    let mut types = Vec::new();
    for word in words {
        let known = EventType::SUBSCRIBABLE.into_iter().find(|it| it.as_str() == word);
        let known = known.ok_or_else(|| {
            let words = EventType::SUBSCRIBABLE.map(EventType::as_str).join(", ");
            ApiError::invalid(format!("the field `eventTypes` may hold {words}"))
        })?;
        if !types.contains(&known) {
            types.push(known);
        }
    }
    Ok(types)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointBody<'a> {
    object: &'static str,
    id: &'a str,
    url: &'a str,
    description: Option<&'a str>,
    disabled: bool,
    event_types: Vec<&'static str>,
    created_at: String,
    updated_at: String,
}

impl<'a> EndpointBody<'a> {
    fn of(endpoint: &'a WebhookEndpoint) -> Self {
        Self {
            object: "webhook_endpoint",
            id: &endpoint.id,
            url: &endpoint.url,
            description: endpoint.description.as_deref(),
            disabled: endpoint.disabled,
            event_types: endpoint.event_types.iter().map(|it| it.as_str()).collect(),
            created_at: endpoint.created_at.to_string(),
            updated_at: endpoint.updated_at.to_string(),
        }
    }
}

fn render(endpoint: &WebhookEndpoint) -> Response {
    json(&EndpointBody::of(endpoint))
}

#[derive(Serialize)]
struct DeletedBody<'a> {
    object: &'static str,
    id: &'a str,
    deleted: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretBody {
    object: &'static str,
    secret: String,
    previous_secret_expires_at: Option<String>,
}
