use super::rig::{Rig, plain, settings};
use crate::sim::{Settings, TenantId};
use crate::sumsub::signature::{DigestAlgorithm, webhook_is_signed};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// Takes `count` webhooks, answers each 200, and gives their raw requests back.
pub(super) fn receiver(count: usize) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let taken = std::thread::spawn(move || {
        (0..count)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                let text = read(&mut stream);
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .unwrap();
                text
            })
            .collect()
    });
    (url, taken)
}

fn read(stream: &mut std::net::TcpStream) -> String {
    let (mut text, mut chunk) = (String::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk).unwrap();
        text.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = header(head, "content-length").unwrap();
        if body.len() >= length.parse().unwrap() {
            return text;
        }
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}

#[test]
fn a_webhook_body_has_jacksons_bytes_in_the_captured_order() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    let verdict = json!({
        "reviewAnswer": "RED", "rejectLabels": ["BAD_PROOF_OF_ADDRESS", "SPAM"],
        "reviewRejectType": "RETRY", "moderationComment": "Again", "clientComment": "Hm",
        "buttonIds": ["proofOfAddress"],
    });
    rig.call(
        "POST",
        &format!("/resources/applicants/{id}/status/testCompleted"),
        &verdict.to_string(),
    );

    let body = rig.bodies().pop().unwrap();

    let parsed: Value = serde_json::from_str(&body).unwrap();
    let (inspection, correlation) = (&parsed["inspectionId"], &parsed["correlationId"]);
    assert_eq!(
        body,
        format!(
            "{{\n  \"applicantId\" : \"{id}\",\n  \"inspectionId\" : {inspection},\n  \
             \"applicantType\" : \"individual\",\n  \"correlationId\" : {correlation},\n  \
             \"levelName\" : \"kyc-level\",\n  \"sandboxMode\" : true,\n  \
             \"externalUserId\" : \"org_1\",\n  \"type\" : \"applicantReviewed\",\n  \
             \"reviewResult\" : {{\n    \"moderationComment\" : \"Again\",\n    \
             \"clientComment\" : \"Hm\",\n    \"reviewAnswer\" : \"RED\",\n    \
             \"rejectLabels\" : [ \"BAD_PROOF_OF_ADDRESS\", \"SPAM\" ],\n    \
             \"reviewRejectType\" : \"RETRY\",\n    \"buttonIds\" : [ \"proofOfAddress\" ]\n  }},\n  \
             \"reviewStatus\" : \"completed\",\n  \"createdAt\" : \"2026-01-02 03:04:05+0000\",\n  \
             \"createdAtMs\" : \"2026-01-02 03:04:05.679\",\n  \
             \"clientId\" : \"recipient.sim_10001\"\n}}"
        )
    );
}

#[test]
fn a_webhook_arrives_signed_over_its_bytes_in_every_algorithm() {
    for algorithm in [DigestAlgorithm::Sha1, DigestAlgorithm::Sha256, DigestAlgorithm::Sha512] {
        let (url, taken) = receiver(1);
        let rig = Rig::with(Settings { digest: algorithm, webhook_url: Some(url), ..settings() });
        rig.applicant("kyc-level", "org_1");

        let attempts = rig.deliver();

        assert_eq!(attempts[0].outcome, Ok(200));
        assert_eq!((attempts[0].event_type.as_str(), attempts[0].number), ("applicantCreated", 1));
        let taken = taken.join().unwrap();
        let (head, body) = taken[0].split_once("\r\n\r\n").unwrap();
        let digest = header(head, "x-payload-digest").unwrap();
        assert!(webhook_is_signed(b"whsec", algorithm, &digest, body.as_bytes()));
        assert_eq!(header(head, "x-payload-digest-alg").unwrap(), algorithm.as_str());
        assert!(rig.deliver().is_empty(), "taken is done");
    }
}

#[test]
fn a_failed_delivery_is_tried_again_on_schedule_divided_by_the_time_scale_and_then_given_up() {
    let rig = Rig::with(Settings { time_scale: 60, ..settings() });
    rig.applicant("kyc-level", "org_1");

    assert!(rig.deliver()[0].outcome.is_err());
    for (number, delay_ms) in [(2, 5_000), (3, 60_000), (4, 300_000), (5, 1_080_000)] {
        rig.pass(delay_ms - 1);
        assert!(rig.deliver().is_empty());
        rig.pass(1);
        assert_eq!(rig.deliver()[0].number, number);
    }
    rig.pass(i64::from(u32::MAX));
    assert!(rig.deliver().is_empty());
    let list = rig.control("GET", "/deliveries", &Value::Null).1;
    assert_eq!(list["deliveries"][0]["state"], "givenUp");
}

/// Types, in order of sending, of a busy morning.
fn order(settings: Settings) -> Vec<(u64, String)> {
    let rig = Rig::with(settings);
    for user in ["a", "b", "c", "d"] {
        let id = rig.applicant("kyc-level", user);
        rig.act(&id, "submit");
        rig.act(&id, "approve");
    }
    rig.deliver().into_iter().map(|it| (it.delivery, it.event_type)).collect()
}

#[test]
fn nastiness_duplicates_and_swaps_loses_nothing_and_repeats_with_its_seed() {
    let seeded = |seed| Settings { seed, nasty: true, ..settings() };
    let kind = order(settings());
    let nasty = order(seeded(7));

    assert_eq!(nasty, order(seeded(7)));
    assert_ne!(nasty, order(seeded(8)));
    assert_eq!(kind.len(), 16);
    assert!(kind.is_sorted_by_key(|it| it.0), "kind is in order");
    assert!(nasty.len() > 16 && !nasty.is_sorted_by_key(|it| it.0));
    let count = |list: &[(u64, String)], kind: &str| list.iter().filter(|it| it.1 == kind).count();
    for event in ["applicantCreated", "applicantPending", "applicantPrechecked"] {
        assert!(count(&nasty, event) >= count(&kind, event), "{event}");
    }
}

fn trap(rig: &Rig, tricks: &[&str]) {
    let (status, _) = rig.control("POST", "/traps", &json!({ "tricks": tricks }));
    assert_eq!(status, 200);
}

#[test]
fn each_trick_shows_in_the_next_event_and_only_there() {
    let rig = Rig::new();
    let next = |tricks: &[&str], user: &str| {
        trap(&rig, tricks);
        rig.applicant("kyc-level", user);
        serde_json::from_str::<Value>(&rig.bodies().pop().unwrap()).unwrap()
    };

    assert_eq!(next(&["testMode"], "a")["testMode"], true);
    assert_eq!(next(&["sandboxFalse"], "b")["sandboxMode"], false);
    assert!(next(&["missingCreatedAtMs"], "c").get("createdAtMs").is_none());
    assert_eq!(next(&["nullReviewResult"], "d").get("reviewResult"), Some(&Value::Null));
    assert!(next(&[], "e").get("testMode").is_none());
    let id = rig.applicant("kyc-level", "f");
    trap(&rig, &["equalCreatedAtMs", "absentReviewResult"]);
    rig.act(&id, "approve");
    let bodies: Vec<Value> =
        rig.bodies().iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    let [.., before, after] = bodies.as_slice() else { panic!() };
    assert_eq!(before["createdAtMs"], after["createdAtMs"]);
    assert!(after.get("reviewResult").is_none());
    assert_eq!(rig.control("POST", "/traps", &json!({ "tricks": ["sing"] })).0, 400);
}

#[test]
fn duplicates_disorder_and_bad_signatures_can_be_ordered() {
    let (url, taken) = receiver(5);
    let rig = Rig::with(Settings { webhook_url: Some(url), ..settings() });
    let id = rig.applicant("kyc-level", "a");
    trap(&rig, &["reorder"]);
    rig.act(&id, "hold");
    trap(&rig, &["duplicate", "wrongDigest", "missingAlgorithm"]);
    rig.act(&id, "approve");

    let sent: Vec<String> = rig.deliver().into_iter().map(|it| it.event_type).collect();
    let (status, _) = rig.control("POST", "/deliveries/1/replay", &Value::Null);
    let replayed = rig.control("POST", "/deliveries/flush", &Value::Null).1;

    assert_eq!(
        sent,
        ["applicantOnHold", "applicantCreated", "applicantReviewed", "applicantReviewed"]
    );
    assert_eq!(status, 200);
    assert_eq!(replayed["attempts"][0]["type"], "applicantCreated");
    let taken = taken.join().unwrap();
    let (head, body) = taken[2].split_once("\r\n\r\n").unwrap();
    let digest = header(head, "x-payload-digest").unwrap();
    assert!(header(head, "x-payload-digest-alg").is_none());
    assert!(!webhook_is_signed(b"whsec", DigestAlgorithm::Sha256, &digest, body.as_bytes()));
    assert_eq!(taken[2], taken[3]);
    assert_eq!(taken[1], taken[4], "a replay is the same bytes");
}

#[test]
fn raw_events_are_sent_as_they_are_given() {
    let rig = Rig::new();

    rig.control("POST", "/events", &json!({ "raw": "{ \"type\":\"kybCompanyActivity\" }" }));
    rig.control("POST", "/events", &json!({ "body": { "type": "new", "applicantId": "x" } }));

    assert_eq!(rig.bodies()[0], "{ \"type\":\"kybCompanyActivity\" }");
    assert_eq!(rig.deliver()[1].applicant_id, "x");
}

#[test]
fn webhooks_can_be_administered_and_a_misspelt_type_never_fires() {
    let rig = Rig::with(Settings { webhook_url: None, ..settings() });
    let path = "/resources/api/agent/clientWebhooks";
    let body = json!({
        "target": "http://127.0.0.1:9/x", "types": ["applicantCreated", "applicantWorkflowRunCompleted"],
        "signatureAlgorithm": "HMAC_SHA512_HEX", "applicantType": "company",
    });

    let (status, made) = rig.call("POST", path, &body.to_string());
    rig.applicant("kyc-level", "person");
    let company = rig.applicant("kyb-level", "company");
    rig.act(&company, "approve");

    assert_eq!(status, 200);
    assert_eq!(rig.events(), [("applicantCreated".to_owned(), "init".to_owned())]);
    let list = rig.call("GET", "/resources/api/clientWebhooks", "").1;
    assert_eq!(list["list"]["items"][0]["secretKey"], made["secretKey"]);
    let real = json!({ "id": made["id"], "target": "https://api.sumsub.com/x" });
    assert_eq!(rig.call("PATCH", path, &real.to_string()).0, 400);
    let digest =
        "/resources/inspectionCallbacks/testDigest?secretKey=whsec&digestAlg=HMAC_SHA1_HEX";
    assert_eq!(rig.call("POST", digest, "x").1["digestAlg"], "HMAC_SHA1_HEX");
}

#[test]
fn provider_faults_come_as_ordered_and_then_end() {
    let rig = Rig::new();
    let fault = |body: Value| assert_eq!(rig.control("POST", "/faults", &body).0, 200);
    let health = || rig.signed(TenantId::Recipient, ("GET", "/resources/status/api"), "");

    fault(json!({ "path": "/resources/status", "status": 429, "retryAfter": 3, "count": 2 }));
    for _ in 0..2 {
        let response = rig.simulator.answer(&health());
        assert_eq!(response.status, 429);
        assert!(response.headers.contains(&("Retry-After", "3".to_owned())));
    }
    assert_eq!(rig.simulator.answer(&health()).status, 200);
    fault(json!({ "status": 401, "body": "" }));
    assert_eq!(rig.simulator.answer(&health()).body, b"");
    fault(json!({ "path": "/resources/applicants", "truncate": true }));
    let target = ("POST", "/resources/applicants?levelName=kyc-level");
    let request = rig.signed(TenantId::Recipient, target, r#"{"externalUserId":"org_1"}"#);
    let response = rig.simulator.answer(&request);
    assert!(response.status == 201 && serde_json::from_slice::<Value>(&response.body).is_err());
    fault(json!({ "close": true }));
    assert_eq!(rig.simulator.answer(&request).body, b"");
    assert_eq!(rig.call("GET", "/resources/applicants/-;externalUserId=org_1/one", "").0, 200);
    rig.control("POST", "/clock", &json!({ "offsetMs": 120_000 }));
    let late = super::rig::answered(&rig.simulator.answer(&health())).1;
    assert_eq!(late["errorCode"], 4004);
}

#[test]
fn the_control_port_answers_loopback_only_and_shows_no_token() {
    let rig = Rig::new();
    let body = r#"{"userId":"org_1","levelName":"kyc-level"}"#;
    let (_, minted) = rig.call("POST", "/resources/accessTokens/sdk", body);
    let mut stranger = plain("GET", "/state", "");
    stranger.peer = Some("192.0.2.1".parse().unwrap());

    let (status, state) = rig.control("GET", "/state", &Value::Null);

    assert_eq!(status, 200);
    assert!(!state.to_string().contains(minted["token"].as_str().unwrap()));
    assert_eq!(rig.simulator.control(&stranger).status, 403);
    assert_eq!(rig.control("GET", "/", &Value::Null).1["seed"], 1);
}

#[test]
fn a_hanging_call_ends_when_the_simulator_stops() {
    let rig = Rig::new();
    rig.control("POST", "/faults", &json!({ "hangMs": 86_400_000 }));
    let request = rig.signed(TenantId::Recipient, ("GET", "/resources/status/api"), "");
    let simulator = std::sync::Arc::clone(&rig.simulator);
    let hanging = std::thread::spawn(move || simulator.answer(&request).status);

    rig.simulator.stop();

    assert_eq!(hanging.join().unwrap(), 200);
}

#[test]
fn an_event_with_nothing_left_to_overtake_is_held_back_for_its_successor() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "a");
    assert_eq!(rig.deliver().len(), 1);
    trap(&rig, &["reorder"]);
    rig.act(&id, "hold");
    rig.act(&id, "approve");

    let first = rig.deliver();
    rig.pass(1_500);
    let second = rig.deliver();

    assert_eq!((first.len(), first[0].event_type.as_str()), (1, "applicantReviewed"));
    assert_eq!((second.len(), second[0].event_type.as_str()), (1, "applicantOnHold"));
}
