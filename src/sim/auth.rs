//! Who signed a request ("Authentication"). Strict: all three headers, the raw target, the raw
//! body, for every method, within a minute. Codes 4000-4003 are stated; the names of 4004-4007,
//! and which malformed header draws which of 4005 and 4007, are inferred.

use super::failure::Failure;
use super::tenant::TenantId;
use super::world::World;
use crate::http::Request;
use crate::sumsub::signature::request_is_signed;

/// "Within 1 minute" (stated).
const CLOCK_SKEW_MAX_S: i64 = 60;

/// Tells whose request this is, or why it is nobody's.
pub(super) fn authenticate(world: &World, request: &Request) -> Result<TenantId, Failure> {
    let token = only_header(request, "X-App-Token")?;
    let ts = only_header(request, "X-App-Access-Ts")?;
    let signature = only_header(request, "X-App-Access-Sig")?;
    let tenant = tenant_of_token(world, token)?;
    let seconds: i64 = Some(ts)
        .filter(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|it| it.parse().ok())
        .ok_or_else(|| {
            denied(4005, "app-token-invalid-value", "Timestamp must be in Unix seconds")
        })?;
    if world.now_ms.div_euclid(1000).abs_diff(seconds) > CLOCK_SKEW_MAX_S.unsigned_abs() {
        return Err(denied(4004, "app-token-request-expired", "Request has expired"));
    }
    let secret = world.tenant(tenant).credentials.secret_key.as_bytes();
    let (target, body) = (request.target.as_bytes(), request.body.as_slice());
    if !request_is_signed(secret, signature, (ts, &request.method), target, body) {
        return Err(denied(4003, "app-token-signature-mismatch", "Request signature mismatch"));
    }
    Ok(tenant)
}

fn only_header<'r>(request: &'r Request, name: &str) -> Result<&'r str, Failure> {
    let mut values = request.header_values(name);
    match (values.next(), values.next()) {
        (None, _) => Err(denied(
            4006,
            "app-token-not-all-auth-params-provided",
            format!("Header {name} is missing"),
        )),
        (Some(value), None) => Ok(value),
        (Some(_), Some(_)) => Err(denied(
            4007,
            "app-token-invalid-params",
            format!("Header {name} is given more than once"),
        )),
    }
}

fn tenant_of_token(world: &World, token: &str) -> Result<TenantId, Failure> {
    let (public, private) = token
        .rsplit_once('.')
        .filter(|(public, private)| {
            let bare = public.split_once(':').map_or(*public, |(_, bare)| bare);
            !bare.is_empty() && !private.is_empty()
        })
        .ok_or_else(|| denied(4000, "app-token-invalid-format", "Invalid app token format"))?;
    let tenant = [TenantId::Recipient, TenantId::Partner]
        .into_iter()
        .find(|id| world.tenant(*id).token_parts().0 == public)
        .ok_or_else(|| denied(4001, "app-token-not-found", "App token not found"))?;
    if world.tenant(tenant).token_parts().1 != private {
        return Err(denied(
            4002,
            "app-token-private-part-mismatch",
            "App token private part mismatch",
        ));
    }
    Ok(tenant)
}

fn denied(code: u32, name: &'static str, description: impl Into<String>) -> Failure {
    Failure::coded(401, code, name, description)
}
