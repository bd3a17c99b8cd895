//! The review queue.
//!
//! ```text
//! NAME                     WHY                    SUMSUB SAYS          WAITING
//! Acme Trading Co.         ‖ held by Sumsub       –                    3 d
//! Bolt Freight             ✕ rejected by operator provider_approved    4 h
//! org_0190… · since 2026-05-12 09:14:05Z
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use crate::console::age;
use crate::console::state::State;
use crate::console::theme::state_words;
use crate::console::view::table::{self, Column};
use crate::console::view::{counted, message, nothing_fits, shown};
use crate::console::views::View;

const COLUMNS: [Column; 5] = [
    Column::text("NAME", 16, 0),
    Column::text("WHY", 22, 0),
    Column::text("SUMSUB SAYS", 18, 3),
    Column::text("TYPE", 10, 4),
    Column::time("WAITING", 1),
];

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let list = state.queue.list();
    if let Some(trouble) = &list.trouble {
        let lines = ["The review queue cannot be read.".to_owned(), trouble.clone()];
        return message(frame, area, theme, &lines);
    }
    if list.rows.is_empty() {
        let lines = match (list.is_loaded, state.filter(View::Queue)) {
            (false, _) => vec!["Reading …".to_owned()],
            (true, Some(filter)) => nothing_fits(
                &state.queue,
                filter,
                ("review", "oldest"),
                "1 finds the organization by name, :open <id> by id.",
            ),
            (true, None) => vec![
                "Nothing waits for a person.".to_owned(),
                "Holds, by Sumsub or by an operator (H), appear here, the oldest first; and verdicts \
                 that came while an operator's decision stood."
                    .to_owned(),
            ],
        };
        return message(frame, area, theme, &lines);
    }
    let [rows, details] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
    table::draw(frame, rows, (&COLUMNS, state), list, |row| {
        let said = row.outranked.map_or("–", |it| it.as_str());
        vec![
            (row.name.as_str().to_owned(), theme.text()),
            (state_words(row.state).to_owned(), theme.status(row.state.status())),
            (said.to_owned(), theme.careful()),
            (row.kind.as_str().to_owned(), theme.quiet()),
            (shown(state, Some(row.since)), theme.text()),
        ]
    });
    let line = list.selected().map(|it| {
        format!("{}since {} · {}", counted(&state.queue), age::exact(it.since), it.organization)
    });
    frame.render_widget(Line::styled(line.unwrap_or_default(), theme.quiet()), details);
}
