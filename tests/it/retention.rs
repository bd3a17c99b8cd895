//! What goes by age, and what never does.

use serde_json::json;

use crate::receiver::Receiver;
use crate::rig::{DAY_MS, Rig, START_MS};
use countersign::domain::organization::OrganizationId;
use countersign::store::Outcome;
use countersign::usecase::decide::Decision;
use countersign::usecase::deliver_events::deliver_due;
use countersign::usecase::receive_webhook::replay_delivery;
use countersign::usecase::retention::{Cursors, LetGo, Retention, let_go};

const RETENTION: Retention = Retention { inbox_days: 400, outgoing_days: 90 };

fn round(rig: &Rig, retention: Retention) -> LetGo {
    let_go(&rig.appliance, retention, &mut Cursors::default(), &mut || true).unwrap()
}

fn green(customer: &str, number: i64) -> serde_json::Value {
    json!({
        "applicantId": "5cb56e8e0a975a35f333cb83", "externalUserId": customer, "sandboxMode": true,
        "type": "applicantReviewed", "reviewStatus": "completed",
        "reviewResult": {"reviewAnswer": "GREEN"}, "createdAtMs": (START_MS + number).to_string(),
    })
}

#[test]
fn a_deliverys_body_goes_after_its_days_and_what_it_did_stays() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    for number in 0..700 {
        rig.deliver(&green(&customer, number));
        rig.advance(1);
    }
    rig.advance(400 * DAY_MS - 700);
    assert_eq!(round(&rig, RETENTION).deliveries, 0, "not a moment before");
    rig.deliver(&green(&customer, 700));
    rig.advance(700);

    let first = round(&rig, RETENTION);

    assert_eq!((first.deliveries, round(&rig, RETENTION).deliveries), (700, 0), "once");
    let store = &rig.appliance.store;
    let old = store.read(|it| it.delivery(1)).unwrap().unwrap();
    assert_eq!((old.body, old.outcome, old.has_fact), (None, Outcome::Changed, true));
    let new = store.read(|it| it.delivery(701)).unwrap().unwrap();
    assert!(new.body.is_some());
    let facts = store.read(|it| it.facts(&OrganizationId::new(&customer))).unwrap();
    assert_eq!(facts.len(), 701, "facts are for ever");
    rig.deliver(&green(&customer, 0));
    assert!(store.read(|it| it.delivery(702)).unwrap().is_none(), "a repetition is still one");
}

#[test]
fn a_delivery_without_its_body_is_not_applied_again() {
    let rig = Rig::new();
    rig.deliver(&green("org_00000000000000000000000000000000", 0));
    let before = rig.appliance.store.read(|it| it.delivery(1)).unwrap().unwrap().outcome;
    rig.advance(401 * DAY_MS);
    round(&rig, RETENTION);

    let replayed = replay_delivery(&rig.appliance, 1).unwrap();

    assert_eq!(before, Outcome::UnknownApplicant);
    assert_eq!(replayed, Some((before, before)), "and not called unreadable");
}

#[test]
fn outgoing_bodies_and_their_log_go_after_their_days_but_none_that_is_on_its_way() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    let receiver = Receiver::start();
    let endpoint =
        rig.post("/v1/webhooks/endpoints", &broker.key, None, &json!({"url": receiver.url}));
    rig.decide(&customer, Decision::Hold).unwrap();
    deliver_due(&rig.appliance).unwrap();
    rig.decide(&customer, Decision::Approve).unwrap();
    rig.advance(91 * DAY_MS);

    let done = round(&rig, RETENTION);

    let path = format!("/v1/webhooks/endpoints/{}/deliveries", endpoint.text("/id"));
    let listed = rig.get(&path, &broker.key, None);
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1, "{listed:?}");
    assert_eq!(listed.text("/data/0/status"), "PENDING");
    assert!(done.messages > 0);
    receiver.take();
    assert_eq!(deliver_due(&rig.appliance).unwrap(), 1);
    assert_eq!(receiver.take().remove(0).text("/data/status"), "APPROVED");
    assert_eq!(round(&rig, RETENTION).messages, 1, "now it has arrived");
    assert_eq!(rig.get(&path, &broker.key, None).body["data"], json!([]));
}

#[test]
fn nothing_goes_where_it_is_kept_for_ever_except_answers_whose_time_is_over() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    rig.deliver(&green(&customer, 0));
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
        ("Idempotency-Key".to_owned(), "once".to_owned()),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    rig.call("POST", "/v1/organizations", &headers, br#"{"name": "Acme", "type": "BUSINESS"}"#);
    let for_ever = Retention { inbox_days: 0, outgoing_days: 0 };
    assert_eq!(round(&rig, for_ever), LetGo::default());
    rig.advance(10_000 * DAY_MS);

    let done = round(&rig, for_ever);

    assert_eq!(done, LetGo { answers: 1, ..LetGo::default() });
    assert!(rig.appliance.store.read(|it| it.delivery(1)).unwrap().unwrap().body.is_some());
}
