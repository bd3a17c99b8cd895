//! The step in which Sumsub verifies: the page, the token behind its button, and the status that it
//! follows. What happened is read from our own register; the browser's events are not asked.

use std::time::Duration;

use maud::{Markup, html};
use serde::Serialize;

use super::page::{Page, Script, guards, has_receipt, progress};
use super::{Refusal, Visit, path};
use crate::domain::handoff::Stage;
use crate::domain::organization::OrganizationType;
use crate::http::Response;
use crate::usecase::handoff_links::LinkToken;
use crate::usecase::open_link::{Sitting, await_stage};
use crate::usecase::resume_session::{Resumed, resume_session};

/// The longest time that a browser may wait for a change: below the idle limits of usual proxies.
const WAIT_S_MAX: u64 = 30;

pub(super) fn show(visit: &Visit<'_>, token: &LinkToken, sitting: &Sitting) -> Response {
    let Ok(handoff) = visit.handoff() else { return visit.refuse(&Refusal::Unknown) };
    let text = visit.text;
    let words = &text.verify;
    let is_business = sitting.customer.kind == OrganizationType::Business;
    let title = match sitting.stage {
        Stage::Repeat => words.repeat_title,
        Stage::Review => words.review_title,
        Stage::Hold => words.hold_title,
        _ if is_business => words.title_business,
        _ => words.title_individual,
    };
    let main = html! {
        (progress(text, sitting))
        div data-sitting data-stage=(sitting.stage.as_str()) data-lang=(text.language)
            data-page=(path(token, "")) data-token=(path(token, "access-token"))
            data-status=(path(token, "status")) data-script=(handoff.websdk.script)
            data-frame=(words.frame) data-opening=(words.opening) data-opened=(words.opened)
            data-in-review=(words.in_review) data-on-hold=(words.on_hold)
            data-trouble=(words.trouble) data-blocked=(words.blocked) {
            h1 { (title) }
            div #before { (before(visit, token, sitting)) }
            p.live #live role="status" {}
            div.frame #frame tabindex="-1" role="region" aria-label=(words.frame) hidden {}
        }
    };
    Page { status: 200, title, main, script: Script::WebSdk(&handoff.websdk) }.render(text)
}

/// What stands there until the frame is open.
fn before(visit: &Visit<'_>, token: &LinkToken, sitting: &Sitting) -> Markup {
    let text = visit.text;
    let words = &text.verify;
    let is_waiting = matches!(sitting.stage, Stage::Review | Stage::Hold);
    let lead = match (sitting.stage, sitting.customer.kind) {
        (Stage::Repeat, _) => words.repeat,
        (Stage::Review, _) => words.review,
        (Stage::Hold, OrganizationType::Business) => words.hold_business,
        (Stage::Hold, OrganizationType::Individual) => words.hold_individual,
        (_, OrganizationType::Business) => words.lead_business,
        (_, OrganizationType::Individual) => words.lead_individual,
    };
    let button = match sitting.stage {
        Stage::Repeat => words.repeat_button,
        Stage::Review | Stage::Hold => words.reopen,
        _ => words.button,
    };
    html! {
        @if sitting.stage == Stage::Verify {
            p {
                span.good { (words.signed) }
                @if has_receipt(sitting) {
                    " " a href=(path(token, "receipt")) { (text.see_receipt) }
                }
            }
        }
        p { (lead) }
        @if !is_waiting { p.quiet { (words.partner) } }
        noscript {
            div.alert { p { (if is_waiting { words.no_script_wait } else { words.no_script }) } }
        }
        div.actions {
            button #start type="button" class=[is_waiting.then_some("second")] hidden { (button) }
            @if has_receipt(sitting) && sitting.stage != Stage::Verify {
                a.button.second href=(path(token, "receipt")) { (text.see_receipt) }
            }
        }
    }
}

/// The button was pressed, or the `WebSDK` asks for a fresh token.
pub(super) fn access_token(visit: &Visit<'_>, token: &LinkToken) -> Result<Response, Refusal> {
    match resume_session(visit.appliance, token, &visit.id)? {
        Resumed::Token(it) => Ok(json(
            200,
            &TokenBody {
                object: "verification_token",
                access_token: it.expose(),
                expires_in_s: visit.appliance.sumsub.session_ttl_s(),
            },
        )),
        Resumed::Closed(stage) => {
            let status = match stage {
                it if it.is_end() => 410,
                _ => 409,
            };
            let body = StageBody { object: "handoff_closed", stage: stage.as_str() };
            Ok(json(status, &body))
        }
        Resumed::Unknown => Err(Refusal::Unknown),
    }
}

/// Where the customer stands; with `stage` and `wait`, as soon as that changes.
pub(super) fn status(visit: &Visit<'_>, token: &LinkToken) -> Result<Response, Refusal> {
    let query = visit.request.query().unwrap_or_default().as_bytes();
    let given = |name: &str| {
        form_urlencoded::parse(query).find(|(key, _)| key == name).map(|(_, it)| it.into_owned())
    };
    let wait_s = given("wait").and_then(|it| it.parse().ok()).unwrap_or(0_u64).min(WAIT_S_MAX);
    let known = if wait_s > 0 { given("stage").unwrap_or_default() } else { String::new() };
    let awaited = (known.as_str(), Duration::from_secs(wait_s));
    let sitting = await_stage(visit.appliance, token, awaited, &visit.pages.waits)?
        .ok_or(Refusal::Unknown)?;
    // Whoever still holds a link that has ended learns nothing more of the verification.
    if sitting.stage.is_end() {
        return Ok(json(
            200,
            &StageBody { object: "handoff_status", stage: sitting.stage.as_str() },
        ));
    }
    Ok(json(
        200,
        &StatusBody {
            object: "handoff_status",
            stage: sitting.stage.as_str(),
            verification_status: sitting.progress.standing.status.as_str(),
            authorization_status: sitting.authorization.status.as_str(),
            updated_at: sitting.progress.standing.updated_at.to_string(),
        },
    ))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenBody<'a> {
    object: &'static str,
    access_token: &'a str,
    expires_in_s: u32,
}

/// The stage, and nothing else about the customer.
#[derive(Serialize)]
struct StageBody {
    object: &'static str,
    stage: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody {
    object: &'static str,
    stage: &'static str,
    verification_status: &'static str,
    authorization_status: &'static str,
    updated_at: String,
}

pub(super) fn json(status: u16, body: &impl Serialize) -> Response {
    let mut headers = vec![("Content-Type", "application/json".to_owned())];
    headers.extend(guards());
    Response { status, headers, body: serde_json::to_vec(body).unwrap_or_default() }
}
