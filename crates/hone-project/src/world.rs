//! The world of one episode: its folder, and the tools of all sources.

use crate::TaskLine;
use crate::chooser::{Chooser, Chosen, FIND_TOOLS};
use crate::error::inside;
use crate::tasks::TaskFile;
use crate::tools::{Scene, Source};
use hone_env::{EnvError, Environment, Fork, Task};
use hone_standard::files::{Folder, MAX_FILES};
use hone_tool::{ToolError, ToolHost, ToolOutput, ToolSpec, Toolset};
use hone_trace::ToolErrorClass;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The part of the state that the folder is.
pub(crate) const FILES: &str = "files";

/// All files below a folder by path: short texts as they are, others as `{"bytes", "sha256"}`. Links are passed over.
///
/// # Errors
/// When there is too much of it, or it cannot be read.
pub(crate) fn scan(folder: &Path) -> Result<Map<String, Value>, String> {
    let opened =
        Folder::open(folder).map_err(|error| format!("the folder {} cannot be read ({error})", folder.display()))?;
    opened.snapshot().map_err(|error| error.to_string())
}

/// Copy the files below `from` to `to`. Links are refused: what they point to may change or lie anywhere.
///
/// # Errors
/// Names the path.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    let mut count = 0;
    while let Some((from, to)) = folders.pop() {
        let cannot = |error: std::io::Error| format!("{} cannot be copied ({error})", from.display());
        std::fs::create_dir_all(&to).map_err(cannot)?;
        for entry in std::fs::read_dir(&from).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let kind = entry.file_type().map_err(cannot)?;
            count += 1;
            if count > MAX_FILES {
                return Err(format!("{} holds more than {MAX_FILES} files", from.display()));
            }
            if kind.is_dir() {
                folders.push((entry.path(), to.join(entry.file_name())));
            } else if kind.is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(cannot)?;
            } else {
                return Err(format!("{} is neither a file nor a folder", entry.path().display()));
            }
        }
    }
    Ok(())
}

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
    /// Which source a tool is of, and its name there.
    pub owners: BTreeMap<String, (usize, String)>,
    /// Whether there is nothing but memory: then there is no folder either.
    pub inline: bool,
    /// What chooses a task's tools out of these, if not all are shown.
    pub chooser: Option<Arc<dyn Chooser>>,
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
    chosen: Option<Chosen>,
}

impl World {
    pub fn new(stage: Arc<Stage>) -> Self {
        Self {
            stage,
            open: Vec::new(),
            folder: None,
            state: Value::Null,
            hash: None,
            chosen: None,
        }
    }

    fn begin(&mut self, task: &Task) -> Result<(), EnvError> {
        self.open.clear();
        self.folder = None;
        let line: TaskLine = serde_json::from_value(task.data.clone()).map_err(|error| EnvError::Data {
            what: format!("task {} is not one of a project ({error})", task.id),
            remedy: "take the task from the project".to_owned(),
        })?;
        if let Some(chooser) = &self.stage.chooser {
            let chosen = chooser.choose(&line.prompt).map_err(|what| EnvError::Data {
                what,
                remedy: "mend the embedder of `retrieve`, then play the episode again".to_owned(),
            })?;
            self.chosen = Some(chosen);
        }
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
        if let (FIND_TOOLS, Some(chooser), Some(chosen)) = (tool, &self.stage.chooser, &mut self.chosen) {
            return chooser.find(chosen, arguments);
        }
        let owner = self.stage.owners.get(tool);
        let owner = owner.and_then(|(owner, own)| Some((self.open.get_mut(*owner)?, own)));
        let Some((owner, own_name)) = owner else {
            return Err(ToolError {
                class: ToolErrorClass::Infrastructure,
                message: format!("the source of {tool} is not open"),
            });
        };
        let output = owner.call(own_name, arguments);
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

    /// A source that names no state may still have some.
    fn has_hidden_state(&self) -> bool {
        self.open.iter().any(|part| part.has_hidden_state())
    }

    fn chosen(&self) -> Option<Arc<Toolset>> {
        self.chosen.as_ref().map(|chosen| chosen.toolset.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn links_are_passed_over_and_not_copied() {
        let dir = TempDir::new().unwrap();
        let (inside, secret) = (dir.path().join("in"), dir.path().join("secret"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(&secret, "key").unwrap();
        copy(&inside, &dir.path().join("one")).unwrap();
        std::os::unix::fs::symlink(&secret, inside.join("link")).unwrap();
        assert!(scan(&inside).unwrap().is_empty());
        assert!(copy(&inside, &dir.path().join("two")).is_err());
    }
}
