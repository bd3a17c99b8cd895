//! One delivery: its outcome, a dry run's answer, its headers and its exact body.
//!
//! ```text
//! delivery 4711  applicantReviewed
//! ● changed
//! received 2026-05-12 09:14:05Z · applicant 67f3… · org_0190…
//! level kyb-basic; accepted: kyb-level · accept the level: extend …      if an approval does not count
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
use crate::console::view::{ignored, message, printable};
use crate::domain::organization::OrganizationType;
use crate::store::Outcome;
use crate::usecase::observe::DeliveryDetail;

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
    let Some(detail) = &state.delivery else {
        return message(frame, area, theme, &["Reading …".to_owned()]);
    };
    let text = text(state, detail);
    let last = text.height().saturating_sub(1);
    let scroll = u16::try_from(state.scroll.min(last)).unwrap_or(u16::MAX);
    let paragraph = Paragraph::new(text).wrap(Wrap { trim: false }).scroll((scroll, 0));
    frame.render_widget(paragraph, area);
}

fn text<'a>(state: &State, detail: &DeliveryDetail) -> Text<'a> {
    let theme = state.start.theme;
    let delivery = &detail.delivery;
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
    let needs_a_look = uncounted(state, detail);
    lines.extend(needs_a_look.into_iter().map(|it| Line::styled(printable(&it), theme.careful())));
    match &state.rehearsal {
        None => lines.push(Line::styled("d tells what a replay would do", theme.quiet())),
        Some(Ok(told)) => lines.push(Line::styled(printable(told), theme.good())),
        Some(Err(why)) => lines.push(Line::styled(printable(why), theme.bad())),
    }
    lines.push(Line::default());
    lines.extend(headers(&delivery.headers).into_iter().map(|it| Line::styled(it, theme.quiet())));
    lines.push(Line::default());
    lines.extend(body(state, detail));
    Text::from(lines)
}

/// Why an approval does not count, or not yet, and what to do.
fn uncounted(state: &State, detail: &DeliveryDetail) -> Vec<String> {
    let DeliveryDetail { delivery, kind, level, applicant_type } = detail;
    if delivery.outcome == Outcome::AwaitingProvider {
        return vec![
            "This machine's clock may be wrong, so the approval waits until Sumsub has been asked:"
                .to_owned(),
            "7 shows the clock. Once Sumsub answers, the server applies it.".to_owned(),
        ];
    }
    let Some(kind) = *kind else { return Vec::new() };
    let again = format!("countersign inbox replay {}", delivery.id);
    let Some(advice) = ignored::advice(delivery.outcome, kind, &again) else { return Vec::new() };
    let word = applicant_type.value().map(|it| match it {
        OrganizationType::Business => "company",
        OrganizationType::Individual => "individual",
    });
    let levels = ignored::levels(level, kind, &state.start.acceptance);
    let mut lines = vec![
        "Sumsub approved, and that does not count:".to_owned(),
        format!("{} at level {levels}", ignored::checked(word)),
    ];
    lines.extend(advice);
    lines
}

fn body<'a>(state: &State, detail: &DeliveryDetail) -> Vec<Line<'a>> {
    let delivery = &detail.delivery;
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
