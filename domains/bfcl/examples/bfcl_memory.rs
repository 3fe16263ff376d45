//! Runs calls on memories and checks answers, for `tests/parity/bfcl_memory.py`.
//!
//! Lines of JSON come in, `{"class", "snapshot", "calls"}` or `{"said", "gold"}`, and go out.

use hone_bfcl::holds;
use hone_bfcl::multi_turn::{Settings, World};
use hone_python::{Dict, DumpOptions, Value, dumps, loads};
use std::io::{BufRead, Write};

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_list).unwrap_or_default();
    items.iter().map(ToString::to_string).collect()
}

fn answer(asked: &Value) -> Result<Value, Box<dyn std::error::Error>> {
    let mut out = Dict::new();
    if let Some(said) = asked.get("said").and_then(Value::as_str) {
        out.set("holds", holds(said, &texts(asked.get("gold"))));
        return Ok(out.into());
    }
    let class = asked.get("class").and_then(Value::as_str).ok_or("no class")?;
    let config: Dict = [(class, asked.get("snapshot").ok_or("no snapshot")?.clone())]
        .into_iter()
        .collect();
    let mut world = World::new(
        "memory_0",
        &config.into(),
        &[class.to_owned()],
        false,
        "",
        &Settings::default(),
    )?;
    let results: Vec<_> = texts(asked.get("calls"))
        .iter()
        .map(|call| world.execute(call))
        .collect();
    out.set("results", results);
    out.set("snapshot", world.snapshot().ok_or("no snapshot")?);
    out.set("context", world.in_context().ok_or("no context")?);
    Ok(out.into())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let found = answer(&loads(&line?)?)?;
        writeln!(out, "{}", dumps(&found, &DumpOptions::default())?)?;
    }
    Ok(())
}
