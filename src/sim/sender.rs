//! Puts one delivery on the wire. Within Sumsub's own patience ("Webhook manager", the newest
//! copy): a second to connect, ten to answer.

use super::delivery::Delivery;
use std::time::Duration;

const CONNECT_MAX: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A client that follows no redirect, uses no proxy and keeps no connection: every attempt stands
/// alone.
pub(super) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_connections(0)
        // What the real one calls itself is unknown.
        .user_agent("countersign-simulator")
        .timeout_connect(Some(CONNECT_MAX))
        .timeout_global(Some(CONNECT_MAX + ANSWER_MAX))
        .build()
        .new_agent()
}

/// Sends; answers the status, or why there was none.
pub(super) fn send(agent: &ureq::Agent, delivery: &Delivery) -> Result<u16, String> {
    let mut request = agent.post(&delivery.url);
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    match request.send(delivery.body.as_slice()) {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(error.to_string()),
    }
}
