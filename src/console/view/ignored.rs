//! An approval of Sumsub's that does not count: what was checked at which level, which levels are
//! accepted, and what to do. The same words in the queue, on the organization's page and on the
//! delivery's; no line is longer than a narrow terminal.

use crate::domain::organization::OrganizationType;
use crate::domain::verdict::{Acceptance, Named};
use crate::store::Outcome;

/// The level that was named beside those that are accepted: `kyb-basic; accepted: kyb-level, kyb-2`.
pub fn levels(named: &Named<String>, kind: OrganizationType, acceptance: &Acceptance) -> String {
    let accepted = acceptance.levels(kind);
    let accepted = if accepted.is_empty() { "none is set".to_owned() } else { accepted.join(", ") };
    format!("{}; accepted: {accepted}", level(named))
}

/// The level that was named.
pub fn level(named: &Named<String>) -> &str {
    match named {
        Named::Not => "(none named)",
        Named::Unreadably => "(unreadable)",
        Named::As(it) => it,
    }
}

/// What was checked, by Sumsub's word for the applicant's type.
pub fn checked(applicant_type: Option<&str>) -> &'static str {
    match applicant_type {
        Some("company") => "a company",
        Some("individual") => "an individual",
        Some(_) | None => "an applicant",
    }
}

/// What an operator can do about an approval that does not count, a line each; `None`: the outcome is
/// no such approval. `again` is the command that applies it again.
pub fn advice(outcome: Outcome, kind: OrganizationType, again: &str) -> Option<Vec<String>> {
    const ASK_AGAIN: &str = "ask the customer again: hold (H), resubmit (B), a new session (S)";
    let setting = format!("sumsub-level-{}", kind.as_str().to_lowercase());
    match outcome {
        Outcome::OtherLevel => Some(vec![
            format!("accept the level: extend {setting}, restart, then"),
            format!("`{again}`;"),
            format!("or {ASK_AGAIN}"),
        ]),
        Outcome::OtherApplicantType => Some(vec![
            format!("the organization is of type {}:", kind.as_str()),
            ASK_AGAIN.to_owned(),
        ]),
        Outcome::UnreadableGuard => Some(vec![
            "sandboxMode, testMode or applicantMemberOf is there, and unreadable:".to_owned(),
            "decide yourself: hold (H), then approve (A);".to_owned(),
            format!("or {ASK_AGAIN}"),
        ]),
        Outcome::WorkflowStep => {
            Some(vec!["wait: only the end of Sumsub's workflow decides".to_owned()])
        }
        _ => None,
    }
}
