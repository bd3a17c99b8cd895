//! Organizations.
//!
//! ```text
//! NAME                     TYPE       STATUS         LOA              AGE    EXPIRES    ID
//! Acme Trading Co.         BUSINESS   ● approved     ✓ 2 effective    3 d    in 11 mo   org_0190…
//! Jo Doe                   INDIVIDUAL ◔ pending      ✎ 1 unsigned     4 h    –          org_0190…
//! row 2 of 1,000,000 · newest first · org_0190… · pending since 2026-05-12 09:14:05Z
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;

use crate::console::age;
use crate::console::state::{Access, State};
use crate::console::theme::{LoaStanding, status_words};
use crate::console::view::table::{self, Cell, Column};
use crate::console::view::{message, shown, thousands};
use crate::console::views::View;
use crate::domain::authorization::AuthorizationStatus;
use crate::store::{Direction, OrganizationOrder, OrganizationRow};

const COLUMNS: [Column; 7] = [
    Column::text("NAME", 19, 0),
    Column::text("TYPE", 10, 3),
    Column::text("STATUS", 14, 0),
    Column::text("LOA", 13, 2),
    Column::time("AGE", 5),
    Column::time("EXPIRES", 4),
    Column::text("ID", 36, 6),
];

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let [rows, details] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
    let list = &state.organizations;
    if let Some(trouble) = &list.trouble {
        let lines = ["The organizations cannot be read.".to_owned(), trouble.clone()];
        return message(frame, area, theme, &lines);
    }
    if list.rows.is_empty() {
        return message(frame, area, theme, &empty(state));
    }
    table::draw(frame, rows, (&COLUMNS, state), list, |row| cells(state, row));
    frame.render_widget(Line::styled(details_of(state), theme.quiet()), details);
}

fn cells(state: &State, row: &OrganizationRow) -> Vec<Cell> {
    let theme = state.start.theme;
    let standing = row.verification.at(state.now());
    let loa = match (row.loas_signed, row.loas_unsigned) {
        (0, 0) => ("–".to_owned(), theme.quiet()),
        (0, _) => (LoaStanding::Unsigned.words().to_owned(), theme.loa(LoaStanding::Unsigned)),
        (signed, _) => {
            let it = LoaStanding::of(AuthorizationStatus::Active, standing.status);
            let count = if signed > 1 { format!(" {signed}") } else { String::new() };
            (format!("{}{count}", it.words()), theme.loa(it))
        }
    };
    vec![
        (row.name.as_str().to_owned(), theme.text()),
        (row.kind.as_str().to_owned(), theme.quiet()),
        (status_words(standing.status).to_owned(), theme.status(standing.status)),
        loa,
        (shown(state, Some(row.created_at)), theme.quiet()),
        (expiry(state, row), Style::new()),
        (row.id.as_str().to_owned(), theme.quiet()),
    ]
}

/// When the approval ends or ended.
fn expiry(state: &State, row: &OrganizationRow) -> String {
    let text = shown(state, row.verification.expires_at);
    let is_over = row.verification.expires_at.is_some_and(|it| it <= state.now());
    let is_relative = state.times == age::Times::Relative;
    if is_over && is_relative { format!("{text} ago") } else { text }
}

fn details_of(state: &State) -> String {
    let Some(row) = state.organizations.selected() else { return String::new() };
    let standing = row.verification.at(state.now());
    let place = u64::try_from(state.organizations.selected).unwrap_or(0).saturating_add(1);
    let is_all = state.listing.status.is_none()
        && state.filter(View::Organizations).is_none()
        && state.listing.order != OrganizationOrder::Expiry;
    let total =
        state.overview.as_ref().filter(|_| is_all).map(|it| it.statuses.iter().sum::<u64>());
    let number = state.window.first_no.map(|it| thousands(it.saturating_add(place)));
    let counted = match (number, total) {
        (Some(number), Some(total)) => format!("row {number} of {} · ", thousands(total)),
        (Some(number), None) => format!("row {number} · "),
        (None, _) => String::new(),
    };
    let only =
        state.listing.status.map(|it| format!("only {} · ", it.as_str())).unwrap_or_default();
    // What a narrow terminal cuts off stands last: y copies it.
    format!(
        "{counted}{only}{} · {} since {} · created {} · {}",
        order_words(state),
        standing.status.as_str(),
        age::exact(standing.updated_at),
        age::exact(row.created_at),
        row.id,
    )
}

/// The order in words.
pub fn order_words(state: &State) -> &'static str {
    match (state.listing.order, state.listing.direction) {
        (OrganizationOrder::Created, Direction::Down) => "newest first",
        (OrganizationOrder::Created, Direction::Up) => "oldest first",
        (OrganizationOrder::Name, _) => "by name",
        (OrganizationOrder::Expiry, _) => "by end of approval",
    }
}

/// A welcome on first run; else what hides the rows, and how to see them.
fn empty(state: &State) -> Vec<String> {
    if !state.organizations.is_loaded {
        return vec!["Reading …".to_owned()];
    }
    if let Some(filter) = state.filter(View::Organizations) {
        if state.window.ticket.is_some() {
            return vec![format!("Searching for {} …", filter.typed())];
        }
        return vec![
            format!("No organization fits /{}", filter.typed()),
            "Esc ends the filter. / changes it: ~text is fuzzy, !text shows the others.".to_owned(),
        ];
    }
    if state.is_search() && state.window.ticket.is_some() {
        return vec!["Searching …".to_owned()];
    }
    if let Some(status) = state.listing.status {
        return vec![
            format!("No organization is {}.", status.as_str()),
            "f shows the next status; :status all shows every one.".to_owned(),
        ];
    }
    if state.listing.order == OrganizationOrder::Expiry {
        return vec![
            "No approval has an end.".to_owned(),
            "s goes on to the next order.".to_owned(),
        ];
    }
    let unlock = match state.start.access {
        Access::UnlockedUntil(_) => "Press N to create the first organization, the broker itself.",
        Access::Locked => "Press u to unlock, then N to create the first organization, the broker.",
        Access::ReadOnly => "Started with --read-only: create the first one elsewhere.",
    };
    vec![
        "Welcome to Countersign.".to_owned(),
        String::new(),
        format!("No organization is in this register yet: {}", state.start.register),
        unlock.to_owned(),
        "Give it an API key: countersign key create --org <id> --name backend".to_owned(),
        "Its customers appear here as it creates them through the API.".to_owned(),
        "? shows every key.".to_owned(),
    ]
}
