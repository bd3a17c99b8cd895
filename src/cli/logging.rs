//! The log: to stderr, as text on a terminal and as JSON lines everywhere else.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::LevelFilter;

/// Starts the log of a process that stays. A second start changes nothing.
pub(super) fn start(level: &str) {
    let level = level.parse().unwrap_or(LevelFilter::INFO);
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    // Whoever reads the log may end before we do: a line that cannot be written is no reason to panic.
    let log = log.log_internal_errors(false);
    let started = if io::stderr().is_terminal() {
        log.try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
    // A test that runs two commands in one process has started it already.
    drop(started);
}
