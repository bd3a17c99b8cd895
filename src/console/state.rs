//! Everything that is on the screen, as a value; and how a message changes it.
//!
//! [`update`] is pure: what has to be read, done or copied goes out as [`Command`]s and comes back as
//! [`Message`]s. Time comes in as a message too.

mod actions;
mod command_line;
mod input;
mod loaded;
mod organizations;
mod prompt;

use crossterm::event::{KeyEvent, MouseEvent};
use tui_input::Input;

pub use actions::{Subject, availability};
pub use command_line::{COMMANDS, WITH_WORD, completions};
pub use loaded::{Answer, detail_items};
pub use organizations::Window;

use crate::console::age::Times;
use crate::console::dialog::{Act, Dialog, Outlook, Sight};
use crate::console::filter::Filter;
use crate::console::keys::Action;
use crate::console::list::List;
use crate::console::theme::Theme;
use crate::console::views::View;
use crate::domain::organization::OrganizationId;
use crate::domain::timekeeper::ClockStanding;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::Acceptance;
use crate::domain::verification::Status;
use crate::store::{
    ActivityRow, AuthorizationRow, AuthorizationsShown, DeliveryRow, Direction, OrganizationOrder,
    OrganizationRow, OutgoingDelivery, OutgoingRow, Overview, ReviewRow,
};
use crate::usecase::observe::{Anchor, DeliveryDetail, Listing, OrganizationDetail};

/// How long one press of `u` unlocks: long enough for a case, short enough to forget it safely.
pub const UNLOCKED_MS: i64 = 5 * 60_000;
/// Rows of a page.
pub const PAGE: u32 = 200;
/// The most rows that a list other than the organizations' holds, and that a filter there looks at.
pub const LIST_ROWS_MAX: u32 = 5_000;
/// Narrower or lower than this, nothing can be shown honestly.
pub const SIZE_MIN: (u16, u16) = (40, 10);
/// How long a notice stays.
const NOTICE_MS: i64 = 8_000;
/// How often what is slow to read is read again while others write.
const SLOW_AGAIN_MS: i64 = 3_000;
/// Numbers that were counted in less are counted again as soon as somebody writes.
const QUICK_COUNT_MS: i64 = 50;
/// A search that took less is made again as soon as somebody writes.
const SLOW_SEARCH_MS: i64 = 500;
/// How often Sumsub is asked whether it answers, while that is on the screen.
const PROBE_MS: i64 = 15_000;
/// How many answer times of Sumsub the sparkline holds.
const LATENCIES_MAX: usize = 60;

/// Where one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One of the tabs.
    List(View),
    /// One organization.
    Organization(OrganizationId),
    /// One delivery.
    Delivery(i64),
    /// One webhook of ours.
    Outgoing(Sent),
}

/// One of our webhooks, by all that it is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Whose endpoint it goes to.
    pub owner: OrganizationId,
    /// The endpoint.
    pub endpoint: String,
    /// Its number.
    pub no: i64,
}

/// Whether actions are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Started with `--read-only`: never.
    ReadOnly,
    /// Not now; one key unlocks.
    Locked,
    /// Until this instant.
    UnlockedUntil(Timestamp),
}

/// What lies on top of the place.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// Nothing.
    None,
    /// The filter is being typed.
    Filter(Input),
    /// A command is being typed; beside it what was typed by hand, which Tab completes.
    CommandLine(Input, String),
    /// The help, with what is searched in it and how far it is scrolled.
    Help(Input, usize),
    /// The actions, and which is selected.
    Menu(usize),
    /// A dialog.
    Dialog(Box<Dialog>),
    /// A session's link, for whom.
    Session {
        /// The customer.
        id: OrganizationId,
        /// The customer's name.
        name: String,
        /// The link.
        link: String,
    },
}

/// How a notice is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It worked.
    Good,
    /// Know this.
    Plain,
    /// It did not work.
    Bad,
}

/// A line for the operator that goes away by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The text.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
    /// When it goes.
    pub until: Timestamp,
}

/// An act under way.
#[derive(Clone, Debug)]
pub struct Busy {
    /// Its number.
    pub ticket: u64,
    /// What is being done.
    pub what: &'static str,
    /// Since when.
    pub since: Timestamp,
    /// Its dialog, to come back to when it is refused.
    pub dialog: Box<Dialog>,
}

/// A list that is filtered in memory: everything loaded, and the rows that pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sifted<T> {
    /// Everything loaded.
    pub loaded: Vec<T>,
    /// What the filter lets through.
    pub list: List<T>,
}

impl<T> Default for Sifted<T> {
    fn default() -> Self {
        Self { loaded: Vec::new(), list: List::default() }
    }
}

/// Which LOAs the view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoasShown {
    /// All.
    All,
    /// Signed, and the granter is APPROVED.
    Effective,
    /// Signed, and the granter is not.
    Suspended,
    /// Waiting for the signature.
    Unsigned,
    /// Taken back.
    Revoked,
    /// Effective for so many days at the most.
    ExpiringIn(u32),
}

impl LoasShown {
    /// Every choice, in the order in which a key goes through them.
    pub const ALL: [Self; 7] = [
        Self::All,
        Self::Effective,
        Self::Suspended,
        Self::Unsigned,
        Self::Revoked,
        Self::ExpiringIn(7),
        Self::ExpiringIn(30),
    ];

    /// The next choice.
    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|it| *it == self).unwrap_or(0);
        Self::ALL.get(at.saturating_add(1)).copied().unwrap_or(Self::All)
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Effective => "effective",
            Self::Suspended => "suspended",
            Self::Unsigned => "unsigned",
            Self::Revoked => "revoked",
            Self::ExpiringIn(7) => "expiring in 7 days",
            Self::ExpiringIn(_) => "expiring in 30 days",
        }
    }

    /// As the register is asked, at an instant.
    pub fn at(self, now: Timestamp) -> AuthorizationsShown {
        use crate::domain::authorization::AuthorizationStatus;
        match self {
            Self::All => AuthorizationsShown::All,
            Self::Effective => AuthorizationsShown::Effective(now),
            Self::Suspended => AuthorizationsShown::Suspended(now),
            Self::Unsigned => AuthorizationsShown::Recorded(AuthorizationStatus::Pending),
            Self::Revoked => AuthorizationsShown::Recorded(AuthorizationStatus::Revoked),
            Self::ExpiringIn(days) => AuthorizationsShown::Expiring(now, now.plus_days(days)),
        }
    }
}

/// A selectable line of an organization's screen: which of its lists, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailItem {
    /// An LOA.
    Loa(usize),
    /// A fact of the verification.
    Fact(usize),
    /// A fact of an LOA.
    LoaFact(usize),
    /// A link.
    Link(usize),
    /// A session.
    Session(usize),
    /// A delivery.
    Delivery(usize),
    /// A webhook of ours.
    Outgoing(usize),
}

/// How Sumsub answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderHealth {
    /// The last answer: how long it took, or why there was none.
    pub last: Option<Result<i64, String>>,
    /// How long the last ones took, in milliseconds, oldest first.
    pub latencies_ms: Vec<i64>,
    /// When it was asked last.
    pub asked_at: Option<Timestamp>,
}

/// What the console is started with.
#[derive(Clone, Debug)]
pub struct Start {
    /// Now.
    pub now: Timestamp,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// `test` or `live`.
    pub environment: &'static str,
    /// `operator:<login>`.
    pub actor: String,
    /// The register's file.
    pub register: String,
    /// Whether actions can be unlocked.
    pub access: Access,
    /// How it looks.
    pub theme: Theme,
    /// What is configured, as it may be shown.
    pub configuration: Vec<(String, String)>,
    /// Whose verdict counts.
    pub acceptance: Acceptance,
    /// Why Sumsub cannot be asked at all, and what to do about it.
    pub no_provider: Option<String>,
    /// What a command needs to be about the same register: ` --database …`, or nothing.
    pub twin_flags: String,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct State {
    /// What it was started with; `now`, `size` and `access` move on.
    pub start: Start,
    /// Relative or exact.
    pub times: Times,
    /// Where one has been.
    pub history: Vec<Place>,
    /// Where in it one is.
    pub at: usize,
    /// The filters of the lists that have one.
    pub filters: Vec<(View, Filter)>,
    /// The order and status of the organizations.
    pub listing: Listing,
    /// The organizations around the selected one.
    pub organizations: List<OrganizationRow>,
    /// Where those lie among all.
    pub window: Window,
    /// What waits for a person.
    pub queue: Sifted<ReviewRow>,
    /// LOAs.
    pub authorizations: Sifted<AuthorizationRow>,
    /// Which of them.
    pub loas_shown: LoasShown,
    /// Deliveries.
    pub inbox: Sifted<DeliveryRow>,
    /// What is sent.
    pub outgoing: Sifted<OutgoingRow>,
    /// Facts.
    pub activity: Sifted<ActivityRow>,
    /// The open organization.
    pub organization: Option<OrganizationDetail>,
    /// Its selectable lines.
    pub items: List<DetailItem>,
    /// The open delivery.
    pub delivery: Option<DeliveryDetail>,
    /// What a dry run of it said.
    pub rehearsal: Option<Result<String, String>>,
    /// The open webhook of ours.
    pub sent: Option<OutgoingDelivery>,
    /// How far a text without selection is scrolled.
    pub scroll: usize,
    /// The register in numbers.
    pub overview: Option<Overview>,
    /// When they were asked for.
    pub overview_asked_at: Timestamp,
    /// Whether somebody has written since.
    pub overview_is_stale: bool,
    /// How long counting took the last time.
    pub overview_took_ms: i64,
    /// How Sumsub answers.
    pub provider: ProviderHealth,
    /// How this machine's clock stands, once it was looked at.
    pub clock: Option<ClockStanding>,
    /// What lies on top.
    pub overlay: Overlay,
    /// A line for the operator.
    pub notice: Option<Notice>,
    /// What is wrong with the register.
    pub trouble: Option<String>,
    /// Why the open place could not be read.
    pub place_trouble: Option<String>,
    /// An act under way.
    pub busy: Option<Busy>,
    /// Acts under way that nobody waits for any more: number and name.
    pub given_up: Vec<(u64, &'static str)>,
    /// What is being read.
    pub unanswered: Vec<Unanswered>,
    /// The last number given to a question or an act.
    pub ticket: u64,
}

/// A place that is being read. It is not asked for once more meanwhile, however often somebody
/// writes: whoever asks faster than the register answers never sees an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The question's number.
    pub ticket: u64,
    /// What is read.
    pub place: Place,
    /// Whether it is to be read again as soon as it is answered.
    pub is_stale: bool,
}

/// What has to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A page of organizations.
    Organizations {
        /// Which, in which order.
        listing: Listing,
        /// Only those that pass.
        filter: Option<Filter>,
        /// Where the page lies.
        anchor: Anchor,
        /// How many.
        limit: u32,
        /// What it is for.
        aim: Aim,
    },
    /// Reviews, from the oldest.
    Queue {
        /// How many.
        limit: u32,
    },
    /// LOAs.
    Authorizations {
        /// Which.
        shown: LoasShown,
        /// How many.
        limit: u32,
    },
    /// Deliveries, from the newest.
    Inbox {
        /// How many.
        limit: u32,
    },
    /// What is sent, from the newest.
    Outgoing {
        /// How many.
        limit: u32,
    },
    /// Facts.
    Activity,
    /// Overview.
    System,
    /// One organization.
    Organization(OrganizationId),
    /// One delivery.
    Delivery(i64),
    /// One webhook of ours.
    Sent(Sent),
}

impl Ask {
    /// The place that the answer is for.
    fn place(&self) -> Place {
        match self {
            Self::Organizations { .. } => Place::List(View::Organizations),
            Self::Queue { .. } => Place::List(View::Queue),
            Self::Authorizations { .. } => Place::List(View::Authorizations),
            Self::Inbox { .. } => Place::List(View::Inbox),
            Self::Outgoing { .. } => Place::List(View::Outgoing),
            Self::Activity => Place::List(View::Activity),
            Self::System => Place::List(View::System),
            Self::Organization(id) => Place::Organization(id.clone()),
            Self::Delivery(id) => Place::Delivery(*id),
            Self::Sent(sent) => Place::Outgoing(sent.clone()),
        }
    }
}

/// What a page of organizations is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Going there: its first or last row is selected.
    Jump,
    /// Reading again what is on the screen.
    Again,
    /// More rows before or after those on the screen.
    More,
}

/// What has to be done outside.
#[derive(Clone, Debug)]
pub enum Command {
    /// Read.
    Load(u64, Ask),
    /// Do.
    Act(u64, Act),
    /// Find out what an act would take away and rests on: the answer bears this number.
    Preview(u64, Action, crate::console::dialog::About),
    /// Tell what a replay would do.
    Rehearse(i64),
    /// Ask Sumsub whether it answers.
    Probe,
    /// Copy a text.
    Copy(String),
    /// Leave.
    Quit,
}

/// What an act came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// An organization is there.
    Created(OrganizationId),
    /// A link is there, for whom.
    Session(OrganizationId, String),
    /// A verification stands so.
    Standing(OrganizationId, Status),
    /// An LOA stands so.
    Loa(&'static str),
    /// Sumsub was asked: what it told that was not known.
    Reread(Vec<String>),
    /// A webhook is sent again.
    Resent,
    /// A delivery was replayed: before, after.
    Replayed(&'static str, &'static str),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// A key.
    Key(KeyEvent),
    /// A pasted text.
    Paste(String),
    /// The mouse.
    Mouse(MouseEvent),
    /// The terminal has another size.
    Resized(u16, u16),
    /// The dialog of this number has been drawn, and every key from now on was pressed in sight of
    /// it.
    Drawn(u64),
    /// It has stood there, as it is, for long enough to be read.
    Read(u64),
    /// It is this late.
    Tick(Timestamp),
    /// Somebody has written to the register.
    Changed,
    /// What is wrong with the register; `None`: nothing any more, and much may have been written.
    Register(Option<String>),
    /// Something was read.
    Loaded(u64, Ask, Box<Result<Answer, String>>),
    /// A search has looked at so many rows.
    Searched(u64, u64),
    /// An act has ended.
    Acted(u64, Result<Done, String>),
    /// What an act would take away and rests on, in answer to the question of this number.
    Previewed(u64, Result<Outlook, String>),
    /// What a replay of this delivery would do.
    Rehearsed(i64, Result<String, String>),
    /// How Sumsub answered.
    Probed(Result<i64, String>),
    /// How this machine's clock stands now.
    Clock(ClockStanding),
}

/// Changes the state by a message, and says what has to be done outside.
pub fn update(state: &mut State, message: Message) -> Vec<Command> {
    match message {
        Message::Key(key) => state.key(key),
        Message::Paste(text) => state.paste(&text),
        Message::Mouse(mouse) => state.mouse(mouse),
        Message::Resized(columns, rows) => state.resized((columns, rows)),
        Message::Drawn(ticket) => state.sighted(ticket, Sight::Glimpsed),
        Message::Read(ticket) => state.sighted(ticket, Sight::Seen),
        Message::Tick(now) => state.tick(now),
        Message::Changed => state.changed(),
        Message::Register(None) => state.changed(),
        Message::Register(trouble) => {
            state.trouble = trouble;
            Vec::new()
        }
        Message::Loaded(ticket, ask, answer) => state.loaded(ticket, &ask, *answer),
        Message::Searched(ticket, rows) => {
            if state.window.ticket == Some(ticket) {
                state.window.searched = rows;
            }
            Vec::new()
        }
        Message::Acted(ticket, result) => state.acted(ticket, result),
        Message::Previewed(question, result) => state.previewed(question, result),
        Message::Rehearsed(id, result) => {
            if state.place() == Place::Delivery(id) {
                state.rehearsal = Some(result);
            }
            Vec::new()
        }
        Message::Probed(result) => {
            state.probed(result);
            Vec::new()
        }
        Message::Clock(standing) => {
            state.clock = Some(standing);
            Vec::new()
        }
    }
}

/// Whether so many columns and rows are too few to show anything honestly.
pub fn is_too_small((columns, rows): (u16, u16)) -> bool {
    columns < SIZE_MIN.0 || rows < SIZE_MIN.1
}

impl State {
    /// The first screen: the organizations, not read yet.
    pub fn new(start: Start) -> Self {
        Self {
            times: Times::Relative,
            history: vec![Place::List(View::Organizations)],
            at: 0,
            filters: Vec::new(),
            listing: Listing {
                order: OrganizationOrder::Created,
                direction: Direction::Down,
                status: None,
            },
            organizations: List::default(),
            window: Window::default(),
            queue: Sifted::default(),
            authorizations: Sifted::default(),
            loas_shown: LoasShown::All,
            inbox: Sifted::default(),
            outgoing: Sifted::default(),
            activity: Sifted::default(),
            organization: None,
            items: List::default(),
            delivery: None,
            rehearsal: None,
            sent: None,
            scroll: 0,
            overview: None,
            overview_asked_at: start.now,
            overview_is_stale: false,
            overview_took_ms: 0,
            provider: ProviderHealth::default(),
            clock: None,
            overlay: Overlay::None,
            notice: None,
            trouble: None,
            place_trouble: None,
            busy: None,
            given_up: Vec::new(),
            unanswered: Vec::new(),
            ticket: 0,
            start,
        }
    }

    /// What has to be read for the first screen.
    pub fn begin(&mut self) -> Vec<Command> {
        let mut commands = self.load_organizations(Anchor::Start, Aim::Jump);
        commands.extend(self.load(Ask::System));
        commands
    }

    /// Now, as far as the console knows.
    pub fn now(&self) -> Timestamp {
        self.start.now
    }

    /// Where one is.
    pub fn place(&self) -> Place {
        self.history.get(self.at).cloned().unwrap_or(Place::List(View::Organizations))
    }

    /// The tab that one is on, or came from.
    pub fn view(&self) -> View {
        let until_here = self.history.iter().take(self.at.saturating_add(1));
        let mut views = until_here.filter_map(|it| match it {
            Place::List(view) => Some(*view),
            Place::Organization(_) | Place::Delivery(_) | Place::Outgoing(_) => None,
        });
        views.next_back().unwrap_or(View::Organizations)
    }

    /// Whether actions are allowed now.
    pub fn is_unlocked(&self) -> bool {
        matches!(self.start.access, Access::UnlockedUntil(until) if until > self.now())
    }

    /// Whether the terminal is too small to show anything honestly.
    pub fn is_too_small(&self) -> bool {
        is_too_small(self.start.size)
    }

    /// How many rows of a list fit: all but header, tabs, heading, details, notice and hints.
    pub fn height(&self) -> usize {
        usize::from(self.start.size.1.saturating_sub(6)).max(1)
    }

    /// The filter of a view.
    pub fn filter(&self, view: View) -> Option<&Filter> {
        self.filters.iter().find(|(it, _)| *it == view).map(|(_, it)| it)
    }

    /// How many rows of a view to read where so many are loaded: for a filter, all that may be.
    pub fn limit(&self, view: View, loaded: usize) -> u32 {
        if view != View::Organizations && self.filter(view).is_some() {
            return LIST_ROWS_MAX;
        }
        u32::try_from(loaded).unwrap_or(LIST_ROWS_MAX).clamp(PAGE, LIST_ROWS_MAX)
    }

    fn next_ticket(&mut self) -> u64 {
        self.ticket = self.ticket.saturating_add(1);
        self.ticket
    }

    /// Reads, unless the same is being read: then it is read again when that is answered.
    fn load(&mut self, ask: Ask) -> Option<Command> {
        let place = ask.place();
        if let Some(under_way) = self.unanswered.iter_mut().find(|it| it.place == place) {
            under_way.is_stale = true;
            return None;
        }
        if ask == Ask::System {
            self.overview_asked_at = self.now();
            self.overview_is_stale = false;
        }
        let ticket = self.next_ticket();
        self.unanswered.push(Unanswered { ticket, place, is_stale: false });
        Some(Command::Load(ticket, ask))
    }

    /// Reads the place one is at.
    fn load_place(&mut self) -> Vec<Command> {
        let ask = match self.place() {
            // Its answer may be a jump, which is not to be lost; the tick reads again after it.
            Place::List(View::Organizations) if self.window.ticket.is_some() => {
                self.window.is_stale = true;
                return Vec::new();
            }
            Place::List(View::Organizations) if !self.organizations.is_loaded => {
                return self.load_organizations(Anchor::Start, Aim::Jump);
            }
            Place::List(View::Organizations) => return self.load_organizations_again(),
            Place::List(view) => match view.row() {
                Some(row) => (row.ask)(self),
                None => return Vec::new(),
            },
            Place::Organization(id) => Ask::Organization(id),
            Place::Delivery(id) => Ask::Delivery(id),
            Place::Outgoing(sent) => Ask::Sent(sent),
        };
        let mut commands: Vec<Command> = self.load(ask).into_iter().collect();
        commands.extend(self.probe_if_due());
        commands
    }

    /// Goes to a place, and forgets what lay ahead.
    fn go(&mut self, place: Place) -> Vec<Command> {
        if self.place() == place {
            return self.load_place();
        }
        self.history.truncate(self.at.saturating_add(1));
        self.history.push(place);
        self.at = self.history.len().saturating_sub(1);
        self.arrive()
    }

    fn move_in_history(&mut self, by: isize) -> Vec<Command> {
        let last = self.history.len().saturating_sub(1);
        let at = self.at.saturating_add_signed(by).min(last);
        if at == self.at {
            return Vec::new();
        }
        self.at = at;
        self.arrive()
    }

    fn arrive(&mut self) -> Vec<Command> {
        self.overlay = Overlay::None;
        self.place_trouble = None;
        self.scroll = 0;
        match self.place() {
            Place::Organization(id) => {
                if self.organization.as_ref().is_none_or(|it| it.organization.id != id) {
                    self.organization = None;
                    self.items = List::default();
                }
            }
            Place::Delivery(id) => {
                if self.delivery.as_ref().is_none_or(|it| it.delivery.id != id) {
                    self.delivery = None;
                    self.rehearsal = None;
                }
            }
            Place::Outgoing(sent) => {
                if self.sent.as_ref().is_none_or(|it| it.no != sent.no) {
                    self.sent = None;
                }
            }
            Place::List(_) => {}
        }
        self.load_place()
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Command> {
        self.start.now = now;
        if self.notice.as_ref().is_some_and(|it| it.until <= now) {
            self.notice = None;
        }
        if matches!(self.start.access, Access::UnlockedUntil(until) if until <= now) {
            self.start.access = Access::Locked;
            self.say(Tone::Plain, "locked again: press u to unlock");
        }
        let mut commands: Vec<Command> = self.probe_if_due().into_iter().collect();
        commands.extend(self.preview_if_due());
        let is_due = |at: Timestamp| now.as_ms().saturating_sub(at.as_ms()) >= SLOW_AGAIN_MS;
        let is_quick = self.overview_took_ms < QUICK_COUNT_MS;
        if self.overview_is_stale && (is_quick || is_due(self.overview_asked_at)) {
            commands.extend(self.load(Ask::System));
        }
        let is_here = self.place() == Place::List(View::Organizations);
        // A search that took long is not begun anew at every commit of the server.
        let is_again = self.window.took_ms < SLOW_SEARCH_MS || is_due(self.window.asked_at);
        if is_here && self.window.is_stale && is_again && self.window.ticket.is_none() {
            commands.extend(self.load_place());
        }
        commands
    }

    fn changed(&mut self) -> Vec<Command> {
        self.trouble = None;
        self.overview_is_stale = true;
        self.window.is_stale = true;
        let mut commands: Vec<Command> = self.preview_again().into_iter().collect();
        match self.place() {
            Place::List(View::System) => {}
            // The tick does it, in its own time.
            Place::List(View::Organizations) if self.is_search() => {}
            Place::List(_) | Place::Organization(_) | Place::Delivery(_) | Place::Outgoing(_) => {
                commands.extend(self.load_place());
            }
        }
        commands
    }

    fn probe_if_due(&mut self) -> Option<Command> {
        let now = self.now();
        let is_due = self
            .provider
            .asked_at
            .is_none_or(|at| now.as_ms().saturating_sub(at.as_ms()) >= PROBE_MS);
        let is_possible = self.start.no_provider.is_none();
        if self.place() != Place::List(View::System) || !is_due || !is_possible {
            return None;
        }
        self.provider.asked_at = Some(now);
        Some(Command::Probe)
    }

    fn probed(&mut self, result: Result<i64, String>) {
        if let Ok(ms) = &result {
            self.provider.latencies_ms.push(*ms);
            let surplus = self.provider.latencies_ms.len().saturating_sub(LATENCIES_MAX);
            self.provider.latencies_ms.drain(..surplus);
        }
        self.provider.last = Some(result);
    }

    /// Puts a line in front of the operator.
    fn say(&mut self, tone: Tone, text: impl Into<String>) {
        let until = self.now().plus_ms(NOTICE_MS);
        self.notice = Some(Notice { text: text.into(), tone, until });
    }

    fn resized(&mut self, size: (u16, u16)) -> Vec<Command> {
        self.start.size = size;
        self.keep_selections_drawn();
        let next = self.next_ticket();
        // It is not on the screen any more: when it is there again it has to be read again.
        if is_too_small(size)
            && let Overlay::Dialog(dialog) = &mut self.overlay
        {
            dialog.ticket = next;
            dialog.sight = Sight::Unseen;
        }
        Vec::new()
    }

    fn sighted(&mut self, ticket: u64, sight: Sight) -> Vec<Command> {
        let is_shown = !self.is_too_small();
        if let Overlay::Dialog(dialog) = &mut self.overlay
            && dialog.ticket == ticket
            && is_shown
        {
            dialog.sight = sight;
        }
        Vec::new()
    }

    fn keep_selections_drawn(&mut self) {
        let height = self.height();
        self.organizations.step(0, height);
        self.queue.list.step(0, height);
        self.authorizations.list.step(0, height);
        self.inbox.list.step(0, height);
        self.outgoing.list.step(0, height);
        self.activity.list.step(0, height);
    }
}
