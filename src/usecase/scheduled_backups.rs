//! Backs up by itself while the server runs. What fails is logged, counted and tried again; nothing
//! of it reaches whoever is served.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::domain::timestamp::Timestamp;
use crate::outbox::REMEDY;
use crate::store::{Cancel, StoreError};
use crate::usecase::Appliance;
use crate::usecase::back_up::{BackUpError, BackedUp, Target, back_up_unless, backups_of};
use crate::usecase::background::{Background, Stopping};

/// How often it is asked whether a backup is due.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long after a failure the next attempt is made, at the latest.
const RETRY_AFTER_MS: i64 = 300_000;

/// Where to, how often, and how many stay.
#[derive(Clone, Debug)]
pub struct BackupPlan {
    /// The directory; made if only itself is missing.
    pub directory: PathBuf,
    /// How long after a backup the next is due, in milliseconds.
    pub every_ms: i64,
    /// How many stay.
    pub keep: usize,
}

/// Makes a backup if one is due: if the directory holds none that is younger than the plan allows, by
/// whomever it was made. So a restart neither skips one nor makes one too many.
pub fn back_up_if_due(
    appliance: &Appliance,
    plan: &BackupPlan,
) -> Result<Option<BackedUp>, BackUpError> {
    back_up_if_due_unless(&Cancel::default(), appliance, plan)
}

fn back_up_if_due_unless(
    cancel: &Cancel,
    appliance: &Appliance,
    plan: &BackupPlan,
) -> Result<Option<BackedUp>, BackUpError> {
    let now = (appliance.clock)();
    let register = appliance.store.path();
    if !plan.directory.exists() {
        let made = std::fs::DirBuilder::new().mode(0o700).create(&plan.directory);
        made.map_err(|it| StoreError::File {
            doing: "create",
            path: plan.directory.clone(),
            why: it.to_string(),
        })?;
    }
    // A name from the future is a clock that was wrong, and no reason to wait for it.
    let newest =
        backups_of(register, &plan.directory)?.into_iter().map(|(_, at)| at).rfind(|at| *at <= now);
    let tally = &appliance.store.backups;
    tally.newest_at_ms.store(newest.map_or(0, Timestamp::as_ms), Ordering::Relaxed);
    if newest.is_some_and(|it| it.plus_ms(plan.every_ms) > now) {
        return Ok(None);
    }
    if !appliance.store.is_at_its_path() {
        return Err(BackUpError::MovedAway(register.to_owned()));
    }
    let target = Target::Directory { path: plan.directory.clone(), keep: Some(plan.keep) };
    let made = back_up_unless(cancel, register, &target, now, &mut |_| {})?;
    tally.newest_at_ms.store(now.as_ms(), Ordering::Relaxed);
    tally.made.fetch_add(1, Ordering::Relaxed);
    if let Some(fault) = made.key.fault(register) {
        tally.unfit_key.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            path = %made.path.display(),
            "a backup has no webhook key that fits, and no backup that has one was removed for it: \
             {fault}: {REMEDY}"
        );
    }
    Ok(Some(made))
}

/// The thread that does it.
#[derive(Debug)]
pub struct ScheduledBackups {
    thread: Background,
    cancel: Arc<Cancel>,
}

impl ScheduledBackups {
    /// Starts.
    pub fn start(appliance: Arc<Appliance>, plan: BackupPlan) -> std::io::Result<Self> {
        let cancel = Arc::new(Cancel::default());
        let cancelled = Arc::clone(&cancel);
        let thread = Background::start("backups", move |stopped| {
            run(&appliance, &plan, &cancelled, stopped);
        })?;
        Ok(Self { thread, cancel })
    }

    /// Gives a backup under way up: what there is of it is removed, and the next server makes it.
    pub fn stopping(self) -> Stopping {
        let stopping = self.thread.stopping();
        self.cancel.now();
        stopping
    }
}

fn run(appliance: &Appliance, plan: &BackupPlan, cancel: &Cancel, stopped: &Receiver<()>) {
    let mut not_before = Timestamp::from_ms(0);
    let tally = &appliance.store.backups;
    loop {
        let begun = (appliance.clock)();
        // Also when the clock has gone back.
        not_before = not_before.min(begun.plus_ms(RETRY_AFTER_MS));
        if begun >= not_before {
            match back_up_if_due_unless(cancel, appliance, plan) {
                Ok(Some(made)) if made.key.is_good() => {
                    let took_ms = (appliance.clock)().as_ms().saturating_sub(begun.as_ms());
                    tracing::info!(
                        path = %made.path.display(), bytes = made.proof.bytes, took_ms,
                        organizations = made.proof.organizations, removed = made.removed.len(),
                        "backed up and proven"
                    );
                }
                // One without the right key has been reported.
                Ok(None | Some(_)) => {}
                Err(_) if cancel.is_wanted() => {
                    return tracing::info!("the server stops: the backup under way was given up");
                }
                Err(error) => {
                    tally.failed.fetch_add(1, Ordering::Relaxed);
                    not_before = begun.plus_ms(RETRY_AFTER_MS.min(plan.every_ms));
                    tracing::error!(%error, "no backup was made");
                }
            }
        }
        match stopped.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
