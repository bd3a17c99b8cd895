//! Threads that work beside the requests until the server stops, and how a stop waits for them.
//!
//! All of them are told first, and waited for after that, up to one instant: so a stop takes as long as
//! the slowest, and not as long as their sum. One that does not end by then is left alone: the register is
//! closed without it, and refuses what it still tries to do.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a thread that knows the deadline itself still needs after it.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// The instant by which something must have ended.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(span: Duration) -> Self {
        Self(monotonic_now() + span)
    }

    /// How long it is until then; nothing, once it is past.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(monotonic_now())
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a stop takes is no instant of a fact")]
fn monotonic_now() -> Instant {
    Instant::now()
}

/// A thread that works until it is stopped.
#[derive(Debug)]
pub struct Background {
    /// Dropped, it tells the thread for good; a message would be used up by the first wait that sees it.
    stop: Sender<()>,
    thread: Stopping,
}

impl Background {
    /// Starts a thread. Its work ends when the receiver has lost its sender.
    pub fn start(
        name: &'static str,
        work: impl FnOnce(&Receiver<()>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = Stopping::spawn(name, move || work(&stopped))?;
        Ok(Self { stop, thread })
    }

    /// Tells the thread to end, and does not wait for it.
    pub fn stopping(self) -> Stopping {
        drop(self.stop);
        self.thread
    }
}

/// A thread that has been told to end, or ends by itself.
#[derive(Debug)]
pub struct Stopping {
    name: &'static str,
    /// Loses its sender when the thread ends, however it ends.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Stopping {
    /// Starts a thread that will know by itself when to end.
    pub(super) fn spawn(
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (alive, ended) = channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _alive: Sender<()> = alive;
            work();
        })?;
        Ok(Self { name, ended, thread })
    }

    /// Waits for the end.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(thread = self.name, "a thread of the server had panicked");
        }
    }

    /// Waits for the end until the deadline.
    pub fn join_until(self, deadline: Deadline) {
        if self.ended.recv_timeout(deadline.left() + LAST_MOMENT) == Err(RecvTimeoutError::Timeout)
        {
            tracing::warn!(thread = self.name, "a thread of the server did not end in time");
        } else {
            self.join();
        }
    }
}
