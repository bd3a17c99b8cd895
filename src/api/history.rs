//! `/v1/organizations/verification/events` [our extension]: every status change, newest first.

use serde::Serialize;

use super::error::ApiError;
use super::paging::{ListBody, limit_of};
use super::{Call, json, query};
use crate::domain::authorization::Purpose;
use crate::http::Response;
use crate::usecase::history::{Change, status_changes};
use crate::usecase::in_words;

/// What a cursor begins with; the rest is the number of the change, counted from the oldest.
const CURSOR_PREFIX: &str = "evt_";

pub(super) fn list(call: &Call<'_>) -> Result<Response, ApiError> {
    let caller = call.caller(Purpose::Verify)?;
    let [limit, cursor] = query::read(call.request, ["limit", "cursor"])?;
    let limit = limit_of(limit.as_deref())?;
    let changes = status_changes(call.appliance, caller.acting.subject(), call.now)?;
    let end = cursor.map_or(Ok(changes.len()), |it| {
        it.strip_prefix(CURSOR_PREFIX)
            .and_then(|it| it.parse().ok())
            .filter(|it| (1..=changes.len()).contains(it))
            .ok_or_else(|| ApiError::invalid("`cursor` must be a nextCursor of this list"))
    })?;
    let start = end.saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    let page = changes.get(start..end).unwrap_or_default();
    Ok(json(&ListBody {
        object: "list",
        data: page.iter().rev().map(EventBody::of).collect(),
        has_more: start > 0,
        next_cursor: (start > 0).then(|| format!("{CURSOR_PREFIX}{start}")),
    }))
}

/// The contract's `organization_verification_event` object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventBody {
    object: &'static str,
    status: &'static str,
    previous_status: &'static str,
    source: &'static str,
    cause: &'static str,
    note: Option<String>,
    at: String,
}

impl EventBody {
    /// The object of a change.
    pub fn of(change: &Change) -> Self {
        Self {
            object: "organization_verification_event",
            status: change.to.as_str(),
            previous_status: change.from.as_str(),
            source: change.source.as_str(),
            cause: change.cause,
            note: change.overrule.map(in_words),
            at: change.at.to_string(),
        }
    }
}
