//! A value as MySQL has it, and how it stands in SQLite.
//!
//! MySQL has exact decimals, SQLite has not: there they are blobs of their digits (`2.5000`), which nothing else in these
//! databases is.

use hone_python::float_repr;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use std::cmp::Ordering;

/// Most digits after the point that MySQL keeps.
pub const MAX_SCALE: u32 = 30;

/// An exact number: `units / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    pub units: i128,
    pub scale: u32,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Null,
    Int(i64),
    Decimal(Decimal),
    Double(f64),
    Text(String),
}

impl Decimal {
    pub fn new(units: impl Into<i128>, scale: u32) -> Self {
        Self {
            units: units.into(),
            scale,
        }
    }

    /// Its digits, as MySQL writes them.
    pub fn read(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let scale = u32::try_from(fraction.len()).ok().filter(|scale| *scale <= MAX_SCALE)?;
        let units: i128 = format!("{whole}{fraction}").parse().ok()?;
        Some(Self::new(sign * units, scale))
    }

    /// With another number of digits after the point, rounded half away from zero.
    pub fn rescaled(self, scale: u32) -> Option<Self> {
        let units = if scale >= self.scale {
            self.units.checked_mul(power(scale - self.scale)?)?
        } else {
            divide(self.units, power(self.scale - scale)?)?
        };
        Some(Self { units, scale })
    }

    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// By value: 2.50 and 2.5 are equal.
    pub fn compared(self, other: Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.rescaled(scale), other.rescaled(scale)) {
            (Some(a), Some(b)) => a.units.cmp(&b.units),
            _ => self.to_f64().total_cmp(&other.to_f64()),
        }
    }
}

/// `a / b`, rounded half away from zero.
pub fn divide(a: i128, b: i128) -> Option<i128> {
    let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
    let up = rest.unsigned_abs() >= b.unsigned_abs() - rest.unsigned_abs();
    let step = if (a < 0) == (b < 0) { 1 } else { -1 };
    quotient.checked_add(if rest != 0 && up { step } else { 0 })
}

/// `10^n`.
pub fn power(n: u32) -> Option<i128> {
    10i128.checked_pow(n)
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = format!(
            "{:0>1$}",
            self.units.unsigned_abs().to_string(),
            self.scale as usize + 1
        );
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        let sign = if self.units < 0 { "-" } else { "" };
        let point = if self.scale > 0 { "." } else { "" };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

impl Datum {
    pub fn bool(value: bool) -> Self {
        Self::Int(i64::from(value))
    }

    pub fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Int(value),
            ValueRef::Real(value) => Self::Double(value),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(digits) => {
                let text = String::from_utf8_lossy(digits);
                Decimal::read(&text).map_or_else(|| Self::Text(text.into_owned()), Self::Decimal)
            }
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As text, the way MySQL converts it. `None` for NULL.
    pub fn text(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Int(value) => value.to_string(),
            Self::Decimal(value) => value.to_string(),
            Self::Double(value) => double_text(*value),
            Self::Text(text) => text.clone(),
        })
    }

    /// As a floating-point number: of text what its beginning says, else 0.
    pub fn double(&self) -> Option<f64> {
        Some(match self {
            Self::Null => return None,
            Self::Int(value) => *value as f64,
            Self::Decimal(value) => value.to_f64(),
            Self::Double(value) => *value,
            Self::Text(text) => number_prefix(text).parse().unwrap_or(0.0),
        })
    }

    /// As a number: text becomes a floating-point one.
    pub fn number(self) -> Self {
        match self {
            Self::Text(_) => self.double().map_or(Self::Null, Self::Double),
            number => number,
        }
    }

    /// As a whole number: text by the digits at its beginning, others rounded.
    pub fn integer(&self) -> Option<i64> {
        Some(match self {
            Self::Null => return None,
            Self::Int(value) => *value,
            Self::Decimal(value) => value.rescaled(0)?.units.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
            Self::Double(value) => value.round_ties_even() as i64,
            Self::Text(text) => {
                let prefix = number_prefix(text);
                let digits = prefix.split(['.', 'e', 'E']).next().unwrap_or_default();
                digits.parse().unwrap_or(match digits.starts_with('-') {
                    true if digits.len() > 1 => i64::MIN,
                    false if !digits.is_empty() => i64::MAX,
                    _ => 0,
                })
            }
        })
    }

    /// As Python shows what its MySQL driver returns.
    pub fn repr(&self) -> String {
        match self {
            Self::Null => "None".into(),
            Self::Int(value) => value.to_string(),
            Self::Decimal(value) => format!("Decimal('{value}')"),
            Self::Double(value) => float_repr(*value),
            Self::Text(text) => hone_python::Value::from(text.as_str()).repr(),
        }
    }
}

/// A floating-point number as MySQL writes it.
fn double_text(value: f64) -> String {
    if value != 0.0 && !(1e-15..1e15).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

/// The longest beginning that is a number, after white space.
pub fn number_prefix(text: &str) -> &str {
    let text = text.trim_start();
    let bytes = text.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let start = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let mut end = digits(start);
    let mut any = end > start;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        any |= fraction > end + 1;
        end = fraction;
    }
    if !any {
        return "";
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    &text[..end]
}

impl ToSql for Datum {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::Integer(*value),
            Self::Double(value) => Value::Real(*value),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Decimal(value) => Value::Blob(value.to_string().into_bytes()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_written_and_rounded() {
        for text in ["0", "-0.05", "12.3400", "7"] {
            assert_eq!(Decimal::read(text).unwrap().to_string(), text);
        }
        assert!(Decimal::read("1.2.3").is_none() && Decimal::read(".").is_none() && Decimal::read("").is_none());
        let round = |text: &str, scale| Decimal::read(text).unwrap().rescaled(scale).unwrap().to_string();
        assert_eq!(
            [round("2.5", 0), round("-2.5", 0), round("2.49", 0), round("1.005", 2)],
            ["3", "-3", "2", "1.01"]
        );
        assert_eq!(Decimal::new(250, 2).compared(Decimal::new(25, 1)), Ordering::Equal);
    }

    #[test]
    fn text_counts_as_the_number_that_it_begins_with() {
        let value = |text: &str| Datum::Text(text.into()).double().unwrap();
        for (text, number) in [
            (" 12abc", 12.0),
            ("-3.5e2x", -350.0),
            ("1,234", 1.0),
            ("abc", 0.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e", 1.0),
            ("", 0.0),
            ("+", 0.0),
        ] {
            assert_eq!(value(text), number, "{text}");
        }
        assert_eq!(Datum::Text("12.9".into()).integer(), Some(12));
        assert_eq!(Datum::Double(2.5).integer(), Some(2));
        assert_eq!(Datum::Text("-99999999999999999999".into()).integer(), Some(i64::MIN));
    }

    #[test]
    fn values_show_as_python_shows_them() {
        assert_eq!(Datum::Decimal(Decimal::new(25_000, 4)).repr(), "Decimal('2.5000')");
        assert_eq!(Datum::Double(167.0).repr(), "167.0");
        assert_eq!(Datum::Text("it's".into()).repr(), "\"it's\"");
        assert_eq!(
            [Datum::Double(5.0), Datum::Double(1e20)].map(|d| d.text().unwrap()),
            ["5", "1e20"]
        );
    }
}
