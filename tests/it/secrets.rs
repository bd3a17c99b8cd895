//! What a server's log holds after a whole story: every request, and no secret.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::cli::{RECEIVERS, Resident, Shell};
use crate::crash::shell;
use crate::rig::{Answer, WEBHOOK_SECRET};
use crate::sumsub::World;
use countersign::sim::TenantId;

const VERIFICATION: &str = "/v1/organizations/verification";
const IMPORT: &str = "/v1/organizations/verification/import";
const KEYS: &str = "/v1/api-keys";
const ENDPOINTS: &str = "/v1/webhooks/endpoints";
const WRONG_KEY: &str = "nxos_sk_test_Qwrongkey";
const WRONG_SHARE_TOKEN: &str = "_act-sbx-jwt-Qwrongtoken";

/// A server that logs all it can, and everything that it wrote to stderr.
struct Talkative {
    server: Resident,
    lines: Receiver<String>,
    reader: JoinHandle<()>,
    log: String,
    url: String,
}

impl Talkative {
    fn start(shell: &Shell) -> Self {
        let mut server = Resident::start(shell, &["serve", "--listen", "127.0.0.1:0"]);
        let (lines, reader) = read_aside(server.0.stderr.take().unwrap());
        let mut log = String::new();
        let url = loop {
            let line = lines.recv().unwrap_or_else(|_| panic!("no greeting: {log}"));
            log.push_str(&line);
            if line.starts_with("countersign serves") {
                let mut words = line.split_whitespace();
                break words.find(|it| it.starts_with("http://")).unwrap().to_owned();
            }
        };
        Self { server, lines, reader, log, url }
    }

    fn stop(mut self) -> String {
        assert_eq!(self.server.terminate(), 0);
        self.reader.join().unwrap();
        self.log.extend(self.lines.iter());
        self.log
    }
}

fn read_aside(stream: impl Read + Send + 'static) -> (Receiver<String>, JoinHandle<()>) {
    let (sender, lines) = channel();
    let reader = std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).unwrap() > 0 {
            drop(sender.send(std::mem::take(&mut line)));
        }
    });
    (lines, reader)
}

/// What was answered and what must not be in the log, as the story goes.
struct Story<'a> {
    world: &'a World,
    broker: String,
    key: String,
    /// Request id, route, whose key it was if it was right, code.
    answered: Vec<(String, &'static str, Option<String>, u16)>,
    secrets: Vec<String>,
}

impl Story<'_> {
    fn keep(&mut self, route: &'static str, owner: Option<String>, answer: &Answer) {
        let id = answer.header("X-Request-Id").unwrap().to_owned();
        self.answered.push((id, route, owner, answer.status));
    }

    fn hide(&mut self, answer: &Answer, pointer: &str) -> String {
        self.secrets.push(answer.text(pointer).to_owned());
        answer.text(pointer).to_owned()
    }

    /// A POST of the broker's with an Idempotency-Key.
    fn post(
        &mut self,
        (path, route): (&str, &'static str),
        on_behalf_of: Option<&str>,
        body: &Value,
    ) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut headers = vec![
            ("Authorization", format!("Bearer {}", self.key)),
            ("Content-Type", "application/json".to_owned()),
            ("Idempotency-Key", format!("order-{}", self.answered.len())),
        ];
        headers.extend(on_behalf_of.map(|it| ("Nxos-On-Behalf-Of", it.to_owned())));
        let headers: Vec<_> = headers.into_iter().map(|(name, it)| (name.to_owned(), it)).collect();
        let answer = self.world.rig.call("POST", path, &headers, text.as_bytes());
        self.keep(route, Some(self.broker.clone()), &answer);
        answer
    }

    fn get(&mut self, path: &'static str, key: &str, on_behalf_of: Option<&str>) -> u16 {
        let answer = self.world.rig.get(path, key, on_behalf_of);
        let owner = (key != WRONG_KEY).then(|| self.broker.clone());
        self.keep(path, owner, &answer);
        answer.status
    }

    fn customer(&mut self, kind: &str) -> String {
        let path = ("/v1/organizations", "/v1/organizations");
        let made = self.post(path, None, &json!({"name": "Acme", "type": kind}));
        made.text("/organizationId").to_owned()
    }

    fn sessions(&mut self) {
        let customer = self.customer("BUSINESS");
        let session = self.post((VERIFICATION, VERIFICATION), Some(&customer), &Value::Null);
        self.hide(&session, "/accessToken");
        self.hide(&session, "/url");
        assert_eq!(self.get(VERIFICATION, WRONG_KEY, None), 401);
        assert_eq!(self.get("/v1/organizations", &self.key.clone(), Some(&customer)), 403);
        // Sumsub is ill, and tells in its illness what it was asked.
        let said = format!("token for {} by {}", self.secrets.join(" "), self.key);
        self.world.fault(&json!({"path": "/resources", "count": 50, "status": 500, "body": said}));
        let failed = self.post((VERIFICATION, VERIFICATION), Some(&customer), &Value::Null);
        assert!(failed.status >= 500, "{failed:?}");
        self.world.control("DELETE", "/faults", &Value::Null);
    }

    fn imports(&mut self, shell: &Shell) {
        let customer = self.customer("INDIVIDUAL");
        let parties = ["--granting", &customer, "--authorized", &self.broker];
        let evidence = ["--signer-name", "Jo", "--signer-role", "self", "--how", "paper"];
        shell
            .run(&[&["loa", "sign"], &parties[..], &evidence, &["--reference", "1"]].concat())
            .ok();
        let wrong = json!({"shareToken": WRONG_SHARE_TOKEN});
        let refused = self.post((IMPORT, IMPORT), Some(&customer), &wrong);
        assert_eq!(refused.refusal(), (400, "share_token_invalid"));

        let token = self.world.share_token();
        self.secrets.push(token.clone());
        let right = json!({"shareToken": token});
        for answer in [404, 500] {
            let fault = json!({"path": "/resources", "count": 50, "status": answer, "body": token});
            self.world.fault(&fault);
            self.post((IMPORT, IMPORT), Some(&customer), &right);
            self.world.control("DELETE", "/faults", &Value::Null);
        }
        let imported = self.post((IMPORT, IMPORT), Some(&customer), &right);
        assert_eq!(imported.status, 200, "{imported:?}");
    }

    fn webhooks(&mut self) {
        let body = json!({"applicantId": "a1", "type": "applicantPending", "sandboxMode": true});
        let right = self.world.rig.deliver(&body);
        self.keep("/webhooks/sumsub", None, &right);
        let digest = [
            ("X-Payload-Digest".to_owned(), "00".repeat(32)),
            ("X-Payload-Digest-Alg".to_owned(), "HMAC_SHA256_HEX".to_owned()),
        ];
        let wrong = self.world.rig.call("POST", "/webhooks/sumsub", &digest, b"{}");
        self.keep("/webhooks/sumsub", None, &wrong);
        assert!(right.status == 200 && (400..500).contains(&wrong.status), "{right:?} {wrong:?}");
    }

    fn keys(&mut self) {
        let made = self.post((KEYS, KEYS), None, &json!({"name": "second"}));
        let (id, key) = (made.text("/id").to_owned(), self.hide(&made, "/key"));
        assert_eq!(self.get("/v1/organizations", &key, None), 200);
        let path = format!("{KEYS}/{id}/rotate");
        let rotated = self.post((&path, "/v1/api-keys/{id}"), None, &Value::Null);
        self.hide(&rotated, "/key");
    }

    fn endpoints(&mut self) {
        // Nobody listens there.
        let endpoint = json!({"url": "http://127.0.0.1:9/hook"});
        let made = self.post((ENDPOINTS, ENDPOINTS), None, &endpoint);
        let path = format!("{ENDPOINTS}/{}/secret", made.text("/id"));
        let told = self.world.rig.get(&path, &self.key, None);
        self.keep("/v1/webhooks/endpoints/{id}", Some(self.broker.clone()), &told);
        self.hide(&told, "/secret");
    }
}

#[test]
fn no_secret_reaches_the_log_and_every_request_is_one_line_of_it() {
    // The other process signs by the real clock, so the simulator must live in it too.
    let mut world = World::in_real_time();
    let shell = shell(&world).with(&[("COUNTERSIGN_LOG", "trace"), RECEIVERS]);
    let (broker, _) = shell.parties();
    let key = shell.run(&["key", "create", "--org", &broker, "--name", "first"]).ok();
    let server = Talkative::start(&shell);
    world.rig.url.clone_from(&server.url);
    let sumsub = world.simulator.credentials(TenantId::Recipient);
    let mut story = Story {
        world: &world,
        broker,
        key: key.clone(),
        answered: Vec::new(),
        secrets: vec![
            key,
            WRONG_KEY.to_owned(),
            WRONG_SHARE_TOKEN.to_owned(),
            WEBHOOK_SECRET.to_owned(),
            sumsub.app_token,
            sumsub.secret_key,
        ],
    };

    story.sessions();
    story.imports(&shell);
    story.webhooks();
    story.keys();
    story.endpoints();
    let log = server.stop();

    for secret in &story.secrets {
        assert!(secret.len() > 8 && !log.contains(secret), "{secret}\n{log}");
        // Nor the part of it that a reader could do with, in whatever it was wrapped.
        let tail = &secret[secret.len() - secret.len() / 2..];
        assert!(!log.contains(tail), "{tail}\n{log}");
    }
    let mut told: HashMap<String, Value> = HashMap::new();
    for line in log.lines().filter_map(|it| serde_json::from_str::<Value>(it).ok()) {
        if line["target"] == "request" {
            let id = line["id"].as_str().unwrap().to_owned();
            assert!(told.insert(id, line).is_none(), "two lines of one request: {log}");
        }
    }
    for (id, route, owner, code) in &story.answered {
        let line = told.get(id).unwrap_or_else(|| panic!("no line of {id}: {log}"));
        assert_eq!((&line["route"], &line["code"]), (&json!(route), &json!(code)), "{line}");
        assert_eq!(line["organization"], json!(owner), "{line}");
        assert!(line["duration_us"].is_u64(), "{line}");
    }
    assert_eq!(told.len(), story.answered.len(), "{log}");
}
