//! Time as people say it; the exact instant is always one key away.

use crate::domain::timestamp::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How instants are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// `3 h`, `in 12 d`.
    Relative,
    /// `2026-05-15 14:30:00Z`.
    Exact,
}

/// The instant as the operator wants to see it.
pub fn shown(times: Times, at: Timestamp, now: Timestamp) -> String {
    match times {
        Times::Relative => relative(at, now),
        Times::Exact => exact(at),
    }
}

/// `3 h` for what was, `in 3 h` for what will be.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let ms = now.as_ms().saturating_sub(at.as_ms());
    if ms < 0 { format!("in {}", span(ms.saturating_neg())) } else { span(ms) }
}

/// A span of time in its largest unit.
pub fn span(ms: i64) -> String {
    match ms {
        ..SECOND => "now".to_owned(),
        SECOND..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => format!("{} min", ms / MINUTE),
        HOUR..DAY => format!("{} h", ms / HOUR),
        _ if ms < 60 * DAY => format!("{} d", ms / DAY),
        _ if ms < 730 * DAY => format!("{} mo", ms / (30 * DAY)),
        _ => format!("{} y", ms / (365 * DAY)),
    }
}

/// To the second, in UTC.
pub fn exact(at: Timestamp) -> String {
    let text = at.to_string().replacen('T', " ", 1);
    let seconds = text.split('.').next().unwrap_or_default();
    format!("{seconds}Z")
}

/// `m:ss` of a span that runs down.
pub fn countdown(ms: i64) -> String {
    let seconds = ms.max(0).saturating_add(999) / SECOND;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_its_largest_unit() {
        let now = Timestamp::from_ms(1_778_855_400_000);
        for (ms, said) in [
            (0, "now"),
            (59_999, "59 s"),
            (HOUR - 1, "59 min"),
            (DAY, "1 d"),
            (59 * DAY, "59 d"),
            (61 * DAY, "2 mo"),
            (800 * DAY, "2 y"),
            (-3 * DAY, "in 3 d"),
        ] {
            assert_eq!(relative(now.plus_ms(-ms), now), said);
        }
        assert_eq!(exact(now), "2026-05-15 14:30:00Z");
        assert_eq!(countdown(299_001), "5:00");
        assert_eq!(countdown(-1), "0:00");
    }
}
