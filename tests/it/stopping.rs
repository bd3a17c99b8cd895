//! A register that nobody has open any more is one file: after a stop, a failed start, a command. Always
//! the built program; of what it leaves behind, the file alone is looked at.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::store::{Folded, StoreError};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cli::{RECEIVERS, Resident, Shell, http};
use crate::crash;
use crate::faults::rounds;
use crate::receiver::Receiver;
use crate::rig::{Directory, Rig};
use crate::sumsub::World;

const REGISTER: &str = "countersign.db";

/// A server that writes its log into a file, and what its clients may do.
struct Served {
    shell: Shell,
    server: Resident,
    url: String,
    authorization: String,
    customer: String,
}

impl Served {
    fn start(shell: Shell) -> Self {
        let shell = shell.with(&[
            RECEIVERS,
            ("COUNTERSIGN_BACKUP_DIRECTORY", "kept"),
            ("COUNTERSIGN_METRICS_LISTEN", "127.0.0.1:0"),
            ("COUNTERSIGN_REQUESTS_PER_SECOND", "1000000"),
            ("COUNTERSIGN_REQUESTS_BURST", "1000000"),
            ("COUNTERSIGN_ORGANIZATION_RATE", "0"),
        ]);
        let (broker, customer) = shell.parties();
        let key = shell.run(&["key", "create", "--org", &broker, "--name", "test"]).ok();
        let mut command = shell.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.stderr(File::create(shell.directory.file("log")).unwrap());
        let server = Resident(command.spawn().unwrap());
        let mut it = Self {
            shell,
            server,
            url: String::new(),
            authorization: format!("Bearer {key}"),
            customer,
        };
        while it.url.is_empty() {
            assert!(it.server.0.try_wait().unwrap().is_none(), "{}", it.log());
            let log = it.log();
            let url = log.split_whitespace().find(|it| it.starts_with("http://"));
            it.url = url.filter(|_| log.contains('\n')).unwrap_or_default().to_owned();
            std::thread::yield_now();
        }
        it
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.shell.directory.file("log")).unwrap()
    }

    fn register(&self) -> PathBuf {
        self.shell.directory.file(REGISTER)
    }

    /// Status and body; `None`: the connection broke.
    fn call(
        &self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &Value,
    ) -> Option<(u16, Value)> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(90)))
            .build()
            .into();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", &self.authorization)
            .header("Content-Type", "application/json");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut response = agent.run(request.body(body).unwrap()).ok()?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// The id of a new customer, if that was acknowledged.
    fn create(&self) -> Option<String> {
        let body = json!({"name": "Acme Ltd.", "type": "BUSINESS"});
        let (status, body) = self.call("POST", "/v1/organizations", &[], &body)?;
        (status == 200).then(|| body["organizationId"].as_str().unwrap().to_owned())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server.0), signal).unwrap();
    }

    /// Signals, once so many customers have been acknowledged; answers all that were, in the end.
    fn stop_under_load(&mut self, signal: Signal, at: usize) -> Vec<String> {
        let (acknowledged, count) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let served = &*self;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(id) = served.create() {
                        acknowledged.lock().unwrap().push(id);
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            while count.load(Ordering::SeqCst) < at {
                std::thread::yield_now();
            }
            served.signal(signal);
        });
        acknowledged.into_inner().unwrap()
    }

    fn ends(&mut self) -> Option<i32> {
        self.server.0.wait().unwrap().code()
    }
}

/// Bytes of the log beside a register.
fn log_bytes(register: &Path) -> u64 {
    let mut log = register.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).map_or(0, |it| it.len())
}

/// Opens a copy of files, in a directory of its own, and finds every one of these organizations.
#[track_caller]
fn assert_copy_holds(register: &Path, endings: &[&str], organizations: &[String]) {
    let elsewhere = Directory::new();
    let name = register.file_name().unwrap().to_str().unwrap();
    for ending in endings {
        let name = format!("{name}{ending}");
        std::fs::copy(register.with_file_name(&name), elsewhere.file(&name)).unwrap();
    }
    let copy = rusqlite::Connection::open_with_flags(
        elsewhere.file(name),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE,
    )
    .unwrap();
    let mut find = copy.prepare("SELECT 1 FROM organization WHERE organization_id = ?1").unwrap();
    for id in organizations {
        assert!(find.exists([id]).unwrap(), "{id} of {}", organizations.len());
    }
    let verdict: String = copy.query_row("PRAGMA integrity_check", [], |it| it.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

#[track_caller]
fn assert_one_file(register: &Path, organizations: &[String]) {
    assert_eq!(log_bytes(register), 0, "the log is not folded");
    assert_copy_holds(register, &[""], organizations);
}

/// The names of half-made backups.
fn half_made(shell: &Shell) -> Vec<String> {
    let kept = std::fs::read_dir(shell.directory.file("kept")).unwrap();
    let names = kept.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|it| it.contains("partial")).collect()
}

fn quiet() -> Shell {
    Shell::new().with(&[
        ("COUNTERSIGN_SUMSUB_URL", "http://127.0.0.1:9"),
        ("COUNTERSIGN_SUMSUB_APP_TOKEN", "sbx:app.token"),
        ("COUNTERSIGN_SUMSUB_SECRET_KEY", "secret-key"),
        ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "the-webhook-secret"),
        ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb-level"),
        ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc-level"),
    ])
}

#[test]
fn the_file_of_a_stopped_server_alone_holds_everything_that_was_acknowledged() {
    for round in 0..rounds(4) {
        let mut served = Served::start(quiet());

        let signal = if round % 2 == 0 { Signal::TERM } else { Signal::INT };
        let acknowledged = served.stop_under_load(signal, 40);

        assert_eq!(served.ends(), Some(0), "{}", served.log());
        assert!(acknowledged.len() >= 40);
        assert_one_file(&served.register(), &acknowledged);
        assert_eq!(half_made(&served.shell), [""; 0]);
        assert!(served.log().contains("its file holds everything"), "{}", served.log());
    }
}

#[test]
fn what_outlasts_the_grace_of_a_stop_leaves_nothing_in_the_log() {
    let world = World::in_real_time();
    let receiver = Receiver::start();
    receiver.hold();
    let mut served = Served::start(crash::shell(&world));
    let body = json!({"url": receiver.url});
    let (_, endpoint) = served.call("POST", "/v1/webhooks/endpoints", &[], &body).unwrap();
    let test = format!("/v1/webhooks/endpoints/{}/test", endpoint["id"].as_str().unwrap());
    assert!(served.call("POST", &test, &[], &Value::Null).unwrap().0 < 300);
    world.fault(&json!({"path": "/resources/accessTokens", "count": 9, "hangMs": 60_000}));
    while receiver.count() == 0 {
        std::thread::yield_now();
    }
    let poll = "/v1/organizations/verification";
    let own = [("Prefer", "wait=60"), ("If-None-Match", "*")];
    let waiting = || served.call("GET", poll, &own, &Value::Null);
    let session = || {
        let on_behalf = [("Nxos-On-Behalf-Of", served.customer.as_str())];
        served.call("POST", poll, &on_behalf, &Value::Null)
    };

    let (waited, acknowledged) = std::thread::scope(|scope| {
        let waits: Vec<_> = (0..4).map(|_| scope.spawn(waiting)).collect();
        scope.spawn(session);
        while world.applicants(&served.customer).is_empty() {
            std::thread::yield_now();
        }
        let acknowledged: Vec<String> = (0..20).filter_map(|_| served.create()).collect();
        served.signal(Signal::TERM);
        (waits.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>(), acknowledged)
    });

    assert_eq!(served.ends(), Some(0), "{}", served.log());
    assert!(waited.iter().flatten().count() == 4, "whoever waited was answered: {waited:?}");
    assert_eq!(acknowledged.len(), 20);
    assert_one_file(&served.register(), &acknowledged);
    assert!(served.log().contains("webhooks were cut off by the stop"), "{}", served.log());
}

#[test]
fn a_backup_under_way_is_given_up_at_a_stop_and_leaves_nothing() {
    let shell = quiet();
    shell.parties();
    let big = rusqlite::Connection::open_with_flags(
        shell.directory.file(REGISTER),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE,
    )
    .unwrap();
    for number in 0..256 {
        big.execute(
            "INSERT INTO delivery (body_sha256, body, headers, received_at_ms)
             VALUES (randomblob(32), randomblob(1048576), '[]', ?1)",
            [number],
        )
        .unwrap();
    }
    drop(big);

    let mut served = Served::start(shell);
    let kept = served.shell.directory.file("kept");
    while !kept.exists() || half_made(&served.shell).is_empty() {
        std::thread::yield_now();
    }
    let acknowledged = [served.create().unwrap()];
    served.signal(Signal::TERM);

    assert_eq!(served.ends(), Some(0), "{}", served.log());
    assert!(served.log().contains("the backup under way was given up"), "{}", served.log());
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 0, "nothing is left of it");
    assert_one_file(&served.register(), &acknowledged);
}

#[test]
fn a_stop_beside_another_reader_ends_and_says_that_the_log_belongs_to_the_register() {
    let mut served = Served::start(quiet());
    let reader = rusqlite::Connection::open_with_flags(
        served.register(),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM organization;").unwrap();

    let acknowledged = served.stop_under_load(Signal::TERM, 40);

    assert_eq!(served.ends(), Some(0), "{}", served.log());
    assert!(served.log().contains("another process still reads from its log"), "{}", served.log());
    assert!(log_bytes(&served.register()) > 0);
    assert_copy_holds(&served.register(), &["", "-wal"], &acknowledged);
    // Whoever is the last to use the register folds it.
    drop(reader);
    served.shell.run(&["org", "list"]).ok();
    assert_one_file(&served.register(), &acknowledged);
}

#[test]
fn a_second_signal_cuts_off_what_is_in_flight_and_nothing_that_was_acknowledged() {
    let mut served = Served::start(quiet());
    let acknowledged: Vec<String> = (0..20).filter_map(|_| served.create()).collect();
    // A request that never ends keeps the first signal's grace going.
    let mut half =
        BufReader::new(TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap());
    let head = format!(
        "POST /v1/organizations HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n",
        served.authorization
    );
    half.get_mut().write_all(head.as_bytes()).unwrap();
    let mut told = String::new();
    half.read_line(&mut told).unwrap();
    assert_eq!(told, "HTTP/1.1 100 Continue\r\n");

    served.signal(Signal::TERM);
    while !served.log().contains("\"stopping\"") {
        std::thread::yield_now();
    }
    served.signal(Signal::TERM);

    assert_eq!(served.ends(), Some(1), "{}", served.log());
    assert!(served.log().contains("as a second signal asked for"), "{}", served.log());
    let mut rest = String::new();
    assert!(!half.read_to_string(&mut rest).is_ok_and(|_| rest.contains("200 OK")));
    assert_eq!(acknowledged.len(), 20);
    assert_one_file(&served.register(), &acknowledged);
}

#[test]
fn a_start_that_fails_halfway_leaves_no_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in [
        ["serve", "--listen", address.as_str(), "--metrics-listen", "127.0.0.1:0"],
        ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", address.as_str()],
    ] {
        let shell = quiet().with(&[("COUNTERSIGN_BACKUP_DIRECTORY", "kept")]);

        let told = shell.run(&arguments).refused(1);

        assert!(told.contains("choose another address"), "{told}");
        assert_one_file(&shell.directory.file(REGISTER), &[]);
    }
}

#[test]
fn a_register_is_closed_under_a_request_that_does_not_end_and_takes_nothing_more() {
    let rig = Rig::new();
    let store = &rig.appliance.store;
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            store.snapshot(|register| {
                register.newest_known()?;
                begun.send(()).unwrap();
                ended.recv().unwrap_err();
                Ok::<_, StoreError>(())
            })
        });
        has_begun.recv().unwrap();
        let broker = rig.broker();

        // Its snapshot is from before the broker was made, so the log cannot be folded beyond that.
        let folded = store.close(Duration::ZERO);

        assert!(matches!(folded, Some(Folded::Not(None))), "{folded:?}");
        assert!(matches!(store.read(|it| it.newest_known()), Err(StoreError::Closed)));
        assert!(matches!(store.is_writable(), Err(StoreError::Closed)));
        assert!(store.close(Duration::ZERO).is_none(), "once");
        assert_copy_holds(&rig.directory.file("register.db"), &["", "-wal"], &[broker.id]);
        drop(end);
    });
}

#[test]
fn no_command_leaves_a_log() {
    let shell = quiet();
    let register = shell.directory.file(REGISTER);
    let (broker, customer) = shell.parties();
    std::fs::create_dir(shell.directory.file("kept")).unwrap();
    let parties = ["--granting", customer.as_str(), "--authorized", broker.as_str()];
    let evidence = ["--signer-name", "Jo", "--signer-role", "CEO", "--how", "paper"];
    let commands: [&[&str]; 14] = [
        &["org", "list"],
        &["org", "show", &customer],
        &["key", "create", "--org", &broker, "--name", "a"],
        &[&["loa", "sign"], &parties[..], &evidence, &["--reference", "vault/1"]].concat(),
        &["loa", "list", "--org", &broker],
        &[&["explain"], &parties[..]].concat(),
        &["verification", "hold", &customer, "--reason", "ticket 1"],
        &["verification", "show", &customer],
        &["inbox", "list"],
        &["backup", "kept"],
        &["verify"],
        &["migrate", "--plan"],
        &["reconcile", "--dry-run"],
        &["doctor"],
    ];
    for command in commands {
        let ran = shell.run(command);
        assert_ne!(ran.code, 2, "{command:?}: {}", ran.err);
        assert_eq!(log_bytes(&register), 0, "{command:?}");
    }
    assert_one_file(&register, &[broker, customer]);
}

#[test]
fn a_demo_leaves_its_register_in_one_file() {
    let shell = Shell::new();
    let mut demo = Resident::start(&shell, &["demo", "--json", "--directory", "stage"]);
    let mut line = String::new();
    BufReader::new(demo.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let customer = told["customers"][0]["organizationId"].as_str().unwrap().to_owned();
    assert_eq!(http("GET", &format!("{}/readyz", told["api"].as_str().unwrap()), &[]).0, 200);

    assert_eq!(demo.terminate(), 0);

    assert_one_file(&shell.directory.file("stage/countersign.db"), &[customer]);
}

#[test]
fn the_doctor_tells_of_a_log_that_a_killed_server_left_and_the_next_command_folds_it() {
    let served = Served::start(quiet());
    let acknowledged: Vec<String> = (0..20).filter_map(|_| served.create()).collect();
    let (register, shell) = (served.register(), served.shell);
    crash::kill(served.server);
    assert!(log_bytes(&register) > 0);
    assert_copy_holds(&register, &["", "-wal"], &acknowledged);

    let told = shell.run(&["doctor"]).out;

    assert!(told.contains("and nobody serves it. Copy both"), "{told}");
    shell.run(&["org", "list"]).ok();
    assert_one_file(&register, &acknowledged);
    assert!(!shell.run(&["doctor"]).out.contains("nobody serves it"));
}

#[test]
fn a_stop_after_the_register_was_removed_says_that_it_was_and_not_that_all_is_well() {
    let mut served = Served::start(quiet());
    served.create().unwrap();
    std::fs::remove_file(served.register()).unwrap();
    served.signal(Signal::TERM);

    assert_eq!(served.ends(), Some(0), "{}", served.log());
    assert!(
        served.log().contains("was moved away or removed under this process"),
        "{}",
        served.log()
    );
    assert!(!served.log().contains("its file holds everything"), "{}", served.log());
}
