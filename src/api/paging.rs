//! The list envelope and `limit` (contract §1).

use serde::Serialize;

use super::error::ApiError;

const LIMIT_DEFAULT: u32 = 25;
const LIMIT_MAX: u32 = 100;

/// One page of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListBody<T> {
    pub(super) object: &'static str,
    pub(super) data: Vec<T>,
    pub(super) has_more: bool,
    pub(super) next_cursor: Option<String>,
}

/// Reads `limit`.
pub(super) fn limit_of(text: Option<&str>) -> Result<u32, ApiError> {
    let Some(text) = text else { return Ok(LIMIT_DEFAULT) };
    text.parse()
        .ok()
        .filter(|it| (1..=LIMIT_MAX).contains(it))
        .ok_or_else(|| ApiError::invalid(format!("`limit` must be 1 to {LIMIT_MAX}")))
}
