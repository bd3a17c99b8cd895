//! API keys: made, shown once, listed without the secret, revoked.

use std::fmt;

use crate::domain::organization::OrganizationId;
use crate::store::ApiKey;
use crate::usecase::authenticate::{KEY_PREFIX, key_sha256};
use crate::usecase::create_organization::new_id;
use crate::usecase::{Appliance, Failure};

/// The most characters of a key's name.
const KEY_NAME_CHARACTERS_MAX: usize = 100;

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

/// Makes a key of an organization: 32 random bytes behind the environment's prefix.
pub fn create_key(
    appliance: &Appliance,
    organization: &OrganizationId,
    name: &str,
) -> Result<(ApiKey, KeyText), Failure> {
    let name = name.trim();
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
    let now = (appliance.clock)();
    let key = ApiKey {
        id: new_id("key_", now),
        organization: organization.clone(),
        name: name.to_owned(),
        created_at: now,
        revoked_at: None,
    };
    let (row, sha256) = (key.clone(), key_sha256(&text));
    appliance.store.write(move |tx| {
        tx.organization(&row.organization)?.ok_or(Failure::OrganizationNotFound)?;
        Ok::<_, Failure>(tx.insert_api_key(&row, &sha256)?)
    })?;
    Ok((key, KeyText(text)))
}

/// Stops a key at once. `false`: there is no active key of that id.
pub fn revoke_key(appliance: &Appliance, key_id: &str) -> Result<bool, Failure> {
    let (id, now) = (key_id.to_owned(), (appliance.clock)());
    appliance.store.write(move |tx| Ok(tx.revoke_api_key(&id, now)?))
}
