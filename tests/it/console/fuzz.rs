//! Any size, any keys: it never panics, and nothing is done while it is locked.

use countersign::console::state::{Access, Command, Message, State, update};
use countersign::domain::organization::OrganizationType;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::desk::{Desk, screen};
use super::stage;
use crate::rig::{Rig, Setup};

/// `SplitMix64`: a failing run is repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (it ^ (it >> 31)) % sides
    }

    fn small(&mut self, sides: u16) -> u16 {
        u16::try_from(self.roll(u64::from(sides))).unwrap()
    }

    fn size(&mut self) -> (u16, u16) {
        (self.small(300) + 1, self.small(100) + 1)
    }

    fn message(&mut self) -> Message {
        match self.roll(21) {
            0 => {
                let (columns, rows) = self.size();
                Message::Resized(columns, rows)
            }
            1 => Message::Drawn(self.roll(60)),
            5 => Message::Read(self.roll(60)),
            2 => Message::Paste("x\u{202e}\u{1b}[2J ~日本".to_owned()),
            3 => Message::Mouse(MouseEvent {
                kind: [
                    MouseEventKind::Down(MouseButton::Left),
                    MouseEventKind::ScrollDown,
                    MouseEventKind::ScrollUp,
                ][usize::from(self.small(3))],
                column: self.small(300),
                row: self.small(100),
                modifiers: KeyModifiers::NONE,
            }),
            4 => Message::Changed,
            _ => Message::Key(self.key()),
        }
    }

    fn key(&mut self) -> KeyEvent {
        let code = match self.roll(16) {
            0 => KeyCode::Enter,
            1 => KeyCode::Esc,
            2 => KeyCode::Tab,
            3 => KeyCode::Down,
            4 => KeyCode::PageDown,
            5 => KeyCode::End,
            6 => KeyCode::Backspace,
            7 => KeyCode::BackTab,
            8 => KeyCode::F(1),
            _ => KeyCode::Char(char::from(32 + u8::try_from(self.roll(95)).unwrap())),
        };
        let modifiers = if self.roll(12) == 0 { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
        KeyEvent::new(code, modifiers)
    }
}

/// States with something in them: each view of a full register, as read from it.
fn seeds(rig: &Rig) -> Vec<State> {
    ["1", "2", "3", "4", "5", "6", "/acme<Enter><Enter>", "4<Enter>", "uN", "?", ":"]
        .into_iter()
        .map(|keys| {
            let mut desk = Desk::at(rig, (120, 40));
            desk.press(keys);
            desk.state.clone()
        })
        .collect()
}

fn full() -> Rig {
    let rig = Rig::with(Setup { valid_days: 10, ..Setup::default() });
    stage::set(&rig);
    for number in 100..160 {
        let id = format!("org_{number:032x}");
        stage::organization(&rig, &id, &"é日".repeat(60), OrganizationType::Individual, None);
    }
    rig
}

#[test]
fn every_view_is_drawn_at_every_size_of_a_storm_of_resizes() {
    let rig = full();
    for state in seeds(&rig) {
        let mut state = state;
        for columns in [1, 2, 10, 39, 40, 41, 57, 80, 119, 200, 300] {
            for rows in [1, 2, 5, 9, 10, 11, 13, 24, 40, 100] {
                drop(update(&mut state, Message::Resized(columns, rows)));
                assert_eq!(screen(&state).lines().count(), usize::from(rows));
            }
        }
    }
}

#[test]
fn random_keys_at_random_sizes_neither_panic_nor_act_while_locked() {
    let rig = full();
    for (number, state) in seeds(&rig).into_iter().enumerate() {
        for access in [Access::ReadOnly, Access::Locked] {
            let mut state = state.clone();
            state.start.access = access;
            let mut dice = Dice(u64::try_from(number).unwrap() + 1);
            for step in 0..1_500_i64 {
                let message = dice.message();
                let is_unlocked = state.is_unlocked();
                let commands = update(&mut state, message);
                let acts = commands.iter().filter(|it| matches!(it, Command::Act(..))).count();
                assert!(acts == 0 || is_unlocked, "seed {number}, step {step}");
                assert!(access != Access::ReadOnly || acts == 0, "seed {number}, step {step}");
                if step % 10 == 0 {
                    let later = rig.now().plus_ms(step * 1_000);
                    drop(update(&mut state, Message::Tick(later)));
                    screen(&state);
                }
            }
        }
    }
}
