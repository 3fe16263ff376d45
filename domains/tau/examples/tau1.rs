//! Calls on the worlds of τ-bench, for `tests/parity/tau1.py`.
//!
//!     tau1 DOMAIN FOLDER    reads lists of {"name", "kwargs"}, a line each on a fresh world; prints results and the data's hash

use hone_tau::v1::World;
use serde_json::json;
use std::io::{BufRead, Write};
use std::path::Path;

#[derive(serde::Deserialize)]
struct Call {
    name: String,
    kwargs: hone_python::Value,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, domain, folder] = args.as_slice() else {
        return Err("usage: tau1 DOMAIN FOLDER".into());
    };
    let fresh = World::load(domain, Path::new(folder))?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let calls: Vec<Call> = serde_json::from_str(&line?)?;
        let mut world = fresh.clone();
        let results: Vec<_> = calls
            .iter()
            .map(|call| world.respond(&call.name, &call.kwargs))
            .collect();
        writeln!(out, "{}", json!({"results": results, "hash": world.hash()}))?;
    }
    Ok(())
}
