//! A table of one line per row. Only the rows that are seen are made. Where the terminal is narrow,
//! the least important columns go first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::console::age::Times;
use crate::console::list::List;
use crate::console::state::State;

/// A column.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Its width; the first column takes what is left, and at least this.
    pub width: u16,
    /// When it goes: larger goes earlier; 0 stays.
    pub rank: u8,
    /// Whether it holds instants, which are as wide as the operator wants to see them.
    pub is_time: bool,
}

/// Columns of `in 11 mo`, with what a list adds to it.
const RELATIVE_WIDTH: u16 = 8;
/// Columns of `2026-05-12 09:14:03Z`.
const EXACT_WIDTH: u16 = 20;

impl Column {
    /// A column of text.
    pub const fn text(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, width, rank, is_time: false }
    }

    /// A column of instants.
    pub const fn time(title: &'static str, rank: u8) -> Self {
        Self { title, width: RELATIVE_WIDTH, rank, is_time: true }
    }

    fn at(self, times: Times) -> Self {
        match times {
            Times::Exact if self.is_time => Self { width: EXACT_WIDTH, ..self },
            Times::Exact | Times::Relative => self,
        }
    }
}

/// A cell: text and style.
pub type Cell = (String, Style);

const GAP: u16 = 1;

/// Draws heading and rows into an area.
pub fn draw<T>(
    frame: &mut Frame<'_>,
    area: Rect,
    (columns, state): (&[Column], &State),
    list: &List<T>,
    cells: impl Fn(&T) -> Vec<Cell>,
) {
    let theme = state.start.theme;
    let columns: Vec<Column> = columns.iter().map(|it| it.at(state.times)).collect();
    let kept = kept(&columns, area.width);
    let widths = widths(&kept, area.width);
    let heading: Vec<Cell> =
        kept.iter().map(|(_, it)| (it.title.to_owned(), theme.quiet())).collect();
    frame.render_widget(line(&heading, &widths, None), row_area(area, 0));
    let height = usize::from(area.height.saturating_sub(1));
    let seen = list.rows.iter().enumerate().skip(list.top).take(height);
    for (drawn, (place, row)) in seen.enumerate() {
        let all = cells(row);
        let cells: Vec<Cell> = kept.iter().filter_map(|(at, _)| all.get(*at).cloned()).collect();
        let selection = (place == list.selected).then(|| theme.selection());
        let y = u16::try_from(drawn).unwrap_or(u16::MAX).saturating_add(1);
        frame.render_widget(line(&cells, &widths, selection), row_area(area, y));
    }
}

fn row_area(area: Rect, line: u16) -> Rect {
    Rect { y: area.y.saturating_add(line), height: 1, ..area }
}

fn kept(columns: &[Column], width: u16) -> Vec<(usize, &Column)> {
    let mut kept: Vec<(usize, &Column)> = columns.iter().enumerate().collect();
    while needed(&kept) > width {
        let worst = kept.iter().map(|(_, it)| it.rank).max().unwrap_or(0);
        let Some(at) = kept.iter().rposition(|(_, it)| it.rank == worst).filter(|_| worst > 0)
        else {
            break;
        };
        kept.remove(at);
    }
    kept
}

fn needed(kept: &[(usize, &Column)]) -> u16 {
    kept.iter().fold(0, |sum, (_, it)| sum.saturating_add(it.width).saturating_add(GAP))
}

fn widths(kept: &[(usize, &Column)], width: u16) -> Vec<u16> {
    let spare = width.saturating_sub(needed(kept));
    kept.iter()
        .enumerate()
        .map(|(at, (_, it))| if at == 0 { it.width.saturating_add(spare) } else { it.width })
        .collect()
}

/// One line of cells, each cut or padded to its width. A selected line has one style throughout.
fn line(cells: &[Cell], widths: &[u16], selection: Option<Style>) -> Line<'static> {
    let mut spans = Vec::new();
    for ((text, style), width) in cells.iter().zip(widths) {
        let text = fitted(text, usize::from(*width));
        spans.push(Span::styled(text, selection.unwrap_or(*style)));
        spans.push(Span::styled(" ", selection.unwrap_or_default()));
    }
    Line::from(spans)
}

/// A text of exactly so many columns: cut with `…`, or padded.
pub fn fitted(text: &str, width: usize) -> String {
    let text = super::printable(text);
    let full = text.width();
    if full <= width {
        return format!("{text}{}", " ".repeat(width.saturating_sub(full)));
    }
    let mut out = String::new();
    let mut used = 0_usize;
    for it in text.chars() {
        let next = used.saturating_add(it.width().unwrap_or(0));
        if next.saturating_add(1) > width {
            break;
        }
        out.push(it);
        used = next;
    }
    if used < width {
        out.push('…');
        used = used.saturating_add(1);
    }
    format!("{out}{}", " ".repeat(width.saturating_sub(used)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_or_padded_to_its_columns() {
        assert_eq!(fitted("abc", 5), "abc  ");
        assert_eq!(fitted("abcdef", 4), "abc…");
        assert_eq!(fitted("日本語", 4), "日… ");
        assert_eq!(fitted("abc", 0), "");
    }
}
