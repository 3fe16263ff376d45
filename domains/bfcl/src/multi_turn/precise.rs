//! Logarithms and square roots to any number of digits, as mpmath and `decimal` give and show them.

use super::raise::{Kind, Outcome, Raised};
use hone_python::{Opaque, Value};
use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{One, Zero};

/// Bits beyond the precision that intermediate results have: near 1 a logarithm of a float loses 53 of them.
const GUARD: u64 = 192;

/// `±mantissa · 2^exponent`
#[derive(Clone, Debug)]
struct Binary {
    negative: bool,
    mantissa: BigUint,
    exponent: i64,
}

impl Binary {
    fn of(value: &Value) -> Option<Self> {
        if let Value::Float(x) = value {
            if !x.is_finite() {
                return None;
            }
            let bits = x.to_bits();
            let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i64, bits & ((1 << 52) - 1));
            let (mantissa, exponent) = if exponent == 0 {
                (fraction, -1074)
            } else {
                (fraction | 1 << 52, exponent - 1075)
            };
            return Some(Self {
                negative: x.is_sign_negative(),
                mantissa: mantissa.into(),
                exponent,
            });
        }
        let n = value.integer()?.to_big();
        Some(Self {
            negative: n.sign() == Sign::Minus,
            mantissa: n.magnitude().clone(),
            exponent: 0,
        })
    }

    /// With a mantissa of so many bits at most, ties to even.
    fn rounded(mut self, precision: u64) -> Self {
        let excess = self.mantissa.bits().saturating_sub(precision);
        if excess > 0 {
            let half = BigUint::one() << (excess - 1);
            let rest = &self.mantissa & ((BigUint::one() << excess) - 1u32);
            self.mantissa >>= excess;
            self.exponent += excess as i64;
            if rest > half || (rest == half && self.mantissa.bit(0)) {
                self.mantissa += 1u32;
            }
        }
        self
    }
}

/// `2 · atanh(top / bottom)` as a fixed-point number; the argument is at most a third.
fn double_artanh(top: &BigInt, bottom: &BigInt, bits: u64) -> BigInt {
    let z = (top << bits) / bottom;
    let square = (&z * &z) >> bits;
    let (mut power, mut sum, mut n) = (z.clone(), z, 3u32);
    loop {
        power = (&power * &square) >> bits;
        let term = &power / n;
        if term.is_zero() {
            return sum * 2;
        }
        sum += term;
        n += 2;
    }
}

/// The natural logarithm of a positive number, to a precision in bits.
fn ln(value: &Binary, precision: u64) -> Binary {
    let bits = precision + GUARD;
    let size = value.mantissa.bits() as i64;
    // value = m · 2^shift with m within [1, 2)
    let shift = value.exponent + size - 1;
    let one = BigInt::one() << (size - 1);
    let m = BigInt::from(value.mantissa.clone());
    let mut sum = double_artanh(&(&m - &one), &(&m + &one), bits);
    if shift != 0 {
        sum += double_artanh(&1.into(), &3.into(), bits) * shift;
    }
    let (sign, mantissa) = sum.into_parts();
    let exact = Binary {
        negative: sign == Sign::Minus,
        mantissa,
        exponent: -(bits as i64),
    };
    exact.rounded(precision)
}

fn quotient(a: &Binary, b: &Binary, precision: u64) -> Binary {
    let shift = (precision + 2 + b.mantissa.bits()).saturating_sub(a.mantissa.bits());
    let top = &a.mantissa << shift;
    let mut whole = &top / &b.mantissa;
    let mut exponent = a.exponent - b.exponent - shift as i64;
    if &whole * &b.mantissa != top {
        // What is left decides ties.
        whole = (whole << 1u32) | BigUint::one();
        exponent -= 1;
    }
    let exact = Binary {
        negative: a.negative != b.negative,
        mantissa: whole,
        exponent,
    };
    exact.rounded(precision)
}

/// `mpmath.log(value) / mpmath.log(base)` at a number of decimal digits.
pub(super) fn log_quotient(value: &Value, base: &Value, digits: i64) -> Outcome {
    const BITS_PER_DIGIT: f64 = 3.321_928_094_887_362_6;
    let precision = (((digits + 1) as f64) * BITS_PER_DIGIT).round_ties_even().max(1.0) as u64;
    let shown = match (precision as f64 / BITS_PER_DIGIT).round_ties_even() as i64 - 1 {
        15 => 17,
        digits => digits.max(1) as usize + 3,
    };
    let mut logs = vec![];
    for number in [value, base] {
        let number = match Binary::of(number) {
            Some(number) => number,
            None if number.as_f64().is_some() => {
                return Err(Raised::refused(
                    "the logarithm of an infinite number is not computed here",
                ));
            }
            None if number.as_str().is_some() => {
                return Err(Raised::refused("the logarithm of a text is not computed here"));
            }
            None => return Err(Raised::types(format!("cannot create mpf from {}", number.repr()))),
        };
        if number.negative && !number.mantissa.is_zero() {
            return Err(Raised::refused(
                "the logarithm of a negative number is not computed here",
            ));
        }
        logs.push(if number.mantissa.is_zero() {
            None
        } else {
            Some(ln(&number, precision))
        });
    }
    let repr = match &logs[..] {
        // The logarithm of 0 is negative infinity.
        [None, None] => "nan".to_owned(),
        [_, Some(base)] if base.mantissa.is_zero() => {
            return Err(Raised::new(Kind::ZeroDivision, ""));
        }
        [None, Some(base)] => if base.negative { "+inf" } else { "-inf" }.to_owned(),
        [Some(_), None] => "0.0".to_owned(),
        [Some(value), Some(base)] => show(&quotient(value, base, precision), shown),
        _ => String::new(),
    };
    Ok(Value::from(Opaque {
        type_name: "mpf",
        repr: format!("mpf('{repr}')"),
    }))
}

/// So many significant decimal digits, without zeros at the end.
fn show(value: &Binary, digits: usize) -> String {
    if value.mantissa.is_zero() {
        return "0.0".into();
    }
    let sign = if value.negative { "-" } else { "" };
    let ten = BigUint::from(10u32);
    // Decimal digits of the number, cut off, with three to spare.
    let magnitude = ((value.exponent + value.mantissa.bits() as i64) as f64 * std::f64::consts::LOG10_2).floor() as i64;
    let scale = digits as i64 + 4 - magnitude;
    let (mut top, mut bottom) = (value.mantissa.clone(), BigUint::one());
    if value.exponent >= 0 {
        top <<= value.exponent as u64;
    } else {
        bottom <<= value.exponent.unsigned_abs();
    }
    if scale >= 0 {
        top *= ten.pow(scale as u32);
    } else {
        bottom *= ten.pow(scale.unsigned_abs() as u32);
    }
    let text = (top / bottom).to_string();
    let mut exponent = text.len() as i64 - scale - 1;
    let mut kept: Vec<u8> = text.bytes().take(digits).collect();
    if text.as_bytes().get(digits).is_some_and(|digit| *digit >= b'5') {
        let nines = kept.iter().rev().take_while(|digit| **digit == b'9').count();
        let at = kept.len() - nines;
        kept[at..].fill(b'0');
        match at.checked_sub(1) {
            Some(at) => kept[at] += 1,
            None => {
                kept.insert(0, b'1');
                kept.truncate(digits);
                exponent += 1;
            }
        }
    }
    let mut text: String = kept.iter().map(|digit| char::from(*digit)).collect();
    let fixed = (-(digits as i64 / 3)).min(-5) < exponent && exponent < digits as i64;
    let mut split = 1;
    if fixed {
        if exponent < 0 {
            text.insert_str(0, &"0".repeat(exponent.unsigned_abs() as usize));
        } else {
            split = exponent as usize + 1;
        }
        exponent = 0;
    }
    while text.len() < split {
        text.push('0');
    }
    text.insert(split, '.');
    let trimmed = text.trim_end_matches('0');
    let point = if trimmed.ends_with('.') { "0" } else { "" };
    match exponent {
        0 => format!("{sign}{trimmed}{point}"),
        e if e > 0 => format!("{sign}{trimmed}{point}e+{e}"),
        e => format!("{sign}{trimmed}{point}e{e}"),
    }
}

/// `Decimal(number).sqrt()` at a number of decimal digits, of a number that is not negative.
pub(super) fn decimal_root(number: &Value, digits: usize) -> Value {
    let repr = root(number, digits);
    Value::from(Opaque {
        type_name: "Decimal",
        repr: format!("Decimal('{repr}')"),
    })
}

fn root(number: &Value, digits: usize) -> String {
    let Some(value) = Binary::of(number) else {
        return if number.as_f64().is_some_and(f64::is_nan) {
            "NaN"
        } else {
            "Infinity"
        }
        .into();
    };
    if value.mantissa.is_zero() {
        return if value.negative { "-0" } else { "0" }.into();
    }
    let ten = BigUint::from(10u32);
    // The number as an integer times a power of ten.
    let zeros = value
        .mantissa
        .trailing_zeros()
        .unwrap_or(0)
        .min(value.exponent.min(0).unsigned_abs());
    let (mantissa, exponent) = (&value.mantissa >> zeros, value.exponent + zeros as i64);
    let (integer, exponent) = if exponent >= 0 {
        (mantissa << exponent as u64, 0)
    } else {
        (
            mantissa * BigUint::from(5u32).pow(exponent.unsigned_abs() as u32),
            exponent,
        )
    };
    let len = integer.to_string().len() as i64;
    let (integer, half) = if exponent % 2 == 0 {
        (integer, (len + 1) >> 1)
    } else {
        (integer * 10u32, (len >> 1) + 1)
    };
    let mut exponent = exponent.div_euclid(2);
    let shift = digits as i64 + 1 - half;
    let hundred = BigUint::from(100u32);
    let (scaled, mut exact) = if shift >= 0 {
        (integer * hundred.pow(shift as u32), true)
    } else {
        let by = hundred.pow(shift.unsigned_abs() as u32);
        let whole = &integer / &by;
        let exact = &whole * &by == integer;
        (whole, exact)
    };
    exponent -= shift;
    let mut found = scaled.sqrt();
    exact = exact && &found * &found == scaled;
    if exact {
        if shift >= 0 {
            found /= ten.pow(shift as u32);
        } else {
            found *= ten.pow(shift.unsigned_abs() as u32);
        }
        exponent += shift;
    } else if (&found % 5u32).is_zero() {
        // Neither exact nor a tie.
        found += 1u32;
    }
    let mut text = found.to_string();
    if text.len() > digits {
        let cut = text.len() - digits;
        let unit = ten.pow(cut as u32);
        let mut whole = &found / &unit;
        let rest = (&found - &whole * &unit) * 2u32;
        if rest > unit || (rest == unit && whole.bit(0)) {
            whole += 1u32;
        }
        exponent += cut as i64;
        text = whole.to_string();
        if text.len() > digits {
            text.pop();
            exponent += 1;
        }
    }
    let point = exponent + text.len() as i64;
    if exponent <= 0 && point > -6 {
        return match point {
            _ if exponent == 0 => text,
            point if point <= 0 => format!("0.{}{text}", "0".repeat(point.unsigned_abs() as usize)),
            point => format!("{}.{}", &text[..point as usize], &text[point as usize..]),
        };
    }
    let (first, rest) = text.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    format!("{first}{dot}{rest}E{:+}", point - 1)
}
