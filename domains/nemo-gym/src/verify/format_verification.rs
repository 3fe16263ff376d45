//! `format_verification`: markers and patterns that the text must hold.

use super::{Acts, Broken, Server, Verdict};
use crate::pattern::compile;
use crate::response::Response;
use crate::row::Row;
use hone_python::Value;

/// The server.
pub const SERVER: Server = Server {
    name: "format_verification",
    about: "enough lines match one of the row's patterns; or all markers are there, and none that should not be",
    verify: |row, response, _| verify(row, response),
    acts: Acts::UntilAnswer,
    gold,
};

fn texts<'v>(verifier: &'v Value, key: &str) -> Vec<&'v str> {
    verifier
        .get(key)
        .and_then(Value::as_list)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

fn verify(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let verifier = row.get("verifier").ok_or_else(|| Broken::field("verifier"))?;
    let text = response.output_text();
    let compiled = |key: &str| {
        texts(verifier, key)
            .into_iter()
            .map(|source| compile(source).map_err(Broken))
            .collect::<Result<Vec<_>, _>>()
    };
    match verifier.get("type").and_then(Value::as_str).unwrap_or_default() {
        "regex" | "inline_prose" => {
            let patterns = compiled("verify_regex")?;
            let least = verifier
                .get("verify_min_matches")
                .map_or(Some(1), Value::as_i64)
                .ok_or_else(|| Broken::field("verifier"))?;
            let lines = text
                .split('\n')
                .filter(|line| patterns.iter().any(|pattern| pattern.is_match(line).unwrap_or(false)))
                .count();
            Ok(Verdict::pass(
                lines as i64 >= least,
                format!("{lines} lines match, wanted {least}"),
            ))
        }
        "string_match" => {
            let markers = texts(verifier, "expected_markers");
            let missing = markers.iter().filter(|marker| !text.contains(**marker)).count();
            let mut spurious = 0;
            for pattern in compiled("patterns")? {
                spurious += pattern
                    .find_iter(&text)
                    .map_while(Result::ok)
                    .filter(|found| !markers.contains(&found.as_str()))
                    .count();
            }
            Ok(Verdict::pass(
                missing == 0 && spurious == 0,
                format!("{missing} markers are missing, {spurious} should not be there"),
            ))
        }
        other => Err(Broken(format!("there is no verifier type `{other}`"))),
    }
}

/// For markers only: a text for a pattern is not worked out.
fn gold(row: &Row) -> Option<Response> {
    let verifier = row.get("verifier")?;
    (verifier.get("type")?.as_str()? == "string_match")
        .then(|| Response::text(texts(verifier, "expected_markers").join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn reward(verifier: &str, text: &str) -> f64 {
        let row = Row {
            index: 0,
            fields: loads(&format!(r#"{{"verifier": {verifier}}}"#)).unwrap(),
        };
        verify(&row, &Response::text(text)).unwrap().reward
    }

    #[test]
    fn lines_and_markers() {
        let lines = r#"{"type": "regex", "verify_regex": ["^# ", "^- "], "verify_min_matches": 2}"#;
        assert_eq!(
            [reward(lines, "# a\n- b"), reward(lines, "# a - b"), reward(lines, "")],
            [1.0, 0.0, 0.0]
        );
        let markers = r#"{"type": "string_match", "expected_markers": ["[1]", "[2]"], "patterns": ["\\[\\d\\]"]}"#;
        assert_eq!(
            [
                reward(markers, "[2] and [1]"),
                reward(markers, "[1] [2] [3]"),
                reward(markers, "[1]")
            ],
            [1.0, 0.0, 0.0]
        );
    }
}
