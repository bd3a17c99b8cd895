//! Whether records are still what was recorded: the letter that was signed, and what Sumsub sent, are each
//! kept with a SHA-256 of its bytes, and every signature on our page with its evidence. A letter or a body
//! that was changed behind the program's back shows here, and a letter that was removed. What no hash is
//! kept of, and a change that goes along with its hash, does not.

use rusqlite::{Connection, Row};
use sha2::{Digest as _, Sha256};

use crate::domain::authorization::SIGNED_ON_PAGE;
use crate::store::{Reader, StoreError};

/// How many records were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordsCompared {
    /// Letters signed on the page.
    pub letters: u64,
    /// Bodies of Sumsub's webhooks that have not been let go of by age.
    pub bodies: u64,
}

impl Reader<'_> {
    /// Compares every letter and body with its hash, and every signature on the page with its evidence;
    /// `fault` is told in words of what does not fit.
    pub fn compare_records(
        &self,
        fault: &mut dyn FnMut(String),
    ) -> Result<RecordsCompared, StoreError> {
        compare(self.connection, fault)
    }
}

pub(super) fn compare(
    connection: &Connection,
    fault: &mut dyn FnMut(String),
) -> Result<RecordsCompared, StoreError> {
    let letters = compare_letters(connection, fault)?;
    look_for_evidence(connection, fault)?;
    let bodies = compare_bodies(connection, fault)?;
    Ok(RecordsCompared { letters, bodies })
}

/// Whether bytes are those that a hash was taken of.
pub(super) fn fits(bytes: &[u8], sha256: [u8; 32]) -> bool {
    <[u8; 32]>::from(Sha256::digest(bytes)) == sha256
}

/// Whatever type the two have by now.
fn is_as_recorded(row: &Row<'_>, bytes: &str, sha256: &str) -> Result<bool, StoreError> {
    let (bytes, sha256) = (row.get_ref(bytes)?, row.get_ref(sha256)?);
    let (Ok(bytes), Ok(sha256)) = (bytes.as_bytes(), sha256.as_blob()) else { return Ok(false) };
    Ok(<[u8; 32]>::try_from(sha256).is_ok_and(|it| fits(bytes, it)))
}

fn compare_letters(
    connection: &Connection,
    fault: &mut dyn FnMut(String),
) -> Result<u64, StoreError> {
    let mut statement = connection.prepare(
        "SELECT a.public_id, e.event = 'signed' AND e.signed_how = :page AS is_of_page,
                s.text, s.text_sha256
         FROM signature_evidence AS s
         LEFT JOIN authorization_event AS e ON e.sequence = s.sequence
         LEFT JOIN authorization AS a ON a.authorization_id = e.authorization_id
         ORDER BY s.sequence",
    )?;
    let mut rows = statement.query(rusqlite::named_params! {":page": SIGNED_ON_PAGE})?;
    let mut count: u64 = 0;
    while let Some(row) = rows.next()? {
        count = count.saturating_add(1);
        let loa = row.get::<_, Option<String>>("public_id")?;
        let loa = loa.as_deref().unwrap_or("an LOA that is not there");
        if !is_as_recorded(row, "text", "text_sha256")? {
            fault(format!("the letter of {loa} is not the one that its SHA-256 was taken of"));
        }
        if row.get::<_, Option<bool>>("is_of_page")? != Some(true) {
            fault(format!("{loa} has evidence of a signature on the page, but no such signature"));
        }
    }
    Ok(count)
}

/// An operator may once have named another way of signing so; that has no evidence, and needs none.
fn look_for_evidence(
    connection: &Connection,
    fault: &mut dyn FnMut(String),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(
        "SELECT a.public_id
         FROM authorization_event AS e
         JOIN authorization AS a ON a.authorization_id = e.authorization_id
         WHERE e.event = 'signed' AND e.signed_how = :page AND e.actor NOT LIKE 'operator:%'
           AND NOT EXISTS (SELECT 1 FROM signature_evidence WHERE sequence = e.sequence)
         ORDER BY e.sequence",
    )?;
    let mut rows = statement.query(rusqlite::named_params! {":page": SIGNED_ON_PAGE})?;
    while let Some(row) = rows.next()? {
        let loa: String = row.get("public_id")?;
        fault(format!("{loa} was signed on the page, and the letter that was signed is not there"));
    }
    Ok(())
}

fn compare_bodies(
    connection: &Connection,
    fault: &mut dyn FnMut(String),
) -> Result<u64, StoreError> {
    let mut statement = connection.prepare(
        "SELECT delivery_id, body, body_sha256 FROM delivery WHERE body IS NOT NULL
         ORDER BY delivery_id",
    )?;
    let mut rows = statement.query([])?;
    let mut count: u64 = 0;
    while let Some(row) = rows.next()? {
        count = count.saturating_add(1);
        if !is_as_recorded(row, "body", "body_sha256")? {
            let id: i64 = row.get("delivery_id")?;
            fault(format!(
                "the body of Sumsub's delivery {id} is not the one that its SHA-256 was taken of"
            ));
        }
    }
    Ok(count)
}
