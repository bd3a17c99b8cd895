//! A dialog in front of every action: what it will do, whom it will hit, the words it needs.
//!
//! It confirms nothing before it has been drawn ([`Sight`]), with the consequences of what it would
//! take away.

use std::fmt;

use tui_input::Input;

use crate::console::keys::Action;
use crate::console::state::Sent;
use crate::domain::organization::{Name, OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::usecase::authorizations::Signature;
use crate::usecase::create_organization::NewOrganization;
use crate::usecase::decide::{Decision, REASON_CHARACTERS_MAX};
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
    /// Decide on a verification.
    Decide(OrganizationId, Decision, String),
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

/// What is known of the consequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preview {
    /// It takes nothing away.
    Harmless,
    /// Being found out; nothing is confirmed meanwhile.
    Pending,
    /// Known.
    Known(Consequences),
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
            Action::Hold | Action::Reread | Action::Revoke | Action::Replay => Preview::Pending,
            Action::Create
            | Action::Start
            | Action::Import
            | Action::Approve
            | Action::Reject
            | Action::Resubmit
            | Action::Reopen
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

    /// The consequences as a line, and whether it takes something away.
    pub fn consequence(&self) -> Option<String> {
        let plural = |count: usize, one: &str, more: &str| {
            if count == 1 { format!("1 {one}") } else { format!("{count} {more}") }
        };
        match &self.preview {
            Preview::Harmless => None,
            Preview::Pending => Some("finding out what this takes away …".to_owned()),
            Preview::Known(it) if it.suspended_loas == 0 => Some(match self.action {
                // LOAs may be effective, and stay so.
                Action::Reread | Action::Replay => "takes no access away".to_owned(),
                _ => "takes no access away: no LOA is effective now".to_owned(),
            }),
            Preview::Known(it) => {
                let verb = match (self.action, it.suspended_loas) {
                    (Action::Revoke, _) => "ends",
                    _ => "suspends",
                };
                let brokers = plural(it.brokers, "broker loses", "brokers lose");
                let loas = plural(it.suspended_loas, "LOA", "LOAs");
                Some(format!("{verb} {loas}; {brokers} access now"))
            }
            Preview::Failed(why) => Some(format!("cannot tell what this takes away: {why}")),
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
                Some(it) => Ok(Act::Decide(id.clone(), it, self.reason()?)),
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
        let reason = self.typed(REASON).trim();
        if (1..=REASON_CHARACTERS_MAX).contains(&reason.chars().count()) {
            Ok(reason.to_owned())
        } else {
            Err(format!("say why, in 1 to {REASON_CHARACTERS_MAX} characters"))
        }
    }

    fn create(&self) -> Result<Act, String> {
        let name = Name::parse(self.typed("Name"))
            .ok_or("a name has 1 to 200 characters, one a letter or digit, none invisible")?;
        let kind = OrganizationType::parse(self.typed("Type")).ok_or("choose a type")?;
        let creator = self.typed("Created by (org id, or empty)").trim();
        let creator = (!creator.is_empty()).then(|| OrganizationId::new(creator));
        Ok(Act::Create(NewOrganization { name, kind, metadata: "{}".to_owned(), creator }))
    }

    fn sign(&self, parties: &Parties, now: Timestamp) -> Result<Act, String> {
        let date = self.typed("Signed on").trim();
        let at = Timestamp::parse(date).ok_or("write the date as 2026-05-14")?;
        if at > now {
            return Err("a signature cannot be dated ahead".to_owned());
        }
        let word = |label: &'static str| {
            let text = self.typed(label).trim();
            if text.is_empty() { Err(format!("fill in: {label}")) } else { Ok(text.to_owned()) }
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
