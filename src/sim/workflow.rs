//! Workflows: an ordered list of levels, and what a verdict at one of them leads to.
//!
//! An applicant of the recipient is in the workflow of its type while its level is one of the
//! workflow's; a company's people are not. Moving it to a level of the list continues there, moving
//! it elsewhere leaves the workflow. That `applicantReviewed` closes a level and the two workflow
//! events close the whole is what integrators report; no page states the events in between. A reset
//! stays at its level; whether the real service goes back to the first one is unknown.
//!
//! ```text
//!                GREEN, not the last level            GREEN, the last level
//!   a level ------------------------------> next level ---------------------> WorkflowCompleted
//!     |  Reviewed, (LevelChanged,) AwaitingUser |         Reviewed
//!     |  RED RETRY: Reviewed; it waits          |
//!     +----------- RED FINAL: Reviewed ---------+---------------------------> WorkflowFailed
//! ```

use super::applicant::{ReviewResult, ReviewStatus, Step};
use super::event::Event;
use super::settings::{Level, LevelChanges, Workflow};
use super::tenant::TenantId;
use super::world::World;

impl World {
    /// Sets the workflow of a type of applicant; one without levels ends it. Applicants at one of
    /// its levels are in it from now on.
    pub(super) fn set_workflow(&mut self, workflow: Workflow) -> Result<(), String> {
        for name in &workflow.levels {
            let level = |it: &&Level| it.name == *name;
            match self.levels.iter().find(level) {
                None => return Err(format!("there is no level '{name}'")),
                Some(level) if level.applicant_type != workflow.applicant_type => {
                    let kind = workflow.applicant_type.as_str();
                    return Err(format!("level '{name}' is not for type {kind}"));
                }
                Some(_) => {}
            }
            if workflow.levels.iter().filter(|it| *it == name).count() > 1 {
                return Err(format!("level '{name}' is in it twice"));
            }
        }
        self.workflows.retain(|it| it.applicant_type != workflow.applicant_type);
        if !workflow.levels.is_empty() {
            self.workflows.push(workflow);
        }
        Ok(())
    }

    /// The workflow that an applicant is in, and at which of its levels, from 0.
    pub(super) fn workflow_of(&self, id: &str) -> Option<(&Workflow, usize)> {
        let applicant = self.applicants.get(id)?;
        if applicant.tenant != TenantId::Recipient || applicant.member_of.is_some() {
            return None;
        }
        let workflow = self.workflows.iter().find(|it| it.applicant_type == applicant.kind)?;
        let position = workflow.levels.iter().position(|it| *it == applicant.level)?;
        Some((workflow, position))
    }

    /// A verdict has fallen: the next level begins, or the workflow ends, or it waits.
    pub(super) fn follow_workflow(&mut self, id: &str) {
        let Some((workflow, position)) = self.workflow_of(id) else { return };
        let (changes, next) = (workflow.level_changes, workflow.levels.get(position + 1).cloned());
        let Some(review) = self.applicants.get(id).map(|it| &it.review) else { return };
        match next {
            Some(next) if review.is_approved() => self.begin_level(id, next, changes),
            None if review.is_approved() => self.emit(id, &Event::WorkflowCompleted),
            _ if review.is_finally_rejected() => self.emit(id, &Event::WorkflowFailed),
            _ => {}
        }
    }

    /// The next level wants documents of its own; the GREEN of the one before stays beside
    /// `awaitingUser`.
    fn begin_level(&mut self, id: &str, next: String, changes: LevelChanges) {
        let Some(applicant) = self.applicants.get_mut(id) else { return };
        applicant.documents.clear();
        let previous = std::mem::replace(&mut applicant.level, next);
        if changes == LevelChanges::Announced {
            self.restart(id, &Event::LevelChanged { previous });
        }
        if self.step(id, Step::AwaitUser).is_ok() {
            self.emit(id, &Event::AwaitingUser);
        }
    }

    /// Ends a workflow outright, whether there was one or not, with the verdict given. Without one,
    /// it is completed with the current verdict, or GREEN, and fails without any.
    pub(super) fn end_workflow(&mut self, id: &str, event: &Event, verdict: Option<ReviewResult>) {
        let review = self.applicants.get(id).map(|it| &it.review);
        let current = review
            .filter(|it| it.status == ReviewStatus::Completed)
            .and_then(|it| it.result.clone())
            .unwrap_or_else(ReviewResult::green);
        let step = match (verdict, event) {
            (Some(verdict), _) => Step::Complete(verdict),
            (None, Event::WorkflowFailed) => Step::Fail,
            (None, _) => Step::Complete(current),
        };
        if self.step(id, step).is_ok() {
            self.emit(id, event);
        }
    }
}
