//! Whose verdict counts (contract 9.1): the level, the applicant's type, the workflow, and what guards
//! an approval. An approval that does not count is kept, seen, and counts once it is accepted.

use std::sync::Arc;

use countersign::api::{Api, ApiSettings};
use countersign::domain::environment::Environment;
use countersign::domain::verdict::DecidedBy;
use countersign::http::Request;
use countersign::sumsub::ImportMode;
use countersign::usecase::decide::Decision;
use countersign::usecase::reconcile::{FindingKind, Mode, Report, Scope, reconcile};
use countersign::usecase::replay_inbox::{Filter, Today, replay_inbox};
use serde_json::{Value, json};

use crate::rig::{Broker, Rig, START_MS, Setup, acceptance, sumsub_instant};
use crate::stand_in::TwoClocks;
use crate::sumsub::{World, kind};
use countersign::domain::timestamp::Timestamp;
use countersign::store::Outcome;

/// A rig with one customer, who has signed, of one broker.
struct Customer {
    rig: Rig,
    broker: Broker,
    id: String,
    kind: &'static str,
}

impl Customer {
    fn with(kind: &'static str, setup: Setup) -> Self {
        let rig = Rig::with(setup);
        let broker = rig.broker();
        let id = rig.customer(&broker, kind);
        rig.sign(&id, &broker.id);
        Self { rig, broker, id, kind }
    }

    fn business() -> Self {
        Self::with("BUSINESS", Setup::default())
    }

    fn live() -> Self {
        Self::with("BUSINESS", Setup { environment: Environment::Live, ..Setup::default() })
    }

    fn of_workflows() -> Self {
        let setup = Setup { acceptance: acceptance(DecidedBy::Workflow), ..Setup::default() };
        Self::with("BUSINESS", setup)
    }

    /// A webhook of the right level and type, `second` seconds after the start.
    #[expect(clippy::needless_pass_by_value, reason = "written where it is used")]
    fn webhook(&self, event_type: &str, second: i64, result: Value) -> Value {
        let (applicant_type, level) = match self.kind {
            "BUSINESS" => ("company", "kyb-level"),
            _ => ("individual", "kyc-level"),
        };
        let at = Timestamp::from_ms(START_MS + second * 1000);
        json!({"applicantId": "a1", "applicantType": applicant_type, "levelName": level,
            "externalUserId": self.id, "type": event_type, "reviewStatus": "completed",
            "reviewResult": result, "createdAtMs": sumsub_instant(at)})
    }

    fn green(&self, second: i64) -> Value {
        self.webhook("applicantReviewed", second, json!({"reviewAnswer": "GREEN"}))
    }

    fn red(&self, second: i64) -> Value {
        let result = json!({"reviewAnswer": "RED", "reviewRejectType": "FINAL"});
        self.webhook("applicantReviewed", second, result)
    }

    /// Delivers; the outcome, the status, and whether the gate is open.
    fn deliver(&self, body: &Value) -> (String, String, bool) {
        assert_eq!(self.rig.deliver(body).status, 200);
        (self.rig.newest_outcome(), self.status(), self.may_act())
    }

    fn status(&self) -> String {
        self.rig.status(&self.broker.key, &self.id)
    }

    fn may_act(&self) -> bool {
        self.rig.get("/v1/organizations", &self.broker.key, Some(&self.id)).status == 200
    }

    fn explained(&self) -> Value {
        let path = format!("/v1/authorizations/explain?grantingOrganizationId={}", self.id);
        self.rig.get(&path, &self.broker.key, None).body
    }
}

/// Outcome and status, and the gate open where that is APPROVED: every customer here has signed.
fn found(outcome: &str, status: &str) -> (String, String, bool) {
    (outcome.to_owned(), status.to_owned(), status == "APPROVED")
}

fn but(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

fn ask(rig: &Rig, scope: &Scope, mode: Mode) -> Report {
    reconcile(&rig.appliance, scope, mode, &mut || true).unwrap()
}

#[test]
fn a_green_of_another_level_opens_nothing() {
    for level in [
        json!("email-check-only"),
        json!("KYB-LEVEL"),
        json!("kyb-level "),
        json!("kyc-level"),
        json!(""),
        json!(7),
        json!(true),
        json!(["kyb-level"]),
        json!({"name": "kyb-level"}),
        json!("x".repeat(300)),
    ] {
        let customer = Customer::business();
        let green = but(customer.green(1), "levelName", level.clone());
        assert_eq!(customer.deliver(&green), found("other_level", "NOT_STARTED"), "{level}");
    }
}

#[test]
fn a_persons_green_does_not_approve_a_business_nor_a_companys_a_person() {
    for (kind, types) in [
        ("BUSINESS", [json!("individual"), json!("Company"), json!(1), json!({})]),
        ("INDIVIDUAL", [json!("company"), json!(""), json!(["individual"]), json!(false)]),
    ] {
        for applicant_type in types {
            let customer = Customer::with(kind, Setup::default());
            let green = but(customer.green(1), "applicantType", applicant_type.clone());
            assert_eq!(
                customer.deliver(&green),
                found("other_applicant_type", "NOT_STARTED"),
                "{kind} {applicant_type}"
            );
        }
    }
}

#[test]
fn a_green_that_names_neither_level_nor_type_approves_as_before() {
    let customer = Customer::business();
    let mut green = customer.green(1);
    green.as_object_mut().unwrap().retain(|name, _| name != "levelName" && name != "applicantType");

    assert_eq!(customer.deliver(&green), found("changed", "APPROVED"));
}

#[test]
fn every_level_of_the_list_is_accepted() {
    let mut accepted = acceptance(DecidedBy::Level);
    accepted.levels_business.push("kyb-level-2".to_owned());
    let customer = Customer::with("BUSINESS", Setup { acceptance: accepted, ..Setup::default() });

    let green = but(customer.green(1), "levelName", json!("kyb-level-2"));

    assert_eq!(customer.deliver(&green), found("changed", "APPROVED"));
}

#[test]
fn what_takes_access_away_counts_from_any_level_and_type() {
    for (event_type, status, result, expected) in [
        (
            "applicantReviewed",
            "completed",
            json!({"reviewAnswer": "RED", "reviewRejectType": "FINAL"}),
            "REJECTED",
        ),
        (
            "applicantReviewed",
            "completed",
            json!({"reviewAnswer": "RED", "reviewRejectType": "RETRY"}),
            "RESUBMISSION_REQUIRED",
        ),
        ("applicantPending", "pending", Value::Null, "PENDING"),
        ("applicantOnHold", "onHold", json!({"reviewAnswer": "GREEN"}), "ON_HOLD"),
        ("applicantReset", "init", Value::Null, "RESUBMISSION_REQUIRED"),
        ("applicantDeleted", "completed", Value::Null, "RESUBMISSION_REQUIRED"),
    ] {
        let customer = Customer::business();
        customer.deliver(&customer.green(1));
        let mut body = customer.webhook(event_type, 5, result);
        body["reviewStatus"] = json!(status);
        body["levelName"] = json!("email-check-only");
        body["applicantType"] = json!("individual");
        assert_eq!(customer.deliver(&body), found("changed", expected), "{event_type}");
    }
}

#[test]
fn a_guard_that_cannot_be_read_keeps_an_approval_back_and_nothing_else() {
    for (guard, value) in [
        ("sandboxMode", json!(1)),
        ("sandboxMode", json!("yes")),
        ("sandboxMode", json!({})),
        ("testMode", json!(1)),
        ("testMode", json!("on")),
        ("testMode", json!([])),
        ("applicantMemberOf", json!("64aa")),
        ("applicantMemberOf", json!({"applicantId": "64aa"})),
        ("applicantMemberOf", json!([{}])),
        ("applicantMemberOf", json!(true)),
    ] {
        let customer = Customer::live();
        let green = but(customer.green(1), guard, value.clone());
        assert_eq!(
            customer.deliver(&green),
            found("unreadable_guard", "NOT_STARTED"),
            "{guard} {value}"
        );
        customer.deliver(&customer.green(2));
        assert!(customer.may_act());
        let red = but(customer.red(3), guard, value.clone());
        assert_eq!(customer.deliver(&red), found("changed", "REJECTED"), "{guard} {value}");
    }
}

#[test]
fn booleans_are_read_in_any_case_and_no_company_is_no_company() {
    for (guard, value, outcome) in [
        ("sandboxMode", json!("True"), "other_environment"),
        ("sandboxMode", json!("TRUE"), "other_environment"),
        ("testMode", json!("True"), "test_event"),
        ("applicantMemberOf", json!([{"applicantId": "64aa"}]), "member_of_company"),
    ] {
        let customer = Customer::live();
        let green = but(customer.green(1), guard, value.clone());
        assert_eq!(customer.deliver(&green), found(outcome, "NOT_STARTED"), "{guard} {value}");
    }
    for (guard, value) in [
        ("sandboxMode", json!("FALSE")),
        ("sandboxMode", json!("False")),
        ("testMode", json!("FALSE")),
        ("applicantMemberOf", json!([])),
        ("applicantMemberOf", Value::Null),
    ] {
        let customer = Customer::live();
        let green = but(customer.green(1), guard, value.clone());
        assert_eq!(customer.deliver(&green), found("changed", "APPROVED"), "{guard} {value}");
    }
}

#[test]
fn an_ignored_approval_is_seen_by_explain_metrics_and_the_review_queue() {
    let customer = Customer::business();
    customer.deliver(&but(customer.green(1), "levelName", json!("email-check-only")));

    let explained = customer.explained();
    let note = explained["conditions"][2]["note"].as_str().unwrap();
    assert!(note.contains("email-check-only"), "{note}");
    assert_eq!(explained["nextAction"]["who"], "operator");
    let api = Api::new(Arc::clone(&customer.rig.appliance), ApiSettings::default());
    let metrics = Request { method: "GET".into(), target: "/metrics".into(), ..Request::default() };
    let text = String::from_utf8(api.handle_metrics(&metrics).body).unwrap();
    assert!(text.contains("countersign_ignored_approvals 1\n"), "{text}");
    assert!(text.contains("countersign_deliveries{outcome=\"other_level\"} 1\n"), "{text}");
    let waiting = customer.rig.appliance.store.read(|it| it.ignored_approvals(9)).unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].level.as_deref(), Some("email-check-only"));
}

#[test]
fn an_ignored_approval_is_over_once_sumsub_or_an_operator_has_said_something_newer() {
    let seen = |it: &Customer| it.rig.appliance.store.read(|it| it.ignored_approvals(9)).unwrap();
    let customer = Customer::business();
    customer.deliver(&but(customer.green(5), "levelName", json!("email-check-only")));
    customer.deliver(&customer.webhook("applicantPending", 3, Value::Null));
    assert_eq!(seen(&customer).len(), 1, "what is older answers nothing");
    customer.rig.advance(10_000);
    customer.rig.decide(&customer.id, Decision::Hold).unwrap();
    assert_eq!(seen(&customer), []);

    let customer = Customer::business();
    customer.deliver(&customer.green(9));
    customer.deliver(&but(customer.green(5), "levelName", json!("email-check-only")));
    assert_eq!(seen(&customer), [], "it was answered before it came");
}

#[test]
fn an_ignored_approval_counts_by_replay_once_its_level_is_accepted() {
    let customer = Customer::business();
    let green = but(customer.green(1), "levelName", json!("kyb-level-2"));
    customer.deliver(&green);
    let filter = Filter::default();
    let same = replay_inbox(&customer.rig.appliance, &filter, Mode::Apply).unwrap();
    assert!(same.differences.is_empty(), "{same:?}");
    let restarted = accepting(customer, "kyb-level-2");

    let dry = replay_inbox(&restarted.rig.appliance, &filter, Mode::DryRun).unwrap();
    assert_eq!(dry.differences[0].before, Outcome::OtherLevel);
    assert_eq!(restarted.status(), "NOT_STARTED");
    replay_inbox(&restarted.rig.appliance, &filter, Mode::Apply).unwrap();

    assert_eq!(restarted.status(), "APPROVED");
    assert!(restarted.may_act());
    assert_eq!(restarted.rig.appliance.store.read(|it| it.ignored_approvals(9)).unwrap(), []);
}

/// The same register, served by a program that accepts another level as well.
fn accepting(customer: Customer, level: &str) -> Customer {
    let Customer { mut rig, broker, id, kind } = customer;
    let directory = std::mem::replace(&mut rig.directory, crate::rig::Directory::new());
    let clock_ms = Arc::clone(&rig.clock_ms);
    drop(rig);
    let mut accepted = acceptance(DecidedBy::Level);
    accepted.levels_business.push(level.to_owned());
    let setup = Setup { acceptance: accepted, ..Setup::default() };
    Customer { rig: Rig::start(directory, clock_ms, setup), broker, id, kind }
}

#[test]
fn what_counted_is_not_uncounted_and_a_replay_says_what_would_not_count_today() {
    let mut accepted = acceptance(DecidedBy::Level);
    accepted.levels_business.push("kyb-level-2".to_owned());
    let customer = Customer::with("BUSINESS", Setup { acceptance: accepted, ..Setup::default() });
    customer.deliver(&but(customer.green(1), "levelName", json!("kyb-level-2")));
    let restarted = accepting(customer, "another");

    let replayed = replay_inbox(&restarted.rig.appliance, &Filter::default(), Mode::Apply).unwrap();

    assert_eq!(replayed.differences[0].now, Today::WouldNotCount(Outcome::OtherLevel));
    assert_eq!(restarted.status(), "APPROVED");
}

#[test]
fn of_a_workflow_a_step_approves_nobody_and_its_end_does_at_whatever_level() {
    let customer = Customer::of_workflows();
    let step = but(customer.green(1), "levelName", json!("email-check-only"));
    assert_eq!(customer.deliver(&step), found("workflow_step", "NOT_STARTED"));
    assert_eq!(customer.deliver(&customer.green(2)), found("workflow_step", "NOT_STARTED"));
    let waiting = customer.rig.appliance.store.read(|it| it.ignored_approvals(9)).unwrap();
    assert_eq!(waiting, [], "a step that ends well is no case for an operator");
    let end = customer.webhook("applicantWorkflowCompleted", 3, json!({"reviewAnswer": "GREEN"}));
    let end = but(end, "levelName", json!("the-last-level"));

    assert_eq!(customer.deliver(&end), found("changed", "APPROVED"));
}

#[test]
fn a_step_that_goes_wrong_holds_an_approved_customer_until_the_workflow_ends() {
    let completed = |it: &Customer, second| {
        it.webhook("applicantWorkflowCompleted", second, json!({"reviewAnswer": "GREEN"}))
    };
    let retry = json!({"reviewAnswer": "RED", "reviewRejectType": "RETRY"});
    for wrong in ["FINAL", "RETRY", "hold"] {
        let customer = Customer::of_workflows();
        let step = |second| match wrong {
            "FINAL" => customer.red(second),
            "RETRY" => customer.webhook("applicantReviewed", second, retry.clone()),
            _ => {
                let it = customer.webhook("applicantOnHold", second, Value::Null);
                but(it, "reviewStatus", json!("onHold"))
            }
        };
        assert_eq!(customer.deliver(&step(1)), found("no_change", "NOT_STARTED"));
        customer.deliver(&completed(&customer, 2));
        assert_eq!(customer.deliver(&step(3)), found("changed", "ON_HOLD"), "{wrong}");
        assert_eq!(
            customer.deliver(&customer.green(4)),
            found("workflow_step", "ON_HOLD"),
            "a step does not lift it"
        );
        for event_type in ["applicantPending", "applicantAwaitingUser"] {
            let waits = customer.webhook(event_type, 4, Value::Null);
            assert_eq!(
                customer.deliver(&but(waits, "reviewStatus", json!("pending"))),
                found("no_change", "ON_HOLD"),
                "nor does what a step waits for"
            );
        }

        assert_eq!(customer.deliver(&completed(&customer, 5)), found("changed", "APPROVED"));
    }
}

#[test]
fn a_workflow_that_failed_never_approves() {
    for (result, of_workflows, of_levels) in [
        (
            json!({"reviewAnswer": "RED", "reviewRejectType": "FINAL"}),
            found("changed", "REJECTED"),
            found("changed", "REJECTED"),
        ),
        (
            json!({"reviewAnswer": "RED"}),
            found("changed", "RESUBMISSION_REQUIRED"),
            found("changed", "RESUBMISSION_REQUIRED"),
        ),
        // It ended badly, whatever answer it bears; where levels decide it says nothing.
        (
            json!({"reviewAnswer": "GREEN"}),
            found("changed", "ON_HOLD"),
            found("no_verdict", "APPROVED"),
        ),
        (Value::Null, found("changed", "ON_HOLD"), found("no_verdict", "APPROVED")),
    ] {
        for (customer, expected) in
            [(Customer::of_workflows(), of_workflows), (Customer::business(), of_levels)]
        {
            let failed = customer.webhook("applicantWorkflowFailed", 1, result.clone());
            let (_, status, may_act) = customer.deliver(&failed);
            assert!(status != "APPROVED" && !may_act, "{result}");
            let end = json!({"reviewAnswer": "GREEN"});
            customer.deliver(&customer.webhook("applicantWorkflowCompleted", 2, end));
            assert_eq!(customer.status(), "APPROVED");

            let failed = customer.webhook("applicantWorkflowFailed", 3, result.clone());
            assert_eq!(customer.deliver(&failed), expected, "{result}");
        }
    }
}

#[test]
fn asking_sumsub_does_not_approve_at_another_level_either() {
    let world = TwoClocks::off_by(0);
    let rig = world.rig();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    rig.sign(&customer, &broker.id);
    assert_eq!(rig.start_session(&broker.key, Some(&customer)).status, 200);
    world.pass(60_000);
    world.happens("a1", "green", "email-check-only");
    world.pass(60_000);

    let dry = ask(rig, &Scope::Everybody, Mode::DryRun);
    assert_eq!(dry.findings[0].kind, FindingKind::Ignored(Outcome::OtherLevel), "{dry:?}");
    assert_eq!(dry.findings[0].level.as_deref(), Some("email-check-only"));
    assert_eq!(rig.appliance.store.read(|it| it.ignored_approvals(9)).unwrap(), []);
    let report = ask(rig, &Scope::Everybody, Mode::Apply);

    assert_eq!((report.drift(), report.findings.len()), (0, 1));
    assert_eq!(world.status(&broker, &customer), "PENDING");
    assert!(!world.may_act(&broker, &customer));
    assert_eq!(rig.appliance.store.read(|it| it.ignored_approvals(9)).unwrap().len(), 1);
    // Nor does a session, which reads the applicant.
    assert_eq!(rig.start_session(&broker.key, Some(&customer)).status, 200);
    assert_eq!(world.status(&broker, &customer), "PENDING");
}

#[test]
fn a_customer_who_is_asked_again_is_moved_to_the_level_that_counts() {
    let world = TwoClocks::off_by(0);
    let rig = world.rig();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    rig.sign(&customer, &broker.id);
    assert_eq!(rig.start_session(&broker.key, Some(&customer)).status, 200);
    world.pass(60_000);
    world.deliver(&world.happens("a1", "green", "email-check-only"));
    assert_eq!(world.status(&broker, &customer), "PENDING");
    world.pass(60_000);
    rig.decide(&customer, Decision::Hold).unwrap();
    rig.decide(&customer, Decision::Resubmit).unwrap();

    world.pass(60_000);
    assert_eq!(rig.start_session(&broker.key, Some(&customer)).status, 200);

    assert!(
        world.calls().contains(&"POST /resources/applicants/a1/moveToLevel".to_owned()),
        "{:?}",
        world.calls()
    );
    world.pass(60_000);
    world.deliver(&world.happens("a1", "green", "kyb-level"));
    assert!(world.may_act(&broker, &customer));
}

#[test]
fn asking_sumsub_about_a_workflows_customer_reports_the_gap_and_approves_nobody() {
    let setup = Setup { acceptance: acceptance(DecidedBy::Workflow), ..Setup::default() };
    let world = World::with(kind(), setup);
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "BUSINESS");
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    world.deliver();
    let applicant = world.applicant(&customer);
    world.play(&applicant, "approve");
    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");

    let report = ask(&world.rig, &Scope::Everybody, Mode::Apply);

    assert_eq!(report.findings[0].kind, FindingKind::Ignored(Outcome::WorkflowStep), "{report:?}");
    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
    assert_eq!(world.rig.appliance.store.read(|it| it.ignored_approvals(9)).unwrap().len(), 1);
}

#[test]
fn an_imported_persons_review_decides_also_where_workflows_decide() {
    for import_mode in [ImportMode::Reuse, ImportMode::Copy] {
        let setup =
            Setup { acceptance: acceptance(DecidedBy::Workflow), import_mode, ..Setup::default() };
        let world = World::with(kind(), setup);
        let broker = world.rig.broker();
        let customer = world.rig.customer(&broker, "INDIVIDUAL");
        world.rig.sign(&customer, &broker.id);
        let body = json!({"shareToken": world.share_token()});
        let path = "/v1/organizations/verification/import";

        let answer = world.rig.post(path, &broker.key, Some(&customer), &body);

        assert_eq!(answer.text("/status"), "PENDING", "{answer:?}");
        world.deliver();
        assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED", "{import_mode:?}");
    }
}

/// A person whose applicant is a copy at a level that is not accepted.
fn copied_at_another_level(decided_by: DecidedBy) -> (World, Broker, String) {
    let mut accepted = acceptance(decided_by);
    accepted.levels_individual = vec!["our-own-level".to_owned()];
    let setup = Setup { acceptance: accepted, import_mode: ImportMode::Copy, ..Setup::default() };
    let world = World::with(kind(), setup);
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    world.rig.sign(&customer, &broker.id);
    let body = json!({"shareToken": world.share_token()});
    let path = "/v1/organizations/verification/import";
    assert_eq!(world.rig.post(path, &broker.key, Some(&customer), &body).status, 200);
    world.deliver();
    (world, broker, customer)
}

#[test]
fn a_copied_applicant_of_a_level_that_is_not_accepted_approves_nobody() {
    let (world, broker, customer) = copied_at_another_level(DecidedBy::Level);

    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
    let ignored = world.rig.appliance.store.read(|it| it.ignored_approvals(9)).unwrap();
    assert_eq!(ignored[0].level.as_deref(), Some("kyc-level"));
}

/// A customer of the simulator, who has signed and opened a session.
fn begun(setup: Setup, kind_of: &str) -> (World, Broker, String, String) {
    let world = World::with(kind(), setup);
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, kind_of);
    world.rig.sign(&customer, &broker.id);
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    world.deliver();
    let applicant = world.applicant(&customer);
    (world, broker, customer, applicant)
}

fn plays(world: &World, applicant: &str, action: &str, body: &Value) {
    world.rig.advance(1000);
    world.control("POST", &format!("/applicants/{applicant}/{action}"), body);
    world.deliver();
}

fn may_act(world: &World, broker: &Broker, customer: &str) -> bool {
    world.rig.get("/v1/organizations", &broker.key, Some(customer)).status == 200
}

#[test]
fn a_company_that_is_moved_to_a_weaker_level_and_approved_there_is_nobody_to_act_for() {
    let (world, broker, customer, applicant) = begun(Setup::default(), "BUSINESS");
    plays(&world, &applicant, "move-to-level", &json!({"name": "email-check-only"}));
    plays(&world, &applicant, "submit", &json!({}));
    plays(&world, &applicant, "approve", &json!({}));
    assert_eq!(world.rig.newest_outcome(), "other_level");
    for _ in 0..2 {
        assert!(!may_act(&world, &broker, &customer));
        ask(&world.rig, &Scope::Everybody, Mode::Apply);
        assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
        world.deliver();
    }
    assert_ne!(world.rig.status(&broker.key, &customer), "APPROVED");

    // The way out: ask again.
    world.rig.advance(1000);
    world.rig.decide(&customer, Decision::Hold).unwrap();
    world.rig.decide(&customer, Decision::Resubmit).unwrap();
    world.rig.advance(1000);
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200);
    world.deliver();
    let target = format!("/applicants?externalUserId={customer}");
    let shown = world.control("GET", &target, &Value::Null);
    assert_eq!(shown["applicants"][0]["levelName"], "kyb-level", "{shown}");
    plays(&world, &applicant, "submit", &json!({}));
    plays(&world, &applicant, "approve", &json!({}));
    assert!(may_act(&world, &broker, &customer));
}

#[test]
fn an_approved_company_that_is_moved_to_another_level_is_suspended_at_once() {
    let (world, broker, customer, applicant) = begun(Setup::default(), "BUSINESS");
    plays(&world, &applicant, "approve", &json!({}));
    assert!(may_act(&world, &broker, &customer));

    plays(&world, &applicant, "move-to-level", &json!({"name": "email-check-only"}));

    assert_eq!(world.rig.status(&broker.key, &customer), "RESUBMISSION_REQUIRED");
    plays(&world, &applicant, "approve", &json!({}));
    assert!(!may_act(&world, &broker, &customer));
}

#[test]
fn a_workflow_of_two_levels_approves_at_its_end_and_its_first_step_never_does() {
    let workflow = json!({"applicantType": "company", "levels": ["email-check-only", "kyb-level"]});
    for decided_by in [DecidedBy::Level, DecidedBy::Workflow] {
        let setup = Setup { acceptance: acceptance(decided_by), ..Setup::default() };
        let (world, broker, customer, applicant) = begun(setup, "BUSINESS");
        plays(&world, &applicant, "move-to-level", &json!({"name": "email-check-only"}));
        world.control("POST", "/workflows", &workflow);

        plays(&world, &applicant, "approve", &json!({}));
        assert!(!may_act(&world, &broker, &customer), "{decided_by:?}");
        plays(&world, &applicant, "approve", &json!({}));

        assert!(may_act(&world, &broker, &customer), "{decided_by:?}");
        // Another look at the last step goes wrong: held until the workflow ends.
        plays(&world, &applicant, "retry", &json!({}));
        assert!(!may_act(&world, &broker, &customer), "{decided_by:?}");
        let expected =
            if decided_by == DecidedBy::Level { "RESUBMISSION_REQUIRED" } else { "ON_HOLD" };
        assert_eq!(world.rig.status(&broker.key, &customer), expected);
        plays(&world, &applicant, "workflow-completed", &json!({"reviewAnswer": "GREEN"}));
        assert!(may_act(&world, &broker, &customer), "{decided_by:?}");
        plays(&world, &applicant, "workflow-failed", &json!({"reviewAnswer": "RED"}));
        assert_eq!(world.rig.status(&broker.key, &customer), "REJECTED", "{decided_by:?}");
    }
}

#[test]
fn a_persons_verdict_under_a_companys_id_is_kept_and_opens_nothing() {
    let (world, broker, customer, applicant) = begun(Setup::default(), "BUSINESS");
    for level in ["kyc-level", "kyb-level"] {
        plays(
            &world,
            &applicant,
            "event",
            &json!({"type": "applicantReviewed", "set": {
                "applicantType": "individual", "levelName": level,
                "reviewStatus": "completed", "reviewResult": {"reviewAnswer": "GREEN"}}}),
        );
        assert_eq!(world.rig.newest_outcome(), "other_applicant_type", "{level}");
        assert!(!may_act(&world, &broker, &customer));
    }
    // A person's applicant that bears the company's id, which no session of ours made.
    let another = world.rig.customer(&broker, "BUSINESS");
    world.rig.sign(&another, &broker.id);
    let person = json!({"levelName": "kyc-level", "externalUserId": another, "type": "individual"});
    let id = world.control("POST", "/applicants", &person)["id"].as_str().unwrap().to_owned();
    plays(&world, &id, "approve", &json!({}));
    assert_eq!(world.rig.newest_outcome(), "other_applicant_type");
    assert!(!may_act(&world, &broker, &another));
}

#[test]
fn a_failed_step_does_not_hide_a_rejection_from_an_operator() {
    let failed = |it: &Customer, second| {
        let result = json!({"reviewAnswer": "RED", "reviewRejectType": "FINAL"});
        it.webhook("applicantWorkflowFailed", second, result)
    };
    let customer = Customer::of_workflows();
    customer.deliver(&failed(&customer, 1));
    customer.deliver(&customer.red(2));
    customer.rig.advance(5_000);
    customer.rig.decide(&customer.id, Decision::Hold).unwrap();
    assert!(customer.rig.decide(&customer.id, Decision::Approve).is_err(), "against a rejection");

    let customer = Customer::of_workflows();
    let end = customer.webhook("applicantWorkflowCompleted", 1, json!({"reviewAnswer": "GREEN"}));
    customer.deliver(&end);
    customer.deliver(&customer.red(3));
    customer.rig.advance(5_000);
    customer.rig.decide(&customer.id, Decision::Hold).unwrap();
    customer.rig.decide(&customer.id, Decision::Approve).unwrap();
    assert!(customer.may_act());
    assert_eq!(customer.deliver(&failed(&customer, 2)), found("changed", "REJECTED"));
}

#[test]
fn an_approval_without_an_instant_never_wins_over_what_takes_it_away() {
    let undated = |it: &Customer| but(it.green(0), "createdAtMs", json!({"ms": 1}));
    // Something that takes access away is known: nobody can tell which is newer.
    let customer = Customer::business();
    customer.deliver(&customer.red(1));
    assert_eq!(customer.deliver(&undated(&customer)), found("awaiting_provider", "REJECTED"));
    // It comes later and happened before the approval arrived.
    let customer = Customer::business();
    customer.rig.advance(60_000);
    assert_eq!(customer.deliver(&undated(&customer)), found("changed", "APPROVED"));
    assert_eq!(customer.deliver(&customer.red(30)), found("changed", "REJECTED"));
}

#[test]
fn an_instant_is_read_also_where_it_was_retyped_and_a_whole_second_is_the_safe_end_of_it() {
    let at = |second: i64| START_MS + second * 1000;
    for (red, green) in
        [(json!(at(2)), json!(at(1))), (json!(Timestamp::from_ms(at(2)).to_string()), json!(at(1)))]
    {
        let customer = Customer::business();
        customer.deliver(&but(customer.red(0), "createdAtMs", red));
        let green = but(customer.green(0), "createdAtMs", green);
        assert_eq!(customer.deliver(&green), found("no_change", "REJECTED"));
    }
    let customer = Customer::business();
    let mut red = customer.red(0);
    red.as_object_mut().unwrap().remove("createdAtMs");
    red["createdAt"] = json!("2026-01-02 03:04:06+0000");
    let mut green = customer.green(0);
    green["createdAtMs"] = json!("2026-01-02 03:04:06.400");
    customer.deliver(&green);
    assert_eq!(customer.deliver(&red), found("changed", "REJECTED"));
    assert_eq!(customer.deliver(&but(green, "correlationId", json!("again"))).1, "REJECTED");
}

#[test]
fn a_workflows_end_does_not_approve_a_copy_at_a_level_that_is_not_accepted() {
    let (world, broker, customer) = copied_at_another_level(DecidedBy::Workflow);
    let applicant = world.control("GET", "/applicants", &Value::Null)["applicants"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["externalUserId"].as_str().is_some_and(|it| it.starts_with("copy-")))
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .unwrap();

    plays(&world, &applicant, "workflow-completed", &json!({"reviewAnswer": "GREEN"}));

    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");
}
