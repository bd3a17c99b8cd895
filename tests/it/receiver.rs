//! A receiver of webhooks: keeps every request, and answers as it is told.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use countersign::http::limits::Limits;
use countersign::http::server::{self, Server};
use countersign::http::{Request, Response, Service};
use countersign::outbox::{Secret, sign};
use serde_json::Value;

/// A status, a header, and whether the answer waits until it is let go.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) header: Option<(&'static str, String)>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, header: None }
    }
}

#[derive(Default)]
struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
}

pub(crate) struct Receiver {
    server: Option<Server>,
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    reply: Arc<Mutex<Reply>>,
    gate: Arc<Gate>,
}

/// A message as a receiver reads it.
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) signed_at_s: i64,
    pub(crate) signatures: Vec<String>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) body: Value,
    pub(crate) request: Request,
}

impl Message {
    fn of(request: &Request) -> Self {
        for name in ["id", "timestamp", "signature"] {
            let value = request.header(&format!("webhook-{name}"));
            assert!(value.is_some());
            assert_eq!(value, request.header(&format!("svix-{name}")));
        }
        assert_eq!(request.header("content-type"), Some("application/json"));
        let signatures = request.header("webhook-signature").unwrap();
        Self {
            id: request.header("webhook-id").unwrap().to_owned(),
            signed_at_s: request.header("webhook-timestamp").unwrap().parse().unwrap(),
            signatures: signatures.split(' ').map(ToOwned::to_owned).collect(),
            bytes: request.body.clone(),
            body: serde_json::from_slice(&request.body).unwrap(),
            request: request.clone(),
        }
    }

    /// Whether one of the signatures is of this secret, `whsec_…`.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let secret = Secret::parse(secret).unwrap();
        self.signatures.contains(&sign(&secret, &self.id, self.signed_at_s, &self.bytes))
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap()
    }
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let reply = Arc::new(Mutex::new(Reply::status(204)));
        let gate = Arc::new(Gate::default());
        let (seen, told, held) = (Arc::clone(&requests), Arc::clone(&reply), Arc::clone(&gate));
        let service = Service {
            handle: Box::new(move |request| {
                seen.lock().unwrap().push(request.clone());
                drop(held.opened.wait_while(held.is_shut.lock().unwrap(), |it| *it).unwrap());
                let Reply { status, header } = told.lock().unwrap().clone();
                Response {
                    status,
                    headers: header.into_iter().collect(),
                    body: format!("answered {status}").into_bytes(),
                }
            }),
            refuse: |_| Response { status: 400, headers: Vec::new(), body: Vec::new() },
            body_bytes_max: |_, _| 65_536,
            clock: Arc::new(|| 0),
        };
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = server::serve(listener, Limits::default(), service).unwrap();
        let url = format!("http://{}/hook", server.address());
        Self { server: Some(server), url, requests, reply, gate }
    }

    pub(crate) fn answers(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    /// From now on requests are taken, and wait for their answers until [`Receiver::let_go`].
    pub(crate) fn hold(&self) {
        *self.gate.is_shut.lock().unwrap() = true;
    }

    pub(crate) fn let_go(&self) {
        *self.gate.is_shut.lock().unwrap() = false;
        self.gate.opened.notify_all();
    }

    /// What has arrived since the last call.
    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.requests.lock().unwrap()).iter().map(Message::of).collect()
    }

    /// How much has arrived since the last [`Receiver::take`].
    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.let_go();
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(5));
        }
    }
}
