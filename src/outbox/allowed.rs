//! The addresses that the operator lists for receivers although they are not on the public internet.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The setting that lists them, as errors name it.
pub const SETTING: &str = "webhook-allow";

/// Addresses and networks, each with one port or with all of them; none by default.
#[derive(Clone, Debug, Default)]
pub struct Allowed(Vec<(IpNet, Option<u16>)>);

impl Allowed {
    /// What the operator lists.
    pub fn new(listed: Vec<(IpNet, Option<u16>)>) -> Self {
        Self(listed)
    }

    /// Whether an address is listed. An IPv4 address in IPv6's mapped form is that IPv4 address,
    /// because that is where a connection to it goes. Behind a NAT64 it is another machine's, so only
    /// an IPv6 network lists it.
    pub(super) fn lists(&self, address: SocketAddr) -> bool {
        let ip: IpAddr = address.ip().to_canonical();
        let is_port = |port: &Option<u16>| port.is_none_or(|it| it == address.port());
        self.0.iter().any(|(net, port)| net.contains(&ip) && is_port(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lists_its_network_at_its_port_and_nothing_else() {
        let allowed = Allowed::new(vec![
            ("127.0.0.1/32".parse().unwrap(), Some(9000)),
            ("10.0.0.0/8".parse().unwrap(), None),
            ("fd00::/8".parse().unwrap(), Some(443)),
        ]);

        for listed in ["127.0.0.1:9000", "[::ffff:127.0.0.1]:9000", "10.9.9.9:1", "[fd12::1]:443"] {
            assert!(allowed.lists(listed.parse().unwrap()), "{listed}");
        }
        for other in [
            "127.0.0.1:9001",
            "127.0.0.2:9000",
            "0.0.0.0:9000",
            "[::1]:9000",
            "[64:ff9b::10.0.0.1]:443",
            "11.0.0.1:1",
            "[fd12::1]:80",
            "[fe80::1]:443",
        ] {
            assert!(!allowed.lists(other.parse().unwrap()), "{other}");
        }
        assert!(!Allowed::default().lists("127.0.0.1:9000".parse().unwrap()));
    }
}
