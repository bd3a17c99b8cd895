//! `/v1/authorizations`.

use serde::Serialize;

use super::body::Fields;
use super::error::ApiError;
use super::paging::{ListBody, limit_of};
use super::{Call, json, query};
use crate::domain::authorization::{
    AUTHORIZATION_TYPE, Authorization, AuthorizationStatus, Purpose,
};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::store::{AuthorizationFilter, LinkFilter, Role};
use crate::usecase::Failure;
use crate::usecase::authorizations::{
    By, list_authorizations, request_authorization_and, revoke_authorization_and,
};
use crate::usecase::handoff_links::{ListedLink, page_of_links};

pub(super) fn list(call: &Call<'_>) -> Result<Response, ApiError> {
    let caller = call.caller(Purpose::Act)?;
    let [limit, cursor, role, status, kind] =
        query::read(call.request, ["limit", "cursor", "role", "status", "type"])?;
    only_known_type(kind.as_deref())?;
    let filter = AuthorizationFilter {
        party: Some(caller.acting.subject().clone()),
        role: role.as_deref().map(role_of).transpose()?,
        status: status
            .map(|it| {
                AuthorizationStatus::parse(&it)
                    .ok_or_else(|| ApiError::invalid("`status` must be PENDING, ACTIVE or REVOKED"))
            })
            .transpose()?,
        after: cursor,
        limit: limit_of(limit.as_deref())?,
    };
    let (page, next_cursor) = list_authorizations(call.appliance, &filter)?;
    Ok(json(&ListBody {
        object: "list",
        next_cursor,
        has_more: page.has_more,
        data: page.rows.iter().map(AuthorizationBody::of).collect(),
    }))
}

/// Our extension: the hand-off links to LOAs, without their addresses, which are for the customers.
pub(super) fn links(call: &Call<'_>) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    let [limit, cursor, granting] =
        query::read(call.request, ["limit", "cursor", "grantingOrganizationId"])?;
    let filter = LinkFilter {
        party: owner,
        granting: granting.map(OrganizationId::new),
        before: cursor
            .map(|it| {
                is_link_id(&it)
                    .then_some(it)
                    .ok_or_else(|| ApiError::invalid("`cursor` must be a nextCursor of this list"))
            })
            .transpose()?,
        limit: limit_of(limit.as_deref())?,
    };
    let page = page_of_links(call.appliance, &filter)?;
    let last = page.rows.last().filter(|_| page.has_more);
    Ok(json(&ListBody {
        object: "list",
        next_cursor: last.map(|it| it.link.id.clone()),
        has_more: page.has_more,
        data: page.rows.iter().map(LinkBody::of).collect(),
    }))
}

/// Links are listed by their ids, which sort by creation; so an id is the place behind which a page begins.
fn is_link_id(text: &str) -> bool {
    let is_hex = |it: u8| it.is_ascii_digit() || matches!(it, b'a'..=b'f');
    text.strip_prefix("link_").is_some_and(|it| it.len() == 32 && it.bytes().all(is_hex))
}

/// Our extension: a new PENDING LOA after the last one was revoked.
pub(super) fn request(call: &Call<'_>) -> Result<Response, ApiError> {
    let authorized = call.key_owner()?;
    query::none(call.request)?;
    let mut fields = Fields::read(call.request)?;
    let granting = OrganizationId::new(fields.text("grantingOrganizationId")?);
    only_known_type(Some(&fields.text("type")?))?;
    fields.end()?;
    let authorization = request_authorization_and(
        call.appliance,
        &granting,
        &authorized,
        by(call, &authorized),
        call.kept_in_commit(render),
    )
    .inspect_err(|_| call.not_committed())?;
    Ok(render(&authorization))
}

pub(super) fn revoke(call: &Call<'_>) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    query::none(call.request)?;
    let mut fields = Fields::read(call.request)?;
    let granting = OrganizationId::new(fields.text("grantingOrganizationId")?);
    let authorized = OrganizationId::new(fields.text("authorizedOrganizationId")?);
    only_known_type(Some(&fields.text("type")?))?;
    let reason = fields.optional_text("reason")?;
    fields.end()?;
    if owner != granting && owner != authorized {
        return Err(Failure::Forbidden("only a party may revoke a Letter of Authorization").into());
    }
    let authorization = revoke_authorization_and(
        call.appliance,
        (&granting, &authorized),
        reason.as_deref(),
        by(call, &owner),
        call.kept_in_commit(render),
    )
    .inspect_err(|_| call.not_committed())?;
    Ok(render(&authorization))
}

fn render(authorization: &Authorization) -> Response {
    json(&AuthorizationBody::of(authorization))
}

fn by(call: &Call<'_>, owner: &OrganizationId) -> By {
    By { actor: owner.as_str().to_owned(), request_id: Some(call.id.clone()) }
}

fn only_known_type(kind: Option<&str>) -> Result<(), ApiError> {
    match kind {
        None | Some(AUTHORIZATION_TYPE) => Ok(()),
        Some(_) => Err(ApiError::invalid("`type` must be LOA")),
    }
}

fn role_of(text: &str) -> Result<Role, ApiError> {
    match text {
        "granter" => Ok(Role::Granter),
        "authorized" => Ok(Role::Authorized),
        _ => Err(ApiError::invalid("`role` must be granter or authorized")),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationBody<'a> {
    object: &'static str,
    granting_organization_id: &'a str,
    authorized_organization_id: &'a str,
    r#type: &'static str,
    status: &'static str,
    signed_at: Option<String>,
    revoked_at: Option<String>,
    revoked_reason: Option<&'a str>,
    created_at: String,
    updated_at: String,
}

impl<'a> AuthorizationBody<'a> {
    fn of(authorization: &'a Authorization) -> Self {
        let text = |it: Option<Timestamp>| it.map(|it| it.to_string());
        Self {
            object: "authorization",
            granting_organization_id: authorization.granting.as_str(),
            authorized_organization_id: authorization.authorized.as_str(),
            r#type: AUTHORIZATION_TYPE,
            status: authorization.status.as_str(),
            signed_at: text(authorization.signed_at),
            revoked_at: text(authorization.revoked_at),
            revoked_reason: authorization.revoked_reason.as_deref(),
            created_at: authorization.created_at.to_string(),
            updated_at: authorization.updated_at.to_string(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkBody<'a> {
    object: &'static str,
    link_id: &'a str,
    status: &'static str,
    granting_organization_id: &'a str,
    authorized_organization_id: &'a str,
    authorization_status: &'static str,
    created_at: String,
    expires_at: String,
    revoked_at: Option<String>,
}

impl<'a> LinkBody<'a> {
    fn of(listed: &'a ListedLink) -> Self {
        let ListedLink { link, authorization, status } = listed;
        Self {
            object: "handoff_link",
            link_id: &link.id,
            status: status.as_str(),
            granting_organization_id: authorization.granting.as_str(),
            authorized_organization_id: authorization.authorized.as_str(),
            authorization_status: authorization.status.as_str(),
            created_at: link.created_at.to_string(),
            expires_at: link.expires_at.to_string(),
            revoked_at: link.revoked_at.map(|it| it.to_string()),
        }
    }
}
