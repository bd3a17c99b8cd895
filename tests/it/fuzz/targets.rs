//! What is fuzzed: every parser of bytes from outside, and what holds whatever the bytes are.
//!
//! `cargo test` replays `corpus/`, a folder a target; the crate in `tests/fuzz` looks for more, led by
//! coverage.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::api::{self, Api, ApiSettings, OrganizationRate, RateLimits};
use countersign::config::{Config, Flags, SETTINGS, Variables};
use countersign::domain::letter::{LetterTemplate, STANDARD_LETTER};
use countersign::domain::organization::OrganizationId;
use countersign::domain::timestamp::Timestamp;
use countersign::handoff::{PageSettings, Pages, is_page};
use countersign::http::client_address::TrustedProxies;
use countersign::http::limits::Limits;
use countersign::http::server::{self, Server};
use countersign::http::{Request, Response, Service};
use countersign::reloadable::Reloadable;
use countersign::store::prove;
use countersign::sumsub::signature::{DigestAlgorithm, webhook_digest};
use countersign::sumsub::wire;
use countersign::usecase::authorizations::By;
use countersign::usecase::decide::Decision;
use countersign::usecase::handoff_links::issue_link;
use serde_json::Value;

use crate::document::{self, Seen};
use crate::rig::{OPERATOR, Rig, Setup, WEBHOOK_SECRET};

/// A broker with a customer who has a link, and another for whom it may act: everything that can be
/// asked about.
pub(crate) struct Asked {
    rig: Rig,
    api: Api,
    pages: Pages,
    places: Vec<(&'static [u8], String)>,
    /// How many webhooks the register has kept.
    kept: usize,
}

impl Asked {
    pub(crate) fn new() -> Self {
        let trusted_proxies = Reloadable::from(TrustedProxies::parse("127.0.0.0/8").unwrap());
        let letter = LetterTemplate::parse(STANDARD_LETTER).unwrap();
        let rig = Rig::with(Setup { letter: Some(letter), ..Setup::default() });
        let broker = rig.broker();
        let customer = rig.customer(&broker, "INDIVIDUAL");
        let approved = rig.customer(&broker, "BUSINESS");
        rig.sign(&approved, &broker.id);
        rig.decide(&approved, Decision::Hold).unwrap();
        rig.decide(&approved, Decision::Approve).unwrap();
        let settings = ApiSettings {
            rates: RateLimits { requests_per_s: 0, burst: 0, wrong_keys_per_minute: 0 },
            organization_rate: OrganizationRate { requests_per_s: 0, burst: 0 },
            trusted_proxies: trusted_proxies.clone(),
            waits_max: 0,
            ..ApiSettings::default()
        };
        let api = Api::new(Arc::clone(&rig.appliance), settings);
        let page_settings =
            PageSettings { limits: Setup::default().page_limits, trusted_proxies, waits_max: 0 };
        let pages = Pages::new(Arc::clone(&rig.appliance), page_settings);
        let by = By { actor: OPERATOR.to_owned(), request_id: None };
        let (granting, authorized) =
            (OrganizationId::new(&*customer), OrganizationId::new(&*broker.id));
        let (_, url) = issue_link(&rig.appliance, &granting, &authorized, by).unwrap();
        let link = url.rsplit('/').next().unwrap().to_owned();
        let places = vec![
            (&b"{key}"[..], broker.key),
            (&b"{customer}"[..], customer),
            (&b"{approved}"[..], approved),
            (&b"{broker}"[..], broker.id),
            (&b"{link}"[..], link),
        ];
        Self { rig, api, pages, places, kept: 0 }
    }

    /// `bytes` with this register's own words in the places for them.
    fn personal(&self, bytes: &[u8]) -> Vec<u8> {
        self.places.iter().fold(bytes.to_vec(), |it, (place, word)| {
            match it.windows(place.len()).position(|it| it == *place) {
                Some(at) => [&it[..at], word.as_bytes(), &it[at + place.len()..]].concat(),
                None => it,
            }
        })
    }

    fn handle(&self, request: &Request) -> Response {
        if is_page(request.path()) { self.pages.handle(request) } else { self.api.handle(request) }
    }

    fn word(&self, place: &[u8]) -> &str {
        &self.places.iter().find(|(it, _)| *it == place).unwrap().1
    }

    /// The API and the customers' pages, without a connection, so that what HTTP would refuse is asked
    /// too: targets, headers, cursors, entity tags, JSON, forms, share tokens, signed webhooks. Every
    /// answer is one of the OpenAPI document's, and none is "internal error".
    pub(crate) fn request(&mut self, bytes: &[u8]) {
        let request = generous(&self.personal(bytes));
        let response = self.handle(&request);
        let text = String::from_utf8_lossy(&response.body);
        let shown = bytes.escape_ascii();
        assert!(response.status != 500, "{shown}: {text}");
        if !is_page(request.path()) {
            let headers: Vec<(String, String)> = response
                .headers
                .iter()
                .map(|(name, it)| ((*name).to_owned(), it.clone()))
                .collect();
            document::check(&Seen {
                method: &request.method,
                target: &request.target,
                status: response.status,
                headers: &headers,
                // HTTP sends none of it.
                body: if request.method == "HEAD" { "" } else { &text },
            });
        }
        // What changed something leaves the next request another world than the corpus knows.
        if request.method != "GET" && response.status < 400 {
            *self = Self::new();
        }
    }

    /// A signed webhook: twice the same changes no more than once, and the register is still what its
    /// facts come to.
    pub(crate) fn webhook(&mut self, bytes: &[u8]) {
        let body = self.personal(bytes);
        let first = self.deliver(&body);
        let told = self.told();
        let second = self.deliver(&body);
        let shown = bytes.escape_ascii();
        assert_eq!(first, second, "{shown}");
        assert_eq!(told, self.told(), "{shown}");
        let proof = prove(&self.rig.directory.file("register.db"), &mut |_| {}).unwrap();
        assert!(proof.is_good(), "{shown}: {proof:?}");
        self.kept += 1;
        if self.kept > 20 {
            *self = Self::new();
        }
    }

    fn deliver(&self, body: &[u8]) -> u16 {
        let request = signed(Request {
            method: "POST".to_owned(),
            target: "/webhooks/sumsub".to_owned(),
            headers: vec![("Host".to_owned(), "a".to_owned())],
            body: body.to_vec(),
            peer: None,
        });
        let response = self.api.handle(&request);
        assert!(response.status < 500, "{}", body.escape_ascii());
        response.status
    }

    /// What a poll tells of the customer.
    fn told(&self) -> Value {
        let request = Request {
            method: "GET".to_owned(),
            target: "/v1/organizations/verification".to_owned(),
            headers: vec![
                ("Authorization".to_owned(), format!("Bearer {}", self.word(b"{key}"))),
                ("Nxos-On-Behalf-Of".to_owned(), self.word(b"{customer}").to_owned()),
            ],
            ..Request::default()
        };
        serde_json::from_slice(&self.api.handle(&request).body).unwrap()
    }
}

/// Reads generously what HTTP reads strictly.
fn generous(bytes: &[u8]) -> Request {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 4..).unwrap_or_default());
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.split("\r\n");
    let mut start = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
    let headers = lines
        .filter_map(|it| it.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let request = Request {
        method: method.to_owned(),
        // No other path is ever routed.
        target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
        headers,
        body: body.to_vec(),
        peer: Some("127.0.0.1".parse().unwrap()),
    };
    if request.path().starts_with("/webhooks/sumsub") { signed(request) } else { request }
}

fn signed(mut request: Request) -> Request {
    let secret = WEBHOOK_SECRET.as_bytes();
    let digest = webhook_digest(secret, DigestAlgorithm::Sha256, &request.body);
    request.headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("x-payload-digest"));
    request.headers.push(("X-Payload-Digest".to_owned(), digest));
    request.headers.push(("X-Payload-Digest-Alg".to_owned(), "HMAC_SHA256_HEX".to_owned()));
    request
}

/// A server that remembers what it was asked.
pub(crate) struct Connected {
    server: Server,
    heard: Arc<Mutex<String>>,
}

impl Connected {
    pub(crate) fn new() -> Self {
        let heard = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&heard);
        let service = Service {
            handle: Box::new(move |it| {
                let mut kept = kept.lock().unwrap();
                write!(kept, "{} {} {:?} ", it.method, it.target, it.headers).unwrap();
                writeln!(kept, "{}", it.body.escape_ascii()).unwrap();
                Response { status: 200, headers: Vec::new(), body: b"heard".to_vec() }
            }),
            refuse: api::refuse,
            body_bytes_max: |_, _| 4096,
            clock: Arc::new(|| 0),
        };
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = server::serve(listener, Limits::default(), service).unwrap();
        Self { server, heard }
    }

    /// Bytes on a connection: however they are cut into pieces (the first byte says how), the same
    /// requests are heard and the same answers given.
    pub(crate) fn connection(&self, bytes: &[u8]) {
        let Some((piece, bytes)) = bytes.split_first() else { return };
        let piece = usize::from(*piece).max(bytes.len() / 64 + 1);
        let whole = self.converse(bytes, bytes.len().max(1));
        let pieces = self.converse(bytes, piece);
        assert_eq!(whole, pieces, "{piece}: {}", bytes.escape_ascii());
    }

    /// What was heard, and the statuses that were answered.
    fn converse(&self, bytes: &[u8], piece: usize) -> (String, Vec<String>) {
        self.heard.lock().unwrap().clear();
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        for part in bytes.chunks(piece) {
            // A server that has refused may close before all is sent.
            if stream.write_all(part).is_err() {
                break;
            }
        }
        drop(stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 "), "{answer}");
        // Whether 100 Continue is needed depends on what has arrived.
        let statuses = answer
            .split("HTTP/1.1 ")
            .skip(1)
            .map(|it| it.chars().take(3).collect())
            .filter(|it| it != "100")
            .collect();
        (self.heard.lock().unwrap().clone(), statuses)
    }

    pub(crate) fn stop(self) {
        self.server.stop(Duration::from_secs(5));
    }
}

/// Sumsub's answers: what is taken keeps its bounds, and an error never quotes the body.
pub(crate) fn provider(bytes: &[u8]) {
    let at = Timestamp::from_ms(1_767_323_045_000);
    let mut errors = Vec::new();
    match wire::applicant(bytes, at) {
        Ok(it) => assert!((1..=256).contains(&it.id.len())),
        Err(it) => errors.push(it),
    }
    match wire::access_token(bytes, "org_1") {
        Ok(it) => assert!(it.len() <= 4096 && it.bytes().all(|it| it.is_ascii_graphic())),
        Err(it) => errors.push(it),
    }
    match wire::link(bytes) {
        Ok(it) => assert!(it.len() <= 2048 && it.starts_with("http")),
        Err(it) => errors.push(it),
    }
    errors.extend(wire::levels(bytes).err());
    for status in [400, 401, 403, 404, 409, 429, 500] {
        let problem = wire::Problem::read(status, bytes);
        errors.extend([
            problem.in_general(),
            problem.about_the_level(),
            problem.about_the_share_token(),
        ]);
    }
    for error in errors {
        let told = format!("{error} {error:?}");
        assert!(told.len() < 1000, "{told}");
    }
}

/// A setting, by its place in the table (the first byte): taken, or refused by its name.
pub(crate) fn configuration(bytes: &[u8]) {
    let Some((index, value)) = bytes.split_first() else { return };
    setting(usize::from(*index) % SETTINGS.len(), &String::from_utf8_lossy(value));
}

pub(crate) fn setting(index: usize, value: &str) {
    let setting = SETTINGS[index];
    let flags = Flags::from([(setting.name, value.to_owned())]);
    if let Err(error) = Config::load(&flags, &Variables::default()) {
        assert!(error.to_string().contains(setting.name), "{value:?}: {error}");
    }
}
