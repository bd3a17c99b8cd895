//! One connection, from its first byte to its close, on its own thread.
//!
//! Requests are answered one at a time and in order; the next one is not looked at before the
//! last response is in the kernel's hands, so a client that does not read stops being served. A
//! request that arrives in one piece on a kept connection costs one read and one write: the time
//! to wait for it is set once, and only a request that comes in pieces pays for deadlines.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::chunked::Chunked;
use super::crew::{Crew, LargeBody, Line};
use super::head::{Expectation, Framing, Head, Scanner, Version, parse, too_large};
use super::input::Input;
use super::render::{Connection, Content, DateText, Manner, render};
use super::{Refusal, Request, Response};

/// Received after an early answer and thrown away, so that the answer is not lost to a reset.
const LINGER_BYTES_MAX: usize = 64 * 1024;
/// How long such bytes are awaited.
pub(super) const LINGER: Duration = Duration::from_millis(500);
/// What a thread keeps of a buffer that one request made large.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The memory of a thread, reused from request to request.
pub(super) struct Memory {
    input: Input,
    request: Request,
    out: Vec<u8>,
    date: DateText,
}

impl Memory {
    pub(super) fn new() -> Self {
        Memory {
            input: Input::new(),
            request: Request::default(),
            out: Vec::new(),
            date: DateText::default(),
        }
    }
}

/// Why no further bytes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    /// The peer closed its half.
    Ended,
    /// The deadline passed.
    Late,
    /// The connection is broken.
    Broken,
}

impl From<io::Error> for Silence {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Silence::Late,
            _ => Silence::Broken,
        }
    }
}

/// Why there is no request to answer.
enum Failed {
    /// Nobody waits for an answer.
    Gone,
    /// The bytes were no request.
    Refused(Refusal),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Failed::Refused(refusal)
    }
}

impl From<Silence> for Failed {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Ended => Failed::Refused(Refusal::Malformed),
            Silence::Late => Failed::Refused(Refusal::Timeout),
            Silence::Broken => Failed::Gone,
        }
    }
}

/// What becomes of the connection after an exchange.
enum After {
    Next,
    Close,
    /// Close it, but the peer may still be sending.
    Linger,
}

/// Answers the requests of one connection until it closes.
pub(super) fn converse(crew: &Crew, line: &Line, memory: &mut Memory) {
    memory.input.clear();
    let left = crew.limits.requests_per_connection_max;
    let mut talk = Talk {
        crew,
        line,
        memory,
        read_deadline: None,
        version: Version::Http11,
        left,
        large_body: None,
    };
    loop {
        match talk.exchange() {
            After::Next => continue,
            After::Close => {}
            After::Linger => linger(&line.stream, now() + LINGER),
        }
        // It may have broken off in the middle of a body.
        talk.memory.request.body.clear();
        talk.memory.request.body.shrink_to(KEPT_BYTES_MAX);
        return;
    }
}

struct Talk<'a> {
    crew: &'a Crew,
    line: &'a Line,
    memory: &'a mut Memory,
    /// What the socket's receive timeout is set to.
    read_deadline: Option<Duration>,
    /// The peer's, as far as known.
    version: Version,
    /// How many more requests this connection may carry.
    left: u32,
    /// The present body's room among the large ones, once it has grown so large.
    large_body: Option<LargeBody<'a>>,
}

impl Talk<'_> {
    fn exchange(&mut self) -> After {
        let head = match self.receive() {
            Ok(head) => head,
            Err(Failed::Gone) => return After::Close,
            Err(Failed::Refused(refusal)) => {
                tracing::debug!(?refusal, peer = ?self.line.peer, "refused a request");
                let response = (self.crew.service.refuse)(refusal);
                let sent = self.send(&response, Connection::Closed, Content::Sent);
                return if sent.is_ok() { After::Linger } else { After::Close };
            }
        };
        self.version = head.version;
        self.left = self.left.saturating_sub(1);
        let response = self.answer();
        let is_kept = head.keep_alive && self.left > 0 && !self.crew.is_stopping();
        let connection = if is_kept { Connection::Kept } else { Connection::Closed };
        let is_head = self.memory.request.method == "HEAD";
        let content = if is_head { Content::Withheld } else { Content::Sent };
        match self.send(&response, connection, content) {
            Err(_) => After::Close,
            Ok(()) if is_kept => After::Next,
            // Also with nothing more read: a next request may cross this answer.
            Ok(()) => After::Linger,
        }
    }

    /// The handler runs on this thread; if it panics, this request fails and no other.
    fn answer(&self) -> Response {
        let service = &self.crew.service;
        let request = &self.memory.request;
        catch_unwind(AssertUnwindSafe(|| (service.handle)(request))).unwrap_or_else(|_| {
            // The target may hold a secret (a hand-off link is one): the panic's own message, which
            // the process writes to stderr, says where it was.
            tracing::error!(method = request.method, "a request panicked");
            (service.refuse)(Refusal::Panicked)
        })
    }

    /// Reads one request, whole, into memory.
    fn receive(&mut self) -> Result<Head, Failed> {
        let length = self.read_head()?;
        let memory = &mut *self.memory;
        let bytes = memory.input.pending().get(..length).unwrap_or_default();
        let head = parse(bytes, &self.crew.limits, &mut memory.request)?;
        memory.input.consume(length);
        memory.request.peer = self.line.peer;
        self.version = head.version;
        if head.framing != Framing::Nothing || head.expectation != Expectation::Nothing {
            self.read_body(head)?;
        }
        Ok(head)
    }

    /// The length of the head in the input, once all of it is there.
    fn read_head(&mut self) -> Result<usize, Failed> {
        let bytes_max = self.crew.limits.head_bytes_max;
        let mut scanner = Scanner::default();
        let mut deadline = None;
        let mut may_skip = true;
        self.await_request()?;
        loop {
            let pending = self.memory.input.pending();
            let visible = pending.get(..bytes_max).unwrap_or(pending);
            match scanner.end(visible)? {
                // RFC 9112 section 2.2: old clients send an empty line after a body.
                Some(2) if may_skip => {
                    may_skip = false;
                    scanner = Scanner::default();
                    self.memory.input.consume(2);
                    self.await_request()?;
                }
                Some(length) => return Ok(length),
                None if visible.len() >= bytes_max => {
                    return Err(too_large(visible, &self.crew.limits).into());
                }
                None => {
                    let total = self.crew.limits.head_deadline();
                    let until = *deadline.get_or_insert_with(|| now() + total);
                    self.read_until(until)?;
                }
            }
        }
    }

    /// Waits for the first byte of a request, unless it is there already.
    fn await_request(&mut self) -> Result<(), Failed> {
        while self.memory.input.pending().is_empty() {
            if !self.line.begin_idling(self.crew) {
                return Err(Failed::Gone);
            }
            let result = self.read(self.crew.idle_deadline());
            self.line.end_idling();
            if result.is_err() {
                // Nothing was asked, so nothing is answered.
                return Err(Failed::Gone);
            }
        }
        Ok(())
    }

    fn read_body(&mut self, head: Head) -> Result<(), Failed> {
        let request = &self.memory.request;
        let bytes_max = (self.crew.service.body_bytes_max)(&request.method, request.path());
        if let Framing::Length(length) = head.framing
            && length > bytes_max
        {
            return Err(Refusal::BodyTooLarge.into());
        }
        if head.expectation == Expectation::Unknown {
            return Err(Refusal::ExpectationFailed.into());
        }
        if head.expectation == Expectation::Continue
            && head.framing != Framing::Nothing
            && self.memory.input.pending().is_empty()
        {
            self.memory.out.clear();
            self.memory.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.write_out().or(Err(Failed::Gone))?;
        }
        match head.framing {
            Framing::Nothing => Ok(()),
            Framing::Length(length) => self.read_counted(length),
            Framing::Chunked => self.read_chunked(bytes_max),
        }
    }

    fn read_counted(&mut self, length: usize) -> Result<(), Failed> {
        let mut deadline = None;
        loop {
            // Space is taken as bytes arrive, not as they are announced.
            let memory = &mut *self.memory;
            let missing = length - memory.request.body.len();
            let pending = memory.input.pending();
            let part = pending.get(..missing).unwrap_or(pending);
            memory.request.body.extend_from_slice(part);
            let taken = part.len();
            memory.input.consume(taken);
            if taken == missing {
                return Ok(());
            }
            self.make_room()?;
            let until = *deadline.get_or_insert_with(|| now() + self.crew.limits.body_deadline());
            self.read_until(until)?;
        }
    }

    fn read_chunked(&mut self, bytes_max: usize) -> Result<(), Failed> {
        let mut chunked = Chunked::new(bytes_max);
        let mut deadline = None;
        loop {
            let memory = &mut *self.memory;
            let taken = chunked.decode(memory.input.pending(), &mut memory.request.body)?;
            memory.input.consume(taken);
            if chunked.is_done() {
                return Ok(());
            }
            self.make_room()?;
            let until = *deadline.get_or_insert_with(|| now() + self.crew.limits.body_deadline());
            self.read_until(until)?;
        }
    }

    /// A body that grows large needs room among the large ones: many connections could otherwise fill
    /// the memory, each within its own bound.
    fn make_room(&mut self) -> Result<(), Refusal> {
        let length = self.memory.request.body.len();
        if length >= self.crew.limits.large_body_bytes && self.large_body.is_none() {
            let room = self.crew.large_body().ok_or(Refusal::TooManyLargeBodies)?;
            self.large_body = Some(room);
        }
        Ok(())
    }

    fn read_until(&mut self, until: Instant) -> Result<(), Silence> {
        self.read(until.saturating_duration_since(now()))
    }

    /// One read that waits no longer than `patience`.
    fn read(&mut self, patience: Duration) -> Result<(), Silence> {
        if patience.is_zero() {
            return Err(Silence::Late);
        }
        if self.read_deadline != Some(patience) {
            self.line.stream.set_read_timeout(Some(patience))?;
            self.read_deadline = Some(patience);
        }
        let input = &mut self.memory.input;
        let room = input.room(self.crew.limits.head_bytes_max);
        match (&self.line.stream).read(room) {
            Ok(0) => Err(Silence::Ended),
            Ok(count) => {
                input.filled(count);
                Ok(())
            }
            // A signal; the caller looks at its input again and comes back.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn send(
        &mut self,
        response: &Response,
        connection: Connection,
        content: Content,
    ) -> Result<(), Silence> {
        let manner = Manner { version: self.version, connection, content };
        let memory = &mut *self.memory;
        let date = memory.date.at((self.crew.service.clock)());
        render(&mut memory.out, response, manner, date);
        let result = self.write_out();
        self.memory.out.shrink_to(KEPT_BYTES_MAX);
        self.memory.request.body.clear();
        self.memory.request.body.shrink_to(KEPT_BYTES_MAX);
        self.large_body = None;
        result
    }

    /// Writes the rendered bytes. A peer that does not take them in time has its connection reset.
    fn write_out(&mut self) -> Result<(), Silence> {
        let result = self.write_rendered();
        if result == Err(Silence::Late) {
            reset_on_close(&self.line.stream);
        }
        result
    }

    /// One call, unless the peer is slow to take the bytes.
    fn write_rendered(&mut self) -> Result<(), Silence> {
        let total = self.crew.limits.write_deadline();
        let mut stream = &self.line.stream;
        let mut rest = self.memory.out.as_slice();
        let until = now() + total;
        let mut is_shortened = false;
        loop {
            match stream.write(rest) {
                Ok(0) => return Err(Silence::Broken),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if rest.is_empty() {
                break;
            }
            let patience = until.saturating_duration_since(now());
            if patience.is_zero() {
                return Err(Silence::Late);
            }
            stream.set_write_timeout(Some(patience))?;
            is_shortened = true;
        }
        if is_shortened {
            stream.set_write_timeout(Some(total))?;
        }
        Ok(())
    }
}

/// What the peer has not taken goes with the connection: closed in the usual way, the kernel would keep
/// it for a peer that does not read.
fn reset_on_close(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection whose peer does not read is closed in the usual way");
    }
}

/// Closes the writing half and throws away what the peer still sends. Closing with bytes unread
/// makes the kernel reset the connection, and a reset can overtake the answer.
pub(super) fn linger(mut stream: &TcpStream, until: Instant) {
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut unread = LINGER_BYTES_MAX;
    let mut waste = [0; 4096];
    while unread > 0 {
        let patience = until.saturating_duration_since(now());
        if patience.is_zero() || stream.set_read_timeout(Some(patience)).is_err() {
            return;
        }
        match stream.read(&mut waste) {
            Ok(0) => return,
            Ok(count) => unread = unread.saturating_sub(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Time for the deadlines of sockets, which only the kernel's own clock can measure.
#[expect(clippy::disallowed_methods, reason = "a deadline of a socket is monotonic time")]
pub(super) fn now() -> Instant {
    Instant::now()
}
