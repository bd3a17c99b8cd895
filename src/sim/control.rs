//! The control port: unsigned JSON calls with which a test or an operator plays the customer,
//! Sumsub's reviewers, a partner, the provider's bad days, and nasty webhooks. Loopback only.

use super::ApplicantCreation;
use super::applicant::{Applicant, ReviewResult, Step};
use super::call::{self, Answer, Reply};
use super::delivery::Message;
use super::event::{Event, Trap, Trick};
use super::failure::Failure;
use super::fault::{Fault, FaultKind};
use super::tenant::TenantId;
use super::world::{Planned, World};
use super::{access, decision, moment, page, render};
use crate::http::Request;
use serde_json::{Value, json};

const CALLS: [&str; 22] = [
    "GET  /",
    "GET  /state",
    "GET  /applicants?externalUserId=&tenant=",
    "POST /applicants/{id}/submit|approve|hold|reset|recheck",
    "POST /applicants/{id}/expire-document {inMs?}",
    "POST /applicants/{id}/reject|retry   {rejectLabels?, moderationComment?, clientComment?}",
    "POST /applicants/{id}/aml-hit        {final?: bool}",
    "POST /applicants/{id}/await-user|await-service",
    "POST /partner/applicants             {firstName, lastName, externalUserId?}",
    "POST /partner/share-token            {applicantId, ttlInSecs?, forClientId?}",
    "POST /partners                       {tenant, partners: [clientId]}",
    "POST /sdk/open                       {token}",
    "POST /webhook                        {url}",
    "POST /traps                          {tricks: [..], count?, type?}",
    "DELETE /traps",
    "POST /events                         {body: any | raw: text, type?, tenant?, tricks?}",
    "POST /faults   {path, count?, status, retryAfter?, body?} or hangMs, close or truncate",
    "DELETE /faults",
    "POST /clock                          {offsetMs}",
    "GET  /deliveries",
    "POST /deliveries/flush",
    "POST /deliveries/{id}/replay",
];

/// Answers a control call. Sending is not done here: it needs no lock on the world.
pub(super) fn answer(world: &mut World, request: &Request) -> Answer {
    if request.peer.is_some_and(|it| !it.is_loopback()) {
        return Err(Failure::plain(403, "The control port is for loopback only"));
    }
    let segments = call::segments(request.path());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let body = if request.method == "POST" { call::object(&request.body)? } else { Value::Null };
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", [""]) => Ok(Reply::ok(about(world))),
        ("GET", ["state"]) => Ok(Reply::ok(state(world))),
        ("GET", ["applicants"]) => find(world, request),
        ("POST", ["applicants", id, action]) => act(world, (id, action), &body),
        ("POST", ["partner", "applicants"]) => donor(world, &body),
        ("POST", ["partner", "share-token"]) => share_token(world, &body),
        ("POST", ["partners"]) => partners(world, &body),
        ("POST", ["sdk", "open"]) => open_sdk(world, &body),
        ("POST", ["webhook"]) => webhook(world, &body),
        ("POST", ["traps"]) => trap(world, &body),
        ("DELETE", ["traps"]) => {
            world.traps.clear();
            Ok(Reply::done())
        }
        ("POST", ["events"]) => raw_event(world, &body),
        ("POST", ["faults"]) => fault(world, &body),
        ("DELETE", ["faults"]) => {
            world.faults.clear();
            Ok(Reply::done())
        }
        ("POST", ["clock"]) => {
            world.clock_offset_ms = call::number(body.get("offsetMs"))
                .ok_or_else(|| Failure::invalid("offsetMs is missing"))?;
            Ok(Reply::done())
        }
        ("GET", ["deliveries"]) => Ok(Reply::ok(deliveries(world))),
        ("POST", ["deliveries", id, "replay"]) => replay(world, id),
        _ => Err(Failure::plain(404, "No such control call; GET / lists them")),
    }
}

fn about(world: &World) -> Value {
    json!({
        "simulator": "stands in for api.sumsub.com; verifies nobody",
        "seed": world.settings.seed,
        "nasty": world.settings.nasty,
        "timeScale": world.settings.time_scale,
        "baseUrl": world.settings.base_url,
        "webhookUrl": world.settings.webhook_url,
        "calls": CALLS,
        "tricks": Trick::ALL.map(|(name, _)| name),
    })
}

/// Applicants and what was handed out; tokens by their first characters only.
fn state(world: &World) -> Value {
    let applicants: Vec<Value> = world.applicants.values().map(|it| summary(world, it)).collect();
    let passes = |it: &std::collections::BTreeMap<String, super::token::Pass>| -> Vec<Value> {
        it.iter()
            .map(|(token, pass)| {
                json!({
                    "token": redacted(token),
                    "tenant": pass.tenant.as_str(),
                    "userId": pass.user_id,
                    "levelName": pass.level,
                    "expiresAt": moment::zoned(pass.expires_at_ms),
                    "expired": world.now_ms >= pass.expires_at_ms,
                })
            })
            .collect()
    };
    let shares: Vec<Value> = world
        .share_tokens
        .iter()
        .map(|(token, it)| {
            json!({
                "token": redacted(token),
                "applicantId": it.applicant_id,
                "forClientId": it.for_client_id,
                "used": it.state == super::token::ShareState::Used,
            })
        })
        .collect();
    json!({
        "now": moment::zoned(world.now_ms),
        "applicants": applicants,
        "sdkTokens": passes(&world.sdk_tokens),
        "links": passes(&world.links),
        "shareTokens": shares,
        "levels": world.levels.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(),
    })
}

fn redacted(token: &str) -> String {
    token.chars().take(8).chain("…".chars()).collect()
}

fn summary(world: &World, it: &Applicant) -> Value {
    json!({
        "id": it.id,
        "tenant": it.tenant.as_str(),
        "externalUserId": it.external_user_id,
        "type": it.kind.as_str(),
        "levelName": it.level,
        "memberOf": it.member_of,
        "copyOf": it.copy_of,
        "review": render::review(it, world.now_ms),
    })
}

fn find(world: &World, request: &Request) -> Answer {
    let query = call::pairs(request.query().unwrap_or_default());
    let given = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, it)| it.as_str());
    let tenant = tenant(given("tenant"))?;
    let found: Vec<Value> = world
        .applicants
        .values()
        .filter(|it| it.tenant == tenant)
        .filter(|it| given("externalUserId").is_none_or(|id| it.external_user_id == id))
        .map(|it| summary(world, it))
        .collect();
    Ok(Reply::ok(json!({ "applicants": found })))
}

fn tenant(word: Option<&str>) -> Result<TenantId, Failure> {
    match word {
        None | Some("recipient") => Ok(TenantId::Recipient),
        Some("partner") => Ok(TenantId::Partner),
        Some(_) => Err(Failure::invalid("tenant is neither recipient nor partner")),
    }
}

fn act(world: &mut World, (id, action): (&str, &str), body: &Value) -> Answer {
    if !world.applicants.contains_key(id) {
        return Err(Failure::applicant_not_found(id));
    }
    match action {
        "reject" | "retry" if body.get("rejectLabels").is_some() => {
            let mut verdict = body.clone();
            if let Some(members) = verdict.as_object_mut() {
                let kind = if action == "reject" { "FINAL" } else { "RETRY" };
                members.insert("reviewAnswer".to_owned(), json!("RED"));
                members.insert("reviewRejectType".to_owned(), json!(kind));
            }
            world.complete(id, decision::review_result(&verdict)?);
        }
        "reset" => world.restart(id, &Event::Reset),
        "recheck" => world.recheck(id),
        "expire-document" => match call::number(body.get("inMs")) {
            Some(ms) => {
                let at_ms = world.now_ms.saturating_add(ms);
                world.agenda.push((at_ms, id.to_owned(), Planned::Expiry));
            }
            None => world.expire_document(id),
        },
        "aml-hit" => aml_hit(world, id, body),
        "await-user" => wait(world, id, Step::AwaitUser, &Event::AwaitingUser),
        "await-service" => wait(world, id, Step::AwaitService, &Event::AwaitingService),
        _ => page::play(world, id, action)?,
    }
    let applicant = world.applicants.get(id).ok_or_else(|| Failure::applicant_not_found(id))?;
    Ok(Reply::ok(summary(world, applicant)))
}

/// Ongoing monitoring finds a name on a list. No page states the events; integrators see both.
fn aml_hit(world: &mut World, id: &str, body: &Value) {
    let result = ReviewResult::red("FINAL", &["SANCTIONS"], "The profile was declined.");
    if body.get("final").and_then(Value::as_bool) == Some(true) {
        world.complete(id, result);
    } else {
        world.hold(id, result);
    }
}

fn wait(world: &mut World, id: &str, step: Step, event: &Event) {
    if world.step(id, step).is_ok() {
        world.emit(id, event);
    }
}

fn donor(world: &mut World, body: &Value) -> Answer {
    let name = (call::required_text(body, "firstName")?, call::required_text(body, "lastName")?);
    let user_id = call::text(body, "externalUserId").map(str::to_owned);
    let id = world.make_approved_individual(TenantId::Partner, name, user_id)?;
    let applicant = world.applicant(TenantId::Partner, &id)?;
    Ok(Reply { status: 201, ..Reply::ok(summary(world, applicant)) })
}

fn share_token(world: &mut World, body: &Value) -> Answer {
    let id = call::required_text(body, "applicantId")?;
    let recipient = world.tenant(TenantId::Recipient).credentials.client_id.clone();
    let client = call::text(body, "forClientId").unwrap_or(&recipient);
    access::mint_share(world, TenantId::Partner, (id, client), body.get("ttlInSecs"))
}

fn partners(world: &mut World, body: &Value) -> Answer {
    let tenant = tenant(call::text(body, "tenant"))?;
    let list = body
        .get("partners")
        .and_then(Value::as_array)
        .ok_or_else(|| Failure::invalid("partners is missing"))?;
    world.tenant_mut(tenant).partners =
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(Reply::done())
}

/// What the WebSDK does first: it shows its token, and the applicant appears if it is to.
fn open_sdk(world: &mut World, body: &Value) -> Answer {
    let token = call::required_text(body, "token")?;
    let pass = world
        .sdk_tokens
        .get(token)
        .filter(|it| world.now_ms < it.expires_at_ms)
        .cloned()
        .ok_or_else(|| Failure::plain(401, "Token is invalid or expired"))?;
    let applicant = world.applicant_of(&pass, ApplicantCreation::OnOpen)?;
    Ok(Reply::ok(json!({
        "applicantId": applicant,
        "userId": pass.user_id,
        "levelName": pass.level,
    })))
}

fn webhook(world: &mut World, body: &Value) -> Answer {
    let url = call::required_text(body, "url")?;
    super::settings::check_url(url).map_err(|error| Failure::invalid(&error.to_string()))?;
    world.set_webhook(url);
    Ok(Reply::done())
}

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

fn trap(world: &mut World, body: &Value) -> Answer {
    world.traps.push(Trap {
        tricks: tricks(body)?,
        event_type: call::text(body, "type").map(str::to_owned),
        events_left: count(body)?,
    });
    Ok(Reply::done())
}

/// Any body at all, signed like any other. `raw` is sent byte for byte, `body` as compact JSON.
fn raw_event(world: &mut World, body: &Value) -> Answer {
    let tenant = tenant(call::text(body, "tenant"))?;
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

fn fault(world: &mut World, body: &Value) -> Answer {
    let is_set = |name: &str| body.get(name).and_then(Value::as_bool) == Some(true);
    let status = call::number(body.get("status")).and_then(|it| u16::try_from(it).ok());
    let hang_ms = call::number(body.get("hangMs")).and_then(|it| u64::try_from(it).ok());
    let kind = match (status, hang_ms) {
        (Some(status), _) if (200..600).contains(&status) => FaultKind::Status {
            status,
            retry_after_s: call::number(body.get("retryAfter")),
            body: body.get("body").and_then(Value::as_str).map(str::to_owned),
        },
        (None, Some(ms)) => FaultKind::Hang { ms },
        (None, None) if is_set("close") => FaultKind::Close,
        (None, None) if is_set("truncate") => FaultKind::Truncate,
        _ => return Err(Failure::invalid("give status, hangMs, close or truncate")),
    };
    world.faults.push(Fault {
        path_prefix: call::text(body, "path").unwrap_or("/").to_owned(),
        kind,
        calls_left: count(body)?,
    });
    Ok(Reply::done())
}

fn deliveries(world: &World) -> Value {
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

fn replay(world: &mut World, id: &str) -> Answer {
    let now_ms = world.now_ms;
    let copy = id.parse().ok().and_then(|it| world.queue.replay(it, now_ms));
    copy.map(|it| Reply::ok(json!({ "delivery": it })))
        .ok_or_else(|| Failure::plain(404, format!("Delivery {id} is not known")))
}
