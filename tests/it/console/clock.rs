//! How this machine's clock stands, and what waits for that (contract 9.3), is on the system screen.

use std::sync::Arc;

use countersign::console::state::Message;
use countersign::domain::timekeeper::{ClockStanding, Timekeeper};
use countersign::store::ServingLock;
use countersign::usecase::Appliance;

use super::desk::Desk;
use super::stage::{self, ACME};
use super::terminal::another;
use crate::rig::{Rig, START_MS, Setup};

const SIZE: (u16, u16) = (120, 60);

fn staged() -> Rig {
    let rig = Rig::with(Setup { valid_days: 30, ..Setup::default() });
    stage::set(&rig);
    stage::set_ignored(&rig);
    rig
}

#[test]
fn a_clock_behind_the_register_is_an_alarm_on_the_system_screen_and_approvals_wait() {
    let rig = staged();
    rig.set_clock(-2 * 3_600_000 - 60_000);
    stage::review(&rig, ACME, 2, "GREEN");
    let mut desk = Desk::at(&rig, SIZE);
    desk.wait_until("the clock", |it| matches!(it.clock, Some(ClockStanding::Behind { .. })));
    desk.press("7").sees(&[
        "CLOCK      ! 2 h behind the register's newest fact",
        "approvals wait: set the clock (`timedatectl`), or let Sumsub answer",
        "APPROVALS  3 do not count (2 lists them), 1 waits for Sumsub's answer",
    ]);
    desk.press("4g<Enter>").sees(&["◔ awaiting_provider", "7 shows the clock"]);
}

#[test]
fn a_clock_that_differs_from_sumsubs_says_by_how_much() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("7");
    for (standing, said) in [
        (ClockStanding::Unknown, "not compared with Sumsub's"),
        (ClockStanding::Known { offset_ms: 400 }, "agrees with Sumsub's"),
        (ClockStanding::Known { offset_ms: 90_000 }, "1 min behind Sumsub's; every instant"),
        (ClockStanding::Known { offset_ms: -7_200_000 }, "2 h ahead of Sumsub's; every instant"),
        (ClockStanding::Known { offset_ms: 200_000_000 }, "too far to be corrected"),
    ] {
        desk.send(Message::Clock(standing));
        desk.sees(&[said]);
    }
}

#[test]
fn a_console_learns_the_time_from_a_server_that_measures_it_later() {
    let rig = staged();
    let machine = rig.appliance.timekeeper.machine();
    let (clock, boot_id) = (Arc::clone(&machine), rig.appliance.timekeeper.moment().boot_id);
    let uptime = Arc::new(move || clock().as_ms() - START_MS);
    let timekeeper = Timekeeper::new(machine, uptime, boot_id);
    let beside = Appliance { timekeeper, ..another(&rig, Arc::clone(&rig.appliance.clock)) };
    let served = ServingLock::take(&rig.directory.file("register.db")).unwrap();
    let mut desk = Desk::of(&rig, &Arc::new(beside), SIZE);
    desk.wait_until("the clock", |it| it.clock == Some(ClockStanding::Unknown));

    rig.appliance.timekeeper.measure(60_000);
    let (measured, now) = (rig.appliance.timekeeper.measured(), rig.now());
    let noted = rig.appliance.store.write(move |tx| tx.note_measured_clock(measured.as_ref(), now));
    noted.unwrap();

    let known = Some(ClockStanding::Known { offset_ms: 60_000 });
    desk.wait_until("the server's time", |it| it.clock == known);
    drop(served);
}
