//! Asks Sumsub about verifications whose webhook may have been lost, and applies what it finds
//! through the same table, with the cause "asked". When that happens by itself: `reconciler.rs`.
//!
//! A fact is recorded only if it changes what the facts come to, or what the customer is told to do; so
//! what is known is never applied again, an operator's decision stands where the table lets it stand,
//! and each such fact is a webhook that was missed. What Sumsub does not date never outweighs an
//! operator's decision. An applicant that Sumsub does not know is told and never applied: with the app
//! token of another account it knows none.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::fold::{CLOCK_SKEW_MS, Fact, Verification, placed};
use crate::domain::handoff::newest;
use crate::domain::organization::OrganizationId;
use crate::domain::timekeeper::Moment;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{DecidedBy, Ignored, import_of, judge};
use crate::domain::verification::{Event, State, Status};
use crate::store::{
    Cause, DatedBy, Delivery, IgnoredApproval, NewFact, Outcome, Patience, Question, Reader,
    RecordedFact, StoreError,
};
use crate::sumsub::{Applicant, Review, SumsubError};
use crate::usecase::receive_webhook::{Applying, apply_again, note_ignored, outcome_of, type_of};
use crate::usecase::timekeeping::catch_up;
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
    /// The applicant's level, if Sumsub names it.
    pub level: Option<String>,
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
    /// Sumsub has approved, and that approval does not count; nothing was applied.
    Ignored(Outcome),
    /// An operator approved against what Sumsub says; nothing is applied.
    Overruled {
        /// What Sumsub says.
        verdict: Event,
        /// The status, which stays.
        status: Status,
    },
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
    if mode == Mode::Apply {
        catch_up(appliance)?;
    }
    let mut round = Round::new(appliance, mode, pace);
    round.overruled = Overruled::Told;
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
                    register.not_asked_since(from, cursor.as_ref(), (QUESTIONS_AT_ONCE, from))
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

/// What becomes of verdicts that an operator has overruled: they change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overruled {
    /// Whoever asks is told.
    Told,
    /// The server that asks by itself logs each once.
    LoggedOnce,
}

/// Questions asked one after the other.
pub(super) struct Round<'a> {
    appliance: &'a Appliance,
    mode: Mode,
    overruled: Overruled,
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
            overruled: Overruled::LoggedOnce,
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

    /// Asks about the approvals that wait for Sumsub's word; once it has been given, they are over.
    /// Answers whether to go on.
    pub(super) fn ask_about_awaiting(&mut self) -> Result<bool, Failure> {
        let waiting = self
            .appliance
            .store
            .read(|register| register.awaiting_deliveries(0, QUESTIONS_AT_ONCE))?;
        for delivery in waiting {
            let question = match &delivery.organization {
                Some(of) => self.appliance.store.read(|register| register.question_about(of))?,
                None => None,
            };
            let Some(question) = question else { continue };
            let before = self.report.asked;
            if !self.ask_all(std::slice::from_ref(&question))? {
                return Ok(false);
            }
            if self.report.asked > before {
                self.end_waiting(delivery, &question)?;
            }
        }
        Ok(true)
    }

    /// Sumsub's time is known anew, by which the approval may count. If not, Sumsub's present word on
    /// its applicant, which was just given, stands for it; where workflows decide it does not.
    fn end_waiting(&self, delivery: Delivery, asked_about: &Question) -> Result<(), Failure> {
        let is_answered = delivery.applicant_id.as_ref() == Some(&asked_about.applicant_id);
        let applying = Applying::by(self.appliance);
        self.appliance.store.write(move |tx| {
            let outcome = apply_again(tx, &applying, &delivery)?;
            let decided_by = applying.rules.acceptance.decided_by;
            let is_over = is_answered && decided_by == DecidedBy::Level;
            if outcome == Outcome::AwaitingProvider && is_over {
                let (of, now) = (delivery.organization.as_ref(), applying.timekeeper.now());
                tx.insert_outcome(delivery.id, Outcome::NoVerdict, of, now)?;
            }
            Ok(())
        })
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
        let Question { applicant_id, external_user_id, organization } = question;
        let asked = Asked::now(self.appliance, organization)?;
        let answer = self.appliance.sumsub.read_applicant(applicant_id, external_user_id);
        let applicant = match answer {
            Ok(applicant) => {
                self.unanswered = 0;
                self.report.stopped_by = None;
                self.report.asked = self.report.asked.saturating_add(1);
                applicant
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
        let level = applicant.as_ref().and_then(|it| it.level.value().cloned());
        let found = match applicant {
            Some(applicant) if applicant.review.is_some() => {
                self.settle(question, applicant, asked)?
            }
            Some(_) => {
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
            level,
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
        applicant: Applicant,
        asked: Asked,
    ) -> Result<Option<FindingKind>, Failure> {
        let is_logged = self.overruled == Overruled::LoggedOnce;
        let is_told = is_logged && self.was_asked_since_decision(question)?;
        let found = match self.mode {
            Mode::DryRun => self.appliance.store.snapshot(|register| {
                let now = self.appliance.timekeeper.moment();
                weigh(*register, &self.appliance.rules, question, &applicant, (asked, &now))
                    .map(|it| it.finding())
            })?,
            Mode::Apply => apply(self.appliance, question.clone(), applicant, asked)?,
        };
        let found = found.filter(|it| !(is_told && matches!(it, FindingKind::Overruled { .. })));
        if let (Some(FindingKind::Overruled { verdict, .. }), true) = (&found, is_logged) {
            tracing::warn!(
                organization = %question.organization,
                verdict = verdict.as_str(),
                "an operator approved against Sumsub: nothing was applied"
            );
        }
        Ok(found)
    }

    /// Whether Sumsub was asked already since an operator decided last.
    fn was_asked_since_decision(&self, question: &Question) -> Result<bool, Failure> {
        let of = &question.organization;
        let (asked_at, facts) = self
            .appliance
            .store
            .snapshot(|register| Ok::<_, Failure>((register.asked_at(of)?, register.facts(of)?)))?;
        let decided_at =
            facts.iter().filter(|it| it.fact.event.is_operator()).map(|it| it.fact.known_at).max();
        Ok(asked_at.zip(decided_at).is_some_and(|(asked, decided)| decided < asked))
    }
}

/// When Sumsub was asked, and what was known then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    at: Timestamp,
    uptime_ms: i64,
    /// The newest fact.
    newest: i64,
}

impl Asked {
    /// Sumsub is about to be asked.
    pub(super) fn now(appliance: &Appliance, of: &OrganizationId) -> Result<Self, Failure> {
        let facts = appliance.store.read(|register| register.facts(of))?;
        let newest = facts.last().map_or(0, |it| it.fact.sequence);
        let now = appliance.timekeeper.moment();
        Ok(Self { at: now.at, uptime_ms: now.uptime_ms, newest })
    }
}

/// Records what an applicant's review would change, and tells it; `None`: nothing.
pub(super) fn apply(
    appliance: &Appliance,
    question: Question,
    applicant: Applicant,
    asked: Asked,
) -> Result<Option<FindingKind>, Failure> {
    let (rules, timekeeper) = (appliance.rules.clone(), Arc::clone(&appliance.timekeeper));
    appliance.store.write(move |tx| {
        let now = timekeeper.moment();
        let of = &question.organization;
        // What our clock dated wrong is put right before anything is compared with it.
        tx.correct_clock(of, &now)?;
        let weighed = weigh(**tx, &rules, &question, &applicant, (asked, &now))?;
        match &weighed {
            Weighing::Nothing | Weighing::Told(_) => {}
            Weighing::Ignored(said) => note_ignored(tx, &rules, said)?,
            Weighing::Change(it) => {
                let fact = NewFact { cause: Cause::Asked(asked.at), ..it.new.clone() };
                tx.record(of, &fact, &now)?;
                tracing::warn!(
                    organization = %of,
                    event = it.new.event.as_str(),
                    from = it.from.as_str(),
                    to = it.to.as_str(),
                    "a webhook was missed: found by asking Sumsub, and applied"
                );
            }
        }
        tx.note_asked(of, now.at)?;
        Ok::<_, Failure>(weighed.finding())
    })
}

/// What comes of a review.
enum Weighing {
    /// Nothing that is not known.
    Nothing,
    /// A fact that would change what the facts come to.
    Change(Box<Weighed>),
    /// An approval that does not count.
    Ignored(Box<IgnoredApproval>),
    /// A difference that stays.
    Told(FindingKind),
}

impl Weighing {
    fn finding(&self) -> Option<FindingKind> {
        match self {
            Self::Nothing => None,
            Self::Change(it) => Some(it.kind()),
            Self::Ignored(it) => Some(FindingKind::Ignored(it.outcome)),
            Self::Told(kind) => Some(*kind),
        }
    }
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

/// What an applicant's review would change.
fn weigh(
    register: Reader<'_>,
    rules: &Rules,
    question: &Question,
    applicant: &Applicant,
    (asked, now): (Asked, &Moment),
) -> Result<Weighing, Failure> {
    let of = &question.organization;
    let before = register.verification(of)?.ok_or(StoreError::Corrupt("verification"))?;
    let Some(review) = applicant.review else { return Ok(Weighing::Nothing) };
    if before.applicant_id.as_ref() != Some(&question.applicant_id) {
        // Another applicant has taken over while Sumsub was asked.
        return Ok(Weighing::Nothing);
    }
    let recorded = register.facts(of)?;
    let kind = register.organization(of)?.ok_or(Failure::OrganizationNotFound)?.kind;
    let import = import_of(recorded.iter().map(|it| &it.fact), Some(&question.applicant_id));
    let review = match judge(&applicant.word(&review), kind, import.as_ref(), &rules.acceptance) {
        Ok(event) => Review { event, ..review },
        Err(ignored) => {
            let said = said(question, applicant, &review, (ignored, now));
            return Ok(unless_answered(said, &before, &recorded, now));
        }
    };
    let new = |happened_at| NewFact {
        event: review.event,
        happened_at,
        applicant_id: Some(question.applicant_id.clone()),
        begun_at: None,
        valid_days: rules.valid_days(kind),
        level: applicant.level.value().cloned(),
        basis: None,
        dated_by: DatedBy::Provider,
        cause: Cause::Asked(now.at),
    };
    let facts: Vec<Fact> = recorded.iter().map(|it| it.fact.clone()).collect();
    // What became known while Sumsub was asked may be newer than its answer; then it is asked again.
    let is_crossed = facts.last().is_some_and(|it| it.sequence > asked.newest);
    if is_crossed && review.event == Event::ProviderApproved {
        return Ok(Weighing::Nothing);
    }
    let placed = instant_of(&recorded, &question.applicant_id, &review, (asked, now));
    if let Some(it) = placed.and_then(|at| change(&before, &facts, new(at), now)) {
        return Ok(Weighing::Change(Box::new(it)));
    }
    if is_crossed {
        return Ok(Weighing::Nothing);
    }
    Ok(match contradiction(&before, &facts, &review, now) {
        Contradiction::None => Weighing::Nothing,
        Contradiction::Overruled => Weighing::Told(FindingKind::Overruled {
            verdict: review.event,
            status: before.at(now.at).status,
        }),
        Contradiction::ProviderIsRight(at) => change(&before, &facts, new(at), now)
            .map_or(Weighing::Nothing, |it| Weighing::Change(Box::new(it))),
    })
}

fn said(
    question: &Question,
    applicant: &Applicant,
    review: &Review,
    (ignored, now): (Ignored, &Moment),
) -> IgnoredApproval {
    IgnoredApproval {
        organization: question.organization.clone(),
        outcome: outcome_of(ignored),
        applicant_id: question.applicant_id.clone(),
        level: applicant.level.value().cloned(),
        applicant_type: applicant.kind.value().map(|it| type_of(*it)),
        happened_at: review.happened_at.unwrap_or(review.answered_at),
        known_at: now.at,
        delivery_id: None,
    }
}

/// An approval that does not count is told where somebody waits for one: not where the customer is
/// approved, an operator has decided, or Sumsub has said something newer.
fn unless_answered(
    said: IgnoredApproval,
    before: &Verification,
    recorded: &[RecordedFact],
    now: &Moment,
) -> Weighing {
    let waits = match before.state_at(now.at) {
        State::NotStarted | State::Pending | State::OnHoldByProvider => true,
        State::RejectedByProvider | State::ResubmissionRequired => true,
        State::Approved | State::RejectedByOperator | State::OnHoldByOperator => false,
    };
    let is_answered = recorded.iter().any(|it| {
        let fact = &it.fact;
        (fact.event.is_provider() || fact.event.is_operator())
            && fact.happened_at >= said.happened_at
    });
    if waits && !is_answered { Weighing::Ignored(Box::new(said)) } else { Weighing::Nothing }
}

/// What one more fact would change; `None`: nothing.
fn change(before: &Verification, facts: &[Fact], new: NewFact, now: &Moment) -> Option<Weighed> {
    let was_at_work = newest(before, facts) == Some(Event::ProviderPending);
    let known_at =
        facts.iter().map(|it| it.known_at).max().map_or(now.at, |it| it.plus_ms(1).max(now.at));
    let mut facts = facts.to_vec();
    facts.push(Fact {
        sequence: i64::MAX,
        event: new.event,
        happened_at: new.happened_at,
        known_at,
        applicant_id: new.applicant_id.clone(),
        begun_at: None,
        valid_days: new.valid_days,
        level: new.level.clone(),
        basis: None,
        clock: None,
    });
    let after = before.after(&facts, known_at);
    let (from, to) = (before.at(known_at).status, after.at(known_at).status);
    let renews = before.expires_at != after.expires_at;
    // Whether the customer has to hand something in is told to the customer, and is no status.
    let turns = (from, to) == (Status::Pending, Status::Pending)
        && was_at_work != (newest(&after, &facts) == Some(Event::ProviderPending));
    (before.state != after.state || renews || turns).then_some(Weighed { new, from, to })
}

/// Where the review stands among the facts; `None` if it is known, or an operator has decided since.
fn instant_of(
    recorded: &[RecordedFact],
    applicant_id: &str,
    review: &Review,
    (asked, now): (Asked, &Moment),
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
    // No review is of later than Sumsub's answer about it.
    let in_time = |it: Timestamp| {
        if it <= review.answered_at.plus_ms(CLOCK_SKEW_MS) { it } else { review.answered_at }
    };
    let Some(happened_at) = review.happened_at else {
        let own = recorded.iter().rfind(|it| is_own_act(&it.fact));
        let is_decided = own.is_some_and(|it| matches!(it.cause, Cause::Operator { .. }));
        // As old as the question: what happened while it was under way is newer.
        let under_way_ms = now.uptime_ms.saturating_sub(asked.uptime_ms).max(0);
        return (!is_decided).then(|| review.answered_at.plus_ms(-under_way_ms));
    };
    // A copied applicant brings its donor's verdict along, which counts here from the import on.
    let arrival = of_applicant().find_map(|it| it.fact.begun_at);
    let happened_at = in_time(happened_at.max(arrival.unwrap_or(happened_at)));
    // What Sumsub says now is newer than what it said when it was asked before, whatever either is dated.
    let asked_before =
        last.filter(|it| matches!(it.cause, Cause::Asked(_)) && it.fact.sequence <= asked.newest);
    Some(asked_before.map_or(happened_at, |it| happened_at.max(it.fact.happened_at.plus_ms(1))))
}

/// Whether we did it: a session, an import, or an operator's decision.
fn is_own_act(fact: &Fact) -> bool {
    fact.event.brings_applicant() || fact.event.is_operator()
}

/// Why the register does not say what Sumsub says, though it knows what Sumsub said.
enum Contradiction {
    /// It does not contradict, or for a reason that is in order.
    None,
    /// An operator approved against a verdict of Sumsub's.
    Overruled,
    /// Sumsub's present word is the newer one, whatever the facts are dated: it belongs there.
    ProviderIsRight(Timestamp),
}

fn contradiction(
    before: &Verification,
    facts: &[Fact],
    review: &Review,
    now: &Moment,
) -> Contradiction {
    let facts = placed(facts);
    let of_current = |it: &&Fact| it.applicant_id == before.applicant_id;
    let behind_all = || {
        let newest = facts.iter().map(|it| it.happened_at).max().unwrap_or(now.at);
        Contradiction::ProviderIsRight(newest.plus_ms(1))
    };
    let takes_away = match review.event {
        Event::ProviderRejected | Event::ProviderRetry | Event::ProviderReset => true,
        Event::ProviderPending
        | Event::ProviderAwaitingUser
        | Event::ProviderApproved
        | Event::ProviderOnHold
        | Event::ProviderStepFailed
        | Event::SessionStarted
        | Event::ImportAccepted
        | Event::OperatorHold
        | Event::OperatorApprove
        | Event::OperatorReject
        | Event::OperatorResubmit
        | Event::OperatorReopen
        | Event::ClockCorrected => false,
    };
    match (before.state_at(now.at), review.event) {
        (State::Approved, event) if event != Event::ProviderApproved => {
            let approval = Verification::approval(&facts);
            let by_operator = approval.is_some_and(|it| it.event == Event::OperatorApprove);
            match (by_operator, takes_away) {
                (true, true) => Contradiction::Overruled,
                // An operator may approve what Sumsub holds or has not finished; a workflow what one of
                // its steps had refused.
                (true, false) => Contradiction::None,
                (false, _) if event == Event::ProviderStepFailed => Contradiction::None,
                (false, _) => behind_all(),
            }
        }
        // It arrived after the session in which it was worked for, and is dated before it.
        (State::Pending, Event::ProviderApproved) => {
            let own = facts.iter().filter(|it| is_own_act(it)).max_by_key(|it| it.sequence);
            let said = facts
                .iter()
                .filter(|it| it.event == Event::ProviderApproved && of_current(it))
                .max_by_key(|it| (it.happened_at, it.sequence));
            let is_session = |it: &Fact| it.event.brings_applicant() && of_current(&it);
            match (own, said) {
                (Some(own), Some(said)) if is_session(own) && said.sequence > own.sequence => {
                    behind_all()
                }
                _ => Contradiction::None,
            }
        }
        _ => Contradiction::None,
    }
}
