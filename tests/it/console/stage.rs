//! A small register with one customer of every kind, the same at every run.

use countersign::domain::fold::Verification;
use countersign::domain::organization::{Name, Organization, OrganizationId, OrganizationType};
use countersign::store::{AuthorizationNote, Salts, StoreError, WebhookEndpoint};
use countersign::usecase::decide::Decision;
use serde_json::{Value, json};

use crate::rig::{DAY_MS, OPERATOR, Rig, sumsub_instant};

pub(crate) const BROKER: &str = "org_00000000000000000000000000000001";
pub(crate) const ACME: &str = "org_00000000000000000000000000000002";
pub(crate) const BOLT: &str = "org_00000000000000000000000000000003";
pub(crate) const ZOE: &str = "org_00000000000000000000000000000004";
pub(crate) const JO: &str = "org_00000000000000000000000000000005";
pub(crate) const ENDPOINT: &str = "ep_000000000000000000000001";
pub(crate) const MIA: &str = "org_00000000000000000000000000000006";

/// Puts everything on the stage. Twelve days pass.
pub(crate) fn set(rig: &Rig) {
    let business = OrganizationType::Business;
    let person = OrganizationType::Individual;
    organization(rig, BROKER, "Broker Ltd.", business, None);
    organization(rig, ACME, "Acme Trading Co.", business, Some(BROKER));
    organization(rig, BOLT, "Bolt Freight 日本 GmbH", business, Some(BROKER));
    organization(rig, ZOE, "Zoë Ångström", person, Some(BROKER));
    // A formatting character that names could hold once, and that a terminal must not be sent.
    organization(rig, JO, "Jo \u{206a}Doe", person, Some(BROKER));
    organization(rig, MIA, "Mia Lapsed", person, Some(BROKER));
    endpoint(rig);
    for customer in [ACME, BOLT, MIA] {
        rig.advance(60_000);
        rig.sign(customer, BROKER);
    }
    review(rig, MIA, 6, "GREEN");
    rig.advance(4 * DAY_MS);
    review(rig, ACME, 2, "GREEN");
    review(rig, BOLT, 3, "GREEN");
    rig.advance(4 * DAY_MS);
    rig.decide(BOLT, Decision::Hold).unwrap();
    rig.decide(ZOE, Decision::Hold).unwrap();
    rig.decide(ZOE, Decision::Reject).unwrap();
    rig.advance(4 * DAY_MS);
    review(rig, ZOE, 4, "GREEN");
    rig.deliver(&json!({"type": "applicantCreated", "applicantId": applicant(5),
        "externalUserId": JO, "sandboxMode": true, "createdAtMs": sumsub_instant(rig.now())}));
    rig.deliver(&json!({"type": "applicantPending", "applicantId": applicant(5),
        "externalUserId": JO, "sandboxMode": true, "reviewStatus": "pending",
        "createdAtMs": sumsub_instant(rig.now())}));
    rig.advance(3 * 3_600_000);
}

/// The same, ending now by the rig's clock: for another process, whose clock is the real one.
pub(crate) fn set_in_the_past(rig: &Rig) {
    rig.advance(-13 * DAY_MS);
    let begun = rig.now().as_ms();
    set(rig);
    let passed = rig.now().as_ms() - begun;
    rig.advance(13 * DAY_MS - passed);
}

pub(crate) fn organization(
    rig: &Rig,
    id: &str,
    name: &str,
    kind: OrganizationType,
    creator: Option<&str>,
) {
    rig.advance(1_000);
    let now = rig.now();
    let organization = Organization {
        id: OrganizationId::new(id),
        name: Name::stored(name.to_owned()),
        kind,
        created_by: creator.map(OrganizationId::new),
        metadata: "{}".to_owned(),
        created_at: now,
    };
    let note = AuthorizationNote { actor: OPERATOR.to_owned(), request_id: None, now };
    rig.appliance
        .store
        .write(move |tx| {
            tx.insert_organization(&organization)?;
            tx.insert_verification(&organization.id, &Verification::new(now))?;
            if let Some(creator) = &organization.created_by {
                tx.issue_authorization(&organization.id, creator, &note)?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

/// Where the broker wants to be told of changes; nobody listens there.
fn endpoint(rig: &Rig) {
    let now = rig.now();
    let endpoint = WebhookEndpoint {
        id: ENDPOINT.to_owned(),
        organization: OrganizationId::new(BROKER),
        url: "https://broker.example/hooks".to_owned(),
        description: None,
        disabled: false,
        event_types: Vec::new(),
        salts: Salts { current: [1; 16], check: [2; 8], former: vec![] },
        failing_since: None,
        created_at: now,
        updated_at: now,
    };
    rig.appliance.store.write(move |tx| tx.insert_webhook_endpoint(&endpoint)).unwrap();
}

fn applicant(number: usize) -> String {
    format!("{number:024x}")
}

/// Sumsub's verdict on the applicant of that number.
pub(crate) fn review(rig: &Rig, organization: &str, number: usize, answer: &str) {
    review_saying(rig, organization, number, json!({"reviewResult": {"reviewAnswer": answer}}));
}

/// An approval.
pub(crate) fn green() -> Value {
    json!({"reviewResult": {"reviewAnswer": "GREEN"}})
}

/// A rejection.
pub(crate) fn red(kind: &str) -> Value {
    json!({"reviewResult": {"reviewAnswer": "RED", "reviewRejectType": kind}})
}

/// A review of the applicant of that number, with these fields beside the usual ones.
pub(crate) fn review_saying(rig: &Rig, organization: &str, number: usize, said: Value) {
    rig.advance(5_000);
    let happened = rig.now().plus_ms(-2_000);
    let mut webhook = json!({
        "type": "applicantReviewed", "applicantId": applicant(number),
        "externalUserId": organization, "sandboxMode": true, "reviewStatus": "completed",
        "createdAtMs": sumsub_instant(happened),
    });
    let Value::Object(said) = said else { panic!("no fields: {said}") };
    for (name, value) in said {
        webhook[name] = value;
    }
    let answered = rig.deliver(&webhook);
    assert_eq!(answered.status, 200, "{answered:?}");
}

pub(crate) const COBALT: &str = "org_00000000000000000000000000000007";

/// Approvals that do not count: of one who waits, of one on hold, and of one of another type.
pub(crate) fn set_ignored(rig: &Rig) {
    organization(rig, COBALT, "Cobalt Ltd.", OrganizationType::Business, Some(BROKER));
    let at = |level: &str, of: &str| {
        let mut said = green();
        said["levelName"] = json!(level);
        said["applicantType"] = json!(of);
        said
    };
    review_saying(rig, COBALT, 7, at("kyb-basic", "company"));
    review_saying(rig, BOLT, 3, at("email-only", "company"));
    review_saying(rig, JO, 5, at("kyc-level", "company"));
}
