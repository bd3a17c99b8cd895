//! Request bodies, read strictly: one JSON object, no unknown, doubled, missing or ill-typed field.
//!
//! Read by name and not by derive, because the derived errors quote values, and a share token stands
//! in one of the bodies.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::error::ApiError;
use crate::http::Request;

/// The fields of a body that have not been taken yet.
pub(super) struct Fields(Vec<(String, Value)>);

impl Fields {
    /// Reads a body that must be there.
    pub(super) fn read(request: &Request) -> Result<Self, ApiError> {
        let is_json = request.header("content-type").is_some_and(|it| {
            it.split(';').next().unwrap_or(it).trim().eq_ignore_ascii_case("application/json")
        });
        if request.body.is_empty() {
            return Err(ApiError::invalid("the body must be a JSON object, and is empty"));
        }
        if !is_json {
            return Err(ApiError::UnsupportedMediaType);
        }
        let object: Object = serde_json::from_slice(&request.body).map_err(|error| {
            if error.is_data() && error.to_string().starts_with(DOUBLED) {
                return ApiError::invalid("a field of the body is given twice");
            }
            ApiError::invalid(format!(
                "the body must be one JSON object; it does not read as one at line {}, column {}",
                error.line(),
                error.column()
            ))
        })?;
        Ok(Self(object.0))
    }

    /// Reads a body that may be left out: then it is an empty object.
    pub(super) fn read_optional(request: &Request) -> Result<Self, ApiError> {
        if request.body.is_empty() { Ok(Self(Vec::new())) } else { Self::read(request) }
    }

    /// Reads the body of a route that takes none: nothing, or an empty object.
    pub(super) fn none(request: &Request) -> Result<(), ApiError> {
        if request.body.is_empty() { Ok(()) } else { Self::read(request)?.end() }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(it, _)| it == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// A string that must be there.
    pub(super) fn text(&mut self, name: &str) -> Result<String, ApiError> {
        self.optional_text(name)?.ok_or_else(|| {
            ApiError::invalid(format!("the field `{name}` is missing; it must be a string"))
        })
    }

    /// A string that may be absent or null.
    pub(super) fn optional_text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::invalid(format!("the field `{name}` must be a string"))),
        }
    }

    /// A list of strings that may be absent or null.
    pub(super) fn optional_texts(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let wrong = || ApiError::invalid(format!("the field `{name}` must be a list of strings"));
        match self.take(name) {
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
        match self.take(name) {
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

    /// An object that may be absent or null.
    pub(super) fn optional_object(
        &mut self,
        name: &str,
    ) -> Result<Option<serde_json::Map<String, Value>>, ApiError> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(ApiError::invalid(format!("the field `{name}` must be an object"))),
        }
    }

    /// A string that may be absent; null is the empty one.
    pub(super) fn nullable_text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
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
        match self.take(name) {
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
                let name: String = name.chars().filter(|it| !it.is_control()).take(64).collect();
                Err(ApiError::invalid(format!("the field `{name}` is not known here")))
            }
        }
    }
}

/// A JSON object in which no name stands twice: two readers would take different ones.
struct Object(Vec<(String, Value)>);

const DOUBLED: &str = "doubled field";

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut fields: Vec<(String, Value)> = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(A::Error::custom(DOUBLED));
        }
        Ok(Object(fields))
    }
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

        assert!(wrong.contains("`shareToken` must be a string"), "{wrong}");
        assert!(unknown.contains("`extra` is not known"), "{unknown}");
        assert!(!wrong.contains("SECRET") && !unknown.contains("SECRET"));
    }
}
