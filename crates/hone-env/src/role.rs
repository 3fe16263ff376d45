//! The roles of a planner-executor loop, and what they pass to each other (AgentFlow, arXiv 2510.05592).

use hone_model::{AgentTurn, Message};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write;

/// A role of a planner-executor loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Says what is to be done next, and with which tool: the agent that is measured and trained.
    Planner,
    /// Makes a tool call of it.
    Executor,
    /// Says whether the memory is enough for an answer.
    Verifier,
    /// Writes the answer out of the memory.
    Generator,
}

impl Role {
    /// The planner's helpers.
    pub const HELPERS: [Self; 3] = [Self::Executor, Self::Verifier, Self::Generator];

    /// As recipes and the record write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planner => "planner",
            Self::Executor => "executor",
            Self::Verifier => "verifier",
            Self::Generator => "generator",
        }
    }
}

/// The name under which a planner is offered its output as a tool.
pub const NEXT_STEP: &str = "next_step";
/// The same for a verifier.
pub const VERIFY: &str = "verify";

/// What a planner writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NextStep {
    /// Why this step.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub justification: String,
    /// What the executor needs to know and cannot see.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// What the step is to reach.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_goal: String,
    /// The tool for it.
    pub tool_name: String,
}

impl NextStep {
    /// As a planner's turn.
    pub fn turn(&self) -> AgentTurn {
        let arguments = serde_json::to_value(self).unwrap_or_default();
        AgentTurn::call(NEXT_STEP, arguments)
    }
}

/// What a verifier says, as its turn.
pub fn verdict(stop: bool) -> AgentTurn {
    AgentTurn::call(VERIFY, serde_json::json!({ "stop_signal": stop }))
}

/// What is remembered of a step. Results are JSON where their text is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionStep {
    /// The tool that the planner named; empty where its turn could not be read.
    pub tool_name: String,
    /// What the step was to reach.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub_goal: String,
    /// The arguments of the call; null where none was made.
    pub command: Value,
    /// What the call came to.
    pub result: Value,
}

/// What a role is asked: the query, the shared memory, and for the executor the planner's step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brief {
    /// The task's instruction.
    pub query: String,
    /// One entry per step so far.
    pub memory: Vec<ActionStep>,
    /// What the planner wants done.
    pub next: Option<NextStep>,
}

const NEXT: &str = "Next step: ";

/// Plain data, on one line.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Brief {
    /// As the role reads it: the query, and a line for each step.
    pub fn text(&self) -> String {
        let mut text = self.query.clone();
        for (step, n) in self.memory.iter().zip(1..) {
            let _ = write!(text, "\nAction Step {n}: {}", json(step));
        }
        if let Some(next) = &self.next {
            let _ = write!(text, "\n{NEXT}{}", json(next));
        }
        text
    }

    /// What the last message of the user says, for scripts that know their `query`; `None` if it is no brief about it.
    pub fn read(query: &str, messages: &[Message]) -> Option<Self> {
        let said = messages.iter().rev().find_map(|message| match message {
            Message::User(text) => Some(text),
            _ => None,
        })?;
        let mut brief = Self {
            query: query.to_owned(),
            ..Self::default()
        };
        for line in said.strip_prefix(query)?.lines().filter(|line| !line.is_empty()) {
            if let Some(next) = line.strip_prefix(NEXT) {
                brief.next = Some(serde_json::from_str(next).ok()?);
            } else {
                let step = line.strip_prefix("Action Step ")?.split_once(": ")?.1;
                brief.memory.push(serde_json::from_str(step).ok()?);
            }
        }
        Some(brief)
    }

    /// The same as a conversation of an agent with the tools, for scripts that read one.
    pub fn conversation(&self) -> Vec<Message> {
        let mut messages = vec![Message::User(self.query.clone())];
        for step in &self.memory {
            let call = AgentTurn::call(step.tool_name.clone(), step.command.clone());
            let result = match &step.result {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            messages.extend([Message::Agent(call), Message::Tool(result)]);
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_brief_is_read_as_it_was_written() {
        let step = |tool: &str, command, result| ActionStep {
            tool_name: tool.into(),
            sub_goal: String::new(),
            command,
            result,
        };
        let brief = Brief {
            query: "where is\nk41?".into(),
            memory: vec![
                step("get_order", json!({"order": "k41"}), json!({"status": "shipped"})),
                step("", Value::Null, json!("error: not a call\nAction Step 9: {}")),
            ],
            next: Some(NextStep {
                tool_name: "escalate".into(),
                context: "unknown".into(),
                ..NextStep::default()
            }),
        };
        let text = brief.text();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains(
            r#"Action Step 1: {"tool_name":"get_order","command":{"order":"k41"},"result":{"status":"shipped"}}"#
        ));
        assert!(text.ends_with(r#"Next step: {"context":"unknown","tool_name":"escalate"}"#));
        assert_eq!(Brief::read(&brief.query, &[Message::User(text)]), Some(brief.clone()));
        assert_eq!(Brief::read("another", &[Message::User(brief.text())]), None);
        assert_eq!(brief.conversation().len(), 5);
    }
}
