//! A session's link, as text and as a QR code of half blocks.
//!
//! ```text
//! ┌ Session for Jo Doe ──────────────────────┐
//! │ https://in.sumsub.com/websdk/p/sbx_…     │
//! │ ▄▄▄▄▄▄▄ ▄  ▄▄ ▄▄▄▄▄▄▄                    │
//! └──────────────────────────────────────────┘
//! ```
//! The QR code is dark on light whatever the terminal's colours: its own cells are reversed where
//! the theme may not set colours, and scanners read both.

use qrcode::{Color as Module, EcLevel, QrCode};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Paragraph, Wrap};
use unicode_width::UnicodeWidthStr as _;

use crate::console::state::State;
use crate::console::theme::Theme;
use crate::console::view::{boxed, printable};

/// Modules of the light margin. The standard asks for four; two are enough for the reader of the tests,
/// and let the code of a link fit a terminal of 24 lines.
const MARGIN: usize = 2;

/// Draws the session over an area.
pub fn draw(state: &State, (name, link): (&str, &str), frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    let code = qr(link, theme);
    let code_width = code.first().map_or(0, |it| it.width());
    let title = format!("Session for {}", printable(name));
    let width = code_width.max(link.width()).max(title.width().saturating_add(4));
    let width = u16::try_from(width).unwrap_or(u16::MAX).saturating_add(2).min(area.width);
    let inside = usize::from(width.saturating_sub(2)).max(1);
    let link_lines = u16::try_from(link.width().div_ceil(inside)).unwrap_or(1);
    let code_lines = u16::try_from(code.len()).unwrap_or(u16::MAX);
    let needed = link_lines.saturating_add(code_lines).saturating_add(2);
    let fits = area.width >= u16::try_from(code_width).unwrap_or(u16::MAX).saturating_add(2)
        && area.height >= needed;
    let height = if fits { needed } else { link_lines.saturating_add(4) };
    let inner = boxed(frame, area, (width.max(MESSAGE_WIDTH), height), (&title, theme.good()));
    let [text, picture] =
        Layout::vertical([Constraint::Length(link_lines), Constraint::Min(0)]).areas(inner);
    let words = Paragraph::new(printable(link)).style(theme.accent()).wrap(Wrap { trim: false });
    frame.render_widget(words, text);
    if !fits {
        let told = format!(
            "y copies the link. Its QR code needs {}×{}: make the terminal larger.",
            code_width.saturating_add(2),
            needed.saturating_add(1)
        );
        frame.render_widget(
            Paragraph::new(told).style(theme.quiet()).wrap(Wrap { trim: true }),
            picture,
        );
        return;
    }
    let style = match theme {
        Theme::Colour => Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(231)),
        Theme::Monochrome => Style::new(),
    };
    let lines: Vec<Line<'_>> = code.into_iter().map(|it| Line::styled(it, style)).collect();
    frame.render_widget(Paragraph::new(Text::from(lines)).centered(), picture);
}

/// Columns in which the words beside a link can be read.
const MESSAGE_WIDTH: u16 = 40;

/// The code's lines, two rows of modules each; none if the link is too long for one.
fn qr(link: &str, theme: Theme) -> Vec<String> {
    let Ok(code) = QrCode::with_error_correction_level(link, EcLevel::L) else {
        return Vec::new();
    };
    let (modules, width) = (code.to_colors(), code.width());
    let side = width.saturating_add(MARGIN.saturating_mul(2));
    let is_dark = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(MARGIN), y.checked_sub(MARGIN)) else {
            return false;
        };
        x < width && modules.get(y * width + x) == Some(&Module::Dark)
    };
    // Blocks are drawn in the foreground. Without colours that is most often light on dark, so
    // there the light modules are the drawn ones.
    let is_drawn = |x, y| is_dark(x, y) == (theme == Theme::Colour);
    let block = |x, y| match (is_drawn(x, y), is_drawn(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    (0..side).step_by(2).map(|y| (0..side).map(|x| block(x, y)).collect()).collect()
}
