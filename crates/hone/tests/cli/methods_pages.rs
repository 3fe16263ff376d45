//! docs/methods/: the drawings are those of the program, the examples run, and every part and setting stands on one page.

use crate::support::Place;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The files of the folder that end so, by name.
fn files(ending: &str) -> BTreeMap<String, PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/methods");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == ending))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

fn pages() -> BTreeMap<String, String> {
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    files("md").into_iter().map(|(name, path)| (name, read(path))).collect()
}

/// The section on a part, if the page has one.
fn section<'a>(page: &'a str, part: &str) -> Option<&'a str> {
    let heading = format!("\n## `{part}`\n");
    let (_, after) = page.split_once(heading.as_str())?;
    after.split("\n## ").next()
}

/// The section on a part, which one page has.
fn only_section<'a>(pages: &'a BTreeMap<String, String>, part: &str) -> &'a str {
    let found: Vec<&str> = pages.values().filter_map(|page| section(page, part)).collect();
    assert_eq!(found.len(), 1, "pages with a section on {part}");
    found[0]
}

/// The rows of its tables that begin with a name in code.
fn described(text: &str) -> BTreeSet<&str> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once("` |").map(|(name, _)| name))
        .filter(|name| !name.contains(' '))
        .collect()
}

/// Asserts that the table of settings in `text` has this default of `name`.
fn has_default(text: &str, name: &str, value: &Value) {
    let start = format!("| `{name}` | ");
    let row = text.lines().find_map(|line| line.strip_prefix(start.as_str()));
    let shown = row.and_then(|row| row.split(" |").next()).unwrap_or("no row");
    let same = match value {
        Value::Null => shown == "none",
        Value::Bool(it) => shown == it.to_string(),
        Value::Number(it) => {
            let word = shown.split(' ').next().unwrap_or_default();
            word.parse::<f64>().ok() == it.as_f64()
        }
        _ => shown == format!("`{value}`"),
    };
    assert!(same, "{name} = {value}, which is not {shown}");
}

/// The values of a table of settings with their paths.
fn leaves(value: &Value, path: &str, out: &mut Vec<(String, Value)>) {
    let Value::Object(table) = value else {
        out.push((path.to_owned(), value.clone()));
        return;
    };
    for (key, value) in table {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        leaves(value, &path, out);
    }
}

fn names(listed: &[Value], kind: &str) -> Vec<String> {
    let of = listed.iter().filter(|it| it["kind"] == kind);
    of.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_drawing_is_what_the_program_draws() {
    let place = Place::new();
    let pages = pages();
    let inputs = files("json");
    assert!(pages.len() >= 10 && inputs.keys().eq(pages.keys()), "{inputs:?}");
    for (name, path) in inputs {
        std::fs::write(place.path("input.json"), std::fs::read(&path).unwrap()).unwrap();
        place.ok("train explain --input input.json --svg drawn.svg");
        let drawn = std::fs::read_to_string(place.path("drawn.svg")).unwrap();
        let stored = std::fs::read_to_string(path.with_extension("svg")).unwrap();
        assert!(
            drawn == stored,
            "docs/methods/{name}.svg: draw it anew with --input docs/methods/{name}.json and work its numbers out again"
        );
        assert!(pages[&name].contains(&format!("]({name}.svg)")), "{name}");
    }
}

#[test]
fn every_part_and_setting_stands_on_one_page() {
    let place = Place::new();
    let pages = pages();
    let listed = place.ok("train methods --json").json_lines();
    let parts = names(&listed, "part");
    assert!(parts.len() >= 30, "{parts:?}");
    for part in &parts {
        only_section(&pages, part);
    }
    let mut grpo = place.ok("train methods grpo --json").json();
    let mut method = grpo["method"].take();
    method.as_object_mut().unwrap().remove("parts");
    let mut settings = Vec::new();
    leaves(&method, "", &mut settings);
    assert!(settings.len() >= 24, "{settings:?}");
    for (setting, value) in settings {
        let on: Vec<&String> = pages
            .values()
            .filter(|page| described(page).contains(setting.as_str()))
            .collect();
        assert_eq!(on.len(), 1, "pages with a row on {setting}");
        has_default(on[0], &setting, &value);
    }
    for preset in names(&listed, "preset") {
        let shown = place.ok(&format!("train methods {preset} --json")).json();
        for part in shown["method"]["parts"].as_object().unwrap().keys() {
            let named = only_section(&pages, part).contains(&format!("`{preset}`"));
            assert!(named, "the section on {part} does not name {preset}");
        }
    }
}

/// Each example is a method over the rollouts of its page, and the settings of each part are those that its section describes, with their
/// defaults.
#[test]
fn every_example_runs_and_every_part_has_one() {
    let place = Place::new();
    let pages = pages();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, path) in files("json") {
        let mut input: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        input["preset"] = json!("grpo");
        let examples = pages[&name].split('`').filter(|it| it.starts_with("{\""));
        for example in examples {
            input["method"] = serde_json::from_str(example).unwrap_or_else(|e| panic!("{name}: {example}: {e}"));
            std::fs::write(place.path("example.json"), input.to_string()).unwrap();
            let out = place.ok("train explain example.json --json").json();
            assert!(
                out["loss"].is_number() && out["tokens"][0].is_object(),
                "{example}: {out}"
            );
            let last = out["stages"].as_array().unwrap().last().unwrap();
            for (part, settings) in last["values"]["parts"].as_object().unwrap() {
                let keys = seen.entry(part.clone()).or_default();
                for (key, value) in settings.as_object().unwrap() {
                    // What the example leaves out has its default.
                    if input["method"]["parts"][part].get(key).is_none() {
                        has_default(only_section(&pages, part), key, value);
                    }
                    keys.insert(key.clone());
                }
            }
        }
    }
    for part in names(&place.ok("train methods --json").json_lines(), "part") {
        let settings = seen.get(&part).unwrap_or_else(|| panic!("no example of {part}"));
        let rows = described(only_section(&pages, &part));
        let rows: BTreeSet<String> = rows.into_iter().map(str::to_owned).collect();
        assert_eq!(rows, *settings, "the settings of {part}");
    }
}
