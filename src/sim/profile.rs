//! Creating and reading applicants.

use super::call::{self, Answer, Call, Reply};
use super::failure::Failure;
use super::settings::ApplicantType;
use super::tenant::TenantId;
use super::world::{Draft, World};
use super::{moment, render};
use serde_json::{Map, Value, json};

/// What an applicant carries beside the two information blocks.
pub(super) const TOP_LEVEL: [&str; 6] =
    ["email", "phone", "lang", "sourceKey", "metadata", "questionnaires"];

/// `POST /resources/applicants?levelName=`: 201 with the applicant.
pub(super) fn create(world: &mut World, call: &Call<'_>) -> Answer {
    let draft = draft(call.tenant, call.required_query("levelName")?, &call.object()?)?;
    let id = world.create(draft)?;
    let applicant = world.applicant(call.tenant, &id)?;
    Ok(Reply { status: 201, ..Reply::ok(render::applicant(world, applicant)) })
}

/// Reads what is known of an applicant before it exists.
pub(super) fn draft(tenant: TenantId, level: &str, body: &Value) -> Result<Draft, Failure> {
    let mut draft = Draft::new(tenant, level);
    draft.external_user_id = call::text(body, "externalUserId").map(str::to_owned);
    draft.applicant_type = match call::text(body, "type") {
        Some(kind) => Some(
            ApplicantType::parse(kind)
                .ok_or_else(|| Failure::invalid("type is neither individual nor company"))?,
        ),
        None => None,
    };
    for name in TOP_LEVEL {
        if let Some(value) = body.get(name) {
            draft.top_level.insert(name.to_owned(), value.clone());
        }
    }
    draft.fixed_info = members(body, "fixedInfo");
    draft.extracted = members(body, "info");
    Ok(draft)
}

fn members(body: &Value, name: &str) -> Map<String, Value> {
    body.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// `GET …/{id}/one` and `GET …/-;externalUserId={id}/one`.
pub(super) fn one(world: &World, call: &Call<'_>, selector: &str) -> Answer {
    let applicant = match selector.strip_prefix("-;externalUserId=") {
        Some(user_id) => world
            .find_external(call.tenant, user_id)
            .ok_or_else(|| Failure::applicant_not_found(user_id))?,
        None => world.applicant(call.tenant, selector)?,
    };
    Ok(Reply::ok(render::applicant(world, applicant)))
}

/// `GET …/-/byExternalUserId/{id}`: existence is not an error here.
pub(super) fn by_external_user_id(world: &World, call: &Call<'_>, user_id: &str) -> Reply {
    match world.find_external(call.tenant, user_id) {
        Some(applicant) => {
            Reply::ok(json!({ "exists": true, "applicant": render::applicant(world, applicant) }))
        }
        None => Reply::ok(json!({ "exists": false })),
    }
}

/// `GET …/{id}/status`: the review block alone.
pub(super) fn status(world: &World, call: &Call<'_>, id: &str) -> Answer {
    let applicant = world.applicant(call.tenant, id)?;
    Ok(Reply::ok(render::review(applicant, world.now_ms)))
}

/// `GET …/{id}/requiredIdDocsStatus`.
pub(super) fn steps(world: &World, call: &Call<'_>, id: &str) -> Answer {
    Ok(Reply::ok(render::steps(world.applicant(call.tenant, id)?)))
}

/// `GET /resources/moderationStates/-;applicantId={id}`.
pub(super) fn reasons(world: &World, call: &Call<'_>, selector: &str) -> Answer {
    let id = selector
        .strip_prefix("-;applicantId=")
        .ok_or_else(|| Failure::invalid("applicantId is missing"))?;
    let applicant = world.applicant(call.tenant, id)?;
    let buttons = applicant.review.result.as_ref().map(|it| it.button_ids.clone());
    let images: Map<String, Value> = applicant
        .documents
        .iter()
        .map(|it| (it.image_id.to_string(), json!({ "buttonIds": buttons })))
        .collect();
    Ok(Reply::ok(json!({ "applicantId": id, "imagesStates": images, "buttonIds": buttons })))
}

/// `GET /resources/checks/latest?type=COMPANY&applicantId=`.
pub(super) fn latest_check(world: &mut World, call: &Call<'_>) -> Answer {
    let id = call.required_query("applicantId")?;
    let kind = call.required_query("type")?;
    let applicant = world.applicant(call.tenant, id)?;
    let (created_at_ms, name) = (applicant.created_at_ms, applicant.name());
    if kind != "COMPANY" || applicant.kind != ApplicantType::Company {
        return Ok(Reply::ok(json!({ "checks": [] })));
    }
    let check_id = world.object_id();
    Ok(Reply::ok(json!({ "checks": [{
        "id": check_id,
        "answer": "GREEN",
        "checkType": "COMPANY",
        "createdAt": moment::plain(created_at_ms),
        "companyCheckInfo": {
            "companyName": name,
            "companyNumber": "00000000",
            "status": "Active",
            "type": "ltd",
            "incorporatedOn": "2020-01-01",
        },
    }]})))
}
