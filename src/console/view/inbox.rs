//! Webhooks in.
//!
//! ```text
//! TYPE                        OUTCOME               RECEIVED    SIZE     NO
//! applicantReviewed           ● changed             4 min       1.2 kB   4711
//! applicantPending            ○ no_change           5 min       0.9 kB   4710
//! applicant 67f3… · org_0190… · received 2026-05-12 09:14:05Z
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;

use crate::console::age;
use crate::console::state::State;
use crate::console::theme::Theme;
use crate::console::view::table::{self, Column};
use crate::console::view::{counted, message, nothing_fits, printable, shown};
use crate::console::views::View;
use crate::store::{DeliveryRow, Outcome};

const COLUMNS: [Column; 5] = [
    Column::text("TYPE", 24, 0),
    Column::text("OUTCOME", 23, 0),
    Column::time("RECEIVED", 2),
    Column::text("SIZE", 9, 4),
    Column::text("NO", 8, 3),
];

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let list = state.inbox.list();
    if let Some(trouble) = &list.trouble {
        let lines = ["The inbox cannot be read.".to_owned(), trouble.clone()];
        return message(frame, area, theme, &lines);
    }
    if list.rows.is_empty() {
        let lines = match (list.is_loaded, state.filter(View::Inbox)) {
            (false, _) => vec!["Reading …".to_owned()],
            (true, Some(filter)) => nothing_fits(
                &state.inbox,
                filter,
                ("delivery", "newest"),
                "a customer's stand on its page (1), and :open <number> shows any.",
            ),
            (true, None) => vec![
                "Sumsub has delivered nothing yet.".to_owned(),
                "In Sumsub's dashboard, point a webhook at <this server>/webhooks/sumsub, with the \
                 secret that sumsub-webhook-secret holds."
                    .to_owned(),
            ],
        };
        return message(frame, area, theme, &lines);
    }
    let [rows, details] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
    table::draw(frame, rows, (&COLUMNS, state), list, |row| {
        vec![
            (row.event_type.clone().unwrap_or_else(|| "?".to_owned()), theme.text()),
            (outcome_words(row.outcome), outcome_style(theme, row.outcome)),
            (shown(state, Some(row.received_at)), theme.quiet()),
            (row.body_bytes.map_or_else(|| "gone".to_owned(), bytes), theme.quiet()),
            (row.id.to_string(), theme.quiet()),
        ]
    });
    let line =
        list.selected().map(|it| counted(&state.inbox) + &details_of(it)).unwrap_or_default();
    frame.render_widget(Line::styled(line, theme.quiet()), details);
}

fn details_of(row: &DeliveryRow) -> String {
    let applicant = row.applicant_id.as_deref().unwrap_or("none");
    let organization = row.organization.as_ref().map_or("no organization", |it| it.as_str());
    format!(
        "received {} · applicant {} · {organization}",
        age::exact(row.received_at),
        printable(applicant)
    )
}

/// Glyph and word.
pub fn outcome_words(outcome: Outcome) -> String {
    let glyph = match outcome {
        Outcome::Changed => "●",
        Outcome::NoChange | Outcome::Informational | Outcome::NotCurrentApplicant => "○",
        Outcome::MemberOfCompany | Outcome::TestEvent | Outcome::WorkflowStep => "·",
        Outcome::NoVerdict
        | Outcome::OtherLevel
        | Outcome::OtherApplicantType
        | Outcome::UnreadableGuard
        | Outcome::UnknownType
        | Outcome::UnknownApplicant
        | Outcome::OtherEnvironment
        | Outcome::Unreadable => "!",
        // Nothing to do about the delivery itself: it is applied once Sumsub has answered.
        Outcome::AwaitingProvider => "◔",
    };
    format!("{glyph} {}", outcome.as_str())
}

/// What needs a look stands out.
pub fn outcome_style(theme: Theme, outcome: Outcome) -> Style {
    match outcome {
        Outcome::Changed => theme.good(),
        Outcome::NoChange | Outcome::Informational | Outcome::NotCurrentApplicant => theme.text(),
        Outcome::MemberOfCompany | Outcome::TestEvent | Outcome::WorkflowStep => theme.quiet(),
        Outcome::NoVerdict
        | Outcome::OtherLevel
        | Outcome::OtherApplicantType
        | Outcome::UnreadableGuard
        | Outcome::AwaitingProvider
        | Outcome::UnknownType
        | Outcome::UnknownApplicant
        | Outcome::OtherEnvironment
        | Outcome::Unreadable => theme.careful(),
    }
}

/// A size as people say it.
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{}.{} kB", count / 1_000, count % 1_000 / 100),
        1_000_000..1_000_000_000 => {
            format!("{}.{} MB", count / 1_000_000, count % 1_000_000 / 100_000)
        }
        _ => format!("{}.{} GB", count / 1_000_000_000, count % 1_000_000_000 / 100_000_000),
    }
}
