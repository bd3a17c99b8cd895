//! The log: to stderr, as text on a terminal and as JSON lines everywhere else.
//!
//! A thread of its own writes it, so that whoever reads it slowly, or not at all, holds up nobody: past
//! [`LINES_MAX`] waiting lines the next ones are lost, and the log says how many.

use std::fmt::{self, Debug};
use std::io::{self, BufWriter, IsTerminal as _, Stderr, Write};
use std::sync::{Arc, OnceLock};

use tracing::field::Field;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::domain::text::{shown, shown_json};

/// How many lines may wait to be written.
const LINES_MAX: usize = 8192;

/// The running log; dropped, it writes what waits, for a second at the most.
#[must_use]
pub(super) struct Log {
    level: reload::Handle<LevelFilter, Registry>,
    _written_at_the_end: WorkerGuard,
}

impl Log {
    /// Writes from now on the lines of this level and above.
    pub(super) fn show_from(&self, level: &str) {
        // It fails where the log of another command of this process is the one that writes.
        drop(self.level.reload(level_of(level)));
    }
}

/// Whether the first level writes more lines than the second one.
pub(super) fn writes_more(level: &str, other: &str) -> bool {
    level_of(level) > level_of(other)
}

fn level_of(level: &str) -> LevelFilter {
    level.parse().unwrap_or(LevelFilter::INFO)
}

/// Starts the log of a process that stays. A second start changes nothing.
pub(super) fn start(level: &str) -> Log {
    let level = level_of(level);
    let is_terminal = io::stderr().is_terminal();
    let counter = Arc::new(OnceLock::new());
    let stderr = Lossy { inner: io::stderr(), lost: Arc::clone(&counter), told: 0, is_terminal };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(BufWriter::new(stderr));
    counter.get_or_init(|| writer.error_counter());
    let (shown, level) = reload::Layer::new(level);
    let lines = tracing_subscriber::registry().with(shown);
    let log = tracing_subscriber::fmt::layer().with_writer(writer);
    // Whoever reads the log may end before we do: a line that cannot be written is no reason to panic.
    let log = log.log_internal_errors(false).with_ansi(is_terminal);
    let started = if is_terminal {
        lines.with(log.fmt_fields(debug_fn(field).delimited(" "))).try_init()
    } else {
        lines.with(log.json().flatten_event(true)).try_init()
    };
    // A test that runs two commands in one process has started it already.
    drop(started);
    Log { level, _written_at_the_end: guard }
}

/// A field on a terminal. Errors quote Sumsub, receivers and clients, and a terminal would obey them.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(writer, "{}", shown(&value)),
        name => write!(writer, "{name}={}", shown(&value)),
    }
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
        if self.is_terminal {
            self.inner.write_all(lines)?;
        } else {
            // JSON escapes the controls of ASCII; what reads a journal may print the others.
            self.inner.write_all(shown_json(&String::from_utf8_lossy(lines)).as_bytes())?;
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// What the log of a terminal says of an event.
    fn said(tell: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&lines);
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(move || Kept(Arc::clone(&writer)))
            .fmt_fields(debug_fn(field).delimited(" "))
            .finish();
        tracing::subscriber::with_default(log, tell);
        let lines = lines.lock().unwrap();
        String::from_utf8(lines.clone()).unwrap()
    }

    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(lines);
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_log_on_a_terminal_obeys_nobody_whom_it_quotes() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}b\nc\u{ad}";

        let line = said(|| {
            tracing::warn!(error = %hostile, name = hostile, debug = ?hostile, "it said {hostile}");
        });

        assert!(
            line.contains(r"it said a\u{1b}[2J\u{9b}31m\u{202e}b c\u{ad} error=a\u{1b}"),
            "{line}"
        );
        let obeyed = |it: char| it != '\n' && !crate::domain::text::is_plain(&it.to_string());
        assert!(!line.contains(obeyed) && line.lines().count() == 1, "{line}");
    }
}
