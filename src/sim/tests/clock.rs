//! The simulator's clock: a machine whose own clock is wrong, played from the other side.

use super::ports::exchange;
use super::rig::{Rig, START_MS, settings};
use crate::sim::{RequestLimit, Settings, TenantId, serve};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;

const DAY_MS: i64 = 86_400_000;

fn set(rig: &Rig, offset_ms: i64) {
    assert_eq!(rig.control("POST", "/clock", &json!({ "offsetMs": offset_ms })).0, 200);
}

fn last_dated(rig: &Rig) -> Value {
    serde_json::from_str::<Value>(&rig.bodies().pop().unwrap()).unwrap()["createdAtMs"].clone()
}

#[test]
fn every_date_follows_the_clock_as_far_as_two_days_to_either_side() {
    for (offset_ms, day, date) in [
        (2 * DAY_MS, "2026-01-04", "Sun, 04 Jan 2026 03:04:05 GMT"),
        (-2 * DAY_MS, "2025-12-31", "Wed, 31 Dec 2025 03:04:05 GMT"),
        (0, "2026-01-02", "Fri, 02 Jan 2026 03:04:05 GMT"),
    ] {
        let rig = Rig::new();
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = serve::serve(&rig.simulator, listen(), listen()).unwrap();
        set(&rig, offset_ms);

        let target = ("POST", "/resources/applicants?levelName=kyc-level");
        let own = rig.signed(TenantId::Recipient, target, r#"{"externalUserId":"org_1"}"#);
        let refused = exchange(ports.api_address(), &own);
        // The rig's clock is now Sumsub's, and only the control port's offset is left out.
        set(&rig, 0);
        rig.pass(offset_ms);
        let right = rig.signed(TenantId::Recipient, target, r#"{"externalUserId":"org_1"}"#);
        rig.pass(-offset_ms);
        set(&rig, offset_ms);
        let created = exchange(ports.api_address(), &right);
        let state = exchange(ports.control_address(), &super::rig::plain("GET", "/state", ""));

        if offset_ms != 0 {
            assert!(refused.contains("4004"), "{refused}");
            assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
        }
        for answer in [&refused, &created, &state] {
            assert!(answer.contains(&format!("\r\nDate: {date}\r\n")), "{answer}");
        }
        assert!(state.contains(&format!("\"clockOffsetMs\":{offset_ms}")), "{state}");
        assert_eq!(last_dated(&rig).as_str().unwrap().get(..10), Some(day));
        rig.simulator.stop();
        ports.stop(Duration::from_secs(1));
    }
}

#[test]
fn a_clock_that_is_put_back_is_followed_by_the_next_event_of_an_old_applicant() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    set(&rig, 2 * DAY_MS);
    rig.act(&id, "hold");
    assert_eq!(last_dated(&rig), "2026-01-04 03:04:05.678");

    set(&rig, -DAY_MS);
    rig.act(&id, "approve");

    assert_eq!(last_dated(&rig), "2026-01-01 03:04:05.679");
}

#[test]
fn what_waits_does_not_wait_longer_when_the_clock_is_put_back() {
    let limited = Settings { request_limit: RequestLimit::Sumsub, ..settings() };
    let rig = Rig::with(limited);
    let id = rig.applicant("kyc-level", "org_1");
    rig.act(&id, "approve");
    let inside = json!({ "inMs": 1000 });
    set(&rig, DAY_MS);
    rig.control("POST", &format!("/applicants/{id}/expire-document"), &inside);
    assert_eq!(rig.deliver().len(), 2, "refused, to be tried again in five minutes");

    set(&rig, 0);
    rig.pass(1000);
    assert_eq!(rig.review(&id)["reviewResult"]["reviewRejectType"], "RETRY");
    assert_eq!(rig.deliver().len(), 2, "the expiry's own events");
    rig.pass(300_000 - 1000);

    assert_eq!(rig.deliver().len(), 2, "and the second tries");
}

#[test]
fn a_clock_put_back_does_not_keep_a_limit_up() {
    let rig = Rig::with(Settings { request_limit: RequestLimit::Sumsub, ..settings() });
    let post = || rig.call("POST", "/resources/applicants/x/reset", "").0;
    rig.pass(DAY_MS);
    assert!((0..50).all(|_| post() == 404));
    rig.pass(-DAY_MS);
    assert_eq!(post(), 429);

    set(&rig, 1000);
    set(&rig, 0);

    assert_eq!(post(), 404);
}

#[test]
fn a_clock_beyond_all_reason_is_refused() {
    let rig = Rig::new();
    for offset_ms in [json!(i64::MAX), json!(i64::MIN), json!(315_576_000_001_i64), json!("soon")] {
        let body = json!({ "offsetMs": offset_ms });
        assert_eq!(rig.control("POST", "/clock", &body).0, 400, "{body}");
    }
    assert_eq!(rig.control("GET", "/state", &Value::Null).1["clockOffsetMs"], 0);
    rig.applicant("kyc-level", "org_1");
    assert_eq!(last_dated(&rig), json!("2026-01-02 03:04:05.678"), "{START_MS}");
}
