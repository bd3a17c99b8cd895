//! Sessions: the main job end to end, the same applicant each time, and a provider that fails.

use serde_json::{Value, json};

use crate::document::operations;
use crate::rig::{Broker, DAY_MS, OPERATOR, Rig, Setup};
use crate::sumsub::{Silent, World, kind};
use countersign::domain::letter::{LetterTemplate, STANDARD_LETTER};
use countersign::sim::{ApplicantCreation, DeliveryMode, RequestLimit, Settings};
use countersign::usecase::authorizations::By;
use countersign::usecase::decide::Decision;
use countersign::usecase::handoff_links::{list_links, revoke_link};

const VERIFICATION: &str = "/v1/organizations/verification";

fn customer(world: &World, kind: &str) -> (Broker, String) {
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, kind);
    (broker, customer)
}

#[test]
fn a_broker_verifies_a_customer_end_to_end() {
    let world = World::new();
    let (broker, customer) = customer(&world, "BUSINESS");
    let rig = &world.rig;
    let gated = || rig.get("/v1/organizations", &broker.key, Some(&customer));
    assert_eq!(gated().refusal(), (403, "authorization_required"));

    // The guide's first call, and its answer field for field.
    let session = rig.start_session(&broker.key, Some(&customer));
    assert_eq!(session.status, 200, "{session:?}");
    assert_eq!(session.body.as_object().unwrap().len(), 3);
    assert_eq!(session.text("/object"), "verification_session");
    assert!(session.text("/accessToken").starts_with("_act-sbx-jwt-"));
    assert!(session.text("/url").starts_with(&format!("{}/websdk/p/sbx_", world.sumsub_url)));
    assert_eq!(rig.status(&broker.key, &customer), "PENDING");

    // The company is on hold until its people pass; then Sumsub says GREEN.
    let company = world.applicant(&customer);
    world.play(&company, "submit");
    assert_eq!(rig.status(&broker.key, &customer), "ON_HOLD");
    let people: Vec<String> = world.control("GET", "/applicants", &Value::Null)["applicants"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| !it["memberOf"].is_null())
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(people.len(), 1);
    world.play(&people[0], "approve");
    if rig.status(&broker.key, &customer) != "APPROVED" {
        world.play(&company, "approve");
    }

    let poll = rig.get(VERIFICATION, &broker.key, Some(&customer));
    assert_eq!(
        poll.body,
        json!({"object": "organization_verification", "status": "APPROVED", "type": "BUSINESS",
            "updatedAt": poll.text("/updatedAt")})
    );
    assert_eq!(gated().refusal(), (403, "authorization_required"), "the LOA is not signed yet");
    rig.sign(&customer, &broker.id);
    assert_eq!(gated().status, 200);
}

#[test]
fn every_session_is_the_same_applicant_with_a_fresh_token() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");

    let first = world.rig.start_session(&broker.key, Some(&customer));
    let second = world.rig.start_session(&broker.key, Some(&customer));

    assert_ne!(first.text("/accessToken"), second.text("/accessToken"));
    world.applicant(&customer);
    let opened = world.control("POST", "/sdk/open", &json!({"token": second.text("/accessToken")}));
    assert_eq!(opened["userId"], customer);
    assert_eq!(opened["levelName"], "kyc-level");
}

#[test]
fn an_empty_object_is_no_body_and_anything_else_is_refused() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    let post = |body: &Value| world.rig.post(VERIFICATION, &broker.key, Some(&customer), body);

    assert_eq!(post(&json!({"lang": "en"})).refusal(), (400, "validation_error"));
    assert!(world.applicants(&customer).is_empty(), "a refused request never reaches Sumsub");
    assert_eq!(post(&json!({})).status, 200);
}

#[test]
fn concurrent_sessions_of_one_organization_make_one_applicant() {
    let world = World::with(
        Settings { applicant_creation: ApplicantCreation::ByApi, ..kind() },
        Setup::default(),
    );
    let (broker, customer) = customer(&world, "INDIVIDUAL");

    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| world.rig.start_session(&broker.key, Some(&customer)).status))
            .collect();
        calls.into_iter().map(|it| it.join().unwrap()).collect()
    });

    assert_eq!(statuses, [200; 8]);
    world.applicant(&customer);
    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
}

#[test]
fn a_session_brings_a_customer_back_to_the_failing_step() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    world.rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.play(&applicant, "submit");
    world.play(&applicant, "retry");
    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");

    world.rig.advance(1000);
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);

    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
    assert_eq!(world.applicant(&customer), applicant);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
}

#[test]
fn a_session_on_approved_or_on_hold_gives_a_token_and_moves_nothing() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    world.rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    let before = world.rig.get(VERIFICATION, &broker.key, Some(&customer)).body;
    world.rig.advance(1000);

    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    assert_eq!(world.rig.get(VERIFICATION, &broker.key, Some(&customer)).body, before);
    world.rig.decide(&customer, Decision::Hold).unwrap();
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    assert_eq!(world.rig.status(&broker.key, &customer), "ON_HOLD");
}

#[test]
fn an_organization_verifies_itself_without_the_header() {
    let world = World::new();
    let broker = world.rig.broker();

    assert_eq!(world.rig.start_session(&broker.key, None).status, 200);

    assert_eq!(world.rig.get(VERIFICATION, &broker.key, None).text("/status"), "PENDING");
    world.applicant(&broker.id);
}

#[test]
fn an_approved_applicant_that_sumsub_resets_must_submit_again() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    world.rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");

    world.play(&applicant, "reset");

    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");
}

#[test]
fn an_expired_document_at_sumsub_and_a_name_on_a_list_take_the_approval_away() {
    let world = World::new();
    for (action, status) in [("expire-document", "RESUBMISSION_REQUIRED"), ("aml-hit", "ON_HOLD")] {
        let (broker, customer) = customer(&world, "INDIVIDUAL");
        world.rig.start_session(&broker.key, Some(&customer));
        let applicant = world.applicant(&customer);
        world.play(&applicant, "submit");
        world.play(&applicant, "approve");
        assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");

        world.play(&applicant, action);

        assert_eq!(world.rig.status(&broker.key, &customer), status, "{action}");
    }
}

#[test]
fn a_nasty_sumsub_that_duplicates_and_swaps_ends_in_the_same_statuses() {
    for seed in 1..6 {
        let settings = Settings { nasty: true, seed, ..kind() };
        let world = World::with(settings, Setup::default());
        let (broker, customer) = customer(&world, "INDIVIDUAL");
        world.rig.start_session(&broker.key, Some(&customer));
        let applicant = world.applicant(&customer);
        for action in ["submit", "retry", "submit", "hold", "approve"] {
            world.rig.advance(1000);
            world.control("POST", &format!("/applicants/{applicant}/{action}"), &json!({}));
        }
        for _ in 0..4 {
            world.rig.advance(1000);
            world.deliver();
        }

        assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED", "seed {seed}");
    }
}

#[test]
fn a_dead_sumsub_fails_sessions_and_nothing_else() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    let reads: Vec<&str> = operations()
        .iter()
        .filter(|it| it.method == "GET" && it.path.starts_with("/v1/") && !it.path.contains('{'))
        .map(|it| it.path.as_str())
        .collect();
    assert!(reads.contains(&"/v1/organizations/verification"), "{reads:?}");
    let explained = format!("?grantingOrganizationId={customer}");
    for fault in [
        json!({"path": "/resources", "count": 9, "status": 500}),
        json!({"path": "/resources", "count": 9, "status": 429}),
        json!({"path": "/resources", "count": 9, "status": 401}),
        json!({"path": "/resources", "count": 9, "truncate": true}),
        json!({"path": "/resources", "count": 9, "close": true}),
        json!({"path": "/resources/applicants", "count": 9, "status": 404}),
    ] {
        world.fault(&fault);

        let answer = world.rig.start_session(&broker.key, Some(&customer));

        assert_eq!(answer.refusal(), (502, "provider_unavailable"), "{fault}");
        assert_eq!(world.rig.status(&broker.key, &customer), "NOT_STARTED");
        for path in &reads {
            let needed = if path.ends_with("/explain") { &*explained } else { "" };
            let read = world.rig.get(&format!("{path}{needed}"), &broker.key, None);
            assert_eq!(read.status, 200, "{fault} {read:?}");
        }
        world.control("DELETE", "/faults", &Value::Null);
    }
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    world.applicant(&customer);
}

#[test]
fn a_passing_fault_is_repeated_and_not_noticed() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    for fault in [
        json!({"path": "/resources/applicants", "count": 2, "status": 503}),
        json!({"path": "/resources/accessTokens", "count": 2, "status": 429, "retryAfter": 1}),
        json!({"path": "/resources/sdkIntegrations", "count": 1, "close": true}),
    ] {
        world.fault(&fault);
        assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200, "{fault}");
    }
    world.applicant(&customer);
}

#[test]
fn a_wait_that_sumsub_asks_for_and_we_do_not_have_is_passed_on() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    world.fault(&json!({"path": "/resources", "count": 1, "status": 429, "retryAfter": 30}));

    let answer = world.rig.start_session(&broker.key, Some(&customer));

    assert_eq!(answer.refusal(), (502, "provider_unavailable"));
    assert_eq!(answer.header("Retry-After"), Some("30"));
}

#[test]
fn a_hanging_sumsub_takes_its_permits_and_polls_go_on() {
    let silent = Silent::new();
    let setup = Setup { permits: 1, sumsub_url: silent.url.clone(), ..Setup::default() };
    let rig = Rig::with(setup);
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");

    std::thread::scope(|scope| {
        let session = || rig.start_session(&broker.key, Some(&customer));
        let hanging = scope.spawn(session);
        let _call = silent.receive();

        let busy = session();
        let polls = (0..50)
            .map(|_| rig.status(&broker.key, &customer))
            .take_while(|_| !hanging.is_finished())
            .inspect(|it| assert_eq!(it, "NOT_STARTED"))
            .count();

        assert!(polls > 0, "no poll was answered while Sumsub hung");
        assert_eq!(busy.refusal(), (503, "server_busy"));
        assert_eq!(busy.header("Retry-After"), Some("1"));
        assert_eq!(hanging.join().unwrap().refusal(), (502, "provider_unavailable"));
    });
}

#[test]
fn we_stay_inside_sumsubs_limits_on_our_own() {
    let world = World::with(
        Settings { request_limit: RequestLimit::Sumsub, delivery: DeliveryMode::Manual, ..kind() },
        Setup::default(),
    );
    let (broker, customer) = customer(&world, "INDIVIDUAL");

    // The clock stands still, so these are all in one window of 5 s: 3 POSTs, then 2 each.
    let answers: Vec<_> =
        (0..30).map(|_| world.rig.start_session(&broker.key, Some(&customer))).collect();

    let served = answers.iter().filter(|it| it.status == 200).count();
    assert_eq!(served, 19, "40 POSTs are 1 + 19 × 2, and one more; 10 are kept for others");
    assert!(answers.iter().filter(|it| it.status != 200).all(|it| it.status == 502));
    world.rig.advance(5_001);
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
}

#[test]
fn a_deleted_applicant_takes_the_approval_away_and_is_told_as_the_providers_failure() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    world.rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");

    world.play(&applicant, "delete");

    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");
    // Sumsub keeps the external id of a deleted applicant: no session until it is restored there,
    // and none that would make a second applicant.
    let session = world.rig.start_session(&broker.key, Some(&customer));
    assert_eq!(session.refusal(), (502, "provider_unavailable"));
    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");
}

#[test]
fn a_customer_whose_approval_expired_can_be_verified_again() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    world.rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    world.rig.advance(366 * DAY_MS);
    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");

    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    world.deliver();

    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
}

#[test]
fn a_customer_whose_rejection_was_reopened_can_submit_again() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    world.rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.play(&applicant, "submit");
    world.play(&applicant, "reject");
    world.rig.advance(1000);
    world.rig.decide(&customer, Decision::Reopen).unwrap();
    world.rig.advance(1000);

    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);

    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
}

#[test]
fn a_session_in_flight_does_not_undo_an_import_that_was_committed_meanwhile() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    world.rig.sign(&customer, &broker.id);
    world.rig.start_session(&broker.key, Some(&customer));
    let tokens = || {
        let state = world.control("GET", "/state", &Value::Null);
        state["sdkTokens"].as_array().unwrap().len()
    };
    let before = tokens();
    world.rig.advance(1000);
    let body = json!({"shareToken": world.share_token()});
    world.fault(&json!({"path": "/resources/sdkIntegrations", "count": 1, "hangMs": 1000}));

    std::thread::scope(|scope| {
        let session = scope.spawn(|| world.rig.start_session(&broker.key, Some(&customer)));
        while tokens() == before {
            std::thread::yield_now();
        }
        let path = "/v1/organizations/verification/import";
        let import = world.rig.post(path, &broker.key, Some(&customer), &body);
        assert_eq!(import.text("/status"), "PENDING");
        assert_eq!(session.join().unwrap().refusal(), (503, "server_busy"));
    });

    world.deliver();
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED", "the import's verdict counts");
}

/// A session whose call to `path` at Sumsub takes a while, during which something happens.
fn meanwhile<T: Send>(
    world: &World,
    path: &str,
    session: impl FnOnce() -> T + Send,
    happens: impl FnOnce(),
) -> T {
    world.fault(&json!({"path": path, "count": 1, "hangMs": 1000}));
    std::thread::scope(|scope| {
        let session = scope.spawn(session);
        while world.control("GET", "/state", &Value::Null)["faultsLeft"] != 0 {
            assert!(!session.is_finished(), "{path} was not asked");
            std::thread::yield_now();
        }
        happens();
        session.join().unwrap()
    })
}

fn revoke(world: &World, broker: &Broker, customer: &str) {
    let body = json!({"grantingOrganizationId": customer, "authorizedOrganizationId": broker.id,
        "type": "LOA"});
    let revoked = world.rig.post("/v1/authorizations/revoke", &broker.key, None, &body);
    assert_eq!(revoked.status, 200, "{revoked:?}");
}

#[test]
fn a_letter_that_is_revoked_while_sumsub_is_asked_gives_no_token_and_moves_nothing() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");

    let session = meanwhile(
        &world,
        "/resources/accessTokens",
        || world.rig.start_session(&broker.key, Some(&customer)),
        || revoke(&world, &broker, &customer),
    );

    assert_eq!(session.refusal(), (403, "authorization_required"));
    assert!(
        world.rig.appliance.store.is_writable().is_ok(),
        "the refusal's note stands before this"
    );
    let request = session.text("/error/requestId");
    let path = format!("/v1/authorizations/explain?requestId={request}");
    assert_eq!(world.rig.get(&path, &broker.key, None).text("/conditions/0/value"), "REVOKED");
    let status =
        || world.rig.get("/v1/organizations/verification", &world.rig.key_of(&customer), None);
    assert_eq!(status().text("/status"), "NOT_STARTED");
}

/// A customer who has signed, and whose page would begin the check.
fn before_the_check() -> (World, Broker, String, String) {
    let letter = LetterTemplate::parse(STANDARD_LETTER).unwrap();
    let world = World::with(kind(), Setup { letter: Some(letter), ..Setup::default() });
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    let session = world.rig.start_session(&broker.key, Some(&customer));
    let page = session.text("/url").strip_prefix(&world.rig.url).unwrap().to_owned();
    world.rig.sign(&customer, &broker.id);
    (world, broker, customer, page)
}

/// The link is the old letter's, whatever a new one says.
#[test]
fn a_letter_that_is_revoked_and_issued_anew_while_sumsub_is_asked_gives_no_token() {
    let (world, broker, customer, page) = before_the_check();
    let press = || world.rig.call("POST", &format!("{page}/access-token"), &[], b"");

    let pressed = meanwhile(&world, "/resources/accessTokens", press, || {
        revoke(&world, &broker, &customer);
        let body = json!({"grantingOrganizationId": customer, "type": "LOA"});
        let issued = world.rig.post("/v1/authorizations", &broker.key, None, &body);
        assert_eq!(issued.status, 200, "{issued:?}");
    });

    assert_eq!((pressed.status, pressed.text("/stage")), (410, "withdrawn"));
}

#[test]
fn a_verification_that_is_rejected_while_sumsub_is_asked_gives_no_token() {
    let (world, _, customer, page) = before_the_check();
    let press = || world.rig.call("POST", &format!("{page}/access-token"), &[], b"");

    let pressed = meanwhile(&world, "/resources/accessTokens", press, || {
        world.rig.decide(&customer, Decision::Hold).unwrap();
        world.rig.decide(&customer, Decision::Reject).unwrap();
    });

    assert_eq!((pressed.status, pressed.text("/stage")), (409, "rejected"));
}

#[test]
fn a_link_that_is_revoked_while_sumsub_is_asked_gives_no_token() {
    let (world, .., page) = before_the_check();
    let by = || By { actor: OPERATOR.to_owned(), request_id: None };
    let press = || world.rig.call("POST", &format!("{page}/access-token"), &[], b"");
    let link = list_links(&world.rig.appliance, None).unwrap()[0].link.id.clone();

    let pressed = meanwhile(&world, "/resources/accessTokens", press, || {
        assert!(revoke_link(&world.rig.appliance, &link, &by()).unwrap());
    });

    assert_eq!((pressed.status, pressed.text("/stage")), (410, "revoked"));
}

#[test]
fn a_verdict_that_no_webhook_has_told_is_not_thrown_away_by_the_next_session() {
    for (verdict, expected) in [("approve", "APPROVED"), ("reject", "REJECTED")] {
        let world = World::new();
        let (broker, customer) = customer(&world, "INDIVIDUAL");
        world.rig.start_session(&broker.key, Some(&customer));
        let applicant = world.applicant(&customer);
        world.play(&applicant, "submit");
        world.play(&applicant, "retry");
        assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");
        for action in ["submit", verdict] {
            world.rig.advance(5000);
            world.control("POST", &format!("/applicants/{applicant}/{action}"), &json!({}));
        }
        world.rig.advance(5000);

        let session = world.rig.start_session(&broker.key, Some(&customer));

        let is_open = verdict == "approve";
        assert_eq!(session.status, if is_open { 200 } else { 409 }, "{session:?}");
        assert_eq!(world.rig.status(&broker.key, &customer), expected);
        // The webhooks that come late tell nothing new.
        world.deliver();
        assert_eq!(world.rig.status(&broker.key, &customer), expected);
    }
}

#[test]
fn a_renewal_that_no_webhook_told_and_that_is_over_too_does_not_close_the_door() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    world.rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    world.rig.advance(DAY_MS);
    world.control("POST", "/traps", &json!({"tricks": ["lost"], "count": 99}));
    for action in ["recheck", "approve"] {
        world.rig.advance(5000);
        world.control("POST", &format!("/applicants/{applicant}/{action}"), &json!({}));
    }
    world.control("DELETE", "/traps", &Value::Null);
    world.rig.advance(366 * DAY_MS);
    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");

    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);

    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
}

#[test]
fn sessions_in_a_row_add_no_facts_that_say_the_same() {
    let world = World::new();
    let (broker, customer) = customer(&world, "INDIVIDUAL");
    for _ in 0..5 {
        world.rig.advance(1000);
        assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    }

    let facts: i64 = world
        .rig
        .database()
        .query_row("SELECT count(*) FROM verification_event", [], |it| it.get(0))
        .unwrap();

    assert_eq!(facts, 1);
}
