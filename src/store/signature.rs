//! Signatures of Letters of Authorization, with what the hand-off page recorded about them.

use rusqlite::{OptionalExtension as _, Row, named_params};

use crate::domain::handoff::AddressHeaders;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx, records};

/// What was signed on a hand-off page, and from where.
#[derive(Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The link by which the signer came.
    pub link_id: String,
    /// The letter as it was shown, byte for byte.
    pub text: String,
    /// Its SHA-256.
    pub text_sha256: [u8; 32],
    /// The version of its template.
    pub text_version: String,
    /// The signer's IP address.
    pub address: Option<String>,
    /// The browser's own word.
    pub user_agent: Option<String>,
    /// The headers that name a client's address; `None`: there were none, or they were not recorded.
    pub address_headers: Option<AddressHeaders>,
    /// The address that the newest session call for the link came from, if one did.
    pub asked_from: Option<String>,
}

impl Evidence {
    /// Refuses a letter that is not the one that its SHA-256 was taken of.
    pub fn check(&self) -> Result<(), StoreError> {
        if records::fits(self.text.as_bytes(), self.text_sha256) {
            return Ok(());
        }
        Err(StoreError::Corrupt("letter: it is not the one that its SHA-256 was taken of"))
    }

    /// Whether the letter was signed from the address that the link was asked for from; `None`: one of
    /// the two is not known.
    pub fn is_from_where_link_was_asked_for(&self) -> Option<bool> {
        Some(self.address.as_ref()? == self.asked_from.as_ref()?)
    }
}

/// Personal data: only the names of the letter and the link.
impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidence")
            .field("link_id", &self.link_id)
            .field("text_version", &self.text_version)
            .finish_non_exhaustive()
    }
}

/// A signature as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedSignature {
    /// Who signed.
    pub signer_name: String,
    /// In which role.
    pub signer_role: String,
    /// How.
    pub how: String,
    /// When, by the signer.
    pub at: Timestamp,
    /// When it was recorded: a paper may have been signed long before.
    pub known_at: Timestamp,
    /// What the hand-off page recorded; `None` for a signature that an operator recorded.
    pub evidence: Option<Evidence>,
}

impl Reader<'_> {
    /// The signature of an LOA.
    pub fn signature(
        &self,
        authorization_id: i64,
    ) -> Result<Option<RecordedSignature>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT e.signer_name, e.signer_role, e.signed_how, e.happened_at_ms,
                        e.known_at_ms,
                        s.link_id, s.text, s.text_sha256, s.text_version, s.address, s.user_agent,
                        s.forwarded, s.asked_from
                 FROM authorization_event AS e
                 LEFT JOIN signature_evidence AS s ON s.sequence = e.sequence
                 WHERE e.authorization_id = :id AND e.event = 'signed'",
            )?
            .query_row(named_params! {":id": authorization_id}, |row| Ok(from_row(row)))
            .optional()?
            .transpose()
    }
}

impl Tx<'_> {
    /// Adds the evidence of the signature whose event was recorded under `sequence`.
    pub(super) fn insert_evidence(
        &self,
        sequence: i64,
        evidence: &Evidence,
    ) -> Result<(), StoreError> {
        let forwarded = evidence
            .address_headers
            .as_ref()
            .map(serde_json::to_string)
            .transpose()
            .map_err(|_json| StoreError::Corrupt("address headers of a signature"))?;
        self.connection
            .prepare_cached(
                "INSERT INTO signature_evidence
                   (sequence, link_id, text, text_sha256, text_version, address, user_agent,
                    forwarded, asked_from)
                 VALUES (:sequence, :link, :text, :sha256, :version, :address, :user_agent,
                         :forwarded, :asked_from)",
            )?
            .execute(named_params! {
                ":sequence": sequence,
                ":link": evidence.link_id,
                ":text": evidence.text,
                ":sha256": evidence.text_sha256,
                ":version": evidence.text_version,
                ":address": evidence.address,
                ":user_agent": evidence.user_agent,
                ":forwarded": forwarded,
                ":asked_from": evidence.asked_from,
            })?;
        Ok(())
    }
}

fn from_row(row: &Row<'_>) -> Result<RecordedSignature, StoreError> {
    let evidence = match row.get::<_, Option<String>>("link_id")? {
        None => None,
        Some(link_id) => Some(Evidence {
            link_id,
            text: row.get("text")?,
            text_sha256: row.get("text_sha256")?,
            text_version: row.get("text_version")?,
            address: row.get("address")?,
            user_agent: row.get("user_agent")?,
            address_headers: row
                .get::<_, Option<String>>("forwarded")?
                .map(|it| serde_json::from_str(&it))
                .transpose()
                .map_err(|_json| StoreError::Corrupt("address headers of a signature"))?,
            asked_from: row.get("asked_from")?,
        }),
    };
    Ok(RecordedSignature {
        signer_name: row.get("signer_name")?,
        signer_role: row.get("signer_role")?,
        how: row.get("signed_how")?,
        at: Timestamp::from_ms(row.get("happened_at_ms")?),
        known_at: Timestamp::from_ms(row.get("known_at_ms")?),
        evidence,
    })
}
