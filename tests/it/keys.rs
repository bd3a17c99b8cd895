//! Keys with scopes, expiry and rotation; rate limits per key and per address.

use serde_json::{Value, json};

use crate::cli::Shell;
use crate::rig::{DAY_MS, Rig, Setup};
use countersign::api::{ApiSettings, RateLimits};
use countersign::http::client_address::TrustedProxies;

const KEYS: &str = "/v1/api-keys";

#[test]
fn keys_are_made_listed_and_revoked_over_http_and_shown_once() {
    let rig = Rig::new();
    let broker = rig.broker();

    let maker = rig.get(KEYS, &broker.key, None).text("/data/0/id").to_owned();
    let made = rig.post(KEYS, &broker.key, None, &json!({"name": "reports", "scopes": ["read"]}));

    assert_eq!(made.status, 200, "{made:?}");
    let (id, key) = (made.text("/id").to_owned(), made.text("/key").to_owned());
    assert_eq!(
        made.body,
        json!({"object": "api_key", "id": id, "name": "reports", "scopes": ["read"],
            "createdAt": "2026-01-02T03:04:05.000Z", "expiresAt": null, "lastUsedAt": null,
            "revokedAt": null, "createdByKeyId": maker,
            "key": key})
    );
    let list = rig.get(KEYS, &broker.key, None);
    assert_eq!(list.body["data"].as_array().unwrap().len(), 2);
    assert!(!list.body.to_string().contains(&key));

    assert_eq!(rig.get(KEYS, &key, None).status, 200);
    let revoked = rig.post(&format!("{KEYS}/{id}/revoke"), &broker.key, None, &json!({}));
    assert_eq!(revoked.text("/revokedAt"), "2026-01-02T03:04:05.000Z");
    assert_eq!(rig.get(KEYS, &key, None).refusal(), (401, "invalid_api_key"));
}

#[test]
fn a_scope_that_a_key_lacks_is_refused() {
    let rig = Rig::new();
    let broker = rig.broker();
    let key = |scopes: &[&str]| {
        let body = json!({"name": "k", "scopes": scopes});
        rig.post(KEYS, &broker.key, None, &body).text("/key").to_owned()
    };
    let (read, write) = (key(&["read"]), key(&["write"]));
    let create = json!({"name": "Acme", "type": "BUSINESS"});

    assert_eq!(rig.post("/v1/organizations", &read, None, &create).refusal(), (403, "forbidden"));
    assert_eq!(rig.post("/v1/organizations", &write, None, &create).status, 200);
    assert_eq!(rig.get("/v1/organizations", &write, None).refusal(), (403, "forbidden"));
    for limited in [&read, &write] {
        assert_eq!(
            rig.post(KEYS, limited, None, &json!({"name": "x"})).refusal(),
            (403, "forbidden")
        );
    }
}

#[test]
fn a_key_stops_at_its_expiry_and_cannot_be_made_expired() {
    let rig = Rig::new();
    let broker = rig.broker();
    let body = json!({"name": "short", "expiresAt": "2026-01-03T03:04:05.000Z"});
    let key = rig.post(KEYS, &broker.key, None, &body).text("/key").to_owned();

    rig.advance(DAY_MS - 1);
    assert_eq!(rig.get("/v1/organizations", &key, None).status, 200);
    rig.advance(1);
    assert_eq!(rig.get("/v1/organizations", &key, None).refusal(), (401, "invalid_api_key"));
    assert_eq!(rig.post(KEYS, &broker.key, None, &body).refusal(), (400, "validation_error"));
}

#[test]
fn a_rotated_key_works_beside_its_successor_until_the_overlap_is_over() {
    let rig = Rig::new();
    let broker = rig.broker();
    let list = rig.get(KEYS, &broker.key, None);
    let id = list.text("/data/0/id");

    let body = json!({"overlapSeconds": 60});
    let rotated = rig.post(&format!("{KEYS}/{id}/rotate"), &broker.key, None, &body);

    let successor = rotated.text("/key");
    assert_eq!(rotated.body["scopes"], json!(["read", "write"]));
    rig.advance(59_999);
    assert_eq!(rig.get(KEYS, &broker.key, None).status, 200);
    assert_eq!(rig.get(KEYS, successor, None).status, 200);
    rig.advance(1);
    assert_eq!(rig.get(KEYS, &broker.key, None).refusal(), (401, "invalid_api_key"));
    assert_eq!(rig.get(KEYS, successor, None).status, 200);
}

#[test]
fn somebody_elses_key_is_not_found() {
    let rig = Rig::new();
    let (broker, other) = (rig.broker(), rig.broker());
    let list = rig.get(KEYS, &broker.key, None);
    let id = list.text("/data/0/id");

    for action in ["revoke", "rotate"] {
        let path = format!("{KEYS}/{id}/{action}");
        assert_eq!(
            rig.post(&path, &other.key, None, &json!({})).refusal(),
            (404, "api_key_not_found")
        );
    }
    assert_eq!(rig.get(KEYS, &broker.key, None).status, 200);
}

#[test]
fn the_last_use_of_a_key_is_noted_to_the_minute() {
    let rig = Rig::new();
    let broker = rig.broker();
    rig.get("/v1/organizations", &broker.key, None);
    rig.advance(61_000);
    rig.get("/v1/organizations", &broker.key, None);
    // A later write comes after the note in the one writer's queue.
    assert!(rig.appliance.store.is_writable().is_ok());

    let list = rig.get(KEYS, &broker.key, None);

    assert_eq!(list.text("/data/0/lastUsedAt"), "2026-01-02T03:05:06.000Z");
}

fn limited(rates: RateLimits) -> Rig {
    let api = ApiSettings {
        rates,
        trusted_proxies: TrustedProxies::parse("127.0.0.1").unwrap().into(),
        ..ApiSettings::default()
    };
    Rig::with(Setup { api, ..Setup::default() })
}

#[test]
fn a_key_that_asks_too_often_is_told_when_to_come_back() {
    let rig = limited(RateLimits { requests_per_s: 1, burst: 3, wrong_keys_per_minute: 0 });
    let (broker, other) = (rig.broker(), rig.broker());

    let served: Vec<_> = (0..3).map(|_| rig.get("/v1/organizations", &broker.key, None)).collect();
    let refused = rig.get("/v1/organizations", &broker.key, None);

    assert!(served.iter().all(|it| it.status == 200));
    assert_eq!(
        served[0].header("RateLimit-Policy"),
        Some("\"key\";q=3;w=3, \"organization\";q=2000;w=10")
    );
    assert_eq!(served[0].header("RateLimit"), Some("\"key\";r=2;t=1"));
    assert_eq!(refused.refusal(), (429, "rate_limited"));
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(
        rig.get("/v1/organizations", &other.key, None).status,
        200,
        "keys are counted apart"
    );
}

#[test]
fn wrong_keys_are_counted_per_client_address() {
    let rig = limited(RateLimits { requests_per_s: 0, burst: 0, wrong_keys_per_minute: 2 });
    let broker = rig.broker();
    let wrong = |client: &str| {
        let headers = [
            ("Authorization".to_owned(), "Bearer nxos_sk_test_guess".to_owned()),
            ("X-Forwarded-For".to_owned(), client.to_owned()),
        ];
        rig.call("GET", "/v1/organizations", &headers, b"")
    };

    assert_eq!(wrong("192.0.2.1").refusal(), (401, "invalid_api_key"));
    assert_eq!(wrong("192.0.2.1").refusal(), (401, "invalid_api_key"));
    assert_eq!(wrong("192.0.2.1").refusal(), (429, "rate_limited"));
    assert_eq!(wrong("192.0.2.2").refusal(), (401, "invalid_api_key"));
    assert_eq!(rig.get("/v1/organizations", &broker.key, None).status, 200);
    assert_eq!(wrong("192.0.2.1").body["error"]["code"], Value::from("rate_limited"));
}

#[test]
fn wrong_keys_from_one_ipv6_network_are_one_clients() {
    let rig = limited(RateLimits { requests_per_s: 0, burst: 0, wrong_keys_per_minute: 3 });
    let wrong = |client: &str| {
        let headers = [
            ("Authorization".to_owned(), "Bearer nxos_sk_test_guess".to_owned()),
            ("X-Forwarded-For".to_owned(), client.to_owned()),
        ];
        rig.call("GET", "/v1/organizations", &headers, b"").status
    };

    let rotating: Vec<u16> = (0..150).map(|it| wrong(&format!("2001:db8:1:2::{it:x}"))).collect();

    assert_eq!(rotating.iter().filter(|it| **it == 401).count(), 3);
    assert!(rotating[3..].iter().all(|it| *it == 429));
    assert_eq!(wrong("2001:db8:1:2:ffff:ffff:ffff:ffff"), 429);
    assert_eq!(wrong("2001:db8:1:3::1"), 401, "another network is another client");
    for _ in 0..3 {
        assert_eq!(wrong("::ffff:192.0.2.1"), 401);
    }
    assert_eq!(wrong("192.0.2.1"), 429, "a mapped address is the IPv4 address");
    assert_eq!(wrong("192.0.2.2"), 401);
}

#[test]
fn a_customer_that_does_not_exist_is_asked_for_no_more_often_than_others() {
    let rig = limited(RateLimits { requests_per_s: 1, burst: 2, wrong_keys_per_minute: 0 });
    let broker = rig.broker();
    let ask = || rig.get("/v1/organizations", &broker.key, Some("org_nobody"));

    assert_eq!(ask().refusal(), (404, "organization_not_found"));
    assert_eq!(ask().refusal(), (404, "organization_not_found"));
    // A second that passes between two calls gives one call back.
    let is_refused = (0..20).any(|_| ask().refusal() == (429, "rate_limited"));
    assert!(is_refused, "it may ask without end");
}

#[test]
fn calls_beyond_a_keys_scope_are_counted_like_all_others() {
    let rig = limited(RateLimits { requests_per_s: 1, burst: 3, wrong_keys_per_minute: 0 });
    let broker = rig.broker();
    let body = json!({"name": "reads", "scopes": ["read"]});
    let reads = rig.post(KEYS, &broker.key, None, &body).text("/key").to_owned();
    let create = || rig.post("/v1/organizations", &reads, None, &json!({}));

    let refused = create();
    assert_eq!(refused.refusal(), (403, "forbidden"));
    assert_eq!(refused.header("RateLimit"), Some("\"key\";r=2;t=1"));
    for _ in 0..2 {
        assert_eq!(create().refusal(), (403, "forbidden"));
    }
    assert_eq!(create().refusal(), (429, "rate_limited"));
    assert_eq!(rig.get("/v1/organizations", &reads, None).refusal(), (429, "rate_limited"));
}

#[test]
fn a_replay_gives_no_key_to_a_key_that_may_make_none() {
    let rig = Rig::new();
    let broker = rig.broker();
    let create = |key: &str, body: &Value| {
        let headers = [
            ("Authorization".to_owned(), format!("Bearer {key}")),
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Idempotency-Key".to_owned(), "guessed".to_owned()),
        ];
        rig.call("POST", KEYS, &headers, body.to_string().as_bytes())
    };
    let weak = rig.post(KEYS, &broker.key, None, &json!({"name": "w", "scopes": ["write"]}));
    let strong = json!({"name": "strong"});
    let made = create(&broker.key, &strong);
    assert_eq!(create(&broker.key, &strong).body, made.body, "its maker is answered again");

    assert_eq!(create(weak.text("/key"), &strong).refusal(), (403, "forbidden"));
}

/// A key that the broker creates, with what it answers.
fn created(rig: &Rig, key: &str, body: &Value) -> (String, String, Value) {
    let made = rig.post(KEYS, key, None, body);
    assert_eq!(made.status, 200, "{made:?}");
    (made.text("/id").to_owned(), made.text("/key").to_owned(), made.body["expiresAt"].clone())
}

fn id_of(rig: &Rig, key: &str) -> String {
    let list = rig.get(KEYS, key, None);
    assert_eq!(list.body["data"].as_array().unwrap().len(), 1);
    list.text("/data/0/id").to_owned()
}

fn rotated(rig: &Rig, key: &str, id: &str, overlap_s: u32) -> (String, Value) {
    let body = json!({"overlapSeconds": overlap_s});
    let made = rig.post(&format!("{KEYS}/{id}/rotate"), key, None, &body);
    assert_eq!(made.status, 200, "{made:?}");
    (made.text("/key").to_owned(), made.body["expiresAt"].clone())
}

const IN_A_DAY: &str = "2026-01-03T03:04:05.000Z";

#[test]
fn a_key_creates_no_key_that_outlives_it() {
    let rig = Rig::new();
    let broker = rig.broker();
    let body = json!({"name": "short", "expiresAt": IN_A_DAY});
    let (_, short, _) = created(&rig, &broker.key, &body);

    let (_, unasked, end) = created(&rig, &short, &json!({"name": "k"}));
    assert_eq!(end, IN_A_DAY, "without a wish it ends with its maker");
    let same = json!({"name": "k", "expiresAt": IN_A_DAY});
    assert_eq!(created(&rig, &short, &same).2, IN_A_DAY);
    let earlier = json!({"name": "k", "expiresAt": "2026-01-02T04:00:00.000Z"});
    assert_eq!(created(&rig, &short, &earlier).2, "2026-01-02T04:00:00.000Z");
    let later = json!({"name": "k", "expiresAt": "2026-01-03T03:04:05.001Z"});
    let refused = rig.post(KEYS, &short, None, &later);
    assert_eq!(refused.refusal(), (400, "validation_error"));
    assert!(refused.text("/error/message").contains(IN_A_DAY), "{refused:?}");

    rig.advance(DAY_MS);
    for key in [&short, &unasked] {
        assert_eq!(rig.get(KEYS, key, None).refusal(), (401, "invalid_api_key"));
    }
    assert_eq!(rig.get(KEYS, &broker.key, None).status, 200);
}

#[test]
fn no_rotation_gives_a_key_a_longer_life() {
    let rig = Rig::new();
    let broker = rig.broker();
    let body = json!({"name": "short", "expiresAt": IN_A_DAY});
    let (short_id, short, _) = created(&rig, &broker.key, &body);
    let (endless_id, _, end) = created(&rig, &broker.key, &json!({"name": "endless"}));
    assert_eq!(end, Value::Null);

    assert_eq!(rotated(&rig, &short, &endless_id, 60).1, IN_A_DAY, "no later than who asks");
    assert_eq!(rotated(&rig, &broker.key, &short_id, 86_400).1, IN_A_DAY, "nor than the old one");
    assert_eq!(rotated(&rig, &short, &short_id, 60).1, IN_A_DAY, "not even by itself");

    rig.advance(DAY_MS);
    let keys = rig.get(KEYS, &broker.key, None);
    let lives = |it: &&Value| {
        it["revokedAt"].is_null()
            && it["expiresAt"].as_str().is_none_or(|end| *end > *"2026-01-03T03:04:05.000Z")
    };
    assert_eq!(keys.body["data"].as_array().unwrap().iter().filter(lives).count(), 1);
}

#[test]
fn a_rotation_does_not_shorten_the_successor_and_the_overlap_lends_no_life() {
    let rig = Rig::new();
    let broker = rig.broker();
    let id = id_of(&rig, &broker.key);

    let (successor, end) = rotated(&rig, &broker.key, &id, 60);
    assert_eq!(end, Value::Null, "the old key would have had no end");

    // The old key works a minute on, and so does what it creates or rotates itself into then.
    let last = "2026-01-02T03:05:05.000Z";
    assert_eq!(created(&rig, &broker.key, &json!({"name": "late"})).2, last);
    assert_eq!(rotated(&rig, &broker.key, &id, 600).1, last);
    rig.advance(60_000);
    assert_eq!(rig.get(KEYS, &broker.key, None).refusal(), (401, "invalid_api_key"));
    let keys = rig.get(KEYS, &successor, None);
    let endless = |it: &&Value| it["expiresAt"].is_null();
    assert_eq!(keys.body["data"].as_array().unwrap().iter().filter(endless).count(), 1);
}

/// Which of these keys work.
fn working<'k>(rig: &Rig, keys: &[(&'k str, &String)]) -> Vec<&'k str> {
    let works = |key: &str| rig.get("/v1/organizations", key, None).status == 200;
    keys.iter().filter(|(_, key)| works(key)).map(|(name, _)| *name).collect()
}

#[test]
fn a_revocation_spares_what_the_key_created_unless_it_is_asked_for() {
    let rig = Rig::new();
    let broker = rig.broker();
    let (root_id, root, _) = created(&rig, &broker.key, &json!({"name": "root"}));
    let (child_id, child, _) = created(&rig, &root, &json!({"name": "child"}));
    let (_, grandchild, _) = created(&rig, &child, &json!({"name": "grandchild"}));
    let (successor, _) = rotated(&rig, &child, &child_id, 600);
    let (_, of_successor, _) = created(&rig, &successor, &json!({"name": "of the successor"}));
    let (_, sibling, _) = created(&rig, &broker.key, &json!({"name": "sibling"}));
    let all = [
        ("broker", &broker.key),
        ("root", &root),
        ("child", &child),
        ("grandchild", &grandchild),
        ("successor", &successor),
        ("of the successor", &of_successor),
        ("sibling", &sibling),
    ];
    let revoke =
        |body: &Value| rig.post(&format!("{KEYS}/{root_id}/revoke"), &broker.key, None, body);

    let alone = revoke(&json!({"withDescendants": false}));
    assert_eq!(alone.status, 200, "{alone:?}");
    assert!(alone.body.get("revokedDescendants").is_none());
    assert_eq!(
        working(&rig, &all),
        ["broker", "child", "grandchild", "successor", "of the successor", "sibling"]
    );

    // One that is revoked already still leads to its descendants.
    let family = revoke(&json!({"withDescendants": true}));
    assert_eq!(family.body["revokedDescendants"], 4);
    assert_eq!(family.body["revokedAt"], alone.body["revokedAt"]);
    assert_eq!(working(&rig, &all), ["broker", "sibling"]);
    assert_eq!(revoke(&json!({"withDescendants": true})).body["revokedDescendants"], 0);
    assert_eq!(revoke(&json!({"withDescendants": "yes"})).refusal(), (400, "validation_error"));
}

#[test]
fn a_key_may_revoke_itself_with_its_family_and_is_answered() {
    let rig = Rig::new();
    let broker = rig.broker();
    let (id, key, _) = created(&rig, &broker.key, &json!({"name": "root"}));
    let (_, child, _) = created(&rig, &key, &json!({"name": "child"}));

    let body = json!({"withDescendants": true});
    let revoked = rig.post(&format!("{KEYS}/{id}/revoke"), &key, None, &body);

    assert_eq!((revoked.status, &revoked.body["revokedDescendants"]), (200, &json!(1)));
    assert!(working(&rig, &[("root", &key), ("child", &child)]).is_empty());
}

#[test]
fn an_operators_keys_have_no_maker_and_a_family_never_crosses_to_another_organization() {
    let rig = Rig::new();
    let (broker, other) = (rig.broker(), rig.broker());
    let id = id_of(&rig, &broker.key);
    let list = rig.get(KEYS, &broker.key, None);
    assert_eq!(list.body["data"][0]["createdByKeyId"], Value::Null);

    let (child_id, ..) = created(&rig, &broker.key, &json!({"name": "child"}));

    let list = rig.get(KEYS, &broker.key, None);
    let child = list.body["data"].as_array().unwrap().iter().find(|it| it["id"] == *child_id);
    assert_eq!(child.unwrap()["createdByKeyId"], *id);
    let body = json!({"withDescendants": true});
    let foreign = rig.post(&format!("{KEYS}/{id}/revoke"), &other.key, None, &body);
    assert_eq!(foreign.refusal(), (404, "api_key_not_found"));
    assert_eq!(rig.get(KEYS, &broker.key, None).status, 200);
}

#[test]
fn an_operator_revokes_a_key_with_its_descendants_and_sees_who_created_which() {
    let rig = Rig::new();
    let broker = rig.broker();
    let (root_id, root, _) = created(&rig, &broker.key, &json!({"name": "root"}));
    let (child_id, child, _) = created(&rig, &root, &json!({"name": "child"}));
    let (_, grandchild, _) = created(&rig, &child, &json!({"name": "grandchild"}));
    let (lone_id, lone, _) = created(&rig, &broker.key, &json!({"name": "lone"}));
    let all = [("root", &root), ("child", &child), ("grandchild", &grandchild), ("lone", &lone)];
    let register = rig.directory.file("register.db");
    let shell = Shell::new().with(&[("COUNTERSIGN_DATABASE", register.to_str().unwrap())]);

    let list = shell.run(&["key", "list"]).ok();
    let row = list.lines().find(|it| it.starts_with(&child_id)).unwrap();
    assert!(list.contains("CREATED BY") && row.contains(&root_id), "{list}");

    let spared = shell.run(&["key", "revoke", &root_id]).ok();
    assert_eq!(spared, format!("{root_id} is revoked"));
    assert_eq!(working(&rig, &all), ["child", "grandchild", "lone"]);
    let family = shell.run(&["key", "revoke", &root_id, "--with-descendants"]).ok();
    assert_eq!(family, format!("{root_id} is revoked, and 2 keys that came of it"));
    assert_eq!(working(&rig, &all), ["lone"]);
    let alone = shell.json(&["key", "revoke", &lone_id, "--with-descendants"]);
    assert_eq!((&alone["id"], &alone["revokedDescendants"]), (&json!(lone_id), &json!(0)));
    assert_eq!(shell.run(&["key", "revoke", "key_no", "--with-descendants"]).code, 3);
}
