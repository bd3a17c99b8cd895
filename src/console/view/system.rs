//! The system.
//!
//! ```text
//! SUMSUB     answers in 84 ms   ▁▂▁▁▃▁▁█▁▁   median 80 ms, worst 812 ms
//! CLOCK      right to the second, by Sumsub's
//! APPROVALS  2 do not count (2 lists them), none waits for Sumsub's answer
//! WEBHOOKS   arrive after 1 s (median of 40), worst 14 s
//! REGISTER   /var/lib/countersign/live.db  412.0 MB + 1.2 MB log · schema 1 · SQLite 3.51.0
//! PROGRAM    countersign 0.1.0
//! SENDING    3 webhooks wait to be sent, the longest for 4 min
//! LOAS       812 signed, 14 to sign
//! STATUS
//!  ○ not started     ████▌                120
//!  ● approved        ████████████████   1,204
//! CONFIGURATION
//!  database          /var/lib/countersign/live.db
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;

use crate::console::age;
use crate::console::state::State;
use crate::console::theme::status_words;
use crate::console::view::inbox::bytes;
use crate::console::view::{printable, thousands};
use crate::domain::timekeeper::{ClockStanding, OFFSET_MAX_MS, OFFSET_MIN_MS};
use crate::domain::verification::Status;

const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of the longest bar.
const BAR_MAX: u64 = 40;

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let mut lines = vec![provider(state)];
    lines.extend(clock(state));
    lines.extend(approvals(state));
    lines.push(webhooks(state));
    lines.extend(register(state));
    lines.push(Line::from(vec![Span::styled("STATUS", state.start.theme.heading())]));
    lines.extend(funnel(state, area.width));
    lines.push(Line::styled("CONFIGURATION", state.start.theme.heading()));
    lines.extend(state.start.configuration.iter().map(|(name, value)| {
        Line::from(vec![
            Span::styled(format!(" {name:<26} "), state.start.theme.quiet()),
            Span::raw(printable(value)),
        ])
    }));
    let last = lines.len().saturating_sub(1);
    let scroll = u16::try_from(state.scroll.min(last)).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(Text::from(lines)).scroll((scroll, 0)), area);
}

fn provider(state: &State) -> Line<'_> {
    let theme = state.start.theme;
    let latencies = &state.provider.latencies_ms;
    let (text, style) = match &state.provider.last {
        None if state.start.no_provider.is_some() => {
            let why = state.start.no_provider.as_deref().unwrap_or_default();
            (format!("not configured: {}", printable(why)), theme.careful())
        }
        None => ("asking …".to_owned(), theme.quiet()),
        Some(Ok(ms)) => (format!("answers in {ms} ms"), theme.good()),
        Some(Err(why)) => (printable(why), theme.bad()),
    };
    let spread = if latencies.is_empty() {
        String::new()
    } else {
        let worst = latencies.iter().max().copied().unwrap_or(0);
        format!("  median {} ms, worst {worst} ms", median(latencies))
    };
    Line::from(vec![
        Span::styled("SUMSUB     ", theme.heading()),
        Span::styled(text, style),
        Span::styled(format!("  {}", sparkline(latencies)), theme.text()),
        Span::styled(spread, theme.quiet()),
    ])
}

/// How this machine's clock stands, and what to do where it is wrong.
fn clock(state: &State) -> Vec<Line<'_>> {
    let theme = state.start.theme;
    let apart = |ms: i64| age::span(ms.saturating_abs());
    let (text, advice, style) = match state.clock {
        None => ("looking …".to_owned(), None, theme.quiet()),
        Some(ClockStanding::Known { offset_ms }) if offset_ms.abs() < OFFSET_MIN_MS => {
            ("agrees with Sumsub's".to_owned(), None, theme.good())
        }
        Some(ClockStanding::Known { offset_ms }) if offset_ms.abs() <= OFFSET_MAX_MS => {
            let way = if offset_ms > 0 { "behind" } else { "ahead of" };
            let text = format!("{} {way} Sumsub's; every instant is corrected", apart(offset_ms));
            (text, Some("set it all the same: `timedatectl` shows how"), theme.careful())
        }
        Some(ClockStanding::Known { offset_ms }) => {
            let text = format!("{} from Sumsub's: too far to be corrected", apart(offset_ms));
            (text, Some("set the clock now: `timedatectl` shows how"), theme.bad())
        }
        Some(ClockStanding::Unknown) => {
            let text = "not compared with Sumsub's: it has not answered yet".to_owned();
            (text, None, theme.careful())
        }
        Some(ClockStanding::Behind { by_ms }) => {
            let text = format!("! {} behind the register's newest fact", apart(by_ms));
            let advice = "approvals wait: set the clock (`timedatectl`), or let Sumsub answer";
            (text, Some(advice), theme.bad())
        }
    };
    let mut lines = vec![Line::from(vec![
        Span::styled("CLOCK      ", theme.heading()),
        Span::styled(text, style),
    ])];
    lines.extend(advice.map(|it| Line::styled(format!("           {it}"), style)));
    lines
}

/// Approvals of Sumsub's that are not what their customers wait for.
fn approvals(state: &State) -> Option<Line<'_>> {
    let theme = state.start.theme;
    let it = state.overview.as_ref()?;
    let (ignored, awaiting) = (it.ignored_approvals, it.awaiting_approvals);
    let do_not_count = match ignored {
        0 => "all count".to_owned(),
        1 => "1 does not count (2 lists it)".to_owned(),
        _ => format!("{} do not count (2 lists them)", thousands(ignored)),
    };
    let wait = match awaiting {
        0 => "none waits for Sumsub's answer".to_owned(),
        1 => "1 waits for Sumsub's answer".to_owned(),
        _ => format!("{} wait for Sumsub's answer", thousands(awaiting)),
    };
    let style = if ignored + awaiting > 0 { theme.careful() } else { theme.text() };
    Some(Line::from(vec![
        Span::styled("APPROVALS  ", theme.heading()),
        Span::styled(format!("{do_not_count}, {wait}"), style),
    ]))
}

/// A bar per latency, the largest full.
fn sparkline(latencies: &[i64]) -> String {
    let worst = latencies.iter().max().copied().unwrap_or(0).max(1);
    latencies
        .iter()
        .filter_map(|it| {
            let step = it.saturating_mul(7) / worst;
            SPARKS.get(usize::try_from(step).unwrap_or(0))
        })
        .collect()
}

fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

fn webhooks(state: &State) -> Line<'_> {
    let theme = state.start.theme;
    let lags = state.overview.as_ref().map_or(&[][..], |it| &it.webhook_lags_ms);
    let text = if lags.is_empty() {
        "no verdict of Sumsub has arrived yet".to_owned()
    } else {
        let worst = lags.iter().max().copied().unwrap_or(0);
        format!(
            "arrive after {} (median of the last {}), worst {}",
            lag(median(lags)),
            lags.len(),
            lag(worst)
        )
    };
    Line::from(vec![Span::styled("WEBHOOKS   ", theme.heading()), Span::raw(text)])
}

fn lag(ms: i64) -> String {
    if ms < 1_000 { format!("{} ms", ms.max(0)) } else { age::span(ms) }
}

fn register(state: &State) -> Vec<Line<'_>> {
    let theme = state.start.theme;
    let mut lines = vec![Line::from(vec![
        Span::styled("REGISTER   ", theme.heading()),
        Span::raw(printable(&state.start.register)),
    ])];
    let Some(it) = &state.overview else {
        lines.push(Line::styled("           counting …", theme.quiet()));
        return lines;
    };
    lines.push(Line::styled(
        format!(
            "           {} + {} log · schema {} · SQLite {}",
            bytes(it.file_bytes),
            bytes(it.log_bytes),
            it.schema,
            it.sqlite
        ),
        theme.quiet(),
    ));
    lines.push(Line::from(vec![
        Span::styled("PROGRAM    ", theme.heading()),
        Span::raw(concat!("countersign ", env!("CARGO_PKG_VERSION"))),
    ]));
    let waits = it.outgoing_oldest.map_or_else(String::new, |at| {
        format!(", the longest for {}", age::relative(at, state.now()))
    });
    lines.push(Line::from(vec![
        Span::styled("SENDING    ", theme.heading()),
        Span::raw(format!("{} webhooks wait to be sent{waits}", thousands(it.outgoing_waiting))),
    ]));
    lines.push(Line::from(vec![
        Span::styled("LOAS       ", theme.heading()),
        Span::raw(format!(
            "{} signed, {} to sign",
            thousands(it.loas_signed),
            thousands(it.loas_unsigned)
        )),
    ]));
    lines
}

fn funnel(state: &State, width: u16) -> Vec<Line<'_>> {
    let theme = state.start.theme;
    let Some(overview) = &state.overview else { return Vec::new() };
    let most = overview.statuses.iter().max().copied().unwrap_or(0).max(1);
    let room = u64::from(width.saturating_sub(32)).clamp(4, BAR_MAX);
    Status::ALL
        .into_iter()
        .zip(overview.statuses)
        .map(|(status, count)| {
            let eighths = count.saturating_mul(room).saturating_mul(8) / most;
            Line::from(vec![
                Span::styled(format!(" {:<16}", status_words(status)), theme.status(status)),
                Span::styled(bar(eighths), theme.status(status)),
                Span::raw(format!(" {}", thousands(count))),
            ])
        })
        .collect()
}

fn bar(eighths: u64) -> String {
    let full = usize::try_from(eighths / 8).unwrap_or(0);
    let part = match eighths % 8 {
        0 => "",
        1 => "▏",
        2 => "▎",
        3 => "▍",
        4 => "▌",
        5 => "▋",
        6 => "▊",
        _ => "▉",
    };
    format!("{}{part}", "█".repeat(full))
}
