//! `countersign explain`: why a broker may or may not act for a customer, now, then, or when a call
//! was refused. It has answered either way, so its exit code does not tell which.

use clap::Args;

use super::exit::{CliError, Exit};
use super::output::{Answer, Format};
use super::wiring::{Asks, appliance};
use super::{Operator, Shape, instant_of, shape_of};
use crate::api::ExplanationBody;
use crate::domain::organization::OrganizationId;
use crate::domain::text::shown;
use crate::store::{AuthorizationCause, Cause, GateRefusal, Opening};
use crate::usecase::Appliance;
use crate::usecase::explain::{Condition, Explanation, RestsOn, explain};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign explain --granting org_... --authorized org_...
  countersign explain --granting org_... --authorized org_... --at 2026-05-14T09:30:00Z
  countersign explain --request req_...")]
pub(super) struct ExplainArguments {
    /// The customer, who grants
    #[arg(long, value_name = "ORG", requires = "authorized", required_unless_present = "request")]
    granting: Option<String>,
    /// The broker, who is authorized
    #[arg(long, value_name = "ORG", requires = "granting")]
    authorized: Option<String>,
    /// At which instant: RFC 3339, or a date for its midnight in UTC; default now
    #[arg(long, value_name = "INSTANT", requires = "granting")]
    at: Option<String>,
    /// The id of a call on behalf of a customer that was refused, as its answer told it
    #[arg(long, value_name = "REQUEST", conflicts_with_all = ["granting", "authorized", "at"])]
    request: Option<String>,
    #[command(flatten)]
    shape: Shape,
}

pub(super) fn run(operator: &Operator, arguments: &ExplainArguments) -> Result<Answer, CliError> {
    let at = arguments.at.as_deref().map(|it| instant_of("--at", it)).transpose()?;
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let refusal = arguments.request.as_deref().map(|it| refused(&appliance, it)).transpose()?;
    let explanation = if let Some(it) = &refusal {
        explain(&appliance, &it.subject, &it.caller, Some(it.refused_at))?
    } else {
        let id = |it: &Option<String>| OrganizationId::new(it.as_deref().unwrap_or_default());
        explain(&appliance, &id(&arguments.granting), &id(&arguments.authorized), at)?
    };
    Ok(match arguments.shape.format() {
        Format::Json => Answer::json(&shape_of(&ExplanationBody::of(&explanation))),
        Format::Table => Answer::text(people(&explanation, refusal.as_ref())),
    })
}

fn refused(appliance: &Appliance, request: &str) -> Result<GateRefusal, CliError> {
    appliance.store.read(|register| register.gate_refusal(request))?.ok_or_else(|| {
        CliError::new(
            Exit::NotFound,
            "there is no refused call of this id on record: only calls on behalf of a customer \
             that its Letter of Authorization or its verification stopped are kept",
        )
    })
}

fn people(it: &Explanation, refusal: Option<&GateRefusal>) -> String {
    let refused = refusal.map(|it| {
        let GateRefusal { request_id, purpose, refusal, refused_at, .. } = it;
        format!("{request_id} ({purpose}) was refused at {refused_at}: {refusal}\n")
    });
    let may = if it.is_effective { "may" } else { "may not" };
    let answer = format!("{} {may} act for {} at {}", it.authorized, it.granting, it.at);
    let width = it.conditions.iter().map(|it| it.name.as_str().len()).max().unwrap_or_default();
    let conditions = it.conditions.iter().map(|it| condition(it, width));
    let next = it.next.map_or_else(
        || "nothing has to happen".to_owned(),
        |it| format!("{}: {}", it.who.as_str(), it.what),
    );
    let lines = refused.into_iter().chain([answer]).chain(conditions);
    lines.chain([format!("\nNext  {next}\n")]).collect::<Vec<_>>().join("\n")
}

/// The condition on one line, and what it rests on below it.
fn condition(it: &Condition, width: usize) -> String {
    let holds = if it.holds { "holds" } else { "missing" };
    let since = it.since.map(|it| format!(" since {it}")).unwrap_or_default();
    let fact = it
        .fact
        .as_ref()
        .map(|it| format!("\n           {}, {}, {}", it.event(), it.id(), shown(&why(it))));
    let (name, value) = (it.name.as_str(), it.value);
    let note = it.note.as_ref().map(|it| format!("\n           {}", shown(it)));
    let below = fact.unwrap_or_default() + &note.unwrap_or_default();
    format!("\n  {holds:<7}  {name:<width$}  {value}{since}{below}")
}

/// The cause of a fact. An operator may read another's words, which callers of the API may not.
fn why(fact: &RestsOn) -> String {
    match fact {
        RestsOn::Authorization { cause, .. } => of_authorization(cause),
        RestsOn::Verification { cause, .. } => of_verification(cause),
        RestsOn::Expiry { cause, .. } => format!("approved by {}", of_verification(cause)),
    }
}

fn of_authorization(cause: &AuthorizationCause) -> String {
    let request = cause.request_id.as_ref().map(|it| format!(" in request {it}"));
    let words = match &cause.evidence {
        Some(evidence) => Some(evidence.join(", ")),
        None => cause.reason.clone(),
    };
    let words = words.map(|it| format!(": {it}"));
    format!("{}{}{}", cause.actor, request.unwrap_or_default(), words.unwrap_or_default())
}

fn of_verification(cause: &Cause) -> String {
    match cause {
        Cause::Delivery(id) => format!("delivery {id}"),
        Cause::Operator { actor, reason } => format!("{actor}: {reason}"),
        Cause::Request(id) => format!("request {id}"),
        Cause::Asked(at) => format!("asking Sumsub at {at}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::authorization::AuthorizationEvent;

    #[test]
    fn every_fact_is_told_with_who_caused_it_and_in_whose_words() {
        let by = |actor: &str, request: Option<&str>, reason: Option<&str>| AuthorizationCause {
            actor: actor.to_owned(),
            request_id: request.map(str::to_owned),
            reason: reason.map(str::to_owned),
            evidence: None,
        };
        let loa = |cause| RestsOn::Authorization {
            sequence: 1,
            ordinal: 1,
            event: AuthorizationEvent::Revoked,
            cause,
        };
        let operator =
            Cause::Operator { actor: "operator:ada".to_owned(), reason: "ticket 4711".to_owned() };
        let expiry = |cause| RestsOn::Expiry { sequence: 2, ordinal: 2, cause };

        assert_eq!(why(&loa(by("org_a", Some("req_a"), None))), "org_a in request req_a");
        assert_eq!(why(&loa(by("operator:ada", None, Some("ended")))), "operator:ada: ended");
        assert_eq!(why(&expiry(Cause::Delivery(7))), "approved by delivery 7");
        assert_eq!(why(&expiry(operator)), "approved by operator:ada: ticket 4711");
        assert_eq!(of_verification(&Cause::Request("req_a".to_owned())), "request req_a");
    }
}
