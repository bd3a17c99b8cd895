//! `/healthz`: the process answers. `/readyz`: it can do its work, and if not, why.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{json, monotonic_now};
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::usecase::Appliance;

/// How long one probe of the register answers for all callers. Anybody may ask, and a probe is a commit:
/// without this, asking would cost the disk what writing does.
const PROBE_HOLDS: Duration = Duration::from_secs(1);

/// Whether the register could be written when it was last tried, and when that was.
#[derive(Default)]
pub(super) struct Probe(Mutex<Option<(Instant, bool)>>);

impl Probe {
    /// Tries, unless somebody just has. Who asks meanwhile waits for the one attempt.
    fn is_writable(&self, now: impl Fn() -> Instant, attempt: impl FnOnce() -> bool) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, is_writable)) = *last
            && now().saturating_duration_since(at) < PROBE_HOLDS
        {
            return is_writable;
        }
        let is_writable = attempt();
        *last = Some((now(), is_writable));
        is_writable
    }
}

pub(super) fn alive() -> Response {
    json(&serde_json::json!({"status": "ok"}))
}

/// Anybody may ask, so it says no more than what a load balancer or an operator's script needs. How far
/// off the clock is and how many digests were refused is for the metrics' own listener.
pub(super) fn ready(appliance: &Appliance, probe: &Probe) -> Response {
    let is_ready = probe.is_writable(monotonic_now, || match appliance.store.is_writable() {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, "the register cannot be written");
            false
        }
    });
    let mut response = json(&serde_json::json!({
        "status": if is_ready { "ready" } else { "not_ready" },
        "database": if is_ready { "writable" } else { "not writable" },
        "provider": {
            "lastContactAt": appliance.sumsub.last_contact().map(|it| rounded(it).to_string()),
        },
        // It stays ready: a 503 would take the polls away, which go on being right.
        "clock": appliance.timekeeper.standing().as_str(),
    }));
    if !is_ready {
        response.status = 503;
    }
    response
}

/// To the five minutes in which it lies: to the millisecond, it would tell anybody of every call.
fn rounded(at: Timestamp) -> Timestamp {
    Timestamp::from_ms(at.as_ms().saturating_sub(at.as_ms().rem_euclid(300_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_questions_costs_one_write_a_second_and_news_is_told_after_it() {
        let (probe, begin) = (Probe::default(), monotonic_now());
        let mut attempts = 0;
        let mut ask = |after_ms, is_writable| {
            let now = || begin + Duration::from_millis(after_ms);
            probe.is_writable(now, || {
                attempts += 1;
                is_writable
            })
        };

        assert!(ask(0, true));
        assert!((0..1000).all(|after_ms| ask(after_ms, false)));
        assert!(!ask(1000, false));
        assert!(!ask(1999, true));
        assert!(ask(2000, true));

        assert_eq!(attempts, 3);
    }
}
