//! The fold: what the recorded facts of one organization's verification come to, at an instant.
//!
//! Facts fold in the order in which they *happened*, not in which they arrived: a late one takes its
//! place, and the status is what it would have been had it come in time. So every order and
//! duplication of the same deliveries gives the same status. `updated_at` alone follows the order of
//! knowing: it is when readers saw the status change. An expiry is an instant and needs no timer.

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
    /// between this instant and our commit counts right after the commit.
    pub begun_at: Option<Timestamp>,
    /// For an approval: how many days it is valid, by the configuration of that day; 0 = for ever.
    pub valid_days: u32,
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

    /// The verification after one more fact was recorded at `now`: the fold of `facts` (all of
    /// them, in any order), `updated_at` moved only if readers see another status than before.
    #[must_use]
    pub fn after(&self, facts: &[Fact], now: Timestamp) -> Self {
        let before = self.at(now);
        let mut after = fold(facts, self.updated_at);
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

/// Folds facts in the order in which they happened.
fn fold(facts: &[Fact], created_at: Timestamp) -> Verification {
    let mut ordered: Vec<&Fact> = facts.iter().collect();
    ordered.sort_by(|left, right| order_of_happening(left, right));
    let mut fold = Fold {
        verification: Verification::new(created_at),
        audit_links: BTreeSet::new(),
        aside: Vec::new(),
    };
    for fact in ordered {
        fold.take(fact);
    }
    fold.verification
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
        Event::ProviderOnHold => 6,
        Event::ProviderRejected => 7,
        Event::SessionStarted
        | Event::ImportAccepted
        | Event::OperatorHold
        | Event::OperatorApprove
        | Event::OperatorReject
        | Event::OperatorResubmit
        | Event::OperatorReopen => 0,
    }
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
    verification: Verification,
    /// Applicants that an import linked without taking over.
    audit_links: BTreeSet<&'a str>,
    /// Provider's facts about applicants that are not (yet) the current one.
    aside: Vec<&'a Fact>,
}

impl<'a> Fold<'a> {
    fn take(&mut self, fact: &'a Fact) {
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

    fn apply(&mut self, fact: &Fact, at: Timestamp) {
        self.expire(at);
        match step_in_retrospect(self.verification.state, fact.event) {
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

    proptest::proptest! {
        #[test]
        fn every_order_of_arrival_folds_to_the_same_state(
            events in proptest::collection::vec((0..6usize, 0..8i64, 0..2usize), 1..12),
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

            let (one, two) = (fold(&facts, at(0)), fold(&shuffled, at(0)));

            proptest::prop_assert_eq!(one, two);
        }
    }
}
