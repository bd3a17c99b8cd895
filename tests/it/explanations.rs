//! Why a call counts or not, now and then, and the history of a status.

use serde_json::{Value, json};

use crate::rig::{DAY_MS, Rig, Setup, sumsub_instant};
use crate::sumsub::{World, kind};
use countersign::usecase::decide::Decision;

fn deliver(rig: &Rig, customer: &str, answer: &str) {
    let body = json!({"applicantId": "a1", "type": "applicantReviewed",
        "reviewStatus": "completed", "externalUserId": customer, "sandboxMode": true,
        "reviewResult": {"reviewAnswer": answer, "reviewRejectType": "RETRY"},
        "createdAtMs": sumsub_instant(rig.now())});
    assert_eq!(rig.deliver(&body).status, 200);
}

fn explain(rig: &Rig, key: &str, customer: &str, at: &str) -> Value {
    let path = format!("/v1/authorizations/explain?grantingOrganizationId={customer}{at}");
    let answer = rig.get(&path, key, None);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// Names of the conditions that do not hold.
fn missing(explanation: &Value) -> Vec<&str> {
    explanation["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["holds"] == false)
        .map(|it| it["name"].as_str().unwrap())
        .collect()
}

#[test]
fn every_condition_is_told_with_its_value_its_fact_and_the_next_action() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");

    let fresh = explain(&rig, &broker.key, &customer, "");
    assert_eq!(fresh["effective"], false);
    assert_eq!(missing(&fresh), ["authorization_signed", "verification_approved"]);
    assert_eq!(fresh["nextAction"]["who"], "customer");

    rig.advance(1000);
    rig.sign(&customer, &broker.id);
    let signed = explain(&rig, &broker.key, &customer, "");
    assert_eq!(missing(&signed), ["verification_approved"]);
    assert_eq!(signed["nextAction"]["who"], "broker");

    rig.advance(1000);
    deliver(&rig, &customer, "GREEN");
    let effective = explain(&rig, &broker.key, &customer, "");
    assert_eq!(effective["effective"], true);
    assert_eq!(effective["nextAction"], Value::Null);
    let approved = &effective["conditions"][2];
    assert_eq!(approved["since"], "2026-01-02T03:04:07.000Z");
    assert_eq!(approved["fact"]["source"], "provider");
    assert_eq!(approved["fact"]["event"], "provider_approved");

    rig.advance(1000);
    rig.decide(&customer, Decision::Hold).unwrap();
    let held = explain(&rig, &broker.key, &customer, "");
    assert_eq!(held["conditions"][2]["value"], "ON_HOLD");
    assert_eq!(held["conditions"][2]["fact"]["source"], "operator");
    assert_eq!(held["nextAction"]["who"], "operator");
    assert!(!held.to_string().contains("papers"), "an operator's words are not a broker's");
}

#[test]
fn the_past_is_explained_by_what_was_known_then() {
    let rig = Rig::with(Setup { valid_days: 10, ..Setup::default() });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    rig.advance(DAY_MS);
    rig.sign(&customer, &broker.id);
    deliver(&rig, &customer, "GREEN");
    rig.advance(DAY_MS);
    let body = json!({"grantingOrganizationId": customer, "authorizedOrganizationId": broker.id,
        "type": "LOA"});
    rig.post("/v1/authorizations/revoke", &broker.key, None, &body);
    rig.advance(20 * DAY_MS);

    let (key, towards) =
        (rig.key_of(&customer), format!("&authorizedOrganizationId={}", broker.id));
    let at = |instant: &str| {
        let it = explain(&rig, &key, &customer, &format!("{towards}&at={instant}"));
        (it["effective"].as_bool().unwrap(), missing(&it).join(" "))
    };

    assert_eq!(
        at("2026-01-02T03:04:05.000Z"),
        (false, "authorization_signed verification_approved".into())
    );
    assert_eq!(at("2026-01-03T03:04:05.000Z"), (true, String::new()));
    assert_eq!(at("2026-01-04T03:04:04.999Z"), (true, String::new()));
    assert_eq!(
        at("2026-01-04T03:04:05.000Z"),
        (false, "authorization_live authorization_signed".into())
    );
    assert_eq!(
        at("2026-01-13T03:04:05.000Z").1,
        "authorization_live authorization_signed verification_approved"
    );
    let expired = explain(&rig, &key, &customer, &towards);
    assert_eq!(expired["conditions"][2]["fact"]["source"], "expiry");
    assert_eq!(expired["conditions"][2]["since"], "2026-01-13T03:04:05.000Z");
}

/// Whether an explanation tells how the verification stood.
fn tells_verification(explanation: &Value) -> bool {
    let approved = &explanation["conditions"][2];
    let is_withheld = approved["withheld"].is_string();
    for told in ["holds", "value", "since"] {
        assert_eq!(approved[told].is_null(), is_withheld, "{told}: {explanation}");
    }
    assert!(!is_withheld || approved["fact"].is_null(), "{explanation}");
    !is_withheld
}

#[test]
fn a_stranger_is_not_told_how_a_customers_verification_stands() {
    let rig = Rig::new();
    let (broker, stranger) = (rig.broker(), rig.broker());
    let customer = rig.customer(&broker, "BUSINESS");
    rig.sign(&customer, &broker.id);
    deliver(&rig, &customer, "GREEN");

    let told = explain(&rig, &stranger.key, &customer, "");

    assert!(!tells_verification(&told));
    assert_eq!(told["effective"], false);
    assert_eq!(missing(&told), ["authorization_live", "authorization_signed"]);
    assert_eq!(told["nextAction"]["who"], "broker");
    for secret in ["APPROVED", "provider", "verification_event"] {
        assert!(!told.to_string().contains(secret), "{secret} in {told}");
    }

    let refused = rig.get("/v1/organizations/verification", &stranger.key, Some(&customer));
    assert_eq!(refused.refusal(), (403, "authorization_required"));
    assert!(rig.appliance.store.is_writable().is_ok(), "the refusal's note stands before this");
    let path = format!("/v1/authorizations/explain?requestId={}", refused.text("/error/requestId"));
    assert!(!tells_verification(&rig.get(&path, &stranger.key, None).body));
    let both = format!("&authorizedOrganizationId={}", stranger.id);
    let own = explain(&rig, &rig.key_of(&customer), &customer, &both);
    assert_eq!(own["conditions"][2]["value"], "APPROVED", "the customer may know of itself");
}

#[test]
fn a_revoked_broker_is_told_the_verification_of_its_own_time_only() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    deliver(&rig, &customer, "GREEN");
    rig.advance(DAY_MS);
    let body = json!({"grantingOrganizationId": customer, "authorizedOrganizationId": broker.id,
        "type": "LOA"});
    assert_eq!(rig.post("/v1/authorizations/revoke", &broker.key, None, &body).status, 200);
    rig.advance(DAY_MS);

    let at = |at: &str| tells_verification(&explain(&rig, &broker.key, &customer, at));

    assert!(at("&at=2026-01-03T03:04:04.999Z"));
    assert!(!at("&at=2026-01-03T03:04:05.000Z"));
    assert!(!at(""));
    rig.post(
        "/v1/authorizations",
        &broker.key,
        None,
        &json!({"grantingOrganizationId": customer, "type": "LOA"}),
    );
    assert!(at(""), "a PENDING one lets it read again");
}

#[test]
fn a_fact_after_an_expiry_that_changes_nothing_does_not_hide_the_expiry() {
    let rig = Rig::with(Setup { valid_days: 10, ..Setup::default() });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    deliver(&rig, &customer, "GREEN");
    let approval = explain(&rig, &broker.key, &customer, "")["conditions"][2]["fact"].clone();
    rig.advance(11 * DAY_MS);
    deliver(&rig, &customer, "RED");

    let told = explain(&rig, &broker.key, &customer, "");

    let it = &told["conditions"][2];
    assert_eq!(
        (&it["value"], &it["since"]),
        (&json!("RESUBMISSION_REQUIRED"), &json!("2026-01-12T03:04:05.000Z"))
    );
    assert_eq!(it["fact"]["source"], "expiry");
    assert_eq!(it["fact"]["event"], "approval_expired");
    assert_eq!(it["fact"]["id"], approval["id"], "the approval that ran out");
}

#[test]
fn an_expiry_names_the_approval_that_ran_out_and_not_that_of_an_audited_applicant() {
    let world = World::with(kind(), Setup { valid_days: 10, ..Setup::default() });
    let rig = &world.rig;
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    rig.sign(&customer, &broker.id);
    rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    let approval = explain(rig, &broker.key, &customer, "")["conditions"][2]["fact"].clone();
    rig.advance(1000);
    let body = json!({"shareToken": world.share_token()});
    let import = "/v1/organizations/verification/import";
    assert_eq!(rig.post(import, &broker.key, Some(&customer), &body).text("/status"), "APPROVED");
    assert!(world.deliver() > 0);
    assert_eq!(rig.newest_outcome(), "not_current_applicant");
    rig.advance(11 * DAY_MS);

    let told = explain(rig, &broker.key, &customer, "");

    let fact = &told["conditions"][2]["fact"];
    assert_eq!((&fact["source"], &fact["id"]), (&json!("expiry"), &approval["id"]));
}

#[test]
fn an_approval_that_is_known_only_when_it_is_over_is_one_change_and_never_seen_as_approved() {
    let rig = Rig::with(Setup { valid_days: 10, ..Setup::default() });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    let late = json!({"applicantId": "a1", "type": "applicantReviewed",
        "reviewStatus": "completed", "externalUserId": customer, "sandboxMode": true,
        "reviewResult": {"reviewAnswer": "GREEN"}, "createdAtMs": sumsub_instant(rig.now())});
    rig.advance(11 * DAY_MS);
    assert_eq!(rig.deliver(&late).status, 200);

    let events = "/v1/organizations/verification/events";
    let all = rig.get(events, &broker.key, Some(&customer));

    assert_eq!(all.body["data"].as_array().unwrap().len(), 1, "{all:?}");
    assert_eq!(all.text("/data/0/previousStatus"), "NOT_STARTED");
    assert_eq!(all.text("/data/0/status"), "RESUBMISSION_REQUIRED");
    assert_eq!(all.text("/data/0/cause"), "approval_expired");
    let told = explain(&rig, &broker.key, &customer, "");
    assert_eq!(told["conditions"][2]["since"], all.body["data"][0]["at"]);
    assert_eq!(told["conditions"][2]["fact"]["source"], "expiry");
}

#[test]
fn after_a_clock_went_back_the_explanation_of_now_says_what_the_gate_does() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    rig.advance(60_000);
    rig.sign(&customer, &broker.id);
    deliver(&rig, &customer, "GREEN");
    rig.set_clock(-30_000);

    assert_eq!(rig.get("/v1/organizations", &broker.key, Some(&customer)).status, 200);
    let told = explain(&rig, &broker.key, &customer, "");

    assert_eq!((&told["effective"], missing(&told).len()), (&json!(true), 0));
    // While Sumsub's time is unknown it is never earlier than what is known.
    assert_eq!(told["at"], "2026-01-02T03:05:05.000Z");
    assert_eq!(told["conditions"][2]["fact"]["event"], "provider_approved");
    let then = explain(&rig, &broker.key, &customer, "&at=2026-01-02T03:04:35.000Z");
    assert_eq!(then["effective"], false, "an instant that is named is told by what bears it");
}

#[test]
fn only_parties_may_ask_and_only_about_what_has_been() {
    let rig = Rig::new();
    let (broker, stranger) = (rig.broker(), rig.broker());
    let customer = rig.customer(&broker, "BUSINESS");
    let ask =
        |key: &str, query: &str| rig.get(&format!("/v1/authorizations/explain?{query}"), key, None);
    let of = format!("grantingOrganizationId={customer}");
    let both = format!("{of}&authorizedOrganizationId={}", broker.id);

    assert_eq!(ask(&stranger.key, &both).refusal(), (403, "forbidden"));
    assert_eq!(ask(&rig.key_of(&customer), &both).status, 200, "the customer is a party");
    assert_eq!(
        ask(&broker.key, &format!("{of}&at=2030-01-01")).refusal(),
        (400, "validation_error")
    );
    assert_eq!(ask(&broker.key, &format!("{of}&at=x")).refusal(), (400, "validation_error"));
    assert_eq!(ask(&broker.key, "").refusal(), (400, "validation_error"));
    assert_eq!(
        ask(&broker.key, "grantingOrganizationId=org_no").refusal(),
        (404, "organization_not_found")
    );
}

#[test]
fn an_organization_that_asks_about_itself_is_told_whom_to_name() {
    let rig = Rig::new();
    let broker = rig.broker();
    let path = format!("/v1/authorizations/explain?grantingOrganizationId={}", broker.id);

    let refused = rig.get(&path, &broker.key, None);

    assert_eq!(refused.refusal(), (400, "validation_error"));
    assert!(refused.text("/error/message").contains("name the customer"), "{refused:?}");
}

#[test]
fn a_refusals_request_id_finds_the_decision() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    let refused = rig.get("/v1/organizations", &broker.key, Some(&customer));
    assert_eq!(refused.refusal(), (403, "authorization_required"));
    let id = refused.text("/error/requestId");
    rig.advance(DAY_MS);
    rig.sign(&customer, &broker.id);

    let path = format!("/v1/authorizations/explain?requestId={id}");
    let found = rig.get(&path, &broker.key, None);

    assert_eq!(found.text("/at"), "2026-01-02T03:04:05.000Z");
    assert_eq!(found.text("/conditions/1/value"), "PENDING", "as it was when the call was refused");
    let unknown = rig.get("/v1/authorizations/explain?requestId=req_no", &broker.key, None);
    assert_eq!(unknown.refusal(), (400, "validation_error"));
}

#[test]
fn the_history_lists_every_change_newest_first_with_its_source() {
    let rig = Rig::with(Setup { valid_days: 10, ..Setup::default() });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    for answer in ["RED", "GREEN"] {
        rig.advance(1000);
        deliver(&rig, &customer, answer);
    }
    rig.advance(1000);
    rig.decide(&customer, Decision::Hold).unwrap();
    rig.decide(&customer, Decision::Approve).unwrap();
    rig.advance(11 * DAY_MS);

    let page = |query: &str| {
        let path = format!("/v1/organizations/verification/events{query}");
        rig.get(&path, &broker.key, Some(&customer))
    };
    let all = page("");

    let told: Vec<(&str, &str)> = all.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["status"].as_str().unwrap(), it["source"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("RESUBMISSION_REQUIRED", "expiry"),
            ("APPROVED", "operator"),
            ("ON_HOLD", "operator"),
            ("APPROVED", "provider"),
            ("RESUBMISSION_REQUIRED", "provider"),
        ]
    );
    assert_eq!(all.text("/data/0/at"), "2026-01-12T03:04:08.000Z");
    let first = page("?limit=2");
    assert_eq!(first.body["hasMore"], true);
    let second = page(&format!("?limit=2&cursor={}", first.text("/nextCursor")));
    assert_eq!(second.text("/data/0/status"), "ON_HOLD");
    assert_eq!(page("?cursor=x").refusal(), (400, "validation_error"));
}
