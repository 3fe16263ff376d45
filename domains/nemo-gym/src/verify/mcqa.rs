//! `mcqa` and `gpqa_diamond`: the letter of the right option.

use super::boxed::{last, latin, unwrapped};
use super::{Acts, Broken, Server, Verdict, spaced};
use crate::pattern::{Pattern, compile, group};
use crate::response::Response;
use crate::row::Row;
use hone_python::Value;
use hone_python::text::strip;
use std::collections::BTreeSet;

/// Multiple choice.
pub const MCQA: Server = Server {
    name: "mcqa",
    about: "the letter of the right option, in the box or after `Answer:` as `grading_mode` or `template_metadata` says",
    verify: |row, response, _| mcqa(row, response),
    acts: Acts::UntilAnswer,
    gold,
};

/// Multiple choice, with extraction of its own.
pub const GPQA_DIAMOND: Server = Server {
    name: "gpqa_diamond",
    about: "the letter of the right option, in the last box or after the last `Answer:`",
    verify: |row, response, _| gpqa(row, response),
    acts: Acts::UntilAnswer,
    gold,
};

static CHOICE: Pattern = Pattern::new(r"(?<![A-Za-z])([A-Za-z])(?![A-Za-z])");
static LETTER_ONLY: Pattern = Pattern::new(r"^[^A-Za-z]*([A-Z])[^A-Za-z]*$");
static LABEL: Pattern = Pattern::new(r"^\s*([A-Z])\s*[:).\-]");
static COLON: Pattern = Pattern::new(r"(?i)answer\s*:\s*(.+)");
static COLON_PAYLOAD: Pattern = Pattern::new(r"(?im)[*_]{0,2}Answer[*_]{0,2}\s*:[*_\s]{0,2}(.+)");
static LEADING: Pattern = Pattern::new(r"^([a-zA-Z])(?![a-zA-Z0-9])");
static STANDALONE: Pattern = Pattern::new(r"(?s)\b[A-Z]\b(?!.*\b[A-Z]\b)");
static SEPARATOR: Pattern = Pattern::new(r"(?i)^(?:\s*[/|&,;]\s*|\s+(?:or|and)\s+|\s+)$");
static BOX: Pattern = Pattern::new(r"(?s)\\boxed\{([^}]*)\}");
static LETTER: Pattern = Pattern::new(r"\b([A-Z])\b");
static ANSWER: Pattern = Pattern::new(r"(?i)[\*\_]{0,2}Answer[\*\_]{0,2}\s*:[\s\*\_]{0,2}\s*([A-Z])(?![a-zA-Z0-9])");

/// Options as pairs of letter and text.
pub fn options(row: &Row) -> Vec<(String, Option<String>)> {
    let entries = row
        .list("options")
        .iter()
        .filter_map(Value::as_dict)
        .flat_map(|entry| entry.iter());
    entries
        .map(|(key, value)| (key.to_string(), value.as_str().map(str::to_owned)))
        .collect()
}

/// The options' letters, in upper case.
pub fn letters(options: &[(String, Option<String>)]) -> BTreeSet<String> {
    let single = |key: &str| key.chars().count() == 1 && key.chars().all(char::is_alphabetic);
    options
        .iter()
        .filter(|(key, value)| single(key) && value.is_some())
        .map(|(key, _)| key.to_uppercase())
        .collect()
}

fn normal(text: &str) -> String {
    spaced(&text.to_lowercase())
}

fn mcqa(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let gold = strip(row.str("expected_answer").unwrap_or_default()).to_uppercase();
    let options = options(row);
    let allowed = letters(&options);
    let text = response.output_text();
    let text = strip(&text);
    if text.is_empty() {
        return Ok(Verdict::pass(false, "nothing was said"));
    }
    let patterns = row
        .get("template_metadata")
        .and_then(|template| template.get("output_regex"));
    let mut found = match patterns {
        Some(Value::Str(pattern)) => by_pattern(text, pattern, &allowed, &options)?,
        Some(Value::List(patterns)) => {
            let mut found = None;
            for pattern in patterns {
                found = by_pattern(
                    text,
                    pattern.as_str().ok_or_else(|| Broken::field("template_metadata"))?,
                    &allowed,
                    &options,
                )?;
                if found.is_some() {
                    break;
                }
            }
            found
        }
        _ => None,
    };
    if found.is_none() {
        found = match row.str("grading_mode").unwrap_or("strict_single_letter_boxed") {
            "strict_single_letter_boxed" => strict(text, &allowed),
            "lenient_boxed" => strict(text, &allowed).or_else(|| by_text(text, &options, &allowed)),
            "lenient_answer_colon" => after_colon(text, &options, &allowed)?,
            "lenient_answer_colon_md" => COLON_PAYLOAD
                .all(text)
                .iter()
                .rev()
                .find_map(|found| payload(group(found, 1), &allowed)),
            other => return Err(Broken(format!("there is no grading mode `{other}`"))),
        };
    }
    Ok(verdict(found, &gold))
}

fn verdict(found: Option<String>, gold: &str) -> Verdict {
    let right = !gold.is_empty() && found.as_deref() == Some(gold);
    Verdict::pass(
        right,
        format!("read {}, wanted {gold}", found.as_deref().unwrap_or("no letter")),
    )
}

/// The letter in the box, bare or before a colon.
fn strict(text: &str, allowed: &BTreeSet<String>) -> Option<String> {
    let inner = unwrapped(strip(last(text)?));
    let found = LETTER_ONLY.captures(inner).or_else(|| LABEL.captures(inner))?;
    Some(group(&found, 1).to_uppercase()).filter(|letter| allowed.contains(letter))
}

/// The one option whose text stands in the box.
fn by_text(text: &str, options: &[(String, Option<String>)], allowed: &BTreeSet<String>) -> Option<String> {
    let inner = strip(last(text)?);
    let candidates = [normal(inner), normal(unwrapped(inner))];
    let matched: BTreeSet<String> = options
        .iter()
        .filter_map(|(key, value)| Some((key, normal(value.as_deref()?))))
        .filter(|(key, value)| {
            key.chars().count() == 1
                && allowed.contains(&key.to_uppercase())
                && !value.is_empty()
                && candidates.iter().any(|c| c.contains(value))
        })
        .map(|(key, _)| key.to_uppercase())
        .collect();
    let mut matched = matched.into_iter();
    matched.next().filter(|_| matched.next().is_none())
}

fn after_colon(
    text: &str,
    options: &[(String, Option<String>)],
    allowed: &BTreeSet<String>,
) -> Result<Option<String>, Broken> {
    let Some(found) = COLON.captures(text) else {
        return Ok(None);
    };
    let candidate = strip(unwrapped(group(&found, 1)));
    let letter = candidate.to_uppercase();
    if candidate.chars().count() == 1 && candidate.chars().all(char::is_alphabetic) && allowed.contains(&letter) {
        return Ok(Some(letter));
    }
    let candidate = normal(candidate);
    for (key, value) in options {
        let key = key.to_uppercase();
        if allowed.contains(&key) {
            let value = value.as_deref().ok_or_else(|| Broken("an option has no text".into()))?;
            if normal(value) == candidate {
                return Ok(Some(key));
            }
        }
    }
    Ok(None)
}

/// The letter that what follows `Answer:` names, if it names no list of letters.
fn payload(text: &str, allowed: &BTreeSet<String>) -> Option<String> {
    let candidate = latin(text);
    let candidate = candidate.trim_matches(['*', '_', '`', ' ', '\t', '\n', '\r', '.', ',', ';', ':']);
    if ambiguous(candidate, allowed) {
        return None;
    }
    let letter = if candidate.chars().count() == 1 {
        candidate.to_owned()
    } else if let Some(found) = LEADING.captures(candidate) {
        group(&found, 1).to_owned()
    } else {
        group(&STANDALONE.captures(candidate)?, 0).to_owned()
    };
    Some(letter.to_uppercase()).filter(|letter| allowed.contains(letter))
}

fn ambiguous(text: &str, allowed: &BTreeSet<String>) -> bool {
    let letters: Vec<_> = CHOICE
        .all(text)
        .iter()
        .filter_map(|found| found.get(1))
        .map(|found| (found.as_str().to_uppercase(), found.range()))
        .filter(|(letter, _)| allowed.contains(letter))
        .collect();
    letters
        .windows(2)
        .any(|pair| pair[0].0 != pair[1].0 && SEPARATOR.is_match(&text[pair[0].1.end..pair[1].1.start]))
}

/// What the row's own pattern catches last: a letter, which is trusted, or an option's text.
fn by_pattern(
    text: &str,
    pattern: &str,
    allowed: &BTreeSet<String>,
    options: &[(String, Option<String>)],
) -> Result<Option<String>, Broken> {
    // One that does not compile catches nothing, as in the original.
    let Ok(regex) = compile(&format!("(?i){pattern}")) else {
        return Ok(None);
    };
    let mut caught = None;
    for found in regex.captures_iter(text) {
        let found = found.map_err(|e| Broken(format!("the row's pattern takes too long: {e}")))?;
        caught = Some(match found.len() {
            1 => group(&found, 0).to_owned(),
            2 => group(&found, 1).to_owned(),
            _ => return Err(Broken("the row's pattern has several groups".into())),
        });
    }
    let Some(caught) = caught else { return Ok(None) };
    let caught = latin(strip(&caught)).to_uppercase();
    if caught.chars().count() == 1 && caught.chars().all(char::is_alphabetic) {
        return Ok(Some(caught));
    }
    let wanted = normal(&caught);
    let same = |(key, value): &&(String, Option<String>)| {
        value
            .as_deref()
            .is_some_and(|value| allowed.contains(&key.to_uppercase()) && normal(value) == wanted)
    };
    Ok(options.iter().find(same).map(|(key, _)| key.to_uppercase()))
}

fn gpqa(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let text = response.output_text();
    let text = strip(&text);
    let options = options(row);
    let allowed = letters(&options);
    let pattern = row
        .get("template_metadata")
        .and_then(|template| template.get("output_regex"))
        .and_then(Value::as_str);
    let found = match pattern {
        Some(pattern) => by_pattern(text, pattern, &allowed, &options)?,
        None => None,
    };
    let found = found.or_else(|| gpqa_letter(text).filter(|letter| allowed.is_empty() || allowed.contains(letter)));
    Ok(verdict(
        found,
        &strip(row.str("expected_answer").unwrap_or_default()).to_uppercase(),
    ))
}

fn gpqa_letter(text: &str) -> Option<String> {
    if let Some(found) = BOX.all(text).last() {
        let inner = strip(group(found, 1));
        if inner.chars().count() == 1 && inner.chars().all(char::is_uppercase) {
            return Some(inner.to_uppercase());
        }
        if let Some(letter) = LETTER.all(inner).last() {
            return Some(group(letter, 1).to_owned());
        }
    }
    ANSWER.all(text).last().map(|found| group(found, 1).to_uppercase())
}

fn gold(row: &Row) -> Option<Response> {
    let letter = row.str("expected_answer")?;
    let colon = row
        .str("grading_mode")
        .is_some_and(|mode| mode.starts_with("lenient_answer_colon"));
    Some(Response::text(if colon {
        format!("Answer: {letter}")
    } else {
        format!("It is \\boxed{{{letter}}}")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn reward(mode: &str, text: &str) -> f64 {
        let row = format!(
            r#"{{"options": [{{"A": "red"}}, {{"B": "dark  blue"}}, {{"C": "green"}}], "expected_answer": "b", "grading_mode": "{mode}"}}"#
        );
        let row = Row {
            index: 0,
            fields: loads(&row).unwrap(),
        };
        mcqa(&row, &Response::text(text)).unwrap().reward
    }

    #[test]
    fn strict_mode_wants_a_letter_in_the_last_box() {
        for (text, expected) in [
            (r"\boxed{B}", 1.0),
            (r"\boxed{\text{ B }}", 1.0),
            (r"\boxed{B: dark blue}", 1.0),
            (r"\boxed{(B)}", 1.0),
            (r"\boxed{A} no, \boxed{B}", 1.0),
            (r"\boxed{b}", 0.0),
            (r"\boxed{dark blue}", 0.0),
            (r"\boxed{D}", 0.0),
            ("B", 0.0),
            (r"\boxed{B} \boxed{", 0.0),
            ("", 0.0),
        ] {
            assert_eq!(reward("strict_single_letter_boxed", text), expected, "{text}");
        }
    }

    #[test]
    fn lenient_modes_read_texts_and_answers() {
        assert_eq!(reward("lenient_boxed", r"\boxed{\text{Dark Blue}}"), 1.0);
        assert_eq!(reward("lenient_boxed", r"\boxed{dark blue or red}"), 0.0);
        assert_eq!(reward("lenient_answer_colon", "Answer: b"), 1.0);
        assert_eq!(reward("lenient_answer_colon", "ANSWER :  dark blue"), 1.0);
        assert_eq!(reward("lenient_answer_colon", "Answer: A\nAnswer: B"), 0.0);
        assert_eq!(
            reward("lenient_answer_colon_md", "**Answer**: A\n**Answer:** B because"),
            1.0
        );
        assert_eq!(reward("lenient_answer_colon_md", "Answer: A or B"), 0.0);
        assert_eq!(reward("lenient_answer_colon_md", "Answer: the second, B."), 1.0);
    }

    #[test]
    fn rows_may_bring_their_pattern() {
        let row = r#"{"options": [{"A": "red"}, {"B": "blue"}], "expected_answer": "B", "template_metadata": {"output_regex": ["<<(\\w+)>>", "pick (\\w+)"]}}"#;
        let row = Row {
            index: 0,
            fields: loads(row).unwrap(),
        };
        let reward = |text: &str| mcqa(&row, &Response::text(text)).unwrap().reward;
        assert_eq!(
            [reward("<<a>> <<b>>"), reward("PICK Blue"), reward("none")],
            [1.0, 1.0, 0.0]
        );
    }

    #[test]
    fn gpqa_reads_boxes_and_answers() {
        let letter = |text| gpqa_letter(text);
        assert_eq!(letter(r"\boxed{A} then \boxed{the letter C}").as_deref(), Some("C"));
        assert_eq!(letter("**Answer**: d").as_deref(), Some("D"));
        assert_eq!(letter("Answer: dog"), None);
    }
}
