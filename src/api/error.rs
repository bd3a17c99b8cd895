//! The one table from what went wrong to what the caller is told.
//!
//! The caller gets a code for programs and a sentence for people; the cause, which may name
//! internals, goes to the log under the same request id.

use serde::Serialize;

use crate::domain::authorization::Refusal as GateRefusal;
use crate::domain::verification::Status;
use crate::http::{Refusal, Response};
use crate::sumsub::SumsubError;
use crate::usecase::Failure;

/// What a handler may fail with.
#[derive(Clone, Debug)]
pub(super) enum ApiError {
    /// A use-case refused or failed.
    Failure(Failure),
    /// No such route.
    NotFound,
    /// The route exists; these are its methods.
    MethodNotAllowed(&'static str),
    /// A body that is not JSON by its own word.
    UnsupportedMediaType,
    /// The Idempotency-Key belongs to another request.
    IdempotencyKeyInUse,
    /// The request was done, and its answer, which held a secret, is kept no longer.
    IdempotencyAnswerGone,
    /// The answer is the one that was kept of the same request before.
    Kept,
    /// The answer would hold a secret, and cannot be kept for the request's Idempotency-Key.
    CannotKeep {
        /// Seconds to wait.
        retry_after_s: u64,
    },
    /// The same request is still running.
    IdempotencyInFlight,
    /// Too many requests.
    RateLimited {
        /// Seconds to wait.
        retry_after_s: u64,
    },
    /// The connection loop refused.
    Refused(Refusal),
}

impl ApiError {
    /// A rule of the contract that the request breaks.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Failure(Failure::Invalid(message.into()))
    }

    /// Whether the gate refused, at once or in the commit: what was refused may be allowed tomorrow.
    pub(super) fn is_of_gate(&self) -> bool {
        matches!(self, Self::Failure(Failure::AuthorizationRequired(_)))
    }

    /// The answer, logged if somebody has to look into it.
    pub(super) fn render(&self, request_id: &str) -> Response {
        let (status, code, message) = match self {
            Self::Failure(failure) => of_failure(failure),
            Self::NotFound => (404, "not_found", "There is no such path.".to_owned()),
            Self::MethodNotAllowed(allowed) => {
                (405, "method_not_allowed", format!("This path answers to {allowed}."))
            }
            Self::UnsupportedMediaType => (
                415,
                "unsupported_media_type",
                "Send the body as JSON, with Content-Type: application/json.".to_owned(),
            ),
            Self::IdempotencyKeyInUse => (
                409,
                "idempotency_key_in_use",
                "This Idempotency-Key was used for another request. Use a fresh one.".to_owned(),
            ),
            Self::IdempotencyAnswerGone => (
                409,
                "idempotency_key_in_use",
                "This request was done before. Its answer held a new API key, which is kept for ten \
                 minutes only, and not across a restart. If you do not have that key: find it with GET \
                 /v1/api-keys, revoke it, and ask again with a fresh Idempotency-Key."
                    .to_owned(),
            ),
            // Never rendered: the kept answer takes its place.
            Self::Kept => of_refusal(Refusal::Panicked),
            Self::CannotKeep { retry_after_s } => (
                503,
                "server_busy",
                format!(
                    "There is no room to keep this request's answer for its Idempotency-Key, so nothing \
                     was done. Try again in {retry_after_s} s."
                ),
            ),
            Self::IdempotencyInFlight => (
                409,
                "idempotency_request_in_flight",
                "The first request with this Idempotency-Key is still running. Try again."
                    .to_owned(),
            ),
            Self::RateLimited { retry_after_s } => {
                (429, "rate_limited", format!("Too many requests. Try again in {retry_after_s} s."))
            }
            Self::Refused(refusal) => of_refusal(*refusal),
        };
        match self.fault() {
            _ if status < 500 => {}
            Fault::Caller => {
                tracing::debug!(request = request_id, status, cause = self.cause(), "refused");
            }
            Fault::Load => {
                tracing::warn!(request = request_id, status, cause = self.cause(), "refused");
            }
            Fault::Ours => {
                tracing::error!(
                    request = request_id,
                    status,
                    cause = self.cause(),
                    "request failed"
                );
            }
        }
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        headers.extend(self.extra_header());
        let body = Body { error: Error { code, message: &message, request_id } };
        Response { status, headers, body: serde_json::to_vec(&body).unwrap_or_default() }
    }

    /// Whose fault an answer of 500 and more is: any scanner can send what is no HTTP/1.1, and that
    /// must not look like a failure of ours.
    fn fault(&self) -> Fault {
        match self {
            Self::Refused(Refusal::TransferCodingUnsupported | Refusal::VersionUnsupported) => {
                Fault::Caller
            }
            Self::Failure(Failure::Busy)
            | Self::Refused(Refusal::TooManyConnections | Refusal::TooManyLargeBodies) => {
                Fault::Load
            }
            _ => Fault::Ours,
        }
    }

    fn cause(&self) -> String {
        match self {
            Self::Failure(failure) => failure.to_string(),
            other => format!("{other:?}"),
        }
    }

    fn extra_header(&self) -> Option<(&'static str, String)> {
        match self {
            Self::MethodNotAllowed(allowed) => Some(("Allow", (*allowed).to_owned())),
            Self::Failure(Failure::MissingApiKey | Failure::InvalidApiKey) => {
                Some(("WWW-Authenticate", "Bearer".to_owned()))
            }
            Self::Failure(Failure::Busy)
            | Self::Refused(Refusal::TooManyConnections | Refusal::TooManyLargeBodies) => {
                Some(("Retry-After", "1".to_owned()))
            }
            Self::RateLimited { retry_after_s }
            | Self::CannotKeep { retry_after_s }
            | Self::Failure(Failure::Provider(SumsubError::RateLimited { retry_after_s })) => {
                Some(("Retry-After", retry_after_s.to_string()))
            }
            _ => None,
        }
    }
}

/// Whose fault a failure is, which decides how loud the log is about it.
enum Fault {
    Caller,
    Load,
    Ours,
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Error<'a> {
    code: &'a str,
    message: &'a str,
    request_id: &'a str,
}

#[expect(clippy::too_many_lines, reason = "a table is read whole")]
fn of_failure(failure: &Failure) -> (u16, &'static str, String) {
    let (status, code, message) = match failure {
        Failure::MissingApiKey => (
            401,
            "missing_api_key",
            "Send your API key in the header Authorization: Bearer nxos_sk_….",
        ),
        Failure::InvalidApiKey => (
            401,
            "invalid_api_key",
            "This API key is unknown, revoked, or belongs to the other environment.",
        ),
        Failure::Invalid(what) => return (400, "validation_error", sentence(what)),
        Failure::ShareTokenInvalid(reason) => {
            return (
                400,
                "share_token_invalid",
                format!(
                    "Sumsub refused the share token: {reason}. Generate a fresh one for every call, \
                     and check that Reusable KYC is enabled on both accounts and that they are paired."
                ),
            );
        }
        Failure::ImportUnsupported => (
            400,
            "verification_import_unsupported",
            "Reusable KYC covers natural persons only. Use POST /v1/organizations/verification for a \
             BUSINESS.",
        ),
        Failure::AuthorizationRequired(refusal) => {
            return (403, "authorization_required", of_gate(*refusal));
        }
        Failure::MissingScope(scope) => {
            return (403, "forbidden", format!("This API key has no scope `{scope}`."));
        }
        Failure::KeyNotFound => (404, "api_key_not_found", "There is no API key of this id."),
        Failure::Forbidden(why) => return (403, "forbidden", sentence(why)),
        Failure::OrganizationNotFound => {
            (404, "organization_not_found", "There is no organization of this id.")
        }
        Failure::AuthorizationNotFound => (
            404,
            "authorization_not_found",
            "There is no live Letter of Authorization between these two organizations.",
        ),
        Failure::AuthorizationExists | Failure::AlreadySigned => (
            409,
            "authorization_exists",
            "A live Letter of Authorization between these two organizations exists already.",
        ),
        Failure::VerificationRejected
        | Failure::DecisionRefused { .. }
        | Failure::Overtaken { .. }
        | Failure::Overrules(_)
        | Failure::ClockBehind { .. } => (
            409,
            "verification_rejected",
            "This organization's verification was rejected. It cannot be submitted again unless an \
             operator reopens it.",
        ),
        Failure::WebhookEndpointNotFound => (
            404,
            "webhook_endpoint_not_found",
            "Your organization has no webhook endpoint of this id.",
        ),
        Failure::WebhookDeliveryNotFound => {
            (404, "webhook_delivery_not_found", "This endpoint has no delivery of this id.")
        }
        Failure::WebhookEndpointDisabled => (
            409,
            "webhook_endpoint_disabled",
            "This webhook endpoint is disabled. Enable it with PATCH {\"disabled\":false} first.",
        ),
        Failure::WebhookEndpointLimit => (
            409,
            "webhook_endpoint_limit",
            "Your organization has as many webhook endpoints as it may. Delete one first.",
        ),
        Failure::WebhookSecretLimit { until } => {
            return (
                409,
                "webhook_secret_limit",
                format!(
                    "As many former secrets of this endpoint still sign as may. Nothing was changed; \
                     rotate again after {until}, when the oldest of them ends."
                ),
            );
        }
        Failure::WebhookKeyMissing => (
            409,
            "webhook_secret_unavailable",
            "The key that signing secrets are derived from is missing on our side. Nothing was changed. \
             Ask the server's operator to put it back, then try again.",
        ),
        Failure::WebhookKeyUnusable(_) => (
            409,
            "webhook_secret_unavailable",
            "The key that signing secrets are derived from cannot be read on our side. Nothing was \
             changed. Ask the server's operator to mend it, then try again.",
        ),
        Failure::WebhookKeyOther => (
            409,
            "webhook_secret_unavailable",
            "The key that signing secrets are derived from is another one on our side. Nothing was \
             changed. Ask the server's operator to put the right one back or, if it is lost, to rotate \
             an endpoint's secret first; then try again.",
        ),
        Failure::WebhookSecretUnavailable => (
            409,
            "webhook_secret_unavailable",
            "This endpoint's secret is lost on our side. Rotate it with POST …/secret/rotate.",
        ),
        Failure::DigestRefused => (
            401,
            "invalid_digest",
            "X-Payload-Digest does not fit the body. Check that the webhook's secret is the one \
             configured here.",
        ),
        Failure::Provider(SumsubError::RateLimited { retry_after_s }) => {
            return (
                502,
                "provider_unavailable",
                format!(
                    "Sumsub takes no more requests for now. Nothing has changed; try again in \
                     {retry_after_s} s."
                ),
            );
        }
        Failure::Provider(_) => (
            502,
            "provider_unavailable",
            "Sumsub could not be asked. Nothing has changed; try again.",
        ),
        Failure::Busy => (503, "server_busy", "Too much at once. Try again in a moment."),
        Failure::Store(_) | Failure::NoRandomness => {
            (500, "internal_error", "Something failed on our side. Quote the request id.")
        }
    };
    (status, code, message.to_owned())
}

fn of_gate(refusal: GateRefusal) -> String {
    match refusal {
        GateRefusal::NoLiveAuthorization => {
            "There is no live Letter of Authorization by which this \
             organization lets yours act for it. Request one with POST /v1/authorizations."
                .to_owned()
        }
        GateRefusal::NotSigned => "The Letter of Authorization is PENDING: this organization has \
             not signed it yet."
            .to_owned(),
        GateRefusal::Lapsed => "The Letter of Authorization is suspended: this organization's \
             verification has expired. Start a session with POST /v1/organizations/verification."
            .to_owned(),
        GateRefusal::NotApproved(status) => format!(
            "The Letter of Authorization is suspended: it is effective only while this \
             organization's verification is APPROVED, and that is {}. {}",
            status.as_str(),
            match status {
                Status::NotStarted | Status::ResubmissionRequired => {
                    "Start a session with POST /v1/organizations/verification."
                }
                Status::Pending | Status::OnHold => {
                    "Poll GET /v1/organizations/verification until it is."
                }
                Status::Rejected | Status::Approved => "Contact support if that is an error.",
            }
        ),
    }
}

fn of_refusal(refusal: Refusal) -> (u16, &'static str, String) {
    let (status, code, message) = match refusal {
        Refusal::Malformed => (400, "validation_error", "This is not a well-formed HTTP request."),
        Refusal::Timeout => (408, "request_timeout", "The request did not arrive in time."),
        Refusal::BodyTooLarge => {
            let what =
                "The body is larger than this path takes (64 KiB; 1 MiB at /webhooks/sumsub).";
            (413, "payload_too_large", what)
        }
        Refusal::TargetTooLong => (414, "validation_error", "The path and query are too long."),
        Refusal::HeadTooLarge => {
            (431, "validation_error", "The headers are too large or too many.")
        }
        Refusal::ExpectationFailed => {
            (417, "validation_error", "Only the expectation 100-continue is known.")
        }
        Refusal::TransferCodingUnsupported => {
            (501, "validation_error", "Only the transfer coding chunked is known.")
        }
        Refusal::VersionUnsupported => (505, "validation_error", "Speak HTTP/1.1."),
        Refusal::Panicked => {
            (500, "internal_error", "Something failed on our side. Quote the request id.")
        }
        Refusal::TooManyConnections => {
            (503, "server_busy", "Too many connections. Try again in a moment.")
        }
        Refusal::TooManyLargeBodies => {
            (503, "server_busy", "Too many large requests at once. Try again in a moment.")
        }
    };
    (status, code, message.to_owned())
}

/// A fragment, as the use-cases word their refusals, as a sentence.
fn sentence(fragment: &str) -> String {
    let mut characters = fragment.chars();
    let first = characters.next().map(|it| it.to_uppercase().collect::<String>());
    let text = format!("{}{}", first.unwrap_or_default(), characters.as_str());
    if text.ends_with('.') { text } else { format!("{text}.") }
}
