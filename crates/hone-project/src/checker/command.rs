//! A command judges, over the JSON-lines protocol.

use super::{Checker, Evidence, Finding};
use hone_external::{CommandLine, ExternalError, ExternalScorer, Limits};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// A command that reads the task with what is expected, the answer, the final state and the episode, and gives a value.
#[derive(Debug)]
pub struct Command {
    name: String,
    scorer: ExternalScorer,
}

impl Command {
    /// A command that runs in the project's folder, for `expected.NAME`. Starts it once, to see that it can.
    ///
    /// # Errors
    /// When it does not start or does not say hello as it must.
    pub fn new(name: String, argv: Vec<String>, folder: &Path, timeout: Duration) -> Result<Self, ExternalError> {
        let command = CommandLine {
            argv,
            label: None,
            folder: folder.to_owned(),
            env: vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into())],
        };
        Ok(Self {
            name,
            scorer: ExternalScorer::new(command, timeout, Limits::default())?,
        })
    }
}

impl Checker for Command {
    fn version(&self) -> String {
        format!("command/1 {} {}", self.scorer.name(), self.scorer.version())
    }

    fn accepts(&self, _expected: &Value) -> Result<(), String> {
        Ok(())
    }

    fn check(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let task = json!({
            "id": evidence.task.id, "kind": evidence.task.kind, "prompt": evidence.task.instruction,
            "expected": evidence.expected, "metadata": evidence.task.data.get("metadata"), "checker": self.name,
        });
        let episode = serde_json::to_value(evidence.episode).map_err(|error| error.to_string())?;
        let judged = self.scorer.judge(&task, evidence.answer, evidence.state, &episode);
        let judgement = judged.map_err(|error| error.to_string())?;
        Ok(Finding {
            value: judgement.value,
            why: judgement.why,
            parts: judgement.parts,
        })
    }

    fn inline(&self) -> bool {
        false
    }
}
