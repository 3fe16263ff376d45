//! Nothing takes a tool call around the one path.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Who calls a tool host, and why that is no second path.
const CALLERS: [(&str, &str); 6] = [
    ("crates/hone-tool/src/dispatch.rs", "the one path"),
    (
        "crates/hone-harness/src/run.rs",
        "a side's tools of an environment, as a host",
    ),
    (
        "crates/hone-project/src/world.rs",
        "a world of several sources, as a host",
    ),
    (
        "crates/hone-project/src/tools/mcp.rs",
        "a server's tools, as an environment",
    ),
    ("crates/hone-standard/src/set.rs", "several kits, as a host"),
    (
        "crates/hone/src/commands/bench/env.rs",
        "measures the tool without the path",
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|ext| ext == "rs") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn tool_hosts_are_called_on_the_one_path_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    let mut files = Vec::new();
    // Domains hold the tools themselves; they have no agent to make calls.
    for room in std::fs::read_dir(root.join("crates")).unwrap() {
        sources(&room.unwrap().path().join("src"), &mut files);
    }
    let call = regex::Regex::new(r"\.(user_)?call\(&?[\w.]*(tool|name)\w*, ?&?[\w.]*arguments\)").unwrap();
    let mut callers = BTreeSet::new();
    for file in files {
        if file.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if call.is_match(code) {
            callers.insert(file.strip_prefix(&root).unwrap().display().to_string());
        }
    }
    let known: BTreeSet<String> = CALLERS.map(|(file, _)| file.to_owned()).into();
    assert_eq!(callers, known, "a call of a tool goes through `dispatch`");
}
