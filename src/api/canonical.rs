//! When two requests are the same: JSON is compared as what it says, not as the bytes it came in.
//!
//! The order of an object's fields, white space and the escapes of a string say nothing. A number counts
//! as it is written: `1.10` and `1.1` may be two amounts to whoever wrote them. What is no JSON is compared
//! by its bytes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Deeper bodies are refused by every route, and are compared by their bytes.
const DEPTH_MAX: usize = 128;

/// A body in the one form that all bodies that say the same have. The first byte says which kind it is,
/// since that form is no JSON itself, and somebody may send it.
pub(super) fn body(bytes: &[u8]) -> Vec<u8> {
    let parsed = serde_json::from_slice::<&RawValue>(bytes).ok();
    let mut text = "J".to_owned();
    match parsed.map(|it| write(it, 0, &mut text)) {
        Some(Some(())) => text.into_bytes(),
        Some(None) | None => [b"R", bytes].concat(),
    }
}

/// A query likewise: the order of its parts says nothing.
pub(super) fn query(text: &str) -> String {
    let mut parts: Vec<&str> = text.split('&').collect();
    parts.sort_unstable();
    parts.join("&")
}

/// `None`: it cannot be written, and is compared by its bytes.
fn write(value: &RawValue, depth: usize, to: &mut String) -> Option<()> {
    let text = value.get().trim();
    if depth > DEPTH_MAX {
        return None;
    }
    let deeper = depth.saturating_add(1);
    match text.as_bytes().first()? {
        b'{' => {
            let mut fields = serde_json::from_str::<Fields<'_>>(text).ok()?.0;
            // Stable: of a field that is given twice the order says which is meant.
            fields.sort_by(|(left, _), (right, _)| left.cmp(right));
            to.push('{');
            for (name, value) in fields {
                to.push_str(&serde_json::to_string(&name).ok()?);
                to.push(':');
                write(value, deeper, to)?;
                to.push(',');
            }
            to.push('}');
        }
        b'[' => {
            to.push('[');
            for value in serde_json::from_str::<Vec<&RawValue>>(text).ok()? {
                write(value, deeper, to)?;
                to.push(',');
            }
            to.push(']');
        }
        b'"' => {
            let string: String = serde_json::from_str(text).ok()?;
            to.push_str(&serde_json::to_string(&string).ok()?);
        }
        _ => to.push_str(text),
    }
    Some(())
}

/// Every field of an object, doubled ones too.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor).map(Fields)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_say_the_same_are_the_same() {
        let same = [
            (
                r#"{"name":"Acme","type":"BUSINESS"}"#,
                "{ \"type\" :\n\"BUSINESS\", \"name\":\"Acme\" }",
            ),
            (r#"{"a":{"x":1,"y":[1,{"p":2,"q":3}]}}"#, r#"{"a":{"y":[1,{"q":3,"p":2}],"x":1}}"#),
            (r#"{"name":"A\u0063me"}"#, r#"{"name":"Acme"}"#),
            (" null ", "null"),
        ];
        for (one, other) in same {
            assert_eq!(body(one.as_bytes()), body(other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn bodies_that_say_something_else_are_not() {
        let different = [
            (r#"{"a":1.10}"#, r#"{"a":1.1}"#),
            (r#"{"a":1}"#, r#"{"a":"1"}"#),
            (r#"{"a":18446744073709551616}"#, r#"{"a":18446744073709551617}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("{}", ""),
            ("{}", "null"),
            (r#"{"a":1}"#, r#"{"a":1,}"#),
            ("{\"a\":1", "{ \"a\":1"),
            ("{\"a\":\"\\ud800\"}", "{\"a\": \"\\ud800\"}"),
        ];
        for (one, other) in different {
            assert_ne!(body(one.as_bytes()), body(other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn what_is_too_deep_or_no_json_is_compared_by_its_bytes() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for bytes in [deep.as_bytes(), b"\xff\xfe", b"{", b"{}x", b""] {
            assert_eq!(body(bytes), [b"R", bytes].concat());
        }
    }

    #[test]
    fn the_order_of_a_query_says_nothing() {
        assert_eq!(query("b=2&a=1"), query("a=1&b=2"));
        assert_ne!(query("a=1"), query("a=2"));
        assert_eq!(query(""), "");
    }
}
