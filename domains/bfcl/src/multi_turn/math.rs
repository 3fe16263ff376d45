//! `MathAPI`: arithmetic.

use super::backend::{Backend, Default, tools};
use super::operate::{add, binary, dict, div, error, float, len, lt, mul, number, sub};
use super::precise::{decimal_root, log_quotient};
use super::raise::{Kind, Outcome, Raised};
use super::trading::absolute;
use hone_python::{BinaryOp, Dict, Int, Opaque, Value, float_repr};
use num_bigint::BigInt;
use std::borrow::Cow;

/// Decimal digits of precision at most.
const MAX_PRECISION: i64 = 2000;

/// The class, which has no state.
#[derive(Clone)]
pub(super) struct Math;

const NOT_NUMBERS: &str = "Both inputs must be numbers";
const NOT_ALL_NUMBERS: &str = "All elements in the list must be numbers";
const TOO_LARGE: &str = "Conversion resulted in a value too large to represent";

const TO_METERS: [(&str, f64); 6] = [
    ("km", 1000.0),
    ("m", 1.0),
    ("cm", 0.01),
    ("mm", 0.001),
    ("um", 1e-6),
    ("nm", 1e-9),
];

const IMPERIAL: [(&str, f64); 12] = [
    ("cm_to_in", 0.393701),
    ("in_to_cm", 2.54),
    ("m_to_ft", 3.28084),
    ("ft_to_m", 0.3048),
    ("m_to_yd", 1.09361),
    ("yd_to_m", 0.9144),
    ("km_to_miles", 0.621371),
    ("miles_to_km", 1.60934),
    ("kg_to_lb", 2.20462),
    ("lb_to_kg", 0.453592),
    ("celsius_to_fahrenheit", 1.8),
    ("fahrenheit_to_celsius", 5.0 / 9.0),
];

/// `{"result": …}`, or the tool's own words for an exception of a kind that it catches.
fn result(made: Outcome, caught: Kind, message: &str) -> Outcome {
    match made {
        Ok(value) => Ok(dict! { "result" => value }),
        Err(e) if e.kind == caught => error(message),
        Err(e) => Err(e),
    }
}

fn sum(numbers: &Value) -> Outcome {
    let mut total = Value::from(0);
    for number in super::operate::iterate(numbers)? {
        total = add(&total, &number)?;
    }
    Ok(total)
}

fn mean_of(numbers: &Value) -> Outcome {
    div(&sum(numbers)?, &len(numbers)?.into())
}

impl Math {
    fn logarithm(&mut self, value: Value, base: Value, precision: Value) -> Outcome {
        let made = super::operate::int(&precision).and_then(|digits| match digits.to_i64() {
            Some(digits) if digits <= MAX_PRECISION => log_quotient(&value, &base, digits),
            _ => Err(Raised::refused("as many digits are not computed here")),
        });
        match made {
            Ok(value) => Ok(dict! { "result" => value }),
            Err(e) => error(e.message),
        }
    }

    fn mean(&mut self, numbers: Value) -> Outcome {
        if !numbers.truthy() {
            return error("Cannot calculate mean of an empty list");
        }
        result(mean_of(&numbers), Kind::Type, NOT_ALL_NUMBERS)
    }

    fn standard_deviation(&mut self, numbers: Value) -> Outcome {
        if !numbers.truthy() {
            return error("Cannot calculate standard deviation of an empty list");
        }
        let deviation = || {
            let mean = mean_of(&numbers)?;
            let mut total = Value::from(0);
            for number in super::operate::iterate(&numbers)? {
                let square = binary(BinaryOp::Pow, &sub(&number, &mean)?, &2.into())?;
                total = add(&total, &square)?;
            }
            let variance = float(&div(&total, &len(&numbers)?.into())?)?;
            Ok(variance.sqrt().into())
        };
        result(deviation(), Kind::Type, NOT_ALL_NUMBERS)
    }

    fn si_unit_conversion(&mut self, value: Value, unit_in: Value, unit_out: Value) -> Outcome {
        if !number(&value) {
            return error("Value must be a number");
        }
        let known: Dict = TO_METERS.into_iter().collect();
        let factor = |unit: &Value| Ok::<_, Raised>(known.lookup(unit)?.and_then(Value::as_f64));
        let factors = match factor(&unit_in)? {
            Some(from) => factor(&unit_out)?.map(|to| (from, to)),
            None => None,
        };
        let Some((from, to)) = factors else {
            return error(format!("Conversion from '{unit_in}' to '{unit_out}' is not supported"));
        };
        // Kilometres and metres are whole numbers, which keep whole values whole for a step.
        let from = if from >= 1.0 {
            Value::from(from as i64)
        } else {
            from.into()
        };
        let made = mul(&value, &from).and_then(|meters| mul(&meters, &(1.0 / to).into()));
        result(made, Kind::Overflow, TOO_LARGE)
    }

    fn imperial_si_conversion(&mut self, value: Value, unit_in: Value, unit_out: Value) -> Outcome {
        if !number(&value) {
            return error("Value must be a number");
        }
        if unit_in == unit_out {
            return Ok(dict! { "result" => value });
        }
        let key = format!("{unit_in}_to_{unit_out}");
        let Some((_, factor)) = IMPERIAL.iter().find(|(known, _)| *known == key) else {
            return error(format!("Conversion from '{unit_in}' to '{unit_out}' is not supported"));
        };
        let factor = Value::from(*factor);
        let made = match key.as_str() {
            "celsius_to_fahrenheit" => mul(&value, &factor).and_then(|scaled| add(&scaled, &32.into())),
            "fahrenheit_to_celsius" => sub(&value, &32.into()).and_then(|above| mul(&above, &factor)),
            _ => mul(&value, &factor),
        };
        result(made, Kind::Overflow, TOO_LARGE)
    }

    fn add(&mut self, a: Value, b: Value) -> Outcome {
        result(add(&a, &b), Kind::Type, NOT_NUMBERS)
    }

    fn subtract(&mut self, a: Value, b: Value) -> Outcome {
        result(sub(&a, &b), Kind::Type, NOT_NUMBERS)
    }

    fn multiply(&mut self, a: Value, b: Value) -> Outcome {
        if !number(&a) || !number(&b) {
            return error(NOT_NUMBERS);
        }
        result(mul(&a, &b), Kind::Type, NOT_NUMBERS)
    }

    fn divide(&mut self, a: Value, b: Value) -> Outcome {
        if b == 0.into() {
            return error("Cannot divide by zero");
        }
        result(div(&a, &b), Kind::Type, NOT_NUMBERS)
    }

    fn power(&mut self, base: Value, exponent: Value) -> Outcome {
        let fractional = matches!(exponent, Value::Float(y) if y.is_finite() && y.fract() != 0.0);
        if number(&base) && fractional && lt(&base, 0)? {
            let (base, exponent) = (float(&base)?, float(&exponent)?);
            if base.is_finite() {
                let phase = 0f64.atan2(base) * exponent;
                let size = base.abs().powf(exponent);
                return Ok(dict! { "result" => complex(size * phase.cos(), size * phase.sin()) });
            }
        }
        result(binary(BinaryOp::Pow, &base, &exponent), Kind::Type, NOT_NUMBERS)
    }

    fn square_root(&mut self, number: Value, precision: Value) -> Outcome {
        let refused = "Input must be a number or computation resulted in an invalid operation";
        match lt(&number, 0) {
            Ok(true) => return error("Cannot calculate square root of a negative number"),
            Err(_) => return error(refused),
            Ok(false) => {}
        }
        let Some(digits) = precision.integer() else {
            return error(refused);
        };
        match digits.to_i64() {
            Some(digits) if (1..=MAX_PRECISION).contains(&digits) => {
                Ok(dict! { "result" => decimal_root(&number, digits as usize) })
            }
            Some(digits) if (1..=999_999_999_999_999_999).contains(&digits) => {
                Err(Raised::refused("as many digits are not computed here"))
            }
            Some(_) => Err(Raised::value("valid range for prec is [1, MAX_PREC]")),
            None => Err(Raised::new(
                Kind::Overflow,
                "Python int too large to convert to C ssize_t",
            )),
        }
    }

    fn absolute_value(&mut self, number: Value) -> Outcome {
        result(absolute(&number), Kind::Type, "Input must be a number")
    }

    fn round_number(&mut self, number: Value, decimal_places: Value) -> Outcome {
        let message = "First input must be a number, second input must be an integer";
        result(round(&number, &decimal_places), Kind::Type, message)
    }

    fn percentage(&mut self, part: Value, whole: Value) -> Outcome {
        if whole == 0.into() {
            return error("Whole value cannot be zero");
        }
        let made = div(&part, &whole).and_then(|share| mul(&share, &100.into()));
        result(made, Kind::Type, NOT_NUMBERS)
    }

    fn min_value(&mut self, numbers: Value) -> Outcome {
        if !numbers.truthy() {
            return error("Cannot find minimum of an empty list");
        }
        result(extreme(&numbers, |a, b| lt(a, b.clone())), Kind::Type, NOT_ALL_NUMBERS)
    }

    fn max_value(&mut self, numbers: Value) -> Outcome {
        if !numbers.truthy() {
            return error("Cannot find maximum of an empty list");
        }
        let greater = |a: &Value, b: &Value| super::operate::gt(a, b.clone());
        result(extreme(&numbers, greater), Kind::Type, NOT_ALL_NUMBERS)
    }

    fn sum_values(&mut self, numbers: Value) -> Outcome {
        if !numbers.truthy() {
            return error("Cannot calculate sum of an empty list");
        }
        result(sum(&numbers), Kind::Type, NOT_ALL_NUMBERS)
    }
}

fn extreme(items: &Value, better: impl Fn(&Value, &Value) -> Outcome<bool>) -> Outcome {
    let mut best: Option<Value> = None;
    for item in super::operate::iterate(items)? {
        best = match best {
            Some(best) if !better(&item, &best)? => Some(best),
            _ => Some(item),
        };
    }
    Ok(best.unwrap_or_default())
}

/// A complex number, as it is shown.
fn complex(real: f64, imaginary: f64) -> Value {
    let part = |x: f64| {
        float_repr(x)
            .strip_suffix(".0")
            .map_or_else(|| float_repr(x), str::to_owned)
    };
    let sign = if imaginary.is_sign_negative() && !imaginary.is_nan() {
        ""
    } else {
        "+"
    };
    let repr = if real == 0.0 && real.is_sign_positive() {
        format!("{}j", part(imaginary))
    } else {
        format!("({}{sign}{}j)", part(real), part(imaginary))
    };
    Value::from(Opaque {
        type_name: "complex",
        repr,
    })
}

/// `round(number, places)`
fn round(number: &Value, places: &Value) -> Outcome {
    if !super::operate::number(number) {
        return Err(Raised::types(format!(
            "type {} doesn't define __round__ method",
            number.type_name()
        )));
    }
    let whole = match (number, places) {
        (_, Value::None) => true,
        (_, places) if places.integer().is_some() => false,
        _ => {
            return Err(Raised::types(format!(
                "'{}' object cannot be interpreted as an integer",
                places.type_name()
            )));
        }
    };
    let places = places
        .integer()
        .map(|n| n.to_i64().unwrap_or(if n > 0i64.into() { i64::MAX } else { i64::MIN }));
    let places = places.unwrap_or(0);
    match number {
        Value::Float(x) if whole => {
            super::operate::int(number)?;
            Ok(super::operate::int(&x.round_ties_even().into())?.into())
        }
        Value::Float(x) if !x.is_finite() => Ok((*x).into()),
        Value::Float(x) => {
            // Beyond these there is nothing to round, or nothing left.
            if places > 400 {
                return Ok((*x).into());
            }
            if places < -309 {
                return Ok((0.0 * x).into());
            }
            if places >= 0 {
                let text = format!("{x:.*}", places as usize);
                return Ok(text.parse::<f64>().unwrap_or(*x).into());
            }
            let trunc = Int::exactly(x.trunc()).unwrap_or_else(|| 0i64.into());
            // What lies behind the point decides only where the rest is exactly a half.
            let doubled = trunc.to_big() * 2 + if x.fract() == 0.0 { 0 } else { x.signum() as i64 };
            let rounded = nearest(&doubled, &(BigInt::from(10).pow((-places) as u32) * 2));
            let text = rounded * BigInt::from(10).pow((-places) as u32);
            let value = Int::from(text).to_f64();
            if value.is_infinite() {
                return Err(Raised::new(Kind::Overflow, "rounded value too large to represent"));
            }
            Ok(if value == 0.0 { 0f64.copysign(*x) } else { value }.into())
        }
        other => {
            let n = other.integer().unwrap_or_else(|| 0i64.into());
            if whole || places >= 0 {
                return Ok(n.into());
            }
            let digits = n.to_string().len() as i64;
            if -places > digits {
                return Ok(0.into());
            }
            let unit = BigInt::from(10).pow((-places) as u32);
            Ok(Int::from(nearest(&n.to_big(), &unit) * unit).into())
        }
    }
}

/// The quotient rounded to the nearest integer, ties to even.
fn nearest(n: &BigInt, by: &BigInt) -> BigInt {
    let floor = (n - ((n % by) + by) % by) / by;
    let rest: BigInt = (n - &floor * by) * 2;
    let up = match rest.cmp(by) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => floor.bit(0),
    };
    floor + i32::from(up)
}

impl Backend for Math {
    tools! {
        "MathAPI",
        logarithm(value, base, precision),
        mean(numbers),
        standard_deviation(numbers),
        si_unit_conversion(value, unit_in, unit_out),
        imperial_si_conversion(value, unit_in, unit_out),
        add(a, b),
        subtract(a, b),
        multiply(a, b),
        divide(a, b),
        power(base, exponent),
        square_root(number, precision),
        absolute_value(number),
        round_number(number, decimal_places = Default::Int(0)),
        percentage(part, whole),
        min_value(numbers),
        max_value(numbers),
        sum_values(numbers),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        vec![]
    }
}
