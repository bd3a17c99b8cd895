//! Deliveries as a list shows them: without their bodies, which may be large.

use rusqlite::{Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Outcome, Reader, StoreError};

/// One delivery of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its number.
    pub id: i64,
    /// Sumsub's `type`.
    pub event_type: Option<String>,
    /// Sumsub's `applicantId`.
    pub applicant_id: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What it did.
    pub outcome: Outcome,
    /// Whose verification it is about.
    pub organization: Option<OrganizationId>,
    /// The body's size in bytes; `None`: let go of by age.
    pub body_bytes: Option<u64>,
}

const SELECT: &str = "SELECT d.delivery_id, d.event_type, d.applicant_id, d.received_at_ms,
        length(d.body) AS body_bytes, o.outcome, o.organization_id
     FROM delivery AS d
     JOIN delivery_outcome AS o
       ON o.delivery_id = d.delivery_id
      AND o.outcome_no = (SELECT max(outcome_no) FROM delivery_outcome
                          WHERE delivery_id = d.delivery_id)";

impl Reader<'_> {
    /// Up to `limit` deliveries older than `before`, newest first.
    pub fn delivery_rows(&self, before: i64, limit: u32) -> Result<Vec<DeliveryRow>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT} WHERE d.delivery_id < :before ORDER BY d.delivery_id DESC LIMIT :limit"
            ))?
            .query_map(named_params! {":before": before, ":limit": limit}, |row| Ok(from_row(row)))?
            .map(|row| row?)
            .collect()
    }

    /// Up to `limit` deliveries about an organization's applicants, newest first.
    pub fn delivery_rows_of(
        &self,
        organization: &OrganizationId,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 WHERE d.applicant_id IN (SELECT applicant_id FROM applicant
                                          WHERE organization_id = :of
                                          UNION
                                          SELECT applicant_id FROM verification
                                          WHERE organization_id = :of)
                 ORDER BY d.delivery_id DESC
                 LIMIT :limit"
            ))?
            .query_map(named_params! {":of": organization.as_str(), ":limit": limit}, |row| {
                Ok(from_row(row))
            })?
            .map(|row| row?)
            .collect()
    }
}

fn from_row(row: &Row<'_>) -> Result<DeliveryRow, StoreError> {
    Ok(DeliveryRow {
        id: row.get("delivery_id")?,
        event_type: row.get("event_type")?,
        applicant_id: row.get("applicant_id")?,
        received_at: Timestamp::from_ms(row.get("received_at_ms")?),
        outcome: Outcome::parse(&row.get::<_, String>("outcome")?)
            .ok_or(StoreError::Corrupt("delivery outcome"))?,
        organization: row.get::<_, Option<String>>("organization_id")?.map(OrganizationId::new),
        body_bytes: row.get::<_, Option<i64>>("body_bytes")?.map(i64::unsigned_abs),
    })
}
