//! A filter that looked at the newest 5,000 rows of more says so, and where to find the others.

use countersign::console::state::{Answer, Ask, LIST_ROWS_MAX, LoasShown, Message, State, update};
use countersign::console::views::View;

use super::desk::{Desk, screen};
use super::stage;
use crate::rig::{Rig, Setup};

/// The list of a view as if the register held so many rows and more, all like its last one.
fn with_rows(state: &State, view: View, limit: u32) -> State {
    fn many<T: Clone>(rows: &[T], count: u32) -> Vec<T> {
        vec![rows.last().unwrap().clone(); usize::try_from(count).unwrap()]
    }
    let (ask, answer) = match view {
        View::Queue => (Ask::Queue { limit }, Answer::Queue(many(&state.queue.loaded, limit))),
        View::Authorizations => (
            Ask::Authorizations { shown: LoasShown::All, limit },
            Answer::Authorizations(many(&state.authorizations.loaded, limit)),
        ),
        View::Inbox => (Ask::Inbox { limit }, Answer::Inbox(many(&state.inbox.loaded, limit))),
        View::Outgoing => {
            (Ask::Outgoing { limit }, Answer::Outgoing(many(&state.outgoing.loaded, limit)))
        }
        View::Organizations | View::Activity | View::System => panic!("not such a list"),
    };
    let mut state = state.clone();
    drop(update(&mut state, Message::Loaded(0, ask, Box::new(Ok(answer)))));
    state
}

#[test]
fn a_filter_that_did_not_look_at_every_row_does_not_say_that_nothing_fits() {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    for (view, keys, all, newest) in [
        (View::Queue, "2", "No review fits /nobody", "oldest"),
        (View::Authorizations, "3", "No authorization fits /nobody", "newest"),
        (View::Inbox, "4", "No delivery fits /nobody", "newest"),
        (View::Outgoing, "5", "No outgoing webhook fits /nobody", "newest"),
    ] {
        let mut desk = Desk::at(&rig, (120, 40));
        desk.press(keys).press("/nobody<Enter>").sees(&[all, "Esc ends the filter."]);

        let some = screen(&with_rows(&desk.state, view, 200));
        assert!(some.contains(&format!("None of the {newest} 200 fits /nobody")), "{some}");
        assert!(some.contains("Reading on"), "{some}");

        let most = screen(&with_rows(&desk.state, view, LIST_ROWS_MAX));
        assert!(most.contains(&format!("None of the {newest} 5,000 fits /nobody")), "{most}");
        assert!(most.contains("There are more, and they were not looked at:"), "{most}");
        assert!(!most.contains(all), "{most}");
    }
}

#[test]
fn a_filtered_list_says_of_how_many_rows_it_is() {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    let mut desk = Desk::at(&rig, (120, 40));
    desk.press("4");
    let full = with_rows(&desk.state, View::Inbox, LIST_ROWS_MAX);
    assert!(screen(&full).contains("row 1 of 5,000 (no more are listed"), "{}", screen(&full));

    let mut rows = full.inbox.loaded;
    rows[7].event_type = Some("applicantRare".to_owned());
    desk.press("/rare<Enter>");
    let (ask, answer) = (Ask::Inbox { limit: LIST_ROWS_MAX }, Answer::Inbox(rows));
    desk.send(Message::Loaded(0, ask, Box::new(Ok(answer))));
    desk.sees(&["row 1 of 1 among 5,000 (no more are looked at)"]);
}
