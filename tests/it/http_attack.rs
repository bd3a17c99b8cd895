//! What hostile, broken and hasty clients may expect of the HTTP loop, through real sockets.
//!
//! Deadlines are small here, so that they pass quickly; a client that waits in vain fails after
//! `PATIENCE`. Nothing asserts that something is fast.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use countersign::http::client_address::TrustedProxies;
use countersign::http::limits::{Limits, raise_descriptor_limit};
use countersign::http::server::{Server, listen, serve};
use countersign::http::{Refusal, Request, Response, Service};

const PATIENCE: Duration = Duration::from_secs(20);
const SHORT_MS: u64 = 150;
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn text(status: u16, body: String) -> Response {
    Response { status, headers: vec![], body: body.into_bytes() }
}

fn refuse(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::Malformed => 400,
        Refusal::Timeout => 408,
        Refusal::BodyTooLarge => 413,
        Refusal::TargetTooLong => 414,
        Refusal::ExpectationFailed => 417,
        Refusal::HeadTooLarge => 431,
        Refusal::Panicked => 500,
        Refusal::TransferCodingUnsupported => 501,
        Refusal::TooManyConnections | Refusal::TooManyLargeBodies => 503,
        Refusal::VersionUnsupported => 505,
    };
    text(status, format!("{refusal:?}"))
}

fn answer(request: &Request) -> Response {
    match request.path() {
        "/panic" => panic!("as asked"),
        "/large" => text(200, "x".repeat(1024 * 1024)),
        "/empty" => text(204, String::new()),
        "/break" => Response {
            headers: vec![("X-Name", "a\r\nX-Evil: b".to_owned())],
            ..text(200, String::new())
        },
        target => {
            let body = String::from_utf8_lossy(&request.body);
            text(200, format!("{} {target} {body}", request.method))
        }
    }
}

/// A server and the targets that its handler saw.
struct Rig {
    server: Server,
    seen: Arc<Mutex<Vec<String>>>,
}

fn start(limits: Limits) -> Rig {
    start_with(limits, answer)
}

fn start_with(
    limits: Limits,
    answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> Rig {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let service = Service {
        handle: Box::new(move |request| {
            noted.lock().unwrap().push(request.target.clone());
            answer(request)
        }),
        refuse,
        body_bytes_max: |_, path| match path {
            "/small" => 4,
            "/big" => 256 * 1024,
            _ => 1024,
        },
        clock: Arc::new(|| 784_111_777_000),
    };
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    Rig { server: serve(listener, limits, service).unwrap(), seen }
}

impl Rig {
    fn client(&self) -> Client {
        Client::of(TcpStream::connect(self.server.address()).unwrap())
    }

    /// What `bytes` on a new connection are answered with, once the server has closed it.
    fn answers_and_closes(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.client();
        client.send(bytes);
        client.rest()
    }

    /// `bytes` are refused with `status` and `refusal`, the connection is closed, and the handler
    /// sees nothing of it.
    fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16, refusal: Refusal) {
        let shown = bytes.as_ref().escape_ascii().to_string();

        let answered = self.answers_and_closes(bytes);

        assert!(answered.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answered}");
        assert!(answered.contains("\r\nConnection: close\r\n"), "{shown}: {answered}");
        assert!(answered.ends_with(&format!("\r\n\r\n{refusal:?}")), "{shown}: {answered}");
        assert_eq!(*self.seen.lock().unwrap(), Vec::<String>::new(), "{shown}");
    }

    fn still_serves(&self) {
        let mut client = self.client();
        client.send(GET);
        assert_eq!(client.reply().body, "GET / ");
    }
}

struct Client {
    stream: BufReader<TcpStream>,
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// The next response, with its body.
    fn reply(&mut self) -> Reply {
        let head = self.head();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        let status = head.get(9..12).unwrap().parse().unwrap();
        Reply { status, head, body: String::from_utf8(body).unwrap() }
    }

    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let count = self.stream.read_line(&mut head).unwrap();
            assert!(count > 0, "closed within a head: {head:?}");
        }
        head
    }

    /// Everything until the server closes, cleanly: a reset fails.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).unwrap();
        rest
    }

    /// Whether the server has said or closed something within `patience`.
    fn hears_something(&mut self, patience: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
        let result = self.stream.fill_buf().map(<[u8]>::len);
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        match result {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn short() -> Limits {
    Limits {
        head_deadline_ms: SHORT_MS,
        body_deadline_ms: SHORT_MS,
        write_deadline_ms: SHORT_MS,
        ..Limits::default()
    }
}

// Framing.

#[test]
fn a_huge_content_length_is_refused_before_its_body() {
    let rig = start(Limits::default());

    for length in ["1025", "18446744073709551615", "99999999999999999999999999"] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        rig.refuses(head, 413, Refusal::BodyTooLarge);
    }
}

#[test]
fn the_bound_of_a_body_is_that_of_its_route() {
    let rig = start(Limits::default());

    rig.refuses(
        "POST /small?a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
        413,
        Refusal::BodyTooLarge,
    );
    let mut client = rig.client();
    client.send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd");
    assert_eq!(client.reply().body, "POST /small abcd");
}

#[test]
fn another_version_of_http_is_refused_and_its_connection_closed() {
    let rig = start(Limits::default());

    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/1.2", "HTTP/0.9"] {
        let head = format!("GET / {version}\r\nHost: a\r\n\r\n");
        rig.refuses(head, 505, Refusal::VersionUnsupported);
    }
    rig.refuses("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Refusal::VersionUnsupported);
    for version in ["HTTP/1.10", "http/1.1", "HTTP/x.1", "HTTPS/1.1", ""] {
        let head = format!("GET / {version}\r\nHost: a\r\n\r\n");
        rig.refuses(head, 400, Refusal::Malformed);
    }
}

#[test]
fn a_duplicate_content_length_is_refused_and_the_connection_closed() {
    let rig = start(Limits::default());

    for lengths in [
        "Content-Length: 4\r\nContent-Length: 4",
        "Content-Length: 4\r\ncontent-length: 5",
        "Content-Length: 4, 4",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{lengths}\r\n\r\nabcd");
        rig.refuses(request, 400, Refusal::Malformed);
    }
}

#[test]
fn a_content_length_of_other_than_digits_is_refused() {
    let rig = start(Limits::default());

    for length in ["+4", "-4", "4x", "0x4", "4 4", "", "4;", "\u{664}"] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabcd");
        rig.refuses(request, 400, Refusal::Malformed);
    }
}

#[test]
fn a_content_length_beside_a_transfer_encoding_is_refused() {
    let rig = start(Limits::default());

    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: gzip\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n0\r\n\r\n");
        rig.refuses(request, 400, Refusal::Malformed);
    }
}

#[test]
fn a_transfer_encoding_other_than_one_chunked_is_refused() {
    let rig = start(Limits::default());

    for coding in ["gzip, chunked", "gzip, br,CHUNKED", "identity, chunked"] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n");
        rig.refuses(request, 501, Refusal::TransferCodingUnsupported);
    }
    let twice = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
                 Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    rig.refuses(twice, 400, Refusal::Malformed);
    let old = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    rig.refuses(old, 400, Refusal::Malformed);
}

#[test]
fn a_body_whose_last_coding_is_not_chunked_is_malformed_because_it_has_no_end() {
    let rig = start(Limits::default());

    for coding in [
        "gzip",
        "identity",
        "xchunked",
        "",
        "chunked, gzip",
        "chunked,gzip",
        "CHUNKED, GZIP",
        "chunked, identity",
        "chunked, chunked",
        "gzip, chunked, chunked",
        "chunked, gzip, chunked",
        "chunked,",
        ", chunked",
        "gzip,, chunked",
        "chunked;q=1",
        "chunked ; a=b, gzip",
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        rig.refuses(request, 400, Refusal::Malformed);
    }
    for lines in ["gzip\r\nTransfer-Encoding: chunked", "chunked\r\ntransfer-encoding: gzip"] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {lines}\r\n\r\n0\r\n\r\n");
        rig.refuses(request, 400, Refusal::Malformed);
    }
}

#[test]
fn a_chunked_body_is_decoded() {
    let rig = start(Limits::default());
    let mut client = rig.client();

    client.send("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nab");
    client.send("cd\r\nA\r\n0123456789\r\n0\r\nX-Trailer: dropped\r\n\r\n");

    assert_eq!(client.reply().body, "POST /c abcd0123456789");
}

#[test]
fn a_chunked_body_that_the_handler_ignores_is_not_the_next_request() {
    let rig = start_with(Limits::default(), |_| text(200, "ignored".to_owned()));
    let mut client = rig.client();

    client.send(
        "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         23\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n\
         GET /second HTTP/1.1\r\nHost: a\r\n\r\n",
    );

    assert_eq!(client.reply().status, 200);
    assert_eq!(client.reply().status, 200);
    assert_eq!(*rig.seen.lock().unwrap(), ["/first", "/second"]);
}

#[test]
fn a_chunked_body_beyond_the_bound_is_refused() {
    let rig = start(Limits::default());
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

    rig.refuses(format!("{head}401\r\n"), 413, Refusal::BodyTooLarge);
    rig.refuses(format!("{head}ffffffffffffffff\r\n"), 413, Refusal::BodyTooLarge);
    rig.refuses(format!("{head}{}", "1\r\nx\r\n".repeat(1025)), 413, Refusal::BodyTooLarge);
}

#[test]
fn garbage_in_chunk_sizes_is_refused() {
    let rig = start(Limits::default());

    for size in ["4;a=b", "4 ", " 4", "+4", "0x4", "4g", "", "4\n", "00000000000000004"] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             {size}\r\nabcd\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        rig.refuses(request, 400, Refusal::Malformed);
    }
}

#[test]
fn bare_line_ends_and_other_control_characters_are_refused() {
    let rig = start(Limits::default());

    for head in [
        &b"GET / HTTP/1.1\nHost: a\n\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x0bc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x7fc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\r\n HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        rig.refuses(head, 400, Refusal::Malformed);
    }
}

#[test]
fn a_folded_or_spaced_header_is_refused() {
    let rig = start(Limits::default());

    for headers in [
        "Host: a\r\nX: b\r\n c",
        "Host: a\r\nX: b\r\n\tc",
        " Host: a",
        "Host : a",
        "Host: a\r\nX\t: b",
        "Host: a\r\nno colon",
        "Host: a\r\n: b",
    ] {
        rig.refuses(format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n"), 400, Refusal::Malformed);
    }
}

#[test]
fn a_request_names_its_host_exactly_once() {
    let rig = start(Limits::default());

    for headers in [
        "",
        "Host: a\r\n",
        "Host: \r\n",
        "Host: a b\r\n",
        "Host: a, b\r\n",
        "Host: a@b\r\n",
        "Host: a/b\r\n",
    ] {
        // The second is right by itself and wrong twice.
        let head = format!("GET / HTTP/1.1\r\n{headers}{headers}\r\n");
        rig.refuses(head, 400, Refusal::Malformed);
    }
    for host in ["example.com", "127.0.0.1:8080", "[::1]:8080"] {
        let mut client = rig.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.reply().status, 200);
    }
}

#[test]
fn a_target_that_is_no_path_is_refused() {
    let rig = start(Limits::default());

    for line in [
        "GET http://a/ HTTP/1.1",
        "GET a/b HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET /\tHTTP/1.1",
        "CONNECT a:443 HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET /",
        "GET",
    ] {
        rig.refuses(format!("{line}\r\nHost: a\r\n\r\n"), 400, Refusal::Malformed);
    }
}

// Bounds.

#[test]
fn a_head_without_end_is_refused_at_its_bound() {
    let rig = start(Limits::default());

    let mut many = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
    while many.len() < 20_000 {
        write!(many, "X-{}: y\r\n", many.len()).unwrap();
    }
    rig.refuses(many, 431, Refusal::HeadTooLarge);
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(16 * 1024));
    rig.refuses(long, 431, Refusal::HeadTooLarge);
    for count in [64, 500] {
        let headers = "X: y\r\n".repeat(count);
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        rig.refuses(head, 431, Refusal::HeadTooLarge);
    }
}

#[test]
fn a_target_that_is_too_long_is_refused() {
    let rig = start(Limits::default());

    for bytes in [2048, 8 * 1024, 32 * 1024] {
        let head = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(bytes));
        rig.refuses(head, 414, Refusal::TargetTooLong);
    }
}

#[test]
fn the_largest_head_within_the_bounds_is_served() {
    let rig = start(Limits::default());
    let target = format!("/{}", "x".repeat(2047));
    let start = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX: ");
    let filling = "y".repeat(16 * 1024 - start.len() - 4);
    let mut client = rig.client();

    client.send(format!("{start}{filling}\r\n\r\n"));

    assert_eq!(client.reply().body, format!("GET {target} "));
}

#[test]
fn a_head_that_comes_slowly_is_refused_at_its_deadline() {
    let rig = start(short());

    rig.refuses("GET / HTTP/1.1\r\nHo", 408, Refusal::Timeout);
}

#[test]
fn bytes_that_drip_do_not_extend_a_deadline() {
    let rig = start(short());

    for start in ["GET /", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"] {
        let mut client = rig.client();
        client.send(start);
        let drops = (0..500)
            .take_while(|_| {
                client.send("x");
                !client.hears_something(Duration::from_millis(10))
            })
            .count();

        assert!(drops < 500, "every byte was waited for");
        assert_eq!(client.reply().status, 408);
    }
}

#[test]
fn a_body_that_comes_slowly_is_refused_at_its_deadline() {
    let rig = start(short());

    let counted = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab";
    rig.refuses(counted, 408, Refusal::Timeout);
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab";
    rig.refuses(chunked, 408, Refusal::Timeout);
}

#[test]
fn a_request_cut_off_by_its_client_is_not_handled() {
    let rig = start(Limits::default());

    for request in ["GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"] {
        let mut client = rig.client();
        client.send(request);
        client.stream.get_ref().shutdown(Shutdown::Write).unwrap();

        assert_eq!(client.reply().status, 400);
        assert_eq!(client.rest(), "");
    }
    assert_eq!(*rig.seen.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let rig = start(Limits { idle_ms: SHORT_MS, ..Limits::default() });
    let mut fresh = rig.client();
    let mut used = rig.client();
    used.send(GET);
    used.reply();

    assert_eq!(fresh.rest(), "");
    assert_eq!(used.rest(), "");
}

#[test]
fn idle_connections_are_closed_sooner_when_most_are_taken() {
    let limits = Limits { connections_max: 4, idle_crowded_ms: SHORT_MS, ..Limits::default() };
    let rig = start(limits);
    let mut clients: Vec<Client> = (0..4).map(|_| rig.client()).collect();
    let last = clients.last_mut().unwrap();
    last.send(GET);
    last.reply();

    assert_eq!(last.rest(), "");
}

#[test]
fn half_sent_bodies_do_not_stop_service() {
    let rig = start(Limits::default());
    let mut halves: Vec<Client> = (0..100).map(|_| rig.client()).collect();
    for half in &mut halves {
        half.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx");
    }

    rig.still_serves();
}

#[test]
fn a_pipelining_client_that_never_reads_is_cut_off() {
    let rig = start(short());
    let mut client = rig.client();

    let request = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    let error = loop {
        if let Err(error) = client.stream.get_mut().write_all(request.as_bytes()) {
            break error;
        }
    };

    assert!(
        matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "the server neither read on nor closed: {error}"
    );
    rig.still_serves();
}

#[test]
fn a_connection_over_the_cap_is_answered_and_closed() {
    let rig = start(Limits { connections_max: 2, ..Limits::default() });
    let mut clients: Vec<Client> = (0..2).map(|_| rig.client()).collect();
    for client in &mut clients {
        client.send(GET);
        client.reply();
    }

    let mut third = rig.client();
    third.send(GET);
    let reply = third.reply();

    assert_eq!((reply.status, reply.body.as_str()), (503, "TooManyConnections"));
    assert!(reply.head.contains("\r\nConnection: close\r\n"));
    assert_eq!(third.rest(), "");
    drop(clients);
    let is_served = (0..1000).any(|_| {
        let mut client = rig.client();
        client.send(GET);
        client.reply().status == 200
    });
    assert!(is_served, "closed connections still count");
}

#[test]
fn a_silent_connection_over_the_cap_is_answered_too() {
    let rig = start(Limits { connections_max: 0, ..Limits::default() });
    let mut silent = rig.client();
    let mut gone = rig.client();
    gone.stream.get_ref().shutdown(Shutdown::Write).unwrap();

    assert_eq!(silent.reply().status, 503);
    assert_eq!(gone.rest(), "");
}

/// A connection from one of this machine's loopback addresses.
fn client_from(rig: &Rig, address: [u8; 4]) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&rig.server.address().into()).unwrap();
    Client::of(socket.into())
}

const PROXY: [u8; 4] = [127, 0, 0, 2];
const STRANGER: [u8; 4] = [127, 0, 0, 3];

fn reserving(trusted: &str) -> Limits {
    let trusted_proxies = TrustedProxies::parse(trusted).unwrap().into();
    Limits { connections_max: 16, trusted_proxies, ..Limits::default() }
}

#[test]
fn half_sent_heads_leave_the_server_to_those_who_come_through_a_listed_proxy() {
    let rig = start(reserving("127.0.0.2"));
    let half_sent: Vec<Client> = (0..24)
        .map(|_| {
            let mut client = client_from(&rig, STRANGER);
            client.send("GET / HTTP/1.1\r\n");
            client
        })
        .collect();

    let mut by_the_proxy = client_from(&rig, PROXY);
    by_the_proxy.send(GET);
    let mut stranger = client_from(&rig, STRANGER);
    stranger.send(GET);

    assert_eq!(by_the_proxy.reply().status, 200);
    assert_eq!(stranger.reply().status, 503);
    assert_eq!(rig.server.connections(), 15, "14 of strangers, and the proxy's");
    drop(half_sent);
}

#[test]
fn the_proxys_own_connections_take_nothing_from_strangers_but_the_reserved_places() {
    let rig = start(reserving("127.0.0.0/30"));
    let mut kept: Vec<Client> = Vec::new();
    for index in 0..16_u8 {
        let mut client = client_from(&rig, if index < 2 { PROXY } else { [127, 0, 1, 1] });
        client.send(GET);
        assert_eq!(client.reply().status, 200, "{index}");
        kept.push(client);
    }

    let mut one_more = client_from(&rig, PROXY);
    one_more.send(GET);

    assert_eq!(one_more.reply().status, 503, "the cap holds for all");
}

#[test]
fn without_a_listed_proxy_no_place_is_reserved() {
    let rig = start(reserving(""));
    let mut kept: Vec<Client> = Vec::new();
    for index in 0..16 {
        let mut client = client_from(&rig, STRANGER);
        client.send(GET);
        assert_eq!(client.reply().status, 200, "{index}");
        kept.push(client);
    }
}

/// How often something is looked at that the server is about to do: a bound on a hang, and no measure.
#[cfg(target_os = "linux")]
const LOOKS_MAX: u32 = 100_000_000;

/// The states of a server's sockets that the kernel still holds bytes for, of closed ones too.
#[cfg(target_os = "linux")]
fn unsent(rig: &Rig) -> Vec<String> {
    let port = format!(":{:04X}", rig.server.address().port());
    std::fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.get(1).is_some_and(|it| it.ends_with(&port)))
        .filter(|row| row.get(4).is_some_and(|it| !it.starts_with("00000000:")))
        .map(|row| row[3..5].join(" "))
        .collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_reader_that_never_reads_is_reset_and_leaves_nothing_in_the_kernel() {
    let rig = start(short());
    let address = rig.server.address();
    let connect = || {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        socket.connect(&address.into()).unwrap();
        Client::of(socket.into())
    };
    let mut slow: Vec<Client> = (0..8).map(|_| connect()).collect();
    for client in &mut slow {
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10));
    }

    // Nobody reads until the server has given all of them up.
    let are_given_up = (0..LOOKS_MAX).any(|_| {
        thread::yield_now();
        rig.server.connections() == 0 && rig.seen.lock().unwrap().len() >= slow.len()
    });
    assert!(are_given_up, "the server holds on to them");
    let is_empty = (0..LOOKS_MAX / 1000).any(|_| unsent(&rig).is_empty());
    assert!(is_empty, "the kernel holds {:?}", unsent(&rig));
    for client in &mut slow {
        // What had arrived, and then the reset; closed in the usual way, all the rest would come first.
        let read = client.stream.read_to_end(&mut Vec::new());
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    rig.still_serves();
}

#[test]
fn one_peer_cannot_take_every_connection() {
    let rig = start(Limits { connections_per_peer_max: 1, ..Limits::default() });
    let mut first = rig.client();
    first.send(GET);
    first.reply();

    let mut second = rig.client();
    second.send(GET);

    assert_eq!(second.reply().status, 503);
    first.send(GET);
    assert_eq!(first.reply().status, 200);
}

#[test]
fn a_connection_is_closed_after_its_last_request() {
    let rig = start(Limits { requests_per_connection_max: 2, ..Limits::default() });
    let mut client = rig.client();

    client.send(GET.repeat(3));

    assert!(!client.reply().head.contains("Connection"));
    assert!(client.reply().head.contains("\r\nConnection: close\r\n"));
    assert_eq!(client.rest(), "");
}

const FEW_DESCRIPTORS: u64 = 48;

/// Whether this process may open few files only. If not, runs the test of that name in one that
/// may, because the limit is that of a process.
fn has_few_descriptors(test: &str) -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current == Some(FEW_DESCRIPTORS) {
        return true;
    }
    let script = format!("ulimit -n {FEW_DESCRIPTORS} && exec \"$0\" --exact http_attack::{test}");
    let program = std::env::current_exe().unwrap();
    let output = Command::new("sh").args(["-c", &script]).arg(program).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    false
}

#[test]
fn running_out_of_descriptors_does_not_end_accepting() {
    if !has_few_descriptors("running_out_of_descriptors_does_not_end_accepting") {
        return;
    }
    let rig = start(Limits::default());
    let mut taken: Vec<File> = Vec::new();
    let mut heard = Vec::new();
    // Linux reserves the descriptor of the next connection before it waits for one, so the first
    // client may be served, and the server may snatch the descriptor meant for another client.
    let mut unheard = loop {
        taken.extend(std::iter::from_fn(|| File::open("/dev/null").ok()).take(1000));
        taken.pop().expect("the server is never starved");
        let Ok(stream) = TcpStream::connect(rig.server.address()) else { continue };
        let mut client = Client::of(stream);
        client.send(GET);
        if !client.hears_something(Duration::from_millis(100)) {
            break client;
        }
        heard.push(client);
    };
    drop(taken);

    assert_eq!(unheard.reply().status, 200);
    rig.still_serves();
}

#[test]
fn a_limit_on_descriptors_below_the_cap_is_told_before_it_is_reached() {
    if !has_few_descriptors("a_limit_on_descriptors_below_the_cap_is_told_before_it_is_reached") {
        assert!(raise_descriptor_limit(1).is_ok());
        return;
    }

    let error = raise_descriptor_limit(1024).unwrap_err();

    assert_eq!(
        error.to_string(),
        "the process may open 48 files, but 1024 connections need 1088: \
         raise the limit on open files or lower the number of connections"
    );
}

// What a well-meant client relies on.

/// A link's token stands in the path, and whoever has the token has the link.
#[test]
fn a_panic_leaves_no_path_in_the_log() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&log);
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::ERROR)
        .with_ansi(false)
        .with_writer(move || Shared(Arc::clone(&written)))
        .init();
    let rig = start_with(Limits::default(), |_| panic!("as asked"));
    let mut client = rig.client();

    client.send("PURGE /h/00secrettoken00/status?stage=sign HTTP/1.1\r\nHost: a\r\n\r\n");

    assert_eq!(client.reply().status, 500);
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    assert!(log.contains("a request panicked") && log.contains("PURGE"), "{log}");
    assert!(!log.contains("secrettoken") && !log.contains("stage=sign"), "{log}");
}

/// What the log of this process is written to.
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_answered_and_the_connection_lives_on() {
    let rig = start(Limits::default());
    let mut client = rig.client();

    client.send(format!("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n{GET}"));

    let reply = client.reply();
    assert_eq!((reply.status, reply.body.as_str()), (500, "Panicked"));
    assert_eq!(client.reply().body, "GET / ");
}

#[test]
fn a_large_response_arrives_whole_and_the_next_one_after_it() {
    let rig = start(Limits::default());
    let mut client = rig.client();

    client.send(format!("GET /large HTTP/1.1\r\nHost: a\r\n\r\n{GET}"));

    assert_eq!(client.reply().body, "x".repeat(1024 * 1024));
    assert_eq!(client.reply().body, "GET / ");
}

#[test]
fn a_body_of_the_largest_size_arrives_whole() {
    let rig = start(Limits::default());
    let body: String = ('a'..='z').cycle().take(256 * 1024).collect();

    for (header, content) in [
        ("Content-Length: 262144", body.clone()),
        ("Transfer-Encoding: chunked", format!("40000\r\n{body}\r\n0\r\n\r\n")),
    ] {
        let mut client = rig.client();
        client.send(format!("PUT /big HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n{content}"));
        assert_eq!(client.reply().body, format!("PUT /big {body}"));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let rig = start(Limits::default());
    let mut client = rig.client();
    let mut requests = String::new();
    for number in 0..100 {
        write!(requests, "POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n")
            .unwrap();
    }

    client.send(requests);

    for number in 0..100 {
        assert_eq!(client.reply().body, format!("POST /{number} abc"));
    }
}

#[test]
fn a_request_in_single_bytes_is_one_request() {
    let rig = start(Limits::default());
    let mut client = rig.client();

    for byte in b"POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" {
        client.send([*byte]);
    }

    assert_eq!(client.reply().body, "POST /one abc");
}

#[test]
fn a_head_request_gets_the_headers_of_a_get_and_no_body() {
    let rig = start(Limits::default());
    let mut client = rig.client();

    client.send(format!("HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n{GET}"));

    assert!(client.head().contains("\r\nContent-Length: 10\r\n"));
    assert_eq!(client.reply().body, "GET / ");
}

#[test]
fn a_response_without_content_leaves_no_bytes_behind() {
    let rig = start(Limits::default());
    let mut client = rig.client();

    client.send(format!("GET /empty HTTP/1.1\r\nHost: a\r\n\r\n{GET}"));

    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 204 No Content\r\n"), "{head}");
    assert!(!head.contains("Content-Length"), "{head}");
    assert_eq!(client.reply().body, "GET / ");
}

#[test]
fn a_response_carries_the_date_and_no_name_of_the_server() {
    let rig = start(Limits::default());
    let mut client = rig.client();

    client.send(GET);

    assert_eq!(
        client.reply().head,
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nContent-Length: 6\r\n\r\n"
    );
}

#[test]
fn a_line_break_in_a_response_header_begins_no_header() {
    let rig = start(Limits::default());
    let mut client = rig.client();

    client.send("GET /break HTTP/1.1\r\nHost: a\r\n\r\n");

    let head = client.reply().head;
    assert!(head.contains("\r\nX-Name: a  X-Evil: b\r\n"), "{head}");
}

#[test]
fn a_client_that_asks_first_is_told_to_continue_only_within_the_bounds() {
    let rig = start(Limits::default());
    let ask = |length: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };

    rig.refuses(ask(1025), 413, Refusal::BodyTooLarge);
    let mut client = rig.client();
    client.send(ask(3));
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    assert_eq!(client.reply().body, "POST / abc");
}

#[test]
fn an_unknown_expectation_is_refused() {
    let rig = start(Limits::default());

    for expectation in ["200-ok", "100-continue, 200-ok", "100-continue\r\nExpect: x", ""] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nExpect: {expectation}\r\n\r\n");
        rig.refuses(head, 417, Refusal::ExpectationFailed);
    }
}

#[test]
fn an_http_1_0_client_is_answered_and_closed_unless_it_asks_otherwise() {
    let rig = start(Limits::default());

    let answered = rig.answers_and_closes("GET / HTTP/1.0\r\n\r\n");
    assert!(answered.contains("\r\nConnection: close\r\n"), "{answered}");
    assert!(answered.ends_with("\r\n\r\nGET / "), "{answered}");

    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n".repeat(2));
    assert!(client.reply().head.contains("\r\nConnection: keep-alive\r\n"));
    assert_eq!(client.reply().body, "GET / ");
}

#[test]
fn a_connection_is_closed_when_its_client_asks() {
    let rig = start(Limits::default());

    let answered = rig.answers_and_closes(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n{GET}"
    ));

    assert!(answered.contains("\r\nConnection: close\r\n"), "{answered}");
    assert_eq!(*rig.seen.lock().unwrap(), ["/"]);
}

#[test]
fn an_upgrade_is_answered_as_a_plain_request() {
    let rig = start(Limits::default());
    let mut client = rig.client();

    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");

    let reply = client.reply();
    assert_eq!((reply.status, reply.body.as_str()), (200, "GET / "));
    assert!(!reply.head.contains("Upgrade"), "{}", reply.head);
}

#[test]
fn an_early_answer_is_not_lost_to_the_body_that_is_still_sent() {
    let rig = start(Limits::default());
    let mut request =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n".to_owned().into_bytes();
    request.resize(50_000, b'x');

    rig.refuses(request, 413, Refusal::BodyTooLarge);
}

/// A handler that reports each request and waits for leave to answer it.
fn waiting(limits: Limits) -> (Rig, Receiver<()>, Sender<()>) {
    let (entered, entries) = channel();
    let (leave, leaves) = channel::<()>();
    let leaves = Mutex::new(leaves);
    let rig = start_with(limits, move |request| {
        if request.target == "/wait" {
            entered.send(()).unwrap();
            leaves.lock().unwrap().recv().unwrap();
        }
        text(200, request.target.clone())
    });
    (rig, entries, leave)
}

#[test]
fn the_last_answer_is_not_lost_to_a_request_that_crosses_it() {
    let limits = Limits { requests_per_connection_max: 1, ..Limits::default() };
    let (rig, entries, leave) = waiting(limits);
    let mut client = rig.client();
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    entries.recv().unwrap();

    client.send(GET);
    leave.send(()).unwrap();

    assert_eq!(client.reply().body, "/wait");
    assert_eq!(client.rest(), "");
}

#[test]
fn a_stop_closes_idle_connections_and_lets_requests_in_flight_finish() {
    let (rig, entries, leave) = waiting(Limits::default());
    let address = rig.server.address();
    let mut idle = rig.client();
    idle.send(GET);
    idle.reply();
    let mut busy = rig.client();
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    entries.recv().unwrap();

    let server = rig.server;
    let stopping = thread::spawn(move || server.stop(PATIENCE));

    assert_eq!(idle.rest(), "");
    leave.send(()).unwrap();
    let reply = busy.reply();
    assert_eq!((reply.status, reply.body.as_str()), (200, "/wait"));
    assert!(reply.head.contains("\r\nConnection: close\r\n"), "{}", reply.head);
    assert_eq!(busy.rest(), "");
    stopping.join().unwrap();
    assert!(TcpStream::connect(address).is_err(), "it still listens");
}

#[test]
fn a_stop_does_not_wait_longer_than_its_grace() {
    let (rig, entries, leave) = waiting(Limits::default());
    let mut busy = rig.client();
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    entries.recv().unwrap();

    rig.server.stop(Duration::from_millis(SHORT_MS));

    assert_eq!(busy.rest(), "");
    leave.send(()).unwrap();
}

#[test]
fn many_connections_cannot_fill_the_memory_with_bodies_that_are_each_allowed() {
    let limits = Limits { large_bodies_max: 2, large_body_bytes: 1024, ..Limits::default() };
    let rig = start(limits);
    let ask = |length: usize| {
        format!("POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
    };
    let chunked = "POST /big HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let large = "x".repeat(4096);
    // Until both of them have taken their room, a third one finds some and waits for its rest.
    let refused = |head: &str| {
        (0..200).any(|_| {
            let mut client = rig.client();
            client.send(format!("{head}{large}"));
            client.stream.get_ref().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let mut told = [0; 12];
            client.stream.read_exact(&mut told).is_ok_and(|()| &told == b"HTTP/1.1 503")
        })
    };
    // And where the third one came before the second, it is the second that is refused: then again.
    let are_answered = (0..20).any(|_| {
        let mut held: Vec<Client> = (0..2)
            .map(|_| {
                let mut client = rig.client();
                client.send(format!("{}{large}", ask(8192)));
                client
            })
            .collect();
        assert!(refused(&ask(8192)), "counted");
        assert!(refused(&format!("{chunked}2000\r\n")), "chunked");
        let mut small = rig.client();
        small.send(format!("{}{}", ask(100), "x".repeat(100)));
        assert_eq!(small.reply().status, 200, "small ones go on");
        held.iter_mut().all(|client| {
            let mut told = [0; 12];
            client.stream.get_mut().write_all(large.as_bytes()).is_ok()
                && client.stream.read_exact(&mut told).is_ok_and(|()| &told == b"HTTP/1.1 200")
        })
    });
    assert!(are_answered, "those within the cap are answered");
    let mut next = rig.client();
    next.send(format!("{}{large}", ask(4096)));
    assert_eq!(next.reply().status, 200, "there is room again");
}
