//! The fold: what the recorded facts of one organization's verification come to, at an instant.
//!
//! Facts fold in the order in which they *happened*, not in which they arrived: a late one takes its
//! place, and the status is what it would have been had it come in time. So every order and
//! duplication of the same deliveries gives the same status. `updated_at` alone follows the order of
//! knowing: it is when readers saw the status change. An expiry is an instant and needs no timer.
//!
//! Sumsub's facts happened when Sumsub says, always; ours when our clock said, corrected by Sumsub's.
//! What it dated before Sumsub's time was known is moved to its true place by
//! [`Event::ClockCorrected`] (contract 9.3). An operator's approval falls to a verdict of Sumsub's that
//! came before it and that its maker could not know (contract 9.2).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, State, Status, Step, step};

/// How far Sumsub's clock and ours may differ: Sumsub refuses requests signed more than 60 s off
/// (stated, "Authentication"), so a larger difference cannot last.
pub const CLOCK_SKEW_MS: i64 = 60_000;

/// A recorded event. Facts are never changed and never deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The order of recording: larger is later.
    pub sequence: i64,
    /// What happened.
    pub event: Event,
    /// When it happened: by Sumsub's word for its events, at our commit for ours.
    pub happened_at: Timestamp,
    /// When we knew it.
    pub known_at: Timestamp,
    /// The Sumsub applicant that it concerns or brings.
    pub applicant_id: Option<String>,
    /// For a session or an import: when we began to ask Sumsub. What Sumsub says of a new applicant
    /// between this instant and our commit counts right after the commit. `None` of an import: it was
    /// no longer allowed when Sumsub answered, and only its link is kept ([`Fact::is_audit_link`]).
    pub begun_at: Option<Timestamp>,
    /// For an approval: how many days it is valid, by the configuration of that day; 0 = for ever.
    pub valid_days: u32,
    /// The Sumsub level that it is about: of a verdict the one that Sumsub named, of a session or an
    /// import the one that it asked for. `None`: none was named, or a predecessor recorded it.
    pub level: Option<String>,
    /// For an operator's decision: the newest fact of Sumsub's or an operator's that its maker had
    /// been shown, by its sequence; 0: there was none. `None`: a predecessor recorded it.
    pub basis: Option<i64>,
    /// What is known of the clock that dated it, where that matters.
    pub clock: Option<FactClock>,
}

impl Fact {
    /// Whether it is an import whose right had ended when Sumsub answered. The share token is spent, so
    /// the applicant is known and linked; it decides nothing unless a session brings it (contract 9.4).
    pub fn is_audit_link(&self) -> bool {
        self.event == Event::ImportAccepted && self.begun_at.is_none()
    }
}

/// What is known of the clock behind a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactClock {
    /// Our own clock dated it while Sumsub's time was not known.
    Unsure {
        /// Which run of the machine: its uptime counts from the start of it.
        boot_id: String,
        /// The machine's uptime at that instant.
        uptime_ms: i64,
    },
    /// Of [`Event::ClockCorrected`]: when that run of the machine began, by Sumsub's time.
    Corrected {
        /// Which run of the machine.
        boot_id: String,
        /// When its uptime was 0.
        booted_at: Timestamp,
    },
}

/// Where one organization's verification stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The fold's state, expiry not considered: ask [`Verification::at`].
    pub state: State,
    /// The applicant whose webhooks count.
    pub applicant_id: Option<String>,
    /// The instant from which an approval no longer counts.
    pub expires_at: Option<Timestamp>,
    /// Whether the last approval ended by expiry, and none came since.
    pub lapsed: bool,
    /// When readers saw the state's status begin.
    pub updated_at: Timestamp,
}

/// What a reader sees at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The status.
    pub status: Status,
    /// When that status began for readers.
    pub updated_at: Timestamp,
    /// Whether the customer was approved once, that approval expired, and none came since.
    pub lapsed: bool,
}

impl Verification {
    /// The verification that an organization is created with.
    pub fn new(created_at: Timestamp) -> Self {
        Self {
            state: State::NotStarted,
            applicant_id: None,
            expires_at: None,
            lapsed: false,
            updated_at: created_at,
        }
    }

    /// What a reader sees at `now`. An approval whose time is over *is* `RESUBMISSION_REQUIRED`
    /// from that instant on, whether or not anything has run since.
    pub fn at(&self, now: Timestamp) -> Standing {
        match (self.state, self.expires_at) {
            (State::Approved, Some(expiry)) if expiry <= now => Standing {
                status: Status::ResubmissionRequired,
                updated_at: expiry.max(self.updated_at),
                lapsed: true,
            },
            _ => Standing {
                status: self.state.status(),
                updated_at: self.updated_at,
                lapsed: self.lapsed,
            },
        }
    }

    /// The state that a command meets at `now`: as [`Verification::at`], but saying who.
    pub fn state_at(&self, now: Timestamp) -> State {
        match self.at(now).status {
            Status::ResubmissionRequired => State::ResubmissionRequired,
            Status::NotStarted
            | Status::Pending
            | Status::Approved
            | Status::Rejected
            | Status::OnHold => self.state,
        }
    }

    /// Of `facts`, the one that gave the approval that ends at [`Self::expires_at`]; of twins the
    /// first. `None`: there is no such approval.
    pub fn approved_by<'f>(&self, facts: &'f [Fact]) -> Option<&'f Fact> {
        let expires_at = self.expires_at?;
        let approves = |it: &&Fact| {
            it.event == Event::OperatorApprove
                || it.event == Event::ProviderApproved && it.applicant_id == self.applicant_id
        };
        let approvals = facts.iter().filter(approves);
        approvals.filter(|it| expiry_of(it) == Some(expires_at)).min_by_key(|it| it.sequence)
    }

    /// Of `facts`, the one that gave the approval that stands at the end of their fold; `None`: the
    /// verification is not approved by them, expiry not considered.
    pub fn approval(facts: &[Fact]) -> Option<&Fact> {
        let (verification, approval) = fold(facts, Timestamp::from_ms(0));
        let approval = approval.filter(|_| verification.state == State::Approved)?;
        facts.iter().find(|it| it.sequence == approval)
    }

    /// The verification after one more fact was recorded at `now`: the fold of `facts` (all of
    /// them, in any order), `updated_at` moved only if readers see another status than before.
    #[must_use]
    pub fn after(&self, facts: &[Fact], now: Timestamp) -> Self {
        let before = self.at(now);
        let (mut after, _) = fold(facts, self.updated_at);
        after.updated_at = before.updated_at;
        let standing = after.at(now);
        if standing.status != before.status {
            after.updated_at = now;
        }
        after
    }

    /// Replays every fact in the order of recording, as the register did. The result equals the
    /// stored row, or the row is wrong.
    pub fn rebuild(created_at: Timestamp, facts: &[Fact]) -> Self {
        let unchanged = Self::new(created_at);
        Self::history(created_at, facts).pop().map_or(unchanged, |(_, verification)| verification)
    }

    /// The verification after each fact, in the order of recording.
    pub fn history(created_at: Timestamp, facts: &[Fact]) -> Vec<(Fact, Self)> {
        let mut known = facts.to_vec();
        known.sort_by_key(|it| it.sequence);
        let mut so_far = Self::new(created_at);
        let mut steps = Vec::new();
        for count in 1..=known.len() {
            let prefix = known.get(..count).unwrap_or_default();
            let Some(last) = prefix.last() else { continue };
            so_far = so_far.after(prefix, last.known_at);
            steps.push((last.clone(), so_far.clone()));
        }
        steps
    }
}

/// Folds facts in the order in which they happened; and which of them gave the approval that stands,
/// by its sequence.
fn fold(facts: &[Fact], created_at: Timestamp) -> (Verification, Option<i64>) {
    let placed = placed(facts);
    let mut ordered: Vec<&Fact> = placed.iter().collect();
    ordered.sort_by(|left, right| order_of_happening(left, right));
    // Sumsub speaks of an imported applicant while it is still being imported, so that a link counts
    // from before its own fact.
    let audit_links = ordered.iter().filter(|it| it.is_audit_link());
    let mut fold = Fold {
        facts: &ordered,
        verification: Verification::new(created_at),
        audit_links: audit_links.filter_map(|it| it.applicant_id.as_deref()).collect(),
        aside: Vec::new(),
        approval: None,
        is_held_by_step: false,
    };
    for fact in &ordered {
        fold.take(fact);
    }
    (fold.verification, fold.approval)
}

/// The facts at the instants at which they happened, as far as that is known.
pub fn placed(facts: &[Fact]) -> Cow<'_, [Fact]> {
    if !facts.iter().any(|it| it.event == Event::ClockCorrected) {
        return Cow::Borrowed(facts);
    }
    let mut placed = facts.to_vec();
    placed.sort_by_key(|it| it.sequence);
    let corrections: Vec<(i64, FactClock)> =
        placed.iter().filter_map(|it| Some((it.sequence, it.clock.clone()?))).collect();
    // A fact of our own stands behind all that its maker had seen, and behind our earlier ones.
    let mut behind = Timestamp::from_ms(0);
    for fact in placed.iter_mut().filter(|it| it.event != Event::ClockCorrected) {
        if let Some(true_instant) = corrected(fact, &corrections) {
            fact.happened_at = true_instant;
        }
        if fact.event.is_provider() {
            behind = behind.max(fact.happened_at.plus_ms(1));
        } else {
            fact.happened_at = fact.happened_at.max(behind);
            behind = fact.happened_at;
        }
    }
    Cow::Owned(placed)
}

/// When a fact of an unsure clock happened, by the newest correction of that run of the machine.
fn corrected(fact: &Fact, corrections: &[(i64, FactClock)]) -> Option<Timestamp> {
    let Some(FactClock::Unsure { boot_id, uptime_ms }) = &fact.clock else { return None };
    corrections.iter().rev().find_map(|(sequence, clock)| match clock {
        FactClock::Corrected { boot_id: of, booted_at }
            if of == boot_id && *sequence > fact.sequence =>
        {
            Some(booted_at.plus_ms(*uptime_ms))
        }
        FactClock::Corrected { .. } | FactClock::Unsure { .. } => None,
    })
}

/// By instant; at the same instant our own facts first, as recorded, then the provider's, the one
/// that takes more away last (a copied applicant's GREEN and the "documents requested" after it
/// may bear one and the same millisecond).
fn order_of_happening(left: &Fact, right: &Fact) -> Ordering {
    let own_sequence = |it: &Fact| if it.event.is_provider() { i64::MAX } else { it.sequence };
    left.happened_at
        .cmp(&right.happened_at)
        .then_with(|| own_sequence(left).cmp(&own_sequence(right)))
        .then_with(|| severity(left.event).cmp(&severity(right.event)))
        .then_with(|| left.applicant_id.cmp(&right.applicant_id))
        .then_with(|| left.valid_days.cmp(&right.valid_days).reverse())
}

/// How much a provider's event takes away.
fn severity(event: Event) -> u8 {
    match event {
        Event::ProviderApproved => 1,
        Event::ProviderPending => 2,
        Event::ProviderAwaitingUser => 3,
        Event::ProviderRetry => 4,
        Event::ProviderReset => 5,
        Event::ProviderStepFailed => 6,
        Event::ProviderOnHold => 7,
        Event::ProviderRejected => 8,
        Event::SessionStarted
        | Event::ImportAccepted
        | Event::OperatorHold
        | Event::OperatorApprove
        | Event::OperatorReject
        | Event::OperatorResubmit
        | Event::OperatorReopen
        | Event::ClockCorrected => 0,
    }
}

/// How far an operator's approval goes beyond what Sumsub has said: every reader is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overrule {
    /// Sumsub's newest verdict on the applicant was against it, and its maker knew.
    Against {
        /// The verdict.
        verdict: Event,
        /// When it fell.
        at: Timestamp,
    },
    /// Sumsub has never given a verdict on the applicant.
    NoCheck,
}

/// What an approval by an operator, made on all of `facts`, would overrule: of the applicant that is
/// current the newest verdict by Sumsub's own instants, if that was a rejection, a retry or a reset.
/// A hold of Sumsub's waits for just such a decision.
pub fn overrule(facts: &[Fact], applicant_id: Option<&str>) -> Option<Overrule> {
    let placed = placed(facts);
    let newest = placed
        .iter()
        .filter(|it| it.event.is_verdict() && it.applicant_id.as_deref() == applicant_id)
        .max_by(|left, right| order_of_happening(left, right));
    let Some(newest) = newest else { return Some(Overrule::NoCheck) };
    match newest.event.verdict() {
        Some(State::RejectedByProvider | State::ResubmissionRequired) => {
            Some(Overrule::Against { verdict: newest.event, at: newest.happened_at })
        }
        Some(
            State::NotStarted
            | State::Pending
            | State::Approved
            | State::RejectedByOperator
            | State::OnHoldByProvider
            | State::OnHoldByOperator,
        )
        | None => None,
    }
}

/// The newest fact of Sumsub's or an operator's: what a decision is based on (contract 9.2). 0: none.
pub fn newest_said(facts: &[Fact]) -> i64 {
    let said = facts.iter().filter(|it| it.event.is_provider() || it.event.is_operator());
    said.map(|it| it.sequence).max().unwrap_or(0)
}

/// What a *recorded* event does when a fact that arrived late has put the fold into a state in
/// which the table would have refused it.
///
/// An operator's decision that takes access away stands; one that gives access does not survive a
/// fact that would have forbidden it. (The contract is silent here; this is the safe side.)
fn step_in_retrospect(state: State, event: Event) -> Step {
    match (step(state, event), event) {
        (Step::Refused, Event::OperatorReject) => Step::To(State::RejectedByOperator),
        (Step::Refused, Event::OperatorResubmit) => match state.status() {
            Status::Rejected | Status::OnHold => Step::Outranked,
            Status::NotStarted
            | Status::Pending
            | Status::Approved
            | Status::ResubmissionRequired => Step::To(State::ResubmissionRequired),
        },
        (Step::Refused, _) => Step::Outranked,
        (it @ (Step::To(_) | Step::Stay | Step::Renew | Step::Outranked), _) => it,
    }
}

/// The instant at which the approval that a fact gives is over.
fn expiry_of(approval: &Fact) -> Option<Timestamp> {
    (approval.valid_days > 0).then(|| approval.happened_at.plus_days(approval.valid_days))
}

struct Fold<'a> {
    /// All of them, in the order in which they happened.
    facts: &'a [&'a Fact],
    verification: Verification,
    /// Applicants that an import linked without taking over.
    audit_links: BTreeSet<&'a str>,
    /// Provider's facts about applicants that are not (yet) the current one.
    aside: Vec<&'a Fact>,
    /// The fact that gave the approval that stands.
    approval: Option<i64>,
    /// Whether it is on hold because a workflow's step failed: until the workflow has ended, what its
    /// steps wait for says nothing (contract 9.1).
    is_held_by_step: bool,
}

impl<'a> Fold<'a> {
    fn take(&mut self, fact: &'a Fact) {
        if fact.is_audit_link() {
            return;
        }
        if fact.event.is_provider() && !self.counts(fact) {
            self.aside.push(fact);
            return;
        }
        if fact.event.is_provider() && self.verification.applicant_id.is_none() {
            // Sumsub began before any session of ours, as when its dashboard made the applicant.
            self.verification.applicant_id.clone_from(&fact.applicant_id);
        }
        let takes_over = fact.event.brings_applicant()
            && self.verification.state_at(fact.happened_at).lets_applicant_take_over();
        self.apply(fact, fact.happened_at);
        if takes_over {
            self.take_over(fact);
        } else if fact.event == Event::ImportAccepted
            && self.verification.applicant_id != fact.applicant_id
        {
            self.audit_links.extend(fact.applicant_id.as_deref());
        }
    }

    fn counts(&self, fact: &Fact) -> bool {
        match (&self.verification.applicant_id, &fact.applicant_id) {
            (Some(current), Some(of)) => current == of,
            (Some(_), None) => false,
            (None, Some(of)) => !self.audit_links.contains(of.as_str()),
            (None, None) => true,
        }
    }

    fn take_over(&mut self, fact: &'a Fact) {
        let is_new = self.verification.applicant_id != fact.applicant_id;
        self.verification.applicant_id.clone_from(&fact.applicant_id);
        let Some(begun_at) = fact.begun_at.filter(|_| is_new) else { return };
        let since = begun_at.plus_ms(CLOCK_SKEW_MS.saturating_neg());
        // Of an applicant that only an import without a right has brought, nothing that was said so far is
        // about the customer who comes by a session. By an import it comes as it is.
        let comes_by_session = fact.event == Event::SessionStarted;
        if comes_by_session
            && self.facts.iter().any(|it| {
                it.is_audit_link()
                    && it.applicant_id == fact.applicant_id
                    && it.sequence < fact.sequence
            })
        {
            return;
        }
        let early: Vec<&Fact> = self
            .aside
            .iter()
            .copied()
            .filter(|it| it.applicant_id == fact.applicant_id && it.happened_at >= since)
            .collect();
        for it in early {
            self.apply(it, fact.happened_at);
        }
    }

    /// The verdict to which an operator's approval falls: it happened before, became known only
    /// after, and nothing that Sumsub said of the applicant until then is newer. Decisions of
    /// predecessors carry no basis, and stand as they did.
    fn unknown_verdict(&self, approval: &Fact) -> Option<State> {
        approval.basis?;
        let said = || {
            let before = self.facts.iter().take_while(|it| it.sequence != approval.sequence);
            before.filter(|it| it.applicant_id == self.verification.applicant_id)
        };
        // The same word in other bytes is no news.
        let is_unknown = |it: &Fact| {
            it.sequence > approval.sequence
                && !said().any(|known| {
                    known.sequence < approval.sequence
                        && (known.event, known.happened_at) == (it.event, it.happened_at)
                })
        };
        let verdict = said().filter(|it| it.event.is_verdict()).last();
        // A step's failure says less than a verdict, and takes away only what is newer than none.
        let step = said().filter(|it| it.event == Event::ProviderStepFailed).last();
        let fallen = verdict.filter(|it| is_unknown(it)).and_then(|it| it.event.verdict());
        match (fallen.filter(|it| *it != State::Approved), step) {
            (Some(state), _) => Some(state),
            (None, Some(step)) if is_unknown(step) => {
                let is_newer =
                    verdict.is_none_or(|it| order_of_happening(it, step) == Ordering::Less);
                is_newer.then_some(State::OnHoldByProvider)
            }
            (None, _) => None,
        }
    }

    fn apply(&mut self, fact: &Fact, at: Timestamp) {
        self.expire(at);
        if fact.event == Event::OperatorApprove
            && let Some(state) = self.unknown_verdict(fact)
        {
            self.verification.state = state;
            self.verification.expires_at = None;
            self.is_held_by_step = false;
            return;
        }
        if self.is_held_by_step
            && matches!(fact.event, Event::ProviderPending | Event::ProviderAwaitingUser)
        {
            return;
        }
        let before = self.verification.state;
        let step = step_in_retrospect(before, fact.event);
        if let Step::To(_) = step {
            self.is_held_by_step = fact.event == Event::ProviderStepFailed;
        }
        match step {
            Step::To(State::Approved) => {
                self.verification.state = State::Approved;
                self.approve(fact);
            }
            Step::Renew => self.approve(fact),
            Step::To(state) => {
                self.verification.state = state;
                self.verification.expires_at = None;
            }
            Step::Stay | Step::Outranked | Step::Refused => {}
        }
    }

    fn approve(&mut self, fact: &Fact) {
        self.verification.lapsed = false;
        self.verification.expires_at = expiry_of(fact);
        self.approval = Some(fact.sequence);
    }

    fn expire(&mut self, at: Timestamp) {
        if self.verification.state_at(at) != self.verification.state {
            self.verification.state = State::ResubmissionRequired;
            self.verification.expires_at = None;
            self.verification.lapsed = true;
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn fact(sequence: i64, event: Event, happened: i64, known: i64) -> Fact {
        Fact {
            sequence,
            event,
            happened_at: at(happened),
            known_at: at(known),
            applicant_id: Some("x".to_owned()),
            begun_at: Some(at(happened)),
            valid_days: 365,
            level: None,
            basis: None,
            clock: None,
        }
    }

    fn of(applicant: &str, mut it: Fact) -> Fact {
        it.applicant_id = Some(applicant.to_owned());
        it
    }

    fn rebuilt(facts: &[Fact]) -> Verification {
        Verification::rebuild(at(0), facts)
    }

    #[test]
    fn an_approval_ends_at_its_instant_without_a_timer() {
        let facts = [
            fact(1, Event::SessionStarted, 10, 10),
            Fact { valid_days: 2, ..fact(2, Event::ProviderApproved, 20, 25) },
        ];

        let verification = rebuilt(&facts);

        let end = 20 + 2 * DAY_MS;
        assert_eq!(
            verification.at(at(end - 1)),
            Standing { status: Status::Approved, updated_at: at(25), lapsed: false }
        );
        assert_eq!(
            verification.at(at(end)),
            Standing { status: Status::ResubmissionRequired, updated_at: at(end), lapsed: true }
        );
    }

    #[test]
    fn an_approval_renewed_before_its_end_goes_on_and_keeps_its_updated_at() {
        let facts = [
            fact(1, Event::SessionStarted, 10, 10),
            Fact { valid_days: 2, ..fact(2, Event::ProviderApproved, 20, 20) },
            Fact { valid_days: 2, ..fact(3, Event::ProviderApproved, 20 + DAY_MS, 20 + DAY_MS) },
        ];

        let standing = rebuilt(&facts).at(at(20 + 2 * DAY_MS));

        assert_eq!(
            standing,
            Standing { status: Status::Approved, updated_at: at(20), lapsed: false }
        );
    }

    #[test]
    fn an_approval_of_zero_days_never_ends() {
        let facts = [Fact { valid_days: 0, ..fact(1, Event::ProviderApproved, 20, 20) }];

        assert_eq!(rebuilt(&facts).at(at(i64::MAX)).status, Status::Approved);
    }

    #[test]
    fn a_session_after_an_expiry_waits_again_and_stays_lapsed_until_approved() {
        let end = 20 + 2 * DAY_MS;
        let mut facts = vec![
            Fact { valid_days: 2, ..fact(1, Event::ProviderApproved, 20, 20) },
            fact(2, Event::SessionStarted, end + 5, end + 5),
        ];
        let waiting = rebuilt(&facts).at(at(end + 6));
        assert_eq!(
            waiting,
            Standing { status: Status::Pending, updated_at: at(end + 5), lapsed: true }
        );

        facts.push(fact(3, Event::ProviderApproved, end + 7, end + 7));

        assert!(!rebuilt(&facts).at(at(end + 8)).lapsed);
    }

    #[test]
    fn a_verdict_that_overtakes_the_commit_of_its_import_counts_after_it() {
        let import = Fact { begun_at: Some(at(100)), ..fact(2, Event::ImportAccepted, 200, 200) };
        let verdict = fact(1, Event::ProviderApproved, 150, 160);
        // The applicant of an earlier session is current, so the verdict waits for its import.
        let session = of("old", fact(0, Event::SessionStarted, 10, 10));

        assert_eq!(rebuilt(&[session.clone(), verdict.clone()]).state, State::Pending);
        let after = rebuilt(&[session, verdict, import]);

        assert_eq!(after.state, State::Approved);
        assert_eq!(after.applicant_id.as_deref(), Some("x"));
    }

    #[test]
    fn an_import_without_a_right_decides_nothing_whatever_is_known_first() {
        let link = |sequence, happened| Fact {
            begun_at: None,
            ..fact(sequence, Event::ImportAccepted, happened, 100 + sequence)
        };
        let said = |sequence, event, happened| fact(sequence, event, happened, 100 + sequence);
        let orders = [
            [
                link(1, 50),
                said(2, Event::ProviderPending, 40),
                said(3, Event::ProviderApproved, 60),
            ],
            [
                said(1, Event::ProviderPending, 40),
                link(2, 50),
                said(3, Event::ProviderApproved, 60),
            ],
            [
                said(1, Event::ProviderPending, 40),
                said(2, Event::ProviderApproved, 45),
                link(3, 50),
            ],
        ];
        for facts in orders {
            let verification = rebuilt(&facts);
            assert_eq!(verification.state, State::NotStarted, "{facts:?}");
            assert_eq!(verification.applicant_id, None, "{facts:?}");
        }
    }

    #[test]
    fn of_an_applicant_that_an_import_without_a_right_left_only_what_follows_a_session_counts() {
        let mut facts = vec![
            Fact { begun_at: None, ..fact(1, Event::ImportAccepted, 10, 10) },
            fact(2, Event::ProviderApproved, 11, 11),
            fact(3, Event::SessionStarted, 20, 20),
        ];
        let waiting = rebuilt(&facts);
        assert_eq!(waiting.state, State::Pending);
        assert_eq!(waiting.applicant_id.as_deref(), Some("x"));

        facts.push(fact(4, Event::ProviderApproved, 30, 30));

        assert_eq!(rebuilt(&facts).state, State::Approved);
    }

    #[test]
    fn an_audit_links_webhooks_have_no_effect() {
        let facts = [
            fact(1, Event::OperatorHold, 10, 10),
            of("linked", fact(2, Event::ImportAccepted, 20, 20)),
            of("linked", fact(3, Event::ProviderApproved, 30, 30)),
            fact(4, Event::OperatorResubmit, 40, 40),
            of("linked", fact(5, Event::ProviderApproved, 50, 50)),
        ];

        assert_eq!(rebuilt(&facts[..3]).state, State::OnHoldByOperator);
        assert_eq!(rebuilt(&facts).state, State::ResubmissionRequired);
    }

    #[test]
    fn an_applicant_that_decided_before_its_import_was_committed_goes_on_deciding() {
        let facts = [
            fact(1, Event::ProviderApproved, 20, 20),
            fact(2, Event::ImportAccepted, 30, 30),
            fact(3, Event::ProviderRejected, 40, 40),
        ];

        assert_eq!(rebuilt(&facts).state, State::RejectedByProvider);
    }

    #[test]
    fn an_operators_rejection_outlives_a_late_green_and_an_approval_does_not_outlive_a_late_red() {
        let hold = fact(1, Event::ProviderOnHold, 10, 10);
        let rejected = [
            hold.clone(),
            fact(2, Event::OperatorReject, 40, 40),
            fact(3, Event::ProviderApproved, 20, 50),
        ];
        assert_eq!(rebuilt(&rejected).state, State::RejectedByOperator);

        let approved = [
            hold,
            fact(2, Event::OperatorApprove, 40, 40),
            fact(3, Event::ProviderRejected, 20, 50),
        ];
        assert_eq!(rebuilt(&approved).state, State::RejectedByProvider);
    }

    #[test]
    fn at_one_instant_the_fact_that_takes_more_away_wins() {
        let facts = [
            fact(1, Event::SessionStarted, 10, 10),
            fact(2, Event::ProviderPending, 30, 30),
            fact(3, Event::ProviderApproved, 30, 31),
        ];

        assert_eq!(rebuilt(&facts).state, State::Pending);
    }

    /// A fact of our own that names no applicant.
    fn own(sequence: i64, event: Event, happened: i64) -> Fact {
        Fact { applicant_id: None, begun_at: None, ..fact(sequence, event, happened, happened) }
    }

    #[test]
    fn an_operators_decision_leaves_the_current_applicant_where_it_is() {
        let facts = [
            fact(1, Event::SessionStarted, 10, 10),
            own(2, Event::OperatorHold, 20),
            own(3, Event::OperatorResubmit, 30),
        ];
        for count in 1..=3 {
            assert_eq!(rebuilt(&facts[..count]).applicant_id.as_deref(), Some("x"), "{count}");
        }
    }

    #[test]
    fn an_applicant_takes_over_only_where_the_state_lets_it() {
        for (before, takes_over) in [
            (vec![], true),
            (vec![fact(1, Event::ProviderPending, 10, 10)], true),
            (vec![fact(1, Event::ProviderRetry, 10, 10)], true),
            (vec![fact(1, Event::ProviderApproved, 10, 10)], false),
            (vec![fact(1, Event::ProviderRejected, 10, 10)], false),
            (vec![fact(1, Event::ProviderOnHold, 10, 10)], false),
            (vec![fact(1, Event::ProviderPending, 10, 10), own(2, Event::OperatorHold, 20)], false),
        ] {
            let expected = Some(if takes_over { "y" } else { "x" });
            for event in [Event::SessionStarted, Event::ImportAccepted] {
                let facts = [&before[..], &[of("y", fact(9, event, 90, 90))]].concat();
                let current = rebuilt(&facts).applicant_id;
                assert_eq!(current.as_deref(), expected, "{event:?} after {before:?}");
            }
        }
    }

    #[test]
    fn where_nobody_is_current_an_import_without_effect_is_a_link_for_audit_and_a_session_is_not() {
        let begin = [own(1, Event::OperatorHold, 10)];
        let end = [
            own(3, Event::OperatorResubmit, 30),
            of("y", fact(4, Event::ProviderApproved, 40, 40)),
        ];
        let story = |event| {
            let arrival = of("y", fact(2, event, 20, 20));
            [&begin[..], &[arrival], &end].concat()
        };

        let (imported, opened) = (story(Event::ImportAccepted), story(Event::SessionStarted));

        assert_eq!(rebuilt(&imported[..2]).applicant_id, None);
        assert_eq!(rebuilt(&imported).state, State::ResubmissionRequired);
        assert_eq!(rebuilt(&opened).state, State::Approved);
        assert_eq!(rebuilt(&opened).applicant_id.as_deref(), Some("y"));
    }

    #[test]
    fn sumsubs_first_word_makes_its_applicant_the_current_one() {
        let facts = [
            of("y", fact(1, Event::ProviderPending, 10, 10)),
            of("z", fact(2, Event::ProviderApproved, 20, 20)),
        ];
        let verification = rebuilt(&facts);
        assert_eq!(
            (verification.state, verification.applicant_id.as_deref()),
            (State::Pending, Some("y"))
        );
        let nameless = Fact { applicant_id: None, ..fact(3, Event::ProviderApproved, 30, 30) };
        assert_eq!(rebuilt(&[facts[0].clone(), nameless.clone()]).state, State::Pending);
        assert_eq!(rebuilt(&[nameless]).state, State::Approved);
    }

    #[test]
    fn of_early_words_only_the_new_applicants_since_the_asking_began_count() {
        let session = of("old", fact(0, Event::SessionStarted, 10, 10));
        let import = Fact {
            begun_at: Some(at(CLOCK_SKEW_MS + 1_000)),
            ..fact(9, Event::ImportAccepted, CLOCK_SKEW_MS + 2_000, CLOCK_SKEW_MS + 2_000)
        };
        for (applicant, happened, expected) in [
            ("x", 1_000, State::Approved),
            ("x", 999, State::Pending),
            ("z", 1_500, State::Pending),
        ] {
            let early = of(applicant, fact(1, Event::ProviderApproved, happened, 20));
            let facts = [session.clone(), early, import.clone()];
            assert_eq!(rebuilt(&facts).state, expected, "{applicant} at {happened}");
        }
        // An applicant that is current already has had its say.
        let again = [
            fact(1, Event::SessionStarted, CLOCK_SKEW_MS, CLOCK_SKEW_MS),
            of("z", fact(2, Event::ProviderApproved, CLOCK_SKEW_MS + 1, CLOCK_SKEW_MS + 1)),
            fact(3, Event::SessionStarted, CLOCK_SKEW_MS + 2, CLOCK_SKEW_MS + 2),
        ];
        assert_eq!(rebuilt(&again).state, State::Pending);
    }

    /// An operator's approval at 50 with a basis, after a hold at 10.
    fn approved_on(basis: Option<i64>, others: &[Fact]) -> Verification {
        let decided = [
            fact(1, Event::SessionStarted, 5, 5),
            own(2, Event::OperatorHold, 10),
            Fact { basis, ..own(5, Event::OperatorApprove, 50) },
        ];
        let mut facts = decided.to_vec();
        facts.extend_from_slice(others);
        rebuilt(&facts)
    }

    #[test]
    fn an_approval_falls_to_what_came_before_it_and_was_known_after_it() {
        for (event, fallen_to) in [
            (Event::ProviderRejected, State::RejectedByProvider),
            (Event::ProviderRetry, State::ResubmissionRequired),
            (Event::ProviderReset, State::ResubmissionRequired),
            (Event::ProviderOnHold, State::OnHoldByProvider),
            (Event::ProviderStepFailed, State::OnHoldByProvider),
            (Event::ProviderApproved, State::Approved),
            (Event::ProviderPending, State::Approved),
            (Event::ProviderAwaitingUser, State::Approved),
        ] {
            let (late, known) = (fact(9, event, 30, 90), fact(3, event, 30, 30));
            let fallen = approved_on(Some(2), std::slice::from_ref(&late));
            assert_eq!(fallen.state, fallen_to, "{event:?}");
            assert_eq!(fallen.expires_at.is_some(), fallen_to == State::Approved, "{event:?}");
            assert_eq!(
                approved_on(Some(3), &[known]).state,
                State::Approved,
                "{event:?} was known"
            );
            let predecessors = approved_on(None, std::slice::from_ref(&late));
            assert_eq!(predecessors.state, State::Approved, "older folds stay");
            let anothers = approved_on(Some(2), &[of("z", late)]);
            assert_eq!(anothers.state, State::Approved, "it is about another applicant");
        }
    }

    #[test]
    fn an_approval_stands_where_the_late_verdict_is_not_the_newest() {
        let late = fact(9, Event::ProviderRejected, 20, 90);
        for (newer, expected) in [
            (fact(3, Event::ProviderApproved, 30, 30), State::Approved),
            (fact(8, Event::ProviderApproved, 30, 80), State::Approved),
            (fact(3, Event::ProviderRejected, 30, 30), State::Approved),
            (fact(3, Event::ProviderPending, 30, 30), State::RejectedByProvider),
            (fact(8, Event::ProviderRetry, 30, 80), State::ResubmissionRequired),
        ] {
            let verification = approved_on(Some(3), &[late.clone(), newer.clone()]);
            assert_eq!(verification.state, expected, "{newer:?}");
        }
        let after = fact(9, Event::ProviderRejected, 51, 90);
        assert_eq!(approved_on(Some(2), &[after]).state, State::RejectedByProvider);
        let again = [late, fact(10, Event::ProviderApproved, 60, 100)];
        assert_eq!(approved_on(Some(2), &again).state, State::Approved, "Sumsub may approve again");
    }

    #[test]
    fn the_same_word_in_other_bytes_is_no_news() {
        let known = fact(3, Event::ProviderRejected, 30, 30);
        for (late, expected) in [
            (fact(9, Event::ProviderRejected, 30, 90), State::Approved),
            (fact(9, Event::ProviderRejected, 31, 90), State::RejectedByProvider),
            (fact(9, Event::ProviderRejected, 29, 90), State::Approved),
        ] {
            assert_eq!(approved_on(Some(3), &[known.clone(), late]).state, expected);
        }
        let another = fact(3, Event::ProviderRetry, 30, 30);
        let late = fact(9, Event::ProviderRejected, 30, 90);
        assert_eq!(approved_on(Some(3), &[another, late]).state, State::RejectedByProvider);
    }

    #[test]
    fn an_unknown_failed_step_takes_away_what_no_later_verdict_gave() {
        let green = fact(3, Event::ProviderApproved, 20, 20);
        for (step_at, expected) in [(30, State::OnHoldByProvider), (10, State::Approved)] {
            let step = fact(9, Event::ProviderStepFailed, step_at, 90);
            assert_eq!(approved_on(Some(3), &[green.clone(), step]).state, expected, "{step_at}");
        }
        let known = fact(4, Event::ProviderStepFailed, 30, 30);
        assert_eq!(approved_on(Some(4), &[green, known.clone()]).state, State::Approved);
        // A failed step never hides a verdict, known or not.
        let rejection = fact(9, Event::ProviderRejected, 10, 90);
        let fallen = approved_on(Some(4), &[known, rejection]);
        assert_eq!(fallen.state, State::RejectedByProvider);
        let told =
            [fact(1, Event::ProviderRejected, 10, 10), fact(2, Event::ProviderStepFailed, 20, 20)];
        assert!(matches!(overrule(&told, Some("x")), Some(Overrule::Against { .. })));
    }

    #[test]
    fn a_failed_steps_hold_waits_for_the_workflows_end() {
        let held =
            [fact(1, Event::ProviderApproved, 10, 10), fact(2, Event::ProviderStepFailed, 20, 20)];
        for (next, expected) in [
            (Event::ProviderPending, State::OnHoldByProvider),
            (Event::ProviderAwaitingUser, State::OnHoldByProvider),
            (Event::ProviderStepFailed, State::OnHoldByProvider),
            (Event::ProviderApproved, State::Approved),
            (Event::ProviderRetry, State::ResubmissionRequired),
            (Event::ProviderReset, State::ResubmissionRequired),
        ] {
            let facts = [&held[..], &[fact(3, next, 30, 30)]].concat();
            assert_eq!(rebuilt(&facts).state, expected, "{next:?}");
        }
        // Another hold is none of a step's, nor is the next one after the workflow has ended.
        let whole =
            [fact(1, Event::ProviderOnHold, 10, 10), fact(2, Event::ProviderPending, 20, 20)];
        assert_eq!(rebuilt(&whole).state, State::Pending);
        let ended = [
            &held[..],
            &[
                fact(3, Event::ProviderApproved, 30, 30),
                fact(4, Event::ProviderOnHold, 40, 40),
                fact(5, Event::ProviderPending, 50, 50),
            ],
        ]
        .concat();
        assert_eq!(rebuilt(&ended).state, State::Pending);
    }

    #[test]
    fn the_approval_that_stands_is_named() {
        let green = |sequence, ms| fact(sequence, Event::ProviderApproved, ms, ms);
        let sequence = |facts: &[Fact]| Verification::approval(facts).map(|it| it.sequence);
        assert_eq!(sequence(&[]), None);
        assert_eq!(sequence(&[green(1, 10)]), Some(1));
        assert_eq!(sequence(&[green(1, 10), green(2, 20)]), Some(2), "the renewal");
        let anothers = of("z", green(2, 20));
        assert_eq!(sequence(&[green(1, 10), anothers]), Some(1));
        let outranked = [green(1, 10), own(2, Event::OperatorHold, 20), green(3, 30)];
        assert_eq!(sequence(&outranked), None, "it does not stand");
        let decided = [&outranked[..], &[own(4, Event::OperatorApprove, 40)]].concat();
        assert_eq!(sequence(&decided), Some(4));
    }

    #[test]
    fn the_approval_that_ran_out_is_named_by_its_end() {
        let green = |sequence, ms| fact(sequence, Event::ProviderApproved, ms, ms);
        let named = |facts: &[Fact]| rebuilt(facts).approved_by(facts).map(|it| it.sequence);
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[green(1, 10), green(2, 20)]), Some(2));
        let twins = [green(2, 20), Fact { sequence: 1, ..green(2, 20) }];
        assert_eq!(named(&twins), Some(1), "of twins the first");
        let operators = [own(1, Event::OperatorHold, 10), own(2, Event::OperatorApprove, 20)];
        assert_eq!(named(&operators), Some(2));
        // One of another applicant that ends at the same instant is none.
        let anothers = [of("z", Fact { sequence: 0, ..green(0, 20) }), green(1, 20)];
        assert_eq!(rebuilt(&anothers[1..]).approved_by(&anothers).map(|it| it.sequence), Some(1));
        let other_events = [fact(0, Event::ProviderPending, 20, 20), green(1, 20)];
        assert_eq!(rebuilt(&other_events[1..]).approved_by(&other_events).unwrap().sequence, 1);
    }

    #[test]
    fn an_approval_overrules_the_newest_verdict_on_the_current_applicant() {
        let against = |verdict, ms| Some(Overrule::Against { verdict, at: at(ms) });
        let green = fact(1, Event::ProviderApproved, 10, 10);
        for (newest, expected) in [
            (Event::ProviderRejected, against(Event::ProviderRejected, 20)),
            (Event::ProviderRetry, against(Event::ProviderRetry, 20)),
            (Event::ProviderReset, against(Event::ProviderReset, 20)),
            (Event::ProviderOnHold, None),
            (Event::ProviderStepFailed, None),
            (Event::ProviderApproved, None),
            (Event::ProviderPending, None),
        ] {
            // Known before or after the GREEN: Sumsub's own instants tell which is newer.
            for sequence in [0, 2] {
                let facts = [green.clone(), fact(sequence, newest, 20, 20)];
                assert_eq!(overrule(&facts, Some("x")), expected, "{newest:?}");
            }
        }
        let of_another = [green, of("z", fact(2, Event::ProviderRejected, 20, 20))];
        assert_eq!(overrule(&of_another, Some("x")), None);
        assert_eq!(overrule(&of_another, Some("y")), Some(Overrule::NoCheck));
        assert_eq!(overrule(&of_another, None), Some(Overrule::NoCheck));
        let waits = [fact(1, Event::ProviderPending, 10, 10)];
        assert_eq!(overrule(&waits, Some("x")), Some(Overrule::NoCheck));
    }

    #[test]
    fn a_decision_is_based_on_what_sumsub_and_operators_said() {
        assert_eq!(newest_said(&[]), 0);
        for event in Event::ALL {
            let said = event.is_provider() || event.is_operator();
            let facts = [own(3, Event::OperatorHold, 10), fact(7, event, 20, 20)];
            assert_eq!(newest_said(&facts), if said { 7 } else { 3 }, "{event:?}");
        }
    }

    fn unsure(boot: &str, uptime_ms: i64, it: Fact) -> Fact {
        Fact { clock: Some(FactClock::Unsure { boot_id: boot.to_owned(), uptime_ms }), ..it }
    }

    fn correction(sequence: i64, boot: &str, booted_at_ms: i64) -> Fact {
        let clock = FactClock::Corrected { boot_id: boot.to_owned(), booted_at: at(booted_at_ms) };
        Fact { clock: Some(clock), ..own(sequence, Event::ClockCorrected, 0) }
    }

    #[test]
    fn what_a_wrong_clock_dated_is_moved_to_its_true_place() {
        // The clock was 600 fast: the operator asked again at 100 by Sumsub's time, the session was at
        // 110, and Sumsub approved at 160.
        let fast = [
            unsure("b", 30, own(1, Event::OperatorHold, 690)),
            unsure("b", 40, own(2, Event::OperatorResubmit, 700)),
            unsure("b", 50, fact(3, Event::SessionStarted, 710, 710)),
            fact(4, Event::ProviderApproved, 160, 160),
        ];
        assert_eq!(rebuilt(&fast).state, State::Pending);
        for (boot, booted_at, expected) in
            [("b", 60, State::Approved), ("b", 130, State::Pending), ("c", 60, State::Pending)]
        {
            let mut facts = fast.to_vec();
            facts.push(correction(5, boot, booted_at));
            assert_eq!(rebuilt(&facts).state, expected, "{boot} {booted_at}");
        }
        // A correction says nothing of what is recorded after it.
        let mut early = fast.to_vec();
        early[0].sequence = 11;
        early[1].sequence = 12;
        early[2].sequence = 13;
        early[3].sequence = 14;
        early.push(correction(5, "b", 60));
        assert_eq!(rebuilt(&early).state, State::Pending);
    }

    #[test]
    fn a_moved_fact_of_ours_stays_behind_what_its_maker_had_seen_and_what_we_did_before() {
        let facts = [
            fact(1, Event::ProviderApproved, 500, 500),
            unsure("b", 10, own(2, Event::OperatorHold, 501)),
            unsure("b", 5, own(3, Event::OperatorApprove, 502)),
            fact(4, Event::ProviderPending, 200, 600),
            correction(5, "b", 100),
        ];
        let instants: Vec<i64> = placed(&facts).iter().map(|it| it.happened_at.as_ms()).collect();
        assert_eq!(
            instants,
            [500, 501, 501, 200, 0],
            "and no correction pushes what comes after it"
        );
        let uncorrected = &facts[..4];
        assert!(matches!(placed(uncorrected), Cow::Borrowed(_)));
    }

    #[test]
    fn the_newest_correction_of_a_run_of_the_machine_counts() {
        let facts = [
            unsure("b", 10, own(1, Event::OperatorHold, 900)),
            correction(2, "b", 100),
            correction(3, "b", 200),
            correction(4, "c", 300),
        ];
        assert_eq!(placed(&facts)[0].happened_at, at(210));
    }

    proptest::proptest! {
        #[test]
        fn every_order_of_arrival_folds_to_the_same_state(
            events in proptest::collection::vec((0..8usize, 0..8i64, 0..2usize), 1..12),
            seed in 0..1000usize,
        ) {
            let provider: Vec<Event> = Event::ALL.into_iter().filter(|it| it.is_provider()).collect();
            let facts: Vec<Fact> = std::iter::once(fact(0, Event::SessionStarted, 3, 3))
                .chain(events.iter().enumerate().map(|(index, (kind, instant, applicant))| {
                    let sequence = i64::try_from(index + 1).unwrap();
                    of(["x", "y"][*applicant], fact(sequence, provider[*kind], *instant, sequence))
                }))
                .collect();
            let mut shuffled = facts.clone();
            for index in 1..shuffled.len() {
                shuffled.swap(index, (seed * 7 + index * 13) % (index + 1));
            }
            for (sequence, it) in shuffled.iter_mut().enumerate() {
                if it.event.is_provider() {
                    it.sequence = i64::try_from(sequence + 1).unwrap();
                }
            }

            let (one, two) = (fold(&facts, at(0)).0, fold(&shuffled, at(0)).0);

            proptest::prop_assert_eq!(one, two);
        }
    }
}
