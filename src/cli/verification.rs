//! `countersign verification`: what is known of a customer and why, and what an operator decides.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, List, fields, instant, table, tell};
use super::prompt::secret_from_stdin;
use super::wiring::{Asks, appliance};
use super::{Operator, Shape, shape_of};
use crate::api::EventBody;
use crate::domain::authorization::Acting;
use crate::domain::fold::{Fact, Standing, Verification};
use crate::domain::organization::{Organization, OrganizationId};
use crate::store::{Cause, Opening, RecordedFact};
use crate::usecase::authenticate::Admission;
use crate::usecase::decide::{Decision, Ground, Shown, decide, operators_cause, shown};
use crate::usecase::history::{Change, status_changes};
use crate::usecase::import_verification::{
    SHARE_TOKEN_CHARACTERS_MAX, ShareToken, import_verification,
};
use crate::usecase::start_session::start_session;
use crate::usecase::{Failure, in_words};

/// The token of the command line is spent or not, but it has been seen.
const TOKEN_AS_ARGUMENT: &str = "a share token is never an argument, where every process can read it: \
    pass it with --share-token-file FILE, or on stdin; nothing was imported";

/// Why an operator started or imported, when they do not say.
const REASON_DEFAULT: &str = "at the command line";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign verification show org_...
  countersign verification hold org_... --reason 'name is on a sanctions list'")]
pub(super) struct VerificationArguments {
    #[command(subcommand)]
    command: VerificationCommand,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Args)]
struct Reasoned {
    /// The customer, `org_…`
    org: String,
    /// Why, 1 to 500 characters; kept for ever
    #[arg(long)]
    reason: String,
    /// Decide on what had happened up to this fact, as `verification show` numbers them; without it,
    /// on what this command finds and prints
    #[arg(long, value_name = "N")]
    seen: Option<i64>,
}

#[derive(Debug, Args)]
struct Approval {
    #[command(flatten)]
    reasoned: Reasoned,
    /// Approve although Sumsub's newest verdict is against it; every reader is told
    #[arg(long)]
    against_provider: bool,
}

#[derive(Debug, Subcommand)]
enum VerificationCommand {
    /// Show where a verification stands, and every recorded fact with its cause
    #[command(after_help = "\
Example:
  countersign verification show org_... --json")]
    Show {
        /// The customer, `org_…`
        org: String,
    },
    /// List every change of the status that readers saw, newest first, with its source
    #[command(after_help = "\
Example:
  countersign verification history org_...")]
    History {
        /// The customer, `org_…`
        org: String,
    },
    /// Hold a verification, from any status: `ON_HOLD` until an operator releases it
    #[command(after_help = "\
Example:
  countersign verification hold org_... --reason 'name is on a sanctions list'")]
    Hold(Reasoned),
    /// Release a hold as APPROVED
    #[command(after_help = "\
Example:
  countersign verification approve org_... --reason 'false match, ticket 4711'
  countersign verification approve org_... --reason 'papers seen' --against-provider

It is refused if something has happened that you were not shown, and, without
--against-provider, if Sumsub's newest verdict is against it.")]
    Approve(Approval),
    /// Release a hold as REJECTED
    #[command(after_help = "\
Example:
  countersign verification reject org_... --reason 'confirmed match, ticket 4711'")]
    Reject(Reasoned),
    /// Release a hold as `RESUBMISSION_REQUIRED`
    #[command(after_help = "\
Example:
  countersign verification resubmit org_... --reason 'passport has expired'")]
    Resubmit(Reasoned),
    /// Let a REJECTED customer submit again: `RESUBMISSION_REQUIRED`
    #[command(after_help = "\
Example:
  countersign verification reopen org_... --reason 'appeal granted'")]
    Reopen(Reasoned),
    /// Start or resume a session at Sumsub; prints the customer's link and token
    #[command(after_help = "\
Example:
  countersign verification start org_...")]
    Start {
        /// The customer, `org_…`
        org: String,
        /// Why
        #[arg(long, default_value = REASON_DEFAULT)]
        reason: String,
    },
    /// Import the verification of an INDIVIDUAL from a partner's Sumsub account
    #[command(after_help = "\
Example:
  countersign verification import org_... --share-token-file share-token.txt
  countersign verification import org_... < share-token.txt

Without a file, the token is read from stdin; a terminal asks for it and does not show it. It is never an argument: every process could read it
there, and a shell keeps it in its history.")]
    Import {
        /// The customer, `org_…`
        org: String,
        /// The file that holds the partner's share token, used once; - or nothing: stdin
        #[arg(long, value_name = "FILE")]
        share_token_file: Option<PathBuf>,
        /// Refused: see --share-token-file
        #[arg(long, hide = true, num_args = 0..=1)]
        share_token: Option<Vec<String>>,
        /// Why
        #[arg(long, default_value = REASON_DEFAULT)]
        reason: String,
    },
}

pub(super) fn run(
    operator: &Operator,
    arguments: VerificationArguments,
) -> Result<Answer, CliError> {
    let format = arguments.shape.format();
    let decided = |decision, it: &Reasoned| settle(operator, format, decision, (it, false));
    match arguments.command {
        VerificationCommand::Show { org } => show(operator, format, &OrganizationId::new(org)),
        VerificationCommand::History { org } => {
            history(operator, format, &OrganizationId::new(org))
        }
        VerificationCommand::Hold(it) => decided(Decision::Hold, &it),
        VerificationCommand::Approve(it) => {
            let against = it.against_provider;
            settle(operator, format, Decision::Approve, (&it.reasoned, against))
        }
        VerificationCommand::Reject(it) => decided(Decision::Reject, &it),
        VerificationCommand::Resubmit(it) => decided(Decision::Resubmit, &it),
        VerificationCommand::Reopen(it) => decided(Decision::Reopen, &it),
        VerificationCommand::Start { org, reason } => {
            start(operator, format, OrganizationId::new(org), &reason)
        }
        VerificationCommand::Import { org, share_token_file, share_token, reason } => {
            if share_token.is_some() {
                return Err(CliError::new(Exit::Usage, TOKEN_AS_ARGUMENT));
            }
            let token = match share_token_file.filter(|it| it != Path::new("-")) {
                Some(path) => token_from_file(&path)?,
                None => token_from_stdin()?,
            };
            import(operator, format, &OrganizationId::new(org), (&token, &reason))
        }
    }
}

fn show(operator: &Operator, format: Format, id: &OrganizationId) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let (organization, verification, facts) = appliance.store.snapshot(|register| {
        let organization = register.organization(id)?.ok_or(Failure::OrganizationNotFound)?;
        let verification = register.verification(id)?.ok_or(Failure::OrganizationNotFound)?;
        Ok::<_, Failure>((organization, verification, register.facts(id)?))
    })?;
    let standing = verification.at((appliance.clock)());
    Ok(match format {
        Format::Json => Answer::json(&json!({
            "object": "organization_verification",
            "organizationId": organization.id.as_str(),
            "status": standing.status.as_str(),
            "type": organization.kind.as_str(),
            "updatedAt": standing.updated_at.to_string(),
            "applicantId": verification.applicant_id,
            "expiresAt": verification.expires_at.map(|it| it.to_string()),
            "lapsed": standing.lapsed,
            "facts": facts.iter().map(fact_json).collect::<Vec<_>>(),
        })),
        Format::Table => Answer::text(people(&organization, &verification, standing, &facts)),
    })
}

fn people(
    organization: &Organization,
    verification: &Verification,
    standing: Standing,
    facts: &[RecordedFact],
) -> String {
    let lapsed = if standing.lapsed { " (the approval has expired)" } else { "" };
    let head = fields(&[
        ("Organization", organization.id.to_string()),
        ("Name", organization.name.as_str().to_owned()),
        ("Type", organization.kind.as_str().to_owned()),
        ("Status", format!("{}{lapsed}", standing.status.as_str())),
        ("Updated", standing.updated_at.to_string()),
        ("Applicant", verification.applicant_id.clone().unwrap_or_else(|| "-".to_owned())),
        ("Expires", instant(verification.expires_at)),
    ]);
    if facts.is_empty() {
        let id = &organization.id;
        return format!(
            "{head}\nNothing has happened yet: `countersign verification start {id}` starts a \
             session.\n"
        );
    }
    let rows: Vec<Vec<String>> = facts
        .iter()
        .map(|it| {
            vec![
                it.fact.sequence.to_string(),
                it.fact.known_at.to_string(),
                it.fact.event.as_str().to_owned(),
                cause(it),
            ]
        })
        .collect();
    format!("{head}\n{}", table(&["FACT", "RECORDED", "EVENT", "CAUSE"], &rows))
}

fn history(operator: &Operator, format: Format, id: &OrganizationId) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let mut changes = status_changes(&appliance, id, (appliance.clock)())?;
    changes.reverse();
    let row = |it: &Change| {
        let note = it.overrule.map_or_else(|| "-".to_owned(), in_words);
        [&it.at.to_string(), it.from.as_str(), it.to.as_str(), it.source.as_str(), it.cause, &note]
            .map(str::to_owned)
            .to_vec()
    };
    let list = List {
        head: &["AT", "FROM", "TO", "SOURCE", "EVENT", "NOTE"],
        rows: changes.iter().map(row).collect(),
        json: changes.iter().map(|it| shape_of(&EventBody::of(it))).collect(),
        next: None,
    };
    let nothing = format!(
        "The status has never changed: `countersign verification start {id}` starts a session."
    );
    Ok(Answer::list(format, &list, &nothing))
}

/// Why a fact was recorded, in few words.
pub(super) fn cause(fact: &RecordedFact) -> String {
    match &fact.cause {
        Cause::Delivery(id) => format!("delivery {id} of {}", fact.fact.happened_at),
        Cause::Operator { actor, reason } => format!("{actor}: {reason}"),
        Cause::Request(id) => format!("request {id}"),
        Cause::Asked(_) => format!("asked Sumsub, where it stands since {}", fact.fact.happened_at),
    }
}

fn fact_json(fact: &RecordedFact) -> Value {
    json!({
        "sequence": fact.fact.sequence,
        "event": fact.fact.event.as_str(),
        "happenedAt": fact.fact.happened_at.to_string(),
        "knownAt": fact.fact.known_at.to_string(),
        "applicantId": fact.fact.applicant_id,
        "validDays": fact.fact.valid_days,
        "level": fact.fact.level,
        "basis": fact.fact.basis,
        "cause": match &fact.cause {
            Cause::Delivery(id) => json!({"delivery": id}),
            Cause::Operator { actor, reason } => json!({"actor": actor, "reason": reason}),
            Cause::Request(id) => json!({"requestId": id}),
            Cause::Asked(at) => json!({"askedAt": at.to_string()}),
        },
    })
}

fn settle(
    operator: &Operator,
    format: Format,
    decision: Decision,
    (arguments, against_provider): (&Reasoned, bool),
) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let id = OrganizationId::new(&arguments.org);
    let seen = shown(&appliance, &id)?;
    let basis = arguments.seen.unwrap_or_else(|| seen.basis());
    let ground = Ground { basis, against_provider };
    // Before anything is done: this is what it is done on.
    tell(&decided_on(&seen));
    let standing = decide(&appliance, &id, decision, ground, (&operator.actor, &arguments.reason))?;
    let told = match (decision, seen.overrule) {
        (Decision::Approve, Some(it)) => Some(format!("On record as: {}.", in_words(it))),
        _ => None,
    };
    let answer = stands(format, &id, standing);
    Ok(match told {
        Some(told) => answer.telling(told),
        None => answer,
    })
}

/// What a decision was made on.
fn decided_on(seen: &Shown) -> String {
    let Standing { status, updated_at, .. } = seen.standing;
    let newest = seen.newest.as_ref().map_or_else(
        || "nothing was on record".to_owned(),
        |it| {
            let Fact { sequence, event, happened_at, .. } = &it.fact;
            format!("the newest fact was {sequence}, {} of {happened_at}", event.as_str())
        },
    );
    format!("It was {} since {updated_at}; {newest}.", status.as_str())
}

fn start(
    operator: &Operator,
    format: Format,
    id: OrganizationId,
    reason: &str,
) -> Result<Answer, CliError> {
    let cause = operators_cause(&operator.actor, reason)?;
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Sumsub)?;
    let by = (cause, Admission::of_operator());
    let session = start_session(&appliance, &Acting::for_itself(id), by, None)?;
    let token = session.access_token.expose();
    Ok(match format {
        Format::Json => Answer::json(&json!({
            "object": "verification_session", "url": session.url, "accessToken": token,
        })),
        Format::Table => {
            Answer::text(fields(&[("Link", session.url), ("Access token", token.to_owned())]))
                .telling(format!(
                    "Both are for this customer only and live {} minutes.",
                    operator.config.session_ttl_s / 60
                ))
        }
    })
}

fn import(
    operator: &Operator,
    format: Format,
    id: &OrganizationId,
    (token, reason): (&str, &str),
) -> Result<Answer, CliError> {
    let token = ShareToken::parse(token).ok_or_else(|| {
        CliError::new(
            Exit::Usage,
            format!("a share token has 1 to {SHARE_TOKEN_CHARACTERS_MAX} characters and no spaces"),
        )
    })?;
    let cause = operators_cause(&operator.actor, reason)?;
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Sumsub)?;
    let standing = import_verification(&appliance, &Acting::for_itself(id.clone()), &token, cause)?;
    Ok(stands(format, id, standing))
}

fn stands(format: Format, id: &OrganizationId, standing: Standing) -> Answer {
    match format {
        Format::Json => Answer::json(&json!({
            "object": "organization_verification",
            "organizationId": id.as_str(),
            "status": standing.status.as_str(),
            "updatedAt": standing.updated_at.to_string(),
        })),
        Format::Table => Answer::text(format!(
            "{id} is {} since {}\n",
            standing.status.as_str(),
            standing.updated_at
        )),
    }
}

fn token_from_file(path: &Path) -> Result<String, CliError> {
    let token = File::open(path).map_err(CliError::from).and_then(token_from);
    token.map_err(|error| {
        let sentence = format!("{} cannot be read: {}", path.display(), error.sentence);
        CliError::new(error.exit, sentence)
    })
}

fn token_from_stdin() -> Result<String, CliError> {
    Ok(secret_from_stdin("Share token", token_bytes_max())?.trim().to_owned())
}

/// A character of UTF-8 has up to four bytes.
fn token_bytes_max() -> usize {
    SHARE_TOKEN_CHARACTERS_MAX.saturating_mul(4)
}

fn token_from(source: impl Read) -> Result<String, CliError> {
    let mut text = String::new();
    source.take(u64::try_from(token_bytes_max()).unwrap_or(u64::MAX)).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}
