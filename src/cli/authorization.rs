//! `countersign loa`: Letters of Authorization.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, List};
use super::wiring::{Asks, appliance};
use super::{Operator, Shape, instant_of};
use crate::domain::authorization::{AUTHORIZATION_TYPE, Authorization, AuthorizationStatus};
use crate::domain::fold::Standing;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{AuthorizationFilter, Evidence as Recorded, Opening};
use crate::usecase::authorizations::{
    By, Signature, list_authorizations, request_authorization, revoke_authorization,
    sign_authorization, signed_at,
};
use crate::usecase::{Appliance, Failure};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  countersign loa list
  countersign loa sign --granting org_... --authorized org_... \\
    --signer-name 'Jo Doe' --signer-role Director --how paper --reference vault/17.pdf")]
pub(super) struct LoaArguments {
    #[command(subcommand)]
    command: LoaCommand,
    #[command(flatten)]
    shape: Shape,
}

/// The two sides of an LOA.
#[derive(Debug, Args)]
struct Parties {
    /// The customer, who grants
    #[arg(long, value_name = "ORG")]
    granting: String,
    /// The broker, who is authorized
    #[arg(long, value_name = "ORG")]
    authorized: String,
}

#[derive(Debug, Args)]
struct Evidence {
    /// Who signed
    #[arg(long, value_name = "NAME")]
    signer_name: String,
    /// In which role, as Director
    #[arg(long, value_name = "ROLE")]
    signer_role: String,
    /// How: paper, e-signature, …
    #[arg(long)]
    how: String,
    /// Where the signed document is kept
    #[arg(long)]
    reference: String,
    /// When it was signed, by the paper: an RFC 3339 instant or a date; default now
    #[arg(long)]
    at: Option<String>,
}

#[derive(Debug, Subcommand)]
enum LoaCommand {
    /// List LOAs, newest first, and whether they count now
    #[command(after_help = "\
Example:
  countersign loa list --org org_... --status ACTIVE")]
    List {
        /// Only those that this organization is a party of
        #[arg(long)]
        org: Option<String>,
        /// Only those with this status
        #[arg(long, value_parser = ["PENDING", "ACTIVE", "REVOKED"])]
        status: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Only those behind this place: a list's `nextCursor`
        #[arg(long, value_parser = cursor_of)]
        cursor: Option<String>,
    },
    /// Issue a new PENDING LOA after the last one was revoked
    #[command(after_help = "\
Example:
  countersign loa request --granting org_... --authorized org_...")]
    Request {
        #[command(flatten)]
        parties: Parties,
    },
    /// Record that the customer signed
    #[command(after_help = "\
Example:
  countersign loa sign --granting org_... --authorized org_... --signer-name 'Jo Doe' \\
    --signer-role Director --how paper --reference vault/17.pdf --at 2026-05-14")]
    Sign {
        #[command(flatten)]
        parties: Parties,
        #[command(flatten)]
        evidence: Evidence,
    },
    /// Take a PENDING or ACTIVE LOA back, for ever
    #[command(after_help = "\
Example:
  countersign loa revoke --granting org_... --authorized org_... --reason 'contract ended'")]
    Revoke {
        #[command(flatten)]
        parties: Parties,
        /// Why, at most 500 characters
        #[arg(long)]
        reason: Option<String>,
    },
}

pub(super) fn run(operator: &Operator, arguments: LoaArguments) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Nobody)?;
    let format = arguments.shape.format();
    let by = By { actor: operator.actor.clone(), request_id: None };
    let (parties, changed) = match arguments.command {
        LoaCommand::List { org, status, limit, cursor } => {
            let filter = AuthorizationFilter {
                after: cursor,
                party: org.map(OrganizationId::new),
                status: status.as_deref().and_then(AuthorizationStatus::parse),
                limit,
                ..AuthorizationFilter::default()
            };
            return list(&appliance, format, &filter);
        }
        LoaCommand::Request { parties } => {
            let (granting, authorized) = ids(&parties);
            (parties, request_authorization(&appliance, &granting, &authorized, by))
        }
        LoaCommand::Sign { parties, evidence } => {
            let (granting, authorized) = ids(&parties);
            let signature = signature(evidence, (appliance.clock)())?;
            (parties, sign_authorization(&appliance, &granting, &authorized, &signature, by))
        }
        LoaCommand::Revoke { parties, reason } => {
            let (granting, authorized) = ids(&parties);
            let reason = reason.as_deref();
            (parties, revoke_authorization(&appliance, &granting, &authorized, reason, by))
        }
    };
    let authorization = changed.map_err(|failure| explain(&failure, &parties))?;
    let standing = standing(&appliance, &authorization.granting)?;
    let evidence = evidence_of(&appliance, &authorization)?;
    Ok(match format {
        Format::Json => Answer::json(&of(&authorization, standing, evidence.as_ref())),
        Format::Table => Answer::text(format!(
            "{} by {} for {}: {}\n",
            authorization.status.as_str(),
            authorization.granting,
            authorization.authorized,
            effect(&authorization, standing, evidence.as_ref())
        )),
    })
}

fn list(
    appliance: &Appliance,
    format: Format,
    filter: &AuthorizationFilter,
) -> Result<Answer, CliError> {
    let (page, next) = list_authorizations(appliance, filter)?;
    let rows = page
        .rows
        .into_iter()
        .map(|it| {
            let standing = standing(appliance, &it.granting)?;
            let evidence = evidence_of(appliance, &it)?;
            Ok((it, standing, evidence))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let list = List {
        head: &["STATUS", "GRANTING", "AUTHORIZED", "EFFECT"],
        rows: rows
            .iter()
            .map(|(it, standing, evidence)| {
                vec![
                    it.status.as_str().to_owned(),
                    it.granting.to_string(),
                    it.authorized.to_string(),
                    effect(it, *standing, evidence.as_ref()),
                ]
            })
            .collect(),
        json: rows
            .iter()
            .map(|(it, standing, evidence)| of(it, *standing, evidence.as_ref()))
            .collect(),
        next,
    };
    Ok(Answer::list(
        format,
        &list,
        "There are no such LOAs: `countersign org create --created-by <broker>` issues one with \
         every customer, `countersign loa request` another.",
    ))
}

/// What has the form of one; whether it names an LOA, the register knows.
fn cursor_of(text: &str) -> Result<String, String> {
    let is_one = text
        .strip_prefix("loa_")
        .is_some_and(|it| it.len() == 16 && it.bytes().all(|it| it.is_ascii_hexdigit()));
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| "it must be a nextCursor of `loa list --json`".to_owned())
}

fn ids(parties: &Parties) -> (OrganizationId, OrganizationId) {
    (OrganizationId::new(&parties.granting), OrganizationId::new(&parties.authorized))
}

fn signature(evidence: Evidence, now: Timestamp) -> Result<Signature, CliError> {
    let at = match &evidence.at {
        None => now,
        Some(text) => match signed_at(text, now) {
            Some(at) => at?,
            None => instant_of("--at", text)?,
        },
    };
    Ok(Signature {
        at,
        signer_name: evidence.signer_name,
        signer_role: evidence.signer_role,
        how: evidence.how,
        reference: evidence.reference,
    })
}

/// Two ids are easily swapped, so a missing LOA says which way round it was looked for.
fn explain(failure: &Failure, parties: &Parties) -> CliError {
    let error = CliError::from(failure.clone());
    match error.exit {
        Exit::NotFound => CliError::new(
            error.exit,
            format!(
                "{} (granting {}, authorized {})",
                error.sentence, parties.granting, parties.authorized
            ),
        ),
        Exit::Refused | Exit::Usage | Exit::Provider | Exit::Register | Exit::WouldChange => error,
    }
}

fn standing(appliance: &Appliance, of: &OrganizationId) -> Result<Standing, Failure> {
    let verification = appliance
        .store
        .read(|register| register.verification(of))?
        .ok_or(Failure::OrganizationNotFound)?;
    Ok(verification.at((appliance.clock)()))
}

/// What the hand-off page recorded of the signature.
fn evidence_of(
    appliance: &Appliance,
    authorization: &Authorization,
) -> Result<Option<Recorded>, Failure> {
    let signature = appliance.store.read(|register| register.signature(authorization.id))?;
    Ok(signature.and_then(|it| it.evidence))
}

/// Whether the LOA counts, and what stands out in the evidence of its signature.
fn effect(authorization: &Authorization, granter: Standing, evidence: Option<&Recorded>) -> String {
    let mut effect = whether_effective(authorization, granter);
    let Some(evidence) = evidence else { return effect };
    if evidence.is_from_where_link_was_asked_for() == Some(true) {
        effect.push_str("; signed from the address that requested the link");
    }
    if evidence.address_headers.as_ref().is_some_and(|it| it.disagree) {
        effect.push_str("; the signer's request also named another address");
    }
    effect
}

fn whether_effective(authorization: &Authorization, granter: Standing) -> String {
    match authorization.status {
        AuthorizationStatus::Pending => "waits for the signature".to_owned(),
        AuthorizationStatus::Active if authorization.is_effective(granter) => {
            "effective".to_owned()
        }
        AuthorizationStatus::Active => {
            format!("suspended, the granter is {}", granter.status.as_str())
        }
        AuthorizationStatus::Revoked => match &authorization.revoked_reason {
            None => "ended".to_owned(),
            Some(reason) => format!("ended: {reason}"),
        },
    }
}

fn of(authorization: &Authorization, granter: Standing, evidence: Option<&Recorded>) -> Value {
    let text = |it: Option<Timestamp>| it.map(|it| it.to_string());
    json!({
        "object": "authorization",
        "grantingOrganizationId": authorization.granting.as_str(),
        "authorizedOrganizationId": authorization.authorized.as_str(),
        "type": AUTHORIZATION_TYPE,
        "status": authorization.status.as_str(),
        "effective": authorization.is_effective(granter),
        "signedAt": text(authorization.signed_at),
        "revokedAt": text(authorization.revoked_at),
        "revokedReason": authorization.revoked_reason,
        "createdAt": authorization.created_at.to_string(),
        "updatedAt": authorization.updated_at.to_string(),
        "evidence": evidence.map(|it| json!({
            "linkId": it.link_id,
            "address": it.address,
            "addressHeaders": it.address_headers.as_ref().map_or_else(Vec::new, |it| {
                it.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
            }),
            "addressHeadersDisagree": it.address_headers.as_ref().is_some_and(|it| it.disagree),
            "signedFromAddressOfLinkRequest": it.is_from_where_link_was_asked_for(),
        })),
    })
}
