//! `graphwalks` and `lc_niah`: a list of nodes on the last line, by F1.

use super::similarity::{bounded, normal};
use super::{Acts, Broken, Server, Verdict, json, text_field};
use crate::difflib::Matcher;
use crate::pattern::{Pattern, group};
use crate::response::{Item, Response};
use crate::row::Row;
use hone_python::Value;
use hone_python::text::strip;
use std::collections::BTreeSet;

/// Walks on a graph.
pub const GRAPHWALKS: Server = Server {
    name: "graphwalks",
    about: "F1 of the nodes in `Final Answer: [...]` on the last line",
    verify: |row, response, _| {
        let said = nodes(&response.output_text(), |item| strip(item).to_owned());
        Ok(Verdict::of(f1(said.as_ref(), &expected(row)?)?, shown(said.as_ref())))
    },
    acts: Acts::UntilAnswer,
    gold,
};

/// The same, with a penalty for thoughts that repeat the input.
pub const LC_NIAH: Server = Server {
    name: "lc_niah",
    about: "F1 of the nodes in `Final Answer: [...]` on the last line, times the share of the thoughts that is no copy of the input (rules `lcs` and `multiply`)",
    verify: |row, response, _| lc_niah(row, response),
    acts: Acts::UntilAnswer,
    gold,
};

static FINAL: Pattern = Pattern::new(r"Final Answer:\s*\[(.*)\]");

fn nodes(text: &str, clean: fn(&str) -> String) -> Option<BTreeSet<String>> {
    let line = strip(text).split('\n').rfind(|line| !strip(line).is_empty())?;
    let found = FINAL.captures(line)?;
    let items = group(&found, 1).split(',').map(clean);
    Some(items.filter(|item| !item.is_empty()).collect())
}

/// The expected nodes. What is no JSON counts as none.
fn expected(row: &Row) -> Result<Vec<Value>, Broken> {
    Ok(match json(text_field(row, "expected_answer")?) {
        None => vec![],
        Some(Value::List(items)) => {
            let mut unique: Vec<Value> = vec![];
            for item in items {
                if !unique.contains(&item) {
                    unique.push(item);
                }
            }
            unique
        }
        Some(other) => {
            return Err(Broken(format!(
                "`expected_answer` is a {}, not a list",
                other.type_name()
            )));
        }
    })
}

fn f1(said: Option<&BTreeSet<String>>, wanted: &[Value]) -> Result<f64, Broken> {
    let Some(said) = said else { return Ok(0.0) };
    if said.is_empty() && wanted.is_empty() {
        return Ok(1.0);
    }
    let hits = wanted
        .iter()
        .filter(|node| node.as_str().is_some_and(|node| said.contains(node)))
        .count();
    if hits == 0 {
        return Ok(0.0);
    }
    let (precision, recall) = (hits as f64 / said.len() as f64, hits as f64 / wanted.len() as f64);
    Ok(2.0 * precision * recall / (precision + recall))
}

fn shown(said: Option<&BTreeSet<String>>) -> String {
    said.map_or("no list on the last line".into(), |said| {
        format!("{} nodes", said.len())
    })
}

fn lc_niah(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let bare = |item: &str| strip(strip(item).trim_matches(['"', '\''])).to_owned();
    let said = nodes(&response.output_text(), bare);
    let score = f1(said.as_ref(), &expected(row)?)?;
    let thoughts: String = response
        .items
        .iter()
        .map(|item| {
            if let Item::Reasoning(text) = item {
                text.as_str()
            } else {
                ""
            }
        })
        .collect();
    let (thoughts, input) = (normal(&thoughts), normal(&row.input_text()));
    bounded(&thoughts)?;
    let overlap = if thoughts.is_empty() {
        0.0
    } else {
        let (thoughts, input): (Vec<char>, Vec<char>) = (thoughts.chars().collect(), input.chars().collect());
        let (.., length) = Matcher::new(&input, false).longest(&thoughts, 0, thoughts.len(), 0, input.len());
        length as f64 / thoughts.len() as f64
    };
    Ok(Verdict {
        reward: score * (1.0 - overlap),
        parts: vec![("answer_score", score), ("overlap_lcs", overlap)],
        why: shown(said.as_ref()),
    })
}

fn gold(row: &Row) -> Option<Response> {
    let expected = expected(row).ok()?;
    let nodes: Vec<&str> = expected.iter().filter_map(Value::as_str).collect();
    Some(Response::text(format!("Final Answer: [{}]", nodes.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn row(expected: &str) -> Row {
        Row {
            index: 0,
            fields: loads(&format!(
                r#"{{"expected_answer": "{expected}", "responses_create_params": {{"input": "abcdef"}}}}"#
            ))
            .unwrap(),
        }
    }

    #[test]
    fn f1_over_the_last_line() {
        let row = row(r#"[\"a\", \"b\"]"#);
        let reward = |text: &str| {
            (GRAPHWALKS.verify)(&row, &Response::text(text), &serde_json::Value::Null)
                .unwrap()
                .reward
        };
        assert_eq!(reward("Final Answer: [a, b]\n\n"), 1.0);
        assert_eq!(reward("so\nFinal Answer: [ a , c, ]"), 0.5);
        assert_eq!(
            [
                reward("Final Answer: []"),
                reward("Final Answer: [a, b]\nDone."),
                reward("")
            ],
            [0.0; 3]
        );
        // Quotes are part of a node here, and are not for `lc_niah`.
        assert_eq!(reward(r#"Final Answer: ["a", "b"]"#), 0.0);
        assert_eq!(
            (LC_NIAH.verify)(
                &row,
                &Response::text(r#"Final Answer: ["a", "b"]"#),
                &serde_json::Value::Null
            )
            .unwrap()
            .reward,
            1.0
        );
    }

    #[test]
    fn nothing_expected_and_copied_thoughts() {
        let row = row("[]");
        let mut response = Response::text("Final Answer: []");
        assert_eq!(
            (LC_NIAH.verify)(&row, &response, &serde_json::Value::Null)
                .unwrap()
                .reward,
            1.0
        );
        response.items.insert(0, Item::Reasoning("xxcdexxx".into()));
        assert_eq!(
            (LC_NIAH.verify)(&row, &response, &serde_json::Value::Null)
                .unwrap()
                .reward,
            1.0 - 3.0 / 8.0
        );
    }
}
