//! Organizations as an operator's list shows them: each with its verification and its live LOAs, in
//! pages that cost the same at a hundred rows and at a million.
//!
//! A page begins at a key and walks an index; nothing is counted, skipped or sorted.

use rusqlite::{Row, named_params};

use crate::domain::fold::Verification;
use crate::domain::organization::{Name, OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::{State, Status};
use crate::store::verification::verification_from_columns;
use crate::store::{Reader, StoreError};

/// One organization of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationRow {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: Name,
    /// Its type.
    pub kind: OrganizationType,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its verification.
    pub verification: Verification,
    /// How many ACTIVE LOAs it granted.
    pub loas_signed: u32,
    /// How many PENDING LOAs it granted.
    pub loas_unsigned: u32,
}

/// The order of a list of organizations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganizationOrder {
    /// By creation.
    Created,
    /// By name, without regard to case.
    Name,
    /// By the end of the approval; only those that have one.
    Expiry,
}

/// Which way a walk through an index goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From small keys to large ones.
    Up,
    /// From large keys to small ones.
    Down,
}

/// A place in an order: the sorted value, and the id that breaks ties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey {
    /// The value of an order by number.
    pub number: i64,
    /// The value of an order by text.
    pub text: String,
    /// The id.
    pub id: String,
}

impl RowKey {
    /// The place before everything, seen in that direction.
    pub fn outermost(direction: Direction) -> Self {
        match direction {
            Direction::Up => Self { number: i64::MIN, text: String::new(), id: String::new() },
            Direction::Down => {
                let last = char::MAX.to_string();
                Self { number: i64::MAX, text: last.clone(), id: last }
            }
        }
    }
}

impl OrganizationRow {
    /// The row's place in an order.
    pub fn key(&self, order: OrganizationOrder) -> RowKey {
        RowKey {
            number: self.verification.expires_at.map_or(i64::MAX, Timestamp::as_ms),
            text: match order {
                OrganizationOrder::Name => self.name.as_str().to_owned(),
                OrganizationOrder::Created | OrganizationOrder::Expiry => String::new(),
            },
            id: self.id.as_str().to_owned(),
        }
    }
}

const COLUMNS: &str = "o.organization_id AS organization_id, o.name, o.type, o.created_at_ms,
        v.state, v.applicant_id, v.expires_at_ms, v.lapsed, v.updated_at_ms,
        (SELECT count(*) FROM authorization AS a
         WHERE a.granting = o.organization_id AND a.status = 'ACTIVE') AS loas_signed,
        (SELECT count(*) FROM authorization AS a
         WHERE a.granting = o.organization_id AND a.status = 'PENDING') AS loas_unsigned";

impl Reader<'_> {
    /// Up to `limit` organizations in an order, beginning with the row at `from` itself.
    pub fn organization_rows(
        &self,
        order: OrganizationOrder,
        direction: Direction,
        from: &RowKey,
        limit: u32,
    ) -> Result<Vec<OrganizationRow>, StoreError> {
        let (beyond, way) = match direction {
            Direction::Up => (">=", "ASC"),
            Direction::Down => ("<=", "DESC"),
        };
        let sql = match order {
            OrganizationOrder::Created => format!(
                "SELECT {COLUMNS}
                 FROM organization AS o
                 JOIN verification AS v ON v.organization_id = o.organization_id
                 WHERE o.organization_id {beyond} :id AND :number IS NOT NULL AND :text IS NOT NULL
                 ORDER BY o.organization_id {way}
                 LIMIT :limit"
            ),
            OrganizationOrder::Name => format!(
                "SELECT {COLUMNS}
                 FROM organization AS o
                 JOIN verification AS v ON v.organization_id = o.organization_id
                 WHERE (o.name COLLATE NOCASE, o.organization_id) {beyond} (:text, :id)
                   AND :number IS NOT NULL
                 ORDER BY o.name COLLATE NOCASE {way}, o.organization_id {way}
                 LIMIT :limit"
            ),
            OrganizationOrder::Expiry => format!(
                "SELECT {COLUMNS}
                 FROM verification AS v
                 CROSS JOIN organization AS o ON o.organization_id = v.organization_id
                 WHERE v.expires_at_ms IS NOT NULL
                   AND (v.expires_at_ms, v.organization_id) {beyond} (:number, :id)
                   AND :text IS NOT NULL
                 ORDER BY v.expires_at_ms {way}, v.organization_id {way}
                 LIMIT :limit"
            ),
        };
        self.connection
            .prepare_cached(&sql)?
            .query_map(
                named_params! {
                    ":number": from.number, ":text": from.text, ":id": from.id, ":limit": limit,
                },
                |row| Ok(from_row(row)),
            )?
            .map(|row| row?)
            .collect()
    }

    /// As [`Reader::organization_rows`] by creation, but only those of one status at `now`.
    pub fn organization_rows_of(
        &self,
        status: Status,
        direction: Direction,
        from: &RowKey,
        (limit, now): (u32, Timestamp),
    ) -> Result<Vec<OrganizationRow>, StoreError> {
        let (beyond, way) = match direction {
            Direction::Up => (">=", "ASC"),
            Direction::Down => ("<=", "DESC"),
        };
        let (first, second, approved_are_expired) = states_of(status);
        // The index gives its own column in order, not the organization's.
        let columns = COLUMNS.replacen("o.organization_id", "v.organization_id", 1);
        // Two index walks in the order of the list, merged; an approval counts by its expiry.
        let walk = format!(
            "FROM verification AS v
             CROSS JOIN organization AS o ON o.organization_id = v.organization_id
             WHERE v.organization_id {beyond} :id
               AND (v.state <> 'APPROVED'
                    OR (coalesce(v.expires_at_ms, 9223372036854775807) <= :now) = :expired)"
        );
        self.connection
            .prepare_cached(&format!(
                "SELECT {columns} {walk} AND v.state = :first
                 UNION ALL
                 SELECT {columns} {walk} AND v.state = :second
                 ORDER BY organization_id {way}
                 LIMIT :limit"
            ))?
            .query_map(
                named_params! {
                    ":id": from.id,
                    ":first": first.as_str(),
                    ":second": second.map_or("", State::as_str),
                    ":expired": approved_are_expired,
                    ":now": now.as_ms(),
                    ":limit": limit,
                },
                |row| Ok(from_row(row)),
            )?
            .map(|row| row?)
            .collect()
    }
}

/// The states whose status may be this one, and whether APPROVED rows count when expired.
fn states_of(status: Status) -> (State, Option<State>, bool) {
    match status {
        Status::NotStarted => (State::NotStarted, None, false),
        Status::Pending => (State::Pending, None, false),
        Status::Approved => (State::Approved, None, false),
        Status::Rejected => (State::RejectedByProvider, Some(State::RejectedByOperator), false),
        Status::OnHold => (State::OnHoldByProvider, Some(State::OnHoldByOperator), false),
        Status::ResubmissionRequired => (State::ResubmissionRequired, Some(State::Approved), true),
    }
}

fn from_row(row: &Row<'_>) -> Result<OrganizationRow, StoreError> {
    Ok(OrganizationRow {
        id: OrganizationId::new(row.get::<_, String>("organization_id")?),
        name: Name::stored(row.get("name")?),
        kind: OrganizationType::parse(&row.get::<_, String>("type")?)
            .ok_or(StoreError::Corrupt("organization type"))?,
        created_at: Timestamp::from_ms(row.get("created_at_ms")?),
        verification: verification_from_columns(row, row.as_ref().column_index("state")?)?,
        loas_signed: row.get("loas_signed")?,
        loas_unsigned: row.get("loas_unsigned")?,
    })
}
