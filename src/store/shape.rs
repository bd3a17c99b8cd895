//! Which schema a file has. A version number alone is not believed: every table, index and trigger of
//! `schema.sql` must be there as it is written, or statements would fail long after the start, and
//! rules that triggers hold would hold no more.
//!
//! What others keep in the file besides, in tables of their own, is none of ours: Litestream has two.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use rusqlite::Connection;

use crate::store::migration::Migration;
use crate::store::{SCHEMA, SCHEMA_VERSION, StoreError};

/// How many differences are named; more are counted.
const DIFFERENCES_NAMED_MAX: usize = 3;

/// Every object of a schema, by kind (`table`, `index`, `trigger`, `view`) and name.
type Shape = BTreeMap<(String, String), Object>;

#[derive(Debug, PartialEq, Eq)]
struct Object {
    /// The table that it belongs to; its own name, if it is one.
    table: String,
    /// How it was made: see [`words`].
    sql: String,
}

/// Refuses a register of this version whose schema is another.
pub(super) fn check(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let differences = differences(expected()?, &shape(connection)?);
    differs(path, SCHEMA_VERSION, &differences)
}

/// Refuses a register of an earlier version that the steps would not bring to this one's schema: they
/// are tried on its empty tables, in memory.
pub(super) fn check_steps(
    path: &Path,
    connection: &Connection,
    (version, steps): (i32, &[Migration]),
) -> Result<(), StoreError> {
    let trial = Connection::open_in_memory()?;
    for statement in statements(connection)? {
        // What cannot be made again, as a table of a foreign module, is missed below if it is ours.
        drop(trial.execute_batch(&statement));
    }
    for step in steps {
        if let Err(error) = trial.execute_batch(step.statements) {
            return differs(path, version, &[in_short(error)]);
        }
    }
    differs(path, version, &differences(expected()?, &shape(&trial)?))
}

/// Without the statements that it happened in.
fn in_short(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        other => other.to_string(),
    }
}

fn differs(path: &Path, version: i32, differences: &[String]) -> Result<(), StoreError> {
    if differences.is_empty() {
        return Ok(());
    }
    let named = differences.iter().take(DIFFERENCES_NAMED_MAX).cloned().collect::<Vec<_>>();
    let more = match differences.len().saturating_sub(named.len()) {
        0 => String::new(),
        count => format!(", and {count} more"),
    };
    let differences = format!("{}{more}", named.join(", "));
    Err(StoreError::OtherSchema { path: path.to_owned(), version, differences })
}

/// The shape of `schema.sql`.
fn expected() -> Result<&'static Shape, StoreError> {
    static EXPECTED: OnceLock<Shape> = OnceLock::new();
    if let Some(it) = EXPECTED.get() {
        return Ok(it);
    }
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(SCHEMA)?;
    let shape = shape(&connection)?;
    Ok(EXPECTED.get_or_init(|| shape))
}

fn shape(connection: &Connection) -> Result<Shape, StoreError> {
    let mut objects = connection.prepare(
        "SELECT type, name, tbl_name, coalesce(sql, '') AS sql FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let objects = objects.query_map([], |row| {
        let sql: String = row.get("sql")?;
        let object = Object { table: row.get("tbl_name")?, sql: words(&sql) };
        Ok(((row.get("type")?, row.get("name")?), object))
    })?;
    Ok(objects.collect::<Result<_, _>>()?)
}

/// How every object was made, in an order in which it can be made again.
fn statements(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statements = connection.prepare(
        "SELECT sql FROM sqlite_schema
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 ELSE 3 END, rowid",
    )?;
    let statements = statements.query_map([], |row| row.get(0))?;
    Ok(statements.collect::<Result<_, _>>()?)
}

/// What is missing, other than it should be, or attached to a table of ours by somebody else.
fn differences(expected: &Shape, found: &Shape) -> Vec<String> {
    let mut differences = Vec::new();
    for (key @ (kind, name), object) in expected {
        match found.get(key) {
            None => differences.push(format!("the {kind} {name} is missing")),
            Some(it) if it != object => differences.push(format!("the {kind} {name} is another")),
            Some(_) => {}
        }
    }
    let is_ours = |table: &str| {
        expected.keys().any(|(kind, name)| kind == "table" && name.eq_ignore_ascii_case(table))
    };
    for (key @ (kind, name), object) in found {
        if !expected.contains_key(key) && is_ours(&object.table) {
            differences.push(format!("the {kind} {name} on {} is none of ours", object.table));
        }
    }
    differences
}

/// SQL without comments, without the quotes that a renamed table's name is given, and with one space
/// where there is white space: what is left says the same, whichever steps led to it.
fn words(sql: &str) -> String {
    let mut words = String::with_capacity(sql.len());
    let mut characters = sql.chars().peekable();
    let mut is_text = false;
    while let Some(it) = characters.next() {
        match it {
            '\'' => {
                is_text = !is_text;
                words.push(it);
            }
            _ if is_text => words.push(it),
            '-' if characters.peek() == Some(&'-') => {
                characters.by_ref().find(|it| *it == '\n');
                space(&mut words);
            }
            '"' => {}
            _ if it.is_whitespace() => space(&mut words),
            _ => words.push(it),
        }
    }
    words.truncate(words.trim_end().len());
    words
}

fn space(words: &mut String) {
    if !words.ends_with(' ') {
        words.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_by(statements: &str) -> Shape {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(statements).unwrap();
        shape(&connection).unwrap()
    }

    #[test]
    fn comments_white_space_and_the_quotes_of_a_renamed_table_make_no_difference() {
        let written =
            made_by("CREATE TABLE a (x TEXT, -- an owner's word\n  y TEXT DEFAULT 'a -- \"b\"')");
        let renamed = made_by(
            "CREATE TABLE new_a (x   TEXT,\n\n y TEXT DEFAULT 'a -- \"b\"'  ); ALTER TABLE new_a RENAME TO a",
        );

        assert_eq!(differences(&written, &renamed).len(), 1, "a space before the bracket is seen");
        let renamed = made_by(
            "CREATE TABLE new_a (x   TEXT,\n\n y TEXT DEFAULT 'a -- \"b\"'); ALTER TABLE new_a RENAME TO a",
        );
        assert_eq!(differences(&written, &renamed), Vec::<String>::new());
        let other = made_by("CREATE TABLE a (x TEXT, y TEXT DEFAULT 'a --  \"b\"')");
        assert_eq!(differences(&written, &other), ["the table a is another"]);
    }

    #[test]
    fn what_others_keep_in_tables_of_their_own_is_no_difference_but_nothing_of_theirs_is_on_ours() {
        const OURS: &str = "CREATE TABLE ours (x TEXT);";
        let of = |more: &str| differences(&made_by(OURS), &made_by(&format!("{OURS}{more}")));

        for theirs in [
            "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)",
            "CREATE TABLE notes (x TEXT); CREATE INDEX by_x ON notes (x)",
            "CREATE TABLE notes (x INTEGER PRIMARY KEY AUTOINCREMENT); ANALYZE",
            "CREATE VIEW seen AS SELECT x FROM ours",
        ] {
            assert_eq!(of(theirs), Vec::<String>::new(), "{theirs}");
        }
        for (on_ours, told) in [
            ("CREATE UNIQUE INDEX once ON ours (x)", "the index once on ours is none of ours"),
            (
                "CREATE TRIGGER t BEFORE INSERT ON OURS BEGIN SELECT 1; END",
                "the trigger t on OURS is none of ours",
            ),
        ] {
            assert_eq!(of(on_ours), [told]);
        }
    }
}
