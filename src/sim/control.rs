//! The control port: unsigned JSON calls with which a test or an operator plays the customer,
//! Sumsub's reviewers, a partner, the provider's bad days, and nasty webhooks. Loopback only.

use super::applicant::{Applicant, ReviewResult, Step};
use super::call::{self, Answer, Reply};
use super::event::{Event, Trick};
use super::failure::Failure;
use super::settings::LevelChanges;
use super::tenant::TenantId;
use super::world::{Planned, World};
use super::{access, administration, decision, frame, knob, moment, page, profile, render};
use crate::http::Request;
use serde_json::{Value, json};

const CALLS: &[&str] = &[
    "GET  /",
    "GET  /state",
    "GET  /applicants?externalUserId=&tenant=",
    "POST /applicants                     {levelName, externalUserId?, type?, fixedInfo?, tenant?}",
    "POST /applicants/{id}/submit|approve|hold|reset|recheck",
    "POST /applicants/{id}/move-to-level  {name}",
    "POST /applicants/{id}/expire-document {inMs?}",
    "POST /applicants/{id}/reject|retry   {rejectLabels?, moderationComment?, clientComment?}",
    "POST /applicants/{id}/aml-hit        {final?: bool}",
    "POST /applicants/{id}/await-user|await-service|delete",
    "POST /applicants/{id}/workflow-completed|workflow-failed",
    "                                     {reviewAnswer?, reviewRejectType?, rejectLabels?, ..}",
    "POST /applicants/{id}/event          {type, set?: {field: any}, remove?: [field], tricks?}",
    "     ({id} is an applicant's id or -;externalUserId=... of the recipient)",
    "GET  /levels",
    "POST /levels                         {name, applicantType}",
    "POST /workflows                      {applicantType, levels: [name], levelChanged?: bool}",
    "POST /partner/applicants             {firstName, lastName, externalUserId?}",
    "POST /partner/share-token            {applicantId, ttlInSecs?, forClientId?}",
    "POST /partners                       {tenant, partners: [clientId]}",
    "POST /sdk/open                       {token}",
    "POST /sdk/expire                     {userId?}",
    "POST /webhook                        {url}",
    "POST /traps                          {tricks: [..], count?, type?}",
    "DELETE /traps",
    "POST /events                         {body: any | raw: text, type?, tenant?, tricks?}",
    "POST /faults   {path, count?, status, retryAfter?, body?} or hangMs, close, truncate,",
    "                reset (in mid-body), other (somebody else's answer) or oversize",
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
        ("POST", ["applicants"]) => create(world, &body),
        ("POST", ["applicants", id, action]) => act(world, (id, action), &body),
        ("GET", ["levels"]) => Ok(administration::levels(world)),
        ("POST", ["levels"]) => administration::create_level(world, &body),
        ("POST", ["workflows"]) => knob::workflow(world, &body),
        ("POST", ["partner", "applicants"]) => donor(world, &body),
        ("POST", ["partner", "share-token"]) => share_token(world, &body),
        ("POST", ["partners"]) => partners(world, &body),
        ("POST", ["sdk", "open"]) => open_sdk(world, &body),
        ("POST", ["sdk", "expire"]) => Ok(frame::expire_tokens(world, &body)),
        ("POST", ["webhook"]) => webhook(world, &body),
        ("POST", ["traps"]) => knob::trap(world, &body),
        ("DELETE", ["traps"]) => {
            world.traps.clear();
            Ok(Reply::done())
        }
        ("POST", ["events"]) => knob::raw_event(world, &body),
        ("POST", ["faults"]) => knob::fault(world, &body),
        ("DELETE", ["faults"]) => {
            world.faults.clear();
            Ok(Reply::done())
        }
        ("POST", ["clock"]) => knob::clock(world, &body),
        ("GET", ["deliveries"]) => Ok(Reply::ok(knob::deliveries(world))),
        ("POST", ["deliveries", id, "replay"]) => knob::replay(world, id),
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
    let workflows: Vec<Value> = world
        .workflows
        .iter()
        .map(|it| {
            json!({
                "applicantType": it.applicant_type.as_str(),
                "levels": it.levels,
                "levelChanged": it.level_changes == LevelChanges::Announced,
            })
        })
        .collect();
    json!({
        "now": moment::zoned(world.now_ms),
        "clockOffsetMs": world.clock_offset_ms,
        "applicants": applicants,
        "sdkTokens": passes(&world.sdk_tokens),
        "links": passes(&world.links),
        "shareTokens": shares,
        "levels": world.levels.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(),
        "workflows": workflows,
        "faultsLeft": world.faults.iter().map(|it| it.calls_left).sum::<u32>(),
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

/// Reads a tenant's name; the recipient when absent.
pub(super) fn tenant(word: Option<&str>) -> Result<TenantId, Failure> {
    match word {
        None | Some("recipient") => Ok(TenantId::Recipient),
        Some("partner") => Ok(TenantId::Partner),
        Some(_) => Err(Failure::invalid("tenant is neither recipient nor partner")),
    }
}

/// An applicant as a dashboard creates it.
fn create(world: &mut World, body: &Value) -> Answer {
    let tenant = tenant(call::text(body, "tenant"))?;
    let draft = profile::draft(tenant, call::required_text(body, "levelName")?, body)?;
    let id = world.create(draft)?;
    let applicant = world.applicant(tenant, &id)?;
    Ok(Reply { status: 201, ..Reply::ok(summary(world, applicant)) })
}

fn act(world: &mut World, (id, action): (&str, &str), body: &Value) -> Answer {
    let id = match id.strip_prefix("-;externalUserId=") {
        Some(user_id) => world.find_external(TenantId::Recipient, user_id).map(|it| it.id.clone()),
        None => world.applicants.get(id).map(|it| it.id.clone()),
    }
    .ok_or_else(|| Failure::applicant_not_found(id))?;
    let id = id.as_str();
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
        "move-to-level" => world.move_to_level(id, call::required_text(body, "name")?)?,
        "workflow-completed" => {
            world.end_workflow(id, &Event::WorkflowCompleted, given_verdict(body)?);
        }
        "workflow-failed" => world.end_workflow(id, &Event::WorkflowFailed, given_verdict(body)?),
        "event" => knob::play_event(world, id, body)?,
        "delete" => world.delete(id),
        _ => page::play(world, id, action)?,
    }
    let applicant = world.applicants.get(id).ok_or_else(|| Failure::applicant_not_found(id))?;
    Ok(Reply::ok(summary(world, applicant)))
}

fn given_verdict(body: &Value) -> Result<Option<ReviewResult>, Failure> {
    body.get("reviewAnswer").map(|_| decision::review_result(body)).transpose()
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

/// The WebSDK opens, without a browser.
fn open_sdk(world: &mut World, body: &Value) -> Answer {
    let token = call::required_text(body, "token")?;
    let pass = world
        .sdk_tokens
        .get(token)
        .filter(|it| world.now_ms < it.expires_at_ms)
        .cloned()
        .ok_or_else(|| Failure::plain(401, "Token is invalid or expired"))?;
    let applicant = frame::open(world, &pass, token)?;
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
