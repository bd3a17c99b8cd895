//! Every view, empty and full, as text at three sizes, against files under `tests/it/screens`.
//! A file that is missing is written, and the test fails once, so that somebody looks at it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use countersign::console::state::{Message, State};
use countersign::console::theme::Theme;
use countersign::console::view::render;
use countersign::domain::timekeeper::ClockStanding;
use countersign::usecase::decide::Decision;
use ratatui::Terminal;
use ratatui::backend::{CrosstermBackend, TestBackend};
use ratatui::style::Color;

use super::desk::{Desk, screen};
use super::stage;
use crate::rig::{Rig, Setup};
use crate::sumsub::World;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 12)];

fn check(name: &str, shown: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/screens");
    let path = folder.join(format!("{name}.txt"));
    match fs::read_to_string(&path) {
        Ok(expected) if expected == shown => {}
        Ok(_) => {
            let seen = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.txt"));
            fs::write(&seen, shown).unwrap();
            panic!("{} differs from {}:\n{shown}", seen.display(), path.display());
        }
        Err(_) => {
            fs::write(&path, shown).unwrap();
            panic!("{} is new: look at it, then run again", path.display());
        }
    }
}

/// The state's screen at every size, each under a line that says which.
fn at_every_size(state: &State) -> String {
    let mut state = state.clone();
    // The file's sizes and SQLite's version are this machine's, not the console's.
    if let Some(it) = &mut state.overview {
        (it.file_bytes, it.log_bytes, it.sqlite) = (412_300, 32_000, "3.x");
    }
    if let Some(it) = &mut state.delivery {
        it.delivery.headers =
            r#"[["x-payload-digest","46b7…"],["user-agent","sumsub"]]"#.to_owned();
    }
    for it in &mut state.outgoing.list.rows {
        it.message_id = "msg_01890000000000000000000000000000".to_owned();
    }
    if let Some(it) = &mut state.sent {
        it.message_id = "msg_01890000000000000000000000000000".to_owned();
    }
    let mut text = String::new();
    for (columns, rows) in SIZES {
        drop(countersign::console::state::update(&mut state, Message::Resized(columns, rows)));
        writeln!(text, "=== {columns} x {rows}").unwrap();
        text += &screen(&state);
    }
    text
}

/// What is drawn of every view, after these keys.
fn views(rig: &Rig, deck: &str) {
    let keys = [
        ("organizations", "1"),
        ("queue", "2"),
        ("authorizations", "3"),
        ("inbox", "4"),
        ("outgoing", "5"),
        ("activity", "6"),
        ("system", "7"),
    ];
    let mut different = Vec::new();
    for (name, keys) in keys {
        let mut desk = Desk::at(rig, (120, 40));
        desk.press(keys);
        if name == "system" {
            // A real answer takes as long as it takes.
            desk.state.provider.last = Some(Ok(84));
            desk.state.provider.latencies_ms = vec![80, 91, 84, 640, 82, 84];
            // Told by the watch, whenever it has looked.
            desk.state.clock = Some(ClockStanding::Known { offset_ms: 400 });
        }
        let name = format!("{name}-{deck}");
        let shown = at_every_size(&desk.state);
        let checked = std::panic::catch_unwind(|| check(&name, &shown));
        different.extend(checked.err().map(|_| name));
    }
    assert!(different.is_empty(), "{different:?}");
}

#[test]
fn every_view_of_an_empty_register_says_what_to_do_next() {
    views(&Rig::new(), "empty");
}

#[test]
fn every_view_of_a_full_register_is_drawn_at_three_sizes() {
    let rig = Rig::with(Setup { valid_days: 10, ..Setup::default() });
    stage::set(&rig);
    views(&rig, "full");
}

#[test]
fn what_lies_on_top_is_drawn_at_three_sizes() {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    let mut different = Vec::new();
    for (name, keys) in [
        ("organization", "/acme<Enter><Enter>"),
        ("organization-suspended", "/bolt<Enter><Enter>"),
        ("organization-scrolled", "/acme<Enter><Enter>G"),
        ("delivery", "4<End><Enter>"),
        ("sent", "5<Enter>"),
        ("help", "?"),
        ("help-searched", "?hold"),
        ("menu", "/acme<Enter>a"),
        ("filter", "/o"),
        ("command-line", ":re"),
        ("hold", "/acme<Enter>uH"),
        ("sign", "/jo<Enter><Enter>uL"),
        ("revoke", "/acme<Enter><Enter>uR"),
        ("create", "uN"),
        ("token", "/jo<Enter>uI_act-sbx-jwt-secret"),
    ] {
        let mut desk = Desk::at(&rig, (120, 40));
        desk.press(keys);
        let shown = at_every_size(&desk.state);
        let checked = std::panic::catch_unwind(|| check(name, &shown));
        different.extend(checked.err().map(|_| name));
    }
    assert!(different.is_empty(), "{different:?}");
}

#[test]
fn approvals_that_do_not_count_and_dialogs_that_overrule_are_drawn_at_three_sizes() {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    stage::set_ignored(&rig);
    let reviewed = |keys: &str| {
        let mut desk = Desk::at(&rig, (120, 40));
        desk.press(keys);
        desk.state.clone()
    };
    let mut seen = vec![
        ("queue-ignored", reviewed("2G")),
        ("organization-ignored", reviewed("/cobalt<Enter><Enter>")),
        ("delivery-ignored", reviewed("4gjj<Enter>")),
        ("approve-ignored", reviewed("/bolt<Enter>uA")),
    ];
    stage::review_saying(&rig, stage::BOLT, 3, stage::red("FINAL"));
    rig.decide(stage::JO, Decision::Hold).unwrap();
    seen.push(("approve-against", reviewed("/bolt<Enter>uAfalse match<Tab>")));
    seen.push(("approve-unchecked", reviewed("/jo<Enter>uA")));
    seen.push(("organization-overruled", {
        reviewed("/bolt<Enter>uAfalse match<Tab><Space><Enter><Enter>")
    }));
    rig.set_clock(-7_200_000);
    let mut behind = reviewed("7");
    behind.provider.last = Some(Err("Sumsub does not answer".to_owned()));
    behind.clock = Some(ClockStanding::Behind { by_ms: 7_200_000 });
    seen.push(("system-clock", behind));
    let mut different = Vec::new();
    for (name, state) in seen {
        let shown = at_every_size(&state);
        let checked = std::panic::catch_unwind(|| check(name, &shown));
        different.extend(checked.err().map(|_| name));
    }
    assert!(different.is_empty(), "{different:?}");
}

#[test]
fn a_share_token_is_never_drawn_and_never_copied() {
    let rig = Rig::new();
    stage::set(&rig);
    let mut desk = Desk::unlocked(&rig, (120, 40));
    desk.press("/jo<Enter>I");
    desk.send(Message::Paste("_act-sbx-jwt-5ecret5ecret.part".to_owned()));
    assert!(!desk.screen().contains("5ecret"), "{}", desk.screen());
    desk.sees(&["30 characters"]);
    assert!(!countersign::console::twin::of_screen(&desk.state).contains("5ecret"));
    assert!(!format!("{:?}", desk.state.overlay).contains("5ecret"));
}

#[test]
fn a_session_is_shown_as_text_and_as_a_code_that_fits_the_terminal() {
    let world = World::new();
    stage::set(&world.rig);
    let mut desk = Desk::unlocked(&world.rig, (120, 60));
    desk.press("/jo<Enter>S<Enter>");
    let link = desk.copied.first().cloned().expect("the link was copied");
    let wide = desk.screen();
    assert!(link.starts_with("http"), "{link}");
    assert!(wide.contains(&link[..30]) && wide.contains('█'), "{wide}");

    desk.send(Message::Resized(80, 24));
    desk.sees(&[&link, "█ ▄▄▄▄▄ █", "y copy link"]);
    desk.send(Message::Resized(40, 12));
    desk.sees(&["y copies the link", "QR code"]);
}

/// What a telephone would see of a dark terminal: each cell is two squares, one above the other.
fn read_qr_code(desk: &Desk<'_>) -> Option<String> {
    const SQUARE: usize = 4;
    let (columns, rows) = desk.state.start.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| render(&desk.state, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let shade = |x: usize, y: usize| {
        let cell =
            &buffer[(u16::try_from(x / SQUARE).unwrap(), u16::try_from(y / SQUARE / 2).unwrap())];
        let is_upper = (y / SQUARE).is_multiple_of(2);
        let is_drawn = match cell.symbol() {
            "█" => true,
            "▀" => is_upper,
            "▄" => !is_upper,
            _ => false,
        };
        match if is_drawn { cell.fg } else { cell.bg } {
            Color::Indexed(231) => 255,
            Color::Reset if is_drawn => 220,
            _ => 20,
        }
    };
    let size = (usize::from(columns) * SQUARE, usize::from(rows) * SQUARE * 2);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(size.0, size.1, shade);
    image.detect_grids().first()?.decode().ok().map(|(_, text)| text)
}

#[test]
fn the_qr_code_of_a_session_is_read_as_its_link() {
    let world = World::new();
    stage::set(&world.rig);
    for theme in [Theme::Colour, Theme::Monochrome] {
        for size in [(80, 24), (120, 40)] {
            let mut desk = Desk::unlocked(&world.rig, size);
            desk.state.start.theme = theme;

            desk.press("/jo<Enter>S<Enter>");

            let link = desk.copied.first().cloned();
            assert_eq!(read_qr_code(&desk), link, "{size:?}\n{}", desk.screen());
        }
    }
}

/// Under `NO_COLOR` the terminal library writes a reset in place of every colour, which would wipe
/// the reverse video of the selected row.
#[test]
fn the_selection_survives_no_color_byte_for_byte() {
    let rig = Rig::new();
    stage::set(&rig);
    let mut desk = Desk::at(&rig, (40, 12));
    desk.state.start.theme = Theme::Monochrome;
    desk.send(Message::Resized(40, 12));
    crossterm::style::force_color_output(false);

    let mut bytes = Vec::new();
    let viewport = ratatui::Viewport::Fixed(ratatui::layout::Rect::new(0, 0, 40, 12));
    let mut terminal = Terminal::with_options(
        CrosstermBackend::new(&mut bytes),
        ratatui::TerminalOptions { viewport },
    )
    .unwrap();
    terminal.draw(|frame| render(&desk.state, frame)).unwrap();
    drop(terminal);

    let text = String::from_utf8(bytes).unwrap();
    let selected = text.split("\u{1b}[7m").nth(2).unwrap().split("\u{1b}[5;1H").next().unwrap();
    assert!(selected.starts_with("Mia Lapsed"), "{selected:?}");
    assert!(!selected.contains("\u{1b}["), "{selected:?}");
    for colour in ["\u{1b}[3", "\u{1b}[4", "\u{1b}[38", "\u{1b}[48"] {
        let is_set = text.match_indices(colour).any(|(at, _)| {
            // 38;… and 48;… set a colour; 39 and 49 give the terminal's own back.
            !text[at..].starts_with("\u{1b}[39m")
                && !text[at..].starts_with("\u{1b}[49m")
                && text[at..].find('m').is_some_and(|end| !text[at..at + end].contains('H'))
        });
        assert!(!is_set, "a colour in {text:?}");
    }
    check("selection-no-color", &format!("{text:?}\n"));
}
