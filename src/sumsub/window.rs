//! Sumsub's request limits, counted by us: so many requests in any 5 seconds.
//!
//! A sliding window and not a token bucket: a bucket that refills while it drains lets more through
//! in some 5 seconds than the limit says.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::timestamp::Timestamp;

/// The span that Sumsub counts over (stated, "Rate limits", 2026-09-22).
const SPAN_MS: i64 = 5_000;

#[derive(Debug)]
pub(super) struct Window {
    most: usize,
    sent_at_ms: Mutex<VecDeque<i64>>,
}

impl Window {
    pub(super) fn new(most: usize) -> Self {
        Self { most, sent_at_ms: Mutex::new(VecDeque::with_capacity(most)) }
    }

    /// Counts a request sent now, or says for how many milliseconds there is no room.
    pub(super) fn take(&self, now: Timestamp) -> Result<(), u64> {
        let now_ms = now.as_ms();
        let mut sent = self.sent_at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not lock us out: what lies ahead is forgotten too.
        sent.retain(|at| (now_ms.saturating_sub(SPAN_MS)..=now_ms).contains(at));
        if sent.len() < self.most {
            sent.push_back(now_ms);
            return Ok(());
        }
        let oldest = sent.front().copied().unwrap_or(now_ms);
        let wait_ms = oldest.saturating_add(SPAN_MS + 1).saturating_sub(now_ms);
        Err(u64::try_from(wait_ms).unwrap_or(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_five_seconds_hold_more_than_the_limit() {
        let window = Window::new(3);
        let at = Timestamp::from_ms;

        assert_eq!(window.take(at(0)), Ok(()));
        assert_eq!(window.take(at(4_000)), Ok(()));
        assert_eq!(window.take(at(4_999)), Ok(()));
        assert_eq!(window.take(at(5_000)), Err(1));
        assert_eq!(window.take(at(5_001)), Ok(()));
        assert_eq!(window.take(at(8_000)), Err(1_001));
    }

    #[test]
    fn a_clock_set_back_does_not_lock_us_out() {
        let window = Window::new(1);

        assert_eq!(window.take(Timestamp::from_ms(1_000_000)), Ok(()));
        assert_eq!(window.take(Timestamp::from_ms(1_000)), Ok(()));
    }
}
