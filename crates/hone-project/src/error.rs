//! What is wrong with a project, and where.

use std::path::{Path, PathBuf};

/// A mistake in a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}; {remedy}")]
pub struct ProjectError {
    /// The file, with the line where it is known.
    pub place: String,
    /// What is wrong, with the field.
    pub what: String,
    /// How to mend it.
    pub remedy: String,
}

impl ProjectError {
    /// A mistake somewhere in a file.
    pub fn file(file: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place: file.display().to_string(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// A mistake on a line, from 1.
    pub fn line(file: &Path, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place: format!("{}:{line}", file.display()),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// A text file of the project.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read(file: &Path) -> Result<String, ProjectError> {
    std::fs::read_to_string(file).map_err(|error| {
        let remedy = "make it, or name another (`hone init DIR` makes a whole example)";
        ProjectError::file(file, format!("it cannot be read ({error})"), remedy)
    })
}

/// A path of the project's own, which must stay inside of it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn inside(folder: &Path, path: &str) -> Result<PathBuf, String> {
    let relative = Path::new(path);
    let plain = |part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir);
    if path.is_empty() || !relative.components().all(plain) {
        return Err(format!("`{path}` is no path below the project's folder"));
    }
    Ok(folder.join(relative))
}
