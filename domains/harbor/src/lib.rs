//! Harbor's task directories (`task.toml`, `instruction.md`, `environment/`, `tests/`, `solution/`) as a taskset.
//!
//! A task is played in a sandbox of this machine: what its environment asks for is met there, or the task is refused with the
//! reason. There are no container images here, and none is imitated.
//!
//! Invariants:
//! * The agent never sees `tests/` and `solution/`.
//! * The verifier runs in a sandbox of its own, made after the agent's last call, with the files of the agent's working folder
//!   and with tests fresh from the task's directory. Nothing else of the agent's is there: no process, no reward file, no test.
//! * A reward is a finite number from a plain file of at most 1 MiB; anything else is no reward.
//!
//! Deliberately not here: images, networks, tasks of several steps.

#![cfg(target_os = "linux")]

mod dockerfile;
mod task;
mod verify;
mod world;

use hone_env::{Budget, EnvError, Environment, ScriptInfo, ScriptRole, Split, Task, Taskset};
use hone_model::{AgentTurn, Message, Script};
use hone_sandbox::{Interpreter, InterpreterSettings, ProcessRuntime};
use hone_trace::{Episode, Score, ScorePart, Stream};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use task::Directory;

/// Seconds that a task adds to its verifier's bound: for the sandbox's own work.
const SPARE: u64 = 60;

/// The taskset: the directories below one, or one alone. All are in the split `test`.
pub struct Harbor {
    name: String,
    tasks: Vec<Arc<Directory>>,
    interpreter: Interpreter,
}

impl Harbor {
    /// Reads a task's directory, or one of such directories. With `only_possible`, tasks that cannot be met here are left out;
    /// otherwise they are an error.
    ///
    /// # Errors
    /// When there is no task, one has a mistake or cannot be met here, or there is no sandbox.
    pub fn load(name: &str, folder: &Path, only_possible: bool) -> Result<Self, EnvError> {
        let data = |what: String, remedy: &str| EnvError::Data {
            what,
            remedy: remedy.to_owned(),
        };
        let mut folders = Vec::new();
        if folder.join("task.toml").is_file() {
            folders.push(folder.to_owned());
        } else {
            let entries = std::fs::read_dir(folder)
                .map_err(|error| data(format!("{}: {error}", folder.display()), "name a folder of tasks"))?;
            folders.extend(
                entries
                    .flatten()
                    .map(|entry| entry.path())
                    .filter(|path| path.join("task.toml").is_file()),
            );
            folders.sort();
        }
        let (mut tasks, mut refused) = (Vec::new(), Vec::new());
        for folder in &folders {
            let directory = Directory::read(folder)?;
            match directory.impossible() {
                None => tasks.push(Arc::new(directory)),
                Some(why) => refused.push(format!("{}: {why}", directory.name)),
            }
        }
        if !refused.is_empty() && (!only_possible || tasks.is_empty()) {
            let shown = refused.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
            let what = format!(
                "{} of {} tasks cannot be met in a sandbox of this machine: {shown}",
                refused.len(),
                folders.len()
            );
            return Err(data(
                what,
                "leave them out with harbor-possible:DIR, or run them where there are containers",
            ));
        }
        if tasks.is_empty() {
            let what = format!("there is no task.toml in {} or in a folder of it", folder.display());
            return Err(data(what, "name a task's directory, or one that holds some"));
        }
        let sandbox =
            |error: hone_sandbox::Error| data(format!("Harbor's tasks need a sandbox: {error}"), "see `hone doctor`");
        let runtime = ProcessRuntime::new().map_err(sandbox)?;
        Ok(Self {
            name: name.to_owned(),
            tasks,
            interpreter: Interpreter::start(&runtime, &InterpreterSettings::default()).map_err(sandbox)?,
        })
    }

    fn directory(&self, task: &Task) -> Option<&Arc<Directory>> {
        let name = task.data["name"].as_str()?;
        self.tasks.iter().find(|directory| directory.name == name)
    }
}

impl Taskset for Harbor {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> &'static str {
        "Tasks in Harbor's format, played with bash in a sandbox and graded by their own tests."
    }

    fn len(&self, split: Split) -> Option<u64> {
        Some(match split {
            Split::Test => self.tasks.len() as u64,
            Split::Train | Split::Validation => 0,
        })
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        let found = (split == Split::Test)
            .then(|| self.tasks.get(usize::try_from(index).ok()?))
            .flatten();
        let directory = found.ok_or_else(|| EnvError::NoSuchTask {
            taskset: self.name.clone(),
            split: split.name(),
            index,
            len: self.len(split).unwrap_or(0),
        })?;
        Ok(Task {
            id: format!("{}/{index}", split.name()),
            kind: directory.kind.clone(),
            system: None,
            instruction: directory.instruction.clone(),
            seed: Stream::new(0).named("harbor").named(&directory.name).seed(),
            data: json!({"name": directory.name, "digest": directory.digest}),
        })
    }

    fn environment(&self, task: &Task) -> Box<dyn Environment> {
        Box::new(world::World::new(
            self.interpreter.clone(),
            self.directory(task).cloned(),
        ))
    }

    fn budget(&self) -> Budget {
        let longest = |of: fn(&Directory) -> u64| self.tasks.iter().map(|directory| of(directory)).max().unwrap_or(600);
        let (agent, verifier) = (longest(|d| d.agent_seconds), longest(|d| d.verifier_seconds));
        Budget {
            max_turns: 100,
            max_calls: 200,
            tool_timeout_ms: (verifier.max(world::SECONDS) + SPARE) * 1000,
            episode_timeout_ms: agent * 1000,
            ..Budget::default()
        }
    }

    /// The verifier's reward; each other number that it gives is a part.
    fn score(&self, task: &Task, _: &Episode, environment: &dyn Environment) -> Score {
        let state = environment.state();
        let (value, mut parts, why) = match self.directory(task) {
            None => (f64::NAN, Vec::new(), "the task is not one of this taskset".to_owned()),
            Some(directory) => match verify::verify(&self.interpreter, directory, &state) {
                Ok(verdict) => (verdict.reward, verdict.others, verdict.why),
                Err(error) => (f64::NAN, Vec::new(), error),
            },
        };
        parts.insert(0, ("reward".to_owned(), value, why));
        Score {
            scorer: "harbor".to_owned(),
            version: "1".to_owned(),
            hash: task.data["digest"].as_str().unwrap_or_default().to_owned(),
            value,
            parts: parts
                .into_iter()
                .map(|(name, value, why)| ScorePart { name, value, why })
                .collect(),
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        &[
            ScriptInfo {
                name: "oracle",
                about: "Runs the task's own solution.",
                role: ScriptRole::Expert,
            },
            ScriptInfo {
                name: "do_nothing",
                about: "Says done at once.",
                role: ScriptRole::Baseline,
            },
        ]
    }

    fn script(&self, name: &str, task: &Task, _: &Stream) -> Option<Box<dyn Script>> {
        let code = match name {
            "oracle" => Some(self.directory(task)?.solve()?),
            "do_nothing" => None,
            _ => return None,
        };
        Some(Box::new(Once(code)))
    }
}

/// Runs a script if it has one, then says that it is done.
struct Once(Option<String>);

impl Script for Once {
    fn next(&mut self, _: &[Message]) -> AgentTurn {
        match self.0.take() {
            Some(code) => AgentTurn::call("bash", json!({"code": code})),
            None => AgentTurn::Say("done".to_owned()),
        }
    }
}
