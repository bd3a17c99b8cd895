//! How often: token buckets, one for each key, organization, address or link. The one home of the
//! crate governor.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// Buckets that are kept without a look. Full ones need not be kept.
const KEPT: usize = 1_000;

/// Token buckets of one size.
pub struct Buckets<K: Clone + Eq + Hash> {
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock, StateInformationMiddleware>,
    clock: DefaultClock,
    /// As soon as there are more, full ones are thrown away.
    look_at: AtomicUsize,
    /// What a full bucket holds.
    pub burst: u32,
    /// In how many seconds an empty bucket is full again.
    pub refill_s: f64,
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    /// This many a second in the long run, and `burst` at once; `None` if `rate` is 0: no limit.
    pub fn per_second(rate: u32, burst: u32) -> Option<Self> {
        let rate = NonZeroU32::new(rate)?;
        let burst = NonZeroU32::new(burst).unwrap_or(rate);
        Some(Self::of(Quota::per_second(rate).allow_burst(burst)))
    }

    /// This many a minute, and as many at once; `None` if `rate` is 0: no limit.
    pub fn per_minute(rate: u32) -> Option<Self> {
        NonZeroU32::new(rate).map(Quota::per_minute).map(Self::of)
    }

    fn of(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::hashmap(quota).with_middleware::<StateInformationMiddleware>(),
            clock: DefaultClock::default(),
            look_at: AtomicUsize::new(KEPT),
            burst: quota.burst_size().get(),
            refill_s: quota.burst_size_replenished_in().as_secs_f64(),
        }
    }

    /// Takes one from the bucket of `key`: how many are left, or how many seconds until there is one.
    pub fn take(&self, key: &K) -> Result<u32, u64> {
        self.throw_away_full_ones();
        match self.limiter.check_key(key) {
            Ok(state) => Ok(state.remaining_burst_capacity()),
            Err(until) => Err(until.wait_time_from(self.clock.now()).as_secs().saturating_add(1)),
        }
    }

    /// Looks through the buckets when there are twice as many as were left the last time: over all
    /// requests, a constant cost for each.
    fn throw_away_full_ones(&self) {
        if self.limiter.len() <= self.look_at.load(Ordering::Relaxed) {
            return;
        }
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        let next = self.limiter.len().saturating_mul(2).max(KEPT);
        self.look_at.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_buckets_are_thrown_away_and_others_are_kept() {
        // Full again after a nanosecond.
        let buckets = Buckets::per_second(1_000_000_000, 1).unwrap();
        for key in 0..100_000 {
            assert_eq!(buckets.take(&key), Ok(0));
        }
        assert!(buckets.limiter.len() <= 2 * KEPT, "{}", buckets.limiter.len());

        let buckets = Buckets::per_minute(1).unwrap();
        for key in 0..10_000 {
            assert_eq!(buckets.take(&key), Ok(0));
        }
        assert!((0..10_000).all(|key| buckets.take(&key).is_err()), "none is forgotten");
        let next_look = buckets.look_at.load(Ordering::Relaxed);
        assert!(next_look > 10_000, "looks become rarer as buckets become more: {next_look}");
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert!(
            Buckets::<u8>::per_second(0, 5).is_none() && Buckets::<u8>::per_minute(0).is_none()
        );
    }
}
