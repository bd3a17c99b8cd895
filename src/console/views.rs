//! The table of views: a view is one row here, with its file under `view/` and its loading.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::console::state::{Ask, State};
use crate::console::view;

/// The views one can go to by digit, tab or `:` command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Every organization.
    Organizations,
    /// What waits for a person.
    Queue,
    /// Letters of Authorization.
    Authorizations,
    /// What Sumsub delivered.
    Inbox,
    /// What we send to brokers.
    Outgoing,
    /// What happens now.
    Activity,
    /// How everything is.
    System,
}

/// One row of the table.
pub struct ViewRow {
    /// Which.
    pub view: View,
    /// The digit that goes there.
    pub digit: char,
    /// The word after `:`, and in lists of commands.
    pub word: &'static str,
    /// The title in the tabs.
    pub title: &'static str,
    /// One word, for terminals of the usual width.
    pub plain: &'static str,
    /// A short title, for narrow terminals.
    pub short: &'static str,
    /// What it shows, for the help.
    pub about: &'static str,
    /// Draws it.
    pub draw: fn(&State, &mut Frame<'_>, Rect),
    /// What has to be read for it.
    pub ask: fn(&State) -> Ask,
}

/// Every view, in the order of the tabs.
pub const VIEWS: [ViewRow; 7] = [
    ViewRow {
        view: View::Organizations,
        digit: '1',
        word: "organizations",
        title: "Organizations",
        plain: "Organizations",
        short: "Org",
        about: "every organization: status, type, LOA, age, expiry",
        draw: view::organizations::draw,
        ask: State::ask_organizations_again,
    },
    ViewRow {
        view: View::Queue,
        digit: '2',
        word: "queue",
        title: "Review queue",
        plain: "Review",
        short: "Due",
        about: "holds, and what Sumsub said without effect, oldest first",
        draw: view::queue::draw,
        ask: |state| Ask::Queue { limit: state.limit(View::Queue, state.queue.loaded.len()) },
    },
    ViewRow {
        view: View::Authorizations,
        digit: '3',
        word: "authorizations",
        title: "Authorizations",
        plain: "LOAs",
        short: "LOA",
        about: "LOAs: effective, suspended, unsigned, revoked, about to expire",
        draw: view::authorizations::draw,
        ask: |state| Ask::Authorizations {
            shown: state.loas_shown,
            limit: state.limit(View::Authorizations, state.authorizations.loaded.len()),
        },
    },
    ViewRow {
        view: View::Inbox,
        digit: '4',
        word: "inbox",
        title: "Webhooks in",
        plain: "Hooks in",
        short: "In",
        about: "what Sumsub delivered, byte for byte, and what it did",
        draw: view::inbox::draw,
        ask: |state| Ask::Inbox { limit: state.limit(View::Inbox, state.inbox.loaded.len()) },
    },
    ViewRow {
        view: View::Outgoing,
        digit: '5',
        word: "outgoing",
        title: "Webhooks out",
        plain: "Hooks out",
        short: "Out",
        about: "what is sent to brokers, whether it arrived; resend",
        draw: view::outgoing::draw,
        ask: |state| Ask::Outgoing {
            limit: state.limit(View::Outgoing, state.outgoing.loaded.len()),
        },
    },
    ViewRow {
        view: View::Activity,
        digit: '6',
        word: "activity",
        title: "Activity",
        plain: "Activity",
        short: "Now",
        about: "facts as they are recorded, newest first",
        draw: view::activity::draw,
        ask: |_| Ask::Activity,
    },
    ViewRow {
        view: View::System,
        digit: '7',
        word: "system",
        title: "System",
        plain: "System",
        short: "Sys",
        about: "provider, webhook lag, database, status funnel, configuration",
        draw: view::system::draw,
        ask: |_| Ask::System,
    },
];

impl View {
    /// Its row of the table.
    pub fn row(self) -> Option<&'static ViewRow> {
        VIEWS.iter().find(|it| it.view == self)
    }

    /// The view that many tabs further, round the end.
    #[must_use]
    pub fn turn(self, by: usize) -> Self {
        let at = VIEWS.iter().position(|it| it.view == self).unwrap_or(0);
        VIEWS.get(at.saturating_add(by) % VIEWS.len()).map_or(self, |it| it.view)
    }

    /// The view of a digit.
    pub fn of_digit(digit: char) -> Option<Self> {
        VIEWS.iter().find(|it| it.digit == digit).map(|it| it.view)
    }
}
