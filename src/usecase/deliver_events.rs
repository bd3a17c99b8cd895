//! What is due goes out: claim, sign, send, record.
//!
//! A claim is committed before anything is sent, and what came of it after; between the two no
//! transaction is open. A crash anywhere loses nothing: the claim runs out, and the message goes out
//! again under the same id. [`deliver_due`] does it once, in the caller's thread; [`Courier`] does it
//! all the time, a thread for each attempt under way.
//!
//! A slow receiver delays nobody else: it has at most [`PLACES_PER_ENDPOINT`] attempts under way, and
//! all endpoints that fail or dawdle have, together, at most half of the places. Which endpoint is
//! quick is known only after it has answered in time: a new one is not. No organization delays
//! another: places, and slow places, are shared as `domain::shares` says.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::domain::organization::OrganizationId;
use crate::domain::outgoing::{Attempted, DeliveryStatus, Try, Verdict};
use crate::domain::shares::{Holder, Shares};
use crate::domain::timestamp::Timestamp;
use crate::outbox::{ADDRESS_NOT_ALLOWED, NO_RESOURCES, Parcel, Receipt, Secret};
use crate::store::{Claim, DueEndpoint, NewAttempt, WebhookEndpoint};
use crate::usecase::background::{Deadline, Stopping};
use crate::usecase::webhook_endpoints::secrets_in_force;
use crate::usecase::webhook_key::key_standing;
use crate::usecase::{Appliance, Failure};

/// Attempts under way at once to one endpoint.
pub const PLACES_PER_ENDPOINT: u32 = 4;
/// From here on a receiver counts as slow, in milliseconds.
pub const SLOW_MS: i64 = 1000;
/// How long a claim holds: four times as long as an attempt may take, and twice as long as one to a
/// listed address.
const LEASE_MS: i64 = 60_000;
/// How often the register is asked for what is due.
const TICK: Duration = Duration::from_millis(100);
/// How many ended approvals are told of in one commit.
const EXPIRIES_PER_COMMIT: u32 = 256;

/// Sends everything that is due now, one after the other; answers how many attempts that were.
pub fn deliver_due(appliance: &Appliance) -> Result<u32, Failure> {
    announce_expiries(appliance)?;
    let mut attempts: u32 = 0;
    loop {
        // One at a time for each endpoint: the lease runs from the claim on.
        let claims = claim(appliance, |_| 1)?;
        if claims.is_empty() {
            return Ok(attempts);
        }
        for it in &claims {
            attempts = attempts.saturating_add(u32::from(attempt(appliance, it)?));
        }
    }
}

/// Tells of every approval that has ended by now.
fn announce_expiries(appliance: &Appliance) -> Result<(), Failure> {
    let now = (appliance.clock)();
    while appliance.store.read(|register| register.has_due_expiry(now))? {
        appliance.store.write(move |tx| {
            tx.announce_expiries(EXPIRIES_PER_COMMIT, now).map_err(Failure::from)
        })?;
    }
    Ok(())
}

/// Claims what is due, at each endpoint as many as `places` says.
fn claim(
    appliance: &Appliance,
    mut places: impl FnMut(&DueEndpoint) -> u32,
) -> Result<Vec<Claim>, Failure> {
    let now = (appliance.clock)();
    // Our own lost key is no failure of a receiver's: what it cannot sign is not tried, and waits.
    let unsigned = &key_standing(appliance).unfit;
    let wanted: Vec<(String, u32)> = appliance
        .store
        .read(|register| register.due_endpoints(now))?
        .into_iter()
        .filter(|it| !unsigned.contains(&it.id))
        .map(|it| (places(&it), it.id))
        .filter(|(count, _)| *count > 0)
        .map(|(count, id)| (id, count))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    appliance.store.write(move |tx| {
        let mut claims = Vec::new();
        for (id, count) in &wanted {
            claims.extend(tx.claim_deliveries(id, *count, now.plus_ms(LEASE_MS), now)?);
        }
        Ok(claims)
    })
}

/// Sends one claimed message and records what came of it. `false`: for a reason of our own it could not
/// be signed or sent, so nothing is recorded, and the claim runs out by itself.
fn attempt(appliance: &Appliance, claim: &Claim) -> Result<bool, Failure> {
    let started_at = (appliance.clock)();
    let Some(secrets) = secrets_in_force(&appliance.outbox, &claim.endpoint, started_at) else {
        // The key file has just gone: how it stands is looked at before the next claim.
        appliance.outbox.key.forget();
        return Ok(false);
    };
    let receipt = send(appliance, claim, &secrets, started_at);
    if receipt.answer == Err(NO_RESOURCES) {
        tracing::error!(
            endpoint = claim.endpoint.id,
            "a webhook was not sent, for this machine had no descriptor, port or memory left: it is \
             tried again in a minute, and does not count against its receiver"
        );
        return Ok(false);
    }
    let ended_at = (appliance.clock)();
    let attempted = receipt.attempted();
    let attempt = NewAttempt {
        url: claim.endpoint.url.clone(),
        signed_at_s: receipt.signed_at_s,
        signature: receipt.signature,
        answer: receipt.answer.map(|it| (it.status, it.first_bytes)),
        started_at,
        ended_at,
    };
    let (claim, schedule) = (claim.clone(), appliance.outbox.schedule);
    let spread = spread(&claim);
    appliance.store.write(move |tx| {
        // Other attempts to it may have ended meanwhile, or its owner may have changed it.
        let endpoint = tx.any_webhook_endpoint(&claim.endpoint.id)?;
        let failing_since = endpoint.as_ref().and_then(|it| it.failing_since);
        let number = claim.attempts.saturating_add(1);
        let it = Try { attempted, number, spread, ended_at };
        let verdict = if endpoint.as_ref().is_some_and(|it| is_another(it, &claim.endpoint)) {
            Verdict { failing_since, ..schedule.judge(of_another(it), None) }
        } else {
            schedule.judge(it, failing_since)
        };
        tx.record_attempt(&claim, &attempt, &verdict)?;
        if let Some(endpoint) = endpoint.filter(|it| verdict.disables && !it.disabled) {
            tracing::warn!(endpoint = endpoint.id, "a webhook endpoint failed too long: disabled");
            tx.update_webhook_endpoint(&WebhookEndpoint {
                disabled: true,
                failing_since: verdict.failing_since,
                updated_at: ended_at.max(endpoint.updated_at),
                ..endpoint
            })?;
        }
        if verdict.status == DeliveryStatus::Failed {
            tracing::warn!(message = claim.message_id, "a webhook was given up");
        }
        Ok(true)
    })
}

/// Places a delivery within the jitter. Of random words, since the receiver sees the jitter: the
/// delivery's number would show through it.
fn spread(claim: &Claim) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&claim.message_id, &claim.endpoint.id).hash(&mut hasher);
    hasher.finish()
}

/// Whether its owner has changed an endpoint since an attempt at it was claimed.
fn is_another(now: &WebhookEndpoint, then: &WebhookEndpoint) -> bool {
    now.url != then.url || now.updated_at != then.updated_at
}

/// What an attempt says of a delivery, but not of its endpoint, which is another by now: a 410 is
/// one failure, and no streak goes on.
fn of_another(it: Try) -> Try {
    let failed = Attempted::Failed { retry_after_ms: None };
    Try { attempted: if it.attempted == Attempted::Gone { failed } else { it.attempted }, ..it }
}

fn send(appliance: &Appliance, claim: &Claim, secrets: &[Secret], now: Timestamp) -> Receipt {
    let outbox = &appliance.outbox;
    let unsent = |why| Receipt {
        signed_at_s: now.as_ms().div_euclid(1000),
        signature: String::new(),
        answer: Err(why),
    };
    // What was allowed when the endpoint was created may not be now; the rule of today decides.
    let Ok(target) = outbox.target(&claim.endpoint.url) else {
        return unsent(ADDRESS_NOT_ALLOWED);
    };
    let parcel =
        Parcel { target: &target, message_id: &claim.message_id, body: &claim.body, secrets };
    outbox.send(&parcel, now)
}

/// The background work: sends what is due until it is stopped.
#[derive(Debug)]
pub struct Courier {
    events: Sender<News>,
    thread: Stopping,
}

/// What the courier's thread is told.
enum News {
    Ended(Place),
    Stop { until: Deadline },
}

impl Courier {
    /// Begins.
    pub fn start(appliance: Arc<Appliance>) -> std::io::Result<Self> {
        let (events, news) = channel();
        let ended = events.clone();
        let thread = Stopping::spawn("courier", move || run(&appliance, &news, &ended))?;
        Ok(Self { events, thread })
    }

    /// Takes nothing more on, and gives the attempts under way until the deadline. What is cut off is
    /// sent again after the next start.
    pub fn stopping(self, until: Deadline) -> Stopping {
        drop(self.events.send(News::Stop { until }));
        self.thread
    }

    /// Stops, and waits for the attempts under way at the most so long.
    pub fn stop(self, grace: Duration) {
        self.stopping(Deadline::after(grace)).join();
    }
}

fn run(appliance: &Arc<Appliance>, news: &Receiver<News>, ended: &Sender<News>) {
    let mut places = Places::new(appliance.event_places);
    let until = loop {
        match news.recv_timeout(TICK) {
            Ok(News::Ended(place)) => places.give_back(&place),
            Ok(News::Stop { until }) => break until,
            Err(RecvTimeoutError::Timeout) => {}
            // Cannot be: this thread holds a sender itself.
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if let Err(error) = turn(appliance, &mut places, ended) {
            tracing::error!(%error, "webhooks that are due were not taken on; trying again");
        }
    };
    while !places.by_endpoint.is_empty() {
        match news.recv_timeout(until.left()) {
            Ok(News::Ended(place)) => places.give_back(&place),
            Ok(News::Stop { .. }) => {}
            Err(_) => {
                let cut_off: u32 = places.by_endpoint.values().sum();
                tracing::warn!(cut_off, "webhooks were cut off by the stop; they are sent again");
                return;
            }
        }
    }
}

/// One look at what is due.
fn turn(
    appliance: &Arc<Appliance>,
    places: &mut Places,
    ended: &Sender<News>,
) -> Result<(), Failure> {
    announce_expiries(appliance)?;
    let mut speeds = BTreeMap::new();
    let mut left = places.clone();
    let claims = claim(appliance, |endpoint| {
        let speed = Speed::of(endpoint);
        speeds.insert(endpoint.id.clone(), speed);
        left.take_all(&Place::at(&endpoint.id, &endpoint.organization, speed))
    })?;
    for claim in claims {
        let speed = speeds.get(&claim.endpoint.id).copied().unwrap_or(Speed::Slow);
        let place = Place::at(&claim.endpoint.id, &claim.endpoint.organization, speed);
        if !places.take(&place) {
            // Cannot be: as many were claimed as there were places. The claim runs out by itself.
            continue;
        }
        let (appliance, sender, kept) = (Arc::clone(appliance), ended.clone(), place.clone());
        let spawned = std::thread::Builder::new().name("webhook".to_owned()).spawn(move || {
            // Given back also when the attempt panics.
            let _end = EndOfPlace { place: Some(place), sender };
            if let Err(error) = attempt(&appliance, &claim) {
                tracing::error!(%error, "a webhook's outcome was not recorded; it is sent again");
            }
        });
        if spawned.is_err() {
            // The claim runs out by itself.
            places.give_back(&kept);
        }
    }
    Ok(())
}

/// Whether an endpoint keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speed {
    Quick,
    Slow,
}

impl Speed {
    fn of(endpoint: &DueEndpoint) -> Self {
        match endpoint.took_ms {
            Some(took_ms) if took_ms <= SLOW_MS && !endpoint.is_failing => Self::Quick,
            Some(_) | None => Self::Slow,
        }
    }
}

/// An attempt's place among those under way.
#[derive(Clone, Debug)]
struct Place {
    endpoint_id: String,
    holder: Holder,
    speed: Speed,
}

impl Place {
    fn at(endpoint_id: &str, of: &OrganizationId, speed: Speed) -> Self {
        Self { endpoint_id: endpoint_id.to_owned(), holder: Some(of.clone()), speed }
    }
}

/// Says that a place is free again, when dropped.
struct EndOfPlace {
    place: Option<Place>,
    sender: Sender<News>,
}

impl Drop for EndOfPlace {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            drop(self.sender.send(News::Ended(place)));
        }
    }
}

/// The places that are taken.
#[derive(Clone, Debug)]
struct Places {
    all: Shares,
    slow: Shares,
    by_endpoint: BTreeMap<String, u32>,
}

impl Places {
    /// This many for an organization that is alone, half of them for its slow endpoints; and of both
    /// half as many spare ones.
    fn new(places: usize) -> Self {
        let (spare, slow) = (places / 2, places / 2);
        Self {
            all: Shares::new(places, spare),
            slow: Shares::new(slow, slow / 2),
            by_endpoint: BTreeMap::new(),
        }
    }

    /// Takes as many places as an endpoint may have beside those that it has; answers how many.
    fn take_all(&mut self, place: &Place) -> u32 {
        let mut taken: u32 = 0;
        while self.take(place) {
            taken = taken.saturating_add(1);
        }
        taken
    }

    fn take(&mut self, place: &Place) -> bool {
        let own = self.by_endpoint.get(&place.endpoint_id).copied().unwrap_or(0);
        if own >= PLACES_PER_ENDPOINT || !self.all.take(&place.holder) {
            return false;
        }
        if place.speed == Speed::Slow && !self.slow.take(&place.holder) {
            self.all.give_back(&place.holder);
            return false;
        }
        self.by_endpoint.insert(place.endpoint_id.clone(), own.saturating_add(1));
        true
    }

    fn give_back(&mut self, place: &Place) {
        self.all.give_back(&place.holder);
        if place.speed == Speed::Slow {
            self.slow.give_back(&place.holder);
        }
        if let Some(own) = self.by_endpoint.get_mut(&place.endpoint_id) {
            *own = own.saturating_sub(1);
        }
        self.by_endpoint.retain(|_, own| *own > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(endpoint_id: &str, of: &str, speed: Speed) -> Place {
        Place::at(endpoint_id, &OrganizationId::new(of), speed)
    }

    /// How many places a hundred endpoints of an organization take.
    fn a_hundred_endpoints(places: &mut Places, of: &str, speed: Speed) -> u32 {
        (0..100).map(|it| places.take_all(&place(&format!("{of}{it}{speed:?}"), of, speed))).sum()
    }

    #[test]
    fn one_endpoint_has_few_places_and_all_slow_ones_together_half() {
        let mut places = Places::new(64);

        let slow = a_hundred_endpoints(&mut places, "org_a", Speed::Slow);
        let quick = places.take_all(&place("q", "org_a", Speed::Quick));

        assert_eq!((slow, quick), (32, PLACES_PER_ENDPOINT));
        assert_eq!(places.take_all(&place("q", "org_a", Speed::Quick)), 0);
        let more = a_hundred_endpoints(&mut places, "org_a", Speed::Quick);
        assert_eq!(slow + quick + more, 64, "an organization that is alone has every place");
    }

    #[test]
    fn an_organizations_endpoints_leave_places_for_anothers() {
        let mut places = Places::new(64);
        a_hundred_endpoints(&mut places, "org_a", Speed::Slow);
        a_hundred_endpoints(&mut places, "org_a", Speed::Quick);

        let new = places.take_all(&place("new", "org_b", Speed::Slow));
        let quick = places.take_all(&place("quick", "org_b", Speed::Quick));

        assert_eq!((new, quick), (PLACES_PER_ENDPOINT, PLACES_PER_ENDPOINT));
    }

    #[test]
    fn a_place_that_is_given_back_is_free_again() {
        let mut places = Places::new(8);
        let slow = place("s", "org_a", Speed::Slow);

        for _ in 0..100 {
            assert!(places.take(&slow));
            places.give_back(&slow);
        }

        assert!(places.by_endpoint.is_empty());
        assert_eq!((places.all.held(&slow.holder), places.slow.held(&slow.holder)), (0, 0));
    }

    #[test]
    fn an_endpoint_is_quick_only_once_it_has_answered_in_time() {
        let speed = |is_failing, took_ms| {
            let (id, organization) = ("ep".to_owned(), OrganizationId::new("org_a"));
            Speed::of(&DueEndpoint { id, organization, is_failing, took_ms })
        };

        assert_eq!(speed(false, None), Speed::Slow);
        assert_eq!(speed(false, Some(SLOW_MS)), Speed::Quick);
        assert_eq!(speed(false, Some(SLOW_MS + 1)), Speed::Slow);
        assert_eq!(speed(true, Some(1)), Speed::Slow);
    }
}
