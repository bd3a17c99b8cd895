//! `/healthz`: the process answers. `/readyz`: it can do its work, and if not, why.

use std::sync::atomic::Ordering;

use super::json;
use crate::http::Response;
use crate::usecase::Appliance;

pub(super) fn alive() -> Response {
    json(&serde_json::json!({"status": "ok"}))
}

pub(super) fn ready(appliance: &Appliance) -> Response {
    let written = appliance.store.is_writable();
    if let Err(error) = &written {
        tracing::error!(%error, "the register cannot be written");
    }
    let is_ready = written.is_ok();
    let mut response = json(&serde_json::json!({
        "status": if is_ready { "ready" } else { "not_ready" },
        "database": if is_ready { "writable" } else { "not writable" },
        "provider": {
            "lastContactAt": appliance.sumsub.last_contact().map(|it| it.to_string()),
            "clockOffsetMs": appliance.timekeeper.measured().map(|it| it.offset_ms),
        },
        // It stays ready: a 503 would take the polls away, which go on being right.
        "clock": appliance.timekeeper.standing().as_str(),
        "webhooks": {"refusedDigests": appliance.refused_digests.load(Ordering::Relaxed)},
    }));
    if !is_ready {
        response.status = 503;
    }
    response
}
