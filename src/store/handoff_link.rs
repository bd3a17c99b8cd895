//! Hand-off links: only the SHA-256 of a link's token is ever here.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

/// A link as the register holds it: without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoffLink {
    /// `link_` and 32 hex digits, for people and logs.
    pub id: String,
    /// The LOA that it lets sign.
    pub authorization_id: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The broker's id, or `operator:<login>`.
    pub created_by: String,
    /// The request that made it.
    pub request_id: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Until when it can sign.
    pub expires_at: Timestamp,
}

/// Which links a page shows.
#[derive(Clone, Debug)]
pub struct LinkFilter {
    /// The granter or the authorized of their LOA.
    pub party: OrganizationId,
    /// Only those to LOAs that this organization grants.
    pub granting: Option<OrganizationId>,
    /// Only those behind this link's id: ids sort by creation.
    pub before: Option<String>,
    /// At most this many.
    pub limit: u32,
}

impl Reader<'_> {
    /// The link of a token.
    pub fn handoff_link(&self, token_sha256: &[u8; 32]) -> Result<Option<HandoffLink>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT link_id, authorization_id, created_at_ms, created_by, request_id,
                        revoked_at_ms, expires_at_ms
                 FROM handoff_link
                 WHERE token_sha256 = :token",
            )?
            .query_row(named_params! {":token": token_sha256}, from_row)
            .optional()?)
    }

    /// Every link, or those to LOAs that one organization grants or is granted, newest first.
    pub fn handoff_links(
        &self,
        party: Option<&OrganizationId>,
    ) -> Result<Vec<HandoffLink>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT l.link_id, l.authorization_id, l.created_at_ms, l.created_by, l.request_id,
                        l.revoked_at_ms, l.expires_at_ms
                 FROM handoff_link AS l
                 JOIN authorization AS a ON a.authorization_id = l.authorization_id
                 WHERE :party IS NULL OR a.granting = :party OR a.authorized = :party
                 ORDER BY l.created_at_ms DESC, l.link_id DESC",
            )?
            .query_map(named_params! {":party": party.map(OrganizationId::as_str)}, from_row)?
            .map(|row| Ok(row?))
            .collect()
    }
}

impl Reader<'_> {
    /// The address that the newest session call for a link came from.
    pub fn asked_from(&self, id: &str) -> Result<Option<String>, StoreError> {
        let address = self
            .connection
            .prepare_cached("SELECT asked_from FROM handoff_link WHERE link_id = :id")?
            .query_row(named_params! {":id": id}, |row| row.get(0))
            .optional()?;
        Ok(address.flatten())
    }

    /// The links to an LOA that are not revoked, newest first.
    pub fn unrevoked_links_to(
        &self,
        authorization_id: i64,
    ) -> Result<Vec<HandoffLink>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT link_id, authorization_id, created_at_ms, created_by, request_id,
                        revoked_at_ms, expires_at_ms
                 FROM handoff_link
                 WHERE authorization_id = :authorization AND revoked_at_ms IS NULL
                 ORDER BY created_at_ms DESC, link_id DESC",
            )?
            .query_map(named_params! {":authorization": authorization_id}, from_row)?
            .map(|row| Ok(row?))
            .collect()
    }

    /// One page of the links to LOAs that an organization is a party of, newest first.
    pub fn handoff_link_page(&self, filter: &LinkFilter) -> Result<Vec<HandoffLink>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT l.link_id, l.authorization_id, l.created_at_ms, l.created_by, l.request_id,
                        l.revoked_at_ms, l.expires_at_ms
                 FROM authorization AS a
                 CROSS JOIN handoff_link AS l ON l.authorization_id = a.authorization_id
                 WHERE (a.granting = :party OR a.authorized = :party)
                   AND (:granting IS NULL OR a.granting = :granting)
                   AND (:before IS NULL OR l.link_id < :before)
                 ORDER BY l.link_id DESC
                 LIMIT :limit",
            )?
            .query_map(
                named_params! {
                    ":party": filter.party.as_str(),
                    ":granting": filter.granting.as_ref().map(OrganizationId::as_str),
                    ":before": filter.before,
                    ":limit": filter.limit,
                },
                from_row,
            )?
            .map(|row| Ok(row?))
            .collect()
    }

    /// Up to `limit` links to LOAs that an organization grants, newest first.
    pub fn handoff_links_of(
        &self,
        granting: &OrganizationId,
        limit: u32,
    ) -> Result<Vec<HandoffLink>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT l.link_id, l.authorization_id, l.created_at_ms, l.created_by, l.request_id,
                        l.revoked_at_ms, l.expires_at_ms
                 FROM authorization AS a
                 CROSS JOIN handoff_link AS l ON l.authorization_id = a.authorization_id
                 WHERE a.granting = :granting
                 ORDER BY l.created_at_ms DESC, l.link_id DESC
                 LIMIT :limit",
            )?
            .query_map(named_params! {":granting": granting.as_str(), ":limit": limit}, from_row)?
            .map(|row| Ok(row?))
            .collect()
    }
}

impl Tx<'_> {
    /// Adds a link.
    pub fn insert_handoff_link(
        &self,
        link: &HandoffLink,
        token_sha256: &[u8; 32],
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO handoff_link
                   (token_sha256, link_id, authorization_id, created_at_ms, created_by, request_id,
                    expires_at_ms)
                 VALUES (:token, :id, :authorization, :created_at, :created_by, :request,
                         :expires_at)",
            )?
            .execute(named_params! {
                ":token": token_sha256,
                ":id": link.id,
                ":authorization": link.authorization_id,
                ":created_at": link.created_at.as_ms(),
                ":created_by": link.created_by,
                ":request": link.request_id,
                ":expires_at": link.expires_at.as_ms(),
            })?;
        Ok(())
    }

    /// Records the address that the newest session call for a link came from.
    pub fn record_asked_from(&self, id: &str, address: Option<&str>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE handoff_link SET asked_from = :address WHERE link_id = :id")?
            .execute(named_params! {":id": id, ":address": address})?;
        Ok(())
    }

    /// Revokes a link; `false` if there is no such link that is not revoked.
    pub fn revoke_handoff_link(
        &self,
        id: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE handoff_link SET revoked_at_ms = :now, revoked_by = :by
                 WHERE link_id = :id AND revoked_at_ms IS NULL",
            )?
            .execute(named_params! {":id": id, ":by": by, ":now": now.as_ms()})?;
        self.touched.borrow_mut().everybody = true;
        Ok(changed > 0)
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<HandoffLink> {
    Ok(HandoffLink {
        id: row.get("link_id")?,
        authorization_id: row.get("authorization_id")?,
        created_at: Timestamp::from_ms(row.get("created_at_ms")?),
        created_by: row.get("created_by")?,
        request_id: row.get("request_id")?,
        revoked_at: row.get::<_, Option<i64>>("revoked_at_ms")?.map(Timestamp::from_ms),
        expires_at: Timestamp::from_ms(row.get("expires_at_ms")?),
    })
}
