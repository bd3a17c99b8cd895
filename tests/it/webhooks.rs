//! The inbox: every outcome, duplicates, disorder, and the rebuild of the rows from the facts.

use serde_json::{Value, json};

use crate::rig::{Broker, Rig, START_MS, Setup, WEBHOOK_SECRET, sumsub_instant};
use countersign::domain::environment::Environment;
use countersign::domain::fold::Verification;
use countersign::domain::organization::OrganizationId;
use countersign::domain::timestamp::Timestamp;
use countersign::sumsub::signature::{DigestAlgorithm, webhook_digest};
use countersign::usecase::decide::Decision;

/// A rig with one customer of one broker.
struct Inbox {
    rig: Rig,
    broker: Broker,
    customer: String,
}

impl Inbox {
    fn new() -> Self {
        let rig = Rig::new();
        let broker = rig.broker();
        let customer = rig.customer(&broker, "BUSINESS");
        Self { rig, broker, customer }
    }

    fn status(&self) -> String {
        self.rig.status(&self.broker.key, &self.customer)
    }

    fn event(&self, event_type: &str, second: i64) -> Value {
        let at = Timestamp::from_ms(START_MS + second * 1000);
        json!({"applicantId": "a1", "inspectionId": "a2", "applicantType": "company",
            "correlationId": "c", "levelName": "kyb-level", "sandboxMode": true,
            "externalUserId": self.customer, "type": event_type, "reviewStatus": "completed",
            "createdAtMs": sumsub_instant(at), "clientId": "acme"})
    }

    fn green(&self, second: i64) -> Value {
        let mut it = self.event("applicantReviewed", second);
        it["reviewResult"] = json!({"reviewAnswer": "GREEN"});
        it
    }

    fn red(&self, second: i64, reject_type: &str) -> Value {
        let mut it = self.event("applicantReviewed", second);
        it["reviewResult"] = json!({"reviewAnswer": "RED", "reviewRejectType": reject_type});
        it
    }

    /// Delivers and tells outcome and status afterwards.
    fn deliver(&self, body: &Value) -> (String, String) {
        let answer = self.rig.deliver(body);
        assert_eq!(answer.status, 200, "{answer:?}");
        (self.rig.newest_outcome(), self.status())
    }
}

fn pair(outcome: &str, status: &str) -> (String, String) {
    (outcome.to_owned(), status.to_owned())
}

#[test]
fn a_verdict_changes_the_status_when_it_is_known() {
    let inbox = Inbox::new();
    inbox.rig.advance(5000);

    assert_eq!(inbox.deliver(&inbox.green(2)), pair("changed", "APPROVED"));

    let poll =
        inbox.rig.get("/v1/organizations/verification", &inbox.broker.key, Some(&inbox.customer));
    assert_eq!(poll.text("/updatedAt"), "2026-01-02T03:04:10.000Z");
}

#[test]
fn final_and_retry_are_told_apart() {
    let inbox = Inbox::new();
    assert_eq!(inbox.deliver(&inbox.red(1, "RETRY")), pair("changed", "RESUBMISSION_REQUIRED"));
    assert_eq!(inbox.deliver(&inbox.red(2, "FINAL")), pair("changed", "REJECTED"));
    assert_eq!(
        inbox.rig.start_session(&inbox.broker.key, Some(&inbox.customer)).refusal(),
        (409, "verification_rejected")
    );
}

#[test]
fn a_second_delivery_of_the_same_webhook_changes_nothing() {
    let inbox = Inbox::new();
    let green = inbox.green(1);
    inbox.deliver(&green);
    inbox.rig.decide(&inbox.customer, Decision::Hold).unwrap();

    let again = inbox.rig.deliver(&green);

    assert_eq!(again.status, 200);
    assert_eq!(inbox.status(), "ON_HOLD");
    assert_eq!(inbox.rig.appliance.store.read(|it| it.deliveries(None, 10)).unwrap().len(), 1);
}

#[test]
fn a_stale_green_that_arrives_late_does_not_undo_what_happened_after_it() {
    let inbox = Inbox::new();
    inbox.deliver(&inbox.red(5, "RETRY"));

    assert_eq!(inbox.deliver(&inbox.green(3)), pair("no_change", "RESUBMISSION_REQUIRED"));
}

#[test]
fn a_green_that_rides_on_another_type_is_no_verdict() {
    let inbox = Inbox::new();
    for (second, (event_type, outcome, status)) in [
        ("applicantTagsChanged", "informational", "NOT_STARTED"),
        ("applicantCreated", "informational", "NOT_STARTED"),
        ("applicantPending", "changed", "PENDING"),
        ("applicantAwaitingService", "no_change", "PENDING"),
        ("applicantOnHold", "changed", "ON_HOLD"),
        ("applicantReset", "changed", "RESUBMISSION_REQUIRED"),
        ("somethingNew", "unknown_type", "RESUBMISSION_REQUIRED"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = inbox.event(event_type, i64::try_from(second).unwrap());
        body["reviewResult"] = json!({"reviewAnswer": "GREEN"});
        assert_eq!(inbox.deliver(&body), pair(outcome, status), "{event_type}");
    }
}

#[test]
fn a_review_without_a_readable_verdict_is_recorded_only() {
    let inbox = Inbox::new();
    let mut pending = inbox.green(1);
    pending["reviewStatus"] = json!("pending");
    let mut unnamed = inbox.event("applicantWorkflowFailed", 2);
    unnamed["reviewResult"] = Value::Null;

    assert_eq!(inbox.deliver(&pending), pair("no_verdict", "NOT_STARTED"));
    assert_eq!(inbox.deliver(&unnamed), pair("no_verdict", "NOT_STARTED"));
}

#[test]
fn people_of_a_company_never_change_the_company() {
    let inbox = Inbox::new();
    let mut person = inbox.green(1);
    person["applicantMemberOf"] = json!([{"applicantId": "a1"}]);
    person["applicantType"] = json!("individual");
    let mut external = person.clone();
    external["externalUserId"] = json!("beneficiary-random-5e0c7b6e");
    external["applicantId"] = json!("b1");

    assert_eq!(inbox.deliver(&person), pair("member_of_company", "NOT_STARTED"));
    assert_eq!(inbox.deliver(&external), pair("member_of_company", "NOT_STARTED"));
}

#[test]
fn the_other_environment_and_test_events_have_no_effect() {
    let inbox = Inbox::new();
    let mut live = inbox.green(1);
    live["sandboxMode"] = json!(false);
    let mut live_as_text = inbox.green(2);
    live_as_text["sandboxMode"] = json!("false");
    let mut test = inbox.green(3);
    test["testMode"] = json!(true);
    let mut unsaid = inbox.green(4);
    unsaid.as_object_mut().unwrap().remove("sandboxMode");

    assert_eq!(inbox.deliver(&live), pair("other_environment", "NOT_STARTED"));
    assert_eq!(inbox.deliver(&live_as_text), pair("other_environment", "NOT_STARTED"));
    assert_eq!(inbox.deliver(&test), pair("test_event", "NOT_STARTED"));
    assert_eq!(inbox.deliver(&unsaid), pair("changed", "APPROVED"), "a missing flag is no refusal");
}

#[test]
fn a_live_register_refuses_sandbox_events() {
    let rig = Rig::with(Setup { environment: Environment::Live, ..Setup::default() });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    let inbox = Inbox { rig, broker, customer };

    assert_eq!(inbox.deliver(&inbox.green(1)), pair("other_environment", "NOT_STARTED"));
}

#[test]
fn unknown_applicants_and_unreadable_bodies_are_kept_and_answered_200() {
    let inbox = Inbox::new();
    let mut unknown = inbox.green(1);
    unknown["externalUserId"] = json!("copy-123");
    let mut nobody = inbox.green(2);
    nobody.as_object_mut().unwrap().remove("applicantId");

    assert_eq!(inbox.deliver(&unknown), pair("unknown_applicant", "NOT_STARTED"));
    assert_eq!(inbox.deliver(&nobody), pair("unknown_applicant", "NOT_STARTED"));
    for bytes in [&b"not json"[..], b"[1,2]", b"\xff\xfe", b""] {
        let answer = inbox.rig.deliver_bytes(bytes, DigestAlgorithm::Sha512);
        assert_eq!(answer.status, 200);
        assert_eq!(inbox.rig.newest_outcome(), "unreadable");
    }
}

#[test]
fn a_missing_created_at_ms_falls_back_to_the_second_and_then_to_the_arrival() {
    let inbox = Inbox::new();
    inbox.rig.advance(60_000);
    inbox.deliver(&inbox.red(30, "RETRY"));
    let mut by_second = inbox.green(0);
    by_second.as_object_mut().unwrap().remove("createdAtMs");
    by_second["createdAt"] = json!("2026-01-02 03:04:10+0000");
    let mut by_arrival = inbox.green(0);
    by_arrival.as_object_mut().unwrap().remove("createdAtMs");

    assert_eq!(
        inbox.deliver(&by_second),
        pair("no_change", "RESUBMISSION_REQUIRED"),
        "5 s after the start is before the retry at 30 s"
    );
    assert_eq!(inbox.deliver(&by_arrival), pair("changed", "APPROVED"));
}

#[test]
fn an_event_dated_in_the_far_future_does_not_outlast_later_ones() {
    let inbox = Inbox::new();
    assert_eq!(inbox.deliver(&inbox.green(86_400)), pair("changed", "APPROVED"));
    inbox.rig.advance(2000);

    assert_eq!(inbox.deliver(&inbox.red(1, "RETRY")), pair("changed", "RESUBMISSION_REQUIRED"));
}

#[test]
fn a_wrong_digest_is_refused_counted_and_its_body_not_kept() {
    let inbox = Inbox::new();
    let body = inbox.green(1).to_string();
    let good = webhook_digest(WEBHOOK_SECRET.as_bytes(), DigestAlgorithm::Sha256, body.as_bytes());
    let send = |headers: &[(&str, &str)]| {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        inbox.rig.call("POST", "/webhooks/sumsub", &headers, body.as_bytes())
    };

    for headers in [
        &[][..],
        &[("X-Payload-Digest", "")],
        &[("X-Payload-Digest", "zz"), ("X-Payload-Digest-Alg", "HMAC_SHA256_HEX")],
        &[("X-Payload-Digest", good.as_str()), ("X-Payload-Digest-Alg", "HMAC_SHA1_HEX")],
        &[("X-Payload-Digest", good.as_str()), ("X-Payload-Digest-Alg", "MD5")],
        &[("X-Payload-Digest", &good[1..]), ("X-Payload-Digest-Alg", "HMAC_SHA256_HEX")],
    ] {
        assert_eq!(send(headers).refusal(), (401, "invalid_digest"), "{headers:?}");
    }
    assert_eq!(inbox.rig.newest_outcome(), "none");
    let ready = inbox.rig.call("GET", "/readyz", &[], b"");
    assert_eq!(ready.body["webhooks"]["refusedDigests"], 6);
    // Without the algorithm's header the digest's length tells it.
    assert_eq!(send(&[("X-Payload-Digest", good.as_str())]).status, 200);
}

#[test]
fn every_digest_algorithm_is_accepted_and_headers_are_kept_without_secrets() {
    let inbox = Inbox::new();
    for (second, algorithm) in
        [DigestAlgorithm::Sha1, DigestAlgorithm::Sha256, DigestAlgorithm::Sha512]
            .into_iter()
            .enumerate()
    {
        let body = inbox.green(i64::try_from(second).unwrap()).to_string();
        assert_eq!(inbox.rig.deliver_bytes(body.as_bytes(), algorithm).status, 200);
    }
    let body = inbox.green(9).to_string();
    let digest =
        webhook_digest(WEBHOOK_SECRET.as_bytes(), DigestAlgorithm::Sha256, body.as_bytes());
    let headers = [
        ("X-Payload-Digest".to_owned(), digest.clone()),
        ("X-Gateway-Secret".to_owned(), "hush".to_owned()),
    ];
    inbox.rig.call("POST", "/webhooks/sumsub", &headers, body.as_bytes());

    let kept = inbox.rig.appliance.store.read(|it| it.deliveries(None, 1)).unwrap().remove(0);

    assert_eq!(kept.body.as_deref(), Some(body.as_bytes()));
    assert!(kept.headers.contains(&digest) && !kept.headers.contains("hush"), "{}", kept.headers);
}

#[test]
fn an_operators_hold_outranks_the_provider_until_the_operator_lifts_it() {
    let inbox = Inbox::new();
    inbox.deliver(&inbox.green(1));
    inbox.rig.decide(&inbox.customer, Decision::Hold).unwrap();
    inbox.rig.advance(10_000);

    assert_eq!(inbox.deliver(&inbox.red(5, "FINAL")), pair("no_change", "ON_HOLD"));
    assert!(inbox.rig.decide(&inbox.customer, Decision::Reopen).is_err());
    inbox.rig.decide(&inbox.customer, Decision::Reject).unwrap();
    assert_eq!(inbox.deliver(&inbox.green(9)), pair("no_change", "REJECTED"));
    inbox.rig.decide(&inbox.customer, Decision::Reopen).unwrap();
    assert_eq!(inbox.status(), "RESUBMISSION_REQUIRED");
}

#[test]
fn a_decision_counts_also_when_sumsubs_clock_is_ahead_of_ours() {
    let inbox = Inbox::new();
    let hold = inbox.event("applicantOnHold", 2);
    assert_eq!(inbox.deliver(&hold), pair("changed", "ON_HOLD"));
    inbox.rig.advance(500);

    inbox.rig.decide(&inbox.customer, Decision::Approve).unwrap();

    assert_eq!(inbox.status(), "APPROVED");
    assert_eq!(inbox.deliver(&inbox.red(3, "RETRY")), pair("changed", "RESUBMISSION_REQUIRED"));
}

#[test]
fn facts_cannot_be_changed_or_deleted() {
    let inbox = Inbox::new();
    inbox.deliver(&inbox.green(1));
    let database = inbox.rig.database();
    for statement in [
        "UPDATE verification_event SET event = 'provider_rejected'",
        "DELETE FROM verification_event",
        "UPDATE delivery SET body = x'00'",
        "DELETE FROM delivery_outcome",
        "UPDATE authorization_event SET actor = 'x'",
        "DELETE FROM authorization_event",
    ] {
        assert!(database.execute(statement, []).is_err(), "{statement}");
    }
}

/// Every row is the fold of its facts.
fn assert_rows_are_their_folds(rig: &Rig, customer: &str) {
    let id = OrganizationId::new(customer);
    let (organization, stored, facts) = rig
        .appliance
        .store
        .snapshot(|it| {
            Ok::<_, countersign::store::StoreError>((
                it.organization(&id)?.unwrap(),
                it.verification(&id)?.unwrap(),
                it.facts(&id)?,
            ))
        })
        .unwrap();
    let facts: Vec<_> = facts.into_iter().map(|it| it.fact).collect();
    assert_eq!(Verification::rebuild(organization.created_at, &facts), stored);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 12, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_order_and_duplication_of_deliveries_ends_in_the_same_status(
        kinds in proptest::collection::vec((0..6usize, 0..6i64), 2..9),
        order in proptest::collection::vec(0..64usize, 0..24),
    ) {
        let inbox = Inbox::new();
        let twin = inbox.rig.customer(&inbox.broker, "BUSINESS");
        let deliveries = |customer: &str, applicant: &str| -> Vec<Value> {
            kinds
                .iter()
                .map(|(kind, second)| {
                    let mut it = match kind {
                        0 => inbox.green(*second),
                        1 => inbox.red(*second, "RETRY"),
                        2 => inbox.red(*second, "FINAL"),
                        3 => inbox.event("applicantPending", *second),
                        4 => inbox.event("applicantOnHold", *second),
                        _ => inbox.event("applicantReset", *second),
                    };
                    it["externalUserId"] = json!(customer);
                    it["applicantId"] = json!(applicant);
                    it
                })
                .collect()
        };
        for body in deliveries(&inbox.customer, "a1") {
            inbox.rig.deliver(&body);
        }
        let mut shuffled = deliveries(&twin, "a2");
        for (at, swap) in order.iter().enumerate() {
            let length = shuffled.len();
            shuffled.swap(at % length, swap % length);
        }
        for body in shuffled.iter().chain(shuffled.iter().rev()) {
            inbox.rig.deliver(body);
        }

        proptest::prop_assert_eq!(inbox.status(), inbox.rig.status(&inbox.broker.key, &twin));
        assert_rows_are_their_folds(&inbox.rig, &inbox.customer);
        assert_rows_are_their_folds(&inbox.rig, &twin);
    }
}
