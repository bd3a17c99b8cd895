//! From one version of the schema to the next.
//!
//! A register is never changed in place. A copy is taken while writers are held off, changed in one
//! transaction, proven, and put in the register's place; the register as it was stays beside it. So
//! the backup before a migration cannot be forgotten, and a migration that fails has changed nothing.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::domain::environment::Environment;
use crate::store::copy::open_existing;
use crate::store::replace::leave_log_mode;
use crate::store::serving::ServingLock;
use crate::store::{SCHEMA_VERSION, StoreError, check_environment, damage, open_connection, shape};

/// One step: from the version before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The version that it leads to.
    pub to: i32,
    /// What it does, in words.
    pub what: &'static str,
    /// How.
    pub statements: &'static str,
}

/// Every step, in order. Version 1 is the first, so nothing leads to it.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        to: 2,
        what: "verdicts keep their level, decisions what they were based on, facts what is known of \
               the clock that dated them; facts cannot be replaced",
        statements: include_str!("to_version_2.sql"),
    },
    Migration {
        to: 3,
        what: "keys name the key that made them, links end, ids no longer count rows",
        statements: include_str!("to_version_3.sql"),
    },
    Migration {
        to: 4,
        what: "events for callers cannot be deleted, and no fact can be pushed out by another",
        statements: include_str!("to_version_4.sql"),
    },
];

/// The steps that a register needs; none if it is of this program's version.
/// [`StoreError::NotMigratable`] if no steps lead here from its version.
pub fn steps_for<'m>(
    register: &Path,
    migrations: &'m [Migration],
) -> Result<(i32, &'m [Migration]), StoreError> {
    found_steps(register, migrations).map_err(|it| damage(register, it))
}

fn found_steps<'m>(
    register: &Path,
    migrations: &'m [Migration],
) -> Result<(i32, &'m [Migration]), StoreError> {
    let connection = open_existing(register)?;
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let from = migrations.partition_point(|it| it.to <= found);
    let steps = migrations.get(from..).unwrap_or_default();
    let count = usize::try_from(SCHEMA_VERSION.saturating_sub(found)).unwrap_or(usize::MAX);
    if steps.len() != count {
        return Err(StoreError::NotMigratable { path: register.to_owned(), found });
    }
    shape::check_steps(register, &connection, found, steps.iter().map(|it| it.statements))?;
    Ok((found, steps))
}

/// Refuses a register of the other environment, of whatever version it is.
pub fn check_stamp(register: &Path, environment: Environment) -> Result<(), StoreError> {
    open_existing(register)
        .and_then(|it| check_environment(register, environment, &it))
        .map_err(|it| damage(register, it))
}

/// Changes a copy, in one transaction.
pub fn apply(copy: &Path, steps: &[Migration]) -> Result<(), StoreError> {
    let mut connection = open_connection(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Tables are rebuilt by renaming; what refers to what is proven afterwards.
    connection.pragma_update(None, "foreign_keys", false)?;
    // Views and triggers of others may name a table that is gone for a moment.
    connection.pragma_update(None, "legacy_alter_table", true)?;
    let transaction = connection.transaction()?;
    for step in steps {
        transaction.execute_batch(step.statements)?;
        transaction.pragma_update(None, "user_version", step.to)?;
    }
    shape::check(copy, &transaction)?;
    transaction.commit()?;
    Ok(())
}

/// A register that nobody can write while this lives; reading goes on.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    connection: Connection,
}

impl Held {
    /// Holds writers off.
    pub fn begin(register: &Path) -> Result<Self, StoreError> {
        let begin = || -> Result<Connection, StoreError> {
            let connection = open_connection(register, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.execute_batch("BEGIN IMMEDIATE")?;
            Ok(connection)
        };
        let connection = begin().map_err(|it| damage(register, it))?;
        Ok(Self { path: register.to_owned(), connection })
    }

    /// Lets go of a register that is to be replaced, its log folded in. [`StoreError::InUse`] if any
    /// process has it open, which would go on writing into a file that nobody reads any more; or if
    /// somebody who waited to write came in between.
    pub fn let_go(self, _alone: &ServingLock) -> Result<(), StoreError> {
        let commits = |connection: &Connection| {
            connection.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0))
        };
        let before = commits(&self.connection)?;
        self.connection.execute_batch("COMMIT")?;
        leave_log_mode(&self.path, &self.connection)?;
        if commits(&self.connection)? != before {
            return Err(StoreError::InUse(self.path));
        }
        Ok(())
    }
}
