//! Whether the disk takes what the register writes: what the writer has found out, and remembers.
//!
//! A full disk refuses large commits and still takes small ones, so one that succeeds proves nothing.
//! What proves that the disk is well again is a write that is larger than a request's, tried at most once
//! a second from the first failure on. Nobody has to ask for it.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::store::waited_for_another_process;

/// How much is written to find out whether the disk takes writes again: as much as the largest single
/// request, a webhook of 1 MiB, puts into the log. Creating an organization is 80 KiB.
const TRIED_BYTES: u64 = 1024 * 1024;
/// Between two such attempts.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Why the register takes no writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no room.
    Full,
    /// The disk fails, or is read-only.
    Failing,
    /// Another process has held the register for longer than a write waits.
    Held,
}

impl Trouble {
    pub(super) fn of(error: &rusqlite::Error) -> Option<Self> {
        match error.sqlite_error_code()? {
            ErrorCode::DiskFull => Some(Self::Full),
            ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen => {
                Some(Self::Failing)
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Self::Held),
            _ => None,
        }
    }
}

thread_local! {
    /// The disk's first failure on this thread since it was last taken. A write's own error is of
    /// its caller's type, in which the writer cannot look for it.
    static SEEN: RefCell<Option<(Trouble, String)>> = const { RefCell::new(None) };
}

/// Remembers on this thread that the disk has failed, if that is what the error says.
pub(super) fn note(error: &rusqlite::Error) {
    if let Some(trouble) = Trouble::of(error) {
        SEEN.with_borrow_mut(|it| {
            it.get_or_insert_with(|| (trouble, error.to_string()));
        });
    }
}

/// What was noted on this thread since this was last called.
pub(super) fn noted() -> Option<(Trouble, String)> {
    SEEN.take()
}

/// What everybody may know of the writer's disk.
#[derive(Debug, Default)]
pub(super) struct Standing(AtomicU8);

impl Standing {
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Trouble::Full),
            2 => Some(Trouble::Failing),
            _ => Some(Trouble::Held),
        }
    }

    fn set(&self, trouble: Option<Trouble>) {
        let value = match trouble {
            None => 0,
            Some(Trouble::Full) => 1,
            Some(Trouble::Failing) => 2,
            Some(Trouble::Held) => 3,
        };
        self.0.store(value, Ordering::Relaxed);
    }
}

/// What the writer remembers of writes that failed.
///
/// `SQLite` writes a commit to the log, then syncs it. When the sync fails the transaction is rolled
/// back for everybody who has the register open, but its frames stay where they are, and whoever
/// opens the register after a crash takes them for a commit. Another commit in their place ends that,
/// in the system's memory even while the disk still refuses to sync.
#[derive(Debug)]
pub(super) struct Doubt<'s> {
    /// The log may hold a whole commit that was answered as failed.
    has_ghost: bool,
    /// When a large write was last tried, or first needed.
    tried_at: Option<Instant>,
    /// In trouble until a large write has succeeded.
    standing: &'s Standing,
}

impl<'s> Doubt<'s> {
    pub(super) fn new(standing: &'s Standing) -> Self {
        Self { has_ghost: false, tried_at: None, standing }
    }

    /// Something of a batch that has failed may be in the log.
    pub(super) fn fear_ghost(&mut self) {
        self.has_ghost = true;
    }

    pub(super) fn begin(&mut self, trouble: Trouble, error: &str) {
        if self.standing.trouble().is_none() {
            tracing::error!(error, "the register takes no writes; they are refused meanwhile");
            self.tried_at = Some(monotonic_now());
        }
        // That somebody holds it does not make a full disk less so.
        if trouble != Trouble::Held || self.standing.trouble().is_none() {
            self.standing.set(Some(trouble));
        }
    }

    /// A commit has succeeded, which of a disk proves nothing: nobody holds the register any more.
    pub(super) fn end_of_hold(&mut self) {
        if self.standing.trouble() == Some(Trouble::Held) {
            self.end();
        }
    }

    fn end(&self) {
        self.standing.set(None);
        tracing::warn!("the register takes writes again");
    }

    /// Tries to put a commit that changes nothing in the place of the failed one.
    pub(super) fn lay_ghost(&mut self, connection: &Connection) {
        if self.has_ghost {
            let small = "BEGIN IMMEDIATE; UPDATE register SET only_row = only_row; COMMIT";
            self.has_ghost = undone_unless_done(connection, small).is_err();
        }
    }

    /// Tries whether the disk takes a large write again, unless it was tried just now; answers whether
    /// the log has been written to.
    pub(super) fn try_again(&mut self, connection: &mut Connection) -> bool {
        let now = monotonic_now();
        let is_early = |at: Instant| now.saturating_duration_since(at) < TRY_EVERY;
        if self.standing.trouble().is_none() || self.tried_at.is_some_and(is_early) {
            return false;
        }
        // Where another process holds the register, those who wait to write do not wait for this as well.
        let tried = connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| write_much(connection))
            .map(|()| self.has_ghost = true);
        self.lay_ghost(connection);
        if let Err(error) = connection.busy_handler(Some(waited_for_another_process)) {
            tracing::error!(%error, "writes do not wait for other processes");
        }
        if tried.is_ok() && !self.has_ghost {
            self.end();
        }
        // From its end on: a disk that hangs is not asked without a pause.
        self.tried_at = Some(monotonic_now());
        true
    }
}

/// Writes [`TRIED_BYTES`] into the log, behind its last commit, and takes them back: with a cache of few
/// pages, what does not fit is written before there is a commit. Nothing of it is ever read.
fn write_much(connection: &Connection) -> rusqlite::Result<()> {
    let cache: i64 = connection.pragma_query_value(None, "cache_size", |row| row.get(0))?;
    connection.pragma_update(None, "cache_size", 10)?;
    let tried = undone_unless_done(
        connection,
        &format!(
            "BEGIN IMMEDIATE;
             CREATE TABLE tried (bytes BLOB NOT NULL) STRICT;
             INSERT INTO tried (bytes) VALUES (zeroblob({TRIED_BYTES}));
             ROLLBACK"
        ),
    );
    connection.pragma_update(None, "cache_size", cache).and(tried)
}

fn undone_unless_done(connection: &Connection, statements: &str) -> rusqlite::Result<()> {
    let done = connection.execute_batch(statements);
    if !connection.is_autocommit() {
        drop(connection.execute_batch("ROLLBACK"));
    }
    done
}

#[expect(clippy::disallowed_methods, reason = "how often a disk is tried is no instant of a fact")]
pub(super) fn monotonic_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::environment::Environment;
    use crate::domain::timestamp::Timestamp;
    use crate::store::files::beside;
    use crate::store::{Opening, Store, open_connection};

    #[test]
    fn a_try_is_written_into_the_log_behind_its_last_commit_and_nothing_of_it_stays() {
        let path = std::env::temp_dir().join(format!("countersign-try-{}.db", std::process::id()));
        let now = Timestamp::from_ms(0);
        let store = Store::open(&path, Environment::Test, Opening::CreateIfMissing, now).unwrap();
        let other = open_connection(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        let log = || std::fs::metadata(beside(&path, "-wal")).unwrap().len();
        let pages =
            || -> i64 { other.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap() };
        let (log_before, pages_before) = (log(), pages());

        write_much(&other).unwrap();

        assert!(log() >= log_before + TRIED_BYTES / 10 * 9, "{} and {log_before}", log());
        assert_eq!(pages(), pages_before);
        store.is_writable().unwrap();
        let verdict: String =
            other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
        drop((store, other));
        std::fs::remove_file(path).unwrap();
    }
}
