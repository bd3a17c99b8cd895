//! `/docs`: the OpenAPI document as one page for people, made once, from the same text that programs
//! get. It runs no script and loads nothing but its own stylesheet.

mod node;
mod page;

use std::sync::LazyLock;

use crate::http::Response;

const STYLE: &str = include_str!("style.css");

/// Nothing from elsewhere, nothing that runs, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Empty only if the document were no JSON, which a test rules out.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    node::Node::read(super::openapi::OPENAPI).map(|it| page::render(&it)).unwrap_or_default()
});

pub(super) fn show() -> Response {
    text("text/html; charset=utf-8", &PAGE)
}

pub(super) fn style() -> Response {
    text("text/css; charset=utf-8", STYLE)
}

fn text(kind: &str, body: &str) -> Response {
    Response {
        status: 200,
        headers: vec![
            ("Content-Type", kind.to_owned()),
            ("Content-Security-Policy", POLICY.to_owned()),
            ("Cache-Control", super::REVALIDATED.to_owned()),
        ],
        body: body.as_bytes().to_vec(),
    }
}
