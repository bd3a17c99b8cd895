//! The OpenAPI document is what the server does: every route is in it and nothing else, and its
//! examples are played against a running server.

mod scenes;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::document::{DOCUMENT, METHODS, Operation, allow, fits_schema, operations, resolved};
use crate::rig::Rig;
use countersign::api::OPENAPI;

/// Where the code's routes are, and what stands before the segments that it names.
const ROUTERS: [(&str, &str); 2] = [("route", ""), ("route_endpoints", "/v1/webhooks/endpoints")];

/// Routes as `METHOD /path`, every parameter as `{}`.
fn routes_of_the_code() -> BTreeSet<String> {
    let source = include_str!("../../src/api/mod.rs");
    let mut found = BTreeSet::new();
    let mut prefix = None;
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap();
            prefix = ROUTERS.iter().find(|(it, _)| *it == name).map(|(_, it)| *it);
        }
        let Some(prefix) = prefix else { continue };
        let Some(rest) = line.trim_start().strip_prefix("(\"") else { continue };
        let (method, rest) = rest.split_once("\", [").expect("a route is a method and segments");
        let (segments, _) = rest.split_once("])").expect("a route ends on its line");
        let path: String = segments
            .split(", ")
            .filter(|it| !it.is_empty())
            .map(|it| match it.strip_prefix('"') {
                Some(word) => format!("/{}", word.trim_end_matches('"')),
                None => "/{}".to_owned(),
            })
            .collect();
        found.insert(format!("{method} {prefix}{path}"));
    }
    found
}

fn shape(operation: &Operation) -> String {
    let path: Vec<&str> =
        operation.path.split('/').map(|it| if it.starts_with('{') { "{}" } else { it }).collect();
    format!("{} {}", operation.method, path.join("/"))
}

#[test]
fn the_codes_routes_are_the_documents_operations() {
    let documented: BTreeSet<String> = operations().iter().map(shape).collect();

    assert_eq!(routes_of_the_code(), documented);
}

#[test]
fn a_path_answers_to_its_documented_methods_and_to_no_other() {
    let rig = Rig::new();
    let paths: BTreeSet<&str> = operations().iter().map(|it| it.path.as_str()).collect();
    for path in paths {
        let here: Vec<&Operation> = operations().iter().filter(|it| it.path == path).collect();
        let target = path.replace(['{', '}'], "");
        for method in METHODS {
            let answer = rig.call(method, &target, &[], b"");
            if here.iter().any(|it| it.method == method) {
                assert!(![404, 405].contains(&answer.status), "{method} {path}: {answer:?}");
            } else {
                assert_eq!(answer.refusal(), (405, "method_not_allowed"), "{method} {path}");
                assert_eq!(answer.header("Allow"), Some(allow(&here).as_str()), "{path}");
            }
        }
    }
}

#[test]
fn a_query_parameter_that_is_not_known_is_refused_on_every_route_and_not_passed_over() {
    let rig = Rig::new();
    let broker = rig.broker();
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    for operation in operations().iter().filter(|it| it.path.starts_with("/v1/")) {
        let target = format!("{}?organizationId=org_x", operation.path.replace(['{', '}'], ""));
        let refused = rig.call(&operation.method, &target, &headers, b"{}");
        assert_eq!(refused.refusal(), (400, "validation_error"), "{}", operation.id);
        assert!(refused.text("/error/message").contains("query parameter"), "{refused:?}");
        let anonymous = rig.call(&operation.method, &target, &[], b"{}");
        assert_eq!(anonymous.refusal(), (401, "missing_api_key"), "{}", operation.id);
    }
}

#[test]
fn the_document_is_served_with_an_etag_and_the_page_is_whole() {
    let rig = Rig::new();

    let document = rig.call("GET", "/openapi.json", &[], b"");
    let etag = document.header("ETag").unwrap().to_owned();
    let known = ("If-None-Match".to_owned(), etag.clone());

    assert_eq!((document.status, &document.body), (200, &*DOCUMENT));
    assert_eq!(rig.call("GET", "/openapi.json", &[known], b"").status, 304);
    assert_eq!(rig.call("HEAD", "/openapi.json", &[], b"").header("ETag"), Some(etag.as_str()));
    let page = rig.call("GET", "/docs", &[], b"");
    assert!(page.header("Content-Security-Policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(rig.call("GET", "/docs.css", &[], b"").status, 200);
}

#[test]
fn every_example_of_the_document_fits_its_schema() {
    for operation in operations() {
        let mut media: Vec<(String, &'static Value)> = Vec::new();
        for (status, answer) in operation.it["responses"].as_object().unwrap() {
            media.push((status.clone(), &resolved(answer)["content"]));
        }
        media.push(("request".to_owned(), &operation.it["requestBody"]["content"]));
        for (place, content) in media {
            for (_, media) in content.as_object().into_iter().flatten() {
                let examples = media["examples"].as_object();
                let place = format!("{} {place}", operation.id);
                assert!(examples.is_some_and(|it| !it.is_empty()), "{place} has no example");
                for (name, example) in examples.unwrap() {
                    let value = &resolved(example)["value"];
                    fits_schema(&media["schema"], value, &format!("{place} {name}"));
                }
            }
        }
    }
}

/// Every code that the server can write is in the document, and none besides.
#[test]
fn the_documents_error_codes_are_the_codes_of_the_table() {
    let documented: BTreeSet<&str> = DOCUMENT["components"]["schemas"]["Error"]["properties"]
        ["error"]["properties"]["code"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    let source = include_str!("../../src/api/error.rs");
    let is_code =
        |it: &&str| it.contains('_') && it.chars().all(|it| it.is_ascii_lowercase() || it == '_');
    let written: BTreeSet<&str> = source
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(is_code)
        .filter(|it| *it != "snake_case")
        .collect();
    let forbidden = BTreeSet::from(["forbidden"]);

    assert_eq!(written.union(&forbidden).copied().collect::<BTreeSet<_>>(), documented);
    assert!(OPENAPI.ends_with("}\n"));
}
