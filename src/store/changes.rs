//! Who waits for a change of which organization, and how they learn of it.
//!
//! The writer wakes them after its commit; and everybody, within a tenth of a second, when it finds
//! that another process (console, command line) has committed. A waiter holds no lock and
//! no connection: it sleeps on a signal of its own, and reads again when woken.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::organization::OrganizationId;

/// Everybody who waits, by the organization that they wait for.
#[derive(Debug, Default)]
pub struct Changes {
    waited_for: Mutex<HashMap<OrganizationId, BTreeMap<u64, Arc<Waiter>>>>,
    /// The number that the next waiter gets.
    next: AtomicU64,
    /// Set for good when nobody is to wait any longer.
    ended: AtomicBool,
    /// Raised to the newest instant at which the register knew something.
    known: OnceLock<Arc<AtomicI64>>,
}

/// What one waiter sleeps on: its own, so that ending one wait wakes nobody else.
#[derive(Debug, Default)]
struct Waiter {
    told: Mutex<Told>,
    woken: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    /// Something may have changed since the last wait.
    Change,
    /// For good: the wait is over before its time.
    End,
}

impl Waiter {
    fn tell(&self, what: Told) {
        let mut told = locked(&self.told);
        if *told != Told::End {
            *told = what;
        }
        drop(told);
        self.woken.notify_one();
    }
}

/// One waiter. It sees every change that is committed after it was made.
#[derive(Debug)]
pub struct Watch<'a> {
    changes: &'a Changes,
    organization: OrganizationId,
    number: u64,
    waiter: Arc<Waiter>,
    until: Instant,
}

/// Ends one watch's waiting before its time, also if it has not begun.
#[derive(Clone, Debug, Default)]
pub struct WatchEnd(Arc<Waiter>);

impl WatchEnd {
    /// Ends it, now and later.
    pub fn now(&self) {
        self.0.tell(Told::End);
    }
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
        self.watch_ended_by(organization, at_most, &WatchEnd::default())
    }

    /// As [`Changes::watch`], until `end` is told.
    pub fn watch_ended_by(
        &self,
        organization: &OrganizationId,
        at_most: Duration,
        end: &WatchEnd,
    ) -> Watch<'_> {
        let (number, waiter) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::clone(&end.0));
        locked(&self.waited_for)
            .entry(organization.clone())
            .or_default()
            .insert(number, Arc::clone(&waiter));
        Watch {
            changes: self,
            organization: organization.clone(),
            number,
            waiter,
            until: monotonic_now() + at_most,
        }
    }

    /// How many wait.
    pub fn waiters(&self) -> usize {
        locked(&self.waited_for).values().map(BTreeMap::len).sum()
    }

    /// Tells the waiters of one organization that it may have changed.
    pub(super) fn wake(&self, organization: &OrganizationId) {
        let waiters: Vec<Arc<Waiter>> = locked(&self.waited_for)
            .get(organization)
            .map_or_else(Vec::new, |it| it.values().map(Arc::clone).collect());
        for waiter in waiters {
            waiter.tell(Told::Change);
        }
    }

    /// Tells every waiter, when nobody knows what changed.
    pub fn wake_all(&self) {
        let waiters: Vec<Arc<Waiter>> =
            locked(&self.waited_for).values().flat_map(BTreeMap::values).map(Arc::clone).collect();
        for waiter in waiters {
            waiter.tell(Told::Change);
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
        let (mut told, timeout) = self
            .waiter
            .woken
            .wait_timeout_while(locked(&self.waiter.told), pause, |it| *it == Told::Nothing)
            .unwrap_or_else(PoisonError::into_inner);
        let is_over = *told == Told::End || (timeout.timed_out() && pause == left);
        if *told == Told::Change {
            *told = Told::Nothing;
        }
        drop(told);
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
        let Some(waiters) = waited_for.get_mut(&self.organization) else { return };
        waiters.remove(&self.number);
        if waiters.is_empty() {
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
