//! `hone.toml`: what a project consists of.

use crate::ProjectError;
use crate::tools::settings;
use hone_env::{Budget, OnMalformed};
use hone_tool::{Policy, Truncation};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Characters of a tool's schema that an error in a call's arguments shows, if nothing else is said.
const SCHEMA_CHARS: u32 = 1_000;
/// How many tools `retrieve` may bring into a prompt: what the usual endpoints take.
const MOST_TOOLS: usize = 128;

/// The recipe as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the taskset in records and reports.
    pub name: String,
    /// What it is, in a sentence.
    #[serde(default)]
    pub about: String,
    /// The tasks: a JSON Lines file.
    pub tasks: String,
    /// System message of every task that has none of its own.
    pub system: Option<String>,
    /// Where the tools come from.
    #[serde(default)]
    pub tools: Vec<ToolSettings>,
    /// Show each task's agent only some of the tools, found by its prompt.
    pub retrieve: Option<RetrieveSettings>,
    /// The checkers, by the name that a task's `expected` uses.
    pub checkers: BTreeMap<String, CheckerSettings>,
    /// An agent loop of the user's own, in place of the built-in one.
    pub harness: Option<HarnessSettings>,
    /// Bounds.
    #[serde(default)]
    pub limits: LimitSettings,
    /// Rules of which calls may run, as [`hone_tool::Policy`] reads them; without any, all may.
    #[serde(default)]
    pub policy: Vec<toml::Table>,
}

/// A source of tools. Exactly one of `builtin`, `standard`, `python`, `command` and `mcp`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSettings {
    /// Tools that Hone brings.
    pub builtin: Option<Builtin>,
    /// Standard tools (`hone-standard`): a list of names, or a table of settings by name.
    pub standard: Option<toml::Value>,
    /// A Python file whose functions are tools.
    pub python: Option<String>,
    /// A command that speaks the JSON-lines protocol.
    pub command: Option<Vec<String>>,
    /// An MCP server: `command` or `url`, and the other keys of `hone_mcp::ServerConfig`.
    pub mcp: Option<toml::Table>,
    /// The records of `builtin = "records"`: a JSON file.
    pub data: Option<String>,
    /// The files of `builtin = "files"`: a folder, copied for each episode.
    pub folder: Option<String>,
    /// Only these of its tools.
    pub only: Option<Vec<String>>,
    /// What its part of the state is called (default: the kind, or the file's name).
    pub name: Option<String>,
    /// Whether its tools are called `NAME__TOOL`, so that other sources may have some of the same names.
    #[serde(default)]
    pub prefix: bool,
    /// For `retrieve`: what the source is for.
    pub about: Option<String>,
    /// For `retrieve`: requests that it is for, in the words of those who make them.
    pub requests: Option<Vec<String>>,
    /// For `retrieve`: attributes of its tools.
    pub tags: Option<Vec<String>>,
}

/// Retrieval of tools.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrieveSettings {
    /// How many tools a task's prompt brings, and how many at most those that are found later.
    pub k: usize,
    /// How many sources are looked at, best first (default: all).
    pub servers: Option<usize>,
    /// Whether the agent gets a tool `find_tools`.
    #[serde(default)]
    pub find_tools: bool,
    /// How to rank.
    pub method: Option<RetrieveMethod>,
    /// A command that makes vectors of texts; it speaks the JSON-lines protocol.
    pub embedder: Option<Vec<String>>,
    /// Only tools that say they change nothing.
    #[serde(default)]
    pub read_only: bool,
    /// Only tools with all of these tags.
    pub tags: Option<Vec<String>>,
    /// Tools that every task has.
    pub keep: Option<Vec<String>>,
}

#[cfg_attr(not(feature = "search"), allow(dead_code))]
impl RetrieveSettings {
    /// How to rank: as said, else by both where an embedder is named, else by words.
    pub fn method(&self) -> RetrieveMethod {
        self.method.unwrap_or(match self.embedder {
            Some(_) => RetrieveMethod::Fused,
            None => RetrieveMethod::Bm25,
        })
    }
}

/// How tools are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetrieveMethod {
    /// By shared words.
    Bm25,
    /// By vectors.
    Dense,
    /// By both, with reciprocal-rank fusion.
    Fused,
}

/// Tools that Hone brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Tables of records: find, get, set, delete.
    Records,
    /// Files in the episode's folder: list, read, write, edit, find.
    Files,
}

/// What a checker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckerKind {
    /// The answer is the expected text or number, or one of several.
    Exact,
    /// The answer matches the expected pattern.
    Regex,
    /// The answer is JSON that fits the expected schema.
    JsonSchema,
    /// The final state is as expected.
    State,
    /// A command judges.
    Command,
    /// A model judges by a rubric.
    Judge,
}

impl CheckerKind {
    /// Name as in `hone.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Regex => "regex",
            Self::JsonSchema => "json_schema",
            Self::State => "state",
            Self::Command => "command",
            Self::Judge => "judge",
        }
    }
}

/// A checker and its settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckerSettings {
    /// What it does.
    pub kind: CheckerKind,
    /// Of `exact`: differences that do not count.
    pub ignore: Option<Vec<Ignore>>,
    /// Of `command`: the command.
    pub command: Option<Vec<String>>,
    /// Of `judge`: what it judges by.
    pub rubric: Option<String>,
    /// Of `judge`: the model, as after `--model`, or a list of them, whose majority decides.
    pub model: Option<OneOrMore>,
}

/// One name, or several.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl OneOrMore {
    /// All of them.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::More(names) => names,
        }
    }
}

/// A difference that does not count for an exact match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignore {
    /// Capital and small letters.
    Case,
    /// How words are spaced.
    Space,
    /// ASCII punctuation.
    Punctuation,
}

/// An agent loop of the user's own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarnessSettings {
    /// The command; it speaks the JSON-lines protocol.
    pub command: Vec<String>,
}

/// Bounds; what is not said is as in [`Budget::default`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Agent turns.
    pub max_turns: Option<u32>,
    /// Tool calls.
    pub max_calls: Option<u32>,
    /// Tokens of one turn.
    pub max_turn_tokens: Option<u32>,
    /// Tokens of the whole conversation.
    pub max_tokens: Option<u32>,
    /// Characters of one tool's answer.
    pub max_observation_chars: Option<u32>,
    /// Which part of a longer answer is shown.
    pub truncation: Option<Truncation>,
    /// Characters of a tool's schema that an error in a call's arguments shows.
    pub max_schema_chars: Option<u32>,
    /// Wall-clock bound of one exchange with a tool or a checker, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Wall-clock bound of an episode, in milliseconds.
    pub episode_timeout_ms: Option<u64>,
    /// What a turn that cannot be read does.
    pub on_malformed: Option<OnMalformed>,
}

impl LimitSettings {
    /// Bound on one exchange with a tool or a checker.
    pub fn timeout_ms(&self) -> u64 {
        self.timeout_ms.unwrap_or(30_000)
    }

    /// As the harness takes them. What runs in another process meets its own deadline first, so the outer one, after which
    /// a world is lost, leaves room for a call that reads the state too and for every checker.
    pub fn budget(&self, checkers: usize) -> Budget {
        let default = Budget::default();
        let exchanges = 3 + 2 * checkers as u64;
        Budget {
            max_turns: self.max_turns.unwrap_or(default.max_turns),
            max_calls: self.max_calls.unwrap_or(default.max_calls),
            max_turn_tokens: self.max_turn_tokens.unwrap_or(default.max_turn_tokens),
            max_tokens: self.max_tokens.unwrap_or(default.max_tokens),
            max_observation_chars: self.max_observation_chars.unwrap_or(default.max_observation_chars),
            truncation: self.truncation.unwrap_or_default(),
            max_schema_chars: self.max_schema_chars.unwrap_or(SCHEMA_CHARS),
            tool_timeout_ms: self.timeout_ms().saturating_mul(exchanges).saturating_add(5_000),
            episode_timeout_ms: self.episode_timeout_ms.unwrap_or(default.episode_timeout_ms),
            on_malformed: self.on_malformed.unwrap_or(default.on_malformed),
            ..default
        }
    }
}

/// A recipe with its text, so that what is found wrong later still has its line.
#[derive(Clone, Debug)]
pub struct RecipeFile {
    /// Where it is.
    pub file: PathBuf,
    /// What it says.
    pub recipe: Recipe,
    text: String,
}

impl RecipeFile {
    /// Read a recipe.
    ///
    /// # Errors
    /// Names the file, the line, the key and what is allowed.
    pub fn parse(file: &Path, text: String) -> Result<Self, ProjectError> {
        let recipe = toml::from_str::<Recipe>(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let what = match key_at(&text, at) {
                Some(key) if error.message().starts_with("invalid") => format!("`{key}`: {}", error.message()),
                _ => error.message().to_owned(),
            };
            ProjectError::line(file, line_at(&text, at), what, "docs/tutorial.md shows every key")
        })?;
        let file = Self {
            file: file.to_owned(),
            recipe,
            text,
        };
        file.validate()?;
        Ok(file)
    }

    /// A mistake in the value of a key, such as `tools.0.data`.
    pub fn wrong(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) -> ProjectError {
        let what = format!("`{key}`: {}", what.into());
        ProjectError::line(&self.file, line_of(&self.text, key), what, remedy)
    }

    fn validate(&self) -> Result<(), ProjectError> {
        let recipe = &self.recipe;
        let plain = |name: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(fits)
        };
        let letters = "write 1 to 100 of a-z, A-Z, 0-9, `-`, `_` and `.`, not beginning with `.`";
        if !plain(&recipe.name) {
            return Err(self.wrong("name", format!("{:?} is no name", recipe.name), letters));
        }
        for (index, tools) in recipe.tools.iter().enumerate() {
            self.check_tools(index, tools)?;
        }
        if recipe.checkers.is_empty() {
            return Err(self.wrong(
                "checkers",
                "there are none",
                "add one, such as [checkers.answer] with kind = \"exact\"",
            ));
        }
        for (name, checker) in &recipe.checkers {
            if !plain(name) {
                return Err(self.wrong(&format!("checkers.{name}"), "this is no name", letters));
            }
            self.check_checker(name, checker)?;
        }
        if let Some(harness) = &recipe.harness
            && harness.command.is_empty()
        {
            return Err(self.wrong("harness.command", "it is empty", "write the program and its arguments"));
        }
        if !recipe.policy.is_empty() {
            Policy::of(&recipe.policy, "").map_err(|error| {
                let rule = error.rule.unwrap_or(1);
                let what = format!("rule {rule}: {}", error.what);
                self.wrong(&format!("policy.{}", rule - 1), what, "docs/tools.md shows rules")
            })?;
        }
        if recipe.limits.max_schema_chars.is_some_and(|chars| chars > 100_000) {
            return Err(self.wrong("limits.max_schema_chars", "it is out of range", "write 0 to 100000"));
        }
        if let Some(retrieve) = &recipe.retrieve {
            self.check_retrieve(retrieve)?;
        }
        let limits = &recipe.limits;
        for (key, value) in [
            ("max_turns", limits.max_turns.map(u64::from)),
            ("max_calls", limits.max_calls.map(u64::from)),
            ("max_turn_tokens", limits.max_turn_tokens.map(u64::from)),
            ("max_tokens", limits.max_tokens.map(u64::from)),
            ("max_observation_chars", limits.max_observation_chars.map(u64::from)),
            ("timeout_ms", limits.timeout_ms),
            ("episode_timeout_ms", limits.episode_timeout_ms),
        ] {
            let most = if key.ends_with("_ms") { 86_400_000 } else { 10_000_000 };
            if value.is_some_and(|value| !(1..=most).contains(&value)) {
                let what = format!("{} is out of range", value.unwrap_or_default());
                return Err(self.wrong(&format!("limits.{key}"), what, format!("write 1 to {most}")));
            }
        }
        Ok(())
    }

    fn check_tools(&self, index: usize, tools: &ToolSettings) -> Result<(), ProjectError> {
        let key = |name: &str| format!("tools.{index}.{name}");
        let kinds = [
            ("builtin", tools.builtin.is_some()),
            ("standard", tools.standard.is_some()),
            ("python", tools.python.is_some()),
            ("command", tools.command.is_some()),
            ("mcp", tools.mcp.is_some()),
        ];
        if kinds.iter().filter(|(_, given)| *given).count() != 1 {
            let remedy = "write one of builtin, standard, python, command and mcp in each [[tools]]";
            return Err(self.wrong(&format!("tools.{index}"), "it must name one source of tools", remedy));
        }
        let standard = match &tools.standard {
            Some(value) => settings(value)
                .map_err(|what| self.wrong(&key("standard"), what, "docs/standard-tools.md shows both forms"))?,
            None => serde_json::Map::new(),
        };
        let files = tools.builtin == Some(Builtin::Files) || standard.contains_key("files");
        for (name, fits, given) in [
            ("data", tools.builtin == Some(Builtin::Records), tools.data.is_some()),
            ("folder", files, tools.folder.is_some()),
        ] {
            if given && !fits {
                let owner = if name == "data" { "records" } else { "files" };
                let what = format!("only builtin = {owner:?} has one");
                return Err(self.wrong(&key(name), what, "remove it"));
            }
        }
        if tools.command.as_ref().is_some_and(Vec::is_empty) {
            return Err(self.wrong(&key("command"), "it is empty", "write the program and its arguments"));
        }
        Ok(())
    }

    fn check_retrieve(&self, retrieve: &RetrieveSettings) -> Result<(), ProjectError> {
        if !(1..=MOST_TOOLS).contains(&retrieve.k) {
            let what = format!("{} is out of range", retrieve.k);
            return Err(self.wrong("retrieve.k", what, format!("write 1 to {MOST_TOOLS}")));
        }
        if retrieve.servers == Some(0) {
            let remedy = "write 1 or more, or leave it out to look at all";
            return Err(self.wrong("retrieve.servers", "0 sources have no tools", remedy));
        }
        if retrieve.embedder.as_ref().is_some_and(Vec::is_empty) {
            return Err(self.wrong(
                "retrieve.embedder",
                "it is empty",
                "write the program and its arguments",
            ));
        }
        if retrieve.embedder.is_some() && retrieve.method == Some(RetrieveMethod::Bm25) {
            let remedy = "remove it, or write method = \"fused\"";
            return Err(self.wrong("retrieve.embedder", "method = \"bm25\" uses none", remedy));
        }
        Ok(())
    }

    fn check_checker(&self, name: &str, checker: &CheckerSettings) -> Result<(), ProjectError> {
        let key = |setting: &str| format!("checkers.{name}.{setting}");
        let kind = checker.kind;
        for (setting, owner, given) in [
            ("ignore", CheckerKind::Exact, checker.ignore.is_some()),
            ("command", CheckerKind::Command, checker.command.is_some()),
            ("rubric", CheckerKind::Judge, checker.rubric.is_some()),
            ("model", CheckerKind::Judge, checker.model.is_some()),
        ] {
            if given && kind != owner {
                let what = format!("a checker of kind {:?} has none", kind.name());
                return Err(self.wrong(
                    &key(setting),
                    what,
                    format!("remove it; kind {:?} has it", owner.name()),
                ));
            }
            if !given && kind == owner && setting != "ignore" {
                let what = format!("it is missing, and kind {:?} needs it", kind.name());
                return Err(self.wrong(&key(setting), what, "add it"));
            }
        }
        if checker.command.as_ref().is_some_and(Vec::is_empty) {
            return Err(self.wrong(&key("command"), "it is empty", "write the program and its arguments"));
        }
        if checker
            .model
            .as_ref()
            .is_some_and(|models| models.names().len() % 2 == 0)
        {
            return Err(self.wrong(&key("model"), "their number is even", "name an odd number of judges"));
        }
        Ok(())
    }
}

fn line_at(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The key whose value begins at that byte.
fn key_at(text: &str, at: usize) -> Option<&str> {
    let before = text.get(..at)?.trim_end().strip_suffix('=')?.trim_end();
    let start = before.rfind(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)));
    before.get(start.map_or(0, |i| i + 1)..).filter(|key| !key.is_empty())
}

/// The line of a dotted key, with positions in lists as numbers; of the deepest part of it that is there.
fn line_of(text: &str, key: &str) -> usize {
    let Ok(root) = DeTable::parse(text) else { return 1 };
    let mut parts = key.split('.');
    let first = parts.next().and_then(|part| root.get_ref().get_key_value(part));
    let Some((name, value)) = first else { return 1 };
    let (mut at, mut value): (usize, &DeValue<'_>) = (name.span().start, value.get_ref());
    for part in parts {
        match value {
            DeValue::Table(table) => {
                let Some((name, inner)) = table.get_key_value(part) else {
                    break;
                };
                at = name.span().start;
                value = inner.get_ref();
            }
            DeValue::Array(items) => {
                let Some(item) = part.parse().ok().and_then(|index: usize| items.get(index)) else {
                    break;
                };
                at = item.span().start;
                value = item.get_ref();
            }
            _ => break,
        }
    }
    line_at(text, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"name = "desk"
tasks = "tasks.jsonl"

[[tools]]
builtin = "records"
data = "desk.json"

[[tools]]
python = "tools.py"

[checkers.answer]
kind = "exact"
ignore = ["case"]

[checkers.rules]
kind = "command"
command = ["python3", "check.py"]

[limits]
max_turns = 3
"#;

    fn parse(text: &str) -> Result<RecipeFile, ProjectError> {
        RecipeFile::parse(Path::new("hone.toml"), text.to_owned())
    }

    #[test]
    fn mistakes_are_named_with_file_line_and_key() {
        let recipe = parse(TEXT).unwrap().recipe;
        assert_eq!((recipe.tools.len(), recipe.limits.budget(2).max_turns), (2, 3));
        for (from, to, message) in [
            (
                "tasks =",
                "tassk =",
                "hone.toml:2: unknown field `tassk`, expected one of `name`",
            ),
            (
                "max_turns = 3",
                "max_turns = \"3\"",
                "hone.toml:20: `max_turns`: invalid type",
            ),
            (
                "max_turns = 3",
                "max_turns = 0",
                "hone.toml:20: `limits.max_turns`: 0 is out of range; write 1 to",
            ),
            (
                "\"records\"",
                "\"recrods\"",
                "hone.toml:5: unknown variant `recrods`, expected `records` or `files`",
            ),
            (
                "python = \"tools.py\"",
                "only = []",
                "hone.toml:8: `tools.1`: it must name one source",
            ),
            (
                "python = \"tools.py\"",
                "python = \"t.py\"\ndata = \"x\"",
                "hone.toml:10: `tools.1.data`: only builtin = \"records\"",
            ),
            (
                "[\"case\"]",
                "[\"caes\"]",
                "hone.toml:13: unknown variant `caes`, expected one of `case`, `space`, `punctuation`",
            ),
            (
                "kind = \"exact\"",
                "kind = \"regex\"",
                "hone.toml:13: `checkers.answer.ignore`: a checker of kind \"regex\" has none",
            ),
            (
                "command = [\"python3\", \"check.py\"]",
                "",
                "hone.toml:15: `checkers.rules.command`: it is missing",
            ),
            (
                "[\"python3\", \"check.py\"]",
                "[]",
                "hone.toml:17: `checkers.rules.command`: it is empty",
            ),
            (
                "name = \"desk\"",
                "name = \"a/b\"",
                "hone.toml:1: `name`: \"a/b\" is no name",
            ),
            ("name = \"desk\"", "name = ", "hone.toml:1:"),
            ("name = \"desk\"", "", "missing field `name`"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            let error = parse(&TEXT.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(message), "{to}: {error}");
        }
        let none = TEXT.split("[checkers").next().unwrap();
        assert!(
            parse(none)
                .unwrap_err()
                .to_string()
                .contains("missing field `checkers`")
        );
    }
}
