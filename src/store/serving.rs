//! Which process serves a register: a lock beside it, held for the life of the process.
//!
//! An advisory lock on `<register>.lock`, that only servers and `restore` take: commands, the console
//! and a replication work beside a server as before. It is not on the register itself, where closing
//! any descriptor would end `SQLite`'s own locks. The kernel ends it with the process, however that
//! ends; the file stays and means nothing by itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::store::files::{beside, file_error};
use crate::store::{StoreError, check_is_file};

/// The right to serve a register, or to put another file in its place.
#[derive(Debug)]
pub struct ServingLock {
    _file: File,
}

impl ServingLock {
    /// Takes the lock, or says at once which process has it ([`StoreError::Served`]).
    pub fn take(register: &Path) -> Result<Self, StoreError> {
        check_is_file(register)?;
        let path = lock_path(register);
        let failed = |it: std::io::Error| file_error("lock", &path, &it);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Served { path: register.to_owned(), by: holder(&file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // For people only: the lock says who may, the number says whom to ask.
        let noted = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        noted.map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// Whether a process serves a register now.
    pub fn is_held(register: &Path) -> bool {
        Self::holder(register).is_some()
    }

    /// The process that serves a register now, if one does.
    pub fn holder(register: &Path) -> Option<String> {
        let file = File::open(lock_path(register)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder(&file)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

/// Two names of one file are one register.
fn lock_path(register: &Path) -> PathBuf {
    let register = std::fs::canonicalize(register).unwrap_or_else(|_new| register.to_owned());
    beside(&register, ".lock")
}

fn holder(file: &File) -> String {
    let mut text = String::new();
    // A number that cannot be read is only a worse sentence.
    drop(file.take(20).read_to_string(&mut text));
    let is_number = !text.trim().is_empty() && text.trim().chars().all(|it| it.is_ascii_digit());
    if is_number { format!("process {}", text.trim()) } else { "another process".to_owned() }
}
