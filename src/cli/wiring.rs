//! From a configuration to the open appliance; the one real clock and the one real pause.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::exit::{CliError, Exit};
use crate::config::{Config, ImportProduct, Provider, World};
use crate::domain::environment::Environment;
use crate::domain::letter::{LetterTemplate, STANDARD_LETTER};
use crate::domain::outgoing::Schedule;
use crate::domain::timestamp::{Clock, Timestamp};
use crate::outbox::{Outbox, WebhookKey};
use crate::store::{Opening, Store};
use crate::sumsub::{Account, Client, ImportMode};
use crate::usecase::handoff_links::{Handoff, WebSdk};
use crate::usecase::{Appliance, Permits, Rules};

/// Whether a command talks with Sumsub, so that the credentials must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// It does, or is told by Sumsub.
    Sumsub,
    /// It does not.
    Nobody,
}

/// The real time.
pub(super) fn real_clock() -> Clock {
    Arc::new(|| Timestamp::from_ms(unix_ms()))
}

#[expect(clippy::disallowed_methods, reason = "the one real clock")]
fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The real wait.
#[expect(clippy::disallowed_methods, reason = "the one real pause")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Test or live, in the domain's word.
pub(super) fn environment(config: &Config) -> Environment {
    match config.world {
        World::Test => Environment::Test,
        World::Live => Environment::Live,
    }
}

/// The appliance of an operator's command.
pub(super) fn appliance(
    config: &Config,
    opening: Opening,
    asks: Asks,
) -> Result<Appliance, CliError> {
    let provider = match asks {
        Asks::Sumsub => Some(config.provider()?),
        Asks::Nobody => None,
    };
    build(config, provider.as_ref(), opening, real_clock())
}

/// Opens the register and builds the client. Without a provider, whoever asks it all the same is
/// refused by an address that cannot exist.
pub(super) fn build(
    config: &Config,
    provider: Option<&Provider>,
    opening: Opening,
    clock: Clock,
) -> Result<Appliance, CliError> {
    let environment = environment(config);
    let store = Store::open(&config.database, environment, opening, clock())?;
    let webhook_secret = provider.map_or("", |it| it.webhook_secret.expose()).to_owned();
    let account = provider.map_or_else(nowhere, |it| account_of(config, it));
    let handoff = match &config.public_url {
        None => None,
        Some(url) => Some(Arc::new(handoff(config, url, &account)?)),
    };
    let outbox = Outbox::new(
        environment,
        WebhookKey::beside(&config.database)?,
        Schedule { time_scale: config.webhook_time_scale },
    );
    Ok(Appliance {
        store,
        sumsub: Client::new(account, Arc::clone(&clock), Arc::new(pause)),
        outbox,
        clock,
        rules: Rules {
            environment,
            import_mode: match config.import_product {
                ImportProduct::Reuse => ImportMode::Reuse,
                ImportProduct::Copy => ImportMode::Copy,
            },
            valid_days_business: config.valid_days_business,
            valid_days_individual: config.valid_days_individual,
            webhook_secret,
        },
        permits: Permits::new(config.provider_permits),
        refused_digests: AtomicU64::new(0),
        handoff,
    })
}

fn handoff(config: &Config, public_url: &str, account: &Account) -> Result<Handoff, CliError> {
    let letter = match &config.letter {
        None => LetterTemplate::parse(STANDARD_LETTER)
            .map_err(|it| CliError::new(Exit::Refused, format!("the standard letter: {it}")))?,
        Some(path) => {
            let unusable = |why: &dyn std::fmt::Display| {
                let path = path.display();
                CliError::new(Exit::Usage, format!("the letter {path} cannot be used: {why}"))
            };
            let text = std::fs::read_to_string(path).map_err(|it| unusable(&it))?;
            LetterTemplate::parse(&text).map_err(|it| unusable(&it))?
        }
    };
    let websdk = WebSdk::of(&account.base_url);
    Ok(Handoff { public_url: public_url.to_owned(), letter, websdk })
}

/// A client without a register, to ask about the account itself.
pub(super) fn client(config: &Config, provider: &Provider) -> Client {
    Client::new(account_of(config, provider), real_clock(), Arc::new(pause))
}

fn account_of(config: &Config, provider: &Provider) -> Account {
    Account {
        base_url: provider.url.clone(),
        app_token: provider.app_token.expose().to_owned(),
        secret_key: provider.secret_key.expose().to_owned(),
        level_business: provider.level_business.clone(),
        level_individual: provider.level_individual.clone(),
        session_ttl_s: config.session_ttl_s,
    }
}

fn nowhere() -> Account {
    Account {
        base_url: "https://sumsub.invalid".to_owned(),
        app_token: String::new(),
        secret_key: String::new(),
        level_business: String::new(),
        level_individual: String::new(),
        session_ttl_s: 0,
    }
}
