//! The places of clients that wait for a change.
//!
//! **The rule.** While a place is free, whoever comes gets it, so an organization that is alone has
//! them all. Once none is free, an organization that holds fewer than the one that holds the most
//! gets the place of that one's longest waiting client, which is answered at once with what is true
//! now. So nobody is refused a place but those that hold as many as anybody does, or one fewer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::organization::OrganizationId;
use crate::store::WatchEnd;

/// The places.
#[derive(Debug)]
pub struct Waits {
    places: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    /// The number that the next client gets.
    next: u64,
    /// Each organization's clients, the longest waiting first.
    clients: HashMap<OrganizationId, BTreeMap<u64, WatchEnd>>,
}

/// One place, given back on drop, if it was not given to somebody else before.
#[derive(Debug)]
pub struct WaitingPlace<'a> {
    of: &'a Waits,
    holder: OrganizationId,
    number: u64,
}

impl Waits {
    /// This many places.
    pub fn new(places: usize) -> Self {
        Self { places, taken: Mutex::default() }
    }

    /// A place for a client of `holder`, whose wait can be ended by `end`; `None`: it may not wait.
    pub fn take(&self, holder: &OrganizationId, end: WatchEnd) -> Option<WaitingPlace<'_>> {
        let mut taken = self.taken();
        if taken.count >= self.places {
            let most = taken.of_the_most()?;
            let is_fair = taken.held(holder).saturating_add(1) < taken.held(&most);
            if !is_fair {
                return None;
            }
            taken.end_the_longest(&most);
        }
        let number = taken.next;
        taken.next = number.wrapping_add(1);
        taken.count = taken.count.saturating_add(1);
        taken.clients.entry(holder.clone()).or_default().insert(number, end);
        Some(WaitingPlace { of: self, holder: holder.clone(), number })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn held(&self, holder: &OrganizationId) -> usize {
        self.clients.get(holder).map_or(0, BTreeMap::len)
    }

    /// A walk over the organizations whose clients wait, and only when no place is free.
    fn of_the_most(&self) -> Option<OrganizationId> {
        self.clients.iter().max_by_key(|(_, clients)| clients.len()).map(|(it, _)| it.clone())
    }

    fn end_the_longest(&mut self, holder: &OrganizationId) {
        let longest = self.clients.get(holder).and_then(|it| it.keys().next().copied());
        if let Some(end) = longest.and_then(|it| self.remove(holder, it)) {
            end.now();
        }
    }

    fn remove(&mut self, holder: &OrganizationId, number: u64) -> Option<WatchEnd> {
        let clients = self.clients.get_mut(holder)?;
        let end = clients.remove(&number)?;
        if clients.is_empty() {
            self.clients.remove(holder);
        }
        self.count = self.count.saturating_sub(1);
        Some(end)
    }
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        drop(self.of.taken().remove(&self.holder, self.number));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Changes, Woken};

    fn organization(number: usize) -> OrganizationId {
        OrganizationId::new(format!("org_{number}"))
    }

    #[test]
    fn the_longest_waiting_client_of_the_organization_with_the_most_makes_room() {
        let (changes, waits) = (Changes::default(), Waits::new(3));
        let [most, other] = [organization(0), organization(1)];
        let ends = [(); 3].map(|()| WatchEnd::default());
        let mut watches: Vec<_> = ends
            .iter()
            .map(|end| changes.watch_ended_by(&most, Duration::from_secs(600), end))
            .collect();
        let places = ends.map(|end| waits.take(&most, end).unwrap());

        assert!(waits.take(&most, WatchEnd::default()).is_none());
        let place = waits.take(&other, WatchEnd::default());
        assert!(place.is_some());

        assert_eq!(watches[0].wait(None), Woken::Over);
        changes.wake_all();
        assert!(watches[1..].iter_mut().all(|it| it.wait(None) == Woken::Change));
        let second = waits.take(&other, WatchEnd::default());
        assert!(second.is_none(), "one each more would only change sides");
        drop((places, place));
        let taken = waits.taken();
        assert_eq!((taken.count, taken.clients.len()), (0, 0));
    }

    proptest! {
        /// Whatever comes and goes: nobody is refused but where it holds as many as anybody, or one
        /// fewer; no more wait than there are places; and one that is alone has every place.
        #[test]
        fn nobody_is_refused_a_place_who_holds_fewer_than_others(
            count in 0_usize..9,
            steps in vec((0_usize..5, any::<bool>()), 0..200),
        ) {
            let waits = Waits::new(count);
            let mut places: Vec<Vec<WaitingPlace<'_>>> = (0..5).map(|_| Vec::new()).collect();
            for (number, comes) in steps {
                let holder = organization(number);
                if !comes {
                    places[number].pop();
                    continue;
                }
                let held: Vec<usize> =
                    (0..5).map(|it| waits.taken().held(&organization(it))).collect();
                let most = held.iter().copied().max().unwrap();
                match waits.take(&holder, WatchEnd::default()) {
                    Some(place) => places[number].push(place),
                    None => prop_assert!(held[number] + 1 >= most && held.iter().sum::<usize>() == count),
                }
                let waiting: usize = (0..5).map(|it| waits.taken().held(&organization(it))).sum();
                prop_assert!(waiting <= count && waiting == waits.taken().count);
            }
        }
    }
}
