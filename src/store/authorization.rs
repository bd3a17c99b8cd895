//! Letters of Authorization: the recorded events, and the rows that are their fold.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::authorization::{
    AUTHORIZATION_TYPE, Authorization, AuthorizationEvent, AuthorizationFact, AuthorizationRecord,
    AuthorizationStatus,
};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Evidence, Reader, StoreError, Tx};

/// Which side of an LOA an organization is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It granted.
    Granter,
    /// It was authorized.
    Authorized,
}

/// Which LOAs a list shows.
#[derive(Clone, Debug, Default)]
pub struct AuthorizationFilter {
    /// Only those that this organization is a party of; `None`: all.
    pub party: Option<OrganizationId>,
    /// Only those in which the party has this role.
    pub role: Option<Role>,
    /// Only those with this status.
    pub status: Option<AuthorizationStatus>,
    /// Only those older than the one of this public id.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// What happened to an LOA.
#[derive(Clone, Debug)]
pub enum NewAuthorizationEvent {
    /// It was issued, to be signed.
    Issued,
    /// The granter signed.
    Signed {
        /// When, by the paper.
        at: Timestamp,
        /// Who.
        signer_name: String,
        /// In which role.
        signer_role: String,
        /// How: `paper`, `e-signature`, ….
        how: String,
        /// Where the signed document is kept.
        reference: String,
        /// What the hand-off page recorded, if it was signed there.
        evidence: Option<Box<Evidence>>,
    },
    /// A party took it back.
    Revoked {
        /// Why.
        reason: Option<String>,
    },
}

/// Who did it, by which request, and when we knew.
#[derive(Clone, Debug)]
pub struct AuthorizationNote {
    /// An organization's id, or `operator:<login>`.
    pub actor: String,
    /// The request that did it.
    pub request_id: Option<String>,
    /// The instant of recording.
    pub now: Timestamp,
}

/// Why an event of an LOA was recorded.
#[derive(Clone, Debug)]
pub struct AuthorizationCause {
    /// An organization's id, or `operator:<login>`.
    pub actor: String,
    /// The request that did it.
    pub request_id: Option<String>,
    /// Of a revocation: why.
    pub reason: Option<String>,
    /// Of a signature: who signed, in which role, how, and where the document is kept.
    pub evidence: Option<[String; 4]>,
}

const COLUMNS: &str = "authorization_id, granting, authorized, status, signed_at_ms, revoked_at_ms,
                       revoked_reason, created_at_ms, updated_at_ms";

impl Reader<'_> {
    /// The live LOA by which `granting` lets `authorized` act.
    pub fn live_authorization(
        &self,
        granting: &OrganizationId,
        authorized: &OrganizationId,
    ) -> Result<Option<Authorization>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}
                 FROM authorization
                 WHERE granting = :granting AND authorized = :authorized AND type = 'LOA'
                   AND status IN ('PENDING', 'ACTIVE')"
            ))?
            .query_row(
                named_params! {":granting": granting.as_str(), ":authorized": authorized.as_str()},
                |row| Ok(from_row(row)),
            )
            .optional()?
            .transpose()
    }

    /// The LOAs that a filter lets through, newest first, older than the one of the number `before`.
    pub fn authorizations(
        &self,
        filter: &AuthorizationFilter,
        before: Option<i64>,
    ) -> Result<Vec<Authorization>, StoreError> {
        let as_granter = filter.role != Some(Role::Authorized);
        let as_authorized = filter.role != Some(Role::Granter);
        // Two index walks, newest first each, merged: a party's list costs its page, not the table.
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM authorization
                 WHERE :party IS NULL
                   AND (:status IS NULL OR status = :status)
                   AND (:before IS NULL OR authorization_id < :before)
                 UNION ALL
                 SELECT {COLUMNS} FROM authorization
                 WHERE granting = :party AND :as_granter
                   AND (:status IS NULL OR status = :status)
                   AND (:before IS NULL OR authorization_id < :before)
                 UNION ALL
                 SELECT {COLUMNS} FROM authorization
                 WHERE authorized = :party AND :as_authorized
                   AND (:status IS NULL OR status = :status)
                   AND (:before IS NULL OR authorization_id < :before)
                 ORDER BY authorization_id DESC
                 LIMIT :limit"
            ))?
            .query_map(
                named_params! {
                    ":party": filter.party.as_ref().map(OrganizationId::as_str),
                    ":as_granter": as_granter,
                    ":as_authorized": as_authorized,
                    ":status": filter.status.map(AuthorizationStatus::as_str),
                    ":before": before,
                    ":limit": filter.limit,
                },
                |row| Ok(from_row(row)),
            )?
            .map(|row| row?)
            .collect()
    }

    /// The number of an LOA by its public id, if `party` is one of its parties; `None`: anybody's.
    pub fn authorization_number(
        &self,
        public_id: &str,
        party: Option<&OrganizationId>,
    ) -> Result<Option<i64>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT authorization_id FROM authorization
                 WHERE public_id = :id AND (:party IS NULL OR :party IN (granting, authorized))",
            )?
            .query_row(
                named_params! {":id": public_id, ":party": party.map(OrganizationId::as_str)},
                |row| row.get(0),
            )
            .optional()?)
    }

    /// An LOA's public id: random, so that it tells nobody how many there are.
    pub fn authorization_public_id(&self, id: i64) -> Result<String, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT public_id FROM authorization WHERE authorization_id = :id")?
            .query_row(named_params! {":id": id}, |row| row.get(0))?)
    }

    /// Everything that happened to the LOAs by which `granting` let or lets `authorized` act.
    pub fn authorization_facts(
        &self,
        granting: &OrganizationId,
        authorized: &OrganizationId,
    ) -> Result<Vec<AuthorizationFact>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT e.sequence, e.event, e.known_at_ms
                 FROM authorization AS a
                 JOIN authorization_event AS e ON e.authorization_id = a.authorization_id
                 WHERE a.granting = :granting AND a.authorized = :authorized
                 ORDER BY e.sequence",
            )?
            .query_map(
                named_params! {":granting": granting.as_str(), ":authorized": authorized.as_str()},
                |row| Ok(fact_from_row(row)),
            )?
            .map(|row| row?)
            .collect()
    }

    /// Why an event was recorded.
    pub fn authorization_cause(&self, sequence: i64) -> Result<AuthorizationCause, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT actor, request_id, reason, signer_name, signer_role, signed_how, reference
                 FROM authorization_event
                 WHERE sequence = :sequence",
            )?
            .query_row(named_params! {":sequence": sequence}, |row| Ok(cause_from_row(row)))?
    }

    /// An LOA by its number.
    pub fn authorization(&self, id: i64) -> Result<Authorization, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM authorization WHERE authorization_id = :id"
            ))?
            .query_row(named_params! {":id": id}, |row| Ok(from_row(row)))?
    }
}

impl Tx<'_> {
    /// Issues a new PENDING LOA.
    pub fn issue_authorization(
        &self,
        granting: &OrganizationId,
        authorized: &OrganizationId,
        note: &AuthorizationNote,
    ) -> Result<Authorization, StoreError> {
        let (due, note) = (note.now, &self.in_order(note)?);
        self.connection
            .prepare_cached(
                "INSERT INTO authorization
                   (granting, authorized, type, status, created_at_ms, updated_at_ms)
                 VALUES (:granting, :authorized, :type, 'PENDING', :now, :now)",
            )?
            .execute(named_params! {
                ":granting": granting.as_str(),
                ":authorized": authorized.as_str(),
                ":type": AUTHORIZATION_TYPE,
                ":now": note.now.as_ms(),
            })?;
        let id = self.connection.last_insert_rowid();
        let sequence = self.insert_authorization_event(id, &NewAuthorizationEvent::Issued, note)?;
        let authorization = self.authorization(id)?;
        self.announce_authorization(sequence, &authorization, (note.now, due))?;
        Ok(authorization)
    }

    /// Records that an LOA was signed or revoked, and folds that into its row. The caller has asked
    /// the rules whether it may.
    pub fn record_authorization(
        &self,
        id: i64,
        event: &NewAuthorizationEvent,
        note: &AuthorizationNote,
    ) -> Result<Authorization, StoreError> {
        let (due, note) = (note.now, &self.in_order(note)?);
        let sequence = self.insert_authorization_event(id, event, note)?;
        match event {
            NewAuthorizationEvent::Issued => {}
            NewAuthorizationEvent::Signed { at, .. } => {
                self.connection
                    .prepare_cached(
                        "UPDATE authorization
                         SET status = 'ACTIVE', signed_at_ms = :at, updated_at_ms = :now
                         WHERE authorization_id = :id AND status = 'PENDING'",
                    )?
                    .execute(
                        named_params! {":id": id, ":at": at.as_ms(), ":now": note.now.as_ms()},
                    )?;
            }
            NewAuthorizationEvent::Revoked { reason } => {
                self.connection
                    .prepare_cached(
                        "UPDATE authorization
                         SET status = 'REVOKED', revoked_at_ms = :now, revoked_reason = :reason,
                             updated_at_ms = :now
                         WHERE authorization_id = :id AND status IN ('PENDING', 'ACTIVE')",
                    )?
                    .execute(
                        named_params! {":id": id, ":reason": reason, ":now": note.now.as_ms()},
                    )?;
            }
        }
        let authorization = self.authorization(id)?;
        // Whoever waits for the customer's verification learns that it may no longer ask.
        self.touched.borrow_mut().organizations.push(authorization.granting.clone());
        self.announce_authorization(sequence, &authorization, (note.now, due))?;
        Ok(authorization)
    }

    /// The same, no earlier than anything else of this register became known.
    fn in_order(&self, note: &AuthorizationNote) -> Result<AuthorizationNote, StoreError> {
        let now = self.in_order_of_knowing(note.now)?;
        self.note_known(now);
        Ok(AuthorizationNote { now, ..note.clone() })
    }

    fn insert_authorization_event(
        &self,
        id: i64,
        event: &NewAuthorizationEvent,
        note: &AuthorizationNote,
    ) -> Result<i64, StoreError> {
        let (word, happened_at, reason) = match event {
            NewAuthorizationEvent::Issued => ("issued", note.now, None),
            NewAuthorizationEvent::Signed { at, .. } => ("signed", *at, None),
            NewAuthorizationEvent::Revoked { reason } => ("revoked", note.now, reason.as_ref()),
        };
        let signature = match event {
            NewAuthorizationEvent::Signed { signer_name, signer_role, how, reference, .. } => {
                [Some(signer_name), Some(signer_role), Some(how), Some(reference)]
            }
            NewAuthorizationEvent::Issued | NewAuthorizationEvent::Revoked { .. } => [None; 4],
        };
        let [signer_name, signer_role, how, reference] = signature;
        self.connection
            .prepare_cached(
                "INSERT INTO authorization_event
                   (authorization_id, event, happened_at_ms, known_at_ms, actor, reason,
                    signer_name, signer_role, signed_how, reference, request_id)
                 VALUES (:id, :event, :happened_at, :known_at, :actor, :reason,
                         :signer_name, :signer_role, :how, :reference, :request)",
            )?
            .execute(named_params! {
                ":id": id,
                ":event": word,
                ":happened_at": happened_at.as_ms(),
                ":known_at": note.now.as_ms(),
                ":actor": note.actor,
                ":reason": reason,
                ":signer_name": signer_name,
                ":signer_role": signer_role,
                ":how": how,
                ":reference": reference,
                ":request": note.request_id,
            })?;
        let sequence = self.connection.last_insert_rowid();
        if let NewAuthorizationEvent::Signed { evidence: Some(evidence), .. } = event {
            self.insert_evidence(sequence, evidence)?;
        }
        Ok(sequence)
    }
}

pub(super) fn from_row(row: &Row<'_>) -> Result<Authorization, StoreError> {
    Ok(Authorization {
        id: row.get("authorization_id")?,
        granting: OrganizationId::new(row.get::<_, String>("granting")?),
        authorized: OrganizationId::new(row.get::<_, String>("authorized")?),
        status: AuthorizationStatus::parse(&row.get::<_, String>("status")?)
            .ok_or(StoreError::Corrupt("authorization status"))?,
        signed_at: row.get::<_, Option<i64>>("signed_at_ms")?.map(Timestamp::from_ms),
        revoked_at: row.get::<_, Option<i64>>("revoked_at_ms")?.map(Timestamp::from_ms),
        revoked_reason: row.get("revoked_reason")?,
        created_at: Timestamp::from_ms(row.get("created_at_ms")?),
        updated_at: Timestamp::from_ms(row.get("updated_at_ms")?),
    })
}

fn cause_from_row(row: &Row<'_>) -> Result<AuthorizationCause, StoreError> {
    let signer: Option<String> = row.get("signer_name")?;
    let evidence = signer
        .map(|it| {
            let word = |name: &str| row.get::<_, String>(name);
            Ok::<_, StoreError>([it, word("signer_role")?, word("signed_how")?, word("reference")?])
        })
        .transpose()?;
    Ok(AuthorizationCause {
        actor: row.get("actor")?,
        request_id: row.get("request_id")?,
        reason: row.get("reason")?,
        evidence,
    })
}

fn fact_from_row(row: &Row<'_>) -> Result<AuthorizationFact, StoreError> {
    Ok(AuthorizationFact {
        sequence: row.get("sequence")?,
        event: AuthorizationEvent::parse(&row.get::<_, String>("event")?)
            .ok_or(StoreError::Corrupt("authorization event"))?,
        known_at: Timestamp::from_ms(row.get("known_at_ms")?),
    })
}

pub(super) fn record_from_row(row: &Row<'_>) -> Result<AuthorizationRecord, StoreError> {
    Ok(AuthorizationRecord {
        event: AuthorizationEvent::parse(&row.get::<_, String>("event")?)
            .ok_or(StoreError::Corrupt("authorization event"))?,
        happened_at: Timestamp::from_ms(row.get("happened_at_ms")?),
        known_at: Timestamp::from_ms(row.get("known_at_ms")?),
        reason: row.get("reason")?,
    })
}
