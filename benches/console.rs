//! The console over registers of 100, 100 thousand and 1 million organizations: the first frame, from
//! a key to the frame that shows it, and memory. `cargo bench --bench console` prints one line a size;
//! goals: first frame within 50 ms, 99 of 100 keys within 16 ms, at most 60 MB at a million.
//!
//! Everything is the console's own: state, workers, views, and the terminal library writing its bytes
//! to nowhere. Only the terminal is missing.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench measures, prints, and may stop at the first surprise"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use countersign::console::state::{Access, Command, Message, Start, State, update};
use countersign::console::theme::Theme;
use countersign::console::view::render;
use countersign::console::worker::Worker;
use countersign::domain::environment::Environment;
use countersign::domain::outgoing::Schedule;
use countersign::domain::timekeeper::Timekeeper;
use countersign::domain::timestamp::{Clock, Timestamp};
use countersign::domain::verdict::{Acceptance, DecidedBy};
use countersign::outbox::{Allowed, KeyFile, Outbox};
use countersign::store::{Opening, Store};
use countersign::sumsub::{Account, Client, ImportMode};
use countersign::usecase::receive_webhook::{BySecret, WebhookSecrets};
use countersign::usecase::{Appliance, Permits, Rules};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

const NOW_MS: i64 = 1_778_855_400_000;
const SIZE: (u16, u16) = (120, 40);

fn main() {
    if std::env::args().any(|it| it == "--test") {
        return;
    }
    println!(
        "{:>13}  {:>11}  {:>9}  {:>9}  {:>9}  {:>7}  {:>9}",
        "organizations", "first frame", "key p50", "key p99", "page p99", "memory", "with file"
    );
    for count in [100, 100_000, 1_000_000] {
        let folder = std::env::temp_dir().join(format!("countersign-console-{count}"));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("register.db");
        populate(&path, count);
        measure(&path, count);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

/// Organizations in every status, two of three with an LOA, written past the use-cases for speed.
fn populate(path: &Path, count: i64) {
    drop(std::fs::remove_file(path));
    drop(appliance(path));
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF;
             BEGIN;
             CREATE TEMP TABLE n AS
               WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last})
               SELECT i FROM n;
             INSERT INTO organization
               SELECT printf('org_%032x', i),
                      printf('%s %s %d', substr('AcmeBoltCoreDeltEcho', 1 + 4 * (i % 5), 4),
                             substr('TradingFreightHolding', 1 + 7 * (i % 3), 7), i),
                      CASE i % 2 WHEN 0 THEN 'BUSINESS' ELSE 'INDIVIDUAL' END,
                      CASE i WHEN 0 THEN NULL ELSE printf('org_%032x', 0) END,
                      '{{}}', {NOW_MS} - ({count} - i) * 1000 FROM n;
             INSERT INTO verification
               SELECT printf('org_%032x', i),
                      CASE i % 10 WHEN 0 THEN 'NOT_STARTED' WHEN 1 THEN 'PENDING'
                        WHEN 2 THEN 'REJECTED_BY_PROVIDER' WHEN 3 THEN 'RESUBMISSION_REQUIRED'
                        ELSE CASE i % 1000 WHEN 4 THEN 'ON_HOLD_BY_PROVIDER' ELSE 'APPROVED' END END,
                      NULL,
                      CASE WHEN i % 10 > 4 THEN {NOW_MS} + (i % 365) * 86400000 ELSE NULL END,
                      0, {NOW_MS} - ({count} - i) * 1000 FROM n;
             INSERT INTO authorization
                 (granting, authorized, type, status, signed_at_ms, created_at_ms, updated_at_ms)
               SELECT printf('org_%032x', i), printf('org_%032x', 0), 'LOA',
                      CASE i % 3 WHEN 1 THEN 'ACTIVE' ELSE 'PENDING' END,
                      CASE i % 3 WHEN 1 THEN {NOW_MS} ELSE NULL END, {NOW_MS}, {NOW_MS}
               FROM n WHERE i % 3 > 0;
             COMMIT;
             PRAGMA wal_checkpoint(TRUNCATE);",
            last = count - 1
        ))
        .unwrap();
}

fn appliance(path: &Path) -> Arc<Appliance> {
    let clock: Clock = Arc::new(|| Timestamp::from_ms(NOW_MS));
    let timekeeper =
        Timekeeper::new(Arc::clone(&clock), Arc::new(|| 0), "the-only-boot".to_owned());
    let store = Store::open(path, Environment::Test, Opening::CreateIfMissing, clock()).unwrap();
    let account = Account {
        base_url: "http://127.0.0.1:9".to_owned(),
        proxy: None,
        app_token: String::new(),
        secret_key: String::new(),
        level_business: String::new(),
        level_individual: String::new(),
        session_ttl_s: 1800,
    };
    Arc::new(Appliance {
        store,
        sumsub: Client::new(account, Arc::clone(&timekeeper), Arc::new(|_: Duration| {})),
        clock: timekeeper.clock(),
        timekeeper,
        rules: Rules {
            environment: Environment::Test,
            import_mode: ImportMode::Reuse,
            acceptance: Acceptance {
                levels_business: Vec::new(),
                levels_individual: Vec::new(),
                decided_by: DecidedBy::Level,
            },
            valid_days_business: 365,
            valid_days_individual: 365,
        },
        webhook_secrets: WebhookSecrets::new(String::new(), None).into(),
        webhooks_by_secret: BySecret::default(),
        permits: Permits::new(4),
        event_places: 64,
        refused_digests: AtomicU64::new(0),
        handoff: None,
        outbox: Outbox::new(
            Environment::Test,
            KeyFile::beside(path),
            Schedule { time_scale: 1 },
            Allowed::default(),
        ),
    })
}

/// What is pressed, and how often.
const WALK: [(KeyCode, usize); 15] = [
    (KeyCode::PageDown, 400),
    (KeyCode::Char('j'), 400),
    (KeyCode::Char('G'), 3),
    (KeyCode::PageUp, 200),
    (KeyCode::Char('k'), 200),
    (KeyCode::Char('g'), 3),
    (KeyCode::Char('f'), 7),
    (KeyCode::Char('s'), 4),
    (KeyCode::Enter, 1),
    (KeyCode::Char('j'), 50),
    (KeyCode::Esc, 1),
    (KeyCode::Char('3'), 1),
    (KeyCode::PageDown, 50),
    (KeyCode::Char('2'), 1),
    (KeyCode::Char('j'), 50),
];

type Screen = Terminal<CrosstermBackend<std::io::Sink>>;

struct Console {
    state: State,
    worker: Worker,
    messages: Receiver<Message>,
    screen: Screen,
    outstanding: usize,
}

impl Console {
    fn carry_out(&mut self, commands: Vec<Command>) {
        for it in commands {
            if matches!(it, Command::Load(..)) {
                self.outstanding += 1;
            }
            self.worker.send(it);
        }
    }

    fn draw(&mut self) {
        let state = &self.state;
        self.screen.draw(|frame| render(state, frame)).unwrap();
    }

    /// Takes one answer.
    fn take(&mut self) {
        let message = self.messages.recv_timeout(Duration::from_secs(120)).unwrap();
        if matches!(message, Message::Loaded(..)) {
            self.outstanding -= 1;
        }
        let commands = update(&mut self.state, message);
        self.carry_out(commands);
    }

    /// From a key to the frame that shows it, and to the frame with what had to be read for it.
    fn press(&mut self, code: KeyCode) -> (Duration, Duration) {
        let begun = Instant::now();
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        let commands = update(&mut self.state, Message::Key(key));
        self.carry_out(commands);
        self.draw();
        let drawn = begun.elapsed();
        while self.outstanding > 0 {
            self.take();
        }
        self.draw();
        (drawn, begun.elapsed())
    }
}

fn measure(path: &Path, count: i64) {
    let begun = Instant::now();
    let appliance = appliance(path);
    appliance.store.unmap().unwrap();
    let (sender, messages) = sync_channel(1024);
    let worker = Worker::start(&appliance, "operator:bench", &sender).unwrap();
    let viewport = Viewport::Fixed(Rect::new(0, 0, SIZE.0, SIZE.1));
    let mut console = Console {
        state: State::new(Start {
            now: Timestamp::from_ms(NOW_MS),
            size: SIZE,
            environment: "test",
            actor: "operator:bench".to_owned(),
            register: path.display().to_string(),
            access: Access::Locked,
            theme: Theme::Colour,
            configuration: Vec::new(),
            acceptance: appliance.rules.acceptance.clone(),
            no_provider: None,
            twin_flags: String::new(),
        }),
        worker,
        messages,
        screen: Terminal::with_options(
            CrosstermBackend::new(std::io::sink()),
            TerminalOptions { viewport },
        )
        .unwrap(),
        outstanding: 0,
    };
    let commands = console.state.begin();
    console.carry_out(commands);
    while console.state.organizations.rows.is_empty() {
        console.take();
    }
    console.draw();
    let first = begun.elapsed();
    while console.outstanding > 0 {
        console.take();
    }

    let (mut keys, mut pages) = (Vec::new(), Vec::new());
    for (code, times) in WALK {
        for _ in 0..times {
            let (key, page) = console.press(code);
            keys.push(key);
            pages.push(page);
        }
    }
    keys.sort_unstable();
    pages.sort_unstable();
    let at = |of: &[Duration], percent: usize| of[(of.len() - 1) * percent / 100];
    let ms = |it: Duration| format!("{:.2} ms", it.as_secs_f64() * 1000.0);
    println!(
        "{count:>13}  {:>11}  {:>9}  {:>9}  {:>9}  {:>4} MB  {:>6} MB",
        ms(first),
        ms(at(&keys, 50)),
        ms(at(&keys, 99)),
        ms(at(&pages, 99)),
        resident_kb("RssAnon:") / 1024,
        resident_kb("VmRSS:") / 1024,
    );
}

/// What the process holds. `RssAnon` is its own; `VmRSS` counts as well the pages of the register
/// that are mapped into it from the system's cache, which the system takes back when it needs them.
fn resident_kb(of: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|it| it.starts_with(of)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
