//! A secret that is typed: a terminal shows none of it.

use std::io::{self, ErrorKind, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// What Ctrl-C, Ctrl-D and the two keys for the last character send.
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACK: [u8; 2] = [0x08, 0x7f];

/// Reads at most `bytes_max` of a secret from stdin: on a terminal one line, after a question and without
/// an echo; otherwise all there is.
pub(super) fn secret_from_stdin(what: &str, bytes_max: usize) -> io::Result<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let mut text = String::new();
        stdin
            .lock()
            .take(u64::try_from(bytes_max).unwrap_or(u64::MAX))
            .read_to_string(&mut text)?;
        return Ok(text);
    }
    let unseen = Unseen::begin()?;
    write!(io::stderr().lock(), "{what} (it is not shown): ")?;
    let mut typed = Vec::new();
    for byte in stdin.lock().bytes() {
        match byte? {
            b'\n' | b'\r' | END => break,
            INTERRUPT => {
                typed.clear();
                break;
            }
            byte if BACK.contains(&byte) => drop(typed.pop()),
            byte if typed.len() < bytes_max => typed.push(byte),
            _ => {}
        }
    }
    drop(unseen);
    // The line's end was not echoed either.
    writeln!(io::stderr().lock())?;
    if typed.is_empty() {
        return Err(io::Error::new(ErrorKind::Interrupted, "nothing was typed"));
    }
    String::from_utf8(typed).map_err(|_bytes| io::Error::new(ErrorKind::InvalidData, "not UTF-8"))
}

/// While it lives, the terminal on stdin shows nothing of what is typed. It hands on every key at once,
/// Ctrl-C too: a program that the terminal ends would leave it without an echo.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, &self.0) {
            // A terminal that is gone needs no echo.
            tracing::debug!(%error, "the terminal was not set back");
        }
    }
}
