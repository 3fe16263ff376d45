//! For `tests/parity/dbbench.py`: reads lines of answer, truth and kind, and says whether they are equal.

use hone_dbbench::{Kind, Mode, equal};
use hone_python::{Value, loads};
use std::io::{BufRead, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = loads(&line?)?;
        let field = |key: &str| line.get(key).cloned().unwrap_or_default();
        let kind = if field("kind").as_str() == Some("UPDATE") {
            Kind::Change
        } else {
            Kind::Read
        };
        let (answer, truth): (Value, Value) = (field("answer"), field("truth"));
        writeln!(out, "{}", equal(&answer, &truth, kind, Mode::Faithful))?;
    }
    Ok(())
}
