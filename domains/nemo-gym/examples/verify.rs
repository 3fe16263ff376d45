//! For `tests/parity/nemo_gym.py`: `verify gold DATA` prints the rows with a right response each, `verify judge` reads lines of
//! server, row and response and prints rewards, `verify unescape` reads texts and prints them without character references.

use hone_nemo_gym::{Item, Response, Row, SERVERS, load, server, unescape};
use hone_python::{Value, loads};
use serde_json::json;
use std::io::{BufRead, Write};
use std::path::Path;

fn output(response: &Response) -> serde_json::Value {
    let item = |item: &Item| match item {
        Item::Message { role, texts } => {
            let parts: Vec<_> = texts
                .iter()
                .map(|text| json!({"type": "output_text", "text": text}))
                .collect();
            json!({"type": "message", "role": role, "content": parts})
        }
        Item::Call { name, arguments } => json!({"type": "function_call", "name": name, "arguments": arguments}),
        Item::Output(output) => json!({"type": "function_call_output", "output": output}),
        Item::Reasoning(text) => json!({"type": "reasoning", "summary": [{"text": text}]}),
        Item::Other => json!({"type": "other"}),
    };
    response.items.iter().map(item).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut out = std::io::stdout().lock();
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("gold"), Some(data)) => {
            for server in SERVERS {
                for row in load(Path::new(&data), server.name).unwrap_or_default() {
                    let fields = row.fields.dumps(&hone_python::DumpOptions::default())?;
                    let gold = (server.gold)(&row).map(|response| output(&response));
                    writeln!(
                        out,
                        r#"{{"server": "{}", "row": {fields}, "output": {}}}"#,
                        server.name,
                        json!(gold)
                    )?;
                }
            }
        }
        (Some("judge"), None) => {
            for line in std::io::stdin().lock().lines() {
                let line = loads(&line?)?;
                let name = line.get("server").and_then(Value::as_str).unwrap_or_default();
                let server = server(name).ok_or_else(|| format!("there is no server `{name}`"))?;
                let row = Row {
                    index: 0,
                    fields: line.get("row").cloned().unwrap_or_default(),
                };
                let response = Response::read(&line);
                let verdict = (server.verify)(&row, &response, &serde_json::Value::Null);
                let said = match verdict {
                    Ok(verdict) => json!({"reward": verdict.reward}),
                    Err(broken) => json!({"error": broken.to_string()}),
                };
                writeln!(out, "{said}")?;
            }
        }
        (Some("unescape"), None) => {
            for line in std::io::stdin().lock().lines() {
                let text: String = serde_json::from_str(&line?)?;
                writeln!(out, "{}", json!(unescape(&text)?))?;
            }
        }
        _ => return Err("write verify gold DATA, verify judge, or verify unescape".into()),
    }
    Ok(())
}
