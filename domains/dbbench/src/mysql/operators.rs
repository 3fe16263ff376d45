//! Comparison and arithmetic as MySQL does them.

use super::collation;
use super::datum::{Datum, Decimal, MAX_SCALE, divide, power};
use std::cmp::Ordering;

/// How two values compare: texts by the collation, exact numbers exactly, anything else as floating-point numbers. `None`
/// where one is NULL.
pub fn compare(a: &Datum, b: &Datum) -> Option<Ordering> {
    match (a, b) {
        (Datum::Null, _) | (_, Datum::Null) => None,
        (Datum::Text(a), Datum::Text(b)) => Some(collation::compare(a, b)),
        (Datum::Int(a), Datum::Int(b)) => Some(a.cmp(b)),
        (Datum::Int(a), Datum::Decimal(b)) => Some(Decimal::new(*a, 0).compared(*b)),
        (Datum::Decimal(a), Datum::Int(b)) => Some(a.compared(Decimal::new(*b, 0))),
        (Datum::Decimal(a), Datum::Decimal(b)) => Some(a.compared(*b)),
        _ => a.double()?.partial_cmp(&b.double()?),
    }
}

/// Whether a value counts as true. `None` for NULL.
pub fn truth(value: &Datum) -> Option<bool> {
    value.double().map(|number| number != 0.0)
}

/// Why arithmetic gives nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct OutOfRange;

/// `+ - * / DIV %` by their sign (`d` for DIV). Texts count as floating-point numbers; division by zero gives NULL.
pub fn arithmetic(op: char, a: Datum, b: Datum) -> Result<Datum, OutOfRange> {
    let (a, b) = (a.number(), b.number());
    if a.is_null() || b.is_null() {
        return Ok(Datum::Null);
    }
    match (&a, &b) {
        (Datum::Int(a), Datum::Int(b)) if op != '/' => integers(op, *a, *b),
        (Datum::Double(_), _) | (_, Datum::Double(_)) => doubles(op, &a, &b),
        _ => match exact(op, decimal(&a), decimal(&b)) {
            Some(value) => Ok(value),
            None => doubles(op, &a, &b),
        },
    }
}

fn decimal(value: &Datum) -> Decimal {
    match value {
        Datum::Decimal(value) => *value,
        Datum::Int(value) => Decimal::new(*value, 0),
        _ => Decimal::new(0, 0),
    }
}

fn integers(op: char, a: i64, b: i64) -> Result<Datum, OutOfRange> {
    let value = match op {
        '+' => a.checked_add(b),
        '-' => a.checked_sub(b),
        '*' => a.checked_mul(b),
        _ if b == 0 => return Ok(Datum::Null),
        'd' => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    value.map(Datum::Int).ok_or(OutOfRange)
}

/// `None` where the digits do not suffice.
fn exact(op: char, a: Decimal, b: Decimal) -> Option<Datum> {
    let scale = a.scale.max(b.scale);
    let (x, y) = (a.rescaled(scale)?.units, b.rescaled(scale)?.units);
    Some(match op {
        '+' => Datum::Decimal(Decimal::new(x.checked_add(y)?, scale)),
        '-' => Datum::Decimal(Decimal::new(x.checked_sub(y)?, scale)),
        '*' => {
            let product = Decimal::new(a.units.checked_mul(b.units)?, a.scale + b.scale);
            Datum::Decimal(product.rescaled(product.scale.min(MAX_SCALE))?)
        }
        _ if y == 0 => Datum::Null,
        // `div_precision_increment` is 4.
        '/' => {
            let scale = (a.scale + 4).min(MAX_SCALE);
            let shifted = a.units.checked_mul(power(scale + b.scale - a.scale)?)?;
            Datum::Decimal(Decimal::new(divide(shifted, b.units)?, scale))
        }
        'd' => Datum::Int(i64::try_from(x / y).ok()?),
        _ => Datum::Decimal(Decimal::new(x.checked_rem(y)?, scale)),
    })
}

fn doubles(op: char, a: &Datum, b: &Datum) -> Result<Datum, OutOfRange> {
    let (a, b) = (a.double().unwrap_or(0.0), b.double().unwrap_or(0.0));
    let value = match op {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        _ if b == 0.0 => return Ok(Datum::Null),
        '/' => a / b,
        'd' => {
            let quotient = (a / b).trunc();
            return if quotient.abs() < 9.2e18 {
                Ok(Datum::Int(quotient as i64))
            } else {
                Err(OutOfRange)
            };
        }
        _ => a % b,
    };
    if value.is_finite() {
        Ok(Datum::Double(value))
    } else {
        Err(OutOfRange)
    }
}

/// Rounded (or with `cut`, cut) to so many digits after the point.
pub fn round(value: Datum, digits: i64, cut: bool) -> Datum {
    let digits = digits.clamp(-30, 30) as i32;
    match value.number() {
        Datum::Int(value) if digits >= 0 => Datum::Int(value),
        Datum::Double(value) => {
            // Through the shortest decimal text, as people read it.
            let factor = 10f64.powi(digits.abs());
            let step = |x: f64| if cut { x.trunc() } else { x.round_ties_even() };
            let rounded = if digits >= 0 {
                step(value * factor) / factor
            } else {
                step(value / factor) * factor
            };
            Datum::Double(if rounded.is_finite() { rounded } else { value })
        }
        Datum::Null => Datum::Null,
        exact => {
            let whole = matches!(exact, Datum::Int(_));
            let value = decimal(&exact);
            let scale = digits.max(0) as u32;
            let unit = power(value.scale.saturating_sub(scale) + digits.min(0).unsigned_abs());
            let rounded = unit.and_then(|unit| {
                let steps = if cut {
                    value.units / unit
                } else {
                    divide(value.units, unit)?
                };
                let units = steps.checked_mul(power(digits.min(0).unsigned_abs())?)?;
                Some(Decimal::new(units, value.scale.min(scale)))
            });
            match rounded {
                Some(value) if whole => i64::try_from(value.units).map_or(Datum::Decimal(value), Datum::Int),
                Some(value) => Datum::Decimal(value),
                None => Datum::Double(value.to_f64()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Datum {
        Datum::Text(text.into())
    }

    fn exact(text: &str) -> Datum {
        Datum::Decimal(Decimal::read(text).unwrap())
    }

    #[test]
    fn the_types_decide_how_values_compare() {
        // Text with text, by letters; text with a number, as numbers.
        assert_eq!(compare(&text("10"), &text("9")), Some(Ordering::Less));
        assert_eq!(compare(&text("10"), &Datum::Int(9)), Some(Ordering::Greater));
        assert_eq!(compare(&text("SF"), &Datum::Int(0)), Some(Ordering::Equal));
        assert_eq!(compare(&exact("2.50"), &exact("2.5")), Some(Ordering::Equal));
        assert_eq!(compare(&Datum::Null, &Datum::Null), None);
    }

    #[test]
    fn arithmetic_has_the_types_of_mysql() {
        let of = |op, a: &Datum, b: &Datum| arithmetic(op, a.clone(), b.clone()).unwrap().repr();
        let (five, two) = (Datum::Int(5), Datum::Int(2));
        assert_eq!(of('/', &five, &two), "Decimal('2.5000')");
        assert_eq!([of('d', &five, &two), of('%', &five, &two)], ["2", "1"]);
        assert_eq!(of('/', &text("5"), &two), "2.5");
        assert_eq!(of('+', &text("3 apples"), &exact("1.5")), "4.5");
        assert_eq!(of('*', &exact("1.10"), &exact("2.0")), "Decimal('2.200')");
        assert_eq!(
            [of('/', &five, &Datum::Int(0)), of('+', &Datum::Null, &five)],
            ["None", "None"]
        );
        assert_eq!(arithmetic('+', Datum::Int(i64::MAX), Datum::Int(1)), Err(OutOfRange));
    }

    #[test]
    fn rounding() {
        assert_eq!(round(exact("2.345"), 2, false).repr(), "Decimal('2.35')");
        assert_eq!(round(exact("-2.345"), 2, true).repr(), "Decimal('-2.34')");
        assert_eq!(round(Datum::Int(1251), -2, false).repr(), "1300");
        assert_eq!(round(exact("15.5"), -1, false).repr(), "Decimal('20')");
        assert_eq!(round(text("2.5"), 0, false).repr(), "2.0");
    }
}
