//! What Sumsub hands out for browsers and partners: SDK tokens, hosted links, share tokens.
//!
//! The tokens look like JWTs and are unsigned; the secret is the `jti` inside ("Generate access
//! token", and five decoded public samples). They are looked up whole and never decoded.

use super::random::Random;
use super::tenant::{Environment, TenantId};

/// An SDK token or a hosted link: whom it verifies and until when.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) tenant: TenantId,
    pub(super) user_id: String,
    pub(super) level: String,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) expires_at_ms: i64,
    pub(super) redirect: Option<Redirect>,
    /// Whether a browser was here; the first visit fires an event.
    pub(super) is_opened: bool,
}

/// Where a hosted page sends the customer afterwards.
#[derive(Clone, Debug)]
pub(super) struct Redirect {
    pub(super) success_url: Option<String>,
    pub(super) reject_url: Option<String>,
    pub(super) sign_key: Option<String>,
}

/// A donor's permission for one import.
#[derive(Clone, Debug)]
pub(super) struct ShareToken {
    pub(super) donor: TenantId,
    pub(super) applicant_id: String,
    pub(super) for_client_id: String,
    pub(super) created_at_ms: i64,
    pub(super) ttl_s: i64,
    /// The name that Sumsub's error text uses.
    pub(super) jti: String,
    pub(super) state: ShareState,
}

/// Whether a share token was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShareState {
    Fresh,
    Used,
}

/// Mints an SDK token: prefix, header, payload with `jti` and `url`, and `-v2` for a signature.
/// The unmodified WebSDK takes its frame from the `url`, so a trailing slash would hang it.
pub(super) fn mint_sdk(random: &mut Random, environment: Environment, base_url: &str) -> String {
    let jti = format!("{}{}-v2", prefix(environment), random.uuid());
    format!("{}.-v2", unsigned(environment, &jti, base_url))
}

/// Mints a share token and its `jti`; the token ends with a bare dot.
pub(super) fn mint_share(
    random: &mut Random,
    environment: Environment,
    base_url: &str,
) -> (String, String) {
    let jti = format!("{}{}", prefix(environment), random.uuid());
    (format!("{}.", unsigned(environment, &jti, base_url)), jti)
}

/// Mints the id of a hosted link.
pub(super) fn mint_link_id(random: &mut Random, environment: Environment) -> String {
    let word = random.alphanumeric(16);
    match environment {
        Environment::Sandbox => format!("sbx_{word}"),
        Environment::Production => word,
    }
}

fn prefix(environment: Environment) -> &'static str {
    match environment {
        Environment::Sandbox => "_act-sbx-",
        Environment::Production => "_act-",
    }
}

fn unsigned(environment: Environment, jti: &str, base_url: &str) -> String {
    // Members come out in alphabetical order, which is the captured one.
    let payload = serde_json::json!({ "jti": jti, "url": base_url }).to_string();
    format!(
        "{}jwt-{}.{}",
        prefix(environment),
        base64(br#"{"alg":"none"}"#, Alphabet::Standard),
        base64(payload.as_bytes(), Alphabet::Standard)
    )
}

/// Which base64. The WebSDK reads tokens with `atob`, which knows only the standard one.
#[derive(Clone, Copy)]
pub(super) enum Alphabet {
    Standard,
    Url,
}

/// Base64 without padding.
pub(super) fn base64(bytes: &[u8], alphabet: Alphabet) -> String {
    let letter = |six: u32| {
        let six = u8::try_from(six & 63).unwrap_or(0);
        char::from(match (six, alphabet) {
            (0..=25, _) => b'A' + six,
            (26..=51, _) => b'a' + (six - 26),
            (52..=61, _) => b'0' + (six - 52),
            (62, Alphabet::Standard) => b'+',
            (62, Alphabet::Url) => b'-',
            (_, Alphabet::Standard) => b'/',
            (_, Alphabet::Url) => b'_',
        })
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
        let (word, letters) = match group.len() {
            1 => (word << 16, 2),
            2 => (word << 8, 3),
            _ => (word, 4),
        };
        for position in 0..letters {
            text.push(letter(word >> (18 - 6 * position)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_unpadded_and_in_the_asked_alphabet() {
        for (bytes, standard) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")]
        {
            assert_eq!(base64(bytes.as_bytes(), Alphabet::Standard), standard);
        }
        assert_eq!(base64(&[0xfb, 0xff], Alphabet::Standard), "+/8");
        assert_eq!(base64(&[0xfb, 0xff], Alphabet::Url), "-_8");
        assert_eq!(base64(br#"{"alg":"none"}"#, Alphabet::Standard), "eyJhbGciOiJub25lIn0");
    }

    #[test]
    fn tokens_have_the_forms_of_the_real_ones() {
        let mut random = Random::seeded(1, 0);

        let sdk = mint_sdk(&mut random, Environment::Sandbox, "http://localhost:8090");
        let (share, jti) =
            mint_share(&mut random, Environment::Production, "http://localhost:8090");

        assert!(sdk.starts_with("_act-sbx-jwt-eyJhbGciOiJub25lIn0.eyJqdGkiOiJfYWN0LXNieC0"));
        assert!(sdk.ends_with(".-v2") && sdk.len() < 1024);
        assert!(share.starts_with("_act-jwt-eyJhbGciOiJub25lIn0.") && share.ends_with('.'));
        assert!(jti.starts_with("_act-") && !jti.ends_with("-v2"));
        assert!(mint_link_id(&mut random, Environment::Sandbox).starts_with("sbx_"));
    }
}
