//! The command-line twin of what is on the screen: what one would type to see, or do, the same. A
//! decision's twin names the fact that it rests on, so that it is refused where the dialog would be.

use crate::console::dialog::{About, Dialog, decision};
use crate::console::keys::Action;
use crate::console::state::{LoasShown, Overlay, Place, State};
use crate::console::views::View;

/// The command that shows what is on the screen, or does what the open dialog would do.
pub fn of_screen(state: &State) -> String {
    let flags = &state.start.twin_flags;
    match &state.overlay {
        Overlay::Dialog(dialog) => of_dialog(dialog, flags),
        Overlay::Session { id, .. } => format!("countersign verification start {id}{flags}"),
        Overlay::None
        | Overlay::Filter(_)
        | Overlay::CommandLine(..)
        | Overlay::Help(..)
        | Overlay::Menu(_) => format!("{}{flags}", of_place(state)),
    }
}

fn of_place(state: &State) -> String {
    let selected = || state.subject().map_or_else(|| "ORG".to_owned(), |it| it.id.to_string());
    match state.place() {
        Place::List(View::Organizations) => "countersign org list --limit 200".to_owned(),
        Place::List(View::Queue | View::Activity) => {
            format!("countersign verification show {}", selected())
        }
        Place::List(View::Authorizations) => match state.loas_shown {
            LoasShown::All => "countersign loa list --limit 200".to_owned(),
            LoasShown::Unsigned => "countersign loa list --status PENDING --limit 200".to_owned(),
            LoasShown::Revoked => "countersign loa list --status REVOKED --limit 200".to_owned(),
            LoasShown::Effective | LoasShown::Suspended | LoasShown::ExpiringIn(_) => {
                "countersign loa list --status ACTIVE --limit 200".to_owned()
            }
        },
        Place::List(View::Inbox) => "countersign inbox list --limit 200".to_owned(),
        Place::List(View::Outgoing) => match state.outgoing.selected() {
            Some(it) => format!("countersign webhook deliveries {}", it.endpoint_id),
            None => "countersign webhook list".to_owned(),
        },
        Place::List(View::System) => "countersign config".to_owned(),
        Place::Organization(id) => format!("countersign verification show {}", quoted(id.as_str())),
        Place::Delivery(id) => format!("countersign inbox show {id}"),
        Place::Outgoing(it) => format!("countersign webhook show {} {}", it.endpoint, it.no),
    }
}

/// The command that does what a dialog would do, with the flags that lead to the same register. A share token is never part of a command.
pub fn of_dialog(dialog: &Dialog, flags: &str) -> String {
    if let (About::Organization(id, _), Action::Import) = (&dialog.about, dialog.action) {
        return format!("countersign verification import {id}{flags} < share-token.txt");
    }
    format!("{}{flags}", of_act(dialog))
}

fn of_act(dialog: &Dialog) -> String {
    let reason = || quoted(dialog.typed("Reason").trim());
    match (&dialog.about, dialog.action) {
        (About::Organization(id, _), Action::Start) => {
            format!("countersign verification start {id}")
        }
        (About::Organization(id, _), Action::Reread) => {
            format!("countersign reconcile --org {id}")
        }
        (About::Organization(id, _), action) => {
            let word = decision(action).map_or("show", |it| it.as_str());
            let seen = dialog.basis().map(|it| format!(" --seen {}", it.fact()));
            let against = if dialog.overrules() { " --against-provider" } else { "" };
            format!(
                "countersign verification {word} {id} --reason {}{}{against}",
                reason(),
                seen.unwrap_or_default()
            )
        }
        (About::Loa(of, _), action) => {
            let parties = format!("--granting {} --authorized {}", of.granting, of.authorized);
            match action {
                Action::Sign => format!(
                    "countersign loa sign {parties} --signer-name {} --signer-role {} --how {} \
                     --reference {} --at {}",
                    quoted(dialog.typed("Signer's name")),
                    quoted(dialog.typed("Signer's role")),
                    quoted(dialog.typed("How")),
                    quoted(dialog.typed("Where the document is kept")),
                    quoted(dialog.typed("Signed on")),
                ),
                Action::Revoke => format!("countersign loa revoke {parties} --reason {}", reason()),
                _ => format!("countersign loa request {parties}"),
            }
        }
        (About::Delivery(id), _) => format!("countersign inbox replay {id}"),
        (About::Outgoing(it), _) => {
            format!("countersign webhook resend {} {}", it.endpoint, it.no)
        }
        (About::Nothing, _) => {
            let creator = dialog.typed("Created by (org id, or empty)").trim();
            let by = if creator.is_empty() {
                String::new()
            } else {
                format!(" --created-by {}", quoted(creator))
            };
            format!(
                "countersign org create --name {} --type {}{by}",
                quoted(dialog.typed("Name").trim()),
                dialog.typed("Type")
            )
        }
    }
}

/// As a POSIX shell takes it for one word.
pub fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.chars().all(|it| it.is_ascii_alphanumeric() || "_-./:@".contains(it));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_the_shell() {
        assert_eq!(quoted("org_0"), "org_0");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
