//! The log: to stderr, as text on a terminal and as JSON lines everywhere else.
//!
//! A thread of its own writes it, so that whoever reads it slowly, or not at all, holds up nobody: past
//! [`LINES_MAX`] waiting lines the next ones are lost, and the log says how many.

use std::io::{self, BufWriter, IsTerminal as _, Stderr, Write};
use std::sync::{Arc, OnceLock};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

/// How many lines may wait to be written.
const LINES_MAX: usize = 8192;

/// The running log; dropped, it writes what waits, for a second at the most.
#[must_use]
pub(super) struct Log {
    _written_at_the_end: WorkerGuard,
}

/// Starts the log of a process that stays. A second start changes nothing.
pub(super) fn start(level: &str) -> Log {
    let level = level.parse().unwrap_or(LevelFilter::INFO);
    let is_terminal = io::stderr().is_terminal();
    let counter = Arc::new(OnceLock::new());
    let stderr = Lossy { inner: io::stderr(), lost: Arc::clone(&counter), told: 0, is_terminal };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(BufWriter::new(stderr));
    counter.get_or_init(|| writer.error_counter());
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(writer);
    // Whoever reads the log may end before we do: a line that cannot be written is no reason to panic.
    let log = log.log_internal_errors(false).with_ansi(is_terminal);
    let started =
        if is_terminal { log.try_init() } else { log.json().flatten_event(true).try_init() };
    // A test that runs two commands in one process has started it already.
    drop(started);
    Log { _written_at_the_end: guard }
}

/// stderr, with a line wherever lines are missing.
struct Lossy {
    inner: Stderr,
    lost: Arc<OnceLock<ErrorCounter>>,
    told: usize,
    is_terminal: bool,
}

impl Write for Lossy {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let lost = self.lost.get().map_or(0, ErrorCounter::dropped_lines);
        if lost > self.told {
            let missing = lost - self.told;
            let text = format!("{missing} lines of the log are missing here: nobody read them");
            if self.is_terminal {
                writeln!(self.inner, "{text}")?;
            } else {
                writeln!(self.inner, r#"{{"level":"WARN","message":"{text}"}}"#)?;
            }
            self.told = lost;
        }
        // Whole, so that the next word about missing lines is not in the middle of one.
        self.inner.write_all(lines)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
