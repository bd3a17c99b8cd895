//! Waiting instead of polling: `Prefer: wait=N` with an entity tag.

use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::json;

use crate::rig::{Answer, Broker, Rig, Setup, sumsub_instant};
use countersign::api::ApiSettings;
use countersign::store::Woken;
use countersign::usecase::decide::Decision;

fn poll(rig: &Rig, broker: &Broker, customer: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![
        ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
        ("Nxos-On-Behalf-Of".to_owned(), customer.to_owned()),
    ];
    all.extend(headers.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned())));
    rig.call("GET", "/v1/organizations/verification", &all, b"")
}

fn setting(rig: &Rig) -> (Broker, String, String) {
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    let tag = poll(rig, &broker, &customer, &[]).header("ETag").unwrap().to_owned();
    (broker, customer, tag)
}

/// Fails after half a minute.
pub(crate) fn wait_until_waiting(rig: &Rig, waiters: usize) {
    // Ten milliseconds, by a channel on which nothing comes.
    let (_sender, never) = channel::<()>();
    for _ in 0..3000 {
        if rig.appliance.store.changes().waiters() >= waiters {
            return;
        }
        assert!(never.recv_timeout(Duration::from_millis(10)).is_err());
    }
    panic!("nobody waits");
}

#[test]
fn a_waiting_client_is_answered_when_the_status_changes() {
    let rig = Rig::new();
    let (broker, customer, tag) = setting(&rig);
    rig.advance(1000);

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            poll(&rig, &broker, &customer, &[("Prefer", "wait=60"), ("If-None-Match", &tag)])
        });
        wait_until_waiting(&rig, 1);
        let other = rig.customer(&broker, "BUSINESS");
        rig.decide(&other, Decision::Hold).unwrap();
        rig.decide(&customer, Decision::Hold).unwrap();

        let answer = waiting.join().unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text("/status"), "ON_HOLD");
        assert_eq!(answer.header("Preference-Applied"), Some("wait=60"));
        assert_ne!(answer.header("ETag"), Some(tag.as_str()));
    });
    assert_eq!(rig.appliance.store.changes().waiters(), 0);
}

#[test]
fn when_nothing_changes_the_answer_is_304_with_the_tag_and_no_body() {
    let rig = Rig::new();
    let (broker, customer, tag) = setting(&rig);

    let answer = poll(&rig, &broker, &customer, &[("Prefer", "wait=1"), ("If-None-Match", &tag)]);

    assert_eq!(answer.status, 304);
    assert_eq!(answer.header("ETag"), Some(tag.as_str()));
    assert_eq!(answer.header("Preference-Applied"), Some("wait=1"));
    assert!(answer.body.is_null());
}

#[test]
fn without_both_headers_nobody_waits() {
    let rig = Rig::new();
    let (broker, customer, tag) = setting(&rig);

    assert_eq!(poll(&rig, &broker, &customer, &[("Prefer", "wait=60")]).status, 200);
    assert_eq!(poll(&rig, &broker, &customer, &[("If-None-Match", &tag)]).status, 304);
    for prefer in ["wait=0", "wait=x", "respond-async", "wait"] {
        let headers = [("Prefer", prefer), ("If-None-Match", tag.as_str())];
        let answer = poll(&rig, &broker, &customer, &headers);
        assert_eq!((answer.status, answer.header("Preference-Applied")), (304, None), "{prefer}");
    }
    let stale = [("Prefer", "wait=60"), ("If-None-Match", "\"something-else\"")];
    assert_eq!(poll(&rig, &broker, &customer, &stale).status, 200);
}

#[test]
fn a_longer_wait_than_allowed_is_cut_and_said() {
    let rig = Rig::new();
    let (broker, customer, tag) = setting(&rig);

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let headers = [("Prefer", "respond-async, wait=3600"), ("If-None-Match", &*tag)];
            poll(&rig, &broker, &customer, &headers)
        });
        wait_until_waiting(&rig, 1);
        rig.advance(5);
        rig.decide(&customer, Decision::Hold).unwrap();
        assert_eq!(waiting.join().unwrap().header("Preference-Applied"), Some("wait=60"));
    });
}

#[test]
fn a_revoked_loa_ends_a_wait_with_a_refusal() {
    let rig = Rig::new();
    let (broker, customer, tag) = setting(&rig);

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            poll(&rig, &broker, &customer, &[("Prefer", "wait=60"), ("If-None-Match", &tag)])
        });
        wait_until_waiting(&rig, 1);
        let body = json!({"grantingOrganizationId": customer,
            "authorizedOrganizationId": broker.id, "type": "LOA"});
        assert_eq!(rig.post("/v1/authorizations/revoke", &broker.key, None, &body).status, 200);

        assert_eq!(waiting.join().unwrap().refusal(), (403, "authorization_required"));
    });
}

#[test]
fn a_revoked_key_ends_its_wait_with_a_refusal() {
    let rig = Rig::new();
    let (broker, customer, tag) = setting(&rig);
    let keys = rig.get("/v1/api-keys", &broker.key, None);
    let first = keys.text("/data/0/id");
    let other = rig.key_of(&broker.id);

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            poll(&rig, &broker, &customer, &[("Prefer", "wait=60"), ("If-None-Match", &tag)])
        });
        wait_until_waiting(&rig, 1);
        let revoked = rig.post(&format!("/v1/api-keys/{first}/revoke"), &other, None, &json!({}));
        assert_eq!(revoked.status, 200, "{revoked:?}");

        assert_eq!(waiting.join().unwrap().refusal(), (401, "invalid_api_key"));
    });
}

#[test]
fn a_wait_that_ends_in_a_refusal_is_explained_at_the_instant_of_the_refusal() {
    let rig = Rig::new();
    let (broker, customer, tag) = setting(&rig);

    let refused = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            poll(&rig, &broker, &customer, &[("Prefer", "wait=60"), ("If-None-Match", &tag)])
        });
        wait_until_waiting(&rig, 1);
        rig.advance(30_000);
        let body = json!({"grantingOrganizationId": customer,
            "authorizedOrganizationId": broker.id, "type": "LOA"});
        rig.post("/v1/authorizations/revoke", &broker.key, None, &body);
        waiting.join().unwrap()
    });

    assert!(rig.appliance.store.is_writable().is_ok(), "the refusal's note stands before this");
    let path = format!("/v1/authorizations/explain?requestId={}", refused.text("/error/requestId"));
    let explained = rig.get(&path, &broker.key, None);
    assert_eq!(explained.text("/at"), "2026-01-02T03:04:35.000Z");
    assert_eq!(explained.text("/conditions/0/value"), "REVOKED", "not as when it was called");
}

#[test]
fn a_change_by_another_process_wakes_too() {
    let rig = Rig::new();
    let (broker, customer, tag) = setting(&rig);
    rig.advance(1000);
    // A second appliance on the same file is what the command line is.
    let other = countersign::store::Store::open(
        rig.appliance.store.path(),
        countersign::domain::environment::Environment::Test,
        countersign::store::Opening::MustExist,
        rig.now(),
    )
    .unwrap();

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            poll(&rig, &broker, &customer, &[("Prefer", "wait=60"), ("If-None-Match", &tag)])
        });
        wait_until_waiting(&rig, 1);
        let (of, now) = (customer.as_str().into(), rig.now());
        hold(&other, of, now);
        assert_eq!(waiting.join().unwrap().text("/status"), "ON_HOLD");
    });
}

#[test]
fn own_commits_about_others_wake_nobody_and_another_process_does() {
    let rig = Rig::new();
    let (broker, customer, _) = setting(&rig);
    let store = &rig.appliance.store;
    let id = countersign::domain::organization::OrganizationId::new(&customer);
    // It waits no time at all: it only tells whether it was woken since it was made.
    let watch = || store.changes().watch(&id, Duration::ZERO);
    let mut of_others = watch();
    for _ in 0..3 {
        rig.decide(&rig.customer(&broker, "BUSINESS"), Decision::Hold).unwrap();
    }
    // The writer has looked for other processes behind each write but this.
    assert!(store.is_writable().is_ok());
    assert_eq!(of_others.wait(None), Woken::Over);

    let mut of_another_process = watch();
    rig.database().execute_batch("UPDATE register SET only_row = only_row").unwrap();
    for _ in 0..2 {
        assert!(store.is_writable().is_ok());
    }
    assert_eq!(of_another_process.wait(None), Woken::Change);
}

fn hold(
    store: &countersign::store::Store,
    of: std::sync::Arc<str>,
    now: countersign::domain::timestamp::Timestamp,
) {
    use countersign::domain::organization::OrganizationId;
    use countersign::domain::timekeeper::Moment;
    use countersign::domain::verification::Event;
    use countersign::store::{Cause, DatedBy, NewFact, StoreError};
    store
        .write(move |tx| {
            let fact = NewFact {
                event: Event::OperatorHold,
                happened_at: now,
                applicant_id: None,
                begun_at: None,
                valid_days: 0,
                level: None,
                basis: None,
                dated_by: DatedBy::Us,
                cause: Cause::Operator { actor: "operator:x".into(), reason: "y".into() },
            };
            let moment = Moment {
                at: now,
                boot_id: "boot".to_owned(),
                uptime_ms: 0,
                is_sure: true,
                known_at: now,
            };
            tx.record(&OrganizationId::new(&*of), &fact, &moment)?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

#[test]
fn past_the_most_waiters_the_answer_comes_at_once() {
    let api = ApiSettings { waits_max: 0, ..Setup::default().api };
    let rig = Rig::with(Setup { api, ..Setup::default() });
    let (broker, customer, tag) = setting(&rig);

    let answer = poll(&rig, &broker, &customer, &[("Prefer", "wait=60"), ("If-None-Match", &tag)]);

    assert_eq!((answer.status, answer.header("Preference-Applied")), (304, None));
}

#[test]
fn an_approval_that_runs_out_answers_the_waiting() {
    let rig = Rig::with(Setup { valid_days: 1, ..Setup::default() });
    let (broker, customer, _) = setting(&rig);
    let green = json!({"applicantId": "a1", "type": "applicantReviewed",
        "reviewStatus": "completed", "externalUserId": customer, "sandboxMode": true,
        "reviewResult": {"reviewAnswer": "GREEN"}, "createdAtMs": sumsub_instant(rig.now())});
    rig.deliver(&green);
    let tag = poll(&rig, &broker, &customer, &[]).header("ETag").unwrap().to_owned();
    // One millisecond before the end; the waiter sleeps no longer than until then.
    rig.advance(crate::rig::DAY_MS - 1);

    let (sender, waiting) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let headers = [("Prefer", "wait=60"), ("If-None-Match", &*tag)];
            sender.send(poll(&rig, &broker, &customer, &headers)).unwrap();
        });
        rig.advance(1);
        assert_eq!(waiting.recv().unwrap().text("/status"), "RESUBMISSION_REQUIRED");
    });
}
