//! The way out: one signed POST to one receiver, and what it answered.
//!
//! Guards three rules. Only Standard Webhooks headers and the message's own bytes leave
//! (`signature`). No connection is opened to an address that is neither public nor listed by the
//! operator (`allowed`), judged on the resolved address that is then dialled (`address`); redirects
//! are not followed, no proxy of the environment is used, and no connection is kept, so that every
//! attempt is judged anew. No secret is stored: it is derived (`secret`) from a key in a file
//! (`key_file`). What is due, and what an
//! answer means for the schedule, is decided elsewhere (`domain::outgoing`,
//! `usecase::deliver_events`).

mod address;
mod allowed;
mod key_file;
mod secret;
mod signature;
mod target;

use std::io::Read as _;
use std::time::Duration;

use ureq::http::HeaderValue;
use ureq::unversioned::transport::DefaultConnector;

pub use address::is_public;
pub use allowed::{Allowed, SETTING as ALLOW_SETTING};
pub use key_file::{
    KeyFault, KeyFile, KeyFit, KeyStanding, REMEDY, WebhookKeyError, give_to_owner_of, remedy,
};
pub use secret::{Salt, Secret, WebhookKey};
pub use signature::{sign, signature_header};
pub use target::{Target, TargetError, URL_BYTES_MAX};

use crate::domain::environment::Environment;
use crate::domain::http_date::retry_after_ms;
use crate::domain::outgoing::{Attempted, Schedule};
use crate::domain::timestamp::Timestamp;
use address::{CheckedResolver, ForbiddenAddress};

/// From the look-up of the name to the last byte of the answer that is read. A receiver that needs
/// longer should answer first and work afterwards (Standard Webhooks proposes 15 to 30 s). An address
/// that is only listed takes a second look-up, with its own time.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// Why an attempt was not made: its receiver is neither public nor listed.
pub const ADDRESS_NOT_ALLOWED: &str = "address_not_allowed";
/// Why an attempt was not made: this machine had no descriptor, port or memory left for it.
pub const NO_RESOURCES: &str = "no_resources";
/// How much of an answer's body the log keeps.
pub const ANSWER_BYTES_KEPT: usize = 1024;

/// Everything that sending needs, and the key that secrets are derived from.
#[derive(Debug)]
pub struct Outbox {
    /// Test or live: decides which receivers are allowed.
    pub environment: Environment,
    /// What secrets are derived from.
    pub key: KeyFile,
    /// How attempts are spaced.
    pub schedule: Schedule,
    /// The receivers that are allowed although they are not public.
    pub allowed: Allowed,
    /// Reaches public addresses only.
    public: ureq::Agent,
    /// Reaches the listed ones too.
    listed: ureq::Agent,
}

/// A message as it goes out.
#[derive(Debug)]
pub struct Parcel<'a> {
    /// Where to.
    pub target: &'a Target,
    /// `webhook-id`: the same at every attempt, so that a receiver can tell a repetition.
    pub message_id: &'a str,
    /// The exact body.
    pub body: &'a [u8],
    /// The endpoint's secrets: the current one, and during a rotation the one before it.
    pub secrets: &'a [Secret],
}

/// What came back of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The headers that vary: `webhook-timestamp` in seconds, and `webhook-signature`.
    pub signed_at_s: i64,
    /// As above.
    pub signature: String,
    /// The status, or why there was none; a word for programs.
    pub answer: Result<Answer, &'static str>,
}

/// A receiver's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The first bytes of the body; none of a receiver that only the operator's list lets be reached:
    /// its network is the operator's, and the log is the caller's.
    pub first_bytes: Vec<u8>,
    /// `Retry-After`, read.
    pub retry_after_ms: Option<i64>,
}

impl Receipt {
    /// What the attempt came to, for the schedule.
    pub fn attempted(&self) -> Attempted {
        match &self.answer {
            Ok(Answer { status: 200..=299, .. }) => Attempted::Taken,
            Ok(Answer { status: 410, .. }) => Attempted::Gone,
            Ok(Answer { retry_after_ms, .. }) => {
                Attempted::Failed { retry_after_ms: *retry_after_ms }
            }
            Err(_) => Attempted::Failed { retry_after_ms: None },
        }
    }
}

impl Outbox {
    /// An outbox of one environment.
    pub fn new(
        environment: Environment,
        key: KeyFile,
        schedule: Schedule,
        allowed: Allowed,
    ) -> Self {
        let public = agent(CheckedResolver { environment, allowed: Allowed::default() });
        let listed = agent(CheckedResolver { environment, allowed: allowed.clone() });
        Self { environment, key, schedule, allowed, public, listed }
    }

    /// Checks where an endpoint is to be.
    pub fn target(&self, url: &str) -> Result<Target, TargetError> {
        Target::parse(url, self.environment, &self.allowed)
    }

    /// Signs and sends, once. Waits at most [`ATTEMPT_TIMEOUT`].
    pub fn send(&self, parcel: &Parcel<'_>, now: Timestamp) -> Receipt {
        let signed_at_s = now.as_ms().div_euclid(1000);
        let signature =
            signature_header(parcel.secrets, parcel.message_id, signed_at_s, parcel.body);
        let answer = self.post(parcel, signed_at_s, &signature, now);
        Receipt { signed_at_s, signature, answer }
    }

    fn post(
        &self,
        parcel: &Parcel<'_>,
        signed_at_s: i64,
        signature: &str,
        now: Timestamp,
    ) -> Result<Answer, &'static str> {
        let timestamp = signed_at_s.to_string();
        let varying =
            [("id", parcel.message_id), ("timestamp", &timestamp), ("signature", signature)];
        let mut kept = u64::try_from(ANSWER_BYTES_KEPT).unwrap_or_default();
        let mut sent = send(&self.public, parcel, varying);
        // Refused before anything was dialled.
        if sent.as_ref().is_err_and(is_forbidden) {
            kept = 0;
            sent = send(&self.listed, parcel, varying);
        }
        let mut response = sent.map_err(|error| reason(&error))?;
        let asked = response.headers().get_all("Retry-After").iter().map(HeaderValue::as_bytes);
        let retry_after_ms = retry_after_ms(asked, now);
        let status = response.status().as_u16();
        let mut first_bytes = Vec::new();
        // The status is the answer; a body that breaks off does not undo it.
        drop(response.body_mut().as_reader().take(kept).read_to_end(&mut first_bytes));
        Ok(Answer { status, first_bytes, retry_after_ms })
    }
}

fn agent(resolver: CheckedResolver) -> ureq::Agent {
    let configuration = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_connections(0)
        .timeout_global(Some(ATTEMPT_TIMEOUT))
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .build();
    ureq::Agent::with_parts(configuration, DefaultConnector::default(), resolver)
}

fn send(
    agent: &ureq::Agent,
    parcel: &Parcel<'_>,
    varying: [(&str, &str); 3],
) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    let mut request = agent.post(parcel.target.as_str()).header("Content-Type", "application/json");
    for (name, value) in varying {
        request =
            request.header(format!("webhook-{name}"), value).header(format!("svix-{name}"), value);
    }
    request.send(parcel.body)
}

fn is_forbidden(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Other(it) if it.is::<ForbiddenAddress>())
}

/// Whether something failed for want of what only this machine has: no receiver and no operator's file
/// is at fault, and it passes.
fn is_of_this_machine(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    const WANTS: [Errno; 5] =
        [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| WANTS.iter().any(|it| it.raw_os_error() == code))
}

/// Why no answer came, in words that name no address, certificate or cause inside.
fn reason(error: &ureq::Error) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "ureq's errors, not ours")]
    match error {
        it if is_forbidden(it) => ADDRESS_NOT_ALLOWED,
        ureq::Error::HostNotFound => "host_not_found",
        ureq::Error::Timeout(ureq::Timeout::Resolve) => "host_not_found",
        ureq::Error::Timeout(_) => "timeout",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "tls_failed",
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => "answer_unreadable",
        ureq::Error::Io(io) if is_of_this_machine(io) => NO_RESOURCES,
        ureq::Error::Io(io) => match io.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection_refused",
            std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => "timeout",
            _ if io.get_ref().is_some_and(|it| it.to_string().contains("lookup")) => {
                "host_not_found"
            }
            // rustls reports what it refuses as an error inside an I/O error.
            std::io::ErrorKind::InvalidData => "tls_failed",
            _ => "connection_failed",
        },
        _ => "connection_failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One POST; why it got no answer.
    fn attempt(environment: Environment, allowed: &Allowed, url: &str) -> &'static str {
        let schedule = Schedule { time_scale: 1 };
        let nowhere = KeyFile::beside(std::path::Path::new("/nowhere"));
        let outbox = Outbox::new(environment, nowhere, schedule, allowed.clone());
        let anywhere = Allowed::new(vec![
            ("0.0.0.0/0".parse().unwrap(), None),
            ("::/0".parse().unwrap(), None),
        ]);
        let target = Target::parse(url, Environment::Test, &anywhere).unwrap();
        let parcel = Parcel { target: &target, message_id: "m", body: b"{}", secrets: &[] };
        outbox.send(&parcel, Timestamp::from_ms(0)).answer.unwrap_err()
    }

    /// A name may look public and resolve elsewhere: what is dialled is judged, not the URL.
    #[test]
    fn an_address_that_is_neither_public_nor_listed_is_not_dialled() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let elsewhere = Allowed::new(vec![("127.0.0.1/32".parse().unwrap(), Some(1))]);
        let hosts = ["localhost", "127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]"];

        for (host, scheme) in hosts.iter().flat_map(|it| [(it, "https"), (it, "http")]) {
            let url = format!("{scheme}://{host}:{port}/");
            for allowed in [&Allowed::default(), &elsewhere] {
                assert_eq!(attempt(Environment::Live, allowed, &url), ADDRESS_NOT_ALLOWED, "{url}");
                assert_eq!(attempt(Environment::Test, allowed, &url), ADDRESS_NOT_ALLOWED, "{url}");
            }
        }

        let nowhere = "https://169.254.169.254/";
        assert_eq!(attempt(Environment::Live, &elsewhere, nowhere), ADDRESS_NOT_ALLOWED);
        assert!(listener.accept().is_err(), "nobody has even connected");
    }

    #[test]
    fn what_this_machine_lacks_is_told_apart_from_what_a_receiver_does() {
        use rustix::io::Errno;
        let failed = |code: Errno| {
            reason(&ureq::Error::Io(std::io::Error::from_raw_os_error(code.raw_os_error())))
        };

        for of_ours in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::ADDRNOTAVAIL] {
            assert_eq!(failed(of_ours), NO_RESOURCES);
        }
        assert_eq!(failed(Errno::CONNREFUSED), "connection_refused");
        assert_eq!(failed(Errno::CONNRESET), "connection_failed");
        assert_eq!(failed(Errno::TIMEDOUT), "timeout");
    }

    #[test]
    fn a_listed_address_is_dialled_and_in_live_encrypted_only() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let allowed = Allowed::new(vec![("127.0.0.1/32".parse().unwrap(), Some(port))]);

        for (environment, url, reason) in [
            (Environment::Test, format!("http://127.0.0.1:{port}/"), "connection_refused"),
            (Environment::Test, format!("http://localhost:{port}/"), "connection_refused"),
            (Environment::Live, format!("https://127.0.0.1:{port}/"), "connection_refused"),
            (Environment::Live, format!("http://127.0.0.1:{port}/"), ADDRESS_NOT_ALLOWED),
        ] {
            assert_eq!(attempt(environment, &allowed, &url), reason, "{url}");
        }
    }
}
