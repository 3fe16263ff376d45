//! `spartqa`: which of two objects, both, or none.

use super::{Acts, Broken, Server, Verdict, spaced};
use crate::pattern::{Pattern, group};
use crate::response::Response;
use crate::row::Row;
use hone_python::Value;
use hone_python::text::strip;

/// The server.
pub const SERVER: Server = Server {
    name: "spartqa",
    about: "the answer names exactly one of the four candidates, and it is the right one",
    verify: |row, response, _| verify(row, response),
    acts: Acts::UntilAnswer,
    gold: |row| Some(Response::text(format!("Final answer: {}", target(row)))),
};

const BOTH: &str = "both of them";
const NONE: &str = "none of them";
const BOTH_TOO: [&str; 5] = [
    "both",
    "both of them",
    "both objects",
    "both of the objects",
    "both of these",
];
const NONE_TOO: [&str; 10] = [
    "none",
    "none of them",
    "none of the objects",
    "neither",
    "neither of them",
    "neither object",
    "no object",
    "dk",
    "do not know",
    "dont know",
];

static THINK: Pattern = Pattern::new(r"(?is)<think>.*?</think>");
static CHANNEL: Pattern = Pattern::new(r"(?is)<\|channel\>thought\s*.*?<channel\|>");
static BULLET: Pattern = Pattern::new(r"^[-*•\s]+");
static STARS: Pattern = Pattern::new(r"^\*+|\*+$");
static TAG: Pattern = Pattern::new(r"(?i)</?think>");
static ARTICLE: Pattern = Pattern::new(r"^(?:a|an|the)\s+");
static ANSWERS: [Pattern; 5] = [
    Pattern::new(r"(?im)(?:^|\n)\s*(?:[*_`#>\-\s]*)final\s+answer(?:\s+is)?\s*(?:[*_`\s])*[:\-]\s*(.+)"),
    Pattern::new(r"(?im)(?:^|\n)\s*(?:[*_`#>\-\s]*)selected\s+answer(?:\s+is)?\s*(?:[*_`\s])*[:\-]\s*(.+)"),
    Pattern::new(r"(?im)(?:^|\n)\s*(?:[*_`#>\-\s]*)answer(?:\s+is)?\s*(?:[*_`\s])*[:\-]\s*(.+)"),
    Pattern::new(r"(?im)\b(?:the\s+)?(?:final\s+)?answer\s+(?:is|would\s+be|should\s+be)\s*[:\-]?\s*(.+)"),
    Pattern::new(r"(?im)\bselected\s+(?:option|answer)\s+(?:is|would\s+be)\s*[:\-]?\s*(.+)"),
];

fn normal(text: &str) -> String {
    let text: String = strip(text)
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    spaced(&text)
}

/// For comparison, without an article.
fn key(text: &str) -> String {
    strip(&ARTICLE.replaced(&normal(text), "")).to_owned()
}

fn clean(line: &str) -> String {
    let line = BULLET.replaced(strip(line), "");
    let line = STARS.replaced(&line, "");
    let line = TAG.replaced(strip(&line), "");
    strip(&line).trim_matches(['"', '\'', '`', ' ']).to_owned()
}

/// The answer within a text: what follows the last `final answer:` and the like, else its first line.
fn extracted(text: &str) -> String {
    let text = CHANNEL.replaced(&THINK.replaced(text, ""), "");
    let text = strip(&text);
    let named = ANSWERS.iter().find_map(|pattern| {
        let found = pattern.all(text);
        let mut caught = found.iter().map(|found| strip(group(found, 1)));
        caught
            .rfind(|caught| !caught.is_empty() && normal(caught) != "candidate answer")
            .map(str::to_owned)
    });
    let lines: Vec<String> = super::lines(named.as_deref().unwrap_or(text))
        .into_iter()
        .filter(|line| !strip(line).is_empty())
        .map(clean)
        .filter(|line| !line.is_empty() && !matches!(normal(line).as_str(), "final answer" | "answer"))
        .collect();
    let Some(first) = lines.first() else {
        return String::new();
    };
    let thinking = ["thinking process", "analysis", "the user wants", "we need"];
    if named.is_none() && lines.len() > 1 && thinking.iter().any(|start| normal(first).starts_with(start)) {
        return lines[lines.len() - 1].clone();
    }
    first.clone()
}

/// The one candidate that an answer names.
fn named(answer: &str, labels: &[String]) -> Option<String> {
    let answer = key(answer);
    if answer.is_empty() {
        return None;
    }
    let keys: Vec<String> = labels.iter().map(|label| key(label)).collect();
    if keys.contains(&answer) {
        return Some(answer);
    }
    for (aliases, label) in [(&BOTH_TOO[..], BOTH), (&NONE_TOO[..], NONE)] {
        if aliases.contains(&answer.as_str()) && labels.iter().any(|known| known == label) {
            return Some(key(label));
        }
    }
    let hits: Vec<&String> = keys.iter().filter(|key| answer.contains(*key)).collect();
    let mut whole = hits
        .iter()
        .filter(|hit| !hits.iter().any(|other| other != *hit && other.contains(hit.as_str())));
    let one = whole.next()?;
    whole.next().is_none().then(|| (*one).clone())
}

fn target(row: &Row) -> String {
    let own = row.str("target").filter(|target| !target.is_empty()).map(str::to_owned);
    own.unwrap_or_else(|| {
        row.get("verifier_metadata")
            .and_then(|meta| meta.get("target"))
            .map(ToString::to_string)
            .unwrap_or_default()
    })
}

fn verify(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let gold = target(row);
    let given = match row.list("options") {
        [] => row
            .get("verifier_metadata")
            .and_then(|meta| meta.get("options"))
            .and_then(Value::as_list)
            .unwrap_or_default(),
        own => own,
    };
    let given: Vec<String> = if given.is_empty() {
        vec![gold.clone()]
    } else {
        given.iter().map(ToString::to_string).collect()
    };
    let mut labels: Vec<String> = vec![];
    for label in given.iter().map(String::as_str).chain([BOTH, NONE]) {
        if !key(label).is_empty() && !labels.iter().any(|known| key(known) == key(label)) {
            labels.push(strip(label).to_owned());
        }
    }
    let answer = extracted(&response.output_text());
    let named = named(&answer, &labels);
    let wanted = key(&gold);
    let right = !wanted.is_empty() && named.as_deref() == Some(&wanted);
    Ok(Verdict::pass(right, format!("read {answer:.80?}, wanted {gold:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    #[test]
    fn one_candidate_must_be_named() {
        let row = r#"{"target": "the medium yellow square", "options": ["medium yellow square", "big blue triangle in block B"]}"#;
        let row = Row {
            index: 0,
            fields: loads(row).unwrap(),
        };
        let reward = |text: &str| verify(&row, &Response::text(text)).unwrap().reward;
        for (text, expected) in [
            ("Final answer: medium yellow square", 1.0),
            ("<think>both</think>**Answer:** A medium yellow square.", 1.0),
            ("The answer is the medium yellow square in block A", 1.0),
            ("medium yellow square or big blue triangle in block B", 0.0),
            ("Final answer: both of them", 0.0),
            ("Final answer: medium yellow square\nFinal answer: neither", 0.0),
            ("Analysis\nlong\nmedium yellow square", 1.0),
            ("", 0.0),
        ] {
            assert_eq!(reward(text), expected, "{text}");
        }
    }
}
