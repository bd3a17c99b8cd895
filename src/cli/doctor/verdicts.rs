//! What the register knows of verdicts that somebody has to look at, and of the clock that dates them.
//! Asks nobody.

use super::Finding;
use crate::cli::wiring::acceptance;
use crate::config::Config;
use crate::domain::organization::OrganizationType;
use crate::domain::timekeeper::OFFSET_MIN_MS;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::Acceptance;
use crate::store::{IgnoredApproval, Outcome, Reader, Store, StoreError};
use crate::usecase::explain::ignored_in_words;
use crate::usecase::judge_again::{Judged, Otherwise, judge_again};
use crate::usecase::{Failure, in_words};

/// How many of a kind are told one by one.
const TOLD_MAX: u32 = 5;

pub(super) fn look(
    store: &Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<Finding>, StoreError> {
    let accepted = acceptance(config, None);
    let mut findings = store.snapshot(|register| {
        let mut findings = vec![clock(*register, now)?];
        findings.extend(ignored(*register, &accepted)?);
        findings.extend(awaiting(*register, now)?);
        Ok::<_, StoreError>(findings)
    })?;
    match judge_again(store, &accepted, now) {
        Ok(found) => findings.extend(of_today(&found)),
        Err(Failure::Store(error)) => return Err(error),
        Err(other) => tracing::debug!(error = %other, "approvals were not judged again"),
    }
    Ok(findings)
}

/// The machine's clock against the register, without asking anybody.
fn clock(register: Reader<'_>, now: Timestamp) -> Result<Finding, StoreError> {
    let newest = register.newest_known()?;
    let behind_ms = newest.as_ms().saturating_sub(now.as_ms());
    if behind_ms < OFFSET_MIN_MS {
        return Ok(Finding::fine(
            "time",
            "no fact of the register lies ahead of this machine's clock",
        ));
    }
    Ok(Finding::error(
        "time",
        format!(
            "this machine's clock is {} s behind the register's newest fact, of {newest}",
            behind_ms / 1000
        ),
        "Until Sumsub has been asked for the time, new approvals wait.",
        "set the clock, and let it be kept right: `timedatectl set-ntp true`",
    ))
}

fn ignored(register: Reader<'_>, accepted: &Acceptance) -> Result<Vec<Finding>, StoreError> {
    let count = register.count_ignored_approvals()?;
    let shown = register.ignored_approvals(TOLD_MAX)?;
    let mut findings = Vec::new();
    for it in &shown {
        let kind = register
            .organization(&it.organization)?
            .ok_or(StoreError::Corrupt("ignored approval"))?
            .kind;
        findings.push(Finding::warning(
            "approval",
            format!("{}: {}", it.organization, ignored_in_words(it)),
            "The customer waits for an approval that Sumsub has given.",
            way_out(it, kind, accepted),
        ));
    }
    let told = i64::try_from(shown.len()).unwrap_or(i64::MAX);
    if count > told {
        findings.push(Finding::warning(
            "approval",
            format!("{} more approvals by Sumsub do not count", count.saturating_sub(told)),
            "Their customers wait.",
            "the console's review queue has them all",
        ));
    } else if count == 0 {
        findings.push(Finding::fine("approval", "every approval by Sumsub counts"));
    }
    Ok(findings)
}

/// The setting to extend, where that is the way; or how to ask the customer again.
fn way_out(it: &IgnoredApproval, kind: OrganizationType, accepted: &Acceptance) -> String {
    let of = &it.organization;
    let again = format!(
        "ask the customer again: `countersign verification hold {of}`, then `resubmit`, then a new \
         session"
    );
    match (it.outcome, &it.level) {
        (Outcome::OtherLevel, Some(level)) => {
            let mut levels = accepted.levels(kind).to_vec();
            levels.push(level.clone());
            format!(
                "if that level verifies a {0} as it should: set COUNTERSIGN_SUMSUB_LEVEL_{0}={1}, \
                 restart, and run `countersign inbox replay --all --org {of}`; otherwise {again}",
                kind.as_str(),
                levels.join(",")
            )
        }
        (Outcome::OtherApplicantType, _) => {
            "look at the applicant in Sumsub's dashboard: it bears this organization's id and is of \
             the other type; delete it there, and start a new session"
                .to_owned()
        }
        (Outcome::WorkflowStep, _) => format!(
            "look at the workflow in Sumsub's dashboard: its end was not reported; have Sumsub send \
             that webhook again, or {again}"
        ),
        _ => format!("`countersign inbox list` shows what Sumsub sent; {again}"),
    }
}

fn awaiting(register: Reader<'_>, now: Timestamp) -> Result<Option<Finding>, StoreError> {
    let count = register.figures(now)?.awaiting_approvals;
    Ok((count > 0).then(|| {
        Finding::warning(
            "approval",
            format!("{count} approvals wait until Sumsub has been asked"),
            "A clock was wrong when they came.",
            "`countersign reconcile` asks, and so does the server once it knows the time",
        )
    }))
}

fn of_today(found: &[Judged]) -> Vec<Finding> {
    let told = found.iter().take(usize::try_from(TOLD_MAX).unwrap_or(usize::MAX)).map(|it| {
        let what = match it.why {
            Otherwise::NotCounted(_) => {
                "is APPROVED by an approval of Sumsub's that would not count today".to_owned()
            }
            Otherwise::Fallen => "is APPROVED by an operator who could not know of a verdict of \
                                  Sumsub's against it; today that approval would have fallen"
                .to_owned(),
            Otherwise::Overrules(overrule) => format!("is {}", in_words(overrule)),
        };
        Finding::warning(
            "earlier",
            format!("{} (fact {}) {what}", it.organization, it.sequence),
            "It was recorded by an earlier version, and stays as it was.",
            format!(
                "`countersign verification show {0}`; `countersign verification hold {0}` if it is wrong",
                it.organization
            ),
        )
    });
    let mut findings: Vec<Finding> = told.collect();
    if found.len() > findings.len() {
        let more = found.len().saturating_sub(findings.len());
        findings.push(Finding::warning(
            "earlier",
            format!("{more} more customers would be judged otherwise today"),
            "Earlier versions approved them, and they stay approved.",
            "`countersign inbox replay --all --dry-run` lists those that Sumsub approved",
        ));
    }
    findings
}
