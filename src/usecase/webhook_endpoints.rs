//! Webhook endpoints: made, changed, deleted; their secrets told and rotated.
//!
//! An endpoint belongs to the organization whose key made it, and to nobody on whose behalf that
//! organization acts.

use crate::domain::organization::OrganizationId;
use crate::domain::outgoing::EventType;
use crate::domain::text::{self, Objection};
use crate::domain::timestamp::Timestamp;
use crate::outbox::{Outbox, Salt, Secret, WebhookKey};
use crate::store::{Salts, WebhookEndpoint};
use crate::usecase::authorizations::{Page, page};
use crate::usecase::webhook_key::{key_for_endpoint, key_for_secrets, present_key};
use crate::usecase::{Also, Appliance, Failure};

/// The most endpoints of an organization: bounds what one of its events costs everybody.
pub const ENDPOINTS_MAX: u32 = 20;
/// The most characters of a description.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 200;
/// How long after a rotation the secret before it signs as well.
pub const ROTATION_OVERLAP_MS: i64 = 24 * 3_600_000;
/// The most former secrets that sign at once: bounds the header of signatures.
pub const FORMER_SECRETS_MAX: usize = 5;

/// What an endpoint is to be.
#[derive(Clone, Debug)]
pub struct NewWebhookEndpoint {
    /// Where events are sent.
    pub url: String,
    /// The owner's own words.
    pub description: Option<String>,
    /// What is sent; empty: everything.
    pub event_types: Vec<EventType>,
}

/// What is to be changed; `None`: left as it is.
#[derive(Clone, Debug, Default)]
pub struct WebhookEndpointChange {
    /// Where events are sent.
    pub url: Option<String>,
    /// The owner's own words; empty ones take them away.
    pub description: Option<String>,
    /// What is sent; empty: everything.
    pub event_types: Option<Vec<EventType>>,
    /// Whether nothing is sent. What happens while an endpoint is disabled is logged as SKIPPED, and
    /// a resend brings it.
    pub disabled: Option<bool>,
}

/// An endpoint's secret, and until when another one signs beside it.
#[derive(Clone, Debug)]
pub struct SecretInForce {
    /// The secret that messages are signed with.
    pub secret: Secret,
    /// Until then they bear the signature of the one before it as well, and those of older ones until
    /// their own ends, which come earlier.
    pub previous_until: Option<Timestamp>,
}

/// Makes an endpoint, and `also` something else in the same commit.
pub fn create_webhook_endpoint(
    appliance: &Appliance,
    owner: &OrganizationId,
    new: NewWebhookEndpoint,
    also: Also<WebhookEndpoint>,
) -> Result<WebhookEndpoint, Failure> {
    let id = new_endpoint_id()?;
    let now = (appliance.clock)();
    let endpoint = WebhookEndpoint {
        url: checked_url(appliance, &new.url)?,
        salts: fresh_salts(&key_for_endpoint(appliance)?, &id)?,
        id,
        organization: owner.clone(),
        description: new.description.map(|it| checked_description(&it)).transpose()?.flatten(),
        disabled: false,
        event_types: new.event_types,
        failing_since: None,
        created_at: now,
        updated_at: now,
    };
    appliance.commit(also, move |tx| {
        tx.organization(&endpoint.organization)?.ok_or(Failure::OrganizationNotFound)?;
        let others = tx.webhook_endpoints(Some(&endpoint.organization), None, ENDPOINTS_MAX)?;
        if u32::try_from(others.len()).unwrap_or(u32::MAX) >= ENDPOINTS_MAX {
            return Err(Failure::WebhookEndpointLimit);
        }
        tx.insert_webhook_endpoint(&endpoint)?;
        Ok(endpoint)
    })
}

/// One endpoint.
pub fn webhook_endpoint(
    appliance: &Appliance,
    owner: &OrganizationId,
    id: &str,
) -> Result<WebhookEndpoint, Failure> {
    appliance
        .store
        .read(|register| register.webhook_endpoint(owner, id))?
        .ok_or(Failure::WebhookEndpointNotFound)
}

/// A page of endpoints, newest first. `after` is the id of the last one seen.
pub fn list_webhook_endpoints(
    appliance: &Appliance,
    owner: Option<&OrganizationId>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<WebhookEndpoint>, Failure> {
    let rows = appliance
        .store
        .read(|register| register.webhook_endpoints(owner, after, limit.saturating_add(1)))?;
    Ok(page(rows, limit))
}

/// Changes an endpoint, and does `also` in the same commit. Enabling one that was disabled forgives
/// its failures, and so does another URL.
pub fn change_webhook_endpoint(
    appliance: &Appliance,
    owner: &OrganizationId,
    id: &str,
    change: WebhookEndpointChange,
    also: Also<WebhookEndpoint>,
) -> Result<WebhookEndpoint, Failure> {
    let url = change.url.map(|it| checked_url(appliance, &it)).transpose()?;
    let is_described = change.description.is_some();
    let description = change.description.map(|it| checked_description(&it)).transpose()?.flatten();
    let (owner, id, now) = (owner.clone(), id.to_owned(), (appliance.clock)());
    appliance.commit(also, move |tx| {
        let before = tx.webhook_endpoint(&owner, &id)?.ok_or(Failure::WebhookEndpointNotFound)?;
        let disabled = change.disabled.unwrap_or(before.disabled);
        let url = url.unwrap_or_else(|| before.url.clone());
        let is_forgiven = (before.disabled && !disabled) || url != before.url;
        let after = WebhookEndpoint {
            url,
            description: if is_described { description } else { before.description.clone() },
            event_types: change.event_types.unwrap_or_else(|| before.event_types.clone()),
            disabled,
            failing_since: before.failing_since.filter(|_| !is_forgiven),
            ..before.clone()
        };
        if after == before {
            return Ok(before);
        }
        let after = WebhookEndpoint { updated_at: now.max(before.updated_at), ..after };
        tx.update_webhook_endpoint(&after)?;
        Ok(after)
    })
}

/// Deletes an endpoint. What was waiting for it is not sent; the log of what was stays in the
/// register, for the operator. `also` belongs into the same commit.
pub fn delete_webhook_endpoint(
    appliance: &Appliance,
    owner: &OrganizationId,
    id: &str,
    also: Also<()>,
) -> Result<(), Failure> {
    let (owner, id, now) = (owner.clone(), id.to_owned(), (appliance.clock)());
    appliance.commit(also, move |tx| {
        tx.webhook_endpoint(&owner, &id)?.ok_or(Failure::WebhookEndpointNotFound)?;
        Ok(tx.delete_webhook_endpoint(&id, now)?)
    })
}

/// An endpoint's secret.
pub fn webhook_secret(
    appliance: &Appliance,
    owner: &OrganizationId,
    id: &str,
) -> Result<SecretInForce, Failure> {
    let endpoint = webhook_endpoint(appliance, owner, id)?;
    let now = (appliance.clock)();
    let key = present_key(appliance)?.ok_or(Failure::WebhookKeyMissing)?;
    let secret = secret_in_force(&key, &endpoint).ok_or(Failure::WebhookSecretUnavailable)?;
    let previous_until = former_in_force(&endpoint, now).map(|(_, until)| until).max();
    Ok(SecretInForce { secret, previous_until })
}

/// Gives an endpoint a new secret. The one before it signs for [`ROTATION_OVERLAP_MS`] more, and those
/// before that until the ends that they were promised. `also` belongs into the same commit.
pub fn rotate_webhook_secret(
    appliance: &Appliance,
    owner: &OrganizationId,
    id: &str,
    also: Also<WebhookEndpoint>,
) -> Result<WebhookEndpoint, Failure> {
    let known = webhook_endpoint(appliance, owner, id)?;
    let key = key_for_secrets(appliance)?;
    let fresh = fresh_salts(&key, id)?;
    // Under another webhook key the former secret cannot be derived, so it cannot overlap.
    let overlaps = secret_in_force(&key, &known).is_some();
    let (owner, id, now) = (owner.clone(), id.to_owned(), (appliance.clock)());
    appliance.commit(also, move |tx| {
        let before = tx.webhook_endpoint(&owner, &id)?.ok_or(Failure::WebhookEndpointNotFound)?;
        let former = if overlaps { former_with_current(&before, now)? } else { Vec::new() };
        let after = WebhookEndpoint {
            salts: Salts { former, ..fresh },
            updated_at: now.max(before.updated_at),
            ..before
        };
        tx.update_endpoint_secrets(&after)?;
        Ok(after)
    })
}

/// The former secrets after a rotation now, the newest first.
fn former_with_current(
    endpoint: &WebhookEndpoint,
    now: Timestamp,
) -> Result<Vec<(Salt, Timestamp)>, Failure> {
    let older: Vec<(Salt, Timestamp)> = former_in_force(endpoint, now).collect();
    if older.len() >= FORMER_SECRETS_MAX {
        let until = older.iter().map(|(_, until)| *until).min().unwrap_or(now);
        return Err(Failure::WebhookSecretLimit { until });
    }
    let newest = (endpoint.salts.current, now.plus_ms(ROTATION_OVERLAP_MS));
    Ok(std::iter::once(newest).chain(older).collect())
}

fn former_in_force(
    endpoint: &WebhookEndpoint,
    now: Timestamp,
) -> impl Iterator<Item = (Salt, Timestamp)> {
    endpoint.salts.former.iter().copied().filter(move |(_, until)| *until > now)
}

/// The secrets whose signatures a message bears now, the newest first; `None`: the webhook key is
/// not the one that they were derived from.
pub(super) fn secrets_in_force(
    outbox: &Outbox,
    endpoint: &WebhookEndpoint,
    now: Timestamp,
) -> Option<Vec<Secret>> {
    let key = outbox.key.read().ok().flatten()?;
    let current = secret_in_force(&key, endpoint)?;
    let former = former_in_force(endpoint, now).map(|(salt, _)| key.secret(&endpoint.id, &salt));
    Some(std::iter::once(current).chain(former).collect())
}

fn secret_in_force(key: &WebhookKey, endpoint: &WebhookEndpoint) -> Option<Secret> {
    let secret = key.secret(&endpoint.id, &endpoint.salts.current);
    (secret.check() == endpoint.salts.check).then_some(secret)
}

fn fresh_salts(key: &WebhookKey, endpoint_id: &str) -> Result<Salts, Failure> {
    let mut current: Salt = [0; 16];
    getrandom::fill(&mut current).map_err(|_os| Failure::NoRandomness)?;
    let check = key.secret(endpoint_id, &current).check();
    Ok(Salts { current, check, former: Vec::new() })
}

fn new_endpoint_id() -> Result<String, Failure> {
    let mut bytes = [0_u8; 12];
    getrandom::fill(&mut bytes).map_err(|_os| Failure::NoRandomness)?;
    let mut id = "ep_".to_owned();
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        id.extend(char::from_digit(u32::from(digit), 16));
    }
    Ok(id)
}

fn checked_url(appliance: &Appliance, text: &str) -> Result<String, Failure> {
    appliance
        .outbox
        .target(text)
        .map(|it| it.as_str().to_owned())
        .map_err(|error| Failure::Invalid(format!("the field `url` is refused: {error}")))
}

fn checked_description(text: &str) -> Result<Option<String>, Failure> {
    match text::line(text, DESCRIPTION_CHARACTERS_MAX) {
        Ok(line) => Ok(Some(line.to_owned())),
        Err(Objection::Empty { .. }) => Ok(None),
        Err(objection) => Err(Failure::Invalid(format!("the field `description` {objection}"))),
    }
}
