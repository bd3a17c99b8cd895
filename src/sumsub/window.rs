//! Sumsub's request limits, counted by us: so many requests in any 5 seconds, shared among those
//! on whose account they are.
//!
//! A sliding window and not a token bucket: a bucket that refills while it drains lets more through
//! in some 5 seconds than the limit says.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::shares::{Holder, Shares};
use crate::domain::timestamp::Timestamp;

/// The span that Sumsub counts over (stated, "Rate limits", 2026-09-22).
const SPAN_MS: i64 = 5_000;
/// Of so many requests, one is spare (`domain::shares`): one organization has the other four.
const SPARE_ONE_OF: usize = 5;

#[derive(Debug)]
pub(super) struct Window {
    sent: Mutex<Sent>,
}

#[derive(Debug)]
struct Sent {
    at_ms: VecDeque<(i64, Holder)>,
    shares: Shares,
}

impl Window {
    pub(super) fn new(most: usize) -> Self {
        let spare = most / SPARE_ONE_OF;
        let shares = Shares::new(most.saturating_sub(spare), spare);
        Self { sent: Mutex::new(Sent { at_ms: VecDeque::with_capacity(most), shares }) }
    }

    /// Counts a request of `payer` sent now, or says for how many milliseconds there is no room.
    pub(super) fn take(&self, payer: &Holder, now: Timestamp) -> Result<(), u64> {
        let now_ms = now.as_ms();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let Sent { at_ms, shares } = &mut *sent;
        // A clock that was set back must not lock us out: what lies ahead is forgotten too.
        at_ms.retain(|(at, of)| {
            let counts = (now_ms.saturating_sub(SPAN_MS)..=now_ms).contains(at);
            if !counts {
                shares.give_back(of);
            }
            counts
        });
        if shares.take(payer) {
            at_ms.push_back((now_ms, payer.clone()));
            return Ok(());
        }
        let oldest = at_ms.front().map_or(now_ms, |(at, _)| *at);
        let wait_ms = oldest.saturating_add(SPAN_MS + 1).saturating_sub(now_ms);
        Err(u64::try_from(wait_ms).unwrap_or(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::organization::OrganizationId;

    #[test]
    fn no_five_seconds_hold_more_than_the_limit() {
        let window = Window::new(3);
        let take = |ms| window.take(&None, Timestamp::from_ms(ms));

        assert_eq!(take(0), Ok(()));
        assert_eq!(take(4_000), Ok(()));
        assert_eq!(take(4_999), Ok(()));
        assert_eq!(take(5_000), Err(1));
        assert_eq!(take(5_001), Ok(()));
        assert_eq!(take(8_000), Err(1_001));
    }

    #[test]
    fn a_clock_set_back_does_not_lock_us_out() {
        let window = Window::new(1);

        assert_eq!(window.take(&None, Timestamp::from_ms(1_000_000)), Ok(()));
        assert_eq!(window.take(&None, Timestamp::from_ms(1_000)), Ok(()));
    }

    #[test]
    fn one_broker_cannot_use_up_the_window_for_another() {
        let window = Window::new(50);
        let [hog, other] = ["org_a", "org_b"].map(|it| Some(OrganizationId::new(it)));
        let at = Timestamp::from_ms;

        let of_hog = (0..100).filter(|_| window.take(&hog, at(0)).is_ok()).count();
        let of_other = (0..100).filter(|_| window.take(&other, at(1)).is_ok()).count();

        assert_eq!((of_hog, of_other), (40, 5));
        // What the other one uses, the first leaves free as soon as its own requests are past.
        let again = (0..100).filter(|_| window.take(&hog, at(5_001)).is_ok()).count();
        assert_eq!(again, 35);
        assert_eq!(window.take(&other, at(5_001)), Ok(()));
    }
}
