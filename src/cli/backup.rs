//! `countersign backup`, `verify` and `restore`: copies of the register, proven, and put back.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::output::{Answer, Format, fields, instant};
use super::progress::Bar;
use super::wiring::{environment, real_clock};
use super::{Operator, Shape};
use crate::outbox::KeyFit;
use crate::store::files::resolved;
use crate::store::{Losses, Proof, prove, refuse_other_names};
use crate::usecase::back_up::{BackUpError, Target, back_up};
use crate::usecase::restore::{Overwrite, RestoreError, Restored, restore};
use crate::usecase::webhook_key::fit_beside;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  countersign backup /var/backups/countersign --keep 14
  countersign backup before-the-move.db
  countersign backup /var/backups/countersign --json | jq -r .path

While the server runs, too: nobody waits for it. The copy is of one instant and
contains everything that was acknowledged before the command began. It is proven
before it bears its name: pages, references, and every fact folded and compared
with its row. Beside it stands its webhook key: keep both, private.")]
pub(super) struct BackupArguments {
    /// A new file as backup.db, or a directory, in which the file is named for the register and the instant
    #[arg(value_name = "FILE|DIRECTORY")]
    to: PathBuf,
    /// In a directory: remove all but the newest so many backups of this register
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  countersign verify
  countersign verify /var/backups/countersign/countersign-20260514T093000000Z.db

Reads a register or a backup, changes nothing, and works beside a running server.
Exit code 5 if anything is wrong.")]
pub(super) struct VerifyArguments {
    /// The file; without it the register
    file: Option<PathBuf>,
    #[command(flatten)]
    shape: Shape,
}

impl VerifyArguments {
    /// Whether the register is left out of it.
    pub(super) fn names_file(&self) -> bool {
        self.file.is_some()
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  countersign restore /var/backups/countersign/countersign-20260514T093000000Z.db
  countersign restore backup.db --force

Stop the server first. The backup is proven before anything is touched, and the
register that was there is kept aside as <register>.replaced-<instant>. If it
holds anything that the backup does not, nothing is done without --force, and what
would be lost is listed.")]
pub(super) struct RestoreArguments {
    /// The backup
    #[arg(value_name = "BACKUP")]
    from: PathBuf,
    /// Lose what only the present register holds
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    shape: Shape,
}

pub(super) fn run(operator: &Operator, arguments: &BackupArguments) -> Result<Answer, CliError> {
    let target = target_of(arguments)?;
    refuse_other_names(&operator.config.database)?;
    let mut shown = Bar::on_stderr();
    let made = back_up(&operator.config.database, &target, real_clock()(), &mut |it| {
        shown.tell(it);
    })?;
    drop(shown);
    let answer = match arguments.shape.format() {
        Format::Json => {
            let mut value = shape("backup", &made.path, &made.proof, made.key);
            let removed: Vec<_> = made.removed.iter().map(|it| text_of(it)).collect();
            insert(&mut value, "removed", removed.into());
            Answer::json(&value)
        }
        Format::Table => {
            let mut text = people(&made.path, &made.proof, made.key);
            for it in &made.removed {
                // Writing to a String does not fail.
                writeln!(text, "Removed              {}", it.display()).unwrap_or_default();
            }
            Answer::text(text)
        }
    };
    Ok(warned(answer, &made.path, made.key))
}

pub(super) fn verify(operator: &Operator, arguments: &VerifyArguments) -> Result<Answer, CliError> {
    let file = &match &arguments.file {
        Some(path) => resolved(path)?,
        None => operator.config.database.clone(),
    };
    refuse_other_names(file)?;
    let mut shown = Bar::on_stderr();
    let proof = prove(file, &mut |it| shown.tell(it))?;
    drop(shown);
    if !proof.is_good() {
        return Err(not_good(file, &proof));
    }
    let key = fit_beside(file, &proof.endpoint_salts);
    let answer = match arguments.shape.format() {
        Format::Json => Answer::json(&shape("register", file, &proof, key)),
        Format::Table => Answer::text(people(file, &proof, key)),
    };
    Ok(warned(answer, file, key))
}

pub(super) fn put_back(
    operator: &Operator,
    arguments: &RestoreArguments,
) -> Result<Answer, CliError> {
    let register = (operator.config.database.as_path(), environment(&operator.config));
    let overwrite = if arguments.force { Overwrite::Anything } else { Overwrite::NothingNewer };
    let mut shown = Bar::on_stderr();
    let restored =
        restore(&arguments.from, register, overwrite, real_clock()(), &mut |it| shown.tell(it));
    drop(shown);
    let Restored { proof, key, key_owner_fault, aside, lost } = restored?;
    let answer = match arguments.shape.format() {
        Format::Json => {
            let mut value = shape("restore", register.0, &proof, key);
            insert(&mut value, "aside", aside.as_deref().map(text_of).into());
            insert(&mut value, "lost", lost.as_ref().map(loss_shape).into());
            Answer::json(&value)
        }
        Format::Table => Answer::text(people(register.0, &proof, key)),
    };
    let mut story = Vec::new();
    story.extend(
        lost.filter(|it| !it.kinds.is_empty())
            .map(|it| format!("Lost with the register that was there:\n{}", loss_lines(&it))),
    );
    story.extend(aside.map(|it| {
        format!(
            "The register that was there is kept as {}: remove it when all is well.",
            it.display()
        )
    }));
    story.extend(key_warning(register.0, key));
    story.extend(key_owner_fault.map(|it| format!("WARNING: {it}.")));
    Ok(if story.is_empty() { answer } else { answer.telling(story.join("\n")) })
}

fn target_of(arguments: &BackupArguments) -> Result<Target, CliError> {
    if arguments.to.is_dir() {
        let keep = arguments.keep.map(usize::from);
        return Ok(Target::Directory { path: arguments.to.clone(), keep });
    }
    let path = arguments.to.display();
    let refused = |what: String| Err(CliError::new(Exit::Usage, what));
    if arguments.to.exists() {
        if arguments.keep.is_some() {
            return refused(format!("--keep needs a directory, and {path} is none"));
        }
        return Ok(Target::File(arguments.to.clone()));
    }
    if arguments.keep.is_some() {
        return refused(format!(
            "--keep needs a directory, and there is none at {path}: create it with `mkdir -m 700 {path}`"
        ));
    }
    if arguments.to.as_os_str().as_bytes().ends_with(b"/") {
        return refused(format!(
            "there is no directory {path}: create it with `mkdir -m 700 {path}`"
        ));
    }
    // A backup of this name in a directory that somebody forgot to create would be overlooked.
    if arguments.to.extension().is_none() {
        return refused(format!(
            "there is no directory {path}: create it with `mkdir -m 700 {path}`, or back up to a file \
             with a name like {path}.db"
        ));
    }
    Ok(Target::File(arguments.to.clone()))
}

fn people(path: &Path, proof: &Proof, key: KeyFit) -> String {
    fields(&[
        ("Good", path.display().to_string()),
        ("Environment", proof.environment.as_str().to_owned()),
        ("Register made", proof.created_at.to_string()),
        ("Newest fact", instant(proof.newest_fact_at)),
        ("Size", format!("{} bytes", proof.bytes)),
        (
            "Organizations",
            format!("{}, folded from {} facts", proof.organizations, proof.verification_facts),
        ),
        (
            "LOAs",
            format!("{}, folded from {} facts", proof.authorizations, proof.authorization_facts),
        ),
        ("Letters signed here", format!("{}, each as its SHA-256 says", proof.records.letters)),
        ("Sumsub's deliveries", deliveries_words(proof)),
        ("Webhook key", key_words(key).to_owned()),
    ])
}

fn deliveries_words(proof: &Proof) -> String {
    format!(
        "{}, of which {} bodies are as their SHA-256 says",
        proof.deliveries, proof.records.bodies
    )
}

fn key_words(key: KeyFit) -> &'static str {
    match key {
        KeyFit::NotNeeded => "not needed: there are no webhook endpoints",
        KeyFit::Fits => "beside it; every endpoint's secret follows from it",
        KeyFit::Missing(_) => "MISSING",
        KeyFit::Unreadable(..) => "UNREADABLE",
        KeyFit::Other(_) => "ANOTHER ONE",
    }
}

fn key_warning(register: &Path, key: KeyFit) -> Option<String> {
    let remedy = key.remedy(register);
    key.fault(register).map(|it| format!("WARNING: {it}.\nTo mend it, {remedy}."))
}

fn warned(answer: Answer, register: &Path, key: KeyFit) -> Answer {
    match key_warning(register, key) {
        Some(story) => answer.telling(story),
        None => answer,
    }
}

fn shape(object: &str, path: &Path, proof: &Proof, key: KeyFit) -> Value {
    json!({
        "object": object,
        "path": text_of(path),
        "good": proof.is_good(),
        "environment": proof.environment.as_str(),
        "registerCreatedAt": proof.created_at.to_string(),
        "newestFactAt": proof.newest_fact_at.map(|it| it.to_string()),
        "bytes": proof.bytes,
        "organizations": proof.organizations,
        "verificationFacts": proof.verification_facts,
        "authorizations": proof.authorizations,
        "authorizationFacts": proof.authorization_facts,
        "deliveries": proof.deliveries,
        "lettersCompared": proof.records.letters,
        "bodiesCompared": proof.records.bodies,
        "webhookKey": key.as_str(),
    })
}

fn insert(value: &mut Value, name: &str, field: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(name.to_owned(), field);
    }
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}

fn loss_shape(losses: &Losses) -> Value {
    let kinds: Vec<_> = losses
        .kinds
        .iter()
        .map(|it| json!({"kind": it.kind, "count": it.count, "newest": it.newest}))
        .collect();
    kinds.into()
}

fn loss_lines(losses: &Losses) -> String {
    let mut text = String::new();
    for it in &losses.kinds {
        // Writing to a String does not fail.
        writeln!(text, "  {} {}", it.count, it.kind).unwrap_or_default();
        for what in &it.newest {
            writeln!(text, "      {what}").unwrap_or_default();
        }
    }
    text.trim_end().to_owned()
}

fn not_good(file: &Path, proof: &Proof) -> CliError {
    let shown = proof.faults.join("\n  ");
    CliError::new(
        Exit::Register,
        format!(
            "{} is not good; found wrong: {}, as these:\n  {shown}\nKeep a copy of it, and put the \
             last good backup in its place: `countersign restore BACKUP`.",
            file.display(),
            proof.fault_count
        ),
    )
}

impl From<BackUpError> for CliError {
    fn from(error: BackUpError) -> Self {
        let exit = match error {
            BackUpError::Store(error) => return error.into(),
            BackUpError::NotProven { .. } | BackUpError::MovedAway(_) => Exit::Register,
            BackUpError::Exists(_) | BackUpError::NoRoom { .. } => Exit::Refused,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<RestoreError> for CliError {
    fn from(error: RestoreError) -> Self {
        let (exit, advice) = match &error {
            RestoreError::Store(error) => return error.clone().into(),
            RestoreError::NotProven { .. } | RestoreError::KeyLeft { .. } => {
                (Exit::Register, String::new())
            }
            RestoreError::NoRoom(_)
            | RestoreError::Itself(_)
            | RestoreError::OtherEnvironment { .. } => (Exit::Refused, String::new()),
            RestoreError::WouldLose(losses) => (Exit::Refused, would_lose(losses)),
            RestoreError::CannotCompare(_) => (
                Exit::Refused,
                "; --force puts the backup in its place and keeps what is there aside".to_owned(),
            ),
        };
        Self::new(exit, format!("{error}{advice}"))
    }
}

fn would_lose(losses: &Losses) -> String {
    let other = if losses.is_same_register {
        String::new()
    } else {
        " The backup is of another register than the one that is there.".to_owned()
    };
    format!(
        ", the newest of {}.{other} Restoring would lose:\n{}\nNothing was changed. --force restores \
         all the same, and keeps the present register aside.",
        instant(losses.newest_at),
        loss_lines(losses)
    )
}
