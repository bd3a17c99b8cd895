//! Who waits for a change of which organization, and how they learn of it.
//!
//! The writer wakes them after its commit; and everybody, within a tenth of a second, when it finds
//! that another process (console, command line) has committed. A waiter holds no lock and
//! no connection: it sleeps on its organization's own signal, and reads again when woken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::organization::OrganizationId;

/// The signals of every organization that somebody waits for.
#[derive(Debug, Default)]
pub struct Changes {
    waited_for: Mutex<HashMap<OrganizationId, (usize, Arc<Signal>)>>,
    /// Set for good when nobody is to wait any longer.
    ended: AtomicBool,
    /// Raised to the newest instant at which the register knew something.
    known: OnceLock<Arc<AtomicI64>>,
}

#[derive(Debug, Default)]
struct Signal {
    turn: Mutex<u64>,
    turned: Condvar,
}

impl Signal {
    fn give(&self) {
        let mut turn = locked(&self.turn);
        *turn = turn.wrapping_add(1);
        self.turned.notify_all();
    }
}

/// One waiter. It sees every change that is committed after it was made.
#[derive(Debug)]
pub struct Watch<'a> {
    changes: &'a Changes,
    organization: OrganizationId,
    signal: Arc<Signal>,
    seen: u64,
    until: Instant,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something may have changed: read again.
    Change,
    /// The time that was asked for is over.
    Over,
}

impl Changes {
    /// Begins to watch an organization, for so long at the most. Read after this, not before.
    pub fn watch(&self, organization: &OrganizationId, at_most: Duration) -> Watch<'_> {
        let signal = {
            let mut waited_for = locked(&self.waited_for);
            let (waiters, signal) = waited_for.entry(organization.clone()).or_default();
            *waiters = waiters.saturating_add(1);
            Arc::clone(signal)
        };
        let seen = *locked(&signal.turn);
        Watch {
            changes: self,
            organization: organization.clone(),
            signal,
            seen,
            until: monotonic_now() + at_most,
        }
    }

    /// How many wait.
    pub fn waiters(&self) -> usize {
        locked(&self.waited_for).values().map(|(waiters, _)| waiters).sum()
    }

    /// Tells the waiters of one organization that it may have changed.
    pub(super) fn wake(&self, organization: &OrganizationId) {
        let signal =
            locked(&self.waited_for).get(organization).map(|(_, signal)| Arc::clone(signal));
        if let Some(signal) = signal {
            signal.give();
        }
    }

    /// Tells every waiter, when nobody knows what changed.
    pub fn wake_all(&self) {
        let signals: Vec<Arc<Signal>> =
            locked(&self.waited_for).values().map(|(_, signal)| Arc::clone(signal)).collect();
        for signal in signals {
            signal.give();
        }
    }

    /// From now on `floor` is raised to the newest instant at which the register knew something.
    pub(super) fn report_known(&self, floor: Arc<AtomicI64>) {
        // A second report would be to the same clock.
        drop(self.known.set(floor));
    }

    pub(super) fn raise_known(&self, known_at_ms: i64) {
        if let Some(floor) = self.known.get() {
            floor.fetch_max(known_at_ms, Ordering::Relaxed);
        }
    }

    /// Ends every wait, now and later: the server stops.
    pub fn end_waits(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.wake_all();
    }
}

impl Watch<'_> {
    /// Sleeps until the organization may have changed, until `at_most` from now, or until the time
    /// that the watch was made for is over. `at_most` ending counts as a change: the caller knows
    /// of an instant at which what it read is over.
    pub fn wait(&mut self, at_most: Option<Duration>) -> Woken {
        if self.changes.ended.load(Ordering::SeqCst) {
            return Woken::Over;
        }
        let left = self.until.saturating_duration_since(monotonic_now());
        let pause = at_most.map_or(left, |it| it.min(left));
        let turn = locked(&self.signal.turn);
        let seen = self.seen;
        let (turn, timeout) = self
            .signal
            .turned
            .wait_timeout_while(turn, pause, |turn| *turn == seen)
            .unwrap_or_else(PoisonError::into_inner);
        self.seen = *turn;
        drop(turn);
        let is_over = timeout.timed_out() && pause == left;
        if is_over || self.changes.ended.load(Ordering::SeqCst) {
            Woken::Over
        } else {
            Woken::Change
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut waited_for = locked(&self.changes.waited_for);
        let Some((waiters, _)) = waited_for.get_mut(&self.organization) else { return };
        *waiters = waiters.saturating_sub(1);
        if *waiters == 0 {
            waited_for.remove(&self.organization);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a wait is as long as its client counts it")]
fn monotonic_now() -> Instant {
    Instant::now()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
