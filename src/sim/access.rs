//! What a client mints: SDK tokens, hosted links, share tokens; each in its new form (JSON body)
//! and the old one (query), which integrators still use.

use super::ApplicantCreation;
use super::applicant::Presence;
use super::call::{self, Answer, Call, Reply};
use super::failure::Failure;
use super::tenant::TenantId;
use super::token::{self, Pass, Redirect, ShareState, ShareToken};
use super::world::World;
use serde_json::{Value, json};

/// The default life of an SDK token; sources disagree between 600 and 1800 s.
const SDK_TTL_S: i64 = 600;
/// The default life of a link ("Generate external WebSDK link").
const LINK_TTL_S: i64 = 1800;
/// The default life of a share token ("Copy applicant", stated).
const SHARE_TTL_S: i64 = 1200;

/// How many SDK tokens are minted between two sweeps of the expired ones: a load test mints many.
const SWEEP_EVERY: usize = 1024;

/// `POST /resources/accessTokens/sdk`.
pub(super) fn sdk_token(world: &mut World, call: &Call<'_>) -> Answer {
    let body = call.object()?;
    let ttl_s = life(body.get("ttlInSecs"), SDK_TTL_S)?;
    let names = (call::required_text(&body, "userId")?, call::required_text(&body, "levelName")?);
    let pass = new_pass(world, call, names, (ttl_s, &body))?;
    mint_sdk(world, pass)
}

/// `POST /resources/accessTokens?userId=&levelName=&ttlInSecs=`.
pub(super) fn sdk_token_by_query(world: &mut World, call: &Call<'_>) -> Answer {
    let ttl_s = life(call.query("ttlInSecs").map(Value::from).as_ref(), SDK_TTL_S)?;
    let names = (call.required_query("userId")?, call.required_query("levelName")?);
    let pass = new_pass(world, call, names, (ttl_s, &Value::Null))?;
    mint_sdk(world, pass)
}

/// Minting for a known user resumes the same applicant and resets nothing (stated). A token of
/// another level changes the applicant's level too, but not before the SDK opens with it.
fn mint_sdk(world: &mut World, mut pass: Pass) -> Answer {
    if let Some(life_s) = world.settings.sdk_token_life_s {
        let latest_ms = world.now_ms.saturating_add(i64::from(life_s).saturating_mul(1000));
        pass.expires_at_ms = pass.expires_at_ms.min(latest_ms);
    }
    world.applicant_of(&pass, ApplicantCreation::OnMint)?;
    let environment = world.tenant(pass.tenant).environment();
    let base_url = world.settings.base_url.clone();
    let token = token::mint_sdk(&mut world.random, environment, &base_url);
    let reply = Reply::ok(json!({ "token": token, "userId": pass.user_id }));
    if world.sdk_tokens.len() % SWEEP_EVERY == SWEEP_EVERY - 1 {
        let now_ms = world.now_ms;
        world.sdk_tokens.retain(|_, it| now_ms < it.expires_at_ms);
    }
    world.sdk_tokens.insert(token, pass);
    Ok(reply)
}

/// `POST /resources/sdkIntegrations/levels/-/websdkLink`: JSON, `userId`.
pub(super) fn link(world: &mut World, call: &Call<'_>) -> Answer {
    let body = call.object()?;
    let ttl_s = life(body.get("ttlInSecs"), LINK_TTL_S)?;
    let user_id = match call::text(&body, "userId") {
        Some(id) => id.to_owned(),
        // A link without a user makes one up on opening, as permalinks do.
        None => format!("level-{}", world.random.uuid()),
    };
    let names = (user_id.as_str(), call::required_text(&body, "levelName")?);
    let pass = new_pass(world, call, names, (ttl_s, &body))?;
    let id = mint_link(world, pass);
    Ok(Reply::ok(json!({ "url": format!("{}/websdk/p/{id}", world.settings.base_url) })))
}

/// `POST /resources/sdkIntegrations/levels/{level}/websdkLink`: query, `externalUserId`, and an
/// optional JSON body with `ttlInSecs` and `redirect`. Answers the older form of link.
pub(super) fn link_by_level(world: &mut World, call: &Call<'_>, level: &str) -> Answer {
    let body = call.object()?;
    let by_query = call.query("ttlInSecs").map(Value::from);
    let ttl_s = life(by_query.as_ref().or_else(|| body.get("ttlInSecs")), LINK_TTL_S)?;
    let user_id = match call.query("externalUserId").filter(|it| !it.is_empty()) {
        Some(id) => id.to_owned(),
        None => format!("level-{}", world.random.uuid()),
    };
    let pass = new_pass(world, call, (&user_id, level), (ttl_s, &body))?;
    let id = mint_link(world, pass);
    Ok(Reply::ok(json!({ "url": format!("{}/idensic/l/#/{id}", world.settings.base_url) })))
}

fn mint_link(world: &mut World, pass: Pass) -> String {
    let environment = world.tenant(pass.tenant).environment();
    let id = token::mint_link_id(&mut world.random, environment);
    world.links.insert(id.clone(), pass);
    id
}

fn new_pass(
    world: &World,
    call: &Call<'_>,
    (user_id, level): (&str, &str),
    (ttl_s, body): (i64, &Value),
) -> Result<Pass, Failure> {
    world.level(level)?;
    let identifier = |name: &str| {
        body.get("applicantIdentifiers").and_then(|it| call::text(it, name)).map(str::to_owned)
    };
    let redirect = body.get("redirect").filter(|it| it.is_object()).map(|it| {
        let address = |name: &str| call::text(it, name).map(str::to_owned);
        Redirect {
            success_url: address("successUrl"),
            reject_url: address("rejectUrl"),
            sign_key: address("signKey"),
        }
    });
    Ok(Pass {
        tenant: call.tenant,
        user_id: user_id.to_owned(),
        level: level.to_owned(),
        email: identifier("email"),
        phone: identifier("phone"),
        expires_at_ms: world.now_ms.saturating_add(ttl_s.saturating_mul(1000)),
        redirect,
        is_opened: false,
    })
}

/// `POST /resources/accessTokens/shareToken`.
pub(super) fn share_token(world: &mut World, call: &Call<'_>) -> Answer {
    let body = call.object()?;
    let names =
        (call::required_text(&body, "applicantId")?, call::required_text(&body, "forClientId")?);
    mint_share(world, call.tenant, names, body.get("ttlInSecs"))
}

/// `POST /resources/accessTokens/-/shareToken?applicantId=&forClientId=`.
pub(super) fn share_token_by_query(world: &mut World, call: &Call<'_>) -> Answer {
    let names = (call.required_query("applicantId")?, call.required_query("forClientId")?);
    mint_share(world, call.tenant, names, call.query("ttlInSecs").map(Value::from).as_ref())
}

/// Mints a share token of `donor`'s applicant for one partner.
pub(super) fn mint_share(
    world: &mut World,
    donor: TenantId,
    (applicant_id, for_client_id): (&str, &str),
    ttl: Option<&Value>,
) -> Answer {
    let ttl_s = life(ttl, SHARE_TTL_S)?;
    let applicant = world.applicant(donor, applicant_id)?;
    if applicant.presence == Presence::Deactivated {
        return Err(Failure::reuse(
            10508,
            "reusable-kyc-not-active-applicant",
            "Applicant is not active",
        ));
    }
    if world.tenant_of_client(for_client_id).is_none() {
        return Err(Failure::reuse(
            10502,
            "invalid-partner-id",
            format!("Unknown client {for_client_id}"),
        ));
    }
    let tenant = world.tenant(donor);
    if !tenant.partners.iter().any(|it| it == for_client_id) {
        return Err(Failure::reuse(
            10501,
            "not-in-partners-list",
            format!("Client {for_client_id} is not in the list of partners"),
        ));
    }
    let (environment, base_url) = (tenant.environment(), world.settings.base_url.clone());
    let (token, jti) = token::mint_share(&mut world.random, environment, &base_url);
    world.share_tokens.insert(
        token.clone(),
        ShareToken {
            donor,
            applicant_id: applicant_id.to_owned(),
            for_client_id: for_client_id.to_owned(),
            created_at_ms: world.now_ms,
            ttl_s,
            jti,
            state: ShareState::Fresh,
        },
    );
    Ok(Reply::ok(json!({ "token": token, "forClientId": for_client_id })))
}

/// `POST /resources/accessTokens/sumsubIdShareToken`. There are no Sumsub-ID accounts here, so
/// the token is of the right form and shares nothing.
pub(super) fn sumsub_id_token(world: &mut World, call: &Call<'_>) -> Answer {
    let body = call.object()?;
    call::required_text(&body, "sumsubIdConnectToken")?;
    let client = call::required_text(&body, "forClientId")?.to_owned();
    let token = format!("_act-snsId-{}", world.random.uuid());
    Ok(Reply::ok(json!({ "token": token, "forClientId": client, "sharingAllowed": false })))
}

/// Reads a life in seconds; a number and a string are both in use.
fn life(value: Option<&Value>, default_s: i64) -> Result<i64, Failure> {
    match value {
        None | Some(Value::Null) => Ok(default_s),
        given => call::number(given)
            .filter(|it| *it > 0)
            .ok_or_else(|| Failure::invalid("ttlInSecs must be a positive number")),
    }
}
