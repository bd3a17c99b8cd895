//! A decision rests on what its dialog has shown; whoever sets Sumsub aside says so (contract 9.2).

use std::process::Command as Process;

use countersign::console::dialog::{Preview, Sight};
use countersign::console::state::{Message, Overlay, State, update};
use countersign::usecase::decide::Decision;

use super::desk::{Desk, parse_keys};
use super::stage::{self, BOLT};
use crate::rig::{Rig, Setup};

const SIZE: (u16, u16) = (120, 40);
/// Who is decided on by which key, in an order in which each fits.
const DECISIONS: [(&str, &str, &str); 5] = [
    ("acme", "H", "hold"),
    ("bolt", "A", "approve"),
    ("bolt", "X", "reject"),
    ("bolt", "B", "resubmit"),
    ("zo", "O", "reopen"),
];

fn staged() -> Rig {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    rig
}

fn status(rig: &Rig, id: &str) -> String {
    rig.shown(id).standing.status.as_str().to_owned()
}

fn sight(state: &State) -> Option<Sight> {
    match &state.overlay {
        Overlay::Dialog(it) => Some(it.sight),
        _ => None,
    }
}

#[test]
fn a_decision_made_on_an_older_screen_is_refused_and_the_dialog_comes_back() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>A").sees(&["newest: operator_hold of 2026-01-10"]);
    desk.press("false match, ticket 4711");
    stage::review_saying(&rig, BOLT, 3, stage::red("FINAL"));

    // Pressed, and held.
    desk.send(Message::Key(parse_keys("<Enter>")[0]));
    desk.settle();
    for _ in 0..3 {
        desk.send(Message::Key(parse_keys("<Enter>")[0]));
        desk.settle();
    }

    assert_eq!((desk.acts, sight(&desk.state)), (1, Some(Sight::Unseen)));
    assert_eq!(status(&rig, BOLT), "ON_HOLD");
    desk.sees(&[
        "Something happened meanwhile: provider_rejected of 2026-01-14",
        "Nothing was changed; look again",
        "newest: provider_rejected of 2026-01-14",
        "Sumsub's newest verdict is a rejection of 2026-01-14",
        "false match, ticket 4711",
    ]);
    assert!(!desk.screen().contains("Enter confirm"), "{}", desk.screen());

    desk.draws();
    desk.sees(&["Enter confirm"]).press("<Tab><Space><Enter>").sees(&["is APPROVED"]);
}

#[test]
fn nothing_is_decided_before_it_is_known_what_it_rests_on() {
    let rig = staged();
    for (of, key, word) in DECISIONS {
        let mut desk = Desk::unlocked(&rig, SIZE);
        desk.press(&format!("/{of}<Enter>"));
        drop(update(&mut desk.state, Message::Key(parse_keys(key)[0])));
        desk.draws();
        for key in parse_keys("because<Enter>") {
            desk.send(Message::Key(key));
        }
        desk.sees(&["finding out what this", "wait until the consequences are known"]);
        assert_eq!(desk.acts, 0, "{word}");
    }
}

#[test]
fn every_decision_shows_the_fact_that_it_rests_on() {
    let rig = staged();
    for (of, key, word) in DECISIONS {
        let mut desk = Desk::unlocked(&rig, SIZE);
        desk.press(&format!("/{of}<Enter>{key}"));
        let Overlay::Dialog(dialog) = &desk.state.overlay else { panic!("no dialog: {word}") };
        let Preview::Known(outlook) = &dialog.preview else { panic!("{:?}", dialog.preview) };
        let basis = outlook.basis.as_ref().unwrap().fact();
        assert!(basis > 0);
        let fact = format!("(fact {basis})");
        desk.sees(&["newest: ", &fact, &format!("--seen {basis}")]);
    }
}

#[test]
fn a_fact_that_comes_while_the_dialog_stands_open_is_shown_before_it_confirms() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>Bpassport has expired");
    stage::review_saying(&rig, BOLT, 3, stage::red("FINAL"));
    desk.send(Message::Changed);
    desk.settle();

    desk.send(Message::Key(parse_keys("<Enter>")[0]));

    assert_eq!((desk.acts, sight(&desk.state)), (0, Some(Sight::Glimpsed)));
    desk.sees(&["newest: provider_rejected of 2026-01-14", "passport has expired"]).draws();
    desk.press("<Enter>").sees(&["is RESUBMISSION_REQUIRED"]);
}

#[test]
fn an_approval_against_sumsub_says_so_and_needs_a_choice_that_is_no_until_made() {
    let rig = staged();
    stage::review_saying(&rig, BOLT, 3, stage::red("FINAL"));
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>A").sees(&[
        "Sumsub's newest verdict is a rejection of 2026-01-14",
        "Approving overrules it, and every reader is",
        "Overrule Sumsub  [no]  yes",
    ]);
    desk.press("false match<Enter>").sees(&["Space choose"]).press("<Enter>");
    desk.sees(&["Sumsub's newest verdict is against it: choose yes at Overrule Sumsub"]);
    assert_eq!((desk.acts, status(&rig, BOLT).as_str()), (0, "ON_HOLD"));

    desk.press("<Space>").sees(&[" no  [yes]", "--against-provider"]).press("<Enter>");
    desk.sees(&["is APPROVED"]).press("<Enter>").sees(&[
        "! approved by an operator against Sumsub's rejection of 2026-01-14",
        "! against provider_rejected · operator:ada: false match",
    ]);
}

#[test]
fn a_choice_against_one_verdict_is_not_one_against_the_next() {
    let rig = staged();
    stage::review_saying(&rig, BOLT, 3, stage::red("FINAL"));
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>Afalse match<Tab><Space>").sees(&["[yes]"]);

    stage::review_saying(&rig, BOLT, 3, stage::red("RETRY"));
    desk.send(Message::Changed);
    desk.settle();
    desk.draws();

    desk.sees(&["a request to submit again of", "[no]", "false match"]).press("<Enter>");
    assert_eq!(desk.acts, 0);

    stage::review_saying(&rig, BOLT, 3, stage::green());
    desk.send(Message::Changed);
    desk.settle();
    desk.draws();
    assert!(!desk.screen().contains("Overrule Sumsub"), "{}", desk.screen());
    desk.press("<Enter>").sees(&["is APPROVED"]);
}

#[test]
fn an_approval_without_any_check_by_sumsub_says_so_and_asks_no_more() {
    let rig = staged();
    rig.decide(stage::JO, Decision::Hold).unwrap();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/jo<Enter>A").sees(&["no check by Sumsub on file"]);
    assert!(!desk.screen().contains("Overrule Sumsub"), "{}", desk.screen());
    desk.press("met in person<Enter>").sees(&["is APPROVED"]).press("<Enter>");
    desk.sees(&[
        "! approved by an operator; no check by Sumsub on file",
        "! no check on file · operator:ada: met in person",
    ]);
}

#[test]
fn what_an_approval_overrules_is_read_on_the_smallest_terminal() {
    let rig = staged();
    stage::review_saying(&rig, BOLT, 3, stage::red("FINAL"));
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>Abecause<Enter><Enter>");
    for (columns, rows) in [(40, 10), (40, 12), (57, 10), (80, 24), (300, 10)] {
        desk.send(Message::Resized(columns, rows));
        let screen = desk.screen();
        let inside: Vec<&str> = screen.lines().map(|it| it.trim_matches(['│', ' '])).collect();
        let inside = inside.join(" ");
        for said in ["newest verdict is a rejection", "Overrule Sumsub  [no]"] {
            assert!(inside.contains(said), "no {said:?} at {columns}x{rows}\n{screen}");
        }
    }
}

/// Runs a copied command as an operator's shell would; its exit code and what it said.
fn run(rig: &Rig, twin: &str) -> (i32, String) {
    let rest = twin.strip_prefix("countersign ").unwrap();
    let output = Process::new("sh")
        .arg("-c")
        .arg(format!("exec '{}' {rest}", env!("CARGO_BIN_EXE_countersign")))
        .env_clear()
        .env("USER", "ada")
        .env("COUNTERSIGN_DATABASE", "register.db")
        .current_dir(&rig.directory.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said)
}

#[test]
fn the_command_that_a_decision_copies_does_the_same_and_is_refused_where_the_dialog_would_be() {
    for (of, key, word) in DECISIONS {
        let rig = staged();
        let mut desk = Desk::unlocked(&rig, SIZE);
        desk.press(&format!("/{of}<Enter>{key}it's so<C-y>"));
        let twin = desk.copied.pop().unwrap();
        assert!(twin.starts_with(&format!("countersign verification {word} org_")), "{twin}");

        let (code, said) = run(&rig, &twin);
        assert_eq!(code, 0, "{twin}\n{said}");
        // The same again rests on an older fact than the one that it has just recorded.
        let (code, said) = run(&rig, &twin);
        assert_eq!(code, 1, "{twin}\n{said}");
        assert!(said.contains("something happened meanwhile"), "{said}");
    }
}

#[test]
fn the_command_of_an_approval_against_sumsub_says_that_it_is_one() {
    let rig = staged();
    stage::review_saying(&rig, BOLT, 3, stage::red("FINAL"));
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>Afalse match<C-y><Tab><Space><C-y>");
    let [without, with] = <[String; 2]>::try_from(std::mem::take(&mut desk.copied)).unwrap();
    let basis = rig.shown(BOLT).basis();
    let expected =
        format!("countersign verification approve {BOLT} --reason 'false match' --seen {basis}");
    assert_eq!(without, expected);
    assert_eq!(with, format!("{expected} --against-provider"));

    assert_eq!(run(&rig, &without).0, 1);
    assert_eq!(run(&rig, &with).0, 0);
    assert_eq!(status(&rig, BOLT), "APPROVED");
}

#[test]
fn approving_while_the_clock_is_behind_says_what_to_do_and_rejecting_goes_on() {
    let rig = staged();
    rig.set_clock(-5 * 3_600_000);
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>Afine<Enter>").sees(&[
        "this machine's clock is 7200 s behind the register's newest fact: set",
        "the clock, or wait until Sumsub has answered (7 shows it)",
    ]);
    assert_eq!(status(&rig, BOLT), "ON_HOLD");
    desk.press("<Esc>Xconfirmed match<Enter>").sees(&["is REJECTED"]);
}
