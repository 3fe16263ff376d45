//! A small working project to edit.

use std::io::Write;
use std::path::Path;

/// The example's files: path, what it is, text.
const TEMPLATE: [(&str, &str, &str); 6] = [
    (
        "hone.toml",
        "the recipe: names all the rest",
        include_str!("../template/hone.toml"),
    ),
    (
        "tasks.jsonl",
        "the tasks, one a line, with reference solutions",
        include_str!("../template/tasks.jsonl"),
    ),
    (
        "desk.json",
        "records that each episode starts with",
        include_str!("../template/desk.json"),
    ),
    (
        "files/policy.md",
        "a file that each episode starts with",
        include_str!("../template/files/policy.md"),
    ),
    (
        "tools.py",
        "tools: plain Python functions",
        include_str!("../template/tools.py"),
    ),
    ("check.py", "a checker: a command", include_str!("../template/check.py")),
];

/// Why the example could not be written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file of the example is there already.
    #[error("{0} exists already; name another folder, or move it away")]
    Exists(String),
    /// The system refuses.
    #[error("{path} cannot be written ({reason}); name another folder, or free some space")]
    Write {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
}

/// Write the example to a folder, which is made if need be. Nothing that is there is touched. The files that were
/// written, with what they are.
///
/// # Errors
/// When a file exists already, in which case nothing is written, or cannot be written.
pub fn init(folder: &Path) -> Result<Vec<(&'static str, &'static str)>, InitError> {
    for (name, ..) in TEMPLATE {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(InitError::Exists(path.display().to_string()));
        }
    }
    for (name, _, text) in TEMPLATE {
        let path = folder.join(name);
        let failed = |error: std::io::Error| InitError::Write {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut file = std::fs::File::create_new(&path).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
    }
    Ok(TEMPLATE.map(|(name, about, _)| (name, about)).to_vec())
}
