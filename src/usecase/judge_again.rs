//! Where the rules of today would judge otherwise than the ones by which a fact was recorded. Nothing
//! that counted is un-counted (contract 9.1, 9.2): an operator is told, and decides.

use crate::domain::fold::{Fact, Overrule, Verification, overrule};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Acceptance, Ignored, import_of, judge};
use crate::domain::verification::{Event, State};
use crate::store::{Cause, Reader, RecordedFact, Store};
use crate::sumsub::wire::Webhook;
use crate::usecase::Failure;

/// Why an approval that counts would not be one today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// Sumsub's approval would not count.
    NotCounted(Ignored),
    /// An operator's approval would fall to a verdict of Sumsub's that became known after it.
    Fallen,
    /// An operator's approval would have needed `--against-provider`.
    Overrules(Overrule),
}

/// An APPROVED customer whom the rules of today would judge otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Who.
    pub organization: OrganizationId,
    /// The fact that gave the approval.
    pub sequence: i64,
    /// Why.
    pub why: Otherwise,
}

/// Looks at every approval that a predecessor recorded and that counts now.
pub fn judge_again(
    store: &Store,
    acceptance: &Acceptance,
    now: Timestamp,
) -> Result<Vec<Judged>, Failure> {
    store.snapshot(|register| {
        let mut found = Vec::new();
        for of in register.approved_by_predecessor()? {
            found.extend(judged(*register, acceptance, &of, now)?);
        }
        Ok(found)
    })
}

fn judged(
    register: Reader<'_>,
    acceptance: &Acceptance,
    of: &OrganizationId,
    now: Timestamp,
) -> Result<Option<Judged>, Failure> {
    let organization = register.organization(of)?.ok_or(Failure::OrganizationNotFound)?;
    let verification = register.verification(of)?.ok_or(Failure::OrganizationNotFound)?;
    if verification.state_at(now) != State::Approved {
        return Ok(None);
    }
    let recorded = register.facts(of)?;
    let facts: Vec<Fact> = recorded.iter().map(|it| it.fact.clone()).collect();
    let approval = Verification::approval(&facts).map(|it| it.sequence);
    let Some(approval) = recorded.iter().find(|it| Some(it.fact.sequence) == approval) else {
        return Ok(None);
    };
    let why = if approval.fact.event == Event::OperatorApprove {
        of_operator(&facts, &approval.fact, organization.created_at)
    } else if acceptance.levels(organization.kind).is_empty() {
        None
    } else {
        let import = import_of(&facts, verification.applicant_id.as_deref());
        webhook_of(register, approval)?.and_then(|it| {
            let word = it.word(Event::ProviderApproved);
            let judged = judge(&word, organization.kind, import.as_ref(), acceptance);
            judged.err().map(Otherwise::NotCounted)
        })
    };
    let sequence = approval.fact.sequence;
    Ok(why.map(|why| Judged { organization: of.clone(), sequence, why }))
}

/// What Sumsub sent, if its body is still there.
fn webhook_of(register: Reader<'_>, approval: &RecordedFact) -> Result<Option<Webhook>, Failure> {
    let Cause::Delivery(id) = approval.cause else { return Ok(None) };
    let delivery = register.delivery(id)?;
    Ok(delivery.and_then(|it| it.body).and_then(|it| Webhook::read(&it)))
}

fn of_operator(facts: &[Fact], approval: &Fact, created_at: Timestamp) -> Option<Otherwise> {
    if approval.basis.is_some() {
        return None;
    }
    let known: Vec<Fact> =
        facts.iter().filter(|it| it.sequence < approval.sequence).cloned().collect();
    let mut facts = facts.to_vec();
    for it in &mut facts {
        if it.sequence == approval.sequence {
            it.basis = Some(0);
        }
    }
    let today = Verification::rebuild(created_at, &facts);
    if today.state != State::Approved {
        return Some(Otherwise::Fallen);
    }
    match overrule(&known, today.applicant_id.as_deref()) {
        Some(it @ Overrule::Against { .. }) => Some(Otherwise::Overrules(it)),
        Some(Overrule::NoCheck) | None => None,
    }
}
