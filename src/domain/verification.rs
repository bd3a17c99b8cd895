//! The words of a verification (status, state, event) and the transition table.
//!
//! ```text
//!                  session/import          approved
//!   NOT_STARTED ───────────────▶ PENDING ───────────▶ APPROVED ──expiry──▶ RESUBMISSION_REQUIRED
//!                                │  │  ▲                                         │
//!                       rejected │  │  └───────────── session, import ───────────┘
//!                                ▼  ▼ on hold
//!                         REJECTED  ON_HOLD          (the provider may move any of these again;
//!                                                     an operator's decision outranks it)
//! ```
//! The whole table is [`step`], contract §6. A status is never set: it is what the recorded facts
//! fold to through this table (`fold.rs`).

/// The status that readers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// No session has been opened.
    NotStarted,
    /// A session was opened; the customer or the provider is at work.
    Pending,
    /// Verified.
    Approved,
    /// Declined for good.
    Rejected,
    /// Waiting for a person's decision.
    OnHold,
    /// The customer must submit something again, or the approval has expired.
    ResubmissionRequired,
}

impl Status {
    /// Every status, in the contract's order.
    pub const ALL: [Self; 6] = [
        Self::NotStarted,
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::OnHold,
        Self::ResubmissionRequired,
    ];

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "NOT_STARTED",
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::OnHold => "ON_HOLD",
            Self::ResubmissionRequired => "RESUBMISSION_REQUIRED",
        }
    }
}

/// Where the fold stands: a status, and for two of them who put it there, because an operator's
/// rejection or hold is not the provider's to lift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// See [`Status::NotStarted`].
    NotStarted,
    /// See [`Status::Pending`].
    Pending,
    /// See [`Status::Approved`].
    Approved,
    /// REJECTED by Sumsub.
    RejectedByProvider,
    /// REJECTED by an operator.
    RejectedByOperator,
    /// `ON_HOLD` by Sumsub.
    OnHoldByProvider,
    /// `ON_HOLD` by an operator.
    OnHoldByOperator,
    /// See [`Status::ResubmissionRequired`].
    ResubmissionRequired,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::NotStarted,
        Self::Pending,
        Self::Approved,
        Self::RejectedByProvider,
        Self::RejectedByOperator,
        Self::OnHoldByProvider,
        Self::OnHoldByOperator,
        Self::ResubmissionRequired,
    ];

    /// The word that the register keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "NOT_STARTED",
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::RejectedByProvider => "REJECTED_BY_PROVIDER",
            Self::RejectedByOperator => "REJECTED_BY_OPERATOR",
            Self::OnHoldByProvider => "ON_HOLD_BY_PROVIDER",
            Self::OnHoldByOperator => "ON_HOLD_BY_OPERATOR",
            Self::ResubmissionRequired => "RESUBMISSION_REQUIRED",
        }
    }

    /// Reads the register's word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// What readers see of it.
    pub fn status(self) -> Status {
        match self {
            Self::NotStarted => Status::NotStarted,
            Self::Pending => Status::Pending,
            Self::Approved => Status::Approved,
            Self::RejectedByProvider | Self::RejectedByOperator => Status::Rejected,
            Self::OnHoldByProvider | Self::OnHoldByOperator => Status::OnHold,
            Self::ResubmissionRequired => Status::ResubmissionRequired,
        }
    }

    /// Whether a session or an import that is accepted here makes its applicant the current one.
    /// On APPROVED and `ON_HOLD` it is linked for audit only.
    pub(super) fn lets_applicant_take_over(self) -> bool {
        match self {
            Self::NotStarted | Self::Pending | Self::ResubmissionRequired => true,
            Self::Approved
            | Self::RejectedByProvider
            | Self::RejectedByOperator
            | Self::OnHoldByProvider
            | Self::OnHoldByOperator => false,
        }
    }
}

/// What can happen to a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A session was opened for the customer.
    SessionStarted,
    /// Sumsub accepted a share token and made an applicant of it.
    ImportAccepted,
    /// Sumsub has what it asked for, and is working.
    ProviderPending,
    /// Sumsub waits for the customer, who has handed in a part.
    ProviderAwaitingUser,
    /// Sumsub's verdict: GREEN.
    ProviderApproved,
    /// Sumsub's verdict: RED, FINAL.
    ProviderRejected,
    /// Sumsub's verdict: RED, to be tried again.
    ProviderRetry,
    /// Sumsub needs a manual decision, or a company waits for its people.
    ProviderOnHold,
    /// Reset, level changed, or the applicant is gone: what was checked no longer counts.
    ProviderReset,
    /// A step of a workflow ended RED or on hold, and the workflow itself has not ended.
    ProviderStepFailed,
    /// An operator held the verification.
    OperatorHold,
    /// An operator released a hold as approved.
    OperatorApprove,
    /// An operator released a hold as rejected.
    OperatorReject,
    /// An operator released a hold by asking the customer to submit again.
    OperatorResubmit,
    /// An operator reopened a rejection.
    OperatorReopen,
    /// Sumsub's time became known, and what this machine's clock had dated before is dated by it.
    ClockCorrected,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 16] = [
        Self::SessionStarted,
        Self::ImportAccepted,
        Self::ProviderPending,
        Self::ProviderAwaitingUser,
        Self::ProviderApproved,
        Self::ProviderRejected,
        Self::ProviderRetry,
        Self::ProviderOnHold,
        Self::ProviderReset,
        Self::ProviderStepFailed,
        Self::OperatorHold,
        Self::OperatorApprove,
        Self::OperatorReject,
        Self::OperatorResubmit,
        Self::OperatorReopen,
        Self::ClockCorrected,
    ];

    /// The word that the register keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionStarted => "session_started",
            Self::ImportAccepted => "import_accepted",
            Self::ProviderPending => "provider_pending",
            Self::ProviderAwaitingUser => "provider_awaiting_user",
            Self::ProviderApproved => "provider_approved",
            Self::ProviderRejected => "provider_rejected",
            Self::ProviderRetry => "provider_retry",
            Self::ProviderOnHold => "provider_on_hold",
            Self::ProviderReset => "provider_reset",
            Self::ProviderStepFailed => "provider_step_failed",
            Self::OperatorHold => "operator_hold",
            Self::OperatorApprove => "operator_approve",
            Self::OperatorReject => "operator_reject",
            Self::OperatorResubmit => "operator_resubmit",
            Self::OperatorReopen => "operator_reopen",
            Self::ClockCorrected => "clock_corrected",
        }
    }

    /// Reads the register's word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// Whether Sumsub said it. Such facts have their place by the instant Sumsub names, not by
    /// their arrival.
    pub fn is_provider(self) -> bool {
        match self {
            Self::ProviderPending
            | Self::ProviderAwaitingUser
            | Self::ProviderApproved
            | Self::ProviderRejected
            | Self::ProviderRetry
            | Self::ProviderOnHold
            | Self::ProviderReset
            | Self::ProviderStepFailed => true,
            Self::SessionStarted
            | Self::ImportAccepted
            | Self::OperatorHold
            | Self::OperatorApprove
            | Self::OperatorReject
            | Self::OperatorResubmit
            | Self::OperatorReopen
            | Self::ClockCorrected => false,
        }
    }

    /// Whether an operator decided it.
    pub fn is_operator(self) -> bool {
        match self {
            Self::OperatorHold
            | Self::OperatorApprove
            | Self::OperatorReject
            | Self::OperatorResubmit
            | Self::OperatorReopen => true,
            Self::SessionStarted
            | Self::ImportAccepted
            | Self::ProviderPending
            | Self::ProviderAwaitingUser
            | Self::ProviderApproved
            | Self::ProviderRejected
            | Self::ProviderRetry
            | Self::ProviderOnHold
            | Self::ProviderReset
            | Self::ProviderStepFailed
            | Self::ClockCorrected => false,
        }
    }

    /// Whether Sumsub decided by it: a step's failure is not the whole's.
    pub fn is_verdict(self) -> bool {
        self.verdict().is_some() && self != Self::ProviderStepFailed
    }

    /// What Sumsub's word leaves behind where nothing else speaks; `None`: it is no verdict.
    pub(super) fn verdict(self) -> Option<State> {
        match self {
            Self::ProviderApproved => Some(State::Approved),
            Self::ProviderRejected => Some(State::RejectedByProvider),
            Self::ProviderRetry | Self::ProviderReset => Some(State::ResubmissionRequired),
            Self::ProviderOnHold | Self::ProviderStepFailed => Some(State::OnHoldByProvider),
            Self::ProviderPending
            | Self::ProviderAwaitingUser
            | Self::SessionStarted
            | Self::ImportAccepted
            | Self::OperatorHold
            | Self::OperatorApprove
            | Self::OperatorReject
            | Self::OperatorResubmit
            | Self::OperatorReopen
            | Self::ClockCorrected => None,
        }
    }

    /// Whether it brings an applicant.
    pub fn brings_applicant(self) -> bool {
        matches!(self, Self::SessionStarted | Self::ImportAccepted)
    }
}

/// What the table says to an event in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The state becomes this one.
    To(State),
    /// Accepted, and nothing changes.
    Stay,
    /// Stays APPROVED; the approval is valid anew from this event on.
    Renew,
    /// Recorded without effect: an operator's decision stands.
    Outranked,
    /// Not allowed here.
    Refused,
}

/// THE transition table of contract §6: total, and without a wildcard, so that a new state or event
/// does not compile until somebody has decided.
#[expect(clippy::too_many_lines, reason = "a table is read whole, and splitting it hides gaps")]
pub fn step(state: State, event: Event) -> Step {
    use Event as E;
    use State as S;
    use Step::{Outranked, Refused, Renew, Stay, To};
    match (state, event) {
        (
            S::NotStarted,
            E::SessionStarted | E::ImportAccepted | E::ProviderPending | E::ProviderAwaitingUser,
        ) => To(S::Pending),
        (S::NotStarted, E::ProviderReset) => Stay,

        (
            S::Pending,
            E::SessionStarted | E::ImportAccepted | E::ProviderPending | E::ProviderAwaitingUser,
        ) => Stay,
        (S::Pending, E::ProviderReset) => Stay,

        (S::Approved, E::SessionStarted | E::ImportAccepted) => Stay,
        (S::Approved, E::ProviderPending | E::ProviderAwaitingUser) => To(S::Pending),
        (S::Approved, E::ProviderApproved) => Renew,
        (S::Approved, E::ProviderReset) => To(S::ResubmissionRequired),

        (S::RejectedByProvider | S::RejectedByOperator, E::SessionStarted | E::ImportAccepted) => {
            Refused
        }
        (S::RejectedByProvider | S::RejectedByOperator, E::ProviderRejected) => Stay,
        (S::RejectedByProvider, E::ProviderPending | E::ProviderAwaitingUser) => To(S::Pending),
        (S::RejectedByProvider, E::ProviderReset) => To(S::ResubmissionRequired),
        (
            S::RejectedByOperator,
            E::ProviderPending
            | E::ProviderAwaitingUser
            | E::ProviderApproved
            | E::ProviderRetry
            | E::ProviderOnHold
            | E::ProviderReset
            | E::ProviderStepFailed,
        ) => Outranked,

        (S::OnHoldByProvider | S::OnHoldByOperator, E::SessionStarted | E::ImportAccepted) => Stay,
        (S::OnHoldByProvider | S::OnHoldByOperator, E::ProviderOnHold) => Stay,
        (S::OnHoldByProvider, E::ProviderPending | E::ProviderAwaitingUser) => To(S::Pending),
        (S::OnHoldByProvider, E::ProviderReset) => To(S::ResubmissionRequired),
        (
            S::OnHoldByOperator,
            E::ProviderPending
            | E::ProviderAwaitingUser
            | E::ProviderApproved
            | E::ProviderRejected
            | E::ProviderRetry
            | E::ProviderReset
            | E::ProviderStepFailed,
        ) => Outranked,

        // A step that went wrong takes an approval away until the workflow itself has ended; where
        // there is none to take away it says nothing about the whole.
        (S::Approved, E::ProviderStepFailed) => To(S::OnHoldByProvider),
        (
            S::NotStarted
            | S::Pending
            | S::RejectedByProvider
            | S::OnHoldByProvider
            | S::ResubmissionRequired,
            E::ProviderStepFailed,
        ) => Stay,
        // It moves facts to their places; the fold of them in those places says the rest.
        (
            S::NotStarted
            | S::Pending
            | S::Approved
            | S::RejectedByProvider
            | S::RejectedByOperator
            | S::OnHoldByProvider
            | S::OnHoldByOperator
            | S::ResubmissionRequired,
            E::ClockCorrected,
        ) => Stay,

        (
            S::ResubmissionRequired,
            E::SessionStarted | E::ImportAccepted | E::ProviderPending | E::ProviderAwaitingUser,
        ) => To(S::Pending),
        (S::ResubmissionRequired, E::ProviderRetry | E::ProviderReset) => Stay,

        (
            S::NotStarted
            | S::Pending
            | S::RejectedByProvider
            | S::OnHoldByProvider
            | S::ResubmissionRequired,
            E::ProviderApproved,
        ) => To(S::Approved),
        (
            S::NotStarted
            | S::Pending
            | S::Approved
            | S::OnHoldByProvider
            | S::ResubmissionRequired,
            E::ProviderRejected,
        ) => To(S::RejectedByProvider),
        (
            S::NotStarted | S::Pending | S::Approved | S::RejectedByProvider | S::OnHoldByProvider,
            E::ProviderRetry,
        ) => To(S::ResubmissionRequired),
        (
            S::NotStarted
            | S::Pending
            | S::Approved
            | S::RejectedByProvider
            | S::ResubmissionRequired,
            E::ProviderOnHold,
        ) => To(S::OnHoldByProvider),

        (S::OnHoldByOperator, E::OperatorHold) => Stay,
        (
            S::NotStarted
            | S::Pending
            | S::Approved
            | S::RejectedByProvider
            | S::RejectedByOperator
            | S::OnHoldByProvider
            | S::ResubmissionRequired,
            E::OperatorHold,
        ) => To(S::OnHoldByOperator),
        (S::OnHoldByProvider | S::OnHoldByOperator, E::OperatorApprove) => To(S::Approved),
        (S::OnHoldByProvider | S::OnHoldByOperator, E::OperatorReject) => To(S::RejectedByOperator),
        (S::OnHoldByProvider | S::OnHoldByOperator, E::OperatorResubmit) => {
            To(S::ResubmissionRequired)
        }
        (S::RejectedByProvider | S::RejectedByOperator, E::OperatorReopen) => {
            To(S::ResubmissionRequired)
        }
        (
            S::NotStarted
            | S::Pending
            | S::Approved
            | S::RejectedByProvider
            | S::RejectedByOperator
            | S::ResubmissionRequired,
            E::OperatorApprove | E::OperatorReject | E::OperatorResubmit,
        ) => Refused,
        (
            S::NotStarted
            | S::Pending
            | S::Approved
            | S::OnHoldByProvider
            | S::OnHoldByOperator
            | S::ResubmissionRequired,
            E::OperatorReopen,
        ) => Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contract §6, typed in again cell by cell: rows are the statuses, columns the first eight
    /// events. `=` is "no change", `a`/`b` are the contract's footnotes.
    const TABLE: [(Status, [&str; 8]); 6] = [
        (
            Status::NotStarted,
            [
                "PENDING",
                "PENDING",
                "PENDING",
                "APPROVED",
                "REJECTED",
                "RESUBMISSION_REQUIRED",
                "ON_HOLD",
                "=",
            ],
        ),
        (
            Status::Pending,
            ["=", "=", "=", "APPROVED", "REJECTED", "RESUBMISSION_REQUIRED", "ON_HOLD", "="],
        ),
        (
            Status::Approved,
            [
                "=",
                "=",
                "PENDING",
                "=",
                "REJECTED",
                "RESUBMISSION_REQUIRED",
                "ON_HOLD",
                "RESUBMISSION_REQUIRED",
            ],
        ),
        (
            Status::Rejected,
            ["refused", "refused", "a", "a", "=", "a", "a", "a RESUBMISSION_REQUIRED"],
        ),
        (Status::OnHold, ["=", "=", "b", "b", "b", "b", "=", "b RESUBMISSION_REQUIRED"]),
        (
            Status::ResubmissionRequired,
            ["PENDING", "PENDING", "PENDING", "APPROVED", "REJECTED", "=", "ON_HOLD", "="],
        ),
    ];

    const COLUMNS: [Event; 8] = [
        Event::SessionStarted,
        Event::ImportAccepted,
        Event::ProviderPending,
        Event::ProviderApproved,
        Event::ProviderRejected,
        Event::ProviderRetry,
        Event::ProviderOnHold,
        Event::ProviderReset,
    ];

    /// What a cell promises in a state: the status afterwards, or `None` for "refused".
    fn promised(state: State, cell: &str, event: Event) -> Option<Status> {
        let operator_decided = matches!(state, State::RejectedByOperator | State::OnHoldByOperator);
        let by_its_event = |event: Event| match event {
            Event::ProviderPending | Event::ProviderAwaitingUser => Status::Pending,
            Event::ProviderApproved => Status::Approved,
            Event::ProviderRejected => Status::Rejected,
            Event::ProviderRetry => Status::ResubmissionRequired,
            Event::ProviderOnHold => Status::OnHold,
            Event::SessionStarted
            | Event::ImportAccepted
            | Event::ProviderReset
            | Event::ProviderStepFailed
            | Event::OperatorHold
            | Event::OperatorApprove
            | Event::OperatorReject
            | Event::OperatorResubmit
            | Event::OperatorReopen
            | Event::ClockCorrected => panic!("no footnote on {event:?}"),
        };
        match cell {
            "=" => Some(state.status()),
            "refused" => None,
            footnote if footnote.starts_with(['a', 'b']) => Some(if operator_decided {
                state.status()
            } else if footnote.ends_with("RESUBMISSION_REQUIRED") {
                Status::ResubmissionRequired
            } else {
                by_its_event(event)
            }),
            word => Status::ALL.into_iter().find(|it| it.as_str() == word),
        }
    }

    fn status_after(state: State, event: Event) -> Option<Status> {
        match step(state, event) {
            Step::To(next) => Some(next.status()),
            Step::Stay | Step::Renew | Step::Outranked => Some(state.status()),
            Step::Refused => None,
        }
    }

    #[test]
    fn every_pair_of_state_and_event_is_what_the_contract_says() {
        let mut pairs = 0;
        for state in State::ALL {
            let (_, cells) = TABLE.iter().find(|(it, _)| *it == state.status()).unwrap();
            for (event, cell) in COLUMNS.into_iter().zip(cells) {
                assert_eq!(
                    status_after(state, event),
                    promised(state, cell, event),
                    "{state:?} + {event:?}"
                );
                pairs += 1;
            }
            let from = |expected: Status, to: Status| (state.status() == expected).then_some(to);
            for (event, expected) in [
                // The contract's column "pending" holds both.
                (Event::ProviderAwaitingUser, status_after(state, Event::ProviderPending)),
                (Event::OperatorHold, Some(Status::OnHold)),
                (Event::OperatorApprove, from(Status::OnHold, Status::Approved)),
                (Event::OperatorReject, from(Status::OnHold, Status::Rejected)),
                (Event::OperatorResubmit, from(Status::OnHold, Status::ResubmissionRequired)),
                (Event::OperatorReopen, from(Status::Rejected, Status::ResubmissionRequired)),
                // Contract 9.1: on APPROVED a step that went wrong puts the case on hold; elsewhere it
                // has no effect.
                (
                    Event::ProviderStepFailed,
                    Some(if state == State::Approved { Status::OnHold } else { state.status() }),
                ),
                (Event::ClockCorrected, Some(state.status())),
            ] {
                assert_eq!(status_after(state, event), expected, "{state:?} + {event:?}");
                pairs += 1;
            }
        }
        assert_eq!(pairs, State::ALL.len() * Event::ALL.len());
    }

    #[test]
    fn an_operators_decision_is_the_operators_also_where_the_status_stays() {
        assert_eq!(
            step(State::OnHoldByProvider, Event::OperatorHold),
            Step::To(State::OnHoldByOperator)
        );
        assert_eq!(step(State::Approved, Event::ProviderApproved), Step::Renew);
    }

    #[test]
    fn a_failed_steps_hold_is_the_providers_to_lift() {
        let held = step(State::Approved, Event::ProviderStepFailed);

        assert_eq!(held, Step::To(State::OnHoldByProvider));
        assert_eq!(
            step(State::OnHoldByProvider, Event::ProviderApproved),
            Step::To(State::Approved)
        );
    }

    #[test]
    fn every_event_reads_back_and_is_somebodys() {
        for event in Event::ALL {
            assert_eq!(Event::parse(event.as_str()), Some(event));
            let own = matches!(
                event,
                Event::SessionStarted | Event::ImportAccepted | Event::ClockCorrected
            );
            let whose = [event.is_provider(), event.is_operator(), own];
            assert_eq!(whose.iter().filter(|it| **it).count(), 1, "{event:?}");
        }
        assert_eq!(Event::parse("provider_shrugged"), None);
    }

    #[test]
    fn every_state_reads_back_from_the_registers_word_and_has_its_status() {
        for (state, word, status) in [
            (State::NotStarted, "NOT_STARTED", Status::NotStarted),
            (State::Pending, "PENDING", Status::Pending),
            (State::Approved, "APPROVED", Status::Approved),
            (State::RejectedByProvider, "REJECTED_BY_PROVIDER", Status::Rejected),
            (State::RejectedByOperator, "REJECTED_BY_OPERATOR", Status::Rejected),
            (State::OnHoldByProvider, "ON_HOLD_BY_PROVIDER", Status::OnHold),
            (State::OnHoldByOperator, "ON_HOLD_BY_OPERATOR", Status::OnHold),
            (State::ResubmissionRequired, "RESUBMISSION_REQUIRED", Status::ResubmissionRequired),
        ] {
            assert_eq!((state.as_str(), state.status()), (word, status));
            assert_eq!(State::parse(word), Some(state));
        }
        assert_eq!(State::parse("ON_HOLD"), None);
    }

    #[test]
    fn a_failed_step_leaves_a_hold_behind_and_is_no_verdict() {
        for event in Event::ALL {
            let expected = match event {
                Event::ProviderApproved => Some(State::Approved),
                Event::ProviderRejected => Some(State::RejectedByProvider),
                Event::ProviderRetry | Event::ProviderReset => Some(State::ResubmissionRequired),
                Event::ProviderOnHold | Event::ProviderStepFailed => Some(State::OnHoldByProvider),
                Event::ProviderPending
                | Event::ProviderAwaitingUser
                | Event::SessionStarted
                | Event::ImportAccepted
                | Event::OperatorHold
                | Event::OperatorApprove
                | Event::OperatorReject
                | Event::OperatorResubmit
                | Event::OperatorReopen
                | Event::ClockCorrected => None,
            };
            assert_eq!(event.verdict(), expected, "{event:?}");
            let is_verdict = expected.is_some() && event != Event::ProviderStepFailed;
            assert_eq!(event.is_verdict(), is_verdict, "{event:?}");
        }
    }
}
