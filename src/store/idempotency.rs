//! Answers that are given again to the same request. Keys and requests are here as SHA-256 only.

use rusqlite::{OptionalExtension as _, named_params};

use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

/// How many rows whose time is over go with each new one: more than one, so that they cannot pile up.
const PRUNED_AT_ONCE: u32 = 8;

/// A kept answer. Nothing of it is for a log, so that it has no `Debug`.
#[derive(Clone)]
pub struct KeptAnswer {
    /// SHA-256 of caller, acted-for organization, key, method and path.
    pub scope_sha256: [u8; 32],
    /// SHA-256 of query and body.
    pub request_sha256: [u8; 32],
    /// The answer's status.
    pub status: u16,
    /// The answer's body; `None`: it held a secret, and only this mark is kept.
    pub body: Option<Vec<u8>>,
    /// Until when it is given again.
    pub expires_at: Timestamp,
}

impl Reader<'_> {
    /// The answer that is kept for a scope.
    pub fn kept_answer(
        &self,
        scope_sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT scope_sha256, request_sha256, status, body, expires_at_ms
                 FROM idempotency
                 WHERE scope_sha256 = :scope AND expires_at_ms > :now",
            )?
            .query_row(named_params! {":scope": scope_sha256, ":now": now.as_ms()}, |row| {
                Ok(KeptAnswer {
                    scope_sha256: row.get("scope_sha256")?,
                    request_sha256: row.get("request_sha256")?,
                    status: row.get("status")?,
                    body: row.get("body")?,
                    expires_at: Timestamp::from_ms(row.get("expires_at_ms")?),
                })
            })
            .optional()?)
    }
}

impl Tx<'_> {
    /// Keeps an answer, and lets a few go whose time is over.
    pub fn keep_answer(&self, answer: &KeptAnswer, now: Timestamp) -> Result<(), StoreError> {
        self.let_go_of_answers(now, PRUNED_AT_ONCE)?;
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO idempotency
                   (scope_sha256, request_sha256, status, body, expires_at_ms)
                 VALUES (:scope, :request, :status, :body, :expires_at)",
            )?
            .execute(named_params! {
                ":scope": answer.scope_sha256,
                ":request": answer.request_sha256,
                ":status": answer.status,
                ":body": answer.body,
                ":expires_at": answer.expires_at.as_ms(),
            })?;
        Ok(())
    }
}
