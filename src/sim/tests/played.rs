//! Events that a test plays in an applicant's name.

use super::rig::{Rig, settings};
use super::webhooks::receiver;
use crate::sim::Settings;
use crate::sumsub::signature::{DigestAlgorithm, webhook_is_signed};
use serde_json::{Value, json};

fn play(rig: &Rig, id: &str, body: &Value) -> Value {
    let (status, answer) = rig.control("POST", &format!("/applicants/{id}/event"), body);
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&rig.bodies().pop().unwrap()).unwrap()
}

#[test]
fn a_persons_verdict_can_be_played_for_a_company() {
    let rig = Rig::new();
    let id = rig.applicant("kyb-level", "org_1");

    let played = play(
        &rig,
        "-;externalUserId=org_1",
        &json!({ "type": "applicantReviewed", "set": {
            "applicantType": "individual", "levelName": "kyc-level", "reviewStatus": "completed",
            "reviewResult": { "reviewAnswer": "GREEN" },
        }}),
    );

    assert_eq!((&played["applicantId"], &played["externalUserId"]), (&json!(id), &json!("org_1")));
    assert_eq!(
        (&played["applicantType"], &played["levelName"]),
        (&json!("individual"), &json!("kyc-level"))
    );
    assert_eq!(played["reviewResult"], json!({ "reviewAnswer": "GREEN" }));
    assert_eq!(rig.review(&id)["reviewStatus"], "init", "the applicant is as it was");
    assert_eq!(rig.review(&id)["levelName"], "kyb-level");
}

#[test]
fn a_played_event_is_the_usual_one_but_for_what_was_changed() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    let usual = rig.bodies().pop().unwrap();

    play(&rig, &id, &json!({ "type": "applicantCreated" }));
    let same = rig.bodies().pop().unwrap();
    play(
        &rig,
        &id,
        &json!({
            "type": "applicantCreated", "remove": ["levelName", "createdAtMs"],
            "set": { "sandboxMode": "false", "testMode": 1, "applicantMemberOf": [{ "applicantId": "c" }] },
        }),
    );
    let changed = rig.bodies().pop().unwrap();

    let differing = |a: &str, b: &str| {
        let lines = a.lines().zip(b.lines()).filter(|(a, b)| a != b);
        lines.map(|(_, b)| b.trim().split('"').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(differing(&usual, &same), ["correlationId", "createdAtMs"]);
    assert!(!changed.contains("levelName") && !changed.contains("createdAtMs"));
    assert!(
        changed.contains("\n  \"sandboxMode\" : \"false\",\n  \"externalUserId\""),
        "{changed}"
    );
    assert!(
        changed.ends_with(
            "\n  \"applicantMemberOf\" : [ {\n    \"applicantId\" : \"c\"\n  } ],\n  \
             \"testMode\" : 1\n}"
        ),
        "{changed}"
    );
}

#[test]
fn members_of_any_json_type_and_types_of_any_name_can_be_played() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");

    let set = json!({
        "levelName": null, "applicantType": ["company"], "createdAtMs": 1_767_323_045_678_i64,
        "reviewResult": "GREEN", "reviewStatus": { "a\"b": 1.5 }, "applicantMemberOf": null,
    });
    let played = play(&rig, &id, &json!({ "type": "applicantWorkflowRunCompleted", "set": set }));

    for (name, value) in set.as_object().unwrap() {
        assert_eq!(played.get(name), Some(value), "{name}");
    }
    assert_eq!(played["type"], "applicantWorkflowRunCompleted");
}

#[test]
fn a_played_event_is_signed_queued_and_tricked_like_any_other() {
    let (url, taken) = receiver(2);
    let rig = Rig::with(Settings { webhook_url: Some(url), ..settings() });
    let id = rig.applicant("kyc-level", "org_1");
    rig.deliver();

    let body =
        json!({ "type": "applicantReviewed", "set": { "levelName": "x" }, "tricks": ["lost"] });
    play(&rig, &id, &body);
    assert!(rig.deliver().is_empty(), "lost");
    play(&rig, &id, &json!({ "type": "applicantReviewed", "tricks": ["missingAlgorithm"] }));
    let attempts = rig.deliver();

    assert_eq!((attempts.len(), attempts[0].outcome.clone()), (1, Ok(200)));
    let request = &taken.join().unwrap()[1];
    let (head, sent) = request.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    let digest = head.split("x-payload-digest: ").nth(1).unwrap().lines().next().unwrap();
    assert!(webhook_is_signed(b"whsec", DigestAlgorithm::Sha256, digest, sent.as_bytes()));
    assert!(!head.contains("x-payload-digest-alg"));
}

#[test]
fn what_cannot_be_played_is_refused() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    let events = rig.bodies().len();
    for body in [
        json!({}),
        json!({ "type": "x", "set": ["levelName"] }),
        json!({ "type": "x", "remove": "levelName" }),
        json!({ "type": "x", "remove": [1] }),
        json!({ "type": "x", "tricks": ["sing"] }),
    ] {
        let target = format!("/applicants/{id}/event");
        assert_eq!(rig.control("POST", &target, &body).0, 400, "{body}");
    }
    assert_eq!(rig.act("unknown", "event").0, 404);
    assert_eq!(rig.bodies().len(), events);
}
