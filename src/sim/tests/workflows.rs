//! Workflows: which events a verdict at a level leads to.

use super::rig::{Rig, settings};
use crate::sim::{ApplicantType, LevelChanges, Settings, SettingsError, Simulator, Workflow};
use serde_json::{Value, json};
use std::sync::Arc;

fn company_workflow() -> Workflow {
    Workflow {
        applicant_type: ApplicantType::Company,
        levels: vec!["email-check-only".to_owned(), "kyb-level".to_owned()],
        level_changes: LevelChanges::Silent,
    }
}

fn rig() -> Rig {
    Rig::with(Settings { workflows: vec![company_workflow()], ..settings() })
}

/// Type, status, level and answer of the events after the first `skipped`, those of a company's
/// people left out.
fn events(rig: &Rig, skipped: usize) -> Vec<String> {
    rig.bodies()
        .iter()
        .map(|it| serde_json::from_str::<Value>(it).unwrap())
        .filter(|it| it["applicantMemberOf"].is_null())
        .skip(skipped)
        .map(|it| {
            let word = |it: &Value| it.as_str().unwrap_or("-").to_owned();
            let result = &it["reviewResult"];
            [&it["type"], &it["reviewStatus"], &it["levelName"], &result["reviewAnswer"]]
                .map(word)
                .join(" ")
                .replacen("applicant", "", 1)
        })
        .collect()
}

fn shown(rig: &Rig, id: &str) -> Value {
    rig.call("GET", &format!("/resources/applicants/{id}/one"), "").1["review"].clone()
}

#[test]
fn a_green_closes_a_level_and_only_the_last_one_completes_the_workflow() {
    let rig = rig();
    let id = rig.applicant("email-check-only", "org_1");

    rig.act(&id, "approve");

    assert_eq!(
        events(&rig, 1),
        ["Reviewed completed email-check-only GREEN", "AwaitingUser awaitingUser kyb-level GREEN",]
    );
    let review = shown(&rig, &id);
    assert_eq!(
        (&review["levelName"], &review["reviewStatus"]),
        (&json!("kyb-level"), &json!("awaitingUser"))
    );

    assert_eq!(rig.act(&id, "submit").0, 200);
    rig.act(&id, "approve");
    assert_eq!(
        events(&rig, 3),
        [
            "Pending pending kyb-level -",
            "OnHold onHold kyb-level GREEN",
            "Reviewed completed kyb-level GREEN",
            "WorkflowCompleted completed kyb-level GREEN",
        ]
    );
    let review = shown(&rig, &id);
    assert_eq!(
        (&review["levelName"], &review["reviewStatus"]),
        (&json!("kyb-level"), &json!("completed"))
    );
}

#[test]
fn approving_a_company_that_waits_for_its_people_passes_one_level_only() {
    let rig = rig();
    let id = rig.applicant("email-check-only", "org_1");
    rig.act(&id, "submit");

    rig.act(&id, "approve");

    assert_eq!(
        events(&rig, 3),
        ["Reviewed completed email-check-only GREEN", "AwaitingUser awaitingUser kyb-level GREEN",]
    );
}

#[test]
fn a_final_rejection_fails_the_workflow_at_any_level_and_a_retry_lets_it_wait() {
    for level in ["email-check-only", "kyb-level"] {
        let rig = rig();
        let id = rig.applicant(level, "org_1");

        rig.act(&id, "retry");
        assert_eq!(events(&rig, 1), [format!("Reviewed completed {level} RED")]);
        rig.act(&id, "reject");

        assert_eq!(
            events(&rig, 2),
            [
                format!("Reviewed completed {level} RED"),
                format!("WorkflowFailed completed {level} RED"),
            ]
        );
        let failed: Value = serde_json::from_str(&rig.bodies().pop().unwrap()).unwrap();
        assert_eq!(failed["reviewResult"]["reviewRejectType"], "FINAL");
        assert_eq!(shown(&rig, &id)["levelName"], level);
    }
}

#[test]
fn every_source_of_a_verdict_moves_a_workflow_on() {
    for path in ["status/testCompleted", "-/approve"] {
        let rig = rig();
        let id = rig.applicant("email-check-only", "org_1");

        let target = format!("/resources/applicants/{id}/{path}");
        assert_eq!(rig.call("POST", &target, r#"{"reviewAnswer":"GREEN"}"#).0, 200);

        assert_eq!(shown(&rig, &id)["levelName"], "kyb-level", "{path}");
    }
}

#[test]
fn a_workflow_can_announce_its_next_level() {
    let rig = Rig::new();
    let body = json!({
        "applicantType": "individual", "levels": ["basic-kyc-level", "kyc-level"],
        "levelChanged": true,
    });
    assert_eq!(rig.control("POST", "/workflows", &body).0, 200);
    let id = rig.applicant("basic-kyc-level", "org_1");

    rig.act(&id, "approve");

    assert_eq!(
        events(&rig, 1),
        [
            "Reviewed completed basic-kyc-level GREEN",
            "LevelChanged init kyc-level GREEN",
            "AwaitingUser awaitingUser kyc-level GREEN",
        ]
    );
    let announced: Value = serde_json::from_str(&rig.bodies()[2]).unwrap();
    assert_eq!(announced["previousLevelName"], "basic-kyc-level");
    let (_, state) = rig.control("GET", "/state", &Value::Null);
    assert_eq!(state["workflows"][0]["levels"], body["levels"]);
}

#[test]
fn an_applicant_at_another_level_or_of_another_type_is_not_in_the_workflow() {
    let rig = rig();
    let person = rig.applicant("kyc-level", "person");
    rig.act(&person, "approve");
    assert_eq!(rig.events().last().unwrap().0, "applicantReviewed", "of another type");

    let left = rig.applicant("email-check-only", "left");
    rig.control("POST", "/levels", &json!({ "name": "other", "applicantType": "company" }));
    rig.control("POST", &format!("/applicants/{left}/move-to-level"), &json!({ "name": "other" }));
    rig.act(&left, "approve");
    assert_eq!(rig.events().last().unwrap().0, "applicantReviewed", "moved out of it");

    rig.control("POST", "/workflows", &json!({ "applicantType": "company", "levels": [] }));
    let ended = rig.applicant("email-check-only", "ended");
    rig.act(&ended, "approve");
    assert_eq!(rig.events().last().unwrap().0, "applicantReviewed", "ended");
}

#[test]
fn people_of_companies_and_donors_of_partners_pass_outside_of_workflows() {
    let rig = Rig::new();
    let individuals =
        json!({ "applicantType": "individual", "levels": ["kyc-level", "basic-kyc-level"] });
    rig.control("POST", "/workflows", &individuals);
    let company = rig.applicant("kyb-level", "org_1");
    rig.act(&company, "submit");

    rig.act(&company, "approve");
    rig.share_token(&json!(60));

    assert_eq!(shown(&rig, &company)["reviewStatus"], "completed");
    assert!(rig.events().iter().all(|(kind, _)| kind != "applicantAwaitingUser"));
}

#[test]
fn an_imported_identity_enters_the_workflow_at_its_level() {
    let rig = Rig::new();
    let individuals =
        json!({ "applicantType": "individual", "levels": ["kyc-level", "basic-kyc-level"] });
    rig.control("POST", "/workflows", &individuals);
    let token = rig.share_token(&json!(60));

    let target = format!(
        "/resources/api/reusableIdentity/reuse?shareToken={token}&levelName=kyc-level&userId=org_1"
    );
    let (status, imported) = rig.call("POST", &target, "");

    assert_eq!((status, &imported["review"]["levelName"]), (200, &json!("basic-kyc-level")));
    assert_eq!(imported["review"]["reviewStatus"], "awaitingUser");
}

#[test]
fn a_session_of_the_first_level_does_not_throw_a_customer_back_in_the_workflow() {
    let rig = rig();
    let id = rig.applicant("email-check-only", "org_1");
    rig.act(&id, "approve");
    let body = r#"{"userId":"org_1","levelName":"email-check-only"}"#;
    let (_, minted) = rig.call("POST", "/resources/accessTokens/sdk", body);

    rig.control("POST", "/sdk/open", &json!({ "token": minted["token"] }));

    assert_eq!(shown(&rig, &id)["levelName"], "kyb-level");
    let back = json!({ "name": "email-check-only" });
    rig.control("POST", &format!("/applicants/{id}/move-to-level"), &back);
    rig.act(&id, "approve");
    assert_eq!(shown(&rig, &id)["levelName"], "kyb-level", "moved back, it goes on from there");
}

#[test]
fn a_workflow_is_ended_outright_with_the_verdict_given_or_the_current_one() {
    let rig = rig();
    let id = rig.applicant("email-check-only", "org_1");
    let end = |how: &str, body: Value| {
        assert_eq!(rig.control("POST", &format!("/applicants/{id}/workflow-{how}"), &body).0, 200);
        serde_json::from_str::<Value>(&rig.bodies().pop().unwrap()).unwrap()
    };
    let red = json!({ "reviewAnswer": "RED", "rejectLabels": ["FORGERY"] });

    let failed = end("failed", red.clone());
    assert_eq!(failed["type"], "applicantWorkflowFailed");
    assert_eq!(failed["reviewResult"]["reviewRejectType"], "FINAL");
    assert_eq!(
        end("completed", json!({}))["reviewResult"]["reviewAnswer"],
        "RED",
        "the current one"
    );
    assert!(end("failed", json!({})).get("reviewResult").is_none());
    assert_eq!(end("completed", json!({}))["reviewResult"]["reviewAnswer"], "GREEN");
    let completed = end("completed", red);
    assert_eq!(completed["reviewResult"]["reviewAnswer"], "RED");
    assert_eq!(completed["reviewStatus"], "completed");
    let bad = json!({ "reviewAnswer": "BLUE" });
    assert_eq!(rig.control("POST", &format!("/applicants/{id}/workflow-failed"), &bad).0, 400);
}

#[test]
fn a_workflow_of_unknown_repeated_or_unfitting_levels_is_refused() {
    let rig = Rig::new();
    for levels in
        [json!(["nope"]), json!(["kyc-level"]), json!(["kyb-level", "kyb-level"]), json!([1])]
    {
        let body = json!({ "applicantType": "company", "levels": levels });
        assert_eq!(rig.control("POST", "/workflows", &body).0, 400, "{levels}");
    }
    let wrong = Workflow { applicant_type: ApplicantType::Individual, ..company_workflow() };
    let settings = Settings { workflows: vec![wrong], ..settings() };

    let refused = Simulator::new(settings, Arc::new(|| 0)).unwrap_err();

    assert!(matches!(refused, SettingsError::InvalidWorkflow { .. }), "{refused}");
}
