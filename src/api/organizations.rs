//! `/v1/organizations`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::body::Fields;
use super::error::ApiError;
use super::{Call, json, query};
use crate::domain::authorization::Purpose;
use crate::domain::fold::{Standing, Verification};
use crate::domain::organization::{Name, Organization, OrganizationId, OrganizationType};
use crate::http::Response;
use crate::usecase::Failure;
use crate::usecase::create_organization::{NewOrganization, create_organization_and};
use crate::usecase::metadata::checked_metadata;

pub(super) fn create(call: &Call<'_>) -> Result<Response, ApiError> {
    let creator = call.key_owner()?;
    query::none(call.request)?;
    let mut fields = Fields::read(call.request)?;
    let name = fields.text("name")?;
    let kind = fields.text("type")?;
    let metadata = fields.optional_written("metadata");
    fields.end()?;
    let name = Name::parse(&name)
        .map_err(|objection| ApiError::invalid(format!("the field `name` {objection}")))?;
    let kind = OrganizationType::parse(&kind)
        .ok_or_else(|| ApiError::invalid("the field `type` must be BUSINESS or INDIVIDUAL"))?;
    let metadata = checked_metadata(metadata.as_deref().map_or("{}", RawValue::get))?;
    let actor = creator.as_str().to_owned();
    let new = NewOrganization { name, kind, metadata, creator: Some(creator) };
    let organization = create_organization_and(
        call.appliance,
        new,
        &actor,
        Some(&call.id),
        call.kept_in_commit(render_new),
    )
    .inspect_err(|_| call.not_committed())?;
    Ok(render_new(&organization))
}

fn render_new(organization: &Organization) -> Response {
    let verification = Verification::new(organization.created_at);
    render(organization, verification.at(organization.created_at))
}

/// The one organization in scope, not a list.
pub(super) fn show(call: &Call<'_>) -> Result<Response, ApiError> {
    let caller = call.caller(Purpose::Act)?;
    query::none(call.request)?;
    let organization = call
        .appliance
        .store
        .read(|register| register.organization(caller.acting.subject()))
        .map_err(Failure::from)?
        .ok_or(Failure::OrganizationNotFound)?;
    Ok(render(&organization, caller.subject.verification.at(call.now)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    object: &'static str,
    organization_id: &'a str,
    name: &'a str,
    r#type: &'static str,
    verification_status: &'static str,
    created_by_organization_id: Option<&'a str>,
    metadata: Option<&'a RawValue>,
    created_at: String,
    updated_at: String,
}

fn render(organization: &Organization, standing: Standing) -> Response {
    json(&Body {
        object: "organization",
        organization_id: organization.id.as_str(),
        name: organization.name.as_str(),
        r#type: organization.kind.as_str(),
        verification_status: standing.status.as_str(),
        created_by_organization_id: organization.created_by.as_ref().map(OrganizationId::as_str),
        metadata: serde_json::from_str(&organization.metadata).ok(),
        created_at: organization.created_at.to_string(),
        // The status stands in this object, so its change is a change of the object.
        updated_at: organization.created_at.max(standing.updated_at).to_string(),
    })
}
