//! Task records, as τ²-bench writes them.

use crate::message::Message;
use crate::py::Value;
use crate::toolkit::Side;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Unique within its domain.
    pub id: String,
    /// What the simulated user is told.
    pub user_scenario: Scenario,
    /// The task as a ticket, for an agent that works without a user.
    #[serde(default)]
    pub ticket: Option<String>,
    /// What happened before.
    #[serde(default)]
    pub initial_state: Option<InitialState>,
    /// How it is judged.
    #[serde(default)]
    pub evaluation_criteria: Option<Criteria>,
    /// The user's tools; all of the domain's if not said.
    #[serde(default)]
    pub user_tools: Option<Vec<String>>,
}

/// What the simulated user is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scenario {
    /// How the user is.
    #[serde(default)]
    pub persona: Option<String>,
    /// What the user wants.
    pub instructions: Instructions,
}

/// What the user wants.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Instructions {
    /// In parts.
    Structured {
        /// The domain.
        domain: String,
        /// Why the user calls.
        reason_for_call: String,
        /// What the user knows.
        #[serde(default)]
        known_info: Option<String>,
        /// What the user does not know.
        #[serde(default)]
        unknown_info: Option<String>,
        /// How to behave.
        task_instructions: String,
    },
    /// As one text.
    Text(String),
}

/// What happened before the conversation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InitialState {
    /// Changes of the databases.
    #[serde(default)]
    pub initialization_data: Option<InitializationData>,
    /// Functions that are run on the world.
    #[serde(default)]
    pub initialization_actions: Option<Vec<FunctionCall>>,
    /// Messages that were exchanged.
    #[serde(default)]
    pub message_history: Option<Vec<Message>>,
}

/// Changes of the databases, merged into them key by key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InitializationData {
    /// The agent's.
    #[serde(default)]
    pub agent_data: Option<Value>,
    /// The user's.
    #[serde(default)]
    pub user_data: Option<Value>,
}

/// A call of one of the world's functions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Whose side has the function.
    pub env_type: Side,
    /// Its name.
    pub func_name: String,
    /// Its arguments, an object.
    pub arguments: Value,
}

/// A function of the world that must return a given truth value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assertion {
    /// The call.
    #[serde(flatten)]
    pub call: FunctionCall,
    /// What it must return.
    #[serde(default = "yes")]
    pub assert_value: bool,
    /// What it means when it does not.
    #[serde(default)]
    pub message: Option<String>,
}

fn yes() -> bool {
    true
}

/// A call of the reference solution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Action {
    /// Unique within its task.
    pub action_id: String,
    /// Who calls.
    #[serde(default)]
    pub requestor: Side,
    /// The tool.
    pub name: String,
    /// The arguments, an object.
    pub arguments: Value,
    /// A remark.
    #[serde(default)]
    pub info: Option<String>,
    /// Which arguments count when calls are compared; see [`crate::evaluate::action_matches`].
    #[serde(default)]
    pub compare_args: Option<Vec<String>>,
}

/// A component of the reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Component {
    /// The databases end as after the reference solution.
    Db,
    /// The world's assertions hold.
    EnvAssertion,
    /// A judge finds that the assertions in words hold.
    NlAssertion,
    /// The calls of the reference solution were made.
    Action,
    /// The agent said what it had to say.
    Communicate,
}

/// How a task is judged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Criteria {
    /// The reference solution.
    #[serde(default)]
    pub actions: Option<Vec<Action>>,
    /// Assertions on the world.
    #[serde(default)]
    pub env_assertions: Option<Vec<Assertion>>,
    /// Texts that the agent must say.
    #[serde(default)]
    pub communicate_info: Option<Vec<String>>,
    /// Assertions in words.
    #[serde(default)]
    pub nl_assertions: Option<Vec<String>>,
    /// The components whose product is the reward.
    #[serde(default = "default_basis")]
    pub reward_basis: Vec<Component>,
}

fn default_basis() -> Vec<Component> {
    vec![Component::Db, Component::Communicate]
}

/// Why a data file cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{file}: {what}; {remedy}")]
pub struct DataError {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub remedy: &'static str,
}

/// Largest data file that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// A data file's text.
///
/// # Errors
/// When it cannot be read or is too large.
pub fn read(path: &Path) -> Result<String, DataError> {
    let error = |what: String, remedy| DataError {
        file: path.display().to_string(),
        what,
        remedy,
    };
    let bytes = std::fs::metadata(path).map_err(|e| error(e.to_string(), HAVE))?.len();
    if bytes > MAX_FILE {
        let what = format!("has {bytes} bytes, more than {MAX_FILE}");
        return Err(error(what, "split it"));
    }
    std::fs::read_to_string(path).map_err(|e| error(e.to_string(), HAVE))
}

const HAVE: &str = "have a folder with the data of tau2-bench's domains";

/// A JSON data file.
///
/// # Errors
/// When it cannot be read or does not have the expected form.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    serde_json::from_str(&read(path)?).map_err(|e| DataError {
        file: path.display().to_string(),
        what: e.to_string(),
        remedy: "take the file of tau2-bench as it is",
    })
}

/// The tasks of a file.
///
/// # Errors
/// As [`read_json`].
pub fn load_tasks(path: &Path) -> Result<Vec<Task>, DataError> {
    read_json(path)
}

/// The task ids of each split of a file.
///
/// # Errors
/// As [`read_json`].
pub fn load_splits(path: &Path) -> Result<BTreeMap<String, Vec<String>>, DataError> {
    read_json(path)
}
