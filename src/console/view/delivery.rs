//! One delivery: its outcome, a dry run's answer, its headers and its exact body.
//!
//! ```text
//! delivery 4711  applicantReviewed
//! ● changed
//! received 2026-05-12 09:14:05Z · applicant 67f3… · org_0190…
//! dry run: changed → changed; the verification would be APPROVED; nothing was kept
//! x-payload-digest: 9f86…
//! {"applicantId": …
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Paragraph, Wrap};

use crate::console::age;
use crate::console::state::State;
use crate::console::view::inbox::{bytes, outcome_style, outcome_words};
use crate::console::view::{message, printable};
use crate::store::Delivery;

/// The most of a body that is drawn; the whole is `countersign inbox show`.
const DRAWN_BYTES_MAX: usize = 64 * 1024;

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    if let Some(trouble) = &state.place_trouble {
        let lines = [
            "This delivery cannot be shown.".to_owned(),
            trouble.clone(),
            "Esc goes back.".to_owned(),
        ];
        return message(frame, area, theme, &lines);
    }
    let Some(delivery) = &state.delivery else {
        return message(frame, area, theme, &["Reading …".to_owned()]);
    };
    let text = text(state, delivery);
    let last = text.height().saturating_sub(1);
    let scroll = u16::try_from(state.scroll.min(last)).unwrap_or(u16::MAX);
    let paragraph = Paragraph::new(text).wrap(Wrap { trim: false }).scroll((scroll, 0));
    frame.render_widget(paragraph, area);
}

fn text<'a>(state: &State, delivery: &Delivery) -> Text<'a> {
    let theme = state.start.theme;
    let mut lines = vec![
        Line::styled(
            format!(
                "delivery {}  {}",
                delivery.id,
                printable(delivery.event_type.as_deref().unwrap_or("unreadable"))
            ),
            theme.heading(),
        ),
        Line::styled(outcome_words(delivery.outcome), outcome_style(theme, delivery.outcome)),
        Line::styled(
            format!(
                "received {} · applicant {} · {}",
                age::exact(delivery.received_at),
                printable(delivery.applicant_id.as_deref().unwrap_or("none")),
                delivery.organization.as_ref().map_or("no organization", |it| it.as_str())
            ),
            theme.quiet(),
        ),
    ];
    match &state.rehearsal {
        None => lines.push(Line::styled("d tells what a replay would do", theme.quiet())),
        Some(Ok(told)) => lines.push(Line::styled(printable(told), theme.good())),
        Some(Err(why)) => lines.push(Line::styled(printable(why), theme.bad())),
    }
    lines.push(Line::default());
    lines.extend(headers(&delivery.headers).into_iter().map(|it| Line::styled(it, theme.quiet())));
    lines.push(Line::default());
    lines.extend(body(state, delivery));
    Text::from(lines)
}

fn body<'a>(state: &State, delivery: &Delivery) -> Vec<Line<'a>> {
    let theme = state.start.theme;
    let Some(body) = &delivery.body else {
        return vec![Line::styled(
            "body let go of by age; what it said and did stays",
            theme.quiet(),
        )];
    };
    let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let mut lines = vec![Line::styled(format!("body, {}", bytes(size)), theme.heading())];
    let drawn = body.get(..DRAWN_BYTES_MAX).unwrap_or(body);
    let text = String::from_utf8_lossy(drawn).into_owned();
    lines.extend(text.lines().map(|it| Line::raw(printable(&it.replace('\t', "  ")))));
    if drawn.len() < body.len() {
        let rest = format!("… the rest: countersign inbox show {}", delivery.id);
        lines.push(Line::styled(rest, theme.careful()));
    }
    lines
}

/// The kept headers, a line each.
fn headers(json: &str) -> Vec<String> {
    let pairs: Vec<(String, String)> = serde_json::from_str(json).unwrap_or_default();
    pairs.iter().map(|(name, value)| printable(&format!("{name}: {value}"))).collect()
}
