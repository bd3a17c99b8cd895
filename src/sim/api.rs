//! The API port's routes: one match on method and path. The list is sumsub.md's: what Sumsub's
//! own pages state, in both forms where two are in use.

use super::auth::authenticate;
use super::call::{Answer, Call, Reply};
use super::failure::Failure;
use super::world::World;
use super::{access, administration, change, decision, profile, reuse};
use crate::http::{Request, Response};
use serde_json::json;

/// Answers a call under `/resources/`.
pub(super) fn answer(world: &mut World, request: &Request) -> Response {
    let correlation_id = world.correlation_id.clone();
    match admitted(world, request) {
        Ok(reply) => reply.response(),
        Err(failure) => failure.response(&correlation_id),
    }
}

fn admitted(world: &mut World, request: &Request) -> Answer {
    // The health page promises an answer and asks for no signature; clients sign it anyway.
    if request.path() == "/resources/status/api" && request.header("X-App-Token").is_none() {
        return Ok(Reply::ok(json!({})));
    }
    let tenant = authenticate(world, request)?;
    let (token, now_ms) = (request.header("X-App-Token").unwrap_or_default(), world.now_ms);
    let is_limited = world.settings.request_limit == super::RequestLimit::Sumsub;
    if is_limited && !world.limits.admits(token, &request.method, now_ms) {
        return Err(Failure::plain(429, "Too many requests"));
    }
    route(world, &Call::new(tenant, request))
}

fn route(world: &mut World, call: &Call<'_>) -> Answer {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let Some(("resources", rest)) = segments.split_first().map(|(first, rest)| (*first, rest))
    else {
        return Err(not_routed(call));
    };
    match (call.method, rest) {
        ("GET", ["status", "api"]) => Ok(Reply::ok(json!({}))),
        (method, ["applicants", path @ ..]) => applicants(world, call, method, path),
        ("GET", ["moderationStates", selector]) => profile::reasons(world, call, selector),
        ("GET", ["checks", "latest"]) => profile::latest_check(world, call),
        ("POST", ["accessTokens", "sdk"]) => access::sdk_token(world, call),
        ("POST", ["accessTokens"]) => access::sdk_token_by_query(world, call),
        ("POST", ["accessTokens", "shareToken"]) => access::share_token(world, call),
        ("POST", ["accessTokens", "-", "shareToken"]) => access::share_token_by_query(world, call),
        ("POST", ["accessTokens", "sumsubIdShareToken"]) => access::sumsub_id_token(world, call),
        ("POST", ["sdkIntegrations", "levels", "-", "websdkLink"]) => access::link(world, call),
        ("POST", ["sdkIntegrations", "levels", level, "websdkLink"]) => {
            access::link_by_level(world, call, level)
        }
        ("POST", ["api", "reusableIdentity", "reuse"]) => reuse::reuse(world, call),
        // The page's header says GET and its example POST.
        ("GET" | "POST", ["api", "reusableIdentity", "reuse", "preview"]) => {
            reuse::preview(world, call)
        }
        ("GET", ["api", "clientWebhooks"]) => Ok(administration::webhooks(world, call)),
        ("GET", ["api", "clientWebhooks", id]) => administration::webhook(world, call, id),
        ("POST", ["api", "agent", "clientWebhooks"]) => administration::create_webhook(world, call),
        ("PATCH", ["api", "agent", "clientWebhooks"]) => {
            administration::change_webhook(world, call)
        }
        ("POST", ["inspectionCallbacks", "testDigest"]) => administration::test_digest(call),
        ("GET", ["auditTrailEvents"]) => Ok(administration::audit_trail()),
        _ => Err(not_routed(call)),
    }
}

fn applicants(world: &mut World, call: &Call<'_>, method: &str, path: &[&str]) -> Answer {
    match (method, path) {
        ("POST", []) => profile::create(world, call),
        ("PATCH", []) => change::top_level(world, call),
        ("POST", ["-", "import"]) => reuse::import(world, call),
        ("GET", ["-", "levels"]) => Ok(administration::levels(world)),
        ("POST", ["-", "levels"]) => administration::create_level(world, &call.object()?),
        ("GET", ["-", "byExternalUserId", user_id]) => {
            Ok(profile::by_external_user_id(world, call, user_id))
        }
        ("GET", [selector, "one"]) => profile::one(world, call, selector),
        ("GET", [id, "status"]) => profile::status(world, call, id),
        ("GET", [id, "requiredIdDocsStatus"]) => profile::steps(world, call, id),
        ("POST", [id, "reset"]) => decision::reset(world, call, id),
        ("POST", [id, "resetStep", set]) => decision::reset_step(world, call, (id, set)),
        ("POST", [id, "moveToLevel"]) => decision::move_to_level(world, call, id),
        ("POST", [id, "status", "pending"]) => decision::pending(world, call, id),
        ("POST", [id, "status", "testCompleted"]) => decision::test_completed(world, call, id),
        ("POST", [id, "-", "approve"]) => decision::approve(world, call, id),
        ("POST", [id, "-", "reject"]) => decision::reject(world, call, id),
        ("POST", [id, "-", "init"]) => decision::init(world, call, id),
        ("POST", [id, "blacklist"]) => decision::blocklist(world, call, id),
        ("POST", [id, "recheck", "aml"]) => decision::recheck_aml(world, call, id),
        ("PATCH", [id, "presence", presence]) => change::presence(world, call, (id, presence)),
        ("PATCH", [id, "fixedInfo"]) => change::fixed_info(world, call, id),
        ("PATCH", [id, "info"]) => change::extracted_info(world, call, id),
        ("POST", [id, "info", "idDoc"]) => change::add_document(world, call, id),
        ("POST", [id, "tags", "add"]) => change::add_tags(world, call, id),
        ("POST", [id, "tags"]) => change::set_tags(world, call, id),
        ("DELETE", [id, "tags"]) => change::remove_tags(world, call, id),
        ("POST", [id, "info" | "fixedInfo", "companyInfo", "beneficiaries"]) => {
            change::add_beneficiary(world, call, id)
        }
        ("DELETE", [id, "info" | "fixedInfo", "companyInfo", "beneficiaries", person]) => {
            change::remove_beneficiary(world, call, (id, person))
        }
        _ => Err(not_routed(call)),
    }
}

fn not_routed(call: &Call<'_>) -> Failure {
    Failure::plain(404, format!("No {} at this path in the simulator", call.method))
}
