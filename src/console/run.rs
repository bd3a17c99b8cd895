//! The terminal, on and off, and the loop: messages in, drawing, commands out.
//!
//! Nothing here waits but for the next message. Input is read on a thread of its own into the same
//! queue as the workers' answers; `Drawn` goes through that queue too, behind every key that was
//! pressed before the drawing, so that no such key can confirm a dialog nobody had seen.

use std::io::{self, Stdout, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crossterm::cursor::{Hide, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{event, execute, terminal};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::console::clipboard;
use crate::console::dialog::Sight;
use crate::console::state::{
    Access, Command, Message, Overlay, Start, State, is_too_small, update,
};
use crate::console::theme::Theme;
use crate::console::view;
use crate::console::worker::Worker;
use crate::domain::timestamp::Timestamp;
use crate::usecase::Appliance;

/// How long the loop waits for a message before it looks at the clock.
const TICK: Duration = Duration::from_millis(250);
/// How long the reading of keys waits before it looks whether it is to end.
const INPUT_TICK: Duration = Duration::from_millis(50);
/// The same while a dialog waits to be read.
const READING_TICK: Duration = Duration::from_millis(50);
/// How long a dialog stands on the screen before Enter confirms it: longer than a double press, and
/// than the pieces of a paste are apart.
const READ_MS: i64 = 400;
/// Messages that may wait; input is read no faster than it is taken.
const QUEUE_MAX: usize = 1_024;
/// Messages taken between two drawings.
const BATCH_MAX: usize = 256;

/// What the command line decides.
pub struct Options {
    /// `operator:<login>`.
    pub actor: String,
    /// Whether actions can be unlocked.
    pub access: Access,
    /// How it looks.
    pub theme: Theme,
    /// What is configured, as it may be shown.
    pub configuration: Vec<(String, String)>,
    /// Why Sumsub cannot be asked at all, and what to do about it.
    pub no_provider: Option<String>,
    /// What a command needs to be about the same register: ` --database …`, or nothing.
    pub twin_flags: String,
    /// Set by a signal: leave.
    pub stop: Arc<AtomicBool>,
}

/// How a console ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The operator left.
    Left,
    /// `stop` was set, or the terminal is gone.
    Stopped,
}

/// Runs the console until the operator leaves or `stop` is set. The terminal is as before when this
/// returns, and when it panics.
pub fn run(appliance: &Arc<Appliance>, options: Options) -> io::Result<Ending> {
    let (sender, messages) = sync_channel(QUEUE_MAX);
    let worker = Worker::start(appliance, &options.actor, &sender)?;
    let mut state = State::new(Start {
        now: (appliance.clock)(),
        size: terminal::size()?,
        environment: appliance.rules.environment.as_str(),
        actor: options.actor,
        register: appliance.store.path().display().to_string(),
        access: options.access,
        theme: options.theme,
        configuration: options.configuration,
        acceptance: appliance.rules.acceptance.clone(),
        no_provider: options.no_provider,
        twin_flags: options.twin_flags,
    });
    let screen = Screen::enter()?;
    let input = read_input(sender.clone(), Arc::clone(&options.stop))?;
    let looped = turn(&mut state, appliance, &worker, (&sender, &messages), &options.stop);
    let is_stopped = options.stop.swap(true, Ordering::AcqRel);
    drop((sender, messages));
    // Until it has ended, it would take keys that are meant for whoever has the terminal next. Where
    // the terminal is gone there is nobody, and crossterm reads its end over and over.
    if is_gone() {
        return Ok(Ending::Stopped);
    }
    drop(input.join());
    drop(screen);
    looped.map(|()| if is_stopped { Ending::Stopped } else { Ending::Left })
}

/// Whether the terminal of standard input is gone: its window was closed, its connection has ended.
pub fn is_gone() -> bool {
    let stdin = io::stdin();
    let mut ends = [PollFd::new(&stdin, PollFlags::empty())];
    poll(&mut ends, Some(&Timespec::default())).is_ok()
        && ends.iter().any(|it| it.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

/// Whether Enter is pressed within so long, where no console has the terminal. Not by crossterm, which
/// does not come back from a terminal that is gone meanwhile.
pub fn is_called(within: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut ends = [PollFd::new(&stdin, PollFlags::IN)];
    let within = Timespec::try_from(within).unwrap_or_default();
    match poll(&mut ends, Some(&within)) {
        Ok(0) | Err(Errno::INTR) => return Ok(false),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    if is_gone() {
        return Ok(false);
    }
    let mut line = [0; 1024];
    let count = rustix::io::read(&stdin, &mut line)?;
    // Pressed while the console was giving the terminal back, it is still a carriage return.
    Ok(line.get(..count).is_some_and(|it| it.iter().any(|byte| matches!(byte, b'\n' | b'\r'))))
}

fn turn(
    state: &mut State,
    appliance: &Appliance,
    worker: &Worker,
    (sender, messages): (&SyncSender<Message>, &Receiver<Message>),
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut terminal = Terminal::new(CrosstermBackend::new(Out { stop }))?;
    let mut commands = state.begin();
    let mut reading = Reading::default();
    while !stop.load(Ordering::Acquire) {
        if !carry_out(commands, worker)? {
            return Ok(());
        }
        let drawn = terminal.draw(|frame| view::render(state, frame))?.area;
        let wait = match &state.overlay {
            // The terminal may have become too small before its message came through.
            Overlay::Dialog(_) if is_too_small((drawn.width, drawn.height)) => TICK,
            Overlay::Dialog(it) if it.sight != Sight::Seen => {
                let now = (appliance.clock)();
                if let Some(message) = reading.drawn(it.ticket, now) {
                    // A full queue is taken first; then this is tried again.
                    drop(sender.try_send(message));
                }
                READING_TICK
            }
            _ => TICK,
        };
        commands = take(state, appliance, messages, wait);
    }
    Ok(())
}

/// Since when which dialog has stood on the screen as it is.
#[derive(Default)]
struct Reading(Option<(u64, Timestamp)>);

impl Reading {
    /// What is to be said now that a dialog has been drawn: first that it was, then that it was there
    /// for long enough.
    fn drawn(&mut self, ticket: u64, now: Timestamp) -> Option<Message> {
        match self.0 {
            Some((of, since)) if of == ticket => {
                (since.plus_ms(READ_MS) <= now).then_some(Message::Read(ticket))
            }
            Some(_) | None => {
                self.0 = Some((ticket, now));
                Some(Message::Drawn(ticket))
            }
        }
    }
}

/// Waits for a message, and takes all that wait with it.
fn take(
    state: &mut State,
    appliance: &Appliance,
    messages: &Receiver<Message>,
    wait: Duration,
) -> Vec<Command> {
    let first = messages.recv_timeout(wait);
    let mut commands = update(state, Message::Tick((appliance.clock)()));
    match first {
        Ok(first) => {
            let rest = messages.try_iter().take(BATCH_MAX);
            for message in std::iter::once(first).chain(rest) {
                commands.extend(update(state, message));
            }
        }
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
    }
    commands
}

/// Whether to go on.
fn carry_out(commands: Vec<Command>, worker: &Worker) -> io::Result<bool> {
    for command in commands {
        match command {
            Command::Quit => return Ok(false),
            Command::Copy(text) => clipboard::copy(&mut io::stdout(), &text)?,
            other @ (Command::Load(..)
            | Command::Act(..)
            | Command::Preview(..)
            | Command::Rehearse(_)
            | Command::Probe) => worker.send(other),
        }
    }
    Ok(true)
}

fn read_input(
    sender: SyncSender<Message>,
    stop: Arc<AtomicBool>,
) -> io::Result<thread::JoinHandle<()>> {
    let read = move || {
        while !stop.load(Ordering::Acquire) {
            let message = match event::poll(INPUT_TICK)
                .and_then(|is_ready| if is_ready { event::read().map(Some) } else { Ok(None) })
            {
                Ok(None) => continue,
                Ok(Some(Event::Key(key))) => Message::Key(key),
                Ok(Some(Event::Paste(text))) => Message::Paste(text),
                Ok(Some(Event::Mouse(mouse))) => Message::Mouse(mouse),
                Ok(Some(Event::Resize(columns, rows))) => Message::Resized(columns, rows),
                Ok(Some(Event::FocusGained | Event::FocusLost)) => continue,
                // The terminal is gone: nobody is left to ask.
                Err(_) => return stop.store(true, Ordering::Release),
            };
            if sender.send(message).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("console-input".to_owned()).spawn(read)
}

/// The way to the terminal. Where a write fails, the terminal is gone: that ends the console, and is no
/// error, which ratatui would print where nothing can be printed any more.
struct Out<'a> {
    stop: &'a AtomicBool,
}

impl Out<'_> {
    fn unless_gone<T>(&self, written: io::Result<T>, gone: T) -> io::Result<T> {
        written.or_else(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return Err(error);
            }
            self.stop.store(true, Ordering::Release);
            Ok(gone)
        })
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_gone(io::stdout().write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_gone(io::stdout().flush(), ())
    }
}

/// The terminal while the console has it; given back on drop, and before a panic is told.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Self;
        enter(&mut io::stdout())?;
        let owner = thread::current().id();
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // A lane's panic becomes its answer; only the owner's ends the console.
            if thread::current().id() == owner {
                give_back(&mut io::stdout());
                told(panic);
            }
        }));
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back(&mut io::stdout());
        if !thread::panicking() {
            drop(panic::take_hook());
        }
    }
}

fn enter(out: &mut Stdout) -> io::Result<()> {
    execute!(out, EnterAlternateScreen, EnableBracketedPaste, EnableMouseCapture, Hide)
}

/// Each step is tried, whatever becomes of the others.
fn give_back(out: &mut impl Write) {
    drop(execute!(out, DisableMouseCapture, DisableBracketedPaste));
    drop(execute!(out, LeaveAlternateScreen, Show));
    drop(terminal::disable_raw_mode());
}
