//! The Letter of Authorization (LOA), and the gate: may this caller act for that customer, now?
//!
//! ```text
//!   PENDING ──sign──▶ ACTIVE ──revoke──▶ REVOKED        PENDING ──revoke──▶ REVOKED
//! ```
//! An LOA is *effective* while it is ACTIVE and its granter's verification is APPROVED. That is
//! never stored: a lapse suspends and a return resumes, and no row changes. Contract §5.

use crate::domain::fold::Standing;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::Status;

/// The recorded status of one LOA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationStatus {
    /// Issued, waiting for the granter's signature.
    Pending,
    /// Signed.
    Active,
    /// Taken back, for ever: a new grant is a new row.
    Revoked,
}

impl AuthorizationStatus {
    /// Reads the contract's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "PENDING" => Some(Self::Pending),
            "ACTIVE" => Some(Self::Active),
            "REVOKED" => Some(Self::Revoked),
            _ => None,
        }
    }

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Active => "ACTIVE",
            Self::Revoked => "REVOKED",
        }
    }
}

/// The only type of authorization that the contract knows.
pub const AUTHORIZATION_TYPE: &str = "LOA";

/// A Letter of Authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Our own number, never shown to callers: larger is newer.
    pub id: i64,
    /// The customer.
    pub granting: OrganizationId,
    /// The broker.
    pub authorized: OrganizationId,
    /// Where it stands.
    pub status: AuthorizationStatus,
    /// When the granter signed.
    pub signed_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// Why, in the words of whoever took it back.
    pub revoked_reason: Option<String>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Authorization {
    /// Whether calls on behalf of the granter count now.
    pub fn is_effective(&self, granter: Standing) -> bool {
        self.status == AuthorizationStatus::Active && granter.status == Status::Approved
    }
}

/// What happened to one of the LOAs between two organizations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationEvent {
    /// It was issued, to be signed.
    Issued,
    /// The granter signed.
    Signed,
    /// A party took it back.
    Revoked,
}

impl AuthorizationEvent {
    /// Reads the register's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "issued" => Some(Self::Issued),
            "signed" => Some(Self::Signed),
            "revoked" => Some(Self::Revoked),
            _ => None,
        }
    }

    /// The register's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Signed => "signed",
            Self::Revoked => "revoked",
        }
    }
}

/// A recorded event of an LOA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorizationFact {
    /// The order of recording.
    pub sequence: i64,
    /// What happened.
    pub event: AuthorizationEvent,
    /// When we knew it: from then on it counts.
    pub known_at: Timestamp,
}

/// Everything of a recorded event that an LOA is folded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationRecord {
    /// What happened.
    pub event: AuthorizationEvent,
    /// When it happened; a paper may have been signed before we knew it.
    pub happened_at: Timestamp,
    /// When we knew it.
    pub known_at: Timestamp,
    /// Of a revocation: why.
    pub reason: Option<String>,
}

impl Authorization {
    /// Replays everything that happened to one LOA, in the order of recording. The result equals
    /// the stored row, or the row is wrong; `None` if the LOA was never issued.
    pub fn rebuild(
        id: i64,
        (granting, authorized): (OrganizationId, OrganizationId),
        records: &[AuthorizationRecord],
    ) -> Option<Self> {
        let (issued, later) = records.split_first()?;
        if issued.event != AuthorizationEvent::Issued {
            return None;
        }
        let mut so_far = Self {
            id,
            granting,
            authorized,
            status: AuthorizationStatus::Pending,
            signed_at: None,
            revoked_at: None,
            revoked_reason: None,
            created_at: issued.known_at,
            updated_at: issued.known_at,
        };
        for it in later {
            match (it.event, so_far.status) {
                (AuthorizationEvent::Signed, AuthorizationStatus::Pending) => {
                    so_far.status = AuthorizationStatus::Active;
                    so_far.signed_at = Some(it.happened_at);
                }
                (
                    AuthorizationEvent::Revoked,
                    AuthorizationStatus::Pending | AuthorizationStatus::Active,
                ) => {
                    so_far.status = AuthorizationStatus::Revoked;
                    so_far.revoked_at = Some(it.known_at);
                    so_far.revoked_reason.clone_from(&it.reason);
                }
                (
                    AuthorizationEvent::Issued
                    | AuthorizationEvent::Signed
                    | AuthorizationEvent::Revoked,
                    _,
                ) => return None,
            }
            so_far.updated_at = it.known_at;
        }
        Some(so_far)
    }
}

/// The LOA between two organizations as it was known at `at`: the newest one's status, and the fact
/// that put it there. `facts` are those of every LOA from the one to the other, in order.
pub fn known_at(
    facts: &[AuthorizationFact],
    at: Timestamp,
) -> Option<(AuthorizationStatus, AuthorizationFact)> {
    let last = facts.iter().filter(|it| it.known_at <= at).max_by_key(|it| it.sequence)?;
    let status = match last.event {
        AuthorizationEvent::Issued => AuthorizationStatus::Pending,
        AuthorizationEvent::Signed => AuthorizationStatus::Active,
        AuthorizationEvent::Revoked => AuthorizationStatus::Revoked,
    };
    Some((status, *last))
}

/// What a call on behalf of a customer wants: each asks another strength of the LOA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Read or start the customer's verification: a live LOA is enough, or none could ever begin.
    Verify,
    /// Import a verification: signed, and the customer's verification has not lapsed.
    Import,
    /// Everything else: effective.
    Act,
}

/// Why the gate refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No LOA between the two is PENDING or ACTIVE.
    NoLiveAuthorization,
    /// The LOA waits for its signature.
    NotSigned,
    /// The customer was approved once, and that approval expired.
    Lapsed,
    /// The LOA is signed, but the customer is not APPROVED; suspended until it is.
    NotApproved(Status),
}

impl Purpose {
    /// The register's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Import => "import",
            Self::Act => "act",
        }
    }
}

impl Refusal {
    /// The register's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoLiveAuthorization => "no_live_authorization",
            Self::NotSigned => "not_signed",
            Self::Lapsed => "lapsed",
            Self::NotApproved(_) => "not_approved",
        }
    }
}

/// Proof that a caller may act for an organization: made only by [`Acting::for_itself`] and
/// [`Acting::on_behalf`], so that no use-case can be called without having passed the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    caller: OrganizationId,
    subject: OrganizationId,
}

impl Acting {
    /// An organization acting for itself needs no LOA.
    pub fn for_itself(caller: OrganizationId) -> Self {
        Self { subject: caller.clone(), caller }
    }

    /// The gate: may `caller` act for `subject` with this purpose, by the newest LOA that
    /// `subject` granted `caller`, while `subject`'s verification stands so?
    pub fn on_behalf(
        caller: OrganizationId,
        subject: OrganizationId,
        purpose: Purpose,
        live: Option<AuthorizationStatus>,
        standing: Standing,
    ) -> Result<Self, Refusal> {
        let signed = match live {
            Some(AuthorizationStatus::Active) => true,
            Some(AuthorizationStatus::Pending) => false,
            Some(AuthorizationStatus::Revoked) | None => return Err(Refusal::NoLiveAuthorization),
        };
        let allowed = Ok(Self { caller, subject });
        match purpose {
            Purpose::Verify => allowed,
            Purpose::Import | Purpose::Act if !signed => Err(Refusal::NotSigned),
            Purpose::Import if standing.lapsed => Err(Refusal::Lapsed),
            Purpose::Import => allowed,
            Purpose::Act if standing.status == Status::Approved => allowed,
            Purpose::Act if standing.lapsed => Err(Refusal::Lapsed),
            Purpose::Act => Err(Refusal::NotApproved(standing.status)),
        }
    }

    /// The organization whose key was used.
    pub fn caller(&self) -> &OrganizationId {
        &self.caller
    }

    /// The organization that is acted for; the caller itself without the header.
    pub fn subject(&self) -> &OrganizationId {
        &self.subject
    }
}
