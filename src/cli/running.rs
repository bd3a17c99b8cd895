//! What `serve` has started, and how all of it ends: told at once, waited for until one instant.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::signals::SecondSignal;
use super::supervisor::Watchdog;
use crate::http::server::Server;
use crate::usecase::Appliance;
use crate::usecase::background::{Deadline, Stopping};
use crate::usecase::deliver_events::Courier;
use crate::usecase::reconciler::Reconciler;
use crate::usecase::retention::Sweeper;
use crate::usecase::scheduled_backups::ScheduledBackups;
use crate::usecase::timekeeping::Timekeeping;

/// How long requests and webhooks in flight may take to finish after a signal: longer than one call to
/// Sumsub. With what closing the register may take, it is less than the unit's `TimeoutStopSec`.
const GRACE: Duration = Duration::from_secs(10);

/// What runs. A start that fails halfway has started some of it.
#[derive(Default)]
pub(super) struct Running {
    pub(super) server: Option<Server>,
    pub(super) metrics: Option<Server>,
    pub(super) courier: Option<Courier>,
    pub(super) sweeper: Option<Sweeper>,
    pub(super) backups: Option<ScheduledBackups>,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) timekeeping: Option<Timekeeping>,
    pub(super) reconciler: Option<Reconciler>,
}

/// How a stop ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// What was in flight is finished, or its time was over.
    InOrder,
    /// A second signal did not let it finish.
    AtOnce,
}

/// Tells that everything has stopped, when dropped: also when that panics.
struct Told(Sender<Stopped>);

impl Drop for Told {
    fn drop(&mut self) {
        drop(self.0.send(Stopped::InOrder));
    }
}

impl Running {
    /// Stops everything, for [`GRACE`] at the most, or until a second signal.
    pub(super) fn stop(self, appliance: &Arc<Appliance>, second: Option<SecondSignal>) -> Stopped {
        let (end, ended) = channel();
        let (appliance, in_order) = (Arc::clone(appliance), end.clone());
        if let Some(second) = second {
            second.then(move || drop(end.send(Stopped::AtOnce)));
        }
        let work = move || {
            let _told = Told(in_order);
            self.stop_in_order(&appliance);
        };
        // Without a thread, nothing in flight can be waited for.
        let stopping = std::thread::Builder::new().name("stop".to_owned()).spawn(work);
        stopping.ok().and_then(|_detached| ended.recv().ok()).unwrap_or(Stopped::AtOnce)
    }

    fn stop_in_order(self, appliance: &Appliance) {
        let deadline = Deadline::after(GRACE);
        appliance.store.changes().end_waits();
        let stopping: Vec<Stopping> = [
            self.backups.map(ScheduledBackups::stopping),
            self.courier.map(|it| it.stopping(deadline)),
            self.reconciler.map(Reconciler::stopping),
            self.timekeeping.map(Timekeeping::stopping),
            self.sweeper.map(Sweeper::stopping),
            self.watchdog.map(Watchdog::stopping),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let Some(server) = self.server {
            server.stop(deadline.left());
        }
        if let Some(metrics) = self.metrics {
            metrics.stop(Duration::ZERO);
        }
        for it in stopping {
            it.join_until(deadline);
        }
    }
}
