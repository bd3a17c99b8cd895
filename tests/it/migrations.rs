//! Registers of earlier schemas: migrated, verified, folded as they were, and told where the rules of
//! today would judge otherwise.

use std::collections::BTreeMap;

use countersign::store::{MIGRATIONS, SCHEMA};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::cli::Shell;

/// A register as the program of schema 1 left it.
const OF_SCHEMA_1: &str = include_str!("registers/1.sql");
/// The same as the program of schema 2 left it.
const OF_SCHEMA_2: &str = include_str!("registers/2.sql");

/// A shell on a register of schema 1, not migrated.
fn earlier() -> Shell {
    holding(OF_SCHEMA_1)
}

fn holding(register: &str) -> Shell {
    let shell = Shell::new();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let path = shell.directory.file("countersign.db");
    let database = Connection::open_with_flags(path, flags).unwrap();
    database.execute_batch(register).unwrap();
    shell
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
    for (register, step) in [(OF_SCHEMA_1, "verdicts keep their level"), (OF_SCHEMA_2, "links end")]
    {
        is_migrated_and_folds_as_it_did(&holding(register), step);
    }
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
