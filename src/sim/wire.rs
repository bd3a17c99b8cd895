//! The last hop of the API port: every connection is passed on to the HTTP loop behind it, so that an
//! answer can be cut off in its middle, which a plain value cannot.

use super::Simulator;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

const CHUNK_BYTES: usize = 64 * 1024;

/// A port that passes on.
pub(super) struct Wire {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Wire {
    /// Passes every connection of `outside` on to `inside`.
    pub(super) fn start(
        outside: TcpListener,
        inside: SocketAddr,
        simulator: Arc<Simulator>,
    ) -> io::Result<Self> {
        let address = outside.local_addr()?;
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&is_stopped);
        let thread = Builder::new().name("sim-wire".to_owned()).spawn(move || {
            let is_open = |_: &io::Result<TcpStream>| !stopped.load(Ordering::SeqCst);
            for client in outside.incoming().take_while(is_open).flatten() {
                let simulator = Arc::clone(&simulator);
                // Whatever breaks here breaks as a wire does.
                let passing = move || drop(pass_on(client, inside, &simulator));
                drop(Builder::new().name("sim-wire".to_owned()).spawn(passing));
            }
        })?;
        Ok(Self { address, is_stopped, thread })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections.
    pub(super) fn stop(self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, self.address.port()));
        if TcpStream::connect_timeout(&here, Duration::from_secs(1)).is_ok() {
            drop(self.thread.join());
        }
    }
}

fn pass_on(mut client: TcpStream, inside: SocketAddr, simulator: &Simulator) -> io::Result<()> {
    let mut server = TcpStream::connect(inside)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut questions, mut onwards) = (client.try_clone()?, server.try_clone()?);
    let asking = Builder::new().name("sim-wire".to_owned()).spawn(move || {
        drop(io::copy(&mut questions, &mut onwards));
        drop(onwards.shutdown(Shutdown::Write));
    })?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = server.read(&mut chunk)?;
        let bytes = chunk.get(..length).unwrap_or_default();
        if length == 0 {
            drop(client.shutdown(Shutdown::Both));
            break;
        }
        if simulator.takes_cut() {
            client.write_all(bytes.get(..middle_of_body(bytes)).unwrap_or(bytes))?;
            // Closed with nothing to linger for, a socket sends a reset.
            rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
            drop(client.shutdown(Shutdown::Read));
            drop(server.shutdown(Shutdown::Both));
            break;
        }
        client.write_all(bytes)?;
    }
    drop(asking.join());
    Ok(())
}

/// Where an answer's body is half over.
fn middle_of_body(answer: &[u8]) -> usize {
    let head = answer.windows(4).position(|it| it == b"\r\n\r\n").map_or(0, |it| it + 4);
    head + (answer.len() - head) / 2
}
