//! Organizations: who is verified, and who acts.

use std::fmt;

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

/// An organization's name: 1 to 200 characters after trimming, and [`is_legible`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// The most characters that a name may have.
pub const NAME_CHARACTERS_MAX: usize = 200;

impl Name {
    /// Trims and checks a name.
    pub fn parse(text: &str) -> Option<Self> {
        let trimmed = text.trim();
        let fits = trimmed.chars().count() <= NAME_CHARACTERS_MAX && is_legible(trimmed);
        fits.then(|| Self(trimmed.to_owned()))
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

/// Whether whoever reads a text sees somebody named, in the order of its characters: there is a letter
/// or a digit, and none of those characters that are used to hide something or to turn it around. A
/// letter that is signed is read by people, and its SHA-256 covers what they did not see as well.
pub fn is_legible(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric) && !text.chars().any(is_unseen)
}

/// Control characters; zero-width and bidirectional formatting characters (Unicode Standard Annex 9,
/// section 2); line and paragraph separators; and the letters that are blank (Hangul fillers). Not the
/// joiners U+200C and U+200D, with which Persian and Indic names are written.
fn is_unseen(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(it, '\u{2060}'..='\u{2069}' | '\u{feff}')
        || matches!(it, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_bounded() {
        assert_eq!(Name::parse("  Acme  ").unwrap().as_str(), "Acme");
        assert!(Name::parse(&"é".repeat(200)).is_some());
        for refused in ["", "   ", "a\u{0}b", "a\nb", &"x".repeat(201)] {
            assert!(Name::parse(refused).is_none(), "{refused:?}");
        }
    }

    #[test]
    fn a_name_is_seen_whole_and_in_its_order() {
        for written in
            ["Zoë O'Neill-Núñez", "李小龙", "محمد", "علی\u{200c}رضا", "Владимир", "3M", "Ĳ"]
        {
            assert!(Name::parse(written).is_some(), "{written:?}");
        }
        for unseen in [
            "\u{200b}", "\u{200f}", "\u{2028}", "\u{202a}", "\u{202e}", "\u{2060}", "\u{2069}",
            "\u{feff}", "\u{61c}", "\u{3164}",
        ] {
            assert!(Name::parse(unseen).is_none(), "{unseen:?}");
            assert!(Name::parse(&format!("Acme{unseen}Ltd.")).is_none(), "{unseen:?}");
        }
        for marks in ["-", "...", "?!", "\u{2800}", "\u{301}", "\u{200c}\u{200d}"] {
            assert!(Name::parse(marks).is_none(), "{marks:?}");
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
