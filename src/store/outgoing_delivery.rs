//! One message to one endpoint: what is due, who holds it, and the log of attempts.
//!
//! A claim is a lease: the delivery's due instant moves past the end of any attempt. Whoever holds it
//! then dies loses it by time, and it is sent again under the same message id: nothing is lost, and
//! nothing is invented. Only the holder of the lease may say what came of it, except that a message
//! that was taken stays taken.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::outgoing::{DeliveryStatus, EventType, Verdict};
use crate::domain::timestamp::Timestamp;
use crate::store::webhook_endpoint::{NEVER_TOOK_MS, WebhookEndpoint};
use crate::store::{Reader, StoreError, Tx};

/// An endpoint with something due.
#[derive(Clone, Debug)]
pub struct DueEndpoint {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Whether its last attempt failed.
    pub is_failing: bool,
    /// How long its last attempt took, in milliseconds; `None`: none has ended since it was created
    /// or got its URL.
    pub took_ms: Option<i64>,
}

/// A delivery that its holder is to attempt.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The delivery.
    pub delivery_no: i64,
    /// Attempts of this run through the schedule, before this one.
    pub attempts: u32,
    /// Until when it is held; also names this claim.
    pub lease: Timestamp,
    /// Where to.
    pub endpoint: WebhookEndpoint,
    /// `webhook-id`.
    pub message_id: String,
    /// The exact body.
    pub body: Vec<u8>,
}

/// An attempt to be logged.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Where it went.
    pub url: String,
    /// `webhook-timestamp`.
    pub signed_at_s: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// The answer's status and first bytes, or why there was none.
    pub answer: Result<(u16, Vec<u8>), &'static str>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// A logged attempt.
#[derive(Clone, Debug)]
pub struct OutgoingAttempt {
    /// Where it went.
    pub url: String,
    /// `webhook-timestamp`.
    pub signed_at_s: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// The answer's status.
    pub status: Option<u16>,
    /// The first bytes of the answer.
    pub answer: Option<Vec<u8>>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// A delivery as the log shows it.
#[derive(Clone, Debug)]
pub struct OutgoingDelivery {
    /// Its number, for operators.
    pub no: i64,
    /// Its id, for callers: random, so that it tells nobody how many there are.
    pub public_id: String,
    /// `webhook-id`.
    pub message_id: String,
    /// What it is about.
    pub event_type: EventType,
    /// Where to.
    pub endpoint_id: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// When it is due, while it is PENDING.
    pub due_at: Option<Timestamp>,
    /// When the event was written.
    pub created_at: Timestamp,
    /// The exact body.
    pub body: Vec<u8>,
    /// Every attempt so far, in order.
    pub attempts: Vec<OutgoingAttempt>,
}

/// Which delivery: callers know its public id, operators its number as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryName {
    /// Its public id.
    Id(String),
    /// Its number.
    Number(i64),
}

/// Which deliveries of an endpoint a list shows.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only those that stand so.
    pub status: Option<DeliveryStatus>,
    /// Only those older than this one.
    pub after: Option<DeliveryName>,
    /// At most so many.
    pub limit: u32,
}

const COLUMNS: &str =
    "d.delivery_no, d.public_id, m.message_id, m.type, d.endpoint_id, d.status, d.due_at_ms,
                       d.created_at_ms, m.body";

impl Reader<'_> {
    /// The endpoints at which something is due, the longest waiting first.
    pub fn due_endpoints(&self, now: Timestamp) -> Result<Vec<DueEndpoint>, StoreError> {
        // Jumps from endpoint to endpoint along the index, so that a backlog costs nothing here.
        self.connection
            .prepare_cached(
                "WITH RECURSIVE waiting (endpoint_id) AS (
                   SELECT * FROM (
                     SELECT endpoint_id FROM outgoing_delivery
                     WHERE status = 'PENDING'
                     ORDER BY endpoint_id LIMIT 1)
                   UNION ALL
                   SELECT (SELECT d.endpoint_id FROM outgoing_delivery AS d
                           WHERE d.status = 'PENDING' AND d.endpoint_id > w.endpoint_id
                           ORDER BY d.endpoint_id LIMIT 1)
                   FROM waiting AS w
                   WHERE w.endpoint_id IS NOT NULL)
                 SELECT e.endpoint_id, e.organization_id,
                        e.failing_since_ms IS NOT NULL AS is_failing, e.took_ms,
                        (SELECT min(d.due_at_ms) FROM outgoing_delivery AS d
                         WHERE d.endpoint_id = e.endpoint_id AND d.status = 'PENDING') AS first_due
                 FROM waiting AS w
                 JOIN webhook_endpoint AS e ON e.endpoint_id = w.endpoint_id
                 WHERE first_due <= :now
                 ORDER BY first_due",
            )?
            .query_map(named_params! {":now": now.as_ms()}, |row| {
                Ok(DueEndpoint {
                    id: row.get("endpoint_id")?,
                    organization: OrganizationId::new(row.get::<_, String>("organization_id")?),
                    is_failing: row.get("is_failing")?,
                    took_ms: Some(row.get("took_ms")?).filter(|it| *it != NEVER_TOOK_MS),
                })
            })?
            .map(|row| Ok(row?))
            .collect()
    }

    /// The number of a delivery to an endpoint.
    pub fn outgoing_delivery_number(
        &self,
        endpoint_id: &str,
        name: &DeliveryName,
    ) -> Result<Option<i64>, StoreError> {
        let (id, number) = match name {
            DeliveryName::Id(id) => (Some(id), None),
            DeliveryName::Number(number) => (None, Some(number)),
        };
        Ok(self
            .connection
            .prepare_cached(
                "SELECT delivery_no FROM outgoing_delivery
                 WHERE (public_id = :id OR delivery_no = :number) AND endpoint_id = :endpoint",
            )?
            .query_row(
                named_params! {":id": id, ":number": number, ":endpoint": endpoint_id},
                |row| row.get(0),
            )
            .optional()?)
    }

    /// The deliveries to an endpoint that a filter lets through, newest first, older than the one of
    /// the number `before`.
    pub fn outgoing_deliveries(
        &self,
        endpoint_id: &str,
        filter: &DeliveryFilter,
        before: Option<i64>,
    ) -> Result<Vec<OutgoingDelivery>, StoreError> {
        let mut deliveries = self
            .connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}
                 FROM outgoing_delivery AS d
                 JOIN outgoing_message AS m ON m.message_no = d.message_no
                 WHERE d.endpoint_id = :endpoint
                   AND (:status IS NULL OR d.status = :status)
                   AND (:before IS NULL
                        OR (d.created_at_ms, d.delivery_no)
                           < (SELECT created_at_ms, delivery_no FROM outgoing_delivery
                              WHERE delivery_no = :before))
                 ORDER BY d.created_at_ms DESC, d.delivery_no DESC
                 LIMIT :limit"
            ))?
            .query_map(
                named_params! {
                    ":endpoint": endpoint_id,
                    ":status": filter.status.map(DeliveryStatus::as_str),
                    ":before": before,
                    ":limit": filter.limit,
                },
                |row| Ok(from_row(row)),
            )?
            .map(|row| row?)
            .collect::<Result<Vec<_>, StoreError>>()?;
        for it in &mut deliveries {
            it.attempts = self.outgoing_attempts(it.no)?;
        }
        Ok(deliveries)
    }

    /// One delivery to an endpoint.
    pub fn outgoing_delivery(
        &self,
        endpoint_id: &str,
        no: i64,
    ) -> Result<Option<OutgoingDelivery>, StoreError> {
        let found = self
            .connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}
                 FROM outgoing_delivery AS d
                 JOIN outgoing_message AS m ON m.message_no = d.message_no
                 WHERE d.delivery_no = :no AND d.endpoint_id = :endpoint"
            ))?
            .query_row(named_params! {":no": no, ":endpoint": endpoint_id}, |row| Ok(from_row(row)))
            .optional()?
            .transpose()?;
        let Some(mut delivery) = found else { return Ok(None) };
        delivery.attempts = self.outgoing_attempts(no)?;
        Ok(Some(delivery))
    }

    /// How many deliveries to an endpoint were written from `since` on and before `until`; counts no
    /// further than `limit`.
    pub fn count_outgoing_deliveries(
        &self,
        endpoint_id: &str,
        (since, until): (Timestamp, Timestamp),
        status: Option<DeliveryStatus>,
        limit: u32,
    ) -> Result<u32, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM (
                   SELECT 1 FROM outgoing_delivery
                   WHERE endpoint_id = :endpoint
                     AND created_at_ms >= :since AND created_at_ms < :until
                     AND (:status IS NULL OR status = :status)
                   LIMIT :limit)",
            )?
            .query_row(
                named_params! {
                    ":endpoint": endpoint_id,
                    ":since": since.as_ms(),
                    ":until": until.as_ms(),
                    ":status": status.map(DeliveryStatus::as_str),
                    ":limit": limit,
                },
                |row| row.get(0),
            )?)
    }

    /// How many test events wait among an endpoint's newest deliveries: the count costs the same
    /// however many events wait there too.
    pub fn count_waiting_tests(&self, endpoint_id: &str) -> Result<u32, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM (
                   SELECT message_no, status FROM outgoing_delivery
                   WHERE endpoint_id = :endpoint
                   ORDER BY created_at_ms DESC
                   LIMIT 1000) AS d
                 JOIN outgoing_message AS m ON m.message_no = d.message_no
                 WHERE d.status = 'PENDING' AND m.type = 'webhook.test'",
            )?
            .query_row(named_params! {":endpoint": endpoint_id}, |row| row.get(0))?)
    }

    fn outgoing_attempts(self, delivery_no: i64) -> Result<Vec<OutgoingAttempt>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT url, signed_at_s, signature, status, answer, error, started_at_ms,
                        ended_at_ms
                 FROM outgoing_attempt
                 WHERE delivery_no = :no
                 ORDER BY attempt_no",
            )?
            .query_map(named_params! {":no": delivery_no}, |row| {
                Ok(OutgoingAttempt {
                    url: row.get("url")?,
                    signed_at_s: row.get("signed_at_s")?,
                    signature: row.get("signature")?,
                    status: row.get("status")?,
                    answer: row.get("answer")?,
                    error: row.get("error")?,
                    started_at: Timestamp::from_ms(row.get("started_at_ms")?),
                    ended_at: Timestamp::from_ms(row.get("ended_at_ms")?),
                })
            })?
            .map(|row| Ok(row?))
            .collect()
    }
}

impl Tx<'_> {
    /// Takes what is due at an endpoint, at most `limit`, and holds it until `lease`.
    pub fn claim_deliveries(
        &self,
        endpoint_id: &str,
        limit: u32,
        lease: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        let Some(endpoint) = self.any_webhook_endpoint(endpoint_id)? else { return Ok(Vec::new()) };
        let claims = self
            .connection
            .prepare_cached(
                "SELECT d.delivery_no, d.attempts, m.message_id, m.body
                 FROM outgoing_delivery AS d
                 JOIN outgoing_message AS m ON m.message_no = d.message_no
                 WHERE d.endpoint_id = :endpoint AND d.status = 'PENDING' AND d.due_at_ms <= :now
                 ORDER BY d.due_at_ms, d.delivery_no
                 LIMIT :limit",
            )?
            .query_map(
                named_params! {":endpoint": endpoint_id, ":now": now.as_ms(), ":limit": limit},
                |row| {
                    Ok(Claim {
                        delivery_no: row.get("delivery_no")?,
                        attempts: row.get("attempts")?,
                        lease,
                        endpoint: endpoint.clone(),
                        message_id: row.get("message_id")?,
                        body: row.get("body")?,
                    })
                },
            )?
            .collect::<Result<Vec<_>, _>>()?;
        for claim in &claims {
            self.connection
                .prepare_cached(
                    "UPDATE outgoing_delivery SET due_at_ms = :lease WHERE delivery_no = :no",
                )?
                .execute(named_params! {":lease": lease.as_ms(), ":no": claim.delivery_no})?;
        }
        Ok(claims)
    }

    /// Logs an attempt, and moves its delivery and its endpoint on as judged.
    pub fn record_attempt(
        &self,
        claim: &Claim,
        attempt: &NewAttempt,
        verdict: &Verdict,
    ) -> Result<(), StoreError> {
        self.insert_attempt(claim.delivery_no, attempt)?;
        self.connection
            .prepare_cached(
                "UPDATE outgoing_delivery
                 SET status = :status, attempts = :attempts, due_at_ms = :due_at
                 WHERE delivery_no = :no
                   AND (:status = 'DELIVERED' OR (status = 'PENDING' AND due_at_ms = :lease))",
            )?
            .execute(named_params! {
                ":no": claim.delivery_no,
                ":status": verdict.status.as_str(),
                ":attempts": claim.attempts.saturating_add(1),
                ":due_at": verdict.due_at.map(Timestamp::as_ms),
                ":lease": claim.lease.as_ms(),
            })?;
        let took_ms = attempt.ended_at.as_ms().saturating_sub(attempt.started_at.as_ms());
        self.connection
            .prepare_cached(
                "UPDATE webhook_endpoint
                 SET failing_since_ms = :failing_since, took_ms = iif(url = :url, :took, took_ms)
                 WHERE endpoint_id = :id",
            )?
            .execute(named_params! {
                ":id": claim.endpoint.id,
                ":failing_since": verdict.failing_since.map(Timestamp::as_ms),
                ":took": took_ms,
                ":url": attempt.url,
            })?;
        Ok(())
    }

    /// Lets a delivery begin its schedule anew, now.
    pub fn resend_delivery(&self, no: i64, now: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE outgoing_delivery SET status = 'PENDING', attempts = 0, due_at_ms = :now
                 WHERE delivery_no = :no",
            )?
            .execute(named_params! {":no": no, ":now": now.as_ms()})?;
        Ok(())
    }

    /// As [`Tx::resend_delivery`], for those to an endpoint that were written from `since` on and
    /// before `until`.
    pub fn resend_deliveries(
        &self,
        endpoint_id: &str,
        (since, until): (Timestamp, Timestamp),
        status: Option<DeliveryStatus>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE outgoing_delivery SET status = 'PENDING', attempts = 0, due_at_ms = :now
                 WHERE endpoint_id = :endpoint
                   AND created_at_ms >= :since AND created_at_ms < :until
                   AND (:status IS NULL OR status = :status)",
            )?
            .execute(named_params! {
                ":endpoint": endpoint_id,
                ":since": since.as_ms(),
                ":until": until.as_ms(),
                ":status": status.map(DeliveryStatus::as_str),
                ":now": now.as_ms(),
            })?;
        Ok(())
    }

    fn insert_attempt(&self, delivery_no: i64, attempt: &NewAttempt) -> Result<(), StoreError> {
        let (status, answer, error) = match &attempt.answer {
            Ok((status, first_bytes)) => (Some(*status), Some(first_bytes), None),
            Err(word) => (None, None, Some(*word)),
        };
        self.connection
            .prepare_cached(
                "INSERT INTO outgoing_attempt
                   (delivery_no, url, signed_at_s, signature, status, answer, error,
                    started_at_ms, ended_at_ms)
                 VALUES (:no, :url, :signed_at, :signature, :status, :answer, :error,
                         :started_at, :ended_at)",
            )?
            .execute(named_params! {
                ":no": delivery_no,
                ":url": attempt.url,
                ":signed_at": attempt.signed_at_s,
                ":signature": attempt.signature,
                ":status": status,
                ":answer": answer,
                ":error": error,
                ":started_at": attempt.started_at.as_ms(),
                ":ended_at": attempt.ended_at.as_ms(),
            })?;
        Ok(())
    }
}

fn from_row(row: &Row<'_>) -> Result<OutgoingDelivery, StoreError> {
    Ok(OutgoingDelivery {
        no: row.get("delivery_no")?,
        public_id: row.get("public_id")?,
        message_id: row.get("message_id")?,
        event_type: EventType::parse(&row.get::<_, String>("type")?)
            .ok_or(StoreError::Corrupt("event type of an outgoing message"))?,
        endpoint_id: row.get("endpoint_id")?,
        status: DeliveryStatus::parse(&row.get::<_, String>("status")?)
            .ok_or(StoreError::Corrupt("status of an outgoing delivery"))?,
        due_at: row.get::<_, Option<i64>>("due_at_ms")?.map(Timestamp::from_ms),
        created_at: Timestamp::from_ms(row.get("created_at_ms")?),
        body: row.get("body")?,
        attempts: Vec::new(),
    })
}
