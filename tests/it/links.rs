//! One letter, one link, one end: which link a session answers with, when a link ends, what it shows
//! after its end, and what the record says of the addresses behind a signature.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use countersign::api::ApiSettings;
use countersign::domain::organization::OrganizationId;
use countersign::http::client_address::{AddressHeader, TrustedProxies};
use countersign::usecase::handoff_links::{issue_link, list_links, revoke_link};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::Shell;
use crate::handoff::{Sitting, operator, setup};
use crate::rig::{Answer, Broker, DAY_MS, Setup};
use crate::sumsub::{World, kind};
use crate::waiting::wait_until_waiting;

const LINKS: &str = "/v1/authorizations/links";

impl Sitting {
    /// The path of the link that a session answers with now.
    fn session(&self) -> String {
        path_of(&self.world, &self.broker, &self.customer)
    }

    fn links(&self) -> usize {
        list_links(&self.rig().appliance, None).unwrap().len()
    }

    /// The address that an operator is shown.
    fn shown(&self) -> (String, String) {
        let (granting, authorized) =
            (OrganizationId::new(&*self.customer), OrganizationId::new(&*self.broker.id));
        let (link, url) =
            issue_link(&self.rig().appliance, &granting, &authorized, operator()).unwrap();
        (link.id, url.strip_prefix(&self.rig().url).unwrap().to_owned())
    }

    fn at(&self, path: &str) -> Answer {
        self.rig().call("GET", path, &[], b"")
    }

    /// What the API says of the newest link.
    fn newest(&self) -> Value {
        self.rig().get(LINKS, &self.broker.key, None).body["data"][0].clone()
    }
}

fn path_of(world: &World, broker: &Broker, customer: &str) -> String {
    let session = world.rig.start_session(&broker.key, Some(customer));
    assert_eq!(session.status, 200, "{session:?}");
    let fields: Vec<&String> = session.body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["accessToken", "object", "url"], "exactly three fields");
    session.text("/url").strip_prefix(&world.rig.url).unwrap().to_owned()
}

/// A link as earlier versions made them: of a random token, of which only the hash is known.
pub(crate) fn link_of_before(it: &Sitting) -> String {
    let token = "0123456789abcdefghjkmnpqrstvwxyz";
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    it.rig()
        .database()
        .execute(
            "INSERT INTO handoff_link (token_sha256, link_id, authorization_id, created_at_ms,
                                       created_by, expires_at_ms)
             SELECT ?1, 'link_00000000000000000000000000000001', authorization_id, created_at_ms,
                    created_by, expires_at_ms
             FROM handoff_link LIMIT 1",
            [hash],
        )
        .unwrap();
    format!("/h/{token}")
}

#[test]
fn every_session_for_an_unsigned_letter_answers_with_the_same_link() {
    let it = Sitting::new("INDIVIDUAL");
    for days in [0, 1, 40, 48] {
        it.rig().advance(days * DAY_MS);
        assert_eq!(it.session(), it.path, "{days} days later");
    }
    assert_eq!(it.shown().1, it.path, "an operator is shown the same");
    assert_eq!(it.links(), 1);
    it.sign();
    assert_eq!(it.shown().1, it.path, "also once it is signed");

    let other = it.rig().customer(&it.broker, "INDIVIDUAL");
    assert_ne!(path_of(&it.world, &it.broker, &other), it.path, "another letter, another link");
}

#[test]
fn sessions_at_once_end_with_one_link() {
    let world = World::with(kind(), setup());
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "BUSINESS");

    let paths: Vec<String> = std::thread::scope(|scope| {
        let sessions: Vec<_> =
            (0..8).map(|_| scope.spawn(|| path_of(&world, &broker, &customer))).collect();
        sessions.into_iter().map(|it| it.join().unwrap()).collect()
    });

    assert!(paths.iter().all(|it| *it == paths[0]), "{paths:?}");
    assert_eq!(list_links(&world.rig.appliance, None).unwrap().len(), 1);
}

#[test]
fn a_new_link_is_made_once_the_old_one_or_its_letter_has_ended() {
    let it = Sitting::new("BUSINESS");
    assert!(revoke_link(&it.rig().appliance, &it.link_id(), &operator()).unwrap());
    let second = it.session();
    assert_ne!(second, it.path);
    assert_eq!((it.at(&it.path).status, it.at(&second).status), (410, 200));

    it.revoke_loa();
    let body = json!({"grantingOrganizationId": it.customer, "type": "LOA"});
    assert_eq!(it.rig().post("/v1/authorizations", &it.broker.key, None, &body).status, 200);
    let third = it.session();
    assert!(third != it.path && third != second);
    assert_eq!((it.at(&second).status, it.at(&third).status), (410, 200));

    it.rig().advance(90 * DAY_MS);
    let fourth = it.session();
    assert!(![&it.path, &second, &third].contains(&&fourth));
    assert_eq!((it.at(&third).status, it.at(&fourth).status), (410, 200));
    assert_eq!(it.session(), fourth);
}

#[test]
fn a_lost_or_another_key_file_makes_a_new_link_and_fails_no_session() {
    let mut it = Sitting::new("INDIVIDUAL");
    let mut paths = vec![it.path.clone()];
    for key in [None, Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")] {
        it.world.restart(setup(), |directory| {
            let file = directory.file("register.db.webhook-key");
            match key {
                None => std::fs::remove_file(file).unwrap(),
                Some(text) => std::fs::write(file, text).unwrap(),
            }
        });
        it.rig().advance(1);
        let path = it.session();
        assert!(!paths.contains(&path), "{path}");
        assert_eq!(it.session(), path);
        assert!(paths.iter().all(|it_was| it.at(it_was).status == 200), "they may be in a mail");
        paths.push(path);
    }
    it.world.restart(setup(), |_| {});
    assert_eq!(Some(&it.session()), paths.last(), "the same key, the same link");
}

#[test]
fn a_link_of_before_lives_to_its_end_and_the_next_session_makes_a_derived_one() {
    let it = Sitting::new("INDIVIDUAL");
    let before = link_of_before(&it);
    it.rig()
        .database()
        .execute(
            "DELETE FROM handoff_link WHERE link_id LIKE '%_'
        AND link_id <> 'link_00000000000000000000000000000001'",
            [],
        )
        .unwrap();

    let derived = it.session();

    assert_ne!(derived, before);
    assert_eq!((it.at(&before).status, it.session()), (200, derived));
    it.rig().advance(90 * DAY_MS);
    assert_eq!(it.at(&before).status, 410);
}

fn ended_page(answer: &Answer) {
    assert_eq!(answer.status, 410, "{}", answer.text);
    assert!(answer.text.contains("This link has ended"), "{}", answer.text);
    assert!(
        answer.text.contains("Ask <bdi translate=\"no\">Broker Ltd.</bdi> for a new link"),
        "{}",
        answer.text
    );
    assert!(!answer.text.contains("Acme"), "{}", answer.text);
}

#[test]
fn an_unsigned_link_ends_and_does_not_sign() {
    for link_days in [1, 90, 3650] {
        let it = Sitting::with("INDIVIDUAL", Setup { link_days, ..setup() });
        let end = i64::from(link_days) * DAY_MS;
        it.rig().advance(end - 1);
        let form = it.form();
        assert_eq!(it.stage(), "sign");

        it.rig().advance(1);

        ended_page(&it.get(""));
        for form in [form.as_str(), "", "name=", "name=Grace+Hopper&role=Director"] {
            ended_page(&it.post("/sign", form));
        }
        for page in ["/receipt", "/receipt.json", "/letter.txt"] {
            ended_page(&it.get(page));
        }
        let status = it.get("/status?stage=sign&wait=30");
        assert_eq!(status.body, json!({"object": "handoff_status", "stage": "ended"}));
        let token = it.post("/access-token", "");
        assert_eq!((token.status, token.text("/stage")), (410, "ended"));
        assert_eq!(it.loa()["status"], "PENDING");
        assert_eq!(it.tokens_minted(), 1, "the session's own");
        assert_ne!(it.session(), it.path);
        assert_eq!(it.newest()["status"], "LIVE");
    }
}

#[test]
fn a_link_that_signed_in_time_leads_on_after_its_end() {
    let it = Sitting::new("INDIVIDUAL");
    it.rig().advance(89 * DAY_MS);
    it.sign();

    it.rig().advance(100 * DAY_MS);

    assert_eq!(it.stage(), "verify");
    assert_eq!(it.post("/access-token", "").status, 200);
    assert_eq!(it.get("/receipt").status, 200);
    assert_eq!(it.newest()["status"], "SIGNED");
    assert_eq!(it.shown().1, it.path);
}

#[test]
fn a_link_that_ended_unsigned_shows_nothing_of_what_another_one_signed() {
    let it = Sitting::new("INDIVIDUAL");
    it.rig().advance(90 * DAY_MS);
    let second = it.session();
    let page = it.at(&second).text;
    let letter = crate::handoff::between(&page, "name=\"letter\" value=\"", "\"").to_owned();
    let form = format!("letter={letter}&name=Grace+Hopper&role=Director&consent=yes");
    it.rig().advance(1);
    let signed = it.rig().call("POST", &format!("{second}/sign"), &[], form.as_bytes());
    assert_eq!(signed.status, 303, "{}", signed.text);

    for page in ["", "/receipt", "/receipt.json", "/letter.txt"] {
        ended_page(&it.get(page));
    }
    ended_page(&it.post("/sign", &form));
    assert_eq!(it.get("/status").body, json!({"object": "handoff_status", "stage": "ended"}));
    assert_eq!(it.at(&format!("{second}/receipt")).status, 200);
    it.revoke_loa();
    for page in ["", "/receipt", "/receipt.json", "/letter.txt"] {
        ended_page(&it.get(page));
    }
    assert_eq!(it.at(&format!("{second}/receipt")).status, 200);
}

#[test]
fn a_paper_that_is_dated_before_a_links_end_does_not_revive_the_link() {
    let it = Sitting::new("INDIVIDUAL");
    it.rig().advance(80 * DAY_MS);
    let dated = it.rig().now();
    it.rig().advance(20 * DAY_MS);
    ended_page(&it.get(""));

    it.rig().sign_at(&it.customer, &it.broker.id, dated);

    ended_page(&it.get(""));
    assert_eq!(it.get("/status").body, json!({"object": "handoff_status", "stage": "ended"}));
    assert_eq!(it.post("/access-token", "").status, 410);
}

#[test]
fn a_wait_that_ends_by_time_tells_what_is_true_then() {
    let it = Sitting::new("INDIVIDUAL");
    it.rig().advance(90 * DAY_MS - 1);

    let told = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| it.get("/status?stage=sign&wait=1"));
        wait_until_waiting(it.rig(), 1);
        it.rig().advance(1);
        waiting.join().unwrap()
    });

    assert_eq!(told.body, json!({"object": "handoff_status", "stage": "ended"}));
}

#[test]
fn a_session_after_a_lapse_leads_to_a_page_that_works() {
    let it = Sitting::with("INDIVIDUAL", Setup { link_days: 3650, ..setup() });
    let applicant = it.world.applicant(&it.customer);
    it.world.play(&applicant, "submit");
    it.world.play(&applicant, "approve");
    it.rig().advance(366 * DAY_MS);
    // Unsigned, and the link has not ended, but the approval that it led to has.
    assert_eq!((it.stage().as_str(), it.get("").status), ("expired", 410));
    assert_eq!(it.newest()["status"], "EXPIRED");

    let next = it.session();

    assert_ne!(next, it.path);
    assert_eq!(it.at(&format!("{next}/status")).text("/stage"), "sign");
    assert_eq!(it.session(), next);
}

#[test]
fn the_state_and_the_end_of_links_are_told_to_their_parties_alone() {
    let it = Sitting::new("INDIVIDUAL");
    let rig = it.rig();
    let token = it.path.strip_prefix("/h/").unwrap();
    let live = it.newest();
    assert_eq!(live["status"], "LIVE");
    assert_eq!(live["linkId"], it.link_id());
    assert_eq!(live["grantingOrganizationId"], it.customer);
    assert_eq!(live["createdAt"], "2026-01-02T03:04:05.000Z");
    assert_eq!(live["expiresAt"], "2026-04-02T03:04:05.000Z");
    assert!(!live.to_string().contains(token), "not the address");

    let stranger = rig.broker();
    let filtered = format!("{LINKS}?grantingOrganizationId={}", it.customer);
    for path in [LINKS, &filtered] {
        assert_eq!(rig.get(path, &stranger.key, None).body["data"], json!([]));
        assert_eq!(rig.get(path, &it.broker.key, None).body["data"].as_array().unwrap().len(), 1);
    }
    let customers_own = rig.get(LINKS, &rig.key_of(&it.customer), None);
    assert_eq!(customers_own.text("/data/0/linkId"), it.link_id());
    let nobodys = format!("{LINKS}?grantingOrganizationId=org_nobody");
    assert_eq!(rig.get(&nobodys, &it.broker.key, None).body["data"], json!([]));
    for wrong in ["?limit=0", "?cursor=link_", "?cursor=loa_0000000000000001", "?status=LIVE"] {
        let refused = rig.get(&format!("{LINKS}{wrong}"), &it.broker.key, None);
        assert_eq!(refused.refusal(), (400, "validation_error"), "{wrong}");
    }

    rig.advance(90 * DAY_MS);
    assert_eq!(it.newest()["status"], "ENDED");
    it.session();
    let pages: Vec<Value> = {
        let first = rig.get(&format!("{LINKS}?limit=1"), &it.broker.key, None);
        let next = format!("{LINKS}?limit=1&cursor={}", first.text("/nextCursor"));
        let second = rig.get(&next, &it.broker.key, None);
        assert_eq!(second.body["nextCursor"], Value::Null);
        [first, second].map(|it| it.body["data"][0]["status"].clone()).to_vec()
    };
    assert_eq!(pages, ["LIVE", "ENDED"]);
    revoke_link(&rig.appliance, &it.link_id(), &operator()).unwrap();
    assert_eq!(it.newest()["status"], "REVOKED");
    rig.advance(1);
    it.session();
    it.revoke_loa();
    assert_eq!(it.newest()["status"], "WITHDRAWN");
}

#[test]
fn a_session_that_shows_its_link_again_is_no_loss_to_a_restore() {
    let it = Sitting::with("INDIVIDUAL", behind(AddressHeader::Any));
    let (register, copy) =
        (it.rig().directory.file("register.db"), it.rig().directory.file("copy.db"));
    it.rig().database().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    let lost = || -> Vec<String> {
        let kinds = countersign::store::losses(&register, &copy).unwrap().kinds;
        kinds.iter().map(|it| format!("{it:?}")).collect()
    };

    ask_from(&it, "198.51.100.7");
    assert_eq!(lost(), [""; 0], "where the newest session came from is a note");

    assert!(revoke_link(&it.rig().appliance, &it.link_id(), &operator()).unwrap());
    assert!(lost().iter().any(|it| it.contains("hand-off links")), "{:?}", lost());
}

/// What a link tells once its LOA was revoked: the stage, and the receipt if it was signed.
fn is_silent(it: &Sitting, receipt: u16) {
    for query in ["", "?stage=verify&wait=30", "?stage=done&wait=30", "?wait=30", "?stage=x"] {
        let status = it.get(&format!("/status{query}"));
        assert_eq!(status.body, json!({"object": "handoff_status", "stage": "withdrawn"}));
    }
    let token = it.post("/access-token", "");
    assert_eq!(token.status, 410);
    assert_eq!(token.body, json!({"object": "handoff_closed", "stage": "withdrawn"}));
    let page = it.get("");
    assert_eq!((page.status, it.post("/sign", "").status), (410, 410));
    for told in [&page.text, &it.get("/receipt").text, &it.get("/receipt.json").text] {
        for word in ["APPROVED", "REJECTED", "ON_HOLD", "PENDING", "declined"] {
            assert!(!told.contains(word), "{word} in {told}");
        }
    }
    for page in ["/receipt", "/receipt.json", "/letter.txt"] {
        assert_eq!(it.get(page).status, receipt, "{page}");
    }
    assert_eq!(page.text.contains("/receipt"), receipt == 200);
}

#[test]
fn a_link_whose_letter_was_revoked_tells_nothing_of_the_verification() {
    for story in [&[][..], &["submit"], &["submit", "approve"], &["submit", "reject"]] {
        let it = Sitting::new("INDIVIDUAL");
        it.sign();
        it.revoke_loa();
        let applicant = it.world.applicant(&it.customer);
        for action in story {
            it.world.play(&applicant, action);
        }
        is_silent(&it, 200);
    }
    let unsigned = Sitting::new("BUSINESS");
    unsigned.revoke_loa();
    is_silent(&unsigned, 404);
}

#[test]
fn a_wait_that_is_under_way_when_the_letter_is_revoked_tells_the_stage_alone() {
    for stage in ["verify", "review", "done"] {
        let it = Sitting::new("INDIVIDUAL");
        it.sign();
        let applicant = it.world.applicant(&it.customer);
        for action in ["submit", "approve"].iter().take(match stage {
            "verify" => 0,
            "review" => 1,
            _ => 2,
        }) {
            it.world.play(&applicant, action);
        }
        let told = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| it.get(&format!("/status?stage={stage}&wait=30")));
            wait_until_waiting(it.rig(), 1);
            it.revoke_loa();
            waiting.join().unwrap()
        });
        assert_eq!(told.body, json!({"object": "handoff_status", "stage": "withdrawn"}), "{stage}");
    }
}

#[test]
fn a_link_that_expired_with_its_approval_tells_the_stage_alone() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    let applicant = it.world.applicant(&it.customer);
    it.world.play(&applicant, "submit");
    it.world.play(&applicant, "approve");
    assert_eq!(it.get("/status").text("/verificationStatus"), "APPROVED");
    it.rig().advance(366 * DAY_MS);

    assert_eq!(it.get("/status").body, json!({"object": "handoff_status", "stage": "expired"}));
    assert_eq!(it.get("/receipt").status, 200);
    assert_eq!(it.newest()["status"], "EXPIRED");
}

#[test]
fn a_deed_that_is_loaded_again_leads_back_to_the_page() {
    let it = Sitting::new("INDIVIDUAL");
    let leads_back = || {
        for page in ["/sign", "/access-token", "/sign/", "/SIGN", "/sign?x=1"] {
            for method in ["GET", "HEAD"] {
                let answer = it.rig().call(method, &format!("{}{page}", it.path), &[], b"");
                let location = answer.header("location");
                assert_eq!((answer.status, location), (303, Some(it.path.as_str())), "{page}");
                assert_eq!(answer.header("cache-control"), Some("no-store"));
            }
        }
    };
    leads_back();
    it.sign();
    leads_back();
    it.revoke_loa();
    leads_back();
    let unknown = it.at("/h/00000000000000000000000000000000/sign");
    assert_eq!((unknown.status, unknown.header("location")), (404, None));
}

/// Sends a path exactly as it is written.
fn raw(it: &Sitting, path: &str) -> u16 {
    let mut stream = TcpStream::connect(it.rig().url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// What was seen, or can be expected, behind a link.
const GLUED: &[&str] = &[
    ".",
    ",",
    ";",
    ":",
    "!",
    ")",
    "]",
    "}",
    ">",
    "/",
    "//",
    "'",
    "\"",
    "*",
    "_",
    "~",
    "|",
    "`",
    "-",
    "=",
    "&",
    "&gt;",
    "&amp;",
    "&quot;",
    ").",
    ">.",
    "\">",
    ".)",
    "/.",
    "/)",
    "/>",
    "./",
    "%20",
    "%20/",
    "%2E",
    "%2C",
    "%3B",
    "%29",
    "%5D",
    "%3E",
    "%2F",
    "%22",
    "%27",
    "%60",
    "%7D",
    "%0A",
    "%0D%0A",
    "%09",
    "%00",
    "%C2%A0",
    "%E2%80%8B",
    "%E2%80%9D",
    "%E2%80%A6",
    "%EF%BC%89",
    "%E3%80%82",
    "%2520",
    "%FF",
    "%",
    "%2",
    "%zz",
    ".Please%20sign",
    "%20and",
    "?",
    "?utm=x",
    ".?x",
    "/?x=1",
];

#[test]
fn what_mail_and_chat_programs_glue_to_a_link_does_no_harm() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    let token = it.path.strip_prefix("/h/").unwrap();
    let wrong = "0".repeat(32);
    for glued in GLUED {
        assert_eq!(raw(&it, &format!("/h/{token}{glued}")), 200, "{glued}");
        assert_eq!(raw(&it, &format!("/h/{wrong}{glued}")), 404, "{glued}");
    }
    for before in ["/", "%20", "%3C", "<", "(", "%22", "%E2%80%9C", "./"] {
        assert_eq!(raw(&it, &format!("/h/{before}{token}")), 200, "{before}");
    }
}

#[test]
fn a_link_is_read_in_any_spelling_whatever_page_of_it() {
    let it = Sitting::new("INDIVIDUAL");
    it.sign();
    let token = it.path.strip_prefix("/h/").unwrap();
    let typed = token.replace('1', "I").replace('0', "O");
    let low = token.replace('1', "l").replace('0', "o");
    let encoded = format!("%{:02x}{}", token.as_bytes()[0], &token[1..]);
    for spelling in [token.to_ascii_uppercase(), typed, low, encoded] {
        for (page, status) in [
            ("", 200),
            ("/status", 200),
            ("/receipt", 200),
            ("/RECEIPT", 200),
            ("/receipt.", 200),
            ("/receipt)", 200),
            ("/receipt/", 200),
            ("/receipt.json", 200),
            ("/receipt.json%22%3E", 200),
            ("/letter.txt%20", 200),
            (")/receipt", 200),
            ("/sign.", 303),
            ("/access-token/", 303),
            ("/nothing", 404),
            ("/receipt/nothing", 404),
        ] {
            assert_eq!(raw(&it, &format!("/h/{spelling}{page}")), status, "{spelling}{page}");
            assert_eq!(raw(&it, &format!("/H/{spelling}{page}")), status, "{spelling}{page}");
        }
    }
    let form = it.rig().call("POST", &format!("{}/SIGN.", it.path), &[], b"");
    assert_eq!(form.status, 409, "a form is read likewise");
}

#[test]
fn a_wrong_or_overlong_link_is_the_same_page_whatever_is_glued_to_it() {
    let it = Sitting::new("INDIVIDUAL");
    let token = it.path.strip_prefix("/h/").unwrap();
    let page = |path: &str| {
        let answer = it.at(path);
        assert_eq!(answer.status, 404, "{path}");
        (answer.header("content-security-policy").unwrap().to_owned(), answer.text)
    };
    let first = page("/h/00000000000000000000000000000000");
    let longer = format!("/h/{token}{}", ".".repeat(2000));
    let deep = format!("/h/{token}{}", "/x".repeat(400));
    for path in [
        &format!("/h/{token}0"),
        &format!("/h/{token}please"),
        &format!("/h/{}", &token[1..]),
        &format!("/h/{}u", &token[1..]),
        &format!("/h/{}%20{}", &token[..16], &token[16..]),
        &format!("/h/x/{token}"),
        &format!("/h/{token}/status/{token}"),
        &longer,
        &deep,
    ] {
        assert_eq!(page(path), first, "{path}");
    }
    assert_eq!(raw(&it, &format!("/h/{token}{}", ".".repeat(100_000))), 414);
}

fn behind(header: AddressHeader) -> Setup {
    let trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap().naming_in(header).into();
    Setup { api: ApiSettings { trusted_proxies, ..Setup::default().api }, ..setup() }
}

/// A session whose broker calls from this address.
fn ask_from(it: &Sitting, address: &str) {
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", it.broker.key)),
        ("Nxos-On-Behalf-Of".to_owned(), it.customer.clone()),
        ("X-Forwarded-For".to_owned(), address.to_owned()),
    ];
    let session = it.rig().call("POST", "/v1/organizations/verification", &headers, b"");
    assert_eq!(session.status, 200, "{session:?}");
}

fn evidence(it: &Sitting) -> (Option<String>, Option<String>, Option<String>) {
    it.rig()
        .database()
        .query_row("SELECT address, forwarded, asked_from FROM signature_evidence", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap()
}

#[test]
fn a_signature_records_what_the_proxy_said_and_that_it_disagreed() {
    let both = [("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "203.0.113.9")];
    for (header, address) in [
        (AddressHeader::Any, "127.0.0.1"),
        (AddressHeader::XForwardedFor, "203.0.113.9"),
        (AddressHeader::Forwarded, "6.6.6.6"),
    ] {
        let it = Sitting::with("INDIVIDUAL", behind(header));
        let form = it.form();
        assert_eq!(it.post_with("/sign", &form, &both).status, 303);

        let receipt = it.get("/receipt.json");
        assert_eq!(receipt.text("/address"), address);
        assert_eq!(receipt.body["addressHeadersDisagree"], true);
        assert_eq!(
            receipt.body["addressHeaders"],
            json!([{"name": "Forwarded", "value": "for=6.6.6.6"},
                   {"name": "X-Forwarded-For", "value": "203.0.113.9"}])
        );
        let page = it.get("/receipt").text;
        assert!(
            page.contains("also named another network address: ")
                && page.contains(">Forwarded: for=6.6.6.6")
        );
        let recorded: Value = serde_json::from_str(&evidence(&it).1.unwrap()).unwrap();
        assert_eq!(recorded["headers"][1], json!(["X-Forwarded-For", "203.0.113.9"]));
        assert_eq!(recorded["disagree"], true);
    }
}

#[test]
fn a_signature_whose_headers_agree_or_are_absent_says_so() {
    for (headers, disagree) in [
        (&[][..], false),
        (&[("X-Forwarded-For", "203.0.113.9")], false),
        (&[("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "203.0.113.9")], false),
        (&[("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("Forwarded", "for=unknown")], false),
        (&[("Forwarded", "for=\"[2001:db8::1]\""), ("X-Forwarded-For", "2001:db8::2")], true),
    ] {
        let it = Sitting::with("INDIVIDUAL", behind(AddressHeader::Any));
        let form = it.form();
        assert_eq!(it.post_with("/sign", &form, headers).status, 303);

        let receipt = it.get("/receipt.json");
        assert_eq!(receipt.body["addressHeadersDisagree"], disagree, "{headers:?}");
        let recorded = receipt.body["addressHeaders"].as_array().unwrap().len();
        assert_eq!(recorded, headers.len(), "{headers:?}");
        assert_eq!(it.get("/receipt").text.contains("also named another"), disagree);
        assert_eq!(evidence(&it).1.is_some(), !headers.is_empty());
    }
    let it = Sitting::with("INDIVIDUAL", behind(AddressHeader::Any));
    let form = it.form();
    let long = format!("{}203.0.113.9", "6.6.6.6, ".repeat(300));
    assert_eq!(it.post_with("/sign", &form, &[("X-Forwarded-For", &long)]).status, 303);
    let (address, forwarded, _) = evidence(&it);
    assert_eq!(address.as_deref(), Some("203.0.113.9"));
    let forwarded = forwarded.unwrap();
    assert!(forwarded.contains("6.6.6.6, 203.0.113.9") && forwarded.len() < 700, "{forwarded}");
}

#[test]
fn a_letter_signed_from_where_its_link_was_asked_for_says_so() {
    const SAME: &str = "signed from the address that requested the link";
    for (asked, signer, is_same) in [
        (&["198.51.100.7"][..], "198.51.100.7", true),
        (&["198.51.100.7"], "203.0.113.9", false),
        // The newest session call counts.
        (&["203.0.113.9", "198.51.100.7"], "203.0.113.9", false),
        (&["198.51.100.7", "::ffff:203.0.113.9"], "203.0.113.9", true),
    ] {
        let it = Sitting::with("INDIVIDUAL", behind(AddressHeader::Any));
        for address in asked {
            ask_from(&it, address);
        }
        let form = it.form();
        let signed = it.post_with("/sign", &form, &[("X-Forwarded-For", signer)]);
        assert_eq!(signed.status, 303);

        let receipt = it.get("/receipt.json");
        assert_eq!(receipt.body["signedFromAddressOfLinkRequest"], is_same, "{asked:?} {signer}");
        assert_eq!(it.get("/receipt").text.contains(SAME), is_same);
        assert!(is_same || !receipt.text.contains("198.51.100.7"), "the broker's own is not told");
        let asked_from = evidence(&it).2.unwrap();
        assert_eq!(asked_from == signer, is_same, "{asked_from}");

        let shell = Shell::new();
        let database = it.rig().directory.file("register.db");
        let list = ["loa", "list", "--database", database.to_str().unwrap()];
        assert_eq!(shell.run(&list).ok().contains(SAME), is_same);
        let evidence = &shell.json(&list)["data"][0]["evidence"];
        assert_eq!(evidence["signedFromAddressOfLinkRequest"], is_same);
        assert_eq!(
            (&evidence["address"], &evidence["addressHeadersDisagree"]),
            (&json!(signer), &json!(false))
        );
    }
}

#[test]
fn a_link_that_no_session_asked_for_says_nothing_of_an_address() {
    let world = World::with(kind(), setup());
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    let it = Sitting { world, broker, customer, path: String::new() };
    let path = it.shown().1;
    let it = Sitting { path, ..it };
    it.sign();

    assert_eq!(it.get("/receipt.json").body["signedFromAddressOfLinkRequest"], Value::Null);
    assert!(!it.get("/receipt").text.contains("Link requested from"));
    assert_eq!(evidence(&it), (Some("127.0.0.1".to_owned()), None, None));
}
