//! What the server has measured of the machine's clock, and the facts that it dated before.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, named_params};

use crate::domain::organization::OrganizationId;
use crate::domain::timekeeper::Measured;
use crate::domain::timestamp::Timestamp;
use crate::store::{Reader, StoreError, Tx};

impl Reader<'_> {
    /// What a server has measured last.
    pub fn measured_clock(self) -> Result<Option<Measured>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT boot_id, offset_ms, base_ms FROM clock")?
            .query_row([], |row| {
                Ok(Measured {
                    boot_id: row.get("boot_id")?,
                    offset_ms: row.get("offset_ms")?,
                    base_ms: row.get("base_ms")?,
                })
            })
            .optional()?)
    }

    /// The newest instant at which this register knew something.
    pub fn newest_known(self) -> Result<Timestamp, StoreError> {
        let newest = self
            .connection
            .prepare_cached(
                "SELECT max(
                   coalesce((SELECT known_at_ms FROM verification_event
                             ORDER BY sequence DESC LIMIT 1), 0),
                   coalesce((SELECT known_at_ms FROM authorization_event
                             ORDER BY sequence DESC LIMIT 1), 0)) AS newest",
            )?
            .query_row([], |row| row.get("newest"))?;
        Ok(Timestamp::from_ms(newest))
    }

    /// Organizations with facts that the machine dated before Sumsub's time was known, and that no
    /// correction has moved yet: of that run of the machine, or of all.
    pub fn unsure_organizations(
        &self,
        boot_id: Option<&str>,
    ) -> Result<BTreeSet<OrganizationId>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT DISTINCT u.organization_id
                 FROM verification_event AS u
                 WHERE (:boot IS NULL OR u.boot_id = :boot) AND u.uptime_ms IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM verification_event AS c
                                   WHERE c.organization_id = u.organization_id
                                     AND c.sequence > u.sequence
                                     AND c.event = 'clock_corrected'
                                     AND c.boot_id = u.boot_id)",
            )?
            .query_map(named_params! {":boot": boot_id}, |row| row.get::<_, String>(0))?
            .map(|row| Ok(OrganizationId::new(row?)))
            .collect()
    }
}

impl Tx<'_> {
    /// When something becomes known that is recorded at `now`: not before anything else of this
    /// register, and where the clock lies before that, after it. So what was decided by all that was
    /// known is explained by the same facts later.
    pub(super) fn in_order_of_knowing(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let newest = self.newest_known()?;
        Ok(if newest > now { newest.plus_ms(1) } else { now })
    }

    /// Notes what the server has measured, for commands beside it.
    pub fn note_measured_clock(
        &self,
        measured: Option<&Measured>,
        machine_now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(it) = measured else {
            self.connection.prepare_cached("DELETE FROM clock")?.execute([])?;
            return Ok(());
        };
        self.connection
            .prepare_cached(
                "INSERT INTO clock (only_row, boot_id, offset_ms, base_ms, measured_at_ms)
                 VALUES (1, :boot, :offset, :base, :now)
                 ON CONFLICT (only_row) DO UPDATE
                 SET boot_id = :boot, offset_ms = :offset, base_ms = :base, measured_at_ms = :now",
            )?
            .execute(named_params! {
                ":boot": it.boot_id,
                ":offset": it.offset_ms,
                ":base": it.base_ms,
                ":now": machine_now.as_ms(),
            })?;
        Ok(())
    }
}
