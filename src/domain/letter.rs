//! The text of a Letter of Authorization: a template with blanks, filled in for two parties and a
//! day. What comes out is what a customer reads, byte for byte what is hashed, and what is kept.
//!
//! ```text
//! version: 2026-11
//!
//! == BUSINESS ==
//! … {customer} {customer_id} {broker} {broker_id} {date} {version} …
//!
//! == INDIVIDUAL ==
//! …
//! ```
//! Blanks are filled in one pass, so a name that looks like a blank stays a name.

use crate::domain::organization::{Organization, OrganizationType};
use crate::domain::timestamp::Timestamp;

/// The text in this repository, in the form that an operator's own text file has.
pub const STANDARD_LETTER: &str = include_str!("letter.txt");
/// The longest text file, in bytes: a letter is read on a phone.
pub const LETTER_BYTES_MAX: usize = 64 * 1024;
/// The most characters of a version.
const VERSION_CHARACTERS_MAX: usize = 40;
/// The blanks without which a letter would not say who authorizes whom, and when.
const REQUIRED: [&str; 3] = ["customer", "broker", "date"];

/// A letter with blanks, for both types of customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterTemplate {
    version: String,
    business: Vec<Piece>,
    individual: Vec<Piece>,
}

/// Why a text file is no template. The operator can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterError {
    /// The first line is not `version: …` with 1 to 40 characters.
    NoVersion,
    /// A section is missing or empty.
    NoSection(&'static str),
    /// A blank that is not known.
    UnknownBlank(String),
    /// A blank that every letter needs is missing in a section.
    MissingBlank(&'static str, &'static str),
    /// A control character other than a line break.
    ControlCharacter,
    /// The file is larger than [`LETTER_BYTES_MAX`].
    TooLong,
}

impl std::fmt::Display for LetterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoVersion => write!(
                f,
                "the first line must be `version: …` with 1 to {VERSION_CHARACTERS_MAX} characters"
            ),
            Self::NoSection(name) => write!(f, "there is no text under `== {name} ==`"),
            Self::UnknownBlank(name) => write!(
                f,
                "{{{name}}} is not known: write {{customer}}, {{customer_id}}, {{broker}}, \
                 {{broker_id}}, {{date}} or {{version}}"
            ),
            Self::MissingBlank(section, name) => {
                write!(f, "the {section} text must name {{{name}}}")
            }
            Self::ControlCharacter => f.write_str("it holds a control character"),
            Self::TooLong => write!(f, "it is longer than {LETTER_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for LetterError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blank {
    Customer,
    CustomerId,
    Broker,
    BrokerId,
    Date,
    Version,
}

impl Blank {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "customer" => Some(Self::Customer),
            "customer_id" => Some(Self::CustomerId),
            "broker" => Some(Self::Broker),
            "broker_id" => Some(Self::BrokerId),
            "date" => Some(Self::Date),
            "version" => Some(Self::Version),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Words(String),
    Blank(Blank),
}

impl LetterTemplate {
    /// Reads a text file. Line ends of either kind are line feeds from here on.
    pub fn parse(file: &str) -> Result<Self, LetterError> {
        if file.len() > LETTER_BYTES_MAX {
            return Err(LetterError::TooLong);
        }
        let file = file.strip_prefix('\u{feff}').unwrap_or(file).replace("\r\n", "\n");
        if file.chars().any(|it| it.is_control() && it != '\n') {
            return Err(LetterError::ControlCharacter);
        }
        let (first, rest) = file.split_once('\n').ok_or(LetterError::NoVersion)?;
        let version = first.strip_prefix("version:").map(str::trim).unwrap_or_default();
        if !(1..=VERSION_CHARACTERS_MAX).contains(&version.chars().count()) {
            return Err(LetterError::NoVersion);
        }
        Ok(Self {
            version: version.to_owned(),
            business: section(rest, "BUSINESS")?,
            individual: section(rest, "INDIVIDUAL")?,
        })
    }

    /// The version, as the file names it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The letter by which `customer` authorizes `broker`, dated the day of `at` in UTC. Ends with a
    /// line feed.
    pub fn compose(&self, customer: &Organization, broker: &Organization, at: Day) -> String {
        let pieces = match customer.kind {
            OrganizationType::Business => &self.business,
            OrganizationType::Individual => &self.individual,
        };
        let date = at.to_string();
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Words(words) => words.as_str(),
                Piece::Blank(Blank::Customer) => customer.name.as_str(),
                Piece::Blank(Blank::CustomerId) => customer.id.as_str(),
                Piece::Blank(Blank::Broker) => broker.name.as_str(),
                Piece::Blank(Blank::BrokerId) => broker.id.as_str(),
                Piece::Blank(Blank::Date) => date.as_str(),
                Piece::Blank(Blank::Version) => self.version.as_str(),
            })
            .collect()
    }
}

fn section(file: &str, name: &'static str) -> Result<Vec<Piece>, LetterError> {
    let (_, from) =
        file.split_once(&format!("== {name} ==\n")).ok_or(LetterError::NoSection(name))?;
    let text = from.split_once("\n== ").map_or(from, |(text, _)| text).trim();
    if text.is_empty() {
        return Err(LetterError::NoSection(name));
    }
    let pieces = pieces(&format!("{text}\n"))?;
    for required in REQUIRED {
        let wanted = Blank::parse(required).map(Piece::Blank);
        if !pieces.iter().any(|it| Some(it) == wanted.as_ref()) {
            return Err(LetterError::MissingBlank(name, required));
        }
    }
    Ok(pieces)
}

fn pieces(text: &str) -> Result<Vec<Piece>, LetterError> {
    let mut parts = text.split('{');
    let mut pieces = vec![Piece::Words(parts.next().unwrap_or_default().to_owned())];
    for part in parts {
        let unknown = || LetterError::UnknownBlank(part.chars().take(20).collect());
        let (name, words) = part.split_once('}').ok_or_else(unknown)?;
        let blank = Blank::parse(name)
            .ok_or_else(|| LetterError::UnknownBlank(name.chars().take(20).collect()))?;
        pieces.push(Piece::Blank(blank));
        pieces.push(Piece::Words(words.to_owned()));
    }
    Ok(pieces)
}

/// A day in UTC, as a letter is dated: `2026-05-15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(Timestamp);

impl Day {
    /// The day in which an instant lies.
    pub fn of(at: Timestamp) -> Self {
        let ms = at.as_ms();
        Self(Timestamp::from_ms(ms.saturating_sub(ms.rem_euclid(86_400_000))))
    }

    /// The day before.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.plus_ms(-86_400_000))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split_once('T').map_or(text.as_str(), |(day, _)| day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::organization::{Name, OrganizationId};

    fn organization(id: &str, name: &str, kind: OrganizationType) -> Organization {
        Organization {
            id: OrganizationId::new(id),
            name: Name::parse(name).unwrap(),
            kind,
            created_by: None,
            metadata: "{}".to_owned(),
            created_at: Timestamp::from_ms(0),
        }
    }

    #[test]
    fn the_standard_letter_names_parties_day_and_version_in_both_wordings() {
        let template = LetterTemplate::parse(STANDARD_LETTER).unwrap();
        let broker = organization("org_b", "Broker Ltd.", OrganizationType::Business);
        let day = Day::of(Timestamp::from_ms(1_767_323_045_000));

        let [business, individual] = [OrganizationType::Business, OrganizationType::Individual]
            .map(|kind| template.compose(&organization("org_c", "Acme", kind), &broker, day));

        for text in [&business, &individual] {
            assert!(text.contains("Date: 2026-01-02\n") && text.contains("version 2026-11"));
            assert!(text.contains("From: Acme") && text.contains("To: Broker Ltd."));
            assert!(text.contains("org_c") && text.contains("org_b") && !text.contains('{'));
            assert!(text.ends_with(".\n") && !text.ends_with("\n\n") && !text.contains("== "));
        }
        assert_ne!(business, individual);
    }

    #[test]
    fn a_name_that_looks_like_a_blank_stays_a_name() {
        let template = LetterTemplate::parse(STANDARD_LETTER).unwrap();
        let customer = organization("org_c", "{broker} == X ==", OrganizationType::Business);
        let broker = organization("org_b", "{customer}", OrganizationType::Business);

        let text = template.compose(&customer, &broker, Day::of(Timestamp::from_ms(0)));

        assert!(text.contains("From: {broker} == X ==") && text.contains("To: {customer}"));
    }

    #[test]
    fn a_text_file_that_is_no_template_is_refused_with_what_is_wrong() {
        let whole = "version: 1\n== BUSINESS ==\n{customer}{broker}{date}\n== INDIVIDUAL ==\n\
                     {customer} {broker} {date}\n";
        assert!(LetterTemplate::parse(whole).is_ok());
        assert!(LetterTemplate::parse(&whole.replace('\n', "\r\n")).is_ok());
        for (from, to, expected) in [
            ("version: 1", "version:", LetterError::NoVersion),
            ("== INDIVIDUAL ==", "==", LetterError::NoSection("INDIVIDUAL")),
            ("{date}\n== I", "\n== I", LetterError::MissingBlank("BUSINESS", "date")),
            ("{date}\n== I", "{day}\n== I", LetterError::UnknownBlank("day".to_owned())),
            ("{date}\n== I", "\u{7}\n== I", LetterError::ControlCharacter),
        ] {
            assert_eq!(LetterTemplate::parse(&whole.replace(from, to)), Err(expected));
        }
    }
    #[test]
    fn a_template_may_be_as_long_as_its_bound_and_no_longer() {
        let shortest = "version: 1\n== BUSINESS ==\n{customer}{broker}{date}\n\
                        == INDIVIDUAL ==\n{customer}{broker}{date}";
        let blanks = |length: usize| " ".repeat(length.saturating_sub(shortest.len()));
        let of = |length| format!("{shortest}{}", blanks(length));

        assert!(LetterTemplate::parse(&of(LETTER_BYTES_MAX)).is_ok());
        for longer in [LETTER_BYTES_MAX + 1, LETTER_BYTES_MAX + 2] {
            assert_eq!(LetterTemplate::parse(&of(longer)), Err(LetterError::TooLong));
        }
    }

    #[test]
    fn a_version_has_1_to_40_characters() {
        let of = |version: &str| {
            STANDARD_LETTER.replace("version: 2026-11\n", &format!("version: {version}\n"))
        };

        let longest = "é".repeat(40);
        assert_eq!(LetterTemplate::parse(&of(&longest)).unwrap().version(), longest);
        assert_eq!(LetterTemplate::parse(&of("v")).unwrap().version(), "v");
        for refused in ["", " ", &"é".repeat(41)] {
            assert_eq!(LetterTemplate::parse(&of(refused)), Err(LetterError::NoVersion));
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_in_its_own_words() {
        for (error, words) in [
            (LetterError::NoVersion, "`version: …`"),
            (LetterError::NoSection("INDIVIDUAL"), "`== INDIVIDUAL ==`"),
            (LetterError::UnknownBlank("day".to_owned()), "{day} is not known"),
            (LetterError::MissingBlank("BUSINESS", "date"), "BUSINESS text must name {date}"),
            (LetterError::ControlCharacter, "control character"),
            (LetterError::TooLong, "65536 bytes"),
        ] {
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc_and_follows_the_day_before() {
        let day = |text: &str| Day::of(Timestamp::parse(text).unwrap());

        assert_eq!(day("2026-03-01T00:00:00.000Z").to_string(), "2026-03-01");
        assert_eq!(day("2026-03-01T23:59:59.999Z"), day("2026-03-01"));
        assert_ne!(day("2026-03-02T00:00:00.000Z"), day("2026-03-01"));
        assert_eq!(day("2026-03-01").before().to_string(), "2026-02-28");
    }
}
