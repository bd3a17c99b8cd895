//! Verifications: the recorded events, and the row that is their fold.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::fold::{Fact, FactClock, Verification, placed};
use crate::domain::organization::OrganizationId;
use crate::domain::timekeeper::{Moment, OFFSET_MIN_MS};
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
    /// The Sumsub level that it is about, if one is known.
    pub level: Option<String>,
    /// For a decision: the newest fact that its maker had been shown.
    pub basis: Option<i64>,
    /// Who dated it.
    pub dated_by: DatedBy,
    /// Why.
    pub cause: Cause,
}

/// Whose clock told when a fact happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatedBy {
    /// Sumsub's.
    Provider,
    /// Ours.
    Us,
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
                        valid_days, delivery_id, actor, reason, request_id, asked_at_ms,
                        level, basis, boot_id, uptime_ms, booted_at_ms
                 FROM verification_event
                 WHERE organization_id = :of
                 ORDER BY sequence",
            )?
            .query_map(named_params! {":of": of.as_str()}, |row| Ok(fact_from_row(row)))?
            .map(|row| row?)
            .collect()
    }

    /// As [`Self::facts`], without their causes.
    pub fn bare_facts(&self, of: &OrganizationId) -> Result<Vec<Fact>, StoreError> {
        Ok(self.facts(of)?.into_iter().map(|it| it.fact).collect())
    }

    /// Whether a correction of the clock would move facts of an organization.
    pub fn needs_correction(&self, of: &OrganizationId, now: &Moment) -> Result<bool, StoreError> {
        Ok(correction_of(&self.bare_facts(of)?, now).is_some())
    }

    /// Organizations that are APPROVED and have an approval recorded by a predecessor, which kept
    /// neither its level nor what it was based on.
    pub fn approved_by_predecessor(&self) -> Result<Vec<OrganizationId>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT v.organization_id
                 FROM verification AS v
                 WHERE v.state = 'APPROVED'
                   AND EXISTS (SELECT 1 FROM verification_event AS e
                               WHERE e.organization_id = v.organization_id
                                 AND (e.event = 'provider_approved' AND e.level IS NULL
                                      AND e.delivery_id IS NOT NULL
                                      OR e.event = 'operator_approve' AND e.basis IS NULL))
                 ORDER BY v.organization_id",
            )?
            .query_map([], |row| row.get::<_, String>(0))?
            .map(|row| Ok(OrganizationId::new(row?)))
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
    /// No instant of recording lies before another one of this register, whatever the clock does, and
    /// no two of one organization are the same: who is told of its changes in another order can put
    /// them right by `updatedAt`, and what was known at an instant stays known.
    pub fn record(
        &self,
        of: &OrganizationId,
        new: &NewFact,
        now: &Moment,
    ) -> Result<Recorded, StoreError> {
        let mut facts = self.bare_facts(of)?;
        self.correct(of, &mut facts, now)?;
        self.append(of, &mut facts, new, (now, None))
    }

    /// Moves what the machine has dated of an organization before Sumsub's time was known to its true
    /// place, if it is known now.
    pub fn correct_clock(
        &self,
        of: &OrganizationId,
        now: &Moment,
    ) -> Result<Option<Recorded>, StoreError> {
        self.correct(of, &mut self.bare_facts(of)?, now)
    }

    /// As [`Self::correct_clock`], with all the facts that the organization has.
    fn correct(
        &self,
        of: &OrganizationId,
        facts: &mut Vec<Fact>,
        now: &Moment,
    ) -> Result<Option<Recorded>, StoreError> {
        let mut recorded = None;
        // One for each run of the machine.
        while let Some((correction, clock)) = correction_of(facts, now) {
            recorded = Some(self.append(of, facts, &correction, (now, Some(clock)))?);
        }
        Ok(recorded)
    }

    /// Adds one fact to `facts`, all that the organization has, and folds.
    fn append(
        &self,
        of: &OrganizationId,
        facts: &mut Vec<Fact>,
        new: &NewFact,
        (now, correction): (&Moment, Option<FactClock>),
    ) -> Result<Recorded, StoreError> {
        let before = self
            .verification(of)?
            .ok_or(StoreError::Corrupt("organization without verification"))?;
        let known_at = self.instant_of_recording(&before, facts, now.known_at)?;
        let is_ours = !new.event.is_provider() && new.event != Event::ClockCorrected;
        let unsure = || if new.dated_by == DatedBy::Us { now.fact_clock() } else { None };
        let fact = Fact {
            sequence: 0,
            event: new.event,
            happened_at: if is_ours { behind_all_known(facts, now.at) } else { new.happened_at },
            known_at,
            applicant_id: new.applicant_id.clone(),
            begun_at: new.begun_at,
            valid_days: new.valid_days,
            level: new.level.clone(),
            basis: new.basis,
            clock: correction.or_else(unsure),
        };
        self.announce_expiry(of, &before, (known_at, now.at))?;
        let sequence = self.insert_fact(of, &fact, &new.cause)?;
        self.wait_anew(of, known_at)?;
        let (happened_at, applicant) = (fact.happened_at, fact.applicant_id.clone());
        facts.push(Fact { sequence, ..fact });
        let after = before.after(facts, known_at);
        self.update_verification(of, &after)?;
        // Nobody waits any more who is approved, or on whom an operator has decided.
        if new.event.is_operator() || after.state == State::Approved {
            self.end_ignored_approval(of, (None, happened_at))?;
        } else if new.event.is_provider() {
            self.end_ignored_approval(of, (applicant.as_deref(), happened_at))?;
        }
        self.note_known(known_at);
        self.touched.borrow_mut().organizations.push(of.clone());
        let recorded = Recorded { before, after, known_at };
        self.announce_verification(of, sequence, &recorded, now.at)?;
        Ok(recorded)
    }

    /// When a fact of an organization becomes known, if that is now.
    fn instant_of_recording(
        &self,
        before: &Verification,
        facts: &[Fact],
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let now = self.in_order_of_knowing(now)?.max(before.updated_at);
        let last_known = facts.iter().map(|it| it.known_at).max();
        Ok(last_known.map_or(now, |last| {
            let next = last.plus_ms(1).max(now);
            // An approval may have ended at that very instant.
            next.max(before.at(next).updated_at.plus_ms(1))
        }))
    }

    /// Notes that something becomes known at that instant, once this commits.
    pub(super) fn note_known(&self, known_at: Timestamp) {
        let mut touched = self.touched.borrow_mut();
        touched.known_at_ms = touched.known_at_ms.max(known_at.as_ms());
    }

    fn insert_fact(
        &self,
        of: &OrganizationId,
        fact: &Fact,
        cause: &Cause,
    ) -> Result<i64, StoreError> {
        let (boot_id, uptime_ms, booted_at) = match &fact.clock {
            None => (None, None, None),
            Some(FactClock::Unsure { boot_id, uptime_ms }) => {
                (Some(boot_id), Some(*uptime_ms), None)
            }
            Some(FactClock::Corrected { boot_id, booted_at }) => {
                (Some(boot_id), None, Some(booted_at.as_ms()))
            }
        };
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
                    valid_days, delivery_id, actor, reason, request_id, asked_at_ms,
                    level, basis, boot_id, uptime_ms, booted_at_ms)
                 VALUES (:of, :event, :happened_at, :known_at, :applicant, :begun_at,
                         :valid_days, :delivery, :actor, :reason, :request, :asked_at,
                         :level, :basis, :boot, :uptime, :booted_at)",
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
                ":level": fact.level,
                ":basis": fact.basis,
                ":boot": boot_id,
                ":uptime": uptime_ms,
                ":booted_at": booted_at,
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

/// What moves facts that a run of the machine dated before Sumsub's time was known to their places:
/// exactly those of the present run; those of an earlier one, of which nothing better is known, to the
/// latest instants at which they can have happened, so that what was known only after them comes before
/// them. `None`: Sumsub's time is not known now, or none is far enough off to matter.
fn correction_of(facts: &[Fact], now: &Moment) -> Option<(NewFact, FactClock)> {
    let booted_at = now.booted_at()?;
    let unsure = |it: &Fact| match &it.clock {
        Some(FactClock::Unsure { boot_id, uptime_ms }) => Some((boot_id.clone(), *uptime_ms)),
        Some(FactClock::Corrected { .. }) | None => None,
    };
    let is_corrected = |sequence: i64, boot: &str| {
        facts.iter().any(|it| {
            it.sequence > sequence
                && matches!(&it.clock, Some(FactClock::Corrected { boot_id, .. }) if boot_id == boot)
        })
    };
    let (boot_id, booted_at) = facts.iter().find_map(|fact| {
        let (boot, uptime_ms) =
            unsure(fact).filter(|(boot, _)| !is_corrected(fact.sequence, boot))?;
        let began_at = if boot == now.boot_id {
            booted_at
        } else {
            let of_boot = facts.iter().filter_map(unsure).filter(|(it, _)| *it == boot);
            let longest_ms = of_boot.map(|(_, uptime_ms)| uptime_ms).max().unwrap_or(uptime_ms);
            booted_at.plus_ms(longest_ms.saturating_neg())
        };
        let true_ms = began_at.as_ms().saturating_add(uptime_ms);
        let off_ms = fact.happened_at.as_ms().abs_diff(true_ms);
        (off_ms >= OFFSET_MIN_MS.unsigned_abs()).then_some((boot, began_at))
    })?;
    let correction = NewFact {
        event: Event::ClockCorrected,
        happened_at: now.at,
        applicant_id: None,
        begun_at: None,
        valid_days: 0,
        level: None,
        basis: None,
        dated_by: DatedBy::Us,
        cause: Cause::Asked(now.at),
    };
    Some((correction, FactClock::Corrected { boot_id, booted_at }))
}

/// Whoever acts here has seen all that is known, also what Sumsub's clock dates ahead of ours, and acts
/// after what we did before: a fact of our own stands behind both.
fn behind_all_known(facts: &[Fact], now: Timestamp) -> Timestamp {
    placed(facts)
        .iter()
        // A correction is no act of ours, and is dated by the clock that it corrects.
        .filter(|it| it.event != Event::ClockCorrected)
        .map(|it| if it.event.is_provider() { it.happened_at.plus_ms(1) } else { it.happened_at })
        .fold(now, Timestamp::max)
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

fn clock_from_row(row: &Row<'_>) -> Result<Option<FactClock>, StoreError> {
    let Some(boot_id) = row.get::<_, Option<String>>("boot_id")? else { return Ok(None) };
    let uptime_ms: Option<i64> = row.get("uptime_ms")?;
    let booted_at_ms: Option<i64> = row.get("booted_at_ms")?;
    match (uptime_ms, booted_at_ms) {
        (Some(uptime_ms), None) => Ok(Some(FactClock::Unsure { boot_id, uptime_ms })),
        (None, Some(ms)) => {
            Ok(Some(FactClock::Corrected { boot_id, booted_at: Timestamp::from_ms(ms) }))
        }
        (Some(_), Some(_)) | (None, None) => Err(StoreError::Corrupt("clock of a fact")),
    }
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
        level: row.get("level")?,
        basis: row.get("basis")?,
        clock: clock_from_row(row)?,
    };
    Ok(RecordedFact { fact, cause })
}
