//! The `WebSDK`'s frame: where it is served, and what it may ask with a token.

use super::rig::{Rig, settings};
use crate::http::{Request, Response};
use crate::sim::Settings;
use serde_json::{Value, json};

fn answer(rig: &Rig, method: &str, target: &str, body: &Value) -> Response {
    rig.simulator.answer(&Request {
        method: method.to_owned(),
        target: target.to_owned(),
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        ..Request::default()
    })
}

fn token(rig: &Rig, user: &str, level: &str) -> String {
    let body = json!({"userId": user, "levelName": level, "ttlInSecs": 600}).to_string();
    let (_, minted) = rig.call("POST", "/resources/accessTokens/sdk", &body);
    minted["token"].as_str().unwrap().to_owned()
}

fn ask(rig: &Rig, token: &str, action: &str, mut body: Value) -> Value {
    body["accessToken"] = json!(token);
    let response = answer(rig, "POST", &format!("/websdk/frame/{action}"), &body);
    assert_eq!(response.status, 200, "{action}: {}", String::from_utf8_lossy(&response.body));
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn the_frame_stands_under_every_path_that_a_package_uses() {
    let rig = Rig::new();
    for path in [
        "/websdk/websdk.html?_=id_abc%20+",
        "/idensic/websdk.html",
        "/websdk.html",
        "/websdk/frame.js",
        "/websdk/frame.css",
        "/idensic/static/sns-websdk-builder.js",
    ] {
        let response = answer(&rig, "GET", path, &Value::Null);
        assert_eq!(response.status, 200, "{path}");
        let policy = response.headers.iter().find(|(name, _)| *name == "Content-Security-Policy");
        assert!(!policy.unwrap().1.contains("unsafe"), "{path}");
        assert!(
            !response
                .headers
                .iter()
                .any(|(name, it)| *name == "X-Frame-Options" || it.contains("frame-ancestors")),
            "anybody may frame it"
        );
    }
}

#[test]
fn a_person_hands_in_what_is_wanted_step_by_step() {
    let rig = Rig::new();
    let token = token(&rig, "org_1", "kyc-level");

    assert_eq!(ask(&rig, &token, "open", json!({}))["wanted"], json!(["IDENTITY", "SELFIE"]));
    let passport = json!({"set": "IDENTITY", "kind": "PASSPORT", "country": "DEU"});
    assert_eq!(ask(&rig, &token, "document", passport)["wanted"], json!(["SELFIE"]));
    let selfie = json!({"set": "SELFIE", "kind": "SELFIE"});
    assert_eq!(ask(&rig, &token, "document", selfie)["wanted"], json!([]));
    let submitted = ask(&rig, &token, "submit", json!({}));
    assert_eq!(
        (&submitted["reviewStatus"], &submitted["mayHandIn"]),
        (&json!("queued"), &json!(false))
    );
    let retried = ask(&rig, &token, "play", json!({"action": "retry"}));
    assert_eq!((&retried["wanted"], &retried["isRepeat"]), (&json!(["IDENTITY"]), &json!(true)));
    ask(&rig, &token, "submit", json!({}));
    let approved = ask(&rig, &token, "play", json!({"action": "approve"}));
    assert_eq!(approved["reviewResult"]["reviewAnswer"], "GREEN");
}

#[test]
fn a_company_brings_its_number_and_one_owner() {
    let rig = Rig::new();
    let token = token(&rig, "org_2", "kyb-level");

    assert_eq!(ask(&rig, &token, "open", json!({}))["wanted"], json!(["COMPANY", "UBOS"]));
    let company = json!({"companyName": "Acme", "registrationNumber": "HRB 1", "country": "DEU"});
    assert_eq!(ask(&rig, &token, "company", company)["wanted"], json!(["UBOS"]));
    let owner = json!({"firstName": "Bea", "lastName": "Owner"});
    assert_eq!(ask(&rig, &token, "owner", owner.clone())["wanted"], json!([]));
    ask(&rig, &token, "owner", owner);
    assert_eq!(ask(&rig, &token, "submit", json!({}))["reviewStatus"], "onHold");

    let people: Vec<Value> = rig.control("GET", "/applicants", &Value::Null).1["applicants"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| !it["memberOf"].is_null())
        .cloned()
        .collect();
    assert_eq!(people.len(), 1, "asked twice, made once");
    assert_eq!(people[0]["review"]["reviewStatus"], "pending");
    let (_, shown) = rig.call("GET", "/resources/applicants/-;externalUserId=org_2/one", "");
    assert_eq!(shown["fixedInfo"]["companyInfo"]["registrationNumber"], "HRB 1");
    assert_eq!(
        ask(&rig, &token, "play", json!({"action": "approve"}))["reviewStatus"],
        "completed"
    );
}

#[test]
fn a_token_ends_when_its_time_is_over_or_somebody_says_so() {
    let rig = Rig::with(Settings { sdk_token_life_s: Some(60), ..settings() });
    let invalid = json!({"code": "invalid-token"});
    assert_eq!(ask(&rig, "nonsense", "open", json!({})), invalid);
    let first = token(&rig, "org_1", "kyc-level");
    rig.pass(59_999);
    assert_eq!(ask(&rig, &first, "open", json!({}))["type"], "individual");
    rig.pass(1);
    assert_eq!(ask(&rig, &first, "open", json!({})), invalid);

    let (second, other) = (token(&rig, "org_1", "kyc-level"), token(&rig, "org_2", "kyc-level"));
    let (_, told) = rig.control("POST", "/sdk/expire", &json!({"userId": "org_1"}));
    assert_eq!(told, json!({"expired": 1}));
    assert_eq!(ask(&rig, &second, "open", json!({})), invalid);
    assert_ne!(ask(&rig, &other, "open", json!({})), invalid);
}

#[test]
fn nothing_is_handed_in_after_a_final_rejection() {
    let rig = Rig::new();
    let token = token(&rig, "org_1", "kyc-level");
    ask(&rig, &token, "submit", json!({}));
    ask(&rig, &token, "play", json!({"action": "reject"}));
    let passport = json!({"set": "IDENTITY", "kind": "PASSPORT", "accessToken": token});
    assert_eq!(answer(&rig, "POST", "/websdk/frame/document", &passport).status, 409);
    assert_eq!(answer(&rig, "POST", "/websdk/frame/dance", &passport).status, 404);
}
