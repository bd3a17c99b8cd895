//! The reconciler: when Sumsub is asked without anybody's asking for it.
//!
//! Asked about is whoever waits longer than it should, ever more rarely while nothing comes of it;
//! and once everybody, settled ones too (a sweep), after a gap: this server did not run, or Sumsub
//! did not answer, for [`GAP_MS`]; a webhook proved to be lost; or a week went by. Asking takes one
//! thread and a third of Sumsub's limit, so that sessions keep theirs.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{LastPass, Patience};
use crate::usecase::background::{Background, Stopping};
use crate::usecase::reconcile::{Mode, PACE, Report, Round};
use crate::usecase::timekeeping::catch_up;
use crate::usecase::{Appliance, Failure};

/// The most questions of one pass.
pub const QUESTIONS_PER_PASS: u32 = 600;
/// Without a pass for so long, webhooks may have been lost.
pub const GAP_MS: i64 = 10 * 60_000;
/// The longest wait between two questions about a verification that waits.
pub const LONGEST_WAIT_MS: i64 = 24 * 3_600_000;
/// Everybody is asked about at least so often, for what no sign tells.
const SWEEP_EVERY_MS: i64 = 7 * 24 * 3_600_000;
/// A lost webhook leads to a sweep at most so often.
const SWEEP_AGAIN_MS: i64 = 3_600_000;

/// What a reconciler remembers between two passes. Losing it costs one walk over the register.
#[derive(Debug, Default)]
pub struct Memory {
    /// The sweep that is under way or done.
    sweep_from: Option<Timestamp>,
    cursor: Option<OrganizationId>,
    walk: Walk,
}

/// A sweep's way through the register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Walk {
    /// Everybody so far was answered.
    #[default]
    Complete,
    /// Somebody was asked in vain: another walk is needed.
    WithGaps,
    /// At its end.
    Done,
}

/// One pass of the reconciler: whoever waits too long, then the sweep's next share.
pub fn pass(
    appliance: &Appliance,
    patience: Patience,
    memory: &mut Memory,
    pace: &mut dyn FnMut() -> bool,
) -> Result<Report, Failure> {
    catch_up(appliance)?;
    let now = (appliance.clock)();
    let (last, lost_at) = appliance
        .store
        .snapshot(|register| Ok::<_, Failure>((register.last_pass()?, register.last_drift()?)))?;
    let sweep_from = match last {
        Some(it) if !is_sweep_due(it, lost_at.filter(|_| memory.walk == Walk::Done), now) => {
            it.sweep_from
        }
        // A sweep whose passes were all cut short goes on where it was.
        _ => memory
            .sweep_from
            .filter(|from| last.is_none_or(|it| it.passed_at < *from))
            .unwrap_or(now),
    };
    let mut round = Round::new(appliance, Mode::Apply, pace);
    let goes_on = round.ask_about_awaiting()?;
    let overdue =
        appliance.store.read(|register| register.overdue(patience, QUESTIONS_PER_PASS, now))?;
    let goes_on = goes_on && round.ask_all(&overdue)?;
    let left = QUESTIONS_PER_PASS.saturating_sub(u32::try_from(overdue.len()).unwrap_or(u32::MAX));
    if memory.sweep_from != Some(sweep_from) {
        *memory = Memory { sweep_from: Some(sweep_from), ..Memory::default() };
    }
    if goes_on && left > 0 && memory.walk != Walk::Done {
        let questions = appliance.store.read(|register| {
            register.not_asked_since(sweep_from, memory.cursor.as_ref(), (left, now))
        })?;
        let is_through = round.ask_all(&questions)?;
        if round.has_unanswered {
            memory.walk = Walk::WithGaps;
        }
        if !is_through {
            // One that Sumsub refuses to speak of does not keep it from the others.
            memory.cursor = round.refused.take().or(memory.cursor.take());
        } else if questions.len() == usize::try_from(left).unwrap_or(usize::MAX) {
            memory.cursor = questions.last().map(|it| it.organization.clone());
        } else {
            // Who was not answered is asked again in another walk.
            memory.walk = match memory.walk {
                Walk::WithGaps => Walk::Complete,
                Walk::Complete | Walk::Done => Walk::Done,
            };
            memory.cursor = None;
        }
    }
    let report = round.report();
    if report.stopped_by.is_none() {
        let passed_at = (appliance.clock)();
        let pass = LastPass { passed_at, sweep_from };
        appliance.store.write(move |tx| tx.note_pass(pass).map_err(Failure::from))?;
    }
    Ok(report)
}

/// Whether everybody is to be asked about anew.
fn is_sweep_due(last: LastPass, lost_at: Option<Timestamp>, now: Timestamp) -> bool {
    // Where one webhook was lost, others may have been, also of settled customers.
    let has_lost = lost_at.is_some_and(|it| last.sweep_from < it);
    last.passed_at.plus_ms(GAP_MS) <= now
        || last.sweep_from.plus_ms(SWEEP_EVERY_MS) <= now
        || (has_lost && last.sweep_from.plus_ms(SWEEP_AGAIN_MS) <= now)
}

/// How the reconciler of a server runs.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    /// Between two passes.
    pub every: Duration,
    /// How long a verification waits before Sumsub is asked.
    pub patience: Patience,
}

/// The background work: a pass at once, and one every so often until it is stopped.
#[derive(Debug)]
pub struct Reconciler(Background);

impl Reconciler {
    /// Begins.
    pub fn start(appliance: Arc<Appliance>, pulse: Pulse) -> std::io::Result<Self> {
        Background::start("reconciler", move |stopped| run(&appliance, pulse, stopped)).map(Self)
    }

    /// Asks nothing more; a question under way comes to its end.
    pub fn stopping(self) -> Stopping {
        self.0.stopping()
    }

    /// Asks nothing more; a question under way is waited for.
    pub fn stop(self) {
        self.stopping().join();
    }
}

fn run(appliance: &Appliance, pulse: Pulse, stopped: &Receiver<()>) {
    let mut memory = Memory::default();
    loop {
        turn(appliance, pulse.patience, &mut memory, &mut || waits(stopped, PACE));
        if !waits(stopped, pulse.every) {
            return;
        }
    }
}

/// Waits; answers whether nobody has stopped it meanwhile.
fn waits(stopped: &Receiver<()>, wait: Duration) -> bool {
    stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
}

fn turn(
    appliance: &Appliance,
    patience: Patience,
    memory: &mut Memory,
    pace: &mut dyn FnMut() -> bool,
) {
    match pass(appliance, patience, memory, pace) {
        Ok(Report { stopped_by: Some(error), .. }) => {
            tracing::warn!(%error, "Sumsub cannot be asked about those who wait; trying again");
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "those who wait were not asked about; trying again"),
    }
}
