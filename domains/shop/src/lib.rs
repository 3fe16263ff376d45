//! A store generated from a seed: customers, orders, policy, and the tools to serve them.
//!
//! A customer writes a short request; the agent finds the order, reads it, and either does what is asked or, where
//! policy forbids it, notes why not; then it says what came of it in one line. What policy asks for depends on what the
//! tools answer, and the tools themselves forbid nothing. In a dialogue the customer is a simulated user, who says the rest
//! of the request only when asked.
//!
//! Invariants:
//! * Success is two facts: the state's hash equals the one that policy leads to, and the answer states its outcome.
//! * One wording per task, one right sequence of steps per task; every argument is copied from the request or a result.
//! * Names, streets, e-mail addresses, ids, wordings and combinations of wish, way and item are split for good
//!   ([`words::split_of`]): what validation and test show, training never does.
//!
//! Deliberately not here: agent loops, models, and how turns become text.

mod dialogue;
pub mod policy;
mod roles;
pub mod scenario;
mod scripts;
pub mod store;
mod tools;
pub mod wording;
pub mod words;

pub use dialogue::STOP;
pub use tools::{TOOLS, World};

use dialogue::{Customer, USER_SCRIPTS};
use hone_env::{Budget, EnvError, Environment, OnMalformed, Role, ScriptInfo, SimulatedUser, Split, Task, Taskset};
use hone_model::Script;
use hone_trace::{Episode, Score, ScorePart, Stream, ToolErrorClass, Turn};
use policy::{ASK, GUIDE, Outcome};
use roles::{HELPERS, Part};
use scenario::{Case, Fact, Request, Scenario};
use scripts::{Agent, Past, SCRIPTS};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// Solved training tasks that the fixed-plan and nearest-template baselines draw on.
const PAST_TASKS: u64 = 4000;

/// A task's own data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The split, which the words are drawn from.
    pub split: Split,
    /// The branch that policy takes.
    pub case: Case,
    /// What the customer says, in a dialogue piece by piece.
    pub request: Request,
    /// What of it is said only when asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Fact>,
    /// Hash of the state to reach.
    pub state: String,
    /// The answer to give, such as `refused: shipped`.
    pub outcome: String,
}

impl Assignment {
    /// A task's data.
    ///
    /// # Errors
    /// When the task is not one of this taskset.
    pub fn of(task: &Task) -> Result<Self, EnvError> {
        Self::deserialize(&task.data).map_err(|error| EnvError::Data {
            what: format!("task {} holds no data of the shop ({error})", task.id),
            remedy: "take the task from the shop taskset".to_owned(),
        })
    }
}

/// The taskset.
#[derive(Default)]
pub struct Shop {
    guided: bool,
    dialogue: bool,
    past: OnceLock<Past>,
}

impl Shop {
    /// Requests without a system message: what a model needs to know, it has learned.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same tasks with policy and the form of the answer in a system message, for models that read one.
    pub fn guided() -> Self {
        Self {
            guided: true,
            ..Self::default()
        }
    }

    /// Tasks of the same kind in a dialogue with a simulated customer, who says at first only what it wishes for, and who it
    /// is and half of the time which color or street when asked.
    #[must_use]
    pub fn in_dialogue(self) -> Self {
        Self { dialogue: true, ..self }
    }

    fn seed(&self, split: Split, index: u64) -> u64 {
        let name = if self.dialogue { "shop-dialogue/1" } else { "shop/1" };
        let stream = Stream::new(0).named(name).named(split.name()).at(index);
        if !self.dialogue {
            return stream.seed();
        }
        // Whoever hands every customer on without a question would be right about the unknown ones. So they are rare here.
        let mut attempt = stream.at(0);
        for next in 1.. {
            let unknown = Scenario::generate(split, attempt.seed()).case == Case::Unknown;
            if !unknown || attempt.uniform(0) < 0.25 {
                break;
            }
            attempt = stream.at(next);
        }
        attempt.seed()
    }

    /// What the customer keeps back, and what it says first.
    fn opening(scenario: &Scenario, split: Split, seed: u64) -> (Vec<Fact>, String) {
        let mut rng = Stream::new(seed).named("shop-dialogue/1");
        let withheld = dialogue::withheld(&scenario.request, &mut rng);
        let opening = wording::phrase(split, &scenario.request.without(&withheld), &mut rng);
        (withheld, opening)
    }

    fn past(&self) -> &Past {
        self.past
            .get_or_init(|| Past::new((0..PAST_TASKS).map(|index| self.seed(Split::Train, index))))
    }
}

/// The shop, ready to be shared.
pub fn shop() -> Arc<dyn Taskset> {
    Arc::new(Shop::new())
}

/// The text that an episode ended with: its last turn but the user's, if that turn is a model call that led to no tool call.
fn answer(episode: &Episode) -> Option<&str> {
    let mut turns = episode.turns.iter().rev();
    let Some(Turn::Agent { model_call }) = turns.find(|turn| !matches!(turn, Turn::User { .. })) else {
        return None;
    };
    let acted = episode
        .tool_calls
        .iter()
        .any(|call| call.model_call == Some(*model_call));
    let call = episode.model_calls.get(*model_call as usize)?;
    (!acted).then_some(call.text.as_str())
}

impl Taskset for Shop {
    fn name(&self) -> &str {
        match (self.dialogue, self.guided) {
            (false, false) => "shop",
            (false, true) => "shop-guided",
            (true, false) => "shop-dialogue",
            (true, true) => "shop-dialogue-guided",
        }
    }

    fn about(&self) -> &'static str {
        "Serve a store's customers: cancel, refund, exchange, redirect, answer, or refuse as policy asks."
    }

    fn len(&self, _split: Split) -> Option<u64> {
        None
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        let seed = self.seed(split, index);
        let scenario = Scenario::generate(split, seed);
        let solution = scenario.solve();
        let (withheld, instruction) = match self.dialogue {
            true => Self::opening(&scenario, split, seed),
            false => (Vec::new(), scenario.instruction),
        };
        let kind = format!("{}/{}", scenario.request.intent.name(), scenario.case.name());
        let assignment = Assignment {
            split,
            case: scenario.case,
            request: scenario.request,
            withheld,
            state: solution.state,
            outcome: solution.outcome.to_string(),
        };
        Ok(Task {
            id: format!("{}/{index}", split.name()),
            kind,
            system: self.guided.then(|| {
                if self.dialogue {
                    format!("{GUIDE} {ASK}")
                } else {
                    GUIDE.to_owned()
                }
            }),
            instruction,
            seed,
            data: serde_json::to_value(assignment).map_err(|error| EnvError::Data {
                what: format!("the task cannot be written as JSON ({error})"),
                remedy: "report this as a bug".to_owned(),
            })?,
        })
    }

    fn environment(&self, _: &Task) -> Box<dyn Environment> {
        Box::new(World::default())
    }

    fn user(&self, task: &Task) -> Option<SimulatedUser> {
        let request = Assignment::of(task).ok()?.request;
        self.dialogue.then(|| dialogue::role(&request, &task.instruction))
    }

    fn user_scripts(&self) -> &'static [ScriptInfo] {
        if self.dialogue { USER_SCRIPTS } else { &[] }
    }

    fn user_script(&self, name: &str, task: &Task, _: &Stream) -> Option<Box<dyn Script>> {
        self.user_scripts().iter().find(|script| script.name == name)?;
        Some(Box::new(Customer::new(&Assignment::of(task).ok()?, task)))
    }

    fn budget(&self) -> Budget {
        if self.dialogue {
            return Budget {
                max_turns: 12,
                // Wide, for a model that plays the customer and is told how to.
                max_turn_tokens: 1_024,
                max_tokens: 16_384,
                ..Shop::new().budget()
            };
        }
        Budget {
            max_turns: 8,
            max_calls: 7,
            max_turn_tokens: 40,
            max_tokens: 320,
            max_observation_chars: 400,
            tool_timeout_ms: 2_000,
            // Its tools answer at once: only the wait for the model counts, and a slow machine must not change the record.
            episode_timeout_ms: 600_000,
            on_malformed: OnMalformed::Observe,
            ..Budget::default()
        }
    }

    fn score(&self, task: &Task, episode: &Episode, environment: &dyn Environment) -> Score {
        let part = |name: &str, value: f64, why: String| ScorePart {
            name: name.to_owned(),
            value,
            why,
        };
        let expected = Assignment::of(task);
        let said = answer(episode);
        let (state_ok, said_ok, outcome) = match &expected {
            Ok(expected) => (
                environment.state_hash().as_deref() == Some(&expected.state),
                said.and_then(Outcome::read)
                    .is_some_and(|outcome| outcome.to_string() == expected.outcome),
                expected.outcome.as_str(),
            ),
            Err(_) => (false, false, "an outcome of the shop"),
        };
        let told = said.map_or("nothing was said".to_owned(), |text| format!("said {text:?}"));
        let calls = episode.tool_calls.len();
        let formal = |class| !matches!(class, ToolErrorClass::Tool | ToolErrorClass::Timeout);
        let broken = episode
            .tool_calls
            .iter()
            .filter(|c| c.error.as_ref().is_some_and(|e| formal(e.class)))
            .count();
        let valid = if calls == 0 {
            1.0
        } else {
            (calls - broken) as f64 / calls as f64
        };
        let state_why = if state_ok {
            "the state is as policy asks"
        } else {
            "the state differs from what policy asks"
        };
        Score {
            scorer: "shop".to_owned(),
            version: "1".to_owned(),
            hash: Sha256::digest(b"shop/1: state and said")
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            value: f64::from(u8::from(state_ok && said_ok)),
            parts: vec![
                part("state", f64::from(u8::from(state_ok)), state_why.to_owned()),
                part(
                    "said",
                    f64::from(u8::from(said_ok)),
                    format!("{told}; wanted {outcome:?}"),
                ),
                part(
                    "valid_calls",
                    valid,
                    format!("{broken} of {calls} calls were not well formed"),
                ),
                part("calls", calls as f64, String::new()),
            ],
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        SCRIPTS
    }

    fn script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let assignment = Assignment::of(task).ok()?;
        let agent = Agent::new(name, assignment.request, &task.instruction, || self.past(), stream)?;
        Some(Box::new(agent))
    }

    fn role_scripts(&self, role: Role) -> &'static [ScriptInfo] {
        match role {
            Role::Planner => SCRIPTS,
            _ => HELPERS,
        }
    }

    fn role_script(&self, role: Role, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let Assignment { request, .. } = Assignment::of(task).ok()?;
        let query = task.instruction.clone();
        let part = match role {
            Role::Planner => {
                let agent = Agent::new(name, request, &query, || self.past(), stream)?;
                let agent = Box::new(agent);
                Part::Planner { query, agent }
            }
            _ if name == "rules" => Part::Helper { role, query, request },
            _ => return None,
        };
        Some(Box::new(part))
    }
}
