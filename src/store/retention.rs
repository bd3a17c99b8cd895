//! What is let go of by age: the bodies of Sumsub's deliveries and of messages to our callers, the log
//! of what was sent, and answers kept for repeated requests. Facts, outcomes and evidence are for ever.

use rusqlite::named_params;

use crate::domain::timestamp::Timestamp;
use crate::store::{StoreError, Tx};

/// How far one turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Rows behind this number were not looked at yet.
    pub up_to: i64,
    /// How many of those looked at were let go of.
    pub let_go: usize,
    /// Whether older ones may be left.
    pub has_more: bool,
}

impl Tx<'_> {
    /// Lets go of the bodies of deliveries received before `before`, among the `most` that come after
    /// `cursor`. What they said and did is kept, and so is their digest: a repetition is still one.
    pub fn let_go_of_deliveries(
        &self,
        cursor: i64,
        before: Timestamp,
        most: u32,
    ) -> Result<Passed, StoreError> {
        let page = self.page(
            "SELECT max(delivery_id), count(*) FROM
               (SELECT delivery_id, received_at_ms FROM delivery
                WHERE delivery_id > :cursor ORDER BY delivery_id LIMIT :most)
             WHERE received_at_ms < :before",
            (cursor, before, most),
        )?;
        let Some((up_to, has_more)) = page else { return Ok(Passed::nothing(cursor)) };
        let let_go = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET body = NULL
                 WHERE delivery_id > :cursor AND delivery_id <= :up_to
                   AND received_at_ms < :before AND body IS NOT NULL",
            )?
            .execute(named_params! {
                ":cursor": cursor, ":up_to": up_to, ":before": before.as_ms()
            })?;
        Ok(Passed { up_to, let_go, has_more })
    }

    /// Lets go of the bodies of messages older than `before`, and of the log of their deliveries, among
    /// the `most` that come after `cursor`; of none that is still on its way. That there was such a
    /// message is kept.
    pub fn let_go_of_messages(
        &self,
        cursor: i64,
        before: Timestamp,
        most: u32,
    ) -> Result<Passed, StoreError> {
        let page = self.page(
            "SELECT max(message_no), count(*) FROM
               (SELECT message_no, known_at_ms FROM outgoing_message
                WHERE message_no > :cursor ORDER BY message_no LIMIT :most)
             WHERE known_at_ms < :before",
            (cursor, before, most),
        )?;
        let Some((up_to, has_more)) = page else { return Ok(Passed::nothing(cursor)) };
        let range = named_params! {":cursor": cursor, ":up_to": up_to, ":before": before.as_ms()};
        let let_go = self
            .connection
            .prepare_cached(
                "UPDATE outgoing_message SET body = NULL
                 WHERE message_no > :cursor AND message_no <= :up_to
                   AND known_at_ms < :before AND body IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM outgoing_delivery AS d
                                   WHERE d.message_no = outgoing_message.message_no
                                     AND d.status = 'PENDING')",
            )?
            .execute(range)?;
        for statement in [
            "DELETE FROM outgoing_attempt WHERE delivery_no IN
               (SELECT d.delivery_no FROM outgoing_delivery AS d
                JOIN outgoing_message AS m ON m.message_no = d.message_no
                WHERE m.message_no > :cursor AND m.message_no <= :up_to
                  AND m.known_at_ms < :before AND m.body IS NULL)",
            "DELETE FROM outgoing_delivery WHERE message_no IN
               (SELECT message_no FROM outgoing_message
                WHERE message_no > :cursor AND message_no <= :up_to
                  AND known_at_ms < :before AND body IS NULL)",
        ] {
            self.connection.prepare_cached(statement)?.execute(range)?;
        }
        Ok(Passed { up_to, let_go, has_more })
    }

    /// Lets go of up to `most` answers whose time is over; answers how many.
    pub fn let_go_of_answers(&self, now: Timestamp, most: u32) -> Result<usize, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "DELETE FROM idempotency WHERE scope_sha256 IN
                   (SELECT scope_sha256 FROM idempotency
                    WHERE expires_at_ms <= :now ORDER BY expires_at_ms LIMIT :most)",
            )?
            .execute(named_params! {":now": now.as_ms(), ":most": most})?)
    }

    /// Prunes the salts of former endpoint secrets that no longer sign.
    pub fn prune_former_secrets(&self, now: Timestamp) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM former_endpoint_secret WHERE until_ms <= :now")?
            .execute(named_params! {":now": now.as_ms()})?;
        Ok(())
    }

    /// The last of the next rows that are old enough, and whether the page was full.
    fn page(
        &self,
        statement: &str,
        (cursor, before, most): (i64, Timestamp, u32),
    ) -> Result<Option<(i64, bool)>, StoreError> {
        let found = self.connection.prepare_cached(statement)?.query_row(
            named_params! {":cursor": cursor, ":before": before.as_ms(), ":most": most},
            |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, u32>(1)?)),
        )?;
        Ok(found.0.map(|up_to| (up_to, found.1 == most)))
    }
}

impl Passed {
    fn nothing(cursor: i64) -> Self {
        Self { up_to: cursor, let_go: 0, has_more: false }
    }
}
