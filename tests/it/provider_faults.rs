//! Faults of Sumsub, one by one, at every call we make: a typed error to the broker, a register that
//! stands as before, polls that notice nothing, and a retry that works with the same applicant.

use serde_json::{Value, json};

use crate::rig::{Answer, Broker, Setup};
use crate::sumsub::{World, kind};
use countersign::sumsub::SumsubError;
use countersign::usecase::reconcile::{Mode, Scope, reconcile};

const HOUR_MS: i64 = 3_600_000;

/// What goes wrong, often enough that no repetition gets through.
fn faults() -> Vec<(&'static str, Value)> {
    vec![
        ("reset in mid-body", json!({"reset": true})),
        ("broken off", json!({"close": true})),
        ("half of the JSON", json!({"truncate": true})),
        ("4 MiB too much", json!({"oversize": true})),
        ("somebody else's answer", json!({"other": true})),
        ("500", json!({"status": 500})),
        ("503 with a page", json!({"status": 503, "body": "<html>Service Unavailable</html>"})),
        ("503, later", json!({"status": 503, "retryAfter": 120})),
        ("429", json!({"status": 429})),
        ("429, later", json!({"status": 429, "retryAfter": 30})),
        (
            "429, at an instant",
            json!({"status": 429, "retryAfter": "Fri, 02 Jan 2026 04:00:00 GMT"}),
        ),
        ("401", json!({"status": 401})),
        ("403, empty", json!({"status": 403, "body": ""})),
        ("no JSON", json!({"status": 200, "body": "OK"})),
        ("nothing", json!({"status": 200, "body": ""})),
        ("an array", json!({"status": 200, "body": "[]"})),
        ("ill-typed", json!({"status": 200, "body": "{\"id\":7,\"token\":[],\"url\":{}}"})),
        (
            "empty words",
            json!({"status": 200, "body":
            "{\"id\":\"\",\"externalUserId\":\"\",\"token\":\"\",\"url\":\"\"}"}),
        ),
        (
            "a script for a link",
            json!({"status": 200, "body":
            "{\"token\":\"a b\",\"url\":\"javascript:alert(1)\"}"}),
        ),
    ]
}

fn fault(world: &World, path: &str, what: &Value) {
    let mut fault = what.clone();
    fault["path"] = json!(path);
    fault["count"] = json!(9);
    world.fault(&fault);
}

fn mend(world: &World) {
    world.control("DELETE", "/faults", &Value::Null);
    // A share token lives for 20 minutes.
    world.rig.advance(600_000);
}

/// A poll that must answer, whatever Sumsub does.
fn poll(world: &World, broker: &Broker, customer: &str) -> Value {
    let answer = world.rig.get("/v1/organizations/verification", &broker.key, Some(customer));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// The rows that a failed call may not have changed.
fn facts(world: &World) -> i64 {
    world
        .rig
        .database()
        .query_row("SELECT count(*) FROM verification_event", [], |row| row.get(0))
        .unwrap()
}

fn is_typed(answer: &Answer, what: &str) {
    assert_eq!(answer.refusal(), (502, "provider_unavailable"), "{what}");
    if let Some(seconds) = answer.header("Retry-After") {
        assert!((1..=300).contains(&seconds.parse::<u32>().unwrap()), "{what}: {seconds}");
    }
}

#[test]
fn every_fault_at_every_call_of_a_session_is_a_502_and_a_retry_works() {
    for path in ["/resources/applicants", "/resources/accessTokens", "/resources/sdkIntegrations"] {
        let world = World::new();
        let broker = world.rig.broker();
        for (name, what) in faults() {
            let what_name = format!("{name} at {path}");
            let is_for_others = name == "somebody else's answer" && path.contains("sdkInt");
            let customer = world.rig.customer(&broker, "INDIVIDUAL");
            let (before, count) = (poll(&world, &broker, &customer), facts(&world));
            fault(&world, path, &what);

            let failed = world.rig.start_session(&broker.key, Some(&customer));

            if !is_for_others {
                is_typed(&failed, &what_name);
                assert_eq!(poll(&world, &broker, &customer), before, "{what_name}");
                assert_eq!(facts(&world), count, "{what_name}");
            }
            mend(&world);
            let retried = world.rig.start_session(&broker.key, Some(&customer));
            assert_eq!(retried.status, 200, "{what_name}: {retried:?}");
            assert_eq!(world.applicants(&customer).len(), 1, "{what_name}");
            assert_eq!(poll(&world, &broker, &customer)["status"], "PENDING", "{what_name}");
        }
    }
}

#[test]
fn every_fault_at_the_reading_of_a_known_applicant_is_a_502_and_a_retry_works() {
    let world = World::new();
    let broker = world.rig.broker();
    for (name, what) in faults() {
        let customer = world.rig.customer(&broker, "INDIVIDUAL");
        world.rig.start_session(&broker.key, Some(&customer));
        let applicant = world.applicant(&customer);
        let before = poll(&world, &broker, &customer);
        fault(&world, &format!("/resources/applicants/{applicant}/one"), &what);

        is_typed(&world.rig.start_session(&broker.key, Some(&customer)), name);

        assert_eq!(poll(&world, &broker, &customer), before, "{name}");
        mend(&world);
        assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200, "{name}");
        assert_eq!(world.applicant(&customer), applicant, "{name}");
    }
}

#[test]
fn every_fault_at_a_reset_is_a_502_and_a_retry_works() {
    let world = World::with(kind(), Setup { valid_days: 1, ..Setup::default() });
    let broker = world.rig.broker();
    for (name, what) in faults() {
        // Of a reset nothing is read but the status.
        if what["status"] == 200 || what["truncate"] == true || what["other"] == true {
            continue;
        }
        let customer = world.rig.customer(&broker, "INDIVIDUAL");
        world.rig.start_session(&broker.key, Some(&customer));
        let applicant = world.applicant(&customer);
        world.play(&applicant, "approve");
        world.rig.advance(25 * HOUR_MS);
        let before = poll(&world, &broker, &customer);
        assert_eq!(before["status"], "RESUBMISSION_REQUIRED", "{name}");
        fault(&world, &format!("/resources/applicants/{applicant}/reset"), &what);

        is_typed(&world.rig.start_session(&broker.key, Some(&customer)), name);

        assert_eq!(poll(&world, &broker, &customer), before, "{name}");
        mend(&world);
        assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200, "{name}");
        assert_eq!(world.applicant(&customer), applicant, "{name}");
        assert_eq!(poll(&world, &broker, &customer)["status"], "PENDING", "{name}");
    }
}

#[test]
fn every_fault_at_an_import_leaves_one_applicant_and_a_retry_works() {
    let world = World::new();
    let broker = world.rig.broker();
    for (name, what) in faults() {
        let customer = world.rig.customer(&broker, "INDIVIDUAL");
        world.rig.sign(&customer, &broker.id);
        let before = poll(&world, &broker, &customer);
        let body = json!({"shareToken": world.share_token()});
        let import = || {
            world.rig.post(
                "/v1/organizations/verification/import",
                &broker.key,
                Some(&customer),
                &body,
            )
        };
        fault(&world, "/resources/api/reusableIdentity/reuse", &what);

        let answer = import();

        // An answer that was lost on its way is looked for at once. A 401 without a code is the share
        // token's, by Sumsub's word.
        match answer.status {
            200 => assert_eq!(world.applicants(&customer).len(), 1, "{name}"),
            400 => assert_eq!((name, answer.refusal().1), ("401", "share_token_invalid")),
            _ => {
                is_typed(&answer, name);
                assert_eq!(poll(&world, &broker, &customer), before, "{name}");
            }
        }
        mend(&world);
        if answer.status != 200 {
            let again = import();
            assert_eq!(again.status, 200, "{name}: {again:?}");
        }
        assert_eq!(world.applicants(&customer).len(), 1, "{name}");
        world.deliver();
        assert_eq!(poll(&world, &broker, &customer)["status"], "APPROVED", "{name}");
    }
}

#[test]
fn no_fault_makes_the_reconciler_apply_anything() {
    let world = World::new();
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    world.rig.start_session(&broker.key, Some(&customer));
    let applicant = world.applicant(&customer);
    world.control("POST", &format!("/applicants/{applicant}/approve"), &json!({}));
    let ask =
        || reconcile(&world.rig.appliance, &Scope::Everybody, Mode::Apply, &mut || true).unwrap();
    let count = facts(&world);
    for (name, what) in faults() {
        world.rig.advance(1000);
        fault(&world, "/resources/applicants", &what);

        let report = ask();

        assert_eq!((report.asked, report.drift()), (0, 0), "{name}: {report:?}");
        assert_eq!(facts(&world), count, "{name}");
        mend(&world);
    }
    assert_eq!(ask().drift(), 1);
    assert_eq!(poll(&world, &broker, &customer)["status"], "APPROVED");
}

#[test]
fn a_429_that_names_a_wait_keeps_every_call_quiet_until_then() {
    let world = World::new();
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    world.fault(&json!({"path": "/resources", "status": 429, "retryAfter": 30}));
    is_typed(&world.rig.start_session(&broker.key, Some(&customer)), "429");
    let calls = world.rig.appliance.sumsub.tally();

    world.rig.advance(10_000);
    let early = world.rig.start_session(&broker.key, Some(&customer));
    assert_eq!(early.refusal(), (502, "provider_unavailable"));
    assert_eq!(early.header("Retry-After"), Some("20"));
    assert_eq!(world.rig.appliance.sumsub.tally(), calls, "nothing was sent");

    world.rig.advance(20_000);
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
}

#[test]
fn the_wait_that_sumsub_asks_for_is_told_to_the_caller_in_whatever_form_it_came() {
    for wait in [
        json!(30),
        json!("Fri, 02 Jan 2026 03:04:35 GMT"),
        json!("Friday, 02-Jan-26 03:04:35 GMT"),
        json!("Fri Jan  2 03:04:35 2026"),
    ] {
        let world = World::new();
        let broker = world.rig.broker();
        let customer = world.rig.customer(&broker, "INDIVIDUAL");
        world.fault(&json!({"path": "/resources", "status": 429, "retryAfter": wait}));

        let answer = world.rig.start_session(&broker.key, Some(&customer));

        assert_eq!(answer.refusal(), (502, "provider_unavailable"), "{wait}");
        assert_eq!(answer.header("Retry-After"), Some("30"), "{wait}");
        assert!(answer.text("/error/message").contains("try again in 30 s"), "{answer:?}");
    }
}

#[test]
fn a_wait_of_many_digits_is_bounded_and_an_unreadable_one_is_the_usual() {
    for (wait, told) in [
        (json!("9".repeat(60)), "300"),
        (json!("4294967296"), "300"),
        (json!("later"), "5"),
        (json!("-30"), "5"),
    ] {
        let world = World::new();
        let broker = world.rig.broker();
        let customer = world.rig.customer(&broker, "INDIVIDUAL");
        world.fault(&json!({"path": "/resources", "status": 429, "retryAfter": wait,
            "count": 3}));

        let answer = world.rig.start_session(&broker.key, Some(&customer));

        assert_eq!(answer.header("Retry-After"), Some(told), "{wait}");
    }
}

#[test]
fn a_retry_after_beyond_all_reason_is_bounded() {
    let world = World::new();
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    world.fault(&json!({"path": "/resources", "status": 429, "retryAfter": 999_999_999}));

    let answer = world.rig.start_session(&broker.key, Some(&customer));

    assert_eq!(answer.header("Retry-After"), Some("300"));
    world.rig.advance(300_000);
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
}

#[test]
fn a_clock_that_is_off_by_more_than_sumsubs_minute_is_corrected_and_told() {
    for offset_ms in [-HOUR_MS, -90_000, 61_000, 20 * HOUR_MS] {
        let world = World::new();
        let broker = world.rig.broker();
        let customer = world.rig.customer(&broker, "INDIVIDUAL");
        world.rig.sign(&customer, &broker.id);
        world.control("POST", "/clock", &json!({"offsetMs": offset_ms}));

        // The very first call is refused by Sumsub, tells the time, and goes out once more.
        let session = world.rig.start_session(&broker.key, Some(&customer));

        assert_eq!(session.status, 200, "{offset_ms}: {session:?}");
        assert_eq!(world.applicants(&customer).len(), 1);
        let told = world.rig.appliance.timekeeper.measured().unwrap().offset_ms;
        assert!((told - offset_ms).abs() <= 1500, "{told}");

        // A share token, too, is not burnt by a wrong clock.
        let other = world.rig.customer(&broker, "INDIVIDUAL");
        world.rig.sign(&other, &broker.id);
        let body = json!({"shareToken": world.share_token()});
        let path = "/v1/organizations/verification/import";
        assert_eq!(world.rig.post(path, &broker.key, Some(&other), &body).status, 200);

        // Set right again, it is signed by our own clock again.
        world.control("POST", "/clock", &json!({"offsetMs": 0}));
        assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
        let told = world.rig.appliance.timekeeper.measured().unwrap().offset_ms;
        assert!(told.abs() <= 1500, "{told}");
    }
}

#[test]
fn a_clock_that_is_off_by_days_is_told_and_not_made_up_for() {
    let world = World::new();
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    world.control("POST", "/clock", &json!({"offsetMs": 48 * HOUR_MS}));

    let answer = world.rig.start_session(&broker.key, Some(&customer));

    assert_eq!(answer.refusal(), (502, "provider_unavailable"));
    let told = world.rig.appliance.timekeeper.measured().unwrap().offset_ms;
    assert!((told - 48 * HOUR_MS).abs() <= 1500, "{told}");
    let id = world.rig.appliance.sumsub.find_applicant(&customer);
    assert!(matches!(id, Err(SumsubError::Credentials(_))), "{id:?}");
}

#[test]
fn a_sumsub_that_takes_no_connection_is_a_502_and_polls_go_on() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // One fills the queue; whoever comes after it is not even refused.
    let _waiting = std::net::TcpStream::connect(address).unwrap();
    let rig = crate::rig::Rig::with(Setup {
        sumsub_url: format!("http://{address}"),
        ..Setup::default()
    });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");

    std::thread::scope(|scope| {
        let session = scope.spawn(|| rig.start_session(&broker.key, Some(&customer)));
        let mut polls = 0;
        while !session.is_finished() {
            assert_eq!(rig.status(&broker.key, &customer), "NOT_STARTED");
            polls += usize::from(!session.is_finished());
        }
        assert!(polls > 0, "no poll was answered while Sumsub took no connection");
        is_typed(&session.join().unwrap(), "no connection");
    });
    assert_eq!(rig.appliance.sumsub.last_contact(), None);
}
