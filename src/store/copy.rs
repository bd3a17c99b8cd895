//! A copy of the register as it was at one instant, while everybody goes on reading and writing.
//!
//! `SQLite`'s backup API, in steps, inside one read transaction that is open from the first step to the
//! last: so every page is of one commit, and a write never makes it begin anew. In WAL mode a reader
//! holds no writer up; it only keeps the log from being folded back while it lasts. What was copied is
//! put on disk step by step, because one sync of everything in the end would hold up the syncs of the
//! register's own commits.

use std::fs::File;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::domain::environment::Environment;
use crate::domain::timestamp::Timestamp;
use crate::store::cancel::Cancel;
use crate::store::files::file_error;
use crate::store::{StoreError, check_kind, check_version, damage, open_connection, stamp};

/// Pages of one step: 4 MiB, which any disk syncs in the time of a few commits.
const STEP_PAGES: i32 = 1024;

/// How far a long work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// How much of it is done.
    pub done: u64,
    /// How much there is; 0: not known.
    pub total: u64,
}

/// What is being done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Pages are copied.
    Copying,
    /// `SQLite` looks at every page and every reference.
    Checking,
    /// Facts are folded and compared with the rows.
    Folding,
}

/// Copies the register into a new, empty file that is open as `file`; on disk when this returns. The
/// copy is a plain database of one file, without a log beside it.
pub fn copy_register(
    from: &Path,
    to: (&Path, &File),
    progress: &mut dyn FnMut(Progress),
) -> Result<(), StoreError> {
    copy_register_unless(&Cancel::default(), from, to, progress)
}

/// As [`copy_register`], until it is given up with [`StoreError::Closed`].
pub fn copy_register_unless(
    cancel: &Cancel,
    from: &Path,
    to: (&Path, &File),
    progress: &mut dyn FnMut(Progress),
) -> Result<(), StoreError> {
    copy(cancel, from, to, progress).map_err(|it| damage(from, it))
}

/// Bytes that a copy of the register needs now.
pub fn register_bytes(path: &Path) -> Result<u64, StoreError> {
    let bytes = || -> Result<i64, StoreError> {
        let connection = open_existing(path)?;
        Ok(connection.query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get(0),
        )?)
    };
    bytes().map(|it| u64::try_from(it).unwrap_or(0)).map_err(|it| damage(path, it))
}

/// What tells a register or a backup from others, of whatever version it is: its environment, and when
/// the register was made.
pub fn stamp_of(path: &Path) -> Result<(Environment, Timestamp), StoreError> {
    open_existing(path).and_then(|it| stamp(&it)).map_err(|it| damage(path, it))
}

/// Opens a file that must be a register of this program's version, to read it.
pub(super) fn open_current(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_existing(path)?;
    check_version(path, &connection)?;
    Ok(connection)
}

/// Opens a file that must be a register, of this version or an earlier one, to read it.
pub(super) fn open_existing(path: &Path) -> Result<Connection, StoreError> {
    if !path.is_file() {
        let error = std::io::Error::other("there is no such file");
        return Err(file_error("open", path, &error));
    }
    let connection = open_connection(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check_kind(path, &connection)?;
    Ok(connection)
}

fn copy(
    cancel: &Cancel,
    from: &Path,
    (to, file): (&Path, &File),
    progress: &mut dyn FnMut(Progress),
) -> Result<(), StoreError> {
    let source = open_existing(from)?;
    let written = |it: rusqlite::Error| StoreError::File {
        doing: "write",
        path: to.to_owned(),
        why: it.to_string(),
    };
    // The transaction's first read is its instant.
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")?;
    let mut target = Connection::open_with_flags(
        to,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(written)?;
    // A half-written copy is thrown away, so nothing needs to be rolled back in it.
    target
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        .map_err(written)?;
    let backup = Backup::new(&source, &mut target).map_err(written)?;
    loop {
        cancel.check()?;
        let step = backup.step(STEP_PAGES).map_err(written)?;
        file.sync_data().map_err(|it| file_error("sync", to, &it))?;
        let pages = backup.progress();
        let count = |it: i32| u64::try_from(it).unwrap_or(0);
        progress(Progress {
            stage: Stage::Copying,
            done: count(pages.pagecount.saturating_sub(pages.remaining)),
            total: count(pages.pagecount),
        });
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(StoreError::Busy),
        }
    }
    drop(backup);
    target.execute_batch("PRAGMA journal_mode = DELETE;").map_err(written)?;
    drop(target);
    file.sync_all().map_err(|it| file_error("sync", to, &it))
}
