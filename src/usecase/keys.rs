//! API keys: made, shown once, listed without the secret, rotated with an overlap, revoked at once.

use std::fmt;

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{ApiKey, Scopes};
use crate::usecase::authenticate::{KEY_PREFIX, key_sha256};
use crate::usecase::create_organization::new_id;
use crate::usecase::{Also, Appliance, Failure};

/// The most characters of a key's name.
pub const KEY_NAME_CHARACTERS_MAX: usize = 100;
/// The longest time that a rotated key goes on working beside its successor.
pub const OVERLAP_MS_MAX: i64 = 30 * 86_400_000;

/// A key's text, to be shown once. Never printed by `Debug`.
pub struct KeyText(String);

impl KeyText {
    /// The key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(…)")
    }
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it does not work.
    pub expires_at: Option<Timestamp>,
}

/// Makes a key of an organization that may do everything and never expires.
pub fn create_key(
    appliance: &Appliance,
    organization: &OrganizationId,
    name: &str,
) -> Result<(ApiKey, KeyText), Failure> {
    let new = NewKey { name: name.to_owned(), scopes: Scopes::ReadWrite, expires_at: None };
    create_key_with(appliance, organization, &new)
}

/// Makes a key of an organization: 32 random bytes behind the environment's prefix.
pub fn create_key_with(
    appliance: &Appliance,
    organization: &OrganizationId,
    new: &NewKey,
) -> Result<(ApiKey, KeyText), Failure> {
    let now = (appliance.clock)();
    if new.expires_at.is_some_and(|it| it <= now) {
        return Err(Failure::Invalid("a key cannot expire before it is made".to_owned()));
    }
    let (key, text) = draw(appliance, organization, new, now)?;
    let (row, sha256) = (key.clone(), key_sha256(text.expose()));
    appliance.store.write(move |tx| {
        tx.organization(&row.organization)?.ok_or(Failure::OrganizationNotFound)?;
        Ok::<_, Failure>(tx.insert_api_key(&row, &sha256)?)
    })?;
    Ok((key, text))
}

/// Makes a successor of a key with its name and scopes; the old one works for `overlap_ms` more.
pub fn rotate_key(
    appliance: &Appliance,
    organization: &OrganizationId,
    key_id: &str,
    overlap_ms: i64,
) -> Result<(ApiKey, KeyText), Failure> {
    if !(0..=OVERLAP_MS_MAX).contains(&overlap_ms) {
        return Err(Failure::Invalid("the overlap is 0 to 30 days".to_owned()));
    }
    let now = (appliance.clock)();
    let old = appliance
        .store
        .read(|register| register.api_key(key_id))?
        .filter(|it| it.organization == *organization && is_active(it, now))
        .ok_or(Failure::KeyNotFound)?;
    let new = NewKey { name: old.name.clone(), scopes: old.scopes, expires_at: None };
    let (key, text) = draw(appliance, organization, &new, now)?;
    let (row, sha256) = (key.clone(), key_sha256(text.expose()));
    appliance.store.write(move |tx| {
        tx.insert_api_key(&row, &sha256)?;
        Ok::<_, Failure>(tx.expire_api_key(&old.id, now.plus_ms(overlap_ms))?)
    })?;
    Ok((key, text))
}

/// Stops a key at once. `false`: there is no active key of that id.
pub fn revoke_key(appliance: &Appliance, key_id: &str) -> Result<bool, Failure> {
    let (id, now) = (key_id.to_owned(), (appliance.clock)());
    appliance.store.write(move |tx| Ok(tx.revoke_api_key(&id, now)?))
}

/// Stops a key of an organization at once, and does `also` in the same commit. One that is revoked
/// already stays as it is.
pub fn revoke_own_key(
    appliance: &Appliance,
    organization: &OrganizationId,
    key_id: &str,
    also: Also<ApiKey>,
) -> Result<ApiKey, Failure> {
    let (owner, id, now) = (organization.clone(), key_id.to_owned(), (appliance.clock)());
    appliance.store.write(move |tx| {
        let found = tx.api_key(&id)?.filter(|it| it.organization == owner);
        let key = found.ok_or(Failure::KeyNotFound)?;
        let revoked_at = key.revoked_at.or(Some(now));
        tx.revoke_api_key(&id, now)?;
        let key = ApiKey { revoked_at, ..key };
        also(tx, &key)?;
        Ok(key)
    })
}

/// Whether a key works at `now`.
pub fn is_active(key: &ApiKey, now: Timestamp) -> bool {
    key.revoked_at.is_none() && key.expires_at.is_none_or(|it| now < it)
}

fn draw(
    appliance: &Appliance,
    organization: &OrganizationId,
    new: &NewKey,
    now: Timestamp,
) -> Result<(ApiKey, KeyText), Failure> {
    let name = new.name.trim();
    if name.is_empty()
        || name.chars().count() > KEY_NAME_CHARACTERS_MAX
        || name.chars().any(char::is_control)
    {
        return Err(Failure::Invalid(format!(
            "a key's name has 1 to {KEY_NAME_CHARACTERS_MAX} characters and no control characters"
        )));
    }
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).map_err(|_os| Failure::NoRandomness)?;
    let mut text = format!("{KEY_PREFIX}{}_", appliance.rules.environment.as_str());
    for digit in secret.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.extend(char::from_digit(u32::from(digit), 16));
    }
    let key = ApiKey {
        id: new_id("key_", now),
        organization: organization.clone(),
        name: name.to_owned(),
        scopes: new.scopes,
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    Ok((key, KeyText(text)))
}
