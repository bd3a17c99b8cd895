//! What the product does, one verb a file: the API, the console and the command line all call these
//! and nothing below them. Only here do the register and Sumsub meet.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod authenticate;
pub mod authorizations;
pub mod back_up;
pub mod background;
pub mod buckets;
pub mod create_organization;
pub mod decide;
pub mod deliver_events;
pub mod explain;
pub mod handoff_links;
pub mod history;
pub mod import_verification;
pub mod judge_again;
pub mod keys;
pub mod metadata;
pub mod migrate;
pub mod observe;
pub mod open_link;
pub mod outgoing_deliveries;
pub mod receive_webhook;
pub mod reconcile;
pub mod reconciler;
pub mod replay_inbox;
pub mod restore;
pub mod resume_session;
pub mod retention;
pub mod scheduled_backups;
pub mod sign_letter;
pub mod start_session;
pub mod timekeeping;
pub mod waits;
pub mod webhook_endpoints;
pub mod webhook_key;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::authorization::Refusal;
use crate::domain::environment::Environment;
use crate::domain::fold::Overrule;
use crate::domain::organization::{OrganizationId, OrganizationType};
use crate::domain::shares::{Holder, Shares};
use crate::domain::timekeeper::Timekeeper;
use crate::domain::timestamp::Clock;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::Acceptance;
use crate::domain::verification::{Event, Status};
use crate::outbox::Outbox;
use crate::reloadable::Reloadable;
use crate::store::{Store, StoreError, Tx};
use crate::sumsub::account::OnAccount;
use crate::sumsub::{Client, ImportMode, SumsubError};
use crate::usecase::authenticate::Admission;
use crate::usecase::handoff_links::Handoff;
use crate::usecase::receive_webhook::{BySecret, WebhookSecrets};

/// What belongs into a use-case's commit beside its own work: by what right it is done, which is asked
/// before anything is written, and what else is written, given what the use-case wrote.
pub struct Also<T> {
    admission: Admission,
    write: AlsoWritten<T>,
}

type AlsoWritten<T> = Box<dyn FnOnce(&Tx<'_>, &T) -> Result<(), StoreError> + Send>;

impl<T> fmt::Debug for Also<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Also").field("admission", &self.admission).finish_non_exhaustive()
    }
}

impl<T> Also<T> {
    /// This right, and this further write.
    pub fn new(
        admission: Admission,
        write: impl FnOnce(&Tx<'_>, &T) -> Result<(), StoreError> + Send + 'static,
    ) -> Self {
        Self { admission, write: Box::new(write) }
    }

    fn finish(self, tx: &Tx<'_>, written: &T) -> Result<(), StoreError> {
        (self.write)(tx, written)
    }
}

/// Nothing else, and by an operator's right.
pub fn nothing_else<T>() -> Also<T> {
    Also::new(Admission::of_operator(), |_, _| Ok(()))
}

/// The whole appliance, as the use-cases see it.
pub struct Appliance {
    /// The register.
    pub store: Store,
    /// The provider.
    pub sumsub: Client,
    /// The way to our callers' webhook endpoints.
    pub outbox: Outbox,
    /// The clock: this machine's, corrected by Sumsub's.
    pub clock: Clock,
    /// What is known of that clock.
    pub timekeeper: Arc<Timekeeper>,
    /// What the operator configured.
    pub rules: Rules,
    /// The places of calls to Sumsub.
    pub permits: Permits,
    /// How many outgoing deliveries of one organization may be under way at once.
    pub event_places: usize,
    /// The secrets of Sumsub's webhook.
    pub webhook_secrets: Reloadable<WebhookSecrets>,
    /// Which of them the webhooks since the start were signed with.
    pub webhooks_by_secret: BySecret,
    /// How many webhooks were refused for their digest since the start.
    pub refused_digests: AtomicU64,
    /// The customers' pages; `None`: there are none, and every session leads to Sumsub's.
    pub handoff: Option<Arc<Handoff>>,
}

impl Appliance {
    /// Commits what a use-case writes, and what belongs into the same commit. The gate is asked first:
    /// who may no longer write changes nothing, and learns nothing of what stood in the way.
    fn commit<T, W>(&self, also: Also<T>, work: W) -> Result<T, Failure>
    where
        W: FnOnce(&Tx<'_>) -> Result<T, Failure> + Send + 'static,
        T: Send + 'static,
    {
        let timekeeper = Arc::clone(&self.timekeeper);
        self.store.write(move |tx| {
            also.admission.ask(**tx, timekeeper.decision_instant())?;
            let written = work(tx)?;
            also.finish(tx, &written)?;
            Ok(written)
        })
    }
}

/// What the operator configured.
#[derive(Clone)]
pub struct Rules {
    /// Test or live.
    pub environment: Environment,
    /// Which of Sumsub's products an import uses.
    pub import_mode: ImportMode,
    /// Whose verdict counts.
    pub acceptance: Acceptance,
    /// How many days an approval of a BUSINESS counts; 0 = for ever.
    pub valid_days_business: u32,
    /// As above, for an INDIVIDUAL.
    pub valid_days_individual: u32,
}

impl Rules {
    /// How many days an approval counts; 0 = for ever.
    pub fn valid_days(&self, kind: OrganizationType) -> u32 {
        match kind {
            OrganizationType::Business => self.valid_days_business,
            OrganizationType::Individual => self.valid_days_individual,
        }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("environment", &self.environment).finish_non_exhaustive()
    }
}

impl fmt::Debug for Appliance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appliance").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// The places of calls to Sumsub, shared as `domain::shares` says. A dead provider fills them; whoever
/// comes then is told to come back, and nobody who does not need the provider notices.
#[derive(Debug)]
pub struct Permits {
    shares: Mutex<Shares>,
}

/// One place, given back on drop. While it is held, this thread calls Sumsub on its holder's account.
#[derive(Debug)]
pub struct Permit<'a> {
    of: &'a Permits,
    holder: Holder,
    _on_account: OnAccount,
}

impl Permits {
    /// This many places for an organization that is alone, and half as many spare ones.
    pub fn new(places: usize) -> Self {
        Self { shares: Mutex::new(Shares::new(places, places.div_ceil(2))) }
    }

    /// Takes a place for an organization (`None`: for the operator), or says at once that there is
    /// none.
    pub fn take(&self, holder: Option<&OrganizationId>) -> Result<Permit<'_>, Failure> {
        let holder = holder.cloned();
        if !self.shares.lock().unwrap_or_else(PoisonError::into_inner).take(&holder) {
            return Err(Failure::Busy);
        }
        let on_account = OnAccount::of(&holder);
        Ok(Permit { of: self, holder, _on_account: on_account })
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut shares = self.of.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.give_back(&self.holder);
    }
}

/// Why a use-case did not do what was asked. Faces translate it once, in one table.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// No key was given.
    #[error("no API key was given")]
    MissingApiKey,
    /// The key is unknown, revoked, or of the other environment.
    #[error("the API key is not valid")]
    InvalidApiKey,
    /// The input breaks a rule; the text says which, for the caller.
    #[error("{0}")]
    Invalid(String),
    /// The key lacks a scope; the text names it.
    #[error("the API key has no scope `{0}`")]
    MissingScope(&'static str),
    /// No such key among the caller's.
    #[error("there is no such API key")]
    KeyNotFound,
    /// The caller is not a party.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No such organization.
    #[error("there is no such organization")]
    OrganizationNotFound,
    /// No live LOA between the two.
    #[error("there is no live Letter of Authorization between the two organizations")]
    AuthorizationNotFound,
    /// A live LOA exists already.
    #[error("a live Letter of Authorization between the two organizations exists already")]
    AuthorizationExists,
    /// The LOA is signed already.
    #[error("the Letter of Authorization is signed already")]
    AlreadySigned,
    /// The gate refused.
    #[error("the gate refused: {0:?}")]
    AuthorizationRequired(Refusal),
    /// The verification was rejected: no session, no import.
    #[error("the verification was rejected")]
    VerificationRejected,
    /// Reusable KYC covers natural persons only.
    #[error("a verification can be imported for an INDIVIDUAL only")]
    ImportUnsupported,
    /// Sumsub refused the share token; the text is Sumsub's reason, without the token.
    #[error("Sumsub refused the share token: {0}")]
    ShareTokenInvalid(String),
    /// Sumsub failed us, or we it.
    #[error("Sumsub: {0}")]
    Provider(SumsubError),
    /// Too much at once; later it works.
    #[error("too many requests wait for Sumsub")]
    Busy,
    /// The register failed.
    #[error("{0}")]
    Store(StoreError),
    /// An operator's decision does not fit the status.
    #[error("{decision} does not fit a verification that is {}", status.as_str())]
    DecisionRefused {
        /// The command.
        decision: &'static str,
        /// The status that it met.
        status: Status,
    },
    /// Something happened that the maker of a decision had not been shown.
    #[error("something happened meanwhile (fact {newest})")]
    Overtaken {
        /// The newest fact of Sumsub's or an operator's.
        newest: i64,
    },
    /// An approval would overrule Sumsub, and its maker did not say that it should.
    #[error("this would be on record as: {}", in_words(*.0))]
    Overrules(Overrule),
    /// This machine's clock lies before what the register knows.
    #[error("this machine's clock is {by_s} s behind the register's newest fact")]
    ClockBehind {
        /// By how many seconds.
        by_s: i64,
    },
    /// A webhook whose digest does not fit its bytes.
    #[error("the webhook's digest does not fit its body")]
    DigestRefused,
    /// The organization has no webhook endpoint of this id.
    #[error("there is no such webhook endpoint")]
    WebhookEndpointNotFound,
    /// The endpoint has no delivery of this id.
    #[error("there is no such webhook delivery")]
    WebhookDeliveryNotFound,
    /// Nothing is sent to a disabled endpoint.
    #[error("the webhook endpoint is disabled")]
    WebhookEndpointDisabled,
    /// The organization has as many endpoints as it may.
    #[error("the organization has as many webhook endpoints as it may")]
    WebhookEndpointLimit,
    /// There is no webhook key, and endpoints' secrets come from one.
    #[error("the webhook key is missing, and webhook endpoints' secrets come from it")]
    WebhookKeyMissing,
    /// There is a webhook key that cannot be used; the text says why, and what to do, for the operator.
    #[error("{0}")]
    WebhookKeyUnusable(String),
    /// The webhook key is one that no endpoint's secret was derived from.
    #[error("the webhook key is not the one that any webhook endpoint's secret was derived from")]
    WebhookKeyOther,
    /// The server's webhook key is not the one that the secret was derived from.
    #[error("the webhook key is not the one that this endpoint's secret was derived from")]
    WebhookSecretUnavailable,
    /// As many former secrets of the endpoint sign as may.
    #[error("as many former secrets of this endpoint still sign as may, the oldest until {until}")]
    WebhookSecretLimit {
        /// When the next one may be rotated.
        until: Timestamp,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    NoRandomness,
}

impl Failure {
    /// Whether the gate refused: the key has ended, or the LOA does not reach.
    fn is_of_gate(&self) -> bool {
        matches!(self, Self::InvalidApiKey | Self::AuthorizationRequired(_))
    }
}

/// What an operator's approval overrules, as every reader is told.
pub fn in_words(overrule: Overrule) -> String {
    match overrule {
        Overrule::Against { verdict, at } => {
            let what = match verdict {
                Event::ProviderRejected => "rejection",
                Event::ProviderRetry => "request to submit again",
                Event::ProviderReset => "reset",
                Event::SessionStarted
                | Event::ImportAccepted
                | Event::ProviderPending
                | Event::ProviderAwaitingUser
                | Event::ProviderApproved
                | Event::ProviderOnHold
                | Event::ProviderStepFailed
                | Event::OperatorHold
                | Event::OperatorApprove
                | Event::OperatorReject
                | Event::OperatorResubmit
                | Event::OperatorReopen
                | Event::ClockCorrected => "verdict",
            };
            format!("approved by an operator against Sumsub's {what} of {at}")
        }
        Overrule::NoCheck => "approved by an operator; no check by Sumsub on file".to_owned(),
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Busy,
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
            | StoreError::File { .. }
            | StoreError::Closed
            | StoreError::Panicked
            | StoreError::Corrupt(_)
            | StoreError::RolledBack
            | StoreError::Sqlite(_) => Self::Store(error),
        }
    }
}

impl From<SumsubError> for Failure {
    fn from(error: SumsubError) -> Self {
        match error {
            SumsubError::ShareToken(reason) => Self::ShareTokenInvalid(reason),
            SumsubError::Credentials(_)
            | SumsubError::Level(_)
            | SumsubError::Applicant(_)
            | SumsubError::RateLimited { .. }
            | SumsubError::Outage(_)
            | SumsubError::Unreadable(_) => Self::Provider(error),
        }
    }
}
