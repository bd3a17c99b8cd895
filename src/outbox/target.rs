//! Where an endpoint may be: an HTTPS URL; in test also plain HTTP to an address that the operator
//! lists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::{Scheme, is_localhost, may_be_dialled};
use super::allowed::{Allowed, SETTING};
use crate::domain::environment::Environment;

/// The longest URL of an endpoint, in bytes.
pub const URL_BYTES_MAX: usize = 2048;

/// Why a URL is none that events are sent to; a fragment for its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is not a URL, or one with more than scheme, host, port, path and query.
    #[error(
        "it must be an absolute URL of at most {URL_BYTES_MAX} bytes, without user name and fragment"
    )]
    Malformed,
    /// Its host is a number that programs read as different addresses.
    #[error("its host is a number: write an IPv4 address in full, as 192.0.2.1")]
    NumericHost,
    /// It is not encrypted.
    #[error(
        "it must begin with https:// (in a test installation, http:// is allowed to `localhost` and \
         to IP addresses that the operator lists in the setting {SETTING})"
    )]
    NotEncrypted,
    /// It names an address that is neither public nor listed.
    #[error(
        "its host is not on the public internet, and the operator does not list its address and \
         port in the setting {SETTING}"
    )]
    NotAllowed,
}

/// A URL that was checked. That its name resolves to allowed addresses is checked when it is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// Checks a URL.
    pub fn parse(
        text: &str,
        environment: Environment,
        allowed: &Allowed,
    ) -> Result<Self, TargetError> {
        if text.len() > URL_BYTES_MAX || text.contains('#') {
            return Err(TargetError::Malformed);
        }
        let uri: ureq::http::Uri = text.parse().map_err(|_uri| TargetError::Malformed)?;
        let host = uri.host().filter(|it| !it.is_empty()).ok_or(TargetError::Malformed)?;
        let authority = uri.authority().map_or("", |it| it.as_str());
        // `host:` and `host:99999` name no port, and parse.
        let names_bad_port = authority.len() > host.len() && uri.port_u16().is_none();
        if authority.contains('@') || names_bad_port {
            return Err(TargetError::Malformed);
        }
        let scheme = Scheme::of(&uri).ok_or(TargetError::NotEncrypted)?;
        let port = uri.port_u16().unwrap_or(scheme.own_port());
        let addresses = literal_addresses(host)?;
        let may_be_unencrypted = environment == Environment::Test && !addresses.is_empty();
        if scheme == Scheme::Http && !may_be_unencrypted {
            return Err(TargetError::NotEncrypted);
        }
        let is_allowed =
            |ip: IpAddr| may_be_dialled((ip, port).into(), scheme, environment, allowed);
        if !addresses.is_empty() && !addresses.into_iter().any(is_allowed) {
            return Err(TargetError::NotAllowed);
        }
        Ok(Self(text.to_owned()))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The addresses that a host names without any resolver: of a literal, and of `localhost`.
fn literal_addresses(host: &str) -> Result<Vec<IpAddr>, TargetError> {
    if is_localhost(host) {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    if let Some(inner) = host.strip_prefix('[') {
        let literal = inner.strip_suffix(']').and_then(|it| it.parse::<Ipv6Addr>().ok());
        return literal.map(|it| vec![it.into()]).ok_or(TargetError::Malformed);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Ok(literal) = host.parse::<Ipv4Addr>() {
        return Ok(vec![literal.into()]);
    }
    // `2130706433`, `0x7f.1` and `127.1` are loopback to the system's resolver; the URL standard
    // calls every host whose last label is a number an IPv4 address too.
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_decimal = !last.is_empty() && last.bytes().all(|it| it.is_ascii_digit());
    let is_hexadecimal = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
    if is_decimal || is_hexadecimal { Err(TargetError::NumericHost) } else { Ok(Vec::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> Allowed {
        Allowed::new(vec![
            ("127.0.0.0/8".parse().unwrap(), None),
            ("::1/128".parse().unwrap(), None),
        ])
    }

    fn refused(text: &str, environment: Environment) -> Option<TargetError> {
        Target::parse(text, environment, &loopback()).err()
    }

    fn refused_unlisted(text: &str, environment: Environment) -> Option<TargetError> {
        Target::parse(text, environment, &Allowed::default()).err()
    }

    #[test]
    fn https_is_taken_everywhere_and_plain_http_only_to_listed_addresses_in_test() {
        for url in ["https://example.com/hook?a=b", "https://example.com:8443", "HTTPS://E.COM/"] {
            assert_eq!(refused(url, Environment::Live), None, "{url}");
            assert_eq!(refused_unlisted(url, Environment::Test), None, "{url}");
        }
        for url in ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:9/x"] {
            assert_eq!(refused(url, Environment::Test), None, "{url}");
            let unlisted = refused_unlisted(url, Environment::Test);
            assert_eq!(unlisted, Some(TargetError::NotAllowed), "{url}");
            assert_eq!(refused(url, Environment::Live), Some(TargetError::NotEncrypted), "{url}");
        }
        for url in ["http://example.com/", "ftp://example.com/", "http://receiver.internal/"] {
            assert_eq!(refused(url, Environment::Test), Some(TargetError::NotEncrypted), "{url}");
        }
        for url in ["http://10.0.0.1/", "http://8.8.8.8/"] {
            assert_eq!(refused(url, Environment::Test), Some(TargetError::NotAllowed), "{url}");
        }
    }

    #[test]
    fn a_url_that_two_readers_may_take_differently_is_refused() {
        let long = format!("https://example.com/{}", "x".repeat(URL_BYTES_MAX));
        for url in [
            "",
            "/hook",
            "example.com",
            "https://",
            "https:///x",
            "https://user:word@example.com/",
            "https://example.com/#part",
            "https://example.com:/x",
            "https://example.com:99999/x",
            "https://example.com/a b",
            "https://exämple.com/",
            "https://example.com\\@evil.com/",
            "https://[v1.a]/",
            "https://[::1%25lo]/",
            &long,
        ] {
            let refusal = refused(url, Environment::Test);
            assert!(
                matches!(refusal, Some(TargetError::Malformed | TargetError::NotEncrypted)),
                "{url}"
            );
        }
        for url in [
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0X7F.0.0.1/",
            "https://127.1/",
            "https://0177.0.0.1/",
            "https://017700000001/",
            "https://127.0.0.1.5/",
            "https://2130706433./",
            "https://1.2.3.0x/",
        ] {
            assert_eq!(refused(url, Environment::Test), Some(TargetError::NumericHost), "{url}");
        }
    }

    #[test]
    fn in_both_environments_a_literal_address_must_be_public_or_listed() {
        let urls = [
            "https://127.0.0.1/",
            "https://127.0.0.1./",
            "https://localhost/",
            "https://LocalHost./",
            "https://10.1.2.3/",
            "https://0.0.0.0/",
            "https://169.254.169.254/latest",
            "https://[::]/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::127.0.0.1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
        ];
        for (url, environment) in
            urls.iter().flat_map(|it| [(it, Environment::Live), (it, Environment::Test)])
        {
            let refusal = refused_unlisted(url, environment);
            assert_eq!(refusal, Some(TargetError::NotAllowed), "{url}");
        }
        assert_eq!(refused_unlisted("https://8.8.8.8/", Environment::Live), None);
        assert_eq!(refused("https://127.0.0.1/", Environment::Live), None);
        assert_eq!(refused("https://[::ffff:127.0.0.1]:9/", Environment::Live), None);
        assert_eq!(refused("https://0.0.0.0/", Environment::Live), Some(TargetError::NotAllowed));
    }
}
