//! The environment of a process, as a value: only here is it read.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use super::ConfigError;
use super::setting::{PREFIX, SETTINGS, Secrecy};

/// The environment of a process, as a value.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<OsString, OsString>);

/// Names and values may be secrets, and all of them are somebody else's.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(…)")
    }
}

impl FromIterator<(OsString, OsString)> for Variables {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Variables {
    /// This process's environment: the only place that reads it.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The user whom sudo says it was called by: a claim, as every variable.
    pub fn sudo_uid(&self) -> Option<u32> {
        self.0.get(OsStr::new("SUDO_UID"))?.to_str()?.parse().ok()
    }

    /// Whether the environment asks for no colours: `NO_COLOR` with any value but the empty one
    /// (no-color.org), or a terminal that calls itself dumb.
    pub fn refuse_colours(&self) -> bool {
        let has = |name: &str| self.0.get(OsStr::new(name)).filter(|it| !it.is_empty());
        has("NO_COLOR").is_some() || has("TERM").is_some_and(|it| it == "dumb")
    }

    /// Our variables' names that no setting has: typing errors, most likely.
    pub fn unknown(&self) -> Vec<String> {
        let is_known = |name: &str| {
            SETTINGS.iter().any(|it| {
                it.variable() == name || (it.secrecy != Secrecy::Open && it.file_variable() == name)
            })
        };
        self.0
            .keys()
            .filter_map(|it| it.to_str())
            .filter(|it| it.starts_with(PREFIX) && !is_known(it))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// An empty value is as good as none: compose files write them.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        match self.0.get(OsStr::new(name)) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Some("") => Ok(None),
                Some(text) => Ok(Some(text)),
                None => Err(ConfigError::NotText { variable: name.to_owned() }),
            },
        }
    }
}
