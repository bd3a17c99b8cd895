//! The load: so many keep-alive connections, each with one request in flight, for so many seconds,
//! on one thread, so that what the servers get of a small machine differs little between them.
//!
//! ```text
//! load hello    ADDRESS CONNECTIONS SECONDS
//! load poll     ADDRESS CONNECTIONS SECONDS IDS KEY
//! load webhooks ADDRESS CONNECTIONS SECONDS IDS SECRET COUNT
//! ```
//!
//! Prints `requests/s p50 p99 errors cpu`, the latencies and its own processor time in milliseconds. Only an answer 200 counts; the
//! others, and connections that broke, are errors. A connection that the server closes after an
//! answer is opened anew.
//!
//! Before the clock starts, the connections are opened one by one, each answered once before the next:
//! opened all at once, stock `tiny_http` leaves most of them without a thread for ever, and is then
//! measured with fewer connections than it is said to have.
//!
//! Polls ask for random customers of IDS. Webhooks go to its customers in turn; all of them are
//! written and signed before the clock starts, and none is sent twice: when all COUNT are sent, the
//! run ends early.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use sha2::Sha256;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [mode, address, connections, seconds, rest @ ..] = texts.as_slice() else {
        panic!("load hello|poll|webhooks ADDRESS CONNECTIONS SECONDS ...");
    };
    let address: SocketAddr = address.parse().expect("an address, as 127.0.0.1:8080");
    let connections: usize = connections.parse().expect("a number of connections");
    let span = Duration::from_secs_f64(seconds.parse().expect("seconds as a number"));
    let work = match (*mode, rest) {
        ("hello", []) => Work::Same(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("poll", [ids, key]) => Work::random(ids, key),
        ("webhooks", [ids, secret, count]) => {
            Work::webhooks(ids, secret, count.parse().expect("a number of webhooks"))
        }
        _ => panic!("no such mode, or not its arguments"),
    };
    let mut run = Run::new(address, connections, work);
    println!("{}", run.go(span));
}

/// What is sent.
enum Work {
    Same(Vec<u8>),
    Random { customers: Vec<String>, before: String, state: u64 },
    Once(VecDeque<Vec<u8>>),
}

impl Work {
    fn random(ids: &str, key: &str) -> Self {
        let customers = customers(ids).map(|(id, _)| id).collect();
        let before = format!(
            "GET /v1/organizations/verification HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {key}\r\nNxos-On-Behalf-Of: "
        );
        // Two runs that follow each other ask in another order.
        // Any number but 0 begins an xorshift; two runs that follow each other ask in another order.
        let state = (u64::from(std::process::id()) << 17) | 1;
        Self::Random { customers, before, state }
    }

    fn webhooks(ids: &str, secret: &str, count: usize) -> Self {
        let customers: Vec<_> = customers(ids).collect();
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let requests = (0..count)
            .map(|number| webhook(&customers[number % customers.len()], number, now_ms, secret))
            .collect();
        Self::Once(requests)
    }

    /// Puts the next request into `out`; `false` when there is none left.
    fn next(&mut self, out: &mut Vec<u8>) -> bool {
        out.clear();
        match self {
            Self::Same(request) => out.extend_from_slice(request),
            Self::Random { customers, before, state } => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                let customer =
                    &customers[usize::try_from(*state).expect("64 bits") % customers.len()];
                for part in [before.as_str(), customer, "\r\n\r\n"] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
            Self::Once(requests) => match requests.pop_front() {
                Some(request) => *out = request,
                None => return false,
            },
        }
        true
    }
}

/// Organization id and applicant id of each customer in a file that `populate` wrote.
fn customers(path: &str) -> impl Iterator<Item = (String, String)> {
    let text = fs::read_to_string(path).expect("a file of ids");
    let pairs: Vec<_> = text
        .lines()
        .map(|line| line.split_once(' ').expect("two ids a line"))
        .map(|(id, applicant)| (id.to_owned(), applicant.to_owned()))
        .collect();
    pairs.into_iter()
}

/// A webhook as Sumsub's Jackson prints it, alternately a verdict and a return to the queue.
fn webhook(
    (id, applicant): &(String, String),
    number: usize,
    now_ms: i64,
    secret: &str,
) -> Vec<u8> {
    let at = jiff::Timestamp::from_millisecond(
        now_ms - 3_600_000 + i64::try_from(number / 100).expect("a number of webhooks"),
    )
    .expect("now");
    let at = format!("{at:.3}").replace('T', " ").replace('Z', "");
    let (kind, status, verdict) = if number.is_multiple_of(2) {
        let verdict = "\n  \"reviewResult\" : {\n    \"reviewAnswer\" : \"GREEN\"\n  },";
        ("applicantReviewed", "completed", verdict)
    } else {
        ("applicantPending", "pending", "")
    };
    let body = format!(
        "{{\n  \"applicantId\" : \"{applicant}\",\n  \"inspectionId\" : \"{applicant}\",\n  \
         \"applicantType\" : \"company\",\n  \"correlationId\" : \"{number:032x}\",\n  \
         \"levelName\" : \"kyb-level\",\n  \"sandboxMode\" : true,\n  \
         \"externalUserId\" : \"{id}\",\n  \"type\" : \"{kind}\",{verdict}\n  \
         \"reviewStatus\" : \"{status}\",\n  \"createdAtMs\" : \"{at}\",\n  \
         \"clientId\" : \"benchmark\"\n}}"
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(body.as_bytes());
    let mut digest = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(digest, "{byte:02x}").expect("memory");
    }
    format!(
        "POST /webhooks/sumsub HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         User-Agent: Java/17\r\nX-Payload-Digest: {digest}\r\n\
         X-Payload-Digest-Alg: HMAC_SHA256_HEX\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    asked_at: Instant,
    /// It waits for an answer.
    is_asking: bool,
}

/// What has arrived of an answer.
enum Answer {
    Part,
    Whole { status: u16, closes: bool },
    Garbage,
}

struct Run {
    address: SocketAddr,
    work: Work,
    poll: Poll,
    /// How many to open.
    width: usize,
    connections: Vec<Connection>,
    took_us: Vec<u32>,
    errors: usize,
    /// Connections that have nothing more to send.
    finished: usize,
    stage: Stage,
}

#[derive(PartialEq, Eq)]
enum Stage {
    /// Every connection asks once.
    Opening,
    /// Every connection asks again as soon as it is answered.
    Measuring,
}

impl Run {
    fn new(address: SocketAddr, width: usize, work: Work) -> Self {
        let poll = Poll::new().expect("epoll");
        Self {
            address,
            work,
            poll,
            width,
            connections: Vec::new(),
            took_us: Vec::new(),
            errors: 0,
            finished: 0,
            stage: Stage::Opening,
        }
    }

    fn open(&mut self, events: &mut Events) {
        for index in 0..self.width {
            self.connections.push(Connection {
                stream: connect(&self.poll, self.address, index),
                out: Vec::new(),
                sent: 0,
                received: Vec::with_capacity(4096),
                asked_at: Instant::now(),
                is_asking: false,
            });
            self.ask(index);
            while self.connections[index].is_asking {
                self.poll.poll(events, Some(Duration::from_secs(5))).expect("epoll");
                assert!(!events.is_empty(), "connection {index} gets no answer");
                for event in &*events {
                    self.turn(event.token().0);
                }
            }
        }
        assert!(self.took_us.len() == self.width, "some of the first answers were no 200");
        self.took_us.clear();
        self.errors = 0;
        self.stage = Stage::Measuring;
    }

    fn go(&mut self, span: Duration) -> String {
        let mut events = Events::with_capacity(1024);
        self.open(&mut events);
        let began = Instant::now();
        for index in 0..self.connections.len() {
            self.ask(index);
        }
        let mut ended = began;
        while ended - began < span && self.finished < self.connections.len() {
            self.poll.poll(&mut events, Some(Duration::from_millis(100))).expect("epoll");
            for event in &events {
                self.turn(event.token().0);
            }
            ended = Instant::now();
        }
        let seconds = (ended - began).as_secs_f64();
        self.took_us.sort_unstable();
        let at = |share: usize| {
            let index = self.took_us.len() * share / 100;
            self.took_us.get(index).map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        let answered = u32::try_from(self.took_us.len()).expect("fewer answers than 2^32");
        let rate = f64::from(answered) / seconds;
        format!("{rate:.0} {:.3} {:.3} {} {}", at(50), at(99), self.errors, processor_ms())
    }

    fn ask(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if !self.work.next(&mut connection.out) {
            connection.is_asking = false;
            self.finished += 1;
            return;
        }
        connection.sent = 0;
        connection.received.clear();
        connection.asked_at = Instant::now();
        connection.is_asking = true;
        self.write(index);
    }

    fn write(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        while connection.sent < connection.out.len() {
            match connection.stream.write(&connection.out[connection.sent..]) {
                Ok(count) => connection.sent += count,
                // Not connected yet, or the buffer is full: an event follows.
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) =>
                {
                    return;
                }
                Err(_) => return self.fail(index),
            }
        }
    }

    fn turn(&mut self, index: usize) {
        if !self.connections[index].is_asking {
            return;
        }
        self.write(index);
        loop {
            let connection = &mut self.connections[index];
            let mut buffer = [0; 4096];
            match connection.stream.read(&mut buffer) {
                Ok(0) => return self.fail(index),
                Ok(count) => connection.received.extend_from_slice(&buffer[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) =>
                {
                    return;
                }
                Err(_) => return self.fail(index),
            }
            match answer(&connection.received) {
                Answer::Part => {}
                Answer::Garbage => return self.fail(index),
                Answer::Whole { status, closes } => {
                    self.count(index, status);
                    if closes {
                        self.reconnect(index);
                    }
                    // The next answer cannot be there yet: an event tells when it is.
                    match self.stage {
                        Stage::Opening => self.connections[index].is_asking = false,
                        Stage::Measuring => self.ask(index),
                    }
                    return;
                }
            }
        }
    }

    fn count(&mut self, index: usize, status: u16) {
        if status == 200 {
            let took = self.connections[index].asked_at.elapsed();
            self.took_us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        } else {
            self.errors += 1;
        }
    }

    fn fail(&mut self, index: usize) {
        self.errors += 1;
        self.reconnect(index);
        self.ask(index);
    }

    fn reconnect(&mut self, index: usize) {
        self.connections[index].stream = connect(&self.poll, self.address, index);
    }
}

/// User and system time of this process, which the kernel tells in hundredths of a second.
fn processor_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let behind_name = stat.rsplit(") ").next().expect("a name in parentheses");
    let fields: Vec<&str> = behind_name.split(' ').collect();
    fields[11..13].iter().map(|it| it.parse::<u64>().expect("a number") * 10).sum()
}

fn connect(poll: &Poll, address: SocketAddr, index: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a socket");
    poll.registry()
        .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)
        .expect("epoll");
    stream
}

fn answer(received: &[u8]) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(received) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Answer::Part,
        Err(_) => return Answer::Garbage,
    };
    let (mut length, mut closes) = (None, false);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = str::from_utf8(header.value).ok().and_then(|it| it.parse::<usize>().ok());
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    match (response.code, length) {
        (Some(status), Some(length)) if received.len() == head + length => {
            Answer::Whole { status, closes }
        }
        (Some(_), Some(length)) if received.len() < head + length => Answer::Part,
        _ => Answer::Garbage,
    }
}
