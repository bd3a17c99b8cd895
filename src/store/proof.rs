//! The proof that a file is a good register: `SQLite` finds every page and reference right, and the
//! facts of every organization and every LOA fold to exactly the rows that readers are answered from, and
//! every letter and every body is the one that its hash was taken of.
//!
//! It reads the file and nothing else, in one transaction, row by row: memory does not grow with the
//! register. It changes nothing.

use std::path::Path;

use rusqlite::{Connection, Row};

use crate::domain::authorization::{Authorization, AuthorizationRecord};
use crate::domain::environment::Environment;
use crate::domain::fold::{Fact, Verification};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::authorization;
use crate::store::cancel::Cancel;
use crate::store::copy::{Progress, Stage, open_current};
use crate::store::verification::{fact_from_row, verification_from_columns};
use crate::store::webhook_endpoint::endpoint_salts;
use crate::store::{RecordsCompared, Salts, StoreError, damage, records, shape, stamp};

/// How many faults are named; more are counted.
const FAULTS_NAMED_MAX: usize = 20;
/// How often progress is told, in organizations or LOAs.
const PROGRESS_EVERY: u64 = 10_000;

/// What a register holds, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Test or live.
    pub environment: Environment,
    /// When the register was made: with the environment, what tells two registers apart.
    pub created_at: Timestamp,
    /// Size in bytes.
    pub bytes: u64,
    /// Organizations, each folded and compared.
    pub organizations: u64,
    /// Facts of their verifications.
    pub verification_facts: u64,
    /// LOAs, each folded and compared.
    pub authorizations: u64,
    /// Facts of theirs.
    pub authorization_facts: u64,
    /// What Sumsub delivered.
    pub deliveries: u64,
    /// Letters and bodies, each compared with its hash.
    pub records: RecordsCompared,
    /// When the last fact became known, if there is one.
    pub newest_fact_at: Option<Timestamp>,
    /// What the secrets of webhook endpoints are derived from, by endpoint.
    pub endpoint_salts: Vec<(String, Salts)>,
    /// What is wrong, at most [`FAULTS_NAMED_MAX`] of it in words.
    pub faults: Vec<String>,
    /// How much is wrong in all.
    pub fault_count: u64,
}

impl Proof {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.fault_count == 0
    }

    fn fault(&mut self, words: impl FnOnce() -> String) {
        self.fault_count = self.fault_count.saturating_add(1);
        if self.faults.len() < FAULTS_NAMED_MAX {
            self.faults.push(words());
        }
    }
}

/// Proves a register or a copy of one. An error says that it cannot be read as a register at all.
pub fn prove(path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Proof, StoreError> {
    prove_unless(&Cancel::default(), path, progress)
}

/// As [`prove`], until it is given up with [`StoreError::Closed`].
pub fn prove_unless(
    cancel: &Cancel,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Proof, StoreError> {
    prove_file(cancel, path, progress).map_err(|error| {
        // What was interrupted is no damage.
        if cancel.is_wanted() { StoreError::Closed } else { damage(path, error) }
    })
}

fn prove_file(
    cancel: &Cancel,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Proof, StoreError> {
    let connection = open_current(path)?;
    cancel.may_interrupt(&connection)?;
    connection.execute_batch("BEGIN")?;
    let mut proof = summary(&connection)?;
    progress(Progress { stage: Stage::Checking, done: 0, total: 0 });
    check_pages(path, &connection)?;
    check_references(&connection, &mut proof)?;
    let mut told =
        Told { done: 0, total: proof.organizations.saturating_add(proof.authorizations), progress };
    fold_verifications(&connection, &mut proof, &mut told)?;
    cancel.check()?;
    fold_authorizations(&connection, &mut proof, &mut told)?;
    proof.records = records::compare(&connection, &mut |words| proof.fault(|| words))?;
    cancel.check()?;
    Ok(proof)
}

struct Told<'a> {
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl Told<'_> {
    fn one_more(&mut self) {
        self.done = self.done.saturating_add(1);
        if self.done.is_multiple_of(PROGRESS_EVERY) || self.done == self.total {
            let (done, total) = (self.done, self.total);
            (self.progress)(Progress { stage: Stage::Folding, done, total });
        }
    }
}

fn summary(connection: &Connection) -> Result<Proof, StoreError> {
    let (environment, created_at) = stamp(connection)?;
    let count = |statement: &str| -> Result<u64, StoreError> {
        let count: i64 = connection.query_row(statement, [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    };
    let newest: Option<i64> = connection.query_row(
        "SELECT max(at) FROM (SELECT max(known_at_ms) AS at FROM verification_event
                              UNION ALL SELECT max(known_at_ms) FROM authorization_event)",
        [],
        |row| row.get(0),
    )?;
    Ok(Proof {
        environment,
        created_at,
        bytes: count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?,
        organizations: count("SELECT count(*) FROM organization")?,
        verification_facts: count("SELECT count(*) FROM verification_event")?,
        authorizations: count("SELECT count(*) FROM authorization")?,
        authorization_facts: count("SELECT count(*) FROM authorization_event")?,
        deliveries: count("SELECT count(*) FROM delivery")?,
        newest_fact_at: newest.map(Timestamp::from_ms),
        endpoint_salts: endpoint_salts(connection)?,
        records: RecordsCompared::default(),
        faults: Vec::new(),
        fault_count: 0,
    })
}

fn check_pages(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Damaged { path: path.to_owned(), what: verdict })
}

fn check_references(connection: &Connection, proof: &mut Proof) -> Result<(), StoreError> {
    // Of our tables alone: what others keep in tables of their own is theirs.
    let tables = shape::tables()?;
    let list = serde_json::to_string(&tables).map_err(|_json| StoreError::Corrupt("schema"))?;
    let mut statement = connection.prepare(
        "SELECT f.\"table\", f.parent
         FROM json_each(:tables) AS t, pragma_foreign_key_check(t.value) AS f",
    )?;
    let mut rows = statement.query(rusqlite::named_params! {":tables": list})?;
    while let Some(row) = rows.next()? {
        let (from, to): (String, String) = (row.get("table")?, row.get("parent")?);
        proof.fault(|| format!("a row of {from} refers to a row of {to} that is not there"));
    }
    Ok(())
}

fn fold_verifications(
    connection: &Connection,
    proof: &mut Proof,
    told: &mut Told<'_>,
) -> Result<(), StoreError> {
    let mut organizations = connection.prepare(
        "SELECT v.state, v.applicant_id, v.expires_at_ms, v.lapsed, v.updated_at_ms,
                o.organization_id, o.created_at_ms
         FROM organization AS o
         LEFT JOIN verification AS v ON v.organization_id = o.organization_id
         ORDER BY o.organization_id",
    )?;
    let mut statement = connection.prepare(
        "SELECT organization_id AS owner, *
         FROM verification_event
         ORDER BY organization_id, sequence",
    )?;
    let mut facts = Facts::<String, Fact, _>::new(
        statement
            .query_map([], |row| Ok((row.get("owner")?, fact_from_row(row).map(|it| it.fact))))?,
    );
    let mut rows = organizations.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get("organization_id")?;
        let created_at = Timestamp::from_ms(row.get("created_at_ms")?);
        let folded = facts.of(&id)?.map(|it| Verification::rebuild(created_at, &it));
        let kept = stored_verification(row);
        if !matches!((&folded, &kept), (Ok(folded), Ok(kept)) if folded == kept) {
            let why = first_error(folded.err(), kept.err());
            proof.fault(|| format!("the verification of {id} {why}"));
        }
        told.one_more();
    }
    Ok(())
}

fn stored_verification(row: &Row<'_>) -> Result<Verification, StoreError> {
    if row.get::<_, Option<String>>("state")?.is_none() {
        return Err(StoreError::Corrupt("verification: there is none"));
    }
    verification_from_columns(row, 0)
}

fn fold_authorizations(
    connection: &Connection,
    proof: &mut Proof,
    told: &mut Told<'_>,
) -> Result<(), StoreError> {
    let mut letters =
        connection.prepare("SELECT * FROM authorization ORDER BY authorization_id")?;
    let mut statement = connection.prepare(
        "SELECT authorization_id AS owner, event, happened_at_ms, known_at_ms, reason
         FROM authorization_event
         ORDER BY authorization_id, sequence",
    )?;
    let mut records = Facts::<i64, AuthorizationRecord, _>::new(
        statement
            .query_map([], |row| Ok((row.get("owner")?, authorization::record_from_row(row))))?,
    );
    let mut rows = letters.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get("authorization_id")?;
        let parties = (
            OrganizationId::new(row.get::<_, String>("granting")?),
            OrganizationId::new(row.get::<_, String>("authorized")?),
        );
        let granter = parties.0.clone();
        let folded = records.of(&id)?.map(|it| Authorization::rebuild(id, parties, &it));
        let kept = authorization::from_row(row);
        if !matches!((&folded, &kept), (Ok(Some(folded)), Ok(kept)) if folded == kept) {
            let why = first_error(folded.err(), kept.err());
            proof.fault(|| format!("the LOA number {id}, granted by {granter}, {why}"));
        }
        told.one_more();
    }
    Ok(())
}

fn first_error(folded: Option<StoreError>, kept: Option<StoreError>) -> String {
    folded.or(kept).map_or_else(
        || "is not what its facts fold to".to_owned(),
        |error| format!("cannot be read: {error}"),
    )
}

/// A row with its owner; inside, whether it can be read.
type Owned<K, F> = (K, Result<F, StoreError>);

/// Facts that come in the order of their owners, handed out by owner.
struct Facts<K, F, I> {
    rows: I,
    next: Option<Owned<K, F>>,
}

impl<K: Ord, F, I: Iterator<Item = rusqlite::Result<Owned<K, F>>>> Facts<K, F, I> {
    fn new(rows: I) -> Self {
        Self { rows, next: None }
    }

    /// The facts of one owner: `Err` inside, if one of them cannot be read. Facts of owners that are
    /// not there are passed over: the references tell of them.
    fn of(&mut self, owner: &K) -> Result<Result<Vec<F>, StoreError>, StoreError> {
        let mut found = Vec::new();
        while let Some((of, fact)) =
            self.next.take().map_or_else(|| self.rows.next(), |it| Some(Ok(it))).transpose()?
        {
            if of > *owner {
                self.next = Some((of, fact));
                break;
            }
            if of == *owner {
                found.push(fact);
            }
        }
        Ok(found.into_iter().collect())
    }
}
