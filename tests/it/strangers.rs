//! What strangers on the network may do to the built program and its log.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::ChildStderr;
use std::time::Duration;

use serde_json::Value;

use crate::cli::{Resident, Shell};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running server, its address and its log.
struct Server {
    resident: Resident,
    address: String,
    log: BufReader<ChildStderr>,
    _shell: Shell,
}

impl Server {
    fn start(settings: &[(&str, &str)]) -> Self {
        let shell = Shell::new().with(&[
            ("COUNTERSIGN_DATABASE", "register.db"),
            ("COUNTERSIGN_SUMSUB_URL", "http://127.0.0.1:9"),
            ("COUNTERSIGN_SUMSUB_APP_TOKEN", "sbx:app.token"),
            ("COUNTERSIGN_SUMSUB_SECRET_KEY", "secret-key"),
            ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "webhook-secret"),
            ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb-level"),
            ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc-level"),
        ]);
        let shell = shell.with(settings);
        let mut resident = Resident::start(&shell, &["serve", "--listen", "127.0.0.1:0"]);
        let mut log = BufReader::new(resident.0.stderr.take().unwrap());
        let mut told = String::new();
        log.read_line(&mut told).unwrap();
        let address = told.split_whitespace().find_map(|it| it.strip_prefix("http://"));
        let address = address.unwrap_or_else(|| panic!("{told}")).to_owned();
        Self { resident, address, log, _shell: shell }
    }

    /// The status line that `bytes` on a connection of their own are answered with.
    fn asked(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    /// Ends it and answers its log, line by line.
    fn log(self) -> Vec<Value> {
        let Self { resident, mut log, .. } = self;
        assert_eq!(resident.terminate(), 0);
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
    }
}

#[test]
fn a_scanner_writes_no_errors_into_the_log() {
    let server = Server::start(&[("COUNTERSIGN_LOG", "debug")]);
    let post = "POST /v1/organizations HTTP/1.1\r\nHost: a\r\n";

    for (bytes, status) in [
        ("GET / HTTP/9.9\r\nHost: a\r\n\r\n".to_owned(), "505"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "505"),
        (format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n"), "501"),
        (format!("{post}Transfer-Encoding: chunked, gzip\r\n\r\n"), "400"),
        (format!("{post}Content-Length: 4, 4\r\n\r\n"), "400"),
        (format!("{post}Content-Length: 99999999\r\n\r\n"), "413"),
        (format!("{post}Expect: a-miracle\r\n\r\n"), "417"),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(4096)), "414"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(100)), "431"),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "400"),
        ("GET /.env HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), "404"),
    ] {
        let told = server.asked(&bytes);
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:?}: {told}");
    }

    let log = server.log();
    let refused: Vec<&Value> = log
        .iter()
        .filter(|it| it["message"] == "refused" && it["status"].as_u64() >= Some(500))
        .collect();
    assert_eq!(refused.len(), 3, "501 and 505 can be found by their ids: {log:?}");
    for it in &log {
        assert!(it["level"] != "ERROR" && it["level"] != "WARN", "{it}");
    }
}

#[test]
fn too_many_connections_are_a_warning_and_no_error() {
    let server = Server::start(&[("COUNTERSIGN_CONNECTIONS_MAX", "1")]);
    let mut held = TcpStream::connect(&server.address).unwrap();
    held.set_read_timeout(Some(PATIENCE)).unwrap();
    held.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut first = [0; 12];
    held.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    let told = server.asked("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");

    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    drop(held);
    let log = server.log();
    let levels: Vec<&Value> = log
        .iter()
        .filter(|it| it["cause"].as_str().is_some_and(|it| it.contains("TooManyConnections")))
        .map(|it| &it["level"])
        .collect();
    assert_eq!(levels, ["WARN"], "{log:?}");
}

const FORWARDED: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";

fn warnings(log: &[Value]) -> Vec<&Value> {
    log.iter()
        .filter(|it| {
            it["message"].as_str().is_some_and(|it| it.contains("Forwarded or X-Forwarded-For"))
        })
        .collect()
}

#[test]
fn a_proxy_that_is_not_listed_is_named_in_the_log_once() {
    let server = Server::start(&[("COUNTERSIGN_TRUSTED_PROXIES", "10.0.0.1")]);

    for bytes in [
        FORWARDED.to_owned(),
        FORWARDED.replace("X-Forwarded-For: ", "Forwarded: for="),
        FORWARDED.replace("/healthz", "/h/guess"),
    ] {
        server.asked(&bytes);
    }

    let log = server.log();
    let named = warnings(&log);
    assert_eq!(named.len(), 1, "{log:?}");
    assert_eq!((&named[0]["level"], &named[0]["address"]), (&"WARN".into(), &"127.0.0.1".into()));
    let told = named[0]["message"].as_str().unwrap();
    assert!(told.contains("set COUNTERSIGN_TRUSTED_PROXIES to it"), "{told}");
    assert!(!named[0].to_string().contains("192.0.2.1"), "what it says is hearsay");
}

#[test]
fn a_listed_proxy_and_a_client_without_one_are_not_named_in_the_log() {
    let server = Server::start(&[("COUNTERSIGN_TRUSTED_PROXIES", "127.0.0.0/8")]);
    server.asked(FORWARDED);
    assert_eq!(warnings(&server.log()).len(), 0);

    let server = Server::start(&[]);
    server.asked("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(warnings(&server.log()).len(), 0);
}
