//! Whether an answer is right: the original's comparison, and a stricter one.

use crate::data::Kind;
use hone_python::{Value, constant, parse, text};

/// How far two numbers may be apart.
const TOLERANCE: f64 = 1e-2;

/// Which rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The original's, defects included.
    #[default]
    Faithful,
    /// Nothing counts as the number zero that is none, repeated values count as often as they stand there, and records with
    /// a defect do not count.
    Strict,
}

/// Whether an answer (for an order: the tables' hash) equals the truth.
pub fn equal(answer: &Value, truth: &Value, kind: Kind, mode: Mode) -> bool {
    let (Some(answer), Some(truth)) = (cleaned(answer, mode), cleaned(truth, mode)) else {
        return false;
    };
    if kind == Kind::Change {
        return answer == truth;
    }
    if let ([answer], [truth]) = (answer.as_slice(), truth.as_slice()) {
        return match (text::float(answer), text::float(truth)) {
            _ if answer == "0" && truth == "0" => true,
            (Some(a), Some(b)) => close(a, b),
            _ => answer == truth,
        };
    }
    let numbers = |texts: &[String]| texts.iter().map(|item| text::float(item)).collect::<Option<Vec<_>>>();
    if let (Some(answer), Some(truth)) = (numbers(&answer), numbers(&truth)) {
        // Each takes the first number that is left and close; no second thoughts.
        let mut left = truth;
        return answer.len() == left.len()
            && answer.iter().all(|a| {
                left.iter()
                    .position(|b| close(*a, *b))
                    .map(|at| left.remove(at))
                    .is_some()
            });
    }
    match mode {
        Mode::Faithful => {
            answer.iter().all(|item| truth.contains(item)) && truth.iter().all(|item| answer.contains(item))
        }
        Mode::Strict => {
            let sorted = |mut items: Vec<String>| {
                items.sort();
                items
            };
            sorted(answer) == sorted(truth)
        }
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE
}

/// An answer as a list of texts in the form that is compared; `None` where the original raises.
fn cleaned(answer: &Value, mode: Mode) -> Option<Vec<String>> {
    let normal = |text: &str| normal(text, mode);
    // `str(item)`, with a tuple of one as that one.
    let item = |item: &Value| match item {
        Value::Tuple(one) if one.len() == 1 => normal(bare(&one[0].to_string())),
        other => normal(bare(&other.to_string())),
    };
    Some(match answer {
        Value::None => vec![none(mode).to_owned()],
        Value::List(items) | Value::Tuple(items) => items.iter().map(item).collect(),
        Value::Str(answer) => {
            if let Some(values) = driver_rows(answer) {
                return Some(values.iter().map(|value| normal(value)).collect());
            }
            let stripped = text::strip(answer);
            if !(stripped.starts_with('[') && stripped.ends_with(']')) {
                return Some(vec![normal(bare(stripped))]);
            }
            match parse(stripped).ok().and_then(|parsed| constant(&parsed).ok()) {
                Some(Value::List(items)) => items.iter().map(item).collect(),
                Some(_) => return None,
                None => pieces(&stripped[1..stripped.len().max(2) - 1])
                    .iter()
                    .map(|piece| normal(bare(piece)))
                    .collect(),
            }
        }
        other => vec![normal(bare(&other.to_string()))],
    })
}

/// Without white space, then without quotes around it.
fn bare(text: &str) -> &str {
    text::strip(text).trim_matches(['\'', '"'])
}

/// The values of a driver's rows, written as Python's list of tuples of one: `[('a',), ('b',)]`.
fn driver_rows(answer: &str) -> Option<Vec<String>> {
    if !(answer.starts_with('[') && answer.ends_with(']')) {
        return None;
    }
    match parse(answer).ok().and_then(|parsed| constant(&parsed).ok()) {
        Some(Value::List(items)) if items.iter().all(|item| matches!(item, Value::Tuple(_))) => {
            let single = items.iter().filter_map(|item| match item {
                Value::Tuple(one) if one.len() == 1 => Some(bare(&one[0].to_string()).to_owned()),
                _ => None,
            });
            Some(single.collect())
        }
        _ => {
            let inner = answer.trim_matches(['[', ']']);
            let one = inner.matches('(').count() == 1 && inner.starts_with('(') && inner.ends_with(",)");
            one.then(|| vec![bare(&inner[1..inner.len() - 2]).to_owned()])
        }
    }
}

/// Cut at commas outside quotes, the quotes dropped; empty pieces too.
fn pieces(text: &str) -> Vec<String> {
    let (mut pieces, mut piece, mut quoted) = (vec![], String::new(), false);
    for c in text.chars() {
        match c {
            '\'' | '"' => quoted = !quoted,
            ',' if !quoted => {
                if !piece.is_empty() {
                    pieces.push(std::mem::take(&mut piece));
                }
            }
            other => piece.push(other),
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// Percent signs and commas between thousands go; words for nothing become zero.
fn normal(value: &str, mode: Mode) -> String {
    let value = text::strip(value);
    if let Some(number) = value.strip_suffix('%') {
        return text::strip(number).to_owned();
    }
    let value = if value.contains(',') && !value.starts_with('[') && !value.ends_with(']') {
        value.replace(',', "")
    } else {
        value.to_owned()
    };
    let nothing = match value.to_lowercase().as_str() {
        "none" | "null" | "undefined" | "nan" | "" => true,
        "inf" | "infinity" | "-inf" | "-infinity" => mode == Mode::Faithful,
        _ => false,
    };
    if nothing { none(mode).to_owned() } else { value }
}

/// What nothing is.
fn none(mode: Mode) -> &'static str {
    match mode {
        Mode::Faithful => "0",
        Mode::Strict => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| Value::from(*item)).collect())
    }

    fn read(answer: Value, truth: Value) -> bool {
        equal(&answer, &truth, Kind::Read, Mode::Faithful)
    }

    #[test]
    fn one_value_is_compared_as_a_number_or_to_the_letter() {
        for (answer, truth, right) in [
            ("36", "36.0", true),
            ("36.01", "36", true),
            ("36.02", "36.0", false),
            ("3,729.7", "3729.7", true),
            ("12%", "12", true),
            ("Vienna", "vienna", false),
            (" 'Vienna' ", "Vienna", true),
            ("none", "0", true),
            ("inf", "null", true),
            ("", "none", true),
            ("1_0", "10", true),
            ("0.005", "none", true),
        ] {
            assert_eq!(read(list(&[answer]), list(&[truth])), right, "{answer} {truth}");
        }
    }

    #[test]
    fn several_values_are_a_set_or_numbers_each_of_which_is_taken_once() {
        assert!(read(list(&["b", "a", "a"]), list(&["a", "b"])));
        assert!(!read(list(&["a"]), list(&["a", "b"])));
        assert!(read(list(&["2.0", "1"]), list(&["1.005", "2"])));
        assert!(!read(list(&["1", "1"]), list(&["1", "2"])));
        // Greedy: 1.01 takes 1.0, though 1.02 needs nothing but 1.01 or so.
        assert!(!read(list(&["1.01", "1.0"]), list(&["1.0", "1.02"])));
        assert!(read(list(&[]), list(&[])) && !read(list(&[]), list(&["1"])));
        // Strict mode counts.
        assert!(!equal(
            &list(&["b", "a", "a"]),
            &list(&["a", "b"]),
            Kind::Read,
            Mode::Strict
        ));
        assert!(!equal(&list(&["0"]), &list(&["none"]), Kind::Read, Mode::Strict));
        assert!(equal(&list(&["null"]), &list(&["none"]), Kind::Read, Mode::Strict));
    }

    #[test]
    fn texts_that_look_like_lists_are_lists() {
        for answer in ["[('a',), ('b',)]", "['a', 'b']", "[a, b]", "[\"b\", 'a']"] {
            assert!(read(answer.into(), list(&["a", "b"])), "{answer}");
        }
        assert!(read("[(293.0,)]".into(), list(&["293"])));
        // The original knows no `Decimal` there, and cuts the text at its commas.
        assert!(!read("[(Decimal('293'),)]".into(), list(&["293"])));
        assert!(read("plain".into(), list(&["plain"])));
        assert!(read(Value::None, list(&["none"])));
        // Tuples of two give no value at all.
        assert!(!read("[('a', 'b')]".into(), list(&["a", "b"])));
    }

    #[test]
    fn orders_are_judged_by_the_hash() {
        let truth = Value::from("[('03b2eddd',)]");
        assert!(equal(&"03b2eddd".into(), &truth, Kind::Change, Mode::Faithful));
        assert!(!equal(&"03b2eddc".into(), &truth, Kind::Change, Mode::Faithful));
    }
}
