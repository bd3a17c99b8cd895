//! The bodies of webhooks ("User verification webhooks"): which fields, in which order, and the
//! tricks that a test can order to be played on the next ones.

use super::applicant::{Applicant, ReviewResult};
use super::json::Json;
use super::moment;
use super::tenant::Environment;
use serde_json::{Map, Value};

/// The events this simulator fires by itself, and those that a test plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Created,
    Pending,
    Prechecked,
    Reviewed,
    /// A copy import's first event, the only one that carries `reuseScope`.
    ReviewedByCopy,
    OnHold,
    AwaitingUser,
    AwaitingService,
    PersonalInfoChanged,
    TagsChanged,
    Activated,
    Deactivated,
    Reset,
    StepsReset,
    LevelChanged {
        previous: String,
    },
    LinkOpened,
    WorkflowCompleted,
    WorkflowFailed,
    Deleted,
    /// Whatever a test says, in the applicant's name. It changes nothing about the applicant.
    Played(Play),
}

/// An event of any type with members of its usual body replaced, added or left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Play {
    pub(super) event_type: String,
    /// Replaces a member in its place, or comes last. Any JSON, so that a type can be wrong.
    pub(super) set: Map<String, Value>,
    pub(super) removed: Vec<String>,
}

/// The types a new webhook subscribes to when it comes from the settings.
pub(super) const ALL_TYPES: [&str; 24] = [
    "applicantCreated",
    "applicantPending",
    "applicantPrechecked",
    "applicantReviewed",
    "applicantOnHold",
    "applicantAwaitingUser",
    "applicantAwaitingService",
    "applicantPersonalInfoChanged",
    "applicantTagsChanged",
    "applicantActivated",
    "applicantDeactivated",
    "applicantDeleted",
    "applicantPersonalDataDeleted",
    "applicantReset",
    "applicantStepsReset",
    "applicantLevelChanged",
    "applicantWorkflowCompleted",
    "applicantWorkflowFailed",
    "applicantActionPending",
    "applicantActionReviewed",
    "applicantActionOnHold",
    "applicantActionLevelChanged",
    "applicantVerificationLinkOpened",
    "kybCompanyActivity",
];

impl Event {
    pub(super) fn type_name(&self) -> &str {
        match self {
            Self::Created => "applicantCreated",
            Self::Pending => "applicantPending",
            Self::Prechecked => "applicantPrechecked",
            Self::Reviewed | Self::ReviewedByCopy => "applicantReviewed",
            Self::OnHold => "applicantOnHold",
            Self::AwaitingUser => "applicantAwaitingUser",
            Self::AwaitingService => "applicantAwaitingService",
            Self::PersonalInfoChanged => "applicantPersonalInfoChanged",
            Self::TagsChanged => "applicantTagsChanged",
            Self::Activated => "applicantActivated",
            Self::Deactivated => "applicantDeactivated",
            Self::Reset => "applicantReset",
            Self::StepsReset => "applicantStepsReset",
            Self::LevelChanged { .. } => "applicantLevelChanged",
            Self::LinkOpened => "applicantVerificationLinkOpened",
            Self::WorkflowCompleted => "applicantWorkflowCompleted",
            Self::WorkflowFailed => "applicantWorkflowFailed",
            Self::Deleted => "applicantDeleted",
            Self::Played(play) => &play.event_type,
        }
    }
}

/// Something unpleasant to do to an event, each a trap met in real integrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trick {
    /// Sent twice.
    Duplicate,
    /// Never sent.
    Lost,
    /// Sent before its predecessor, if that one still waits.
    Reorder,
    /// The same `createdAtMs` as the applicant's event before.
    EqualCreatedAtMs,
    /// Carries `testMode`, like a dashboard's test.
    TestMode,
    /// Says `sandboxMode` false.
    SandboxFalse,
    /// Signed with another key.
    WrongDigest,
    /// Without `X-Payload-Digest-Alg`.
    MissingAlgorithm,
    /// `reviewResult` is null.
    NullReviewResult,
    /// `reviewResult` is left out.
    AbsentReviewResult,
    /// `createdAtMs` is left out.
    MissingCreatedAtMs,
}

impl Trick {
    pub(super) const ALL: [(&'static str, Self); 11] = [
        ("duplicate", Self::Duplicate),
        ("lost", Self::Lost),
        ("reorder", Self::Reorder),
        ("equalCreatedAtMs", Self::EqualCreatedAtMs),
        ("testMode", Self::TestMode),
        ("sandboxFalse", Self::SandboxFalse),
        ("wrongDigest", Self::WrongDigest),
        ("missingAlgorithm", Self::MissingAlgorithm),
        ("nullReviewResult", Self::NullReviewResult),
        ("absentReviewResult", Self::AbsentReviewResult),
        ("missingCreatedAtMs", Self::MissingCreatedAtMs),
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, trick)| *trick)
    }
}

/// Tricks for the next events of a type, or of any.
#[derive(Clone, Debug)]
pub(super) struct Trap {
    pub(super) tricks: Vec<Trick>,
    pub(super) event_type: Option<String>,
    pub(super) events_left: u32,
}

/// The surroundings of an event.
pub(super) struct Frame<'a> {
    pub(super) client_id: &'a str,
    pub(super) environment: Environment,
    pub(super) correlation_id: &'a str,
    pub(super) created_at_ms: i64,
    pub(super) tricks: &'a [Trick],
}

/// The body, in the key order of captured deliveries. `createdAt` and `createdAtMs` are strings.
pub(super) fn body(applicant: &Applicant, event: &Event, frame: &Frame<'_>) -> String {
    let plays = |trick| frame.tricks.contains(&trick);
    let mut members = vec![
        ("applicantId", Json::text(&applicant.id)),
        ("inspectionId", Json::text(&applicant.inspection_id)),
        ("applicantType", Json::text(applicant.kind.as_str())),
    ];
    if let Some(company) = &applicant.member_of {
        let company = Json::Object(vec![("applicantId", Json::text(company))]);
        members.push(("applicantMemberOf", Json::List(vec![company])));
    }
    members.push(("correlationId", Json::text(frame.correlation_id)));
    members.push(("levelName", Json::text(&applicant.level)));
    if let Event::LevelChanged { previous } = event {
        members.push(("previousLevelName", Json::text(previous)));
    }
    let sandbox = frame.environment == Environment::Sandbox && !plays(Trick::SandboxFalse);
    members.push(("sandboxMode", Json::Bool(sandbox)));
    members.push(("externalUserId", Json::text(&applicant.external_user_id)));
    members.push(("type", Json::text(event.type_name())));
    if plays(Trick::NullReviewResult) {
        members.push(("reviewResult", Json::Null));
    } else if let Some(result) =
        applicant.review.result.as_ref().filter(|_| !plays(Trick::AbsentReviewResult))
    {
        members.push(("reviewResult", review_result(result)));
    }
    members.push(("reviewStatus", Json::text(applicant.review.status.as_str())));
    members.push(("createdAt", Json::text(moment::zoned(frame.created_at_ms))));
    if !plays(Trick::MissingCreatedAtMs) {
        members.push(("createdAtMs", Json::text(moment::with_millis(frame.created_at_ms))));
    }
    if let Some(key) = applicant.top_level.get("sourceKey").and_then(Value::as_str) {
        members.push(("sourceKey", Json::text(key)));
    }
    members.push(("clientId", Json::text(frame.client_id)));
    if let (Event::ReviewedByCopy, Some(scope)) = (event, applicant.reuse_scope) {
        members.push(("reuseScope", Json::text(scope)));
    }
    if plays(Trick::TestMode) {
        members.push(("testMode", Json::Bool(true)));
    }
    if let Event::Played(play) = event {
        for (name, value) in &play.set {
            match members.iter_mut().find(|(known, _)| known == name) {
                Some((_, member)) => *member = Json::of(value),
                None => members.push((name, Json::of(value))),
            }
        }
        members.retain(|(name, _)| !play.removed.iter().any(|it| it == name));
    }
    Json::Object(members).jackson()
}

fn review_result(result: &ReviewResult) -> Json<'_> {
    let list = |items: &[String]| Json::List(items.iter().map(Json::text).collect());
    let mut members = Vec::new();
    if let Some(comment) = &result.moderation_comment {
        members.push(("moderationComment", Json::text(comment)));
    }
    if let Some(comment) = &result.client_comment {
        members.push(("clientComment", Json::text(comment)));
    }
    members.push(("reviewAnswer", Json::text(&result.answer)));
    if !result.labels.is_empty() {
        members.push(("rejectLabels", list(&result.labels)));
    }
    if let Some(kind) = &result.reject_type {
        members.push(("reviewRejectType", Json::text(kind)));
    }
    if !result.button_ids.is_empty() {
        members.push(("buttonIds", list(&result.button_ids)));
    }
    Json::Object(members)
}
