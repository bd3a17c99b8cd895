//! `countersign webhook key`: how the webhook key stands, and a new one in the place of a lost one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, fields, table};
use crate::outbox::{KeyFit, KeyStanding, WebhookKey};
use crate::store::WebhookEndpoint;
use crate::usecase::Appliance;
use crate::usecase::webhook_key::{look, replace_key};

pub(super) const HELP: &str = "\
Examples:
  countersign webhook key
  countersign webhook key --new --yes

The key is in <register>.webhook-key, and every backup has a copy of it. If it is
lost, put it back from a backup: a running server picks it up, and sends what
waits. Only if no backup has it, --new creates another one. Then the secret of
every endpoint has to be rotated and handed to its receiver, and customers' links
get new addresses with their next session.";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct KeyFileArguments {
    /// Put a new key in the place of a lost one; the file that is there is kept aside
    #[arg(long)]
    new: bool,
    /// Do it although every endpoint's secret has to be rotated afterwards
    #[arg(long, requires = "new")]
    yes: bool,
}

pub(super) fn run(
    appliance: &Appliance,
    format: Format,
    arguments: &KeyFileArguments,
) -> Result<Answer, CliError> {
    let standing = look(appliance)?;
    if !arguments.new {
        return shown(appliance, format, &standing);
    }
    let endpoints = endpoints(appliance)?;
    if !arguments.yes && !endpoints.is_empty() {
        return Err(CliError::new(Exit::Refused, unconfirmed(&standing, endpoints.len())));
    }
    let kept = replace_key(appliance)?;
    replaced(appliance, format, kept)
}

fn shown(
    appliance: &Appliance,
    format: Format,
    standing: &KeyStanding,
) -> Result<Answer, CliError> {
    let register = appliance.store.path();
    let answer = match format {
        Format::Json => of_key(appliance, standing, None),
        Format::Table => {
            let text = fields(&[
                ("Webhook key", WebhookKey::path(register).display().to_string()),
                ("State", words(standing.fit).to_owned()),
            ]);
            Answer::text(text + &lines(&endpoints(appliance)?, &standing.unfit))
        }
    };
    Ok(match standing.fit.fault(register) {
        Some(fault) => {
            answer.telling(format!("{fault}.\nTo mend it, {}.", standing.fit.remedy(register)))
        }
        None => answer,
    })
}

fn replaced(
    appliance: &Appliance,
    format: Format,
    kept: Option<PathBuf>,
) -> Result<Answer, CliError> {
    let standing = look(appliance)?;
    let path = WebhookKey::path(appliance.store.path());
    let answer = match format {
        Format::Json => of_key(appliance, &standing, kept.as_ref()),
        Format::Table => Answer::text(lines(&endpoints(appliance)?, &standing.unfit)),
    };
    let kept = kept.map_or_else(String::new, |it| {
        format!(" The file that was there is kept as {}.", it.display())
    });
    let owner = appliance.outbox.key.owner_fault();
    let owner = owner.map_or_else(String::new, |it| format!("\nWARNING: {it}."));
    let next = if standing.unfit.is_empty() {
        "No endpoint needs to be rotated."
    } else {
        "Rotate the secret of each endpoint above with `countersign webhook rotate ep_...`, and hand \
         the new one to its receiver: what waits is sent then."
    };
    Ok(answer.telling(format!(
        "There is a new webhook key at {}.{kept}\n{next} Customers' links get new addresses with \
         their next session; those that are out go on working. Back the register up now.{owner}",
        path.display()
    )))
}

fn unconfirmed(standing: &KeyStanding, count: usize) -> String {
    let fits = count.saturating_sub(standing.unfit.len());
    let of_present = match fits {
        0 => String::new(),
        fits => format!(" {fits} of them fit the present key and would stop fitting."),
    };
    format!(
        "With a new webhook key, the secrets of all {count} webhook endpoints have to be rotated and \
         handed to their receivers; until then nothing is sent to them.{of_present} If a backup has \
         the right file, put that back instead. Nothing was changed; --yes creates the new key."
    )
}

fn endpoints(appliance: &Appliance) -> Result<Vec<WebhookEndpoint>, CliError> {
    Ok(appliance.store.read(|register| register.webhook_endpoints(None, None, u32::MAX))?)
}

fn lines(endpoints: &[WebhookEndpoint], unfit: &BTreeSet<String>) -> String {
    let rows: Vec<Vec<String>> = endpoints
        .iter()
        .filter(|it| unfit.contains(&it.id))
        .map(|it| vec![it.id.clone(), it.organization.to_string(), it.url.clone()])
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["DOES NOT FIT", "ORGANIZATION", "URL"], &rows)
}

fn words(fit: KeyFit) -> &'static str {
    match fit {
        KeyFit::NotNeeded => "not needed: there are no webhook endpoints",
        KeyFit::Fits => "fits: every endpoint's secret follows from it",
        KeyFit::Missing(_) => "MISSING",
        KeyFit::Unreadable(..) => "UNREADABLE",
        KeyFit::Other(_) => "ANOTHER ONE",
    }
}

fn of_key(appliance: &Appliance, standing: &KeyStanding, kept: Option<&PathBuf>) -> Answer {
    Answer::json(&json!({
        "object": "webhook_key",
        "path": WebhookKey::path(appliance.store.path()).display().to_string(),
        "state": standing.fit.as_str(),
        "unfitEndpoints": standing.unfit,
        "keptAs": kept.map(|it| it.display().to_string()),
    }))
}
