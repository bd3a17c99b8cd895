//! `/v1/authorizations/explain` [our extension]: why a call counts or not, now or at any instant.

use serde::Serialize;

use super::error::ApiError;
use super::{Call, json, query};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::store::Cause;
use crate::usecase::Failure;
use crate::usecase::explain::{Condition, Explanation, RestsOn, explain};

pub(super) fn show(call: &Call<'_>) -> Result<Response, ApiError> {
    let owner = call.key_owner()?;
    let [granting, authorized, at, request_id] = query::read(
        call.request,
        ["grantingOrganizationId", "authorizedOrganizationId", "at", "requestId"],
    )?;
    let at = at
        .map(|it| {
            Timestamp::parse(&it)
                .ok_or_else(|| ApiError::invalid("`at` must be an ISO 8601 instant"))
        })
        .transpose()?;
    let (granting, authorized, at) = match (granting, request_id) {
        (Some(granting), None) => (
            OrganizationId::new(granting),
            authorized.map_or_else(|| owner.clone(), OrganizationId::new),
            at,
        ),
        (None, Some(request_id)) => of_request(call, &request_id)?,
        _ => {
            return Err(ApiError::invalid(
                "give `grantingOrganizationId`, or the `requestId` of a refused call",
            ));
        }
    };
    if owner != granting && owner != authorized {
        return Err(
            Failure::Forbidden("only a party may ask about a Letter of Authorization").into()
        );
    }
    let explanation = explain(call.appliance, &granting, &authorized, at)?;
    Ok(json(&ExplanationBody::told_to(&owner, &explanation)))
}

fn of_request(
    call: &Call<'_>,
    request_id: &str,
) -> Result<(OrganizationId, OrganizationId, Option<Timestamp>), ApiError> {
    let refusal = call
        .appliance
        .store
        .read(|register| register.gate_refusal(request_id))
        .map_err(Failure::from)?
        .ok_or_else(|| ApiError::invalid("no refused call of this `requestId` is on record"))?;
    Ok((refusal.subject, refusal.caller, Some(refusal.refused_at)))
}

/// The contract's `authorization_explanation` object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplanationBody<'a> {
    object: &'static str,
    granting_organization_id: &'a str,
    authorized_organization_id: &'a str,
    r#type: &'static str,
    at: String,
    effective: bool,
    conditions: Vec<ConditionBody>,
    next_action: Option<NextBody>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConditionBody {
    name: &'static str,
    holds: Option<bool>,
    value: Option<&'static str>,
    since: Option<String>,
    fact: Option<FactBody>,
    note: Option<String>,
    withheld: Option<&'static str>,
}

/// Source and event only: an operator's reason may name people.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FactBody {
    source: &'static str,
    event: &'static str,
    id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NextBody {
    who: &'static str,
    what: &'static str,
}

impl<'a> ExplanationBody<'a> {
    /// The object of an explanation, whole: for operators.
    pub fn of(it: &'a Explanation) -> Self {
        Self::with(it, |_| false)
    }

    /// The object of an explanation, without what a party may not know.
    fn told_to(party: &OrganizationId, it: &'a Explanation) -> Self {
        Self::with(it, |condition| it.withholds(condition.name, party))
    }

    fn with(it: &'a Explanation, is_withheld: impl Fn(&Condition) -> bool) -> Self {
        let body_of = |it| if is_withheld(it) { withheld(it) } else { condition(it) };
        Self {
            object: "authorization_explanation",
            granting_organization_id: it.granting.as_str(),
            authorized_organization_id: it.authorized.as_str(),
            r#type: crate::domain::authorization::AUTHORIZATION_TYPE,
            at: it.at.to_string(),
            effective: it.is_effective,
            conditions: it.conditions.iter().map(body_of).collect(),
            next_action: it.next.map(|it| NextBody { who: it.who.as_str(), what: it.what }),
        }
    }
}

fn condition(it: &Condition) -> ConditionBody {
    ConditionBody {
        name: it.name.as_str(),
        holds: Some(it.holds),
        value: Some(it.value),
        since: it.since.map(|it| it.to_string()),
        fact: it.fact.as_ref().map(fact),
        note: it.note.clone(),
        withheld: None,
    }
}

fn withheld(it: &Condition) -> ConditionBody {
    ConditionBody {
        name: it.name.as_str(),
        holds: None,
        value: None,
        since: None,
        fact: None,
        note: None,
        withheld: Some(
            "The customer's verification is withheld while no Letter of Authorization between the \
             two is PENDING or ACTIVE.",
        ),
    }
}

fn fact(it: &RestsOn) -> FactBody {
    let source = match it {
        RestsOn::Authorization { .. } => "authorization",
        RestsOn::Verification { cause, .. } => source_of(cause),
        RestsOn::Expiry { .. } => "expiry",
    };
    FactBody { source, event: it.event(), id: it.id() }
}

/// Who caused a fact.
pub(super) fn source_of(cause: &Cause) -> &'static str {
    match cause {
        Cause::Delivery(_) => "provider",
        Cause::Operator { .. } => "operator",
        Cause::Request(_) => "request",
        Cause::Asked(_) => "reconcile",
    }
}
