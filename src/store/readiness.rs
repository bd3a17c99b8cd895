//! Whether the register can do its work now, found out without writing to it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::Connection;

use crate::store::disk::Trouble;
use crate::store::files::{beside, directory_of, room};
use crate::store::{Store, StoreError, shape};

/// With less room than that, no write is counted on: the largest single one, a webhook of 1 MiB, goes
/// into the log, and into the file once the log is folded, and another may be in the same commit.
const ROOM_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// Whether the register can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Whatever is written now will be there.
    Writable,
    /// A write has failed, and none of real size has succeeded since; or the disk is read-only.
    NotWritable,
    /// A write has found no room, or the next one may find none.
    DiskFull,
    /// The file at the register's path, or the log beside it, is not the one that is open.
    MovedAway,
    /// The file cannot be read, or lacks a table.
    NotReadable,
}

/// What the file system says of the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that may still be written; `None`: the file system does not say.
    pub free_bytes: Option<u64>,
    /// Size of the log.
    pub log_bytes: u64,
}

impl Store {
    /// Finds it out. Costs a few calls to the system, and no commit.
    pub fn readiness(&self) -> Readiness {
        if !self.is_at_its_path() {
            return Readiness::MovedAway;
        }
        match self.writer.trouble() {
            Some(Trouble::Full) => return Readiness::DiskFull,
            Some(Trouble::Failing | Trouble::Held) => return Readiness::NotWritable,
            None => {}
        }
        match room(directory_of(&self.path)) {
            Err(_) => return Readiness::NotReadable,
            Ok(it) if it.is_read_only => return Readiness::NotWritable,
            Ok(it) if it.free_bytes.is_some_and(|it| it < ROOM_BYTES_MIN) => {
                return Readiness::DiskFull;
            }
            Ok(_) => {}
        }
        match self.read(|register| has_every_table(register.connection)) {
            Ok(()) => Readiness::Writable,
            Err(_) => Readiness::NotReadable,
        }
    }

    /// Whether the path still names the files that are open.
    pub fn is_at_its_path(&self) -> bool {
        self.files.are_at(&self.path)
    }

    /// Whether the writer is known to fail or to hang: a look that was well is out of date then.
    pub fn is_in_trouble(&self) -> bool {
        self.writer.trouble().is_some()
    }

    /// How much room there is, and how much the log takes.
    pub fn room(&self) -> Room {
        let log = std::fs::metadata(beside(&self.path, "-wal"));
        Room {
            free_bytes: room(directory_of(&self.path)).ok().and_then(|it| it.free_bytes),
            log_bytes: log.map_or(0, |it| it.len()),
        }
    }
}

/// An error unless every table of the schema is there and its first page can be read.
fn has_every_table(connection: &Connection) -> Result<(), StoreError> {
    let looks: Vec<String> =
        shape::tables()?.into_iter().map(|it| format!("EXISTS (SELECT 1 FROM {it})")).collect();
    let mut statement = connection.prepare_cached(&format!("SELECT {}", looks.join(", ")))?;
    Ok(statement.query_row([], |_| Ok(()))?)
}

/// Which files a register consists of: device and number of the file and of its log.
#[derive(Debug)]
pub(super) struct Files {
    register: Option<FileNumber>,
    log: Option<FileNumber>,
}

type FileNumber = (u64, u64);

impl Files {
    /// Those that the path names now.
    pub(super) fn of(path: &Path) -> Self {
        let number = |path: &Path| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
        Self { register: number(path), log: number(&beside(path, "-wal")) }
    }

    /// Whether the path still names these. A file system that can have no log beside a file has none.
    fn are_at(&self, path: &Path) -> bool {
        let now = Self::of(path);
        now.register == self.register && (self.log.is_none() || now.log == self.log)
    }
}
