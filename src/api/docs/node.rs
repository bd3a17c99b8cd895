//! JSON that keeps the order in which it was written, because people read in that order.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<Node>),
    Fields(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The field of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.fields().iter().find(|(it, _)| it == name).map(|(_, it)| it)
    }

    /// The fields, or none.
    pub(super) fn fields(&self) -> &[(String, Self)] {
        if let Self::Fields(fields) = self { fields } else { &[] }
    }

    /// The items, or none.
    pub(super) fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// The text of a field, or none.
    pub(super) fn text(&self, name: &str) -> &str {
        if let Some(Self::Text(text)) = self.get(name) { text } else { "" }
    }

    /// Whether a field is `true`.
    pub(super) fn is(&self, name: &str) -> bool {
        self.get(name) == Some(&Self::Flag(true))
    }

    /// Where it points to, if it is a reference; itself otherwise.
    pub(super) fn resolved<'a>(&'a self, root: &'a Self) -> &'a Self {
        let Some(path) = self.text("$ref").strip_prefix("#/") else { return self };
        path.split('/').try_fold(root, |at, name| at.get(name)).unwrap_or(self)
    }

    /// The last word of a reference.
    pub(super) fn referred(&self) -> Option<&str> {
        self.text("$ref").rsplit('/').next().filter(|it| !it.is_empty())
    }

    /// As JSON on several lines; a text without its quotes.
    pub(super) fn pretty(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            other => serde_json::to_string_pretty(other).unwrap_or_default(),
        }
    }

    /// As JSON on one line; a text without its quotes.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            other => serde_json::to_string(other).unwrap_or_default(),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Flag(it) => serializer.serialize_bool(*it),
            Self::Number(it) => serializer.serialize_i64(*it),
            Self::Text(it) => serializer.serialize_str(it),
            Self::List(items) => serializer.collect_seq(items),
            Self::Fields(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with whole numbers")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Node, E> {
        Ok(Node::Flag(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Node, E> {
        Ok(Node::Number(it))
    }

    fn visit_u64<E: serde::de::Error>(self, it: u64) -> Result<Node, E> {
        i64::try_from(it).map(Node::Number).map_err(E::custom)
    }

    fn visit_str<E>(self, it: &str) -> Result<Node, E> {
        Ok(Node::Text(it.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Fields(fields))
    }
}
