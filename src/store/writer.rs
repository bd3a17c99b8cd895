//! The one writer of a process: a thread that owns the only writing connection.
//!
//! Every waiting write goes into one transaction, each in its own savepoint, and one commit puts
//! them all on disk; only then are they answered. It never lingers: under light load a write costs
//! one sync of the disk, under load many share one. The queue is bounded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::domain::timestamp::Timestamp;
use crate::store::changes::Changes;
use crate::store::disk::{self, Doubt, Standing, Trouble};
use crate::store::{Reader, StoreError, Touched, Tx, waited_for_another_process};

/// How many writes may wait; more are told to come back.
const QUEUE_MAX: usize = 1024;
/// How many writes share one commit at the most: bounds what one failed sync takes back.
const BATCH_MAX: usize = 256;
/// How often commits of other processes are looked for. One look costs a microsecond.
const OTHER_PROCESSES_EVERY: Duration = Duration::from_millis(100);
/// How long the queue must be empty before the writer folds the log back into the file.
const IDLE_BEFORE_CHECKPOINT: Duration = Duration::from_secs(1);
/// How long one batch may take before the register counts as taking no writes.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// How long the writer's own work may take when the register is closed.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

/// A write; given an error instead of a connection, it does not run and answers that error.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Ran + Send>;

/// What everybody may know of the writer.
#[derive(Debug, Default)]
struct Seen {
    commits: AtomicU64,
    writes: AtomicU64,
    disk: Standing,
    /// What it has been at since then, in milliseconds of its own life plus one; 0: it waits for work.
    at_work_since_ms: AtomicU64,
    /// How long the last fold of the log may wait for other processes, in milliseconds.
    patience_ms: AtomicU64,
}

/// What became of the log when the register was closed.
#[derive(Clone, Debug)]
pub enum Folded {
    /// The register's file alone is the register.
    Whole,
    /// The log still belongs to the register: somebody else reads from it, or it could not be folded.
    Not(Option<StoreError>),
    /// The writer has not ended: a disk hangs.
    Unknown,
}

/// What a writer has done since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterTally {
    /// Commits.
    pub commits: u64,
    /// Writes in them.
    pub writes: u64,
}

/// A write that has run, and waits to learn whether its commit succeeded.
struct Ran {
    keep: bool,
    /// Whose waiters are woken after the commit.
    touched: Touched,
    answer: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

#[derive(Debug)]
pub(super) struct Writer {
    seen: Arc<Seen>,
    born: Instant,
    queue: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Says what became of the log, at the very end.
    ended: Mutex<Receiver<Folded>>,
}

/// The way to the writer; it ends once every one of these is dropped and every write in it is done.
#[derive(Debug)]
pub(super) struct Queue {
    _held_open: SyncSender<Job>,
}

impl Writer {
    pub(super) fn start(connection: Connection, changes: Arc<Changes>) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let (end, ended) = sync_channel(1);
        let (seen, born) = (Arc::new(Seen::default()), disk::monotonic_now());
        let known = Arc::clone(&seen);
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let folded = write_batches(connection, &jobs, &changes, (&known, born));
                drop(end.send(folded));
            })
            .map_err(|_spawn| StoreError::Closed)?;
        Ok(Self {
            seen,
            born,
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
            ended: Mutex::new(ended),
        })
    }

    /// Takes no further write; those that wait are still done. `None`: somebody has stopped it before.
    pub(super) fn stop_taking(&self) -> Option<Queue> {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .map(|it| Queue { _held_open: it })
    }

    /// Ends after the writes that wait, folds the log, and waits for both as long as a disk may take.
    pub(super) fn end(&self, queue: Queue, patience: Duration) -> Folded {
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.seen.patience_ms.store(patience_ms, Ordering::Relaxed);
        drop(queue);
        // `SQLite` waits for a writer, for readers of the old and for readers of the log, each as long.
        let at_most = patience.saturating_mul(3).saturating_add(DISK_PATIENCE);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let folded = ended.recv_timeout(at_most).unwrap_or(Folded::Unknown);
        if matches!(folded, Folded::Unknown) {
            // Dropping the writer would wait for it.
            drop(self.thread.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
        folded
    }

    /// What is wrong with its disk. Whatever takes longer than [`STUCK_AFTER`] hangs, or waits for another
    /// process that holds the register.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let since_ms = self.seen.at_work_since_ms.load(Ordering::Relaxed);
        let is_stuck = since_ms > 0
            && age_ms(self.born).saturating_sub(since_ms)
                > u64::try_from(STUCK_AFTER.as_millis()).unwrap_or(u64::MAX);
        self.seen.disk.trouble().or(is_stuck.then_some(Trouble::Failing))
    }

    pub(super) fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move |connection| {
            let (ran, touched) = match connection {
                Ok(it) => {
                    let tx = Tx::new(it);
                    let ran = catch_unwind(AssertUnwindSafe(|| work(&tx)))
                        .unwrap_or_else(|_panic| Err(E::from(StoreError::Panicked)));
                    (ran, tx.touched.into_inner())
                }
                Err(error) => (Err(E::from(error)), Touched::default()),
            };
            Ran {
                keep: ran.is_ok(),
                touched,
                answer: Box::new(move |committed| {
                    let result = match (ran, committed) {
                        (Ok(_), Err(error)) => Err(E::from(error)),
                        (ran, _) => ran,
                    };
                    // The caller may be gone; its write is committed all the same.
                    drop(answer.send(result));
                }),
            }
        });
        self.enqueue(job).map_err(E::from)?;
        answered.recv().unwrap_or_else(|_gone| Err(E::from(StoreError::Closed)))
    }

    /// Queues a write that nobody waits for: a note that may be lost, but must not slow its cause.
    pub(super) fn run_later<F>(&self, work: F)
    where
        F: FnOnce(&Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        let job: Job = Box::new(move |connection| {
            let ran = connection.and_then(|it| {
                catch_unwind(AssertUnwindSafe(|| work(&Tx::new(it))))
                    .unwrap_or(Err(StoreError::Panicked))
            });
            Ran {
                keep: ran.is_ok(),
                touched: Touched::default(),
                answer: Box::new(move |committed| ran.and(committed).unwrap_or_else(not_kept)),
            }
        });
        self.enqueue(job).unwrap_or_else(not_kept);
    }

    pub(super) fn tally(&self) -> WriterTally {
        WriterTally {
            commits: self.seen.commits.load(Ordering::Relaxed),
            writes: self.seen.writes.load(Ordering::Relaxed),
        }
    }

    fn enqueue(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.lock().map_err(|_poison| StoreError::Closed)?.clone();
        match queue.ok_or(StoreError::Closed)?.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(StoreError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Closed),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the end of the error's way")]
fn not_kept(error: StoreError) {
    tracing::warn!(%error, "a note was not kept");
}

/// Waits until everything that was queued is on disk.
impl Drop for Writer {
    fn drop(&mut self) {
        if let Ok(mut queue) = self.queue.lock() {
            drop(queue.take());
        }
        if let Some(thread) = self.thread.lock().ok().and_then(|mut it| it.take()) {
            drop(thread.join());
        }
    }
}

fn write_batches(
    mut connection: Connection,
    jobs: &Receiver<Job>,
    changes: &Changes,
    (seen, born): (&Seen, Instant),
) -> Folded {
    let mut is_dirty = false;
    let mut doubt = Doubt::new(&seen.disk);
    let mut others = OtherProcesses { seen: data_version(&connection) };
    let mut idle = Duration::ZERO;
    loop {
        seen.at_work_since_ms.store(0, Ordering::Relaxed);
        let received = jobs.recv_timeout(OTHER_PROCESSES_EVERY);
        seen.at_work_since_ms.store(age_ms(born), Ordering::Relaxed);
        match received {
            Ok(first) => {
                idle = Duration::ZERO;
                let batch = std::iter::once(first).chain(jobs.try_iter().take(BATCH_MAX - 1));
                let count = write_batch(&connection, batch, changes, &mut doubt);
                seen.writes.fetch_add(count, Ordering::Relaxed);
                seen.commits.fetch_add(1, Ordering::Relaxed);
                is_dirty = true;
            }
            Err(RecvTimeoutError::Timeout) if idle < IDLE_BEFORE_CHECKPOINT => {
                idle = idle.saturating_add(OTHER_PROCESSES_EVERY);
            }
            Err(RecvTimeoutError::Timeout) => {
                idle = Duration::ZERO;
                doubt.lay_ghost(&connection);
                if is_dirty {
                    checkpoint(&mut connection);
                    is_dirty = false;
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                doubt.lay_ghost(&connection);
                let patience_ms = seen.patience_ms.load(Ordering::Relaxed);
                return fold(connection, Duration::from_millis(patience_ms));
            }
        }
        is_dirty |= doubt.try_again(&mut connection);
        others.look(&connection, changes);
    }
}

/// Never 0.
fn age_ms(born: Instant) -> u64 {
    let age = disk::monotonic_now().saturating_duration_since(born);
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Commits of other processes. On the writer's own connection, `SQLite`'s `data_version` changes for
/// them alone: whom a commit of ours concerns is known, and nobody else is woken by it.
struct OtherProcesses {
    seen: Option<i64>,
}

impl OtherProcesses {
    fn look(&mut self, connection: &Connection, changes: &Changes) {
        let now = data_version(connection);
        if std::mem::replace(&mut self.seen, now) != now {
            let newest = Reader { connection }.newest_known();
            changes.raise_known(newest.map_or(0, Timestamp::as_ms));
            changes.wake_all();
        }
    }
}

/// `None`: the register cannot be read at the moment.
fn data_version(connection: &Connection) -> Option<i64> {
    let mut statement = connection.prepare_cached("PRAGMA data_version").ok()?;
    statement.query_row([], |row| row.get(0)).ok()
}

/// Readers of this or another process may hold the log back; then the next turn folds it.
/// It does not wait for them: writes would wait with it.
fn checkpoint(connection: &mut Connection) {
    let folded = connection.busy_timeout(Duration::ZERO).and_then(|()| {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
    });
    let waiting = connection.busy_handler(Some(waited_for_another_process));
    if let Err(error) = folded.and(waiting) {
        tracing::warn!(%error, "the write-ahead log was not folded into the register");
    }
}

/// The last fold: waits for whoever still reads, but not for ever.
fn fold(connection: Connection, patience: Duration) -> Folded {
    let is_busy = connection.busy_timeout(patience).and_then(|()| {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
    });
    // The last one to close it removes the log.
    let closed = connection.close().map_err(|(_, error)| error);
    match is_busy.and_then(|is_busy| closed.map(|()| is_busy)) {
        Ok(false) => Folded::Whole,
        Ok(true) => Folded::Not(None),
        Err(error) => Folded::Not(Some(error.into())),
    }
}

/// Runs and commits a batch; answers how many writes were in it.
fn write_batch(
    connection: &Connection,
    jobs: impl Iterator<Item = Job>,
    changes: &Changes,
    doubt: &mut Doubt<'_>,
) -> u64 {
    drop(disk::noted());
    let mut lost = connection.execute_batch("BEGIN IMMEDIATE").err().map(StoreError::from);
    let has_begun = lost.is_none();
    let mut ran = Vec::new();
    for job in jobs {
        // SQLite ends the whole transaction by itself on a full or failing disk. From then on
        // nothing may run: it would run outside of any transaction.
        if lost.is_none() && connection.is_autocommit() {
            lost = Some(StoreError::RolledBack);
        }
        ran.push(match &lost {
            Some(error) => job(Err(error.clone())),
            None => run_in_savepoint(connection, job, &mut lost),
        });
    }
    let committed = match lost {
        Some(error) => Err(error),
        None => connection.execute_batch("COMMIT").map_err(StoreError::from),
    };
    if committed.is_err() && !connection.is_autocommit() {
        drop(connection.execute_batch("ROLLBACK"));
    }
    if committed.is_ok() {
        doubt.end_of_hold();
    }
    if let Some((trouble, error)) = disk::noted() {
        doubt.begin(trouble, &error);
        if has_begun {
            doubt.fear_ghost();
        }
    }
    // Before the failure is answered: what was refused must not come back.
    doubt.lay_ghost(connection);
    let writes = u64::try_from(ran.len()).unwrap_or(u64::MAX);
    for it in ran {
        if it.keep && committed.is_ok() {
            // Before anybody acts upon it.
            changes.raise_known(it.touched.known_at_ms);
            it.touched.organizations.iter().for_each(|of| changes.wake(of));
            it.touched.everybody.then(|| changes.wake_all());
        }
        (it.answer)(committed.clone());
    }
    writes
}

fn run_in_savepoint(connection: &Connection, job: Job, lost: &mut Option<StoreError>) -> Ran {
    if let Err(error) = connection.execute_batch("SAVEPOINT job") {
        let error = lost.insert(StoreError::from(error));
        return job(Err(error.clone()));
    }
    let ran = job(Ok(connection));
    let ended = connection.execute_batch(if ran.keep {
        "RELEASE job"
    } else {
        "ROLLBACK TO job; RELEASE job"
    });
    if let Err(error) = ended {
        *lost = Some(StoreError::from(error));
    }
    ran
}
