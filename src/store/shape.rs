//! Which schema a file has. A version number alone is not believed: every table, index and trigger of
//! `schema.sql` must be there as it is written, or statements would fail long after the start, and
//! rules that triggers hold would hold no more.
//!
//! What others keep in the file besides, in tables of their own, is none of ours: Litestream has two.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use rusqlite::Connection;

use crate::store::{SCHEMA, SCHEMA_VERSION, StoreError};

/// How many differences are named; more are counted.
const DIFFERENCES_NAMED_MAX: usize = 3;

/// What `SQLite` keeps for itself, and for nobody else: the counters of AUTOINCREMENT, what ANALYZE has
/// found out, and the indexes that a table's own constraints bring along.
const OF_SQLITE: &str =
    "(type = 'table' AND (name = 'sqlite_sequence' OR name GLOB 'sqlite_stat[1-4]'))
                         OR (type = 'index' AND sql IS NULL AND name GLOB 'sqlite_autoindex_*')";

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
    version: i32,
    steps: impl Iterator<Item = &'static str>,
) -> Result<(), StoreError> {
    let trial = Connection::open_in_memory()?;
    trial.pragma_update(None, "legacy_alter_table", true)?;
    for statement in statements(connection)? {
        // What cannot be made again, as a table of a foreign module, is missed below if it is ours.
        drop(trial.execute_batch(&statement));
    }
    for step in steps {
        if let Err(error) = trial.execute_batch(step) {
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
    let mut objects = connection.prepare(&format!(
        "SELECT type, name, tbl_name, coalesce(sql, '') AS sql FROM sqlite_schema
         WHERE NOT ({OF_SQLITE})"
    ))?;
    let objects = objects.query_map([], |row| {
        let sql: String = row.get("sql")?;
        let object = Object { table: row.get("tbl_name")?, sql: words(&sql) };
        Ok(((row.get("type")?, row.get("name")?), object))
    })?;
    Ok(objects.collect::<Result<_, _>>()?)
}

/// The names of our tables.
pub(super) fn tables() -> Result<Vec<&'static str>, StoreError> {
    let objects = expected()?.keys();
    Ok(objects.filter(|(kind, _)| kind == "table").map(|(_, name)| name.as_str()).collect())
}

/// How every object was made, in an order in which it can be made again.
fn statements(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statements = connection.prepare(&format!(
        "SELECT sql FROM sqlite_schema
         WHERE sql IS NOT NULL AND NOT ({OF_SQLITE})
         ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 ELSE 3 END, rowid"
    ))?;
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
///
/// Quotes go from around a plain name in lower case alone, as all of ours are. Anything else in quotes is
/// kept as it is: `SQLite` takes a name that it does not know for a text, and a text may hold anything.
fn words(sql: &str) -> String {
    let mut words = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(it) = rest.chars().next() {
        let length = match it {
            '\'' | '"' | '`' | '[' => quoted_length(rest, if it == '[' { ']' } else { it }),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            _ => it.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        match it {
            '"' => words.push_str(plain_name(token).unwrap_or(token)),
            '-' if length > 1 => space(&mut words),
            _ if it.is_ascii_whitespace() => space(&mut words),
            _ => words.push_str(token),
        }
        rest = after;
    }
    words.truncate(words.trim_end().len());
    words
}

/// Up to and with the quote that ends what begins with one; a doubled one does, and begins the next.
fn quoted_length(text: &str, end: char) -> usize {
    text.char_indices()
        .skip(1)
        .find(|(_, it)| *it == end)
        .map_or(text.len(), |(at, it)| at.saturating_add(it.len_utf8()))
}

fn plain_name(quoted: &str) -> Option<&str> {
    let name = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = !name.is_empty() && name.chars().all(|it| matches!(it, 'a'..='z' | '_'));
    is_plain.then_some(name)
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
    fn nothing_that_changes_the_meaning_passes_for_a_comment_a_blank_or_a_quoted_name() {
        const WRITTEN: &str = "CREATE TABLE a (b TEXT);
            CREATE INDEX i ON a (b) WHERE b IS NOT NULL;
            CREATE TRIGGER t BEFORE INSERT ON a WHEN EXISTS (SELECT 1 FROM a WHERE b = NEW.b)
              BEGIN SELECT RAISE(ABORT, 'no'); END";
        for (from, to) in [
            ("WHERE b IS NOT NULL", "WHERE \"b IS NOT NULL\""),
            ("WHERE b IS NOT NULL", "WHERE b IS NOT \"NULL\""),
            ("FROM a WHERE", "FROM a \"--\" JOIN (SELECT 1 WHERE 0)\n WHERE"),
            ("FROM a WHERE", "FROM a `--` JOIN (SELECT 1 WHERE 0)\n WHERE"),
            ("FROM a WHERE", "FROM a [--] JOIN (SELECT 1 WHERE 0)\n WHERE"),
            ("'no'", "'no -- '"),
        ] {
            let changed = WRITTEN.replacen(from, to, 1);
            let found = differences(&made_by(WRITTEN), &made_by(&changed));
            assert_eq!(found.len(), 1, "{changed}");
        }
        let foreign = "CREATE TABLE a\u{a0} (b TEXT);";
        let changed = WRITTEN.replacen("FROM a WHERE", "FROM a\u{a0} WHERE", 1);
        let found = differences(&made_by(WRITTEN), &made_by(&format!("{foreign}{changed}")));
        assert_eq!(found, ["the trigger t is another"]);
    }

    #[test]
    fn nothing_of_others_hides_behind_a_name_of_sqlites_own() {
        const OURS: &str = "CREATE TABLE ours (x TEXT); CREATE TABLE theirs (x TEXT);";
        for (kind, made) in [
            ("trigger", "CREATE TRIGGER own AFTER INSERT ON ours BEGIN SELECT 1; END"),
            ("index", "CREATE INDEX own ON ours (x)"),
        ] {
            let connection = Connection::open_in_memory().unwrap();
            connection
                .execute_batch(&format!("{OURS}{made}; PRAGMA writable_schema = ON"))
                .unwrap();
            let rename = "UPDATE sqlite_schema SET name = 'sqlite_autoindex_ours_1',
                            sql = replace(sql, 'own', 'sqlite_autoindex_ours_1') WHERE name = 'own'";
            connection.execute(rename, []).unwrap();

            let found = differences(&made_by(OURS), &shape(&connection).unwrap());

            assert_eq!(
                found,
                [format!("the {kind} sqlite_autoindex_ours_1 on ours is none of ours")]
            );
        }
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
