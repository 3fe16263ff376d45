//! Watching a run: progress on stderr, metric files in the run's directory.

use hone_train::{Observer, Step};
use hone_view::{MetricLog, Progress, Status};

pub struct Watch {
    progress: Progress,
    status: Status,
    log: MetricLog,
    /// The first failure to write a metric file; said once.
    failed: bool,
}

impl Watch {
    pub fn new(log: MetricLog) -> Self {
        Self {
            progress: Progress::stderr(),
            status: Status::default(),
            log,
            failed: false,
        }
    }

    pub fn finish(&mut self) {
        self.progress.finish();
    }
}

impl Observer for Watch {
    fn phase(&mut self, name: &str) {
        self.status = Status::default();
        self.progress.phase(name);
    }

    fn step(&mut self, step: &Step<'_>) {
        let get = |name: &str| step.metrics.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        self.status = Status {
            episodes: None,
            step: step.step + 1,
            steps: step.steps,
            loss: get("loss").filter(|_| step.phase != "rl"),
            success: get("success"),
            valid_calls: get("valid_calls"),
            turns: get("turns"),
            tokens_per_second: get("tokens_per_second"),
        };
        self.progress.update(self.status.clone());
        let logged = self.log.log(step.phase, step.step, step.metrics.iter().copied());
        if let (Err(error), false) = (logged, self.failed) {
            self.failed = true;
            self.progress
                .note(&format!("metric files are not written any more: {error}"));
        }
    }

    fn played(&mut self, done: u64, wanted: u64) {
        self.status.episodes = Some((done, wanted));
        self.progress.update(self.status.clone());
    }

    fn note(&mut self, line: &str) {
        self.progress.note(line);
    }
}
