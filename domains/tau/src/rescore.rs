//! Scoring what others recorded: files of simulations, and lists of OpenAI messages.

use crate::evaluate::{EvaluateError, Judge, Reward, Run, evaluate, needs_judge};
use crate::message::{Message, Simulation, Termination, ToolCall, ToolResult, Turn};
use crate::py::Value;
use crate::task::{DataError, Task, read};
use crate::toolkit::Side;
use crate::v1;
use crate::world::World;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A run scored again.
#[derive(Debug)]
pub struct Rescored {
    /// Its task.
    pub task: String,
    /// Its trial.
    pub trial: Option<u32>,
    /// The recorded reward.
    pub recorded: Option<f64>,
    /// The reward, or why there is none.
    pub found: Result<Reward, String>,
    /// Whether the run counts: those that the infrastructure broke do not.
    pub counts: bool,
    /// Whether assertions in words decide, and no judge was asked.
    pub needs_judge: bool,
}

impl Rescored {
    /// Whether the rewards differ by more than 1e-6; `None` where one is missing.
    pub fn differs(&self) -> Option<bool> {
        let found = self.found.as_ref().ok()?.reward;
        Some((found - self.recorded?).abs() > 1e-6)
    }
}

/// What a file of responses holds.
#[derive(Clone, Debug, Default)]
pub struct Responses {
    /// The runs.
    pub simulations: Vec<Simulation>,
    /// Tasks that the file itself brings; they go before those of the data folder.
    pub tasks: Vec<Task>,
    /// The task of each run, in a file of τ-bench.
    pub v1_tasks: Vec<Option<v1::Task>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Results(crate::message::Results),
    Lists(Vec<List>),
}

/// A conversation as a list of OpenAI messages.
#[derive(Deserialize)]
struct List {
    task_id: TaskId,
    #[serde(default)]
    trial: Option<u32>,
    #[serde(default)]
    reward: Option<f64>,
    #[serde(default)]
    info: Option<Info>,
    #[serde(alias = "traj")]
    messages: Vec<OpenAi>,
}

/// What τ-bench's own files say of a run.
#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    task: Option<v1::Task>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TaskId {
    Text(String),
    Number(i64),
}

#[derive(Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum OpenAi {
    #[serde(alias = "developer")]
    System {},
    User {
        #[serde(default)]
        content: Option<String>,
    },
    Assistant {
        #[serde(default)]
        content: Option<String>,
        #[serde(default)]
        tool_calls: Option<Vec<OpenAiCall>>,
    },
    Tool {
        #[serde(default)]
        tool_call_id: String,
        #[serde(default)]
        content: Option<String>,
    },
}

#[derive(Deserialize)]
struct OpenAiCall {
    #[serde(default)]
    id: String,
    function: OpenAiFunction,
}

#[derive(Deserialize)]
struct OpenAiFunction {
    name: String,
    arguments: String,
}

impl OpenAi {
    /// The message; none for instructions.
    fn message(self) -> Option<Message> {
        Some(match self {
            OpenAi::System {} => return None,
            OpenAi::User { content } => Message::User(Turn {
                content,
                tool_calls: None,
            }),
            OpenAi::Assistant { content, tool_calls } => Message::Assistant(Turn {
                content,
                tool_calls: tool_calls.filter(|calls| !calls.is_empty()).map(|calls| {
                    let call = |call: OpenAiCall| ToolCall {
                        id: call.id,
                        name: call.function.name,
                        // Text that is no object is an argument that no tool takes, as there.
                        arguments: hone_python::loads(&call.function.arguments)
                            .unwrap_or_else(|_| Value::from(call.function.arguments.as_str())),
                        requestor: Side::Assistant,
                    };
                    calls.into_iter().map(call).collect()
                }),
            }),
            OpenAi::Tool { tool_call_id, content } => {
                let error = content.as_deref().is_some_and(|text| text.starts_with("Error:"));
                Message::Tool(ToolResult {
                    id: tool_call_id,
                    content,
                    requestor: Side::Assistant,
                    error,
                })
            }
        })
    }
}

impl From<List> for Simulation {
    fn from(list: List) -> Self {
        Self {
            task_id: match list.task_id {
                TaskId::Text(id) => id,
                TaskId::Number(id) => id.to_string(),
            },
            trial: list.trial,
            termination_reason: Termination::UserStop,
            messages: list.messages.into_iter().filter_map(OpenAi::message).collect(),
            reward_info: list.reward.map(|reward| crate::message::RecordedReward { reward }),
        }
    }
}

/// Read a file of τ²-bench's simulations, or a list (or lines) of `{"task_id", "messages"}` with OpenAI messages.
///
/// # Errors
/// When it cannot be read or is neither.
pub fn responses(path: &Path) -> Result<Responses, DataError> {
    let text = read(path)?;
    parse(&text).map_err(|what| DataError {
        file: path.display().to_string(),
        what,
        remedy: "give a results file of tau2-bench, or a JSON list or JSON Lines of {\"task_id\", \"messages\"}",
    })
}

fn parse(text: &str) -> Result<Responses, String> {
    let file = serde_json::from_str::<File>(text).or_else(|whole| {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let lists: Result<Vec<List>, _> = lines.map(serde_json::from_str).collect();
        lists
            .map(File::Lists)
            .map_err(|line| match text.trim_start().starts_with('[') {
                true => whole.to_string(),
                false => line.to_string(),
            })
    })?;
    Ok(match file {
        File::Results(results) => Responses {
            simulations: results.simulations,
            tasks: results.tasks,
            v1_tasks: vec![],
        },
        File::Lists(mut lists) => Responses {
            tasks: vec![],
            v1_tasks: lists.iter_mut().map(|list| list.info.take()?.task).collect(),
            simulations: lists.into_iter().map(Simulation::from).collect(),
        },
    })
}

/// Score runs again. `tasks` are those of the data folder; `judge` is asked where assertions in words count.
pub fn rescore<'a>(
    fresh: &'a dyn World,
    tasks: &'a [Task],
    responses: &'a Responses,
    mut judge: Option<&'a mut dyn Judge>,
) -> impl Iterator<Item = Rescored> + 'a {
    responses.simulations.iter().map(move |run| {
        let task = responses.tasks.iter().chain(tasks).find(|task| task.id == run.task_id);
        let counts = run.termination_reason != Termination::InfrastructureError;
        let mut rescored = Rescored {
            task: run.task_id.clone(),
            trial: run.trial,
            recorded: run.reward_info.as_ref().map(|info| info.reward),
            found: Err(format!("there is no task {}", run.task_id)),
            counts,
            needs_judge: false,
        };
        if let Some(task) = task {
            rescored.needs_judge = judge.is_none() && needs_judge(task);
            let judged = Run {
                termination: run.termination_reason,
                ..Run::ended(&run.messages)
            };
            // `as_deref_mut` cannot shorten the life of a trait object in an option.
            let judge: Option<&mut dyn Judge> = match &mut judge {
                Some(judge) => Some(&mut **judge),
                None => None,
            };
            let found: Result<Reward, EvaluateError> = evaluate(fresh, task, &judged, judge);
            rescored.found = found.map_err(|error| error.to_string());
        }
        rescored
    })
}

/// Score runs of τ-bench again; `tasks` are those of the data folder, for runs that do not bring theirs.
pub fn rescore_v1<'a>(
    fresh: &'a v1::World,
    tasks: &'a [v1::Task],
    responses: &'a Responses,
) -> impl Iterator<Item = Rescored> + 'a {
    responses.simulations.iter().enumerate().map(move |(i, run)| {
        let own = responses.v1_tasks.get(i).and_then(Option::as_ref);
        let listed = || run.task_id.parse::<usize>().ok().and_then(|id| tasks.get(id));
        let found = own
            .or_else(listed)
            .map(|task| v1::reward(fresh, task, &v1::Played::of(run)));
        let reward = |found: v1::Reward| Reward {
            reward: found.reward,
            db: found.data,
            communicate: found.outputs,
            ..Reward::default()
        };
        Rescored {
            task: run.task_id.clone(),
            trial: run.trial,
            recorded: run.reward_info.as_ref().map(|info| info.reward),
            found: found
                .map(reward)
                .ok_or_else(|| format!("there is no task {}", run.task_id)),
            counts: true,
            needs_judge: false,
        }
    })
}

/// What scoring a file again adds up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Runs in the file.
    pub runs: usize,
    /// Runs that were scored and count.
    pub scored: usize,
    /// Of these, those with a reward of 1.
    pub passed: usize,
    /// Share of these.
    pub success: Option<f64>,
    /// Runs with a recorded reward beside which ours stands.
    pub compared: usize,
    /// Of these, those where they differ: `task/trial`.
    pub different: Vec<String>,
    /// Tasks whose runs only a judge can tell.
    pub needs_judge: Vec<String>,
    /// Runs that cannot be scored for other reasons, with the reason.
    pub unscored: Vec<String>,
    /// Runs that the infrastructure broke.
    pub infrastructure: usize,
}

impl Summary {
    /// Add up.
    pub fn of(runs: impl IntoIterator<Item = Rescored>) -> Self {
        let mut sum = Self::default();
        for run in runs {
            let name = format!("{}/{}", run.task, run.trial.unwrap_or(0));
            sum.runs += 1;
            if !run.counts {
                sum.infrastructure += 1;
                continue;
            }
            if let Some(differs) = run.differs() {
                sum.compared += 1;
                sum.different.extend(differs.then(|| name.clone()));
            }
            match run.found {
                Ok(reward) => {
                    sum.scored += 1;
                    sum.passed += usize::from((reward.reward - 1.0).abs() <= 1e-6);
                }
                Err(_) if run.needs_judge => {
                    if !sum.needs_judge.contains(&run.task) {
                        sum.needs_judge.push(run.task);
                    }
                }
                Err(error) => sum.unscored.push(format!("{name}: {error}")),
            }
        }
        sum.success = (sum.scored > 0).then(|| sum.passed as f64 / sum.scored as f64);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_simulations_lists_and_lines() {
        let results = r#"{"simulations": [{"task_id": "a", "termination_reason": "user_stop", "messages": []}]}"#;
        assert_eq!(parse(results).unwrap().simulations[0].task_id, "a");
        let list = r#"{"task_id": 7, "trial": 1, "reward": 1.0, "traj": [{"role": "system", "content": "p"},
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
             "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
            {"role": "tool", "tool_call_id": "c", "name": "f", "content": "Error: no"}]}"#;
        for text in [format!("[{list}]"), list.replace('\n', " ")] {
            let runs = parse(&text).unwrap().simulations;
            assert_eq!((runs[0].task_id.as_str(), runs[0].messages.len()), ("7", 3));
            assert!(matches!(&runs[0].messages[2], Message::Tool(result) if result.error && result.id == "c"));
            assert_eq!(runs[0].messages[1].calls().unwrap()[0].name, "f");
        }
        assert!(parse("{").is_err() && parse("[{\"task\": 1}]").is_err());
    }
}
