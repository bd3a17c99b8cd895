//! `countersign inbox`: what Sumsub delivered, byte for byte, and what it did.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, List, fields};
use super::wiring::{Asks, appliance};
use super::{Operator, Shape};
use crate::domain::organization::OrganizationId;
use crate::store::{Delivery, Opening};
use crate::usecase::Appliance;
use crate::usecase::authorizations::{Page, page};
use crate::usecase::receive_webhook::replay_delivery;

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
    /// Show one delivery: its outcome, its headers and its exact body
    #[command(after_help = "\
Example:
  countersign inbox show 17")]
    Show {
        /// The delivery's number
        id: i64,
    },
    /// Apply a delivery again by the rules of today; one that led to a fact keeps it
    #[command(after_help = "\
Example:
  countersign inbox replay 17")]
    Replay {
        /// The delivery's number
        id: i64,
    },
}

pub(super) fn run(operator: &Operator, arguments: &InboxArguments) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let format = arguments.shape.format();
    match arguments.command {
        InboxCommand::List { limit, cursor } => list(&appliance, format, limit, cursor),
        InboxCommand::Show { id } => {
            let delivery = appliance
                .store
                .read(|register| register.delivery(id))?
                .ok_or_else(|| not_found(id))?;
            Ok(show(format, &delivery))
        }
        InboxCommand::Replay { id } => {
            let (before, after) = replay_delivery(&appliance, id)?.ok_or_else(|| not_found(id))?;
            let (before, after) = (before.as_str(), after.as_str());
            Ok(match format {
                Format::Json => Answer::json(&json!({
                    "object": "replay", "deliveryId": id, "before": before, "after": after,
                })),
                Format::Table => Answer::text(format!("delivery {id}: {before} -> {after}\n")),
            })
        }
    }
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
            let mut out = format!("{}\n", fields(&pairs)).into_bytes();
            out.extend_from_slice(delivery.body.as_deref().unwrap_or(LET_GO.as_bytes()));
            out.push(b'\n');
            Answer { out, ..Answer::default() }
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
