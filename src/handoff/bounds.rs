//! How often an address may knock and a link may be used: token buckets of the crate governor. An
//! office behind one address is many customers, so the address' share is wide; what costs a call to
//! Sumsub or a write is counted by link, and narrowly.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::Refusal;

/// Buckets are looked through for full ones after so many: those need not be kept.
const BUCKETS_KEPT: usize = 10_000;

/// How many requests are let through a minute, and at once; 0 = no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Of one address.
    pub visits_per_minute: u32,
    /// By one link.
    pub link_per_minute: u32,
    /// Signatures and tokens by one link.
    pub deeds_per_minute: u32,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self { visits_per_minute: 600, link_per_minute: 120, deeds_per_minute: 20 }
    }
}

type Buckets<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

pub(super) struct Bounds {
    visits: Option<Buckets<IpAddr>>,
    links: Option<Buckets<String>>,
    deeds: Option<Buckets<String>>,
    clock: DefaultClock,
}

impl Bounds {
    pub(super) fn new(limits: &PageLimits) -> Self {
        let quota = |per_minute| NonZeroU32::new(per_minute).map(Quota::per_minute);
        Self {
            visits: quota(limits.visits_per_minute).map(RateLimiter::hashmap),
            links: quota(limits.link_per_minute).map(RateLimiter::hashmap),
            deeds: quota(limits.deeds_per_minute).map(RateLimiter::hashmap),
            clock: DefaultClock::default(),
        }
    }

    /// A request of an address, whatever it asks for: guessing links is bounded too.
    pub(super) fn count_visit(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        address.map_or(Ok(()), |it| self.count(self.visits.as_ref(), &it))
    }

    /// A request by a link that exists.
    pub(super) fn count_link(&self, link_id: &str) -> Result<(), Refusal> {
        self.count(self.links.as_ref(), &link_id.to_owned())
    }

    /// A signature, or a token of Sumsub's.
    pub(super) fn count_deed(&self, link_id: &str) -> Result<(), Refusal> {
        self.count(self.deeds.as_ref(), &link_id.to_owned())
    }

    fn count<K: Clone + Eq + std::hash::Hash>(
        &self,
        buckets: Option<&Buckets<K>>,
        key: &K,
    ) -> Result<(), Refusal> {
        let Some(buckets) = buckets else { return Ok(()) };
        if buckets.len() > BUCKETS_KEPT {
            buckets.retain_recent();
        }
        buckets.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            Refusal::TooOften(wait.as_secs().saturating_add(1))
        })
    }
}
