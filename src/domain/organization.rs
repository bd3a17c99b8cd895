//! Organizations: who is verified, and who acts.

use std::fmt;

use crate::domain::text;
use crate::domain::timestamp::Timestamp;

/// The id of an organization: `org_` and 32 lower-case hex digits when we made it.
///
/// To callers an id is opaque: any text may be asked for, and one of another form is simply not
/// found. So this type promises nothing about its form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationId(String);

impl OrganizationId {
    /// Takes an id as a caller or the register gave it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of customer an organization is. Fixed at creation: it decides between KYB and KYC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganizationType {
    /// A company, verified by KYB.
    Business,
    /// A natural person, verified by KYC.
    Individual,
}

impl OrganizationType {
    /// Reads the contract's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "BUSINESS" => Some(Self::Business),
            "INDIVIDUAL" => Some(Self::Individual),
            _ => None,
        }
    }

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Business => "BUSINESS",
            Self::Individual => "INDIVIDUAL",
        }
    }
}

/// An organization as the register holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: Name,
    /// KYB or KYC.
    pub kind: OrganizationType,
    /// The broker that created it; `None` if an operator did.
    pub created_by: Option<OrganizationId>,
    /// The creator's own JSON object, as compact text.
    pub metadata: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An organization's name: 1 to 200 characters that name somebody, by the rule of [`text::name`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// The most characters that a name may have.
pub const NAME_CHARACTERS_MAX: usize = 200;

impl Name {
    /// Trims and checks a name.
    pub fn parse(text: &str) -> Result<Self, text::Objection> {
        text::name(text, NAME_CHARACTERS_MAX).map(|it| Self(it.to_owned()))
    }

    /// A name that was taken once, by the rule of its day: no later rule makes its row unreadable.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_bounded() {
        assert_eq!(Name::parse("  Acme  ").unwrap().as_str(), "Acme");
        assert!(Name::parse(&"é".repeat(200)).is_ok());
        for refused in ["", "   ", "a\u{0}b", "a\nb", &"x".repeat(201)] {
            assert!(Name::parse(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn an_id_is_any_text_and_a_type_one_of_two_words() {
        assert_eq!(OrganizationId::new("any thing").to_string(), "any thing");
        for (kind, word) in
            [(OrganizationType::Business, "BUSINESS"), (OrganizationType::Individual, "INDIVIDUAL")]
        {
            assert_eq!(kind.as_str(), word);
            assert_eq!(OrganizationType::parse(word), Some(kind));
        }
        for unknown in ["", "business", "COMPANY"] {
            assert_eq!(OrganizationType::parse(unknown), None);
        }
    }
}
