//! `countersign openapi`: the contract for programs, as the server of this version serves it.

use super::output::Answer;
use crate::api::OPENAPI;

pub(super) const HELP: &str = "\
Example:
  countersign openapi > openapi.json

A running server answers the same at /openapi.json, and shows it to people at
/docs.";

pub(super) fn print() -> Answer {
    Answer::text(OPENAPI.to_owned())
}
