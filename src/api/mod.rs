//! The public contract over HTTP: who calls, what for, and what is answered.
//!
//! [`Api::handle`] turns one request into one response. Routing is one match, read from top to
//! bottom; a handler checks in the contract's order (key, organization, LOA, body), calls one
//! use-case and renders. Failures are translated in one table, `error.rs`.

mod authorizations;
mod body;
mod canonical;
mod docs;
mod error;
mod explain;
mod health;
mod history;
mod idempotency;
mod kept_secrets;
mod keys;
mod metrics;
mod openapi;
mod organizations;
mod paging;
mod query;
mod rates;
mod verification;
mod webhook_deliveries;
mod webhook_endpoints;
mod webhooks;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::domain::authorization::Purpose;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::http::client_address::TrustedProxies;
use crate::http::{Refusal, Request, Response};
use crate::reloadable::Reloadable;
use crate::store::{GateRefusal, KeyFacts, Scopes};
use crate::usecase::authenticate::{Admission, Caller, authenticate};
use crate::usecase::create_organization::new_id;
use crate::usecase::waits::Waits;
use crate::usecase::{Appliance, Failure};
use error::ApiError;
use health::Probe;
use idempotency::Idempotency;
use metrics::{Metrics, route_of};
use rates::Rates;

pub use explain::ExplanationBody;
pub use history::EventBody;
pub use keys::KeyBody;
pub use openapi::OPENAPI;
pub use rates::{OrganizationRate, RateLimits};

/// The largest request body, in bytes (contract §7).
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The largest webhook of Sumsub's, in bytes (contract §7).
const WEBHOOK_BYTES_MAX: usize = 1024 * 1024;
const WEBHOOK_PATH: &str = "/webhooks/sumsub";

/// `Cache-Control` of what is everybody's: a cache may keep it, and asks whether it is still the same.
const REVALIDATED: &str = "no-cache";

/// The text format that Prometheus reads.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How much of a body is read for a path; more is answered 413 before it is read.
pub fn body_bytes_max(_method: &str, path: &str) -> usize {
    if path == WEBHOOK_PATH { WEBHOOK_BYTES_MAX } else { BODY_BYTES_MAX }
}

/// What an operator may set about the API.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// How many requests each key may make.
    pub rates: RateLimits,
    /// How many requests each organization may make with all its keys.
    pub organization_rate: OrganizationRate,
    /// Whose word about a client's address counts.
    pub trusted_proxies: Reloadable<TrustedProxies>,
    /// How many clients may wait for a change at once; more are answered at once.
    pub waits_max: usize,
    /// How many answers that hold a secret are kept for repeated requests.
    pub kept_secrets_max: usize,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            rates: RateLimits::default(),
            organization_rate: OrganizationRate::default(),
            trusted_proxies: Reloadable::default(),
            waits_max: 1024,
            kept_secrets_max: 65_536,
        }
    }
}

/// The API of an appliance. What it holds itself may be lost with the process: requests in flight,
/// answers with tokens in them, counts of requests.
pub struct Api {
    appliance: Arc<Appliance>,
    idempotency: Arc<Idempotency>,
    rates: Rates,
    trusted_proxies: Reloadable<TrustedProxies>,
    waits: Waits,
    metrics: Metrics,
    probe: Probe,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("appliance", &self.appliance).finish_non_exhaustive()
    }
}

impl Api {
    /// The API of an appliance.
    pub fn new(appliance: Arc<Appliance>, settings: ApiSettings) -> Self {
        Self {
            appliance,
            idempotency: Arc::new(Idempotency::new(settings.kept_secrets_max)),
            rates: Rates::new(&settings.rates, settings.organization_rate),
            trusted_proxies: settings.trusted_proxies,
            waits: Waits::new(settings.waits_max),
            metrics: Metrics::new(),
            probe: Probe::default(),
        }
    }

    /// Answers a request.
    pub fn handle(&self, request: &Request) -> Response {
        let begun = monotonic_now();
        let now = self.appliance.timekeeper.decision_instant();
        let call = Call {
            api: self,
            appliance: &self.appliance,
            request,
            now,
            id: new_id("req_", now),
            noted: RefCell::default(),
        };
        let answer = route(&call).or_else(|error| call.kept_instead(error));
        let is_refused_by_gate = answer.as_ref().is_err_and(ApiError::is_of_gate);
        let mut response = answer.unwrap_or_else(|error| call.explained(&error).render(&call.id));
        if !is_refused_by_gate {
            idempotency::keep(&call, &response);
        }
        let noted = call.noted.into_inner();
        let took = monotonic_now().duration_since(begun);
        self.metrics.count(request, &response, took);
        tracing::info!(
            target: "request",
            id = call.id,
            method = request.method,
            route = route_of(request.path()),
            organization = noted.organization.as_ref().map(OrganizationId::as_str),
            code = response.status,
            duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        );
        response.headers.extend(noted.headers);
        response.headers.push(("X-Request-Id", call.id));
        response
    }

    /// Answers a request on the listener for metrics, and nothing else.
    pub fn handle_metrics(&self, request: &Request) -> Response {
        if request.path() != "/metrics" {
            return ApiError::NotFound.render("");
        }
        match self.metrics.render(&self.appliance, &self.probe) {
            Ok(text) => Response {
                status: 200,
                headers: vec![("Content-Type", METRICS_TYPE.to_owned())],
                body: text.into_bytes(),
            },
            Err(failure) => ApiError::from(failure).render(""),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long an answer took is no instant of a fact")]
fn monotonic_now() -> Instant {
    Instant::now()
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
    api: &'a Api,
    appliance: &'a Appliance,
    request: &'a Request,
    now: Timestamp,
    id: String,
    noted: RefCell<Noted>,
}

/// What becomes known on the way and belongs to every answer, refusals included.
#[derive(Default)]
struct Noted {
    headers: Vec<(&'static str, String)>,
    /// The call that the gate refused, and when it had.
    attempt: Option<Attempt>,
    /// Whose key it was, once it was right.
    organization: Option<OrganizationId>,
    /// Whom the gate has let in, to write.
    caller: Option<Caller>,
    /// Where the answer will be kept for a repeated request.
    slot: Option<idempotency::Slot>,
    /// The answer to the same request before, which is given again.
    kept: Option<Response>,
}

/// Who called for whom and what for, and when that had been decided: a client that waits may be
/// refused long after it called, and by what was not known then.
struct Attempt {
    caller: OrganizationId,
    subject: OrganizationId,
    purpose: Purpose,
    decided_at: Timestamp,
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
        ("GET", ["v1", "organizations", "verification", "events"]) => history::list(call),
        (_, ["v1", "organizations", "verification", "events"]) => {
            Err(ApiError::MethodNotAllowed("GET, HEAD"))
        }

        ("GET", ["v1", "authorizations"]) => authorizations::list(call),
        ("POST", ["v1", "authorizations"]) => authorizations::request(call),
        (_, ["v1", "authorizations"]) => Err(ApiError::MethodNotAllowed("GET, HEAD, POST")),
        ("POST", ["v1", "authorizations", "revoke"]) => authorizations::revoke(call),
        (_, ["v1", "authorizations", "revoke"]) => Err(ApiError::MethodNotAllowed("POST")),
        ("GET", ["v1", "authorizations", "links"]) => authorizations::links(call),
        (_, ["v1", "authorizations", "links"]) => Err(ApiError::MethodNotAllowed("GET, HEAD")),
        ("GET", ["v1", "authorizations", "explain"]) => explain::show(call),
        (_, ["v1", "authorizations", "explain"]) => Err(ApiError::MethodNotAllowed("GET, HEAD")),

        ("GET", ["v1", "api-keys"]) => keys::list(call),
        ("POST", ["v1", "api-keys"]) => keys::create(call),
        (_, ["v1", "api-keys"]) => Err(ApiError::MethodNotAllowed("GET, HEAD, POST")),
        ("POST", ["v1", "api-keys", id, "rotate"]) => keys::rotate(call, id),
        ("POST", ["v1", "api-keys", id, "revoke"]) => keys::revoke(call, id),
        (_, ["v1", "api-keys", _, "rotate" | "revoke"]) => Err(ApiError::MethodNotAllowed("POST")),

        (method, ["v1", "webhooks", "endpoints", rest @ ..]) => route_endpoints(call, method, rest),

        ("POST", ["webhooks", "sumsub"]) => webhooks::receive(call),
        (_, ["webhooks", "sumsub"]) => Err(ApiError::MethodNotAllowed("POST")),

        ("GET", ["healthz"]) => Ok(health::alive()),
        ("GET", ["readyz"]) => Ok(health::ready(call.appliance, &call.api.probe)),
        (_, ["healthz" | "readyz"]) => Err(ApiError::MethodNotAllowed("GET, HEAD")),

        ("GET", ["openapi.json"]) => Ok(openapi::show(call)),
        ("GET", ["docs"]) => Ok(docs::show()),
        ("GET", ["docs.css"]) => Ok(docs::style()),
        (_, ["openapi.json" | "docs" | "docs.css"]) => Err(ApiError::MethodNotAllowed("GET, HEAD")),
        _ => Err(ApiError::NotFound),
    }
}

/// Below `/v1/webhooks/endpoints`.
fn route_endpoints(call: &Call<'_>, method: &str, rest: &[&str]) -> Result<Response, ApiError> {
    match (method, rest) {
        ("GET", []) => webhook_endpoints::list(call),
        ("POST", []) => webhook_endpoints::create(call),
        (_, []) => Err(ApiError::MethodNotAllowed("GET, HEAD, POST")),

        ("GET", [id]) => webhook_endpoints::show(call, id),
        ("PATCH", [id]) => webhook_endpoints::change(call, id),
        ("DELETE", [id]) => webhook_endpoints::delete(call, id),
        (_, [_]) => Err(ApiError::MethodNotAllowed("GET, HEAD, PATCH, DELETE")),

        ("GET", [id, "secret"]) => webhook_endpoints::secret(call, id),
        (_, [_, "secret"]) => Err(ApiError::MethodNotAllowed("GET, HEAD")),
        ("POST", [id, "secret", "rotate"]) => webhook_endpoints::rotate(call, id),
        (_, [_, "secret", "rotate"]) => Err(ApiError::MethodNotAllowed("POST")),

        ("POST", [id, "test"]) => webhook_deliveries::test(call, id),
        (_, [_, "test"]) => Err(ApiError::MethodNotAllowed("POST")),
        ("GET", [id, "deliveries"]) => webhook_deliveries::list(call, id),
        (_, [_, "deliveries"]) => Err(ApiError::MethodNotAllowed("GET, HEAD")),
        ("POST", [id, "deliveries", "resend"]) => webhook_deliveries::resend_many(call, id),
        (_, [_, "deliveries", "resend"]) => Err(ApiError::MethodNotAllowed("POST")),
        ("GET", [id, "deliveries", delivery]) => webhook_deliveries::show(call, id, delivery),
        (_, [_, "deliveries", _]) => Err(ApiError::MethodNotAllowed("GET, HEAD")),
        ("POST", [id, "deliveries", delivery, "resend"]) => {
            webhook_deliveries::resend(call, id, delivery)
        }
        (_, [_, "deliveries", _, "resend"]) => Err(ApiError::MethodNotAllowed("POST")),
        _ => Err(ApiError::NotFound),
    }
}

/// Every handler begins with one of these: they are the gate. A request that repeats another under one
/// Idempotency-Key ends here, with the answer that was kept, but only once it has been let in.
impl Call<'_> {
    /// The caller, acting for whom the header names.
    fn caller(&self, purpose: Purpose) -> Result<Caller, ApiError> {
        let caller = self.caller_at(purpose, self.now)?;
        idempotency::begin(self, &caller)?;
        Ok(caller)
    }

    /// As [`Call::caller`], at a later instant of the same request.
    fn caller_at(&self, purpose: Purpose, now: Timestamp) -> Result<Caller, ApiError> {
        let on_behalf_of = self.on_behalf_of();
        // A wrong key is told before a wrong header.
        if let Err(error) = &on_behalf_of {
            self.authenticated(None, purpose, now)?;
            return Err(error.clone());
        }
        self.authenticated(on_behalf_of?.as_ref(), purpose, now)
    }

    /// The caller for itself, on routes where the header is ignored.
    fn key_owner(&self) -> Result<OrganizationId, ApiError> {
        Ok(self.owner_and_key()?.0)
    }

    /// The key's organization, and what the register says of the key.
    fn owner_and_key(&self) -> Result<(OrganizationId, KeyFacts), ApiError> {
        let caller = self.authenticated(None, Purpose::Act, self.now)?;
        idempotency::begin(self, &caller)?;
        Ok((caller.acting.caller().clone(), caller.key))
    }

    /// As [`Call::key_owner`], for a key that may do everything: only such a one creates and ends keys,
    /// for none can give what it does not have.
    fn manager(&self) -> Result<OrganizationId, ApiError> {
        let caller = self.authenticated(None, Purpose::Act, self.now)?;
        if caller.key.scopes != Scopes::ReadWrite {
            return Err(Failure::MissingScope(Scopes::Read.as_str()).into());
        }
        idempotency::begin(self, &caller)?;
        Ok(caller.acting.caller().clone())
    }

    /// Key, organization and LOA at `now`; then what the key may do, and how often.
    fn authenticated(
        &self,
        on_behalf_of: Option<&OrganizationId>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Caller, ApiError> {
        let key = match self.api_key() {
            Ok(key) => key,
            Err(error) => return Err(self.wrong_key(error)),
        };
        match authenticate(self.appliance, key, on_behalf_of, purpose, now) {
            Ok(caller) => {
                let caller = self.admitted(caller)?;
                if !self.only_reads() {
                    self.noted.borrow_mut().caller = Some(caller.clone());
                }
                Ok(caller)
            }
            Err(Failure::InvalidApiKey) => Err(self.wrong_key(Failure::InvalidApiKey.into())),
            Err(Failure::AuthorizationRequired(refusal)) => {
                let decided_at = self.appliance.timekeeper.decision_instant();
                let caller = authenticate(self.appliance, key, None, purpose, now)?;
                let caller = self.admitted(caller)?.acting.caller().clone();
                if let Some(subject) = on_behalf_of {
                    let subject = subject.clone();
                    let attempt = Attempt { caller, subject, purpose, decided_at };
                    self.noted.borrow_mut().attempt = Some(attempt);
                }
                Err(Failure::AuthorizationRequired(refusal).into())
            }
            Err(Failure::OrganizationNotFound) => {
                self.admitted(authenticate(self.appliance, key, None, purpose, now)?)?;
                Err(Failure::OrganizationNotFound.into())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// A caller whose key has the rate and the scope for this request. Counted once a request, and
    /// first: a refusal costs as much as an answer.
    fn admitted(&self, caller: Caller) -> Result<Caller, ApiError> {
        let needed = if self.only_reads() { Scopes::Read } else { Scopes::Write };
        if self.noted.borrow().organization.is_none() {
            self.noted.borrow_mut().organization = Some(caller.acting.caller().clone());
        }
        if self.noted.borrow().headers.is_empty() {
            let (key, of) = (&caller.key.id, caller.acting.caller());
            let counted = self.api.rates.count(self.appliance, key, of, self.now);
            self.noted.borrow_mut().headers.extend(counted.headers);
            if let Some(retry_after_s) = counted.refused {
                return Err(ApiError::RateLimited { retry_after_s });
            }
        }
        if !caller.key.scopes.covers(needed) {
            return Err(Failure::MissingScope(needed.as_str()).into());
        }
        Ok(caller)
    }

    /// A wrong key, unless its sender has tried too many.
    fn wrong_key(&self, error: ApiError) -> ApiError {
        let refused = self.client_address().and_then(|it| self.api.rates.count_wrong_key(it));
        refused.map_or(error, |retry_after_s| ApiError::RateLimited { retry_after_s })
    }

    fn client_address(&self) -> Option<IpAddr> {
        self.api.trusted_proxies.get().client_address(self.request)
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

    /// Whether the request's method changes nothing.
    fn only_reads(&self) -> bool {
        matches!(self.request.method.as_str(), "GET" | "HEAD")
    }

    /// Whose key it is, once it was found right.
    fn organization(&self) -> Option<OrganizationId> {
        self.noted.borrow().organization.clone()
    }

    /// Adds a header to whatever is answered.
    fn note(&self, name: &'static str, value: impl Into<String>) {
        self.noted.borrow_mut().headers.push((name, value.into()));
    }

    /// What a request that had been let in had asked for: the gate refused it in its commit.
    fn attempted(&self) -> Option<Attempt> {
        let noted = self.noted.borrow();
        let caller = noted.caller.as_ref()?;
        Some(Attempt {
            caller: caller.acting.caller().clone(),
            subject: caller.acting.subject().clone(),
            purpose: caller.purpose,
            decided_at: self.appliance.timekeeper.decision_instant(),
        })
    }

    /// By what right the request writes: asked again in the commit.
    fn admission(&self) -> Admission {
        let noted = self.noted.borrow();
        noted.caller.as_ref().map_or_else(Admission::of_nobody, |it| it.admission.clone())
    }

    /// The answer that was kept of the same request before, if that is why the handler ended.
    fn kept_instead(&self, error: ApiError) -> Result<Response, ApiError> {
        self.noted.borrow_mut().kept.take().ok_or(error)
    }

    /// Keeps a refusal of the gate under the request's id, and hands the error on.
    fn explained<'e>(&self, error: &'e ApiError) -> &'e ApiError {
        let refused_at_once = self.noted.borrow_mut().attempt.take();
        let attempt = refused_at_once.or_else(|| self.attempted());
        if let (ApiError::Failure(Failure::AuthorizationRequired(refusal)), Some(attempt)) =
            (error, attempt)
        {
            let kept = GateRefusal {
                request_id: self.id.clone(),
                caller: attempt.caller,
                subject: attempt.subject,
                purpose: attempt.purpose.as_str().to_owned(),
                refusal: refusal.as_str().to_owned(),
                refused_at: attempt.decided_at,
            };
            self.appliance.store.write_later(move |tx| tx.insert_gate_refusal(&kept));
        }
        error
    }
}

fn json(body: &impl Serialize) -> Response {
    Response {
        status: 200,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: serde_json::to_vec(body).unwrap_or_default(),
    }
}
