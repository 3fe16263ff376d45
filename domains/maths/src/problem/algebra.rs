//! Problems whose answer is an expression or comes out of equations.

use super::{Problem, exact, list, ratio};
use crate::answer::Expected;
use hone_trace::Stream;
use num_rational::BigRational;
use num_traits::{One, Zero};
use rand::RngExt;

/// `3*x**2 - 1/2*x + 4` of coefficients by rising power, for the checker.
fn polynomial(coefficients: &[BigRational]) -> String {
    let terms: Vec<String> = coefficients
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, number)| !number.is_zero())
        .map(|(power, number)| format!("({number})*x**{power}"))
        .collect();
    match terms.is_empty() {
        true => "0".to_owned(),
        false => terms.join(" + "),
    }
}

/// Prints a list of coefficients by rising power.
const SHOW: &str = "print(' + '.join(f'({c})*x**{n}' for n, c in enumerate(answer) if c) or 0)";

/// By Lagrange's formula here, by elimination there.
pub(super) fn interpolation(draw: &mut Stream) -> Problem {
    let degree: usize = draw.random_range(2..5);
    let mut points: Vec<(i64, i64)> = Vec::new();
    while points.len() <= degree {
        let x = draw.random_range(-6..7);
        if points.iter().all(|(other, _)| *other != x) {
            points.push((x, draw.random_range(-20..21)));
        }
    }
    let mut sum = vec![BigRational::zero(); degree + 1];
    for (x, y) in &points {
        let mut basis = vec![ratio(*y, 1)];
        for (other, _) in points.iter().filter(|(other, _)| other != x) {
            // times (x - other) / (x_i - other)
            let under = ratio(1, x - other);
            let mut next = vec![BigRational::zero(); basis.len() + 1];
            for (power, number) in basis.iter().enumerate() {
                next[power + 1] += number * &under;
                next[power] -= number * &under * ratio(*other, 1);
            }
            basis = next;
        }
        sum.iter_mut().zip(basis).for_each(|(all, number)| *all += number);
    }
    let shown: Vec<String> = points.iter().map(|(x, y)| format!("({x}, {y})")).collect();
    Problem {
        text: format!(
            "Find the polynomial in x of degree at most {degree} whose graph goes through the points {}. Exact coefficients, please.",
            super::told(&shown)
        ),
        expected: exact(polynomial(&sum)),
        code: format!(
            "{IMPORT}points = {}\nrows = [[F(x) ** n for n in range(len(points))] + [F(y)] for x, y in points]\n{ELIMINATE}\
             answer = solve(rows)\n{SHOW}",
            list(&shown)
        ),
    }
}

const IMPORT: &str = "from fractions import Fraction as F\n\n";

/// Gauß's elimination of an augmented matrix.
const ELIMINATE: &str = "def solve(rows):
    size = len(rows)
    for i in range(size):
        pivot = next(r for r in range(i, size) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(size):
            if r != i:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i])]
    return [row[-1] for row in rows]

";

fn determinant(m: [[i64; 3]; 3]) -> i64 {
    let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
    m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1)
}

/// By Cramer's rule here, by elimination there.
pub(super) fn linear_system(draw: &mut Stream) -> Problem {
    let (m, right) = loop {
        let m: [[i64; 3]; 3] = std::array::from_fn(|_| std::array::from_fn(|_| draw.random_range(-12..13)));
        if determinant(m) != 0 {
            break (m, [(); 3].map(|()| draw.random_range(-40..41_i64)));
        }
    };
    let asked = draw.random_range(0..3);
    let mut replaced = m;
    replaced
        .iter_mut()
        .zip(right)
        .for_each(|(row, value)| row[asked] = value);
    let value = ratio(determinant(replaced), determinant(m));
    let equations: Vec<String> = m
        .iter()
        .zip(right)
        .map(|([a, b, c], value)| format!("{a}*x + {b}*y + {c}*z = {value}").replace("+ -", "- "))
        .collect();
    let rows: Vec<String> = m
        .iter()
        .zip(right)
        .map(|([a, b, c], v)| format!("[{a}, {b}, {c}, {v}]"))
        .collect();
    Problem {
        text: format!(
            "Solve the system {} for {}. Give an exact number.",
            equations.join("; "),
            ["x", "y", "z"][asked]
        ),
        expected: exact(value),
        code: format!(
            "{IMPORT}{ELIMINATE}rows = [[F(n) for n in row] for row in {}]\nprint(solve(rows)[{asked}])",
            list(&rows)
        ),
    }
}

pub(super) fn quadratic(draw: &mut Stream) -> Problem {
    let (a, b, c) = loop {
        let (a, b, c): (i64, i64, i64) = (
            draw.random_range(1..9),
            draw.random_range(-20..21),
            draw.random_range(-20..21),
        );
        if b * b > 4 * a * c {
            break (a, b, c);
        }
    };
    let under = b * b - 4 * a * c;
    let root = |sign: char| format!("({} {sign} sqrt({under}))/{}", -b, 2 * a);
    Problem {
        text: format!("Find all real x with {a}*x^2 + {b}*x + {c} = 0. Give exact values with commas between them.")
            .replace("+ -", "- "),
        expected: Expected::Set(vec![root('+'), root('-')]),
        code: format!(
            "a, b, c = {a}, {b}, {c}\nroot = b * b - 4 * a * c\noutside = 1\nfor d in range(int(root ** 0.5) + 1, 1, -1):\n    \
             if root % (d * d) == 0:\n        outside, root = outside * d, root // (d * d)\n\
             print(', '.join(f'({{-b}} {{sign}} {{outside}}*sqrt({{root}}))/{{2 * a}}' for sign in '+-'))"
        ),
    }
}

/// By multiplying first here, by the product rule there.
pub(super) fn derivative(draw: &mut Stream) -> Problem {
    let mut factor = |degree: usize| -> Vec<i64> {
        let mut numbers: Vec<i64> = (0..=degree).map(|_| draw.random_range(-9..10)).collect();
        numbers[degree] = numbers[degree].abs() + 1;
        numbers
    };
    let factors = [factor(2), factor(3), factor(1)];
    let mut product = vec![BigRational::one()];
    for factor in &factors {
        let mut next = vec![BigRational::zero(); product.len() + factor.len() - 1];
        for (i, a) in product.iter().enumerate() {
            for (j, b) in factor.iter().enumerate() {
                next[i + j] += a * ratio(*b, 1);
            }
        }
        product = next;
    }
    let derived: Vec<BigRational> = (1..)
        .zip(&product[1..])
        .map(|(n, number)| number * ratio(n, 1))
        .collect();
    let shown: Vec<String> = factors
        .iter()
        .map(|factor| {
            let terms = factor.iter().enumerate().rev().filter(|(_, number)| **number != 0);
            let terms: Vec<String> = terms
                .map(|(power, number)| match power {
                    0 => number.to_string(),
                    1 => format!("{number}*x"),
                    _ => format!("{number}*x^{power}"),
                })
                .collect();
            format!("({})", terms.join(" + ").replace("+ -", "- "))
        })
        .collect();
    let lists: Vec<String> = factors.iter().map(|factor| list(factor)).collect();
    Problem {
        text: format!("Let f(x) = {}. Find the derivative f'(x).", shown.join("*")),
        expected: exact(polynomial(&derived)),
        code: format!(
            "def times(a, b):\n    c = [0] * (len(a) + len(b) - 1)\n    for i, x in enumerate(a):\n        for j, y in enumerate(b):\n            c[i + j] += x * y\n    return c\n\n\
             def derived(a):\n    return [n * x for n, x in enumerate(a)][1:]\n\n\
             f, g, h = {}\n\
             parts = [times(times(derived(f), g), h), times(times(f, derived(g)), h), times(times(f, g), derived(h))]\n\
             answer = [sum(numbers) for numbers in zip(*parts)]\n{SHOW}",
            lists.join(", ")
        ),
    }
}

pub(super) fn perimeter(draw: &mut Stream) -> Problem {
    let corners: usize = draw.random_range(3..6);
    let mut points: Vec<(i64, i64)> = Vec::new();
    while points.len() < corners {
        let point = (draw.random_range(-12..13), draw.random_range(-12..13));
        if !points.contains(&point) {
            points.push(point);
        }
    }
    let next = points.iter().cycle().skip(1);
    let sides: Vec<String> = points
        .iter()
        .zip(next)
        .map(|((x, y), (u, v))| format!("sqrt({})", (x - u).pow(2) + (y - v).pow(2)))
        .collect();
    let shown: Vec<String> = points.iter().map(|(x, y)| format!("({x}, {y})")).collect();
    Problem {
        text: format!(
            "A drone flies in straight lines from {} and back to where it began. How long is its way? Give an exact expression \
             with square roots.",
            shown.join(" to ")
        ),
        expected: exact(sides.join(" + ")),
        code: format!(
            "from collections import Counter\n\npoints = {}\nroots = Counter()\nfor (x, y), (u, v) in zip(points, points[1:] + points[:1]):\n    \
             root, outside = (x - u) ** 2 + (y - v) ** 2, 1\n    for d in range(int(root ** 0.5) + 1, 1, -1):\n        \
             if root % (d * d) == 0:\n            root, outside = root // (d * d), outside * d\n    roots[root] += outside\n\
             print(' + '.join(f'{{n}}*sqrt({{root}})' for root, n in sorted(roots.items())))",
            list(&shown)
        ),
    }
}
