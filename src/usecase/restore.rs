//! Puts a backup in the place of the register, and says first what that would lose.
//!
//! The backup itself is only read. A copy of it is made beside the register and proven there; the old
//! register is kept aside under another name. No server may run on it meanwhile, and nobody may have
//! it open.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::domain::environment::Environment;
use crate::domain::timestamp::Timestamp;
use crate::outbox::{KeyFit, WebhookKey};
use crate::store::files::{beside, copy_private, directory_of, rename_durably, resolved};
use crate::store::{
    Held, Losses, Progress, Proof, ServingLock, StoreError, copy_register, losses, prove,
    put_in_place, refuse_other_names, register_bytes,
};
use crate::usecase::back_up::{BackUpError, Partial, check_room, stamp};
use crate::usecase::webhook_key::fit_beside;

/// What may be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Only what the backup holds as well.
    NothingNewer,
    /// Whatever is there.
    Anything,
}

/// A register that was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What is in it.
    pub proof: Proof,
    /// How the webhook key beside it fits.
    pub key: KeyFit,
    /// Where the register is that was there before, if there was one.
    pub aside: Option<PathBuf>,
    /// What the register before held besides, if it could be compared.
    pub lost: Option<Losses>,
}

/// Why nothing was restored. The register that was there is there still.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A file failed, or somebody uses the register.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// There is no room for a copy.
    #[error("{0}")]
    NoRoom(BackUpError),
    /// The backup is the register.
    #[error("{0} is the register itself: name a backup")]
    Itself(PathBuf),
    /// The backup is of the other environment.
    #[error("{backup} is a {stamped} register and this is {asked}: name another backup")]
    OtherEnvironment {
        /// The backup.
        backup: PathBuf,
        /// What it is.
        stamped: &'static str,
        /// What was asked for.
        asked: &'static str,
    },
    /// The backup's rows are not what its facts fold to.
    #[error("{backup} is not good: name an older backup. {fault_count} found:\n  {}",
            .faults.join("\n  "))]
    NotProven {
        /// The backup.
        backup: PathBuf,
        /// What is wrong.
        faults: Vec<String>,
        /// How much is wrong in all.
        fault_count: u64,
    },
    /// The register holds what the backup does not.
    #[error("the register holds what the backup does not")]
    WouldLose(Box<Losses>),
    /// The register cannot be read, so nobody can say what would be lost.
    #[error("what would be lost cannot be told, because {0}")]
    CannotCompare(StoreError),
}

/// Restores `backup` as `register`.
pub fn restore(
    backup: &Path,
    (register, environment): (&Path, Environment),
    overwrite: Overwrite,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<Restored, RestoreError> {
    // Its key is beside its file, by whatever link it was named.
    let backup = &*resolved(backup)?;
    if is_one_file(backup, register) {
        return Err(RestoreError::Itself(backup.to_owned()));
    }
    refuse_other_names(backup)?;
    let bytes = register_bytes(backup)?;
    let lock = ServingLock::take(register)?;
    check_room(bytes, directory_of(register)).map_err(RestoreError::NoRoom)?;
    let fresh = Partial::begin(register)?;
    copy_register(backup, (&fresh.path, &fresh.file), progress)?;
    let proof = proven(backup, &fresh.path, environment, progress)?;
    // From the comparison on nobody writes: what came in between would be lost without a word.
    let held = hold(register)?;
    let lost = match compared(register, &fresh.path) {
        None => None,
        Some(Ok(losses)) if losses.kinds.is_empty() => Some(losses),
        Some(Ok(losses)) if overwrite == Overwrite::NothingNewer => {
            return Err(RestoreError::WouldLose(Box::new(losses)));
        }
        Some(Ok(losses)) => Some(losses),
        // Not one of ours: kept out of harm's way even from those who insist.
        Some(Err(error @ StoreError::Foreign(_))) => return Err(error.into()),
        Some(Err(error)) if overwrite == Overwrite::NothingNewer => {
            return Err(RestoreError::CannotCompare(error));
        }
        Some(Err(_unreadable)) => None,
    };
    let aside = beside(register, &format!(".replaced-{}", stamp(now)));
    let had_register = register.exists();
    if let Some(held) = held {
        held.let_go(&lock)?;
    }
    if takes_key(backup, register, &proof) {
        restore_key(backup, register, &aside)?;
    }
    put_in_place(register, &fresh.path, &aside)?;
    // The name is gone with the rename.
    drop(fresh);
    let key = fit_beside(register, &proof.endpoint_salts);
    Ok(Restored { proof, key, aside: had_register.then_some(aside), lost })
}

/// Whether two paths name one file, by whatever links.
fn is_one_file(one: &Path, other: &Path) -> bool {
    let inode = |it: &Path| std::fs::metadata(it).map(|it| (it.dev(), it.ino())).ok();
    inode(one).is_some_and(|it| inode(other) == Some(it))
}

fn proven(
    backup: &Path,
    copy: &Path,
    environment: Environment,
    progress: &mut dyn FnMut(Progress),
) -> Result<Proof, RestoreError> {
    let proof = prove(copy, progress).map_err(|error| error.about(backup))?;
    if !proof.is_good() {
        let Proof { faults, fault_count, .. } = proof;
        return Err(RestoreError::NotProven { backup: backup.to_owned(), faults, fault_count });
    }
    if proof.environment != environment {
        return Err(RestoreError::OtherEnvironment {
            backup: backup.to_owned(),
            stamped: proof.environment.as_str(),
            asked: environment.as_str(),
        });
    }
    Ok(proof)
}

/// What is damaged cannot be held, and is put aside as it is.
fn hold(register: &Path) -> Result<Option<Held>, StoreError> {
    if !register.exists() {
        return Ok(None);
    }
    match Held::begin(register) {
        Ok(held) => Ok(Some(held)),
        Err(StoreError::Damaged { .. } | StoreError::Foreign(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// An empty file holds nothing that could be lost.
fn compared(register: &Path, copy: &Path) -> Option<Result<Losses, StoreError>> {
    let holds = std::fs::metadata(register).is_ok_and(|it| it.len() > 0);
    holds.then(|| losses(register, copy))
}

/// Whether the backup's key takes the place of the register's: if there is one and it is another one,
/// unless only the register's fits what is restored.
fn takes_key(backup: &Path, register: &Path, proof: &Proof) -> bool {
    let read = |it: &Path| std::fs::read(WebhookKey::path(it)).ok();
    let fit = |it: &Path| fit_beside(it, &proof.endpoint_salts);
    matches!(WebhookKey::read(backup), Ok(Some(_)))
        && read(backup) != read(register)
        && (fit(backup).is_good() || !fit(register).is_good())
}

/// The key goes first: a kill before the register follows leaves secrets that are not at hand, which
/// says so and signs nothing wrongly, and restoring again heals it.
fn restore_key(backup: &Path, register: &Path, aside: &Path) -> Result<(), RestoreError> {
    let (key, fresh) = (WebhookKey::path(register), WebhookKey::path(&beside(register, ".fresh")));
    if fresh.exists() {
        crate::usecase::back_up::remove(&fresh)?;
    }
    copy_private(&WebhookKey::path(backup), &fresh)?;
    if key.exists() {
        copy_private(&key, &WebhookKey::path(aside))?;
    }
    rename_durably(&fresh, &key)?;
    Ok(())
}
