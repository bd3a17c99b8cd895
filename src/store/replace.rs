//! Putting a proven copy in the place of a register, and what would be lost by that.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, named_params};

use crate::domain::timestamp::Timestamp;
use crate::store::copy::open_current;
use crate::store::files::{beside, file_error, rename_durably};
use crate::store::{StoreError, damage};

/// How long another process has to end its statement before it counts as using the register.
const PATIENCE: Duration = Duration::from_secs(1);
/// What `SQLite` keeps beside a register.
const LOG_ENDINGS: [&str; 2] = ["-wal", "-shm"];

/// What a register holds and a copy does not, kind by kind; kinds without any are left out.
#[derive(Clone, Debug)]
pub struct Losses {
    /// Whether the copy is one of this very register.
    pub is_same_register: bool,
    /// When the last fact that would be lost became known.
    pub newest_at: Option<Timestamp>,
    /// Kinds of rows, the weightiest first.
    pub kinds: Vec<Loss>,
}

/// Rows of one kind that would be lost.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The kind, in words.
    pub kind: &'static str,
    /// How many.
    pub count: i64,
    /// The newest of them, in words.
    pub newest: Vec<String>,
}

/// A kind of rows, and a statement that describes those that only the register has, newest first.
/// Rows are compared whole, so a row that was changed since counts as well.
const KINDS: [(&str, &str); 8] = [
    (
        "operators' decisions",
        "SELECT event || ' of ' || organization_id || ' by ' || actor AS what, known_at_ms AS at
         FROM (SELECT * FROM main.verification_event WHERE actor IS NOT NULL
               EXCEPT SELECT * FROM held.verification_event)",
    ),
    (
        "other facts of verifications",
        "SELECT event || ' of ' || organization_id AS what, known_at_ms AS at
         FROM (SELECT * FROM main.verification_event WHERE actor IS NULL
               EXCEPT SELECT * FROM held.verification_event)",
    ),
    (
        "facts of LOAs",
        "SELECT e.event || ': ' || a.granting || ' to ' || a.authorized AS what, e.known_at_ms AS at
         FROM (SELECT * FROM main.authorization_event
               EXCEPT SELECT * FROM held.authorization_event) AS e
         JOIN main.authorization AS a ON a.authorization_id = e.authorization_id",
    ),
    (
        "organizations made or changed",
        "SELECT organization_id AS what, created_at_ms AS at
         FROM (SELECT * FROM main.organization EXCEPT SELECT * FROM held.organization)",
    ),
    (
        "API keys made, revoked or limited",
        "SELECT key_id AS what, coalesce(revoked_at_ms, created_at_ms) AS at
         FROM (SELECT * FROM main.api_key EXCEPT SELECT * FROM held.api_key)",
    ),
    (
        "hand-off links made or revoked",
        "SELECT link_id AS what, coalesce(revoked_at_ms, created_at_ms) AS at
         FROM (SELECT link_id, created_at_ms, revoked_at_ms FROM main.handoff_link
               EXCEPT SELECT link_id, created_at_ms, revoked_at_ms FROM held.handoff_link)",
    ),
    (
        "webhook endpoints made or changed",
        "SELECT endpoint_id AS what, at
         FROM (SELECT endpoint_id, url, event_types, disabled, secret_salt, updated_at_ms AS at,
                      deleted_at_ms
               FROM main.webhook_endpoint
               EXCEPT SELECT endpoint_id, url, event_types, disabled, secret_salt, updated_at_ms,
                             deleted_at_ms
               FROM held.webhook_endpoint)",
    ),
    (
        "webhooks of Sumsub",
        "SELECT coalesce(event_type, 'unreadable') AS what, received_at_ms AS at
         FROM main.delivery AS d
         WHERE NOT EXISTS (SELECT 1 FROM held.delivery WHERE body_sha256 = d.body_sha256)",
    ),
];

/// Compares a register with a copy that may take its place. An error says that it cannot be compared.
pub fn losses(register: &Path, copy: &Path) -> Result<Losses, StoreError> {
    compare(register, copy).map_err(|it| damage(register, it))
}

fn compare(register: &Path, copy: &Path) -> Result<Losses, StoreError> {
    let connection = open_current(register)?;
    // A set of all facts of a large register is more than its memory need hold.
    connection.execute_batch("PRAGMA temp_store = FILE")?;
    let path = copy.to_str().ok_or(StoreError::Corrupt("path of the copy: it is not text"))?;
    connection.execute("ATTACH DATABASE :copy AS held", named_params! {":copy": path})?;
    connection.execute_batch("BEGIN")?;
    let is_same_register = connection.query_row(
        "SELECT r.environment = h.environment AND r.created_at_ms = h.created_at_ms
         FROM main.register AS r, held.register AS h",
        [],
        |row| row.get(0),
    )?;
    let mut found = Losses { is_same_register, newest_at: None, kinds: Vec::new() };
    for (kind, statement) in KINDS {
        let (count, newest): (i64, Option<i64>) = connection.query_row(
            &format!("SELECT count(*), max(at) FROM ({statement})"),
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if count == 0 {
            continue;
        }
        found.newest_at = found.newest_at.max(newest.map(Timestamp::from_ms));
        let newest = connection
            .prepare(&format!("SELECT what, at FROM ({statement}) ORDER BY at DESC LIMIT 3"))?
            .query_map([], |row| {
                let at = Timestamp::from_ms(row.get("at")?);
                Ok(format!("{at}  {}", row.get::<_, String>("what")?))
            })?
            .collect::<Result<_, _>>()?;
        found.kinds.push(Loss { kind, count, newest });
    }
    Ok(found)
}

/// Puts a proven copy in the place of a register that nobody has open. What was there is kept under the
/// name `aside`, with its log if that could not be folded in. A kill between any two steps leaves the old
/// one or the new one.
///
/// There is a register at every instant: the old one gets a second name before the new one takes its
/// first.
pub fn put_in_place(register: &Path, fresh: &Path, aside: &Path) -> Result<(), StoreError> {
    if register.exists() {
        std::fs::hard_link(register, aside).map_err(|it| file_error("keep", register, &it))?;
    }
    for ending in LOG_ENDINGS {
        // A log that stayed would be folded into the new file.
        let log = beside(register, ending);
        if log.exists() {
            rename_durably(&log, &beside(aside, ending))?;
        }
    }
    rename_durably(fresh, register)
}

/// Folds the log in and removes it. `SQLite` does that only while nobody else has the file open.
pub(super) fn leave_log_mode(register: &Path, connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(PATIENCE)?;
    let mode =
        connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    match mode {
        Ok(mode) if mode == "delete" => Ok(()),
        Ok(_) => Err(StoreError::InUse(register.to_owned())),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
            Err(StoreError::InUse(register.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}
