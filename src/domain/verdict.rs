//! Whose verdict counts (contract 9.1): a GREEN approves only at an accepted level and for an
//! applicant of the organization's type; what takes access away counts from wherever it comes.

use crate::domain::fold::Fact;
use crate::domain::organization::OrganizationType;
use crate::domain::verification::Event;

/// Something that Sumsub may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<T> {
    /// It does not.
    Not,
    /// It names something, but none that can be read.
    Unreadably,
    /// It names this.
    As(T),
}

impl<T> Named<T> {
    /// What was named, if it can be read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::As(it) => Some(it),
            Self::Not | Self::Unreadably => None,
        }
    }
}

/// By which of Sumsub's words a verification is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// By the verdict on a level.
    Level,
    /// By the end of a workflow, which leads through several levels.
    Workflow,
}

/// Which verdicts the operator accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// The levels that verify a BUSINESS. The first is asked for, all are accepted.
    pub levels_business: Vec<String>,
    /// As above, for an INDIVIDUAL.
    pub levels_individual: Vec<String>,
    /// By what a verification is decided.
    pub decided_by: DecidedBy,
}

impl Acceptance {
    /// The levels that verify an organization of this type.
    pub fn levels(&self, kind: OrganizationType) -> &[String] {
        match kind {
            OrganizationType::Business => &self.levels_business,
            OrganizationType::Individual => &self.levels_individual,
        }
    }

    /// The level that a session or an import of an organization of this type asks for.
    pub fn level_asked_for(&self, kind: OrganizationType) -> Option<&str> {
        self.levels(kind).first().map(String::as_str)
    }
}

/// What a word of Sumsub's is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// An applicant's review at one level.
    Review,
    /// The end of a workflow.
    Workflow,
}

/// A word of Sumsub's on a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What it says.
    pub event: Event,
    /// What it is about.
    pub about: About,
    /// The applicant's level.
    pub level: Named<String>,
    /// The applicant's type.
    pub applicant_type: Named<OrganizationType>,
    /// Whether something that guards it is there and cannot be read.
    pub has_unreadable_guard: bool,
}

/// Why an approval does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Its level is none of those that are accepted.
    OtherLevel,
    /// It is about a person and the organization is a business, or the other way round.
    OtherApplicantType,
    /// Something that guards it cannot be read.
    UnreadableGuard,
    /// It ended a step of a workflow, and the workflow goes on.
    WorkflowStep,
}

/// How an import brought an applicant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The level that it asked for, or the one that the copied applicant has. Empty: Sumsub named
    /// none. `None`: a predecessor recorded it, which did not ask.
    pub level: Option<String>,
}

/// The import that brought an applicant, if one did. One that had lost its right brought none.
pub fn import_of<'f>(
    facts: impl IntoIterator<Item = &'f Fact>,
    applicant_id: Option<&str>,
) -> Option<Import> {
    facts
        .into_iter()
        .filter(|it| it.event == Event::ImportAccepted && !it.is_audit_link())
        .find(|it| it.applicant_id.is_some() && it.applicant_id.as_deref() == applicant_id)
        .map(|it| Import { level: it.level.clone() })
}

/// What counts of a word about an organization of this type: an event, or why there is none.
pub fn judge(
    word: &Word,
    kind: OrganizationType,
    import: Option<&Import>,
    acceptance: &Acceptance,
) -> Result<Event, Ignored> {
    let is_step = acceptance.decided_by == DecidedBy::Workflow
        && word.about == About::Review
        && import.is_none();
    match (word.event, is_step) {
        (Event::ProviderApproved, _) => {}
        (Event::ProviderRejected | Event::ProviderRetry | Event::ProviderOnHold, true) => {
            return Ok(Event::ProviderStepFailed);
        }
        (other, _) => return Ok(other),
    }
    if word.has_unreadable_guard {
        return Err(Ignored::UnreadableGuard);
    }
    match word.applicant_type {
        Named::As(it) if it != kind => return Err(Ignored::OtherApplicantType),
        Named::Unreadably => return Err(Ignored::OtherApplicantType),
        Named::As(_) | Named::Not => {}
    }
    if is_step {
        return Err(Ignored::WorkflowStep);
    }
    let is_any_level = acceptance.decided_by == DecidedBy::Workflow
        && word.about == About::Workflow
        && import.is_none();
    let fits = is_any_level || has_accepted_level(word, kind, import, acceptance);
    if fits { Ok(Event::ProviderApproved) } else { Err(Ignored::OtherLevel) }
}

fn has_accepted_level(
    word: &Word,
    kind: OrganizationType,
    import: Option<&Import>,
    acceptance: &Acceptance,
) -> bool {
    let is_accepted = |level: &String| acceptance.levels(kind).contains(level);
    match (&word.level, import.and_then(|it| it.level.as_ref())) {
        (Named::As(level), _) => is_accepted(level),
        (Named::Unreadably, _) => false,
        (Named::Not, Some(of_import)) => is_accepted(of_import),
        // A session's applicant was made at the level that was asked for.
        (Named::Not, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;
    use Ignored::{OtherApplicantType, OtherLevel, UnreadableGuard, WorkflowStep};
    use OrganizationType::{Business, Individual};

    fn acceptance(decided_by: DecidedBy) -> Acceptance {
        let levels = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        Acceptance {
            levels_business: levels(&["kyb", "kyb-2"]),
            levels_individual: levels(&["kyc"]),
            decided_by,
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a table reads better so")]
    fn word(event: Event, level: Named<&str>, applicant_type: Named<OrganizationType>) -> Word {
        Word {
            event,
            about: About::Review,
            level: match level {
                Named::Not => Named::Not,
                Named::Unreadably => Named::Unreadably,
                Named::As(it) => Named::As(it.to_owned()),
            },
            applicant_type,
            has_unreadable_guard: false,
        }
    }

    const GREEN: Event = Event::ProviderApproved;

    #[test]
    fn an_import_that_had_lost_its_right_brought_no_applicant() {
        let import = |begun_at: Option<i64>| Fact {
            sequence: 1,
            event: Event::ImportAccepted,
            happened_at: Timestamp::from_ms(1),
            known_at: Timestamp::from_ms(1),
            applicant_id: Some("a".to_owned()),
            begun_at: begun_at.map(Timestamp::from_ms),
            valid_days: 0,
            level: Some("partner".to_owned()),
            basis: None,
            clock: None,
        };

        assert_eq!(import_of(&[import(None)], Some("a")), None);
        let rightful = [import(None), import(Some(1))];
        assert_eq!(import_of(&rightful, Some("a")).unwrap().level.as_deref(), Some("partner"));
    }

    #[test]
    fn a_green_counts_only_at_an_accepted_level_and_for_the_right_type() {
        let accepted = acceptance(DecidedBy::Level);
        for (level, kind, named, expected) in [
            (Named::As("kyb"), Business, Named::As(Business), Ok(GREEN)),
            (Named::As("kyb-2"), Business, Named::Not, Ok(GREEN)),
            (Named::Not, Business, Named::Not, Ok(GREEN)),
            (Named::Not, Business, Named::As(Business), Ok(GREEN)),
            (Named::As("kyc"), Individual, Named::As(Individual), Ok(GREEN)),
            (Named::As("KYB"), Business, Named::As(Business), Err(OtherLevel)),
            (Named::As("kyb "), Business, Named::As(Business), Err(OtherLevel)),
            (Named::As(""), Business, Named::As(Business), Err(OtherLevel)),
            (Named::As("kyc"), Business, Named::As(Business), Err(OtherLevel)),
            (Named::As("kyb"), Individual, Named::Not, Err(OtherLevel)),
            (Named::Unreadably, Business, Named::As(Business), Err(OtherLevel)),
            (Named::As("kyb"), Business, Named::As(Individual), Err(OtherApplicantType)),
            (Named::As("kyc"), Individual, Named::As(Business), Err(OtherApplicantType)),
            (Named::As("kyb"), Business, Named::Unreadably, Err(OtherApplicantType)),
            (Named::As("kyc"), Business, Named::As(Individual), Err(OtherApplicantType)),
        ] {
            let said = word(GREEN, level, named);
            assert_eq!(judge(&said, kind, None, &accepted), expected, "{said:?} for {kind:?}");
        }
    }

    #[test]
    fn what_takes_access_away_counts_from_any_level_type_and_guard() {
        let accepted = acceptance(DecidedBy::Level);
        for event in Event::ALL.into_iter().filter(|it| *it != GREEN) {
            let mut said = word(event, Named::As("email"), Named::As(Individual));
            said.has_unreadable_guard = true;
            assert_eq!(judge(&said, Business, None, &accepted), Ok(event));
            said.level = Named::Unreadably;
            said.applicant_type = Named::Unreadably;
            assert_eq!(judge(&said, Business, None, &accepted), Ok(event));
        }
    }

    #[test]
    fn an_approval_behind_a_guard_that_cannot_be_read_has_no_effect() {
        for decided_by in [DecidedBy::Level, DecidedBy::Workflow] {
            for about in [About::Review, About::Workflow] {
                let mut said = word(GREEN, Named::As("kyb"), Named::As(Business));
                (said.about, said.has_unreadable_guard) = (about, true);
                let judged = judge(&said, Business, None, &acceptance(decided_by));
                assert_eq!(judged, Err(UnreadableGuard));
            }
        }
    }

    #[test]
    fn of_a_workflow_only_its_end_decides_and_a_failed_step_is_told_apart() {
        use Event as E;
        let workflow = acceptance(DecidedBy::Workflow);
        for (event, of_step, of_end) in [
            (GREEN, Err(WorkflowStep), Ok(GREEN)),
            (E::ProviderRejected, Ok(E::ProviderStepFailed), Ok(E::ProviderRejected)),
            (E::ProviderRetry, Ok(E::ProviderStepFailed), Ok(E::ProviderRetry)),
            (E::ProviderOnHold, Ok(E::ProviderStepFailed), Ok(E::ProviderOnHold)),
            (E::ProviderPending, Ok(E::ProviderPending), Ok(E::ProviderPending)),
            (E::ProviderAwaitingUser, Ok(E::ProviderAwaitingUser), Ok(E::ProviderAwaitingUser)),
            (E::ProviderReset, Ok(E::ProviderReset), Ok(E::ProviderReset)),
        ] {
            for level in [Named::As("kyb"), Named::As("email"), Named::Not, Named::Unreadably] {
                let mut said = word(event, level, Named::As(Business));
                assert_eq!(judge(&said, Business, None, &workflow), of_step, "{said:?}");
                said.about = About::Workflow;
                assert_eq!(judge(&said, Business, None, &workflow), of_end, "{said:?}");
            }
        }
        let mut persons = word(GREEN, Named::As("kyb"), Named::As(Individual));
        persons.about = About::Workflow;
        assert_eq!(judge(&persons, Business, None, &workflow), Err(OtherApplicantType));
    }

    #[test]
    fn of_an_imported_applicant_its_review_decides_in_both_modes() {
        let of = |level: Option<&str>| Import { level: level.map(str::to_owned) };
        for decided_by in [DecidedBy::Level, DecidedBy::Workflow] {
            let accepted = acceptance(decided_by);
            for (level, import, expected) in [
                (Named::Not, of(Some("kyc")), Ok(GREEN)),
                (Named::Not, of(Some("partner")), Err(OtherLevel)),
                (Named::Not, of(Some("")), Err(OtherLevel)),
                (Named::Not, of(None), Ok(GREEN)),
                (Named::As("kyc"), of(Some("partner")), Ok(GREEN)),
                (Named::As("partner"), of(Some("kyc")), Err(OtherLevel)),
                (Named::As("partner"), of(Some("partner")), Err(OtherLevel)),
                (Named::Unreadably, of(Some("kyc")), Err(OtherLevel)),
            ] {
                let said = word(GREEN, level, Named::As(Individual));
                assert_eq!(
                    judge(&said, Individual, Some(&import), &accepted),
                    expected,
                    "{said:?} after {import:?}"
                );
            }
            let red = word(Event::ProviderRejected, Named::Not, Named::Not);
            let judged = judge(&red, Individual, Some(&of(Some("kyc"))), &accepted);
            assert_eq!(judged, Ok(Event::ProviderRejected));
        }
    }

    #[test]
    fn a_type_may_have_several_levels_of_which_the_first_is_asked_for() {
        let accepted = acceptance(DecidedBy::Level);
        assert_eq!(accepted.level_asked_for(Business), Some("kyb"));
        assert_eq!(accepted.level_asked_for(Individual), Some("kyc"));
        let none = Acceptance { levels_business: Vec::new(), ..accepted };
        assert_eq!(none.level_asked_for(Business), None);
    }

    #[test]
    fn only_what_can_be_read_is_a_value() {
        assert_eq!(Named::As(7).value(), Some(&7));
        assert_eq!((Named::<i32>::Not.value(), Named::<i32>::Unreadably.value()), (None, None));
    }

    #[test]
    fn an_applicant_was_imported_if_an_import_brought_that_very_one() {
        use crate::domain::timestamp::Timestamp;
        let fact = |event, applicant: Option<&str>, level: Option<&str>| Fact {
            sequence: 1,
            event,
            happened_at: Timestamp::from_ms(1),
            known_at: Timestamp::from_ms(1),
            applicant_id: applicant.map(str::to_owned),
            begun_at: Some(Timestamp::from_ms(1)),
            valid_days: 0,
            level: level.map(str::to_owned),
            basis: None,
            clock: None,
        };
        let facts = [
            fact(Event::SessionStarted, Some("s"), Some("kyc")),
            fact(Event::ImportAccepted, Some("i"), Some("partner")),
            fact(Event::ImportAccepted, None, None),
        ];
        let of = |applicant: Option<&str>| import_of(&facts, applicant);
        assert_eq!(of(Some("i")), Some(Import { level: Some("partner".to_owned()) }));
        assert_eq!((of(Some("s")), of(Some("z")), of(None)), (None, None, None));
    }
}
