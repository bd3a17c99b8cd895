//! The inbox: every outcome, duplicates, disorder, and the rebuild of the rows from the facts.

use serde_json::{Value, json};

use crate::rig::{Broker, Rig, START_MS, Setup, WEBHOOK_SECRET, sumsub_instant};
use countersign::domain::environment::Environment;
use countersign::domain::fold::Verification;
use countersign::domain::organization::OrganizationId;
use countersign::domain::timestamp::Timestamp;
use countersign::sumsub::signature::{DigestAlgorithm, webhook_digest};
use countersign::usecase::decide::{Decision, Ground};
use countersign::usecase::receive_webhook::WebhookSecrets;

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
    // Nobody can tell whether it is newer than the retry: Sumsub is asked.
    assert_eq!(inbox.deliver(&by_arrival), pair("awaiting_provider", "RESUBMISSION_REQUIRED"));
    let mut pending = inbox.event("applicantPending", 0);
    pending.as_object_mut().unwrap().remove("createdAtMs");
    assert_eq!(inbox.deliver(&pending), pair("changed", "PENDING"), "it came now");
}

#[test]
fn an_approval_dated_in_the_far_future_does_not_outlast_what_comes_later() {
    let inbox = Inbox::new();
    assert_eq!(inbox.deliver(&inbox.green(86_400)), pair("awaiting_provider", "NOT_STARTED"));
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
    let refused = inbox.rig.appliance.refused_digests.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(refused, 6);
    // Without the algorithm's header the digest's length tells it.
    assert_eq!(send(&[("X-Payload-Digest", good.as_str())]).status, 200);
}

#[test]
fn while_a_secret_is_rotated_both_are_accepted_counted_apart_and_no_third() {
    let inbox = Inbox::new();
    let secrets = WebhookSecrets::new("the-new-one".to_owned(), Some(WEBHOOK_SECRET.to_owned()));
    inbox.rig.appliance.webhook_secrets.replace(secrets);
    let deliver = |secret: &str, second: i64| {
        let bytes = inbox.red(second, "RETRY").to_string().into_bytes();
        let algorithm = DigestAlgorithm::Sha256;
        let headers = [
            ("X-Payload-Digest", webhook_digest(secret.as_bytes(), algorithm, &bytes)),
            ("X-Payload-Digest-Alg", algorithm.as_str().to_owned()),
        ]
        .map(|(name, it)| (name.to_owned(), it));
        inbox.rig.call("POST", "/webhooks/sumsub", &headers, &bytes).status
    };

    let answered = [WEBHOOK_SECRET, "the-new-one", WEBHOOK_SECRET, "a-third", ""]
        .into_iter()
        .zip(0..)
        .map(|(secret, second)| deliver(secret, second));

    assert_eq!(answered.collect::<Vec<_>>(), [200, 200, 200, 401, 401]);
    assert_eq!(inbox.rig.appliance.webhooks_by_secret.counts(), [1, 2]);
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

/// Tables of record, and how many rows each has: none of the statements of the test below would be about
/// nothing.
const RECORDS: [&str; 7] = [
    "verification_event",
    "authorization_event",
    "signature_evidence",
    "delivery",
    "delivery_outcome",
    "outgoing_message",
    "outgoing_attempt",
];

#[test]
fn facts_cannot_be_changed_deleted_or_replaced() {
    let inbox = Inbox::new();
    inbox.deliver(&inbox.green(1));
    inbox.rig.sign(&inbox.customer, &inbox.broker.id);
    let database = inbox.rig.database();
    database
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO signature_evidence (sequence, link_id, text, text_sha256, text_version)
               SELECT max(sequence), 'link', 'the letter', zeroblob(32), '1' FROM authorization_event;
             INSERT INTO outgoing_delivery (message_no, endpoint_id, status, created_at_ms)
               SELECT min(message_no), 'ep', 'DELIVERED', 0 FROM outgoing_message;
             INSERT INTO outgoing_attempt
               (delivery_no, url, signed_at_s, signature, error, started_at_ms, ended_at_ms)
               SELECT delivery_no, 'u', 0, '', 'refused', 0, 0 FROM outgoing_delivery;",
        )
        .unwrap();
    let whole = |table: &str| -> Vec<String> {
        let mut statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let cells: Vec<_> = (0..columns).map(|it| row.get_ref(it).unwrap()).collect();
            Ok(format!("{cells:?}"))
        };
        statement.query_map([], row).unwrap().map(Result::unwrap).collect()
    };
    for table in RECORDS {
        let before = whole(table);
        assert!(!before.is_empty(), "{table} has rows");
        let columns: Vec<String> = database
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let refused = |statement: &str| {
            let error = database.execute(statement, []).unwrap_err().to_string();
            assert!(error.contains("are facts"), "{statement}: {error}");
        };
        for column in &columns {
            refused(&format!("UPDATE {table} SET {column} = {column}"));
        }
        refused(&format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}"));
        refused(&format!("REPLACE INTO {table} SELECT * FROM {table} LIMIT 1"));
        refused(&format!("DELETE FROM {table}"));
        assert_eq!(whole(table), before, "{table}");
    }
    // A body goes by age, and takes nothing else with it.
    for change in ["event_type = 'x'", "received_at_ms = 0", "headers = '[]'"] {
        let statement = format!("UPDATE delivery SET body = NULL, {change}");
        assert!(database.execute(&statement, []).is_err(), "{statement}");
    }
    assert!(database.execute("UPDATE delivery SET body = NULL", []).is_ok());
}

#[test]
fn no_row_takes_the_place_of_another_and_organizations_and_letters_stay_what_they_are() {
    let inbox = Inbox::new();
    inbox.deliver(&inbox.green(1));
    inbox.rig.sign(&inbox.customer, &inbox.broker.id);
    let database = inbox.rig.database();
    database.pragma_update(None, "foreign_keys", false).unwrap();
    for (table, columns) in [
        ("delivery", "NULL, body_sha256, body, headers, event_type, applicant_id, received_at_ms"),
        (
            "outgoing_message",
            "NULL, 'msg_new', type, organization_id, verification_sequence, expired_at_ms,
             authorization_sequence, body, known_at_ms",
        ),
    ] {
        let statement = format!("INSERT OR REPLACE INTO {table} SELECT {columns} FROM {table}");
        let error = database.execute(&statement, []).unwrap_err().to_string();
        assert!(error.contains("are facts"), "{statement}: {error}");
    }
    // What a register, an organization and an LOA are is settled when they are made.
    for statement in [
        "UPDATE register SET environment = 'live'",
        "DELETE FROM register",
        "INSERT OR REPLACE INTO register SELECT 1, 'live', created_at_ms FROM register",
        "UPDATE organization SET type = 'INDIVIDUAL'",
        "UPDATE organization SET created_by = NULL WHERE created_by IS NOT NULL",
        "INSERT OR REPLACE INTO organization SELECT * FROM organization",
        "UPDATE authorization SET authorized = granting || 'x'",
        "UPDATE authorization SET public_id = 'loa_1'",
        "DELETE FROM authorization",
        "INSERT OR REPLACE INTO authorization SELECT * FROM authorization",
        "INSERT OR REPLACE INTO authorization (granting, authorized, type, status, created_at_ms,
           updated_at_ms) SELECT granting, authorized, type, 'PENDING', 0, 0 FROM authorization",
    ] {
        let error = database.execute(statement, []).unwrap_err().to_string();
        assert!(error.contains(" stays "), "{statement}: {error}");
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
                it.bare_facts(&id)?,
            ))
        })
        .unwrap();
    assert_eq!(Verification::rebuild(organization.created_at, &facts), stored);
}

/// What befalls a customer between two decisions of an operator.
#[derive(Clone, Debug)]
struct Chapter {
    /// Kind, applicant, level, and second.
    deliveries: Vec<(usize, usize, usize, i64)>,
    decision: Decision,
    order: Vec<usize>,
}

fn chapters() -> impl proptest::strategy::Strategy<Value = Vec<Chapter>> {
    use proptest::prelude::*;
    let decision = prop::sample::select(vec![
        Decision::Hold,
        Decision::Approve,
        Decision::Reject,
        Decision::Resubmit,
        Decision::Reopen,
    ]);
    let delivery = (0..7_usize, 0..3_usize, 0..4_usize, 0..3600_i64);
    let chapter =
        (prop::collection::vec(delivery, 0..7), decision, prop::collection::vec(0..64_usize, 8));
    let chapter =
        chapter.prop_map(|(deliveries, decision, order)| Chapter { deliveries, decision, order });
    prop::collection::vec(chapter, 1..4)
}

/// One delivery of a chapter, about a customer and its applicants.
fn delivery_of(
    inbox: &Inbox,
    customer: &str,
    (kind, applicant, level, second): (usize, usize, usize, i64),
) -> Value {
    let mut it = match kind {
        0 | 1 => inbox.green(second),
        2 => inbox.red(second, "RETRY"),
        3 => inbox.red(second, "FINAL"),
        4 => inbox.event("applicantPending", second),
        5 => inbox.event("applicantOnHold", second),
        _ => inbox.event("applicantReset", second),
    };
    it["externalUserId"] = json!(customer);
    it["applicantId"] = json!(format!("{customer}-{applicant}"));
    if level == 0 {
        it["levelName"] = json!("email-check-only");
    }
    it
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 120,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(9),
        ..Default::default()
    })]

    /// Among the deliveries on the same side of each decision (contract 9.2): of several applicants and
    /// levels, over an hour, with sessions' facts of our own between them.
    #[test]
    fn any_order_and_duplication_of_deliveries_ends_in_the_same_status(chapters in chapters()) {
        let inbox = Inbox::new();
        let twin = inbox.rig.customer(&inbox.broker, "BUSINESS");
        inbox.rig.advance(3_600_000);
        let mut is_alike = true;
        for chapter in &chapters {
            for it in &chapter.deliveries {
                inbox.rig.deliver(&delivery_of(&inbox, &inbox.customer, *it));
            }
            let mut shuffled = chapter.deliveries.clone();
            let length = shuffled.len().max(1);
            for (at, swap) in chapter.order.iter().enumerate().filter(|_| !chapter.deliveries.is_empty()) {
                shuffled.swap(at % length, swap % length);
            }
            for it in shuffled.iter().chain(shuffled.iter().rev()) {
                inbox.rig.deliver(&delivery_of(&inbox, &twin, *it));
            }
            inbox.rig.advance(1000);
            is_alike &= inbox.status() == inbox.rig.status(&inbox.broker.key, &twin);
            proptest::prop_assert!(is_alike, "{:?}", inbox.status());
            let decided = [&inbox.customer, &twin].map(|of| {
                let ground = Ground {
                    basis: inbox.rig.shown(of).basis(),
                    against_provider: chapter.order[0] % 2 == 0,
                };
                inbox.rig.decide_on(of, chapter.decision, ground).is_ok()
            });
            proptest::prop_assert_eq!(decided[0], decided[1]);
            inbox.rig.advance(1000);
        }

        proptest::prop_assert_eq!(inbox.status(), inbox.rig.status(&inbox.broker.key, &twin));
        assert_rows_are_their_folds(&inbox.rig, &inbox.customer);
        assert_rows_are_their_folds(&inbox.rig, &twin);
    }
}
