//! What a simulator is told at its start. `Settings::default()` is a working one: sandbox, two
//! levels of each type, no workflows, unpleasant, deterministic. Never reads the environment; keeps
//! nothing on disk.

use crate::sumsub::signature::DigestAlgorithm;
use std::fmt;

/// Everything a simulator is told at its start.
#[derive(Clone)]
pub struct Settings {
    /// The seed of ids, tokens, derived secrets and nastiness. The same seed and the same calls
    /// give the same run.
    pub seed: u64,
    /// Whether webhooks are duplicated and swapped at random (from the seed).
    pub nasty: bool,
    /// Divides the retry delays of webhooks and the delay of a reuse check; at least 1.
    pub time_scale: u32,
    /// Who sends the webhooks.
    pub delivery: DeliveryMode,
    /// The tenant of the appliance under test: it imports.
    pub recipient: TenantSettings,
    /// The tenant of a partner: it holds donors and mints share tokens.
    pub partner: TenantSettings,
    /// The levels that exist in both tenants. Where no level is named, the first one of a type is
    /// used.
    pub levels: Vec<Level>,
    /// The recipient's workflows, at most one per type of applicant. The control port can change
    /// them later.
    pub workflows: Vec<Workflow>,
    /// What opening the SDK does to an applicant that is on another level than the token.
    pub sdk_level: SdkLevel,
    /// The digest algorithm of the webhook that `webhook_url` makes.
    pub digest: DigestAlgorithm,
    /// Where browsers reach this simulator; stands in tokens and links. No slash at its end.
    pub base_url: String,
    /// Where the recipient's webhooks go; none are sent without it.
    pub webhook_url: Option<String>,
    /// The secret of that webhook; derived from the seed when absent.
    pub webhook_secret: Option<String>,
    /// When an applicant appears of whom only the `userId` is known. Unknown of the real service.
    pub applicant_creation: ApplicantCreation,
    /// What a reuse does whose `userId` is taken. Unknown of the real service.
    pub reuse_collision: ReuseCollision,
    /// How long a reused identity is re-checked before its verdict, in milliseconds before
    /// `time_scale`. 0 gives the verdict within the call.
    pub reuse_review_ms: u32,
    /// The longest life of an SDK token, in seconds, whatever was asked for: to see tokens expire.
    pub sdk_token_life_s: Option<u32>,
    /// Whether calls beyond Sumsub's limits are answered 429.
    pub request_limit: RequestLimit,
}

/// One tenant's names and secrets; absent secrets are derived from the seed.
#[derive(Clone)]
pub struct TenantSettings {
    /// The client id, as webhooks and share tokens name it.
    pub client_id: String,
    /// The app token, `sbx:<public>.<private>` or `prd:<public>.<private>`.
    pub app_token: Option<String>,
    /// The secret key that signs requests.
    pub secret_key: Option<String>,
    /// The client ids of its sharing partners.
    pub partners: Vec<String>,
}

/// A verification level. What it asks for is not simulated: every level of a type asks for the
/// same.
#[derive(Clone, Debug)]
pub struct Level {
    /// Its name, case-sensitive.
    pub name: String,
    /// Whom it verifies.
    pub applicant_type: ApplicantType,
}

/// An ordered list of levels that an applicant passes through. Its verdict is the last one.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Whom it verifies.
    pub applicant_type: ApplicantType,
    /// The names of its levels, each once and all of that type. Without any there is no workflow.
    pub levels: Vec<String>,
    /// Whether `applicantLevelChanged` is sent when a level is passed and the next one begins.
    /// Unknown of the real service.
    pub level_changes: LevelChanges,
}

/// Whether a workflow announces its next level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelChanges {
    /// `applicantLevelChanged` comes before `applicantAwaitingUser`.
    Announced,
    /// `applicantAwaitingUser` alone carries the new level.
    Silent,
}

/// What opening the SDK does to an applicant that is on another level than the token or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdkLevel {
    /// The applicant moves to the token's level ("Change level and reset steps", stated).
    Moves,
    /// The applicant stays where it is.
    Stays,
}

/// Whom a level verifies and what an applicant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicantType {
    /// A natural person.
    Individual,
    /// A company.
    Company,
}

impl ApplicantType {
    /// Sumsub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Individual => "individual",
            Self::Company => "company",
        }
    }

    /// Reads Sumsub's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "individual" => Some(Self::Individual),
            "company" => Some(Self::Company),
            _ => None,
        }
    }
}

/// Who sends the webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// A thread of the simulator, as soon as they are due.
    Background,
    /// Nobody, until `Simulator::deliver_due` or the control call `POST /deliveries/flush`.
    Manual,
}

/// When an applicant appears of whom only the `userId` is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicantCreation {
    /// When an SDK token is minted (Sumsub's agent skills say so).
    OnMint,
    /// When the link or the SDK page opens.
    OnOpen,
    /// Only by `POST /resources/applicants`.
    ByApi,
}

/// What a reuse does whose `userId` is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReuseCollision {
    /// 409, as creation does.
    Conflict,
    /// A new applicant named `copy-<uuid>`.
    Copy,
}

/// Whether calls beyond Sumsub's limits are answered 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestLimit {
    /// 300 GETs and 50 other calls per 5 s and app token.
    Sumsub,
    /// No limit.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        let tenant = |client_id: &str, partner: &str| TenantSettings {
            client_id: client_id.to_owned(),
            app_token: None,
            secret_key: None,
            partners: vec![partner.to_owned()],
        };
        let level = |name: &str, applicant_type| Level { name: name.to_owned(), applicant_type };
        Self {
            seed: 1,
            nasty: true,
            time_scale: 1,
            delivery: DeliveryMode::Background,
            recipient: tenant("recipient.sim_10001", "partner.sim_20002"),
            partner: tenant("partner.sim_20002", "recipient.sim_10001"),
            levels: vec![
                level("kyb-level", ApplicantType::Company),
                level("kyc-level", ApplicantType::Individual),
                level("email-check-only", ApplicantType::Company),
                level("basic-kyc-level", ApplicantType::Individual),
            ],
            workflows: Vec::new(),
            sdk_level: SdkLevel::Moves,
            digest: DigestAlgorithm::Sha256,
            base_url: "http://localhost:8090".to_owned(),
            webhook_url: None,
            webhook_secret: None,
            applicant_creation: ApplicantCreation::OnOpen,
            reuse_collision: ReuseCollision::Conflict,
            reuse_review_ms: 1500,
            sdk_token_life_s: None,
            request_limit: RequestLimit::Sumsub,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a reader needs to replay a run; the webhook's secret is not among it.
        f.debug_struct("Settings")
            .field("seed", &self.seed)
            .field("nasty", &self.nasty)
            .field("time_scale", &self.time_scale)
            .field("delivery", &self.delivery)
            .field("recipient", &self.recipient)
            .field("partner", &self.partner)
            .field("base_url", &self.base_url)
            .field("webhook_url", &self.webhook_url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TenantSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantSettings")
            .field("client_id", &self.client_id)
            .field("app_token", &"<redacted>")
            .field("secret_key", &"<redacted>")
            .finish_non_exhaustive()
    }
}

/// Why a simulator does not start, or does not take an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The address belongs to the real Sumsub. The operator must name another one.
    #[error("this is a simulator and refuses to act against the real host {host}")]
    RealHost {
        /// The host that was refused.
        host: String,
    },
    /// The address is not an absolute `http` or `https` URL with a host.
    #[error("not an absolute http or https address: {url} ({reason})")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A workflow that no applicant could pass through. The operator must name other levels.
    #[error("not a workflow: {reason}")]
    InvalidWorkflow {
        /// What is wrong with it.
        reason: String,
    },
    /// The thread that sends webhooks could not be started; trying again later may help.
    #[error("no thread for webhook deliveries: {reason}")]
    NoThread {
        /// The system's reason.
        reason: String,
    },
}

/// Refuses an address that is no HTTP URL or belongs to Sumsub.
pub(super) fn check_url(url: &str) -> Result<(), SettingsError> {
    let invalid =
        |reason: &str| SettingsError::InvalidUrl { url: url.to_owned(), reason: reason.to_owned() };
    let uri: ureq::http::Uri =
        url.parse().map_err(|error: ureq::http::uri::InvalidUri| invalid(&error.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid("scheme"));
    }
    let host = uri.host().filter(|it| !it.is_empty()).ok_or_else(|| invalid("no host"))?;
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host == "sumsub.com" || host.ends_with(".sumsub.com") {
        return Err(SettingsError::RealHost { host });
    }
    Ok(())
}
