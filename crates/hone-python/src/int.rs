//! Python's `int`: no bounds.

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive};
use std::cmp::Ordering;
use std::fmt;

/// An integer of any size. Cheap while it fits 64 bits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Int(Repr);

// Normal form: what fits 64 bits is `Small`, so derived equality and hash are those of the number.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Small(i64),
    Big(Box<BigInt>),
}

/// Below this, 2 to the power of 53, every integer is a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Int {
    /// As a 64-bit number, if it fits.
    pub fn to_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::Small(n) => Some(*n),
            Repr::Big(_) => None,
        }
    }

    /// The nearest float (ties to even); infinite where Python's `float(n)` raises `OverflowError`.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Repr::Small(n) => *n as f64,
            Repr::Big(n) => n.to_f64().unwrap_or(f64::NAN),
        }
    }

    /// The integer that equals a float, if there is one.
    pub fn exactly(value: f64) -> Option<Self> {
        if value.fract() != 0.0 || !value.is_finite() {
            return None;
        }
        if value.abs() < EXACT {
            return Some((value as i64).into());
        }
        BigInt::from_f64(value).map(Self::from)
    }

    /// Compare with a float by value, without rounding; `None` for NaN.
    pub fn cmp_f64(&self, value: f64) -> Option<Ordering> {
        if value.is_nan() {
            return None;
        }
        if value.is_infinite() {
            return Some(if value > 0.0 { Ordering::Less } else { Ordering::Greater });
        }
        if let Repr::Small(n) = self.0
            && (n.unsigned_abs() as f64) < EXACT
        {
            return (n as f64).partial_cmp(&value);
        }
        let whole = value.trunc();
        let order = self.to_big().cmp(&BigInt::from_f64(whole)?);
        // Equal whole parts: what the float has behind its point decides.
        Some(order.then_with(|| whole.partial_cmp(&value).unwrap_or(Ordering::Equal)))
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.0 == Repr::Small(0)
    }

    /// As num-bigint's type.
    pub fn to_big(&self) -> BigInt {
        match &self.0 {
            Repr::Small(n) => BigInt::from(*n),
            Repr::Big(n) => (**n).clone(),
        }
    }
}

impl From<i64> for Int {
    fn from(n: i64) -> Self {
        Self(Repr::Small(n))
    }
}

impl From<BigInt> for Int {
    fn from(n: BigInt) -> Self {
        Self(n.to_i64().map_or_else(|| Repr::Big(Box::new(n)), Repr::Small))
    }
}

impl From<u64> for Int {
    fn from(n: u64) -> Self {
        BigInt::from(n).into()
    }
}

impl From<i128> for Int {
    fn from(n: i128) -> Self {
        BigInt::from(n).into()
    }
}

impl PartialOrd for Int {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Int {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Small(a), Repr::Small(b)) => a.cmp(b),
            _ => self.to_big().cmp(&other.to_big()),
        }
    }
}

impl fmt::Display for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Small(n) => n.fmt(f),
            Repr::Big(n) => n.fmt(f),
        }
    }
}

impl fmt::Debug for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
