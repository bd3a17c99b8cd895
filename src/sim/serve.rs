//! The two sockets: the API with the pages, and the control port, which must be loopback.

use super::Simulator;
use super::wire::Wire;
use crate::http::limits::Limits;
use crate::http::server::{self, Server};
use crate::http::{Refusal, Request, Response, Service};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// Sumsub's limit on a file (error code 1002) and some room for the parts around it.
const UPLOAD_BYTES_MAX: usize = 65 * 1024 * 1024;
/// Far beyond any JSON body this API takes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A simulator on its two ports.
pub struct Ports {
    wire: Wire,
    api: Server,
    control: Server,
}

/// Serves a simulator.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if `control` does not listen on loopback, and whatever the
/// system answers.
pub fn serve(
    simulator: &Arc<Simulator>,
    api: TcpListener,
    control: TcpListener,
) -> io::Result<Ports> {
    if !control.local_addr()?.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the simulator's control port must listen on loopback",
        ));
    }
    let limits = || {
        let usual = Limits::default();
        // Every caller of a simulator is likely to be this very machine, and share tokens of up
        // to 1 KB travel in the query.
        Limits {
            connections_per_peer_max: usual.connections_max,
            target_bytes_max: 8 * 1024,
            ..usual
        }
    };
    let (answering, controlled) = (Arc::clone(simulator), Arc::clone(simulator));
    let control = server::serve(
        control,
        limits(),
        service(simulator, Box::new(move |request| controlled.control(request))),
    )?;
    let inside = server::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let inner = server::serve(
        inside,
        limits(),
        service(simulator, Box::new(move |request| answering.answer(request))),
    )?;
    let wire = Wire::start(api, inner.address(), Arc::clone(simulator))?;
    Ok(Ports { wire, api: inner, control })
}

impl Ports {
    /// Where the API and the pages are.
    pub fn api_address(&self) -> SocketAddr {
        self.wire.address()
    }

    /// Where the control port is.
    pub fn control_address(&self) -> SocketAddr {
        self.control.address()
    }

    /// Closes both ports; requests in flight have `grace` to finish. Stop the simulator first, so
    /// that no call hangs.
    pub fn stop(self, grace: Duration) {
        self.wire.stop();
        self.api.stop(grace);
        self.control.stop(grace);
    }
}

fn service(
    simulator: &Arc<Simulator>,
    handle: Box<dyn Fn(&Request) -> Response + Send + Sync>,
) -> Service {
    let dating = Arc::clone(simulator);
    Service { handle, refuse, body_bytes_max, clock: Arc::new(move || dating.now_ms()) }
}

fn body_bytes_max(_method: &str, path: &str) -> usize {
    if path.ends_with("/info/idDoc") { UPLOAD_BYTES_MAX } else { BODY_BYTES_MAX }
}

/// What the loop refuses never reaches the API; the real service's bodies for it are unknown.
fn refuse(refusal: Refusal) -> Response {
    let (status, description) = match refusal {
        Refusal::Malformed => (400, "Malformed request"),
        Refusal::Timeout => (408, "Request timeout"),
        Refusal::BodyTooLarge => (413, "Body too large"),
        Refusal::TargetTooLong => (414, "Request target too long"),
        Refusal::HeadTooLarge => (431, "Headers too large"),
        Refusal::ExpectationFailed => (417, "Expectation failed"),
        Refusal::TransferCodingUnsupported => (501, "Transfer coding not supported"),
        Refusal::VersionUnsupported => (505, "HTTP version not supported"),
        Refusal::Panicked => (500, "The simulator failed"),
        Refusal::TooManyConnections => (503, "Too many connections"),
        Refusal::TooManyLargeBodies => (503, "Too many large requests at once"),
    };
    super::Failure::plain(status, description).response("")
}
