//! The help: the key table and the table of views, searched as one types.
//!
//! ```text
//! ┌ Help: hold ──────────────────────────────┐
//! │ H          hold the verification; says … │
//! └──────────────────────────────────────────┘
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;

use crate::console::filter::Filter;
use crate::console::keys::{BINDINGS, Chapter};
use crate::console::state::{State, WITH_WORD};
use crate::console::view::boxed;
use crate::console::views::VIEWS;

const WIDTH: u16 = 90;
/// What the mouse does.
const MOUSE: [(&str, &str); 3] = [
    ("click", "select a row; on the selected one: open it"),
    ("click a tab", "go to that view"),
    ("wheel", "move the selection"),
];

/// Draws the help over an area.
pub fn draw(state: &State, (search, scroll): (&str, usize), frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let mut sieve = Filter::parse(search).map(|it| it.sieve());
    let mut fits = |texts: &[&str]| sieve.as_mut().is_none_or(|it| it.score(texts).is_some());
    let place = state.place();
    let mut lines = Vec::new();
    let mut chapter = |title: &'static str, found: Vec<Line<'static>>| {
        if !found.is_empty() {
            lines.push(Line::styled(title, theme.heading()));
            lines.extend(found);
        }
    };
    for it in Chapter::ALL {
        let keys = BINDINGS.iter().filter(|key| key.intent.chapter() == it);
        let keys = keys.filter(|it| fits(&[it.about, it.hint, it.shown])).map(|it| {
            // What does not mean anything here is still told, with less weight.
            let style = if it.scope.holds(&place) { theme.accent() } else { theme.quiet() };
            let key = Span::styled(format!(" {:<11} ", it.shown), style);
            Line::from(vec![key, Span::raw(it.about)])
        });
        chapter(it.title(), keys.collect());
    }
    let command = |word: String, about: &'static str| {
        let word = Span::styled(format!(" {word:<17} "), theme.accent());
        Line::from(vec![word, Span::raw(about)])
    };
    let views = VIEWS.iter().filter(|it| fits(&[it.title, it.about, it.word]));
    let views = views.map(|it| command(format!("{} :{}", it.digit, it.word), it.about));
    chapter("VIEWS", views.collect());
    let others = WITH_WORD.iter().filter(|(word, about)| fits(&[word, about]));
    let others = others.map(|(word, about)| command(format!("  :{word}"), about));
    chapter("COMMANDS (and every action by its name)", others.collect());
    let mouse = MOUSE.iter().filter(|(what, about)| fits(&[what, about]));
    chapter("MOUSE", mouse.map(|(what, about)| command((*what).to_owned(), about)).collect());
    if lines.is_empty() {
        lines.push(Line::raw(" nothing fits; Backspace shortens the search"));
    }
    let title = if search.is_empty() {
        "Help: type to search".to_owned()
    } else {
        format!("Help: {search}")
    };
    let inner = boxed(frame, area, (WIDTH, area.height), (&title, theme.accent()));
    let last = lines.len().saturating_sub(usize::from(inner.height));
    let scroll = u16::try_from(scroll.min(last)).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(Text::from(lines)).scroll((scroll, 0)), inner);
}
