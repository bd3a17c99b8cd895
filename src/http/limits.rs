//! Every bound of the connection loop, and the one resource the system must grant it: descriptors.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::client_address::TrustedProxies;
use crate::reloadable::Reloadable;

/// The bounds of one server. Deadlines are totals: a byte that arrives does not extend them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Request line and headers with the blank line, in bytes; more is 431.
    pub head_bytes_max: usize,
    /// Header lines in a request; more is 431. The parser itself holds 128.
    pub headers_max: usize,
    /// The request target in bytes; more is 414.
    pub target_bytes_max: usize,
    /// From the first byte of a head to its last, in milliseconds; later is 408.
    pub head_deadline_ms: u64,
    /// From the end of the head to the end of the body, in milliseconds; later is 408.
    pub body_deadline_ms: u64,
    /// How long a connection may wait for the first byte of a request, in milliseconds.
    pub idle_ms: u64,
    /// The same once more than three quarters of `connections_max` are open.
    pub idle_crowded_ms: u64,
    /// How long a peer may take to accept one response, in milliseconds.
    pub write_deadline_ms: u64,
    /// Open connections, and with them threads; one more is answered 503.
    pub connections_max: usize,
    /// Proxies for whose connections an eighth of `connections_max` is reserved: whoever fills the rest
    /// with half-sent heads does not take the server away from those who come through the proxy.
    pub trusted_proxies: Reloadable<TrustedProxies>,
    /// Open connections of one peer: an IPv4 address or an IPv6 /64. Loopback is no exception, so
    /// behind a proxy on one address this must be raised to `connections_max`.
    pub connections_per_peer_max: usize,
    /// From how many bytes on a body counts as large.
    pub large_body_bytes: usize,
    /// Large bodies in memory at once; the connection of one more is answered 503 and closed.
    pub large_bodies_max: usize,
    /// Requests that one connection may carry before it is closed.
    pub requests_per_connection_max: u32,
    /// The stack of a connection's thread in bytes, which the handler shares.
    pub stack_bytes: usize,
    /// How long a thread without a connection waits for the next one, in milliseconds.
    pub thread_idle_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head_bytes_max: 16 * 1024,
            headers_max: 64,
            target_bytes_max: 2 * 1024,
            head_deadline_ms: 5_000,
            body_deadline_ms: 10_000,
            idle_ms: 30_000,
            idle_crowded_ms: 5_000,
            write_deadline_ms: 5_000,
            connections_max: 1024,
            trusted_proxies: Reloadable::default(),
            connections_per_peer_max: 256,
            large_body_bytes: 64 * 1024,
            large_bodies_max: 64,
            requests_per_connection_max: 10_000,
            stack_bytes: 256 * 1024,
            thread_idle_ms: 3_000,
        }
    }
}

/// The part of all connections that is kept for listed proxies: one in so many.
const RESERVED_ONE_IN: usize = 8;

impl Limits {
    /// How many connections may be open that come from no listed proxy.
    pub(super) fn strangers_max(&self, trusted: &TrustedProxies) -> usize {
        let reserved = if trusted.is_empty() { 0 } else { self.connections_max / RESERVED_ONE_IN };
        self.connections_max.saturating_sub(reserved)
    }

    pub(super) fn head_deadline(&self) -> Duration {
        Duration::from_millis(self.head_deadline_ms)
    }

    pub(super) fn body_deadline(&self) -> Duration {
        Duration::from_millis(self.body_deadline_ms)
    }

    pub(super) fn write_deadline(&self) -> Duration {
        Duration::from_millis(self.write_deadline_ms)
    }
}

/// Descriptors the process needs besides its connections: database files, the log, calls to the
/// provider, the standard streams.
const DESCRIPTORS_BESIDES: u64 = 64;

/// Why the process may not open as many descriptors as its connections need.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorLimitError {
    /// The hard limit is too low. Whoever runs the process raises it (`LimitNOFILE=`,
    /// `ulimit -Hn`) or lowers the number of connections; a retry is useless.
    #[error(
        "the process may open {allowed} files, but {connections_max} connections need {needed}: \
         raise the limit on open files or lower the number of connections"
    )]
    TooLow {
        /// What the system grants.
        allowed: u64,
        /// The connections asked for.
        connections_max: usize,
        /// What these need.
        needed: u64,
    },
    /// The system refused to raise the soft limit to the hard one.
    #[error("raise the limit on open files: {0}")]
    NotRaised(#[source] io::Error),
}

/// Raises the soft limit on open descriptors to the hard one and answers it (`u64::MAX` for
/// "unlimited"), so that a full server runs out of connections before it runs out of descriptors.
///
/// # Errors
/// [`DescriptorLimitError::TooLow`] when the cap and 64 more do not fit;
/// [`DescriptorLimitError::NotRaised`] when the system refuses.
pub fn raise_descriptor_limit(connections_max: usize) -> Result<u64, DescriptorLimitError> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised)
            .map_err(|error| DescriptorLimitError::NotRaised(error.into()))?;
    }
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    let needed =
        u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(DESCRIPTORS_BESIDES);
    if allowed < needed {
        return Err(DescriptorLimitError::TooLow { allowed, connections_max, needed });
    }
    Ok(allowed)
}
