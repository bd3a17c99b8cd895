//! A file of settings: `NAME=VALUE` lines, as systemd's `EnvironmentFile=` reads them. Unlike the
//! environment of a process, it can be read again.
//!
//! Comments, and values in quotes or without; of a name that is there twice the last line counts. What
//! systemd would unescape or join is refused by its line. An error never shows a value.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::setting::{PREFIX, SETTINGS_FILE};

/// The largest file of settings that is read, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// Reads our variables; those of other programs are left out.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let file = File::open(path).map_err(|it| it.to_string())?;
    let mut text = String::new();
    file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(|it| it.to_string())?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > BYTES_MAX {
        return Err(format!("it is larger than {BYTES_MAX} bytes; is it the right file?"));
    }
    parse(&text)
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let wrong = |why: &str| format!("line {number} {why}");
        let (name, value) =
            line.split_once('=').ok_or_else(|| wrong("is no NAME=VALUE and no # comment"))?;
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
        let text = "# a comment\n; another\n\nCOUNTERSIGN_LOG=info\nCOUNTERSIGN_LOG=debug\r\nLANG=\"C\\\"\n\
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
