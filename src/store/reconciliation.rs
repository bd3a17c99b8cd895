//! Whom Sumsub is to be asked about, and when it was asked.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

/// A verification that Sumsub can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its current applicant.
    pub applicant_id: String,
    /// The applicant's externalUserId.
    pub external_user_id: String,
}

/// How long a verification waits before Sumsub is asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Before the first and the second question, in milliseconds; then doubled with every one that
    /// told nothing new.
    pub first_ms: i64,
    /// The longest wait between two questions, in milliseconds.
    pub longest_ms: i64,
}

/// What the reconciler left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastPass {
    /// When its last pass ended.
    pub passed_at: Timestamp,
    /// Whoever was not asked about since then is to be, once.
    pub sweep_from: Timestamp,
}

/// The columns of [`Question`].
const SELECT: &str = "SELECT v.organization_id, v.applicant_id,
        coalesce(a.external_user_id, v.organization_id) AS external_user_id
     FROM verification AS v
     LEFT JOIN applicant AS a ON a.applicant_id = v.applicant_id";

impl Reader<'_> {
    /// Verifications that have waited longer than `patience` allows, the longest waiting first. What a
    /// clock that was fast has dated ahead of now tells nothing of a wait.
    pub fn overdue(
        &self,
        patience: Patience,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Question>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 LEFT JOIN reconciliation AS r ON r.organization_id = v.organization_id
                 WHERE v.state IN ('PENDING', 'ON_HOLD_BY_PROVIDER', 'RESUBMISSION_REQUIRED')
                   AND v.applicant_id IS NOT NULL
                   AND (v.updated_at_ms <= :now - :first OR v.updated_at_ms > :now)
                   AND (r.since_ms IS NULL OR r.since_ms > :now
                     OR r.since_ms + min(:longest, :first << min(max(r.quiet - 1, 0), 20)) <= :now)
                 ORDER BY v.updated_at_ms
                 LIMIT :limit"
            ))?
            .query_map(
                named_params! {
                    ":now": now.as_ms(),
                    ":first": patience.first_ms,
                    ":longest": patience.longest_ms,
                    ":limit": limit,
                },
                question_from_row,
            )?
            .map(|row| Ok(row?))
            .collect()
    }

    /// Verifications, settled ones too, that nobody asked about since `from`, and that changed last
    /// before it, in the order of their organizations, behind `cursor`. Those that an operator holds
    /// or has rejected are left out: nothing that Sumsub says moves them.
    pub fn not_asked_since(
        &self,
        from: Timestamp,
        cursor: Option<&OrganizationId>,
        (limit, now): (u32, Timestamp),
    ) -> Result<Vec<Question>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 LEFT JOIN reconciliation AS r ON r.organization_id = v.organization_id
                 WHERE v.organization_id > :cursor
                   AND v.state NOT IN ('NOT_STARTED', 'REJECTED_BY_OPERATOR', 'ON_HOLD_BY_OPERATOR')
                   AND v.applicant_id IS NOT NULL
                   AND (v.updated_at_ms < :from OR v.updated_at_ms > :now)
                   AND (coalesce(r.asked_at_ms, -1) < :from OR r.asked_at_ms > :now)
                 ORDER BY v.organization_id
                 LIMIT :limit"
            ))?
            .query_map(
                named_params! {
                    ":from": from.as_ms(),
                    ":now": now.as_ms(),
                    ":cursor": cursor.map_or("", OrganizationId::as_str),
                    ":limit": limit,
                },
                question_from_row,
            )?
            .map(|row| Ok(row?))
            .collect()
    }

    /// What can be asked about one organization; `None` if it has no applicant.
    pub fn question_about(&self, of: &OrganizationId) -> Result<Option<Question>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(&format!(
                "{SELECT}
                 WHERE v.organization_id = :of AND v.applicant_id IS NOT NULL"
            ))?
            .query_row(named_params! {":of": of.as_str()}, question_from_row)
            .optional()?)
    }

    /// When Sumsub last answered about an organization, if it has.
    pub fn asked_at(&self, of: &OrganizationId) -> Result<Option<Timestamp>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT asked_at_ms FROM reconciliation
                 WHERE organization_id = :of AND asked_at_ms > 0",
            )?
            .query_row(named_params! {":of": of.as_str()}, |row| row.get(0))
            .optional()?
            .map(Timestamp::from_ms))
    }

    /// What the reconciler left behind, if it has ever run.
    pub fn last_pass(self) -> Result<Option<LastPass>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT passed_at_ms, sweep_from_ms FROM reconciler")?
            .query_row([], |row| {
                Ok(LastPass {
                    passed_at: Timestamp::from_ms(row.get("passed_at_ms")?),
                    sweep_from: Timestamp::from_ms(row.get("sweep_from_ms")?),
                })
            })
            .optional()?)
    }

    /// When Sumsub was last asked with a fact as the outcome.
    pub fn last_drift(self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT max(asked_at_ms) AS at FROM verification_event
                 WHERE asked_at_ms IS NOT NULL AND event <> 'clock_corrected'",
            )?
            .query_row([], |row| row.get::<_, Option<i64>>("at"))?
            .map(Timestamp::from_ms))
    }

    /// How many facts no webhook had told until Sumsub was asked.
    pub fn drift(self) -> Result<i64, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM verification_event
                 WHERE asked_at_ms IS NOT NULL AND event <> 'clock_corrected'",
            )?
            .query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Notes that Sumsub was asked and told nothing new since the last fact.
    pub fn note_asked(&self, of: &OrganizationId, now: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO reconciliation (organization_id, asked_at_ms, since_ms, quiet)
                 VALUES (:of, :now, :now, 1)
                 ON CONFLICT (organization_id) DO UPDATE
                 SET asked_at_ms = :now, since_ms = :now, quiet = quiet + 1",
            )?
            .execute(named_params! {":of": of.as_str(), ":now": now.as_ms()})?;
        Ok(())
    }

    /// Notes that Sumsub was asked in vain: it is asked again after the same wait.
    pub fn note_unanswered(&self, of: &OrganizationId, now: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO reconciliation (organization_id, asked_at_ms, since_ms, quiet)
                 VALUES (:of, 0, :now, 0)
                 ON CONFLICT (organization_id) DO UPDATE SET since_ms = :now",
            )?
            .execute(named_params! {":of": of.as_str(), ":now": now.as_ms()})?;
        Ok(())
    }

    /// Lets the wait of an organization begin anew: something happened.
    pub(super) fn wait_anew(&self, of: &OrganizationId, now: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE reconciliation SET since_ms = :now, quiet = 0 WHERE organization_id = :of",
            )?
            .execute(named_params! {":of": of.as_str(), ":now": now.as_ms()})?;
        Ok(())
    }

    /// Has everybody asked about anew, if the reconciler has ever run: its first pass does so anyway.
    pub fn begin_sweep(&self, now: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE reconciler SET sweep_from_ms = :now")?
            .execute(named_params! {":now": now.as_ms()})?;
        Ok(())
    }

    /// Notes where the reconciler stands.
    pub fn note_pass(&self, pass: LastPass) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO reconciler (only_row, passed_at_ms, sweep_from_ms)
                 VALUES (1, :passed_at, :sweep_from)
                 ON CONFLICT (only_row) DO UPDATE
                 SET passed_at_ms = :passed_at, sweep_from_ms = :sweep_from",
            )?
            .execute(named_params! {
                ":passed_at": pass.passed_at.as_ms(),
                ":sweep_from": pass.sweep_from.as_ms(),
            })?;
        Ok(())
    }
}

fn question_from_row(row: &Row<'_>) -> rusqlite::Result<Question> {
    Ok(Question {
        organization: OrganizationId::new(row.get::<_, String>("organization_id")?),
        applicant_id: row.get("applicant_id")?,
        external_user_id: row.get("external_user_id")?,
    })
}
