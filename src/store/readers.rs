//! The read-only connections of a process: a few, shared, and taken away when the register is closed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};

use crate::store::StoreError;

/// How often a reader that is in use is looked at while the register is closed.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How many looks, in all: a second. What is interrupted ends within microseconds, unless it hangs.
const LOOKS_MAX: u32 = 1000;

/// A connection; none, once the register is closed.
type Place = Mutex<Option<Connection>>;

pub(super) struct Readers {
    spares: Vec<Place>,
    /// The one that is waited for when none of the others is free.
    last: Place,
    interrupts: Vec<InterruptHandle>,
    next: AtomicUsize,
    is_closed: AtomicBool,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readers").field("is_closed", &self.is_closed).finish_non_exhaustive()
    }
}

/// A connection on loan.
pub(super) struct Lent<'r>(MutexGuard<'r, Option<Connection>>);

impl Lent<'_> {
    pub(super) fn connection(&self) -> Result<&Connection, StoreError> {
        self.0.as_ref().ok_or(StoreError::Closed)
    }
}

impl Readers {
    pub(super) fn new(last: Connection, spares: Vec<Connection>) -> Self {
        let interrupts =
            spares.iter().chain([&last]).map(Connection::get_interrupt_handle).collect();
        Self {
            spares: spares.into_iter().map(|it| Mutex::new(Some(it))).collect(),
            last: Mutex::new(Some(last)),
            interrupts,
            next: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    /// A free connection, or the first that becomes free.
    pub(super) fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let lent = Lent(self.free().unwrap_or_else(|| locked(&self.last)));
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        Ok(lent)
    }

    fn free(&self) -> Option<MutexGuard<'_, Option<Connection>>> {
        let count = self.spares.len();
        let start = self.next.fetch_add(1, Ordering::Relaxed) % (count + 1);
        let spares = self.spares.iter().cycle().skip(start).take(count);
        for reader in spares {
            match reader.try_lock() {
                Ok(connection) => return Some(connection),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        None
    }

    /// Each in turn, waiting for those in use.
    pub(super) fn for_each(
        &self,
        work: impl Fn(&Connection) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.spares
            .iter()
            .chain([&self.last])
            .try_for_each(|it| work(Lent(locked(it)).connection()?))
    }

    /// Lends no more, interrupts what still reads, and closes the connections; answers how many are still
    /// in use, because whoever has them neither reads nor ends.
    pub(super) fn close(&self) -> usize {
        self.is_closed.store(true, Ordering::SeqCst);
        let mut looks = LOOKS_MAX;
        let places = self.spares.iter().chain([&self.last]).zip(&self.interrupts);
        places.filter(|(place, interrupt)| !has_closed(place, interrupt, &mut looks)).count()
    }
}

#[expect(clippy::disallowed_methods, reason = "the wait for whoever still reads, at the end")]
fn has_closed(place: &Place, interrupt: &InterruptHandle, looks: &mut u32) -> bool {
    loop {
        let mut connection = match place.try_lock() {
            Ok(it) => it,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if *looks == 0 => return false,
            Err(TryLockError::WouldBlock) => {
                interrupt.interrupt();
                *looks -= 1;
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
        };
        drop(connection.take());
        return true;
    }
}

fn locked(place: &Place) -> MutexGuard<'_, Option<Connection>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
