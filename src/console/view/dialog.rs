//! A dialog.
//!
//! ```text
//! ┌ Hold ───────────────────────────────────────────────┐
//! │ Holds Acme Trading Co. until an operator releases   │
//! │ it.                                                 │
//! │ newest: provider_approved of 2026-01-10 … (fact 31) │
//! │ suspends 3 LOAs; 2 brokers lose access now          │
//! │ Reason  name is on a list_                          │
//! │ $ countersign verification hold org_0190… --reason… │
//! └─────────────────────────────────────────────────────┘
//! ```
//! A secret is drawn as dots and its length.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use unicode_width::UnicodeWidthStr as _;

use crate::console::dialog::{Dialog, Field, Kind};
use crate::console::state::State;
use crate::console::twin::of_dialog;
use crate::console::view::{boxed, lines_of, printable};

const WIDTH: u16 = 76;
/// Columns and lines of the box that are not inside: the border, and a blank on either side.
const BORDERS: (u16, u16) = (4, 2);
/// Dots drawn for a secret, at the most: its length is a number beside them.
const DOTS_MAX: usize = 12;

/// Draws a dialog over an area.
pub fn draw(state: &State, dialog: &Dialog, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let is_grave = dialog.is_grave();
    let style = if is_grave { theme.bad() } else { theme.accent() };
    let text = |text: Option<String>, style: Style| {
        let lines = |it: String| it.lines().map(|it| Line::raw(printable(it))).collect::<Vec<_>>();
        text.map(|it| Paragraph::new(lines(it)).style(style).wrap(Wrap { trim: true }))
    };
    let twin = format!("$ {}", of_dialog(dialog, &state.start.twin_flags));
    let sentence = text(Some(dialog.sentence()), theme.text());
    let basis = text(dialog.basis_in_words(), theme.text());
    let consequence = text(dialog.consequence(), if is_grave { style } else { theme.quiet() });
    let trouble = text(dialog.trouble.clone(), theme.bad());
    let twin = text(Some(twin), theme.quiet());
    let fields = u16::try_from(dialog.fields.len()).unwrap_or(u16::MAX);
    let inside = WIDTH.min(area.width).saturating_sub(BORDERS.0);
    let lines =
        |of: &Option<Paragraph<'_>>| of.as_ref().map_or(0, |it| lines_of(it, inside, area.height));
    let wanted = Heights {
        sentence: lines(&sentence),
        basis: lines(&basis),
        consequence: lines(&consequence),
        fields,
        trouble: lines(&trouble),
        twin: lines(&twin),
    };
    let height = wanted.downwards().iter().fold(BORDERS.1, |sum, it| sum.saturating_add(*it));
    let inner = boxed(frame, area, (WIDTH, height), (dialog.title(), style));
    let inner =
        Rect { x: inner.x.saturating_add(1), width: inner.width.saturating_sub(2), ..inner };
    let given = wanted.within(inner.height);
    let [words, rests_on, consequences, typed, troubles, twins] =
        Layout::vertical(given.downwards().map(Constraint::Length)).areas(inner);
    let texts = [
        (sentence, words),
        (basis, rests_on),
        (consequence, consequences),
        (trouble, troubles),
        (twin, twins),
    ];
    for (paragraph, at) in texts {
        if let Some(paragraph) = paragraph {
            frame.render_widget(paragraph, at);
        }
    }
    draw_fields(state, dialog, frame, typed);
}

/// How many lines each part has.
#[derive(Clone, Copy)]
struct Heights {
    sentence: u16,
    basis: u16,
    consequence: u16,
    fields: u16,
    trouble: u16,
    twin: u16,
}

impl Heights {
    /// In the order in which they are drawn.
    fn downwards(self) -> [u16; 6] {
        [self.sentence, self.basis, self.consequence, self.fields, self.trouble, self.twin]
    }

    /// What each part gets where there is no room for all: the field that is typed into and a line of
    /// what is wrong with it, then what Enter would do to others and what it rests on.
    fn within(self, room: u16) -> Self {
        let mut left = room;
        let mut take = |wanted: u16| {
            let given = wanted.min(left);
            left = left.saturating_sub(given);
            given
        };
        let focused = take(self.fields.min(1));
        let told = take(self.trouble.min(1));
        let consequence = take(self.consequence);
        let trouble = told.saturating_add(take(self.trouble.saturating_sub(told)));
        let fields = focused.saturating_add(take(self.fields.saturating_sub(focused)));
        // Its first line names whom it is about.
        let whom = take(self.sentence.min(1));
        let basis = take(self.basis);
        let sentence = whom.saturating_add(take(self.sentence.saturating_sub(whom)));
        Self { sentence, basis, consequence, fields, trouble, twin: take(self.twin) }
    }
}

fn draw_fields(state: &State, dialog: &Dialog, frame: &mut Frame<'_>, area: Rect) {
    let widest = dialog.fields.iter().map(|it| it.label.width()).max().unwrap_or(0);
    let room = usize::from(area.height).max(1);
    let top = dialog.focus.saturating_add(1).saturating_sub(room);
    let seen = dialog.fields.iter().enumerate().skip(top).take(usize::from(area.height));
    for (line, (at, field)) in seen.enumerate() {
        let y = area.y.saturating_add(u16::try_from(line).unwrap_or(u16::MAX));
        draw_field(
            state,
            (field, at == dialog.focus),
            widest,
            frame,
            Rect { y, height: 1, ..area },
        );
    }
}

fn draw_field(
    state: &State,
    (field, is_focused): (&Field, bool),
    widest: usize,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let theme = state.start.theme;
    let label_style = if is_focused { theme.accent() } else { theme.quiet() };
    let label = format!("{:<widest$}  ", field.label);
    let indent = label.width();
    let room = usize::from(area.width).saturating_sub(indent).saturating_sub(1).max(1);
    let input = &field.input;
    let scroll = input.visual_scroll(room);
    let (text, cursor) = match field.kind {
        Kind::Text => {
            let text: String = printable(input.value()).chars().skip(scroll).take(room).collect();
            (text, input.visual_cursor().saturating_sub(scroll))
        }
        Kind::Secret => {
            let count = input.value().chars().count();
            let dots = "•".repeat(count.min(DOTS_MAX));
            let cursor = count.min(DOTS_MAX);
            (if count == 0 { dots } else { format!("{dots} {count} characters") }, cursor)
        }
        Kind::Choice(words) => {
            let said: Vec<String> = words
                .iter()
                .map(|it| if *it == input.value() { format!("[{it}]") } else { format!(" {it} ") })
                .collect();
            (said.join(" "), 0)
        }
    };
    if is_focused && !matches!(field.kind, Kind::Choice(_)) {
        let column = u16::try_from(indent.saturating_add(cursor)).unwrap_or(u16::MAX);
        let x = area.x.saturating_add(column).min(area.right().saturating_sub(1));
        frame.set_cursor_position((x, area.y));
    }
    let line = Line::from(vec![Span::styled(label, label_style), Span::raw(text)]);
    frame.render_widget(line, area);
}
