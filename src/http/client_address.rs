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
    pub fn client_address(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.peer?;
        if self.0.is_empty() || !self.lists(peer) {
            return Some(peer);
        }
        let told: Vec<IpAddr> = told_addresses(request);
        let client = told.iter().rev().find(|it| !self.lists(**it));
        Some(client.or(told.first()).copied().unwrap_or(peer))
    }

    fn lists(&self, address: IpAddr) -> bool {
        self.0.iter().any(|it| it.contains(&address.to_canonical()))
    }
}

/// From the client to the last proxy. An unreadable entry ends what can be believed.
fn told_addresses(request: &Request) -> Vec<IpAddr> {
    let forwarded: Vec<&str> = request.header_values("forwarded").collect();
    let entries: Vec<String> = if forwarded.is_empty() {
        request
            .header_values("x-forwarded-for")
            .flat_map(|it| it.split(','))
            .map(ToOwned::to_owned)
            .collect()
    } else {
        forwarded.iter().flat_map(|it| it.split(',')).map(for_of_element).collect()
    };
    let mut told: Vec<IpAddr> = entries.iter().rev().map_while(|it| address_of(it)).collect();
    told.reverse();
    told
}

fn for_of_element(element: &str) -> String {
    element
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("for"))
        .map_or_else(String::new, |(_, value)| value.trim_matches('"').to_owned())
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
    fn a_list_that_is_none_is_refused() {
        assert!(TrustedProxies::parse("10.0.0.1, nonsense").is_none());
    }
}
