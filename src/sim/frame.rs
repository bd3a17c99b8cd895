//! The `WebSDK`'s frame, and a script equivalent to the builder on Sumsub's static host, under the
//! paths that the real ones have: the unmodified npm packages drive it. The script and its message
//! protocol are in `frame/`; here is what the frame asks of its own origin, always with its token.
//!
//! No file leaves the browser: a picture is "uploaded" by its name.

use super::ApplicantCreation;
use super::applicant::{Applicant, Document, ReviewStatus, Step};
use super::call::{self, Answer, Reply};
use super::event::Event;
use super::failure::Failure;
use super::page;
use super::settings::ApplicantType;
use super::token::Pass;
use super::world::{Draft, World};
use crate::http::{Request, Response};
use serde_json::{Value, json};

const HTML: &str = include_str!("frame/websdk.html");
const STYLE: &str = include_str!("frame/websdk.css");
const SCRIPT: &str = include_str!("frame/websdk.js");
const BUILDER: &str = include_str!("frame/builder.js");

/// Answers what belongs to the frame; `None`: it is something else's.
pub(super) fn answer(world: &mut World, request: &Request) -> Option<Response> {
    match (request.method.as_str(), request.path()) {
        // npm 2.6 and later, legacy `Builder` up to 2.5, and 1.x and 2.0 on localhost.
        ("GET" | "HEAD", "/websdk/websdk.html" | "/idensic/websdk.html" | "/websdk.html") => {
            Some(file("text/html; charset=utf-8", HTML))
        }
        ("GET" | "HEAD", "/websdk/frame.css") => Some(file("text/css; charset=utf-8", STYLE)),
        ("GET" | "HEAD", "/websdk/frame.js") => {
            Some(file("text/javascript; charset=utf-8", SCRIPT))
        }
        ("GET" | "HEAD", "/idensic/static/sns-websdk-builder.js") => {
            Some(file("text/javascript; charset=utf-8", BUILDER))
        }
        ("POST", path) => {
            let action = path.strip_prefix("/websdk/frame/")?;
            let correlation_id = world.correlation_id.clone();
            let answer = act(world, action, &request.body);
            Some(answer.map_or_else(|it| it.response(&correlation_id), Reply::response))
        }
        _ => None,
    }
}

/// Ends the life of SDK tokens now: those of one user, or all. For the control port.
pub(super) fn expire_tokens(world: &mut World, body: &Value) -> Reply {
    let user_id = call::text(body, "userId");
    let now_ms = world.now_ms;
    let mut expired = 0;
    for pass in world.sdk_tokens.values_mut() {
        if user_id.is_none_or(|it| pass.user_id == it) && pass.expires_at_ms > now_ms {
            pass.expires_at_ms = now_ms;
            expired += 1;
        }
    }
    Reply::ok(json!({ "expired": expired }))
}

fn act(world: &mut World, action: &str, body: &[u8]) -> Answer {
    let body = call::object(body)?;
    let Some(pass) = pass(world, &body) else {
        // Not a 401: browsers would write an error of their own into the page's console, and this
        // is an ordinary turn of the protocol.
        return Ok(Reply::ok(json!({ "code": "invalid-token" })));
    };
    let id = open(world, &pass, call::required_text(&body, "accessToken")?)?
        .ok_or_else(|| Failure::applicant_not_found(&pass.user_id))?;
    match action {
        "open" => {}
        "document" => document(world, &id, &body)?,
        "company" => company(world, &id, &body)?,
        "owner" => owner(world, &id, &body)?,
        "submit" => submit(world, &id)?,
        "play" => page::play(world, &id, call::required_text(&body, "action")?)?,
        _ => return Err(Failure::plain(404, "The frame has no such call")),
    }
    let applicant = world.applicants.get(&id).ok_or_else(|| Failure::applicant_not_found(&id))?;
    Ok(Reply::ok(state(world, applicant)))
}

/// What the SDK does first: it shows its token, and the applicant appears if it is to. The frame
/// asks again and again; only the first time leads anywhere.
pub(super) fn open(world: &mut World, pass: &Pass, token: &str) -> Result<Option<String>, Failure> {
    let applicant = world.applicant_of(pass, ApplicantCreation::OnOpen)?;
    if let Some(id) = &applicant {
        world.lead_to_level(id, pass);
    }
    if let Some(known) = world.sdk_tokens.get_mut(token) {
        known.is_opened = true;
    }
    Ok(applicant)
}

/// A token that is unknown or expired is what the SDK calls `invalid-token`.
fn pass(world: &World, body: &Value) -> Option<Pass> {
    let token = call::text(body, "accessToken")?;
    world.sdk_tokens.get(token).filter(|it| world.now_ms < it.expires_at_ms).cloned()
}

/// What the frame shows: whom, what is still wanted, and how the review stands.
fn state(world: &World, applicant: &Applicant) -> Value {
    let review = &applicant.review;
    let result = review.result.as_ref();
    json!({
        "applicantId": applicant.id,
        "levelName": applicant.level,
        "type": applicant.kind.as_str(),
        "name": applicant.name(),
        "reviewStatus": review.status.as_str(),
        "reviewResult": result.map(super::applicant::ReviewResult::to_json),
        "createdAt": super::moment::zoned(review.created_at_ms),
        "mayHandIn": review.may_submit().is_ok(),
        "isRepeat": review.status == ReviewStatus::Completed && !review.is_approved(),
        "wanted": wanted(world, applicant),
    })
}

/// The steps that are open. After a retry only the first one failed; where a real review would name
/// it, the simulator's retry is always about the first picture or the company's data.
fn wanted(world: &World, applicant: &Applicant) -> Vec<&'static str> {
    let all = match applicant.kind {
        ApplicantType::Individual => ["IDENTITY", "SELFIE"],
        ApplicantType::Company => ["COMPANY", "UBOS"],
    };
    if applicant.review.may_submit().is_err() {
        return Vec::new();
    }
    if applicant.review.status == ReviewStatus::Completed {
        return all.into_iter().take(1).collect();
    }
    all.into_iter()
        .filter(|set| match *set {
            "UBOS" => world.people(&applicant.id).is_empty(),
            set => !applicant.documents.iter().any(|it| it.set == set),
        })
        .collect()
}

fn document(world: &mut World, id: &str, body: &Value) -> Result<(), Failure> {
    let set = call::required_text(body, "set")?;
    let kind = call::required_text(body, "kind")?;
    if !["IDENTITY", "SELFIE", "COMPANY"].contains(&set) {
        return Err(Failure::invalid("set is unknown"));
    }
    let image_id = i64::try_from(world.random.next() >> 34).unwrap_or(1);
    let added = Document {
        set: set.to_owned(),
        kind: kind.to_owned(),
        country: call::text(body, "country").unwrap_or("FRA").to_owned(),
        image_id,
    };
    let applicant = world.applicants.get_mut(id).ok_or_else(|| Failure::applicant_not_found(id))?;
    applicant.review.may_submit().map_err(super::flow::refused)?;
    applicant.documents.retain(|it| it.set != added.set);
    applicant.documents.push(added);
    Ok(())
}

fn company(world: &mut World, id: &str, body: &Value) -> Result<(), Failure> {
    let country = call::text(body, "country").unwrap_or("FRA");
    let details = json!({
        "companyName": call::required_text(body, "companyName")?,
        "registrationNumber": call::required_text(body, "registrationNumber")?,
        "country": country,
    });
    let with_paper = json!({"set": "COMPANY", "kind": "COMPANY_DOC", "country": country});
    document(world, id, &with_paper)?;
    if let Some(applicant) = world.applicants.get_mut(id) {
        applicant.fixed_info.insert("companyInfo".to_owned(), details);
    }
    Ok(())
}

/// One beneficial owner, an applicant of its own.
fn owner(world: &mut World, id: &str, body: &Value) -> Result<(), Failure> {
    let names = ["firstName", "lastName"]
        .map(|name| call::required_text(body, name).map(|it| (name, it.to_owned())));
    let company = world.applicants.get(id).ok_or_else(|| Failure::applicant_not_found(id))?;
    company.review.may_submit().map_err(super::flow::refused)?;
    if company.kind != ApplicantType::Company || !world.people(id).is_empty() {
        return Ok(());
    }
    let tenant = company.tenant;
    let level = world
        .level_for(ApplicantType::Individual)
        .map(|it| it.name.clone())
        .ok_or_else(|| Failure::level_not_found("any individual level"))?;
    let mut draft = Draft::new(tenant, &level);
    draft.external_user_id = Some(format!("beneficiary-random-{}", world.random.uuid()));
    for name in names {
        let (name, value) = name?;
        draft.fixed_info.insert(name.to_owned(), json!(value));
    }
    let person = world.insert(draft)?;
    if let Some(applicant) = world.applicants.get_mut(&person) {
        applicant.member_of = Some(id.to_owned());
    }
    world.emit(&person, &Event::Created);
    Ok(())
}

/// Hands everything in; a company's owner is handed in with it.
fn submit(world: &mut World, id: &str) -> Result<(), Failure> {
    for person in world.people(id) {
        if world.step(&person, Step::Submit).is_ok() {
            world.emit(&person, &Event::Pending);
        }
    }
    world.submit(id)
}

fn file(kind: &str, content: &str) -> Response {
    Response {
        status: 200,
        headers: vec![
            ("Content-Type", kind.to_owned()),
            ("Cache-Control", "no-store".to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Referrer-Policy", "no-referrer".to_owned()),
            (
                "Content-Security-Policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                 img-src 'self' blob: data:; form-action 'none'; base-uri 'none'"
                    .to_owned(),
            ),
        ],
        body: content.as_bytes().to_vec(),
    }
}
