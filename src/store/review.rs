//! What waits for a person: holds, and verdicts of Sumsub that were recorded without effect because
//! an operator's decision stands.

use rusqlite::{Row, named_params};

use crate::domain::organization::{Name, OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, State};
use crate::store::{Reader, StoreError};

/// One case for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewRow {
    /// Whose.
    pub organization: OrganizationId,
    /// Its name.
    pub name: Name,
    /// Its type.
    pub kind: OrganizationType,
    /// Held by whom, or rejected by an operator.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// What Sumsub has said meanwhile, without effect.
    pub outranked: Option<Event>,
}

impl Reader<'_> {
    /// Up to `limit` cases that are at least as young as `from`, oldest first.
    pub fn reviews(&self, from: (i64, &str), limit: u32) -> Result<Vec<ReviewRow>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT v.organization_id, o.name, o.type, v.state, v.updated_at_ms,
                        CASE WHEN v.state IN ('ON_HOLD_BY_OPERATOR', 'REJECTED_BY_OPERATOR') THEN
                          (SELECT e.event FROM verification_event AS e
                           WHERE e.organization_id = v.organization_id
                             AND e.known_at_ms >= v.updated_at_ms
                             AND e.event IN ('provider_approved', 'provider_rejected',
                                             'provider_retry', 'provider_reset')
                           ORDER BY e.sequence DESC
                           LIMIT 1)
                        END AS outranked
                 FROM verification AS v
                 CROSS JOIN organization AS o ON o.organization_id = v.organization_id
                 WHERE v.state IN ('ON_HOLD_BY_PROVIDER', 'ON_HOLD_BY_OPERATOR',
                                   'REJECTED_BY_OPERATOR')
                   AND (v.updated_at_ms, v.organization_id) >= (:since, :id)
                   AND (v.state <> 'REJECTED_BY_OPERATOR' OR outranked IS NOT NULL)
                 ORDER BY v.updated_at_ms, v.organization_id
                 LIMIT :limit",
            )?
            .query_map(named_params! {":since": from.0, ":id": from.1, ":limit": limit}, |row| {
                Ok(from_row(row))
            })?
            .map(|row| row?)
            .collect()
    }
}

fn from_row(row: &Row<'_>) -> Result<ReviewRow, StoreError> {
    let outranked = match row.get::<_, Option<String>>("outranked")? {
        None => None,
        Some(word) => Some(Event::parse(&word).ok_or(StoreError::Corrupt("verification event"))?),
    };
    Ok(ReviewRow {
        organization: OrganizationId::new(row.get::<_, String>("organization_id")?),
        name: Name::stored(row.get("name")?),
        kind: OrganizationType::parse(&row.get::<_, String>("type")?)
            .ok_or(StoreError::Corrupt("organization type"))?,
        state: State::parse(&row.get::<_, String>("state")?)
            .ok_or(StoreError::Corrupt("verification state"))?,
        since: Timestamp::from_ms(row.get("updated_at_ms")?),
        outranked,
    })
}
