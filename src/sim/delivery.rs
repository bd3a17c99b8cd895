//! The queue of webhooks: what waits, when it is due, in which order, and what came of it.
//!
//! Order and duplication are decided when an event is queued, from the seed, so they do not
//! depend on how fast anything is sent. Nothing is ever lost to nastiness: a delivery leaves the
//! queue only when it was taken with a 2xx or when its retries are used up.

use super::event::Trick;
use super::random::Random;
use super::tenant::Webhook;
use crate::sumsub::signature::webhook_digest;

/// After 5 min, 1 h, 5 h, 18 h ("Webhook manager", stated).
const RETRY_DELAYS_MS: [i64; 4] = [300_000, 3_600_000, 18_000_000, 64_800_000];
/// The same for one-off actions: 30 s, 30 s, 1 min, 5 min (stated).
const ACTION_RETRY_DELAYS_MS: [i64; 4] = [30_000, 30_000, 60_000, 300_000];
/// How long an event waits that was to be swapped and has no predecessor left in the queue.
const HELD_BACK_MS: i64 = 1500;
/// How many finished deliveries are kept to look at.
const FINISHED_MAX: usize = 5000;

/// The delay before the attempt after attempt `number` (from 1); none when retries are used up.
pub(super) fn retry_delay_ms(event_type: &str, number: usize) -> Option<i64> {
    let delays = match event_type {
        "applicantActionPending" | "applicantActionReviewed" | "applicantActionOnHold" => {
            &ACTION_RETRY_DELAYS_MS
        }
        _ => &RETRY_DELAYS_MS,
    };
    delays.get(number.checked_sub(1)?).copied()
}

/// One try at one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The delivery; a duplicate is a delivery of its own.
    pub delivery: u64,
    /// The event's `type`.
    pub event_type: String,
    /// The applicant it is about; empty for a raw event that names none.
    pub applicant_id: String,
    /// 1 for the first attempt.
    pub number: usize,
    /// The status that came back, or why none did. Only 2xx counts as taken.
    pub outcome: Result<u16, String>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryState {
    Waiting,
    InFlight,
    Taken,
    GivenUp,
}

impl DeliveryState {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InFlight => "inFlight",
            Self::Taken => "taken",
            Self::GivenUp => "givenUp",
        }
    }
}

/// One body on its way to one webhook.
#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) id: u64,
    order: u64,
    pub(super) webhook_id: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) event_type: String,
    pub(super) applicant_id: String,
    pub(super) due_at_ms: i64,
    pub(super) state: DeliveryState,
    pub(super) attempts: Vec<Attempt>,
    resends: bool,
}

/// What is to be queued.
pub(super) struct Message<'a> {
    pub(super) event_type: &'a str,
    pub(super) applicant_id: &'a str,
    pub(super) body: &'a [u8],
    pub(super) tricks: &'a [Trick],
}

/// All deliveries, waiting and done.
#[derive(Default)]
pub(super) struct Queue {
    deliveries: Vec<Delivery>,
    next: u64,
}

impl Queue {
    /// Queues a message for a webhook, with its tricks and, if `chance` is given, with luck.
    pub(super) fn push(
        &mut self,
        webhook: &Webhook,
        message: &Message<'_>,
        chance: Option<&mut Random>,
        now_ms: i64,
    ) {
        let (lucky_duplicate, lucky_swap) =
            chance.map_or((false, false), |it| (it.one_in(4), it.one_in(3)));
        self.append(webhook, message, now_ms);
        let must_swap = message.tricks.contains(&Trick::Reorder);
        let is_swapped = (must_swap || lucky_swap) && self.swap_with_predecessor();
        if must_swap
            && !is_swapped
            && let Some(newest) = self.deliveries.last_mut()
        {
            // Nothing left to overtake: it waits, so that its successor overtakes it.
            newest.due_at_ms += HELD_BACK_MS;
        }
        if message.tricks.contains(&Trick::Duplicate) || lucky_duplicate {
            self.append(webhook, message, now_ms);
        }
        self.forget_oldest_finished();
    }

    fn append(&mut self, webhook: &Webhook, message: &Message<'_>, now_ms: i64) {
        let algorithm = webhook.algorithm;
        let wrong = format!("not-{}", webhook.secret);
        let key =
            if message.tricks.contains(&Trick::WrongDigest) { &wrong } else { &webhook.secret };
        let mut headers = webhook.headers.clone();
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        headers.push((
            "X-Payload-Digest".to_owned(),
            webhook_digest(key.as_bytes(), algorithm, message.body),
        ));
        if !message.tricks.contains(&Trick::MissingAlgorithm) {
            headers.push(("X-Payload-Digest-Alg".to_owned(), algorithm.as_str().to_owned()));
        }
        self.next += 1;
        self.deliveries.push(Delivery {
            id: self.next,
            order: self.next,
            webhook_id: webhook.id.clone(),
            url: webhook.target.clone(),
            headers,
            body: message.body.to_vec(),
            event_type: message.event_type.to_owned(),
            applicant_id: message.applicant_id.to_owned(),
            due_at_ms: now_ms,
            state: DeliveryState::Waiting,
            attempts: Vec::new(),
            resends: webhook.resends,
        });
    }

    /// Exchanges the newest delivery's place with the one before it to the same webhook, if that
    /// one was not sent yet; tells whether there was one.
    fn swap_with_predecessor(&mut self) -> bool {
        let Some((newest, earlier)) = self.deliveries.split_last_mut() else { return false };
        let predecessor = earlier
            .iter_mut()
            .filter(|it| it.state == DeliveryState::Waiting && it.attempts.is_empty())
            .filter(|it| it.webhook_id == newest.webhook_id && it.order < newest.order)
            .max_by_key(|it| it.order);
        let Some(predecessor) = predecessor else { return false };
        std::mem::swap(&mut predecessor.order, &mut newest.order);
        true
    }

    /// Queues an old delivery's very bytes again.
    pub(super) fn replay(&mut self, id: u64, now_ms: i64) -> Option<u64> {
        let mut copy = self.deliveries.iter().find(|it| it.id == id)?.clone();
        self.next += 1;
        copy.id = self.next;
        copy.order = self.next;
        copy.due_at_ms = now_ms;
        copy.state = DeliveryState::Waiting;
        copy.attempts = Vec::new();
        self.deliveries.push(copy);
        Some(self.next)
    }

    /// Takes what is due, in order of sending.
    pub(super) fn take_due(&mut self, now_ms: i64) -> Vec<Delivery> {
        let mut due: Vec<&mut Delivery> = self
            .deliveries
            .iter_mut()
            .filter(|it| it.state == DeliveryState::Waiting && it.due_at_ms <= now_ms)
            .collect();
        due.sort_by_key(|it| it.order);
        due.into_iter()
            .map(|it| {
                it.state = DeliveryState::InFlight;
                it.clone()
            })
            .collect()
    }

    /// Records what came of an attempt and plans the next. Any non-2xx counts as a failure;
    /// whether the real service retries a 4xx is unknown.
    pub(super) fn record(&mut self, attempt: Attempt, time_scale: u32, now_ms: i64) {
        let Some(delivery) = self.deliveries.iter_mut().find(|it| it.id == attempt.delivery) else {
            return;
        };
        let is_taken = matches!(attempt.outcome, Ok(200..=299));
        let delay = retry_delay_ms(&delivery.event_type, attempt.number);
        delivery.attempts.push(attempt);
        match delay.filter(|_| delivery.resends && !is_taken) {
            Some(delay_ms) => {
                delivery.due_at_ms = now_ms + delay_ms / i64::from(time_scale.max(1));
                delivery.state = DeliveryState::Waiting;
            }
            None if is_taken => delivery.state = DeliveryState::Taken,
            None => delivery.state = DeliveryState::GivenUp,
        }
    }

    /// The clock was put back: what waits is due as much earlier.
    pub(super) fn put_back(&mut self, ms: i64) {
        for delivery in self.deliveries.iter_mut().filter(|it| it.state == DeliveryState::Waiting) {
            delivery.due_at_ms = delivery.due_at_ms.saturating_sub(ms);
        }
    }

    /// When the next delivery is due, if any waits.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.deliveries
            .iter()
            .filter(|it| it.state == DeliveryState::Waiting)
            .map(|it| it.due_at_ms)
            .min()
    }

    /// Every delivery still known.
    pub(super) fn all(&self) -> &[Delivery] {
        &self.deliveries
    }

    fn forget_oldest_finished(&mut self) {
        let is_finished =
            |it: &Delivery| matches!(it.state, DeliveryState::Taken | DeliveryState::GivenUp);
        let finished = self.deliveries.iter().filter(|it| is_finished(it)).count();
        let mut surplus = finished.saturating_sub(FINISHED_MAX);
        if surplus > 0 {
            self.deliveries.retain(|it| {
                let goes = surplus > 0 && is_finished(it);
                surplus -= usize::from(goes);
                !goes
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_deliveries_are_retried_on_the_stated_schedule() {
        let schedule = |event_type: &str| -> Vec<i64> {
            (1..).map_while(|number| retry_delay_ms(event_type, number)).collect()
        };
        let (minute, hour) = (60_000, 3_600_000);

        assert_eq!(schedule("applicantReviewed"), [5 * minute, hour, 5 * hour, 18 * hour]);
        for action in ["applicantActionPending", "applicantActionReviewed", "applicantActionOnHold"]
        {
            assert_eq!(schedule(action), [minute / 2, minute / 2, minute, 5 * minute]);
        }
        assert_eq!(schedule("applicantActionLevelChanged"), schedule("applicantReviewed"));
    }
}
