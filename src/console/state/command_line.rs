//! What follows `:`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::console::filter::Filter;
use crate::console::keys::{Action, Intent};
use crate::console::state::{Command, LoasShown, Place, State, Tone};
use crate::console::views::{VIEWS, View};
use crate::domain::organization::OrganizationId;
use crate::domain::verification::Status;

/// The words that stand for a key; views have their own words in their own table.
pub const COMMANDS: [(&str, Intent); 22] = [
    ("actions", Intent::Menu),
    ("approve", Intent::Do(Action::Approve)),
    ("copy", Intent::CopyTwin),
    ("create", Intent::Do(Action::Create)),
    ("help", Intent::Help),
    ("hold", Intent::Do(Action::Hold)),
    ("import", Intent::Do(Action::Import)),
    ("quit", Intent::Quit),
    ("refresh", Intent::Refresh),
    ("reject", Intent::Do(Action::Reject)),
    ("reopen", Intent::Do(Action::Reopen)),
    ("replay", Intent::Do(Action::Replay)),
    ("request", Intent::Do(Action::Request)),
    ("reread", Intent::Do(Action::Reread)),
    ("resend", Intent::Do(Action::Resend)),
    ("resubmit", Intent::Do(Action::Resubmit)),
    ("revoke", Intent::Do(Action::Revoke)),
    ("sign", Intent::Do(Action::Sign)),
    ("sort", Intent::Sort),
    ("start", Intent::Do(Action::Start)),
    ("times", Intent::Times),
    ("unlock", Intent::Unlock),
];
/// The words that take another word, and what they do, for the help.
pub const WITH_WORD: [(&str, &str); 4] = [
    ("filter", "filter TEXT: as / does"),
    ("loas", "loas KIND: effective, suspended, unsigned, revoked, expiring in 7 days, …"),
    ("open", "open ID: an organization, or a webhook by its number"),
    ("status", "status STATUS: only organizations of one status, or all"),
];

/// The commands that begin so, in alphabetical order; after `status` and `loas` what can follow.
pub fn completions(typed: &str) -> Vec<String> {
    if let Some((command, part)) = typed.split_once(' ') {
        let words: Vec<&str> = match command {
            "status" => Status::ALL.iter().map(|it| it.as_str()).chain(["all"]).collect(),
            "loas" => LoasShown::ALL.iter().map(|it| it.words()).collect(),
            _ => Vec::new(),
        };
        return words
            .into_iter()
            .filter(|it| it.to_lowercase().starts_with(&part.to_lowercase()))
            .map(|it| format!("{command} {}", it.to_lowercase()))
            .collect();
    }
    let mut words: Vec<&str> = VIEWS.iter().map(|it| it.word).collect();
    words.extend(COMMANDS.iter().map(|(it, _)| *it));
    words.extend(WITH_WORD.iter().map(|(it, _)| *it));
    words.sort_unstable();
    words.into_iter().filter(|it| it.starts_with(typed)).map(ToOwned::to_owned).collect()
}

impl State {
    pub(super) fn run_line(&mut self, line: &str) -> Vec<Command> {
        let line = line.trim();
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match command {
            "" => return Vec::new(),
            "q" => return self.quit(),
            "open" if !rest.is_empty() => {
                return self.go(match rest.parse::<i64>() {
                    Ok(delivery) => Place::Delivery(delivery),
                    Err(_) => Place::Organization(OrganizationId::new(rest)),
                });
            }
            "filter" => return self.set_filter(Filter::parse(rest)),
            "status" => return self.show_status(rest),
            "loas" => return self.show_loas(rest),
            _ => {}
        }
        // A beginning that can mean only one thing is enough.
        let full = match completions(command).as_slice() {
            [only] => only.clone(),
            _ => command.to_owned(),
        };
        if let Some(row) = VIEWS.iter().find(|it| it.word == full) {
            return self.go(Place::List(row.view));
        }
        if let Some((_, intent)) = COMMANDS.iter().find(|(it, _)| *it == full) {
            let no_key = KeyEvent::new(KeyCode::Null, KeyModifiers::NONE);
            return self.perform(*intent, no_key);
        }
        self.say(Tone::Bad, format!("no command `{command}`; Tab shows those there are"));
        Vec::new()
    }

    fn show_status(&mut self, word: &str) -> Vec<Command> {
        let status = Status::ALL.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(word));
        if status.is_none() && word != "all" {
            self.say(Tone::Bad, format!("no status `{word}`; Tab shows those there are"));
            return Vec::new();
        }
        self.listing.status = status;
        let mut commands = self.go(Place::List(View::Organizations));
        commands.extend(self.search_anew());
        commands
    }

    fn show_loas(&mut self, words: &str) -> Vec<Command> {
        let Some(shown) = LoasShown::ALL.into_iter().find(|it| it.words() == words) else {
            self.say(Tone::Bad, format!("no such LOAs `{words}`; Tab shows those there are"));
            return Vec::new();
        };
        self.loas_shown = shown;
        self.authorizations = crate::console::state::Sifted::default();
        self.go(Place::List(View::Authorizations))
    }
}
