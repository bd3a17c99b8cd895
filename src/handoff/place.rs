//! Which link and page a path names, also where a mail or chat program has appended the rest of a
//! sentence to the address: `TOKEN.`, `TOKEN)`, `TOKEN%3E`, `TOKEN/`. Nothing that is left out could be
//! part of a token or of a page's name, so no two links are mistaken for each other.

use percent_encoding::percent_decode_str;

use crate::usecase::handoff_links::LinkToken;

/// Longer paths are not looked at.
const PATH_BYTES_MAX: usize = 1024;

/// A page of a link.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) token: LinkToken,
    /// The page below the link; `None`: the link itself.
    pub(super) page: Option<String>,
}

impl Place {
    /// Reads what follows `/h/`; `None`: no link was ever there.
    pub(super) fn read(path: &str) -> Option<Self> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let path = percent_decode_str(path).decode_utf8_lossy();
        let path = path.trim_start_matches(|it: char| !it.is_ascii_alphanumeric());
        let end = path.find(|it: char| !it.is_ascii_alphanumeric()).unwrap_or(path.len());
        let (token, rest) = path.split_at_checked(end)?;
        let token = LinkToken::parse(token)?;
        let mut pages = rest.split('/').skip(1).filter_map(page_in);
        let page = pages.next();
        pages.next().is_none().then_some(Self { token, page })
    }
}

/// The name of a page at the beginning of a segment, without what does not belong to it.
fn page_in(segment: &str) -> Option<String> {
    let is_of_name = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-');
    let segment = segment.trim_start_matches(|it: char| !it.is_ascii_alphanumeric());
    let name: String = segment.chars().take_while(is_of_name).collect();
    let name = name.trim_end_matches(['.', '-']).to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}
