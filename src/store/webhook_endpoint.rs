//! Webhook endpoints: where events are sent. Of a secret only the salt and a check are here.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::outgoing::EventType;
use crate::domain::timestamp::Timestamp;
use crate::store::copy::open_existing;
use crate::store::{Reader, StoreError, Tx, damage};

/// An endpoint that is not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEndpoint {
    /// `ep_` and 24 hex digits.
    pub id: String,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where events are sent.
    pub url: String,
    /// The owner's own words.
    pub description: Option<String>,
    /// Whether nothing is sent there.
    pub disabled: bool,
    /// What is sent there; empty: everything.
    pub event_types: Vec<EventType>,
    /// What its secret is derived from.
    pub salts: Salts,
    /// Since when every attempt has failed; `None`: the last one did not.
    pub failing_since: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its owner, or the rule of the five days, last changed it.
    pub updated_at: Timestamp,
}

/// The salt of an endpoint's secret, and of those before it that still sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salts {
    /// Of the secret in force.
    pub current: [u8; 16],
    /// Tells whether the secret derived from it is still the one that was handed out.
    pub check: [u8; 8],
    /// Of the secrets before, the newest first, and until when each signs as well. One whose time is
    /// over may still be among them.
    pub former: Vec<([u8; 16], Timestamp)>,
}

/// What `took_ms` is until an attempt has ended.
pub(super) const NEVER_TOOK_MS: i64 = -1;

pub(super) const COLUMNS: &str = "endpoint_id, organization_id, url, description, event_types,
    disabled, secret_salt, secret_check, failing_since_ms, created_at_ms, updated_at_ms";

impl Reader<'_> {
    /// An endpoint of an organization; that of another one is not found.
    pub fn webhook_endpoint(
        &self,
        of: &OrganizationId,
        id: &str,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM webhook_endpoint
                 WHERE endpoint_id = :id AND organization_id = :of AND deleted_at_ms IS NULL"
            ))?
            .query_row(named_params! {":id": id, ":of": of.as_str()}, |row| Ok(from_row(row)))
            .optional()?
            .map(|found| self.with_former_secrets(found?))
            .transpose()
    }

    /// The endpoint of an id, whoever's it is: for operators.
    pub fn any_webhook_endpoint(&self, id: &str) -> Result<Option<WebhookEndpoint>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM webhook_endpoint
                 WHERE endpoint_id = :id AND deleted_at_ms IS NULL"
            ))?
            .query_row(named_params! {":id": id}, |row| Ok(from_row(row)))
            .optional()?
            .map(|found| self.with_former_secrets(found?))
            .transpose()
    }

    /// The endpoints of an organization, or all, newest first, after the one of this id.
    pub fn webhook_endpoints(
        &self,
        of: Option<&OrganizationId>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<WebhookEndpoint>, StoreError> {
        // The id parts two endpoints of one millisecond. Two walks, of which one is empty: an
        // organization's list costs its page, not the table.
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM webhook_endpoint
                 WHERE organization_id = :of
                   AND deleted_at_ms IS NULL
                   AND (:after IS NULL
                        OR (created_at_ms, endpoint_id)
                           < (SELECT created_at_ms, endpoint_id FROM webhook_endpoint
                              WHERE endpoint_id = :after))
                 UNION ALL
                 SELECT {COLUMNS} FROM webhook_endpoint
                 WHERE :of IS NULL
                   AND deleted_at_ms IS NULL
                   AND (:after IS NULL
                        OR (created_at_ms, endpoint_id)
                           < (SELECT created_at_ms, endpoint_id FROM webhook_endpoint
                              WHERE endpoint_id = :after))
                 ORDER BY created_at_ms DESC, endpoint_id DESC
                 LIMIT :limit"
            ))?
            .query_map(
                named_params! {
                    ":of": of.map(OrganizationId::as_str), ":after": after, ":limit": limit,
                },
                |row| Ok(from_row(row)),
            )?
            .map(|row| self.with_former_secrets(row??))
            .collect()
    }

    /// What the secrets of all endpoints are derived from, former ones aside.
    pub fn endpoint_salts(self) -> Result<Vec<(String, Salts)>, StoreError> {
        endpoint_salts(self.connection)
    }

    fn with_former_secrets(
        self,
        mut endpoint: WebhookEndpoint,
    ) -> Result<WebhookEndpoint, StoreError> {
        endpoint.salts.former = self
            .connection
            .prepare_cached(
                "SELECT salt, until_ms FROM former_endpoint_secret
                 WHERE endpoint_id = :id
                 ORDER BY rowid DESC",
            )?
            .query_map(named_params! {":id": endpoint.id}, |row| {
                Ok((row.get("salt")?, Timestamp::from_ms(row.get("until_ms")?)))
            })?
            .collect::<Result<_, _>>()?;
        Ok(endpoint)
    }
}

/// What the secrets of all endpoints of a register or a backup are derived from, which may be of an
/// earlier version.
pub fn endpoint_salts_in(register: &Path) -> Result<Vec<(String, Salts)>, StoreError> {
    let salts = || endpoint_salts(&open_existing(register)?);
    salts().map_err(|it| damage(register, it))
}

pub(super) fn endpoint_salts(connection: &Connection) -> Result<Vec<(String, Salts)>, StoreError> {
    connection
        .prepare_cached(
            "SELECT endpoint_id, secret_salt, secret_check FROM webhook_endpoint
             WHERE deleted_at_ms IS NULL",
        )?
        .query_map([], |row| {
            let salts = Salts {
                current: row.get("secret_salt")?,
                check: row.get("secret_check")?,
                former: Vec::new(),
            };
            Ok((row.get("endpoint_id")?, salts))
        })?
        .map(|row| Ok(row?))
        .collect()
}

impl Tx<'_> {
    /// Adds an endpoint.
    pub fn insert_webhook_endpoint(&self, endpoint: &WebhookEndpoint) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO webhook_endpoint
                   (endpoint_id, organization_id, url, description, event_types, disabled,
                    secret_salt, secret_check, took_ms, created_at_ms, updated_at_ms)
                 VALUES (:id, :of, :url, :description, :event_types, :disabled, :salt, :check,
                         :never_took, :created_at, :created_at)",
            )?
            .execute(named_params! {
                ":id": endpoint.id,
                ":of": endpoint.organization.as_str(),
                ":url": endpoint.url,
                ":description": endpoint.description,
                ":event_types": event_types_text(&endpoint.event_types),
                ":disabled": endpoint.disabled,
                ":salt": endpoint.salts.current,
                ":check": endpoint.salts.check,
                ":never_took": NEVER_TOOK_MS,
                ":created_at": endpoint.created_at.as_ms(),
            })?;
        Ok(())
    }

    /// Writes what an owner may change, and the streak of failures. What was waiting for an endpoint
    /// that is disabled now is skipped. How long attempts took at another URL says nothing of this one.
    pub fn update_webhook_endpoint(&self, endpoint: &WebhookEndpoint) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE webhook_endpoint
                 SET took_ms = iif(url = :url, took_ms, :never_took), url = :url,
                     description = :description, event_types = :event_types,
                     disabled = :disabled, failing_since_ms = :failing_since,
                     updated_at_ms = :updated_at
                 WHERE endpoint_id = :id",
            )?
            .execute(named_params! {
                ":id": endpoint.id,
                ":url": endpoint.url,
                ":never_took": NEVER_TOOK_MS,
                ":description": endpoint.description,
                ":event_types": event_types_text(&endpoint.event_types),
                ":disabled": endpoint.disabled,
                ":failing_since": endpoint.failing_since.map(Timestamp::as_ms),
                ":updated_at": endpoint.updated_at.as_ms(),
            })?;
        if endpoint.disabled {
            self.skip_waiting_deliveries(&endpoint.id)?;
        }
        Ok(())
    }

    /// Writes an endpoint's salts, all of them.
    pub fn update_endpoint_secrets(&self, endpoint: &WebhookEndpoint) -> Result<(), StoreError> {
        let salts = &endpoint.salts;
        self.connection
            .prepare_cached(
                "UPDATE webhook_endpoint
                 SET secret_salt = :salt, secret_check = :check, updated_at_ms = :updated_at
                 WHERE endpoint_id = :id",
            )?
            .execute(named_params! {
                ":id": endpoint.id,
                ":salt": salts.current,
                ":check": salts.check,
                ":updated_at": endpoint.updated_at.as_ms(),
            })?;
        self.connection
            .prepare_cached("DELETE FROM former_endpoint_secret WHERE endpoint_id = :id")?
            .execute(named_params! {":id": endpoint.id})?;
        for (salt, until) in salts.former.iter().rev() {
            self.connection
                .prepare_cached(
                    "INSERT INTO former_endpoint_secret (endpoint_id, salt, until_ms)
                     VALUES (:id, :salt, :until)",
                )?
                .execute(named_params! {
                    ":id": endpoint.id, ":salt": salt, ":until": until.as_ms(),
                })?;
        }
        Ok(())
    }

    /// Deletes an endpoint for everybody but the log.
    pub fn delete_webhook_endpoint(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE webhook_endpoint SET deleted_at_ms = :now, updated_at_ms = :now
                 WHERE endpoint_id = :id",
            )?
            .execute(named_params! {":id": id, ":now": now.as_ms()})?;
        self.skip_waiting_deliveries(id)
    }

    fn skip_waiting_deliveries(&self, endpoint_id: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE outgoing_delivery SET status = 'SKIPPED', due_at_ms = NULL
                 WHERE endpoint_id = :id AND status = 'PENDING'",
            )?
            .execute(named_params! {":id": endpoint_id})?;
        Ok(())
    }
}

fn event_types_text(types: &[EventType]) -> String {
    let words: Vec<&str> = types.iter().map(|it| it.as_str()).collect();
    serde_json::json!(words).to_string()
}

pub(super) fn from_row(row: &Row<'_>) -> Result<WebhookEndpoint, StoreError> {
    let words: Vec<String> = serde_json::from_str(&row.get::<_, String>("event_types")?)
        .map_err(|_json| StoreError::Corrupt("webhook endpoint's event types"))?;
    let instant =
        |column| Ok::<_, StoreError>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_ms));
    Ok(WebhookEndpoint {
        id: row.get("endpoint_id")?,
        organization: OrganizationId::new(row.get::<_, String>("organization_id")?),
        url: row.get("url")?,
        description: row.get("description")?,
        disabled: row.get("disabled")?,
        event_types: words
            .iter()
            .map(|it| EventType::parse(it).ok_or(StoreError::Corrupt("webhook event type")))
            .collect::<Result<_, _>>()?,
        salts: Salts {
            current: row.get("secret_salt")?,
            check: row.get("secret_check")?,
            former: Vec::new(),
        },
        failing_since: instant("failing_since_ms")?,
        created_at: Timestamp::from_ms(row.get("created_at_ms")?),
        updated_at: Timestamp::from_ms(row.get("updated_at_ms")?),
    })
}
