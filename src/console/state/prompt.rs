//! Keys and pasted text where something lies on top: prompts, help, menu, dialog, session.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input, InputRequest};

use crate::console::dialog::{Dialog, Kind, Sight};
use crate::console::filter::Filter;
use crate::console::keys::shown_for;
use crate::console::state::{Command, Overlay, Place, State, completions};
use crate::console::twin;
use crate::console::views::View;

impl State {
    pub(super) fn overlay_key(&mut self, key: KeyEvent) -> Vec<Command> {
        match &mut self.overlay {
            Overlay::None => Vec::new(),
            Overlay::Filter(_) => self.filter_key(key),
            Overlay::CommandLine(..) => self.command_line_key(key),
            Overlay::Help(..) => self.help_key(key),
            Overlay::Menu(_) => self.menu_key(key),
            Overlay::Dialog(_) => self.dialog_key(key),
            Overlay::Session { .. } => self.session_key(key),
        }
    }

    pub(super) fn begin_filter(&mut self) {
        if let Place::List(view) = self.place() {
            let typed = self.filter(view).map(Filter::typed).unwrap_or_default();
            self.overlay = Overlay::Filter(Input::new(typed));
        }
    }

    /// Filters as it is typed; Enter keeps, Esc ends.
    fn filter_key(&mut self, key: KeyEvent) -> Vec<Command> {
        let Overlay::Filter(input) = &mut self.overlay else { return Vec::new() };
        match key.code {
            KeyCode::Enter => {
                self.overlay = Overlay::None;
                Vec::new()
            }
            KeyCode::Esc => {
                self.overlay = Overlay::None;
                self.set_filter(None)
            }
            _ => {
                if !edit(input, key) {
                    return Vec::new();
                }
                let filter = Filter::parse(input.value());
                self.set_filter(filter)
            }
        }
    }

    pub(super) fn set_filter(&mut self, filter: Option<Filter>) -> Vec<Command> {
        let Place::List(view) = self.place() else { return Vec::new() };
        if self.filter(view) == filter.as_ref() {
            return Vec::new();
        }
        self.filters.retain(|(it, _)| *it != view);
        self.filters.extend(filter.map(|it| (view, it)));
        if view == View::Organizations {
            return self.search_anew();
        }
        self.sift();
        let goes_on = match view {
            View::Queue => self.queue.list.goes_on,
            View::Authorizations => self.authorizations.list.goes_on,
            View::Inbox => self.inbox.list.goes_on,
            View::Outgoing => self.outgoing.list.goes_on,
            View::Organizations | View::Activity | View::System => false,
        };
        // What is not loaded yet may fit as well.
        if goes_on { self.load_place() } else { Vec::new() }
    }

    fn command_line_key(&mut self, key: KeyEvent) -> Vec<Command> {
        let Overlay::CommandLine(input, typed) = &mut self.overlay else { return Vec::new() };
        match key.code {
            KeyCode::Esc => self.overlay = Overlay::None,
            KeyCode::Enter => {
                let line = input.value().to_owned();
                self.overlay = Overlay::None;
                return self.run_line(&line);
            }
            KeyCode::Tab | KeyCode::BackTab => {
                let words = completions(typed);
                let at = words.iter().position(|it| it == input.value());
                let last = words.len().saturating_sub(1);
                let next = match (at, key.code) {
                    (None, _) => 0,
                    (Some(at), KeyCode::Tab) if at < last => at.saturating_add(1),
                    (Some(_), KeyCode::Tab) => 0,
                    (Some(0), _) => last,
                    (Some(at), _) => at.saturating_sub(1),
                };
                if let Some(word) = words.get(next) {
                    *input = Input::new(word.clone());
                }
            }
            KeyCode::Backspace if input.value().is_empty() => self.overlay = Overlay::None,
            _ => {
                if edit(input, key) {
                    input.value().clone_into(typed);
                }
            }
        }
        Vec::new()
    }

    fn help_key(&mut self, key: KeyEvent) -> Vec<Command> {
        let Overlay::Help(input, scroll) = &mut self.overlay else { return Vec::new() };
        match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::F(1) => self.overlay = Overlay::None,
            KeyCode::Char('?') if input.value().is_empty() => self.overlay = Overlay::None,
            KeyCode::Down => *scroll = scroll.saturating_add(1),
            KeyCode::Up => *scroll = scroll.saturating_sub(1),
            KeyCode::PageDown => *scroll = scroll.saturating_add(10),
            KeyCode::PageUp => *scroll = scroll.saturating_sub(10),
            _ => {
                if edit(input, key) {
                    *scroll = 0;
                }
            }
        }
        Vec::new()
    }

    fn menu_key(&mut self, key: KeyEvent) -> Vec<Command> {
        let actions = self.actions();
        let Overlay::Menu(selected) = &mut self.overlay else { return Vec::new() };
        let last = actions.len().saturating_sub(1);
        let chosen = match key.code {
            KeyCode::Esc | KeyCode::Left | KeyCode::Char('q' | 'h') => {
                self.overlay = Overlay::None;
                return Vec::new();
            }
            KeyCode::Down | KeyCode::Char('j') => {
                *selected = selected.saturating_add(1).min(last);
                None
            }
            KeyCode::Up | KeyCode::Char('k') => {
                *selected = selected.saturating_sub(1);
                None
            }
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => actions.get(*selected).copied(),
            KeyCode::Char('u') => {
                self.toggle_lock();
                None
            }
            KeyCode::Char(letter) => actions
                .iter()
                .copied()
                .find(|it| shown_for(*it).chars().eq(std::iter::once(letter))),
            _ => None,
        };
        let Some(action) = chosen else { return Vec::new() };
        self.overlay = Overlay::None;
        self.begin_action(action)
    }

    fn dialog_key(&mut self, key: KeyEvent) -> Vec<Command> {
        let Overlay::Dialog(dialog) = &mut self.overlay else { return Vec::new() };
        if key.code == KeyCode::Esc {
            self.overlay = Overlay::None;
            return Vec::new();
        }
        // Typed before the dialog was seen: it was meant for something else.
        if dialog.sight == Sight::Unseen {
            return Vec::new();
        }
        let last = dialog.fields.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('y') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                let twin = twin::of_dialog(dialog, &self.start.twin_flags);
                return self.copy(twin);
            }
            KeyCode::Enter if dialog.focus >= last => {
                // Nobody can have read it yet: the same as above.
                let is_seen = dialog.sight == Sight::Seen;
                return if is_seen { self.submit() } else { Vec::new() };
            }
            KeyCode::Enter | KeyCode::Tab | KeyCode::Down => {
                dialog.focus = dialog.focus.saturating_add(1).min(last);
            }
            KeyCode::BackTab | KeyCode::Up => dialog.focus = dialog.focus.saturating_sub(1),
            _ => type_into(dialog, key),
        }
        Vec::new()
    }

    fn session_key(&mut self, key: KeyEvent) -> Vec<Command> {
        let Overlay::Session { link, .. } = &self.overlay else { return Vec::new() };
        match key.code {
            KeyCode::Char('y') => {
                let link = link.clone();
                self.say(crate::console::state::Tone::Good, "link copied");
                vec![Command::Copy(link)]
            }
            KeyCode::Char('c') => self.copy(twin::of_screen(self)),
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => {
                self.overlay = Overlay::None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn paste(&mut self, text: &str) -> Vec<Command> {
        if self.is_too_small() {
            return Vec::new();
        }
        let text: String = text.trim().chars().filter(|it| !it.is_control()).collect();
        match &mut self.overlay {
            Overlay::Dialog(dialog) if dialog.sight != Sight::Unseen => {
                if let Some(field) = dialog.fields.get_mut(dialog.focus)
                    && !matches!(field.kind, Kind::Choice(_))
                {
                    insert(&mut field.input, &text);
                }
                Vec::new()
            }
            Overlay::Filter(input) => {
                insert(input, &text);
                let filter = Filter::parse(input.value());
                self.set_filter(filter)
            }
            Overlay::CommandLine(input, typed) => {
                insert(input, &text);
                input.value().clone_into(typed);
                Vec::new()
            }
            Overlay::Help(input, _) => {
                insert(input, &text);
                Vec::new()
            }
            Overlay::None | Overlay::Menu(_) | Overlay::Dialog(_) | Overlay::Session { .. } => {
                Vec::new()
            }
        }
    }
}

fn type_into(dialog: &mut Dialog, key: KeyEvent) {
    let Some(field) = dialog.fields.get_mut(dialog.focus) else { return };
    match field.kind {
        Kind::Text | Kind::Secret => {
            edit(&mut field.input, key);
        }
        Kind::Choice(words) => {
            let turns = matches!(key.code, KeyCode::Left | KeyCode::Right | KeyCode::Char(' '));
            let at = words.iter().position(|it| *it == field.input.value()).unwrap_or(0);
            let next = words.get(at.saturating_add(1)).or(words.first());
            if let Some(word) = next.filter(|_| turns) {
                field.input = Input::new((*word).to_owned());
            }
        }
    }
}

fn insert(input: &mut Input, text: &str) {
    /// Longer than any field allows; a paste by mistake must not grow without end.
    const PASTED_CHARACTERS_MAX: usize = 4_096;
    for it in text.chars().take(PASTED_CHARACTERS_MAX) {
        input.handle(InputRequest::InsertChar(it));
    }
}

/// The usual keys of a line of text; whether its text has changed.
fn edit(input: &mut Input, key: KeyEvent) -> bool {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    let request = match (key.code, is_control) {
        (KeyCode::Backspace, false) => InputRequest::DeletePrevChar,
        (KeyCode::Delete, _) => InputRequest::DeleteNextChar,
        (KeyCode::Left, _) => InputRequest::GoToPrevChar,
        (KeyCode::Right, _) => InputRequest::GoToNextChar,
        (KeyCode::Home, _) | (KeyCode::Char('a'), true) => InputRequest::GoToStart,
        (KeyCode::End, _) | (KeyCode::Char('e'), true) => InputRequest::GoToEnd,
        (KeyCode::Char('u'), true) => InputRequest::DeleteLine,
        (KeyCode::Char('w') | KeyCode::Backspace, true) => InputRequest::DeletePrevWord,
        (KeyCode::Char(it), false) if !it.is_control() => InputRequest::InsertChar(it),
        _ => return false,
    };
    input.handle(request).is_some_and(|it| it.value)
}
