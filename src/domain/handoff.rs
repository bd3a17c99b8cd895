//! Where a customer stands on the way that a hand-off link leads: sign the letter, then verify.
//!
//! ```text
//!   Sign ──signed──▶ Verify ──handed in──▶ Review ──▶ Done
//!                      ▲                     │ ▲
//!                      └────── Repeat ◀──────┘ └─ Hold      Rejected
//!   ended from anywhere: Revoked (the link), Withdrawn (the LOA), Expired (the approval it led to)
//!   Ended: the link's own time was over before it signed
//! ```
//! Derived from facts at an instant, and never stored; a browser's word counts for nothing.

use serde::{Deserialize, Serialize};

use crate::domain::authorization::AuthorizationStatus;
use crate::domain::fold::{Fact, Standing, Verification};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{Event, Status};

/// Where the customer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The letter waits for its signature.
    Sign,
    /// Signed; the customer has to hand in what Sumsub asks for.
    Verify,
    /// Something has to be handed in again.
    Repeat,
    /// Handed in; Sumsub is checking.
    Review,
    /// A person has to decide.
    Hold,
    /// Signed and approved.
    Done,
    /// The verification was declined for good.
    Rejected,
    /// The link was revoked.
    Revoked,
    /// The link's time was over before the letter was signed: it does not sign any more.
    Ended,
    /// The LOA was revoked: there is nothing left to do by this link.
    Withdrawn,
    /// The approval that this link led to has expired: a new session needs a new link.
    Expired,
}

impl Stage {
    /// The word by which programs know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Repeat => "repeat",
            Self::Review => "review",
            Self::Hold => "hold",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    /// Whether a token for Sumsub's `WebSDK` may be given.
    pub fn opens_verification(self) -> bool {
        match self {
            Self::Verify | Self::Repeat | Self::Review | Self::Hold => true,
            Self::Sign
            | Self::Done
            | Self::Rejected
            | Self::Revoked
            | Self::Ended
            | Self::Withdrawn
            | Self::Expired => false,
        }
    }

    /// Whether the link leads nowhere any more, so that its customer needs another one.
    pub fn is_end(self) -> bool {
        match self {
            Self::Revoked | Self::Ended | Self::Withdrawn | Self::Expired => true,
            Self::Sign
            | Self::Verify
            | Self::Repeat
            | Self::Review
            | Self::Hold
            | Self::Done
            | Self::Rejected => false,
        }
    }
}

/// A link itself, whatever it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStanding {
    /// It leads on.
    Good,
    /// It was revoked.
    Revoked,
    /// Its time was over before the letter was signed.
    Ended,
}

impl LinkStanding {
    /// How a link stands at `now`. A link by which the letter was signed, or that had not ended when it
    /// was signed another way, goes on leading to the verification and the receipt.
    pub fn of(
        revoked_at: Option<Timestamp>,
        expires_at: Timestamp,
        signed: Option<LetterSigned>,
        now: Timestamp,
    ) -> Self {
        let ended_unsigned = match signed {
            Some(it) => !it.by_this_link && expires_at <= it.at,
            None => expires_at <= now,
        };
        match revoked_at {
            Some(_) => Self::Revoked,
            None if ended_unsigned => Self::Ended,
            None => Self::Good,
        }
    }
}

/// When a letter was signed, as a link sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterSigned {
    /// When that became known: the date on a paper may lie before the end of a link that had ended when
    /// the paper was recorded, and does not revive it.
    pub at: Timestamp,
    /// Whether this very link signed it.
    pub by_this_link: bool,
}

/// What a link is good for, for those who hand it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStatus {
    /// It can sign.
    Live,
    /// The letter is signed, and the link leads to the verification.
    Signed,
    /// Its time was over before the letter was signed.
    Ended,
    /// It was revoked.
    Revoked,
    /// Its LOA was revoked.
    Withdrawn,
    /// The approval that it led to has expired.
    Expired,
}

impl LinkStatus {
    /// The status of a link at this stage.
    pub fn of(stage: Stage, letter: AuthorizationStatus) -> Self {
        match stage {
            Stage::Ended => Self::Ended,
            Stage::Revoked => Self::Revoked,
            Stage::Withdrawn => Self::Withdrawn,
            Stage::Expired => Self::Expired,
            Stage::Sign
            | Stage::Verify
            | Stage::Repeat
            | Stage::Review
            | Stage::Hold
            | Stage::Done
            | Stage::Rejected => match letter {
                AuthorizationStatus::Pending => Self::Live,
                AuthorizationStatus::Active => Self::Signed,
                AuthorizationStatus::Revoked => Self::Withdrawn,
            },
        }
    }

    /// The word by which programs know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Signed => "SIGNED",
            Self::Ended => "ENDED",
            Self::Revoked => "REVOKED",
            Self::Withdrawn => "WITHDRAWN",
            Self::Expired => "EXPIRED",
        }
    }
}

/// The headers of a signer's request that name a client's address, for the record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressHeaders {
    /// Names and values, as they came.
    pub headers: Vec<(String, String)>,
    /// Whether one of them names another address than the one on record.
    pub disagree: bool,
}

/// What a verification says about the way of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How the verification stands.
    pub standing: Standing,
    /// The newest thing that Sumsub said of the current applicant. `ProviderPending`: it has what it
    /// asked for, and is working.
    pub newest: Option<Event>,
    /// When the first approval after the link was made became known.
    pub approved_at: Option<Timestamp>,
}

impl Progress {
    /// Reads it off the facts.
    pub fn of(
        verification: &Verification,
        facts: &[Fact],
        link_made_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            standing: verification.at(now),
            newest: newest(verification, facts),
            approved_at: facts
                .iter()
                .filter(|it| matches!(it.event, Event::ProviderApproved | Event::OperatorApprove))
                .map(|it| it.known_at)
                .find(|it| *it >= link_made_at),
        }
    }
}

/// The newest thing that Sumsub said of the current applicant.
pub fn newest(verification: &Verification, facts: &[Fact]) -> Option<Event> {
    facts
        .iter()
        .filter(|it| it.event.is_provider() && it.applicant_id == verification.applicant_id)
        .max_by_key(|it| (it.happened_at, it.sequence))
        .map(|it| it.event)
}

/// The stage of a link that stands like this, and whose LOA and progress are these.
pub fn stage(link: LinkStanding, letter: AuthorizationStatus, progress: Progress) -> Stage {
    let Progress { standing, newest, approved_at } = progress;
    let letter_is_signed = match (link, letter) {
        (LinkStanding::Revoked, _) => return Stage::Revoked,
        // Before a revocation of the LOA: the receipt is not for a link that ended unsigned.
        (LinkStanding::Ended, _) => return Stage::Ended,
        (LinkStanding::Good, AuthorizationStatus::Revoked) => return Stage::Withdrawn,
        (LinkStanding::Good, AuthorizationStatus::Pending) => false,
        (LinkStanding::Good, AuthorizationStatus::Active) => true,
    };
    match standing.status {
        Status::Rejected => Stage::Rejected,
        // A link made after the lapse leads to the next approval.
        Status::NotStarted | Status::Pending | Status::ResubmissionRequired
            if standing.lapsed && approved_at.is_some() =>
        {
            Stage::Expired
        }
        _ if !letter_is_signed => Stage::Sign,
        Status::Approved => Stage::Done,
        Status::OnHold => Stage::Hold,
        Status::ResubmissionRequired => Stage::Repeat,
        Status::NotStarted | Status::Pending => match newest {
            Some(Event::ProviderPending) => Stage::Review,
            Some(_) | None => Stage::Verify,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(status: Status) -> Progress {
        let standing = Standing { status, updated_at: Timestamp::from_ms(5), lapsed: false };
        Progress { standing, newest: None, approved_at: None }
    }

    #[test]
    fn the_letter_comes_first_and_an_end_is_an_end() {
        use AuthorizationStatus::{Active, Pending, Revoked};
        for (status, unsigned, signed) in [
            (Status::NotStarted, Stage::Sign, Stage::Verify),
            (Status::Pending, Stage::Sign, Stage::Verify),
            (Status::Approved, Stage::Sign, Stage::Done),
            (Status::OnHold, Stage::Sign, Stage::Hold),
            (Status::ResubmissionRequired, Stage::Sign, Stage::Repeat),
            (Status::Rejected, Stage::Rejected, Stage::Rejected),
        ] {
            let it = progress(status);
            assert_eq!(stage(LinkStanding::Good, Pending, it), unsigned, "{status:?}");
            assert_eq!(stage(LinkStanding::Good, Active, it), signed, "{status:?}");
            assert_eq!(stage(LinkStanding::Good, Revoked, it), Stage::Withdrawn);
            for letter in [Pending, Active, Revoked] {
                assert_eq!(stage(LinkStanding::Revoked, letter, it), Stage::Revoked);
            }
            assert_eq!(stage(LinkStanding::Ended, Pending, it), Stage::Ended);
            assert_eq!(stage(LinkStanding::Ended, Revoked, it), Stage::Ended);
        }
        let handed_in =
            Progress { newest: Some(Event::ProviderPending), ..progress(Status::Pending) };
        assert_eq!(stage(LinkStanding::Good, Active, handed_in), Stage::Review);
    }

    #[test]
    fn a_link_ends_unsigned_and_outlives_its_end_once_it_was_signed_in_time() {
        let at = Timestamp::from_ms;
        let signed = |ms, by_this_link| Some(LetterSigned { at: at(ms), by_this_link });
        for (signed, now, standing) in [
            (None, 99, LinkStanding::Good),
            (None, 100, LinkStanding::Ended),
            (signed(99, false), 500, LinkStanding::Good),
            (signed(100, false), 500, LinkStanding::Ended),
            // Links of before had no end.
            (signed(300, true), 500, LinkStanding::Good),
        ] {
            let of = |revoked_at| LinkStanding::of(revoked_at, at(100), signed, at(now));
            assert_eq!(of(None), standing, "{signed:?} {now}");
            assert_eq!(of(Some(at(1))), LinkStanding::Revoked);
        }
    }

    #[test]
    fn a_link_expires_with_the_approval_it_led_to_and_not_with_an_older_one() {
        let mut it = progress(Status::ResubmissionRequired);
        it.standing.lapsed = true;
        assert_eq!(stage(LinkStanding::Good, AuthorizationStatus::Active, it), Stage::Repeat);
        it.approved_at = Some(Timestamp::from_ms(1));
        assert_eq!(stage(LinkStanding::Good, AuthorizationStatus::Active, it), Stage::Expired);
    }
    #[test]
    fn a_lapse_after_an_approval_of_the_link_ends_it_whatever_else_is_under_way() {
        for (status, lapsed) in [
            (Status::NotStarted, Stage::Expired),
            (Status::Pending, Stage::Expired),
            (Status::ResubmissionRequired, Stage::Expired),
            (Status::Approved, Stage::Done),
            (Status::OnHold, Stage::Hold),
            (Status::Rejected, Stage::Rejected),
        ] {
            let mut it = progress(status);
            it.approved_at = Some(Timestamp::from_ms(1));
            assert_ne!(
                stage(LinkStanding::Good, AuthorizationStatus::Active, it),
                Stage::Expired,
                "{status:?}"
            );
            it.standing.lapsed = true;
            assert_eq!(
                stage(LinkStanding::Good, AuthorizationStatus::Active, it),
                lapsed,
                "{status:?}"
            );
        }
    }

    #[test]
    fn only_a_signed_letter_on_its_way_to_a_verdict_opens_the_verification() {
        for (stage, word, opens) in [
            (Stage::Sign, "sign", false),
            (Stage::Verify, "verify", true),
            (Stage::Repeat, "repeat", true),
            (Stage::Review, "review", true),
            (Stage::Hold, "hold", true),
            (Stage::Done, "done", false),
            (Stage::Rejected, "rejected", false),
            (Stage::Revoked, "revoked", false),
            (Stage::Ended, "ended", false),
            (Stage::Withdrawn, "withdrawn", false),
            (Stage::Expired, "expired", false),
        ] {
            assert_eq!((stage.as_str(), stage.opens_verification()), (word, opens));
        }
    }

    fn fact(sequence: i64, event: Event, ms: i64, applicant: &str) -> Fact {
        Fact {
            sequence,
            event,
            happened_at: Timestamp::from_ms(ms),
            known_at: Timestamp::from_ms(ms),
            applicant_id: Some(applicant.to_owned()),
            begun_at: None,
            valid_days: 0,
            level: None,
            basis: None,
            clock: None,
        }
    }

    #[test]
    fn the_newest_is_what_sumsub_said_last_of_the_current_applicant() {
        let mut verification = Verification::new(Timestamp::from_ms(0));
        verification.applicant_id = Some("current".to_owned());
        let facts = [
            fact(1, Event::ProviderRetry, 30, "current"),
            fact(2, Event::ProviderPending, 30, "current"),
            fact(3, Event::ProviderAwaitingUser, 20, "current"),
            fact(4, Event::SessionStarted, 40, "current"),
            fact(5, Event::ProviderRejected, 50, "another"),
        ];

        assert_eq!(newest(&verification, &facts), Some(Event::ProviderPending));
        let progress = |facts| {
            Progress::of(&verification, facts, Timestamp::from_ms(0), Timestamp::from_ms(60))
        };
        assert_eq!(progress(&facts[..]).newest, Some(Event::ProviderPending));
        assert_eq!(progress(&facts[3..]).newest, None);
        assert_eq!(progress(&facts[..]).standing, verification.at(Timestamp::from_ms(60)));
    }

    #[test]
    fn a_link_leads_to_the_first_approval_known_since_it_was_made() {
        let verification = Verification::new(Timestamp::from_ms(0));
        let facts = [
            fact(1, Event::ProviderApproved, 10, "a"),
            fact(2, Event::OperatorHold, 20, "a"),
            fact(3, Event::OperatorApprove, 30, "a"),
            fact(4, Event::ProviderApproved, 40, "a"),
        ];
        for (made_at, approved_at) in
            [(9, Some(10)), (10, Some(10)), (11, Some(30)), (31, Some(40)), (41, None)]
        {
            let (made_at, now) = (Timestamp::from_ms(made_at), Timestamp::from_ms(50));
            let progress = Progress::of(&verification, &facts, made_at, now);
            assert_eq!(progress.approved_at, approved_at.map(Timestamp::from_ms), "{made_at}");
        }
    }
}
