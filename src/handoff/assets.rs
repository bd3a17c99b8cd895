//! The pages' own style and script, under addresses that name their content, so that a browser may
//! keep them for ever and never mixes two versions.

use std::sync::LazyLock;

use crate::http::Response;
use crate::usecase::sign_letter::hex;

/// Where they stand.
const ASSETS_PATH: &str = "/h/assets/";
/// How much of a digest stands in a name: enough to tell versions apart.
const DIGEST_BYTES: usize = 8;

pub(super) struct Asset {
    name: LazyLock<String>,
    kind: &'static str,
    content: &'static str,
}

pub(super) static STYLE: Asset = Asset {
    name: LazyLock::new(|| name("page", "css", STYLE.content)),
    kind: "text/css; charset=utf-8",
    content: include_str!("assets/page.css"),
};
pub(super) static SCRIPT: Asset = Asset {
    name: LazyLock::new(|| name("page", "js", SCRIPT.content)),
    kind: "text/javascript; charset=utf-8",
    content: include_str!("assets/page.js"),
};

fn name(stem: &str, extension: &str, content: &str) -> String {
    let digest = crate::usecase::sign_letter::sha256(content);
    let short = digest.get(..DIGEST_BYTES).unwrap_or(&digest);
    format!("{stem}-{}.{extension}", hex(short))
}

impl Asset {
    /// Its address on this server.
    pub(super) fn path(&self) -> String {
        format!("{ASSETS_PATH}{}", *self.name)
    }
}

/// The file of that name; `None`: there is none, perhaps no longer.
pub(super) fn find(name: &str) -> Option<Response> {
    let asset = [&STYLE, &SCRIPT].into_iter().find(|it| *it.name == name)?;
    Some(Response {
        status: 200,
        headers: vec![
            ("Content-Type", asset.kind.to_owned()),
            ("Cache-Control", "public, max-age=31536000, immutable".to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Cross-Origin-Resource-Policy", "same-origin".to_owned()),
        ],
        body: asset.content.as_bytes().to_vec(),
    })
}
