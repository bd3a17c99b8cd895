//! Lets go of what is too old to be of use: see `store::retention` for what that is, and what is not.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::domain::timestamp::Timestamp;
use crate::store::{Passed, StoreError};
use crate::usecase::background::{Background, Stopping};
use crate::usecase::{Appliance, Failure};

/// Rows looked at in one commit: few, so that nobody's write waits long for it.
const ROWS_PER_COMMIT: u32 = 500;
/// Between two commits, so that others come first.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two rounds.
const EVERY: Duration = Duration::from_secs(3600);
const DAY_MS: i64 = 86_400_000;

/// How long things are kept, in days; 0 = for ever.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Bodies of Sumsub's deliveries.
    pub inbox_days: u32,
    /// Bodies of messages to our callers, and the log of what was sent.
    pub outgoing_days: u32,
}

/// Where a round goes on: rows that were let go of are not looked at again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursors {
    deliveries: i64,
    messages: i64,
}

/// What a round let go of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LetGo {
    /// Bodies of deliveries.
    pub deliveries: usize,
    /// Bodies of messages, with their log.
    pub messages: usize,
    /// Answers for repeated requests.
    pub answers: usize,
}

/// Lets go of everything that is too old now. `pause` waits between two commits, and says whether to go
/// on.
pub fn let_go(
    appliance: &Appliance,
    retention: Retention,
    cursors: &mut Cursors,
    pause: &mut dyn FnMut() -> bool,
) -> Result<LetGo, Failure> {
    let now = (appliance.clock)();
    let mut done = LetGo::default();
    if let Some(before) = cutoff(now, retention.inbox_days) {
        done.deliveries = walk(&mut cursors.deliveries, pause, |cursor| {
            appliance
                .store
                .write(move |tx| tx.let_go_of_deliveries(cursor, before, ROWS_PER_COMMIT))
        })?;
    }
    if let Some(before) = cutoff(now, retention.outgoing_days) {
        done.messages = walk(&mut cursors.messages, pause, |cursor| {
            appliance.store.write(move |tx| tx.let_go_of_messages(cursor, before, ROWS_PER_COMMIT))
        })?;
    }
    // There are few: each endpoint has a handful at most.
    appliance.store.write(move |tx| tx.prune_former_secrets(now).map_err(Failure::from))?;
    loop {
        let count = appliance
            .store
            .write(move |tx| tx.let_go_of_answers(now, ROWS_PER_COMMIT).map_err(Failure::from))?;
        done.answers = done.answers.saturating_add(count);
        if count == 0 || !pause() {
            return Ok(done);
        }
    }
}

/// A commit after the other until a page is not full, or `pause` ends it; answers how many rows went.
fn walk(
    cursor: &mut i64,
    pause: &mut dyn FnMut() -> bool,
    turn: impl Fn(i64) -> Result<Passed, StoreError>,
) -> Result<usize, Failure> {
    let mut let_go: usize = 0;
    loop {
        let passed = turn(*cursor)?;
        *cursor = passed.up_to;
        let_go = let_go.saturating_add(passed.let_go);
        if !passed.has_more || !pause() {
            return Ok(let_go);
        }
    }
}

fn cutoff(now: Timestamp, days: u32) -> Option<Timestamp> {
    (days > 0).then(|| now.plus_ms(i64::from(days).saturating_mul(DAY_MS).saturating_neg()))
}

/// The background work: a round at once, and one an hour until it is stopped.
#[derive(Debug)]
pub struct Sweeper(Background);

impl Sweeper {
    /// Begins.
    pub fn start(appliance: Arc<Appliance>, retention: Retention) -> std::io::Result<Self> {
        Background::start("retention", move |stopped| run(&appliance, retention, stopped)).map(Self)
    }

    /// Ends after the commit under way.
    pub fn stopping(self) -> Stopping {
        self.0.stopping()
    }
}

fn run(appliance: &Appliance, retention: Retention, stopped: &Receiver<()>) {
    let waits = |time| stopped.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
    let mut cursors = Cursors::default();
    loop {
        match let_go(appliance, retention, &mut cursors, &mut || waits(PAUSE)) {
            Ok(LetGo { deliveries: 0, messages: 0, .. }) => {}
            Ok(LetGo { deliveries, messages, .. }) => {
                tracing::info!(deliveries, messages, "let go of bodies that were too old");
            }
            Err(error) => {
                tracing::error!(%error, "what is too old was not let go of; trying again");
            }
        }
        if !waits(EVERY) {
            return;
        }
    }
}
