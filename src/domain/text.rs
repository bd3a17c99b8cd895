//! Text that one person writes and others read: names, roles, reasons, descriptions.
//!
//! Whoever reads such a text sees all of it, in the order of its characters: a letter that is signed is
//! read by people, and its SHA-256 covers what they did not see as well. So what comes in is one line
//! without controls, direction controls, invisible characters and noncharacters ([`line`], [`name`]).
//! What is there already, or comes from elsewhere, is never refused: whoever prints it shows such a
//! character by its number ([`shown`], [`dotted`], [`shown_lines`], [`shown_json`]). Both follow the same table, so
//! that a text which is accepted is shown as it is.

mod tables;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use tables::{
    is_blank_glyph, is_default_ignorable, is_direction_control, is_emoji, is_han, joining_script,
    virama,
};

/// Why a text is refused. As a sentence it follows what the text is: "the field `name` …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// Nothing is left without the white space around it.
    Empty {
        /// The most characters that it may have.
        at_most: usize,
    },
    /// It has more characters than this.
    Long {
        /// The most characters that it may have.
        at_most: usize,
    },
    /// It is to name somebody, and has neither a letter nor a digit.
    Nameless,
    /// A character that it may not hold, or not there.
    Character(char, Fault),
}

/// What is wrong with a character where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends a line.
    LineBreak,
    /// It controls a device.
    Control,
    /// It turns around the text beside it.
    Direction,
    /// It is white space of another kind than the blanks of running text.
    Blank,
    /// It is not seen.
    Unseen,
    /// It joins or parts letters, and does not stand between letters of a script that needs that.
    Joiner,
    /// It chooses a variant of what stands before it, which has none.
    Selector,
    /// Unicode will never give it a meaning.
    Noncharacter,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { at_most } => {
                write!(f, "must have 1 to {at_most} characters, and is empty")
            }
            Self::Long { at_most } => {
                write!(f, "must have 1 to {at_most} characters, and is longer")
            }
            Self::Nameless => f.write_str("must have a letter or a digit among its characters"),
            Self::Character(it, fault) => {
                write!(f, "holds the character U+{:04X}, {}", u32::from(*it), fault.words())
            }
        }
    }
}

impl Fault {
    fn words(self) -> &'static str {
        match self {
            Self::LineBreak => "which breaks the line; write it on one line",
            Self::Control => "which is a control character; type the text instead of pasting it",
            Self::Direction => {
                "which changes the direction of the text around it; type the text instead of \
                 pasting it"
            }
            Self::Blank => "which is white space of another width; use a plain blank",
            Self::Unseen => "which is invisible; type the text instead of pasting it",
            Self::Joiner => {
                "which is invisible except between two letters of one script that joins letters, \
                 such as Arabic or Devanagari; leave it out"
            }
            Self::Selector => {
                "which is invisible except after a character that has variants, such as a Han \
                 character; leave it out"
            }
            Self::Noncharacter => "which is not a character; leave it out",
        }
    }
}

/// One line for others to read: 1 to `at_most` characters, without the white space around them.
pub fn line(text: &str, at_most: usize) -> Result<&str, Objection> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Objection::Empty { at_most });
    }
    if text.chars().nth(at_most).is_some() {
        return Err(Objection::Long { at_most });
    }
    match judged(text).find_map(|(it, fault)| Some((it, fault?))) {
        Some((it, fault)) => Err(Objection::Character(it, fault)),
        None => Ok(text),
    }
}

/// A [`line`] that names somebody or something: there is a letter or a digit in it.
pub fn name(text: &str, at_most: usize) -> Result<&str, Objection> {
    let text = line(text, at_most)?;
    if text.chars().any(char::is_alphanumeric) { Ok(text) } else { Err(Objection::Nameless) }
}

/// A text from anywhere on one line, as a terminal may print it: line breaks and other white space
/// are blanks, and what would not be seen, or would be obeyed, is written as `\u{202e}`.
pub fn shown(text: &str) -> Cow<'_, str> {
    rewritten(text, rewrite)
}

/// As [`shown`], with one `·` for every such character and for white space other than blanks: on a
/// screen of columns a text keeps its number of characters.
pub fn dotted(text: &str) -> Cow<'_, str> {
    rewritten(text, |_it, _fault, out| out.push('·'))
}

/// As [`shown`], of a text with several lines and tabs: both stay.
pub fn shown_lines(text: &str) -> Cow<'_, str> {
    rewritten(text, |it, fault, out| match it {
        '\n' | '\t' => out.push(it),
        _ => rewrite(it, fault, out),
    })
}

/// The same JSON, written with the escapes of JSON where [`shown`] has its own: JSON itself asks for
/// an escape of C0 controls only, and a terminal obeys others as well.
pub fn shown_json(json: &str) -> Cow<'_, str> {
    rewritten(json, |it, _fault, out| {
        if it == '\n' {
            out.push(it);
            return;
        }
        for unit in it.encode_utf16(&mut [0; 2]) {
            // Writing to a String does not fail.
            write!(out, "\\u{unit:04x}").unwrap_or_default();
        }
    })
}

fn rewrite(it: char, fault: Fault, out: &mut String) {
    if matches!(fault, Fault::LineBreak | Fault::Blank) {
        out.push(' ');
    } else {
        out.extend(it.escape_unicode());
    }
}

/// Whether a text has nothing that [`shown`] would change.
pub fn is_plain(text: &str) -> bool {
    judged(text).all(|(_, fault)| fault.is_none())
}

fn rewritten(text: &str, write: impl Fn(char, Fault, &mut String)) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for (it, fault) in judged(text) {
        match fault {
            Some(fault) => write(it, fault, &mut out),
            None => out.push(it),
        }
    }
    Cow::Owned(out)
}

/// Every character with what is wrong with it where it stands.
fn judged(text: &str) -> impl Iterator<Item = (char, Option<Fault>)> {
    let mut rest = text.chars().peekable();
    let mut before = None;
    std::iter::from_fn(move || {
        let it = rest.next()?;
        let fault = fault(before, it, rest.peek().copied());
        before = Some(it);
        Some((it, fault))
    })
}

fn fault(before: Option<char>, it: char, after: Option<char>) -> Option<Fault> {
    match it {
        ' '..='~' => None,
        // What a line ends with in Unicode Standard Annex 14.
        '\n'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(Fault::LineBreak),
        '\t' => Some(Fault::Blank),
        _ if it.is_control() => Some(Fault::Control),
        // Blanks that people write: the no-break ones of French, and the ideographic one, which parts
        // the names of Japanese people.
        '\u{a0}' | '\u{202f}' | '\u{3000}' => None,
        _ if it.is_whitespace() => Some(Fault::Blank),
        _ if is_direction_control(it) => Some(Fault::Direction),
        '\u{200c}' | '\u{200d}' => (!joins(before, it, after)).then_some(Fault::Joiner),
        // The Mongolian vowel separator is spelling, and as a joiner it is nothing elsewhere.
        '\u{180e}' => (!(is_mongolian(before) && is_mongolian(after))).then_some(Fault::Joiner),
        '\u{180b}'..='\u{180d}' | '\u{180f}' => (!is_mongolian(before)).then_some(Fault::Selector),
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            (!has_variant(before, it)).then_some(Fault::Selector)
        }
        _ if is_default_ignorable(it) || is_blank_glyph(it) => Some(Fault::Unseen),
        _ if is_noncharacter(it) => Some(Fault::Noncharacter),
        _ => None,
    }
}

/// Whether a joiner stands between letters of one script that joins letters; or, a ZERO WIDTH JOINER,
/// after a virama: at the end of a word that is how older Malayalam and Bengali texts write the letters
/// without a vowel.
fn joins(before: Option<char>, joiner: char, after: Option<char>) -> bool {
    let script = |it: Option<char>| it.and_then(joining_script);
    let is_between = script(before).is_some() && script(before) == script(after);
    is_between || (joiner == '\u{200d}' && before.is_some_and(virama))
}

fn is_mongolian(it: Option<char>) -> bool {
    it.is_some_and(|it| matches!(it, '\u{1820}'..='\u{18aa}'))
}

/// Han characters have up to three standardized variants and as many registered ones as there are
/// further selectors; letters of Myanmar have a dotted form; emoji are shown as text or as a picture.
fn has_variant(before: Option<char>, selector: char) -> bool {
    before.is_some_and(|it| match selector {
        '\u{fe00}' => is_han(it) || matches!(it, '\u{1000}'..='\u{109f}' | '\u{aa60}'..='\u{aa7f}'),
        '\u{fe0e}' | '\u{fe0f}' => is_emoji(it),
        '\u{fe01}' | '\u{fe02}' | '\u{e0100}'..='\u{e01ef}' => is_han(it),
        _ => false,
    })
}

fn is_noncharacter(it: char) -> bool {
    matches!(u32::from(it), 0xfdd0..=0xfdef) || u32::from(it) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests;
