//! Exit codes, and the one table from what went wrong to a code and a sentence for the operator.

use std::io;

use crate::config::ConfigError;
use crate::http::limits::DescriptorLimitError;
use crate::outbox::REMEDY;
use crate::store::StoreError;
use crate::sumsub::SumsubError;
use crate::usecase::Failure;

/// What every `--help` of the program itself ends with; [`Exit`] in words.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed; stderr says what to do. `doctor`: it found an error
  2  wrong usage or configuration
  3  there is no such organization, authorization, key, delivery or
     refused call
  4  Sumsub could not be asked
  5  the register cannot be used
  6  a dry run found something that it would change";

/// What to do about an endpoint's secret that comes from another key than the one at hand.
const OTHER_KEY: &str = "put the right key file back from a backup, or, if it is lost for good, rotate \
                         the secret (`countersign webhook rotate`); `countersign webhook key` shows \
                         all that do not fit, and `countersign webhook key --new` replaces the key";

/// What to do about a webhook key that fits no endpoint.
const FOREIGN_KEY: &str = "put the right file back from a backup, or, if it is lost for good, run \
                           `countersign webhook key --new` unless that was done, and rotate the secret \
                           of an endpoint that does not fit first (`countersign webhook rotate \
                           ep_...`; `countersign webhook key` shows them)";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// 1.
    Refused,
    /// 2, as clap's own.
    Usage,
    /// 3.
    NotFound,
    /// 4.
    Provider,
    /// 5.
    Register,
    /// 6.
    WouldChange,
}

impl Exit {
    /// The process's exit code.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Provider => 4,
            Self::Register => 5,
            Self::WouldChange => 6,
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) struct CliError {
    /// The verdict.
    pub(super) exit: Exit,
    /// What happened and what to do, for a person.
    pub(super) sentence: String,
}

impl CliError {
    pub(super) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: sentence.into() }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Failure::from(error).into()
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Refused, error.to_string())
    }
}

/// What only a person reads, with the story of where it happened.
impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Refused, format!("{error:#}"))
    }
}

impl From<DescriptorLimitError> for CliError {
    fn from(error: DescriptorLimitError) -> Self {
        Self::new(Exit::Refused, error.to_string())
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let (exit, advice) = match &failure {
            Failure::Invalid(_) => (Exit::Usage, ""),
            Failure::OrganizationNotFound => {
                (Exit::NotFound, "`countersign org list` shows those there are")
            }
            Failure::AuthorizationNotFound => {
                (Exit::NotFound, "`countersign loa list` shows those there are")
            }
            Failure::AuthorizationExists => (
                Exit::Refused,
                "`countersign loa revoke` ends it, after which a new one can be requested",
            ),
            Failure::AlreadySigned => {
                (Exit::Refused, "nothing is left to do; `countersign loa list` shows it")
            }
            Failure::VerificationRejected => {
                (Exit::Refused, "`countersign verification reopen` lets the customer submit again")
            }
            Failure::DecisionRefused { .. } => (Exit::Refused, decisions(&failure)),
            Failure::Overtaken { .. } => (
                Exit::Refused,
                "nothing was changed; look at `countersign verification show`, then decide again",
            ),
            Failure::Overrules(_) => (
                Exit::Refused,
                "nothing was changed; --against-provider approves all the same, and every reader is told",
            ),
            Failure::ClockBehind { .. } => {
                (Exit::Refused, "nothing was changed; set the clock, then decide again")
            }
            Failure::ImportUnsupported => {
                (Exit::Refused, "use `countersign verification start` for a BUSINESS")
            }
            Failure::ShareTokenInvalid(_) => {
                (Exit::Refused, "have the partner generate a fresh one; a token can be used once")
            }
            Failure::Provider(error) => (Exit::Provider, at_sumsub(error)),
            Failure::Busy => (Exit::Refused, "try again in a moment"),
            Failure::Store(error) => in_the_register(error),
            Failure::KeyNotFound => (Exit::NotFound, "`countersign key list` shows what there is"),
            Failure::WebhookEndpointNotFound => {
                (Exit::NotFound, "`countersign webhook list` shows those there are")
            }
            Failure::WebhookDeliveryNotFound => {
                (Exit::NotFound, "`countersign webhook deliveries` shows those there are")
            }
            Failure::WebhookEndpointDisabled => {
                (Exit::Refused, "`countersign webhook enable` enables it")
            }
            Failure::WebhookKeyMissing => (Exit::Refused, REMEDY),
            // It says what to do.
            Failure::WebhookKeyUnusable(_) => (Exit::Refused, ""),
            Failure::WebhookKeyOther => (Exit::Refused, FOREIGN_KEY),
            Failure::WebhookSecretUnavailable => (Exit::Refused, OTHER_KEY),
            Failure::WebhookSecretLimit { .. } => {
                (Exit::Refused, "nothing was changed; rotate again after that")
            }
            Failure::WebhookEndpointLimit => {
                (Exit::Refused, "`countersign webhook delete` makes room")
            }
            Failure::Forbidden(_)
            | Failure::MissingScope(_)
            | Failure::MissingApiKey
            | Failure::InvalidApiKey
            | Failure::AuthorizationRequired(_)
            | Failure::DigestRefused
            | Failure::NoRandomness => (Exit::Refused, ""),
        };
        let separator = if advice.is_empty() { "" } else { ": " };
        Self::new(exit, format!("{failure}{separator}{advice}"))
    }
}

/// Which decisions fit which status, contract §6.
fn decisions(failure: &Failure) -> &'static str {
    match failure {
        Failure::DecisionRefused { decision: "reopen", .. } => "only a REJECTED one is reopened",
        _ => {
            "approve, reject and resubmit release a hold; `countersign verification hold` sets one"
        }
    }
}

pub(super) fn at_sumsub(error: &SumsubError) -> &'static str {
    match error {
        SumsubError::Credentials(_) => {
            "check sumsub-app-token, sumsub-secret-key, the token's permissions at Sumsub, and \
             this machine's clock"
        }
        SumsubError::Level(_) => "check sumsub-level-business and sumsub-level-individual",
        SumsubError::Applicant(_) => "look at the applicant in Sumsub's dashboard",
        SumsubError::ShareToken(_) => "have the partner generate a fresh one",
        SumsubError::RateLimited { .. } => "wait and try again",
        SumsubError::Outage(_) => "check sumsub-url, sumsub-proxy and the network, then try again",
        SumsubError::Unreadable(_) => "try again, and report it if it stays",
    }
}

/// The sentences of the store say what to do where there is anything to do.
fn in_the_register(error: &StoreError) -> (Exit, &'static str) {
    // It passes: whoever starts the service again and again may do so.
    if error.is_locked() {
        return (Exit::Refused, "another process is writing: try again in a moment");
    }
    let advice = match error {
        StoreError::Sqlite(_) | StoreError::RolledBack => {
            "check that the file and its directory can be written and that the disk has room"
        }
        StoreError::File { .. } => "check the path, its permissions, and that the disk has room",
        StoreError::Corrupt(_) => "keep a copy of the file and put the last backup in its place",
        StoreError::Missing(_)
        | StoreError::Foreign(_)
        | StoreError::Newer { .. }
        | StoreError::Older { .. }
        | StoreError::NotMigratable { .. }
        | StoreError::OtherSchema { .. }
        | StoreError::Damaged { .. }
        | StoreError::OtherEnvironment { .. }
        | StoreError::Served { .. }
        | StoreError::InUse(_)
        | StoreError::Busy
        | StoreError::Closed
        | StoreError::Panicked => "",
    };
    (Exit::Register, advice)
}
