//! `ruler` and `ruler2`: expected texts within a long answer.

use super::boxed::{latin, searched};
use super::{Acts, Broken, Server, Verdict, text_field};
use crate::pattern::{Pattern, group};
use crate::response::Response;
use crate::row::Row;
use hone_python::Value;
use hone_python::text::strip;

/// Most words of an answer that the word error rate is taken of.
const MAX_WORDS: usize = 20_000;

/// RULER.
pub const RULER: Server = Server {
    name: "ruler",
    about: "share of the expected texts that the answer holds, whatever their case; for `qa_1` and `qa_2` whether it holds any",
    verify: |row, response, _| {
        let said = strip(&response.output_text()).to_lowercase();
        let wanted: Vec<String> = row
            .list("outputs")
            .iter()
            .map(|text| text.to_string().to_lowercase())
            .collect();
        if wanted.is_empty() {
            return Err(Broken::field("outputs"));
        }
        let held = wanted.iter().filter(|text| said.contains(*text)).count();
        let reward = match text_field(row, "subset")? {
            "qa_1" | "qa_2" => f64::from(u8::from(held > 0)),
            _ => held as f64 / wanted.len() as f64,
        };
        Ok(Verdict::of(reward, format!("{held} of {} texts", wanted.len())))
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        Some(Response::text(
            row.list("outputs")
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        ))
    },
};

/// RULER v2.
pub const RULER2: Server = Server {
    name: "ruler2",
    about: "likeness to the expected texts, the greater of containment and one minus the word error rate; or the letter of the right option",
    verify: |row, response, _| ruler2(row, response),
    acts: Acts::UntilAnswer,
    gold: |row| {
        Some(match row.get("expected_answer")? {
            Value::List(items) => Response::text(items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            letter => Response::text(format!("\\boxed{{{letter}}}")),
        })
    },
};

static HEADER: Pattern = Pattern::new(r"Document \d+:(?:.*\n)+?\n");
static FINAL: Pattern = Pattern::new(r"(?m)The final answer is (.+)$");
static TAIL: Pattern = Pattern::new(r"(?s)\b[A-Z]\b(?!.*\b[A-Z]\b)");
static COLON: Pattern = Pattern::new(r"(?i)[\*\_]{0,2}Answer[\*\_]{0,2}\s*:[\s\*\_]{0,2}\s*([A-Z])(?![a-zA-Z0-9])");

fn ruler2(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let said = response.output_text();
    let expected = row
        .fields
        .get("expected_answer")
        .ok_or_else(|| Broken::field("expected_answer"))?;
    if row.str("eval_type").unwrap_or("ruler2") == "multichoice" {
        let gold = if expected.is_none() {
            String::new()
        } else {
            strip(&expected.to_string()).to_uppercase()
        };
        let found = letter(&said);
        return Ok(Verdict::pass(
            found.as_deref() == Some(&gold),
            format!("read {}", found.as_deref().unwrap_or("no letter")),
        ));
    }
    let wanted: Vec<String> = match expected {
        Value::List(items) => items.iter().map(ToString::to_string).collect(),
        one => vec![one.to_string()],
    };
    let mode = row.str("match_type").unwrap_or("all");
    let said = match mode {
        "all" => said,
        "part" => HEADER.replaced(&said, ""),
        "2steps" => said.rsplit("\n\n").next().unwrap_or_default().to_owned(),
        other => return Err(Broken(format!("there is no match type `{other}`"))),
    };
    if wanted.is_empty() {
        return Ok(Verdict::of(0.0, "nothing is expected"));
    }
    let scores = wanted
        .iter()
        .map(|text| soft(&said, text))
        .collect::<Result<Vec<f64>, _>>()?;
    let reward = match mode {
        "part" => scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        _ => scores.iter().sum::<f64>() / scores.len() as f64,
    };
    Ok(Verdict::of(reward, format!("{mode} of {} texts", wanted.len())))
}

fn soft(said: &str, wanted: &str) -> Result<f64, Broken> {
    let (said, wanted) = (said.to_lowercase(), wanted.to_lowercase());
    let held = f64::from(u8::from(said.contains(&wanted)));
    let words = |text: &str| -> Vec<String> {
        text.split(hone_python::text::is_space)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (said, wanted) = (words(&said), words(&wanted));
    if said.len() > MAX_WORDS {
        return Err(Broken(format!(
            "the answer has {} words, more than {MAX_WORDS}",
            said.len()
        )));
    }
    let rate = if wanted.is_empty() {
        f64::INFINITY
    } else {
        distance(&said, &wanted) as f64 / wanted.len() as f64
    };
    Ok(held.max(1.0 - rate))
}

/// Levenshtein's distance.
fn distance(a: &[String], b: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let kept = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = kept.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The letter that is the answer, after `The final answer is`, in the box, or after `Answer:`.
fn letter(text: &str) -> Option<String> {
    let extracted = FINAL
        .all(text)
        .last()
        .map(|found| group(found, 1))
        .or_else(|| searched(text))
        .map(latin);
    let parsed = extracted.and_then(|extracted| match extracted.chars().count() {
        0 => None,
        1 => Some(extracted.to_uppercase()),
        _ => TAIL.all(&extracted).last().map(|found| group(found, 0).to_uppercase()),
    });
    parsed.or_else(|| COLON.all(text).last().map(|found| group(found, 1).to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn reward(row: &str, text: &str) -> f64 {
        let row = Row {
            index: 0,
            fields: loads(row).unwrap(),
        };
        ruler2(&row, &Response::text(text)).unwrap().reward
    }

    #[test]
    fn texts_are_held_or_alike_word_by_word() {
        let row = r#"{"expected_answer": ["one two three", "four"], "match_type": "all"}"#;
        assert_eq!(reward(row, "Four: one two three"), 1.0);
        // "one two" is two of three words; of "four" it has nothing, and nothing is the least.
        assert_eq!(reward(row, "one two"), (1.0 - 1.0 / 3.0) / 2.0);
        let part = r#"{"expected_answer": ["a", "b"], "match_type": "part"}"#;
        assert_eq!(reward(part, "Document 1: a\ntext\n\nb"), 1.0);
        let steps = r#"{"expected_answer": ["x1"], "match_type": "2steps"}"#;
        assert_eq!(reward(steps, "x1\n\nno x2"), 0.0);
    }

    #[test]
    fn letters() {
        let row = r#"{"expected_answer": "B", "eval_type": "multichoice"}"#;
        for (text, expected) in [
            (r"\boxed{B}", 1.0),
            ("The final answer is (B).", 1.0),
            ("Answer: b", 1.0),
            (r"\boxed{A} Answer: B", 0.0),
            ("B", 0.0),
        ] {
            assert_eq!(reward(row, text), expected, "{text}");
        }
    }
}
