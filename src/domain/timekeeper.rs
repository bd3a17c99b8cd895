//! What time it is: the machine's clock, corrected by the difference that was measured on Sumsub's
//! answers (contract 9.3).
//!
//! A difference is bound to one run of the machine and to one setting of its clock: it is unknown
//! again after a restart of this program, and as soon as the machine's clock and its uptime tell of
//! different spans. While it is unknown the time is the machine's, but never before the newest thing
//! that the register knows, nor before what was Sumsub's time already.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::fold::{CLOCK_SKEW_MS, FactClock};
use crate::domain::timestamp::{Clock, Timestamp};

/// From here on a difference is one, and not the answer's way or the whole seconds of its `Date`.
pub const OFFSET_MIN_MS: i64 = 5_000;
/// Up to here a difference is made up for. Contract 9.3 asks for a day; what is behind a larger one is
/// no clock that is off.
pub const OFFSET_MAX_MS: i64 = 36 * 3_600_000;
/// A new measurement closer to the last one than this is the same one: `Date` has whole seconds.
const NOISE_MS: i64 = 1_500;
/// How long a measurement is taken for granted.
const MEASURED_FOR_MS: i64 = 5 * 60_000;
/// Clock and uptime are read one after the other, and uptime drifts a little.
const STEP_MIN_MS: i64 = 2_000;

/// A difference that was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// In which run of the machine.
    pub boot_id: String,
    /// Sumsub's clock minus the machine's, in milliseconds.
    pub offset_ms: i64,
    /// The machine's clock minus its uptime then: moves only when the clock is set.
    pub base_ms: i64,
}

/// An instant, and what is known of the clock that told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The instant.
    pub at: Timestamp,
    /// Which run of the machine.
    pub boot_id: String,
    /// The machine's uptime.
    pub uptime_ms: i64,
    /// Whether Sumsub's time is known, so that [`Self::at`] is it.
    pub is_sure: bool,
    /// When something becomes known that is recorded now: after all that has been for certain, by which
    /// somebody may have been answered.
    pub known_at: Timestamp,
}

impl Moment {
    /// What a fact that this clock dates bears of it.
    pub fn fact_clock(&self) -> Option<FactClock> {
        (!self.is_sure)
            .then(|| FactClock::Unsure { boot_id: self.boot_id.clone(), uptime_ms: self.uptime_ms })
    }

    /// When this run of the machine began, if that is known.
    pub fn booted_at(&self) -> Option<Timestamp> {
        self.is_sure.then(|| self.at.plus_ms(self.uptime_ms.saturating_neg()))
    }
}

/// How the machine's clock stands, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStanding {
    /// Sumsub's time is known; the machine's clock differs by so many milliseconds or less than counts.
    Known {
        /// Sumsub's clock minus the machine's.
        offset_ms: i64,
    },
    /// Sumsub has not answered since the start, or since the clock was set.
    Unknown,
    /// As above, and the machine's clock lies before the register's newest fact.
    Behind {
        /// By how many milliseconds.
        by_ms: i64,
    },
}

impl ClockStanding {
    /// The word, in `/readyz` and for operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Known { .. } => "known",
            Self::Unknown => "unknown",
            Self::Behind { .. } => "behind_register",
        }
    }
}

/// The machine's uptime in milliseconds, as a value.
pub type Uptime = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Tells the time.
pub struct Timekeeper {
    machine: Clock,
    uptime: Uptime,
    boot_id: String,
    measured: Mutex<Option<Measured>>,
    /// Whether something was measured that nobody has looked at.
    has_news: AtomicBool,
    /// The uptime at which Sumsub's clock was last seen.
    seen_uptime_ms: AtomicI64,
    /// What has been for certain: the newest instant at which the register knew something, or that was
    /// Sumsub's time.
    floor_ms: Arc<AtomicI64>,
}

impl std::fmt::Debug for Timekeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timekeeper").field("standing", &self.standing()).finish_non_exhaustive()
    }
}

impl Timekeeper {
    /// Of a machine's clock, its uptime, and the name of its present run.
    pub fn new(machine: Clock, uptime: Uptime, boot_id: String) -> Arc<Self> {
        Arc::new(Self {
            machine,
            uptime,
            boot_id,
            measured: Mutex::new(None),
            has_news: AtomicBool::new(false),
            seen_uptime_ms: AtomicI64::new(i64::MIN),
            floor_ms: Arc::new(AtomicI64::new(0)),
        })
    }

    /// The newest instant at which the register knew something, to be raised by whoever knows it.
    pub fn floor(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.floor_ms)
    }

    /// The machine's own clock, for what is measured in spans and never compared with a fact.
    pub fn machine(&self) -> Clock {
        Arc::clone(&self.machine)
    }

    /// The time, as a clock.
    pub fn clock(self: &Arc<Self>) -> Clock {
        let keeper = Arc::clone(self);
        Arc::new(move || keeper.now())
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.read().0
    }

    /// The time, and what is known of the clock that told it.
    pub fn moment(&self) -> Moment {
        let (at, uptime_ms, measured) = self.read();
        let passed = self.newest_known();
        let clock = match &measured {
            Some(_) => at,
            None => (self.machine)(),
        };
        let known_at = if clock < passed { passed.plus_ms(1) } else { at };
        let (boot_id, is_sure) = (self.boot_id.clone(), measured.is_some());
        Moment { at, boot_id, uptime_ms, is_sure, known_at }
    }

    /// What the gate decides at: no earlier than anything that it decides by became known, so that a
    /// decision can be explained afterwards by what was known at its instant.
    pub fn decision_instant(&self) -> Timestamp {
        self.now().max(self.newest_known())
    }

    /// How the machine's clock stands.
    pub fn standing(&self) -> ClockStanding {
        let (_, _, measured) = self.read();
        let by_ms = self.newest_known().as_ms().saturating_sub((self.machine)().as_ms());
        match measured {
            Some(Measured { offset_ms, .. }) => ClockStanding::Known { offset_ms },
            None if by_ms >= OFFSET_MIN_MS => ClockStanding::Behind { by_ms },
            None => ClockStanding::Unknown,
        }
    }

    /// Whether an approval that Sumsub dates at `happened_at` has to wait until Sumsub has been asked:
    /// the machine's clock is behind what the register knows, or the approval is of the future.
    pub fn must_ask_about(&self, happened_at: Timestamp) -> bool {
        matches!(self.standing(), ClockStanding::Behind { .. })
            || happened_at > self.now().plus_ms(CLOCK_SKEW_MS)
    }

    /// The difference, if it is known.
    pub fn measured(&self) -> Option<Measured> {
        self.read().2
    }

    /// Whether Sumsub should be asked for its time: it is not known, or was seen so long ago that the
    /// machine may have been paused, or its clock moved little by little, unnoticed.
    pub fn must_measure(&self) -> bool {
        let (_, uptime_ms, measured) = self.read();
        let seen = self.seen_uptime_ms.load(Ordering::Relaxed);
        measured.is_none() || uptime_ms.saturating_sub(seen) >= MEASURED_FOR_MS
    }

    /// Whether another difference was measured since this was asked last.
    pub fn take_news(&self) -> bool {
        self.has_news.swap(false, Ordering::Relaxed)
    }

    /// What is added to the machine's clock to have Sumsub's.
    pub fn correction_ms(&self) -> i64 {
        self.measured().map_or(0, |it| correction(it.offset_ms))
    }

    /// Takes a measurement: Sumsub's clock was `offset_ms` ahead of the machine's, just now.
    pub fn measure(&self, offset_ms: i64) {
        let uptime_ms = (self.uptime)();
        self.seen_uptime_ms.store(uptime_ms, Ordering::Relaxed);
        let base_ms = (self.machine)().as_ms().saturating_sub(uptime_ms);
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = measured.as_ref().is_some_and(|it| {
            offset_ms.abs_diff(it.offset_ms) < NOISE_MS.unsigned_abs()
                && base_ms.abs_diff(it.base_ms) < STEP_MIN_MS.unsigned_abs()
        });
        if !is_same {
            self.has_news.store(true, Ordering::Relaxed);
            *measured = Some(Measured { boot_id: self.boot_id.clone(), offset_ms, base_ms });
        }
    }

    /// Takes over what a server beside this process has measured in this run of the machine.
    pub fn adopt(&self, of_the_server: Measured) {
        if of_the_server.boot_id == self.boot_id {
            *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(of_the_server);
        }
    }

    fn newest_known(&self) -> Timestamp {
        Timestamp::from_ms(self.floor_ms.load(Ordering::Relaxed))
    }

    /// The time, the uptime, and the difference if it is known.
    fn read(&self) -> (Timestamp, i64, Option<Measured>) {
        let (machine, uptime_ms) = ((self.machine)(), (self.uptime)());
        let base_ms = machine.as_ms().saturating_sub(uptime_ms);
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        // The clock was set since: what was measured says nothing about it any more.
        let is_stale = |it: &Measured| base_ms.abs_diff(it.base_ms) >= STEP_MIN_MS.unsigned_abs();
        if measured.as_ref().is_some_and(is_stale) {
            *measured = None;
        }
        let at = match measured.as_ref() {
            Some(it) => {
                let at = machine.plus_ms(correction(it.offset_ms));
                // What was Sumsub's time once has been, also when the clock is set back afterwards.
                if it.offset_ms.saturating_abs() <= OFFSET_MAX_MS {
                    self.floor_ms.fetch_max(at.as_ms(), Ordering::Relaxed);
                }
                at
            }
            None => machine.max(self.newest_known()),
        };
        (at, uptime_ms, measured.clone())
    }
}

/// What a difference is made up for with.
fn correction(offset_ms: i64) -> i64 {
    let is_corrected = (OFFSET_MIN_MS..=OFFSET_MAX_MS).contains(&offset_ms.saturating_abs());
    if is_corrected { offset_ms } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine {
        clock_ms: Arc<AtomicI64>,
        uptime_ms: Arc<AtomicI64>,
        keeper: Arc<Timekeeper>,
    }

    impl Machine {
        fn new() -> Self {
            let (clock_ms, uptime_ms) =
                (Arc::new(AtomicI64::new(1_000_000_000)), Arc::new(AtomicI64::new(5_000)));
            let (clock, uptime) = (Arc::clone(&clock_ms), Arc::clone(&uptime_ms));
            let keeper = Timekeeper::new(
                Arc::new(move || Timestamp::from_ms(clock.load(Ordering::Relaxed))),
                Arc::new(move || uptime.load(Ordering::Relaxed)),
                "boot-1".to_owned(),
            );
            Self { clock_ms, uptime_ms, keeper }
        }

        fn pass(&self, ms: i64) {
            self.clock_ms.fetch_add(ms, Ordering::Relaxed);
            self.uptime_ms.fetch_add(ms, Ordering::Relaxed);
        }

        fn set_clock(&self, by_ms: i64) {
            self.clock_ms.fetch_add(by_ms, Ordering::Relaxed);
        }

        fn now_ms(&self) -> i64 {
            self.keeper.now().as_ms()
        }
    }

    #[test]
    fn a_difference_counts_from_five_seconds_to_a_day_and_a_half() {
        for (offset_ms, corrected_by) in [
            (0, 0),
            (4_999, 0),
            (-4_999, 0),
            (5_000, 5_000),
            (-5_000, -5_000),
            (86_400_500, 86_400_500),
            (129_600_000, 129_600_000),
            (129_600_001, 0),
            (-129_600_001, 0),
        ] {
            let machine = Machine::new();
            machine.keeper.measure(offset_ms);
            assert_eq!(machine.now_ms(), 1_000_000_000 + corrected_by, "{offset_ms}");
            assert_eq!(machine.keeper.correction_ms(), corrected_by);
            assert_eq!(machine.keeper.standing(), ClockStanding::Known { offset_ms });
        }
    }

    #[test]
    fn a_measurement_within_the_noise_of_the_last_one_moves_nothing() {
        let machine = Machine::new();
        machine.keeper.measure(90_000);
        machine.pass(1_000);
        machine.keeper.measure(91_499);
        assert_eq!(machine.now_ms(), 1_000_091_000);
        machine.keeper.measure(91_500);
        assert_eq!(machine.now_ms(), 1_000_092_500);
    }

    #[test]
    fn setting_the_clock_makes_the_difference_unknown_and_time_passing_does_not() {
        let machine = Machine::new();
        machine.keeper.measure(90_000);
        machine.pass(7 * 86_400_000);
        assert!(machine.keeper.moment().is_sure);
        machine.set_clock(1_999);
        assert!(machine.keeper.moment().is_sure);
        machine.set_clock(1);
        assert!(!machine.keeper.moment().is_sure);
        assert_eq!(machine.keeper.correction_ms(), 0);
        machine.set_clock(-2_000);
        assert!(!machine.keeper.moment().is_sure, "it stays unknown");
        // Sumsub's time has been later already.
        assert_eq!(machine.keeper.standing(), ClockStanding::Behind { by_ms: 91_999 });
        assert_eq!(machine.now_ms(), 1_000_090_000 + 7 * 86_400_000 + 1_999);
    }

    #[test]
    fn while_it_is_unknown_the_time_is_never_before_what_the_register_knows() {
        let machine = Machine::new();
        machine.keeper.floor().store(1_000_004_999, Ordering::Relaxed);
        assert_eq!(machine.now_ms(), 1_000_004_999);
        assert_eq!(machine.keeper.standing(), ClockStanding::Unknown);
        machine.keeper.floor().store(1_000_005_000, Ordering::Relaxed);
        assert_eq!(machine.keeper.standing(), ClockStanding::Behind { by_ms: 5_000 });
        assert!(machine.keeper.must_ask_about(Timestamp::from_ms(1)));

        machine.keeper.measure(-7_000);

        assert_eq!(machine.now_ms(), 999_993_000, "Sumsub's time is the time");
        assert_eq!(machine.keeper.decision_instant().as_ms(), 1_000_005_000);
        assert!(!machine.keeper.must_ask_about(Timestamp::from_ms(1)));
    }

    #[test]
    fn an_approval_of_the_future_has_to_be_asked_about() {
        let machine = Machine::new();
        let ahead = |ms: i64| Timestamp::from_ms(1_000_000_000 + ms);
        assert!(!machine.keeper.must_ask_about(ahead(60_000)));
        assert!(machine.keeper.must_ask_about(ahead(60_001)));
        machine.keeper.measure(90_000);
        assert!(!machine.keeper.must_ask_about(ahead(150_000)));
    }

    #[test]
    fn a_moment_says_how_sure_it_is_and_when_the_machine_booted() {
        let machine = Machine::new();
        let unsure = machine.keeper.moment();
        let clock = FactClock::Unsure { boot_id: "boot-1".to_owned(), uptime_ms: 5_000 };
        assert_eq!((unsure.fact_clock(), unsure.booted_at()), (Some(clock), None));
        machine.keeper.measure(90_000);
        let sure = machine.keeper.moment();
        assert_eq!(sure.fact_clock(), None);
        assert_eq!(sure.booted_at(), Some(Timestamp::from_ms(1_000_085_000)));
    }

    #[test]
    fn only_a_server_of_the_same_run_of_the_machine_is_believed() {
        let machine = Machine::new();
        let of = |boot_id: &str| Measured {
            boot_id: boot_id.to_owned(),
            offset_ms: 90_000,
            base_ms: 999_995_000,
        };
        machine.keeper.adopt(of("boot-0"));
        assert_eq!(machine.keeper.measured(), None);
        machine.keeper.adopt(Measured { base_ms: 5, ..of("boot-1") });
        assert_eq!(machine.keeper.measured(), None, "the clock was set since");
        machine.keeper.adopt(of("boot-1"));
        assert_eq!(machine.now_ms(), 1_000_090_000);
    }

    #[test]
    fn sumsub_is_to_be_asked_for_its_time_when_it_is_unknown_or_was_seen_long_ago() {
        let machine = Machine::new();
        assert!(machine.keeper.must_measure());
        machine.keeper.measure(500);
        assert!(!machine.keeper.must_measure());
        machine.pass(299_999);
        assert!(!machine.keeper.must_measure());
        machine.pass(1);
        assert!(machine.keeper.must_measure());
        // The same again is a look all the same.
        machine.keeper.measure(500);
        assert!(!machine.keeper.must_measure());
        machine.set_clock(10_000);
        assert!(machine.keeper.must_measure());
    }

    #[test]
    fn another_difference_is_news_once() {
        let machine = Machine::new();
        assert!(!machine.keeper.take_news());
        machine.keeper.measure(500);
        assert!(machine.keeper.take_news());
        assert!(!machine.keeper.take_news());
        machine.keeper.measure(600);
        assert!(!machine.keeper.take_news());
        // The clock was set, and nobody has looked since.
        machine.set_clock(2_000);
        machine.keeper.measure(600);
        assert!(machine.keeper.take_news());
        assert!(machine.keeper.moment().is_sure);
    }

    #[test]
    fn the_standing_has_the_words_of_readyz() {
        for (standing, word) in [
            (ClockStanding::Known { offset_ms: 1 }, "known"),
            (ClockStanding::Unknown, "unknown"),
            (ClockStanding::Behind { by_ms: 5_000 }, "behind_register"),
        ] {
            assert_eq!(standing.as_str(), word);
        }
    }

    #[test]
    fn nothing_becomes_known_at_an_instant_by_which_somebody_was_answered() {
        let machine = Machine::new();
        assert_eq!(machine.keeper.moment().known_at.as_ms(), 1_000_000_000);
        machine.keeper.floor().store(1_000_000_000, Ordering::Relaxed);
        assert_eq!(machine.keeper.moment().known_at.as_ms(), 1_000_000_000, "it is now");
        machine.keeper.floor().store(1_000_777_000, Ordering::Relaxed);
        assert_eq!(machine.keeper.moment().known_at.as_ms(), 1_000_777_001, "time stands still");
        machine.keeper.measure(0);
        assert_eq!(machine.keeper.moment().at.as_ms(), 1_000_000_000);
        assert_eq!(machine.keeper.moment().known_at.as_ms(), 1_000_777_001);
        machine.pass(777_000);
        assert_eq!(machine.keeper.moment().known_at.as_ms(), 1_000_777_000);
    }
}
