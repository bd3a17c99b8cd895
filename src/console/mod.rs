//! The operator's console: everything at a glance, the reason of everything, and safe actions.
//!
//! ```text
//!   keys, paste, mouse ─┐                                      ┌─▶ view: drawn from &State
//!   worker's answers ───┼─▶ Message ─▶ update(&mut State) ─────┤
//!   clock, register ────┘                                      └─▶ Command ─▶ worker ─▶ Message
//! ```
//! `state` is pure: no input, no output, no clock; `view` only reads it; `worker` alone calls the
//! use-cases, on threads of its own, so that nothing slow ever waits in front of the drawing; `run`
//! owns the terminal. One table of keys (`keys`) feeds matching, the hints and the help; one table
//! of views (`views`) feeds tabs, digits, `:` commands, loading and drawing.
//!
//! It starts read-only. Secrets are never drawn: a share token is masked, an access token is
//! dropped, only the link of a session is shown.

pub mod age;
pub mod clipboard;
pub mod dialog;
pub mod filter;
pub mod keys;
pub mod list;
pub mod run;
pub mod state;
pub mod theme;
pub mod twin;
pub mod view;
pub mod views;
pub mod worker;
