//! The Sumsub client.
pub mod signature;
