//! The calls that change a profile: its fields, presence, documents, tags and people.

use super::applicant::{Applicant, Document, Presence, ReviewStatus};
use super::call::{self, Answer, Call, Reply};
use super::event::Event;
use super::failure::Failure;
use super::profile::TOP_LEVEL;
use super::render;
use super::world::World;
use serde_json::{Map, Value};

/// At most this many tags ("Manage applicant tags", stated).
const TAGS_MAX: usize = 30;

/// `PATCH /resources/applicants`: `id` in the body, and what changes.
pub(super) fn top_level(world: &mut World, call: &Call<'_>) -> Answer {
    let body = call.object()?;
    let id = call::required_text(&body, "id")?;
    world.applicant(call.tenant, id)?;
    let renamed = call::text(&body, "externalUserId").map(str::to_owned);
    if let Some(user_id) = &renamed {
        let taken = world.holder_of(call.tenant, user_id).filter(|it| it.id != id);
        if let Some(other) = taken {
            return Err(Failure::plain(
                409,
                format!("Applicant with external user id '{user_id}' already exists: {}", other.id),
            ));
        }
    }
    let applicant = world.applicant_mut(call.tenant, id)?;
    for name in TOP_LEVEL {
        if let Some(value) = body.get(name) {
            applicant.top_level.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(user_id) = renamed {
        applicant.external_user_id = user_id;
    }
    if let Some(is_deleted) = body.get("deleted").and_then(Value::as_bool) {
        applicant.presence = if is_deleted { Presence::Deactivated } else { Presence::Active };
    }
    shown(world, call, id)
}

/// `PATCH …/{id}/fixedInfo`: data the client provides; answers the block.
pub(super) fn fixed_info(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    information(world, call, id, |it| &mut it.fixed_info)
}

/// `PATCH …/{id}/info`: extracted data.
pub(super) fn extracted_info(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    information(world, call, id, |it| &mut it.extracted)
}

fn information(
    world: &mut World,
    call: &Call<'_>,
    id: &str,
    of: fn(&mut Applicant) -> &mut Map<String, Value>,
) -> Answer {
    let body = call.object()?;
    let block = of(world.applicant_mut(call.tenant, id)?);
    for (name, value) in body.as_object().into_iter().flatten() {
        block.insert(name.clone(), value.clone());
    }
    let reply = Reply::ok(Value::Object(block.clone()));
    world.emit(id, &Event::PersonalInfoChanged);
    Ok(reply)
}

/// `PATCH …/{id}/presence/deactivated` or `activated`; refused while a check runs (stated).
pub(super) fn presence(world: &mut World, call: &Call<'_>, (id, target): (&str, &str)) -> Answer {
    let applicant = world.applicant_mut(call.tenant, id)?;
    if matches!(applicant.review.status, ReviewStatus::Pending | ReviewStatus::Queued) {
        return Err(Failure::plain(409, "Applicant is being checked"));
    }
    let (presence, event) = match target {
        "deactivated" => (Presence::Deactivated, Event::Deactivated),
        "activated" => (Presence::Active, Event::Activated),
        _ => return Err(Failure::invalid("presence is neither activated nor deactivated")),
    };
    applicant.presence = presence;
    world.emit(id, &event);
    let mut reply = shown(world, call, id)?;
    if let Some(members) = reply.body.as_object_mut() {
        members.insert("deleted".to_owned(), Value::Bool(presence == Presence::Deactivated));
    }
    Ok(reply)
}

/// `POST …/{id}/info/idDoc`: multipart `metadata` and `content`. The content is not kept. The
/// image id comes back in `X-Image-Id`, the metadata in the body.
pub(super) fn add_document(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    let image_id = i64::try_from(world.random.next() >> 34).unwrap_or(1);
    let applicant = world.applicant_mut(call.tenant, id)?;
    if applicant.presence == Presence::Deactivated {
        return Err(Failure::coded(409, 1008, "applicant-marked-as-deleted", "Applicant deleted"));
    }
    if applicant.review.is_finally_rejected() {
        return Err(super::flow::refused(super::applicant::Refused::FinalReject));
    }
    let metadata = multipart_metadata(call.body)
        .ok_or_else(|| Failure::invalid("Required part 'metadata' is not present"))?;
    let kind = call::required_text(&metadata, "idDocType")?;
    let set = match kind {
        "SELFIE" => "SELFIE",
        "COMPANY_DOC" => "COMPANY",
        _ => "IDENTITY",
    };
    applicant.documents.push(Document {
        set: set.to_owned(),
        kind: kind.to_owned(),
        country: call::text(&metadata, "country").unwrap_or_default().to_owned(),
        image_id,
    });
    let mut reply = Reply::ok(metadata);
    reply.headers.push(("X-Image-Id", image_id.to_string()));
    Ok(reply)
}

/// The JSON of the part named `metadata`; its end is found by JSON itself, so boundaries need
/// not be understood.
fn multipart_metadata(body: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(body);
    let (_, after) = text.split_once("name=\"metadata\"")?;
    let (_, content) = after.split_once("\r\n\r\n")?;
    serde_json::Deserializer::from_str(content).into_iter::<Value>().next()?.ok()
}

/// `POST …/{id}/tags/add`.
pub(super) fn add_tags(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    let mut tags = world.applicant(call.tenant, id)?.tags.clone();
    for tag in tag_list(call)? {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    replace_tags(world, call, id, tags)
}

/// `POST …/{id}/tags`: overwrites.
pub(super) fn set_tags(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    replace_tags(world, call, id, tag_list(call)?)
}

/// `DELETE …/{id}/tags`.
pub(super) fn remove_tags(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    let gone = tag_list(call)?;
    let mut tags = world.applicant(call.tenant, id)?.tags.clone();
    tags.retain(|it| !gone.contains(it));
    replace_tags(world, call, id, tags)
}

fn replace_tags(world: &mut World, call: &Call<'_>, id: &str, tags: Vec<String>) -> Answer {
    if tags.len() > TAGS_MAX {
        return Err(Failure::plain(400, "Too many applicant tags"));
    }
    world.applicant_mut(call.tenant, id)?.tags = tags;
    world.emit(id, &Event::TagsChanged);
    Ok(Reply::done())
}

fn tag_list(call: &Call<'_>) -> Result<Vec<String>, Failure> {
    serde_json::from_slice(call.body)
        .map_err(|error| Failure::invalid(&format!("JSON array of strings expected: {error}")))
}

/// `POST …/{companyId}/info/companyInfo/beneficiaries`: links an applicant to a company. The
/// current path is unknown, so both known ones lead here.
pub(super) fn add_beneficiary(world: &mut World, call: &Call<'_>, company: &str) -> Answer {
    let body = call.object()?;
    let nested = body.get("applicant").and_then(|it| call::text(it, "id"));
    let person = nested
        .or_else(|| call::text(&body, "applicantId"))
        .ok_or_else(|| Failure::invalid("applicantId is missing"))?;
    world.applicant(call.tenant, company)?;
    world.applicant_mut(call.tenant, person)?.member_of = Some(company.to_owned());
    Ok(Reply::ok(body))
}

/// `DELETE …/{companyId}/info/companyInfo/beneficiaries/{applicantId}`.
pub(super) fn remove_beneficiary(
    world: &mut World,
    call: &Call<'_>,
    (company, person): (&str, &str),
) -> Answer {
    let applicant = world.applicant_mut(call.tenant, person)?;
    if applicant.member_of.as_deref() != Some(company) {
        return Err(Failure::applicant_not_found(person));
    }
    applicant.member_of = None;
    Ok(Reply::done())
}

fn shown(world: &World, call: &Call<'_>, id: &str) -> Answer {
    Ok(Reply::ok(render::applicant(world, world.applicant(call.tenant, id)?)))
}
