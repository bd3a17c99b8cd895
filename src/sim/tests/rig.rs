//! A simulator with a clock that a test turns, and a client that signs by hand.

use crate::http::{Request, Response};
use crate::sim::{
    Attempt, Clock, Credentials, DeliveryMode, RequestLimit, Settings, Simulator, TenantId,
};
use crate::sumsub::signature::sign_request;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// 2026-01-02 03:04:05.678 UTC.
pub(super) const START_MS: i64 = 1_767_323_045_678;

pub(super) struct Rig {
    pub(super) simulator: Arc<Simulator>,
    now_ms: Arc<AtomicI64>,
}

/// Kind, manual, unlimited, with a webhook nobody listens to.
pub(super) fn settings() -> Settings {
    Settings {
        nasty: false,
        delivery: DeliveryMode::Manual,
        request_limit: RequestLimit::Off,
        reuse_review_ms: 0,
        // Port 9 on loopback: refused at once.
        webhook_url: Some("http://127.0.0.1:9/hook".to_owned()),
        webhook_secret: Some("whsec".to_owned()),
        ..Settings::default()
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(settings())
    }

    pub(super) fn with(settings: Settings) -> Self {
        let now_ms = Arc::new(AtomicI64::new(START_MS));
        let shown = Arc::clone(&now_ms);
        let clock: Clock = Arc::new(move || shown.load(Ordering::SeqCst));
        Self { simulator: Simulator::new(settings, clock).unwrap(), now_ms }
    }

    pub(super) fn pass(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub(super) fn credentials(&self) -> Credentials {
        self.simulator.credentials(TenantId::Recipient)
    }

    pub(super) fn signed(
        &self,
        tenant: TenantId,
        (method, target): (&str, &str),
        body: &str,
    ) -> Request {
        let credentials = self.simulator.credentials(tenant);
        let ts = (self.now_ms.load(Ordering::SeqCst) / 1000).to_string();
        let signature = sign_request(
            credentials.secret_key.as_bytes(),
            &ts,
            method,
            target.as_bytes(),
            body.as_bytes(),
        );
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![
                ("X-App-Token".to_owned(), credentials.app_token),
                ("X-App-Access-Ts".to_owned(), ts),
                ("X-App-Access-Sig".to_owned(), signature),
            ],
            body: body.as_bytes().to_vec(),
            peer: None,
        }
    }

    /// A signed call of the recipient: status and body.
    pub(super) fn call(&self, method: &str, target: &str, body: &str) -> (u16, Value) {
        answered(&self.simulator.answer(&self.signed(TenantId::Recipient, (method, target), body)))
    }

    /// The same as the partner.
    pub(super) fn partner(&self, method: &str, target: &str, body: &str) -> (u16, Value) {
        answered(&self.simulator.answer(&self.signed(TenantId::Partner, (method, target), body)))
    }

    pub(super) fn control(&self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        answered(&self.simulator.control(&plain(method, target, &body)))
    }

    /// The page's status and text.
    pub(super) fn page(&self, method: &str, target: &str) -> (u16, String) {
        let response = self.simulator.answer(&plain(method, target, ""));
        (response.status, String::from_utf8(response.body).unwrap())
    }

    /// Creates an applicant; its id.
    pub(super) fn applicant(&self, level: &str, user_id: &str) -> String {
        let body = json!({ "externalUserId": user_id }).to_string();
        let target = format!("/resources/applicants?levelName={level}");
        let (status, applicant) = self.call("POST", &target, &body);
        assert_eq!(status, 201, "{applicant}");
        applicant["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn act(&self, id: &str, action: &str) -> (u16, Value) {
        self.control("POST", &format!("/applicants/{id}/{action}"), &Value::Null)
    }

    pub(super) fn review(&self, id: &str) -> Value {
        self.call("GET", &format!("/resources/applicants/{id}/status"), "").1
    }

    /// The bodies of all deliveries, in order of queueing.
    pub(super) fn bodies(&self) -> Vec<String> {
        let (_, list) = self.control("GET", "/deliveries", &Value::Null);
        let list = list["deliveries"].as_array().unwrap().clone();
        list.iter().map(|it| it["body"].as_str().unwrap().to_owned()).collect()
    }

    /// The queued events: type, status.
    pub(super) fn events(&self) -> Vec<(String, String)> {
        self.bodies()
            .iter()
            .map(|it| serde_json::from_str::<Value>(it).unwrap())
            .map(|it| {
                let word = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
                (word("type"), word("reviewStatus"))
            })
            .collect()
    }

    pub(super) fn deliver(&self) -> Vec<Attempt> {
        self.simulator.deliver_due()
    }

    /// An approved donor at the partner and a share token of it.
    pub(super) fn share_token(&self, ttl: &Value) -> String {
        let (status, donor) = self.control(
            "POST",
            "/partner/applicants",
            &json!({ "firstName": "Ada", "lastName": "Lovelace" }),
        );
        assert_eq!(status, 201, "{donor}");
        let body = json!({
            "applicantId": donor["id"],
            "forClientId": self.credentials().client_id,
            "ttlInSecs": ttl,
        });
        let (status, minted) =
            self.partner("POST", "/resources/accessTokens/shareToken", &body.to_string());
        assert_eq!(status, 200, "{minted}");
        minted["token"].as_str().unwrap().to_owned()
    }
}

pub(super) fn plain(method: &str, target: &str, body: &str) -> Request {
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        peer: None,
    }
}

pub(super) fn answered(response: &Response) -> (u16, Value) {
    (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
}
