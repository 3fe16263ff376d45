//! Python's arithmetic on numbers, texts and sequences.

use crate::syntax::{BinaryOp, UnaryOp};
use crate::{Int, Value};
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

/// Bits of an integer and items of a sequence at most.
const MAX_SIZE: u64 = 1 << 16;

/// An operation that raises in Python, or that is refused for the size of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// `TypeError`
    #[error("unsupported operand types")]
    Types,
    /// `ZeroDivisionError`
    #[error("division by zero")]
    ZeroDivision,
    /// `OverflowError` or `ValueError`
    #[error("a result out of range")]
    Range,
    /// Not evaluated here.
    #[error("a result too large to compute")]
    TooLarge,
}

use Undefined::{Range, TooLarge, Types, ZeroDivision};

/// `-a`, `+a`, `~a` (`not a` is the caller's).
pub(crate) fn unary(op: UnaryOp, a: &Value) -> Result<Value, Undefined> {
    match (op, a, a.integer()) {
        (UnaryOp::Minus, _, Some(n)) => Ok(Int::from(-n.to_big()).into()),
        (UnaryOp::Plus, _, Some(n)) => Ok(n.into()),
        (UnaryOp::Invert, _, Some(n)) => Ok(Int::from(!n.to_big()).into()),
        (UnaryOp::Minus, Value::Float(x), _) => Ok((-x).into()),
        (UnaryOp::Plus, Value::Float(x), _) => Ok((*x).into()),
        (UnaryOp::Minus, Value::Opaque(z), _) if z.type_name == "complex" => Ok(crate::Opaque {
            type_name: z.type_name,
            repr: format!("(-0-{})", z.repr),
        }
        .into()),
        _ => Err(Types),
    }
}

pub(crate) fn binary(op: BinaryOp, a: &Value, b: &Value) -> Result<Value, Undefined> {
    match (a, b) {
        (Value::Float(_), _) | (_, Value::Float(_)) => {
            floats(op, float(a).ok_or(Types)?, float(b).ok_or(Types)?).map(Value::Float)
        }
        (Value::Str(a), Value::Str(b)) if op == BinaryOp::Add => Ok(format!("{a}{b}").into()),
        (Value::List(a), Value::List(b)) if op == BinaryOp::Add => Ok(Value::List([&a[..], &b[..]].concat())),
        (Value::Tuple(a), Value::Tuple(b)) if op == BinaryOp::Add => Ok(Value::Tuple([&a[..], &b[..]].concat())),
        _ => match (a.integer(), b.integer()) {
            (Some(m), Some(n)) => integers(op, a, b, &m, &n),
            (None, Some(n)) if op == BinaryOp::Mul => repeat(a, &n),
            (Some(n), None) if op == BinaryOp::Mul => repeat(b, &n),
            _ => Err(Types),
        },
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(x) => Some(*x),
        other => other.integer().map(|n| n.to_f64()),
    }
}

fn repeated(items: &[Value], n: u64) -> Vec<Value> {
    (0..n).flat_map(|_| items.iter().cloned()).collect()
}

fn repeat(sequence: &Value, n: &Int) -> Result<Value, Undefined> {
    let len = match sequence {
        Value::Str(text) => text.len(),
        Value::List(items) | Value::Tuple(items) => items.len(),
        _ => return Err(Types),
    };
    let n = n.to_i64().ok_or(Range)?.max(0) as u64;
    if n.saturating_mul(len as u64) > MAX_SIZE {
        return Err(TooLarge);
    }
    let n = if len == 0 { 0 } else { n };
    Ok(match sequence {
        Value::Str(text) => text.repeat(n as usize).into(),
        Value::List(items) => Value::List(repeated(items, n)),
        Value::Tuple(items) => Value::Tuple(repeated(items, n)),
        _ => return Err(Types),
    })
}

fn integers(op: BinaryOp, a: &Value, b: &Value, m: &Int, n: &Int) -> Result<Value, Undefined> {
    if let (Some(x), Some(y)) = (m.to_i64(), n.to_i64()) {
        let small = match op {
            BinaryOp::Add => x.checked_add(y),
            BinaryOp::Sub => x.checked_sub(y),
            BinaryOp::Mul => x.checked_mul(y),
            _ => None,
        };
        if let Some(small) = small {
            return Ok(small.into());
        }
    }
    let (x, y) = (m.to_big(), n.to_big());
    let both_bool = matches!((a, b), (Value::Bool(_), Value::Bool(_)));
    let bits = |z: BigInt| -> Value {
        if both_bool {
            Value::Bool(!z.is_zero())
        } else {
            Value::Int(z.into())
        }
    };
    let result = match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Or => return Ok(bits(x | y)),
        BinaryOp::Xor => return Ok(bits(x ^ y)),
        BinaryOp::And => return Ok(bits(x & y)),
        BinaryOp::MatMul => return Err(Types),
        BinaryOp::Div if y.is_zero() => return Err(ZeroDivision),
        BinaryOp::Div => return quotient(&x, &y).map(Value::Float),
        BinaryOp::FloorDiv | BinaryOp::Mod if y.is_zero() => return Err(ZeroDivision),
        BinaryOp::FloorDiv => floor_div(&x, &y),
        BinaryOp::Mod => &x - floor_div(&x, &y) * &y,
        BinaryOp::Shl | BinaryOp::Shr => {
            if y.is_negative() {
                return Err(Range);
            }
            match (op, y.to_u64().filter(|n| *n <= MAX_SIZE)) {
                (BinaryOp::Shl, Some(by)) => x << by,
                (BinaryOp::Shl, None) if x.is_zero() => x,
                (BinaryOp::Shl, None) => return Err(TooLarge),
                (_, Some(by)) => x >> by,
                (_, None) => BigInt::from(if x.is_negative() { -1 } else { 0 }),
            }
        }
        BinaryOp::Pow if y.is_negative() && x.is_zero() => return Err(ZeroDivision),
        BinaryOp::Pow if y.is_negative() => return floats(op, m.to_f64(), n.to_f64()).map(Value::Float),
        BinaryOp::Pow => {
            let by = if x.magnitude().bits() <= 1 {
                y.to_u32().or(Some(if y.bit(0) { 1 } else { 2 }))
            } else {
                y.to_u32()
            };
            let by = by.ok_or(TooLarge)?;
            if x.bits().saturating_mul(u64::from(by)) > MAX_SIZE && x.bits() > 1 {
                return Err(TooLarge);
            }
            x.pow(by)
        }
    };
    if result.bits() > MAX_SIZE {
        Err(TooLarge)
    } else {
        Ok(Int::from(result).into())
    }
}

fn floor_div(x: &BigInt, y: &BigInt) -> BigInt {
    let whole = x / y;
    let exact = (&whole * y) == *x;
    if !exact && (x.is_negative() != y.is_negative()) {
        whole - 1
    } else {
        whole
    }
}

/// The float nearest to the exact quotient.
fn quotient(x: &BigInt, y: &BigInt) -> Result<f64, Undefined> {
    let small = |n: &BigInt| n.bits() <= 53;
    if small(x) && small(y) {
        return Ok(x.to_f64().unwrap_or(0.0) / y.to_f64().unwrap_or(1.0));
    }
    // Scale so that the integer quotient has 64 bits or more, with a sticky last bit; the conversion then rounds once.
    let shift = 66 + y.bits() as i64 - x.bits() as i64;
    let (top, bottom) = (x.magnitude().clone(), y.magnitude().clone());
    let (top, bottom) = if shift > 0 {
        (top << shift, bottom)
    } else {
        (top, bottom << -shift)
    };
    let mut whole = &top / &bottom;
    if &whole * &bottom != top {
        whole |= num_bigint::BigUint::from(1u32);
    }
    let size = whole.to_f64().ok_or(Range)? * 2f64.powi(i32::try_from(-shift).map_err(|_| Range)?);
    if size.is_infinite() {
        return Err(Range);
    }
    Ok(if x.is_negative() == y.is_negative() {
        size
    } else {
        -size
    })
}

fn floats(op: BinaryOp, x: f64, y: f64) -> Result<f64, Undefined> {
    let finite = |result: f64| {
        if result.is_infinite() && x.is_finite() && y.is_finite() {
            Err(Range)
        } else {
            Ok(result)
        }
    };
    match op {
        BinaryOp::Add => Ok(x + y),
        BinaryOp::Sub => Ok(x - y),
        BinaryOp::Mul => Ok(x * y),
        BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Mod if y == 0.0 => Err(ZeroDivision),
        BinaryOp::Div => Ok(x / y),
        BinaryOp::Mod => Ok(modulo(x, y).1),
        BinaryOp::FloorDiv => Ok(modulo(x, y).0),
        BinaryOp::Pow if x == 0.0 && y < 0.0 => Err(ZeroDivision),
        // A complex number.
        BinaryOp::Pow if x < 0.0 && x.is_finite() && y.is_finite() && y.fract() != 0.0 => Err(Types),
        BinaryOp::Pow => finite(x.powf(y)),
        _ => Err(Types),
    }
}

/// Floor of the quotient, and remainder with the sign of the divisor.
fn modulo(x: f64, y: f64) -> (f64, f64) {
    let mut remainder = x % y;
    let mut quotient = (x - remainder) / y;
    if remainder != 0.0 {
        if (y < 0.0) != (remainder < 0.0) {
            remainder += y;
            quotient -= 1.0;
        }
    } else {
        remainder = 0f64.copysign(y);
    }
    let floor = if quotient == 0.0 {
        0f64.copysign(x / y)
    } else {
        let floor = quotient.floor();
        if quotient - floor > 0.5 { floor + 1.0 } else { floor }
    };
    (floor, remainder)
}
