//! What follows from knowing what time it is: facts that this machine's clock dated wrong are moved to
//! their places, approvals that had to wait are applied, and commands beside the server learn what the
//! server has measured (contract 9.3).

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::domain::timekeeper::{ClockStanding, Measured};
use crate::store::Outcome;
use crate::usecase::background::{Background, Stopping};
use crate::usecase::receive_webhook::{Applying, apply_again};
use crate::usecase::{Appliance, Failure};

/// Deliveries read at once.
const READ_AT_ONCE: u32 = 500;
/// Between two looks at the clock.
const BEAT: Duration = Duration::from_secs(1);
/// Beats between two questions for Sumsub's time, while it does not answer.
const ASK_EVERY_BEATS: u32 = 10;

/// Asks Sumsub for its time if it is not known; if it is then, puts right what was dated before, and
/// has everybody asked about if anything was.
pub fn catch_up(appliance: &Appliance) -> Result<(), Failure> {
    if appliance.timekeeper.must_measure()
        && let Err(error) = appliance.sumsub.ask_the_time()
    {
        tracing::debug!(%error, "Sumsub was asked for its time");
    }
    if appliance.timekeeper.measured().is_none() {
        return Ok(());
    }
    let has_moved = correct_facts(appliance)?;
    let has_applied = apply_awaiting(appliance)?;
    if has_moved || has_applied {
        // Sumsub is the judge of all that was decided meanwhile.
        let clock = Arc::clone(&appliance.clock);
        appliance.store.write(move |tx| tx.begin_sweep(clock()).map_err(Failure::from))?;
    }
    Ok(())
}

fn correct_facts(appliance: &Appliance) -> Result<bool, Failure> {
    // Earlier runs of the machine have left behind what they have; once is enough.
    let boot_id = appliance.timekeeper.moment().boot_id;
    let of = if appliance.timekeeper.take_news() { None } else { Some(boot_id.as_str()) };
    let unsure = appliance.store.read(|register| register.unsure_organizations(of))?;
    let mut has_moved = false;
    for of in unsure {
        let timekeeper = Arc::clone(&appliance.timekeeper);
        let now = timekeeper.moment();
        if !appliance.store.read(|register| register.needs_correction(&of, &now))? {
            continue;
        }
        let corrected = appliance.store.write(move |tx| {
            let corrected = tx.correct_clock(&of, &timekeeper.moment())?;
            if let Some(it) = &corrected {
                let status = it.after.at(it.known_at).status;
                tracing::warn!(
                    organization = %of,
                    status = status.as_str(),
                    changed = it.changed(),
                    "this machine's clock had dated its facts wrong: they were moved to their places"
                );
            }
            Ok::<_, Failure>(corrected.is_some())
        })?;
        has_moved |= corrected;
    }
    Ok(has_moved)
}

/// Applies the approvals that waited for Sumsub's time. One that is still of the future is left to
/// Sumsub's present word, which the reconciler asks for.
fn apply_awaiting(appliance: &Appliance) -> Result<bool, Failure> {
    let (mut after, mut has_applied) = (0, false);
    loop {
        let waiting =
            appliance.store.read(|register| register.awaiting_deliveries(after, READ_AT_ONCE))?;
        let Some(last) = waiting.last() else { return Ok(has_applied) };
        after = last.id;
        for delivery in waiting {
            let applying = Applying::by(appliance);
            has_applied |= appliance.store.write(move |tx| {
                let outcome = apply_again(tx, &applying, &delivery)?;
                Ok::<_, Failure>(outcome != Outcome::AwaitingProvider)
            })?;
        }
    }
}

/// The background work of a server: looks at the clock once a second until it is stopped.
#[derive(Debug)]
pub struct Timekeeping(Background);

impl Timekeeping {
    /// Begins.
    pub fn start(appliance: Arc<Appliance>) -> std::io::Result<Self> {
        Background::start("timekeeping", move |stopped| run(&appliance, stopped)).map(Self)
    }

    /// Looks no more; a question under way comes to its end.
    pub fn stopping(self) -> Stopping {
        self.0.stopping()
    }
}

fn run(appliance: &Appliance, stopped: &Receiver<()>) {
    let mut watch = Watch::default();
    loop {
        watch.beat(appliance);
        if stopped.recv_timeout(BEAT) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// What the register holds of the clock.
#[derive(Debug, Default, PartialEq, Eq)]
enum Noted {
    /// What another process left there.
    #[default]
    Another,
    /// What this one has measured, or nothing.
    Ours(Option<Measured>),
}

/// What was seen of the clock so far.
#[derive(Debug, Default)]
pub struct Watch {
    told: Option<&'static str>,
    /// What the register holds for commands beside the server.
    noted: Noted,
    beats_unknown: u32,
}

impl Watch {
    /// One look: asks for Sumsub's time while it is unknown, and puts right what follows from it.
    pub fn beat(&mut self, appliance: &Appliance) {
        let must_measure = appliance.timekeeper.must_measure();
        let asks = must_measure && self.beats_unknown.is_multiple_of(ASK_EVERY_BEATS);
        self.beats_unknown = if must_measure { self.beats_unknown.saturating_add(1) } else { 0 };
        if asks && let Err(error) = catch_up(appliance) {
            tracing::error!(%error, "what the clock dated wrong was not put right; trying again");
        }
        self.note(appliance);
        self.tell(appliance.timekeeper.standing());
    }

    fn note(&mut self, appliance: &Appliance) {
        let measured = appliance.timekeeper.measured();
        let noted = Noted::Ours(measured.clone());
        if self.noted == noted {
            return;
        }
        self.noted = noted;
        let machine_now = (appliance.timekeeper.machine())();
        appliance
            .store
            .write_later(move |tx| tx.note_measured_clock(measured.as_ref(), machine_now));
    }

    fn tell(&mut self, standing: ClockStanding) {
        if self.told == Some(standing.as_str()) {
            return;
        }
        match standing {
            ClockStanding::Behind { by_ms } => tracing::error!(
                by_s = by_ms / 1000,
                "this machine's clock is behind the register's newest fact: new approvals wait until \
                 Sumsub has been asked; set the clock"
            ),
            ClockStanding::Unknown if self.told.is_some() => {
                tracing::warn!("this machine's clock was set: Sumsub is asked for the time");
            }
            ClockStanding::Known { offset_ms } if self.told.is_some() => {
                tracing::info!(offset_ms, "Sumsub's time is known");
            }
            ClockStanding::Unknown | ClockStanding::Known { .. } => {}
        }
        self.told = Some(standing.as_str());
    }
}
