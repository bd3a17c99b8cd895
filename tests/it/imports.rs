//! Imports: share tokens of a partner, spent once, lost answers, and who decides afterwards.

use serde_json::{Value, json};

use crate::rig::{Answer, Broker};
use crate::sumsub::{World, kind};
use countersign::sim::{ReuseCollision, Settings};
use countersign::usecase::decide::Decision;

const IMPORT: &str = "/v1/organizations/verification/import";

/// A signed customer, ready to be imported.
fn signed(world: &World) -> (Broker, String) {
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    world.rig.sign(&customer, &broker.id);
    (broker, customer)
}

fn import(world: &World, broker: &Broker, customer: &str, token: &str) -> Answer {
    world.rig.post(IMPORT, &broker.key, Some(customer), &json!({"shareToken": token}))
}

#[test]
fn an_import_answers_pending_and_the_webhook_approves() {
    let world = World::new();
    let (broker, customer) = signed(&world);

    let answer = import(&world, &broker, &customer, &world.share_token());

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.body,
        json!({"object": "organization_verification", "status": "PENDING", "type": "INDIVIDUAL",
            "updatedAt": "2026-01-02T03:04:05.000Z"})
    );
    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
    assert!(world.deliver() > 0);
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
    assert_eq!(world.rig.get("/v1/organizations", &broker.key, Some(&customer)).status, 200);
    world.applicant(&customer);
}

#[test]
fn a_share_token_works_once() {
    let world = World::new();
    let (broker, customer) = signed(&world);
    let token = world.share_token();
    import(&world, &broker, &customer, &token);

    let again = import(&world, &broker, &customer, &token);

    assert_eq!(again.refusal(), (400, "share_token_invalid"));
    assert!(!again.body.to_string().contains(&token));
}

#[test]
fn sumsubs_reason_is_named_and_the_token_is_not() {
    let world = World::new();
    let (broker, customer) = signed(&world);
    let token = world.share_token();
    world.control("POST", "/partners", &json!({"tenant": "recipient", "partners": []}));

    let unpaired = import(&world, &broker, &customer, &token);
    let unknown = import(&world, &broker, &customer, "_act-sbx-jwt-nobody-knows.");

    assert_eq!(unpaired.refusal(), (400, "share_token_invalid"));
    assert!(unpaired.text("/error/message").contains("not-in-partners-list"), "{unpaired:?}");
    assert_eq!(unknown.refusal(), (400, "share_token_invalid"));
    assert!(!unknown.body.to_string().contains("nobody-knows"));
    assert_eq!(world.rig.status(&broker.key, &customer), "NOT_STARTED");
}

#[test]
fn a_refused_request_never_burns_the_token() {
    let world = World::new();
    let (broker, customer) = signed(&world);
    let stranger = world.rig.broker();
    let business = world.rig.customer(&broker, "BUSINESS");
    world.rig.sign(&business, &broker.id);
    let token = world.share_token();
    let body = json!({"shareToken": token});
    let post = |key: &str, of: &str, body: &Value| world.rig.post(IMPORT, key, Some(of), body);

    assert_eq!(post("nope", &customer, &body).refusal(), (401, "invalid_api_key"));
    assert_eq!(post(&broker.key, "org_no", &body).refusal(), (404, "organization_not_found"));
    assert_eq!(post(&stranger.key, &customer, &body).refusal(), (403, "authorization_required"));
    let mut more = body.clone();
    more["lang"] = json!("en");
    assert_eq!(post(&broker.key, &customer, &more).refusal(), (400, "validation_error"));
    assert_eq!(
        post(&broker.key, &business, &body).refusal(),
        (400, "verification_import_unsupported")
    );
    world.rig.decide(&customer, Decision::Hold).unwrap();
    world.rig.decide(&customer, Decision::Reject).unwrap();
    assert_eq!(post(&broker.key, &customer, &body).refusal(), (409, "verification_rejected"));
    for bad in [
        json!({}),
        json!({"shareToken": ""}),
        json!({"shareToken": "x".repeat(1025)}),
        json!({"shareToken": 5}),
        json!({"shareToken": "a b"}),
    ] {
        assert_eq!(
            post(&broker.key, &customer, &bad).refusal(),
            (400, "validation_error"),
            "{bad}"
        );
    }

    world.rig.decide(&customer, Decision::Reopen).unwrap();
    assert_eq!(post(&broker.key, &customer, &body).text("/status"), "PENDING", "still fresh");
}

#[test]
fn an_import_on_approved_or_on_hold_links_for_audit_and_changes_nothing() {
    let world = World::new();
    let (broker, customer) = signed(&world);
    world.rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    world.rig.decide(&customer, Decision::Hold).unwrap();

    let answer = import(&world, &broker, &customer, &world.share_token());
    assert_eq!(answer.text("/status"), "ON_HOLD");
    assert!(world.deliver() > 0);
    assert_eq!(world.rig.newest_outcome(), "not_current_applicant");
    assert_eq!(world.rig.status(&broker.key, &customer), "ON_HOLD");

    world.rig.advance(1000);
    world.rig.decide(&customer, Decision::Resubmit).unwrap();
    world.rig.advance(1000);
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    assert_eq!(
        world.rig.status(&broker.key, &customer),
        "APPROVED",
        "the session's applicant decides"
    );
}

#[test]
fn an_import_over_a_session_takes_over() {
    let world = World::new();
    let (broker, customer) = signed(&world);
    world.rig.start_session(&broker.key, Some(&customer));
    let of_session = world.applicant(&customer);
    world.rig.advance(1000);

    let answer = import(&world, &broker, &customer, &world.share_token());

    assert_eq!(answer.text("/status"), "PENDING");
    world.deliver();
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
    world.play(&of_session, "submit");
    assert_eq!(world.rig.newest_outcome(), "not_current_applicant");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
}

#[test]
fn an_applicant_with_an_external_id_of_sumsubs_own_is_known_by_its_id() {
    let settings = Settings { reuse_collision: ReuseCollision::Copy, ..kind() };
    let world = World::with(settings, crate::rig::Setup::default());
    let (broker, customer) = signed(&world);
    world.rig.start_session(&broker.key, Some(&customer));
    world.rig.advance(1000);

    import(&world, &broker, &customer, &world.share_token());
    world.deliver();

    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
    world.rig.advance(1000);
    let session = world.rig.start_session(&broker.key, Some(&customer));
    let opened =
        world.control("POST", "/sdk/open", &json!({"token": session.text("/accessToken")}));
    assert!(opened["userId"].as_str().unwrap().starts_with("copy-"), "{opened}");
}

#[test]
fn a_copied_applicant_whose_answer_was_lost_is_never_taken_for_somebody_elses() {
    let world = World::copying();
    let (broker, customer) = signed(&world);
    let token = world.share_token();
    // A copy has an external id of Sumsub's own, so a lost answer leaves no way to find it.
    world.fault(&json!({"path": "/resources/applicants/-/import", "count": 1, "close": true}));
    assert_eq!(import(&world, &broker, &customer, &token).refusal(), (502, "provider_unavailable"));
    assert!(world.deliver() > 0);
    assert_eq!(world.rig.newest_outcome(), "unknown_applicant");
    assert_eq!(world.rig.status(&broker.key, &customer), "NOT_STARTED");
}

#[test]
fn an_import_whose_answer_was_lost_is_found_again() {
    let world = World::new();
    let (broker, customer) = signed(&world);
    let reuse = "/resources/api/reusableIdentity/reuse";

    // Sumsub carried it out and the answer broke: found by the external id at once.
    world.fault(&json!({"path": reuse, "count": 1, "close": true}));
    let answer = import(&world, &broker, &customer, &world.share_token());
    assert_eq!(answer.text("/status"), "PENDING", "{answer:?}");
    world.deliver();
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");

    // The looking up fails too: the caller is told to try again, and the same token finds it.
    let (broker, customer) = signed(&world);
    let token = world.share_token();
    world.fault(&json!({"path": reuse, "count": 1, "close": true}));
    world.fault(&json!({"path": "/resources/applicants", "count": 9, "status": 503}));
    assert_eq!(import(&world, &broker, &customer, &token).refusal(), (502, "provider_unavailable"));
    world.control("DELETE", "/faults", &Value::Null);
    world.deliver();
    let again = import(&world, &broker, &customer, &token);
    assert_eq!(again.text("/status"), "PENDING", "{again:?}");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED", "the early verdict counts");
    world.applicant(&customer);
}

#[test]
fn a_failed_import_is_not_taken_for_an_applicant_that_a_failed_session_left_behind() {
    let world = World::new();
    let (broker, customer) = signed(&world);
    world.fault(&json!({"path": "/resources/accessTokens", "count": 9, "status": 503}));
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 502);
    world.control("DELETE", "/faults", &Value::Null);
    let token = world.share_token();
    world.fault(&json!({"path": "/resources/api/reusableIdentity", "count": 1, "status": 503}));

    let failed = import(&world, &broker, &customer, &token);

    assert_eq!(failed.refusal(), (502, "provider_unavailable"));
    assert_eq!(world.rig.status(&broker.key, &customer), "NOT_STARTED");
    assert_eq!(import(&world, &broker, &customer, &token).text("/status"), "PENDING");
}

#[test]
fn a_lost_answer_after_a_session_is_found_by_an_id_that_only_the_token_leads_to() {
    let world = World::new();
    let (broker, customer) = signed(&world);
    world.rig.start_session(&broker.key, Some(&customer));
    world.rig.advance(1000);
    let token = world.share_token();
    let reuse = "/resources/api/reusableIdentity/reuse";
    world.fault(&json!({"path": reuse, "count": 1, "hangMs": 1}));
    world.fault(&json!({"path": reuse, "count": 1, "close": true}));
    world.fault(&json!({"path": "/resources/applicants", "count": 3, "status": 503}));
    assert_eq!(import(&world, &broker, &customer, &token).refusal(), (502, "provider_unavailable"));
    world.deliver();
    world.rig.advance(1000);

    let again = import(&world, &broker, &customer, &token);

    assert_eq!(again.text("/status"), "PENDING", "{again:?}");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
}

#[test]
fn copy_import_inherits_the_verdict_through_the_webhook() {
    let world = World::copying();
    let (broker, customer) = signed(&world);

    let answer = import(&world, &broker, &customer, &world.share_token());

    assert_eq!(answer.text("/status"), "PENDING");
    world.deliver();
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
}

#[test]
fn no_token_of_any_kind_is_in_the_register() {
    let world = World::new();
    let (broker, customer) = signed(&world);
    let token = world.share_token();
    let session = world.rig.start_session(&broker.key, Some(&customer));
    world.rig.advance(1000);
    import(&world, &broker, &customer, &token);
    world.deliver();
    world.rig.database().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();

    let bytes = std::fs::read(world.rig.directory.file("register.db")).unwrap();

    let access_token = session.text("/accessToken");
    for secret in [token.as_str(), access_token, &broker.key, "the-webhook-secret"] {
        let secret = secret.as_bytes();
        assert!(!bytes.windows(secret.len()).any(|it| it == secret));
    }
}
