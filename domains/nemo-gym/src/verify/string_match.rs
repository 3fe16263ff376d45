//! `string_match`: a text, in many equal forms.

use super::boxed::{last_closed, unwrapped};
use super::{Acts, Broken, Server, Verdict, lines, spaced};
use crate::pattern::{Pattern, group};
use crate::response::Response;
use crate::row::Row;
use hone_python::float_repr;
use hone_python::text::{float, strip};
use icu_normalizer::ComposingNormalizerBorrowed;

/// The server.
pub const SERVER: Server = Server {
    name: "string_match",
    about: "the answer (boxed, after `Answer:`, on the last line, or all of it) is the expected text, but for case, quotes, LaTeX, units, lists and the like; numbers within about 1 % count 0.98",
    verify: |row, response, _| verify(row, response),
    acts: Acts::UntilAnswer,
    gold: |row| {
        let answer = row.str("expected_answer")?;
        Some(Response::text(
            match row.str("extraction_mode").unwrap_or("final_answer") {
                "boxed" => format!("\\boxed{{{answer}}}"),
                "final_answer" => format!("Final answer: {answer}"),
                _ => answer.to_owned(),
            },
        ))
    },
};

static FINAL: Pattern = Pattern::new(r"(?i)(?:final\s+answer|answer)\s*[:：]\s*(.+)");
static LAST_DOT: Pattern = Pattern::new(r"\.\s*\z");
static COMMA: Pattern = Pattern::new(r"(\d+),(\d+)");
static UNITS: Pattern = Pattern::new(r"\^\{?\\circ\}?|\\circ|°|cm[²³]?|mm|km|m[²³]?|kg");

fn verify(row: &Row, response: &Response) -> Result<Verdict, Broken> {
    let wanted = row
        .fields
        .get("expected_answer")
        .and_then(|answer| answer.as_str())
        .ok_or_else(|| Broken::field("expected_answer"))?;
    let text = response.assistant_lines();
    let extracted = match row.str("extraction_mode").unwrap_or("final_answer") {
        "boxed" => boxed(&text),
        "final_answer" => after_colon(&text).or_else(|| boxed(&text)),
        "last_line" => lines(&text)
            .into_iter()
            .rev()
            .map(strip)
            .find(|line| !line.is_empty())
            .map(str::to_owned),
        "full_response" => Some(strip(&text).to_owned()).filter(|text| !text.is_empty()),
        other => return Err(Broken(format!("there is no extraction mode `{other}`"))),
    };
    let exact = row.get("case_sensitive").is_some_and(|sensitive| sensitive.truthy());
    let reward = match &extracted {
        Some(said) if !wanted.is_empty() && exact => f64::from(u8::from(strip(said) == strip(wanted))),
        Some(said) if !wanted.is_empty() => grade(wanted, said),
        _ => 0.0,
    };
    Ok(Verdict::of(
        reward,
        format!("read {:.80?}", extracted.unwrap_or_default()),
    ))
}

fn boxed(text: &str) -> Option<String> {
    Some(strip(unwrapped(strip(last_closed(text)?))).to_owned())
}

fn after_colon(text: &str) -> Option<String> {
    let found = FINAL.all(text);
    let raw = strip(group(found.last()?, 1));
    let cut = LAST_DOT
        .captures(raw)
        .and_then(|dot| dot.get(0))
        .map_or(raw, |dot| &raw[..dot.start()]);
    Some(strip(cut).trim_end_matches('.').to_owned())
}

fn grade(wanted: &str, said: &str) -> f64 {
    let prepared = |text: &str| {
        let text = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
        let lower = unquoted(&text).to_lowercase();
        let bare = lower.trim_end_matches(['.', '!', '?']);
        if bare.is_empty() {
            lower.clone()
        } else {
            bare.to_owned()
        }
    };
    let (said, wanted) = (prepared(said), prepared(wanted));
    let forms: [fn(&str) -> String; 6] = [str::to_owned, as_float, numbers, latex, lists, states];
    if forms.iter().any(|form| form(&said) == form(&wanted)) {
        return 1.0;
    }
    if near(&wanted, &said) > 0.98 {
        return 0.98;
    }
    let bare = |text: &str| strip(&UNITS.replaced(&mathematical(&latex(text)), "")).to_owned();
    let (said, wanted) = (bare(&said), bare(&wanted));
    if said == wanted {
        1.0
    } else if near(&wanted, &said) > 0.98 {
        0.98
    } else {
        0.0
    }
}

fn unquoted(text: &str) -> &str {
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(text)
}

fn as_float(text: &str) -> String {
    let cleaned = text.replace("\\%", "").replace("\\$", "").replace('$', "");
    float(strip(&cleaned)).map_or_else(|| text.to_owned(), float_repr)
}

fn numbers(text: &str) -> String {
    COMMA.replaced(text, "${1}${2}").replace("\\%", "%")
}

/// A list's items with single spaces between them, unless too much of the text would go.
fn lists(text: &str) -> String {
    let made = text.replace([',', ';'], " ").replace("and", " ").replace("or", " ");
    if (made.chars().count() as f64) < 0.9 * text.chars().count() as f64 {
        text.to_owned()
    } else {
        spaced(&made)
    }
}

fn latex(text: &str) -> String {
    const COMMANDS: [&str; 13] = [
        "\\boxed",
        "\\text",
        "\\textbf",
        "\\textit",
        "\\texttt",
        "\\mathrm",
        "\\mathbf",
        "\\mathit",
        "\\mathsf",
        "\\mathbb",
        "\\mathcal",
        "\\emph",
        "\\url",
    ];
    let mut text = text.to_owned();
    for command in COMMANDS {
        text = without(&format!("{command}{{"), text);
    }
    for token in ["\\(", "\\)", "\\[", "\\]", "$"] {
        text = text.replace(token, "");
    }
    spaced(&text)
}

/// Without a command and its braces; of one that is not closed, only the beginning goes.
fn without(command: &str, mut text: String) -> String {
    while let Some((before, after)) = text.split_once(command) {
        let mut depth = 1;
        let end = after.char_indices().find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        text = match end {
            Some((at, _)) => format!("{before}{}{}", &after[..at], &after[at + 1..]),
            None => format!("{before}{after}"),
        };
    }
    text
}

/// States of the USA by their abbreviations, longer names first.
fn states(text: &str) -> String {
    const STATES: [(&str, &str); 51] = [
        ("district of columbia", "DC"),
        ("new hampshire", "NH"),
        ("new jersey", "NJ"),
        ("new mexico", "NM"),
        ("new york", "NY"),
        ("north carolina", "NC"),
        ("north dakota", "ND"),
        ("rhode island", "RI"),
        ("south carolina", "SC"),
        ("south dakota", "SD"),
        ("west virginia", "WV"),
        ("alabama", "AL"),
        ("alaska", "AK"),
        ("arizona", "AZ"),
        ("arkansas", "AR"),
        ("california", "CA"),
        ("colorado", "CO"),
        ("connecticut", "CT"),
        ("delaware", "DE"),
        ("florida", "FL"),
        ("georgia", "GA"),
        ("hawaii", "HI"),
        ("idaho", "ID"),
        ("illinois", "IL"),
        ("indiana", "IN"),
        ("iowa", "IA"),
        ("kansas", "KS"),
        ("kentucky", "KY"),
        ("louisiana", "LA"),
        ("maine", "ME"),
        ("maryland", "MD"),
        ("massachusetts", "MA"),
        ("michigan", "MI"),
        ("minnesota", "MN"),
        ("mississippi", "MS"),
        ("missouri", "MO"),
        ("montana", "MT"),
        ("nebraska", "NE"),
        ("nevada", "NV"),
        ("ohio", "OH"),
        ("oklahoma", "OK"),
        ("oregon", "OR"),
        ("pennsylvania", "PA"),
        ("tennessee", "TN"),
        ("texas", "TX"),
        ("utah", "UT"),
        ("vermont", "VT"),
        ("virginia", "VA"),
        ("washington", "WA"),
        ("wisconsin", "WI"),
        ("wyoming", "WY"),
    ];
    let mut text = text.to_owned();
    for (name, short) in STATES {
        text = text.replace(name, short);
    }
    lists(&text).to_lowercase()
}

fn mathematical(text: &str) -> String {
    const SIGNS: [(char, &str); 17] = [
        ('°', "^\\circ"),
        ('²', "^2"),
        ('³', "^3"),
        ('⁴', "^4"),
        ('⁵', "^5"),
        ('⁶', "^6"),
        ('⁷', "^7"),
        ('⁸', "^8"),
        ('⁹', "^9"),
        ('√', "\\sqrt"),
        ('﹣', "-"),
        ('﹢', "+"),
        ('﹦', "="),
        ('﹤', "<"),
        ('﹥', ">"),
        ('：', ":"),
        ('π', "\\pi"),
    ];
    let sign = |c: char| SIGNS.iter().find(|(sign, _)| *sign == c).map(|(_, text)| *text);
    text.chars().fold(String::new(), |mut made, c| {
        match sign(c) {
            Some(text) => made.push_str(text),
            None => made.push(c),
        }
        made
    })
}

/// The square of one minus the relative error of two numbers; 0 if they are none.
fn near(wanted: &str, said: &str) -> f64 {
    let number = |text: &str| {
        let plain = text.replace(['$', '£', '€', '%', ','], "");
        let plain = UNITS.replaced(&mathematical(&plain), "");
        float(strip(&plain.replace("\\%", "").replace("\\$", "")))
    };
    match (number(said), number(wanted)) {
        (Some(said), Some(wanted)) => {
            let left = 1.0 - (said - wanted).abs() / wanted.abs().max(1e-9);
            // Python's `max(0.0, nan)` is 0.0.
            if left > 0.0 { left * left } else { 0.0 }
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_python::loads;

    fn reward(fields: &str, text: &str) -> f64 {
        let row = Row {
            index: 0,
            fields: loads(&format!("{{{fields}}}")).unwrap(),
        };
        verify(&row, &Response::text(text)).unwrap().reward
    }

    #[test]
    fn answers_are_found_where_the_mode_says() {
        let row = |mode: &str| format!(r#""expected_answer": "Paris", "extraction_mode": "{mode}""#);
        assert_eq!(reward(&row("final_answer"), "Answer: Rome\nFinal answer: paris."), 1.0);
        assert_eq!(reward(&row("final_answer"), r"so \boxed{\text{Paris}}"), 1.0);
        assert_eq!(reward(&row("boxed"), r"\boxed{Paris} \boxed{Rome"), 1.0);
        assert_eq!(reward(&row("boxed"), "Paris"), 0.0);
        assert_eq!(reward(&row("last_line"), "Rome\n Paris \n\n"), 1.0);
        assert_eq!(reward(&row("full_response"), "'Paris'"), 1.0);
        assert_eq!(
            reward(r#""expected_answer": "Paris", "case_sensitive": true"#, "Answer: paris"),
            0.0
        );
    }

    #[test]
    fn equal_forms_count() {
        let said = |wanted: &str, said: &str| grade(wanted, said);
        for (a, b) in [
            ("1,234", "1234"),
            ("5", "5.0"),
            ("$7", "7"),
            (r"\text{cat} dog", "cat dog"),
            ("a, b", "a;b"),
            ("Lima, Ohio", "lima, OH"),
            ("ﬁne", "fine"),
        ] {
            assert_eq!(said(a, b), 1.0, "{a} {b}");
        }
        assert_eq!(
            [said("1000", "1001"), said("90°", r"90^\circ"), said("5 km", "5")],
            [0.98; 3]
        );
        assert_eq!([said("1000", "1020"), said("cat", "dog"), said("nan", "1")], [0.0; 3]);
    }
}
