//! From a configuration to the open appliance; the one real clock and the one real pause.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::exit::{CliError, Exit};
use super::output::tell;
use crate::config::{
    AddressHeader as Configured, Config, ImportProduct, Provider, SumsubVerdict, World, text_file,
};
use crate::domain::environment::Environment;
use crate::domain::letter::{LetterTemplate, STANDARD_LETTER};
use crate::domain::outgoing::Schedule;
use crate::domain::timekeeper::{Timekeeper, Uptime};
use crate::domain::timestamp::{Clock, Timestamp};
use crate::domain::verdict::{Acceptance, DecidedBy};
use crate::http::client_address::{AddressHeader, TrustedProxies};
use crate::outbox::{Allowed, KeyFile, Outbox};
use crate::store::files::{beside, is_new};
use crate::store::{Folded, Opening, ServingLock, Store, refuse_other_names};
use crate::sumsub::{Account, Client, ImportMode};
use crate::usecase::handoff_links::{Handoff, WebSdk};
use crate::usecase::receive_webhook::{BySecret, WebhookSecrets};
use crate::usecase::{Appliance, Permits, Rules};

/// The largest letter that is read, in bytes: every signature keeps a copy of what was signed.
const LETTER_BYTES_MAX: u64 = 1024 * 1024;

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

/// The real time as Sumsub's answers correct it.
pub(super) fn real_timekeeper() -> Arc<Timekeeper> {
    let (clock, uptime, boot_id) = machine();
    Timekeeper::new(clock, uptime, boot_id)
}

/// The machine's clock, its uptime, and the name of its present run.
pub(super) fn machine() -> (Clock, Uptime, String) {
    (real_clock(), Arc::new(uptime_ms), boot_id())
}

/// Suspended time included, so that it and the clock tell of the same spans.
fn uptime_ms() -> i64 {
    let it = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    it.tv_sec.saturating_mul(1000).saturating_add(it.tv_nsec / 1_000_000)
}

/// Linux's name for this run of the machine. Where it cannot be read, a run of this process is one.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_unreadable| uuid::Uuid::new_v4().to_string(), |it| it.trim().to_owned())
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
    let appliance = build(config, provider.as_ref(), opening, real_timekeeper())?;
    if asks == Asks::Nobody {
        beside_a_server(config, &appliance)?;
    }
    Ok(appliance)
}

/// An open appliance that other threads have, too. However this ends, by a return, an error or a panic,
/// the register is closed with it, and not when the last of those threads comes to its end.
pub(super) struct Open {
    appliance: Arc<Appliance>,
    /// How long the last fold of the log waits for other processes, in each of its three steps.
    patience: Duration,
}

impl Open {
    /// Of whoever serves the register: nobody else sees to its log.
    pub(super) fn to_serve(appliance: Appliance) -> Self {
        Self { appliance: Arc::new(appliance), patience: Duration::from_secs(2) }
    }

    /// Of whoever may be beside a server, whose writes would wait for a fold that waits.
    pub(super) fn beside(appliance: Appliance) -> Self {
        Self { appliance: Arc::new(appliance), patience: Duration::ZERO }
    }
}

impl Deref for Open {
    type Target = Arc<Appliance>;

    fn deref(&self) -> &Arc<Appliance> {
        &self.appliance
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let store = &self.appliance.store;
        let log = beside(store.path(), "-wal");
        let log = log.display();
        let is_there = store.is_at_its_path();
        match store.close(self.patience) {
            None => {}
            Some(_) if !is_there => tracing::error!(
                path = %store.path().display(),
                "the register's file or its log was moved away or removed under this process: what was \
                 recorded since is in the moved file and its log, or lost with the removed one"
            ),
            Some(Folded::Whole) => {
                tracing::info!("the register is closed, and its file holds everything");
            }
            Some(Folded::Not(None)) => tracing::warn!(
                %log,
                "the register is closed, and another process still reads from its log, or writes to \
                 it: whoever copies the file must copy the log with it, or use `countersign backup`"
            ),
            Some(Folded::Not(Some(error))) => tracing::error!(
                %error, %log,
                "the register is closed, and its log could not be folded into it: whoever copies the \
                 file must copy the log with it"
            ),
            Some(Folded::Unknown) => tracing::error!(
                %log,
                "the register's disk does not answer: its log may hold what the file does not"
            ),
        }
    }
}

/// Takes over what a server beside this command knows of the time.
pub(super) fn beside_a_server(config: &Config, appliance: &Appliance) -> Result<(), CliError> {
    if ServingLock::is_held(&config.database)
        && let Some(measured) = appliance.store.read(|register| register.measured_clock())?
    {
        appliance.timekeeper.adopt(measured);
    }
    Ok(())
}

/// Opens the register and builds the client. Without a provider, whoever asks it all the same is
/// refused by an address that cannot exist.
pub(super) fn build(
    config: &Config,
    provider: Option<&Provider>,
    opening: Opening,
    timekeeper: Arc<Timekeeper>,
) -> Result<Appliance, CliError> {
    let environment = environment(config);
    let clock = timekeeper.clock();
    refuse_other_names(&config.database)?;
    let key = KeyFile::beside(&config.database);
    let is_new = is_new(&config.database);
    let store = Store::open(&config.database, environment, opening, clock())?;
    if is_new {
        begin_key(&key);
    }
    store.report_known(timekeeper.floor())?;
    let account = provider.map_or_else(nowhere, |it| account_of(config, it));
    let handoff = match &config.public_url {
        None => None,
        Some(url) => Some(Arc::new(handoff(config, url, &account)?)),
    };
    let outbox = Outbox::new(
        environment,
        key,
        Schedule { time_scale: config.webhook_time_scale },
        Allowed::new(config.webhook_allow.clone()),
    );
    Ok(Appliance {
        store,
        sumsub: Client::new(account, Arc::clone(&timekeeper), Arc::new(pause)),
        outbox,
        clock,
        timekeeper,
        rules: Rules {
            environment,
            acceptance: acceptance(config, provider),
            import_mode: match config.import_product {
                ImportProduct::Reuse => ImportMode::Reuse,
                ImportProduct::Copy => ImportMode::Copy,
            },
            valid_days_business: config.valid_days_business,
            valid_days_individual: config.valid_days_individual,
        },
        webhook_secrets: webhook_secrets(provider).into(),
        webhooks_by_secret: BySecret::default(),
        permits: Permits::new(config.provider_permits),
        event_places: config.event_places,
        refused_digests: AtomicU64::new(0),
        handoff,
    })
}

/// A new register gets a webhook key that its first backup has. Without one it is as good: whoever
/// first needs the key creates it, or is told why there is none.
fn begin_key(key: &KeyFile) {
    let fault = match key.read_or_create() {
        Ok(_) => key.owner_fault(),
        Err(error) => Some(format!("no webhook endpoint can be created yet, because {error}")),
    };
    match fault {
        None => {}
        Some(fault) if tracing::dispatcher::has_been_set() => tracing::warn!("{fault}"),
        // A command keeps no log.
        Some(fault) => tell(&format!("WARNING: {fault}.")),
    }
}

/// Without a provider there is no webhook's way in, and nothing that a secret could fit.
pub(super) fn webhook_secrets(provider: Option<&Provider>) -> WebhookSecrets {
    let mut secrets = provider.map_or_else(Vec::new, |it| it.webhook_secrets.clone()).into_iter();
    let mut next = || secrets.next().map(|it| it.expose().to_owned());
    WebhookSecrets::new(next().unwrap_or_default(), next())
}

fn handoff(config: &Config, public_url: &str, account: &Account) -> Result<Handoff, CliError> {
    Ok(Handoff {
        public_url: public_url.to_owned(),
        letter: letter(config)?.into(),
        websdk: WebSdk::of(&account.base_url),
        link_days: config.link_days,
    })
}

pub(super) fn trusted_proxies(config: &Config) -> TrustedProxies {
    TrustedProxies::parse(&config.trusted_proxies)
        .unwrap_or_default()
        .naming_in(address_header(config))
}

fn address_header(config: &Config) -> AddressHeader {
    match config.client_address_header {
        Configured::Any => AddressHeader::Any,
        Configured::Forwarded => AddressHeader::Forwarded,
        Configured::XForwardedFor => AddressHeader::XForwardedFor,
    }
}

/// The letter that customers sign.
pub(super) fn letter(config: &Config) -> Result<LetterTemplate, CliError> {
    let Some(path) = &config.letter else {
        return LetterTemplate::parse(STANDARD_LETTER)
            .map_err(|it| CliError::new(Exit::Refused, format!("the standard letter: {it}")));
    };
    let unusable = |why: &dyn std::fmt::Display| {
        let path = path.display();
        CliError::new(Exit::Usage, format!("the letter {path} cannot be used: {why}"))
    };
    let text = text_file::read(path, LETTER_BYTES_MAX).map_err(|it| unusable(&it))?;
    let text = String::from_utf8(text).map_err(|_bytes| unusable(&"it is not UTF-8 text"))?;
    LetterTemplate::parse(&text).map_err(|it| unusable(&it))
}

/// A client without a register, to ask about the account itself.
pub(super) fn client(config: &Config, provider: &Provider) -> Client {
    Client::new(account_of(config, provider), real_timekeeper(), Arc::new(pause))
}

pub(super) fn account_of(config: &Config, provider: &Provider) -> Account {
    Account {
        base_url: provider.url.clone(),
        proxy: provider.proxy.clone(),
        app_token: provider.app_token.expose().to_owned(),
        secret_key: provider.secret_key.expose().to_owned(),
        level_business: first(&provider.levels_business),
        level_individual: first(&provider.levels_individual),
        session_ttl_s: config.session_ttl_s,
    }
}

fn first(levels: &[String]) -> String {
    levels.first().cloned().unwrap_or_default()
}

/// Whose verdict counts, by what is configured.
pub(super) fn acceptance(config: &Config, provider: Option<&Provider>) -> Acceptance {
    let of = |it: &Provider| (it.levels_business.clone(), it.levels_individual.clone());
    let (levels_business, levels_individual) =
        provider.map_or_else(|| (config.levels_business(), config.levels_individual()), of);
    Acceptance {
        levels_business,
        levels_individual,
        decided_by: match config.verdict {
            SumsubVerdict::Level => DecidedBy::Level,
            SumsubVerdict::Workflow => DecidedBy::Workflow,
        },
    }
}

fn nowhere() -> Account {
    Account {
        base_url: "https://sumsub.invalid".to_owned(),
        proxy: None,
        app_token: String::new(),
        secret_key: String::new(),
        level_business: String::new(),
        level_individual: String::new(),
        session_ttl_s: 0,
    }
}
