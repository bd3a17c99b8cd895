//! What the signals ask for: an end in order, an end at once, or that files are read again.

use std::fs::File;
use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// SIGTERM, SIGINT and SIGHUP, held back from the moment this exists.
pub(super) struct Stop {
    signals: Signals,
    hangup: Hangup,
}

/// What SIGHUP asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hangup {
    /// The terminal is gone, or whoever sent it wants the end.
    Ends,
    /// An operator, or the service manager, wants the files to be read again.
    Reloads,
}

impl Stop {
    /// From now on a signal stops by way of [`Stop::wait`]. A SIGHUP that whoever started this process
    /// has it ignore, as `nohup` does, stays ignored.
    pub(super) fn on_signal() -> io::Result<Self> {
        let mut held = vec![SIGTERM, SIGINT];
        if !is_hangup_ignored() {
            held.push(SIGHUP);
        }
        Ok(Self { signals: Signals::new(held)?, hangup: Hangup::Ends })
    }

    /// The same, but where a SIGHUP cannot mean that a terminal has gone, because there is none, or
    /// must not end the process, because of `nohup`, it reloads: see [`Stop::wait_for_the_first`].
    pub(super) fn or_reload() -> io::Result<Self> {
        let ends = has_terminal() && !is_hangup_ignored();
        let hangup = if ends { Hangup::Ends } else { Hangup::Reloads };
        Ok(Self { signals: Signals::new([SIGTERM, SIGINT, SIGHUP])?, hangup })
    }

    /// Whether a signal has come.
    pub(super) fn is_due(&mut self) -> bool {
        self.signals.pending().next().is_some()
    }

    /// Waits for the first signal; after it, a second one ends the process at once.
    pub(super) fn wait(self) {
        if let Some(SecondSignal(signals)) = self.wait_for_the_first(|| {}) {
            signals.handle().close();
            end_at_a_signal();
        }
    }

    /// Waits for the first signal to stop; what a second one does is yet to be said. Reloads on this
    /// thread whenever a signal asks for it: those that come meanwhile are one more reload together, and
    /// the signal to stop comes after it.
    pub(super) fn wait_for_the_first(mut self, mut reload: impl FnMut()) -> Option<SecondSignal> {
        let hangup = self.hangup;
        let is_to_stop = |signal| {
            let stops = signal != SIGHUP || hangup == Hangup::Ends;
            if !stops {
                reload();
            }
            stops
        };
        self.signals.forever().any(is_to_stop).then_some(SecondSignal(self.signals))
    }
}

/// The signal after the first.
pub(super) struct SecondSignal(Signals);

impl SecondSignal {
    /// Says what it does, once it comes; a third one ends the process at once. A second SIGHUP counts for
    /// nothing: a terminal that goes may send several.
    pub(super) fn then(mut self, act: impl FnOnce() + Send + 'static) {
        let handle = self.0.handle();
        let waiting = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if self.0.forever().any(|it| it != SIGHUP) {
                end_at_a_signal();
                act();
            }
        });
        if waiting.is_err() {
            handle.close();
            end_at_a_signal();
        }
    }
}

/// From now on a signal ends the process at once.
fn end_at_a_signal() {
    for signal in [SIGTERM, SIGINT] {
        let now = Arc::new(std::sync::atomic::AtomicBool::new(true));
        drop(signal_hook::flag::register_conditional_shutdown(signal, 1, now));
    }
}

/// Whether this process has a controlling terminal, whatever its streams are.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether SIGHUP was ignored when this process started. Where the system does not say, it was not.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    mask.is_some_and(|it| it >> (SIGHUP - 1) & 1 == 1)
}
