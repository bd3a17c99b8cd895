//! Answers that come in.

use crate::console::dialog::{Outlook, Preview, Sight};
use crate::console::filter::Filter;
use crate::console::list::List;
use crate::console::state::{
    Ask, Busy, Command, DetailItem, Done, Overlay, Place, Sifted, State, Tone,
};
use crate::console::views::View;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{
    ActivityRow, AuthorizationRow, DeliveryRow, OutgoingDelivery, OutgoingRow, Overview,
    RecordedFact, ReviewRow,
};
use crate::usecase::observe::{DeliveryDetail, OrganizationDetail, OrganizationPage};

/// What was read.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A page; `None`: nobody wanted it any more.
    Organizations(Option<OrganizationPage>),
    /// Reviews.
    Queue(Vec<ReviewRow>),
    /// LOAs.
    Authorizations(Vec<AuthorizationRow>),
    /// Deliveries.
    Inbox(Vec<DeliveryRow>),
    /// What is sent.
    Outgoing(Vec<OutgoingRow>),
    /// Facts.
    Activity(Vec<ActivityRow>),
    /// Overview.
    System(Overview),
    /// One organization.
    Organization(Box<OrganizationDetail>),
    /// One delivery; `None`: there is none of that number.
    Delivery(Option<Box<DeliveryDetail>>),
    /// One webhook of ours.
    Sent(Box<OutgoingDelivery>),
}

impl State {
    pub(super) fn loaded(
        &mut self,
        ticket: u64,
        ask: &Ask,
        answer: Result<Answer, String>,
    ) -> Vec<Command> {
        let is_organizations = matches!(ask, Ask::Organizations { .. });
        if is_organizations {
            if self.window.ticket != Some(ticket) {
                return Vec::new();
            }
            self.window.ticket = None;
            let asked_at = self.window.asked_at.as_ms();
            self.window.took_ms = self.now().as_ms().saturating_sub(asked_at);
        }
        let mut commands = match answer {
            Ok(answer) => self.take(ask, answer),
            Err(why) => {
                self.not_loaded(ask, &why);
                Vec::new()
            }
        };
        commands.extend(self.read_again(ticket));
        commands
    }

    /// What was to be read while the question of this number was under way.
    fn read_again(&mut self, ticket: u64) -> Vec<Command> {
        let Some(at) = self.unanswered.iter().position(|it| it.ticket == ticket) else {
            return Vec::new();
        };
        let answered = self.unanswered.swap_remove(at);
        match answered.place {
            _ if !answered.is_stale => Vec::new(),
            // The tick does it, in its own time.
            Place::List(View::System) => {
                self.overview_is_stale = true;
                Vec::new()
            }
            place if place == self.place() => {
                let more = self.more_near_end();
                if more.is_empty() { self.load_place() } else { more }
            }
            _ => Vec::new(),
        }
    }

    fn take(&mut self, ask: &Ask, answer: Answer) -> Vec<Command> {
        let height = self.height();
        match (ask, answer) {
            (Ask::Organizations { anchor, aim, .. }, Answer::Organizations(page)) => {
                if let Some(page) = page {
                    self.organizations_loaded(anchor, *aim, page);
                    return self.organizations_near_edge();
                }
            }
            (Ask::Queue { limit }, Answer::Queue(rows)) => {
                let filter = self.filter(View::Queue).cloned();
                put(&mut self.queue, rows, *limit, filter.as_ref(), height);
            }
            (Ask::Authorizations { shown, limit }, Answer::Authorizations(rows)) => {
                if *shown == self.loas_shown {
                    let filter = self.filter(View::Authorizations).cloned();
                    put(&mut self.authorizations, rows, *limit, filter.as_ref(), height);
                }
            }
            (Ask::Inbox { limit }, Answer::Inbox(rows)) => {
                let filter = self.filter(View::Inbox).cloned();
                put(&mut self.inbox, rows, *limit, filter.as_ref(), height);
            }
            (Ask::Outgoing { limit }, Answer::Outgoing(rows)) => {
                let filter = self.filter(View::Outgoing).cloned();
                put(&mut self.outgoing, rows, *limit, filter.as_ref(), height);
            }
            (_, Answer::Activity(rows)) => {
                let filter = self.filter(View::Activity).cloned();
                put(&mut self.activity, rows, u32::MAX, filter.as_ref(), height);
            }
            (_, Answer::System(overview)) => {
                let asked_at = self.overview_asked_at.as_ms();
                self.overview_took_ms = self.now().as_ms().saturating_sub(asked_at);
                self.overview = Some(overview);
            }
            (_, Answer::Organization(detail)) => self.take_organization(*detail, height),
            (Ask::Delivery(id), Answer::Delivery(delivery)) => match delivery {
                Some(delivery) => {
                    if self.place() == Place::Delivery(*id) {
                        self.place_trouble = None;
                        self.delivery = Some(*delivery);
                    }
                }
                None => self.place_trouble = Some(format!("there is no delivery {id}")),
            },
            (Ask::Sent(of), Answer::Sent(sent)) => {
                if self.place() == Place::Outgoing(of.clone()) {
                    self.place_trouble = None;
                    self.sent = Some(*sent);
                }
            }
            (_, Answer::Organizations(_) | Answer::Queue(_) | Answer::Authorizations(_)) => {}
            (_, Answer::Sent(_)) => {}
            (_, Answer::Inbox(_) | Answer::Outgoing(_) | Answer::Delivery(_)) => {}
        }
        Vec::new()
    }

    fn take_organization(&mut self, detail: OrganizationDetail, height: usize) {
        if self.place() != Place::Organization(detail.organization.id.clone()) {
            return;
        }
        self.place_trouble = None;
        let items = detail_items(&detail);
        let before = self.organization.as_ref();
        let selected = before.and_then(|it| identity(it, *self.items.selected()?));
        let place = selected
            .and_then(|it| items.iter().position(|item| identity(&detail, *item) == Some(it)));
        // A line that is gone leaves the selection where it was: `replace` clamps it.
        let place = place.unwrap_or(self.items.selected);
        self.items.replace(items, |it| *it, height);
        self.items.select(place, height);
        self.organization = Some(detail);
    }

    /// What was read before stays on the screen, and beside it why it is old.
    fn not_loaded(&mut self, ask: &Ask, why: &str) {
        let shown_still = match ask {
            Ask::Organizations { .. } => troubled(&mut self.organizations, why),
            Ask::Queue { .. } => troubled(&mut self.queue.list, why),
            Ask::Authorizations { .. } => troubled(&mut self.authorizations.list, why),
            Ask::Inbox { .. } => troubled(&mut self.inbox.list, why),
            Ask::Outgoing { .. } => troubled(&mut self.outgoing.list, why),
            Ask::Activity => troubled(&mut self.activity.list, why),
            Ask::System => true,
            Ask::Organization(_) | Ask::Delivery(_) | Ask::Sent(_) => {
                self.place_trouble = Some(why.to_owned());
                false
            }
        };
        if shown_still {
            self.say(Tone::Bad, format!("not read again: {why}"));
        }
    }

    /// Applies the filter of the view one is on to what is loaded.
    pub(super) fn sift(&mut self) {
        let height = self.height();
        let filter = self.filter(self.view()).cloned();
        let filter = filter.as_ref();
        match self.view() {
            View::Queue => sift(&mut self.queue, filter, height),
            View::Authorizations => sift(&mut self.authorizations, filter, height),
            View::Inbox => sift(&mut self.inbox, filter, height),
            View::Outgoing => sift(&mut self.outgoing, filter, height),
            View::Activity => sift(&mut self.activity, filter, height),
            View::Organizations | View::System => {}
        }
    }

    /// Consequences that nobody has seen yet cannot be confirmed.
    pub(super) fn previewed(
        &mut self,
        question: u64,
        result: Result<Outlook, String>,
    ) -> Vec<Command> {
        let next = self.next_ticket();
        let Overlay::Dialog(dialog) = &mut self.overlay else { return Vec::new() };
        if dialog.question != Some(question) {
            return Vec::new();
        }
        dialog.question = None;
        let preview = match result {
            Ok(it) => Preview::Known(it),
            Err(why) => Preview::Failed(why),
        };
        if dialog.preview != preview {
            dialog.learn(preview);
            dialog.ticket = next;
            if dialog.sight == Sight::Seen {
                dialog.sight = Sight::Glimpsed;
            }
        }
        self.preview_if_due().into_iter().collect()
    }

    pub(super) fn acted(&mut self, ticket: u64, result: Result<Done, String>) -> Vec<Command> {
        let is_awaited = self.busy.as_ref().is_some_and(|it| it.ticket == ticket);
        let busy = if is_awaited { self.busy.take() } else { None };
        let at = self.given_up.iter().position(|(it, _)| *it == ticket);
        let what = at.map_or("", |it| self.given_up.swap_remove(it).1);
        match (result, busy) {
            (Ok(done), busy) => self.done(done, busy.as_ref()),
            (Err(why), Some(mut busy)) if matches!(self.overlay, Overlay::None) => {
                busy.dialog.trouble = Some(why);
                busy.dialog.ticket = self.next_ticket();
                busy.dialog.sight = Sight::Unseen;
                // What was known before it was tried may be otherwise now: perhaps that is why.
                if busy.dialog.preview != Preview::Harmless {
                    busy.dialog.preview = Preview::Pending;
                }
                self.overlay = Overlay::Dialog(busy.dialog);
                self.preview().into_iter().collect()
            }
            (Err(why), busy) => {
                let what = busy.map_or(what, |it| it.what);
                self.say(Tone::Bad, format!("{what}: {why}"));
                Vec::new()
            }
        }
    }

    /// What an act came to. The screen changes only if the operator still waits for it, and with
    /// nothing else.
    fn done(&mut self, done: Done, busy: Option<&Busy>) -> Vec<Command> {
        let is_free = busy.is_some() && matches!(self.overlay, Overlay::None);
        let name = busy.map_or_else(String::new, |it| it.dialog.subject_name());
        let mut commands = Vec::new();
        match done {
            Done::Created(id) => {
                self.say(Tone::Good, format!("created {id}"));
                if is_free {
                    commands.extend(self.go(Place::Organization(id)));
                }
            }
            Done::Session(id, link) => {
                self.say(Tone::Good, format!("session for {id} started; its link was copied"));
                commands.push(Command::Copy(link.clone()));
                if is_free {
                    self.overlay = Overlay::Session { id, name, link };
                }
            }
            Done::Standing(id, status) => {
                let name = if name.is_empty() { id.to_string() } else { name };
                self.say(Tone::Good, format!("done: {name} is {}", status.as_str()));
            }
            Done::Loa(status) => self.say(Tone::Good, format!("done: the LOA is {status}")),
            Done::Reread(told) if told.is_empty() => {
                self.say(Tone::Good, "Sumsub says nothing that is not known");
            }
            Done::Reread(told) => self.say(Tone::Good, format!("re-read: {}", told.join("; "))),
            Done::Resent => self.say(Tone::Good, "sent again, under the same message id"),
            Done::Replayed(before, after) => {
                self.say(Tone::Good, format!("replayed: {before} → {after}"));
            }
        }
        commands.extend(self.load_place());
        commands
    }
}

/// A row that a filter looks at.
pub(super) trait Searched {
    /// The texts of the row, each of which may match.
    fn texts(&self) -> Vec<&str>;
    /// What tells the row from the others, also after its content has changed.
    fn identity(&self) -> String;
}

impl Searched for ReviewRow {
    fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.name.as_str(), self.organization.as_str(), self.state.as_str()];
        texts.extend(self.ignored.as_ref().map(|it| it.outcome.as_str()));
        texts.extend(self.ignored.as_ref().and_then(|it| it.level.as_deref()));
        texts
    }
    fn identity(&self) -> String {
        self.organization.to_string()
    }
}

impl Searched for AuthorizationRow {
    fn texts(&self) -> Vec<&str> {
        let loa = &self.authorization;
        vec![
            &self.granting_name,
            &self.authorized_name,
            loa.granting.as_str(),
            loa.authorized.as_str(),
            loa.status.as_str(),
        ]
    }
    fn identity(&self) -> String {
        self.authorization.id.to_string()
    }
}

impl Searched for DeliveryRow {
    fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.outcome.as_str()];
        texts.extend(self.event_type.as_deref());
        texts.extend(self.applicant_id.as_deref());
        texts.extend(self.organization.as_ref().map(OrganizationId::as_str));
        texts
    }
    fn identity(&self) -> String {
        self.id.to_string()
    }
}

impl Searched for OutgoingRow {
    fn texts(&self) -> Vec<&str> {
        vec![
            &self.event_type,
            &self.about_name,
            &self.url,
            &self.message_id,
            self.owner.as_str(),
            self.status.as_str(),
        ]
    }
    fn identity(&self) -> String {
        self.no.to_string()
    }
}

impl Searched for ActivityRow {
    fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.name.as_str(), self.organization.as_str(), &self.event];
        texts.extend(self.actor.as_deref());
        texts.extend(self.reason.as_deref());
        texts
    }
    fn identity(&self) -> String {
        format!("{} {} {}", self.organization, self.event, self.known_at.as_ms())
    }
}

/// Whether there are rows to go on showing; else the list itself says what is wrong.
fn troubled<T>(list: &mut List<T>, why: &str) -> bool {
    if list.rows.is_empty() {
        list.trouble = Some(why.to_owned());
    }
    !list.rows.is_empty()
}

fn put<T: Searched + Clone>(
    into: &mut Sifted<T>,
    rows: Vec<T>,
    limit: u32,
    filter: Option<&Filter>,
    height: usize,
) {
    into.list.goes_on = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    into.loaded = rows;
    sift(into, filter, height);
}

fn sift<T: Searched + Clone>(into: &mut Sifted<T>, filter: Option<&Filter>, height: usize) {
    let mut sieve = filter.map(Filter::sieve);
    let mut rows: Vec<(u32, T)> = Vec::new();
    for row in &into.loaded {
        let score = sieve.as_mut().map_or(Some(0), |it| it.score(&row.texts()));
        rows.extend(score.map(|it| (it, row.clone())));
    }
    // Stable: rows that fit equally well keep their order.
    rows.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    into.list.replace(rows, Searched::identity, height);
}

/// What tells a line of an organization's page from its others, wherever it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Identity<'a> {
    Loa(i64),
    Link(&'a str),
    Session(i64),
    Fact(i64),
    LoaFact(Timestamp, &'a str, Option<&'a OrganizationId>),
    Delivery(i64),
    Outgoing(&'a str, i64),
}

/// What was and is selected may stand elsewhere in its list after something new has come.
fn identity(detail: &OrganizationDetail, item: DetailItem) -> Option<Identity<'_>> {
    Some(match item {
        DetailItem::Loa(at) => Identity::Loa(detail.authorizations.get(at)?.authorization.id),
        DetailItem::Link(at) => Identity::Link(&detail.links.get(at)?.link.id),
        DetailItem::Session(at) => Identity::Session(detail.facts.get(at)?.fact.sequence),
        DetailItem::Fact(at) => Identity::Fact(detail.facts.get(at)?.fact.sequence),
        DetailItem::LoaFact(at) => {
            let it = detail.authorization_activity.get(at)?;
            Identity::LoaFact(it.known_at, &it.event, it.with.as_ref())
        }
        DetailItem::Delivery(at) => Identity::Delivery(detail.deliveries.get(at)?.id),
        DetailItem::Outgoing(at) => {
            let it = detail.outgoing.get(at)?;
            Identity::Outgoing(&it.endpoint_id, it.no)
        }
    })
}

/// The selectable lines of an organization: its LOAs, its links, its sessions, its facts and its
/// LOAs' facts in one timeline, then what Sumsub sent of it and what we did; each newest first.
pub fn detail_items(detail: &OrganizationDetail) -> Vec<DetailItem> {
    let mut timeline: Vec<(Timestamp, DetailItem)> = Vec::new();
    for (at, it) in detail.facts.iter().enumerate() {
        timeline.push((it.fact.known_at, DetailItem::Fact(at)));
    }
    for (at, it) in detail.authorization_activity.iter().enumerate() {
        timeline.push((it.known_at, DetailItem::LoaFact(at)));
    }
    timeline.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut items: Vec<DetailItem> =
        (0..detail.authorizations.len()).map(DetailItem::Loa).collect();
    items.extend((0..detail.links.len()).map(DetailItem::Link));
    let is_session = |it: &RecordedFact| it.fact.event.brings_applicant();
    items.extend(
        (0..)
            .zip(&detail.facts)
            .filter(|(_, it)| is_session(it))
            .map(|(at, _)| DetailItem::Session(at)),
    );
    items.extend(timeline.into_iter().map(|(_, it)| it));
    items.extend((0..detail.deliveries.len()).map(DetailItem::Delivery));
    items.extend((0..detail.outgoing.len()).map(DetailItem::Outgoing));
    items
}

impl<T> Sifted<T> {
    /// The selected row.
    pub fn selected(&self) -> Option<&T> {
        self.list.selected()
    }

    /// The list as drawn.
    pub fn list(&self) -> &List<T> {
        &self.list
    }
}
