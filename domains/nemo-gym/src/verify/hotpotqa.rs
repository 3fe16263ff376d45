//! `hotpotqa_qa`: a short answer, in one of its forms.

use super::{Acts, Server, Verdict, json, spaced, text_field};
use crate::pattern::{Pattern, compile, group};
use crate::response::Response;
use hone_python::Value;
use hone_python::text::strip;
use std::collections::BTreeSet;

/// The server.
pub const SERVER: Server = Server {
    name: "hotpotqa_qa",
    about: "the answer (of the last JSON object with an `answer`, else all text) holds a form of the expected one, as a whole word if short and not late if long",
    verify: |row, response, _| {
        let wanted = text_field(row, "expected_answer")?;
        let said = answer(&response.output_text());
        let forms = forms(wanted);
        let strict = holds(&forms, &said, true);
        let lenient = holds(&forms, &said, false);
        Ok(Verdict {
            reward: f64::from(u8::from(strict)),
            parts: vec![
                ("is_correct", f64::from(u8::from(lenient))),
                ("answer_em", f64::from(u8::from(normal(&said) == normal(wanted)))),
            ],
            why: format!("said {said:.80?}, wanted {wanted:?}"),
        })
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        let mut answer = hone_python::Dict::new();
        answer.set("answer", row.str("expected_answer")?);
        Some(Response::text(
            Value::Dict(answer).dumps(&hone_python::DumpOptions::default()).ok()?,
        ))
    },
};

/// Numbers and the words for them.
const NUMBERS: [(&str, &str); 28] = [
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("thirteen", "13"),
    ("fourteen", "14"),
    ("fifteen", "15"),
    ("sixteen", "16"),
    ("seventeen", "17"),
    ("eighteen", "18"),
    ("nineteen", "19"),
    ("twenty", "20"),
    ("first", "1st"),
    ("second", "2nd"),
    ("third", "3rd"),
    ("fourth", "4th"),
    ("fifth", "5th"),
    ("nineteenth", "19th"),
    ("twentieth", "20th"),
    ("twenty-first", "21st"),
];
const ARTICLES: [&str; 3] = ["the ", "a ", "an "];

static FENCED: Pattern = Pattern::new(r"(?s)```(?:json)?\s*(\{.*?\})\s*```");
static ARTICLE: Pattern = Pattern::new(r"\b(a|an|the)\b");
static PARENS: Pattern = Pattern::new(r"\s*\([^)]*\)\s*");
static WITHIN: Pattern = Pattern::new(r"\(([^)]+)\)");
static SPACE: Pattern = Pattern::new(r"\s+");
static THOUSANDS: Pattern = Pattern::new(r"(\d),(\d{3})");
static DOT: Pattern = Pattern::new(r"(?<!\d)\.(?!\d)");

/// SQuAD's normal form.
fn normal(text: &str) -> String {
    let text: String = text
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect();
    spaced(&ARTICLE.replaced(&text, " "))
}

/// The answer of the last object that has one: in a fence, else anywhere; without one, all text.
fn answer(text: &str) -> String {
    let text = strip(text);
    let of = |source: &str| json(source)?.get("answer").map(ToString::to_string);
    let fenced = FENCED.all(text);
    let found = fenced.iter().rev().find_map(|found| of(group(found, 1)));
    found
        .or_else(|| objects(text).into_iter().rev().find_map(of))
        .unwrap_or_else(|| text.to_owned())
}

/// Texts from a brace to the one that closes it.
fn objects(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (vec![], 0, 0usize);
    for (at, c) in text.char_indices() {
        match c {
            '{' => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    found.push(&text[start..=at]);
                }
            }
            _ => {}
        }
    }
    found
}

/// The forms that an expected answer may take.
fn forms(wanted: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([wanted.to_owned()]);
    let lower = wanted.to_lowercase();
    let bare = |text: &str| {
        let lower = text.to_lowercase();
        ARTICLES
            .iter()
            .find(|article| lower.starts_with(**article))
            .and_then(|article| text.get(article.len()..))
            .map(str::to_owned)
    };
    forms.extend(bare(wanted));
    let unquoted = strip(&wanted.replace(['"', '“', '”'], "")).to_owned();
    if !unquoted.is_empty() {
        forms.insert(unquoted);
    }
    if wanted.contains('(') {
        let without = SPACE.replaced(strip(&PARENS.replaced(wanted, " ")), " ");
        if !without.is_empty() {
            forms.insert(without);
        }
        forms.extend(
            WITHIN
                .all(wanted)
                .iter()
                .map(|found| strip(group(found, 1)).to_owned())
                .filter(|inner| inner.chars().count() > 1),
        );
    }
    let low = strip(&lower);
    for (word, digits) in NUMBERS {
        if low == word {
            forms.insert(digits.into());
        }
        if low == digits {
            forms.insert(word.into());
        }
    }
    let mut plain = THOUSANDS.replaced(wanted, "${1}${2}");
    while plain != wanted && THOUSANDS.is_match(&plain) {
        plain = THOUSANDS.replaced(&plain, "${1}${2}");
    }
    forms.insert(plain);
    if let Some(rest) = wanted.strip_suffix(['.', ',', ';', ':', '!', '?']) {
        forms.insert(rest.trim_end_matches(hone_python::text::is_space).to_owned());
    }
    if wanted.contains('.') {
        let without = DOT.replaced(wanted, "");
        if without.chars().count() > 1 {
            forms.insert(without);
        }
    }
    if wanted.contains('-') && !wanted.starts_with('-') {
        forms.insert(strip(&SPACE.replaced(&wanted.replace('-', " "), " ")).to_owned());
    }
    forms.insert(wanted.replace(" & ", " and "));
    if let Some(at) = lower
        .find(" and ")
        .filter(|at| wanted.is_char_boundary(*at) && wanted.is_char_boundary(at + 5))
    {
        forms.insert(format!("{} & {}", &wanted[..at], &wanted[at + 5..]));
    }
    // All articles in turn, as the original does a second time.
    let more: Vec<String> = forms
        .iter()
        .flat_map(|form| {
            ARTICLES
                .iter()
                .filter(|article| form.to_lowercase().starts_with(**article))
                .filter_map(|article| form.get(article.len()..))
        })
        .map(str::to_owned)
        .collect();
    forms.extend(more);
    let spaced = forms.iter().map(|form| SPACE.replaced(strip(form), " "));
    let kept = |form: &String| {
        let digits = form.chars().all(|c| c.is_numeric());
        !form.is_empty() && (form.chars().count() >= 3 || form == strip(wanted) || digits)
    };
    spaced.filter(kept).collect()
}

/// With the usual characters for spaces, hyphens and quotes.
fn usual(text: &str) -> String {
    let mut made = String::new();
    for c in text.chars() {
        let c = match c {
            '\u{a0}' | '\u{2002}' | '\u{2003}' | '\u{2009}' | '\u{200a}' | '\u{202f}' => ' ',
            '\u{2010}'..='\u{2015}' => '-',
            '’' | '‘' => '\'',
            '“' | '”' => '"',
            other => other,
        };
        if !(c == ' ' && made.ends_with(' ')) {
            made.push(c);
        }
    }
    strip(&made).to_owned()
}

/// Whether an answer holds a form; with `strict`, short ones as whole words and in long answers not late.
fn holds(forms: &BTreeSet<String>, said: &str, strict: bool) -> bool {
    let said = usual(&said.to_lowercase());
    let length = said.chars().count();
    forms.iter().any(|form| {
        let form = usual(&form.to_lowercase());
        let Some(at) = said.find(&form) else { return false };
        if !strict {
            return true;
        }
        if form.is_empty() {
            return false;
        }
        let word = || {
            compile(&format!(r"(?<!\w){}(?!\w)", fancy_regex::escape(&form)))
                .is_ok_and(|word| word.is_match(&said).unwrap_or(false))
        };
        (form.chars().count() > 4 || word()) && (length <= 80 || said[..at].chars().count() <= 40)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(wanted: &str, said: &str) -> bool {
        holds(&forms(wanted), &answer(said), true)
    }

    #[test]
    fn forms_of_the_expected_answer_count() {
        for (wanted, said) in [
            ("The Beatles", r#"{"answer": "beatles"}"#),
            ("Twenty", "20"),
            ("3rd", "third"),
            ("1,234,567", "1234567"),
            ("Rock & Roll", "rock and roll"),
            ("Lennon and McCartney", "Lennon & McCartney"),
            ("U.S. Army", "US Army"),
            ("Marc-André", "Marc André"),
            ("Paris (France)", "Paris"),
            ("yes", "Yes, it is."),
        ] {
            assert!(right(wanted, said), "{wanted}: {said}: {:?}", forms(wanted));
        }
        assert!(!right("no", "nothing") && !right("Beatles", "Stones"));
        let late = format!("{} beatles", "word ".repeat(20));
        assert!(!right("Beatles", &late) && holds(&forms("Beatles"), &late, false));
    }

    #[test]
    fn the_last_object_with_an_answer_is_read() {
        assert_eq!(answer(r#"{"answer": "a"} then {"answer": "b"} {"x": 1}"#), "b");
        assert_eq!(answer("```json\n{\"answer\": 5}\n``` {\"answer\": \"c\"}"), "5");
        assert_eq!(answer(" plain "), "plain");
        assert_eq!(normal("The  cat, a dog!"), "cat dog");
    }
}
