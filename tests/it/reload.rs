//! SIGHUP: a server without a terminal reads its files again and goes on; everything at a terminal ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use countersign::sumsub::signature::{DigestAlgorithm, webhook_digest};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

use crate::cli::{Shell, http};
use crate::handoff::between;
use crate::rig::WEBHOOK_SECRET;
use crate::sumsub::World;
use countersign::sim::TenantId;

/// A server that has no terminal, and everything that it was given by files.
struct Service {
    shell: Shell,
    child: Child,
    said: BufReader<ChildStderr>,
    url: String,
}

/// The settings of a test, without the secrets' files.
fn settings(world: &World, more: &str) -> String {
    let credentials = world.simulator.credentials(TenantId::Recipient);
    format!(
        "COUNTERSIGN_SUMSUB_URL={}\nCOUNTERSIGN_SUMSUB_APP_TOKEN='{}'\n\
         COUNTERSIGN_SUMSUB_SECRET_KEY_FILE=key\nCOUNTERSIGN_SUMSUB_WEBHOOK_SECRET_FILE=webhook\n\
         COUNTERSIGN_SUMSUB_LEVEL_BUSINESS=kyb-level\nCOUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL=kyc-level\n\
         COUNTERSIGN_LISTEN=127.0.0.1:0\n{more}\n",
        world.sumsub_url, credentials.app_token
    )
}

/// Writes the files that a server is given.
fn prepare(shell: &Shell, world: &World, more: &str) {
    let write = |name: &str, text: &str| fs::write(shell.directory.file(name), text).unwrap();
    write("settings", &settings(world, more));
    write("key", &world.simulator.credentials(TenantId::Recipient).secret_key);
    write("webhook", WEBHOOK_SECRET);
}

impl Service {
    fn start(world: &World, more: &str) -> Self {
        Self::start_in(Shell::new(), world, more)
    }

    fn start_in(shell: Shell, world: &World, more: &str) -> Self {
        prepare(&shell, world, more);
        let shell = shell.with(&[("COUNTERSIGN_SETTINGS_FILE", "settings")]);
        Self::of(shell, &["setsid", env!("CARGO_BIN_EXE_countersign"), "serve"])
    }

    fn of(shell: Shell, words: &[&str]) -> Self {
        let program = shell.command(&[]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&shell.directory.0).env_clear();
        command.envs(program.get_envs().filter_map(|(name, it)| Some((name, it?))));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut it = Self { shell, child, said, url: String::new() };
        let serves = it.hears("countersign serves ");
        it.url = serves.split_whitespace().find(|it| it.starts_with("http://")).unwrap().to_owned();
        it
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.shell.directory.file(name), text).unwrap();
    }

    /// The next line of the log that holds a text.
    #[track_caller]
    fn hears(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "it ended without {text:?}");
        }
        line
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Has it read its files again, and answers what it says of that.
    fn reload(&mut self) -> String {
        self.signal(Signal::HUP);
        self.hears("reloaded")
    }

    /// The answer to a webhook that is signed with a secret.
    fn deliver(&self, secret: &str) -> u16 {
        deliver(&self.url, secret)
    }

    /// Everything that it said until it ended, and how.
    fn ends(&mut self) -> (i32, String) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap(), rest)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn deliver(url: &str, secret: &str) -> u16 {
    let body = json!({"type": "applicantPending", "testMode": true, "correlationId": "c"});
    let body = format!("{body}{}", " ".repeat(usize::from(rand())));
    let digest = webhook_digest(secret.as_bytes(), DigestAlgorithm::Sha256, body.as_bytes());
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let call = agent
        .post(format!("{url}/webhooks/sumsub"))
        .header("X-Payload-Digest", digest)
        .header("X-Payload-Digest-Alg", DigestAlgorithm::Sha256.as_str())
        .send(&body);
    call.unwrap().status().as_u16()
}

/// A webhook is taken once: another one has another length.
fn rand() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) % 1000
}

#[test]
fn the_webhook_secret_is_rotated_by_sighup_without_a_refused_webhook() {
    let world = World::in_real_time();
    let mut service = Service::start(&world, "");
    let (url, is_changed, is_over) =
        (service.url.clone(), AtomicBool::new(false), AtomicBool::new(false));

    let answers = std::thread::scope(|scope| {
        let sumsub = scope.spawn(|| {
            let mut answers = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                let is_new = is_changed.load(Ordering::SeqCst);
                answers.push(deliver(&url, if is_new { "the-new-one" } else { WEBHOOK_SECRET }));
            }
            answers
        });
        service.write("webhook", &format!("the-new-one\n{WEBHOOK_SECRET}\n"));
        let said = service.reload();
        is_changed.store(true, Ordering::SeqCst);
        assert_eq!(service.deliver("the-new-one"), 200);
        assert!(said.contains(r#""settings":"sumsub-webhook-secret""#), "{said}");
        assert_eq!(service.deliver("the-new-one"), 200);
        is_over.store(true, Ordering::SeqCst);
        sumsub.join().unwrap()
    });
    service.write("webhook", "the-new-one\n");
    service.reload();

    assert!(answers.iter().all(|it| *it == 200), "{answers:?}");
    assert_eq!(
        ["the-new-one", WEBHOOK_SECRET, "a-third"].map(|it| service.deliver(it)),
        [200, 401, 401]
    );
    service.signal(Signal::TERM);
    let (code, rest) = service.ends();
    assert!(code == 0 && !rest.contains("the-new-one"), "{rest}");
}

#[test]
fn a_reload_with_one_wrong_file_changes_nothing_and_names_it() {
    let world = World::in_real_time();
    let letter = include_str!("../../src/domain/letter.txt");
    let public = "COUNTERSIGN_PUBLIC_URL=http://localhost\nCOUNTERSIGN_LETTER=letter\n";
    let shell = Shell::new();
    fs::write(shell.directory.file("letter"), letter).unwrap();
    let mut service = Service::start_in(shell, &world, public);
    let right = settings(&world, public);
    service.write("webhook", "the-new-one");
    let directory = service.shell.directory.0.clone();
    for (name, text, named) in [
        ("letter", "version: 1\n== BUSINESS ==\n{day}\n", "the letter letter cannot be used"),
        ("key", "SEC RET", "sumsub-secret-key cannot be read from key"),
        ("settings", "COUNTERSIGN_LOG=SECRET\n", "log (from file settings)"),
        ("settings", "SECRET\n", "settings-file settings cannot be used: line 1"),
    ] {
        let before = fs::read_to_string(directory.join(name)).unwrap();
        service.write(name, text);
        service.signal(Signal::HUP);

        let said = service.hears("nothing was reloaded");

        assert!(said.contains("ERROR") && said.contains(named), "{said}");
        assert!(!said.contains("SEC RET"), "{said}");
        assert_eq!(["the-new-one", WEBHOOK_SECRET].map(|it| service.deliver(it)), [401, 200]);
        service.write(name, &before);
    }
    // A pipe that nobody writes to keeps it waiting for two seconds, and named anew as well.
    assert!(Command::new("mkfifo").arg(directory.join("pipe")).status().unwrap().success());
    for (line, by) in [
        ("COUNTERSIGN_LETTER=letter", "COUNTERSIGN_LETTER=pipe"),
        ("COUNTERSIGN_SUMSUB_SECRET_KEY_FILE=key", "COUNTERSIGN_SUMSUB_SECRET_KEY_FILE=pipe"),
    ] {
        assert!(right.contains(line), "{right}");
        service.write("settings", &right.replace(line, by));
        service.signal(Signal::HUP);
        let said = service.hears("nothing was reloaded");
        assert!(said.contains("nothing came out of this pipe"), "{said}");
        service.write("settings", &right);
    }
    assert_eq!(fs::read_to_string(directory.join("settings")).unwrap(), right);

    let said = service.reload();

    assert!(said.contains(r#""settings":"sumsub-webhook-secret""#), "{said}");
    assert_eq!(["the-new-one", WEBHOOK_SECRET].map(|it| service.deliver(it)), [200, 401]);
}

#[test]
fn a_reload_takes_over_proxies_and_the_log_and_says_what_waits_for_the_next_start() {
    let world = World::in_real_time();
    let mut service = Service::start(&world, "COUNTERSIGN_WRONG_KEYS_PER_MINUTE=1");
    let url = format!("{}/v1/organizations", service.url);
    let guess = |client: &str| {
        let from = [("Authorization", "Bearer wrong"), ("X-Forwarded-For", client)];
        http("GET", &url, &from).0
    };
    assert_eq!(["192.0.2.1", "192.0.2.2"].map(guess), [401, 429], "one client, the peer");
    let more = "COUNTERSIGN_WRONG_KEYS_PER_MINUTE=2\nCOUNTERSIGN_TRUSTED_PROXIES=127.0.0.1\n\
                COUNTERSIGN_LOG=warn\nCOUNTERSIGN_DATABSE=x";
    service.write("settings", &settings(&world, more));

    service.signal(Signal::HUP);

    assert!(service.hears("no setting of countersign").contains("COUNTERSIGN_DATABSE"));
    let waits = service.hears("takes effect at the next start");
    assert!(waits.contains("WARN") && waits.contains("wrong-keys-per-minute"), "{waits}");
    let said = service.hears("reloaded");
    assert!(said.contains(r#""settings":"trusted-proxies, log""#), "{said}");
    assert_eq!(["192.0.2.1", "192.0.2.2", "192.0.2.1"].map(guess), [401, 401, 429], "two clients");
    // None of these requests is in the log, which was at warn.
    service.write("settings", &settings(&world, "COUNTERSIGN_LOG=info"));
    service.signal(Signal::HUP);
    let mut next = String::new();
    service.said.read_line(&mut next).unwrap();
    assert!(next.contains("takes effect") || next.contains("reloaded"), "{next}");
}

#[test]
fn a_letter_that_a_reload_replaced_while_it_was_read_is_not_signed_and_the_new_one_is() {
    let world = World::in_real_time();
    let letter = include_str!("../../src/domain/letter.txt");
    let shell = Shell::new();
    fs::write(shell.directory.file("letter"), letter).unwrap();
    let public = "COUNTERSIGN_PUBLIC_URL=http://localhost\nCOUNTERSIGN_LETTER=letter\n";
    let mut service = Service::start_in(shell, &world, public);
    let (broker, customer) = service.shell.parties();
    let parties = ["--granting", customer.as_str(), "--authorized", broker.as_str()];
    let link = service.shell.run(&[&["link", "new"], &parties[..]].concat()).ok();
    let page = format!("{}/h/{}", service.url, link.rsplit('/').next().unwrap());
    let sign = |shown: &str| {
        let letter = between(shown, "name=\"letter\" value=\"", "\"");
        post(
            &format!("{page}/sign"),
            &format!("letter={letter}&name=Grace+Hopper&role=Director&consent=yes"),
        )
    };
    let shown = text(&page);
    assert!(shown.contains("version 2026-11"), "{shown}");
    service.write("letter", &letter.replace("2026-11", "2026-12"));
    let said = service.reload();
    assert!(said.contains(r#""settings":"letter""#), "{said}");

    let (first, again) = sign(&shown);
    let (second, _) = sign(&again);

    assert!(first == 409 && again.contains("version 2026-12"), "{first} {again}");
    assert_eq!(second, 303);
    let receipt: Value = serde_json::from_str(&text(&format!("{page}/receipt.json"))).unwrap();
    assert_eq!(receipt["textVersion"], "2026-12");
    assert!(receipt["text"].as_str().unwrap().contains("version 2026-12"), "{receipt}");
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.max_redirects(0).max_redirects_will_error(false).build().into()
}

fn text(url: &str) -> String {
    agent().get(url).call().unwrap().body_mut().read_to_string().unwrap()
}

fn post(url: &str, form: &str) -> (u16, String) {
    let mut answer = agent().post(url).send(form).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

#[test]
fn many_sighups_and_one_while_the_server_stops_do_not_end_it_early() {
    let world = World::in_real_time();
    let mut service = Service::start(&world, "");
    let (broker, customer) = service.shell.parties();
    let key = service.shell.run(&["key", "create", "--org", &broker, "--name", "test"]).ok();
    for _ in 0..50 {
        service.signal(Signal::HUP);
    }
    service.hears("reloaded");
    world.fault(&json!({"path": "/resources/accessTokens", "count": 1, "hangMs": 1_500}));
    let authorization = format!("Bearer {key}");
    let url = format!("{}/v1/organizations/verification", service.url);
    std::thread::scope(|scope| {
        let session = scope.spawn(|| {
            let on_behalf = ("Nxos-On-Behalf-Of", customer.as_str());
            http("POST", &url, &[("Authorization", authorization.as_str()), on_behalf]).0
        });
        while world.applicants(&customer).is_empty() {
            std::thread::yield_now();
        }
        service.signal(Signal::TERM);
        service.hears("stopping");
        service.signal(Signal::HUP);

        assert_eq!(session.join().unwrap(), 200, "a request in flight finishes");
    });
    assert_eq!(service.ends().0, 0);
}

/// A program in a terminal whose window is then closed: its exit code.
fn closed(world: &World, words: &[&str], ready: &str) -> Option<i32> {
    let shell = Shell::new();
    prepare(&shell, world, "");
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    // Opened otherwise, it might become the terminal of the tests themselves.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let end = || rustix::fs::open(&name, flags, Mode::empty());
    let mut command = shell.command(words);
    command.env("COUNTERSIGN_SETTINGS_FILE", "settings").env("TERM", "xterm");
    let program = command.get_program().to_owned();
    let mut session = Command::new("setsid");
    session.arg("--ctty").arg(program).args(words).current_dir(&shell.directory.0).env_clear();
    session.envs(command.get_envs().filter_map(|(name, it)| Some((name, it?))));
    session.stdin(end().unwrap()).stdout(end().unwrap()).stderr(end().unwrap());
    let mut child = session.spawn().unwrap();
    // The command keeps the ends of the terminal that it gave the child.
    drop(session);
    let mut master = fs::File::from(master);
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while !seen.contains(ready) {
        let count = master.read(&mut buffer).unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }

    drop(master);

    child.wait().unwrap().code()
}

#[test]
fn a_window_that_is_closed_ends_what_runs_in_it_in_order() {
    let world = World::in_real_time();
    let ports = ["--port", "0", "--control-port", "0"];

    for (words, ready) in [
        (&["serve"][..], "countersign serves"),
        (&[&["simulator"], &ports[..]].concat(), "WEBHOOK_SECRET"),
        (&["demo"], "Enter opens"),
        // The screen is entered when the signals are held.
        (&["console"], "[?1049h"),
    ] {
        assert_eq!(closed(&world, words, ready), Some(0), "{words:?}");
    }
}

#[test]
fn sighup_ends_the_simulator_and_the_demo_also_without_a_terminal() {
    for words in [&["simulator", "--port", "0", "--control-port", "0"][..], &["demo", "--json"]] {
        let shell = Shell::new();
        let mut child =
            shell.command(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();

        kill_process(Pid::from_child(&child), Signal::HUP).unwrap();

        assert_eq!(child.wait().unwrap().code(), Some(0), "{words:?}");
        assert_eq!(fs::read_dir(&shell.directory.0).unwrap().count(), 0, "nothing is left behind");
    }
}

#[test]
fn a_server_under_nohup_outlives_sighup() {
    let world = World::in_real_time();
    let shell = Shell::new().with(&[("COUNTERSIGN_SETTINGS_FILE", "settings")]);
    let program = env!("CARGO_BIN_EXE_countersign");
    let script = format!("trap '' HUP; exec '{program}' serve");
    prepare(&shell, &world, "");
    let mut service = Service::of(shell, &["sh", "-c", &script]);

    let said = service.reload();

    assert!(said.contains(r#""settings":"none has changed""#), "{said}");
    assert_eq!(service.deliver(WEBHOOK_SECRET), 200);
}

#[test]
fn a_variable_outranks_the_settings_file_by_either_of_its_names() {
    for (variable, of_file) in [
        (("COUNTERSIGN_SUMSUB_APP_TOKEN", "sbx:a.b"), "COUNTERSIGN_SUMSUB_APP_TOKEN_FILE=token"),
        (("COUNTERSIGN_SUMSUB_APP_TOKEN_FILE", "token"), "COUNTERSIGN_SUMSUB_APP_TOKEN=sbx:c.d"),
    ] {
        let shell = Shell::new().with(&[variable, ("COUNTERSIGN_SETTINGS_FILE", "settings")]);
        fs::write(shell.directory.file("token"), "sbx:e.f\n").unwrap();
        fs::write(shell.directory.file("settings"), of_file).unwrap();

        let shown = shell.json(&["config"]);

        let all = shown["settings"].as_array().unwrap();
        let token = all.iter().find(|it| it["name"] == "sumsub-app-token").unwrap();
        let source = token["source"].as_str().unwrap();
        let is_named = variable.0.ends_with("_FILE");
        assert_eq!(source, if is_named { "file token" } else { "environment" }, "{token}");
    }
}

#[test]
fn a_line_of_the_settings_file_that_is_no_setting_is_refused_and_its_secret_not_repeated() {
    for line in [
        "COUNTERSIGN_SUMSUB_SECRET_KEY: S3CRET==",
        "export COUNTERSIGN_SUMSUB_SECRET_KEY=S3CRET",
        "S3CRET",
    ] {
        let shell = Shell::new().with(&[("COUNTERSIGN_SETTINGS_FILE", "settings")]);
        fs::write(shell.directory.file("settings"), format!("\n{line}\n")).unwrap();
        for command in ["config", "doctor", "serve"] {
            let ran = shell.run(&[command]);
            let told = format!("{}{}", ran.out, ran.err);
            assert!(ran.code == 2 && told.contains("line 2 is no NAME=VALUE"), "{told}");
            assert!(!told.contains("S3CRET"), "{told}");
        }
    }
}
