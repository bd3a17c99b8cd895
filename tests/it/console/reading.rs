//! What is read, when, and by which lane: a slow list floods nothing and hides nothing.

use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::console::dialog::About;
use countersign::console::keys::Action;
use countersign::console::state::{Aim, Ask, Command, Message, State, update};
use countersign::console::worker::Worker;
use countersign::domain::organization::{OrganizationId, OrganizationType};
use countersign::domain::timestamp::Clock;
use countersign::domain::verification::Status;
use countersign::store::{Direction, OrganizationOrder};
use countersign::usecase::observe::{Anchor, Listing};

use super::desk::{Desk, parse_keys, start};
use super::stage::{self, ACME};
use super::terminal::another;
use crate::rig::{OPERATOR, Rig, Setup};

const SIZE: (u16, u16) = (120, 40);

fn staged() -> Rig {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    rig
}

/// What is to be read after a message that nobody has answered yet.
fn loads(state: &mut State, message: Message) -> Vec<(u64, Ask)> {
    let commands = update(state, message).into_iter();
    commands
        .filter_map(|it| match it {
            Command::Load(ticket, ask) => Some((ticket, ask)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_list_that_is_slow_to_read_is_not_asked_for_at_every_commit() {
    let rig = staged();
    for keys in ["2", "3", "4", "5", "6", "/acme<Enter><Enter>", "4<Enter>", "5<Enter>"] {
        let mut desk = Desk::at(&rig, SIZE);
        desk.press(keys);
        let first = loads(&mut desk.state, Message::Changed);
        assert_eq!(first.len(), 1, "{keys}");

        for _ in 0..20 {
            assert_eq!(loads(&mut desk.state, Message::Changed), [], "{keys}");
        }
        let (ticket, ask) = first[0].clone();
        let refused = Box::new(Err("busy".to_owned()));
        let again = loads(&mut desk.state, Message::Loaded(ticket, ask.clone(), refused.clone()));
        assert_eq!(again.iter().map(|(_, it)| it).collect::<Vec<_>>(), [&ask], "{keys}");
        let (ticket, ask) = again[0].clone();
        assert_eq!(loads(&mut desk.state, Message::Loaded(ticket, ask, refused)), [], "{keys}");
    }
}

#[test]
fn organizations_that_are_slow_to_read_appear_although_somebody_always_writes() {
    let rig = staged();
    let mut state = State::new(start(&rig, SIZE));
    let asked: Vec<_> = state.begin();
    let Some(Command::Load(ticket, Ask::Organizations { .. })) = asked.first() else {
        panic!("{asked:?}");
    };
    let ticket = *ticket;
    for _ in 0..20 {
        assert_eq!(loads(&mut state, Message::Changed), []);
    }
    assert_eq!(state.window.ticket, Some(ticket), "its answer is still wanted");
    state.window.ticket = None;

    let again = loads(&mut state, Message::Tick(rig.now().plus_ms(250)));
    assert!(again.iter().any(|(_, it)| matches!(it, Ask::Organizations { .. })), "{again:?}");
}

#[test]
fn numbers_that_are_slow_to_count_are_not_asked_for_while_they_are_being_counted() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("7");
    assert_eq!(loads(&mut desk.state, Message::Changed), []);
    let counted = |state: &mut State, s: i64| {
        let asked = loads(state, Message::Tick(rig.now().plus_ms(s * 1_000)));
        asked.iter().filter(|(_, it)| *it == Ask::System).count()
    };
    assert_eq!(counted(&mut desk.state, 60), 1);
    for s in 61..90 {
        drop(loads(&mut desk.state, Message::Changed));
        assert_eq!(counted(&mut desk.state, s), 0, "after {s} s");
    }
}

#[test]
fn a_commit_or_a_refresh_does_not_cancel_a_jump_that_is_under_way() {
    let rig = Rig::new();
    for number in 0..300 {
        let id = format!("org_{number:032x}");
        let name = format!("Customer {number:03}");
        stage::organization(&rig, &id, &name, OrganizationType::Business, None);
    }
    let first = |desk: &Desk<'_>| {
        let row = desk.state.organizations.rows[0].name.as_str().to_owned();
        (row, desk.state.organizations.selected, desk.state.window.first_no)
    };
    for meanwhile in [Message::Changed, Message::Key(parse_keys("r")[0])] {
        let mut desk = Desk::at(&rig, SIZE);
        desk.press("G");
        assert_eq!(desk.state.window.first_no, None);
        // Oldest first, by its first page.
        desk.send(Message::Key(parse_keys("s")[0]));
        desk.send(meanwhile);
        desk.settle();
        assert_eq!(first(&desk), ("Customer 000".to_owned(), 0, Some(0)));
    }
}

/// A worker whose read lane stands still until the answer is dropped.
fn held_up(rig: &Rig) -> (Worker, std::sync::mpsc::Receiver<Message>, impl Drop) {
    let (open, gate) = channel::<()>();
    let (calm, gate) = (Arc::clone(&rig.appliance.clock), Mutex::new(gate));
    let clock: Clock = Arc::new(move || {
        if std::thread::current().name() == Some("console-read") {
            assert!(gate.lock().unwrap().recv().is_err(), "nothing is ever sent");
        }
        calm()
    });
    let (sender, messages) = sync_channel(64);
    let worker = Worker::start(&Arc::new(another(rig, clock)), OPERATOR, &sender).unwrap();
    worker.send(Command::Load(1, Ask::Inbox { limit: 200 }));
    (worker, messages, Gate(Some(open)))
}

/// Opens when it is dropped.
struct Gate(Option<std::sync::mpsc::Sender<()>>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0 = None;
    }
}

#[test]
fn consequences_and_searches_do_not_wait_behind_a_slow_list() {
    let rig = staged();
    let (worker, messages, gate) = held_up(&rig);
    // How the clock stands is told by the watch, whenever it has looked.
    let is_answer = |it: &Message| !matches!(it, Message::Clock(_));
    let mut answers = std::iter::from_fn(|| messages.recv_timeout(Duration::from_secs(30)).ok())
        .filter(is_answer);
    let mut next = || answers.next().expect("an answer");

    let about = About::Organization(OrganizationId::new(ACME), "Acme".to_owned());
    worker.send(Command::Preview(2, Action::Hold, about));
    assert!(matches!(next(), Message::Previewed(2, Ok(it)) if it.takes_away.suspended_loas == 1));

    // No index leads to those of one status by name: every row is looked at.
    let listing = Listing {
        order: OrganizationOrder::Name,
        direction: Direction::Up,
        status: Some(Status::Approved),
    };
    let (anchor, aim) = (Anchor::Start, Aim::Jump);
    worker.send(Command::Load(
        3,
        Ask::Organizations { listing, filter: None, anchor, limit: 200, aim },
    ));
    let found = std::iter::repeat_with(&mut next).find(|it| !matches!(it, Message::Searched(..)));
    let Some(Message::Loaded(3, _, answer)) = found else { panic!("{found:?}") };
    assert!(format!("{answer:?}").contains("Acme Trading Co."), "{answer:?}");

    drop(gate);
    assert!(matches!(next(), Message::Loaded(1, ..)));
}
