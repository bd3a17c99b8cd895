//! Webhooks out.
//!
//! ```text
//! ABOUT             EVENT                 STATUS      LAST ANSWER  TO                    WRITTEN
//! Acme Trading Co.  verification.updated  ✓ delivered 200          https://broker.exam…  4 min
//! Jo Doe            authorization.updated ✕ failed    timeout      https://broker.exam…  2 d
//! written 2026-05-12 09:14:05Z · 3 attempts · msg_0190… · ep_…
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;

use crate::console::age;
use crate::console::state::State;
use crate::console::theme::Theme;
use crate::console::view::table::{self, Cell, Column};
use crate::console::view::{counted, message, nothing_fits, shown};
use crate::console::views::View;
use crate::domain::outgoing::DeliveryStatus;
use crate::store::OutgoingRow;

const COLUMNS: [Column; 6] = [
    Column::text("ABOUT", 14, 0),
    Column::text("EVENT", 20, 2),
    Column::text("STATUS", 11, 0),
    Column::text("LAST ANSWER", 12, 1),
    Column::text("TO", 32, 4),
    Column::time("WRITTEN", 3),
];

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let list = state.outgoing.list();
    if let Some(trouble) = &list.trouble {
        let lines = ["The outgoing webhooks cannot be read.".to_owned(), trouble.clone()];
        return message(frame, area, theme, &lines);
    }
    if list.rows.is_empty() {
        let lines = match (list.is_loaded, state.filter(View::Outgoing)) {
            (false, _) => vec!["Reading …".to_owned()],
            (true, Some(filter)) => nothing_fits(
                &state.outgoing,
                filter,
                ("outgoing webhook", "newest"),
                "a customer's stand on its page (1), an endpoint's come by \
                 `countersign webhook deliveries <endpoint>`.",
            ),
            (true, None) => vec![
                "Nothing was sent to a broker yet.".to_owned(),
                "A broker that makes a webhook endpoint through the API gets every change of a \
                 status and of an LOA there."
                    .to_owned(),
            ],
        };
        return message(frame, area, theme, &lines);
    }
    let [rows, details] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
    table::draw(frame, rows, (&COLUMNS, state), list, |row| cells(state, row));
    let line = list.selected().map(|it| {
        format!(
            "{}written {} · {} attempts{} · {} · {}",
            counted(&state.outgoing),
            age::exact(it.created_at),
            it.attempts,
            it.due_at.map_or_else(String::new, |it| format!(" · next {}", age::exact(it))),
            it.message_id,
            it.endpoint_id
        )
    });
    frame.render_widget(Line::styled(line.unwrap_or_default(), theme.quiet()), details);
}

fn cells(state: &State, row: &OutgoingRow) -> Vec<Cell> {
    let theme = state.start.theme;
    let (words, style) = status(theme, row.status);
    let last = last_answer(row);
    vec![
        (row.about_name.clone(), theme.text()),
        (event_words(&row.event_type).to_owned(), theme.text()),
        (words.to_owned(), style),
        (last, theme.text()),
        (row.url.clone(), theme.quiet()),
        (shown(state, Some(row.created_at)), theme.quiet()),
    ]
}

/// What the last attempt came to.
pub fn last_answer(row: &OutgoingRow) -> String {
    match (row.last_status, &row.last_error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => error.clone(),
        (None, None) => "–".to_owned(),
    }
}

/// An event's type, without what all of them have in common.
pub fn event_words(event_type: &str) -> &str {
    event_type.strip_prefix("organization.").unwrap_or(event_type)
}

/// Glyph, word and colour.
pub fn status(theme: Theme, status: DeliveryStatus) -> (&'static str, Style) {
    match status {
        DeliveryStatus::Pending => ("◔ waiting", theme.accent()),
        DeliveryStatus::Delivered => ("✓ delivered", theme.good()),
        DeliveryStatus::Failed => ("✕ failed", theme.bad()),
        DeliveryStatus::Skipped => ("– skipped", theme.quiet()),
    }
}
