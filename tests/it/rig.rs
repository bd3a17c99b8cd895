//! A whole appliance on free loopback ports: temporary register, own clock, real sockets.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use countersign::api::{self, Api, ApiSettings, OrganizationRate, RateLimits};
use countersign::domain::environment::Environment;
use countersign::domain::letter::LetterTemplate;
use countersign::domain::organization::{Name, OrganizationId, OrganizationType};
use countersign::domain::outgoing::Schedule;
use countersign::domain::timekeeper::Timekeeper;
use countersign::domain::timestamp::{Clock, Timestamp};
use countersign::domain::verdict::{Acceptance, DecidedBy};
use countersign::handoff::{PageLimits, PageSettings, Pages, is_page};
use countersign::http::Service;
use countersign::http::limits::Limits;
use countersign::http::server::{self, Server};
use countersign::outbox::{Allowed, KeyFile, Outbox};
use countersign::store::{Opening, Store};
use countersign::sumsub::{Account, Client, ImportMode};
use countersign::usecase::authorizations::{By, Signature, sign_authorization};
use countersign::usecase::create_organization::{NewOrganization, create_organization};
use countersign::usecase::decide::{Decision, Ground, Shown, decide, shown};
use countersign::usecase::handoff_links::{Handoff, WebSdk};
use countersign::usecase::keys::create_key;
use countersign::usecase::receive_webhook::{BySecret, WebhookSecrets};
use countersign::usecase::{Appliance, Permits, Rules};
use serde_json::Value;

use crate::document::{self, Seen};

/// 2026-01-02T03:04:05.000Z.
pub(crate) const START_MS: i64 = 1_767_323_045_000;
pub(crate) const DAY_MS: i64 = 86_400_000;
pub(crate) const WEBHOOK_SECRET: &str = "the-webhook-secret";
pub(crate) const OPERATOR: &str = "operator:ada";

/// A directory that is gone when the test is.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("countersign-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What a test may set before the appliance starts.
pub(crate) struct Setup {
    pub(crate) environment: Environment,
    pub(crate) import_mode: ImportMode,
    pub(crate) valid_days: u32,
    pub(crate) permits: usize,
    pub(crate) sumsub_url: String,
    pub(crate) sumsub_proxy: Option<ureq::Proxy>,
    /// Where webhooks may be sent although it is not public.
    pub(crate) allowed: Allowed,
    pub(crate) app_token: String,
    pub(crate) secret_key: String,
    pub(crate) webhook_secret: String,
    pub(crate) api: ApiSettings,
    /// The letter to sign; `None`: there are no customers' pages.
    pub(crate) letter: Option<LetterTemplate>,
    /// How many days a link can sign.
    pub(crate) link_days: u32,
    pub(crate) page_limits: PageLimits,
    /// Whose verdict counts.
    pub(crate) acceptance: Acceptance,
    /// By how much the machine's clock was set since the machine booted: what its uptime does not show.
    pub(crate) set_by_ms: Arc<AtomicI64>,
    /// Which run of the machine it is.
    pub(crate) boot_id: String,
}

/// The receivers of the tests.
pub(crate) fn loopback() -> Allowed {
    let all_ports = |it: &str| (it.parse().unwrap(), None);
    Allowed::new(vec![all_ports("127.0.0.0/8"), all_ports("::1/128")])
}

/// The levels of the simulator.
pub(crate) fn acceptance(decided_by: DecidedBy) -> Acceptance {
    Acceptance {
        levels_business: vec!["kyb-level".to_owned()],
        levels_individual: vec!["kyc-level".to_owned()],
        decided_by,
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            environment: Environment::Test,
            import_mode: ImportMode::Reuse,
            valid_days: 365,
            permits: 16,
            // Nobody listens there: a test that does not expect a call to Sumsub sees it fail.
            sumsub_url: "http://127.0.0.1:9".to_owned(),
            sumsub_proxy: None,
            allowed: loopback(),
            app_token: "sbx:app.token".to_owned(),
            secret_key: "secret-key".to_owned(),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
            api: ApiSettings {
                rates: RateLimits { requests_per_s: 0, burst: 0, wrong_keys_per_minute: 0 },
                organization_rate: OrganizationRate { requests_per_s: 0, burst: 0 },
                ..ApiSettings::default()
            },
            letter: None,
            link_days: 90,
            page_limits: PageLimits {
                visits_per_minute: 0,
                link_per_minute: 0,
                deeds_per_minute: 0,
            },
            acceptance: acceptance(DecidedBy::Level),
            set_by_ms: Arc::default(),
            boot_id: "the-first-boot".to_owned(),
        }
    }
}

pub(crate) struct Rig {
    pub(crate) directory: Directory,
    /// The machine's own clock.
    pub(crate) clock_ms: Arc<AtomicI64>,
    set_by_ms: Arc<AtomicI64>,
    pub(crate) appliance: Arc<Appliance>,
    server: Option<Server>,
    pub(crate) url: String,
    agent: ureq::Agent,
}

/// A broker with a key.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) id: String,
    pub(crate) key: String,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
    /// The body as text, whatever it is.
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, it)| it.as_str())
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| {
            panic!("no text at {pointer} in {self:?}");
        })
    }

    /// Status and error code, for comparing refusals.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        assert_eq!(Some(self.text("/error/requestId")), self.header("X-Request-Id"));
        assert!(!self.text("/error/message").is_empty());
        (self.status, self.text("/error/code"))
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let clock_ms = Arc::new(AtomicI64::new(START_MS));
        Self::start(Directory::new(), clock_ms, setup)
    }

    pub(crate) fn start(directory: Directory, clock_ms: Arc<AtomicI64>, setup: Setup) -> Self {
        let timekeeper = timekeeper(&clock_ms, &setup.set_by_ms, &setup.boot_id);
        let (clock, machine) = (timekeeper.clock(), timekeeper.machine());
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let websdk = WebSdk::of(&setup.sumsub_url);
        let path = directory.file("register.db");
        let store =
            Store::open(&path, setup.environment, Opening::CreateIfMissing, clock()).unwrap();
        store.report_known(timekeeper.floor()).unwrap();
        let account = Account {
            base_url: setup.sumsub_url,
            proxy: setup.sumsub_proxy,
            app_token: setup.app_token,
            secret_key: setup.secret_key,
            level_business: first(&setup.acceptance.levels_business),
            level_individual: first(&setup.acceptance.levels_individual),
            session_ttl_s: 1800,
        };
        let pause = Arc::new(|_: Duration| {});
        let appliance = Arc::new(Appliance {
            store,
            sumsub: Client::new(account, Arc::clone(&timekeeper), pause),
            outbox: Outbox::new(
                setup.environment,
                KeyFile::beside(&path),
                Schedule { time_scale: 1 },
                setup.allowed,
            ),
            clock,
            timekeeper,
            rules: Rules {
                environment: setup.environment,
                import_mode: setup.import_mode,
                acceptance: setup.acceptance,
                valid_days_business: setup.valid_days,
                valid_days_individual: setup.valid_days,
            },
            webhook_secrets: WebhookSecrets::new(setup.webhook_secret, None).into(),
            webhooks_by_secret: BySecret::default(),
            permits: Permits::new(setup.permits),
            event_places: 64,
            refused_digests: AtomicU64::new(0),
            handoff: setup.letter.map(|letter| {
                let (public_url, link_days) = (url.clone(), setup.link_days);
                Arc::new(Handoff { public_url, letter: letter.into(), websdk, link_days })
            }),
        });
        let server = serve(listener, &appliance, &machine, (setup.api, setup.page_limits));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let set_by_ms = setup.set_by_ms;
        Self { directory, clock_ms, set_by_ms, appliance, server: Some(server), url, agent }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.appliance.clock)()
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.clock_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the machine's clock forward, or back.
    pub(crate) fn set_clock(&self, by_ms: i64) {
        self.set_by_ms.fetch_add(by_ms, Ordering::SeqCst);
        self.clock_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    pub(crate) fn key_of(&self, organization: &str) -> String {
        let id = OrganizationId::new(organization);
        create_key(&self.appliance, &id, "test").unwrap().1.expose().to_owned()
    }

    pub(crate) fn broker(&self) -> Broker {
        let new = NewOrganization {
            name: Name::parse("Broker Ltd.").unwrap(),
            kind: OrganizationType::Business,
            metadata: "{}".to_owned(),
            creator: None,
        };
        let id = create_organization(&self.appliance, new, OPERATOR, None).unwrap().id.to_string();
        Broker { key: self.key_of(&id), id }
    }

    /// A customer that the broker creates over HTTP.
    pub(crate) fn customer(&self, broker: &Broker, kind: &str) -> String {
        let body = serde_json::json!({"name": "Acme Trading Co.", "type": kind});
        let answer = self.post("/v1/organizations", &broker.key, None, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("/organizationId").to_owned()
    }

    pub(crate) fn sign(&self, granting: &str, authorized: &str) {
        self.sign_at(granting, authorized, self.now());
    }

    pub(crate) fn sign_at(&self, granting: &str, authorized: &str, at: Timestamp) {
        let signature = Signature {
            at,
            signer_name: "Grace Hopper".to_owned(),
            signer_role: "Director".to_owned(),
            how: "paper".to_owned(),
            reference: "folder 7".to_owned(),
        };
        let by = By { actor: OPERATOR.to_owned(), request_id: None };
        let (granting, authorized) =
            (OrganizationId::new(granting), OrganizationId::new(authorized));
        sign_authorization(&self.appliance, &granting, &authorized, &signature, by).unwrap();
    }

    /// Decides on all that is known.
    pub(crate) fn decide(&self, organization: &str, decision: Decision) -> Result<(), String> {
        let basis = self.shown(organization).basis();
        self.decide_on(organization, decision, Ground { basis, against_provider: false })
    }

    pub(crate) fn shown(&self, organization: &str) -> Shown {
        shown(&self.appliance, &OrganizationId::new(organization)).unwrap()
    }

    pub(crate) fn decide_on(
        &self,
        organization: &str,
        decision: Decision,
        ground: Ground,
    ) -> Result<(), String> {
        let (id, why) = (OrganizationId::new(organization), "because the papers say so");
        decide(&self.appliance, &id, decision, ground, (OPERATOR, why))
            .map(drop)
            .map_err(|it| it.to_string())
    }

    pub(crate) fn get(&self, path: &str, key: &str, on_behalf_of: Option<&str>) -> Answer {
        self.call("GET", path, &identity(key, on_behalf_of), b"")
    }

    pub(crate) fn post(
        &self,
        path: &str,
        key: &str,
        on_behalf_of: Option<&str>,
        body: &Value,
    ) -> Answer {
        let mut headers = identity(key, on_behalf_of);
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        self.call("POST", path, &headers, body.to_string().as_bytes())
    }

    pub(crate) fn start_session(&self, key: &str, on_behalf_of: Option<&str>) -> Answer {
        self.call("POST", "/v1/organizations/verification", &identity(key, on_behalf_of), b"")
    }

    /// The status that a poll tells.
    pub(crate) fn status(&self, key: &str, on_behalf_of: &str) -> String {
        let answer = self.get("/v1/organizations/verification", key, Some(on_behalf_of));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("/status").to_owned()
    }

    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Answer {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body.to_vec()).unwrap();
        let request =
            self.agent.configure_request(request).allow_non_standard_methods(true).build();
        let mut response =
            self.agent.run(request).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap();
        let seen = Seen { method, target: path, status, headers: &headers, body: &text };
        document::check_on_the_wire(&seen);
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, body, text }
    }

    /// Sends a webhook as Sumsub would, with a right SHA-256 digest.
    pub(crate) fn deliver(&self, body: &Value) -> Answer {
        let bytes = serde_json::to_vec_pretty(body).unwrap();
        self.deliver_bytes(&bytes, countersign::sumsub::signature::DigestAlgorithm::Sha256)
    }

    pub(crate) fn deliver_bytes(
        &self,
        bytes: &[u8],
        algorithm: countersign::sumsub::signature::DigestAlgorithm,
    ) -> Answer {
        let digest = countersign::sumsub::signature::webhook_digest(
            WEBHOOK_SECRET.as_bytes(),
            algorithm,
            bytes,
        );
        let headers = [
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("X-Payload-Digest".to_owned(), digest),
            ("X-Payload-Digest-Alg".to_owned(), algorithm.as_str().to_owned()),
        ];
        self.call("POST", "/webhooks/sumsub", &headers, bytes)
    }

    /// Keeps a verdict's webhook as a predecessor did that did not know the type, and so did not look
    /// whom it is about.
    pub(crate) fn keep_as_unknown_type(&self, body: &Value) {
        let (database, now_ms) = (self.database(), self.now().as_ms());
        database
            .execute(
                "INSERT INTO delivery (body_sha256, body, headers, event_type, applicant_id, received_at_ms)
                 VALUES (zeroblob(32), ?1, '[]', 'applicantReviewed', NULL, ?2)",
                (body.to_string().into_bytes(), now_ms),
            )
            .unwrap();
        database
            .execute(
                "INSERT INTO delivery_outcome (delivery_id, outcome_no, outcome, known_at_ms)
                 SELECT max(delivery_id), 1, 'unknown_type', ?1 FROM delivery",
                [now_ms],
            )
            .unwrap();
    }

    /// The newest delivery's outcome, as `inbox list` shows it.
    pub(crate) fn newest_outcome(&self) -> String {
        let newest = self.appliance.store.read(|it| it.deliveries(None, 1)).unwrap();
        newest.first().map_or("none", |it| it.outcome.as_str()).to_owned()
    }

    /// The register as `SQLite` sees it, for the checks that no face can make.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open_with_flags(
            self.directory.file("register.db"),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE,
        )
        .unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(5));
        }
    }
}

/// The time of a machine whose clock is `clock_ms`, and was set by `set_by_ms` since it booted.
pub(crate) fn timekeeper(
    clock_ms: &Arc<AtomicI64>,
    set_by_ms: &Arc<AtomicI64>,
    boot_id: &str,
) -> Arc<Timekeeper> {
    let (machine, clock, set_by) =
        (Arc::clone(clock_ms), Arc::clone(clock_ms), Arc::clone(set_by_ms));
    Timekeeper::new(
        Arc::new(move || Timestamp::from_ms(machine.load(Ordering::SeqCst))),
        Arc::new(move || clock.load(Ordering::SeqCst) - set_by.load(Ordering::SeqCst) - START_MS),
        boot_id.to_owned(),
    )
}

fn first(levels: &[String]) -> String {
    levels.first().cloned().unwrap_or_default()
}

fn serve(
    listener: TcpListener,
    appliance: &Arc<Appliance>,
    clock: &Clock,
    (settings, limits): (ApiSettings, PageLimits),
) -> Server {
    let page_settings = PageSettings {
        limits,
        trusted_proxies: settings.trusted_proxies.clone(),
        waits_max: settings.waits_max.div_ceil(4),
    };
    let pages = Pages::new(Arc::clone(appliance), page_settings);
    let (api, clock) = (Api::new(Arc::clone(appliance), settings), Arc::clone(clock));
    let service = Service {
        handle: Box::new(move |request| {
            if is_page(request.path()) { pages.handle(request) } else { api.handle(request) }
        }),
        refuse: api::refuse,
        body_bytes_max: api::body_bytes_max,
        clock: Arc::new(move || clock().as_ms()),
    };
    server::serve(listener, Limits::default(), service).unwrap()
}

fn identity(key: &str, on_behalf_of: Option<&str>) -> Vec<(String, String)> {
    let mut headers = vec![("Authorization".to_owned(), format!("Bearer {key}"))];
    if let Some(id) = on_behalf_of {
        headers.push(("Nxos-On-Behalf-Of".to_owned(), id.to_owned()));
    }
    headers
}

/// `yyyy-MM-dd HH:mm:ss.SSS`, as Sumsub writes `createdAtMs`.
pub(crate) fn sumsub_instant(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', "")
}
