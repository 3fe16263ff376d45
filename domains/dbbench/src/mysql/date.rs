//! Dates, as far as texts are turned into them.

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

impl Date {
    fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        let length = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        ((1..=12).contains(&month) && (1..=length).contains(&day)).then_some(Self { year, month, day })
    }

    /// Days since the first of March of the year 0 (proleptic Gregorian calendar).
    pub fn days(self) -> i64 {
        let (month, year) = (i64::from(self.month), i64::from(self.year));
        let (year, month) = if month <= 2 {
            (year - 1, month + 9)
        } else {
            (year, month - 3)
        };
        year * 365 + year.div_euclid(4) - year.div_euclid(100)
            + year.div_euclid(400)
            + (month * 306 + 5) / 10
            + i64::from(self.day)
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// The date that a text like `2007-05-14` or `2007/5/14 10:00:00` holds.
pub fn date(text: &str) -> Option<Date> {
    let day = text.trim().split([' ', 'T']).next()?;
    let mut parts = day.split(|c: char| c.is_ascii_punctuation());
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() > 4 {
        return None;
    }
    let year: u16 = year.parse().ok()?;
    let year = if year < 70 {
        2000 + year
    } else if year < 100 {
        1900 + year
    } else {
        year
    };
    Date::new(year, month.parse().ok()?, day.parse().ok()?)
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

/// `STR_TO_DATE`: the date (and time) in the text, which must be written as the format says. `None` is NULL.
pub fn read(text: &str, format: &str) -> Option<String> {
    let (mut year, mut month, mut day) = (None, None, None);
    let (mut time, mut timed, mut afternoon) = ([0u32; 3], false, None);
    let mut rest = text.trim_start();
    let mut format = format.chars();
    while let Some(c) = format.next() {
        if c != '%' {
            rest = if c.is_whitespace() {
                rest.trim_start()
            } else {
                rest.strip_prefix(c)?
            };
            continue;
        }
        rest = rest.trim_start();
        let mut number = |most: usize| {
            let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
            let value: u32 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            Some(value)
        };
        match format.next()? {
            'Y' => year = Some(number(4)?),
            'y' => year = number(2).map(|y| if y < 70 { 2000 + y } else { 1900 + y }),
            'm' | 'c' => month = Some(number(2)?),
            'd' | 'e' => day = Some(number(2)?),
            'D' => {
                day = Some(number(2)?);
                rest = rest.get(2..)?;
            }
            'H' | 'k' | 'h' | 'I' | 'l' => (time[0], timed) = (number(2)?, true),
            'i' => (time[1], timed) = (number(2)?, true),
            's' | 'S' => (time[2], timed) = (number(2)?, true),
            'p' => {
                afternoon = Some(rest.get(..2)?.eq_ignore_ascii_case("pm"));
                rest = &rest[2..];
            }
            'M' => month = Some(named(&mut rest, &MONTHS, None)? + 1),
            'b' => month = Some(named(&mut rest, &MONTHS, Some(3))? + 1),
            'W' => drop(named(&mut rest, &WEEKDAYS, None)?),
            'a' => drop(named(&mut rest, &WEEKDAYS, Some(3))?),
            '%' => rest = rest.strip_prefix('%')?,
            _ => return None,
        }
    }
    if let Some(afternoon) = afternoon {
        time[0] = time[0] % 12 + if afternoon { 12 } else { 0 };
    }
    if time[0] > 23 || time[1] > 59 || time[2] > 59 {
        return None;
    }
    let date = Date::new(
        u16::try_from(year?).ok()?,
        u8::try_from(month?).ok()?,
        u8::try_from(day?).ok()?,
    )?;
    let [hour, minute, second] = time;
    Some(if timed {
        format!("{date} {hour:02}:{minute:02}:{second:02}")
    } else {
        date.to_string()
    })
}

fn named(rest: &mut &str, names: &[&str], letters: Option<usize>) -> Option<u32> {
    for (i, name) in names.iter().enumerate() {
        let name = &name[..letters.unwrap_or(name.len())];
        if rest
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
        {
            *rest = &rest[name.len()..];
            return Some(i as u32);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_dates_as_their_format_says() {
        for (text, format, date) in [
            ("May 1, 2013", "%M %d,%Y", "2013-05-01"),
            ("01,5,2013", "%d,%m,%Y", "2013-05-01"),
            ("14 Oct 07", "%d %b %y", "2007-10-14"),
            ("2007-05-14 3:05 PM", "%Y-%m-%d %h:%i %p", "2007-05-14 15:05:00"),
            ("Saturday, July 11, 2009", "%W, %M %e, %Y", "2009-07-11"),
        ] {
            assert_eq!(read(text, format).as_deref(), Some(date), "{text}");
        }
        assert_eq!(read("30 February 2009", "%d %M %Y"), None);
        assert_eq!(read("abc", "%Y"), None);
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        let days = |text| date(text).unwrap().days();
        assert_eq!(days("2008-03-01") - days("2008-02-28"), 2);
        assert_eq!(days("2001-01-01") - days("2000-01-01"), 366);
        assert_eq!(date("2007-13-01"), None);
    }
}
