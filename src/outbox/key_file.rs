//! The webhook key's file beside a register: read anew at every use, and created only on purpose.
//!
//! Guards one rule: no key takes the place of one that was lost. The secrets of webhook endpoints come
//! from the key, and the register holds a check of each, so whether the file fits can be told
//! ([`KeyFit`]). While it does not, nothing is signed wrongly: messages wait until the file is back.
//! The file itself is the truth: a server follows what an operator does to it, without a restart.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::is_of_this_machine;
use super::secret::{KEY_BYTES, Salt, WebhookKey};
use crate::domain::timestamp::Timestamp;

/// What to do about a key that does not fit; follows a sentence that says so.
pub const REMEDY: &str = "put the right file back from a backup, or, if it is lost for good, run \
                          `countersign webhook key --new` and rotate the secret of every endpoint \
                          (`countersign webhook rotate ep_...`)";

/// Why there is no webhook key.
#[derive(Debug, thiserror::Error)]
pub enum WebhookKeyError {
    /// The file cannot be read or created.
    #[error("the webhook key {path} cannot be used: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is something else in its place.
    #[error("the webhook key {path} cannot be used: {fault}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: KeyFault,
    },
}

impl WebhookKeyError {
    /// What is wrong with the file.
    pub fn fault(&self) -> KeyFault {
        match self {
            Self::File { source, .. } => KeyFault::System(source.raw_os_error()),
            Self::Unreadable { fault, .. } => *fault,
        }
    }
}

/// What is wrong with a key file that cannot be read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// The system does not give it, with this error's number.
    System(Option<i32>),
    /// A directory has its name.
    Directory,
    /// A pipe, a socket or a device has its name: it is not read, since that may never end.
    NoFile,
    /// A link has its name, with nothing at its end.
    DanglingLink,
    /// Nothing is in it.
    Empty,
    /// Something else is in it.
    NoKey,
}

impl KeyFault {
    fn is_of_permission(self) -> bool {
        let is = |number| [Errno::ACCESS, Errno::PERM].iter().any(|it| it.raw_os_error() == number);
        matches!(self, Self::System(Some(number)) if is(number))
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System(Some(number)) => {
                return std::io::Error::from_raw_os_error(*number).fmt(f);
            }
            Self::System(None) => "the system does not give it",
            Self::Directory => "it is a directory",
            Self::NoFile => "it is a pipe, a socket or a device, and no file",
            Self::DanglingLink => "it is a symbolic link to nothing",
            Self::Empty => "it is empty",
            Self::NoKey => "it is no webhook key (32 bytes in base64)",
        })
    }
}

/// Whether the webhook key beside a register is the one that its endpoints' secrets come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFit {
    /// No endpoint needs one.
    #[default]
    NotNeeded,
    /// Every endpoint's secret follows from it.
    Fits,
    /// There is none, and this many endpoints need one.
    Missing(usize),
    /// There is a file that cannot be read as one for this reason, and this many endpoints need one.
    Unreadable(usize, KeyFault),
    /// There is one, from which this many endpoints' secrets do not follow.
    Other(usize),
}

impl KeyFit {
    /// How many endpoints' secrets do not follow from the key.
    pub fn unfit_endpoints(self) -> usize {
        match self {
            Self::NotNeeded | Self::Fits => 0,
            Self::Missing(count) | Self::Unreadable(count, _) | Self::Other(count) => count,
        }
    }

    /// Whether every secret that is needed follows from the key.
    pub fn is_good(self) -> bool {
        self.unfit_endpoints() == 0
    }

    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
            Self::Fits => "fits",
            Self::Missing(_) | Self::Unreadable(..) => "missing",
            Self::Other(_) => "other",
        }
    }

    /// What is wrong with the key of a register, for an operator; `None`: nothing.
    pub fn fault(self, register: &Path) -> Option<String> {
        let file = WebhookKey::path(register);
        let file = file.display();
        let (what, count) = match self {
            Self::NotNeeded | Self::Fits => return None,
            Self::Missing(count) => (format!("there is no webhook key at {file}"), count),
            Self::Unreadable(count, fault) => {
                (format!("the webhook key {file} cannot be used: {fault}"), count)
            }
            Self::Other(count) => (format!("{file} is another webhook key"), count),
        };
        let endpoints = if count == 1 { "endpoint" } else { "endpoints" };
        Some(format!(
            "{what}: nothing can be signed for {count} webhook {endpoints}, and what is to be sent \
             there waits"
        ))
    }

    /// What to do about it; follows [`Self::fault`].
    pub fn remedy(self, register: &Path) -> String {
        match self {
            Self::Unreadable(_, fault) => remedy(register, fault),
            Self::NotNeeded | Self::Fits | Self::Missing(_) | Self::Other(_) => REMEDY.to_owned(),
        }
    }
}

/// What to do about a key file with this fault. One that may only not be read is not lost.
pub fn remedy(register: &Path, fault: KeyFault) -> String {
    if !fault.is_of_permission() {
        return match fault {
            KeyFault::System(_) => {
                "see to what the system says: the key itself may be well".to_owned()
            }
            _ => REMEDY.to_owned(),
        };
    }
    let path = WebhookKey::path(register);
    let path = path.display();
    let Ok(owner) = std::fs::metadata(register) else {
        return format!("give {path} to the register's user (`chown`), and `chmod 600 {path}`");
    };
    format!(
        "give the file to the register's user: `chown {}:{} {path}` and `chmod 600 {path}`",
        owner.uid(),
        owner.gid()
    )
}

/// How the key file stood when it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyStanding {
    /// Whether it fits.
    pub fit: KeyFit,
    /// The endpoints whose secrets do not follow from it.
    pub unfit: BTreeSet<String>,
}

/// The key file of one register.
#[derive(Debug)]
pub struct KeyFile {
    register: PathBuf,
    /// What was last read.
    held: Mutex<Option<WebhookKey>>,
    /// How it stood when it was last looked at, and when that was.
    pub last: Mutex<Option<(Timestamp, Arc<KeyStanding>)>>,
}

impl KeyFile {
    /// The file that belongs to a register; neither read nor created by this.
    pub fn beside(register: &Path) -> Self {
        Self { register: register.to_owned(), held: Mutex::default(), last: Mutex::default() }
    }

    /// The register.
    pub fn register(&self) -> &Path {
        &self.register
    }

    /// Has the next question for how it stands look again.
    pub fn forget(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, _)) = &mut *last {
            *at = Timestamp::from_ms(i64::MIN);
        }
    }

    /// The key; `None`: there is no file.
    pub fn read(&self) -> Result<Option<WebhookKey>, WebhookKeyError> {
        let read = WebhookKey::read(&self.register);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &read {
            Ok(key) => held.clone_from(key),
            // The file is what it was.
            Err(WebhookKeyError::File { source, .. }) if is_of_this_machine(source) => {
                return held.clone().map_or(read, |key| Ok(Some(key)));
            }
            Err(_) => *held = None,
        }
        read
    }

    /// The key, or a new one that only the file's owner can read. Two processes that create one at once
    /// agree on the first.
    pub fn read_or_create(&self) -> Result<WebhookKey, WebhookKeyError> {
        if let Some(key) = self.read()? {
            return Ok(key);
        }
        let path = WebhookKey::path(&self.register);
        self.create(&path)
            .map_err(|source| WebhookKeyError::File { path: path.clone(), source })?;
        self.read()?.ok_or(WebhookKeyError::Unreadable { path, fault: KeyFault::DanglingLink })
    }

    /// Puts a new key in the place of whatever is there. What was there is kept under the name that this
    /// answers, if anything was.
    pub fn replace(&self, ending: &str) -> Result<Option<PathBuf>, WebhookKeyError> {
        let path = WebhookKey::path(&self.register);
        let mut aside = path.as_os_str().to_owned();
        aside.push(ending);
        let key = WebhookKey::random();
        key.and_then(|key| self.put(&key, PathBuf::from(aside)))
            .map_err(|source| WebhookKeyError::File { path, source })
    }

    /// Puts this key in the place of whatever is there, and answers under which name that is kept, if
    /// anything was there. An error leaves what was there where it was.
    pub fn put(&self, key: &WebhookKey, aside: PathBuf) -> std::io::Result<Option<PathBuf>> {
        let path = WebhookKey::path(&self.register);
        let fresh = self.written_aside(key)?;
        let put = keep(&path, &aside).and_then(|kept| {
            let put = std::fs::rename(&fresh, &path).and_then(|()| sync_directory_of(&path));
            if put.is_err() && kept != Kept::Nothing {
                std::fs::rename(&aside, &path)?;
                // Where both are names of one file, a rename leaves both.
                drop(std::fs::remove_file(&aside));
            }
            put.map(|()| kept)
        });
        if put.is_err() {
            drop(std::fs::remove_file(&fresh));
        }
        Ok((put? != Kept::Nothing).then_some(aside))
    }

    /// What keeps the register's user from the key, if another user made it; `None`: nothing does.
    pub fn owner_fault(&self) -> Option<String> {
        let path = WebhookKey::path(&self.register);
        let (of, is) = (std::fs::metadata(&self.register).ok()?, std::fs::metadata(&path).ok()?);
        let path = path.display();
        let is_private = is.mode() & 0o044 == 0;
        (of.uid() != is.uid() && is_private).then(|| {
            format!(
                "the webhook key {path} belongs to another user than the register: \
                 `chown {}:{} {path}` gives it to the register's",
                of.uid(),
                of.gid()
            )
        })
    }

    /// Written aside and linked into place, so that nobody ever reads half a key.
    fn create(&self, path: &Path) -> std::io::Result<()> {
        let fresh = self.written_aside(&WebhookKey::random()?)?;
        let linked = match std::fs::hard_link(&fresh, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        };
        drop(std::fs::remove_file(&fresh));
        linked?;
        // A secret that was handed out must not be lost with the power.
        sync_directory_of(path)
    }

    /// A new file with this key, on disk, which only the register's user can read.
    fn written_aside(&self, key: &WebhookKey) -> std::io::Result<PathBuf> {
        // A name that no other thread or process has, or what one has just linked is written over.
        let mut own = [0_u8; 8];
        getrandom::fill(&mut own).map_err(|_os| std::io::Error::other("no randomness"))?;
        let mut fresh = WebhookKey::path(&self.register).into_os_string();
        fresh.push(format!(".{:016x}", u64::from_be_bytes(own)));
        let fresh = PathBuf::from(fresh);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh);
        let written = opened.and_then(|mut file| {
            writeln!(file, "{}", STANDARD.encode(key.bytes()))?;
            // Root may make it for a server that is not root.
            give_to_owner_of(&file, &self.register);
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(fresh),
            Err(error) => {
                drop(std::fs::remove_file(&fresh));
                Err(error)
            }
        }
    }

    /// Whether the secrets of these endpoints follow from the key: each with its id, the salt of its
    /// secret in force, and the check of it.
    pub fn look<'a>(
        &self,
        endpoints: impl Iterator<Item = (&'a str, &'a Salt, &'a [u8; 8])>,
    ) -> KeyStanding {
        let key = self.read();
        let is_derived = |id: &str, salt: &Salt, check: &[u8; 8]| match &key {
            Ok(Some(key)) => key.secret(id, salt).check() == *check,
            Ok(None) | Err(_) => false,
        };
        let mut endpoints = endpoints.peekable();
        if endpoints.peek().is_none() {
            return KeyStanding::default();
        }
        let unfit: BTreeSet<String> = endpoints
            .filter(|(id, salt, check)| !is_derived(id, salt, check))
            .map(|(id, ..)| id.to_owned())
            .collect();
        let fit = match (&key, unfit.len()) {
            (_, 0) => KeyFit::Fits,
            (Ok(Some(_)), count) => KeyFit::Other(count),
            (Ok(None), count) => KeyFit::Missing(count),
            (Err(error), count) => KeyFit::Unreadable(count, error.fault()),
        };
        KeyStanding { fit, unfit }
    }
}

impl WebhookKey {
    /// Reads the key file that belongs to a register, if there is one.
    pub fn read(register: &Path) -> Result<Option<Self>, WebhookKeyError> {
        let path = Self::path(register);
        match read_text(&path) {
            Ok(Ok(text)) if text.trim_ascii().is_empty() => {
                Err(WebhookKeyError::Unreadable { path, fault: KeyFault::Empty })
            }
            Ok(Ok(text)) => Self::parse(&text)
                .map(Some)
                .ok_or(WebhookKeyError::Unreadable { path, fault: KeyFault::NoKey }),
            Ok(Err(fault)) => Err(WebhookKeyError::Unreadable { path, fault }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(WebhookKeyError::File { path, source }),
        }
    }

    /// Where the key file of a register is.
    pub fn path(register: &Path) -> PathBuf {
        let mut name = register.as_os_str().to_owned();
        name.push(".webhook-key");
        PathBuf::from(name)
    }

    fn random() -> std::io::Result<Self> {
        let mut bytes = [0_u8; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(|_os| std::io::Error::other("no randomness"))?;
        Ok(Self::new(bytes))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        STANDARD.decode(text.trim_ascii()).ok()?.try_into().ok().map(Self::new)
    }
}

/// What is in a regular file. Anything else is not read: a pipe that nobody writes to would keep the
/// reader for ever.
fn read_text(path: &Path) -> std::io::Result<Result<Vec<u8>, KeyFault>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        // What a socket and a device without a driver say.
        Err(Errno::NXIO | Errno::NODEV) => return Ok(Err(KeyFault::NoFile)),
        opened => File::from(opened?),
    };
    let what = file.metadata()?;
    if what.is_dir() {
        return Ok(Err(KeyFault::Directory));
    }
    if !what.is_file() {
        return Ok(Err(KeyFault::NoFile));
    }
    let mut text = Vec::new();
    file.take(1024).read_to_end(&mut text)?;
    Ok(Ok(text))
}

/// Whether there was anything to keep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    Something,
}

/// Gives a file another name besides its own, or instead of it where it cannot have two.
fn keep(path: &Path, aside: &Path) -> std::io::Result<Kept> {
    match std::fs::hard_link(path, aside) {
        Ok(()) => Ok(Kept::Something),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Kept::Nothing),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // A directory, or a file system without hard links.
        Err(_) => std::fs::rename(path, aside).map(|()| Kept::Something),
    }
}

fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Gives a new file to whoever owns another, and to its group, as root may make it for a server that is
/// not root. Best effort: nobody else can give a file away.
pub fn give_to_owner_of(file: &File, other: &Path) {
    let (Ok(of), Ok(is)) = (std::fs::metadata(other), file.metadata()) else { return };
    if (of.uid(), of.gid()) != (is.uid(), is.gid()) {
        drop(fchown(file, Some(of.uid()), Some(of.gid())));
    }
}
