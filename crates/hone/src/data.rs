//! Public data suites: what they are, where they are looked for, and whether they are whole.

use anyhow::{Context, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where `hone data get` puts suites by itself, below the working directory.
pub const OWN_FOLDER: &str = ".hone-data";

/// A suite of the list in `data/suites.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Name of the suite and of its folder.
    pub id: String,
    /// What it is.
    pub about: String,
    /// Where it is from: `owner/name` on GitHub.
    pub repository: String,
    /// SPDX id of its licence.
    pub license: String,
    /// The commit that `files` are taken from.
    #[serde(default)]
    pub commit: String,
    /// What can be fetched.
    #[serde(default, rename = "file")]
    pub files: Vec<SuiteFile>,
}

/// A file of a suite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteFile {
    /// Its path in the repository.
    pub from: String,
    /// Its path below the suite's folder.
    pub to: String,
    /// Its SHA-256 in hex.
    pub sha256: String,
    /// Whether it is made of the JSON files of the folder `from`, as one object keyed by file name.
    #[serde(default)]
    pub join: bool,
}

/// How much of a suite is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it, and each file is the one that is expected.
    Ready,
    /// Its folder is there; this version has no checksums for it.
    Unchecked,
    /// Some of its files are there, each as expected.
    Part,
    /// Something is there, but not all of it is what is expected.
    Differs,
    /// Nothing.
    Missing,
}

impl State {
    /// Its name in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unchecked => "unchecked",
            Self::Part => "part",
            Self::Differs => "differs",
            Self::Missing => "missing",
        }
    }
}

impl Suite {
    /// How much of it is below this folder.
    pub fn state(&self, folder: &Path) -> State {
        let folder = folder.join(&self.id);
        if !folder.is_dir() {
            return State::Missing;
        }
        if self.files.is_empty() {
            return State::Unchecked;
        }
        let mut there = 0;
        for file in &self.files {
            let path = folder.join(&file.to);
            if std::fs::read(&path).is_ok_and(|bytes| sha256(&bytes) == file.sha256) {
                there += 1;
            } else if path.exists() {
                return State::Differs;
            }
        }
        match there {
            0 => State::Differs,
            all if all == self.files.len() => State::Ready,
            _ => State::Part,
        }
    }

    /// The first of the folders that has something of it, and how much; without one, where it would be got to.
    pub fn find(&self) -> (PathBuf, State) {
        let found = folders()
            .into_iter()
            .map(|folder| (folder.join(&self.id), self.state(&folder)))
            .find(|(_, state)| *state != State::Missing);
        found.unwrap_or_else(|| (own_folder().join(&self.id), State::Missing))
    }
}

/// The list.
///
/// # Errors
/// Never for the list of this version.
pub fn suites() -> anyhow::Result<Vec<Suite>> {
    #[derive(Deserialize)]
    struct List {
        suite: Vec<Suite>,
    }
    let list: List = toml::from_str(include_str!("../data/suites.toml"))
        .context("the built-in list of suites is broken; this is a defect, please report it")?;
    Ok(list.suite)
}

/// The suite of that name.
///
/// # Errors
/// When there is none.
pub fn suite(id: &str) -> anyhow::Result<Suite> {
    let mut suites = suites()?;
    match suites.iter().position(|suite| suite.id == id) {
        Some(at) => Ok(suites.swap_remove(at)),
        None => {
            let ids: Vec<&str> = suites.iter().map(|suite| suite.id.as_str()).collect();
            bail!("there is no suite `{id}`; choose one of {}", ids.join(", "))
        }
    }
}

/// The folder that `--data` names.
static NAMED: OnceLock<PathBuf> = OnceLock::new();

/// Look for suites in this folder alone, for the rest of the process.
pub fn look_in(folder: PathBuf) {
    // A second folder would be a second `--data`, which the command line refuses.
    let _ = NAMED.set(folder);
}

/// Where suites are looked for: the folder of `--data` alone, else `HONE_DATA` alone if it is set, else `.hone-data` and
/// `../shared/data`.
pub fn folders() -> Vec<PathBuf> {
    if let Some(folder) = NAMED.get() {
        return vec![folder.clone()];
    }
    match std::env::var_os("HONE_DATA").filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![folder.into()],
        None => vec![OWN_FOLDER.into(), "../shared/data".into()],
    }
}

/// Where suites are got to if no folder is named.
pub fn own_folder() -> PathBuf {
    folders().swap_remove(0)
}

/// The first folder that has this file or folder.
pub fn folder_with(file: &str) -> Option<PathBuf> {
    folders().into_iter().find(|folder| folder.join(file).exists())
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole() {
        let suites = suites().unwrap();
        for suite in &suites {
            assert_eq!(suite.repository.split('/').count(), 2, "{}", suite.id);
            assert_eq!(
                suite.commit.len(),
                if suite.files.is_empty() { 0 } else { 40 },
                "{}",
                suite.id
            );
            for file in &suite.files {
                assert!(file.sha256.len() == 64 && !file.to.contains(".."), "{}", file.to);
            }
        }
        assert!(suite("textcraft").is_ok());
        assert!(
            suite("textkraft")
                .unwrap_err()
                .to_string()
                .contains("choose one of textcraft")
        );
    }

    #[test]
    fn states_follow_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| SuiteFile {
            from: name.into(),
            to: name.into(),
            sha256: sha256(b"right"),
            join: false,
        };
        let suite = Suite {
            id: "s".into(),
            about: String::new(),
            repository: "a/b".into(),
            license: "MIT".into(),
            commit: String::new(),
            files: ["x", "below/y"].map(file).into(),
        };
        assert_eq!(suite.state(folder.path()), State::Missing);
        std::fs::create_dir_all(folder.path().join("s/below")).unwrap();
        assert_eq!(suite.state(folder.path()), State::Differs);
        std::fs::write(folder.path().join("s/x"), "wrong").unwrap();
        assert_eq!(suite.state(folder.path()), State::Differs);
        std::fs::write(folder.path().join("s/x"), "right").unwrap();
        assert_eq!(suite.state(folder.path()), State::Part);
        std::fs::write(folder.path().join("s/below/y"), "right").unwrap();
        assert_eq!(suite.state(folder.path()), State::Ready);
    }
}
