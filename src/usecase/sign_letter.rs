//! A customer signs the letter on the hand-off page: the exact text that was shown, who signed and
//! from where are recorded in the commit that makes the LOA ACTIVE.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::domain::authorization::SIGNED_ON_PAGE;
use crate::domain::handoff::{AddressHeaders, Stage};
use crate::domain::letter::{Day, LetterTemplate};
use crate::domain::organization::Organization;
use crate::domain::text::{self, Objection};
use crate::store::{AuthorizationNote, Evidence, NewAuthorizationEvent};
use crate::usecase::authorizations::{EVIDENCE_CHARACTERS_MAX, evidence};
use crate::usecase::handoff_links::LinkToken;
use crate::usecase::open_link::{Sitting, sitting};
use crate::usecase::{Appliance, Failure};

/// The most characters of a browser's own word that are kept.
const USER_AGENT_CHARACTERS_MAX: usize = 300;

/// A letter, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The text, byte for byte.
    pub text: String,
    /// SHA-256 of the text.
    pub sha256: [u8; 32],
}

impl Letter {
    /// The letter of that day between the two.
    pub fn of(
        template: &LetterTemplate,
        customer: &Organization,
        broker: &Organization,
        on: Day,
    ) -> Self {
        let text = template.compose(customer, broker, on);
        Self { sha256: sha256(&text), text }
    }

    /// The SHA-256 in lower-case hex, as `sha256sum` prints it.
    pub fn fingerprint(&self) -> String {
        hex(&self.sha256)
    }
}

/// The SHA-256 of a text.
pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

/// What a signer entered, and what was seen of them.
#[derive(Clone)]
pub struct Signing {
    /// The full name.
    pub name: String,
    /// The role.
    pub role: String,
    /// The fingerprint of the letter that the form was shown with.
    pub fingerprint: String,
    /// The signer's IP address.
    pub address: Option<String>,
    /// The browser's own word.
    pub user_agent: Option<String>,
    /// The headers that name a client's address.
    pub address_headers: Option<AddressHeaders>,
    /// The request.
    pub request_id: String,
}

/// What became of it. The sitting is as it stands after.
#[derive(Debug)]
pub enum Signed {
    /// The LOA is ACTIVE by this form, also when it came a second time: nothing more was recorded.
    Now(Box<Sitting>),
    /// It was ACTIVE already by another one: nothing was recorded.
    Before(Box<Sitting>),
    /// The text is another one by now: nothing was recorded.
    TextChanged(Box<Sitting>),
    /// Link, LOA or verification have ended: nothing was recorded.
    Closed(Box<Sitting>),
    /// There is no such link.
    Unknown,
}

/// Whether a text may stand as a signer's name or role.
pub fn signable(text: &str) -> Result<(), Objection> {
    text::name(text, EVIDENCE_CHARACTERS_MAX).map(|_| ())
}

/// Signs.
pub fn sign_letter(
    appliance: &Appliance,
    token: &LinkToken,
    signing: Signing,
) -> Result<Signed, Failure> {
    let Some(handoff) = appliance.handoff.clone() else { return Ok(Signed::Unknown) };
    let (token, timekeeper) = (token.clone(), Arc::clone(&appliance.timekeeper));
    let signer_name = evidence("name", &signing.name)?;
    let signer_role = evidence("role", &signing.role)?;
    appliance.store.write(move |tx| {
        let now = timekeeper.moment().known_at;
        let Some(before) = sitting(**tx, &handoff, &token, now)? else {
            return Ok(Signed::Unknown);
        };
        if matches!(before.stage, Stage::Revoked | Stage::Withdrawn | Stage::Ended) {
            return Ok(Signed::Closed(Box::new(before)));
        }
        if before.authorization.signed_at.is_some() {
            let again = is_recorded(&before, (&signer_name, &signer_role), &signing.fingerprint);
            let before = Box::new(before);
            return Ok(if again { Signed::Now(before) } else { Signed::Before(before) });
        }
        if before.stage != Stage::Sign {
            return Ok(Signed::Closed(Box::new(before)));
        }
        let Some(letter) = shown(&before, &signing.fingerprint, Day::of(now)) else {
            return Ok(Signed::TextChanged(Box::new(before)));
        };
        let asked_from = tx.asked_from(&before.link.id)?;
        let event = NewAuthorizationEvent::Signed {
            at: now,
            signer_name,
            signer_role,
            how: SIGNED_ON_PAGE.to_owned(),
            reference: before.link.id.clone(),
            evidence: Some(Box::new(Evidence {
                link_id: before.link.id.clone(),
                text: letter.text,
                text_sha256: letter.sha256,
                text_version: before.template.version().to_owned(),
                address: signing.address,
                user_agent: signing.user_agent.map(|it| printable(&it)),
                address_headers: signing.address_headers,
                asked_from,
            })),
        };
        let note = AuthorizationNote {
            actor: before.customer.id.as_str().to_owned(),
            request_id: Some(signing.request_id),
            now,
        };
        tx.record_authorization(before.authorization.id, &event, &note)?;
        let after = sitting(**tx, &handoff, &token, now)?.map(Box::new);
        Ok(after.map_or(Signed::Unknown, Signed::Now))
    })
}

/// Whether the signature is this very form's: a double click, or an answer that was lost.
fn is_recorded(sitting: &Sitting, (name, role): (&str, &str), fingerprint: &str) -> bool {
    sitting.signature.as_ref().is_some_and(|it| {
        it.signer_name == name
            && it.signer_role == role
            && it.evidence.as_ref().is_some_and(|evidence| {
                evidence.link_id == sitting.link.id && hex(&evidence.text_sha256) == fingerprint
            })
    })
}

/// The letter of that fingerprint: today's, or yesterday's for a page that was open over midnight.
fn shown(sitting: &Sitting, fingerprint: &str, today: Day) -> Option<Letter> {
    [today, today.before()]
        .into_iter()
        .map(|day| Letter::of(&sitting.template, &sitting.customer, &sitting.broker, day))
        .find(|it| it.fingerprint() == fingerprint)
}

fn printable(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(USER_AGENT_CHARACTERS_MAX).collect()
}
