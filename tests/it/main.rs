//! The product's promises, one file per group, through its public faces: HTTP, the command line, and
//! the simulator on the other side. Every test has a register of its own in a temporary directory,
//! a clock of its own, and free ports.
#![cfg(test)]
#![expect(
    clippy::string_slice,
    clippy::excessive_nesting,
    clippy::similar_names,
    reason = "a test cuts text that it knows, and is read from top to bottom"
)]

mod authorizations;
mod backup;
mod cli;
mod clocks;
mod console;
mod crash;
mod decisions;
mod dependencies;
mod doctor;
mod document;
mod explanations;
mod faults;
mod fuzz;
mod gate;
mod handoff;
mod http_attack;
mod idempotency;
mod imports;
mod keys;
mod layers;
mod links;
mod metrics;
mod migrations;
mod one_path;
mod openapi;
mod organizations;
mod outgoing;
mod provider_faults;
mod proxy;
mod readiness;
mod receiver;
mod reconcile;
mod register;
mod reload;
mod replay;
mod retention;
mod rig;
mod secrets;
mod sessions;
mod shares;
mod stand_in;
mod stopping;
mod strangers;
mod sumsub;
mod texts;
mod verdicts;
mod volume;
mod waiting;
mod webhook_key;
mod webhooks;
