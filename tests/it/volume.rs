//! What a broker sees tells nothing of how much others do: no id, cursor or fact name counts rows that
//! are not the broker's own.

use serde_json::{Value, json};

use crate::rig::{Answer, Broker, Rig};
use countersign::usecase::decide::Decision;

const LIST: &str = "/v1/authorizations";
const ENDPOINTS: &str = "/v1/webhooks/endpoints";

/// Another broker does much: customers, LOAs, facts, endpoints, deliveries.
fn others_are_busy(rig: &Rig, other: &Broker, times: usize) {
    for _ in 0..times {
        let customer = rig.customer(other, "BUSINESS");
        rig.sign(&customer, &other.id);
        rig.decide(&customer, Decision::Hold).unwrap();
        rig.decide(&customer, Decision::Approve).unwrap();
    }
}

fn endpoint(rig: &Rig, broker: &Broker) -> String {
    let body = json!({"url": "https://example.com/hook"});
    rig.post(ENDPOINTS, &broker.key, None, &body).text("/id").to_owned()
}

/// Every page of one row: the ids that its cursors name.
fn cursors(rig: &Rig, broker: &Broker, path: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    loop {
        let after = seen.last().map(|it| format!("&cursor={it}")).unwrap_or_default();
        let page = rig.get(&format!("{path}?limit=1{after}"), &broker.key, None);
        assert_eq!(page.status, 200, "{page:?}");
        let Some(next) = page.body["nextCursor"].as_str() else { return seen };
        seen.push(next.to_owned());
    }
}

/// Neither order nor distance of the numbers in ids follows the order in which they were made.
fn assert_random(ids: &[String], prefix: &str) {
    let numbers: Vec<u64> = ids
        .iter()
        .map(|it| u64::from_str_radix(it.strip_prefix(prefix).unwrap(), 16).unwrap())
        .collect();
    assert!(numbers.len() >= 12, "{ids:?}");
    // Twelve random numbers are in order once in some hundred million runs.
    assert!(!numbers.is_sorted() && !numbers.iter().rev().is_sorted(), "{ids:?}");
    assert!(numbers.iter().any(|it| *it > 1 << 32), "{ids:?}");
}

#[test]
fn cursors_and_ids_say_nothing_of_another_brokers_volume() {
    let rig = Rig::new();
    let (mine, other) = (rig.broker(), rig.broker());
    let hook = endpoint(&rig, &mine);
    endpoint(&rig, &other);

    for round in 0..14 {
        rig.customer(&mine, "BUSINESS");
        others_are_busy(&rig, &other, round % 3);
    }

    assert_random(&cursors(&rig, &mine, LIST), "loa_");
    let deliveries = format!("{ENDPOINTS}/{hook}/deliveries");
    assert_random(&cursors(&rig, &mine, &deliveries), "dlv_");
    let log = rig.get(&format!("{deliveries}?limit=100"), &mine.key, None);
    let ids: Vec<String> = log.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    assert_random(&ids, "dlv_");
    for id in &ids {
        let one = rig.get(&format!("{deliveries}/{id}"), &mine.key, None);
        assert_eq!(one.text("/id"), id);
    }
}

#[test]
fn a_cursor_of_another_broker_or_of_nobody_is_refused() {
    let rig = Rig::new();
    let (mine, other) = (rig.broker(), rig.broker());
    let (my_hook, its_hook) = (endpoint(&rig, &mine), endpoint(&rig, &other));
    for broker in [&mine, &other] {
        rig.customer(broker, "BUSINESS");
        rig.customer(broker, "BUSINESS");
    }
    let page = |path: &str, cursor: &str| -> Answer {
        rig.get(&format!("{path}?limit=1&cursor={cursor}"), &mine.key, None)
    };
    let of_mine = |hook: &str| format!("{ENDPOINTS}/{hook}/deliveries");

    let foreign_loa = &cursors(&rig, &other, LIST)[0];
    let foreign_delivery = &cursors(&rig, &other, &of_mine(&its_hook))[0];

    for cursor in [foreign_loa, "loa_0000000000000001", "loa_", "1", "dlv_0000000000000001"] {
        let refused = page(LIST, cursor);
        assert_eq!(refused.refusal(), (400, "validation_error"), "{cursor}");
    }
    for cursor in [foreign_delivery, "dlv_0000000000000001", "dlv_", "1"] {
        let refused = page(&of_mine(&my_hook), cursor);
        assert_eq!(refused.refusal(), (400, "validation_error"), "{cursor}");
    }
    let show = format!("{}/{foreign_delivery}", of_mine(&my_hook));
    let refused = rig.get(&show, &mine.key, None);
    assert_eq!(refused.refusal(), (404, "webhook_delivery_not_found"));
    let resend = rig.post(&format!("{show}/resend"), &mine.key, None, &json!({}));
    assert_eq!(resend.refusal(), (404, "webhook_delivery_not_found"));
}

/// The facts that an explanation rests on, by name.
fn facts(rig: &Rig, broker: &Broker, customer: &str) -> Vec<Value> {
    let path = format!("{LIST}/explain?grantingOrganizationId={customer}");
    let told = rig.get(&path, &broker.key, None);
    assert_eq!(told.status, 200, "{told:?}");
    let conditions = told.body["conditions"].as_array().unwrap().iter();
    conditions.map(|it| it["fact"]["id"].clone()).collect()
}

#[test]
fn a_fact_has_the_same_name_however_busy_others_are() {
    let story = |busy: usize| -> Vec<Vec<Value>> {
        let rig = Rig::new();
        let (mine, other) = (rig.broker(), rig.broker());
        others_are_busy(&rig, &other, busy);
        let customer = rig.customer(&mine, "BUSINESS");
        let mut told = vec![facts(&rig, &mine, &customer)];
        others_are_busy(&rig, &other, 2 * busy);
        rig.sign(&customer, &mine.id);
        rig.decide(&customer, Decision::Hold).unwrap();
        told.push(facts(&rig, &mine, &customer));
        others_are_busy(&rig, &other, busy);
        rig.decide(&customer, Decision::Approve).unwrap();
        told.push(facts(&rig, &mine, &customer));
        told
    };

    let quiet = story(0);

    assert_eq!(
        quiet[2],
        ["authorization_event_2", "authorization_event_2", "verification_event_2"]
    );
    assert_eq!(story(1), quiet);
    assert_eq!(story(3), quiet);
}

#[test]
fn the_name_of_a_fact_stays_when_more_facts_come() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    rig.sign(&customer, &broker.id);
    rig.decide(&customer, Decision::Hold).unwrap();
    rig.advance(1000);
    let at = rig.now();
    rig.advance(1000);
    let then = |rig: &Rig| {
        let path = format!("{LIST}/explain?grantingOrganizationId={customer}&at={at}");
        rig.get(&path, &broker.key, None).body["conditions"].clone()
    };
    let before = then(&rig);

    rig.decide(&customer, Decision::Approve).unwrap();
    rig.decide(&customer, Decision::Hold).unwrap();

    assert_eq!(then(&rig), before);
    assert_eq!(before[2]["fact"]["id"], "verification_event_1");
}
