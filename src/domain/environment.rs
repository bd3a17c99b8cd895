//! Test or live: the two worlds that must never meet in one file, one key or one webhook.

/// Which world a register, a key and a provider account belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Sandbox accounts and the simulator; nothing here binds anybody.
    Test,
    /// Real customers.
    Live,
}

impl Environment {
    /// Reads `test` or `live`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "test" => Some(Self::Test),
            "live" => Some(Self::Live),
            _ => None,
        }
    }

    /// `test` or `live`, as in API keys and in the register's stamp.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_test_and_live_and_no_others() {
        for (environment, word) in [(Environment::Test, "test"), (Environment::Live, "live")] {
            assert_eq!(environment.as_str(), word);
            assert_eq!(Environment::parse(word), Some(environment));
        }
        for unknown in ["", "Test", "LIVE", "production"] {
            assert_eq!(Environment::parse(unknown), None);
        }
    }
}
