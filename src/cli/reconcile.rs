//! `countersign reconcile`: ask Sumsub now, by hand.

use clap::Args;
use serde_json::{Value, json};

use super::exit::{CliError, Exit, at_sumsub};
use super::output::{Answer, Format, table, tell};
use super::wiring::{Asks, appliance, pause};
use super::{Operator, Shape};
use crate::domain::organization::OrganizationId;
use crate::domain::text::shown;
use crate::store::Opening;
use crate::usecase::reconcile::{Finding, FindingKind, Mode, PACE, Report, Scope, reconcile};

pub(super) const HELP: &str = "\
Examples:
  countersign reconcile --dry-run
  countersign reconcile --org org_...
  countersign reconcile --everybody --json

`serve` does this by itself (`reconcile-after`, `reconcile-every`). What is found
is applied through the same table as a webhook, with the source `reconcile`; each
such change is a webhook that was missed. An applicant that Sumsub does not know
is told, and never applied. 20 are asked about a second.

Exit code: 0 nothing differs, or it was applied; 6 a dry run found something that
it would change; 4 Sumsub could not be asked about all of them.";

#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
#[derive(Debug, Args)]
pub(super) struct ReconcileArguments {
    /// Tell what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask about settled customers too (APPROVED, REJECTED), not only about those who wait
    #[arg(long, conflicts_with = "org")]
    everybody: bool,
    /// Ask about one organization
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    #[command(flatten)]
    shape: Shape,
}

pub(super) fn run(operator: &Operator, arguments: &ReconcileArguments) -> Result<Answer, CliError> {
    let appliance = appliance(&operator.config, Opening::MustExist, Asks::Sumsub)?;
    let scope = match (&arguments.org, arguments.everybody) {
        (Some(id), _) => Scope::One(OrganizationId::new(id.as_str())),
        (None, true) => Scope::Everybody,
        (None, false) => Scope::Waiting,
    };
    let mode = if arguments.dry_run { Mode::DryRun } else { Mode::Apply };
    let mut asked: u32 = 0;
    let report = reconcile(&appliance, &scope, mode, &mut || {
        if asked > 0 {
            pause(PACE);
        }
        asked = asked.saturating_add(1);
        if asked.is_multiple_of(200) {
            tell(&format!("{asked} asked about"));
        }
        true
    })?;
    let total = appliance.store.read(|register| register.drift())?;
    Ok(answer(arguments.shape.format(), mode, &report, total))
}

fn answer(format: Format, mode: Mode, report: &Report, total: i64) -> Answer {
    let drift = report.drift();
    let shown = match format {
        Format::Json => Answer::json(&json!({
            "object": "reconciliation",
            "dryRun": mode == Mode::DryRun,
            "asked": report.asked,
            "unusable": report.unusable,
            "complete": report.stopped_by.is_none(),
            "drift": drift,
            "driftTotal": total,
            "findings": report.findings.iter().map(of).collect::<Vec<_>>(),
        })),
        Format::Table if report.findings.is_empty() => Answer::default(),
        Format::Table => {
            let rows: Vec<Vec<String>> = report.findings.iter().map(row).collect();
            Answer::text(table(&["ORGANIZATION", "FROM", "TO", "SUMSUB SAYS", "SINCE"], &rows))
        }
    };
    let did = match (mode, drift) {
        (_, 0) if report.findings.is_empty() => "nothing differs".to_owned(),
        (_, 0) => "nothing was missed; what differs all the same is listed".to_owned(),
        (Mode::DryRun, count) => format!("{count} would change; nothing was changed"),
        (Mode::Apply, count) => format!("{count} missed webhooks were found and applied"),
    };
    let unusable = match report.unusable {
        0 => String::new(),
        count => format!("; {count} got no answer that can be used"),
    };
    let story = format!(
        "Sumsub answered about {}: {did}{unusable}. Missed webhooks found so far: {total}.",
        report.asked
    );
    match (&report.stopped_by, mode, drift) {
        (Some(error), _, _) => {
            let advice = at_sumsub(error);
            shown
                .telling(format!("{story}\nIt ended early: {error}: {advice}"))
                .ending(Exit::Provider)
        }
        (None, _, _) if report.unusable > 0 => shown.telling(story).ending(Exit::Provider),
        (None, Mode::DryRun, 1..) => shown.telling(story).ending(Exit::WouldChange),
        (None, ..) => shown.telling(story),
    }
}

fn row(finding: &Finding) -> Vec<String> {
    let id = finding.organization.to_string();
    match finding.kind {
        FindingKind::Drift { event, happened_at, from, to } => vec![
            id,
            from.as_str().to_owned(),
            to.as_str().to_owned(),
            event.as_str().to_owned(),
            happened_at.to_string(),
        ],
        FindingKind::Unknown => {
            vec![id, "-".to_owned(), "-".to_owned(), "unknown_applicant".to_owned(), "-".to_owned()]
        }
        FindingKind::Ignored(outcome) => {
            let level = finding.level.as_deref().unwrap_or("none");
            let said = format!("{} (level {})", outcome.as_str(), shown(level));
            vec![id, "-".to_owned(), "-".to_owned(), said, "-".to_owned()]
        }
        FindingKind::Overruled { verdict, status } => vec![
            id,
            status.as_str().to_owned(),
            format!("{} (an operator's approval)", status.as_str()),
            verdict.as_str().to_owned(),
            "-".to_owned(),
        ],
    }
}

fn of(finding: &Finding) -> Value {
    let (id, applicant) = (finding.organization.as_str(), &finding.applicant_id);
    match finding.kind {
        FindingKind::Drift { event, happened_at, from, to } => json!({
            "organizationId": id, "applicantId": applicant, "finding": event.as_str(),
            "happenedAt": happened_at.to_string(), "from": from.as_str(), "to": to.as_str(),
        }),
        FindingKind::Unknown => json!({
            "organizationId": id, "applicantId": applicant, "finding": "unknown_applicant",
            "happenedAt": null, "from": null, "to": null,
        }),
        FindingKind::Ignored(outcome) => json!({
            "organizationId": id, "applicantId": applicant, "finding": outcome.as_str(),
            "level": finding.level, "happenedAt": null, "from": null, "to": null,
        }),
        FindingKind::Overruled { verdict, status } => json!({
            "organizationId": id, "applicantId": applicant, "finding": "overruled_by_operator",
            "providerSays": verdict.as_str(), "happenedAt": null,
            "from": status.as_str(), "to": status.as_str(),
        }),
    }
}
