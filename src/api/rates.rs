//! How often: requests per key and per organization, and wrong keys per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::http::client_address::neighbourhood;
use crate::usecase::Appliance;
use crate::usecase::buckets::Buckets;

/// How often the time of a key's last use is written down.
const USE_NOTED_EVERY_MS: i64 = 60_000;
/// Last uses that are kept without a look for those that are past.
const LAST_USES_KEPT: usize = 1_000;

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

/// How many requests of an organization are let through, whichever of its keys it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrganizationRate {
    /// Requests a second, in the long run; 0 = no limit.
    pub requests_per_s: u32,
    /// Requests at once.
    pub burst: u32,
}

impl Default for OrganizationRate {
    fn default() -> Self {
        Self { requests_per_s: 200, burst: 2000 }
    }
}

pub(super) struct Rates {
    per_key: Option<Buckets<String>>,
    per_organization: Option<Buckets<OrganizationId>>,
    wrong_keys: Option<Buckets<IpAddr>>,
    /// `RateLimit-Policy`, the same for everybody; empty: there is no limit.
    policies: String,
    last_uses: Mutex<LastUses>,
}

/// When each key's last use was written down.
#[derive(Default)]
struct LastUses {
    noted_at: HashMap<String, Timestamp>,
    /// As soon as there are more, those of long ago are thrown away.
    look_at: usize,
}

/// What counting a request came to.
pub(super) struct Counted {
    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
    pub(super) headers: Vec<(&'static str, String)>,
    /// Seconds to wait, if the request is one too many.
    pub(super) refused: Option<u64>,
}

/// What is left of one policy after a request.
struct Left {
    policy: &'static str,
    requests: u32,
    /// Seconds until there are more.
    next_s: u64,
    is_refused: bool,
}

impl Rates {
    pub(super) fn new(limits: &RateLimits, of_organization: OrganizationRate) -> Self {
        let per_key = Buckets::per_second(limits.requests_per_s, limits.burst);
        let per_organization =
            Buckets::per_second(of_organization.requests_per_s, of_organization.burst);
        let policies: Vec<String> = [
            per_key.as_ref().map(|it| policy("key", it)),
            per_organization.as_ref().map(|it| policy("organization", it)),
        ]
        .into_iter()
        .flatten()
        .collect();
        Self {
            per_key,
            per_organization,
            wrong_keys: Buckets::per_minute(limits.wrong_keys_per_minute),
            policies: policies.join(", "),
            last_uses: Mutex::default(),
        }
    }

    /// Counts a request of a key and of its organization, and notes now and then that the key is in
    /// use. What a key may not do does not count for its organization.
    pub(super) fn count(
        &self,
        appliance: &Appliance,
        key_id: &str,
        organization: &OrganizationId,
        now: Timestamp,
    ) -> Counted {
        self.note_use(appliance, key_id, now);
        let of_key = self.per_key.as_ref().map(|it| left("key", it, &key_id.to_owned()));
        let of_organization = self
            .per_organization
            .as_ref()
            .filter(|_| of_key.as_ref().is_none_or(|it| !it.is_refused))
            .map(|it| left("organization", it, organization));
        let nearest = [of_key, of_organization]
            .into_iter()
            .flatten()
            .min_by_key(|it| (!it.is_refused, it.requests));
        let Some(Left { policy, requests, next_s, is_refused }) = nearest else {
            return Counted { headers: Vec::new(), refused: None };
        };
        let headers = vec![
            ("RateLimit-Policy", self.policies.clone()),
            ("RateLimit", format!("\"{policy}\";r={requests};t={next_s}")),
        ];
        Counted { headers, refused: is_refused.then_some(next_s) }
    }

    /// Counts a wrong key of an address; seconds to wait if it is one too many.
    pub(super) fn count_wrong_key(&self, address: IpAddr) -> Option<u64> {
        self.wrong_keys.as_ref()?.take(&neighbourhood(address)).err()
    }

    fn note_use(&self, appliance: &Appliance, key_id: &str, now: Timestamp) {
        let mut last_uses = self.last_uses.lock().unwrap_or_else(PoisonError::into_inner);
        if !last_uses.is_new(key_id, now) {
            return;
        }
        drop(last_uses);
        let id = key_id.to_owned();
        appliance.store.write_later(move |tx| tx.note_api_key_use(&id, now));
    }
}

impl LastUses {
    /// Whether a use is to be written down; if so, it is taken for written.
    fn is_new(&mut self, key_id: &str, now: Timestamp) -> bool {
        let is_recent = |last: &Timestamp| now < last.plus_ms(USE_NOTED_EVERY_MS);
        if self.noted_at.get(key_id).is_some_and(is_recent) {
            return false;
        }
        if self.noted_at.len() > self.look_at.max(LAST_USES_KEPT) {
            self.noted_at.retain(|_, last| is_recent(last));
            self.noted_at.shrink_to_fit();
            self.look_at = self.noted_at.len().saturating_mul(2);
        }
        self.noted_at.insert(key_id.to_owned(), now);
        true
    }
}

fn policy<K: Clone + Eq + std::hash::Hash>(name: &str, buckets: &Buckets<K>) -> String {
    format!("\"{name}\";q={};w={}", buckets.burst, buckets.refill_s.ceil().max(1.0))
}

fn left<K: Clone + Eq + std::hash::Hash>(
    policy: &'static str,
    buckets: &Buckets<K>,
    key: &K,
) -> Left {
    match buckets.take(key) {
        Ok(requests) => Left { policy, requests, next_s: 1, is_refused: false },
        Err(next_s) => Left { policy, requests: 0, next_s, is_refused: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_uses_of_long_ago_are_thrown_away() {
        let mut last_uses = LastUses::default();
        let at = Timestamp::from_ms;

        for number in 0..100_000 {
            assert!(last_uses.is_new(&format!("key_{number}"), at(number * 100)));
        }
        assert!(!last_uses.is_new("key_99999", at(100_000 * 100)), "recent ones are kept");

        assert!(last_uses.noted_at.len() <= 2 * LAST_USES_KEPT, "{}", last_uses.noted_at.len());
    }
}
