//! Which resolved addresses may be dialled.
//!
//! A URL's owner also owns its name's addresses, and may let them point into the operator's own
//! network. So the addresses are judged where they are dialled: ureq asks this resolver and opens a
//! connection to what it answers, to nothing else. One address that is not allowed refuses them all:
//! a name with a public and a private address is an attack or a mistake. Only `localhost` is no
//! attack: it has an IPv4 and an IPv6 address, and of these the listed ones are dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::allowed::Allowed;
use crate::domain::environment::Environment;

/// IPv4 that is not on the public internet, as network and prefix length (IANA's registry of
/// special-purpose addresses, and multicast).
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// The part of IPv6 that is handed out for the public internet …
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// … and what in it is not: protocol assignments with Teredo, documentation, 6to4, documentation.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
/// An IPv4 address in IPv6's clothes: mapped, and behind a NAT64 with the well-known prefix. A NAT64
/// with a prefix of its network's own cannot be told from any other address.
const EMBEDDING_V6: [(Ipv6Addr, u32); 2] = [
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
];

/// Whether an address is on the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => is_public_v4(it),
        IpAddr::V6(it) if EMBEDDING_V6.iter().any(|net| is_in_v6(it, *net)) => {
            let [.., a, b, c, d] = it.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(it) => {
            is_in_v6(it, GLOBAL_V6) && !NOT_PUBLIC_V6.iter().any(|net| is_in_v6(it, *net))
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |(net, length): &(Ipv4Addr, u32)| {
        (address.to_bits() ^ net.to_bits()).leading_zeros() >= *length
    };
    !NOT_PUBLIC_V4.iter().any(is_in)
}

fn is_in_v6(address: Ipv6Addr, (net, length): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ net.to_bits()).leading_zeros() >= length
}

/// The refusal, as ureq carries it.
#[derive(Debug, thiserror::Error)]
#[error("the host resolves to an address that is not allowed")]
pub(super) struct ForbiddenAddress;

/// How an event travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Http,
}

impl Scheme {
    /// A URL's; `None` if it is neither.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        match uri.scheme_str() {
            Some("https") => Some(Self::Https),
            Some("http") => Some(Self::Http),
            _ => None,
        }
    }

    /// The port of a URL that names none.
    pub(super) fn own_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// Whether an address may be dialled: in both environments a public one or one that the operator
/// lists; unencrypted only a listed one, in test.
pub(super) fn may_be_dialled(
    address: SocketAddr,
    scheme: Scheme,
    environment: Environment,
    allowed: &Allowed,
) -> bool {
    match scheme {
        Scheme::Https => is_public(address.ip()) || allowed.lists(address),
        Scheme::Http => environment == Environment::Test && allowed.lists(address),
    }
}

/// Whether a host is this machine by its name.
pub(super) fn is_localhost(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost")
}

/// The system's resolver, and the rule behind it.
#[derive(Debug)]
pub(super) struct CheckedResolver {
    pub(super) environment: Environment,
    pub(super) allowed: Allowed,
}

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let resolved = DefaultResolver::default().resolve(uri, config, timeout)?;
        let scheme = Scheme::of(uri);
        let mut dialled = self.empty();
        for address in &resolved {
            let may_be = |it| may_be_dialled(*address, it, self.environment, &self.allowed);
            if scheme.is_some_and(may_be) {
                dialled.push(*address);
            }
        }
        let is_some_refused = dialled.len() < resolved.len();
        let may_be_partial = uri.host().is_some_and(is_localhost);
        if dialled.is_empty() || (is_some_refused && !may_be_partial) {
            return Err(ureq::Error::Other(Box::new(ForbiddenAddress)));
        }
        Ok(dialled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_loopback_link_local_and_other_special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn addresses_of_the_public_internet_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.167.255.255",
            "193.0.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
