//! `/openapi.json`: the contract for programs, one document kept by hand beside the code. The tests
//! hold every answer against it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use super::Call;
use super::verification::{is_known, not_modified};
use crate::http::Response;

/// The document, as it is served and printed.
pub const OPENAPI: &str = include_str!("openapi.json");

static ETAG: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest(OPENAPI);
    let mut tag = "\"".to_owned();
    for byte in digest.iter().take(16) {
        // Writing to a String does not fail.
        write!(tag, "{byte:02x}").unwrap_or_default();
    }
    tag + "\""
});

pub(super) fn show(call: &Call<'_>) -> Response {
    let answer = Response {
        status: 200,
        headers: vec![
            ("Content-Type", "application/json".to_owned()),
            ("Cache-Control", super::REVALIDATED.to_owned()),
            ("ETag", ETAG.clone()),
        ],
        body: OPENAPI.as_bytes().to_vec(),
    };
    let known = call.request.header("if-none-match").is_some_and(|it| is_known(&answer, it));
    if known { not_modified(answer) } else { answer }
}
