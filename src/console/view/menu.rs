//! The menu of actions: what can be done with what is selected, and why something cannot.
//!
//! ```text
//! ┌ Actions: Acme Trading Co. ───────────────┐
//! │ S  Start session                         │
//! │ A  Approve        does not fit PENDING   │
//! └──────────────────────────────────────────┘
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::console::dialog::title;
use crate::console::keys::shown_for;
use crate::console::state::{Access, State, availability};
use crate::console::view::table::fitted;
use crate::console::view::{boxed, printable};

const WIDTH: u16 = 72;

/// Draws the menu over an area.
pub fn draw(state: &State, selected: usize, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let actions = state.actions();
    let lock = match state.start.access {
        Access::UnlockedUntil(_) => "",
        Access::Locked => " (u unlocks)",
        Access::ReadOnly => " (read-only)",
    };
    let subject = state.subject().map(|it| format!(": {}", printable(&it.name)));
    let head = format!("Actions{}{lock}", subject.unwrap_or_default());
    let height = u16::try_from(actions.len()).unwrap_or(u16::MAX).saturating_add(2);
    let inner = boxed(frame, area, (WIDTH, height), (&head, theme.accent()));
    let room = usize::from(inner.height).max(1);
    let top = selected.saturating_add(1).saturating_sub(room);
    let lines: Vec<Line<'_>> = actions
        .iter()
        .enumerate()
        .skip(top)
        .map(|(at, action)| {
            let why = availability(state, *action).err();
            let text = format!(" {}  {:<22}", shown_for(*action), title(*action));
            let reason = why.clone().unwrap_or_default();
            if at == selected {
                let whole = fitted(&format!("{text} {reason}"), usize::from(inner.width));
                return Line::styled(whole, theme.selection());
            }
            let style = if why.is_some() { theme.quiet() } else { theme.text() };
            Line::from(vec![
                Span::styled(text, style),
                Span::styled(format!(" {reason}"), theme.quiet()),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}
