//! Keys with scopes, expiry and rotation; rate limits per key and per address.

use serde_json::{Value, json};

use crate::rig::{DAY_MS, Rig, Setup};
use countersign::api::{ApiSettings, RateLimits};
use countersign::http::client_address::TrustedProxies;

const KEYS: &str = "/v1/api-keys";

#[test]
fn keys_are_made_listed_and_revoked_over_http_and_shown_once() {
    let rig = Rig::new();
    let broker = rig.broker();

    let made = rig.post(KEYS, &broker.key, None, &json!({"name": "reports", "scopes": ["read"]}));

    assert_eq!(made.status, 200, "{made:?}");
    let (id, key) = (made.text("/id").to_owned(), made.text("/key").to_owned());
    assert_eq!(
        made.body,
        json!({"object": "api_key", "id": id, "name": "reports", "scopes": ["read"],
            "createdAt": "2026-01-02T03:04:05.000Z", "expiresAt": null, "lastUsedAt": null,
            "revokedAt": null, "key": key})
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
        trusted_proxies: TrustedProxies::parse("127.0.0.1").unwrap(),
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
    assert_eq!(served[0].header("RateLimit-Policy"), Some("\"key\";q=3;w=3"));
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
fn a_customer_that_does_not_exist_is_asked_for_no_more_often_than_others() {
    let rig = limited(RateLimits { requests_per_s: 1, burst: 2, wrong_keys_per_minute: 0 });
    let broker = rig.broker();
    let ask = || rig.get("/v1/organizations", &broker.key, Some("org_nobody"));

    assert_eq!(ask().refusal(), (404, "organization_not_found"));
    assert_eq!(ask().refusal(), (404, "organization_not_found"));
    assert_eq!(ask().refusal(), (429, "rate_limited"));
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
