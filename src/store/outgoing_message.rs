//! The events that our callers are told, written where the change is written.
//!
//! The one place of the rule "a change and its message are one commit": whatever records a fact or
//! touches an LOA goes through [`Tx::record`], [`Tx::issue_authorization`] or
//! [`Tx::record_authorization`], and those come here, whoever called: API, webhook, console or
//! command line. An approval's end is no fact; its message is written by whichever commit comes
//! first after it, at the latest by [`Tx::announce_expiries`].
//!
//! `data` is the contract's object, as the API answers it (a test compares the two); a verification
//! bears its `organizationId` in addition, since no request says whose it is.

use rusqlite::named_params;
use serde::Serialize;

use crate::domain::authorization::{AUTHORIZATION_TYPE, Authorization};
use crate::domain::fold::{Standing, Verification};
use crate::domain::organization::OrganizationId;
use crate::domain::outgoing::EventType;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::Status;
use crate::store::{Reader, Recorded, StoreError, Tx};

/// What a message exists for.
#[derive(Clone, Copy, Debug)]
enum Occasion {
    Fact(i64),
    Expiry(Timestamp),
    Authorization(i64),
    Test,
}

impl Reader<'_> {
    /// Whether an approval has ended that nobody was told of yet.
    pub fn has_due_expiry(&self, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM expiry_notice WHERE expires_at_ms <= :now)",
            )?
            .query_row(named_params! {":now": now.as_ms()}, |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Tells of approvals that have ended by now, at most `limit` of them.
    pub fn announce_expiries(&self, limit: u32, now: Timestamp) -> Result<(), StoreError> {
        let due = self
            .connection
            .prepare_cached(
                "SELECT organization_id FROM expiry_notice
                 WHERE expires_at_ms <= :now
                 ORDER BY expires_at_ms
                 LIMIT :limit",
            )?
            .query_map(named_params! {":now": now.as_ms(), ":limit": limit}, |row| {
                row.get::<_, String>(0)
            })?
            .collect::<Result<Vec<_>, _>>()?;
        for id in due.into_iter().map(OrganizationId::new) {
            let verification = self
                .verification(&id)?
                .ok_or(StoreError::Corrupt("organization without verification"))?;
            self.announce_expiry(&id, &verification, (now, now))?;
            self.forget_expiry(&id)?;
        }
        Ok(())
    }

    /// Tells of the end of an approval, if it has come and nobody was told.
    pub(super) fn announce_expiry(
        &self,
        of: &OrganizationId,
        verification: &Verification,
        (now, due): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        // A clock that was set back may let one approval end twice; it is told once.
        let ended = self
            .connection
            .prepare_cached(
                "SELECT EXISTS (
                   SELECT 1 FROM expiry_notice AS n
                   WHERE n.organization_id = :of
                     AND n.expires_at_ms <= :now
                     AND NOT EXISTS (SELECT 1 FROM outgoing_message AS m
                                     WHERE m.organization_id = n.organization_id
                                       AND m.expired_at_ms = n.expires_at_ms))",
            )?
            .query_row(named_params! {":of": of.as_str(), ":now": now.as_ms()}, |row| {
                row.get::<_, bool>(0)
            })?;
        let (true, Some(expired_at)) = (ended, verification.expires_at) else { return Ok(()) };
        let standing = verification.at(now);
        self.announce_standing(of, Occasion::Expiry(expired_at), standing, (now, due))
    }

    /// Tells of what a fact changed for readers, and notes when the approval it may have led to will
    /// end.
    pub(super) fn announce_verification(
        &self,
        of: &OrganizationId,
        sequence: i64,
        recorded: &Recorded,
        due: Timestamp,
    ) -> Result<(), StoreError> {
        let now = recorded.known_at;
        let standing = recorded.after.at(now);
        if recorded.changed() {
            self.announce_standing(of, Occasion::Fact(sequence), standing, (now, due))?;
        }
        match (standing.status, recorded.after.expires_at) {
            (Status::Approved, Some(expires_at)) => self.note_expiry(of, expires_at),
            _ => self.forget_expiry(of),
        }
    }

    /// Tells both parties what happened to an LOA.
    pub(super) fn announce_authorization(
        &self,
        sequence: i64,
        authorization: &Authorization,
        (now, due): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        let message = self.insert_message(
            &authorization.granting,
            (EventType::AuthorizationUpdated, Occasion::Authorization(sequence)),
            &body(EventType::AuthorizationUpdated, now, &AuthorizationData::of(authorization)),
            now,
        )?;
        self.connection
            .prepare_cached(
                "INSERT INTO outgoing_delivery
                   (message_no, endpoint_id, status, due_at_ms, created_at_ms)
                 SELECT :message, endpoint_id, iif(disabled, 'SKIPPED', 'PENDING'),
                        iif(disabled, NULL, :due), :now
                 FROM webhook_endpoint
                 WHERE organization_id IN (:granting, :authorized)
                   AND deleted_at_ms IS NULL
                   AND (event_types = '[]'
                        OR :type IN (SELECT value FROM json_each(event_types)))",
            )?
            .execute(named_params! {
                ":message": message,
                ":granting": authorization.granting.as_str(),
                ":authorized": authorization.authorized.as_str(),
                ":type": EventType::AuthorizationUpdated.as_str(),
                ":now": now.as_ms(),
                ":due": due.as_ms(),
            })?;
        Ok(())
    }

    /// Writes a test event for one endpoint, whatever its types; answers the delivery's number.
    pub fn announce_test(
        &self,
        of: &OrganizationId,
        endpoint_id: &str,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let message = self.insert_message(
            of,
            (EventType::Test, Occasion::Test),
            &body(EventType::Test, now, &TestData { object: "webhook_test", endpoint_id }),
            now,
        )?;
        self.connection
            .prepare_cached(
                "INSERT INTO outgoing_delivery
                   (message_no, endpoint_id, status, due_at_ms, created_at_ms)
                 VALUES (:message, :endpoint, 'PENDING', :now, :now)",
            )?
            .execute(named_params! {
                ":message": message, ":endpoint": endpoint_id, ":now": now.as_ms(),
            })?;
        Ok(self.connection.last_insert_rowid())
    }

    /// To the organization's own endpoints, and to those of whoever has a live LOA of it.
    fn announce_standing(
        &self,
        of: &OrganizationId,
        occasion: Occasion,
        standing: Standing,
        (now, due): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        let kind = self
            .organization(of)?
            .ok_or(StoreError::Corrupt("verification without organization"))?
            .kind;
        let verification = VerificationData {
            object: "organization_verification",
            organization_id: of.as_str(),
            status: standing.status.as_str(),
            r#type: kind.as_str(),
            updated_at: standing.updated_at.to_string(),
        };
        let message = self.insert_message(
            of,
            (EventType::VerificationUpdated, occasion),
            &body(EventType::VerificationUpdated, standing.updated_at, &verification),
            now,
        )?;
        self.connection
            .prepare_cached(
                "INSERT INTO outgoing_delivery
                   (message_no, endpoint_id, status, due_at_ms, created_at_ms)
                 SELECT :message, endpoint_id, iif(disabled, 'SKIPPED', 'PENDING'),
                        iif(disabled, NULL, :due), :now
                 FROM webhook_endpoint
                 WHERE organization_id IN (
                         SELECT :of
                         UNION
                         SELECT authorized FROM authorization
                         WHERE granting = :of AND type = 'LOA' AND status IN ('PENDING', 'ACTIVE'))
                   AND deleted_at_ms IS NULL
                   AND (event_types = '[]'
                        OR :type IN (SELECT value FROM json_each(event_types)))",
            )?
            .execute(named_params! {
                ":message": message,
                ":of": of.as_str(),
                ":type": EventType::VerificationUpdated.as_str(),
                ":now": now.as_ms(),
                ":due": due.as_ms(),
            })?;
        Ok(())
    }

    fn insert_message(
        &self,
        about: &OrganizationId,
        (kind, occasion): (EventType, Occasion),
        body: &[u8],
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let (fact, expired_at, authorization) = match occasion {
            Occasion::Fact(sequence) => (Some(sequence), None, None),
            Occasion::Expiry(at) => (None, Some(at.as_ms()), None),
            Occasion::Authorization(sequence) => (None, None, Some(sequence)),
            Occasion::Test => (None, None, None),
        };
        // Random, not counted: a register put back from a backup must not send a new event under an
        // id that a receiver has already seen.
        let id = format!("msg_{}", uuid::Uuid::new_v4().simple());
        self.connection
            .prepare_cached(
                "INSERT INTO outgoing_message
                   (message_id, type, organization_id, verification_sequence, expired_at_ms,
                    authorization_sequence, body, known_at_ms)
                 VALUES (:id, :type, :about, :fact, :expired_at, :authorization, :body, :now)",
            )?
            .execute(named_params! {
                ":id": id,
                ":type": kind.as_str(),
                ":about": about.as_str(),
                ":fact": fact,
                ":expired_at": expired_at,
                ":authorization": authorization,
                ":body": body,
                ":now": now.as_ms(),
            })?;
        Ok(self.connection.last_insert_rowid())
    }

    fn note_expiry(&self, of: &OrganizationId, expires_at: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO expiry_notice (organization_id, expires_at_ms)
                 VALUES (:of, :expires_at)
                 ON CONFLICT (organization_id) DO UPDATE SET expires_at_ms = excluded.expires_at_ms",
            )?
            .execute(named_params! {":of": of.as_str(), ":expires_at": expires_at.as_ms()})?;
        Ok(())
    }

    fn forget_expiry(&self, of: &OrganizationId) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM expiry_notice WHERE organization_id = :of")?
            .execute(named_params! {":of": of.as_str()})?;
        Ok(())
    }
}

/// The exact bytes: type, when it happened, and the object.
fn body(kind: EventType, happened_at: Timestamp, object: &impl Serialize) -> Vec<u8> {
    let event = Event { r#type: kind.as_str(), timestamp: happened_at.to_string(), data: object };
    // Cannot fail: strings only.
    serde_json::to_vec(&event).unwrap_or_default()
}

#[derive(Serialize)]
struct Event<'a, T> {
    r#type: &'static str,
    timestamp: String,
    data: &'a T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationData<'a> {
    object: &'static str,
    organization_id: &'a str,
    status: &'static str,
    r#type: &'static str,
    updated_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TestData<'a> {
    object: &'static str,
    endpoint_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationData<'a> {
    object: &'static str,
    granting_organization_id: &'a str,
    authorized_organization_id: &'a str,
    r#type: &'static str,
    status: &'static str,
    signed_at: Option<String>,
    revoked_at: Option<String>,
    revoked_reason: Option<&'a str>,
    created_at: String,
    updated_at: String,
}

impl<'a> AuthorizationData<'a> {
    fn of(authorization: &'a Authorization) -> Self {
        let text = |it: Option<Timestamp>| it.map(|it| it.to_string());
        Self {
            object: "authorization",
            granting_organization_id: authorization.granting.as_str(),
            authorized_organization_id: authorization.authorized.as_str(),
            r#type: AUTHORIZATION_TYPE,
            status: authorization.status.as_str(),
            signed_at: text(authorization.signed_at),
            revoked_at: text(authorization.revoked_at),
            revoked_reason: authorization.revoked_reason.as_deref(),
            created_at: authorization.created_at.to_string(),
            updated_at: authorization.updated_at.to_string(),
        }
    }
}
