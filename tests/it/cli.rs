//! The command line as an operator meets it: the built program, its two streams, its exit codes.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::rig::Directory;

/// What a secret looks like here, so that any trace of one is found.
pub(crate) const SECRETS: [(&str, &str); 3] = [
    ("COUNTERSIGN_SUMSUB_APP_TOKEN", "sbx:Qaaaa.Qbbbb"),
    ("COUNTERSIGN_SUMSUB_SECRET_KEY", "Qcccc"),
    ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "Qdddd"),
];
/// The receivers of the tests.
pub(crate) const RECEIVERS: (&str, &str) = ("COUNTERSIGN_WEBHOOK_ALLOW", "127.0.0.0/8,::1");
/// Nobody listens there.
pub(crate) const SUMSUB: [(&str, &str); 3] = [
    ("COUNTERSIGN_SUMSUB_URL", "http://127.0.0.1:9"),
    ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb"),
    ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc"),
];
const MISSING: [&str; 3] = ["sumsub-app-token", "sumsub-secret-key", "sumsub-webhook-secret"];
/// Far enough ahead.
const EXPIRY: &str = "9000-01-01T00:00:00.000Z";
/// The login uid of a process that no login led to.
const NO_LOGIN: &str = "4294967295";
/// How often something is looked at that another process is about to do.
const LOOKS_MAX: usize = 1000;

/// A directory to work in, and nothing of this process's environment.
pub(crate) struct Shell {
    pub(crate) directory: Directory,
    variables: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out.trim_end().to_owned()
    }

    /// Whose code is a verdict beside an answer.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> String {
        assert_eq!(self.code, code, "{} {}", self.out, self.err);
        self.out
    }

    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "{} {}", self.out, self.err);
        assert_eq!(self.out, "");
        self.err
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self { directory: Directory::new(), variables: Vec::new() }
    }

    pub(crate) fn with(mut self, variables: &[(&str, &str)]) -> Self {
        self.variables
            .extend(variables.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned())));
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, it)| (name, it)))
            .env("TMPDIR", &self.directory.0)
            .current_dir(&self.directory.0)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    /// Behind another command.
    pub(crate) fn run_behind(&self, wrapper: &[&str], arguments: &[&str]) -> Ran {
        let command = self.command(arguments);
        let mut behind = Command::new(wrapper[0]);
        behind
            .args(&wrapper[1..])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(&self.directory.0)
            .env_clear()
            .envs(command.get_envs().filter_map(|(name, it)| Some((name, it?))));
        ran(&mut behind)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let text = self.run(&arguments).ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    pub(crate) fn organization(&self, arguments: &[&str]) -> String {
        self.run(&[&["org", "create", "--name", "Acme"], arguments].concat()).ok()
    }

    /// A broker and its customer.
    pub(crate) fn parties(&self) -> (String, String) {
        let broker = self.organization(&["--type", "BUSINESS"]);
        let customer = self.organization(&["--type", "BUSINESS", "--created-by", &broker]);
        (broker, customer)
    }
}

/// What `id` says of a user, or of whoever runs the tests.
fn id(arguments: &[&str]) -> Option<String> {
    let output = Command::new("id").args(arguments).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    Some(told).filter(|_| output.status.success())
}

/// What the register records of a user who runs a command in this login session.
fn recorded(uid: &str) -> String {
    let login = |uid: &str| id(&["-un", uid]).unwrap_or_else(|| format!("uid:{uid}"));
    let session = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    match session.trim() {
        it if ["", NO_LOGIN, uid].contains(&it) => format!("operator:{}", login(uid)),
        it => format!("operator:{} (as {})", login(it), login(uid)),
    }
}

/// What the register records of whoever runs the tests.
pub(crate) fn operator() -> String {
    recorded(&id(&["-ru"]).unwrap())
}

/// A process that stays; ended with the test at the latest.
pub(crate) struct Resident(pub(crate) Child);

impl Resident {
    pub(crate) fn start(shell: &Shell, arguments: &[&str]) -> Self {
        let mut command = shell.command(arguments);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn out_lines(&mut self, count: usize) -> Vec<String> {
        lines(self.0.stdout.take().unwrap(), count)
    }

    pub(crate) fn terminate(mut self) -> i32 {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        self.0.wait().unwrap().code().unwrap()
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) fn lines(stream: impl std::io::Read, count: usize) -> Vec<String> {
    BufReader::new(stream).lines().take(count).map(Result::unwrap).collect()
}

pub(crate) fn http(method: &str, url: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = agent.run(request.body("").unwrap()).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[test]
fn config_shows_every_value_with_its_source_and_never_a_secret() {
    let shell = Shell::new().with(&SECRETS[1..]).with(&[
        ("COUNTERSIGN_DATABASE", "env.db"),
        ("COUNTERSIGN_SESSION_TTL", "600"),
        ("COUNTERSIGN_SUMSUB_APP_TOKEN_FILE", "token"),
    ]);
    std::fs::write(shell.directory.file("token"), "sbx:Qaaaa.Qbbbb\n").unwrap();
    let arguments = ["config", "--database", "flag.db"];

    let (people, programs) = (shell.run(&arguments), shell.json(&arguments));

    let setting = |name: &str| {
        let all = programs["settings"].as_array().unwrap();
        let it = all.iter().find(|it| it["name"] == name).unwrap();
        (it["value"].as_str().unwrap().to_owned(), it["source"].as_str().unwrap().to_owned())
    };
    let is = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    assert_eq!(setting("database"), is("flag.db", "flag"));
    assert_eq!(setting("session-ttl"), is("600", "environment"));
    assert_eq!(setting("import-mode"), is("reuse", "default"));
    assert_eq!(setting("sumsub-app-token"), is("set", "file token"));
    assert_eq!(setting("sumsub-secret-key"), is("set", "environment"));
    assert!(people.out.contains("sumsub-secret-key         set"), "{}", people.out);
    for text in [people.out, people.err, programs.to_string()] {
        let shows = ["Qaaaa", "Qbbbb", "Qcccc", "Qdddd"].iter().any(|it| text.contains(it));
        assert!(!shows, "{text}");
    }
}

#[test]
fn a_list_is_the_sum_of_its_flags_and_outranks_its_variable() {
    let shell = Shell::new().with(&[("COUNTERSIGN_WEBHOOK_ALLOW", "10.0.0.0/8")]);
    let flags = ["--webhook-allow", "127.0.0.1:9000", "--webhook-allow", "[fd00::/8]:443, ::1"];

    let shown = |arguments: &[&str]| {
        let programs = shell.json(&[&["config"], arguments].concat());
        let all = programs["settings"].as_array().unwrap().clone();
        all.into_iter().find(|it| it["name"] == "webhook-allow").unwrap()["value"].clone()
    };

    assert_eq!(shown(&flags), "127.0.0.1:9000,[fd00::/8]:443, ::1");
    assert_eq!(shown(&[]), "10.0.0.0/8");
    for wrong in ["localhost:9000", "127.0.0.1:0", "10.0.0.0/33", "fd00::/129:9000", ""] {
        let error = shell.run(&["config", "--webhook-allow", wrong]).refused(2);
        assert!(error.contains("as 127.0.0.1:9000, 10.0.0.0/8 or [fd00::/8]:443"), "{error}");
    }
}

#[test]
fn no_refusal_shows_a_secret() {
    for (index, (name, secret)) in SECRETS.iter().enumerate() {
        let file = format!("{name}_FILE");
        let shell = Shell::new().with(&[(name, secret), (&file, "token")]);

        let error = shell.run(&["config"]).refused(2);

        assert!(error.contains(name) && error.contains(&file), "{error}");
        assert!(!error.contains('Q'), "{index}: {error}");
    }
}

#[test]
fn live_refuses_to_serve_and_names_all_that_is_missing_at_once() {
    let shell = Shell::new();

    let error = shell.run(&["serve", "--environment", "live"]).refused(2);

    for name in MISSING {
        let variable = format!("COUNTERSIGN_{}", name.to_uppercase().replace('-', "_"));
        assert!(error.contains(&format!("{name}: set {variable}, {variable}_FILE")), "{error}");
    }
    assert!(!error.contains("demo"), "{error}");
    assert!(!shell.directory.file("countersign.db").exists());
}

#[test]
fn live_refuses_to_send_its_secrets_in_clear() {
    let shell = Shell::new().with(&SECRETS).with(&SUMSUB);

    let error = shell.run(&["serve", "--environment", "live"]).refused(2);

    assert!(error.contains("http://127.0.0.1:9") && error.contains("https://"), "{error}");
}

#[test]
fn test_without_an_account_is_shown_to_the_demo() {
    let error = Shell::new().run(&["serve"]).refused(2);

    assert!(error.contains("COUNTERSIGN_SUMSUB_APP_TOKEN_FILE"), "{error}");
    assert!(error.contains("`countersign demo`"), "{error}");
}

#[test]
fn an_operator_sets_up_a_broker_its_customer_and_their_letter() {
    let shell = Shell::new();
    let (broker, customer) = shell.parties();
    let parties = ["--granting", customer.as_str(), "--authorized", broker.as_str()];
    let loa = |word: &str, more: &[&str]| shell.run(&[&["loa", word], &parties[..], more].concat());
    let evidence = ["--signer-name", "Jo Doe", "--signer-role", "Director", "--how", "paper"];
    let signed = [&evidence[..], &["--reference", "vault/1", "--at", "2026-05-14"]].concat();

    assert!(shell.run(&["loa", "list"]).ok().contains("PENDING"));
    assert!(loa("sign", &evidence).refused(2).contains("--reference"));
    assert!(loa("sign", &signed).ok().contains("suspended, the granter is NOT_STARTED"));
    assert!(loa("sign", &signed).refused(1).contains("signed already"));
    assert!(loa("request", &[]).refused(1).contains("countersign loa revoke"));
    let listed = shell.json(&["loa", "list", "--org", &broker]);
    assert!(loa("revoke", &["--reason", "contract ended"]).ok().contains("ended: contract ended"));
    assert!(loa("revoke", &[]).refused(3).contains(&customer));
    assert!(loa("request", &[]).ok().starts_with("PENDING"));

    assert_eq!(listed["data"][0]["signedAt"], "2026-05-14T00:00:00.000Z");
    assert_eq!(listed["data"][0]["effective"], false);
    assert_eq!(shell.json(&["org", "show", &customer])["createdByOrganizationId"], json!(broker));
}

#[test]
fn a_key_is_shown_once_listed_without_itself_and_revoked_by_its_id() {
    let shell = Shell::new();
    let broker = shell.organization(&["--type", "BUSINESS"]);

    let made = shell.run(&["key", "create", "--org", &broker, "--name", "backend"]);
    let (key, note) = (made.out.trim_end().to_owned(), made.err);
    let listed = shell.json(&["key", "list", "--org", &broker]);
    let id = listed["data"][0]["id"].as_str().unwrap();

    assert!(key.starts_with("nxos_sk_test_") && !key.contains('\n'), "{key}");
    assert!(note.contains("store it now") && !note.contains(&key), "{note}");
    assert!(!listed.to_string().contains(&key));
    assert!(!shell.run(&["key", "revoke", &key]).refused(3).contains(&key));
    assert!(shell.run(&["key", "revoke", id]).ok().contains("revoked"));
    assert_eq!(shell.run(&["key", "revoke", id]).code, 3);
    assert!(shell.run(&["key", "list"]).ok().contains("revoked"));
}

#[test]
fn a_key_is_made_with_scopes_and_an_expiry_and_rotated_with_an_overlap() {
    let shell = Shell::new();
    let broker = shell.organization(&["--type", "BUSINESS"]);
    let create = ["key", "create", "--org", &broker, "--name", "reports"];
    let made =
        shell.json(&[&create[..], &["--scopes", "read", "--expires-at", "9000-01-01"]].concat());
    let id = made["id"].as_str().unwrap();

    let rotated = shell.run(&["key", "rotate", id, "--overlap", "1h"]);
    let (successor, note) = (rotated.out.trim_end(), &rotated.err);
    let listed = shell.json(&["key", "list"])["data"].clone();
    let (new, old) = (&listed[0], &listed[1]);

    assert!(made["key"].as_str().unwrap().starts_with("nxos_sk_test_"));
    assert_eq!((&made["scopes"], &made["expiresAt"]), (&json!(["read"]), &EXPIRY.into()));
    assert!(successor.starts_with("nxos_sk_test_") && made["key"] != successor, "{note}");
    assert!(note.contains(new["id"].as_str().unwrap()) && note.contains(id), "{note}");
    assert!(note.contains(old["expiresAt"].as_str().unwrap()), "{note}");
    assert_eq!(
        *new,
        json!({"object": "api_key", "id": new["id"], "organizationId": broker, "name": "reports",
            "scopes": ["read"], "createdAt": new["createdAt"], "expiresAt": null,
            "lastUsedAt": null, "revokedAt": null, "createdByKeyId": null})
    );
    assert_ne!(old["expiresAt"], EXPIRY, "the overlap ends it sooner");
    let people = shell.run(&["key", "list", "--org", &broker]).ok();
    assert!(people.contains("SCOPES") && people.contains("LAST USED"), "{people}");
    assert!(people.contains(old["expiresAt"].as_str().unwrap()), "{people}");
    assert_eq!(shell.json(&["key", "rotate", id, "--overlap", "0"])["scopes"], json!(["read"]));
    assert!(shell.run(&["key", "list"]).ok().contains("expired"));
    assert!(shell.run(&["key", "rotate", id]).refused(3).contains("no active key"));
    assert!(shell.run(&[&create[..], &["--expires-at", "2020-01-01"]].concat()).code == 2);
    let second = new["id"].as_str().unwrap();
    assert!(
        shell.run(&["key", "rotate", second, "--overlap", "31d"]).refused(2).contains("30 days")
    );
    let revoked = shell.json(&["key", "revoke", second]);
    assert_eq!((&revoked["id"], revoked["revokedAt"].is_string()), (&new["id"], true));
}

#[test]
fn an_operator_is_told_why_a_broker_may_not_act_and_in_whose_words() {
    let shell = Shell::new();
    let (broker, customer) = shell.parties();
    let parties = ["--granting", customer.as_str(), "--authorized", broker.as_str()];
    let whole = [&["explain"], &parties[..]].concat();
    let explain = || shell.run(&whole);
    let fresh = explain().ok();
    let before = shell.json(&whole)["at"].as_str().unwrap().to_owned();
    let evidence = ["--signer-name", "Jo Doe", "--signer-role", "Director", "--how", "paper"];
    let sign = [&["loa", "sign"], &parties[..], &evidence, &["--reference", "vault/1"]].concat();
    shell.run(&sign).ok();
    let decide = |word: &str| {
        shell.run(&["verification", word, &customer, "--reason", "ticket 4711"]).ok();
    };

    decide("hold");
    let held = explain().ok();
    decide("approve");
    let effective = explain().ok();
    let then = shell.json(&[&whole[..], &["--at", &before]].concat());

    let me = operator();
    for (text, told) in [
        (&fresh, format!("{broker} may not act for {customer} at ")),
        (&fresh, "holds    authorization_live     PENDING since ".to_owned()),
        (&fresh, "missing  authorization_signed   PENDING since ".to_owned()),
        (&fresh, "missing  verification_approved  NOT_STARTED since ".to_owned()),
        (&fresh, format!("issued, authorization_event_1, {me}")),
        (&fresh, "Next  customer: Sign the Letter".to_owned()),
        (&held, "holds    authorization_signed   ACTIVE since ".to_owned()),
        (&held, format!("{me}: Jo Doe, Director, paper, vault/1")),
        (&held, "missing  verification_approved  ON_HOLD since ".to_owned()),
        (&held, format!("operator_hold, verification_event_1, {me}: ticket 4711")),
        (&held, "Next  operator: Review".to_owned()),
        (&effective, format!("{broker} may act for {customer} at ")),
        (&effective, "holds    verification_approved  APPROVED since ".to_owned()),
        (&effective, "Next  nothing has to happen".to_owned()),
    ] {
        assert!(text.contains(&told), "{told}\n{text}");
    }
    assert_eq!(
        (&then["object"], &then["at"]),
        (&"authorization_explanation".into(), &before.into())
    );
    assert_eq!(then["conditions"][1]["value"], "PENDING", "as it was known then");
    assert!(shell.run(&[&whole[..], &["--at", EXPIRY]].concat()).refused(2).contains("lies ahead"));
}

#[test]
fn a_refused_calls_id_leads_an_operator_to_the_reason() {
    let shell = Shell::new().with(&SECRETS).with(&SUMSUB);
    let (broker, customer) = shell.parties();
    let key = shell.run(&["key", "create", "--org", &broker, "--name", "test"]).ok();
    let mut server = Resident::start(&shell, &["serve", "--listen", "127.0.0.1:0"]);
    let told = lines(server.0.stderr.take().unwrap(), 1).remove(0);
    let url = told.split_whitespace().find(|it| it.starts_with("http://")).unwrap().to_owned();
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Nxos-On-Behalf-Of", &customer)];
    let (status, refused) = http("GET", &format!("{url}/v1/organizations"), &headers);
    let request = refused["error"]["requestId"].as_str().unwrap();
    assert_eq!(status, 403);
    // Refusals are noted behind the answer.
    let is_noted = || shell.run(&["explain", "--request", request]).code == 0;
    assert!((0..LOOKS_MAX).any(|_| is_noted()), "the refusal was not noted");
    assert_eq!(server.terminate(), 0);
    let evidence = ["--signer-name", "Jo", "--signer-role", "Director", "--how", "paper"];
    let parties = ["--granting", &customer, "--authorized", &broker];
    shell.run(&[&["loa", "sign"], &parties[..], &evidence, &["--reference", "1"]].concat()).ok();

    let people = shell.run(&["explain", "--request", request]).ok();
    let programs = shell.json(&["explain", "--request", request]);

    assert!(people.starts_with(&format!("{request} (act) was refused at ")), "{people}");
    assert!(people.contains(": not_signed\n") && people.contains("may not act"), "{people}");
    assert_eq!(programs["authorizedOrganizationId"], json!(broker));
    assert_eq!(programs["conditions"][1]["value"], "PENDING", "as it was when it was refused");
}

#[test]
fn the_history_of_a_status_is_told_newest_first_with_its_sources() {
    let shell = Shell::new();
    let (_, customer) = shell.parties();
    let history = ["verification", "history", customer.as_str()];
    assert!(shell.run(&history).err.contains("countersign verification start"));
    for word in ["hold", "reject"] {
        shell.run(&["verification", word, &customer, "--reason", "ticket 4711"]).ok();
    }

    let (people, programs) = (shell.run(&history).ok(), shell.json(&history));

    let rows: Vec<Vec<&str>> = people.lines().map(|it| it.split_whitespace().collect()).collect();
    assert_eq!(rows[1][1..], ["ON_HOLD", "REJECTED", "operator", "operator_reject", "-"]);
    assert_eq!(rows[2][1..], ["NOT_STARTED", "ON_HOLD", "operator", "operator_hold", "-"]);
    assert_eq!(
        programs["data"][0],
        json!({"object": "organization_verification_event", "status": "REJECTED",
            "previousStatus": "ON_HOLD", "source": "operator", "cause": "operator_reject",
            "note": null, "at": rows[1][0]})
    );
    assert_eq!((&programs["hasMore"], &programs["nextCursor"]), (&json!(false), &json!(null)));
}

#[test]
fn a_list_goes_on_behind_its_cursor() {
    let shell = Shell::new();
    let (broker, first) = shell.parties();
    let second = shell.organization(&["--type", "INDIVIDUAL", "--created-by", &broker]);
    let page = |group: &str, cursor: &[&str]| {
        shell.json(&[&[group, "list", "--limit", "1"], cursor].concat())
    };

    let newest = page("loa", &[]);
    let cursor = newest["nextCursor"].as_str().unwrap();
    let oldest = page("loa", &["--cursor", cursor]);

    assert_eq!(newest["data"][0]["grantingOrganizationId"], json!(second));
    assert_eq!(oldest["data"][0]["grantingOrganizationId"], json!(first));
    assert_eq!((&oldest["hasMore"], &oldest["nextCursor"]), (&json!(false), &json!(null)));
    assert!(shell.run(&["loa", "list", "--limit", "1"]).err.contains(cursor));
    assert_eq!(page("org", &[])["nextCursor"], json!(second));
    assert_eq!(page("org", &["--cursor", &second])["data"][0]["organizationId"], json!(first));
}

#[test]
fn a_decision_needs_a_reason_and_a_status_that_it_fits() {
    let shell = Shell::new();
    let (_, customer) = shell.parties();
    let decide = |word: &str, reason: &[&str]| {
        shell.run(&[&["verification", word, customer.as_str()], reason].concat())
    };
    let because = ["--reason", "ticket 4711"];

    for word in ["hold", "approve", "reject", "resubmit", "reopen"] {
        assert!(decide(word, &[]).refused(2).contains("--reason"));
        assert!(decide(word, &["--reason", "  "]).refused(2).contains("1 to 500"));
    }
    for word in ["approve", "reject", "resubmit", "reopen"] {
        assert!(decide(word, &because).refused(1).contains("NOT_STARTED"));
    }
    assert!(decide("hold", &because).ok().contains("ON_HOLD"));
    assert!(decide("reject", &because).ok().contains("REJECTED"));
    assert!(decide("reopen", &because).ok().contains("RESUBMISSION_REQUIRED"));
    assert!(decide("hold", &because).ok().contains("ON_HOLD"));
    assert!(decide("approve", &because).ok().contains("APPROVED"));

    let shown = shell.run(&["verification", "show", &customer]).ok();
    let facts = shell.json(&["verification", "show", &customer])["facts"].clone();
    assert!(
        shown.contains("operator_reopen")
            && shown.contains(&format!("{}: ticket 4711", operator()))
    );
    assert_eq!(facts.as_array().unwrap().len(), 5);
    assert_eq!(facts[0]["cause"], json!({"actor": operator(), "reason": "ticket 4711"}));
}

/// Puts a customer on hold by a command behind another, and says who the register says did it.
fn held_by(shell: &Shell, wrapper: &[&str]) -> Result<Value, Ran> {
    let (_, customer) = shell.parties();
    let hold = shell.command(&["verification", "hold", &customer, "--reason", "ticket 4711"]);
    let words = wrapper.iter().map(OsStr::new).chain([hold.get_program()]).chain(hold.get_args());
    let words: Vec<&OsStr> = words.collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(&shell.directory.0).env_clear();
    command.envs(hold.get_envs().filter_map(|(name, it)| Some((name, it?))));

    match ran(&mut command) {
        Ran { code: 0, .. } => {
            let shown = shell.json(&["verification", "show", &customer]);
            Ok(shown["facts"][0]["cause"]["actor"].clone())
        }
        failed => Err(failed),
    }
}

/// What an operator may claim to be.
const CLAIMS: [(&str, &str); 4] =
    [("USER", "anybody"), ("LOGNAME", "x"), ("SUDO_USER", "somebody"), ("SUDO_UID", "0")];

#[test]
fn an_operator_is_whom_the_system_knows_and_no_variable_changes_that() {
    let shell = Shell::new().with(&CLAIMS);

    assert_eq!(held_by(&shell, &[]).unwrap(), json!(operator()));
}

#[test]
fn an_operator_without_a_login_is_recorded_by_their_number() {
    const NOBODYS_UID: &str = "54321";
    if id(&["-u"]).as_deref() != Some("0") || Command::new("setpriv").arg("-V").output().is_err() {
        println!("skipped: only root with setpriv (util-linux) can be somebody else");
        return;
    }
    let shell = Shell::new().with(&CLAIMS).with(&[("SUDO_UID", "1")]);

    // Only the real user changes, so that the register stays within reach.
    let held = held_by(&shell, &["setpriv", "--ruid", NOBODYS_UID]).unwrap();

    assert_eq!(held, json!(recorded(NOBODYS_UID)));
    assert!(held.as_str().unwrap().contains("uid:54321"), "{held}");
}

#[test]
fn who_logged_in_is_recorded_beside_whom_they_act_as() {
    const SESSION: &str = "1";
    let shell = Shell::new().with(&CLAIMS).with(&[("SUDO_UID", "2")]);
    // What pam_loginuid does when somebody logs in; most kernels take it only once.
    let log_in = "echo $0 > /proc/self/loginuid || exit 99; exec \"$@\"";

    match held_by(&shell, &["sh", "-c", log_in, SESSION]) {
        Ok(held) => {
            let login = |uid: &[&str]| id(uid).unwrap();
            let both = format!("operator:{} (as {})", login(&["-un", SESSION]), login(&["-run"]));
            assert_eq!(held, json!(both));
        }
        Err(Ran { code: 99, err, .. }) => println!("skipped: {err}"),
        Err(failed) => panic!("{}", failed.err),
    }
}

#[test]
fn what_is_not_there_is_exit_3_and_says_where_to_look() {
    let shell = Shell::new();
    let (broker, _) = shell.parties();
    let absent: [&[&str]; 11] = [
        &["org", "show", "org_no"],
        &["verification", "show", "org_no"],
        &["verification", "history", "org_no"],
        &["verification", "hold", "org_no", "--reason", "x"],
        &["explain", "--granting", "org_no", "--authorized", &broker],
        &["explain", "--granting", &broker, "--authorized", "org_no"],
        &["key", "create", "--org", "org_no", "--name", "x"],
        &["key", "list", "--org", "org_no"],
        &["key", "rotate", "key_no"],
        &["inbox", "show", "17"],
        &["loa", "revoke", "--granting", &broker, "--authorized", "org_no"],
    ];
    for arguments in absent {
        let error = shell.run(arguments).refused(3);
        assert!(error.contains("list` shows"), "{arguments:?}: {error}");
    }
    assert!(shell.run(&["explain", "--request", "req_no"]).refused(3).contains("on record"));
}

#[test]
fn a_register_that_cannot_be_used_is_exit_5_and_is_left_alone() {
    let shell = Shell::new();
    let missing = shell.run(&["org", "list"]).refused(5);
    shell.parties();
    let other = shell.run(&["org", "list", "--environment", "live"]).refused(5);
    let text = "Dear diary, this is no database at all.\n".repeat(40);
    std::fs::write(shell.directory.file("diary"), &text).unwrap();

    let foreign = shell.run(&["org", "list", "--database", "diary"]).refused(5);

    assert!(missing.contains("countersign.db") && missing.contains("countersign org create"));
    assert!(other.contains("COUNTERSIGN_ENVIRONMENT=test"), "{other}");
    assert!(foreign.contains("not a Countersign register"), "{foreign}");
    assert_eq!(std::fs::read_to_string(shell.directory.file("diary")).unwrap(), text);
}

#[test]
fn an_unreachable_sumsub_is_exit_4_and_changes_nothing() {
    let shell = Shell::new().with(&SECRETS).with(&SUMSUB);
    let (_, customer) = shell.parties();

    let error = shell.run(&["verification", "start", &customer]).refused(4);

    assert!(error.contains("check sumsub-url"), "{error}");
    assert_eq!(shell.json(&["verification", "show", &customer])["status"], "NOT_STARTED");
}

#[test]
fn wrong_usage_is_exit_2_and_bounds_are_told() {
    let shell = Shell::new();
    let many =
        format!("{{{}}}", (0..51).map(|it| format!("\"k{it}\":1")).collect::<Vec<_>>().join(","));
    let key = ["key", "create", "--org", "org_a", "--name", "a"];
    let parties = ["explain", "--granting", "org_a", "--authorized", "org_b"];
    let wrong: [(&[&str], &str); 16] = [
        (&["frobnicate"], "unrecognized subcommand"),
        (&["org", "create", "--name", "a", "--type", "business"], "BUSINESS"),
        (&["org", "create", "--name", " ", "--type", "BUSINESS"], "1 to 200"),
        (
            &["org", "create", "--name", "a", "--type", "BUSINESS", "--metadata", "[]"],
            "JSON object",
        ),
        (&["org", "create", "--name", "a", "--type", "BUSINESS", "--metadata", &many], "50 keys"),
        (&["config", "--log", "loud"], "error, warn, info"),
        (&[&key[..], &["--scopes", "read,all"]].concat(), "[possible values: read, write]"),
        (&[&key[..], &["--scopes", ""]].concat(), "--scopes"),
        (&[&key[..], &["--expires-at", "soon"]].concat(), "--expires-at must be an instant"),
        (&["key", "rotate", "key_a", "--overlap", "1w"], "1h, 7d"),
        (&["explain"], "--granting"),
        (&parties[..3], "--authorized"),
        (&[&parties[..], &["--request", "req_a"]].concat(), "cannot be used with"),
        (&[&parties[..], &["--at", "then"]].concat(), "--at must be an instant"),
        (&["loa", "list", "--cursor", "loa_7"], "nextCursor"),
        (&["inbox", "list", "--cursor", "newest"], "--cursor"),
    ];
    for (arguments, told) in wrong {
        let error = shell.run(arguments).refused(2);
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
    assert!(!shell.directory.file("countersign.db").exists());
}

#[test]
fn an_empty_list_says_what_to_do_next_and_is_valid_json() {
    let shell = Shell::new();
    shell.organization(&["--type", "BUSINESS"]);
    for (arguments, next) in [
        (["key", "list"], "countersign key create"),
        (["loa", "list"], "--created-by"),
        (["inbox", "list"], "/webhooks/sumsub"),
    ] {
        let ran = shell.run(&arguments);
        assert!(ran.err.contains(next), "{}", ran.err);
        assert_eq!(ran.ok(), "");
        assert_eq!(shell.json(&arguments)["data"], json!([]));
    }
}

/// What a command's help lists as its own commands.
fn commands_of(help: &str) -> impl Iterator<Item = &str> {
    help.lines()
        .skip_while(|it| *it != "Commands:")
        .skip(1)
        .take_while(|it| !it.is_empty())
        .filter_map(|it| it.strip_prefix("  ")?.split_whitespace().next())
        .filter(|it| *it != "help")
}

#[test]
fn every_commands_help_shows_an_example_and_the_exit_codes_are_documented() {
    let shell = Shell::new();
    let (mut left, mut seen) = (vec![String::new()], 0);
    while let Some(command) = left.pop() {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = shell.run(&arguments).ok();
        assert!(help.contains("Example"), "{command}: {help}");
        left.extend(commands_of(&help).map(|it| format!("{command} {it}")));
        seen += 1;
    }
    assert!(seen > 40, "{seen} commands");
    let help = shell.run(&["--help"]).ok();
    for line in ["0  done", "3  there is no such", "5  the register"] {
        assert!(help.contains(line), "{help}");
    }
}

#[test]
fn an_operator_makes_lists_and_revokes_a_customers_link() {
    let shell = Shell::new();
    let broker = shell.organization(&["--type", "BUSINESS"]).trim().to_owned();
    let customer =
        shell.organization(&["--type", "INDIVIDUAL", "--created-by", &broker]).trim().to_owned();
    let parties = ["--granting", &customer, "--authorized", &broker];
    let new = |more: &[&str]| shell.run(&[&["link", "new"], &parties[..], more].concat());

    assert!(shell.run(&["link", "list"]).ok().is_empty());
    assert!(new(&[]).refused(2).contains("--public-url"));
    assert!(new(&["--public-url", "http://kyc.example"]).refused(2).contains("https://"));
    let made = new(&["--public-url", "https://kyc.example/"]);
    assert!(made.err.contains("It can sign until 20"), "{}", made.err);
    let url = made.ok();
    assert!(url.starts_with("https://kyc.example/h/") && url.trim().len() == 54, "{url}");

    assert_eq!(new(&["--public-url", "https://kyc.example"]).ok(), url, "the same address again");

    let links = shell.json(&["link", "list", "--org", &customer]);
    assert_eq!(links["data"].as_array().unwrap().len(), 1);
    let link = &links["data"][0];
    assert_eq!(
        (&link["createdBy"], &link["authorizationStatus"], &link["status"]),
        (&operator().into(), &"PENDING".into(), &"LIVE".into())
    );
    let token = url.trim().rsplit('/').next().unwrap();
    assert!(!links.to_string().contains(token), "an address is not kept");
    let id = link["linkId"].as_str().unwrap();
    assert!(shell.run(&["link", "revoke", id]).ok().contains("is revoked"));
    assert!(!shell.run(&["link", "revoke", token]).refused(3).contains(token));
    assert!(shell.run(&["link", "list"]).ok().contains("REVOKED"));
    let shouted = new(&["--public-url", "https://KYC.Example:443"]).ok();
    assert!(shouted.starts_with("https://kyc.example/h/") && shouted != url, "{shouted}");
}

#[test]
fn a_letter_of_the_operators_own_is_checked_before_anything_starts() {
    let shell = Shell::new();
    shell.organization(&["--type", "BUSINESS"]);
    let list = |letter: &str| {
        shell.run(&["link", "list", "--public-url", "https://kyc.example", "--letter", letter])
    };

    assert!(list("nowhere.txt").refused(2).contains("nowhere.txt cannot be used"));
    std::fs::write(shell.directory.file("own.txt"), "version: 1\n== BUSINESS ==\n{day}\n").unwrap();
    assert!(list("own.txt").refused(2).contains("{day} is not known"));
    let whole = include_str!("../../src/domain/letter.txt").replace("2026-11", "ours-1");
    std::fs::write(shell.directory.file("own.txt"), whole).unwrap();
    list("own.txt").ok();
}

#[test]
fn whoever_closes_the_pipe_early_has_read_enough() {
    let shell = Shell::new();
    let mut child = shell
        .command(&["config", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();

    drop(child.stdout.take());

    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn serve_answers_until_sigterm_and_ends_with_success_also_when_nobody_reads_its_log() {
    let shell = Shell::new().with(&SECRETS).with(&SUMSUB);
    let mut server = Resident::start(&shell, &["serve", "--listen", "127.0.0.1:0"]);
    let told = lines(server.0.stderr.take().unwrap(), 1).remove(0);
    let url = told.split_whitespace().find(|it| it.starts_with("http://")).unwrap().to_owned();

    let (status, _) = http("GET", &format!("{url}/healthz"), &[]);

    assert_eq!(status, 200);
    assert!(told.contains("test environment") && told.contains("countersign.db"), "{told}");
    assert_eq!(server.terminate(), 0);
}

#[test]
fn waits_max_bounds_the_browsers_on_the_pages_too() {
    let shell = Shell::new().with(&SECRETS).with(&SUMSUB);
    let (broker, customer) = shell.parties();
    let public = ["--public-url", "https://kyc.example"];
    let parties = ["--granting", &customer, "--authorized", &broker];
    let link = shell.run(&[&["link", "new"], &parties[..], &public].concat()).ok();
    let path = link.trim().strip_prefix(public[1]).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--waits-max", "0"];
    let mut server = Resident::start(&shell, &[&serve[..], &public].concat());
    let told = lines(server.0.stderr.take().unwrap(), 1).remove(0);
    let address = told.split("http://").nth(1).unwrap().split(' ').next().unwrap();

    // Fails where the wait that is asked for begins.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!("GET {path}/status?stage=sign&wait=30 HTTP/1.1\r\nHost: a\r\n");
    stream.write_all(format!("{request}Connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();

    assert!(answer.contains("\"stage\":\"sign\""), "{answer}");
    assert_eq!(server.terminate(), 0);
}

#[test]
fn the_simulator_prints_all_that_serve_needs() {
    let shell = Shell::new();
    let mut simulator =
        Resident::start(&shell, &["simulator", "--kind", "--port", "0", "--control-port", "0"]);
    let printed = simulator.out_lines(6);
    let variables: Vec<(&str, &str)> = printed
        .iter()
        .map(|it| it.strip_prefix("export ").unwrap().split_once('=').unwrap())
        .collect();

    let ran = Shell::new().with(&variables).run(&["config"]);

    assert_eq!(ran.err, "");
    assert_eq!(http("GET", variables[0].1, &[]).0, 200);
    assert_eq!(simulator.terminate(), 0);
}

#[test]
fn the_demo_plays_its_whole_story() {
    let shell = Shell::new().with(&[("COUNTERSIGN_ENVIRONMENT", "live")]);

    let ran = shell.run(&["demo", "--play"]);

    assert_eq!(ran.err, "");
    let told = ran.ok();
    assert!(told.contains("16. ") && told.contains("Every step did what it had to."), "{told}");
    assert!(!told.contains("nxos_sk_test_"), "{told}");
    assert_eq!(std::fs::read_dir(&shell.directory.0).unwrap().count(), 0, "nothing stays behind");
}

#[test]
fn the_demo_tells_programs_everything_in_its_first_line() {
    let shell = Shell::new();
    let mut demo = Resident::start(&shell, &["demo", "--json"]);
    let told: Value = serde_json::from_str(&demo.out_lines(1)[0]).unwrap();
    let text = |pointer: &str| told.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let (api, key) = (text("/api"), format!("Bearer {}", text("/brokerKey")));

    let (status, broker) =
        http("GET", &format!("{api}/v1/organizations"), &[("Authorization", &key)]);

    assert_eq!((status, &broker["organizationId"]), (200, &told["brokerOrganizationId"]));
    for (index, kind) in ["BUSINESS", "INDIVIDUAL"].iter().enumerate() {
        assert_eq!(text(&format!("/customers/{index}/type")), *kind);
        assert!(text(&format!("/customers/{index}/organizationId")).starts_with("org_"));
        assert_eq!(http("GET", &text(&format!("/customers/{index}/url")), &[]).0, 200);
        assert!(!text(&format!("/sumsub/levels/{kind}")).is_empty());
    }
    for field in ["url", "controlUrl", "clientId", "appToken", "secretKey", "webhookSecret"] {
        assert!(!text(&format!("/sumsub/{field}")).is_empty());
    }
    for field in ["clientId", "appToken", "secretKey"] {
        assert!(!text(&format!("/sumsub/partner/{field}")).is_empty());
    }
    assert_eq!(demo.terminate(), 0);
    assert_eq!(std::fs::read_dir(&shell.directory.0).unwrap().count(), 0, "nothing stays behind");
}

#[test]
fn an_operator_reads_the_inbox_of_a_running_demo_and_applies_it_again() {
    let shell = Shell::new().with(&[("COUNTERSIGN_DATABASE", "stage/countersign.db")]);
    let mut demo = Resident::start(&shell, &["demo", "--json", "--directory", "stage"]);
    let told: Value = serde_json::from_str(&demo.out_lines(1)[0]).unwrap();
    let control = told["sumsub"]["controlUrl"].as_str().unwrap();
    let customer = told["customers"][0]["organizationId"].as_str().unwrap();
    let (_, found) = http("GET", &format!("{control}/applicants?externalUserId={customer}"), &[]);
    let applicant = found["applicants"][0]["id"].as_str().unwrap();
    for action in ["submit", "approve"] {
        http("POST", &format!("{control}/applicants/{applicant}/{action}"), &[]);
    }

    let is_approved = || shell.json(&["verification", "show", customer])["status"] == "APPROVED";
    assert!((0..LOOKS_MAX).any(|_| is_approved()), "no webhook came");

    let listed = shell.json(&["inbox", "list", "--limit", "100"]);
    let newest = shell.json(&["inbox", "list", "--limit", "1"]);
    let next = shell.json(&["inbox", "list", "--cursor", newest["nextCursor"].as_str().unwrap()]);
    assert_ne!(newest["data"][0], next["data"][0]);
    let changed = |it: &&Value| it["outcome"] == "changed" && it["type"] == "applicantReviewed";
    let delivery = listed["data"].as_array().unwrap().iter().find(changed).unwrap();
    let id = delivery["deliveryId"].to_string();
    let (people, programs) =
        (shell.run(&["inbox", "show", &id]).ok(), shell.json(&["inbox", "show", &id]));
    assert!(people.ends_with(programs["body"].as_str().unwrap()), "{people}");
    assert!(people.to_lowercase().contains("x-payload-digest: "), "{people}");
    assert_eq!(programs["organizationId"], customer);
    let replayed = shell.run(&["inbox", "replay", &id]).ok();
    assert_eq!(replayed, format!("delivery {id}: changed -> changed"));
    let shown = shell.run(&["verification", "show", customer]).ok();
    assert!(shown.contains(&format!("delivery {id} of ")), "{shown}");
    let broker = told["brokerOrganizationId"].as_str().unwrap();
    let why = shell.run(&["explain", "--granting", customer, "--authorized", broker]).ok();
    assert!(why.contains("provider_approved, verification_event_"), "{why}");
    assert!(why.contains(&format!(", delivery {id}\n")), "{why}");
    assert_eq!(demo.terminate(), 0);
    assert!(shell.directory.file("stage/countersign.db").exists(), "kept where it was asked for");
}

#[test]
fn the_demo_tells_people_what_to_paste_and_ends_on_a_signal() {
    let shell = Shell::new();
    let mut demo = Resident::start(&shell, &["demo"]);
    let mut out = BufReader::new(demo.0.stdout.take().unwrap());
    let mut told = String::new();
    while !told.contains("Ctrl-C ends it.") {
        assert!(out.read_line(&mut told).unwrap() > 0, "{told}");
    }

    assert_eq!(told.matches("curl ").count(), 4, "three calls and the simulator: {told}");
    assert!(told.contains("countersign loa sign --database"), "{told}");
    assert_eq!(demo.terminate(), 0);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn a_service_manager_is_told_that_the_server_is_ready_then_alive_then_stopping() {
    let directory = Directory::new();
    let path = directory.file("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let next = || {
        let mut bytes = [0; 512];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let shell = Shell::new().with(&SECRETS).with(&SUMSUB).with(&[
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "20000"),
        ("COUNTERSIGN_LISTEN", "127.0.0.1:0"),
    ]);

    let server = Resident::start(&shell, &["serve"]);

    let first = next();
    assert!(first.starts_with("READY=1\nSTATUS=serves http://127.0.0.1:"), "{first}");
    assert_eq!((next().trim_end(), next().trim_end()), ("WATCHDOG=1", "WATCHDOG=1"));
    assert_eq!(server.terminate(), 0);
    let last = std::iter::repeat_with(next).find(|it| it.trim_end() != "WATCHDOG=1").unwrap();
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
}

#[test]
fn every_command_has_a_manual_page_and_a_completion() {
    let shell = Shell::new();
    let help = shell.run(&["help"]).ok();
    let commands: Vec<&str> = commands_of(&help).collect();
    assert!(commands.len() > 10, "{help}");

    let page = shell.run(&["man"]).ok();
    shell.run(&["man", "pages"]).ok();

    let error = shell.run(&["man", "/dev/null/pages"]).refused(1);
    assert!(error.contains("cannot write pages into /dev/null/pages: "), "{error}");
    for command in commands {
        for kind in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let script = shell.run(&["completions", kind]).ok();
            assert!(script.contains(command), "{kind}: {command}");
        }
        let name = format!("countersign-{command}");
        let own =
            std::fs::read_to_string(shell.directory.file(&format!("pages/{name}.1"))).unwrap();
        assert!(own.contains(".SH SYNOPSIS") && own.contains("Example"), "{own}");
        assert!(page.contains(&name.replace('-', "\\-")), "{name}: {page}");
    }
}

/// A server that has answered more requests than pipe, buffer and queue of its log take together, while
/// nobody read the log.
fn server_whose_log_nobody_reads() -> (Shell, Resident, impl Iterator<Item = String>) {
    const REQUESTS: usize = 9_500;
    let shell = Shell::new().with(&SECRETS).with(&SUMSUB);
    let mut server = Resident::start(&shell, &["serve", "--listen", "127.0.0.1:0"]);
    let mut log = BufReader::new(server.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = log.find(|it| it.contains("serves http://")).unwrap();
    let address = told.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();

    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    let mut asking = stream.try_clone().unwrap();
    let asked = std::thread::spawn(move || {
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(REQUESTS);
        asking.write_all(&request).unwrap();
        asking.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    asked.join().unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), REQUESTS);
    (shell, server, log)
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_an_answer_nor_the_end() {
    let (_shell, server, _log) = server_whose_log_nobody_reads();

    assert_eq!(server.terminate(), 0);
}

#[test]
fn a_log_that_is_read_too_late_says_how_many_lines_are_missing() {
    let (_shell, server, mut log) = server_whose_log_nobody_reads();

    let told = log.find(|it| it.contains("lines of the log are missing here")).unwrap();

    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["level"], "WARN", "{told}");
    assert_eq!(server.terminate(), 0);
}

#[test]
fn a_decision_says_what_it_was_made_on_and_seen_names_another() {
    let shell = Shell::new();
    let (_, customer) = shell.parties();
    let decide = |word: &str, more: &[&str]| {
        let all = [&["verification", word, &customer, "--reason", "ticket 4711"], more].concat();
        shell.run(&all)
    };
    let held = decide("hold", &[]);
    assert!(held.err.contains("It was NOT_STARTED since"), "{}", held.err);
    assert!(held.err.contains("nothing was on record"), "{}", held.err);
    let facts = shell.json(&["verification", "show", &customer])["facts"].clone();
    let seen = facts[0]["sequence"].to_string();
    assert_eq!(facts[0]["basis"], 0);

    let refused = decide("approve", &["--seen", "0"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("something happened meanwhile (fact 1)"), "{}", refused.err);
    let refused = decide("approve", &["--seen", "99"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    let approved = decide("approve", &["--seen", &seen]);

    assert!(approved.ok().contains("APPROVED"));
    let told = shell.run(&["verification", "history", &customer]).ok();
    assert!(told.contains("no check by Sumsub on file"), "{told}");
}

#[test]
fn a_share_token_is_refused_as_an_argument_and_never_repeated() {
    let shell = Shell::new();
    for arguments in [&["--share-token", "TOKEN4711"][..], &["--share-token=TOKEN4711"]] {
        let all = [&["verification", "import", "org_a"], arguments].concat();
        let error = shell.run(&all).refused(2);
        assert!(error.contains("--share-token-file"), "{error}");
        assert!(!error.contains("TOKEN4711"), "{error}");
    }
    let help = shell.run(&["verification", "import", "--help"]).ok();
    assert!(!help.contains("--share-token "), "{help}");
    let missing = ["verification", "import", "org_a", "--share-token-file", "/nowhere/at/all"];
    assert!(shell.run(&missing).refused(1).contains("/nowhere/at/all cannot be read"));
}

#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let directory = Directory::new();
    for arguments in [
        &["help"][..],
        &["--help"],
        &["help", "loa"],
        &["loa", "sign", "--help"],
        &["--version"],
        &["openapi"],
        &["completions", "bash"],
        &["man"],
        &["config"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(arguments)
            .current_dir(&directory.0)
            .env_clear()
            .stdout(full)
            .output()
            .unwrap();

        let error = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains("cannot be written"), "{arguments:?}: {error}");
    }
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let directory = Directory::new();
    for arguments in [&["--help"][..], &["openapi"], &["man"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(arguments)
            .current_dir(&directory.0)
            .env_clear()
            .stdout(writer)
            .output()
            .unwrap();

        assert_eq!((ran.status.code(), &ran.stderr[..]), (Some(0), &b""[..]), "{arguments:?}");
    }
}
