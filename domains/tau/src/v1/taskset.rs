//! τ-bench's airline as a taskset: `tau:airline`.

use super::{Act, Played, Reward, Task, World, reward};
use crate::environment::Mode;
use crate::py::{Value, text};
use crate::task::{DataError, read};
use crate::taskset::scripts::{self, Plain};
use crate::toolkit::{Kind, schema};
use hone_env::{Budget, EnvError, Environment, Fork, ScriptInfo, SimulatedUser, Split, Taskset};
use hone_model::{AgentTurn, Script};
use hone_python::{Call, Expr, constant, parse};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::{EndReason, Episode, Score, ScorePart, Stream, Turn};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Version of the scorer.
const VERSION: &str = "1";

const GREETING: &str = "Hi! How can I help you today?";

const USER: &str = "You are the customer in a conversation with a company's agent. Say one short line at a time, in your own \
    words and true to the character below. Tell only what the moment asks for, never everything at once, and nothing that \
    is not below: what you are asked and do not find there, you do not know. When all that you want is done, say \
    ###STOP### and nothing else.";

/// τ-bench's airline.
pub struct Tau1 {
    fresh: World,
    specs: Arc<[ToolSpec]>,
    policy: String,
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Recorded {
    task_id: usize,
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    task: Task,
}

/// The tasks of a folder: `tasks_test.py`, or those that a file of recorded runs brings (`*-airline.json`).
///
/// # Errors
/// When neither is there or can be read.
pub fn tasks(folder: &Path) -> Result<Vec<Task>, DataError> {
    let source = folder.join("tasks_test.py");
    let wrong = |file: &Path, what: String| DataError {
        file: file.display().to_string(),
        what,
        remedy: "take tasks_test.py of tau-bench's airline as it is",
    };
    if source.is_file() {
        return listed(&read(&source)?).map_err(|what| wrong(&source, what));
    }
    let runs = folder.join("gpt-4o-airline.json");
    let recorded: Vec<Recorded> =
        serde_json::from_str(&read(&runs)?).map_err(|error| wrong(&runs, error.to_string()))?;
    let tasks: BTreeMap<usize, Task> = recorded.into_iter().map(|run| (run.task_id, run.info.task)).collect();
    Ok(tasks.into_values().collect())
}

/// The tasks of a Python file with `TASKS = [Task(…), …]`.
fn listed(source: &str) -> Result<Vec<Task>, String> {
    let (_, list) = source.split_once("TASKS").ok_or("there is no list TASKS")?;
    let at = list.find('[').ok_or("TASKS is no list")?;
    let Expr::List(items) = parse(&list[at..]).map_err(|error| error.to_string())? else {
        return Err("TASKS is no list".to_owned());
    };
    items.iter().map(task).collect()
}

fn task(expr: &Expr) -> Result<Task, String> {
    let fields = keywords(expr, "Task")?;
    let field = |name: &str| fields.get(name).copied().ok_or(format!("a task lacks {name}"));
    let value = |name: &str| constant(field(name)?).map_err(|error| format!("{name}: {error}"));
    let string = |value: Value, name: &str| value.as_str().map(str::to_owned).ok_or(format!("{name} is no text"));
    let Expr::List(actions) = field("actions")? else {
        return Err("actions is no list".to_owned());
    };
    let action = |expr: &Expr| {
        let fields = keywords(expr, "Action")?;
        let field = |name: &str| {
            let found = fields.get(name).ok_or(format!("an action lacks {name}"))?;
            constant(found).map_err(|error| format!("{name}: {error}"))
        };
        Ok::<_, String>(super::Action {
            name: string(field("name")?, "name")?,
            kwargs: field("kwargs")?,
        })
    };
    let outputs = value("outputs")?;
    let outputs = outputs.as_list().ok_or("outputs is no list")?;
    Ok(Task {
        user_id: string(value("user_id")?, "user_id")?,
        instruction: string(value("instruction")?, "instruction")?,
        actions: actions.iter().map(action).collect::<Result<_, _>>()?,
        outputs: outputs
            .iter()
            .map(|output| string(output.clone(), "output"))
            .collect::<Result<_, _>>()?,
    })
}

fn keywords<'a>(expr: &'a Expr, class: &str) -> Result<BTreeMap<&'a str, &'a Expr>, String> {
    match expr {
        Expr::Call(call @ Call { keywords, .. }) if call.dotted_name() == class => Ok(keywords
            .iter()
            .filter_map(|keyword| Some((keyword.name.as_deref()?, &keyword.value)))
            .collect()),
        _ => Err(format!("there is something else than a {class}(…)")),
    }
}

impl Tau1 {
    /// Load the airline of a folder: its data, `tasks_test.py` (or recorded runs) and `wiki.md`, as in
    /// `tau_bench/envs/airline` of a checkout.
    ///
    /// # Errors
    /// When a file is missing or broken.
    pub fn load(folder: &Path) -> Result<Self, DataError> {
        Ok(Self {
            fresh: World::load(folder)?,
            specs: super::tools::TOOLS.iter().map(spec).collect(),
            policy: read(&folder.join("wiki.md"))?,
            tasks: tasks(folder)?,
        })
    }

    fn record(task: &hone_env::Task) -> Option<Task> {
        Task::deserialize(&task.data).ok()
    }
}

fn spec(tool: &super::tools::Tool) -> ToolSpec {
    let writes = tool.info.kind == Kind::Write;
    ToolSpec {
        name: tool.info.name.to_owned(),
        description: tool.info.about.to_owned(),
        input_schema: schema(&tool.info),
        annotations: Annotations {
            read_only_hint: !writes,
            destructive_hint: writes,
            idempotent_hint: !writes,
            open_world_hint: false,
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        unchecked: true,
    }
}

struct Stage {
    fresh: World,
    world: World,
    specs: Arc<[ToolSpec]>,
}

impl ToolHost for Stage {
    fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    fn call(&mut self, tool: &str, arguments: &serde_json::Value) -> Result<ToolOutput, ToolError> {
        let arguments: Value = serde_json::from_value(arguments.clone()).map_err(|e| ToolError::tool(e.to_string()))?;
        let shown = self.world.respond(tool, &arguments);
        match shown.strip_prefix("Error: ") {
            Some(why) => Err(ToolError::tool(why)),
            None => Ok(ToolOutput {
                data: serde_json::from_str(&shown).unwrap_or_else(|_| shown.clone().into()),
                terminal: tool == super::TRANSFER,
                text: shown,
                ..ToolOutput::default()
            }),
        }
    }

    fn state_hash(&self) -> Option<String> {
        Some(self.world.fingerprint())
    }

    fn inline(&self) -> bool {
        true
    }
}

impl Environment for Stage {
    fn reset(&mut self, _: &hone_env::Task) -> Result<(), EnvError> {
        self.world = self.fresh.clone();
        Ok(())
    }

    fn state(&self) -> serde_json::Value {
        self.world.changes()
    }

    fn fork_kind(&self) -> Fork {
        Fork::Native
    }

    fn fork(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(Self {
            fresh: self.fresh.clone(),
            world: self.world.clone(),
            specs: self.specs.clone(),
        }))
    }
}

/// The run that an episode recorded.
fn played(episode: &Episode) -> Played {
    let turns = episode.turns.iter().filter_map(|turn| match turn {
        Turn::Agent { model_call } => Some(*model_call),
        _ => None,
    });
    let act = |id: u32| {
        let call = episode.tool_calls.iter().find(|call| call.model_call == Some(id));
        match call {
            Some(call) => {
                let arguments = serde_json::from_value(call.arguments.clone());
                Act::Call(call.tool.clone(), arguments.unwrap_or_else(|_| text("")))
            }
            None => {
                let said = episode.model_calls.get(id as usize);
                Act::Respond(said.map_or_else(String::new, |call| call.text.clone()))
            }
        }
    };
    Played {
        acts: turns.map(act).collect(),
        ended: matches!(episode.end, EndReason::Answered | EndReason::Terminal),
    }
}

fn parts(task: &Task, found: &Reward) -> Vec<ScorePart> {
    let part = |name: &str, value: bool, why: String| ScorePart {
        name: name.to_owned(),
        value: f64::from(u8::from(value)),
        why,
    };
    let Some(same) = found.data else {
        return vec![part("ended", false, "the run ended prematurely".to_owned())];
    };
    let end = if same { "as" } else { "otherwise than" };
    let mut parts = vec![part(
        "data",
        same,
        format!("the data ended {end} after the reference's calls"),
    )];
    if !task.outputs.is_empty() {
        let said = found.outputs.iter().filter(|said| **said).count();
        let why = format!("{said} of {} texts were said", task.outputs.len());
        parts.push(part("outputs", said == task.outputs.len(), why));
    }
    parts
}

impl Taskset for Tau1 {
    fn name(&self) -> &str {
        "tau:airline"
    }

    fn about(&self) -> &'static str {
        "Serve an airline's customers by its policy, in conversation with a simulated user (τ-bench)."
    }

    fn len(&self, split: Split) -> Option<u64> {
        Some(match split {
            Split::Test => self.tasks.len() as u64,
            Split::Train | Split::Validation => 0,
        })
    }

    fn task(&self, split: Split, index: u64) -> Result<hone_env::Task, EnvError> {
        let found = usize::try_from(index).ok().filter(|_| split == Split::Test);
        let task = found
            .and_then(|index| self.tasks.get(index))
            .ok_or_else(|| EnvError::NoSuchTask {
                taskset: self.name().to_owned(),
                split: split.name(),
                index,
                len: self.len(split).unwrap_or_default(),
            })?;
        Ok(hone_env::Task {
            id: index.to_string(),
            kind: "airline".to_owned(),
            system: Some(self.policy.clone()),
            instruction: task.instruction.clone(),
            seed: 0,
            data: serde_json::to_value(task).map_err(|error| EnvError::Data {
                what: format!("task {index} cannot be written as JSON ({error})"),
                remedy: "report this as a bug".to_owned(),
            })?,
        })
    }

    fn environment(&self, _: &hone_env::Task) -> Box<dyn Environment> {
        Box::new(Stage {
            fresh: self.fresh.clone(),
            world: self.fresh.clone(),
            specs: self.specs.clone(),
        })
    }

    fn user(&self, task: &hone_env::Task) -> Option<SimulatedUser> {
        Some(SimulatedUser {
            instructions: format!("{USER}\n\n{}", task.instruction),
            cue: Some(GREETING.to_owned()),
            stop: vec!["###STOP###".to_owned()],
            ..SimulatedUser::default()
        })
    }

    fn user_scripts(&self) -> &'static [ScriptInfo] {
        scripts::USER_SCRIPTS
    }

    fn user_script(&self, name: &str, task: &hone_env::Task, _: &Stream) -> Option<Box<dyn Script>> {
        let facts = vec![task.instruction.clone()];
        (name == "plain").then(|| Box::new(Plain::knowing(facts, &[])) as Box<dyn Script>)
    }

    fn budget(&self) -> Budget {
        Budget {
            max_turns: 30,
            max_turn_tokens: 8_192,
            max_tokens: 1_000_000,
            max_observation_chars: 1_000_000,
            episode_timeout_ms: 3_600_000,
            first_call_only: true,
            ..Budget::default()
        }
    }

    fn score(&self, task: &hone_env::Task, episode: &Episode, _: &dyn Environment) -> Score {
        let settings = format!("tau:airline/{VERSION}");
        let (value, parts) = match Self::record(task) {
            Some(record) => {
                let found = reward(&self.fresh, &record, &played(episode));
                (found.reward, parts(&record, &found))
            }
            None => (f64::NAN, vec![]),
        };
        Score {
            scorer: "tau".to_owned(),
            version: VERSION.to_owned(),
            hash: Sha256::digest(settings)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            value,
            parts,
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        scripts::SCRIPTS
    }

    fn script(&self, name: &str, task: &hone_env::Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let record = Self::record(task)?;
        let turns = match name {
            "gold" => {
                let call = |action: &super::Action| {
                    let arguments = serde_json::to_value(&action.kwargs).unwrap_or_default();
                    AgentTurn::call(&action.name, arguments)
                };
                let said: String = record.outputs.iter().map(|output| format!(" {output}.")).collect();
                // A hand-over ends the run, so what has to be said comes first.
                let (over, calls): (Vec<_>, Vec<_>) =
                    record.actions.iter().partition(|action| action.name == super::TRANSFER);
                let mut turns: Vec<_> = calls.into_iter().map(call).collect();
                turns.push(AgentTurn::Say(format!("All is done.{said}")));
                turns.extend(over.into_iter().map(call));
                turns.into()
            }
            "do_nothing" => Default::default(),
            "random" => scripts::random(&record.instruction, &self.specs, stream),
            _ => return None,
        };
        Some(scripts::turns(turns, Mode::Dialogue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_read_from_python() {
        let source = "from x import Action, Task\n\nTASKS = [\n    Task(\n        annotator=\"0\",\n        user_id=\"a\",\n        \
                      instruction=\"It's\" \" so\",\n        actions=[Action(name=\"f\", kwargs={\"n\": [1, -2.5, True, None]})],\n        \
                      outputs=[\"10\"],\n    ),\n]\n";
        let tasks = listed(source).unwrap();
        assert_eq!(tasks[0].instruction, "It's so");
        assert_eq!(tasks[0].actions[0].kwargs.repr(), "{'n': [1, -2.5, True, None]}");
        assert_eq!(tasks[0].outputs, ["10"]);
        for wrong in ["", "TASKS = 1", "TASKS = [f()]", "TASKS = [Task(user_id=1)]"] {
            assert!(listed(wrong).is_err(), "{wrong}");
        }
    }
}
