//! What every page has: the frame around it, the headers that guard it, the progress, and the pages
//! that say one thing.

use maud::{DOCTYPE, Markup, html};

use super::assets::{SCRIPT, STYLE};
use super::text::{Ending, Part, Text, parts};
use super::{Visit, path};
use crate::domain::handoff::Stage;
use crate::domain::organization::OrganizationType;
use crate::domain::text::shown;
use crate::http::Response;
use crate::usecase::handoff_links::{LinkToken, WebSdk};
use crate::usecase::open_link::Sitting;

/// A page before it has a frame around it.
pub(super) struct Page<'a> {
    pub(super) status: u16,
    pub(super) title: &'a str,
    pub(super) main: Markup,
    /// Whether our own script is of use.
    pub(super) script: Script<'a>,
}

/// What a page may run and open.
#[derive(Clone, Copy)]
pub(super) enum Script<'a> {
    /// Nothing.
    None,
    /// Our own script.
    Own,
    /// Our own script, which opens Sumsub's.
    WebSdk(&'a WebSdk),
}

impl Page<'_> {
    pub(super) fn render(self, text: &Text) -> Response {
        let body = html! {
            (DOCTYPE)
            html lang=(text.language) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex, nofollow";
                    title { (self.title) }
                    link rel="stylesheet" href=(STYLE.path());
                    // The browser would ask for /favicon.ico otherwise.
                    link rel="icon" href="data:,";
                    @if !matches!(self.script, Script::None) {
                        script defer src=(SCRIPT.path()) {}
                    }
                }
                body {
                    main { (self.main) }
                    footer { p { (text.footer) } }
                }
            }
        };
        let mut headers = vec![
            ("Content-Type", "text/html; charset=utf-8".to_owned()),
            ("Content-Security-Policy", content_security_policy(self.script)),
        ];
        headers.extend(guards());
        Response { status: self.status, headers, body: body.into_string().into_bytes() }
    }
}

/// Of every answer under a link.
pub(super) fn guards() -> [(&'static str, String); 6] {
    [
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("X-Robots-Tag", "noindex, nofollow"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
}

fn content_security_policy(script: Script<'_>) -> String {
    let (scripts, frames) = match script {
        Script::None => ("'none'".to_owned(), "'none'".to_owned()),
        Script::Own => ("'self'".to_owned(), "'none'".to_owned()),
        Script::WebSdk(websdk) => {
            (format!("'self' {}", websdk.script_origin), websdk.frame_origins.join(" "))
        }
    };
    format!(
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
         style-src 'self'; img-src data:; connect-src 'self'; script-src {scripts}; \
         frame-src {frames}"
    )
}

/// The three steps, and where the customer is.
pub(super) fn progress(text: &Text, sitting: &Sitting) -> Markup {
    let current = match sitting.stage {
        Stage::Sign => 0,
        Stage::Done => 3,
        _ => 1,
    };
    let steps = match sitting.customer.kind {
        OrganizationType::Business => &text.steps_business,
        OrganizationType::Individual => &text.steps_individual,
    };
    html! {
        ol.steps aria-label=(text.progress) {
            @for (at, step) in steps.iter().enumerate() {
                @if at < current {
                    li.past { (step) span.apart { " (" (text.step_done) ")" } }
                } @else if at == current {
                    li aria-current="step" { (step) span.apart { " (" (text.step_now) ")" } }
                } @else {
                    li { (step) }
                }
            }
        }
    }
}

/// A sentence with the parties' names, each by itself: a name that runs from right to left would take
/// the numbers and stops beside it along.
pub(super) fn named(sentence: &'static str, sitting: &Sitting) -> Markup {
    html! {
        @for part in parts(sentence) {
            @match part {
                Part::Words(words) => { (words) }
                Part::Customer => { (party(sitting.customer.name.as_str())) }
                Part::Broker => { (party(sitting.broker.name.as_str())) }
            }
        }
    }
}

/// The same where there is no markup, as in a title.
pub(super) fn named_plainly(sentence: &'static str, sitting: &Sitting) -> String {
    let isolated = |name: &str| match shown(name) {
        // What has nothing to turn needs no first strong isolate around it.
        name if name.is_ascii() => name.into_owned(),
        name => format!("\u{2068}{name}\u{2069}"),
    };
    parts(sentence)
        .map(|part| match part {
            Part::Words(words) => words.to_owned(),
            Part::Customer => isolated(sitting.customer.name.as_str()),
            Part::Broker => isolated(sitting.broker.name.as_str()),
        })
        .collect()
}

/// A name, or other text that somebody typed: of its own direction, and not to be translated.
pub(super) fn party(name: &str) -> Markup {
    html! { bdi translate="no" { (shown(name)) } }
}

/// A page that knows no link.
pub(super) fn plain(text: &Text, status: u16, ending: &Ending) -> Response {
    let main = html! {
        h1 { (ending.title) }
        p { (ending.words) }
    };
    Page { status, title: ending.title, main, script: Script::None }.render(text)
}

/// The page of a link at which nothing is left to do.
pub(super) fn ending(visit: &Visit<'_>, token: &LinkToken, sitting: &Sitting) -> Response {
    let text = visit.text;
    let (status, ending) = match sitting.stage {
        Stage::Done => (200, &text.done),
        Stage::Rejected => (200, &text.rejected),
        Stage::Ended => (410, &text.ended),
        Stage::Withdrawn => (410, &text.withdrawn),
        Stage::Expired => (410, &text.expired),
        _ => return plain(text, 410, &text.revoked),
    };
    let main = html! {
        @if sitting.stage == Stage::Done { (progress(text, sitting)) }
        h1 { (ending.title) }
        p { (named(ending.words, sitting)) }
        @if has_receipt(sitting) {
            div.actions {
                a.button.second href=(path(token, "receipt")) { (text.see_receipt) }
            }
        }
    };
    Page { status, title: ending.title, main, script: Script::None }.render(text)
}

/// Whether the letter was signed on this page, and the link may show it.
pub(super) fn has_receipt(sitting: &Sitting) -> bool {
    !matches!(sitting.stage, Stage::Revoked | Stage::Ended)
        && sitting.signature.as_ref().is_some_and(|it| it.evidence.is_some())
}
