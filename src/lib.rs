//! Countersign.
pub mod http;
pub mod sumsub;
