//! Files around a register: names beside it, private creation, and what it takes to be on disk.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};

use crate::domain::timestamp::Timestamp;
use crate::store::StoreError;

/// The file of that ending beside another: `register.db` and `.lock` give `register.db.lock`.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// An instant as part of a file's name: sorts by time.
pub fn stamp(at: Timestamp) -> String {
    at.to_string().chars().filter(|it| !matches!(it, '-' | ':' | '.')).collect()
}

/// How many links are followed from one to the next, as Linux does.
const LINKS_MAX: usize = 40;

/// The file that a path leads to. If its last component is a symbolic link, the link is followed,
/// whether or not there is a file at its end; any other path stays as it was typed. Whatever has its
/// place beside a register is beside this one, by whatever link the register was named.
pub fn resolved(path: &Path) -> Result<PathBuf, StoreError> {
    let mut at = path.to_owned();
    for _ in 0..=LINKS_MAX {
        // What is no link, or cannot be looked at, is reported by whoever opens it.
        let Ok(target) = std::fs::read_link(&at) else { return Ok(at) };
        at = at.parent().unwrap_or(Path::new("")).join(target);
    }
    let error = std::io::Error::other("its symbolic links lead to one another");
    Err(file_error("follow", path, &error))
}

/// Whether a register would be created there: there is no file, or one without content.
pub fn is_new(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |it| it.len() == 0)
}

/// The directory that a file is in.
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a new file that nobody but its owner can read; one that is there already is an error.
pub fn create_private(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|it| file_error("create", path, &it))
}

/// Makes an empty file for a register, which holds names of customers: nobody but its owner reads it, nor
/// its log, which takes over its mode. That goes for an empty file that somebody has put there as well.
/// Best effort: whoever opens the register reports what really fails.
pub(super) fn create_private_if_missing(path: &Path) {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let is_empty = |it: &File| it.metadata().is_ok_and(|it| it.len() == 0);
    drop(opened.map(|it| is_empty(&it).then(|| it.set_permissions(Permissions::from_mode(0o600)))));
}

/// Puts a directory's entries on disk, so that a rename outlives a power cut.
pub fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|it| it.sync_all()).map_err(|it| file_error("sync", path, &it))
}

/// Renames, and puts the new name on disk.
pub fn rename_durably(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(|it| file_error("rename", from, &it))?;
    sync_directory(directory_of(to))
}

/// Copies a file to a new, private one, on disk when this returns. A pipe is refused: what comes out of
/// it may never end.
pub fn copy_private(from: &Path, to: &Path) -> Result<(), StoreError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(from, flags, Mode::empty());
    let mut source = File::from(opened.map_err(|it| file_error("read", from, &it.into()))?);
    if !source.metadata().is_ok_and(|it| it.is_file()) {
        let error = std::io::Error::other("it is no regular file");
        return Err(file_error("read", from, &error));
    }
    let mut copy = create_private(to)?;
    std::io::copy(&mut source, &mut copy)
        .and_then(|_bytes| copy.sync_all())
        .map_err(|it| file_error("write", to, &it))
}

/// Bytes that may still be written into the file system of a directory.
pub fn free_bytes(directory: &Path) -> Result<u64, StoreError> {
    // One that does not say is not held to be full.
    room(directory).map(|it| it.free_bytes.unwrap_or(u64::MAX))
}

/// What a file system says of itself.
pub(super) struct FileSystem {
    /// Bytes that may still be written; `None`: it does not say.
    pub(super) free_bytes: Option<u64>,
    pub(super) is_read_only: bool,
}

/// What the file system of a directory says.
pub(super) fn room(directory: &Path) -> Result<FileSystem, StoreError> {
    let it =
        rustix::fs::statvfs(directory).map_err(|it| file_error("read", directory, &it.into()))?;
    Ok(FileSystem {
        // No size at all: a file system without a limit, or one that knows of none.
        free_bytes: (it.f_blocks > 0).then(|| it.f_bavail.saturating_mul(it.f_frsize)),
        is_read_only: it.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

pub(super) fn file_error(doing: &'static str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::File { doing, path: path.to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_link_as_the_last_component_changes_a_path() {
        for path in ["countersign.db", "./kept/../countersign.db", "/nowhere/at/all", "", "/"] {
            assert_eq!(resolved(Path::new(path)).unwrap(), Path::new(path));
        }
    }
}
