//! `docs/operator-day.md` is true: every keystroke in it is pressed, and what it says one sees is on
//! the screen.

use super::desk::Desk;
use super::stage;
use crate::rig::Setup;
use crate::sumsub::{World, kind};

#[test]
fn every_keystroke_of_the_day_of_an_operator_does_what_the_page_says() {
    let page = include_str!("../../../docs/operator-day.md");
    let world = World::with(kind(), Setup { valid_days: 30, ..Setup::default() });
    stage::set(&world.rig);
    let mut desk = Desk::at(&world.rig, (120, 60));
    let (mut keys, mut sights) = (0, 0);
    for line in page.lines() {
        if let Some(typed) = line.strip_prefix("- Press `") {
            desk.press(typed.split_once('`').unwrap().0);
            keys += 1;
        }
        if let Some((_, seen)) = line.split_once("You see `") {
            desk.sees(&[seen.split_once('`').unwrap().0]);
            sights += 1;
        }
    }
    assert!(keys >= 20 && sights >= 15, "{keys} keystrokes, {sights} sights");
    assert!(desk.has_quit);
}
