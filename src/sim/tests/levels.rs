//! Levels, and the ways from one to another.

use super::rig::{Rig, settings};
use crate::sim::{SdkLevel, Settings};
use serde_json::{Value, json};

fn level_of(rig: &Rig, id: &str) -> Value {
    let (_, one) = rig.call("GET", &format!("/resources/applicants/{id}/one"), "");
    one["review"]["levelName"].clone()
}

fn token(rig: &Rig, user: &str, level: &str) -> Value {
    let body = json!({ "userId": user, "levelName": level }).to_string();
    rig.call("POST", "/resources/accessTokens/sdk", &body).1["token"].clone()
}

fn last_event(rig: &Rig) -> Value {
    serde_json::from_str(&rig.bodies().pop().unwrap()).unwrap()
}

#[test]
fn there_are_two_levels_of_each_type_and_the_full_one_comes_first() {
    let rig = Rig::new();

    let (_, by_api) = rig.call("GET", "/resources/applicants/-/levels", "");
    let (_, by_control) = rig.control("GET", "/levels", &Value::Null);

    assert_eq!(by_api, by_control);
    let level = |name: &str, kind: &str| json!({ "name": name, "applicantType": kind });
    assert_eq!(
        by_api["list"]["items"],
        json!([
            level("kyb-level", "company"),
            level("kyc-level", "individual"),
            level("email-check-only", "company"),
            level("basic-kyc-level", "individual"),
        ])
    );
}

#[test]
fn a_level_created_on_either_port_can_be_used_and_not_created_twice() {
    let rig = Rig::new();
    let plus = json!({ "name": "kyb-plus", "applicantType": "company" });

    assert_eq!(rig.control("POST", "/levels", &plus).0, 200);
    assert_eq!(rig.call("POST", "/resources/applicants/-/levels", &plus.to_string()).0, 409);
    let target = "/resources/applicants/-/levels";
    assert_eq!(rig.call("POST", target, r#"{"name":"kyc-plus"}"#).0, 200);

    let (company, person) = (rig.applicant("kyb-plus", "org_1"), rig.applicant("kyc-plus", "p"));
    assert_eq!(level_of(&rig, &company), "kyb-plus");
    assert_eq!(level_of(&rig, &person), "kyc-plus");
}

#[test]
fn a_moved_applicant_starts_over_and_its_next_verdict_carries_the_new_level() {
    let rig = Rig::new();
    let id = rig.applicant("kyb-level", "org_1");
    rig.act(&id, "approve");

    let target = format!("/resources/applicants/{id}/moveToLevel?name=email-check-only");
    let (status, shown) = rig.call("POST", &target, "{}");

    assert_eq!((status, &shown["review"]["levelName"]), (200, &json!("email-check-only")));
    assert_eq!(shown["review"]["reviewStatus"], "init");
    let moved = last_event(&rig);
    assert_eq!(moved["type"], "applicantLevelChanged");
    assert_eq!(moved["previousLevelName"], "kyb-level");
    assert_eq!(moved["levelName"], "email-check-only");
    rig.act(&id, "approve");
    let (_, one) = rig.call("GET", "/resources/applicants/-;externalUserId=org_1/one", "");
    assert_eq!(
        (&one["type"], &one["review"]["levelName"]),
        (&json!("company"), &moved["levelName"])
    );
    let verdict = last_event(&rig);
    assert_eq!(
        (&verdict["type"], &verdict["levelName"], &verdict["reviewResult"]["reviewAnswer"]),
        (&json!("applicantReviewed"), &json!("email-check-only"), &json!("GREEN"))
    );
}

#[test]
fn a_level_does_not_change_to_another_type_or_to_none_or_while_a_check_runs() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    let to = |name: &str| {
        let target = format!("/resources/applicants/{id}/moveToLevel?name={name}");
        rig.call("POST", &target, "").0
    };

    assert_eq!((to("kyb-level"), to("nope")), (400, 404));
    rig.act(&id, "submit");
    assert_eq!(to("basic-kyc-level"), 409);
    rig.act(&id, "hold");
    assert_eq!(to("basic-kyc-level"), 409);
    let name = json!({ "name": "basic-kyc-level" });
    let control = format!("/applicants/{id}/move-to-level");
    assert_eq!(rig.control("POST", &control, &name).0, 409);
    assert_eq!(level_of(&rig, &id), "kyc-level");
    rig.act(&id, "retry");
    let (status, moved) = rig.control("POST", &control, &name);
    assert_eq!((status, &moved["levelName"]), (200, &name["name"]));
}

#[test]
fn the_sdk_takes_an_applicant_to_the_level_of_its_token_once_and_minting_alone_does_not() {
    let rig = Rig::new();
    let id = rig.applicant("email-check-only", "org_1");
    rig.act(&id, "approve");

    let minted = token(&rig, "org_1", "kyb-level");
    assert_eq!(level_of(&rig, &id), "email-check-only");
    let open = || rig.control("POST", "/sdk/open", &json!({ "token": minted })).0;
    assert_eq!(open(), 200);

    assert_eq!(level_of(&rig, &id), "kyb-level");
    assert_eq!(last_event(&rig)["previousLevelName"], "email-check-only");
    let control = format!("/applicants/{id}/move-to-level");
    rig.control("POST", &control, &json!({ "name": "email-check-only" }));
    assert_eq!(open(), 200);
    assert_eq!(level_of(&rig, &id), "email-check-only", "an open SDK does not move it back");
}

#[test]
fn a_link_takes_an_applicant_to_its_level_too() {
    let rig = Rig::new();
    let id = rig.applicant("basic-kyc-level", "org_1");
    let body = json!({ "userId": "org_1", "levelName": "kyc-level" }).to_string();
    let target = "/resources/sdkIntegrations/levels/-/websdkLink";
    let (_, minted) = rig.call("POST", target, &body);
    let link = minted["url"].as_str().unwrap().replace("http://localhost:8090", "");

    assert!(rig.page("GET", &link).1.contains("<dd>kyc-level</dd>"));

    assert_eq!(level_of(&rig, &id), "kyc-level");
}

#[test]
fn the_sdk_leaves_the_level_alone_where_it_cannot_be_changed_or_is_not_to_be() {
    let opened = |settings: Settings, level: &str, action: &str, of_token: &str| {
        let rig = Rig::with(settings);
        let id = rig.applicant(level, "org_1");
        rig.act(&id, action);
        let minted = token(&rig, "org_1", of_token);
        assert_eq!(rig.control("POST", "/sdk/open", &json!({ "token": minted })).0, 200);
        level_of(&rig, &id) == level
    };
    let stays = || Settings { sdk_level: SdkLevel::Stays, ..settings() };

    assert!(opened(stays(), "email-check-only", "approve", "kyb-level"));
    assert!(opened(settings(), "email-check-only", "submit", "kyb-level"), "being checked");
    assert!(opened(settings(), "email-check-only", "reject", "kyb-level"), "rejected for good");
    assert!(opened(settings(), "email-check-only", "approve", "kyc-level"), "another type");
    assert!(!opened(settings(), "email-check-only", "approve", "kyb-level"));
}

#[test]
fn a_persons_applicant_can_have_the_external_id_that_was_meant_for_a_company() {
    let rig = Rig::new();
    let create = |level: &str, kind: &str, user: &str| {
        let body = json!({ "externalUserId": user, "type": kind, "levelName": level });
        let target = format!("/resources/applicants?levelName={level}");
        let by_api = rig.call("POST", &target, &body.to_string()).0;
        let mut body = body;
        body["externalUserId"] = json!(format!("{user}-control"));
        (by_api, rig.control("POST", "/applicants", &body).0)
    };

    assert_eq!(create("kyc-level", "individual", "org_1"), (201, 201));
    assert_eq!(create("kyb-level", "individual", "org_2"), (400, 400));
    assert_eq!(create("kyb-level", "robot", "org_2"), (400, 400));
    rig.act("-;externalUserId=org_1", "approve");

    let (_, one) = rig.call("GET", "/resources/applicants/-;externalUserId=org_1/one", "");
    assert_eq!(
        (&one["type"], &one["review"]["levelName"]),
        (&json!("individual"), &json!("kyc-level"))
    );
    let verdict = last_event(&rig);
    assert_eq!(
        (&verdict["externalUserId"], &verdict["applicantType"]),
        (&json!("org_1"), &json!("individual"))
    );
}
