//! Python and bash in a sandbox: a session for each episode.
//!
//! The clock and random numbers that Python sees are those of the task's seed, so that the same calls give the same
//! answers; what bash runs may read the true ones.

use crate::arguments::{WRITES, tool, word};
use crate::files::{Folder, MAX_BYTES};
use crate::{Card, Kit};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_sandbox::{
    Artifact, ArtifactLimits, Call, Deterministic, Error, InterpreterSettings, Language, Lease, Level, Limits, Outcome,
    Pool, PoolError, PoolSettings, ProcessRuntime, Property, Reply, Runtime, SessionSettings,
};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec, object_schema};
use hone_trace::{Media, ToolErrorClass};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest code of a call, in characters.
const MAX_CODE: usize = 100_000;
/// Most seconds that a recipe can give a call. With what a sandbox may take for its own work (20 s) this lies within a
/// recipe's bound of a call (95 s unless `timeout_ms` says otherwise): beyond that the episode would be lost.
const MAX_SECONDS: u64 = 60;
/// MiB of figures, tables and files that are kept of an episode, unless a recipe says otherwise, and the most that it can say.
const KEEP: u64 = 4;
const MAX_KEEP: u64 = 64;
/// The time at the start of an episode, for Python: 1 January 2025, in seconds since 1970.
const NOW: f64 = 1_735_689_600.0;

/// Settings of either kit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The interpreter; `python3` without it. Its packages come with it.
    pub python: Option<PathBuf>,
    /// Modules that are imported once for all episodes.
    #[serde(default)]
    pub preload: Vec<String>,
    /// Seconds of a call; 10 without it.
    pub seconds: Option<u64>,
    /// MiB of memory; 512 without it.
    pub memory: Option<u64>,
    /// Processors at a time; all without it.
    pub processors: Option<u32>,
    /// MiB of figures, tables and files that are kept with the record of an episode; 4 without it.
    pub keep: Option<u64>,
    /// The least that must hold of a sandbox's bounds here, such as `memory = "enforced"`.
    #[serde(default)]
    pub demand: BTreeMap<Property, Level>,
}

/// The kit of one language.
pub struct Code {
    specs: Arc<Vec<ToolSpec>>,
    sessions: Arc<Pool>,
    settings: SessionSettings,
    /// Bytes that are kept of an episode.
    keep: u64,
    /// Whether sessions begin with the files of the episode's folder.
    files: bool,
}

/// Replaces an interpreter that has ended. How many episodes there are at a time is not its matter.
const SESSIONS: PoolSettings = PoolSettings {
    sessions: usize::MAX,
    per_run: usize::MAX,
    queue: usize::MAX,
    ttl: Limits::LONGEST,
    heartbeat: Limits::LONGEST,
    recycle: 100_000,
};

fn name(language: Language) -> &'static str {
    match language {
        Language::Python => "python",
        Language::Bash => "bash",
    }
}

fn spec(language: Language) -> ToolSpec {
    let (tool_name, about, code) = match language {
        Language::Python => (
            "python",
            "Run Python code in a session that keeps its variables from call to call. What the code prints is shown, the value of its last expression, and the names of figures and files that it makes. There is no network; files are in the current folder.",
            "the code, as in a cell of a notebook",
        ),
        Language::Bash => (
            "bash",
            "Run a script in a bash session that keeps its folder, variables and functions from call to call. Output, errors, a status that is not 0 and the names of files that it writes are shown. There is no network; files are in the current folder.",
            "the script",
        ),
    };
    let code = json!({"type": "string", "minLength": 1, "maxLength": MAX_CODE, "description": code});
    tool(tool_name, about, object_schema(json!({"code": code}), &[]), WRITES)
}

/// What the tool is, for the catalogue.
pub(crate) fn card(language: Language) -> Card {
    let limits = limits(&Settings::default());
    let kept = ArtifactLimits::default();
    let shared = "`seconds`: of a call, up to 60 (default: 10); `memory`: in MiB (default: 512); `processors`: at a time (default: all; needs cgroup v2); `keep`: MiB of files that are kept with an episode (default: 4); `demand`: the least that must hold here, such as `{memory = \"enforced\"}` (see `hone doctor`)";
    let (about, settings) = match language {
        Language::Python => (
            "Python in a sandbox; variables are kept, the last expression is shown",
            "`python`: the interpreter, such as that of a virtual environment (default: `python3`); `preload`: modules to import once; `seconds`: of a call, up to 60 (default: 10); `memory`: in MiB (default: 512); `processors`: at a time (default: all; needs cgroup v2); `keep`: MiB of figures, tables and files that are kept with an episode (default: 4); `demand`: the least that must hold here, such as `{memory = \"enforced\"}` (see `hone doctor`)",
        ),
        Language::Bash => (
            "bash in a sandbox; the folder, variables and functions are kept",
            shared,
        ),
    };
    Card {
        name: name(language),
        about,
        settings,
        limits: format!(
            "{MAX_CODE} characters of code; {} processes, {} open files, files of {} MiB, {} MiB together; {} KiB of output; of a call {} files of {} MiB are kept, and as many figures and tables; no network ([security.md](security.md))",
            limits.processes,
            limits.open_files,
            limits.file_size >> 20,
            limits.disk >> 20,
            limits.output >> 10,
            kept.number,
            kept.each >> 20,
        ),
        specs: vec![spec(language)],
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        wall: Duration::from_secs(settings.seconds.unwrap_or(10)),
        memory: settings.memory.unwrap_or(512) << 20,
        processors: settings.processors,
        output: 32 << 10,
        ..Limits::default()
    }
}

impl Code {
    /// A kit whose sandbox is there and whose interpreter runs. With `files` sessions begin with a copy of the files of the
    /// episode's folder.
    ///
    /// # Errors
    /// The setting that is wrong (empty if it is the system), what is, and what to do.
    pub fn new(language: Language, settings: Settings, files: bool) -> Result<Self, (&'static str, String, String)> {
        if !(1..=MAX_SECONDS).contains(&settings.seconds.unwrap_or(1)) {
            let what = format!("calls take 1 to {MAX_SECONDS} s");
            return Err(("seconds", what, "choose a number in between".to_owned()));
        }
        if !(32..=1 << 20).contains(&settings.memory.unwrap_or(32)) {
            return Err((
                "memory",
                "sessions have 32 MiB or more".to_owned(),
                "choose more, in MiB".to_owned(),
            ));
        }
        if settings.processors == Some(0) {
            let what = "code needs a processor".to_owned();
            return Err(("processors", what, "choose 1 or more, or leave it out".to_owned()));
        }
        if settings.keep.unwrap_or(0) > MAX_KEEP {
            let what = format!("at most {MAX_KEEP} MiB are kept of an episode");
            return Err(("keep", what, "choose less, in MiB".to_owned()));
        }
        if language == Language::Bash && !(settings.python.is_none() && settings.preload.is_empty()) {
            return Err((
                "python",
                "it is a setting of `python`".to_owned(),
                "leave it out".to_owned(),
            ));
        }
        let refused = |error: Error| match error {
            Error::Unavailable { what, remedy } | Error::TooWeak { what, remedy } => ("", what, remedy),
            error => (
                "python",
                error.to_string(),
                "`hone doctor` shows what there is".to_owned(),
            ),
        };
        let runtime = ProcessRuntime::new().map_err(refused)?;
        let bounded = settings.processors.map(|_| (Property::Cpu, Level::Enforced));
        let demand = settings.demand.iter().map(|(&property, &level)| (property, level));
        for (key, demand) in [
            ("processors", bounded.into_iter().collect::<Vec<_>>()),
            ("demand", demand.collect()),
        ] {
            if let Err(Error::TooWeak { what, remedy }) = runtime.guarantees().require(&demand) {
                return Err((key, what, remedy));
            }
        }
        let start = InterpreterSettings {
            python: settings.python.clone(),
            preload: settings.preload.clone(),
        };
        Ok(Self {
            specs: Arc::new(vec![spec(language)]),
            sessions: Pool::start(Arc::new(runtime), start, SESSIONS).map_err(refused)?,
            settings: SessionSettings {
                limits: limits(&settings),
                artifacts: Some(ArtifactLimits::default()),
                ..SessionSettings::new(language)
            },
            keep: settings.keep.unwrap_or(KEEP) << 20,
            files,
        })
    }
}

impl Kit for Code {
    fn name(&self) -> &'static str {
        name(self.settings.language)
    }

    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn open(&self, folder: &Path) -> Result<Box<dyn Environment>, EnvError> {
        Ok(Box::new(Room {
            specs: self.specs.clone(),
            sessions: Arc::clone(&self.sessions),
            settings: self.settings,
            keep: self.keep,
            folder: self.files.then(|| folder.to_owned()),
            session: None,
            kept: 0,
            made: Vec::new(),
        }))
    }

    /// Results may depend on the interpreter.
    fn digest(&self) -> String {
        format!("Python {}", self.sessions.version())
    }
}

/// An episode's session, which its first call starts.
struct Room {
    specs: Arc<Vec<ToolSpec>>,
    sessions: Arc<Pool>,
    settings: SessionSettings,
    keep: u64,
    /// Whose files it begins with.
    folder: Option<PathBuf>,
    session: Option<Lease>,
    /// Bytes that are kept so far.
    kept: u64,
    /// What calls made that is not recorded yet: an error has no files, so that they go to the next call that ends well.
    made: Vec<Media>,
}

/// Most files whose record waits for a call that ends well.
const WAITING: usize = 64;

impl Room {
    /// A session with the episode's files.
    fn begin(&self) -> Result<Lease, ToolError> {
        let session = self.sessions.session("", &self.settings, Duration::ZERO);
        let mut session = session.map_err(|error| match error {
            PoolError::Sandbox(error) => failed(error),
            error => lost(error.to_string()),
        })?;
        let Some(folder) = &self.folder else { return Ok(session) };
        let cannot = |what: String| lost(format!("the episode's files cannot be had in the session: {what}"));
        let folder = Folder::open(folder).map_err(|error| cannot(error.to_string()))?;
        let files = folder.walk().map_err(|error| cannot(error.to_string()))?;
        for path in files.keys() {
            let content = folder
                .content(path, MAX_BYTES as usize)
                .map_err(|error| cannot(error.to_string()))?;
            session
                .with(|session| session.put(path, &content))
                .map_err(|error| cannot(error.to_string()))?;
        }
        Ok(session)
    }

    /// For the record: each by its hash, with its content as long as there is room.
    fn keep(&mut self, artifacts: Vec<Artifact>) {
        for artifact in artifacts {
            let mime = artifact.mime();
            // Of a file that is too large not even the hash is known.
            let Some(content) = artifact.content else { continue };
            if self.made.len() >= WAITING {
                return;
            }
            let mut media = Media::new(artifact.name, mime, content);
            match self.keep.checked_sub(self.kept).is_some_and(|left| media.bytes <= left) {
                true => self.kept += media.bytes,
                false => media.content = None,
            }
            self.made.push(media);
        }
    }
}

impl ToolHost for Room {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        if tool != name(self.settings.language) {
            return Err(crate::arguments::unknown(tool));
        }
        if self.session.is_none() {
            self.session = Some(self.begin()?);
        }
        let call = Call {
            code: word(arguments, "code"),
            ..Call::default()
        };
        let session = self
            .session
            .as_mut()
            .ok_or_else(|| lost("there is no session".to_owned()))?;
        let mut reply = session.call(&call).map_err(failed)?;
        let told = told(&reply, &self.settings);
        self.keep(std::mem::take(&mut reply.shown));
        self.keep(std::mem::take(&mut reply.files));
        told.map(|output| ToolOutput {
            media: std::mem::take(&mut self.made),
            ..output
        })
    }
}

fn lost(message: String) -> ToolError {
    ToolError {
        class: ToolErrorClass::Infrastructure,
        message,
    }
}

/// The code is not to blame, unless it cannot be run at all.
fn failed(error: Error) -> ToolError {
    let class = match error {
        Error::Spec(_) => ToolErrorClass::Tool,
        _ => ToolErrorClass::Infrastructure,
    };
    ToolError {
        class,
        message: error.to_string(),
    }
}

/// What the model reads: the output, then what came of it.
fn told(reply: &Reply, settings: &SessionSettings) -> Result<ToolOutput, ToolError> {
    let limits = &settings.limits;
    let mut text = reply.output.text();
    let line = |text: &mut String, line: &str| {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(line);
    };
    let problem = match &reply.outcome {
        Outcome::Ok { status: None | Some(0) } => None,
        Outcome::Ok { status: Some(status) } => Some(format!("[status {status}]")),
        Outcome::Exit { status: 0 } => None,
        Outcome::Exit { status } => Some(format!("[the code ended with status {status}]")),
        Outcome::Error { traceback, .. } => Some(traceback.clone()),
        Outcome::Timeout => Some(format!("[the call was ended after {} s]", limits.wall.as_secs())),
        Outcome::Memory => Some(format!(
            "[the call was ended: it had more than {} MiB of memory]",
            limits.memory >> 20
        )),
        Outcome::Output => Some("[the call was ended: it wrote without end]".to_owned()),
        Outcome::Died {
            status: Some(status), ..
        } => Some(format!("[the session ended with status {status}]")),
        Outcome::Died {
            signal: Some(signal), ..
        } => Some(format!("[the session was ended by signal {signal}]")),
        Outcome::Died { .. } => Some("[the session ended]".to_owned()),
        Outcome::Protocol => Some("[the session was ended: the code had changed the interpreter itself]".to_owned()),
    };
    if let Some(value) = &reply.value {
        line(&mut text, value);
    }
    for artifact in &reply.shown {
        line(&mut text, &shown(artifact));
    }
    for file in &reply.files {
        line(&mut text, &format!("[file {}, {} bytes]", plain(&file.name), file.size));
    }
    if reply.more_files > 0 {
        line(&mut text, &format!("[and {} more files]", reply.more_files));
    }
    if let Some(problem) = &problem {
        line(&mut text, problem);
    }
    if reply.lost {
        line(
            &mut text,
            "[variables are gone; files are kept. The next call begins anew.]",
        );
    }
    if text.is_empty() {
        text.push_str("[no output]");
    }
    match problem {
        Some(_) => Err(ToolError::tool(text)),
        None => Ok(ToolOutput {
            data: json!({"output": reply.output.text(), "value": reply.value}),
            text,
            ..ToolOutput::default()
        }),
    }
}

/// A figure or table in a line.
fn shown(artifact: &Artifact) -> String {
    let (name, about) = (plain(&artifact.name), plain(&artifact.about));
    let kind = if artifact.mime() == "text/csv" {
        "table"
    } else {
        "figure"
    };
    match (&artifact.content, about.is_empty()) {
        (Some(_), true) => format!("[{kind} {name}, {} bytes]", artifact.size),
        (Some(_), false) => format!("[{kind} {name}, {about}, {} bytes]", artifact.size),
        (None, _) => format!("[{kind} {name} is left out: {about}]"),
    }
}

/// What code calls something, in one line: what cannot be seen is escaped.
fn plain(name: &str) -> String {
    let seen = |c: char| matches!(c, '\'' | '"' | '\\');
    let one = |c: char| match seen(c) {
        true => c.to_string(),
        false => c.escape_debug().to_string(),
    };
    name.chars().map(one).collect()
}

impl Environment for Room {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        self.session = None;
        self.kept = 0;
        self.made.clear();
        self.settings.deterministic = Some(Deterministic {
            seed: task.seed,
            now: NOW,
        });
        Ok(())
    }

    fn state(&self) -> Value {
        Value::Null
    }

    fn fork_kind(&self) -> Fork {
        match self.settings.language {
            Language::Python => Fork::Replay,
            Language::Bash => Fork::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call must end before the episode's own bound of it, or the episode is lost.
    #[test]
    fn calls_that_would_outlast_the_episodes_bound_are_refused() {
        for seconds in [0, MAX_SECONDS + 1, u64::MAX] {
            let settings = Settings {
                seconds: Some(seconds),
                ..Settings::default()
            };
            let refused = Code::new(Language::Python, settings, false).err().unwrap();
            assert_eq!(refused.0, "seconds");
            assert!(refused.1.contains("1 to 60 s"), "{}", refused.1);
        }
    }
}
