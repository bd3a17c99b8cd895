//! What systemd is told, if it started us: that we are ready, alive, and stopping.
//!
//! The protocol is `sd_notify(3)`; without `NOTIFY_SOCKET` nothing is said to anybody.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use sd_notify::NotifyState;

use super::progress;
use crate::store::{Progress, StoreError};
use crate::usecase::Appliance;
use crate::usecase::background::{Background, Stopping};

/// How long a migration may go without telling how far it is: the check of a large file's pages is one step.
const MIGRATION_STEP_MAX: Duration = Duration::from_secs(3600);

/// Says that the configuration is read again; [`is_ready`] ends it.
pub(super) fn is_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager was not told"),
    }
}

/// Says that connections are taken.
pub(super) fn is_ready(status: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that requests in flight are finished, and no more are taken.
pub(super) fn is_stopping() {
    say(&[NotifyState::Stopping, NotifyState::Status("requests in flight finish")]);
}

/// Says that a migration goes on, and asks for more time: it takes as long as the register is large.
pub(super) fn is_migrating(progress: Progress) {
    let status = format!("migrates the register: {}", progress::stage(progress.stage));
    let more_us = u32::try_from(MIGRATION_STEP_MAX.as_micros()).unwrap_or(u32::MAX);
    say(&[NotifyState::ExtendTimeoutUsec(more_us), NotifyState::Status(&status)]);
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

/// Tells the service manager that we are alive, for as long as we are: twice in each of its intervals.
///
/// Alive is who answers, whatever the answer: a register on a full disk is told by `/readyz`, and no
/// restart mends it. Only a read or a write that hangs stays silent, and is then ended by the manager.
#[derive(Debug)]
pub(super) struct Watchdog(Background);

impl Watchdog {
    /// Begins, if `WATCHDOG_USEC` asks for it.
    pub(super) fn start(appliance: Arc<Appliance>) -> std::io::Result<Option<Self>> {
        let Some(interval) = sd_notify::watchdog_enabled() else { return Ok(None) };
        Background::start("watchdog", move |stopped| say_alive(&appliance, interval / 2, stopped))
            .map(|it| Some(Self(it)))
    }

    /// Ends.
    pub(super) fn stopping(self) -> Stopping {
        self.0.stopping()
    }
}

fn say_alive(appliance: &Appliance, every: Duration, stopped: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
        touch(appliance);
        say(&[NotifyState::Watchdog]);
    }
}

/// Comes back when a reader and the writer have answered.
fn touch(appliance: &Appliance) {
    let now = (appliance.clock)();
    let read = appliance.store.read(|register| register.has_due_expiry(now));
    let written = appliance.store.write(|_| Ok::<_, StoreError>(()));
    if let Err(error) = read.map(drop).and(written) {
        tracing::error!(%error, "the register answers with an error");
    }
}
