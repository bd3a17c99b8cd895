//! Endpoint secrets, derived and never stored.
//!
//! A signature needs the secret itself, so a hash cannot be kept; and what stands in the register
//! in clear is lost with any copy of it. So a secret is HMAC-SHA256, under the server's webhook
//! key, of the endpoint's id and a random salt; the register holds the salt. Nothing is encrypted,
//! so there is no nonce to repeat and no ciphertext to keep: a rotation is a new salt. The key is in
//! a file of its own beside the register (`key_file`), 0600, and every backup has a copy of it. Under
//! another key every secret would be another one; the register's check of each secret shows that.
//!
//! The addresses of hand-off links are derived from the same key, under a label of their own: with
//! another key, the links that exist go on working, and the next session creates a new one.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// What Standard Webhooks puts before the base64 of a symmetric secret.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a webhook key.
pub(super) const KEY_BYTES: usize = 32;

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

/// The server's key, from which every endpoint's secret is derived. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookKey([u8; KEY_BYTES]);

impl WebhookKey {
    /// A key of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
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
