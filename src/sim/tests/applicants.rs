use super::rig::{Rig, START_MS, settings};
use crate::sim::{ApplicantCreation, Settings, SettingsError, Simulator, TenantSettings};
use serde_json::{Value, json};
use std::sync::Arc;

#[test]
fn a_created_applicant_can_be_read_in_every_way() {
    let rig = Rig::new();

    let (status, created) = rig.call(
        "POST",
        "/resources/applicants?levelName=kyb-level",
        r#"{"externalUserId":"org/1 ü","type":"company","fixedInfo":{"companyInfo":{"companyName":"Acme"}}}"#,
    );

    assert_eq!(status, 201);
    let id = created["id"].as_str().unwrap();
    assert!(id.len() == 24 && id.bytes().all(|it| it.is_ascii_hexdigit()));
    assert_eq!(created["createdAt"], "2026-01-02 03:04:05");
    assert_eq!(created["review"]["reviewStatus"], "init");
    assert_eq!(created["review"]["createDate"], "2026-01-02 03:04:05+0000");
    assert!(created.get("tags").is_none());
    for target in [
        format!("/resources/applicants/{id}/one"),
        "/resources/applicants/-;externalUserId=org%2F1%20%C3%BC/one".to_owned(),
    ] {
        let (status, read) = rig.call("GET", &target, "");
        assert_eq!((status, &read["id"]), (200, &created["id"]), "{target}");
    }
    let by = |user: &str| {
        rig.call("GET", &format!("/resources/applicants/-/byExternalUserId/{user}"), "").1
    };
    assert_eq!(by("org%2F1%20%C3%BC")["applicant"]["id"], created["id"]);
    assert_eq!(by("nobody"), json!({ "exists": false }));
    assert_eq!(rig.review(id)["reviewStatus"], "init");
}

#[test]
fn a_second_applicant_of_one_external_user_id_is_409_and_named_at_the_end_of_the_text() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");

    let (status, body) = rig.call(
        "POST",
        "/resources/applicants?levelName=kyc-level",
        r#"{"externalUserId":"org_1"}"#,
    );

    assert_eq!(status, 409);
    assert_eq!(
        body["description"],
        format!("Applicant with external user id 'org_1' already exists: {id}")
    );
    assert_eq!(body["code"], 409);
    assert!(body.get("errorCode").is_none());
}

#[test]
fn unknown_applicants_levels_and_types_are_refused() {
    let rig = Rig::new();
    let create = |level: &str, kind: &str| {
        let body = json!({ "externalUserId": "x", "type": kind }).to_string();
        rig.call("POST", &format!("/resources/applicants?levelName={level}"), &body).0
    };

    let (status, body) = rig.call("GET", "/resources/applicants/64aaaaaaaaaaaaaaaaaaaaaa/one", "");
    assert_eq!(status, 404);
    assert!(body["description"].as_str().unwrap().ends_with("(anf)"));
    assert_eq!(create("KYC-level", "individual"), 404, "names are case-sensitive");
    assert_eq!(create("kyc-level", "company"), 400);
    assert_eq!(create("kyc-level", "robot"), 400);
}

#[test]
fn sdk_tokens_and_links_come_in_both_forms() {
    let rig = Rig::new();

    for (target, body) in [
        (
            "/resources/accessTokens/sdk",
            r#"{"userId":"org_1","levelName":"kyc-level","ttlInSecs":"1800"}"#,
        ),
        ("/resources/accessTokens?userId=org_1&levelName=kyc-level&ttlInSecs=1800", ""),
    ] {
        let (status, minted) = rig.call("POST", target, body);
        assert_eq!((status, &minted["userId"]), (200, &json!("org_1")), "{target}");
        assert!(minted["token"].as_str().unwrap().starts_with("_act-sbx-jwt-"));
    }
    let new = rig.call(
        "POST",
        "/resources/sdkIntegrations/levels/-/websdkLink",
        r#"{"levelName":"kyc-level","userId":"org_1","ttlInSecs":1800}"#,
    );
    let old = rig.call(
        "POST",
        "/resources/sdkIntegrations/levels/kyc-level/websdkLink?ttlInSecs=1800&externalUserId=org_1",
        "",
    );
    let url = |answer: &(u16, Value)| answer.1["url"].as_str().unwrap().to_owned();
    assert!(url(&new).starts_with("http://localhost:8090/websdk/p/sbx_"));
    assert!(url(&old).starts_with("http://localhost:8090/idensic/l/#/sbx_"));
    let unknown = r#"{"userId":"org_1","levelName":"nope"}"#;
    assert_eq!(rig.call("POST", "/resources/accessTokens/sdk", unknown).0, 404);
}

#[test]
fn an_applicant_appears_at_the_moment_that_the_settings_name() {
    for (moment, on_mint, on_open) in [
        (ApplicantCreation::OnMint, true, true),
        (ApplicantCreation::OnOpen, false, true),
        (ApplicantCreation::ByApi, false, false),
    ] {
        let rig = Rig::with(Settings { applicant_creation: moment, ..settings() });
        let exists = || {
            rig.call("GET", "/resources/applicants/-/byExternalUserId/org_1", "").1["exists"]
                .as_bool()
                .unwrap()
        };

        let body = r#"{"userId":"org_1","levelName":"kyc-level","ttlInSecs":60}"#;
        let (_, minted) = rig.call("POST", "/resources/accessTokens/sdk", body);
        assert_eq!(exists(), on_mint, "{moment:?}");
        let opened = rig.control("POST", "/sdk/open", &json!({ "token": minted["token"] }));
        assert_eq!((opened.0, exists()), (200, on_open), "{moment:?}");
    }
}

#[test]
fn an_expired_token_opens_nothing() {
    let rig = Rig::new();
    let body = r#"{"userId":"org_1","levelName":"kyc-level","ttlInSecs":60}"#;
    let (_, minted) = rig.call("POST", "/resources/accessTokens/sdk", body);

    rig.pass(60_000);

    assert_eq!(rig.control("POST", "/sdk/open", &json!({ "token": minted["token"] })).0, 401);
}

fn link(rig: &Rig, user_id: &str) -> String {
    let body = json!({
        "levelName": "kyc-level", "userId": user_id, "ttlInSecs": 60,
        "redirect": { "successUrl": "https://shop.test/ok?a=1", "signKey": "k" },
    });
    let target = "/resources/sdkIntegrations/levels/-/websdkLink";
    let (_, minted) = rig.call("POST", target, &body.to_string());
    minted["url"].as_str().unwrap().replace("http://localhost:8090", "")
}

#[test]
fn a_person_plays_the_customer_on_the_page_to_the_end() {
    let rig = Rig::new();
    let link = link(&rig, "org_1");

    let (status, page) = rig.page("GET", &link);
    assert!(status == 200 && page.contains("Submit documents") && page.contains("Simulator"));
    assert_eq!(rig.page("POST", &format!("{link}/submit")).0, 303);
    assert!(rig.page("GET", &link).1.contains("Approve"));
    assert_eq!(rig.page("POST", &format!("{link}/retry")).0, 303);
    assert!(rig.page("GET", &link).1.contains("Submit documents"), "a retry can be handed in");
    rig.page("POST", &format!("{link}/submit"));
    rig.page("POST", &format!("{link}/approve"));
    let (_, done) = rig.page("GET", &link);

    assert!(done.contains("https://shop.test/ok?a=1&amp;status=approved&amp;sbx=1&amp;jwt="));
    assert_eq!(rig.page("POST", &format!("{link}/submit")).0, 409, "nothing more to hand in");
}

#[test]
fn dead_links_say_so_and_pages_escape_what_they_show() {
    let rig = Rig::new();
    let hostile = link(&rig, "<script>alert(1)</script>");

    let (_, page) = rig.page("GET", &hostile);
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
    assert_eq!(rig.page("GET", "/websdk/p/sbx_unknown").0, 404);
    rig.pass(60_000);
    assert_eq!(rig.page("GET", &hostile).0, 410);
    assert!(rig.page("GET", "/idensic/l/").1.contains("location.hash"));
}

#[test]
fn the_sandbox_verdict_works_straight_from_init_and_only_in_the_sandbox() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    let target = format!("/resources/applicants/{id}/status/testCompleted");

    let done = rig.call("POST", &target, r#"{"reviewAnswer":"GREEN","rejectLabels":[]}"#);

    assert_eq!(done, (200, json!({ "ok": 1 })));
    assert_eq!(rig.review(&id)["reviewResult"], json!({ "reviewAnswer": "GREEN" }));
    let live =
        TenantSettings { app_token: Some("prd:public.private".to_owned()), ..settings().recipient };
    let rig = Rig::with(Settings { recipient: live, ..settings() });
    let id = rig.applicant("kyc-level", "org_1");
    let target = format!("/resources/applicants/{id}/status/testCompleted");
    assert_eq!(rig.call("POST", &target, r#"{"reviewAnswer":"GREEN"}"#).0, 403);
}

#[test]
fn lifecycle_calls_move_the_review_and_fire_their_events() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    let path = |rest: &str| format!("/resources/applicants/{id}/{rest}");

    for (target, status, event) in [
        (path("status/pending"), "pending", "applicantPending"),
        (path("-/approve"), "completed", "applicantReviewed"),
        (path("reset"), "init", "applicantReset"),
        (path("moveToLevel?name=kyc-level"), "init", "applicantLevelChanged"),
        (path("resetStep/IDENTITY"), "init", "applicantStepsReset"),
        (path("-/reject"), "completed", "applicantReviewed"),
        (path("-/init"), "init", "applicantStepsReset"),
    ] {
        assert_eq!(rig.call("POST", &target, "{}").0, 200, "{target}");
        assert_eq!(rig.review(&id)["reviewStatus"], status, "{target}");
        assert_eq!(rig.events().last().unwrap().0, event, "{target}");
    }
    let reset = rig.bodies().into_iter().find(|it| it.contains("applicantReset")).unwrap();
    assert!(reset.contains("GREEN"), "a reset keeps the old result: {reset}");
}

#[test]
fn a_final_rejection_takes_no_more_documents() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    rig.act(&id, "submit");
    rig.act(&id, "reject");

    let (status, body) = rig.act(&id, "submit");

    assert_eq!((status, &body["errorCode"]), (409, &json!(1009)));
    let upload = "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n\
                  {\"idDocType\":\"PASSPORT\",\"country\":\"FRA\"}\r\n--b--\r\n";
    let target = format!("/resources/applicants/{id}/info/idDoc");
    assert_eq!(rig.call("POST", &target, upload).1["errorCode"], 1009);
}

#[test]
fn blocking_twice_is_5000_and_presence_waits_for_a_running_check() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    let block = || rig.call("POST", &format!("/resources/applicants/{id}/blacklist?note=n"), "");
    let presence =
        |word: &str| rig.call("PATCH", &format!("/resources/applicants/{id}/presence/{word}"), "");

    assert_eq!(block().0, 200);
    assert_eq!(block().1["errorCode"], 5000);
    assert_eq!(presence("deactivated").1["deleted"], true);
    assert_eq!(presence("activated").1["deleted"], false);
    rig.call("POST", &format!("/resources/applicants/{id}/status/pending"), "");
    assert_eq!(presence("deactivated").0, 409);
}

#[test]
fn tags_are_added_overwritten_and_bounded() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    let path = format!("/resources/applicants/{id}/tags");
    let many = json!((0..31).map(|it| it.to_string()).collect::<Vec<_>>()).to_string();

    assert_eq!(rig.call("POST", &format!("{path}/add"), r#"["a","b"]"#), (200, json!({"ok":1})));
    assert_eq!(rig.call("DELETE", &path, r#"["a"]"#).0, 200);
    let (status, body) = rig.call("POST", &path, &many);

    assert_eq!((status, &body["description"]), (400, &json!("Too many applicant tags")));
    let one = rig.call("GET", &format!("/resources/applicants/{id}/one"), "").1;
    assert_eq!(one["tags"], json!(["b"]));
}

#[test]
fn a_company_waits_for_its_people_and_passes_with_the_last_of_them() {
    let rig = Rig::new();
    let company = rig.applicant("kyb-level", "org_1");

    rig.act(&company, "submit");

    let review = rig.review(&company);
    assert_eq!(
        (&review["reviewStatus"], &review["reviewResult"]["reviewAnswer"]),
        (&json!("onHold"), &json!("GREEN"))
    );
    let one = rig.call("GET", &format!("/resources/applicants/{company}/one"), "").1;
    let person = one["info"]["companyInfo"]["beneficiaries"][0]["applicantId"].as_str().unwrap();
    rig.act(person, "approve");
    assert_eq!(rig.review(&company)["reviewStatus"], "completed");
    let pair = |kind: &str, status: &str| (kind.to_owned(), status.to_owned());
    assert_eq!(
        rig.events(),
        [
            pair("applicantCreated", "init"),
            pair("applicantPending", "pending"),
            pair("applicantCreated", "init"),
            pair("applicantPending", "pending"),
            pair("applicantOnHold", "onHold"),
            pair("applicantReviewed", "completed"),
            pair("applicantReviewed", "completed"),
        ]
    );
    let of_person: Vec<Value> = rig
        .bodies()
        .iter()
        .map(|it| serde_json::from_str::<Value>(it).unwrap())
        .filter(|it| it["applicantId"] == person)
        .collect();
    assert_eq!(of_person.len(), 3);
    for event in of_person {
        assert_eq!(event["applicantMemberOf"], json!([{ "applicantId": company }]));
        assert!(event["externalUserId"].as_str().unwrap().starts_with("beneficiary-random-"));
    }
}

#[test]
fn expiry_and_sanctions_reach_an_approved_applicant() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    rig.act(&id, "submit");
    rig.act(&id, "approve");

    rig.control("POST", &format!("/applicants/{id}/expire-document"), &json!({ "inMs": 1000 }));
    assert_eq!(rig.review(&id)["reviewResult"]["reviewAnswer"], "GREEN");
    rig.pass(1000);
    let expired = rig.review(&id);
    rig.act(&id, "aml-hit");
    let held = rig.review(&id);
    rig.control("POST", &format!("/applicants/{id}/aml-hit"), &json!({ "final": true }));
    let declined = rig.review(&id);

    assert_eq!(expired["reviewResult"]["reviewRejectType"], "RETRY");
    assert_eq!(expired["reviewResult"]["rejectLabels"], json!(["EXPIRATION_DATE"]));
    assert_eq!(held["reviewStatus"], "onHold");
    assert_eq!(declined["reviewResult"]["reviewRejectType"], "FINAL");
}

#[test]
fn real_sumsub_hosts_are_refused() {
    let clock: crate::sim::Clock = Arc::new(|| START_MS);
    for host in ["sumsub.com", "api.sumsub.com", "IN.SumSub.com.", "x.y.sumsub.com:8443"] {
        let base = Settings { base_url: format!("https://{host}/"), ..settings() };
        let hook = Settings { webhook_url: Some(format!("http://u@{host}/w")), ..settings() };
        for refused in [base, hook] {
            let error = Simulator::new(refused, Arc::clone(&clock)).unwrap_err();
            assert!(matches!(error, SettingsError::RealHost { .. }), "{host}: {error}");
        }
    }
    let rig = Rig::new();
    assert!(rig.simulator.set_webhook_url("https://api.sumsub.com/").is_err());
    assert!(rig.simulator.set_base_url("ftp://localhost").is_err());
    assert!(rig.simulator.set_base_url("http://notsumsub.com").is_ok());
}

#[test]
fn nothing_printed_for_debugging_holds_a_secret() {
    let rig = Rig::new();
    let credentials = rig.credentials();
    let settings = Settings { webhook_secret: Some("whsec".to_owned()), ..settings() };

    let printed = format!("{credentials:?} {settings:?} {:?}", rig.simulator);
    let greeting = rig.simulator.greeting();

    assert!(greeting.contains("simulator") && greeting.contains("Seed 1"));
    for secret in [&credentials.app_token, &credentials.secret_key, &"whsec".to_owned()] {
        assert!(!printed.contains(secret.as_str()) && !greeting.contains(secret.as_str()));
    }
}

#[test]
fn a_deleted_applicant_cannot_be_read_and_still_holds_its_external_id() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");

    assert_eq!(rig.act("-;externalUserId=org_1", "delete").0, 200);

    let (status, body) = rig.call(
        "POST",
        "/resources/applicants?levelName=kyc-level",
        r#"{"externalUserId":"org_1"}"#,
    );
    assert!(status == 409 && body["description"].as_str().unwrap().ends_with(&id));
    assert_eq!(rig.call("GET", &format!("/resources/applicants/{id}/one"), "").0, 404);
    assert_eq!(rig.call("GET", "/resources/applicants/-;externalUserId=org_1/one", "").0, 404);
    assert_eq!(rig.events().last().unwrap().0, "applicantDeleted");
}

#[test]
fn a_workflow_ends_with_its_own_events() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");

    rig.act(&id, "await-service");
    rig.act(&id, "workflow-completed");
    rig.act(&id, "workflow-failed");

    let bodies = rig.bodies();
    let [.., waiting, completed, failed] = bodies.as_slice() else { panic!() };
    assert!(
        waiting.contains("\"reviewStatus\" : \"awaitingService\"") && waiting.contains("GREEN")
    );
    assert!(completed.contains("applicantWorkflowCompleted") && completed.contains("GREEN"));
    assert!(failed.contains("applicantWorkflowFailed") && !failed.contains("reviewResult"));
}

#[test]
fn a_company_held_by_hand_is_not_released_by_its_people() {
    let rig = Rig::new();
    let company = rig.applicant("kyb-level", "org_1");
    rig.act(&company, "submit");
    rig.act(&company, "hold");
    let (_, all) = rig.control("GET", "/applicants", &Value::Null);
    let list = all["applicants"].as_array().unwrap();
    let person = list.iter().find(|it| it["memberOf"] == company.as_str()).unwrap();

    rig.act(person["id"].as_str().unwrap(), "approve");

    assert_eq!(rig.review(&company)["reviewStatus"], "onHold");
    rig.act(&company, "retry");
    rig.act(&company, "submit");
    assert_eq!(rig.review(&company)["reviewStatus"], "queued", "its people have passed already");
}

#[test]
fn a_profile_changes_by_patch_and_says_so() {
    let rig = Rig::new();
    let id = rig.applicant("kyc-level", "org_1");
    rig.applicant("kyc-level", "org_2");
    let patch = |target: &str, body: Value| rig.call("PATCH", target, &body.to_string());

    let info = patch(
        &format!("/resources/applicants/{id}/fixedInfo"),
        json!({ "firstName": "Ada", "country": "GBR" }),
    );
    let renamed = patch(
        "/resources/applicants",
        json!({ "id": id, "externalUserId": "org_3", "sourceKey": "shop" }),
    );
    let taken = patch("/resources/applicants", json!({ "id": id, "externalUserId": "org_2" }));

    assert_eq!(info, (200, json!({ "firstName": "Ada", "country": "GBR" })));
    assert_eq!((renamed.0, &renamed.1["externalUserId"]), (200, &json!("org_3")));
    assert_eq!(taken.0, 409);
    assert_eq!(rig.events().last().unwrap().0, "applicantPersonalInfoChanged");
    rig.act(&id, "submit");
    assert!(rig.bodies().last().unwrap().contains("\"sourceKey\" : \"shop\""));
    let steps = rig.call("GET", &format!("/resources/applicants/{id}/requiredIdDocsStatus"), "").1;
    assert_eq!(steps["IDENTITY"]["country"], "GBR");
}
