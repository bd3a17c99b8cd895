//! Approvals of Sumsub's that do not count, while somebody has to look at them.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Outcome, Reader, StoreError, Tx};

/// An approval that does not count. It is there until Sumsub or an operator has said something newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredApproval {
    /// Whose verification it is about.
    pub organization: OrganizationId,
    /// Why it does not count.
    pub outcome: Outcome,
    /// The applicant that Sumsub approved.
    pub applicant_id: String,
    /// At which level, if Sumsub named one that can be read.
    pub level: Option<String>,
    /// Sumsub's word for the applicant's type, likewise.
    pub applicant_type: Option<String>,
    /// When, by Sumsub's clock.
    pub happened_at: Timestamp,
    /// When we knew it.
    pub known_at: Timestamp,
    /// The webhook that said it; `None`: Sumsub was asked.
    pub delivery_id: Option<i64>,
}

const SELECT: &str = "SELECT organization_id, outcome, applicant_id, level, applicant_type,
        happened_at_ms, known_at_ms, delivery_id
     FROM ignored_approval";

impl Reader<'_> {
    /// The one of an organization that somebody has to look at.
    pub fn ignored_approval(
        &self,
        of: &OrganizationId,
    ) -> Result<Option<IgnoredApproval>, StoreError> {
        self.connection
            .prepare_cached(&format!("{SELECT} WHERE organization_id = :of"))?
            .query_row(named_params! {":of": of.as_str()}, |row| Ok(from_row(row)))
            .optional()?
            .transpose()
    }

    /// Up to `limit` of them, the one that waits longest first.
    pub fn ignored_approvals(&self, limit: u32) -> Result<Vec<IgnoredApproval>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT} ORDER BY known_at_ms, organization_id LIMIT :limit"
            ))?
            .query_map(named_params! {":limit": limit}, |row| Ok(from_row(row)))?
            .map(|row| row?)
            .collect()
    }

    /// How many there are.
    pub fn count_ignored_approvals(&self) -> Result<i64, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT count(*) FROM ignored_approval")?
            .query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Notes an approval that does not count; an older one of the organization goes. Answers whether
    /// it says anything new.
    pub fn note_ignored_approval(&self, new: &IgnoredApproval) -> Result<bool, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "INSERT INTO ignored_approval
                   (organization_id, outcome, applicant_id, level, applicant_type,
                    happened_at_ms, known_at_ms, delivery_id)
                 VALUES (:of, :outcome, :applicant, :level, :applicant_type,
                         :happened_at, :known_at, :delivery)
                 ON CONFLICT (organization_id) DO UPDATE
                 SET outcome = :outcome, applicant_id = :applicant, level = :level,
                     applicant_type = :applicant_type, happened_at_ms = :happened_at,
                     known_at_ms = :known_at, delivery_id = :delivery
                 WHERE happened_at_ms < :happened_at",
            )?
            .execute(named_params! {
                ":of": new.organization.as_str(),
                ":outcome": new.outcome.as_str(),
                ":applicant": new.applicant_id,
                ":level": new.level,
                ":applicant_type": new.applicant_type,
                ":happened_at": new.happened_at.as_ms(),
                ":known_at": new.known_at.as_ms(),
                ":delivery": new.delivery_id,
            })?;
        Ok(changed > 0)
    }

    /// Ends the wait of an organization's ignored approval: something was said that is not older, about
    /// its applicant where one is named.
    pub(super) fn end_ignored_approval(
        &self,
        of: &OrganizationId,
        (applicant_id, happened_at): (Option<&str>, Timestamp),
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "DELETE FROM ignored_approval
                 WHERE organization_id = :of AND happened_at_ms <= :happened_at
                   AND (:applicant IS NULL OR applicant_id = :applicant)",
            )?
            .execute(named_params! {
                ":of": of.as_str(),
                ":applicant": applicant_id,
                ":happened_at": happened_at.as_ms(),
            })?;
        Ok(())
    }
}

pub(super) fn from_row(row: &Row<'_>) -> Result<IgnoredApproval, StoreError> {
    Ok(IgnoredApproval {
        organization: OrganizationId::new(row.get::<_, String>("organization_id")?),
        outcome: Outcome::parse(&row.get::<_, String>("outcome")?)
            .ok_or(StoreError::Corrupt("ignored approval"))?,
        applicant_id: row.get("applicant_id")?,
        level: row.get("level")?,
        applicant_type: row.get("applicant_type")?,
        happened_at: Timestamp::from_ms(row.get("happened_at_ms")?),
        known_at: Timestamp::from_ms(row.get("known_at_ms")?),
        delivery_id: row.get("delivery_id")?,
    })
}
