//! Python's arithmetic on what an expression can hold.

use super::syntax::Op;
use crate::raised::{Outcome, raise};
use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive, Zero};

/// Largest integer that is computed, in bits.
const MAX_BITS: u64 = 1 << 17;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Number {
    Int(BigInt),
    Float(f64),
    /// Its parts never matter: nothing turns it back into a float.
    Complex,
    Tuple,
    Ellipsis,
}

/// Run the steps of an expression.
pub(super) fn run(ops: &[Op]) -> Outcome<Number> {
    let mut stack: Vec<Number> = vec![];
    for op in ops {
        let value = match op {
            Op::Int(n) => Number::Int(n.clone()),
            Op::Float(f) => Number::Float(*f),
            Op::EmptyTuple => Number::Tuple,
            Op::Ellipsis => Number::Ellipsis,
            Op::Call(arguments) => {
                stack.truncate(stack.len().saturating_sub(*arguments));
                let callee = stack.pop().unwrap_or(Number::Ellipsis);
                return raise(format!("'{}' object is not callable", callee.type_name()));
            }
            Op::Plus | Op::Minus => signed(op, stack.pop().unwrap_or(Number::Ellipsis))?,
            _ => {
                let right = stack.pop().unwrap_or(Number::Ellipsis);
                let left = stack.pop().unwrap_or(Number::Ellipsis);
                binary(op, left, right)?
            }
        };
        stack.push(value);
    }
    Ok(stack.pop().unwrap_or(Number::Ellipsis))
}

impl Number {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Complex => "complex",
            Self::Tuple => "tuple",
            Self::Ellipsis => "ellipsis",
        }
    }

    /// `float(value)`.
    pub(super) fn into_float(self) -> Outcome<f64> {
        match self {
            Self::Int(n) => float(&n),
            Self::Float(f) => Ok(f),
            other => raise(format!(
                "float() argument must be a string or a real number, not '{}'",
                other.type_name()
            )),
        }
    }
}

fn float(n: &BigInt) -> Outcome<f64> {
    match n.to_f64() {
        Some(f) if f.is_finite() => Ok(f),
        _ => raise("int too large to convert to float"),
    }
}

fn signed(op: &Op, value: Number) -> Outcome<Number> {
    let minus = *op == Op::Minus;
    match value {
        Number::Int(n) => Ok(Number::Int(if minus { -n } else { n })),
        Number::Float(f) => Ok(Number::Float(if minus { -f } else { f })),
        Number::Complex => Ok(Number::Complex),
        other => raise(format!(
            "bad operand type for unary {}: '{}'",
            if minus { '-' } else { '+' },
            other.type_name()
        )),
    }
}

fn binary(op: &Op, left: Number, right: Number) -> Outcome<Number> {
    use Number::{Complex, Float, Int, Tuple};
    match (&left, &right) {
        (Int(a), Int(b)) => integers(op, a, b),
        (Int(_) | Float(_), Int(_) | Float(_)) => floats(op, left.into_float()?, right.into_float()?),
        (Complex | Int(_) | Float(_), Complex | Int(_) | Float(_)) if *op != Op::FloorDivide => Ok(Complex),
        (Tuple, Tuple) if *op == Op::Add => Ok(Tuple),
        (Tuple, Int(_)) | (Int(_), Tuple) if *op == Op::Multiply => Ok(Tuple),
        (Tuple, other) | (other, Tuple) if *op == Op::Multiply => raise(format!(
            "can't multiply sequence by non-int of type '{}'",
            other.type_name()
        )),
        (Tuple, other) if *op == Op::Add => raise(format!(
            "can only concatenate tuple (not \"{}\") to tuple",
            other.type_name()
        )),
        _ => raise(format!(
            "unsupported operand type(s) for {}: '{}' and '{}'",
            match op {
                Op::Add => "+",
                Op::Subtract => "-",
                Op::Multiply => "*",
                Op::Divide => "/",
                Op::FloorDivide => "//",
                _ => "** or pow()",
            },
            left.type_name(),
            right.type_name()
        )),
    }
}

fn bounded(bits: u64) -> Outcome<()> {
    if bits > MAX_BITS {
        return raise("the number is too large to be computed");
    }
    Ok(())
}

fn integers(op: &Op, a: &BigInt, b: &BigInt) -> Outcome<Number> {
    Ok(Number::Int(match op {
        Op::Add => a + b,
        Op::Subtract => a - b,
        Op::Multiply => {
            bounded(a.bits() + b.bits())?;
            a * b
        }
        Op::Divide if b.is_zero() => return raise("division by zero"),
        Op::Divide => return quotient(a, b).map(Number::Float),
        Op::FloorDivide if b.is_zero() => return raise("integer division or modulo by zero"),
        Op::FloorDivide => a.div_floor(b),
        _ if b.is_negative() => return floats(op, float(a)?, float(b)?),
        _ => {
            let exponent = b.to_u32().unwrap_or(u32::MAX);
            if a.bits() > 1 {
                bounded(a.bits().saturating_mul(exponent.into()))?;
            }
            match (a.sign(), a.bits()) {
                (Sign::Minus, 1) if b.is_even() => BigInt::from(1),
                (_, 0 | 1) if !b.is_zero() => a.clone(),
                _ => a.pow(exponent),
            }
        }
    }))
}

/// `a / b` of integers, rounded once.
fn quotient(a: &BigInt, b: &BigInt) -> Outcome<f64> {
    const EXACT: u64 = 53;
    if a.bits() <= EXACT && b.bits() <= EXACT {
        return Ok(float(a)? / float(b)?);
    }
    // Scale so that the quotient has more bits than a float, with a sticky last bit for the rest.
    let shift = 66 + b.bits() as i64 - a.bits() as i64;
    let (num, den) = if shift >= 0 {
        (a << shift, b.clone())
    } else {
        (a.clone(), b << -shift)
    };
    let (whole, rest) = num.div_rem(&den);
    let sticky = if rest.is_zero() { whole } else { whole | BigInt::from(1) };
    let value = sticky.to_f64().unwrap_or(f64::NAN) * 2f64.powi(i32::try_from(-shift).unwrap_or(0));
    if value.is_finite() {
        Ok(value)
    } else {
        raise("integer division result too large for a float")
    }
}

fn floats(op: &Op, a: f64, b: f64) -> Outcome<Number> {
    let value = match op {
        Op::Add => a + b,
        Op::Subtract => a - b,
        Op::Multiply => a * b,
        Op::Divide if b == 0.0 => return raise("float division by zero"),
        Op::Divide => a / b,
        Op::FloorDivide if b == 0.0 => return raise("float floor division by zero"),
        Op::FloorDivide => floor_divide(a, b),
        _ if a == 0.0 && b < 0.0 => return raise("0.0 cannot be raised to a negative power"),
        _ if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 => return Ok(Number::Complex),
        _ => {
            let power = a.powf(b);
            if power.is_infinite() && a.is_finite() && b.is_finite() {
                return raise("(34, 'Numerical result out of range')");
            }
            power
        }
    };
    Ok(Number::Float(value))
}

/// CPython's floor division of floats.
fn floor_divide(a: f64, b: f64) -> f64 {
    let rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 && (b < 0.0) != (rest < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0f64.copysign(a / b);
    }
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}
