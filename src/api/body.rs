//! Request bodies, read strictly: one JSON object, no unknown, doubled, missing or ill-typed field.
//!
//! Read by name and not by derive, because the derived errors quote values, and a share token stands
//! in one of the bodies.

use serde_json::Value;
use serde_json::value::RawValue;

use super::error::ApiError;
use crate::http::Request;
use crate::usecase::metadata::{Members, shown_name};

/// The fields of a body that have not been taken yet, as they were written.
pub(super) struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    /// Reads a body that must be there.
    pub(super) fn read(request: &Request) -> Result<Self, ApiError> {
        let is_json = request.header("content-type").is_some_and(|it| {
            it.split(';').next().unwrap_or(it).trim().eq_ignore_ascii_case("application/json")
        });
        if request.body.trim_ascii().is_empty() {
            return Err(ApiError::invalid("the body must be a JSON object, and is empty"));
        }
        if !is_json {
            return Err(ApiError::UnsupportedMediaType);
        }
        let object: Members = serde_json::from_slice(&request.body).map_err(|error| {
            ApiError::invalid(format!(
                "the body must be one JSON object; it does not read as one at line {}, column {}",
                error.line(),
                error.column()
            ))
        })?;
        // Two readers would take different ones.
        if let Some(name) = object.doubled() {
            let name = shown_name(name);
            return Err(ApiError::invalid(format!("the field `{name}` is given twice")));
        }
        Ok(Self(object.0))
    }

    /// Reads a body that may be left out: then it is an empty object.
    pub(super) fn read_optional(request: &Request) -> Result<Self, ApiError> {
        if is_left_out(&request.body) { Ok(Self(Vec::new())) } else { Self::read(request) }
    }

    /// Reads the body of a route that takes none: nothing, or an empty object.
    pub(super) fn none(request: &Request) -> Result<(), ApiError> {
        Self::read_optional(request)?.end()
    }

    /// A value as it was written; may be absent or null.
    pub(super) fn optional_written(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(it, _)| it == name)?;
        Some(self.0.swap_remove(at).1).filter(|it| it.get() != "null")
    }

    /// A value, null included.
    fn take(&mut self, name: &str) -> Result<Option<Value>, ApiError> {
        let Some(at) = self.0.iter().position(|(it, _)| it == name) else { return Ok(None) };
        let written = self.0.swap_remove(at).1;
        // Syntax is right already: a number beyond all bounds, half a character, or too much nesting.
        serde_json::from_str(written.get())
            .map(Some)
            .map_err(|_json| ApiError::invalid(format!("the field `{name}` cannot be read")))
    }

    /// A string that must be there.
    pub(super) fn text(&mut self, name: &str) -> Result<String, ApiError> {
        self.optional_text(name)?.ok_or_else(|| {
            ApiError::invalid(format!("the field `{name}` is missing; it must be a string"))
        })
    }

    /// A string that may be absent or null.
    pub(super) fn optional_text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name)? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::invalid(format!("the field `{name}` must be a string"))),
        }
    }

    /// A list of strings that may be absent or null.
    pub(super) fn optional_texts(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let wrong = || ApiError::invalid(format!("the field `{name}` must be a list of strings"));
        match self.take(name)? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|it| it.as_str().map(ToOwned::to_owned).ok_or_else(wrong))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong()),
        }
    }

    /// A whole number from 0 on that may be absent or null.
    pub(super) fn optional_count(&mut self, name: &str) -> Result<Option<u32>, ApiError> {
        match self.take(name)? {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_u64().and_then(|it| u32::try_from(it).ok()).map(Some).ok_or_else(|| {
                    ApiError::invalid(format!(
                        "the field `{name}` must be a whole number from 0 on"
                    ))
                })
            }
        }
    }

    /// A string that may be absent; null is the empty one.
    pub(super) fn nullable_text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name)? {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(String::new())),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => {
                Err(ApiError::invalid(format!("the field `{name}` must be a string or null")))
            }
        }
    }

    /// True or false; may be absent or null.
    pub(super) fn optional_bool(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name)? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(it)) => Ok(Some(it)),
            Some(_) => Err(ApiError::invalid(format!("the field `{name}` must be true or false"))),
        }
    }

    /// Refuses what nobody has taken.
    pub(super) fn end(self) -> Result<(), ApiError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name = shown_name(name);
                Err(ApiError::invalid(format!("the field `{name}` is not known here")))
            }
        }
    }
}

/// Nothing, white space, or `null`, which generated clients send where a body is optional.
fn is_left_out(body: &[u8]) -> bool {
    matches!(body.trim_ascii(), b"" | b"null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Result<Fields, ApiError> {
        Fields::read(&Request {
            method: "POST".to_owned(),
            target: "/".to_owned(),
            headers: vec![(
                "content-type".to_owned(),
                "application/json; charset=utf-8".to_owned(),
            )],
            body: body.as_bytes().to_vec(),
            peer: None,
        })
    }

    #[test]
    fn a_body_is_one_object_without_doubled_fields() {
        for refused in ["", "[]", "1", "{", "{\"a\":1}x", "{\"a\":1,\"a\":1}", "\u{feff}{}", "nul"]
        {
            assert!(fields(refused).is_err(), "{refused}");
        }
        assert!(fields(&"[".repeat(5000)).is_err());
    }

    #[test]
    fn a_refusal_names_the_field_and_never_its_value() {
        let mut it = fields(r#"{"shareToken":{"x":"SECRET"},"extra":"SECRET"}"#).unwrap();

        let wrong = format!("{:?}", it.text("shareToken").unwrap_err());
        let unknown = format!("{:?}", it.end().unwrap_err());
        let twice = fields(r#"{"b":1,"shareToken":"SECRET","shareToken":"SECRET"}"#);
        let twice = format!("{:?}", twice.err().unwrap());

        assert!(wrong.contains("`shareToken` must be a string"), "{wrong}");
        assert!(unknown.contains("`extra` is not known"), "{unknown}");
        assert!(twice.contains("`shareToken` is given twice"), "{twice}");
        assert!(!twice.contains("SECRET"));
        assert!(!wrong.contains("SECRET") && !unknown.contains("SECRET"));
    }
}
