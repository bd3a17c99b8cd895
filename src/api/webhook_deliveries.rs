//! `/v1/webhooks/endpoints/{id}/test`, `…/deliveries`, `…/deliveries/{id}` and their resends: an
//! extension of ours. What was sent, byte for byte, what was answered, and sending it again.

use serde::Serialize;

use super::body::Fields;
use super::error::ApiError;
use super::paging::{ListBody, limit_of};
use super::{Call, json, query};
use crate::domain::outgoing::DeliveryStatus;
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::store::{DeliveryFilter, DeliveryName, OutgoingAttempt, OutgoingDelivery};
use crate::usecase::Failure;
use crate::usecase::outgoing_deliveries::{
    Range, list_deliveries, resend_delivery_and, resend_range, send_test, show_delivery,
};

/// The log, newest first, with `limit`, `cursor` and `status`.
pub(super) fn list(call: &Call<'_>, endpoint_id: &str) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    let [limit, cursor, status] = query::read(call.request, ["limit", "cursor", "status"])?;
    let filter = DeliveryFilter {
        status: status.as_deref().map(status_of).transpose()?,
        after: cursor.map(DeliveryName::Id),
        limit: limit_of(limit.as_deref())?,
    };
    let page = list_deliveries(call.appliance, &owner, endpoint_id, &filter)?;
    let last = page.rows.last().filter(|_| page.has_more);
    Ok(json(&ListBody {
        object: "list",
        next_cursor: last.map(|it| it.public_id.clone()),
        has_more: page.has_more,
        data: page.rows.iter().map(DeliveryBody::of).collect(),
    }))
}

pub(super) fn show(call: &Call<'_>, endpoint_id: &str, id: &str) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    let name = DeliveryName::Id(id.to_owned());
    Ok(render(&show_delivery(call.appliance, &owner, endpoint_id, &name)?))
}

pub(super) fn resend(call: &Call<'_>, endpoint_id: &str, id: &str) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    Fields::none(call.request)?;
    let name = DeliveryName::Id(id.to_owned());
    let also = call.kept_in_commit(render);
    let sent = resend_delivery_and(call.appliance, &owner, endpoint_id, &name, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(render(&sent))
}

/// `since` and, if it is not to be now, `until`, by the time at which the events were written; and
/// `status` for those that stand so, as FAILED.
pub(super) fn resend_many(call: &Call<'_>, endpoint_id: &str) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    let mut fields = Fields::read(call.request)?;
    let since = instant(&fields.text("since")?, "since")?;
    let until = fields.optional_text("until")?.map(|it| instant(&it, "until")).transpose()?;
    let status = fields.optional_text("status")?.as_deref().map(status_of).transpose()?;
    fields.end()?;
    let range = Range { since, until, status };
    let also = call.kept_in_commit(|count: &u32| resent(*count));
    let count = resend_range(call.appliance, &owner, endpoint_id, range, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(resent(count))
}

/// A `webhook.test` event, on its way; its delivery can be looked at until it is DELIVERED.
pub(super) fn test(call: &Call<'_>, endpoint_id: &str) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    Fields::none(call.request)?;
    let also = call.kept_in_commit(render);
    let sent = send_test(call.appliance, &owner, endpoint_id, also)
        .inspect_err(|_| call.not_committed())?;
    Ok(render(&sent))
}

fn resent(count: u32) -> Response {
    json(&ResendBody { object: "webhook_resend", count })
}

fn status_of(text: &str) -> Result<DeliveryStatus, ApiError> {
    DeliveryStatus::parse(text)
        .ok_or_else(|| ApiError::invalid("`status` must be PENDING, DELIVERED, FAILED or SKIPPED"))
}

fn instant(text: &str, name: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse(text).ok_or_else(|| {
        Failure::Invalid(format!("the field `{name}` must be an RFC 3339 instant")).into()
    })
}

#[derive(Serialize)]
struct ResendBody {
    object: &'static str,
    count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryBody<'a> {
    object: &'static str,
    id: &'a str,
    message_id: &'a str,
    endpoint_id: &'a str,
    event_type: &'static str,
    status: &'static str,
    next_attempt_at: Option<String>,
    created_at: String,
    /// The exact body, as text: what is signed is these bytes.
    body: String,
    attempts: Vec<AttemptBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptBody<'a> {
    url: &'a str,
    webhook_timestamp: i64,
    webhook_signature: &'a str,
    status: Option<u16>,
    /// The first bytes of the answer; what is no text is replaced.
    answer: Option<String>,
    error: Option<&'a str>,
    started_at: String,
    ended_at: String,
}

impl<'a> DeliveryBody<'a> {
    fn of(delivery: &'a OutgoingDelivery) -> Self {
        Self {
            object: "webhook_delivery",
            id: &delivery.public_id,
            message_id: &delivery.message_id,
            endpoint_id: &delivery.endpoint_id,
            event_type: delivery.event_type.as_str(),
            status: delivery.status.as_str(),
            next_attempt_at: delivery.due_at.map(|it| it.to_string()),
            created_at: delivery.created_at.to_string(),
            body: String::from_utf8_lossy(&delivery.body).into_owned(),
            attempts: delivery.attempts.iter().map(AttemptBody::of).collect(),
        }
    }
}

impl<'a> AttemptBody<'a> {
    fn of(attempt: &'a OutgoingAttempt) -> Self {
        Self {
            url: &attempt.url,
            webhook_timestamp: attempt.signed_at_s,
            webhook_signature: &attempt.signature,
            status: attempt.status,
            answer: attempt.answer.as_ref().map(|it| String::from_utf8_lossy(it).into_owned()),
            error: attempt.error.as_deref(),
            started_at: attempt.started_at.to_string(),
            ended_at: attempt.ended_at.to_string(),
        }
    }
}

fn render(delivery: &OutgoingDelivery) -> Response {
    json(&DeliveryBody::of(delivery))
}
