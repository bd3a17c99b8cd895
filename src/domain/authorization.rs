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

/// How a signature on the hand-off page is named beside `paper` and others.
pub const SIGNED_ON_PAGE: &str = "hand-off page";

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

#[cfg(test)]
mod tests {
    use super::*;
    use AuthorizationEvent::{Issued, Revoked, Signed};

    const LOAS: [Option<AuthorizationStatus>; 4] = [
        None,
        Some(AuthorizationStatus::Pending),
        Some(AuthorizationStatus::Active),
        Some(AuthorizationStatus::Revoked),
    ];

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn standings() -> impl Iterator<Item = Standing> {
        let both = |status| [false, true].map(|lapsed| (status, lapsed));
        let all = Status::ALL.into_iter().flat_map(both);
        all.map(|(status, lapsed)| Standing { status, updated_at: at(5), lapsed })
    }

    type Answer = Result<(), Refusal>;
    const NO_LOA: Answer = Err(Refusal::NoLiveAuthorization);
    const UNSIGNED: Answer = Err(Refusal::NotSigned);

    fn gate(purpose: Purpose, loa: Option<AuthorizationStatus>, standing: Standing) -> Answer {
        let (caller, subject) = (OrganizationId::new("org_b"), OrganizationId::new("org_c"));
        let acting = Acting::on_behalf(caller.clone(), subject.clone(), purpose, loa, standing)?;
        assert_eq!((acting.caller(), acting.subject()), (&caller, &subject));
        Ok(())
    }

    /// What the contract's section 5 answers under a signed LOA: status, whether the approval lapsed,
    /// then whether an import and whether everything else is let through.
    const SIGNED: [(Status, bool, Answer, Answer); 12] = {
        use Refusal::{Lapsed, NotApproved};
        use Status::{Approved, NotStarted, OnHold, Pending, Rejected, ResubmissionRequired};
        [
            (NotStarted, false, Ok(()), Err(NotApproved(NotStarted))),
            (Pending, false, Ok(()), Err(NotApproved(Pending))),
            (Approved, false, Ok(()), Ok(())),
            (Rejected, false, Ok(()), Err(NotApproved(Rejected))),
            (OnHold, false, Ok(()), Err(NotApproved(OnHold))),
            (ResubmissionRequired, false, Ok(()), Err(NotApproved(ResubmissionRequired))),
            (NotStarted, true, Err(Lapsed), Err(Lapsed)),
            (Pending, true, Err(Lapsed), Err(Lapsed)),
            // The fold never says so: an approval ends a lapse.
            (Approved, true, Err(Lapsed), Ok(())),
            (Rejected, true, Err(Lapsed), Err(Lapsed)),
            (OnHold, true, Err(Lapsed), Err(Lapsed)),
            (ResubmissionRequired, true, Err(Lapsed), Err(Lapsed)),
        ]
    };

    #[test]
    fn the_gate_is_the_contracts_for_every_purpose_loa_and_verification() {
        for it in standings() {
            let rows = SIGNED.iter().filter(|row| (row.0, row.1) == (it.status, it.lapsed));
            let [(.., import, act)] = rows.collect::<Vec<_>>()[..] else {
                panic!("{it:?} is not one row of the table")
            };
            for loa in LOAS {
                let (verify, import, act) = match loa {
                    None | Some(AuthorizationStatus::Revoked) => (NO_LOA, NO_LOA, NO_LOA),
                    Some(AuthorizationStatus::Pending) => (Ok(()), UNSIGNED, UNSIGNED),
                    Some(AuthorizationStatus::Active) => (Ok(()), *import, *act),
                };
                assert_eq!(gate(Purpose::Verify, loa, it), verify, "verify {loa:?} {it:?}");
                assert_eq!(gate(Purpose::Import, loa, it), import, "import {loa:?} {it:?}");
                assert_eq!(gate(Purpose::Act, loa, it), act, "act {loa:?} {it:?}");
            }
        }
    }

    #[test]
    fn an_organization_acts_for_itself() {
        let own = OrganizationId::new("org_a");

        let acting = Acting::for_itself(own.clone());

        assert_eq!((acting.caller(), acting.subject()), (&own, &own));
    }

    fn record(event: AuthorizationEvent, ms: i64) -> AuthorizationRecord {
        let reason = (event == Revoked).then(|| "the mandate ended".to_owned());
        // A paper is signed before it is known.
        AuthorizationRecord { event, happened_at: at(ms).plus_ms(-1), known_at: at(ms), reason }
    }

    /// The LOA that these events come to, each 10 ms after the one before it.
    fn rebuilt(events: &[AuthorizationEvent]) -> Option<Authorization> {
        let records: Vec<_> =
            [10, 20, 30].into_iter().zip(events).map(|(ms, it)| record(*it, ms)).collect();
        let parties = (OrganizationId::new("org_c"), OrganizationId::new("org_b"));
        Authorization::rebuild(7, parties, &records)
    }

    #[test]
    fn an_loa_is_effective_while_it_is_active_and_its_granter_approved() {
        for (events, is_active) in [
            (&[Issued][..], false),
            (&[Issued, Signed], true),
            (&[Issued, Revoked], false),
            (&[Issued, Signed, Revoked], false),
        ] {
            let loa = rebuilt(events).unwrap();
            for it in standings() {
                let expected = is_active && it.status == Status::Approved;
                assert_eq!(loa.is_effective(it), expected, "{loa:?} {it:?}");
            }
        }
    }

    #[test]
    fn an_loa_is_what_happened_to_it() {
        let pending = Authorization {
            id: 7,
            granting: OrganizationId::new("org_c"),
            authorized: OrganizationId::new("org_b"),
            status: AuthorizationStatus::Pending,
            signed_at: None,
            revoked_at: None,
            revoked_reason: None,
            created_at: at(10),
            updated_at: at(10),
        };
        let active = Authorization {
            status: AuthorizationStatus::Active,
            signed_at: Some(at(19)),
            updated_at: at(20),
            ..pending.clone()
        };
        let revoked = |before: &Authorization, ms| Authorization {
            status: AuthorizationStatus::Revoked,
            revoked_at: Some(at(ms)),
            revoked_reason: Some("the mandate ended".to_owned()),
            updated_at: at(ms),
            ..before.clone()
        };

        assert_eq!(rebuilt(&[Issued]), Some(pending.clone()));
        assert_eq!(rebuilt(&[Issued, Signed]), Some(active.clone()));
        assert_eq!(rebuilt(&[Issued, Revoked]), Some(revoked(&pending, 20)));
        assert_eq!(rebuilt(&[Issued, Signed, Revoked]), Some(revoked(&active, 30)));
    }

    #[test]
    fn what_cannot_happen_to_an_loa_makes_its_record_unreadable() {
        for events in [
            &[][..],
            &[Signed],
            &[Revoked],
            &[Issued, Issued],
            &[Issued, Signed, Issued],
            &[Issued, Signed, Signed],
            &[Issued, Revoked, Issued],
            &[Issued, Revoked, Signed],
            &[Issued, Revoked, Revoked],
        ] {
            assert_eq!(rebuilt(events), None, "{events:?}");
        }
    }

    #[test]
    fn the_loa_as_it_was_known_is_the_newest_fact_known_by_then() {
        let fact = |sequence, event, ms| AuthorizationFact { sequence, event, known_at: at(ms) };
        let facts = [
            fact(1, Issued, 10),
            fact(2, Signed, 20),
            fact(3, Revoked, 30),
            // A new grant in the same instant: the order of recording decides.
            fact(4, Issued, 30),
            fact(5, Signed, 40),
        ];
        for (ms, expected) in [
            (9, None),
            (10, Some((AuthorizationStatus::Pending, 1))),
            (19, Some((AuthorizationStatus::Pending, 1))),
            (20, Some((AuthorizationStatus::Active, 2))),
            (30, Some((AuthorizationStatus::Pending, 4))),
            (50, Some((AuthorizationStatus::Active, 5))),
        ] {
            let known = known_at(&facts, at(ms));
            assert_eq!(known.map(|(status, it)| (status, it.sequence)), expected, "{ms}");
        }
        let until_revoked = known_at(facts.get(..3).unwrap(), at(50)).unwrap();
        assert_eq!(until_revoked, (AuthorizationStatus::Revoked, facts[2]));
    }

    #[test]
    fn words_are_the_contracts_and_the_registers() {
        for (status, word) in [
            (AuthorizationStatus::Pending, "PENDING"),
            (AuthorizationStatus::Active, "ACTIVE"),
            (AuthorizationStatus::Revoked, "REVOKED"),
        ] {
            assert_eq!(status.as_str(), word);
            assert_eq!(AuthorizationStatus::parse(word), Some(status));
        }
        for (event, word) in [(Issued, "issued"), (Signed, "signed"), (Revoked, "revoked")] {
            assert_eq!(event.as_str(), word);
            assert_eq!(AuthorizationEvent::parse(word), Some(event));
        }
        for unknown in ["", "pending", "ISSUED", "LOA"] {
            assert_eq!(AuthorizationStatus::parse(unknown), None);
            assert_eq!(AuthorizationEvent::parse(unknown), None);
        }
        let purposes = [Purpose::Verify, Purpose::Import, Purpose::Act].map(Purpose::as_str);
        assert_eq!(purposes, ["verify", "import", "act"]);
        let refusals = [
            Refusal::NoLiveAuthorization,
            Refusal::NotSigned,
            Refusal::Lapsed,
            Refusal::NotApproved(Status::OnHold),
        ];
        assert_eq!(
            refusals.map(Refusal::as_str),
            ["no_live_authorization", "not_signed", "lapsed", "not_approved"]
        );
    }
}
