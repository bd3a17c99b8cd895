//! A console without a terminal: real state, real workers, a rig's register; keys as text.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use countersign::console::state::{Access, Command, Message, Overlay, Start, State, update};
use countersign::console::theme::Theme;
use countersign::console::view::render;
use countersign::console::worker::Worker;
use countersign::usecase::Appliance;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::rig::{OPERATOR, Rig};

/// How long a test waits for an answer that must come.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Desk<'a> {
    rig: &'a Rig,
    pub(crate) state: State,
    worker: Worker,
    messages: Receiver<Message>,
    _sender: SyncSender<Message>,
    outstanding: usize,
    /// What was copied.
    pub(crate) copied: Vec<String>,
    /// How many acts were sent.
    pub(crate) acts: usize,
    pub(crate) has_quit: bool,
}

pub(crate) fn start(rig: &Rig, size: (u16, u16)) -> Start {
    Start {
        now: rig.now(),
        size,
        environment: "test",
        actor: OPERATOR.to_owned(),
        register: "/var/lib/countersign/test.db".to_owned(),
        access: Access::Locked,
        theme: Theme::Monochrome,
        configuration: vec![
            ("environment".to_owned(), "test  (default)".to_owned()),
            ("sumsub-secret-key".to_owned(), "set  (file /run/secrets/key)".to_owned()),
        ],
        acceptance: rig.appliance.rules.acceptance.clone(),
        no_provider: None,
        twin_flags: String::new(),
    }
}

impl<'a> Desk<'a> {
    pub(crate) fn at(rig: &'a Rig, size: (u16, u16)) -> Self {
        Self::of(rig, &rig.appliance, size)
    }

    /// A console with an appliance of its own on a rig's register.
    pub(crate) fn of(rig: &'a Rig, appliance: &Arc<Appliance>, size: (u16, u16)) -> Self {
        let (sender, messages) = sync_channel(1024);
        let worker = Worker::start(appliance, OPERATOR, &sender).unwrap();
        let mut desk = Self {
            rig,
            state: State::new(start(rig, size)),
            worker,
            messages,
            _sender: sender,
            outstanding: 0,
            copied: Vec::new(),
            acts: 0,
            has_quit: false,
        };
        let commands = desk.state.begin();
        desk.carry_out(commands);
        desk.settle();
        desk
    }

    pub(crate) fn unlocked(rig: &'a Rig, size: (u16, u16)) -> Self {
        let mut desk = Self::at(rig, size);
        desk.press("u");
        desk
    }

    /// Presses keys: letters, and names in angle brackets, as `jj<Enter>`. Each key is answered and
    /// drawn before the next.
    pub(crate) fn press(&mut self, keys: &str) -> &mut Self {
        for key in parse_keys(keys) {
            self.send(Message::Tick(self.rig.now()));
            self.send(Message::Key(key));
            self.settle();
            self.draws();
        }
        self
    }

    /// What the loop says after it has drawn.
    pub(crate) fn draws(&mut self) {
        if let Overlay::Dialog(it) = &self.state.overlay {
            let ticket = it.ticket;
            self.send(Message::Drawn(ticket));
            self.send(Message::Read(ticket));
        }
    }

    pub(crate) fn send(&mut self, message: Message) {
        let commands = update(&mut self.state, message);
        self.carry_out(commands);
    }

    fn carry_out(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Copy(text) => self.copied.push(text),
                Command::Quit => self.has_quit = true,
                other => {
                    self.acts += usize::from(matches!(other, Command::Act(..)));
                    self.outstanding += 1;
                    self.worker.send(other);
                }
            }
        }
    }

    /// Takes answers until none is awaited.
    pub(crate) fn settle(&mut self) {
        while self.outstanding > 0 {
            self.take_one();
        }
    }

    /// Takes messages until a condition holds.
    pub(crate) fn wait_until(&mut self, what: &str, holds: impl Fn(&State) -> bool) {
        while !holds(&self.state) {
            let message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what}"));
            self.take(message);
        }
    }

    fn take_one(&mut self) {
        let message = self.messages.recv_timeout(PATIENCE).expect("an answer of the workers");
        // What the watch notices is asked for by the tests that are about it.
        if !matches!(message, Message::Changed) {
            self.take(message);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Changed | Message::Register(_) | Message::Searched(..) | Message::Clock(_) => {
            }
            _ => self.outstanding -= 1,
        }
        self.send(message);
    }

    pub(crate) fn screen(&self) -> String {
        screen(&self.state)
    }

    /// Asserts that every line of `texts` is on the screen.
    pub(crate) fn sees(&mut self, texts: &[&str]) -> &mut Self {
        let screen = self.screen();
        for text in texts {
            assert!(screen.contains(text), "no {text:?} on\n{screen}");
        }
        self
    }
}

/// The screen as text, without the blanks at the ends of its lines.
pub(crate) fn screen(state: &State) -> String {
    let (columns, rows) = state.start.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| render(state, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..rows {
        let mut line = String::new();
        let mut skipped = 0;
        for x in 0..columns {
            let symbol = buffer[(x, y)].symbol();
            if skipped > 0 {
                skipped -= 1;
                continue;
            }
            skipped = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

pub(crate) fn parse_keys(keys: &str) -> Vec<KeyEvent> {
    let mut parsed = Vec::new();
    let mut rest = keys;
    while let Some(first) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|it| it.split_once('>'));
        let (key, after) = match named {
            Some((name, after)) => (named_key(name), after),
            None => {
                (KeyEvent::new(KeyCode::Char(first), KeyModifiers::NONE), &rest[first.len_utf8()..])
            }
        };
        parsed.push(key);
        rest = after;
    }
    parsed
}

fn named_key(name: &str) -> KeyEvent {
    let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
    match name {
        "Enter" => plain(KeyCode::Enter),
        "Esc" => plain(KeyCode::Esc),
        "Tab" => plain(KeyCode::Tab),
        "S-Tab" => plain(KeyCode::BackTab),
        "Space" => plain(KeyCode::Char(' ')),
        "Up" => plain(KeyCode::Up),
        "Down" => plain(KeyCode::Down),
        "PgDn" => plain(KeyCode::PageDown),
        "PgUp" => plain(KeyCode::PageUp),
        "Home" => plain(KeyCode::Home),
        "End" => plain(KeyCode::End),
        "Backspace" => plain(KeyCode::Backspace),
        _ => {
            let letter = name.strip_prefix("C-").and_then(|it| it.chars().next());
            let letter = letter.unwrap_or_else(|| panic!("no key <{name}>"));
            KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
        }
    }
}
