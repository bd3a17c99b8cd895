//! Everything that a request needs before its work begins, in one statement: whose key it is, whom
//! it is about, how that organization's verification stands, and which LOA lies between the two.
//!
//! One statement sees one commit, so the gate never judges a mixture of two moments; and a poll is
//! this one read.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::authorization::AuthorizationStatus;
use crate::domain::fold::Verification;
use crate::domain::organization::{OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::store::key::Scopes;
use crate::store::verification::verification_from_columns;
use crate::store::{Reader, StoreError};

/// What one key may be told about one organization, before any rule was applied.
#[derive(Clone, Debug)]
pub struct Access {
    /// The organization that the key belongs to.
    pub caller: OrganizationId,
    /// The key.
    pub key: KeyFacts,
    /// The organization that the request is about; `None` if there is none of that id.
    pub subject: Option<Subject>,
}

/// What the register says of the key that was used.
#[derive(Clone, Debug)]
pub struct KeyFacts {
    /// `key_…`.
    pub id: String,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it does not work.
    pub expires_at: Option<Timestamp>,
    /// When it stopped working.
    pub revoked_at: Option<Timestamp>,
}

impl KeyFacts {
    /// Whether it works at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|it| now < it)
    }
}

/// The organization that a request is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its id.
    pub id: OrganizationId,
    /// Its type.
    pub kind: OrganizationType,
    /// Its verification.
    pub verification: Verification,
    /// The live LOA by which it lets the caller act, if any.
    pub authorization: Option<AuthorizationStatus>,
}

impl Reader<'_> {
    /// Looks a key up by its hash, together with the organization that the request is about: the
    /// key's own, or `on_behalf_of`. `None`: no such key.
    pub fn access(
        &self,
        key_sha256: &[u8; 32],
        on_behalf_of: Option<&OrganizationId>,
    ) -> Result<Option<Access>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT k.organization_id, k.key_id, k.scopes, k.expires_at_ms, k.revoked_at_ms, -- 0-4
                        o.organization_id, o.type,                                           -- 5, 6
                        v.state, v.applicant_id, v.expires_at_ms, v.lapsed, v.updated_at_ms, -- 7-11
                        a.status                                                             -- 12
                 FROM api_key AS k
                 LEFT JOIN organization AS o
                   ON o.organization_id = coalesce(:on_behalf_of, k.organization_id)
                 LEFT JOIN verification AS v
                   ON v.organization_id = o.organization_id
                 LEFT JOIN authorization AS a
                   ON a.granting = o.organization_id
                  AND a.authorized = k.organization_id
                  AND a.type = 'LOA'
                  AND a.status IN ('PENDING', 'ACTIVE')
                 WHERE k.key_sha256 = :key",
            )?
            .query_row(
                named_params! {
                    ":key": key_sha256,
                    ":on_behalf_of": on_behalf_of.map(OrganizationId::as_str),
                },
                |row| Ok(from_row(row)),
            )
            .optional()?
            .transpose()
    }
}

/// By number, as [`verification_from_columns`], for this is every request's row.
fn from_row(row: &Row<'_>) -> Result<Access, StoreError> {
    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let subject = match row.get::<_, Option<String>>(5)? {
        None => None,
        Some(id) => Some(Subject {
            id: OrganizationId::new(id),
            kind: OrganizationType::parse(text(6)?)
                .ok_or(StoreError::Corrupt("organization type"))?,
            verification: verification_from_columns(row, 7)?,
            authorization: match row.get_ref(12)?.as_str_or_null().map_err(rusqlite::Error::from)? {
                None => None,
                Some(word) => Some(
                    AuthorizationStatus::parse(word)
                        .ok_or(StoreError::Corrupt("authorization status"))?,
                ),
            },
        }),
    };
    Ok(Access {
        caller: OrganizationId::new(row.get::<_, String>(0)?),
        key: KeyFacts {
            id: row.get(1)?,
            scopes: Scopes::parse(text(2)?).ok_or(StoreError::Corrupt("key scopes"))?,
            expires_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_ms),
            revoked_at: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_ms),
        },
        subject,
    })
}
