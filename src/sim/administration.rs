//! Webhook administration, levels, and the digest test.

use super::call::{self, Answer, Call, Reply};
use super::failure::Failure;
use super::moment;
use super::settings::{ApplicantType, Level, check_url};
use super::tenant::Webhook;
use super::world::World;
use crate::sumsub::signature::{DigestAlgorithm, webhook_digest};
use serde_json::{Value, json};

/// At most this many active webhooks (stated).
const WEBHOOKS_MAX: usize = 50;

/// `GET /resources/api/clientWebhooks`.
pub(super) fn webhooks(world: &World, call: &Call<'_>) -> Reply {
    let tenant = world.tenant(call.tenant);
    let items: Vec<Value> =
        tenant.webhooks.iter().map(|it| it.to_json(&tenant.credentials.client_id)).collect();
    Reply::ok(json!({ "list": { "items": items } }))
}

/// `GET /resources/api/clientWebhooks/{id}`.
pub(super) fn webhook(world: &World, call: &Call<'_>, id: &str) -> Answer {
    let tenant = world.tenant(call.tenant);
    tenant
        .webhooks
        .iter()
        .find(|it| it.id == id)
        .map(|it| Reply::ok(it.to_json(&tenant.credentials.client_id)))
        .ok_or_else(|| Failure::plain(404, format!("Webhook {id} not found")))
}

/// `POST /resources/api/agent/clientWebhooks`: without `id`. Plain HTTP and loopback targets are
/// taken, which the real service does not deliver to; real Sumsub hosts are refused.
pub(super) fn create_webhook(world: &mut World, call: &Call<'_>) -> Answer {
    let body = call.object()?;
    if call::text(&body, "id").is_some() {
        return Err(Failure::invalid("id must be absent on creation"));
    }
    if world.tenant(call.tenant).webhooks.len() >= WEBHOOKS_MAX {
        return Err(Failure::plain(400, "Too many webhooks"));
    }
    call::required_text(&body, "target")?;
    let mut webhook = Webhook {
        id: world.object_id(),
        name: String::new(),
        description: String::new(),
        target: String::new(),
        types: Vec::new(),
        applicant_type: None,
        secret: world.random.alphanumeric(32),
        algorithm: DigestAlgorithm::Sha256,
        headers: Vec::new(),
        resends: true,
        created_at: moment::plain(world.now_ms),
    };
    fill(&mut webhook, &body)?;
    let tenant = world.tenant_mut(call.tenant);
    let reply = Reply::ok(webhook.to_json(&tenant.credentials.client_id));
    tenant.webhooks.push(webhook);
    Ok(reply)
}

/// `PATCH /resources/api/agent/clientWebhooks`: `id` in the body.
pub(super) fn change_webhook(world: &mut World, call: &Call<'_>) -> Answer {
    let body = call.object()?;
    let id = call::required_text(&body, "id")?;
    let tenant = world.tenant_mut(call.tenant);
    let webhook = tenant
        .webhooks
        .iter_mut()
        .find(|it| it.id == id)
        .ok_or_else(|| Failure::plain(404, format!("Webhook {id} not found")))?;
    let mut changed = webhook.clone();
    fill(&mut changed, &body)?;
    *webhook = changed;
    Ok(Reply::ok(webhook.to_json(&tenant.credentials.client_id)))
}

fn fill(webhook: &mut Webhook, body: &Value) -> Result<(), Failure> {
    if let Some(target) = call::text(body, "target") {
        check_url(target).map_err(|error| Failure::invalid(&error.to_string()))?;
        target.clone_into(&mut webhook.target);
    }
    for (name, field) in [
        ("name", &mut webhook.name),
        ("description", &mut webhook.description),
        ("secretKey", &mut webhook.secret),
    ] {
        if let Some(text) = call::text(body, name) {
            text.clone_into(field);
        }
    }
    if let Some(kind) = call::text(body, "applicantType") {
        webhook.applicant_type = Some(kind.to_owned());
    }
    if let Some(word) = call::text(body, "signatureAlgorithm") {
        webhook.algorithm = algorithm(word)?;
    }
    if let Some(types) = body.get("types").and_then(Value::as_array) {
        webhook.types = types.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    if let Some(headers) = body.get("headers").and_then(Value::as_array) {
        webhook.headers = headers
            .iter()
            .filter_map(|it| Some((call::text(it, "key")?, call::text(it, "value")?)))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
    }
    if let Some(stops) = body.get("notResendFailedWebhooks").and_then(Value::as_bool) {
        webhook.resends = !stops;
    }
    Ok(())
}

/// `POST /resources/inspectionCallbacks/testDigest?secretKey=&digestAlg=`.
pub(super) fn test_digest(call: &Call<'_>) -> Answer {
    let secret = call.required_query("secretKey")?;
    let algorithm = match call.query("digestAlg") {
        Some(word) => algorithm(word)?,
        None => DigestAlgorithm::Sha1,
    };
    let digest = webhook_digest(secret.as_bytes(), algorithm, call.body);
    Ok(Reply::ok(json!({ "digest": digest, "digestAlg": algorithm.as_str() })))
}

fn algorithm(word: &str) -> Result<DigestAlgorithm, Failure> {
    DigestAlgorithm::parse(word).ok_or_else(|| Failure::invalid("unknown digest algorithm"))
}

/// `GET /resources/auditTrailEvents`: nothing is recorded. The shape of the answer is unknown.
pub(super) fn audit_trail() -> Reply {
    Reply::ok(json!({ "list": { "items": [] }, "totalItems": 0 }))
}

/// `GET /resources/applicants/-/levels`. The shape of the answer is inferred.
pub(super) fn levels(world: &World) -> Reply {
    let items: Vec<Value> = world.levels.iter().map(level_json).collect();
    Reply::ok(json!({ "list": { "items": items }, "totalItems": world.levels.len() }))
}

/// `POST /resources/applicants/-/levels`.
pub(super) fn create_level(world: &mut World, body: &Value) -> Answer {
    let name = call::required_text(body, "name")?.to_owned();
    let applicant_type = call::text(body, "applicantType")
        .map_or(Some(ApplicantType::Individual), ApplicantType::parse);
    let applicant_type =
        applicant_type.ok_or_else(|| Failure::invalid("applicantType is unknown"))?;
    if world.level(&name).is_ok() {
        return Err(Failure::plain(409, format!("Level '{name}' already exists")));
    }
    let level = Level { name, applicant_type };
    let reply = Reply::ok(level_json(&level));
    world.levels.push(level);
    Ok(reply)
}

fn level_json(level: &Level) -> Value {
    json!({ "name": level.name, "applicantType": level.applicant_type.as_str() })
}
