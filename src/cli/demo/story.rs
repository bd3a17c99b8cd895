//! The story that `demo --play` tells, in scenes: KYB by session, KYC by import, a retry, a hold, an
//! expiry, a revoke. Each step says what it proves.

use serde_json::{Value, json};

use super::play::{Ask, IMPORT, Play, VERIFICATION, aside, proves};
use super::stage::{ACTOR, Stage, text};
use crate::cli::exit::CliError;
use crate::cli::output::out;
use crate::domain::organization::OrganizationId;
use crate::usecase::authorizations::{By, Signature, sign_authorization};
use crate::usecase::decide::{Decision, Ground, decide, shown};

const ORGANIZATIONS: &str = "/v1/organizations";
const REFUSED: (u16, &[(&str, &str)]) = (403, &[("/error/code", "authorization_required")]);

/// Plays everything, or names the step that failed.
pub(super) fn play(stage: &Stage) -> Result<(), CliError> {
    let mut play = Play::new(stage);
    aside(&format!("Server {}, simulator beside it, no network.", stage.api))?;
    let business = business_by_session(&mut play)?;
    person_by_import(&mut play)?;
    retry(&mut play)?;
    hold(&mut play, &business)?;
    expiry(&mut play, &business)?;
    revoke(&mut play, &business)?;
    out("\nEvery step did what it had to.\n")?;
    Ok(())
}

fn business_by_session(play: &mut Play<'_>) -> Result<String, CliError> {
    play.step("The broker creates a customer")?;
    let customer = create(play, "Acme Trading Co.", "BUSINESS")?;
    let of = customer.as_str();
    proves("a customer is NOT_STARTED from its creation on, and its LOA is issued with it.")?;

    play.step("The broker tries to act for it too early")?;
    play.ask(&Ask::get(ORGANIZATIONS, of), REFUSED)?;
    proves("without a signed LOA and a verified customer, the gate is shut.")?;

    play.step("The broker starts the customer's KYB")?;
    let session = play.ask(
        &Ask::post(VERIFICATION, Some(of), None),
        (200, &[("/object", "verification_session")]),
    )?;
    if text(&session, "/url").is_empty() || text(&session, "/accessToken").is_empty() {
        return Err(play.failed("the session has no link or no token"));
    }
    play.ask(&Ask::get(VERIFICATION, of), (200, &[("/status", "PENDING")]))?;
    proves("a PENDING LOA is enough to verify; link and token are ready to hand over.")?;

    play.step("The customer submits, Sumsub approves and calls the webhook")?;
    play.act(of, &["submit", "approve"])?;
    play.await_status(of, "APPROVED")?;
    proves("signed webhooks, sent twice and in disorder, end in the right status.")?;

    play.step("The broker tries again before the LOA is signed")?;
    play.ask(&Ask::get(ORGANIZATIONS, of), REFUSED)?;
    proves("a verified customer alone opens nothing: the LOA must be signed.")?;

    play.step("An operator records the signature, and the gate opens")?;
    sign(play, of)?;
    play.ask(&Ask::get(ORGANIZATIONS, of), (200, &[("/verificationStatus", "APPROVED")]))?;
    proves("signed and APPROVED: the broker acts for the customer.")?;
    Ok(customer)
}

fn person_by_import(play: &mut Play<'_>) -> Result<(), CliError> {
    play.step("A partner's verified person is imported")?;
    let customer = create(play, "Ada Lovelace", "INDIVIDUAL")?;
    let of = customer.as_str();
    let body =
        || -> Result<Value, CliError> { Ok(json!({"shareToken": play.stage.share_token()?})) };
    let (token, spent) = (body()?, (400, &[("/error/code", "share_token_invalid")][..]));
    play.ask(&Ask::post(IMPORT, Some(of), Some(token.clone())), REFUSED)?;
    sign(play, of)?;
    play.ask(
        &Ask::post(IMPORT, Some(of), Some(token.clone())),
        (200, &[("/status", "PENDING"), ("/type", "INDIVIDUAL")]),
    )?;
    proves(
        "an import needs an ACTIVE LOA, a refused one burns no token, and the answer is PENDING.",
    )?;

    play.step("The webhook approves the import")?;
    play.await_status(of, "APPROVED")?;
    play.ask(&Ask::get(ORGANIZATIONS, of), (200, &[("/type", "INDIVIDUAL")]))?;
    proves("only applicantReviewed approves; the import itself never does.")?;

    play.step("The same share token is sent again")?;
    play.ask(&Ask::post(IMPORT, Some(of), Some(token)), spent)?;
    proves("a share token works once.")
}

fn retry(play: &mut Play<'_>) -> Result<(), CliError> {
    play.step("A customer's photo is blurry")?;
    let customer = create(play, "Grace Hopper", "INDIVIDUAL")?;
    let of = customer.as_str();
    play.ask(&Ask::post(VERIFICATION, Some(of), None), (200, &[]))?;
    play.act(of, &["submit", "retry"])?;
    play.await_status(of, "RESUBMISSION_REQUIRED")?;
    proves("RED with RETRY is something that the customer can mend.")?;

    play.step("The broker hands the customer back into the flow")?;
    play.ask(&Ask::post(VERIFICATION, Some(of), None), (200, &[]))?;
    play.ask(&Ask::get(VERIFICATION, of), (200, &[("/status", "PENDING")]))?;
    play.act(of, &["submit", "approve"])?;
    play.await_status(of, "APPROVED")?;
    proves("the same applicant goes on, and a poll loop goes on with it.")
}

fn hold(play: &mut Play<'_>, of: &str) -> Result<(), CliError> {
    play.step("An operator holds a verified customer")?;
    settle(play, of, Decision::Hold, "name is on a sanctions list")?;
    play.ask(&Ask::get(VERIFICATION, of), (200, &[("/status", "ON_HOLD")]))?;
    play.ask(&Ask::get(ORGANIZATIONS, of), REFUSED)?;
    proves("a hold suspends the LOA at once.")?;

    play.step("The operator releases the hold")?;
    settle(play, of, Decision::Approve, "false match, ticket 4711")?;
    play.ask(&Ask::get(VERIFICATION, of), (200, &[("/status", "APPROVED")]))?;
    play.ask(&Ask::get(ORGANIZATIONS, of), (200, &[]))?;
    proves("with the status the LOA resumes; nobody signed anew.")
}

fn expiry(play: &mut Play<'_>, of: &str) -> Result<(), CliError> {
    play.step("A year passes")?;
    let days = play.stage.appliance.rules.valid_days_business;
    aside(&format!("The demo's clock goes {days} days forward."))?;
    play.stage.advance_days(days);
    play.ask(&Ask::get(VERIFICATION, of), (200, &[("/status", "RESUBMISSION_REQUIRED")]))?;
    play.ask(&Ask::get(ORGANIZATIONS, of), REFUSED)?;
    proves("an approval that has expired counts no longer, at that instant and without a timer.")?;

    play.step("The customer verifies anew")?;
    play.ask(&Ask::post(VERIFICATION, Some(of), None), (200, &[]))?;
    play.act(of, &["recheck", "approve"])?;
    play.await_status(of, "APPROVED")?;
    play.ask(&Ask::get(ORGANIZATIONS, of), (200, &[]))?;
    proves("the LOA was suspended, not ended: it resumes untouched.")
}

fn revoke(play: &mut Play<'_>, of: &str) -> Result<(), CliError> {
    play.step("The LOA is revoked")?;
    let body = json!({
        "grantingOrganizationId": of,
        "authorizedOrganizationId": play.stage.broker,
        "type": "LOA",
        "reason": "contract ended",
    });
    let ask = Ask::post("/v1/authorizations/revoke", None, Some(body));
    play.ask(&ask, (200, &[("/status", "REVOKED")]))?;
    play.ask(&Ask::get(ORGANIZATIONS, of), REFUSED)?;
    play.ask(&ask, (404, &[("/error/code", "authorization_not_found")]))?;
    proves("a revoked LOA opens nothing, and is revoked once.")
}

fn create(play: &Play<'_>, name: &str, kind: &str) -> Result<String, CliError> {
    let body = json!({"name": name, "type": kind});
    let organization = play.ask(
        &Ask::post(ORGANIZATIONS, None, Some(body)),
        (200, &[("/verificationStatus", "NOT_STARTED"), ("/type", kind)]),
    )?;
    Ok(text(&organization, "/organizationId").to_owned())
}

/// As `countersign loa sign` does.
fn sign(play: &Play<'_>, granting: &str) -> Result<(), CliError> {
    let stage = play.stage;
    aside(&format!("operator: loa sign --granting {granting} --authorized {}", stage.broker))?;
    let signature = Signature {
        at: (stage.appliance.clock)(),
        signer_name: "Jo Doe".to_owned(),
        signer_role: "Director".to_owned(),
        how: "paper".to_owned(),
        reference: "folder/1".to_owned(),
    };
    let by = By { actor: ACTOR.to_owned(), request_id: None };
    let (granting, authorized) =
        (OrganizationId::new(granting), OrganizationId::new(&*stage.broker));
    sign_authorization(&stage.appliance, &granting, &authorized, &signature, by)
        .map(drop)
        .map_err(|it| play.failed(&it.to_string()))
}

/// As `countersign verification hold|approve` does.
fn settle(play: &Play<'_>, of: &str, decision: Decision, reason: &str) -> Result<(), CliError> {
    let word = decision.as_str();
    aside(&format!("operator: verification {word} {of} --reason '{reason}'"))?;
    let (appliance, id) = (&play.stage.appliance, OrganizationId::new(of));
    shown(appliance, &id)
        .and_then(|it| {
            let ground = Ground { basis: it.basis(), against_provider: false };
            decide(appliance, &id, decision, ground, (ACTOR, reason))
        })
        .map(drop)
        .map_err(|it| play.failed(&it.to_string()))
}
