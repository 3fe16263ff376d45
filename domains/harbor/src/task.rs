//! A task's directory.

use crate::dockerfile::{self, Copied};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hone_env::EnvError;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Value;

/// Most files of a task, and most bytes of all together.
const MAX_FILES: usize = 2_000;
const MAX_BYTES: u64 = 16 << 20;
/// Where a task may work: two names of one folder.
const PLACES: [&str; 2] = ["/app", "/work"];
/// Most memory and disk, in MiB, that a task may ask for.
const MOST: u64 = 4_096;

/// `task.toml`, as far as it is obeyed or refused. What else there is is left to others.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Settings {
    task: TaskTable,
    metadata: BTreeMap<String, Value>,
    agent: Bounds,
    verifier: Verifier,
    environment: Wanted,
    steps: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TaskTable {
    name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Bounds {
    timeout_sec: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Verifier {
    timeout_sec: Option<f64>,
    env: BTreeMap<String, String>,
    environment_mode: Option<String>,
    environment: Option<Value>,
    collect: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    docker_image: Option<String>,
    memory_mb: Option<u64>,
    storage_mb: Option<u64>,
    /// Older spellings, such as "2G".
    memory: Option<String>,
    storage: Option<String>,
    gpus: Option<u64>,
    workdir: Option<String>,
    env: BTreeMap<String, String>,
    healthcheck: Option<Value>,
    network_mode: Option<String>,
    allow_internet: Option<bool>,
    mcp_servers: Option<Value>,
}

/// A task's directory, read.
pub struct Directory {
    pub name: String,
    /// Its category or difficulty, for breakdowns.
    pub kind: String,
    pub instruction: String,
    pub agent_seconds: u64,
    pub verifier_seconds: u64,
    pub verifier_env: Vec<(String, String)>,
    /// Variables of the environment.
    pub env: Vec<(String, String)>,
    /// Files of the working folder at the start: path and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    pub tests: Vec<(String, Vec<u8>)>,
    solution: Vec<(String, Vec<u8>)>,
    /// Of memory and of disk, in bytes.
    pub memory: u64,
    pub disk: u64,
    /// SHA-256 of what grades.
    pub digest: String,
    /// Why it cannot be met here.
    impossible: Option<String>,
}

fn wrong(path: &Path, what: impl std::fmt::Display) -> EnvError {
    EnvError::Data {
        what: format!("{}: {what}", path.display()),
        remedy: "mend the task's directory".to_owned(),
    }
}

impl Directory {
    pub fn read(folder: &Path) -> Result<Self, EnvError> {
        let path = folder.join("task.toml");
        let text = |path: &Path| std::fs::read_to_string(path).map_err(|error| wrong(path, error));
        let settings: Settings = toml::from_str(&text(&path)?).map_err(|error| wrong(&path, error.message()))?;
        let seconds = |bound: Option<f64>| match bound {
            None => Ok(600),
            Some(seconds) if (1.0..=86_400.0).contains(&seconds) => Ok(seconds.ceil() as u64),
            Some(_) => Err(wrong(&path, "`timeout_sec` is not from 1 to 86,400")),
        };
        let folder_name = || folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let kind = ["category", "difficulty"]
            .into_iter()
            .find_map(|key| settings.metadata.get(key)?.as_str());
        let tests = all(&folder.join("tests"))?;
        if !tests.iter().any(|(path, _)| path == "test.sh") {
            return Err(wrong(&folder.join("tests/test.sh"), "it is not there"));
        }
        let mut digest = Sha256::new();
        for (path, bytes) in &tests {
            digest.update((path.len() as u64).to_le_bytes());
            digest.update(path);
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
        let wanted = &settings.environment;
        let environment = folder.join("environment");
        let own = all(&environment)?;
        let mut env: Vec<(String, String)> = wanted.env.clone().into_iter().collect();
        let mut impossible = refused(&settings, &own);
        let mut files = Vec::new();
        match own.iter().find(|(path, _)| path == "Dockerfile") {
            None => files.extend(own.iter().cloned()),
            Some((_, bytes)) if impossible.is_none() => {
                match dockerfile::read(&String::from_utf8_lossy(bytes), &PLACES) {
                    Ok(recipe) => {
                        env.extend(recipe.env);
                        for copied in &recipe.copied {
                            copy(copied, &own, &mut files)
                                .map_err(|why| wrong(&environment.join("Dockerfile"), why))?;
                        }
                    }
                    Err(why) => impossible = Some(format!("its Dockerfile {why}")),
                }
            }
            Some(_) => {}
        }
        let size = |number: Option<u64>, text: &Option<String>, usual: u64| {
            let asked = number.or_else(|| mib(text.as_deref()?)).unwrap_or(usual);
            asked.clamp(64, MOST) << 20
        };
        Ok(Self {
            name: settings.task.name.clone().or_else(folder_name).unwrap_or_default(),
            kind: kind.unwrap_or("task").to_owned(),
            instruction: instruction(&text(&folder.join("instruction.md"))?),
            agent_seconds: seconds(settings.agent.timeout_sec)?,
            verifier_seconds: seconds(settings.verifier.timeout_sec)?,
            verifier_env: settings
                .verifier
                .env
                .iter()
                .map(|(name, value)| (name.clone(), filled(value)))
                .collect(),
            env,
            files,
            solution: all(&folder.join("solution"))?,
            tests,
            memory: size(wanted.memory_mb, &wanted.memory, 2_048),
            disk: size(wanted.storage_mb, &wanted.storage, 512),
            digest: digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            impossible,
        })
    }

    /// Why it cannot be met here.
    pub fn impossible(&self) -> Option<&str> {
        self.impossible.as_deref()
    }

    /// A script that puts the solution into place and runs it; `None` if there is no solution.
    pub fn solve(&self) -> Option<String> {
        self.solution.iter().find(|(path, _)| path == "solve.sh")?;
        let mut script = String::from("rm -rf /tmp/solution && mkdir -p /tmp/solution\n");
        for (path, bytes) in &self.solution {
            let (path, bytes) = (quoted(&format!("/tmp/solution/{path}")), STANDARD.encode(bytes));
            script += &format!("mkdir -p \"$(dirname {path})\" && echo {bytes} | base64 -d > {path}\n");
        }
        Some(script + "bash /solution/solve.sh")
    }
}

/// For a shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What stands in the way.
fn refused(settings: &Settings, own: &[(String, Vec<u8>)]) -> Option<String> {
    let wanted = &settings.environment;
    let compose = [
        "docker-compose.yaml",
        "docker-compose.yml",
        "compose.yaml",
        "compose.yml",
    ];
    let network = wanted.network_mode.as_deref().is_some_and(|mode| mode != "no-network");
    let reasons = [
        (
            wanted.docker_image.is_some(),
            "it runs in a container image (`docker_image`), and there are none here",
        ),
        (
            own.iter().any(|(path, _)| compose.contains(&path.as_str())),
            "it is composed of several containers",
        ),
        (!settings.steps.is_empty(), "it has several steps"),
        (
            network || wanted.allow_internet == Some(true),
            "it needs a network, and sandboxes have none",
        ),
        (wanted.gpus.is_some_and(|gpus| gpus > 0), "it needs a GPU"),
        (wanted.mcp_servers.is_some(), "it needs MCP servers beside it"),
        (wanted.healthcheck.is_some(), "it has a service whose health is checked"),
        (
            wanted
                .workdir
                .as_deref()
                .is_some_and(|dir| !PLACES.contains(&dir.trim_end_matches('/'))),
            "it works in another folder than /app",
        ),
        (
            [wanted.memory_mb, wanted.storage_mb]
                .into_iter()
                .flatten()
                .any(|size| size > MOST),
            "it asks for more than 4 GiB of memory or disk",
        ),
        (
            settings.verifier.environment.is_some()
                || settings.verifier.environment_mode.as_deref() == Some("separate"),
            "its verifier has a container of its own",
        ),
        (
            !settings.verifier.collect.is_empty(),
            "its verifier collects by commands",
        ),
    ];
    reasons
        .into_iter()
        .find(|(holds, _)| *holds)
        .map(|(_, why)| why.to_owned())
}

/// Without the canary lines at its beginning.
fn instruction(text: &str) -> String {
    let rest = text
        .lines()
        .skip_while(|line| line.to_lowercase().contains("canary") || line.trim().is_empty());
    rest.collect::<Vec<_>>().join("\n")
}

/// `${NAME:-default}` becomes the default: nothing of this process's environment goes to a sandbox.
fn filled(value: &str) -> String {
    let inner = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    match inner {
        Some(inner) => inner
            .split_once(":-")
            .map_or_else(String::new, |(_, usual)| usual.to_owned()),
        None => value.to_owned(),
    }
}

/// Of "2G", "512M", "2Gi".
fn mib(text: &str) -> Option<u64> {
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    let number: u64 = digits.parse().ok()?;
    match text.trim()[digits.len()..].trim().to_lowercase().as_str() {
        "g" | "gb" | "gi" | "gib" => number.checked_mul(1024),
        "m" | "mb" | "mi" | "mib" | "" => Some(number),
        _ => None,
    }
}

/// Adds what a `COPY` copies.
fn copy(copied: &Copied, own: &[(String, Vec<u8>)], files: &mut Vec<(String, Vec<u8>)>) -> Result<(), String> {
    let from = copied.from.trim_start_matches("./").trim_end_matches('/');
    let whole = from.is_empty() || from == ".";
    let below = format!("{from}/");
    let mut found = false;
    for (path, bytes) in own.iter().filter(|(path, _)| path != "Dockerfile") {
        let inside = match (whole, path == from, path.strip_prefix(&below)) {
            (true, ..) => path.as_str(),
            (_, true, _) if copied.to.is_empty() || copied.to.ends_with('/') => path.rsplit('/').next().unwrap_or(path),
            (_, true, _) => "",
            (_, _, Some(inside)) => inside,
            _ => continue,
        };
        found = true;
        let to = copied.to.trim_end_matches('/');
        let to = [to, inside]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/");
        files.retain(|(other, _)| *other != to);
        files.push((to, bytes.clone()));
    }
    match found {
        true => Ok(()),
        false => Err(format!("there is no `{}` to copy", copied.from)),
    }
}

/// All plain files below a folder, by path; none if there is no such folder. Links are not followed.
fn all(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, EnvError> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = match std::fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && next == folder => break,
            Err(error) => return Err(wrong(&next, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| wrong(&next, error))?;
            let kind = entry.file_type().map_err(|error| wrong(&entry.path(), error))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                bytes += entry.metadata().map_err(|error| wrong(&entry.path(), error))?.len();
                if files.len() >= MAX_FILES || bytes > MAX_BYTES {
                    let what = format!("it holds more than {MAX_FILES} files or {} MiB", MAX_BYTES >> 20);
                    return Err(wrong(folder, what));
                }
                let path = entry.path();
                let content = std::fs::read(&path).map_err(|error| wrong(&path, error))?;
                let name = path.strip_prefix(folder).ok().and_then(Path::to_str);
                let name = name.ok_or_else(|| wrong(&path, "its name is no text"))?;
                files.push((name.to_owned(), content));
            }
        }
    }
    files.sort();
    Ok(files)
}
