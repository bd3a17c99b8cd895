//! Healing: what a lost webhook would have said is found by asking Sumsub, applied by the same table,
//! and counted.

use std::sync::Arc;
use std::time::Duration;

use countersign::api::{Api, ApiSettings};
use countersign::domain::organization::OrganizationId;
use countersign::http::Request;
use countersign::store::Patience;
use countersign::usecase::decide::Decision;
use countersign::usecase::reconcile::{FindingKind, Mode, Report, Scope, reconcile};
use countersign::usecase::reconciler::{GAP_MS, LONGEST_WAIT_MS, Memory, Pulse, Reconciler, pass};
use serde_json::{Value, json};

use crate::rig::{Broker, DAY_MS};
use crate::sumsub::World;

const MINUTE_MS: i64 = 60_000;
const PATIENCE: Patience = Patience { first_ms: 10 * MINUTE_MS, longest_ms: LONGEST_WAIT_MS };

/// A world with a customer who has begun; its applicant.
fn pending(kind: &str) -> (World, Broker, String, String) {
    let world = World::new();
    let (broker, customer, applicant) = another(&world, kind);
    (world, broker, customer, applicant)
}

fn another(world: &World, kind: &str) -> (Broker, String, String) {
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, kind);
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    world.deliver();
    let applicant = world.applicant(&customer);
    (broker, customer, applicant)
}

/// Plays customer or reviewer, and loses every webhook of it.
pub(crate) fn lose(world: &World, applicant: &str, action: &str) {
    world.rig.advance(1000);
    world.control("POST", "/traps", &json!({"tricks": ["lost"], "count": 99}));
    world.control("POST", &format!("/applicants/{applicant}/{action}"), &json!({}));
    world.control("DELETE", "/traps", &Value::Null);
    assert_eq!(world.deliver(), 0);
}

/// One pass of the reconciler, of a server that has run all the time.
fn passes(world: &World, memory: &mut Memory) -> Report {
    pass(&world.rig.appliance, PATIENCE, memory, &mut || true).unwrap()
}

fn ask(world: &World, scope: &Scope, mode: Mode) -> Report {
    reconcile(&world.rig.appliance, scope, mode, &mut || true).unwrap()
}

fn facts(world: &World) -> i64 {
    world
        .rig
        .database()
        .query_row("SELECT count(*) FROM verification_event", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_lost_approval_is_found_applied_once_and_counted() {
    let (world, broker, customer, applicant) = pending("INDIVIDUAL");
    let mut memory = Memory::default();
    passes(&world, &mut memory);
    lose(&world, &applicant, "approve");
    let before = facts(&world);

    world.rig.advance(9 * MINUTE_MS);
    let early = passes(&world, &mut memory);
    assert_eq!((early.asked, early.drift()), (0, 0), "it does not wait longer than it should yet");
    world.rig.advance(2 * MINUTE_MS);
    let report = passes(&world, &mut memory);

    assert_eq!((report.asked, report.drift()), (1, 1), "{report:?}");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
    let path = "/v1/organizations/verification/events";
    let history = world.rig.get(path, &broker.key, Some(&customer));
    assert_eq!(history.text("/data/0/source"), "reconcile");
    assert_eq!(history.text("/data/0/cause"), "provider_approved");
    let metrics = Request { method: "GET".into(), target: "/metrics".into(), ..Request::default() };
    let api = Api::new(Arc::clone(&world.rig.appliance), ApiSettings::default());
    let text = String::from_utf8(api.handle_metrics(&metrics).body).unwrap();
    assert!(text.contains("countersign_drift 1\n"), "{text}");

    ask(&world, &Scope::Everybody, Mode::Apply);
    assert_eq!(facts(&world), before + 1, "what is known is not applied again");
}

#[test]
fn a_webhook_that_comes_after_it_was_found_changes_nothing() {
    let (world, broker, customer, applicant) = pending("INDIVIDUAL");
    world.rig.advance(1000);
    world.control("POST", &format!("/applicants/{applicant}/approve"), &json!({}));
    assert_eq!(ask(&world, &Scope::Waiting, Mode::Apply).drift(), 1);
    let poll =
        || world.rig.get("/v1/organizations/verification", &broker.key, Some(&customer)).body;
    let found = poll();

    world.rig.advance(MINUTE_MS);
    assert!(world.deliver() > 0);

    assert_eq!(poll(), found);
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
}

#[test]
fn whoever_is_just_slow_is_asked_about_ever_more_rarely() {
    let (world, ..) = pending("INDIVIDUAL");
    let mut memory = Memory::default();
    passes(&world, &mut memory);
    let asked_within = |memory: &mut Memory, minutes: u32| {
        let mut asked = 0;
        for _ in 0..minutes / 5 {
            world.rig.advance(5 * MINUTE_MS);
            asked += passes(&world, memory).asked;
        }
        asked
    };

    assert_eq!(asked_within(&mut memory, 5), 0);
    // After 10, 20, 40, 80, 160, 320, 640 and 1280 minutes.
    assert_eq!(asked_within(&mut memory, 24 * 60), 8);
    // From now on once a day at the most.
    let later = asked_within(&mut memory, 3 * 24 * 60);
    assert!((2..=3).contains(&later), "{later}");
}

#[test]
fn after_a_gap_settled_customers_are_asked_about_too() {
    let (world, broker, customer, applicant) = pending("INDIVIDUAL");
    world.play(&applicant, "approve");
    let mut memory = Memory::default();
    for _ in 0..30 {
        world.rig.advance(MINUTE_MS);
        passes(&world, &mut memory);
    }
    lose(&world, &applicant, "reset");
    for _ in 0..30 {
        world.rig.advance(MINUTE_MS);
        passes(&world, &mut memory);
    }
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED", "nothing told of it");

    // The server was away.
    world.rig.advance(GAP_MS + MINUTE_MS);
    let report = passes(&world, &mut Memory::default());

    assert_eq!(report.drift(), 1, "{report:?}");
    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");
}

#[test]
fn one_lost_webhook_makes_the_reconciler_look_at_everybody() {
    let (world, _, _, slow) = pending("INDIVIDUAL");
    let (broker, settled, approved) = another(&world, "INDIVIDUAL");
    world.play(&approved, "approve");
    let mut memory = Memory::default();
    passes(&world, &mut memory);
    lose(&world, &approved, "recheck");
    lose(&world, &slow, "approve");
    let mut found = 0;
    for _ in 0..11 {
        world.rig.advance(MINUTE_MS);
        found += passes(&world, &mut memory).drift();
    }
    assert_eq!(found, 1, "whoever waits");
    assert_eq!(world.rig.status(&broker.key, &settled), "APPROVED");

    // Everybody is asked about at most once an hour.
    for _ in 0..10 {
        world.rig.advance(5 * MINUTE_MS);
        found += passes(&world, &mut memory).drift();
    }

    assert_eq!(found, 2);
    assert_eq!(world.rig.status(&broker.key, &settled), "PENDING");
}

#[test]
fn an_operators_decision_stands_whatever_sumsub_says_when_asked() {
    let (world, broker, customer, applicant) = pending("INDIVIDUAL");
    world.rig.decide(&customer, Decision::Hold).unwrap();
    lose(&world, &applicant, "approve");
    let before = facts(&world);
    world.rig.advance(DAY_MS);

    let scope = Scope::One(OrganizationId::new(&*customer));
    let held = ask(&world, &scope, Mode::Apply);
    assert_eq!((held.asked, held.drift()), (1, 0));
    assert_eq!(world.rig.status(&broker.key, &customer), "ON_HOLD");

    world.rig.decide(&customer, Decision::Reject).unwrap();
    assert_eq!(ask(&world, &scope, Mode::Apply).drift(), 0);
    assert_eq!(world.rig.status(&broker.key, &customer), "REJECTED");
    assert_eq!(facts(&world), before + 1, "only the operator's");
}

#[test]
fn a_hold_that_an_operator_released_is_not_set_again_because_sumsub_still_holds() {
    let (world, broker, customer, applicant) = pending("BUSINESS");
    world.play(&applicant, "submit");
    assert_eq!(world.rig.status(&broker.key, &customer), "ON_HOLD");
    world.rig.decide(&customer, Decision::Approve).unwrap();
    world.rig.advance(DAY_MS);

    let report = ask(&world, &Scope::Everybody, Mode::Apply);

    assert_eq!((report.asked, report.drift()), (1, 0), "{report:?}");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
}

#[test]
fn a_verdict_that_the_customer_has_answered_by_a_new_session_is_not_applied_again() {
    let (world, broker, customer, applicant) = pending("INDIVIDUAL");
    world.play(&applicant, "retry");
    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");
    // Within the very second of the verdict, whose fraction Sumsub leaves out.
    world.rig.advance(10);
    world.rig.start_session(&broker.key, Some(&customer));
    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
    world.rig.advance(DAY_MS);

    assert_eq!(ask(&world, &Scope::Everybody, Mode::Apply).drift(), 0);
    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
}

#[test]
fn an_approval_that_expired_is_not_renewed_by_asking() {
    let (world, broker, customer, applicant) = pending("INDIVIDUAL");
    world.play(&applicant, "approve");
    world.rig.advance(366 * DAY_MS);
    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");

    assert_eq!(ask(&world, &Scope::Everybody, Mode::Apply).drift(), 0);

    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");
}

#[test]
fn whatever_is_lost_the_status_is_in_the_end_what_it_would_have_been() {
    let stories: [&[&str]; 6] = [
        &["submit", "approve"],
        &["submit", "retry", "submit", "approve"],
        &["approve", "recheck", "retry"],
        &["approve", "reset", "submit"],
        &["submit", "reject"],
        &["submit", "hold", "approve", "reset"],
    ];
    for story in stories {
        let (world, broker, customer, applicant) = pending("INDIVIDUAL");
        for action in story {
            world.play(&applicant, action);
        }
        let told = world.rig.status(&broker.key, &customer);
        for mask in 0..1_u32 << story.len() {
            let (broker, customer, applicant) = another(&world, "INDIVIDUAL");
            for (number, action) in story.iter().enumerate() {
                if mask & (1 << number) == 0 {
                    world.play(&applicant, action);
                } else {
                    lose(&world, &applicant, action);
                }
            }
            world.rig.advance(MINUTE_MS);

            ask(&world, &Scope::Everybody, Mode::Apply);

            let found = world.rig.status(&broker.key, &customer);
            // A reset of whoever was never approved leaves no trace but PENDING.
            let was_lost = found == "PENDING" && told == "RESUBMISSION_REQUIRED";
            assert!(found == told || was_lost, "{story:?} {mask:b}: {found}, not {told}");
            let again = ask(&world, &Scope::Everybody, Mode::DryRun);
            assert_eq!(again.drift(), 0, "{story:?} {mask:b}: {again:?}");
        }
    }
}

#[test]
fn an_applicant_that_sumsub_does_not_know_is_told_and_not_applied() {
    let (world, broker, customer, applicant) = pending("INDIVIDUAL");
    world.play(&applicant, "approve");
    let before = facts(&world);
    world.fault(&json!({"path": "/resources/applicants", "status": 404}));

    let report = ask(&world, &Scope::Everybody, Mode::Apply);

    assert_eq!(report.findings.first().unwrap().kind, FindingKind::Unknown);
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
    assert_eq!(facts(&world), before);
}

#[test]
fn a_dead_sumsub_ends_a_pass_and_the_first_one_after_it_heals() {
    let world = World::new();
    let customers: Vec<_> = (0..5).map(|_| another(&world, "INDIVIDUAL")).collect();
    let mut memory = Memory::default();
    passes(&world, &mut memory);
    for (_, _, applicant) in &customers {
        lose(&world, applicant, "approve");
    }
    world.fault(&json!({"path": "/resources", "count": 9999, "status": 503}));
    world.rig.advance(11 * MINUTE_MS);

    let dead = passes(&world, &mut memory);
    assert!(dead.stopped_by.is_some());
    assert_eq!((dead.asked, dead.drift()), (0, 0));

    world.control("DELETE", "/faults", &Value::Null);
    world.rig.advance(MINUTE_MS);
    assert_eq!(passes(&world, &mut memory).drift(), 5);
    for (broker, customer, _) in &customers {
        assert_eq!(world.rig.status(&broker.key, customer), "APPROVED");
    }
}

#[test]
fn a_dry_run_of_the_command_tells_what_it_would_change_and_changes_nothing() {
    let world = World::in_real_time();
    let (broker, customer, applicant) = another(&world, "INDIVIDUAL");
    lose(&world, &applicant, "approve");
    let register = world.rig.directory.file("register.db").display().to_string();
    let shell = crate::crash::shell(&world).with(&[("COUNTERSIGN_DATABASE", &register)]);

    let dry = shell.run(&["reconcile", "--dry-run"]).ends(6);
    assert!(dry.contains(&customer) && dry.contains("APPROVED"), "{dry}");
    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");

    let applied: Value = serde_json::from_str(&shell.run(&["reconcile", "--json"]).ok()).unwrap();
    assert_eq!(applied["drift"], 1);
    assert_eq!(applied["findings"][0]["to"], "APPROVED");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
    assert_eq!(shell.run(&["reconcile", "--everybody", "--dry-run"]).ok(), "");

    world.fault(&json!({"path": "/resources", "count": 99, "status": 401}));
    shell.run(&["reconcile", "--everybody"]).ends(4);
    world.control("DELETE", "/faults", &Value::Null);

    // Also of the only one: no answer is no "nothing differs".
    world.fault(&json!({"path": "/resources", "count": 99, "status": 503}));
    shell.run(&["reconcile", "--everybody"]).ends(4);
}

#[test]
fn one_applicant_that_sumsub_refuses_to_speak_of_keeps_nobody_else_from_being_healed() {
    let world = World::new();
    let customers: Vec<_> = (0..4).map(|_| another(&world, "INDIVIDUAL")).collect();
    for (_, _, applicant) in &customers {
        world.play(applicant, "approve");
    }
    passes(&world, &mut Memory::default());
    for (_, _, applicant) in &customers {
        lose(&world, applicant, "reset");
    }
    let refused = &customers[0].2;
    world.fault(&json!({"path": format!("/resources/applicants/{refused}"), "count": 9999,
        "status": 401}));
    world.rig.advance(GAP_MS + MINUTE_MS);
    let mut memory = Memory::default();

    for _ in 0..20 {
        passes(&world, &mut memory);
        world.rig.advance(MINUTE_MS);
    }

    for (broker, customer, _) in &customers[1..] {
        assert_eq!(world.rig.status(&broker.key, customer), "RESUBMISSION_REQUIRED");
    }
    world.control("DELETE", "/faults", &Value::Null);
    for _ in 0..20 {
        passes(&world, &mut memory);
        world.rig.advance(MINUTE_MS);
    }
    let (broker, customer, _) = &customers[0];
    assert_eq!(world.rig.status(&broker.key, customer), "RESUBMISSION_REQUIRED", "and asked again");
}

#[test]
fn what_sumsub_says_now_is_newer_than_what_it_said_when_asked_before() {
    let (world, broker, customer, applicant) = pending("INDIVIDUAL");
    lose(&world, &applicant, "hold");
    let one = Scope::One(OrganizationId::new(&customer));
    assert_eq!(ask(&world, &one, Mode::Apply).drift(), 1);
    assert_eq!(world.rig.status(&broker.key, &customer), "ON_HOLD");

    // Sumsub dates its approval before the instant at which its hold was read here.
    world.rig.advance(-4000);
    lose(&world, &applicant, "approve");
    world.rig.advance(MINUTE_MS);

    assert_eq!(ask(&world, &one, Mode::Apply).drift(), 1);
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
    assert_eq!(ask(&world, &one, Mode::Apply).drift(), 0, "once");
}

#[test]
fn a_reconciler_that_is_stopped_in_the_middle_of_a_pass_ends() {
    let world = World::new();
    for _ in 0..3 {
        another(&world, "INDIVIDUAL");
    }
    world.rig.advance(DAY_MS);
    let pulse = Pulse { every: Duration::from_secs(3600), patience: PATIENCE };

    let reconciler = Reconciler::start(Arc::clone(&world.rig.appliance), pulse).unwrap();

    reconciler.stop();
}
