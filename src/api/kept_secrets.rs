//! Answers that hold a secret, kept in memory for repeated requests, and whose they are.
//!
//! There is room for a number of them. Room is taken before a request is done, so that an answer that
//! cannot be kept is refused while nothing has happened. A single organization may have all the room. Once
//! it is full, each organization that has any is entitled to an equal share: one that has less takes room
//! from the one that has the most, whose answer that would have ended first goes; one that has its share
//! is refused until an answer of its own ends. So what an organization keeps within its share is never
//! dropped for another's sake; what it keeps beyond is lent. A dropped answer is not forgotten silently:
//! of a new API key the register has a mark, and a session is started again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::KeptAnswer;

/// The longest wait that a refusal names, in seconds.
const RETRY_AFTER_S_MAX: u64 = 60;

type Sha = [u8; 32];

/// The room, and what is in it.
pub(super) struct KeptSecrets {
    places_max: usize,
    room: Mutex<Room>,
}

#[derive(Default)]
struct Room {
    answers: HashMap<Sha, (OrganizationId, KeptAnswer)>,
    by_end: BTreeSet<(Timestamp, Sha)>,
    holders: HashMap<OrganizationId, Holder>,
    /// Answers that are still to come.
    reserved: usize,
}

/// What one organization has. One that has nothing is not listed.
#[derive(Default)]
struct Holder {
    reserved: usize,
    by_end: BTreeSet<(Timestamp, Sha)>,
}

impl Holder {
    fn places(&self) -> usize {
        self.reserved.saturating_add(self.by_end.len())
    }
}

/// Room for one answer, given back when dropped.
pub(super) struct Reservation {
    of: Arc<KeptSecrets>,
    organization: OrganizationId,
}

impl Reservation {
    /// Puts the answer there.
    pub(super) fn keep(self, answer: KeptAnswer) {
        let mut room = self.of.room();
        room.remove(&answer.scope_sha256);
        let (scope, end) = (answer.scope_sha256, answer.expires_at);
        room.by_end.insert((end, scope));
        room.holders.entry(self.organization.clone()).or_default().by_end.insert((end, scope));
        room.answers.insert(scope, (self.organization.clone(), answer));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut room = self.of.room();
        room.reserved = room.reserved.saturating_sub(1);
        if let Some(holder) = room.holders.get_mut(&self.organization) {
            holder.reserved = holder.reserved.saturating_sub(1);
        }
        room.forget_if_empty(&self.organization);
    }
}

impl KeptSecrets {
    /// Room for this many answers.
    pub(super) fn new(places_max: usize) -> Self {
        Self { places_max, room: Mutex::default() }
    }

    /// The answer that is kept for a scope.
    pub(super) fn get(&self, scope: &Sha, now: Timestamp) -> Option<KeptAnswer> {
        let mut room = self.room();
        room.end(now);
        room.answers.get(scope).map(|(_, answer)| answer.clone())
    }

    /// Takes room for one answer of an organization; or says in how many seconds to come back.
    pub(super) fn reserve(
        self: &Arc<Self>,
        of: &OrganizationId,
        now: Timestamp,
    ) -> Result<Reservation, u64> {
        let mut room = self.room();
        room.end(now);
        let taken = room.reserved.saturating_add(room.answers.len());
        if taken >= self.places_max && !room.make_way(of, self.places_max) {
            return Err(room.retry_after_s(of, now));
        }
        room.reserved = room.reserved.saturating_add(1);
        let holder = room.holders.entry(of.clone()).or_default();
        holder.reserved = holder.reserved.saturating_add(1);
        Ok(Reservation { of: Arc::clone(self), organization: of.clone() })
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Drops what has ended.
    fn end(&mut self, now: Timestamp) {
        while let Some((end, scope)) = self.by_end.first().copied().filter(|(end, _)| *end <= now) {
            self.remove(&scope);
            self.by_end.remove(&(end, scope));
        }
    }

    /// Drops an answer of whoever has the most, if an organization has less than its share.
    fn make_way(&mut self, of: &OrganizationId, places_max: usize) -> bool {
        let own = self.holders.get(of).map_or(0, Holder::places);
        let newcomer = usize::from(own == 0);
        let share = places_max / self.holders.len().saturating_add(newcomer).max(1);
        if own >= share.max(1) {
            return false;
        }
        let beyond = self.holders.values().filter(|it| it.places() > share.max(1));
        let most = beyond.max_by_key(|it| it.places());
        let Some((_, scope)) = most.and_then(|it| it.by_end.first().copied()) else { return false };
        self.remove(&scope);
        true
    }

    fn retry_after_s(&self, of: &OrganizationId, now: Timestamp) -> u64 {
        let own = self.holders.get(of).and_then(|it| it.by_end.first());
        let (end, _) = own.or(self.by_end.first()).copied().unwrap_or((now, [0; 32]));
        let ms = u64::try_from(end.as_ms().saturating_sub(now.as_ms())).unwrap_or_default();
        ms.div_ceil(1000).clamp(1, RETRY_AFTER_S_MAX)
    }

    fn remove(&mut self, scope: &Sha) {
        let Some((organization, answer)) = self.answers.remove(scope) else { return };
        let place = (answer.expires_at, *scope);
        self.by_end.remove(&place);
        if let Some(holder) = self.holders.get_mut(&organization) {
            holder.by_end.remove(&place);
        }
        self.forget_if_empty(&organization);
    }

    fn forget_if_empty(&mut self, organization: &OrganizationId) {
        if self.holders.get(organization).is_some_and(|it| it.places() == 0) {
            self.holders.remove(organization);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn answer(name: u8, end_ms: i64) -> KeptAnswer {
        KeptAnswer {
            scope_sha256: [name; 32],
            request_sha256: [0; 32],
            status: 200,
            body: Some(vec![name]),
            expires_at: at(end_ms),
        }
    }

    fn id(name: &str) -> OrganizationId {
        OrganizationId::new(name)
    }

    fn keep(kept: &Arc<KeptSecrets>, of: &str, name: u8) -> bool {
        let room = kept.reserve(&id(of), at(0));
        room.map(|it| it.keep(answer(name, 1000 + i64::from(name)))).is_ok()
    }

    fn left(kept: &KeptSecrets, names: impl IntoIterator<Item = u8>) -> Vec<u8> {
        names.into_iter().filter(|it| kept.get(&[*it; 32], at(0)).is_some()).collect()
    }

    #[test]
    fn a_single_organization_has_all_the_room_and_is_refused_before_anything_is_dropped() {
        let kept = Arc::new(KeptSecrets::new(4));
        for name in 0..4 {
            assert!(keep(&kept, "a", name));
        }

        assert_eq!(kept.reserve(&id("a"), at(0)).err(), Some(1));

        assert_eq!(left(&kept, 0..4), [0, 1, 2, 3]);
        assert!(kept.reserve(&id("a"), at(1000)).is_ok(), "the first has ended");
    }

    #[test]
    fn another_organization_gets_its_share_and_never_more_of_what_was_promised() {
        let kept = Arc::new(KeptSecrets::new(4));
        for name in 0..4 {
            assert!(keep(&kept, "a", name));
        }

        assert!(keep(&kept, "b", 10) && keep(&kept, "b", 11));
        assert!(!keep(&kept, "b", 12), "it has its share");
        assert!(!keep(&kept, "a", 13), "and so has the other");

        assert_eq!(left(&kept, 0..20), [2, 3, 10, 11]);
    }

    #[test]
    fn room_of_a_request_at_work_is_taken_and_given_back() {
        let kept = Arc::new(KeptSecrets::new(1));
        let working = kept.reserve(&id("a"), at(0));
        assert!(working.is_ok());
        assert_eq!(kept.reserve(&id("b"), at(0)).err(), Some(1), "nothing of it can be dropped");

        drop(working);

        assert!(keep(&kept, "b", 1));
    }

    #[test]
    fn nobody_is_left_behind_when_everything_has_ended() {
        let kept = Arc::new(KeptSecrets::new(8));
        for name in 0..8 {
            assert!(keep(&kept, ["a", "b", "c"][usize::from(name) % 3], name));
        }
        drop(kept.reserve(&id("d"), at(0)));

        assert!(kept.get(&[0; 32], at(5000)).is_none());

        let room = kept.room();
        assert!(room.answers.is_empty() && room.by_end.is_empty() && room.holders.is_empty());
        assert_eq!(room.reserved, 0);
    }

    #[test]
    fn more_organizations_than_places_keep_one_each_and_the_rest_are_told_to_come_back() {
        let kept = Arc::new(KeptSecrets::new(2));
        assert!(keep(&kept, "a", 1) && keep(&kept, "b", 2));

        assert!(!keep(&kept, "c", 3));

        assert_eq!(left(&kept, 0..4), [1, 2]);
    }
}
