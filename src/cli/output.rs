//! The only writer: answers to stdout, the story to stderr, and tables of plain aligned columns.
//!
//! Names, reasons, bodies and errors come from others, so nothing is written that a terminal would obey
//! or that a reader would not see: every character of that kind is shown by its number (`domain::text`).

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::exit::{CliError, Exit};
use crate::domain::text::{shown, shown_json, shown_lines};
use crate::domain::timestamp::Timestamp;

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// People.
    Table,
    /// Programs.
    Json,
}

impl Format {
    /// By the flag `--json`.
    #[expect(clippy::fn_params_excessive_bools, reason = "it is a flag's meaning")]
    pub(super) fn of(is_json: bool) -> Self {
        if is_json { Self::Json } else { Self::Table }
    }
}

/// What a command says in the end.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// For stdout.
    pub(super) out: String,
    /// For stderr: what happened besides, what to do next.
    pub(super) story: Option<String>,
    /// The verdict, if it is not plain success.
    pub(super) exit: Option<Exit>,
}

impl Answer {
    /// Text for people, complete with its last newline.
    pub(super) fn text(text: String) -> Self {
        Self { out: text, ..Self::default() }
    }

    /// JSON for programs.
    pub(super) fn json(value: &impl Serialize) -> Self {
        // Cannot fail: names are texts.
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        Self::text(format!("{}\n", shown_json(&text)))
    }

    /// The same with a story.
    pub(super) fn telling(self, story: impl Into<String>) -> Self {
        Self { story: Some(story.into()), ..self }
    }

    /// The same with another verdict than success.
    pub(super) fn ending(self, exit: Exit) -> Self {
        Self { exit: Some(exit), ..self }
    }

    /// A list: a table, or nothing and `when_empty` told; for programs the contract's list object.
    pub(super) fn list<T: Serialize>(format: Format, list: &List<'_, T>, when_empty: &str) -> Self {
        match format {
            Format::Json => Self::json(&ListBody {
                object: "list",
                data: &list.json,
                has_more: list.next.is_some(),
                next_cursor: list.next.as_deref(),
            }),
            Format::Table if list.rows.is_empty() => Self::default().telling(when_empty),
            Format::Table => {
                let answer = Self::text(table(list.head, &list.rows));
                match &list.next {
                    Some(next) => {
                        answer.telling(format!("There are older ones: --cursor {next} shows them."))
                    }
                    None => answer,
                }
            }
        }
    }
}

/// The contract's list object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListBody<'a, T> {
    object: &'static str,
    data: &'a [T],
    has_more: bool,
    next_cursor: Option<&'a str>,
}

/// A list in both shapes.
pub(super) struct List<'a, T = Value> {
    pub(super) head: &'a [&'a str],
    pub(super) rows: Vec<Vec<String>>,
    pub(super) json: Vec<T>,
    /// The cursor behind which there are older ones, if there are any.
    pub(super) next: Option<String>,
}

/// Writes an answer. Whoever closes the pipe early has read enough: that is success.
pub(super) fn write(answer: &Answer) -> ExitCode {
    // What has nothing to say needs nobody to hear it: the terminal may be gone.
    if !answer.out.is_empty()
        && let Err(error) = out(&answer.out)
    {
        return refuse(&unwritten(&error));
    }
    if let Some(story) = &answer.story {
        tell(story);
    }
    answer.exit.map_or(ExitCode::SUCCESS, |it| ExitCode::from(it.code()))
}

/// Says why a command did not do what was asked.
pub(super) fn refuse(error: &CliError) -> ExitCode {
    tell(&format!("countersign: {}", error.sentence));
    ExitCode::from(error.exit.code())
}

/// Help and version go to stdout and are success; a wrong command line goes to stderr.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let plain = error.render().to_string();
    // An error repeats what was typed. Where that is nothing for a terminal, clap's colours go as well.
    let printed = if shown_lines(&plain) == plain {
        error.print().and_then(|()| io::stdout().flush())
    } else {
        tell(plain.trim_end());
        Ok(())
    };
    match printed {
        // Nowhere to say that saying failed.
        _ if error.use_stderr() => ExitCode::from(Exit::Usage.code()),
        Err(error) if error.kind() != ErrorKind::BrokenPipe => refuse(&unwritten(&error)),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

/// What a command did stays done; only its answer is missing.
fn unwritten(error: &io::Error) -> CliError {
    CliError::new(
        Exit::Refused,
        format!("the answer cannot be written to stdout ({error}): what was done stays done"),
    )
}

/// Writes to stdout at once.
pub(super) fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(shown_lines(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Tells one thing on stderr.
pub(super) fn tell(story: &str) {
    // Nowhere to say that saying failed.
    drop(writeln!(io::stderr().lock(), "{}", shown_lines(story)));
}

/// Columns as wide as their widest cell, two spaces apart, nothing after the last.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|it| (*it).to_owned()).collect();
    let lines = || std::iter::once(&head).chain(rows);
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            lines().filter_map(|it| it.get(column)).map(|it| shown(it).chars().count()).max()
        })
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for line in lines() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{:<width$}", shown(cell)))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `Name  value`, one a line.
pub(super) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    pairs.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String does not fail.
        writeln!(text, "{name:<width$}  {}", shown(value)).unwrap_or_default();
        text
    })
}

/// An instant, or a dash.
pub(super) fn instant(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |it| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let rows =
            vec![vec!["é".to_owned(), "b".to_owned()], vec!["long".to_owned(), String::new()]];

        assert_eq!(table(&["A", "B"], &rows), "A     B\né     b\nlong\n");
    }

    #[test]
    fn no_cell_can_steer_a_terminal_or_break_a_line() {
        let rows = vec![vec!["a\u{1b}[2J\nb".to_owned()]];

        assert_eq!(table(&["A"], &rows), "A\na\\u{1b}[2J b\n");
    }
}
