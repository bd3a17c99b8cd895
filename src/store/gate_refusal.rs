//! Calls that the gate refused, so that a request's id leads to the reason.

use rusqlite::{OptionalExtension as _, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

/// How long a refusal can be found: 30 days.
const KEPT_MS: i64 = 30 * 86_400_000;

/// A refused call.
#[derive(Clone, Debug)]
pub struct GateRefusal {
    /// The request.
    pub request_id: String,
    /// The broker.
    pub caller: OrganizationId,
    /// The customer.
    pub subject: OrganizationId,
    /// What it wanted: `verify`, `import`, `act`.
    pub purpose: String,
    /// Why it was refused.
    pub refusal: String,
    /// When.
    pub refused_at: Timestamp,
}

impl Reader<'_> {
    /// The refusal that a request ended with.
    pub fn gate_refusal(&self, request_id: &str) -> Result<Option<GateRefusal>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT request_id, caller, subject, purpose, refusal, refused_at_ms
                 FROM gate_refusal
                 WHERE request_id = :request",
            )?
            .query_row(named_params! {":request": request_id}, |row| {
                Ok(GateRefusal {
                    request_id: row.get("request_id")?,
                    caller: OrganizationId::new(row.get::<_, String>("caller")?),
                    subject: OrganizationId::new(row.get::<_, String>("subject")?),
                    purpose: row.get("purpose")?,
                    refusal: row.get("refusal")?,
                    refused_at: Timestamp::from_ms(row.get("refused_at_ms")?),
                })
            })
            .optional()?)
    }
}

impl Tx<'_> {
    /// Keeps a refusal.
    pub fn insert_gate_refusal(&self, it: &GateRefusal) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "DELETE FROM gate_refusal WHERE request_id IN
                   (SELECT request_id FROM gate_refusal
                    WHERE refused_at_ms < :before ORDER BY refused_at_ms LIMIT 8)",
            )?
            .execute(named_params! {":before": it.refused_at.as_ms().saturating_sub(KEPT_MS)})?;
        self.connection
            .prepare_cached(
                "INSERT OR IGNORE INTO gate_refusal
                   (request_id, caller, subject, purpose, refusal, refused_at_ms)
                 VALUES (:request, :caller, :subject, :purpose, :refusal, :refused_at)",
            )?
            .execute(named_params! {
                ":request": it.request_id,
                ":caller": it.caller.as_str(),
                ":subject": it.subject.as_str(),
                ":purpose": it.purpose,
                ":refusal": it.refusal,
                ":refused_at": it.refused_at.as_ms(),
            })?;
        Ok(())
    }
}
