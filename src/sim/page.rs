//! The hosted page, as plain as can be: what is verified, one button to hand everything in, and
//! then the buttons with which a person plays Sumsub. It works without scripts; only the older
//! `#/` link needs one, because a fragment never reaches a server.

use super::ApplicantCreation;
use super::applicant::{Applicant, ReviewResult, ReviewStatus};
use super::call::{encode, segments};
use super::event::Event;
use super::failure::Failure;
use super::render;
use super::settings::ApplicantType;
use super::tenant::Environment;
use super::token::Pass;
use super::world::World;
use crate::http::{Request, Response};
use serde_json::json;

/// Answers everything on the API port that is not the API.
pub(super) fn answer(world: &mut World, request: &Request) -> Response {
    let segments = segments(request.path());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET" | "HEAD", ["websdk", "p", id]) => show(world, id),
        ("POST", ["websdk", "p", id, action]) => act(world, id, action),
        ("GET" | "HEAD", ["idensic", "l" | "p", ..]) => fragment_page(),
        ("GET" | "HEAD", [""]) => html(200, "Simulator", FRONT),
        _ => html(404, "Nothing here", "<p>There is nothing at this address.</p>"),
    }
}

const FRONT: &str = "<p>This stands in for api.sumsub.com and its hosted pages. \
    Nothing here is verified, nobody is judged, nothing is kept.</p>";

/// The link, or why it leads nowhere: 404 if it never existed, 410 once it has expired.
fn pass(world: &World, id: &str) -> Result<Pass, Failure> {
    let pass = world
        .links
        .get(id)
        .ok_or_else(|| Failure::plain(404, "This link does not exist. Ask for a new one."))?;
    if world.now_ms >= pass.expires_at_ms {
        return Err(Failure::plain(410, "This link has expired. Ask for a new one."));
    }
    Ok(pass.clone())
}

fn opened(world: &mut World, id: &str) -> Result<(Pass, String), Failure> {
    let pass = pass(world, id)?;
    let applicant = world.applicant_of(&pass, ApplicantCreation::OnOpen)?;
    match applicant {
        Some(applicant) => {
            if !pass.is_opened {
                world.emit(&applicant, &Event::LinkOpened);
                world.lead_to_level(&applicant, &pass);
            }
            if let Some(link) = world.links.get_mut(id) {
                link.is_opened = true;
            }
            Ok((pass, applicant))
        }
        None => Err(Failure::plain(
            404,
            "Nobody has been registered for this link: this simulator creates applicants only \
             by the API.",
        )),
    }
}

fn show(world: &mut World, id: &str) -> Response {
    let content = opened(world, id).and_then(|(pass, applicant)| {
        let applicant = world.applicant(pass.tenant, &applicant)?;
        Ok(verification(world, id, &pass, applicant))
    });
    match content {
        Ok(content) => html(200, "Verification", &content),
        Err(failure) => refusal(&failure),
    }
}

fn act(world: &mut World, id: &str, action: &str) -> Response {
    let acted = opened(world, id).and_then(|(_, applicant)| play(world, &applicant, action));
    match acted {
        Ok(()) => Response {
            status: 303,
            headers: vec![("Location", format!("/websdk/p/{}", encode(id)))],
            body: Vec::new(),
        },
        Err(failure) => refusal(&failure),
    }
}

/// What a person can do on the page and the control port alike.
pub(super) fn play(world: &mut World, id: &str, action: &str) -> Result<(), Failure> {
    match action {
        "submit" => return world.submit(id),
        "approve" => world.approve_with_people(id),
        "reject" => world.complete(
            id,
            ReviewResult::red("FINAL", &["FORGERY"], "The documents were not accepted."),
        ),
        "retry" => {
            let mut result =
                ReviewResult::red("RETRY", &["LOW_QUALITY"], "The photo is blurry. Try again.");
            result.button_ids = vec!["badPhoto_lowQuality".to_owned(), "badPhoto".to_owned()];
            world.complete(id, result);
        }
        "hold" => world.hold(id, ReviewResult::green()),
        _ => return Err(Failure::plain(404, "There is no such action.")),
    }
    Ok(())
}

fn verification(world: &World, id: &str, pass: &Pass, applicant: &Applicant) -> String {
    let kind = match applicant.kind {
        ApplicantType::Individual => "a person (KYC)",
        ApplicantType::Company => "a company (KYB)",
    };
    let name = applicant.name();
    let mut content = format!(
        "<dl><dt>Verifying</dt><dd>{kind}{}</dd><dt>Reference</dt><dd>{}</dd>\
         <dt>Level</dt><dd>{}</dd><dt>State</dt><dd><strong>{}</strong></dd></dl>",
        if name.is_empty() { String::new() } else { format!(": {}", escape(&name)) },
        escape(&applicant.external_user_id),
        escape(&applicant.level),
        state(applicant),
    );
    let result = applicant.review.result.as_ref();
    if applicant.review.status == ReviewStatus::Completed
        && let Some(comment) = result.and_then(|it| it.moderation_comment.as_ref())
    {
        content.push_str("<p class=\"note\">");
        content.push_str(&escape(comment));
        content.push_str("</p>");
    }
    if applicant.review.may_submit().is_ok() {
        content.push_str("<h2>You are the customer</h2>");
        content.push_str(&button(id, "submit", "Submit documents"));
    } else if applicant.review.status == ReviewStatus::Completed {
        content.push_str(&farewell(world, pass, applicant));
    } else {
        content.push_str("<h2>You are Sumsub: how does it end?</h2>");
        for (action, label) in [
            ("approve", "Approve"),
            ("retry", "Ask to try again"),
            ("hold", "Put on hold"),
            ("reject", "Reject for good"),
        ] {
            content.push_str(&button(id, action, label));
        }
    }
    content
}

fn state(applicant: &Applicant) -> &'static str {
    match applicant.review.status {
        ReviewStatus::Init => "Documents requested",
        ReviewStatus::Pending | ReviewStatus::Queued => "Being checked",
        ReviewStatus::OnHold if applicant.waits_for_people => "Waiting for the company's people",
        ReviewStatus::OnHold => "On hold",
        ReviewStatus::AwaitingUser => "Waiting for you",
        ReviewStatus::AwaitingService => "Waiting for another service",
        ReviewStatus::Completed if applicant.review.is_approved() => "Approved",
        ReviewStatus::Completed if applicant.review.is_finally_rejected() => "Rejected",
        ReviewStatus::Completed => "Please try again",
    }
}

/// The way back to the client's site, with the claims of "Links and notifications": a hint only.
fn farewell(world: &World, pass: &Pass, applicant: &Applicant) -> String {
    let redirect = pass.redirect.as_ref();
    let is_approved = applicant.review.is_approved();
    let target = redirect
        .and_then(|it| if is_approved { it.success_url.as_ref() } else { it.reject_url.as_ref() });
    // Only web addresses: an href may carry script otherwise.
    let Some(target) = target.filter(|it| it.starts_with("https://") || it.starts_with("http://"))
    else {
        return "<p>You may close this page.</p>".to_owned();
    };
    let status = if is_approved { "approved" } else { "rejected" };
    let issued_at_s = world.now_ms.div_euclid(1000);
    let tenant = world.tenant(pass.tenant);
    let claims = json!({
        "iat": issued_at_s,
        "exp": issued_at_s + 600,
        "sub": pass.user_id,
        "aud": tenant.credentials.client_id,
        "status": status,
    });
    let mark = if target.contains('?') { '&' } else { '?' };
    let mut url = format!(
        "{target}{mark}status={status}&sbx={}",
        u8::from(tenant.environment() == Environment::Sandbox)
    );
    if let Some(key) = redirect.and_then(|it| it.sign_key.as_ref()) {
        url.push_str("&jwt=");
        url.push_str(&render::jwt(key.as_bytes(), &claims));
    }
    format!("<p><a class=\"button\" href=\"{}\">Continue</a></p>", escape(&url))
}

fn button(id: &str, action: &str, label: &str) -> String {
    format!(
        "<form method=\"post\" action=\"/websdk/p/{}/{action}\"><button>{label}</button></form>",
        encode(id)
    )
}

/// The older link's id stands in the fragment, which only the browser knows.
fn fragment_page() -> Response {
    html(
        200,
        "Verification",
        "<p id=\"text\">Opening the verification…</p>\
         <noscript><p>This older form of link needs scripts. Replace <code>/idensic/l/#/</code> \
         in the address by <code>/websdk/p/</code>.</p></noscript>\
         <script>var m = /^#\\/([A-Za-z0-9_]+)/.exec(location.hash);\
         if (m) { location.replace('/websdk/p/' + m[1]); } else {\
         document.getElementById('text').textContent = 'This link is not complete.'; }</script>",
    )
}

fn refusal(failure: &Failure) -> Response {
    html(
        failure.status(),
        "This does not work",
        &format!("<p class=\"note\">{}</p>", escape(failure.description())),
    )
}

const STYLE: &str = "body{font:18px/1.5 system-ui,sans-serif;margin:0;color:#222}\
    header{background:#b3261e;color:#fff;padding:.6rem 1rem;font-weight:bold}\
    main{max-width:34rem;margin:0 auto;padding:1rem}\
    dt{color:#666;font-size:.85rem}dd{margin:0 0 .6rem;overflow-wrap:anywhere}\
    button,.button{display:block;box-sizing:border-box;width:100%;margin:.6rem 0;padding:.8rem;\
    font:inherit;text-align:center;border:1px solid #444;border-radius:.4rem;background:#f3f3f3;\
    color:#222;text-decoration:none}\
    .note{border-left:.3rem solid #b3261e;padding-left:.7rem}";

fn html(status: u16, title: &str, content: &str) -> Response {
    let body = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} (simulator)</title><style>{STYLE}</style></head><body>\
         <header>Simulator: this is not Sumsub. Do not enter real data.</header>\
         <main><h1>{title}</h1>{content}</main></body></html>"
    );
    Response {
        status,
        headers: vec![
            ("Content-Type", "text/html; charset=utf-8".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
            ("Referrer-Policy", "no-referrer".to_owned()),
            (
                "Content-Security-Policy",
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                 form-action 'self'"
                    .to_owned(),
            ),
        ],
        body: body.into_bytes(),
    }
}

/// Escapes text for an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}
