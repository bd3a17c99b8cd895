//! The customer's pages over HTTP, without a browser: every rule of the links, the letter, the
//! receipt, the token and the status.

use countersign::domain::letter::{LetterTemplate, STANDARD_LETTER};
use countersign::domain::organization::OrganizationId;
use countersign::handoff::PageLimits;
use countersign::usecase::authorizations::By;
use countersign::usecase::decide::Decision;
use countersign::usecase::handoff_links::{issue_link, list_links, revoke_link};
use countersign::usecase::reconcile::{Mode, Scope, reconcile};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::reconcile::lose;
use crate::rig::{Answer, Broker, DAY_MS, OPERATOR, Rig, Setup};
use crate::sumsub::{World, kind};
use crate::waiting::wait_until_waiting;

const FORM: &str = "application/x-www-form-urlencoded";

fn letter() -> LetterTemplate {
    LetterTemplate::parse(STANDARD_LETTER).unwrap()
}

pub(crate) fn setup() -> Setup {
    Setup { letter: Some(letter()), ..Setup::default() }
}

/// A customer before its page.
pub(crate) struct Sitting {
    pub(crate) world: World,
    pub(crate) broker: Broker,
    pub(crate) customer: String,
    pub(crate) path: String,
}

impl Sitting {
    pub(crate) fn new(kind: &str) -> Self {
        Self::with(kind, setup())
    }

    pub(crate) fn with(customer_kind: &str, setup: Setup) -> Self {
        let world = World::with(kind(), setup);
        let broker = world.rig.broker();
        let customer = world.rig.customer(&broker, customer_kind);
        let session = world.rig.start_session(&broker.key, Some(&customer));
        let path = session.text("/url").strip_prefix(&world.rig.url).unwrap().to_owned();
        Self { world, broker, customer, path }
    }

    pub(crate) fn rig(&self) -> &Rig {
        &self.world.rig
    }

    pub(crate) fn get(&self, page: &str) -> Answer {
        self.rig().call("GET", &format!("{}{page}", self.path), &[], b"")
    }

    pub(crate) fn post(&self, page: &str, form: &str) -> Answer {
        self.post_with(page, form, &[])
    }

    pub(crate) fn post_with(&self, page: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
        let mut headers: Vec<(String, String)> =
            headers.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned())).collect();
        headers.push(("Content-Type".to_owned(), FORM.to_owned()));
        self.rig().call("POST", &format!("{}{page}", self.path), &headers, form.as_bytes())
    }

    /// The form as a browser would send it, filled in.
    pub(crate) fn form(&self) -> String {
        let page = self.get("");
        assert_eq!(page.status, 200, "{}", page.text);
        let letter = between(&page.text, "name=\"letter\" value=\"", "\"").to_owned();
        format!("letter={letter}&name=Grace+Hopper&role=Director&consent=yes")
    }

    pub(crate) fn sign(&self) {
        let signed = self.post("/sign", &self.form());
        assert_eq!(signed.status, 303, "{}", signed.text);
        assert_eq!(signed.header("location"), Some(self.path.as_str()));
    }

    pub(crate) fn stage(&self) -> String {
        self.get("/status").text("/stage").to_owned()
    }

    pub(crate) fn loa(&self) -> Value {
        let list = self.rig().get("/v1/authorizations", &self.broker.key, None);
        list.body["data"][0].clone()
    }

    pub(crate) fn revoke_loa(&self) {
        let body = json!({"grantingOrganizationId": self.customer,
            "authorizedOrganizationId": self.broker.id, "type": "LOA"});
        let answer = self.rig().post("/v1/authorizations/revoke", &self.broker.key, None, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) fn link_id(&self) -> String {
        list_links(&self.rig().appliance, None).unwrap()[0].link.id.clone()
    }

    pub(crate) fn revoke_link(&self) -> bool {
        revoke_link(&self.rig().appliance, &self.link_id(), &operator()).unwrap()
    }

    pub(crate) fn tokens_minted(&self) -> usize {
        let state = self.world.control("GET", "/state", &Value::Null);
        state["sdkTokens"].as_array().unwrap().len()
    }
}

pub(crate) fn operator() -> By {
    By { actor: OPERATOR.to_owned(), request_id: None }
}

pub(crate) fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from} in {text}"));
    rest.split_once(to).unwrap().0
}

fn sha256sum(text: &str) -> String {
    countersign::usecase::sign_letter::hex(&Sha256::digest(text.as_bytes()))
}

#[test]
fn a_customer_signs_and_is_verified_in_one_sitting() {
    let it = Sitting::new("INDIVIDUAL");
    let rig = it.rig();
    assert_eq!(it.stage(), "sign");
    let page = it.get("").text;
    for shown in ["Acme Trading Co.", "Broker Ltd.", &it.customer, &it.broker.id, "2026-01-02"] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    assert_eq!(it.post("/access-token", "").status, 409, "first the letter");

    it.sign();

    let loa = it.loa();
    assert_eq!(
        (&loa["status"], &loa["signedAt"]),
        (&json!("ACTIVE"), &json!(rig.now().to_string()))
    );
    assert_eq!(it.stage(), "verify");
    let page = it.get("").text;
    assert!(page.contains("Start the check") && page.contains(&format!("{}/receipt", it.path)));

    let token = it.post("/access-token", "");
    assert_eq!(token.status, 200, "{token:?}");
    let opened =
        it.world.control("POST", "/sdk/open", &json!({"token": token.text("/accessToken")}));
    assert_eq!(opened["userId"], it.customer, "the same applicant");

    let applicant = it.world.applicant(&it.customer);
    it.world.play(&applicant, "submit");
    assert_eq!(it.stage(), "review");
    assert!(it.get("").text.contains("Being checked"));
    it.world.play(&applicant, "approve");
    assert_eq!(it.stage(), "done");
    assert!(it.get("").text.contains("You are done"));
    assert_eq!(rig.get("/v1/organizations", &it.broker.key, Some(&it.customer)).status, 200);
}

#[test]
fn a_customer_for_whom_sumsub_waits_is_not_told_that_everything_is_handed_in() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    let applicant = it.world.applicant(&it.customer);
    it.world.play(&applicant, "submit");
    assert_eq!(it.stage(), "review");

    it.world.play(&applicant, "await-user");

    assert_eq!(it.stage(), "verify");
    assert_eq!(it.rig().status(&it.broker.key, &it.customer), "PENDING");
    assert!(it.get("").text.contains("Start the check"));
    it.world.play(&applicant, "submit");
    assert_eq!(it.stage(), "review");
}

#[test]
fn a_customer_whose_webhook_was_lost_is_told_what_to_do_once_sumsub_was_asked() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    it.world.deliver();
    let applicant = it.world.applicant(&it.customer);
    let ask = || {
        it.rig().advance(1000);
        reconcile(&it.rig().appliance, &Scope::Everybody, Mode::Apply, &mut || true)
            .unwrap()
            .drift()
    };
    for (action, before, after) in [("submit", "verify", "review"), ("reset", "review", "verify")] {
        lose(&it.world, &applicant, action);
        assert_eq!((it.stage().as_str(), ask()), (before, 1), "{action}");
        assert_eq!((it.stage().as_str(), ask()), (after, 0), "{action}");
    }
}

#[test]
fn only_a_broker_with_an_unsigned_customer_is_handed_our_page() {
    let it = Sitting::new("BUSINESS");
    let rig = it.rig();
    assert!(it.path.starts_with("/h/") && it.path.len() == "/h/".len() + 32);

    // For itself, and once the letter is signed: Sumsub's link.
    let own = rig.start_session(&it.broker.key, None);
    assert!(own.text("/url").starts_with(&format!("{}/websdk/p/", it.world.sumsub_url)));
    it.sign();
    let signed = rig.start_session(&it.broker.key, Some(&it.customer));
    assert!(signed.text("/url").starts_with(&format!("{}/websdk/p/", it.world.sumsub_url)));

    // Without a public address there are no pages.
    let without = World::new();
    let broker = without.rig.broker();
    let customer = without.rig.customer(&broker, "BUSINESS");
    let session = without.rig.start_session(&broker.key, Some(&customer));
    assert!(session.text("/url").starts_with(&without.sumsub_url));
    assert_eq!(without.rig.call("GET", &it.path, &[], b"").status, 404);
}

#[test]
fn opening_a_link_spends_nothing() {
    let it = Sitting::new("INDIVIDUAL");
    let database = it.rig().database();
    let events = || -> i64 {
        let sql = "SELECT (SELECT count(*) FROM verification_event)
                        + (SELECT count(*) FROM authorization_event)";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let before = (it.tokens_minted(), events());

    for page in
        ["", "/status", "/receipt", "/receipt.json", "/letter.txt", "/sign", "/access-token"]
    {
        for method in ["GET", "HEAD"] {
            it.rig().call(method, &format!("{}{page}", it.path), &[], b"");
        }
    }

    assert_eq!((it.tokens_minted(), events()), before);
    it.sign();
    assert_eq!(it.tokens_minted(), before.0, "nor does signing");
}

#[test]
fn a_link_is_kept_as_its_hash_only_and_named_in_no_error() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    let token = it.path.strip_prefix("/h/").unwrap().to_owned();
    let (kept, by): (Vec<u8>, String) = it
        .rig()
        .database()
        .query_row("SELECT token_sha256, created_by FROM handoff_link", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();

    assert_eq!(kept, Sha256::digest(token.as_bytes()).to_vec());
    assert_eq!(by, it.broker.id);
    let holds = |file: &str, needle: &[u8]| {
        let bytes = std::fs::read(it.rig().directory.file(file)).unwrap();
        bytes.windows(needle.len()).any(|it| it == needle)
    };
    let files = ["register.db", "register.db-wal"];
    assert!(files.iter().any(|file| holds(file, &kept)), "what is kept is found like this");
    for file in files {
        assert!(!holds(file, token.as_bytes()), "{file}");
    }
}

#[test]
fn whoever_guesses_learns_nothing() {
    let it = Sitting::new("INDIVIDUAL");
    let strip = |mut answer: Answer| {
        answer.headers.retain(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
        (answer.status, answer.headers, answer.text)
    };
    let get = |path: &str| strip(it.rig().call("GET", path, &[], b""));
    let first = get("/h/00000000000000000000000000000000");

    assert_eq!(first.0, 404);
    for path in [
        "/h/",
        "/h/x",
        "/h/00000000000000000000000000000001",
        "/h/00000000000000000000000000000001/receipt.json",
        "/h/00000000000000000000000000000001/status",
        "/h/00000000000000000000000000000001/nothing",
        "/h/assets/nothing.css",
        "/h/%00",
        "/h/..%2f..%2fetc",
    ] {
        assert_eq!(get(path), first, "{path}");
    }
    assert_eq!(strip(it.get("/nothing")), first, "nor does a page that does not exist");
    let posted = it.rig().call("POST", "/h/00000000000000000000000000000000/sign", &[], b"");
    assert_eq!(strip(posted), first);
}

#[test]
fn a_revoked_link_does_nothing_and_a_new_one_does() {
    let it = Sitting::new("INDIVIDUAL");
    let form = it.form();
    assert!(it.revoke_link());
    assert!(!it.revoke_link(), "once");

    assert_eq!(it.post("/sign", &form).status, 410);
    assert_eq!(it.post("/access-token", "").status, 410);
    let page = it.get("");
    assert_eq!(page.status, 410);
    assert!(page.text.contains("This link was revoked") && !page.text.contains("Acme"));
    assert_eq!(it.loa()["status"], "PENDING");
    tells_nothing(&it);

    let (granting, authorized) =
        (OrganizationId::new(&*it.customer), OrganizationId::new(&*it.broker.id));
    it.rig().advance(1);
    let (link, url) = issue_link(&it.rig().appliance, &granting, &authorized, operator()).unwrap();
    assert_eq!(link.id, it.link_id(), "the newest stands first");
    let path = url.strip_prefix(&it.rig().url).unwrap();
    assert_eq!(it.rig().call("GET", path, &[], b"").status, 200);
}

/// Whoever still has a revoked link is told that it is revoked, by every page of it.
fn tells_nothing(it: &Sitting) {
    let status = it.get("/status?stage=verify&wait=30");
    assert_eq!(status.body, json!({"object": "handoff_status", "stage": "revoked"}));
    for page in ["", "/receipt", "/receipt.json", "/letter.txt"] {
        let answer = it.get(page);
        assert_eq!(answer.status, 410, "{page}");
        assert!(answer.text.contains("This link was revoked"), "{page}: {}", answer.text);
    }
    for form in ["", "name=", "name=Grace+Hopper&role=Director"] {
        let answer = it.post("/sign", form);
        assert_eq!(answer.status, 410, "{form}");
        assert!(answer.text.contains("This link was revoked"), "{form}: {}", answer.text);
    }
}

#[test]
fn a_link_that_is_revoked_after_the_signature_tells_nothing_of_it() {
    let it = Sitting::new("BUSINESS");
    it.sign();

    assert!(it.revoke_link());

    tells_nothing(&it);
    assert_eq!(it.loa()["status"], "ACTIVE", "the letter itself still counts");
}

#[test]
fn a_withdrawn_letter_cannot_be_signed_and_a_signed_one_keeps_its_receipt() {
    let unsigned = Sitting::new("INDIVIDUAL");
    let form = unsigned.form();
    unsigned.revoke_loa();
    let refused = unsigned.post("/sign", &form);
    assert_eq!(refused.status, 410);
    assert!(refused.text.contains("The authorization was withdrawn"));
    assert_eq!(unsigned.loa()["status"], "REVOKED");

    // A new LOA is another letter: the old link does not sign it.
    let body = json!({"grantingOrganizationId": unsigned.customer, "type": "LOA"});
    unsigned.rig().post("/v1/authorizations", &unsigned.broker.key, None, &body);
    assert_eq!(unsigned.post("/sign", &form).status, 410);
    assert_eq!(unsigned.loa()["status"], "PENDING");

    let signed = Sitting::new("INDIVIDUAL");
    signed.sign();
    signed.revoke_loa();
    assert_eq!(signed.get("").status, 410);
    let incomplete = signed.post("/sign", "name=");
    assert_eq!(incomplete.status, 410);
    assert!(incomplete.text.contains("The authorization was withdrawn"));
    let receipt = signed.get("/receipt.json");
    assert_eq!(receipt.text("/status"), "REVOKED");
    assert!(signed.get("/receipt").text.contains("Revoked at"));
}

#[test]
fn a_letter_is_signed_once_whatever_the_tabs_do() {
    let it = Sitting::new("BUSINESS");
    let form = it.form();
    let forms = ["Ada", "Bea", "Cleo", "Dora"].map(|name| form.replace("Grace", name));
    let statuses = post_at_once(&it, &forms);

    assert_eq!(statuses.iter().filter(|it| **it == 303).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|it| **it == 409).count(), 3, "{statuses:?}");
    let late = it.post("/sign", &form);
    assert_eq!(late.status, 409);
    assert!(late.text.contains("signed already") && late.text.contains("/receipt"));
    let incomplete = it.post("/sign", "name=");
    assert!(incomplete.text.contains("signed already"));
    assert_eq!(signatures(&it), 1);
}

#[test]
fn a_double_click_on_sign_goes_on_as_one_click_does() {
    let it = Sitting::new("BUSINESS");
    let form = it.form();

    let statuses = post_at_once(&it, &[form.clone(), form.clone(), form.clone()]);

    assert_eq!(statuses, [303, 303, 303]);
    assert_eq!(signatures(&it), 1);
    it.rig().advance(5 * DAY_MS);
    assert_eq!(it.post("/sign", &form).status, 303, "an answer that was lost");
    for (from, to) in [("Grace", "Bea"), ("Director", "Clerk"), ("letter=", "letter=0")] {
        assert_eq!(it.post("/sign", &form.replace(from, to)).status, 409, "{to}");
    }
    let path = format!("{}/sign", crate::links::link_of_before(&it));
    let other = it.rig().call("POST", &path, &[], form.as_bytes());
    assert_eq!(other.status, 409, "another link is another signer");
    assert_eq!(signatures(&it), 1);
}

fn post_at_once(it: &Sitting, forms: &[String]) -> Vec<u16> {
    std::thread::scope(|scope| {
        let tabs: Vec<_> =
            forms.iter().map(|form| scope.spawn(move || it.post("/sign", form).status)).collect();
        tabs.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

fn signatures(it: &Sitting) -> i64 {
    let sql = "SELECT count(*) FROM signature_evidence";
    it.rig().database().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn nobody_signs_a_text_that_they_have_not_seen() {
    let it = Sitting::new("INDIVIDUAL");
    let form = it.form();
    let changed = form.replacen("letter=", "letter=0", 1);

    let answer = it.post("/sign", &changed);

    assert_eq!(answer.status, 409);
    assert!(answer.text.contains("The letter has changed"));
    assert!(answer.text.contains("value=\"Grace Hopper\""), "what was entered is kept");
    assert!(!answer.text.contains(" checked"), "but the consent was to another text");
    assert_eq!(it.loa()["status"], "PENDING");

    // A page that was open over midnight is the letter that was seen; an older one is not.
    it.rig().advance(DAY_MS);
    assert_eq!(it.post("/sign", &form).status, 303);
    let text = it.get("/letter.txt").text;
    assert!(text.contains("Date: 2026-01-02"), "{text}");

    let late = Sitting::new("INDIVIDUAL");
    let form = late.form();
    late.rig().advance(2 * DAY_MS);
    assert_eq!(late.post("/sign", &form).status, 409);
}

#[test]
fn an_incomplete_form_comes_back_with_what_is_missing() {
    let it = Sitting::new("BUSINESS");
    let whole = it.form();
    for (from, to, id) in [
        ("name=Grace+Hopper", "name=+++", "name"),
        ("role=Director", "role=", "role"),
        ("consent=yes", "consent=no", "consent"),
    ] {
        let answer = it.post("/sign", &whole.replace(from, to));

        assert_eq!(answer.status, 422, "{id}");
        assert!(answer.text.contains(&format!("href=\"#{id}\"")), "{id}: {}", answer.text);
        assert!(answer.text.contains("aria-invalid=\"true\""));
    }
    let nasty = whole.replace("Grace+Hopper", "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    let answer = it.post("/sign", &nasty.replace("consent=yes", ""));
    assert!(!answer.text.contains("<script>alert") && answer.text.contains("&lt;script&gt;"));
    assert_eq!(it.post("/sign", &"x".repeat(70_000)).status, 413);
    assert_eq!(it.post("/sign", "%ff%fe&&&=").status, 422);
    assert_eq!(it.loa()["status"], "PENDING");
}

#[test]
fn nobody_signs_with_a_name_that_cannot_be_seen() {
    let it = Sitting::new("BUSINESS");
    let whole = it.form();
    for unseen in [
        "%E2%80%8B",                          // U+200B, zero width space
        "%E2%81%A0%EF%BB%BF",                 // U+2060, U+FEFF
        "%E3%85%A4",                          // U+3164, a letter that is blank
        "---",                                // nothing of a name
        "Grace%E2%80%AErotceriD",             // U+202E, reads backwards from there
        "Grace%E2%81%A6Hopper",               // U+2066
        "Grace%E2%80%A8Director%20of%20Acme", // U+2028, another line
    ] {
        for (from, field) in [("Grace+Hopper", "name"), ("Director", "role")] {
            let answer = it.post("/sign", &whole.replace(from, unseen));

            assert_eq!(answer.status, 422, "{field} {unseen}");
            let told = between(&answer.text, &format!("href=\"#{field}\">"), "</a>");
            assert!(told.starts_with("Type your") && told.contains("cannot be seen"), "{told}");
        }
    }
    assert_eq!(it.loa()["status"], "PENDING");
    let body = json!({"name": "Acme \u{202e}.dtL", "type": "BUSINESS"});
    let refused = it.rig().post("/v1/organizations", &it.broker.key, None, &body);
    assert_eq!(refused.status, 400, "a letter would read differently");

    let written = whole.replace("Grace+Hopper", "%E6%9D%8E%E5%B0%8F%E9%BE%99");
    assert_eq!(it.post("/sign", &written).status, 303);
}

#[test]
fn a_name_is_only_ever_text() {
    let world = World::with(kind(), setup());
    let broker = world.rig.broker();
    let name = "<img src=x onerror=alert(1)> {broker} & \"Sons\"";
    let body = json!({"name": name, "type": "BUSINESS"});
    let customer = world.rig.post("/v1/organizations", &broker.key, None, &body);
    let session = world.rig.start_session(&broker.key, Some(customer.text("/organizationId")));

    let path = session.text("/url").strip_prefix(&world.rig.url).unwrap();
    let page = world.rig.call("GET", path, &[], b"").text;

    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt; {broker} &amp;"), "{page}");
}

#[test]
fn the_receipt_shows_what_was_recorded_and_its_hash_can_be_computed_by_hand() {
    for (kind, wording) in
        [("BUSINESS", "alone or by a resolution"), ("INDIVIDUAL", "I sign for myself")]
    {
        let it = Sitting::new(kind);
        assert_eq!(it.get("/receipt").status, 404);
        assert_eq!(it.get("/letter.txt").status, 404);
        let form = it.form();
        let signed = it.post_with("/sign", &form, &[("User-Agent", "A browser/1.0")]);
        assert_eq!(signed.status, 303);

        let receipt = it.get("/receipt.json");
        let letter = it.get("/letter.txt");

        assert!(letter.text.contains(wording) && letter.text.ends_with(".\n"));
        assert_eq!(receipt.text("/text"), letter.text);
        assert_eq!(receipt.text("/textSha256"), sha256sum(&letter.text));
        assert!(form.contains(receipt.text("/textSha256")), "it is what the form was shown with");
        for (pointer, value) in [
            ("/object", "authorization_receipt"),
            ("/status", "ACTIVE"),
            ("/signerName", "Grace Hopper"),
            ("/signerRole", "Director"),
            ("/textVersion", letter_version().as_str()),
            ("/address", "127.0.0.1"),
            ("/userAgent", "A browser/1.0"),
            ("/linkId", it.link_id().as_str()),
            ("/signedAt", it.rig().now().to_string().as_str()),
            ("/grantingOrganization/organizationId", it.customer.as_str()),
            ("/authorizedOrganization/name", "Broker Ltd."),
        ] {
            assert_eq!(receipt.text(pointer), value);
        }
        let page = it.get("/receipt").text;
        assert!(page.contains(receipt.text("/textSha256")) && page.contains("Grace Hopper"));
        assert!(page.contains("A browser/1.0") && page.contains(wording));
    }
}

fn letter_version() -> String {
    letter().version().to_owned()
}

#[test]
fn a_signature_is_one_commit_and_never_changes() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    let database = it.rig().database();
    let (event, evidence): (String, String) = database
        .query_row(
            "SELECT e.signer_name || '/' || e.signer_role || '/' || e.signed_how || '/' || e.actor
                      || '/' || (e.reference = s.link_id),
                    hex(s.text_sha256)
             FROM authorization_event AS e JOIN signature_evidence AS s USING (sequence)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();

    assert_eq!(event, format!("Grace Hopper/Director/hand-off page/{}/1", it.customer));
    assert_eq!(evidence.to_lowercase(), it.get("/receipt.json").text("/textSha256"));
    for sql in ["UPDATE signature_evidence SET text = ''", "DELETE FROM signature_evidence"] {
        assert!(database.execute(sql, []).is_err(), "{sql}");
    }
}

#[test]
fn a_letter_that_was_changed_behind_the_program_is_not_shown_as_the_signed_one() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    let pages = ["/receipt", "/receipt.json", "/letter.txt"];
    assert!(pages.iter().all(|page| it.get(page).status == 200));
    let database = it.rig().database();
    database
        .execute_batch(
            "DROP TRIGGER signature_evidence_is_a_record;
             UPDATE signature_evidence SET text = 'I give everything away.'",
        )
        .unwrap();

    for page in pages {
        let answer = it.get(page);
        assert_eq!(answer.status, 500, "{page}");
        assert!(!answer.text.contains("everything away"), "{page}");
    }
    assert_eq!(it.get("/status").status, 200, "the verification goes on");
}

#[test]
fn an_operators_own_text_is_what_is_shown_and_signed() {
    let own = "version: ours-7\n== BUSINESS ==\n{customer} lets {broker} act. {date} {version}\n\
               == INDIVIDUAL ==\nI, {customer}, let {broker} act. {date}\n";
    let template = LetterTemplate::parse(own).unwrap();
    let it = Sitting::with("BUSINESS", Setup { letter: Some(template), ..setup() });
    it.sign();

    assert_eq!(
        it.get("/letter.txt").text,
        "Acme Trading Co. lets Broker Ltd. act. 2026-01-02 ours-7\n"
    );
    assert_eq!(it.get("/receipt.json").text("/textVersion"), "ours-7");
}

#[test]
fn a_form_of_another_site_is_refused() {
    let it = Sitting::new("INDIVIDUAL");
    let form = it.form();
    let own = it.rig().url.clone();
    for headers in [
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Origin", "https://evil.example")],
    ] {
        assert_eq!(it.post_with("/sign", &form, &headers).status, 403, "{headers:?}");
        assert_eq!(it.post_with("/access-token", "", &headers).status, 403, "{headers:?}");
    }
    assert_eq!(it.loa()["status"], "PENDING");

    let same = [("Sec-Fetch-Site", "same-origin"), ("Origin", "null")];
    assert_eq!(it.post_with("/sign", &form, &same).status, 303);
    let fetched = [("Sec-Fetch-Site", "same-origin"), ("Origin", own.as_str())];
    assert_eq!(it.post_with("/access-token", "", &fetched).status, 200);
}

/// Below a link, the pages that the code has for a method.
fn pages_of_the_code(method: &str) -> Vec<String> {
    let route = format!("(\"{method}\", [");
    let routes = include_str!("../../src/handoff/mod.rs").lines();
    routes
        .filter_map(|it| it.trim_start().strip_prefix(&route)?.split_once("])"))
        .filter(|(page, _)| !page.contains('|'))
        .map(|(page, _)| match page.trim_matches('"') {
            "" => String::new(),
            page => format!("/{page}"),
        })
        .collect()
}

#[test]
fn every_answer_is_guarded_and_sets_no_cookie() {
    let it = Sitting::new("INDIVIDUAL");
    let sumsub = it.world.sumsub_url.clone();
    let check = |answer: &Answer| {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("set-cookie"), None);
        if answer.header("content-type").is_some_and(|it| it.starts_with("text/html")) {
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"));
            assert!(!policy.contains("unsafe") && !policy.contains('*'));
            assert!(!answer.text.contains("style=") && !answer.text.contains("onclick"));
        }
    };
    let unsigned = it.get("");
    check(&unsigned);
    assert!(unsigned.header("content-security-policy").unwrap().contains("frame-src 'none'"));
    check(&it.post("/sign", ""));
    it.sign();
    let (pages, deeds) = (pages_of_the_code("GET"), pages_of_the_code("POST"));
    assert!(pages.len() >= 5 && deeds.len() >= 2, "{pages:?} {deeds:?}");
    for page in &pages {
        let answer = it.get(page);
        assert_eq!(answer.status, 200, "{page}");
        check(&answer);
        check(&it.post(page, ""));
    }
    for deed in &deeds {
        check(&it.post(deed, ""));
        check(&it.get(deed));
    }
    check(&it.get("/nothing"));
    let policy = it.get("").header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains(&format!("frame-src {sumsub}")), "{policy}");
    assert!(policy.contains(&format!("script-src 'self' {sumsub}")), "{policy}");

    let style = between(&it.get("").text, "stylesheet\" href=\"", "\"").to_owned();
    let asset = it.rig().call("GET", &style, &[], b"");
    assert_eq!(asset.status, 200);
    assert!(asset.header("cache-control").unwrap().contains("immutable"));
    assert!(!asset.text.contains("http://") && !asset.text.contains("https://"));
}

#[test]
fn a_link_and_an_address_are_used_only_so_often() {
    let limits = PageLimits { visits_per_minute: 0, link_per_minute: 50, deeds_per_minute: 3 };
    let it = Sitting::with("INDIVIDUAL", Setup { page_limits: limits, ..setup() });
    it.sign();
    let statuses: Vec<u16> = (0..4).map(|_| it.post("/access-token", "").status).collect();
    assert_eq!(statuses, [200, 200, 429, 429]);
    let statuses: Vec<u16> = (0..60).map(|_| it.get("/status").status).collect();
    assert_eq!(statuses.last(), Some(&429));
    let refused = it.get("");
    assert!(refused.header("retry-after").is_some() && refused.text.contains("A little too fast"));

    let limits = PageLimits { visits_per_minute: 5, link_per_minute: 0, deeds_per_minute: 0 };
    let rig = Rig::with(Setup { page_limits: limits, ..setup() });
    let guesses: Vec<u16> = (0..6).map(|_| rig.call("GET", "/h/guess", &[], b"").status).collect();
    assert_eq!(guesses, [404, 404, 404, 404, 404, 429]);
}

#[test]
fn visits_from_one_ipv6_network_are_one_visitors() {
    let limits = PageLimits { visits_per_minute: 2, link_per_minute: 0, deeds_per_minute: 0 };
    let api = countersign::api::ApiSettings {
        trusted_proxies: countersign::http::client_address::TrustedProxies::parse("127.0.0.1")
            .unwrap()
            .into(),
        ..Setup::default().api
    };
    let rig = Rig::with(Setup { page_limits: limits, api, ..setup() });
    let guess = |client: &str| {
        let from = [("X-Forwarded-For".to_owned(), client.to_owned())];
        rig.call("GET", "/h/guess", &from, b"").status
    };

    let rotating: Vec<u16> = (0..4).map(|it| guess(&format!("2001:db8:1:2::{it:x}"))).collect();

    assert_eq!(rotating, [404, 404, 429, 429]);
    assert_eq!(guess("2001:db8:1:3::1"), 404);
}

#[test]
fn a_resubmission_leads_back_to_the_failing_step() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    it.post("/access-token", "");
    let applicant = it.world.applicant(&it.customer);
    it.world.play(&applicant, "submit");
    it.world.play(&applicant, "retry");
    assert_eq!(it.stage(), "repeat");
    assert!(it.get("").text.contains("One more try"));
    assert_eq!(it.rig().status(&it.broker.key, &it.customer), "RESUBMISSION_REQUIRED");

    it.rig().advance(1000);
    assert_eq!(it.post("/access-token", "").status, 200);

    assert_eq!(it.stage(), "verify");
    assert_eq!(it.rig().status(&it.broker.key, &it.customer), "PENDING");
    it.world.play(&applicant, "submit");
    assert_eq!(it.stage(), "review");
}

#[test]
fn a_company_waits_and_a_rejection_ends() {
    let it = Sitting::new("BUSINESS");
    it.sign();
    it.post("/access-token", "");
    let company = it.world.applicants(&it.customer)[0].clone();
    it.world.play(&company, "submit");
    assert_eq!(it.stage(), "hold");
    assert!(it.get("").text.contains("A person is looking at it"));
    assert_eq!(it.post("/access-token", "").status, 200, "it may be looked at again");

    it.world.play(&company, "reject");
    assert_eq!(it.stage(), "rejected");
    assert!(it.get("").text.contains("declined"));
    assert_eq!(it.post("/access-token", "").status, 409);
    assert_eq!(it.get("/receipt").status, 200);
}

#[test]
fn a_person_on_hold_reads_nothing_of_a_company() {
    for (kind, speaks_of_others) in [("INDIVIDUAL", false), ("BUSINESS", true)] {
        let it = Sitting::new(kind);
        it.sign();
        it.rig().decide(&it.customer, Decision::Hold).unwrap();

        let page = it.get("").text;

        assert!(page.contains("needs a decision by a person"), "{page}");
        assert_eq!(page.contains("other people of the company"), speaks_of_others, "{kind}");
    }
}

#[test]
fn a_rejected_customer_signs_nothing() {
    let it = Sitting::new("INDIVIDUAL");
    let form = it.form();
    it.rig().decide(&it.customer, Decision::Hold).unwrap();
    it.rig().decide(&it.customer, Decision::Reject).unwrap();

    let answer = it.post("/sign", &form);

    assert!(answer.text.contains("declined"), "{}", answer.text);
    assert_eq!(it.loa()["status"], "PENDING");
}

#[test]
fn a_letter_may_be_signed_after_the_approval() {
    let it = Sitting::new("INDIVIDUAL");
    let applicant = it.world.applicant(&it.customer);
    it.world.play(&applicant, "submit");
    it.world.play(&applicant, "approve");
    assert_eq!(it.stage(), "sign");

    it.sign();

    assert_eq!(it.stage(), "done");
}

#[test]
fn a_link_expires_with_the_approval_that_it_led_to() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    let applicant = it.world.applicant(&it.customer);
    it.world.play(&applicant, "submit");
    it.world.play(&applicant, "approve");
    it.rig().advance(366 * DAY_MS);

    assert_eq!(it.stage(), "expired");
    let page = it.get("");
    assert_eq!(page.status, 410);
    assert!(page.text.contains("This link has expired") && page.text.contains("/receipt"));
    assert_eq!(it.post("/access-token", "").status, 410);

    let (granting, authorized) =
        (OrganizationId::new(&*it.customer), OrganizationId::new(&*it.broker.id));
    let (_, url) = issue_link(&it.rig().appliance, &granting, &authorized, operator()).unwrap();
    let path = url.strip_prefix(&it.rig().url).unwrap();
    let status = it.rig().call("GET", &format!("{path}/status"), &[], b"");
    assert_eq!(status.text("/stage"), "repeat", "a new link leads to the next approval");
}

#[test]
fn a_page_learns_of_a_change_while_it_waits() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    let applicant = it.world.applicant(&it.customer);
    let answer = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| it.get("/status?stage=verify&wait=30"));
        wait_until_waiting(it.rig(), 1);
        it.world.play(&applicant, "submit");
        waiting.join().unwrap()
    });

    assert_eq!(answer.text("/stage"), "review");
    assert_eq!(it.get("/status?stage=verify&wait=30").text("/stage"), "review", "at once");
    assert_eq!(it.get("/status?stage=review&wait=nonsense").text("/stage"), "review");
}

#[test]
fn a_dead_sumsub_stops_the_check_and_not_the_signature() {
    let it = Sitting::new("INDIVIDUAL");
    it.world.fault(&json!({"path": "/resources", "count": 9, "status": 503}));

    it.sign();

    let token = it.post("/access-token", "");
    assert_eq!(token.status, 502);
    assert!(token.text.contains("nothing is lost") && !token.text.contains("503"));
    assert_eq!(it.get("").status, 200);
    assert_eq!(it.get("/receipt").status, 200);
}

#[test]
fn other_methods_are_told_which_ones_work() {
    let it = Sitting::new("INDIVIDUAL");
    for (method, page, allowed) in [
        ("POST", "", "GET, HEAD"),
        ("DELETE", "/receipt", "GET, HEAD"),
        ("DELETE", "/sign", "GET, HEAD, POST"),
        ("PUT", "/access-token", "GET, HEAD, POST"),
    ] {
        let answer = it.rig().call(method, &format!("{}{page}", it.path), &[], b"");
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some(allowed)),
            "{method} {page}"
        );
    }
}

/// A wait that nobody ends is ended by its own bound.
#[test]
fn a_wait_for_nothing_ends() {
    let it = Sitting::new("INDIVIDUAL");
    let answer = it.get("/status?stage=sign&wait=1");
    assert_eq!(answer.text("/stage"), "sign");
    assert_eq!(it.rig().appliance.store.changes().waiters(), 0);
}

/// A customer whose name runs from right to left, before a page with this letter.
fn stars(letter: &str) -> Sitting {
    let template = LetterTemplate::parse(letter).unwrap();
    let it = Sitting::with("BUSINESS", Setup { letter: Some(template), ..setup() });
    it.rig()
        .database()
        .execute("UPDATE organization SET name = ?1 WHERE created_by IS NOT NULL", [STARS])
        .unwrap();
    it
}

const STARS: &str = "7 نجوم للتجارة ش.م.م.";

#[test]
fn a_name_from_right_to_left_takes_nothing_beside_it_along_on_any_page() {
    let it = stars(STANDARD_LETTER);
    let isolated = format!("<bdi translate=\"no\">{STARS}</bdi>");
    let all_are_isolated = |page: &str, text: &str| {
        let body = between(text, "<body>", "</body>");
        let places = body.matches(STARS).count();
        assert!(places > 0, "{page} does not show the name");
        assert_eq!(body.matches(&isolated).count(), places, "{page}: {body}");
    };

    all_are_isolated("the letter", &it.get("").text);
    let wrong = it.post("/sign", "name=&role=");
    assert_eq!(wrong.status, 422);
    all_are_isolated("the form", &wrong.text);
    it.sign();
    all_are_isolated("the receipt", &it.get("/receipt").text);
    assert!(it.get("/letter.txt").text.contains(STARS));
    it.revoke_loa();
    all_are_isolated("the end", &it.get("").text);
}

#[test]
fn a_letter_is_announced_in_its_own_language_and_direction_and_never_translated() {
    for (line, expected) in [
        ("language: en\n", "lang=\"en\" dir=\"ltr\" translate=\"no\""),
        ("language: de\n", "lang=\"de\" dir=\"ltr\" translate=\"no\""),
        ("language: ar\n", "lang=\"ar\" dir=\"rtl\" translate=\"no\""),
        ("", "lang=\"\" dir=\"auto\" translate=\"no\""),
    ] {
        let it = stars(&STANDARD_LETTER.replace("language: en\n", line));
        let block = format!("<div class=\"card letter\" {expected}>");
        let page = it.get("").text;
        assert!(page.contains(&block), "{line}: {page}");
        assert!(page.contains("maxlength=\"200\" dir=\"auto\""), "{page}");
        it.sign();
        let receipt = it.get("/receipt").text;
        assert!(receipt.contains(&block) && receipt.contains("<code translate=\"no\">"), "{line}");
    }
}

#[test]
fn a_signer_with_an_invisible_character_signs_nothing_and_reads_which_one_it_is() {
    let it = Sitting::new("BUSINESS");
    for (typed, number) in [
        ("Grace%C2%ADHopper", "U+00AD"),
        ("Grace%F3%A0%81%A1Hopper", "U+E0061"),
        ("Grace%E2%80%AEHopper", "U+202E"),
        ("Grace%0AHopper", "U+000A"),
    ] {
        for form in [it.form().replace("Grace+Hopper", typed), it.form().replace("Director", typed)]
        {
            let answer = it.post("/sign", &form);
            assert_eq!(answer.status, 422, "{typed}");
            assert!(answer.text.contains(number), "{typed}: {}", answer.text);
        }
    }
    assert_eq!(it.loa()["status"], "PENDING");
}
