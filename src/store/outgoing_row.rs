//! What we send, as an operator's list shows it: every endpoint's deliveries in one list, without
//! their bodies, each with its last attempt.

use rusqlite::{Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::outgoing::DeliveryStatus;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError};

/// One message to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRow {
    /// Its number.
    pub no: i64,
    /// `webhook-id`.
    pub message_id: String,
    /// The event's type.
    pub event_type: String,
    /// Whom the event is about.
    pub about: OrganizationId,
    /// Their name.
    pub about_name: String,
    /// Where to.
    pub endpoint_id: String,
    /// The endpoint's address.
    pub url: String,
    /// Whose endpoint it is.
    pub owner: OrganizationId,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// When it is due, while it is PENDING.
    pub due_at: Option<Timestamp>,
    /// When the event was written.
    pub created_at: Timestamp,
    /// Attempts of the present run.
    pub attempts: u32,
    /// What the last attempt was answered with.
    pub last_status: Option<u16>,
    /// Why the last attempt had no answer.
    pub last_error: Option<String>,
}

const SELECT: &str = "SELECT d.delivery_no, m.message_id, m.type, m.organization_id AS about,
        o.name AS about_name, d.endpoint_id, e.url, e.organization_id, d.status, d.due_at_ms,
        d.created_at_ms, d.attempts, a.status AS last_status, a.error AS last_error";
const JOINED: &str = "CROSS JOIN webhook_endpoint AS e ON e.endpoint_id = d.endpoint_id
     CROSS JOIN organization AS o ON o.organization_id = m.organization_id
     LEFT JOIN outgoing_attempt AS a
       ON a.attempt_no = (SELECT max(attempt_no) FROM outgoing_attempt
                          WHERE delivery_no = d.delivery_no)";

impl Reader<'_> {
    /// Up to `limit` deliveries to whatever endpoint, newest first, older than `before`.
    pub fn outgoing_rows(&self, before: i64, limit: u32) -> Result<Vec<OutgoingRow>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 FROM outgoing_delivery AS d
                 CROSS JOIN outgoing_message AS m ON m.message_no = d.message_no
                 {JOINED}
                 WHERE d.delivery_no < :before
                 ORDER BY d.delivery_no DESC
                 LIMIT :limit"
            ))?
            .query_map(named_params! {":before": before, ":limit": limit}, |row| Ok(from_row(row)))?
            .map(|row| row?)
            .collect()
    }

    /// Up to `limit` deliveries about one organization, to whatever endpoint, newest first.
    pub fn outgoing_rows_about(
        &self,
        organization: &OrganizationId,
        limit: u32,
    ) -> Result<Vec<OutgoingRow>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT}
                 FROM outgoing_message AS m
                 CROSS JOIN outgoing_delivery AS d ON d.message_no = m.message_no
                 {JOINED}
                 WHERE m.organization_id = :about
                 ORDER BY d.delivery_no DESC
                 LIMIT :limit"
            ))?
            .query_map(named_params! {":about": organization.as_str(), ":limit": limit}, |row| {
                Ok(from_row(row))
            })?
            .map(|row| row?)
            .collect()
    }
}

fn from_row(row: &Row<'_>) -> Result<OutgoingRow, StoreError> {
    Ok(OutgoingRow {
        no: row.get("delivery_no")?,
        message_id: row.get("message_id")?,
        event_type: row.get("type")?,
        about: OrganizationId::new(row.get::<_, String>("about")?),
        about_name: row.get("about_name")?,
        endpoint_id: row.get("endpoint_id")?,
        url: row.get("url")?,
        owner: OrganizationId::new(row.get::<_, String>("organization_id")?),
        status: DeliveryStatus::parse(&row.get::<_, String>("status")?)
            .ok_or(StoreError::Corrupt("outgoing delivery status"))?,
        due_at: row.get::<_, Option<i64>>("due_at_ms")?.map(Timestamp::from_ms),
        created_at: Timestamp::from_ms(row.get("created_at_ms")?),
        attempts: row.get("attempts")?,
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
    })
}
