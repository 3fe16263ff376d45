//! `bunsenbench_chemistry_mcq`: the right option, by its letter or its text as chemists write it.

use super::mcqa::{letters, options};
use super::{Acts, Broken, Server, Verdict, is_letter, lines};
use crate::html::unescape;
use crate::pattern::{Pattern, group};
use crate::response::Response;
use crate::row::Row;
use hone_python::Value;
use hone_python::text::{is_space, strip};
use std::collections::BTreeSet;
use std::ops::Range;
use unicode_general_category::{GeneralCategory, get_general_category};

/// The server.
pub const SERVER: Server = Server {
    name: "bunsenbench_chemistry_mcq",
    about: "the letter or the text of the right option, in the last tag, box or phrase that gives one",
    verify: |row, response, _| verify(row, response),
    acts: Acts::UntilAnswer,
    gold: |row| {
        let (letter, options) = (row.str("expected_answer")?, options_of(row));
        let text = options
            .iter()
            .find(|(key, _)| key == letter)
            .and_then(|(_, text)| text.as_deref());
        Some(Response::text(format!("<choice>{}</choice>", text.unwrap_or(letter))))
    },
};

// Python takes the dotted capital I and the dotless small one for an `i` of any case.
static LINE: Pattern = Pattern::new(r"(?im)^\s*(?:(?:[-*•]|\d+[.)])\s*)?(?:\*\*)?answer(?:\*\*)?\s*:\s*(.+?)\s*$");
static INLINE: Pattern = Pattern::new(r"(?is)(?:\*\*)?answer(?:\*\*)?\s*:\s*(.+?)(?=$|[\r\n])");
static PHRASE: Pattern = Pattern::new(
    r"(?is)(?:the\s+(?:correct\s+)?answer\s+[iİı]s|my\s+answer\s+[iİı]s|[iİı]\s+(?:choose|select))\s+(.+?)(?:\n|$)",
);
static TAG: Pattern = Pattern::new(
    r"(?is)<\s*(answer|cho[iİı]ce|response|f[iİı]nal_answer|f[iİı]nal-answer)\b[^>]*>\s*(.*?)\s*<\s*/\s*\1\s*>",
);
static CHOICES: Pattern = Pattern::new(r"(?is)<\s*cho[iİı]ces\b[^>]*>.*?<\s*/\s*cho[iİı]ces\s*>");
static BOX: Pattern = Pattern::new(r"\\boxed\s*\{");
static NAMED: Pattern = Pattern::new(r"(?i)^(?:opt[iİı]on|cho[iİı]ce)\s+([A-Zİı])\s*[\)\].:]?\z");
static LEADING: Pattern = Pattern::new(r"(?i)^([A-Zİı])[\)\].:](?:\s|\z)");
static ALONE: Pattern = Pattern::new(r"^[^A-Za-z]*([A-Za-z])[^A-Za-z]*\z");
static BOXED: Pattern = Pattern::new(r"(?s)^\\boxed\{\s*(.*?)\s*\}\z");
static WRAPPED: Pattern = Pattern::new(r"(?s)^\\(?:text|mathrm|operatorname)\{\s*(.*?)\s*\}\z");

type Options = [(String, Option<String>)];

/// The row's options; without any, its choices.
fn options_of(row: &Row) -> Vec<(String, Option<String>)> {
    if !row.list("options").is_empty() {
        let mut options = options(row);
        options.retain(|(_, text)| text.is_some());
        return options;
    }
    let mut options = vec![];
    for (fallback, choice) in ('A'..='Z').zip(row.list("choices")) {
        if let Some(text) = choice.as_str() {
            options.push((fallback.to_string(), Some(text.to_owned())));
            continue;
        }
        let first = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| choice.get(key).filter(|value| value.truthy()))
        };
        let letter = first(&["letter", "label", "key", "id"]).map_or(Some(fallback.to_string()), |letter| {
            letter.as_str().map(|letter| strip(letter).to_owned())
        });
        let text = first(&["text", "content", "value", "choice"]).and_then(Value::as_str);
        if let (Some(letter), Some(text)) = (letter, text)
            && letter.chars().count() == 1
        {
            options.push((letter.to_uppercase(), Some(text.to_owned())));
        }
    }
    options
}

/// Small and raised signs as plain ones, and what looks like another sign as that.
fn plain(c: char) -> char {
    match c {
        '₀'..='₉' => char::from(b'0' + (c as u32 - '₀' as u32) as u8),
        '⁴'..='⁹' => char::from(b'4' + (c as u32 - '⁴' as u32) as u8),
        '⁰' => '0',
        '¹' => '1',
        '²' => '2',
        '³' => '3',
        '⁺' | '₊' | '＋' => '+',
        '⁻' | '₋' | '−' | '–' | '—' | '‒' | '‑' => '-',
        '×' | '✕' => 'x',
        '·' | '∙' | '⋅' | '•' => '.',
        'µ' | 'μ' => 'u',
        '⁄' | '∕' => '/',
        c => c,
    }
}

fn normal(text: &str) -> Result<String, Broken> {
    let text = unescape(text)?;
    let text = icu_normalizer::ComposingNormalizerBorrowed::new_nfkc().normalize(&text);
    let text: String = (text.chars().map(plain))
        .filter(|c| get_general_category(*c) != GeneralCategory::Format)
        .collect();
    Ok(super::spaced(&text))
}

/// What may be an answer, and where it begins.
fn candidates(text: &str) -> Vec<(usize, String)> {
    let range = |found: &fancy_regex::Captures<str>| found.get(0).map_or(0..0, |all| all.range());
    let shown: Vec<Range<usize>> = CHOICES.all(text).iter().map(range).collect();
    let mut candidates = vec![];
    for found in TAG.all(text) {
        let at = range(&found).start;
        let choice = group(&found, 1).to_lowercase() == "choice";
        if !(choice && shown.iter().any(|shown| shown.contains(&at))) {
            candidates.push((at, group(&found, 2).to_owned()));
        }
    }
    candidates.extend(boxes(text));
    for pattern in [&LINE, &INLINE, &PHRASE] {
        let found = pattern.all(text);
        candidates.extend(
            found
                .iter()
                .map(|found| (range(found).start, group(found, 1).to_owned())),
        );
    }
    candidates.sort();
    candidates
}

/// What stands in boxes, up to the first that is not closed.
fn boxes(text: &str) -> Vec<(usize, String)> {
    let (mut boxes, mut from) = (vec![], 0);
    while let Some(found) = BOX
        .captures(&text[from..])
        .and_then(|found| found.get(0).map(|all| all.range()))
    {
        let inner = from + found.end;
        let (mut depth, mut end) = (1, None);
        let mut chars = text[inner..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                end = Some(inner + at);
                break;
            }
        }
        let Some(end) = end else { break };
        boxes.push((from + found.start, text[inner..end].to_owned()));
        from = end + 1;
    }
    boxes
}

const WRAPPING: &[char] = &[' ', '\t', '\r', '\n', '`', '*', '_', '"', '\''];

fn unwrapped(text: &str) -> &str {
    let inner = |pattern: &Pattern, text| {
        pattern
            .captures(text)
            .and_then(|found| found.get(1))
            .map(|inner| strip(inner.as_str()))
    };
    let mut text = text.trim_matches(WRAPPING);
    text = inner(&BOXED, text).unwrap_or(text);
    while let Some(within) = inner(&WRAPPED, text) {
        text = within;
    }
    while text.chars().nth(1).is_some()
        && text.starts_with(['(', '[', '{', '"', '\'', '<'])
        && text.ends_with([')', ']', '}', '"', '\'', '>'])
    {
        text = text[1..text.len() - 1].trim_matches(WRAPPING);
    }
    text.trim_matches(|c| WRAPPING.contains(&c) || matches!(c, '.' | ';' | ','))
}

fn letter(text: &str, allowed: &BTreeSet<String>) -> Option<String> {
    let known = |letter: &str| Some(letter.to_uppercase()).filter(|letter| allowed.contains(letter));
    if is_letter(text) {
        return known(text);
    }
    [&NAMED, &LEADING, &ALONE]
        .into_iter()
        .find_map(|pattern| known(group(&pattern.captures(text)?, 1)))
}

fn option(text: &str, options: &Options, allowed: &BTreeSet<String>) -> Result<Option<String>, Broken> {
    let wanted = normal(text)?;
    for (key, text) in options {
        let key = key.to_uppercase();
        if allowed.contains(&key) && normal(text.as_deref().unwrap_or_default())? == wanted {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn read(text: &str, options: &Options, allowed: &BTreeSet<String>) -> Result<Option<String>, Broken> {
    let text = strip(text);
    for text in [text, unwrapped(text)] {
        if text.is_empty() {
            return Ok(None);
        }
        let found = match letter(text, allowed) {
            None => option(text, options, allowed)?,
            found => found,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn verify(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let options = options_of(row);
    let mut allowed = letters(&options);
    let wanted = row.str("expected_answer").unwrap_or_default();
    let gold = unwrapped(wanted).to_uppercase();
    let gold = if is_letter(&gold) {
        gold
    } else {
        read(wanted, &options, &allowed)?.unwrap_or(gold)
    };
    if is_letter(&gold) {
        allowed.insert(gold.clone());
    }
    let text = response.output_text();
    let text = strip(&text);
    let mut found = None;
    for (_, candidate) in candidates(text).iter().rev() {
        found = read(candidate, &options, &allowed)?;
        if found.is_some() {
            break;
        }
    }
    let lines: Vec<&str> = lines(text)
        .into_iter()
        .filter(|line| !line.chars().all(is_space))
        .collect();
    for line in [lines.last(), lines.first()].into_iter().flatten() {
        if found.is_none() {
            found = read(line, &options, &allowed)?;
        }
    }
    let right = found.as_ref() == Some(&gold);
    Ok(Verdict::pass(
        right,
        format!("read {}, wanted {gold}", found.as_deref().unwrap_or("no option")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn reward(text: &str) -> f64 {
        let row = r#"{"options": [{"A": "H2O"}, {"B": "SO4 2-"}, {"C": "5 &mu;m"}], "expected_answer": "b"}"#;
        let row = Row {
            index: 0,
            fields: loads(row).unwrap(),
        };
        verify(&row, &Response::text(text)).unwrap().reward
    }

    #[test]
    fn options_are_named_in_many_ways() {
        for (text, expected) in [
            ("<choice>SO₄ ²⁻</choice>", 1.0),
            ("<choice>B</choice>", 1.0),
            ("<choices><choice>B</choice></choices>\nA", 0.0),
            (r"It is \boxed{\text{ SO4\u00a02− }}", 0.0),
            ("It is \\boxed{\\text{ SO4\u{a0}2− }}", 1.0),
            ("**Answer**: (B).", 1.0),
            ("The correct answer is H2O\nAnswer: option b)", 1.0),
            ("Answer: B\nI choose A", 0.0),
            ("B is it", 0.0),
            ("first\n\n\"B\"", 1.0),
            ("B\nlast line", 1.0),
            ("", 0.0),
        ] {
            assert_eq!(reward(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_are_compared_in_their_plain_form() {
        assert_eq!(normal("5&nbsp;µm · 2\u{200b}").as_deref(), Ok("5 um . 2"));
        assert_eq!(
            boxes(r"\boxed {a{b}} \boxed{\}}\boxed{"),
            [(0, "a{b}".to_owned()), (14, r"\}".to_owned())]
        );
        assert_eq!(unwrapped(r#" **\boxed{\mathrm{ (x.) }}** "#), "x");
    }
}
