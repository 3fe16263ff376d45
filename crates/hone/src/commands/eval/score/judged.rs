//! Judges of assertions in words, asked about recorded conversations.

use crate::console::say;
use crate::lock::RunLock;
use crate::models::ModelSpec;
use crate::run_dir;
use crate::users;
use anyhow::{Context, bail};
use hone_env::{Question, findings};
use hone_harness::Label;
use hone_score::judge::Panel;
use hone_tau::evaluate::Judge;
use hone_tau::message::Message;
use hone_tau::taskset::transcript;
use hone_trace::{Outcome, Secrets, Store, Stream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The phase that their words are recorded under.
const PHASE: &str = "judge";

/// A panel whose calls are recorded in a run directory: an episode for each conversation.
pub struct Recorder {
    _lock: RunLock,
    dir: PathBuf,
    store: Store,
    panel: Arc<Panel>,
    runtime: tokio::runtime::Runtime,
    suite: String,
    asked: u64,
}

impl Recorder {
    /// For conversations of a suite.
    ///
    /// # Errors
    /// When a judge is not to be had or the directory cannot be made.
    pub fn new(judges: &[ModelSpec], suite: &str, out: Option<&Path>) -> anyhow::Result<Option<Self>> {
        let mut secrets = Secrets::default();
        let Some(panel) = users::judges(judges, &[], &mut secrets)? else {
            return Ok(None);
        };
        let dir = match out {
            Some(dir) => {
                std::fs::create_dir_all(dir).with_context(|| {
                    format!(
                        "the run directory {} cannot be made; choose another with --out",
                        dir.display()
                    )
                })?;
                dir.to_owned()
            }
            None => run_dir::next(Path::new("runs"), &format!("score-{suite}"))?,
        };
        let lock = RunLock::take(&dir)?;
        let mut store = Store::create(dir.join("run.db"))?;
        store.hide(secrets);
        Ok(Some(Self {
            _lock: lock,
            dir,
            store,
            panel,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            suite: suite.to_owned(),
            asked: 0,
        }))
    }

    /// Where it is recorded.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn verdicts(&mut self, messages: &[Message], assertions: &[String]) -> anyhow::Result<Vec<bool>> {
        let subject = transcript(messages);
        let question = |statement: &String| Question {
            subject: subject.clone(),
            statement: statement.clone(),
            judges: None,
        };
        let questions: Vec<_> = assertions.iter().map(question).collect();
        let label = Label {
            id: format!("{PHASE}/{}/0", self.asked),
            phase: PHASE.to_owned(),
            taskset: self.suite.clone(),
            group: self.asked,
            sample: 0,
        };
        let mut episode = users::only_judged(label, format!("{PHASE}/{}", self.asked), PHASE.to_owned());
        let stream = Stream::new(0).named(PHASE).at(self.asked);
        self.asked += 1;
        say(format!("judging conversation {}", self.asked));
        let judged = self
            .runtime
            .block_on(self.panel.judge(&mut episode, &questions, &stream));
        if let Err(cause) = &judged {
            episode.outcome = Outcome::InfraFailed { cause: cause.clone() };
        }
        self.store.append(std::slice::from_ref(&episode))?;
        if let Err(cause) = judged {
            bail!("{cause}");
        }
        Ok(findings(&episode).iter().map(|finding| finding.pass).collect())
    }
}

impl Judge for Recorder {
    fn judge(&mut self, conversation: &[Message], assertions: &[String]) -> Result<Vec<bool>, String> {
        self.verdicts(conversation, assertions)
            .map_err(|error| format!("{error:#}"))
    }
}
