//! The step in which the letter is read and signed. The form carries the fingerprint of the letter
//! that it was shown with, so that nobody signs what they have not seen.

use std::net::IpAddr;

use maud::{Markup, html};

use super::page::{Page, Script, ending, has_receipt, named, named_plainly, progress};
use super::{Refusal, Visit, letter, path};
use crate::domain::handoff::Stage;
use crate::domain::organization::OrganizationType;
use crate::domain::text::Objection;
use crate::http::Response;
use crate::usecase::handoff_links::LinkToken;
use crate::usecase::open_link::{Sitting, open_link};
use crate::usecase::sign_letter::{Signed, Signing, sign_letter, signable};

/// What stands in the form, and what is wrong with it.
pub(super) struct Entered {
    name: String,
    role: String,
    fingerprint: String,
    agrees: bool,
    state: FormState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FormState {
    /// Shown for the first time.
    Fresh,
    /// Sent, and incomplete.
    Incomplete,
    /// Sent, and the letter has changed since.
    LetterChanged,
}

impl Entered {
    /// A form as it is first shown.
    pub(super) fn nothing(visit: &Visit<'_>, sitting: &Sitting) -> Self {
        let role = match sitting.customer.kind {
            OrganizationType::Business => "",
            OrganizationType::Individual => visit.text.sign.role_individual,
        };
        Self {
            name: String::new(),
            role: role.to_owned(),
            fingerprint: String::new(),
            agrees: false,
            state: FormState::Fresh,
        }
    }

    fn read(body: &[u8]) -> Self {
        let field = |name: &str| {
            form_urlencoded::parse(body)
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        Self {
            name: field("name"),
            role: field("role"),
            fingerprint: field("letter"),
            agrees: field("consent") == "yes",
            state: FormState::Incomplete,
        }
    }

    fn is_complete(&self) -> bool {
        signable(&self.name).is_ok() && signable(&self.role).is_ok() && self.agrees
    }
}

/// Signs, or says why not.
pub(super) fn sign(
    visit: &Visit<'_>,
    token: &LinkToken,
    address: Option<IpAddr>,
) -> Result<Response, Refusal> {
    let entered = Entered::read(&visit.request.body);
    if !entered.is_complete() {
        let sitting = open_link(visit.appliance, token)?.ok_or(Refusal::Unknown)?;
        return Ok(match sitting.stage {
            Stage::Sign => form(visit, token, &sitting, &entered),
            Stage::Revoked | Stage::Withdrawn | Stage::Ended => ending(visit, token, &sitting),
            _ if sitting.authorization.signed_at.is_some() => signed_before(visit, token, &sitting),
            _ => ending(visit, token, &sitting),
        });
    }
    let signing = Signing {
        name: entered.name.clone(),
        role: entered.role.clone(),
        fingerprint: entered.fingerprint.clone(),
        address: address.map(|it| it.to_string()),
        user_agent: visit.request.header("user-agent").map(ToOwned::to_owned),
        address_headers: visit.address_headers(),
        request_id: visit.id.clone(),
    };
    Ok(match sign_letter(visit.appliance, token, signing)? {
        // See other: loading the page again must not send the form again.
        Signed::Now(_) => see_page(token),
        Signed::Before(sitting) => signed_before(visit, token, &sitting),
        Signed::TextChanged(sitting) => {
            let again = Entered { agrees: false, state: FormState::LetterChanged, ..entered };
            form(visit, token, &sitting, &again)
        }
        Signed::Closed(sitting) => ending(visit, token, &sitting),
        Signed::Unknown => return Err(Refusal::Unknown),
    })
}

/// Leads to the page of the step that the customer is at.
pub(super) fn see_page(token: &LinkToken) -> Response {
    let mut headers = vec![("Location", path(token, ""))];
    headers.extend(super::page::guards());
    Response { status: 303, headers, body: Vec::new() }
}

fn signed_before(visit: &Visit<'_>, token: &LinkToken, sitting: &Sitting) -> Response {
    let text = visit.text;
    let main = html! {
        (progress(text, sitting))
        h1 { (text.signed_before.title) }
        p { (text.signed_before.words) }
        div.actions {
            a.button href=(path(token, "")) { (text.go_on) }
            @if has_receipt(sitting) {
                a.button.second href=(path(token, "receipt")) { (text.see_receipt) }
            }
        }
    };
    Page { status: 409, title: text.signed_before.title, main, script: Script::None }.render(text)
}

/// The letter with the form under it.
pub(super) fn form(
    visit: &Visit<'_>,
    token: &LinkToken,
    sitting: &Sitting,
    entered: &Entered,
) -> Response {
    let text = visit.text;
    let words = &text.sign;
    let lead = match sitting.customer.kind {
        OrganizationType::Business => words.lead_business,
        OrganizationType::Individual => words.lead_individual,
    };
    let main = html! {
        (progress(text, sitting))
        h1 { (named(words.title, sitting)) }
        (alert(visit, entered))
        p { (named(lead, sitting)) }
        section aria-labelledby="letter-title" {
            h2 #letter-title { (words.letter) }
            (letter::block(sitting, &sitting.letter.text, sitting.template.version()))
        }
        section aria-labelledby="form-title" {
            h2 #form-title { (words.form) }
            form method="post" action=(path(token, "sign")) novalidate {
                input type="hidden" name="letter" value=(sitting.letter.fingerprint());
                (fields(visit, sitting, entered))
                p.quiet { (words.recorded) }
                button type="submit" { (words.button) }
            }
        }
    };
    let (status, prefix) = match entered.state {
        FormState::Fresh => (200, None),
        FormState::Incomplete => (422, Some(words.errors)),
        FormState::LetterChanged => (409, Some(words.changed_title)),
    };
    let title = named_plainly(words.title, sitting);
    let title = prefix.map_or_else(|| title.clone(), |it| format!("{it}: {title}"));
    Page { status, title: &title, main, script: Script::None }.render(text)
}

fn alert(visit: &Visit<'_>, entered: &Entered) -> Markup {
    let words = &visit.text.sign;
    html! {
        @match entered.state {
            FormState::Fresh => {}
            FormState::LetterChanged => {
                div.alert role="alert" {
                    h2 { (words.changed_title) }
                    p { (words.changed) }
                }
            }
            FormState::Incomplete => {
                div.alert role="alert" {
                    h2 { (words.errors) }
                    ul {
                        @for (field, wrong) in wrongs(visit, entered) {
                            li { a href={ "#" (field) } { (wrong) } }
                        }
                    }
                }
            }
        }
    }
}

/// The fields that are wrong, with what is wrong.
fn wrongs(visit: &Visit<'_>, entered: &Entered) -> Vec<(&'static str, String)> {
    let words = &visit.text.sign;
    let wrong = |text: &str, missing: &str, illegible: &str| match signable(text) {
        Ok(()) => None,
        Err(Objection::Empty { .. }) => Some(missing.to_owned()),
        Err(Objection::Character(it, _)) => Some(format!("{illegible} (U+{:04X})", u32::from(it))),
        Err(Objection::Long { .. } | Objection::Nameless) => Some(illegible.to_owned()),
    };
    [
        ("name", wrong(&entered.name, words.name_missing, words.name_illegible)),
        ("role", wrong(&entered.role, words.role_missing, words.role_illegible)),
        ("consent", (!entered.agrees).then(|| words.consent_missing.to_owned())),
    ]
    .into_iter()
    .filter(|_| entered.state == FormState::Incomplete)
    .filter_map(|(field, wrong)| Some((field, wrong?)))
    .collect()
}

fn fields(visit: &Visit<'_>, sitting: &Sitting, entered: &Entered) -> Markup {
    let words = &visit.text.sign;
    let wrongs = wrongs(visit, entered);
    let wrong_of =
        |field: &str| wrongs.iter().find(|(it, _)| *it == field).map(|(_, it)| it.as_str());
    let (role_hint, consent) = match sitting.customer.kind {
        OrganizationType::Business => (words.role_hint_business, words.consent_business),
        OrganizationType::Individual => (words.role_hint_individual, words.consent_individual),
    };
    html! {
        (text_field(("name", words.name, "name"), words.name_hint, &entered.name, wrong_of("name")))
        (text_field(
            ("role", words.role, "organization-title"), role_hint, &entered.role, wrong_of("role"),
        ))
        div.field {
            @if let Some(wrong) = wrong_of("consent") { p.wrong #consent-wrong { (wrong) } }
            div.choice {
                input #consent type="checkbox" name="consent" value="yes" required
                    checked[entered.agrees] aria-invalid=[wrong_of("consent").map(|_| "true")]
                    aria-describedby=[wrong_of("consent").map(|_| "consent-wrong")];
                label for="consent" { (named(consent, sitting)) }
            }
        }
    }
}

fn text_field(
    (name, label, autocomplete): (&str, &str, &str),
    hint: &str,
    value: &str,
    wrong: Option<&str>,
) -> Markup {
    let described_by = format!(
        "{name}-hint{}",
        if wrong.is_some() { format!(" {name}-wrong") } else { String::new() }
    );
    html! {
        div.field {
            label for=(name) { (label) }
            p.hint id={ (name) "-hint" } { (hint) }
            @if let Some(wrong) = wrong { p.wrong id={ (name) "-wrong" } { (wrong) } }
            input type="text" id=(name) name=(name) value=(value) required maxlength="200" dir="auto"
                autocomplete=(autocomplete) aria-describedby=(described_by)
                aria-invalid=[wrong.map(|_| "true")];
        }
    }
}
