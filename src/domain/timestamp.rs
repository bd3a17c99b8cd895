//! Instants. Inside, whole milliseconds since 1970-01-01 UTC; outside, the contract's text.

use std::fmt;
use std::sync::Arc;

/// A clock, as a value: whoever needs the time is given one, and a test gives its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 9999-12-29T23:59:59.999Z: in every time zone still a year of four digits, so always printable.
const LAST_MS: i64 = 253_402_127_999_999;

impl Timestamp {
    /// The instant that many milliseconds after 1970 began, moved into the years 1970 to 9999.
    pub fn from_ms(ms: i64) -> Self {
        Self(ms.clamp(0, LAST_MS))
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn as_ms(self) -> i64 {
        self.0
    }

    /// The instant that many days of 24 hours later.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self::from_ms(self.0.saturating_add(i64::from(days).saturating_mul(86_400_000)))
    }

    /// The instant that many milliseconds later (or earlier, when negative).
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self::from_ms(self.0.saturating_add(ms))
    }

    /// Reads an RFC 3339 instant, or a plain date (midnight UTC).
    pub fn parse(text: &str) -> Option<Self> {
        let instant = text
            .parse::<jiff::Timestamp>()
            .or_else(|_| format!("{text}T00:00:00Z").parse::<jiff::Timestamp>())
            .ok()?;
        let ms = instant.as_millisecond();
        (0..=LAST_MS).contains(&ms).then_some(Self(ms))
    }

    /// Reads a plain date, as 2026-05-14: its midnight in UTC, which every face shows as that date.
    pub fn parse_date(text: &str) -> Option<Self> {
        if text.contains(['T', 't', ' ']) { None } else { Self::parse(text) }
    }

    /// The instant of a year, month and day, and an hour, minute and second, in UTC; `None`: there is
    /// none, or it is outside the years 1970 to 9999.
    pub fn from_utc(
        (year, month, day): (i16, i8, i8),
        (hour, minute, second): (i8, i8, i8),
    ) -> Option<Self> {
        let civil = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        let ms = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?.as_millisecond();
        (0..=LAST_MS).contains(&ms).then_some(Self(ms))
    }

    /// Its year in UTC.
    pub fn year(self) -> i16 {
        jiff::Timestamp::from_millisecond(self.0)
            .map_or(1970, |it| jiff::tz::Offset::UTC.to_datetime(it).year())
    }
}

/// The contract's text: ISO 8601, UTC, three decimals.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Cannot fail: the value is clamped to years that jiff knows.
        let instant =
            jiff::Timestamp::from_millisecond(self.0).map_err(|_out_of_range| fmt::Error)?;
        write!(f, "{instant:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_as_the_contract_writes_it() {
        assert_eq!(Timestamp::from_ms(1_778_855_400_000).to_string(), "2026-05-15T14:30:00.000Z");
        assert_eq!(Timestamp::from_ms(7).to_string(), "1970-01-01T00:00:00.007Z");
        assert_eq!(Timestamp::from_ms(i64::MAX).to_string(), "9999-12-29T23:59:59.999Z");
    }

    #[test]
    fn the_text_reads_back_as_the_same_instant() {
        for ms in [0, 1, 999, 1_778_855_400_123, LAST_MS] {
            let instant = Timestamp::from_ms(ms);
            assert_eq!(Timestamp::parse(&instant.to_string()), Some(instant));
        }
        assert_eq!(
            Timestamp::parse("2026-05-15").map(|it| it.to_string()).as_deref(),
            Some("2026-05-15T00:00:00.000Z")
        );
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
    #[test]
    fn instants_move_by_days_and_milliseconds_within_the_years_that_can_be_written() {
        let noon = Timestamp::parse("2024-02-28T12:00:00Z").unwrap();

        assert_eq!(noon.plus_days(2).to_string(), "2024-03-01T12:00:00.000Z");
        assert_eq!(noon.plus_ms(1).to_string(), "2024-02-28T12:00:00.001Z");
        assert_eq!(noon.plus_ms(-1).to_string(), "2024-02-28T11:59:59.999Z");
        assert_eq!(noon.plus_days(u32::MAX).as_ms(), LAST_MS);
        assert_eq!(noon.plus_ms(i64::MIN).as_ms(), 0);
    }

    #[test]
    fn an_instant_before_1970_or_after_9999_is_not_read() {
        assert_eq!(Timestamp::parse("1969-12-31T23:59:59.999Z"), None);
        assert_eq!(Timestamp::parse("9999-12-30"), None);
    }
}
