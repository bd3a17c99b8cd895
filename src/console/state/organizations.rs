//! The window of rows through which a list of any length is seen.

use crate::console::state::{Aim, Ask, Command, PAGE, State};
use crate::console::views::View;
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::Status;
use crate::store::{Direction, OrganizationOrder, OrganizationRow};
use crate::usecase::observe::{Anchor, OrganizationPage};

/// The most rows that the window holds: a few pages, whatever the register's size.
const WINDOW_MAX: usize = 600;
/// How near to its edge the window is moved on.
const EDGE: usize = 60;

/// Where the loaded rows lie among all.
#[expect(clippy::struct_excessive_bools, reason = "two facts that vary independently")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Whether rows come before the loaded ones.
    pub has_before: bool,
    /// The first loaded row's number, counted from 0, where it is known.
    pub first_no: Option<u64>,
    /// The question that is under way.
    pub ticket: Option<u64>,
    /// How many rows its search has looked at.
    pub searched: u64,
    /// Whether somebody has written since it was read.
    pub is_stale: bool,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// How long the last answer took.
    pub took_ms: i64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            has_before: false,
            first_no: None,
            ticket: None,
            searched: 0,
            is_stale: false,
            asked_at: Timestamp::from_ms(0),
            took_ms: 0,
        }
    }
}

impl State {
    /// What reads again the organizations that are on the screen.
    pub fn ask_organizations_again(&self) -> Ask {
        let first = self.organizations.rows.first();
        let anchor = match first {
            Some(row) if self.window.has_before => Anchor::At(row.key(self.listing.order)),
            Some(_) | None => Anchor::Start,
        };
        Ask::Organizations {
            listing: self.listing,
            filter: self.filter(View::Organizations).cloned(),
            anchor,
            limit: self.limit(View::Organizations, self.organizations.rows.len()),
            aim: Aim::Again,
        }
    }

    /// Whether the page is found only by a look at row after row.
    pub fn is_search(&self) -> bool {
        self.filter(View::Organizations).is_some() || !self.listing.is_indexed()
    }

    pub(super) fn load_organizations_again(&mut self) -> Vec<Command> {
        let ask = self.ask_organizations_again();
        vec![self.ask_organizations(ask)]
    }

    pub(super) fn load_organizations(&mut self, anchor: Anchor, aim: Aim) -> Vec<Command> {
        let ask = Ask::Organizations {
            listing: self.listing,
            filter: self.filter(View::Organizations).cloned(),
            anchor,
            limit: PAGE,
            aim,
        };
        vec![self.ask_organizations(ask)]
    }

    fn ask_organizations(&mut self, ask: Ask) -> Command {
        let ticket = self.next_ticket();
        self.window.ticket = Some(ticket);
        self.window.searched = 0;
        self.window.is_stale = false;
        self.window.asked_at = self.now();
        Command::Load(ticket, ask)
    }

    /// Reads on when the selection comes near an edge of the window.
    pub(super) fn organizations_near_edge(&mut self) -> Vec<Command> {
        if self.window.ticket.is_some() {
            return Vec::new();
        }
        let order = self.listing.order;
        let list = &self.organizations;
        if list.goes_on && list.below() < EDGE {
            let after = list.rows.last().map(|it| Anchor::After(it.key(order)));
            return after.map_or_else(Vec::new, |it| self.load_organizations(it, Aim::More));
        }
        if self.window.has_before && list.selected < EDGE {
            let before = list.rows.first().map(|it| Anchor::Before(it.key(order)));
            return before.map_or_else(Vec::new, |it| self.load_organizations(it, Aim::More));
        }
        Vec::new()
    }

    pub(super) fn organizations_first(&mut self) -> Vec<Command> {
        if self.window.has_before {
            return self.load_organizations(Anchor::Start, Aim::Jump);
        }
        let height = self.height();
        self.organizations.select(0, height);
        Vec::new()
    }

    pub(super) fn organizations_last(&mut self) -> Vec<Command> {
        if self.organizations.goes_on {
            return self.load_organizations(Anchor::End, Aim::Jump);
        }
        let height = self.height();
        self.organizations.select(usize::MAX, height);
        Vec::new()
    }

    pub(super) fn organizations_loaded(
        &mut self,
        anchor: &Anchor,
        aim: Aim,
        page: OrganizationPage,
    ) {
        let height = self.height();
        let list = &mut self.organizations;
        list.is_loaded = true;
        list.trouble = None;
        match (anchor, aim) {
            (Anchor::After(_), _) => {
                list.rows.extend(page.rows);
                list.goes_on = page.goes_on;
                self.drop_from_front(height);
            }
            (Anchor::Before(_), _) => self.put_before(page, height),
            (Anchor::End, _) => {
                list.rows = page.rows;
                list.goes_on = false;
                list.select(usize::MAX, height);
                self.window.has_before = page.goes_on;
                self.window.first_no = (!page.goes_on).then_some(0);
            }
            (Anchor::Start, Aim::Jump) => {
                list.rows = page.rows;
                list.goes_on = page.goes_on;
                list.top = 0;
                list.select(0, height);
                self.window.has_before = false;
                self.window.first_no = Some(0);
            }
            (Anchor::Start | Anchor::At(_), _) => {
                list.replace(page.rows, |it| it.id.clone(), height);
                list.goes_on = page.goes_on;
            }
        }
    }

    fn drop_from_front(&mut self, height: usize) {
        let list = &mut self.organizations;
        let surplus = list.rows.len().saturating_sub(WINDOW_MAX).min(list.top);
        if surplus == 0 {
            return;
        }
        list.rows.drain(..surplus);
        list.top = list.top.saturating_sub(surplus);
        list.select(list.selected.saturating_sub(surplus), height);
        self.window.has_before = true;
        self.window.first_no = self.window.first_no.map(|it| it.saturating_add(wide(surplus)));
    }

    fn put_before(&mut self, page: OrganizationPage, height: usize) {
        let added = page.rows.len();
        let list = &mut self.organizations;
        let mut rows: Vec<OrganizationRow> = page.rows;
        rows.append(&mut list.rows);
        if rows.len() > WINDOW_MAX {
            rows.truncate(WINDOW_MAX.max(added.saturating_add(list.top).saturating_add(height)));
            list.goes_on = true;
        }
        list.rows = rows;
        list.top = list.top.saturating_add(added);
        list.select(list.selected.saturating_add(added), height);
        self.window.has_before = page.goes_on;
        self.window.first_no = if page.goes_on {
            self.window.first_no.map(|it| it.saturating_sub(wide(added)))
        } else {
            Some(0)
        };
    }

    pub(super) fn next_order(&mut self) -> Vec<Command> {
        use OrganizationOrder::{Created, Expiry, Name};
        let (order, direction) = match (self.listing.order, self.listing.direction) {
            (Created, Direction::Down) => (Created, Direction::Up),
            (Created, Direction::Up) => (Name, Direction::Up),
            (Name, _) => (Expiry, Direction::Up),
            (Expiry, _) => (Created, Direction::Down),
        };
        self.listing.order = order;
        self.listing.direction = direction;
        self.load_organizations(Anchor::Start, Aim::Jump)
    }

    pub(super) fn next_status(&mut self) -> Vec<Command> {
        let at = self.listing.status.and_then(|it| Status::ALL.iter().position(|of| *of == it));
        let next = at.map_or(0, |it| it.saturating_add(1));
        self.listing.status = Status::ALL.get(next).copied();
        self.load_organizations(Anchor::Start, Aim::Jump)
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
