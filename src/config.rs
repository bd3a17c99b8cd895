//! What the operator configured: flags, environment and secret files become one [`Config`], once.
//!
//! There is one list of settings, [`SETTINGS`]; flags, environment variables, `countersign config`
//! and the help texts are all made of it. A flag outranks the environment, which outranks a settings
//! file, which outranks the default. A secret is never a flag's value, where every process could read it: its flag and its
//! second variable name a file. The same holds for a proxy's password, whose URL is otherwise a
//! flag's value like any other. No secret is ever shown, by `Debug` or by an error, not in part.

mod setting;
mod settings_file;
pub mod text_file;
mod value;
mod variables;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
pub use setting::{SETTINGS, Secrecy, Setting};
pub use value::seconds;
pub use variables::{Variables, nearest};

use setting::{
    BACKUP_DIRECTORY, BACKUP_EVERY, BACKUP_KEEP, CLIENT_ADDRESS_HEADER, CONNECTIONS_MAX,
    CONNECTIONS_PER_PEER_MAX, DATABASE, ENVIRONMENT, EVENT_PLACES, IMPORT_MODE, INBOX_DAYS,
    KEPT_SECRETS_MAX, LETTER, LINK_DAYS, LISTEN, LOG, METRICS_LISTEN, MIGRATE, ORGANIZATION_BURST,
    ORGANIZATION_RATE, OUTGOING_DAYS, PROVIDER_PERMITS, PUBLIC_URL, RECONCILE_AFTER,
    RECONCILE_EVERY, REQUESTS_BURST, REQUESTS_PER_SECOND, SESSION_TTL, SETTINGS_FILE,
    SUMSUB_APP_TOKEN, SUMSUB_LEVEL_BUSINESS, SUMSUB_LEVEL_INDIVIDUAL, SUMSUB_PROXY,
    SUMSUB_SECRET_KEY, SUMSUB_URL, SUMSUB_VERDICT, SUMSUB_WEBHOOK_SECRET, TRUSTED_PROXIES,
    VALID_DAYS_BUSINESS, VALID_DAYS_INDIVIDUAL, WAITS_MAX, WEBHOOK_ALLOW, WEBHOOK_TIME_SCALE,
    WRONG_KEYS_PER_MINUTE,
};
use value::{base_url, checked, is_loopback, read_secret, word};

/// The largest secret file that is read, in bytes: a larger one is the wrong file.
pub const SECRET_BYTES_MAX: u64 = 4096;

/// For so many clients of the API that may wait, one browser may wait too: both hold a connection.
pub const BROWSERS_SHARE: usize = 4;

/// What the command line gave, by [`Setting::name`].
pub type Flags = BTreeMap<&'static str, String>;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for whoever must send or compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// A file that a flag or a variable named.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

/// `flag`, `environment`, `file <path>` or `default`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting with the value that is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The setting.
    pub setting: &'static Setting,
    /// Where its value came from.
    pub source: Source,
    value: Option<Secret>,
    shown: String,
}

impl InForce {
    fn new(setting: &'static Setting, source: Source, value: Option<Secret>) -> Self {
        let shown = match (setting.secrecy, &value) {
            (_, None) => "not set".to_owned(),
            (Secrecy::Secret, Some(_)) => "set".to_owned(),
            (Secrecy::Open, Some(value)) => value.expose().to_owned(),
            (Secrecy::Login, Some(value)) => value::without_password(value.expose()),
        };
        Self { setting, source, value, shown }
    }

    /// Whether another value is in force there.
    pub fn differs(&self, other: &Self) -> bool {
        self.value != other.value
    }

    /// Whether the value must stay between this program and its operator.
    pub fn is_private(&self) -> bool {
        let value = self.value.as_ref();
        match self.setting.secrecy {
            Secrecy::Open => false,
            Secrecy::Secret => value.is_some(),
            Secrecy::Login => value.is_some_and(|it| it.expose().contains('@')),
        }
    }

    /// What may be shown of it: the value, or for a secret only whether there is one.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// Test or live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Sandbox accounts.
    Test,
    /// Real customers.
    Live,
}

impl World {
    /// `test` or `live`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// Which of Sumsub's products an import uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportProduct {
    /// Reusable KYC.
    Reuse,
    /// Copy Applicant.
    Copy,
}

/// Which of Sumsub's words decides a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumsubVerdict {
    /// The review at a level.
    Level,
    /// The end of a workflow.
    Workflow,
}

/// Which header a trusted proxy names a client's address in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressHeader {
    /// Either one; if they disagree, neither counts.
    Any,
    /// `Forwarded`.
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// Everything that the operator configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Test or live.
    pub world: World,
    /// The register's file.
    pub database: PathBuf,
    /// Whether `serve` migrates a register of an earlier version first.
    pub migrate: bool,
    /// Where `serve` takes connections.
    pub listen: SocketAddr,
    /// How long a session's token lives, in seconds.
    pub session_ttl_s: u32,
    /// Which of Sumsub's products an import uses.
    pub import_product: ImportProduct,
    /// Which of Sumsub's words decides.
    pub verdict: SumsubVerdict,
    /// Days that a BUSINESS's approval counts; 0 = for ever.
    pub valid_days_business: u32,
    /// Days that an INDIVIDUAL's approval counts; 0 = for ever.
    pub valid_days_individual: u32,
    /// Calls to Sumsub of one organization at once.
    pub provider_permits: usize,
    /// Outgoing deliveries of one organization under way at once.
    pub event_places: usize,
    /// Seconds that a verification waits before Sumsub is asked about it.
    pub reconcile_after_s: u32,
    /// Seconds between two looks for such verifications; 0 = never.
    pub reconcile_every_s: u32,
    /// Divides the delays between attempts to a webhook endpoint.
    pub webhook_time_scale: u32,
    /// Addresses off the public internet that outgoing webhooks may be sent to, at one port or all.
    pub webhook_allow: Vec<(IpNet, Option<u16>)>,
    /// Days that bodies of Sumsub's webhooks are kept; 0 = for ever.
    pub inbox_days: u32,
    /// Days that outgoing webhooks' bodies and their log are kept; 0 = for ever.
    pub outgoing_days: u32,
    /// Open connections.
    pub connections_max: usize,
    /// Open connections of one address.
    pub connections_per_peer_max: usize,
    /// Clients that may wait for a change at once.
    pub waits_max: usize,
    /// Answers with a secret that are kept in memory for repeated requests.
    pub kept_secrets_max: usize,
    /// Requests of one API key a second; 0 = no limit.
    pub requests_per_second: u32,
    /// Requests of one API key at once.
    pub requests_burst: u32,
    /// Requests of all API keys of an organization a second; 0 = no limit.
    pub organization_rate: u32,
    /// Requests of all API keys of an organization at once.
    pub organization_burst: u32,
    /// Requests with a wrong API key a minute and client address; 0 = no limit.
    pub wrong_keys_per_minute: u32,
    /// Proxies whose word about a client's address counts: addresses and networks, or nothing.
    pub trusted_proxies: String,
    /// Where `serve` shows metrics, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Where customers reach this server; `None`: there are no customers' pages.
    pub public_url: Option<String>,
    /// Days that a new link of a customer can sign.
    pub link_days: u32,
    /// Which header a trusted proxy names a client's address in.
    pub client_address_header: AddressHeader,
    /// The text file of the letter that customers sign; `None`: the standard one.
    pub letter: Option<PathBuf>,
    /// Where `serve` puts backups; `None`: it makes none.
    pub backup_directory: Option<PathBuf>,
    /// How long after a backup the next is made, in seconds.
    pub backup_every_s: u32,
    /// How many backups stay in the directory.
    pub backup_keep: usize,
    /// The least important log line written: a level's name, or `off`.
    pub log: String,
    /// The file whose variables are under the process's own.
    pub settings_file: Option<PathBuf>,
    /// Our variables that no setting has: typing errors, most likely.
    pub unknown: Vec<String>,
    /// Every setting with the value that is in force, in the order of [`SETTINGS`].
    pub in_force: Vec<InForce>,
    sumsub_url: String,
    sumsub_proxy: Option<ureq::Proxy>,
}

/// What it takes to talk with Sumsub, complete.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Where Sumsub's API is, without a slash at the end.
    pub url: String,
    /// The proxy to it; never for a loopback address.
    pub proxy: Option<ureq::Proxy>,
    /// Our app token.
    pub app_token: Secret,
    /// Its secret key.
    pub secret_key: Secret,
    /// The secrets that a webhook may be signed with, one or two.
    pub webhook_secrets: Vec<Secret>,
    /// The levels for BUSINESS: the first is asked for, all are accepted. There is one at least.
    pub levels_business: Vec<String>,
    /// The levels for INDIVIDUAL, likewise.
    pub levels_individual: Vec<String>,
}

/// Why a configuration is refused. Only the operator can mend it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is none that the setting accepts.
    #[error("{} (from {origin}) is {given}: it must be {}", .setting.name, .setting.accepted)]
    Invalid {
        /// The setting.
        setting: &'static Setting,
        /// Where the value came from.
        origin: Source,
        /// The value in quotes, unless it must not be shown.
        given: String,
    },
    /// A secret was given twice.
    #[error("{} and {} are both set: keep one of them", .0.variable(), .0.file_variable())]
    GivenTwice(&'static Setting),
    /// A password was given where every process can read it.
    #[error(
        "{} holds a user name or a password, and every process can read flags: set {} or {} instead",
        .0.name, .0.variable(), .0.file_variable()
    )]
    LoginInFlag(&'static Setting),
    /// A settings file cannot be used.
    #[error("settings-file {} cannot be used: {why}", .path.display())]
    SettingsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A secret's file cannot be used.
    #[error("{} cannot be read from {}: {why}", .setting.name, .path.display())]
    SecretFile {
        /// The setting.
        setting: &'static Setting,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A secret's variable cannot be used.
    #[error("{} cannot be used: {why}", .setting.variable())]
    SecretVariable {
        /// The setting.
        setting: &'static Setting,
        /// What is wrong with its value.
        why: &'static str,
    },
    /// A variable's value is not UTF-8.
    #[error("{variable} is not readable text: set it to UTF-8 text")]
    NotText {
        /// The variable.
        variable: String,
    },
    /// What Sumsub's API needs is not all there.
    #[error("Sumsub cannot be asked, because {} not set:{}", value::count(.missing.len()),
            value::how_to_set(.missing))]
    Missing {
        /// The settings.
        missing: Vec<&'static Setting>,
    },
    /// Secrets would travel unencrypted.
    #[error(
        "sumsub-url is {url}: in the {} environment it must begin with https://{}",
        .world.as_str(),
        match .world { World::Test => ", or be a loopback address", World::Live => "" }
    )]
    NotEncrypted {
        /// The environment.
        world: World,
        /// The address.
        url: String,
    },
    /// Clients that only wait could hold every connection.
    #[error(
        "waits-max is {waits_max} and connections-max is {connections_max}: that many clients and \
         as many browsers as a quarter of them ({browsers}) may wait, each on a connection of its own: \
         lower waits-max, or raise connections-max"
    )]
    AllWait {
        /// Clients that may wait.
        waits_max: usize,
        /// Browsers that may.
        browsers: usize,
        /// All connections.
        connections_max: usize,
    },
    /// The app token is one of the other environment.
    #[error(
        "sumsub-app-token belongs to Sumsub's {token} and the environment is {}: use the other \
         token, or set {}", .world.as_str(), ENVIRONMENT.variable()
    )]
    OtherWorld {
        /// The environment.
        world: World,
        /// Sumsub's word for the token's.
        token: &'static str,
    },
}

impl Config {
    /// Reads and checks everything once.
    pub fn load(flags: &Flags, variables: &Variables) -> Result<Self, ConfigError> {
        let file = [find(&SETTINGS_FILE, flags, variables)?];
        let file = Found(&file)
            .parse(&SETTINGS_FILE, |it| unless(it, "none", |it| Some(PathBuf::from(it))))?;
        let below = file.map(|it| variables.over(&it)).transpose()?;
        let variables = below.as_ref().unwrap_or(variables);
        let in_force = SETTINGS
            .iter()
            .map(|setting| find(setting, flags, variables))
            .collect::<Result<Vec<_>, _>>()?;
        Self::of(in_force, variables.unknown())
    }

    /// What is in force after a reload: of what was read again, that which a running server takes over.
    pub fn reloaded(&self, read: &Self) -> Result<Self, ConfigError> {
        let pairs = self.in_force.iter().zip(&read.in_force);
        let in_force = pairs
            .map(|(now, next)| if now.setting.is_reloaded() { next } else { now })
            .cloned()
            .collect();
        Self::of(in_force, read.unknown.clone())
    }

    #[expect(clippy::too_many_lines, reason = "a table is read whole")]
    fn of(in_force: Vec<InForce>, unknown: Vec<String>) -> Result<Self, ConfigError> {
        let found = Found(&in_force);
        for setting in [&SUMSUB_LEVEL_BUSINESS, &SUMSUB_LEVEL_INDIVIDUAL] {
            if found.value(setting).is_some() {
                found.parse(setting, value::levels)?;
            }
        }
        Ok(Self {
            world: found.parse(&ENVIRONMENT, |it| {
                word(it, [("test", World::Test), ("live", World::Live)])
            })?,
            database: found.parse(&DATABASE, |it| Some(PathBuf::from(it)))?,
            migrate: found.parse(&MIGRATE, |it| word(it, [("yes", true), ("no", false)]))?,
            listen: found.parse(&LISTEN, |it| it.parse().ok())?,
            session_ttl_s: found.parse(&SESSION_TTL, |it| value::within(it, 60..=86_400))?,
            import_product: found.parse(&IMPORT_MODE, |it| {
                word(it, [("reuse", ImportProduct::Reuse), ("copy", ImportProduct::Copy)])
            })?,
            verdict: found.parse(&SUMSUB_VERDICT, |it| {
                word(it, [("level", SumsubVerdict::Level), ("workflow", SumsubVerdict::Workflow)])
            })?,
            valid_days_business: found
                .parse(&VALID_DAYS_BUSINESS, |it| value::within(it, 0..=36_500))?,
            valid_days_individual: found
                .parse(&VALID_DAYS_INDIVIDUAL, |it| value::within(it, 0..=36_500))?,
            provider_permits: found.parse(&PROVIDER_PERMITS, |it| value::within(it, 1..=1024))?,
            event_places: found.parse(&EVENT_PLACES, |it| value::within(it, 8..=1024))?,
            reconcile_after_s: found.parse(&RECONCILE_AFTER, |it| value::within(it, 1..=86_400))?,
            reconcile_every_s: found.parse(&RECONCILE_EVERY, |it| value::within(it, 0..=300))?,
            webhook_time_scale: found
                .parse(&WEBHOOK_TIME_SCALE, |it| value::within(it, 1..=100_000))?,
            webhook_allow: found.parse(&WEBHOOK_ALLOW, value::receivers)?,
            inbox_days: found.parse(&INBOX_DAYS, |it| value::within(it, 0..=36_500))?,
            // Shorter than the schedule of attempts, a message would go before it has arrived.
            outgoing_days: found.parse(&OUTGOING_DAYS, |it| {
                value::within(it, 0..=36_500).filter(|days| *days == 0 || *days >= 7)
            })?,
            connections_max: found.parse(&CONNECTIONS_MAX, |it| value::within(it, 1..=65_536))?,
            connections_per_peer_max: found
                .parse(&CONNECTIONS_PER_PEER_MAX, |it| value::within(it, 1..=65_536))?,
            waits_max: found.waits_max()?,
            kept_secrets_max: found
                .parse(&KEPT_SECRETS_MAX, |it| value::within(it, 1..=1_000_000))?,
            requests_per_second: found
                .parse(&REQUESTS_PER_SECOND, |it| value::within(it, 0..=1_000_000))?,
            requests_burst: found.parse(&REQUESTS_BURST, |it| value::within(it, 1..=1_000_000))?,
            organization_rate: found
                .parse(&ORGANIZATION_RATE, |it| value::within(it, 0..=1_000_000))?,
            organization_burst: found
                .parse(&ORGANIZATION_BURST, |it| value::within(it, 1..=1_000_000))?,
            wrong_keys_per_minute: found
                .parse(&WRONG_KEYS_PER_MINUTE, |it| value::within(it, 0..=1_000_000))?,
            trusted_proxies: found.parse(&TRUSTED_PROXIES, value::networks)?,
            client_address_header: found.parse(&CLIENT_ADDRESS_HEADER, address_header)?,
            metrics_listen: found.parse(&METRICS_LISTEN, |it| match it {
                "none" => Some(None),
                address => address.parse().ok().map(Some),
            })?,
            public_url: found.parse(&PUBLIC_URL, |it| unless(it, "none", value::public_url))?,
            link_days: found.parse(&LINK_DAYS, |it| value::within(it, 1..=3650))?,
            letter: found
                .parse(&LETTER, |it| unless(it, "standard", |it| Some(PathBuf::from(it))))?,
            backup_directory: found
                .parse(&BACKUP_DIRECTORY, |it| unless(it, "none", |it| Some(PathBuf::from(it))))?,
            backup_every_s: found.parse(&BACKUP_EVERY, |it| {
                seconds(it).filter(|it| (60..=365 * 86_400).contains(it))
            })?,
            backup_keep: found.parse(&BACKUP_KEEP, |it| value::within(it, 1..=10_000))?,
            log: found.parse(&LOG, |it| {
                ["error", "warn", "info", "debug", "trace", "off"]
                    .contains(&it)
                    .then(|| it.to_owned())
            })?,
            sumsub_url: found.parse(&SUMSUB_URL, base_url)?,
            sumsub_proxy: found.parse(&SUMSUB_PROXY, |it| unless(it, "none", value::proxy))?,
            settings_file: found
                .parse(&SETTINGS_FILE, |it| unless(it, "none", |it| Some(PathBuf::from(it))))?,
            unknown,
            in_force,
        })
    }

    /// The levels that verify a BUSINESS; none if the setting is not set.
    pub fn levels_business(&self) -> Vec<String> {
        self.levels_of(&SUMSUB_LEVEL_BUSINESS)
    }

    /// The levels that verify an INDIVIDUAL; none if the setting is not set.
    pub fn levels_individual(&self) -> Vec<String> {
        self.levels_of(&SUMSUB_LEVEL_INDIVIDUAL)
    }

    fn levels_of(&self, setting: &Setting) -> Vec<String> {
        let found = self.in_force.iter().find(|it| it.setting == setting);
        let text = found.and_then(|it| it.value.as_ref()).map_or("", Secret::expose);
        value::levels(text).unwrap_or_default()
    }

    /// What it takes to talk with Sumsub; all that is missing is named at once.
    pub fn provider(&self) -> Result<Provider, ConfigError> {
        let found = Found(&self.in_force);
        let missing: Vec<_> = [
            &SUMSUB_APP_TOKEN,
            &SUMSUB_SECRET_KEY,
            &SUMSUB_WEBHOOK_SECRET,
            &SUMSUB_LEVEL_BUSINESS,
            &SUMSUB_LEVEL_INDIVIDUAL,
        ]
        .into_iter()
        .filter(|it| found.value(it).is_none())
        .collect();
        if !missing.is_empty() {
            return Err(ConfigError::Missing { missing });
        }
        let url = self.sumsub_url.clone();
        let is_encrypted = url.starts_with("https://");
        if !is_encrypted && (self.world == World::Live || !is_loopback(&url)) {
            return Err(ConfigError::NotEncrypted { world: self.world, url });
        }
        let secret = |setting| found.value(setting).cloned().unwrap_or(Secret(String::new()));
        let app_token = secret(&SUMSUB_APP_TOKEN);
        match (self.world, app_token.expose()) {
            (World::Live, token) if token.starts_with("sbx:") => {
                return Err(ConfigError::OtherWorld { world: self.world, token: "sandbox" });
            }
            (World::Test, token) if token.starts_with("prd:") => {
                return Err(ConfigError::OtherWorld { world: self.world, token: "production" });
            }
            (World::Live | World::Test, _) => {}
        }
        Ok(Provider {
            proxy: self.sumsub_proxy.clone().filter(|_| !is_loopback(&url)),
            url,
            app_token,
            secret_key: secret(&SUMSUB_SECRET_KEY),
            webhook_secrets: secret(&SUMSUB_WEBHOOK_SECRET)
                .expose()
                .split(',')
                .map(Secret::new)
                .collect(),
            levels_business: self.levels_business(),
            levels_individual: self.levels_individual(),
        })
    }
}

fn address_header(text: &str) -> Option<AddressHeader> {
    match text {
        "any" => Some(AddressHeader::Any),
        "forwarded" => Some(AddressHeader::Forwarded),
        "x-forwarded-for" => Some(AddressHeader::XForwardedFor),
        _ => None,
    }
}

/// A value, or nothing where the text is the word for it; `None` if it is neither.
#[expect(clippy::option_option, reason = "unreadable and absent are two answers")]
fn unless<T>(text: &str, absent: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text == absent { Some(None) } else { read(text).map(Some) }
}

struct Found<'a>(&'a [InForce]);

impl Found<'_> {
    fn value(&self, setting: &Setting) -> Option<&Secret> {
        self.0.iter().find(|it| it.setting == setting)?.value.as_ref()
    }

    /// How many clients may wait. They must leave connections for everybody else: the default does,
    /// by being half of them at most, and what an operator sets is checked.
    fn waits_max(&self) -> Result<usize, ConfigError> {
        let connections_max =
            self.parse(&CONNECTIONS_MAX, |it| value::within(it, 1..=65_536_usize))?;
        let waits_max = self.parse(&WAITS_MAX, |it| value::within(it, 0..=65_536_usize))?;
        let in_force = self.0.iter().find(|it| it.setting == &WAITS_MAX);
        if in_force.is_none_or(|it| it.source == Source::Default) {
            return Ok(waits_max.min(connections_max / 2));
        }
        let browsers = waits_max.div_ceil(BROWSERS_SHARE);
        if waits_max + browsers >= connections_max {
            return Err(ConfigError::AllWait { waits_max, browsers, connections_max });
        }
        Ok(waits_max)
    }

    /// The value of a setting that has a default.
    fn parse<T>(
        &self,
        setting: &'static Setting,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let in_force = self.0.iter().find(|it| it.setting == setting);
        let text = in_force.and_then(|it| it.value.as_ref()).map_or("", Secret::expose);
        read(text).ok_or_else(|| ConfigError::Invalid {
            setting,
            origin: in_force.map_or(Source::Default, |it| it.source.clone()),
            // An address may carry a password.
            given: if text.contains('@') || setting.secrecy != Secrecy::Open {
                "not one".to_owned()
            } else {
                format!("\"{text}\"")
            },
        })
    }
}

fn find(
    setting: &'static Setting,
    flags: &Flags,
    variables: &Variables,
) -> Result<InForce, ConfigError> {
    let in_force =
        |value: &str, source| InForce::new(setting, source, Some(Secret(value.to_owned())));
    let from_file = |path: &str| {
        let path = Path::new(path);
        read_secret(path, setting)
            .map(|it| in_force(&it, Source::File(path.to_owned())))
            .map_err(|why| ConfigError::SecretFile { setting, path: path.to_owned(), why })
    };
    match (flags.get(setting.name), setting.secrecy) {
        (Some(path), Secrecy::Secret) => return from_file(path),
        (Some(value), Secrecy::Login) if value.contains('@') => {
            return Err(ConfigError::LoginInFlag(setting));
        }
        (Some(value), Secrecy::Open | Secrecy::Login) => return Ok(in_force(value, Source::Flag)),
        (None, _) => {}
    }
    let value = variables.get(&setting.variable())?;
    let file = match setting.secrecy {
        Secrecy::Secret | Secrecy::Login => variables.get(&setting.file_variable())?,
        Secrecy::Open => None,
    };
    let from_variable = |value: &str, source| {
        if setting.secrecy != Secrecy::Secret {
            return Ok(in_force(value, source));
        }
        let value = checked(value.as_bytes(), setting)
            .map_err(|why| ConfigError::SecretVariable { setting, why })?;
        Ok(in_force(&value, source))
    };
    match (value, file) {
        (Some((_, one)), Some((_, other))) if one == other => Err(ConfigError::GivenTwice(setting)),
        // A variable of the process outranks the settings file, by whichever of its two names.
        (Some((value, source)), None) | (Some((value, source @ Source::Environment)), Some(_)) => {
            from_variable(value, source)
        }
        (_, Some((path, _))) => from_file(path),
        (None, None) => {
            let value = setting.default.map(|it| Secret(it.to_owned()));
            Ok(InForce::new(setting, Source::Default, value))
        }
    }
}
