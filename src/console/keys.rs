//! THE table of keys: what is pressed, where, what it means, and the words for it. Matching, the
//! hints at the foot of the screen and the searchable help are all read from it, so they cannot
//! disagree. A key that is not here does nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::console::state::Place;
use crate::console::views::View;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Leave the program.
    Quit,
    /// Show the help.
    Help,
    /// Close what is on top, or go back.
    Back,
    /// Move the selection by rows.
    Step(isize),
    /// Move the selection by screens, in halves.
    HalfPage(isize),
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Open the selected row.
    Open,
    /// Type a filter.
    Filter,
    /// Type a command.
    CommandLine,
    /// The place before.
    HistoryBack,
    /// The place after.
    HistoryForward,
    /// The next tab.
    NextView,
    /// The tab before.
    PreviousView,
    /// The view of the pressed digit.
    Digit,
    /// Copy the id.
    CopyId,
    /// Copy the command that shows or does the same.
    CopyTwin,
    /// Unlock, or lock again.
    Unlock,
    /// Read again.
    Refresh,
    /// Relative or exact times.
    Times,
    /// The next order.
    Sort,
    /// The next choice of rows.
    Show,
    /// The menu of actions.
    Menu,
    /// Begin an action.
    Do(Action),
}

/// What an operator can do. Each opens a dialog; none acts by one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new organization.
    Create,
    /// A session.
    Start,
    /// A share token.
    Import,
    /// Hold.
    Hold,
    /// Release as approved.
    Approve,
    /// Release as rejected.
    Reject,
    /// Release as to be submitted again.
    Resubmit,
    /// Reopen a rejection.
    Reopen,
    /// Ask Sumsub how it stands.
    Reread,
    /// A signature on paper.
    Sign,
    /// Take an LOA back.
    Revoke,
    /// Ask for a new LOA.
    Request,
    /// What a replay would do.
    Rehearse,
    /// Replay.
    Replay,
    /// Send a webhook again.
    Resend,
}

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Anywhere,
    /// Where something is selected or shown.
    Lists,
    /// On lists that can be filtered.
    Filterable,
    /// On lists that can be sorted.
    Sortable,
    /// On lists of which a part can be shown.
    Choosable,
    /// Where an organization is selected.
    Subject,
    /// Where an LOA is selected.
    Loa,
    /// Where a delivery is selected.
    Delivery,
    /// Where an outgoing webhook is selected.
    Outgoing,
}

/// Under which heading of the help a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chapter {
    /// Seeing more of what is there.
    See,
    /// Changing something.
    Act,
    /// Moving about.
    Move,
}

impl Chapter {
    /// Every chapter, in the order of the help.
    pub const ALL: [Self; 3] = [Self::See, Self::Act, Self::Move];

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::See => "SEE",
            Self::Act => "ACT (u unlocks; every action asks first)",
            Self::Move => "MOVE",
        }
    }
}

impl Intent {
    /// Under which heading of the help it stands.
    pub fn chapter(self) -> Chapter {
        match self {
            Self::Do(Action::Rehearse)
            | Self::Help
            | Self::Open
            | Self::Filter
            | Self::CommandLine
            | Self::CopyId
            | Self::CopyTwin
            | Self::Refresh
            | Self::Times
            | Self::Sort
            | Self::Show => Chapter::See,
            Self::Do(_) | Self::Menu | Self::Unlock => Chapter::Act,
            Self::Quit
            | Self::Back
            | Self::Step(_)
            | Self::HalfPage(_)
            | Self::First
            | Self::Last
            | Self::HistoryBack
            | Self::HistoryForward
            | Self::NextView
            | Self::PreviousView
            | Self::Digit => Chapter::Move,
        }
    }
}

impl Scope {
    /// Whether a place is within the scope.
    pub fn holds(self, place: &Place) -> bool {
        let (organizations, loas) = (View::Organizations, View::Authorizations);
        match self {
            Self::Anywhere => true,
            Self::Lists => !matches!(place, Place::List(View::System)),
            Self::Filterable => {
                matches!(place, Place::List(view) if *view != View::System)
            }
            Self::Sortable => *place == Place::List(organizations),
            Self::Choosable => *place == Place::List(organizations) || *place == Place::List(loas),
            Self::Subject => match place {
                Place::List(view) => {
                    matches!(view, View::Organizations | View::Queue | View::Activity)
                }
                Place::Organization(_) => true,
                Place::Delivery(_) | Place::Outgoing(_) => false,
            },
            Self::Loa => *place == Place::List(loas) || matches!(place, Place::Organization(_)),
            Self::Outgoing => {
                *place == Place::List(View::Outgoing) || matches!(place, Place::Outgoing(_))
            }
            Self::Delivery => {
                *place == Place::List(View::Inbox) || matches!(place, Place::Delivery(_))
            }
        }
    }
}

/// One row of the table.
pub struct Binding {
    /// The keys, any of which is enough.
    pub keys: &'static [(KeyCode, KeyModifiers)],
    /// The keys as people write them.
    pub shown: &'static str,
    /// Where.
    pub scope: Scope,
    /// What it means.
    pub intent: Intent,
    /// One or two words at the foot of the screen; empty: not shown there.
    pub hint: &'static str,
    /// A sentence for the help.
    pub about: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;

const fn char(it: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(it), NONE)
}

const fn ctrl(it: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(it), CTRL)
}

const fn code(it: KeyCode) -> (KeyCode, KeyModifiers) {
    (it, NONE)
}

const fn row(
    keys: &'static [(KeyCode, KeyModifiers)],
    shown: &'static str,
    (scope, intent): (Scope, Intent),
    hint: &'static str,
    about: &'static str,
) -> Binding {
    Binding { keys, shown, scope, intent, hint, about }
}

/// The table. Of two rows that fit, the first counts; the hints are shown in this order.
pub const BINDINGS: &[Binding] = &[
    row(
        &[char('?'), code(KeyCode::F(1))],
        "?",
        (Scope::Anywhere, Intent::Help),
        "help",
        "this help; type to search in it",
    ),
    row(
        &[code(KeyCode::Enter), char('l'), code(KeyCode::Right)],
        "Enter l →",
        (Scope::Lists, Intent::Open),
        "open",
        "open the selected row",
    ),
    row(
        &[char('a')],
        "a",
        (Scope::Lists, Intent::Menu),
        "actions",
        "what can be done here, and why something cannot",
    ),
    row(
        &[char('u')],
        "u",
        (Scope::Anywhere, Intent::Unlock),
        "unlock",
        "unlock actions for five minutes, or lock them again",
    ),
    row(
        &[char('/')],
        "/",
        (Scope::Filterable, Intent::Filter),
        "filter",
        "filter: text, !text for the rest, ~text for fuzzy; empty ends it",
    ),
    row(
        &[char(':')],
        ":",
        (Scope::Anywhere, Intent::CommandLine),
        "command",
        "go to a view or do something by name; Tab completes",
    ),
    row(
        &[char('q'), ctrl('c')],
        "q",
        (Scope::Anywhere, Intent::Quit),
        "quit",
        "leave; nothing is lost",
    ),
    row(
        &[char('s')],
        "s",
        (Scope::Sortable, Intent::Sort),
        "sort",
        "newest, oldest, by name, by end of approval",
    ),
    row(
        &[char('f')],
        "f",
        (Scope::Choosable, Intent::Show),
        "status",
        "only rows of one status, the next, or all",
    ),
    row(
        &[char('A')],
        "A",
        (Scope::Subject, Intent::Do(Action::Approve)),
        "",
        "release a hold as approved; asks first where Sumsub has said no",
    ),
    row(
        &[char('S')],
        "S",
        (Scope::Subject, Intent::Do(Action::Start)),
        "",
        "start or resume a session; shows its link and QR code",
    ),
    row(
        &[char('I')],
        "I",
        (Scope::Subject, Intent::Do(Action::Import)),
        "",
        "import a verification by a partner's share token",
    ),
    row(
        &[char('H')],
        "H",
        (Scope::Subject, Intent::Do(Action::Hold)),
        "",
        "hold the verification; says first what that suspends",
    ),
    row(
        &[char('X')],
        "X",
        (Scope::Subject, Intent::Do(Action::Reject)),
        "",
        "release a hold as rejected",
    ),
    row(
        &[char('B')],
        "B",
        (Scope::Subject, Intent::Do(Action::Resubmit)),
        "",
        "release a hold by asking the customer to submit again",
    ),
    row(&[char('O')], "O", (Scope::Subject, Intent::Do(Action::Reopen)), "", "reopen a rejection"),
    row(
        &[char('E')],
        "E",
        (Scope::Subject, Intent::Do(Action::Reread)),
        "",
        "re-read from Sumsub: apply what no webhook has told",
    ),
    row(
        &[char('L')],
        "L",
        (Scope::Loa, Intent::Do(Action::Sign)),
        "",
        "record a signature on paper on the LOA",
    ),
    row(
        &[char('R')],
        "R",
        (Scope::Loa, Intent::Do(Action::Revoke)),
        "",
        "revoke the LOA; says first what that suspends",
    ),
    row(
        &[char('Q')],
        "Q",
        (Scope::Loa, Intent::Do(Action::Request)),
        "",
        "request a new LOA for the broker that created the customer",
    ),
    row(
        &[char('d')],
        "d",
        (Scope::Delivery, Intent::Do(Action::Rehearse)),
        "dry run",
        "tell what a replay would do, and keep nothing of it",
    ),
    row(
        &[char('P')],
        "P",
        (Scope::Delivery, Intent::Do(Action::Replay)),
        "",
        "apply the delivery again by the rules of today",
    ),
    row(
        &[char('P')],
        "P",
        (Scope::Outgoing, Intent::Do(Action::Resend)),
        "resend",
        "send the webhook again, under the same message id",
    ),
    row(
        &[char('N')],
        "N",
        (Scope::Anywhere, Intent::Do(Action::Create)),
        "",
        "create an organization",
    ),
    row(
        &[char('y')],
        "y",
        (Scope::Lists, Intent::CopyId),
        "copy id",
        "copy the id through the terminal (OSC 52)",
    ),
    row(
        &[char('c')],
        "c",
        (Scope::Anywhere, Intent::CopyTwin),
        "copy command",
        "copy the command line that shows the same; in a dialog Ctrl-y",
    ),
    row(&[char('t')], "t", (Scope::Anywhere, Intent::Times), "", "times relative or exact"),
    row(
        &[char('r')],
        "r",
        (Scope::Anywhere, Intent::Refresh),
        "",
        "read again now; on System also ask Sumsub",
    ),
    row(
        &[char('j'), code(KeyCode::Down)],
        "j ↓",
        (Scope::Anywhere, Intent::Step(1)),
        "",
        "one row down",
    ),
    row(
        &[char('k'), code(KeyCode::Up)],
        "k ↑",
        (Scope::Anywhere, Intent::Step(-1)),
        "",
        "one row up",
    ),
    row(&[ctrl('d')], "Ctrl-d", (Scope::Anywhere, Intent::HalfPage(1)), "", "half a screen down"),
    row(&[ctrl('u')], "Ctrl-u", (Scope::Anywhere, Intent::HalfPage(-1)), "", "half a screen up"),
    row(
        &[code(KeyCode::PageDown), ctrl('f'), char(' ')],
        "PgDn Space",
        (Scope::Anywhere, Intent::HalfPage(2)),
        "",
        "one screen down",
    ),
    row(
        &[code(KeyCode::PageUp), ctrl('b')],
        "PgUp",
        (Scope::Anywhere, Intent::HalfPage(-2)),
        "",
        "one screen up",
    ),
    row(
        &[char('g'), code(KeyCode::Home)],
        "g Home",
        (Scope::Anywhere, Intent::First),
        "",
        "to the first row",
    ),
    row(
        &[char('G'), code(KeyCode::End)],
        "G End",
        (Scope::Anywhere, Intent::Last),
        "",
        "to the last row",
    ),
    row(&[code(KeyCode::Tab)], "Tab", (Scope::Anywhere, Intent::NextView), "", "the next view"),
    row(
        &[code(KeyCode::BackTab)],
        "Shift-Tab",
        (Scope::Anywhere, Intent::PreviousView),
        "",
        "the view before",
    ),
    row(
        &[
            char('1'),
            char('2'),
            char('3'),
            char('4'),
            char('5'),
            char('6'),
            char('7'),
            char('8'),
            char('9'),
        ],
        "1…7",
        (Scope::Anywhere, Intent::Digit),
        "",
        "go to that view",
    ),
    row(&[char('[')], "[", (Scope::Anywhere, Intent::HistoryBack), "", "back to where you were"),
    row(&[char(']')], "]", (Scope::Anywhere, Intent::HistoryForward), "", "forward again"),
    row(
        &[code(KeyCode::Esc), char('h'), code(KeyCode::Left), code(KeyCode::Backspace)],
        "Esc h ←",
        (Scope::Anywhere, Intent::Back),
        "",
        "close what is on top, end a filter, or go back",
    ),
];

/// What a key means at a place; `None`: nothing.
pub fn intent(place: &Place, key: KeyEvent) -> Option<Intent> {
    // Terminals differ in whether they report Shift with a capital letter.
    let modifiers = key.modifiers.difference(KeyModifiers::SHIFT);
    BINDINGS
        .iter()
        .find(|it| it.scope.holds(place) && it.keys.contains(&(key.code, modifiers)))
        .map(|it| it.intent)
}

/// The key of an action, as people write it.
pub fn shown_for(action: Action) -> &'static str {
    BINDINGS.iter().find(|it| it.intent == Intent::Do(action)).map_or("", |it| it.shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_at_one_place() {
        let places = [
            Place::List(View::Organizations),
            Place::List(View::Queue),
            Place::List(View::Authorizations),
            Place::List(View::Inbox),
            Place::List(View::Outgoing),
            Place::List(View::Activity),
            Place::List(View::System),
            Place::Organization(crate::domain::organization::OrganizationId::new("org_1")),
            Place::Delivery(1),
            Place::Outgoing(crate::console::state::Sent {
                owner: crate::domain::organization::OrganizationId::new("org_1"),
                endpoint: "ep_1".to_owned(),
                no: 1,
            }),
        ];
        for place in &places {
            let mut seen = Vec::new();
            let bindings = BINDINGS.iter().filter(|it| it.scope.holds(place));
            for key in bindings.flat_map(|it| it.keys) {
                assert!(!seen.contains(key), "{key:?} twice at {place:?}");
                seen.push(*key);
            }
        }
    }

    #[test]
    fn a_capital_letter_counts_with_and_without_reported_shift() {
        let place = Place::Organization(crate::domain::organization::OrganizationId::new("org_1"));
        for modifiers in [NONE, KeyModifiers::SHIFT] {
            let key = KeyEvent::new(KeyCode::Char('H'), modifiers);
            assert_eq!(intent(&place, key), Some(Intent::Do(Action::Hold)));
        }
        let key = KeyEvent::new(KeyCode::Char('H'), KeyModifiers::ALT);
        assert_eq!(intent(&place, key), None);
    }
}
