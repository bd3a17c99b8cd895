use super::rig::{Rig, settings};
use crate::sim::{ReuseCollision, Settings};
use serde_json::{Value, json};

const REUSE: &str = "/resources/api/reusableIdentity/reuse";

fn reuse(rig: &Rig, token: &str, more: &str) -> (u16, Value) {
    rig.call("POST", &format!("{REUSE}?shareToken={token}&levelName=kyc-level{more}"), "")
}

#[test]
fn a_share_token_works_once_and_its_refusal_has_no_error_code() {
    let rig = Rig::new();
    let token = rig.share_token(&json!(1200));
    assert!(token.ends_with('.'));

    let (status, applicant) = reuse(&rig, &token, "&userId=org_1");
    let (again, error) = reuse(&rig, &token, "&userId=org_2");

    assert_eq!((status, &applicant["externalUserId"]), (200, &json!("org_1")));
    assert_eq!(again, 401);
    assert!(error.get("errorCode").is_none() && error.get("correlationId").is_none());
    assert_eq!(error["type"], "de.smtdp.commons.service.exceptions.ServiceException");
    assert!(
        error["description"].as_str().unwrap().starts_with("Token is invalid: Token _act-sbx-")
    );
}

#[test]
fn a_share_token_expires_and_needs_its_last_dot() {
    let rig = Rig::new();
    let token = rig.share_token(&json!("5"));

    assert_eq!(reuse(&rig, token.trim_end_matches('.'), "").0, 401);
    rig.pass(5_000);
    let (status, error) = reuse(&rig, &token, "");

    assert_eq!(status, 401);
    let text = error["description"].as_str().unwrap();
    assert!(text.ends_with(
        "created at Fri Jan 02 03:04:05 UTC 2026 with ttl 5 but accessed at \
         Fri Jan 02 03:04:10 UTC 2026 [source: null]"
    ));
}

#[test]
fn a_reused_identity_is_rechecked_and_then_reviewed() {
    let rig = Rig::with(Settings { reuse_review_ms: 1500, ..settings() });
    let token = rig.share_token(&Value::Null);

    let (_, applicant) = reuse(&rig, &token, "&userId=org_1");
    let id = applicant["id"].as_str().unwrap();

    assert_eq!(applicant["review"]["reviewStatus"], "pending");
    assert!(applicant.get("copyOf").is_none() && applicant.get("reuseScope").is_none());
    rig.pass(1_500);
    assert_eq!(rig.review(id)["reviewResult"]["reviewAnswer"], "GREEN");
    let kinds: Vec<String> = rig.events().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["applicantCreated", "applicantPending", "applicantReviewed"]);
}

#[test]
fn a_copy_inherits_the_verdict_at_once_and_says_where_it_came_from() {
    let rig = Rig::new();
    let token = rig.share_token(&Value::Null);

    let target = format!("/resources/applicants/-/import?shareToken={token}");
    let (status, applicant) = rig.call("POST", &target, "");

    assert_eq!(status, 200);
    assert!(applicant["externalUserId"].as_str().unwrap().starts_with("copy-"));
    assert_eq!(applicant["reuseScope"], "importApiShareToken");
    assert_eq!(applicant["review"]["reviewResult"]["reviewAnswer"], "GREEN");
    let bodies = rig.bodies();
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0].contains("\"reuseScope\" : \"importApiShareToken\""));
    assert_eq!(rig.call("POST", &target, "").0, 401, "one token, one import");
}

#[test]
fn unfit_donors_levels_and_partners_draw_their_105xx_codes() {
    let rig = Rig::new();
    let token = rig.share_token(&Value::Null);
    let code = |answer: (u16, Value)| (answer.0, answer.1["errorCode"].as_u64().unwrap_or(0));
    let client = rig.credentials().client_id;

    let company_level =
        rig.call("POST", &format!("{REUSE}?shareToken={token}&levelName=kyb-level"), "");
    assert_eq!(company_level.1["description"], "Not Reusable KYC for level: kyb-level");
    assert_eq!(code(company_level), (400, 10513));
    rig.control("POST", "/partners", &json!({ "tenant": "recipient", "partners": [] }));
    assert_eq!(code(reuse(&rig, &token, "")), (400, 10501));
    rig.control("POST", "/partners", &json!({ "tenant": "partner", "partners": [] }));
    let donor =
        rig.control("GET", "/applicants?tenant=partner", &Value::Null).1["applicants"][0]["id"]
            .clone();
    let mint = |client: &str| {
        let body = json!({ "applicantId": donor, "forClientId": client }).to_string();
        rig.partner("POST", "/resources/accessTokens/shareToken", &body)
    };
    assert_eq!(code(mint(&client)), (400, 10501));
    assert_eq!(code(mint("stranger")), (400, 10502));
}

#[test]
fn a_donor_who_is_not_approved_or_is_a_company_cannot_be_reused() {
    let rig = Rig::new();
    let client = rig.credentials().client_id;
    let token_of = |level: &str| {
        let target = format!("/resources/applicants?levelName={level}");
        let id = rig.partner("POST", &target, "").1["id"].as_str().unwrap().to_owned();
        let target =
            format!("/resources/accessTokens/-/shareToken?applicantId={id}&forClientId={client}");
        rig.partner("POST", &target, "").1["token"].as_str().unwrap().to_owned()
    };

    assert_eq!(reuse(&rig, &token_of("kyc-level"), "").1["errorCode"], 10507);
    assert_eq!(reuse(&rig, &token_of("kyb-level"), "").1["errorCode"], 10509);
}

#[test]
fn a_reuse_for_a_taken_user_is_a_conflict_or_a_copy_as_set_and_a_conflict_spends_nothing() {
    let rig = Rig::new();
    rig.applicant("kyc-level", "org_1");
    let token = rig.share_token(&Value::Null);

    assert_eq!(reuse(&rig, &token, "&userId=org_1").0, 409);
    assert_eq!(reuse(&rig, &token, "&userId=org_2").0, 200);

    let rig = Rig::with(Settings { reuse_collision: ReuseCollision::Copy, ..settings() });
    rig.applicant("kyc-level", "org_1");
    let token = rig.share_token(&Value::Null);
    let (_, copy) = reuse(&rig, &token, "&userId=org_1");
    assert!(copy["externalUserId"].as_str().unwrap().starts_with("copy-"));
}

#[test]
fn a_preview_spends_nothing_and_creates_nobody() {
    let rig = Rig::new();
    let token = rig.share_token(&Value::Null);
    let target = format!("{REUSE}/preview?shareToken={token}&levelName=kyc-level");

    for method in ["GET", "POST"] {
        assert_eq!(rig.call(method, &target, "").0, 200);
    }

    assert!(rig.events().is_empty());
    assert_eq!(reuse(&rig, &token, "").0, 200);
}
