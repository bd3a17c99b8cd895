//! `/healthz`: the process answers. `/readyz`: it can do its work, and if not, why.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{json, monotonic_now};
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::store::{Readiness, Store};
use crate::usecase::Appliance;
use crate::usecase::webhook_key::key_standing;

/// How long one look at the register answers for all callers: anybody may ask.
const LOOK_HOLDS: Duration = Duration::from_secs(1);

/// How the register was when it was last looked at, and when that was.
#[derive(Default)]
pub(super) struct Probe(Mutex<Option<(Instant, Readiness)>>);

impl Probe {
    /// How the register is.
    pub(super) fn of(&self, store: &Store) -> Readiness {
        self.look(monotonic_now, || store.is_in_trouble(), || store.readiness())
    }

    /// Looks, unless somebody just has. Who asks meanwhile waits for the one look. The log is told of
    /// every change, and not of every look.
    fn look(
        &self,
        now: impl Fn() -> Instant,
        is_in_trouble: impl Fn() -> bool,
        look: impl FnOnce() -> Readiness,
    ) -> Readiness {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, known)) = *last
            && now().saturating_duration_since(at) < LOOK_HOLDS
            && !(known == Readiness::Writable && is_in_trouble())
        {
            return known;
        }
        let found = look();
        let known = last.map_or(Readiness::Writable, |(_, known)| known);
        *last = Some((now(), found));
        if found != known {
            tell(found);
        }
        found
    }
}

fn tell(found: Readiness) {
    let advice = match found {
        Readiness::Writable => return tracing::warn!("the register is ready again"),
        Readiness::NotWritable => "a write has failed; a large one is tried every second",
        Readiness::DiskFull => "make room on its disk",
        Readiness::MovedAway => {
            "its file or its log was renamed or removed under this server: put it back"
        }
        Readiness::NotReadable => "`countersign verify` says why",
    };
    tracing::error!(database = word(found), advice, "the register is not ready");
}

/// The register in a word of `Readiness` in the contract: it tells strangers nothing of paths or sizes.
fn word(found: Readiness) -> &'static str {
    match found {
        Readiness::Writable => "writable",
        Readiness::NotWritable => "not writable",
        Readiness::DiskFull => "disk full",
        Readiness::MovedAway => "moved away",
        Readiness::NotReadable => "not readable",
    }
}

pub(super) fn alive() -> Response {
    json(&serde_json::json!({"status": "ok"}))
}

/// Anybody may ask, so it says no more than what a load balancer or an operator's script needs. How far
/// off the clock is and how many digests were refused is for the metrics' own listener.
pub(super) fn ready(appliance: &Appliance, probe: &Probe) -> Response {
    let register = probe.of(&appliance.store);
    let is_ready = register == Readiness::Writable;
    let mut response = json(&serde_json::json!({
        "status": if is_ready { "ready" } else { "not_ready" },
        "database": word(register),
        "provider": {
            "lastContactAt": appliance.sumsub.last_contact().map(|it| rounded(it).to_string()),
        },
        // It stays ready with both of these: a 503 would take the polls away, which go on being right.
        "clock": appliance.timekeeper.standing().as_str(),
        "webhookKey": match key_standing(appliance).fit.as_str() {
            "not_needed" => "fits",
            word => word,
        },
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
    fn a_flood_of_questions_costs_one_look_a_second_and_news_is_told_after_it() {
        let (probe, begin) = (Probe::default(), monotonic_now());
        let mut looks = 0;
        let mut ask = |after_ms, readiness| {
            let now = || begin + Duration::from_millis(after_ms);
            probe.look(
                now,
                || false,
                || {
                    looks += 1;
                    readiness
                },
            )
        };
        let (well, full) = (Readiness::Writable, Readiness::DiskFull);

        assert_eq!(ask(0, well), well);
        assert!((0..1000).all(|after_ms| ask(after_ms, full) == well));
        assert_eq!(ask(1000, full), full);
        assert_eq!(ask(1999, well), full);
        assert_eq!(ask(2000, well), well);

        assert_eq!(looks, 3);
    }

    #[test]
    fn a_write_that_has_failed_is_told_before_the_last_look_is_over() {
        let (probe, begin) = (Probe::default(), monotonic_now());
        let ask = |is_in_trouble, found| probe.look(|| begin, || is_in_trouble, || found);

        assert_eq!(ask(false, Readiness::Writable), Readiness::Writable);
        assert_eq!(ask(true, Readiness::DiskFull), Readiness::DiskFull);
        assert_eq!(ask(true, Readiness::Writable), Readiness::DiskFull, "and holds for a second");
    }
}
