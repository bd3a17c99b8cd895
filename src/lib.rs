//! Countersign.
pub mod api;
pub mod domain;
pub mod http;
pub mod store;
pub mod sumsub;
pub mod usecase;
