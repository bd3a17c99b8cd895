//! Sumsub's layouts of an instant. All are UTC; inputs are Unix milliseconds, taken as 0 when
//! negative. Layouts are inferred from captures (applicant, review block, webhook) and stated for
//! the text of an expired token.

/// `2026-01-02`: document dates.
pub(super) fn date(ms: i64) -> String {
    let it = Civil::of(ms);
    format!("{:04}-{:02}-{:02}", it.year, it.month, it.day)
}

/// `2026-01-02 03:04:05`: an applicant's `createdAt`.
pub(super) fn plain(ms: i64) -> String {
    let it = Civil::of(ms);
    format!("{} {:02}:{:02}:{:02}", date(ms), it.hour, it.minute, it.second)
}

/// `2026-01-02 03:04:05+0000`: review dates and a webhook's `createdAt`.
pub(super) fn zoned(ms: i64) -> String {
    format!("{}+0000", plain(ms))
}

/// `2026-01-02 03:04:05.678`: a webhook's `createdAtMs`.
pub(super) fn with_millis(ms: i64) -> String {
    format!("{}.{:03}", plain(ms), ms.max(0).rem_euclid(1000))
}

/// `Fri Jan 02 03:04:05 UTC 2026`: Java's own text, inside the error of an expired token.
pub(super) fn java(ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let it = Civil::of(ms);
    let weekday = usize::try_from(it.days_since_1970.rem_euclid(7)).unwrap_or(0);
    let month = usize::try_from(it.month - 1).unwrap_or(0);
    format!(
        "{} {} {:02} {:02}:{:02}:{:02} UTC {:04}",
        DAYS.get(weekday).copied().unwrap_or_default(),
        MONTHS.get(month).map(|(name, _)| *name).unwrap_or_default(),
        it.day,
        it.hour,
        it.minute,
        it.second,
        it.year
    )
}

const MONTHS: [(&str, i64); 12] = [
    ("Jan", 31),
    ("Feb", 28),
    ("Mar", 31),
    ("Apr", 30),
    ("May", 31),
    ("Jun", 30),
    ("Jul", 31),
    ("Aug", 31),
    ("Sep", 30),
    ("Oct", 31),
    ("Nov", 30),
    ("Dec", 31),
];

struct Civil {
    days_since_1970: i64,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    fn of(ms: i64) -> Self {
        // The last millisecond of the year 9999: beyond it the layouts have no room.
        let seconds = ms.clamp(0, 253_402_300_799_999) / 1000;
        let days_since_1970 = seconds / 86_400;
        let (mut year, mut rest) = (1970, days_since_1970);
        while rest >= days_in_year(year) {
            rest -= days_in_year(year);
            year += 1;
        }
        let mut month = 1;
        for (_, days) in MONTHS {
            let days = if month == 2 && is_leap(year) { days + 1 } else { days };
            if rest < days {
                break;
            }
            rest -= days;
            month += 1;
        }
        Self {
            days_since_1970,
            year,
            month,
            day: rest + 1,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }
}

fn days_in_year(year: i64) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_in_each_of_sumsubs_layouts() {
        // `date -u -d @1767323045`.
        let ms = 1_767_323_045_678;

        assert_eq!(date(ms), "2026-01-02");
        assert_eq!(plain(ms), "2026-01-02 03:04:05");
        assert_eq!(zoned(ms), "2026-01-02 03:04:05+0000");
        assert_eq!(with_millis(ms), "2026-01-02 03:04:05.678");
        assert_eq!(java(ms), "Fri Jan 02 03:04:05 UTC 2026");
        assert_eq!(plain(1_709_164_800_000), "2024-02-29 00:00:00");
        assert_eq!(plain(1_735_689_599_000), "2024-12-31 23:59:59");
    }
}
