//! The environment of a process, as a value: only here is it read. A settings file may stand under it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::setting::{PREFIX, SETTINGS, Secrecy};
use super::{ConfigError, Source, settings_file};

/// The environment of a process, as a value, and under it the variables of a settings file.
#[derive(Clone, Default)]
pub struct Variables {
    process: BTreeMap<OsString, OsString>,
    file: Option<(PathBuf, BTreeMap<String, String>)>,
}

/// Names and values may be secrets, and all of them are somebody else's.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(…)")
    }
}

impl FromIterator<(OsString, OsString)> for Variables {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(pairs: T) -> Self {
        Self { process: pairs.into_iter().collect(), file: None }
    }
}

impl Variables {
    /// This process's environment: the only place that reads it.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The user whom sudo says it was called by: a claim, as every variable.
    pub fn sudo_uid(&self) -> Option<u32> {
        self.process.get(OsStr::new("SUDO_UID"))?.to_str()?.parse().ok()
    }

    /// Whether the environment asks for no colours: `NO_COLOR` with any value but the empty one
    /// (no-color.org), or a terminal that calls itself dumb.
    pub fn refuse_colours(&self) -> bool {
        let has = |name: &str| self.process.get(OsStr::new(name)).filter(|it| !it.is_empty());
        has("NO_COLOR").is_some() || has("TERM").is_some_and(|it| it == "dumb")
    }

    /// Our variables' names that no setting has: typing errors, most likely.
    pub fn unknown(&self) -> Vec<String> {
        let is_known = |name: &str| {
            SETTINGS.iter().any(|it| {
                it.variable() == name || (it.secrecy != Secrecy::Open && it.file_variable() == name)
            })
        };
        let process = self.process.keys().filter_map(|it| it.to_str());
        let file = self.file.iter().flat_map(|(_, it)| it.keys().map(String::as_str));
        let unknown: BTreeSet<&str> =
            process.chain(file).filter(|it| it.starts_with(PREFIX) && !is_known(it)).collect();
        unknown.into_iter().map(ToOwned::to_owned).collect()
    }

    /// These variables with those of a settings file under them.
    pub(super) fn over(&self, path: &Path) -> Result<Self, ConfigError> {
        let read = settings_file::read(path)
            .map_err(|why| ConfigError::SettingsFile { path: path.to_owned(), why })?;
        Ok(Self { process: self.process.clone(), file: Some((path.to_owned(), read)) })
    }

    /// An empty value is as good as none: compose files write them.
    pub(super) fn get(&self, name: &str) -> Result<Option<(&str, Source)>, ConfigError> {
        let of_process = match self.process.get(OsStr::new(name)).map(|it| it.to_str()) {
            None => "",
            Some(Some(text)) => text,
            Some(None) => return Err(ConfigError::NotText { variable: name.to_owned() }),
        };
        if !of_process.is_empty() {
            return Ok(Some((of_process, Source::Environment)));
        }
        let of_file = self.file.as_ref().and_then(|(path, it)| Some((it.get(name)?, path)));
        Ok(of_file
            .filter(|(value, _)| !value.is_empty())
            .map(|(value, path)| (value.as_str(), Source::File(path.clone()))))
    }
}

/// The variable of ours that is written most alike, if one is close enough to have been meant: a typing
/// error changes a third of a name at the most.
pub fn nearest(unknown: &str) -> Option<String> {
    let known = SETTINGS.iter().flat_map(|it| {
        let file = (it.secrecy != Secrecy::Open).then(|| it.file_variable());
        std::iter::once(it.variable()).chain(file)
    });
    known
        .map(|it| (distance(unknown, &it), it))
        .min()
        .filter(|(edits, _)| *edits <= unknown.len().saturating_sub(PREFIX.len()) / 3)
        .map(|(_, it)| it)
}

/// How many letters have to be put in, taken out or replaced (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in (1..).zip(one.bytes()) {
        let mut diagonal = std::mem::replace(row.first_mut().unwrap_or(&mut 0), above);
        let mut left = above;
        for (cell, of_other) in row.iter_mut().skip(1).zip(other.bytes()) {
            let replaced = diagonal + usize::from(letter != of_other);
            diagonal = std::mem::replace(cell, replaced.min(left + 1).min(*cell + 1));
            left = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_near_the_one_that_was_meant() {
        let near = |name: &str| nearest(name).unwrap_or_default();

        assert_eq!(near("COUNTERSIGN_DATABSE"), "COUNTERSIGN_DATABASE");
        assert_eq!(near("COUNTERSIGN_TRUSTED_PROXY"), "COUNTERSIGN_TRUSTED_PROXIES");
        assert_eq!(near("COUNTERSIGN_SUMSUB_APPTOKEN_FILE"), "COUNTERSIGN_SUMSUB_APP_TOKEN_FILE");
        assert_eq!(nearest("COUNTERSIGN_SOMETHING_ELSE"), None);
        assert_eq!(
            (distance("kitten", "sitting"), distance("", "ab"), distance("ab", "")),
            (3, 2, 2)
        );
    }
}
