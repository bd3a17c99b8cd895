//! Text that people write and others read: what every door refuses, and what no face prints.

use countersign::domain::text::is_plain;
use serde_json::json;

use crate::cli::Shell;
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
