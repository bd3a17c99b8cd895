//! What this machine tells by itself: configuration, files, disk, register, backups.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{Finding, receivers, verdicts};
use crate::cli::wiring::{environment, letter as read_letter};
use crate::config::{Config, Source, World, nearest};
use crate::domain::timestamp::Timestamp;
use crate::outbox::{KeyFile, KeyFit, WebhookKey, remedy};
use crate::store::files::{beside, directory_of, free_bytes};
use crate::store::{Opening, Salts, ServingLock, Store, StoreError, refuse_other_names};
use crate::usecase::back_up::backups_of;
use crate::usecase::webhook_key::fit_beside;

/// Below this a disk is as good as full: a log may grow to 64 MiB and more.
const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;
/// A log is folded in at 40 MB; one this large has a reader that does not end.
const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// A customer who waits longer than that is likely forgotten.
const PENDING_MAX_S: i64 = 7 * 86_400;
/// An outgoing message that waits longer than that has an endpoint that fails.
const OUTBOX_MAX_S: i64 = 3_600;

pub(super) fn look(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![configuration(config), sumsub_of_the_environment(config)];
    findings.push(proxy(config));
    findings.extend(links(config));
    findings.extend(letter(config));
    findings.extend(config.unknown.iter().map(|it| unknown(it)));
    findings.push(server(config));
    findings.extend(moved_away(config));
    // Before the register is opened: that folds the log.
    let log = log(config);
    findings.extend(register(config, now));
    findings.push(modes(config));
    findings.push(disk(config));
    findings.push(log);
    findings.push(backups(config, now));
    findings
}

fn configuration(config: &Config) -> Finding {
    match config.provider() {
        Ok(_) => Finding::fine("configuration", "complete"),
        Err(error) => Finding::error(
            "configuration",
            error.to_string(),
            "`countersign serve` does not start with it.",
            "set what is named; `countersign config` shows what is in force",
        ),
    }
}

/// A live register that asks a simulator would take its word for the law.
fn sumsub_of_the_environment(config: &Config) -> Finding {
    let Ok(provider) = config.provider() else {
        return Finding::fine("environment", config.world.as_str());
    };
    let is_sumsub = provider.url == "https://api.sumsub.com";
    let prefix = if config.world == World::Live { "prd:" } else { "sbx:" };
    if config.world == World::Live && !is_sumsub {
        return Finding::error(
            "environment",
            format!("live, and Sumsub is {}", provider.url),
            "Whoever answers there decides who may be acted for.",
            "unset COUNTERSIGN_SUMSUB_URL, or set COUNTERSIGN_ENVIRONMENT=test",
        );
    }
    if !provider.app_token.expose().starts_with(prefix) {
        return Finding::warning(
            "environment",
            format!("{}, and the app token does not begin with {prefix}", config.world.as_str()),
            "A token of the other world would verify real people in test, or nobody in live.",
            format!(
                "put an app token of Sumsub's {} into COUNTERSIGN_SUMSUB_APP_TOKEN",
                if config.world == World::Live { "production" } else { "sandbox" }
            ),
        );
    }
    Finding::fine("environment", format!("{}, with {}", config.world.as_str(), provider.url))
}

fn proxy(config: &Config) -> Finding {
    let is_behind = config.public_url.as_ref().is_some_and(|it| it.starts_with("https://"));
    if is_behind && config.trusted_proxies.is_empty() {
        return Finding::warning(
            "proxy",
            "public-url is https, so a proxy stands in front, and trusted-proxies is none",
            "Every client counts as the proxy: one that guesses keys locks all others out.",
            "set COUNTERSIGN_TRUSTED_PROXIES to the proxy's address, as 127.0.0.1",
        );
    }
    if is_behind && config.connections_per_peer_max < config.connections_max {
        return Finding::warning(
            "proxy",
            format!(
                "connections-per-peer-max is {}, and all connections come from the proxy",
                config.connections_per_peer_max
            ),
            "Under load clients are refused although there is room.",
            format!("set COUNTERSIGN_CONNECTIONS_PER_PEER_MAX={}", config.connections_max),
        );
    }
    Finding::fine("proxy", if is_behind { "trusted" } else { "no https in front is configured" })
}

/// Whoever reads a customer's link can sign with it. What a proxy writes down cannot be seen from here,
/// so this asks the operator instead of warning for ever.
fn links(config: &Config) -> Option<Finding> {
    config.public_url.as_ref().map(|url| {
        let days = config.link_days;
        Finding::fine(
            "links",
            format!(
                "a new one can sign for {days} days. Does a log of the proxy at {url} show them whole? \
                 Mask /h/ there as packaging/proxies does (docs/operations.md, \"Behind a proxy\")"
            ),
        )
    })
}

/// The letter that `serve` would refuse to start with, and one that nobody is shown.
fn letter(config: &Config) -> Option<Finding> {
    let path = config.letter.as_ref()?.display();
    if config.public_url.is_none() {
        return Some(Finding::warning(
            "letter",
            format!("{path} is set, and public-url is none: no page shows it"),
            "Customers do not sign here at all.",
            "set COUNTERSIGN_PUBLIC_URL to the address of the customers' pages, or unset \
             COUNTERSIGN_LETTER",
        ));
    }
    Some(match read_letter(config) {
        Ok(it) => Finding::fine("letter", format!("{path}, version {}", it.version())),
        Err(error) => Finding::error(
            "letter",
            error.sentence,
            "`countersign serve` does not start with it, and a running server does not reload.",
            "correct the file, or unset COUNTERSIGN_LETTER for the standard letter",
        ),
    })
}

fn unknown(name: &str) -> Finding {
    let fix = match nearest(name) {
        Some(known) => format!("rename it to {known}, or remove it"),
        None => "remove it; `countersign config --help` lists every variable".to_owned(),
    };
    Finding::warning(
        "variable",
        format!("{name} is no setting of countersign"),
        "It has no effect, and what it was meant to set has its default.",
        fix,
    )
}

/// Whether the server has another file open than the one that the path names by now. Best effort:
/// only Linux shows what a process has open, and only to its own user and to root.
fn moved_away(config: &Config) -> Option<Finding> {
    let holder = ServingLock::holder(&config.database)?;
    let pid = holder.strip_prefix("process ")?;
    let open: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .filter_map(|it| std::fs::metadata(it.ok()?.path()).ok())
        .map(|it| (it.dev(), it.ino()))
        .collect();
    let inode = |it: &Path| std::fs::metadata(it).ok().map(|it| (it.dev(), it.ino()));
    // In another namespace of processes the number is somebody else's.
    let lock = ServingLock::path(&config.database);
    let is_the_server = inode(&lock).is_some_and(|it| open.contains(&it));
    if !is_the_server || inode(&config.database).is_some_and(|it| open.contains(&it)) {
        return None;
    }
    let path = config.database.display();
    Some(Finding::error(
        "moved",
        format!("{holder} serves a register that was moved away from {path}"),
        "What it records goes to the moved file, and is missing from every backup of this path.",
        format!(
            "stop the server, put the register back at {path} with its -wal, and start it again"
        ),
    ))
}

fn server(config: &Config) -> Finding {
    let what = match ServingLock::holder(&config.database) {
        Some(by) => format!("{by} serves {}", config.database.display()),
        None => format!("no server runs on {}", config.database.display()),
    };
    Finding::fine("server", what)
}

fn register(config: &Config, now: Timestamp) -> Vec<Finding> {
    let opened = refuse_other_names(&config.database)
        .and_then(|()| Store::open(&config.database, environment(config), Opening::MustExist, now));
    let read = opened.and_then(|store| {
        let figures = store.snapshot(|register| {
            Ok::<_, StoreError>((register.figures(now)?, register.oldest_pending()?))
        })?;
        let mut findings = verdicts::look(&store, config, now)?;
        findings.push(receivers::look(&store, config)?);
        findings.push(records(&store)?);
        findings.push(webhook_key(config, &store.read(|register| register.endpoint_salts())?));
        findings.extend(receivers::disabled(&store)?);
        Ok((figures, findings))
    });
    let ((figures, oldest), mut findings) = match read {
        Ok(it) => it,
        Err(error) => return vec![no_register(config, &error)],
    };
    findings.push(Finding::fine("register", format!("{} bytes", figures.database_bytes)));
    if let Some(of) = oldest.filter(|_| figures.oldest_pending_s > PENDING_MAX_S) {
        findings.push(Finding::warning(
            "pending",
            format!("{of} has been PENDING for {} days", figures.oldest_pending_s / 86_400),
            "A webhook may have been lost, or the customer has given up.",
            format!(
                "`countersign verification show {of}`, and its applicant in Sumsub's dashboard"
            ),
        ));
    }
    if figures.outbox_oldest_s > OUTBOX_MAX_S {
        findings.push(Finding::warning(
            "outbox",
            format!(
                "{} messages wait, the oldest for {} h",
                figures.outbox_depth,
                figures.outbox_oldest_s / 3600
            ),
            "A caller's webhook endpoint fails, or no server runs.",
            "`countersign webhook list`, and `countersign webhook deliveries ep_...` says why",
        ));
    }
    findings
}

/// Whether anything was changed or removed behind the program's back. What the facts fold to is for
/// `verify`.
fn records(store: &Store) -> Result<Finding, StoreError> {
    let mut faults = Vec::new();
    let compared =
        store.snapshot(|register| register.compare_records(&mut |words| faults.push(words)))?;
    let Some(first) = faults.first() else {
        return Ok(Finding::fine(
            "records",
            format!(
                "{} signed letters and {} bodies of Sumsub's webhooks are what their hashes say",
                compared.letters, compared.bodies
            ),
        ));
    };
    Ok(Finding::error(
        "records",
        format!("{first} ({} such faults)", faults.len()),
        "Somebody or something changed what was recorded: it proves nothing any more.",
        "`countersign verify` names them; keep a copy, and compare with a backup from before",
    ))
}

fn webhook_key(config: &Config, endpoints: &[(String, Salts)]) -> Finding {
    const CHECK: &str = "webhook key";
    let fit = fit_beside(&config.database, endpoints);
    match fit.fault(&config.database) {
        Some(fault) => Finding::error(
            CHECK,
            fault,
            "Receivers are not told of anything, and backups made now are without the right key.",
            fit.remedy(&config.database),
        ),
        None if fit == KeyFit::NotNeeded => match WebhookKey::read(&config.database) {
            Ok(_) => Finding::fine(CHECK, "no webhook endpoint needs one"),
            Err(error) => Finding::warning(
                CHECK,
                error.to_string(),
                "No webhook endpoint needs one yet, and none can be created.",
                remedy(&config.database, error.fault()),
            ),
        },
        None => match KeyFile::beside(&config.database).owner_fault() {
            None => Finding::fine(CHECK, "every endpoint's secret follows from it"),
            Some(fault) => Finding::warning(
                CHECK,
                fault,
                "A server that runs as the register's user cannot read it, and sends nothing.",
                "the command above",
            ),
        },
    }
}

/// A backup in place of a register that is well loses what was recorded since: it is the remedy for a
/// damaged one alone.
fn no_register(config: &Config, error: &StoreError) -> Finding {
    let (path, directory) = (config.database.display(), directory_of(&config.database).display());
    let fix = match error {
        StoreError::Missing(path) => {
            return Finding::warning(
                "register",
                format!("there is none at {}", path.display()),
                "A server makes an empty one: nobody has a key.",
                "`countersign org create`, or name another file with --database",
            );
        }
        StoreError::Damaged { .. } | StoreError::Corrupt(_) | StoreError::OtherSchema { .. } => {
            "`countersign verify` says what is wrong; `countersign restore BACKUP` puts a backup in \
             its place"
                .to_owned()
        }
        StoreError::OtherEnvironment { stamped, .. } => {
            format!("set COUNTERSIGN_ENVIRONMENT={stamped}, or name another file with --database")
        }
        StoreError::Older { .. } => {
            "`countersign migrate --plan` shows what has to be done, `countersign migrate` does it"
                .to_owned()
        }
        StoreError::Newer { path, .. } => format!(
            "run the newer countersign; or, without what it has recorded, `countersign restore \
             --force {}.version-...`",
            path.display()
        ),
        StoreError::Foreign(_) | StoreError::NotMigratable { .. } => {
            "name another file with --database".to_owned()
        }
        StoreError::File { path, .. } => {
            format!("`ls -ld {}`: let the user that serves read and write it", path.display())
        }
        StoreError::Served { .. } | StoreError::InUse(_) => {
            format!("`fuser {path}` shows who has it open; end it, and look again")
        }
        StoreError::Busy
        | StoreError::Closed
        | StoreError::Panicked
        | StoreError::RolledBack
        | StoreError::Sqlite(_) => format!(
            "look again; if it stays, `countersign verify` tells whether the file is damaged, \
             `ls -ld {directory} {path}` shows whether it may be written, `df {directory}` whether there is \
             room, and `fuser {path}` who else has it open"
        ),
    };
    Finding::error("register", error.to_string(), "Nothing can be answered or recorded.", fix)
}

/// Everything that holds personal data or a secret.
fn modes(config: &Config) -> Finding {
    let mut files: Vec<PathBuf> =
        ["", "-wal", "-shm"].iter().map(|it| beside(&config.database, it)).collect();
    files.push(WebhookKey::path(&config.database));
    files.extend(config.in_force.iter().filter(|it| it.is_private()).filter_map(|it| {
        match &it.source {
            Source::File(path) => Some(path.clone()),
            Source::Flag | Source::Environment | Source::Default => None,
        }
    }));
    let open: Vec<String> =
        files.iter().filter(|it| is_open_to_all(it)).map(|it| it.display().to_string()).collect();
    if open.is_empty() {
        return Finding::fine("modes", "nobody else can read the register or a secret");
    }
    Finding::error(
        "modes",
        format!("every user of this machine can read {}", open.join(", ")),
        "They hold names of customers, or secrets.",
        format!("chmod o-rwx {}", open.join(" ")),
    )
}

fn is_open_to_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o006 != 0)
}

fn disk(config: &Config) -> Finding {
    let directory = directory_of(&config.database);
    match free_bytes(directory) {
        Err(error) => Finding::error(
            "disk",
            error.to_string(),
            "The register cannot be used.",
            format!("mkdir -p {}", directory.display()),
        ),
        Ok(free) if free < FREE_BYTES_MIN => Finding::error(
            "disk",
            format!("{} MiB free in {}", free / 1_048_576, directory.display()),
            "On a full disk nothing is recorded: webhooks and requests are answered 500 and 503.",
            "make room, or move the register: `countersign backup NEW/register.db`, then --database",
        ),
        Ok(free) => Finding::fine("disk", format!("{} MiB free", free / 1_048_576)),
    }
}

fn log(config: &Config) -> Finding {
    let path = beside(&config.database, "-wal");
    let bytes = std::fs::metadata(&path).map_or(0, |it| it.len());
    if bytes > LOG_BYTES_MAX {
        return Finding::warning(
            "log",
            format!("{} has {} MiB", path.display(), bytes / 1_048_576),
            "Some process holds a read transaction open; reads slow down and the disk fills.",
            format!("`fuser {}` shows who; end it", config.database.display()),
        );
    }
    if bytes > 0 && !ServingLock::is_held(&config.database) {
        // No error: whoever opens the register next reads it, and folds it in at the end.
        return Finding::fine(
            "log",
            format!(
                "{} has {} KiB that the register's file does not hold, and nobody serves it. Copy both, \
                 or use `countersign backup`; the next command or server that ends folds it in",
                path.display(),
                bytes.div_ceil(1024)
            ),
        );
    }
    Finding::fine("log", format!("{} MiB", bytes / 1_048_576))
}

fn backups(config: &Config, now: Timestamp) -> Finding {
    const WHY: &str = "Without a backup, a broken disk loses who authorized whom.";
    let Some(directory) = &config.backup_directory else {
        return Finding::warning(
            "backups",
            "the server makes none",
            WHY,
            "set COUNTERSIGN_BACKUP_DIRECTORY, or run `countersign backup` by other means",
        );
    };
    let fix = format!("countersign backup {}", directory.display());
    let newest = match backups_of(&config.database, directory) {
        Ok(found) => found.into_iter().map(|(_, at)| at).rfind(|at| *at <= now),
        Err(error) => {
            let fix = format!("mkdir -m 700 {0} && {fix}", directory.display());
            return Finding::error("backups", error.to_string(), WHY, fix);
        }
    };
    let every_ms = i64::from(config.backup_every_s).saturating_mul(1000);
    match newest {
        None => Finding::error("backups", format!("none in {}", directory.display()), WHY, fix),
        Some(at) if at.plus_ms(every_ms.saturating_mul(2)) < now => Finding::error(
            "backups",
            format!("the newest is of {at}"),
            "The server should have made one since; its log says why not (`no backup was made`).",
            fix,
        ),
        Some(at) => Finding::fine("backups", format!("the newest is of {at}")),
    }
}
