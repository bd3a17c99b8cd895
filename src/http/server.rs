//! The listening socket and the thread that accepts from it.
//!
//! Whatever `accept` answers, the thread goes on: a peer that hangs up early and a process out of
//! descriptors are the two that stock servers die of.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::connection::{LINGER, linger, now};
use super::crew::{Crew, Line};
use super::head::Version;
use super::limits::Limits;
use super::render::{Connection, Content, DateText, Manner, render};
use super::{Refusal, Service};

/// Connections that the kernel completes before they are accepted.
const BACKLOG: i32 = 1024;
/// How long accepting rests when the system is out of descriptors or memory.
const REST: Duration = Duration::from_millis(20);
/// What the kernel takes of an answer before the peer does (it reserves twice as much). Left to itself
/// it takes megabytes for every peer that reads nothing, which no cap of ours counts.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// How long bytes that were sent may wait to be taken before the kernel gives the connection up, a
/// closed one too: a peer that never reads would otherwise keep them for as long as it likes.
#[cfg(target_os = "linux")]
const UNTAKEN: Duration = Duration::from_secs(30);
/// Connections over the cap that wait for their 503; further ones are closed without.
const TURNED_AWAY_MAX: usize = 32;

/// A running server. Dropping it leaves it running; [`Server::stop`] ends it.
pub struct Server {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    crew: Arc<Crew>,
    accepting: JoinHandle<()>,
}

/// Opens a listening socket whose connections send at once, notice a dead peer, and do not block
/// for ever in a write.
///
/// It has no receive timeout: `accept` would time out too.
///
/// # Errors
/// Whatever the system answers, for example that the address is in use.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.set_write_timeout(Some(Limits::default().write_deadline()))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves what connects to `listener`, until [`Server::stop`].
///
/// # Errors
/// When the listener has no address or the system has no thread for it.
pub fn serve(listener: TcpListener, limits: Limits, service: Service) -> io::Result<Server> {
    let address = listener.local_addr()?;
    // Accepted sockets inherit these, which saves setting them on each.
    SockRef::from(&listener).set_write_timeout(Some(limits.write_deadline()))?;
    SockRef::from(&listener).set_tcp_nodelay(true)?;
    SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER_BYTES)?;
    #[cfg(target_os = "linux")]
    SockRef::from(&listener).set_tcp_user_timeout(Some(UNTAKEN))?;
    let listener = Arc::new(listener);
    let crew = Arc::new(Crew::new(limits, service));
    let (turn_away, turned_away) = sync_channel(TURNED_AWAY_MAX);
    let turning = Arc::clone(&crew);
    thread::Builder::new()
        .name("http-refuse".to_owned())
        .stack_size(crew.limits.stack_bytes)
        .spawn(move || answer_turned_away(&turning, &turned_away))?;
    let admission =
        Admission { listener: Arc::clone(&listener), crew: Arc::clone(&crew), turn_away };
    let accepting = thread::Builder::new()
        .name("http-accept".to_owned())
        .stack_size(crew.limits.stack_bytes)
        .spawn(move || admission.accept())?;
    Ok(Server { address, listener, crew, accepting })
}

impl Server {
    /// Where it listens; with port 0 asked for, the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections that are open now.
    pub fn connections(&self) -> usize {
        self.crew.open()
    }

    /// Stops: accepts nothing more, closes idle connections at once, lets requests in flight
    /// finish within `grace`, and then closes what is left. A handler that waits longer than that
    /// keeps its thread, but no longer its connection.
    pub fn stop(self, grace: Duration) {
        self.crew.begin_stopping();
        // On Linux this ends a blocked `accept`; where it does not, a connection does.
        if SockRef::from(&*self.listener).shutdown(Shutdown::Both).is_err() {
            drop(TcpStream::connect(self.address));
        }
        self.accepting.thread().unpark();
        if self.accepting.join().is_err() {
            tracing::error!("the accepting thread panicked");
        }
        self.crew.drain(grace);
    }
}

/// A connection that there is no room for, and since when.
struct TurnedAway {
    line: Arc<Line>,
    since: Instant,
}

struct Admission {
    listener: Arc<TcpListener>,
    crew: Arc<Crew>,
    turn_away: SyncSender<TurnedAway>,
}

impl Admission {
    fn accept(&self) {
        let mut was_starved = false;
        loop {
            let accepted = self.listener.accept();
            if self.crew.is_stopping() {
                return;
            }
            let starvation = match accepted {
                Ok((stream, address)) => {
                    // A socket for both protocols shows IPv4 peers in IPv6 clothes.
                    self.admit(stream, address.ip().to_canonical());
                    None
                }
                Err(error) => Some(error).filter(|error| !is_passing(error)),
            };
            let Some(error) = starvation else {
                was_starved = false;
                continue;
            };
            // Once per drought, not fifty times a second.
            if !was_starved {
                tracing::warn!(%error, "cannot accept connections, trying again");
            }
            was_starved = true;
            thread::park_timeout(REST);
        }
    }

    fn admit(&self, stream: TcpStream, peer: IpAddr) {
        if let Err(line) = self.crew.admit(stream, Some(peer)) {
            // A full queue drops the connection, which closes it: the answer is a courtesy.
            drop(self.turn_away.try_send(TurnedAway { line, since: now() }));
        }
    }
}

/// The peer gave up before it was accepted, or a signal came: nothing is wrong.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Answers connections over the cap with 503, after their request began to arrive: a client may
/// take an answer that precedes its question for an error of the protocol.
///
/// All of them wait at the same time, since each is given its time from the moment it was
/// accepted, so one that sends nothing delays the others by no more than that.
fn answer_turned_away(crew: &Crew, turned_away: &Receiver<TurnedAway>) {
    let mut waste = [0; 4096];
    let mut out = Vec::new();
    let mut date = DateText::default();
    let manner =
        Manner { version: Version::Http11, connection: Connection::Closed, content: Content::Sent };
    while let Ok(TurnedAway { line, since }) = turned_away.recv() {
        let until = since + LINGER;
        let patience = until.saturating_duration_since(now()).max(Duration::from_millis(1));
        let mut stream = &line.stream;
        if stream.set_read_timeout(Some(patience)).is_err() {
            continue;
        }
        let asked = stream.read(&mut waste);
        let response = (crew.service.refuse)(Refusal::TooManyConnections);
        render(&mut out, &response, manner, date.at((crew.service.clock)()));
        if !matches!(asked, Ok(0)) && stream.write_all(&out).is_ok() {
            linger(stream, until);
        }
    }
}
