//! The program itself in a real pseudo-terminal: what an operator does, and the register afterwards.

use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use countersign::console::run::Options;
use countersign::console::state::Access;
use countersign::console::theme::Theme;
use countersign::domain::organization::OrganizationId;
use countersign::domain::outgoing::Schedule;
use countersign::domain::timestamp::Clock;
use countersign::outbox::{Allowed, KeyFile, Outbox};
use countersign::store::{Opening, Store};
use countersign::sumsub::{Account, Client};
use countersign::usecase::decide::Decision;
use countersign::usecase::receive_webhook::BySecret;
use countersign::usecase::{Appliance, Permits};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::stage;
use crate::cli::{Shell, operator};
use crate::rig::{Directory, OPERATOR, Rig, WEBHOOK_SECRET};
use crate::sumsub::World;
use countersign::sim::TenantId;

/// How long a screen that must come is waited for: a bound on a hang, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many pieces of output a screen that must come is waited for: the clock on the screen
/// makes one a second.
const CHUNKS_MAX: usize = 40;

/// A program in a terminal.
pub(super) struct Session {
    pub(super) screen: vt100::Parser,
    output: Receiver<Vec<u8>>,
    input: Box<dyn std::io::Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    raw: Vec<u8>,
}

impl Session {
    fn start(world: &World, arguments: &[&str]) -> Self {
        Self::console(world, (100, 36), &[], arguments)
    }

    /// `countersign console` on a world's register, in a terminal of so many columns and rows.
    pub(super) fn console(
        world: &World,
        size: (u16, u16),
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_countersign"));
        command.env_clear();
        let credentials = world.simulator.credentials(TenantId::Recipient);
        for (name, value) in [
            ("TERM", "xterm-256color"),
            ("COUNTERSIGN_SUMSUB_URL", world.sumsub_url.as_str()),
            ("COUNTERSIGN_SUMSUB_APP_TOKEN", &credentials.app_token),
            ("COUNTERSIGN_SUMSUB_SECRET_KEY", &credentials.secret_key),
            ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb-level"),
            ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc-level"),
            ("COUNTERSIGN_DATABASE", "register.db"),
        ] {
            command.env(name, value);
        }
        for (name, value) in environment {
            command.env(name, value);
        }
        command.cwd(&world.rig.directory.0);
        command.arg("console");
        command.args(arguments);
        Self::of(command, size)
    }

    fn of(command: CommandBuilder, (columns, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let (rows, columns) = (NonZero::new(rows).unwrap(), NonZero::new(columns).unwrap());
        Self {
            screen: vt100::Parser::new(rows, columns, 0),
            output,
            input: pair.master.take_writer().unwrap(),
            child,
            _master: pair.master,
            raw: Vec::new(),
        }
    }

    pub(super) fn keys(&mut self, keys: &str) -> &mut Self {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
        self
    }

    /// Waits until a text is on the screen.
    pub(super) fn sees(&mut self, text: &str) -> &mut Self {
        let mut chunks = 0;
        while !self.screen.screen().contents().contains(text) {
            let received = self.output.recv_timeout(PATIENCE).ok().filter(|_| chunks < CHUNKS_MAX);
            let Some(bytes) = received else {
                panic!("no {text:?} on\n{}", self.screen.screen().contents());
            };
            chunks += 1;
            self.raw.extend(&bytes);
            self.screen.process(&bytes);
        }
        self
    }

    /// Takes what is still being drawn.
    pub(super) fn settles(&mut self) {
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(300)) {
            self.screen.process(&bytes);
        }
    }

    /// Waits for the end of the program and of its output.
    fn ends(&mut self) -> u32 {
        for chunks in 0.. {
            let Ok(bytes) = self.output.recv_timeout(PATIENCE) else { break };
            assert!(chunks < CHUNKS_MAX, "still there:\n{}", self.screen.screen().contents());
            self.raw.extend(&bytes);
            self.screen.process(&bytes);
        }
        self.child.wait().unwrap().exit_code()
    }

    fn receives(&self, signal: &str) {
        let id = self.child.process_id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    fn assert_restored(&self) {
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.kill());
    }
}

#[test]
fn an_operator_filters_opens_unlocks_starts_a_session_and_releases_a_hold() {
    let world = World::in_real_time();
    stage::set_in_the_past(&world.rig);
    let mut session = Session::start(&world, &[]);

    session.sees("READ-ONLY").sees("Acme Trading Co.");
    session.keys("/jo").sees("/jo").keys("\r").sees("Esc ends the filter");
    session.keys("\r").sees("verification_approved");
    session.keys("S").sees("press u to unlock");
    session.keys("u").sees("UNLOCKED");
    session.keys("S").sees("Asks Sumsub for a link").sees("Enter confirm");
    session.keys("\r").sees("Session for Jo").sees("▀");
    session.keys("\u{1b}").sees("session_started");
    session.keys("2").sees("held by operator");
    session.keys("g").keys("A").sees("Releases the hold").sees("Enter confirm");
    session.keys("false match").sees("false match").keys("\r").sees("done: Bolt Freight");
    session.keys("q");
    assert_eq!(session.ends(), 0);
    session.assert_restored();

    let raw = String::from_utf8_lossy(&session.raw).into_owned();
    assert!(raw.contains("\u{1b}]52;c;"), "the link was copied by OSC 52");
    assert!(!raw.contains("_act-"), "no access token was drawn");
    let store = &world.rig.appliance.store;
    let facts = |id: &str| store.read(|it| it.facts(&OrganizationId::new(id))).unwrap();
    let jo = facts(stage::JO);
    let started = jo.iter().find(|it| it.fact.event.as_str() == "session_started").unwrap();
    assert!(format!("{:?}", started.cause).contains(&operator()), "{started:?}");
    let bolt = facts(stage::BOLT).pop().unwrap();
    assert_eq!(bolt.fact.event.as_str(), "operator_approve");
    assert!(format!("{:?}", bolt.cause).contains("false match"), "{bolt:?}");
}

#[test]
fn a_console_that_has_ended_leaves_no_log() {
    let shell = Shell::new();
    let (_, customer) = shell.parties();
    for keys in ["q", "/Acme\r\rq"] {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_countersign"));
        command.env_clear();
        command.env("TERM", "xterm-256color");
        command.cwd(&shell.directory.0);
        command.arg("console");
        let mut session = Session::of(command, (100, 36));
        session.sees("READ-ONLY").sees("Acme").keys(keys);
        if session.child.try_wait().unwrap().is_none() {
            session.receives("TERM");
        }
        assert_eq!(session.ends(), 0);

        let log = shell.directory.file("countersign.db-wal");
        assert_eq!(std::fs::metadata(log).map_or(0, |it| it.len()), 0, "{keys:?}");
    }
    assert!(shell.run(&["org", "show", &customer]).ok().contains("Acme"));
}

#[test]
fn what_another_process_writes_appears_and_a_signal_gives_the_terminal_back() {
    let world = World::in_real_time();
    stage::set_in_the_past(&world.rig);
    let mut session = Session::start(&world, &["--read-only", "--no-color"]);
    session.sees("READ-ONLY (--read-only)").keys("/acme").sees("● approved");
    world.rig.decide(stage::ACME, Decision::Hold).unwrap();
    session.sees("‖ on hold");

    session.receives("TERM");
    assert_eq!(session.ends(), 0);
    session.assert_restored();
    let raw = String::from_utf8_lossy(&session.raw).into_owned();
    assert!(!raw.contains("\u{1b}[38;5;"), "no colour was set");
}

#[test]
fn every_signal_that_ends_it_gives_the_terminal_back() {
    let world = World::in_real_time();
    for signal in ["TERM", "HUP", "INT"] {
        let mut session = Session::start(&world, &[]);
        // In the middle of something: a dialog that is being typed into.
        session.sees("Welcome").keys("u").sees("UNLOCKED").keys("N").sees("Enter confirm");
        session.keys("half a na").sees("half a na").receives(signal);
        assert_eq!(session.ends(), 0, "{signal}");
        session.assert_restored();
    }
    let organizations = world.rig.appliance.store.read(|it| it.organizations(None, 9)).unwrap();
    assert!(organizations.is_empty(), "what was half typed was not done");
}

#[test]
fn no_color_and_a_dumb_terminal_see_no_colour_and_still_the_selection() {
    let world = World::in_real_time();
    stage::set_in_the_past(&world.rig);
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut session = Session::console(&world, (80, 24), &[environment], &[]);
        session.sees("Acme Trading Co.").keys("j").keys("q");
        assert_eq!(session.ends(), 0, "{environment:?}");
        let raw = String::from_utf8_lossy(&session.raw).into_owned();
        assert!(!raw.contains("[38;") && !raw.contains("[48;"), "{environment:?} has colours");
        assert!(raw.contains("\u{1b}[7m"), "{environment:?} has no reverse video");
    }
}

/// An appliance on a rig's register, with a clock of its own.
pub(super) fn another(rig: &Rig, clock: Clock) -> Appliance {
    let path = rig.directory.file("register.db");
    let environment = rig.appliance.rules.environment;
    let account = Account {
        base_url: "http://127.0.0.1:9".to_owned(),
        proxy: None,
        app_token: String::new(),
        secret_key: String::new(),
        level_business: String::new(),
        level_individual: String::new(),
        session_ttl_s: 1800,
    };
    Appliance {
        store: Store::open(&path, environment, Opening::MustExist, rig.now()).unwrap(),
        sumsub: Client::new(
            account,
            Arc::clone(&rig.appliance.timekeeper),
            Arc::new(|_: Duration| {}),
        ),
        timekeeper: Arc::clone(&rig.appliance.timekeeper),
        clock,
        outbox: Outbox::new(
            environment,
            KeyFile::beside(&path),
            Schedule { time_scale: 1 },
            Allowed::default(),
        ),
        rules: rig.appliance.rules.clone(),
        permits: Permits::new(4),
        event_places: 64,
        webhook_secrets: rig.appliance.webhook_secrets.clone(),
        webhooks_by_secret: BySecret::default(),
        refused_digests: AtomicU64::new(0),
        handoff: None,
    }
}

/// Where the drawing thread's panic is made: see the test below.
const PANICS: &str = "COUNTERSIGN_TEST_PANICS";

/// Not a promise of its own: the test below runs it, in a terminal, in a process of its own.
#[test]
#[expect(clippy::disallowed_methods, reason = "tells the process that panics from the others")]
fn a_console_whose_clock_panics() {
    if std::env::var_os(PANICS).is_none() {
        return;
    }
    let rig = Rig::new();
    let (calm, asked) = (Arc::clone(&rig.appliance.clock), AtomicU32::new(0));
    let clock: Clock = Arc::new(move || {
        assert!(asked.fetch_add(1, Ordering::SeqCst) < 20, "the clock panics");
        calm()
    });
    let appliance = Arc::new(another(&rig, clock));
    let options = Options {
        actor: OPERATOR.to_owned(),
        access: Access::Locked,
        theme: Theme::Monochrome,
        configuration: Vec::new(),
        no_provider: None,
        twin_flags: String::new(),
        stop: Arc::new(AtomicBool::new(false)),
    };
    drop(countersign::console::run::run(&appliance, options));
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_told_on_it() {
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", "console::terminal::a_console_whose_clock_panics", "--nocapture"]);
    command.env(PANICS, "1");
    command.env("RUST_BACKTRACE", "0");
    command.env("TERM", "xterm-256color");
    let mut session = Session::of(command, (100, 36));
    session.sees("Welcome");
    assert_ne!(session.ends(), 0);
    session.assert_restored();
    let contents = session.screen.screen().contents();
    assert!(contents.contains("the clock panics"), "{contents}");
}

#[test]
fn the_demo_shows_its_calls_and_opens_the_console_by_enter() {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("demo");
    command.env_clear();
    command.env("TERM", "xterm-256color");
    let mut session = Session::of(command, (100, 36));
    session.sees("Enter opens the operator's console.").keys("\r");
    session.sees("READ-ONLY").sees("Ada Lovelace").keys("7").sees("answers in").sees("(demo)");
    session.keys("q").sees("Ctrl-C ends it.");
    session.assert_restored();
    session.keys("\r").sees("READ-ONLY").receives("TERM");
    assert_eq!(session.ends(), 0);
    session.assert_restored();
}

#[test]
fn a_share_token_that_is_typed_into_a_terminal_is_not_shown() {
    let directory = Directory::new();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["verification", "import", "org_nobody"]);
    command.env_clear();
    command.env("TERM", "xterm-256color");
    command.cwd(&directory.0);
    let mut session = Session::of(command, (100, 36));

    session.sees("Share token (it is not shown):").keys("TOKEN4711\r");

    assert_ne!(session.ends(), 0, "there is no such organization, nor an account");
    let raw = String::from_utf8_lossy(&session.raw).into_owned();
    assert!(raw.contains("countersign: ") && !raw.contains("TOKEN4711"), "{raw:?}");
}

#[test]
fn without_a_terminal_the_console_says_so_and_creates_nothing() {
    let directory = Directory::new();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["console", "--database"])
        .arg(directory.file("new.db"))
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the console needs a terminal"));
    assert!(!directory.file("new.db").exists());
}
