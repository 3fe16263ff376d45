//! Reads an expression as people, models and Python write them.

use super::Refused;
use super::polynomial::{MAX_BITS, Polynomial, Work};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::iter::Peekable;
use std::str::Chars;

/// Longest expression, in characters.
const MAX_CHARS: usize = 2_000;
/// Deepest nesting.
const MAX_DEPTH: u32 = 50;
/// Largest exponent of ten in numbers such as 1e-5.
const MAX_TENS: i32 = 400;

/// A quotient of polynomials; the divisor is not zero.
#[derive(Clone, Debug)]
pub(super) struct Value {
    over: Polynomial,
    under: Polynomial,
}

impl Value {
    fn of(over: Polynomial) -> Self {
        Self {
            over,
            under: Polynomial::one(),
        }
    }

    fn made(over: Polynomial, under: Polynomial, work: &Work) -> Result<Self, Refused> {
        if under.is_zero() {
            return Err(Refused::new("it divides by zero"));
        }
        match under.number() {
            Some(number) => Ok(Self::of(over.times(&Polynomial::constant(number.recip()), work)?)),
            None => Ok(Self { over, under }),
        }
    }

    /// The number that it is, if it holds no symbol and no root.
    pub fn number(&self) -> Option<BigRational> {
        Some(self.over.number()? / self.under.number()?)
    }

    /// Whether the two are the same wherever both are defined.
    pub fn equals(&self, other: &Self, work: &Work) -> Result<bool, Refused> {
        Ok(self.over.times(&other.under, work)? == other.over.times(&self.under, work)?)
    }

    fn plus(self, other: Self, work: &Work) -> Result<Self, Refused> {
        let theirs = other.over.times(&self.under, work)?;
        let over = self.over.times(&other.under, work)?.plus(&theirs, work)?;
        Self::made(over, self.under.times(&other.under, work)?, work)
    }

    fn negated(self) -> Self {
        Self {
            over: self.over.negated(),
            under: self.under,
        }
    }

    fn times(self, other: Self, work: &Work) -> Result<Self, Refused> {
        Self::made(
            self.over.times(&other.over, work)?,
            self.under.times(&other.under, work)?,
            work,
        )
    }

    fn by(self, other: Self, work: &Work) -> Result<Self, Refused> {
        Self::made(
            self.over.times(&other.under, work)?,
            self.under.times(&other.over, work)?,
            work,
        )
    }

    fn root(self) -> Result<Self, Refused> {
        match self.number() {
            Some(number) => Ok(Self::of(Polynomial::root(&number)?)),
            None => Err(Refused::new("only numbers may stand under a square root")),
        }
    }

    fn power(self, exponent: &Self, work: &Work) -> Result<Self, Refused> {
        let Some(exponent) = exponent.number() else {
            return Err(Refused::new("an exponent must be a number"));
        };
        let half = BigRational::new(1.into(), 2.into());
        let root = !exponent.is_integer() && (&exponent + &exponent).is_integer();
        let whole = if root { &exponent - &half } else { exponent.clone() };
        let Some(times) = whole.is_integer().then(|| whole.to_integer().to_i32()).flatten() else {
            return Err(Refused::new("an exponent must be a whole number or a half"));
        };
        let mut result = if root {
            self.clone().root()?
        } else {
            Self::of(Polynomial::one())
        };
        let mut square = match times < 0 {
            true => Self::of(Polynomial::one()).by(self, work)?,
            false => self,
        };
        let mut left = times.unsigned_abs();
        if u64::from(left) > MAX_BITS
            && square
                .number()
                .is_none_or(|number| !(number.abs().is_one() || number.is_zero()))
        {
            return Err(Refused::new("an exponent is too large"));
        }
        while left > 0 {
            if left % 2 == 1 {
                result = result.times(square.clone(), work)?;
            }
            left /= 2;
            if left > 0 {
                square = square.clone().times(square, work)?;
            }
        }
        Ok(result)
    }
}

/// Reads a whole expression: numbers, single letters, `+ - * / ^ **`, brackets, `sqrt`, LaTeX's `\frac`, `\sqrt`, `\cdot`.
pub(super) fn expression(text: &str, work: &Work) -> Result<Value, Refused> {
    if text.chars().count() > MAX_CHARS {
        return Err(Refused::new("it is too long to be an answer"));
    }
    // Brackets that grow are brackets.
    let text = text.replace("\\left", "").replace("\\right", "");
    let mut parser = Parser {
        rest: text.chars().peekable(),
        depth: 0,
        work,
    };
    let value = parser.sum()?;
    match parser.next() {
        None => Ok(value),
        Some(other) => Err(Refused(format!("{other:?} stands where nothing can"))),
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    depth: u32,
    work: &'a Work,
}

impl Parser<'_> {
    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
        self.rest.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        self.peek()?;
        self.rest.next()
    }

    fn skip(&mut self, characters: usize) {
        for _ in 0..characters {
            self.rest.next();
        }
    }

    fn eat(&mut self, wanted: &[char]) -> bool {
        let there = self.peek().is_some_and(|c| wanted.contains(&c));
        if there {
            self.rest.next();
        }
        there
    }

    fn expect(&mut self, wanted: char) -> Result<(), Refused> {
        match self.eat(&[wanted]) {
            true => Ok(()),
            false => Err(Refused(format!("{wanted:?} is missing"))),
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Refused>) -> Result<T, Refused> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Refused::new("it is nested too deeply"));
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn sum(&mut self) -> Result<Value, Refused> {
        let mut value = self.product()?;
        loop {
            if self.eat(&['+']) {
                value = value.plus(self.product()?, self.work)?;
            } else if self.eat(&['-', '−', '–']) {
                value = value.plus(self.product()?.negated(), self.work)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<Value, Refused> {
        let mut value = self.signed()?;
        loop {
            if self.eat(&['*', '×', '·', '⋅']) {
                value = value.times(self.signed()?, self.work)?;
            } else if self.eat(&['/', '÷']) {
                value = value.by(self.signed()?, self.work)?;
            } else if self.latex_times() {
                value = value.times(self.signed()?, self.work)?;
            } else if self.eat(&['%']) {
                let hundred = Value::of(Polynomial::constant(BigRational::from_integer(100.into())));
                value = value.by(hundred, self.work)?;
            } else if self
                .peek()
                .is_some_and(|c| c.is_alphabetic() || matches!(c, '(' | '\\' | '√'))
            {
                // Side by side: 2x, 3(x + 1), 2√3. Two numbers side by side are no product.
                value = value.times(self.power()?, self.work)?;
            } else {
                return Ok(value);
            }
        }
    }

    /// Eats `\cdot` or `\times`.
    fn latex_times(&mut self) -> bool {
        if self.peek() != Some('\\') {
            return false;
        }
        let ahead: String = self.rest.clone().take(6).collect();
        let word = ["\\cdot", "\\times"].into_iter().find(|word| ahead.starts_with(word));
        self.skip(word.map_or(0, str::len));
        word.is_some()
    }

    fn signed(&mut self) -> Result<Value, Refused> {
        self.deeper(|parser| {
            if parser.eat(&['-', '−', '–']) {
                Ok(parser.signed()?.negated())
            } else if parser.eat(&['+']) {
                parser.signed()
            } else {
                parser.power()
            }
        })
    }

    fn power(&mut self) -> Result<Value, Refused> {
        let base = self.atom()?;
        let whole = |n: i64| Value::of(Polynomial::constant(BigRational::from_integer(n.into())));
        if self.eat(&['²']) {
            return base.power(&whole(2), self.work);
        }
        if self.eat(&['³']) {
            return base.power(&whole(3), self.work);
        }
        let stars = self.peek() == Some('*') && self.rest.clone().nth(1) == Some('*');
        if stars {
            self.rest.next();
            self.rest.next();
        }
        if stars || self.eat(&['^']) {
            // To the right first: 2^3^2 is 2^9.
            let exponent = if self.peek() == Some('{') {
                self.bracketed('{', '}')?
            } else {
                self.signed()?
            };
            return base.power(&exponent, self.work);
        }
        Ok(base)
    }

    fn bracketed(&mut self, open: char, close: char) -> Result<Value, Refused> {
        self.expect(open)?;
        let value = self.deeper(Self::sum)?;
        self.expect(close)?;
        Ok(value)
    }

    fn atom(&mut self) -> Result<Value, Refused> {
        match self.peek() {
            Some('(') => self.bracketed('(', ')'),
            Some('{') => self.bracketed('{', '}'),
            Some('√') => {
                self.rest.next();
                self.deeper(Self::atom)?.root()
            }
            Some('\\') => {
                self.rest.next();
                self.latex()
            }
            Some('π') => {
                self.rest.next();
                Ok(Value::of(Polynomial::symbol("pi")))
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() => {
                let ahead: String = self.rest.clone().take(5).collect();
                if ahead.starts_with("sqrt(") {
                    self.skip(4);
                    return self.bracketed('(', ')')?.root();
                }
                if ahead.starts_with("pi") {
                    self.skip(2);
                    return Ok(Value::of(Polynomial::symbol("pi")));
                }
                self.rest.next();
                Ok(Value::of(Polynomial::symbol(&c.to_string())))
            }
            Some(c) => Err(Refused(format!("{c:?} is no part of an expression"))),
            None => Err(Refused::new("it ends too early")),
        }
    }

    /// What follows a backslash.
    fn latex(&mut self) -> Result<Value, Refused> {
        let mut word = String::new();
        while let Some(letter) = self.rest.next_if(char::is_ascii_alphabetic) {
            word.push(letter);
        }
        match word.as_str() {
            "frac" | "dfrac" | "tfrac" => {
                let over = self.bracketed('{', '}')?;
                over.by(self.bracketed('{', '}')?, self.work)
            }
            "sqrt" => self.bracketed('{', '}')?.root(),
            "pi" => Ok(Value::of(Polynomial::symbol("pi"))),
            _ => Err(Refused(format!("\\{word} is not understood"))),
        }
    }

    fn digits(&mut self) -> String {
        let mut digits = String::new();
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits
    }

    fn number(&mut self) -> Result<Value, Refused> {
        let (whole, mut fraction) = (self.digits(), String::new());
        if self.rest.next_if_eq(&'.').is_some() {
            fraction = self.digits();
        }
        let Ok(all) = format!("{whole}{fraction}").parse::<BigInt>() else {
            return Err(Refused::new("a point stands without a digit"));
        };
        let mut tens = 0;
        let mut ahead = self.rest.clone();
        if matches!(ahead.next(), Some('e' | 'E')) {
            let sign = ahead.next_if(|c| matches!(c, '+' | '-'));
            if ahead.peek().is_some_and(char::is_ascii_digit) {
                self.rest = ahead;
                let size: i32 = self.digits().parse().unwrap_or(i32::MAX);
                if size > MAX_TENS {
                    return Err(Refused::new("an exponent of ten is too large"));
                }
                tens = if sign == Some('-') { -size } else { size };
            }
        }
        let tens = tens - fraction.len() as i32;
        let power = BigInt::from(10).pow(tens.unsigned_abs());
        Ok(Value::of(Polynomial::constant(match tens < 0 {
            true => BigRational::new(all, power),
            false => BigRational::from_integer(all * power),
        })))
    }
}
