//! Activity: facts as they are recorded.
//!
//! ```text
//! WHEN     WHO                  WHAT                  WHY
//! 4 s      Acme Trading Co.     provider_approved     delivery 4711
//! 2 min    Jo Doe               operator_hold         operator:ada: name on a list
//! org_0190… · happened 2026-05-12 09:14:03Z · known 2026-05-12 09:14:05Z
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;

use crate::console::age;
use crate::console::state::State;
use crate::console::theme::Theme;
use crate::console::view::table::{self, Column};
use crate::console::view::{message, shown};
use crate::console::views::View;
use crate::domain::verification::Status;
use crate::store::ActivityRow;

const COLUMNS: [Column; 4] = [
    Column::text("WHO", 18, 0),
    Column::text("WHAT", 19, 0),
    Column::time("WHEN", 1),
    Column::text("WHY", 30, 2),
];

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let list = state.activity.list();
    if let Some(trouble) = &list.trouble {
        let lines = ["The activity cannot be read.".to_owned(), trouble.clone()];
        return message(frame, area, theme, &lines);
    }
    if list.rows.is_empty() {
        let lines = match (list.is_loaded, state.filter(View::Activity)) {
            (false, _) => vec!["Reading …".to_owned()],
            (true, Some(filter)) => vec![
                format!("Nothing that happened lately fits /{}", filter.typed()),
                "Esc ends the filter.".to_owned(),
            ],
            (true, None) => vec![
                "Nothing has happened yet.".to_owned(),
                "Every recorded fact appears here within a second: sessions, Sumsub's verdicts, \
                 operators' decisions, signatures."
                    .to_owned(),
            ],
        };
        return message(frame, area, theme, &lines);
    }
    let [rows, details] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
    table::draw(frame, rows, (&COLUMNS, state), list, |row| {
        vec![
            (row.name.clone(), theme.text()),
            (row.event.clone(), event_style(theme, &row.event)),
            (shown(state, Some(row.known_at)), theme.quiet()),
            (cause(row), theme.text()),
        ]
    });
    let line = list.selected().map(|it| {
        format!(
            "happened {} · known {} · {}",
            age::exact(it.happened_at),
            age::exact(it.known_at),
            it.organization
        )
    });
    frame.render_widget(Line::styled(line.unwrap_or_default(), theme.quiet()), details);
}

/// Why a fact is there.
pub fn cause(row: &ActivityRow) -> String {
    match (row.delivery, &row.actor, &row.reason, &row.request) {
        (Some(id), ..) => format!("delivery {id}"),
        (None, Some(actor), Some(reason), _) => format!("{actor}: {reason}"),
        (None, Some(actor), None, _) => actor.clone(),
        (None, None, _, Some(request)) => format!("request {request}"),
        // We asked Sumsub ourselves.
        (None, None, _, None) => "re-read from Sumsub".to_owned(),
    }
}

/// The colour of what it leads to.
pub fn event_style(theme: Theme, event: &str) -> Style {
    match event {
        "provider_approved" | "operator_approve" | "loa_signed" => theme.status(Status::Approved),
        "provider_rejected" | "operator_reject" | "loa_revoked" => theme.status(Status::Rejected),
        "provider_on_hold" | "operator_hold" => theme.status(Status::OnHold),
        "provider_retry" | "provider_reset" | "operator_resubmit" | "operator_reopen" => {
            theme.status(Status::ResubmissionRequired)
        }
        _ => theme.text(),
    }
}
