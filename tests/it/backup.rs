//! Backups: whole, proven, private, put back without a silent loss; and the one server of a register.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign::domain::timestamp::Timestamp;
use countersign::outbox::KeyFit;
use countersign::store::{Migration, prove};
use countersign::usecase::back_up::{Target, back_up, backups_of};
use countersign::usecase::migrate::migrate;
use countersign::usecase::scheduled_backups::{BackupPlan, back_up_if_due};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::{RECEIVERS, Resident, Shell, operator};
use crate::crash::{kill, serve, shell};
use crate::rig::{Directory, Rig};
use crate::sumsub::World;

pub(crate) fn sqlite(path: &Path) -> rusqlite::Connection {
    let flags =
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_CREATE;
    rusqlite::Connection::open_with_flags(path, flags).unwrap()
}

/// A webhook of Sumsub's with that body.
fn keep_body(register: &rusqlite::Connection, body: &[u8]) {
    let sha256: [u8; 32] = Sha256::digest(body).into();
    register
        .execute(
            "INSERT INTO delivery (body_sha256, body, headers, received_at_ms)
             VALUES (?1, ?2, '[]', 1)",
            (sha256, body),
        )
        .unwrap();
}

fn count(path: &Path, table: &str) -> i64 {
    sqlite(path).query_row(&format!("SELECT count(*) FROM {table}"), [], |it| it.get(0)).unwrap()
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A shell with a signed LOA, an operator's decision and a webhook endpoint, and the customer's id.
pub(crate) fn register() -> (Shell, String, String) {
    let shell = Shell::new().with(&[RECEIVERS]);
    let (broker, customer) = shell.parties();
    let parties = ["--granting", customer.as_str(), "--authorized", broker.as_str()];
    let evidence = ["--signer-name", "Jo", "--signer-role", "CEO", "--how", "paper"];
    let sign = [&["loa", "sign"], &parties[..], &evidence, &["--reference", "vault/1"]].concat();
    shell.run(&sign).ok();
    shell.run(&["verification", "hold", &customer, "--reason", "ticket 1"]).ok();
    shell.run(&["webhook", "create", "--org", &broker, "--url", "http://127.0.0.1:9/hook"]).ok();
    (shell, broker, customer)
}

pub(crate) fn database(shell: &Shell) -> PathBuf {
    shell.directory.file("countersign.db")
}

#[test]
fn a_backup_under_load_holds_everything_acknowledged_before_it_began() {
    let rig = Rig::new();
    let broker = rig.broker();
    let first = rig.customer(&broker, "BUSINESS");
    let (acknowledged, stop) = (Mutex::new(vec![first.clone()]), AtomicBool::new(false));
    let directory = Directory::new();

    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let id = rig.customer(&broker, "INDIVIDUAL");
                    acknowledged.lock().unwrap().push(id);
                    assert_eq!(rig.status(&broker.key, &first), "NOT_STARTED");
                }
            });
        }
        let mut before = Vec::new();
        for round in 0..20 {
            // Each backup begins with something acknowledged that the one before could not know.
            let known = before.len();
            while before.len() == known {
                before.clone_from(&acknowledged.lock().unwrap());
            }
            let file = directory.file(&format!("{round}.db"));
            let made = back_up(
                &rig.directory.file("register.db"),
                &Target::File(file.clone()),
                rig.now(),
                &mut |_| {},
            )
            .unwrap();

            assert!(made.proof.is_good());
            let copy = sqlite(&file);
            let mut find =
                copy.prepare("SELECT 1 FROM organization WHERE organization_id = ?1").unwrap();
            for id in &before {
                assert!(find.exists([id]).unwrap(), "round {round}: {id} was acknowledged");
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_backup_is_one_private_file_with_its_webhook_key_and_serves_as_a_register() {
    let (shell, _, customer) = register();

    let made = shell.json(&["backup", "copy.db"]);

    let mode =
        |name: &str| fs::metadata(shell.directory.file(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("copy.db"), mode("copy.db.webhook-key")), (0o600, 0o600));
    assert_eq!(made["webhookKey"], "fits");
    assert_eq!((&made["good"], &made["organizations"]), (&json!(true), &json!(2)));
    assert_eq!((&made["verificationFacts"], &made["authorizationFacts"]), (&json!(1), &json!(2)));
    let left: Vec<_> =
        names(&shell.directory.0).into_iter().filter(|it| it.contains("copy.db")).collect();
    assert_eq!(left, ["copy.db", "copy.db.webhook-key"], "no log and nothing half-made");
    let shown = shell.run(&["verification", "show", &customer, "--database", "copy.db"]).ok();
    assert!(shown.contains("ON_HOLD"), "{shown}");
}

#[test]
fn a_directory_keeps_the_newest_backups_of_this_register_and_nothing_else_is_removed() {
    let (shell, ..) = register();
    fs::create_dir(shell.directory.file("kept")).unwrap();
    let others = ["countersign-notes.db", "other-20200101T000000000Z.db", "countersign-2020.db"];
    for name in others {
        fs::write(shell.directory.file("kept").join(name), "mine").unwrap();
    }

    let made: Vec<String> = (0..4)
        .map(|_| {
            let made = shell.json(&["backup", "kept", "--keep", "2"]);
            made["path"].as_str().unwrap().trim_start_matches("kept/").to_owned()
        })
        .collect();

    let mut expected: Vec<String> = others.iter().map(|it| (*it).to_owned()).collect();
    for name in &made[2..] {
        expected.extend([name.clone(), format!("{name}.webhook-key")]);
    }
    expected.sort();
    assert_eq!(names(&shell.directory.file("kept")), expected);
}

#[test]
fn a_backup_overwrites_nothing() {
    let (shell, ..) = register();
    fs::write(shell.directory.file("diary"), "dear").unwrap();

    for name in ["diary", "countersign.db"] {
        let before = fs::read(shell.directory.file(name)).unwrap();
        assert!(shell.run(&["backup", name]).refused(1).contains("is there already"));
        assert_eq!(fs::read(shell.directory.file(name)).unwrap(), before);
    }
    assert!(shell.run(&["backup", "new.db", "--keep", "3"]).refused(2).contains("a directory"));
    let error = shell.run(&["backup", "nowhere/new.db"]).refused(5);
    assert!(error.contains("nowhere") && error.contains("No such file"), "{error}");
    let error = shell.run(&["backup", "new.db", "--database", "none.db"]).refused(5);
    assert!(error.contains("cannot open none.db"), "{error}");
}

#[test]
fn a_backup_killed_at_any_moment_leaves_nothing_that_looks_like_one() {
    let (shell, ..) = register();
    let big = sqlite(&database(&shell));
    for number in 0..24 {
        keep_body(&big, &vec![number; 1_048_576]);
    }
    drop(big);
    fs::create_dir(shell.directory.file("kept")).unwrap();
    let kept = shell.directory.file("kept");
    let mut killed_midway = 0;
    for looks in [1, 10, 100, 1_000, 10_000, 100_000] {
        let mut running = Resident::start(&shell, &["backup", "kept"]);
        let has_partial = || names(&kept).iter().any(|it| it.ends_with(".partial"));
        while !has_partial() && running.0.try_wait().unwrap().is_none() {}
        for _ in 0..looks {
            std::hint::spin_loop();
        }
        kill(running);
        killed_midway += i32::from(has_partial());

        for name in names(&kept) {
            let is_backup = !name.starts_with('.') && name.strip_suffix(".db").is_some();
            assert!(
                !is_backup || prove(&kept.join(&name), &mut |_| {}).unwrap().is_good(),
                "{name}"
            );
        }
    }

    assert!(killed_midway > 0, "no kill hit a backup under way");
    shell.run(&["backup", "kept"]).ok();
    assert!(!names(&kept).iter().any(|it| it.ends_with(".partial")), "{:?}", names(&kept));
}

#[test]
fn a_backup_that_cannot_be_written_to_its_end_says_so_and_leaves_nothing_behind() {
    let (shell, ..) = register();
    fs::create_dir(shell.directory.file("kept")).unwrap();
    let program = env!("CARGO_BIN_EXE_countersign");

    // Files may not grow past 64 KiB, and the signal that says so is ignored: writes fail midway.
    let script = format!("trap '' XFSZ; ulimit -f 128; exec {program} backup kept");
    let ran = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(&shell.directory.0)
        .output()
        .unwrap();

    let error = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(5), "{error}");
    assert!(error.contains("cannot write") && error.contains("the disk has room"), "{error}");
    assert_eq!(names(&shell.directory.file("kept")), [""; 0]);
    assert!(shell.run(&["verify"]).ok().contains("Good"));
}

#[test]
#[ignore = "needs `unshare` and user namespaces, to mount a small file system"]
fn a_backup_that_does_not_fit_is_refused_before_it_begins() {
    let (shell, ..) = register();
    keep_body(&sqlite(&database(&shell)), &vec![7; 8_388_608]);
    fs::create_dir(shell.directory.file("small")).unwrap();
    let program = env!("CARGO_BIN_EXE_countersign");

    let script = format!(
        "mount -t tmpfs -o size=4m tmpfs small && {program} backup small; code=$?; ls -A small; \
         exit $code"
    );
    let ran = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(&shell.directory.0)
        .output()
        .unwrap();

    let error = String::from_utf8(ran.stderr).unwrap();
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(1), &b""[..]), "{error}");
    assert!(error.contains("has 4 MiB free and the copy needs"), "{error}");
    assert!(error.contains("make room"), "{error}");
}

#[test]
fn whatever_is_not_a_good_register_is_told_from_one() {
    let (shell, _, customer) = register();
    shell.run(&["backup", "good.db"]).ok();
    let good = fs::read(shell.directory.file("good.db")).unwrap();
    let file = |name: &str| shell.directory.file(name);
    fs::write(file("text"), "Dear diary, ".repeat(1000)).unwrap();
    fs::write(file("empty"), "").unwrap();
    fs::write(file("half"), &good[..good.len() / 2]).unwrap();
    let mut holed = good.clone();
    let middle = holed.len() / 2;
    holed[middle..middle + 9000].fill(0xA5);
    fs::write(file("holed"), holed).unwrap();
    sqlite(&file("theirs")).execute_batch("CREATE TABLE theirs (x)").unwrap();
    fs::write(file("newer"), &good).unwrap();
    sqlite(&file("newer")).execute_batch("PRAGMA user_version = 99").unwrap();
    let tampered = |name: &str, statement: &str| {
        fs::write(file(name), &good).unwrap();
        let connection = sqlite(&file(name));
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.execute_batch(statement).unwrap();
    };
    tampered("status", "UPDATE verification SET state = 'APPROVED' WHERE state <> 'NOT_STARTED'");
    tampered("loa", "UPDATE authorization SET signed_at_ms = signed_at_ms + 1");
    tampered("orphan", "DELETE FROM organization WHERE created_by IS NOT NULL");
    tampered("unfolded", "DELETE FROM verification WHERE state <> 'NOT_STARTED'");

    for (name, words) in [
        ("text", "is not a Countersign register"),
        ("empty", "is not a Countersign register"),
        ("theirs", "is not a Countersign register"),
        ("half", "is damaged"),
        ("holed", "is damaged"),
        ("newer", "was written by a newer version"),
        ("missing", "cannot open missing"),
        ("status", "is not what its facts fold to"),
        ("loa", "the LOA number 1, granted by"),
        ("orphan", "refers to a row of organization that is not there"),
        ("unfolded", "there is none"),
    ] {
        let error = shell.run(&["verify", name]).refused(5);
        assert!(error.contains(words), "{name}: {error}");
        let error = shell.run(&["restore", name, "--database", "new.db"]).refused(5);
        assert!(error.contains(words), "{name}: {error}");
        assert!(!file("new.db").exists(), "{name}");
    }
    assert!(shell.run(&["verify", "status"]).refused(5).contains(&customer));
    assert!(shell.run(&["verify", "good.db"]).ok().contains("Good"));
    assert!(shell.run(&["verify"]).ok().contains("countersign.db"));
}

#[test]
fn a_register_that_went_wrong_pushes_no_good_backup_out() {
    let (shell, ..) = register();
    fs::create_dir(shell.directory.file("kept")).unwrap();
    shell.run(&["backup", "kept", "--keep", "1"]).ok();
    let before = names(&shell.directory.file("kept"));
    sqlite(&database(&shell)).execute_batch("UPDATE verification SET lapsed = 1").unwrap();

    let error = shell.run(&["backup", "kept", "--keep", "1"]).refused(5);

    assert!(error.contains("older backups were not touched"), "{error}");
    assert_eq!(names(&shell.directory.file("kept")), before);
}

#[test]
fn a_backup_pushes_out_none_of_another_register_of_the_same_name() {
    let (shell, ..) = register();
    fs::create_dir(shell.directory.file("kept")).unwrap();
    shell.run(&["backup", "kept", "--keep", "1"]).ok();
    let before = names(&shell.directory.file("kept"));
    // As on a disk that was not mounted: an empty register is made in its place.
    for ending in ["", ".webhook-key"] {
        fs::remove_file(shell.directory.file(&format!("countersign.db{ending}"))).unwrap();
    }
    shell.parties();

    let removed: Vec<Value> =
        (0..2).map(|_| shell.json(&["backup", "kept", "--keep", "1"])["removed"].clone()).collect();

    let kept = names(&shell.directory.file("kept"));
    assert!(before.iter().all(|it| kept.contains(it)), "{before:?} {kept:?}");
    assert_eq!(removed[0], json!([]));
    assert_eq!(removed[1].as_array().unwrap().len(), 1, "but of its own, one stays");
}

#[test]
fn a_backup_never_writes_over_a_key_that_is_there() {
    let (shell, ..) = register();
    fs::write(shell.directory.file("new.db.webhook-key"), "somebody's").unwrap();

    let error = shell.run(&["backup", "new.db"]).refused(1);

    assert!(error.contains("new.db.webhook-key is there already"), "{error}");
    assert!(!shell.directory.file("new.db").exists());
}

#[test]
fn a_server_makes_no_backup_of_what_lies_in_the_place_of_its_register() {
    let rig = Rig::new();
    rig.broker();
    let directory = Directory::new();
    let plan = BackupPlan { directory: directory.file("kept"), every_ms: 3_600_000, keep: 1 };
    assert!(back_up_if_due(&rig.appliance, &plan).unwrap().is_some());
    let path = rig.directory.file("register.db");
    fs::rename(&path, rig.directory.file("moved.db")).unwrap();
    fs::copy(rig.directory.file("moved.db"), &path).unwrap();
    rig.advance(3_600_000);

    let failed = back_up_if_due(&rig.appliance, &plan).unwrap_err().to_string();

    assert!(failed.contains("was moved away or replaced under this server"), "{failed}");
    assert_eq!(backups_of(&path, &plan.directory).unwrap().len(), 1);
}

#[test]
fn a_second_server_on_the_same_register_is_refused_and_names_the_first() {
    let world = World::in_real_time();
    let shell = shell(&world);
    let (server, _) = serve(&shell);
    let id = server.0.id().to_string();
    std::os::unix::fs::symlink(database(&shell), shell.directory.file("alias.db")).unwrap();

    for name in ["countersign.db", "alias.db"] {
        let second = ["serve", "--listen", "127.0.0.1:0", "--database", name];
        let error = shell.run(&second).refused(5);
        assert!(error.contains(&format!("is served by process {id}")), "{error}");
    }
    shell.run(&["org", "list"]).ok();
    kill(server);
    let (server, _) = serve(&shell);

    assert_eq!(server.terminate(), 0);
}

#[test]
fn a_register_in_use_is_not_replaced() {
    let world = World::in_real_time();
    let shell = shell(&world);
    let (broker, _) = shell.parties();
    let (server, _) = serve(&shell);
    let backup = shell.json(&["backup", "copy.db"]);
    assert_eq!(backup["organizations"], 2);

    let error = shell.run(&["restore", "copy.db"]).refused(5);
    assert!(
        error.contains("is served by process") && error.contains("stop that server"),
        "{error}"
    );

    kill(server);
    let console = sqlite(&database(&shell));
    console.query_row("SELECT count(*) FROM organization", [], |_| Ok(())).unwrap();
    let key = shell.directory.file("copy.db.webhook-key");
    let own = shell.directory.file("countersign.db.webhook-key");
    let (before, made) = (fs::read(&own).unwrap(), fs::read(&key).unwrap());
    fs::remove_file(&key).unwrap();
    fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    let error = shell.run(&["restore", "copy.db"]).refused(5);
    assert!(error.contains("open in another process"), "{error}");
    assert_eq!(fs::read(&own).unwrap(), before, "the webhook key is not replaced either");
    fs::write(&key, made).unwrap();
    drop(console);
    shell.run(&["restore", "copy.db"]).ok();
    assert!(shell.run(&["org", "show", &broker]).ok().contains("Acme"));
}

#[test]
fn a_restore_says_what_it_would_lose_and_loses_it_only_by_force() {
    let (shell, broker, customer) = register();
    let key = shell.run(&["key", "create", "--org", &broker, "--name", "x", "--json"]).ok();
    let key: Value = serde_json::from_str(&key).unwrap();
    shell.run(&["backup", "copy.db"]).ok();
    shell.run(&["restore", "copy.db"]).ok();
    assert!(
        shell.run(&["restore", "countersign.db"]).refused(1).contains("is the register itself")
    );
    let later = shell.organization(&["--type", "INDIVIDUAL", "--created-by", &broker]);
    shell.run(&["verification", "reject", &customer, "--reason", "ticket 2"]).ok();
    shell.run(&["key", "revoke", key["id"].as_str().unwrap()]).ok();
    shell.run(&["loa", "revoke", "--granting", &customer, "--authorized", &broker]).ok();
    let before = shell.json(&["verify"]);

    let error = shell.run(&["restore", "copy.db"]).refused(1);

    for words in [
        "1 operators' decisions",
        &format!("operator_reject of {customer} by {}", operator()),
        "2 facts of LOAs",
        &format!("revoked: {customer} to {broker}"),
        "1 organizations made",
        &later,
        "1 API keys made, revoked",
        "--force",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(shell.json(&["verify"]), before, "nothing was changed");

    let restored = shell.json(&["restore", "copy.db", "--force"]);

    assert_eq!(restored["lost"][0]["count"], 1);
    assert_eq!(shell.run(&["org", "show", &later]).code, 3);
    assert!(shell.run(&["verification", "show", &customer]).ok().contains("ON_HOLD"));
    let aside = restored["aside"].as_str().unwrap();
    let shown = shell.run(&["verification", "show", &customer, "--database", aside]).ok();
    assert!(shown.contains("REJECTED"), "{shown}");
    assert_eq!(shell.json(&["verify"])["webhookKey"], "fits");
}

/// A customer made over HTTP, the quickest way to a write that is in the log only.
fn create(url: &str, key: &str) -> String {
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let mut answer = agent
        .post(format!("{url}/v1/organizations"))
        .header("Authorization", format!("Bearer {key}"))
        .header("Content-Type", "application/json")
        .send(json!({"name": "Acme", "type": "BUSINESS"}).to_string())
        .unwrap();
    let body: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    body["organizationId"].as_str().unwrap().to_owned()
}

#[test]
fn a_log_left_by_a_killed_server_is_never_folded_into_the_restored_register() {
    let world = World::in_real_time();
    let shell = shell(&world);
    let (broker, _) = shell.parties();
    let key = shell.run(&["key", "create", "--org", &broker, "--name", "x"]).ok();
    shell.run(&["backup", "copy.db"]).ok();
    let (server, url) = serve(&shell);
    let late = create(&url, &key);
    kill(server);
    let log = shell.directory.file("countersign.db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0, "the last write is in the log only");

    shell.run(&["restore", "copy.db", "--force"]).ok();

    assert_eq!(count(&database(&shell), "organization"), 2);
    assert_eq!(shell.run(&["org", "show", &late]).code, 3);
    let aside = names(&shell.directory.0).into_iter().find(|it| it.contains(".replaced-")).unwrap();
    assert!(shell.run(&["org", "show", &late, "--database", &aside]).ok().contains("Acme"));
}

#[test]
fn a_damaged_register_is_replaced_by_force_and_kept_as_it_was() {
    let (shell, ..) = register();
    shell.run(&["backup", "copy.db"]).ok();
    let path = database(&shell);
    let bytes = fs::read(&path).unwrap();
    let half = &bytes[..bytes.len() / 2];
    fs::write(&path, half).unwrap();

    let error = shell.run(&["restore", "copy.db"]).refused(1);
    assert!(error.contains("cannot be told") && error.contains("--force"), "{error}");
    let restored = shell.json(&["restore", "copy.db", "--force"]);

    assert_eq!(fs::read(shell.directory.file(restored["aside"].as_str().unwrap())).unwrap(), half);
    assert!(shell.run(&["verify"]).ok().contains("Good"));
}

#[test]
fn a_file_of_somebody_else_is_not_replaced_even_by_force() {
    let (shell, ..) = register();
    shell.run(&["backup", "copy.db"]).ok();
    sqlite(&shell.directory.file("theirs.db")).execute_batch("CREATE TABLE theirs (x)").unwrap();

    let error = shell.run(&["restore", "copy.db", "--database", "theirs.db", "--force"]).refused(5);

    assert!(error.contains("is not a Countersign register"), "{error}");
    assert_eq!(count(&shell.directory.file("theirs.db"), "theirs"), 0);
}

#[test]
fn a_backup_of_the_other_environment_is_not_restored() {
    let (shell, ..) = register();
    shell.run(&["backup", "copy.db"]).ok();

    let live = ["restore", "copy.db", "--environment", "live", "--database", "live.db"];
    let error = shell.run(&live).refused(1);

    assert!(error.contains("is a test register and this is live"), "{error}");
    assert!(!shell.directory.file("live.db").exists());
}

#[test]
fn a_backup_brings_its_webhook_key_to_another_machine() {
    let (shell, ..) = register();
    shell.run(&["backup", "copy.db"]).ok();
    let elsewhere = Shell::new();
    for name in ["copy.db", "copy.db.webhook-key"] {
        fs::copy(shell.directory.file(name), elsewhere.directory.file(name)).unwrap();
    }

    assert_eq!(elsewhere.json(&["restore", "copy.db"])["webhookKey"], "fits");

    fs::remove_file(elsewhere.directory.file("copy.db.webhook-key")).unwrap();
    let verified = elsewhere.run(&["verify", "copy.db"]);
    assert!(
        verified.err.contains("there is no webhook key at copy.db.webhook-key"),
        "{}",
        verified.err
    );
}

#[test]
fn a_backup_tells_how_the_key_fits_and_dates_its_name() {
    let rig = Rig::new();
    rig.broker();
    let directory = Directory::new();
    let target = Target::Directory { path: directory.0.clone(), keep: Some(1) };

    let at = Timestamp::parse("2026-05-14T09:30:00.123Z").unwrap();
    let made = back_up(&rig.directory.file("register.db"), &target, at, &mut |_| {}).unwrap();

    assert_eq!(made.key, KeyFit::NotNeeded);
    assert!(made.path.ends_with("register-20260514T093000123Z.db"), "{:?}", made.path);
}

/// A register as an earlier program would have left it: without the newest table.
fn earlier_register() -> (Shell, PathBuf, Migration) {
    let (shell, ..) = register();
    let path = database(&shell);
    let connection = sqlite(&path);
    let statements = connection
        .query_row(
            "SELECT group_concat(sql, '; ') FROM sqlite_schema WHERE tbl_name = 'gate_refusal'
             AND sql IS NOT NULL",
            [],
            |row| row.get::<_, String>(0),
        )
        .unwrap();
    connection.execute_batch("DROP TABLE gate_refusal; PRAGMA user_version = 3").unwrap();
    (shell, path, Migration { to: 4, what: "refused calls", statements: statements.leak() })
}

#[test]
fn a_register_of_an_earlier_version_is_migrated_as_a_proven_copy_and_kept() {
    let (shell, path, migration) = earlier_register();

    let error = shell.run(&["org", "list"]).refused(5);
    assert!(error.contains("earlier version") && error.contains("migrate --plan"), "{error}");
    let now = Timestamp::parse("2026-05-14").unwrap();
    let done = migrate(&path, &[migration], now, &mut |_| {}).unwrap();

    assert_eq!((done.from, done.steps.as_slice()), (3, &[migration][..]));
    assert!(shell.run(&["org", "list"]).ok().contains("Acme"));
    assert_eq!(count(&path, "gate_refusal"), 0);
    let before = done.before.unwrap();
    assert!(before.ends_with("countersign.db.version-3-20260514T000000000Z"), "{before:?}");
    assert_eq!(sqlite(&before).pragma_query_value(None, "user_version", |it| it.get(0)), Ok(3));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(shell.run(&["migrate"]).ok().contains("of version 4, and so is this program"));
}

#[test]
fn a_migration_that_fails_or_ends_in_wrong_rows_changes_nothing() {
    for (statements, words) in [
        ("CREATE TABLE gate_refusal (x); SELECT nonsense;", "nonsense"),
        ("CREATE TABLE gate_refusal (x)", "the table gate_refusal is another"),
        ("UPDATE verification SET lapsed = 1", "facts and its rows do not agree"),
    ] {
        let (shell, path, migration) = earlier_register();
        let names_before = names(&shell.directory.0);
        let statements = match statements {
            it if it.starts_with("UPDATE") => format!("{}; {it}", migration.statements).leak(),
            it => it,
        };

        let failed = migrate(
            &path,
            &[Migration { statements, ..migration }],
            Timestamp::from_ms(0),
            &mut |_| {},
        );

        assert!(failed.unwrap_err().to_string().contains(words));
        assert_eq!(sqlite(&path).pragma_query_value(None, "user_version", |it| it.get(0)), Ok(3));
        let is_side_file = |it: &String| {
            it.strip_suffix(".lock").is_some() || it.ends_with("-wal") || it.ends_with("-shm")
        };
        let mut left = names(&shell.directory.0);
        left.retain(|it| !is_side_file(it));
        assert_eq!(
            left,
            names_before.into_iter().filter(|it| !is_side_file(it)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn scheduled_backups_follow_the_newest_in_the_directory_and_failures_harm_nobody() {
    let rig = Rig::new();
    rig.broker();
    let directory = Directory::new();
    let plan = BackupPlan { directory: directory.file("kept"), every_ms: 3_600_000, keep: 2 };
    let is_made = || back_up_if_due(&rig.appliance, &plan).unwrap().is_some();

    assert!(is_made(), "there is none");
    assert!(!is_made(), "there is a young one");
    rig.advance(3_599_999);
    assert!(!is_made());
    rig.advance(1);
    assert!(is_made());
    fs::write(plan.directory.join("register-20990101T000000000Z.db"), "a clock was wrong").unwrap();
    rig.advance(3_600_000);
    assert!(is_made(), "a name from the future delays nothing");

    let file_in_the_way =
        BackupPlan { directory: rig.directory.file("register.db"), ..plan.clone() };
    let failed = back_up_if_due(&rig.appliance, &file_in_the_way).unwrap_err().to_string();
    assert!(failed.contains("cannot list"), "{failed}");
    assert!(rig.appliance.store.is_writable().is_ok());
}

#[test]
fn backups_of_a_clock_that_was_ahead_do_not_outlive_those_that_are_made_now() {
    let rig = Rig::new();
    rig.broker();
    let directory = Directory::new();
    let plan = BackupPlan { directory: directory.file("kept"), every_ms: 3_600_000, keep: 2 };
    fs::create_dir(&plan.directory).unwrap();
    for year in [2097, 2098, 2099] {
        let name = format!("register-{year}0101T000000000Z.db");
        fs::write(plan.directory.join(name), "a clock was wrong").unwrap();
    }

    let made = back_up_if_due(&rig.appliance, &plan).unwrap().unwrap();

    assert!(made.path.exists());
    assert_eq!(made.removed, Vec::<PathBuf>::new());
    assert!(back_up_if_due(&rig.appliance, &plan).unwrap().is_none(), "there is a young one");
}

#[test]
fn a_server_backs_up_by_itself_and_one_that_cannot_serves_on() {
    let world = World::in_real_time();
    let shell = shell(&world).with(&[("COUNTERSIGN_BACKUP_DIRECTORY", "kept")]);
    let (broker, _) = shell.parties();
    let key = shell.run(&["key", "create", "--org", &broker, "--name", "x"]).ok();

    let (server, url) = serve(&shell);
    create(&url, &key);
    let kept = shell.directory.file("kept");
    let made = || {
        let is_backup =
            |it: &String| it.starts_with("countersign-") && it.strip_suffix(".db").is_some();
        kept.is_dir().then(|| names(&kept).into_iter().find(is_backup)).flatten()
    };
    while made().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(server.terminate(), 0);
    let made = made().unwrap();
    assert!(shell.run(&["verify", &format!("kept/{made}")]).ok().contains("Good"));

    let shell = shell.with(&[("COUNTERSIGN_BACKUP_DIRECTORY", "countersign.db/kept")]);
    let mut server = Resident::start(&shell, &["serve", "--listen", "127.0.0.1:0"]);
    let told = crate::cli::lines(server.0.stderr.take().unwrap(), 2).join("\n");
    assert!(told.contains("no backup was made") && told.contains("countersign serves"), "{told}");
    assert_eq!(server.terminate(), 0);
}

#[test]
fn a_backup_into_a_directory_that_is_not_there_creates_no_file_of_its_name() {
    let shell = Shell::new();
    shell.parties();

    for (arguments, named) in [
        (&["backup", "kept"][..], &["mkdir -m 700 kept", "kept.db"][..]),
        (&["backup", "kept/"], &["mkdir -m 700 kept/"]),
        (&["backup", "kept.db", "--keep", "3"], &["mkdir -m 700 kept.db"]),
    ] {
        let error = shell.run(arguments).refused(2);
        assert!(named.iter().all(|it| error.contains(it)), "{error}");
    }

    assert!(!shell.directory.file("kept").exists() && !shell.directory.file("kept.db").exists());
    shell.run(&["backup", "kept.db"]).ok();
}
