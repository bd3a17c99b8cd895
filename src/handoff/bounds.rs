//! How often an address may knock and a link may be used. An office behind one address is many
//! customers, so the address' share is wide; what costs a call to Sumsub or a write is counted by
//! link, and narrowly.

use std::net::IpAddr;

use super::Refusal;
use crate::http::client_address::neighbourhood;
use crate::usecase::buckets::Buckets;

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

pub(super) struct Bounds {
    visits: Option<Buckets<IpAddr>>,
    links: Option<Buckets<String>>,
    deeds: Option<Buckets<String>>,
}

impl Bounds {
    pub(super) fn new(limits: &PageLimits) -> Self {
        Self {
            visits: Buckets::per_minute(limits.visits_per_minute),
            links: Buckets::per_minute(limits.link_per_minute),
            deeds: Buckets::per_minute(limits.deeds_per_minute),
        }
    }

    /// A request of an address, whatever it asks for: guessing links is bounded too.
    pub(super) fn count_visit(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        address.map_or(Ok(()), |it| count(self.visits.as_ref(), &neighbourhood(it)))
    }

    /// A request by a link that exists.
    pub(super) fn count_link(&self, link_id: &str) -> Result<(), Refusal> {
        count(self.links.as_ref(), &link_id.to_owned())
    }

    /// A signature, or a token of Sumsub's.
    pub(super) fn count_deed(&self, link_id: &str) -> Result<(), Refusal> {
        count(self.deeds.as_ref(), &link_id.to_owned())
    }
}

fn count<K: Clone + Eq + std::hash::Hash>(
    buckets: Option<&Buckets<K>>,
    key: &K,
) -> Result<(), Refusal> {
    buckets.map_or(Ok(()), |it| it.take(key).map(drop).map_err(Refusal::TooOften))
}
