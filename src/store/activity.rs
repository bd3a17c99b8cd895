//! The newest facts of the whole register: what happens now, to whom, and why.

use rusqlite::{Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError};

/// One recorded fact, of a verification or of an LOA, as a line that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityRow {
    /// Whose.
    pub organization: OrganizationId,
    /// Its name.
    pub name: String,
    /// What happened, in the register's word.
    pub event: String,
    /// When it happened.
    pub happened_at: Timestamp,
    /// When we knew.
    pub known_at: Timestamp,
    /// The delivery that said so.
    pub delivery: Option<i64>,
    /// The person or organization that did it.
    pub actor: Option<String>,
    /// Their words.
    pub reason: Option<String>,
    /// The request that did it.
    pub request: Option<String>,
    /// For an LOA: the other side.
    pub with: Option<OrganizationId>,
}

impl Reader<'_> {
    /// The newest `limit` facts of the register, newest first.
    pub fn activity(&self, limit: u32) -> Result<Vec<ActivityRow>, StoreError> {
        // Each inner list is the end of one table: its newest rows, without a look at the others.
        self.connection
            .prepare_cached(
                "WITH verifications AS (
                   SELECT organization_id, event, happened_at_ms, known_at_ms, delivery_id, actor,
                          reason, request_id, NULL AS authorized, sequence
                   FROM verification_event
                   ORDER BY sequence DESC
                   LIMIT :limit
                 ), authorizations AS (
                   SELECT a.granting, 'loa_' || e.event, e.happened_at_ms, e.known_at_ms, NULL,
                          e.actor, e.reason, e.request_id, a.authorized, e.sequence
                   FROM authorization_event AS e
                   JOIN authorization AS a ON a.authorization_id = e.authorization_id
                   ORDER BY e.sequence DESC
                   LIMIT :limit
                 ), facts AS (
                   SELECT * FROM verifications UNION ALL SELECT * FROM authorizations
                   ORDER BY known_at_ms DESC, sequence DESC
                   LIMIT :limit
                 )
                 SELECT f.*, o.name
                 FROM facts AS f
                 JOIN organization AS o ON o.organization_id = f.organization_id
                 ORDER BY f.known_at_ms DESC, f.sequence DESC",
            )?
            .query_map(named_params! {":limit": limit}, from_row)?
            .map(|row| Ok(row?))
            .collect()
    }

    /// What happened to the LOAs that an organization granted, newest first.
    pub fn authorization_activity(
        &self,
        granting: &OrganizationId,
        limit: u32,
    ) -> Result<Vec<ActivityRow>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT a.granting AS organization_id, 'loa_' || e.event AS event,
                        e.happened_at_ms, e.known_at_ms, NULL AS delivery_id,
                        e.actor, e.reason, e.request_id, a.authorized, o.name
                 FROM authorization AS a
                 JOIN authorization_event AS e ON e.authorization_id = a.authorization_id
                 JOIN organization AS o ON o.organization_id = a.granting
                 WHERE a.granting = :granting
                 ORDER BY e.sequence DESC
                 LIMIT :limit",
            )?
            .query_map(named_params! {":granting": granting.as_str(), ":limit": limit}, from_row)?
            .map(|row| Ok(row?))
            .collect()
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<ActivityRow> {
    Ok(ActivityRow {
        organization: OrganizationId::new(row.get::<_, String>("organization_id")?),
        name: row.get("name")?,
        event: row.get("event")?,
        happened_at: Timestamp::from_ms(row.get("happened_at_ms")?),
        known_at: Timestamp::from_ms(row.get("known_at_ms")?),
        delivery: row.get("delivery_id")?,
        actor: row.get("actor")?,
        reason: row.get("reason")?,
        request: row.get("request_id")?,
        with: row.get::<_, Option<String>>("authorized")?.map(OrganizationId::new),
    })
}
