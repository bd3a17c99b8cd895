//! Sumsub's deliveries, byte for byte, and what each of them did.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

/// What a delivery did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Readers see another status.
    Changed,
    /// A fact was recorded; the status stays.
    NoChange,
    /// A fact was recorded; another applicant decides.
    NotCurrentApplicant,
    /// A known type that carries no verdict.
    Informational,
    /// A type that carries a verdict, without a readable one.
    NoVerdict,
    /// An approval at a level that is not accepted.
    OtherLevel,
    /// An approval of a person for a business, or the other way round.
    OtherApplicantType,
    /// An approval of which something that guards it cannot be read.
    UnreadableGuard,
    /// An approval of a workflow's step, where only the workflow's end decides.
    WorkflowStep,
    /// An approval that waits until Sumsub has been asked, because our clock may be wrong.
    AwaitingProvider,
    /// A type that this program does not know.
    UnknownType,
    /// Nobody here has this applicant.
    UnknownApplicant,
    /// A person of a company: the company's own events decide.
    MemberOfCompany,
    /// `sandboxMode` contradicts the environment.
    OtherEnvironment,
    /// `testMode`: a test from Sumsub's dashboard.
    TestEvent,
    /// The digest was right, the body is none we can read.
    Unreadable,
}

impl Outcome {
    const ALL: [Self; 16] = [
        Self::Changed,
        Self::NoChange,
        Self::NotCurrentApplicant,
        Self::Informational,
        Self::NoVerdict,
        Self::OtherLevel,
        Self::OtherApplicantType,
        Self::UnreadableGuard,
        Self::WorkflowStep,
        Self::AwaitingProvider,
        Self::UnknownType,
        Self::UnknownApplicant,
        Self::MemberOfCompany,
        Self::OtherEnvironment,
        Self::TestEvent,
        Self::Unreadable,
    ];

    /// The word that the register keeps and operators read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::NoChange => "no_change",
            Self::NotCurrentApplicant => "not_current_applicant",
            Self::Informational => "informational",
            Self::NoVerdict => "no_verdict",
            Self::OtherLevel => "other_level",
            Self::OtherApplicantType => "other_applicant_type",
            Self::UnreadableGuard => "unreadable_guard",
            Self::WorkflowStep => "workflow_step",
            Self::AwaitingProvider => "awaiting_provider",
            Self::UnknownType => "unknown_type",
            Self::UnknownApplicant => "unknown_applicant",
            Self::MemberOfCompany => "member_of_company",
            Self::OtherEnvironment => "other_environment",
            Self::TestEvent => "test_event",
            Self::Unreadable => "unreadable",
        }
    }

    /// Reads the register's word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// A delivery whose digest was right, to be kept.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// SHA-256 of the body: two deliveries of the same bytes are one.
    pub body_sha256: [u8; 32],
    /// The raw body.
    pub body: Vec<u8>,
    /// Headers as JSON text, secrets masked.
    pub headers: String,
    /// Sumsub's `type`.
    pub event_type: Option<String>,
    /// Sumsub's `applicantId`.
    pub applicant_id: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// A kept delivery with the outcome that is in force.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its number: larger is newer.
    pub id: i64,
    /// The raw body; `None`: let go of by age.
    pub body: Option<Vec<u8>>,
    /// Headers as JSON text.
    pub headers: String,
    /// Sumsub's `type`.
    pub event_type: Option<String>,
    /// Sumsub's `applicantId`.
    pub applicant_id: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What it did.
    pub outcome: Outcome,
    /// Whose verification it is about.
    pub organization: Option<OrganizationId>,
    /// Whether a fact was recorded from it.
    pub has_fact: bool,
}

/// The columns of [`Delivery`]; the newest outcome is the one in force.
const SELECT: &str = "SELECT d.delivery_id, d.body, d.headers, d.event_type, d.applicant_id,
        d.received_at_ms, o.outcome, o.organization_id,
        EXISTS (SELECT 1 FROM verification_event AS e WHERE e.delivery_id = d.delivery_id) AS has_fact
     FROM delivery AS d
     JOIN delivery_outcome AS o
       ON o.delivery_id = d.delivery_id
      AND o.outcome_no = (SELECT max(outcome_no) FROM delivery_outcome
                          WHERE delivery_id = d.delivery_id)";

impl Reader<'_> {
    /// One delivery.
    pub fn delivery(&self, id: i64) -> Result<Option<Delivery>, StoreError> {
        self.connection
            .prepare_cached(&format!("{SELECT} WHERE d.delivery_id = :id"))?
            .query_row(named_params! {":id": id}, |row| Ok(from_row(row)))
            .optional()?
            .transpose()
    }

    /// Up to `limit` deliveries, newest first, older than `before` if given.
    pub fn deliveries(&self, before: Option<i64>, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 WHERE :before IS NULL OR d.delivery_id < :before
                 ORDER BY d.delivery_id DESC
                 LIMIT :limit"
            ))?
            .query_map(named_params! {":before": before, ":limit": limit}, |row| Ok(from_row(row)))?
            .map(|row| row?)
            .collect()
    }

    /// Up to `limit` deliveries, oldest first, newer than `after`.
    pub fn deliveries_after(&self, after: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 WHERE d.delivery_id > :after
                 ORDER BY d.delivery_id
                 LIMIT :limit"
            ))?
            .query_map(named_params! {":after": after, ":limit": limit}, |row| Ok(from_row(row)))?
            .map(|row| row?)
            .collect()
    }

    /// Deliveries about an applicant that nobody had when they arrived, or whose approval an import may
    /// make count, oldest first; without those too old to have a body, of which a verification that
    /// begins now has no use.
    pub fn unclaimed_deliveries(&self, applicant_id: &str) -> Result<Vec<Delivery>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 WHERE d.applicant_id = :applicant
                   AND o.outcome IN ('unknown_applicant', 'workflow_step', 'other_level')
                   AND d.body IS NOT NULL
                 ORDER BY d.delivery_id"
            ))?
            .query_map(named_params! {":applicant": applicant_id}, |row| Ok(from_row(row)))?
            .map(|row| row?)
            .collect()
    }

    /// Up to `limit` deliveries whose approval waits until Sumsub has been asked, oldest first, behind
    /// `after`.
    pub fn awaiting_deliveries(&self, after: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 WHERE d.delivery_id IN (SELECT delivery_id FROM awaiting_provider
                                         WHERE delivery_id > :after
                                         ORDER BY delivery_id
                                         LIMIT :limit)
                 ORDER BY d.delivery_id"
            ))?
            .query_map(named_params! {":after": after, ":limit": limit}, |row| Ok(from_row(row)))?
            .map(|row| row?)
            .collect()
    }
}

impl Tx<'_> {
    /// Keeps a delivery; `None` if its bytes are kept already.
    pub fn insert_delivery(&self, new: &NewDelivery) -> Result<Option<i64>, StoreError> {
        let added = self
            .connection
            .prepare_cached(
                "INSERT INTO delivery
                   (body_sha256, body, headers, event_type, applicant_id, received_at_ms)
                 SELECT :sha256, :body, :headers, :event_type, :applicant, :received_at
                 WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE body_sha256 = :sha256)",
            )?
            .execute(named_params! {
                ":sha256": new.body_sha256,
                ":body": new.body,
                ":headers": new.headers,
                ":event_type": new.event_type,
                ":applicant": new.applicant_id,
                ":received_at": new.received_at.as_ms(),
            })?;
        Ok((added > 0).then(|| self.connection.last_insert_rowid()))
    }

    /// Records what a delivery did.
    pub fn insert_outcome(
        &self,
        delivery_id: i64,
        outcome: Outcome,
        organization: Option<&OrganizationId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO delivery_outcome
                   (delivery_id, outcome_no, outcome, organization_id, known_at_ms)
                 SELECT :delivery, 1 + coalesce(max(outcome_no), 0), :outcome, :organization, :now
                 FROM delivery_outcome
                 WHERE delivery_id = :delivery",
            )?
            .execute(named_params! {
                ":delivery": delivery_id,
                ":outcome": outcome.as_str(),
                ":organization": organization.map(OrganizationId::as_str),
                ":now": now.as_ms(),
            })?;
        let note = if outcome == Outcome::AwaitingProvider {
            "INSERT OR IGNORE INTO awaiting_provider (delivery_id) VALUES (:delivery)"
        } else {
            "DELETE FROM awaiting_provider WHERE delivery_id = :delivery"
        };
        self.connection.prepare_cached(note)?.execute(named_params! {":delivery": delivery_id})?;
        Ok(())
    }
}

fn from_row(row: &Row<'_>) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: row.get("delivery_id")?,
        body: row.get("body")?,
        headers: row.get("headers")?,
        event_type: row.get("event_type")?,
        applicant_id: row.get("applicant_id")?,
        received_at: Timestamp::from_ms(row.get("received_at_ms")?),
        outcome: Outcome::parse(&row.get::<_, String>("outcome")?)
            .ok_or(StoreError::Corrupt("delivery outcome"))?,
        organization: row.get::<_, Option<String>>("organization_id")?.map(OrganizationId::new),
        has_fact: row.get("has_fact")?,
    })
}
