use super::rig::{Rig, answered, settings};
use crate::http::Request;
use crate::sim::{RequestLimit, Settings, TenantId};
use serde_json::Value;

const HEALTH: (&str, &str) = ("GET", "/resources/status/api");

fn refused(rig: &Rig, change: impl FnOnce(&mut Request)) -> Value {
    let mut request = rig.signed(TenantId::Recipient, HEALTH, "");
    change(&mut request);
    let (status, body) = answered(&rig.simulator.answer(&request));
    assert_eq!(status, 401, "{body}");
    assert_eq!(body["code"], 401);
    assert_eq!(body["correlationId"].as_str().unwrap().len(), 32);
    body
}

fn set(request: &mut Request, name: &str, value: &str) {
    let header = request.headers.iter_mut().find(|(key, _)| key == name).unwrap();
    value.clone_into(&mut header.1);
}

#[test]
fn every_kind_of_bad_credentials_draws_its_own_code() {
    let rig = Rig::new();
    let token = rig.credentials().app_token;
    let (public, _) = token.rsplit_once('.').unwrap();

    for (code, name, change) in [
        (4000, "app-token-invalid-format", ("X-App-Token", "placeholder".to_owned())),
        (4001, "app-token-not-found", ("X-App-Token", "sbx:unknown.private".to_owned())),
        (4002, "app-token-private-part-mismatch", ("X-App-Token", format!("{public}.other"))),
        (4003, "app-token-signature-mismatch", ("X-App-Access-Sig", "0".repeat(64))),
        (4004, "app-token-request-expired", ("X-App-Access-Ts", "1700000000".to_owned())),
        (4005, "app-token-invalid-value", ("X-App-Access-Ts", "soon".to_owned())),
    ] {
        let body = refused(&rig, |it| set(it, change.0, &change.1));

        assert_eq!((&body["errorCode"], &body["errorName"]), (&code.into(), &name.into()));
    }
    for missing in ["X-App-Token", "X-App-Access-Ts", "X-App-Access-Sig"] {
        // Health answers strangers, so a read stands in.
        let target = ("GET", "/resources/applicants/x/one");
        let mut request = rig.signed(TenantId::Recipient, target, "");
        request.headers.retain(|(name, _)| name != missing);
        assert_eq!(answered(&rig.simulator.answer(&request)).1["errorCode"], 4006);
    }
    let twice = refused(&rig, |it| {
        let again = it.headers[0].clone();
        it.headers.push(again);
    });
    assert_eq!(twice["errorCode"], 4007);
}

#[test]
fn the_signature_covers_the_raw_target_and_the_raw_body_of_every_method() {
    let rig = Rig::new();
    let target = "/resources/applicants/-;externalUserId=org%5F1/one";

    for method in ["GET", "POST", "PATCH", "DELETE"] {
        let good = rig.signed(TenantId::Recipient, (method, target), "{}");
        let mut decoded = good.clone();
        decoded.target = target.replace("%5F", "_");
        let mut bodiless = good.clone();
        bodiless.body.clear();
        let mut other_method = good.clone();
        other_method.method = "PUT".to_owned();

        assert_eq!(rig.simulator.answer(&good).status, 404, "{method}");
        for bad in [decoded, bodiless, other_method] {
            let (_, body) = answered(&rig.simulator.answer(&bad));
            assert_eq!(body["description"], "Request signature mismatch", "{method}");
        }
    }
}

#[test]
fn an_upper_case_signature_is_refused() {
    let rig = Rig::new();

    let body = refused(&rig, |it| {
        let upper = it.headers[2].1.to_ascii_uppercase();
        set(it, "X-App-Access-Sig", &upper);
    });

    assert_eq!(body["errorCode"], 4003);
}

#[test]
fn a_timestamp_is_good_for_a_minute_and_never_in_milliseconds() {
    let rig = Rig::new();
    let request = rig.signed(TenantId::Recipient, HEALTH, "");

    rig.pass(60_000);
    assert_eq!(rig.simulator.answer(&request).status, 200);
    rig.pass(1_000);
    assert_eq!(answered(&rig.simulator.answer(&request)).1["errorCode"], 4004);
    let ms = refused(&rig, |it| set(it, "X-App-Access-Ts", "1767323045678"));
    assert_eq!(ms["errorCode"], 4004);
}

#[test]
fn calls_beyond_the_limits_are_429_until_the_window_has_passed() {
    let limited = Settings { request_limit: RequestLimit::Sumsub, ..settings() };
    let rig = Rig::with(limited);
    let post = || rig.call("POST", "/resources/applicants/x/reset", "").0;
    let get = || rig.call("GET", "/resources/status/api", "").0;

    assert!((0..50).all(|_| post() == 404));
    assert_eq!(post(), 429);
    assert!((0..300).all(|_| get() == 200));
    assert_eq!(get(), 429);
    assert_eq!(rig.partner("GET", "/resources/status/api", "").0, 200, "per app token");
    rig.pass(5_000);
    assert_eq!((post(), get()), (404, 200));
}
