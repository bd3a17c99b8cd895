//! The one list of settings: flags, variables, `countersign config` and help are made of it.

/// What our environment variables begin with.
pub(super) const PREFIX: &str = "COUNTERSIGN_";

/// One thing that can be configured.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Its flag, without the dashes; a secret's flag names a file.
    pub flag: &'static str,
    /// What is in force when nobody says anything.
    pub default: Option<&'static str>,
    /// Whether it is masked wherever it is shown.
    pub secrecy: Secrecy,
    /// Whether its flag may be given several times; its values are then one text with commas.
    pub repeats: bool,
    /// What its flag means when it is given without a value; `None`: it needs one.
    pub alone: Option<&'static str>,
    /// What it may be.
    pub accepted: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
}

/// Whether a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Anybody may see it.
    Open,
    /// Nobody may.
    Secret,
    /// A URL that may carry a user name and a password: everybody may see it without them. With them
    /// it is no flag's value.
    Login,
}

impl Setting {
    /// Whether a running server takes over another value at SIGHUP.
    pub fn is_reloaded(&self) -> bool {
        [
            &SUMSUB_PROXY,
            &SUMSUB_APP_TOKEN,
            &SUMSUB_SECRET_KEY,
            &SUMSUB_WEBHOOK_SECRET,
            &TRUSTED_PROXIES,
            &CLIENT_ADDRESS_HEADER,
            &LETTER,
            &LOG,
        ]
        .contains(&self)
    }

    /// The environment variable that holds its value.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// The environment variable that names a file with its value, for what is or may hold a secret.
    pub fn file_variable(&self) -> String {
        format!("{}_FILE", self.variable())
    }

    const fn open(name: &'static str, default: Option<&'static str>, doc: &'static str) -> Self {
        let (secrecy, accepted) = (Secrecy::Open, "any text");
        Self { name, flag: name, default, secrecy, repeats: false, alone: None, accepted, doc }
    }

    const fn secret(name: &'static str, flag: &'static str, doc: &'static str) -> Self {
        let accepted = "a text of one line";
        let secrecy = Secrecy::Secret;
        Self { name, flag, default: None, secrecy, repeats: false, alone: None, accepted, doc }
    }

    const fn may_hold_login(self) -> Self {
        Self { secrecy: Secrecy::Login, ..self }
    }

    const fn repeats(self) -> Self {
        Self { repeats: true, ..self }
    }

    const fn alone(self, value: &'static str) -> Self {
        Self { alone: Some(value), ..self }
    }

    const fn accepts(self, accepted: &'static str) -> Self {
        Self { accepted, ..self }
    }
}

pub(super) static SETTINGS_FILE: Setting = Setting::open(
    "settings-file",
    Some("none"),
    "A file of further variables of these names, which `serve` reads again at SIGHUP",
)
.accepts("none, or a path; its lines are NAME=VALUE, and the process's own variables outrank it");
pub(super) static ENVIRONMENT: Setting =
    Setting::open("environment", Some("test"), "The world that register, keys and Sumsub are of")
        .accepts("test or live");
pub(super) static DATABASE: Setting =
    Setting::open("database", Some("countersign.db"), "The register's file").accepts("a path");
pub(super) static MIGRATE: Setting = Setting::open(
    "migrate",
    Some("no"),
    "Whether `serve` migrates a register of an earlier version before it serves it",
)
.alone("yes")
.accepts("yes or no");
pub(super) static LISTEN: Setting =
    Setting::open("listen", Some("127.0.0.1:8080"), "Where `serve` takes connections")
        .accepts("an IP address and a port, as 127.0.0.1:8080 or [::1]:8080");
pub(super) static SUMSUB_URL: Setting =
    Setting::open("sumsub-url", Some("https://api.sumsub.com"), "Where Sumsub's API is")
        .accepts("https://host[:port], or http:// for a loopback host; no path");
pub(super) static SUMSUB_PROXY: Setting = Setting::open(
    "sumsub-proxy",
    Some("none"),
    "The HTTP proxy to Sumsub; none for loopback hosts",
)
.accepts("none, or http://[user:password@]host:port; with a password never as a flag")
.may_hold_login();
pub(super) static SUMSUB_APP_TOKEN: Setting =
    Setting::secret("sumsub-app-token", "sumsub-app-token-file", "Our app token at Sumsub");
pub(super) static SUMSUB_SECRET_KEY: Setting =
    Setting::secret("sumsub-secret-key", "sumsub-secret-key-file", "The app token's secret key");
pub(super) static SUMSUB_WEBHOOK_SECRET: Setting = Setting::secret(
    "sumsub-webhook-secret",
    "sumsub-webhook-secret-file",
    "The secret of Sumsub's webhook; not the app token's",
)
.accepts("a text of one line; during a rotation two, separated by a comma or a line break");
pub(super) static SUMSUB_LEVEL_BUSINESS: Setting =
    Setting::open("sumsub-level-business", None, "The Sumsub levels that verify a BUSINESS")
        .accepts(
            "a level's name, or several with commas: the first is asked for, all are accepted",
        );
pub(super) static SUMSUB_LEVEL_INDIVIDUAL: Setting =
    Setting::open("sumsub-level-individual", None, "The Sumsub levels that verify an INDIVIDUAL")
        .accepts(
            "a level's name, or several with commas: the first is asked for, all are accepted",
        );
pub(super) static SUMSUB_VERDICT: Setting = Setting::open(
    "sumsub-verdict",
    Some("level"),
    "Which of Sumsub's words decides a verification",
)
.accepts("level (a level's review) or workflow (only the end of a workflow)");
pub(super) static SESSION_TTL: Setting =
    Setting::open("session-ttl", Some("1800"), "How long a session's token lives, in seconds")
        .accepts("60 to 86400");
pub(super) static IMPORT_MODE: Setting =
    Setting::open("import-mode", Some("reuse"), "Sumsub's product behind an import")
        .accepts("reuse (Reusable KYC) or copy (Copy Applicant)");
pub(super) static VALID_DAYS_BUSINESS: Setting =
    Setting::open("valid-days-business", Some("365"), "Days that a BUSINESS's approval counts")
        .accepts("0 (for ever) to 36500");
pub(super) static VALID_DAYS_INDIVIDUAL: Setting = Setting::open(
    "valid-days-individual",
    Some("365"),
    "Days that an INDIVIDUAL's approval counts",
)
.accepts("0 (for ever) to 36500");
pub(super) static PROVIDER_PERMITS: Setting =
    Setting::open("provider-permits", Some("16"), "Calls to Sumsub of one organization at once")
        .accepts("1 to 1024; half as many more are kept for others");
pub(super) static EVENT_PLACES: Setting = Setting::open(
    "event-places",
    Some("64"),
    "Outgoing deliveries of one organization under way at once",
)
.accepts("8 to 1024; half as many more are kept for others");
pub(super) static RECONCILE_AFTER: Setting = Setting::open(
    "reconcile-after",
    Some("600"),
    "Seconds that a verification waits before Sumsub is asked about it",
)
.accepts("1 to 86400");
pub(super) static RECONCILE_EVERY: Setting = Setting::open(
    "reconcile-every",
    Some("60"),
    "Seconds between two looks of `serve` for verifications that wait too long",
)
.accepts("0 (never) to 300");
pub(super) static WEBHOOK_TIME_SCALE: Setting = Setting::open(
    "webhook-time-scale",
    Some("1"),
    "Divides the delays between attempts to a webhook endpoint, for trying out",
)
.accepts("1 to 100000");
pub(super) static WEBHOOK_ALLOW: Setting = Setting::open(
    "webhook-allow",
    Some("none"),
    "Addresses off the public internet that outgoing webhooks may be sent to",
)
.accepts(
    "none, or addresses and networks (with commas, or a flag for each), as 127.0.0.1:9000, 10.0.0.0/8 or \
     [fd00::/8]:443",
)
.repeats();
pub(super) static INBOX_DAYS: Setting =
    Setting::open("inbox-days", Some("400"), "Days that bodies of Sumsub's webhooks are kept")
        .accepts("0 (for ever) to 36500");
pub(super) static OUTGOING_DAYS: Setting = Setting::open(
    "outgoing-days",
    Some("90"),
    "Days that outgoing webhooks' bodies and the log of their attempts are kept",
)
.accepts("0 (for ever), or 7 to 36500");
pub(super) static CONNECTIONS_MAX: Setting =
    Setting::open("connections-max", Some("2048"), "Open connections; one more is answered 503")
        .accepts("1 to 65536");
pub(super) static CONNECTIONS_PER_PEER_MAX: Setting = Setting::open(
    "connections-per-peer-max",
    Some("256"),
    "Open connections of one address; behind a proxy as many as connections-max",
)
.accepts("1 to 65536");
pub(super) static WAITS_MAX: Setting = Setting::open(
    "waits-max",
    Some("1024"),
    "Clients that may wait for a change, and a quarter as many browsers on pages",
)
.accepts("0 to 65536; with a quarter more for browsers below connections-max");
pub(super) static KEPT_SECRETS_MAX: Setting = Setting::open(
    "kept-secrets-max",
    Some("65536"),
    "Answers with a secret that are kept in memory for repeated requests",
)
.accepts("1 to 1000000");
pub(super) static REQUESTS_PER_SECOND: Setting = Setting::open(
    "requests-per-second",
    Some("100"),
    "Requests of one API key a second, in the long run",
)
.accepts("0 (no limit) to 1000000");
pub(super) static REQUESTS_BURST: Setting =
    Setting::open("requests-burst", Some("1000"), "Requests of one API key at once")
        .accepts("1 to 1000000");
pub(super) static ORGANIZATION_RATE: Setting = Setting::open(
    "organization-rate",
    Some("200"),
    "Requests of all API keys of an organization a second, in the long run",
)
.accepts("0 (no limit) to 1000000");
pub(super) static ORGANIZATION_BURST: Setting = Setting::open(
    "organization-burst",
    Some("2000"),
    "Requests of all API keys of an organization at once",
)
.accepts("1 to 1000000");
pub(super) static WRONG_KEYS_PER_MINUTE: Setting = Setting::open(
    "wrong-keys-per-minute",
    Some("60"),
    "Requests with a wrong API key a minute and client address",
)
.accepts("0 (no limit) to 1000000");
pub(super) static TRUSTED_PROXIES: Setting = Setting::open(
    "trusted-proxies",
    Some("none"),
    "Proxies whose Forwarded or X-Forwarded-For tells a client's address",
)
.accepts("none, or addresses and networks, as 127.0.0.1,10.0.0.0/8");
pub(super) static CLIENT_ADDRESS_HEADER: Setting = Setting::open(
    "client-address-header",
    Some("any"),
    "The header in which trusted proxies name a client's address",
)
.accepts("any (neither counts if they disagree), forwarded or x-forwarded-for");
pub(super) static METRICS_LISTEN: Setting = Setting::open(
    "metrics-listen",
    Some("none"),
    "Where `serve` shows /metrics to Prometheus; keep it off the public network",
)
.accepts("none, or an IP address and a port");
pub(super) static PUBLIC_URL: Setting = Setting::open(
    "public-url",
    Some("none"),
    "Where customers reach this server; with it, they sign and verify on its pages",
)
.accepts("none, https://host[:port], or http:// for a loopback host; no path");
pub(super) static LINK_DAYS: Setting =
    Setting::open("link-days", Some("90"), "Days that a customer's link can sign the letter")
        .accepts("1 to 3650");
pub(super) static LETTER: Setting = Setting::open(
    "letter",
    Some("standard"),
    "The letter that customers sign: this program's, or a text file's",
)
.accepts("standard, or a path");
pub(super) static BACKUP_DIRECTORY: Setting = Setting::open(
    "backup-directory",
    Some("none"),
    "Where `serve` puts proven backups of the register; best on another disk",
)
.accepts("none, or a path");
pub(super) static BACKUP_EVERY: Setting =
    Setting::open("backup-every", Some("24h"), "How long after a backup `serve` makes the next")
        .accepts("seconds, or as 30m, 12h, 7d; 1m to 365d");
pub(super) static BACKUP_KEEP: Setting = Setting::open(
    "backup-keep",
    Some("14"),
    "How many backups stay in backup-directory; older ones are removed",
)
.accepts("1 to 10000");
pub(super) static LOG: Setting =
    Setting::open("log", Some("info"), "The least important log line written")
        .accepts("error, warn, info, debug, trace or off");

/// Every setting, in the order in which people read them.
pub static SETTINGS: [&Setting; 44] = [
    &SETTINGS_FILE,
    &ENVIRONMENT,
    &DATABASE,
    &MIGRATE,
    &LISTEN,
    &SUMSUB_URL,
    &SUMSUB_PROXY,
    &SUMSUB_APP_TOKEN,
    &SUMSUB_SECRET_KEY,
    &SUMSUB_WEBHOOK_SECRET,
    &SUMSUB_LEVEL_BUSINESS,
    &SUMSUB_LEVEL_INDIVIDUAL,
    &SUMSUB_VERDICT,
    &SESSION_TTL,
    &IMPORT_MODE,
    &VALID_DAYS_BUSINESS,
    &VALID_DAYS_INDIVIDUAL,
    &PROVIDER_PERMITS,
    &EVENT_PLACES,
    &RECONCILE_AFTER,
    &RECONCILE_EVERY,
    &WEBHOOK_TIME_SCALE,
    &WEBHOOK_ALLOW,
    &INBOX_DAYS,
    &OUTGOING_DAYS,
    &CONNECTIONS_MAX,
    &CONNECTIONS_PER_PEER_MAX,
    &WAITS_MAX,
    &KEPT_SECRETS_MAX,
    &REQUESTS_PER_SECOND,
    &REQUESTS_BURST,
    &ORGANIZATION_RATE,
    &ORGANIZATION_BURST,
    &WRONG_KEYS_PER_MINUTE,
    &TRUSTED_PROXIES,
    &CLIENT_ADDRESS_HEADER,
    &METRICS_LISTEN,
    &PUBLIC_URL,
    &LINK_DAYS,
    &LETTER,
    &BACKUP_DIRECTORY,
    &BACKUP_EVERY,
    &BACKUP_KEEP,
    &LOG,
];
