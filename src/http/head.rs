//! The head of a request: where it ends, and what it means for the bytes behind it.
//!
//! Stricter than RFC 9112 asks wherever the RFC leaves a choice that two parties could make
//! differently: one Host, one Content-Length, one transfer coding, CR LF and nothing else ends a
//! line, and only ASCII stands in it.

use std::mem::MaybeUninit;

use httparse::Status;
use tiny_http::HTTPVersion;

use super::limits::Limits;
use super::{Refusal, Request};

/// The headers that the parser has space for; `Limits::headers_max` may ask for fewer.
const HEADERS_CEILING: usize = 128;

/// Finds the end of a head as its bytes arrive, looking at each byte once.
///
/// It also refuses what no head may contain, so that a bare line feed is answered at once instead
/// of after the deadline.
#[derive(Default)]
pub(super) struct Scanner {
    seen: usize,
    line_bytes: usize,
    after_cr: bool,
}

impl Scanner {
    /// The length of the head with its blank line, once `input` holds all of it. `input` must
    /// begin with the bytes of the last call.
    pub(super) fn end(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        for byte in input.get(self.seen..).unwrap_or_default() {
            self.seen += 1;
            match byte {
                b'\n' if self.after_cr && self.line_bytes == 0 => return Ok(Some(self.seen)),
                b'\n' if self.after_cr => {
                    self.after_cr = false;
                    self.line_bytes = 0;
                }
                _ if self.after_cr => return Err(Refusal::Malformed),
                b'\r' => self.after_cr = true,
                // A line that begins with white space continues the one before (obs-fold).
                b' ' | b'\t' if self.line_bytes == 0 => return Err(Refusal::Malformed),
                b'\t' | b' '..=b'~' => self.line_bytes += 1,
                _ => return Err(Refusal::Malformed),
            }
        }
        Ok(None)
    }
}

/// What follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body.
    Nothing,
    /// So many bytes, at least one.
    Length(usize),
    /// Chunks.
    Chunked,
}

/// What a head says about its connection; the rest stands in the [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) framing: Framing,
    pub(super) version: Version,
    /// The peer asked to keep the connection, or did not object where that is the default.
    pub(super) keep_alive: bool,
    pub(super) expectation: Expectation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    Nothing,
    Continue,
    Unknown,
}

/// Why a head without an end is refused when no more of it may be read.
pub(super) fn too_large(input: &[u8], limits: &Limits) -> Refusal {
    let line_bytes = input.iter().position(|byte| *byte == b'\r').unwrap_or(input.len());
    if line_bytes > limits.target_bytes_max.saturating_add(64) {
        Refusal::TargetTooLong
    } else {
        Refusal::HeadTooLarge
    }
}

/// Reads a whole head, as [`Scanner`] delimits it, into `request`, reusing its memory.
pub(super) fn parse(bytes: &[u8], limits: &Limits, request: &mut Request) -> Result<Head, Refusal> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_CEILING];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Refusal::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(unknown_version(bytes)),
        Err(_) => return Err(Refusal::Malformed),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refusal::Malformed);
    };
    check_target(method, target, limits)?;
    if parsed.headers.len() > limits.headers_max {
        return Err(Refusal::HeadTooLarge);
    }
    set(&mut request.method, method);
    set(&mut request.target, target);
    request.body.clear();
    request.headers.truncate(parsed.headers.len());
    let version = HTTPVersion(1, minor);
    let mut meaning = Meaning::default();
    for (index, header) in parsed.headers.iter().enumerate() {
        let value = str::from_utf8(header.value).ok().ok_or(Refusal::Malformed)?;
        meaning.note(header.name, value)?;
        if let Some((kept_name, kept_value)) = request.headers.get_mut(index) {
            set(kept_name, header.name);
            set(kept_value, value);
        } else {
            request.headers.push((header.name.to_owned(), value.to_owned()));
        }
    }
    meaning.judge(if version >= (1, 1) { Version::Http11 } else { Version::Http10 })
}

/// The most bytes that a header's place keeps for the next request: many places that once held long
/// values would add up on every connection.
const PLACE_BYTES_KEPT: usize = 512;

fn set(kept: &mut String, text: &str) {
    if kept.capacity() > PLACE_BYTES_KEPT {
        *kept = String::new();
    }
    kept.clear();
    kept.push_str(text);
}

/// The version was not 1.0 or 1.1: another one, or no version at all.
fn unknown_version(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refusal::VersionUnsupported
        }
        _ => Refusal::Malformed,
    }
}

/// Only the origin form, and `*` for OPTIONS: the absolute form is a second Host, the authority
/// form asks for a tunnel.
fn check_target(method: &str, target: &str, limits: &Limits) -> Result<(), Refusal> {
    if target.len() > limits.target_bytes_max {
        return Err(Refusal::TargetTooLong);
    }
    let is_origin_form = target.starts_with('/') && !target.contains('#');
    if is_origin_form || (target == "*" && method == "OPTIONS") {
        Ok(())
    } else {
        Err(Refusal::Malformed)
    }
}

/// The headers that the loop itself obeys, as far as read.
#[derive(Default)]
struct Meaning {
    hosts: usize,
    length: Option<usize>,
    coding: Option<Coding>,
    persistence: Option<Persistence>,
    expectation: Option<Expectation>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Persistence {
    Close,
    KeepAlive,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Chunked,
    Other,
}

impl Meaning {
    fn note(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        // The length first: most headers are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                self.hosts += 1;
                if !is_host(value) {
                    return Err(Refusal::Malformed);
                }
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                return once(self.length.replace(content_length(value)?));
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                return once(self.coding.replace(coding(value)?));
            }
            10 if name.eq_ignore_ascii_case("connection") => self.note_connection(value),
            6 if name.eq_ignore_ascii_case("expect") => {
                let is_continue = value.eq_ignore_ascii_case("100-continue")
                    && self.expectation != Some(Expectation::Unknown);
                self.expectation =
                    Some(if is_continue { Expectation::Continue } else { Expectation::Unknown });
            }
            _ => {}
        }
        Ok(())
    }

    /// `close` outweighs `keep-alive`, wherever they stand.
    fn note_connection(&mut self, value: &str) {
        for option in value.split(',').map(str::trim) {
            if option.eq_ignore_ascii_case("close") {
                self.persistence = Some(Persistence::Close);
            } else if option.eq_ignore_ascii_case("keep-alive") {
                self.persistence.get_or_insert(Persistence::KeepAlive);
            }
        }
    }

    fn judge(self, version: Version) -> Result<Head, Refusal> {
        if self.hosts > 1 || (version == Version::Http11 && self.hosts == 0) {
            return Err(Refusal::Malformed);
        }
        let framing = match (self.coding, self.length, version) {
            (None, None | Some(0), _) => Framing::Nothing,
            (None, Some(length), _) => Framing::Length(length),
            (Some(_), Some(_), _) | (Some(_), _, Version::Http10) => {
                return Err(Refusal::Malformed);
            }
            (Some(Coding::Other), None, Version::Http11) => {
                return Err(Refusal::TransferCodingUnsupported);
            }
            (Some(Coding::Chunked), None, Version::Http11) => Framing::Chunked,
        };
        let keep_alive = match self.persistence {
            Some(persistence) => persistence == Persistence::KeepAlive,
            None => version == Version::Http11,
        };
        let expectation = match (self.expectation, version) {
            // RFC 9110 section 10.1.1: from a 1.0 client it is to be ignored.
            (Some(Expectation::Continue), Version::Http10) | (None, _) => Expectation::Nothing,
            (Some(expectation), _) => expectation,
        };
        Ok(Head { framing, version, keep_alive, expectation })
    }
}

/// For a header that may stand in a head once: refuses what replaced an earlier one.
fn once<T: Copy>(earlier: Option<T>) -> Result<(), Refusal> {
    if earlier.is_some() { Err(Refusal::Malformed) } else { Ok(()) }
}

/// RFC 9112 section 6.3: unless `chunked` is the last coding, and the only one of its name, the end of
/// the body is anybody's guess. What comes before it may be a coding that only we do not know.
fn coding(value: &str) -> Result<Coding, Refusal> {
    let mut codings = value.split(',').map(|it| it.trim_matches([' ', '\t']));
    if !codings.next_back().is_some_and(is_chunked) {
        return Err(Refusal::Malformed);
    }
    let mut found = Coding::Chunked;
    for earlier in codings {
        let name = earlier.split(';').next().unwrap_or_default().trim_end_matches([' ', '\t']);
        if !is_token(name) || is_chunked(name) {
            return Err(Refusal::Malformed);
        }
        found = Coding::Other;
    }
    Ok(found)
}

fn is_chunked(coding: &str) -> bool {
    coding.eq_ignore_ascii_case("chunked")
}

fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Digits only; a number beyond the machine's is a body beyond every bound.
fn content_length(value: &str) -> Result<usize, Refusal> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::Malformed);
    }
    Ok(value.parse().unwrap_or(usize::MAX))
}

/// Not the grammar of RFC 3986, only its alphabet: nothing that separates, quotes or spaces.
fn is_host(value: &str) -> bool {
    let is_allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'%' | b'~')
    };
    !value.is_empty() && value.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests;
