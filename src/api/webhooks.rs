//! `/webhooks/sumsub`: where Sumsub delivers.

use super::error::ApiError;
use super::{Call, json};
use crate::http::Response;
use crate::usecase::receive_webhook::receive_webhook;

/// 200 for everything with a right digest: what it did is in the inbox, not in the answer.
pub(super) fn receive(call: &Call<'_>) -> Result<Response, ApiError> {
    receive_webhook(call.appliance, &call.request.headers, &call.request.body)?;
    Ok(json(&serde_json::json!({"ok": true})))
}
