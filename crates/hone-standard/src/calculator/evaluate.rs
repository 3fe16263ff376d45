//! What a calculation comes to.
//!
//! From weak to strong: conversion (`in`, `to`), comparison, `+ -`, `* / mod of`, sign, `^` (from the right), and what stands
//! behind its number: `%`, `!` and units.

use super::number::Number;
use super::quantity::{CalculatorError, FUNCTIONS, Quantity};
use super::quantity::{add, apart, apply, compare, inverse, mere, multiply, no_point, plain, power, ratio, remainder};
use super::read::{Token, tokens};
use super::units::{Dimension, EXAMPLES, Unit, unit};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Signed;

/// Most brackets, signs and powers in each other.
const MAX_DEPTH: usize = 60;

use CalculatorError::{Syntax, Units};

/// What comes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A comparison.
    Truth(bool),
    /// A number of units; of a mere number the unit is empty.
    Number(Number, String),
}

/// Calculate.
///
/// # Errors
/// What is wrong, and how to write it instead.
pub fn evaluate(text: &str) -> Result<Outcome, CalculatorError> {
    let tokens = tokens(text).map_err(Syntax)?;
    if tokens.is_empty() {
        return Err(Syntax(
            "there is nothing to calculate; write something like (2 + 3) * 4".to_owned(),
        ));
    }
    let mut reader = Reader {
        tokens,
        at: 0,
        depth: 0,
    };
    let left = reader.sum()?;
    if let Some(sign) = reader.comparison() {
        let right = reader.sum()?;
        reader.end()?;
        return compare(&left, sign, &right).map(Outcome::Truth);
    }
    let outcome = match reader.word(&["in", "to"]) {
        true => reader.convert(left)?,
        false => Outcome::Number(left.number, left.dimension.text()),
    };
    reader.end()?;
    Ok(outcome)
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
}

type Result<T, E = CalculatorError> = std::result::Result<T, E>;

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn sign(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        match self.peek() {
            Some(Token::Sign(sign)) if signs.contains(sign) => {
                let sign = *sign;
                self.at += 1;
                Some(sign)
            }
            _ => None,
        }
    }

    fn word(&mut self, words: &[&str]) -> bool {
        let is = matches!(self.peek(), Some(Token::Name(name)) if words.contains(&name.as_str()));
        self.at += usize::from(is);
        is
    }

    fn comparison(&mut self) -> Option<&'static str> {
        self.sign(&["<", "<=", ">", ">=", "=", "==", "!="])
    }

    /// A mistake at the current place.
    fn wrong(&self, what: &str) -> CalculatorError {
        match self.tokens.get(self.at) {
            Some((at, _)) => Syntax(format!("at character {at}: {what}")),
            None => Syntax(format!("at its end: {what}")),
        }
    }

    /// A name that says nothing at the current place.
    fn unknown(&self, name: &str) -> CalculatorError {
        let name: String = name.chars().take(40).collect();
        self.wrong(&format!(
            "`{name}` is no unit, function or constant here; units are {EXAMPLES}; functions are {FUNCTIONS}; constants are pi, e"
        ))
    }

    fn end(&self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(Token::Sign(",")) => {
                Err(self.wrong("a comma only separates what a function takes; write numbers without it"))
            }
            Some(Token::Sign("<" | "<=" | ">" | ">=" | "=" | "==" | "!=")) => {
                Err(self.wrong("a comparison has two sides; compare twice"))
            }
            Some(Token::Name(name)) if unit(name).is_none() => Err(self.unknown(name)),
            Some(_) => Err(self.wrong("an operator is missing, such as + - * / ^")),
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.wrong("there are too many brackets or signs in each other; calculate in several steps"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn sum(&mut self) -> Result<Quantity> {
        let mut left = self.product()?;
        while let Some(sign) = self.sign(&["+", "-"]) {
            let right = self.product()?;
            left = add(left, right, sign == "-")?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Quantity> {
        let mut left = self.signed()?;
        loop {
            if self.sign(&["*"]).is_some() || self.word(&["of"]) {
                left = multiply(left, self.signed()?)?;
            } else if self.sign(&["/"]).is_some() {
                let right = self.signed()?;
                left = multiply(left, inverse(right)?)?;
            } else if self.word(&["mod"]) {
                let right = self.signed()?;
                left = remainder(left, right)?;
            } else {
                return Ok(left);
            }
        }
    }

    fn signed(&mut self) -> Result<Quantity> {
        match self.sign(&["+", "-"]) {
            // The sign of a temperature is that of its number: -5 degC is a point on the scale.
            Some("-") if self.temperature() => {
                if let Some((_, Token::Number(number))) = self.tokens.get_mut(self.at) {
                    *number = -number.clone();
                }
                self.power()
            }
            Some("-") => {
                let inner = self.deeper(Self::signed)?;
                no_point(&inner)?;
                Ok(Quantity {
                    number: inner.number.neg(),
                    ..inner
                })
            }
            Some(_) => self.deeper(Self::signed),
            None => self.power(),
        }
    }

    /// Whether a number of degrees comes next.
    fn temperature(&self) -> bool {
        let scale = |name: &str| unit(name).is_some_and(|unit| unit.zero.is_some());
        matches!(
            self.tokens.get(self.at..self.at + 2),
            Some([(_, Token::Number(_)), (_, Token::Name(name))]) if scale(name)
        )
    }

    fn power(&mut self) -> Result<Quantity> {
        let base = self.behind()?;
        if self.sign(&["^"]).is_none() {
            return Ok(base);
        }
        let exponent = self.deeper(Self::signed)?;
        power(base, &exponent)
    }

    /// A number with what stands behind it.
    fn behind(&mut self) -> Result<Quantity> {
        let mut left = self.primary()?;
        loop {
            if self.sign(&["%"]).is_some() {
                let operand = match self.peek() {
                    Some(Token::Number(_) | Token::Sign("(")) => true,
                    Some(Token::Name(name)) => !matches!(name.as_str(), "in" | "to" | "of" | "mod"),
                    _ => false,
                };
                if operand {
                    return Err(self.wrong("`%` is percent; write `7 mod 3` for a remainder and `7% of 3` for a part"));
                }
                left = multiply(left, ratio(1, 100)?)?;
            } else if self.sign(&["!"]).is_some() {
                left = plain(left, "a factorial")?;
                left.number = left.number.factorial()?;
            } else if let Some(Token::Name(name)) = self.peek()
                && let Some(unit) = unit(name)
            {
                self.at += 1;
                left = self.measured(left, &unit)?;
            } else {
                return Ok(left);
            }
        }
    }

    /// So many of a unit; a power directly behind it is the unit's.
    fn measured(&mut self, left: Quantity, unit: &Unit) -> Result<Quantity> {
        if let Some(zero) = &unit.zero {
            let left = plain(left, "a temperature")?;
            let number = left.number.mul(&Number::exact(unit.factor.clone())?)?;
            return Ok(Quantity {
                number: number.add(&Number::exact(zero.clone())?)?,
                dimension: unit.dimension,
                point: true,
            });
        }
        let mut one = Quantity {
            number: Number::exact(unit.factor.clone())?,
            dimension: unit.dimension,
            point: false,
        };
        if self.sign(&["^"]).is_some() {
            let exponent = self.deeper(Self::signed)?;
            one = power(one, &exponent)?;
        }
        multiply(left, one)
    }

    fn primary(&mut self) -> Result<Quantity> {
        let token = self.peek().cloned();
        match token {
            Some(Token::Number(number)) => {
                self.at += 1;
                mere(number)
            }
            Some(Token::Sign("(")) => {
                self.at += 1;
                let inner = self.deeper(Self::sum)?;
                self.close()?;
                Ok(inner)
            }
            Some(Token::Name(name)) => self.named(&name),
            _ => Err(self.wrong("a number is missing")),
        }
    }

    fn close(&mut self) -> Result<()> {
        match self.sign(&[")"]) {
            Some(_) => Ok(()),
            None => Err(self.wrong("a closing bracket is missing")),
        }
    }

    fn named(&mut self, name: &str) -> Result<Quantity> {
        let function = matches!(self.tokens.get(self.at + 1), Some((_, Token::Sign("("))));
        // A unit is not followed by a bracket, and `min` is both.
        if let Some(unit) = unit(name).filter(|_| !function) {
            self.at += 1;
            if unit.zero.is_some() {
                return Err(self.wrong("a temperature needs a number before its unit, such as 20 degC"));
            }
            let one = mere(BigRational::from_integer(1.into()))?;
            return self.measured(one, &unit);
        }
        match (name, function) {
            ("pi" | "π", _) => self.constant("3141592653589793238462643383279502884197169399375105820974944592"),
            ("e", _) => self.constant("2718281828459045235360287471352662497757247093699959574966967627"),
            (_, true) => {
                self.at += 2;
                let arguments = self.deeper(Self::arguments)?;
                apply(name, arguments)
            }
            _ => Err(self.unknown(name)),
        }
    }

    /// A constant by its first 64 digits, the first of them before the point.
    fn constant(&mut self, digits: &str) -> Result<Quantity> {
        self.at += 1;
        let digits: BigInt = digits.parse().map_err(|_| self.wrong("the constant is not known"))?;
        let scale = BigInt::from(10).pow(63);
        let number = Number::between(
            BigRational::new(digits.clone(), scale.clone()),
            BigRational::new(digits + 1, scale),
        )?;
        Ok(Quantity {
            number,
            dimension: Dimension::default(),
            point: false,
        })
    }

    fn arguments(&mut self) -> Result<Vec<Quantity>> {
        let mut arguments = vec![self.sum()?];
        while self.sign(&[","]).is_some() {
            arguments.push(self.sum()?);
        }
        self.close()?;
        Ok(arguments)
    }

    /// What follows `in`: units, multiplied and divided.
    fn convert(&mut self, from: Quantity) -> Result<Outcome> {
        let start = self.at;
        if let Some(Token::Name(name)) = self.peek()
            && self.at + 1 == self.tokens.len()
            && let Some(unit) = unit(name)
            && let Some(zero) = &unit.zero
        {
            let name = name.clone();
            self.at += 1;
            if from.dimension != unit.dimension {
                return Err(apart(&from.dimension, &unit.dimension));
            }
            if !from.point && from.number.known().is_some_and(Signed::is_negative) {
                return Err(Units("there is no temperature below 0 K; check its sign".to_owned()));
            }
            let above = from.number.sub(&Number::exact(zero.clone())?)?;
            let number = above.mul(&Number::exact(unit.factor.recip())?)?;
            return Ok(Outcome::Number(number, name));
        }
        let target = self.product()?;
        let all_units = self.tokens[start..self.at].iter().all(|(_, token)| match token {
            Token::Name(name) => unit(name).is_some(),
            Token::Sign(sign) => matches!(*sign, "*" | "/" | "^" | "(" | ")" | "-"),
            Token::Number(_) => true,
        });
        if !all_units || target.dimension.is_none() {
            return Err(Syntax(format!("after `in` there must be a unit; units are {EXAMPLES}")));
        }
        if from.dimension != target.dimension {
            return Err(apart(&from.dimension, &target.dimension));
        }
        let number = from.number.mul(&target.number.invert()?)?;
        let name: String = self.tokens[start..self.at]
            .iter()
            .map(|(_, token)| match token {
                Token::Name(name) => name.clone(),
                Token::Sign(sign) => (*sign).to_owned(),
                Token::Number(number) => number.to_string(),
            })
            .collect();
        Ok(Outcome::Number(number, name))
    }
}
