//! The world of one episode: its folder, and the tools of all sources.

use crate::TaskLine;
use crate::error::inside;
use crate::tasks::TaskFile;
use crate::tools::{Scene, Source, copy, scan};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::ToolErrorClass;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// The part of the state that the folder is.
pub(crate) const FILES: &str = "files";

/// What the worlds of a project share.
pub(crate) struct Stage {
    /// The project's folder.
    pub project: PathBuf,
    /// The folder whose files every episode starts with.
    pub files: Option<PathBuf>,
    /// Whether there are records for a task to change.
    pub records: bool,
    /// The sources of tools.
    pub sources: Vec<Arc<dyn Source>>,
    /// The tools on offer.
    pub specs: Vec<ToolSpec>,
    /// Which source a tool is of.
    pub owners: BTreeMap<String, usize>,
    /// Whether there is nothing but memory: then there is no folder either.
    pub inline: bool,
}

/// The world of one episode.
///
/// The state is an object with a part for each source that has state, and `files` for the folder. It is read after every
/// call of a tool that may change something, so that [`Environment::state`] cannot fail.
pub(crate) struct World {
    stage: Arc<Stage>,
    open: Vec<Box<dyn Environment>>,
    folder: Option<TempDir>,
    state: Value,
    hash: Option<String>,
}

impl World {
    pub fn new(stage: Arc<Stage>) -> Self {
        Self {
            stage,
            open: Vec::new(),
            folder: None,
            state: Value::Null,
            hash: None,
        }
    }

    fn begin(&mut self, task: &Task) -> Result<(), EnvError> {
        self.open.clear();
        self.folder = None;
        let line: TaskLine = serde_json::from_value(task.data.clone()).map_err(|error| EnvError::Data {
            what: format!("task {} is not one of a project ({error})", task.id),
            remedy: "take the task from the project".to_owned(),
        })?;
        let nowhere = PathBuf::new();
        if !self.stage.inline {
            self.folder = Some(self.lay_out(&line).map_err(|what| EnvError::Data {
                what,
                remedy: "mend the task's files, or free some space where temporary files go".to_owned(),
            })?);
        }
        let folder = self.folder.as_ref().map_or(nowhere.as_path(), TempDir::path);
        for source in &self.stage.sources {
            let mut environment = source.open(&Scene { folder, line: &line })?;
            environment.reset(task)?;
            self.open.push(environment);
        }
        self.read_state().map_err(|what| EnvError::Data {
            what,
            remedy: "make the task's files fewer or smaller".to_owned(),
        })
    }

    /// A folder with the project's files and the task's.
    fn lay_out(&self, line: &TaskLine) -> Result<TempDir, String> {
        let cannot = |error: std::io::Error| format!("the episode's folder cannot be made ({error})");
        let folder = tempfile::Builder::new().prefix("hone-").tempdir().map_err(cannot)?;
        if let Some(files) = &self.stage.files {
            copy(files, folder.path())?;
        }
        for (path, source) in &line.files {
            let to = inside(folder.path(), path)?;
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent).map_err(cannot)?;
            }
            let done = match source {
                TaskFile::Text(text) => std::fs::write(&to, text),
                TaskFile::Copy { copy } => std::fs::copy(inside(&self.stage.project, copy)?, &to).map(|_| ()),
            };
            done.map_err(|error| format!("file `{path}` of the task cannot be written ({error})"))?;
        }
        Ok(folder)
    }

    fn read_state(&mut self) -> Result<(), String> {
        let mut parts = Map::new();
        if let Some(folder) = &self.folder {
            parts.insert(FILES.to_owned(), Value::Object(scan(folder.path())?));
        }
        for (source, environment) in self.stage.sources.iter().zip(&self.open) {
            let state = environment.state();
            if !state.is_null() {
                parts.insert(source.name().to_owned(), state);
            }
        }
        self.state = Value::Object(parts);
        let digest = Sha256::digest(self.state.to_string());
        self.hash = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(())
    }
}

impl ToolHost for World {
    fn specs(&self) -> &[ToolSpec] {
        &self.stage.specs
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<ToolOutput, ToolError> {
        let owner = self.stage.owners.get(tool).and_then(|owner| self.open.get_mut(*owner));
        let Some(owner) = owner else {
            return Err(ToolError {
                class: ToolErrorClass::Infrastructure,
                message: format!("the source of {tool} is not open"),
            });
        };
        let output = owner.call(tool, arguments);
        let spec = self.stage.specs.iter().find(|spec| spec.name == tool);
        if !spec.is_some_and(|spec| spec.annotations.read_only_hint) {
            self.read_state().map_err(|message| ToolError {
                class: ToolErrorClass::Infrastructure,
                message,
            })?;
        }
        output
    }

    fn state_hash(&self) -> Option<String> {
        self.hash.clone()
    }

    fn inline(&self) -> bool {
        self.stage.inline
    }
}

impl Environment for World {
    fn reset(&mut self, task: &Task) -> Result<(), EnvError> {
        self.state = Value::Null;
        self.hash = None;
        self.begin(task)
    }

    fn state(&self) -> Value {
        self.state.clone()
    }

    /// As its least able source.
    fn fork_kind(&self) -> Fork {
        let replays = self.open.iter().all(|part| part.fork_kind() != Fork::None);
        match replays && !self.open.is_empty() {
            true => Fork::Replay,
            false => Fork::None,
        }
    }
}
