//! Brings a register to this program's version: a migrated, proven copy takes its place, and the
//! register as it was is kept beside it.

use std::path::{Path, PathBuf};

use crate::domain::timestamp::Timestamp;
use crate::store::files::{beside, directory_of, stamp};
use crate::store::{
    Held, Migration, Progress, Proof, ServingLock, StoreError, apply_migrations, copy_register,
    prove, put_in_place, register_bytes, steps_for,
};
use crate::usecase::back_up::{BackUpError, Partial, check_room};

/// What a migration did.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// The version before.
    pub from: i32,
    /// The steps that were taken.
    pub steps: Vec<Migration>,
    /// Where the register as it was is; `None`: there was nothing to do.
    pub before: Option<PathBuf>,
    /// What the register holds now, if anything was done.
    pub proof: Option<Proof>,
}

/// Migrates a register; one of this version is left alone. Whatever fails, the register is as it was.
pub fn migrate(
    register: &Path,
    migrations: &[Migration],
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<Migrated, BackUpError> {
    let lock = ServingLock::take(register)?;
    let (from, steps) = steps_for(register, migrations)?;
    if steps.is_empty() {
        return Ok(Migrated { from, steps: Vec::new(), before: None, proof: None });
    }
    check_room(register_bytes(register)?.saturating_mul(2), directory_of(register))?;
    let held = Held::begin(register)?;
    let fresh = Partial::begin(register)?;
    copy_register(register, (&fresh.path, &fresh.file), progress)?;
    apply_migrations(&fresh.path, steps)?;
    let proof = prove(&fresh.path, progress)?;
    if !proof.is_good() {
        let Proof { faults, fault_count, .. } = proof;
        return Err(BackUpError::NotProven { register: register.to_owned(), faults, fault_count });
    }
    fresh.file.sync_all().map_err(|it| StoreError::File {
        doing: "sync",
        path: fresh.path.clone(),
        why: it.to_string(),
    })?;
    let before = beside(register, &format!(".version-{from}-{}", stamp(now)));
    held.let_go(&lock)?;
    put_in_place(register, &fresh.path, &before)?;
    Ok(Migrated { from, steps: steps.to_vec(), before: Some(before), proof: Some(proof) })
}
