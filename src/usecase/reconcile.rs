//! Asks Sumsub about verifications whose webhook may have been lost, and applies what it finds
//! through the same table, with the cause "asked". When that happens by itself: `reconciler.rs`.
//!
//! A fact is recorded only if it changes what the facts come to, or what the customer is told to do; so
//! what is known is never applied again, an operator's decision stands where the table lets it stand,
//! and each such fact is a webhook that was missed. What Sumsub does not date never outweighs an operator's decision. An applicant
//! that Sumsub does not know is told and never applied: with the app token of another account it
//! knows none.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::fold::{CLOCK_SKEW_MS, Fact};
use crate::domain::handoff::newest;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, Status};
use crate::store::{Cause, NewFact, Patience, Question, Reader, RecordedFact, StoreError};
use crate::sumsub::{Review, SumsubError};
use crate::usecase::{Appliance, Failure, Rules};

/// The wait between two questions: 100 in 5 s, a third of what Sumsub allows (300 GET in 5 s).
pub const PACE: Duration = Duration::from_millis(50);
/// The questions that are read from the register at once.
const QUESTIONS_AT_ONCE: u32 = 600;
/// So many questions in a row without an answer end a pass.
const UNANSWERED_MAX: u32 = 3;

/// Whether findings are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    Apply,
    /// They are told, and nothing is written.
    DryRun,
}

/// Whom Sumsub is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody who waits, however long.
    Waiting,
    /// Everybody whom Sumsub's word can move.
    Everybody,
    /// One organization.
    One(OrganizationId),
}

/// What Sumsub said that the register did not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose verification.
    pub organization: OrganizationId,
    /// Its current applicant.
    pub applicant_id: String,
    /// What it is.
    pub kind: FindingKind,
}

/// A kind of [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// A webhook was missed.
    Drift {
        /// What it would have said.
        event: Event,
        /// When that happened, by Sumsub's clock.
        happened_at: Timestamp,
        /// The status without it.
        from: Status,
        /// The status with it; the same if only the approval's end moves, or only whether Sumsub
        /// works or waits for the customer.
        to: Status,
    },
    /// Sumsub does not know the applicant; nothing was applied.
    Unknown,
}

/// What came of asking.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Questions that Sumsub answered.
    pub asked: u32,
    /// Questions without an answer that can be used.
    pub unusable: u32,
    /// What is not as the register had it.
    pub findings: Vec<Finding>,
    /// Why it ended early, if it did.
    pub stopped_by: Option<SumsubError>,
}

impl Report {
    /// How many webhooks were missed.
    pub fn drift(&self) -> usize {
        self.findings.iter().filter(|it| matches!(it.kind, FindingKind::Drift { .. })).count()
    }
}

/// Asks about everybody in `scope`, once. `pace` waits between two questions, and says whether to
/// go on.
pub fn reconcile(
    appliance: &Appliance,
    scope: &Scope,
    mode: Mode,
    pace: &mut dyn FnMut() -> bool,
) -> Result<Report, Failure> {
    let mut round = Round::new(appliance, mode, pace);
    let from = (appliance.clock)().plus_ms(1);
    match scope {
        Scope::One(id) => {
            let question = appliance.store.read(|register| {
                let known = register.organization(id)?.is_some();
                if known {
                    Ok(register.question_about(id)?)
                } else {
                    Err(Failure::OrganizationNotFound)
                }
            })?;
            round.ask_all(question.as_slice())?;
        }
        Scope::Waiting => {
            let at_once = Patience { first_ms: 0, longest_ms: 0 };
            let questions =
                appliance.store.read(|register| register.overdue(at_once, u32::MAX, from))?;
            round.ask_all(&questions)?;
        }
        Scope::Everybody => {
            let mut cursor: Option<OrganizationId> = None;
            loop {
                let questions = appliance.store.read(|register| {
                    register.not_asked_since(from, cursor.as_ref(), QUESTIONS_AT_ONCE)
                })?;
                let Some(last) = questions.last() else { break };
                cursor = Some(last.organization.clone());
                if !round.ask_all(&questions)? {
                    break;
                }
            }
        }
    }
    Ok(round.report())
}

/// Questions asked one after the other.
pub(super) struct Round<'a> {
    appliance: &'a Appliance,
    mode: Mode,
    pace: &'a mut dyn FnMut() -> bool,
    report: Report,
    unanswered: u32,
    /// Somebody was asked in vain.
    pub(super) has_unanswered: bool,
    /// Whom Sumsub refused to speak of, which ended the round.
    pub(super) refused: Option<OrganizationId>,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        appliance: &'a Appliance,
        mode: Mode,
        pace: &'a mut dyn FnMut() -> bool,
    ) -> Self {
        Self {
            appliance,
            mode,
            pace,
            report: Report::default(),
            unanswered: 0,
            has_unanswered: false,
            refused: None,
        }
    }

    pub(super) fn report(self) -> Report {
        self.report
    }

    /// Asks one question after the other; answers whether to go on.
    pub(super) fn ask_all(&mut self, questions: &[Question]) -> Result<bool, Failure> {
        for question in questions {
            if !(self.pace)() {
                return Ok(false);
            }
            if !self.ask(question)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn ask(&mut self, question: &Question) -> Result<bool, Failure> {
        let asked_at = (self.appliance.clock)();
        let Question { applicant_id, external_user_id, organization } = question;
        let answer = self.appliance.sumsub.read_applicant(applicant_id, external_user_id);
        let review = match answer {
            Ok(applicant) => {
                self.unanswered = 0;
                self.report.stopped_by = None;
                self.report.asked = self.report.asked.saturating_add(1);
                applicant.map(|it| it.review)
            }
            Err(error @ SumsubError::RateLimited { .. }) => {
                self.report.stopped_by = Some(error);
                return Ok(false);
            }
            Err(error @ SumsubError::Credentials(_)) => {
                // It may be about this applicant alone: the next round begins with others.
                self.has_unanswered = true;
                self.refused = Some(organization.clone());
                self.note_unanswered(organization)?;
                self.report.stopped_by = Some(error);
                return Ok(false);
            }
            Err(error @ SumsubError::Outage(_)) => {
                self.unanswered = self.unanswered.saturating_add(1);
                self.has_unanswered = true;
                self.note_unanswered(organization)?;
                self.report.unusable = self.report.unusable.saturating_add(1);
                // Of those that were asked nobody was answered, or many in a row were not.
                if self.unanswered >= UNANSWERED_MAX || self.report.asked == 0 {
                    self.report.stopped_by = Some(error);
                }
                return Ok(self.unanswered < UNANSWERED_MAX);
            }
            Err(
                error @ (SumsubError::Applicant(_)
                | SumsubError::Unreadable(_)
                | SumsubError::Level(_)
                | SumsubError::ShareToken(_)),
            ) => {
                tracing::warn!(%error, %organization, "Sumsub's answer about a verification cannot be used");
                self.report.unusable = self.report.unusable.saturating_add(1);
                self.note(organization)?;
                return Ok(true);
            }
        };
        let found = match review {
            Some(Some(review)) => self.settle(question, review, asked_at)?,
            Some(None) => {
                self.note(organization)?;
                None
            }
            None => {
                tracing::warn!(%organization, applicant = applicant_id,
                    "Sumsub does not know this applicant: was it deleted, or is the app token another account's?");
                self.note(organization)?;
                Some(FindingKind::Unknown)
            }
        };
        self.report.findings.extend(found.map(|kind| Finding {
            organization: organization.clone(),
            applicant_id: applicant_id.clone(),
            kind,
        }));
        Ok(true)
    }

    fn note(&self, of: &OrganizationId) -> Result<(), Failure> {
        if self.mode == Mode::DryRun {
            return Ok(());
        }
        let (of, now) = (of.clone(), (self.appliance.clock)());
        self.appliance.store.write(move |tx| tx.note_asked(&of, now).map_err(Failure::from))
    }

    fn note_unanswered(&self, of: &OrganizationId) -> Result<(), Failure> {
        if self.mode == Mode::DryRun {
            return Ok(());
        }
        let (of, now) = (of.clone(), (self.appliance.clock)());
        self.appliance.store.write(move |tx| tx.note_unanswered(&of, now).map_err(Failure::from))
    }

    fn settle(
        &self,
        question: &Question,
        review: Review,
        asked_at: Timestamp,
    ) -> Result<Option<FindingKind>, Failure> {
        match self.mode {
            Mode::DryRun => self.appliance.store.snapshot(|register| {
                let instants = (asked_at, (self.appliance.clock)());
                let weighed = weigh(*register, &self.appliance.rules, question, &review, instants)?;
                Ok(weighed.map(|it| it.kind()))
            }),
            Mode::Apply => apply(self.appliance, question.clone(), review, asked_at),
        }
    }
}

/// Records what a review would change, and tells it; `None`: nothing.
pub(super) fn apply(
    appliance: &Appliance,
    question: Question,
    review: Review,
    asked_at: Timestamp,
) -> Result<Option<FindingKind>, Failure> {
    let (rules, clock) = (appliance.rules.clone(), Arc::clone(&appliance.clock));
    appliance.store.write(move |tx| {
        let now = clock();
        let weighed = weigh(**tx, &rules, &question, &review, (asked_at, now))?;
        if let Some(Weighed { new, .. }) = &weighed {
            let fact = NewFact { cause: Cause::Asked(asked_at), ..new.clone() };
            tx.record(&question.organization, &fact, now)?;
        }
        tx.note_asked(&question.organization, now)?;
        Ok::<_, Failure>(weighed.map(|it| {
            let kind = it.kind();
            tracing::warn!(
                organization = %question.organization,
                event = it.new.event.as_str(),
                from = it.from.as_str(),
                to = it.to.as_str(),
                "a webhook was missed: found by asking Sumsub, and applied"
            );
            kind
        }))
    })
}

/// A fact that would change what the facts come to.
struct Weighed {
    new: NewFact,
    from: Status,
    to: Status,
}

impl Weighed {
    fn kind(&self) -> FindingKind {
        let NewFact { event, happened_at, .. } = self.new;
        FindingKind::Drift { event, happened_at, from: self.from, to: self.to }
    }
}

/// What a review would change; `None`: nothing.
fn weigh(
    register: Reader<'_>,
    rules: &Rules,
    question: &Question,
    review: &Review,
    (asked_at, now): (Timestamp, Timestamp),
) -> Result<Option<Weighed>, Failure> {
    let of = &question.organization;
    let before = register.verification(of)?.ok_or(StoreError::Corrupt("verification"))?;
    if before.applicant_id.as_ref() != Some(&question.applicant_id) {
        // Another applicant has taken over while Sumsub was asked.
        return Ok(None);
    }
    let recorded = register.facts(of)?;
    let Some(happened_at) = instant_of(&recorded, &question.applicant_id, review, (asked_at, now))
    else {
        return Ok(None);
    };
    let kind = register.organization(of)?.ok_or(Failure::OrganizationNotFound)?.kind;
    let new = NewFact {
        event: review.event,
        happened_at,
        applicant_id: Some(question.applicant_id.clone()),
        begun_at: None,
        valid_days: rules.valid_days(kind),
        cause: Cause::Asked(now),
    };
    let mut facts: Vec<Fact> = recorded.into_iter().map(|it| it.fact).collect();
    let was_at_work = newest(&before, &facts) == Some(Event::ProviderPending);
    let known_at =
        facts.iter().map(|it| it.known_at).max().map_or(now, |last| last.plus_ms(1).max(now));
    facts.push(Fact {
        sequence: i64::MAX,
        event: new.event,
        happened_at,
        known_at,
        applicant_id: new.applicant_id.clone(),
        begun_at: None,
        valid_days: new.valid_days,
    });
    let after = before.after(&facts, known_at);
    let (from, to) = (before.at(known_at).status, after.at(known_at).status);
    let renews = before.expires_at != after.expires_at;
    // Whether the customer has to hand something in is told to the customer, and is no status.
    let turns = (from, to) == (Status::Pending, Status::Pending)
        && was_at_work != (newest(&after, &facts) == Some(Event::ProviderPending));
    Ok((before.state != after.state || renews || turns).then_some(Weighed { new, from, to }))
}

/// Where the review stands among the facts; `None` if it is known, or an operator has decided since.
fn instant_of(
    recorded: &[RecordedFact],
    applicant_id: &str,
    review: &Review,
    (asked_at, now): (Timestamp, Timestamp),
) -> Option<Timestamp> {
    let of_applicant =
        || recorded.iter().filter(|it| it.fact.applicant_id.as_deref() == Some(applicant_id));
    let last = of_applicant()
        .filter(|it| it.fact.event.is_provider())
        .max_by_key(|it| (it.fact.happened_at, it.fact.sequence));
    if let Some(last) = last.map(|it| &it.fact).filter(|it| it.event == review.event) {
        // Sumsub dates a webhook a little later than the review that it tells of.
        let is_newer =
            review.happened_at.is_some_and(|it| it > last.happened_at.plus_ms(CLOCK_SKEW_MS));
        if !is_newer {
            return None;
        }
    }
    // What Sumsub dates further ahead than clocks can differ would outlast its every later word.
    let in_time = |it: Timestamp| if it <= now.plus_ms(CLOCK_SKEW_MS) { it } else { now };
    let Some(happened_at) = review.happened_at else {
        let own = recorded.iter().rfind(|it| !it.fact.event.is_provider());
        let is_decided = own.is_some_and(|it| matches!(it.cause, Cause::Operator { .. }));
        // As old as the question: what happened while it was under way is newer.
        let under_way_ms = now.as_ms().saturating_sub(asked_at.as_ms()).max(0);
        return (!is_decided).then(|| in_time(review.answered_at.plus_ms(-under_way_ms)));
    };
    // A copied applicant brings its donor's verdict along, which counts here from the import on.
    let arrival = of_applicant().find_map(|it| it.fact.begun_at);
    let happened_at = in_time(happened_at.max(arrival.unwrap_or(happened_at)));
    // What Sumsub says now is newer than what it said when it was asked before, whatever either is dated.
    let asked_before =
        last.filter(|it| matches!(it.cause, Cause::Asked(_)) && it.fact.known_at < asked_at);
    Some(asked_before.map_or(happened_at, |it| happened_at.max(it.fact.happened_at.plus_ms(1))))
}
