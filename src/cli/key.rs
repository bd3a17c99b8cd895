//! `countersign key`: API keys.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, List, instant};
use super::wiring::{Asks, appliance};
use super::{Operator, Shape};
use crate::domain::organization::OrganizationId;
use crate::store::{ApiKey, Opening};
use crate::usecase::Failure;
use crate::usecase::keys::{create_key, revoke_key};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign key create --org org_... --name backend
  countersign key list")]
pub(super) struct KeyArguments {
    #[command(subcommand)]
    command: KeyCommand,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and print it, once, to stdout
    #[command(after_help = "\
Example:
  countersign key create --org org_... --name backend > backend.key")]
    Create {
        /// The organization that the key belongs to
        #[arg(long)]
        org: String,
        /// What to call it
        #[arg(long)]
        name: String,
    },
    /// List keys, newest first; the keys themselves are not kept
    #[command(after_help = "\
Example:
  countersign key list --org org_...")]
    List {
        /// Only those of one organization
        #[arg(long)]
        org: Option<String>,
    },
    /// Stop a key at once and for ever
    #[command(after_help = "\
Example:
  countersign key revoke key_...")]
    Revoke {
        /// The key's id, `key_…`, as `list` shows it; not the key itself
        key: String,
    },
}

pub(super) fn run(operator: &Operator, arguments: KeyArguments) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let format = arguments.shape.format();
    match arguments.command {
        KeyCommand::Create { org, name } => {
            let (key, text) = create_key(&appliance, &OrganizationId::new(org), &name)?;
            let answer = match format {
                Format::Json => {
                    let mut value = of(&key);
                    if let Some(fields) = value.as_object_mut() {
                        fields.insert("key".to_owned(), text.expose().into());
                    }
                    Answer::json(&value)
                }
                Format::Table => Answer::text(format!("{}\n", text.expose())),
            };
            Ok(answer.telling(format!(
                "This is the key {} of {}. It is shown this once and not kept: store it now.",
                key.id, key.organization
            )))
        }
        KeyCommand::List { org } => {
            let org = org.map(OrganizationId::new);
            let keys = appliance.store.read(|register| match &org {
                Some(it) if register.organization(it)?.is_none() => {
                    Err(Failure::OrganizationNotFound)
                }
                it => Ok(register.api_keys(it.as_ref())?),
            })?;
            let list = List {
                head: &["KEY", "STATE", "CREATED", "ORGANIZATION", "NAME"],
                rows: keys.iter().map(row).collect(),
                json: keys.iter().map(of).collect(),
                has_more: false,
            };
            Ok(Answer::list(
                format,
                &list,
                "There are no keys: `countersign key create --org <id> --name <name>` makes one.",
            ))
        }
        KeyCommand::Revoke { key } => {
            if revoke_key(&appliance, &key)? {
                let revoked = json!({"object": "api_key", "keyId": key, "revoked": true});
                Ok(match format {
                    Format::Json => Answer::json(&revoked),
                    Format::Table => Answer::text(format!("{key} is revoked\n")),
                })
            } else {
                // The text may be a key by mistake, so it is not repeated.
                Err(CliError::new(
                    Exit::NotFound,
                    "there is no active key of this id: `countersign key list` shows the ids",
                ))
            }
        }
    }
}

fn row(key: &ApiKey) -> Vec<String> {
    vec![
        key.id.clone(),
        if key.revoked_at.is_some() { "revoked" } else { "active" }.to_owned(),
        instant(Some(key.created_at)).chars().take("2026-01-01".len()).collect(),
        key.organization.to_string(),
        key.name.clone(),
    ]
}

fn of(key: &ApiKey) -> Value {
    json!({
        "object": "api_key",
        "keyId": key.id,
        "organizationId": key.organization.as_str(),
        "name": key.name,
        "createdAt": key.created_at.to_string(),
        "revokedAt": key.revoked_at.map(|it| it.to_string()),
    })
}
