//! Keys and mouse where nothing lies on top: moving, opening, going.

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use tui_input::Input;

use crate::console::age::Times;
use crate::console::keys::{Intent, intent};
use crate::console::state::Aim;
use crate::console::state::{
    Access, Anchor, Ask, Command, DetailItem, Overlay, PAGE, Place, State, Tone, UNLOCKED_MS,
};
use crate::console::twin;
use crate::console::views::View;
use crate::domain::timestamp::Timestamp;

/// How many rows a turn of the wheel moves.
const WHEEL_ROWS: isize = 3;
/// The first line of a list's rows on the screen: below header, tabs and heading.
const FIRST_ROW: u16 = 3;
/// The line of the tabs.
const TABS_ROW: u16 = 1;
/// How near to the end of a loaded list more of it is read.
const EDGE: usize = 50;

impl State {
    pub(super) fn key(&mut self, key: KeyEvent) -> Vec<Command> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        let is_interrupt =
            key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if is_interrupt {
            return self.quit();
        }
        if self.is_too_small() {
            let is_quit = key.code == KeyCode::Char('q') && key.modifiers.is_empty();
            return if is_quit { self.quit() } else { Vec::new() };
        }
        match self.overlay {
            Overlay::None => match intent(&self.place(), key) {
                Some(intent) => self.perform(intent, key),
                None => Vec::new(),
            },
            Overlay::Filter(_)
            | Overlay::CommandLine(..)
            | Overlay::Help(..)
            | Overlay::Menu(_)
            | Overlay::Dialog(_)
            | Overlay::Session { .. } => self.overlay_key(key),
        }
    }

    pub(super) fn perform(&mut self, intent: Intent, key: KeyEvent) -> Vec<Command> {
        match intent {
            Intent::Quit => return self.quit(),
            Intent::Help => self.overlay = Overlay::Help(Input::default(), 0),
            Intent::Back => return self.back(),
            Intent::Step(by) => return self.step(by),
            Intent::HalfPage(by) => {
                let half = isize::try_from(self.height() / 2).unwrap_or(1).max(1);
                return self.step(by.saturating_mul(half));
            }
            Intent::First => return self.jump(&Anchor::Start),
            Intent::Last => return self.jump(&Anchor::End),
            Intent::Open => return self.open(),
            Intent::Filter => self.begin_filter(),
            Intent::CommandLine => {
                self.overlay = Overlay::CommandLine(Input::default(), String::new());
            }
            Intent::HistoryBack => return self.move_in_history(-1),
            Intent::HistoryForward => return self.move_in_history(1),
            Intent::NextView => return self.go(Place::List(self.view().turn(1))),
            Intent::PreviousView => {
                let back = crate::console::views::VIEWS.len().saturating_sub(1);
                return self.go(Place::List(self.view().turn(back)));
            }
            Intent::Digit => {
                if let KeyCode::Char(digit) = key.code
                    && let Some(view) = View::of_digit(digit)
                {
                    return self.go(Place::List(view));
                }
            }
            Intent::CopyId => return self.copy_id(),
            Intent::CopyTwin => return self.copy(twin::of_screen(self)),
            Intent::Unlock => self.toggle_lock(),
            Intent::Refresh => return self.refresh(),
            Intent::Times => {
                self.times = match self.times {
                    Times::Relative => Times::Exact,
                    Times::Exact => Times::Relative,
                };
            }
            Intent::Sort => return self.next_order(),
            Intent::Show => return self.show_next(),
            Intent::Menu => self.overlay = Overlay::Menu(0),
            Intent::Do(action) => return self.begin_action(action),
        }
        Vec::new()
    }

    pub(super) fn quit(&mut self) -> Vec<Command> {
        // An act that is under way is not torn: the second press leaves it to itself.
        let notice = "still at work; press q again to leave without the answer";
        let was_warned = self.notice.as_ref().is_some_and(|it| it.text == notice);
        if self.busy.is_some() && !was_warned {
            self.say(Tone::Plain, notice);
            return Vec::new();
        }
        vec![Command::Quit]
    }

    fn back(&mut self) -> Vec<Command> {
        if let Some(busy) = self.busy.take() {
            let text = format!("{}: no longer waited for; its answer will be told", busy.what);
            self.given_up.push((busy.ticket, busy.what));
            self.say(Tone::Plain, text);
            return Vec::new();
        }
        match self.place() {
            Place::List(view) if self.filter(view).is_some() => self.set_filter(None),
            Place::List(_) => Vec::new(),
            // As one came: from a broker back to its customer, from there back to the list.
            Place::Organization(_) | Place::Delivery(_) | Place::Outgoing(_) if self.at > 0 => {
                self.move_in_history(-1)
            }
            Place::Organization(_) | Place::Delivery(_) | Place::Outgoing(_) => {
                self.go(Place::List(self.view()))
            }
        }
    }

    fn step(&mut self, by: isize) -> Vec<Command> {
        let height = self.height();
        match self.place() {
            Place::List(View::Organizations) => {
                self.organizations.step(by, height);
                return self.organizations_near_edge();
            }
            Place::List(View::Queue) => self.queue.list.step(by, height),
            Place::List(View::Authorizations) => self.authorizations.list.step(by, height),
            Place::List(View::Inbox) => self.inbox.list.step(by, height),
            Place::List(View::Outgoing) => self.outgoing.list.step(by, height),
            Place::List(View::Activity) => self.activity.list.step(by, height),
            Place::Organization(_) => self.items.step(by, height),
            Place::List(View::System) | Place::Delivery(_) | Place::Outgoing(_) => {
                self.scroll = self.scroll.saturating_add_signed(by);
            }
        }
        self.more_near_end()
    }

    /// The lists that are read from their beginning are read a page further.
    pub(super) fn more_near_end(&mut self) -> Vec<Command> {
        let (loaded, below, goes_on) = match self.place() {
            Place::List(View::Queue) => near_end(&self.queue),
            Place::List(View::Authorizations) => near_end(&self.authorizations),
            Place::List(View::Inbox) => near_end(&self.inbox),
            Place::List(View::Outgoing) => near_end(&self.outgoing),
            Place::List(View::Organizations | View::Activity | View::System)
            | Place::Organization(_)
            | Place::Delivery(_)
            | Place::Outgoing(_) => return Vec::new(),
        };
        let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let limit = self.limit(self.view(), loaded.saturating_add(page));
        let is_new = usize::try_from(limit).unwrap_or(usize::MAX) > loaded;
        if !goes_on || below > EDGE || !is_new {
            return Vec::new();
        }
        let ask = match self.view() {
            View::Queue => Ask::Queue { limit },
            View::Authorizations => Ask::Authorizations { shown: self.loas_shown, limit },
            View::Inbox => Ask::Inbox { limit },
            View::Outgoing => Ask::Outgoing { limit },
            View::Organizations | View::Activity | View::System => return Vec::new(),
        };
        self.load(ask).into_iter().collect()
    }

    fn jump(&mut self, end: &Anchor) -> Vec<Command> {
        let is_start = *end == Anchor::Start;
        match self.place() {
            Place::List(View::Organizations) if is_start => self.organizations_first(),
            Place::List(View::Organizations) => self.organizations_last(),
            Place::List(_) | Place::Organization(_) | Place::Delivery(_) | Place::Outgoing(_) => {
                self.step(if is_start { isize::MIN } else { isize::MAX })
            }
        }
    }

    pub(super) fn open(&mut self) -> Vec<Command> {
        let place = match self.place() {
            Place::List(View::Organizations) => {
                self.organizations.selected().map(|it| Place::Organization(it.id.clone()))
            }
            Place::List(View::Queue) => {
                self.queue.selected().map(|it| Place::Organization(it.organization.clone()))
            }
            Place::List(View::Authorizations) => self
                .authorizations
                .selected()
                .map(|it| Place::Organization(it.authorization.granting.clone())),
            Place::List(View::Inbox) => self.inbox.selected().map(|it| Place::Delivery(it.id)),
            Place::List(View::Activity) => {
                self.activity.selected().map(|it| Place::Organization(it.organization.clone()))
            }
            Place::List(View::Outgoing) => self.selected_sent().map(Place::Outgoing),
            Place::Outgoing(sent) => Some(Place::Organization(sent.owner)),
            Place::List(View::System) => None,
            Place::Organization(_) => self.open_item(),
            Place::Delivery(_) => self
                .delivery
                .as_ref()
                .and_then(|it| it.delivery.organization.clone())
                .map(Place::Organization),
        };
        place.map_or_else(Vec::new, |it| self.go(it))
    }

    fn open_item(&self) -> Option<Place> {
        let detail = self.organization.as_ref()?;
        match *self.items.selected()? {
            DetailItem::Loa(at) => {
                let loa = &detail.authorizations.get(at)?.authorization;
                let is_granter = loa.granting == detail.organization.id;
                let other = if is_granter { &loa.authorized } else { &loa.granting };
                Some(Place::Organization(other.clone()))
            }
            DetailItem::Fact(at) => match detail.facts.get(at)?.cause {
                crate::store::Cause::Delivery(id) => Some(Place::Delivery(id)),
                crate::store::Cause::Operator { .. }
                | crate::store::Cause::Request(_)
                | crate::store::Cause::Asked(_) => None,
            },
            DetailItem::LoaFact(at) => {
                let with = detail.authorization_activity.get(at)?.with.clone();
                with.map(Place::Organization)
            }
            DetailItem::Delivery(at) => detail.deliveries.get(at).map(|it| Place::Delivery(it.id)),
            DetailItem::Outgoing(_) => self.selected_sent().map(Place::Outgoing),
            DetailItem::Link(_) | DetailItem::Session(_) => None,
        }
    }

    fn copy_id(&mut self) -> Vec<Command> {
        let id = match self.place() {
            Place::Delivery(id) => Some(id.to_string()),
            Place::List(View::Inbox) => self.inbox.selected().map(|it| it.id.to_string()),
            Place::List(View::Outgoing) => self.outgoing.selected().map(|it| it.message_id.clone()),
            Place::Outgoing(_) => self.sent.as_ref().map(|it| it.message_id.clone()),
            Place::List(_) | Place::Organization(_) => {
                self.subject().map(|it| it.id.as_str().to_owned())
            }
        };
        match id {
            Some(id) => self.copy(id),
            None => Vec::new(),
        }
    }

    pub(super) fn copy(&mut self, text: String) -> Vec<Command> {
        self.say(Tone::Good, format!("copied: {text}"));
        vec![Command::Copy(text)]
    }

    pub(super) fn toggle_lock(&mut self) {
        match self.start.access {
            Access::ReadOnly => {
                self.say(Tone::Plain, "started with --read-only: actions stay locked");
            }
            Access::Locked => {
                let until: Timestamp = self.now().plus_ms(UNLOCKED_MS);
                self.start.access = Access::UnlockedUntil(until);
                self.say(Tone::Plain, "unlocked for five minutes; u locks again");
            }
            Access::UnlockedUntil(_) => {
                self.start.access = Access::Locked;
                self.say(Tone::Plain, "locked");
            }
        }
    }

    fn refresh(&mut self) -> Vec<Command> {
        self.provider.asked_at = None;
        self.load_place()
    }

    pub(super) fn show_next(&mut self) -> Vec<Command> {
        if self.view() == View::Authorizations {
            self.loas_shown = self.loas_shown.next();
            self.authorizations = crate::console::state::Sifted::default();
            return self.load_place();
        }
        self.next_status()
    }

    pub(super) fn mouse(&mut self, mouse: MouseEvent) -> Vec<Command> {
        if self.is_too_small() {
            return Vec::new();
        }
        if !matches!(self.overlay, Overlay::None) {
            let code = match mouse.kind {
                MouseEventKind::ScrollDown => KeyCode::Down,
                MouseEventKind::ScrollUp => KeyCode::Up,
                _ => return Vec::new(),
            };
            let turns = matches!(self.overlay, Overlay::Help(..) | Overlay::Menu(_));
            let key = KeyEvent::new(code, KeyModifiers::NONE);
            return if turns { self.overlay_key(key) } else { Vec::new() };
        }
        match mouse.kind {
            MouseEventKind::ScrollDown => self.step(WHEEL_ROWS),
            MouseEventKind::ScrollUp => self.step(WHEEL_ROWS.saturating_neg()),
            MouseEventKind::Down(MouseButton::Left) if mouse.row == TABS_ROW => {
                let view = crate::console::view::tab_at(self, mouse.column);
                view.map_or_else(Vec::new, |it| self.go(Place::List(it)))
            }
            MouseEventKind::Down(MouseButton::Left)
                if matches!(self.place(), Place::Organization(_)) =>
            {
                self.click_item(mouse.row)
            }
            MouseEventKind::Down(MouseButton::Left) if mouse.row >= FIRST_ROW => {
                self.click(usize::from(mouse.row.saturating_sub(FIRST_ROW)))
            }
            _ => Vec::new(),
        }
    }

    /// A click selects a row; a click on the selected row opens it.
    fn click(&mut self, line: usize) -> Vec<Command> {
        let height = self.height();
        if line >= height {
            return Vec::new();
        }
        let (top, count, selected) = match self.place() {
            Place::List(View::Organizations) => drawn(&self.organizations),
            Place::List(View::Queue) => drawn(self.queue.list()),
            Place::List(View::Authorizations) => drawn(self.authorizations.list()),
            Place::List(View::Inbox) => drawn(self.inbox.list()),
            Place::List(View::Outgoing) => drawn(self.outgoing.list()),
            Place::List(View::Activity) => drawn(self.activity.list()),
            Place::List(View::System)
            | Place::Organization(_)
            | Place::Delivery(_)
            | Place::Outgoing(_) => return Vec::new(),
        };
        let place = top.saturating_add(line);
        if place >= count {
            return Vec::new();
        }
        if place == selected {
            return self.open();
        }
        match self.view() {
            View::Organizations => self.organizations.select(place, height),
            View::Queue => self.queue.list.select(place, height),
            View::Authorizations => self.authorizations.list.select(place, height),
            View::Inbox => self.inbox.list.select(place, height),
            View::Outgoing => self.outgoing.list.select(place, height),
            View::Activity => self.activity.list.select(place, height),
            View::System => {}
        }
        Vec::new()
    }

    /// The same on the lines of one organization.
    fn click_item(&mut self, row: u16) -> Vec<Command> {
        let height = self.height();
        match crate::console::view::organization::item_at(self, row) {
            Some(item) if item == self.items.selected => self.open(),
            Some(item) => {
                self.items.select(item, height);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Reads the organizations anew because what they are filtered by has changed.
    pub(super) fn search_anew(&mut self) -> Vec<Command> {
        self.load_organizations(Anchor::Start, Aim::Jump)
    }
}

fn near_end<T>(of: &crate::console::state::Sifted<T>) -> (usize, usize, bool) {
    (of.loaded.len(), of.list.below(), of.list.goes_on)
}

fn drawn<T>(list: &crate::console::list::List<T>) -> (usize, usize, usize) {
    (list.top, list.rows.len(), list.selected)
}
