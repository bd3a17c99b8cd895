//! The public contract over HTTP: who calls, what for, and what is answered.
//!
//! [`handle`] turns one request into one response. Routing is one match, read from top to bottom; a
//! handler checks in the contract's order (key, organization, LOA, body), calls one use-case and
//! renders. Failures are translated in one table, `error.rs`.

mod authorizations;
mod body;
mod error;
mod health;
mod organizations;
mod query;
mod verification;
mod webhooks;

use serde::Serialize;

use crate::domain::authorization::Purpose;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::http::{Refusal, Request, Response};
use crate::usecase::authenticate::{Caller, authenticate};
use crate::usecase::create_organization::new_id;
use crate::usecase::{Appliance, Failure};
use error::ApiError;

/// The largest request body, in bytes (contract §7).
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The largest webhook of Sumsub's, in bytes (contract §7).
const WEBHOOK_BYTES_MAX: usize = 1024 * 1024;
const WEBHOOK_PATH: &str = "/webhooks/sumsub";

/// How much of a body is read for a path; more is answered 413 before it is read.
pub fn body_bytes_max(_method: &str, path: &str) -> usize {
    if path == WEBHOOK_PATH { WEBHOOK_BYTES_MAX } else { BODY_BYTES_MAX }
}

/// Answers a request.
pub fn handle(appliance: &Appliance, request: &Request) -> Response {
    let now = (appliance.clock)();
    let call = Call { appliance, request, now, id: new_id("req_", now) };
    let mut response = route(&call).unwrap_or_else(|error| error.render(&call.id));
    response.headers.push(("X-Request-Id", call.id));
    response
}

/// Answers what the connection loop refuses before there is a request.
pub fn refuse(refusal: Refusal) -> Response {
    // There is no clock at hand and none is needed: the id only has to be found in the log.
    let id = format!("req_{}", uuid::Uuid::new_v4().simple());
    let mut response = ApiError::Refused(refusal).render(&id);
    response.headers.push(("X-Request-Id", id));
    response
}

/// One request on its way through a handler.
struct Call<'a> {
    appliance: &'a Appliance,
    request: &'a Request,
    now: Timestamp,
    id: String,
}

fn route(call: &Call<'_>) -> Result<Response, ApiError> {
    let method = match call.request.method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    let path = call.request.path();
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    match (method, segments.as_slice()) {
        ("GET", ["v1", "organizations"]) => organizations::show(call),
        ("POST", ["v1", "organizations"]) => organizations::create(call),
        (_, ["v1", "organizations"]) => Err(ApiError::MethodNotAllowed("GET, HEAD, POST")),

        ("GET", ["v1", "organizations", "verification"]) => verification::show(call),
        ("POST", ["v1", "organizations", "verification"]) => verification::start(call),
        (_, ["v1", "organizations", "verification"]) => {
            Err(ApiError::MethodNotAllowed("GET, HEAD, POST"))
        }
        ("POST", ["v1", "organizations", "verification", "import"]) => verification::import(call),
        (_, ["v1", "organizations", "verification", "import"]) => {
            Err(ApiError::MethodNotAllowed("POST"))
        }

        ("GET", ["v1", "authorizations"]) => authorizations::list(call),
        ("POST", ["v1", "authorizations"]) => authorizations::request(call),
        (_, ["v1", "authorizations"]) => Err(ApiError::MethodNotAllowed("GET, HEAD, POST")),
        ("POST", ["v1", "authorizations", "revoke"]) => authorizations::revoke(call),
        (_, ["v1", "authorizations", "revoke"]) => Err(ApiError::MethodNotAllowed("POST")),

        ("POST", ["webhooks", "sumsub"]) => webhooks::receive(call),
        (_, ["webhooks", "sumsub"]) => Err(ApiError::MethodNotAllowed("POST")),

        ("GET", ["healthz"]) => Ok(health::alive()),
        ("GET", ["readyz"]) => Ok(health::ready(call.appliance)),
        (_, ["healthz" | "readyz"]) => Err(ApiError::MethodNotAllowed("GET, HEAD")),
        _ => Err(ApiError::NotFound),
    }
}

impl Call<'_> {
    /// The caller, acting for whom the header names.
    fn caller(&self, purpose: Purpose) -> Result<Caller, ApiError> {
        let key = self.api_key()?;
        let on_behalf_of = self.on_behalf_of();
        // A wrong key is told before a wrong header.
        if let Err(error) = &on_behalf_of {
            authenticate(self.appliance, key, None, purpose, self.now)?;
            return Err(error.clone());
        }
        Ok(authenticate(self.appliance, key, on_behalf_of?.as_ref(), purpose, self.now)?)
    }

    /// The caller for itself, on routes where the header is ignored.
    fn key_owner(&self) -> Result<OrganizationId, ApiError> {
        let caller = authenticate(self.appliance, self.api_key()?, None, Purpose::Act, self.now)?;
        Ok(caller.acting.caller().clone())
    }

    fn api_key(&self) -> Result<&str, ApiError> {
        let mut values = self.request.header_values("authorization");
        let value = values.next().ok_or(Failure::MissingApiKey)?;
        let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
        if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Failure::InvalidApiKey.into());
        }
        Ok(key.trim())
    }

    fn on_behalf_of(&self) -> Result<Option<OrganizationId>, ApiError> {
        let mut values = self.request.header_values("nxos-on-behalf-of").map(str::trim);
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|it| it != first) {
            return Err(ApiError::invalid("the header Nxos-On-Behalf-Of was given twice"));
        }
        Ok(Some(OrganizationId::new(first)))
    }
}

fn json(body: &impl Serialize) -> Response {
    Response {
        status: 200,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: serde_json::to_vec(body).unwrap_or_default(),
    }
}
