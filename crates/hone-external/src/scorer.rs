//! A command as a scorer.

use crate::{CommandLine, ExternalError, Limits, Role, Session};
use hone_trace::ScorePart;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Judges finished episodes in a process of its own, a fresh one for each.
#[derive(Debug)]
pub struct ExternalScorer {
    command: CommandLine,
    timeout: Duration,
    limits: Limits,
    name: String,
    version: String,
}

/// What a scorer says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Judgement {
    /// From 0 to 1; 1 is success.
    pub value: f64,
    /// Why, in a sentence.
    #[serde(default)]
    pub why: String,
    /// Named parts of the value, for the breakdown.
    #[serde(default)]
    pub parts: Vec<ScorePart>,
}

impl ExternalScorer {
    /// A scorer that runs this command. Starts it once, to see that it can.
    ///
    /// # Errors
    /// When it does not start or does not say hello as it must.
    pub fn new(command: CommandLine, timeout: Duration, limits: Limits) -> Result<Self, ExternalError> {
        let session = Session::start(&command, Role::Scorer, timeout, limits)?;
        let hello = session.hello().clone();
        Ok(Self {
            command,
            timeout,
            limits,
            name: hello.name,
            version: hello.version,
        })
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Judge an episode: `task` with what is expected, the `answer` if one was given, the final `state`, the `episode` in
    /// the form of docs/trace-schema.md.
    ///
    /// # Errors
    /// When there is no judgement: then the episode counts for nothing.
    pub fn judge(
        &self,
        task: &Value,
        answer: Option<&str>,
        state: &Value,
        episode: &Value,
    ) -> Result<Judgement, ExternalError> {
        let mut session = Session::start(&self.command, Role::Scorer, self.timeout, self.limits)?;
        let params = json!({"task": task, "answer": answer, "state": state, "episode": episode});
        let result = session.request("score", params)?;
        let judgement: Judgement = session.read("score", result)?;
        let values = judgement.parts.iter().map(|part| part.value).chain([judgement.value]);
        if let Some(wrong) = values.into_iter().find(|value| !(0.0..=1.0).contains(value)) {
            return Err(session.broken("score", format!("a value of {wrong}; values lie between 0 and 1")));
        }
        Ok(judgement)
    }
}
