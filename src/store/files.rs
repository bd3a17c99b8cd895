//! Files around a register: names beside it, private creation, and what it takes to be on disk.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use crate::store::StoreError;

/// The file of that ending beside another: `register.db` and `.lock` give `register.db.lock`.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
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

/// Puts a directory's entries on disk, so that a rename outlives a power cut.
pub fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|it| it.sync_all()).map_err(|it| file_error("sync", path, &it))
}

/// Renames, and puts the new name on disk.
pub fn rename_durably(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(|it| file_error("rename", from, &it))?;
    sync_directory(directory_of(to))
}

/// Copies a file to a new, private one, on disk when this returns.
pub fn copy_private(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut source = File::open(from).map_err(|it| file_error("read", from, &it))?;
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
