//! The webhook key's file: who creates it, what is said while it is lost or another one, what goes on
//! meanwhile, and what heals it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign::api::{Api, ApiSettings};
use countersign::domain::environment::Environment;
use countersign::domain::letter::{LetterTemplate, STANDARD_LETTER};
use countersign::http::Request;
use countersign::usecase::decide::Decision;
use countersign::usecase::deliver_events::{Courier, deliver_due};
use countersign::usecase::restore::{Overwrite, restore};
use countersign::usecase::scheduled_backups::{BackupPlan, back_up_if_due};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::backup::{database, names, register};
use crate::cli::{Resident, Shell, lines};
use crate::crash::{serve, shell};
use crate::outgoing::{endpoint, wait_until};
use crate::receiver::Receiver;
use crate::rig::{Broker, DAY_MS, Directory, Rig, Setup};
use crate::sumsub::World;

const FOREIGN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
/// Longer than a look at the key holds.
const LATER_MS: i64 = 5_000;

/// A broker with an endpoint whose messages arrive, and a customer.
struct Post {
    rig: Rig,
    broker: Broker,
    customer: String,
    receiver: Receiver,
    endpoint: String,
}

impl Post {
    fn new() -> Self {
        let rig = Rig::new();
        let broker = rig.broker();
        let customer = rig.customer(&broker, "BUSINESS");
        let receiver = Receiver::start();
        let endpoint = endpoint(&rig, &broker, &receiver.url);
        Self { rig, broker, customer, receiver, endpoint }
    }

    fn key(&self) -> PathBuf {
        self.rig.directory.file("register.db.webhook-key")
    }

    /// Something to tell the receiver.
    fn happens(&self) {
        let held = self.rig.decide(&self.customer, Decision::Hold);
        held.or_else(|_| self.rig.decide(&self.customer, Decision::Approve)).unwrap();
    }

    fn deliver(&self) -> u32 {
        deliver_due(&self.rig.appliance).unwrap()
    }

    fn ready(&self) -> String {
        let ready = self.rig.call("GET", "/readyz", &[], b"");
        assert_eq!(ready.status, 200, "{ready:?}");
        ready.text("/webhookKey").to_owned()
    }

    fn metric(&self, name: &str) -> String {
        let api = Api::new(Arc::clone(&self.rig.appliance), ApiSettings::default());
        let request = Request {
            method: "GET".to_owned(),
            target: "/metrics".to_owned(),
            ..Request::default()
        };
        let text = String::from_utf8(api.handle_metrics(&request).body).unwrap();
        let line = text.lines().find_map(|it| it.strip_prefix(&format!("countersign_{name} ")));
        line.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    }

    fn at(&self, rest: &str) -> String {
        format!("/v1/webhooks/endpoints/{}{rest}", self.endpoint)
    }

    fn get(&self, rest: &str) -> crate::rig::Answer {
        self.rig.get(&self.at(rest), &self.broker.key, None)
    }

    fn post(&self, path: &str, body: &Value) -> crate::rig::Answer {
        self.rig.post(path, &self.broker.key, None, body)
    }

    fn newest(&self) -> Value {
        self.get("/deliveries?limit=1").body["data"][0].clone()
    }
}

/// The three ways in which a key goes wrong, each with the word for it.
fn spoilt() -> [(Option<&'static str>, &'static str); 3] {
    [(None, "missing"), (Some("not a key\n"), "missing"), (Some(FOREIGN), "other")]
}

fn spoil(key: &Path, with: Option<&str>) {
    match with {
        None => fs::remove_file(key).unwrap(),
        Some(text) => fs::write(key, text).unwrap(),
    }
}

#[test]
fn a_key_that_goes_wrong_under_a_running_server_is_reported_and_costs_no_receiver_its_endpoint() {
    for (with, word) in spoilt() {
        let post = Post::new();
        let right = fs::read(post.key()).unwrap();
        assert_eq!(
            (post.ready(), post.metric("webhook_key_unfit_endpoints")),
            ("fits".into(), "0".into())
        );
        post.happens();
        spoil(&post.key(), with);

        assert_eq!(post.deliver(), 0, "what cannot be signed is not tried");
        assert_eq!(post.ready(), word);
        assert_eq!(post.metric("webhook_key_unfit_endpoints"), "1");
        // Longer than any receiver may fail, and than the schedule of attempts.
        for _ in 0..20 {
            post.rig.advance(DAY_MS / 2);
            assert_eq!(post.deliver(), 0);
        }
        let waiting = post.newest();
        assert_eq!((&waiting["status"], &waiting["attempts"]), (&json!("PENDING"), &json!([])));
        let shown = post.get("");
        assert_eq!(shown.body["disabled"], false);
        assert_eq!(post.rig.status(&post.broker.key, &post.customer), "ON_HOLD", "polls go on");
        assert_eq!(post.get("/secret").refusal(), (409, "webhook_secret_unavailable"));

        fs::write(post.key(), right).unwrap();
        post.rig.advance(LATER_MS);

        assert_eq!(post.deliver(), 1);
        let secret = post.get("/secret").text("/secret").to_owned();
        assert!(post.receiver.take().remove(0).is_signed_with(&secret));
        assert_eq!(post.newest()["status"], "DELIVERED");
        assert_eq!(
            (post.ready(), post.metric("webhook_key_unfit_endpoints")),
            ("fits".into(), "0".into())
        );
    }
}

#[test]
fn without_its_key_no_secret_is_created_and_the_refusal_says_whom_to_ask() {
    for with in [None, Some("not a key\n")] {
        let post = Post::new();
        spoil(&post.key(), with);

        let new = json!({"url": "https://example.com/hook"});
        for path in ["/v1/webhooks/endpoints".to_owned(), post.at("/secret/rotate")] {
            let body = if path.ends_with("rotate") { json!({}) } else { new.clone() };
            let refused = post.post(&path, &body);
            assert_eq!(refused.refusal(), (409, "webhook_secret_unavailable"), "{path}");
            assert!(refused.text("/error/message").contains("operator"), "{refused:?}");
        }

        assert_eq!(fs::read_to_string(post.key()).ok().as_deref(), with, "no key was created");
        assert_eq!(
            post.rig.get("/v1/webhooks/endpoints", &post.broker.key, None).body["data"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }
}

#[test]
fn a_rotation_heals_an_endpoint_under_another_key() {
    let post = Post::new();
    let other = endpoint(&post.rig, &post.broker, "https://example.com/hook");
    spoil(&post.key(), Some(FOREIGN));
    assert_eq!(post.metric("webhook_key_unfit_endpoints"), "2");

    assert_eq!(post.post(&post.at("/secret/rotate"), &json!({})).status, 200);

    post.rig.advance(LATER_MS);
    assert_eq!(post.metric("webhook_key_unfit_endpoints"), "1");
    post.happens();
    assert_eq!(post.deliver(), 1, "the other one waits");
    assert!(post.receiver.take().remove(0).is_signed_with(post.get("/secret").text("/secret")));
    crate::outgoing::delete(&post.rig, &post.broker, &format!("/v1/webhooks/endpoints/{other}"));
    post.rig.advance(LATER_MS);
    assert_eq!(post.ready(), "fits", "a deleted endpoint needs no key");
}

#[test]
fn a_running_courier_sends_what_waited_once_the_file_is_put_back() {
    let post = Post::new();
    let right = fs::read(post.key()).unwrap();
    spoil(&post.key(), None);
    let courier = Courier::start(Arc::clone(&post.rig.appliance)).unwrap();
    post.happens();
    wait_until(&|| post.ready() == "missing");

    fs::write(post.key(), right).unwrap();
    post.rig.advance(61_000);

    wait_until(&|| post.receiver.count() == 1);
    courier.stop(std::time::Duration::from_secs(5));
}

#[test]
fn customers_are_verified_while_the_key_is_lost() {
    let letter = LetterTemplate::parse(STANDARD_LETTER).unwrap();
    let world =
        World::with(crate::sumsub::kind(), Setup { letter: Some(letter), ..Setup::default() });
    let rig = &world.rig;
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    endpoint(rig, &broker, "https://example.com/hook");
    let key = rig.directory.file("register.db.webhook-key");
    let right = fs::read(&key).unwrap();
    let session = || {
        let answer = rig.start_session(&broker.key, Some(&customer));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("/url").strip_prefix(&rig.url).unwrap().to_owned()
    };
    let page = |path: &str| rig.call("GET", path, &[], b"").status;
    let before = session();
    fs::remove_file(&key).unwrap();

    let meanwhile = [session(), session()];

    assert!(meanwhile[0] != meanwhile[1] && !meanwhile.contains(&before));
    for path in meanwhile.iter().chain([&before]) {
        assert_eq!(page(path), 200, "{path}");
    }
    assert!(!key.exists());
    fs::write(&key, right).unwrap();
    assert_eq!(session(), before, "the right key, the first link");
}

#[test]
fn commands_that_read_create_no_key() {
    let (shell, broker, customer) = register();
    let endpoints = shell.json(&["webhook", "list"]);
    let endpoint = endpoints["data"][0]["id"].as_str().unwrap().to_owned();
    fs::remove_file(key_of(&shell)).unwrap();
    let parties = ["--granting", customer.as_str(), "--authorized", broker.as_str()];

    for command in [
        &["org", "list"][..],
        &["org", "show", &customer],
        &["key", "list", "--org", &broker],
        &["loa", "list"],
        &["link", "list"],
        &[&["explain"], &parties[..]].concat(),
        &["verification", "show", &customer],
        &["verification", "history", &customer],
        &["inbox", "list"],
        &["webhook", "list"],
        &["webhook", "deliveries", &endpoint],
        &["webhook", "secret", &endpoint],
        &["webhook", "key"],
        &["webhook", "test", &endpoint],
        &["verification", "approve", &customer, "--reason", "ticket 3"],
        &["org", "create", "--name", "New", "--type", "BUSINESS"],
        &["webhook", "create", "--org", &broker, "--url", "http://127.0.0.1:9/other"],
        &["webhook", "rotate", &endpoint],
        &["backup", "copy.db"],
        &["verify"],
        &["verify", "copy.db"],
        &["migrate", "--plan"],
        &["migrate"],
        &["doctor"],
        &["config"],
    ] {
        let ran = shell.run(command);
        let refused = matches!(command, ["webhook", "secret" | "create" | "rotate", ..]);
        let code = i32::from(refused || command == ["doctor"]);
        assert_eq!(ran.code, code, "{command:?}: {ran:?}");
        let both_ways = ran.err.contains("from a backup") && ran.err.contains("webhook key --new");
        assert!(!refused || both_ways, "{command:?}: {ran:?}");
        let keys: Vec<String> =
            names(&shell.directory.0).into_iter().filter(|it| it.contains("webhook-key")).collect();
        assert_eq!(keys, [""; 0], "{command:?}");
    }
}

fn key_of(shell: &Shell) -> PathBuf {
    shell.directory.file("countersign.db.webhook-key")
}

/// A register that came without its key, as a replica does, and has no endpoints.
#[test]
fn a_register_without_endpoints_gets_a_key_when_something_first_needs_one() {
    let shell = Shell::new().with(&[crate::cli::RECEIVERS]);
    let (broker, _) = shell.parties();
    assert!(key_of(&shell).exists(), "a new register has one");
    fs::remove_file(key_of(&shell)).unwrap();
    shell.run(&["org", "list"]).ok();
    shell.parties();
    assert!(!key_of(&shell).exists());

    let url = ["--url", "http://127.0.0.1:9/hook"];
    shell.run(&[&["webhook", "create", "--org", &broker], &url[..]].concat()).ok();

    assert_eq!(shell.json(&["webhook", "key"])["state"], "fits");
}

#[test]
fn a_lost_key_is_replaced_on_an_operators_word_and_rotations_heal() {
    for (with, word) in spoilt() {
        let (shell, ..) = register();
        let endpoint =
            shell.json(&["webhook", "list"])["data"][0]["id"].as_str().unwrap().to_owned();
        spoil(&key_of(&shell), with);
        let shown = shell.json(&["webhook", "key"]);
        assert_eq!((&shown["state"], &shown["unfitEndpoints"]), (&json!(word), &json!([endpoint])));
        let told = shell.run(&["webhook", "key"]);
        assert!(told.out.contains(&endpoint) && told.err.contains("from a backup"), "{told:?}");

        let refused = shell.run(&["webhook", "key", "--new"]).refused(1);
        assert!(
            refused.contains("all 1 webhook endpoints") && refused.contains("--yes"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(key_of(&shell)).ok().as_deref(), with);
        let made = shell.json(&["webhook", "key", "--new", "--yes"]);

        assert_eq!(made["state"], "other");
        let kept = made["keptAs"].as_str();
        assert_eq!(
            kept.map(|it| fs::read_to_string(shell.directory.file(it)).unwrap()).as_deref(),
            with
        );
        shell.run(&["webhook", "rotate", &endpoint]).ok();
        assert_eq!(shell.json(&["webhook", "key"])["state"], "fits");
        assert!(shell.run(&["webhook", "secret", &endpoint]).ok().starts_with("whsec_"));
    }
}

#[test]
fn a_key_that_fits_is_not_replaced_without_a_word_of_what_that_breaks() {
    let (shell, ..) = register();
    let before = fs::read(key_of(&shell)).unwrap();

    let refused = shell.run(&["webhook", "key", "--new"]).refused(1);

    assert!(refused.contains("1 of them fit the present key"), "{refused}");
    assert_eq!(fs::read(key_of(&shell)).unwrap(), before);
}

/// The backups in a directory, each with how its key fits.
fn kept(shell: &Shell) -> Vec<String> {
    let of = |it: &String| {
        shell.json(&["verify", &format!("kept/{it}")])["webhookKey"].as_str().unwrap().to_owned()
    };
    names(&shell.directory.file("kept")).iter().filter(|it| it.ends_with("Z.db")).map(of).collect()
}

#[test]
fn a_backup_without_the_right_key_pushes_no_good_one_out() {
    for (with, word) in spoilt() {
        let (shell, ..) = register();
        fs::create_dir(shell.directory.file("kept")).unwrap();
        let back_up = || shell.run(&["backup", "kept", "--keep", "1"]);
        back_up().ok();
        let right = fs::read(key_of(&shell)).unwrap();
        spoil(&key_of(&shell), with);

        for _ in 0..3 {
            let ran = back_up();
            assert!(
                ran.err.contains("WARNING") && ran.err.contains("webhook key --new"),
                "{ran:?}"
            );
            ran.ok();
            assert_eq!(kept(&shell), ["fits", word], "the good one, and one that is not");
        }

        fs::write(key_of(&shell), right).unwrap();
        back_up().ok();
        assert_eq!(kept(&shell), ["fits"]);
    }
}

#[test]
fn scheduled_backups_without_the_right_key_are_counted_and_keep_the_good_ones() {
    let post = Post::new();
    let directory = Directory::new();
    let plan = BackupPlan { directory: directory.file("kept"), every_ms: 3_600_000, keep: 1 };
    let back_up = || {
        post.rig.advance(3_600_000);
        back_up_if_due(&post.rig.appliance, &plan).unwrap().unwrap()
    };
    let good = back_up();
    spoil(&post.key(), None);

    let (first, second) = (back_up(), back_up());

    assert_eq!((first.removed, second.removed), (vec![], vec![first.path]));
    assert!(good.path.exists());
    assert_eq!(post.metric("backups_made"), "3");
    assert_eq!(post.metric("backups_without_key"), "2");
}

#[test]
fn a_restore_keeps_the_key_that_fits() {
    let (shell, ..) = register();
    shell.run(&["backup", "copy.db"]).ok();
    let beside = shell.directory.file("copy.db.webhook-key");
    let right = fs::read(key_of(&shell)).unwrap();

    for with in ["not a key\n", FOREIGN] {
        fs::write(&beside, with).unwrap();
        assert_eq!(shell.json(&["restore", "copy.db", "--force"])["webhookKey"], "fits", "{with}");
        assert_eq!(fs::read(key_of(&shell)).unwrap(), right);
    }
}

#[test]
fn doctor_finds_a_key_that_does_not_fit() {
    for (with, _) in spoilt() {
        let (shell, ..) = register();
        let finding = || {
            let ran = shell.run(&["doctor", "--json"]);
            let diagnosis: Value = serde_json::from_str(&ran.out).unwrap();
            let findings = diagnosis["findings"].as_array().unwrap().clone();
            findings.into_iter().find(|it| it["check"] == "webhook key").unwrap()
        };
        assert_eq!(finding()["severity"], "fine");
        spoil(&key_of(&shell), with);

        let it = finding();

        assert_eq!(it["severity"], "error", "{it}");
        let fix = it["fix"].as_str().unwrap();
        assert!(fix.contains("from a backup") && fix.contains("webhook key --new"), "{it}");
    }
}

#[test]
fn a_server_without_its_key_starts_answers_and_says_so() {
    for (with, word) in spoilt() {
        let world = World::in_real_time();
        let shell = shell(&world).with(&[crate::cli::RECEIVERS]);
        let (broker, _) = shell.parties();
        let url = ["--url", "http://127.0.0.1:9/hook"];
        shell.run(&[&["webhook", "create", "--org", &broker], &url[..]].concat()).ok();
        let right = fs::read(key_of(&shell)).unwrap();
        spoil(&key_of(&shell), with);

        let mut server = Resident::start(&shell, &["serve", "--listen", "127.0.0.1:0"]);
        let told = lines(server.0.stderr.take().unwrap(), 2);

        for words in ["ERROR", "1 webhook endpoint", "from a backup", "webhook key --new"] {
            assert!(told.iter().any(|it| it.contains(words)), "{words}: {told:?}");
        }
        let url = address(&told);
        let ready = || crate::cli::http("GET", &format!("{url}/readyz"), &[]);
        let (status, body) = ready();
        assert_eq!((status, &body["webhookKey"]), (200, &json!(word)));
        fs::write(key_of(&shell), right).unwrap();
        wait_until(&|| ready().1["webhookKey"] == "fits");
        assert_eq!(server.terminate(), 0);
    }
}

/// Where a server says that it serves. The log has a thread of its own, so that line may come before
/// or after another.
fn address(told: &[String]) -> &str {
    let words = told.iter().flat_map(|it| it.split_whitespace());
    words.into_iter().find(|it| it.starts_with("http://")).unwrap()
}

#[test]
fn a_key_that_fits_is_not_mentioned_at_the_start() {
    let world = World::in_real_time();
    let shell = shell(&world);
    shell.parties();

    let (server, url) = serve(&shell);

    assert!(url.starts_with("http://"), "the first line is the address");
    assert_eq!(server.terminate(), 0);
}

/// A pipe that nobody writes to.
fn pipe(at: &Path) {
    mknodat(CWD, at, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

type Makes = fn(&Path);

/// What has the key's name and is no key, each with the words for it.
fn unusable() -> [(Makes, &'static str); 4] {
    [
        (pipe, "it is a pipe"),
        (|at| fs::create_dir(at).unwrap(), "it is a directory"),
        (|at| fs::write(at, "\n").unwrap(), "it is empty"),
        (|at| fs::write(at, "not a key\n").unwrap(), "it is no webhook key"),
    ]
}

fn finding(shell: &Shell) -> Value {
    let ran = shell.run(&["doctor", "--json"]);
    let diagnosis: Value = serde_json::from_str(&ran.out).unwrap();
    let findings = diagnosis["findings"].as_array().unwrap().clone();
    findings.into_iter().find(|it| it["check"] == "webhook key").unwrap()
}

#[test]
fn a_key_file_that_cannot_be_used_is_reported_with_its_reason() {
    for (make, reason) in unusable() {
        let (shell, broker, _) = register();
        fs::remove_file(key_of(&shell)).unwrap();
        make(&key_of(&shell));

        let shown = shell.run(&["webhook", "key"]);
        let created = ["webhook", "create", "--org", &broker, "--url", "http://127.0.0.1:9/other"];
        let refused = shell.run(&created).refused(1);
        let found = finding(&shell);

        for told in [&shown.err, &refused, &found["what"].as_str().unwrap().to_owned()] {
            assert!(told.contains(reason), "{reason}: {told}");
        }
        assert!(refused.contains("from a backup"), "{refused}");
        assert_eq!(found["severity"], "error");
    }
}

#[test]
fn a_pipe_as_the_key_file_hangs_no_server_and_no_command() {
    let world = World::in_real_time();
    let shell = shell(&world).with(&[crate::cli::RECEIVERS]);
    let (broker, _) = shell.parties();
    let url = ["--url", "http://127.0.0.1:9/hook"];
    shell.run(&[&["webhook", "create", "--org", &broker], &url[..]].concat()).ok();
    shell.run(&["backup", "before.db"]).ok();
    fs::remove_file(key_of(&shell)).unwrap();
    pipe(&key_of(&shell));

    let mut server = Resident::start(&shell, &["serve", "--listen", "127.0.0.1:0"]);
    let told = lines(server.0.stderr.take().unwrap(), 2);
    let url = address(&told);
    let (status, ready) = crate::cli::http("GET", &format!("{url}/readyz"), &[]);
    assert_eq!((status, &ready["webhookKey"]), (200, &json!("missing")));
    assert_eq!(server.terminate(), 0);

    let warned = shell.run(&["backup", "meanwhile.db"]);
    assert!(warned.err.contains("WARNING"), "{warned:?}");
    warned.ok();
    assert_eq!(shell.json(&["restore", "before.db", "--force"])["webhookKey"], "fits");
}

/// Runs a command to which a file's mode matters even as root; `None`: that cannot be done here.
fn without_privilege(shell: &Shell, arguments: &[&str]) -> Option<crate::cli::Ran> {
    if !rustix::process::geteuid().is_root() {
        return Some(shell.run(arguments));
    }
    let drops = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"];
    std::process::Command::new("setpriv").arg("-V").output().ok()?;
    Some(shell.run_behind(&drops, arguments))
}

#[test]
fn a_key_that_may_not_be_read_is_given_back_to_its_user_and_not_replaced() {
    let (shell, broker, _) = register();
    fs::set_permissions(key_of(&shell), fs::Permissions::from_mode(0o000)).unwrap();
    let create = ["webhook", "create", "--org", &broker, "--url", "http://127.0.0.1:9/other"];

    for command in [&["webhook", "key"][..], &create, &["doctor"]] {
        let Some(ran) = without_privilege(&shell, command) else {
            println!("skipped: only setpriv (util-linux) takes root's privileges away");
            return;
        };

        let told = ran.out + &ran.err;
        for words in ["Permission denied", "chown", "chmod 600"] {
            assert!(told.contains(words), "{command:?}: {words}: {told}");
        }
        assert!(!told.contains("--new"), "{command:?}: {told}");
    }
}

#[test]
fn a_new_key_that_cannot_be_written_leaves_the_one_that_is_there() {
    let (shell, ..) = register();
    let before = fs::read(key_of(&shell)).unwrap();
    // While somebody reads, a command that reads writes nothing to the register's files.
    let reader = crate::backup::sqlite(&database(&shell));
    reader.query_row("SELECT count(*) FROM register", [], |_row| Ok(())).unwrap();
    let no_room = ["sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""];

    let refused = shell.run_behind(&no_room, &["webhook", "key", "--new", "--yes"]).refused(5);

    assert!(refused.contains("webhook-key"), "{refused}");
    assert_eq!(fs::read(key_of(&shell)).unwrap(), before);
    let keys = names(&shell.directory.0).into_iter().filter(|it| it.contains("webhook-key"));
    assert_eq!(keys.count(), 1, "nothing half-made");
}

#[test]
fn a_key_that_root_makes_belongs_to_the_registers_user() {
    const USER: u32 = 54_321;
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root makes files for somebody else");
        return;
    }
    let (shell, broker, _) = register();
    let owner = || fs::metadata(key_of(&shell)).map(|it| (it.uid(), it.gid())).unwrap();
    let given = || chown(database(&shell), Some(USER), Some(USER)).unwrap();
    shell.run(&["backup", "copy.db"]).ok();
    given();

    shell.run(&["webhook", "key", "--new", "--yes"]).ok();
    assert_eq!(owner(), (USER, USER), "another one");
    let restored = shell.run(&["restore", "copy.db", "--force"]);
    assert!(!restored.err.contains("WARNING"), "{restored:?}");
    assert_eq!(owner(), (USER, USER), "a restored one");
    assert_eq!(fs::metadata(database(&shell)).unwrap().uid(), USER, "with its register");

    fs::remove_file(key_of(&shell)).unwrap();
    for endpoint in shell.json(&["webhook", "list"])["data"].as_array().unwrap() {
        shell.run(&["webhook", "delete", endpoint["id"].as_str().unwrap()]).ok();
    }
    let url = ["--url", "http://127.0.0.1:9/hook"];
    shell.run(&[&["webhook", "create", "--org", &broker], &url[..]].concat()).ok();
    assert_eq!(owner(), (USER, USER), "a first one");
}

#[test]
fn a_restore_that_fails_late_leaves_the_register_its_own_key() {
    for own in [Some(FOREIGN), None] {
        let (shell, ..) = register();
        shell.run(&["backup", "copy.db"]).ok();
        spoil(&key_of(&shell), own);
        let now = countersign::domain::timestamp::Timestamp::from_ms(crate::rig::START_MS);
        let stamp: String =
            now.to_string().chars().filter(|it| !matches!(it, '-' | ':' | '.')).collect();
        // Its name is taken, so the register cannot be kept.
        fs::write(shell.directory.file(&format!("countersign.db.replaced-{stamp}")), "").unwrap();
        let (copy, target) = (shell.directory.file("copy.db"), database(&shell));

        let restored = restore(
            &copy,
            (&target, Environment::Test),
            Overwrite::Anything,
            now,
            &mut |_progress| {},
        );

        assert!(restored.is_err());
        assert_eq!(fs::read_to_string(key_of(&shell)).ok().as_deref(), own);
    }
}

#[test]
fn under_a_foreign_key_no_endpoint_is_created_until_a_rotation_says_that_it_is_meant() {
    let post = Post::new();
    spoil(&post.key(), Some(FOREIGN));
    let new = json!({"url": "https://example.com/hook"});

    let refused = post.post("/v1/webhooks/endpoints", &new);

    assert_eq!(refused.refusal(), (409, "webhook_secret_unavailable"));
    assert!(refused.text("/error/message").contains("operator"), "{refused:?}");
    assert_eq!(post.post(&post.at("/secret/rotate"), &json!({})).status, 200);
    assert_eq!(post.post("/v1/webhooks/endpoints", &new).status, 200);
}

#[test]
fn an_operators_endpoint_under_a_foreign_key_is_refused_with_both_remedies() {
    let (shell, broker, _) = register();
    let endpoints = shell.json(&["webhook", "list"]);
    let endpoint = endpoints["data"][0]["id"].as_str().unwrap();
    spoil(&key_of(&shell), Some(FOREIGN));
    let create = ["webhook", "create", "--org", &broker, "--url", "http://127.0.0.1:9/other"];

    let refused = shell.run(&create).refused(1);
    shell.run(&["webhook", "key", "--new", "--yes"]).ok();
    let again = shell.run(&create).refused(1);

    for words in ["from a backup", "webhook key --new", "first", "webhook rotate"] {
        assert!(refused.contains(words) && again.contains(words), "{words}: {refused} {again}");
    }
    shell.run(&["webhook", "rotate", endpoint]).ok();
    shell.run(&create).ok();
}

#[test]
fn without_endpoints_an_unusable_key_is_named_for_what_it_is() {
    for (make, reason) in unusable() {
        let shell = Shell::new().with(&[crate::cli::RECEIVERS]);
        let (broker, _) = shell.parties();
        assert_eq!(finding(&shell)["severity"], "fine");
        fs::remove_file(key_of(&shell)).unwrap();
        make(&key_of(&shell));

        let create = ["webhook", "create", "--org", &broker, "--url", "http://127.0.0.1:9/hook"];
        let refused = shell.run(&create).refused(1);
        let found = finding(&shell);

        assert!(refused.contains(reason) && !refused.contains("come from it"), "{refused}");
        assert_eq!(found["severity"], "warning", "{found}");
        assert!(found["what"].as_str().unwrap().contains(reason), "{found}");
    }
}

#[test]
fn a_new_register_is_made_although_its_key_cannot_be() {
    let shell = Shell::new().with(&[crate::cli::RECEIVERS]);
    symlink("nowhere/key", key_of(&shell)).unwrap();

    let made = shell.run(&["org", "create", "--name", "Acme", "--type", "BUSINESS"]);

    assert!(made.err.contains("WARNING") && made.err.contains("link to nothing"), "{made:?}");
    let broker = made.ok();
    fs::remove_file(key_of(&shell)).unwrap();
    let url = ["--url", "http://127.0.0.1:9/hook"];
    shell.run(&[&["webhook", "create", "--org", &broker], &url[..]].concat()).ok();
    assert_eq!(shell.json(&["webhook", "key"])["state"], "fits");
}
