//! The calls that move a review: reset, level, recheck, the sandbox's verdict, outside decisions.

use super::applicant::ReviewResult;
use super::call::{self, Answer, Call, Reply};
use super::event::Event;
use super::failure::Failure;
use super::render;
use super::tenant::Environment;
use super::world::World;
use serde_json::Value;

/// `POST …/{id}/reset`: back to init, documents inactive.
pub(super) fn reset(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    world.applicant(call.tenant, id)?;
    world.restart(id, &Event::Reset);
    Ok(Reply::done())
}

/// `POST …/{id}/resetStep/{idDocSetType}`.
pub(super) fn reset_step(world: &mut World, call: &Call<'_>, (id, set): (&str, &str)) -> Answer {
    world.applicant_mut(call.tenant, id)?.documents.retain(|it| it.set != set);
    world.restart(id, &Event::StepsReset);
    Ok(Reply::done())
}

/// `POST …/{id}/moveToLevel?name=`: the parameter is `name`.
pub(super) fn move_to_level(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    let name = call.required_query("name")?;
    world.applicant(call.tenant, id)?;
    world.move_to_level(id, name)?;
    shown(world, call, id)
}

/// `POST …/{id}/status/pending`.
pub(super) fn pending(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    world.applicant(call.tenant, id)?;
    world.recheck(id);
    Ok(Reply::done())
}

/// `POST …/{id}/status/testCompleted` ("Set review for applicant on sandbox"): works straight
/// from init. On a production token the real error is unknown; here 403.
pub(super) fn test_completed(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    world.applicant(call.tenant, id)?;
    if world.tenant(call.tenant).environment() == Environment::Production {
        return Err(Failure::plain(403, "Only available in the sandbox environment"));
    }
    let body = call.object()?;
    let result = review_result(&body)?;
    world.complete(id, result);
    Ok(Reply::done())
}

/// Reads a verdict as `testCompleted` takes it.
pub(super) fn review_result(body: &Value) -> Result<ReviewResult, Failure> {
    let answer = call::required_text(body, "reviewAnswer")?;
    if answer != "GREEN" && answer != "RED" {
        return Err(Failure::invalid("reviewAnswer is neither GREEN nor RED"));
    }
    let words = |name: &str| -> Vec<String> {
        let list = body.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let word = |name: &str| call::text(body, name).map(str::to_owned);
    if answer == "GREEN" {
        // GREEN comes alone in every capture.
        return Ok(ReviewResult::green());
    }
    Ok(ReviewResult {
        answer: answer.to_owned(),
        // The default of a RED without a type is unknown; FINAL is the safer reading.
        reject_type: word("reviewRejectType").or_else(|| Some("FINAL".to_owned())),
        labels: words("rejectLabels"),
        moderation_comment: word("moderationComment"),
        client_comment: word("clientComment"),
        button_ids: words("buttonIds"),
    })
}

/// `POST …/{id}/-/approve`.
pub(super) fn approve(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    world.applicant(call.tenant, id)?;
    call.object()?;
    world.complete(id, ReviewResult::green());
    shown(world, call, id)
}

/// `POST …/{id}/-/reject`: from any status, final ("Reject applicant").
pub(super) fn reject(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    world.applicant(call.tenant, id)?;
    let body = call.object()?;
    let mut result = ReviewResult::red("FINAL", &["EXTERNAL_DECISION_REJECTION"], "");
    result.moderation_comment = None;
    result.client_comment = call::text(&body, "note").map(str::to_owned);
    world.complete(id, result);
    shown(world, call, id)
}

/// `POST …/{id}/-/init`.
pub(super) fn init(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    world.applicant(call.tenant, id)?;
    call.object()?;
    world.restart(id, &Event::StepsReset);
    shown(world, call, id)
}

/// `POST …/{id}/blacklist?note=`: a second time is 409 with 5000; a company's people are left
/// alone ("Add applicant to blocklist"). That the verdict turns RED FINAL is inferred.
pub(super) fn blocklist(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    let note = call.query("note").unwrap_or_default().to_owned();
    let applicant = world.applicant_mut(call.tenant, id)?;
    if applicant.blocklisted_note.is_some() {
        return Err(Failure::coded(
            409,
            5000,
            "applicant-already-blacklisted",
            "Applicant is already blocklisted",
        ));
    }
    applicant.blocklisted_note = Some(note);
    world.complete(id, ReviewResult::red("FINAL", &["BLOCKLIST"], "The profile is blocked."));
    shown(world, call, id)
}

/// `POST …/{id}/recheck/aml`: nothing is found, so nothing is fired.
pub(super) fn recheck_aml(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    world.applicant(call.tenant, id)?;
    Ok(Reply::done())
}

fn shown(world: &World, call: &Call<'_>, id: &str) -> Answer {
    Ok(Reply::ok(render::applicant(world, world.applicant(call.tenant, id)?)))
}
