//! API keys: only the SHA-256 of a key is ever here.

use rusqlite::{Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

/// An API key as the register holds it: without the key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// `key_` and 32 hex digits, for people and logs.
    pub id: String,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What the operator calls it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped working.
    pub revoked_at: Option<Timestamp>,
}

impl Reader<'_> {
    /// Every key, or those of one organization, newest first.
    pub fn api_keys(&self, of: Option<&OrganizationId>) -> Result<Vec<ApiKey>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT key_id, organization_id, name, created_at_ms, revoked_at_ms
                 FROM api_key
                 WHERE :of IS NULL OR organization_id = :of
                 ORDER BY created_at_ms DESC, key_id DESC",
            )?
            .query_map(named_params! {":of": of.map(OrganizationId::as_str)}, from_row)?
            .map(|row| Ok(row?))
            .collect()
    }
}

impl Tx<'_> {
    /// Adds a key.
    pub fn insert_api_key(&self, key: &ApiKey, sha256: &[u8; 32]) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO api_key (key_sha256, key_id, organization_id, name, created_at_ms)
                 VALUES (:sha256, :id, :organization, :name, :created_at)",
            )?
            .execute(named_params! {
                ":sha256": sha256,
                ":id": key.id,
                ":organization": key.organization.as_str(),
                ":name": key.name,
                ":created_at": key.created_at.as_ms(),
            })?;
        Ok(())
    }

    /// Revokes a key; `false` if there is no active key of that id.
    pub fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE api_key SET revoked_at_ms = :now
                 WHERE key_id = :id AND revoked_at_ms IS NULL",
            )?
            .execute(named_params! {":id": id, ":now": now.as_ms()})?;
        Ok(changed > 0)
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get("key_id")?,
        organization: OrganizationId::new(row.get::<_, String>("organization_id")?),
        name: row.get("name")?,
        created_at: Timestamp::from_ms(row.get("created_at_ms")?),
        revoked_at: row.get::<_, Option<i64>>("revoked_at_ms")?.map(Timestamp::from_ms),
    })
}
