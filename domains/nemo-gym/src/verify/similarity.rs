//! `equivalence_rule` and `mrcr`: how alike two texts are.

use super::{Acts, Broken, Server, Verdict, text_field};
use crate::difflib::ratio;
use crate::pattern::Pattern;
use crate::response::Response;
use hone_python::text::strip;

/// Longest text that is compared, in characters: the comparison takes quadratic time.
const MAX_COMPARED: usize = 200_000;

/// The same text.
pub const EQUIVALENCE_RULE: Server = Server {
    name: "equivalence_rule",
    about: "the answer is the expected text, but for case and white space (rule `exact`, as configured for these rows)",
    verify: |row, response, _| {
        let (said, wanted) = (
            normal(&response.output_text()),
            normal(text_field(row, "expected_answer")?),
        );
        Ok(Verdict::pass(said == wanted, format!("said {said:.80?}")))
    },
    acts: Acts::UntilAnswer,
    gold: |row| row.str("expected_answer").map(Response::text),
};

/// Multi-round coreference resolution.
pub const MRCR: Server = Server {
    name: "mrcr",
    about: "the answer begins with the prefix asked for; then its likeness to the expected text (`difflib` ratio)",
    verify: |row, response, _| {
        let (wanted, prefix) = (
            text_field(row, "expected_answer")?,
            text_field(row, "random_string_to_prepend")?,
        );
        let said = response.output_text();
        let Some(said) = strip(&said).strip_prefix(prefix) else {
            return Ok(Verdict::of(0.0, "the prefix is missing"));
        };
        bounded(said)?;
        Ok(Verdict::of(
            ratio(said, wanted.strip_prefix(prefix).unwrap_or(wanted)),
            "likeness to the expected text",
        ))
    },
    acts: Acts::UntilAnswer,
    gold: |row| row.str("expected_answer").map(Response::text),
};

static SPACE: Pattern = Pattern::new(r"\s+");

/// Stripped, in lower case, with single spaces.
pub fn normal(text: &str) -> String {
    SPACE.replaced(&strip(text).to_lowercase(), " ")
}

/// Refuse what would take too long to compare.
pub fn bounded(text: &str) -> Result<(), Broken> {
    match text.chars().count() {
        length if length > MAX_COMPARED => Err(Broken(format!(
            "the text has {length} characters, more than {MAX_COMPARED}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use hone_python::loads;

    #[test]
    fn likeness_counts_after_the_prefix() {
        let row = Row {
            index: 0,
            fields: loads(r#"{"expected_answer": "Xk2bcde", "random_string_to_prepend": "Xk2"}"#).unwrap(),
        };
        let reward = |text: &str| {
            (MRCR.verify)(&row, &Response::text(text), &serde_json::Value::Null)
                .unwrap()
                .reward
        };
        assert_eq!(
            [reward("Xk2bcde"), reward("  Xk2abcd\n"), reward("bcde")],
            [1.0, 0.75, 0.0]
        );
        let row = Row {
            index: 0,
            fields: loads(r#"{"expected_answer": "The  Hague"}"#).unwrap(),
        };
        let reward = |text: &str| {
            (EQUIVALENCE_RULE.verify)(&row, &Response::text(text), &serde_json::Value::Null)
                .unwrap()
                .reward
        };
        assert_eq!([reward(" the\nhague "), reward("the hague.")], [1.0, 0.0]);
    }
}
