//! Whose request it is when a proxy stands in front: `Forwarded` (RFC 7239) or `X-Forwarded-For`,
//! believed only from listed proxies, and only as far as the list reaches.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::Request;

/// How long the log is silent about an address after a warning about it.
const SILENCE: Duration = Duration::from_secs(3600);
/// How many addresses the log warns of within that time: anybody can send the headers of a proxy.
const WARNED_OF_MAX: usize = 16;

/// What counts as one client: an IPv4 address, or an IPv6 /64, since an IPv6 site has 2^64 addresses
/// to come from.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// Warns in the log of proxies that are not listed.
#[derive(Debug, Default)]
pub struct UnlistedProxies(Mutex<HashMap<IpAddr, Instant>>);

impl UnlistedProxies {
    /// Warns, once an hour and address, of a peer that sends a proxy's headers and is not listed.
    pub fn note(&self, trusted: &TrustedProxies, request: &Request, now: Instant) {
        let Some(peer) = request.peer.filter(|it| !trusted.lists(*it)) else { return };
        let sends = |name| request.header_values(name).next().is_some();
        if (sends("forwarded") || sends("x-forwarded-for")) && self.is_news(peer, now) {
            tracing::warn!(
                address = %peer,
                "this address sends Forwarded or X-Forwarded-For and is not listed in \
                 trusted-proxies, so the headers are ignored and all who come through it count as \
                 one client: if it is your proxy, set COUNTERSIGN_TRUSTED_PROXIES to it"
            );
        }
    }

    fn is_news(&self, peer: IpAddr, now: Instant) -> bool {
        let peer = neighbourhood(peer);
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < SILENCE;
        if warned.get(&peer).is_some_and(is_recent) {
            return false;
        }
        if warned.len() >= WARNED_OF_MAX {
            warned.retain(|_, at| is_recent(at));
        }
        let has_room = warned.len() < WARNED_OF_MAX;
        if has_room {
            warned.insert(peer, now);
        }
        has_room
    }
}

/// Of one header, the most lines that are kept for the record: the last ones, which are those of the
/// nearest proxy.
const LINES_KEPT: usize = 4;
/// Of one line, the most characters that are kept: the last ones, for the same reason.
const CHARACTERS_KEPT: usize = 512;

/// The proxies whose word counts, and where they say it.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: AddressHeader,
}

/// The header in which the proxies name a client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressHeader {
    /// Either one; if they disagree, neither counts.
    #[default]
    Any,
    /// `Forwarded`.
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// What a request says of its client's address, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressClaims {
    /// The headers as they came, with the ends of long ones.
    pub headers: Vec<(String, String)>,
    /// Whether one of them names another client than [`TrustedProxies::client_address`].
    pub disagree: bool,
}

impl TrustedProxies {
    /// Reads addresses and networks, separated by commas; `None` if one is neither.
    pub fn parse(text: &str) -> Option<Self> {
        text.split(',')
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .map(|it| it.parse().ok().or_else(|| it.parse::<IpAddr>().ok().map(IpNet::from)))
            .collect::<Option<Vec<IpNet>>>()
            .map(|networks| Self { networks, header: AddressHeader::Any })
    }

    /// The same proxies, which name the client in this header.
    #[must_use]
    pub fn naming_in(self, header: AddressHeader) -> Self {
        Self { header, ..self }
    }

    /// The address of the client: the first one, seen from us, that is no listed proxy.
    ///
    /// A proxy writes one of the two headers and commonly passes the other on as the client sent it.
    /// Unless the operator has named the one it writes, neither is believed when they name two clients.
    pub fn client_address(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.peer?.to_canonical();
        if !self.lists(peer) {
            return Some(peer);
        }
        let told = match (self.header, self.forwarded(request), self.x_forwarded_for(request)) {
            (AddressHeader::Forwarded, it, _) | (AddressHeader::XForwardedFor, _, it) => it,
            (AddressHeader::Any, Some(one), Some(other)) if one != other => None,
            (AddressHeader::Any, one, other) => one.or(other),
        };
        told.or(Some(peer))
    }

    /// What the headers of a request say of its client, believed or not; `None`: they say nothing.
    pub fn claims(&self, request: &Request) -> Option<AddressClaims> {
        let mut headers = Vec::new();
        for name in ["Forwarded", "X-Forwarded-For"] {
            let lines: Vec<&str> = request.header_values(name).collect();
            let kept = lines.iter().skip(lines.len().saturating_sub(LINES_KEPT));
            headers.extend(kept.map(|line| (name.to_owned(), end_of(line))));
        }
        let address = self.client_address(request);
        let named = [self.forwarded(request), self.x_forwarded_for(request)];
        let disagree = named.into_iter().flatten().any(|it| Some(it) != address);
        (!headers.is_empty()).then_some(AddressClaims { headers, disagree })
    }

    fn forwarded(&self, request: &Request) -> Option<IpAddr> {
        self.told(request.header_values("forwarded").flat_map(|it| it.split(',')).map(for_of))
    }

    fn x_forwarded_for(&self, request: &Request) -> Option<IpAddr> {
        let entries = request.header_values("x-forwarded-for").flat_map(|it| it.split(','));
        self.told(entries.map(address_of))
    }

    /// Of the addresses from the client to the last proxy, the client's. An unreadable entry ends what
    /// can be believed.
    fn told(&self, entries: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let entries: Vec<Option<IpAddr>> = entries.collect();
        let told: Vec<IpAddr> = entries.into_iter().rev().map_while(|it| it).collect();
        told.iter().find(|it| !self.lists(**it)).or(told.last()).copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Whether an address is a listed proxy's.
    pub fn lists(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|it| it.contains(&address.to_canonical()))
    }
}

fn end_of(line: &str) -> String {
    let surplus = line.chars().count().saturating_sub(CHARACTERS_KEPT);
    if surplus == 0 {
        return line.to_owned();
    }
    format!("…{}", line.chars().skip(surplus).collect::<String>())
}

fn for_of(element: &str) -> Option<IpAddr> {
    element
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("for"))
        .and_then(|(_, value)| address_of(value.trim_matches('"')))
}

fn address_of(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|it| it.split_once(']')).map(|(it, _)| it);
    entry
        .parse()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|it| it.ip()))
        .or_else(|| bare?.parse().ok())
        .map(|it: IpAddr| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, headers: &[(&str, &str)]) -> String {
        let request = Request {
            peer: Some(peer.parse().unwrap()),
            headers: headers
                .iter()
                .map(|(name, it)| ((*name).to_owned(), (*it).to_owned()))
                .collect(),
            ..Request::default()
        };
        TrustedProxies::parse(trusted).unwrap().client_address(&request).unwrap().to_string()
    }

    #[test]
    fn a_forwarded_address_counts_from_listed_proxies_only() {
        let told = [("X-Forwarded-For", "6.6.6.6, 9.9.9.9")];
        assert_eq!(client("", "10.0.0.1", &told), "10.0.0.1");
        assert_eq!(client("10.0.0.2", "10.0.0.1", &told), "10.0.0.1");
        assert_eq!(
            client("10.0.0.0/8", "10.0.0.1", &told),
            "9.9.9.9",
            "what it says before is hearsay"
        );
        assert_eq!(client("10.0.0.1, 9.9.9.9", "10.0.0.1", &told), "6.6.6.6");
        assert_eq!(client("10.0.0.1", "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", "10.0.0.1", &[("X-Forwarded-For", "junk")]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_with_ports_and_brackets() {
        let told = [("Forwarded", "for=192.0.2.60;proto=http, For=\"[2001:db8::17]:4711\"")];
        assert_eq!(client("::1", "::1", &told), "2001:db8::17");
        assert_eq!(
            client("127.0.0.1", "127.0.0.1", &[("Forwarded", "for=192.0.2.60:80")]),
            "192.0.2.60"
        );
    }

    #[test]
    fn a_client_cannot_name_itself_in_the_header_that_its_proxy_passes_on() {
        let (own, claimed) = (("X-Forwarded-For", "9.9.9.9"), ("Forwarded", "for=6.6.6.6"));
        assert_eq!(client("10.0.0.1", "10.0.0.1", &[claimed, own]), "10.0.0.1");
        let (own, claimed) = (("Forwarded", "for=9.9.9.9"), ("X-Forwarded-For", "6.6.6.6"));
        assert_eq!(client("10.0.0.1", "10.0.0.1", &[claimed, own]), "10.0.0.1");
        let both = [("Forwarded", "for=9.9.9.9"), ("X-Forwarded-For", "9.9.9.9")];
        assert_eq!(client("10.0.0.1", "10.0.0.1", &both), "9.9.9.9");
        let unreadable = [("Forwarded", "for=unknown"), ("X-Forwarded-For", "9.9.9.9")];
        assert_eq!(client("10.0.0.1", "10.0.0.1", &unreadable), "9.9.9.9");
    }

    #[test]
    fn an_operator_who_names_the_header_of_the_proxy_settles_a_disagreement() {
        let request = Request {
            peer: Some("::ffff:10.0.0.1".parse().unwrap()),
            headers: [("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "9.9.9.9")]
                .map(|(name, it)| (name.to_owned(), it.to_owned()))
                .to_vec(),
            ..Request::default()
        };
        for (header, address) in [
            (AddressHeader::Any, "10.0.0.1"),
            (AddressHeader::Forwarded, "6.6.6.6"),
            (AddressHeader::XForwardedFor, "9.9.9.9"),
        ] {
            let proxies = TrustedProxies::parse("10.0.0.1").unwrap().naming_in(header);
            assert_eq!(proxies.client_address(&request), Some(address.parse().unwrap()));
            let claims = proxies.claims(&request).unwrap();
            assert_eq!((claims.headers, claims.disagree), (request.headers.clone(), true));
        }
        let only_the_other =
            Request { headers: request.headers.get(..1).unwrap().to_vec(), ..request };
        let proxies =
            TrustedProxies::parse("10.0.0.1").unwrap().naming_in(AddressHeader::XForwardedFor);
        let peer = Some("10.0.0.1".parse().unwrap());
        assert_eq!(proxies.client_address(&only_the_other), peer, "not what was not named");
    }

    #[test]
    fn of_long_headers_the_record_keeps_the_nearest_proxys_end() {
        let line = format!("{}, 9.9.9.9", "x".repeat(9000));
        let request = Request {
            peer: Some("10.0.0.1".parse().unwrap()),
            headers: (0..9)
                .map(|at| ("x-forwarded-for".to_owned(), format!("{at}{line}")))
                .collect(),
            ..Request::default()
        };
        let claims = TrustedProxies::parse("10.0.0.1").unwrap().claims(&request).unwrap();

        assert_eq!((claims.headers.len(), claims.disagree), (LINES_KEPT, false));
        for (_, line) in claims.headers {
            assert!(line.starts_with('…') && line.ends_with("x, 9.9.9.9"), "{line}");
            assert_eq!(line.chars().count(), CHARACTERS_KEPT + 1);
        }
        assert_eq!(TrustedProxies::default().claims(&Request::default()), None);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let client = |text: &str| neighbourhood(text.parse().unwrap());

        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.2"), client("192.0.2.1"));
    }

    #[test]
    fn an_unlisted_proxy_is_news_once_an_hour_and_a_flood_of_them_is_not() {
        let (unlisted, begin) = (UnlistedProxies::default(), crate::http::connection::now());
        let news = |text: &str, at| unlisted.is_news(text.parse().unwrap(), at);

        assert!(news("192.0.2.1", begin));
        assert!(!news("192.0.2.1", begin + SILENCE / 2));
        assert!(news("192.0.2.1", begin + SILENCE));
        let flood = (0..100).filter(|it| news(&format!("10.0.0.{it}"), begin + SILENCE)).count();
        assert_eq!(flood, WARNED_OF_MAX - 1);
        assert!(news("198.51.100.1", begin + SILENCE * 2), "an hour later there is room again");
    }

    #[test]
    fn a_list_that_is_none_is_refused() {
        assert!(TrustedProxies::parse("10.0.0.1, nonsense").is_none());
    }
}
