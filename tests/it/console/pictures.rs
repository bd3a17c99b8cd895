//! The pictures `docs/console-*.png`: the program's own screens in a real terminal, drawn by a
//! browser. `cargo test --test it console::pictures -- --ignored` makes them anew; Chromium and the
//! `DejaVu` Sans Mono font must be there.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use countersign::domain::organization::OrganizationType;
use vt100::Color;

use super::stage::{self, BROKER};
use super::terminal::Session;
use crate::rig::Rig;
use crate::sumsub::World;

/// The terminal that a picture is taken of.
const SIZE: (u16, u16) = (100, 30);
/// Pixels of one cell of the font at 16.61 px.
const CELL: (f64, f64) = (10.0, 19.0);
/// Pixels around the screen.
const MARGIN: f64 = 12.0;

/// A terminal's own colours: text and background.
type Palette = (&'static str, &'static str);
const DARK: Palette = ("#d5d8dc", "#16191d");
const LIGHT: Palette = ("#24292f", "#ffffff");

#[test]
#[ignore = "writes docs/console-*.png, and needs Chromium"]
fn five_screens_are_drawn_as_an_operator_sees_them() {
    let world = World::in_real_time();
    stage::set_in_the_past(&world.rig);
    crowd(&world.rig);
    // The font has no letters for these two.
    let rename = "UPDATE organization SET name = 'Bolt Freight GmbH' WHERE name GLOB 'Bolt*';
                  UPDATE organization SET name = 'Jo Doe' WHERE name GLOB 'Jo*'";
    world.rig.database().execute_batch(rename).unwrap();
    let open = |environment: &[(&str, &str)]| Session::console(&world, SIZE, environment, &[]);

    let mut session = open(&[]);
    session.sees("row 1 of 18").keys("jjjj").sees("row 5 of 18").sees("copy id");
    draw("organizations", &mut session, DARK);
    session
        .keys("/bolt\r")
        .sees("Esc ends the filter")
        .keys("\r")
        .sees("WEBHOOKS OUT")
        .sees("copy command");
    draw("organization", &mut session, DARK);

    let mut session = open(&[]);
    session.sees("row 1 of 18").keys("/acme\r").sees("Esc ends the filter").keys("u");
    session.sees("UNLOCKED").keys("H").sees("loses access now").sees("Enter confirm");
    session.keys("name is on a list, ticket 4712").sees("4712");
    draw("hold", &mut session, LIGHT);
    session.keys("\u{1b}").sees("Enter open").keys("7").sees("answers in").sees("approved");
    draw("system", &mut session, LIGHT);

    let mut session = open(&[("NO_COLOR", "1")]);
    session.sees("row 1 of 18").keys("/jo\r").sees("Esc ends the filter").keys("u");
    session.sees("UNLOCKED").keys("S").sees("Enter confirm").keys("\r").sees("copy link");
    draw("session", &mut session, DARK);
}

/// A dozen customers more, of every kind.
fn crowd(rig: &Rig) {
    const NAMES: [&str; 12] = [
        "Harbour Logistics B.V.",
        "Northwind Energy",
        "Ines Duarte",
        "Kestrel Capital Partners",
        "Lumen Optics GmbH",
        "Maren Holm",
        "Orchard & Sons",
        "Pavel Novák",
        "Quayside Shipping",
        "Rosa Martínez",
        "Silverline Metals",
        "Tomasz Zieliński",
    ];
    const DAY_MS: i64 = 86_400_000;
    rig.advance(-DAY_MS);
    for (number, name) in (7_usize..).zip(NAMES) {
        let is_person =
            ["Ines", "Maren", "Pavel", "Rosa", "Tomasz"].iter().any(|it| name.starts_with(it));
        let kind =
            if is_person { OrganizationType::Individual } else { OrganizationType::Business };
        let id = format!("org_{number:032x}");
        stage::organization(rig, &id, name, kind, Some(BROKER));
        rig.advance(1_000_000);
        if number % 4 > 0 {
            rig.sign(&id, BROKER);
        }
        match number % 5 {
            0 => {}
            1 => stage::review(rig, &id, number, "RED"),
            _ => stage::review(rig, &id, number, "GREEN"),
        }
    }
    rig.advance(DAY_MS - 12 * 1_006_000);
}

fn draw(name: &str, session: &mut Session, palette: Palette) {
    session.settles();
    let picture = format!("--screenshot={}/docs/console-{name}.png", env!("CARGO_MANIFEST_DIR"));
    let page = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
    std::fs::write(&page, html(session.screen.screen(), palette)).unwrap();
    let (columns, rows) = (f64::from(SIZE.0), f64::from(SIZE.1));
    let pixels = |cells: f64, cell: f64| (cells * cell + 2.0 * MARGIN).ceil();
    let status = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .arg(format!("--window-size={},{}", pixels(columns, CELL.0), pixels(rows, CELL.1)))
        .arg(picture)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("Chromium is there");
    assert!(status.status.success(), "{status:?}");
}

/// The screen as a page: every run of cells of one look at its own place.
fn html(screen: &vt100::Screen, (text, background): Palette) -> String {
    let mut page = format!(
        "<!doctype html><meta charset=utf-8><style>
         body {{ margin: 0; background: {background}; color: {text};
                 font: 16.61px/19px 'DejaVu Sans Mono'; }}
         span {{ position: absolute; white-space: pre; }}
         </style>"
    );
    for row in 0..SIZE.1 {
        for column in 0..SIZE.0 {
            let Some(cell) = screen.cell(row, column) else { continue };
            if cell.is_wide_continuation() {
                continue;
            }
            let (mut front, mut back) =
                (colour(cell.fgcolor(), text), colour(cell.bgcolor(), background));
            if cell.inverse() {
                (front, back) = (back, front);
            }
            let is_blank = cell.contents().trim().is_empty();
            if is_blank && back == background {
                continue;
            }
            let (x, y) = (f64::from(column) * CELL.0, f64::from(row) * CELL.1);
            let width = if cell.is_wide() { 2.0 * CELL.0 } else { CELL.0 };
            write!(
                page,
                "<span style='left:{:.2}px;top:{:.2}px;width:{width:.2}px;height:19px;\
                 color:{front};background:{};font-weight:{};opacity:{}'>{}</span>",
                x + MARGIN,
                y + MARGIN,
                if back == background { "none" } else { &back },
                if cell.bold() { "bold" } else { "normal" },
                if cell.dim() { "0.6" } else { "1" },
                cell.contents().replace('&', "&amp;").replace('<', "&lt;"),
            )
            .unwrap();
        }
    }
    page
}

/// The colour of the 256; the console uses no others.
fn colour(of: Color, own: &str) -> String {
    let level = |it: u8| if it == 0 { 0 } else { 55 + 40 * u32::from(it) };
    match of {
        Color::Default | Color::Rgb(..) => own.to_owned(),
        Color::Idx(grey @ 232..) => {
            let it = 8 + 10 * (u32::from(grey) - 232);
            format!("rgb({it},{it},{it})")
        }
        Color::Idx(index) => {
            let cube = index.saturating_sub(16);
            let [r, g, b] = [cube / 36, cube / 6 % 6, cube % 6].map(level);
            format!("rgb({r},{g},{b})")
        }
    }
}
