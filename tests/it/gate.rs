//! The gate at the commit (contract 9.4): whoever loses its right while Sumsub is asked, or while its
//! write waits in the queue, gets nothing and changes nothing.

use std::sync::Arc;

use countersign::domain::letter::{LetterTemplate, STANDARD_LETTER};
use countersign::domain::organization::OrganizationId;
use countersign::usecase::authorizations::{By, request_authorization, revoke_authorization};
use countersign::usecase::handoff_links::list_links;
use countersign::usecase::reconcile::{Mode, Scope, reconcile};
use serde_json::{Value, json};

use crate::document::{Operation, operations};
use crate::idempotency::Things;
use crate::rig::{Answer, Broker, OPERATOR, Rig, Setup};
use crate::sumsub::{Meanwhile, World};

const IMPORT: &str = "/v1/organizations/verification/import";
const KEYS: &str = "/v1/api-keys";
const REUSE: &str = "/resources/api/reusableIdentity/reuse";
const TOKENS: &str = "/resources/accessTokens";

/// How a right ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    KeyRevoked,
    KeyExpired,
    LetterRevoked,
    /// And another one was issued, which is not signed.
    LetterRenewed,
}

impl End {
    fn refusal(self) -> (u16, &'static str) {
        match self {
            Self::KeyRevoked | Self::KeyExpired => (401, "invalid_api_key"),
            Self::LetterRevoked | Self::LetterRenewed => (403, "authorization_required"),
        }
    }

    /// What the register is told, by another process.
    fn sql(self) -> &'static str {
        match self {
            Self::KeyRevoked => "UPDATE api_key SET revoked_at_ms = 1 WHERE key_id = NEW.key_id;",
            Self::KeyExpired => "UPDATE api_key SET expires_at_ms = 1 WHERE key_id = NEW.key_id;",
            Self::LetterRevoked | Self::LetterRenewed => {
                "UPDATE authorization SET status = 'REVOKED', revoked_at_ms = 1;"
            }
        }
    }
}

/// Lets `sql` happen between the moment in which the gate lets a request in and the moment in which the
/// request writes. The use of a key is noted behind the gate, once a minute, and waits in the writer's
/// queue before the request's own writes.
fn in_the_queue(rig: &Rig, sql: &str) {
    rig.advance(61_000);
    // Notes of before must not be taken for this one.
    assert!(rig.appliance.store.is_writable().is_ok());
    let triggers = format!(
        "CREATE TRIGGER ahead_first AFTER INSERT ON api_key_use BEGIN {sql} END;
         CREATE TRIGGER ahead_again AFTER UPDATE ON api_key_use BEGIN {sql} END;"
    );
    rig.database().execute_batch(&triggers).unwrap();
}

/// Takes the end back, so that whatever else has changed is seen.
fn undo(rig: &Rig, end: End) {
    let back = match end {
        End::KeyRevoked | End::KeyExpired => {
            "UPDATE api_key SET revoked_at_ms = NULL, expires_at_ms = NULL"
        }
        End::LetterRevoked | End::LetterRenewed => {
            "UPDATE authorization SET status = 'ACTIVE', revoked_at_ms = NULL"
        }
    };
    let sql = format!("DROP TRIGGER ahead_first; DROP TRIGGER ahead_again; {back}");
    rig.database().execute_batch(&sql).unwrap();
}

fn refused_on(operation: &Operation, end: End) {
    let (things, id) = (Things::new(), operation.id.as_str());
    let rig = &things.world.rig;
    let body = things.body(operation);
    // Refusals of the gate are noted; and Sumsub has made a session's applicant before it is refused.
    let is_of = |row: &str, table: &str| row.starts_with(&format!("Text({:?}) ", table.as_bytes()));
    let rows = || -> Vec<String> {
        let is_kept = |row: &String| {
            let is_sumsubs = id == "startVerification" && is_of(row, "applicant");
            !is_of(row, "gate_refusal") && !is_sumsubs
        };
        things.rows().into_iter().filter(is_kept).collect()
    };
    let before = rows();
    in_the_queue(rig, end.sql());

    let answer = things.call(operation, &body);

    assert_eq!(answer.refusal(), end.refusal(), "{id} {end:?}");
    undo(rig, end);
    assert!(rows() == before, "{id} {end:?} changed something");
    let kept: i64 =
        rig.database().query_row("SELECT count(*) FROM idempotency", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0, "{id} {end:?} kept an answer");
    // The Idempotency-Key is free: what was refused can be asked for again.
    let again = things.call(operation, &body);
    assert_eq!(again.status, 200, "{id} {end:?}: {again:?}");
    assert_eq!(again.header("Idempotent-Replayed"), None, "{id} {end:?}");
}

#[test]
fn a_key_that_ends_while_its_request_waits_changes_nothing_on_any_route() {
    let writes = |it: &&Operation| it.method != "GET" && it.path.starts_with("/v1/");
    for operation in operations().iter().filter(writes) {
        for end in [End::KeyRevoked, End::KeyExpired] {
            refused_on(operation, end);
        }
    }
}

#[test]
fn a_letter_that_is_revoked_while_a_request_waits_changes_nothing_on_any_route_that_needs_it() {
    let mut count = 0;
    for operation in operations() {
        let acts = operation.it["parameters"].to_string().contains("OnBehalfOf");
        if operation.method != "GET" && acts {
            refused_on(operation, End::LetterRevoked);
            count += 1;
        }
    }
    assert_eq!(count, 2, "a session and an import");
}

#[test]
fn a_key_that_is_revoked_ahead_of_its_rotation_gets_no_successor() {
    let rig = Rig::new();
    let broker = rig.broker();
    let other = rig.post(KEYS, &broker.key, None, &json!({"name": "other"})).text("/id").to_owned();
    in_the_queue(&rig, &format!("UPDATE api_key SET revoked_at_ms = 1 WHERE key_id = '{other}';"));

    let path = format!("{KEYS}/{other}/rotate");
    let rotated = rig.post(&path, &broker.key, None, &json!({}));

    assert_eq!(rotated.refusal(), (404, "api_key_not_found"));
    let list = rig.get(KEYS, &broker.key, None);
    let keys = list.body["data"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    let other = keys.iter().find(|it| it["id"] == *other).unwrap();
    assert_eq!(other["revokedAt"], "1970-01-01T00:00:00.001Z", "it stays revoked");
}

/// A world, a broker and a customer whose letter is signed or not.
struct Stage {
    world: World,
    meanwhile: Meanwhile,
    broker: Broker,
    customer: String,
}

impl Stage {
    fn signed() -> Self {
        let stage = Self::unsigned();
        stage.rig().sign(&stage.customer, &stage.broker.id);
        stage
    }

    fn unsigned() -> Self {
        let letter = LetterTemplate::parse(STANDARD_LETTER).unwrap();
        let setup = Setup { letter: Some(letter), ..Setup::default() };
        let (world, meanwhile) = World::with_meanwhile(setup);
        let broker = world.rig.broker();
        let customer = world.rig.customer(&broker, "INDIVIDUAL");
        Self { world, meanwhile, broker, customer }
    }

    fn rig(&self) -> &Rig {
        &self.world.rig
    }

    /// The right ends while Sumsub answers a call to this path.
    fn ends(&self, path: &'static str, end: End) {
        let appliance = Arc::clone(&self.rig().appliance);
        let key = self.rig().get(KEYS, &self.broker.key, None).text("/data/0/id").to_owned();
        let database = self.rig().database();
        let (granting, authorized) =
            (OrganizationId::new(&*self.customer), OrganizationId::new(&*self.broker.id));
        self.meanwhile.at(path, move || {
            let by = || By { actor: OPERATOR.to_owned(), request_id: None };
            let of_key = |what: &str| {
                let sql = format!("UPDATE api_key SET {what} = 1 WHERE key_id = ?1");
                assert_eq!(database.execute(&sql, [&key]).unwrap(), 1);
            };
            let revoke = || {
                revoke_authorization(&appliance, &granting, &authorized, None, by()).unwrap();
            };
            match end {
                End::KeyRevoked => of_key("revoked_at_ms"),
                End::KeyExpired => of_key("expires_at_ms"),
                End::LetterRevoked => revoke(),
                End::LetterRenewed => {
                    revoke();
                    request_authorization(&appliance, &granting, &authorized, by()).unwrap();
                }
            }
        });
    }

    fn import(&self) -> Answer {
        let body = json!({"shareToken": self.world.share_token()});
        self.rig().post(IMPORT, &self.broker.key, Some(&self.customer), &body)
    }

    fn session(&self) -> Answer {
        self.rig().start_session(&self.broker.key, Some(&self.customer))
    }

    /// How the customer itself sees its verification, and whose webhooks count for it.
    fn standing(&self) -> (String, Option<String>) {
        let key = self.rig().key_of(&self.customer);
        let poll = self.rig().get("/v1/organizations/verification", &key, None);
        let sql = "SELECT applicant_id FROM verification WHERE organization_id = ?1";
        let current =
            self.rig().database().query_row(sql, [&self.customer], |row| row.get(0)).unwrap();
        (poll.text("/status").to_owned(), current)
    }

    fn count(&self, sql: &str) -> i64 {
        self.rig().database().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// A broker that may import again.
    fn renewed(&mut self) {
        let rig = &self.world.rig;
        self.broker.key = rig.key_of(&self.broker.id);
        let (granting, authorized) =
            (OrganizationId::new(&*self.customer), OrganizationId::new(&*self.broker.id));
        let by = By { actor: OPERATOR.to_owned(), request_id: None };
        // A letter that is still live stays.
        drop(request_authorization(&rig.appliance, &granting, &authorized, by));
        let pending = "SELECT count(*) FROM authorization WHERE status = 'PENDING'";
        if self.count(pending) > 0 {
            self.rig().sign(&self.customer, &self.broker.id);
        }
    }
}

#[test]
fn a_right_that_ends_while_sumsub_is_asked_gets_no_token_and_no_link() {
    for end in [End::KeyRevoked, End::KeyExpired, End::LetterRevoked] {
        let stage = Stage::unsigned();
        stage.ends(TOKENS, end);

        let session = stage.session();

        assert!(stage.meanwhile.is_over(), "{end:?}");
        assert_eq!(session.refusal(), end.refusal(), "{end:?}");
        assert!(!session.text.contains("_act-"), "{end:?}");
        assert!(list_links(&stage.rig().appliance, None).unwrap().is_empty(), "{end:?}");
        assert_eq!(stage.standing(), ("NOT_STARTED".to_owned(), None), "{end:?}");
    }
}

#[test]
fn a_right_that_ends_while_sumsub_imports_takes_nothing_over_and_the_applicant_decides_nothing() {
    for end in [End::KeyRevoked, End::KeyExpired, End::LetterRevoked, End::LetterRenewed] {
        let stage = Stage::signed();
        stage.ends(REUSE, end);

        let import = stage.import();

        assert!(stage.meanwhile.is_over(), "{end:?}");
        assert_eq!(import.refusal(), end.refusal(), "{end:?}");
        assert_eq!(stage.standing(), ("NOT_STARTED".to_owned(), None), "{end:?}");
        let open = "SELECT count(*) FROM import_attempt WHERE ended_at_ms IS NULL";
        assert_eq!(stage.count(open), 0, "{end:?}: the token is spent");
        assert_eq!(stage.count("SELECT count(*) FROM applicant"), 1, "{end:?}: linked for audit");
        assert!(stage.world.deliver() > 0, "{end:?}");
        assert_eq!(stage.rig().newest_outcome(), "not_current_applicant", "{end:?}");
        assert_eq!(stage.standing(), ("NOT_STARTED".to_owned(), None), "{end:?}");
    }
}

#[test]
fn an_import_refused_in_its_commit_leaves_the_sessions_applicant_to_decide() {
    let stage = Stage::signed();
    assert_eq!(stage.session().status, 200);
    let of_session = stage.world.applicant(&stage.customer);
    stage.rig().advance(1000);
    stage.ends(REUSE, End::KeyRevoked);

    assert_eq!(stage.import().refusal(), (401, "invalid_api_key"));

    stage.world.deliver();
    assert_eq!(stage.standing(), ("PENDING".to_owned(), Some(of_session.clone())));
    stage.world.play(&of_session, "submit");
    stage.world.play(&of_session, "approve");
    assert_eq!(stage.standing().0, "APPROVED");
}

#[test]
fn what_sumsub_says_before_a_refused_import_is_committed_decides_nothing_either() {
    let stage = Stage::signed();
    let webhook = |event: &str, result: Option<Value>, applicant: &str, at: &str| {
        let mut body = json!({"applicantId": applicant, "applicantType": "individual",
            "levelName": "kyc-level", "sandboxMode": true, "externalUserId": stage.customer,
            "type": event, "reviewStatus": "pending", "createdAtMs": at, "correlationId": event});
        if let Some(result) = result {
            body["reviewResult"] = result;
            body["reviewStatus"] = json!("completed");
        }
        body
    };
    stage.ends(REUSE, End::LetterRevoked);
    assert_eq!(stage.import().refusal(), (403, "authorization_required"));
    let sql = "SELECT applicant_id FROM applicant";
    let applicant: String = stage.rig().database().query_row(sql, [], |row| row.get(0)).unwrap();

    // Both are dated before the import's own commit.
    let green = json!({"reviewAnswer": "GREEN"});
    let early = "2026-01-02 03:04:04.000";
    for it in [
        webhook("applicantPending", None, &applicant, early),
        webhook("applicantReviewed", Some(green), &applicant, early),
    ] {
        assert_eq!(stage.rig().deliver(&it).status, 200);
    }

    assert_eq!(stage.standing(), ("NOT_STARTED".to_owned(), None));
}

#[test]
fn after_a_refused_import_the_next_one_and_the_next_session_work() {
    for is_import in [true, false] {
        let mut stage = Stage::signed();
        stage.ends(REUSE, End::LetterRevoked);
        assert_eq!(stage.import().refusal(), (403, "authorization_required"));
        stage.world.deliver();
        stage.rig().advance(1000);
        stage.renewed();

        let again = if is_import { stage.import() } else { stage.session() };

        assert_eq!(again.status, 200, "{again:?}");
        stage.world.deliver();
        let (status, current) = stage.standing();
        assert!(current.is_some());
        if is_import {
            assert_eq!(status, "APPROVED", "the second import's verdict counts");
            continue;
        }
        // Sumsub has the applicant of the refused import under the customer's id. Its verdict is not
        // the customer's, who is verified again.
        let ask =
            || reconcile(&stage.rig().appliance, &Scope::Everybody, Mode::Apply, &mut || true);
        assert_eq!(status, "PENDING");
        stage.rig().advance(1000);
        assert_eq!(ask().unwrap().drift(), 0);
        assert_eq!(stage.standing(), ("PENDING".to_owned(), current.clone()));
        stage.world.play(&current.clone().unwrap(), "submit");
        stage.world.play(&current.unwrap(), "approve");
        assert_eq!(stage.standing().0, "APPROVED");
    }
}

#[test]
fn what_a_refused_import_brought_is_emptied_before_a_session_takes_the_applicant_over() {
    let mut stage = Stage::signed();
    stage.ends(REUSE, End::LetterRevoked);
    assert_eq!(stage.import().refusal(), (403, "authorization_required"));
    let sql = "SELECT applicant_id FROM applicant";
    let applicant: String = stage.rig().database().query_row(sql, [], |row| row.get(0)).unwrap();
    // Sumsub is still looking at the documents of another broker's customer.
    stage.world.play(&applicant, "hold");
    stage.world.deliver();
    stage.rig().advance(1000);
    stage.renewed();

    assert_eq!(stage.session().status, 200);

    stage.world.deliver();
    let resets = "SELECT count(*) FROM delivery WHERE event_type = 'applicantReset'";
    assert_eq!(stage.count(resets), 1);
    assert_ne!(stage.standing().0, "APPROVED");
}

#[test]
fn a_share_token_is_not_burnt_by_a_key_that_was_revoked_ahead_of_it() {
    let mut stage = Stage::signed();
    let token = json!({"shareToken": stage.world.share_token()});
    let import =
        |stage: &Stage| stage.rig().post(IMPORT, &stage.broker.key, Some(&stage.customer), &token);
    in_the_queue(stage.rig(), End::KeyRevoked.sql());
    assert_eq!(import(&stage).refusal(), (401, "invalid_api_key"));

    stage
        .rig()
        .database()
        .execute_batch("DROP TRIGGER ahead_first; DROP TRIGGER ahead_again")
        .unwrap();
    stage.renewed();

    assert_eq!(import(&stage).text("/status"), "PENDING");
}

#[test]
fn a_refusal_in_the_commit_can_be_explained_like_every_other() {
    let stage = Stage::signed();
    stage.ends(REUSE, End::LetterRenewed);

    let import = stage.import();

    let request = import.text("/error/requestId");
    assert!(stage.rig().appliance.store.is_writable().is_ok(), "its note stands before this");
    let path = format!("/v1/authorizations/explain?requestId={request}");
    let explained = stage.rig().get(&path, &stage.broker.key, None);
    assert_eq!(explained.status, 200, "{explained:?}");
    assert_eq!(explained.text("/conditions/0/value"), "PENDING");
}

#[test]
fn a_link_that_is_revoked_ahead_of_a_signature_signs_nothing() {
    let stage = Stage::unsigned();
    let session = stage.session();
    let path = session.text("/url").strip_prefix(&stage.rig().url).unwrap().to_owned();
    let page = stage.rig().call("GET", &path, &[], b"").text;
    let letter = page.split("name=\"letter\" value=\"").nth(1).unwrap();
    let letter = letter.split('"').next().unwrap();
    let form = format!("letter={letter}&name=Grace+Hopper&role=Director&consent=yes");
    let headers = [("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    let other = stage.rig().database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let signed = std::thread::scope(|scope| {
        let sign = || stage.rig().call("POST", &format!("{path}/sign"), &headers, form.as_bytes());
        let signing = scope.spawn(sign);
        other
            .execute_batch(
                "UPDATE handoff_link SET revoked_at_ms = 1, revoked_by = 'operator:ada'; COMMIT",
            )
            .unwrap();
        signing.join().unwrap()
    });

    assert_eq!(signed.status, 410, "{}", signed.text);
    assert_eq!(stage.count("SELECT count(*) FROM signature_evidence"), 0);
    assert_eq!(stage.count("SELECT count(*) FROM authorization WHERE status = 'ACTIVE'"), 0);
}
