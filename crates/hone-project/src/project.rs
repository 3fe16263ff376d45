//! A project as a taskset.

use crate::checker::{self, Checker, Evidence};
use crate::error::{inside, read};
use crate::recipe::{Builtin, CheckerKind, CheckerSettings, RecipeFile, ToolSettings};
use crate::scripts::{Agent, SCRIPTS};
use crate::tools::{self, Records, Source};
use crate::world::{FILES, Stage, World, scan};
use crate::{ProjectError, Recipe, TaskLine, tasks};
#[cfg(not(feature = "search"))]
use crate::{chooser::Chooser, recipe::RetrieveSettings};
use hone_env::{Budget, EnvError, Environment, Judges, Question, ScriptInfo, Split, Task, Taskset};
use hone_model::{Model, Script};
use hone_tool::{Policy, PolicyError, SEPARATOR, ToolSpec, Toolset};
use hone_trace::{EndReason, Episode, Score, ScorePart, Secrets, Stream, Turn};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The recipe's file.
const RECIPE: &str = "hone.toml";

/// How judges get their models: by the names that follow `--model`.
pub type Models<'a> = &'a dyn Fn(&str) -> Result<Arc<dyn Model>, String>;

/// A folder of tasks, tools and checkers, all of it read and checked.
pub struct Project {
    recipe: Recipe,
    tasks: BTreeMap<&'static str, Vec<TaskLine>>,
    checkers: BTreeMap<String, Box<dyn Checker>>,
    stage: Arc<Stage>,
    digest: String,
    rule: String,
}

impl Project {
    /// Read a project. Starts each command once, to learn its tools and to see that it can run.
    ///
    /// # Errors
    /// The first mistake, with file, line and field.
    pub fn load(folder: &Path, models: Models<'_>) -> Result<Self, ProjectError> {
        let file = folder.join(RECIPE);
        let recipe = RecipeFile::parse(&file, read(&file)?)?;
        let mut stage = sources(folder, &recipe)?;
        if let Some(settings) = &recipe.recipe.retrieve {
            stage.chooser = Some(chooser(folder, &recipe, settings, &mut stage)?);
        }
        let checkers = checkers(folder, &recipe, models)?;
        let stage = Stage {
            inline: stage.inline && checkers.values().all(|checker| checker.inline()),
            ..stage
        };
        let tasks_file = inside(folder, &recipe.recipe.tasks)
            .map_err(|what| recipe.wrong("tasks", what, "write a relative path without `..`"))?;
        let text = read(&tasks_file)?;
        let lines = tasks::parse(&tasks_file, &text, folder)?;
        check_tasks(&tasks_file, &lines, &stage, &checkers)?;
        let digest = digest(&recipe, &text, &stage)?;
        let versions: Vec<String> = checkers
            .iter()
            .map(|(name, c)| format!("{name} {}", c.version()))
            .collect();
        let mut by_split: BTreeMap<_, Vec<TaskLine>> = BTreeMap::new();
        for (_, line) in lines {
            by_split.entry(line.split.name()).or_default().push(line);
        }
        Ok(Self {
            recipe: recipe.recipe,
            tasks: by_split,
            checkers,
            stage: Arc::new(stage),
            digest,
            rule: hex(versions.join("\n").as_bytes()),
        })
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Which calls may run, if the recipe has rules.
    ///
    /// # Errors
    /// Never for a project that was loaded: its rules were read then.
    pub fn policy(&self) -> Result<Option<Policy>, PolicyError> {
        match self.recipe.policy.as_slice() {
            [] => Ok(None),
            rules => Policy::of(rules, RECIPE).map(Some),
        }
    }

    /// What its MCP servers are given and nobody may see: bearer tokens, and variables whose names say that they are keys,
    /// tokens, secrets or passwords.
    pub fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        let servers = self.recipe.tools.iter().filter_map(|tools| tools.mcp.as_ref());
        for server in servers {
            let mut add = |name: &str, value: Option<String>| {
                if let Some(value) = value {
                    secrets.add(name, value);
                }
            };
            let of_process = |name: &str| std::env::var(name).ok();
            if let Some(name) = server.get("bearer_env").and_then(toml::Value::as_str) {
                add(name, of_process(name));
            }
            let passed = server.get("pass_env").and_then(toml::Value::as_array);
            for name in passed.into_iter().flatten().filter_map(toml::Value::as_str) {
                add(name, of_process(name).filter(|_| is_secret(name)));
            }
            let given = server.get("env").and_then(toml::Value::as_table);
            for (name, value) in given.into_iter().flatten() {
                add(name, value.as_str().filter(|_| is_secret(name)).map(str::to_owned));
            }
        }
        secrets
    }

    /// SHA-256 in hex of everything that decides what the tasks are: the recipe, the tasks, the records, files and tools.
    /// The code of commands is not in it, but their tools' schemas and versions are.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// Whether a variable of that name holds what nobody may see.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"]
        .iter()
        .any(|word| name.contains(word))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(recipe: &RecipeFile, tasks: &str, stage: &Stage) -> Result<String, ProjectError> {
    let mut text = format!("{:?}\n{tasks}\n", recipe.recipe);
    for source in &stage.sources {
        text += &format!("{} {:?} {}\n", source.name(), source.specs(), source.digest());
    }
    for tools in &recipe.recipe.tools {
        if let Some(data) = &tools.data {
            text += &read(&stage.project.join(data))?;
        }
    }
    if let Some(chooser) = &stage.chooser {
        text += &chooser.version();
    }
    if let Some(folder) = &stage.files {
        let files = scan(folder);
        let files = files.map_err(|what| ProjectError::file(folder, what, "make it smaller"))?;
        text += &Value::Object(files).to_string();
    }
    Ok(hex(text.as_bytes()))
}

fn sources(folder: &Path, recipe: &RecipeFile) -> Result<Stage, ProjectError> {
    let timeout = Duration::from_millis(recipe.recipe.limits.timeout_ms());
    let mut stage = Stage {
        project: folder.to_owned(),
        files: None,
        records: recipe
            .recipe
            .tools
            .iter()
            .any(|tools| tools.builtin == Some(Builtin::Records)),
        sources: Vec::new(),
        specs: Vec::new(),
        owners: BTreeMap::new(),
        inline: true,
        chooser: None,
    };
    let mut names = BTreeSet::new();
    for (index, settings) in recipe.recipe.tools.iter().enumerate() {
        let key = |name: &str| format!("tools.{index}.{name}");
        let source: Arc<dyn Source> = source(folder, recipe, index, settings, timeout)?;
        if let Some(from) = &settings.folder {
            let path = inside(folder, from)
                .map_err(|what| recipe.wrong(&key("folder"), what, "write a relative path without `..`"))?;
            if !path.is_dir() {
                let what = format!("there is no folder {}", path.display());
                return Err(recipe.wrong(&key("folder"), what, "make it, or name another"));
            }
            stage.files = Some(path);
        }
        let name = source.name().to_owned();
        let only_files = settings.builtin == Some(Builtin::Files);
        if !names.insert(name.clone()) || (name == FILES && !only_files) {
            let what = format!("another source's part of the state is called `{name}` too");
            return Err(recipe.wrong(&format!("tools.{index}"), what, "give this one a `name` of its own"));
        }
        let offered: BTreeSet<&str> = source.specs().iter().map(|spec| spec.name.as_str()).collect();
        for wanted in settings.only.iter().flatten() {
            if !offered.contains(wanted.as_str()) {
                let list = offered.into_iter().collect::<Vec<_>>().join(", ");
                let what = format!("it has no tool `{wanted}`");
                return Err(recipe.wrong(&key("only"), what, format!("its tools are: {list}")));
            }
        }
        let kept = |spec: &&ToolSpec| settings.only.as_ref().is_none_or(|only| only.contains(&spec.name));
        for spec in source.specs().iter().filter(kept) {
            let mut spec = spec.clone();
            let owner = (stage.sources.len(), spec.name.clone());
            if settings.prefix {
                spec.name = format!("{name}{SEPARATOR}{}", spec.name);
            }
            if stage.owners.insert(spec.name.clone(), owner).is_some() {
                let what = format!("an earlier source has a tool `{}` too", spec.name);
                let remedy = "give this one `prefix = true`, or leave one of them out with `only`";
                return Err(recipe.wrong(&format!("tools.{index}"), what, remedy));
            }
            stage.specs.push(spec);
        }
        stage.inline &= source.inline();
        stage.sources.push(source);
    }
    if let Err(error) = Toolset::compile(&stage.specs) {
        return Err(recipe.wrong("tools", error.to_string(), "mend the tool, or leave it out with `only`"));
    }
    Ok(stage)
}

fn source(
    folder: &Path,
    recipe: &RecipeFile,
    index: usize,
    settings: &ToolSettings,
    timeout: Duration,
) -> Result<Arc<dyn Source>, ProjectError> {
    let key = |name: &str| format!("tools.{index}.{name}");
    let stem = |path: &str| {
        Path::new(path)
            .file_stem()
            .map_or(path.to_owned(), |stem| stem.to_string_lossy().into_owned())
    };
    let name = |default: String| settings.name.clone().unwrap_or(default);
    let broken =
        |kind: &str, error: hone_external::ExternalError| recipe.wrong(&key(kind), error.to_string(), "then try again");
    let standard = match (&settings.standard, settings.builtin) {
        (Some(value), _) => {
            let kits = tools::settings(value).map_err(|what| recipe.wrong(&key("standard"), what, "write it anew"))?;
            Some((name("standard".to_owned()), kits))
        }
        (None, Some(Builtin::Files)) => Some((
            FILES.to_owned(),
            Map::from_iter([(FILES.to_owned(), Value::Object(Map::new()))]),
        )),
        _ => None,
    };
    if let Some((name, kits)) = standard {
        let made = tools::Standard::new(name, &kits, folder);
        return Ok(Arc::new(made.map_err(|wrong| {
            recipe.wrong(&format!("{}.{}", key("standard"), wrong.key), wrong.what, wrong.remedy)
        })?));
    }
    if settings.builtin == Some(Builtin::Records) {
        let Some(data) = &settings.data else {
            return Err(recipe.wrong(&key("data"), "it is missing", "name a JSON file of records"));
        };
        let path = inside(folder, data)
            .map_err(|what| recipe.wrong(&key("data"), what, "write a relative path without `..`"))?;
        let tables: Value = serde_json::from_str(&read(&path)?)
            .map_err(|error| ProjectError::line(&path, error.line(), format!("it is not JSON ({error})"), "mend it"))?;
        let records = Records::new(name("records".to_owned()), tables);
        return Ok(Arc::new(
            records.map_err(|what| ProjectError::file(&path, what, "mend it"))?,
        ));
    }
    if let Some(file) = &settings.python {
        let path = inside(folder, file)
            .map_err(|what| recipe.wrong(&key("python"), what, "write a relative path without `..`"))?;
        if !path.is_file() {
            let what = format!("there is no file {}", path.display());
            return Err(recipe.wrong(&key("python"), what, "make it, or name another"));
        }
        let tools = tools::Command::python(name(stem(file)), file, folder, timeout);
        return Ok(Arc::new(tools.map_err(|error| broken("python", error))?));
    }
    if let Some(argv) = &settings.command {
        let program = argv.first().map_or(String::new(), |program| stem(program));
        let tools = tools::Command::new(name(program), argv.clone(), folder, timeout);
        return Ok(Arc::new(tools.map_err(|error| broken("command", error))?));
    }
    mcp(recipe, &key("mcp"), settings, folder, timeout)
}

#[cfg(feature = "mcp")]
fn mcp(
    recipe: &RecipeFile,
    key: &str,
    settings: &ToolSettings,
    folder: &Path,
    timeout: Duration,
) -> Result<Arc<dyn Source>, ProjectError> {
    let mut table = settings.mcp.clone().unwrap_or_default();
    let shared = match table.remove("shared") {
        None => false,
        Some(toml::Value::Boolean(shared)) => shared,
        Some(_) => return Err(recipe.wrong(key, "`shared` is neither true nor false", "write `shared = true`")),
    };
    let timed = table.contains_key("call_timeout_ms");
    let mut config: hone_mcp::ServerConfig = table
        .try_into()
        .map_err(|error: toml::de::Error| recipe.wrong(key, error.message(), "name a `command` or a `url`"))?;
    if !timed {
        config.call_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    }
    if config.url.is_none() {
        config.cwd.get_or_insert_with(|| folder.to_owned());
    }
    let name = settings.name.clone().unwrap_or_else(|| config.label());
    let made = tools::Mcp::new(name, config, shared);
    Ok(Arc::new(made.map_err(|error| {
        recipe.wrong(key, error.to_string(), "then try again")
    })?))
}

#[cfg(not(feature = "mcp"))]
fn mcp(
    recipe: &RecipeFile,
    key: &str,
    _settings: &ToolSettings,
    _folder: &Path,
    _timeout: Duration,
) -> Result<Arc<dyn Source>, ProjectError> {
    let remedy = "build one that does: cargo build --release -p hone --features mcp";
    Err(recipe.wrong(key, "this build knows no MCP", remedy))
}

#[cfg(feature = "search")]
use crate::retrieve::chooser;

#[cfg(not(feature = "search"))]
fn chooser(
    _folder: &Path,
    recipe: &RecipeFile,
    _settings: &RetrieveSettings,
    _stage: &mut Stage,
) -> Result<Arc<dyn Chooser>, ProjectError> {
    let remedy = "build one that does: cargo build --release -p hone --features tools";
    Err(recipe.wrong("retrieve", "this build retrieves no tools", remedy))
}

fn checkers(
    folder: &Path,
    recipe: &RecipeFile,
    models: Models<'_>,
) -> Result<BTreeMap<String, Box<dyn Checker>>, ProjectError> {
    let timeout = Duration::from_millis(recipe.recipe.limits.timeout_ms());
    let mut checkers: BTreeMap<String, Box<dyn Checker>> = BTreeMap::new();
    for (name, settings) in &recipe.recipe.checkers {
        let CheckerSettings {
            kind,
            ignore,
            command,
            rubric,
            model,
        } = settings;
        let checker: Box<dyn Checker> = match kind {
            CheckerKind::Exact => Box::new(checker::Exact {
                ignore: ignore.clone().unwrap_or_default(),
            }),
            CheckerKind::Regex => Box::new(checker::Regex),
            CheckerKind::JsonSchema => Box::new(checker::JsonSchema),
            CheckerKind::State => Box::new(checker::State),
            CheckerKind::Command => {
                let argv = command.clone().unwrap_or_default();
                let made = checker::Command::new(name.clone(), argv, folder, timeout);
                Box::new(made.map_err(|error| {
                    recipe.wrong(&format!("checkers.{name}.command"), error.to_string(), "then try again")
                })?)
            }
            CheckerKind::Judge => {
                let named = model.iter().flat_map(|models| models.names());
                let named = named.map(|model| models(model)).collect::<Result<_, _>>();
                let key = format!("checkers.{name}.model");
                Box::new(checker::Judge {
                    name: name.clone(),
                    models: named.map_err(|what| recipe.wrong(&key, what, "name a model as after --model"))?,
                    rubric: rubric.clone().unwrap_or_default(),
                    timeout,
                })
            }
        };
        checkers.insert(name.clone(), checker);
    }
    Ok(checkers)
}

/// What the tasks say about checkers, records and tools must be true.
fn check_tasks(
    file: &Path,
    lines: &[(usize, TaskLine)],
    stage: &Stage,
    checkers: &BTreeMap<String, Box<dyn Checker>>,
) -> Result<(), ProjectError> {
    let toolset =
        Toolset::compile(&stage.specs).map_err(|error| ProjectError::file(file, error.to_string(), "mend the tool"))?;
    for (number, line) in lines {
        let wrong = |field: String, what: String, remedy: String| {
            Err(ProjectError::line(
                file,
                *number,
                format!("field `{field}`: {what}"),
                remedy,
            ))
        };
        for (name, expected) in &line.expected {
            let Some(checker) = checkers.get(name) else {
                let known: Vec<&str> = checkers.keys().map(String::as_str).collect();
                let remedy = format!("{RECIPE} has: {}", known.join(", "));
                return wrong(
                    format!("expected.{name}"),
                    "there is no such checker".to_owned(),
                    remedy,
                );
            };
            if let Err(what) = checker.accepts(expected) {
                return wrong(
                    format!("expected.{name}"),
                    what,
                    "docs/tutorial.md shows each form".to_owned(),
                );
            }
        }
        for (index, call) in line.gold.iter().flat_map(|gold| gold.calls.iter().enumerate()) {
            let arguments = Value::Object(call.arguments.clone());
            if let Err(failure) = toolset.check(&call.name, &arguments) {
                let remedy = "correct the call, or give the project that tool".to_owned();
                return wrong(format!("gold.calls[{index}]"), failure.message, remedy);
            }
        }
        for source in &stage.sources {
            if let Err((field, what)) = source.accepts(line) {
                return wrong(field.to_owned(), what, "mend it".to_owned());
            }
        }
        if !line.records.is_null() && !stage.records {
            let remedy = "remove it, or add builtin = \"records\" to [[tools]]".to_owned();
            return wrong("records".to_owned(), "the project has no records".to_owned(), remedy);
        }
    }
    Ok(())
}

impl Taskset for Project {
    fn name(&self) -> &str {
        &self.recipe.name
    }

    fn about(&self) -> &'static str {
        "A folder of your own tasks, tools and checkers."
    }

    fn len(&self, split: Split) -> Option<u64> {
        Some(self.tasks.get(split.name()).map_or(0, |tasks| tasks.len() as u64))
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        let tasks = self.tasks.get(split.name()).map(Vec::as_slice).unwrap_or_default();
        let line = usize::try_from(index).ok().and_then(|index| tasks.get(index));
        let line = line.ok_or_else(|| EnvError::NoSuchTask {
            taskset: self.recipe.name.clone(),
            split: split.name(),
            index,
            len: tasks.len() as u64,
        })?;
        Ok(Task {
            id: line.id.clone(),
            kind: line.kind.clone(),
            system: line.system.clone().or_else(|| self.recipe.system.clone()),
            instruction: line.prompt.clone(),
            seed: Stream::new(0).named("project/1").named(&line.id).seed(),
            data: serde_json::to_value(line).map_err(|error| EnvError::Data {
                what: format!("task {} cannot be written as JSON ({error})", line.id),
                remedy: "report this as a bug".to_owned(),
            })?,
        })
    }

    fn environment(&self, _task: &Task) -> Box<dyn Environment> {
        Box::new(World::new(self.stage.clone()))
    }

    fn budget(&self) -> Budget {
        self.recipe.limits.budget(self.checkers.len())
    }

    fn questions(&self, task: &Task, episode: &Episode, environment: &dyn Environment) -> Vec<Question> {
        if self.judges().is_empty() {
            return Vec::new();
        }
        let (state, answer) = (environment.state(), answer(episode));
        let answer = answer.as_deref();
        let expected = task.data.get("expected").and_then(Value::as_object);
        let question = |(name, expected): (&String, &Value)| {
            self.checkers.get(name)?.question(&Evidence {
                task,
                expected,
                answer,
                state: &state,
                episode,
            })
        };
        expected.into_iter().flatten().filter_map(question).collect()
    }

    fn judges(&self) -> Vec<Judges> {
        self.checkers.values().filter_map(|checker| checker.judges()).collect()
    }

    fn score(&self, task: &Task, episode: &Episode, environment: &dyn Environment) -> Score {
        let state = environment.state();
        let answer = answer(episode);
        let answer = answer.as_deref();
        let mut parts = Vec::new();
        let mut value = f64::INFINITY;
        let expected = task.data.get("expected").and_then(Value::as_object);
        for (name, expected) in expected.into_iter().flatten() {
            let evidence = Evidence {
                task,
                expected,
                answer,
                state: &state,
                episode,
            };
            let found = match self.checkers.get(name) {
                Some(checker) => checker.check(&evidence),
                None => Err("there is no such checker".to_owned()),
            };
            let (found, why) = match found {
                Ok(finding) => {
                    let inner = finding.parts.into_iter().map(|part| ScorePart {
                        name: format!("{name}/{}", part.name),
                        ..part
                    });
                    parts.extend(inner);
                    (finding.value, finding.why)
                }
                Err(cause) => (f64::NAN, cause),
            };
            // One that cannot tell makes the whole unknown.
            value = if value.is_nan() || found.is_nan() {
                f64::NAN
            } else {
                value.min(found)
            };
            parts.push(ScorePart {
                name: name.clone(),
                value: found,
                why,
            });
        }
        Score {
            scorer: self.recipe.name.clone(),
            version: "1".to_owned(),
            hash: self.rule.clone(),
            value: if value.is_finite() { value } else { f64::NAN },
            parts,
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        SCRIPTS
    }

    fn script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let line: TaskLine = serde_json::from_value(task.data.clone()).ok()?;
        Some(Box::new(Agent::new(name, &line, &self.stage.specs, stream)?))
    }
}

/// The agent's final answer, if it gave one: what the user's own agent loop said, what the tool that ended the episode was
/// given (`finish`), or the last turn.
fn answer(episode: &Episode) -> Option<Cow<'_, str>> {
    if episode.end == EndReason::Terminal {
        let last = episode.tool_calls.last().filter(|call| call.error.is_none())?;
        return last.result.get("answer").map(|answer| match answer {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        });
    }
    if episode.end != EndReason::Answered {
        return None;
    }
    let said = episode.events.iter().rev().find(|event| event.kind == "answer");
    if let Some(text) = said.and_then(|event| event.detail.get("text")) {
        return text.as_str().map(Cow::Borrowed);
    }
    match episode.turns.last() {
        Some(Turn::Agent { model_call }) => {
            let call = episode.model_calls.get(*model_call as usize)?;
            Some(Cow::Borrowed(call.text.as_str()))
        }
        _ => None,
    }
}
