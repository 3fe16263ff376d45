//! Polynomials over the rational numbers, in named symbols and in square roots of primes.
//!
//! A square root of a prime `p` is a symbol whose square is `p`. Products of different such roots are linearly independent
//! over the rational numbers (Besicovitch 1940), so that an expression is zero just if no term of this form is left.

use super::Refused;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Most terms of a polynomial.
const MAX_TERMS: usize = 400;
/// Highest degree in one symbol.
const MAX_DEGREE: u32 = 64;
/// Most bits of a coefficient's numerator or denominator.
pub(super) const MAX_BITS: u64 = 16_384;
/// Largest prime that is tried under a square root.
const MAX_FACTOR: u64 = 100_000;
/// What the products and sums of a comparison may cost: 20 each, and more for long numbers. A tenth of a second or so.
const MAX_WORK: u64 = 2_000_000;

/// How much a comparison may still cost.
pub(super) struct Work(Cell<u64>);

impl Work {
    pub fn new() -> Self {
        Self(Cell::new(MAX_WORK))
    }

    /// One product or sum of numbers that have so many bits together.
    fn spend(&self, bits: u64) -> Result<(), Refused> {
        let cost = 20 + bits * bits / 4096;
        match self.0.get().checked_sub(cost) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => Err(Refused::new("it is too large to be compared")),
        }
    }
}

/// What a term is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Symbol {
    /// The positive square root of a prime.
    Root(u64),
    /// An unknown, or a number that no equation with rational coefficients tells from one (π).
    Name(String),
}

/// Exponents of a term's symbols, none of them 0; those of roots are 1.
type Monomial = BTreeMap<Symbol, u32>;

/// Terms with their coefficients, none of them 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Polynomial(BTreeMap<Monomial, BigRational>);

fn size(number: &BigRational) -> u64 {
    number.numer().bits().max(number.denom().bits())
}

impl Polynomial {
    pub fn constant(number: BigRational) -> Self {
        let mut terms = BTreeMap::new();
        if !number.is_zero() {
            terms.insert(Monomial::new(), number);
        }
        Self(terms)
    }

    pub fn one() -> Self {
        Self::constant(BigRational::one())
    }

    pub fn symbol(name: &str) -> Self {
        let term = Monomial::from([(Symbol::Name(name.to_owned()), 1)]);
        Self(BTreeMap::from([(term, BigRational::one())]))
    }

    /// The square root of a rational number that is not negative.
    pub fn root(of: &BigRational) -> Result<Self, Refused> {
        if of.is_negative() {
            return Err(Refused::new("a square root of a negative number is no real number"));
        }
        // √(p/q) = √(pq) / q
        let whole = of.numer() * of.denom();
        let exact = whole.sqrt();
        if &exact * &exact == whole {
            return Ok(Self::constant(BigRational::new(exact, of.denom().clone())));
        }
        let large = || Refused::new("a number under a square root is too large to be compared exactly");
        let mut rest = whole.to_u64().ok_or_else(large)?;
        let (mut outside, mut inside) = (BigInt::one(), Monomial::new());
        let mut prime = 2;
        while prime <= MAX_FACTOR && prime * prime <= rest {
            let mut times = 0;
            while rest % prime == 0 {
                rest /= prime;
                times += 1;
            }
            outside *= BigInt::from(prime).pow(times / 2);
            if times % 2 == 1 {
                inside.insert(Symbol::Root(prime), 1);
            }
            prime += if prime == 2 { 1 } else { 2 };
        }
        if rest > 1 {
            // Without a factor up to its square root it is a prime.
            if prime * prime <= rest {
                return Err(large());
            }
            inside.insert(Symbol::Root(rest), 1);
        }
        let factor = BigRational::new(outside, of.denom().clone());
        Ok(Self(BTreeMap::from([(inside, factor)])))
    }

    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The number that it is, if it holds no symbol.
    pub fn number(&self) -> Option<BigRational> {
        match self.0.len() {
            0 => Some(BigRational::zero()),
            1 => self.0.get(&Monomial::new()).cloned(),
            _ => None,
        }
    }

    pub fn negated(mut self) -> Self {
        for number in self.0.values_mut() {
            *number = -std::mem::take(number);
        }
        self
    }

    pub fn plus(mut self, other: &Self, work: &Work) -> Result<Self, Refused> {
        for (term, number) in &other.0 {
            self.add(term.clone(), number.clone(), work)?;
        }
        Ok(self)
    }

    fn add(&mut self, term: Monomial, number: BigRational, work: &Work) -> Result<(), Refused> {
        let sum = match self.0.remove(&term) {
            Some(there) => {
                work.spend(size(&there) + size(&number))?;
                there + number
            }
            None => number,
        };
        if size(&sum) > MAX_BITS {
            return Err(Refused::new("its numbers are too long to be compared"));
        }
        if !sum.is_zero() {
            self.0.insert(term, sum);
        }
        match self.0.len() > MAX_TERMS {
            true => Err(Refused::new("it has too many terms to be compared")),
            false => Ok(()),
        }
    }

    pub fn times(&self, other: &Self, work: &Work) -> Result<Self, Refused> {
        let mut product = Self::default();
        for (left, a) in &self.0 {
            for (right, b) in &other.0 {
                if size(a) + size(b) > MAX_BITS {
                    return Err(Refused::new("its numbers are too long to be compared"));
                }
                work.spend(size(a) + size(b))?;
                let (mut term, mut number) = (left.clone(), a * b);
                for (symbol, degree) in right {
                    let total = term.get(symbol).copied().unwrap_or(0) + degree;
                    match symbol {
                        // Both are 1: the square of a root is its prime.
                        Symbol::Root(prime) if total == 2 => {
                            number *= BigRational::from_integer(BigInt::from(*prime));
                            term.remove(symbol);
                        }
                        _ if total > MAX_DEGREE => {
                            return Err(Refused::new("its degree is too high to be compared"));
                        }
                        _ => drop(term.insert(symbol.clone(), total)),
                    }
                }
                product.add(term, number, work)?;
            }
        }
        Ok(product)
    }
}
