use hone_maths::answer::Expected;
use proptest::prelude::*;

fn exact(expected: &str, answer: &str) -> Result<(), String> {
    Expected::Exact(expected.to_owned()).check(answer)
}

#[test]
fn equal_numbers_are_right_in_any_form() {
    for answer in [
        "7/2",
        "3.5",
        " 3.50 ",
        "14/4",
        "$\\frac{7}{2}$",
        "\\boxed{\\dfrac{7}{2}}.",
        "x = 3.5",
        "350%",
        "35e-1",
        "2+3/2",
        "-(-7)/2",
        "(49/4)^(1/2)",
        "sqrt(49)/2",
        "7*2**-1",
        "0.35*10",
        "3 + \\frac{1}{2}",
        "\\left(7\\right)/2",
    ] {
        assert_eq!(exact("7/2", answer), Ok(()), "{answer}");
    }
    for answer in [
        "3.4999999",
        "7/3",
        "2/7",
        "3 1/2",
        "",
        "seven halves",
        "7//2",
        "3.5.",
        "7/2 apples",
        "7/0",
        "nan",
        "inf",
        "3,5",
    ] {
        // A full stop at the end is no part of the number.
        assert_eq!(exact("7/2", answer).is_ok(), answer == "3.5.", "{answer}");
    }
    assert_eq!(exact("1234567", "1,234,567"), Ok(()));
    assert!(exact("1234567", "12,34,567").is_err());
    assert_eq!(exact("-1234.5", "-1,234.50"), Ok(()));
}

/// The identities are those of school algebra.
#[test]
fn equal_expressions_are_right_in_any_form() {
    for (expected, answer) in [
        ("x^2 + 2*x + 1", "(x+1)^2"),
        ("x**2 - 1", "(x-1)(x+1)"),
        ("6x^2 + x - 2", "(2x - 1)(3x + 2)"),
        ("(x^2 - 1)/(x - 1)", "x + 1"),
        ("x/2 + 1/(2x)", "(x² + 1)/(2x)"),
        ("3*sqrt(2)", "sqrt(18)"),
        ("sqrt(2) + sqrt(3)", "sqrt(5 + 0) * 0 + (sqrt(3) + sqrt(2))"),
        ("sqrt(6)", "√2 * √3"),
        ("1/(sqrt(3) - sqrt(2))", "sqrt(3) + sqrt(2)"),
        ("2*pi", "2π"),
        ("2x", "f'(x) = 2x"),
        ("x + 1", "\\left(x + 1\\right)"),
    ] {
        assert_eq!(exact(expected, answer), Ok(()), "{answer}");
    }
    for (expected, answer) in [
        ("x^2 + 1", "(x+1)^2"),
        ("sqrt(2) + sqrt(3)", "sqrt(5)"),
        ("x", "y"),
        ("pi", "3.14159"),
        ("x + 1", "x + 1.0000001"),
    ] {
        assert!(exact(expected, answer).is_err(), "{answer}");
    }
}

#[test]
fn decimals_are_right_to_their_last_place() {
    let expected = Expected::Decimal {
        value: "2/3".to_owned(),
        places: 2,
    };
    for right in ["0.67", ".67", "0.6667", "2/3", "0.665", "66.7%"] {
        assert_eq!(expected.check(right), Ok(()), "{right}");
    }
    for wrong in ["0.66", "0.7", "1", "x", "sqrt(2)"] {
        assert!(expected.check(wrong).is_err(), "{wrong}");
    }
    // A half may be rounded either way.
    let half = Expected::Decimal {
        value: "1/8".to_owned(),
        places: 2,
    };
    assert!(half.check("0.12").is_ok() && half.check("0.13").is_ok() && half.check("0.14").is_err());
}

#[test]
fn sets_have_no_order() {
    let expected = Expected::Set(vec!["1 + sqrt(5)".to_owned(), "1 - sqrt(5)".to_owned()]);
    for right in [
        "1-sqrt(5), 1+sqrt(5)",
        "{1 + √5; 1 - √5}",
        "x = 1 + sqrt(5) or x = 1 - sqrt(5)",
        "\\{1+\\sqrt{5}, 1-\\sqrt{5}\\}",
    ] {
        assert_eq!(expected.check(right), Ok(()), "{right}");
    }
    for wrong in ["1 + sqrt(5)", "1+sqrt(5), 1-sqrt(5), 0", "", "1+sqrt(5), 1+sqrt(5)"] {
        assert!(expected.check(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_too_large_is_refused_at_once() {
    for hostile in [
        "9".repeat(100_000),
        "(".repeat(1_900),
        "-".repeat(1_900),
        "9^9^9^9".to_owned(),
        "2^99999999999999999999".to_owned(),
        "1e999999999".to_owned(),
        "(a+b+c+d+e+f+g)^60".to_owned(),
        "(x+1)^99999".to_owned(),
        "sqrt(99999999999999999999999999999999)".to_owned(),
        "sqrt(9999999999999999999)+".repeat(80) + "1",
        "(x/9^2000 + y/7^2000 + z/5^2000)^30".to_owned(),
        "(1/9^2000 + x)/".repeat(120) + "1",
        "((((2^16000)^2)^2)^2)".to_owned(),
        "sqrt(".repeat(300),
        "1/".repeat(900),
        (0..900)
            .map(|n| format!("sqrt({})", n + 2))
            .collect::<Vec<_>>()
            .join("+"),
        "\\frac{1}{".repeat(200),
        "\\boxed{".repeat(250),
    ] {
        assert!(
            exact("1", &hostile).is_err(),
            "{}",
            hostile.chars().take(40).collect::<String>()
        );
    }
    assert_eq!(exact("1", "1^99999999"), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_answered(text in ".{0,80}", other in "[-+*/^(){}0-9a-z.,= \\\\$%√²]{0,60}") {
        let _ = exact("x + 1/3", &text);
        let _ = exact("x + 1/3", &other);
        let _ = Expected::Set(vec![other.clone()]).check(&text);
    }

    /// Products of sums against their expansion with machine integers.
    #[test]
    fn polynomials_agree_with_their_expansion(a in -99i64..99, b in -99i64..99, c in -99i64..99, d in -99i64..99) {
        let product = format!("({a}*x + {b})*({c}*x + {d})");
        let sum = format!("{}*x^2 + {}*x + {}", a * c, a * d + b * c, b * d);
        prop_assert_eq!(exact(&product, &sum), Ok(()));
        let other = format!("{}*x^2 + {}*x + {}", a * c, a * d + b * c + 1, b * d);
        prop_assert!(exact(&product, &other).is_err());
    }
}

#[test]
fn roots_are_taken_apart() {
    for (square, root) in [
        ("0", "0"),
        ("8", "2*sqrt(2)"),
        ("8/9", "2/3*sqrt(2)"),
        ("12/5", "2*sqrt(15)/5"),
        ("999983", "sqrt(999983)"),
        ("1000003/2", "sqrt(2000006)/2"),
        ("360", "6*sqrt(10)"),
    ] {
        assert_eq!(exact(root, &format!("sqrt({square})")), Ok(()), "{square}");
        assert_eq!(exact(square, &format!("({root})^2")), Ok(()), "{square}");
    }
    assert!(exact("1", "sqrt(-1)").is_err());
}
