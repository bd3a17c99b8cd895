//! A dialog.
//!
//! ```text
//! ┌ Hold ───────────────────────────────────────────────┐
//! │ Holds Acme Trading Co. until an operator releases   │
//! │ it.                                                 │
//! │ suspends 3 LOAs; 2 brokers lose access now          │
//! │                                                     │
//! │ Reason  name is on a list_                          │
//! │ $ countersign verification hold org_0190… --reason… │
//! └─────────────────────────────────────────────────────┘
//! ```
//! A secret is drawn as dots and its length.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use unicode_width::UnicodeWidthStr as _;

use crate::console::dialog::{Dialog, Field, Kind, Preview};
use crate::console::state::State;
use crate::console::twin::of_dialog;
use crate::console::view::{boxed, printable};

const WIDTH: u16 = 76;
/// Dots drawn for a secret, at the most: its length is a number beside them.
const DOTS_MAX: usize = 12;

/// Draws a dialog over an area.
pub fn draw(state: &State, dialog: &Dialog, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let sentence = printable(&dialog.sentence());
    let inside = usize::from(WIDTH.min(area.width).saturating_sub(4)).max(1);
    let wrapped = |text: &str| {
        let lines = text.width() / inside;
        u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(1)
    };
    let consequence = dialog.consequence();
    let trouble = dialog.trouble.as_deref().map(printable);
    let twin = format!("$ {}", printable(&of_dialog(dialog, &state.start.twin_flags)));
    let fields = u16::try_from(dialog.fields.len()).unwrap_or(u16::MAX);
    let heights = [
        wrapped(&sentence),
        consequence.as_deref().map_or(0, wrapped),
        fields,
        trouble.as_deref().map_or(0, wrapped),
        wrapped(&twin),
    ];
    let height = heights.iter().fold(2_u16, |sum, it| sum.saturating_add(*it));
    let takes_away = matches!(dialog.preview, Preview::Known(it) if it.suspended_loas > 0);
    let style = if takes_away { theme.bad() } else { theme.accent() };
    let inner = boxed(frame, area, (WIDTH, height), (dialog.title(), style));
    let inner =
        Rect { x: inner.x.saturating_add(1), width: inner.width.saturating_sub(2), ..inner };
    // Where it is too low for all, the words give way to the field that is typed into.
    let [words, consequences, typed, troubles, twins] = Layout::vertical([
        Constraint::Max(heights[0]),
        Constraint::Max(heights[1]),
        Constraint::Min(fields),
        Constraint::Max(heights[3]),
        Constraint::Max(heights[4]),
    ])
    .areas(inner);
    frame.render_widget(Paragraph::new(sentence).wrap(Wrap { trim: true }), words);
    let consequence_style = if takes_away { theme.bad() } else { theme.quiet() };
    frame.render_widget(
        Paragraph::new(consequence.unwrap_or_default())
            .style(consequence_style)
            .wrap(Wrap { trim: true }),
        consequences,
    );
    draw_fields(state, dialog, frame, typed);
    frame.render_widget(
        Paragraph::new(trouble.unwrap_or_default()).style(theme.bad()).wrap(Wrap { trim: true }),
        troubles,
    );
    let twin = Paragraph::new(twin).style(theme.quiet()).wrap(Wrap { trim: true });
    frame.render_widget(twin, twins);
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
