//! What the agent and the simulated user are told.
//!
//! Policies and the guidelines for users are read from the data folder. The frame around them says in our words what the
//! reference's says in its own.

use crate::environment::{DONE, Mode};
use crate::message::Message;
use crate::task::{DataError, Instructions, Scenario, Task, read};
use crate::toolkit::Side;
use hone_env::{Given, Party, SimulatedUser};
use hone_model::CallRequest;
use std::path::Path;

/// What the agent says first.
pub const GREETING: &str = "Hi! How can I help you today?";

/// What ends the conversation when the user says it: it is done, handed over to a person, or beyond the scenario.
pub const STOP: [&str; 3] = ["###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###"];

const AGENT: &str = "You serve a company's customers, by the policy below. A turn is either a message to the user or tool \
                     calls with valid JSON arguments, never both. Be helpful, and keep to the policy.";

const SOLO: &str = "You serve a company's customers, by the policy below. Solve the ticket with the tools; there is nobody \
                    to talk to, so every turn is a tool call. Keep to the policy. When you are through, call";

/// The texts of a domain's data folder that prompts are made of.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    policy: String,
    /// For users without and with tools.
    guidelines: [Result<String, DataError>; 2],
}

impl Texts {
    /// Read the policy of a domain and the guidelines for users, which lie beside the domains or one folder above.
    pub(super) fn read(folder: &Path, domain: &str, mode: Mode, workflow: bool) -> Result<Self, DataError> {
        let file = |name: &str| read(&folder.join(domain).join(name));
        let policy = match (domain, mode) {
            ("telecom", _) => {
                let main = match mode {
                    Mode::Dialogue => file("main_policy.md")?,
                    Mode::Solo => file("main_policy_solo.md")?,
                };
                let support = match (workflow, mode) {
                    (false, _) => file("tech_support_manual.md")?,
                    (true, Mode::Dialogue) => file("tech_support_workflow.md")?,
                    (true, Mode::Solo) => file("tech_support_workflow_solo.md")?,
                };
                format!(
                    "<main_policy>\n{main}\n</main_policy>\n<tech_support_policy>\n{support}\n</tech_support_policy>"
                )
            }
            ("mock", Mode::Solo) => file("policy_solo.md")?,
            _ => file("policy.md")?,
        };
        let guide = |name: &str| {
            let above = folder.parent().unwrap_or(folder);
            let places = [folder, above].map(|place| place.join("user_simulator").join(name));
            let found = places.iter().find(|place| place.is_file());
            read(found.unwrap_or(&places[0]))
        };
        Ok(Self {
            policy,
            guidelines: [
                guide("simulation_guidelines.md"),
                guide("simulation_guidelines_tools.md"),
            ],
        })
    }

    /// The agent's system message.
    pub(super) fn agent(&self, task: &Task, mode: Mode) -> String {
        let policy = &self.policy;
        match mode {
            Mode::Dialogue => format!("<instructions>\n{AGENT}\n</instructions>\n<policy>\n{policy}\n</policy>"),
            Mode::Solo => {
                let ticket = task.ticket.as_deref().unwrap_or_default();
                format!(
                    "<instructions>\n{SOLO} `{DONE}`.\n</instructions>\n<policy>\n{policy}\n</policy>\n<ticket>\n{ticket}\n</ticket>"
                )
            }
        }
    }

    /// Whether there are guidelines for such a user, which a model needs to play it.
    pub(super) fn guidelines(&self, tools: bool) -> Result<&str, &DataError> {
        self.guidelines[usize::from(tools)].as_deref()
    }

    /// The simulated user of a task.
    pub(super) fn user(&self, task: &Task, tools: bool) -> SimulatedUser {
        let guidelines = self.guidelines(tools).unwrap_or_default();
        let scenario = scenario(&task.user_scenario);
        let persona = guidelines.replace("<PERSONA_GUIDELINES>", "");
        SimulatedUser {
            instructions: format!("{persona}\n\n<scenario>\n{scenario}\n</scenario>"),
            opening: opening(task),
            cue: None,
            stop: STOP.map(str::to_owned).into(),
            strict_turns: false,
        }
    }
}

/// The messages before the first turn: the task's history, or the greeting.
fn opening(task: &Task) -> Vec<Given> {
    let history = crate::evaluate::idle_messages(task);
    if history.is_empty() {
        return vec![Given::Said {
            by: Party::Agent,
            text: GREETING.to_owned(),
        }];
    }
    let json = |value: &crate::py::Value| serde_json::to_value(value).unwrap_or_default();
    let turn = |by: Party, turn: crate::message::Turn| match turn.tool_calls {
        Some(calls) => Given::Called {
            by,
            calls: calls
                .iter()
                .map(|call| CallRequest::new(&call.name, json(&call.arguments)))
                .collect(),
        },
        None => Given::Said {
            by,
            text: turn.content.unwrap_or_default(),
        },
    };
    let given = history.into_iter().filter_map(|message| match message {
        Message::System { .. } => None,
        Message::Assistant(said) => Some(turn(Party::Agent, said)),
        Message::User(said) => Some(turn(Party::User, said)),
        Message::Tool(result) => Some(Given::Result {
            by: match result.requestor {
                Side::Assistant => Party::Agent,
                Side::User => Party::User,
            },
            text: result.content.unwrap_or_default(),
        }),
    });
    given.collect()
}

/// Each line with a tab before it, but for lines of white space, as Python's `textwrap.indent`.
fn indented(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines
        .map(|line| match line.trim().is_empty() {
            true => line.to_owned(),
            false => format!("\t{line}"),
        })
        .collect()
}

/// A scenario as the reference writes it into the user's prompt.
fn scenario(scenario: &Scenario) -> String {
    let instructions = match &scenario.instructions {
        Instructions::Text(text) => text.clone(),
        Instructions::Structured {
            domain,
            reason_for_call,
            known_info,
            unknown_info,
            task_instructions,
        } => {
            let mut lines = vec![
                format!("Domain: {domain}"),
                format!("Reason for call:\n{}", indented(reason_for_call)),
            ];
            let known = known_info
                .as_ref()
                .map(|text| format!("Known info:\n{}", indented(text)));
            let unknown = unknown_info
                .as_ref()
                .map(|text| format!("Unknown info:\n{}", indented(text)));
            lines.extend(known.into_iter().chain(unknown));
            lines.push(format!("Task instructions:\n{}", indented(task_instructions)));
            lines.join("\n")
        }
    };
    let persona = scenario
        .persona
        .iter()
        .map(|text| format!("Persona:\n{}", indented(text)));
    let lines: Vec<_> = persona
        .chain([format!("Instructions:\n{}", indented(&instructions))])
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_written_as_the_reference_writes_it() {
        let written = scenario(&Scenario {
            persona: Some("Calm.".into()),
            instructions: Instructions::Structured {
                domain: "retail".into(),
                reason_for_call: "A.\n\nB.".into(),
                known_info: Some("C.".into()),
                unknown_info: None,
                task_instructions: "D.".into(),
            },
        });
        assert_eq!(
            written,
            "Persona:\n\tCalm.\nInstructions:\n\tDomain: retail\n\tReason for call:\n\t\tA.\n\n\t\tB.\n\tKnown info:\n\t\tC.\n\
             \tTask instructions:\n\t\tD."
        );
    }
}
