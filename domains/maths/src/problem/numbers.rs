//! Problems about numbers.

use super::{Problem, exact, list, told};
use hone_trace::Stream;
use num_bigint::BigUint;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::Zero;
use rand::RngExt;

/// A sum, difference, product or quotient of fractions, nested.
pub(super) fn fractions(draw: &mut Stream) -> Problem {
    let (text, code, value) = nested(draw, 3);
    Problem {
        text: format!("Calculate {text}. Give an exact number: a whole number or a fraction."),
        expected: exact(value),
        code: format!("from fractions import Fraction as F\nprint({code})"),
    }
}

fn nested(draw: &mut Stream, depth: u32) -> (String, String, BigRational) {
    if depth == 0 {
        let (over, under) = (draw.random_range(1..60_i64), draw.random_range(2..40_i64));
        return (
            format!("{over}/{under}"),
            format!("F({over}, {under})"),
            super::ratio(over, under),
        );
    }
    let ((a, a_code, x), (b, b_code, y)) = (nested(draw, depth - 1), nested(draw, depth - 1));
    let (sign, value) = match draw.random_range(0..4) {
        0 => ('-', x - y),
        1 => ('*', x * y),
        2 if !y.is_zero() => ('/', x / y),
        _ => ('+', x + y),
    };
    (
        format!("({a} {sign} {b})"),
        format!("({a_code} {sign} {b_code})"),
        value,
    )
}

pub(super) fn power_remainder(draw: &mut Stream) -> Problem {
    let base: u64 = draw.random_range(1_000..1_000_000);
    let exponent: u64 = draw.random_range(1_000_000_000..1_000_000_000_000);
    let modulus: u64 = draw.random_range(1_000..1_000_000);
    let value = BigUint::from(base).modpow(&exponent.into(), &modulus.into());
    Problem {
        text: format!("What is the remainder when {base}^{exponent} is divided by {modulus}?"),
        expected: exact(value),
        code: format!("print(pow({base}, {exponent}, {modulus}))"),
    }
}

pub(super) fn digit_sum(draw: &mut Stream) -> Problem {
    let (base, exponent): (u32, u32) = (draw.random_range(3..99), draw.random_range(40..300));
    let digits = BigUint::from(base).pow(exponent).to_string();
    let sum: u32 = digits.bytes().map(|digit| u32::from(digit - b'0')).sum();
    Problem {
        text: format!("What is the sum of the decimal digits of {base}^{exponent}?"),
        expected: exact(sum),
        code: format!("print(sum(int(digit) for digit in str({base} ** {exponent})))"),
    }
}

/// By inclusion and exclusion here, by counting there.
pub(super) fn divisible(draw: &mut Stream) -> Problem {
    let most: u64 = draw.random_range(10_000..100_000);
    let mut of = [0_u64; 3];
    for n in 0..3 {
        of[n] = loop {
            let number = draw.random_range(3..30);
            if of[..n].iter().all(|other| number % other != 0 && other % number != 0) {
                break number;
            }
        };
    }
    let [a, b, c] = of;
    let count = |numbers: &[u64]| most / numbers.iter().fold(1, |all, number| all.lcm(number));
    let value = count(&[a]) + count(&[b]) + count(&[a, b, c]) - count(&[a, b]) - count(&[a, c]) - count(&[b, c]);
    Problem {
        text: format!("How many of the whole numbers from 1 to {most} are divisible by {a} or by {b}, but not by {c}?"),
        expected: exact(value),
        code: format!("print(sum((n % {a} == 0 or n % {b} == 0) and n % {c} != 0 for n in range(1, {most} + 1)))"),
    }
}

/// By a sieve here, by trial division there.
pub(super) fn primes(draw: &mut Stream) -> Problem {
    let from: usize = draw.random_range(100..5_000);
    let to = from + draw.random_range(200..3_000);
    let modulus = draw.random_range(3..10);
    let rest = loop {
        let rest = draw.random_range(1..modulus);
        if rest.gcd(&modulus) == 1 {
            break rest;
        }
    };
    let mut composite = vec![false; to + 1];
    let mut sum = 0;
    for n in 2..=to {
        if composite[n] {
            continue;
        }
        (n * n..=to).step_by(n).for_each(|multiple| composite[multiple] = true);
        if n >= from && n % modulus == rest {
            sum += n;
        }
    }
    Problem {
        text: format!(
            "What is the sum of all prime numbers from {from} to {to} that leave the remainder {rest} when divided by {modulus}?"
        ),
        expected: exact(sum),
        code: format!(
            "def prime(n):\n    return n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1))\n\n\
             print(sum(n for n in range({from}, {to} + 1) if n % {modulus} == {rest} and prime(n)))"
        ),
    }
}

/// Step by step here, by powers of a matrix there.
pub(super) fn recurrence(draw: &mut Stream) -> Problem {
    let mut small = || draw.random_range(1..20_u64);
    let (first, second, p, q) = (small(), small(), small(), small());
    let (n, modulus): (u64, u64) = (draw.random_range(1_000..50_000), draw.random_range(1_000..100_000));
    let (mut before, mut now) = (first % modulus, second % modulus);
    for _ in 1..n {
        (before, now) = (now, (p * now + q * before) % modulus);
    }
    Problem {
        text: format!(
            "A sequence begins with a(0) = {first} and a(1) = {second}, and a(n) = {p}*a(n-1) + {q}*a(n-2) from then on. \
             What is the remainder of a({n}) when divided by {modulus}?"
        ),
        expected: exact(now),
        code: format!(
            "def times(a, b):\n    return [[sum(a[i][k] * b[k][j] for k in range(2)) % {modulus} for j in range(2)] for i in range(2)]\n\n\
             result, square, n = [[1, 0], [0, 1]], [[{p}, {q}], [1, 0]], {n}\n\
             while n:\n    if n % 2:\n        result = times(result, square)\n    square, n = times(square, square), n // 2\n\
             print((result[1][0] * {second} + result[1][1] * {first}) % {modulus})"
        ),
    }
}

/// By convolution here, by trying every throw there.
pub(super) fn dice(draw: &mut Stream) -> Problem {
    let number = draw.random_range(3..6);
    let dice: Vec<usize> = (0..number).map(|_| draw.random_range(4..10)).collect();
    let least = draw.random_range(number + 2..dice.iter().sum());
    let mut ways = vec![1_i64];
    for sides in &dice {
        let mut next = vec![0; ways.len() + sides];
        for (sum, count) in ways.iter().enumerate() {
            (1..=*sides).for_each(|side| next[sum + side] += count);
        }
        ways = next;
    }
    let good: i64 = ways.iter().skip(least).sum();
    let value = super::ratio(good, ways.iter().sum());
    Problem {
        text: format!(
            "Fair dice with {} sides, each numbered from 1, are thrown. What is the probability that their sum is at least \
             {least}? Give an exact fraction.",
            told(&dice)
        ),
        expected: exact(value),
        code: format!(
            "from fractions import Fraction\nfrom itertools import product\n\n\
             throws = list(product(*(range(1, sides + 1) for sides in {})))\n\
             print(Fraction(sum(sum(throw) >= {least} for throw in throws), len(throws)))",
            list(&dice)
        ),
    }
}

/// Row by row here, from the end with a memory there.
pub(super) fn lattice_paths(draw: &mut Stream) -> Problem {
    let (width, height): (usize, usize) = (draw.random_range(6..14), draw.random_range(6..14));
    let mut closed: Vec<(usize, usize)> = Vec::new();
    let number = draw.random_range(2..6);
    while closed.len() < number {
        let point = (draw.random_range(0..=width), draw.random_range(0..=height));
        // Two points beside an end would close it.
        let inner = point.0 + point.1 > 1 && point.0 + point.1 + 1 < width + height;
        if inner && !closed.contains(&point) {
            closed.push(point);
        }
    }
    let mut row = vec![0_u64; width + 1];
    row[0] = 1;
    for y in 0..=height {
        for x in 0..=width {
            let left = if x > 0 { row[x - 1] } else { 0 };
            row[x] = if closed.contains(&(x, y)) { 0 } else { row[x] + left };
        }
    }
    let points: Vec<String> = closed.iter().map(|(x, y)| format!("({x}, {y})")).collect();
    Problem {
        text: format!(
            "A robot walks on a grid from (0, 0) to ({width}, {height}). Each step takes it one unit to the right or one unit \
             up. It must not enter the points {}. How many different walks are there?",
            told(&points)
        ),
        expected: exact(row[width]),
        code: format!(
            "from functools import lru_cache\n\nclosed = {}\n\n@lru_cache(None)\ndef walks(x, y):\n    \
             if x < 0 or y < 0 or (x, y) in closed:\n        return 0\n    return 1 if x == y == 0 else walks(x - 1, y) + walks(x, y - 1)\n\n\
             print(walks({width}, {height}))",
            list(&points)
        ),
    }
}

/// By sieving here, by trying every number there.
pub(super) fn remainders(draw: &mut Stream) -> Problem {
    let mut moduli: Vec<u64> = Vec::new();
    while moduli.len() < 3 {
        let modulus = draw.random_range(7..50);
        if moduli.iter().all(|other| modulus.gcd(other) == 1) {
            moduli.push(modulus);
        }
    }
    let rests: Vec<u64> = moduli.iter().map(|modulus| draw.random_range(1..*modulus)).collect();
    let (mut value, mut step) = (0, 1);
    for (modulus, rest) in moduli.iter().zip(&rests) {
        while value % modulus != *rest {
            value += step;
        }
        step *= modulus;
    }
    let thing = super::one_of(draw, &["marbles", "coins", "seeds", "pearls"]);
    let told: Vec<String> = moduli
        .iter()
        .zip(&rests)
        .map(|(modulus, rest)| format!("in rows of {modulus}, {rest} are left over"))
        .collect();
    Problem {
        text: format!(
            "Somebody lays out {thing}: {}. What is the smallest number of {thing} that there can be?",
            super::told(&told)
        ),
        expected: exact(value),
        code: format!(
            "n = 1\nwhile [n % m for m in {}] != {}:\n    n += 1\nprint(n)",
            list(&moduli),
            list(&rests)
        ),
    }
}
