//! Faults of the provider, ordered by a test: the next calls under a path answer a status, hang,
//! break off, or send half of their JSON.

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Another status; `Retry-After` seconds if given (whether Sumsub sends that header is
    /// unknown), and another body if given: 401 and 403 were seen with an empty one.
    Status { status: u16, retry_after_s: Option<i64>, body: Option<String> },
    /// The answer comes that much later.
    Hang { ms: u64 },
    /// The connection closes without an answer. The call is carried out, which is the worst case
    /// for a caller.
    Close,
    /// The call is carried out and half of its answer is sent.
    Truncate,
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
