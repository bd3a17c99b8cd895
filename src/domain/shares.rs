//! How organizations share a bounded number of places that nobody can be sent away from: calls to
//! Sumsub under way, requests in Sumsub's window, outgoing deliveries under way.
//!
//! **The rule.** Whoever holds n places takes another one only if n places, or all the spare ones if
//! those are fewer, stay free. So an organization alone has every place but the spare ones, and one
//! that holds nothing gets a place whenever one is free. The more somebody holds, the more it leaves:
//! to fill s spare places it takes at least `log2(s)` organizations more.
//!
//! A share of equal size for everybody was not chosen: it would bind a broker that is alone.

use std::collections::HashMap;

use crate::domain::organization::OrganizationId;

/// Who holds a place; `None`: the operator, and what the server does on its own.
pub type Holder = Option<OrganizationId>;

/// How many places each holder has.
#[derive(Clone, Debug)]
pub struct Shares {
    free: usize,
    spare: usize,
    held: HashMap<Holder, usize>,
}

impl Shares {
    /// `places` for each organization that is alone, and `spare` ones beyond them.
    pub fn new(places: usize, spare: usize) -> Self {
        Self { free: places.saturating_add(spare), spare, held: HashMap::new() }
    }

    /// Takes a place, if the rule lets `holder` have one.
    #[must_use]
    pub fn take(&mut self, holder: &Holder) -> bool {
        let held = self.held(holder);
        let Some(left) = self.free.checked_sub(1) else { return false };
        if left < held.min(self.spare) {
            return false;
        }
        self.free = left;
        self.held.insert(holder.clone(), held.saturating_add(1));
        true
    }

    /// Gives a place back. Of somebody who holds none, nothing.
    pub fn give_back(&mut self, holder: &Holder) {
        let Some(held) = self.held.get_mut(holder) else { return };
        *held = held.saturating_sub(1);
        self.free = self.free.saturating_add(1);
        if *held == 0 {
            self.held.remove(holder);
        }
    }

    /// How many places somebody holds.
    pub fn held(&self, holder: &Holder) -> usize {
        self.held.get(holder).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn organization(number: usize) -> Holder {
        Some(number).map(|it| OrganizationId::new(format!("org_{it}")))
    }

    fn as_many_as_it_may(shares: &mut Shares, holder: &Holder) -> usize {
        std::iter::repeat_with(|| shares.take(holder)).take_while(|it| *it).count()
    }

    #[test]
    fn a_single_organization_has_every_place_and_leaves_the_spare_ones() {
        for (places, spare) in [(16, 8), (64, 32), (40, 10), (1, 1), (3, 0)] {
            let mut shares = Shares::new(places, spare);
            assert_eq!(as_many_as_it_may(&mut shares, &organization(0)), places);
        }
    }

    #[test]
    fn those_that_come_later_share_the_spare_places() {
        let mut shares = Shares::new(16, 8);

        let held: Vec<usize> =
            (0..6).map(|it| as_many_as_it_may(&mut shares, &organization(it))).collect();

        assert_eq!(held, [16, 4, 2, 1, 1, 0]);
    }

    #[test]
    fn without_a_place_nobody_gets_one_and_nothing_is_given_back() {
        let mut shares = Shares::new(0, 0);

        assert!(!shares.take(&None));
        shares.give_back(&None);
        assert!(!shares.take(&None));
    }

    proptest! {
        /// Whatever is taken and given back: an organization that holds nothing is refused only where
        /// many others hold something, and what is given back can be taken again.
        #[test]
        fn an_organization_without_a_place_gets_one_unless_many_others_hold_places(
            spare in 0_usize..20,
            more in 0_usize..40,
            steps in vec((0_usize..12, any::<bool>()), 0..400),
        ) {
            let places = spare.saturating_add(more);
            let mut shares = Shares::new(places, spare);
            for (number, takes) in steps {
                let holder = organization(number);
                if takes {
                    let before = shares.held(&holder);
                    let is_taken = shares.take(&holder);
                    prop_assert_eq!(shares.held(&holder), before.saturating_add(is_taken.into()));
                    if before == 0 && !is_taken && spare > 0 {
                        let others = shares.held.len();
                        let least = usize::try_from(spare.ilog2()).unwrap().saturating_add(2);
                        prop_assert!(others >= least, "{others} of {places} and {spare}");
                    }
                } else {
                    shares.give_back(&holder);
                }
                let held: usize = shares.held.values().sum();
                prop_assert_eq!(held.saturating_add(shares.free), places.saturating_add(spare));
            }
        }
    }
}
