//! The document's examples, played: the requests are sent, with this register's ids and keys in
//! place of the document's, and the answers must be the examples', word for word but for ids,
//! instants, tokens and names.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::document::{Operation, operations, resolved};
use crate::rig::{Answer, Broker, DAY_MS, Rig, Setup, WEBHOOK_SECRET};
use crate::sumsub::{World, kind};
use countersign::api::{ApiSettings, RateLimits};
use countersign::domain::letter::{LetterTemplate, STANDARD_LETTER};
use countersign::sumsub::signature::{DigestAlgorithm, webhook_digest};
use countersign::usecase::decide::Decision;

/// Who stands for whom in the document.
const CUSTOMER: &str = "org_0190a1b2c3d47e5f8a9b0c1d2e3f4a5b";
const BROKER: &str = "org_0190a1b2c3d47e5f8a9b0c1d2e3f4a01";

/// Examples that no call of this file can bring about at will, each with who sees it.
const NOT_PLAYED: [(&str, &str); 11] = [
    ("malformed", "http_attack.rs: no client writes it"),
    ("idempotencyRequestInFlight", "idempotency.rs: twins on threads"),
    ("internalError", "http_attack.rs: a handler that panics"),
    ("serverBusy", "sessions.rs: no permit for Sumsub is left"),
    ("endpointLimit", "outgoing.rs"),
    ("secretLimit", "outgoing.rs: many rotations"),
    ("secretUnavailable", "outgoing.rs: another webhook key"),
    ("webhookKeyMissing", "webhook_key.rs: the webhook key is lost"),
    ("webhookKeyOther", "webhook_key.rs: another register's webhook key"),
    ("notReady", "no test can make a disk full"),
    ("tooManyConnections", "http_attack.rs: every connection taken"),
];

/// Fields whose values are this register's own.
const OWN: [&str; 18] = [
    "createdByKeyId",
    "linkId",
    "secret",
    "body",
    "messageId",
    "endpointId",
    "organizationId",
    "createdByOrganizationId",
    "grantingOrganizationId",
    "authorizedOrganizationId",
    "id",
    "key",
    "name",
    "url",
    "accessToken",
    "since",
    "nextCursor",
    "requestId",
];

/// Which examples were played.
#[derive(Default)]
struct Ledger(BTreeSet<(String, String, String)>);

impl Ledger {
    /// The answer is the example of this name, of the status that came.
    fn is(&mut self, operation: &Operation, name: &str, answer: &Answer) {
        let status = answer.status.to_string();
        let example = examples(operation).into_iter().find(|(s, n, _)| *s == status && n == name);
        let Some((_, _, example)) = example else {
            panic!("{} {name} came as {answer:?}", operation.id);
        };
        let told = format!("{} {status} {name}: {:?}", operation.id, answer.body);
        match (operation.id.as_str(), name) {
            ("getOpenApi" | "getDocs" | "getDocsStylesheet", _) if status == "200" => {}
            (_, "methodNotAllowed") => {
                assert_eq!(example["error"]["code"], answer.body["error"]["code"], "{told}");
            }
            _ => same("", example, &answer.body, &told),
        }
        self.0.insert((operation.id.clone(), status, name.to_owned()));
    }
}

/// Every documented answer example: status, name, value.
fn examples(operation: &Operation) -> Vec<(String, String, &'static Value)> {
    let mut found = Vec::new();
    for (status, answer) in operation.it["responses"].as_object().unwrap() {
        for (_, media) in resolved(answer)["content"].as_object().into_iter().flatten() {
            for (name, example) in media["examples"].as_object().unwrap() {
                found.push((status.clone(), name.clone(), &resolved(example)["value"]));
            }
        }
    }
    found
}

fn has(operation: &Operation, name: &str) -> bool {
    examples(operation).iter().any(|(_, it, _)| it == name)
}

/// The same fields with the same values; for what is this register's own, the same kinds.
fn same(name: &str, example: &Value, seen: &Value, told: &str) {
    match (example, seen) {
        (Value::Object(example), Value::Object(seen)) => {
            let names = |it: &serde_json::Map<String, Value>| -> BTreeSet<String> {
                it.keys().cloned().collect()
            };
            assert_eq!(names(example), names(seen), "{told}");
            for (name, it) in example {
                same(name, it, &seen[name], told);
            }
        }
        (Value::Array(example), Value::Array(seen)) => {
            assert_eq!(example.len(), seen.len(), "{told}");
            for (example, seen) in example.iter().zip(seen) {
                same(name, example, seen, told);
            }
        }
        (Value::String(_), Value::String(_))
            if OWN.contains(&name) || name == "at" || name.ends_with("At") => {}
        _ => assert_eq!(example, seen, "{name}: {told}"),
    }
}

fn operation(id: &str) -> &'static Operation {
    operations().iter().find(|it| it.id == id).unwrap()
}

/// A request's example body.
fn body_of(operation: &Operation, name: &str) -> Value {
    operation.it["requestBody"]["content"]["application/json"]["examples"][name]["value"].clone()
}

/// The first example body, if the operation takes one.
fn any_body(operation: &Operation) -> Option<Value> {
    let examples = &operation.it["requestBody"]["content"]["application/json"]["examples"];
    Some(examples.as_object()?.values().next()?["value"].clone())
}

/// One request in the making.
#[derive(Clone, Default)]
struct Ask {
    query: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    id: Option<String>,
}

impl Ask {
    fn of(key: &str) -> Self {
        Self::default().with("Authorization", &format!("Bearer {key}"))
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn behalf(self, of: &str) -> Self {
        self.with("Nxos-On-Behalf-Of", of)
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    fn send(&self, rig: &Rig, operation: &Operation) -> Answer {
        let id = self.id.as_deref().unwrap_or("none");
        let (id, delivery) = id.split_once('/').unwrap_or((id, "none"));
        let path = operation.path.replace("{apiKeyId}", id).replace("{endpointId}", id);
        let target = format!("{}{}", path.replace("{deliveryId}", delivery), self.query);
        let mut headers = self.headers.clone();
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        if self.body.is_some() && !headers.iter().any(|(it, _)| it == "Content-Type") {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        rig.call(&operation.method, &target, &headers, body.as_bytes())
    }
}

#[test]
fn the_examples_of_the_document_are_what_the_server_answers() {
    let mut ledger = Ledger::default();
    for operation in operations() {
        refusals_of_any(&mut ledger, operation);
    }
    too_often(&mut ledger);
    gates(&mut ledger);
    organizations(&mut ledger);
    verifications(&mut ledger);
    imports(&mut ledger);
    authorizations(&mut ledger);
    links(&mut ledger);
    explanations(&mut ledger);
    keys(&mut ledger);
    kept_secrets(&mut ledger);
    webhook_endpoints(&mut ledger);
    webhook_deliveries(&mut ledger);
    beside_the_contract(&mut ledger);

    let all: BTreeSet<(String, String, String)> = operations()
        .iter()
        .flat_map(|it| examples(it).into_iter().map(|(s, n, _)| (it.id.clone(), s, n)))
        .filter(|(_, _, name)| !NOT_PLAYED.iter().any(|(it, _)| it == name))
        .filter(|(id, _, name)| name != "payloadTooLarge" || takes_small_bodies(operation(id)))
        .collect();
    let left: Vec<_> = all.difference(&ledger.0).collect();
    assert!(left.is_empty(), "never played: {left:?}");
}

/// What no more than 64 KiB are sent to. A GET has no body here, and a client that sends a whole
/// mebibyte in vain may lose the answer: `http_attack.rs` looks at that one.
fn takes_small_bodies(operation: &Operation) -> bool {
    !["GET", "DELETE"].contains(&operation.method.as_str()) && operation.path.starts_with("/v1/")
}

/// What any operation may refuse for, whatever it does otherwise.
fn refusals_of_any(ledger: &mut Ledger, operation: &Operation) {
    let rig = Rig::new();
    let broker = rig.broker();
    let ask = || Ask::of(&broker.key);
    let mut play = |name: &str, ask: Ask| {
        if has(operation, name) {
            ledger.is(operation, name, &ask.send(&rig, operation));
        }
    };
    play("missingApiKey", Ask::default());
    play("invalidApiKey", Ask::of("nxos_sk_test_nobody"));
    if operation.path.starts_with("/v1/") {
        let scope = if operation.method == "GET" { "write" } else { "read" };
        let new = json!({"name": "half", "scopes": [scope]});
        let half = rig.post("/v1/api-keys", &broker.key, None, &new).text("/key").to_owned();
        play("missingScope", Ask::of(&half));
    }
    play("onBehalfOfTwice", ask().behalf("org_1").behalf("org_2"));
    if operation.it["parameters"].to_string().contains("OnBehalfOf") {
        play("organizationNotFound", ask().behalf("org_nobody"));
    }
    play("idempotencyKeyTooLong", ask().with("Idempotency-Key", &"k".repeat(256)));
    if has(operation, "idempotencyKeyInUse") {
        let keyed = || ask().with("Idempotency-Key", "k");
        let surprised = |it: Ask| {
            if operation.method == "DELETE" { it } else { it.body(json!({"surprise": 1})) }
        };
        surprised(keyed()).send(&rig, operation);
        play("idempotencyKeyInUse", surprised(keyed()).query("?another=request"));
    }
    let text = || ask().body(json!({"a": 1})).with("Content-Type", "text/plain");
    play("unsupportedMediaType", text());
    play("missingField", ask().body(json!({})));
    if let Some(mut body) = any_body(operation) {
        body["surprise"] = json!(1);
        play("unknownField", ask().body(body));
    }
    play("badLimit", ask().query("?limit=0"));
    // That one asks for its endpoint first.
    if operation.id != "listWebhookDeliveries" {
        play("badCursor", ask().query("?cursor=older"));
    }
    if takes_small_bodies(operation) {
        play("payloadTooLarge", ask().body(json!("x".repeat(64 * 1024))));
    }
    let other = rig.call("PUT", &operation.path, &[], b"");
    ledger.is(operation, "methodNotAllowed", &other);
}

fn too_often(ledger: &mut Ledger) {
    let rates = RateLimits { requests_per_s: 1, burst: 1, wrong_keys_per_minute: 0 };
    let api = ApiSettings { rates, ..ApiSettings::default() };
    let rig = Rig::with(Setup { api, ..Setup::default() });
    for operation in operations().iter().filter(|it| has(it, "rateLimited")) {
        let key = rig.broker().key;
        rig.get("/v1/api-keys", &key, None);
        ledger.is(operation, "rateLimited", &Ask::of(&key).send(&rig, operation));
    }
}

fn approve(rig: &Rig, customer: &str) {
    rig.decide(customer, Decision::Hold).unwrap();
    rig.decide(customer, Decision::Approve).unwrap();
}

fn reject(rig: &Rig, customer: &str) {
    rig.decide(customer, Decision::Hold).unwrap();
    rig.decide(customer, Decision::Reject).unwrap();
}

fn revocation(broker: &Broker, customer: &str) -> Value {
    let text = body_of(operation("revokeAuthorization"), "withReason").to_string();
    serde_json::from_str(&text.replace(CUSTOMER, customer).replace(BROKER, &broker.id)).unwrap()
}

/// A customer on each side of the gate.
fn gates(ledger: &mut Ledger) {
    let world = World::new();
    let rig = &world.rig;
    let broker = rig.broker();
    let customers: Vec<String> = (0..4).map(|_| rig.customer(&broker, "INDIVIDUAL")).collect();
    let [revoked, unsigned, lapsed, pending] = customers.as_slice() else { unreachable!() };
    let gone = revocation(&broker, revoked);
    assert_eq!(rig.post("/v1/authorizations/revoke", &broker.key, None, &gone).status, 200);
    rig.sign(lapsed, &broker.id);
    approve(rig, lapsed);
    rig.advance(366 * DAY_MS);
    rig.sign(pending, &broker.id);
    assert_eq!(rig.start_session(&broker.key, Some(pending)).status, 200);
    for operation in operations() {
        for (name, customer) in [
            ("noLiveAuthorization", revoked),
            ("notSigned", unsigned),
            ("lapsed", lapsed),
            ("notApproved", pending),
        ] {
            if has(operation, name) {
                let answer = Ask::of(&broker.key).behalf(customer).send(rig, operation);
                ledger.is(operation, name, &answer);
            }
        }
    }
}

fn organizations(ledger: &mut Ledger) {
    let rig = Rig::new();
    let broker = rig.broker();
    let ask = || Ask::of(&broker.key);
    let (show, create) = (operation("getOrganization"), operation("createOrganization"));
    let customer = rig.customer(&broker, "BUSINESS");
    rig.sign(&customer, &broker.id);
    approve(&rig, &customer);

    ledger.is(show, "own", &ask().send(&rig, show));
    ledger.is(show, "onBehalfOf", &ask().behalf(&customer).send(&rig, show));
    for name in ["business", "individual"] {
        let new = body_of(create, name);
        let answer = ask().body(new.clone()).send(&rig, create);
        assert_eq!(answer.body["name"], new["name"]);
        ledger.is(create, name, &answer);
    }
    let other = json!({"name": "Acme", "type": "TRUST"});
    ledger.is(create, "badType", &ask().body(other).send(&rig, create));
}

fn verifications(ledger: &mut Ledger) {
    let world = World::new();
    let rig = &world.rig;
    let broker = rig.broker();
    let ask = |customer: &str| Ask::of(&broker.key).behalf(customer);
    let (show, start) = (operation("getVerification"), operation("startVerification"));
    let customer = rig.customer(&broker, "BUSINESS");
    let begin = ask(&customer).body(body_of(start, "empty"));
    ledger.is(start, "empty", &begin.send(rig, start));
    ledger.is(show, "pending", &ask(&customer).send(rig, show));
    approve(rig, &customer);
    ledger.is(show, "approved", &ask(&customer).send(rig, show));
    rig.advance(366 * DAY_MS);
    ledger.is(show, "resubmissionRequired", &ask(&customer).send(rig, show));

    let person = rig.customer(&broker, "INDIVIDUAL");
    ask(&person).send(rig, start);
    let applicant = world.applicant(&person);
    world.play(&applicant, "submit");
    world.play(&applicant, "approve");
    let events = operation("listVerificationEvents");
    ledger.is(events, "page", &ask(&person).send(rig, events));
    let ready = operation("getReadiness");
    ledger.is(ready, "ready", &Ask::default().send(rig, ready));

    reject(rig, &customer);
    ledger.is(start, "verificationRejected", &ask(&customer).send(rig, start));
    let alone = Rig::new();
    let key = alone.broker().key;
    ledger.is(start, "providerUnavailable", &Ask::of(&key).send(&alone, start));
}

fn imports(ledger: &mut Ledger) {
    let world = World::new();
    let rig = &world.rig;
    let broker = rig.broker();
    let import = operation("importVerification");
    let mut body = body_of(import, "person");
    body["shareToken"] = json!(world.share_token());
    let customer = |kind| {
        let customer = rig.customer(&broker, kind);
        rig.sign(&customer, &broker.id);
        (Ask::of(&broker.key).behalf(&customer).body(body.clone()), customer)
    };
    let (person, _) = customer("INDIVIDUAL");
    ledger.is(import, "person", &person.send(rig, import));
    ledger.is(import, "shareTokenInvalid", &customer("INDIVIDUAL").0.send(rig, import));
    ledger.is(import, "importUnsupported", &customer("BUSINESS").0.send(rig, import));
    let (rejected, id) = customer("INDIVIDUAL");
    reject(rig, &id);
    ledger.is(import, "verificationRejected", &rejected.send(rig, import));

    let alone = Rig::new();
    let broker = alone.broker();
    let customer = alone.customer(&broker, "INDIVIDUAL");
    alone.sign(&customer, &broker.id);
    let ask = Ask::of(&broker.key).behalf(&customer).body(body);
    ledger.is(import, "providerUnavailable", &ask.send(&alone, import));
}

fn authorizations(ledger: &mut Ledger) {
    let rig = Rig::new();
    let (broker, stranger) = (rig.broker(), rig.broker());
    let ask = || Ask::of(&broker.key);
    let (list, request) = (operation("listAuthorizations"), operation("requestAuthorization"));
    let revoke = operation("revokeAuthorization");
    let customer = rig.customer(&broker, "BUSINESS");
    ledger.is(list, "lastPage", &ask().send(&rig, list));
    rig.advance(1000);
    let signed = rig.customer(&broker, "BUSINESS");
    rig.sign(&signed, &broker.id);
    ledger.is(list, "page", &ask().query("?limit=1").send(&rig, list));
    ledger.is(list, "badRole", &ask().query("?role=boss").send(&rig, list));

    let revocation = revocation(&broker, &signed);
    let not_a_party = Ask::of(&stranger.key).body(revocation.clone()).send(&rig, revoke);
    ledger.is(revoke, "notAParty", &not_a_party);
    ledger.is(revoke, "withReason", &ask().body(revocation.clone()).send(&rig, revoke));
    ledger.is(revoke, "authorizationNotFound", &ask().body(revocation).send(&rig, revoke));

    let wish = |of: &str, kind: &str| json!({"grantingOrganizationId": of, "type": kind});
    let mut new = body_of(request, "again");
    new["grantingOrganizationId"] = json!(signed);
    ledger.is(request, "again", &ask().body(new).send(&rig, request));
    let exists = ask().body(wish(&customer, "LOA")).send(&rig, request);
    ledger.is(request, "authorizationExists", &exists);
    ledger.is(request, "badType", &ask().body(wish(&customer, "POA")).send(&rig, request));
    let other = Ask::of(&stranger.key).body(wish(&customer, "LOA")).send(&rig, request);
    ledger.is(request, "notCreator", &other);
    let nobody = ask().body(wish("org_nobody", "LOA")).send(&rig, request);
    ledger.is(request, "organizationNotFound", &nobody);
}

fn links(ledger: &mut Ledger) {
    let letter = LetterTemplate::parse(STANDARD_LETTER).unwrap();
    let world = World::with(kind(), Setup { letter: Some(letter), ..Setup::default() });
    let (rig, links) = (&world.rig, operation("listHandoffLinks"));
    let broker = rig.broker();
    let ask = |query: &str| Ask::of(&broker.key).query(query).send(rig, links);
    let signed = rig.customer(&broker, "BUSINESS");
    assert_eq!(rig.start_session(&broker.key, Some(&signed)).status, 200);
    rig.sign(&signed, &broker.id);
    ledger.is(links, "lastPage", &ask(""));
    rig.advance(1000);
    let unsigned = rig.customer(&broker, "BUSINESS");
    assert_eq!(rig.start_session(&broker.key, Some(&unsigned)).status, 200);
    ledger.is(links, "page", &ask("?limit=1"));
}

fn explanations(ledger: &mut Ledger) {
    let rig = Rig::new();
    let (broker, stranger) = (rig.broker(), rig.broker());
    let explain = operation("explainAuthorization");
    let customer = rig.customer(&broker, "BUSINESS");
    let of = format!("?grantingOrganizationId={customer}");
    let ask = |query: &str| Ask::of(&broker.key).query(query).send(&rig, explain);
    ledger.is(explain, "unsigned", &ask(&of));
    rig.sign(&customer, &broker.id);
    rig.advance(1000);
    let delivery = operation("receiveSumsubDelivery");
    let green = body_of(delivery, "approved").to_string().replace(CUSTOMER, &customer);
    let mut green: Value = serde_json::from_str(&green).unwrap();
    green["createdAtMs"] = json!(crate::rig::sumsub_instant(rig.now()));
    ledger.is(delivery, "approved", &rig.deliver(&green));
    ledger.is(explain, "effective", &ask(&of));
    ledger.is(explain, "nothingAsked", &ask(""));
    let oneself = ask(&format!("?grantingOrganizationId={}", broker.id));
    ledger.is(explain, "aboutOneself", &oneself);
    ledger.is(explain, "badInstant", &ask(&format!("{of}&at=noon")));
    let nobody = ask("?grantingOrganizationId=org_nobody");
    ledger.is(explain, "organizationNotFound", &nobody);
    let other = format!("{of}&authorizedOrganizationId={}", broker.id);
    ledger.is(explain, "withheld", &Ask::of(&stranger.key).query(&of).send(&rig, explain));
    let not_a_party = Ask::of(&stranger.key).query(&other).send(&rig, explain);
    ledger.is(explain, "notAParty", &not_a_party);
}

fn keys(ledger: &mut Ledger) {
    let rig = Rig::new();
    let broker = rig.broker();
    let ask = || Ask::of(&broker.key);
    let (list, create) = (operation("listApiKeys"), operation("createApiKey"));
    let (rotate, revoke) = (operation("rotateApiKey"), operation("revokeApiKey"));
    // The time of the last use is written behind the answer.
    let mut keys = ask().send(&rig, list);
    while keys.body["data"][0]["lastUsedAt"].is_null() {
        keys = ask().send(&rig, list);
    }
    ledger.is(list, "keys", &keys);
    for name in ["full", "readOnly"] {
        ledger.is(create, name, &ask().body(body_of(create, name)).send(&rig, create));
    }
    let all = json!({"name": "k", "scopes": ["all"]});
    ledger.is(create, "badScopes", &ask().body(all).send(&rig, create));
    let soon = json!({"name": "k", "expiresAt": "soon"});
    ledger.is(create, "badExpiry", &ask().body(soon).send(&rig, create));

    let id = ask().body(body_of(create, "full")).send(&rig, create).text("/id").to_owned();
    let hour = ask().id(&id).body(body_of(rotate, "oneHour")).send(&rig, rotate);
    ledger.is(rotate, "oneHour", &hour);
    let long = ask().id(&id).body(json!({"overlapSeconds": 9_999_999})).send(&rig, rotate);
    ledger.is(rotate, "badOverlap", &long);
    ledger.is(rotate, "apiKeyNotFound", &ask().send(&rig, rotate));
    ledger.is(revoke, "apiKeyNotFound", &ask().send(&rig, revoke));
    let successor = hour.text("/id");
    for name in ["empty", "withDescendants"] {
        let revoked = ask().id(successor).body(body_of(revoke, name)).send(&rig, revoke);
        ledger.is(revoke, name, &revoked);
    }
}

/// Answers that hold a secret: kept for a short time, and not done without a place to keep them.
fn kept_secrets(ledger: &mut Ledger) {
    let (create, rotate) = (operation("createApiKey"), operation("rotateApiKey"));
    let rig = Rig::new();
    let broker = rig.broker();
    let keyed = |of: &Broker| Ask::of(&of.key).with("Idempotency-Key", "k");
    let new = || keyed(&broker).body(body_of(create, "full"));
    let id = new().send(&rig, create).text("/id").to_owned();
    assert_eq!(keyed(&broker).id(&id).send(&rig, rotate).status, 200);
    rig.advance(600_000);
    ledger.is(create, "idempotencyAnswerGone", &new().send(&rig, create));
    let again = keyed(&broker).id(&id).send(&rig, rotate);
    ledger.is(rotate, "idempotencyAnswerGone", &again);

    let api = ApiSettings { kept_secrets_max: 0, ..Setup::default().api };
    let full = Rig::with(Setup { api, ..Setup::default() });
    let broker = full.broker();
    let new = keyed(&broker).body(body_of(create, "full")).send(&full, create);
    ledger.is(create, "noRoomToKeep", &new);
    let rotated = keyed(&broker).id(&id).send(&full, rotate);
    ledger.is(rotate, "noRoomToKeep", &rotated);
    let start = operation("startVerification");
    ledger.is(start, "noRoomToKeep", &keyed(&broker).send(&full, start));
}

fn webhook_endpoints(ledger: &mut Ledger) {
    let rig = Rig::new();
    let broker = rig.broker();
    let ask = || Ask::of(&broker.key);
    let (list, create) = (operation("listWebhookEndpoints"), operation("createWebhookEndpoint"));
    let all = ask().body(body_of(create, "all")).send(&rig, create);
    let id = all.text("/id");
    ledger.is(create, "all", &all);
    ledger.is(list, "page", &ask().send(&rig, list));
    ledger.is(create, "one", &ask().body(body_of(create, "one")).send(&rig, create));
    let other = json!({"url": "https://broker.example/", "eventTypes": ["moon.risen"]});
    ledger.is(create, "badEventTypes", &ask().body(other).send(&rig, create));
    let change = operation("changeWebhookEndpoint");
    let other = ask().id(id).body(json!({"eventTypes": ["moon.risen"]}));
    ledger.is(change, "badEventTypes", &other.send(&rig, change));
    for (name, example) in [
        ("getWebhookEndpoint", "shown"),
        ("getWebhookSecret", "secret"),
        ("rotateWebhookSecret", "empty"),
        ("testWebhookEndpoint", "empty"),
        ("changeWebhookEndpoint", "disable"),
    ] {
        let operation = operation(name);
        let mut ask = ask().id(id);
        ask.body = any_body(operation);
        ledger.is(operation, example, &ask.send(&rig, operation));
    }
    for name in ["testWebhookEndpoint", "resendWebhookDeliveries"] {
        let operation = operation(name);
        let mut ask = ask().id(id);
        ask.body = any_body(operation);
        ledger.is(operation, "endpointDisabled", &ask.send(&rig, operation));
    }
    let delete = operation("deleteWebhookEndpoint");
    ledger.is(delete, "deleted", &ask().id(id).send(&rig, delete));
    for operation in operations().iter().filter(|it| has(it, "endpointNotFound")) {
        let mut ask = ask().id(id);
        ask.body = any_body(operation);
        ledger.is(operation, "endpointNotFound", &ask.send(&rig, operation));
    }
}

fn webhook_deliveries(ledger: &mut Ledger) {
    let rig = Rig::new();
    let broker = rig.broker();
    let ask = || Ask::of(&broker.key);
    let create = operation("createWebhookEndpoint");
    let endpoint = ask().body(body_of(create, "all")).send(&rig, create).text("/id").to_owned();
    let test = operation("testWebhookEndpoint");
    let sent = ask().id(&endpoint).send(&rig, test);
    let id = format!("{endpoint}/{}", sent.text("/id"));
    for (name, example, id) in [
        ("listWebhookDeliveries", "page", &endpoint),
        ("getWebhookDelivery", "shown", &id),
        ("resendWebhookDelivery", "empty", &id),
        ("resendWebhookDeliveries", "day", &endpoint),
        ("getWebhookDelivery", "deliveryNotFound", &endpoint),
        ("resendWebhookDelivery", "deliveryNotFound", &endpoint),
    ] {
        let operation = operation(name);
        let mut ask = ask().id(id);
        ask.body = any_body(operation);
        ledger.is(operation, example, &ask.send(&rig, operation));
    }
    let log = operation("listWebhookDeliveries");
    let older = ask().id(&endpoint).query("?cursor=older").send(&rig, log);
    ledger.is(log, "badCursor", &older);
    let change = operation("changeWebhookEndpoint");
    ask().id(&endpoint).body(body_of(change, "disable")).send(&rig, change);
    let resend = operation("resendWebhookDelivery");
    ledger.is(resend, "endpointDisabled", &ask().id(&id).send(&rig, resend));
}

fn beside_the_contract(ledger: &mut Ledger) {
    let rig = Rig::new();
    for (id, name) in [
        ("getHealth", "ok"),
        ("getOpenApi", "document"),
        ("getDocs", "page"),
        ("getDocsStylesheet", "stylesheet"),
    ] {
        let operation = operation(id);
        ledger.is(operation, name, &Ask::default().send(&rig, operation));
    }
    let delivery = operation("receiveSumsubDelivery");
    let digest = webhook_digest(WEBHOOK_SECRET.as_bytes(), DigestAlgorithm::Sha256, b"another");
    let forged = Ask::default().with("X-Payload-Digest", &digest).body(json!({}));
    ledger.is(delivery, "invalidDigest", &forged.send(&rig, delivery));
}
