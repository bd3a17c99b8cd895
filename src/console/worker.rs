//! Carries commands out, beside the drawing: the only part of the console that calls use-cases.
//!
//! ```text
//!   read    pages, one organization, one delivery      a few milliseconds
//!   slow    searches and counts over every row         ends when a newer search is wanted
//!   preview what a dialog's act would take away, and
//!           what a decision rests on
//!   act     what changes something                     may wait for Sumsub; a thread for each
//!   probe   whether Sumsub answers
//!   watch   whether somebody has written, and how the  looks four times a second
//!           clock stands
//! ```
//! Each lane is a thread of its own, so that a dead provider delays no page, a search delays no act and
//! a list no dialog; nor does an act that hangs and is no longer waited for delay the next. A panic in a lane
//! becomes an answer; the console lives on.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::thread;
use std::time::Duration;

use crate::console::dialog::{About, Act, Basis, Outlook, Parties, decision as decision_of};
use crate::console::filter::Filter;
use crate::console::keys::Action;
use crate::console::state::{Answer, Ask, Command, Done, Message, PAGE, Sent};
use crate::domain::authorization::Acting;
use crate::domain::organization::OrganizationId;
use crate::domain::timekeeper::ClockStanding;
use crate::store::{Cause, DeliveryName, OrganizationRow, ServingLock, StoreError};
use crate::usecase::authenticate::Admission;
use crate::usecase::authorizations::{
    By, request_authorization, revoke_authorization, sign_authorization,
};
use crate::usecase::create_organization::create_organization;
use crate::usecase::decide::{Decision, Ground, decide, shown};
use crate::usecase::import_verification::import_verification;
use crate::usecase::observe::{
    Anchor, Consequences, Listing, OrganizationPage, Search, consequences_of_hold,
    consequences_of_replay, consequences_of_reread, consequences_of_revocation, delivery,
    organization, organizations, probe_provider, reread,
};
use crate::usecase::outgoing_deliveries::{resend_delivery, show_delivery};
use crate::usecase::receive_webhook::{rehearse_replay, replay_delivery};
use crate::usecase::start_session::start_session;
use crate::usecase::{Appliance, Failure};

/// How often the watch looks; what the server writes is on the screen well within a second.
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// Facts of the activity view.
const ACTIVITY_ROWS: u32 = 500;
/// The most rows that a fuzzy search answers.
const FUZZY_ROWS_MAX: usize = 500;
/// Why an operator started or imported here.
const REASON: &str = "at the console";

/// The lanes.
pub struct Worker {
    read: Sender<Command>,
    slow: Sender<Command>,
    preview: Sender<Command>,
    probe: Sender<Command>,
    acting: Lane,
    wanted: Arc<AtomicU64>,
    /// Dropped with the worker, which ends the watch.
    _watch: Sender<()>,
}

/// What every lane has.
#[derive(Clone)]
struct Lane {
    appliance: Arc<Appliance>,
    actor: String,
    answers: SyncSender<Message>,
    wanted: Arc<AtomicU64>,
}

impl Worker {
    /// Starts the lanes; answers go to `answers`.
    pub fn start(
        appliance: &Arc<Appliance>,
        actor: &str,
        answers: &SyncSender<Message>,
    ) -> io::Result<Self> {
        let wanted = Arc::new(AtomicU64::new(0));
        let lane = Lane {
            appliance: Arc::clone(appliance),
            actor: actor.to_owned(),
            answers: answers.clone(),
            wanted: Arc::clone(&wanted),
        };
        let start = |name: &str| {
            let (sender, commands) = channel();
            let lane = lane.clone();
            thread::Builder::new()
                .name(format!("console-{name}"))
                .spawn(move || lane.run(&commands))
                .map(|_detached| sender)
        };
        let (watch, stop) = channel();
        let (read, slow) = (start("read")?, start("slow")?);
        let (preview, probe) = (start("preview")?, start("probe")?);
        let (acting, watching) = (lane.clone(), lane);
        thread::Builder::new()
            .name("console-watch".to_owned())
            .spawn(move || watching.watch(&stop))?;
        Ok(Self { read, slow, preview, probe, acting, wanted, _watch: watch })
    }

    /// Hands a command to its lane. [`Command::Copy`] and [`Command::Quit`] are not for a lane.
    pub fn send(&self, command: Command) {
        let lane = match &command {
            Command::Load(ticket, Ask::Organizations { listing, filter, .. }) => {
                self.wanted.store(*ticket, Ordering::Release);
                let is_search = filter.is_some() || !listing.is_indexed();
                if is_search { &self.slow } else { &self.read }
            }
            Command::Load(_, Ask::System) => &self.slow,
            // It asks Sumsub, which may hang.
            Command::Preview(_, Action::Reread, _) => return self.act(command),
            Command::Preview(..) => &self.preview,
            Command::Load(..) => &self.read,
            Command::Act(..) | Command::Rehearse(_) => return self.act(command),
            Command::Probe => &self.probe,
            Command::Copy(_) | Command::Quit => return,
        };
        // A lane ends only with the console.
        drop(lane.send(command));
    }

    /// Acts are few: the state sends the next one only when the last is answered or given up.
    fn act(&self, command: Command) {
        let (lane, ticket) = (self.acting.clone(), ticket_of(&command));
        let work = move || {
            if let Some(message) = lane.carry_out(command) {
                drop(lane.answers.send(message));
            }
        };
        let spawned = thread::Builder::new().name("console-act".to_owned()).spawn(work);
        if let (Err(error), Some(ticket)) = (spawned, ticket) {
            let answer = Message::Acted(ticket, Err(format!("the system gave no thread: {error}")));
            // Full only if the drawing stands still; then it is told when the operator asks again.
            drop(self.acting.answers.try_send(answer));
        }
    }
}

fn ticket_of(command: &Command) -> Option<u64> {
    match command {
        Command::Act(ticket, _) => Some(*ticket),
        _ => None,
    }
}

impl Lane {
    fn run(&self, commands: &Receiver<Command>) {
        for command in commands {
            let message = self.carry_out(command);
            if let Some(message) = message
                && self.answers.send(message).is_err()
            {
                return;
            }
        }
    }

    fn carry_out(&self, command: Command) -> Option<Message> {
        Some(match command {
            Command::Load(ticket, ask) => {
                let answer = guarded(|| self.read(ticket, &ask));
                Message::Loaded(ticket, ask, Box::new(answer))
            }
            Command::Act(ticket, act) => Message::Acted(ticket, guarded(|| self.act(act))),
            Command::Preview(ticket, action, about) => {
                Message::Previewed(ticket, guarded(|| self.outlook(action, &about)))
            }
            Command::Rehearse(id) => Message::Rehearsed(id, guarded(|| self.rehearse(id))),
            Command::Probe => Message::Probed(guarded(|| probe_provider(&self.appliance))),
            Command::Copy(_) | Command::Quit => return None,
        })
    }

    fn read(&self, ticket: u64, ask: &Ask) -> Result<Answer, Failure> {
        let store = &self.appliance.store;
        let now = (self.appliance.clock)();
        Ok(match ask {
            Ask::Organizations { listing, filter, anchor, limit, .. } => {
                let page = match filter {
                    None if listing.is_indexed() => {
                        organizations(&self.appliance, *listing, anchor, *limit, None)?
                    }
                    filter => self.search(ticket, *listing, filter.as_ref(), (anchor, *limit))?,
                };
                Answer::Organizations(page)
            }
            Ask::Queue { limit } => {
                Answer::Queue(store.read(|it| it.reviews((i64::MIN, ""), *limit))?)
            }
            Ask::Authorizations { shown, limit } => Answer::Authorizations(
                store.read(|it| it.authorization_rows(shown.at(now), i64::MAX, *limit))?,
            ),
            Ask::Inbox { limit } => {
                Answer::Inbox(store.read(|it| it.delivery_rows(i64::MAX, *limit))?)
            }
            Ask::Outgoing { limit } => {
                Answer::Outgoing(store.read(|it| it.outgoing_rows(i64::MAX, *limit))?)
            }
            Ask::Activity => Answer::Activity(store.read(|it| it.activity(ACTIVITY_ROWS))?),
            Ask::System => Answer::System(store.overview(now)?),
            Ask::Organization(id) => {
                Answer::Organization(Box::new(organization(&self.appliance, id)?))
            }
            Ask::Delivery(id) => Answer::Delivery(delivery(&self.appliance, *id)?.map(Box::new)),
            Ask::Sent(Sent { owner, endpoint, no }) => Answer::Sent(Box::new(show_delivery(
                &self.appliance,
                owner,
                endpoint,
                &DeliveryName::Number(*no),
            )?)),
        })
    }

    fn search(
        &self,
        ticket: u64,
        listing: Listing,
        filter: Option<&Filter>,
        (anchor, limit): (&Anchor, u32),
    ) -> Result<Option<OrganizationPage>, Failure> {
        let mut sieve = filter.map(Filter::sieve);
        let is_fuzzy = matches!(filter, Some(Filter::Fuzzy(_)));
        let mut best: Vec<(u32, OrganizationRow)> = Vec::new();
        let mut keeps = |row: &OrganizationRow| {
            let texts = [row.name.as_str(), row.id.as_str()];
            let score = sieve.as_mut().map_or(Some(0), |it| it.score(&texts));
            match score {
                Some(score) if is_fuzzy => {
                    remember(&mut best, score, row);
                    false
                }
                it => it.is_some(),
            }
        };
        let mut is_wanted = |seen: u64| {
            // Progress that finds the queue full is not missed: the next comes soon.
            drop(self.answers.try_send(Message::Searched(ticket, seen)));
            self.wanted.load(Ordering::Acquire) == ticket
        };
        if !is_wanted(0) {
            return Ok(None);
        }
        let search = Search { keeps: &mut keeps, is_wanted: &mut is_wanted };
        let limit = if is_fuzzy { PAGE } else { limit };
        let page = organizations(&self.appliance, listing, anchor, limit, Some(search))?;
        if !is_fuzzy {
            return Ok(page);
        }
        keep_best(&mut best);
        let rows = best.into_iter().map(|(_, row)| row).collect();
        Ok(page.map(|_| OrganizationPage { rows, goes_on: false }))
    }

    fn act(&self, act: Act) -> Result<Done, Failure> {
        let appliance = &self.appliance;
        let by = || By { actor: self.actor.clone(), request_id: None };
        let cause = || Cause::Operator { actor: self.actor.clone(), reason: REASON.to_owned() };
        let acting = |id: &OrganizationId| Acting::for_itself(id.clone());
        Ok(match act {
            Act::Create(new) => {
                Done::Created(create_organization(appliance, new, &self.actor, None)?.id)
            }
            Act::Start(id) => {
                let by = (cause(), Admission::of_operator());
                let session = start_session(appliance, &acting(&id), by, None)?;
                Done::Session(id, session.url)
            }
            Act::Import(id, token) => {
                let standing = import_verification(appliance, &acting(&id), &token, cause())?;
                Done::Standing(id, standing.status)
            }
            Act::Decide(id, decision, ground, reason) => {
                self.decide(id, decision, ground, &reason)?
            }
            Act::Sign(Parties { granting, authorized }, signature) => Done::Loa(
                sign_authorization(appliance, &granting, &authorized, &signature, by())?
                    .status
                    .as_str(),
            ),
            Act::Revoke(Parties { granting, authorized }, reason) => {
                let reason = reason.as_deref();
                Done::Loa(
                    revoke_authorization(appliance, &granting, &authorized, reason, by())?
                        .status
                        .as_str(),
                )
            }
            Act::Request(Parties { granting, authorized }) => Done::Loa(
                request_authorization(appliance, &granting, &authorized, by())?.status.as_str(),
            ),
            Act::Reread(id) => Done::Reread(reread(appliance, &id)?),
            Act::Resend(Sent { owner, endpoint, no }) => {
                resend_delivery(appliance, &owner, &endpoint, &DeliveryName::Number(no))?;
                Done::Resent
            }
            Act::Replay(id) => match replay_delivery(appliance, id)? {
                Some((before, after)) => Done::Replayed(before.as_str(), after.as_str()),
                None => return Err(Failure::Invalid(format!("there is no delivery {id}"))),
            },
        })
    }

    /// Decides on what the dialog has shown, and on nothing newer.
    fn decide(
        &self,
        id: OrganizationId,
        decision: Decision,
        ground: Ground,
        reason: &str,
    ) -> Result<Done, Failure> {
        match decide(&self.appliance, &id, decision, ground, (&self.actor, reason)) {
            Ok(standing) => Ok(Done::Standing(id, standing.status)),
            Err(Failure::Overtaken { .. }) => {
                let newest = Basis::of(shown(&self.appliance, &id)?).newest_in_words();
                let what = format!(
                    "Something happened meanwhile: {newest}. Nothing was changed; look again"
                );
                Err(Failure::Invalid(what))
            }
            Err(other) => Err(other),
        }
    }

    fn outlook(&self, action: Action, about: &About) -> Result<Outlook, Failure> {
        // The basis is read first: what is committed between the two then refuses the decision.
        let basis = match about {
            About::Organization(id, _) if decision_of(action).is_some() => {
                Some(Basis::of(shown(&self.appliance, id)?))
            }
            _ => None,
        };
        Ok(Outlook { takes_away: self.consequences(action, about)?, basis })
    }

    fn consequences(&self, action: Action, about: &About) -> Result<Consequences, Failure> {
        match (action, about) {
            (Action::Reread, About::Organization(id, _)) => {
                consequences_of_reread(&self.appliance, id)
            }
            (_, About::Organization(id, _)) => consequences_of_hold(&self.appliance, id),
            (_, About::Loa(of, _)) => {
                consequences_of_revocation(&self.appliance, &of.granting, &of.authorized)
            }
            (Action::Replay, About::Delivery(id)) => consequences_of_replay(&self.appliance, *id),
            (_, About::Nothing | About::Delivery(_) | About::Outgoing(_)) => {
                Ok(Consequences::default())
            }
        }
    }

    fn rehearse(&self, id: i64) -> Result<String, Failure> {
        let told = rehearse_replay(&self.appliance, id)?;
        Ok(match told {
            None => format!("there is no delivery {id}"),
            Some((before, after, standing)) => {
                let so = standing.map_or_else(
                    || "no organization is concerned".to_owned(),
                    |(_, it)| format!("the verification would be {}", it.status.as_str()),
                );
                let (before, after) = (before.as_str(), after.as_str());
                format!("dry run: {before} → {after}; {so}; nothing was kept")
            }
        })
    }

    /// Takes over what a server beside this console has measured since: it may have been started later,
    /// or the clock was set meanwhile.
    fn learn_the_time(&self) {
        let Appliance { store, timekeeper, .. } = &*self.appliance;
        if timekeeper.measured().is_some() || !ServingLock::is_held(store.path()) {
            return;
        }
        // A register that cannot be read is reported by the watch itself.
        drop(store.read(|register| {
            if let Some(measured) = register.measured_clock()? {
                timekeeper.adopt(measured);
            }
            Ok::<_, StoreError>(())
        }));
    }

    /// Looks until the worker is gone. What is wrong with the register is told once, and once more
    /// when it is well again.
    fn watch(&self, stop: &Receiver<()>) {
        let mut watch = None;
        let mut told: Option<String> = None;
        let mut clock = None;
        loop {
            let looked = match &mut watch {
                Some(it) => crate::store::CommitWatch::has_changed(it),
                None => self.appliance.store.watch_commits().map(|it| {
                    watch = Some(it);
                    false
                }),
            };
            let message = news(looked, &mut told);
            if matches!(message, Some(Message::Changed)) {
                self.learn_the_time();
            }
            let standing = self.appliance.timekeeper.standing();
            let is_news = clock.replace(in_seconds(standing)) != Some(in_seconds(standing));
            let mut messages =
                message.into_iter().chain(is_news.then_some(Message::Clock(standing)));
            if messages.any(|it| self.answers.send(it).is_err()) {
                return;
            }
            match stop.recv_timeout(WATCH_EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Without the milliseconds, which change at every look.
fn in_seconds(standing: ClockStanding) -> ClockStanding {
    match standing {
        ClockStanding::Behind { by_ms } => ClockStanding::Behind { by_ms: by_ms / 1_000 },
        ClockStanding::Known { .. } | ClockStanding::Unknown => standing,
    }
}

fn remember(best: &mut Vec<(u32, OrganizationRow)>, score: u32, row: &OrganizationRow) {
    best.push((score, row.clone()));
    if best.len() >= FUZZY_ROWS_MAX.saturating_mul(4) {
        keep_best(best);
    }
}

fn keep_best(rows: &mut Vec<(u32, OrganizationRow)>) {
    rows.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    rows.truncate(FUZZY_ROWS_MAX);
}

/// What a look at the register has to tell, given what was told before.
fn news(looked: Result<bool, StoreError>, told: &mut Option<String>) -> Option<Message> {
    match looked {
        Ok(is_changed) => match told.take() {
            Some(_) => Some(Message::Register(None)),
            None => is_changed.then_some(Message::Changed),
        },
        Err(error) => {
            let text = Some(match &error {
                StoreError::Missing(path) => format!(
                    "the register is gone from {}, or another file stands there: put it back, or \
                     leave (q) and start again; what you see is old, and nothing is written",
                    path.display()
                ),
                _ => sentence(&Failure::from(error)),
            });
            let is_news = *told != text;
            told.clone_from(&text);
            is_news.then_some(Message::Register(text))
        }
    }
}

/// Runs a piece of work; whatever goes wrong in it becomes a sentence.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|it| sentence(&it)),
        Err(_panic) => Err("this failed inside the program; the register is as it was".to_owned()),
    }
}

/// What happened and what to do, in one line.
fn sentence(failure: &Failure) -> String {
    let advice = match failure {
        Failure::Provider(_) => "check the network and the account (7 shows how Sumsub answers)",
        Failure::Busy => "try again in a moment",
        Failure::ShareTokenInvalid(_) => "have the partner generate a fresh one",
        Failure::VerificationRejected => "reopen it first (O)",
        Failure::ClockBehind { .. } => {
            "set the clock, or wait until Sumsub has answered (7 shows it)"
        }
        Failure::Store(_) => "check the file, its directory and the disk; r reads again",
        _ => "",
    };
    let separator = if advice.is_empty() { "" } else { ": " };
    match failure {
        // Its words name Sumsub themselves.
        Failure::Provider(error) => format!("{error}{separator}{advice}"),
        _ => format!("{failure}{separator}{advice}"),
    }
}
