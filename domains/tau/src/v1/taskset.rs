//! The domains as tasksets: `tau:airline`, `tau:retail`.

use super::tasks::{split, tasks};
use super::{Act, DEFECTS_VERSION, Played, Reward, Task, World, defect, reward};
use crate::environment::Mode;
use crate::py::{Value, text};
use crate::task::{DataError, read};
use crate::taskset::scripts::{self, Plain};
use crate::toolkit::{Kind, schema};
use hone_env::{Budget, EnvError, Environment, Fork, ScriptInfo, SimulatedUser, Split, Taskset};
use hone_model::{AgentTurn, Script};
use hone_tool::{Annotations, ToolError, ToolHost, ToolOutput, ToolSpec};
use hone_trace::{EndReason, Episode, Score, ScorePart, Stream, Turn};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// Version of the scorer.
const VERSION: &str = "1";

const GREETING: &str = "Hi! How can I help you today?";

const USER: &str = "You are the customer in a conversation with a company's agent. Say one short line at a time, in your own \
    words and true to the character below. Tell only what the moment asks for, never everything at once, and nothing that \
    is not below: what you are asked and do not find there, you do not know. When all that you want is done, say \
    ###STOP### and nothing else.";

/// A domain of τ-bench. The reference's splits `test`, `train` and `dev` are `test`, `train` and `validation` here.
pub struct Tau1 {
    name: String,
    fresh: World,
    specs: Arc<[ToolSpec]>,
    policy: String,
    test: Vec<Task>,
    train: Vec<Task>,
    validation: Vec<Task>,
}

impl Tau1 {
    /// Load a domain (`airline` or `retail`) of a folder: its data, its tasks (`tasks_test.py` or recorded runs; `tasks_train.py`
    /// and `tasks_dev.py` where they are) and `wiki.md`, as in `tau_bench/envs/DOMAIN` of a checkout.
    ///
    /// # Errors
    /// When there is no such domain, or a file is missing or broken.
    pub fn load(domain: &str, folder: &Path) -> Result<Self, DataError> {
        let fresh = World::load(domain, folder)?;
        Ok(Self {
            name: format!("tau:{domain}"),
            specs: fresh.domain.tools.iter().map(spec).collect(),
            fresh,
            policy: read(&folder.join("wiki.md"))?,
            test: tasks(domain, folder)?,
            train: split(folder, "train")?,
            validation: split(folder, "dev")?,
        })
    }

    fn tasks(&self, split: Split) -> &[Task] {
        match split {
            Split::Test => &self.test,
            Split::Train => &self.train,
            Split::Validation => &self.validation,
        }
    }

    fn record(task: &hone_env::Task) -> Option<Task> {
        Task::deserialize(&task.data).ok()
    }
}

fn spec(tool: &super::tool::Tool) -> ToolSpec {
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

/// The reward by the corrected rule, and the defect that it corrects: commas count on neither side, and a task that doing
/// nothing passes has no such reward.
fn corrected(task: &Task, found: &Reward, defect: Option<&'static str>) -> Vec<ScorePart> {
    let part = |name: &str, value: bool, why: String| ScorePart {
        name: name.to_owned(),
        value: f64::from(u8::from(value)),
        why,
    };
    let mut parts = vec![part("faithful", found.reward >= 1.0, String::new())];
    if defect != Some("inaction_passes") {
        let said = found.heard.len() == task.outputs.len() && found.heard.iter().all(|heard| *heard);
        parts.push(part("strict", found.data == Some(true) && said, String::new()));
    }
    parts.extend(defect.map(|name| part(name, true, format!("defects {DEFECTS_VERSION}"))));
    parts
}

impl Taskset for Tau1 {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> &'static str {
        self.fresh.domain.about
    }

    fn len(&self, split: Split) -> Option<u64> {
        Some(self.tasks(split).len() as u64)
    }

    fn task(&self, split: Split, index: u64) -> Result<hone_env::Task, EnvError> {
        let found = usize::try_from(index).ok();
        let task = found
            .and_then(|index| self.tasks(split).get(index))
            .ok_or_else(|| EnvError::NoSuchTask {
                taskset: self.name().to_owned(),
                split: split.name(),
                index,
                len: self.len(split).unwrap_or_default(),
            })?;
        Ok(hone_env::Task {
            // Of the test tasks, the number alone, as the reference has it.
            id: match split {
                Split::Test => index.to_string(),
                _ => format!("{}/{index}", split.name()),
            },
            kind: self.fresh.domain.name.to_owned(),
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
        let settings = format!("{}/{VERSION}, defects {DEFECTS_VERSION}", self.name);
        let (value, parts) = match Self::record(task) {
            Some(record) => {
                let found = reward(&self.fresh, &record, &played(episode));
                let mut parts = parts(&record, &found);
                parts.extend(corrected(&record, &found, defect(&self.fresh, &record)));
                (found.reward, parts)
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
