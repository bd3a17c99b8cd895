//! A stateful stand-in for api.sumsub.com that any Sumsub client can use unmodified.
//!
//! It builds its JSON from Sumsub's documentation and captures, and shares nothing with the
//! client but the signature function, so that a misreading is not repeated on both sides. It
//! keeps nothing on disk, takes its time from a clock function and its luck from a seed, and
//! refuses to act against a real Sumsub host. It verifies nobody.
//!
//! ```text
//! settings   what it is told               tenant     credentials, partners, webhooks
//! world      everything it remembers       applicant  a profile and the table of its review
//! flow       moves with several events     workflow   levels in a row, and how they end
//! token      SDK tokens, links, share tokens
//! auth, limit, call, failure               who calls, how often, with what, and how to say no
//! api        the routes, and behind them   profile, access, decision, change, reuse, administration
//! render, event, json, moment              applicants, webhook bodies, Jackson's layout, dates
//! delivery, sender                         the webhook queue and the wire
//! page       the customer's page           control, knob              the control port
//! frame      the WebSDK's frame and script
//! fault      bad days of the provider
//! serve      the two sockets           wire     the last hop, which can break
//! ```

mod access;
mod administration;
mod api;
mod applicant;
mod auth;
mod call;
mod change;
mod control;
mod decision;
mod delivery;
mod event;
mod failure;
mod fault;
mod flow;
mod frame;
mod json;
mod knob;
mod limit;
mod moment;
mod page;
mod profile;
mod random;
mod render;
mod reuse;
mod sender;
pub mod serve;
mod settings;
mod tenant;
#[cfg(test)]
mod tests;
mod token;
mod wire;
mod workflow;
mod world;

pub use delivery::Attempt;
pub use settings::{
    ApplicantCreation, ApplicantType, DeliveryMode, Level, LevelChanges, RequestLimit,
    ReuseCollision, SdkLevel, Settings, SettingsError, TenantSettings, Workflow,
};
pub use tenant::{Credentials, TenantId};

use crate::http::{Request, Response};
use call::Reply;
use delivery::Delivery;
use failure::{Failure, json_response};
use fault::FaultKind;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use world::World;

/// The time in Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How long the sending thread lets neighbours gather when it is to be unpleasant: without it
/// nothing would be left to swap.
const GATHERING: Duration = Duration::from_millis(40);
/// How often the sending thread looks at the clock while something is planned; the clock need not
/// be a real one.
const LOOK: Duration = Duration::from_millis(200);

/// The simulator: values in, values out. Sockets are in [`serve`].
pub struct Simulator {
    world: Mutex<World>,
    /// Something was queued, or it is over.
    changed: Condvar,
    is_stopped: Mutex<bool>,
    stopped: Condvar,
    clock: Clock,
    agent: ureq::Agent,
    sending: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("seed", &self.seed()).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Makes a simulator and, in background mode, starts its sending thread, which keeps it alive
    /// until [`Simulator::stop`].
    ///
    /// # Errors
    /// [`SettingsError::RealHost`] or [`SettingsError::InvalidUrl`] for an address it does not
    /// take, [`SettingsError::InvalidWorkflow`] for a workflow that its levels do not allow, and
    /// [`SettingsError::NoThread`] if the system has no thread for it.
    pub fn new(mut settings: Settings, clock: Clock) -> Result<Arc<Self>, SettingsError> {
        settings::check_url(&settings.base_url)?;
        // A slash at the end of a token's url hangs the WebSDK.
        settings.base_url.truncate(settings.base_url.trim_end_matches('/').len());
        if let Some(url) = &settings.webhook_url {
            settings::check_url(url)?;
        }
        let (mode, webhook_url) = (settings.delivery, settings.webhook_url.clone());
        let workflows = settings.workflows.clone();
        let mut world = World::new(settings);
        world.tick(clock());
        for workflow in workflows {
            world
                .set_workflow(workflow)
                .map_err(|reason| SettingsError::InvalidWorkflow { reason })?;
        }
        if let Some(url) = webhook_url {
            world.set_webhook(&url);
        }
        let simulator = Arc::new(Self {
            world: Mutex::new(world),
            changed: Condvar::new(),
            is_stopped: Mutex::new(false),
            stopped: Condvar::new(),
            clock,
            agent: sender::agent(),
            sending: Mutex::new(None),
        });
        if mode == DeliveryMode::Background {
            let shared = Arc::clone(&simulator);
            let thread = Builder::new()
                .name("sim-webhooks".to_owned())
                .spawn(move || shared.send_until_stopped())
                .map_err(|error| SettingsError::NoThread { reason: error.to_string() })?;
            *locked(&simulator.sending) = Some(thread);
        }
        Ok(simulator)
    }

    /// What it says on start: that it is a simulator, and the seed to replay it with. No secrets.
    pub fn greeting(&self) -> String {
        let world = self.world();
        format!(
            "This is a simulator of Sumsub; it verifies nobody. Seed {}, webhooks {} to {}.",
            world.settings.seed,
            if world.settings.nasty { "duplicated and disordered" } else { "in order" },
            world.settings.webhook_url.as_deref().unwrap_or("nowhere"),
        )
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.world().settings.seed
    }

    /// What a client needs to speak as that tenant.
    pub fn credentials(&self, tenant: TenantId) -> Credentials {
        self.world().tenant(tenant).credentials.clone()
    }

    /// Points the recipient's webhook at `url`.
    ///
    /// # Errors
    /// [`SettingsError::RealHost`] or [`SettingsError::InvalidUrl`].
    pub fn set_webhook_url(&self, url: &str) -> Result<(), SettingsError> {
        settings::check_url(url)?;
        let mut world = self.world();
        world.tick((self.clock)());
        world.set_webhook(url);
        Ok(())
    }

    /// Sets the address that tokens and links carry, once the port is known.
    ///
    /// # Errors
    /// [`SettingsError::RealHost`] or [`SettingsError::InvalidUrl`].
    pub fn set_base_url(&self, url: &str) -> Result<(), SettingsError> {
        settings::check_url(url)?;
        url.trim_end_matches('/').clone_into(&mut self.world().settings.base_url);
        Ok(())
    }

    /// Answers a request to the API port: the API under `/resources/`, pages elsewhere.
    pub fn answer(&self, request: &Request) -> Response {
        let fault = {
            let mut world = self.world();
            world.begin((self.clock)());
            fault::take(&mut world.faults, request.path())
        };
        match fault {
            None => self.carry_out(request),
            Some(FaultKind::Status { status, retry_after, body }) => {
                let failure = Failure::plain(status, "Simulated fault");
                let mut response = failure.response(&self.world().correlation_id);
                if let Some(body) = body {
                    response.body = body.into_bytes();
                }
                response.headers.extend(retry_after.map(|it| ("Retry-After", it)));
                response
            }
            Some(FaultKind::Hang { ms }) => {
                self.wait(Duration::from_millis(ms));
                self.carry_out(request)
            }
            Some(FaultKind::Close) => {
                drop(self.carry_out(request));
                // A plain value cannot close a socket. This is what a load balancer makes of a
                // backend that broke off: no JSON, and nobody knows whether the call happened.
                Response { status: 502, headers: Vec::new(), body: Vec::new() }
            }
            Some(FaultKind::Truncate) => {
                let mut response = self.carry_out(request);
                response.body.truncate(response.body.len() / 2);
                response
            }
            Some(FaultKind::Reset) => {
                let response = self.carry_out(request);
                self.world().cuts += 1;
                response
            }
            Some(FaultKind::Other) => {
                let mut response = self.carry_out(request);
                response.body = fault::about_somebody_else(&response.body);
                response
            }
            Some(FaultKind::Oversize { bytes }) => {
                let mut response = self.carry_out(request);
                response.body.resize(response.body.len().saturating_add(bytes), b' ');
                response
            }
        }
    }

    /// Whether the answer under way is to be cut off, once.
    fn takes_cut(&self) -> bool {
        let mut world = self.world();
        let is_due = world.cuts > 0;
        world.cuts = world.cuts.saturating_sub(1);
        is_due
    }

    /// Its clock, in Unix milliseconds: the one it was given, moved as the control port said.
    fn now_ms(&self) -> i64 {
        (self.clock)().saturating_add(self.world().clock_offset_ms)
    }

    fn carry_out(&self, request: &Request) -> Response {
        let mut world = self.world();
        world.begin((self.clock)());
        let response = if request.path().starts_with("/resources") {
            api::answer(&mut world, request)
        } else {
            let of_frame = frame::answer(&mut world, request);
            of_frame.unwrap_or_else(|| page::answer(&mut world, request))
        };
        drop(world);
        self.changed.notify_all();
        response
    }

    /// Answers a request to the control port.
    pub fn control(&self, request: &Request) -> Response {
        let is_local = request.peer.is_none_or(|it| it.is_loopback());
        if is_local && request.method == "POST" && request.path() == "/deliveries/flush" {
            let attempts = self.deliver_due();
            let attempts: Vec<_> = attempts.iter().map(knob::attempt).collect();
            return json_response(200, &serde_json::json!({ "attempts": attempts }));
        }
        let mut world = self.world();
        world.begin((self.clock)());
        let answer = control::answer(&mut world, request);
        let correlation_id = world.correlation_id.clone();
        drop(world);
        self.changed.notify_all();
        answer.map_or_else(|failure| failure.response(&correlation_id), Reply::response)
    }

    /// Sends everything that is due at the clock's now, once, and tells what came of it.
    pub fn deliver_due(&self) -> Vec<Attempt> {
        let due = {
            let mut world = self.world();
            world.tick((self.clock)());
            let now_ms = world.now_ms;
            world.queue.take_due(now_ms)
        };
        due.into_iter().map(|it| self.attempt(&it)).collect()
    }

    /// Stops the sending thread and wakes every call that hangs. What was not sent is lost.
    pub fn stop(&self) {
        self.world().is_stopped = true;
        *locked(&self.is_stopped) = true;
        self.changed.notify_all();
        self.stopped.notify_all();
        let thread = locked(&self.sending).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the simulator's sending thread panicked");
        }
    }

    fn attempt(&self, delivery: &Delivery) -> Attempt {
        let attempt = Attempt {
            delivery: delivery.id,
            event_type: delivery.event_type.clone(),
            applicant_id: delivery.applicant_id.clone(),
            number: delivery.attempts.len() + 1,
            outcome: sender::send(&self.agent, delivery),
        };
        let mut world = self.world();
        world.tick((self.clock)());
        let (time_scale, now_ms) = (world.settings.time_scale, world.now_ms);
        world.queue.record(attempt.clone(), time_scale, now_ms);
        attempt
    }

    fn send_until_stopped(&self) {
        loop {
            let mut world = self.world();
            if world.is_stopped {
                return;
            }
            world.tick((self.clock)());
            let is_due = world.queue.next_due_ms().is_some_and(|it| it <= world.now_ms);
            let is_planned = world.queue.next_due_ms().is_some() || !world.agenda.is_empty();
            match (is_due, is_planned, world.settings.nasty) {
                (true, _, true) => {
                    drop(world);
                    self.wait(GATHERING);
                    self.deliver_due();
                }
                (true, _, false) => {
                    drop(world);
                    self.deliver_due();
                }
                (false, true, _) => drop(self.changed.wait_timeout(world, LOOK)),
                (false, false, _) => drop(self.changed.wait(world)),
            }
        }
    }

    /// Waits, unless the simulator stops first.
    fn wait(&self, duration: Duration) {
        let is_stopped = locked(&self.is_stopped);
        drop(self.stopped.wait_timeout_while(is_stopped, duration, |it| !*it));
    }

    fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }
}

/// A panic of one call must not silence the simulator: its state is still whole enough to answer.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
