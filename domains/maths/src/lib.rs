//! Problems of mathematics with Python: generated, graded, and too long for the head.
//!
//! A task is a problem, from arithmetic to stories of several steps. The agent runs Python in a sandbox and submits an answer,
//! a number or an expression; it succeeds if that is the right one, in whatever form.
//!
//! Invariants:
//! * Families of problems are split for good: what validation and test ask, training never does.
//! * The right answer is computed here, and the expert's program computes it another way.
//! * Answers are compared exactly ([`answer`]): no floating point, no rounding but where the problem asks for places.
//! * Without a sandbox there is no taskset.
//!
//! Deliberately not here: the sandbox (`hone-sandbox`), the tools themselves (`hone-standard`).

pub mod answer;
pub mod problem;
mod scripts;
mod world;

use answer::Expected;
use hone_env::{Budget, EnvError, Environment, ScriptInfo, Split, Task, Taskset};
use hone_model::Script;
use hone_standard::{Place, Standard};
use hone_trace::{Episode, Score, ScorePart, Stream};
use problem::{FAMILIES, Family};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;

/// What the agent is told first.
const GUIDE: &str = "Solve the problem. Compute with the tool `python` rather than in your head. Then give the answer with the \
    tool `finish`: a number such as 42, 7/3 or 12.50, or an expression such as 2*x**2 - 1/3 or 3*sqrt(2), and nothing else.";

/// A task's own data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Assignment {
    family: String,
    expected: Expected,
}

impl Assignment {
    fn of(task: &Task) -> Result<Self, EnvError> {
        Self::deserialize(&task.data).map_err(|error| EnvError::Data {
            what: format!("task {} holds no problem of maths ({error})", task.id),
            remedy: "take the task from the taskset maths".to_owned(),
        })
    }
}

/// The taskset: no end of tasks; the families of a split take turns.
pub struct Maths {
    tools: Standard,
}

impl Maths {
    /// The taskset, with a Python that runs.
    ///
    /// # Errors
    /// When there is no sandbox or no Python here; the error says what to do.
    pub fn new() -> Result<Self, EnvError> {
        let settings = json!({"python": {}, "finish": {}});
        let place = Place {
            folder: Path::new("."),
            // An episode has no files of its own; with them, those of the folder would be in its sandbox.
            confined: false,
        };
        let tools = Standard::new(settings.as_object().unwrap_or(&serde_json::Map::new()), &place);
        let tools = tools.map_err(|wrong| EnvError::Data {
            what: format!("maths needs a sandbox with Python: {}", wrong.what),
            remedy: wrong.remedy,
        })?;
        Ok(Self { tools })
    }
}

impl Taskset for Maths {
    fn name(&self) -> &str {
        "maths"
    }

    fn about(&self) -> &'static str {
        "Problems of mathematics that take a program, answered exactly; held-out families of problems."
    }

    fn len(&self, _: Split) -> Option<u64> {
        None
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        let families: Vec<&Family> = FAMILIES.iter().filter(|family| family.split == split).collect();
        let turn = index.checked_rem(families.len() as u64);
        let family = turn
            .and_then(|turn| families.get(turn as usize))
            .ok_or_else(|| EnvError::NoSuchTask {
                taskset: "maths".to_owned(),
                split: split.name(),
                index,
                len: 0,
            })?;
        let seed = Stream::new(0).named("maths/1").named(split.name()).at(index).seed();
        let problem = family.problem(seed);
        let assignment = Assignment {
            family: family.name.to_owned(),
            expected: problem.expected,
        };
        Ok(Task {
            id: format!("{}/{index}", split.name()),
            kind: family.name.to_owned(),
            system: Some(GUIDE.to_owned()),
            instruction: problem.text,
            seed,
            data: serde_json::to_value(assignment).map_err(|error| EnvError::Data {
                what: format!("the task cannot be written as JSON ({error})"),
                remedy: "report this as a bug".to_owned(),
            })?,
        })
    }

    fn environment(&self, _: &Task) -> Box<dyn Environment> {
        Box::new(world::World::new(self.tools.clone()))
    }

    fn budget(&self) -> Budget {
        Budget {
            max_turns: 8,
            max_calls: 8,
            max_turn_tokens: 2_048,
            max_tokens: 16_384,
            max_observation_chars: 4_000,
            // A call takes 10 s at most, and the sandbox's own work 20 s.
            tool_timeout_ms: 40_000,
            ..Budget::default()
        }
    }

    /// 1 if the answer that was submitted is right. Parts: `answer`, `programs` (calls of Python that ended without an error).
    fn score(&self, task: &Task, episode: &Episode, environment: &dyn Environment) -> Score {
        let state = environment.state();
        let submitted = state["finish"]["answer"].as_str();
        let (value, why) = match (Assignment::of(task), submitted) {
            (Err(error), _) => (0.0, error.to_string()),
            (Ok(assignment), None) => (
                0.0,
                format!("nothing was submitted; wanted {}", assignment.expected.shown()),
            ),
            (Ok(assignment), Some(answer)) => {
                let shown: String = answer.chars().take(200).collect();
                match assignment.expected.check(answer) {
                    Ok(()) => (1.0, format!("{shown:?} is right")),
                    Err(why) => (0.0, format!("{shown:?}: {why}; wanted {}", assignment.expected.shown())),
                }
            }
        };
        let programs = episode.tool_calls.iter().filter(|call| call.tool == "python");
        let (ran, failed) = programs.fold((0, 0), |(ran, failed), call| match call.error {
            None => (ran + 1, failed),
            Some(_) => (ran, failed + 1),
        });
        Score {
            scorer: "maths".to_owned(),
            version: "1".to_owned(),
            hash: Sha256::digest(b"maths/1: exact answers")
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            value,
            parts: vec![
                ScorePart {
                    name: "answer".to_owned(),
                    value,
                    why,
                },
                ScorePart {
                    name: "programs".to_owned(),
                    value: f64::from(ran),
                    why: format!("calls of python that ended well; {failed} did not"),
                },
            ],
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        scripts::SCRIPTS
    }

    fn script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let assignment = Assignment::of(task).ok()?;
        let problem = Family::named(&assignment.family)?.problem(task.seed);
        scripts::script(name, problem, stream)
    }
}
