//! A file of settings: `NAME=VALUE` lines, as systemd's `EnvironmentFile=` reads them. Unlike the
//! environment of a process, it can be read again.
//!
//! Comments, and values in quotes or without; of a name that is there twice the last line counts. What
//! systemd would unescape or join is refused by its line. An error never shows a value.

use std::collections::BTreeMap;
use std::path::Path;

use super::setting::{PREFIX, SETTINGS_FILE};
use super::text_file;

/// The largest file of settings that is read, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// Reads our variables; those of other programs are left out.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = String::from_utf8(text_file::read(path, BYTES_MAX)?);
    parse(&text.map_err(|_bytes| "it is not UTF-8 text".to_owned())?)
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let wrong = |why: &str| format!("line {number} {why}");
        // What stands before the sign is repeated only if it is a name: it might be a secret.
        let (name, value) = line
            .split_once('=')
            .map(|(name, value)| (name.trim(), value))
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| wrong("is no NAME=VALUE and no # comment"))?;
        if !name.starts_with(PREFIX) {
            continue;
        }
        if name == SETTINGS_FILE.variable() {
            return Err(wrong("names another settings file: one is enough"));
        }
        let value = unquoted(value).map_err(|why| wrong(&format!("({name}) {why}")))?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

fn is_name(text: &str) -> bool {
    let is_letter = |it: char| it == '_' || it.is_ascii_alphabetic();
    text.starts_with(is_letter) && text.chars().all(|it| is_letter(it) || it.is_ascii_digit())
}

fn unquoted(value: &str) -> Result<&str, &'static str> {
    let value = value.trim();
    let inner = ['"', '\''].into_iter().find(|it| value.starts_with(*it)).map(|quote| {
        value.strip_prefix(quote).and_then(|it| it.strip_suffix(quote)).ok_or("has an open quote")
    });
    let inner = inner.unwrap_or(Ok(value))?;
    if inner.contains(['"', '\'', '\\']) {
        return Err("has a quote or a backslash inside its value: write the value plainly");
    }
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_variables_are_read_as_systemd_reads_them() {
        let text = "# a comment\n; another\n\nCOUNTERSIGN_LOG=info\nCOUNTERSIGN_LOG =debug\r\nLANG=\"C\\\"\n\
                    COUNTERSIGN_LETTER=\"/a path/letter.txt\"\nCOUNTERSIGN_A='b=c # d'\n\
                    COUNTERSIGN_EMPTY=\n";

        let read = parse(text).unwrap();

        let pairs: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            pairs,
            [
                ("COUNTERSIGN_A", "b=c # d"),
                ("COUNTERSIGN_EMPTY", ""),
                ("COUNTERSIGN_LETTER", "/a path/letter.txt"),
                ("COUNTERSIGN_LOG", "debug"),
            ]
        );
    }

    #[test]
    fn what_systemd_would_read_differently_is_refused_by_its_line_and_never_shown() {
        for (text, why) in [
            ("\nSECRET", "line 2 is no NAME=VALUE"),
            ("COUNTERSIGN_SUMSUB_SECRET_KEY: SECRET==", "line 1 is no NAME=VALUE"),
            ("export COUNTERSIGN_SUMSUB_SECRET_KEY=SECRET", "line 1 is no NAME=VALUE"),
            ("\u{feff}COUNTERSIGN_SUMSUB_SECRET_KEY=SECRET", "line 1 is no NAME=VALUE"),
            ("COUNTERSIGN_A=\"SECRET", "line 1 (COUNTERSIGN_A) has an open quote"),
            ("COUNTERSIGN_A=\"", "line 1 (COUNTERSIGN_A) has an open quote"),
            ("COUNTERSIGN_A=SEC\\RET", "a backslash inside"),
            ("COUNTERSIGN_A=SECRET\\\n", "a backslash inside"),
            ("COUNTERSIGN_A=it's SECRET", "a quote"),
            ("COUNTERSIGN_SETTINGS_FILE=SECRET", "line 1 names another settings file"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why) && !error.contains("SECRET"), "{text}: {error}");
        }
    }
}
