//! `countersign key`: API keys.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, List, instant};
use super::wiring::{Asks, appliance};
use super::{Operator, Shape, instant_of, shape_of};
use crate::api::KeyBody;
use crate::config::seconds;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{ApiKey, Opening, Scopes};
use crate::usecase::keys::{
    KeyText, NewKey, Reach, create_key_with, is_active, revoke_key, rotate_key,
};
use crate::usecase::{Appliance, Failure, nothing_else};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign key create --org org_... --name backend
  countersign key rotate key_... --overlap 1h
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
Examples:
  countersign key create --org org_... --name backend > backend.key
  countersign key create --org org_... --name reports --scopes read --expires-at 2027-01-01")]
    Create {
        /// The organization that the key belongs to
        #[arg(long)]
        org: String,
        /// What to call it
        #[arg(long)]
        name: String,
        /// What it may do: read, write or read,write
        #[arg(long, value_delimiter = ',', default_value = "read,write",
              value_parser = ["read", "write"])]
        scopes: Vec<String>,
        /// From when on it does not work: RFC 3339, or a date for its midnight in UTC; default never
        #[arg(long, value_name = "INSTANT")]
        expires_at: Option<String>,
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
    /// Make a key's successor, with its name and scopes, and print it, once, to stdout
    #[command(after_help = "\
Example:
  countersign key rotate key_... --overlap 1h > backend.key")]
    Rotate {
        /// The key's id, `key_…`, as `list` shows it; not the key itself
        key: String,
        /// How long the old key works on: seconds, or as 30m, 1h, 7d; at most 30d
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = overlap)]
        overlap: Overlap,
    },
    /// Revoke a key at once and for ever; the keys that it created stay, unless you ask
    #[command(after_help = "\
Examples:
  countersign key revoke key_...
  countersign key revoke key_... --with-descendants")]
    Revoke {
        /// The key's id, `key_…`, as `list` shows it; not the key itself
        key: String,
        /// Revoke every key that came of it too: those that it created, those that these created, …
        #[arg(long)]
        with_descendants: bool,
    },
}

/// How long a rotated key works on, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Overlap(i64);

pub(super) fn run(operator: &Operator, arguments: KeyArguments) -> Result<Answer, CliError> {
    let format = arguments.shape.format();
    let open = || appliance(&operator.config, Opening::MustExist, Asks::Nobody);
    match arguments.command {
        KeyCommand::Create { org, name, scopes, expires_at } => {
            let expires_at = expires_at.map(|it| instant_of("--expires-at", &it)).transpose()?;
            let new = NewKey { name, scopes: scopes_of(&scopes), expires_at };
            create(&open()?, format, &OrganizationId::new(org), &new)
        }
        KeyCommand::List { org } => list(&open()?, format, org.map(OrganizationId::new).as_ref()),
        KeyCommand::Rotate { key, overlap } => rotate(&open()?, format, &key, overlap),
        KeyCommand::Revoke { key, with_descendants } => {
            let reach = if with_descendants { Reach::WithDescendants } else { Reach::ThisKey };
            revoke(&open()?, format, &key, reach)
        }
    }
}

fn create(
    appliance: &Appliance,
    format: Format,
    organization: &OrganizationId,
    new: &NewKey,
) -> Result<Answer, CliError> {
    let (key, text) = create_key_with(appliance, organization, new, nothing_else())?;
    let it = format!("the key {} of {}", key.id, key.organization);
    Ok(shown_once(format, &key, &text, &it))
}

fn list(
    appliance: &Appliance,
    format: Format,
    of_one: Option<&OrganizationId>,
) -> Result<Answer, CliError> {
    let keys = appliance.store.read(|register| match of_one {
        Some(it) if register.organization(it)?.is_none() => Err(Failure::OrganizationNotFound),
        it => Ok(register.api_keys(it)?),
    })?;
    let now = (appliance.clock)();
    let list = List {
        head: &[
            "KEY",
            "STATE",
            "SCOPES",
            "CREATED",
            "EXPIRES",
            "LAST USED",
            "CREATED BY",
            "ORGANIZATION",
            "NAME",
        ],
        rows: keys.iter().map(|it| row(it, now)).collect(),
        json: keys.iter().map(|it| of(it, None)).collect(),
        next: None,
    };
    Ok(Answer::list(
        format,
        &list,
        "There are no keys: `countersign key create --org <id> --name <name>` makes one.",
    ))
}

fn rotate(
    appliance: &Appliance,
    format: Format,
    id: &str,
    overlap: Overlap,
) -> Result<Answer, CliError> {
    let old = found(appliance, id)?;
    let rotated = rotate_key(appliance, &old.organization, id, overlap.0, nothing_else());
    let (key, text) = rotated.map_err(|failure| match failure {
        Failure::KeyNotFound => not_active(),
        other => other.into(),
    })?;
    let until = instant(found(appliance, id)?.expires_at);
    let it = format!("{}, the successor of {id}, which works until {until}", key.id);
    Ok(shown_once(format, &key, &text, &it))
}

fn revoke(
    appliance: &Appliance,
    format: Format,
    id: &str,
    reach: Reach,
) -> Result<Answer, CliError> {
    let revoked = match revoke_key(appliance, None, id, reach, nothing_else()) {
        Err(Failure::KeyNotFound) => return Err(not_active()),
        other => other?,
    };
    if revoked.before && revoked.descendants.is_none() {
        return Err(not_active());
    }
    let descendants = match revoked.descendants {
        None => String::new(),
        Some(1) => ", and 1 key that came of it".to_owned(),
        Some(count) => format!(", and {count} keys that came of it"),
    };
    Ok(match format {
        Format::Json => Answer::json(&with_owner(&revoked.key, &KeyBody::of_revoked(&revoked))),
        Format::Table => Answer::text(format!("{id} is revoked{descendants}\n")),
    })
}

fn found(appliance: &Appliance, id: &str) -> Result<ApiKey, CliError> {
    appliance.store.read(|register| register.api_key(id))?.ok_or_else(not_active)
}

/// What was typed may be a key by mistake, so it is not repeated.
fn not_active() -> CliError {
    CliError::new(
        Exit::NotFound,
        "there is no active key of this id: `countersign key list` shows the ids",
    )
}

fn shown_once(format: Format, key: &ApiKey, text: &KeyText, it: &str) -> Answer {
    let answer = match format {
        Format::Json => Answer::json(&of(key, Some(text))),
        Format::Table => Answer::text(format!("{}\n", text.expose())),
    };
    answer.telling(format!("This is {it}. It is shown this once and not kept: store it now."))
}

fn row(key: &ApiKey, now: Timestamp) -> Vec<String> {
    let state = match (key.revoked_at, is_active(key, now)) {
        (Some(_), _) => "revoked",
        (None, true) => "active",
        (None, false) => "expired",
    };
    vec![
        key.id.clone(),
        state.to_owned(),
        key.scopes.as_str().replace(' ', ","),
        instant(Some(key.created_at)).chars().take("2026-01-01".len()).collect(),
        instant(key.expires_at),
        instant(key.last_used_at),
        key.created_by.clone().unwrap_or_else(|| "-".to_owned()),
        key.organization.to_string(),
        key.name.clone(),
    ]
}

/// The contract's object, and whose key it is: an operator sees those of everybody.
fn of(key: &ApiKey, text: Option<&KeyText>) -> Value {
    with_owner(key, &KeyBody::of(key, text))
}

fn with_owner(key: &ApiKey, body: &KeyBody<'_>) -> Value {
    let mut value = shape_of(body);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("organizationId".to_owned(), key.organization.as_str().into());
    }
    value
}

fn scopes_of(words: &[String]) -> Scopes {
    let has = |scope: &str| words.iter().any(|it| it == scope);
    match (has("read"), has("write")) {
        (true, false) => Scopes::Read,
        (false, true) => Scopes::Write,
        // clap lets nothing through but these words, and not none.
        (true, true) | (false, false) => Scopes::ReadWrite,
    }
}

fn overlap(text: &str) -> Result<Overlap, String> {
    seconds(text)
        .map(|it| Overlap(i64::from(it).saturating_mul(1000)))
        .ok_or_else(|| "it must be seconds, or as 30m, 1h, 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_seconds_or_has_a_unit() {
        for (text, seconds) in
            [("0", 0), ("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("1d", 86_400)]
        {
            assert_eq!(overlap(text), Ok(Overlap(seconds * 1000)), "{text}");
        }
        for text in ["", "d", "-1", "1w", "1.5h", "1 h", "99999999999d"] {
            assert!(overlap(text).is_err(), "{text}");
        }
    }
}
