//! A stand-in for Sumsub whose clock, applicants and reviews a test sets by hand: a world in which the
//! machine's clock and Sumsub's are two. What it says is always right; what it sends is the test's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::domain::timestamp::Timestamp;
use countersign::http::limits::Limits;
use countersign::http::server::{self, Server};
use countersign::http::{Request, Response, Service};
use serde_json::{Value, json};

use crate::rig::{Broker, Directory, Rig, START_MS, Setup, sumsub_instant};

/// An applicant as Sumsub has it now.
#[derive(Clone, Debug)]
pub(crate) struct Applicant {
    pub(crate) external_user_id: String,
    pub(crate) level: String,
    pub(crate) kind: &'static str,
    pub(crate) created_at: Timestamp,
    /// `reviewStatus`, `reviewAnswer`, `reviewRejectType`, `reviewDate`.
    pub(crate) review: Value,
}

#[derive(Default)]
struct Account {
    applicants: BTreeMap<String, Applicant>,
    calls: Vec<String>,
}

/// Sumsub, and a machine with a clock of its own.
pub(crate) struct TwoClocks {
    /// Sumsub's time.
    pub(crate) true_ms: Arc<AtomicI64>,
    machine_ms: Arc<AtomicI64>,
    set_by_ms: Arc<AtomicI64>,
    account: Arc<Mutex<Account>>,
    provider: Option<Server>,
    address: SocketAddr,
    rig: Option<Rig>,
    boots: AtomicI64,
    pub(crate) valid_days: u32,
}

impl TwoClocks {
    /// A machine whose clock is off by so much.
    pub(crate) fn off_by(ms: i64) -> Self {
        let true_ms = Arc::new(AtomicI64::new(START_MS));
        let account: Arc<Mutex<Account>> = Arc::default();
        let mut world = Self {
            machine_ms: Arc::new(AtomicI64::new(START_MS + ms)),
            set_by_ms: Arc::new(AtomicI64::new(ms)),
            true_ms,
            account,
            provider: None,
            address: "127.0.0.1:0".parse().unwrap(),
            rig: None,
            boots: AtomicI64::new(1),
            valid_days: 365,
        };
        world.reach();
        world.start(Directory::new());
        world
    }

    /// Sumsub can be reached.
    pub(crate) fn reach(&mut self) {
        let (clock, seen, dated) =
            (Arc::clone(&self.true_ms), Arc::clone(&self.account), Arc::clone(&self.true_ms));
        let service = Service {
            handle: Box::new(move |request| {
                answer(&seen, request, Timestamp::from_ms(clock.load(Ordering::SeqCst)))
            }),
            refuse: |_| Response { status: 400, headers: Vec::new(), body: Vec::new() },
            body_bytes_max: |_, _| 65_536,
            clock: Arc::new(move || dated.load(Ordering::SeqCst)),
        };
        let listener = server::listen(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        self.provider = Some(server::serve(listener, Limits::default(), service).unwrap());
    }

    /// Sumsub cannot be reached, and nobody learns its time.
    pub(crate) fn cut_off(&mut self) {
        if let Some(provider) = self.provider.take() {
            provider.stop(Duration::from_secs(5));
        }
    }

    fn start(&mut self, directory: Directory) {
        let setup = Setup {
            sumsub_url: format!("http://{}", self.address),
            set_by_ms: Arc::clone(&self.set_by_ms),
            boot_id: format!("boot-{}", self.boots.load(Ordering::SeqCst)),
            valid_days: self.valid_days,
            ..Setup::default()
        };
        self.rig = Some(Rig::start(directory, Arc::clone(&self.machine_ms), setup));
    }

    pub(crate) fn rig(&self) -> &Rig {
        self.rig.as_ref().unwrap()
    }

    /// Ends the program and starts it anew, on the same register and in the same run of the machine.
    pub(crate) fn restart(&mut self) {
        let mut rig = self.rig.take().unwrap();
        let directory = std::mem::replace(&mut rig.directory, Directory::new());
        drop(rig);
        self.start(directory);
    }

    /// The same, with another run of the machine.
    pub(crate) fn reboot(&mut self) {
        self.boots.fetch_add(1, Ordering::SeqCst);
        self.restart();
    }

    /// Time passes, for both.
    pub(crate) fn pass(&self, ms: i64) {
        self.true_ms.fetch_add(ms, Ordering::SeqCst);
        self.machine_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// The machine's clock is set.
    pub(crate) fn set_clock(&self, by_ms: i64) {
        self.machine_ms.fetch_add(by_ms, Ordering::SeqCst);
        self.set_by_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    pub(crate) fn true_now(&self) -> Timestamp {
        Timestamp::from_ms(self.true_ms.load(Ordering::SeqCst))
    }

    /// The calls that reached Sumsub so far, as `METHOD path`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.account.lock().unwrap().calls.clone()
    }

    /// Something happens at Sumsub now; the webhook that tells of it, not yet delivered.
    pub(crate) fn happens(&self, id: &str, what: &str, level: &str) -> Value {
        let now = self.true_now();
        let date = sumsub_instant(now);
        let zoned = format!("{}+0000", date.split('.').next().unwrap());
        let verdict = |answer: &str, kind: Option<&str>| {
            let mut result = json!({"reviewAnswer": answer});
            if let Some(kind) = kind {
                result["reviewRejectType"] = json!(kind);
            }
            json!({"reviewStatus": "completed", "reviewResult": result, "reviewDate": zoned})
        };
        let (event_type, review) = match what {
            "green" => ("applicantReviewed", verdict("GREEN", None)),
            "final" => ("applicantReviewed", verdict("RED", Some("FINAL"))),
            "retry" => ("applicantReviewed", verdict("RED", Some("RETRY"))),
            "pending" => {
                ("applicantPending", json!({"reviewStatus": "pending", "elapsedSincePendingMs": 0}))
            }
            "hold" => ("applicantOnHold", json!({"reviewStatus": "onHold"})),
            "reset" => ("applicantReset", json!({"reviewStatus": "init"})),
            other => panic!("nothing is called {other}"),
        };
        let mut account = self.account.lock().unwrap();
        let applicant = account.applicants.get_mut(id).unwrap();
        applicant.review = review.clone();
        applicant.review["pendingSince"] = json!(now.as_ms());
        level.clone_into(&mut applicant.level);
        let mut body = json!({
            "applicantId": id, "applicantType": applicant.kind, "levelName": level,
            "sandboxMode": true, "externalUserId": applicant.external_user_id,
            "type": event_type, "reviewStatus": review["reviewStatus"], "createdAtMs": date,
            "correlationId": format!("{}-{what}", now.as_ms()),
        });
        if let Some(result) = review.get("reviewResult") {
            body["reviewResult"] = result.clone();
        }
        body
    }

    pub(crate) fn deliver(&self, webhook: &Value) {
        let answer = self.rig().deliver(webhook);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) fn status(&self, broker: &Broker, customer: &str) -> String {
        self.rig().status(&broker.key, customer)
    }

    /// Whether the gate lets the broker act for the customer.
    pub(crate) fn may_act(&self, broker: &Broker, customer: &str) -> bool {
        let answer = self.rig().get("/v1/organizations", &broker.key, Some(customer));
        assert!([200, 403].contains(&answer.status), "{answer:?}");
        answer.status == 200
    }
}

impl Drop for TwoClocks {
    fn drop(&mut self) {
        drop(self.rig.take());
        self.cut_off();
    }
}

fn answer(account: &Mutex<Account>, request: &Request, now: Timestamp) -> Response {
    let mut account = account.lock().unwrap();
    let path = request.path().to_owned();
    account.calls.push(format!("{} {path}", request.method));
    let given: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["resources", "status", "api"]) => reply(200, &json!({"ok": 1})),
        ("GET", ["resources", "applicants", which, "one"]) => {
            let external = which.strip_prefix("-;externalUserId=");
            let found = account.applicants.iter().find(|(id, it)| match external {
                Some(external) => it.external_user_id == external,
                None => id.as_str() == *which,
            });
            found.map_or_else(
                || reply(404, &json!({"code": 404})),
                |(id, it)| reply(200, &applicant(id, it, now)),
            )
        }
        ("POST", ["resources", "applicants"]) => {
            let external = given["externalUserId"].as_str().unwrap().to_owned();
            if account.applicants.values().any(|it| it.external_user_id == external) {
                return reply(409, &json!({"code": 409}));
            }
            let kind = if given["type"] == "company" { "company" } else { "individual" };
            let level = if kind == "company" { "kyb-level" } else { "kyc-level" };
            let id = format!("a{}", account.applicants.len() + 1);
            let made = Applicant {
                external_user_id: external,
                level: level.to_owned(),
                kind,
                created_at: now,
                review: json!({"reviewStatus": "init"}),
            };
            let body = applicant(&id, &made, now);
            account.applicants.insert(id, made);
            reply(201, &body)
        }
        ("POST", ["resources", "applicants", id, "reset"]) => {
            if let Some(it) = account.applicants.get_mut(*id) {
                it.review = json!({"reviewStatus": "init"});
            }
            reply(200, &json!({"ok": 1}))
        }
        ("POST", ["resources", "applicants", id, "moveToLevel"]) => {
            let query = request.query().unwrap_or_default().to_owned();
            if let Some(it) = account.applicants.get_mut(*id) {
                it.level = query.trim_start_matches("name=").to_owned();
                it.review = json!({"reviewStatus": "init"});
            }
            reply(200, &json!({"ok": 1}))
        }
        ("POST", ["resources", "accessTokens", "sdk"]) => {
            reply(200, &json!({"token": "_act-sbx-jwt-x", "userId": given["userId"]}))
        }
        ("POST", ["resources", "sdkIntegrations", ..]) => {
            reply(200, &json!({"url": "https://in.sumsub.com/websdk/p/sbx_x"}))
        }
        _ => reply(404, &json!({"code": 404})),
    }
}

fn applicant(id: &str, it: &Applicant, now: Timestamp) -> Value {
    let mut review = it.review.clone();
    review["levelName"] = json!(it.level);
    if let Some(since) = review.get("pendingSince").and_then(Value::as_i64) {
        review["elapsedSincePendingMs"] = json!(now.as_ms() - since);
    }
    json!({
        "id": id, "externalUserId": it.external_user_id, "type": it.kind,
        "createdAt": sumsub_instant(it.created_at).split('.').next().unwrap(),
        "review": review,
    })
}

fn reply(status: u16, body: &Value) -> Response {
    Response {
        status,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}
