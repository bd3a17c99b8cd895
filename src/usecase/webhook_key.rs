//! The server's webhook key: how it stands, when one may be created, and a new one for a lost one.
//!
//! A key is created with a new register, or when something first needs one. It is never created while
//! endpoints' secrets come from another: that would bury a loss that a backup still heals. Without the
//! right key, sessions, links, polls and the gate go on; only what must be signed waits.

use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use crate::domain::timestamp::Timestamp;
use crate::outbox::{KeyFile, KeyFit, KeyStanding, WebhookKey, WebhookKeyError, remedy};
use crate::store::files::stamp;
use crate::store::{Salts, StoreError};
use crate::usecase::{Appliance, Failure};

/// How long a look at a key that fits holds, in milliseconds: it costs a hash for every endpoint.
const FIT_HOLDS_MS: i64 = 5_000;
/// The same of one that does not: whoever puts the file back waits for it.
const UNFIT_HOLDS_MS: i64 = 1_000;

/// How the key stands, looked at again now and then. A change is logged, once.
pub fn key_standing(appliance: &Appliance) -> Arc<KeyStanding> {
    let (key, now) = (&appliance.outbox.key, (appliance.clock)());
    let mut last = key.last.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, standing)) = &*last
        && holds(*at, standing.fit, now)
    {
        return Arc::clone(standing);
    }
    let before = last.as_ref().map(|(_, standing)| Arc::clone(standing)).unwrap_or_default();
    // A register that cannot be read is reported by whoever reads it.
    let Ok(standing) = look(appliance) else { return before };
    log_change(key.register(), before.fit, standing.fit);
    let standing = Arc::new(standing);
    *last = Some((now, Arc::clone(&standing)));
    standing
}

/// How the key stands at this moment.
pub fn look(appliance: &Appliance) -> Result<KeyStanding, StoreError> {
    let salts = appliance.store.read(|register| register.endpoint_salts())?;
    Ok(standing_of(&appliance.outbox.key, &salts))
}

/// Whether the key beside a register, or a backup, is the one of these endpoints' secrets.
pub fn fit_beside(register: &Path, endpoints: &[(String, Salts)]) -> KeyFit {
    standing_of(&KeyFile::beside(register), endpoints).fit
}

fn standing_of(key: &KeyFile, endpoints: &[(String, Salts)]) -> KeyStanding {
    key.look(endpoints.iter().map(|(id, salts)| (id.as_str(), &salts.current, &salts.check)))
}

/// Also when the clock has gone back.
fn holds(at: Timestamp, fit: KeyFit, now: Timestamp) -> bool {
    let for_ms = if fit.is_good() { FIT_HOLDS_MS } else { UNFIT_HOLDS_MS };
    at <= now && now < at.plus_ms(for_ms)
}

fn log_change(register: &Path, before: KeyFit, now: KeyFit) {
    if discriminant(&before) == discriminant(&now) {
        return;
    }
    match now.fault(register) {
        Some(fault) => {
            let remedy = now.remedy(register);
            tracing::error!(endpoints = now.unfit_endpoints(), "{fault}: {remedy}");
        }
        None if !before.is_good() => {
            tracing::info!("the webhook key fits again: what waited for it is sent");
        }
        None => {}
    }
}

/// The key that secrets are derived from, if there is one.
pub(super) fn present_key(appliance: &Appliance) -> Result<Option<WebhookKey>, Failure> {
    let file = &appliance.outbox.key;
    file.read().map_err(|error| unusable(file.register(), &error))
}

/// The key that a new secret is derived from; created if nothing has needed one before.
pub(super) fn key_for_secrets(appliance: &Appliance) -> Result<WebhookKey, Failure> {
    if let Some(key) = present_key(appliance)? {
        return Ok(key);
    }
    if !appliance.store.read(|register| register.endpoint_salts())?.is_empty() {
        return Err(Failure::WebhookKeyMissing);
    }
    let file = &appliance.outbox.key;
    let created = file.read_or_create();
    if created.is_ok()
        && let Some(fault) = file.owner_fault()
    {
        tracing::warn!("{fault}");
    }
    created.map_err(|error| match error {
        WebhookKeyError::Unreadable { .. } => unusable(file.register(), &error),
        WebhookKeyError::File { path, source } => cannot("create", path, &source),
    })
}

/// The key that a new endpoint's secret is derived from. Not one that no endpoint's secret follows from:
/// it may be another register's, put here by mistake, and would bury the right one. A rotation under it
/// says that it is meant.
pub(super) fn key_for_endpoint(appliance: &Appliance) -> Result<WebhookKey, Failure> {
    let key = key_for_secrets(appliance)?;
    let salts = appliance.store.read(|register| register.endpoint_salts())?;
    let fits =
        |(id, salts): &(String, Salts)| key.secret(id, &salts.current).check() == salts.check;
    if salts.is_empty() || salts.iter().any(fits) {
        return Ok(key);
    }
    Err(Failure::WebhookKeyOther)
}

/// The key that the addresses of links are derived from. Without one a link has an address that cannot
/// be shown again: a lost key must not keep a customer from being verified.
pub(super) fn key_for_links(appliance: &Appliance) -> Option<WebhookKey> {
    match key_for_secrets(appliance) {
        Ok(key) => Some(key),
        Err(Failure::WebhookKeyMissing) => None,
        Err(error) => {
            tracing::error!(%error, "a link's address cannot be shown again: there is no webhook key");
            None
        }
    }
}

/// Puts a new key in the place of one that is lost. Answers where the file is kept that was there.
pub fn replace_key(appliance: &Appliance) -> Result<Option<PathBuf>, Failure> {
    let ending = format!(".replaced-{}", stamp((appliance.clock)()));
    appliance.outbox.key.replace(&ending).map_err(|error| match error {
        WebhookKeyError::Unreadable { .. } => unusable(appliance.outbox.key.register(), &error),
        WebhookKeyError::File { path, source } => cannot("replace", path, &source),
    })
}

fn unusable(register: &Path, error: &WebhookKeyError) -> Failure {
    Failure::WebhookKeyUnusable(format!("{error}: {}", remedy(register, error.fault())))
}

fn cannot(doing: &'static str, path: PathBuf, error: &std::io::Error) -> Failure {
    Failure::Store(StoreError::File { doing, path, why: error.to_string() })
}
