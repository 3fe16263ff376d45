//! τ²-bench as tasksets: `tau2:DOMAIN` with options, such as `tau2:telecom:generated:solo`.
//!
//! | option | what it does |
//! | --- | --- |
//! | `base` | the default: the published base set as split test; split train has nothing |
//! | `split` | the published splits train and test |
//! | `small`, `full`, `generated` | telecom: the small set, the full set, all that the generator makes |
//! | `solo` | the agent alone with a ticket, where the domain has it: mock, telecom |
//! | `workflow` | telecom: the support manual as a workflow |
//! | `db` | assertions in words are left out, so that no judge is needed |
//! | `protocol` | a message with both text and calls ends the run |
//!
//! A score's `value` is the reference's reward. Its parts are the components `db`, `env_assertion`, `action`, `communicate`,
//! `nl_assertion` as far as the task has them (their `why` says whether they count), and `strict`: the reward after
//! [`crate::evaluate::strict`]. Known defects of the task ([`DEFECTS`]) stand there as parts of value 1.

mod defects;
mod prompt;
mod score;
pub(crate) mod scripts;

pub use defects::{DEFECTS, DEFECTS_VERSION, Defect, DefectKind};
pub use prompt::{GREETING, STOP};
pub use score::{simulation, transcript};

use crate::environment::{Mode, Stage};
use crate::evaluate::{Run, needs_judge};
use crate::message::Termination;
use crate::task::{Component, DataError, Instructions, Task};
use crate::world::World;
use crate::{Domains, telecom};
use hone_env::{Budget, EnvError, Environment, Question, ScriptInfo, SimulatedUser, Split, Taskset};
use hone_model::Script;
use hone_tool::ToolHost;
use hone_trace::{Episode, Score, Stream};
use prompt::Texts;
use std::path::Path;
use std::sync::Arc;

/// Which tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Set {
    #[default]
    Base,
    Split,
    Small,
    Full,
    Generated,
}

/// What a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    name: String,
    domain: &'static str,
    set: Set,
    mode: Mode,
    workflow: bool,
    db: bool,
    protocol: bool,
}

impl Selection {
    /// Read `tau2:DOMAIN[:OPTION…]`; `None` if it is no such name or an option does not fit.
    pub fn of(name: &str) -> Option<Self> {
        let mut parts = name.split(':');
        if parts.next() != Some("tau2") {
            return None;
        }
        let wanted = parts.next()?;
        let domain = *crate::DOMAINS.iter().find(|domain| **domain == wanted)?;
        let mut selection = Self {
            name: name.to_owned(),
            domain,
            set: Set::Base,
            mode: Mode::Dialogue,
            workflow: false,
            db: false,
            protocol: false,
        };
        for option in parts {
            match (option, domain) {
                ("base", _) => selection.set = Set::Base,
                ("split", _) => selection.set = Set::Split,
                ("small", "telecom") => selection.set = Set::Small,
                ("full", "telecom") => selection.set = Set::Full,
                ("generated", "telecom") => selection.set = Set::Generated,
                ("solo", "telecom" | "mock") => selection.mode = Mode::Solo,
                ("workflow", "telecom") => selection.workflow = true,
                ("db", _) => selection.db = true,
                ("protocol", _) => selection.protocol = true,
                _ => return None,
            }
        }
        Some(selection)
    }
}

/// A domain's tasks in one mode.
pub struct Tau2 {
    selection: Selection,
    fresh: Arc<dyn World>,
    texts: Texts,
    train: Vec<Task>,
    test: Vec<Task>,
}

impl Tau2 {
    /// Load the tasks of a selection. `folder` has a folder per domain, as [`Domains::load`] wants it, and the guidelines
    /// for users in `user_simulator`, there or beside it.
    ///
    /// # Errors
    /// When a file is missing or broken.
    pub fn load(folder: &Path, airline_parts: &Path, selection: Selection) -> Result<Self, DataError> {
        let domains = Domains::load(folder, airline_parts);
        let domain = selection.domain;
        let fresh = Arc::from(domains.world(domain)?);
        let texts = Texts::read(folder, domain, selection.mode, selection.workflow)?;
        let (mut train, mut test) = tasks(&domains, folder, &selection)?;
        for tasks in [&mut train, &mut test] {
            if selection.mode == Mode::Solo {
                tasks.retain(alone);
            }
            if selection.db {
                for criteria in tasks.iter_mut().filter_map(|task| task.evaluation_criteria.as_mut()) {
                    criteria
                        .reward_basis
                        .retain(|component| *component != Component::NlAssertion);
                }
            }
        }
        Ok(Self {
            selection,
            fresh,
            texts,
            train,
            test,
        })
    }

    /// The tasks of a split, in the file's order.
    pub fn tasks(&self, split: Split) -> &[Task] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &[],
            Split::Test => &self.test,
        }
    }

    /// A world in which nothing has happened.
    pub fn fresh(&self) -> &dyn World {
        &*self.fresh
    }

    fn record(task: &hone_env::Task) -> Option<Task> {
        serde_json::from_value(task.data.clone()).ok()
    }

    fn stage(&self, task: Option<&Task>) -> Stage {
        let user_tools = task.and_then(|task| task.user_tools.as_deref());
        Stage::new(self.fresh.clone(), self.selection.mode, user_tools)
    }
}

/// Whether a task can be done without a user: it has a ticket, and nothing was said before.
fn alone(task: &Task) -> bool {
    let history = crate::evaluate::idle_messages(task);
    let silent = history.iter().all(|message| match message {
        crate::message::Message::User(_) => false,
        crate::message::Message::Assistant(turn) => turn.tool_calls.is_some(),
        _ => true,
    });
    task.ticket.is_some() && silent
}

fn tasks(domains: &Domains, folder: &Path, selection: &Selection) -> Result<(Vec<Task>, Vec<Task>), DataError> {
    let domain = selection.domain;
    let file = |name: &str| crate::task::load_tasks(&folder.join(domain).join(name));
    let generated = || {
        let small = file("tasks_small.json")?;
        telecom::generate(&small)
    };
    let all = match (selection.set, domain) {
        (Set::Small, _) => return Ok((vec![], file("tasks_small.json")?)),
        (Set::Generated, _) => return Ok((vec![], generated()?)),
        // Those of the generator are the published ones, see its test.
        (Set::Full, _) => file("tasks_full.json").or_else(|_| generated())?,
        (_, "telecom") if !folder.join(domain).join("tasks.json").is_file() => generated()?,
        _ => domains.tasks(domain)?,
    };
    let splits = domains.splits(domain);
    let of = |name: &str| match &splits {
        Ok(splits) => match splits.get(name) {
            Some(ids) => Ok(Some(
                all.iter().filter(|task| ids.contains(&task.id)).cloned().collect(),
            )),
            None => Ok(None),
        },
        Err(error) => Err(error.clone()),
    };
    match selection.set {
        Set::Split => Ok((of("train")?.unwrap_or_default(), of("test")?.unwrap_or_default())),
        Set::Full => Ok((vec![], of("full").ok().flatten().unwrap_or(all.clone()))),
        // Without the list of the base set it is the whole file; of the generated telecom tasks, the small ones.
        _ => match (of("base").ok().flatten(), domain) {
            (Some(base), _) => Ok((vec![], base)),
            (None, "telecom") => Ok((vec![], domains.tasks(domain)?)),
            (None, _) => Ok((vec![], all.clone())),
        },
    }
}

/// What the user wants, in short.
fn reason(task: &Task) -> String {
    match &task.user_scenario.instructions {
        Instructions::Structured { reason_for_call, .. } => reason_for_call.clone(),
        Instructions::Text(text) => text.clone(),
    }
}

/// The kind of a task: its domain, and in telecom what is broken, as its id says.
fn kind(domain: &str, task: &Task) -> String {
    let issue = task.id.strip_prefix('[').and_then(|id| id.split_once(']'));
    match issue {
        Some((issue, _)) if domain == "telecom" => format!("telecom/{issue}"),
        _ => domain.to_owned(),
    }
}

impl Taskset for Tau2 {
    fn name(&self) -> &str {
        &self.selection.name
    }

    fn about(&self) -> &'static str {
        "Serve a company's customers by its policy, in conversation with a simulated user (τ²-bench)."
    }

    fn len(&self, split: Split) -> Option<u64> {
        Some(self.tasks(split).len() as u64)
    }

    fn task(&self, split: Split, index: u64) -> Result<hone_env::Task, EnvError> {
        let tasks = self.tasks(split);
        let found = usize::try_from(index).ok().and_then(|index| tasks.get(index));
        let task = found.ok_or_else(|| EnvError::NoSuchTask {
            taskset: self.selection.name.clone(),
            split: split.name(),
            index,
            len: tasks.len() as u64,
        })?;
        let mode = self.selection.mode;
        Ok(hone_env::Task {
            id: task.id.clone(),
            kind: kind(self.selection.domain, task),
            system: Some(self.texts.agent(task, mode)),
            instruction: match (mode, &task.ticket) {
                (Mode::Solo, Some(ticket)) => ticket.clone(),
                _ => reason(task),
            },
            seed: 0,
            data: serde_json::to_value(task).map_err(|error| EnvError::Data {
                what: format!("task {} cannot be written as JSON ({error})", task.id),
                remedy: "report this as a bug".to_owned(),
            })?,
        })
    }

    fn environment(&self, task: &hone_env::Task) -> Box<dyn Environment> {
        Box::new(self.stage(Self::record(task).as_ref()))
    }

    fn user(&self, task: &hone_env::Task) -> Option<SimulatedUser> {
        if self.selection.mode == Mode::Solo {
            return None;
        }
        let record = Self::record(task)?;
        let tools = !self.stage(Some(&record)).user_specs().is_empty();
        Some(SimulatedUser {
            strict_turns: self.selection.protocol,
            ..self.texts.user(&record, tools)
        })
    }

    fn check_user(&self) -> Result<(), EnvError> {
        let tools = !self.stage(None).user_specs().is_empty();
        let broken = |error: &DataError| EnvError::Data {
            what: format!("{}: {}", error.file, error.what),
            remedy: "take tau2-bench's folder user_simulator into the data folder, or have a script play the user"
                .into(),
        };
        self.texts.guidelines(tools).map(|_| ()).map_err(broken)
    }

    fn user_scripts(&self) -> &'static [ScriptInfo] {
        match self.selection.mode {
            Mode::Dialogue => scripts::USER_SCRIPTS,
            Mode::Solo => &[],
        }
    }

    fn user_script(&self, name: &str, task: &hone_env::Task, _: &Stream) -> Option<Box<dyn Script>> {
        let record = Self::record(task)?;
        let stage = self.stage(Some(&record));
        (name == "plain").then(|| Box::new(scripts::Plain::new(&record, stage.user_specs())) as Box<dyn Script>)
    }

    fn budget(&self) -> Budget {
        Budget {
            max_turns: 200,
            max_calls: 1_000,
            max_turn_tokens: 8_192,
            max_tokens: 1_000_000,
            max_observation_chars: 1_000_000,
            episode_timeout_ms: 3_600_000,
            max_messages: 200,
            max_errors: 10,
            ..Budget::default()
        }
    }

    fn questions(&self, task: &hone_env::Task, episode: &Episode, _: &dyn Environment) -> Vec<Question> {
        let Some(record) = Self::record(task).filter(needs_judge) else {
            return Vec::new();
        };
        let played = simulation(&record, episode);
        if !matches!(
            played.termination_reason,
            Termination::UserStop | Termination::AgentStop
        ) {
            return Vec::new();
        }
        let subject = score::transcript(Run::ended(&played.messages).messages);
        let statements = record.evaluation_criteria.and_then(|criteria| criteria.nl_assertions);
        let question = |statement| Question {
            subject: subject.clone(),
            statement,
            judges: None,
        };
        statements.into_iter().flatten().map(question).collect()
    }

    fn score(&self, task: &hone_env::Task, episode: &Episode, _: &dyn Environment) -> Score {
        match Self::record(task) {
            Some(record) => score::score(&self.selection.name, &*self.fresh, &record, episode),
            None => Score {
                scorer: "tau2".to_owned(),
                version: String::new(),
                hash: String::new(),
                value: f64::NAN,
                parts: Vec::new(),
            },
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        scripts::SCRIPTS
    }

    fn script(&self, name: &str, task: &hone_env::Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let record = Self::record(task)?;
        let stage = self.stage(Some(&record));
        scripts::agent(name, &record, self.selection.mode, stage.specs(), stream)
    }
}
