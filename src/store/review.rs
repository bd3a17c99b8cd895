//! What waits for a person: holds, verdicts of Sumsub that were recorded without effect because an
//! operator's decision stands, and approvals of Sumsub that do not count.

use rusqlite::{Row, named_params};

use crate::domain::organization::{Name, OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, State};
use crate::store::ignored_approval::{self, IgnoredApproval};
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
    /// Held by whom, or rejected by an operator; any other where only an approval that does not count
    /// makes the case.
    pub state: State,
    /// Since when: the hold or rejection, else when the approval became known.
    pub since: Timestamp,
    /// What Sumsub has said meanwhile, without effect.
    pub outranked: Option<Event>,
    /// The approval of Sumsub's that does not count and that nothing newer has answered.
    pub ignored: Option<IgnoredApproval>,
}

impl Reader<'_> {
    /// Up to `limit` cases that are at least as young as `from`, oldest first; one for an organization,
    /// also if it is on hold and has an approval that does not count.
    ///
    /// Two indexes, each in the order of the list, are merged. Without `INDEXED BY` the planner sorts
    /// all holds and rejections for every page: a merge of two lists hides the limit from it.
    pub fn reviews(&self, from: (i64, &str), limit: u32) -> Result<Vec<ReviewRow>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT v.organization_id AS organization_id, o.name, o.type, v.state,
                        v.updated_at_ms AS since_ms,
                        CASE WHEN v.state IN ('ON_HOLD_BY_OPERATOR', 'REJECTED_BY_OPERATOR') THEN
                          (SELECT e.event FROM verification_event AS e
                           WHERE e.organization_id = v.organization_id
                             AND e.known_at_ms >= v.updated_at_ms
                             AND e.event IN ('provider_approved', 'provider_rejected',
                                             'provider_retry', 'provider_reset')
                           ORDER BY e.sequence DESC
                           LIMIT 1)
                        END AS outranked,
                        i.outcome, i.applicant_id, i.level, i.applicant_type, i.happened_at_ms,
                        i.known_at_ms, i.delivery_id
                 FROM verification AS v INDEXED BY verification_for_review
                 CROSS JOIN organization AS o ON o.organization_id = v.organization_id
                 LEFT JOIN ignored_approval AS i ON i.organization_id = v.organization_id
                 WHERE v.state IN ('ON_HOLD_BY_PROVIDER', 'ON_HOLD_BY_OPERATOR',
                                   'REJECTED_BY_OPERATOR')
                   AND (v.updated_at_ms, v.organization_id) >= (:since, :id)
                   AND (v.state <> 'REJECTED_BY_OPERATOR' OR outranked IS NOT NULL)
                 UNION ALL
                 SELECT i.organization_id, o.name, o.type, v.state,
                        i.known_at_ms,
                        NULL,
                        i.outcome, i.applicant_id, i.level, i.applicant_type, i.happened_at_ms,
                        i.known_at_ms, i.delivery_id
                 FROM ignored_approval AS i
                 CROSS JOIN verification AS v ON v.organization_id = i.organization_id
                 CROSS JOIN organization AS o ON o.organization_id = i.organization_id
                 WHERE (i.known_at_ms, i.organization_id) >= (:since, :id)
                   AND v.state NOT IN ('ON_HOLD_BY_PROVIDER', 'ON_HOLD_BY_OPERATOR')
                   AND (v.state <> 'REJECTED_BY_OPERATOR'
                        OR NOT EXISTS
                          (SELECT 1 FROM verification_event AS e
                           WHERE e.organization_id = v.organization_id
                             AND e.known_at_ms >= v.updated_at_ms
                             AND e.event IN ('provider_approved', 'provider_rejected',
                                             'provider_retry', 'provider_reset')))
                 ORDER BY since_ms, organization_id
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
    let ignored = match row.get::<_, Option<String>>("outcome")? {
        None => None,
        Some(_) => Some(ignored_approval::from_row(row)?),
    };
    Ok(ReviewRow {
        organization: OrganizationId::new(row.get::<_, String>("organization_id")?),
        name: Name::stored(row.get("name")?),
        kind: OrganizationType::parse(&row.get::<_, String>("type")?)
            .ok_or(StoreError::Corrupt("organization type"))?,
        state: State::parse(&row.get::<_, String>("state")?)
            .ok_or(StoreError::Corrupt("verification state"))?,
        since: Timestamp::from_ms(row.get("since_ms")?),
        outranked,
        ignored,
    })
}
