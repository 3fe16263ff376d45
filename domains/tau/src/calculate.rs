//! The calculator that several domains give the agent.
//!
//! The reference hands the text to Python's `eval` once it has only digits, `+-*/().` and spaces. So this is Python's
//! arithmetic: integers of any size, floats, `//` and `**`, and the interpreter's own words for what goes wrong. What
//! would take the interpreter hours (`9**9**9**9`) is refused.

mod number;
mod syntax;

use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::Reply;

/// Longest expression that is read, in bytes.
const MAX_LENGTH: usize = 10_000;

/// The tool `calculate(expression)`.
///
/// # Errors
/// As Python raises them.
pub fn calculate(expression: &Value) -> Outcome<Reply> {
    const ALLOWED: &str = "0123456789+-*/(). ";
    if expression.as_str().is_some_and(|text| text.len() > MAX_LENGTH) {
        return raise(format!("the expression is longer than {MAX_LENGTH} characters"));
    }
    for item in py::iterate(expression)?.iter() {
        match item {
            Value::Str(item) if ALLOWED.contains(item.as_str()) => {}
            Value::Str(_) => return raise("Invalid characters in expression"),
            other => {
                return raise(format!(
                    "'in <string>' requires string as left operand, not {}",
                    py::type_name(other)
                ));
            }
        }
    }
    let Value::Str(text) = expression else {
        return raise("eval() arg 1 must be a string, bytes or code object");
    };
    let value = number::run(&syntax::parse(text)?)?.into_float()?;
    Ok(Reply::text(hone_python::float_repr(py::round2(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        calculate(&py::text(text)).map_or_else(|e| e.0, |reply| reply.shown())
    }

    #[test]
    fn computes_as_python_does() {
        let cases = [
            ("2 + 2", "4.0"),
            ("  1", "1.0"),
            ("7//2", "3.0"),
            ("-7//2", "-4.0"),
            ("-7.5//2", "-4.0"),
            ("2**3**2", "512.0"),
            ("-2**2", "-4.0"),
            ("2**-1", "0.5"),
            ("+-+1", "-1.0"),
            ("1.005", "1.0"),
            ("2.675", "2.67"),
            ("1/3", "0.33"),
            ("100000000000000000000000", "1e+23"),
            ("2**10000 // 2**9999", "2.0"),
            (".5 + 1.", "1.5"),
            ("00", "0.0"),
            ("05.5", "5.5"),
            ("3/2*2", "3.0"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn fails_as_python_does() {
        let syntax = |what: &str| format!("{what} (<string>, line 1)");
        let cases = [
            ("", "invalid syntax (<string>, line 0)".to_owned()),
            ("1 2", syntax("invalid syntax")),
            ("(1 2)", syntax("invalid syntax. Perhaps you forgot a comma?")),
            ("((1 2)", syntax("invalid syntax. Perhaps you forgot a comma?")),
            ("(1+2", syntax("'(' was never closed")),
            ("1)", syntax("unmatched ')'")),
            ("1 )2", syntax("unmatched ')'")),
            ("1 +", syntax("invalid syntax")),
            ("*1", syntax("invalid syntax")),
            ("1..", syntax("invalid syntax")),
            (
                "01",
                syntax(
                    "leading zeros in decimal integer literals are not permitted; use an 0o prefix for octal integers",
                ),
            ),
            ("1/0", "division by zero".into()),
            ("1.0/0", "float division by zero".into()),
            ("1//0", "integer division or modulo by zero".into()),
            ("1//0.0", "float floor division by zero".into()),
            ("0**-1", "0.0 cannot be raised to a negative power".into()),
            ("2(3)", "'int' object is not callable".into()),
            ("()()", "'tuple' object is not callable".into()),
            (
                "()",
                "float() argument must be a string or a real number, not 'tuple'".into(),
            ),
            (
                "...",
                "float() argument must be a string or a real number, not 'ellipsis'".into(),
            ),
            (
                "(-8)**0.5",
                "float() argument must be a string or a real number, not 'complex'".into(),
            ),
            ("10.0**400", "(34, 'Numerical result out of range')".into()),
            ("2**10000", "int too large to convert to float".into()),
            ("1,2", "Invalid characters in expression".into()),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_would_not_end() {
        assert!(shown("9**9**9**9").contains("too large"));
        assert!(shown(&"(".repeat(300)).contains("too many nested parentheses"));
        assert!(shown(&"-".repeat(9_000)).contains("invalid syntax"));
        assert!(shown(&format!("{}1", "-".repeat(9_000))).ends_with(".0"));
        assert!(!shown(&format!("1{}", "**1".repeat(3_000))).is_empty());
    }
}
