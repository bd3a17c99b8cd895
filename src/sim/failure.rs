//! How the simulated Sumsub says no: two families of error bodies ("API health" and "Reusable
//! KYC" pages, stated). Descriptions carry Java-style suffixes such as `(anf)`; a client must not
//! match whole texts.

use crate::http::Response;
use serde_json::json;

/// A refused call.
#[derive(Debug)]
pub(super) struct Failure {
    status: u16,
    description: String,
    code: Option<(u32, &'static str)>,
    family: Family,
}

#[derive(Debug, PartialEq, Eq)]
enum Family {
    /// `description`, `code`, `correlationId`, sometimes `errorCode` and `errorName`.
    Correlated,
    /// As above with a Java class in `type` instead of a correlation id.
    Service,
}

impl Failure {
    /// An error without an error code.
    pub(super) fn plain(status: u16, description: impl Into<String>) -> Self {
        Self { status, description: description.into(), code: None, family: Family::Correlated }
    }

    /// An error with `errorCode` and `errorName`.
    pub(super) fn coded(
        status: u16,
        code: u32,
        name: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self { code: Some((code, name)), ..Self::plain(status, description) }
    }

    /// An error of the reuse and copy endpoints: 400 with a 105xx code.
    pub(super) fn reuse(code: u32, name: &'static str, description: impl Into<String>) -> Self {
        Self { family: Family::Service, ..Self::coded(400, code, name, description) }
    }

    /// A share token that is malformed, used or expired: a 401 that has no error code, which is
    /// what tells it from bad credentials.
    pub(super) fn share_token(reason: &str) -> Self {
        Self {
            family: Family::Service,
            ..Self::plain(401, format!("Token is invalid: {reason} [source: null]"))
        }
    }

    /// No such applicant. `(anf)` is stated for tags; that the same text serves elsewhere is
    /// inferred.
    pub(super) fn applicant_not_found(id: &str) -> Self {
        Self::plain(404, format!("Applicant with id {id} not found (anf)"))
    }

    /// No such level. Status and name are one integrator's report; the exact body is unknown.
    pub(super) fn level_not_found(level: &str) -> Self {
        Self::plain(404, format!("Level '{level}' not found (level-not-found)"))
    }

    /// A body or parameter that cannot be read. The real text is unknown.
    pub(super) fn invalid(what: &str) -> Self {
        Self::plain(400, format!("Invalid request: {what}"))
    }

    /// The HTTP answer.
    pub(super) fn response(&self, correlation_id: &str) -> Response {
        let mut body = json!({ "description": self.description, "code": self.status });
        if let Some(members) = body.as_object_mut() {
            if let Some((code, name)) = self.code {
                members.insert("errorCode".to_owned(), json!(code));
                members.insert("errorName".to_owned(), json!(name));
            }
            match self.family {
                Family::Correlated => {
                    members.insert("correlationId".to_owned(), json!(correlation_id))
                }
                Family::Service => members.insert(
                    "type".to_owned(),
                    json!("de.smtdp.commons.service.exceptions.ServiceException"),
                ),
            };
        }
        json_response(self.status, &body)
    }

    /// The sentence, for the pages.
    pub(super) fn description(&self) -> &str {
        &self.description
    }

    /// The status, for the pages.
    pub(super) fn status(&self) -> u16 {
        self.status
    }
}

/// An answer that carries JSON.
pub(super) fn json_response(status: u16, body: &serde_json::Value) -> Response {
    Response {
        status,
        headers: vec![("Content-Type", "application/json;charset=UTF-8".to_owned())],
        body: body.to_string().into_bytes(),
    }
}
