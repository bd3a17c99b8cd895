//! Letters of Authorization and the gate, over HTTP.

use serde_json::{Value, json};

use crate::rig::{Broker, DAY_MS, OPERATOR, Rig, Setup, sumsub_instant};
use countersign::domain::organization::OrganizationId;
use countersign::usecase::authorizations::{By, Signature, sign_authorization, signed_at};
use countersign::usecase::decide::Decision;

fn verdict(rig: &Rig, customer: &str, answer: &Value) -> Value {
    json!({"applicantId": "a1", "type": "applicantReviewed", "reviewStatus": "completed",
        "externalUserId": customer, "sandboxMode": true, "reviewResult": answer,
        "createdAtMs": sumsub_instant(rig.now())})
}

fn approve(rig: &Rig, customer: &str) {
    let answer = rig.deliver(&verdict(rig, customer, &json!({"reviewAnswer": "GREEN"})));
    assert_eq!(answer.status, 200);
}

fn parties(customer: &str, broker: &Broker) -> Value {
    json!({"grantingOrganizationId": customer, "authorizedOrganizationId": broker.id, "type": "LOA"})
}

const REVOKE: &str = "/v1/authorizations/revoke";

#[test]
fn a_gated_call_counts_only_while_the_loa_is_signed_and_the_customer_approved() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    let gated = || rig.get("/v1/organizations", &broker.key, Some(&customer));

    assert_eq!(gated().refusal(), (403, "authorization_required"));
    assert!(gated().text("/error/message").contains("not signed"));
    approve(&rig, &customer);
    assert_eq!(gated().refusal(), (403, "authorization_required"), "approved but unsigned");
    rig.sign(&customer, &broker.id);
    assert_eq!(gated().status, 200);
    assert_eq!(gated().text("/verificationStatus"), "APPROVED");

    rig.decide(&customer, Decision::Hold).unwrap();
    assert_eq!(gated().refusal(), (403, "authorization_required"));
    assert!(gated().text("/error/message").contains("ON_HOLD"));
    let list = rig.get("/v1/authorizations", &broker.key, None);
    assert_eq!(list.body["data"][0]["status"], "ACTIVE", "suspension changes no row");
    rig.decide(&customer, Decision::Approve).unwrap();
    assert_eq!(gated().status, 200);
}

#[test]
fn signing_may_come_before_the_approval() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");

    rig.sign(&customer, &broker.id);
    let early = rig.get("/v1/organizations", &broker.key, Some(&customer));
    approve(&rig, &customer);
    let late = rig.get("/v1/organizations", &broker.key, Some(&customer));

    assert_eq!(early.refusal(), (403, "authorization_required"));
    assert_eq!(late.status, 200);
}

#[test]
fn an_expired_approval_suspends_the_loa_at_that_instant_and_a_new_one_resumes_it() {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    rig.sign(&customer, &broker.id);
    approve(&rig, &customer);
    let gated = || rig.get("/v1/organizations", &broker.key, Some(&customer));

    rig.advance(30 * DAY_MS - 1);
    assert_eq!(gated().status, 200);
    rig.advance(1);
    assert_eq!(gated().refusal(), (403, "authorization_required"));
    let poll = rig.get("/v1/organizations/verification", &broker.key, Some(&customer));
    assert_eq!(
        poll.body,
        json!({"object": "organization_verification", "status": "RESUBMISSION_REQUIRED",
            "type": "INDIVIDUAL", "updatedAt": "2026-02-01T03:04:05.000Z"})
    );
    let import = rig.post(
        "/v1/organizations/verification/import",
        &broker.key,
        Some(&customer),
        &json!({"shareToken": "t"}),
    );
    assert_eq!(
        import.refusal(),
        (403, "authorization_required"),
        "a lapsed customer is not imported"
    );
    assert!(import.text("/error/message").contains("expired"));

    rig.advance(5);
    approve(&rig, &customer);
    assert_eq!(gated().status, 200);
}

#[test]
fn a_pending_loa_lets_the_broker_verify_and_nothing_else() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    let header = Some(customer.as_str());

    assert_eq!(rig.get("/v1/organizations/verification", &broker.key, header).status, 200);
    // The gate lets it through; there is no Sumsub in this test.
    assert_eq!(rig.start_session(&broker.key, header).refusal(), (502, "provider_unavailable"));
    let import = json!({"shareToken": "t"});
    assert_eq!(
        rig.post("/v1/organizations/verification/import", &broker.key, header, &import).refusal(),
        (403, "authorization_required")
    );
    assert_eq!(
        rig.get("/v1/authorizations", &broker.key, header).refusal(),
        (403, "authorization_required")
    );
}

#[test]
fn an_loa_the_other_way_round_or_of_somebody_else_does_not_count() {
    let rig = Rig::new();
    let (broker, stranger) = (rig.broker(), rig.broker());
    let customer = rig.customer(&broker, "BUSINESS");
    rig.sign(&customer, &broker.id);
    approve(&rig, &customer);
    let customer_key = rig.key_of(&customer);

    for (key, of) in [(&customer_key, &broker.id), (&stranger.key, &customer)] {
        assert_eq!(
            rig.get("/v1/organizations/verification", key, Some(of)).refusal(),
            (403, "authorization_required")
        );
    }
}

#[test]
fn a_revoked_loa_stops_at_once_and_stays_in_the_list_for_ever() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    rig.sign(&customer, &broker.id);
    approve(&rig, &customer);
    rig.advance(1000);
    let customer_key = rig.key_of(&customer);

    let mut body = parties(&customer, &broker);
    body["reason"] = json!("the mandate ended");
    let revoked = rig.post(REVOKE, &customer_key, None, &body);

    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_eq!(
        revoked.body,
        json!({"object": "authorization", "grantingOrganizationId": customer,
            "authorizedOrganizationId": broker.id, "type": "LOA", "status": "REVOKED",
            "signedAt": "2026-01-02T03:04:05.000Z", "revokedAt": "2026-01-02T03:04:06.000Z",
            "revokedReason": "the mandate ended", "createdAt": "2026-01-02T03:04:05.000Z",
            "updatedAt": "2026-01-02T03:04:06.000Z"})
    );
    assert_eq!(
        rig.get("/v1/organizations/verification", &broker.key, Some(&customer)).refusal(),
        (403, "authorization_required")
    );
    assert_eq!(
        rig.post(REVOKE, &broker.key, None, &body).refusal(),
        (404, "authorization_not_found"),
        "a second revoke finds no live row"
    );

    let again = json!({"grantingOrganizationId": customer, "type": "LOA"});
    let renewed = rig.post("/v1/authorizations", &broker.key, None, &again);
    assert_eq!(renewed.text("/status"), "PENDING");
    let list = rig.get("/v1/authorizations", &broker.key, None);
    let statuses: Vec<&str> = list.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["PENDING", "REVOKED"], "newest first");
}

#[test]
fn a_pending_loa_can_be_revoked_by_the_broker_and_the_header_is_ignored() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");

    let revoked = rig.post(REVOKE, &broker.key, Some("org_none"), &parties(&customer, &broker));

    assert_eq!(revoked.text("/status"), "REVOKED");
    assert_eq!(revoked.body["signedAt"], Value::Null);
    assert_eq!(revoked.body["revokedReason"], Value::Null);
}

#[test]
fn only_a_party_revokes_and_only_well_formed() {
    let rig = Rig::new();
    let (broker, stranger) = (rig.broker(), rig.broker());
    let customer = rig.customer(&broker, "BUSINESS");
    let good = parties(&customer, &broker);

    assert_eq!(rig.post(REVOKE, &stranger.key, None, &good).refusal(), (403, "forbidden"));
    let mut swapped = good.clone();
    swapped["grantingOrganizationId"] = json!(broker.id);
    swapped["authorizedOrganizationId"] = json!(customer);
    assert_eq!(
        rig.post(REVOKE, &broker.key, None, &swapped).refusal(),
        (404, "authorization_not_found")
    );
    for (field, value) in [
        ("type", json!("POA")),
        ("type", json!(null)),
        ("reason", json!("x".repeat(501))),
        ("reason", json!("")),
        ("reason", json!(7)),
        ("grantingOrganizationId", json!(7)),
        ("extra", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(
            rig.post(REVOKE, &broker.key, None, &bad).refusal(),
            (400, "validation_error"),
            "{bad}"
        );
    }
}

#[test]
fn an_loa_is_requested_only_of_an_own_customer_without_a_live_one() {
    let rig = Rig::new();
    let (broker, other) = (rig.broker(), rig.broker());
    let customer = rig.customer(&broker, "BUSINESS");
    let body = |granting: &str| json!({"grantingOrganizationId": granting, "type": "LOA"});
    let request =
        |key: &str, granting: &str| rig.post("/v1/authorizations", key, None, &body(granting));

    assert_eq!(request(&broker.key, &customer).refusal(), (409, "authorization_exists"));
    assert_eq!(request(&other.key, &customer).refusal(), (403, "forbidden"));
    assert_eq!(request(&broker.key, &other.id).refusal(), (403, "forbidden"));
    assert_eq!(request(&broker.key, "org_none").refusal(), (404, "organization_not_found"));
}

#[test]
fn the_list_is_paged_newest_first_and_filtered() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customers: Vec<String> = (0..5).map(|_| rig.customer(&broker, "BUSINESS")).collect();
    rig.sign(&customers[1], &broker.id);
    let page = |query: &str| rig.get(&format!("/v1/authorizations{query}"), &broker.key, None);
    let granters = |answer: &crate::rig::Answer| -> Vec<String> {
        answer.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["grantingOrganizationId"].as_str().unwrap().to_owned())
            .collect()
    };

    let first = page("?limit=2");
    assert_eq!(granters(&first), [customers[4].clone(), customers[3].clone()]);
    assert_eq!(first.body["hasMore"], true);
    // A row that appears meanwhile does not shift the pages.
    rig.customer(&broker, "BUSINESS");
    let second = page(&format!("?limit=2&cursor={}", first.text("/nextCursor")));
    let third = page(&format!("?limit=2&cursor={}", second.text("/nextCursor")));
    assert_eq!(granters(&second), [customers[2].clone(), customers[1].clone()]);
    assert_eq!(granters(&third), [customers[0].clone()]);
    assert_eq!((&third.body["hasMore"], &third.body["nextCursor"]), (&json!(false), &json!(null)));

    assert_eq!(granters(&page("?status=ACTIVE&type=LOA")), [customers[1].clone()]);
    assert_eq!(granters(&page("?role=granter")).len(), 0);
    assert_eq!(granters(&page("?role=authorized")).len(), 6);
    let of_customer = rig.get("/v1/authorizations?role=granter", &rig.key_of(&customers[1]), None);
    assert_eq!(granters(&of_customer), [customers[1].clone()]);
    for bad in [
        "?limit=0",
        "?limit=101",
        "?limit=x",
        "?limit=1&limit=2",
        "?status=active",
        "?role=x",
        "?type=POA",
        "?cursor=x",
        "?cursor=loa_zz",
        "?other=1",
    ] {
        assert_eq!(page(bad).refusal(), (400, "validation_error"), "{bad}");
    }
}

#[test]
fn an_effective_loa_lets_the_broker_list_the_customers_own_authorizations() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    rig.customer(&broker, "BUSINESS");
    rig.sign(&customer, &broker.id);
    approve(&rig, &customer);

    let list = rig.get("/v1/authorizations", &broker.key, Some(&customer));

    assert_eq!(list.body["data"].as_array().unwrap().len(), 1);
}

/// What becomes of a signature that is dated with this text at this instant.
fn dated(rig: &Rig, text: &str) -> Option<Result<String, String>> {
    signed_at(text, rig.now())
        .map(|it| it.map(|at| at.to_string()).map_err(|error| error.to_string()))
}

#[test]
fn a_paper_dated_today_where_the_signer_is_counts_at_once_and_shows_that_date() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    // 2026-01-02T10:00:00Z: in Auckland and Kiribati it is the third.
    rig.advance(7 * 3_600_000);
    let at = signed_at("2026-01-03", rig.now()).unwrap().unwrap();
    let signature = Signature {
        at,
        signer_name: "Aroha Doe".to_owned(),
        signer_role: "Director".to_owned(),
        how: "paper".to_owned(),
        reference: "folder 7".to_owned(),
    };
    let by = By { actor: OPERATOR.to_owned(), request_id: None };
    let (granting, authorized) = (OrganizationId::new(&customer), OrganizationId::new(&broker.id));
    sign_authorization(&rig.appliance, &granting, &authorized, &signature, by).unwrap();
    rig.decide(&customer, Decision::Hold).unwrap();
    rig.decide(&customer, Decision::Approve).unwrap();

    let gated = rig.get("/v1/organizations", &broker.key, Some(&customer));
    let list = rig.get("/v1/authorizations", &broker.key, None);

    assert_eq!(gated.status, 200, "{gated:?}");
    assert_eq!(list.text("/data/0/signedAt"), "2026-01-03T00:00:00.000Z");
}

#[test]
fn a_date_that_has_begun_nowhere_and_an_instant_ahead_are_refused() {
    let rig = Rig::new();
    // 09:59:59.999 UTC: in Kiribati a millisecond before midnight.
    rig.advance(7 * 3_600_000 - 245_000 - 1);
    assert!(dated(&rig, "2026-01-03").unwrap().is_err());
    rig.advance(1);
    assert_eq!(dated(&rig, "2026-01-03").unwrap().unwrap(), "2026-01-03T00:00:00.000Z");
    assert_eq!(dated(&rig, "2026-01-02").unwrap().unwrap(), "2026-01-02T00:00:00.000Z");
    for ahead in ["2026-01-04", "2026-01-03T00:00:00Z", "2026-01-02T10:00:00.001Z"] {
        assert!(dated(&rig, ahead).unwrap().is_err(), "{ahead}");
    }
    // The same instant as now, as a clock in Auckland shows it.
    assert!(dated(&rig, "2026-01-02T23:00:00+13:00").unwrap().is_ok());
    assert!(dated(&rig, "yesterday").is_none());
}
