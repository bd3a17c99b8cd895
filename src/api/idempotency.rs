//! Idempotency-Key: the same request again is answered again, and done once (contract §4).
//!
//! A request's answer is kept in the commit of what it did. Requests in flight are known to this
//! process only, so that a crash frees their keys. Answers that hold an access token are kept in
//! memory only, and only while the token lives: no token is ever in the register.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::error::ApiError;
use super::{Call, route};
use crate::domain::timestamp::Timestamp;
use crate::http::Response;
use crate::store::{KeptAnswer, StoreError, Tx};
use crate::usecase::{Also, Failure, nothing_else};

/// The longest key (contract §4).
const KEY_CHARACTERS_MAX: usize = 255;
/// How long an answer is kept (contract §4).
const KEPT_MS: i64 = 24 * 3_600_000;
/// How many answers with a token in them are kept at the most.
const SESSIONS_MAX: usize = 10_000;

type Sha = [u8; 32];

/// What this process alone knows of idempotency keys.
#[derive(Default)]
pub(super) struct Idempotency {
    in_flight: Mutex<HashMap<Sha, Sha>>,
    sessions: Mutex<HashMap<Sha, KeptAnswer>>,
}

/// Where the answer of the running request will be kept.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    scope: Sha,
    request: Sha,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing is kept yet.
    Open,
    /// The commit has kept it.
    InCommit,
    /// It holds a token that lives so long, in milliseconds.
    InMemory { lives_ms: i64 },
}

/// Answers a request that bears an Idempotency-Key.
pub(super) fn answer_once(call: &Call<'_>) -> Result<Response, ApiError> {
    let (owner, used) = call.owner_and_key()?;
    let mut keys = call.request.header_values("idempotency-key");
    let key = keys.next().unwrap_or_default();
    if !(1..=KEY_CHARACTERS_MAX).contains(&key.chars().count()) || keys.next().is_some() {
        return Err(ApiError::invalid(format!(
            "the header Idempotency-Key is given once and has 1 to {KEY_CHARACTERS_MAX} characters"
        )));
    }
    let acted_for = call.on_behalf_of()?.unwrap_or_else(|| owner.clone());
    let scope = digest(&[
        owner.as_str().as_bytes(),
        acted_for.as_str().as_bytes(),
        key.as_bytes(),
        call.request.method.as_bytes(),
        call.request.path().as_bytes(),
        // An answer with an API key in it is no answer for a key that may make none.
        if call.request.path().starts_with("/v1/api-keys") { used.scopes.as_str() } else { "" }
            .as_bytes(),
    ]);
    let query = call.request.query().unwrap_or_default();
    let request = digest(&[query.as_bytes(), &call.request.body]);

    let idempotency = &call.api.idempotency;
    let _flight = idempotency.take_off(scope, request)?;
    if let Some(kept) = idempotency.kept(call, &scope)? {
        return replay(call, kept, &request);
    }
    call.noted.borrow_mut().slot = Some(Slot { scope, request, place: Place::Open });
    let answer = route(call);
    let rendered = match &answer {
        Ok(response) => response.clone(),
        Err(error) => error.render(&call.id),
    };
    idempotency.keep(call, &rendered);
    answer
}

fn replay(call: &Call<'_>, kept: KeptAnswer, request: &Sha) -> Result<Response, ApiError> {
    if kept.request_sha256 != *request {
        return Err(ApiError::IdempotencyKeyInUse);
    }
    call.note("Idempotent-Replayed", "true");
    Ok(Response {
        status: kept.status,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: kept.body,
    })
}

/// A request in flight; over when dropped, also by a panic.
struct Flight<'a> {
    of: &'a Idempotency,
    scope: Sha,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        locked(&self.of.in_flight).remove(&self.scope);
    }
}

impl Idempotency {
    fn take_off(&self, scope: Sha, request: Sha) -> Result<Flight<'_>, ApiError> {
        let mut in_flight = locked(&self.in_flight);
        match in_flight.get(&scope) {
            None => {
                in_flight.insert(scope, request);
                Ok(Flight { of: self, scope })
            }
            Some(other) if *other == request => Err(ApiError::IdempotencyInFlight),
            Some(_) => Err(ApiError::IdempotencyKeyInUse),
        }
    }

    fn kept(&self, call: &Call<'_>, scope: &Sha) -> Result<Option<KeptAnswer>, ApiError> {
        let session =
            locked(&self.sessions).get(scope).filter(|it| call.now < it.expires_at).cloned();
        if session.is_some() {
            return Ok(session);
        }
        Ok(call
            .appliance
            .store
            .read(|register| register.kept_answer(scope, call.now))
            .map_err(Failure::from)?)
    }

    /// Keeps an answer that no commit has kept: refusals, and answers with a token.
    fn keep(&self, call: &Call<'_>, response: &Response) {
        let Some(slot) = call.noted.borrow().slot else { return };
        // 401 and 429 by contract; 405 does nothing, and its Allow would not be kept.
        let is_kept_kind =
            matches!(response.status, 200..=299 | 400 | 402..=404 | 406..=428 | 430..=499);
        match slot.place {
            Place::InCommit => {}
            _ if !is_kept_kind => {}
            Place::Open => {
                let kept = slot.kept(response, call.now.plus_ms(KEPT_MS));
                let now = call.now;
                let written = call.appliance.store.write(move |tx| tx.keep_answer(&kept, now));
                if let Err(error) = written {
                    tracing::warn!(%error, request = call.id, "an answer could not be kept");
                }
            }
            Place::InMemory { lives_ms } => {
                let kept = slot.kept(response, call.now.plus_ms(lives_ms));
                let mut sessions = locked(&self.sessions);
                if sessions.len() >= SESSIONS_MAX {
                    sessions.retain(|_, it| call.now < it.expires_at);
                }
                if sessions.len() < SESSIONS_MAX {
                    sessions.insert(slot.scope, kept);
                }
            }
        }
    }
}

impl Slot {
    fn kept(&self, response: &Response, expires_at: Timestamp) -> KeptAnswer {
        KeptAnswer {
            scope_sha256: self.scope,
            request_sha256: self.request,
            status: response.status,
            body: response.body.clone(),
            expires_at,
        }
    }
}

impl Call<'_> {
    /// Has the answer kept in the commit of what the request does, if the request bears a key.
    pub(super) fn kept_in_commit<T: 'static>(
        &self,
        render: impl FnOnce(&T) -> Response + Send + 'static,
    ) -> Also<T> {
        let mut noted = self.noted.borrow_mut();
        let Some(slot) = noted.slot.as_mut() else { return nothing_else() };
        slot.place = Place::InCommit;
        let (slot, now) = (*slot, self.now);
        Box::new(move |tx: &Tx<'_>, written: &T| -> Result<(), StoreError> {
            tx.keep_answer(&slot.kept(&render(written), now.plus_ms(KEPT_MS)), now)
        })
    }

    /// The use-case failed before its commit: a refusal is kept like any other.
    pub(super) fn not_committed(&self) {
        if let Some(slot) = self.noted.borrow_mut().slot.as_mut() {
            slot.place = Place::Open;
        }
    }

    /// The answer holds a token that lives for so many seconds.
    pub(super) fn holds_token(&self, lives_s: u32) {
        if let Some(slot) = self.noted.borrow_mut().slot.as_mut() {
            slot.place = Place::InMemory { lives_ms: i64::from(lives_s) * 1000 };
        }
    }
}

/// Each part behind its length, so that no two lists of parts look alike.
fn digest(parts: &[&[u8]]) -> Sha {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
