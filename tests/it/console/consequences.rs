//! What a dialog says that its act takes away is what is so now, and is read before it is confirmed.

use countersign::console::dialog::{About, Dialog, Outlook, Preview, Sight};
use countersign::console::state::{Command, Message, Overlay, State, update};
use countersign::domain::organization::OrganizationId;
use countersign::usecase::authorizations::{By, revoke_authorization};
use countersign::usecase::observe::Consequences;

use serde_json::json;

use super::desk::{Desk, parse_keys, screen};
use super::stage::{self, ACME, BROKER, JO};
use crate::rig::{OPERATOR, Rig, Setup, sumsub_instant};
use crate::sumsub::World;

const SIZE: (u16, u16) = (120, 40);

fn staged() -> Rig {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    rig
}

fn dialog_of(state: &State) -> &Dialog {
    let Overlay::Dialog(dialog) = &state.overlay else { panic!("no dialog") };
    dialog
}

/// The questions about consequences that a message leads to.
fn questions(state: &mut State, message: Message) -> Vec<u64> {
    let commands = update(state, message).into_iter();
    commands
        .filter_map(|it| match it {
            Command::Preview(question, ..) => Some(question),
            _ => None,
        })
        .collect()
}

fn none() -> Vec<u64> {
    Vec::new()
}

fn takes_away(loas: usize) -> Outlook {
    let takes_away = Consequences { suspended_loas: loas, brokers: loas };
    Outlook { takes_away, basis: None }
}

#[test]
fn after_a_refusal_the_consequences_are_found_out_anew() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter><Enter>R").sees(&["ends 1 LOA; 1 broker loses access now"]);
    let of = |id: &str| OrganizationId::new(id);
    let by = By { actor: OPERATOR.to_owned(), request_id: None };
    revoke_authorization(&rig.appliance, &of(ACME), &of(BROKER), None, by).unwrap();

    desk.press("wrong paper<Enter>").sees(&["cannot tell what this takes away"]);
    desk.press("<Enter>").sees(&["the consequences are not known"]);
    assert_eq!(desk.acts, 1, "the second Enter confirmed nothing");
}

#[test]
fn what_a_re_read_takes_away_is_asked_again_after_a_commit_but_not_at_every_one() {
    let world = World::new();
    stage::set(&world.rig);
    world.rig.sign(JO, BROKER);
    let mut desk = Desk::unlocked(&world.rig, SIZE);
    desk.press("/jo<Enter>S<Enter><Esc>");
    let applicant = format!("/applicants/-;externalUserId={JO}");
    let play = |step: &str| {
        world.control("POST", &format!("{applicant}/{step}"), &json!({}));
    };
    play("submit");
    play("approve");
    desk.press("E<Enter>").sees(&["PENDING → APPROVED"]);
    desk.press("E").sees(&["takes no access away"]);
    assert!(!desk.screen().contains("no LOA is effective now"), "one is: {}", desk.screen());

    play("reject");
    for _ in 0..20 {
        assert_eq!(questions(&mut desk.state, Message::Changed), none());
    }
    world.rig.advance(6_000);
    desk.send(Message::Tick(world.rig.now()));
    desk.settle();
    desk.sees(&["suspends 1 LOA; 1 broker loses access now"]);
    assert_eq!(dialog_of(&desk.state).sight, Sight::Glimpsed, "Enter confirms nothing yet");
}

#[test]
fn the_answer_to_the_newest_question_is_shown_however_many_came_before() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>");
    let state = &mut desk.state;
    let ask = |state: &mut State, message| {
        let questions = questions(state, message);
        assert_eq!(questions.len(), 1);
        questions[0]
    };
    let first = ask(state, Message::Key(parse_keys("H")[0]));
    // Somebody writes before it is answered: the answer may be of before or after that.
    assert_eq!(questions(state, Message::Changed), none());
    let second = ask(state, Message::Previewed(first, Ok(takes_away(1))));
    assert_eq!(questions(state, Message::Changed), none());
    let third = ask(state, Message::Previewed(second, Ok(takes_away(2))));
    assert_eq!(dialog_of(state).preview, Preview::Known(takes_away(2)));

    assert_eq!(questions(state, Message::Previewed(third, Ok(takes_away(3)))), none());
    assert_eq!(questions(state, Message::Previewed(first, Ok(takes_away(1)))), none());
    assert_eq!(dialog_of(state).preview, Preview::Known(takes_away(3)));
}

#[test]
fn what_is_taken_away_is_on_the_screen_of_the_smallest_terminal_whatever_the_names() {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    let mut states = Vec::new();
    for keys in ["H", "<Enter>R", "E", "4P"] {
        let mut desk = Desk::unlocked(&rig, SIZE);
        desk.press("/acme<Enter>").press(keys);
        states.push(desk.state.clone());
    }
    for mut state in states {
        let long = "日本 Freight and Forwarding Co. ".repeat(8);
        let Overlay::Dialog(dialog) = &mut state.overlay else { panic!("no dialog") };
        match &mut dialog.about {
            About::Organization(_, name) | About::Loa(_, name) => *name = long,
            About::Nothing | About::Delivery(_) | About::Outgoing(_) => {}
        }
        let takes_away = Consequences { suspended_loas: 12_345, brokers: 12_345 };
        let basis = dialog.basis().cloned();
        dialog.preview = Preview::Known(Outlook { takes_away, basis });
        for trouble in [None, Some("the register answered something very long. ".repeat(9))] {
            let Overlay::Dialog(dialog) = &mut state.overlay else { panic!("no dialog") };
            dialog.trouble.clone_from(&trouble);
            for (columns, rows) in [(40, 10), (40, 40), (41, 11), (57, 10), (80, 24), (300, 10)] {
                drop(update(&mut state, Message::Resized(columns, rows)));
                let screen = screen(&state);
                let inside: Vec<&str> =
                    screen.lines().map(|it| it.trim_matches(['│', ' '])).collect();
                let inside = inside.join(" ");
                let said = "12345 LOAs; 12345 brokers lose access now";
                assert!(inside.contains(said), "{columns}x{rows}\n{screen}");
                let is_typed = !dialog_of(&state).fields.is_empty();
                assert!(!is_typed || inside.contains("Reason"), "{columns}x{rows}\n{screen}");
                let is_told = trouble.is_none() || inside.contains("the register answered");
                assert!(is_told, "{columns}x{rows}\n{screen}");
            }
        }
    }
}

#[test]
fn a_replay_that_finds_its_organization_only_today_says_what_it_takes_away() {
    let rig = staged();
    rig.advance(60_000);
    let body = json!({
        "type": "applicantReviewed", "applicantId": format!("{:024x}", 2), "externalUserId": ACME,
        "sandboxMode": true, "reviewStatus": "completed",
        "reviewResult": {"reviewAnswer": "RED", "reviewRejectType": "FINAL"},
        "createdAtMs": sumsub_instant(rig.now()),
    });
    rig.keep_as_unknown_type(&body);

    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("4P").sees(&["suspends 1 LOA; 1 broker loses access now"]);
    desk.press("<Enter>").sees(&["replayed: unknown_type → changed"]);
}

#[test]
fn a_replay_that_changes_nothing_does_not_say_that_no_loa_is_effective() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    // The oldest delivery: the approval of a customer whose LOA is effective.
    desk.press("4GP").sees(&["takes no access away"]);
    assert!(!desk.screen().contains("no LOA is effective now"), "{}", desk.screen());
}

#[test]
fn a_dialog_that_a_small_terminal_hid_has_to_be_read_again() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>H").press("because");
    let read = dialog_of(&desk.state).ticket;

    desk.send(Message::Resized(39, 9));
    desk.send(Message::Read(read));
    desk.draws();
    desk.send(Message::Resized(120, 40));
    desk.send(Message::Key(parse_keys("<Enter>")[0]));
    assert_eq!((desk.acts, dialog_of(&desk.state).sight), (0, Sight::Unseen));

    desk.draws();
    desk.press("<Enter>").sees(&["is ON_HOLD"]);
}
