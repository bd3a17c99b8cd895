//! How HTTP writes instants and waits (RFC 9110, sections 5.6.7 and 10.2.3): the one reading of
//! `Date` and `Retry-After`, whoever sends them.

use crate::domain::timestamp::Timestamp;

/// The longest wait that anybody is granted, whatever the header asks for.
pub const RETRY_AFTER_MS_MAX: i64 = 24 * 3_600_000;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG_DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// A year of two digits is no further ahead than this; otherwise it is of the century before.
const YEARS_AHEAD_MAX: i16 = 50;

/// Reads an instant in any of the three formats. An obsolete one has a year of two digits, which only
/// `now` completes.
pub fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [day, date, month, year, time, "GMT"] => {
            of_week(day.strip_suffix(',')?, &DAYS)?;
            instant((number(year, 4)?, month, number(date, 2)?), time)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        [day, date, time, "GMT"] => {
            of_week(day.strip_suffix(',')?, &LONG_DAYS)?;
            let mut parts = date.split('-');
            let (date, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some() {
                return None;
            }
            let year = completed(number(year, 2)?, now);
            instant((year, month, number(date, 2)?), time)
        }
        // Sun Nov  6 08:49:37 1994
        [day, month, "", date, time, year] => {
            of_week(day, &DAYS)?;
            instant((number(year, 4)?, month, number(date, 1)?), time)
        }
        [day, month, date, time, year] => {
            of_week(day, &DAYS)?;
            instant((number(year, 4)?, month, number(date, 2)?), time)
        }
        _ => None,
    }
}

/// The wait that `Retry-After` asks for, in milliseconds from `now` on: of the first value that can be
/// read, if the header came several times. An instant that has passed asks for none.
pub fn retry_after_ms<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    now: Timestamp,
) -> Option<i64> {
    values.into_iter().find_map(|it| {
        let text = std::str::from_utf8(it).ok()?.trim_matches([' ', '\t']);
        let wait_ms = if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) {
            // More digits than a number has are a long wait as well.
            text.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(1000)
        } else {
            http_date(text, now)?.as_ms().saturating_sub(now.as_ms())
        };
        Some(wait_ms.clamp(0, RETRY_AFTER_MS_MAX))
    })
}

fn of_week(day: &str, names: &[&str]) -> Option<()> {
    names.contains(&day).then_some(())
}

/// Exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i16> {
    let is_number = text.len() == digits && text.bytes().all(|it| it.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn completed(year: i16, now: Timestamp) -> i16 {
    let this_year = now.year();
    let century = this_year.saturating_sub(this_year.checked_rem(100).unwrap_or(0));
    // At the turn of a century the nearest year may be of the next one.
    let next = century.saturating_add(100).saturating_add(year);
    let latest = this_year.saturating_add(YEARS_AHEAD_MAX);
    [next, next.saturating_sub(100)]
        .into_iter()
        .find(|it| *it <= latest)
        .unwrap_or_else(|| next.saturating_sub(200))
}

fn instant((year, month, day): (i16, &str, i16), time: &str) -> Option<Timestamp> {
    let month = MONTHS.iter().position(|it| *it == month)?;
    let month = i8::try_from(month.checked_add(1)?).ok()?;
    let mut parts = time.split(':').map(|it| number(it, 2).and_then(|it| i8::try_from(it).ok()));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || second > 60 {
        return None;
    }
    // A leap second is written as 60 and is not counted.
    Timestamp::from_utc((year, month, i8::try_from(day).ok()?), (hour, minute, second.min(59)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn wait_ms(values: &[&str]) -> Option<i64> {
        retry_after_ms(values.iter().map(|it| it.as_bytes()), at("2026-01-02T03:04:05Z"))
    }

    #[test]
    fn all_three_formats_name_the_same_instant() {
        let now = at("2026-01-01");
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(http_date(text, now), Some(at("1994-11-06T08:49:37Z")), "{text}");
        }
        let later = Some(at("2026-11-16T08:49:37Z"));
        assert_eq!(http_date("Mon Nov 16 08:49:37 2026", now), later);
        assert_eq!(
            http_date("Sat, 31 Dec 2016 23:59:60 GMT", now),
            Some(at("2016-12-31T23:59:59Z"))
        );
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_50_years_ahead() {
        let year = |two: &str, now: &str| {
            http_date(&format!("Sunday, 06-Nov-{two} 08:49:37 GMT"), at(now)).unwrap().year()
        };

        assert_eq!([year("26", "2026-01-01"), year("76", "2026-01-01")], [2026, 2076]);
        assert_eq!(year("77", "2026-01-01"), 1977);
        assert_eq!([year("01", "2099-12-31"), year("99", "2099-12-31")], [2101, 2099]);
    }

    #[test]
    fn what_is_no_http_date_is_not_read() {
        for text in [
            "",
            "yesterday",
            "2026-01-02T03:04:05Z",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 0094 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
        ] {
            assert_eq!(http_date(text, at("2026-01-01")), None, "{text}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_an_instant_and_a_day_at_most() {
        assert_eq!(wait_ms(&["120"]), Some(120_000));
        assert_eq!(wait_ms(&[" 0 "]), Some(0));
        assert_eq!(wait_ms(&["Fri, 02 Jan 2026 03:05:05 GMT"]), Some(60_000));
        assert_eq!(wait_ms(&["Friday, 02-Jan-26 03:05:05 GMT"]), Some(60_000));
        assert_eq!(wait_ms(&["Fri Jan  2 03:05:05 2026"]), Some(60_000));
        assert_eq!(wait_ms(&["Fri, 02 Jan 2026 03:00:00 GMT"]), Some(0), "it has passed");
        for long in ["86401", "4294967296", "9999999999", &"9".repeat(5000)] {
            assert_eq!(wait_ms(&[long]), Some(RETRY_AFTER_MS_MAX), "{long}");
        }
        assert_eq!(wait_ms(&["Sat, 02 Jan 2027 03:04:05 GMT"]), Some(RETRY_AFTER_MS_MAX));
    }

    #[test]
    fn the_first_value_that_can_be_read_counts() {
        for unreadable in ["", "soon", "-5", "+5", "1.5", "1e3", "0x10", "5 s", "120, 240"] {
            assert_eq!(wait_ms(&[unreadable]), None, "{unreadable}");
            assert_eq!(wait_ms(&[unreadable, "7", "9"]), Some(7000), "{unreadable}");
        }
        assert_eq!(retry_after_ms([&b"\xff"[..], b"3"], at("2026-01-01")), Some(3000));
    }
}
