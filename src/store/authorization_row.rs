//! LOAs as an operator's list shows them: with both names and the granter's verification, so that
//! *effective* and *suspended* can be told apart.

use rusqlite::{Row, named_params};

use crate::domain::authorization::{Authorization, AuthorizationStatus};
use crate::domain::fold::Verification;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::authorization::from_row as authorization_from_row;
use crate::store::verification::verification_from_columns;
use crate::store::{Reader, StoreError};

/// One LOA of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationRow {
    /// The LOA.
    pub authorization: Authorization,
    /// The customer's name.
    pub granting_name: String,
    /// The broker's name.
    pub authorized_name: String,
    /// The customer's verification.
    pub verification: Verification,
}

/// Which LOAs a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationsShown {
    /// All, newest first.
    All,
    /// Those with this recorded status.
    Recorded(AuthorizationStatus),
    /// Signed, and the granter is APPROVED at this instant.
    Effective(Timestamp),
    /// Signed, and the granter is not APPROVED at this instant.
    Suspended(Timestamp),
    /// Signed, and the granter's approval ends between these instants; the next to end first.
    Expiring(Timestamp, Timestamp),
}

const COLUMNS: &str =
    "a.authorization_id AS authorization_id, a.granting, a.authorized, a.status, a.signed_at_ms,
        a.revoked_at_ms, a.revoked_reason, a.created_at_ms, a.updated_at_ms AS loa_updated_at_ms,
        g.name AS granting_name, b.name AS authorized_name,
        v.state, v.applicant_id, v.expires_at_ms, v.lapsed, v.updated_at_ms";
const JOINED: &str = "CROSS JOIN organization AS g ON g.organization_id = a.granting
     CROSS JOIN organization AS b ON b.organization_id = a.authorized
     CROSS JOIN verification AS v ON v.organization_id = a.granting";

impl Reader<'_> {
    /// Up to `limit` LOAs: newest first and older than `before`, or, of the expiring ones, the next
    /// to end first.
    pub fn authorization_rows(
        &self,
        shown: AuthorizationsShown,
        before: i64,
        limit: u32,
    ) -> Result<Vec<AuthorizationRow>, StoreError> {
        let (status, effective, now) = match shown {
            AuthorizationsShown::All => return self.all_authorization_rows(before, limit),
            AuthorizationsShown::Expiring(from, until) => {
                return self.expiring_authorization_rows(from, until, limit);
            }
            AuthorizationsShown::Recorded(status) => (status, None, Timestamp::from_ms(0)),
            AuthorizationsShown::Effective(now) => (AuthorizationStatus::Active, Some(true), now),
            AuthorizationsShown::Suspended(now) => (AuthorizationStatus::Active, Some(false), now),
        };
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}
                 FROM authorization AS a {JOINED}
                 WHERE a.status || '' = :status
                   AND a.authorization_id < :before
                   AND (:effective IS NULL OR :effective =
                        (v.state = 'APPROVED'
                         AND coalesce(v.expires_at_ms, 9223372036854775807) > :now))
                 ORDER BY a.authorization_id DESC
                 LIMIT :limit"
            ))?
            .query_map(
                named_params! {
                    ":status": status.as_str(),
                    ":before": before,
                    ":effective": effective,
                    ":now": now.as_ms(),
                    ":limit": limit,
                },
                |row| Ok(from_row(row)),
            )?
            .map(|row| row?)
            .collect()
    }

    fn all_authorization_rows(
        self,
        before: i64,
        limit: u32,
    ) -> Result<Vec<AuthorizationRow>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}
                 FROM authorization AS a {JOINED}
                 WHERE a.authorization_id < :before
                 ORDER BY a.authorization_id DESC
                 LIMIT :limit"
            ))?
            .query_map(named_params! {":before": before, ":limit": limit}, |row| Ok(from_row(row)))?
            .map(|row| row?)
            .collect()
    }

    fn expiring_authorization_rows(
        self,
        from: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuthorizationRow>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}
                 FROM verification AS v
                 CROSS JOIN authorization AS a
                    ON a.granting = v.organization_id AND a.status = 'ACTIVE'
                 CROSS JOIN organization AS g ON g.organization_id = a.granting
                 CROSS JOIN organization AS b ON b.organization_id = a.authorized
                 WHERE v.expires_at_ms IS NOT NULL
                   AND v.expires_at_ms > :from AND v.expires_at_ms <= :until
                   AND v.state = 'APPROVED'
                 ORDER BY v.expires_at_ms, v.organization_id, a.authorization_id
                 LIMIT :limit"
            ))?
            .query_map(
                named_params! {
                    ":from": from.as_ms(), ":until": until.as_ms(), ":limit": limit,
                },
                |row| Ok(from_row(row)),
            )?
            .map(|row| row?)
            .collect()
    }

    /// The LOAs that an organization granted or was granted, newest first.
    pub fn authorization_rows_of(
        &self,
        party: &OrganizationId,
        limit: u32,
    ) -> Result<Vec<AuthorizationRow>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM authorization AS a {JOINED} WHERE a.granting = :party
                 UNION ALL
                 SELECT {COLUMNS} FROM authorization AS a {JOINED} WHERE a.authorized = :party
                 ORDER BY authorization_id DESC
                 LIMIT :limit"
            ))?
            .query_map(named_params! {":party": party.as_str(), ":limit": limit}, |row| {
                Ok(from_row(row))
            })?
            .map(|row| row?)
            .collect()
    }
}

fn from_row(row: &Row<'_>) -> Result<AuthorizationRow, StoreError> {
    let mut authorization = authorization_from_row(row)?;
    // Both tables have an `updated_at_ms`; the bare name is the verification's.
    authorization.updated_at = Timestamp::from_ms(row.get("loa_updated_at_ms")?);
    Ok(AuthorizationRow {
        authorization,
        granting_name: row.get("granting_name")?,
        authorized_name: row.get("authorized_name")?,
        verification: verification_from_columns(row, row.as_ref().column_index("state")?)?,
    })
}
