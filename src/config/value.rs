//! How a setting's text becomes a value, and what is said where it does not.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use super::setting::SUMSUB_WEBHOOK_SECRET;
use super::{SECRET_BYTES_MAX, Secrecy, Setting, text_file};

/// One of two words.
pub(super) fn word<T>(text: &str, words: [(&str, T); 2]) -> Option<T> {
    words.into_iter().find(|(it, _)| *it == text).map(|(_, value)| value)
}

/// One level or several, with commas between them; the same one twice is one. Sumsub's own names have
/// neither commas nor space around them.
pub(super) fn levels(text: &str) -> Option<Vec<String>> {
    let mut levels: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim) {
        let is_name = !name.is_empty() && name.len() <= 256 && !name.chars().any(char::is_control);
        if !is_name {
            return None;
        }
        if !levels.iter().any(|it| it == name) {
            levels.push(name.to_owned());
        }
    }
    Some(levels)
}

/// A whole number within bounds.
pub(super) fn within<T: FromStr + PartialOrd>(text: &str, bounds: RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|it| bounds.contains(it))
}

/// Seconds, or with a unit: `30m`, `1h`, `7d`.
pub fn seconds(text: &str) -> Option<u32> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let (count, seconds) = units
        .into_iter()
        .find_map(|(unit, seconds)| text.strip_suffix(unit).map(|it| (it, seconds)))
        .unwrap_or((text, 1));
    count.parse::<u32>().ok()?.checked_mul(seconds)
}

/// `http(s)://host[:port]`, as a browser writes an origin (RFC 6454 section 6.1): in lower case,
/// without the scheme's own port and without a slash at the end. What a browser says of itself is
/// compared with it byte for byte. No user, path or query: the client puts paths of its own behind it.
pub(super) fn base_url(text: &str) -> Option<String> {
    let text = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let own_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let (host, port) = host_and_port(authority)?;
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-');
    let host = match host.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(address) => format!("[{}]", address.parse::<Ipv6Addr>().ok()?),
        None if !host.is_empty() && host.chars().all(is_plain) => host.to_owned(),
        None => return None,
    };
    Some(match port {
        Some(port) if port != own_port => format!("{scheme}://{host}:{port}"),
        Some(_) | None => format!("{scheme}://{host}"),
    })
}

/// Cuts the port off, if there is one: 1 to 65535.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let is_number = port.bytes().all(|it| it.is_ascii_digit());
            let port = port.parse().ok().filter(|it| is_number && *it > 0)?;
            Some((host, Some(port)))
        }
        Some(_) | None => Some((authority, None)),
    }
}

/// An address that customers open: encrypted, unless it is this machine.
pub(super) fn public_url(text: &str) -> Option<String> {
    base_url(text).filter(|it| it.starts_with("https://") || is_loopback(it))
}

/// Whether a base URL's host is this machine, so that nothing leaves it unencrypted.
pub(super) fn is_loopback(url: &str) -> bool {
    let host = host(url.split_once("://").map_or(url, |(_, rest)| rest));
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

fn host(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(host, _)| host),
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    }
}

/// A secret from its file, without the newline at its end. What is wrong never quotes the content.
pub(super) fn read_secret(path: &Path, of: &Setting) -> Result<String, String> {
    let bytes = text_file::read(path, SECRET_BYTES_MAX)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let is_ended = line.len() < bytes.len();
    let line = line.strip_suffix(b"\r").filter(|_| is_ended).unwrap_or(line);
    checked(line, of).map_err(ToOwned::to_owned)
}

/// The text of a secret setting, in one form: two secrets are separated by a comma.
pub(super) fn checked(bytes: &[u8], of: &Setting) -> Result<String, &'static str> {
    if *of != SUMSUB_WEBHOOK_SECRET {
        return checked_secret(bytes).map(ToOwned::to_owned);
    }
    let parts: Vec<&str> = bytes
        .split(|it| matches!(it, b',' | b'\n'))
        .map(|it| match it.trim_ascii() {
            [] if bytes.iter().any(|it| matches!(it, b',' | b'\n')) => {
                Err("one of its secrets is empty: remove the comma or the line")
            }
            it => checked_secret(it),
        })
        .collect::<Result<_, _>>()?;
    match parts.as_slice() {
        [one, other] if one == other => Err("it holds the same secret twice: remove one"),
        [_] | [_, _] => Ok(parts.join(",")),
        _ => Err("it holds more than two secrets: keep the one at Sumsub and the one to come"),
    }
}

/// A secret is visible ASCII. Anything else came along unseen, from an editor or a paste, and would be
/// part of the secret: every signature would be wrong, and nothing would say why.
fn checked_secret(bytes: &[u8]) -> Result<&str, &'static str> {
    let is_blank = |it: Option<&u8>| it.is_some_and(|it| matches!(it, b' ' | b'\t'));
    let has = |wanted: fn(&u8) -> bool| bytes.iter().any(wanted);
    if bytes.is_empty() {
        Err("it is empty: put the secret in it")
    } else if bytes.starts_with(b"\xef\xbb\xbf") {
        Err("it begins with a byte order mark: save it as plain text without one")
    } else if has(|it| matches!(it, b'\n' | b'\r')) {
        Err("it has more than one line: leave the secret's line only")
    } else if is_blank(bytes.first()) || is_blank(bytes.last()) {
        Err("it begins or ends with a blank or a tab: remove it")
    } else if has(u8::is_ascii_control) {
        Err("it holds a control character, as a tab or NUL: write the secret alone, as plain text")
    } else if !bytes.is_ascii() {
        Err("it is not ASCII text: write the secret alone, as plain text")
    } else if has(|it| *it == b' ') {
        Err("it holds a blank: write the secret alone")
    } else {
        std::str::from_utf8(bytes).map_err(|_ascii| "it is not ASCII text")
    }
}

/// "this is" or "these are".
pub(super) fn count(of: usize) -> &'static str {
    if of == 1 { "this is" } else { "these are" }
}

/// One line a setting: what to do.
pub(super) fn how_to_set(missing: &[&Setting]) -> String {
    missing.iter().fold(String::new(), |mut text, it| {
        let (variable, flag) = (it.variable(), it.flag);
        let ways = match it.secrecy {
            Secrecy::Open => format!("set {variable} or --{flag}"),
            Secrecy::Secret | Secrecy::Login => {
                format!("set {variable}, {} or --{flag}", it.file_variable())
            }
        };
        // Writing to a String does not fail.
        write!(text, "\n  {}: {ways}", it.name).unwrap_or_default();
        text
    })
}

/// `none`, or addresses and networks separated by commas.
pub(super) fn networks(text: &str) -> Option<String> {
    if text == "none" {
        return Some(String::new());
    }
    let is_one = |it: &str| {
        let (address, bits) = it.split_once('/').map_or((it, None), |(it, bits)| (it, Some(bits)));
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.is_none_or(|it| it.parse::<u8>().is_ok_and(|it| it <= most))
    };
    text.split(',').map(str::trim).all(is_one).then(|| text.to_owned())
}

/// The most addresses and networks of one setting.
const ENTRIES_MAX: usize = 256;

/// `none`, or addresses and networks, each with a port or without, separated by commas.
pub(super) fn receivers(text: &str) -> Option<Vec<(IpNet, Option<u16>)>> {
    if text == "none" {
        return Some(Vec::new());
    }
    let entries: Option<Vec<_>> = text.split(',').map(str::trim).map(receiver).collect();
    entries.filter(|it| it.len() <= ENTRIES_MAX)
}

/// `address`, `network`, `address:port` or `network:port`; an IPv6 address with a port in brackets, a
/// network in brackets or without.
fn receiver(text: &str) -> Option<(IpNet, Option<u16>)> {
    if let Some(net) = network(text) {
        return Some((net, None));
    }
    let (host, port) = host_and_port(text)?;
    let inner = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').filter(|it| it.contains(':'))?,
        // Behind the length of a prefix, the last colon can only be the port's.
        None if host.contains(':') && !host.contains('/') => return None,
        None => host,
    };
    Some((network(inner)?, port))
}

/// A network, or an address as the network of itself. IPv4 in IPv6's mapped form is IPv4: as such it
/// is dialled.
fn network(text: &str) -> Option<IpNet> {
    let net = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    let mapped = match net {
        IpNet::V6(it) => it.prefix_len().checked_sub(96).zip(it.addr().to_ipv4_mapped()),
        IpNet::V4(_) => None,
    };
    match mapped {
        Some((length, address)) => Some(Ipv4Net::new(address, length).ok()?.trunc().into()),
        None => Some(net.trunc()),
    }
}

/// `http://[user:password@]host:port`, and no path. A user name without a password is refused: it
/// might be a token, and a user name is shown.
pub(super) fn proxy(text: &str) -> Option<ureq::Proxy> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let whole = text.strip_prefix("http://")?;
    // A URL's reader ends the host at the first of these, also inside a password.
    let is_ambiguous = whole.contains(['/', '?', '#', '\\']) || whole.matches('@').count() > 1;
    let authority = whole.rsplit('@').next().filter(|_| !is_ambiguous)?;
    let (host, port) = host_and_port(authority)?;
    port?;
    base_url(&format!("http://{host}"))?;
    let proxy = ureq::Proxy::new(text).ok();
    proxy.filter(|it| Some(it.port()) == port).filter(|it| match (it.username(), it.password()) {
        (None, None) => true,
        (user, password) => [user, password].iter().all(|it| it.is_some_and(|it| !it.is_empty())),
    })
}

/// A URL with its password masked.
pub(super) fn without_password(text: &str) -> String {
    let masked = text.rsplit_once('@').and_then(|(login, address)| {
        let (user, _) = login.split_once("://")?.1.split_once(':')?;
        Some(format!("http://{user}:***@{address}"))
    });
    masked.unwrap_or_else(|| text.to_owned())
}
