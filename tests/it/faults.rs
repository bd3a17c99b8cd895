//! What happens to machines happens here: kill -9 at random under load, a disk that fails to sync, a
//! disk that is full, no descriptors left, a hundred writers beside a backup. Always the built
//! program, and the real fault.
//!
//! `COUNTERSIGN_TEST_ROUNDS` says how often the random ones are repeated (a few by default). Tests
//! that need another program of the system (`strace`, `mount`) are ignored by default and run by
//! `.ci/run`; `docs/reliability.md` says what they showed.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use countersign::domain::environment::Environment;
use countersign::domain::fold::Verification;
use countersign::domain::organization::OrganizationId;
use countersign::domain::timestamp::Timestamp;
use countersign::store::{Opening, Store, StoreError};
use countersign::sumsub::signature::{DigestAlgorithm, webhook_digest};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::{Value, json};

use crate::cli::{Resident, Shell, lines};
use crate::rig::{Directory, START_MS, WEBHOOK_SECRET, sumsub_instant};

/// How often `/readyz` is asked for what it is about to find: over a second, however fast it answers.
const LOOKS_MAX: u32 = 200_000;
const POLL: &str = "/v1/organizations/verification";

/// A server process over a register of its own, and what is known of it from outside.
struct Machine {
    shell: Shell,
    /// Within the shell's directory, or absolute.
    database: String,
    broker: String,
    authorization: String,
    server: Option<Resident>,
    url: String,
}

/// A client that keeps its connections.
#[derive(Clone)]
struct Caller {
    agent: ureq::Agent,
    authorization: String,
    url: String,
}

/// What was answered; `None`: the connection broke, and nothing was acknowledged.
type Answered = Option<(u16, Value)>;

impl Machine {
    fn new() -> Self {
        Self::on("register.db")
    }

    fn on(database: &str) -> Self {
        let shell = Shell::new().with(&[
            ("COUNTERSIGN_DATABASE", database),
            ("COUNTERSIGN_SUMSUB_URL", "http://127.0.0.1:9"),
            ("COUNTERSIGN_SUMSUB_APP_TOKEN", "sbx:app.token"),
            ("COUNTERSIGN_SUMSUB_SECRET_KEY", "secret-key"),
            ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb-level"),
            ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc-level"),
            ("COUNTERSIGN_REQUESTS_PER_SECOND", "1000000"),
            ("COUNTERSIGN_REQUESTS_BURST", "1000000"),
            ("COUNTERSIGN_ORGANIZATION_RATE", "0"),
        ]);
        let (broker, _) = shell.parties();
        let key = shell.run(&["key", "create", "--org", &broker, "--name", "test"]).ok();
        let authorization = format!("Bearer {key}");
        let database = database.to_owned();
        let (server, url) = (None, String::new());
        let mut it = Self { shell, database, broker, authorization, server, url };
        it.start();
        it
    }

    fn start(&mut self) {
        let mut server = Resident::start(&self.shell, &["serve", "--listen", "127.0.0.1:0"]);
        let told = lines(server.0.stderr.take().unwrap(), 1).remove(0);
        let url = told.split_whitespace().find(|it| it.starts_with("http://"));
        self.url = url.unwrap_or_else(|| panic!("{told}")).to_owned();
        self.server = Some(server);
    }

    fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.0.kill().unwrap();
        server.0.wait().unwrap();
    }

    fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().0.id()
    }

    fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    fn register(&self) -> PathBuf {
        self.shell.directory.file(&self.database)
    }

    fn caller(&self) -> Caller {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        Caller { agent, authorization: self.authorization.clone(), url: self.url.clone() }
    }
}

impl Caller {
    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answered {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut response = self.agent.run(request.body(body).unwrap()).ok()?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    fn create(&self, name: &str, idempotency_key: &str) -> Answered {
        let headers =
            [("Authorization", self.authorization.as_str()), ("Idempotency-Key", idempotency_key)];
        let body = json!({"name": name, "type": "BUSINESS"});
        self.call("POST", "/v1/organizations", &headers, &body)
    }

    /// The id of a new customer.
    fn customer(&self, name: &str) -> String {
        let (status, body) = self.create(name, name).unwrap();
        assert_eq!(status, 200, "{body}");
        id_of(&body)
    }

    fn status(&self, customer: &str) -> String {
        let headers =
            [("Authorization", self.authorization.as_str()), ("Nxos-On-Behalf-Of", customer)];
        let (status, body) = self.call("GET", POLL, &headers, &Value::Null).unwrap();
        assert_eq!(status, 200, "{body}");
        body["status"].as_str().unwrap().to_owned()
    }

    /// Sumsub's verdict on a customer, as its webhook brings it; answers the webhook's status.
    fn verdict(&self, customer: &str, answer: &str, second: i64) -> Option<u16> {
        let mut body = json!({"applicantId": format!("a-{customer}"), "inspectionId": "i",
            "applicantType": "company", "correlationId": "c", "levelName": "kyb-level",
            "sandboxMode": true, "externalUserId": customer, "type": "applicantReviewed",
            "reviewStatus": "completed", "clientId": "acme",
            "createdAtMs": sumsub_instant(Timestamp::from_ms(START_MS + second * 1000))});
        body["reviewResult"] = if answer == "GREEN" {
            json!({"reviewAnswer": "GREEN"})
        } else {
            json!({"reviewAnswer": "RED", "reviewRejectType": "RETRY"})
        };
        let digest = webhook_digest(
            WEBHOOK_SECRET.as_bytes(),
            DigestAlgorithm::Sha256,
            body.to_string().as_bytes(),
        );
        let headers = [
            ("X-Payload-Digest", digest.as_str()),
            ("X-Payload-Digest-Alg", DigestAlgorithm::Sha256.as_str()),
        ];
        self.call("POST", "/webhooks/sumsub", &headers, &body).map(|(status, _)| status)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, &[], &Value::Null).unwrap()
    }

    /// What `/readyz` found is its answer for a second.
    fn waits_until_ready_is(&self, status: u16) {
        let is_so = (0..LOOKS_MAX).any(|_| self.get("/readyz").0 == status);
        assert!(is_so, "/readyz never was {status}");
    }
}

fn id_of(body: &Value) -> String {
    body["organizationId"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

#[expect(clippy::disallowed_methods, reason = "how long to try is the tester's word")]
pub(crate) fn rounds(default: u32) -> u32 {
    std::env::var("COUNTERSIGN_TEST_ROUNDS").map_or(default, |it| it.parse().unwrap())
}

/// Every customer's row is the fold of its facts, and the file is whole.
fn assert_sound(register: &Path, customers: impl IntoIterator<Item = String>) {
    let now = Timestamp::from_ms(START_MS);
    let store = Store::open(register, Environment::Test, Opening::MustExist, now).unwrap();
    for customer in customers {
        let id = OrganizationId::new(&customer);
        let (organization, stored, facts) = store
            .snapshot(|it| {
                Ok::<_, StoreError>((
                    it.organization(&id)?.unwrap(),
                    it.verification(&id)?.unwrap(),
                    it.bare_facts(&id)?,
                ))
            })
            .unwrap();
        assert_eq!(Verification::rebuild(organization.created_at, &facts), stored, "{customer}");
    }
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(register, flags).unwrap();
    let verdict: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

// kill -9.

/// What one client of a server knows when the server is gone.
#[derive(Default)]
struct Known {
    /// Customer, and the statuses it may have: the one acknowledged, and one asked for in vain.
    statuses: HashMap<String, Vec<&'static str>>,
    /// Idempotency key and the acknowledged id.
    created: Vec<(String, Option<String>)>,
}

/// Creates customers and decides on them, until the server no longer answers; ticks at every answer.
fn burden(caller: &Caller, name: &str, tick: &Sender<()>) -> Known {
    let mut known = Known::default();
    for number in 0.. {
        let key = format!("{name}-{number}");
        let created = caller.create(&key, &key).map(|(status, body)| {
            assert_eq!(status, 200, "{body}");
            id_of(&body)
        });
        known.created.push((key, created.clone()));
        let Some(customer) = created else { break };
        tick.send(()).unwrap();
        let allowed = known.statuses.entry(customer.clone()).or_insert(vec!["NOT_STARTED"]);
        for (second, answer, status) in
            [(1, "GREEN", "APPROVED"), (2, "RED", "RESUBMISSION_REQUIRED")]
        {
            match caller.verdict(&customer, answer, second) {
                Some(200) => *allowed = vec![status],
                Some(other) => panic!("{other}"),
                None => {
                    allowed.push(status);
                    return known;
                }
            }
            tick.send(()).unwrap();
        }
    }
    known
}

/// Puts a server under load, kills it at a moment that `seed` picks, and tells what its clients know.
fn killed_under_load(machine: &mut Machine, round: u32, seed: u64) -> Vec<Known> {
    let (tick, ticks) = channel();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (caller, tick) = (machine.caller(), tick.clone());
                scope.spawn(move || burden(&caller, &format!("r{round}-c{client}"), &tick))
            })
            .collect();
        // So many answers, and then anywhere within the next requests.
        let answers = usize::try_from(seed >> 33 & 0xff).unwrap();
        ticks.iter().take(answers + 1).for_each(drop);
        (0..seed >> 41 & 0x1_ffff).for_each(|_| std::hint::spin_loop());
        machine.kill();
        clients.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

#[test]
fn a_kill_at_any_moment_loses_nothing_acknowledged_and_claims_nothing_else() {
    let mut machine = Machine::new();
    let mut seed = u64::from(std::process::id());
    let (mut held, mut healed) = (0, 0);
    for round in 0..rounds(3) {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let known = killed_under_load(&mut machine, round, seed);

        machine.start();

        let caller = machine.caller();
        for client in &known {
            for (customer, allowed) in &client.statuses {
                let found = caller.status(customer);
                assert!(allowed.contains(&found.as_str()), "{customer}: {found}, not {allowed:?}");
                held += 1;
            }
            for (key, id) in client.created.iter().rev().take(2) {
                let (_, body) = caller.create(key, key).unwrap();
                let again = caller.create(key, key).unwrap().1;
                assert_eq!(id_of(&body), id_of(&again), "one key, one organization");
                assert_eq!(id.clone().unwrap_or_else(|| id_of(&body)), id_of(&body));
                healed += usize::from(id.is_none());
            }
        }
        let customers = known.into_iter().flat_map(|it| it.statuses.into_keys());
        assert_sound(&machine.register(), customers);
    }
    assert!(held > 0, "nothing was acknowledged before a kill");
    println!("{held} customers held, {healed} unanswered creations healed by a retry");
}

// Disks.

/// A fault of the system that lasts until this is dropped.
struct Fault(Child);

impl Fault {
    /// Lets the calls on the register's files that `inject` names fail, in a process that runs.
    fn on(machine: &Machine, calls: &str, inject: &str) -> Self {
        let register = machine.register();
        let log = format!("{}-wal", register.display());
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-P"])
            .arg(&register)
            .args(["-P", &log, "-e"])
            .arg(format!("trace={calls}"))
            .arg("-e")
            .arg(format!("inject={calls}:{inject}"))
            .args(["-p", &machine.pid().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        BufReader::new(strace.stderr.as_mut().unwrap()).read_line(&mut told).unwrap();
        assert!(told.contains("attached"), "{told}");
        Self(strace)
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
        self.0.wait().unwrap();
    }
}

/// While a fault lasts: refused writes, answered reads, the truth about readiness.
fn assert_refuses_writes_and_tells_the_truth(caller: &Caller, customer: &str) {
    let (status, body) = caller.create("Refused Ltd.", "refused").unwrap();
    assert!([500, 503].contains(&status), "{status} {body}");
    caller.waits_until_ready_is(503);
    let database = caller.get("/readyz").1["database"].as_str().unwrap().to_owned();
    assert!(["not writable", "disk full"].contains(&database.as_str()), "{database}");
    assert_eq!(caller.verdict(customer, "GREEN", 1), Some(500), "Sumsub is to deliver it again");
    assert_eq!(caller.status(customer), "NOT_STARTED", "what was refused is not told");
    assert_eq!(caller.get("/healthz").0, 200);
}

/// After a fault: what was refused is accepted on its retry, once.
fn assert_recovers(caller: &Caller, customer: &str) {
    caller.waits_until_ready_is(200);
    assert_eq!(caller.verdict(customer, "GREEN", 1), Some(200));
    assert_eq!(caller.status(customer), "APPROVED");
    let (status, body) = caller.create("Refused Ltd.", "refused").unwrap();
    assert_eq!(status, 200, "{body}");
}

const SYNC: &str = "fsync,fdatasync";
const WRITE: &str = "write,pwrite64,pwritev,ftruncate,fallocate";

#[test]
#[ignore = "needs strace"]
fn a_disk_that_fails_to_sync_refuses_writes_answers_polls_and_recovers() {
    for _ in 0..rounds(1) {
        let machine = Machine::new();
        let caller = machine.caller();
        let customer = caller.customer("Acme");

        let fault = Fault::on(&machine, SYNC, "error=EIO");
        assert_refuses_writes_and_tells_the_truth(&caller, &customer);
        drop(fault);

        assert_recovers(&caller, &customer);
        assert_sound(&machine.register(), [customer]);
    }
}

#[test]
#[ignore = "needs strace"]
fn a_write_that_a_failed_sync_refused_is_not_found_after_a_kill() {
    for _ in 0..rounds(1) {
        let mut machine = Machine::new();
        let caller = machine.caller();
        let customer = caller.customer("Acme");
        let fault = Fault::on(&machine, SYNC, "error=EIO");
        assert_eq!(caller.verdict(&customer, "GREEN", 1), Some(500));

        machine.kill();
        drop(fault);
        machine.start();

        assert_eq!(machine.caller().status(&customer), "NOT_STARTED");
        assert_recovers(&machine.caller(), &customer);
        assert_sound(&machine.register(), [customer]);
    }
}

#[test]
#[ignore = "needs strace"]
fn a_disk_that_takes_no_write_refuses_writes_answers_polls_and_recovers() {
    for _ in 0..rounds(1) {
        for error in ["ENOSPC", "EIO", "EDQUOT", "EROFS"] {
            let machine = Machine::new();
            let caller = machine.caller();
            let customer = caller.customer("Acme");

            let fault = Fault::on(&machine, WRITE, &format!("error={error}"));
            assert_refuses_writes_and_tells_the_truth(&caller, &customer);
            drop(fault);

            assert_recovers(&caller, &customer);
            assert_sound(&machine.register(), [customer]);
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn a_disk_that_fails_now_and_then_loses_nothing_acknowledged() {
    for round in 0..rounds(1) {
        // A verdict's commit is some seventy calls: with a shorter period none could succeed.
        for (calls, inject) in [
            (SYNC, "error=EIO:when=5+7"),
            (WRITE, "error=ENOSPC:when=31+167"),
            (WRITE, "error=EIO:when=40+283"),
        ] {
            let mut machine = Machine::new();
            let caller = machine.caller();
            let fault = Fault::on(&machine, calls, inject);
            let mut customers = Vec::new();
            for number in 0..40 {
                let name = format!("r{round}-{number}");
                let (status, body) = caller.create(&name, &name).unwrap();
                if status != 200 {
                    continue;
                }
                let customer = id_of(&body);
                let is_told = caller.verdict(&customer, "GREEN", 1) == Some(200);
                customers.push((customer, if is_told { "APPROVED" } else { "NOT_STARTED" }));
            }
            let holds = |caller: &Caller| {
                for (customer, expected) in &customers {
                    assert_eq!(&caller.status(customer), expected, "{inject}");
                }
            };
            holds(&caller);
            drop(fault);
            holds(&caller);

            machine.kill();
            machine.start();

            holds(&machine.caller());
            assert!(customers.iter().any(|it| it.1 == "APPROVED"), "{inject}: all failed");
            assert!(customers.len() < 40 || customers.iter().any(|it| it.1 != "APPROVED"));
            assert_sound(&machine.register(), customers.into_iter().map(|it| it.0));
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn a_register_that_cannot_be_written_at_start_is_exit_5_and_says_so() {
    let shell = Machine::new().shell;
    for (calls, error) in [(SYNC, "EIO"), (WRITE, "ENOSPC")] {
        let fresh = shell.directory.file(&format!("{error}.db"));
        let output = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-P"])
            .arg(&fresh)
            .arg("-P")
            .arg(format!("{}-wal", fresh.display()))
            .args(["-P", &format!("{}-journal", fresh.display()), "-e"])
            .arg(format!("trace={calls}"))
            .arg("-e")
            .arg(format!("inject={calls}:error={error}"))
            .arg(env!("CARGO_BIN_EXE_countersign"))
            .args(["org", "create", "--name", "Acme", "--type", "BUSINESS", "--database"])
            .arg(&fresh)
            .env("COUNTERSIGN_SUMSUB_URL", "http://127.0.0.1:9")
            .output()
            .unwrap();

        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{error}: {told}");
        assert!(told.contains("the disk has room"), "{error}: {told}");
        assert_eq!(output.stdout, b"");
    }
}

/// A file system of very few bytes.
struct TinyDisk(PathBuf);

impl TinyDisk {
    fn mount(path: PathBuf, size: &str) -> Self {
        std::fs::create_dir(&path).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .status();
        assert!(mount.unwrap().success(), "this test mounts a file system, as root");
        Self(path)
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filling")).unwrap();
        while file.write_all(&[0; 1024]).is_ok() {}
    }

    /// Takes all the room there is, and gives so much of it back.
    fn fill_but(&self, left: u64) {
        self.fill();
        let file = std::fs::File::options().write(true).open(self.0.join("filling")).unwrap();
        let full = file.metadata().unwrap().len();
        file.set_len(full - left).unwrap();
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filling")).unwrap();
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[test]
#[ignore = "needs root, to mount a file system"]
fn a_full_disk_refuses_writes_answers_polls_and_recovers_once_there_is_room() {
    let directory = Directory::new();
    let disk = TinyDisk::mount(directory.file("disk"), "16m");
    for _ in 0..rounds(1) {
        let machine = Machine::on(disk.0.join("register.db").to_str().unwrap());
        let caller = machine.caller();
        let customer = caller.customer("Acme");

        disk.fill();
        // The log has some room within its last page.
        let refused = (0..100_000)
            .map(|it| format!("n{it}"))
            .find(|it| caller.create(it, it).is_none_or(|(status, _)| status != 200));
        assert!(refused.is_some());
        assert_refuses_writes_and_tells_the_truth(&caller, &customer);
        disk.make_room();

        assert_recovers(&caller, &customer);
        assert_sound(&machine.register(), [customer]);
        drop(machine);
        for file in std::fs::read_dir(&disk.0).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
}

#[test]
#[ignore = "needs root, to mount a file system"]
fn a_server_on_a_disk_that_fills_is_not_ready_whenever_a_write_is_refused() {
    let directory = Directory::new();
    let disk = TinyDisk::mount(directory.file("disk"), "16m");
    let machine = Machine::on(disk.0.join("register.db").to_str().unwrap());
    let caller = machine.caller();
    let mut refused = 0;
    for left_kib in [0, 8, 20, 48, 96, 200, 400, 900, 1_800, 3_600] {
        caller.waits_until_ready_is(200);
        disk.fill_but(left_kib * 1024);
        for number in 0..20 {
            let name = format!("k{left_kib}-{number}");
            let (status, _) = caller.create(&name, &name).unwrap();
            if status != 200 {
                refused += 1;
                caller.waits_until_ready_is(503);
                assert_eq!(caller.get("/readyz").1["database"], "disk full");
            }
        }
        // Also while there is room for small writes: the next one may be large.
        caller.waits_until_ready_is(503);
        disk.make_room();
    }

    // Nothing but /readyz is asked for any more.
    caller.waits_until_ready_is(200);
    assert!(refused > 20, "{refused}");
    assert_eq!(caller.create("After", "after").unwrap().0, 200);
}

// Descriptors and signals.

#[test]
fn a_server_out_of_descriptors_goes_on_with_who_is_there_and_takes_new_ones_when_it_can() {
    let machine = Machine::new();
    let caller = machine.caller();
    let customer = caller.customer("Acme");
    let pid = Pid::from_child(&machine.server.as_ref().unwrap().0);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", machine.pid())).unwrap().count();
    let limit = |current: Option<u64>, maximum: Option<u64>| {
        prlimit(Some(pid), Resource::Nofile, Rlimit { current, maximum }).unwrap()
    };

    let full = u64::try_from(open()).unwrap() + 8;
    let before = limit(Some(full), getrlimit(Resource::Nofile).maximum);
    let mut crowd: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(machine.address()).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            stream
        })
        .collect();
    while open() < usize::try_from(full).unwrap() {
        std::thread::yield_now();
    }

    assert_eq!(caller.status(&customer), "NOT_STARTED");
    assert_eq!(caller.verdict(&customer, "GREEN", 1), Some(200), "the register needs none");
    let authorization = [("Authorization", caller.authorization.as_str())];
    let endpoint = json!({"url": "https://example.com/hook"});
    let made = caller.call("POST", "/v1/webhooks/endpoints", &authorization, &endpoint);
    assert_eq!(made.unwrap().0, 200, "a webhook key that cannot be opened is not lost");
    assert_eq!(caller.get("/readyz").1["webhookKey"], "fits");
    limit(before.current, before.maximum);
    for stream in &mut crowd {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200", "they waited, and none was lost");
    }
    assert_eq!(machine.caller().status(&customer), "APPROVED");
}

#[test]
fn a_signal_lets_a_half_sent_request_finish_and_takes_no_new_one() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut machine = Machine::new();
        let body = json!({"name": "Half Sent Ltd.", "type": "BUSINESS"}).to_string();
        let mut half = BufReader::new(TcpStream::connect(machine.address()).unwrap());
        let head = format!(
            "POST /v1/organizations HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\n\
             Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            machine.authorization,
            body.len()
        );
        half.get_mut().write_all(head.as_bytes()).unwrap();
        let mut told = String::new();
        half.read_line(&mut told).unwrap();
        assert_eq!(told, "HTTP/1.1 100 Continue\r\n");

        kill_process(Pid::from_child(&machine.server.as_ref().unwrap().0), signal).unwrap();
        while TcpStream::connect(machine.address()).is_ok() {
            std::thread::yield_now();
        }
        half.get_mut().write_all(body.as_bytes()).unwrap();

        let mut rest = String::new();
        half.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("HTTP/1.1 200 OK\r\n"), "{rest}");
        assert!(rest.contains("\r\nConnection: close\r\n"), "{rest}");
        let ended = machine.server.take().unwrap().0.wait().unwrap();
        assert_eq!(ended.code(), Some(0));
        let id = rest.split('"').find(|it| it.starts_with("org_")).unwrap().to_owned();
        assert!(machine.shell.run(&["org", "show", &id]).ok().contains("Half Sent Ltd."));
    }
}

// Neighbours.

#[test]
fn a_hundred_writers_a_backup_and_the_command_line_never_find_the_register_locked() {
    let machine = Machine::new();
    let done = AtomicBool::new(false);
    let is_done = || done.load(Ordering::SeqCst);
    let written: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..100)
            .map(|writer| {
                let (caller, is_done) = (machine.caller(), &is_done);
                scope.spawn(move || {
                    let mut count = 0_usize;
                    while !is_done() {
                        caller.customer(&format!("w{writer}-{count}"));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        // Another process that copies the register over and over, and one that folds its log.
        let neighbour = |work: fn(&rusqlite::Connection, &Path)| {
            let (register, is_done) = (machine.register(), &is_done);
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
            move || {
                let connection = rusqlite::Connection::open_with_flags(&register, flags).unwrap();
                while !is_done() {
                    work(&connection, &register);
                }
            }
        };
        scope.spawn(neighbour(|connection, register| {
            let copy = register.with_extension("copy");
            connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
            std::fs::remove_file(copy).unwrap();
        }));
        scope.spawn(neighbour(|connection, _| {
            connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
                .unwrap();
        }));
        let shell = &machine.shell;
        let (broker, commands) = (machine.broker.as_str(), rounds(3));
        let operators: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    for _ in 0..commands {
                        let create = ["org", "create", "--name", "Beside", "--type", "BUSINESS"];
                        let id = shell.run(&[&create[..], &["--created-by", broker]].concat()).ok();
                        shell.run(&["org", "show", &id]).ok();
                    }
                })
            })
            .collect();
        let operators: Vec<_> =
            operators.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        for it in operators {
            it.unwrap();
        }
        writers.into_iter().map(|it| it.join().unwrap()).sum()
    });

    assert!(written > 0);
    println!("{written} writes over HTTP beside them");
}
