//! What an operator's decision rests on (contract 9.2): it carries what its maker had been shown, falls
//! to what could not be known, and overrules Sumsub only where it says so, for every reader to see.

use countersign::domain::verification::Event;
use countersign::usecase::decide::{Decision, Ground};
use countersign::usecase::reconcile::{FindingKind, Mode, Scope, reconcile};
use serde_json::Value;

use crate::rig::Broker;
use crate::stand_in::TwoClocks;

const MINUTE_MS: i64 = 60_000;

/// A customer who has signed and was approved by Sumsub a minute ago.
struct Case {
    world: TwoClocks,
    broker: Broker,
    customer: String,
}

impl Case {
    fn approved() -> Self {
        let case = Self::begun();
        case.world.deliver(&case.happens("green"));
        case.world.pass(MINUTE_MS);
        assert!(case.may_act());
        case
    }

    fn begun() -> Self {
        let world = TwoClocks::off_by(0);
        let broker = world.rig().broker();
        let customer = world.rig().customer(&broker, "BUSINESS");
        world.rig().sign(&customer, &broker.id);
        assert_eq!(world.rig().start_session(&broker.key, Some(&customer)).status, 200);
        world.pass(MINUTE_MS);
        Self { world, broker, customer }
    }

    fn happens(&self, what: &str) -> Value {
        self.world.happens("a1", what, "kyb-level")
    }

    fn status(&self) -> String {
        self.world.status(&self.broker, &self.customer)
    }

    fn may_act(&self) -> bool {
        self.world.may_act(&self.broker, &self.customer)
    }

    fn decide(&self, decision: Decision) -> Result<(), String> {
        let decided = self.world.rig().decide(&self.customer, decision);
        self.world.pass(MINUTE_MS);
        decided
    }

    fn approve_against(&self) -> Result<(), String> {
        let basis = self.world.rig().shown(&self.customer).basis();
        let ground = Ground { basis, against_provider: true };
        let decided = self.world.rig().decide_on(&self.customer, Decision::Approve, ground);
        self.world.pass(MINUTE_MS);
        decided
    }

    fn explained(&self) -> Value {
        let path = format!("/v1/authorizations/explain?grantingOrganizationId={}", self.customer);
        self.world.rig().get(&path, &self.broker.key, None).body
    }

    fn findings(&self, scope: &Scope, mode: Mode) -> Vec<FindingKind> {
        let report = reconcile(&self.world.rig().appliance, scope, mode, &mut || true).unwrap();
        report.findings.into_iter().map(|it| it.kind).collect()
    }
}

#[test]
fn a_rejection_that_came_late_takes_an_operators_approval_back() {
    for (what, expected) in [
        ("final", "REJECTED"),
        ("retry", "RESUBMISSION_REQUIRED"),
        ("reset", "RESUBMISSION_REQUIRED"),
        ("hold", "ON_HOLD"),
    ] {
        // Before the hold, and between hold and approval.
        for between in [false, true] {
            let case = Case::approved();
            let mut late = Value::Null;
            if !between {
                late = case.happens(what);
                case.world.pass(MINUTE_MS);
            }
            case.decide(Decision::Hold).unwrap();
            if between {
                late = case.happens(what);
                case.world.pass(MINUTE_MS);
            }
            case.decide(Decision::Approve).unwrap();
            assert!(case.may_act());

            case.world.deliver(&late);

            assert_eq!(case.status(), expected, "{what}, between: {between}");
            assert!(!case.may_act());
        }
    }
}

#[test]
fn an_approval_stands_where_sumsubs_newest_verdict_is_not_the_late_one() {
    // RED, then GREEN, both before the hold; only the GREEN was known.
    let case = Case::begun();
    let late = case.happens("final");
    case.world.pass(MINUTE_MS);
    case.world.deliver(&case.happens("green"));
    case.world.pass(MINUTE_MS);
    case.decide(Decision::Hold).unwrap();
    case.decide(Decision::Approve).unwrap();
    case.world.deliver(&late);
    assert!(case.may_act());

    // An older retry than the rejection that the operator knew.
    let case = Case::approved();
    let older = case.happens("retry");
    case.world.pass(MINUTE_MS);
    case.world.deliver(&case.happens("final"));
    case.world.pass(MINUTE_MS);
    case.decide(Decision::Hold).unwrap();
    case.approve_against().unwrap();
    case.world.deliver(&older);
    assert!(case.may_act());
}

#[test]
fn what_happens_after_an_approval_counts_as_ever() {
    let case = Case::approved();
    case.decide(Decision::Hold).unwrap();
    case.decide(Decision::Approve).unwrap();
    let late = case.happens("final");
    case.world.pass(MINUTE_MS);
    case.world.deliver(&late);
    assert_eq!(case.status(), "REJECTED");
}

#[test]
fn a_decision_is_refused_when_something_happened_that_its_maker_was_not_shown() {
    for what in ["green", "final", "pending"] {
        let case = Case::approved();
        case.decide(Decision::Hold).unwrap();
        let basis = case.world.rig().shown(&case.customer).basis();
        let ground = Ground { basis, against_provider: true };
        case.world.deliver(&case.happens(what));
        case.world.pass(MINUTE_MS);

        let refused = case.world.rig().decide_on(&case.customer, Decision::Approve, ground);

        assert!(refused.unwrap_err().contains("something happened meanwhile"));
        assert_eq!(case.status(), "ON_HOLD", "{what}");
    }
    let case = Case::approved();
    let ground =
        Ground { basis: case.world.rig().shown(&case.customer).basis(), against_provider: false };
    case.decide(Decision::Hold).unwrap();
    for decision in [Decision::Approve, Decision::Reject, Decision::Resubmit] {
        assert!(case.world.rig().decide_on(&case.customer, decision, ground).is_err());
    }
    let future = Ground { basis: 1_000_000, against_provider: false };
    assert!(case.world.rig().decide_on(&case.customer, Decision::Approve, future).is_err());
}

#[test]
fn a_session_between_does_not_outdate_a_decision() {
    let case = Case::approved();
    case.decide(Decision::Hold).unwrap();
    let ground =
        Ground { basis: case.world.rig().shown(&case.customer).basis(), against_provider: false };
    case.world.pass(15 * MINUTE_MS);
    let rig = case.world.rig();
    assert_eq!(rig.start_session(&case.broker.key, Some(&case.customer)).status, 200);

    assert_eq!(rig.decide_on(&case.customer, Decision::Approve, ground), Ok(()));
}

#[test]
fn approving_against_sumsub_has_to_be_said_and_every_reader_is_told() {
    for (what, words) in [
        ("final", "against Sumsub's rejection of"),
        ("retry", "against Sumsub's request to submit again of"),
        ("reset", "against Sumsub's reset of"),
    ] {
        let case = Case::approved();
        case.decide(Decision::Hold).unwrap();
        case.world.deliver(&case.happens(what));
        case.world.pass(MINUTE_MS);
        let refused = case.decide(Decision::Approve).unwrap_err();
        assert!(refused.contains(words), "{refused}");
        assert_eq!(case.status(), "ON_HOLD");

        case.approve_against().unwrap();

        assert!(case.may_act());
        let explained = case.explained();
        let note = explained["conditions"][2]["note"].as_str().unwrap();
        assert!(note.contains(words), "{note}");
        let path = "/v1/organizations/verification/events";
        let history = case.world.rig().get(path, &case.broker.key, Some(&case.customer));
        assert!(history.text("/data/0/note").contains(words), "{history:?}");
    }
}

#[test]
fn an_approval_without_any_check_is_told_and_one_on_sumsubs_green_is_not() {
    let case = Case::begun();
    case.decide(Decision::Hold).unwrap();
    case.decide(Decision::Approve).unwrap();
    let note = case.explained()["conditions"][2]["note"].clone();
    assert!(note.as_str().unwrap().contains("no check by Sumsub on file"), "{note}");

    let case = Case::approved();
    case.decide(Decision::Hold).unwrap();
    case.decide(Decision::Approve).unwrap();
    assert_eq!(case.explained()["conditions"][2]["note"], Value::Null);
}

#[test]
fn asking_sumsub_reports_an_overruled_verdict_and_never_applies_it() {
    let case = Case::approved();
    case.decide(Decision::Hold).unwrap();
    case.world.deliver(&case.happens("final"));
    case.world.pass(MINUTE_MS);
    case.approve_against().unwrap();
    let overruled = [FindingKind::Overruled {
        verdict: Event::ProviderRejected,
        status: countersign::domain::verification::Status::Approved,
    }];

    assert_eq!(case.findings(&Scope::Everybody, Mode::DryRun), overruled);
    assert_eq!(case.findings(&Scope::Everybody, Mode::Apply), overruled);
    case.world.pass(MINUTE_MS);
    assert_eq!(case.findings(&Scope::Everybody, Mode::Apply), overruled, "whoever asks is told");
    assert!(case.may_act());
    // The server that asks by itself says it once.
    let appliance = &case.world.rig().appliance;
    let patience = countersign::store::Patience { first_ms: 0, longest_ms: 0 };
    let mut memory = countersign::usecase::reconciler::Memory::default();
    let mut pass = || {
        countersign::usecase::reconciler::pass(appliance, patience, &mut memory, &mut || true)
            .unwrap()
            .findings
            .len()
    };
    assert_eq!(pass(), 0, "it has been asked about since the decision");
    assert!(case.may_act());
}

#[test]
fn a_rejection_whose_webhook_was_lost_takes_an_operators_approval_back() {
    let case = Case::approved();
    drop(case.happens("final"));
    case.world.pass(MINUTE_MS);
    case.decide(Decision::Hold).unwrap();
    case.decide(Decision::Approve).unwrap();
    assert!(case.may_act());

    let found = case.findings(&Scope::Everybody, Mode::Apply);

    assert!(matches!(found[..], [FindingKind::Drift { .. }]), "{found:?}");
    assert_eq!(case.status(), "REJECTED");
}

#[test]
fn an_approval_recorded_before_bases_were_kept_stays_and_is_reported() {
    let case = Case::approved();
    let late = case.happens("final");
    case.world.pass(MINUTE_MS);
    case.decide(Decision::Hold).unwrap();
    case.decide(Decision::Approve).unwrap();
    // As a predecessor recorded it.
    let database = case.world.rig().database();
    database.execute_batch("DROP TRIGGER verification_event_is_a_record").unwrap();
    database.execute("UPDATE verification_event SET basis = NULL", []).unwrap();

    case.world.deliver(&late);

    assert!(case.may_act(), "older folds stay");
    let appliance = &case.world.rig().appliance;
    let now = case.world.rig().now();
    let acceptance = &appliance.rules.acceptance;
    let found = countersign::usecase::judge_again::judge_again(&appliance.store, acceptance, now);
    assert_eq!(found.unwrap()[0].why, countersign::usecase::judge_again::Otherwise::Fallen);
    case.world.pass(MINUTE_MS);
    let reported = case.findings(&Scope::Everybody, Mode::Apply);
    assert!(matches!(reported[..], [FindingKind::Overruled { .. }]), "{reported:?}");
}
