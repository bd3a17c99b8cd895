//! Fills a register with organizations as a broker's year leaves it: one broker with one key, and so
//! many customers of it, each approved, with a signed LOA and the facts that say so.
//!
//! `populate DATABASE CUSTOMERS IDS` writes a new database file, and a file with one customer a line
//! (organization id, space, applicant id), and prints the broker's key.
//!
//! The rows are what the product itself would have written; foreign keys are checked once, at the
//! end, and in a small register only, since a large one is made by the same statements.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

const SCHEMA: &str = include_str!("../../../../schema.sql");
const KEY: &str = "nxos_sk_test_benchmarkbenchmarkbenchmarkbenchmark";
const DAY_MS: i64 = 86_400_000;
const CHECKED_CUSTOMERS_MAX: u32 = 10_000;

type Anything = Result<(), Box<dyn std::error::Error>>;

fn main() -> Anything {
    let mut arguments = std::env::args().skip(1);
    let database = PathBuf::from(arguments.next().expect("a database file"));
    let customers: u32 = arguments.next().expect("a number").parse()?;
    let ids = PathBuf::from(arguments.next().expect("a file for the ids"));
    if database.exists() {
        return Err(format!("{} exists already", database.display()).into());
    }
    let mut connection = Connection::open(&database)?;
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA cache_size = -262144;")?;
    connection.execute_batch(SCHEMA)?;
    let register = Register::new(customers);
    let transaction = connection.transaction()?;
    register.insert(&transaction)?;
    if customers <= CHECKED_CUSTOMERS_MAX
        && transaction.prepare("PRAGMA foreign_key_check")?.exists([])?
    {
        return Err("a row points to none".into());
    }
    transaction.commit()?;
    connection.execute_batch("PRAGMA journal_mode = WAL;")?;
    let mut out = BufWriter::new(File::create(ids)?);
    for customer in &register.customers {
        writeln!(out, "{} {}", customer.id, customer.applicant)?;
    }
    out.flush()?;
    println!("{KEY}");
    Ok(())
}

struct Customer {
    id: String,
    applicant: String,
    kind: &'static str,
    created_at_ms: i64,
}

struct Register {
    broker: String,
    begun_at_ms: i64,
    customers: Vec<Customer>,
}

impl Register {
    fn new(count: u32) -> Self {
        // Recent enough that no approval has expired, and spread over a month.
        let begun_at_ms = jiff::Timestamp::now().as_millisecond() - 40 * DAY_MS;
        let mut random = Random(20_260_102);
        let customers = (0..count)
            .map(|index| {
                let created_at_ms =
                    begun_at_ms + 1 + i64::from(index) * (30 * DAY_MS) / i64::from(count);
                Customer {
                    id: random.id(created_at_ms),
                    applicant: format!("{:08x}{:016x}", created_at_ms / 1000, random.next()),
                    kind: if index % 3 == 0 { "INDIVIDUAL" } else { "BUSINESS" },
                    created_at_ms,
                }
            })
            .collect();
        Self { broker: random.id(begun_at_ms), begun_at_ms, customers }
    }

    /// One table after the other, so that every one is appended to.
    fn insert(&self, to: &Connection) -> Anything {
        self.insert_broker(to)?;
        let mut insert = to.prepare(
            "INSERT INTO organization (organization_id, name, type, created_by, metadata, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, '{\"reference\":\"crm-48151623\"}', ?5)",
        )?;
        for (index, it) in self.customers.iter().enumerate() {
            let name = format!("Customer {index} Trading Co.");
            insert.execute(params![it.id, name, it.kind, self.broker, it.created_at_ms])?;
        }
        let mut insert = to.prepare(
            "INSERT INTO applicant (applicant_id, organization_id, external_user_id, linked_at_ms)
             VALUES (?1, ?2, ?2, ?3)",
        )?;
        for it in &self.customers {
            insert.execute(params![it.applicant, it.id, it.created_at_ms + 1000])?;
        }
        self.insert_verifications(to)?;
        self.insert_authorizations(to)
    }

    fn insert_broker(&self, to: &Connection) -> Anything {
        to.execute("INSERT INTO register VALUES (1, 'test', ?1)", [self.begun_at_ms])?;
        to.execute(
            "INSERT INTO organization VALUES (?1, 'Broker Ltd.', 'BUSINESS', NULL, '{}', ?2)",
            params![self.broker, self.begun_at_ms],
        )?;
        to.execute(
            "INSERT INTO verification VALUES (?1, 'NOT_STARTED', NULL, NULL, 0, ?2)",
            params![self.broker, self.begun_at_ms],
        )?;
        to.execute(
            "INSERT INTO api_key
               (key_sha256, key_id, organization_id, name, scopes, created_at_ms)
             VALUES (?1, 'key_01a1333333337333b333333333333333', ?2, 'benchmark', 'read', ?3)",
            params![Sha256::digest(KEY).as_slice(), self.broker, self.begun_at_ms],
        )?;
        Ok(())
    }

    fn insert_verifications(&self, to: &Connection) -> Anything {
        let mut insert = to.prepare(
            "INSERT INTO verification_event
               (organization_id, event, happened_at_ms, known_at_ms, applicant_id, begun_at_ms,
                valid_days, request_id)
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, 'req_benchmark')",
        )?;
        for it in &self.customers {
            let (id, applicant, began) = (&it.id, &it.applicant, it.created_at_ms + 1000);
            insert.execute(params![id, "session_started", began, applicant, began, 0])?;
            let approved = began + 1000;
            insert.execute(params![
                id,
                "provider_approved",
                approved,
                applicant,
                None::<i64>,
                365
            ])?;
        }
        let mut insert = to.prepare(
            "INSERT INTO verification
               (organization_id, state, applicant_id, expires_at_ms, lapsed, updated_at_ms)
             VALUES (?1, 'APPROVED', ?2, ?3, 0, ?4)",
        )?;
        for it in &self.customers {
            let approved = it.created_at_ms + 2000;
            insert.execute(params![it.id, it.applicant, approved + 365 * DAY_MS, approved])?;
        }
        Ok(())
    }

    fn insert_authorizations(&self, to: &Connection) -> Anything {
        let mut insert = to.prepare(
            "INSERT INTO authorization
               (authorization_id, granting, authorized, type, status, signed_at_ms, created_at_ms,
                updated_at_ms)
             VALUES (?1, ?2, ?3, 'LOA', 'ACTIVE', ?5, ?4, ?5)",
        )?;
        for (number, it) in (1_i64..).zip(&self.customers) {
            let (issued, signed) = (it.created_at_ms, it.created_at_ms + 3000);
            insert.execute(params![number, it.id, self.broker, issued, signed])?;
        }
        let mut insert = to.prepare(
            "INSERT INTO authorization_event
               (authorization_id, event, happened_at_ms, known_at_ms, actor, signer_name, signer_role,
                signed_how, reference)
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let unsigned = [None::<&str>; 4];
        let signature = ["Grace Hopper", "Director", "paper", "folder 7"].map(Some);
        for (number, it) in (1_i64..).zip(&self.customers) {
            let issued = (it.created_at_ms, "issued", self.broker.as_str(), unsigned);
            let signed = (it.created_at_ms + 3000, "signed", "operator:benchmark", signature);
            for (at_ms, event, actor, [name, role, how, reference]) in [issued, signed] {
                insert.execute(params![number, event, at_ms, actor, name, role, how, reference])?;
            }
        }
        Ok(())
    }
}

/// splitmix64, so that two registers of one size differ in their times only.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn id(&mut self, at_ms: i64) -> String {
        let (first, second) = (self.next(), self.next());
        format!(
            "org_{at_ms:012x}7{:03x}{:016x}",
            first & 0xfff,
            (second >> 2) | 0x8000_0000_0000_0000
        )
    }
}
