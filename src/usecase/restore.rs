//! Puts a backup in the place of the register, and says first what that would lose.
//!
//! The backup itself is only read. A copy of it is made beside the register and proven there; the old
//! register is kept aside under another name. No server may run on it meanwhile, and nobody may have
//! it open.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::domain::environment::Environment;
use crate::domain::timestamp::Timestamp;
use crate::outbox::{KeyFile, KeyFit, WebhookKey, give_to_owner_of};
use crate::store::files::{beside, directory_of, rename_durably, resolved, stamp};
use crate::store::{
    Held, Losses, Progress, Proof, ServingLock, StoreError, copy_register, losses, prove,
    put_in_place, refuse_other_names, register_bytes,
};
use crate::usecase::back_up::{BackUpError, Partial, check_room};
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
    /// What keeps the register's user from the key, and what gives it to them; `None`: nothing does.
    pub key_owner_fault: Option<String>,
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
    /// It failed late, and the key that was there could not be put back either.
    #[error("{error}; and {key}")]
    KeyLeft {
        /// What failed.
        error: Box<StoreError>,
        /// What is the matter with the key, and what to do by hand.
        key: String,
    },
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
    give_to_owner_of(&fresh.file, register);
    let key = takes_key(backup, register, &proof)
        .map(|key| restore_key(&key, register, &aside))
        .transpose()?;
    if let Err(error) = put_in_place(register, &fresh.path, &aside) {
        return Err(match key {
            // The register that was there is there still, and belongs with the key that was there.
            Some(kept) if fresh.path.exists() => key_put_back(register, kept, error),
            _ => error.into(),
        });
    }
    // The name is gone with the rename.
    drop(fresh);
    let key = fit_beside(register, &proof.endpoint_salts);
    let key_owner_fault = KeyFile::beside(register).owner_fault();
    Ok(Restored { proof, key, key_owner_fault, aside: had_register.then_some(aside), lost })
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

/// The backup's key, if it takes the place of the register's: if there is one and it is another one,
/// unless only the register's fits what is restored.
fn takes_key(backup: &Path, register: &Path, proof: &Proof) -> Option<WebhookKey> {
    let read = |it: &Path| WebhookKey::read(it).ok().flatten();
    let fit = |it: &Path| fit_beside(it, &proof.endpoint_salts);
    let key = read(backup)?;
    (read(register).as_ref() != Some(&key) && (fit(backup).is_good() || !fit(register).is_good()))
        .then_some(key)
}

/// The key goes first: a kill before the register follows leaves secrets that are not at hand, which
/// says so and signs nothing wrongly, and restoring again heals it. Answers where the key is that was
/// there before, if there was one.
fn restore_key(
    key: &WebhookKey,
    register: &Path,
    aside: &Path,
) -> Result<Option<PathBuf>, StoreError> {
    let put = KeyFile::beside(register).put(key, WebhookKey::path(aside));
    put.map_err(|error| StoreError::File {
        doing: "replace",
        path: WebhookKey::path(register),
        why: error.to_string(),
    })
}

/// Undoes [`restore_key`] after an error.
fn key_put_back(register: &Path, kept: Option<PathBuf>, error: StoreError) -> RestoreError {
    let key = WebhookKey::path(register);
    let back = match &kept {
        Some(kept) => rename_durably(kept, &key),
        None => crate::usecase::back_up::remove(&key),
    };
    let Err(fault) = back else { return error.into() };
    let key = key.display();
    let by_hand = kept.map_or_else(
        || format!("there was none before, so remove it: `rm {key}`"),
        |kept| format!("put back the one that was there: `mv {} {key}`", kept.display()),
    );
    RestoreError::KeyLeft {
        error: Box::new(error),
        key: format!("the webhook key {key} is the backup's now, because {fault}: {by_hand}"),
    }
}
