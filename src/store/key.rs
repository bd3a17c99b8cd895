//! API keys: only the SHA-256 of a key is ever here.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// GET only.
    Read,
    /// Everything but GET.
    Write,
    /// Both: the default.
    ReadWrite,
}

impl Scopes {
    /// Reads the register's words.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            "read write" => Some(Self::ReadWrite),
            _ => None,
        }
    }

    /// The register's words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "read write",
        }
    }

    /// Whether it covers `other`.
    pub fn covers(self, other: Self) -> bool {
        self == Self::ReadWrite || self == other
    }
}

/// An API key as the register holds it: without the key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// `key_` and 32 hex digits, for people and logs.
    pub id: String,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it does not work.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it stopped working.
    pub revoked_at: Option<Timestamp>,
    /// The key that created it; `None`: an operator did.
    pub created_by: Option<String>,
}

const SELECT: &str = "SELECT k.key_id, k.organization_id, k.name, k.scopes, k.created_at_ms,
        k.expires_at_ms, k.revoked_at_ms, k.created_by_key, u.last_used_at_ms
     FROM api_key AS k
     LEFT JOIN api_key_use AS u ON u.key_id = k.key_id";

impl Reader<'_> {
    /// Every key, or those of one organization, newest first.
    pub fn api_keys(&self, of: Option<&OrganizationId>) -> Result<Vec<ApiKey>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 WHERE :of IS NULL OR k.organization_id = :of
                 ORDER BY k.created_at_ms DESC, k.key_id DESC"
            ))?
            .query_map(named_params! {":of": of.map(OrganizationId::as_str)}, |row| {
                Ok(from_row(row))
            })?
            .map(|row| row?)
            .collect()
    }

    /// One key.
    pub fn api_key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        self.connection
            .prepare_cached(&format!("{SELECT} WHERE k.key_id = :id"))?
            .query_row(named_params! {":id": id}, |row| Ok(from_row(row)))
            .optional()?
            .transpose()
    }
}

impl Tx<'_> {
    /// Adds a key.
    pub fn insert_api_key(&self, key: &ApiKey, sha256: &[u8; 32]) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO api_key
                   (key_sha256, key_id, organization_id, name, scopes, created_at_ms, expires_at_ms,
                    created_by_key)
                 VALUES (:sha256, :id, :organization, :name, :scopes, :created_at, :expires_at,
                         :created_by)",
            )?
            .execute(named_params! {
                ":sha256": sha256,
                ":id": key.id,
                ":organization": key.organization.as_str(),
                ":name": key.name,
                ":scopes": key.scopes.as_str(),
                ":created_at": key.created_at.as_ms(),
                ":expires_at": key.expires_at.map(Timestamp::as_ms),
                ":created_by": key.created_by,
            })?;
        Ok(())
    }

    /// Lets a key work until `at` at the most; earlier ends stay.
    pub fn expire_api_key(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE api_key SET expires_at_ms = min(coalesce(expires_at_ms, :at), :at)
                 WHERE key_id = :id",
            )?
            .execute(named_params! {":id": id, ":at": at.as_ms()})?;
        self.touched.borrow_mut().everybody = true;
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
        self.touched.borrow_mut().everybody = true;
        Ok(changed > 0)
    }

    /// Notes that a key was used.
    pub fn note_api_key_use(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO api_key_use (key_id, last_used_at_ms) VALUES (:id, :now)
                 ON CONFLICT (key_id) DO UPDATE SET last_used_at_ms = :now",
            )?
            .execute(named_params! {":id": id, ":now": now.as_ms()})?;
        Ok(())
    }
}

fn from_row(row: &Row<'_>) -> Result<ApiKey, StoreError> {
    let instant = |name: &str| row.get::<_, Option<i64>>(name).map(|it| it.map(Timestamp::from_ms));
    Ok(ApiKey {
        id: row.get("key_id")?,
        organization: OrganizationId::new(row.get::<_, String>("organization_id")?),
        name: row.get("name")?,
        scopes: Scopes::parse(&row.get::<_, String>("scopes")?)
            .ok_or(StoreError::Corrupt("key scopes"))?,
        created_at: Timestamp::from_ms(row.get("created_at_ms")?),
        expires_at: instant("expires_at_ms")?,
        last_used_at: instant("last_used_at_ms")?,
        revoked_at: instant("revoked_at_ms")?,
        created_by: row.get("created_by_key")?,
    })
}
