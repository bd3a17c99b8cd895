//! The recipient's side of sharing: two different products. Reusable KYC re-checks against the
//! recipient's level and takes natural persons only; Copy Applicant inherits the verdict at once.
//!
//! A share token works once. A call that fails before anything was created leaves it fresh;
//! whether the real service does so is unknown.

use super::ReuseCollision;
use super::applicant::{Applicant, Presence, ReviewResult};
use super::call::{Answer, Call, Reply};
use super::event::Event;
use super::failure::Failure;
use super::settings::ApplicantType;
use super::token::{ShareState, ShareToken};
use super::world::{Draft, Planned, World};
use super::{moment, render};
use serde_json::json;

/// `POST /resources/api/reusableIdentity/reuse?shareToken=&levelName=[&userId=][&sourceKey=]`.
pub(super) fn reuse(world: &mut World, call: &Call<'_>) -> Answer {
    let token = call.required_query("shareToken")?;
    let (donor, draft) = reusable(world, call, token)?;
    let id = world.insert(draft)?;
    consume(world, token);
    if let Some(applicant) = world.applicants.get_mut(&id) {
        applicant.documents = donor.documents;
    }
    world.emit(&id, &Event::Created);
    world.recheck(&id);
    let green = ReviewResult::green();
    match i64::from(world.settings.reuse_review_ms) {
        0 => world.complete(&id, green),
        delay_ms => {
            let due_ms = world.now_ms + delay_ms / i64::from(world.settings.time_scale.max(1));
            world.agenda.push((due_ms, id.clone(), Planned::Verdict(green)));
        }
    }
    Ok(Reply::ok(render::applicant(world, world.applicant(call.tenant, &id)?)))
}

/// The dry run: the same refusals, nothing consumed. The shape of the answer is unknown.
pub(super) fn preview(world: &mut World, call: &Call<'_>) -> Answer {
    let (donor, draft) = reusable(world, call, call.required_query("shareToken")?)?;
    let sets: Vec<&str> = donor.documents.iter().map(|it| it.set.as_str()).collect();
    Ok(Reply::ok(json!({
        "levelName": draft.level,
        "externalUserId": draft.external_user_id,
        "info": draft.extracted,
        "reusableDocSets": sets,
    })))
}

fn reusable(
    world: &mut World,
    call: &Call<'_>,
    token: &str,
) -> Result<(Applicant, Draft), Failure> {
    let level = call.required_query("levelName")?;
    let donor = donor(world, call, token)?;
    if donor.kind != ApplicantType::Individual {
        return Err(Failure::reuse(
            10509,
            "reusable-kyc-not-kyc-moderation-type",
            "Reusable KYC covers natural persons only",
        ));
    }
    if !donor.review.is_approved() {
        return Err(Failure::reuse(
            10507,
            "reusable-kyc-not-approved-applicant",
            "Applicant is not approved",
        ));
    }
    if world.level(level)?.applicant_type != ApplicantType::Individual {
        return Err(Failure::reuse(
            10513,
            "reusable-kyc-not-compatible-doc-type",
            format!("Not Reusable KYC for level: {level}"),
        ));
    }
    let mut draft = copied(world, call, &donor, level);
    if let Some(user_id) = call.query("userId").filter(|it| !it.is_empty()) {
        let is_taken = world.holder_of(call.tenant, user_id).is_some();
        if !is_taken || world.settings.reuse_collision == ReuseCollision::Conflict {
            draft.external_user_id = Some(user_id.to_owned());
        }
    }
    if let Some(key) = call.query("sourceKey") {
        draft.top_level.insert("sourceKey".to_owned(), json!(key));
    }
    Ok((donor, draft))
}

/// `POST /resources/applicants/-/import?shareToken=`: Copy Applicant. One event at once, with the
/// donor's verdict and `reuseScope`.
pub(super) fn import(world: &mut World, call: &Call<'_>) -> Answer {
    let token = call.required_query("shareToken")?;
    let donor = donor(world, call, token)?;
    let level = match world.level(&donor.level) {
        Ok(level) => level.name.clone(),
        Err(missing) => world.level_for(donor.kind).map(|it| it.name.clone()).ok_or(missing)?,
    };
    let draft = copied(world, call, &donor, &level);
    let id = world.insert(draft)?;
    consume(world, token);
    if let Some(applicant) = world.applicants.get_mut(&id) {
        applicant.copy_of = Some(donor.id.clone());
        applicant.reuse_scope = Some("importApiShareToken");
        applicant.documents = donor.documents;
        applicant.review.status = donor.review.status;
        applicant.review.result = donor.review.result;
        applicant.review.reviewed_at_ms = donor.review.reviewed_at_ms;
        applicant.review.attempt_count = donor.review.attempt_count;
        let event = match applicant.review.status {
            super::applicant::ReviewStatus::Completed => Event::ReviewedByCopy,
            _ => Event::Created,
        };
        world.emit(&id, &event);
    }
    Ok(Reply::ok(render::applicant(world, world.applicant(call.tenant, &id)?)))
}

fn copied(world: &mut World, call: &Call<'_>, donor: &Applicant, level: &str) -> Draft {
    let mut draft = Draft::new(call.tenant, level);
    draft.external_user_id = Some(format!("copy-{}", world.random.uuid()));
    draft.applicant_type = Some(donor.kind);
    draft.extracted.clone_from(&donor.extracted);
    for name in ["email", "phone"] {
        if let Some(value) = donor.top_level.get(name) {
            draft.top_level.insert(name.to_owned(), value.clone());
        }
    }
    draft
}

/// Finds the donor behind a share token, or says why the token does not lead to one.
fn donor(world: &World, call: &Call<'_>, token: &str) -> Result<Applicant, Failure> {
    let (_, share) = find(world, token).ok_or_else(|| {
        Failure::share_token(&format!("Token {} is invalid now: not found", shortened(token)))
    })?;
    let expires_at_ms = share.created_at_ms.saturating_add(share.ttl_s.saturating_mul(1000));
    if share.state == ShareState::Used || world.now_ms >= expires_at_ms {
        return Err(Failure::share_token(&format!(
            "Token {} is invalid now: created at {} with ttl {} but accessed at {}",
            share.jti,
            moment::java(share.created_at_ms),
            share.ttl_s,
            moment::java(world.now_ms)
        )));
    }
    let recipient = world.tenant(call.tenant);
    if share.for_client_id != recipient.credentials.client_id {
        return Err(Failure::reuse(
            10504,
            "non-suitable-share-token",
            "Share token was issued for another client",
        ));
    }
    let donor_client = &world.tenant(share.donor).credentials.client_id;
    if !recipient.partners.contains(donor_client) {
        return Err(Failure::reuse(
            10501,
            "not-in-partners-list",
            format!("Client {donor_client} is not in the list of partners"),
        ));
    }
    let donor = world.applicant(share.donor, &share.applicant_id)?;
    if donor.presence == Presence::Deactivated {
        return Err(Failure::reuse(
            10508,
            "reusable-kyc-not-active-applicant",
            "Applicant is not active",
        ));
    }
    Ok(donor.clone())
}

/// Docs print share tokens with and without the `_act…-jwt-` prefix; the bare dot at the end is
/// part of the token and a token without it is unknown.
fn find<'w>(world: &'w World, token: &str) -> Option<(&'w String, &'w ShareToken)> {
    world.share_tokens.iter().find(|(known, _)| {
        let bare = known.split_once("-jwt-").map(|(_, bare)| bare);
        known.as_str() == token || bare == Some(token)
    })
}

fn consume(world: &mut World, token: &str) {
    let known = find(world, token).map(|(known, _)| known.clone());
    if let Some(share) = known.and_then(|it| world.share_tokens.get_mut(&it)) {
        share.state = ShareState::Used;
    }
}

/// The first characters of an unknown token: an error text must not echo a whole secret.
fn shortened(token: &str) -> String {
    token.chars().take(12).collect()
}
