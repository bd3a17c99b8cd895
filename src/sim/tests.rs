//! Promises of the simulator, by plain values: no socket but a webhook receiver, no real clock.

mod applicants;
mod clock;
mod frame;
mod levels;
mod played;
mod ports;
mod rig;
mod sharing;
mod signing;
mod webhooks;
mod workflows;
