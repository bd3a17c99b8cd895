//! Whose request it is when a proxy stands in front: `Forwarded` (RFC 7239) or `X-Forwarded-For`,
//! believed only from listed proxies, and only as far as the list reaches.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::Request;

/// The proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads addresses and networks, separated by commas; `None` if one is neither.
    pub fn parse(text: &str) -> Option<Self> {
        text.split(',')
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .map(|it| it.parse().ok().or_else(|| it.parse::<IpAddr>().ok().map(IpNet::from)))
            .collect::<Option<Vec<IpNet>>>()
            .map(Self)
    }

    /// The address of the client: the first one, seen from us, that is no listed proxy.
    ///
    /// A proxy writes one of the two headers and commonly passes the other on as the client sent it.
    /// Which one it writes is not known here, so when they name two clients neither is believed.
    pub fn client_address(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.peer?;
        if self.0.is_empty() || !self.lists(peer) {
            return Some(peer);
        }
        let forwarded =
            self.told(request.header_values("forwarded").flat_map(|it| it.split(',')).map(for_of));
        let x_forwarded_for = self.told(
            request.header_values("x-forwarded-for").flat_map(|it| it.split(',')).map(address_of),
        );
        match (forwarded, x_forwarded_for) {
            (Some(one), Some(other)) if one != other => Some(peer),
            (one, other) => one.or(other).or(Some(peer)),
        }
    }

    /// Of the addresses from the client to the last proxy, the client's. An unreadable entry ends what
    /// can be believed.
    fn told(&self, entries: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let entries: Vec<Option<IpAddr>> = entries.collect();
        let told: Vec<IpAddr> = entries.into_iter().rev().map_while(|it| it).collect();
        told.iter().find(|it| !self.lists(**it)).or(told.last()).copied()
    }

    fn lists(&self, address: IpAddr) -> bool {
        self.0.iter().any(|it| it.contains(&address.to_canonical()))
    }
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
    fn a_list_that_is_none_is_refused() {
        assert!(TrustedProxies::parse("10.0.0.1, nonsense").is_none());
    }
}
