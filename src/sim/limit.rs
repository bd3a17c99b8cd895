//! Sumsub's request limits ("Rate limits", stated): per 5 s, 300 GETs and 50 POSTs. That other
//! methods count as POSTs, and that the scope is the app token, is inferred.

use std::collections::{BTreeMap, VecDeque};

const WINDOW_MS: i64 = 5000;
const READS_MAX: usize = 300;
const WRITES_MAX: usize = 50;

/// The calls of the last window, per app token and kind.
#[derive(Default)]
pub(super) struct Limits {
    calls: BTreeMap<(String, bool), VecDeque<i64>>,
}

impl Limits {
    /// Counts a call in, unless the window is full.
    pub(super) fn admits(&mut self, app_token: &str, method: &str, now_ms: i64) -> bool {
        let is_read = method == "GET";
        let calls = self.calls.entry((app_token.to_owned(), is_read)).or_default();
        while calls.front().is_some_and(|at| *at <= now_ms - WINDOW_MS) {
            calls.pop_front();
        }
        let has_room = calls.len() < if is_read { READS_MAX } else { WRITES_MAX };
        if has_room {
            calls.push_back(now_ms);
        }
        has_room
    }
}
