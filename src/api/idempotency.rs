//! Idempotency-Key: the same request again is answered again, and done once (contract §4, §9.4, §9.7).
//!
//! A request comes here once the gate has let it in, so that a kept answer is given again only to whom
//! the route would let in now. An answer is kept in the commit of what the request did; one that holds a
//! secret is kept in memory only ([`KeptSecrets`]), and of a new API key the commit keeps a mark, so that
//! a second one is never created. Requests in flight are known to this process only, so that a crash
//! frees their keys. What the gate refuses is not kept: it may be allowed tomorrow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::Call;
use super::canonical;
use super::error::ApiError;
use super::kept_secrets::{KeptSecrets, Reservation};
use crate::http::Response;
use crate::store::{KeptAnswer, StoreError, Tx};
use crate::usecase::authenticate::Caller;
use crate::usecase::{Also, Failure};

/// The longest key (contract §4).
const KEY_CHARACTERS_MAX: usize = 255;
/// How long an answer is kept (contract §4).
const KEPT_MS: i64 = 24 * 3_600_000;

type Sha = [u8; 32];

/// What this process alone knows of idempotency keys.
pub(super) struct Idempotency {
    /// As many as there are requests at work.
    in_flight: Mutex<HashMap<Sha, Sha>>,
    secrets: Arc<KeptSecrets>,
}

/// Where the answer of the running request will be kept.
pub(super) struct Slot {
    scope: Sha,
    /// Where an answer that holds a secret is kept.
    secret_scope: Sha,
    request: Sha,
    place: Place,
    /// The twins of the request are told so until it is over.
    _flight: Flight,
}

enum Place {
    /// Nothing is kept yet.
    Open,
    /// The commit has kept it.
    InCommit,
    /// It holds a secret, and stays in memory only.
    InMemory { lives_ms: i64, room: Reservation },
}

/// Begins a request that the gate has let in: if it bears an Idempotency-Key, its answer gets a place.
///
/// # Errors
/// [`ApiError::Kept`] if it was answered before: the answer is noted.
pub(super) fn begin(call: &Call<'_>, caller: &Caller) -> Result<(), ApiError> {
    let mut keys = call.request.header_values("idempotency-key");
    let Some(key) = keys.next().filter(|_| !call.only_reads()) else { return Ok(()) };
    if call.noted.borrow().slot.is_some() {
        return Ok(());
    }
    if !(1..=KEY_CHARACTERS_MAX).contains(&key.chars().count()) || keys.next().is_some() {
        return Err(ApiError::invalid(format!(
            "the header Idempotency-Key is given once and has 1 to {KEY_CHARACTERS_MAX} characters"
        )));
    }
    let owner = caller.acting.caller();
    let acted_for = call.on_behalf_of()?.unwrap_or_else(|| owner.clone());
    let scope = digest(&[
        owner.as_str().as_bytes(),
        acted_for.as_str().as_bytes(),
        key.as_bytes(),
        call.request.method.as_bytes(),
        call.request.path().as_bytes(),
        // What the rows of schema 2 have here.
        b"",
    ]);
    // A key gives no more than it has: another key's answer with a key in it is not for this one.
    let is_about_keys = call.request.path().starts_with("/v1/api-keys");
    let secret_scope =
        if is_about_keys { digest(&[&scope, caller.key.id.as_bytes()]) } else { scope };
    let request = digest(&[
        canonical::query(call.request.query().unwrap_or_default()).as_bytes(),
        &canonical::body(&call.request.body),
    ]);
    let flight = call.api.idempotency.take_off(scope, request)?;
    if let Some(kept) = call.api.idempotency.kept(call, [&secret_scope, &scope])? {
        return Err(replay(call, kept, &request));
    }
    call.noted.borrow_mut().slot =
        Some(Slot { scope, secret_scope, request, place: Place::Open, _flight: flight });
    Ok(())
}

fn replay(call: &Call<'_>, kept: KeptAnswer, request: &Sha) -> ApiError {
    // Rows of schema 2 have the bytes as they came.
    let query = call.request.query().unwrap_or_default();
    let is_same = kept.request_sha256 == *request
        || kept.request_sha256 == digest(&[query.as_bytes(), &call.request.body]);
    if !is_same {
        return ApiError::IdempotencyKeyInUse;
    }
    let Some(body) = kept.body else { return ApiError::IdempotencyAnswerGone };
    call.note("Idempotent-Replayed", "true");
    call.noted.borrow_mut().kept = Some(Response {
        status: kept.status,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body,
    });
    ApiError::Kept
}

/// A request in flight; over when dropped, also by a panic.
struct Flight {
    of: Arc<Idempotency>,
    scope: Sha,
}

impl Drop for Flight {
    fn drop(&mut self) {
        locked(&self.of.in_flight).remove(&self.scope);
    }
}

impl Idempotency {
    /// With room for this many answers that hold a secret.
    pub(super) fn new(secrets_max: usize) -> Self {
        Self { in_flight: Mutex::default(), secrets: Arc::new(KeptSecrets::new(secrets_max)) }
    }

    fn take_off(self: &Arc<Self>, scope: Sha, request: Sha) -> Result<Flight, ApiError> {
        let mut in_flight = locked(&self.in_flight);
        match in_flight.get(&scope) {
            None => {
                in_flight.insert(scope, request);
                Ok(Flight { of: Arc::clone(self), scope })
            }
            Some(other) if *other == request => Err(ApiError::IdempotencyInFlight),
            Some(_) => Err(ApiError::IdempotencyKeyInUse),
        }
    }

    fn kept(
        &self,
        call: &Call<'_>,
        [secret_scope, scope]: [&Sha; 2],
    ) -> Result<Option<KeptAnswer>, ApiError> {
        let secret = self.secrets.get(secret_scope, call.now);
        if secret.is_some() {
            return Ok(secret);
        }
        Ok(call
            .appliance
            .store
            .read(|register| register.kept_answer(scope, call.now))
            .map_err(Failure::from)?)
    }
}

/// Keeps an answer that no commit has kept: refusals, and answers that hold a secret.
pub(super) fn keep(call: &Call<'_>, response: &Response) {
    let Some(slot) = call.noted.borrow_mut().slot.take() else { return };
    // 401 and 429 by contract; 405 does nothing, and its Allow would not be kept.
    let is_kept_kind =
        matches!(response.status, 200..=299 | 400 | 402..=404 | 406..=428 | 430..=499);
    let kept = |lives_ms| KeptAnswer {
        scope_sha256: slot.scope,
        request_sha256: slot.request,
        status: response.status,
        body: Some(response.body.clone()),
        expires_at: call.now.plus_ms(lives_ms),
    };
    match slot.place {
        Place::InCommit => {}
        _ if !is_kept_kind => {}
        Place::InMemory { lives_ms, room } if response.status < 300 => {
            room.keep(KeptAnswer { scope_sha256: slot.secret_scope, ..kept(lives_ms) });
        }
        Place::InMemory { .. } | Place::Open => {
            let (kept, now) = (kept(KEPT_MS), call.now);
            let written = call.appliance.store.write(move |tx| tx.keep_answer(&kept, now));
            if let Err(error) = written {
                tracing::warn!(%error, request = call.id, "an answer could not be kept");
            }
        }
    }
}

/// Every write of the API is made with one of these: they put its right to the question in the commit.
impl Call<'_> {
    /// Asks the gate again in the commit of what the request does; and has the answer kept there, if the
    /// request bears an Idempotency-Key.
    pub(super) fn kept_in_commit<T: 'static>(
        &self,
        render: impl FnOnce(&T) -> Response + Send + 'static,
    ) -> Also<T> {
        let admission = self.admission();
        let mut noted = self.noted.borrow_mut();
        let Some(slot) = noted.slot.as_mut() else { return Also::new(admission, |_, _| Ok(())) };
        slot.place = Place::InCommit;
        let (scope, request, now) = (slot.scope, slot.request, self.now);
        Also::new(admission, move |tx: &Tx<'_>, written: &T| -> Result<(), StoreError> {
            let answer = render(written);
            let kept = KeptAnswer {
                scope_sha256: scope,
                request_sha256: request,
                status: answer.status,
                body: Some(answer.body),
                expires_at: now.plus_ms(KEPT_MS),
            };
            tx.keep_answer(&kept, now)
        })
    }

    /// As [`Call::kept_in_commit`], for an answer that holds a new API key: the commit keeps a mark of it,
    /// and the answer itself stays in memory for `lives_s` seconds.
    ///
    /// # Errors
    /// [`ApiError::CannotKeep`], before anything is done.
    pub(super) fn marked_in_commit<T: 'static>(&self, lives_s: u32) -> Result<Also<T>, ApiError> {
        self.holds_secret(lives_s)?;
        let (admission, now) = (self.admission(), self.now);
        let noted = self.noted.borrow();
        let Some(slot) = noted.slot.as_ref() else {
            return Ok(Also::new(admission, |_, _| Ok(())));
        };
        let mark = KeptAnswer {
            scope_sha256: slot.scope,
            request_sha256: slot.request,
            status: 200,
            body: None,
            expires_at: now.plus_ms(KEPT_MS),
        };
        Ok(Also::new(admission, move |tx: &Tx<'_>, _: &T| tx.keep_answer(&mark, now)))
    }

    /// The use-case failed before its commit: a refusal is kept like any other.
    pub(super) fn not_committed(&self) {
        if let Some(slot) = self.noted.borrow_mut().slot.as_mut() {
            slot.place = Place::Open;
        }
    }

    /// The answer will hold a secret that is kept in memory for `lives_s` seconds. Once it is gone, the same
    /// request is simply done again, unless the commit keeps a mark.
    ///
    /// # Errors
    /// [`ApiError::CannotKeep`], before anything is done.
    pub(super) fn holds_secret(&self, lives_s: u32) -> Result<(), ApiError> {
        let mut noted = self.noted.borrow_mut();
        let owner = noted.caller.as_ref().map(|it| it.acting.caller().clone());
        let (Some(slot), Some(owner)) = (noted.slot.as_mut(), owner) else { return Ok(()) };
        let room = self
            .api
            .idempotency
            .secrets
            .reserve(&owner, self.now)
            .map_err(|retry_after_s| ApiError::CannotKeep { retry_after_s })?;
        slot.place = Place::InMemory { lives_ms: i64::from(lives_s).saturating_mul(1000), room };
        Ok(())
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
