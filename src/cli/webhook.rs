//! `countersign webhook`: our callers' webhook endpoints, and what was sent to them.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::CliError;
use super::output::{Answer, Format, List, fields};
use super::wiring::{Asks, appliance};
use super::{Operator, Shape, webhook_key};
use crate::domain::organization::OrganizationId;
use crate::domain::outgoing::{DeliveryStatus, EventType};
use crate::domain::timestamp::Timestamp;
use crate::store::{
    DeliveryFilter, DeliveryName, Opening, OutgoingAttempt, OutgoingDelivery, WebhookEndpoint,
};
use crate::usecase::outgoing_deliveries::{
    Range, list_deliveries, resend_delivery, resend_range, send_test, show_delivery,
};
use crate::usecase::webhook_endpoints::{
    NewWebhookEndpoint, WebhookEndpointChange, change_webhook_endpoint, create_webhook_endpoint,
    delete_webhook_endpoint, list_webhook_endpoints, rotate_webhook_secret, webhook_secret,
};
use crate::usecase::{Appliance, Failure, nothing_else};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign webhook create --org org_... --url https://example.com/hook
  countersign webhook deliveries ep_...

`countersign serve` sends; the other commands only write down what is to be sent.")]
pub(super) struct WebhookArguments {
    #[command(subcommand)]
    command: WebhookCommand,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Subcommand)]
enum WebhookCommand {
    /// Make an endpoint
    #[command(after_help = "\
Example:
  countersign webhook create --org org_... --url https://example.com/hook \\
    --event organization.verification.updated")]
    Create {
        /// The organization whose events, and whose customers' events, are sent
        #[arg(long)]
        org: String,
        /// Where they are sent: https, or in test http to an address in webhook-allow
        #[arg(long)]
        url: String,
        /// What to call it
        #[arg(long)]
        description: Option<String>,
        /// Only events of this type; may be given several times
        #[arg(long = "event", value_parser = event_type)]
        events: Vec<EventType>,
    },
    /// List endpoints, newest first
    #[command(after_help = "\
Example:
  countersign webhook list --org org_...")]
    List {
        /// Only those of one organization
        #[arg(long)]
        org: Option<String>,
        /// Only those older than this one: a list's `nextCursor`
        #[arg(long, value_name = "ENDPOINT")]
        cursor: Option<String>,
    },
    /// Let events be sent to an endpoint again
    #[command(after_help = "\
Example:
  countersign webhook enable ep_...")]
    Enable {
        /// The endpoint's id
        endpoint: String,
    },
    /// Send nothing to an endpoint; what happens meanwhile can be resent
    #[command(after_help = "\
Example:
  countersign webhook disable ep_...")]
    Disable {
        /// The endpoint's id
        endpoint: String,
    },
    /// Delete an endpoint; the register keeps the log of what was sent
    #[command(after_help = "\
Example:
  countersign webhook delete ep_...")]
    Delete {
        /// The endpoint's id
        endpoint: String,
    },
    /// Print an endpoint's secret to stdout
    #[command(after_help = "\
Example:
  countersign webhook secret ep_... > webhook.secret")]
    Secret {
        /// The endpoint's id
        endpoint: String,
    },
    /// Rotate an endpoint's secret; every former one signs until its own 24 hours are over
    #[command(after_help = "\
Example:
  countersign webhook rotate ep_... && countersign webhook secret ep_...")]
    Rotate {
        /// The endpoint's id
        endpoint: String,
    },
    /// Show whether the webhook key fits the endpoints' secrets, or replace a lost one
    #[command(after_help = webhook_key::HELP)]
    Key(webhook_key::KeyFileArguments),
    /// Send a test event to an endpoint
    #[command(after_help = "\
Example:
  countersign webhook test ep_...")]
    Test {
        /// The endpoint's id
        endpoint: String,
    },
    /// List what was and will be sent to an endpoint, newest first
    #[command(after_help = "\
Example:
  countersign webhook deliveries ep_... --status FAILED")]
    Deliveries {
        /// The endpoint's id
        endpoint: String,
        /// Only those that stand so
        #[arg(long, value_parser = delivery_status)]
        status: Option<DeliveryStatus>,
        /// At most so many
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Only those older than this one, by its number or id: a list's `nextCursor`
        #[arg(long, value_name = "DELIVERY", visible_alias = "before", value_parser = named)]
        cursor: Option<DeliveryName>,
    },
    /// Show one delivery: every attempt and the body; exactly with --json
    #[command(after_help = "\
Example:
  countersign webhook show ep_... 17")]
    Show {
        /// The endpoint's id
        endpoint: String,
        /// The delivery's number, or its id as the API shows it
        #[arg(value_parser = named)]
        delivery: DeliveryName,
    },
    /// Send one delivery again, or all of a range
    #[command(after_help = "\
Examples:
  countersign webhook resend ep_... 17
  countersign webhook resend ep_... --since 2026-01-02T03:00:00Z --status FAILED")]
    Resend {
        /// The endpoint's id
        endpoint: String,
        /// The delivery's number, or its id as the API shows it
        #[arg(value_parser = named, required_unless_present = "since",
              conflicts_with_all = ["since", "until", "status"])]
        delivery: Option<DeliveryName>,
        /// All that were written from this instant on
        #[arg(long, value_parser = instant_of)]
        since: Option<Timestamp>,
        /// Only those written before this instant
        #[arg(long, value_parser = instant_of)]
        until: Option<Timestamp>,
        /// Only those that stand so
        #[arg(long, value_parser = delivery_status)]
        status: Option<DeliveryStatus>,
    },
}

pub(super) fn run(operator: &Operator, arguments: WebhookArguments) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let format = arguments.shape.format();
    match arguments.command {
        WebhookCommand::Create { org, url, description, events } => {
            let new = NewWebhookEndpoint { url, description, event_types: events };
            let owner = OrganizationId::new(org);
            let made = create_webhook_endpoint(&appliance, &owner, new, nothing_else())?;
            Ok(endpoint(format, &made).telling(format!(
                "`countersign webhook secret {}` prints the secret that its receiver needs.",
                made.id
            )))
        }
        WebhookCommand::List { org, cursor } => list(&appliance, format, org, cursor.as_deref()),
        WebhookCommand::Enable { endpoint } => switch(&appliance, format, &endpoint, Switch::On),
        WebhookCommand::Disable { endpoint } => switch(&appliance, format, &endpoint, Switch::Off),
        WebhookCommand::Delete { endpoint } => {
            let owner = owner_of(&appliance, &endpoint)?;
            delete_webhook_endpoint(&appliance, &owner, &endpoint, nothing_else())?;
            Ok(match format {
                Format::Json => Answer::json(
                    &json!({"object": "webhook_endpoint", "id": endpoint, "deleted": true}),
                ),
                Format::Table => Answer::text(format!("{endpoint} is deleted\n")),
            })
        }
        WebhookCommand::Secret { endpoint } => {
            let owner = owner_of(&appliance, &endpoint)?;
            let it = webhook_secret(&appliance, &owner, &endpoint)?;
            Ok(match format {
                Format::Json => Answer::json(&json!({
                    "object": "webhook_endpoint_secret",
                    "secret": it.secret.expose(),
                    "previousSecretExpiresAt": it.previous_until.map(|it| it.to_string()),
                })),
                Format::Table => Answer::text(format!("{}\n", it.secret.expose())),
            })
        }
        WebhookCommand::Rotate { endpoint: id } => {
            let owner = owner_of(&appliance, &id)?;
            let rotated = rotate_webhook_secret(&appliance, &owner, &id, nothing_else())?;
            Ok(endpoint(format, &rotated))
        }
        WebhookCommand::Key(arguments) => webhook_key::run(&appliance, format, &arguments),
        WebhookCommand::Test { endpoint } => {
            let owner = owner_of(&appliance, &endpoint)?;
            Ok(delivery(format, &send_test(&appliance, &owner, &endpoint, nothing_else())?))
        }
        WebhookCommand::Deliveries { endpoint, status, limit, cursor } => {
            let filter = DeliveryFilter { status, after: cursor, limit };
            deliveries(&appliance, format, &endpoint, &filter)
        }
        WebhookCommand::Show { endpoint, delivery: name } => {
            let owner = owner_of(&appliance, &endpoint)?;
            Ok(delivery(format, &show_delivery(&appliance, &owner, &endpoint, &name)?))
        }
        WebhookCommand::Resend { endpoint, delivery: Some(name), .. } => {
            let owner = owner_of(&appliance, &endpoint)?;
            Ok(delivery(format, &resend_delivery(&appliance, &owner, &endpoint, &name)?))
        }
        WebhookCommand::Resend { endpoint, delivery: None, since, until, status } => {
            // clap has seen to it that there is one.
            let since = since.unwrap_or_else(|| (appliance.clock)());
            resend(&appliance, format, &endpoint, Range { since, until, status })
        }
    }
}

/// On or off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    On,
    Off,
}

fn switch(appliance: &Appliance, format: Format, id: &str, to: Switch) -> Result<Answer, CliError> {
    let change = WebhookEndpointChange {
        disabled: Some(to == Switch::Off),
        ..WebhookEndpointChange::default()
    };
    let owner = owner_of(appliance, id)?;
    let changed = change_webhook_endpoint(appliance, &owner, id, change, nothing_else())?;
    Ok(endpoint(format, &changed))
}

/// An operator may look at everybody's.
fn owner_of(appliance: &Appliance, id: &str) -> Result<OrganizationId, CliError> {
    let endpoint = appliance
        .store
        .read(|register| register.any_webhook_endpoint(id))?
        .ok_or(Failure::WebhookEndpointNotFound)?;
    Ok(endpoint.organization)
}

fn list(
    appliance: &Appliance,
    format: Format,
    org: Option<String>,
    cursor: Option<&str>,
) -> Result<Answer, CliError> {
    /// More than anybody reads.
    const SHOWN_MAX: u32 = 10_000;
    let owner = org.map(OrganizationId::new);
    if let Some(it) = &owner
        && appliance.store.read(|register| register.organization(it))?.is_none()
    {
        return Err(Failure::OrganizationNotFound.into());
    }
    let page = list_webhook_endpoints(appliance, owner.as_ref(), cursor, SHOWN_MAX)?;
    let list = List {
        head: &["ENDPOINT", "STATE", "CREATED", "ORGANIZATION", "URL"],
        rows: page
            .rows
            .iter()
            .map(|it| {
                vec![
                    it.id.clone(),
                    state(it).to_owned(),
                    it.created_at.to_string(),
                    it.organization.to_string(),
                    it.url.clone(),
                ]
            })
            .collect(),
        json: page.rows.iter().map(of_endpoint).collect(),
        next: page.rows.last().filter(|_| page.has_more).map(|it| it.id.clone()),
    };
    Ok(Answer::list(
        format,
        &list,
        "There are no endpoints: `countersign webhook create --org <id> --url <url>` makes one.",
    ))
}

fn deliveries(
    appliance: &Appliance,
    format: Format,
    endpoint: &str,
    filter: &DeliveryFilter,
) -> Result<Answer, CliError> {
    let owner = owner_of(appliance, endpoint)?;
    let page = list_deliveries(appliance, &owner, endpoint, filter)?;
    let dash = || "-".to_owned();
    let list = List {
        head: &["NUMBER", "STATUS", "TRIES", "LAST", "NEXT", "CREATED", "TYPE"],
        rows: page
            .rows
            .iter()
            .map(|it| {
                vec![
                    it.no.to_string(),
                    it.status.as_str().to_owned(),
                    it.attempts.len().to_string(),
                    it.attempts.last().map_or_else(dash, came_to),
                    it.due_at.map_or_else(dash, |it| it.to_string()),
                    it.created_at.to_string(),
                    it.event_type.as_str().to_owned(),
                ]
            })
            .collect(),
        json: page.rows.iter().map(of_delivery).collect(),
        next: page.rows.last().filter(|_| page.has_more).map(|it| it.no.to_string()),
    };
    Ok(Answer::list(format, &list, "Nothing was to be sent to this endpoint."))
}

fn resend(
    appliance: &Appliance,
    format: Format,
    endpoint: &str,
    range: Range,
) -> Result<Answer, CliError> {
    let owner = owner_of(appliance, endpoint)?;
    let count = resend_range(appliance, &owner, endpoint, range, nothing_else())?;
    Ok(match format {
        Format::Json => Answer::json(&json!({"object": "webhook_resend", "count": count})),
        Format::Table => Answer::text(format!("{count} to be sent again\n")),
    })
}

fn endpoint(format: Format, endpoint: &WebhookEndpoint) -> Answer {
    match format {
        Format::Json => Answer::json(&of_endpoint(endpoint)),
        Format::Table => Answer::text(format!("{} is {}\n", endpoint.id, state(endpoint))),
    }
}

fn delivery(format: Format, delivery: &OutgoingDelivery) -> Answer {
    match format {
        Format::Json => Answer::json(&of_delivery(delivery)),
        Format::Table => {
            let mut pairs = vec![
                ("Delivery", format!("{} ({})", delivery.no, delivery.public_id)),
                ("Message", delivery.message_id.clone()),
                ("Type", delivery.event_type.as_str().to_owned()),
                ("Status", delivery.status.as_str().to_owned()),
                ("Next", delivery.due_at.map_or_else(|| "-".to_owned(), |it| it.to_string())),
            ];
            for it in &delivery.attempts {
                pairs.push(("Attempt", format!("{} {} {}", it.started_at, came_to(it), it.url)));
                pairs.push(("Signature", format!("{} {}", it.signed_at_s, it.signature)));
                let answer = String::from_utf8_lossy(it.answer.as_deref().unwrap_or_default());
                pairs.push(("Answer", answer.into_owned()));
            }
            let body = String::from_utf8_lossy(&delivery.body);
            Answer::text(format!("{}\n{body}\n", fields(&pairs)))
        }
    }
}

fn state(endpoint: &WebhookEndpoint) -> &'static str {
    match (endpoint.disabled, endpoint.failing_since) {
        (true, _) => "disabled",
        (false, Some(_)) => "failing",
        (false, None) => "enabled",
    }
}

fn came_to(attempt: &OutgoingAttempt) -> String {
    match (attempt.status, &attempt.error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => error.clone(),
        (None, None) => "-".to_owned(),
    }
}

fn of_endpoint(endpoint: &WebhookEndpoint) -> Value {
    let types: Vec<&str> = endpoint.event_types.iter().map(|it| it.as_str()).collect();
    json!({
        "object": "webhook_endpoint",
        "id": endpoint.id,
        "organizationId": endpoint.organization.as_str(),
        "url": endpoint.url,
        "description": endpoint.description,
        "disabled": endpoint.disabled,
        "eventTypes": types,
        "failingSince": endpoint.failing_since.map(|it| it.to_string()),
        "createdAt": endpoint.created_at.to_string(),
        "updatedAt": endpoint.updated_at.to_string(),
    })
}

fn of_delivery(delivery: &OutgoingDelivery) -> Value {
    let attempts: Vec<Value> = delivery
        .attempts
        .iter()
        .map(|it| {
            json!({
                "url": it.url,
                "webhookTimestamp": it.signed_at_s,
                "webhookSignature": it.signature,
                "status": it.status,
                "answer": it.answer.as_ref().map(|it| String::from_utf8_lossy(it)),
                "error": it.error,
                "startedAt": it.started_at.to_string(),
                "endedAt": it.ended_at.to_string(),
            })
        })
        .collect();
    json!({
        "object": "webhook_delivery",
        "number": delivery.no,
        "id": delivery.public_id,
        "messageId": delivery.message_id,
        "endpointId": delivery.endpoint_id,
        "eventType": delivery.event_type.as_str(),
        "status": delivery.status.as_str(),
        "nextAttemptAt": delivery.due_at.map(|it| it.to_string()),
        "createdAt": delivery.created_at.to_string(),
        "body": String::from_utf8_lossy(&delivery.body),
        "attempts": attempts,
    })
}

/// Never wrong: what is no number is the id of a delivery, or of none.
#[expect(clippy::unnecessary_wraps, reason = "clap asks for a parser that can refuse")]
fn named(text: &str) -> Result<DeliveryName, String> {
    Ok(text.parse().map_or_else(|_id| DeliveryName::Id(text.to_owned()), DeliveryName::Number))
}

fn event_type(text: &str) -> Result<EventType, String> {
    EventType::SUBSCRIBABLE.into_iter().find(|it| it.as_str() == text).ok_or_else(|| {
        format!("the types are {}", EventType::SUBSCRIBABLE.map(EventType::as_str).join(" and "))
    })
}

fn delivery_status(text: &str) -> Result<DeliveryStatus, String> {
    DeliveryStatus::parse(text)
        .ok_or_else(|| "it is PENDING, DELIVERED, FAILED or SKIPPED".to_owned())
}

fn instant_of(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "it is an instant as 2026-01-02T03:04:05Z".to_owned())
}
