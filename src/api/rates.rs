//! How often: requests per key, and wrong keys per address. Token buckets of the crate governor.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::domain::timestamp::Timestamp;
use crate::usecase::Appliance;

/// How often the time of a key's last use is written down.
const USE_NOTED_EVERY_MS: i64 = 60_000;
/// Buckets are looked through for full ones after so many new addresses: they need not be kept.
const ADDRESSES_KEPT: usize = 10_000;

/// How many requests are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests a second and key, in the long run; 0 = no limit.
    pub requests_per_s: u32,
    /// Requests of a key at once.
    pub burst: u32,
    /// Requests with a wrong key a minute and address; 0 = no limit.
    pub wrong_keys_per_minute: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { requests_per_s: 100, burst: 1000, wrong_keys_per_minute: 60 }
    }
}

type PerKey =
    RateLimiter<String, HashMapStateStore<String>, DefaultClock, StateInformationMiddleware>;
type PerAddress = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>;

pub(super) struct Rates {
    per_key: Option<PerKey>,
    wrong_keys: Option<PerAddress>,
    policy: String,
    refill_s: f64,
    clock: DefaultClock,
    last_uses: Mutex<HashMap<String, Timestamp>>,
}

/// What counting a request came to.
pub(super) struct Counted {
    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
    pub(super) headers: Vec<(&'static str, String)>,
    /// Seconds to wait, if the request is one too many.
    pub(super) refused: Option<u64>,
}

impl Rates {
    pub(super) fn new(limits: &RateLimits) -> Self {
        let quota = NonZeroU32::new(limits.requests_per_s).map(|it| {
            Quota::per_second(it).allow_burst(NonZeroU32::new(limits.burst).unwrap_or(it))
        });
        let wrong_keys = NonZeroU32::new(limits.wrong_keys_per_minute).map(Quota::per_minute);
        let burst = quota.map_or(0, |it| it.burst_size().get());
        let refill_s = quota.map_or(0.0, |it| it.burst_size_replenished_in().as_secs_f64());
        Self {
            per_key: quota
                .map(|it| RateLimiter::hashmap(it).with_middleware::<StateInformationMiddleware>()),
            wrong_keys: wrong_keys.map(RateLimiter::hashmap),
            policy: format!("\"key\";q={burst};w={}", refill_s.ceil().max(1.0)),
            refill_s: refill_s / f64::from(burst.max(1)),
            clock: DefaultClock::default(),
            last_uses: Mutex::default(),
        }
    }

    /// Counts a request of a key, and notes now and then that the key is in use.
    pub(super) fn count(&self, appliance: &Appliance, key_id: &str, now: Timestamp) -> Counted {
        self.note_use(appliance, key_id, now);
        let Some(limiter) = &self.per_key else {
            return Counted { headers: Vec::new(), refused: None };
        };
        let (left, refused) = match limiter.check_key(&key_id.to_owned()) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => {
                let wait_s = until.wait_time_from(self.clock.now()).as_secs().saturating_add(1);
                (0, Some(wait_s))
            }
        };
        let next_s = refused.unwrap_or_else(|| u64::from(self.refill_s >= 1.0).max(1));
        let headers = vec![
            ("RateLimit-Policy", self.policy.clone()),
            ("RateLimit", format!("\"key\";r={left};t={next_s}")),
        ];
        Counted { headers, refused }
    }

    /// Counts a wrong key of an address; seconds to wait if it is one too many.
    pub(super) fn count_wrong_key(&self, address: IpAddr) -> Option<u64> {
        let limiter = self.wrong_keys.as_ref()?;
        if limiter.len() > ADDRESSES_KEPT {
            limiter.retain_recent();
        }
        let until = limiter.check_key(&address).err()?;
        Some(until.wait_time_from(self.clock.now()).as_secs().saturating_add(1))
    }

    fn note_use(&self, appliance: &Appliance, key_id: &str, now: Timestamp) {
        let mut last_uses = self.last_uses.lock().unwrap_or_else(PoisonError::into_inner);
        if last_uses.get(key_id).is_some_and(|last| now < last.plus_ms(USE_NOTED_EVERY_MS)) {
            return;
        }
        last_uses.insert(key_id.to_owned(), now);
        drop(last_uses);
        let id = key_id.to_owned();
        appliance.store.write_later(move |tx| tx.note_api_key_use(&id, now));
    }
}
