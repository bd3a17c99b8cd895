//! Idempotency keys, as contract §4 says.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::document::{Operation, operations};
use crate::receiver::Receiver;
use crate::rig::{Answer, Broker, DAY_MS, Directory, Rig, START_MS, Setup};
use crate::sumsub::{Silent, World};
use countersign::sim::TenantId;
use countersign::usecase::deliver_events::deliver_due;

const ORGANIZATIONS: &str = "/v1/organizations";
const VERIFICATION: &str = "/v1/organizations/verification";
const ENDPOINTS: &str = "/v1/webhooks/endpoints";

fn keyed(
    rig: &Rig,
    broker: &Broker,
    (path, key): (&str, &str),
    acted_for: Option<&str>,
    body: &Value,
) -> Answer {
    let mut headers = vec![
        ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
        ("Idempotency-Key".to_owned(), key.to_owned()),
    ];
    headers.extend(acted_for.map(|it| ("Nxos-On-Behalf-Of".to_owned(), it.to_owned())));
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        body.to_string().into_bytes()
    };
    rig.call("POST", path, &headers, &bytes)
}

fn create(rig: &Rig, broker: &Broker, key: &str, name: &str) -> Answer {
    keyed(rig, broker, (ORGANIZATIONS, key), None, &json!({"name": name, "type": "BUSINESS"}))
}

/// Starts a session under a key.
fn start(rig: &Rig, broker: &Broker, customer: &str) -> Answer {
    keyed(rig, broker, (VERIFICATION, "s1"), Some(customer), &Value::Null)
}

fn customers(rig: &Rig, broker: &Broker) -> usize {
    let list = rig.get("/v1/authorizations?limit=100", &broker.key, None);
    list.body["data"].as_array().unwrap().len()
}

/// Each part behind its length, as the register has it.
fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(u64::try_from(part.len()).unwrap().to_be_bytes());
        sha.update(part);
    }
    sha.finalize().to_vec()
}

#[test]
fn an_answer_that_schema_2_kept_is_given_again_after_the_migration() {
    let rig = Rig::new();
    let broker = rig.broker();
    let body = json!({"name": "Acme", "type": "BUSINESS"});
    let id = broker.id.as_bytes();
    let scope = sha256(&[id, id, b"k1", b"POST", ORGANIZATIONS.as_bytes(), b""]);
    let request = sha256(&[b"", body.to_string().as_bytes()]);
    let answer = create(&rig, &broker, "k0", "Acme").text;
    rig.database()
        .execute(
            "INSERT INTO idempotency (scope_sha256, request_sha256, status, body, expires_at_ms)
             VALUES (?1, ?2, 200, ?3, 9000000000000)",
            rusqlite::params![scope, request, answer.as_bytes()],
        )
        .unwrap();

    let again = create(&rig, &broker, "k1", "Acme");

    assert_eq!((again.status, again.text), (200, answer));
    assert_eq!(customers(&rig, &broker), 1);
    assert_eq!(create(&rig, &broker, "k1", "Other").refusal(), (409, "idempotency_key_in_use"));
}

#[test]
fn a_body_that_was_no_json_is_another_request_than_the_corrected_one() {
    let rig = Rig::new();
    let broker = rig.broker();
    let send = |text: &str| {
        let headers = [
            ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
            ("Idempotency-Key".to_owned(), "k1".to_owned()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        rig.call("POST", ORGANIZATIONS, &headers, text.as_bytes())
    };
    let broken = r#"{"name":"Acme","type":"BUSINESS",}"#;
    assert_eq!(send(broken).refusal(), (400, "validation_error"));

    let corrected = send(r#"{"name":"Acme","type":"BUSINESS"}"#);

    assert_eq!(corrected.refusal(), (409, "idempotency_key_in_use"), "and not the 400 again");
    assert_eq!(send(broken).header("idempotent-replayed"), Some("true"));
}

#[test]
fn a_key_that_another_key_created_is_told_to_that_one_alone() {
    let rig = Rig::new();
    let broker = rig.broker();
    let other = Broker { id: broker.id.clone(), key: rig.key_of(&broker.id) };
    let body = json!({"name": "third", "scopes": ["read"]});
    let create = |by: &Broker| keyed(&rig, by, ("/v1/api-keys", "k1"), None, &body);
    let first = create(&broker);
    assert_eq!(first.status, 200, "{first:?}");

    assert_eq!(create(&other).refusal(), (409, "idempotency_key_in_use"));

    assert_eq!(create(&broker).body, first.body);
}

#[test]
fn the_same_request_again_is_answered_again_and_done_once() {
    let rig = Rig::new();
    let broker = rig.broker();

    let first = create(&rig, &broker, "k1", "Acme");
    rig.advance(1000);
    let again = create(&rig, &broker, "k1", "Acme");

    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.body, again.body);
    assert_eq!(first.header("Idempotent-Replayed"), None);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    assert_ne!(first.header("X-Request-Id"), again.header("X-Request-Id"));
    assert_eq!(customers(&rig, &broker), 1);
}

#[test]
fn another_body_or_query_under_the_same_key_is_refused() {
    let rig = Rig::new();
    let broker = rig.broker();
    create(&rig, &broker, "k1", "Acme");

    assert_eq!(create(&rig, &broker, "k1", "Other").refusal(), (409, "idempotency_key_in_use"));
    let body = json!({"name": "Acme", "type": "BUSINESS"});
    assert_eq!(
        keyed(&rig, &broker, ("/v1/organizations?x=1", "k1"), None, &body).refusal(),
        (409, "idempotency_key_in_use")
    );
    assert_eq!(customers(&rig, &broker), 1);
}

#[test]
fn a_key_counts_per_caller_acted_for_organization_and_path() {
    let rig = Rig::new();
    let (broker, other) = (rig.broker(), rig.broker());

    create(&rig, &broker, "k1", "Acme");
    assert_eq!(create(&rig, &other, "k1", "Different").status, 200);
    let body = json!({"grantingOrganizationId": "org_no", "type": "LOA"});
    assert_eq!(
        keyed(&rig, &broker, ("/v1/authorizations", "k1"), None, &body).refusal(),
        (404, "organization_not_found")
    );
    // The header is ignored by this route, and still another organization is acted for.
    assert_eq!(
        keyed(
            &rig,
            &broker,
            (ORGANIZATIONS, "k1"),
            Some("org_x"),
            &json!({"name": "B", "type": "BUSINESS"})
        )
        .status,
        200
    );
}

#[test]
fn refusals_are_kept_and_wrong_keys_are_not() {
    let rig = Rig::new();
    let broker = rig.broker();
    let body = json!({"grantingOrganizationId": "org_no", "type": "LOA"});

    let first = keyed(&rig, &broker, ("/v1/authorizations", "k1"), None, &body);
    let again = keyed(&rig, &broker, ("/v1/authorizations", "k1"), None, &body);

    assert_eq!(again.status, 404);
    assert_eq!(first.body, again.body, "the first answer's own request id included");
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    let stranger = Broker { key: "nxos_sk_test_no".to_owned(), ..broker.clone() };
    for _ in 0..2 {
        let refused = create(&rig, &stranger, "k2", "Acme");
        assert_eq!(refused.refusal(), (401, "invalid_api_key"));
        assert_eq!(refused.header("Idempotent-Replayed"), None);
    }
    assert_eq!(create(&rig, &broker, "k2", "Acme").status, 200);
}

#[test]
fn a_key_is_free_again_after_24_hours() {
    let rig = Rig::new();
    let broker = rig.broker();
    create(&rig, &broker, "k1", "Acme");

    rig.advance(DAY_MS - 1);
    assert_eq!(create(&rig, &broker, "k1", "Other").refusal(), (409, "idempotency_key_in_use"));
    rig.advance(1);
    assert_eq!(create(&rig, &broker, "k1", "Other").status, 200);
    assert_eq!(customers(&rig, &broker), 2);
    let kept: i64 =
        rig.database().query_row("SELECT count(*) FROM idempotency", [], |it| it.get(0)).unwrap();
    assert_eq!(kept, 1, "what is over goes");
}

#[test]
fn a_malformed_key_is_refused() {
    let rig = Rig::new();
    let broker = rig.broker();

    assert_eq!(
        create(&rig, &broker, &"k".repeat(256), "Acme").refusal(),
        (400, "validation_error")
    );
    assert_eq!(create(&rig, &broker, "", "Acme").refusal(), (400, "validation_error"));
    assert_eq!(create(&rig, &broker, &"k".repeat(255), "Acme").status, 200);
}

#[test]
fn a_failure_of_sumsub_releases_the_key_and_a_session_is_replayed_while_its_token_lives() {
    let world = World::new();
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    let start = || start(&world.rig, &broker, &customer);
    world.fault(&json!({"path": "/resources", "count": 1, "status": 401}));
    assert_eq!(start().refusal(), (502, "provider_unavailable"));

    let first = start();
    assert_eq!(first.status, 200);
    world.rig.advance(1_799_999);
    let again = start();
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    world.rig.advance(1);
    let fresh = start();
    assert_eq!(fresh.header("Idempotent-Replayed"), None);
    assert_ne!(fresh.text("/accessToken"), first.text("/accessToken"));

    world.rig.database().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let bytes = std::fs::read(world.rig.directory.file("register.db")).unwrap();
    let token = fresh.text("/accessToken").as_bytes();
    assert!(!bytes.windows(token.len()).any(|it| it == token), "no token is in the register");
}

#[test]
fn an_import_is_replayed_instead_of_burning_a_second_token() {
    let world = World::new();
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    world.rig.sign(&customer, &broker.id);
    let body = json!({"shareToken": world.share_token()});
    let import = || {
        keyed(
            &world.rig,
            &broker,
            ("/v1/organizations/verification/import", "i1"),
            Some(&customer),
            &body,
        )
    };

    let (first, again) = (import(), import());

    assert_eq!((first.status, again.status), (200, 200), "{again:?}");
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
}

#[test]
fn while_a_request_is_in_flight_its_twins_are_told_and_its_key_does_nothing_else() {
    let silent = Silent::new();
    let rig = Rig::with(Setup { sumsub_url: silent.url.clone(), ..Setup::default() });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| start(&rig, &broker, &customer));
        let call = silent.receive();

        let twin = start(&rig, &broker, &customer);
        let language = json!({"language": "de"});
        let other = keyed(&rig, &broker, (VERIFICATION, "s1"), Some(&customer), &language);

        assert_eq!(twin.refusal(), (409, "idempotency_request_in_flight"));
        assert_eq!(other.refusal(), (409, "idempotency_key_in_use"));
        drop((call, silent));
        assert_eq!(hanging.join().unwrap().refusal(), (502, "provider_unavailable"));
    });
    assert_eq!(start(&rig, &broker, &customer).refusal(), (502, "provider_unavailable"));
}

#[test]
fn of_concurrent_twins_one_is_done() {
    let rig = Rig::new();
    let broker = rig.broker();

    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let twins: Vec<_> =
            (0..12).map(|_| scope.spawn(|| create(&rig, &broker, "twin", "Acme"))).collect();
        twins.into_iter().map(|it| it.join().unwrap()).collect()
    });

    assert_eq!(customers(&rig, &broker), 1);
    let done: Vec<&Answer> = answers.iter().filter(|it| it.status == 200).collect();
    assert!(!done.is_empty() && done.iter().all(|it| it.body == done[0].body));
    for refused in answers.iter().filter(|it| it.status != 200) {
        assert_eq!(refused.refusal(), (409, "idempotency_request_in_flight"));
    }
}

/// Operations of which the commit keeps neither answer nor mark: the answer holds a secret, and once it
/// is gone it is done again.
const KEPT_IN_MEMORY: [&str; 1] = ["startVerification"];

/// What every operation is called about.
pub(crate) struct Things {
    pub(crate) world: World,
    pub(crate) broker: Broker,
    pub(crate) customer: String,
    endpoint: String,
    delivery: String,
    pub(crate) spare_key: String,
}

impl Things {
    pub(crate) fn new() -> Self {
        let world = World::new();
        let rig = &world.rig;
        let broker = rig.broker();
        let customer = rig.customer(&broker, "INDIVIDUAL");
        rig.sign(&customer, &broker.id);
        let post = |path: &str, body: &Value| {
            rig.post(path, &broker.key, None, body).text("/id").to_owned()
        };
        let receiver = Receiver::start();
        let endpoint = post(ENDPOINTS, &json!({"url": receiver.url}));
        let delivery = post(&format!("{ENDPOINTS}/{endpoint}/test"), &json!({}));
        // Only what is over can be sent again.
        assert!(deliver_due(&rig.appliance).unwrap() > 0);
        let spare_key = post("/v1/api-keys", &json!({"name": "spare"}));
        Self { world, broker, customer, endpoint, delivery, spare_key }
    }

    /// A body with which the operation changes something.
    pub(crate) fn body(&self, operation: &Operation) -> Value {
        let granted = json!({"grantingOrganizationId": self.customer, "type": "LOA"});
        let mut ended = granted.clone();
        ended["authorizedOrganizationId"] = json!(self.broker.id);
        match operation.id.as_str() {
            "createOrganization" => json!({"name": "Acme", "type": "BUSINESS"}),
            "importVerification" => json!({"shareToken": self.world.share_token()}),
            "requestAuthorization" => {
                let rig = &self.world.rig;
                rig.post("/v1/authorizations/revoke", &self.broker.key, None, &ended);
                granted
            }
            "revokeAuthorization" => ended,
            "createApiKey" => json!({"name": "another"}),
            "createWebhookEndpoint" => json!({"url": "http://127.0.0.1:9/other"}),
            "changeWebhookEndpoint" => json!({"description": "ours"}),
            "resendWebhookDeliveries" => json!({"since": "2026-01-01T00:00:00.000Z"}),
            "startVerification"
            | "rotateApiKey"
            | "revokeApiKey"
            | "deleteWebhookEndpoint"
            | "rotateWebhookSecret"
            | "testWebhookEndpoint"
            | "resendWebhookDelivery" => json!({}),
            unknown => panic!("what does {unknown} take, so that it changes something?"),
        }
    }

    pub(crate) fn call(&self, operation: &Operation, body: &Value) -> Answer {
        let mut headers = vec![
            ("Authorization".to_owned(), format!("Bearer {}", self.broker.key)),
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Idempotency-Key".to_owned(), "k".to_owned()),
        ];
        if operation.it["parameters"].to_string().contains("OnBehalfOf") {
            headers.push(("Nxos-On-Behalf-Of".to_owned(), self.customer.clone()));
        }
        let path = operation
            .path
            .replace("{endpointId}", &self.endpoint)
            .replace("{deliveryId}", &self.delivery)
            .replace("{apiKeyId}", &self.spare_key);
        self.world.rig.call(&operation.method, &path, &headers, body.to_string().as_bytes())
    }

    /// Every row of the register but kept answers, when keys were used, and which share tokens were
    /// tried: that has to be known before Sumsub is asked, whatever comes of it.
    pub(crate) fn rows(&self) -> Vec<String> {
        let database = self.world.rig.database();
        let texts = |sql: &str| -> Vec<String> {
            let mut statement = database.prepare(sql).unwrap();
            let columns = statement.column_count();
            let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
                (0..columns).map(|it| Ok(format!("{:?} ", row.get_ref(it)?))).collect()
            };
            statement.query_map([], row).unwrap().map(Result::unwrap).collect()
        };
        let tables = "SELECT name FROM sqlite_schema
                      WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                        AND name NOT IN ('idempotency', 'api_key_use', 'import_attempt')";
        let mut names = database.prepare(tables).unwrap();
        let names: Vec<String> =
            names.query_map([], |it| it.get(0)).unwrap().map(Result::unwrap).collect();
        names.iter().flat_map(|it| texts(&format!("SELECT '{it}', * FROM {it}"))).collect()
    }
}

#[test]
fn a_change_whose_answer_cannot_be_kept_is_not_made_on_any_route() {
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON idempotency
                  BEGIN SELECT RAISE(ABORT, 'no answer is kept'); END";
    let takes_a_key = |it: &&Operation| it.method != "GET" && it.path.starts_with("/v1/");
    let (mut in_memory, mut in_commit) = (Vec::new(), 0);
    for operation in operations().iter().filter(takes_a_key) {
        let (things, id) = (Things::new(), operation.id.as_str());
        let body = things.body(operation);
        let before = things.rows();
        things.world.rig.database().execute_batch(refuse).unwrap();

        let first = things.call(operation, &body);

        if first.status == 200 {
            in_memory.push(id);
        } else {
            assert_eq!(first.refusal(), (500, "internal_error"), "{id}");
            assert!(things.rows() == before, "{id} changed something");
            in_commit += 1;
            things.world.rig.database().execute_batch("DROP TRIGGER refuse").unwrap();
        }
        let first = if first.status == 200 { first } else { things.call(operation, &body) };
        let changed = things.rows();
        let again = things.call(operation, &body);
        assert_eq!((first.status, &first.body), (200, &again.body), "{id}");
        assert_eq!(again.header("Idempotent-Replayed"), Some("true"), "{id}");
        assert!(changed != before, "{id} is called so that it changes something");
        assert!(things.rows() == changed, "{id} was done again");
    }
    assert_eq!(in_memory, KEPT_IN_MEMORY);
    assert!(in_commit > 0);
}

#[test]
fn a_crash_frees_a_key_in_flight_and_keeps_what_was_answered() {
    let silent = Silent::new();
    let rig = Rig::with(Setup { sumsub_url: silent.url.clone(), ..Setup::default() });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    let answered = create(&rig, &broker, "answered", "Acme");
    let crashed = Directory::new();
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| start(&rig, &broker, &customer));
        let call = silent.receive();

        // A copy taken now is what a crash would leave: the file and its log.
        for name in ["register.db", "register.db-wal"] {
            std::fs::copy(rig.directory.file(name), crashed.file(name)).unwrap();
        }

        let twin = start(&rig, &broker, &customer);
        assert_eq!(twin.refusal(), (409, "idempotency_request_in_flight"));
        drop((call, silent));
        assert_eq!(hanging.join().unwrap().refusal(), (502, "provider_unavailable"));
    });

    let world = World::new();
    let credentials = world.simulator.credentials(TenantId::Recipient);
    let setup = Setup {
        sumsub_url: world.sumsub_url.clone(),
        app_token: credentials.app_token,
        secret_key: credentials.secret_key,
        ..Setup::default()
    };
    let after = Rig::start(crashed, std::sync::Arc::new(START_MS.into()), setup);

    let again = start(&after, &broker, &customer);
    assert_eq!((again.status, again.header("Idempotent-Replayed")), (200, None), "{again:?}");
    assert_eq!(create(&after, &broker, "answered", "Acme").body, answered.body);
}

#[test]
fn a_kept_session_is_not_replayed_after_the_letter_was_revoked() {
    let world = World::new();
    let rig = &world.rig;
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    let first = start(rig, &broker, &customer);
    assert_eq!(first.status, 200);
    let letter = json!({"grantingOrganizationId": customer, "type": "LOA",
        "authorizedOrganizationId": broker.id});
    assert_eq!(rig.post("/v1/authorizations/revoke", &broker.key, None, &letter).status, 200);

    let again = start(rig, &broker, &customer);

    assert_eq!(again.refusal(), (403, "authorization_required"));
    assert_eq!(again.header("Idempotent-Replayed"), None);
    assert!(!again.text.contains("_act-"));
}

#[test]
fn a_kept_import_is_not_replayed_to_whom_the_gate_would_refuse() {
    let world = World::new();
    let rig = &world.rig;
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    rig.sign(&customer, &broker.id);
    let body = json!({"shareToken": world.share_token()});
    let path = "/v1/organizations/verification/import";
    let import = |broker: &Broker| keyed(rig, broker, (path, "i"), Some(&customer), &body);
    assert_eq!(import(&broker).status, 200);
    let limited = |scope: &str| {
        let new = json!({"name": scope, "scopes": [scope]});
        let key = rig.post("/v1/api-keys", &broker.key, None, &new).text("/key").to_owned();
        Broker { key, ..broker.clone() }
    };

    assert_eq!(import(&limited("read")).refusal(), (403, "forbidden"));
    assert_eq!(import(&limited("write")).header("Idempotent-Replayed"), Some("true"));
    let letter = json!({"grantingOrganizationId": customer, "type": "LOA",
        "authorizedOrganizationId": broker.id});
    assert_eq!(rig.post("/v1/authorizations/revoke", &broker.key, None, &letter).status, 200);
    assert_eq!(import(&broker).refusal(), (403, "authorization_required"));
    // A new letter is not signed, and an import needs one that is.
    assert_eq!(
        rig.post(
            "/v1/authorizations",
            &broker.key,
            None,
            &json!({
        "grantingOrganizationId": customer, "type": "LOA"})
        )
        .status,
        200
    );
    assert_eq!(import(&broker).refusal(), (403, "authorization_required"));
    rig.sign(&customer, &broker.id);
    assert_eq!(import(&broker).header("Idempotent-Replayed"), Some("true"));
}

#[test]
fn what_the_gate_refused_is_done_under_the_same_key_once_it_is_allowed() {
    let world = World::new();
    let rig = &world.rig;
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    let body = json!({"shareToken": world.share_token()});
    let path = "/v1/organizations/verification/import";
    let import = || keyed(rig, &broker, (path, "i"), Some(&customer), &body);
    assert_eq!(import().refusal(), (403, "authorization_required"));

    rig.sign(&customer, &broker.id);

    let done = import();
    assert_eq!((done.status, done.header("Idempotent-Replayed")), (200, None), "{done:?}");
}

const KEYS: &str = "/v1/api-keys";

fn create_key(rig: &Rig, broker: &Broker, key: &str) -> Answer {
    keyed(rig, broker, (KEYS, key), None, &json!({"name": "another"}))
}

fn keys_of(rig: &Rig, broker: &Broker) -> usize {
    rig.get(KEYS, &broker.key, None).body["data"].as_array().unwrap().len()
}

/// The register of a rig, served by a process that has just begun.
fn restarted(mut rig: Rig) -> Rig {
    let directory = std::mem::replace(&mut rig.directory, Directory::new());
    let clock_ms = std::sync::Arc::clone(&rig.clock_ms);
    drop(rig);
    Rig::start(directory, clock_ms, Setup::default())
}

#[test]
fn an_api_key_is_created_and_rotated_once_also_when_its_answer_is_gone() {
    for is_restarted in [false, true] {
        let rig = Rig::new();
        let broker = rig.broker();
        let made = create_key(&rig, &broker, "k");
        let rotate = format!("{KEYS}/{}/rotate", made.text("/id"));
        let rotated = keyed(&rig, &broker, (&rotate, "k"), None, &json!({}));
        assert_eq!(rotated.status, 200);
        assert_eq!(create_key(&rig, &broker, "k").body, made.body);
        assert_eq!(keyed(&rig, &broker, (&rotate, "k"), None, &json!({})).body, rotated.body);
        assert_eq!(keys_of(&rig, &broker), 3);

        let rig = if is_restarted { restarted(rig) } else { rig };
        if !is_restarted {
            rig.advance(600_000);
        }

        let again = create_key(&rig, &broker, "k");
        assert_eq!(again.refusal(), (409, "idempotency_key_in_use"));
        assert!(again.text("/error/message").contains("/v1/api-keys"), "{again:?}");
        let again = keyed(&rig, &broker, (&rotate, "k"), None, &json!({}));
        assert_eq!(again.refusal(), (409, "idempotency_key_in_use"));
        assert_eq!(keys_of(&rig, &broker), 3, "never done twice");
        assert_eq!(create_key(&rig, &broker, "fresh").status, 200);
        rig.advance(DAY_MS);
        assert_eq!(create_key(&rig, &broker, "k").status, 200, "free again after 24 h");
    }
}

#[test]
fn of_an_answer_with_a_key_in_it_the_register_has_a_mark_and_no_more() {
    let rig = Rig::new();
    let broker = rig.broker();

    let made = create_key(&rig, &broker, "k");

    let sql = "SELECT status, body IS NULL, expires_at_ms FROM idempotency";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let mark: (u16, bool, i64) = rig.database().query_row(sql, [], row).unwrap();
    assert_eq!(mark, (200, true, START_MS + DAY_MS));
    rig.database().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let bytes = std::fs::read(rig.directory.file("register.db")).unwrap();
    let key = made.text("/key").as_bytes();
    assert!(!bytes.windows(key.len()).any(|it| it == key));
}

#[test]
fn a_session_whose_answer_is_gone_is_started_again() {
    let world = World::with(crate::sumsub::kind(), Setup { api: room_for(1), ..Setup::default() });
    let rig = &world.rig;
    let (broker, other) = (rig.broker(), rig.broker());
    let customer = rig.customer(&broker, "INDIVIDUAL");
    let first = start(rig, &broker, &customer);
    assert_eq!(start(rig, &broker, &customer).body, first.body);
    // Room for one: neither pushes the other out, and both go on once it has ended.
    assert_eq!(create_key(rig, &other, "k").refusal(), (503, "server_busy"));
    rig.advance(1_800_000);
    assert_eq!(create_key(rig, &other, "k").status, 200);
    assert_eq!(start(rig, &broker, &customer).refusal(), (503, "server_busy"));
    rig.advance(600_000);

    let again = start(rig, &broker, &customer);

    assert_eq!((again.status, again.header("Idempotent-Replayed")), (200, None));
    assert_ne!(again.text("/accessToken"), first.text("/accessToken"));
}

fn room_for(answers: usize) -> countersign::api::ApiSettings {
    countersign::api::ApiSettings { kept_secrets_max: answers, ..Setup::default().api }
}

#[test]
fn one_broker_has_all_the_room_for_answers_until_another_wants_its_share() {
    let rig = Rig::with(Setup { api: room_for(4), ..Setup::default() });
    let (greedy, modest) = (rig.broker(), rig.broker());
    let made: Vec<Answer> = (0..4).map(|it| create_key(&rig, &greedy, &format!("k{it}"))).collect();
    assert!(made.iter().all(|it| it.status == 200));

    // What cannot be kept is refused before it is done, and nothing else is.
    let fifth = create_key(&rig, &greedy, "k4");
    assert_eq!(fifth.refusal(), (503, "server_busy"));
    assert_eq!(fifth.header("Retry-After"), Some("60"));
    assert_eq!(keys_of(&rig, &greedy), 5);
    assert_eq!(create(&rig, &greedy, "o", "Acme").status, 200, "no secret is in this answer");
    let unkeyed = rig.post(KEYS, &greedy.key, None, &json!({"name": "unkeyed"}));
    assert_eq!(unkeyed.status, 200, "and this one need not be kept");

    let first = create_key(&rig, &modest, "k0");
    let second = create_key(&rig, &modest, "k1");
    assert_eq!(create_key(&rig, &modest, "k0").body, first.body);
    assert_eq!(create_key(&rig, &modest, "k1").body, second.body);
    assert_eq!(create_key(&rig, &modest, "k2").refusal(), (503, "server_busy"), "its share is two");

    // The greedy one still has its own share, and what it lent is not done twice.
    let kept = |it: usize| create_key(&rig, &greedy, &format!("k{it}"));
    let replayed = (0..4).filter(|it| kept(*it).body == made[*it].body).count();
    assert_eq!(replayed, 2);
    for it in 0..4 {
        let again = kept(it);
        assert!(again.status == 200 || again.refusal() == (409, "idempotency_key_in_use"));
    }
    assert_eq!(keys_of(&rig, &greedy), 6);
}

#[test]
fn a_session_that_could_not_be_kept_never_reaches_sumsub() {
    let world = World::with(crate::sumsub::kind(), Setup { api: room_for(0), ..Setup::default() });
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");

    assert_eq!(start(&world.rig, &broker, &customer).refusal(), (503, "server_busy"));

    assert!(world.applicants(&customer).is_empty());
    assert_eq!(world.rig.start_session(&broker.key, Some(&customer)).status, 200, "without a key");
}

#[test]
fn a_failed_session_gives_its_room_back() {
    let rig = Rig::with(Setup { api: room_for(1), ..Setup::default() });
    let broker = rig.broker();
    let customer = rig.customer(&broker, "INDIVIDUAL");
    for _ in 0..3 {
        assert_eq!(start(&rig, &broker, &customer).refusal(), (502, "provider_unavailable"));
    }
    let refused = keyed(&rig, &broker, (KEYS, "bad"), None, &json!({"name": ""}));
    assert_eq!(refused.refusal(), (400, "validation_error"));

    assert_eq!(create_key(&rig, &broker, "k").status, 200);
    let again = keyed(&rig, &broker, (KEYS, "bad"), None, &json!({"name": ""}));
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"), "refusals hold no secret");
}

/// Sends this very text as JSON under a key.
fn raw(rig: &Rig, broker: &Broker, text: &str) -> Answer {
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
        ("Idempotency-Key".to_owned(), "k".to_owned()),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    rig.call("POST", ORGANIZATIONS, &headers, text.as_bytes())
}

#[test]
fn the_same_json_in_another_order_is_the_same_request() {
    let rig = Rig::new();
    let broker = rig.broker();
    let first = raw(
        &rig,
        &broker,
        r#"{"name":"Acme","type":"BUSINESS","metadata":{"a":1,"b":{"c":2,"d":[3,4]}}}"#,
    );
    assert_eq!(first.status, 200, "{first:?}");

    for same in [
        r#"{"type":"BUSINESS","name":"Acme","metadata":{"b":{"d":[3,4],"c":2},"a":1}}"#,
        "{ \"metadata\" : {\"b\":{\"c\":2, \"d\":[3,\n4]},\"a\":1},\t\"name\":\"Acme\",\"type\":\"BUSINESS\"}",
        r#"{"name":"\u0041cme","type":"BUSINESS","metadata":{"a":1,"b":{"c":2,"d":[3,4]}}}"#,
    ] {
        let again = raw(&rig, &broker, same);
        assert_eq!(again.body, first.body, "{same}");
        assert_eq!(again.header("Idempotent-Replayed"), Some("true"), "{same}");
    }
    for other in [
        r#"{"name":"Acme","type":"BUSINESS","metadata":{"a":1,"b":{"c":2,"d":[4,3]}}}"#,
        r#"{"name":"Acme","type":"BUSINESS","metadata":{"a":1.0,"b":{"c":2,"d":[3,4]}}}"#,
        r#"{"name":"Acme","type":"BUSINESS","metadata":{"a":"1","b":{"c":2,"d":[3,4]}}}"#,
        r#"{"name":"Acme","type":"BUSINESS"}"#,
        r#"{"name":"Acme","type":"BUSINESS""#,
    ] {
        let refused = raw(&rig, &broker, other);
        assert_eq!(refused.refusal(), (409, "idempotency_key_in_use"), "{other}");
    }
    assert_eq!(customers(&rig, &broker), 1);
}
