//! `/readyz`: the truth about the register, found out without writing to it. What only a disk that fails
//! shows is in `faults.rs`.

use std::sync::Arc;

use countersign::api::{Api, ApiSettings};
use countersign::http::{Request, Response};
use serde_json::Value;

use crate::rig::Rig;

/// How often an answer is looked at that is about to change: for minutes.
const LOOKS_MAX: usize = 10_000_000;

/// What a server answers that has not been asked before: an answer holds for a second.
fn asked(rig: &Rig, method: &str, path: &str) -> Response {
    let api = Api::new(Arc::clone(&rig.appliance), ApiSettings::default());
    let request =
        Request { method: method.to_owned(), target: path.to_owned(), ..Request::default() };
    if path == "/metrics" { api.handle_metrics(&request) } else { api.handle(&request) }
}

#[track_caller]
fn is(rig: &Rig, status: u16, database: &str) {
    let answer = asked(rig, "GET", "/readyz");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &body["database"]), (status, &Value::from(database)));
    assert_eq!(body["status"], if status == 200 { "ready" } else { "not_ready" });
    assert_eq!(asked(rig, "HEAD", "/readyz").status, status);
    let metrics = String::from_utf8(asked(rig, "GET", "/metrics").body).unwrap();
    let line = format!("countersign_register_writable {}", u16::from(status == 200));
    assert!(metrics.contains(&line), "{metrics}");
}

#[test]
fn a_hundred_questions_are_no_commit() {
    let rig = Rig::new();

    for _ in 0..100 {
        is(&rig, 200, "writable");
    }

    assert_eq!(rig.appliance.store.tally().commits, 0);
}

#[test]
fn a_register_that_was_moved_under_the_server_is_not_ready_until_it_is_put_back() {
    let rig = Rig::new();
    rig.broker();
    for name in ["register.db", "register.db-wal"] {
        let (file, away) = (rig.directory.file(name), rig.directory.file("away"));
        is(&rig, 200, "writable");

        std::fs::rename(&file, &away).unwrap();
        is(&rig, 503, "moved away");
        std::fs::copy(&away, &file).unwrap();
        is(&rig, 503, "moved away");
        std::fs::rename(&away, &file).unwrap();

        is(&rig, 200, "writable");
        rig.broker();
    }
}

#[test]
fn a_register_that_lacks_a_table_is_not_ready() {
    let rig = Rig::new();
    is(&rig, 200, "writable");
    let other = rusqlite::Connection::open_with_flags(
        rig.directory.file("register.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE,
    )
    .unwrap();

    other.execute_batch("ALTER TABLE expiry_notice RENAME TO gone").unwrap();
    is(&rig, 503, "not readable");
    other.execute_batch("ALTER TABLE gone RENAME TO expiry_notice").unwrap();

    is(&rig, 200, "writable");
}

/// Waits for an answer, as a probe does.
#[track_caller]
fn becomes(rig: &Rig, status: u16) {
    let came = (0..LOOKS_MAX).any(|_| {
        std::thread::yield_now();
        asked(rig, "GET", "/readyz").status == status
    });
    assert!(came, "/readyz never says {status}");
}

#[test]
fn a_register_that_another_process_holds_is_not_ready_while_a_write_waits_and_until_one_succeeds() {
    let rig = Rig::new();
    rig.broker();
    let other = rig.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    std::thread::scope(|scope| {
        let refused = scope.spawn(|| rig.appliance.store.is_writable());
        becomes(&rig, 503);
        assert!(refused.join().unwrap().unwrap_err().is_locked());
    });

    is(&rig, 503, "not writable");
    other.execute_batch("COMMIT").unwrap();
    becomes(&rig, 200);
    rig.broker();
}
