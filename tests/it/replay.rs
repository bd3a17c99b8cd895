//! Replay after an upgrade: what the inbox would mean today is told before it is applied.

use countersign::domain::organization::OrganizationId;
use countersign::domain::verification::{Event, Status};
use countersign::store::Outcome;
use countersign::usecase::reconcile::Mode;
use countersign::usecase::replay_inbox::{Filter, Replay, Today, replay_inbox};
use serde_json::json;

use crate::crash::shell;
use crate::rig::{Broker, sumsub_instant};
use crate::sumsub::World;

/// A customer in PENDING, and its GREEN, kept by a predecessor that did not know the type.
fn upgraded() -> (World, Broker, String) {
    let world = World::in_real_time();
    let broker = world.rig.broker();
    let customer = world.rig.customer(&broker, "INDIVIDUAL");
    world.rig.start_session(&broker.key, Some(&customer));
    world.deliver();
    let body = json!({
        "applicantId": world.applicant(&customer), "externalUserId": customer, "sandboxMode": true,
        "type": "applicantReviewed", "reviewStatus": "completed",
        "reviewResult": {"reviewAnswer": "GREEN"},
        "createdAtMs": sumsub_instant(world.rig.now()),
    });
    world.rig.keep_as_unknown_type(&body);
    (world, broker, customer)
}

fn replay(world: &World, filter: &Filter, mode: Mode) -> Replay {
    replay_inbox(&world.rig.appliance, filter, mode).unwrap()
}

#[test]
fn a_dry_run_of_a_replay_tells_changed_outcomes_and_statuses_and_changes_nothing() {
    let (world, broker, customer) = upgraded();
    let rows = || -> (i64, i64) {
        let count = "SELECT (SELECT count(*) FROM delivery_outcome),
                            (SELECT count(*) FROM verification_event)";
        world.rig.database().query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let before = rows();

    let dry = replay(&world, &Filter::default(), Mode::DryRun);

    let found = dry.differences.first().unwrap();
    assert_eq!((dry.differences.len(), found.before), (1, Outcome::UnknownType));
    let approved = Some((Status::Pending, Status::Approved));
    assert_eq!(found.now, Today::Outcome(Outcome::Changed, approved));
    assert_eq!(rows(), before);
    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");

    assert_eq!(replay(&world, &Filter::default(), Mode::Apply).differences.len(), 1);
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
    assert!(replay(&world, &Filter::default(), Mode::Apply).differences.is_empty());
}

#[test]
fn a_filter_leaves_out_what_it_does_not_name() {
    let (world, _, customer) = upgraded();
    let count = |filter: Filter| replay(&world, &filter, Mode::DryRun).differences.len();
    let of = |id: &str| Some(OrganizationId::new(id));

    assert_eq!(count(Filter { organization: of(&customer), ..Filter::default() }), 1);
    assert_eq!(count(Filter { organization: of("org_other"), ..Filter::default() }), 0);
    let typed = |it: &str| Filter { event_type: Some(it.to_owned()), ..Filter::default() };
    assert_eq!(count(typed("applicantReviewed")), 1);
    assert_eq!(count(typed("applicantOnHold")), 0);
    let later = world.rig.now().plus_ms(1);
    assert_eq!(count(Filter { since: Some(later), ..Filter::default() }), 0);
}

#[test]
fn a_fact_stays_whatever_its_delivery_would_mean_today_and_that_is_told() {
    let (world, _, customer) = upgraded();
    replay(&world, &Filter::default(), Mode::Apply);
    // As if the predecessor had read another event out of it.
    let database = world.rig.database();
    database.execute_batch("DROP TRIGGER verification_event_is_a_record").unwrap();
    database
        .execute(
            "UPDATE verification_event SET event = 'provider_on_hold'
             WHERE delivery_id IS NOT NULL AND organization_id = ?1 AND event = 'provider_approved'",
            [&customer],
        )
        .unwrap();

    let told = replay(&world, &Filter::default(), Mode::Apply);

    let found: Vec<Today> = told.differences.iter().map(|it| it.now).collect();
    assert_eq!(found, [Today::FactStays(Event::ProviderApproved)]);
}

#[test]
fn the_command_tells_before_it_applies() {
    let (world, broker, customer) = upgraded();
    let register = world.rig.directory.file("register.db").display().to_string();
    let shell = shell(&world).with(&[("COUNTERSIGN_DATABASE", &register)]);

    let dry = shell.run(&["inbox", "replay", "--all", "--dry-run"]).ends(6);
    assert!(dry.contains("PENDING -> APPROVED") && dry.contains(&customer), "{dry}");
    assert_eq!(world.rig.status(&broker.key, &customer), "PENDING");

    let applied = shell.run(&["inbox", "replay", "--all", "--type", "applicantReviewed"]).ok();
    assert!(applied.contains("unknown_type") && applied.contains("changed"), "{applied}");
    assert_eq!(world.rig.status(&broker.key, &customer), "APPROVED");
    assert_eq!(shell.run(&["inbox", "replay", "--all", "--dry-run"]).ok(), "");
    shell.run(&["inbox", "replay"]).ends(2);
}
