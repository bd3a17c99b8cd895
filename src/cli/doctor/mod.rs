//! `countersign doctor`: what is wrong with this installation, why it matters, and what mends it.
//!
//! It looks and asks; it changes nothing but one entry of the inbox, which is the point of the
//! self-test: a webhook as Sumsub's, signed with the configured secret, through the public address.

mod local;
mod receivers;
mod remote;
mod verdicts;

use serde_json::json;

use super::exit::Exit;
use super::output::{Answer, Format};
use super::wiring::real_clock;
use super::{Operator, Shape};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  countersign doctor
  countersign doctor --json | jq '.findings[] | select(.severity == \"error\")'

Give it the settings of `serve`, and run it as the same user. It works beside a
server and without one. Exit code 1 if there is at least one error; warnings and
notes leave it 0.")]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    shape: Shape,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Error,
    Warning,
    Fine,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Fine => "fine",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
struct Finding {
    /// What was looked at: a word for programs.
    check: &'static str,
    severity: Severity,
    /// What is so.
    what: String,
    /// Why it matters; empty if it is fine.
    why: &'static str,
    /// The command or setting that mends it; empty if it is fine.
    fix: String,
}

impl Finding {
    fn fine(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, severity: Severity::Fine, what: what.into(), why: "", fix: String::new() }
    }

    fn warning(
        check: &'static str,
        what: impl Into<String>,
        why: &'static str,
        fix: impl Into<String>,
    ) -> Self {
        Self { check, severity: Severity::Warning, what: what.into(), why, fix: fix.into() }
    }

    fn error(
        check: &'static str,
        what: impl Into<String>,
        why: &'static str,
        fix: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Error, ..Self::warning(check, what, why, fix) }
    }
}

pub(super) fn run(operator: &Operator, arguments: &DoctorArguments) -> Answer {
    let config = &operator.config;
    let now = real_clock()();
    let mut findings = local::look(config, now);
    findings.extend(remote::ask(config));
    findings.sort_by_key(|it| it.severity);
    let errors = findings.iter().filter(|it| it.severity == Severity::Error).count();
    let answer = match arguments.shape.format() {
        Format::Json => Answer::json(&json!({
            "object": "diagnosis",
            "errors": errors,
            "findings": findings.iter().map(shape_of).collect::<Vec<_>>(),
        })),
        Format::Table => Answer::text(findings.iter().map(lines).collect()),
    };
    Answer { exit: (errors > 0).then_some(Exit::Refused), ..answer }
}

fn shape_of(finding: &Finding) -> serde_json::Value {
    let Finding { check, severity, what, why, fix } = finding;
    json!({"check": check, "severity": severity.as_str(), "what": what, "why": why, "fix": fix})
}

fn lines(finding: &Finding) -> String {
    let Finding { check, severity, what, why, fix } = finding;
    let head = format!("{:<7}  {check}: {what}\n", severity.as_str());
    if *severity == Severity::Fine {
        return head;
    }
    format!("{head}         {why}\n         -> {fix}\n")
}
