//! Where an endpoint may be: an HTTPS URL; in test mode also plain HTTP to the machine itself.

use std::net::IpAddr;

use super::address::is_public;
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
    /// It is not encrypted.
    #[error("it must begin with https:// (in test mode http:// is allowed to localhost)")]
    NotEncrypted,
    /// It names an address that is not public.
    #[error("in live mode its host must be on the public internet")]
    NotPublic,
}

/// A URL that was checked. That its name resolves to allowed addresses is checked when it is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// Checks a URL.
    pub fn parse(text: &str, environment: Environment) -> Result<Self, TargetError> {
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
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let is_loopback = host.eq_ignore_ascii_case("localhost")
            || literal.is_some_and(|it| it.to_canonical().is_loopback());
        match (uri.scheme_str(), environment) {
            (Some("https"), _) => {}
            (Some("http"), Environment::Test) if is_loopback => {}
            _ => return Err(TargetError::NotEncrypted),
        }
        let is_outside = !is_loopback && literal.is_none_or(is_public);
        if environment == Environment::Live && !is_outside {
            return Err(TargetError::NotPublic);
        }
        Ok(Self(text.to_owned()))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, environment: Environment) -> Option<TargetError> {
        Target::parse(text, environment).err()
    }

    #[test]
    fn https_is_taken_everywhere_and_plain_http_only_to_the_machine_itself_in_test() {
        for url in ["https://example.com/hook?a=b", "https://example.com:8443", "HTTPS://E.COM/"] {
            assert_eq!(refused(url, Environment::Live), None, "{url}");
            assert_eq!(refused(url, Environment::Test), None, "{url}");
        }
        for url in ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:9/x"] {
            assert_eq!(refused(url, Environment::Test), None, "{url}");
            assert_eq!(refused(url, Environment::Live), Some(TargetError::NotEncrypted), "{url}");
        }
        for url in ["http://example.com/", "http://10.0.0.1/", "ftp://example.com/"] {
            assert_eq!(refused(url, Environment::Test), Some(TargetError::NotEncrypted), "{url}");
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
            &long,
        ] {
            let refusal = refused(url, Environment::Test);
            assert!(
                matches!(refusal, Some(TargetError::Malformed | TargetError::NotEncrypted)),
                "{url}"
            );
        }
    }

    #[test]
    fn in_live_mode_a_literal_address_must_be_public() {
        for url in [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
        ] {
            assert_eq!(refused(url, Environment::Live), Some(TargetError::NotPublic), "{url}");
        }
        assert_eq!(refused("https://8.8.8.8/", Environment::Live), None);
    }
}
