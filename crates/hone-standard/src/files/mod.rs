//! Files below a folder: list, read, write, edit, find.

mod folder;
#[cfg(test)]
mod tests;

pub use folder::{FilesError, Folder, Found, MAX_BYTES, MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_PATH_BYTES};

use crate::arguments::{READS, REPLACES, WRITES, count, tool, truth, word};
use crate::{Card, Kit};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// Most paths, or matches, in an answer.
const MAX_SHOWN: u64 = 1000;
/// As many if the call does not say.
const SHOWN: u64 = 200;
/// Most lines of a file in an answer.
const MAX_LINES: u64 = 10_000;
/// As many if the call does not say.
const LINES: u64 = 2000;
/// Longest line that a match shows, in characters.
const MATCH_CHARS: usize = 300;
/// Longest pattern and text to look for, in characters.
const PATTERN_CHARS: usize = 200;

static SPECS: LazyLock<Arc<Vec<ToolSpec>>> = LazyLock::new(|| Arc::new(specs()));

fn specs() -> Vec<ToolSpec> {
    let path = json!({"type": "string", "description": "relative path, such as notes/today.txt"});
    let pattern = json!({
        "type": "string", "maxLength": PATTERN_CHARS,
        "description": "only paths that match, such as notes/*.txt or **/*.md; all without it",
    });
    let limit = json!({
        "type": "integer", "minimum": 1, "maximum": MAX_SHOWN,
        "description": format!("at most so many are shown (default: {SHOWN})"),
    });
    vec![
        tool(
            "list_files",
            "List the files by path, in alphabetical order.",
            object_schema(json!({"pattern": pattern, "limit": limit}), &["pattern", "limit"]),
            READS,
        ),
        tool(
            "read_file",
            "Read a text file, or some of its lines.",
            object_schema(
                json!({
                    "path": path,
                    "first_line": {"type": "integer", "minimum": 1, "description": "where to begin, from 1"},
                    "max_lines": {
                        "type": "integer", "minimum": 1, "maximum": MAX_LINES,
                        "description": format!("at most so many lines (default: {LINES})"),
                    },
                }),
                &["first_line", "max_lines"],
            ),
            READS,
        ),
        tool(
            "write_file",
            "Write a text file; replaces one that is there, and makes folders on the way.",
            object_schema(
                json!({"path": path, "text": {"type": "string", "description": "all that the file will hold"}}),
                &[],
            ),
            REPLACES,
        ),
        tool(
            "edit_file",
            "Replace a piece of a text file by another.",
            object_schema(
                json!({
                    "path": path,
                    "old": {"type": "string", "minLength": 1, "description": "the piece, exactly as it stands there"},
                    "new": {"type": "string", "description": "what takes its place; may be empty"},
                    "all": {"type": "boolean", "description": "replace it wherever it stands; without it, it must stand there once"},
                }),
                &["all"],
            ),
            WRITES,
        ),
        tool(
            "find_in_files",
            "Find the lines of text files that contain a text.",
            object_schema(
                json!({
                    "text": {
                        "type": "string", "minLength": 1, "maxLength": PATTERN_CHARS,
                        "description": "what a line must contain, in these very letters",
                    },
                    "pattern": pattern,
                    "limit": limit,
                }),
                &["pattern", "limit"],
            ),
            READS,
        ),
    ]
}

/// What the tools are, for the catalogue.
pub(crate) fn card() -> Card {
    Card {
        name: "files",
        about: "text files below one folder, out of which no path and no link leads",
        settings: "`root`: the folder (in a project always the episode's own)",
        limits: format!(
            "{MAX_FILES} files, {} MiB together, {} MiB each; paths of {MAX_PATH_BYTES} bytes and {MAX_DEPTH} parts; \
             {MAX_SHOWN} paths or matches and {MAX_LINES} lines in an answer; no files with several names (hard links)",
            MAX_BYTES >> 20,
            MAX_FILE_BYTES >> 20,
        ),
        specs: SPECS.to_vec(),
    }
}

/// Settings of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder; without it, that of the episode.
    pub root: Option<PathBuf>,
}

/// The tools, not yet on a folder.
#[derive(Clone, Debug)]
pub struct Files(Settings);

impl Files {
    /// Tools with these settings.
    pub fn new(settings: Settings) -> Self {
        Self(settings)
    }
}

impl Kit for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn open(&self, folder: &Path) -> Result<Box<dyn Environment>, EnvError> {
        let path = self.0.root.as_deref().unwrap_or(folder);
        let opened = Folder::open(path).map_err(|error| EnvError::Data {
            what: format!("the folder {} cannot be opened ({error})", path.display()),
            remedy: "make it, or name another".to_owned(),
        })?;
        Ok(Box::new(Workspace {
            folder: opened,
            own: self.0.root.is_some(),
        }))
    }
}

/// The tools on a folder.
#[derive(Debug)]
struct Workspace {
    folder: Folder,
    /// Whether the state is ours to tell. That of an episode's folder is told by whoever made it.
    own: bool,
}

impl Workspace {
    /// The paths that match.
    fn paths(&self, arguments: &Value) -> Result<impl Iterator<Item = (String, Found)>, FilesError> {
        let pattern = arguments.get("pattern").and_then(Value::as_str).map(str::to_owned);
        let fits = move |path: &str| match &pattern {
            Some(pattern) => fast_glob::glob_match(pattern, path),
            None => true,
        };
        let all = self.folder.walk()?;
        Ok(all.into_iter().filter(move |(path, _)| fits(path)))
    }

    fn list(&self, arguments: &Value) -> Result<ToolOutput, FilesError> {
        let paths: Vec<String> = self.paths(arguments)?.map(|(path, _)| path).collect();
        let limit = count(arguments, "limit", SHOWN) as usize;
        let shown = &paths[..paths.len().min(limit)];
        Ok(ToolOutput::json(
            json!({"files": shown, "more": paths.len() - shown.len()}),
        ))
    }

    fn read(&self, arguments: &Value) -> Result<ToolOutput, FilesError> {
        let whole = self.folder.read(word(arguments, "path"))?;
        let total = whole.lines().count();
        let first = count(arguments, "first_line", 1) as usize;
        let limit = count(arguments, "max_lines", LINES) as usize;
        if first == 1 && total <= limit {
            return Ok(ToolOutput {
                data: json!(whole),
                text: whole,
                ..ToolOutput::default()
            });
        }
        let lines: Vec<&str> = whole.lines().skip(first - 1).take(limit).collect();
        let last = (first - 1 + lines.len()).min(total);
        let mut text = lines.join("\n");
        text += &match (lines.is_empty(), last < total) {
            (true, _) => format!("[the file has {total} lines]"),
            (_, true) => format!(
                "\n[lines {first} to {last} of {total}; read on with first_line = {}]",
                last + 1
            ),
            (_, false) => format!("\n[lines {first} to {last} of {total}]"),
        };
        Ok(ToolOutput {
            data: json!(lines),
            text,
            ..ToolOutput::default()
        })
    }

    fn write(&self, arguments: &Value) -> Result<ToolOutput, FilesError> {
        let path = word(arguments, "path");
        self.folder.write(path, word(arguments, "text"))?;
        Ok(ToolOutput::json(json!({"written": path})))
    }

    fn edit(&self, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let (path, old, new) = (word(arguments, "path"), word(arguments, "old"), word(arguments, "new"));
        let text = self.folder.read(path).map_err(said)?;
        let times = if old.is_empty() { 0 } else { text.matches(old).count() };
        let all = truth(arguments, "all");
        if times == 0 {
            let what = format!("`old` does not stand in {path}; read_file shows what does, to the letter");
            return Err(ToolError::tool(what));
        }
        if times > 1 && !all {
            let what = format!("`old` stands in {path} {times} times; write more of what is around it, or set `all`");
            return Err(ToolError::tool(what));
        }
        let grown = text.len() as u128 + times as u128 * new.len() as u128;
        if grown > 2 * MAX_FILE_BYTES as u128 {
            return Err(said(FilesError::TooLong {
                path: path.to_owned(),
                most: MAX_FILE_BYTES,
            }));
        }
        self.folder.write(path, &text.replace(old, new)).map_err(said)?;
        Ok(ToolOutput::json(json!({"written": path, "replaced": times})))
    }

    fn find(&self, arguments: &Value) -> Result<ToolOutput, FilesError> {
        let wanted = word(arguments, "text");
        let limit = count(arguments, "limit", SHOWN) as usize;
        let mut matches = Vec::new();
        let mut more = false;
        let paths = self.paths(arguments)?;
        for (path, _) in paths.filter(|(_, found)| found.sole && found.bytes <= MAX_FILE_BYTES as u64) {
            let Ok(text) = self.folder.read(&path) else { continue };
            for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| line.contains(wanted)) {
                if matches.len() == limit {
                    more = true;
                    break;
                }
                let line: String = line.chars().take(MATCH_CHARS).collect();
                matches.push(json!({"path": path, "line": number, "text": line}));
            }
        }
        Ok(ToolOutput::json(json!({"matches": matches, "more": more})))
    }
}

fn said(error: FilesError) -> ToolError {
    ToolError::tool(error.to_string())
}

impl ToolHost for Workspace {
    fn specs(&self) -> &[ToolSpec] {
        &SPECS
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        match tool {
            "list_files" => self.list(arguments).map_err(said),
            "read_file" => self.read(arguments).map_err(said),
            "write_file" => self.write(arguments).map_err(said),
            "edit_file" => self.edit(arguments),
            "find_in_files" => self.find(arguments).map_err(said),
            _ => Err(crate::arguments::unknown(tool)),
        }
    }

    /// The world's own state holds a folder that is not the tools' own.
    fn has_hidden_state(&self) -> bool {
        self.own
    }
}

impl Environment for Workspace {
    fn reset(&mut self, _task: &Task) -> Result<(), EnvError> {
        Ok(())
    }

    fn state(&self) -> Value {
        match self.own {
            true => self.folder.snapshot().map_or(Value::Null, Value::Object),
            false => Value::Null,
        }
    }

    /// An episode's folder is laid out anew by whoever made it; another one cannot be.
    fn fork_kind(&self) -> Fork {
        match self.own {
            true => Fork::None,
            false => Fork::Replay,
        }
    }
}
