//! The log of what was sent to an endpoint; sending again; a test.

use crate::domain::organization::OrganizationId;
use crate::domain::outgoing::DeliveryStatus;
use crate::domain::timestamp::Timestamp;
use crate::store::{DeliveryFilter, DeliveryName, OutgoingDelivery, Tx, WebhookEndpoint};
use crate::usecase::authorizations::{Page, not_of_this_list, page};
use crate::usecase::webhook_endpoints::webhook_endpoint;
use crate::usecase::{Also, Appliance, Failure, nothing_else};

/// The most deliveries of one range: bounds what one request makes the register and a receiver do.
pub const RESEND_MAX: u32 = 10_000;

/// Tests of one endpoint that may wait at once: a test writes a delivery that no event asks for, so
/// these, unlike resends, would add up without end.
pub const TESTS_WAITING_MAX: u32 = 100;

/// Deliveries by the time at which their events were written.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// From here on.
    pub since: Timestamp,
    /// Before this; `None`: until now, now included.
    pub until: Option<Timestamp>,
    /// Only those that stand so; `None`: all of them, delivered ones too.
    pub status: Option<DeliveryStatus>,
}

/// A page of an endpoint's deliveries, newest first.
pub fn list_deliveries(
    appliance: &Appliance,
    owner: &OrganizationId,
    endpoint_id: &str,
    filter: &DeliveryFilter,
) -> Result<Page<OutgoingDelivery>, Failure> {
    webhook_endpoint(appliance, owner, endpoint_id)?;
    let one_more = DeliveryFilter { limit: filter.limit.saturating_add(1), ..filter.clone() };
    appliance.store.snapshot(|register| {
        let before = match &filter.after {
            None => None,
            Some(name) => Some(
                register
                    .outgoing_delivery_number(endpoint_id, name)?
                    .ok_or_else(not_of_this_list)?,
            ),
        };
        Ok(page(register.outgoing_deliveries(endpoint_id, &one_more, before)?, filter.limit))
    })
}

/// One delivery.
pub fn show_delivery(
    appliance: &Appliance,
    owner: &OrganizationId,
    endpoint_id: &str,
    name: &DeliveryName,
) -> Result<OutgoingDelivery, Failure> {
    webhook_endpoint(appliance, owner, endpoint_id)?;
    appliance
        .store
        .snapshot(|register| match register.outgoing_delivery_number(endpoint_id, name)? {
            Some(no) => register.outgoing_delivery(endpoint_id, no),
            None => Ok(None),
        })?
        .ok_or(Failure::WebhookDeliveryNotFound)
}

/// Lets a delivery begin its schedule anew, now, whatever came of it before; under the same message
/// id, so that a receiver that has it can tell.
pub fn resend_delivery(
    appliance: &Appliance,
    owner: &OrganizationId,
    endpoint_id: &str,
    name: &DeliveryName,
) -> Result<OutgoingDelivery, Failure> {
    resend_delivery_and(appliance, owner, endpoint_id, name, nothing_else())
}

/// As [`resend_delivery`], and `also` something else in the same commit.
pub fn resend_delivery_and(
    appliance: &Appliance,
    owner: &OrganizationId,
    endpoint_id: &str,
    name: &DeliveryName,
    also: Also<OutgoingDelivery>,
) -> Result<OutgoingDelivery, Failure> {
    let (owner, id, now) = (owner.clone(), endpoint_id.to_owned(), (appliance.clock)());
    let name = name.clone();
    appliance.commit(also, move |tx| {
        enabled(tx, &owner, &id)?;
        let found = tx.outgoing_delivery_number(&id, &name)?;
        let no = found.ok_or(Failure::WebhookDeliveryNotFound)?;
        tx.resend_delivery(no, now)?;
        tx.outgoing_delivery(&id, no)?.ok_or(Failure::WebhookDeliveryNotFound)
    })
}

/// As [`resend_delivery`], for a range; answers how many they are. All of them, or none if they are
/// more than [`RESEND_MAX`]. `also` belongs into the same commit.
pub fn resend_range(
    appliance: &Appliance,
    owner: &OrganizationId,
    endpoint_id: &str,
    range: Range,
    also: Also<u32>,
) -> Result<u32, Failure> {
    let (owner, id, now) = (owner.clone(), endpoint_id.to_owned(), (appliance.clock)());
    appliance.commit(also, move |tx| {
        enabled(tx, &owner, &id)?;
        let span = (range.since, range.until.unwrap_or_else(|| now.plus_ms(1)));
        let one_more = RESEND_MAX.saturating_add(1);
        let count = tx.count_outgoing_deliveries(&id, span, range.status, one_more)?;
        if count > RESEND_MAX {
            return Err(Failure::Invalid(format!(
                "the range has more than {RESEND_MAX} deliveries: resend it in parts"
            )));
        }
        tx.resend_deliveries(&id, span, range.status, now)?;
        Ok(count)
    })
}

/// Sends a test event to one endpoint, whatever types it takes, the way of every other event; not
/// while [`TESTS_WAITING_MAX`] of them wait there. `also` belongs into the same commit.
pub fn send_test(
    appliance: &Appliance,
    owner: &OrganizationId,
    endpoint_id: &str,
    also: Also<OutgoingDelivery>,
) -> Result<OutgoingDelivery, Failure> {
    let (owner, id, now) = (owner.clone(), endpoint_id.to_owned(), (appliance.clock)());
    appliance.commit(also, move |tx| {
        enabled(tx, &owner, &id)?;
        if tx.count_waiting_tests(&id)? >= TESTS_WAITING_MAX {
            return Err(Failure::Invalid(format!(
                "{TESTS_WAITING_MAX} test events to this endpoint are waiting already, and no other \
                 one was written: look at their deliveries, or delete the endpoint"
            )));
        }
        let no = tx.announce_test(&owner, &id, now)?;
        tx.outgoing_delivery(&id, no)?.ok_or(Failure::WebhookDeliveryNotFound)
    })
}

/// The endpoint, if anything may be sent there.
fn enabled(tx: &Tx<'_>, owner: &OrganizationId, id: &str) -> Result<WebhookEndpoint, Failure> {
    let endpoint = tx.webhook_endpoint(owner, id)?.ok_or(Failure::WebhookEndpointNotFound)?;
    if endpoint.disabled { Err(Failure::WebhookEndpointDisabled) } else { Ok(endpoint) }
}
