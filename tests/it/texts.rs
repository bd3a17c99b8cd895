//! Text that people write and others read: what every door refuses, and what no face prints.

use countersign::domain::text::is_plain;
use serde_json::{Value, json};

use crate::cli::Shell;
use crate::console::desk::Desk;
use crate::console::stage;
use crate::rig::Rig;

/// One of every kind that a text may not hold.
const UNSEEN: [char; 14] = [
    '\u{1b}',
    '\u{7f}',
    '\u{9b}',
    '\n',
    '\u{2028}',
    '\u{202e}',
    '\u{ad}',
    '\u{34f}',
    '\u{206a}',
    '\u{fe0f}',
    '\u{200d}',
    '\u{2800}',
    '\u{e0061}',
    '\u{ffff}',
];

fn number(it: char) -> String {
    format!("U+{:04X}", u32::from(it))
}

/// What a screen or a pipe gets must not hold any of them, whatever stands in the register.
#[track_caller]
fn nothing_is_obeyed(what: &str, text: &str) {
    for line in text.split(['\n', '\t']) {
        assert!(is_plain(line), "{what}: {line:?}");
    }
}

#[test]
fn no_field_of_the_api_takes_what_a_reader_would_not_see() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    let loa = |reason: String| {
        json!({"grantingOrganizationId": customer, "authorizedOrganizationId": broker.id,
            "type": "LOA", "reason": reason})
    };
    for it in UNSEEN {
        let text = format!("Acme{it}Ltd.");
        for (path, field, body) in [
            ("/v1/organizations", "`name`", json!({"name": text, "type": "BUSINESS"})),
            ("/v1/authorizations/revoke", "reason", loa(text.clone())),
            ("/v1/api-keys", "name", json!({"name": text, "scopes": ["read"]})),
            (
                "/v1/webhooks/endpoints",
                "`description`",
                json!({"url": "https://broker.example/", "description": text}),
            ),
        ] {
            let answer = rig.post(path, &broker.key, None, &body);
            let message = answer.text("/error/message");
            assert_eq!(answer.status, 400, "{path} {it:?}");
            assert!(message.contains(&number(it)) && message.contains(field), "{path} {message}");
            nothing_is_obeyed(path, message);
        }
    }
    assert_eq!(
        rig.get("/v1/authorizations", &broker.key, None).body["data"][0]["status"],
        "PENDING"
    );
}

#[test]
fn a_name_in_any_script_is_taken_and_told_as_it_was_written() {
    let rig = Rig::new();
    let broker = rig.broker();
    for name in
        ["7 نجوم للتجارة ش.م.م.", "می\u{200c}خواهم", "क्\u{200d}ष", "葛\u{e0100}城", "ශ්\u{200d}රී"]
    {
        let body = json!({"name": name, "type": "BUSINESS"});
        let answer = rig.post("/v1/organizations", &broker.key, None, &body);
        assert_eq!((answer.status, answer.text("/name")), (200, name));
    }
}

#[test]
fn no_flag_of_a_command_takes_what_a_reader_would_not_see() {
    let shell = Shell::new();
    let (broker, customer) = shell.parties();
    let parties = ["--granting", &customer, "--authorized", &broker];
    let signed = |name: &str, role: &str, how: &str, reference: &str| {
        [
            &["loa", "sign"][..],
            &parties,
            &["--signer-name", name, "--signer-role", role, "--how", how, "--reference", reference],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>()
    };
    let owned =
        |arguments: &[&str]| arguments.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    for it in ['\u{1b}', '\u{9b}', '\u{202e}', '\u{ad}', '\n'] {
        let text = &format!("Acme{it}Ltd.");
        for arguments in [
            owned(&["org", "create", "--type", "BUSINESS", "--name", text]),
            owned(&["key", "create", "--org", &broker, "--name", text]),
            owned(&[&["loa", "revoke"][..], &parties, &["--reason", text]].concat()),
            signed(text, "Director", "paper", "vault"),
            signed("Jo", text, "paper", "vault"),
            signed("Jo", "Director", text, "vault"),
            signed("Jo", "Director", "paper", text),
            owned(&["verification", "hold", &customer, "--reason", text]),
            owned(&["verification", "start", &customer, "--reason", text]),
            owned(&[
                "webhook",
                "create",
                "--org",
                &broker,
                "--url",
                "https://broker.example/",
                "--description",
                text,
            ]),
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let error = shell.run(&arguments).refused(2);
            assert!(error.contains(&number(it)), "{arguments:?}: {error}");
            nothing_is_obeyed("an error", &error);
        }
    }
}

/// Puts what older rules took, and what Sumsub and receivers may say, into every text of the register.
fn poison(rig: &Rig) {
    let database = rig.database();
    let hostile = "'x' || char(27) || '[2J' || char(155) || '31m' || char(8238) || char(10) || \
                   char(173) || char(127) || 'y'";
    let mut triggers = Vec::new();
    let mut query =
        database.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    triggers.extend(rows.map(Result::<(String, String), _>::unwrap));
    for (name, _) in &triggers {
        database.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    for (table, column) in [
        ("organization", "name"),
        ("api_key", "name"),
        ("verification_event", "reason"),
        ("authorization_event", "reason"),
        ("authorization_event", "signer_name"),
        ("authorization_event", "signer_role"),
        ("authorization_event", "signed_how"),
        ("authorization_event", "reference"),
        ("authorization", "revoked_reason"),
        ("webhook_endpoint", "description"),
        ("ignored_approval", "level"),
        ("ignored_approval", "applicant_type"),
        ("delivery", "event_type"),
    ] {
        let changed = database
            .execute(
                &format!("UPDATE {table} SET {column} = {hostile} WHERE {column} IS NOT NULL"),
                [],
            )
            .unwrap();
        assert!(changed > 0, "{table}.{column} is empty");
    }
    database
        .execute_batch(&format!(
            "UPDATE organization SET metadata = json_object('k' || {hostile}, {hostile});
             UPDATE delivery SET headers = json_array(json_array('user-agent', {hostile})),
               body = CAST({hostile} || CAST(x'9bff' AS TEXT) AS BLOB);
             UPDATE outgoing_message SET body = CAST({hostile} AS BLOB);
             INSERT INTO outgoing_attempt (delivery_no, url, signed_at_s, signature, status, answer,
                 error, started_at_ms, ended_at_ms)
               SELECT delivery_no, 'https://x/' || {hostile}, 1, 'v1,x', NULL, NULL, {hostile}, 1, 2
                 FROM outgoing_delivery;
             INSERT INTO outgoing_attempt (delivery_no, url, signed_at_s, signature, status, answer,
                 error, started_at_ms, ended_at_ms)
               SELECT delivery_no, 'https://x/', 1, 'v1,x', 500, CAST({hostile} || CAST(x'9bff' AS TEXT) AS BLOB),
                 NULL, 1, 2 FROM outgoing_delivery;"
        ))
        .unwrap();
    for (_, sql) in &triggers {
        database.execute_batch(sql).unwrap();
    }
}

/// Everything on the stage, with a key, a link and a revoked LOA, and poisoned.
fn poisoned() -> Rig {
    let rig = Rig::new();
    stage::set_in_the_past(&rig);
    stage::set_ignored(&rig);
    let by = |key: &str| {
        rig.post(
            "/v1/authorizations/revoke",
            key,
            None,
            &json!({"grantingOrganizationId": stage::MIA, "authorizedOrganizationId": stage::BROKER,
            "type": "LOA", "reason": "over"}),
        )
    };
    let key = rig.key_of(stage::BROKER);
    assert_eq!(by(&key).status, 200);
    let body = json!({"description": "mine"});
    let path = format!("/v1/webhooks/endpoints/{}", stage::ENDPOINT);
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {key}")),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let described = rig.call("PATCH", &path, &headers, body.to_string().as_bytes());
    assert_eq!(described.status, 200, "{described:?}");
    rig.database().execute("UPDATE organization SET metadata = '{}'", []).unwrap();
    poison(&rig);
    rig
}

#[test]
fn no_command_prints_what_a_terminal_obeys_whatever_the_register_holds() {
    let rig = poisoned();
    let register = rig.directory.file("register.db");
    let shell = Shell::new().with(&[("COUNTERSIGN_DATABASE", register.to_str().unwrap())]);
    let ids = |arguments: &[&str], field: &str| -> Vec<String> {
        let list = shell.json(arguments);
        let rows = list["data"].as_array().unwrap().iter();
        rows.map(|it| match &it[field] {
            Value::String(it) => it.clone(),
            it => it.to_string(),
        })
        .collect()
    };
    let inbox = ids(&["inbox", "list"], "deliveryId");
    let list = shell.json(&["webhook", "deliveries", stage::ENDPOINT]);
    let sent = list["data"].as_array().unwrap().iter().map(|it| it["deliveryId"].to_string());
    let mut commands: Vec<Vec<String>> = [
        &["org", "list"][..],
        &["key", "list"],
        &["loa", "list"],
        &["link", "list"],
        &["inbox", "list"],
        &["inbox", "replay", "--all", "--dry-run"],
        &["webhook", "list"],
        &["webhook", "deliveries", stage::ENDPOINT],
        &["config"],
        &["doctor"],
        &["verify"],
        &["reconcile", "--dry-run"],
        &["explain", "--granting", stage::BOLT, "--authorized", stage::BROKER],
        &["explain", "--granting", stage::MIA, "--authorized", stage::BROKER],
    ]
    .iter()
    .map(|it| it.iter().map(|it| (*it).to_owned()).collect())
    .collect();
    for org in [stage::BROKER, stage::ACME, stage::BOLT, stage::ZOE, stage::MIA] {
        for command in [["org", "show"], ["verification", "show"], ["verification", "history"]] {
            commands.push(command.iter().chain([&org]).map(|it| (*it).to_owned()).collect());
        }
    }
    for it in &inbox {
        commands.push(vec!["inbox".to_owned(), "show".to_owned(), it.clone()]);
    }
    for it in sent {
        let it = it.trim_matches('"').to_owned();
        commands.push(vec!["webhook".to_owned(), "show".to_owned(), it]);
    }
    assert!(commands.len() > 30 && !inbox.is_empty());
    let mut seen = String::new();
    for command in commands {
        for json in [false, true] {
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            arguments.extend(json.then_some("--json"));
            let ran = shell.run(&arguments);
            nothing_is_obeyed(&format!("{arguments:?}"), &ran.out);
            nothing_is_obeyed(&format!("{arguments:?}"), &ran.err);
            seen += &ran.out;
        }
    }
    assert!(
        seen.contains(r"x\u{1b}[2J\u{9b}31m\u{202e} \u{ad}\u{7f}y"),
        "it is shown, not left out"
    );
    assert!(seen.contains(r"x\u001b[2J\u009b31m\u202e\n\u00ad\u007fy"), "and is the same JSON");
}

#[test]
fn no_error_prints_what_a_terminal_obeys_of_paths_values_and_arguments() {
    let hostile = "x\u{1b}[2J\u{9b}31m\u{202e}\u{ad}y";
    let shell = Shell::new();
    for arguments in [
        &["org", "list", "--database", hostile][..],
        &["verify", hostile],
        &["restore", "--from", hostile],
        &["org", "list", "--limit", hostile],
        &[hostile],
        &["org", "show", hostile],
        &["config", "--database", hostile],
        &["config", "--database", hostile, "--json"],
        &["serve", "--letter", hostile],
        &["config", "--log", hostile],
        &["org", "create", "--name", "a", "--type", "BUSINESS", "--metadata", hostile],
    ] {
        let ran = shell.run(arguments);
        nothing_is_obeyed(&format!("{arguments:?}"), &ran.out);
        nothing_is_obeyed(&format!("{arguments:?}"), &ran.err);
    }
}

#[test]
fn no_screen_of_the_console_holds_what_a_terminal_obeys_whatever_the_register_holds() {
    let rig = poisoned();
    for keys in [
        "1",
        "1<Enter>",
        "1jj<Enter>",
        "1jj<Enter>G",
        "1jjj<Enter>",
        "1a",
        "1juH",
        "2",
        "2<Enter>",
        "3",
        "3<Enter>",
        "4",
        "4<Enter>",
        "4<End><Enter>",
        "4<Enter>d",
        "5",
        "5<Enter>",
        "5<Enter>G",
        "6",
        "7",
        "/x",
        ":x",
        "?",
    ] {
        let mut desk = Desk::at(&rig, (120, 60));
        desk.press(keys);
        nothing_is_obeyed(keys, &desk.screen());
    }
}
