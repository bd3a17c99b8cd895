//! Share tokens on their way to Sumsub, by SHA-256 only.

use rusqlite::{OptionalExtension as _, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

/// What is known of a share token that is about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportAttempt {
    /// It was never sent, or its last answer is known.
    First,
    /// It was on its way before, and no answer of Sumsub was ever committed.
    Resumed {
        /// Since when.
        begun_at: Timestamp,
    },
}

impl Reader<'_> {
    /// Whether an import of an organization has begun since then whose answer has not been committed.
    pub fn is_import_under_way(
        &self,
        of: &OrganizationId,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM import_attempt
                                WHERE organization_id = :of AND ended_at_ms IS NULL
                                  AND begun_at_ms >= :since)",
            )?
            .query_row(named_params! {":of": of.as_str(), ":since": since.as_ms()}, |row| {
                row.get(0)
            })?)
    }
}

impl Tx<'_> {
    /// Notes that a share token is about to be sent, for the first time or after a lost answer.
    pub fn begin_import(
        &self,
        of: &OrganizationId,
        share_token_sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<ImportAttempt, StoreError> {
        let open = self
            .connection
            .prepare_cached(
                "SELECT begun_at_ms FROM import_attempt
                 WHERE share_token_sha256 = :token AND organization_id = :of
                   AND ended_at_ms IS NULL",
            )?
            .query_row(named_params! {":token": share_token_sha256, ":of": of.as_str()}, |row| {
                row.get::<_, i64>(0)
            })
            .optional()?;
        if let Some(begun_at_ms) = open {
            return Ok(ImportAttempt::Resumed { begun_at: Timestamp::from_ms(begun_at_ms) });
        }
        self.connection
            .prepare_cached(
                "INSERT INTO import_attempt (share_token_sha256, organization_id, begun_at_ms)
                 VALUES (:token, :of, :now)
                 ON CONFLICT DO UPDATE SET begun_at_ms = :now, ended_at_ms = NULL",
            )?
            .execute(named_params! {
                ":token": share_token_sha256,
                ":of": of.as_str(),
                ":now": now.as_ms(),
            })?;
        Ok(ImportAttempt::First)
    }

    /// Notes that Sumsub's answer about a share token is known.
    pub fn end_import(
        &self,
        of: &OrganizationId,
        share_token_sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE import_attempt SET ended_at_ms = :now
                 WHERE share_token_sha256 = :token AND organization_id = :of",
            )?
            .execute(named_params! {
                ":token": share_token_sha256,
                ":of": of.as_str(),
                ":now": now.as_ms(),
            })?;
        Ok(())
    }
}
