//! The families of problems, and which split has which.
//!
//! A family makes a problem out of random draws: its text, its right answer, computed here, and a Python program that computes
//! it another way. Families are split for good: what validation and test ask, training never does.

mod algebra;
mod numbers;
mod words;

use crate::answer::Expected;
use hone_env::Split;
use hone_trace::Stream;
use num_rational::BigRational;
use rand::RngExt;

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is asked.
    pub text: String,
    /// The right answer.
    pub expected: Expected,
    /// A program that prints it.
    pub code: String,
}

/// A kind of problems.
#[derive(Clone, Copy)]
pub struct Family {
    /// Name, for breakdowns.
    pub name: &'static str,
    /// Which tasks are of it.
    pub split: Split,
    make: fn(&mut Stream) -> Problem,
}

impl Family {
    /// The problem of a seed.
    pub fn problem(&self, seed: u64) -> Problem {
        (self.make)(&mut Stream::new(seed).named("maths/problem"))
    }

    /// The family of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.name == name)
    }
}

const fn family(name: &'static str, split: Split, make: fn(&mut Stream) -> Problem) -> Family {
    Family { name, split, make }
}

/// All of them.
pub const FAMILIES: &[Family] = &[
    family("fractions", Split::Train, numbers::fractions),
    family("power_remainder", Split::Train, numbers::power_remainder),
    family("digit_sum", Split::Train, numbers::digit_sum),
    family("divisible", Split::Train, numbers::divisible),
    family("primes", Split::Train, numbers::primes),
    family("recurrence", Split::Train, numbers::recurrence),
    family("dice", Split::Train, numbers::dice),
    family("interpolation", Split::Train, algebra::interpolation),
    family("linear_system", Split::Train, algebra::linear_system),
    family("receipt", Split::Train, words::receipt),
    family("savings", Split::Train, words::savings),
    family("tank", Split::Train, words::tank),
    family("change", Split::Validation, words::change),
    family("alloy", Split::Validation, words::alloy),
    family("quadratic", Split::Validation, algebra::quadratic),
    family("lattice_paths", Split::Test, numbers::lattice_paths),
    family("remainders", Split::Test, numbers::remainders),
    family("derivative", Split::Test, algebra::derivative),
    family("perimeter", Split::Test, algebra::perimeter),
    family("loan", Split::Test, words::loan),
    family("stickers", Split::Test, words::stickers),
    family("reservoir", Split::Test, words::reservoir),
];

fn exact(value: impl ToString) -> Expected {
    Expected::Exact(value.to_string())
}

fn ratio(over: i64, under: i64) -> BigRational {
    BigRational::new(over.into(), under.into())
}

/// One of several.
fn one_of<'a>(draw: &mut Stream, of: &[&'a str]) -> &'a str {
    of[draw.random_range(0..of.len())]
}

/// `[1, 2]`, as Python writes it too.
fn list<T: ToString>(of: &[T]) -> String {
    let members: Vec<String> = of.iter().map(T::to_string).collect();
    format!("[{}]", members.join(", "))
}

/// `1, 2 and 3`.
fn told<T: ToString>(of: &[T]) -> String {
    let members: Vec<String> = of.iter().map(T::to_string).collect();
    match members.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// Cents as euros, `12.05`.
fn euros(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
