//! Directories of new runs.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// Makes the first `PARENT/NAME-NNN` that does not exist.
pub fn next(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = name.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    let cannot = |dir: &Path| {
        format!(
            "the run directory {} cannot be made; choose another with --out",
            dir.display()
        )
    };
    std::fs::create_dir_all(parent).with_context(|| cannot(parent))?;
    for number in 1.. {
        let dir = parent.join(format!("{name}-{number:03}"));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| cannot(&dir)),
        }
    }
    unreachable!("there are more numbers than directories")
}

/// Makes the directory of a new run, which nobody else may have made.
pub fn claim(dir: &Path) -> anyhow::Result<()> {
    let parent = dir.parent().unwrap_or(Path::new(""));
    match std::fs::create_dir_all(parent).and_then(|()| std::fs::create_dir(dir)) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => bail!(
            "{} exists already; choose another --out, or go on with --resume {}",
            dir.display(),
            dir.display()
        ),
        made => made.with_context(|| format!("cannot make {}; free some space or choose another --out", dir.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_never_taken_twice() {
        let parent = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| next(parent.path(), "eval-textcraft:2-3-script:expert").unwrap())
            .map(|dir| dir.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let name = "eval-textcraft-2-3-script-expert";
        assert_eq!(names, [1, 2, 3].map(|i| format!("{name}-{i:03}")));
    }

    #[test]
    fn a_claimed_directory_is_nobody_elses() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("deep/run");
        // Of many at once, one gets it.
        let claims = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8).map(|_| scope.spawn(|| claim(&dir).is_ok())).collect();
            started
                .into_iter()
                .map(|one| one.join().unwrap())
                .filter(|won| *won)
                .count()
        });
        assert_eq!(claims, 1);
        let refused = claim(&dir).unwrap_err().to_string();
        assert!(
            refused.contains("exists already") && refused.contains("--resume"),
            "{refused}"
        );
    }
}
