//! Prints the numbers of quantised blocks, to compare with other readers of them:
//! `cargo run --release -p hone-gguf --example blocks`
//!
//! Each line of stdin is `{"kind": "Q4_1", "bytes": […]}`, whole blocks; each line of stdout the numbers as a JSON array.

use hone_gguf::Kind;
use serde_json::{Value, json};
use std::io::{BufRead, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let named = |kind: &Kind| line["kind"] == format!("{kind:?}");
        let kind = Kind::ALL.into_iter().find(named).ok_or("no such kind")?;
        let bytes: Vec<u8> = serde_json::from_value(line["bytes"].clone())?;
        let (numbers, size) = kind.block();
        if !bytes.len().is_multiple_of(size) {
            return Err(format!("{kind:?} has blocks of {size} bytes").into());
        }
        let mut read = vec![0f32; bytes.len() / size * numbers];
        kind.dequantise(&bytes, &mut read);
        writeln!(out, "{}", json!(read))?;
    }
    Ok(())
}
