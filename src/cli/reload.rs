//! SIGHUP: a server without a terminal reads again what it was given by files, and goes on.
//!
//! All or nothing: everything is read and checked before the first value is replaced. Names are
//! logged, values never.

use std::sync::Arc;

use super::exit::CliError;
use super::logging::{Log, writes_more};
use super::wiring::{account_of, letter, trusted_proxies, webhook_secrets};
use crate::config::{Config, Provider};
use crate::domain::letter::LetterTemplate;
use crate::http::client_address::TrustedProxies;
use crate::reloadable::Reloadable;
use crate::usecase::Appliance;

/// Reads the configuration as the start of the process did.
pub(super) type Load<'a> = &'a dyn Fn() -> Result<Config, CliError>;

/// What a reload replaces, and where it is read.
pub(super) struct Reload<'a> {
    pub(super) load: Load<'a>,
    /// What is in force.
    pub(super) config: Config,
    pub(super) appliance: Arc<Appliance>,
    pub(super) trusted_proxies: Reloadable<TrustedProxies>,
    pub(super) log: &'a Log,
}

/// Everything that was read, complete and right.
struct Fresh {
    config: Config,
    provider: Provider,
    letter: Option<LetterTemplate>,
    changed: Vec<&'static str>,
    at_the_next_start: Vec<&'static str>,
}

impl Reload<'_> {
    /// Reads all of it again, and replaces all of it or nothing. Answers whether it did.
    pub(super) fn run(&mut self) -> bool {
        match self.read() {
            Ok(fresh) => {
                self.put_in_force(fresh);
                true
            }
            Err(error) => {
                tracing::error!(
                    error = error.sentence,
                    "nothing was reloaded: everything stays as it was"
                );
                false
            }
        }
    }

    fn read(&self) -> Result<Fresh, CliError> {
        let read = (self.load)()?;
        let config = self.config.reloaded(&read)?;
        let provider = config.provider()?;
        let in_use = self.appliance.handoff.as_ref().map(|it| it.letter.get());
        let letter = in_use.as_ref().map(|_| letter(&config)).transpose()?;
        let has_another_text = letter.as_ref() != in_use.as_deref();
        let now = self.config.in_force.iter();
        let (mut changed, mut at_the_next_start) = (Vec::new(), Vec::new());
        for (now, next) in now.zip(&read.in_force) {
            let name = now.setting.name;
            match (now.setting.is_reloaded(), now.differs(next)) {
                // No page shows it: it was not even read.
                (true, true) if name == "letter" && letter.is_none() => {}
                (true, true) => changed.push(name),
                (true, false) if name == "letter" && has_another_text => changed.push(name),
                (false, true) => at_the_next_start.push(name),
                (true | false, false) => {}
            }
        }
        Ok(Fresh { config, provider, letter, changed, at_the_next_start })
    }

    fn put_in_force(&mut self, fresh: Fresh) {
        let Fresh { config, provider, letter, changed, at_the_next_start } = fresh;
        if changed.iter().any(|it| it.starts_with("sumsub-") && *it != "sumsub-webhook-secret") {
            self.appliance.sumsub.renew_access(&account_of(&config, &provider));
        }
        self.appliance.webhook_secrets.replace(webhook_secrets(Some(&provider)));
        if let (Some(handoff), Some(letter)) = (&self.appliance.handoff, letter) {
            handoff.letter.replace(letter);
        }
        self.trusted_proxies.replace(trusted_proxies(&config));
        let (level, before) = (config.log.clone(), self.config.log.clone());
        self.config = config;
        // Said at whichever of the two levels says more.
        if writes_more(&level, &before) {
            self.log.show_from(&level);
        }
        for name in &self.config.unknown {
            tracing::warn!(name, "this variable is no setting of countersign");
        }
        if !at_the_next_start.is_empty() {
            let settings = at_the_next_start.join(", ");
            tracing::warn!(settings, "changed, and takes effect at the next start");
        }
        let settings =
            if changed.is_empty() { "none has changed".to_owned() } else { changed.join(", ") };
        tracing::info!(settings, "reloaded");
        self.log.show_from(&level);
    }
}
