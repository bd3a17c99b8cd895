//! Webhook endpoints whose receivers the server refuses to call.

use super::Finding;
use crate::cli::wiring::environment;
use crate::config::Config;
use crate::outbox::{ADDRESS_NOT_ALLOWED, Allowed, Target};
use crate::store::{DeliveryFilter, Reader, Store, StoreError, WebhookEndpoint};

/// How many endpoints are named.
const NAMED_MAX: usize = 5;
/// How many deliveries are looked at for the newest attempt: the newest may be without one.
const DELIVERIES_MAX: u32 = 5;

pub(super) fn look(store: &Store, config: &Config) -> Result<Finding, StoreError> {
    let allowed = Allowed::new(config.webhook_allow.clone());
    let refused = store.snapshot(|register| {
        let mut refused = Vec::new();
        for endpoint in register.webhook_endpoints(None, None, u32::MAX)? {
            let is_literal = Target::parse(&endpoint.url, environment(config), &allowed).is_err();
            if !endpoint.disabled && (is_literal || was_refused(*register, &endpoint)?) {
                refused.push(endpoint);
            }
        }
        Ok::<_, StoreError>(refused)
    })?;
    if refused.is_empty() {
        return Ok(Finding::fine("receivers", "no webhook endpoint is refused for its address"));
    }
    Ok(Finding::warning(
        "receivers",
        format!(
            "webhooks are not sent to {}: the address is neither public nor listed in webhook-allow",
            list(&refused)
        ),
        "Every attempt fails with address_not_allowed; after five days an endpoint is disabled.",
        "if the receivers are yours, list their addresses and ports in COUNTERSIGN_WEBHOOK_ALLOW, as \
         127.0.0.1:9000, and restart the server; otherwise `countersign webhook disable ep_...`",
    ))
}

/// Endpoints that nothing is sent to any more.
pub(super) fn disabled(store: &Store) -> Result<Option<Finding>, StoreError> {
    let mut disabled = store.read(|register| register.webhook_endpoints(None, None, u32::MAX))?;
    disabled.retain(|it| it.disabled);
    if disabled.is_empty() {
        return Ok(None);
    }
    Ok(Some(Finding::warning(
        "endpoints",
        format!("disabled: {}", list(&disabled)),
        "Its owner is told of no change. Five days of failure, a 410, or an operator disabled it.",
        "`countersign webhook deliveries ep_...` shows why; `countersign webhook enable ep_...`, or \
         `countersign webhook delete ep_...` if nobody needs it",
    )))
}

/// The first of them by name, and how many more there are.
fn list(endpoints: &[WebhookEndpoint]) -> String {
    let named: Vec<String> = endpoints.iter().take(NAMED_MAX).map(named).collect();
    let more = match endpoints.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

/// Whether the newest attempt at its URL was refused: what a name resolves to shows only there.
fn was_refused(register: Reader<'_>, endpoint: &WebhookEndpoint) -> Result<bool, StoreError> {
    if endpoint.failing_since.is_none() {
        return Ok(false);
    }
    let newest = DeliveryFilter { limit: DELIVERIES_MAX, ..DeliveryFilter::default() };
    let deliveries = register.outgoing_deliveries(&endpoint.id, &newest, None)?;
    let last = deliveries.iter().filter_map(|it| it.attempts.last()).max_by_key(|it| it.ended_at);
    Ok(last.is_some_and(|it| {
        it.url == endpoint.url && it.error.as_deref() == Some(ADDRESS_NOT_ALLOWED)
    }))
}

/// The endpoint's id and where it is; its path may hold a secret.
fn named(endpoint: &WebhookEndpoint) -> String {
    let origin = endpoint.url.split(['/', '?']).take(3).collect::<Vec<_>>().join("/");
    format!("{} at {origin}", endpoint.id)
}
