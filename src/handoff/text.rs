//! Every sentence that a customer reads, by language. A translation is one more file with one more
//! [`Text`]; the compiler says what it forgot. `{customer}` and `{broker}` are filled in where
//! [`parts`] cuts the sentence.

mod en;

pub(super) use en::ENGLISH;

/// The pages' text in one language.
pub(super) struct Text {
    /// The language tag of the pages and of Sumsub's frame.
    pub(super) language: &'static str,
    pub(super) progress: &'static str,
    pub(super) steps_business: [&'static str; 3],
    pub(super) steps_individual: [&'static str; 3],
    pub(super) step_done: &'static str,
    pub(super) step_now: &'static str,
    pub(super) footer: &'static str,
    pub(super) sign: SignText,
    pub(super) verify: VerifyText,
    pub(super) receipt: ReceiptText,
    pub(super) done: Ending,
    pub(super) rejected: Ending,
    pub(super) revoked: Ending,
    pub(super) withdrawn: Ending,
    pub(super) expired: Ending,
    pub(super) ended: Ending,
    pub(super) signed_before: Ending,
    pub(super) unknown: Ending,
    pub(super) not_allowed: Ending,
    pub(super) foreign: Ending,
    pub(super) too_often: Ending,
    pub(super) failed: Ending,
    pub(super) see_receipt: &'static str,
    pub(super) go_on: &'static str,
}

/// A page that says one thing.
pub(super) struct Ending {
    pub(super) title: &'static str,
    pub(super) words: &'static str,
}

/// The step in which the letter is signed.
pub(super) struct SignText {
    pub(super) title: &'static str,
    pub(super) lead_business: &'static str,
    pub(super) lead_individual: &'static str,
    pub(super) letter: &'static str,
    pub(super) form: &'static str,
    pub(super) name: &'static str,
    pub(super) name_hint: &'static str,
    pub(super) role: &'static str,
    pub(super) role_hint_business: &'static str,
    pub(super) role_hint_individual: &'static str,
    pub(super) role_individual: &'static str,
    pub(super) consent_business: &'static str,
    pub(super) consent_individual: &'static str,
    pub(super) recorded: &'static str,
    pub(super) button: &'static str,
    pub(super) errors: &'static str,
    pub(super) name_missing: &'static str,
    pub(super) name_illegible: &'static str,
    pub(super) role_missing: &'static str,
    pub(super) role_illegible: &'static str,
    pub(super) consent_missing: &'static str,
    pub(super) changed_title: &'static str,
    pub(super) changed: &'static str,
}

/// The step in which Sumsub verifies.
pub(super) struct VerifyText {
    pub(super) title_business: &'static str,
    pub(super) title_individual: &'static str,
    pub(super) signed: &'static str,
    pub(super) lead_business: &'static str,
    pub(super) lead_individual: &'static str,
    pub(super) partner: &'static str,
    pub(super) button: &'static str,
    pub(super) repeat_title: &'static str,
    pub(super) repeat: &'static str,
    pub(super) repeat_button: &'static str,
    pub(super) review_title: &'static str,
    pub(super) review: &'static str,
    pub(super) hold_title: &'static str,
    pub(super) hold_business: &'static str,
    pub(super) hold_individual: &'static str,
    pub(super) reopen: &'static str,
    pub(super) no_script: &'static str,
    pub(super) no_script_wait: &'static str,
    pub(super) frame: &'static str,
    pub(super) opening: &'static str,
    pub(super) opened: &'static str,
    pub(super) in_review: &'static str,
    pub(super) on_hold: &'static str,
    pub(super) trouble: &'static str,
    pub(super) blocked: &'static str,
}

/// The receipt.
pub(super) struct ReceiptText {
    pub(super) title: &'static str,
    pub(super) lead: &'static str,
    pub(super) evidence: &'static str,
    pub(super) granted_by: &'static str,
    pub(super) granted_to: &'static str,
    pub(super) signed_by: &'static str,
    pub(super) role: &'static str,
    pub(super) signed_at: &'static str,
    pub(super) how: &'static str,
    pub(super) version: &'static str,
    pub(super) sha256: &'static str,
    pub(super) address: &'static str,
    pub(super) address_headers: &'static str,
    pub(super) address_headers_disagree: &'static str,
    pub(super) link_request: &'static str,
    pub(super) link_request_same: &'static str,
    pub(super) user_agent: &'static str,
    pub(super) link: &'static str,
    pub(super) withdrawn_at: &'static str,
    pub(super) letter: &'static str,
    pub(super) print: &'static str,
    pub(super) save_letter: &'static str,
    pub(super) save_json: &'static str,
    pub(super) check: &'static str,
    pub(super) check_command: &'static str,
    pub(super) back: &'static str,
    pub(super) none: Ending,
}

/// What a sentence consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Words(&'static str),
    Customer,
    Broker,
}

/// A sentence in its order, cut where a name is filled in.
pub(super) fn parts(sentence: &'static str) -> impl Iterator<Item = Part> {
    sentence.split('{').enumerate().flat_map(|(at, part)| {
        let (name, words) = match part.split_once('}') {
            Some((name, words)) if at > 0 => (name, words),
            _ => ("", part),
        };
        let name = match name {
            "customer" => Some(Part::Customer),
            "broker" => Some(Part::Broker),
            _ => None,
        };
        name.into_iter().chain([Part::Words(words)])
    })
}
