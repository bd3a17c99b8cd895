//! One organization: why it stands as it does, and what is next.
//!
//! ```text
//! Acme Trading Co.  BUSINESS  ● approved  since 3 d (2026-05-12 09:14:05Z), until in 11 mo
//! org_0190…  created by Broker Ltd. · applicant 67f3…
//! ! approved by an operator against Sumsub's rejection of …      what every reader is to know
//! WHY  Broker Ltd. may NOT act: suspended
//!  ✓ authorization_live      ACTIVE    3 d    loa_signed (fact 12)
//!  ✓ authorization_signed    ACTIVE    3 d    loa_signed (fact 12)
//!  ✕ verification_approved   ON_HOLD   4 h    operator_hold (fact 31), operator:ada: …
//!  next  operator: Review the case and decide: approve, reject, resubmit.
//! LOAS
//!  ◌ suspended   for Broker Ltd.        signed 2026-02-03 00:00:00Z
//! TIMELINE
//!  4 h     operator_hold          operator:ada: name on a list
//! WEBHOOKS IN
//!  4 min   applicantReviewed      ● changed
//! ```
//! LINKS and SESSIONS stand between LOAS and TIMELINE, WEBHOOKS OUT at the end. All their lines can
//! be selected and opened; the screen follows.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::console::age;
use crate::console::state::{DetailItem, State};
use crate::console::theme::{LoaStanding, state_words, status_words};
use crate::console::view::activity::{cause as activity_cause, event_style};
use crate::console::view::ignored::{advice, checked, levels};
use crate::console::view::inbox::{outcome_style, outcome_words};
use crate::console::view::outgoing::{event_words, last_answer, status};
use crate::console::view::{message, printable, shown};
use crate::domain::fold::Overrule;
use crate::domain::handoff::LinkStatus;
use crate::domain::verdict::Named;
use crate::domain::verification::Event;
use crate::store::{AuthorizationRow, Cause, OutgoingRow, RecordedFact};
use crate::usecase::explain::{Condition, Explanation, RestsOn};
use crate::usecase::handoff_links::ListedLink;
use crate::usecase::in_words;
use crate::usecase::observe::OrganizationDetail;

/// Draws the view.
pub fn draw(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = state.start.theme;
    if let Some(trouble) = &state.place_trouble {
        let lines = [
            "This organization cannot be shown.".to_owned(),
            trouble.clone(),
            "Esc goes back.".to_owned(),
        ];
        return message(frame, area, theme, &lines);
    }
    let Some(detail) = &state.organization else {
        return message(frame, area, theme, &["Reading …".to_owned()]);
    };
    let (lines, places) = lines(state, detail);
    let height = usize::from(area.height);
    let top = top(state, (lines.len(), &places), height);
    for (at, line) in lines.into_iter().skip(top).take(height).enumerate() {
        let y = area.y.saturating_add(u16::try_from(at).unwrap_or(u16::MAX));
        frame.render_widget(line, Rect { y, height: 1, ..area });
    }
}

/// The first line that is drawn. The top of the page is its most important part: it stays until the
/// selection leaves it.
fn top(state: &State, (count, places): (usize, &[usize]), height: usize) -> usize {
    let selected = places.get(state.items.selected).filter(|_| state.items.selected > 0);
    selected
        .map_or(0, |it| it.saturating_add(2).saturating_sub(height))
        .min(count.saturating_sub(height))
}

/// The selectable line that is drawn in a row of the screen.
pub fn item_at(state: &State, row: u16) -> Option<usize> {
    let detail = state.organization.as_ref()?;
    let (lines, places) = lines(state, detail);
    let area_height = usize::from(state.start.size.1).saturating_sub(OTHER_ROWS);
    let drawn = usize::from(row).checked_sub(ROWS_ABOVE).filter(|it| *it < area_height)?;
    let line = drawn.saturating_add(top(state, (lines.len(), &places), area_height));
    places.iter().position(|it| *it == line)
}

/// Rows of the screen above a view: header and tabs.
const ROWS_ABOVE: usize = 2;
/// Rows of the screen that are no view's: those, the notice and the hints.
const OTHER_ROWS: usize = 4;

/// All lines of the page, and which of them are the selectable ones, in their order.
fn lines<'a>(state: &'a State, detail: &'a OrganizationDetail) -> (Vec<Line<'a>>, Vec<usize>) {
    let theme = state.start.theme;
    let mut lines = head(state, detail);
    lines.extend(notes(state, detail));
    for (name, explanation) in &detail.explanations {
        lines.extend(why(state, detail, (name.as_str(), explanation)));
    }
    let mut places = Vec::new();
    let mut section = "";
    for (at, item) in state.items.rows.iter().enumerate() {
        let title = match item {
            DetailItem::Loa(_) => "LOAS",
            DetailItem::Link(_) => "LINKS",
            DetailItem::Session(_) => "SESSIONS",
            DetailItem::Fact(_) | DetailItem::LoaFact(_) => "TIMELINE",
            DetailItem::Delivery(_) => "WEBHOOKS IN",
            DetailItem::Outgoing(_) => "WEBHOOKS OUT",
        };
        if title != section {
            section = title;
            lines.push(Line::styled(title, theme.heading()));
        }
        let mut line = item_line(state, detail, *item).unwrap_or_default();
        places.push(lines.len());
        if at == state.items.selected {
            line = Line::styled(line.to_string(), theme.selection());
        }
        lines.push(line);
    }
    if state.items.rows.is_empty() {
        lines.push(Line::default());
        lines
            .push(Line::raw("Nothing has happened yet: S starts a session, after u has unlocked."));
    }
    (lines, places)
}

fn head<'a>(state: &State, detail: &'a OrganizationDetail) -> Vec<Line<'a>> {
    let theme = state.start.theme;
    let now = state.now();
    let (organization, verification) = (&detail.organization, &detail.verification);
    let standing = verification.at(now);
    let lapsed = if standing.lapsed { " (the approval has expired)" } else { "" };
    let until = verification
        .expires_at
        .map(|it| format!(", ends {} ({})", age::relative(it, now), age::exact(it)));
    let creator = match (&detail.creator_name, &organization.created_by) {
        (Some(name), _) => printable(name),
        (None, Some(id)) => id.to_string(),
        (None, None) => "an operator".to_owned(),
    };
    let applicant =
        verification.applicant_id.as_deref().map(|it| format!(" · applicant {}", printable(it)));
    vec![
        Line::from(vec![
            Span::styled(printable(organization.name.as_str()), theme.heading()),
            Span::styled(format!("  {}  ", organization.kind.as_str()), theme.quiet()),
            Span::styled(
                format!("{}{lapsed}", state_words(verification.state_at(now))),
                theme.status(standing.status),
            ),
        ]),
        Line::styled(
            format!(
                "since {} ({}){}",
                age::relative(standing.updated_at, now),
                age::exact(standing.updated_at),
                until.unwrap_or_default()
            ),
            theme.quiet(),
        ),
        Line::styled(
            format!(
                "{} · created {} by {creator}{}",
                organization.id,
                shown(state, Some(organization.created_at)),
                applicant.unwrap_or_default()
            ),
            theme.quiet(),
        ),
    ]
}

/// What every reader is to know: what the approval that stands overruled, and the approval that does
/// not count.
fn notes<'a>(state: &State, detail: &OrganizationDetail) -> Vec<Line<'a>> {
    let theme = state.start.theme;
    let mut notes: Vec<String> =
        detail.overrules.map(|it| format!("! {}", in_words(it))).into_iter().collect();
    if let Some(it) = &detail.ignored {
        let kind = detail.organization.kind;
        let named = it.level.clone().map_or(Named::Not, Named::As);
        let again = it.delivery_id.map_or_else(
            || format!("countersign reconcile --org {}", it.organization),
            |id| format!("countersign inbox replay {id}"),
        );
        let said = levels(&named, kind, &state.start.acceptance);
        let (what, checked) = (it.outcome.as_str(), checked(it.applicant_type.as_deref()));
        let at = age::exact(it.happened_at);
        notes.push(format!("! Sumsub approved at {at}, and that does not count:"));
        notes.push(format!("  {what}: {checked} at level {said}"));
        let advice = advice(it.outcome, kind, &again).unwrap_or_default();
        notes.extend(advice.iter().map(|it| format!("  {it}")));
    }
    notes.iter().map(|it| Line::styled(printable(it), theme.careful())).collect()
}

/// The explain tree towards one broker.
fn why<'a>(
    state: &State,
    detail: &OrganizationDetail,
    (name, explanation): (&str, &'a Explanation),
) -> Vec<Line<'a>> {
    let theme = state.start.theme;
    let (verdict, style) = if explanation.is_effective {
        ("may act: the LOA is effective", theme.good())
    } else {
        ("may NOT act", theme.bad())
    };
    let mut lines = vec![Line::from(vec![
        Span::styled("WHY ", theme.heading()),
        Span::raw(format!("{} ", printable(name))),
        Span::styled(verdict, style),
    ])];
    lines.extend(explanation.conditions.iter().map(|it| condition(state, detail, it)));
    if let Some(next) = &explanation.next {
        lines.push(Line::from(vec![
            Span::styled(" next ", theme.accent()),
            Span::raw(format!("{}: {}", next.who.as_str(), next.what)),
        ]));
    }
    lines
}

/// A person, or an organization by its name where the page knows it.
fn who(detail: &OrganizationDetail, actor: &str) -> String {
    let organization = &detail.organization;
    let creator = organization.created_by.as_ref().zip(detail.creator_name.as_deref());
    let brokers = detail
        .authorizations
        .iter()
        .map(|it| (&it.authorization.authorized, it.authorized_name.as_str()));
    let mut known = std::iter::once((&organization.id, organization.name.as_str()))
        .chain(creator)
        .chain(brokers);
    let name = known.find(|(id, _)| id.as_str() == actor).map(|(_, name)| name);
    printable(name.unwrap_or(actor))
}

fn condition<'a>(state: &State, detail: &OrganizationDetail, it: &Condition) -> Line<'a> {
    let theme = state.start.theme;
    let (glyph, style) = if it.holds { ("✓", theme.good()) } else { ("✕", theme.bad()) };
    let since = shown(state, it.since);
    let fact = match &it.fact {
        None => "no fact yet".to_owned(),
        Some(RestsOn::Authorization { sequence, event, cause, .. }) => {
            format!("LOA {}, fact {sequence}: {}", event.as_str(), who(detail, &cause.actor))
        }
        Some(RestsOn::Verification { sequence, event, cause, .. }) => {
            format!("{}, fact {sequence}: {}", event.as_str(), cause_words(cause))
        }
        Some(RestsOn::Expiry { sequence, .. }) => {
            format!("the approval of fact {sequence} has run out")
        }
    };
    Line::from(vec![
        Span::styled(format!(" {glyph} "), style),
        Span::raw(format!("{:<21} ", it.name.as_str())),
        Span::styled(format!("{:<11} ", it.value), style),
        Span::styled(format!("{since:<8} {fact}"), theme.quiet()),
    ])
}

fn item_line<'a>(
    state: &State,
    detail: &'a OrganizationDetail,
    item: DetailItem,
) -> Option<Line<'a>> {
    Some(match item {
        DetailItem::Loa(at) => loa_line(state, detail, detail.authorizations.get(at)?),
        DetailItem::Fact(at) => fact_line(state, detail, detail.facts.get(at)?),
        DetailItem::Session(at) => session_line(state, detail, detail.facts.get(at)?),
        DetailItem::Link(at) => link_line(state, detail, detail.links.get(at)?),
        DetailItem::Outgoing(at) => sent_line(state, detail.outgoing.get(at)?),
        DetailItem::LoaFact(at) => {
            let fact = detail.authorization_activity.get(at)?;
            let cause = match (&fact.actor, &fact.reason) {
                (Some(actor), None) => who(detail, actor),
                _ => activity_cause(fact),
            };
            timeline_line(state, &shown(state, Some(fact.known_at)), &fact.event, &cause)
        }
        DetailItem::Delivery(at) => {
            let it = detail.deliveries.get(at)?;
            let theme = state.start.theme;
            Line::from(vec![
                Span::styled(format!(" {:<8} ", shown(state, Some(it.received_at))), theme.quiet()),
                Span::raw(format!("{:<24} ", printable(it.event_type.as_deref().unwrap_or("?")))),
                Span::styled(
                    format!("{:<23}", outcome_words(it.outcome)),
                    outcome_style(theme, it.outcome),
                ),
                Span::styled(format!(" delivery {}", it.id), theme.quiet()),
            ])
        }
    })
}

fn loa_line<'a>(state: &State, detail: &OrganizationDetail, row: &'a AuthorizationRow) -> Line<'a> {
    let theme = state.start.theme;
    let status = row.verification.at(state.now()).status;
    let standing = LoaStanding::of(row.authorization.status, status);
    let other = if row.authorization.granting == detail.organization.id {
        format!("for {}", printable(&row.authorized_name))
    } else {
        format!("of {} ({})", printable(&row.granting_name), status_words(status))
    };
    let loa = &row.authorization;
    let when = match (loa.revoked_at, loa.signed_at) {
        (Some(at), _) => format!("revoked {}", shown(state, Some(at))),
        (None, Some(at)) => format!("signed {}", shown(state, Some(at))),
        (None, None) => format!("issued {}", shown(state, Some(loa.created_at))),
    };
    Line::from(vec![
        Span::styled(format!(" {:<13}", standing.words()), theme.loa(standing)),
        Span::raw(format!("{other}  ")),
        Span::styled(when, theme.quiet()),
    ])
}

fn link_line<'a>(state: &State, detail: &OrganizationDetail, listed: &ListedLink) -> Line<'a> {
    let (theme, it) = (state.start.theme, &listed.link);
    let loa = detail.authorizations.iter().find(|loa| loa.authorization.id == it.authorization_id);
    let (words, style) = match listed.status {
        LinkStatus::Live => ("✓ live", theme.good()),
        LinkStatus::Signed => ("✓ signed", theme.good()),
        LinkStatus::Revoked => ("✕ revoked", theme.quiet()),
        LinkStatus::Ended => ("✕ ended", theme.quiet()),
        LinkStatus::Withdrawn => ("✕ withdrawn", theme.quiet()),
        LinkStatus::Expired => ("✕ expired", theme.quiet()),
    };
    let broker = loa.map_or_else(String::new, |it| printable(&it.authorized_name));
    Line::from(vec![
        Span::styled(format!(" {:<8} ", shown(state, Some(it.created_at))), theme.quiet()),
        Span::styled(format!("{words:<12} "), style),
        Span::raw(format!("to sign for {broker}  ")),
        Span::styled(format!("{} by {}", it.id, who(detail, &it.created_by)), theme.quiet()),
    ])
}

/// A session or an import: whether its applicant is the one that counts.
fn session_line<'a>(state: &State, detail: &OrganizationDetail, it: &RecordedFact) -> Line<'a> {
    let theme = state.start.theme;
    let is_current =
        it.fact.applicant_id.is_some() && it.fact.applicant_id == detail.verification.applicant_id;
    let (words, style) =
        if is_current { ("● current", theme.good()) } else { ("○ for audit", theme.quiet()) };
    let kind = if it.fact.event == Event::ImportAccepted { "import" } else { "session" };
    Line::from(vec![
        Span::styled(format!(" {:<8} ", shown(state, Some(it.fact.known_at))), theme.quiet()),
        Span::styled(format!("{words:<12} "), style),
        Span::raw(format!("{kind}  ")),
        Span::styled(
            format!(
                "applicant {} · {}",
                printable(it.fact.applicant_id.as_deref().unwrap_or("none")),
                cause_words(&it.cause)
            ),
            theme.quiet(),
        ),
    ])
}

fn sent_line<'a>(state: &State, it: &OutgoingRow) -> Line<'a> {
    let theme = state.start.theme;
    let (words, style) = status(theme, it.status);
    Line::from(vec![
        Span::styled(format!(" {:<8} ", shown(state, Some(it.created_at))), theme.quiet()),
        Span::styled(format!("{words:<12} "), style),
        Span::raw(format!("{:<21} ", event_words(&it.event_type))),
        Span::raw(format!("{}  ", printable(&last_answer(it)))),
        Span::styled(printable(&it.url), theme.quiet()),
    ])
}

fn fact_line<'a>(state: &State, detail: &OrganizationDetail, it: &RecordedFact) -> Line<'a> {
    let late = it.fact.known_at.as_ms().saturating_sub(it.fact.happened_at.as_ms());
    // A fact that arrived late took its place in the past: that explains many a surprise.
    let late = if late > LATE_MS { format!(", {} late", age::span(late)) } else { String::new() };
    let applicant = match (it.fact.event, &it.fact.applicant_id) {
        (Event::SessionStarted | Event::ImportAccepted, Some(id)) => format!(", applicant {id}"),
        _ => String::new(),
    };
    let level = it.fact.level.as_ref().map_or_else(String::new, |it| format!(", level {it}"));
    let overruled = detail.overruling.iter().find(|(fact, _)| *fact == it.fact.sequence);
    // First: the reason may be longer than the line.
    let note =
        overruled.map_or_else(String::new, |(_, it)| format!("! {} · ", overruled_what(*it)));
    let words = format!("{note}{}{level}{applicant}{late}", cause_words(&it.cause));
    timeline_line(state, &shown(state, Some(it.fact.known_at)), it.fact.event.as_str(), &words)
}

/// What an approval overruled, in few words.
fn overruled_what(overrule: Overrule) -> String {
    match overrule {
        Overrule::Against { verdict, .. } => format!("against {}", verdict.as_str()),
        Overrule::NoCheck => "no check on file".to_owned(),
    }
}

/// Sumsub's deliveries take seconds; what takes longer was held up somewhere.
const LATE_MS: i64 = 60_000;

fn timeline_line<'a>(state: &State, when: &str, event: &str, words: &str) -> Line<'a> {
    let theme = state.start.theme;
    Line::from(vec![
        Span::styled(format!(" {when:<8} "), theme.quiet()),
        Span::styled(format!("{event:<18} "), event_style(theme, event)),
        Span::styled(printable(words), Style::new()),
    ])
}

fn cause_words(cause: &Cause) -> String {
    match cause {
        Cause::Delivery(id) => format!("delivery {id}"),
        Cause::Operator { actor, reason } => printable(&format!("{actor}: {reason}")),
        Cause::Request(id) => format!("request {id}"),
        Cause::Asked(at) => format!("Sumsub, asked {}", age::exact(*at)),
    }
}
