//! The real records, and small ones of our own.

#![allow(dead_code)] // each test file uses its part

use hone_bfcl::{Category, Function, Gold, Record, Suite};
use hone_python::{Value, loads};
use std::path::PathBuf;

/// The folder of the public data.
pub fn data_dir() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    std::env::var_os("HONE_DATA").map_or(beside, PathBuf::from)
}

/// The suite in the public data. Without it: fails where `CI` is set, else says so and gives `None`.
pub fn suite() -> Option<Suite> {
    match Suite::load(&data_dir()) {
        Ok(suite) => Some(suite),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: this test scores the real records, and {error}");
            None
        }
    }
}

/// A record of functions `{name: [properties, required]}` and gold calls `[{name: {parameter: values}}]`, both as JSON.
pub fn record(category: &str, functions: &str, gold: &str) -> Record {
    let entries = |value: &Value| {
        value
            .as_dict()
            .expect("an object")
            .iter()
            .map(|(k, v)| (k.to_string(), v.clone()))
            .collect::<Vec<_>>()
    };
    let category = Category::of(category).expect("a category");
    let language = category.language();
    let functions = entries(&loads(functions).expect("JSON"))
        .into_iter()
        .map(|(name, parts)| {
            let parts = parts.as_list().expect("a pair").to_vec();
            let required = parts[1].as_list().expect("names").iter().map(ToString::to_string);
            let properties = parts[0].as_dict().expect("properties").clone();
            Function::new(&name, "", properties, required.collect(), Value::None, language)
        });
    let calls = loads(gold).expect("JSON");
    let calls = calls.as_list().expect("a list").iter().flat_map(entries);
    Record {
        id: "own".into(),
        category,
        messages: vec![],
        functions: functions.collect(),
        gold: calls
            .map(|(name, p)| Gold {
                name,
                parameters: p.as_dict().expect("parameters").clone(),
            })
            .collect(),
    }
}
