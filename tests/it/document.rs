//! The OpenAPI document as a judge: every answer that a test sees is held against it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use countersign::api::OPENAPI;

/// Headers of the message, not of the contract. Content-Type is checked by its own rule.
const OF_THE_MESSAGE: [&str; 7] = [
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "transfer-encoding",
    "x-content-type-options",
];

/// What is everybody's, and may be kept by a cache.
const PUBLIC: [&str; 3] = ["/openapi.json", "/docs", "/docs.css"];

/// What may be answered on any path, documented in words and on no operation: what is no acceptable
/// HTTP message, and paths that do not exist.
const ANYWHERE: [(u16, &str); 7] = [
    (400, "validation_error"),
    (408, "request_timeout"),
    (414, "validation_error"),
    (417, "validation_error"),
    (431, "validation_error"),
    (501, "validation_error"),
    (505, "validation_error"),
];

/// What a path that is not in the document may answer, whatever key a request bears.
const NOWHERE: [(u16, &str); 2] = [(400, "validation_error"), (404, "not_found")];

/// The pages for customers are HTML for people, and no part of the contract for programs.
const PAGES: &str = "/h/";

pub(crate) const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(OPENAPI).unwrap());

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(read);
static ERROR: LazyLock<Validator> =
    LazyLock::new(|| validator(&json!({"$ref": "#/components/schemas/Error"})));
static METHOD_NOT_ALLOWED: LazyLock<Known> =
    LazyLock::new(|| known(&json!({"$ref": "#/components/responses/MethodNotAllowed"})));

/// One documented operation.
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) it: &'static Value,
    answers: BTreeMap<u16, Known>,
}

/// One documented answer, ready to be compared.
struct Known {
    headers: Vec<(String, bool, &'static Value, Validator)>,
    bodies: BTreeMap<String, Validator>,
}

/// An answer as it came.
pub(crate) struct Seen<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) status: u16,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: &'a str,
}

/// All documented operations.
pub(crate) fn operations() -> &'static [Operation] {
    &OPERATIONS
}

/// The documented operations of the path that a target means; the one with the fewest parameters.
fn on_path(target: &str) -> Vec<&'static Operation> {
    let path = target.split('?').next().unwrap_or(target);
    let segments: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == segments.len()
            && template.iter().zip(&segments).all(|(it, at)| it.starts_with('{') || it == at)
    };
    let mut fitting: Vec<&Operation> = OPERATIONS.iter().filter(|it| fits(&it.path)).collect();
    let fewest = fitting.iter().map(|it| it.path.matches('{').count()).min();
    fitting.retain(|it| Some(it.path.matches('{').count()) == fewest);
    fitting
}

/// Fails the test if the document does not say that this may be answered, or if a cache may keep it.
pub(crate) fn check_on_the_wire(seen: &Seen<'_>) {
    check(seen);
    if !seen.target.starts_with(PAGES) {
        is_kept_by_nobody(seen);
    }
}

/// As [`check_on_the_wire`], before the connection adds what every answer says.
pub(crate) fn check(seen: &Seen<'_>) {
    if seen.target.starts_with(PAGES) {
        return;
    }
    let told = format!(
        "{} {} answered {} {:?}\n{}",
        seen.method, seen.target, seen.status, seen.headers, seen.body
    );
    let operations = on_path(seen.target);
    let method = if seen.method == "HEAD" { "GET" } else { seen.method };
    if operations.is_empty() {
        return is_error(seen, &NOWHERE, &told);
    }
    let Some(operation) = operations.iter().find(|it| it.method == method) else {
        if seen.status == 405 {
            METHOD_NOT_ALLOWED.check(seen, &told);
            return assert_eq!(header(seen, "Allow"), Some(allow(&operations).as_str()), "{told}");
        }
        return is_error(seen, &NOWHERE, &told);
    };
    match operation.answers.get(&seen.status) {
        Some(known) => known.check(seen, &told),
        None => is_error(seen, &ANYWHERE, &told),
    }
}

/// An answer that can hold a secret or personal data stays in no cache, whatever its status.
fn is_kept_by_nobody(seen: &Seen<'_>) {
    let told =
        format!("{} {} answered {} {:?}", seen.method, seen.target, seen.status, seen.headers);
    assert_eq!(header(seen, "X-Content-Type-Options"), Some("nosniff"), "{told}");
    let is_public = PUBLIC.contains(&seen.target) && matches!(seen.status, 200 | 304);
    let expected = if is_public { "no-cache" } else { "no-store" };
    assert_eq!(header(seen, "Cache-Control"), Some(expected), "{told}");
}

/// The methods of a path as `Allow` tells them.
pub(crate) fn allow(operations: &[&Operation]) -> String {
    let mut methods = Vec::new();
    for method in METHODS {
        if operations.iter().any(|it| it.method == method) {
            methods.push(method);
            methods.extend((method == "GET").then_some("HEAD"));
        }
    }
    methods.join(", ")
}

fn is_error(seen: &Seen<'_>, allowed: &[(u16, &str)], told: &str) {
    if seen.method == "HEAD" {
        return assert!(allowed.iter().any(|(status, _)| *status == seen.status), "{told}");
    }
    let body: Value = serde_json::from_str(seen.body).unwrap_or_default();
    let code = body["error"]["code"].as_str().unwrap_or_default();
    assert!(allowed.contains(&(seen.status, code)), "not in the document: {told}");
    valid(&ERROR, &body, told);
}

fn header<'a>(seen: &'a Seen<'_>, name: &str) -> Option<&'a str> {
    seen.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, it)| it.as_str())
}

impl Known {
    fn check(&self, seen: &Seen<'_>, told: &str) {
        for (name, is_required, schema, validator) in &self.headers {
            let Some(value) = header(seen, name) else {
                assert!(!is_required, "the header {name} is missing: {told}");
                continue;
            };
            let value = match schema["type"].as_str() {
                Some("integer") => json!(value.parse::<u64>().ok()),
                _ => json!(value),
            };
            valid(validator, &value, &format!("header {name}: {told}"));
        }
        for (name, _) in seen.headers {
            let name = name.to_ascii_lowercase();
            assert!(
                OF_THE_MESSAGE.contains(&name.as_str())
                    || self.headers.iter().any(|(it, ..)| it.eq_ignore_ascii_case(&name)),
                "the header {name} is not in the document: {told}"
            );
        }
        self.check_body(seen, told);
    }

    fn check_body(&self, seen: &Seen<'_>, told: &str) {
        let kind = header(seen, "Content-Type").map(|it| it.split(';').next().unwrap_or(it));
        if self.bodies.is_empty() {
            assert!(seen.body.is_empty() && kind.is_none(), "there is no body: {told}");
            return;
        }
        let validator = kind.and_then(|it| self.bodies.get(it));
        let validator = validator.unwrap_or_else(|| panic!("another content type: {told}"));
        if seen.method == "HEAD" {
            return assert!(seen.body.is_empty(), "{told}");
        }
        let body = match kind {
            Some("application/json") => {
                serde_json::from_str(seen.body).unwrap_or_else(|it| panic!("{it}: {told}"))
            }
            _ => json!(seen.body),
        };
        valid(validator, &body, told);
    }
}

fn valid(validator: &Validator, value: &Value, told: &str) {
    let errors: Vec<String> =
        validator.iter_errors(value).map(|it| format!("{}: {it}", it.instance_path())).collect();
    assert!(errors.is_empty(), "not as documented: {}\n{told}", errors.join("\n"));
}

/// A reference followed, or the value itself.
pub(crate) fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(path) => DOCUMENT.pointer(path.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// References inside a schema are looked up in the document's components.
fn validator(schema: &Value) -> Validator {
    let mut schema = schema.clone();
    schema["components"] = json!({"schemas": DOCUMENT["components"]["schemas"]});
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

fn read() -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, it) in item.as_object().unwrap() {
            let answers = it["responses"].as_object().unwrap().iter();
            operations.push(Operation {
                id: it["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                it,
                answers: answers.map(|(it, to)| (it.parse().unwrap(), known(to))).collect(),
            });
        }
    }
    operations
}

fn known(answer: &Value) -> Known {
    let answer = match answer["$ref"].as_str() {
        Some(path) => DOCUMENT.pointer(path.trim_start_matches('#')).unwrap(),
        None => answer,
    };
    let none = serde_json::Map::new();
    let headers = answer["headers"].as_object().unwrap_or(&none).iter().map(|(name, _)| {
        let pointer = format!("/components/headers/{name}");
        let own = &answer["headers"][name];
        let it = if own["$ref"].is_string() { DOCUMENT.pointer(&pointer).unwrap() } else { own };
        let schema: &'static Value = Box::leak(Box::new(it["schema"].clone()));
        (name.clone(), it["required"] == true, schema, validator(schema))
    });
    let bodies = answer["content"].as_object().unwrap_or(&none).iter();
    Known {
        headers: headers.collect(),
        bodies: bodies.map(|(kind, it)| (kind.clone(), validator(&it["schema"]))).collect(),
    }
}

/// Every schema and parameter that a request example must fit.
pub(crate) fn fits_schema(schema: &Value, value: &Value, told: &str) {
    valid(&validator(schema), value, told);
}
