//! On whose account this thread calls Sumsub: its requests count against that organization's share
//! of Sumsub's window. A use-case calls in the thread that answers its request, and never hands a
//! call on, so the thread knows what a parameter through every method of the client would say.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::domain::shares::Holder;

thread_local! {
    static PAYER: RefCell<Holder> = const { RefCell::new(None) };
}

/// As long as this lives, this thread calls on somebody's account. It cannot leave its thread.
#[derive(Debug)]
pub struct OnAccount {
    before: Holder,
    of_this_thread: PhantomData<*const ()>,
}

impl OnAccount {
    /// From now on calls of this thread count for `payer`.
    pub fn of(payer: &Holder) -> Self {
        let before = PAYER.replace(payer.clone());
        Self { before, of_this_thread: PhantomData }
    }
}

impl Drop for OnAccount {
    fn drop(&mut self) {
        PAYER.set(self.before.take());
    }
}

/// On whose account this thread calls.
pub(super) fn payer() -> Holder {
    PAYER.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::organization::OrganizationId;

    #[test]
    fn an_account_ends_with_its_call_and_the_one_before_it_goes_on() {
        let [first, second] = ["org_a", "org_b"].map(|it| Some(OrganizationId::new(it)));

        let outer = OnAccount::of(&first);
        let inner = OnAccount::of(&second);
        assert_eq!(payer(), second);
        drop(inner);
        assert_eq!(payer(), first);
        drop(outer);
        assert_eq!(payer(), None);
    }
}
