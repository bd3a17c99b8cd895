//! The receipt of a signature: for people on paper, for programs as JSON, and the signed letter alone
//! as a file whose SHA-256 anybody can compute. Shown as long as the link is not revoked, and also after
//! the LOA was.

use maud::{Markup, html};
use serde::Serialize;

use super::letter::block as letter_block;
use super::page::{Page, Script, ending, guards, has_receipt, party, plain};
use super::verify::json;
use super::{Refusal, Visit, path};
use crate::domain::handoff::Stage;
use crate::domain::organization::Organization;
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::usecase::Failure;
use crate::usecase::handoff_links::LinkToken;
use crate::usecase::open_link::Sitting;
use crate::usecase::sign_letter::hex;

/// Everything that a receipt says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt<'a> {
    object: &'static str,
    r#type: &'static str,
    status: &'static str,
    granting_organization: Party<'a>,
    authorized_organization: Party<'a>,
    signer_name: &'a str,
    signer_role: &'a str,
    signed_at: String,
    signed_how: &'a str,
    revoked_at: Option<String>,
    text_version: &'a str,
    text_sha256: String,
    address: Option<&'a str>,
    user_agent: Option<&'a str>,
    address_headers: Vec<AddressHeader<'a>>,
    address_headers_disagree: bool,
    signed_from_address_of_link_request: Option<bool>,
    link_id: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Party<'a> {
    organization_id: &'a str,
    name: &'a str,
    r#type: &'static str,
}

impl<'a> Party<'a> {
    fn of(organization: &'a Organization) -> Self {
        Self {
            organization_id: organization.id.as_str(),
            name: organization.name.as_str(),
            r#type: organization.kind.as_str(),
        }
    }
}

/// A header that names a client's address, as it came.
#[derive(Serialize)]
struct AddressHeader<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> AddressHeader<'a> {
    fn of((name, value): &'a (String, String)) -> Self {
        Self { name, value }
    }
}

impl<'a> Receipt<'a> {
    /// `None`: there is none to show. A letter that is not the one that was signed is never shown as such.
    fn of(sitting: &'a Sitting) -> Result<Option<Self>, Failure> {
        let Some(signature) = sitting.signature.as_ref().filter(|_| has_receipt(sitting)) else {
            return Ok(None);
        };
        let Some(evidence) = &signature.evidence else { return Ok(None) };
        evidence.check()?;
        let headers = evidence.address_headers.as_ref();
        Ok(Some(Self {
            object: "authorization_receipt",
            r#type: crate::domain::authorization::AUTHORIZATION_TYPE,
            status: sitting.authorization.status.as_str(),
            granting_organization: Party::of(&sitting.customer),
            authorized_organization: Party::of(&sitting.broker),
            signer_name: &signature.signer_name,
            signer_role: &signature.signer_role,
            signed_at: signature.at.to_string(),
            signed_how: &signature.how,
            revoked_at: sitting.authorization.revoked_at.as_ref().map(Timestamp::to_string),
            text_version: &evidence.text_version,
            text_sha256: hex(&evidence.text_sha256),
            address: evidence.address.as_deref(),
            user_agent: evidence.user_agent.as_deref(),
            address_headers: headers
                .map(|it| it.headers.iter().map(AddressHeader::of).collect())
                .unwrap_or_default(),
            address_headers_disagree: headers.is_some_and(|it| it.disagree),
            signed_from_address_of_link_request: evidence.is_from_where_link_was_asked_for(),
            link_id: &evidence.link_id,
            text: &evidence.text,
        }))
    }
}

/// For people.
pub(super) fn show(
    visit: &Visit<'_>,
    token: &LinkToken,
    sitting: &Sitting,
) -> Result<Response, Refusal> {
    let text = visit.text;
    let words = &text.receipt;
    let Some(receipt) = Receipt::of(sitting)? else { return Ok(none(visit, token, sitting)) };
    let main = html! {
        h1 { (words.title) }
        p { (words.lead) }
        div.actions {
            button.second type="button" data-print hidden { (words.print) }
            a.button.second href=(path(token, "letter.txt")) download="letter.txt" {
                (words.save_letter)
            }
            a.button.second href=(path(token, "receipt.json")) download="receipt.json" {
                (words.save_json)
            }
        }
        section aria-labelledby="evidence-title" {
            h2 #evidence-title { (words.evidence) }
            div.card { (evidence(visit, &receipt)) }
            p.quiet { (words.check) " " code translate="no" { (words.check_command) } }
        }
        section aria-labelledby="letter-title" {
            h2 #letter-title { (words.letter) }
            (letter_block(sitting, receipt.text, receipt.text_version))
        }
        div.actions { a.button.second href=(path(token, "")) { (words.back) } }
    };
    Ok(Page { status: 200, title: words.title, main, script: Script::Own }.render(text))
}

fn evidence(visit: &Visit<'_>, receipt: &Receipt<'_>) -> Markup {
    let words = &visit.text.receipt;
    let organization =
        |it: &Party<'_>| html! { (party(it.name)) " (" (party(it.organization_id)) ")" };
    let headers = receipt.address_headers.iter().map(|it| format!("{}: {}", it.name, it.value));
    let headers = headers.collect::<Vec<_>>().join("; ");
    let disagreement = html! { (words.address_headers_disagree) " " (party(&headers)) };
    let is_same = receipt.signed_from_address_of_link_request == Some(true);
    let rows = [
        (words.granted_by, Some(organization(&receipt.granting_organization))),
        (words.granted_to, Some(organization(&receipt.authorized_organization))),
        (words.signed_by, Some(party(receipt.signer_name))),
        (words.role, Some(party(receipt.signer_role))),
        (words.signed_at, Some(party(&receipt.signed_at))),
        (words.withdrawn_at, receipt.revoked_at.as_deref().map(party)),
        (words.how, Some(html! { (receipt.signed_how) })),
        (words.version, Some(party(receipt.text_version))),
        (words.address, receipt.address.map(party)),
        (words.address_headers, receipt.address_headers_disagree.then_some(disagreement)),
        (words.link_request, is_same.then(|| html! { (words.link_request_same) })),
        (words.user_agent, receipt.user_agent.map(party)),
        (words.link, Some(party(receipt.link_id))),
    ];
    html! {
        dl {
            @for (name, value) in rows {
                @if let Some(value) = value {
                    dt { (name) }
                    dd { (value) }
                }
            }
            dt { (words.sha256) }
            dd { code translate="no" { (receipt.text_sha256) } }
        }
    }
}

/// For programs.
pub(super) fn for_programs(
    visit: &Visit<'_>,
    token: &LinkToken,
    sitting: &Sitting,
) -> Result<Response, Refusal> {
    let receipt = Receipt::of(sitting)?;
    Ok(receipt.map_or_else(|| none(visit, token, sitting), |it| json(200, &it)))
}

/// The signed text, byte for byte.
pub(super) fn letter(
    visit: &Visit<'_>,
    token: &LinkToken,
    sitting: &Sitting,
) -> Result<Response, Refusal> {
    let Some(receipt) = Receipt::of(sitting)? else { return Ok(none(visit, token, sitting)) };
    let mut headers = vec![("Content-Type", "text/plain; charset=utf-8".to_owned())];
    headers.extend(guards());
    Ok(Response { status: 200, headers, body: receipt.text.as_bytes().to_vec() })
}

fn none(visit: &Visit<'_>, token: &LinkToken, sitting: &Sitting) -> Response {
    match sitting.stage {
        Stage::Revoked | Stage::Ended => ending(visit, token, sitting),
        _ => plain(visit.text, 404, &visit.text.receipt.none),
    }
}
