//! One process at a time works in a run directory.

use anyhow::{Context, bail};
use std::fs::{File, TryLockError};
use std::path::Path;

/// Held for as long as a process works in a run directory. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: Option<File>,
}

impl RunLock {
    /// Take the lock of a run directory, which must exist.
    ///
    /// # Errors
    /// When another process holds it, or the directory cannot be written.
    pub fn take(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("run.lock");
        let file = File::create(&path).with_context(|| {
            format!(
                "cannot write {}; is {} a run directory of yours?",
                path.display(),
                dir.display()
            )
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another process is at work in {}; wait until it has ended, or stop it",
                    dir.display()
                )
            }
            // A file system without locks: better to run than not to.
            Err(TryLockError::Error(_)) => Ok(Self { _file: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunLock::take(dir.path()).unwrap();
        let error = RunLock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        drop(first);
        RunLock::take(dir.path()).unwrap();
        assert!(RunLock::take(&dir.path().join("nowhere")).is_err());
    }
}
