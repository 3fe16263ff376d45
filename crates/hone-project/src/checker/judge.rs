//! Models judge by a rubric.

use super::{Checker, Evidence, Finding};
use hone_env::{Judges, Question, findings};
use hone_model::Model;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of evidence that a judge reads.
const MAX_EVIDENCE: usize = 100_000;

/// Models that judge by a rubric, which `expected` completes for the task; the majority decides.
///
/// They are asked before the score is made ([`hone_env::Taskset::questions`]), and what they said is read from the record.
/// It fails closed: without a verdict nothing passes, and the episode does not count.
pub struct Judge {
    /// The checker's name.
    pub name: String,
    /// The models: an odd number.
    pub models: Vec<Arc<dyn Model>>,
    /// What they judge by.
    pub rubric: String,
    /// Bound on an answer.
    pub timeout: Duration,
}

impl Judge {
    fn statement(&self, expected: &Value) -> String {
        let rubric = &self.rubric;
        match expected.as_str() {
            Some(here) => {
                format!("The agent did its task, by this rubric and by nothing else: {rubric}\nFor this task: {here}")
            }
            None => format!("The agent did its task, by this rubric and by nothing else: {rubric}"),
        }
    }

    /// What is judged, as one line of JSON.
    fn subject(evidence: &Evidence<'_>) -> Result<String, String> {
        let calls: Vec<Value> = evidence
            .episode
            .tool_calls
            .iter()
            .map(|call| json!({"tool": call.tool, "arguments": call.arguments, "result": call.shown}))
            .collect();
        let text = json!({
            "task": evidence.task.instruction, "calls": calls, "answer": evidence.answer, "final_state": evidence.state,
        })
        .to_string();
        match text.len() > MAX_EVIDENCE {
            true => Err(format!(
                "the evidence is longer than {MAX_EVIDENCE} bytes, and cutting it could hide what matters; use another checker"
            )),
            false => Ok(text),
        }
    }
}

impl Checker for Judge {
    fn version(&self) -> String {
        let names: Vec<String> = self.models.iter().map(|model| model.name()).collect();
        format!("judge/2 {} {}", names.join(" "), self.rubric)
    }

    fn accepts(&self, expected: &Value) -> Result<(), String> {
        match expected {
            Value::String(_) | Value::Bool(true) => Ok(()),
            _ => Err("write what the rubric means for this task, as a text, or `true`".to_owned()),
        }
    }

    fn question(&self, evidence: &Evidence<'_>) -> Option<Question> {
        Some(Question {
            subject: Self::subject(evidence).ok()?,
            statement: self.statement(evidence.expected),
            judges: Some(self.name.clone()),
        })
    }

    fn judges(&self) -> Option<Judges> {
        Some(Judges {
            name: self.name.clone(),
            models: self.models.clone(),
            timeout: self.timeout,
        })
    }

    fn check(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let subject = Self::subject(evidence)?;
        let statement = self.statement(evidence.expected);
        let name = Some(&self.name);
        let mut found = findings(evidence.episode).into_iter();
        let found = found
            .find(|found| found.judges.as_ref() == name && found.statement == statement && found.subject == subject);
        let found = found.ok_or("no judge was asked; play it in a way that asks judges, such as `hone eval`")?;
        let why = found.votes.iter().find(|vote| vote.pass == found.pass);
        Ok(Finding::of(found.pass, why.map_or("", |vote| &vote.reasoning)))
    }
}
