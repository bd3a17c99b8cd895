//! What others tell: Sumsub of our clock, credentials and levels, and our own public address of the
//! webhook's way in.

use std::time::Duration;

use serde_json::json;

use super::Finding;
use crate::cli::wiring::{client, real_clock};
use crate::config::{Config, Provider};
use crate::domain::http_date::http_date;
use crate::domain::timestamp::Timestamp;
use crate::sumsub::SumsubError;
use crate::sumsub::signature::{DigestAlgorithm, webhook_digest};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Sumsub refuses what is dated more than 60 s off (stated, "Authentication").
const SKEW_REFUSED_S: i64 = 60;
/// From here on it is worth mending. `Date` counts whole seconds.
const SKEW_NOTED_S: i64 = 10;

pub(super) fn ask(config: &Config) -> Vec<Finding> {
    let Ok(provider) = config.provider() else { return Vec::new() };
    let mut findings = vec![clock(&agent(provider.proxy.clone()), &provider)];
    findings.extend(account(config, &provider));
    findings.push(way_in(&agent(None), config, &provider));
    if provider.webhook_secrets.len() > 1 {
        findings.push(Finding::fine(
            "webhook-secret",
            "two are in force, and the signed test used the first. Remove the second as soon as \
             countersign_webhooks_by_secret{secret=\"second\"} no longer grows",
        ));
    }
    findings
}

/// A client whose proxy is the one given; never one of the environment.
fn agent(proxy: Option<ureq::Proxy>) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .max_redirects(0)
        .proxy(proxy)
        .build()
        .into()
}

fn clock(agent: &ureq::Agent, provider: &Provider) -> Finding {
    let now = real_clock()();
    let Some(theirs) = date_of(agent, &provider.url, now) else {
        return Finding::error(
            "sumsub",
            format!("{} does not answer{}", provider.url, through(provider)),
            "No session can be started and nothing imported; polls go on.",
            format!("curl -v {}/resources/status/api {}", provider.url, proxy_of_curl(provider)),
        );
    };
    let skew_s = real_clock()().as_ms().saturating_sub(theirs.as_ms()) / 1000;
    let what = format!("this machine is {skew_s} s ahead of Sumsub");
    let (why, fix) = (
        "Sumsub refuses what is dated more than 60 s off, and approvals expire at wrong instants.",
        "sudo timedatectl set-ntp true",
    );
    if skew_s.abs() >= SKEW_REFUSED_S {
        Finding::error("clock", what, why, fix)
    } else if skew_s.abs() >= SKEW_NOTED_S {
        Finding::warning("clock", what, why, fix)
    } else {
        Finding::fine("clock", what)
    }
}

fn through(provider: &Provider) -> String {
    let proxy = provider.proxy.as_ref();
    proxy.map(|it| format!(" through the proxy {}:{}", it.host(), it.port())).unwrap_or_default()
}

/// What makes curl go the same way, whatever the variables of its environment say.
fn proxy_of_curl(provider: &Provider) -> String {
    provider.proxy.as_ref().map_or_else(
        || "--noproxy '*'".to_owned(),
        |it| format!("--proxy http://{}:{}", it.host(), it.port()),
    )
}

/// Unsigned, so that it tells also when the signature is refused for the clock.
fn date_of(agent: &ureq::Agent, url: &str, now: Timestamp) -> Option<Timestamp> {
    let answer = agent.get(format!("{url}/resources/status/api")).call().ok()?;
    let text = answer.headers().get("Date")?.to_str().ok()?.to_owned();
    http_date(&text, now)
}

fn account(config: &Config, provider: &Provider) -> Vec<Finding> {
    let levels = match client(config, provider).levels() {
        Ok(levels) => levels,
        Err(SumsubError::Credentials(why)) => {
            return vec![Finding::error(
                "credentials",
                format!("Sumsub refuses them ({why})"),
                "No session can be started and nothing imported.",
                "make an app token at Sumsub (Dev space, App tokens) and set \
                 COUNTERSIGN_SUMSUB_APP_TOKEN and COUNTERSIGN_SUMSUB_SECRET_KEY; mind the clock",
            )];
        }
        Err(error) => {
            return vec![Finding::warning(
                "credentials",
                format!("not known: {error}"),
                "Whether sessions can be started is not known.",
                "try again; `countersign verification start org_...` shows it for one customer",
            )];
        }
    };
    let mut findings = vec![Finding::fine("credentials", "Sumsub accepts them")];
    let business = provider.levels_business.iter().map(|it| ("BUSINESS", it, "company"));
    let individual = provider.levels_individual.iter().map(|it| ("INDIVIDUAL", it, "individual"));
    for (kind, level, wanted) in business.chain(individual) {
        let name = format!("COUNTERSIGN_SUMSUB_LEVEL_{kind}");
        let others: Vec<&str> = levels
            .iter()
            .filter(|it| it.applicant_type.as_deref().is_none_or(|it| it == wanted))
            .map(|it| it.name.as_str())
            .collect();
        let fix = format!("set {name} to one of: {}", others.join(", "));
        let why = "Sumsub refuses sessions on it.";
        findings.push(match levels.iter().find(|it| it.name == *level) {
            None => Finding::error("level", format!("Sumsub has no level \"{level}\""), why, fix),
            Some(it) if it.applicant_type.as_deref().is_some_and(|it| it != wanted) => {
                Finding::error("level", format!("\"{level}\" is not for type {wanted}"), why, fix)
            }
            Some(_) => Finding::fine("level", format!("\"{level}\" is for type {wanted}")),
        });
    }
    findings
}

/// A webhook as Sumsub's test button sends one: it is kept, and says nothing of anybody.
fn way_in(agent: &ureq::Agent, config: &Config, provider: &Provider) -> Finding {
    let base = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let url = format!("{base}/webhooks/sumsub");
    let body = json!({
        "type": "applicantPending", "testMode": true, "correlationId": "countersign doctor",
        "createdAtMs": real_clock()().to_string(),
    })
    .to_string();
    let Some(secret) = provider.webhook_secrets.first() else {
        return Finding::fine("webhook", "there is no secret to sign a test with");
    };
    let secret = secret.expose().as_bytes();
    let digest = webhook_digest(secret, DigestAlgorithm::Sha256, body.as_bytes());
    let answer = agent
        .post(&url)
        .header("Content-Type", "application/json")
        .header("X-Payload-Digest", digest)
        .header("X-Payload-Digest-Alg", DigestAlgorithm::Sha256.as_str())
        .send(body.as_bytes());
    let why = "Without webhooks no verification ever ends.";
    match answer.map(|it| it.status().as_u16()) {
        Ok(200) if config.public_url.is_none() => Finding::warning(
            "webhook",
            format!("a signed test arrived at {url}, which is not a public address"),
            "Whether Sumsub reaches this server is not known.",
            "set COUNTERSIGN_PUBLIC_URL to the address that Sumsub's webhook is configured with",
        ),
        Ok(200) => Finding::fine("webhook", format!("a signed test arrived by {url}")),
        Ok(401) => Finding::error(
            "webhook",
            format!("{url} refuses the configured secret"),
            why,
            "restart the server with the secret of Sumsub's webhook in COUNTERSIGN_SUMSUB_WEBHOOK_SECRET",
        ),
        Ok(status) => Finding::error(
            "webhook",
            format!("{url} answers {status}"),
            why,
            "have the proxy pass /webhooks/sumsub on, body and headers unchanged",
        ),
        Err(_) => Finding::error(
            "webhook",
            format!("nobody answers at {url}"),
            why,
            "start the server (`countersign serve`), and check the name and the proxy of public-url",
        ),
    }
}
