//! The knobs of the control port: tricks on webhooks, played, raw and replayed events, workflows,
//! the clock, provider faults.

use super::call::{self, Answer, Reply};
use super::delivery::Message;
use super::event::{Event, Play, Trap, Trick};
use super::failure::Failure;
use super::fault::{Fault, FaultKind};
use super::settings::{ApplicantType, LevelChanges, Workflow};
use super::world::World;
use super::{control, moment};
use serde_json::{Map, Value, json};

/// More than a client should be ready to read.
const OVERSIZE_BYTES: usize = 4 * 1024 * 1024;

/// Ten years: beyond what any clock is off by, and within what a date can be written for.
const CLOCK_OFFSET_MAX_MS: u64 = 315_576_000_000;

fn count(body: &Value) -> Result<u32, Failure> {
    match body.get("count") {
        None => Ok(1),
        given => call::number(given)
            .and_then(|it| u32::try_from(it).ok())
            .ok_or_else(|| Failure::invalid("count must be a positive number")),
    }
}

fn tricks(body: &Value) -> Result<Vec<Trick>, Failure> {
    let words = body.get("tricks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    words
        .iter()
        .map(|it| {
            it.as_str()
                .and_then(Trick::parse)
                .ok_or_else(|| Failure::invalid(&format!("unknown trick {it}")))
        })
        .collect()
}

/// Tricks for the next events.
pub(super) fn trap(world: &mut World, body: &Value) -> Answer {
    world.traps.push(Trap {
        tricks: tricks(body)?,
        event_type: call::text(body, "type").map(str::to_owned),
        events_left: count(body)?,
    });
    Ok(Reply::done())
}

/// Any body at all, signed like any other. `raw` is sent byte for byte, `body` as compact JSON.
pub(super) fn raw_event(world: &mut World, body: &Value) -> Answer {
    let tenant = control::tenant(call::text(body, "tenant"))?;
    let tricks = tricks(body)?;
    let content = body.get("body").cloned().unwrap_or(Value::Null);
    let bytes = match body.get("raw").and_then(Value::as_str) {
        Some(raw) => raw.to_owned(),
        None if content.is_null() => return Err(Failure::invalid("body or raw is missing")),
        None => content.to_string(),
    };
    let event_type =
        call::text(body, "type").or_else(|| call::text(&content, "type")).unwrap_or_default();
    let message = Message {
        event_type,
        applicant_id: call::text(&content, "applicantId").unwrap_or_default(),
        body: bytes.as_bytes(),
        tricks: &tricks,
    };
    world.enqueue(tenant, None, &message);
    Ok(Reply::done())
}

fn names(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|it| it.as_str().map(str::to_owned)).collect()
}

/// An event of any type in an applicant's name, with members of its body set or removed. It goes
/// the ordinary way, signed and queued, and changes nothing about the applicant. This is how a
/// verdict is played that a client must not trust.
pub(super) fn play_event(world: &mut World, id: &str, body: &Value) -> Result<(), Failure> {
    let tricks = tricks(body)?;
    let set = match body.get("set") {
        None => Map::new(),
        Some(Value::Object(members)) => members.clone(),
        Some(_) => return Err(Failure::invalid("set must be an object")),
    };
    let removed = match body.get("remove") {
        None => Vec::new(),
        Some(list) => {
            names(list).ok_or_else(|| Failure::invalid("remove must be a list of names"))?
        }
    };
    let event_type = call::required_text(body, "type")?.to_owned();
    world.traps.push(Trap { tricks, event_type: Some(event_type.clone()), events_left: 1 });
    world.emit(id, &Event::Played(Play { event_type, set, removed }));
    Ok(())
}

/// The workflow of a type of applicant; an empty list of levels ends it.
pub(super) fn workflow(world: &mut World, body: &Value) -> Answer {
    let applicant_type = ApplicantType::parse(call::required_text(body, "applicantType")?)
        .ok_or_else(|| Failure::invalid("applicantType is neither individual nor company"))?;
    let levels = body
        .get("levels")
        .and_then(names)
        .ok_or_else(|| Failure::invalid("levels must be a list of names"))?;
    let level_changes = match body.get("levelChanged").and_then(Value::as_bool) {
        Some(true) => LevelChanges::Announced,
        Some(false) | None => LevelChanges::Silent,
    };
    world
        .set_workflow(Workflow { applicant_type, levels, level_changes })
        .map_err(|reason| Failure::invalid(&reason))?;
    Ok(Reply::done())
}

/// How far the clock is from the real one: a machine whose own clock is wrong, played from the
/// other side. Everything follows it: `Date`, `createdAtMs`, and the check of a request's time.
pub(super) fn clock(world: &mut World, body: &Value) -> Answer {
    let offset_ms = call::number(body.get("offsetMs"))
        .ok_or_else(|| Failure::invalid("offsetMs is missing"))?;
    if offset_ms.abs_diff(0) > CLOCK_OFFSET_MAX_MS {
        return Err(Failure::invalid("offsetMs is beyond ten years"));
    }
    world.set_clock(offset_ms);
    Ok(Reply::done())
}

/// A fault for the next calls.
pub(super) fn fault(world: &mut World, body: &Value) -> Answer {
    let is_set = |name: &str| body.get(name).and_then(Value::as_bool) == Some(true);
    let status = call::number(body.get("status")).and_then(|it| u16::try_from(it).ok());
    let hang_ms = call::number(body.get("hangMs")).and_then(|it| u64::try_from(it).ok());
    let kind = match (status, hang_ms) {
        (Some(status), _) if (200..600).contains(&status) => FaultKind::Status {
            status,
            retry_after: call::number(body.get("retryAfter"))
                .map(|it| it.to_string())
                .or_else(|| call::text(body, "retryAfter").map(str::to_owned)),
            body: body.get("body").and_then(Value::as_str).map(str::to_owned),
        },
        (None, Some(ms)) => FaultKind::Hang { ms },
        (None, None) if is_set("close") => FaultKind::Close,
        (None, None) if is_set("truncate") => FaultKind::Truncate,
        (None, None) if is_set("reset") => FaultKind::Reset,
        (None, None) if is_set("other") => FaultKind::Other,
        (None, None) if is_set("oversize") => FaultKind::Oversize { bytes: OVERSIZE_BYTES },
        _ => {
            let known = "status, hangMs, close, truncate, reset, other or oversize";
            return Err(Failure::invalid(&format!("give {known}")));
        }
    };
    world.faults.push(Fault {
        path_prefix: call::text(body, "path").unwrap_or("/").to_owned(),
        kind,
        calls_left: count(body)?,
    });
    Ok(Reply::done())
}

/// Everything queued, sent or given up.
pub(super) fn deliveries(world: &World) -> Value {
    let list: Vec<Value> = world
        .queue
        .all()
        .iter()
        .map(|it| {
            json!({
                "id": it.id,
                "webhookId": it.webhook_id,
                "type": it.event_type,
                "applicantId": it.applicant_id,
                "state": it.state.as_str(),
                "dueAt": moment::zoned(it.due_at_ms),
                "body": String::from_utf8_lossy(&it.body),
                "attempts": it.attempts.iter().map(attempt).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "deliveries": list })
}

/// One attempt as the control port shows it.
pub(super) fn attempt(it: &super::Attempt) -> Value {
    let (status, error) = match &it.outcome {
        Ok(status) => (Some(*status), None),
        Err(error) => (None, Some(error.as_str())),
    };
    json!({
        "delivery": it.delivery,
        "type": it.event_type,
        "applicantId": it.applicant_id,
        "attempt": it.number,
        "status": status,
        "error": error,
    })
}

/// An old delivery's bytes once more.
pub(super) fn replay(world: &mut World, id: &str) -> Answer {
    let now_ms = world.now_ms;
    let copy = id.parse().ok().and_then(|it| world.queue.replay(it, now_ms));
    copy.map(|it| Reply::ok(json!({ "delivery": it })))
        .ok_or_else(|| Failure::plain(404, format!("Delivery {id} is not known")))
}
