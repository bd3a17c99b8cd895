//! `countersign inbox`: what Sumsub delivered, byte for byte, and what it did.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, List, fields, table};
use super::wiring::{Asks, appliance};
use super::{Operator, Shape, instant_of};
use crate::domain::organization::OrganizationId;
use crate::store::{Delivery, Opening};
use crate::usecase::Appliance;
use crate::usecase::authorizations::{Page, page};
use crate::usecase::receive_webhook::replay_delivery;
use crate::usecase::reconcile::Mode;
use crate::usecase::replay_inbox::{Difference, Filter, Today, replay_inbox};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign inbox list
  countersign inbox show 17")]
pub(super) struct InboxArguments {
    #[command(subcommand)]
    command: InboxCommand,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Subcommand)]
enum InboxCommand {
    /// List deliveries with a right digest, newest first, and what each did
    #[command(after_help = "\
Example:
  countersign inbox list --limit 100")]
    List {
        /// At most so many
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Only those older than the one of this number: a list's `nextCursor`
        #[arg(long, value_name = "ID", visible_alias = "before")]
        cursor: Option<i64>,
    },
    /// Show one delivery: its outcome, headers and body; exactly with --json
    #[command(after_help = "\
Example:
  countersign inbox show 17")]
    Show {
        /// The delivery's number
        id: i64,
    },
    /// Apply a delivery again by the rules of today; one that led to a fact keeps it
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArguments),
}

const REPLAY_HELP: &str = "\
Examples:
  countersign inbox replay 17
  countersign inbox replay --all --dry-run
  countersign inbox replay --all --type applicantReviewed --since 2026-05-01

After an upgrade, `--all --dry-run` tells which deliveries read otherwise by the
rules of today, and which statuses would change; those whose body went by age are
left out. Facts are never changed: where one was recorded it stays, and the
difference is reported.

Exit code: 0 nothing differs, or it was applied; 6 a dry run found something that
it would change.";

#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
#[derive(Debug, Args)]
struct ReplayArguments {
    /// The delivery's number
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<i64>,
    /// All that the filters let through
    #[arg(long)]
    all: bool,
    /// Tell what would change, and change nothing
    #[arg(long, requires = "all")]
    dry_run: bool,
    /// Only those of this type of Sumsub's
    #[arg(long = "type", value_name = "TYPE", requires = "all")]
    event_type: Option<String>,
    /// Only those about this organization
    #[arg(long, value_name = "ORG", requires = "all")]
    org: Option<String>,
    /// Only those received then or later
    #[arg(long, value_name = "INSTANT", requires = "all")]
    since: Option<String>,
}

pub(super) fn run(operator: &Operator, arguments: &InboxArguments) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let format = arguments.shape.format();
    match &arguments.command {
        InboxCommand::List { limit, cursor } => list(&appliance, format, *limit, *cursor),
        InboxCommand::Show { id } => {
            let delivery = appliance
                .store
                .read(|register| register.delivery(*id))?
                .ok_or_else(|| not_found(*id))?;
            Ok(show(format, &delivery))
        }
        InboxCommand::Replay(arguments) => match arguments.id {
            Some(id) => replay_one(&appliance, format, id),
            None => replay_all(&appliance, format, arguments),
        },
    }
}

fn replay_one(appliance: &Appliance, format: Format, id: i64) -> Result<Answer, CliError> {
    let (before, after) = replay_delivery(appliance, id)?.ok_or_else(|| not_found(id))?;
    let (before, after) = (before.as_str(), after.as_str());
    Ok(match format {
        Format::Json => Answer::json(&json!({
            "object": "replay", "deliveryId": id, "before": before, "after": after,
        })),
        Format::Table => Answer::text(format!("delivery {id}: {before} -> {after}\n")),
    })
}

fn replay_all(
    appliance: &Appliance,
    format: Format,
    arguments: &ReplayArguments,
) -> Result<Answer, CliError> {
    let filter = Filter {
        event_type: arguments.event_type.clone(),
        organization: arguments.org.as_deref().map(OrganizationId::new),
        since: arguments.since.as_deref().map(|it| instant_of("--since", it)).transpose()?,
    };
    let mode = if arguments.dry_run { Mode::DryRun } else { Mode::Apply };
    let replay = replay_inbox(appliance, &filter, mode)?;
    let would_change = replay.differences.iter().any(|it| matches!(it.now, Today::Outcome(..)));
    let answer = match format {
        Format::Json => Answer::json(&json!({
            "object": "inbox_replay", "dryRun": arguments.dry_run, "read": replay.read,
            "differences": replay.differences.iter().map(difference_json).collect::<Vec<_>>(),
        })),
        Format::Table if replay.differences.is_empty() => Answer::default(),
        Format::Table => {
            let rows: Vec<Vec<String>> = replay.differences.iter().map(difference).collect();
            let head = ["ID", "TYPE", "ORGANIZATION", "BEFORE", "TODAY", "STATUS"];
            Answer::text(table(&head, &rows))
        }
    };
    let did = match (would_change, mode) {
        (false, _) => "nothing changes",
        (true, Mode::DryRun) => "this would change; without --dry-run it is applied",
        (true, Mode::Apply) => "this was applied",
    };
    let answer = answer.telling(format!("{} deliveries read again: {did}.", replay.read));
    Ok(if would_change && arguments.dry_run { answer.ending(Exit::WouldChange) } else { answer })
}

fn difference(it: &Difference) -> Vec<String> {
    let dash = || "-".to_owned();
    let (today, status) = match it.now {
        Today::Outcome(outcome, Some((from, to))) if from != to => {
            (outcome.as_str().to_owned(), format!("{} -> {}", from.as_str(), to.as_str()))
        }
        Today::Outcome(outcome, _) => (outcome.as_str().to_owned(), "stays".to_owned()),
        Today::FactStays(event) => (format!("({})", event.as_str()), "fact stays".to_owned()),
        Today::WouldNotCount(outcome) => {
            (format!("({})", outcome.as_str()), "fact stays".to_owned())
        }
    };
    vec![
        it.delivery_id.to_string(),
        it.event_type.clone().unwrap_or_else(dash),
        it.organization.as_ref().map_or_else(dash, ToString::to_string),
        it.before.as_str().to_owned(),
        today,
        status,
    ]
}

fn difference_json(it: &Difference) -> Value {
    let (outcome, status, event) = match it.now {
        Today::Outcome(outcome, status) => (Some(outcome.as_str()), status, None),
        Today::FactStays(event) => (None, None, Some(event.as_str())),
        Today::WouldNotCount(outcome) => (None, None, Some(outcome.as_str())),
    };
    json!({
        "deliveryId": it.delivery_id,
        "type": it.event_type,
        "organizationId": it.organization.as_ref().map(OrganizationId::as_str),
        "before": it.before.as_str(),
        "after": outcome,
        "statusFrom": status.map(|(from, _)| from.as_str()),
        "statusTo": status.map(|(_, to)| to.as_str()),
        "factStaysWouldBe": event,
    })
}

fn list(
    appliance: &Appliance,
    format: Format,
    limit: u32,
    before: Option<i64>,
) -> Result<Answer, CliError> {
    let rows =
        appliance.store.read(|register| register.deliveries(before, limit.saturating_add(1)))?;
    let Page { rows, has_more } = page(rows, limit);
    let dash = || "-".to_owned();
    let list = List {
        head: &["ID", "RECEIVED", "OUTCOME", "TYPE", "ORGANIZATION"],
        rows: rows
            .iter()
            .map(|it| {
                vec![
                    it.id.to_string(),
                    it.received_at.to_string(),
                    it.outcome.as_str().to_owned(),
                    it.event_type.clone().unwrap_or_else(dash),
                    it.organization.as_ref().map_or_else(dash, ToString::to_string),
                ]
            })
            .collect(),
        json: rows.iter().map(of).collect(),
        next: rows.last().filter(|_| has_more).map(|it| it.id.to_string()),
    };
    Ok(Answer::list(
        format,
        &list,
        "Nothing has been delivered: at Sumsub, point a webhook at <this server>/webhooks/sumsub, \
         with the secret that sumsub-webhook-secret holds.",
    ))
}

/// In place of a body that is too old.
const LET_GO: &str = "The body is older than inbox-days and was let go of.";

fn show(format: Format, delivery: &Delivery) -> Answer {
    let headers: Vec<(String, String)> =
        serde_json::from_str(&delivery.headers).unwrap_or_default();
    match format {
        Format::Json => {
            let mut value = of(delivery);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("headers".to_owned(), json!(headers));
                // A body that is no text cannot stand in JSON byte for byte; hex can.
                match delivery.body.as_deref().map(|it| (it, std::str::from_utf8(it))) {
                    None => fields.insert("body".to_owned(), Value::Null),
                    Some((_, Ok(text))) => fields.insert("body".to_owned(), text.into()),
                    Some((raw, Err(_))) => fields.insert("bodyHex".to_owned(), hex(raw).into()),
                };
            }
            Answer::json(&value)
        }
        Format::Table => {
            let dash = || "-".to_owned();
            let mut pairs = vec![
                ("Delivery", delivery.id.to_string()),
                ("Received", delivery.received_at.to_string()),
                ("Outcome", delivery.outcome.as_str().to_owned()),
                (
                    "Organization",
                    delivery.organization.as_ref().map_or_else(dash, ToString::to_string),
                ),
                ("Applicant", delivery.applicant_id.clone().unwrap_or_else(dash)),
                ("Type", delivery.event_type.clone().unwrap_or_else(dash)),
            ];
            pairs
                .extend(headers.iter().map(|(name, value)| ("Header", format!("{name}: {value}"))));
            let body = delivery.body.as_deref().map_or(LET_GO.into(), String::from_utf8_lossy);
            Answer::text(format!("{}\n{body}\n", fields(&pairs)))
        }
    }
}

fn of(delivery: &Delivery) -> Value {
    json!({
        "object": "delivery",
        "deliveryId": delivery.id,
        "receivedAt": delivery.received_at.to_string(),
        "outcome": delivery.outcome.as_str(),
        "type": delivery.event_type,
        "applicantId": delivery.applicant_id,
        "organizationId": delivery.organization.as_ref().map(OrganizationId::as_str),
        "hasFact": delivery.has_fact,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, it| {
        // Writing to a String does not fail.
        write!(text, "{it:02x}").unwrap_or_default();
        text
    })
}

fn not_found(id: i64) -> CliError {
    CliError::new(
        Exit::NotFound,
        format!("there is no delivery {id}: `countersign inbox list` shows those there are"),
    )
}
