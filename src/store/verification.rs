//! Verifications: the recorded events, and the row that is their fold.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::fold::{Fact, Verification};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, State};
use crate::store::{Reader, StoreError, Tx};

/// Why a fact was recorded: exactly one of these is what a later reader asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Sumsub sent this delivery.
    Delivery(i64),
    /// A person decided, with a reason.
    Operator {
        /// `operator:<login>`.
        actor: String,
        /// Their words.
        reason: String,
    },
    /// A caller's request, by its id.
    Request(String),
    /// We asked Sumsub at that instant, and no webhook had said it.
    Asked(Timestamp),
}

/// A fact to be recorded.
#[derive(Clone, Debug)]
pub struct NewFact {
    /// What happened.
    pub event: Event,
    /// When it happened; for our own events the instant of the commit.
    pub happened_at: Timestamp,
    /// The applicant that it concerns or brings.
    pub applicant_id: Option<String>,
    /// When we began to ask Sumsub, for a session or an import.
    pub begun_at: Option<Timestamp>,
    /// How long an approval counts; 0 = for ever.
    pub valid_days: u32,
    /// Why.
    pub cause: Cause,
}

/// A recorded fact with its cause.
#[derive(Clone, Debug)]
pub struct RecordedFact {
    /// The fact.
    pub fact: Fact,
    /// Why.
    pub cause: Cause,
}

impl Reader<'_> {
    /// The current verification of an organization; `None` if there is no such organization.
    pub fn verification(&self, of: &OrganizationId) -> Result<Option<Verification>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT state, applicant_id, expires_at_ms, lapsed, updated_at_ms
                 FROM verification
                 WHERE organization_id = :of",
            )?
            .query_row(named_params! {":of": of.as_str()}, |row| {
                Ok(verification_from_columns(row, 0))
            })
            .optional()?
            .transpose()
    }

    /// Every recorded fact of an organization's verification, in the order of recording.
    pub fn facts(&self, of: &OrganizationId) -> Result<Vec<RecordedFact>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT sequence, event, happened_at_ms, known_at_ms, applicant_id, begun_at_ms,
                        valid_days, delivery_id, actor, reason, request_id, asked_at_ms
                 FROM verification_event
                 WHERE organization_id = :of
                 ORDER BY sequence",
            )?
            .query_map(named_params! {":of": of.as_str()}, |row| Ok(fact_from_row(row)))?
            .map(|row| row?)
            .collect()
    }

    /// The externalUserId of an applicant that belongs to an organization.
    pub fn external_user_id(&self, applicant_id: &str) -> Result<Option<String>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT external_user_id FROM applicant WHERE applicant_id = :applicant",
            )?
            .query_row(named_params! {":applicant": applicant_id}, |row| row.get(0))
            .optional()?)
    }

    /// The organization that an applicant belongs to.
    pub fn organization_of_applicant(
        &self,
        applicant_id: &str,
    ) -> Result<Option<OrganizationId>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT organization_id FROM applicant WHERE applicant_id = :applicant",
            )?
            .query_row(named_params! {":applicant": applicant_id}, |row| row.get::<_, String>(0))
            .optional()?
            .map(OrganizationId::new))
    }
}

impl Tx<'_> {
    /// Adds the verification that a new organization has.
    pub fn insert_verification(
        &self,
        of: &OrganizationId,
        verification: &Verification,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO verification
                   (organization_id, state, applicant_id, expires_at_ms, lapsed, updated_at_ms)
                 VALUES (:of, :state, :applicant, :expires_at, :lapsed, :updated_at)",
            )?
            .execute(named_params! {
                ":of": of.as_str(),
                ":state": verification.state.as_str(),
                ":applicant": verification.applicant_id,
                ":expires_at": verification.expires_at.map(Timestamp::as_ms),
                ":lapsed": verification.lapsed,
                ":updated_at": verification.updated_at.as_ms(),
            })?;
        Ok(())
    }

    /// Records one fact and folds: the event, the row it leads to, and the outgoing message if
    /// readers see another status, in this transaction.
    /// Answers the verification before and after, as of the instant of recording.
    ///
    /// No two instants of recording of one organization are the same, and none runs backwards,
    /// whatever the clock does: who is told of its changes in another order can put them right by
    /// `updatedAt`, and our own facts keep the order in which they were committed.
    pub fn record(
        &self,
        of: &OrganizationId,
        new: &NewFact,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let before = self
            .verification(of)?
            .ok_or(StoreError::Corrupt("organization without verification"))?;
        let mut facts: Vec<Fact> = self.facts(of)?.into_iter().map(|it| it.fact).collect();
        let last_known = facts.iter().map(|it| it.known_at).max();
        let known_at = last_known.map_or(now, |last| {
            let next = last.plus_ms(1).max(now);
            // An approval may have ended at that very instant.
            next.max(before.at(next).updated_at.plus_ms(1))
        });
        // Whoever acts here has seen all that is known, also what Sumsub's clock dates ahead of ours:
        // a fact of our own stands behind it.
        let own_at = facts
            .iter()
            .filter(|it| it.event.is_provider())
            .map(|it| it.happened_at.plus_ms(1))
            .fold(last_known.map_or(now, |last| last.max(now)), Timestamp::max);
        let fact = Fact {
            sequence: 0,
            event: new.event,
            happened_at: if new.event.is_provider() { new.happened_at } else { own_at },
            known_at,
            applicant_id: new.applicant_id.clone(),
            begun_at: new.begun_at,
            valid_days: new.valid_days,
        };
        self.announce_expiry(of, &before, known_at)?;
        let sequence = self.insert_fact(of, &fact, &new.cause)?;
        self.wait_anew(of, known_at)?;
        facts.push(Fact { sequence, ..fact });
        let after = before.after(&facts, known_at);
        self.update_verification(of, &after)?;
        self.touched.borrow_mut().organizations.push(of.clone());
        let recorded = Recorded { before, after, known_at };
        self.announce_verification(of, sequence, &recorded)?;
        Ok(recorded)
    }

    fn insert_fact(
        &self,
        of: &OrganizationId,
        fact: &Fact,
        cause: &Cause,
    ) -> Result<i64, StoreError> {
        let (delivery, actor, reason, request, asked_at) = match cause {
            Cause::Delivery(id) => (Some(*id), None, None, None, None),
            Cause::Operator { actor, reason } => (None, Some(actor), Some(reason), None, None),
            Cause::Request(id) => (None, None, None, Some(id), None),
            Cause::Asked(at) => (None, None, None, None, Some(at.as_ms())),
        };
        self.connection
            .prepare_cached(
                "INSERT INTO verification_event
                   (organization_id, event, happened_at_ms, known_at_ms, applicant_id, begun_at_ms,
                    valid_days, delivery_id, actor, reason, request_id, asked_at_ms)
                 VALUES (:of, :event, :happened_at, :known_at, :applicant, :begun_at,
                         :valid_days, :delivery, :actor, :reason, :request, :asked_at)",
            )?
            .execute(named_params! {
                ":of": of.as_str(),
                ":event": fact.event.as_str(),
                ":happened_at": fact.happened_at.as_ms(),
                ":known_at": fact.known_at.as_ms(),
                ":applicant": fact.applicant_id,
                ":begun_at": fact.begun_at.map(Timestamp::as_ms),
                ":valid_days": fact.valid_days,
                ":delivery": delivery,
                ":actor": actor,
                ":reason": reason,
                ":request": request,
                ":asked_at": asked_at,
            })?;
        Ok(self.connection.last_insert_rowid())
    }

    fn update_verification(
        &self,
        of: &OrganizationId,
        verification: &Verification,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE verification
                 SET state = :state,
                     applicant_id = :applicant,
                     expires_at_ms = :expires_at,
                     lapsed = :lapsed,
                     updated_at_ms = :updated_at
                 WHERE organization_id = :of",
            )?
            .execute(named_params! {
                ":of": of.as_str(),
                ":state": verification.state.as_str(),
                ":applicant": verification.applicant_id,
                ":expires_at": verification.expires_at.map(Timestamp::as_ms),
                ":lapsed": verification.lapsed,
                ":updated_at": verification.updated_at.as_ms(),
            })?;
        Ok(())
    }

    /// Notes that an applicant belongs to an organization. Known already: unchanged.
    pub fn link_applicant(
        &self,
        of: &OrganizationId,
        applicant_id: &str,
        external_user_id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO applicant
                   (applicant_id, organization_id, external_user_id, linked_at_ms)
                 VALUES (:applicant, :of, :external_user, :now)
                 ON CONFLICT (applicant_id) DO NOTHING",
            )?
            .execute(named_params! {
                ":applicant": applicant_id,
                ":of": of.as_str(),
                ":external_user": external_user_id,
                ":now": now.as_ms(),
            })?;
        Ok(())
    }
}

/// What recording one fact did.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The verification before it.
    pub before: Verification,
    /// The verification after it.
    pub after: Verification,
    /// The instant of recording.
    pub known_at: Timestamp,
}

impl Recorded {
    /// Whether readers see another status than before.
    pub fn changed(&self) -> bool {
        self.before.at(self.known_at).status != self.after.at(self.known_at).status
    }
}

/// A verification from the columns `state, applicant_id, expires_at_ms, lapsed, updated_at_ms`, the
/// first of which is number `first`.
///
/// By number: looking fourteen names up, each in a list of fourteen, was a fifth of a poll's
/// instructions.
pub(super) fn verification_from_columns(
    row: &Row<'_>,
    first: usize,
) -> Result<Verification, StoreError> {
    let state = row.get_ref(first)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(Verification {
        state: State::parse(state).ok_or(StoreError::Corrupt("verification state"))?,
        applicant_id: row.get(first + 1)?,
        expires_at: row.get::<_, Option<i64>>(first + 2)?.map(Timestamp::from_ms),
        lapsed: row.get(first + 3)?,
        updated_at: Timestamp::from_ms(row.get(first + 4)?),
    })
}

pub(super) fn fact_from_row(row: &Row<'_>) -> Result<RecordedFact, StoreError> {
    let cause = match (
        row.get::<_, Option<i64>>("delivery_id")?,
        row.get::<_, Option<String>>("actor")?,
        row.get::<_, Option<String>>("request_id")?,
        row.get::<_, Option<i64>>("asked_at_ms")?,
    ) {
        (Some(id), _, _, _) => Cause::Delivery(id),
        (None, Some(actor), _, _) => Cause::Operator {
            actor,
            reason: row.get::<_, Option<String>>("reason")?.unwrap_or_default(),
        },
        (None, None, Some(id), _) => Cause::Request(id),
        (None, None, None, Some(at)) => Cause::Asked(Timestamp::from_ms(at)),
        (None, None, None, None) => {
            return Err(StoreError::Corrupt("cause of a verification event"));
        }
    };
    let fact = Fact {
        sequence: row.get("sequence")?,
        event: Event::parse(&row.get::<_, String>("event")?)
            .ok_or(StoreError::Corrupt("verification event"))?,
        happened_at: Timestamp::from_ms(row.get("happened_at_ms")?),
        known_at: Timestamp::from_ms(row.get("known_at_ms")?),
        applicant_id: row.get("applicant_id")?,
        begun_at: row.get::<_, Option<i64>>("begun_at_ms")?.map(Timestamp::from_ms),
        valid_days: row.get("valid_days")?,
    };
    Ok(RecordedFact { fact, cause })
}
