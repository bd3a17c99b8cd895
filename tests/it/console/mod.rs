//! The console: its logic as values, its screens as text, its keys against a real register, and the
//! program in a real terminal.

mod clock;
mod consequences;
mod day;
mod decisions;
pub(crate) mod desk;
mod fuzz;
mod ignored;
mod long_lists;
mod pictures;
mod reading;
mod screens;
mod selection;
pub(crate) mod stage;
mod terminal;
mod updates;
