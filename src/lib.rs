//! Countersign: a broker verifies its customers through Sumsub, holds their signed Letters of
//! Authorization, and knows at every instant whether it may act for them.
//!
//! One synchronous binary over one `SQLite` file. The rooms, from the ground up; a room imports only
//! what stands above it in this list (`tests/it/layers.rs` holds that as a table):
//!
//! - [`domain`]: the rules as pure functions of recorded facts and an instant: the transition table
//!   (`verification.rs`), whose verdict counts (`verdict.rs`), the fold of facts through the table
//!   (`fold.rs`), what time it is (`timekeeper.rs`), the LOA and the gate (`authorization.rs`), which
//!   text of people is taken and how any text is shown (`text.rs`), how organizations share a bounded
//!   number of places (`shares.rs`).
//! - [`reloadable`]: a value that a reload may replace while others use it. Knows nothing of ours.
//! - [`http`]: HTTP/1.1 as plain values; a bounded, blocking connection loop. Knows nothing of ours.
//! - [`store`]: the register: `schema.sql`, and whether a file has it (`shape.rs`); one writer with
//!   group commit, and whether its disk takes what it writes (`disk.rs`); a file per noun; copies of
//!   it, and their proof (`copy.rs`, `proof.rs`).
//! - [`sumsub`]: the Sumsub client, its signatures, and the only reading of its JSON (`wire.rs`).
//! - [`outbox`]: the way to our callers' webhook endpoints: derived secrets, Standard Webhooks
//!   signatures, and which addresses may be dialled.
//! - [`sim`]: a Sumsub to develop, test and demonstrate against. Shares nothing with the client but
//!   the signature.
//! - [`usecase`]: what the product does, one verb a file; only here do register and Sumsub meet.
//! - [`console`]: the operator's terminal: state, update, view; the only home of ratatui.
//! - [`api`]: the public contract: routing, authentication, the table of errors.
//! - [`handoff`]: the customer's pages: sign the letter and be verified, by one link.
//!
//! Five walks, each readable without a search. *A poll*: `http` → `api::Api::handle` →
//! `usecase::authenticate` (one read: key, organization, LOA, verification) → the verification at
//! now → body; Sumsub is never asked. *A session*: `usecase::start_session` asks the table, then
//! Sumsub with no transaction open, then the table and the gate again in the commit that records
//! the fact. *A webhook*: `usecase::receive_webhook` checks the digest over the raw bytes, and in
//! one commit keeps them, records the fact in its place, folds, and records the outcome; then 200.
//! *An event, on its way out*: `store::outgoing_message` writes it in the commit of the change,
//! whoever changed what; `usecase::deliver_events` claims, signs, sends and records. *A webhook
//! that never came*: `usecase::reconciler` says whom to ask about, `usecase::reconcile` asks
//! Sumsub, tries the answer on the facts, and records it if it changes what they come to.
pub mod api;
pub mod cli;
pub mod config;
pub mod console;
pub mod domain;
pub mod handoff;
pub mod http;
pub mod outbox;
pub mod reloadable;
pub mod sim;
pub mod store;
pub mod sumsub;
pub mod usecase;
