//! One authenticated API call as the endpoints see it: decoded path segments, query and body.
//! Decoding happens here and nowhere earlier, because the signature covers the raw target.

use super::failure::{Failure, json_response};
use super::tenant::TenantId;
use crate::http::{Request, Response};
use serde_json::Value;

/// A call whose signature has been checked.
pub(super) struct Call<'a> {
    /// Whose app token signed it.
    pub(super) tenant: TenantId,
    /// The method as sent.
    pub(super) method: &'a str,
    /// The decoded path segments.
    pub(super) segments: Vec<String>,
    query: Vec<(String, String)>,
    /// The raw body.
    pub(super) body: &'a [u8],
}

/// What an endpoint answers when it does not fail.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// The result of an endpoint.
pub(super) type Answer = Result<Reply, Failure>;

impl Reply {
    /// 200 with a body.
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, body, headers: Vec::new() }
    }

    /// `{"ok":1}`, the answer of most lifecycle calls.
    pub(super) fn done() -> Self {
        Self::ok(serde_json::json!({ "ok": 1 }))
    }

    /// The HTTP answer.
    pub(super) fn response(self) -> Response {
        let mut response = json_response(self.status, &self.body);
        response.headers.extend(self.headers);
        response
    }
}

impl<'a> Call<'a> {
    /// Decodes a request.
    pub(super) fn new(tenant: TenantId, request: &'a Request) -> Self {
        Self {
            tenant,
            method: &request.method,
            segments: segments(request.path()),
            query: pairs(request.query().unwrap_or_default()),
            body: &request.body,
        }
    }

    /// The first query parameter of that name.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that must be there.
    pub(super) fn required_query(&self, name: &str) -> Result<&str, Failure> {
        self.query(name)
            .filter(|it| !it.is_empty())
            .ok_or_else(|| Failure::invalid(&format!("Required parameter '{name}' is not present")))
    }

    /// The body as a JSON object; an empty body is an empty object.
    pub(super) fn object(&self) -> Result<Value, Failure> {
        object(self.body)
    }
}

/// Reads a body as a JSON object; an empty body is an empty object.
pub(super) fn object(body: &[u8]) -> Result<Value, Failure> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(Failure::invalid("JSON object expected")),
        Err(error) => Err(Failure::invalid(&format!("Malformed JSON: {error}"))),
    }
}

/// A string member that is not empty.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str).filter(|it| !it.is_empty())
}

/// A string member that must be there.
pub(super) fn required_text<'v>(value: &'v Value, name: &str) -> Result<&'v str, Failure> {
    text(value, name).ok_or_else(|| Failure::invalid(&format!("'{name}' must not be empty")))
}

/// A whole number, sent as a number or as a string: partners do both for `ttlInSecs`.
pub(super) fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The path's segments, each decoded on its own, so that `%2F` stays inside a segment.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|segment| decode(segment, b'+')).collect()
}

/// The pairs of a query or a form.
pub(super) fn pairs(encoded: &str) -> Vec<(String, String)> {
    encoded
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, b' '), decode(value, b' '))
        })
        .collect()
}

/// Encodes everything but unreserved characters.
pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn decode(text: &str, plus: u8) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match (byte, hex_pair(&bytes)) {
            (b'%', Some(value)) => {
                decoded.push(value);
                bytes.nth(1);
            }
            (b'+', _) => decoded.push(plus),
            _ => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The byte that the next two hex digits spell, without consuming them.
fn hex_pair(bytes: &std::str::Bytes<'_>) -> Option<u8> {
    let mut ahead = bytes.clone();
    let (high, low) = (ahead.next()?, ahead.next()?);
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
