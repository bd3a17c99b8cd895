//! Outgoing webhooks: who is told what, signed how, tried when; and that a change and its event are
//! one commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::{RECEIVERS, Resident, Shell};
use crate::receiver::{Message, Receiver, Reply};
use crate::rig::{Answer, Broker, DAY_MS, Directory, OPERATOR, Rig, START_MS, Setup};
use crate::sumsub::real_now_ms;
use countersign::domain::environment::Environment;
use countersign::domain::organization::OrganizationId;
use countersign::domain::timestamp::Timestamp;
use countersign::outbox::{Allowed, Secret, sign};
use countersign::usecase::authorizations::{By, revoke_authorization};
use countersign::usecase::decide::Decision;
use countersign::usecase::deliver_events::{Courier, deliver_due};

const ENDPOINTS: &str = "/v1/webhooks/endpoints";
const VERIFICATION_UPDATED: &str = "organization.verification.updated";
const AUTHORIZATION_UPDATED: &str = "authorization.updated";

/// A broker with an endpoint at a receiver, and a customer.
struct Post {
    rig: Rig,
    broker: Broker,
    customer: String,
    receiver: Receiver,
    endpoint: String,
}

impl Post {
    fn new() -> Self {
        Self::with(Setup::default())
    }

    fn with(setup: Setup) -> Self {
        let rig = Rig::with(setup);
        let broker = rig.broker();
        let customer = rig.customer(&broker, "BUSINESS");
        let receiver = Receiver::start();
        let endpoint = endpoint(&rig, &broker, &receiver.url);
        Self { rig, broker, customer, receiver, endpoint }
    }

    fn path(&self, rest: &str) -> String {
        format!("{ENDPOINTS}/{}{rest}", self.endpoint)
    }

    fn get(&self, rest: &str) -> Answer {
        self.rig.get(&self.path(rest), &self.broker.key, None)
    }

    fn post(&self, rest: &str, body: &Value) -> Answer {
        self.rig.post(&self.path(rest), &self.broker.key, None, body)
    }

    fn patch(&self, body: &Value) -> Answer {
        patch(&self.rig, &self.broker, &self.path(""), body)
    }

    fn secret(&self) -> String {
        self.get("/secret").text("/secret").to_owned()
    }

    /// Holds and approves the customer: two changes.
    fn approve(&self) {
        self.rig.decide(&self.customer, Decision::Hold).unwrap();
        self.rig.decide(&self.customer, Decision::Approve).unwrap();
    }

    fn deliver(&self) -> u32 {
        deliver_due(&self.rig.appliance).unwrap()
    }

    /// Status and instant of the next attempt of the newest delivery.
    fn newest(&self) -> (String, Value) {
        let newest = self.get("/deliveries?limit=1");
        (newest.text("/data/0/status").to_owned(), newest.body["data"][0]["nextAttemptAt"].clone())
    }
}

pub(crate) fn endpoint(rig: &Rig, broker: &Broker, url: &str) -> String {
    let answer = rig.post(ENDPOINTS, &broker.key, None, &json!({ "url": url }));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text("/id").to_owned()
}

fn patch(rig: &Rig, broker: &Broker, path: &str, body: &Value) -> Answer {
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    rig.call("PATCH", path, &headers, body.to_string().as_bytes())
}

pub(crate) fn delete(rig: &Rig, broker: &Broker, path: &str) -> Answer {
    let headers = [("Authorization".to_owned(), format!("Bearer {}", broker.key))];
    rig.call("DELETE", path, &headers, b"")
}

#[test]
fn a_status_change_arrives_as_a_signed_post_with_the_contracts_object() {
    let post = Post::new();
    post.rig.decide(&post.customer, Decision::Hold).unwrap();

    assert_eq!(post.deliver(), 1);

    let message = post.receiver.take().remove(0);
    assert!(message.is_signed_with(&post.secret()));
    assert_eq!(message.signed_at_s, START_MS / 1000);
    assert!(message.id.starts_with("msg_") && message.id.len() == 36);
    assert_eq!((message.request.method.as_str(), message.request.path()), ("POST", "/hook"));
    let mut expected =
        post.rig.get("/v1/organizations/verification", &post.broker.key, Some(&post.customer)).body;
    expected["organizationId"] = json!(post.customer);
    assert_eq!(
        message.body,
        json!({"type": VERIFICATION_UPDATED, "timestamp": "2026-01-02T03:04:05.000Z",
            "data": expected})
    );
    assert_eq!(post.deliver(), 0, "once is enough");
}

#[test]
fn an_loas_every_step_arrives_as_the_object_that_the_api_answers() {
    let post = Post::new();
    let customer = post.rig.customer(&post.broker, "BUSINESS");
    post.deliver();
    let issued = post.receiver.take().remove(0);
    post.rig.sign(&customer, &post.broker.id);
    post.deliver();
    let signed = post.receiver.take().remove(0);
    let revoke = json!({"grantingOrganizationId": customer, "type": "LOA", "reason": "over",
        "authorizedOrganizationId": post.broker.id});
    let answer = post.rig.post("/v1/authorizations/revoke", &post.broker.key, None, &revoke);
    post.deliver();
    let revoked = post.receiver.take().remove(0);

    assert_eq!(issued.text("/type"), AUTHORIZATION_UPDATED);
    assert_eq!(
        [&issued, &signed, &revoked].map(|it| it.text("/data/status")),
        ["PENDING", "ACTIVE", "REVOKED"]
    );
    assert_eq!(revoked.body["data"], answer.body);
}

#[test]
fn a_broker_is_told_of_those_customers_only_whose_loa_with_it_is_live() {
    let post = Post::new();
    let stranger = post.rig.broker();
    let others = post.rig.customer(&stranger, "BUSINESS");
    post.rig.decide(&others, Decision::Hold).unwrap();
    assert_eq!(post.deliver(), 0, "another broker's customer");
    post.rig.decide(&post.broker.id, Decision::Hold).unwrap();
    assert_eq!(post.deliver(), 1, "its own organization's");
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    assert_eq!(post.deliver(), 1, "its customer's, although the LOA is only PENDING");
    let by = By { actor: OPERATOR.to_owned(), request_id: None };
    let [granting, authorized] = [&post.customer, &post.broker.id].map(OrganizationId::new);
    revoke_authorization(&post.rig.appliance, &granting, &authorized, None, by).unwrap();
    assert_eq!(post.deliver(), 1, "the revocation itself");

    post.rig.decide(&post.customer, Decision::Approve).unwrap();

    assert_eq!(post.deliver(), 0, "no longer its customer");
}

#[test]
fn an_endpoint_gets_the_types_that_it_chose_and_none_chosen_means_all() {
    let post = Post::new();
    let chosen = json!({"eventTypes": [AUTHORIZATION_UPDATED, AUTHORIZATION_UPDATED]});
    assert_eq!(post.patch(&chosen).body["eventTypes"], json!([AUTHORIZATION_UPDATED]));
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.rig.sign(&post.customer, &post.broker.id);

    post.deliver();

    let types: Vec<String> =
        post.receiver.take().iter().map(|it| it.text("/type").to_owned()).collect();
    assert_eq!(types, [AUTHORIZATION_UPDATED]);
}

#[test]
fn a_failure_is_tried_again_on_schedule_under_the_same_id_with_a_fresh_signature() {
    let post = Post::new();
    post.receiver.answers(Reply::status(500));
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.deliver();
    let first = post.receiver.take().remove(0);
    assert_eq!(post.newest().0, "PENDING");

    post.rig.advance(4_999);
    assert_eq!(post.deliver(), 0, "not before its time");
    post.rig.advance(501);
    post.receiver.answers(Reply::status(200));
    assert_eq!(post.deliver(), 1);

    let second = post.receiver.take().remove(0);
    assert_eq!((&second.id, &second.bytes), (&first.id, &first.bytes));
    assert_eq!(second.signed_at_s, first.signed_at_s + 5);
    assert!(second.is_signed_with(&post.secret()));
    assert_eq!(post.newest(), ("DELIVERED".to_owned(), Value::Null));
}

#[test]
fn a_receiver_that_was_down_for_a_day_gets_every_event_when_the_schedule_says() {
    let post = Post::new();
    post.receiver.answers(Reply::status(503));
    post.approve();
    post.rig.sign(&post.customer, &post.broker.id);
    let mut attempts_s = Vec::new();
    // Half a minute at a time, for a day and ten hours; it is up again after a day.
    for tick in 0..(34 * 120) {
        if tick == 24 * 120 {
            post.receiver.answers(Reply::status(200));
        }
        for _ in 0..post.deliver() {
            attempts_s.push(tick * 30);
        }
        post.rig.advance(30_000);
    }

    let log = post.get("/deliveries");
    let deliveries = log.body["data"].as_array().unwrap();
    assert_eq!(deliveries.len(), 3);
    for delivery in deliveries {
        assert_eq!(delivery["status"], "DELIVERED");
        let attempts = delivery["attempts"].as_array().unwrap();
        let statuses: Vec<_> = attempts.iter().map(|it| it["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [503, 503, 503, 503, 503, 503, 503, 200]);
        let instant = |it: &Value| {
            let text = it["startedAt"].as_str().unwrap();
            Timestamp::parse(text).unwrap().as_ms()
        };
        let waits: Vec<i64> =
            attempts.windows(2).map(|it| (instant(&it[1]) - instant(&it[0])) / 1000).collect();
        let (minute, hour) = (60, 3600);
        let schedule = [5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour];
        for (waited, delay) in waits.into_iter().zip(schedule) {
            // Up to a tenth of jitter, and up to one tick of this test.
            assert!((delay..=delay + delay / 10 + 30).contains(&waited), "{waited} for {delay}");
        }
    }
    assert_eq!(attempts_s.len(), 24, "no attempt but those");
}

#[test]
fn retry_after_is_obeyed_and_a_redirect_is_a_failure() {
    let post = Post::new();
    let elsewhere = Receiver::start();
    post.receiver.answers(Reply { status: 307, header: Some(("Location", elsewhere.url.clone())) });
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.deliver();
    assert_eq!((post.newest().0.as_str(), elsewhere.count()), ("PENDING", 0));

    post.receiver.answers(Reply { status: 429, header: Some(("Retry-After", "3600".to_owned())) });
    post.rig.advance(6000);
    assert_eq!(post.deliver(), 1);

    assert_eq!(post.newest(), ("PENDING".to_owned(), json!("2026-01-02T04:04:11.000Z")));
}

/// By how much the first retry is put off for a receiver's `Retry-After`, in seconds.
fn put_off_s(retry_after: &str) -> i64 {
    let post = Post::new();
    post.receiver
        .answers(Reply { status: 503, header: Some(("Retry-After", retry_after.to_owned())) });
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.deliver();
    let (status, next) = post.newest();
    assert_eq!(status, "PENDING", "{retry_after}");
    let next = Timestamp::parse(next.as_str().unwrap()).unwrap();
    next.as_ms().saturating_sub(START_MS) / 1000
}

#[test]
fn a_receivers_patience_is_read_in_every_form_that_http_has() {
    for in_an_hour in [
        "3600",
        "Fri, 02 Jan 2026 04:04:05 GMT",
        "Friday, 02-Jan-26 04:04:05 GMT",
        "Fri Jan  2 04:04:05 2026",
    ] {
        assert_eq!(put_off_s(in_an_hour), 3600, "{in_an_hour}");
    }
}

#[test]
fn a_receiver_that_asks_for_ages_is_tried_again_after_a_day() {
    for ages in ["9999999999", "86400", &"9".repeat(300), "Sat, 02 Jan 2038 04:04:05 GMT"] {
        assert_eq!(put_off_s(ages), 86_400, "{ages}");
    }
}

#[test]
fn an_unreadable_wait_leaves_the_schedule_as_it_is() {
    for unreadable in ["soon", "-1", "1.5", "3600 s", "2026-01-02T04:04:05Z", "0"] {
        assert_eq!(put_off_s(unreadable), 5, "{unreadable}");
    }
}

#[test]
fn a_410_disables_the_endpoint_at_once() {
    let post = Post::new();
    post.receiver.answers(Reply::status(410));
    post.approve();

    post.deliver();

    assert_eq!(post.get("").body["disabled"], true);
    assert_eq!(post.receiver.count(), 1, "the second event was not even tried");
    let log = post.get("/deliveries?status=SKIPPED");
    assert_eq!(log.body["data"].as_array().unwrap().len(), 2);
}

#[test]
fn changes_of_one_millisecond_can_be_put_in_order_by_their_instants() {
    let post = Post::with(Setup { valid_days: 1, ..Setup::default() });
    post.approve();
    post.rig.advance(DAY_MS);
    // The approval ends, and in the same millisecond the next fact comes.
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.rig.advance(1);
    post.deliver();

    let mut told: Vec<(String, String)> = post
        .receiver
        .take()
        .iter()
        .map(|it| (it.text("/data/updatedAt").to_owned(), it.text("/data/status").to_owned()))
        .collect();
    told.sort();

    let statuses: Vec<&str> = told.iter().map(|(_, status)| status.as_str()).collect();
    assert_eq!(statuses, ["ON_HOLD", "APPROVED", "RESUBMISSION_REQUIRED", "ON_HOLD"]);
    assert!(told.windows(2).all(|it| it[0].0 < it[1].0), "{told:?}");
}

/// Attempts the newest event, and changes the endpoint while the receiver has yet to answer.
fn change_in_mid_attempt(post: &Post, answer: Reply, change: &dyn Fn()) {
    post.receiver.hold();
    post.receiver.answers(answer);
    let before = post.receiver.count();
    std::thread::scope(|scope| {
        let attempts = scope.spawn(|| post.deliver());
        wait_until(&|| post.receiver.count() > before);
        change();
        post.receiver.let_go();
        assert_eq!(attempts.join().unwrap(), 1);
    });
}

#[test]
fn a_late_410_of_a_former_url_does_not_disable_the_endpoint() {
    let post = Post::new();
    let elsewhere = Receiver::start();
    post.rig.decide(&post.customer, Decision::Hold).unwrap();

    change_in_mid_attempt(&post, Reply::status(410), &|| {
        assert_eq!(post.patch(&json!({"url": elsewhere.url})).status, 200);
    });

    assert_eq!(post.get("").body["disabled"], false);
    assert_eq!(post.newest().0, "PENDING");
    post.rig.advance(6000);
    assert_eq!((post.deliver(), elsewhere.count()), (1, 1), "it goes to the new one");
    assert_eq!(post.newest().0, "DELIVERED");
}

#[test]
fn a_late_410_from_before_an_endpoint_was_enabled_again_does_not_disable_it() {
    let post = Post::new();
    post.rig.decide(&post.customer, Decision::Hold).unwrap();

    change_in_mid_attempt(&post, Reply::status(410), &|| {
        post.rig.advance(1000);
        for disabled in [true, false] {
            assert_eq!(post.patch(&json!({ "disabled": disabled })).status, 200);
        }
    });

    assert_eq!(post.get("").body["disabled"], false);
    post.receiver.answers(Reply::status(410));
    post.rig.decide(&post.customer, Decision::Approve).unwrap();
    assert_eq!(post.deliver(), 1);
    assert_eq!(post.get("").body["disabled"], true, "a 410 to what it is now counts");
}

#[test]
fn another_url_does_not_inherit_the_failures_of_the_one_before_it() {
    let post = Post::new();
    post.receiver.answers(Reply::status(500));
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.deliver();
    post.rig.advance(6 * DAY_MS);
    let elsewhere = Receiver::start();
    elsewhere.answers(Reply::status(500));

    // The former URL's answer, six days into its failures, and then the new one's.
    change_in_mid_attempt(&post, Reply::status(500), &|| {
        assert_eq!(post.patch(&json!({"url": elsewhere.url})).status, 200);
    });
    assert_eq!(post.get("").body["disabled"], false);
    post.rig.advance(DAY_MS);
    assert_eq!((post.deliver(), elsewhere.count()), (1, 1));

    assert_eq!(post.get("").body["disabled"], false, "it has failed once");
    assert_eq!(post.newest().0, "PENDING");
}

#[test]
fn five_days_of_failure_disable_an_endpoint_and_a_range_brings_what_it_missed() {
    let post = Post::new();
    post.receiver.answers(Reply::status(500));
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    for _ in 0..6 * 24 {
        post.deliver();
        post.rig.advance(DAY_MS / 24);
    }
    assert_eq!(post.newest().0, "FAILED", "the first one's schedule is over");
    assert_eq!(post.get("").body["disabled"], false, "nothing was tried since the fourth day");
    post.rig.decide(&post.customer, Decision::Approve).unwrap();
    post.deliver();
    assert_eq!(post.get("").body["disabled"], true);
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    assert_eq!(post.deliver(), 0);
    assert_eq!(post.newest().0, "SKIPPED");
    assert_eq!(
        post.post("/deliveries/resend", &json!({"since": "2026-01-01"})).refusal(),
        (409, "webhook_endpoint_disabled")
    );

    post.receiver.answers(Reply::status(200));
    post.receiver.take();
    post.patch(&json!({"disabled": false}));
    post.rig.advance(1);
    let resent = post.post("/deliveries/resend", &json!({"since": "2026-01-03"}));

    assert_eq!(resent.body, json!({"object": "webhook_resend", "count": 2}));
    post.deliver();
    let mut statuses: Vec<String> =
        post.receiver.take().iter().map(|it| it.text("/data/status").to_owned()).collect();
    statuses.sort();
    assert_eq!(statuses, ["APPROVED", "ON_HOLD"]);
}

#[test]
fn one_delivery_is_sent_again_under_its_id_and_the_log_shows_both_exactly() {
    let post = Post::new();
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.deliver();
    let first = post.receiver.take().remove(0);
    let id = post.get("/deliveries").text("/data/0/id").to_owned();
    post.rig.advance(60_000);

    let again = post.post(&format!("/deliveries/{id}/resend"), &json!({}));

    assert_eq!(again.text("/status"), "PENDING");
    post.deliver();
    let second = post.receiver.take().remove(0);
    assert_eq!(second.id, first.id);
    let shown = post.get(&format!("/deliveries/{id}"));
    assert_eq!(shown.text("/messageId"), first.id);
    assert_eq!(shown.text("/body").as_bytes(), first.bytes);
    for (index, message) in [first, second].iter().enumerate() {
        let attempt = &shown.body["attempts"][index];
        assert_eq!(attempt["url"], post.receiver.url);
        assert_eq!(attempt["status"], 204);
        assert_eq!(attempt["webhookTimestamp"], message.signed_at_s);
        assert_eq!(attempt["webhookSignature"], message.signatures.join(" "));
    }
}

#[test]
fn the_log_keeps_what_a_receiver_answered_and_why_none_did() {
    let post = Post::new();
    post.receiver.answers(Reply::status(500));
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.deliver();
    // Nobody listens there.
    post.patch(&json!({"url": "http://127.0.0.1:9/"}));
    post.rig.advance(6000);
    post.deliver();

    let log = post.get("/deliveries");

    assert_eq!(log.body["data"][0]["attempts"][0]["status"], 500);
    // The words of a receiver that is only listed are the operator's network's.
    assert_eq!(log.text("/data/0/attempts/0/answer"), "");
    assert_eq!(log.text("/data/0/attempts/1/error"), "connection_refused");
    assert_eq!(log.body["data"][0]["attempts"][1]["status"], Value::Null);
}

#[test]
fn a_test_event_goes_to_one_endpoint_whatever_its_types() {
    let post = Post::new();
    post.patch(&json!({"eventTypes": [AUTHORIZATION_UPDATED]}));

    let sent = post.post("/test", &json!({}));

    assert_eq!((sent.text("/status"), sent.text("/eventType")), ("PENDING", "webhook.test"));
    post.deliver();
    let message = post.receiver.take().remove(0);
    assert_eq!(message.id, sent.text("/messageId"));
    assert_eq!(
        message.body["data"],
        json!({"object": "webhook_test", "endpointId": post.endpoint})
    );
}

#[test]
fn a_rotated_secret_counts_for_a_day_beside_the_new_one() {
    let post = Post::new();
    let old = post.secret();
    let rotated = post.post("/secret/rotate", &json!({}));
    assert_eq!(rotated.text("/object"), "webhook_endpoint");
    let new = post.secret();
    assert_ne!(old, new);
    assert!(new.starts_with("whsec_"));
    assert_eq!(post.get("/secret").text("/previousSecretExpiresAt"), "2026-01-03T03:04:05.000Z");

    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.deliver();
    let during = post.receiver.take().remove(0);
    post.rig.advance(DAY_MS);
    post.rig.decide(&post.customer, Decision::Approve).unwrap();
    post.deliver();
    let after = post.receiver.take().remove(0);

    assert_eq!(during.signatures.len(), 2);
    assert!(during.is_signed_with(&old) && during.is_signed_with(&new));
    assert!(!after.is_signed_with(&old) && after.is_signed_with(&new));
    assert_eq!(post.get("/secret").body["previousSecretExpiresAt"], Value::Null);
}

#[test]
fn a_second_rotation_keeps_the_promise_to_the_first_secret() {
    let post = Post::new();
    let first = post.secret();
    post.post("/secret/rotate", &json!({}));
    let second = post.secret();
    let promised = post.get("/secret").text("/previousSecretExpiresAt").to_owned();
    assert_eq!(promised, "2026-01-03T03:04:05.000Z");
    post.rig.advance(DAY_MS / 2);
    post.post("/secret/rotate", &json!({}));
    let third = post.secret();
    let later = post.get("/secret").text("/previousSecretExpiresAt").to_owned();
    assert_eq!(later, "2026-01-03T15:04:05.000Z");
    let sent = |decision| {
        post.rig.decide(&post.customer, decision).unwrap();
        post.deliver();
        post.receiver.take().remove(0)
    };
    let signed =
        |message: &Message| [&third, &second, &first].map(|it| message.is_signed_with(it.as_str()));

    post.rig.advance(DAY_MS / 2 - 1);
    let last_of_the_first = sent(Decision::Hold);
    post.rig.advance(1);
    let last_of_the_second = sent(Decision::Approve);
    post.rig.advance(DAY_MS / 2);
    let after = sent(Decision::Hold);

    assert_eq!(signed(&last_of_the_first), [true; 3]);
    assert_eq!(last_of_the_first.signatures.len(), 3);
    assert_eq!(signed(&last_of_the_second), [true, true, false]);
    assert_eq!((signed(&after), after.signatures.len()), ([true, false, false], 1));
    assert_eq!(post.get("/secret").body["previousSecretExpiresAt"], Value::Null);
}

#[test]
fn signatures_come_newest_first() {
    let post = Post::new();
    let mut secrets = vec![post.secret()];
    for _ in 0..3 {
        post.post("/secret/rotate", &json!({}));
        secrets.insert(0, post.secret());
    }

    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.deliver();

    let message = post.receiver.take().remove(0);
    let expected: Vec<String> = secrets
        .iter()
        .map(|it| {
            let secret = Secret::parse(it).unwrap();
            sign(&secret, &message.id, message.signed_at_s, &message.bytes)
        })
        .collect();
    assert_eq!(message.signatures, expected);
}

#[test]
fn a_rotation_that_would_break_a_promise_is_refused_until_one_has_ended() {
    let post = Post::new();
    for _ in 0..5 {
        assert_eq!(post.post("/secret/rotate", &json!({})).status, 200);
        post.rig.advance(1000);
    }
    let kept = post.secret();

    let refused = post.post("/secret/rotate", &json!({}));

    assert_eq!(refused.refusal(), (409, "webhook_secret_limit"));
    assert!(refused.text("/error/message").contains("2026-01-03T03:04:05.000Z"), "{refused:?}");
    assert_eq!(post.secret(), kept, "nothing was changed");
    post.rig.advance(DAY_MS - 5000);
    assert_eq!(post.post("/secret/rotate", &json!({})).status, 200);
    assert_ne!(post.secret(), kept);
}

#[test]
fn a_change_of_the_endpoint_ends_no_former_secret() {
    let post = Post::new();
    let first = post.secret();
    post.post("/secret/rotate", &json!({}));

    post.rig.advance(1000);
    assert_eq!(post.patch(&json!({"description": "ours"})).status, 200);
    post.patch(&json!({"disabled": true}));
    post.patch(&json!({"disabled": false}));
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    post.deliver();

    assert!(post.receiver.take().remove(0).is_signed_with(&first));
}

#[test]
fn null_or_white_space_is_no_body_where_none_is_needed() {
    let post = Post::new();
    post.post("/test", &json!({}));
    let log = post.get("/deliveries");
    let delivery = log.text("/data/0/id").to_owned();
    let key = post.rig.get("/v1/api-keys", &post.broker.key, None).text("/data/0/id").to_owned();
    let paths = [
        "/v1/organizations/verification".to_owned(),
        post.path("/test"),
        post.path("/secret/rotate"),
        post.path(&format!("/deliveries/{delivery}/resend")),
        format!("/v1/api-keys/{key}/rotate"),
    ];
    let call = |path: &str, body: &str| {
        let mut headers = vec![("Authorization".to_owned(), format!("Bearer {}", post.broker.key))];
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        post.rig.call("POST", path, &headers, body.as_bytes())
    };

    for path in &paths {
        // Nobody is at Sumsub's address: the session gets as far as that.
        let done = if path.ends_with("verification") { 502 } else { 200 };
        for body in ["null", " ", "\r\n\t ", " null\n", "{}", ""] {
            if path.ends_with("/secret/rotate") {
                post.rig.advance(DAY_MS / 4);
            }
            assert_eq!(call(path, body).status, done, "{path} {body:?}");
        }
        for body in ["nul", "NULL", "null null", "[]", "0", "\"\"", "false"] {
            assert_eq!(call(path, body).refusal().0, 400, "{path} {body:?}");
        }
    }
    assert_eq!(call("/v1/authorizations", "null").refusal(), (400, "validation_error"));
    assert_eq!(call("/v1/authorizations", " ").refusal(), (400, "validation_error"));
}

#[test]
fn no_secret_is_in_the_register_and_its_key_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let post = Post::new();
    let secret = post.secret();
    post.post("/secret/rotate", &json!({}));
    post.approve();
    post.deliver();
    post.rig.database().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();

    let bytes = std::fs::read(post.rig.directory.file("register.db")).unwrap();
    let key = post.rig.directory.file("register.db.webhook-key");
    let key_text = std::fs::read_to_string(&key).unwrap();

    let holds = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    for text in [&secret, &secret["whsec_".len()..], &post.secret(), key_text.trim()] {
        assert!(!holds(text));
    }
    assert!(holds(&post.endpoint), "the search works");
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o077, 0);
}

#[test]
fn another_webhook_key_signs_nothing_wrongly_and_a_rotation_heals() {
    let post = Post::new();
    let Post { rig, broker, customer, receiver, endpoint } = post;
    let directory = Directory::new();
    rig.database().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    std::fs::copy(rig.directory.file("register.db"), directory.file("register.db")).unwrap();
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    std::fs::write(directory.file("register.db.webhook-key"), key).unwrap();
    let rig = Rig::start(directory, Arc::new(START_MS.into()), Setup::default());
    let post = Post { rig, broker, customer, receiver, endpoint };
    post.rig.decide(&post.customer, Decision::Hold).unwrap();

    assert_eq!(post.deliver(), 0);

    assert_eq!(post.receiver.count(), 0);
    assert_eq!(post.get("/deliveries").body["data"][0]["attempts"], json!([]));
    assert_eq!(post.get("/secret").refusal(), (409, "webhook_secret_unavailable"));
    post.post("/secret/rotate", &json!({}));
    post.rig.advance(6000);
    post.deliver();
    let message = post.receiver.take().remove(0);
    assert!(message.is_signed_with(&post.secret()) && message.signatures.len() == 1);
}

#[test]
fn endpoints_are_made_listed_changed_and_deleted_by_their_organization_alone() {
    let post = Post::new();
    let stranger = post.rig.broker();
    let made = post.get("");
    assert_eq!(
        made.body,
        json!({"object": "webhook_endpoint", "id": post.endpoint, "url": post.receiver.url,
            "description": null, "disabled": false, "eventTypes": [],
            "createdAt": "2026-01-02T03:04:05.000Z", "updatedAt": "2026-01-02T03:04:05.000Z"})
    );
    assert_eq!((&post.endpoint[..3], post.endpoint.len()), ("ep_", 27));
    for rest in ["", "/secret", "/deliveries", "/deliveries/dlv_0000000000000001"] {
        let answer = post.rig.get(&post.path(rest), &stranger.key, None);
        assert_eq!(answer.refusal(), (404, "webhook_endpoint_not_found"), "{rest}");
    }
    for rest in ["/secret/rotate", "/test", "/deliveries/x/resend"] {
        let answer = post.rig.post(&post.path(rest), &stranger.key, None, &json!({}));
        assert_eq!(answer.refusal(), (404, "webhook_endpoint_not_found"), "{rest}");
    }
    post.rig.advance(1000);
    let changed = post.patch(&json!({"description": " ours ", "disabled": true}));
    assert_eq!(changed.text("/description"), "ours");
    assert_eq!(changed.text("/updatedAt"), "2026-01-02T03:04:06.000Z");
    assert_eq!(post.patch(&json!({"description": null})).body["description"], Value::Null);
    assert_eq!(post.get("/deliveries/x").refusal(), (404, "webhook_delivery_not_found"));

    let second = endpoint(&post.rig, &post.broker, "https://example.com/hook");
    let page = post.rig.get(&format!("{ENDPOINTS}?limit=1"), &post.broker.key, None);
    assert_eq!((page.text("/data/0/id"), &page.body["hasMore"]), (second.as_str(), &json!(true)));
    let next = format!("{ENDPOINTS}?limit=1&cursor={}", page.text("/nextCursor"));
    assert_eq!(post.rig.get(&next, &post.broker.key, None).text("/data/0/id"), post.endpoint);

    let gone = delete(&post.rig, &post.broker, &post.path(""));
    assert_eq!(
        gone.body,
        json!({"object": "webhook_endpoint", "id": post.endpoint, "deleted": true})
    );
    assert_eq!(post.get("").refusal(), (404, "webhook_endpoint_not_found"));
    let left = post.rig.get(ENDPOINTS, &post.broker.key, None);
    assert_eq!(left.body["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_body_or_query_that_is_not_the_contracts_is_refused() {
    let post = Post::new();
    let refused = |body: Value| {
        let answer = post.rig.post(ENDPOINTS, &post.broker.key, None, &body);
        assert_eq!(answer.refusal(), (400, "validation_error"), "{body}");
    };
    refused(json!({}));
    refused(json!({"url": "http://example.com/"}));
    refused(json!({"url": "not a url"}));
    refused(json!({"url": "https://example.com/", "more": 1}));
    refused(json!({"url": "https://example.com/", "eventTypes": ["webhook.test"]}));
    refused(json!({"url": "https://example.com/", "eventTypes": "all"}));
    refused(json!({"url": "https://example.com/", "description": "x".repeat(201)}));
    for query in ["?limit=0", "?cursor=ep_1", "?status=PENDING"] {
        let answer = post.rig.get(&format!("{ENDPOINTS}{query}"), &post.broker.key, None);
        assert_eq!(answer.refusal(), (400, "validation_error"), "{query}");
    }
    for query in ["?status=GONE", "?cursor=17", "?limit=101"] {
        assert_eq!(post.get(&format!("/deliveries{query}")).refusal().0, 400, "{query}");
    }
    for body in [json!({}), json!({"since": "now"}), json!({"since": "2026-01-01", "x": 1})] {
        assert_eq!(post.post("/deliveries/resend", &body).refusal().0, 400, "{body}");
    }
    assert_eq!(patch(&post.rig, &post.broker, ENDPOINTS, &json!({})).status, 405);
    for _ in 0..19 {
        endpoint(&post.rig, &post.broker, "https://example.com/");
    }
    let one_more =
        post.rig.post(ENDPOINTS, &post.broker.key, None, &json!({"url": "https://example.com/"}));
    assert_eq!(one_more.refusal(), (409, "webhook_endpoint_limit"));
}

#[test]
fn a_deletion_with_a_body_that_is_not_json_is_refused_as_documented_and_deletes_nothing() {
    let post = Post::new();
    let headers = [("Authorization".to_owned(), format!("Bearer {}", post.broker.key))];

    let refused = post.rig.call("DELETE", &post.path(""), &headers, b"{}");

    assert_eq!(refused.refusal(), (415, "unsupported_media_type"));
    assert_eq!(post.get("").status, 200);
}

#[test]
fn a_repeated_creation_makes_one_endpoint() {
    let post = Post::new();
    let body = json!({"url": "https://example.com/"}).to_string();
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", post.broker.key)),
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Idempotency-Key".to_owned(), "one".to_owned()),
    ];

    let first = post.rig.call("POST", ENDPOINTS, &headers, body.as_bytes());
    let second = post.rig.call("POST", ENDPOINTS, &headers, body.as_bytes());

    assert_eq!(first.body, second.body);
    assert_eq!(second.header("Idempotent-Replayed"), Some("true"));
    let kept = post.rig.get(ENDPOINTS, &post.broker.key, None);
    let ids: BTreeSet<&str> =
        kept.body["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, BTreeSet::from([first.text("/id"), &post.endpoint]));
    assert_eq!(kept.body["data"].as_array().unwrap().len(), 2);
}

/// One port of this machine, listed.
fn only(url: &str) -> Allowed {
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    Allowed::new(vec![("127.0.0.1/32".parse().unwrap(), Some(port))])
}

/// Another server on a copy of a rig's register, with another list of receivers.
fn on_a_copy(rig: &Rig, allowed: Allowed) -> Rig {
    let directory = Directory::new();
    rig.database().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    for name in ["register.db", "register.db.webhook-key"] {
        std::fs::copy(rig.directory.file(name), directory.file(name)).unwrap();
    }
    Rig::start(directory, Arc::new(START_MS.into()), Setup { allowed, ..Setup::default() })
}

/// The machine's own services answer whoever asks from it; a caller's key must not ask for them.
#[test]
fn no_key_of_a_test_server_reads_the_machines_own_services() {
    let metrics = Receiver::start();
    let port = metrics.url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    let elsewhere = Receiver::start();
    for allowed in [Allowed::default(), only(&elsewhere.url)] {
        let rig = Rig::with(Setup { allowed, ..Setup::default() });
        let broker = rig.broker();
        let own = endpoint(&rig, &broker, "https://example.com/");
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "localhost",
            "LOCALHOST.",
            "0.0.0.0",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[0:0:0:0:0:ffff:7f00:1]",
            "[64:ff9b::127.0.0.1]",
            "10.0.0.1",
            "169.254.169.254",
            "[fe80::1]",
        ] {
            for url in [format!("http://{host}:{port}/metrics"), format!("https://{host}:{port}/")]
            {
                let body = json!({ "url": url });
                let created = rig.post(ENDPOINTS, &broker.key, None, &body);
                assert_eq!(created.refusal(), (400, "validation_error"), "{url}");
                let changed = patch(&rig, &broker, &format!("{ENDPOINTS}/{own}"), &body);
                assert_eq!(changed.refusal(), (400, "validation_error"), "{url}");
                let message = created.text("/error/message");
                let is_numeric = message.contains("its host is a number");
                assert!(is_numeric || message.contains("webhook-allow"), "{url}: {message}");
            }
        }
        // Public by its looks: the resolver's own rule for names below localhost stands in for
        // somebody else's name server.
        let named = endpoint(&rig, &broker, &format!("https://hook.localhost:{port}/"));
        rig.post(&format!("{ENDPOINTS}/{named}/test"), &broker.key, None, &json!({}));
        deliver_due(&rig.appliance).unwrap();
        let log = rig.get(&format!("{ENDPOINTS}/{named}/deliveries"), &broker.key, None);
        let error = log.text("/data/0/attempts/0/error");
        assert!(["address_not_allowed", "host_not_found"].contains(&error), "{error}");
    }
    assert_eq!((metrics.count(), elsewhere.count()), (0, 0));
}

#[test]
fn a_receiver_that_the_operator_lists_is_reached_and_its_words_are_not_shown() {
    let receiver = Receiver::start();
    receiver.answers(Reply::status(200));
    let rig = Rig::with(Setup { allowed: only(&receiver.url), ..Setup::default() });
    let broker = rig.broker();
    for url in [&receiver.url, &receiver.url.replace("127.0.0.1", "localhost")] {
        let id = endpoint(&rig, &broker, url);
        rig.post(&format!("{ENDPOINTS}/{id}/test"), &broker.key, None, &json!({}));
        deliver_due(&rig.appliance).unwrap();

        let log = rig.get(&format!("{ENDPOINTS}/{id}/deliveries"), &broker.key, None);

        assert_eq!(log.text("/data/0/status"), "DELIVERED", "{url}");
        assert_eq!(log.body["data"][0]["attempts"][0]["status"], 200, "{url}");
        assert_eq!(log.text("/data/0/attempts/0/answer"), "", "{url}");
        assert!(!log.text.contains("answered 200"), "{url}");
    }
    assert_eq!(receiver.count(), 2);
    let next_door = json!({"url": "http://127.0.0.1:1/hook"});
    let refused = rig.post(ENDPOINTS, &broker.key, None, &next_door);
    assert!(refused.text("/error/message").contains("webhook-allow"), "{refused:?}");
}

#[test]
fn an_endpoint_of_before_stays_enabled_and_says_why_nothing_arrives_until_it_is_listed() {
    let Post { rig, broker, receiver, endpoint, customer } = Post::new();
    let rig = on_a_copy(&rig, Allowed::default());
    rig.decide(&customer, Decision::Hold).unwrap();

    deliver_due(&rig.appliance).unwrap();

    let path = format!("{ENDPOINTS}/{endpoint}");
    let log = rig.get(&format!("{path}/deliveries"), &broker.key, None);
    assert_eq!(log.text("/data/0/attempts/0/error"), "address_not_allowed");
    assert_eq!((log.text("/data/0/status"), receiver.count()), ("PENDING", 0));
    assert_eq!(rig.get(&path, &broker.key, None).body["disabled"], false);
    let rig = on_a_copy(&rig, only(&receiver.url));
    rig.advance(6000);
    deliver_due(&rig.appliance).unwrap();
    let log = rig.get(&format!("{path}/deliveries"), &broker.key, None);
    assert_eq!((log.text("/data/0/status"), receiver.count()), ("DELIVERED", 1));
}

#[test]
fn a_redirect_from_a_listed_receiver_leads_nowhere() {
    let (receiver, metrics) = (Receiver::start(), Receiver::start());
    let rig = Rig::with(Setup { allowed: only(&receiver.url), ..Setup::default() });
    let broker = rig.broker();
    let id = endpoint(&rig, &broker, &receiver.url);
    for status in [301, 302, 303, 307, 308] {
        receiver.answers(Reply { status, header: Some(("Location", metrics.url.clone())) });
        rig.post(&format!("{ENDPOINTS}/{id}/test"), &broker.key, None, &json!({}));
        deliver_due(&rig.appliance).unwrap();
    }
    assert_eq!((receiver.count(), metrics.count()), (5, 0));
}

#[test]
fn a_live_server_sends_to_a_listed_receiver_too_but_only_encrypted() {
    let receiver = Receiver::start();
    let rig = Rig::with(Setup {
        environment: Environment::Live,
        allowed: only(&receiver.url),
        ..Setup::default()
    });
    let broker = rig.broker();
    let plain = rig.post(ENDPOINTS, &broker.key, None, &json!({"url": receiver.url}));
    assert!(plain.text("/error/message").contains("https://"), "{plain:?}");

    let id = endpoint(&rig, &broker, &receiver.url.replace("http://", "https://"));
    rig.post(&format!("{ENDPOINTS}/{id}/test"), &broker.key, None, &json!({}));
    deliver_due(&rig.appliance).unwrap();

    // It was dialled, and speaks no TLS.
    let log = rig.get(&format!("{ENDPOINTS}/{id}/deliveries"), &broker.key, None);
    let error = log.text("/data/0/attempts/0/error");
    assert!(!["address_not_allowed", "host_not_found"].contains(&error), "{error}");
    assert_eq!(receiver.count(), 0);
}

#[test]
fn in_live_mode_a_name_that_resolves_into_the_own_network_is_not_dialled() {
    let post = Post::with(Setup { environment: Environment::Test, ..Setup::default() });
    let live = Rig::with(Setup {
        environment: Environment::Live,
        allowed: Allowed::default(),
        ..Setup::default()
    });
    let broker = live.broker();
    for url in [&post.receiver.url, "https://localhost/", "https://192.168.1.1/hook"] {
        let answer = live.post(ENDPOINTS, &broker.key, None, &json!({ "url": url }));
        assert_eq!(answer.refusal(), (400, "validation_error"), "{url}");
    }
    // Public by its looks, private once resolved: the hosts file and the resolver's own rule for
    // names below localhost stand in for somebody else's name server.
    let id = endpoint(&live, &broker, "https://hook.localhost/");
    live.post(&format!("{ENDPOINTS}/{id}/test"), &broker.key, None, &json!({}));

    deliver_due(&live.appliance).unwrap();

    let log = live.get(&format!("{ENDPOINTS}/{id}/deliveries"), &broker.key, None);
    let error = log.text("/data/0/attempts/0/error");
    assert!(["address_not_allowed", "host_not_found"].contains(&error), "{error}");
    assert_eq!(post.receiver.count(), 0);
}

/// Every change of a status that readers saw, and every event of an LOA, has its one message; and no
/// message is without one.
fn assert_changes_are_events(rig: &Rig, organizations: &[&str]) {
    let database = rig.database();
    let one = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(
        one("SELECT count(*) FROM authorization_event AS e
             FULL JOIN outgoing_message AS m ON m.authorization_sequence = e.sequence
             WHERE (e.sequence IS NULL AND m.type = 'authorization.updated')
                OR (e.sequence IS NOT NULL AND m.message_id IS NULL)"),
        0
    );
    for organization in organizations {
        // What the history makes of the facts alone.
        let id = OrganizationId::new(*organization);
        let changes = countersign::usecase::history::status_changes(&rig.appliance, &id, rig.now());
        let changes: Vec<(String, String)> = changes
            .unwrap()
            .iter()
            .map(|it| (it.to.as_str().to_owned(), it.at.to_string()))
            .collect();
        let told: Vec<(String, String)> = database
            .prepare(
                "SELECT body ->> '$.data.status', body ->> '$.data.updatedAt'
                 FROM (SELECT CAST(body AS TEXT) AS body, message_no FROM outgoing_message
                       WHERE organization_id = ?1 AND type = 'organization.verification.updated')
                 ORDER BY message_no",
            )
            .unwrap()
            .query_map([organization], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(told, changes, "{organization}");
    }
}

#[test]
fn an_approvals_end_is_told_once_whether_a_timer_or_the_next_fact_comes_first() {
    let post = Post::with(Setup { valid_days: 2, ..Setup::default() });
    let other = post.rig.customer(&post.broker, "BUSINESS");
    post.approve();
    post.rig.decide(&other, Decision::Hold).unwrap();
    post.rig.decide(&other, Decision::Approve).unwrap();
    post.rig.advance(1);
    post.deliver();
    post.receiver.take();
    post.rig.advance(2 * DAY_MS + 1000);
    // Before any timer has run, an operator puts the other one on hold.
    post.rig.decide(&other, Decision::Hold).unwrap();

    post.deliver();
    post.deliver();

    let mut told: Vec<(String, String)> = post
        .receiver
        .take()
        .iter()
        .map(|it| {
            assert_eq!(it.text("/timestamp"), it.text("/data/updatedAt"));
            (it.text("/data/organizationId").to_owned(), it.text("/data/status").to_owned())
        })
        .collect();
    told.sort();
    let expected = |id: &str, status: &str| (id.to_owned(), status.to_owned());
    let mut all = [
        expected(&post.customer, "RESUBMISSION_REQUIRED"),
        expected(&other, "RESUBMISSION_REQUIRED"),
        expected(&other, "ON_HOLD"),
    ];
    all.sort();
    assert_eq!(told, all);
    assert_changes_are_events(&post.rig, &[&post.customer, &other]);
}

#[test]
fn a_change_and_its_event_are_one_commit_whoever_changes_and_whoever_listens() {
    let post = Post::with(Setup { valid_days: 2, ..Setup::default() });
    let alone = post.rig.broker();
    let unheard = post.rig.customer(&alone, "INDIVIDUAL");
    for customer in [&post.customer, &unheard] {
        for decision in [
            Decision::Hold,
            Decision::Reject,
            Decision::Reopen,
            Decision::Hold,
            Decision::Hold,
            Decision::Approve,
        ] {
            drop(post.rig.decide(customer, decision));
            post.rig.advance(1000);
        }
        // Refused: nothing is recorded, so nothing is told.
        assert!(post.rig.decide(customer, Decision::Reopen).is_err());
    }
    post.rig.sign(&post.customer, &post.broker.id);
    post.rig.advance(3 * DAY_MS);
    post.deliver();

    assert_changes_are_events(&post.rig, &[&post.customer, &unheard, &alone.id]);
}

#[test]
fn a_claim_whose_holder_died_runs_out_and_the_message_goes_out_under_its_id() {
    let post = Post::new();
    post.rig.decide(&post.customer, Decision::Hold).unwrap();
    let (endpoint, now) = (post.endpoint.clone(), post.rig.now());
    let lease = now.plus_ms(60_000);
    let held = post
        .rig
        .appliance
        .store
        .write(move |tx| tx.claim_deliveries(&endpoint, 10, lease, now))
        .unwrap();
    // Its holder is gone before, or right after, it has sent: nobody can know.
    assert_eq!((held.len(), post.deliver()), (1, 0));

    post.rig.advance(60_000);

    assert_eq!(post.deliver(), 1);
    assert_eq!(post.receiver.take().remove(0).id, held[0].message_id);
}

#[test]
fn a_receiver_that_does_not_answer_delays_nobody_else() {
    let post = Post::new();
    let silent: Vec<Receiver> = (0..10).map(|_| Receiver::start()).collect();
    let others: Vec<Broker> = silent.iter().map(|_| post.rig.broker()).collect();
    for (broker, receiver) in others.iter().zip(&silent) {
        receiver.hold();
        endpoint(&post.rig, broker, &receiver.url);
        for _ in 0..10 {
            post.rig.customer(broker, "BUSINESS");
        }
    }
    let courier = Courier::start(Arc::clone(&post.rig.appliance)).unwrap();
    // Each of them has as many attempts under way as one endpoint may.
    wait_until(&|| silent.iter().all(|it| it.count() == 4));

    post.rig.decide(&post.customer, Decision::Hold).unwrap();

    wait_until(&|| post.receiver.count() == 1);
    assert!(silent.iter().all(|it| it.count() == 4), "and no more than that");
    silent.iter().for_each(Receiver::let_go);
    wait_until(&|| silent.iter().all(|it| it.count() == 10));
    courier.stop(Duration::from_secs(5));
}

#[test]
fn a_kill_in_mid_delivery_loses_no_event_and_invents_none() {
    let receiver = Receiver::start();
    receiver.answers(Reply::status(500));
    let directory = Directory::new();
    let database = directory.file("register.db").to_str().unwrap().to_owned();
    let shell = Shell::new().with(&[
        ("COUNTERSIGN_DATABASE", &database),
        ("COUNTERSIGN_SUMSUB_APP_TOKEN", "sbx:token"),
        ("COUNTERSIGN_SUMSUB_SECRET_KEY", "secret"),
        ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "secret"),
        ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb-level"),
        ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc-level"),
        RECEIVERS,
        // The first attempts follow each other within half a second.
        ("COUNTERSIGN_WEBHOOK_TIME_SCALE", "1000"),
    ]);
    let (broker, customer) = shell.parties();
    shell.run(&["webhook", "create", "--org", &broker, "--url", &receiver.url]).ok();
    let decide = |what: &str| {
        shell.run(&["verification", what, &customer, "--reason", "because"]).ok();
    };
    let server = Resident::start(&shell, &["serve", "--listen", "127.0.0.1:0"]);
    decide("hold");
    wait_until(&|| receiver.count() >= 3);
    // Attempts are under way, their answers outstanding, while changes go on and the server dies.
    receiver.hold();
    decide("approve");
    wait_until(&|| receiver.count() >= 4);
    let mut server = server;
    server.0.kill().unwrap();
    server.0.wait().unwrap();
    receiver.let_go();
    decide("hold");
    receiver.answers(Reply::status(200));

    // The next server runs two days later.
    let next = Rig::start(directory, Arc::new(real_now_ms().into()), Setup::default());
    next.advance(2 * DAY_MS);
    deliver_due(&next.appliance).unwrap();

    let arrived: BTreeSet<(String, Vec<u8>)> =
        receiver.take().into_iter().map(|it| (it.id, it.bytes)).collect();
    let written: BTreeSet<(String, Vec<u8>)> = next
        .database()
        .prepare(
            "SELECT m.message_id, m.body FROM outgoing_message AS m
             JOIN outgoing_delivery AS d ON d.message_no = m.message_no
             WHERE d.status = 'DELIVERED'",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(arrived, written);
    assert_eq!(written.len(), 3, "hold, approve, hold");
    assert_changes_are_events(&next, &[&customer, &broker]);
}

#[test]
fn an_operator_makes_an_endpoint_reads_its_log_and_sends_again() {
    let receiver = Receiver::start();
    receiver.answers(Reply::status(200));
    let directory = Directory::new();
    let database = directory.file("register.db").to_str().unwrap().to_owned();
    let shell = Shell::new().with(&[("COUNTERSIGN_DATABASE", &database), RECEIVERS]);
    let (broker, customer) = shell.parties();
    let made =
        shell.run(&["webhook", "create", "--org", &broker, "--url", &receiver.url, "--json"]).ok();
    let made: Value = serde_json::from_str(&made).unwrap();
    let id = made["id"].as_str().unwrap();
    let ok = |arguments: &[&str]| shell.run(&[&["webhook"], arguments].concat()).ok();
    shell.run(&["verification", "hold", &customer, "--reason", "because"]).ok();
    ok(&["test", id]);
    let server = Rig::start(directory, Arc::new(real_now_ms().into()), Setup::default());
    server.advance(1000);
    deliver_due(&server.appliance).unwrap();

    assert!(ok(&["list"]).contains("enabled"));
    let log = ok(&["deliveries", id]);
    assert!(log.contains(VERIFICATION_UPDATED) && log.matches("DELIVERED").count() == 2, "{log}");
    let shown = ok(&["show", id, "2"]);
    assert!(shown.contains("200") && !shown.contains("answered"), "{shown}");
    assert!(shown.contains("\"type\":\"webhook.test\""), "{shown}");
    assert!(ok(&["secret", id]).starts_with("whsec_"));
    assert_eq!(ok(&["resend", id, "--since", "2026-01-01"]), "2 to be sent again");
    assert!(ok(&["disable", id]).contains("disabled"));
    assert!(ok(&["deliveries", id, "--status", "SKIPPED"]).contains(VERIFICATION_UPDATED));
    assert!(ok(&["enable", id]).contains("enabled"));
    assert!(ok(&["resend", id, "2"]).contains("PENDING"));
    assert!(ok(&["rotate", id]).contains(id));
    assert!(ok(&["delete", id]).contains("deleted"));
    assert!(ok(&["list"]).is_empty());
}

pub(crate) fn wait_until(reached: &dyn Fn() -> bool) {
    for _ in 0..3000 {
        if reached() {
            return;
        }
        // Ten milliseconds, by a channel on which nothing comes.
        let (_sender, never) = std::sync::mpsc::channel::<()>();
        assert!(never.recv_timeout(Duration::from_millis(10)).is_err());
    }
    panic!("it took too long");
}
