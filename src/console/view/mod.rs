//! Drawing: pure functions of the state. A file per view; each begins with a drawing of it.
//!
//! ```text
//! countersign  test  operator:ada                          READ-ONLY  14:30:05Z     header
//! 1 Organizations  2 Review queue  3 Authorizations  …                              tabs
//! NAME            TYPE      STATUS        LOA      AGE   EXPIRES                    the view
//! Acme Trading    BUSINESS  ● approved    ✓ 2      3 d   in 11 mo
//! …
//! org_0190…  created 2026-05-12 09:14:05Z  approval ends …                          exact details
//! filter, command, or a notice                                                      one line
//! ? help  Enter open  a actions  u unlock  / filter  : command  q quit              hints
//! ```

pub mod activity;
pub mod authorizations;
pub mod delivery;
pub mod dialog;
pub mod help;
pub mod ignored;
pub mod inbox;
pub mod menu;
pub mod organization;
pub mod organizations;
pub mod outgoing;
pub mod queue;
pub mod sent;
pub mod session;
pub mod system;
pub mod table;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Widget, Wrap};
use unicode_width::UnicodeWidthStr as _;

use crate::console::age;
use crate::console::dialog::{Kind, Sight};
use crate::console::filter::Filter;
use crate::console::keys::{BINDINGS, Intent};
use crate::console::state::{
    Access, LIST_ROWS_MAX, Overlay, Place, SIZE_MIN, Sifted, State, Tone, completions, is_too_small,
};
use crate::console::theme::Theme;
use crate::console::views::{VIEWS, View};
use crate::domain::text::dotted;
use crate::domain::timestamp::Timestamp;

/// From this width on the header names the operator.
const ACTOR_WIDTH: u16 = 60;
/// From this width on the tabs have their full titles.
const FULL_TITLES_WIDTH: u16 = 100;
/// From this width on they are whole words.
const WORD_TITLES_WIDTH: u16 = 76;

/// Draws everything.
pub fn render(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    if is_too_small((area.width, area.height)) {
        return too_small(frame, area);
    }
    let [header, tabs, body, notice, hints] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_header(state, frame, header);
    draw_tabs(state, frame, tabs);
    match state.place() {
        Place::List(view) => {
            if let Some(row) = view.row() {
                (row.draw)(state, frame, body);
            }
        }
        Place::Organization(_) => organization::draw(state, frame, body),
        Place::Delivery(_) => delivery::draw(state, frame, body),
        Place::Outgoing(_) => sent::draw(state, frame, body),
    }
    draw_notice(state, frame, notice);
    draw_hints(state, frame, hints);
    match &state.overlay {
        Overlay::None | Overlay::Filter(_) | Overlay::CommandLine(..) => {}
        Overlay::Help(input, scroll) => help::draw(state, (input.value(), *scroll), frame, body),
        Overlay::Menu(selected) => menu::draw(state, *selected, frame, body),
        Overlay::Dialog(dialog) => dialog::draw(state, dialog, frame, body),
        Overlay::Session { name, link, .. } => {
            // A code needs every line there is but the hints.
            let whole = Rect { height: area.height.saturating_sub(1), ..area };
            session::draw(state, (name, link), frame, whole);
        }
    }
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let text = format!(
        "This terminal is {}×{}; the console needs {}×{}. Make it larger, or press q to leave.",
        area.width, area.height, SIZE_MIN.0, SIZE_MIN.1
    );
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
}

fn draw_header(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let (lock, lock_style) = match state.start.access {
        Access::ReadOnly => ("READ-ONLY (--read-only)".to_owned(), theme.quiet()),
        Access::Locked => ("READ-ONLY".to_owned(), theme.quiet()),
        Access::UnlockedUntil(until) => {
            let left = until.as_ms().saturating_sub(state.now().as_ms());
            (format!("UNLOCKED {}", age::countdown(left)), theme.careful())
        }
    };
    let clock = age::exact(state.now());
    let clock = clock.split(' ').nth(1).unwrap_or_default().to_owned();
    let right = Line::from(vec![
        Span::styled(lock, lock_style),
        Span::raw("  "),
        Span::styled(clock, theme.quiet()),
    ]);
    let right_width = u16::try_from(right.width()).unwrap_or(area.width).min(area.width);
    let [left_area, right_area] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(right_width)]).areas(area);
    let environment_style =
        if state.start.environment == "live" { theme.bad() } else { theme.good() };
    let is_wide = area.width >= ACTOR_WIDTH;
    let actor = format!("  {}", printable(&state.start.actor));
    let actor = if is_wide { actor } else { String::new() };
    let name = if is_wide { "countersign  " } else { "" };
    let left = Line::from(vec![
        Span::styled(name, theme.heading()),
        Span::styled(state.start.environment, environment_style),
        Span::styled(actor, theme.quiet()),
    ]);
    frame.render_widget(left, left_area);
    frame.render_widget(right, right_area);
}

fn tab_titles(state: &State) -> impl Iterator<Item = (View, String)> {
    let width = state.start.size.0;
    VIEWS.iter().map(move |it| {
        let title = match width {
            FULL_TITLES_WIDTH.. => it.title,
            WORD_TITLES_WIDTH.. => it.plain,
            _ => it.short,
        };
        (it.view, format!("{} {title}", it.digit))
    })
}

fn draw_tabs(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let here = state.view();
    let mut spans = Vec::new();
    for (view, title) in tab_titles(state) {
        if view == here {
            spans.push(Span::styled(title, theme.selection()));
        } else {
            let (digit, word) = title.split_once(' ').unwrap_or(("", &title));
            spans.push(Span::styled(digit.to_owned(), theme.accent()));
            spans.push(Span::styled(format!(" {word}"), theme.quiet()));
        }
        spans.push(Span::raw(" "));
    }
    frame.render_widget(Line::from(spans), area);
}

/// The tab that is drawn at a column.
pub fn tab_at(state: &State, column: u16) -> Option<View> {
    let mut end = 0_usize;
    for (view, title) in tab_titles(state) {
        end = end.saturating_add(title.width()).saturating_add(1);
        if usize::from(column) < end {
            return Some(view);
        }
    }
    None
}

fn draw_notice(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let line = match &state.overlay {
        Overlay::Filter(input) => {
            frame.set_cursor_position((typed_column(area, input.visual_cursor()), area.y));
            Line::from(vec![Span::styled("/", theme.accent()), Span::raw(printable(input.value()))])
        }
        Overlay::CommandLine(input, typed) => {
            frame.set_cursor_position((typed_column(area, input.visual_cursor()), area.y));
            let mut spans = vec![
                Span::styled(":", theme.accent()),
                Span::raw(printable(input.value())),
                Span::raw("  "),
            ];
            for it in completions(typed) {
                let style = if it == input.value() { theme.selection() } else { theme.quiet() };
                spans.extend([Span::raw(" "), Span::styled(it, style)]);
            }
            Line::from(spans)
        }
        Overlay::None
        | Overlay::Help(..)
        | Overlay::Menu(_)
        | Overlay::Dialog(_)
        | Overlay::Session { .. } => return draw_status(state, frame, area),
    };
    frame.render_widget(line, area);
}

fn typed_column(area: Rect, cursor: usize) -> u16 {
    let cursor = u16::try_from(cursor).unwrap_or(u16::MAX);
    area.x.saturating_add(1).saturating_add(cursor).min(area.right().saturating_sub(1))
}

/// What is most important to know now: trouble, work under way, the last notice, the filter.
fn status_line(state: &State) -> (String, Style) {
    let theme = state.start.theme;
    if let Some(trouble) = &state.trouble {
        return (format!("! {}", printable(trouble)), theme.bad());
    }
    if let Some(busy) = &state.busy {
        let waited = state.now().as_ms().saturating_sub(busy.since.as_ms());
        // What was asked meanwhile, as whether to leave, is read before what is still under way.
        let asked = state.notice.as_ref().map(|it| format!("{} ", printable(&it.text)));
        let asked = asked.unwrap_or_default();
        let text = format!("{asked}… {} ({}); Esc stops waiting", busy.what, age::span(waited));
        return (text, theme.careful());
    }
    if let Some(notice) = &state.notice {
        let style = match notice.tone {
            Tone::Good => theme.good(),
            Tone::Plain => theme.text(),
            Tone::Bad => theme.bad(),
        };
        return (printable(&notice.text), style);
    }
    let view = state.view();
    let is_list = matches!(state.place(), Place::List(_));
    let filter = state.filter(view).filter(|_| is_list).map(Filter::typed);
    let is_searching = view == View::Organizations && state.window.ticket.is_some();
    match filter {
        Some(filter) if is_searching => {
            let looked_at = thousands(state.window.searched);
            (format!("/{filter}   … looked at {looked_at}"), theme.careful())
        }
        Some(filter) => (format!("/{filter}   Esc ends the filter"), theme.accent()),
        None if is_searching && is_list && state.is_search() => {
            let looked_at = thousands(state.window.searched);
            (format!("… looked at {looked_at}"), theme.careful())
        }
        None => (String::new(), theme.text()),
    }
}

/// A text that is longer than its line grows upwards over the view: what to do stands at its end.
fn draw_status(state: &State, frame: &mut Frame<'_>, area: Rect) {
    /// Lines that it covers at the most.
    const LINES_MAX: u16 = 5;
    let (text, style) = status_line(state);
    let paragraph = Paragraph::new(text).style(style).wrap(Wrap { trim: true });
    let lines = lines_of(&paragraph, area.width, LINES_MAX);
    let above = lines.saturating_sub(1).min(area.y);
    let area =
        Rect { y: area.y.saturating_sub(above), height: area.height.saturating_add(above), ..area };
    frame.render_widget(Clear, area);
    frame.render_widget(paragraph, area);
}

/// In how many lines all of a wrapped text is drawn; so many at the most.
fn lines_of(paragraph: &Paragraph<'_>, width: u16, lines_max: u16) -> u16 {
    (1..=lines_max).find(|it| fits(paragraph, width, *it)).unwrap_or(lines_max)
}

/// Whether all of a wrapped text is drawn in so many lines: one line more would stay blank.
fn fits(paragraph: &Paragraph<'_>, width: u16, lines: u16) -> bool {
    let area = Rect { x: 0, y: 0, width, height: lines.saturating_add(1) };
    let mut buffer = Buffer::empty(area);
    Widget::render(paragraph, area, &mut buffer);
    (0..width).all(|x| buffer.cell((x, lines)).is_none_or(|it| it.symbol() == " "))
}

fn draw_hints(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let hints: Vec<(&str, &str)> = match &state.overlay {
        Overlay::None => {
            let place = state.place();
            let is_unlocked = state.is_unlocked();
            BINDINGS
                .iter()
                .filter(|it| !it.hint.is_empty() && it.scope.holds(&place))
                .map(|it| {
                    let key = it.shown.split(' ').next().unwrap_or_default();
                    let hint = match it.intent {
                        Intent::Unlock if is_unlocked => "lock",
                        _ => it.hint,
                    };
                    (key, hint)
                })
                .collect()
        }
        Overlay::Filter(_) => {
            vec![("Enter", "keep"), ("Esc", "end"), ("!text", "without"), ("~text", "fuzzy")]
        }
        Overlay::CommandLine(..) => vec![("Tab", "complete"), ("Enter", "go"), ("Esc", "close")],
        Overlay::Help(..) => vec![("type", "search"), ("↑ ↓", "scroll"), ("Esc", "close")],
        Overlay::Menu(_) => {
            let lock = if state.is_unlocked() { "lock" } else { "unlock" };
            vec![("Enter", "choose"), ("j k", "move"), ("u", lock), ("Esc", "close")]
        }
        // Not before it has been drawn: then Enter is shown, and means it.
        Overlay::Dialog(dialog) if dialog.sight != Sight::Seen => vec![("Esc", "cancel")],
        Overlay::Dialog(dialog) if dialog.fields.len() > 1 => {
            let copy = ("Ctrl-y", "copy command");
            let focused = dialog.fields.get(dialog.focus);
            let mut hints = vec![("Enter", "confirm"), ("Tab", "next field")];
            if focused.is_some_and(|it| matches!(it.kind, Kind::Choice(_))) {
                hints.push(("Space", "choose"));
            }
            hints.extend([("Esc", "cancel"), copy]);
            hints
        }
        Overlay::Dialog(_) => {
            vec![("Enter", "confirm"), ("Esc", "cancel"), ("Ctrl-y", "copy command")]
        }
        Overlay::Session { .. } => {
            vec![("y", "copy link"), ("c", "copy command"), ("Esc", "close")]
        }
    };
    let mut spans = Vec::new();
    let mut left = usize::from(area.width);
    for (key, hint) in hints {
        let width = key.width().saturating_add(hint.width()).saturating_add(3);
        if width > left.saturating_add(2) {
            break;
        }
        left = left.saturating_sub(width);
        spans.push(Span::styled(key, theme.accent()));
        spans.push(Span::styled(format!(" {hint}  "), theme.quiet()));
    }
    frame.render_widget(Line::from(spans), area);
}

/// A box in the middle of an area, cleared; answers its inside.
fn boxed(
    frame: &mut Frame<'_>,
    area: Rect,
    (width, height): (u16, u16),
    (title, style): (&str, Style),
) -> Rect {
    let width = width.min(area.width);
    let height = height.min(area.height);
    let outer = Rect {
        x: area.x.saturating_add(area.width.saturating_sub(width) / 2),
        y: area.y.saturating_add(area.height.saturating_sub(height) / 2),
        width,
        height,
    };
    frame.render_widget(Clear, outer);
    let block = Block::bordered().border_style(style).title(format!(" {title} "));
    let inner = block.inner(outer);
    frame.render_widget(block, outer);
    inner
}

/// What an empty or unreadable list says: what it is, and what to do next.
fn message(frame: &mut Frame<'_>, area: Rect, theme: Theme, lines: &[String]) {
    let mut text = vec![Line::default()];
    for (at, line) in lines.iter().enumerate() {
        let style = if at == 0 { theme.heading() } else { theme.text() };
        text.push(Line::styled(printable(line), style));
    }
    let inside = Rect { x: area.x.saturating_add(2), width: area.width.saturating_sub(4), ..area };
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }), inside);
}

/// Names, reasons and payloads are others' text: nothing in them may steer the terminal or reorder
/// what stands beside them.
fn printable(text: &str) -> String {
    dotted(text).into_owned()
}

/// `1,234,567`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Which row of how many is selected; `+` where more can be read, and what to do where they cannot.
fn counted<T>(of: &Sifted<T>) -> String {
    let (at, count) = (of.list.selected.saturating_add(1), of.list.rows.len());
    let more = match (of.list.goes_on, is_full(of), count < of.loaded.len()) {
        (false, ..) => String::new(),
        (true, false, _) => "+".to_owned(),
        (true, true, true) => format!(" among {} (no more are looked at)", number(of.loaded.len())),
        (true, true, false) => " (no more are listed: filter, or :open)".to_owned(),
    };
    format!("row {at} of {}{more} · ", number(count))
}

/// Whether a list holds as many rows as it may.
fn is_full<T>(of: &Sifted<T>) -> bool {
    u32::try_from(of.loaded.len()).is_ok_and(|it| it >= LIST_ROWS_MAX)
}

/// What a list says whose filter lets nothing through; where not every row was looked at it says of
/// how many (`newest`, or whatever they are), and where to find the others.
fn nothing_fits<T>(
    of: &Sifted<T>,
    filter: &Filter,
    (what, newest): (&str, &str),
    elsewhere: &str,
) -> Vec<String> {
    let (typed, looked_at) = (filter.typed(), number(of.loaded.len()));
    match (of.list.goes_on, is_full(of)) {
        (false, _) => vec![format!("No {what} fits /{typed}"), "Esc ends the filter.".to_owned()],
        (true, false) => {
            vec![
                format!("None of the {newest} {looked_at} fits /{typed}"),
                "Reading on …".to_owned(),
            ]
        }
        (true, true) => vec![
            format!("None of the {newest} {looked_at} fits /{typed}"),
            format!("There are more, and they were not looked at: {elsewhere}"),
            "Esc ends the filter.".to_owned(),
        ],
    }
}

fn number(count: usize) -> String {
    thousands(u64::try_from(count).unwrap_or(u64::MAX))
}

/// An instant that may not be.
fn shown(state: &State, at: Option<Timestamp>) -> String {
    at.map_or_else(|| "–".to_owned(), |it| age::shown(state.times, it, state.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c\n"), "a·[31mb·c·");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(12), "12");
    }
}
