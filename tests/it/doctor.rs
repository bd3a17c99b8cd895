//! The doctor: every fault is made for real, found, and gone after the fix that was printed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering;

use countersign::sim::TenantId;
use serde_json::Value;

use crate::cli::{RECEIVERS, Shell};
use crate::crash::{kill, serve};
use crate::sumsub::{World, real_now_ms};

/// A shell whose settings are right, but for those named.
fn shell(world: &World, but: &[(&str, &str)]) -> Shell {
    let credentials = world.simulator.credentials(TenantId::Recipient);
    let right = [
        ("COUNTERSIGN_SUMSUB_URL", world.sumsub_url.as_str()),
        ("COUNTERSIGN_SUMSUB_APP_TOKEN", &credentials.app_token),
        ("COUNTERSIGN_SUMSUB_SECRET_KEY", &credentials.secret_key),
        ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "the-webhook-secret"),
        ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb-level"),
        ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc-level"),
        ("COUNTERSIGN_BACKUP_DIRECTORY", "kept"),
    ];
    let kept: Vec<_> =
        right.into_iter().filter(|(name, _)| but.iter().all(|(it, _)| it != name)).collect();
    Shell::new().with(&kept).with(but)
}

/// The finding of a check that is not fine; `None` if all of that check are.
fn found(shell: &Shell, check: &str, more: &[&str]) -> Option<Value> {
    let ran = shell.run(&[&["doctor", "--json"], more].concat());
    let diagnosis: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ran.code, i32::from(diagnosis["errors"] != 0), "{diagnosis}");
    let findings = diagnosis["findings"].as_array().unwrap().clone();
    for it in &findings {
        let needs_words = it["severity"] != "fine";
        assert_eq!(it["why"] != "" && it["fix"] != "", needs_words, "{it}");
    }
    findings.into_iter().find(|it| it["check"] == check && it["severity"] != "fine")
}

#[track_caller]
fn ill((shell, check): (&Shell, &str), more: &[&str], severity: &str, words: &str, fix: &str) {
    let it = found(shell, check, more).unwrap_or_else(|| panic!("{check} is fine"));
    assert_eq!(it["severity"], severity, "{it}");
    assert!(it["what"].as_str().unwrap().contains(words), "{it}");
    assert!(it["fix"].as_str().unwrap().contains(fix), "{it}");
}

#[track_caller]
fn well(shell: &Shell, check: &str, more: &[&str]) {
    assert_eq!(found(shell, check, more), None);
}

#[test]
fn a_right_installation_is_well_and_every_look_says_so() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    shell.parties();
    fs::create_dir(shell.directory.file("kept")).unwrap();
    shell.run(&["backup", "kept"]).ok();
    let (server, url) = serve(&shell);

    world.rig.clock_ms.store(real_now_ms(), Ordering::SeqCst);
    let ran = shell.run(&["doctor", "--public-url", &url]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let text = ran.out;

    assert!(!text.contains("error") && !text.contains("warning"), "{text}");
    let outcome = shell.run(&["inbox", "list"]).ok();
    assert!(outcome.contains("test_event"), "the self-test says nothing of anybody: {outcome}");
    kill(server);
}

#[test]
fn a_missing_setting_is_found() {
    let shell = Shell::new();

    ill((&shell, "configuration"), &[], "error", "sumsub-app-token", "set what is named");
}

#[test]
fn sumsub_that_does_not_answer_is_found_and_the_rest_is_looked_at() {
    let world = World::in_real_time();
    let shell = shell(&world, &[("COUNTERSIGN_SUMSUB_URL", "http://127.0.0.1:9")]);

    ill((&shell, "sumsub"), &[], "error", "does not answer", "curl -v http://127.0.0.1:9/");
    well(&shell, "sumsub", &["--sumsub-url", &world.sumsub_url]);
}

#[test]
fn wrong_credentials_are_found() {
    let world = World::in_real_time();
    let wrong = shell(&world, &[("COUNTERSIGN_SUMSUB_SECRET_KEY", "wrong")]);

    ill((&wrong, "credentials"), &[], "error", "refuses them", "COUNTERSIGN_SUMSUB_SECRET_KEY");
    well(&shell(&world, &[]), "credentials", &[]);
}

#[test]
fn a_level_of_the_wrong_type_or_of_no_name_is_found_with_those_there_are() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    let business = |level| ["--sumsub-level-business", level];

    ill((&shell, "level"), &business("kyc-level"), "error", "is not for type company", "kyb-level");
    ill((&shell, "level"), &business("kyb"), "error", "has no level", "one of: kyb-level");
    well(&shell, "level", &business("kyb-level"));
}

#[test]
fn a_server_with_another_webhook_secret_and_none_at_all_are_found() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    let (server, url) = serve(&shell);
    fs::write(shell.directory.file("other"), "another-secret").unwrap();
    let other = ["--public-url", &url, "--sumsub-webhook-secret-file", "other"];
    let right = ["--public-url", &url];

    let variable = "COUNTERSIGN_SUMSUB_WEBHOOK_SECRET";
    let without = self::shell(&world, &[(variable, "")]);
    fs::write(without.directory.file("other"), "another-secret").unwrap();
    ill((&without, "webhook"), &other, "error", "refuses the configured secret", variable);
    well(&shell, "webhook", &right);
    kill(server);
    ill((&shell, "webhook"), &right, "error", "nobody answers", "countersign serve");
}

#[test]
fn two_webhook_secrets_in_force_are_noted_and_the_first_one_signs() {
    let world = World::in_real_time();
    let shell = shell(&world, &[("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "the-new-one,the-old-one")]);
    let (server, url) = serve(&shell);
    fs::write(shell.directory.file("first"), "the-new-one").unwrap();

    let text = shell.run(&["doctor", "--public-url", &url]).out;

    assert!(text.contains("fine     webhook-secret: two are in force"), "{text}");
    well(&shell, "webhook", &["--public-url", &url]);
    kill(server);
}

#[test]
fn a_letter_that_serve_refuses_or_nobody_is_shown_is_found() {
    let world = World::in_real_time();
    let shell = shell(&world, &[("COUNTERSIGN_LETTER", "letter")]);
    let public = ["--public-url", "http://localhost"];

    ill((&shell, "letter"), &[], "warning", "no page shows it", "COUNTERSIGN_PUBLIC_URL");
    ill((&shell, "letter"), &public, "error", "letter cannot be used", "COUNTERSIGN_LETTER");
    shell.run(&[&["serve"], &public[..]].concat()).refused(2);
    fs::write(shell.directory.file("letter"), "version: 1\n").unwrap();
    ill((&shell, "letter"), &public, "error", "letter cannot be used", "COUNTERSIGN_LETTER");
    let whole = include_str!("../../src/domain/letter.txt");
    fs::write(shell.directory.file("letter"), whole).unwrap();
    well(&shell, "letter", &public);
}

#[test]
fn a_misspelt_variable_is_found_with_the_one_that_was_meant() {
    let world = World::in_real_time();

    let shell = shell(&world, &[("COUNTERSIGN_TRUSTED_PROXY", "127.0.0.1")]);

    let meant = "rename it to COUNTERSIGN_TRUSTED_PROXIES";
    ill((&shell, "variable"), &[], "warning", "COUNTERSIGN_TRUSTED_PROXY is no setting", meant);
}

#[test]
fn a_disabled_endpoint_is_found() {
    let world = World::in_real_time();
    let shell = shell(&world, &[RECEIVERS]);
    let (broker, _) = shell.parties();
    let create = ["webhook", "create", "--org", &broker, "--url", "http://127.0.0.1:9/hook"];
    let endpoint = shell.run(&create).ok();
    let endpoint = endpoint.split_whitespace().find(|it| it.starts_with("ep_")).unwrap();
    well(&shell, "endpoints", &[]);

    shell.run(&["webhook", "disable", endpoint]).ok();

    ill((&shell, "endpoints"), &[], "warning", endpoint, "countersign webhook enable");
}

#[test]
fn a_register_that_was_moved_away_under_the_server_is_found() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    shell.parties();
    let (server, _) = serve(&shell);
    well(&shell, "moved", &[]);
    let path = |name: &str| shell.directory.file(name);
    fs::rename(path("countersign.db"), path("aside.db")).unwrap();

    ill((&shell, "moved"), &[], "error", "was moved away from countersign.db", "stop the server");
    fs::copy(path("aside.db"), path("countersign.db")).unwrap();
    ill((&shell, "moved"), &[], "error", "was moved away", "stop the server");
    fs::rename(path("aside.db"), path("countersign.db")).unwrap();
    well(&shell, "moved", &[]);
    kill(server);
}

#[test]
fn files_that_others_can_read_are_found_and_the_printed_command_mends_them() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    shell.parties();
    let path = shell.directory.file("countersign.db");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

    let it = found(&shell, "modes", &[]).unwrap();
    let fix = it["fix"].as_str().unwrap();
    let mended = std::process::Command::new("sh")
        .args(["-c", fix])
        .current_dir(&shell.directory.0)
        .status()
        .unwrap();

    assert_eq!((it["severity"].as_str(), mended.success()), (Some("error"), true), "{fix}");
    well(&shell, "modes", &[]);
}

#[test]
fn a_log_that_a_reader_keeps_from_ending_is_found() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    shell.parties();
    let (path, flags) =
        (shell.directory.file("countersign.db"), rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE);
    let open = || rusqlite::Connection::open_with_flags(&path, flags).unwrap();
    let (reader, writer) = (open(), open());
    reader.execute_batch("BEGIN; SELECT * FROM organization").unwrap();
    let webhook = "INSERT INTO delivery (body_sha256, body, headers, received_at_ms)
                   VALUES (randomblob(32), zeroblob(90000000), '[]', 1)";
    for _ in 0..3 {
        writer.execute_batch(webhook).unwrap();
    }

    ill((&shell, "log"), &[], "warning", "has 259 MiB", "fuser countersign.db");
    reader.execute_batch("COMMIT").unwrap();
    writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    well(&shell, "log", &[]);
}

#[test]
#[ignore = "needs `unshare` and user namespaces, to mount a small file system"]
fn a_disk_that_is_nearly_full_is_found() {
    let shell = Shell::new();
    fs::create_dir(shell.directory.file("small")).unwrap();
    let program = env!("CARGO_BIN_EXE_countersign");

    let script = format!(
        "mount -t tmpfs -o size=4m tmpfs small && \
         {program} doctor --json --database small/countersign.db"
    );
    let ran = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(&shell.directory.0)
        .output()
        .unwrap();

    let diagnosis: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let findings = diagnosis["findings"].as_array().unwrap();
    let disk = findings.iter().find(|it| it["check"] == "disk").unwrap();
    assert_eq!(
        (&disk["severity"], &disk["what"]),
        (&"error".into(), &"4 MiB free in small".into())
    );
    assert!(disk["fix"].as_str().unwrap().starts_with("make room"), "{disk}");
    assert_eq!(ran.status.code(), Some(1), "{diagnosis}");
}

#[test]
fn missing_and_old_backups_are_found_and_the_printed_command_mends_them() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    shell.parties();
    let mend = || {
        let fix = found(&shell, "backups", &[]).unwrap()["fix"].as_str().unwrap().to_owned();
        for command in fix.split(" && ") {
            match command.strip_prefix("countersign ") {
                Some(rest) => drop(shell.run(&rest.split(' ').collect::<Vec<_>>()).ok()),
                None => fs::create_dir(shell.directory.file("kept")).unwrap(),
            }
        }
    };

    ill((&shell, "backups"), &["--backup-directory", "none"], "warning", "makes none", "BACKUP");
    ill((&shell, "backups"), &[], "error", "cannot list kept", "mkdir -m 700 kept");
    mend();
    well(&shell, "backups", &[]);
    let kept = shell.directory.file("kept");
    for entry in fs::read_dir(&kept).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    ill((&shell, "backups"), &[], "error", "none in kept", "countersign backup kept");
    fs::write(kept.join("countersign-20200101T000000000Z.db"), "old").unwrap();
    ill((&shell, "backups"), &[], "error", "the newest is of 2020", "countersign backup kept");
    mend();
    well(&shell, "backups", &[]);
}

#[test]
fn a_proxy_that_is_not_trusted_is_found() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    let public = ["--public-url", "https://verify.invalid"];
    let trusted = [&public[..], &["--trusted-proxies", "127.0.0.1"]].concat();
    let many = [&trusted[..], &["--connections-per-peer-max", "2048"]].concat();

    ill((&shell, "proxy"), &public, "warning", "trusted-proxies is none", "TRUSTED_PROXIES");
    ill((&shell, "proxy"), &trusted, "warning", "per-peer-max is 256", "PER_PEER_MAX=2048");
    well(&shell, "proxy", &many);
}

#[test]
fn an_operator_with_customers_pages_is_asked_what_the_proxy_logs() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    let public = ["doctor", "--public-url", "https://verify.invalid", "--link-days", "7"];

    let asked = shell.run(&public).out;
    let line = asked.lines().find(|it| it.contains("links: ")).unwrap();
    for words in ["sign for 7 days", "log of the proxy", "https://verify.invalid", "Mask /h/"] {
        assert!(line.contains(words), "{line}");
    }
    assert!(!shell.run(&["doctor"]).out.contains("links: "), "there are no links without pages");
}

#[test]
fn worlds_that_are_mixed_up_are_found() {
    let world = World::in_real_time();
    let right = shell(&world, &[]);
    let live = ["--environment", "live"];
    let sandbox = [&live[..], &["--sumsub-url", "https://api.sumsub.com"]].concat();
    ill((&right, "configuration"), &sandbox, "error", "belongs to Sumsub's sandbox", "set what");

    let token = ("COUNTERSIGN_SUMSUB_APP_TOKEN", "prd:token");
    let elsewhere = shell(&world, &[token, ("COUNTERSIGN_SUMSUB_URL", "https://sumsub.invalid")]);
    ill(
        (&elsewhere, "environment"),
        &live,
        "error",
        "live, and Sumsub is",
        "unset COUNTERSIGN_SUMSUB_URL",
    );
    let plain = shell(&world, &[("COUNTERSIGN_SUMSUB_APP_TOKEN", "token")]);
    ill((&plain, "environment"), &[], "warning", "does not begin with sbx:", "Sumsub's sandbox");
    right.parties();
    ill((&right, "register"), &live, "error", "is a test register", "COUNTERSIGN_ENVIRONMENT=test");
    well(&right, "register", &[]);
}

#[test]
fn only_a_damaged_register_is_to_be_replaced_by_a_backup() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    shell.parties();
    let path = shell.directory.file("countersign.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let open = || rusqlite::Connection::open_with_flags(&path, flags).unwrap();
    let told = |words: &str, fix: &str| {
        ill((&shell, "register"), &[], "error", words, fix);
        let it = found(&shell, "register", &[]).unwrap();
        assert!(!it["fix"].as_str().unwrap().contains("restore BACKUP"), "{it}");
    };
    let application_id: i64 =
        open().query_row("PRAGMA application_id", [], |row| row.get(0)).unwrap();

    open().execute_batch("PRAGMA user_version = 99").unwrap();
    told("by a newer version", "run the newer countersign");
    open().execute_batch("PRAGMA user_version = 0").unwrap();
    told("by an earlier version", "countersign migrate");
    open().execute_batch("PRAGMA user_version = 4; PRAGMA application_id = 7").unwrap();
    told("is not a Countersign register", "name another file with --database");
    fs::rename(&path, shell.directory.file("aside")).unwrap();
    fs::create_dir(&path).unwrap();
    told("is not a Countersign register", "name another file with --database");
    fs::remove_dir(&path).unwrap();

    fs::rename(shell.directory.file("aside"), &path).unwrap();
    open().execute_batch(&format!("PRAGMA application_id = {application_id}")).unwrap();
    well(&shell, "register", &[]);
    open().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20_000].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    ill((&shell, "register"), &[], "error", "is damaged", "countersign restore BACKUP");
}

#[test]
fn a_clock_that_is_off_is_found() {
    // The server's answer is dated by the world's clock, which is an hour behind.
    let world = World::in_real_time();
    let set_clock = |behind_ms| {
        world.rig.clock_ms.store(real_now_ms() - behind_ms, Ordering::SeqCst);
    };
    let shell = shell(&world, &[]);
    set_clock(3_600_000);

    ill((&shell, "clock"), &[], "error", "s ahead of Sumsub", "timedatectl");
    set_clock(0);
    well(&shell, "clock", &[]);
}

#[test]
fn somebody_forgotten_and_a_message_that_waits_are_found() {
    let world = World::in_real_time();
    let shell = shell(&world, &[RECEIVERS]);
    let (broker, customer) = shell.parties();
    shell.run(&["webhook", "create", "--org", &broker, "--url", "http://127.0.0.1:9/hook"]).ok();
    shell.run(&["verification", "hold", &broker, "--reason", "x"]).ok();
    let database = rusqlite::Connection::open_with_flags(
        shell.directory.file("countersign.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE,
    )
    .unwrap();
    database
        .execute(
            "UPDATE verification SET state = 'PENDING', updated_at_ms = 1 WHERE organization_id = ?1",
            [&customer],
        )
        .unwrap();
    database.execute_batch("UPDATE outgoing_delivery SET created_at_ms = 1").unwrap();

    ill((&shell, "pending"), &[], "warning", &customer, &format!("verification show {customer}"));
    ill((&shell, "outbox"), &[], "warning", "1 messages wait", "countersign webhook deliveries");
    database
        .execute_batch("UPDATE verification SET state = 'NOT_STARTED'; UPDATE outgoing_delivery SET status = 'SKIPPED', due_at_ms = NULL")
        .unwrap();
    well(&shell, "pending", &[]);
    well(&shell, "outbox", &[]);
}

#[test]
fn receivers_that_are_not_allowed_are_found_and_the_setting_that_allows_them_is_named() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    let (broker, _) = shell.parties();
    let create = |url: &str| {
        let allow = ["--webhook-allow", "127.0.0.1:9"];
        let create = ["webhook", "create", "--org", &broker, "--url", url, "--json"];
        let made = shell.run(&[&create[..], &allow].concat()).ok();
        serde_json::from_str::<Value>(&made).unwrap()["id"].as_str().unwrap().to_owned()
    };
    create("https://example.com/hook");
    let private = create("http://127.0.0.1:9/hook?token=hidden");

    let of_it = format!("{private} at http://127.0.0.1:9:");
    ill((&shell, "receivers"), &[], "warning", &of_it, "COUNTERSIGN_WEBHOOK_ALLOW");
    let other_port = ["--webhook-allow", "127.0.0.1:10"];
    ill((&shell, "receivers"), &other_port, "warning", "webhook-allow", "webhook disable");
    assert!(!shell.run(&["doctor"]).out.contains("hidden"));
    well(&shell, "receivers", &["--webhook-allow", "127.0.0.1:9"]);
    shell.run(&["webhook", "disable", &private]).ok();
    well(&shell, "receivers", &[]);
}

/// A name's addresses show only in what became of an attempt.
#[test]
fn a_receiver_whose_name_leads_into_the_own_network_is_found_by_its_attempts() {
    let world = World::in_real_time();
    let shell = shell(&world, &[]);
    let (broker, _) = shell.parties();
    shell.run(&["webhook", "create", "--org", &broker, "--url", "https://hook.example/"]).ok();
    shell.run(&["verification", "hold", &broker, "--reason", "x"]).ok();
    well(&shell, "receivers", &[]);
    let database = rusqlite::Connection::open_with_flags(
        shell.directory.file("countersign.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE,
    )
    .unwrap();

    database
        .execute_batch(
            "UPDATE webhook_endpoint SET failing_since_ms = 1;
             INSERT INTO outgoing_attempt (delivery_no, url, signed_at_s, signature, error,
                                           started_at_ms, ended_at_ms)
             SELECT delivery_no, 'https://hook.example/', 1, '', 'address_not_allowed', 1, 2
             FROM outgoing_delivery",
        )
        .unwrap();

    ill((&shell, "receivers"), &[], "warning", "https://hook.example", "WEBHOOK_ALLOW");
}
