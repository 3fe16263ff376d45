//! Points in time, as far as the tools read them.

use super::raise::{Outcome, Raised};
use hone_python::Value;

/// Year, month, day, hour, minute, second.
pub(super) type Moment = [u32; 6];

/// `datetime.min` and, but for the microseconds, `datetime.max`.
pub(super) const ALWAYS: (Moment, Moment) = ([1, 1, 1, 0, 0, 0], [9999, 12, 31, 23, 59, 59]);

/// A day, as year, month, day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub u32, pub u32, pub u32);

impl Day {
    /// Today, in UTC.
    pub fn today() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut left = since.map_or(0, |since| since.as_secs() / 86_400) as u32;
        let mut day = Self(1970, 1, 1);
        let year = |y| if leap(y) { 366 } else { 365 };
        while left >= year(day.0) {
            left -= year(day.0);
            day.0 += 1;
        }
        while left >= days(day.0, day.1) {
            left -= days(day.0, day.1);
            day.1 += 1;
        }
        day.2 += left;
        day
    }
}

fn leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// As `datetime.strptime(text, "%Y-%m-%d")`, or with `" %H:%M:%S"` behind it.
pub(super) fn strptime(text: &Value, with_time: bool) -> Outcome<Moment> {
    let Value::Str(text) = text else {
        return Err(Raised::types(format!(
            "strptime() argument 1 must be str, not {}",
            text.type_name()
        )));
    };
    let format = if with_time { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d" };
    let chars: Vec<char> = text.chars().collect();
    let mut parts = vec![];
    let Some(end) = matched(&chars, 0, with_time, &mut parts) else {
        return Err(Raised::value(format!(
            "time data {} does not match format '{format}'",
            Value::from(text.as_str()).repr()
        )));
    };
    if end < chars.len() {
        let rest: String = chars[end..].iter().collect();
        return Err(Raised::value(format!("unconverted data remains: {rest}")));
    }
    let mut moment = [0; 6];
    moment[..parts.len()].copy_from_slice(&parts);
    let [year, month, day, ..] = moment;
    if year == 0 {
        return Err(Raised::value("year 0 is out of range"));
    }
    if day > days(year, month) {
        return Err(Raised::value("day is out of range for month"));
    }
    if moment[5] > 59 {
        return Err(Raised::value("second must be in 0..59"));
    }
    Ok(moment)
}

/// Match the next part at a place, trying the widths that the part may have in the order of Python's expression.
fn matched(text: &[char], at: usize, with_time: bool, parts: &mut Vec<u32>) -> Option<usize> {
    let part = parts.len();
    if part == if with_time { 6 } else { 3 } {
        return Some(at);
    }
    let digits = |from: usize, n: usize| -> Option<u32> {
        let run = text.get(from..from + n)?;
        run.iter().try_fold(0, |sum, c| Some(sum * 10 + c.to_digit(10)?))
    };
    let (start, tries): (usize, &[usize]) = match part {
        0 => (at, &[4]),
        1 | 2 | 4 | 5 if text.get(at) == Some(&['-', '-', ' ', ':', ':'][part - 1]) => (at + 1, &[2, 1]),
        3 => {
            let spaces = text[at..]
                .iter()
                .take_while(|c| hone_python::text::is_space(**c))
                .count();
            if spaces == 0 {
                return None;
            }
            (at + spaces, &[2, 1])
        }
        _ => return None,
    };
    let limits = [(0, 9999), (1, 12), (1, 31), (0, 23), (0, 59), (0, 61)];
    for &width in tries {
        let (low, high) = limits[part];
        // A day may have a space for its first digit.
        let value = match digits(start, width) {
            None if part == 2 && width == 2 && text.get(start) == Some(&' ') => digits(start + 1, 1),
            other => other,
        };
        let Some(value) = value.filter(|value| (low..=high).contains(value)) else {
            continue;
        };
        parts.push(value);
        if let Some(end) = matched(text, start + width, with_time, parts) {
            return Some(end);
        }
        parts.truncate(part);
    }
    None
}
