//! Which process serves a register: two advisory locks, held for the life of the process.
//!
//! One is on `<register>.lock`, and only servers, `restore` and `migrate` take it: commands, the
//! console and a replication work beside a server. Where it is follows from the register's path, so a
//! file with several names (hard links) has several of them. The other is on the register's file
//! itself and so is one whatever the name: under another name a server, and a command too, would look
//! for the log in another place and miss what was acknowledged.
//!
//! Closing any descriptor of the register ends `SQLite`'s own locks on it in the same process. So a
//! [`ServingLock`] is opened before the register and dropped after it, and [`refuse_other_names`] is
//! for processes that have not opened the register yet. The kernel ends both locks with the process,
//! however that ends; `<register>.lock` stays and means nothing by itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::store::files::{beside, create_private_if_missing, file_error};
use crate::store::{StoreError, check_is_file};

/// The right to serve a register, or to put another file in its place. To be dropped only after
/// every connection to the register was closed.
#[derive(Debug)]
pub struct ServingLock {
    _file: File,
    register: Option<File>,
}

impl ServingLock {
    /// Takes the lock of a server, which creates the register if there is none.
    pub fn of_server(register: &Path) -> Result<Self, StoreError> {
        let mut lock = Self::take(register)?;
        if lock.register.is_none() {
            create_private_if_missing(register);
            lock.register = locked(register)?;
        }
        Ok(lock)
    }

    /// Takes the lock, or says at once which process has it ([`StoreError::Served`]).
    pub fn take(register: &Path) -> Result<Self, StoreError> {
        check_is_file(register)?;
        let path = Self::path(register);
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
        Ok(Self { _file: file, register: locked(register)? })
    }

    /// The file that the lock is on, by whatever directory the register is named.
    pub fn path(register: &Path) -> PathBuf {
        let register = std::fs::canonicalize(register).unwrap_or_else(|_new| register.to_owned());
        beside(&register, ".lock")
    }

    /// Whether a process serves a register now.
    pub fn is_held(register: &Path) -> bool {
        Self::holder(register).is_some()
    }

    /// The process that serves a register now, if one does.
    pub fn holder(register: &Path) -> Option<String> {
        let file = File::open(Self::path(register)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder(&file)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

/// Refuses a register that is served under another of its names, and keeps a server off all of them as
/// long as this process lives. Only for a process that has not opened it: this may close a descriptor of
/// it.
pub fn refuse_other_names(register: &Path) -> Result<(), StoreError> {
    let has_names = std::fs::metadata(register).is_ok_and(|it| it.is_file() && it.nlink() > 1);
    if !has_names || ServingLock::is_held(register) {
        return Ok(());
    }
    let Some(file) = lockable(register) else { return Ok(()) };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(served_elsewhere(register, &file)),
        Ok(()) => {
            // Never closed: that would end SQLite's own locks.
            std::mem::forget(file);
            Ok(())
        }
        Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// The register's file, locked. `None`: it is not there, or cannot be locked in this way.
fn locked(register: &Path) -> Result<Option<File>, StoreError> {
    let Some(file) = lockable(register) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        // Shared: by a console or a command, under one of several names.
        Err(TryLockError::WouldBlock) if file.try_lock_shared().is_ok() => {
            Err(StoreError::InUse(register.to_owned()))
        }
        Err(TryLockError::WouldBlock) => Err(served_elsewhere(register, &file)),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// The register's file, where locking it does not get into the way of `SQLite`'s locks: a file system
/// of the network keeps both in one table. What cannot be opened is reported by whoever has to.
fn lockable(register: &Path) -> Option<File> {
    const NFS: i64 = 0x6969;
    const SMB: [i64; 2] = [0xFF53_4D42, 0xFE53_4D42];
    let file = File::open(register).ok()?;
    let kind = rustix::fs::fstatfs(&file).ok()?.f_type;
    (kind != NFS && !SMB.contains(&kind)).then_some(file)
}

fn served_elsewhere(register: &Path, file: &File) -> StoreError {
    let by = match locker(file) {
        Some(process) => {
            format!("process {process} under another name (a hard link), or its .lock file is gone")
        }
        None => {
            "another process under another name (a hard link), or its .lock file is gone".to_owned()
        }
    };
    StoreError::Served { path: register.to_owned(), by }
}

/// Who has locked a file, as Linux lists it: `1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF`. Some
/// file systems list another device than they tell, so the inode's number must do.
fn locker(file: &File) -> Option<String> {
    let ending = format!(":{}", file.metadata().ok()?.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        (words.next() == Some("FLOCK")).then_some(())?;
        let mut words = words.skip(2);
        let process = words.next().filter(|it| it.parse::<u32>().is_ok_and(|id| id > 0))?;
        words.next().is_some_and(|it| it.ends_with(&ending)).then(|| process.to_owned())
    })
}

fn holder(file: &File) -> String {
    let mut text = String::new();
    // A number that cannot be read is only a worse sentence.
    drop(file.take(20).read_to_string(&mut text));
    let is_number = !text.trim().is_empty() && text.trim().chars().all(|it| it.is_ascii_digit());
    if is_number { format!("process {}", text.trim()) } else { "another process".to_owned() }
}
