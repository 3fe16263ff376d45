//! Numbers that are exact as long as they can be, and else lie between two that are.

use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};

/// Most bits of a numerator or a denominator.
pub const MAX_BITS: u64 = 8192;
/// Largest root that is taken.
pub const MAX_ROOT: u32 = 64;
/// Largest number whose factorial is taken.
pub const MAX_FACTORIAL: u32 = 700;

/// Bits that the bounds of an inexact number keep: about 77 digits.
const KEPT: i64 = 256;

/// Why something cannot be calculated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It has too many digits.
    #[error("a number here would have about {digits} digits, and {} are the most; use smaller numbers", MAX_BITS * 3 / 10)]
    TooLong {
        /// How many it would have.
        digits: String,
    },
    /// A division by zero.
    #[error("this divides by zero; check the divisor")]
    Zero,
    /// A divisor, or the number that is rounded or compared, is known too inexactly.
    #[error(
        "a number that is only known inexactly is too close to {what} to tell; write it without roots and constants"
    )]
    Unclear {
        /// What it is close to.
        what: &'static str,
    },
    /// A root that is no real number.
    #[error("an even root of a negative number is no real number; check its sign")]
    Imaginary,
    /// A power that is not defined here.
    #[error("{0}")]
    Power(&'static str),
}

/// A number between two bounds, both included; exact where they are the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    lo: BigRational,
    hi: BigRational,
}

fn bits(x: &BigRational) -> u64 {
    x.numer().bits().max(x.denom().bits())
}

/// Digits of a number of that many bits.
fn too_long(bits: impl Into<u128>) -> NumberError {
    let digits: u128 = bits.into() * 30103 / 100_000;
    let digits = digits.to_string();
    NumberError::TooLong { digits }
}

fn power_of_two(exponent: i64) -> BigRational {
    let one = BigInt::one() << exponent.unsigned_abs();
    match exponent < 0 {
        true => BigRational::new(BigInt::one(), one),
        false => BigRational::from_integer(one),
    }
}

impl Number {
    /// A number that is known exactly.
    ///
    /// # Errors
    /// When it is too long.
    pub fn exact(x: BigRational) -> Result<Self, NumberError> {
        Self::between(x.clone(), x)
    }

    /// A number between two bounds; they are spread a little where they have more digits than are kept.
    ///
    /// # Errors
    /// When one is too long.
    pub fn between(lo: BigRational, hi: BigRational) -> Result<Self, NumberError> {
        let (lo, hi) = match lo == hi {
            true => (lo, hi),
            false => (floor_to_bits(lo), -floor_to_bits(-hi)),
        };
        match bits(&lo).max(bits(&hi)) {
            bits if bits > MAX_BITS => Err(too_long(bits)),
            _ => Ok(Self { lo, hi }),
        }
    }

    /// The number, if it is known exactly.
    pub fn known(&self) -> Option<&BigRational> {
        (self.lo == self.hi).then_some(&self.lo)
    }

    /// The two bounds.
    pub fn bounds(&self) -> (&BigRational, &BigRational) {
        (&self.lo, &self.hi)
    }

    /// Sum.
    ///
    /// # Errors
    /// When it is too long.
    pub fn add(&self, other: &Self) -> Result<Self, NumberError> {
        Self::between(&self.lo + &other.lo, &self.hi + &other.hi)
    }

    /// Difference.
    ///
    /// # Errors
    /// When it is too long.
    pub fn sub(&self, other: &Self) -> Result<Self, NumberError> {
        Self::between(&self.lo - &other.hi, &self.hi - &other.lo)
    }

    /// The number with the other sign.
    pub fn neg(&self) -> Self {
        Self {
            lo: -self.hi.clone(),
            hi: -self.lo.clone(),
        }
    }

    /// Product.
    ///
    /// # Errors
    /// When it is too long.
    pub fn mul(&self, other: &Self) -> Result<Self, NumberError> {
        if let (Some(a), Some(b)) = (self.known(), other.known()) {
            return Self::exact(a * b);
        }
        let ends = [
            &self.lo * &other.lo,
            &self.lo * &other.hi,
            &self.hi * &other.lo,
            &self.hi * &other.hi,
        ];
        let [first, rest @ ..] = ends;
        let (mut lo, mut hi) = (first.clone(), first);
        for end in rest {
            if end < lo {
                lo = end;
            } else if end > hi {
                hi = end;
            }
        }
        Self::between(lo, hi)
    }

    /// One over the number.
    ///
    /// # Errors
    /// When it is zero or may be.
    pub fn invert(&self) -> Result<Self, NumberError> {
        match self.sign()? {
            0 => Err(NumberError::Zero),
            _ => Self::between(self.hi.recip(), self.lo.recip()),
        }
    }

    /// -1, 0 or 1.
    ///
    /// # Errors
    /// When the bounds leave it open.
    pub fn sign(&self) -> Result<i8, NumberError> {
        let sign = |x: &BigRational| match x.numer().sign() {
            Sign::Minus => -1,
            Sign::NoSign => 0,
            Sign::Plus => 1,
        };
        let (lo, hi) = (sign(&self.lo), sign(&self.hi));
        match lo == hi {
            true if lo != 0 || self.known().is_some() => Ok(lo),
            _ => Err(NumberError::Unclear { what: "zero" }),
        }
    }

    /// The largest whole number that is not above it.
    ///
    /// # Errors
    /// When the bounds leave it open.
    pub fn floor(&self) -> Result<Self, NumberError> {
        let (lo, hi) = (self.lo.floor(), self.hi.floor());
        match lo == hi {
            true => Self::exact(lo),
            false => Err(NumberError::Unclear { what: "a whole number" }),
        }
    }

    /// The number to the power of another, which must be exact.
    ///
    /// # Errors
    /// When it is not defined, or too long.
    pub fn pow(&self, exponent: &Self) -> Result<Self, NumberError> {
        let Some(exponent) = exponent.known() else {
            return Err(NumberError::Power(
                "an exponent must be known exactly; write it as a number or a fraction",
            ));
        };
        let degree = exponent.denom().to_u32().filter(|degree| *degree <= MAX_ROOT);
        let Some(degree) = degree else {
            return Err(NumberError::Power(
                "the exponent's denominator is above 64; use a simpler fraction",
            ));
        };
        if degree > 1 && self.sign()? < 0 {
            return Err(match degree.is_even() {
                true => NumberError::Imaginary,
                false => {
                    NumberError::Power("odd roots of negative numbers are written cbrt(x) or root(x, n); use those")
                }
            });
        }
        self.whole_pow(exponent.numer())?.root(degree)
    }

    fn whole_pow(&self, exponent: &BigInt) -> Result<Self, NumberError> {
        if exponent.is_zero() {
            return Self::exact(BigRational::one());
        }
        if exponent.is_negative() {
            return self.invert()?.whole_pow(&-exponent);
        }
        // Zero, one and minus one stay as short as they are.
        if let Some(x) = self.known().filter(|x| bits(x) <= 1) {
            return match x.is_negative() && exponent.is_even() {
                true => Self::exact(-x),
                false => Ok(self.clone()),
            };
        }
        let most = bits(&self.lo).max(bits(&self.hi)).max(2) - 1;
        let Some(times) = exponent.to_u64().filter(|times| *times <= MAX_BITS) else {
            // Only its length can be told, and only roughly.
            let length = exponent.to_u64().map(|times| u128::from(times) * u128::from(most));
            return Err(length.map_or_else(
                || NumberError::TooLong {
                    digits: "10^19 or more".to_owned(),
                },
                too_long,
            ));
        };
        if let Some(x) = self.known() {
            let length = u128::from(times) * u128::from(most);
            return match length > u128::from(MAX_BITS) {
                true => Err(too_long(length)),
                false => Self::exact(Pow::pow(x, &BigInt::from(times))),
            };
        }
        let (mut result, mut square, mut left) = (Self::exact(BigRational::one())?, self.clone(), times);
        while left > 0 {
            if left & 1 == 1 {
                result = result.mul(&square)?;
            }
            left >>= 1;
            if left > 0 {
                square = square.mul(&square)?;
            }
        }
        Ok(result)
    }

    /// The root of that degree, of 1 to [`MAX_ROOT`]; exact where it is rational.
    ///
    /// # Errors
    /// When it is no real number, or too long.
    pub fn root(&self, degree: u32) -> Result<Self, NumberError> {
        if !(1..=MAX_ROOT).contains(&degree) {
            return Err(NumberError::Power(
                "roots are taken of the degrees 1 to 64; use another degree",
            ));
        }
        if self.lo.is_negative() {
            if degree.is_even() {
                // Something that may be zero is given the benefit of the doubt only where it is known to be.
                return Err(match self.hi.is_negative() {
                    true => NumberError::Imaginary,
                    false => NumberError::Unclear { what: "zero" },
                });
            }
            if !self.hi.is_positive() {
                return Ok(self.neg().root(degree)?.neg());
            }
            return Err(NumberError::Unclear { what: "zero" });
        }
        let (lo, _) = root_bounds(&self.lo, degree);
        let (_, hi) = root_bounds(&self.hi, degree);
        Self::between(lo, hi)
    }

    /// The product of the whole numbers up to this one.
    ///
    /// # Errors
    /// When it is no whole number of 0 to [`MAX_FACTORIAL`].
    pub fn factorial(&self) -> Result<Self, NumberError> {
        let n = self.known().filter(|x| x.is_integer()).and_then(|x| x.numer().to_u32());
        let Some(n) = n.filter(|n| *n <= MAX_FACTORIAL) else {
            return Err(NumberError::Power(
                "factorials are taken of whole numbers of 0 to 700; use one of those",
            ));
        };
        let product = (1..=n).fold(BigInt::one(), |product, factor| product * factor);
        Self::exact(BigRational::from_integer(product))
    }
}

/// The largest number with [`KEPT`] leading bits that is not above `x`.
fn floor_to_bits(x: BigRational) -> BigRational {
    if bits(&x) <= 2 * KEPT.unsigned_abs() {
        return x;
    }
    let length = |n: &BigInt| i64::try_from(n.bits()).unwrap_or(i64::MAX / 4);
    let shift = KEPT - (length(x.numer()) - length(x.denom()));
    (x * power_of_two(shift)).floor() * power_of_two(-shift)
}

/// Two numbers between which the root of `x`, which is not negative, lies; the same if it is rational.
fn root_bounds(x: &BigRational, degree: u32) -> (BigRational, BigRational) {
    let (above, below) = (x.numer().nth_root(degree), x.denom().nth_root(degree));
    if &Pow::pow(&above, degree) == x.numer() && &Pow::pow(&below, degree) == x.denom() {
        let root = BigRational::new(above, below);
        return (root.clone(), root);
    }
    let length = |n: &BigInt| i64::try_from(n.bits()).unwrap_or(i64::MAX / 4);
    let magnitude = (length(x.numer()) - length(x.denom())) / i64::from(degree);
    let shift = (KEPT - magnitude).max(0);
    let scaled = (x * power_of_two(shift * i64::from(degree))).floor().to_integer();
    let root = scaled.nth_root(degree);
    let scale = power_of_two(-shift);
    let bound = |n: BigInt| BigRational::from_integer(n) * &scale;
    (bound(root.clone()), bound(root + 1))
}
