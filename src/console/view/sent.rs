//! One webhook of ours: where it stands, every attempt, its exact body.
//!
//! ```text
//! organization.verification.updated  msg_0190…
//! ✓ delivered · delivery 17 to ep_… · written 2026-05-12 09:14:05Z
//! ATTEMPTS
//!  2026-05-12 09:14:06Z  200  84 ms  https://broker.example/hooks
//!  v1,7a0b…  answer: ok
//! BODY, 312 B
//! {"type": …
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Wrap};

use crate::console::age;
use crate::console::state::State;
use crate::console::view::inbox::bytes;
use crate::console::view::outgoing::status;
use crate::console::view::{message, printable};
use crate::store::{OutgoingAttempt, OutgoingDelivery};

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    if let Some(trouble) = &state.place_trouble {
        let lines = [
            "This webhook cannot be shown.".to_owned(),
            trouble.clone(),
            "Esc goes back.".to_owned(),
        ];
        return message(frame, area, theme, &lines);
    }
    let Some(sent) = &state.sent else {
        return message(frame, area, theme, &["Reading …".to_owned()]);
    };
    let text = text(state, sent);
    let last = text.height().saturating_sub(1);
    let scroll = u16::try_from(state.scroll.min(last)).unwrap_or(u16::MAX);
    let paragraph = Paragraph::new(text).wrap(Wrap { trim: false }).scroll((scroll, 0));
    frame.render_widget(paragraph, area);
}

fn text<'a>(state: &State, sent: &OutgoingDelivery) -> Text<'a> {
    let theme = state.start.theme;
    let (words, style) = status(theme, sent.status);
    let next = sent.due_at.map_or_else(String::new, |it| format!(" · next {}", age::exact(it)));
    let mut lines = vec![
        Line::from(vec![
            Span::styled(sent.event_type.as_str(), theme.heading()),
            Span::styled(format!("  {}", sent.message_id), theme.quiet()),
        ]),
        Line::from(vec![
            Span::styled(words, style),
            Span::styled(
                format!(
                    " · delivery {} to {} · written {}{next}",
                    sent.no,
                    sent.endpoint_id,
                    age::exact(sent.created_at)
                ),
                theme.quiet(),
            ),
        ]),
        Line::styled("ATTEMPTS", theme.heading()),
    ];
    if sent.attempts.is_empty() {
        lines.push(Line::raw(" none yet: a running server sends what is due"));
    }
    lines.extend(sent.attempts.iter().rev().flat_map(|it| attempt(state, it)));
    let size = u64::try_from(sent.body.len()).unwrap_or(u64::MAX);
    lines.push(Line::styled(format!("BODY, {}", bytes(size)), theme.heading()));
    let body = String::from_utf8_lossy(&sent.body).into_owned();
    lines.extend(body.lines().map(|it| Line::raw(printable(it))));
    Text::from(lines)
}

fn attempt<'a>(state: &State, it: &OutgoingAttempt) -> [Line<'a>; 2] {
    let theme = state.start.theme;
    let took = it.ended_at.as_ms().saturating_sub(it.started_at.as_ms());
    let (came_to, style) = match (it.status, &it.error) {
        (Some(status @ 200..=299), _) => (status.to_string(), theme.good()),
        (Some(status), _) => (status.to_string(), theme.bad()),
        (None, error) => (printable(error.as_deref().unwrap_or("no answer")), theme.bad()),
    };
    let answer = String::from_utf8_lossy(it.answer.as_deref().unwrap_or_default()).into_owned();
    [
        Line::from(vec![
            Span::styled(format!(" {}  ", age::exact(it.started_at)), theme.quiet()),
            Span::styled(came_to, style),
            Span::raw(format!("  {took} ms  {}", printable(&it.url))),
        ]),
        Line::styled(
            format!(
                "   webhook-timestamp {} · {} · answer: {}",
                it.signed_at_s,
                it.signature,
                printable(&answer)
            ),
            theme.quiet(),
        ),
    ]
}
