//! On an organization's page what is selected stays selected, whatever comes in above it.

use countersign::console::state::{DetailItem, Message, State};
use countersign::domain::organization::{OrganizationId, OrganizationType};
use countersign::store::{AuthorizationNote, StoreError};
use countersign::usecase::decide::Decision;

use super::desk::Desk;
use super::stage::{self, ACME, BROKER};
use crate::rig::{OPERATOR, Rig, Setup};

const OTHER: &str = "org_00000000000000000000000000000009";

/// The selected line, as it is recorded.
fn selected(state: &State) -> String {
    let detail = state.organization.as_ref().unwrap();
    match *state.items.selected().unwrap() {
        DetailItem::Loa(at) => format!("LOA {}", detail.authorizations[at].authorization.id),
        DetailItem::Fact(at) => format!("fact {}", detail.facts[at].fact.sequence),
        DetailItem::Session(at) => format!("session {}", detail.facts[at].fact.sequence),
        DetailItem::LoaFact(at) => {
            let it = &detail.authorization_activity[at];
            format!("LOA fact {} {:?} {:?}", it.event, it.known_at, it.with)
        }
        DetailItem::Link(at) => format!("link {}", detail.links[at].link.id),
        DetailItem::Delivery(at) => format!("delivery {}", detail.deliveries[at].id),
        DetailItem::Outgoing(at) => format!("webhook {}", detail.outgoing[at].no),
    }
}

/// An LOA for another broker, a decision, a delivery, and the webhooks that tell of them.
fn something_of_everything_comes_in(rig: &Rig, number: usize) {
    let (granting, other) = (OrganizationId::new(ACME), OrganizationId::new(OTHER));
    let note = AuthorizationNote { actor: OPERATOR.to_owned(), request_id: None, now: rig.now() };
    rig.appliance
        .store
        .write(move |tx| {
            if tx.live_authorization(&granting, &other)?.is_none() {
                tx.issue_authorization(&granting, &other, &note)?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    rig.advance(1_000);
    rig.decide(ACME, if number.is_multiple_of(2) { Decision::Hold } else { Decision::Approve })
        .unwrap();
    stage::review(rig, ACME, 2, "GREEN");
}

#[test]
fn a_new_loa_fact_or_delivery_does_not_move_the_selection_to_another_line() {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    stage::organization(&rig, OTHER, "Other Broker", OrganizationType::Business, None);
    let mut desk = Desk::unlocked(&rig, (120, 60));
    desk.press("/acme<Enter><Enter>");
    let count = desk.state.items.rows.len();
    assert!(count >= 6, "{:?}", desk.state.items.rows);
    for number in 0..count {
        desk.press("g");
        for _ in 0..number {
            desk.press("j");
        }
        let before = selected(&desk.state);
        let lines = desk.state.items.rows.len();

        something_of_everything_comes_in(&rig, number);
        desk.send(Message::Changed);
        desk.settle();

        assert!(desk.state.items.rows.len() > lines, "something new came in");
        assert_eq!(selected(&desk.state), before, "line {number}");
    }
}

#[test]
fn a_revocation_is_about_the_loa_that_was_selected_before_a_newer_one_came() {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    stage::organization(&rig, OTHER, "Other Broker", OrganizationType::Business, None);
    let mut desk = Desk::unlocked(&rig, (120, 60));
    desk.press("/acme<Enter><Enter>");

    something_of_everything_comes_in(&rig, 0);
    desk.send(Message::Changed);
    desk.settle();

    let authorized = desk.state.loa().map(|it| it.authorization.authorized.clone());
    assert_eq!(authorized, Some(OrganizationId::new(BROKER)));
    desk.press("R").sees(&["Takes back the LOA of Acme Trading Co. for Broker Ltd., for ever."]);
}
