//! The Sumsub client: one method per endpoint, the only home of ureq in the product's own calls.
//!
//! It signs the bytes that it sends and signs anew for every attempt; it bounds every wait; it
//! repeats only what is safe to repeat; it stays inside Sumsub's limits; and it turns every failure
//! into a [`SumsubError`] that says whose it is. It holds no transaction and knows no store.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod account;
pub mod signature;
mod window;
pub mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::http_date::{http_date, retry_after_ms};
use crate::domain::organization::OrganizationType;
use crate::domain::timekeeper::{OFFSET_MIN_MS, Timekeeper};
use crate::domain::timestamp::{Clock, Timestamp};
use crate::domain::verdict::{About, Named, Word};
use crate::domain::verification::Event;
use crate::reloadable::Reloadable;
use window::Window;
use wire::Problem;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one call may take in all. A poll never waits for it; a session does.
const CALL_TIMEOUT: Duration = Duration::from_secs(6);
/// Attempts of a call that is safe to repeat.
const ATTEMPTS: u32 = 3;
/// The wait before the second attempt; doubled for the third, and spread by up to a half.
const BACKOFF_MS: u64 = 200;
/// The longest wait that a caller is kept for, also if Sumsub asks for a longer one.
const PATIENCE_MS: u64 = 2_000;
/// The wait after a 429 that names none: the span that Sumsub counts over.
const RETRY_AFTER_DEFAULT_S: u64 = 5;
/// The longest wait after a 429 that is heeded or passed on, whatever the answer asks for.
const RETRY_AFTER_MAX_S: u64 = 300;
/// The most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// Sumsub's default limits per 5 s (stated, "Rate limits", 2026-09-22).
const POSTS_PER_WINDOW: usize = 50;
/// As above, for GET.
const GETS_PER_WINDOW: usize = 300;

/// Everything but unreserved characters is escaped, in paths and queries alike.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where Sumsub is and who we are there.
#[derive(Clone)]
pub struct Account {
    /// `https://api.sumsub.com`, or a simulator's address; without a slash at the end.
    pub base_url: String,
    /// The proxy that every call goes through, if any. Variables like `HTTPS_PROXY` say nothing here:
    /// they are written for other programs, and would lead a simulator's calls away from it.
    pub proxy: Option<ureq::Proxy>,
    /// The app token, `sbx:…` or `prd:…`.
    pub app_token: String,
    /// The secret key of the app token.
    pub secret_key: String,
    /// The level that a BUSINESS is verified at.
    pub level_business: String,
    /// The level that an INDIVIDUAL is verified at.
    pub level_individual: String,
    /// How long a session's token and link live.
    pub session_ttl_s: u32,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("base_url", &self.base_url)
            .field("level_business", &self.level_business)
            .field("level_individual", &self.level_individual)
            .finish_non_exhaustive()
    }
}

/// An applicant, as far as we need to know one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applicant {
    /// Sumsub's id.
    pub id: String,
    /// Its externalUserId: our organization id, or another one after an import.
    pub external_user_id: String,
    /// When Sumsub made it.
    pub created_at: Option<Timestamp>,
    /// Whether Sumsub has closed it with GREEN or a final RED: nothing can be handed in until it is
    /// reset.
    pub is_settled: bool,
    /// Its level.
    pub level: Named<String>,
    /// Its type.
    pub kind: Named<OrganizationType>,
    /// How its review stands; `None` if Sumsub's words for it are none we know.
    pub review: Option<Review>,
}

/// How a review stood when Sumsub was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Review {
    /// What a webhook of this would say.
    pub event: Event,
    /// When it came to stand so, by Sumsub's word; `None` where Sumsub does not say.
    pub happened_at: Option<Timestamp>,
    /// When Sumsub answered, by its clock.
    pub answered_at: Timestamp,
}

impl Applicant {
    /// What its review says, to be judged.
    pub fn word(&self, review: &Review) -> Word {
        Word {
            event: review.event,
            about: About::Review,
            level: self.level.clone(),
            applicant_type: self.kind.clone(),
            has_unreadable_guard: false,
        }
    }
}

/// A token that lets a browser act for one applicant. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// The token itself, for the answer to the caller and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// Which of Sumsub's two products an import uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// Reusable KYC: what was verified is checked again against our level.
    Reuse,
    /// Copy Applicant: the verdict is inherited. A different product, switched on separately.
    Copy,
}

/// Why Sumsub did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumsubError {
    /// Our app token, its secret, its permissions, or our clock. The operator can mend it.
    #[error("our Sumsub credentials were refused ({0})")]
    Credentials(String),
    /// The share token, its donor, or the pairing of the two accounts. The caller can mend it.
    #[error("the share token was refused ({0})")]
    ShareToken(String),
    /// The level does not exist or does not fit the applicant's type. The operator can mend it.
    #[error("the level was refused ({0})")]
    Level(String),
    /// The applicant exists but cannot be used: deactivated, deleted, or another one's.
    #[error("the applicant cannot be used ({0})")]
    Applicant(String),
    /// Too many requests, by Sumsub's word or by our own count. Waiting helps.
    #[error("too many requests; again in {retry_after_s} s")]
    RateLimited {
        /// Seconds to wait.
        retry_after_s: u64,
    },
    /// No answer, or an answer that says "not now". A retry may help; whether the call took effect
    /// is not known.
    #[error("Sumsub does not answer ({0})")]
    Outage(String),
    /// An answer that does not read as documented.
    #[error("Sumsub's answer could not be read ({0})")]
    Unreadable(String),
}

/// What a reload may replace: who we are, and by which way we go.
struct Access {
    app_token: String,
    secret_key: String,
    agent: ureq::Agent,
}

impl Access {
    fn of(account: &Account) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(account.proxy.clone())
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(CALL_TIMEOUT))
            .max_redirects(0)
            .max_idle_connections_per_host(16)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let Account { app_token, secret_key, .. } = account.clone();
        Self { app_token, secret_key, agent }
    }
}

/// The client. Share it by reference; it keeps its connections alive.
pub struct Client {
    base_url: String,
    level_business: String,
    level_individual: String,
    session_ttl_s: u32,
    access: Reloadable<Access>,
    /// The machine's own clock: what is counted here are spans.
    clock: Clock,
    timekeeper: Arc<Timekeeper>,
    pause: Arc<dyn Fn(Duration) + Send + Sync>,
    posts: Window,
    gets: Window,
    last_contact_ms: AtomicI64,
    has_warned: AtomicBool,
    /// Until then Sumsub has asked for quiet.
    quiet_until_ms: AtomicI64,
    answers: AtomicU64,
    errors: AtomicU64,
    waited_ms: AtomicU64,
}

/// How calls to Sumsub went since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTally {
    /// Calls that were answered as asked.
    pub answers: u64,
    /// Calls that failed, or that Sumsub refused; each attempt counts.
    pub errors: u64,
    /// Time spent waiting for answers, in milliseconds.
    pub waited_ms: u64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Whether a call may be sent a second time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// The same call again has no further effect.
    Safe,
    /// It may have taken effect: find out before asking again.
    Never,
}

struct Call<'a> {
    method: &'static str,
    target: String,
    body: Option<&'a serde_json::Value>,
    repeat: Repeat,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    /// When it began to arrive, by Sumsub's clock.
    at: Timestamp,
}

impl Client {
    /// A client of one account. `timekeeper` dates signatures, and is told what Sumsub's answers say of
    /// the time; `pause` waits between attempts.
    pub fn new(
        account: Account,
        timekeeper: Arc<Timekeeper>,
        pause: Arc<dyn Fn(Duration) + Send + Sync>,
    ) -> Self {
        Self {
            access: Access::of(&account).into(),
            base_url: account.base_url,
            level_business: account.level_business,
            level_individual: account.level_individual,
            session_ttl_s: account.session_ttl_s,
            clock: timekeeper.machine(),
            timekeeper,
            pause,
            posts: Window::new(POSTS_PER_WINDOW),
            gets: Window::new(GETS_PER_WINDOW),
            last_contact_ms: AtomicI64::new(-1),
            has_warned: AtomicBool::new(false),
            quiet_until_ms: AtomicI64::new(0),
            answers: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            waited_ms: AtomicU64::new(0),
        }
    }

    /// From the next attempt on, every call uses the credentials and the proxy of `account`, which is
    /// the same account in everything else.
    pub fn renew_access(&self, account: &Account) {
        self.access.replace(Access::of(account));
    }

    /// How long a session's token and link live, in seconds.
    pub fn session_ttl_s(&self) -> u32 {
        self.session_ttl_s
    }

    /// When Sumsub last answered anything at all, if it has since we started.
    pub fn last_contact(&self) -> Option<Timestamp> {
        let ms = self.last_contact_ms.load(Ordering::Relaxed);
        (ms >= 0).then(|| Timestamp::from_ms(ms))
    }

    /// Asks for nothing but Sumsub's time. Whatever the answer, its `Date` counts.
    pub fn ask_the_time(&self) -> Result<(), SumsubError> {
        let call = Call {
            method: "GET",
            target: "/resources/status/api".to_owned(),
            body: None,
            repeat: Repeat::Never,
        };
        self.send(&call).map(drop)
    }

    /// How calls went since the start.
    pub fn tally(&self) -> ClientTally {
        ClientTally {
            answers: self.answers.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            waited_ms: self.waited_ms.load(Ordering::Relaxed),
        }
    }

    /// The applicant of an external id, made if there is none. Sumsub holds external ids unique, so
    /// two calls at once end with one applicant: the loser is told 409, and looks it up.
    pub fn find_or_create_applicant(
        &self,
        external_user_id: &str,
        kind: OrganizationType,
    ) -> Result<Applicant, SumsubError> {
        let body = serde_json::json!({
            "externalUserId": external_user_id,
            "type": match kind {
                OrganizationType::Business => "company",
                OrganizationType::Individual => "individual",
            },
        });
        let answer = self.send(&Call {
            method: "POST",
            target: format!("/resources/applicants?levelName={}", escape(self.level(kind))),
            body: Some(&body),
            repeat: Repeat::Safe,
        })?;
        match answer.status {
            200 | 201 => wire::applicant(&answer.body, answer.at)
                .and_then(|it| owned_by(it, external_user_id)),
            409 => self.find_applicant(external_user_id)?.ok_or_else(|| {
                SumsubError::Applicant("it exists, but was deleted or deactivated".to_owned())
            }),
            _ => Err(answer.problem().about_the_level()),
        }
    }

    /// The applicant of an external id.
    pub fn find_applicant(&self, external_user_id: &str) -> Result<Option<Applicant>, SumsubError> {
        let answer = self.send(&Call {
            method: "GET",
            target: format!(
                "/resources/applicants/-;externalUserId={}/one",
                escape(external_user_id)
            ),
            body: None,
            repeat: Repeat::Safe,
        })?;
        match answer.status {
            200 => wire::applicant(&answer.body, answer.at)
                .and_then(|it| owned_by(it, external_user_id))
                .map(Some),
            404 => Ok(None),
            _ => Err(answer.problem().in_general()),
        }
    }

    /// An applicant by Sumsub's id. An answer about another one, or one that bears another external
    /// id than the one it is known by, is refused.
    pub fn read_applicant(
        &self,
        applicant_id: &str,
        external_user_id: &str,
    ) -> Result<Option<Applicant>, SumsubError> {
        let answer = self.send(&Call {
            method: "GET",
            target: format!("/resources/applicants/{}/one", escape(applicant_id)),
            body: None,
            repeat: Repeat::Safe,
        })?;
        match answer.status {
            200 => match wire::applicant(&answer.body, answer.at)? {
                it if it.id == applicant_id => owned_by(it, external_user_id).map(Some),
                _ => Err(SumsubError::Applicant("Sumsub answered with another one".to_owned())),
            },
            404 => Ok(None),
            _ => Err(answer.problem().in_general()),
        }
    }

    /// Opens a closed applicant for a new submission: its documents no longer count, and Sumsub says
    /// `applicantReset`. Whether Sumsub resets a finally rejected applicant is not documented; it says
    /// so by its answer.
    pub fn reset(&self, applicant_id: &str) -> Result<(), SumsubError> {
        let answer = self.send(&Call {
            method: "POST",
            target: format!("/resources/applicants/{}/reset", escape(applicant_id)),
            body: None,
            repeat: Repeat::Safe,
        })?;
        match answer.status {
            200 | 201 => Ok(()),
            404 | 409 => {
                Err(SumsubError::Applicant("Sumsub does not let it begin anew".to_owned()))
            }
            _ => Err(answer.problem().in_general()),
        }
    }

    /// Moves an applicant to the level that organizations of this type are verified at. Its review
    /// begins anew there, and Sumsub says `applicantLevelChanged`.
    pub fn move_to_level(
        &self,
        applicant_id: &str,
        kind: OrganizationType,
    ) -> Result<(), SumsubError> {
        let answer = self.send(&Call {
            method: "POST",
            target: format!(
                "/resources/applicants/{}/moveToLevel?name={}",
                escape(applicant_id),
                escape(self.level(kind))
            ),
            body: None,
            repeat: Repeat::Safe,
        })?;
        match answer.status {
            200 | 201 => Ok(()),
            409 => Err(SumsubError::Applicant("Sumsub does not move it to our level".to_owned())),
            _ => Err(answer.problem().about_the_level()),
        }
    }

    /// The account's levels. The shape of the answer is inferred.
    pub fn levels(&self) -> Result<Vec<wire::Level>, SumsubError> {
        let answer = self.send(&Call {
            method: "GET",
            target: "/resources/applicants/-/levels".to_owned(),
            body: None,
            repeat: Repeat::Safe,
        })?;
        match answer.status {
            200 => wire::levels(&answer.body),
            _ => Err(answer.problem().in_general()),
        }
    }

    /// A fresh token for the browser SDK. It does not start the applicant over.
    pub fn access_token(
        &self,
        external_user_id: &str,
        kind: OrganizationType,
    ) -> Result<AccessToken, SumsubError> {
        let body = serde_json::json!({
            "userId": external_user_id,
            "levelName": self.level(kind),
            "ttlInSecs": self.session_ttl_s,
        });
        let answer = self.send(&Call {
            method: "POST",
            target: "/resources/accessTokens/sdk".to_owned(),
            body: Some(&body),
            repeat: Repeat::Safe,
        })?;
        match answer.status {
            200 | 201 => wire::access_token(&answer.body, external_user_id).map(AccessToken),
            _ => Err(answer.problem().about_the_level()),
        }
    }

    /// A link to Sumsub's hosted page for the applicant.
    pub fn websdk_link(
        &self,
        external_user_id: &str,
        kind: OrganizationType,
    ) -> Result<String, SumsubError> {
        let body = serde_json::json!({
            "levelName": self.level(kind),
            "userId": external_user_id,
            "ttlInSecs": self.session_ttl_s,
        });
        let answer = self.send(&Call {
            method: "POST",
            target: "/resources/sdkIntegrations/levels/-/websdkLink".to_owned(),
            body: Some(&body),
            repeat: Repeat::Safe,
        })?;
        match answer.status {
            200 | 201 => wire::link(&answer.body),
            _ => Err(answer.problem().about_the_level()),
        }
    }

    /// Spends a share token: Sumsub makes an applicant of ours from the partner's. Never repeated:
    /// after [`SumsubError::Outage`] the token may be spent, so look the applicant up.
    pub fn import(
        &self,
        mode: ImportMode,
        share_token: &str,
        external_user_id: Option<&str>,
    ) -> Result<ImportAnswer, SumsubError> {
        let token = escape(share_token);
        let mut target = match mode {
            ImportMode::Reuse => format!(
                "/resources/api/reusableIdentity/reuse?shareToken={token}&levelName={}",
                escape(&self.level_individual)
            ),
            ImportMode::Copy => format!("/resources/applicants/-/import?shareToken={token}"),
        };
        if let (Some(id), ImportMode::Reuse) = (external_user_id, mode) {
            target.push_str("&userId=");
            target.push_str(&escape(id));
        }
        let answer =
            self.send(&Call { method: "POST", target, body: None, repeat: Repeat::Never })?;
        match answer.status {
            200 | 201 => wire::applicant(&answer.body, answer.at)
                .and_then(|it| match (mode, external_user_id) {
                    // It bears the `userId` that was given, or one that Sumsub made up ("Reuse
                    // applicant", stated); any other would be somebody else.
                    (ImportMode::Reuse, Some(id)) if !it.external_user_id.starts_with("copy-") => {
                        owned_by(it, id)
                    }
                    (ImportMode::Reuse | ImportMode::Copy, _) => Ok(it),
                })
                .map(ImportAnswer::Imported),
            409 => Ok(ImportAnswer::ExternalIdTaken),
            _ => Err(answer.problem().about_the_share_token()),
        }
    }

    fn level(&self, kind: OrganizationType) -> &str {
        match kind {
            OrganizationType::Business => &self.level_business,
            OrganizationType::Individual => &self.level_individual,
        }
    }

    fn send(&self, call: &Call<'_>) -> Result<Answer, SumsubError> {
        let attempts = if call.repeat == Repeat::Safe { ATTEMPTS } else { 1 };
        let mut attempt = 1;
        let mut is_dated_anew = false;
        loop {
            self.keep_within_limits(call.method)?;
            let correction_ms = self.correction_ms();
            let (error, asked_wait_ms) = match self.counted_attempt(call) {
                // Nothing has happened yet, so this is safe to repeat for every call.
                Ok((answer, _))
                    if !is_dated_anew
                        && self.correction_ms() != correction_ms
                        && answer.problem().is_about_our_clock() =>
                {
                    is_dated_anew = true;
                    continue;
                }
                Ok((answer, _)) if answer.status < 500 && answer.status != 429 => {
                    return Ok(answer);
                }
                Ok((answer, retry_after_s)) => {
                    (answer.not_now(retry_after_s), retry_after_s.map(|it| it.saturating_mul(1000)))
                }
                Err(AttemptError::MayHaveArrived(what)) => return Err(SumsubError::Outage(what)),
                Err(AttemptError::TooLarge) => {
                    return Err(SumsubError::Unreadable("an answer that is too large".to_owned()));
                }
                Err(AttemptError::NeverSent(what)) => (SumsubError::Outage(what), None),
            };
            // No wait at all would only be refused again.
            let wait_ms = asked_wait_ms.unwrap_or(0).max(backoff_ms(attempt));
            if attempt >= attempts || wait_ms > PATIENCE_MS {
                return Err(error);
            }
            (self.pause)(Duration::from_millis(wait_ms));
            attempt = attempt.saturating_add(1);
        }
    }

    /// Counts the request that is about to be sent, and waits for its place in Sumsub's window.
    fn keep_within_limits(&self, method: &str) -> Result<(), SumsubError> {
        let quiet_ms = self
            .quiet_until_ms
            .load(Ordering::Relaxed)
            .saturating_sub((self.clock)().as_ms())
            // A clock that was set back must not silence us.
            .min(seconds_as_ms(RETRY_AFTER_MAX_S));
        if let Ok(wait_ms @ 1..) = u64::try_from(quiet_ms) {
            if wait_ms > PATIENCE_MS {
                return Err(SumsubError::RateLimited { retry_after_s: wait_ms.div_ceil(1000) });
            }
            (self.pause)(Duration::from_millis(wait_ms));
        }
        let window = if method == "GET" { &self.gets } else { &self.posts };
        let (payer, mut patience_ms) = (account::payer(), PATIENCE_MS);
        while let Err(wait_ms) = window.take(&payer, (self.clock)()) {
            // Others may take every place that becomes free: all waits together are bounded.
            patience_ms = patience_ms
                .checked_sub(wait_ms)
                .ok_or(SumsubError::RateLimited { retry_after_s: wait_ms.div_ceil(1000) })?;
            (self.pause)(Duration::from_millis(wait_ms));
        }
        Ok(())
    }

    fn counted_attempt(&self, call: &Call<'_>) -> Result<(Answer, Option<u64>), AttemptError> {
        let begun = (self.clock)().as_ms();
        let attempt = self.attempt(call);
        let waited_ms = (self.clock)().as_ms().saturating_sub(begun);
        self.waited_ms.fetch_add(u64::try_from(waited_ms).unwrap_or(0), Ordering::Relaxed);
        match &attempt {
            Ok((answer, _)) if answer.status < 400 => &self.answers,
            Ok(_) | Err(_) => &self.errors,
        }
        .fetch_add(1, Ordering::Relaxed);
        attempt
    }

    /// One signed request. The signature is dated now, so a repeated call is signed anew.
    fn attempt(&self, call: &Call<'_>) -> Result<(Answer, Option<u64>), AttemptError> {
        let access = self.access.get();
        let body = call.body.map(serde_json::Value::to_string).unwrap_or_default().into_bytes();
        let uri: ureq::http::Uri = format!("{}{}", self.base_url, call.target)
            .parse()
            .map_err(|_uri| AttemptError::NeverSent("the base URL is not a URL".to_owned()))?;
        let signed_target = uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        let begun = (self.clock)();
        let ts = begun.plus_ms(self.correction_ms()).as_ms().div_euclid(1000).to_string();
        let signature = signature::sign_request(
            access.secret_key.as_bytes(),
            &ts,
            call.method,
            signed_target.as_bytes(),
            &body,
        );
        let request = ureq::http::Request::builder()
            .method(call.method)
            .uri(uri)
            .header("X-App-Token", &access.app_token)
            .header("X-App-Access-Ts", &ts)
            .header("X-App-Access-Sig", signature)
            .header("Accept", "application/json")
            .header("Content-Type", "application/json")
            .body(body)
            .map_err(|_head| AttemptError::NeverSent("the app token is not a header".to_owned()))?;
        let mut response = access.agent.run(request).map_err(|it| AttemptError::of(&it))?;
        let at = (self.clock)();
        let mut dates = response.headers().get_all("Date").iter();
        if let Some(date) = dates.find_map(|it| http_date(it.to_str().ok()?, at)) {
            self.compare_clocks(date, begun, at);
        }
        // An instant in it is Sumsub's.
        let sumsubs_now = at.plus_ms(self.correction_ms());
        let asked =
            response.headers().get_all("Retry-After").iter().map(ureq::http::HeaderValue::as_bytes);
        let retry_after_s = retry_after_ms(asked, sumsubs_now)
            .and_then(|it| u64::try_from(it).ok())
            .map(|it| it.div_ceil(1000).min(RETRY_AFTER_MAX_S));
        let status = response.status().as_u16();
        if let (429, Some(seconds)) = (status, retry_after_s) {
            let until = at.plus_ms(seconds_as_ms(seconds));
            self.quiet_until_ms.store(until.as_ms(), Ordering::Relaxed);
        }
        self.last_contact_ms.store(at.as_ms(), Ordering::Relaxed);
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(|it| AttemptError::of(&it))?;
        let at = at.plus_ms(self.correction_ms());
        Ok((Answer { status, body, at }, retry_after_s))
    }

    fn correction_ms(&self) -> i64 {
        self.timekeeper.correction_ms()
    }

    /// Measures the difference of the clocks: `Date` leaves out the fraction of its second, and was
    /// written somewhere between our sending and its arrival.
    fn compare_clocks(&self, date: Timestamp, begun: Timestamp, at: Timestamp) {
        let ours = begun.as_ms().midpoint(at.as_ms());
        let offset_ms = date.plus_ms(500).as_ms().saturating_sub(ours);
        self.timekeeper.measure(offset_ms);
        let is_off = offset_ms.saturating_abs() >= OFFSET_MIN_MS;
        if is_off && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                offset_ms,
                "this machine's clock is not Sumsub's: everything is dated by Sumsub's until it is set"
            );
        } else if !is_off && self.has_warned.swap(false, Ordering::Relaxed) {
            tracing::info!(offset_ms, "this machine's clock and Sumsub's agree again");
        }
    }
}

/// What Sumsub made of a share token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportAnswer {
    /// A linked applicant.
    Imported(Applicant),
    /// The external id belongs to another applicant already; the token is not spent.
    ExternalIdTaken,
}

enum AttemptError {
    NeverSent(String),
    MayHaveArrived(String),
    TooLarge,
}

impl AttemptError {
    /// The error's kind only: its text may name the URL, and a share token stands in one.
    fn of(error: &ureq::Error) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "ureq's errors, not ours")]
        match error {
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
                Self::NeverSent("no connection".to_owned())
            }
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
                Self::NeverSent("connection refused".to_owned())
            }
            ureq::Error::ConnectProxyFailed(_) => {
                Self::NeverSent("the proxy of sumsub-proxy refused the connection".to_owned())
            }
            ureq::Error::BodyExceedsLimit(_) => Self::TooLarge,
            ureq::Error::Timeout(which) => Self::MayHaveArrived(format!("timeout: {which}")),
            ureq::Error::Io(io) => Self::MayHaveArrived(format!("connection: {}", io.kind())),
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                Self::NeverSent("no trusted TLS connection".to_owned())
            }
            _ => Self::MayHaveArrived("the connection broke".to_owned()),
        }
    }
}

impl Answer {
    /// What an answer of 429 or 5xx means.
    fn not_now(&self, retry_after_s: Option<u64>) -> SumsubError {
        match self.status {
            429 => SumsubError::RateLimited {
                retry_after_s: retry_after_s.unwrap_or(RETRY_AFTER_DEFAULT_S).max(1),
            },
            status => SumsubError::Outage(format!("HTTP {status}")),
        }
    }

    fn problem(&self) -> Problem {
        Problem::read(self.status, &self.body)
    }
}

fn seconds_as_ms(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
}

fn owned_by(applicant: Applicant, external_user_id: &str) -> Result<Applicant, SumsubError> {
    if applicant.external_user_id == external_user_id {
        return Ok(applicant);
    }
    Err(SumsubError::Applicant("Sumsub answered with another one".to_owned()))
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn backoff_ms(attempt: u32) -> u64 {
    let base = BACKOFF_MS.saturating_mul(1 << attempt.saturating_sub(1).min(8));
    // Without randomness there is no jitter, and the wait is still right.
    let spread = getrandom::u32().map_or(0, |it| u64::from(it % 256));
    base.saturating_add(base.saturating_mul(spread) / 512)
}
