//! Outgoing webhooks: what is told to whom, when it is tried again, and when no more.
//!
//! ```text
//!   PENDING ──2xx──▶ DELIVERED          PENDING ──last attempt failed──▶ FAILED
//!   PENDING ──endpoint disabled or deleted──▶ SKIPPED
//!   DELIVERED, FAILED, SKIPPED ──resend──▶ PENDING, from the first attempt on
//! ```
//! Delivery is at least once, under one message id; no order is promised, not even per endpoint.
//! Pure rules: the register keeps the rows, `usecase::deliver_events` does the work.

use crate::domain::http_date::RETRY_AFTER_MS_MAX;
use crate::domain::timestamp::Timestamp;

/// The delay before each attempt, counted from the end of the one before it: 75 h 35 min in all.
/// Standard Webhooks 1.0.0, "Deliverability and reliability", proposes this list (stated).
pub const ATTEMPT_DELAYS_MS: [i64; 10] = [
    0,
    5 * SECOND_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
    20 * HOUR_MS,
    24 * HOUR_MS,
];
/// An endpoint at which everything has failed for so long is disabled.
pub const FAILING_MS_MAX: i64 = 5 * 24 * HOUR_MS;
/// A delay is lengthened by up to this share, so that what failed together does not return together.
const JITTER_PERCENT_MAX: i64 = 10;
const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Readers see another status of an organization's verification.
    VerificationUpdated,
    /// An LOA was issued, signed or revoked.
    AuthorizationUpdated,
    /// The endpoint's owner asked for a test.
    Test,
}

impl EventType {
    /// The types that an endpoint may choose among; a test is sent to whoever asks for one.
    pub const SUBSCRIBABLE: [Self; 2] = [Self::VerificationUpdated, Self::AuthorizationUpdated];

    /// Reads the contract's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "organization.verification.updated" => Some(Self::VerificationUpdated),
            "authorization.updated" => Some(Self::AuthorizationUpdated),
            "webhook.test" => Some(Self::Test),
            _ => None,
        }
    }

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerificationUpdated => "organization.verification.updated",
            Self::AuthorizationUpdated => "authorization.updated",
            Self::Test => "webhook.test",
        }
    }
}

/// Where one message to one endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It is or will be due.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// Every attempt failed.
    Failed,
    /// The endpoint was disabled or deleted before it arrived.
    Skipped,
}

impl DeliveryStatus {
    /// Reads the contract's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "PENDING" => Some(Self::Pending),
            "DELIVERED" => Some(Self::Delivered),
            "FAILED" => Some(Self::Failed),
            "SKIPPED" => Some(Self::Skipped),
            _ => None,
        }
    }

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Delivered => "DELIVERED",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
        }
    }
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// 2xx.
    Taken,
    /// 410: the receiver wants nothing more.
    Gone,
    /// Anything else; the receiver may have asked for patience.
    Failed {
        /// `Retry-After`, from the end of the attempt on.
        retry_after_ms: Option<i64>,
    },
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    /// What it came to.
    pub attempted: Attempted,
    /// Which of the schedule's it was, from 1.
    pub number: u32,
    /// Any number that differs between deliveries: places this one within the jitter.
    pub spread: u64,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// What follows from an attempt, for its delivery and its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The delivery's status.
    pub status: DeliveryStatus,
    /// When the next attempt is due; there is one exactly while the delivery is PENDING.
    pub due_at: Option<Timestamp>,
    /// Since when everything fails at the endpoint; `None`: the last attempt did not.
    pub failing_since: Option<Timestamp>,
    /// Whether the endpoint is to be disabled.
    pub disables: bool,
}

/// How attempts are spaced.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Every delay is divided by this: 1, except to watch a day go by in a minute.
    pub time_scale: u32,
}

impl Schedule {
    /// Judges an attempt at an endpoint at which everything has failed since `failing_since`.
    pub fn judge(self, it: Try, failing_since: Option<Timestamp>) -> Verdict {
        let now = it.ended_at;
        let ended = |status| Verdict { status, due_at: None, failing_since: None, disables: false };
        let retry_after_ms = match it.attempted {
            Attempted::Taken => return ended(DeliveryStatus::Delivered),
            Attempted::Gone => {
                let failing_since = Some(failing_since.unwrap_or(now));
                return Verdict { failing_since, disables: true, ..ended(DeliveryStatus::Skipped) };
            }
            Attempted::Failed { retry_after_ms } => retry_after_ms,
        };
        let since = failing_since.unwrap_or(now);
        let disables = now >= since.plus_ms(self.scaled(FAILING_MS_MAX));
        let due_at = self.delay_ms(it.number, it.spread).map(|delay_ms| {
            let asked_ms = retry_after_ms.map_or(0, |it| self.scaled(it.min(RETRY_AFTER_MS_MAX)));
            now.plus_ms(delay_ms.max(asked_ms))
        });
        let (status, due_at) = match (disables, due_at) {
            (true, _) => (DeliveryStatus::Skipped, None),
            (false, None) => (DeliveryStatus::Failed, None),
            (false, due_at) => (DeliveryStatus::Pending, due_at),
        };
        Verdict { status, due_at, failing_since: Some(since), disables }
    }

    /// The delay after attempt `number`, jitter included; `None` after the last.
    fn delay_ms(self, number: u32, spread: u64) -> Option<i64> {
        let delay = self.scaled(*ATTEMPT_DELAYS_MS.get(usize::try_from(number).ok()?)?);
        let widest = delay.saturating_mul(JITTER_PERCENT_MAX).checked_div(100)?;
        // Neighbouring numbers land far apart: multiplied by 2^64 / golden ratio, the top 16 bits.
        let place =
            spread.wrapping_add(u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        let jitter = widest.saturating_mul(i64::try_from(place).ok()?) >> 16;
        Some(delay.saturating_add(jitter))
    }

    fn scaled(self, ms: i64) -> i64 {
        ms.checked_div(i64::from(self.time_scale)).unwrap_or(ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Schedule = Schedule { time_scale: 1 };
    const NOW: i64 = 1_000_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn judge(
        attempted: Attempted,
        number: u32,
        failing_since: Option<i64>,
        spread: u64,
    ) -> Verdict {
        PLAIN.judge(Try { attempted, number, spread, ended_at: at(NOW) }, failing_since.map(at))
    }

    fn failed(number: u32, retry_after_ms: Option<i64>, spread: u64) -> Verdict {
        judge(Attempted::Failed { retry_after_ms }, number, None, spread)
    }

    #[test]
    fn attempts_follow_the_published_schedule_within_the_jitter() {
        let second = 1000;
        let (minute, hour) = (60 * second, 3600 * second);
        let published = [
            5 * second,
            5 * minute,
            30 * minute,
            2 * hour,
            5 * hour,
            10 * hour,
            14 * hour,
            20 * hour,
            24 * hour,
        ];
        for spread in 0..1000 {
            for (number, delay) in (1..).zip(published) {
                let verdict = failed(number, None, spread);
                let waited = verdict.due_at.unwrap().as_ms() - NOW;
                assert!((delay..=delay + delay / 10).contains(&waited), "{number}: {waited}");
                assert_eq!(verdict.status, DeliveryStatus::Pending);
            }
        }
    }

    #[test]
    fn jitter_spreads_what_failed_together() {
        let mut dues: Vec<_> = (0..1000).map(|it| failed(4, None, it).due_at.unwrap()).collect();
        dues.sort_unstable();
        dues.dedup();

        assert!(dues.len() > 900, "{}", dues.len());
    }

    #[test]
    fn the_tenth_failure_is_the_last() {
        let verdict = failed(10, None, 0);

        assert_eq!((verdict.status, verdict.due_at), (DeliveryStatus::Failed, None));
        assert!(!verdict.disables);
    }

    #[test]
    fn a_receiver_may_ask_for_more_patience_but_not_for_less_nor_for_ever() {
        let waited = |retry_after| failed(2, Some(retry_after), 0).due_at.unwrap().as_ms() - NOW;

        assert_eq!(waited(600_000), 600_000);
        assert!(waited(1000) >= 300_000);
        assert_eq!(waited(i64::MAX), 24 * 3_600_000);
    }

    #[test]
    fn five_days_of_failure_disable_an_endpoint_and_a_410_does_at_once() {
        let day = 86_400_000;
        let failed_since =
            |since| judge(Attempted::Failed { retry_after_ms: None }, 3, Some(since), 0);

        assert!(!failed_since(NOW - 5 * day + 1).disables);
        assert!(failed_since(NOW - 5 * day).disables);
        assert_eq!(failed_since(NOW - 5 * day).status, DeliveryStatus::Skipped);
        assert!(judge(Attempted::Gone, 1, None, 0).disables);
    }

    #[test]
    fn a_success_ends_a_streak_of_failures() {
        let verdict = judge(Attempted::Taken, 4, Some(NOW - 1), 0);

        assert_eq!((verdict.status, verdict.failing_since), (DeliveryStatus::Delivered, None));
    }

    #[test]
    fn a_time_scale_makes_a_day_go_by_in_a_minute() {
        let attempted = Attempted::Failed { retry_after_ms: None };
        let ninth = Try { attempted, number: 9, spread: 0, ended_at: at(NOW) };
        let verdict = Schedule { time_scale: 1440 }.judge(ninth, None);

        let waited = verdict.due_at.unwrap().as_ms() - NOW;
        assert!((60_000..=66_000).contains(&waited), "{waited}");
    }
    #[test]
    fn a_410_goes_on_counting_since_when_everything_fails() {
        for (since, expected) in [(None, NOW), (Some(NOW - 7), NOW - 7)] {
            let verdict = judge(Attempted::Gone, 1, since, 0);
            assert_eq!(verdict.failing_since, Some(at(expected)));
            assert_eq!((verdict.status, verdict.due_at), (DeliveryStatus::Skipped, None));
        }
    }

    #[test]
    fn words_are_the_contracts() {
        for (event, word) in [
            (EventType::VerificationUpdated, "organization.verification.updated"),
            (EventType::AuthorizationUpdated, "authorization.updated"),
            (EventType::Test, "webhook.test"),
        ] {
            assert_eq!(event.as_str(), word);
            assert_eq!(EventType::parse(word), Some(event));
        }
        for (status, word) in [
            (DeliveryStatus::Pending, "PENDING"),
            (DeliveryStatus::Delivered, "DELIVERED"),
            (DeliveryStatus::Failed, "FAILED"),
            (DeliveryStatus::Skipped, "SKIPPED"),
        ] {
            assert_eq!(status.as_str(), word);
            assert_eq!(DeliveryStatus::parse(word), Some(status));
        }
        for unknown in ["", "pending", "WEBHOOK.TEST"] {
            assert_eq!(EventType::parse(unknown), None);
            assert_eq!(DeliveryStatus::parse(unknown), None);
        }
    }
}
