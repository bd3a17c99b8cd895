//! `countersign org`: organizations.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::RawValue;

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, List, fields};
use super::wiring::{Asks, appliance};
use super::{Operator, Shape};
use crate::domain::fold::Standing;
use crate::domain::organization::{Name, Organization, OrganizationId, OrganizationType};
use crate::domain::text::Objection;
use crate::store::{Opening, Reader};
use crate::usecase::Failure;
use crate::usecase::authorizations::{Page, page};
use crate::usecase::create_organization::{NewOrganization, create_organization};
use crate::usecase::metadata::{Members, checked_metadata};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign org create --name 'Broker Ltd.' --type BUSINESS
  countersign org list")]
pub(super) struct OrganizationArguments {
    #[command(subcommand)]
    command: OrganizationCommand,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Subcommand)]
enum OrganizationCommand {
    /// Create an organization and print its id; the first one creates the register
    #[command(after_help = "\
Examples:
  countersign org create --name 'Broker Ltd.' --type BUSINESS
  countersign org create --name 'Jo Doe' --type INDIVIDUAL --created-by org_... \\
    --metadata '{\"crm\":\"4711\"}'")]
    Create {
        /// Its name, 1 to 200 characters
        #[arg(long)]
        name: String,
        /// BUSINESS (KYB) or INDIVIDUAL (KYC); fixed for ever
        #[arg(long = "type", value_parser = ["BUSINESS", "INDIVIDUAL"])]
        kind: String,
        /// The broker whose customer it is; issues a PENDING LOA for the broker
        #[arg(long, value_name = "ORG")]
        created_by: Option<String>,
        /// A JSON object of your own, at most 50 keys and 4 KB
        #[arg(long, value_name = "JSON", default_value = "{}")]
        metadata: String,
    },
    /// List organizations, newest first
    #[command(after_help = "\
Example:
  countersign org list --limit 100 --json")]
    List {
        /// At most so many
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Only those older than this one: a list's `nextCursor`
        #[arg(long, value_name = "ORG", visible_alias = "before")]
        cursor: Option<String>,
    },
    /// Show one organization
    #[command(after_help = "\
Example:
  countersign org show org_...")]
    Show {
        /// Its id, `org_…`
        org: String,
    },
}

pub(super) fn run(
    operator: &Operator,
    arguments: OrganizationArguments,
) -> Result<Answer, CliError> {
    let format = arguments.shape.format();
    match arguments.command {
        OrganizationCommand::Create { name, kind, created_by, metadata } => {
            let new = NewOrganization {
                name: Name::parse(&name).map_err(bad_name)?,
                kind: OrganizationType::parse(&kind).unwrap_or(OrganizationType::Business),
                metadata: metadata_of(&metadata)?,
                creator: created_by.map(OrganizationId::new),
            };
            create(operator, format, new)
        }
        OrganizationCommand::List { limit, cursor } => {
            list(operator, format, limit, cursor.map(OrganizationId::new).as_ref())
        }
        OrganizationCommand::Show { org } => show(operator, format, &OrganizationId::new(org)),
    }
}

fn create(operator: &Operator, format: Format, new: NewOrganization) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::CreateIfMissing, Asks::Nobody)?;
    let organization = create_organization(&appliance, new, &operator.actor, None)?;
    let (organization, standing) = appliance.store.snapshot(|register| {
        let now = (appliance.clock)();
        Ok::<_, Failure>((organization.clone(), standing(register, &organization.id)?(now)))
    })?;
    let id = &organization.id;
    Ok(match format {
        Format::Json => Answer::json(&of(&organization, standing)),
        Format::Table => Answer::text(format!("{id}\n")).telling(match organization.created_by {
            None => format!("Next: countersign key create --org {id} --name <name>"),
            Some(broker) => format!(
                "Next: countersign loa sign --granting {id} --authorized {broker} …, and \
                 countersign verification start {id}"
            ),
        }),
    })
}

fn list(
    operator: &Operator,
    format: Format,
    limit: u32,
    before: Option<&OrganizationId>,
) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let now = (appliance.clock)();
    let rows = appliance.store.snapshot(|register| {
        register
            .organizations(before, limit.saturating_add(1))?
            .into_iter()
            .map(|it| {
                let standing = standing(register, &it.id)?(now);
                Ok::<_, Failure>((it, standing))
            })
            .collect::<Result<Vec<_>, _>>()
    })?;
    let Page { rows, has_more } = page(rows, limit);
    let list = List {
        head: &["ORGANIZATION", "TYPE", "STATUS", "NAME"],
        rows: rows
            .iter()
            .map(|(it, standing)| {
                vec![
                    it.id.to_string(),
                    it.kind.as_str().to_owned(),
                    standing.status.as_str().to_owned(),
                    it.name.as_str().to_owned(),
                ]
            })
            .collect(),
        json: rows.iter().map(|(it, standing)| of(it, *standing)).collect(),
        next: rows.last().filter(|_| has_more).map(|(it, _)| it.id.to_string()),
    };
    Ok(Answer::list(
        format,
        &list,
        "There are no organizations: `countersign org create --name <name> --type BUSINESS` makes \
         one.",
    ))
}

fn show(operator: &Operator, format: Format, id: &OrganizationId) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let now = (appliance.clock)();
    let (organization, standing) = appliance.store.snapshot(|register| {
        let organization = register.organization(id)?.ok_or(Failure::OrganizationNotFound)?;
        Ok::<_, Failure>((organization, standing(register, id)?(now)))
    })?;
    Ok(match format {
        Format::Json => Answer::json(&of(&organization, standing)),
        Format::Table => Answer::text(fields(&[
            ("Organization", organization.id.to_string()),
            ("Name", organization.name.as_str().to_owned()),
            ("Type", organization.kind.as_str().to_owned()),
            ("Verification", standing.status.as_str().to_owned()),
            (
                "Created by",
                organization
                    .created_by
                    .map_or_else(|| "an operator".to_owned(), |it| it.to_string()),
            ),
            ("Created at", organization.created_at.to_string()),
            ("Metadata", organization.metadata),
        ])),
    })
}

/// The verification of an organization that exists, as a function of the instant.
fn standing(
    register: &Reader<'_>,
    id: &OrganizationId,
) -> Result<impl Fn(crate::domain::timestamp::Timestamp) -> Standing, Failure> {
    let verification = register.verification(id)?.ok_or(Failure::OrganizationNotFound)?;
    Ok(move |now| verification.at(now))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrganizationBody<'a> {
    object: &'static str,
    organization_id: &'a str,
    name: &'a str,
    r#type: &'static str,
    verification_status: &'static str,
    created_by_organization_id: Option<&'a str>,
    /// As it was written: a number that is read as one may be rounded.
    metadata: Option<&'a RawValue>,
    created_at: String,
    updated_at: String,
}

fn of(organization: &Organization, standing: Standing) -> OrganizationBody<'_> {
    OrganizationBody {
        object: "organization",
        organization_id: organization.id.as_str(),
        name: organization.name.as_str(),
        r#type: organization.kind.as_str(),
        verification_status: standing.status.as_str(),
        created_by_organization_id: organization.created_by.as_ref().map(OrganizationId::as_str),
        metadata: serde_json::from_str(&organization.metadata).ok(),
        created_at: organization.created_at.to_string(),
        updated_at: organization.created_at.max(standing.updated_at).to_string(),
    }
}

fn metadata_of(text: &str) -> Result<String, CliError> {
    // In the words of a command line, which has flags and no fields.
    serde_json::from_str::<Members>(text).map_err(|error| {
        CliError::new(Exit::Usage, format!("--metadata must be a JSON object ({error})"))
    })?;
    Ok(checked_metadata(text)?)
}

fn bad_name(objection: Objection) -> CliError {
    CliError::new(Exit::Usage, format!("--name {objection}"))
}
