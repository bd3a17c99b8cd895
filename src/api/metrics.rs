//! What can be measured: requests by route and code, how long they took, and how the register, the
//! inbox and Sumsub fare. Prometheus text, served on a listener of its own, never on the public one.
//!
//! Requests are counted as they are answered; everything else is read from the register when
//! somebody asks, so that it costs nothing meanwhile and is right after a restart.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::health::Probe;
use crate::domain::timekeeper::ClockStanding;
use crate::http::{Request, Response};
use crate::store::{Figures, Readiness, Store};
use crate::usecase::webhook_key::key_standing;
use crate::usecase::{Appliance, Failure};

/// How a whole answer ends.
const END: &str = "# EOF\n";
/// Upper bounds of the latency histogram, in seconds: a poll is at the left, Sumsub at the right.
const BUCKETS_S: [f64; 12] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    code: u16,
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeLabel as _;
        ("method", self.method).encode(encoder.encode_label())?;
        ("route", self.route).encode(encoder.encode_label())?;
        ("code", u32::from(self.code)).encode(encoder.encode_label())
    }
}

type ByRoute = Family<[(&'static str, &'static str); 1], Histogram>;
type ByWord = Family<[(&'static str, String); 1], Gauge>;

pub(super) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: ByRoute,
    registry: Registry,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let requests = Family::default();
        registry.register("requests", "Requests answered", requests.clone());
        let durations: ByRoute = Family::new_with_constructor(|| Histogram::new(BUCKETS_S));
        registry.register_with_unit(
            "request_duration",
            "From the whole request read to the answer ready; waits included",
            Unit::Seconds,
            durations.clone(),
        );
        Self { requests, durations, registry }
    }

    pub(super) fn count(&self, request: &Request, response: &Response, took: Duration) {
        let route = route_of(request.path());
        let labels =
            RequestLabels { method: method_of(&request.method), route, code: response.status };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&[("route", route)]).observe(took.as_secs_f64());
    }

    /// Everything as Prometheus text.
    pub(super) fn render(&self, appliance: &Appliance, probe: &Probe) -> Result<String, Failure> {
        let now = (appliance.clock)();
        let figures = appliance.store.snapshot(|register| register.figures(now))?;
        let mut current = Registry::with_prefix("countersign");
        register_figures(&mut current, &figures);
        register_process(&mut current, appliance);
        register_disk(&mut current, &appliance.store, probe);
        let (mut counted, mut read) = (String::new(), String::new());
        let written =
            encode(&mut counted, &self.registry).and_then(|()| encode(&mut read, &current));
        written.map_err(|_fmt| Failure::Invalid("metrics cannot be written".to_owned()))?;
        Ok(counted.trim_end_matches(END).to_owned() + &read)
    }
}

fn register_figures(registry: &mut Registry, figures: &Figures) {
    let by_word = |registry: &mut Registry, name, help, label, rows: &[(String, i64)]| {
        let family = ByWord::default();
        for (word, count) in rows {
            family.get_or_create(&[(label, word.clone())]).set(*count);
        }
        registry.register(name, help, family);
    };
    by_word(registry, "verifications", "Organizations by status", "status", &figures.statuses);
    by_word(
        registry,
        "authorizations",
        "Letters of Authorization by effectiveness",
        "state",
        &figures.authorizations,
    );
    by_word(registry, "deliveries", "Sumsub's deliveries by outcome", "outcome", &figures.outcomes);
    for (name, help, value) in [
        ("oldest_pending_seconds", "Age of the longest PENDING", figures.oldest_pending_s),
        (
            "webhook_lag_seconds",
            "From event to arrival of Sumsub's last delivery",
            figures.webhook_lag_s,
        ),
        ("outbox_depth", "Outgoing deliveries that wait for an attempt", figures.outbox_depth),
        ("outbox_oldest_seconds", "Age of the oldest of them", figures.outbox_oldest_s),
        (
            "ignored_approvals",
            "Approvals by Sumsub that do not count and wait for an operator",
            figures.ignored_approvals,
        ),
        (
            "awaiting_approvals",
            "Approvals by Sumsub that wait until it has been asked, because a clock is wrong",
            figures.awaiting_approvals,
        ),
        ("drift", "Webhooks of Sumsub that were missed, and found by asking it", figures.drift),
        (
            "reconciler_pass_age_seconds",
            "Since the reconciler's last whole pass; -1: it has never run",
            figures.last_pass_age_s,
        ),
        ("database_bytes", "Size of the register, its log not included", figures.database_bytes),
    ] {
        set(registry, name, help, value);
    }
}

fn register_process(registry: &mut Registry, appliance: &Appliance) {
    let writer = appliance.store.tally();
    let sumsub = appliance.sumsub.tally();
    for (name, help, value) in [
        ("writer_commits", "Commits of the one writer", writer.commits),
        ("writer_writes", "Writes in those commits; over commits: the batch size", writer.writes),
        ("provider_calls", "Calls to Sumsub that were answered", sumsub.answers),
        ("provider_errors", "Calls to Sumsub that failed or were refused", sumsub.errors),
        ("provider_milliseconds", "Time spent waiting for Sumsub's answers", sumsub.waited_ms),
    ] {
        set(registry, name, help, i64::try_from(value).unwrap_or(i64::MAX));
    }
    let offset_ms = appliance.timekeeper.measured().map_or(0, |it| it.offset_ms);
    let help = "Sumsub's clock minus this machine's; 0 also before its first answer";
    set(registry, "provider_clock_offset_milliseconds", help, offset_ms);
    let is_behind = matches!(appliance.timekeeper.standing(), ClockStanding::Behind { .. });
    let help =
        "1 while this machine's clock is behind the register's newest fact, and approvals wait";
    set(registry, "clock_behind_register", help, i64::from(is_behind));
    let refused = appliance.refused_digests.load(Ordering::Relaxed);
    let refused = i64::try_from(refused).unwrap_or(i64::MAX);
    set(registry, "refused_digests", "Webhooks refused for their digest", refused);
    let unfit = key_standing(appliance).fit.unfit_endpoints();
    let unfit = i64::try_from(unfit).unwrap_or(i64::MAX);
    let help =
        "Webhook endpoints whose secrets do not follow from the webhook key: nothing is sent";
    set(registry, "webhook_key_unfit_endpoints", help, unfit);
    let by_secret = ByWord::default();
    for (word, count) in ["first", "second"].into_iter().zip(appliance.webhooks_by_secret.counts())
    {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        by_secret.get_or_create(&[("secret", word.to_owned())]).set(count);
    }
    let help = "Webhooks by which of the configured secrets Sumsub signed them with";
    registry.register("webhooks_by_secret", help, by_secret);
    let backups = &appliance.store.backups;
    let read = |it: &AtomicU64| i64::try_from(it.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
    set(registry, "backups_made", "Scheduled backups made and proven", read(&backups.made));
    set(registry, "backups_failed", "Scheduled backups that failed", read(&backups.failed));
    let help = "Scheduled backups made without the webhook key that fits";
    set(registry, "backups_without_key", help, read(&backups.unfit_key));
    set(
        registry,
        "backup_newest_timestamp_seconds",
        "When the newest scheduled backup was made; 0: none is known",
        backups.newest_at_ms.load(Ordering::Relaxed) / 1000,
    );
    let waiters = i64::try_from(appliance.store.changes().waiters()).unwrap_or(i64::MAX);
    set(registry, "waiting_clients", "Clients that wait for a change", waiters);
}

fn register_disk(registry: &mut Registry, store: &Store, probe: &Probe) {
    let is_writable = probe.of(store) == Readiness::Writable;
    let help = "1 while /readyz finds that the register can do its work, 0 while it does not";
    set(registry, "register_writable", help, i64::from(is_writable));
    let room = store.room();
    let bytes = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    let help = "Room left on the register's disk; -1: its file system does not say";
    set(registry, "disk_free_bytes", help, room.free_bytes.map_or(-1, bytes));
    let help = "Size of the register's write-ahead log";
    set(registry, "log_bytes", help, bytes(room.log_bytes));
}

fn set(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

/// Known methods by name: a label must not grow with what clients invent.
fn method_of(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|it| *it == method)
        .unwrap_or("other")
}

/// The route that a path belongs to, ids left out.
pub(super) fn route_of(path: &str) -> &'static str {
    const ROUTES: [&str; 16] = [
        "/v1/organizations/verification",
        "/v1/organizations",
        "/v1/organizations/verification/import",
        "/v1/organizations/verification/events",
        "/v1/authorizations",
        "/v1/authorizations/revoke",
        "/v1/authorizations/explain",
        "/v1/authorizations/links",
        "/v1/api-keys",
        "/webhooks/sumsub",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/docs.css",
        "/v1/webhooks/endpoints",
    ];
    ROUTES.into_iter().find(|it| *it == path).unwrap_or_else(|| {
        if path.starts_with("/v1/api-keys/") {
            "/v1/api-keys/{id}"
        } else if path.starts_with("/v1/webhooks/endpoints/") {
            "/v1/webhooks/endpoints/{id}"
        } else if path.starts_with("/h/") {
            "/h/{token}"
        } else {
            "other"
        }
    })
}
