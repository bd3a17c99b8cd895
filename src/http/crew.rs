//! Which connections are open, and which threads wait for one.
//!
//! The rule it guards: never more connections than the caps allow, and every admitted connection
//! is either on a thread or in the queue of one that is about to take it. Its lock is taken when
//! a connection opens and closes, never in between.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use super::Service;
use super::client_address::neighbourhood;
use super::connection::{Memory, converse};
use super::limits::Limits;

/// One open connection.
pub(super) struct Line {
    id: u64,
    pub(super) stream: TcpStream,
    pub(super) peer: Option<IpAddr>,
    /// Its peer is no listed proxy, so it may not take the last places.
    is_stranger: bool,
    /// It waits for the first byte of a request, so closing it loses nothing.
    idle: AtomicBool,
}

/// What every thread of a server shares.
pub(super) struct Crew {
    pub(super) limits: Limits,
    pub(super) service: Service,
    stopping: AtomicBool,
    /// Bodies in memory that are large.
    large_bodies: AtomicUsize,
    /// `ledger.lines.len()`, to be read without the lock.
    open: AtomicUsize,
    ledger: Mutex<Ledger>,
    /// A line waits for a thread, or the server stops.
    work: Condvar,
    /// A line closed.
    closed: Condvar,
}

/// One of the large bodies in memory; dropped, there is room for another.
pub(super) struct LargeBody<'a>(&'a AtomicUsize);

impl Drop for LargeBody<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Ledger {
    lines: HashMap<u64, Arc<Line>>,
    per_peer: HashMap<IpAddr, usize>,
    strangers: usize,
    waiting: VecDeque<Arc<Line>>,
    idle_threads: usize,
    next_id: u64,
}

impl Crew {
    pub(super) fn new(limits: Limits, service: Service) -> Self {
        Crew {
            limits,
            service,
            stopping: AtomicBool::new(false),
            large_bodies: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            ledger: Mutex::default(),
            work: Condvar::new(),
            closed: Condvar::new(),
        }
    }

    /// A panic elsewhere does not spoil counters that are each changed in one step.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Room for one more large body, unless the cap is reached.
    pub(super) fn large_body(&self) -> Option<LargeBody<'_>> {
        let counted = LargeBody(&self.large_bodies);
        let before = self.large_bodies.fetch_add(1, Ordering::SeqCst);
        (before < self.limits.large_bodies_max).then_some(counted)
    }

    /// How long a connection may now wait for a request.
    pub(super) fn idle_deadline(&self) -> Duration {
        let is_crowded = self.open().saturating_mul(4) > self.limits.connections_max * 3;
        let limits = &self.limits;
        Duration::from_millis(if is_crowded {
            limits.idle_crowded_ms.min(limits.idle_ms)
        } else {
            limits.idle_ms
        })
    }

    /// Hands the connection to a thread, or gives it back when the caps or the system have no
    /// room for it.
    pub(super) fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: Option<IpAddr>,
    ) -> Result<(), Arc<Line>> {
        let mut ledger = self.ledger();
        let id = ledger.next_id;
        ledger.next_id += 1;
        let trusted = self.limits.trusted_proxies.get();
        let is_stranger = !peer.is_some_and(|it| trusted.lists(it));
        let line = Arc::new(Line { id, stream, peer, is_stranger, idle: AtomicBool::new(false) });
        if ledger.lines.len() >= self.limits.connections_max
            || (is_stranger && ledger.strangers >= self.limits.strangers_max(&trusted))
        {
            return Err(line);
        }
        if let Some(peer) = peer.map(neighbourhood) {
            let count = ledger.per_peer.entry(peer).or_default();
            if *count >= self.limits.connections_per_peer_max {
                return Err(line);
            }
            *count += 1;
        }
        ledger.strangers += usize::from(is_stranger);
        ledger.lines.insert(id, Arc::clone(&line));
        self.open.store(ledger.lines.len(), Ordering::Relaxed);
        ledger.waiting.push_back(Arc::clone(&line));
        let is_short_of_threads = ledger.waiting.len() > ledger.idle_threads;
        drop(ledger);
        if !is_short_of_threads {
            self.work.notify_one();
        } else if let Err(error) = self.hire() {
            tracing::warn!(%error, "no thread for a connection");
            return self.take_back(line);
        }
        Ok(())
    }

    fn hire(self: &Arc<Self>) -> io::Result<()> {
        let crew = Arc::clone(self);
        thread::Builder::new()
            .name("http".to_owned())
            .stack_size(self.limits.stack_bytes)
            .spawn(move || crew.work())
            .map(drop)
    }

    /// Undoes an admission, unless a thread took the line in the meantime.
    fn take_back(&self, line: Arc<Line>) -> Result<(), Arc<Line>> {
        let mut ledger = self.ledger();
        let Some(index) = ledger.waiting.iter().position(|it| it.id == line.id) else {
            return Ok(());
        };
        drop(ledger.waiting.remove(index));
        drop(ledger);
        self.strike(&line);
        Err(line)
    }

    /// A thread's life: one connection after another, with the same memory.
    fn work(&self) {
        let mut memory = Memory::new();
        while let Some(line) = self.next_line() {
            let entry = Entry { crew: self, line };
            converse(self, &entry.line, &mut memory);
        }
    }

    /// The next connection for this thread; `None` when none came for a while.
    fn next_line(&self) -> Option<Arc<Line>> {
        let mut ledger = self.ledger();
        if let Some(line) = ledger.waiting.pop_front() {
            return Some(line);
        }
        ledger.idle_threads += 1;
        let patience = Duration::from_millis(self.limits.thread_idle_ms);
        let (mut ledger, _) = self
            .work
            .wait_timeout_while(ledger, patience, |ledger| {
                ledger.waiting.is_empty() && !self.is_stopping()
            })
            .unwrap_or_else(PoisonError::into_inner);
        ledger.idle_threads -= 1;
        ledger.waiting.pop_front()
    }

    /// Forgets a connection.
    fn strike(&self, line: &Line) {
        let mut ledger = self.ledger();
        if ledger.lines.remove(&line.id).is_none() {
            return;
        }
        ledger.strangers = ledger.strangers.saturating_sub(usize::from(line.is_stranger));
        if let Some(peer) = line.peer.map(neighbourhood) {
            let count = ledger.per_peer.get(&peer).copied().unwrap_or_default();
            if count > 1 {
                ledger.per_peer.insert(peer, count - 1);
            } else {
                ledger.per_peer.remove(&peer);
            }
        }
        self.open.store(ledger.lines.len(), Ordering::Relaxed);
        drop(ledger);
        // Only a stop waits for this, and waking nobody is a call to the kernel all the same. A
        // stop that begins after this look finds the line gone.
        if self.is_stopping() {
            self.closed.notify_all();
        }
    }

    /// From now on every response closes its connection.
    pub(super) fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Closes idle connections, gives the others `grace` to finish, closes what is left.
    pub(super) fn drain(&self, grace: Duration) {
        let ledger = self.ledger();
        self.work.notify_all();
        for line in ledger.lines.values().filter(|line| line.idle.load(Ordering::SeqCst)) {
            // Only the reading half: a request that is already in the kernel is still answered.
            line.shutdown(Shutdown::Read);
        }
        let (ledger, _) = self
            .closed
            .wait_timeout_while(ledger, grace, |ledger| !ledger.lines.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        for line in ledger.lines.values() {
            line.shutdown(Shutdown::Both);
        }
    }
}

impl Line {
    /// Announces that the connection waits for a request, and answers whether it may.
    ///
    /// Announced first, looked at second, both sequentially consistent: a stop that began between
    /// the two sees the announcement, one that began before is seen here.
    pub(super) fn begin_idling(&self, crew: &Crew) -> bool {
        self.idle.store(true, Ordering::SeqCst);
        !crew.is_stopping()
    }

    pub(super) fn end_idling(&self) {
        self.idle.store(false, Ordering::SeqCst);
    }

    fn shutdown(&self, how: Shutdown) {
        // The peer may have gone first; then there is nothing to close.
        if let Err(error) = self.stream.shutdown(how) {
            tracing::trace!(%error, "connection was closed already");
        }
    }
}

/// Keeps a connection in the ledger while its thread lives, even if that thread panics.
struct Entry<'crew> {
    crew: &'crew Crew,
    line: Arc<Line>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.crew.strike(&self.line);
    }
}
