//! The text of a Letter of Authorization: a template with blanks, filled in for two parties and a
//! day. What comes out is what a customer reads, byte for byte what is hashed, and what is kept.
//!
//! ```text
//! version: 2026-11
//! language: en
//!
//! == BUSINESS ==
//! … {customer} {customer_id} {broker} {broker_id} {date} {version} …
//!
//! == INDIVIDUAL ==
//! …
//! ```
//! Blanks are filled in one pass, so a name that looks like a blank stays a name. The language may be
//! left out: then no page claims one.

use crate::domain::organization::{Organization, OrganizationType};
use crate::domain::text;
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
    language: Option<Language>,
    business: Vec<Piece>,
    individual: Vec<Piece>,
}

/// Why a text file is no template. The operator can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterError {
    /// The first line is not `version: …` with 1 to 40 characters.
    NoVersion,
    /// The line `language: …` has no language tag of BCP 47.
    BadLanguage,
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
            Self::BadLanguage => f.write_str(
                "the line `language: …` must have a language tag, as de, pt-BR or ar; or leave it out",
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
        let version = text::line(version, VERSION_CHARACTERS_MAX)
            .map_err(|_objection| LetterError::NoVersion)?;
        let (head, _) = rest.split_once("== ").unwrap_or((rest, ""));
        let language = head.lines().find_map(|it| it.strip_prefix("language:"));
        let language = match language {
            Some(tag) => Some(Language::parse(tag.trim()).ok_or(LetterError::BadLanguage)?),
            None => None,
        };
        Ok(Self {
            version: version.to_owned(),
            language,
            business: section(rest, "BUSINESS")?,
            individual: section(rest, "INDIVIDUAL")?,
        })
    }

    /// The version, as the file names it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The language that the file names, if it names one.
    pub fn language(&self) -> Option<&Language> {
        self.language.as_ref()
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

/// The language of a letter: a tag of BCP 47.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language(String);

/// The longest tag: BCP 47 asks for room for 35 characters.
const LANGUAGE_CHARACTERS_MAX: usize = 35;
/// Languages that are written from right to left where the tag names no script.
const RIGHT_TO_LEFT: [&str; 14] =
    ["ar", "arc", "ckb", "dv", "fa", "he", "iw", "nqo", "ps", "sd", "syr", "ug", "ur", "yi"];
/// Scripts that run from right to left (ISO 15924).
const RIGHT_TO_LEFT_SCRIPTS: [&str; 10] =
    ["adlm", "arab", "aran", "hebr", "mand", "nkoo", "rohg", "samr", "syrc", "thaa"];

impl Language {
    /// Takes a tag: a language of 2 to 8 letters, and subtags of 1 to 8 letters or digits.
    fn parse(tag: &str) -> Option<Self> {
        let mut subtags = tag.split('-');
        let language = subtags.next().unwrap_or_default();
        let fits = (2..=8).contains(&language.len())
            && language.chars().all(|it| it.is_ascii_alphabetic())
            && subtags.all(|it| {
                (1..=8).contains(&it.len()) && it.chars().all(|it| it.is_ascii_alphanumeric())
            })
            && tag.len() <= LANGUAGE_CHARACTERS_MAX;
        fits.then(|| Self(tag.to_owned()))
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is written from right to left: by the script in the tag, or else by the language.
    pub fn is_right_to_left(&self) -> bool {
        let tag = self.0.to_ascii_lowercase();
        let mut subtags = tag.split('-');
        let language = subtags.next().unwrap_or_default();
        let is_script = |it: &&str| it.len() == 4 && it.chars().all(|it| it.is_ascii_alphabetic());
        // A script follows the language, or an extension of it in three letters.
        match subtags.take_while(|it| it.len() > 1).take(2).find(is_script) {
            Some(script) => RIGHT_TO_LEFT_SCRIPTS.contains(&script),
            None => RIGHT_TO_LEFT.contains(&language),
        }
    }
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
    fn a_letter_names_its_language_or_claims_none() {
        let of = |line: &str| {
            let file = STANDARD_LETTER.replace("language: en\n", line);
            LetterTemplate::parse(&file).map(|it| it.language().cloned())
        };

        let standard = LetterTemplate::parse(STANDARD_LETTER).unwrap();
        assert_eq!(standard.language().map(Language::as_str), Some("en"));
        assert_eq!(of(""), Ok(None));
        for (tag, is_right_to_left) in [
            ("de", false),
            ("pt-BR", false),
            ("zh-Hant-TW", false),
            ("ar", true),
            ("AR-eg", true),
            ("az-Arab", true),
            ("ks-Deva", false),
            ("ur-Latn", false),
            ("he-x-abcd-efgh", true),
        ] {
            let language = of(&format!("language: {tag}\r\n")).unwrap().unwrap();
            assert_eq!((language.as_str(), language.is_right_to_left()), (tag, is_right_to_left));
        }
        for refused in [
            "",
            "d",
            "german language",
            "de_DE",
            "de-",
            "de\" onload=",
            "x-klingon",
            "languages",
            "de-aaaaaaaaa",
            "de-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa",
        ] {
            let refusal = of(&format!("language: {refused}\n"));
            assert_eq!(refusal, Err(LetterError::BadLanguage), "{refused:?}");
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
            (LetterError::BadLanguage, "`language: …`"),
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
