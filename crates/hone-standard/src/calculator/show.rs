//! Numbers as text.

use super::number::{Number, NumberError};
use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{Pow, Signed, Zero};

/// Most decimal places that are shown because they are exact.
const EXACT_PLACES: u32 = 60;
/// Longest fraction that is shown, in characters.
const FRACTION: usize = 200;
/// Marks a number that is rounded.
pub const ROUNDED: char = '≈';

/// A number as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The decimal; rounded ones begin with [`ROUNDED`].
    pub decimal: String,
    /// Whether the decimal is the number itself.
    pub exact: bool,
    /// The number as a fraction, where it is rational and not shown exactly.
    pub fraction: Option<String>,
}

/// Show a number: exactly if its decimals end soon, else rounded to so many digits, or fewer if fewer are certain.
///
/// # Errors
/// When not even one digit is certain.
pub fn show(number: &Number, digits: u32) -> Result<Shown, NumberError> {
    if let Some(known) = number.known() {
        if let Some(places) = places(known) {
            return Ok(Shown {
                decimal: plain(&(known * ten(places)).to_integer(), places),
                exact: true,
                fraction: None,
            });
        }
        let fraction = known.to_string();
        return Ok(Shown {
            decimal: format!("{ROUNDED}{}", significant(known, digits)),
            exact: false,
            fraction: Some(fraction).filter(|text| text.len() <= FRACTION),
        });
    }
    let (lo, hi) = number.bounds();
    for digits in (1..=digits).rev() {
        let text = significant(lo, digits);
        if lo.is_negative() == hi.is_negative() && text == significant(hi, digits) {
            return Ok(Shown {
                decimal: format!("{ROUNDED}{text}"),
                exact: false,
                fraction: None,
            });
        }
    }
    Err(NumberError::Unclear { what: "zero" })
}

fn ten(power: u32) -> BigRational {
    BigRational::from_integer(Pow::pow(BigInt::from(10), power))
}

/// How many decimal places the number has, if they end within [`EXACT_PLACES`].
fn places(x: &BigRational) -> Option<u32> {
    let (mut rest, mut twos, mut fives) = (x.denom().clone(), 0, 0);
    while rest.is_even() && twos <= EXACT_PLACES {
        rest >>= 1;
        twos += 1;
    }
    let five = BigInt::from(5);
    while fives <= EXACT_PLACES && (&rest % &five).is_zero() {
        rest /= &five;
        fives += 1;
    }
    let places = twos.max(fives);
    (rest == BigInt::from(1) && places <= EXACT_PLACES).then_some(places)
}

/// A whole number with a point before its last digits.
fn plain(whole: &BigInt, places: u32) -> String {
    let sign = if whole.is_negative() { "-" } else { "" };
    let digits = whole.magnitude().to_string();
    let places = places as usize;
    if places == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (before, after) = digits.split_at(digits.len() - places);
    format!("{sign}{before}.{after}")
}

/// Rounded to so many digits, halves away from zero; with an exponent where it is far from one.
fn significant(x: &BigRational, digits: u32) -> String {
    if x.is_zero() {
        return "0".to_owned();
    }
    let (above, below) = (x.numer().magnitude(), x.denom().magnitude());
    let length = |n: &BigUint| i64::try_from(n.to_string().len()).unwrap_or(i64::MAX);
    let ten = |power: i64| Pow::pow(BigUint::from(10u8), power.unsigned_abs());
    // The power of ten of the first digit; the lengths leave it open by one.
    let mut exponent = length(above) - length(below);
    let smaller = match exponent < 0 {
        true => &(above * ten(exponent)) < below,
        false => above < &(below * ten(exponent)),
    };
    exponent -= i64::from(smaller);
    let shift = i64::from(digits) - 1 - exponent;
    let (scaled, by) = match shift < 0 {
        true => (above.clone(), below * ten(shift)),
        false => (above * ten(shift), below.clone()),
    };
    let mut whole = (scaled * 2u8 + &by) / (by * 2u8);
    // Rounded up to another digit.
    if whole >= ten(i64::from(digits)) {
        exponent += 1;
        whole /= 10u8;
    }
    let whole = BigInt::from(whole);
    let whole = if x.is_negative() { -whole } else { whole };
    let places = i64::from(digits) - 1 - exponent;
    if (-6..40).contains(&exponent) {
        return match u32::try_from(places) {
            Ok(places) => plain(&whole, places),
            Err(_) => plain(&(whole * BigInt::from(ten(places))), 0),
        };
    }
    format!("{}e{exponent}", plain(&whole, digits - 1))
}
