//! An applicant and the one table of its review statuses ("Applicant statuses", "Get applicant
//! review status"). The life is not linear: back to `init` or `pending` happens at any time, so
//! only a customer's own submission can be refused.
//!
//! ```text
//!            submit               verdict
//!   init ------------> pending ------------> completed (GREEN | RED RETRY | RED FINAL)
//!     ^                  |  precheck             |
//!     |                  v                       |  document expired, AML hit, recheck
//!     |               queued --> onHold          v
//!     +---- reset / level change --------- pending / onHold
//! ```

use super::settings::ApplicantType;
use super::tenant::TenantId;
use serde_json::{Map, Value, json};

/// Sumsub's `reviewStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReviewStatus {
    Init,
    Pending,
    Queued,
    Completed,
    OnHold,
    AwaitingUser,
    AwaitingService,
}

impl ReviewStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Completed => "completed",
            Self::OnHold => "onHold",
            Self::AwaitingUser => "awaitingUser",
            Self::AwaitingService => "awaitingService",
        }
    }
}

/// A verdict, or what is known of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReviewResult {
    /// `GREEN` or `RED`; an open string.
    pub(super) answer: String,
    /// `RETRY` or `FINAL` on RED.
    pub(super) reject_type: Option<String>,
    pub(super) labels: Vec<String>,
    /// For the applicant's eyes.
    pub(super) moderation_comment: Option<String>,
    /// Not for the applicant's eyes.
    pub(super) client_comment: Option<String>,
    pub(super) button_ids: Vec<String>,
}

impl ReviewResult {
    pub(super) fn green() -> Self {
        Self {
            answer: "GREEN".to_owned(),
            reject_type: None,
            labels: Vec::new(),
            moderation_comment: None,
            client_comment: None,
            button_ids: Vec::new(),
        }
    }

    pub(super) fn red(reject_type: &str, labels: &[&str], comment: &str) -> Self {
        Self {
            answer: "RED".to_owned(),
            reject_type: Some(reject_type.to_owned()),
            labels: labels.iter().map(|it| (*it).to_owned()).collect(),
            moderation_comment: Some(comment.to_owned()),
            client_comment: Some(format!("Simulated: {comment}")),
            button_ids: Vec::new(),
        }
    }

    pub(super) fn is_green(&self) -> bool {
        self.answer == "GREEN"
    }

    pub(super) fn is_final(&self) -> bool {
        self.answer == "RED" && self.reject_type.as_deref() == Some("FINAL")
    }

    pub(super) fn to_json(&self) -> Value {
        let mut members = Map::new();
        members.insert("reviewAnswer".to_owned(), json!(self.answer));
        for (name, value) in [
            ("reviewRejectType", &self.reject_type),
            ("moderationComment", &self.moderation_comment),
            ("clientComment", &self.client_comment),
        ] {
            if let Some(text) = value {
                members.insert(name.to_owned(), json!(text));
            }
        }
        for (name, list) in [("rejectLabels", &self.labels), ("buttonIds", &self.button_ids)] {
            if !list.is_empty() {
                members.insert(name.to_owned(), json!(list));
            }
        }
        Value::Object(members)
    }
}

/// What moves a review.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The customer hands in everything.
    Submit,
    /// The first pass over the documents is done.
    Precheck,
    /// Somebody asks for a (re)check: `status/pending`, expiry, reuse.
    Recheck,
    /// A verdict falls.
    Complete(ReviewResult),
    /// A person must decide, or a company waits for its people; the answer is often GREEN.
    Hold(ReviewResult),
    /// Back to the start: reset, level change, `-/init`.
    Restart,
    /// A workflow waits for the customer.
    AwaitUser,
    /// A workflow waits for an outside service.
    AwaitService,
    /// A workflow broke: completed without a result.
    Fail,
}

/// Why a submission is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A final rejection stands.
    FinalReject,
    /// There is nothing to hand in at this moment.
    NotAsked(ReviewStatus),
}

/// The review block.
#[derive(Clone, Debug)]
pub(super) struct Review {
    pub(super) id: String,
    pub(super) attempt_id: String,
    pub(super) attempt_count: i64,
    pub(super) status: ReviewStatus,
    /// Stale after a reset or while a workflow waits, as in captures.
    pub(super) result: Option<ReviewResult>,
    pub(super) created_at_ms: i64,
    pub(super) pending_since_ms: Option<i64>,
    pub(super) reviewed_at_ms: Option<i64>,
}

impl Review {
    /// The table.
    pub(super) fn apply(&mut self, step: Step, now_ms: i64) -> Result<(), Refused> {
        match step {
            Step::Submit => {
                self.may_submit()?;
                self.start_attempt(now_ms);
            }
            Step::Recheck => self.start_attempt(now_ms),
            Step::Precheck => self.status = ReviewStatus::Queued,
            Step::Complete(result) => {
                self.status = ReviewStatus::Completed;
                self.result = Some(result);
                self.reviewed_at_ms = Some(now_ms);
            }
            Step::Hold(result) => {
                self.status = ReviewStatus::OnHold;
                self.result = Some(result);
            }
            // The old result stays: captured on a reset, GREEN beside `init`.
            Step::Restart => {
                self.status = ReviewStatus::Init;
                self.pending_since_ms = None;
                self.reviewed_at_ms = None;
            }
            Step::AwaitUser => self.status = ReviewStatus::AwaitingUser,
            Step::AwaitService => {
                self.status = ReviewStatus::AwaitingService;
                self.result = Some(ReviewResult::green());
            }
            Step::Fail => {
                self.status = ReviewStatus::Completed;
                self.result = None;
                self.reviewed_at_ms = Some(now_ms);
            }
        }
        Ok(())
    }

    /// Whether a customer can hand anything in.
    pub(super) fn may_submit(&self) -> Result<(), Refused> {
        match self.status {
            ReviewStatus::Init | ReviewStatus::AwaitingUser => Ok(()),
            ReviewStatus::Completed => match &self.result {
                Some(result) if result.is_final() => Err(Refused::FinalReject),
                Some(result) if result.is_green() => Err(Refused::NotAsked(self.status)),
                Some(_) | None => Ok(()),
            },
            ReviewStatus::Pending
            | ReviewStatus::Queued
            | ReviewStatus::OnHold
            | ReviewStatus::AwaitingService => Err(Refused::NotAsked(self.status)),
        }
    }

    /// Whether a verdict stands that a customer cannot change.
    pub(super) fn is_finally_rejected(&self) -> bool {
        self.status == ReviewStatus::Completed
            && self.result.as_ref().is_some_and(ReviewResult::is_final)
    }

    /// Whether the verdict stands and is GREEN.
    pub(super) fn is_approved(&self) -> bool {
        self.status == ReviewStatus::Completed
            && self.result.as_ref().is_some_and(ReviewResult::is_green)
    }

    fn start_attempt(&mut self, now_ms: i64) {
        self.status = ReviewStatus::Pending;
        self.result = None;
        self.reviewed_at_ms = None;
        self.pending_since_ms = Some(now_ms);
        self.attempt_count += 1;
    }
}

/// Whether a profile takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Active,
    Deactivated,
    /// Reads answer 404, and the external id stays taken: a 409 can name an applicant that the
    /// caller cannot see (four integrators' reports).
    Deleted,
}

/// A person or a company under verification.
#[derive(Clone, Debug)]
pub(super) struct Applicant {
    pub(super) id: String,
    pub(super) inspection_id: String,
    pub(super) key: String,
    pub(super) tenant: TenantId,
    pub(super) external_user_id: String,
    pub(super) kind: ApplicantType,
    pub(super) level: String,
    pub(super) created_at_ms: i64,
    /// `email`, `phone`, `lang`, `sourceKey`, `metadata`, `questionnaires` as they were sent.
    pub(super) top_level: Map<String, Value>,
    /// What the client provided.
    pub(super) fixed_info: Map<String, Value>,
    /// What was extracted from documents.
    pub(super) extracted: Map<String, Value>,
    pub(super) tags: Vec<String>,
    /// Ids of uploaded images by document set, in order of upload.
    pub(super) documents: Vec<Document>,
    /// The company of which this person is a beneficiary.
    pub(super) member_of: Option<String>,
    pub(super) copy_of: Option<String>,
    pub(super) reuse_scope: Option<&'static str>,
    pub(super) presence: Presence,
    pub(super) blocklisted_note: Option<String>,
    pub(super) review: Review,
    /// A company whose `onHold` ends by itself once its people pass.
    pub(super) waits_for_people: bool,
    /// The `createdAtMs` of its newest event.
    pub(super) last_event_ms: i64,
}

/// One handed-in document.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// `IDENTITY`, `SELFIE`, `COMPANY`.
    pub(super) set: String,
    /// `PASSPORT`, `SELFIE`, `COMPANY_DOC`, …
    pub(super) kind: String,
    pub(super) country: String,
    pub(super) image_id: i64,
}

impl Applicant {
    /// The name an `authCode` carries.
    pub(super) fn name(&self) -> String {
        let word = |name: &str| {
            [&self.fixed_info, &self.extracted]
                .into_iter()
                .find_map(|it| it.get(name).and_then(Value::as_str))
        };
        let company = [&self.fixed_info, &self.extracted]
            .into_iter()
            .find_map(|it| it.get("companyInfo")?.get("companyName").and_then(Value::as_str));
        match (company, word("firstName"), word("lastName")) {
            (Some(company), _, _) => company.to_owned(),
            (None, Some(first), Some(last)) => format!("{first} {last}"),
            (None, Some(only), None) | (None, None, Some(only)) => only.to_owned(),
            (None, None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(status: ReviewStatus, result: Option<ReviewResult>) -> Review {
        Review {
            id: String::new(),
            attempt_id: String::new(),
            attempt_count: 0,
            status,
            result,
            created_at_ms: 0,
            pending_since_ms: None,
            reviewed_at_ms: None,
        }
    }

    #[test]
    fn a_customer_can_hand_in_only_what_is_asked_for() {
        use ReviewStatus::{
            AwaitingService, AwaitingUser, Completed, Init, OnHold, Pending, Queued,
        };
        let red = |kind| Some(ReviewResult::red(kind, &[], ""));
        for (status, result, expected) in [
            (Init, None, Ok(())),
            (Init, Some(ReviewResult::green()), Ok(())),
            (AwaitingUser, Some(ReviewResult::green()), Ok(())),
            (Completed, red("RETRY"), Ok(())),
            (Completed, None, Ok(())),
            (Completed, red("FINAL"), Err(Refused::FinalReject)),
            (Completed, Some(ReviewResult::green()), Err(Refused::NotAsked(Completed))),
            (Pending, None, Err(Refused::NotAsked(Pending))),
            (Queued, None, Err(Refused::NotAsked(Queued))),
            (OnHold, Some(ReviewResult::green()), Err(Refused::NotAsked(OnHold))),
            (AwaitingService, None, Err(Refused::NotAsked(AwaitingService))),
        ] {
            let mut it = review(status, result);

            assert_eq!(it.apply(Step::Submit, 1), expected, "{status:?}");
            assert_eq!(it.status, if expected.is_ok() { Pending } else { status });
        }
    }

    #[test]
    fn every_other_step_is_possible_at_any_time() {
        let green = ReviewResult::green;
        for (step, status, answers) in [
            (Step::Recheck, ReviewStatus::Pending, false),
            (Step::Precheck, ReviewStatus::Queued, true),
            (Step::Complete(green()), ReviewStatus::Completed, true),
            (Step::Hold(green()), ReviewStatus::OnHold, true),
            (Step::Restart, ReviewStatus::Init, true),
            (Step::AwaitUser, ReviewStatus::AwaitingUser, true),
            (Step::AwaitService, ReviewStatus::AwaitingService, true),
            (Step::Fail, ReviewStatus::Completed, false),
        ] {
            for from in [ReviewStatus::Init, ReviewStatus::Completed, ReviewStatus::OnHold] {
                let mut it = review(from, Some(green()));

                assert_eq!(it.apply(step.clone(), 1), Ok(()));
                assert_eq!((it.status, it.result.is_some()), (status, answers), "{step:?}");
            }
        }
    }
}
