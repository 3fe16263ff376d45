//! τ-bench (sierra-research/tau-bench): its airline and its shop, the reward by the state of the whole data, and recorded runs.
//!
//! Of a message's calls only the first counts; a message without calls goes to the user. A run ends when the user says
//! `###STOP###` or the agent hands over to a person; one that does not end earns nothing. The reward is 1 if the data end as
//! after the reference's calls (those of hand-over left out), and each text that had to be said is in a message to the user,
//! without regard to case and to the message's commas.

mod airline;
mod retail;
mod tasks;
mod taskset;
mod tool;
mod world;

pub use tasks::tasks;
pub use taskset::Tau1;
pub use tool::TRANSFER;
pub use world::World;

use crate::message::{Message, Simulation};
use crate::py::Value;
use serde::{Deserialize, Serialize};

/// The domains, as in `tau:airline`.
pub const DOMAINS: [&str; 2] = ["airline", "retail"];

/// A domain: its tables and tools.
struct Domain {
    name: &'static str,
    /// What its tasks are, in a sentence.
    about: &'static str,
    tables: &'static [&'static str],
    /// In the reference's order.
    tools: &'static [tool::Tool],
}

impl std::fmt::Debug for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Domain {
    fn of(name: &str) -> Option<&'static Self> {
        [&airline::AIRLINE, &retail::RETAIL]
            .into_iter()
            .find(|domain| domain.name == name)
    }
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Who the user is.
    pub user_id: String,
    /// What the simulated user is told.
    pub instruction: String,
    /// The reference's calls.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// Texts that must be said.
    #[serde(default)]
    pub outputs: Vec<String>,
}

/// A call of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// The tool.
    pub name: String,
    /// The arguments, an object.
    pub kwargs: Value,
}

/// What an agent did in a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A call.
    Call(String, Value),
    /// A message to the user.
    Respond(String),
}

/// A run, as far as the reward asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Played {
    /// The agent's turns.
    pub acts: Vec<Act>,
    /// Whether it ended.
    pub ended: bool,
}

impl Played {
    /// Of a recorded conversation.
    pub fn of(run: &Simulation) -> Self {
        let mut played = Self::default();
        for message in &run.messages {
            match message {
                Message::Assistant(turn) => played.acts.push(match turn.tool_calls.as_deref() {
                    Some([call, ..]) => {
                        played.ended |= call.name == TRANSFER;
                        Act::Call(call.name.clone(), call.arguments.clone())
                    }
                    _ => Act::Respond(turn.content.clone().unwrap_or_default()),
                }),
                Message::User(turn) => {
                    let said = turn.content.as_deref().unwrap_or_default();
                    played.ended |= said.contains("###STOP###");
                }
                _ => {}
            }
        }
        played
    }
}

/// A reward and what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reward {
    /// 0 or 1.
    pub reward: f64,
    /// Whether the data ended as after the reference's calls; `None` for a run that did not end.
    pub data: Option<bool>,
    /// Each text that had to be said.
    pub outputs: Vec<bool>,
    /// The same, with the text's own commas left out as well.
    pub heard: Vec<bool>,
}

/// Version of [`defect`].
pub const DEFECTS_VERSION: &str = "1 (tau-bench 59a200c)";

/// What is wrong with a task, if anything: a text with a comma can never be said, since the commas of what is said are left
/// out; where the reference changes nothing and nothing has to be said, doing nothing passes.
pub fn defect(fresh: &World, task: &Task) -> Option<&'static str> {
    if task.outputs.iter().any(|output| output.contains(',')) {
        return Some("unsayable");
    }
    (task.outputs.is_empty() && gold(fresh, task).same(fresh)).then_some("inaction_passes")
}

/// The data after the reference's calls.
pub fn gold(fresh: &World, task: &Task) -> World {
    let mut world = fresh.clone();
    for action in task.actions.iter().filter(|action| action.name != TRANSFER) {
        world.respond(&action.name, &action.kwargs);
    }
    world
}

/// The reward of a run over fresh data.
pub fn reward(fresh: &World, task: &Task, played: &Played) -> Reward {
    if !played.ended {
        return Reward::default();
    }
    let mut world = fresh.clone();
    let mut said = vec![];
    for act in &played.acts {
        match act {
            Act::Call(name, arguments) => {
                world.respond(name, arguments);
            }
            Act::Respond(text) => said.push(text.to_lowercase().replace(',', "")),
        }
    }
    let same = world.same(&gold(fresh, task));
    let heard = |output: &str| said.iter().any(|text| text.contains(&output.to_lowercase()));
    let outputs: Vec<bool> = task.outputs.iter().map(|output| heard(output)).collect();
    Reward {
        reward: f64::from(u8::from(same && outputs.iter().all(|heard| *heard))),
        data: Some(same),
        outputs,
        heard: task
            .outputs
            .iter()
            .map(|output| heard(&output.replace(',', "")))
            .collect(),
    }
}
