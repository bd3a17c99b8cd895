//! The targets of `tests/it/fuzz/targets.rs` for a fuzzer that is led by coverage (`tests/fuzz/run`).
#![allow(dead_code, reason = "the rig serves the tests, too")]

#[path = "../it/document.rs"]
mod document;
#[path = "../it/rig.rs"]
mod rig;
#[path = "../it/fuzz/targets.rs"]
mod targets;

use std::sync::{LazyLock, Mutex};

use targets::{Asked, Connected};

static ASKED: LazyLock<Mutex<Asked>> = LazyLock::new(|| Mutex::new(Asked::new()));
static CONNECTED: LazyLock<Connected> = LazyLock::new(Connected::new);

pub fn request(bytes: &[u8]) {
    ASKED.lock().unwrap().request(bytes);
}

pub fn webhook(bytes: &[u8]) {
    ASKED.lock().unwrap().webhook(bytes);
}

pub fn connection(bytes: &[u8]) {
    CONNECTED.connection(bytes);
}

pub fn provider(bytes: &[u8]) {
    targets::provider(bytes);
}

pub fn configuration(bytes: &[u8]) {
    targets::configuration(bytes);
}
