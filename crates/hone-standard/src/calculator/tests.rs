//! The calculator against values from elsewhere, and against bad input.

use super::*;
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;
use std::time::Instant;

fn value(expression: &str) -> String {
    let result = calculate(expression, 20).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let number = result["value"]
        .as_str()
        .map_or(result["value"].to_string(), str::to_owned);
    match result["unit"].as_str() {
        Some(unit) => format!("{number} {unit}"),
        None => number,
    }
}

fn refused(expression: &str) -> String {
    let started = Instant::now();
    let message = calculate(expression, 20).unwrap_err().to_string();
    assert!(started.elapsed().as_secs() < 2, "{expression} took too long");
    message
}

#[test]
fn fractions_and_decimals_are_exact() {
    for (expression, expected) in [
        ("0.1 + 0.2", "0.3"),
        ("1/3 + 1/6", "0.5"),
        ("(2 + 3)^2 / 8", "3.125"),
        ("2^100", "1267650600228229401496703205376"),
        ("-2^2", "-4"),
        ("2^3^2", "512"),
        ("2^-3", "0.125"),
        ("10 - 4 - 3", "3"),
        ("7 / 2 / 7", "0.5"),
        ("-7 mod 3", "2"),
        ("7.5 mod 2", "1.5"),
        ("1_000 * 1e3", "1000000"),
        ("1.5e-3", "0.0015"),
        ("19% of 250", "47.5"),
        ("250 * (1 + 19%)", "297.5"),
        ("5!", "120"),
        ("--3", "3"),
        ("gcd(48, 36) + lcm(4, 6)", "24"),
        ("round(2.345, 2)", "2.35"),
        ("round(-2.5)", "-3"),
        ("round(1234, -2)", "1200"),
        ("floor(-1.5) + ceil(-1.5)", "-3"),
        ("min(3, 1/2, 2) + max(1, 4) + abs(-1)", "5.5"),
        ("4^0.5 + 27^(1/3)", "5"),
        ("sqrt(2.25)", "1.5"),
        ("cbrt(-8)", "-2"),
        ("root(1024, 10)", "2"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
        assert_eq!(calculate(expression, 20).unwrap()["exact"], true, "{expression}");
    }
}

#[test]
fn rounded_results_are_marked_and_right() {
    // The digits of the roots and of π are those of any table; 1/7 and 2/3 are by hand.
    for (expression, expected) in [
        ("1/7", "≈0.14285714285714285714"),
        ("2/3", "≈0.66666666666666666667"),
        ("-1/3", "≈-0.33333333333333333333"),
        ("sqrt(2)", "≈1.4142135623730950488"),
        ("sqrt(3)", "≈1.7320508075688772935"),
        ("cbrt(2)", "≈1.2599210498948731648"),
        ("pi", "≈3.1415926535897932385"),
        ("e", "≈2.7182818284590452354"),
        ("2/3 * 10^-9", "≈6.6666666666666666667e-10"),
        ("2/3 * 10^45", "≈6.6666666666666666667e44"),
        (
            "999999999999999999999999/10^24*1/1 + 1/3*0",
            "0.999999999999999999999999",
        ),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    let third = calculate("1/3", 5).unwrap();
    assert_eq!(third, json!({"value": "≈0.33333", "exact": false, "fraction": "1/3"}));
    // 2/3 rounded to one digit, and a carry into another digit.
    assert_eq!(calculate("2/3", 1).unwrap()["value"], "≈0.7");
    assert_eq!(calculate("2999/3000", 2).unwrap()["value"], "≈1.0");
    // What the bounds do not prove is not shown: only about 75 digits of the root are known, so few of the difference.
    let small = calculate("sqrt(2) - 1.41421356237309504880168872420969807856967187537694", 20).unwrap();
    // √2 = 1.4142135623730950488016887242096980785696718753769480731766797…
    assert_eq!(small["value"], "≈8.0731766797379907325e-51");
}

#[test]
fn comparisons_are_decided_or_refused() {
    for (expression, truth) in [
        ("1/3 < 0.3333333333333333333333333333333333", false),
        ("1/3 = 2/6", true),
        ("0.1 + 0.2 == 0.3", true),
        ("sqrt(2) > 1.414213562373095048801688", true),
        ("5 km >= 3 mile", true),
        ("1 KiB != 1000 B", true),
        ("20 degC = 68 degF", true),
    ] {
        assert_eq!(calculate(expression, 20).unwrap()["value"], truth, "{expression}");
    }
    assert!(refused("sqrt(2) * sqrt(2) = 2").contains("too close to the other side"));
    assert!(refused("1 / (sqrt(2) - sqrt(2))").contains("too close to zero"));
}

#[test]
fn units_convert_exactly() {
    for (expression, expected) in [
        ("5 km + 300 m in km", "5.3 km"),
        ("1 mile in km", "1.609344 km"),
        ("1 lb in g", "453.59237 g"),
        ("100 km / 2 h in km/h", "50 km/h"),
        ("3 ft 4 inch", "-"),
        ("90 min in h", "1.5 h"),
        ("20 degC in degF", "68 degF"),
        ("-40 degC in degF", "-40 degF"),
        ("(0 - 40) degC in degF", "-40 degF"),
        ("98.6 degF in degC", "37 degC"),
        ("30 degC - 20 degC", "10 K"),
        ("20 degC + 5 K in °C", "25 °C"),
        ("0 K in degC", "-273.15 degC"),
        ("1 GiB in MB", "1073.741824 MB"),
        ("8 Mbit/s in MB/s", "1 MB/s"),
        ("2 m * 3 m", "6 m^2"),
        ("sqrt(9 m^2)", "3 m"),
        ("1 m^2 in cm^2", "10000 cm^2"),
        ("10 kg * 9.81 m/s^2", "98.1 m*kg/s^2"),
        ("1 gal in l", "3.785411784 l"),
        ("2 hours in minutes", "120 minutes"),
    ] {
        match expected {
            "-" => drop(refused(expression)),
            _ => assert_eq!(value(expression), expected, "{expression}"),
        }
    }
    for (expression, says) in [
        ("5 km + 3 kg", "do not go together"),
        ("5 km in kg", "do not go together"),
        ("20 degC + 10 degC", "in K"),
        ("2 * 20 degC", "in K"),
        ("5 km in 7", "must be a unit"),
        ("2^(3 m)", "mere number"),
        ("m^21", "power of a unit"),
        ("sqrt(2 m)", "power of a unit"),
        ("5 parsec", "`parsec` is no unit"),
    ] {
        assert!(
            refused(expression).contains(says),
            "{expression}: {}",
            refused(expression)
        );
    }
}

#[test]
fn hostile_calculations_end_soon() {
    let nested = "(".repeat(450) + "1" + &")".repeat(450);
    let signs = "-".repeat(900) + "1";
    let towers = "2^".repeat(400) + "2";
    let products = vec!["3^5000"; 140].join("*");
    let sums = (0..120)
        .map(|i| format!("1/{}", 3u64.pow(20) + i))
        .collect::<Vec<_>>()
        .join("+");
    let roots = vec!["sqrt(2^8000+1)"; 66].join("+");
    for (expression, says) in [
        ("10^10^10", "about"),
        ("9^9^9^9", "digits"),
        ("(1/3)^100000", "digits"),
        ("2^99999999999999999999999", "10^19"),
        ("1e1001", "exponent beyond"),
        ("1e99999999999", "exponent beyond"),
        ("701!", "factorials"),
        ("3!!!", "factorials"),
        ("5 / 0", "divides by zero"),
        ("0^-1", "divides by zero"),
        ("sqrt(-1)", "no real number"),
        ("2^sqrt(2)", "exponent"),
        ("2^(1/65)", "above 64"),
        (nested.as_str(), "in each other"),
        (signs.as_str(), "in each other"),
        (towers.as_str(), "in each other"),
        (products.as_str(), "digits"),
        ("1,000 + 1", "without it"),
        ("1.2.3", "two points"),
        ("7 % 3", "7 mod 3"),
        ("1 < 2 < 3", "two sides"),
        ("2 3", "operator is missing"),
        ("2 +", "number is missing"),
        ("(1", "closing bracket"),
        ("", "nothing to calculate"),
        ("1; drop", "means nothing"),
        ("eval(1)", "no function eval"),
        ("\u{202e}1", "means nothing"),
    ] {
        assert!(
            refused(expression).contains(says),
            "{expression}: {}",
            refused(expression)
        );
    }
    for long in [sums, roots] {
        let started = Instant::now();
        let _ = calculate(&long, 50);
        assert!(started.elapsed().as_secs() < 5, "{long} took {:?}", started.elapsed());
    }
}

/// A calculation of small numbers with its value by `BigRational`, built side by side.
fn calculation() -> impl Strategy<Value = (String, Option<BigRational>)> {
    let leaf = (-50i64..50, 1i64..9).prop_map(|(above, below)| {
        let value = BigRational::new(BigInt::from(above), BigInt::from(below));
        (format!("({above}/{below})"), Some(value))
    });
    leaf.prop_recursive(4, 24, 2, |inner| {
        (inner.clone(), 0..4usize, inner).prop_map(|((left, a), operator, (right, b))| {
            let sign = ["+", "-", "*", "/"][operator];
            let value = a.zip(b).and_then(|(a, b)| match sign {
                "+" => Some(a + b),
                "-" => Some(a - b),
                "*" => Some(a * b),
                _ => (b != BigRational::from_integer(0.into())).then(|| a / b),
            });
            (format!("({left} {sign} {right})"), value)
        })
    })
}

proptest! {
    #[test]
    fn equals_rational_arithmetic((expression, expected) in calculation()) {
        match (evaluate(&expression), expected) {
            (Ok(Outcome::Number(number, _)), Some(expected)) => prop_assert_eq!(number.known(), Some(&expected)),
            (Err(_), None) => {}
            (got, expected) => prop_assert!(false, "{} gives {:?}, not {:?}", expression, got, expected),
        }
    }

    #[test]
    fn roots_lie_between_their_bounds(above in 0u64..1_000_000, below in 1u64..1000, degree in 1u32..10) {
        let x = BigRational::new(above.into(), below.into());
        let root = number::Number::exact(x.clone()).unwrap().root(degree).unwrap();
        let (lo, hi) = root.bounds();
        prop_assert!(num_traits::Pow::pow(lo, degree) <= x && num_traits::Pow::pow(hi, degree) >= x);
    }

    #[test]
    fn nothing_crashes_it(text in "[0-9a-z.,()+*/^%!<>= °µ-]{0,40}") {
        let _ = calculate(&text, 20);
    }

    #[test]
    fn no_text_crashes_it(text in ".{0,60}") {
        let _ = calculate(&text, 20);
    }
}
