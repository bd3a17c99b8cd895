//! Everything the demo runs on: a directory of its own, a simulator and a server on free loopback
//! ports, a broker with a key, and a clock that a play may put forward.

use std::fs::DirBuilder;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::ApiSettings;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::tell;
use crate::cli::wiring::Open;
use crate::cli::{serve, simulator, wiring};
use crate::config::{Config, Flags, Provider, Secret, Variables};
use crate::domain::organization::{Name, OrganizationType};
use crate::domain::timekeeper::Timekeeper;
use crate::http::limits::Limits;
use crate::http::server::Server;
use crate::sim::serve::Ports;
use crate::sim::{ApplicantType, Settings, Simulator, TenantId};
use crate::store::Opening;
use crate::usecase::Appliance;
use crate::usecase::create_organization::{NewOrganization, create_organization};
use crate::usecase::deliver_events::Courier;
use crate::usecase::keys::create_key;

/// Who decides and signs in the demo.
pub(super) const ACTOR: &str = "operator:demo";
/// The register's file in the demo's directory.
const REGISTER: &str = "countersign.db";
/// Few connections, so that the demo starts under any limit on open files.
const CONNECTIONS_MAX: usize = 128;
/// Where a receiver of webhooks may listen while the demo runs: `webhook-allow`.
const RECEIVER: &str = "127.0.0.1:9000,[::1]:9000";
/// How long requests in flight may take when the demo ends.
const GRACE: Duration = Duration::from_secs(2);
/// How long an answer may take: longer than the server waits for a simulator that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running demo.
pub(super) struct Stage {
    /// What the customer's register is opened with.
    pub(super) appliance: Open,
    /// The server, without a slash at the end.
    pub(super) api: String,
    /// The simulator's control port, likewise.
    pub(super) control: String,
    /// What programs are told of the simulator.
    pub(super) sumsub: Value,
    /// The register's file.
    pub(super) register: PathBuf,
    /// What it all runs with.
    pub(super) config: Config,
    /// The broker's id.
    pub(super) broker: String,
    /// The broker's key.
    pub(super) key: String,
    agent: ureq::Agent,
    offset_ms: Arc<AtomicI64>,
    place: Place,
    server: Server,
    courier: Courier,
    simulator: Arc<Simulator>,
    ports: Ports,
}

/// Where the register is, and whether it is ours to remove.
enum Place {
    Temporary(PathBuf),
    Given(PathBuf),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(path) | Self::Given(path) => path,
        }
    }
}

/// One call: `(method, URL, headers, body)`.
pub(super) struct Call<'a> {
    pub(super) method: &'static str,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, &'a str)>,
    pub(super) body: Option<&'a Value>,
}

impl Stage {
    /// Sets everything up.
    pub(super) fn open(directory: Option<PathBuf>) -> Result<Self, CliError> {
        let place = make(directory)?;
        let offset_ms = Arc::new(AtomicI64::new(0));
        let timekeeper = shifted(&offset_ms);
        let clock = timekeeper.machine();
        let simulated = Arc::clone(&clock);
        let settings = Settings::default();
        let (simulator, ports) =
            simulator::open(settings.clone(), Arc::new(move || simulated().as_ms()), [0, 0])?;
        let register = place.path().join(REGISTER);
        let listener = serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let api = format!("http://{}", listener.local_addr()?);
        let config = config(&register, &api)?;
        let provider = provider(&simulator, &settings, &ports);
        let appliance = Open::to_serve(wiring::build(
            &config,
            Some(&provider),
            Opening::CreateIfMissing,
            timekeeper,
        )?);
        let (broker, key) = broker(&appliance)?;
        let limits = Limits {
            connections_max: CONNECTIONS_MAX,
            connections_per_peer_max: CONNECTIONS_MAX,
            ..Limits::default()
        };
        let (server, _, _) =
            serve::listen(listener, limits, ApiSettings::default(), Arc::clone(&appliance))?;
        let courier = Courier::start(Arc::clone(&appliance))?;
        simulator.set_webhook_url(&format!("{api}/webhooks/sumsub"))?;
        Ok(Self {
            appliance,
            api,
            control: simulator::control_url(&ports),
            sumsub: simulator::describe(&simulator, &ports),
            register,
            config,
            broker,
            key,
            agent: agent(),
            offset_ms,
            place,
            server,
            courier,
            simulator,
            ports,
        })
    }

    /// Stops everything, and removes what nobody asked to keep.
    pub(super) fn close(self) {
        simulator::close(&self.simulator, self.ports);
        self.server.stop(GRACE);
        self.courier.stop(GRACE);
        drop(self.appliance);
        if let Place::Temporary(path) = &self.place
            && let Err(error) = std::fs::remove_dir_all(path)
        {
            tell(&format!("The demo's directory {} stays behind ({error}).", path.display()));
        }
    }

    /// Puts the clock of server and simulator forward.
    pub(super) fn advance_days(&self, days: u32) {
        self.offset_ms.fetch_add(i64::from(days).saturating_mul(86_400_000), Ordering::SeqCst);
    }

    /// Makes a call and reads its answer: status and JSON.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<(u16, Value), CliError> {
        let failed = |error: &dyn std::fmt::Display| {
            CliError::new(Exit::Refused, format!("{} {}: {error}", call.method, call.url))
        };
        let mut request = ureq::http::Request::builder().method(call.method).uri(&call.url);
        for (name, value) in &call.headers {
            request = request.header(*name, *value);
        }
        let body = call.body.map(Value::to_string).unwrap_or_default();
        if call.body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let request = request.body(body).map_err(|it| failed(&it))?;
        let mut response = self.agent.run(request).map_err(|it| failed(&it))?;
        let text = response.body_mut().read_to_string().map_err(|it| failed(&it))?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok((response.status().as_u16(), body))
    }

    /// A call to the API with the broker's key that must succeed.
    pub(super) fn broker_call(
        &self,
        path: &str,
        on_behalf_of: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, CliError> {
        let authorization = format!("Bearer {}", self.key);
        let mut headers = vec![("Authorization", authorization.as_str())];
        headers.extend(on_behalf_of.map(|it| ("Nxos-On-Behalf-Of", it)));
        let url = format!("{}{path}", self.api);
        succeed(self.call(&Call { method: "POST", url, headers, body })?)
    }

    /// A call to the simulator's control port that must succeed.
    pub(super) fn control_call(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let url = format!("{}{path}", self.control);
        succeed(self.call(&Call { method: "POST", url, headers: Vec::new(), body: Some(body) })?)
    }

    /// A share token of a person whom the partner has approved, good for a day.
    pub(super) fn share_token(&self) -> Result<String, CliError> {
        let name = json!({"firstName": "Grace", "lastName": "Hopper"});
        let donor = self.control_call("/partner/applicants", &name)?;
        let wish = json!({"applicantId": text(&donor, "/id"), "ttlInSecs": 86_400});
        let token = self.control_call("/partner/share-token", &wish)?;
        Ok(text(&token, "/token").to_owned())
    }
}

fn succeed((status, body): (u16, Value)) -> Result<Value, CliError> {
    if status < 300 {
        return Ok(body);
    }
    Err(CliError::new(Exit::Refused, format!("the demo met an answer {status}: {body}")))
}

/// The text at a JSON pointer, or nothing.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The two customers of the demo that stays up, each with an open session.
pub(super) struct Cast {
    /// The BUSINESS.
    pub(super) business: Customer,
    /// The INDIVIDUAL.
    pub(super) individual: Customer,
}

/// A customer with its link.
pub(super) struct Customer {
    /// Its id.
    pub(super) id: String,
    /// BUSINESS or INDIVIDUAL.
    pub(super) kind: &'static str,
    /// Where it verifies itself.
    pub(super) url: String,
}

impl Cast {
    /// Creates both over HTTP, as the broker's own program would.
    pub(super) fn assemble(stage: &Stage) -> Result<Self, CliError> {
        let customer = |name: &str, kind| {
            let body = json!({"name": name, "type": kind});
            let organization = stage.broker_call("/v1/organizations", None, Some(&body))?;
            let id = text(&organization, "/organizationId").to_owned();
            let session = stage.broker_call("/v1/organizations/verification", Some(&id), None)?;
            let url = text(&session, "/url").to_owned();
            Ok::<_, CliError>(Customer { id, kind, url })
        };
        Ok(Self {
            business: customer("Acme Trading Co.", "BUSINESS")?,
            individual: customer("Ada Lovelace", "INDIVIDUAL")?,
        })
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        // A proxy of the environment has no business between two loopback ports.
        .proxy(None)
        .build()
        .into()
}

/// The time of a demo, whose days pass at once.
fn shifted(offset_ms: &Arc<AtomicI64>) -> Arc<Timekeeper> {
    let (clock, uptime, boot_id) = wiring::machine();
    let (of_clock, of_uptime) = (Arc::clone(offset_ms), Arc::clone(offset_ms));
    Timekeeper::new(
        Arc::new(move || clock().plus_ms(of_clock.load(Ordering::SeqCst))),
        Arc::new(move || uptime().saturating_add(of_uptime.load(Ordering::SeqCst))),
        boot_id,
    )
}

/// The configuration of a new test appliance; nothing of the environment's.
fn config(register: &Path, public_url: &str) -> Result<Config, CliError> {
    let database = register.to_str().ok_or_else(|| {
        CliError::new(Exit::Usage, "the directory's path is not UTF-8: choose another --directory")
    })?;
    let flags = Flags::from([
        ("database", database.to_owned()),
        ("public-url", public_url.to_owned()),
        ("webhook-allow", RECEIVER.to_owned()),
    ]);
    Ok(Config::load(&flags, &Variables::default())?)
}

fn provider(simulator: &Simulator, settings: &Settings, ports: &Ports) -> Provider {
    let own = simulator.credentials(TenantId::Recipient);
    Provider {
        url: simulator::api_url(ports),
        proxy: None,
        app_token: Secret::new(own.app_token),
        secret_key: Secret::new(own.secret_key),
        webhook_secrets: vec![Secret::new(own.webhook_secret)],
        levels_business: vec![simulator::level(settings, ApplicantType::Company)],
        levels_individual: vec![simulator::level(settings, ApplicantType::Individual)],
    }
}

fn broker(appliance: &Appliance) -> Result<(String, String), CliError> {
    let new = NewOrganization {
        name: Name::parse("Demo Broker Ltd.").map_err(|objection| {
            CliError::new(Exit::Refused, format!("the broker's name {objection}"))
        })?,
        kind: OrganizationType::Business,
        metadata: "{}".to_owned(),
        creator: None,
    };
    let broker = create_organization(appliance, new, ACTOR, None)?;
    let (_, key) = create_key(appliance, &broker.id, "demo")?;
    Ok((broker.id.to_string(), key.expose().to_owned()))
}

/// A new directory, for nobody else's eyes.
fn make(directory: Option<PathBuf>) -> Result<Place, CliError> {
    let create = |path: &Path| DirBuilder::new().mode(0o700).create(path);
    let explain = |path: &Path, error: &io::Error| {
        CliError::new(
            Exit::Refused,
            format!("cannot use {} ({error}): choose a directory with --directory", path.display()),
        )
    };
    let Some(path) = directory else {
        let name = format!("countersign-demo-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        create(&path).map_err(|it| explain(&path, &it))?;
        return Ok(Place::Temporary(path));
    };
    match create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(explain(&path, &error)),
        // The simulator forgets everything, so an old register's customers would be strangers.
        Err(_) if path.join(REGISTER).exists() => Err(CliError::new(
            Exit::Refused,
            format!("{} has a register already: name a new directory", path.display()),
        )),
        Ok(()) | Err(_) => Ok(Place::Given(path)),
    }
}
