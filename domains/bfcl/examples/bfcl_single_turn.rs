//! Judges answers, for `tests/parity/bfcl_single_turn.py`.
//!
//!     bfcl_single_turn DATA mutate SEED N    JSON Lines: id, category, mode, answer and our verdict on it
//!     bfcl_single_turn DATA judge            reads such lines (without verdicts), prints them with verdicts
//!     bfcl_single_turn DATA tools            JSON Lines: id and the functions as OpenAI's `tools`
//!     bfcl_single_turn decode                reads [language, answer]; prints `repr`s of what they decode to
//!     bfcl_single_turn convert               reads [language, source, type, item type or null]; prints `repr`s

use hone_bfcl::{
    Answer, Decoded, Language, Names, Record, Settings, Suite, decode, evaluate, java_value, javascript_value, mutate,
    tools,
};
use hone_python::{Dict, DumpOptions, dumps, loads};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::Path;

type Done = Result<(), Box<dyn std::error::Error>>;

fn names(mode: &str) -> Names {
    if mode == "fc" {
        Names::Underscored
    } else {
        Names::Dotted
    }
}

fn line(record: &Record, mode: &str, answer: &Answer) -> Value {
    let verdict = evaluate(
        record,
        answer,
        Settings {
            names: names(mode),
            ..Settings::default()
        },
    );
    let result = match answer {
        Answer::Text(text) | Answer::Said(text) => json!(text),
        Answer::Calls(calls) => json!(
            calls
                .iter()
                .map(|(name, json)| json!({ name: json }))
                .collect::<Vec<_>>()
        ),
    };
    json!({
        "id": record.id, "category": record.category.name(), "mode": mode, "result": result,
        "valid": verdict.valid, "error_type": verdict.error_type, "why": verdict.why,
    })
}

fn answer(line: &Value) -> Answer {
    match (&line["result"], line["mode"] == "fc") {
        (Value::Array(calls), _) => {
            let call = |call: &Value| {
                let entry = call.as_object().and_then(|call| call.iter().next());
                entry.map(|(name, json)| (name.clone(), json.as_str().unwrap_or_default().to_owned()))
            };
            Answer::Calls(calls.iter().filter_map(call).collect())
        }
        (text, true) => Answer::Said(text.as_str().unwrap_or_default().to_owned()),
        (text, false) => Answer::Text(text.as_str().unwrap_or_default().to_owned()),
    }
}

fn decoded(answer: &Answer, language: Language) -> Result<String, hone_python::Unhashable> {
    Ok(match decode(answer, language) {
        Err(_) => "error".into(),
        Ok(Decoded::Other) => "other".into(),
        Ok(Decoded::Calls(calls)) => {
            let mut list = vec![];
            for (name, arguments) in calls {
                let mut call = Dict::new();
                call.insert(name, arguments.into())?;
                list.push(call.into());
            }
            hone_python::Value::List(list).repr()
        }
    })
}

fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match args[..] {
        ["convert"] => {
            for line in std::io::stdin().lock().lines() {
                let (language, source, declared, nested): (String, String, String, Option<String>) =
                    serde_json::from_str(&line?)?;
                let convert = if language == "java" {
                    java_value
                } else {
                    javascript_value
                };
                let shown =
                    convert(&source, &declared, nested.as_deref()).map_or_else(|e| e.0.to_owned(), |v| v.repr());
                writeln!(out, "{}", json!(shown))?;
            }
        }
        ["decode"] => {
            for line in std::io::stdin().lock().lines() {
                let (language, text): (String, String) = serde_json::from_str(&line?)?;
                let language = match language.as_str() {
                    "java" => Language::Java,
                    "javascript" => Language::JavaScript,
                    _ => Language::Python,
                };
                writeln!(out, "{}", json!(decoded(&Answer::Text(text), language)?))?;
            }
        }
        [data, "mutate", seed, n] => {
            let suite = Suite::load(Path::new(data))?;
            let (seed, n): (u64, u64) = (seed.parse()?, n.parse()?);
            let records: Vec<_> = suite.records().collect();
            for i in 0..n {
                // Every other answer is to any record, the others go round the categories. A stride of a large prime
                // visits the records evenly, whatever their number.
                let stride = i.wrapping_mul(2_654_435_761);
                let category = &suite.categories[(i / 2 % suite.categories.len() as u64) as usize].1;
                let record = if i % 2 == 0 || category.is_empty() {
                    records[(stride % records.len() as u64) as usize]
                } else {
                    &category[(stride % category.len() as u64) as usize]
                };
                let mode = if i % 3 == 2 { "fc" } else { "prompt" };
                let answer = mutate(record, names(mode), seed.wrapping_mul(1_000_003).wrapping_add(i));
                writeln!(out, "{}", line(record, mode, &answer))?;
            }
        }
        [data, "judge"] => {
            let suite = Suite::load(Path::new(data))?;
            let records: HashMap<&str, &Record> = suite.records().map(|r| (r.id.as_str(), r)).collect();
            for text in std::io::stdin().lock().lines() {
                let asked: Value = serde_json::from_str(&text?)?;
                let id = asked["id"].as_str().unwrap_or_default();
                let record = records.get(id).ok_or_else(|| format!("there is no record {id}"))?;
                let mode = asked["mode"].as_str().unwrap_or("prompt");
                writeln!(out, "{}", line(record, mode, &answer(&asked)))?;
            }
        }
        [data, "tools"] => {
            for record in Suite::load(Path::new(data))?.records() {
                let id = loads(&json!(record.id).to_string())?;
                let entry = hone_python::Value::List(vec![id, hone_python::Value::List(tools(record))]);
                writeln!(out, "{}", dumps(&entry, &DumpOptions::default())?)?;
            }
        }
        _ => {
            return Err(
                "usage: bfcl_single_turn DATA mutate SEED N | DATA judge | DATA tools | decode | convert".into(),
            );
        }
    }
    out.flush()?;
    Ok(())
}
