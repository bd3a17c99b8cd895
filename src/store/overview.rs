//! Overview about the register as a whole, and the watch that notices what other processes write.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rusqlite::{Connection, named_params};

use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{State, Status};
use crate::store::{Reader, SCHEMA_VERSION, Store, StoreError, open_reader};

/// What the register holds, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// How many organizations have each status now, in the contract's order.
    pub statuses: [u64; Status::ALL.len()],
    /// Signed LOAs.
    pub loas_signed: u64,
    /// LOAs that wait for a signature.
    pub loas_unsigned: u64,
    /// Approvals by Sumsub that do not count and wait for an operator.
    pub ignored_approvals: u64,
    /// Approvals by Sumsub that wait until it has been asked.
    pub awaiting_approvals: u64,
    /// Webhooks to brokers that wait for their next attempt.
    pub outgoing_waiting: u64,
    /// Since when the longest of them waits.
    pub outgoing_oldest: Option<Timestamp>,
    /// The file's size in bytes, its write-ahead log not counted.
    pub file_bytes: u64,
    /// The write-ahead log's size in bytes.
    pub log_bytes: u64,
    /// How long Sumsub's newest verdicts took to reach us, in milliseconds, newest first.
    pub webhook_lags_ms: Vec<i64>,
    /// `SQLite`'s version.
    pub sqlite: &'static str,
    /// The schema's version.
    pub schema: i32,
}

/// How many deliveries the webhook lag is read from.
const LAGS: u32 = 40;
/// How many of the newest facts are looked at for them: bounds the walk when few are Sumsub's.
const FACTS_LOOKED_AT: u32 = 2_000;

impl Store {
    /// The register in numbers. Counts walk an index: for a worker, not for a drawing thread.
    pub fn overview(&self, now: Timestamp) -> Result<Overview, StoreError> {
        let log = PathBuf::from(format!("{}-wal", self.path().display()));
        let log_bytes = std::fs::metadata(log).map_or(0, |it| it.len());
        self.snapshot(|register| Ok(Overview { log_bytes, ..register.overview(now)? }))
    }

    /// A watch over commits of this and every other process.
    pub fn watch_commits(&self) -> Result<CommitWatch, StoreError> {
        let path = self.path().to_owned();
        // First: of a file that is gone, this says so in plainer words.
        let inode = inode(&path)?;
        let connection = open_reader(&path)?;
        let seen = data_version(&connection)?;
        Ok(CommitWatch { connection, path, inode, seen })
    }
}

impl Reader<'_> {
    fn overview(self, now: Timestamp) -> Result<Overview, StoreError> {
        let mut statuses = [0_u64; Status::ALL.len()];
        let mut add = |status: Status, count: i64| {
            let place = Status::ALL.iter().position(|it| *it == status);
            if let Some(it) = place.and_then(|it| statuses.get_mut(it)) {
                *it = it.saturating_add_signed(count);
            }
        };
        let mut by_state = self
            .connection
            .prepare_cached("SELECT state, count(*) FROM verification GROUP BY state")?;
        let counts = by_state
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?
            .collect::<Result<Vec<_>, _>>()?;
        for (word, count) in counts {
            let state = State::parse(&word).ok_or(StoreError::Corrupt("verification state"))?;
            add(state.status(), count);
        }
        let expired = self.tally(
            "SELECT count(*) FROM verification
             WHERE expires_at_ms IS NOT NULL AND expires_at_ms <= :now AND state = 'APPROVED'",
            now,
        )?;
        add(Status::Approved, expired.saturating_neg());
        add(Status::ResubmissionRequired, expired);
        let tally = |sql| Ok::<_, StoreError>(self.tally(sql, now)?.unsigned_abs());
        let pragma =
            |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (pages, page_bytes) = (pragma("page_count")?, pragma("page_size")?);
        Ok(Overview {
            statuses,
            loas_signed: tally(
                "SELECT count(*) FROM authorization WHERE status || '' = 'ACTIVE' AND :now >= 0",
            )?,
            loas_unsigned: tally(
                "SELECT count(*) FROM authorization WHERE status || '' = 'PENDING' AND :now >= 0",
            )?,
            ignored_approvals: self.count_ignored_approvals()?.unsigned_abs(),
            awaiting_approvals: tally("SELECT count(*) FROM awaiting_provider WHERE :now >= 0")?,
            outgoing_waiting: tally(
                "SELECT count(*) FROM outgoing_delivery WHERE status = 'PENDING' AND :now >= 0",
            )?,
            outgoing_oldest: self.oldest_waiting()?,
            file_bytes: pages.saturating_mul(page_bytes).unsigned_abs(),
            log_bytes: 0,
            webhook_lags_ms: self.webhook_lags()?,
            sqlite: rusqlite::version(),
            schema: SCHEMA_VERSION,
        })
    }

    fn tally(self, sql: &str, now: Timestamp) -> Result<i64, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(named_params! {":now": now.as_ms()}, |row| row.get(0))?)
    }

    fn oldest_waiting(self) -> Result<Option<Timestamp>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT min(created_at_ms) FROM outgoing_delivery WHERE status = 'PENDING'",
        )?;
        let at: Option<i64> = statement.query_row([], |row| row.get(0))?;
        Ok(at.map(Timestamp::from_ms))
    }

    fn webhook_lags(self) -> Result<Vec<i64>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT known_at_ms - happened_at_ms
             FROM (SELECT known_at_ms, happened_at_ms, delivery_id, sequence
                   FROM verification_event ORDER BY sequence DESC LIMIT :looked_at)
             WHERE delivery_id IS NOT NULL
             ORDER BY sequence DESC
             LIMIT :lags",
        )?;
        let rows = statement
            .query_map(named_params! {":looked_at": FACTS_LOOKED_AT, ":lags": LAGS}, |row| {
                row.get(0)
            })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Notices commits of whatever process, and a file that was taken away.
#[derive(Debug)]
pub struct CommitWatch {
    connection: Connection,
    path: PathBuf,
    inode: u64,
    seen: i64,
}

impl CommitWatch {
    /// Whether anybody has committed since the last call.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the file is gone or another one stands in its place: the open
    /// one would be read on for ever. [`StoreError::Newer`] and [`StoreError::Older`] when another
    /// version has taken it over.
    pub fn has_changed(&mut self) -> Result<bool, StoreError> {
        if inode(&self.path)? != self.inode {
            return Err(StoreError::Missing(self.path.clone()));
        }
        let version = data_version(&self.connection)?;
        if version == self.seen {
            return Ok(false);
        }
        let found =
            self.connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer { path: self.path.clone(), found });
        }
        if found < SCHEMA_VERSION {
            return Err(StoreError::Older { path: self.path.clone(), found });
        }
        self.seen = version;
        Ok(true)
    }
}

fn inode(path: &PathBuf) -> Result<u64, StoreError> {
    std::fs::metadata(path).map(|it| it.ino()).map_err(|_gone| StoreError::Missing(path.clone()))
}

/// Changes when another connection commits; costs about a microsecond.
fn data_version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
}
