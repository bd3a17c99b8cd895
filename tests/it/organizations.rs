//! `/v1/organizations`, keys, the error table and the order of checks.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::document::operations;
use crate::rig::{Answer, Rig, Setup};
use countersign::domain::environment::Environment;
use countersign::domain::organization::OrganizationId;
use countersign::usecase::keys::{Reach, revoke_key};
use countersign::usecase::nothing_else;

/// Creates an organization with this text as its metadata; answers the answers of create and GET.
fn with_metadata(rig: &Rig, metadata: &str) -> (Answer, Option<Answer>) {
    let broker = rig.broker();
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let body = format!(r#"{{"name":"A","type":"BUSINESS","metadata":{metadata}}}"#);
    let created = rig.call("POST", "/v1/organizations", &headers, body.as_bytes());
    let shown = (created.status == 200).then(|| {
        let key = rig.key_of(created.text("/organizationId"));
        rig.get("/v1/organizations", &key, None)
    });
    (created, shown)
}

#[test]
fn metadata_comes_back_digit_for_digit() {
    let rig = Rig::new();
    for number in ["12345678901234567890123", "18446744073709551616", "1.10", "1e40", "-0"] {
        let metadata = format!(r#"{{"n":{number},"a":[{{"n":{number}}}]}}"#);

        let (created, shown) = with_metadata(&rig, &metadata);

        for answer in [created, shown.unwrap()] {
            assert!(answer.text.contains(&format!(r#""metadata":{metadata}"#)), "{answer:?}");
        }
    }
}

#[test]
fn a_name_that_is_given_twice_is_refused_at_any_depth_and_named() {
    let rig = Rig::new();
    for (metadata, named) in [
        (r#"{"a":1,"a":2}"#, "`metadata.a`"),
        (r#"{"a":{"b":[{"c":1,"c":1}]}}"#, "`metadata.a.b.c`"),
        (r#"{},"name":"B""#, "`name`"),
        (r#"{},"metadata":{}"#, "`metadata`"),
    ] {
        let (refused, _) = with_metadata(&rig, metadata);

        assert_eq!(refused.refusal(), (400, "validation_error"), "{metadata}");
        let message = refused.text("/error/message");
        assert!(message.contains(named) && message.contains("twice"), "{message}");
    }
}

#[test]
fn metadata_is_nested_only_as_deep_as_readers_bear() {
    let rig = Rig::new();
    for depth in [32, 200, 10_000] {
        let metadata = format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));

        let (refused, _) = with_metadata(&rig, &metadata);

        assert_eq!(refused.refusal(), (400, "validation_error"), "{depth}");
        assert!(refused.text("/error/message").contains("32"), "{refused:?}");
    }
    let metadata = format!(r#"{{"a":{}{}}}"#, "[".repeat(31), "]".repeat(31));
    assert_eq!(with_metadata(&rig, &metadata).0.status, 200);
}

#[test]
fn a_name_that_an_older_rule_took_stays_readable() {
    let rig = Rig::new();
    let broker = rig.broker();
    rig.database().execute("UPDATE organization SET name = ?1", ["\u{200b}Acme\u{202e}"]).unwrap();

    let shown = rig.get("/v1/organizations", &broker.key, None);

    assert_eq!((shown.status, shown.text("/name")), (200, "\u{200b}Acme\u{202e}"));
}

#[test]
fn a_broker_creates_a_customer_with_a_verification_and_a_pending_loa_in_one_go() {
    let rig = Rig::new();
    let broker = rig.broker();

    let body =
        json!({"name": "  Acme Trading Co. ", "type": "BUSINESS", "metadata": {"crm": "42"}});
    let answer = rig.post("/v1/organizations", &broker.key, None, &body);

    assert_eq!(answer.status, 200);
    let id = answer.text("/organizationId").to_owned();
    assert!(
        id.len() == 36
            && id.starts_with("org_")
            && id[4..].bytes().all(|it| it.is_ascii_hexdigit())
    );
    assert_eq!(
        answer.body,
        json!({
            "object": "organization", "organizationId": id, "name": "Acme Trading Co.",
            "type": "BUSINESS", "verificationStatus": "NOT_STARTED",
            "createdByOrganizationId": broker.id, "metadata": {"crm": "42"},
            "createdAt": "2026-01-02T03:04:05.000Z", "updatedAt": "2026-01-02T03:04:05.000Z",
        })
    );
    let list = rig.get("/v1/authorizations", &broker.key, None);
    assert_eq!(
        list.body,
        json!({"object": "list", "hasMore": false, "nextCursor": null, "data": [{
            "object": "authorization", "grantingOrganizationId": id,
            "authorizedOrganizationId": broker.id, "type": "LOA", "status": "PENDING",
            "signedAt": null, "revokedAt": null, "revokedReason": null,
            "createdAt": "2026-01-02T03:04:05.000Z", "updatedAt": "2026-01-02T03:04:05.000Z",
        }]})
    );
}

#[test]
fn the_header_is_ignored_when_creating_so_there_are_no_grandchildren() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");

    let body = json!({"name": "Child", "type": "INDIVIDUAL"});
    let answer = rig.post("/v1/organizations", &broker.key, Some(&customer), &body);

    assert_eq!(answer.status, 200);
    assert_eq!(answer.text("/createdByOrganizationId"), broker.id);
    assert_eq!(answer.body["metadata"], json!({}));
}

#[test]
fn get_organizations_answers_the_one_in_scope() {
    let rig = Rig::new();
    let broker = rig.broker();

    let own = rig.get("/v1/organizations", &broker.key, None);
    let same = rig.get("/v1/organizations", &broker.key, Some(&broker.id));

    assert_eq!(own.text("/organizationId"), broker.id);
    assert_eq!(own.body["createdByOrganizationId"], Value::Null);
    assert_eq!(own.body, same.body);
}

#[test]
fn a_body_that_breaks_a_rule_is_refused_with_the_fields_name() {
    let rig = Rig::new();
    let broker = rig.broker();
    let long = "x".repeat(201);
    let many: Value =
        (0..51).map(|it| (it.to_string(), json!(1))).collect::<serde_json::Map<_, _>>().into();
    for (body, named) in [
        (json!({"type": "BUSINESS"}), "name"),
        (json!({"name": "A"}), "type"),
        (json!({"name": 1, "type": "BUSINESS"}), "name"),
        (json!({"name": " ", "type": "BUSINESS"}), "name"),
        (json!({"name": long, "type": "BUSINESS"}), "name"),
        (json!({"name": "a\u{7}b", "type": "BUSINESS"}), "name"),
        (json!({"name": "A", "type": "business"}), "type"),
        (json!({"name": "A", "type": "BUSINESS", "metadata": []}), "metadata"),
        (json!({"name": "A", "type": "BUSINESS", "metadata": many}), "metadata"),
        (json!({"name": "A", "type": "BUSINESS", "metadata": {"a": "x".repeat(4096)}}), "metadata"),
        (json!({"name": "A", "type": "BUSINESS", "surprise": 1}), "surprise"),
        (json!([]), "object"),
    ] {
        let answer = rig.post("/v1/organizations", &broker.key, None, &body);

        assert_eq!(answer.refusal(), (400, "validation_error"), "{body}");
        assert!(answer.text("/error/message").contains(named), "{body}: {answer:?}");
    }
    let list = rig.get("/v1/authorizations", &broker.key, None);
    assert_eq!(list.body["data"], json!([]), "nothing of a refused request is kept");
}

#[test]
fn malformed_json_and_other_media_types_are_told_apart() {
    let rig = Rig::new();
    let broker = rig.broker();
    let headers = |media: &str| {
        vec![
            ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
            ("Content-Type".to_owned(), media.to_owned()),
        ]
    };
    let call =
        |media: &str, body: &[u8]| rig.call("POST", "/v1/organizations", &headers(media), body);

    assert_eq!(call("application/json", b"{\"name\":").refusal(), (400, "validation_error"));
    assert_eq!(call("application/json", b"").refusal(), (400, "validation_error"));
    assert_eq!(
        call("application/json", b"{\"name\":\"A\",\"name\":\"B\"}").refusal(),
        (400, "validation_error")
    );
    assert_eq!(call("text/plain", b"{}").refusal(), (415, "unsupported_media_type"));
    assert_eq!(
        call("application/json", &vec![b' '; 64 * 1024 + 1]).refusal(),
        (413, "payload_too_large")
    );
    assert_eq!(
        call("Application/JSON; charset=utf-8", b"{\"name\":\"A\",\"type\":\"INDIVIDUAL\"}").status,
        200
    );
}

#[test]
fn a_missing_wrong_revoked_or_foreign_key_is_refused() {
    let rig = Rig::new();
    let broker = rig.broker();
    let path = "/v1/organizations/verification";
    let with = |value: Option<&str>| {
        let headers: Vec<_> =
            value.map(|it| ("Authorization".to_owned(), it.to_owned())).into_iter().collect();
        rig.call("GET", path, &headers, b"")
    };

    assert_eq!(with(None).refusal(), (401, "missing_api_key"));
    assert_eq!(with(None).header("WWW-Authenticate"), Some("Bearer"));
    for wrong in [
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer nxos_sk_test_",
        &format!("Bearer {}x", broker.key),
        &format!("Bearer {}", broker.key.replace("_test_", "_live_")),
        &format!("Bearer nxos_sk_test_{}", "a".repeat(5000)),
    ] {
        assert_eq!(with(Some(wrong)).refusal(), (401, "invalid_api_key"), "{wrong}");
    }
    let doubled = vec![("Authorization".to_owned(), format!("Bearer {}", broker.key)); 2];
    assert_eq!(rig.call("GET", path, &doubled, b"").refusal(), (401, "invalid_api_key"));
    assert_eq!(with(Some(&format!("bearer {}", broker.key))).status, 200);

    let second = rig.key_of(&broker.id);
    let id = OrganizationId::new(broker.id.as_str());
    let keys = rig.appliance.store.read(|it| it.api_keys(Some(&id))).unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let revoke =
            || revoke_key(&rig.appliance, None, &key.id, Reach::ThisKey, nothing_else()).unwrap();
        assert!(!revoke().before);
        assert!(revoke().before);
    }
    for key in [&broker.key, &second] {
        assert_eq!(rig.get(path, key, None).refusal(), (401, "invalid_api_key"));
    }
}

#[test]
fn a_live_register_takes_live_keys_only() {
    let rig = Rig::with(Setup { environment: Environment::Live, ..Setup::default() });
    let broker = rig.broker();

    assert!(broker.key.starts_with("nxos_sk_live_"));
    assert_eq!(rig.get("/v1/organizations", &broker.key, None).status, 200);
    let test_key = broker.key.replace("_live_", "_test_");
    assert_eq!(rig.get("/v1/organizations", &test_key, None).refusal(), (401, "invalid_api_key"));
}

#[test]
fn checks_run_in_the_contracts_order() {
    let rig = Rig::new();
    let (broker, stranger) = (rig.broker(), rig.broker());
    let customer = rig.customer(&broker, "BUSINESS");
    let import = "/v1/organizations/verification/import";
    let bad_body = json!({"nonsense": true});

    // Key before the header's organization, before the LOA, before the body, before the type.
    assert_eq!(
        rig.post(import, "nxos_sk_test_no", Some("org_none"), &bad_body).refusal(),
        (401, "invalid_api_key")
    );
    assert_eq!(
        rig.post(import, &broker.key, Some("org_none"), &bad_body).refusal(),
        (404, "organization_not_found")
    );
    assert_eq!(
        rig.post(import, &stranger.key, Some(&customer), &bad_body).refusal(),
        (403, "authorization_required")
    );
    rig.sign(&customer, &broker.id);
    assert_eq!(
        rig.post(import, &broker.key, Some(&customer), &bad_body).refusal(),
        (400, "validation_error")
    );
    assert_eq!(
        rig.post(import, &broker.key, Some(&customer), &json!({"shareToken": "t"})).refusal(),
        (400, "verification_import_unsupported")
    );
}

#[test]
fn the_header_twice_counts_only_if_it_says_the_same() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    let twice = |first: &str, second: &str, key: &str| {
        let headers = [
            ("Authorization".to_owned(), format!("Bearer {key}")),
            ("Nxos-On-Behalf-Of".to_owned(), first.to_owned()),
            ("Nxos-On-Behalf-Of".to_owned(), second.to_owned()),
        ];
        rig.call("GET", "/v1/organizations/verification", &headers, b"")
    };

    assert_eq!(twice(&customer, &customer, &broker.key).status, 200);
    assert_eq!(twice(&customer, &broker.id, &broker.key).refusal(), (400, "validation_error"));
    assert_eq!(twice(&customer, &broker.id, "nope").refusal(), (401, "invalid_api_key"));
}

#[test]
fn ids_are_opaque_and_simply_not_found() {
    let rig = Rig::new();
    let broker = rig.broker();
    for id in ["org_1", "' OR 1=1 --", "%00", "ORG_", "_", &"9".repeat(900)] {
        assert_eq!(
            rig.get("/v1/organizations/verification", &broker.key, Some(id)).refusal(),
            (404, "organization_not_found"),
            "{id}"
        );
    }
}

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    let rig = Rig::new();
    for path in [
        "/",
        "/v1",
        "/v1/organizations/",
        "/v1/organizations/x",
        "/v2/organizations",
        "//v1/organizations",
    ] {
        assert_eq!(rig.call("GET", path, &[], b"").refusal(), (404, "not_found"), "{path}");
    }
    for (method, path, allowed) in [
        ("DELETE", "/v1/organizations", "GET, HEAD, POST"),
        ("PUT", "/v1/organizations/verification", "GET, HEAD, POST"),
        ("GET", "/v1/organizations/verification/import", "POST"),
        ("PATCH", "/v1/authorizations", "GET, HEAD, POST"),
        ("GET", "/v1/authorizations/revoke", "POST"),
        ("GET", "/webhooks/sumsub", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/v1/organizations", "GET, HEAD, POST"),
        ("QUERY", "/v1/organizations", "GET, HEAD, POST"),
    ] {
        let answer = rig.call(method, path, &[], b"");
        assert_eq!(answer.refusal(), (405, "method_not_allowed"), "{method} {path}");
        assert_eq!(answer.header("Allow"), Some(allowed));
    }
}

#[test]
fn every_answer_has_its_own_request_id() {
    let rig = Rig::new();
    let broker = rig.broker();
    let key = [("Authorization".to_owned(), format!("Bearer {}", broker.key))];
    let mut ids = BTreeSet::new();
    for operation in operations() {
        let path = operation.path.replace(['{', '}'], "");
        for (method, headers) in [(&*operation.method, &key[..]), ("PUT", &key), ("GET", &[])] {
            let answer = rig.call(method, &path, headers, b"");
            let id = answer.header("X-Request-Id").unwrap().to_owned();
            assert!(id.starts_with("req_"), "{method} {path}: {id}");
            assert!(ids.insert(id), "{method} {path}");
        }
    }
    assert!(ids.len() > operations().len());
}

#[test]
fn readyz_says_that_the_register_is_writable_and_tells_strangers_nothing_else_of_us() {
    let rig = Rig::new();
    rig.call(
        "POST",
        "/webhooks/sumsub",
        &[("X-Payload-Digest".to_owned(), "00".to_owned())],
        b"{}",
    );

    let answer = rig.call("GET", "/readyz", &[], b"");

    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        json!({"status": "ready", "database": "writable", "provider": {"lastContactAt": null},
            "clock": "unknown", "webhookKey": "fits"})
    );
}
