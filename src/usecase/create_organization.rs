//! A new organization, with the verification that it has from its creation on, and, if a broker
//! creates it, the PENDING Letter of Authorization that lets the broker begin.

use crate::domain::fold::Verification;
use crate::domain::organization::{Name, Organization, OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::store::AuthorizationNote;
use crate::usecase::{Also, Appliance, Failure, nothing_else};

/// What a new organization is to be.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    /// Its name.
    pub name: Name,
    /// KYB or KYC.
    pub kind: OrganizationType,
    /// The creator's own JSON object, as compact text.
    pub metadata: String,
    /// The broker that creates it; `None`: an operator.
    pub creator: Option<OrganizationId>,
}

/// Creates an organization; all of it in one commit.
pub fn create_organization(
    appliance: &Appliance,
    new: NewOrganization,
    actor: &str,
    request_id: Option<&str>,
) -> Result<Organization, Failure> {
    create_organization_and(appliance, new, actor, request_id, nothing_else())
}

/// As [`create_organization`], with something else in the same commit.
pub fn create_organization_and(
    appliance: &Appliance,
    new: NewOrganization,
    actor: &str,
    request_id: Option<&str>,
    also: Also<Organization>,
) -> Result<Organization, Failure> {
    let now = (appliance.clock)();
    let organization = Organization {
        id: OrganizationId::new(new_id("org_", now)),
        name: new.name,
        kind: new.kind,
        created_by: new.creator,
        metadata: new.metadata,
        created_at: now,
    };
    let note = AuthorizationNote {
        actor: actor.to_owned(),
        request_id: request_id.map(ToOwned::to_owned),
        now,
    };
    appliance.commit(also, move |tx| {
        if let Some(creator) = &organization.created_by {
            tx.organization(creator)?.ok_or(Failure::OrganizationNotFound)?;
        }
        tx.insert_organization(&organization)?;
        tx.insert_verification(&organization.id, &Verification::new(now))?;
        if let Some(creator) = &organization.created_by {
            tx.issue_authorization(&organization.id, creator, &note)?;
        }
        Ok(organization)
    })
}

/// A new id: a prefix and a UUID v7 without dashes, so that ids sort by creation.
pub fn new_id(prefix: &str, now: Timestamp) -> String {
    let ms = u64::try_from(now.as_ms()).unwrap_or_default();
    let nanos = u32::try_from((ms % 1000).saturating_mul(1_000_000)).unwrap_or_default();
    let instant = uuid::Timestamp::from_unix(uuid::NoContext, ms / 1000, nanos);
    format!("{prefix}{}", uuid::Uuid::new_v7(instant).simple())
}
