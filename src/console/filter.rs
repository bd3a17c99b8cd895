//! What follows `/`: plain text, `!text` for what does not have it, `~text` for fuzzy.

/// What every organization's id begins with.
const ID_PREFIX: &str = "org_";

/// A filter as it was typed, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Has the text, without regard to case.
    Plain(String),
    /// Does not have the text.
    Inverse(String),
    /// Has the letters in this order; the better matches first.
    Fuzzy(String),
}

impl Filter {
    /// Reads what was typed after `/`; `None` for nothing.
    pub fn parse(typed: &str) -> Option<Self> {
        let of = |text: &str, kind: fn(String) -> Self| {
            let text = text.trim().to_lowercase();
            (!text.is_empty()).then(|| kind(text))
        };
        match (typed.strip_prefix('!'), typed.strip_prefix('~')) {
            (Some(rest), _) => of(rest, Self::Inverse),
            (None, Some(rest)) => of(rest, Self::Fuzzy),
            (None, None) => of(typed, Self::Plain),
        }
    }

    /// As it would be typed after `/`.
    pub fn typed(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Inverse(text) => format!("!{text}"),
            Self::Fuzzy(text) => format!("~{text}"),
        }
    }

    /// A matcher; make one for many rows, it keeps its buffers.
    pub fn sieve(&self) -> Sieve {
        let letters = match self {
            Self::Fuzzy(text) => text.chars().filter(|it| !it.is_whitespace()).collect(),
            Self::Plain(_) | Self::Inverse(_) => Vec::new(),
        };
        Sieve { filter: self.clone(), letters, characters: Vec::new() }
    }
}

/// A filter at work.
pub struct Sieve {
    filter: Filter,
    /// What a fuzzy filter looks for.
    letters: Vec<char>,
    /// The text that is looked at.
    characters: Vec<char>,
}

impl Sieve {
    /// How well a row fits; `None`: it does not.
    pub fn score(&mut self, texts: &[&str]) -> Option<u32> {
        let typed = match &self.filter {
            Filter::Plain(it) | Filter::Inverse(it) | Filter::Fuzzy(it) => it,
        };
        // Ids are hexadecimal noise to every text but one that is meant for them.
        let wants_ids = typed.starts_with(ID_PREFIX);
        let looked_at = || texts.iter().filter(|it| wants_ids || !it.starts_with(ID_PREFIX));
        let has = |text: &str| looked_at().any(|it| contains(it, text));
        match &self.filter {
            Filter::Plain(text) => has(text).then_some(0),
            Filter::Inverse(text) => (!has(text)).then_some(0),
            Filter::Fuzzy(_) => {
                let scores = looked_at().filter_map(|it| {
                    self.characters.clear();
                    self.characters.extend(it.chars());
                    fuzzy(&self.characters, &self.letters)
                });
                scores.max()
            }
        }
    }
}

/// How well the letters, which are in lower case, are found in a text in their order: better together
/// and at the beginnings of words. Where a letter stands more than once, the first is taken; which
/// beginning is best is tried.
fn fuzzy(text: &[char], letters: &[char]) -> Option<u32> {
    const FOUND: u32 = 4;
    const BEGINS_A_WORD: u32 = 6;
    const FOLLOWS: u32 = 5;
    let (first, further) = letters.split_first()?;
    let is = |it: char, letter: char| it == letter || it.to_lowercase().eq([letter]);
    let begins = |at: usize| {
        let before = at.checked_sub(1).and_then(|it| text.get(it));
        before.is_none_or(|it| !it.is_alphanumeric())
    };
    let from = |start: usize| {
        let mut score = FOUND + if begins(start) { BEGINS_A_WORD } else { 0 };
        let mut at = start;
        for letter in further {
            let rest = text.iter().enumerate().skip(at.saturating_add(1));
            let next = rest.clone().find(|(_, it)| is(**it, *letter))?.0;
            let follows = next == at.saturating_add(1);
            let bonus =
                if follows { FOLLOWS } else { 0 } + if begins(next) { BEGINS_A_WORD } else { 0 };
            score = score.saturating_add(FOUND).saturating_add(bonus);
            at = next;
        }
        Some(score)
    };
    let starts = text.iter().enumerate().filter(|(_, it)| is(**it, *first));
    starts.filter_map(|(start, _)| from(start)).max()
}

/// Whether `text` has `part`, which is in lower case. ASCII, nearly every name, needs no copy.
fn contains(text: &str, part: &str) -> bool {
    if text.is_ascii() && part.is_ascii() {
        text.as_bytes()
            .windows(part.len().max(1))
            .any(|it| it.eq_ignore_ascii_case(part.as_bytes()))
    } else {
        text.to_lowercase().contains(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(typed: &str) -> Vec<&'static str> {
        let mut sieve = Filter::parse(typed).unwrap().sieve();
        ["Acme Trading", "Zoë Ångström", "Bolt Freight"]
            .into_iter()
            .filter(|it| sieve.score(&[it]).is_some())
            .collect()
    }

    #[test]
    fn a_filter_is_plain_inverse_or_fuzzy() {
        assert_eq!(kept("ACME"), ["Acme Trading"]);
        assert_eq!(kept("ångs"), ["Zoë Ångström"]);
        assert_eq!(kept("!acme"), ["Zoë Ångström", "Bolt Freight"]);
        assert_eq!(kept("~bfrt"), ["Bolt Freight"]);
        assert_eq!(kept("nobody"), [""; 0]);
    }

    #[test]
    fn letters_together_and_at_the_beginnings_of_words_fit_better() {
        let score = |typed: &str, text: &str| Filter::parse(typed).unwrap().sieve().score(&[text]);
        assert!(score("~bolt", "Bolt Freight") > score("~bolt", "Big old letter"));
        assert!(score("~bf", "Bolt Freight") > score("~bf", "Abbey of Life"));
        assert!(score("~ÅNGS", "Zoë Ångström").is_some());
        assert_eq!(score("~tlob", "Bolt Freight"), None);
    }

    #[test]
    fn ids_are_looked_at_only_when_an_id_is_typed() {
        let fits = |typed: &str| {
            Filter::parse(typed).unwrap().sieve().score(&["Acme", "org_00ff"]).is_some()
        };
        assert!(fits("org_00") && !fits("00ff") && !fits("org_01") && fits("!or"));
    }

    #[test]
    fn an_empty_filter_is_none() {
        for typed in ["", "  ", "!", "~ "] {
            assert_eq!(Filter::parse(typed), None);
        }
        assert_eq!(Filter::parse("~bf").unwrap().typed(), "~bf");
    }
}
