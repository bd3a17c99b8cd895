//! What keys do, against a real register.

use countersign::console::dialog::Sight;
use countersign::console::state::{
    Access, Command, Message, Overlay, Place, State, UNLOCKED_MS, update,
};
use countersign::console::views::View;
use countersign::domain::organization::{OrganizationId, OrganizationType};
use countersign::usecase::decide::Decision;

use super::desk::{Desk, parse_keys, screen, start};
use super::stage::{self, ACME, BOLT, BROKER, JO};
use crate::rig::{DAY_MS, Rig, Setup};
use crate::sumsub::World;

const SIZE: (u16, u16) = (120, 40);

fn staged() -> Rig {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    rig
}

fn status(rig: &Rig, id: &str) -> &'static str {
    let of = OrganizationId::new(id);
    let verification = rig.appliance.store.read(|it| it.verification(&of)).unwrap().unwrap();
    verification.at(rig.now()).status.as_str()
}

#[test]
fn it_starts_read_only_and_an_unlock_runs_out() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.sees(&["READ-ONLY"]).press("/acme<Enter>H");
    desk.sees(&["Hold: read-only: press u to unlock"]);
    assert!(matches!(desk.state.overlay, Overlay::None));

    desk.press("u").sees(&["UNLOCKED 5:00"]);
    rig.advance(UNLOCKED_MS - 1_000);
    desk.press("H").sees(&["UNLOCKED 0:01", "suspends 1 LOA; 1 broker loses access now"]);
    desk.press("because");
    rig.advance(2_000);
    desk.press("<Enter>").sees(&["READ-ONLY", "locked again"]);
    assert_eq!((desk.acts, status(&rig, ACME)), (0, "APPROVED"));
}

#[test]
fn a_console_started_read_only_never_unlocks() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.state.start.access = Access::ReadOnly;
    desk.press("u/acme<Enter>H").sees(&["READ-ONLY (--read-only)"]);
    assert!(!desk.state.is_unlocked());
    assert!(matches!(desk.state.overlay, Overlay::None));
}

#[test]
fn a_hold_says_first_what_it_suspends_and_needs_a_reason() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>H").sees(&["suspends 1 LOA; 1 broker loses access now"]);
    desk.press("<Enter>").sees(&["say why"]);
    assert_eq!(desk.acts, 0);

    desk.press("name is on a list<Enter>").sees(&["Acme Trading Co. is ON_HOLD"]);
    assert_eq!((desk.acts, status(&rig, ACME)), (1, "ON_HOLD"));
}

#[test]
fn keys_typed_before_a_dialog_was_drawn_never_confirm_it() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>");
    // All in one go, as a pasted or buffered burst: nothing was drawn in between.
    for key in parse_keys("Sx<Enter><Enter>y") {
        desk.send(Message::Key(key));
    }
    assert_eq!(desk.acts, 0);
    assert!(matches!(&desk.state.overlay, Overlay::Dialog(it) if it.sight == Sight::Unseen));

    desk.draws();
    desk.press("<Enter>");
    assert_eq!(desk.acts, 1);
}

#[test]
fn a_dialog_that_took_the_place_of_a_drawn_one_is_not_taken_for_seen() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>").send(Message::Key(parse_keys("S")[0]));
    let Overlay::Dialog(drawn) = &desk.state.overlay else { panic!("no dialog") };
    let ticket = drawn.ticket;

    // Closed, another one opened and confirmed before the word of the first drawing came through.
    for key in parse_keys("<Esc>S") {
        desk.send(Message::Key(key));
    }
    desk.send(Message::Drawn(ticket));
    desk.send(Message::Read(ticket));
    desk.send(Message::Key(parse_keys("<Enter>")[0]));
    assert_eq!(desk.acts, 0);
}

#[test]
fn a_held_enter_does_not_confirm_the_dialog_that_it_opened() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>aj").send(Message::Key(parse_keys("<Enter>")[0]));
    let Overlay::Dialog(dialog) = &desk.state.overlay else { panic!("no dialog") };
    let ticket = dialog.ticket;
    desk.send(Message::Drawn(ticket));
    for key in parse_keys("<Enter><Enter><Enter>") {
        desk.send(Message::Key(key));
    }
    assert_eq!(desk.acts, 0);
    desk.send(Message::Read(ticket));
    desk.press("<Enter>");
    assert_eq!(desk.acts, 1);
}

#[test]
fn consequences_that_nobody_has_seen_are_not_confirmed() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>").send(Message::Key(parse_keys("H")[0]));
    desk.draws();
    for key in parse_keys("because") {
        desk.send(Message::Key(key));
    }
    // They arrive now, behind them in the queue the Enter that was pressed before: nothing was drawn.
    desk.settle();
    desk.send(Message::Key(parse_keys("<Enter>")[0]));
    assert_eq!(desk.acts, 0);
    desk.sees(&["suspends 1 LOA", "because"]).draws();
    desk.press("<Enter>").sees(&["is ON_HOLD"]);
}

#[test]
fn consequences_that_change_while_the_dialog_stands_open_are_shown_before_it_confirms() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>H").sees(&["takes no access away"]).press("because");
    rig.decide(BOLT, Decision::Approve).unwrap();
    desk.send(Message::Changed);
    desk.settle();
    desk.send(Message::Key(parse_keys("<Enter>")[0]));
    assert_eq!(desk.acts, 0);
    desk.sees(&["suspends 1 LOA; 1 broker loses access now"]);
}

#[test]
fn a_dialog_shows_the_command_that_does_the_same_and_copies_it() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>Hit's him<C-y>");
    let twin = format!("countersign verification hold {ACME} --reason 'it'\\''s him' --seen 2");
    desk.sees(&[&format!("$ countersign verification hold {ACME}")]);
    assert_eq!(desk.copied, [twin]);

    " --database other.db".clone_into(&mut desk.state.start.twin_flags);
    desk.press("<Esc><Enter>c");
    let show = format!("countersign verification show {ACME} --database other.db");
    assert_eq!(desk.copied.last(), Some(&show));
}

#[test]
fn links_sessions_and_webhooks_of_a_customer_stand_on_its_page() {
    let world = World::new();
    stage::set(&world.rig);
    let mut desk = Desk::unlocked(&world.rig, (120, 60));
    desk.press("/jo<Enter>S<Enter><Esc><Enter>");
    desk.sees(&["SESSIONS", "● current", "session  applicant", "WEBHOOKS OUT", "◔ waiting"]);
}

#[test]
fn without_an_account_it_is_said_what_to_configure() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.state.start.no_provider = Some("set --sumsub-app-token".to_owned());
    desk.press("/acme<Enter>S").sees(&["Start session: set --sumsub-app-token"]);
    desk.press("7").sees(&["not configured: set --sumsub-app-token"]);
}

#[test]
fn leaving_in_the_middle_of_an_act_asks_first_and_the_question_can_be_read() {
    let rig = staged();
    for keys in ["q", ":q<Enter>", ":quit<Enter>", "<C-c>"] {
        let mut desk = Desk::unlocked(&rig, SIZE);
        desk.press("/acme<Enter>S");
        // Under way: it is sent, and not answered.
        let sent = update(&mut desk.state, Message::Key(parse_keys("<Enter>")[0]));
        assert!(matches!(sent.as_slice(), [Command::Act(..)]), "{sent:?}");

        desk.press(keys).sees(&["still at work; press q again to leave", "… Start session"]);
        assert!(!desk.has_quit, "{keys}");
        desk.press(keys);
        assert!(desk.has_quit, "{keys}");
    }
}

#[test]
fn every_decision_of_the_contract_is_one_dialog_away() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>");
    for (keys, becomes) in [
        ("A", "APPROVED"),
        ("H", "ON_HOLD"),
        ("B", "RESUBMISSION_REQUIRED"),
        ("H", "ON_HOLD"),
        ("X", "REJECTED"),
        ("O", "RESUBMISSION_REQUIRED"),
    ] {
        desk.press(keys).press("by the papers<Enter>");
        desk.press("r");
        assert_eq!(status(&rig, BOLT), becomes, "{keys}\n{}", desk.screen());
    }
    desk.press("O").sees(&["Reopen: does not fit RESUBMISSION_REQUIRED"]);
}

#[test]
fn an_loa_is_signed_revoked_and_requested_again() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/jo<Enter><Enter>L");
    desk.press("Jo Doe<Tab>herself<Tab><Tab>folder 9<Tab><Enter>").sees(&["the LOA is ACTIVE"]);
    desk.press("R").sees(&["takes no access away"]).press("wrong paper<Enter>");
    desk.sees(&["the LOA is REVOKED"]).press("Q<Enter>").sees(&["the LOA is PENDING"]);

    let of = OrganizationId::new(JO);
    let broker = OrganizationId::new(BROKER);
    let facts = rig.appliance.store.read(|it| it.authorization_facts(&of, &broker)).unwrap();
    let events: Vec<_> = facts.iter().map(|it| it.event.as_str()).collect();
    assert_eq!(events, ["issued", "signed", "revoked", "issued"]);
}

#[test]
fn an_organization_is_created_and_opened() {
    let rig = Rig::new();
    let mut desk = Desk::at(&rig, SIZE);
    desk.sees(&["Welcome to Countersign."]).press("uNNew Broker<Tab><Space><Tab><Enter>");
    desk.sees(&["New Broker  INDIVIDUAL", "created org_"]);
}

#[test]
fn a_session_and_an_import_reach_sumsub() {
    let world = World::new();
    stage::set(&world.rig);
    world.rig.sign(JO, BROKER);
    let mut desk = Desk::unlocked(&world.rig, SIZE);
    desk.press("/jo<Enter>S<Enter>").sees(&["Session for Jo"]);
    assert_eq!(desk.copied.len(), 1);
    desk.press("<Esc>I");
    desk.send(Message::Paste(world.share_token()));
    desk.press("<Enter>").sees(&["done: Jo", "is PENDING"]);

    desk.press("/<C-u>acme<Enter>I").sees(&["Import share token: only for an INDIVIDUAL"]);
}

#[test]
fn a_webhook_that_never_came_is_re_read_after_saying_what_it_takes_away() {
    let world = World::new();
    stage::set(&world.rig);
    world.rig.sign(JO, BROKER);
    let mut desk = Desk::unlocked(&world.rig, SIZE);
    desk.press("/jo<Enter>S<Enter><Esc>");
    let applicant = format!("/applicants/-;externalUserId={JO}");
    for step in ["submit", "approve"] {
        world.control("POST", &format!("{applicant}/{step}"), &serde_json::json!({}));
    }
    assert_eq!(status(&world.rig, JO), "PENDING", "no webhook has come");

    desk.press("E").sees(&["Re-read from Sumsub", "takes no access away"]);
    desk.press("<Enter>").sees(&["re-read:", "PENDING → APPROVED"]);
    assert_eq!(status(&world.rig, JO), "APPROVED");
    desk.press("E<Enter>").sees(&["nothing that is not known"]);
}

#[test]
fn a_dead_provider_leaves_the_console_alive_and_the_reason_on_the_screen() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>S<Enter>").sees(&["Sumsub does not answer"]);
    assert!(matches!(desk.state.overlay, Overlay::Dialog(_)));
    desk.press("<Esc>7").sees(&["SUMSUB", "does not answer"]);
    desk.press("1<Esc>").sees(&["Acme Trading Co."]);
}

#[test]
fn a_commit_of_somebody_else_is_on_the_screen_within_a_second() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("/acme<Enter><Enter>").sees(&["● approved"]);
    rig.decide(ACME, Decision::Hold).unwrap();
    let is_held = |state: &State| {
        state
            .organization
            .as_ref()
            .is_some_and(|it| it.verification.at(state.now()).status.as_str() == "ON_HOLD")
    };
    desk.wait_until("the hold", is_held);
    desk.sees(&["‖ held by operator", "operator: Review the case"]);
}

#[test]
fn a_register_that_was_taken_away_is_told_in_place() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    let path = rig.directory.file("register.db");
    std::fs::rename(&path, rig.directory.file("elsewhere.db")).unwrap();
    // A read that was under way may fail first, in words of its own.
    desk.wait_until("the loss", |state| screen(state).contains("the register is gone from"));
    desk.sees(&["nothing is written", "Acme Trading Co."]);
    desk.press("uS").sees(&["nothing is written"]);
    assert!(matches!(desk.state.overlay, Overlay::None), "nothing can be begun");

    std::fs::rename(rig.directory.file("elsewhere.db"), &path).unwrap();
    desk.wait_until("the return", |state| state.trouble.is_none());
}

#[test]
fn what_was_written_while_the_register_was_lost_is_on_the_screen_after_its_return() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("/acme<Enter><Enter>").sees(&["● approved"]);
    desk.send(Message::Register(Some("the register is gone".to_owned())));
    desk.sees(&["the register is gone"]);
    rig.decide(ACME, Decision::Hold).unwrap();
    desk.send(Message::Register(None));
    desk.settle();
    desk.sees(&["‖ held by operator"]);
}

#[test]
fn a_register_that_a_newer_program_has_taken_over_is_told_in_place() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    rig.database().execute_batch("PRAGMA user_version = 99").unwrap();
    desk.wait_until("the newer version", |state| state.trouble.is_some());
    desk.sees(&["was written by a newer version", "Acme Trading Co."]);
    desk.press("S").sees(&["newer version"]);
    assert!(matches!(desk.state.overlay, Overlay::None), "nothing can be begun");
}

#[test]
fn a_filter_looks_at_more_than_the_first_page_of_a_long_list() {
    let rig = staged();
    rig.advance(DAY_MS);
    for number in 100..500 {
        let id = format!("org_{number:032x}");
        let kind = OrganizationType::Business;
        stage::organization(&rig, &id, &format!("Customer {number}"), kind, Some(BROKER));
    }
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("3").sees(&["row 1 of 200+"]).press("/bolt<Enter>").sees(&["Bolt Freight"]);
}

#[test]
fn a_register_that_another_process_has_locked_is_told_in_the_dialog() {
    let rig = staged();
    let other = rig.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/bolt<Enter>Afine<Enter>").sees(&["Approve", "locked"]);
    other.execute_batch("ROLLBACK").unwrap();
    desk.press("<Enter>").sees(&["is APPROVED"]);
}

#[test]
fn a_filter_is_plain_inverse_and_fuzzy_and_a_status_narrows_further() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    let names = |desk: &Desk<'_>| -> Vec<String> {
        desk.state.organizations.rows.iter().map(|it| it.name.as_str()[..2].to_owned()).collect()
    };
    desk.press("/TRADING");
    assert_eq!(names(&desk), ["Ac"]);
    desk.press("<C-u>!o<Enter>");
    assert_eq!(names(&desk), ["Mi"]);
    desk.press("/<C-u>~bfgh<Enter>");
    assert_eq!(names(&desk), ["Bo"]);
    desk.press("<Esc>:status rejected<Enter>");
    assert_eq!(names(&desk), ["Zo"]);
    desk.press(":status all<Enter>");
    assert_eq!(desk.state.organizations.rows.len(), 6);
    desk.press("2/zo<Enter>").sees(&["✕ rejected by operator", "provider_approved"]);
}

#[test]
fn lists_are_sorted_by_creation_name_and_end_of_approval() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    let first = |desk: &Desk<'_>| desk.state.organizations.rows[0].name.as_str().to_owned();
    assert_eq!(first(&desk), "Mia Lapsed");
    desk.press("s").sees(&["oldest first"]);
    assert_eq!(first(&desk), "Broker Ltd.");
    desk.press("s").sees(&["by name"]);
    assert_eq!(first(&desk), "Acme Trading Co.");
    desk.press("s").sees(&["by end of approval"]);
    assert_eq!((first(&desk), desk.state.organizations.rows.len()), ("Mia Lapsed".into(), 2));
    desk.press("s").sees(&["newest first"]);
}

#[test]
fn pages_follow_the_selection_through_a_long_list_in_both_directions() {
    let rig = Rig::new();
    for number in 0..1_500 {
        let id = format!("org_{number:032x}");
        stage::organization(
            &rig,
            &id,
            &format!("Customer {number}"),
            OrganizationType::Business,
            None,
        );
    }
    let mut desk = Desk::at(&rig, SIZE);
    let selected =
        |desk: &Desk<'_>| desk.state.organizations.selected().unwrap().name.as_str().to_owned();
    for page in 1..=43 {
        desk.press("<PgDn>");
        assert_eq!(selected(&desk), format!("Customer {}", 1499 - page * 34), "page {page}");
        assert!(desk.state.organizations.rows.len() <= 700);
    }
    desk.press("<End>");
    assert_eq!(selected(&desk), "Customer 0");
    desk.press("<C-u>").press("<PgUp>").press("<PgUp>");
    assert_eq!(selected(&desk), "Customer 85");
    desk.press("g").sees(&["row 1 of"]);
    assert_eq!(selected(&desk), "Customer 1499");
    desk.press("G");
    assert_eq!(selected(&desk), "Customer 0");
}

#[test]
fn history_goes_back_and_forth_and_commands_are_completed() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.press(":que<Tab><Enter>").press("<Enter>");
    let bolt = Place::Organization(OrganizationId::new(BOLT));
    assert_eq!(desk.state.place(), bolt);
    desk.press("[");
    assert_eq!(desk.state.place(), Place::List(View::Queue));
    desk.press("[[[");
    assert_eq!(desk.state.place(), Place::List(View::Organizations));
    desk.press("]]");
    assert_eq!(desk.state.place(), bolt);
    desk.press("<Esc>");
    assert_eq!(desk.state.place(), Place::List(View::Queue));
    desk.press(":re<Tab><Tab><Tab>");
    assert!(matches!(&desk.state.overlay, Overlay::CommandLine(it, _) if it.value() == "reopen"));
    desk.press("<S-Tab>");
    assert!(matches!(&desk.state.overlay, Overlay::CommandLine(it, _) if it.value() == "reject"));
    desk.press("<Esc>:open nobody<Enter>")
        .sees(&["there is no such organization", "Esc goes back"]);
    desk.press(":nonsense<Enter>").sees(&["no command `nonsense`"]);
}

#[test]
fn the_id_and_the_twin_of_the_screen_are_copied() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("/acme<Enter>yc<Enter>c4c<Enter>y");
    let show = format!("countersign verification show {ACME}");
    assert_eq!(
        desk.copied,
        [
            ACME,
            "countersign org list --limit 200",
            &show,
            "countersign inbox list --limit 200",
            "6"
        ]
    );
}

#[test]
fn a_replay_is_rehearsed_while_locked_and_keeps_nothing() {
    let rig = staged();
    let deliveries = |rig: &Rig| -> i64 {
        let sql = "SELECT count(*) FROM delivery_outcome";
        rig.database().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let before = deliveries(&rig);
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("4d").sees(&["dry run: changed → changed", "nothing was kept"]);
    assert_eq!(deliveries(&rig), before);
    desk.press("P").sees(&["Replay delivery: read-only"]);
    desk.press("uP").sees(&["takes no access away"]);
    desk.press("<Enter>").sees(&["replayed: changed → changed"]);
}

#[test]
fn a_webhook_that_was_sent_can_be_sent_again() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("5").sees(&["verification.updated", "◔ waiting"]);
    desk.press("P").sees(&["Resend webhook"]).press("<Enter>");
    desk.sees(&["sent again, under the same message id"]);
    desk.press("c<Enter>").sees(&["ATTEMPTS", "none yet", "\"type\":\"organization.verification"]);
    desk.press("c").press("P").sees(&["Resend webhook"]).press("<Esc><Enter>");
    desk.sees(&["Broker Ltd.  BUSINESS"]);
    let endpoint = stage::ENDPOINT;
    assert_eq!(
        desk.copied,
        [
            format!("countersign webhook deliveries {endpoint}"),
            format!("countersign webhook show {endpoint} 10")
        ]
    );
}

#[test]
fn a_terminal_that_is_too_small_says_so_and_only_quits() {
    let rig = staged();
    let mut desk = Desk::unlocked(&rig, SIZE);
    desk.press("/acme<Enter>");
    desk.send(Message::Resized(39, 9));
    assert!(desk.screen().contains("This terminal is 39×9"), "{}", desk.screen());
    desk.press("HxyzS<Enter><Enter>");
    desk.send(Message::Paste("x".to_owned()));
    assert!(matches!(desk.state.overlay, Overlay::None));
    assert_eq!(desk.acts, 0);
    desk.press("q");
    assert!(desk.has_quit);
}

#[test]
fn the_mouse_selects_opens_scrolls_and_turns_to_a_tab() {
    use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    let at = |kind, column, row| {
        Message::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
    };
    let left = MouseEventKind::Down(MouseButton::Left);
    desk.send(at(left, 5, 4));
    assert_eq!(desk.state.organizations.selected, 1);
    desk.send(at(MouseEventKind::ScrollDown, 5, 5));
    assert_eq!(desk.state.organizations.selected, 4);
    desk.send(at(left, 5, 7));
    desk.settle();
    assert!(matches!(desk.state.place(), Place::Organization(_)));
    desk.send(at(left, 20, 1));
    desk.settle();
    assert_eq!(desk.state.place(), Place::List(View::Queue));
}

#[test]
fn loas_are_shown_by_how_they_count_and_by_when_they_end() {
    let rig = staged();
    rig.advance(10 * DAY_MS);
    let mut desk = Desk::at(&rig, SIZE);
    let count = |desk: &Desk<'_>| desk.state.authorizations.list.rows.len();
    let mut counts = Vec::new();
    desk.press("3");
    for _ in 0..7 {
        counts.push(count(&desk));
        desk.press("f");
    }
    // all, effective, suspended, unsigned, revoked, in 7 days, in 30 days
    assert_eq!(counts, [5, 2, 1, 2, 0, 0, 2]);
}

#[test]
fn a_tick_alone_changes_nothing_that_is_drawn_of_an_idle_console_but_the_time() {
    let rig = staged();
    let mut state = State::new(start(&rig, SIZE));
    drop(state.begin());
    let commands = update(&mut state, Message::Tick(rig.now()));
    assert!(commands.is_empty());
}
