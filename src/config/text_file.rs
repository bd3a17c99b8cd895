//! Small text files that an operator names: bounded in size, and in the time that they may take. A pipe
//! gives its text as a file does, but one that nobody writes to keeps neither a start nor a reload waiting.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

/// How long a pipe may take until its text is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything that is in a file, up to so many bytes; an error says in words what is wrong with it.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let mut file = File::from(opened.map_err(|it| std::io::Error::from(it).to_string())?);
    let is_pipe = file.metadata().is_ok_and(|it| it.file_type().is_fifo());
    let until = now() + PATIENCE;
    let most = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while text.len() <= most {
        match file.read(&mut piece) {
            // Of a pipe that nobody has opened yet, it is not the end.
            Ok(0) if is_pipe && text.is_empty() && is_coming(&file, until)? => {}
            Ok(0) => return Ok(text),
            Ok(count) => text.extend(piece.iter().take(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                is_coming(&file, until)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(format!("it is larger than {bytes_max} bytes; is it the right file?"))
}

/// Waits for more; `false`: whoever wrote has ended.
fn is_coming(file: &File, until: Instant) -> Result<bool, String> {
    let left = until.saturating_duration_since(now());
    let left = Timespec::try_from(left).unwrap_or_default();
    let mut ends = [PollFd::new(file, PollFlags::IN)];
    match poll(&mut ends, Some(&left)) {
        Ok(0) => Err(format!("nothing came out of this pipe for {} s", PATIENCE.as_secs())),
        Ok(_) => Ok(ends.iter().any(|it| it.revents().contains(PollFlags::IN))),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(std::io::Error::from(error).to_string()),
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a pipe may take is no instant of a fact")]
fn now() -> Instant {
    Instant::now()
}
