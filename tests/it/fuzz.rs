//! Whatever bytes arrive, the answer is one of the contract's, and never "internal error".
//!
//! Requests are mutated from those in `corpus/`, and from every one that was answered with words not
//! heard before, which leads ever deeper into the parsers behind them: request target, headers,
//! cursors, entity tags, JSON bodies, webhooks (signed after the mutation, so that their JSON is
//! read), share tokens, forwarded addresses. `COUNTERSIGN_TEST_ROUNDS` is the number of requests;
//! with it, those with new answers are kept in `corpus/`.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign::api::{Api, ApiSettings, RateLimits};
use countersign::config::{Config, Flags, SETTINGS, Variables};
use countersign::http::Request;
use countersign::http::client_address::TrustedProxies;
use countersign::sumsub::signature::{DigestAlgorithm, webhook_digest};
use serde_json::Value;

use crate::rig::{Rig, WEBHOOK_SECRET};

/// What parsers stumble over.
const WORDS: [&[u8]; 34] = [
    b"\0",
    b"\r\n",
    b"\n",
    b" ",
    b"\t",
    b"\xff\xfe",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"%00",
    b"%2",
    b"%zz",
    b"..",
    b"/",
    b"?",
    b"&",
    b"=",
    b"#",
    b"\"",
    b"W/",
    b"*",
    b",",
    b";",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"9223372036854775807",
    b"null",
    b"{}",
    b"[[[[[[[[",
    b"\\ud800",
    b"limit=",
    b"cursor=",
    b"\xe2\x80\xae",
];

struct Chance(u64);

impl Chance {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() % bound.max(1)
    }

    fn mutate(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = at + self.below((bytes.len() - at).min(40) + 1);
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.splice(at..end, WORDS[self.below(WORDS.len())].iter().copied())),
                2 => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
                3 => drop(bytes.drain(at..end)),
                4 => {
                    let part = bytes[at..end].repeat(1 + self.below(20));
                    bytes.splice(at..at, part);
                }
                5 => {
                    let from = self.below(other.len() + 1);
                    let to = from + self.below((other.len() - from).min(80) + 1);
                    bytes.splice(at..end, other[from..to].iter().copied());
                }
                _ if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                _ => bytes.push(b' '),
            }
        }
        bytes.truncate(32 * 1024);
        bytes
    }
}

/// Everything that is asked: a broker that may act for its customer.
struct Asked {
    rig: Rig,
    api: Api,
    key: String,
    customer: String,
}

impl Asked {
    fn new() -> Self {
        let rig = Rig::new();
        let broker = rig.broker();
        let customer = rig.customer(&broker, "INDIVIDUAL");
        let settings = ApiSettings {
            rates: RateLimits { requests_per_s: 0, burst: 0, wrong_keys_per_minute: 0 },
            trusted_proxies: TrustedProxies::parse("127.0.0.0/8").unwrap(),
            waits_max: 0,
        };
        let api = Api::new(Arc::clone(&rig.appliance), settings);
        Self { rig, api, key: broker.key, customer }
    }

    /// `bytes` with this register's key and customer in the places for them.
    fn personal(&self, bytes: &[u8]) -> Vec<u8> {
        let mut it = replaced(bytes, b"{key}", self.key.as_bytes());
        it = replaced(&it, b"{customer}", self.customer.as_bytes());
        it
    }

    /// Asks without a connection, so that what HTTP would refuse is asked too; what was new in it.
    fn ask(&self, bytes: &[u8]) -> String {
        let request = request(&self.personal(bytes));
        let response = self.api.handle(&request);
        let text = String::from_utf8_lossy(&response.body);
        let shown = bytes.escape_ascii();
        assert!(response.status != 500, "{shown}: {text}");
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if response.status >= 400 {
            assert!(body["error"]["code"].is_string(), "{shown}: {text}");
        }
        // What it quotes of the request is not the answer's own word.
        let message = body["error"]["message"].as_str().unwrap_or("");
        let (start, quoted) = message.split_once('`').unwrap_or((message, ""));
        let own = [start, quoted.rsplit('`').next().unwrap_or("")].concat();
        let words: String = own.chars().filter(char::is_ascii_alphabetic).take(32).collect();
        let path = request.path();
        let known = corpus_paths().find(|it| *it == path).unwrap_or("elsewhere");
        format!("{} {known} {} {words}", response.status, body["error"]["code"])
    }

    /// Sends the bytes as they are: every answer is HTTP, and none is "internal error".
    fn send(&self, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.rig.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // A server that has refused may close before all is sent.
        drop(stream.write_all(&self.personal(bytes)));
        drop(stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        let shown = bytes.escape_ascii();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{shown}");
        assert!(!answer.starts_with(b"HTTP/1.1 500"), "{shown}: {}", answer.escape_ascii());
    }
}

fn replaced(bytes: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    match bytes.windows(what.len()).position(|it| it == what) {
        Some(at) => [&bytes[..at], by, &bytes[at + what.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

/// Reads generously what HTTP reads strictly.
fn request(bytes: &[u8]) -> Request {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 4..).unwrap_or_default());
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.split("\r\n");
    let mut start = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
    let mut headers: Vec<(String, String)> = lines
        .filter_map(|it| it.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if target.starts_with("/webhooks/sumsub") {
        let secret = WEBHOOK_SECRET.as_bytes();
        let digest = webhook_digest(secret, DigestAlgorithm::Sha256, body);
        headers.retain(|(name, _)| !name.starts_with("X-Payload-Digest"));
        headers.push(("X-Payload-Digest".to_owned(), digest));
        headers.push(("X-Payload-Digest-Alg".to_owned(), "HMAC_SHA256_HEX".to_owned()));
    }
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: body.to_vec(),
        peer: Some("127.0.0.1".parse().unwrap()),
    }
}

/// The paths that new answers are told apart by.
fn corpus_paths() -> impl Iterator<Item = &'static str> {
    [
        "/v1/organizations",
        "/v1/organizations/verification",
        "/v1/organizations/verification/events",
        "/v1/organizations/verification/import",
        "/v1/authorizations",
        "/v1/authorizations/explain",
        "/v1/api-keys",
        "/v1/webhooks/endpoints",
        "/webhooks/sumsub",
    ]
    .into_iter()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/corpus")
}

fn corpus() -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    files.iter().map(|it| std::fs::read(it).unwrap()).collect()
}

#[expect(clippy::disallowed_methods, reason = "how long to try is the tester's word")]
fn rounds() -> Option<usize> {
    std::env::var("COUNTERSIGN_TEST_ROUNDS").ok().map(|it| it.parse().unwrap())
}

#[test]
fn no_request_whatever_its_bytes_is_an_internal_error() {
    let asked = Asked::new();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ u64::try_from(rounds().unwrap_or(0)).unwrap());
    let mut pool = corpus();
    let mut heard: HashMap<String, usize> = HashMap::new();
    for bytes in &pool {
        asked.send(bytes);
        *heard.entry(asked.ask(bytes)).or_default() += 1;
    }
    let begun = pool.len();
    for round in 0..rounds().unwrap_or(300) {
        let (one, other) = (chance.below(pool.len()), chance.below(pool.len()));
        let bytes = chance.mutate(&pool[one], &pool[other]);
        if round % 8 == 0 {
            asked.send(&bytes);
        }
        let words = asked.ask(&bytes);
        let times = heard.entry(words).or_default();
        *times += 1;
        if *times == 1 && pool.len() < 2000 {
            if rounds().is_some() {
                std::fs::write(folder().join(format!("found-{:03}", pool.len())), &bytes).unwrap();
            }
            pool.push(bytes);
        }
    }
    println!("{} kinds of answers, {} of them from new requests", heard.len(), pool.len() - begun);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 2000,
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    })]

    /// The configuration's parsers: no panic, and a refusal names what to mend.
    #[test]
    fn whatever_a_setting_says_is_taken_or_refused_by_its_name(
        index in 0..SETTINGS.len(),
        value in proptest::prop_oneof![
            r"\PC{0,60}", r"[0-9]{0,25}", r"[0-9a-f.:/,\[\] -]{0,40}", r"https?://[a-z.:@/0-9?#\[\]]{0,40}",
            r"[0-9]{0,20}[smhd]?",
        ],
    ) {
        let setting = SETTINGS[index];
        let flags = Flags::from([(setting.name, value.clone())]);

        if let Err(error) = Config::load(&flags, &Variables::default()) {
            assert!(error.to_string().contains(setting.name), "{value:?}: {error}");
        }
    }
}
