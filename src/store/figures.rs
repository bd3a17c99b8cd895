//! Counts over the whole register, for metrics. Each is one walk over an index; nobody waits for them
//! but whoever asks for metrics.

use rusqlite::{OptionalExtension as _, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError};

/// What the register holds, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Organizations by status, expiry considered.
    pub statuses: Vec<(String, i64)>,
    /// LOAs: `effective`, `suspended`, `pending`, `revoked`.
    pub authorizations: Vec<(String, i64)>,
    /// Deliveries by outcome.
    pub outcomes: Vec<(String, i64)>,
    /// Age of the longest PENDING, in seconds; 0: none.
    pub oldest_pending_s: i64,
    /// From event to arrival of the last delivery that led to a fact, in seconds.
    pub webhook_lag_s: i64,
    /// Approvals by Sumsub that do not count and wait for an operator.
    pub ignored_approvals: i64,
    /// Approvals by Sumsub that wait until it has been asked.
    pub awaiting_approvals: i64,
    /// Webhooks of Sumsub that were missed, and found by asking.
    pub drift: i64,
    /// Age of the reconciler's last whole pass, in seconds; -1: it has never run.
    pub last_pass_age_s: i64,
    /// Outgoing deliveries that wait for their next attempt.
    pub outbox_depth: i64,
    /// Age of the oldest of them, in seconds; 0: none.
    pub outbox_oldest_s: i64,
    /// Size of the register, in bytes.
    pub database_bytes: i64,
}

impl Reader<'_> {
    /// Counts everything.
    pub fn figures(&self, now: Timestamp) -> Result<Figures, StoreError> {
        Ok(Figures {
            statuses: self.counts(
                "SELECT CASE
                          WHEN state = 'APPROVED' AND expires_at_ms <= :now
                            THEN 'RESUBMISSION_REQUIRED'
                          ELSE replace(replace(state, '_BY_PROVIDER', ''), '_BY_OPERATOR', '')
                        END AS word, count(*) AS rows
                 FROM verification WHERE :now IS NOT NULL
                 GROUP BY word",
                now,
            )?,
            authorizations: self.counts(
                "SELECT CASE
                          WHEN a.status = 'REVOKED' THEN 'revoked'
                          WHEN a.status = 'PENDING' THEN 'pending'
                          WHEN v.state = 'APPROVED'
                           AND (v.expires_at_ms IS NULL OR v.expires_at_ms > :now)
                            THEN 'effective'
                          ELSE 'suspended'
                        END AS word, count(*) AS rows
                 FROM authorization AS a
                 JOIN verification AS v ON v.organization_id = a.granting
                 GROUP BY word",
                now,
            )?,
            outcomes: self.counts(
                "SELECT outcome AS word, count(*) AS rows
                 FROM delivery_outcome WHERE :now IS NOT NULL
                 GROUP BY outcome",
                now,
            )?,
            oldest_pending_s: self.number(
                "SELECT coalesce((:now - min(updated_at_ms)) / 1000, 0)
                 FROM verification WHERE state = 'PENDING'",
                now,
            )?,
            webhook_lag_s: self.number(
                "SELECT coalesce((SELECT max(0, known_at_ms - happened_at_ms) / 1000
                                  FROM verification_event
                                  WHERE delivery_id IS NOT NULL AND :now IS NOT NULL
                                  ORDER BY delivery_id DESC LIMIT 1), 0)",
                now,
            )?,
            ignored_approvals: self.count_ignored_approvals()?,
            awaiting_approvals: self
                .number("SELECT count(*) FROM awaiting_provider WHERE :now IS NOT NULL", now)?,
            drift: self.drift()?,
            last_pass_age_s: self.number(
                "SELECT coalesce((SELECT max(0, :now - passed_at_ms) / 1000 FROM reconciler), -1)",
                now,
            )?,
            outbox_depth: self.number(
                "SELECT count(*) FROM outgoing_delivery
                 WHERE status = 'PENDING' AND :now IS NOT NULL",
                now,
            )?,
            outbox_oldest_s: self.number(
                "SELECT coalesce(max(0, :now - min(created_at_ms)) / 1000, 0)
                 FROM outgoing_delivery WHERE status = 'PENDING'",
                now,
            )?,
            database_bytes: self.number(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size
                 WHERE :now IS NOT NULL",
                now,
            )?,
        })
    }

    /// Who has been PENDING longest.
    pub fn oldest_pending(&self) -> Result<Option<OrganizationId>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT organization_id FROM verification
                 WHERE state = 'PENDING'
                 ORDER BY updated_at_ms
                 LIMIT 1",
            )?
            .query_row([], |row| row.get::<_, String>(0))
            .optional()?
            .map(OrganizationId::new))
    }

    fn counts(self, statement: &str, now: Timestamp) -> Result<Vec<(String, i64)>, StoreError> {
        self.connection
            .prepare_cached(statement)?
            .query_map(named_params! {":now": now.as_ms()}, |row| {
                Ok((row.get("word")?, row.get("rows")?))
            })?
            .map(|row| Ok(row?))
            .collect()
    }

    fn number(self, statement: &str, now: Timestamp) -> Result<i64, StoreError> {
        Ok(self
            .connection
            .prepare_cached(statement)?
            .query_row(named_params! {":now": now.as_ms()}, |row| row.get(0))?)
    }
}
