//! Sumsub's JSON, read into our words: the only place that knows both.
//!
//! Sumsub adds fields, types and statuses without notice, so unknown ones are tolerated here and
//! named as unknown; nothing is guessed into a verdict. Sources: "User verification webhooks",
//! "Applicant statuses", "Reusable KYC", "Copy applicant profile" (stated unless marked inferred).

use serde::Deserialize;
use serde_json::Value;

use crate::domain::organization::OrganizationType;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{About, Named, Word};
use crate::domain::verification::Event;
use crate::sumsub::{Applicant, Review, SumsubError};

/// The longest id, type or name of Sumsub's that we keep.
const WORD_BYTES_MAX: usize = 256;
/// The longest access token that is passed on; Sumsub's are below 1 KB (stated).
const TOKEN_BYTES_MAX: usize = 4096;
/// 2015-01-01: a number before it is none of milliseconds, and no instant of Sumsub's.
const FIRST_MS: i64 = 1_420_070_400_000;
/// The longest link that is passed on.
const LINK_BYTES_MAX: usize = 2048;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApplicantBody {
    id: String,
    external_user_id: String,
    created_at: Option<String>,
    review: Option<ReviewBody>,
    deleted: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewBody {
    review_status: Option<String>,
    review_result: Option<Value>,
    review_date: Option<String>,
    elapsed_since_pending_ms: Option<i64>,
    level_name: Option<Value>,
}

impl ReviewBody {
    /// The review as it stands, in our words; `answered_at` by Sumsub's clock.
    ///
    /// A verdict is dated by its `reviewDate`, whose fraction of a second Sumsub leaves out: it
    /// counts as the last millisecond of that second, behind whatever led to it. "Applicant
    /// statuses" and "Get applicant review status" (2026-09-18).
    fn standing(&self, answered_at: Timestamp) -> Option<Review> {
        let word = |name: &str| self.review_result.as_ref()?.get(name)?.as_str();
        let verdict = || verdict_of(word("reviewAnswer"), word("reviewRejectType"));
        let reviewed_at = || Some(instant(self.review_date.as_deref()?)?.plus_ms(999));
        let pending_since =
            || Some(answered_at.plus_ms(-self.elapsed_since_pending_ms.filter(|it| *it >= 0)?));
        let (event, happened_at) = match self.review_status.as_deref()? {
            "completed" => (verdict()?, reviewed_at()),
            "onHold" => (Event::ProviderOnHold, None),
            "pending" | "prechecked" | "queued" => (Event::ProviderPending, pending_since()),
            "awaitingService" => (Event::ProviderPending, None),
            "awaitingUser" => (Event::ProviderAwaitingUser, None),
            "init" => (Event::ProviderReset, None),
            _ => return None,
        };
        Some(Review { event, happened_at, answered_at })
    }

    fn is_settled(&self) -> bool {
        self.standing(Timestamp::from_ms(0))
            .is_some_and(|it| matches!(it.event, Event::ProviderApproved | Event::ProviderRejected))
    }
}

/// Reads an applicant out of an answer that Sumsub gave at `answered_at`, by its own clock.
pub fn applicant(body: &[u8], answered_at: Timestamp) -> Result<Applicant, SumsubError> {
    let it: ApplicantBody = read(body, "applicant")?;
    if it.id.is_empty() || it.id.len() > WORD_BYTES_MAX {
        return Err(SumsubError::Unreadable("applicant id".to_owned()));
    }
    Ok(Applicant {
        id: it.id,
        external_user_id: it.external_user_id,
        created_at: it.created_at.as_deref().and_then(instant),
        is_settled: it.review.as_ref().is_some_and(ReviewBody::is_settled),
        level: named_text(it.review.as_ref().and_then(|it| it.level_name.as_ref())),
        kind: named_type(it.kind.as_ref()),
        review: match named_flag(it.deleted.as_ref()) {
            // Deactivated: what was checked no longer counts, as when the webhook says so.
            Named::As(true) | Named::Unreadably => {
                Some(Review { event: Event::ProviderReset, happened_at: None, answered_at })
            }
            Named::As(false) | Named::Not => it.review.and_then(|it| it.standing(answered_at)),
        },
    })
}

#[derive(Deserialize)]
struct TokenBody {
    token: String,
    #[serde(rename = "userId")]
    user_id: Option<String>,
}

/// Reads an SDK token, and refuses one that was made for somebody else.
pub fn access_token(body: &[u8], external_user_id: &str) -> Result<String, SumsubError> {
    let it: TokenBody = read(body, "access token")?;
    if it.user_id.is_some_and(|user| user != external_user_id) {
        return Err(SumsubError::Applicant("Sumsub's token is another one's".to_owned()));
    }
    let is_token =
        |it: &str| it.len() <= TOKEN_BYTES_MAX && it.bytes().all(|b| b.is_ascii_graphic());
    if it.token.is_empty() || !is_token(&it.token) {
        return Err(SumsubError::Unreadable("access token".to_owned()));
    }
    Ok(it.token)
}

#[derive(Deserialize)]
struct LinkBody {
    url: String,
}

/// Reads a hosted link.
pub fn link(body: &[u8]) -> Result<String, SumsubError> {
    let it: LinkBody = read(body, "link")?;
    let is_link = (it.url.starts_with("https://") || it.url.starts_with("http://"))
        && it.url.len() <= LINK_BYTES_MAX
        && it.url.bytes().all(|b| b.is_ascii_graphic());
    if is_link { Ok(it.url) } else { Err(SumsubError::Unreadable("link".to_owned())) }
}

/// A level of the account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// Its name.
    pub name: String,
    /// Whom it verifies, in Sumsub's word (`company`, `individual`), if it says so.
    #[serde(default)]
    pub applicant_type: Option<String>,
}

#[derive(Deserialize)]
struct LevelsBody {
    list: LevelItems,
}

#[derive(Deserialize)]
struct LevelItems {
    items: Vec<Level>,
}

/// Reads the account's levels.
pub fn levels(body: &[u8]) -> Result<Vec<Level>, SumsubError> {
    read::<LevelsBody>(body, "levels").map(|it| it.list.items)
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T, SumsubError> {
    // serde's own text may quote the body, and a token stands in some bodies.
    serde_json::from_slice(body).map_err(|_quoting| SumsubError::Unreadable(what.to_owned()))
}

/// Sumsub's error body, of which every field may be missing, as may the whole body.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProblemBody {
    error_code: Option<i64>,
    error_name: Option<String>,
}

/// An error answer. Its `description` is never kept: it quotes share tokens.
#[derive(Debug)]
pub struct Problem {
    status: u16,
    code: Option<i64>,
    name: Option<String>,
}

impl Problem {
    /// Reads an error answer of that status.
    pub fn read(status: u16, body: &[u8]) -> Self {
        let it: ProblemBody = serde_json::from_slice(body).unwrap_or_default();
        let is_word = |it: &String| {
            it.len() <= 64 && it.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        Self { status, code: it.error_code, name: it.error_name.filter(is_word) }
    }

    /// Whether the request was dated outside Sumsub's window (code inferred, see "Authentication").
    pub fn is_about_our_clock(&self) -> bool {
        (self.status, self.code) == (401, Some(4004))
    }

    /// What a call about nothing in particular failed of.
    pub fn in_general(&self) -> SumsubError {
        match self.status {
            401 | 403 => SumsubError::Credentials(self.words()),
            429 => SumsubError::RateLimited { retry_after_s: 5 },
            500.. => SumsubError::Outage(self.words()),
            _ => SumsubError::Unreadable(self.words()),
        }
    }

    /// What a call that names a level failed of. Sumsub's answer to an unknown or unfit level is not
    /// documented (404 and 400 were seen), so both count as the level's.
    pub fn about_the_level(&self) -> SumsubError {
        match self.status {
            400 | 404 => SumsubError::Level(self.words()),
            _ => self.in_general(),
        }
    }

    /// What an import failed of. A 401 *without* an errorCode is the share token's, one with 4000 to
    /// 4007 is our app token's (inferred from published samples); 105xx is about the token, the
    /// donor or the pairing.
    pub fn about_the_share_token(&self) -> SumsubError {
        match (self.status, self.code) {
            (401, None) => {
                SumsubError::ShareToken("the token is unknown, expired or already used".to_owned())
            }
            (400, Some(10_501..=10_599)) => SumsubError::ShareToken(self.words()),
            (400, None) => SumsubError::ShareToken("the token is not one of Sumsub's".to_owned()),
            _ => self.about_the_level(),
        }
    }

    fn words(&self) -> String {
        match (&self.name, self.code) {
            (Some(name), _) => name.clone(),
            (None, Some(code)) => format!("error {code}"),
            (None, None) => format!("HTTP {}", self.status),
        }
    }
}

/// What a webhook means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Something happened to the verification.
    Happened(Event),
    /// A type that carries a verdict, but none that we can read, or not a completed one.
    NoVerdict,
    /// A known type that says nothing about the status.
    Informational,
    /// A type that we do not know.
    Unknown,
}

/// A webhook, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Sumsub's `type`.
    pub event_type: Option<String>,
    /// What it means.
    pub meaning: Meaning,
    /// The applicant.
    pub applicant_id: Option<String>,
    /// The applicant's external id.
    pub external_user_id: Option<String>,
    /// Whether the applicant is a person of a company: `applicantMemberOf`.
    pub is_member_of_company: Named<bool>,
    /// `sandboxMode`.
    pub sandbox_mode: Named<bool>,
    /// A manual test from Sumsub's dashboard: `testMode`.
    pub is_test: Named<bool>,
    /// The applicant's level.
    pub level: Named<String>,
    /// The applicant's type.
    pub applicant_type: Named<OrganizationType>,
    /// When it happened, by Sumsub's word.
    pub happened_at: Option<Timestamp>,
}

impl Webhook {
    /// Reads a webhook's body; `None` if it is no JSON object. Fields of an unexpected type count as
    /// missing: a stream of 200s is worth more than strictness towards a sender we cannot correct. But
    /// for those that guard a verdict there is a difference between missing and unreadable.
    pub fn read(body: &[u8]) -> Option<Self> {
        let Value::Object(fields) = serde_json::from_slice::<Value>(body).ok()? else {
            return None;
        };
        let word = |name: &str| {
            fields
                .get(name)
                .and_then(Value::as_str)
                .filter(|it| !it.is_empty() && it.len() <= WORD_BYTES_MAX)
                .map(ToOwned::to_owned)
        };
        let event_type = word("type");
        let review = fields.get("reviewResult");
        let verdict = |name: &str| review.and_then(|it| it.get(name)).and_then(Value::as_str);
        let is_completed = fields.get("reviewStatus").and_then(Value::as_str) == Some("completed");
        let verdict = is_completed
            .then(|| verdict_of(verdict("reviewAnswer"), verdict("reviewRejectType")))
            .flatten();
        Some(Self {
            meaning: meaning_of(event_type.as_deref(), verdict),
            event_type,
            applicant_id: word("applicantId"),
            external_user_id: word("externalUserId"),
            is_member_of_company: membership(fields.get("applicantMemberOf")),
            sandbox_mode: named_flag(fields.get("sandboxMode")),
            is_test: named_flag(fields.get("testMode")),
            level: named_text(fields.get("levelName")),
            applicant_type: named_type(fields.get("applicantType")),
            happened_at: happened_at(&fields, verdict),
        })
    }

    /// What it says to be judged, if it says that `event` happened.
    pub fn word(&self, event: Event) -> Word {
        let is_workflow = matches!(
            self.event_type.as_deref(),
            Some("applicantWorkflowCompleted" | "applicantWorkflowFailed")
        );
        let guards = [&self.is_member_of_company, &self.sandbox_mode, &self.is_test];
        Word {
            event,
            about: if is_workflow { About::Workflow } else { About::Review },
            level: self.level.clone(),
            applicant_type: self.applicant_type.clone(),
            has_unreadable_guard: guards.contains(&&Named::Unreadably),
        }
    }
}

/// GREEN approves; RED rejects for good only if it says FINAL. RED of another or no kind takes the
/// approval away but not the customer's next try (inferred).
fn verdict_of(answer: Option<&str>, reject_type: Option<&str>) -> Option<Event> {
    match (answer, reject_type) {
        (Some("GREEN"), _) => Some(Event::ProviderApproved),
        (Some("RED"), Some("FINAL")) => Some(Event::ProviderRejected),
        (Some("RED"), _) => Some(Event::ProviderRetry),
        _ => None,
    }
}

fn meaning_of(event_type: Option<&str>, verdict: Option<Event>) -> Meaning {
    match event_type {
        // Only these carry a verdict, whatever answer rides on other types.
        Some("applicantReviewed" | "applicantWorkflowCompleted") => {
            verdict.map_or(Meaning::NoVerdict, Meaning::Happened)
        }
        // It ended badly, also where it could not be executed, bears no answer or a stale GREEN.
        Some("applicantWorkflowFailed") => match verdict {
            Some(Event::ProviderRejected | Event::ProviderRetry) => {
                verdict.map_or(Meaning::NoVerdict, Meaning::Happened)
            }
            _ => Meaning::Happened(Event::ProviderStepFailed),
        },
        Some("applicantPending" | "applicantPrechecked" | "applicantAwaitingService") => {
            Meaning::Happened(Event::ProviderPending)
        }
        // PENDING, too, in the contract's words ("awaiting customer action").
        Some("applicantAwaitingUser") => Meaning::Happened(Event::ProviderAwaitingUser),
        Some("applicantOnHold") => Meaning::Happened(Event::ProviderOnHold),
        Some(
            "applicantReset"
            | "applicantStepsReset"
            | "applicantLevelChanged"
            | "applicantDeleted"
            | "applicantDeactivated"
            | "applicantPersonalDataDeleted",
        ) => Meaning::Happened(Event::ProviderReset),
        Some(
            "applicantCreated"
            | "applicantPersonalInfoChanged"
            | "applicantTagsChanged"
            | "applicantActivated"
            | "applicantActionPending"
            | "applicantActionReviewed"
            | "applicantActionOnHold"
            | "applicantActionLevelChanged"
            | "applicantVerificationLinkOpened"
            | "videoIdentStatusChanged"
            | "videoIdentCompositionCompleted"
            | "kybCompanyActivity",
        ) => Meaning::Informational,
        _ => Meaning::Unknown,
    }
}

/// What is there, read; Sumsub writes `null` where it has nothing, as in `reviewResult`.
fn named<T>(value: Option<&Value>, read: impl FnOnce(&Value) -> Option<T>) -> Named<T> {
    match value {
        None | Some(Value::Null) => Named::Not,
        Some(it) => read(it).map_or(Named::Unreadably, Named::As),
    }
}

/// Some of Sumsub's samples show booleans as strings.
fn named_flag(value: Option<&Value>) -> Named<bool> {
    named(value, |it| {
        it.as_bool().or_else(|| match it.as_str()?.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    })
}

fn named_text(value: Option<&Value>) -> Named<String> {
    named(value, |it| it.as_str().filter(|it| it.len() <= WORD_BYTES_MAX).map(ToOwned::to_owned))
}

fn named_type(value: Option<&Value>) -> Named<OrganizationType> {
    named(value, |it| match it.as_str()? {
        "company" => Some(OrganizationType::Business),
        "individual" => Some(OrganizationType::Individual),
        _ => None,
    })
}

/// `applicantMemberOf`: the companies that a person belongs to; a company has none.
fn membership(value: Option<&Value>) -> Named<bool> {
    named(value, |it| {
        let companies = it.as_array()?;
        let is_company = |it: &Value| it.get("applicantId").is_some_and(Value::is_string);
        companies.iter().all(is_company).then_some(!companies.is_empty())
    })
}

/// When it happened. `createdAt` leaves out the fraction of its second: an approval counts as of the
/// beginning, what takes access away as of the end, so that the order of the two is never the worse one.
fn happened_at(
    fields: &serde_json::Map<String, Value>,
    verdict: Option<Event>,
) -> Option<Timestamp> {
    let read = |name: &str| {
        let value = fields.get(name)?;
        // Retyped on the way: still an instant.
        let ms = || value.as_i64().filter(|it| *it >= FIRST_MS).map(Timestamp::from_ms);
        value.as_str().and_then(instant).or_else(ms)
    };
    let takes_away =
        verdict.is_some_and(|it| it != Event::ProviderApproved) || is_withdrawal(fields);
    let whole_second = || Some(read("createdAt")?.plus_ms(if takes_away { 999 } else { 0 }));
    read("createdAtMs").or_else(whole_second)
}

fn is_withdrawal(fields: &serde_json::Map<String, Value>) -> bool {
    let event_type = fields.get("type").and_then(Value::as_str);
    matches!(
        meaning_of(event_type, None),
        Meaning::Happened(Event::ProviderOnHold | Event::ProviderReset | Event::ProviderStepFailed)
    )
}

/// Reads `yyyy-MM-dd HH:mm:ss.SSS` and `yyyy-MM-dd HH:mm:ss+0000`; without a zone it is UTC.
fn instant(text: &str) -> Option<Timestamp> {
    if text.ends_with('Z') {
        return Timestamp::parse(text);
    }
    let bare = text.strip_suffix("+0000").unwrap_or(text);
    let (date, time) = bare.split_once(' ')?;
    Timestamp::parse(&format!("{date}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(body: &Value) -> Webhook {
        Webhook::read(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table is read whole")]
    fn only_a_completed_review_carries_a_verdict() {
        use serde_json::json;
        let green = json!({"reviewAnswer": "GREEN"});
        for (event_type, status, result, meaning) in [
            (
                "applicantReviewed",
                "completed",
                green.clone(),
                Meaning::Happened(Event::ProviderApproved),
            ),
            ("applicantReviewed", "pending", green.clone(), Meaning::NoVerdict),
            ("applicantReviewed", "completed", Value::Null, Meaning::NoVerdict),
            (
                "applicantReviewed",
                "completed",
                json!({"reviewAnswer": "YELLOW"}),
                Meaning::NoVerdict,
            ),
            (
                "applicantReviewed",
                "completed",
                json!({"reviewAnswer": "RED", "reviewRejectType": "FINAL"}),
                Meaning::Happened(Event::ProviderRejected),
            ),
            (
                "applicantReviewed",
                "completed",
                json!({"reviewAnswer": "RED", "reviewRejectType": "RETRY"}),
                Meaning::Happened(Event::ProviderRetry),
            ),
            (
                "applicantWorkflowFailed",
                "completed",
                json!({"reviewAnswer": "RED"}),
                Meaning::Happened(Event::ProviderRetry),
            ),
            (
                "applicantWorkflowCompleted",
                "completed",
                green.clone(),
                Meaning::Happened(Event::ProviderApproved),
            ),
            (
                "applicantWorkflowFailed",
                "completed",
                green.clone(),
                Meaning::Happened(Event::ProviderStepFailed),
            ),
            (
                "applicantWorkflowFailed",
                "completed",
                Value::Null,
                Meaning::Happened(Event::ProviderStepFailed),
            ),
            ("applicantOnHold", "onHold", green.clone(), Meaning::Happened(Event::ProviderOnHold)),
            ("applicantReset", "init", green.clone(), Meaning::Happened(Event::ProviderReset)),
            (
                "applicantAwaitingService",
                "awaitingService",
                green.clone(),
                Meaning::Happened(Event::ProviderPending),
            ),
            (
                "applicantAwaitingUser",
                "awaitingUser",
                green.clone(),
                Meaning::Happened(Event::ProviderAwaitingUser),
            ),
            ("applicantTagsChanged", "completed", green.clone(), Meaning::Informational),
            ("applicantActionReviewed", "completed", green.clone(), Meaning::Informational),
            ("applicantWorkflowRunCompleted", "completed", green, Meaning::Unknown),
        ] {
            let body = json!({"type": event_type, "reviewStatus": status, "reviewResult": result});
            assert_eq!(webhook(&body).meaning, meaning, "{body}");
        }
    }

    #[test]
    fn a_review_reads_as_the_webhook_that_would_tell_of_it() {
        use serde_json::json;
        let asked = Timestamp::parse("2026-01-02T04:00:00Z").unwrap();
        let second = Timestamp::parse("2026-01-02T03:05:05.999Z");
        let pending = Timestamp::parse("2026-01-02T03:59:58.500Z");
        let verdict = |answer: &str, kind: &str| {
            json!({"reviewStatus": "completed", "reviewDate": "2026-01-02 03:05:05+0000",
                "reviewResult": {"reviewAnswer": answer, "reviewRejectType": kind}})
        };
        let status = |it: &str| json!({"reviewStatus": it, "elapsedSincePendingMs": 1500});
        for (review, expected) in [
            (verdict("GREEN", ""), Some((Event::ProviderApproved, second))),
            (verdict("RED", "FINAL"), Some((Event::ProviderRejected, second))),
            (verdict("RED", "RETRY"), Some((Event::ProviderRetry, second))),
            (verdict("YELLOW", ""), None),
            (json!({"reviewStatus": "completed", "reviewResult": null}), None),
            (status("pending"), Some((Event::ProviderPending, pending))),
            (status("queued"), Some((Event::ProviderPending, pending))),
            (status("awaitingUser"), Some((Event::ProviderAwaitingUser, None))),
            (status("onHold"), Some((Event::ProviderOnHold, None))),
            (status("init"), Some((Event::ProviderReset, None))),
            (status("somethingNew"), None),
            (json!({}), None),
        ] {
            let body = json!({"id": "a", "externalUserId": "o", "review": review});
            let read = applicant(body.to_string().as_bytes(), asked).unwrap().review;
            assert_eq!(read.map(|it| (it.event, it.happened_at)), expected, "{body}");
        }
        let gone = json!({"id": "a", "externalUserId": "o", "deleted": true,
            "review": verdict("GREEN", "")});
        let read = applicant(gone.to_string().as_bytes(), asked).unwrap().review.unwrap();
        assert_eq!((read.event, read.happened_at), (Event::ProviderReset, None));
    }

    #[test]
    fn sumsubs_dates_are_utc_with_and_without_a_zone() {
        let expected = Timestamp::parse("2026-01-02T03:05:05.123Z");
        assert_eq!(instant("2026-01-02 03:05:05.123"), expected);
        assert_eq!(instant("2026-01-02 03:05:05+0000"), Timestamp::parse("2026-01-02T03:05:05Z"));
        assert_eq!(instant("1767323105123"), None);
        let body = serde_json::json!({
            "createdAtMs": "2026-01-02 03:05:05.123", "createdAt": "2026-01-02 03:05:05+0000",
        });
        assert_eq!(webhook(&body).happened_at, expected);
        let body = serde_json::json!({"createdAt": "2026-01-02 03:05:05+0000"});
        assert_eq!(webhook(&body).happened_at, Timestamp::parse("2026-01-02T03:05:05Z"));
    }

    #[test]
    fn a_refused_share_token_is_told_from_refused_credentials_and_never_quoted() {
        let read =
            |status, body: &str| Problem::read(status, body.as_bytes()).about_the_share_token();

        let used =
            read(401, r#"{"code":401,"description":"Token is invalid: Token _act-SECRET is"}"#);
        assert!(matches!(&used, SumsubError::ShareToken(_)), "{used:?}");
        assert!(!format!("{used:?} {used}").contains("SECRET"));
        assert!(matches!(
            read(401, r#"{"code":401,"errorCode":4003,"errorName":"app-token-signature-mismatch"}"#),
            SumsubError::Credentials(name) if name == "app-token-signature-mismatch"
        ));
        assert!(matches!(
            read(400, r#"{"code":400,"errorCode":10501,"errorName":"not-in-partners-list"}"#),
            SumsubError::ShareToken(name) if name == "not-in-partners-list"
        ));
        assert!(matches!(read(404, ""), SumsubError::Level(_)));
        assert!(matches!(read(403, ""), SumsubError::Credentials(_)));
        assert!(matches!(read(503, "<html>"), SumsubError::Outage(_)));
    }

    #[test]
    fn an_unknown_body_is_read_as_far_as_it_goes() {
        let it = webhook(&serde_json::json!({"type": 7, "sandboxMode": "false", "testMode": true,
            "applicantMemberOf": [{"applicantId": "c"}], "createdAtMs": 1}));

        assert_eq!(it.event_type, None);
        assert_eq!(it.sandbox_mode, Named::As(false));
        assert_eq!((it.is_test, it.is_member_of_company), (Named::As(true), Named::As(true)));
        assert_eq!(it.happened_at, None);
        assert_eq!(Webhook::read(b"[1]"), None);
        assert_eq!(Webhook::read(b"\xff"), None);
    }

    #[test]
    fn a_guard_is_missing_readable_or_neither() {
        use serde_json::json;
        for (value, expected) in [
            (json!(true), Named::As(true)),
            (json!("true"), Named::As(true)),
            (json!("True"), Named::As(true)),
            (json!("FALSE"), Named::As(false)),
            (Value::Null, Named::Not),
            (json!(1), Named::Unreadably),
            (json!(0), Named::Unreadably),
            (json!(""), Named::Unreadably),
            (json!(" true"), Named::Unreadably),
            (json!("yes"), Named::Unreadably),
            (json!([]), Named::Unreadably),
            (json!({}), Named::Unreadably),
        ] {
            let it = webhook(&json!({"sandboxMode": value, "testMode": value}));
            assert_eq!((&it.sandbox_mode, &it.is_test), (&expected, &expected), "{value}");
        }
        for (value, expected) in [
            (json!([]), Named::As(false)),
            (json!([{"applicantId": "c"}]), Named::As(true)),
            (Value::Null, Named::Not),
            (json!([{}]), Named::Unreadably),
            (json!([null]), Named::Unreadably),
            (json!(["c"]), Named::Unreadably),
            (json!([{"applicantId": 7}]), Named::Unreadably),
            (json!({"applicantId": "c"}), Named::Unreadably),
            (json!("c"), Named::Unreadably),
            (json!(true), Named::Unreadably),
        ] {
            let it = webhook(&json!({"applicantMemberOf": value}));
            assert_eq!(it.is_member_of_company, expected, "{value}");
            let is_unreadable = it.word(Event::ProviderApproved).has_unreadable_guard;
            assert_eq!(is_unreadable, expected == Named::Unreadably);
        }
        let bare = webhook(&json!({}));
        assert_eq!(bare.is_member_of_company, Named::Not);
        assert_eq!((bare.sandbox_mode, bare.is_test), (Named::Not, Named::Not));
    }

    #[test]
    fn a_level_or_type_that_cannot_be_read_is_not_a_missing_one() {
        use serde_json::json;
        let text = |it: &str| Named::As(it.to_owned());
        for (value, expected) in [
            (json!("kyb-level"), text("kyb-level")),
            (json!(""), text("")),
            (Value::Null, Named::Not),
            (json!(7), Named::Unreadably),
            (json!(["kyb-level"]), Named::Unreadably),
            (json!({"name": "kyb-level"}), Named::Unreadably),
            (json!("x".repeat(WORD_BYTES_MAX + 1)), Named::Unreadably),
        ] {
            assert_eq!(webhook(&json!({"levelName": value})).level, expected, "{value}");
            let body = json!({"id": "a", "externalUserId": "o", "review": {"levelName": value}});
            let at = Timestamp::from_ms(0);
            assert_eq!(applicant(body.to_string().as_bytes(), at).unwrap().level, expected);
        }
        for (value, expected) in [
            (json!("company"), Named::As(OrganizationType::Business)),
            (json!("individual"), Named::As(OrganizationType::Individual)),
            (Value::Null, Named::Not),
            (json!("Company"), Named::Unreadably),
            (json!(""), Named::Unreadably),
            (json!(1), Named::Unreadably),
        ] {
            let it = webhook(&json!({"applicantType": value}));
            assert_eq!(it.applicant_type, expected, "{value}");
            let body = json!({"id": "a", "externalUserId": "o", "type": value});
            let at = Timestamp::from_ms(0);
            assert_eq!(applicant(body.to_string().as_bytes(), at).unwrap().kind, expected);
        }
    }
}
