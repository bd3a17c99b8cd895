//! The register: one SQLite file, opened and checked here, the only home of rusqlite.
//!
//! Reads go through a small pool of read-only connections and each sees the last commit, also one
//! of another process. Writes go through the one writer of this process ([`writer`]): an answer
//! leaves only after its commit is on disk (`synchronous=FULL`). A row that cannot be read back
//! into the domain's types is [`StoreError::Corrupt`], never a default.

mod access;
mod activity;
mod authorization;
mod authorization_row;
mod cancel;
mod changes;
mod clock;
mod copy;
mod delivery;
mod delivery_row;
mod disk;
mod figures;
pub mod files;
mod gate_refusal;
mod handoff_link;
mod idempotency;
mod ignored_approval;
mod import_attempt;
mod key;
mod migration;
mod organization;
mod organization_row;
mod outgoing_delivery;
mod outgoing_message;
mod outgoing_row;
mod overview;
mod proof;
mod readers;
mod readiness;
mod reconciliation;
mod records;
mod replace;
mod retention;
mod review;
mod serving;
mod shape;
mod signature;
mod verification;
mod webhook_endpoint;
mod writer;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

pub use access::{Access, KeyFacts, Subject};
pub use activity::ActivityRow;
pub use authorization::{
    AuthorizationCause, AuthorizationFilter, AuthorizationNote, NewAuthorizationEvent, Role,
};
pub use authorization_row::{AuthorizationRow, AuthorizationsShown};
pub use cancel::Cancel;
pub use changes::{Changes, Watch, WatchEnd, Woken};
pub use copy::{Progress, Stage, copy_register, copy_register_unless, register_bytes, stamp_of};
pub use delivery::{Delivery, NewDelivery, Outcome};
pub use delivery_row::DeliveryRow;
pub use figures::Figures;
pub use gate_refusal::GateRefusal;
pub use handoff_link::{HandoffLink, LinkFilter};
pub use idempotency::KeptAnswer;
pub use ignored_approval::IgnoredApproval;
pub use import_attempt::ImportAttempt;
pub use key::{ApiKey, Scopes};
pub use migration::{
    Held, MIGRATIONS, Migration, apply as apply_migrations, check_stamp, steps_for,
};
pub use organization_row::{Direction, OrganizationOrder, OrganizationRow, RowKey};
pub use outgoing_delivery::{
    Claim, DeliveryFilter, DeliveryName, DueEndpoint, NewAttempt, OutgoingAttempt, OutgoingDelivery,
};
pub use outgoing_row::OutgoingRow;
pub use overview::{CommitWatch, Overview};
pub use proof::{Proof, prove, prove_unless};
pub use readiness::{Readiness, Room};
pub use reconciliation::{LastPass, Patience, Question};
pub use records::RecordsCompared;
pub use replace::{Losses, losses, put_in_place};
pub use retention::Passed;
pub use review::ReviewRow;
pub use serving::{ServingLock, refuse_other_names};
pub use signature::{Evidence, RecordedSignature};
pub use verification::{Cause, DatedBy, NewFact, Recorded, RecordedFact};
pub use webhook_endpoint::{Salts, WebhookEndpoint, endpoint_salts_in};
pub use writer::{Folded, WriterTally};

use crate::domain::environment::Environment;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;

/// The schema's text; the README points people to it.
pub const SCHEMA: &str = include_str!("../../schema.sql");
/// `application_id` of `schema.sql`.
const APPLICATION_ID: i32 = 0x4353_474E;
/// `user_version` of `schema.sql`.
const SCHEMA_VERSION: i32 = 4;
/// Small reads do not scale past a few connections (shared locks), and idle ones cost memory.
const READERS: usize = 4;

/// How often a statement looks whether another process's transaction has ended. A server under load
/// leaves its file free for some microseconds in several milliseconds; `SQLite`'s own busy timeout
/// looks ten times a second after a while, and misses them all.
const BUSY_LOOK_EVERY: Duration = Duration::from_millis(1);
/// How many looks: ten seconds.
const BUSY_LOOKS_MAX: i32 = 10_000;
/// Up to this size a file is checked page by page when it is opened; a larger one would make every
/// start wait, and is checked where it is used.
const CHECKED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What went wrong with the register.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such file, and the command does not create one.
    #[error(
        "there is no register at {0}: create one with `countersign org create`, or name another file with --database"
    )]
    Missing(PathBuf),
    /// The file is not a register of this program.
    #[error(
        "{0} is not a Countersign register: name another file with --database; this one was not touched"
    )]
    Foreign(PathBuf),
    /// A later version of this program wrote the file.
    #[error(
        "{path} was written by a newer version (schema {found}, this program knows {SCHEMA_VERSION}): run the newer countersign, or put the register from before its migration back with `countersign restore --force {path}.version-...`; nothing was changed"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its `user_version`.
        found: i32,
    },
    /// An earlier version of this program wrote the file.
    #[error(
        "{path} was written by an earlier version (schema {found}, this program needs {SCHEMA_VERSION}): `countersign migrate --plan` shows what has to be done; nothing was changed"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its `user_version`.
        found: i32,
    },
    /// No steps lead from the file's version to this program's.
    #[error(
        "{path} is of schema {found}, which no version of this program that can be migrated wrote: \
         nothing was changed"
    )]
    NotMigratable {
        /// The file.
        path: PathBuf,
        /// Its `user_version`.
        found: i32,
    },
    /// The file's tables are not those of its version.
    #[error(
        "{path} says that it is of schema {version}, but its schema is another ({differences}): a \
         program between two versions made it, or somebody changed it. Put a backup in its place \
         with `countersign restore`, or name another file with --database; nothing was changed"
    )]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// Its `user_version`.
        version: i32,
        /// The first few, in words.
        differences: String,
    },
    /// `SQLite` cannot make sense of the file.
    #[error(
        "{path} is damaged ({what}): keep a copy of it and put the last backup in its place; nothing was changed"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What `SQLite` said.
        what: String,
    },
    /// The file belongs to the other environment.
    #[error(
        "{path} is a {stamped} register and this is {asked}: set COUNTERSIGN_ENVIRONMENT={stamped}, or name another file with --database"
    )]
    OtherEnvironment {
        /// The file.
        path: PathBuf,
        /// What the file is.
        stamped: &'static str,
        /// What was asked for.
        asked: &'static str,
    },
    /// Another process serves the file.
    #[error(
        "{path} is served by {by}: stop that server first, or name another file with --database"
    )]
    Served {
        /// The file.
        path: PathBuf,
        /// Who serves it, in words.
        by: String,
    },
    /// Another process has the file open, and it is to be replaced.
    #[error(
        "{0} is open in another process (the console, a command, or a replication): end it and try \
         again; nothing was changed"
    )]
    InUse(PathBuf),
    /// A file beside the register, a copy or a directory cannot be used.
    #[error("cannot {doing} {path}: {why}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// More writes wait than the queue holds. Trying again later helps.
    #[error("too many writes are waiting")]
    Busy,
    /// The writer has ended.
    #[error("the register is closed")]
    Closed,
    /// A write panicked; it was rolled back, the others were not.
    #[error("a write failed inside the program")]
    Panicked,
    /// A stored value is none that this program writes.
    #[error("the register holds an unreadable {0}")]
    Corrupt(&'static str),
    /// `SQLite` gave the whole transaction up, as on a full disk; nothing of it was kept.
    #[error("the register gave the transaction up")]
    RolledBack,
    /// `SQLite` refused.
    #[error("the register answered: {0}")]
    Sqlite(Arc<rusqlite::Error>),
}

impl StoreError {
    /// Whether another process held the register for longer than a statement waits for.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Sqlite(error) if disk::Trouble::of(error) == Some(disk::Trouble::Held))
    }

    /// The same, said of the file that a damaged copy was taken from.
    #[must_use]
    pub fn about(self, source: &Path) -> Self {
        match self {
            Self::Damaged { what, .. } => Self::Damaged { path: source.to_owned(), what },
            other => other,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        disk::note(&error);
        Self::Sqlite(Arc::new(error))
    }
}

/// The open register. Cheap to share by reference between threads.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    files: readiness::Files,
    readers: readers::Readers,
    changes: Arc<Changes>,
    writer: writer::Writer,
    /// How scheduled backups fare.
    pub backups: BackupTally,
}

/// How scheduled backups have fared since the start.
#[derive(Debug, Default)]
pub struct BackupTally {
    /// Backups made and proven.
    pub made: AtomicU64,
    /// Attempts that came to nothing.
    pub failed: AtomicU64,
    /// Of those made, how many have no webhook key beside them that fits.
    pub unfit_key: AtomicU64,
    /// When the newest good backup was made, in ms since 1970, also one from before the start; 0:
    /// none is known.
    pub newest_at_ms: AtomicI64,
}

/// Whether opening may create the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A missing file becomes a new register.
    CreateIfMissing,
    /// A missing file is an error.
    MustExist,
}

impl Store {
    /// Opens the register at `path`, or says in one sentence why not and what to do.
    pub fn open(
        path: &Path,
        environment: Environment,
        opening: Opening,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        check_is_file(path)?;
        if files::is_new(path) && opening == Opening::MustExist {
            return Err(StoreError::Missing(path.to_owned()));
        }
        let connection = prepare(path, environment, now).map_err(|it| damage(path, it))?;
        let changes = Arc::new(Changes::default());
        let spares =
            (1..READERS).map(|_| open_reader(path)).collect::<Result<Vec<_>, StoreError>>()?;
        let readers = readers::Readers::new(open_reader(path)?, spares);
        Ok(Self {
            path: path.to_owned(),
            files: readiness::Files::of(path),
            readers,
            writer: writer::Writer::start(connection, Arc::clone(&changes))?,
            changes,
            backups: BackupTally::default(),
        })
    }

    /// From now on reads copy what they need instead of mapping the file: slower, but this process's
    /// memory does not grow with the register. For a process beside the server.
    pub fn unmap(&self) -> Result<(), StoreError> {
        self.readers.for_each(|it| Ok(it.execute_batch("PRAGMA mmap_size = 0")?))
    }

    /// Closes the register, as explicitly as the end of a server has to be: other threads may still have
    /// it. Later reads and writes get [`StoreError::Closed`]; writes that wait are done first; what still
    /// reads is interrupted. Then the log is folded into the file, and other processes that read from it
    /// are waited for, `patience` at the most in each of three steps. `None`: it was closed before.
    pub fn close(&self, patience: Duration) -> Option<Folded> {
        let queue = self.writer.stop_taking()?;
        let stuck = self.readers.close();
        if stuck > 0 {
            tracing::warn!(stuck, "the register is closed under requests that do not end");
        }
        Some(self.writer.end(queue, patience))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs statements on a read-only connection. Each statement sees the last commit of its own
    /// moment; what must agree belongs into one statement or into [`Store::snapshot`].
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Reader<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let lent = self.readers.lend()?;
        work(&Reader { connection: lent.connection()? })
    }

    /// Runs statements that all see one and the same commit.
    pub fn snapshot<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Reader<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let lent = self.readers.lend()?;
        let transaction = lent.connection()?.unchecked_transaction().map_err(StoreError::from)?;
        work(&Reader { connection: &transaction })
    }

    /// Runs a write and returns when its commit is on disk. An `Err` of the closure rolls back what
    /// it wrote, and nothing else. The closure must not wait for anything.
    pub fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.run(work)
    }

    /// Queues a write that nobody waits for, and that may be lost: a note, never a fact.
    pub fn write_later<F>(&self, work: F)
    where
        F: FnOnce(&Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        self.writer.run_later(work);
    }

    /// What the writer has done since the start.
    pub fn tally(&self) -> WriterTally {
        self.writer.tally()
    }

    /// From now on `floor` is raised to the newest instant at which this register knew something.
    pub fn report_known(&self, floor: Arc<AtomicI64>) -> Result<(), StoreError> {
        let newest = self.read(|register| register.newest_known())?;
        floor.fetch_max(newest.as_ms(), Ordering::Relaxed);
        self.changes.report_known(floor);
        Ok(())
    }

    /// Who waits for changes.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Whether a write would reach the disk now: commits an empty transaction.
    pub fn is_writable(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.connection
                .execute_batch("UPDATE register SET only_row = only_row")
                .map_err(StoreError::from)
        })
    }
}

/// Statements that read. A noun's statements are methods in the noun's file.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'c> {
    connection: &'c Connection,
}

/// Statements that write, inside the writer's transaction; reads too, by [`std::ops::Deref`].
#[derive(Debug)]
pub struct Tx<'c> {
    reader: Reader<'c>,
    touched: RefCell<Touched>,
}

/// Who waits for what a write has changed.
#[derive(Debug, Default)]
struct Touched {
    /// Whoever waits for one of these.
    organizations: Vec<OrganizationId>,
    /// Whoever waits at all: a key or a link opens nothing any more.
    everybody: bool,
    /// The newest instant at which something became known.
    known_at_ms: i64,
}

impl<'c> Tx<'c> {
    fn new(connection: &'c Connection) -> Self {
        Self { reader: Reader { connection }, touched: RefCell::default() }
    }
}

impl<'c> std::ops::Deref for Tx<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}

fn prepare(
    path: &Path,
    environment: Environment,
    now: Timestamp,
) -> Result<Connection, StoreError> {
    if files::is_new(path) {
        files::create_private_if_missing(path);
    } else {
        let connection = open_connection(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        check_kind(path, &connection)?;
        check_version(path, &connection)?;
    }
    let connection =
        open_connection(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 10000;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    create_schema(&connection, environment, now)?;
    check_kind(path, &connection)?;
    check_environment(path, environment, &connection)?;
    Ok(connection)
}

/// Refuses a directory, a pipe and the like before anything is made beside them.
pub(super) fn check_is_file(path: &Path) -> Result<(), StoreError> {
    match std::fs::metadata(path) {
        Ok(it) if !it.is_file() => Err(StoreError::Foreign(path.to_owned())),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn create_schema(
    connection: &Connection,
    environment: Environment,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Two processes may start on a new file at once: the second finds the first one's schema.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let is_empty = connection
        .query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get::<_, bool>(0))?;
    if is_empty {
        connection.execute_batch(SCHEMA)?;
        connection.execute(
            "INSERT INTO register (only_row, environment, created_at_ms)
             VALUES (1, :environment, :now)",
            rusqlite::named_params! {":environment": environment.as_str(), ":now": now.as_ms()},
        )?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(())
}

fn check_kind(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    if pragma("application_id")? != APPLICATION_ID {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    let found = pragma("user_version")?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found });
    }
    let size = std::fs::metadata(path).map_or(0, |it| it.len());
    if size > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let verdict =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))?;
    if verdict != "ok" {
        return Err(StoreError::Damaged { path: path.to_owned(), what: verdict });
    }
    Ok(())
}

/// Also of a file that [`check_kind`] found to be a register: is it of this version, and truly?
fn check_version(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let found = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))?;
    if found < SCHEMA_VERSION {
        return Err(StoreError::Older { path: path.to_owned(), found });
    }
    shape::check(path, connection)
}

/// What a register was stamped with when it was made: its environment, and the instant.
fn stamp(connection: &Connection) -> Result<(Environment, Timestamp), StoreError> {
    let (environment, created_at_ms): (String, i64) =
        connection.query_row("SELECT environment, created_at_ms FROM register", [], |row| {
            Ok((row.get("environment")?, row.get("created_at_ms")?))
        })?;
    let environment = Environment::parse(&environment).ok_or(StoreError::Corrupt("environment"))?;
    Ok((environment, Timestamp::from_ms(created_at_ms)))
}

fn check_environment(
    path: &Path,
    asked: Environment,
    connection: &Connection,
) -> Result<(), StoreError> {
    let (stamped, _) = stamp(connection)?;
    if stamped == asked {
        return Ok(());
    }
    Err(StoreError::OtherEnvironment {
        path: path.to_owned(),
        stamped: stamped.as_str(),
        asked: asked.as_str(),
    })
}

/// Says "damaged" or "foreign" where `SQLite` says so in its own words.
fn damage(path: &Path, error: StoreError) -> StoreError {
    let StoreError::Sqlite(cause) = &error else { return error };
    match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::Foreign(path.to_owned()),
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path: path.to_owned(), what: cause.to_string() }
        }
        _ => error,
    }
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_connection(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA mmap_size = 2147418112;")?;
    Ok(connection)
}

#[expect(clippy::disallowed_methods, reason = "SQLite asks for a wait, on the thread that waits")]
fn waited_for_another_process(looks: i32) -> bool {
    std::thread::sleep(BUSY_LOOK_EVERY);
    looks < BUSY_LOOKS_MAX
}

fn open_connection(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let mut connection =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // With STAT4 compiled in, a cached statement is prepared anew whenever a bound value changes,
    // unless query plans are promised to be stable: ten times slower point reads.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_handler(Some(waited_for_another_process))?;
    connection.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}
