//! kill -9: what was acknowledged is there, and what was not heals on retry.

use serde_json::{Value, json};

use crate::cli::{Resident, Shell, http, lines};
use crate::sumsub::World;
use countersign::sim::TenantId;

/// A shell whose Sumsub is the world's simulator.
pub(crate) fn shell(world: &World) -> Shell {
    let credentials = world.simulator.credentials(TenantId::Recipient);
    Shell::new().with(&[
        ("COUNTERSIGN_SUMSUB_URL", &world.sumsub_url),
        ("COUNTERSIGN_SUMSUB_APP_TOKEN", &credentials.app_token),
        ("COUNTERSIGN_SUMSUB_SECRET_KEY", &credentials.secret_key),
        ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "the-webhook-secret"),
        ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb-level"),
        ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc-level"),
    ])
}

pub(crate) fn serve(shell: &Shell) -> (Resident, String) {
    let mut server = Resident::start(shell, &["serve", "--listen", "127.0.0.1:0"]);
    let told = lines(server.0.stderr.take().unwrap(), 1).remove(0);
    let url = told.split_whitespace().find(|it| it.starts_with("http://")).unwrap().to_owned();
    (server, url)
}

pub(crate) fn kill(mut server: Resident) {
    server.0.kill().unwrap();
    server.0.wait().unwrap();
}

#[test]
fn a_kill_between_sumsubs_answer_and_our_commit_loses_nothing_and_heals_on_retry() {
    // The other process signs by the real clock, so the simulator must live in it too.
    let world = World::in_real_time();
    let shell = shell(&world);
    let (broker, customer) = shell.parties();
    let key = shell.run(&["key", "create", "--org", &broker, "--name", "test"]).ok();
    let (server, url) = serve(&shell);
    let authorization = format!("Bearer {key}");
    let headers =
        [("Authorization", authorization.as_str()), ("Nxos-On-Behalf-Of", customer.as_str())];
    let verification = |url: &str, method: &str| {
        http(method, &format!("{url}/v1/organizations/verification"), &headers)
    };
    // Sumsub makes the applicant, and hangs on the token: no commit of ours has happened.
    world.fault(&json!({"path": "/resources/accessTokens", "count": 1, "hangMs": 60_000}));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .proxy(None)
                .build()
                .into();
            let call = agent
                .post(format!("{url}/v1/organizations/verification"))
                .header("Authorization", &authorization)
                .header("Nxos-On-Behalf-Of", &customer)
                .send_empty();
            assert!(call.is_err(), "the server was killed in mid-request");
        });
        while world.applicants(&customer).is_empty() {
            std::thread::yield_now();
        }
        kill(server);
    });
    let applicant = world.applicant(&customer);
    world.control("DELETE", "/faults", &Value::Null);

    let (server, url) = serve(&shell);

    let (_, before) = verification(&url, "GET");
    assert_eq!(before["status"], "NOT_STARTED", "nothing was acknowledged, and nothing is claimed");
    let (status, session) = verification(&url, "POST");
    assert_eq!((status, &session["object"]), (200, &json!("verification_session")));
    assert_eq!(world.applicant(&customer), applicant, "the same applicant");
    // Acknowledged, so it survives the next kill.
    kill(server);
    let (_server, url) = serve(&shell);
    assert_eq!(verification(&url, "GET").1["status"], "PENDING");
}

#[test]
fn everything_acknowledged_under_load_is_there_after_a_kill() {
    let world = World::in_real_time();
    let shell = shell(&world);
    let (broker, _) = shell.parties();
    let key = shell.run(&["key", "create", "--org", &broker, "--name", "test"]).ok();
    let authorization = format!("Bearer {key}");
    let (server, url) = serve(&shell);
    let create = |name: &str| -> Option<String> {
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let mut answer = agent
            .post(format!("{url}/v1/organizations"))
            .header("Authorization", &authorization)
            .header("Content-Type", "application/json")
            .send(json!({"name": name, "type": "BUSINESS"}).to_string())
            .ok()?;
        let body: Value = serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()?;
        Some(body["organizationId"].as_str()?.to_owned())
    };

    let (sender, acknowledged) = std::sync::mpsc::channel();
    let ids: Vec<String> = std::thread::scope(|scope| {
        for thread in 0..4 {
            let (sender, create) = (sender.clone(), &create);
            scope.spawn(move || {
                (0..1000)
                    .map_while(|it| create(&format!("Customer {thread} {it}")))
                    .for_each(|id| sender.send(id).unwrap());
            });
        }
        drop(sender);
        let mut ids: Vec<String> = acknowledged.iter().take(60).collect();
        kill(server);
        ids.extend(acknowledged.iter());
        ids
    });

    for id in &ids {
        let shown = shell.run(&["org", "show", id]).ok();
        assert!(shown.contains("Customer"), "{id}: {shown}");
    }
    assert!(ids.len() >= 60);
}
