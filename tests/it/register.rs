//! The file: what it may be opened as, and what is refused with a sentence that says what to do.

use std::fs;
use std::sync::Arc;

use crate::rig::{Directory, Rig, START_MS};
use countersign::domain::environment::Environment;
use countersign::domain::timestamp::Timestamp;
use countersign::store::{Opening, ServingLock, Store};

fn open(
    directory: &Directory,
    environment: Environment,
    opening: Opening,
) -> Result<Store, String> {
    let path = directory.file("register.db");
    Store::open(&path, environment, opening, Timestamp::from_ms(START_MS))
        .map_err(|it| it.to_string())
}

fn refused(directory: &Directory, environment: Environment) -> String {
    open(directory, environment, Opening::MustExist).err().unwrap()
}

fn sqlite(directory: &Directory) -> rusqlite::Connection {
    rusqlite::Connection::open_with_flags(
        directory.file("register.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_CREATE,
    )
    .unwrap()
}

#[test]
fn a_missing_file_is_created_only_by_commands_that_may() {
    let directory = Directory::new();

    assert!(refused(&directory, Environment::Test).contains("there is no register"));
    assert!(!directory.file("register.db").exists());
    assert!(open(&directory, Environment::Test, Opening::CreateIfMissing).is_ok());
    assert!(open(&directory, Environment::Test, Opening::MustExist).is_ok());
}

#[test]
fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = Directory::new();
    drop(open(&directory, Environment::Test, Opening::CreateIfMissing));

    let mode = fs::metadata(directory.file("register.db")).unwrap().permissions().mode();

    assert_eq!(mode & 0o077, 0);
}

#[test]
fn a_file_of_the_other_environment_is_refused() {
    let directory = Directory::new();
    drop(open(&directory, Environment::Test, Opening::CreateIfMissing).unwrap());

    let sentence = refused(&directory, Environment::Live);

    assert!(sentence.contains("is a test register and this is live"), "{sentence}");
    assert!(sentence.contains("COUNTERSIGN_ENVIRONMENT=test"), "{sentence}");
}

#[test]
fn a_foreign_database_or_file_is_refused_and_not_touched() {
    let directory = Directory::new();
    sqlite(&directory).execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(directory.file("register.db")).unwrap();

    let sentence = refused(&directory, Environment::Test);

    assert!(sentence.contains("not a Countersign register"), "{sentence}");
    assert_eq!(fs::read(directory.file("register.db")).unwrap(), before);

    fs::write(directory.file("register.db"), "Dear diary, today I was no database. ".repeat(200))
        .unwrap();
    assert!(refused(&directory, Environment::Test).contains("not a Countersign register"));
}

#[test]
fn a_newer_file_is_refused_with_the_way_out() {
    let directory = Directory::new();
    drop(open(&directory, Environment::Test, Opening::CreateIfMissing).unwrap());
    sqlite(&directory).execute_batch("PRAGMA user_version = 99").unwrap();

    let sentence = refused(&directory, Environment::Test);

    assert!(sentence.contains("newer version (schema 99"), "{sentence}");
}

#[test]
fn a_damaged_file_is_refused() {
    let directory = Directory::new();
    let rig = Rig::start(directory, Arc::new(START_MS.into()), crate::rig::Setup::default());
    let broker = rig.broker();
    for _ in 0..200 {
        rig.customer(&broker, "BUSINESS");
    }
    let path = rig.directory.file("register.db");
    let copy = Directory::new();
    rig.database().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20_000].fill(0xA5);
    fs::write(copy.file("register.db"), bytes).unwrap();

    let sentence = refused(&copy, Environment::Test);

    assert!(sentence.contains("is damaged") && sentence.contains("last backup"), "{sentence}");
}

#[test]
fn extra_tables_are_tolerated() {
    let directory = Directory::new();
    drop(open(&directory, Environment::Test, Opening::CreateIfMissing).unwrap());
    sqlite(&directory).execute_batch("CREATE TABLE my_report (x)").unwrap();

    assert!(open(&directory, Environment::Test, Opening::MustExist).is_ok());
}

#[test]
fn a_write_that_fails_or_panics_takes_nothing_else_with_it() {
    let rig = Rig::new();
    let broker = rig.broker();
    let store = &rig.appliance.store;

    let panicked =
        store.write(|_| -> Result<(), countersign::store::StoreError> { panic!("on purpose") });

    assert!(panicked.is_err());
    assert!(store.is_writable().is_ok());
    assert_eq!(rig.get("/v1/organizations", &broker.key, None).status, 200);
}

#[test]
fn many_writers_at_once_are_all_answered_and_all_kept() {
    let rig = Rig::new();
    let broker = rig.broker();

    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..10 {
                    rig.customer(&broker, "INDIVIDUAL");
                }
            });
        }
    });

    let count: i64 = rig
        .database()
        .query_row("SELECT count(*) FROM organization WHERE created_by = ?1", [&broker.id], |it| {
            it.get(0)
        })
        .unwrap();
    assert_eq!(count, 160);
}

#[test]
fn the_poll_reads_by_keys_alone() {
    let rig = Rig::new();
    let database = rig.database();
    let mut statement = database
        .prepare(
            "EXPLAIN QUERY PLAN
             SELECT 1 FROM api_key AS k
             LEFT JOIN organization AS o ON o.organization_id = coalesce(:a, k.organization_id)
             LEFT JOIN verification AS v ON v.organization_id = o.organization_id
             LEFT JOIN authorization AS a
               ON a.granting = o.organization_id AND a.authorized = k.organization_id
              AND a.type = 'LOA' AND a.status IN ('PENDING', 'ACTIVE')
             WHERE k.key_sha256 = :b AND v.state <> a.status",
        )
        .unwrap();
    let plan: Vec<String> = statement
        .query_map(rusqlite::named_params! {":a": "x", ":b": "y"}, |row| row.get("detail"))
        .unwrap()
        .map(Result::unwrap)
        .collect();

    assert_eq!(plan.len(), 4);
    assert!(plan.iter().all(|it| it.starts_with("SEARCH")), "{plan:?}");
}

#[test]
fn an_empty_file_that_anybody_could_read_becomes_a_private_register() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = Directory::new();
    let path = directory.file("register.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

    let _open = open(&directory, Environment::Test, Opening::CreateIfMissing).unwrap();

    for ending in ["", "-wal", "-shm"] {
        let file = directory.file(&format!("register.db{ending}"));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{ending}");
    }
}

#[test]
fn what_is_no_file_is_refused_and_nothing_is_made_beside_it() {
    let directory = Directory::new();
    fs::create_dir(directory.file("register.db")).unwrap();

    let sentence = open(&directory, Environment::Test, Opening::CreateIfMissing).err().unwrap();
    let locked = ServingLock::take(&directory.file("register.db")).unwrap_err().to_string();

    for it in [sentence, locked] {
        assert!(it.contains("is not a Countersign register: name another file"), "{it}");
    }
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
}
