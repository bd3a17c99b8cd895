//! The rules that the product exists for, as pure functions of recorded facts and an instant.
//!
//! Glossary, in the words of the public contract:
//! - **organization**: a business or a person known to the broker; its type is fixed at creation.
//! - **verification**: the one KYB or KYC record that every organization has from its creation on.
//! - **fact**: something that happened and was recorded; never changed, never deleted.
//! - **authorization**: a Letter of Authorization (LOA), by which a granting organization lets an
//!   authorized organization act for it.
//! - **effective**: an LOA that is signed while its granter's verification is APPROVED, now.
//!
//! Nothing here reads a file or a socket, and nothing here knows HTTP, SQL or Sumsub's words. Whoever
//! calls brings the facts and the instant; `timekeeper.rs` makes one of the clocks that it is given.
#![deny(clippy::wildcard_enum_match_arm, clippy::float_arithmetic, clippy::arithmetic_side_effects)]

pub mod authorization;
pub mod environment;
pub mod fold;
pub mod handoff;
pub mod http_date;
pub mod letter;
pub mod organization;
pub mod outgoing;
pub mod shares;
pub mod text;
pub mod timekeeper;
pub mod timestamp;
pub mod verdict;
pub mod verification;
