//! Kits by name, with their settings.

use crate::{Kit, Set, calculator, catalogue, files, finish, memory, sql};
use hone_env::EnvError;
use hone_tool::ToolSpec;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The kits that only a build with the feature `full` has.
#[cfg(not(feature = "full"))]
const ELSEWHERE: [&str; 5] = ["bash", "clock", "fetch", "python", "search"];

/// What is wrong with the settings of a kit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {what}; {remedy}")]
pub struct Wrong {
    /// The kit, or its setting: `sql.file`.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub remedy: String,
}

impl Wrong {
    fn new(key: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// Where the paths in settings begin.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// Whether paths must stay inside of it, as those of a project do; files are then those of the episode.
    pub confined: bool,
}

impl Place<'_> {
    fn path(&self, key: &str, path: &Path) -> Result<PathBuf, Wrong> {
        let plain = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if self.confined && (!plain || path.as_os_str().is_empty()) {
            let what = format!("`{}` is no path below the project's folder", path.display());
            return Err(Wrong::new(key, what, "write a relative path without `..`"));
        }
        Ok(self.folder.join(path))
    }
}

/// Several kits with their settings, checked. Cheap to copy.
#[derive(Clone)]
pub struct Standard(Arc<Kits>);

struct Kits {
    kits: Vec<Box<dyn Kit>>,
    specs: Vec<ToolSpec>,
    owners: BTreeMap<String, usize>,
}

impl Standard {
    /// Kits by name with their settings, each an object.
    ///
    /// # Errors
    /// The first mistake in them.
    pub fn new(settings: &Map<String, Value>, place: &Place<'_>) -> Result<Self, Wrong> {
        let mut made = Kits {
            kits: Vec::new(),
            specs: Vec::new(),
            owners: BTreeMap::new(),
        };
        for (name, settings) in settings {
            let kit = kit(name, settings, place)?;
            for spec in kit.specs() {
                if made.owners.insert(spec.name.clone(), made.kits.len()).is_some() {
                    let what = format!("another kit has a tool `{}` too", spec.name);
                    return Err(Wrong::new(name, what, "leave one of them out"));
                }
                made.specs.push(spec.clone());
            }
            made.kits.push(kit);
        }
        Ok(Self(Arc::new(made)))
    }

    /// The tools, by kit.
    pub fn specs(&self) -> &[ToolSpec] {
        &self.0.specs
    }

    /// Whether all tools answer in microseconds and touch nothing outside their own memory.
    pub fn inline(&self) -> bool {
        self.0.kits.iter().all(|kit| kit.inline())
    }

    /// SHA-256 in hex of what the tools read besides their settings and the episode's folder.
    pub fn digest(&self) -> String {
        let digests: Vec<String> = self
            .0
            .kits
            .iter()
            .map(|kit| format!("{} {}", kit.name(), kit.digest()))
            .collect();
        let digest = Sha256::digest(digests.join("\n"));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The tools for one episode whose folder is `folder`.
    ///
    /// # Errors
    /// When they cannot be had.
    pub fn open(&self, folder: &Path) -> Result<Set, EnvError> {
        let parts: Result<Vec<_>, _> = self.0.kits.iter().map(|kit| kit.open(folder)).collect();
        Ok(Set::new(self.clone(), parts?))
    }

    pub(crate) fn kits(&self) -> &[Box<dyn Kit>] {
        &self.0.kits
    }

    pub(crate) fn owner(&self, tool: &str) -> Option<usize> {
        self.0.owners.get(tool).copied()
    }
}

fn read<T: DeserializeOwned>(name: &str, settings: &Value) -> Result<T, Wrong> {
    let read = T::deserialize(settings);
    read.map_err(|error| Wrong::new(name, error.to_string(), "docs/standard-tools.md shows every setting"))
}

fn kit(name: &str, settings: &Value, place: &Place<'_>) -> Result<Box<dyn Kit>, Wrong> {
    match name {
        "calculator" => {
            let calculator::Settings {} = read(name, settings)?;
            Ok(Box::new(calculator::Calculator))
        }
        #[cfg(all(feature = "full", target_os = "linux"))]
        "bash" | "python" => {
            let language = match name {
                "bash" => hone_sandbox::Language::Bash,
                _ => hone_sandbox::Language::Python,
            };
            let mut settings: crate::code::Settings = read(name, settings)?;
            // A name without a folder is looked for in PATH.
            if let Some(python) = settings
                .python
                .as_mut()
                .filter(|python| python.components().count() > 1)
            {
                *python = place.folder.join(&*python);
            }
            let made = crate::code::Code::new(language, settings, place.confined);
            Ok(Box::new(made.map_err(|(key, what, remedy)| match key {
                "" => Wrong::new(name, what, remedy),
                key => Wrong::new(format!("{name}.{key}"), what, remedy),
            })?))
        }
        #[cfg(feature = "full")]
        "clock" => {
            let made = crate::clock::Clock::new(&read(name, settings)?);
            Ok(Box::new(made.map_err(|(key, what)| {
                Wrong::new(format!("clock.{key}"), what, "docs/standard-tools.md shows each form")
            })?))
        }
        #[cfg(feature = "full")]
        "fetch" => {
            let made = crate::fetch::Fetch::new(&read(name, settings)?);
            let remedy = "name hosts such as example.org, *.example.org or localhost:8080";
            Ok(Box::new(made.map_err(|what| Wrong::new("fetch.allow", what, remedy))?))
        }
        "files" => {
            let files::Settings { root } = read(name, settings)?;
            if place.confined && root.is_some() {
                let remedy = "remove it; the files of a project are those of the episode";
                return Err(Wrong::new("files.root", "a project has none", remedy));
            }
            let root = root.map(|root| place.path("files.root", &root)).transpose()?;
            if let Some(root) = root.as_ref().filter(|root| !root.is_dir()) {
                let what = format!("there is no folder {}", root.display());
                return Err(Wrong::new("files.root", what, "make it, or name another"));
            }
            Ok(Box::new(files::Files::new(files::Settings { root })))
        }
        "finish" => {
            let made = finish::Finish::new(read(name, settings)?);
            Ok(Box::new(
                made.map_err(|what| Wrong::new("finish.schema", what, "mend it"))?,
            ))
        }
        "memory" => {
            let made = memory::Memory::new(read(name, settings)?, place.folder);
            Ok(Box::new(made.map_err(|error| match error {
                memory::MemoryError::Embedder(what) => Wrong::new("memory.embedder", what, "mend the command"),
                error => Wrong::new("memory.notes", error.to_string(), "begin with less"),
            })?))
        }
        #[cfg(feature = "full")]
        "search" => {
            let crate::search::Settings { corpus, embedder } = read(name, settings)?;
            let path = place.path("search.corpus", &corpus)?;
            let corpus = crate::search::Corpus::read(&path, embedder.as_deref(), place.folder);
            let corpus = corpus.map_err(|what| Wrong::new("search.corpus", what, "mend it, or name another"))?;
            Ok(Box::new(crate::search::Search::new(corpus)))
        }
        "sql" => {
            let sql::Settings { file } = read(name, settings)?;
            let file = place.path("sql.file", &file)?;
            let made = sql::Sql::new(&file);
            Ok(Box::new(
                made.map_err(|(what, remedy)| Wrong::new("sql.file", what, remedy))?,
            ))
        }
        #[cfg(not(feature = "full"))]
        name if ELSEWHERE.contains(&name) => {
            let remedy = "build one that has: cargo build --release -p hone --features tools";
            Err(Wrong::new(name, "this build has no such tools", remedy))
        }
        _ => {
            let names: Vec<&str> = catalogue().iter().map(|card| card.name).collect();
            let remedy = format!("there are: {}", names.join(", "));
            Err(Wrong::new(name, "there are no standard tools of that name", remedy))
        }
    }
}
