//! Endpoint secrets, derived and never stored.
//!
//! A signature needs the secret itself, so a hash cannot be kept; and what stands in the register
//! in clear is lost with any copy of it. So a secret is HMAC-SHA256, under the server's webhook
//! key, of the endpoint's id and a random salt; the register holds the salt. Nothing is encrypted,
//! so there is no nonce to repeat and no ciphertext to keep: a rotation is a new salt. The key
//! stands in a file of its own beside the register, 0600, and belongs into a backup with it. Were
//! it lost, every secret would be another one; the register's check of each secret tells, nothing
//! is then signed wrongly, and a rotation heals.
//!
//! The addresses of hand-off links are derived from the same key, under a label of their own: with
//! another key, the links that exist go on working, and the next session creates a new one.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// What Standard Webhooks puts before the base64 of a symmetric secret.
const SECRET_PREFIX: &str = "whsec_";
const KEY_BYTES: usize = 32;

/// A secret's salt, as the register keeps it.
pub type Salt = [u8; 16];

/// An endpoint's secret. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Reads `whsec_…`.
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok().map(Self)
    }

    /// `whsec_…`, for its owner.
    pub fn expose(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// What the register keeps to notice another webhook key: 8 bytes that tell nothing else.
    pub fn check(&self) -> [u8; 8] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(b"countersign webhook secret check")
            .chain_update(&self.0)
            .finalize()
            .into();
        let mut check = [0; 8];
        for (to, from) in check.iter_mut().zip(digest) {
            *to = from;
        }
        check
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why there is no webhook key.
#[derive(Debug, thiserror::Error)]
pub enum WebhookKeyError {
    /// The file cannot be read or made.
    #[error("the webhook key {path} cannot be used: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "{0} is not a webhook key (32 bytes in base64): put the right file back from a backup, or \
         move it away and rotate every endpoint's secret"
    )]
    Unreadable(PathBuf),
}

/// The server's key, from which every endpoint's secret is derived. Never printed by `Debug`.
pub struct WebhookKey([u8; KEY_BYTES]);

impl WebhookKey {
    /// A key of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads the key file that belongs to a register, or makes one that only its owner can read.
    pub fn beside(register: &Path) -> Result<Self, WebhookKeyError> {
        if let Some(key) = Self::read(register)? {
            return Ok(key);
        }
        let path = Self::path(register);
        create(&path).map_err(|source| WebhookKeyError::File { path: path.clone(), source })?;
        // Whoever came first wins: two processes that start at once agree on one key.
        Self::read(register)?.ok_or(WebhookKeyError::Unreadable(path))
    }

    /// Reads the key file that belongs to a register, if there is one.
    pub fn read(register: &Path) -> Result<Option<Self>, WebhookKeyError> {
        let path = Self::path(register);
        match read_text(&path) {
            Ok(text) => Self::parse(&text).map(Some).ok_or(WebhookKeyError::Unreadable(path)),
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

    fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text.trim()).ok()?.try_into().ok().map(Self)
    }

    /// The secret of an endpoint with this salt.
    pub fn secret(&self, endpoint_id: &str, salt: &Salt) -> Secret {
        let mut secret = Vec::new();
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.update(b"countersign webhook secret v1\0");
            mac.update(salt);
            mac.update(endpoint_id.as_bytes());
            secret = mac.finalize().into_bytes().to_vec();
        }
        Secret(secret)
    }
}

impl WebhookKey {
    /// The random half of a hand-off link's address, so that the address can be shown again although
    /// the register keeps only its hash.
    pub fn link_secret(&self, link_id: &str) -> [u8; 32] {
        let mut secret = [0; 32];
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.update(b"countersign hand-off link v1\0");
            mac.update(link_id.as_bytes());
            secret = mac.finalize().into_bytes().into();
        }
        secret
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(…)")
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(1024).read_to_string(&mut text)?;
    Ok(text)
}

/// Written aside and linked into place, so that nobody ever reads half a key.
fn create(path: &Path) -> std::io::Result<()> {
    let mut bytes = [0_u8; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|_os| std::io::Error::other("no randomness"))?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}", std::process::id()));
    let aside = PathBuf::from(aside);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut file| {
            writeln!(file, "{}", STANDARD.encode(bytes))?;
            file.sync_all()
        })
        .and_then(|()| match std::fs::hard_link(&aside, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    drop(std::fs::remove_file(&aside));
    written?;
    // A secret that was handed out must not be lost with the power.
    match path.parent().filter(|it| !it.as_os_str().is_empty()) {
        Some(directory) => File::open(directory)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_of_its_endpoint_its_salt_and_its_server() {
        let key = WebhookKey::new([7; 32]);
        let secret = key.secret("ep_1", &[1; 16]);

        assert_eq!(secret, key.secret("ep_1", &[1; 16]));
        assert_ne!(secret, key.secret("ep_2", &[1; 16]));
        assert_ne!(secret, key.secret("ep_1", &[2; 16]));
        assert_ne!(secret, WebhookKey::new([8; 32]).secret("ep_1", &[1; 16]));
        assert_ne!(secret.check(), key.secret("ep_1", &[2; 16]).check());
    }

    #[test]
    fn a_link_is_of_its_id_and_its_server_and_of_no_endpoint() {
        let key = WebhookKey::new([7; 32]);
        let link = key.link_secret("link_1");

        assert_eq!(link, key.link_secret("link_1"));
        assert_ne!(link, key.link_secret("link_2"));
        assert_ne!(link, WebhookKey::new([8; 32]).link_secret("link_1"));
        for salt in [[0; 16], *b"link_1\0\0\0\0\0\0\0\0\0\0"] {
            assert_ne!(link.as_slice(), key.secret("link_1", &salt).bytes());
        }
    }

    #[test]
    fn a_secret_reads_back_and_is_not_shown_by_accident() {
        let secret = WebhookKey::new([7; 32]).secret("ep_1", &[1; 16]);

        assert_eq!(Secret::parse(&secret.expose()), Some(secret.clone()));
        assert_eq!(secret.bytes().len(), 32);
        assert_eq!(format!("{secret:?}{:?}", WebhookKey::new([7; 32])), "Secret(…)WebhookKey(…)");
    }
}
