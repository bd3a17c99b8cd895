//! Letters of Authorization.
//!
//! ```text
//! CUSTOMER             FOR                  LOA             GRANTER        ENDS        AGE
//! Acme Trading Co.     Broker Ltd.          ✓ effective     ● approved     in 12 d     3 mo
//! Jo Doe               Broker Ltd.          ◌ suspended     ‖ on hold      –           2 d
//! all · signed 2026-02-03 00:00:00Z · org_0190… → org_018f…
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use crate::console::age;
use crate::console::state::{LoasShown, State};
use crate::console::theme::{LoaStanding, status_words};
use crate::console::view::table::{self, Cell, Column};
use crate::console::view::{counted, message, nothing_fits, printable, shown};
use crate::console::views::View;
use crate::store::AuthorizationRow;

const COLUMNS: [Column; 6] = [
    Column::text("CUSTOMER", 12, 0),
    Column::text("FOR", 12, 1),
    Column::text("LOA", 12, 0),
    Column::text("GRANTER", 14, 3),
    Column::time("ENDS", 4),
    Column::time("AGE", 5),
];

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let list = state.authorizations.list();
    if let Some(trouble) = &list.trouble {
        let lines = ["The authorizations cannot be read.".to_owned(), trouble.clone()];
        return message(frame, area, theme, &lines);
    }
    if list.rows.is_empty() {
        return message(frame, area, theme, &empty(state));
    }
    let [rows, details] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(area);
    table::draw(frame, rows, (&COLUMNS, state), list, |row| cells(state, row));
    let line = list
        .selected()
        .map(|it| counted(&state.authorizations) + &details_of(state, it))
        .unwrap_or_default();
    frame.render_widget(Line::styled(line, theme.quiet()), details);
}

fn cells(state: &State, row: &AuthorizationRow) -> Vec<Cell> {
    let theme = state.start.theme;
    let status = row.verification.at(state.now()).status;
    let standing = LoaStanding::of(row.authorization.status, status);
    let ends = row.verification.expires_at.filter(|_| standing == LoaStanding::Effective);
    vec![
        (row.granting_name.clone(), theme.text()),
        (row.authorized_name.clone(), theme.text()),
        (standing.words().to_owned(), theme.loa(standing)),
        (status_words(status).to_owned(), theme.status(status)),
        (shown(state, ends), theme.text()),
        (shown(state, Some(row.authorization.created_at)), theme.quiet()),
    ]
}

fn details_of(state: &State, row: &AuthorizationRow) -> String {
    let loa = &row.authorization;
    let when = match (loa.revoked_at, loa.signed_at) {
        (Some(at), _) => {
            let reason = loa.revoked_reason.as_deref().map(|it| format!(" ({})", printable(it)));
            format!("revoked {}{}", age::exact(at), reason.unwrap_or_default())
        }
        (None, Some(at)) => format!("signed {}", age::exact(at)),
        (None, None) => format!("issued {}", age::exact(loa.created_at)),
    };
    format!("{when} · {} · {} → {}", state.loas_shown.words(), loa.granting, loa.authorized)
}

fn empty(state: &State) -> Vec<String> {
    let list = state.authorizations.list();
    match (list.is_loaded, state.filter(View::Authorizations), state.loas_shown) {
        (false, ..) => vec!["Reading …".to_owned()],
        (true, Some(filter), _) => nothing_fits(
            &state.authorizations,
            filter,
            ("authorization", "newest"),
            "f looks at one kind only, 1 finds the customer by name, :open <id> by id.",
        ),
        (true, None, LoasShown::All) => vec![
            "There is no Letter of Authorization yet.".to_owned(),
            "A broker that creates a customer gets one to be signed; open the customer and press L \
             to record the signature."
                .to_owned(),
        ],
        (true, None, shown) => vec![
            format!("No authorization is {}.", shown.words()),
            "f shows the next kind; :loas all shows every one.".to_owned(),
        ],
    }
}
