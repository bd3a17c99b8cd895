//! The review queue.
//!
//! ```text
//! NAME                     WHY                    SUMSUB SAYS          WAITING
//! Acme Trading Co.         ‖ held by Sumsub       –                    3 d
//! Bolt Freight             ✕ rejected by operator provider_approved    4 h
//! Cobalt Ltd.              ! other_level          kyb-basic            2 h
//! row 3 of 3 · kyb-basic; accepted: kyb-level · since 2026-05-12 09:14:05Z · org_0190…
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use crate::console::age;
use crate::console::state::State;
use crate::console::theme::state_words;
use crate::console::view::inbox::{outcome_style, outcome_words};
use crate::console::view::table::{self, Cell, Column};
use crate::console::view::{counted, ignored, message, nothing_fits, printable, shown};
use crate::console::views::View;
use crate::domain::verdict::Named;
use crate::domain::verification::Status;
use crate::store::{IgnoredApproval, Outcome, ReviewRow};

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
                "Holds, by Sumsub or by an operator (H), appear here, the oldest first; verdicts \
                 that came while an operator's decision stood; and approvals by Sumsub that do not \
                 count."
                    .to_owned(),
            ],
        };
        return message(frame, area, theme, &lines);
    }
    let [rows, details] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
    table::draw(frame, rows, (&COLUMNS, state), list, |row| {
        let [why, said] = case(state, row);
        vec![
            (row.name.as_str().to_owned(), theme.text()),
            why,
            said,
            (row.kind.as_str().to_owned(), theme.quiet()),
            (shown(state, Some(row.since)), theme.text()),
        ]
    });
    let line = list.selected().map(|it| {
        let levels = it.ignored.as_ref().map_or_else(String::new, |approval| {
            let levels = ignored::levels(&named(approval), it.kind, &state.start.acceptance);
            format!("{} · ", printable(&levels))
        });
        let since = age::exact(it.since);
        format!("{}{levels}since {since} · {}", counted(&state.queue), it.organization)
    });
    frame.render_widget(Line::styled(line.unwrap_or_default(), theme.quiet()), details);
}

/// Why a case waits, and what Sumsub says meanwhile. An approval that does not count is newer than
/// anything else that Sumsub has said.
fn case(state: &State, row: &ReviewRow) -> [Cell; 2] {
    let theme = state.start.theme;
    let status = row.state.status();
    let stands = (state_words(row.state).to_owned(), theme.status(status));
    let said = row.outranked.map_or("–", |it| it.as_str()).to_owned();
    let Some(approval) = &row.ignored else { return [stands, (said, theme.careful())] };
    let style = outcome_style(theme, approval.outcome);
    let why = (outcome_words(approval.outcome), style);
    if status == Status::OnHold || row.outranked.is_some() {
        return [stands, why];
    }
    let said = match approval.outcome {
        Outcome::OtherApplicantType => {
            ignored::checked(approval.applicant_type.as_deref()).to_owned()
        }
        _ => ignored::level(&named(approval)).to_owned(),
    };
    [why, (said, style)]
}

fn named(approval: &IgnoredApproval) -> Named<String> {
    approval.level.clone().map_or(Named::Not, Named::As)
}
