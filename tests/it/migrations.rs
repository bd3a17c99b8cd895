//! Registers of earlier schemas: migrated, verified, folded as they were, and told where the rules of
//! today would judge otherwise.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use countersign::store::{MIGRATIONS, SCHEMA};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cli::{Resident, SECRETS, SUMSUB, Shell, lines};
use crate::sumsub::World;

/// A register as the program of schema 1 left it.
const OF_SCHEMA_1: &str = include_str!("registers/1.sql");
/// The same as the program of schema 2 left it.
const OF_SCHEMA_2: &str = include_str!("registers/2.sql");

/// The same as the program of schema 3 left it.
const OF_SCHEMA_3: &str = include_str!("registers/3.sql");
/// The same as this program leaves it.
const OF_SCHEMA_4: &str = include_str!("registers/4.sql");

/// Every version's register, with the SHA-256 of its schema. A text of `schema.sql` that has been in
/// anybody's hands stays the one of its version: a change is a line here, a register and a migration.
const VERSIONS: [(i32, &str, &str); 4] = [
    (1, OF_SCHEMA_1, "42be8beab8d7fe570cdf088cba5d473c90d3544d39005adff7720786f70c0a88"),
    (2, OF_SCHEMA_2, "90126d981d0b97370e85bbd6c0d88ad9e8d1fb72833f6401b69fa486f119d8ca"),
    (3, OF_SCHEMA_3, "4ddd90334460cb906d6a3c4e39d6b7214cc443778fec82f75fd557d1c78d72ed"),
    (4, OF_SCHEMA_4, "aafcbebe1491b16f01817b3417c7f44263f665ee90f9c8022c27143eed225e81"),
];

/// A shell on a register of schema 1, not migrated.
fn earlier() -> Shell {
    holding(OF_SCHEMA_1)
}

fn holding(register: &str) -> Shell {
    let shell = Shell::new();
    fill(&shell, register);
    shell
}

fn fill(shell: &Shell, register: &str) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let path = shell.directory.file("countersign.db");
    let database = Connection::open_with_flags(path, flags).unwrap();
    database.execute_batch(register).unwrap();
}

fn statuses(shell: &Shell) -> BTreeMap<String, String> {
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    shell.json(&["org", "list"])["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (text(it, "name"), text(it, "verificationStatus")))
        .collect()
}

fn organization(shell: &Shell, name: &str) -> String {
    let all = shell.json(&["org", "list"]);
    let found = all["data"].as_array().unwrap().iter().find(|it| it["name"] == name);
    found.unwrap()["organizationId"].as_str().unwrap().to_owned()
}

#[test]
fn a_register_of_an_earlier_schema_is_migrated_verified_and_folds_as_it_did() {
    for (register, step) in [
        (OF_SCHEMA_1, "verdicts keep their level"),
        (OF_SCHEMA_2, "links end"),
        (OF_SCHEMA_3, "cannot be deleted"),
    ] {
        is_migrated_and_folds_as_it_did(&holding(register), step);
    }
    folds_as_it_did(&holding(OF_SCHEMA_4));
}

fn is_migrated_and_folds_as_it_did(shell: &Shell, step: &str) {
    let refused = shell.run(&["org", "list"]).refused(5);
    assert!(refused.contains("countersign migrate --plan"), "{refused}");
    let plan = shell.run(&["migrate", "--plan"]);
    assert!(plan.ok().contains(step));

    shell.run(&["migrate"]).ok();

    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database =
        Connection::open_with_flags(shell.directory.file("countersign.db"), flags).unwrap();
    let told = "SELECT count(*) FROM outgoing_attempt WHERE length(answer) > 0";
    let told: i64 = database.query_row(told, [], |row| row.get(0)).unwrap();
    assert_eq!(told, 0, "what a test server once read from private addresses");
    folds_as_it_did(shell);
}

fn folds_as_it_did(shell: &Shell) {
    shell.run(&["verify"]).ok();
    let expected = [
        ("Another Level Co.", "APPROVED"),
        ("Approved Co.", "APPROVED"),
        ("Held Co.", "ON_HOLD"),
        ("Jo Doe", "APPROVED"),
        ("Northwind Brokers Ltd.", "NOT_STARTED"),
        ("Rejected Co.", "REJECTED"),
        ("Revoked Co.", "NOT_STARTED"),
        ("Signed On The Page Co.", "PENDING"),
        ("Swallowed Verdict Co.", "APPROVED"),
    ];
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned())).collect();
    assert_eq!(statuses(shell), expected);
}

#[test]
fn after_a_migration_doctor_and_replay_say_what_would_be_judged_otherwise_today() {
    let shell = earlier().with(&[
        ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb-level"),
        ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc-level"),
    ]);
    shell.run(&["migrate"]).ok();

    let replayed = shell.run(&["inbox", "replay", "--all", "--dry-run", "--json"]);
    let diagnosis = shell.run(&["doctor", "--json"]);

    let other_level = organization(&shell, "Another Level Co.");
    let swallowed = organization(&shell, "Swallowed Verdict Co.");
    assert!(
        replayed.out.contains("other_level") && replayed.out.contains(&other_level),
        "{}",
        replayed.out
    );
    let found: Value = serde_json::from_str(&diagnosis.out).unwrap();
    let earlier: Vec<&str> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["check"] == "earlier")
        .map(|it| it["what"].as_str().unwrap())
        .collect();
    assert_eq!(earlier.len(), 2, "{earlier:?}");
    let about = |of: &str| earlier.iter().find(|it| it.contains(of)).unwrap().to_string();
    assert!(about(&other_level).contains("would not count today"));
    assert!(about(&swallowed).contains("would have fallen"));
    assert_eq!(statuses(&shell)["Another Level Co."], "APPROVED", "and nothing is un-counted");
}

/// Every object of a database as SQL without comments, white space and quotes.
fn shape(database: &Connection) -> BTreeMap<String, String> {
    let mut objects =
        database.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema").unwrap();
    let without_comments = |sql: &str| {
        sql.lines().map(|it| it.split("--").next().unwrap()).collect::<Vec<_>>().join(" ")
    };
    objects
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .unwrap()
        .map(|row| row.unwrap())
        .map(|(name, sql)| {
            let words: Vec<String> = without_comments(&sql.replace('"', ""))
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            (name, words.join(" "))
        })
        .collect()
}

#[test]
fn a_migrated_register_has_the_very_schema_of_a_new_one() {
    let migrated = Connection::open_in_memory().unwrap();
    migrated.execute_batch(OF_SCHEMA_1).unwrap();
    for step in MIGRATIONS {
        migrated.execute_batch(step.statements).unwrap();
    }
    let new = Connection::open_in_memory().unwrap();
    new.execute_batch(SCHEMA).unwrap();

    let (migrated, new) = (shape(&migrated), shape(&new));

    assert!(new.len() > 60);
    for (name, sql) in &new {
        assert_eq!(migrated.get(name), Some(sql), "{name}");
    }
    assert_eq!(migrated.len(), new.len());
}

#[test]
fn a_former_secret_goes_on_signing_after_the_migration() {
    let shell = holding(OF_SCHEMA_2);
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        Connection::open_with_flags(shell.directory.file("countersign.db"), flags).unwrap()
    };
    open()
        .execute_batch(
            "UPDATE webhook_endpoint SET previous_salt = x'000102030405060708090a0b0c0d0e0f',
               previous_until_ms = 9000000000000",
        )
        .unwrap();

    shell.run(&["migrate"]).ok();

    let kept =
        "SELECT count(*) FROM former_endpoint_secret JOIN webhook_endpoint USING (endpoint_id)
                WHERE salt = x'000102030405060708090a0b0c0d0e0f' AND until_ms = 9000000000000";
    let [kept, all] = [kept, "SELECT count(*) FROM webhook_endpoint"]
        .map(|sql| open().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap());
    assert!(all > 0 && kept == all, "{kept} of {all}");
}

/// The SHA-256 of a schema's [`shape`].
fn digest(database: &Connection) -> String {
    let mut hash = Sha256::new();
    for (name, sql) in shape(database).iter().filter(|(name, _)| !name.starts_with("sqlite_")) {
        hash.update(format!("{name}\n{sql}\n"));
    }
    let mut hex = String::new();
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

fn version(database: &Connection) -> i32 {
    database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn a_change_of_the_schemas_text_is_a_version_of_its_own_with_a_migration_and_a_register() {
    let of = |statements: &str| {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(statements).unwrap();
        (version(&database), digest(&database))
    };
    for (version, register, sha256) in VERSIONS {
        assert_eq!(of(register), (version, sha256.to_owned()), "its schema is settled");
    }

    let (newest, _, sha256) = VERSIONS[VERSIONS.len() - 1];
    assert_eq!(
        of(SCHEMA),
        (newest, sha256.to_owned()),
        "schema.sql has changed: give it a new version, a migration, and a line above"
    );
    let steps: Vec<i32> = MIGRATIONS.iter().map(|it| it.to).collect();
    assert_eq!(steps, (2..=newest).collect::<Vec<_>>());
}

#[test]
fn a_register_whose_schema_is_not_the_one_of_its_version_is_refused_by_whoever_opens_it() {
    for (change, words) in [
        ("DROP TABLE expiry_notice", "the table expiry_notice is missing"),
        ("DROP INDEX verification_by_expiry", "the index verification_by_expiry is missing"),
        (
            "DROP TRIGGER signature_evidence_is_kept",
            "the trigger signature_evidence_is_kept is missing",
        ),
        ("ALTER TABLE api_key DROP COLUMN created_by_key", "the table api_key is another"),
        ("ALTER TABLE reconciliation ADD COLUMN x TEXT", "the table reconciliation is another"),
        (
            "CREATE UNIQUE INDEX mine ON organization (name)",
            "the index mine on organization is none of ours",
        ),
        (
            "CREATE TRIGGER mine AFTER UPDATE ON verification BEGIN SELECT 1; END",
            "the trigger mine on verification is none of ours",
        ),
        (
            "DROP INDEX api_key_by_organization; DROP INDEX applicant_by_organization;
             DROP INDEX organization_by_name; DROP INDEX organization_by_creator",
            ", and 1 more)",
        ),
    ] {
        let shell = holding(OF_SCHEMA_4).with(&SECRETS).with(&SUMSUB);
        let path = shell.directory.file("countersign.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        Connection::open_with_flags(&path, flags).unwrap().execute_batch(change).unwrap();
        let before = std::fs::read(&path).unwrap();

        for command in [
            &["org", "list"][..],
            &["org", "create", "--name", "Acme", "--type", "BUSINESS"],
            &["serve", "--listen", "127.0.0.1:0"],
            &["serve", "--listen", "127.0.0.1:0", "--migrate"],
            &["verify"],
            &["backup", "copy.db"],
            &["migrate", "--plan"],
            &["migrate"],
        ] {
            let error = shell.run(command).refused(5);
            assert!(error.contains("says that it is of schema 4"), "{command:?}: {error}");
            assert!(error.contains(words), "{command:?}: {error}");
        }
        let doctor = shell.run(&["doctor"]).ends(1);
        assert!(doctor.contains(words) && doctor.contains("restore BACKUP"), "{doctor}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{change}");
        assert!(!shell.directory.file("copy.db").exists());
    }
}

#[test]
fn a_register_made_between_two_versions_is_not_migrated_into_one_that_lacks_something() {
    for (register, change, words) in [
        (OF_SCHEMA_1, "DROP TABLE expiry_notice", "the table expiry_notice is missing"),
        (OF_SCHEMA_1, "ALTER TABLE api_key DROP COLUMN name", "no such column: name"),
        (OF_SCHEMA_2, "DROP TABLE reconciler", "the table reconciler is missing"),
        (OF_SCHEMA_3, "DROP TABLE former_endpoint_secret", "former_endpoint_secret is missing"),
        (OF_SCHEMA_3, "DROP TRIGGER delivery_is_kept", "the trigger delivery_is_kept is missing"),
    ] {
        let shell = holding(register).with(&SECRETS).with(&SUMSUB);
        let path = shell.directory.file("countersign.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        Connection::open_with_flags(&path, flags).unwrap().execute_batch(change).unwrap();
        let before = std::fs::read(&path).unwrap();

        for command in [
            &["migrate", "--plan"][..],
            &["migrate"],
            &["serve", "--listen", "127.0.0.1:0", "--migrate"],
        ] {
            let error = shell.run(command).refused(5);
            assert!(error.contains(words) && error.contains("nothing was changed"), "{error}");
        }
        assert!(shell.run(&["org", "list"]).refused(5).contains("earlier version"));
        assert_eq!(std::fs::read(&path).unwrap(), before, "{change}");
    }
}

#[test]
fn what_others_keep_in_the_register_is_left_to_them_also_by_a_migration() {
    let theirs = "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
                  CREATE TABLE _litestream_lock (id INTEGER);
                  CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, organization_id TEXT);
                  CREATE INDEX notes_by_organization ON notes (organization_id);
                  CREATE TABLE marks (link TEXT REFERENCES idempotency (body));
                  CREATE TABLE dangling (of TEXT REFERENCES organization (organization_id));
                  CREATE VIEW seen AS SELECT key_id FROM api_key;
                  CREATE TRIGGER noted AFTER INSERT ON notes
                    BEGIN DELETE FROM notes WHERE id IN (SELECT 1 FROM webhook_endpoint WHERE 0); END;
                  INSERT INTO _litestream_seq VALUES (1, 47);
                  INSERT INTO dangling VALUES ('org_nobody');
                  ANALYZE;";
    for (version, register, _) in VERSIONS {
        let shell = holding(&format!("{register}{theirs}"));
        if version < 4 {
            shell.run(&["migrate"]).ok();
        }

        folds_as_it_did(&shell);

        shell.run(&["backup", "copy.db"]).ok();
        for name in ["countersign.db", "copy.db"] {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
            let database = Connection::open_with_flags(shell.directory.file(name), flags).unwrap();
            let sequence: i64 =
                database.query_row("SELECT seq FROM _litestream_seq", [], |it| it.get(0)).unwrap();
            assert_eq!(sequence, 47, "{name}");
        }
    }
}

/// Changes records behind the back of the program: its triggers are taken away and put back.
fn tamper(database: &Connection, statement: &str) {
    let triggers = {
        let mut all =
            database.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect::<Vec<(String, String)>>()
    };
    database.pragma_update(None, "foreign_keys", false).unwrap();
    for (name, _) in &triggers {
        database.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    assert!(database.execute(statement, []).unwrap() > 0, "{statement}");
    for (_, sql) in &triggers {
        database.execute_batch(sql).unwrap();
    }
}

#[test]
fn a_letter_or_a_webhook_that_was_changed_or_removed_is_found_by_verify_backup_and_doctor() {
    for (statement, words) in [
        (
            "UPDATE signature_evidence SET text = text || ' '",
            "is not the one that its SHA-256 was taken of",
        ),
        (
            "UPDATE signature_evidence SET text_sha256 = zeroblob(32)",
            "is not the one that its SHA-256 was taken of",
        ),
        ("DELETE FROM signature_evidence", "the letter that was signed is not there"),
        (
            "UPDATE signature_evidence SET text = CAST(x'ff00' AS TEXT)",
            "is not the one that its SHA-256 was taken of",
        ),
        (
            "UPDATE signature_evidence SET sequence = 1",
            "has evidence of a signature on the page, but no such signature",
        ),
        (
            "UPDATE delivery SET body = x'7b7d' WHERE delivery_id = 7",
            "the body of Sumsub's delivery 7 is not the one",
        ),
        (
            "UPDATE delivery SET body_sha256 = zeroblob(32) WHERE delivery_id = 7",
            "the body of Sumsub's delivery 7 is not the one",
        ),
    ] {
        let shell = holding(OF_SCHEMA_4);
        let path = shell.directory.file("countersign.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        tamper(&Connection::open_with_flags(path, flags).unwrap(), statement);

        for command in [&["verify"][..], &["backup", "copy.db"]] {
            let error = shell.run(command).refused(5);
            assert!(error.contains(words), "{statement}: {command:?}: {error}");
        }
        assert!(!shell.directory.file("copy.db").exists());
        let diagnosis = shell.run(&["doctor"]).ends(1);
        assert!(diagnosis.contains(words), "{statement}: {diagnosis}");
    }
}

#[test]
fn a_body_that_went_by_age_is_no_fault() {
    let shell = holding(OF_SCHEMA_4);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let database =
        Connection::open_with_flags(shell.directory.file("countersign.db"), flags).unwrap();
    database.execute("UPDATE delivery SET body = NULL WHERE delivery_id < 30", []).unwrap();

    let proof = shell.json(&["verify"]);

    assert_eq!(proof["deliveries"], 32);
    assert_eq!((&proof["bodiesCompared"], &proof["lettersCompared"]), (&3.into(), &1.into()));
}

#[test]
fn a_register_of_the_other_environment_is_not_migrated_and_neither_is_one_that_cannot_be_served() {
    let shell = holding(OF_SCHEMA_3).with(&SECRETS).with(&SUMSUB);
    let path = shell.directory.file("countersign.db");
    let before = std::fs::read(&path).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--migrate"];
    let live = ["--environment", "live", "--sumsub-url", "https://api.sumsub.com"];
    let lettered = ["--public-url", "https://kyc.example", "--letter", "nowhere.txt"];

    let live = shell
        .with(&[("COUNTERSIGN_SUMSUB_APP_TOKEN", "prd:Qaaaa.Qbbbb")])
        .run(&[&serve[..], &live].concat());
    let error = live.refused(5);
    assert!(error.contains("is a test register and this is live"), "{error}");

    let shell = holding(OF_SCHEMA_3).with(&SECRETS).with(&SUMSUB);
    let error = shell.run(&[&serve[..], &lettered].concat()).refused(2);
    assert!(error.contains("the letter nowhere.txt cannot be used"), "{error}");
    let error = shell.run(&["migrate", "--environment", "live"]).refused(5);
    assert!(error.contains("is a test register and this is live"), "{error}");
    assert_eq!(std::fs::read(shell.directory.file("countersign.db")).unwrap(), before);
}

#[test]
fn a_server_migrates_only_if_it_is_told_to() {
    let world = World::in_real_time();
    for (as_flag, variables) in
        [(&["--migrate"][..], &[][..]), (&[], &[("COUNTERSIGN_MIGRATE", "yes")])]
    {
        let shell = crate::crash::shell(&world).with(variables);
        fill(&shell, OF_SCHEMA_1);
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        if variables.is_empty() {
            for arguments in [&serve[..], &[&serve[..], &["--migrate=no"]].concat()] {
                let error = shell.run(arguments).refused(5);
                assert!(error.contains("countersign migrate --plan"), "{error}");
            }
        }

        let mut server = Resident::start(&shell, &[&serve[..], as_flag].concat());
        // One more is of its endpoint's key, which is in no register.
        let told = lines(server.0.stderr.take().unwrap(), 4);

        assert!(told.iter().any(|it| it.contains("serves http://")), "{told:?}");
        assert!(told[0].contains("migrating a register of an earlier version"), "{told:?}");
        assert!(told[1].contains("countersign.db.version-1-"), "{told:?}");
        folds_as_it_did(&shell);
        assert_eq!(server.terminate(), 0);
        let shell = shell.with(&[("COUNTERSIGN_MIGRATE", "yes"), ("COUNTERSIGN_LOG", "off")]);
        let (server, _) = crate::crash::serve(&shell);
        assert_eq!(server.terminate(), 0, "and nothing is left to do");
    }
}
