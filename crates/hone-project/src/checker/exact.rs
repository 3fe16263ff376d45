//! The answer is the expected one.

use super::{Checker, Evidence, Finding, answered, shown};
use crate::recipe::Ignore;
use serde_json::Value;

/// The whole answer equals the expected text, number or truth value, or one of a list of them. Space around it never counts.
#[derive(Clone, Debug, Default)]
pub struct Exact {
    /// Differences that do not count.
    pub ignore: Vec<Ignore>,
}

impl Exact {
    fn plain(&self, text: &str) -> String {
        let mut text = text.trim().to_owned();
        if self.ignore.contains(&Ignore::Case) {
            text = text.to_lowercase();
        }
        if self.ignore.contains(&Ignore::Punctuation) {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        if self.ignore.contains(&Ignore::Space) || self.ignore.contains(&Ignore::Punctuation) {
            text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        text
    }

    fn equal(&self, expected: &Value, answer: &str) -> bool {
        match expected {
            Value::String(text) => self.plain(text) == self.plain(answer),
            Value::Number(number) => {
                let said: Option<f64> = answer.trim().parse().ok();
                said.is_some_and(f64::is_finite) && said == number.as_f64()
            }
            other => self.plain(&other.to_string()) == self.plain(answer),
        }
    }
}

impl Checker for Exact {
    fn version(&self) -> String {
        format!("exact/1 {:?}", self.ignore)
    }

    fn accepts(&self, expected: &Value) -> Result<(), String> {
        let plain = |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
        match expected {
            Value::Array(options) if !options.is_empty() && options.iter().all(plain) => Ok(()),
            value if plain(value) => Ok(()),
            _ => Err("write a text, a number, or a list of those of which one must be the answer".to_owned()),
        }
    }

    fn check(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let options = match evidence.expected {
            Value::Array(options) => options.as_slice(),
            one => std::slice::from_ref(one),
        };
        let same = |answer: &str| options.iter().any(|option| self.equal(option, answer));
        let right = evidence.answer.is_some_and(same);
        let why = match right {
            true => answered(evidence.answer),
            false => format!(
                "expected {}, but {}",
                shown(evidence.expected),
                answered(evidence.answer)
            ),
        };
        Ok(Finding::of(right, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_counts_is_what_was_not_ignored() {
        let strict = Exact::default();
        let lenient = Exact {
            ignore: vec![Ignore::Case, Ignore::Space, Ignore::Punctuation],
        };
        assert!(strict.equal(&json!("a b"), " a b\n") && !strict.equal(&json!("a b"), "a  b"));
        assert!(!strict.equal(&json!("A"), "a") && lenient.equal(&json!("A b"), "a   B."));
        assert!(strict.equal(&json!(3), "3.0") && !strict.equal(&json!(3), "three") && !strict.equal(&json!(3), "33"));
        assert!(strict.equal(&json!(true), "true") && !strict.equal(&json!("x"), ""));
        for wrong in [json!(null), json!({}), json!([]), json!([[1]])] {
            assert!(strict.accepts(&wrong).is_err(), "{wrong}");
        }
        assert!(strict.accepts(&json!(["yes", 1])).is_ok());
    }
}
