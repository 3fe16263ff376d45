//! Moments as ISO 8601, in UTC.

/// Microseconds since the Unix epoch as `2026-08-22T16:01:19.000001+00:00`.
pub(super) fn iso(micros: u64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}+00:00")
}

/// Microseconds since the Unix epoch; `None` if the text is no moment after it. Without an offset, UTC is meant.
pub(super) fn micros(text: &str) -> Option<u64> {
    let number = |at: std::ops::Range<usize>| text.get(at)?.parse::<i64>().ok();
    let bytes = text.as_bytes();
    if bytes.len() < 19 || bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let digits = rest
        .strip_prefix('.')
        .map_or("", |r| &r[..r.bytes().take_while(u8::is_ascii_digit).count()]);
    let fraction = format!("{digits:0<6}").get(..6)?.parse::<i64>().ok()?;
    let zone = rest.get(if digits.is_empty() { 0 } else { 1 + digits.len() }..)?;
    let offset = match zone.as_bytes() {
        [] | [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let digit = |byte: &u8| (*byte as char).to_digit(10).map(i64::from);
            let minutes = (digit(h1)? * 10 + digit(h2)?) * 60 + digit(m1)? * 10 + digit(m2)?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset * 60;
    u64::try_from(seconds * 1_000_000 + fraction).ok()
}

/// Day of the proleptic Gregorian calendar to days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The other way round.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days - era * 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_other_clocks() {
        // Values of GNU date.
        for (text, seconds) in [
            ("1970-01-01T00:00:00", 0),
            ("2000-02-29T12:00:00", 951_825_600),
            ("2026-08-22T16:01:19", 1_787_414_479),
            ("2100-03-01T00:00:00", 4_107_542_400),
        ] {
            assert_eq!(micros(text), Some(seconds * 1_000_000), "{text}");
            assert_eq!(iso(seconds * 1_000_000 + 12), format!("{text}.000012+00:00"));
        }
        assert_eq!(micros("2026-08-22T12:01:19.5-04:00"), Some(1_787_414_479_500_000));
        for wrong in [
            "",
            "yesterday",
            "2026-13-01T00:00:00",
            "2026-08-22T16:01:19 o'clock",
            "1969-01-01T00:00:00Z",
            "2026-08-22T16:01:1é",
        ] {
            assert_eq!(micros(wrong), None, "{wrong}");
        }
    }
}
