//! Approvals of Sumsub's that do not count (contract 9.1): nobody has to look for them.

use countersign::console::theme::Theme;
use countersign::console::view::inbox::{outcome_style, outcome_words};
use countersign::domain::organization::OrganizationType;
use countersign::store::{Outcome, ReviewRow};
use countersign::usecase::decide::Decision;

use super::desk::Desk;
use super::stage::{self, ACME, BOLT, COBALT, JO, ZOE};
use crate::rig::{Rig, Setup};

const SIZE: (u16, u16) = (120, 60);

fn staged() -> Rig {
    let mut setup = Setup { valid_days: 30, ..Setup::default() };
    setup.acceptance.levels_business.push("kyb-plus".to_owned());
    let rig = Rig::with(setup);
    stage::set(&rig);
    stage::set_ignored(&rig);
    rig
}

fn reviews(rig: &Rig, from: (i64, &str), limit: u32) -> Vec<ReviewRow> {
    rig.appliance.store.read(|it| it.reviews(from, limit)).unwrap()
}

#[test]
fn an_approval_that_does_not_count_waits_in_the_queue_with_both_level_names() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("2/cobalt<Enter>");
    desk.sees(&[
        "Cobalt Ltd.",
        "! other_level",
        "kyb-basic; accepted: kyb-level, kyb-plus · since",
    ]);
    desk.press("/<C-u>jo<Enter>").sees(&[
        "! other_applicant_type",
        "a company",
        "kyc-level; accepted",
    ]);
    desk.press("/<C-u>other_level<Enter>").sees(&["Cobalt Ltd.", "Bolt Freight"]);
}

#[test]
fn an_organization_on_hold_with_an_approval_that_does_not_count_is_one_case() {
    let rig = staged();
    let rows = reviews(&rig, (i64::MIN, ""), 99);
    let of = |id: &str| rows.iter().filter(|it| it.organization.as_str() == id).count();
    assert_eq!([BOLT, ZOE, COBALT, JO, ACME].map(of), [1, 1, 1, 1, 0]);

    let mut desk = Desk::at(&rig, SIZE);
    desk.press("2/bolt<Enter>").sees(&[
        "‖ held by operator",
        "! other_level",
        "email-only; accepted",
    ]);
}

#[test]
fn a_rejection_by_an_operator_is_a_case_once_sumsub_approves_at_a_level_that_does_not_count() {
    let rig = staged();
    let id = "org_00000000000000000000000000000008";
    stage::organization(&rig, id, "Delta Ltd.", OrganizationType::Business, None);
    rig.decide(id, Decision::Hold).unwrap();
    rig.decide(id, Decision::Reject).unwrap();
    let is_there = |rig: &Rig| {
        reviews(rig, (i64::MIN, ""), 99).iter().filter(|it| it.organization.as_str() == id).count()
    };
    assert_eq!(is_there(&rig), 0);
    let mut said = stage::green();
    said["levelName"] = "kyb-basic".into();
    stage::review_saying(&rig, id, 8, said);
    assert_eq!(is_there(&rig), 1);
}

#[test]
fn the_queue_is_paged_oldest_first_across_holds_and_approvals_that_do_not_count() {
    let rig = staged();
    let whole = reviews(&rig, (i64::MIN, ""), 99);
    let key = |it: &ReviewRow| (it.since, it.organization.clone());
    assert!(whole.is_sorted_by_key(key));
    assert_eq!(whole.iter().filter(|it| it.ignored.is_some()).count(), 3);
    for size in 1..=5_u32 {
        let (mut seen, mut from): (Vec<ReviewRow>, _) = (Vec::new(), (i64::MIN, String::new()));
        loop {
            let mut page = reviews(&rig, (from.0, &from.1), size + 1);
            let next = page.get(usize::try_from(size).unwrap()).cloned();
            page.truncate(usize::try_from(size).unwrap());
            seen.extend(page);
            let Some(next) = next else { break };
            from = (next.since.as_ms(), next.organization.to_string());
        }
        assert_eq!(seen, whole, "pages of {size}");
    }
}

#[test]
fn the_page_of_its_organization_says_why_it_does_not_count_and_what_to_do() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("2/cobalt<Enter><Enter>").sees(&[
        "! Sumsub approved at 2026-01-14 06:07:35Z, and that does not count:",
        "  other_level: a company at level kyb-basic; accepted: kyb-level, kyb-plus",
        "  accept the level: extend sumsub-level-business, restart, then",
        "  `countersign inbox replay 7`;",
        "  or ask the customer again: hold (H), resubmit (B), a new session (S)",
    ]);
}

#[test]
fn a_delivery_that_does_not_count_says_which_level_it_named_and_what_to_do() {
    let rig = staged();
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("4gjj<Enter>").sees(&[
        "! other_level",
        "Sumsub approved, and that does not count:",
        "a company at level kyb-basic; accepted: kyb-level, kyb-plus",
        "accept the level: extend sumsub-level-business, restart, then",
        "`countersign inbox replay 7`;",
    ]);
    desk.press("[g<Enter>").sees(&[
        "! other_applicant_type",
        "a company at level kyc-level",
        "the organization is of type INDIVIDUAL:",
    ]);
}

#[test]
fn the_timeline_names_the_level_of_a_verdict() {
    let rig = staged();
    let mut said = stage::green();
    said["levelName"] = "kyb-plus".into();
    stage::review_saying(&rig, COBALT, 7, said);
    let mut desk = Desk::at(&rig, SIZE);
    desk.press("/cobalt<Enter><Enter>").sees(&["provider_approved", ", level kyb-plus"]);
    assert!(!desk.screen().contains("does not count"), "{}", desk.screen());
}

#[test]
fn outcomes_that_need_a_look_stand_out_and_the_others_do_not() {
    let theme = Theme::Colour;
    for (outcome, glyph, style) in [
        (Outcome::OtherLevel, '!', theme.careful()),
        (Outcome::OtherApplicantType, '!', theme.careful()),
        (Outcome::UnreadableGuard, '!', theme.careful()),
        (Outcome::AwaitingProvider, '◔', theme.careful()),
        // Every step but the last: as usual as an informational one.
        (Outcome::WorkflowStep, '·', theme.quiet()),
    ] {
        assert_eq!(outcome_words(outcome), format!("{glyph} {}", outcome.as_str()));
        assert_eq!(outcome_style(theme, outcome), style, "{outcome:?}");
    }
}
