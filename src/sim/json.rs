//! JSON whose members keep their order, printed as Jackson's default pretty printer prints it.
//!
//! Webhook bodies are signed bytes: the layout is part of the contract, because a receiver that
//! parses and re-serialises must fail here exactly as it fails in production. The layout was
//! checked against captured, signed deliveries: two spaces of indent, a space on both sides of the
//! colon, arrays inline, no newline at the end.

use serde_json::Value;

/// A JSON value with ordered members, whose names it borrows.
#[derive(Clone, Debug)]
pub(super) enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number. No field of a webhook is one; a test may put one where a text belongs.
    Number(serde_json::Number),
    /// A string.
    Text(String),
    /// An array, printed on one line.
    List(Vec<Json<'a>>),
    /// An object, one member a line.
    Object(Vec<(&'a str, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// A string value.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Any value, its members in the order that they have there.
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::text(text),
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Object(members) => Self::Object(
                members.iter().map(|(name, value)| (name.as_str(), Self::of(value))).collect(),
            ),
        }
    }

    /// The value in Jackson's pretty layout.
    pub(super) fn jackson(&self) -> String {
        let mut out = String::new();
        self.print(&mut out, 0);
        out
    }

    fn print(&self, out: &mut String, depth: usize) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::List(items) => print_list(items, out, depth),
            Self::Object(members) => print_object(members, out, depth),
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Arrays stay inline and do not deepen the indent of objects inside them.
fn print_list(items: &[Json<'_>], out: &mut String, depth: usize) {
    out.push_str("[ ");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        item.print(out, depth);
    }
    out.push_str(if items.is_empty() { "]" } else { " ]" });
}

fn print_object(members: &[(&str, Json<'_>)], out: &mut String, depth: usize) {
    if members.is_empty() {
        out.push_str("{ }");
        return;
    }
    out.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        out.push_str(&"  ".repeat(depth + 1));
        out.push_str(&quoted(name));
        out.push_str(" : ");
        value.print(out, depth + 1);
    }
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_printed_as_jackson_prints_it() {
        let value = Json::Object(vec![
            (
                "applicantMemberOf",
                Json::List(vec![Json::Object(vec![("applicantId", Json::text("a"))])]),
            ),
            ("rejectLabels", Json::List(vec![Json::text("A"), Json::text("B")])),
            ("buttonIds", Json::List(vec![])),
            ("empty", Json::Object(vec![])),
            ("reviewResult", Json::Object(vec![("reviewAnswer", Json::text("GR\"EEN"))])),
            ("sandboxMode", Json::Bool(true)),
            ("none", Json::Null),
        ]);

        assert_eq!(
            value.jackson(),
            "{\n  \"applicantMemberOf\" : [ {\n    \"applicantId\" : \"a\"\n  } ],\n  \
             \"rejectLabels\" : [ \"A\", \"B\" ],\n  \"buttonIds\" : [ ],\n  \"empty\" : { },\n  \
             \"reviewResult\" : {\n    \"reviewAnswer\" : \"GR\\\"EEN\"\n  },\n  \
             \"sandboxMode\" : true,\n  \"none\" : null\n}"
        );
    }
}
