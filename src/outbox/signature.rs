//! The signature of Standard Webhooks 1.0.0 ("Signature scheme", symmetric): HMAC-SHA256 over
//! `id.timestamp.body`, in base64 behind `v1,`; several, parted by spaces, during a rotation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::secret::Secret;

/// One signature, `v1,…`, over exactly the bytes that travel.
pub fn sign(secret: &Secret, message_id: &str, signed_at_s: i64, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.bytes()) else {
        // HMAC takes keys of every length; without a signature a receiver refuses the message.
        return String::new();
    };
    mac.update(message_id.as_bytes());
    mac.update(format!(".{signed_at_s}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The value of `webhook-signature`: one signature for each secret that is valid.
pub fn signature_header(
    secrets: &[Secret],
    message_id: &str,
    signed_at_s: i64,
    body: &[u8],
) -> String {
    let signatures: Vec<String> =
        secrets.iter().map(|it| sign(it, message_id, signed_at_s, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the libraries of Standard Webhooks and Svix test themselves with.
    #[test]
    fn the_published_vector_is_reproduced() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();

        let signature = sign(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );

        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_rotation_has_both_signatures_the_new_one_first() {
        let [new, old] =
            ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]
                .map(|it| Secret::parse(it).unwrap());
        let (one, two) = (sign(&new, "m", 1, b"{}"), sign(&old, "m", 1, b"{}"));

        assert_eq!(signature_header(&[new, old], "m", 1, b"{}"), format!("{one} {two}"));
    }
}
