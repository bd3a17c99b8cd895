//! Backs the register up: a copy of one instant, with the webhook key that belongs to it, proven
//! before it bears its name.
//!
//! A backup is two files: the register as a plain `SQLite` database, and beside it `….webhook-key`.
//! Both are private and on disk before the first has its name, so a file of that name is a whole
//! backup, whatever was killed when. Old ones are removed only after a new one was proven: a register
//! that went wrong never pushes good backups out. Nor does one whose webhook key is lost: a backup
//! without the key that fits takes the place of no backup that has it.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::domain::timestamp::Timestamp;
use crate::outbox::{KeyFit, WebhookKey};
use crate::store::files::{beside, copy_private, create_private, directory_of, free_bytes};
use crate::store::files::{rename_durably, resolved, stamp, sync_directory};
use crate::store::{
    Cancel, Progress, Proof, StoreError, copy_register_unless, endpoint_salts_in, prove_unless,
    register_bytes, stamp_of,
};
use crate::usecase::webhook_key::fit_beside;

/// What a copy may need beyond the register's own size.
const SLACK_BYTES: u64 = 1024 * 1024;

/// Where a backup goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This new file.
    File(PathBuf),
    /// A new file in this directory, named for the register and the instant.
    Directory {
        /// The directory.
        path: PathBuf,
        /// How many backups of this register stay, this one included; `None`: all.
        keep: Option<usize>,
    },
}

/// A backup that was made and proven.
#[derive(Clone, Debug)]
pub struct BackedUp {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub proof: Proof,
    /// How the webhook key beside it fits.
    pub key: KeyFit,
    /// Older backups that were removed.
    pub removed: Vec<PathBuf>,
}

/// Why there is no backup. Whatever was begun is removed.
#[derive(Debug, thiserror::Error)]
pub enum BackUpError {
    /// The register, the copy or a file failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The file at the register's path is not the one that is open.
    #[error(
        "{0} was moved away or replaced under this server: put it back, or stop the server, put the right \
         file there, and start it"
    )]
    MovedAway(PathBuf),
    /// The file is there already.
    #[error("{0} is there already and is not overwritten: name a new file, or a directory")]
    Exists(PathBuf),
    /// The disk is too full.
    #[error(
        "{directory} has {free_mib} MiB free and the copy needs {needed_mib} MiB: make room, or \
         name another directory"
    )]
    NoRoom {
        /// Where the copy would go.
        directory: PathBuf,
        /// Free there, in MiB.
        free_mib: u64,
        /// Needed, in MiB.
        needed_mib: u64,
    },
    /// The copy is not good, and neither is the register then.
    #[error(
        "the copy of {register} was not kept, because its facts and its rows do not agree; older \
         backups were not touched. {fault_count} found:\n  {}\n`countersign verify` checks the \
         register itself", .faults.join("\n  ")
    )]
    NotProven {
        /// The register.
        register: PathBuf,
        /// What is wrong.
        faults: Vec<String>,
        /// How much is wrong in all.
        fault_count: u64,
    },
}

/// Makes a backup and proves it.
pub fn back_up(
    register: &Path,
    target: &Target,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackedUp, BackUpError> {
    back_up_unless(&Cancel::default(), register, target, now, progress)
}

/// As [`back_up`], until it is given up with [`StoreError::Closed`].
pub(super) fn back_up_unless(
    cancel: &Cancel,
    register: &Path,
    target: &Target,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackedUp, BackUpError> {
    let path = match target {
        Target::File(path) => resolved(path)?,
        Target::Directory { path, .. } => path.join(backup_name(register, now)),
    };
    if let Some(there) = [path.clone(), WebhookKey::path(&path)].into_iter().find(|it| it.exists())
    {
        return Err(BackUpError::Exists(there));
    }
    check_room(register_bytes(register)?, directory_of(&path))?;
    let partial = Partial::begin(&path)?;
    copy_register_unless(cancel, register, (&partial.path, &partial.file), progress)?;
    let proof = prove_unless(cancel, &partial.path, progress)?;
    if !proof.is_good() {
        return Err(BackUpError::NotProven {
            register: register.to_owned(),
            faults: proof.faults,
            fault_count: proof.fault_count,
        });
    }
    if let Ok(Some(_)) = WebhookKey::read(register) {
        copy_private(&WebhookKey::path(register), &WebhookKey::path(&path))?;
    }
    if let Err(error) = partial.finish(&path) {
        drop(std::fs::remove_file(WebhookKey::path(&path)));
        return Err(error.into());
    }
    let key = fit_beside(&path, &proof.endpoint_salts);
    let removed = match target {
        Target::File(_) | Target::Directory { keep: None, .. } => Vec::new(),
        Target::Directory { path, keep: Some(keep) } => {
            let mut found = backups_of(register, path)?;
            found.retain(|(it, _)| !is_of_another(it, &proof));
            if !key.is_good() {
                found.retain(|(it, _)| is_without_key(it));
            }
            remove_oldest(path, found, *keep, now)?
        }
    };
    Ok(BackedUp { path, proof, key, removed })
}

/// Refuses what would not fit.
pub(super) fn check_room(bytes: u64, directory: &Path) -> Result<(), BackUpError> {
    let (free, needed) = (free_bytes(directory)?, bytes.saturating_add(SLACK_BYTES));
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    Err(BackUpError::NoRoom {
        directory: directory.to_owned(),
        free_mib: free / (1024 * 1024),
        needed_mib: mib(needed),
    })
}

/// The backups of a register in a directory, oldest first, with the instant in their names.
pub fn backups_of(
    register: &Path,
    directory: &Path,
) -> Result<Vec<(PathBuf, Timestamp)>, StoreError> {
    let failed = |it: std::io::Error| StoreError::File {
        doing: "list",
        path: directory.to_owned(),
        why: it.to_string(),
    };
    let stem = stem(register);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let at = entry.file_name().to_str().and_then(|it| instant_in(it, &stem));
        found.extend(at.map(|at| (entry.path(), at)));
    }
    found.sort_by_key(|(_, at)| *at);
    Ok(found)
}

/// Whether a backup is known to be of another register than the one that was just proven: of one that had
/// this name before, or that is kept in the same directory. It is not ours to remove.
fn is_of_another(backup: &Path, proof: &Proof) -> bool {
    let ours = (proof.environment, proof.created_at);
    resolved(backup).and_then(|it| stamp_of(&it)).is_ok_and(|it| it != ours)
}

/// Whether a backup's endpoints' secrets do not follow from the key beside it. One that cannot be read
/// is not known to be without, and stays.
fn is_without_key(backup: &Path) -> bool {
    let fit = |it: &Path| Ok::<_, StoreError>(fit_beside(it, &endpoint_salts_in(it)?));
    let fit = resolved(backup).and_then(|it| fit(&it));
    matches!(fit, Ok(KeyFit::Missing(_) | KeyFit::Other(_)))
}

/// Names from the future are of a clock that was wrong. They neither count nor go: they would else
/// outlive every backup that is made now.
fn remove_oldest(
    directory: &Path,
    mut found: Vec<(PathBuf, Timestamp)>,
    keep: usize,
    now: Timestamp,
) -> Result<Vec<PathBuf>, StoreError> {
    found.retain(|(_, at)| *at <= now);
    let surplus = found.len().saturating_sub(keep.max(1));
    let mut removed = Vec::new();
    for (path, _) in found.into_iter().take(surplus) {
        remove(&path)?;
        let key = WebhookKey::path(&path);
        if key.exists() {
            remove(&key)?;
        }
        removed.push(path);
    }
    sync_directory(directory)?;
    Ok(removed)
}

pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    std::fs::remove_file(path).map_err(|it| StoreError::File {
        doing: "remove",
        path: path.to_owned(),
        why: it.to_string(),
    })
}

/// `countersign-20260514T093000123Z.db`.
fn backup_name(register: &Path, now: Timestamp) -> String {
    format!("{}-{}.db", stem(register), stamp(now))
}

fn stem(register: &Path) -> String {
    register.file_stem().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
}

fn instant_in(name: &str, stem: &str) -> Option<Timestamp> {
    let stamp = name.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(".db")?;
    let part = |range: std::ops::Range<usize>| stamp.get(range);
    let text = format!(
        "{}-{}-{}T{}:{}:{}.{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(9..11)?,
        part(11..13)?,
        part(13..15)?,
        part(15..18)?
    );
    let at = Timestamp::parse(&text)?;
    (crate::store::files::stamp(at) == stamp).then_some(at)
}

/// A copy that does not bear its name yet. Locked while its maker lives, so that what a killed one
/// left is recognized and removed by the next.
pub(super) struct Partial {
    pub(super) path: PathBuf,
    pub(super) file: File,
    is_finished: bool,
}

const PARTIAL_ENDING: &str = ".partial";

impl Partial {
    pub(super) fn begin(of: &Path) -> Result<Self, StoreError> {
        remove_abandoned(directory_of(of));
        let name = of.file_name().unwrap_or_default().to_string_lossy();
        let path = of.with_file_name(format!(".{name}.countersign{PARTIAL_ENDING}"));
        let file = create_private(&path)?;
        file.try_lock().map_err(|it| StoreError::File {
            doing: "lock",
            path: path.clone(),
            why: it.to_string(),
        })?;
        Ok(Self { path, file, is_finished: false })
    }

    pub(super) fn finish(mut self, name: &Path) -> Result<(), StoreError> {
        rename_durably(&self.path, name)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_finished {
            drop(std::fs::remove_file(&self.path));
            drop(std::fs::remove_file(beside(&self.path, "-journal")));
        }
    }
}

/// What cannot be listed or removed is reported by what comes next in the same directory.
fn remove_abandoned(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|it| it.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_ours =
            name.starts_with('.') && name.ends_with(&format!(".countersign{PARTIAL_ENDING}"));
        if is_ours && File::open(&path).is_ok_and(|it| it.try_lock().is_ok()) {
            drop(std::fs::remove_file(&path));
        }
    }
}
