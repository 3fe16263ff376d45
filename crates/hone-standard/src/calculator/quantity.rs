//! What can be done with numbers of units.

use super::number::{Number, NumberError};
use super::units::Dimension;
use CalculatorError::{Syntax, Units};
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use std::cmp::Ordering;

type Result<T, E = CalculatorError> = std::result::Result<T, E>;

/// Why a calculation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalculatorError {
    /// It cannot be read.
    #[error("{0}")]
    Syntax(String),
    /// It can be read and has no result.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// Units that do not go together.
    #[error("{0}")]
    Units(String),
}

/// A number with its unit, in base units.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// How many base units.
    pub number: Number,
    /// Of what.
    pub dimension: Dimension,
    /// Whether it is a point on a scale (20 degC), not a difference (20 K).
    pub point: bool,
}

/// For messages.
pub const FUNCTIONS: &str =
    "sqrt(x), cbrt(x), root(x, n), abs(x), min(…), max(…), floor(x), ceil(x), round(x, places), gcd(a, b), lcm(a, b)";

/// A mere number.
pub fn mere(number: BigRational) -> Result<Quantity> {
    Ok(Quantity {
        number: Number::exact(number)?,
        dimension: Dimension::default(),
        point: false,
    })
}

/// A fraction of small numbers.
pub fn ratio(above: i64, below: i64) -> Result<Quantity> {
    mere(BigRational::new(above.into(), below.into()))
}

fn named(dimension: &Dimension) -> String {
    match dimension.is_none() {
        true => "a mere number".to_owned(),
        false => format!("a quantity in {}", dimension.text()),
    }
}

/// Two dimensions that do not go together.
pub fn apart(left: &Dimension, right: &Dimension) -> CalculatorError {
    Units(format!(
        "{} and {} do not go together; check the units",
        named(left),
        named(right)
    ))
}

/// A mere number, or what cannot have a unit.
pub fn plain(quantity: Quantity, what: &str) -> Result<Quantity> {
    match quantity.dimension.is_none() {
        true => Ok(quantity),
        false => Err(Units(format!(
            "{what} is taken of a mere number, not of {}; divide by the unit first",
            named(&quantity.dimension)
        ))),
    }
}

/// Points on a scale can only be compared, converted, and taken from each other.
pub fn no_point(quantity: &Quantity) -> Result<()> {
    match quantity.point {
        true => Err(Units(
            "degrees are points on a scale; write differences and what is multiplied in K".to_owned(),
        )),
        false => Ok(()),
    }
}

/// Sum, or difference with `minus`.
pub fn add(left: Quantity, right: Quantity, minus: bool) -> Result<Quantity> {
    if left.dimension != right.dimension {
        return Err(apart(&left.dimension, &right.dimension));
    }
    if right.point && !(left.point && minus) {
        no_point(&right)?;
    }
    let number = match minus {
        true => left.number.sub(&right.number)?,
        false => left.number.add(&right.number)?,
    };
    Ok(Quantity {
        number,
        dimension: left.dimension,
        point: left.point && !right.point,
    })
}

fn combined(left: Dimension, right: Dimension, times: i8) -> Result<Dimension> {
    let combined = left.with(right, times);
    combined.ok_or_else(|| Units("a unit's power is above 20; check the powers".to_owned()))
}

/// Product.
pub fn multiply(left: Quantity, right: Quantity) -> Result<Quantity> {
    no_point(&left)?;
    no_point(&right)?;
    Ok(Quantity {
        number: left.number.mul(&right.number)?,
        dimension: combined(left.dimension, right.dimension, 1)?,
        point: false,
    })
}

/// One over it.
pub fn inverse(quantity: Quantity) -> Result<Quantity> {
    no_point(&quantity)?;
    Ok(Quantity {
        number: quantity.number.invert()?,
        dimension: combined(Dimension::default(), quantity.dimension, -1)?,
        point: false,
    })
}

/// What is left of the left after whole times the right; of the sign of the right.
pub fn remainder(left: Quantity, right: Quantity) -> Result<Quantity> {
    if left.dimension != right.dimension {
        return Err(apart(&left.dimension, &right.dimension));
    }
    no_point(&left)?;
    no_point(&right)?;
    let times = left.number.mul(&right.number.invert()?)?.floor()?;
    Ok(Quantity {
        number: left.number.sub(&right.number.mul(&times)?)?,
        ..left
    })
}

/// Power; of a unit, only where its powers stay whole.
pub fn power(base: Quantity, exponent: &Quantity) -> Result<Quantity> {
    no_point(&base)?;
    if !exponent.dimension.is_none() {
        return Err(Units("an exponent is a mere number; take its unit away".to_owned()));
    }
    let number = base.number.pow(&exponent.number)?;
    if base.dimension.is_none() {
        return Ok(Quantity { number, ..base });
    }
    let exponent = exponent.number.known();
    let powers = exponent.and_then(|exponent| {
        let (above, below) = (exponent.numer().to_i8()?, exponent.denom().to_i8()?);
        let divided = base
            .dimension
            .0
            .iter()
            .all(|power| power.checked_mul(above).is_some_and(|power| power % below == 0));
        let whole = Dimension::default().with(base.dimension, above)?;
        divided.then(|| Dimension(whole.0.map(|power| power / below)))
    });
    match powers {
        Some(dimension) => Ok(Quantity {
            number,
            dimension,
            point: false,
        }),
        None => Err(Units("that power of a unit is none; check the exponent".to_owned())),
    }
}

/// Whether a comparison holds.
pub fn compare(left: &Quantity, sign: &str, right: &Quantity) -> Result<bool> {
    if left.dimension != right.dimension {
        return Err(apart(&left.dimension, &right.dimension));
    }
    let order = order(&left.number, &right.number)?;
    Ok(match sign {
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        "!=" => order != Ordering::Equal,
        _ => order == Ordering::Equal,
    })
}

fn order(left: &Number, right: &Number) -> Result<Ordering> {
    let ((left_lo, left_hi), (right_lo, right_hi)) = (left.bounds(), right.bounds());
    if left_hi < right_lo {
        Ok(Ordering::Less)
    } else if left_lo > right_hi {
        Ok(Ordering::Greater)
    } else if left.known().is_some() && left == right {
        Ok(Ordering::Equal)
    } else {
        Err(NumberError::Unclear { what: "the other side" }.into())
    }
}

fn whole(quantity: &Quantity) -> Result<BigInt> {
    let whole = quantity
        .number
        .known()
        .filter(|x| x.is_integer() && quantity.dimension.is_none());
    let whole = whole.map(BigRational::to_integer);
    whole.ok_or_else(|| Syntax("gcd and lcm take whole numbers; give two of them".to_owned()))
}

/// A function of numbers.
pub fn apply(name: &str, arguments: Vec<Quantity>) -> Result<Quantity> {
    let count = arguments.len();
    match (name, arguments.as_slice()) {
        ("sqrt", [x]) => power(x.clone(), &ratio(1, 2)?),
        ("cbrt", [x]) => root(x.clone(), 3),
        ("root", [x, n]) => {
            let n = n
                .number
                .known()
                .filter(|n| n.is_integer())
                .and_then(|n| n.numer().to_u32());
            root(x.clone(), n.unwrap_or_default())
        }
        ("abs", [x]) => {
            no_point(x)?;
            match x.number.sign()? {
                -1 => Ok(Quantity {
                    number: x.number.neg(),
                    ..x.clone()
                }),
                _ => Ok(x.clone()),
            }
        }
        ("min" | "max", [first, rest @ ..]) => {
            let wanted = if name == "min" {
                Ordering::Less
            } else {
                Ordering::Greater
            };
            let mut best = first;
            for next in rest {
                if next.dimension != best.dimension {
                    return Err(apart(&best.dimension, &next.dimension));
                }
                if order(&next.number, &best.number)? == wanted {
                    best = next;
                }
            }
            Ok(best.clone())
        }
        ("floor" | "ceil" | "round", [x]) => rounded(name, x.clone(), 0),
        ("round", [x, places]) => {
            let places = places
                .number
                .known()
                .filter(|n| n.is_integer())
                .and_then(|n| n.numer().to_i32());
            match places.filter(|places| places.abs() <= 100) {
                Some(places) => rounded(name, x.clone(), places),
                None => Err(Syntax(
                    "round takes a whole number of places, of -100 to 100; write round(x, 2)".to_owned(),
                )),
            }
        }
        ("gcd", [a, b]) => mere(BigRational::from_integer(whole(a)?.gcd(&whole(b)?))),
        ("lcm", [a, b]) => mere(BigRational::from_integer(whole(a)?.lcm(&whole(b)?))),
        _ => Err(Syntax(format!(
            "there is no function {} of {count} numbers; functions are {FUNCTIONS}",
            name.chars().take(40).collect::<String>()
        ))),
    }
}

fn root(x: Quantity, degree: u32) -> Result<Quantity> {
    let x = match degree {
        // Of units, too, where their powers can be divided.
        2 | 3 if !x.dimension.is_none() => return power(x, &ratio(1, i64::from(degree))?),
        _ => plain(x, "this root")?,
    };
    Ok(Quantity {
        number: x.number.root(degree)?,
        ..x
    })
}

/// Halves are rounded away from zero.
fn rounded(how: &str, x: Quantity, places: i32) -> Result<Quantity> {
    let x = plain(x, "a rounded number")?;
    let ten = Number::exact(BigRational::from_integer(BigInt::from(10).pow(places.unsigned_abs())))?;
    let (up, down) = match places < 0 {
        true => (ten.invert()?, ten),
        false => (ten.clone(), ten.invert()?),
    };
    let scaled = x.number.mul(&up)?;
    let half = ratio(1, 2)?.number;
    let whole = match how {
        "floor" => scaled.floor()?,
        "ceil" => scaled.neg().floor()?.neg(),
        _ if scaled.known().is_some_and(Signed::is_negative) => scaled.neg().add(&half)?.floor()?.neg(),
        _ => scaled.add(&half)?.floor()?,
    };
    Ok(Quantity {
        number: whole.mul(&down)?,
        ..x
    })
}
