//! `countersign serve`: the API, until a signal.

use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exit::{CliError, Exit};
use super::logging;
use super::migrate;
use super::output::{Answer, tell};
use super::reload::{Load, Reload};
use super::running::{Running, Stopped};
use super::signals::{SecondSignal, Stop};
use super::supervisor::{self, Watchdog};
use super::wiring::{Asks, Open, appliance, trusted_proxies};
use crate::api::{self, Api, ApiSettings, OrganizationRate, RateLimits};
use crate::config::{BROWSERS_SHARE, Config};
use crate::domain::timestamp::Clock;
use crate::handoff::{PageSettings, Pages, is_page};
use crate::http::client_address::{TrustedProxies, UnlistedProxies};
use crate::http::limits::{Limits, raise_descriptor_limit};
use crate::http::server::{self, Server};
use crate::http::{Request, Response, Service};
use crate::reloadable::Reloadable;
use crate::store::{Opening, Patience, ServingLock};
use crate::usecase::Appliance;
use crate::usecase::deliver_events::Courier;
use crate::usecase::reconciler::{LONGEST_WAIT_MS, Pulse, Reconciler};
use crate::usecase::retention::{Retention, Sweeper};
use crate::usecase::scheduled_backups::{BackupPlan, ScheduledBackups};
use crate::usecase::timekeeping::Timekeeping;
use crate::usecase::webhook_key::key_standing;

/// Prometheus needs one connection.
const METRICS_CONNECTIONS_MAX: usize = 16;

pub(super) const HELP: &str = "\
Examples:
  countersign serve
  COUNTERSIGN_SUMSUB_APP_TOKEN_FILE=/run/secrets/token \\
    countersign serve --listen 0.0.0.0:8080 --database /var/lib/countersign/test.db

With --migrate, a register of an earlier version is migrated before it is served,
as `countersign migrate` does it; without, it is refused.

Every setting can be given here; `countersign config --help` lists them. SIGTERM
and SIGINT let requests in flight finish; a second signal does not wait. Either
way the register is closed, so that its file alone holds everything. SIGHUP ends a
server at a terminal in the same way. Without a terminal it has the server read its
files again: --settings-file, secrets and the letter.";

/// Serves until a signal.
pub(super) fn serve(load: Load<'_>) -> Result<Answer, CliError> {
    let signals = Stop::or_reload()?;
    let config = &load()?;
    let log = logging::start(&config.log);
    for name in &config.unknown {
        tracing::warn!(name, "this variable is no setting of countersign");
    }
    if let Err(error) = config.provider() {
        return Err(CliError::new(Exit::Usage, without_account(config, &error.to_string())));
    }
    if config.migrate {
        migrate::at_start(config)?;
    }
    // One server a register: each would deliver the same messages, and neither could be restored.
    // Never dropped: closing it would end SQLite's own locks for a thread that still writes.
    let _serving = ManuallyDrop::new(ServingLock::of_server(&config.database)?);
    let register = Open::to_serve(appliance(config, Opening::CreateIfMissing, Asks::Sumsub)?);
    let mut running = Running::default();
    // A key that does not fit is reported before anything else.
    key_standing(&register);
    let trusted_proxies = Reloadable::from(trusted_proxies(config));
    let started = start(config, &register, &trusted_proxies, &mut running);
    let second = started.as_ref().ok().and_then(|serving| {
        tell(&format!("countersign {serving}"));
        supervisor::is_ready(serving);
        let (config, appliance) = (config.clone(), Arc::clone(&register));
        let reload = Reload { load, config, appliance, trusted_proxies, log: &log };
        let second = wait(signals, serving, reload);
        tracing::info!("stopping");
        second
    });
    supervisor::is_stopping();
    let stopped = running.stop(&register, second);
    drop(register);
    started?;
    match stopped {
        Stopped::InOrder => Ok(Answer::default()),
        Stopped::AtOnce => Err(CliError::new(
            Exit::Refused,
            "stopped at once, as a second signal asked for: what was in flight is cut off",
        )),
    }
}

/// Starts everything; answers what it serves.
fn start(
    config: &Config,
    appliance: &Arc<Appliance>,
    trusted_proxies: &Reloadable<TrustedProxies>,
    running: &mut Running,
) -> Result<String, CliError> {
    let listener = bind(config.listen)?;
    let (limits, settings) =
        (limits(config, trusted_proxies), api_settings(config, trusted_proxies));
    let (server, api, clock) = listen(listener, limits, settings, Arc::clone(appliance))?;
    let address = server.address();
    running.server = Some(server);
    running.metrics =
        config.metrics_listen.map(|it| listen_for_metrics(it, api, &clock)).transpose()?;
    running.courier = Some(Courier::start(Arc::clone(appliance))?);
    let retention =
        Retention { inbox_days: config.inbox_days, outgoing_days: config.outgoing_days };
    running.sweeper = Some(Sweeper::start(Arc::clone(appliance), retention)?);
    running.backups = scheduled_backups(config, appliance)?;
    running.watchdog = Watchdog::start(Arc::clone(appliance))?;
    running.timekeeping = Some(Timekeeping::start(Arc::clone(appliance))?);
    running.reconciler =
        pulse(config).map(|pulse| Reconciler::start(Arc::clone(appliance), pulse)).transpose()?;
    Ok(format!(
        "serves http://{address} ({} environment, register {})",
        config.world.as_str(),
        config.database.display()
    ))
}

/// Waits for the signal to stop, and reloads on every other one.
fn wait(signals: Stop, serving: &str, mut reload: Reload<'_>) -> Option<SecondSignal> {
    signals.wait_for_the_first(|| {
        supervisor::is_reloading();
        let refused = if reload.run() { "" } else { "; the last reload was refused, see the log" };
        supervisor::is_ready(&format!("{serving}{refused}"));
    })
}

fn scheduled_backups(
    config: &Config,
    appliance: &Arc<Appliance>,
) -> Result<Option<ScheduledBackups>, CliError> {
    let Some(directory) = config.backup_directory.clone() else { return Ok(None) };
    let plan = BackupPlan {
        directory,
        every_ms: i64::from(config.backup_every_s).saturating_mul(1000),
        keep: config.backup_keep,
    };
    Ok(Some(ScheduledBackups::start(Arc::clone(appliance), plan)?))
}

/// Opens the port.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, CliError> {
    server::listen(address).map_err(|error| {
        CliError::new(
            Exit::Refused,
            format!("cannot listen on {address} ({error}): choose another address with --listen"),
        )
    })
}

/// Serves the API, and the customers' pages beside it.
pub(super) fn listen(
    listener: TcpListener,
    limits: Limits,
    settings: ApiSettings,
    appliance: Arc<Appliance>,
) -> Result<(Server, Arc<Api>, Clock), CliError> {
    raise_descriptor_limit(limits.connections_max)?;
    // Deadlines are spans: what Sumsub's clock says must not end them.
    let clock = appliance.timekeeper.machine();
    let page_settings = PageSettings {
        trusted_proxies: settings.trusted_proxies.clone(),
        waits_max: settings.waits_max.div_ceil(BROWSERS_SHARE),
        ..PageSettings::default()
    };
    let (trusted, unlisted) = (settings.trusted_proxies.clone(), UnlistedProxies::default());
    let pages = Pages::new(Arc::clone(&appliance), page_settings);
    let api = Arc::new(Api::new(appliance, settings));
    let answering = Arc::clone(&api);
    let server = server::serve(
        listener,
        limits,
        service(
            &clock,
            Box::new(move |request| {
                unlisted.note(&trusted.get(), request, monotonic_now());
                if is_page(request.path()) {
                    pages.handle(request)
                } else {
                    answering.handle(request)
                }
            }),
        ),
    )?;
    Ok((server, api, clock))
}

/// Shows metrics on a listener of their own.
fn listen_for_metrics(
    address: SocketAddr,
    api: Arc<Api>,
    clock: &Clock,
) -> Result<Server, CliError> {
    let listener = server::listen(address).map_err(|error| {
        CliError::new(
            Exit::Refused,
            format!(
                "cannot listen on {address} ({error}): choose another address with \
                 --metrics-listen"
            ),
        )
    })?;
    let limits = Limits { connections_max: METRICS_CONNECTIONS_MAX, ..Limits::default() };
    let service = service(clock, Box::new(move |request| api.handle_metrics(request)));
    Ok(server::serve(listener, limits, service)?)
}

#[expect(clippy::disallowed_methods, reason = "how often the log warns is no instant of a fact")]
fn monotonic_now() -> Instant {
    Instant::now()
}

type Handle = Box<dyn Fn(&Request) -> Response + Send + Sync>;

fn service(clock: &Clock, handle: Handle) -> Service {
    let clock = Arc::clone(clock);
    Service {
        handle,
        refuse: api::refuse,
        body_bytes_max: api::body_bytes_max,
        clock: Arc::new(move || clock().as_ms()),
    }
}

/// How the reconciler runs, unless it is switched off.
fn pulse(config: &Config) -> Option<Pulse> {
    let first_ms = i64::from(config.reconcile_after_s).saturating_mul(1000);
    let every = Duration::from_secs(u64::from(config.reconcile_every_s));
    let patience = Patience { first_ms, longest_ms: LONGEST_WAIT_MS };
    (!every.is_zero()).then_some(Pulse { every, patience })
}

fn api_settings(config: &Config, trusted_proxies: &Reloadable<TrustedProxies>) -> ApiSettings {
    ApiSettings {
        rates: RateLimits {
            requests_per_s: config.requests_per_second,
            burst: config.requests_burst,
            wrong_keys_per_minute: config.wrong_keys_per_minute,
        },
        organization_rate: OrganizationRate {
            requests_per_s: config.organization_rate,
            burst: config.organization_burst,
        },
        trusted_proxies: trusted_proxies.clone(),
        waits_max: config.waits_max,
        kept_secrets_max: config.kept_secrets_max,
    }
}

/// Whose word about a client's address counts.
fn limits(config: &Config, trusted_proxies: &Reloadable<TrustedProxies>) -> Limits {
    Limits {
        connections_max: config.connections_max,
        trusted_proxies: trusted_proxies.clone(),
        connections_per_peer_max: config.connections_per_peer_max.min(config.connections_max),
        ..Limits::default()
    }
}

fn without_account(config: &Config, sentence: &str) -> String {
    match config.world {
        crate::config::World::Test => {
            format!(
                "{sentence}\nWithout an account at Sumsub, try `countersign demo`: it needs none."
            )
        }
        crate::config::World::Live => sentence.to_owned(),
    }
}
