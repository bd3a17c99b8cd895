//! A dialog in front of every action: what it will do, whom it will hit, the words it needs.
//!
//! It confirms nothing before it has been drawn ([`Sight`]), with the consequences of what it would
//! take away. A decision rests on what its dialog has shown ([`Basis`]), and on nothing newer
//! (contract 9.2).

use std::fmt;

use tui_input::Input;

use crate::console::age;
use crate::console::keys::Action;
use crate::console::state::Sent;
use crate::domain::fold::Overrule;
use crate::domain::organization::{Name, OrganizationId, OrganizationType};
use crate::domain::text::{self, Objection};
use crate::domain::timestamp::Timestamp;
use crate::domain::verification::Event;
use crate::store::IgnoredApproval;
use crate::usecase::authorizations::{EVIDENCE_CHARACTERS_MAX, Signature, signed_at};
use crate::usecase::create_organization::NewOrganization;
use crate::usecase::decide::{Decision, Ground, REASON_CHARACTERS_MAX, Shown};
use crate::usecase::explain::ignored_in_words;
use crate::usecase::import_verification::{SHARE_TOKEN_CHARACTERS_MAX, ShareToken};
use crate::usecase::observe::Consequences;

/// Something to be done, with everything it needs. Carried out by the worker, through the same
/// use-cases as API and command line.
#[derive(Clone, Debug)]
pub enum Act {
    /// Create an organization.
    Create(NewOrganization),
    /// Start a session.
    Start(OrganizationId),
    /// Import by a share token.
    Import(OrganizationId, ShareToken),
    /// Decide on a verification, for this reason.
    Decide(OrganizationId, Decision, Ground, String),
    /// Record a signature.
    Sign(Parties, Signature),
    /// Take an LOA back.
    Revoke(Parties, Option<String>),
    /// Request an LOA.
    Request(Parties),
    /// Ask Sumsub, and apply what it says.
    Reread(OrganizationId),
    /// Apply a delivery again.
    Replay(i64),
    /// Send a webhook again.
    Resend(Sent),
}

/// The two sides of an LOA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// The customer.
    pub granting: OrganizationId,
    /// The broker.
    pub authorized: OrganizationId,
}

/// What a dialog is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// Nothing that exists yet.
    Nothing,
    /// An organization, by id and name.
    Organization(OrganizationId, String),
    /// An LOA, by its parties and their names.
    Loa(Parties, String),
    /// A delivery.
    Delivery(i64),
    /// A webhook of ours.
    Outgoing(Sent),
}

/// What the operator has seen of a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing yet: every key was meant for something else.
    Unseen,
    /// It has just appeared, or what it says has just changed: one may type, and not confirm. A held
    /// Enter, or a paste that the terminal does not mark as one, ends here.
    Glimpsed,
    /// It stood on the screen as it is for long enough to be read.
    Seen,
}

/// What a decision's dialog shows of the verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The newest fact of Sumsub's or an operator's: its number, what it is, and when it happened.
    pub newest: Option<(i64, Event, Timestamp)>,
    /// What an approval would overrule.
    pub overrule: Option<Overrule>,
    /// The approval of Sumsub's that does not count.
    pub ignored: Option<IgnoredApproval>,
}

impl Basis {
    /// From what is known of the verification.
    pub fn of(shown: Shown) -> Self {
        let newest = shown.newest.map(|it| it.fact);
        Self {
            newest: newest.map(|it| (it.sequence, it.event, it.happened_at)),
            overrule: shown.overrule,
            ignored: shown.ignored,
        }
    }

    /// The number of the newest fact; 0: there is none.
    pub fn fact(&self) -> i64 {
        self.newest.map_or(0, |(number, ..)| number)
    }

    /// The newest fact, in words.
    pub fn newest_in_words(&self) -> String {
        match self.newest {
            None => "nothing from Sumsub or an operator yet".to_owned(),
            Some((number, event, at)) => {
                format!("{} of {} (fact {number})", event.as_str(), age::exact(at))
            }
        }
    }

    /// Whether an approval needs to be confirmed as one against Sumsub.
    pub fn is_against_provider(&self) -> bool {
        matches!(self.overrule, Some(Overrule::Against { .. }))
    }
}

/// What is found out before an act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// What it would take away.
    pub takes_away: Consequences,
    /// What it rests on, if it is a decision.
    pub basis: Option<Basis>,
}

/// What is known of the consequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preview {
    /// It takes nothing away.
    Harmless,
    /// Being found out; nothing is confirmed meanwhile.
    Pending,
    /// Known.
    Known(Outlook),
    /// Could not be found out; nothing is confirmed.
    Failed(String),
}

/// What may be typed into a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A secret: drawn as dots and its length.
    Secret,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One field.
#[derive(Clone)]
pub struct Field {
    /// Its label.
    pub label: &'static str,
    /// What goes in.
    pub kind: Kind,
    /// What was typed.
    pub input: Input,
}

/// What was typed may be a secret.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("label", &self.label).finish_non_exhaustive()
    }
}

/// A dialog.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// What it will do.
    pub action: Action,
    /// To whom.
    pub about: About,
    /// The fields.
    pub fields: Vec<Field>,
    /// The field that is typed into.
    pub focus: usize,
    /// The consequences.
    pub preview: Preview,
    /// The question about them that is under way: only its answer counts.
    pub question: Option<u64>,
    /// When they were asked for.
    pub asked_at: Timestamp,
    /// Whether somebody has written since.
    pub is_outdated: bool,
    /// Its number; another one after every change of what it says.
    pub ticket: u64,
    /// What has been seen of it.
    pub sight: Sight,
    /// What is wrong with what was typed, or why the act was refused.
    pub trouble: Option<String>,
}

const TYPES: &[&str] = &["BUSINESS", "INDIVIDUAL"];
const REASON: &str = "Reason";
/// The choice that an approval against Sumsub's verdict needs.
pub const OVERRULE: &str = "Overrule Sumsub";
const NO_OR_YES: &[&str] = &["no", "yes"];

impl Dialog {
    /// The dialog of an action.
    pub fn new(action: Action, about: About, ticket: u64, now: Timestamp) -> Self {
        let text = |label| field(label, Kind::Text, "");
        let fields = match action {
            Action::Create => vec![
                text("Name"),
                field("Type", Kind::Choice(TYPES), "BUSINESS"),
                text("Created by (org id, or empty)"),
            ],
            Action::Import => vec![field("Share token", Kind::Secret, "")],
            Action::Hold
            | Action::Approve
            | Action::Reject
            | Action::Resubmit
            | Action::Reopen
            | Action::Revoke => vec![text(REASON)],
            Action::Sign => vec![
                text("Signer's name"),
                text("Signer's role"),
                field("How", Kind::Text, "paper"),
                text("Where the document is kept"),
                field("Signed on", Kind::Text, now.to_string().split('T').next().unwrap_or("")),
            ],
            Action::Start
            | Action::Reread
            | Action::Request
            | Action::Rehearse
            | Action::Replay
            | Action::Resend => Vec::new(),
        };
        let preview = match action {
            Action::Hold
            | Action::Approve
            | Action::Reject
            | Action::Resubmit
            | Action::Reopen
            | Action::Reread
            | Action::Revoke
            | Action::Replay => Preview::Pending,
            Action::Create
            | Action::Start
            | Action::Import
            | Action::Sign
            | Action::Request
            | Action::Rehearse
            | Action::Resend => Preview::Harmless,
        };
        Self {
            action,
            about,
            fields,
            focus: 0,
            preview,
            question: None,
            asked_at: now,
            is_outdated: false,
            ticket,
            sight: Sight::Unseen,
            trouble: None,
        }
    }

    /// What the dialog is called.
    pub fn title(&self) -> &'static str {
        title(self.action)
    }

    /// The name of what it is about.
    pub fn subject_name(&self) -> String {
        match &self.about {
            About::Nothing => String::new(),
            About::Organization(_, name) | About::Loa(_, name) => name.clone(),
            About::Delivery(id) => format!("delivery {id}"),
            About::Outgoing(it) => format!("delivery {} to {}", it.no, it.endpoint),
        }
    }

    /// What will happen, in a sentence.
    pub fn sentence(&self) -> String {
        let whom = self.subject_name();
        let sentence = match self.action {
            Action::Create => {
                "A new organization; with a creator it also gets an LOA to sign.".to_owned()
            }
            Action::Start => format!("Asks Sumsub for a link that verifies {whom}."),
            Action::Import => {
                format!("Sends the token to Sumsub, once, and links what it names to {whom}.")
            }
            Action::Hold => format!("Holds {whom} until an operator releases it."),
            Action::Approve => format!("Releases the hold: {whom} is APPROVED."),
            Action::Reject => format!("Releases the hold: {whom} is REJECTED until reopened."),
            Action::Resubmit => format!("Releases the hold: {whom} must submit again."),
            Action::Reopen => format!("Lets {whom} submit again."),
            Action::Reread => {
                format!("Asks Sumsub about {whom}, and applies what no webhook has told.")
            }
            Action::Sign => format!("Records that {whom} was signed on paper."),
            Action::Revoke => format!("Takes back {whom}, for ever."),
            Action::Request => format!("Issues a new LOA to sign: {whom}."),
            Action::Rehearse => format!("Tells what a replay of {whom} would do."),
            Action::Resend => format!("Sends {whom} again, under the same message id."),
            Action::Replay => format!("Applies {whom} again, by the rules of today."),
        };
        // Many a name ends with a full stop itself.
        sentence.replace("..", ".")
    }

    /// Takes in what was found out. An approval against Sumsub's verdict is chosen in sight of that
    /// very verdict: whenever something else is shown, the choice is made anew.
    pub fn learn(&mut self, preview: Preview) {
        // What was wrong was wrong about what was shown.
        if matches!(self.preview, Preview::Known(_)) {
            self.trouble = None;
        }
        self.preview = preview;
        self.fields.retain(|it| it.label != OVERRULE);
        if self.action == Action::Approve && self.basis().is_some_and(Basis::is_against_provider) {
            self.fields.push(field(OVERRULE, Kind::Choice(NO_OR_YES), "no"));
        }
        self.focus = self.focus.min(self.fields.len().saturating_sub(1));
    }

    /// What a decision rests on, once it is shown.
    pub fn basis(&self) -> Option<&Basis> {
        match &self.preview {
            Preview::Known(it) => it.basis.as_ref(),
            Preview::Harmless | Preview::Pending | Preview::Failed(_) => None,
        }
    }

    /// Whether confirming it takes something away, or sets Sumsub aside.
    pub fn is_grave(&self) -> bool {
        let takes_away =
            matches!(&self.preview, Preview::Known(it) if it.takes_away.suspended_loas > 0);
        let overrules = self.basis().is_some_and(Basis::is_against_provider);
        takes_away || self.action == Action::Approve && overrules
    }

    /// What a decision rests on, a line each.
    pub fn basis_in_words(&self) -> Option<String> {
        let basis = self.basis()?;
        let newest = format!("newest: {}", basis.newest_in_words());
        Some(match &basis.ignored {
            Some(it) => format!("{newest}\n{}", ignored_in_words(it)),
            None => newest,
        })
    }

    /// The consequences as a line.
    pub fn consequence(&self) -> Option<String> {
        let sought = if matches!(self.action, Action::Hold) || decision(self.action).is_none() {
            "what this takes away"
        } else {
            "what this rests on"
        };
        match &self.preview {
            Preview::Harmless => None,
            Preview::Pending => Some(format!("finding out {sought} …")),
            Preview::Known(it) if self.action == Action::Approve => {
                it.basis.as_ref()?.overrule.map(overruling)
            }
            Preview::Known(it) => Some(self.taken_away(it.takes_away)),
            Preview::Failed(why) => Some(format!("cannot tell {sought}: {why}")),
        }
    }

    fn taken_away(&self, it: Consequences) -> String {
        let plural = |count: usize, one: &str, more: &str| {
            if count == 1 { format!("1 {one}") } else { format!("{count} {more}") }
        };
        match (self.action, it.suspended_loas) {
            // LOAs may be effective, and stay so.
            (Action::Reread | Action::Replay, 0) => "takes no access away".to_owned(),
            (_, 0) => "takes no access away: no LOA is effective now".to_owned(),
            (action, count) => {
                let verb = if action == Action::Revoke { "ends" } else { "suspends" };
                let brokers = plural(it.brokers, "broker loses", "brokers lose");
                format!("{verb} {}; {brokers} access now", plural(count, "LOA", "LOAs"))
            }
        }
    }

    /// The act, if everything it needs is there and has been seen.
    pub fn act(&self, now: Timestamp) -> Result<Act, String> {
        if self.sight != Sight::Seen {
            return Err("look at the consequences first".to_owned());
        }
        match &self.preview {
            Preview::Pending => return Err("wait until the consequences are known".to_owned()),
            Preview::Failed(_) => {
                return Err("the consequences are not known; try again".to_owned());
            }
            Preview::Harmless | Preview::Known(_) => {}
        }
        match (self.action, &self.about) {
            (Action::Create, _) => self.create(),
            (Action::Start, About::Organization(id, _)) => Ok(Act::Start(id.clone())),
            (Action::Import, About::Organization(id, _)) => {
                let token = ShareToken::parse(self.typed("Share token").trim());
                token.map(|it| Act::Import(id.clone(), it)).ok_or_else(|| {
                    format!(
                        "a share token has 1 to {SHARE_TOKEN_CHARACTERS_MAX} characters, no spaces"
                    )
                })
            }
            (Action::Sign, About::Loa(parties, _)) => self.sign(parties, now),
            (Action::Revoke, About::Loa(parties, _)) => {
                let reason = self.reason()?;
                Ok(Act::Revoke(parties.clone(), Some(reason)))
            }
            (Action::Request, About::Loa(parties, _)) => Ok(Act::Request(parties.clone())),
            (Action::Reread, About::Organization(id, _)) => Ok(Act::Reread(id.clone())),
            (Action::Replay, About::Delivery(id)) => Ok(Act::Replay(*id)),
            (Action::Resend, About::Outgoing(sent)) => Ok(Act::Resend(sent.clone())),
            (action, About::Organization(id, _)) => match decision(action) {
                Some(it) => Ok(Act::Decide(id.clone(), it, self.ground()?, self.reason()?)),
                None => Err("select an LOA first".to_owned()),
            },
            (_, About::Nothing | About::Loa(..) | About::Delivery(_) | About::Outgoing(_)) => {
                Err("select an organization first".to_owned())
            }
        }
    }

    /// What was typed into the field of that label.
    pub fn typed(&self, label: &str) -> &str {
        self.fields.iter().find(|it| it.label == label).map_or("", |it| it.input.value())
    }

    fn reason(&self) -> Result<String, String> {
        match text::line(self.typed(REASON), REASON_CHARACTERS_MAX) {
            Ok(reason) => Ok(reason.to_owned()),
            Err(Objection::Empty { at_most }) => {
                Err(format!("say why, in 1 to {at_most} characters"))
            }
            Err(objection) => Err(format!("the reason {objection}")),
        }
    }

    /// What the decision rests on: what is shown.
    fn ground(&self) -> Result<Ground, String> {
        let basis = self.basis().ok_or("wait until it is known what this rests on")?;
        let against_provider = self.overrules();
        if self.action == Action::Approve && basis.is_against_provider() && !against_provider {
            return Err(format!(
                "Sumsub's newest verdict is against it: choose yes at {OVERRULE}, or Esc"
            ));
        }
        Ok(Ground { basis: basis.fact(), against_provider })
    }

    /// Whether the operator has chosen to approve against Sumsub's verdict.
    pub fn overrules(&self) -> bool {
        self.typed(OVERRULE) == "yes"
    }

    fn create(&self) -> Result<Act, String> {
        let name =
            Name::parse(self.typed("Name")).map_err(|objection| format!("the name {objection}"))?;
        let kind = OrganizationType::parse(self.typed("Type")).ok_or("choose a type")?;
        let creator = self.typed("Created by (org id, or empty)").trim();
        let creator = (!creator.is_empty()).then(|| OrganizationId::new(creator));
        Ok(Act::Create(NewOrganization { name, kind, metadata: "{}".to_owned(), creator }))
    }

    fn sign(&self, parties: &Parties, now: Timestamp) -> Result<Act, String> {
        let date = self.typed("Signed on").trim();
        let at = signed_at(date, now)
            .ok_or("write the date as 2026-05-14")?
            .map_err(|_ahead| "a signature cannot be dated ahead".to_owned())?;
        let word =
            |label: &'static str| match text::name(self.typed(label), EVIDENCE_CHARACTERS_MAX) {
                Ok(text) => Ok(text.to_owned()),
                Err(Objection::Empty { .. }) => Err(format!("fill in: {label}")),
                Err(objection) => Err(format!("{label} {objection}")),
            };
        let signature = Signature {
            at,
            signer_name: word("Signer's name")?,
            signer_role: word("Signer's role")?,
            how: word("How")?,
            reference: word("Where the document is kept")?,
        };
        Ok(Act::Sign(parties.clone(), signature))
    }
}

/// What an approval does to Sumsub's word.
fn overruling(overrule: Overrule) -> String {
    match overrule {
        Overrule::Against { verdict, at } => {
            let what = match verdict {
                Event::ProviderRejected => "a rejection",
                Event::ProviderRetry => "a request to submit again",
                Event::ProviderReset => "a reset",
                _ => "another one",
            };
            format!(
                "Sumsub's newest verdict is {what} of {}. Approving overrules it, and every reader is \
                 told.",
                age::exact(at)
            )
        }
        Overrule::NoCheck => {
            "There is no check by Sumsub on file, and every reader is told.".to_owned()
        }
    }
}

/// An action's name.
pub fn title(action: Action) -> &'static str {
    match action {
        Action::Create => "Create organization",
        Action::Start => "Start session",
        Action::Import => "Import share token",
        Action::Hold => "Hold",
        Action::Approve => "Approve",
        Action::Reject => "Reject",
        Action::Resubmit => "Request resubmission",
        Action::Reopen => "Reopen",
        Action::Reread => "Re-read from Sumsub",
        Action::Sign => "Sign LOA on paper",
        Action::Revoke => "Revoke LOA",
        Action::Request => "Request LOA",
        Action::Rehearse => "Dry run of a replay",
        Action::Replay => "Replay delivery",
        Action::Resend => "Resend webhook",
    }
}

/// The decision that an action stands for.
pub fn decision(action: Action) -> Option<Decision> {
    match action {
        Action::Hold => Some(Decision::Hold),
        Action::Approve => Some(Decision::Approve),
        Action::Reject => Some(Decision::Reject),
        Action::Resubmit => Some(Decision::Resubmit),
        Action::Reopen => Some(Decision::Reopen),
        Action::Create
        | Action::Start
        | Action::Import
        | Action::Reread
        | Action::Sign
        | Action::Revoke
        | Action::Request
        | Action::Rehearse
        | Action::Replay
        | Action::Resend => None,
    }
}

fn field(label: &'static str, kind: Kind, value: &str) -> Field {
    Field { label, kind, input: Input::new(value.to_owned()) }
}
