//! Faults of the provider, ordered by a test: the next calls under a path answer a status, hang,
//! break off, send half of their JSON, too much of it, or somebody else's.

use serde_json::{Value, json};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Another status; `Retry-After` if given (whether Sumsub sends that header is
    /// unknown), and another body if given: 401 and 403 were seen with an empty one.
    Status { status: u16, retry_after: Option<String>, body: Option<String> },
    /// The answer comes that much later.
    Hang { ms: u64 },
    /// The connection closes without an answer. The call is carried out, which is the worst case
    /// for a caller.
    Close,
    /// The call is carried out and half of its answer is sent.
    Truncate,
    /// The call is carried out, and its connection is reset in the middle of the answer's body.
    Reset,
    /// The call is carried out, and its answer is about somebody else.
    Other,
    /// The call is carried out, and its JSON is followed by that many spaces.
    Oversize { bytes: usize },
}

/// A fault for the next calls under a path.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) path_prefix: String,
    pub(super) kind: FaultKind,
    pub(super) calls_left: u32,
}

/// Takes the first fault that fits and counts it down.
pub(super) fn take(faults: &mut Vec<Fault>, path: &str) -> Option<FaultKind> {
    let fault = faults
        .iter_mut()
        .find(|it| it.calls_left > 0 && path.starts_with(it.path_prefix.as_str()))?;
    fault.calls_left -= 1;
    let kind = fault.kind.clone();
    faults.retain(|it| it.calls_left > 0);
    Some(kind)
}

/// The same JSON about somebody else: every id in it that names whom it is about is another one.
pub(super) fn about_somebody_else(body: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(body).unwrap_or_default();
    for name in ["id", "externalUserId", "userId"] {
        if let Some(id) = value.get_mut(name) {
            *id = json!(format!("{}-other", id.as_str().unwrap_or_default()));
        }
    }
    value.to_string().into_bytes()
}
