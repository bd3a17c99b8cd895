//! HTTP/1.1 as plain values: a bounded, blocking connection loop that turns bytes into
//! [`Request`]s and [`Response`]s into bytes. Imports nothing of ours but what a reload replaces.
//!
//! One connection has one thread and at most one request in flight. Every wait has a deadline and
//! every buffer a bound ([`limits::Limits`]); whatever is not plainly HTTP/1.x as written down in
//! RFC 9112 is refused and its connection closed, because bytes that two parties may frame
//! differently are how one client's request becomes another's. There is no TLS, no compression
//! and no streaming here: a proxy in front does the first two, nothing of ours needs the third.
//!
//! ```text
//! server      accepts, counts, hands each connection to a thread, stops
//! crew        which connections are open, which threads wait for one
//! connection  read a head, read a body, call the handler, write, again
//! head, chunked, input, render      bytes to values and back, without a socket
//! ```

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

mod chunked;
pub mod client_address;
mod connection;
mod crew;
mod head;
mod input;
pub mod limits;
mod render;
pub mod server;

/// One request, whole: head and body were read within the limits before a handler sees it.
#[derive(Clone, Default)]
pub struct Request {
    /// The method, as sent (`GET`, `POST`, …).
    pub method: String,
    /// The raw request target as sent, path and query, never decoded or normalised.
    pub target: String,
    /// Header names (as sent) and values, in order.
    pub headers: Vec<(String, String)>,
    /// The raw body; empty when there was none.
    pub body: Vec<u8>,
    /// The address of the peer, if the socket told it.
    pub peer: Option<IpAddr>,
}

/// Credentials stand in headers and queries, personal data in bodies; a log shows none of them.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// The target up to `?`.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The target after `?`, still encoded.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first header of that name, compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every header of that name, in order.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// One answer. The loop adds `Date`, `Content-Length` and `Connection`, and ignores these and the
/// other framing headers if they stand in `headers`.
///
/// A `HEAD` is answered like a `GET`, with the body: the loop counts it and leaves it out.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code, 200 to 599; anything else is a defect and goes out as 500.
    pub status: u16,
    /// Header names and values. A control character in a value goes out as a space.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why the loop itself refuses a connection's bytes, before or instead of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head or the framing is not HTTP/1.x as we accept it: 400.
    Malformed,
    /// The head did not arrive in time, or the body did not: 408.
    Timeout,
    /// The body is larger than the route allows: 413.
    BodyTooLarge,
    /// The request target is too long: 414.
    TargetTooLong,
    /// The head is too large, or has too many headers: 431.
    HeadTooLarge,
    /// An expectation other than `100-continue`: 417.
    ExpectationFailed,
    /// A transfer coding that is not known, alone or before a last `chunked`: 501.
    TransferCodingUnsupported,
    /// HTTP/2 or later: 505.
    VersionUnsupported,
    /// The handler panicked: 500. The connection lives on.
    Panicked,
    /// Every connection that the cap allows is in use: 503.
    TooManyConnections,
    /// As many large bodies as the cap allows are being read or worked on: 503.
    TooManyLargeBodies,
}

/// What a server does with requests, as plain functions: the loop itself knows no route and
/// writes no text.
pub struct Service {
    /// Answers one request, on its connection's thread. A panic is answered with
    /// [`Refusal::Panicked`].
    pub handle: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    /// Renders every refusal, so that its body has the shape of the caller's other errors.
    pub refuse: fn(Refusal) -> Response,
    /// The largest body, in bytes, that this method and path accept; asked once the head is
    /// accepted and before a byte of the body is read.
    pub body_bytes_max: fn(method: &str, path: &str) -> usize,
    /// The time in Unix milliseconds, for the `Date` header.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}
