//! `countersign simulator`: a Sumsub on loopback, for development.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::output::{self, Answer, tell};
use super::signals::Stop;
use super::{logging, wiring};
use crate::http::server;
use crate::sim::serve::{Ports, serve};
use crate::sim::{ApplicantType, Settings, SettingsError, Simulator, TenantId};

/// Calls in flight may hang on purpose; stopping wakes them first.
const GRACE: Duration = Duration::from_secs(2);

pub(super) const HELP: &str = "\
Examples:
  countersign simulator
  countersign simulator --kind --seed 7 --webhook http://127.0.0.1:9000/webhooks/sumsub

It prints, as variables for `countersign serve`, what a client needs. It keeps
nothing, verifies nobody, and sends webhooks twice and out of order unless told
to be kind. GET / on its control port lists how to play customer and reviewer,
how to set levels and workflows, and how to send events that a client must not
trust.";

#[derive(Debug, Args)]
pub(super) struct SimulatorArguments {
    /// The API's port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// The control port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8091)]
    control_port: u16,
    /// The seed of ids, secrets and bad luck: the same seed, the same run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Send every webhook once and in order
    #[arg(long)]
    kind: bool,
    /// Divides the delays of webhook retries and rechecks
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    time_scale: u32,
    /// The longest life of an SDK token, in seconds: to see one expire in the middle of a flow
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    sdk_token_life: Option<u32>,
    /// Where webhooks go
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/webhooks/sumsub")]
    webhook: String,
}

/// Runs until a signal.
pub(super) fn run(arguments: &SimulatorArguments) -> Result<Answer, CliError> {
    let stop = Stop::on_signal()?;
    let _log = logging::start("info");
    let settings = Settings {
        seed: arguments.seed,
        nasty: !arguments.kind,
        time_scale: arguments.time_scale,
        sdk_token_life_s: arguments.sdk_token_life,
        webhook_url: Some(arguments.webhook.clone()),
        ..Settings::default()
    };
    let clock = wiring::real_clock();
    let (simulator, ports) = open(
        settings,
        Arc::new(move || clock().as_ms()),
        [arguments.port, arguments.control_port],
    )?;
    tell(&simulator.greeting());
    tell(&format!("The API is at {}; play it at {}", api_url(&ports), control_url(&ports)));
    tell(&levels(&Settings::default()));
    output::out(&variables(&simulator, &ports))?;
    stop.wait();
    close(&simulator, ports);
    Ok(Answer::default())
}

/// Starts a simulator on two loopback ports and tells it its own address.
pub(super) fn open(
    settings: Settings,
    clock: crate::sim::Clock,
    [api, control]: [u16; 2],
) -> Result<(Arc<Simulator>, Ports), CliError> {
    let listen = |port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        server::listen(address).map_err(|error| {
            CliError::new(
                Exit::Refused,
                format!("cannot listen on {address} ({error}): choose another port, or 0"),
            )
        })
    };
    let simulator = Simulator::new(settings, clock)?;
    let ports = serve(&simulator, listen(api)?, listen(control)?)?;
    simulator.set_base_url(&api_url(&ports))?;
    Ok((simulator, ports))
}

/// Stops it; what it had not sent yet is lost.
pub(super) fn close(simulator: &Simulator, ports: Ports) {
    simulator.stop();
    ports.stop(GRACE);
}

/// Where its API and pages are.
pub(super) fn api_url(ports: &Ports) -> String {
    format!("http://{}", ports.api_address())
}

/// Where it is played.
pub(super) fn control_url(ports: &Ports) -> String {
    format!("http://{}", ports.control_address())
}

/// The first level for that kind of applicant.
pub(super) fn level(settings: &Settings, kind: ApplicantType) -> String {
    settings
        .levels
        .iter()
        .find(|it| it.applicant_type == kind)
        .map_or_else(String::new, |it| it.name.clone())
}

/// The levels of each kind of applicant, as a sentence.
fn levels(settings: &Settings) -> String {
    let names = |kind| {
        let of_kind = settings.levels.iter().filter(|it| it.applicant_type == kind);
        of_kind.map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (companies, individuals) =
        (names(ApplicantType::Company), names(ApplicantType::Individual));
    format!("Its levels are {companies} for companies, and {individuals} for individuals.")
}

/// Both tenants and the levels, as the demo tells programs.
pub(super) fn describe(simulator: &Simulator, ports: &Ports) -> Value {
    let (own, partner) =
        (simulator.credentials(TenantId::Recipient), simulator.credentials(TenantId::Partner));
    let settings = Settings::default();
    json!({
        "url": api_url(ports),
        "controlUrl": control_url(ports),
        "clientId": own.client_id,
        "appToken": own.app_token,
        "secretKey": own.secret_key,
        "webhookSecret": own.webhook_secret,
        "levels": {
            "BUSINESS": level(&settings, ApplicantType::Company),
            "INDIVIDUAL": level(&settings, ApplicantType::Individual),
        },
        "partner": {
            "clientId": partner.client_id,
            "appToken": partner.app_token,
            "secretKey": partner.secret_key,
        },
    })
}

/// What `countersign serve` needs to use it, to be pasted into a shell. Made-up secrets of a
/// simulator on loopback, so they may be shown.
fn variables(simulator: &Simulator, ports: &Ports) -> String {
    let own = simulator.credentials(TenantId::Recipient);
    let settings = Settings::default();
    [
        ("URL", api_url(ports)),
        ("APP_TOKEN", own.app_token),
        ("SECRET_KEY", own.secret_key),
        ("WEBHOOK_SECRET", own.webhook_secret),
        ("LEVEL_BUSINESS", level(&settings, ApplicantType::Company)),
        ("LEVEL_INDIVIDUAL", level(&settings, ApplicantType::Individual)),
    ]
    .map(|(name, value)| format!("export COUNTERSIGN_SUMSUB_{name}={value}\n"))
    .concat()
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}
