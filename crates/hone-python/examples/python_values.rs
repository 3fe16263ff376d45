//! Answers questions about Python values, a JSON line `[question, text]` each, for `tests/parity/python_values.py`.

use hone_python::{DumpOptions, Value, constant, dumps, loads, parse, text};
use std::io::{BufRead, Write};

fn answer(question: &str, source: &str) -> Option<String> {
    let literal = || constant(&parse(source).ok()?).ok();
    match question {
        "repr" => Some(literal()?.repr()),
        "str" => Some(literal()?.to_string()),
        "truth" => Some(Value::Bool(literal()?.truthy()).repr()),
        "equal" => match literal()? {
            Value::Tuple(pair) if pair.len() == 2 => Some(Value::Bool(pair[0] == pair[1]).repr()),
            _ => None,
        },
        "dumps" => {
            let value = literal()?;
            let plain = DumpOptions::default();
            let all = [
                plain,
                DumpOptions {
                    sort_keys: true,
                    ..plain
                },
                DumpOptions {
                    ensure_ascii: false,
                    separators: (",", ":"),
                    ..plain
                },
                DumpOptions {
                    indent: Some(2),
                    sort_keys: true,
                    ..plain
                },
            ];
            let one = |options: &DumpOptions| dumps(&value, options).unwrap_or_else(|_| "error".into());
            Some(all.iter().map(one).collect::<Vec<_>>().join("\u{1}"))
        }
        "loads" => Some(loads(source).ok()?.repr()),
        "unparse" => Some(parse(source).ok()?.unparse()),
        "parses" => parse(source).ok().map(|_| "yes".into()),
        "int" => Some(text::int(source)?.to_string()),
        "float" => Some(Value::Float(text::float(source)?).repr()),
        "strip" => Some(text::strip(source).to_owned()),
        _ => None,
    }
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let (question, source): (String, String) = serde_json::from_str(&line?)?;
        let answer = answer(&question, &source).unwrap_or_else(|| "error".into());
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    }
    out.flush()
}
