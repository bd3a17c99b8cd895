//! Organizations: statements and row mapping.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::organization::{Name, Organization, OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

impl Reader<'_> {
    /// The organization of that id.
    pub fn organization(&self, id: &OrganizationId) -> Result<Option<Organization>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT organization_id, name, type, created_by, metadata, created_at_ms
                 FROM organization
                 WHERE organization_id = :id",
            )?
            .query_row(named_params! {":id": id.as_str()}, |row| Ok(from_row(row)))
            .optional()?
            .transpose()
    }

    /// Up to `limit` organizations, newest first, older than `before` if given.
    pub fn organizations(
        &self,
        before: Option<&OrganizationId>,
        limit: u32,
    ) -> Result<Vec<Organization>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT organization_id, name, type, created_by, metadata, created_at_ms
                 FROM organization
                 WHERE :before IS NULL OR organization_id < :before
                 ORDER BY organization_id DESC
                 LIMIT :limit",
            )?
            .query_map(
                named_params! {":before": before.map(OrganizationId::as_str), ":limit": limit},
                |row| Ok(from_row(row)),
            )?
            .map(|row| row?)
            .collect()
    }
}

impl Tx<'_> {
    /// Adds an organization.
    pub fn insert_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO organization
                   (organization_id, name, type, created_by, metadata, created_at_ms)
                 VALUES (:id, :name, :type, :created_by, :metadata, :created_at)",
            )?
            .execute(named_params! {
                ":id": organization.id.as_str(),
                ":name": organization.name.as_str(),
                ":type": organization.kind.as_str(),
                ":created_by": organization.created_by.as_ref().map(OrganizationId::as_str),
                ":metadata": organization.metadata,
                ":created_at": organization.created_at.as_ms(),
            })?;
        Ok(())
    }
}

fn from_row(row: &Row<'_>) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: OrganizationId::new(row.get::<_, String>("organization_id")?),
        name: Name::stored(row.get("name")?),
        kind: OrganizationType::parse(&row.get::<_, String>("type")?)
            .ok_or(StoreError::Corrupt("organization type"))?,
        created_by: row.get::<_, Option<String>>("created_by")?.map(OrganizationId::new),
        metadata: row.get("metadata")?,
        created_at: Timestamp::from_ms(row.get("created_at_ms")?),
    })
}
