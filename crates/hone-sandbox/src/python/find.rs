//! Which Python there is, and what of the host it needs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::{Bind, Error};

/// A Python interpreter of the host.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// As it is called, so that a virtual environment is seen.
    pub program: PathBuf,
    /// What lies outside the system's folders.
    pub binds: Vec<Bind>,
}

#[derive(Deserialize)]
struct Answer {
    executable: PathBuf,
    prefixes: Vec<PathBuf>,
    version: (u32, u32),
}

const QUESTION: &str = "import json, os, sys; print(json.dumps({'executable': os.path.abspath(sys.executable), \
    'prefixes': [os.path.realpath(p) for p in (sys.base_prefix, sys.prefix)] + [os.path.abspath(sys.prefix)], \
    'version': sys.version_info[:2]}))";

/// Asks `python` (or the first `python3` of `PATH`) about itself. The interpreter is the user's own and is trusted.
pub(super) fn find(python: Option<&Path>) -> Result<Found, Error> {
    let program = python.unwrap_or(Path::new("python3"));
    // A name alone is looked for in PATH; a path is from where we are, and the question is asked elsewhere.
    let absolute = (program.components().count() > 1)
        .then(|| std::path::absolute(program).ok())
        .flatten();
    let program = absolute.as_deref().unwrap_or(program);
    let wrong = |reason: String| Error::Start {
        program: program.display().to_string(),
        reason,
    };
    let output = Command::new(program)
        .args(["-I", "-c", QUESTION])
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| {
            wrong(format!(
                "{e}; install Python 3.9 or later, or name the interpreter to use"
            ))
        })?;
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| {
        wrong(format!(
            "it does not answer as Python does: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    })?;
    if answer.version < (3, 9) {
        return Err(wrong(format!(
            "it is Python {}.{}, and 3.9 or later is needed",
            answer.version.0, answer.version.1
        )));
    }
    let mut binds: Vec<Bind> = Vec::new();
    for prefix in answer.prefixes {
        let system = ["/usr", "/bin", "/lib", "/nix/store"]
            .iter()
            .any(|s| prefix.starts_with(s));
        if system || binds.iter().any(|b| prefix.starts_with(&b.inside)) {
            continue;
        }
        if prefix.parent().is_none() {
            return Err(wrong(
                "it is installed into the root folder, which cannot be shown in a sandbox".to_owned(),
            ));
        }
        binds.push(Bind {
            host: prefix.clone(),
            inside: prefix,
        });
    }
    Ok(Found {
        program: answer.executable,
        binds,
    })
}
