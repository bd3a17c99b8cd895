//! How a copy or a proof that takes long is given up halfway, by another thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, InterruptHandle};

use crate::store::StoreError;

/// Whether a long work is to be given up. Asked between two steps; a statement that is running is
/// interrupted.
#[derive(Default)]
pub struct Cancel {
    is_wanted: AtomicBool,
    running: Mutex<Option<InterruptHandle>>,
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancel").field("is_wanted", &self.is_wanted()).finish_non_exhaustive()
    }
}

impl Cancel {
    /// Gives the work up, for good: also what begins after this.
    pub fn now(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = running.as_ref() {
            it.interrupt();
        }
    }

    /// Whether it is given up.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst)
    }

    /// An error once the work is given up.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.is_wanted() { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// From now on [`Cancel::now`] interrupts what runs on this connection.
    pub(super) fn may_interrupt(&self, connection: &Connection) -> Result<(), StoreError> {
        let handle = connection.get_interrupt_handle();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        // After that: one of the two sees the other.
        self.check()
    }
}
