//! Query strings, read strictly: known names only, each once.

use super::error::ApiError;
use crate::http::Request;

/// Reads the query of a route that takes none.
pub(super) fn none(request: &Request) -> Result<(), ApiError> {
    read(request, []).map(|[]| ())
}

/// Reads the query into the values of `names`, in their order.
pub(super) fn read<const N: usize>(
    request: &Request,
    names: [&str; N],
) -> Result<[Option<String>; N], ApiError> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(request.query().unwrap_or("").as_bytes()) {
        let slot = names.iter().zip(&mut values).find(|(known, _)| **known == name);
        let Some((known, slot)) = slot else {
            return Err(ApiError::invalid(match names.join(", ") {
                none if none.is_empty() => "no query parameter is known here".to_owned(),
                known => format!("a query parameter is not known here; known are {known}"),
            }));
        };
        if slot.replace(value.into_owned()).is_some() {
            return Err(ApiError::invalid(format!("the query parameter `{known}` is given twice")));
        }
    }
    Ok(values)
}
