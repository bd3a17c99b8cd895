//! API keys: created, shown once, listed without the secret, rotated with an overlap, revoked at once.
//!
//! A key gives no more than it has (contract 9.6): what it creates, or rotates another key into, ends no
//! later than it does itself, and records it as the maker. So a leaked key can be cleaned up after:
//! revoking it can take every key that came of it along.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::domain::organization::OrganizationId;
use crate::domain::text;
use crate::domain::timestamp::Timestamp;
use crate::store::{ApiKey, Scopes, Tx};
use crate::usecase::authenticate::{Caller, KEY_PREFIX, key_sha256};
use crate::usecase::create_organization::new_id;
use crate::usecase::{Also, Appliance, Failure, nothing_else};

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

/// Which keys a revocation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The key alone.
    ThisKey,
    /// The key, and every key that came of it: those that it created or rotated others into, those that
    /// these created, and so on.
    WithDescendants,
}

/// A revoked key.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// The key.
    pub key: ApiKey,
    /// Whether it was revoked already.
    pub before: bool,
    /// How many keys that came of it were active and are revoked with it; `None`: they were spared.
    pub descendants: Option<usize>,
}

/// Creates a key of an organization that may do everything and never expires.
pub fn create_key(
    appliance: &Appliance,
    organization: &OrganizationId,
    name: &str,
) -> Result<(ApiKey, KeyText), Failure> {
    let new = NewKey { name: name.to_owned(), scopes: Scopes::ReadWrite, expires_at: None };
    create_key_with(appliance, organization, &new, nothing_else())
}

/// Creates a key of an organization: 32 random bytes behind the environment's prefix. One that a key
/// creates ends with its maker, unless it is to end earlier.
pub fn create_key_with(
    appliance: &Appliance,
    organization: &OrganizationId,
    new: &NewKey,
    also: Also<ApiKey>,
) -> Result<(ApiKey, KeyText), Failure> {
    let (now, timekeeper) = ((appliance.clock)(), Arc::clone(&appliance.timekeeper));
    let (new, name) = (new.clone(), checked_name(&new.name)?);
    if new.expires_at.is_some_and(|it| it <= now) {
        return Err(Failure::Invalid("a key cannot expire before it is created".to_owned()));
    }
    let (text, sha256) = draw(appliance)?;
    let mut key = ApiKey {
        id: new_id("key_", now),
        organization: organization.clone(),
        name,
        scopes: new.scopes,
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
        created_by: None,
    };
    let key = appliance.store.write(move |tx| {
        let maker = also.admission.ask(**tx, timekeeper.decision_instant())?;
        let latest = maker.as_ref().and_then(|it| it.key.expires_at);
        if let (Some(wish), Some(latest)) = (key.expires_at, latest)
            && wish > latest
        {
            return Err(Failure::Invalid(format!(
                "the key that you use ends at {latest}, and a key that it creates ends no later: ask \
                 for an earlier end, or for none to have it end then"
            )));
        }
        tx.organization(&key.organization)?.ok_or(Failure::OrganizationNotFound)?;
        key.expires_at = key.expires_at.or(latest);
        key.created_by = maker.map(|it| it.key.id);
        tx.insert_api_key(&key, &sha256)?;
        also.finish(tx, &key)?;
        Ok(key)
    })?;
    Ok((key, text))
}

/// Creates a successor of a key with its name and scopes; the old one works for `overlap_ms` more. A
/// key's successor ends when the old one would have ended without the rotation, and one that another key
/// asked for no later than that key. An operator's has no end.
pub fn rotate_key(
    appliance: &Appliance,
    organization: &OrganizationId,
    key_id: &str,
    overlap_ms: i64,
    also: Also<ApiKey>,
) -> Result<(ApiKey, KeyText), Failure> {
    if !(0..=OVERLAP_MS_MAX).contains(&overlap_ms) {
        return Err(Failure::Invalid("the overlap is 0 to 30 days".to_owned()));
    }
    let (owner, old_id) = (organization.clone(), key_id.to_owned());
    let (timekeeper, clock) = (Arc::clone(&appliance.timekeeper), Arc::clone(&appliance.clock));
    let (text, sha256) = draw(appliance)?;
    let key = appliance.store.write(move |tx| {
        let decided_at = timekeeper.decision_instant();
        let maker = also.admission.ask(**tx, decided_at)?;
        let old = tx
            .api_key(&old_id)?
            .filter(|it| it.organization == owner && is_active(it, decided_at))
            .ok_or(Failure::KeyNotFound)?;
        let now = clock();
        let key = ApiKey {
            id: new_id("key_", now),
            organization: owner,
            created_at: now,
            expires_at: maker.as_ref().and_then(|it| end_of_successor(&old, it)),
            last_used_at: None,
            revoked_at: None,
            created_by: maker.map(|it| it.key.id),
            ..old
        };
        tx.insert_api_key(&key, &sha256)?;
        tx.expire_api_key(&old_id, now.plus_ms(overlap_ms))?;
        also.finish(tx, &key)?;
        Ok::<_, Failure>(key)
    })?;
    Ok((key, text))
}

/// The earlier of two ends, of which either may be none.
fn end_of_successor(old: &ApiKey, maker: &Caller) -> Option<Timestamp> {
    old.expires_at.into_iter().chain(maker.key.expires_at).min()
}

/// Stops a key at once. One that is revoked already stays as it is, and its descendants can still be
/// revoked by it. `organization`: only a key of this one is found.
pub fn revoke_key(
    appliance: &Appliance,
    organization: Option<&OrganizationId>,
    key_id: &str,
    reach: Reach,
    also: Also<Revoked>,
) -> Result<Revoked, Failure> {
    let (owner, id) = (organization.cloned(), key_id.to_owned());
    let clock = Arc::clone(&appliance.clock);
    appliance.commit(also, move |tx| {
        let now = clock();
        let found =
            tx.api_key(&id)?.filter(|it| owner.as_ref().is_none_or(|of| it.organization == *of));
        let key = found.ok_or(Failure::KeyNotFound)?;
        let before = !tx.revoke_api_key(&id, now)?;
        let descendants = match reach {
            Reach::ThisKey => None,
            Reach::WithDescendants => Some(revoke_descendants(tx, &key, now)?),
        };
        let revoked_at = key.revoked_at.or(Some(now));
        Ok(Revoked { key: ApiKey { revoked_at, ..key }, before, descendants })
    })
}

/// Revokes whatever came of a key, through every generation, and answers how many were active. All of
/// them are of the key's own organization.
fn revoke_descendants(tx: &Tx<'_>, key: &ApiKey, now: Timestamp) -> Result<usize, Failure> {
    let keys = tx.api_keys(Some(&key.organization))?;
    let mut created_by: HashMap<&str, Vec<&ApiKey>> = HashMap::new();
    for it in &keys {
        if let Some(maker) = &it.created_by {
            created_by.entry(maker).or_default().push(it);
        }
    }
    let mut revoked: usize = 0;
    let mut makers = vec![key.id.as_str()];
    while let Some(maker) = makers.pop() {
        for it in created_by.remove(maker).unwrap_or_default() {
            makers.push(&it.id);
            let was_active = is_active(it, now);
            if tx.revoke_api_key(&it.id, now)? && was_active {
                revoked = revoked.saturating_add(1);
            }
        }
    }
    Ok(revoked)
}

/// Whether a key works at `now`.
pub fn is_active(key: &ApiKey, now: Timestamp) -> bool {
    key.revoked_at.is_none() && key.expires_at.is_none_or(|it| now < it)
}

fn checked_name(name: &str) -> Result<String, Failure> {
    text::line(name, KEY_NAME_CHARACTERS_MAX)
        .map(ToOwned::to_owned)
        .map_err(|objection| Failure::Invalid(format!("the key's name {objection}")))
}

/// A fresh key, and what the register keeps of it.
fn draw(appliance: &Appliance) -> Result<(KeyText, [u8; 32]), Failure> {
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).map_err(|_os| Failure::NoRandomness)?;
    let mut text = format!("{KEY_PREFIX}{}_", appliance.rules.environment.as_str());
    for digit in secret.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.extend(char::from_digit(u32::from(digit), 16));
    }
    let sha256 = key_sha256(&text);
    Ok((KeyText(text), sha256))
}
