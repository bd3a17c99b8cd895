//! Which actions fit what is selected, and how one begins and is sent.

use crate::console::dialog::{About, Dialog, Parties, Preview, decision, title};
use crate::console::keys::{Action, BINDINGS, Intent};
use crate::console::state::{Access, Busy, Command, DetailItem, Overlay, Place, Sent, State, Tone};
use crate::console::views::View;
use crate::domain::authorization::AuthorizationStatus;
use crate::domain::organization::{OrganizationId, OrganizationType};
use crate::domain::verification::{Event, State as VerificationState, Step, step};
use crate::store::{AuthorizationRow, OutgoingRow};
use crate::usecase::decide::Decision;

/// How often Sumsub is asked anew, while others write, what a re-read would take away.
const REREAD_AGAIN_MS: i64 = 5_000;

/// The organization that an action would be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Its type, where the screen knows it.
    pub kind: Option<OrganizationType>,
    /// Where its verification stands, where the screen knows it.
    pub state: Option<VerificationState>,
}

/// Whether an action fits what is selected; if not, why.
pub fn availability(state: &State, action: Action) -> Result<About, String> {
    match action {
        Action::Create => Ok(About::Nothing),
        Action::Start
        | Action::Import
        | Action::Hold
        | Action::Approve
        | Action::Reject
        | Action::Resubmit
        | Action::Reopen
        | Action::Reread => {
            let subject = state.subject().ok_or("select an organization first")?;
            fits_subject(action, &subject)?;
            if let (Action::Start | Action::Import | Action::Reread, Some(why)) =
                (action, &state.start.no_provider)
            {
                return Err(why.clone());
            }
            Ok(About::Organization(subject.id, subject.name))
        }
        Action::Sign | Action::Revoke => {
            let row = state.loa().ok_or("select an LOA first")?;
            match (action, row.authorization.status) {
                (_, AuthorizationStatus::Revoked) => Err("it is revoked, for ever".to_owned()),
                (Action::Sign, AuthorizationStatus::Active) => {
                    Err("it is signed already".to_owned())
                }
                (_, AuthorizationStatus::Active | AuthorizationStatus::Pending) => {
                    Ok(About::Loa(parties(row), between(row)))
                }
            }
        }
        Action::Request => state.requestable(),
        Action::Resend => state
            .selected_sent()
            .map(About::Outgoing)
            .ok_or_else(|| "select an outgoing webhook first".to_owned()),
        Action::Rehearse | Action::Replay => match state.place() {
            Place::Delivery(id) => Ok(About::Delivery(id)),
            Place::List(View::Inbox) => state
                .inbox
                .selected()
                .map(|it| About::Delivery(it.id))
                .ok_or_else(|| "select a delivery first".to_owned()),
            Place::List(_) | Place::Organization(_) | Place::Outgoing(_) => {
                Err("select a delivery first".to_owned())
            }
        },
    }
}

/// Asks the table that decides; the use-case asks it again in its commit.
fn fits_subject(action: Action, subject: &Subject) -> Result<(), String> {
    if action == Action::Import && subject.kind == Some(OrganizationType::Business) {
        return Err("only for an INDIVIDUAL".to_owned());
    }
    let Some(state) = subject.state else { return Ok(()) };
    let event = match (action, decision(action)) {
        (Action::Start, _) => Event::SessionStarted,
        (Action::Import, _) => Event::ImportAccepted,
        (_, Some(Decision::Hold)) => Event::OperatorHold,
        (_, Some(Decision::Approve)) => Event::OperatorApprove,
        (_, Some(Decision::Reject)) => Event::OperatorReject,
        (_, Some(Decision::Resubmit)) => Event::OperatorResubmit,
        (_, Some(Decision::Reopen)) => Event::OperatorReopen,
        (_, None) => return Ok(()),
    };
    if step(state, event) == Step::Refused {
        return Err(format!("does not fit {}", state.status().as_str()));
    }
    Ok(())
}

fn parties(row: &AuthorizationRow) -> Parties {
    Parties {
        granting: row.authorization.granting.clone(),
        authorized: row.authorization.authorized.clone(),
    }
}

fn between(row: &AuthorizationRow) -> String {
    format!("the LOA of {} for {}", row.granting_name, row.authorized_name)
}

impl State {
    /// The organization that an action would be about.
    pub fn subject(&self) -> Option<Subject> {
        let now = self.now();
        match self.place() {
            Place::List(View::Organizations) => self.organizations.selected().map(|it| Subject {
                id: it.id.clone(),
                name: it.name.as_str().to_owned(),
                kind: Some(it.kind),
                state: Some(it.verification.state_at(now)),
            }),
            Place::List(View::Queue) => self.queue.selected().map(|it| Subject {
                id: it.organization.clone(),
                name: it.name.as_str().to_owned(),
                kind: Some(it.kind),
                state: Some(it.state),
            }),
            Place::List(View::Authorizations) => self.authorizations.selected().map(|it| Subject {
                id: it.authorization.granting.clone(),
                name: it.granting_name.clone(),
                kind: None,
                state: Some(it.verification.state_at(now)),
            }),
            Place::List(View::Activity) => self.activity.selected().map(|it| Subject {
                id: it.organization.clone(),
                name: it.name.clone(),
                kind: None,
                state: None,
            }),
            Place::Organization(_) => self.organization.as_ref().map(|it| Subject {
                id: it.organization.id.clone(),
                name: it.organization.name.as_str().to_owned(),
                kind: Some(it.organization.kind),
                state: Some(it.verification.state_at(now)),
            }),
            Place::List(View::Inbox | View::Outgoing | View::System)
            | Place::Delivery(_)
            | Place::Outgoing(_) => None,
        }
    }

    /// The LOA that an action would be about: the selected one, or the only live one of the open
    /// organization.
    pub fn loa(&self) -> Option<&AuthorizationRow> {
        match self.place() {
            Place::List(View::Authorizations) => self.authorizations.selected(),
            Place::Organization(_) => {
                let detail = self.organization.as_ref()?;
                if let Some(DetailItem::Loa(at)) = self.items.selected() {
                    return detail.authorizations.get(*at);
                }
                let mut live = detail
                    .authorizations
                    .iter()
                    .filter(|it| it.authorization.status != AuthorizationStatus::Revoked);
                let first = live.next();
                if live.next().is_some() { None } else { first }
            }
            Place::List(_) | Place::Delivery(_) | Place::Outgoing(_) => None,
        }
    }

    /// The webhook of ours that is selected or open.
    pub fn selected_sent(&self) -> Option<Sent> {
        let of = |it: &OutgoingRow| Sent {
            owner: it.owner.clone(),
            endpoint: it.endpoint_id.clone(),
            no: it.no,
        };
        match self.place() {
            Place::List(View::Outgoing) => self.outgoing.selected().map(of),
            Place::Outgoing(sent) => Some(sent),
            Place::Organization(_) => match self.items.selected()? {
                DetailItem::Outgoing(at) => self.organization.as_ref()?.outgoing.get(*at).map(of),
                _ => None,
            },
            Place::List(_) | Place::Delivery(_) => None,
        }
    }

    fn requestable(&self) -> Result<About, String> {
        let detail = self.organization.as_ref().ok_or("open the customer first")?;
        if self.place() != Place::Organization(detail.organization.id.clone()) {
            return Err("open the customer first".to_owned());
        }
        let broker = detail
            .organization
            .created_by
            .clone()
            .ok_or("no broker created it, so none can request an LOA of it")?;
        let granting = detail.organization.id.clone();
        let is_live = detail.authorizations.iter().any(|it| {
            it.authorization.granting == granting
                && it.authorization.authorized == broker
                && it.authorization.status != AuthorizationStatus::Revoked
        });
        if is_live {
            return Err("a live LOA exists already".to_owned());
        }
        let names = (detail.organization.name.as_str(), detail.creator_name.as_deref());
        let text = format!("the LOA of {} for {}", names.0, names.1.unwrap_or("its creator"));
        Ok(About::Loa(Parties { granting, authorized: broker }, text))
    }

    /// The actions of the place one is at, in the order of the key table.
    pub fn actions(&self) -> Vec<Action> {
        let place = self.place();
        BINDINGS
            .iter()
            .filter(|it| it.scope.holds(&place))
            .filter_map(|it| match it.intent {
                Intent::Do(action) => Some(action),
                _ => None,
            })
            .collect()
    }

    pub(super) fn begin_action(&mut self, action: Action) -> Vec<Command> {
        let about = match availability(self, action) {
            Ok(about) => about,
            Err(why) => {
                self.say(Tone::Bad, format!("{}: {why}", title(action)));
                return Vec::new();
            }
        };
        if action == Action::Rehearse {
            return self.rehearse(&about);
        }
        if !self.is_unlocked() {
            let hint = match self.start.access {
                Access::ReadOnly => "started with --read-only",
                Access::Locked | Access::UnlockedUntil(_) => "read-only: press u to unlock",
            };
            self.say(Tone::Plain, format!("{}: {hint}", title(action)));
            return Vec::new();
        }
        if self.trouble.is_some() {
            // Whatever were written now might be written to a file that nobody will read again.
            self.say(Tone::Bad, format!("{}: not while the register is lost", title(action)));
            return Vec::new();
        }
        if self.busy.is_some() {
            self.say(Tone::Plain, "one thing at a time: Esc stops waiting");
            return Vec::new();
        }
        let ticket = self.next_ticket();
        let dialog = Dialog::new(action, about, ticket, self.now());
        self.overlay = Overlay::Dialog(Box::new(dialog));
        self.preview().into_iter().collect()
    }

    /// Asks what the open dialog would take away. An earlier question's answer no longer counts.
    pub(super) fn preview(&mut self) -> Option<Command> {
        let (question, now) = (self.next_ticket(), self.now());
        let Overlay::Dialog(dialog) = &mut self.overlay else { return None };
        if dialog.preview == Preview::Harmless {
            return None;
        }
        dialog.question = Some(question);
        dialog.asked_at = now;
        dialog.is_outdated = false;
        Some(Command::Preview(question, dialog.action, dialog.about.clone()))
    }

    /// Somebody has written while a dialog stands open: what it would take away may be another.
    pub(super) fn preview_again(&mut self) -> Option<Command> {
        if let Overlay::Dialog(dialog) = &mut self.overlay {
            dialog.is_outdated = true;
        }
        self.preview_if_due()
    }

    /// Asks again if somebody has written, one question at a time.
    pub(super) fn preview_if_due(&mut self) -> Option<Command> {
        let now = self.now();
        let Overlay::Dialog(dialog) = &self.overlay else { return None };
        let waited_ms = now.as_ms().saturating_sub(dialog.asked_at.as_ms());
        let is_due = dialog.action != Action::Reread || waited_ms >= REREAD_AGAIN_MS;
        if !dialog.is_outdated || dialog.question.is_some() || !is_due {
            return None;
        }
        self.preview()
    }

    /// A dry run keeps nothing, so it is allowed while locked; its answer stands in the delivery.
    fn rehearse(&mut self, about: &About) -> Vec<Command> {
        let About::Delivery(id) = *about else { return Vec::new() };
        let mut commands = self.go(Place::Delivery(id));
        self.rehearsal = None;
        commands.push(Command::Rehearse(id));
        commands
    }

    /// Sends what a dialog asked for, if it is complete and the console is unlocked.
    pub(super) fn submit(&mut self) -> Vec<Command> {
        let (is_unlocked, now) = (self.is_unlocked(), self.now());
        let trouble = self.trouble.clone();
        let Overlay::Dialog(dialog) = &mut self.overlay else { return Vec::new() };
        if !is_unlocked {
            dialog.trouble = Some("locked again: Esc, then u unlocks".to_owned());
            return Vec::new();
        }
        if trouble.is_some() {
            dialog.trouble = trouble;
            return Vec::new();
        }
        let act = match dialog.act(now) {
            Ok(act) => act,
            Err(why) => {
                dialog.trouble = Some(why);
                return Vec::new();
            }
        };
        dialog.trouble = None;
        let what = title(dialog.action);
        let dialog = dialog.clone();
        let ticket = self.next_ticket();
        self.busy = Some(Busy { ticket, what, since: now, dialog });
        self.overlay = Overlay::None;
        vec![Command::Act(ticket, act)]
    }
}
