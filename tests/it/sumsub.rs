//! A simulated Sumsub beside a rig: real sockets, real signatures, webhooks sent when a test says so.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::http::limits::Limits;
use countersign::http::server::{self, Server};
use countersign::http::{Request, Response, Service};
use countersign::sim::serve::{Ports, serve};
use countersign::sim::{DeliveryMode, RequestLimit, Settings, Simulator, TenantId};
use countersign::sumsub::ImportMode;
use serde_json::{Value, json};

use crate::rig::{Directory, Rig, START_MS, Setup, WEBHOOK_SECRET};

/// A rig whose Sumsub is a simulator.
pub(crate) struct World {
    pub(crate) rig: Rig,
    pub(crate) simulator: Arc<Simulator>,
    ports: Option<Ports>,
    pub(crate) sumsub_url: String,
    /// What stands before the simulator's port, if anything does.
    front: Option<Server>,
}

/// What happens while Sumsub is asked: once, at the first call to a path that begins so, after Sumsub
/// has done what it was asked for and before its answer leaves.
#[derive(Clone, Default)]
pub(crate) struct Meanwhile(Arc<Mutex<Option<Happening>>>);

struct Happening {
    path: &'static str,
    what: Box<dyn FnOnce() + Send>,
}

impl Meanwhile {
    pub(crate) fn at(&self, path: &'static str, what: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Happening { path, what: Box::new(what) });
    }

    /// Whether it has happened, or nothing was to.
    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }

    fn pass(&self, path: &str) {
        let mut next = self.0.lock().unwrap();
        let happening = next.take_if(|it| path.starts_with(it.path));
        drop(next);
        if let Some(it) = happening {
            (it.what)();
        }
    }
}

/// Settings of a simulator that does just what a test tells it.
pub(crate) fn kind() -> Settings {
    Settings {
        nasty: false,
        delivery: DeliveryMode::Manual,
        webhook_secret: Some(WEBHOOK_SECRET.to_owned()),
        reuse_review_ms: 0,
        request_limit: RequestLimit::Off,
        ..Settings::default()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(kind(), Setup::default())
    }

    /// A world whose clock began at the real now, for another process to talk with.
    pub(crate) fn in_real_time() -> Self {
        Self::started(kind(), Setup::default(), real_now_ms())
    }

    pub(crate) fn with(settings: Settings, setup: Setup) -> Self {
        Self::started(settings, setup, START_MS)
    }

    /// A world in which something happens while Sumsub is asked.
    pub(crate) fn with_meanwhile(setup: Setup) -> (Self, Meanwhile) {
        let meanwhile = Meanwhile::default();
        (Self::begun(kind(), setup, START_MS, Some(meanwhile.clone())), meanwhile)
    }

    fn started(settings: Settings, setup: Setup, start_ms: i64) -> Self {
        Self::begun(settings, setup, start_ms, None)
    }

    fn begun(
        settings: Settings,
        setup: Setup,
        start_ms: i64,
        meanwhile: Option<Meanwhile>,
    ) -> Self {
        let clock_ms = Arc::new(AtomicI64::new(start_ms));
        let clock = {
            let clock_ms = Arc::clone(&clock_ms);
            Arc::new(move || clock_ms.load(Ordering::SeqCst))
        };
        let simulator = Simulator::new(settings, clock).unwrap();
        let listen = || server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let ports = serve(&simulator, listen(), listen()).unwrap();
        let front = meanwhile.map(|it| front(&simulator, &clock_ms, it));
        let address = front.as_ref().map_or_else(|| ports.api_address(), Server::address);
        let sumsub_url = format!("http://{address}");
        simulator.set_base_url(&sumsub_url).unwrap();
        let credentials = simulator.credentials(TenantId::Recipient);
        let setup = Setup {
            sumsub_url: sumsub_url.clone(),
            app_token: credentials.app_token,
            secret_key: credentials.secret_key,
            ..setup
        };
        let rig = Rig::start(Directory::new(), clock_ms, setup);
        simulator.set_webhook_url(&format!("{}/webhooks/sumsub", rig.url)).unwrap();
        Self { rig, simulator, ports: Some(ports), sumsub_url, front }
    }

    /// Starts the program anew on the same register, with what `change` does to its directory meanwhile.
    pub(crate) fn restart(&mut self, setup: Setup, change: impl FnOnce(&Directory)) {
        let directory = std::mem::replace(&mut self.rig.directory, Directory::new());
        change(&directory);
        let credentials = self.simulator.credentials(TenantId::Recipient);
        let setup = Setup {
            sumsub_url: self.sumsub_url.clone(),
            app_token: credentials.app_token,
            secret_key: credentials.secret_key,
            ..setup
        };
        self.rig = Rig::start(directory, Arc::clone(&self.rig.clock_ms), setup);
        self.simulator.set_webhook_url(&format!("{}/webhooks/sumsub", self.rig.url)).unwrap();
    }

    pub(crate) fn copying() -> Self {
        Self::with(kind(), Setup { import_mode: ImportMode::Copy, ..Setup::default() })
    }

    /// A call to the simulator's control port.
    pub(crate) fn control(&self, method: &str, target: &str, body: &Value) -> Value {
        let response = self.simulator.control(&Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
            peer: None,
        });
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert!(response.status < 300, "{method} {target}: {} {text}", response.status);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The ids of the applicants of an external id, or of all of ours.
    pub(crate) fn applicants(&self, external_user_id: &str) -> Vec<String> {
        let target = format!("/applicants?externalUserId={external_user_id}");
        let found = self.control("GET", &target, &Value::Null);
        found["applicants"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The one applicant of an organization.
    pub(crate) fn applicant(&self, organization: &str) -> String {
        let mut found = self.applicants(organization);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// Plays the customer or Sumsub's reviewer on an applicant, and delivers what follows.
    pub(crate) fn play(&self, applicant: &str, action: &str) {
        self.rig.advance(1000);
        self.control("POST", &format!("/applicants/{applicant}/{action}"), &json!({}));
        self.deliver();
    }

    /// Has every webhook that is due delivered, and tells how many were.
    pub(crate) fn deliver(&self) -> usize {
        let attempts = self.simulator.deliver_due();
        for attempt in &attempts {
            assert_eq!(attempt.outcome, Ok(200), "{attempt:?}");
        }
        attempts.len()
    }

    /// A share token of a donor that the partner has approved.
    pub(crate) fn share_token(&self) -> String {
        let donor = self.control(
            "POST",
            "/partner/applicants",
            &json!({"firstName": "Grace", "lastName": "Hopper"}),
        );
        let token =
            self.control("POST", "/partner/share-token", &json!({"applicantId": donor["id"]}));
        token["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn fault(&self, fault: &Value) {
        self.control("POST", "/faults", fault);
    }
}

fn front(simulator: &Arc<Simulator>, clock_ms: &Arc<AtomicI64>, meanwhile: Meanwhile) -> Server {
    let (simulator, clock_ms) = (Arc::clone(simulator), Arc::clone(clock_ms));
    let service = Service {
        handle: Box::new(move |request| {
            let response = simulator.answer(request);
            meanwhile.pass(request.path());
            response
        }),
        refuse: |_| Response { status: 400, headers: Vec::new(), body: Vec::new() },
        body_bytes_max: |_, _| 65_536,
        clock: Arc::new(move || clock_ms.load(Ordering::SeqCst)),
    };
    let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    server::serve(listener, Limits::default(), service).unwrap()
}

/// A Sumsub that takes calls and answers none.
pub(crate) struct Silent {
    listener: TcpListener,
    pub(crate) url: String,
}

impl Silent {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Only against hanging for ever.
        let patience = Some(Duration::from_secs(60));
        socket2::SockRef::from(&listener).set_read_timeout(patience).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// Returns once the next call has been received; it hangs as long as its stream is held.
    pub(crate) fn receive(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
        stream
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.simulator.stop();
        if let Some(front) = self.front.take() {
            front.stop(Duration::from_secs(5));
        }
        if let Some(ports) = self.ports.take() {
            ports.stop(Duration::from_secs(5));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "another process signs by it")]
pub(crate) fn real_now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
