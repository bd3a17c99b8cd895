//! `countersign link`: the links by which customers sign their letter and are verified.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, List, instant};
use super::wiring::{Asks, appliance};
use super::{Operator, Shape};
use crate::domain::organization::OrganizationId;
use crate::store::Opening;
use crate::usecase::Failure;
use crate::usecase::authorizations::By;
use crate::usecase::handoff_links::{ListedLink, issue_link, list_links, revoke_link};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign link list
  countersign link new --granting org_... --authorized org_... --public-url https://kyc.example")]
pub(super) struct LinkArguments {
    #[command(subcommand)]
    command: LinkCommand,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Subcommand)]
enum LinkCommand {
    /// List links with what they are good for, newest first
    #[command(after_help = "\
Example:
  countersign link list --org org_...")]
    List {
        /// Only those that this organization is a party of
        #[arg(long)]
        org: Option<String>,
    },
    /// Print the address of the customer's link to stdout, and create the link if there is none
    #[command(after_help = "\
Example:
  countersign link new --granting org_... --authorized org_...

The customer's LOA must be PENDING or ACTIVE, and public-url must be set. It prints
the same address until the link is revoked or has ended: an unsigned letter's link
ends after link-days.")]
    New {
        /// The customer
        #[arg(long)]
        granting: String,
        /// The broker
        #[arg(long)]
        authorized: String,
    },
    /// Stop a link at once and for ever
    #[command(after_help = "\
Example:
  countersign link revoke link_...")]
    Revoke {
        /// The link's id, `link_…`, as `list` shows it; not its address
        link: String,
    },
}

pub(super) fn run(operator: &Operator, arguments: LinkArguments) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let format = arguments.shape.format();
    let by = By { actor: operator.actor.clone(), request_id: None };
    match arguments.command {
        LinkCommand::List { org } => {
            let org = org.map(OrganizationId::new);
            if let Some(it) = &org {
                appliance
                    .store
                    .read(|register| register.organization(it))?
                    .ok_or(Failure::OrganizationNotFound)?;
            }
            let links = list_links(&appliance, org.as_ref())?;
            let list = List {
                head: &["LINK", "STATUS", "CREATED", "ENDS", "GRANTING", "AUTHORIZED", "LOA"],
                rows: links.iter().map(row).collect(),
                json: links.iter().map(of).collect(),
                next: None,
            };
            Ok(Answer::list(
                format,
                &list,
                "There are no links: a broker's session for a customer who has not signed makes one.",
            ))
        }
        LinkCommand::New { granting, authorized } => {
            let (granting, authorized) =
                (OrganizationId::new(granting), OrganizationId::new(authorized));
            let (link, url) = issue_link(&appliance, &granting, &authorized, by)?;
            let answer = match format {
                Format::Json => Answer::json(&json!({
                    "object": "handoff_link",
                    "linkId": link.id,
                    "url": url,
                    "expiresAt": link.expires_at.to_string(),
                })),
                Format::Table => Answer::text(format!("{url}\n")),
            };
            Ok(answer.telling(format!(
                "This is the address of {}. It can sign until {}; the same command shows it again.",
                link.id, link.expires_at
            )))
        }
        LinkCommand::Revoke { link } => {
            if revoke_link(&appliance, &link, &by)? {
                let revoked = json!({"object": "handoff_link", "linkId": link, "revoked": true});
                Ok(match format {
                    Format::Json => Answer::json(&revoked),
                    Format::Table => Answer::text(format!("{link} is revoked\n")),
                })
            } else {
                // The text may be an address by mistake, so it is not repeated.
                Err(CliError::new(
                    Exit::NotFound,
                    "there is no link of this id that is not revoked: `countersign link list` shows \
                     the ids",
                ))
            }
        }
    }
}

fn row(listed: &ListedLink) -> Vec<String> {
    let ListedLink { link, authorization, status } = listed;
    let day = |at| instant(Some(at)).chars().take("2026-01-01".len()).collect();
    vec![
        link.id.clone(),
        status.as_str().to_owned(),
        day(link.created_at),
        day(link.expires_at),
        authorization.granting.to_string(),
        authorization.authorized.to_string(),
        authorization.status.as_str().to_owned(),
    ]
}

fn of(listed: &ListedLink) -> Value {
    let ListedLink { link, authorization, status } = listed;
    json!({
        "object": "handoff_link",
        "linkId": link.id,
        "status": status.as_str(),
        "grantingOrganizationId": authorization.granting.as_str(),
        "authorizedOrganizationId": authorization.authorized.as_str(),
        "authorizationStatus": authorization.status.as_str(),
        "createdAt": link.created_at.to_string(),
        "createdBy": link.created_by,
        "requestId": link.request_id,
        "expiresAt": link.expires_at.to_string(),
        "revokedAt": link.revoked_at.map(|it| it.to_string()),
    })
}
