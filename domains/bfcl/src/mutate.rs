//! Wrong answers, and some that are right in another way, made out of gold ones.

use crate::baseline::written;
use crate::decode::{Answer, Decoded, decode};
use crate::{Language, Names, Record, gold};
use hone_python::{Dict, Int, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Calls = Vec<(String, Dict)>;

/// A record's gold answer with one to three random edits; of one seed always the same.
///
/// Edits change values (another type, near-equal texts, numbers next to it, items and keys within), arguments (extra,
/// missing, renamed, reordered), calls (renamed, reordered, doubled, dropped) and the text itself. Every twentieth answer
/// is the gold one.
pub fn mutate(record: &Record, names: Names, seed: u64) -> Answer {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let answer = gold(record, names);
    if rng.random_bool(0.05) {
        return answer;
    }
    let language = record.category.language();
    let mut calls: Calls = match decode(&gold(record, Names::Underscored), language) {
        Ok(Decoded::Calls(_)) => structure(record),
        _ => vec![],
    };
    if calls.is_empty() && rng.random_bool(0.7) {
        calls = record
            .functions
            .iter()
            .take(2)
            .map(|f| (f.name.clone(), Dict::new()))
            .collect();
    }
    let edits = 1 + usize::from(rng.random_bool(0.35)) + usize::from(rng.random_bool(0.15));
    for _ in 0..edits {
        edit(rng, &mut calls, record, language);
    }
    let answer = written(language, calls, names);
    match answer {
        Answer::Text(text) if rng.random_bool(0.25) => Answer::Text(damage(rng, text, language)),
        Answer::Calls(mut calls) => {
            if rng.random_bool(0.05) {
                let all = calls.iter().map(|(_, json)| json.clone()).collect::<String>();
                return Answer::Said(if rng.random_bool(0.3) { String::new() } else { all });
            }
            if let (true, Some(i)) = (rng.random_bool(0.1), index(rng, calls.len())) {
                calls[i].1 = damage(rng, calls[i].1.clone(), Language::Python);
            }
            Answer::Calls(calls)
        }
        other => other,
    }
}

/// The gold calls with their arguments.
fn structure(record: &Record) -> Calls {
    let Ok(Decoded::Calls(calls)) = decode(&gold(record, Names::Underscored), Language::Python) else {
        return vec![];
    };
    let named = calls.into_iter().zip(&record.gold);
    named
        .map(|((_, arguments), gold)| (gold.name.clone(), arguments))
        .collect()
}

fn index(rng: &mut ChaCha8Rng, len: usize) -> Option<usize> {
    (len > 0).then(|| rng.random_range(0..len))
}

fn pick<'a, T>(rng: &mut ChaCha8Rng, items: &'a [T]) -> Option<&'a T> {
    index(rng, items.len()).map(|i| &items[i])
}

fn edit(rng: &mut ChaCha8Rng, calls: &mut Calls, record: &Record, language: Language) {
    let Some(i) = index(rng, calls.len()) else { return };
    match rng.random_range(0..20) {
        0 => {
            calls.remove(i);
        }
        1 => {
            let call = calls[i].clone();
            calls.push(call);
        }
        2 => {
            calls.reverse();
        }
        3 => calls[i].0 = rename(rng, &calls[i].0),
        4 => {
            if let Some(other) = pick(rng, &record.functions) {
                calls[i].0.clone_from(&other.name);
            }
        }
        _ => arguments(rng, &mut calls[i].1, record, language),
    }
}

fn rename(rng: &mut ChaCha8Rng, name: &str) -> String {
    match rng.random_range(0..5) {
        0 => name.to_uppercase(),
        1 => name.replace('.', "_"),
        2 => format!("{name}_"),
        3 => name.rsplit('.').next().unwrap_or(name).to_owned(),
        _ => format!("module.{name}"),
    }
}

fn arguments(rng: &mut ChaCha8Rng, arguments: &mut Dict, record: &Record, language: Language) {
    let mut entries: Vec<(String, Value)> = arguments
        .iter()
        .map(|(key, value)| (key.to_string(), value.clone()))
        .collect();
    let unused: Vec<String> = record
        .functions
        .iter()
        .flat_map(|f| f.properties.keys())
        .map(ToString::to_string)
        .filter(|name| !arguments.contains(name))
        .collect();
    match rng.random_range(0..12) {
        0 => {
            if let Some(i) = index(rng, entries.len()) {
                entries.remove(i);
            }
        }
        1 => entries.push((
            "extra".into(),
            if language == Language::Python {
                1i64.into()
            } else {
                "1".into()
            },
        )),
        2 => {
            if let Some(name) = pick(rng, &unused) {
                let other = entries.first().map_or_else(|| "x".into(), |(_, value)| value.clone());
                entries.push((name.clone(), other));
            }
        }
        3 => entries.reverse(),
        4 => {
            if let Some(i) = index(rng, entries.len()) {
                entries[i].0 = rename(rng, &entries[i].0).replace('.', "_");
            }
        }
        _ => {
            if let Some(i) = index(rng, entries.len()) {
                let value = entries[i].1.clone();
                entries[i].1 = if language == Language::Python {
                    changed(rng, &value)
                } else {
                    near(rng, value.as_str().unwrap_or_default()).into()
                };
            }
        }
    }
    *arguments = entries.into_iter().collect();
}

fn changed(rng: &mut ChaCha8Rng, value: &Value) -> Value {
    let another = |rng: &mut ChaCha8Rng, value: &Value| match rng.random_range(0..9) {
        0 => Value::None,
        1 => value.to_string().into(),
        2 => Value::List(vec![value.clone()]),
        3 => Value::Tuple(vec![value.clone()]),
        4 => Value::Bool(rng.random_bool(0.5)),
        5 => rng.random_range(-3..4i64).into(),
        6 => Value::Float(f64::from(rng.random_range(-3..4i32))),
        7 => Value::Dict([("key", value.clone())].into_iter().collect()),
        _ => "".into(),
    };
    if rng.random_bool(0.2) {
        return another(rng, value);
    }
    match value {
        Value::Str(text) => near(rng, text).into(),
        Value::Bool(b) => match rng.random_range(0..3) {
            0 => Value::Bool(!b),
            1 => i64::from(*b).into(),
            _ => b.to_string().into(),
        },
        Value::Int(n) => match rng.random_range(0..5) {
            0 => Value::Float(n.to_f64()),
            1 => n.to_string().into(),
            2 => Value::Int(n.to_i64().map_or_else(|| n.clone(), |n| n.saturating_neg().into())),
            3 => Value::Int(n.to_i64().map_or_else(|| n.clone(), |n| n.saturating_add(1).into())),
            _ => Value::Bool(!n.is_zero()),
        },
        Value::Float(x) => match rng.random_range(0..4) {
            0 => Int::exactly(*x).map_or(Value::Float(x + 0.5), Value::Int),
            1 => Value::Float(x * (1.0 + f64::EPSILON)),
            2 => Value::Float(-x),
            _ => value.to_string().into(),
        },
        Value::List(items) | Value::Tuple(items) => {
            let mut items = items.clone();
            match rng.random_range(0..7) {
                0 => items.reverse(),
                1 => {
                    items.pop();
                }
                2 => items.push(items.first().cloned().unwrap_or_default()),
                3 => return Value::Tuple(items),
                4 => items.clear(),
                _ => {
                    if let Some(i) = index(rng, items.len()) {
                        items[i] = changed(rng, &items[i]);
                    }
                }
            }
            Value::List(items)
        }
        Value::Dict(dict) => {
            let mut dict = dict.clone();
            let keys: Vec<String> = dict.keys().map(ToString::to_string).collect();
            let key = pick(rng, &keys).cloned().unwrap_or_default();
            match rng.random_range(0..6) {
                0 => {
                    dict.remove(&key);
                }
                1 => dict.set("extra", 1i64),
                2 => {
                    let value = dict.remove(&key).unwrap_or_default();
                    dict.set(key.to_uppercase(), value);
                }
                _ => {
                    let value = dict.get(&key).map_or(Value::None, |value| changed(rng, value));
                    dict.set(key, value);
                }
            }
            Value::Dict(dict)
        }
        other => another(rng, other),
    }
}

/// A text close to another: for the checker often the same.
fn near(rng: &mut ChaCha8Rng, text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = index(rng, chars.len()).unwrap_or(0);
    let without: String = chars
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != at)
        .map(|(_, c)| c)
        .collect();
    let with = |c: &str| {
        let (before, behind) = chars.split_at(at);
        before.iter().collect::<String>() + c + &behind.iter().collect::<String>()
    };
    match rng.random_range(0..16) {
        0 => text.to_uppercase(),
        1 => text.to_lowercase(),
        2 => without,
        3 => with(" "),
        4 => with(pick(rng, &["-", "_", "/", ".", ",", "*", "^"]).copied().unwrap_or("-")),
        5 => with(
            pick(rng, &["'", "\"", "\\", "\n", "é", "İ", "中", "😀", "ß", ":", ";"])
                .copied()
                .unwrap_or("'"),
        ),
        6 => text.replace(' ', ""),
        7 => text.replace('\'', "\"").replace('"', "'"),
        8 => format!("{text} {text}"),
        9 => format!(" {text}\n"),
        10 => String::new(),
        11 => text.split(',').next().unwrap_or_default().to_owned(),
        12 => with(
            pick(rng, &["0", "1", "f", "L", "n", "e3", "(", ")", "]", "}", "{", "["])
                .copied()
                .unwrap_or("0"),
        ),
        13 => text.chars().rev().collect(),
        14 => format!("\"{text}\""),
        _ => text.to_owned(),
    }
}

/// Damage to the text itself.
fn damage(rng: &mut ChaCha8Rng, text: String, language: Language) -> String {
    let cut: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
    let at = *pick(rng, &cut).unwrap_or(&0);
    let insert = |what: &str| format!("{}{what}{}", &text[..at], &text[at..]);
    let pieces: &[&str] = match language {
        Language::Python => &[
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "'",
            "\"",
            ",",
            "=",
            " ",
            "\n",
            "\\",
            "#",
            "1",
            "-",
            "+",
            "*",
            "**",
            " if ",
            " for x in y",
            "f",
            "b",
            "None",
            ".",
            ":",
            "😀",
            "x=1, ",
            "2 * ",
            "not ",
            "lambda: ",
            "...",
        ],
        _ => &[
            "(", ")", "[", "]", "{", "}", "'", "\"", ",", "=", " ", "\n", "\\", "//", "1", "-", ";", ".", ":", "é",
            "x=1, ", "new ", "`",
        ],
    };
    match rng.random_range(0..12) {
        0 => format!("```python\n{text}\n```"),
        1 => format!("`{text}`\n"),
        2 => format!("'{text}'"),
        3 => text.trim_matches(['[', ']']).to_owned(),
        4 => format!("{text} "),
        5 => format!("I would call {text}"),
        6 => format!("{text}\nDone."),
        7 | 8 => match text[at..].chars().next() {
            Some(c) => format!("{}{}", &text[..at], &text[at + c.len_utf8()..]),
            None => text,
        },
        _ => insert(pick(rng, pieces).copied().unwrap_or(",")),
    }
}
