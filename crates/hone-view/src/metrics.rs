//! Numbers by step, written for other tools while a run goes on.

use crate::csv::CsvFile;
use crate::tensorboard::EventFile;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Why metrics could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write metrics to {path}; free space there or choose another run directory", path = path.display())]
pub struct MetricError {
    path: PathBuf,
    source: io::Error,
}

/// Writes each number to `metrics.csv` and to a TensorBoard event file in `tensorboard/`.
///
/// Opening an existing directory appends. A resumed run repeats the steps after its last checkpoint: when it first writes a
/// phase, the lines of that step and later ones, from before, go out of `metrics.csv`. (TensorBoard itself takes the later
/// event.)
#[derive(Debug)]
pub struct MetricLog {
    dir: PathBuf,
    csv: CsvFile,
    events: EventFile,
    /// The phases written since opening.
    begun: BTreeSet<String>,
}

impl MetricLog {
    /// Open the metric files of a run directory, which must exist.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open(dir: &Path) -> Result<Self, MetricError> {
        let open = || {
            let boards = dir.join("tensorboard");
            std::fs::create_dir_all(&boards)?;
            Ok((CsvFile::open(&dir.join("metrics.csv"))?, EventFile::create(&boards)?))
        };
        let (csv, events) = open().map_err(|source| MetricError {
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            csv,
            events,
            begun: BTreeSet::new(),
        })
    }

    /// Write the numbers of one step and hand them to the operating system. In TensorBoard, a number's tag is
    /// `phase/name`.
    ///
    /// # Errors
    /// When the file system refuses, such as on a full disk.
    pub fn log<'a>(
        &mut self,
        phase: &str,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<(), MetricError> {
        self.append(phase, step, values).map_err(|source| MetricError {
            path: self.dir.clone(),
            source,
        })
    }

    fn append<'a>(
        &mut self,
        phase: &str,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> io::Result<()> {
        if self.begun.insert(phase.to_owned()) {
            self.csv.forget(phase, step)?;
        }
        for (name, value) in values {
            self.csv.write(step, phase, name, value)?;
            self.events.scalar(step, &format!("{phase}/{name}"), value)?;
        }
        self.csv.flush()?;
        self.events.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_append_over_reopening() {
        let dir = tempfile::tempdir().unwrap();
        for step in 1..3u64 {
            let mut log = MetricLog::open(dir.path()).unwrap();
            log.log("rl", step, [("success", 0.5 * step as f64), ("turns", 4.0)])
                .unwrap();
        }
        let csv = std::fs::read_to_string(dir.path().join("metrics.csv")).unwrap();
        assert_eq!(
            csv,
            "step,phase,name,value\n1,rl,success,0.5\n1,rl,turns,4\n2,rl,success,1\n2,rl,turns,4\n"
        );
        let boards: Vec<_> = std::fs::read_dir(dir.path().join("tensorboard")).unwrap().collect();
        assert_eq!(boards.len(), 2);
    }

    #[test]
    fn steps_that_a_resumed_run_repeats_stand_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = MetricLog::open(dir.path()).unwrap();
        for step in 0..12 {
            log.log("sft", step, [("loss", 1.0)]).unwrap();
        }
        for step in 0..12 {
            log.log("rl", step, [("success", 0.0)]).unwrap();
        }
        drop(log);
        let mut log = MetricLog::open(dir.path()).unwrap();
        for step in 10..13 {
            log.log("rl", step, [("success", 1.0)]).unwrap();
        }
        drop(log);
        let csv = std::fs::read_to_string(dir.path().join("metrics.csv")).unwrap();
        let rl: Vec<_> = csv.lines().filter(|line| line.contains(",rl,")).collect();
        let expected: Vec<_> = (0..13)
            .map(|step| format!("{step},rl,success,{}", u8::from(step >= 10)))
            .collect();
        assert_eq!(rl, expected);
        assert_eq!(csv.lines().count(), 1 + 12 + 13);
        assert!(!dir.path().join("metrics.csv.partial").exists());
    }

    #[test]
    fn a_missing_directory_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = MetricLog::open(&file).unwrap_err().to_string();
        assert!(error.contains("file") && error.contains("choose another"), "{error}");
    }
}
