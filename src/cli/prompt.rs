//! A secret that is typed: a terminal shows none of it.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Reads at most `bytes_max` of a secret from stdin: on a terminal one line, after a question and without
/// an echo; otherwise all there is.
pub(super) fn secret_from_stdin(what: &str, bytes_max: u64) -> io::Result<String> {
    let stdin = io::stdin();
    let mut text = String::new();
    if !stdin.is_terminal() {
        stdin.lock().take(bytes_max).read_to_string(&mut text)?;
        return Ok(text);
    }
    let _unseen = Unseen::begin()?;
    write!(io::stderr().lock(), "{what} (it is not shown): ")?;
    stdin.read_line(&mut text)?;
    // The line's end was not echoed either.
    writeln!(io::stderr().lock())?;
    Ok(text)
}

/// While it lives, the terminal on stdin shows nothing of what is typed.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0) {
            // A terminal that is gone needs no echo.
            tracing::debug!(%error, "the terminal was not set back");
        }
    }
}
