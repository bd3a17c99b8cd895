//! Metadata: the creator's own JSON object, kept as it was written.
//!
//! Only the space between the words goes. A number is kept digit for digit, since reading it as one
//! would round what a client counts on (`12345678901234567890123`, `1.10`); no name stands twice in an
//! object, since two readers would take different ones; and nothing is deeper than readers bear.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::usecase::Failure;

/// The most names of the object itself.
const KEYS_MAX: usize = 50;
/// The most bytes of its compact text.
const BYTES_MAX: usize = 4096;
/// The most objects and lists inside each other, the object itself among them.
const DEPTH_MAX: usize = 32;
/// The most characters of a name in a refusal.
const NAMED_CHARACTERS_MAX: usize = 64;

/// An object's names and values, in order, as they were written.
pub struct Members(pub Vec<(String, Box<RawValue>)>);

impl Members {
    /// The first name that stands twice.
    pub fn doubled(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair.first() == pair.last())?.first().copied()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// Metadata within its bounds, as the compact text that the register keeps.
pub fn checked_metadata(text: &str) -> Result<String, Failure> {
    let Ok(members) = serde_json::from_str::<Members>(text) else {
        return Err(Failure::Invalid("the field `metadata` must be an object".to_owned()));
    };
    let mut compact = String::new();
    let is_small = members.0.len() <= KEYS_MAX && {
        write_members(&members, &mut compact, &Place { name: "metadata", within: None, depth: 1 })?;
        compact.len() <= BYTES_MAX
    };
    is_small.then_some(compact).ok_or_else(|| {
        Failure::Invalid(format!(
            "the field `metadata` must have at most {KEYS_MAX} keys and {BYTES_MAX} bytes"
        ))
    })
}

/// A name as a refusal shows it.
pub fn shown_name(name: &str) -> String {
    name.chars().filter(|it| !it.is_control()).take(NAMED_CHARACTERS_MAX).collect()
}

/// Where a value stands.
struct Place<'a> {
    name: &'a str,
    within: Option<&'a Place<'a>>,
    depth: usize,
}

impl Place<'_> {
    fn path(&self) -> String {
        match self.within {
            None => self.name.to_owned(),
            Some(within) => format!("{}.{}", within.path(), shown_name(self.name)),
        }
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::Invalid(format!("the field `{}` {why}", self.path()))
    }
}

fn write_members(members: &Members, out: &mut String, place: &Place<'_>) -> Result<(), Failure> {
    if let Some(name) = members.doubled() {
        let twice = Place { name, within: Some(place), depth: place.depth };
        return Err(twice.refused("is given twice"));
    }
    out.push('{');
    for (index, (name, value)) in members.0.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        let depth = place.depth.saturating_add(1);
        write_value(value, out, &Place { name, within: Some(place), depth })?;
    }
    out.push('}');
    Ok(())
}

fn write_value(value: &RawValue, out: &mut String, place: &Place<'_>) -> Result<(), Failure> {
    let unreadable = |_json: serde_json::Error| place.refused("holds a text that is not Unicode");
    let is_nested = value.get().starts_with(['{', '[']);
    if is_nested && place.depth > DEPTH_MAX {
        return Err(Failure::Invalid(format!(
            "the field `metadata` must not have more than {DEPTH_MAX} objects and lists inside each \
             other"
        )));
    }
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let members: Members = serde_json::from_str(value.get()).map_err(unreadable)?;
            write_members(&members, out, place)?;
        }
        Some(b'[') => {
            let items: Vec<Box<RawValue>> =
                serde_json::from_str(value.get()).map_err(unreadable)?;
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                let depth = place.depth.saturating_add(1);
                write_value(item, out, &Place { name: place.name, within: place.within, depth })?;
            }
            out.push(']');
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(value.get()).map_err(unreadable)?;
            write_text(&text, out);
        }
        _ => out.push_str(value.get()),
    }
    Ok(())
}

/// Cannot fail: every text is a JSON string.
fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match checked_metadata(text) {
            Err(Failure::Invalid(why)) => why,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_number_is_kept_digit_for_digit() {
        for number in [
            "12345678901234567890123",
            "18446744073709551616",
            "1.10",
            "1e400",
            "-0",
            "-0.0",
            "1E+2",
            "0.1000000000000000055511151231257827021181583404541015625",
        ] {
            for text in [format!(r#"{{"a":{number}}}"#), format!(r#"{{"a":[[{{"b":{number}}}]]}}"#)]
            {
                assert_eq!(checked_metadata(&text).unwrap(), text);
            }
        }
    }

    #[test]
    fn only_the_space_between_words_goes() {
        let text = " { \"z\" : [ 1 , true ,null ] ,\n\"a\":{ },\"t\":\"a  b\\u00e9\" } ";

        assert_eq!(checked_metadata(text).unwrap(), r#"{"z":[1,true,null],"a":{},"t":"a  bé"}"#);
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth_by_its_path() {
        for (text, path) in [
            (r#"{"a":1,"a":2}"#, "`metadata.a`"),
            (r#"{"a":1,"b":2,"\u0061":1}"#, "`metadata.a`"),
            (r#"{"a":{"b":[0,{"c":1,"c":1}]}}"#, "`metadata.a.b.c`"),
        ] {
            let why = refused(text);
            assert!(why.contains(path) && why.contains("given twice"), "{text}: {why}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested =
            |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));

        assert!(checked_metadata(&nested(DEPTH_MAX - 1)).is_ok());
        assert!(refused(&nested(DEPTH_MAX)).contains("32 objects and lists"));
        assert!(refused(&nested(30_000)).contains("32 objects and lists"));
    }

    #[test]
    fn what_is_no_object_or_no_text_is_refused() {
        for text in ["", "[]", "null", "1", "{", r#"{"a":01}"#, r#"{"a":NaN}"#] {
            assert!(refused(text).contains("must be an object"), "{text}");
        }
        assert!(refused(r#"{"a":["\ud800"]}"#).contains("`metadata.a`"));
    }
}
