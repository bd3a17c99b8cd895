//! Who calls, for whom, and may they: the contract's first three checks, from one read.

use sha2::{Digest as _, Sha256};

use crate::domain::authorization::{Acting, Purpose};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{KeyFacts, Subject};
use crate::usecase::{Appliance, Failure};

/// What an API key begins with; the environment follows.
pub const KEY_PREFIX: &str = "nxos_sk_";
/// No key of ours is longer; longer ones are not even hashed.
const KEY_BYTES_MAX: usize = 128;

/// A request that has passed the gate.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The proof.
    pub acting: Acting,
    /// The organization that the request is about.
    pub subject: Subject,
    /// The key that was used.
    pub key: KeyFacts,
}

/// Checks key, header and LOA, in this order (contract §5). `on_behalf_of` is the header's value;
/// the caller's own id counts as absent.
pub fn authenticate(
    appliance: &Appliance,
    api_key: &str,
    on_behalf_of: Option<&OrganizationId>,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Caller, Failure> {
    let secret = api_key
        .strip_prefix(KEY_PREFIX)
        .and_then(|it| it.strip_prefix(appliance.rules.environment.as_str()))
        .and_then(|it| it.strip_prefix('_'));
    if secret.is_none() || api_key.len() > KEY_BYTES_MAX {
        return Err(Failure::InvalidApiKey);
    }
    let access = appliance
        .store
        .read(|register| register.access(&key_sha256(api_key), on_behalf_of))?
        .filter(|it| it.key.is_active(now))
        .ok_or(Failure::InvalidApiKey)?;
    let subject = access.subject.ok_or(Failure::OrganizationNotFound)?;
    if subject.id == access.caller {
        return Ok(Caller { acting: Acting::for_itself(access.caller), subject, key: access.key });
    }
    let acting = Acting::on_behalf(
        access.caller,
        subject.id.clone(),
        purpose,
        subject.authorization,
        subject.verification.at(now),
    )
    .map_err(Failure::AuthorizationRequired)?;
    Ok(Caller { acting, subject, key: access.key })
}

/// What the register keeps of a key.
pub(crate) fn key_sha256(api_key: &str) -> [u8; 32] {
    Sha256::digest(api_key.as_bytes()).into()
}
