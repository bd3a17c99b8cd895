//! Sumsub's two signatures: the one we put on requests and the one it puts on webhooks.
//!
//! Both cover raw bytes. Nothing here parses, normalises or re-serialises: a caller hands over
//! exactly what travels on the wire. The simulator shares this file with the client, and nothing
//! else. Sources: Sumsub "Authentication" and "Webhook manager" (stated); vectors below.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

/// Signs a request: HMAC-SHA256 over `ts ‖ METHOD ‖ path-with-query ‖ body`, lower-case hex.
///
/// `ts` is Unix seconds as sent in `X-App-Access-Ts`; `target` begins with `/` and is the request
/// line's own bytes; an absent body adds nothing.
pub fn sign_request(secret: &[u8], ts: &str, method: &str, target: &[u8], body: &[u8]) -> String {
    hex(&request_mac(secret, ts, method, target, body).finalize().into_bytes())
}

/// Tells, in constant time, whether `signature` (lower-case hex) fits the request.
pub fn request_is_signed(
    secret: &[u8],
    signature: &str,
    (ts, method): (&str, &str),
    target: &[u8],
    body: &[u8],
) -> bool {
    lower_hex_to_bytes(signature).is_some_and(|given| {
        request_mac(secret, ts, method, target, body).verify_slice(&given).is_ok()
    })
}

fn request_mac(secret: &[u8], ts: &str, method: &str, target: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = keyed::<Hmac<Sha256>>(secret);
    mac.update(ts.as_bytes());
    mac.update(method.as_bytes());
    mac.update(target);
    mac.update(body);
    mac
}

/// The digest algorithms that a Sumsub webhook may be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// `HMAC_SHA1_HEX`, the legacy one.
    Sha1,
    /// `HMAC_SHA256_HEX`, the dashboard's default.
    Sha256,
    /// `HMAC_SHA512_HEX`.
    Sha512,
}

impl DigestAlgorithm {
    /// Reads the value of `X-Payload-Digest-Alg`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "HMAC_SHA1_HEX" => Some(Self::Sha1),
            "HMAC_SHA256_HEX" => Some(Self::Sha256),
            "HMAC_SHA512_HEX" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The value of `X-Payload-Digest-Alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "HMAC_SHA1_HEX",
            Self::Sha256 => "HMAC_SHA256_HEX",
            Self::Sha512 => "HMAC_SHA512_HEX",
        }
    }

    /// Guesses the algorithm of a digest whose header is missing, from the digest's length in hex
    /// digits. A wrong guess cannot verify, so guessing opens nothing.
    pub fn of_length(hex_digits: usize) -> Option<Self> {
        match hex_digits {
            40 => Some(Self::Sha1),
            64 => Some(Self::Sha256),
            128 => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// The digest of a webhook's raw body, lower-case hex, as sent in `X-Payload-Digest`.
pub fn webhook_digest(secret: &[u8], algorithm: DigestAlgorithm, body: &[u8]) -> String {
    match algorithm {
        DigestAlgorithm::Sha1 => hex(&digest::<Hmac<Sha1>>(secret, body)),
        DigestAlgorithm::Sha256 => hex(&digest::<Hmac<Sha256>>(secret, body)),
        DigestAlgorithm::Sha512 => hex(&digest::<Hmac<Sha512>>(secret, body)),
    }
}

/// Tells, in constant time, whether `given` (hex) is the digest of a webhook's raw body.
pub fn webhook_is_signed(
    secret: &[u8],
    algorithm: DigestAlgorithm,
    given: &str,
    body: &[u8],
) -> bool {
    let expected = webhook_digest(secret, algorithm, body);
    let given = given.to_ascii_lowercase();
    subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), given.as_bytes()).into()
}

fn digest<M: Mac + KeyInit>(secret: &[u8], body: &[u8]) -> Vec<u8> {
    let mut mac = keyed::<M>(secret);
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}

fn keyed<M: Mac + KeyInit>(secret: &[u8]) -> M {
    // HMAC takes a key of any length; the error exists for other MACs.
    <M as KeyInit>::new_from_slice(secret)
        .unwrap_or_else(|_| <M as KeyInit>::new(&hmac::digest::array::Array::default()))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

fn lower_hex_to_bytes(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2)
        || text.bytes().any(|it| !matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"test-secret-key";
    const TS: &str = "1700000000";
    const WEBHOOK: &[u8] = b"{\n  \"applicantId\" : \"aaaaaaaaaaaaaaaaaaaaaaaa\",\n  \"type\" : \"applicantPending\",\n  \"rejectLabels\" : [ \"A\", \"B\" ]\n}";

    #[test]
    fn a_request_is_signed_as_in_the_known_vectors() {
        for (method, target, body, signature) in [
            (
                "POST",
                "/resources/accessTokens/sdk",
                r#"{"userId":"org_1","levelName":"kyb-level","ttlInSecs":1800}"#,
                "826cc372346aba99c58f0969a59a6063bba25c83dbdc60c72c6b9050eabe8bb3",
            ),
            (
                "GET",
                "/resources/applicants/-;externalUserId=org_1/one",
                "",
                "4a4fa7814a52197d82568775f9b2591504cd6d034323fd1d5a8f716be3333407",
            ),
            (
                "POST",
                "/resources/applicants?levelName=kyb%20level",
                r#"{"externalUserId":"org_1","type":"company"}"#,
                "550fbedd5d2fe59d7d15a0792bc72433f4f4004341f8a0a02f74be232216f7a4",
            ),
        ] {
            let signed = sign_request(SECRET, TS, method, target.as_bytes(), body.as_bytes());

            assert_eq!(signed, signature);
            let fits = |it: &str| {
                request_is_signed(SECRET, it, (TS, method), target.as_bytes(), body.as_bytes())
            };
            assert!(fits(signature));
            assert!(!fits(&signature.to_uppercase()), "upper-case hex is not Sumsub's form");
        }
    }

    #[test]
    fn a_webhook_digest_fits_in_every_algorithm_and_only_over_the_same_bytes() {
        for (algorithm, digest) in [
            (DigestAlgorithm::Sha1, "9cf287faee1024d271481c0203eb8dda1b8e84fe"),
            (
                DigestAlgorithm::Sha256,
                "efa9a050ceba07eada63648d479185aa8e5158ecc8a3d76295b9befe82a2a2e3",
            ),
            (
                DigestAlgorithm::Sha512,
                "16808c87de6b85971efa7fa9aa6409f4ed00a83648380783780eeec133d163f85fc637361429f817932a47ab26227f3d627e067686ca3fb7be49a3f26f28a420",
            ),
        ] {
            assert_eq!(webhook_digest(b"whsec", algorithm, WEBHOOK), digest);
            assert!(webhook_is_signed(b"whsec", algorithm, digest, WEBHOOK));
            assert!(!webhook_is_signed(b"whsec", algorithm, digest, &WEBHOOK[1..]));
            assert!(!webhook_is_signed(b"other", algorithm, digest, WEBHOOK));
            assert_eq!(DigestAlgorithm::of_length(digest.len()), Some(algorithm));
            assert_eq!(DigestAlgorithm::parse(algorithm.as_str()), Some(algorithm));
        }
    }
}
