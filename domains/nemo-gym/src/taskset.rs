//! The rows of a server as a taskset.

use crate::response::{Item, Response};
use crate::row::{DataError, Row, load};
use crate::verify::{Acts, Broken, Server, Verdict, server};
use crate::world::World;
use hone_env::{Budget, EnvError, Environment, OnMalformed, ScriptInfo, ScriptRole, Split, Task, Taskset};
use hone_model::{AgentTurn, CallRequest, Message, Script};
use hone_tool::ToolHost;
use hone_trace::{Episode, Score, ScorePart, Stream};
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// Version of the scorers: the originals' commit and ours.
pub const SCORER_VERSION: &str = "07d6b0d/1";

/// Why there is no such taskset.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No verifier for that server.
    #[error("`{0}` is no server whose verifier is known here; the README of hone-nemo-gym lists them")]
    Unknown(String),
    /// Its data.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// A server's rows.
pub struct NemoGym {
    name: String,
    server: &'static Server,
    rows: Arc<Vec<Row>>,
    /// Where the rows of training and validation begin and end.
    cuts: [usize; 3],
}

impl NemoGym {
    /// `nemo-gym:SERVER` has `SERVER.jsonl` for tests, and `SERVER.train.jsonl` and `SERVER.validation.jsonl` for the other
    /// splits where they are there. `None` if the name is another taskset's.
    ///
    /// # Errors
    /// When there is no such server or its rows cannot be read.
    pub fn load(name: &str, data: &Path) -> Result<Option<Self>, LoadError> {
        let Some(("nemo-gym", of)) = name.split_once(':') else {
            return Ok(None);
        };
        let server = server(of).ok_or_else(|| LoadError::Unknown(of.into()))?;
        let mut rows = load(data, server.name)?;
        let mut cuts = [rows.len(); 3];
        for (cut, split) in ["train", "validation"].into_iter().enumerate() {
            let file = format!("{}.{split}", server.name);
            if data.join("nemo-gym").join(format!("{file}.jsonl")).exists() {
                rows.extend(load(data, &file)?);
            }
            cuts[cut + 1] = rows.len();
        }
        for (index, row) in rows.iter_mut().enumerate() {
            row.index = index;
        }
        Ok(Some(Self {
            name: name.to_owned(),
            server,
            rows: Arc::new(rows),
            cuts,
        }))
    }

    fn of(&self, split: Split) -> &[Row] {
        let [tests, train, all] = self.cuts;
        match split {
            Split::Test => &self.rows[..tests],
            Split::Train => &self.rows[tests..train],
            Split::Validation => &self.rows[train..all],
        }
    }

    fn row(&self, task: &Task) -> Option<&Row> {
        let row = task.data.get("row")?.as_u64()?;
        self.rows.get(usize::try_from(row).ok()?)
    }
}

/// System message and request of a row. Earlier turns are told as they were, one below the other.
fn request(row: &Row) -> (Option<String>, String) {
    let (mut system, mut said) = (vec![], vec![]);
    for (role, text) in row.messages() {
        match role.as_str() {
            "system" | "developer" if said.is_empty() => system.push(text),
            _ => said.push((role, text)),
        }
    }
    let instruction = match said.as_slice() {
        [(_, one)] => one.clone(),
        several => several
            .iter()
            .map(|(role, text)| format!("[{role}]\n{text}"))
            .collect::<Vec<_>>()
            .join("\n\n"),
    };
    (
        Some(system.join("\n\n")).filter(|system| !system.is_empty()),
        instruction,
    )
}

const SCRIPTS: &[ScriptInfo] = &[
    ScriptInfo {
        name: "gold",
        about: "Does what the row holds to be right, where it says so.",
        role: ScriptRole::Expert,
    },
    ScriptInfo {
        name: "do_nothing",
        about: "Says nothing.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "random",
        about: "Calls one of the tools, if there are any, and says a word of the request, all by chance.",
        role: ScriptRole::Baseline,
    },
];

/// Turns, one after the other; then silence.
struct Recital(std::vec::IntoIter<AgentTurn>);

impl Script for Recital {
    fn next(&mut self, _: &[Message]) -> AgentTurn {
        self.0.next().unwrap_or_else(|| AgentTurn::Say(String::new()))
    }
}

/// A right response as an agent's turns: all its calls in one, then its texts.
fn turns(row: &Row, response: Response) -> Vec<AgentTurn> {
    let arguments = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!({}));
    let calls: Vec<_> = response
        .calls()
        .map(|(name, text)| CallRequest::new(name, arguments(text)))
        .collect();
    let mut turns = vec![];
    if !calls.is_empty() {
        turns.push(AgentTurn::Calls {
            content: String::new(),
            calls,
        });
    }
    let texts = response.items.iter().filter_map(|item| {
        if let Item::Message { texts, .. } = item {
            Some(texts.concat())
        } else {
            None
        }
    });
    // Follow-up questions come first.
    for text in texts {
        turns.extend(std::iter::repeat_n(
            AgentTurn::Say(text),
            row.list("follow_ups").len() + 1,
        ));
    }
    turns
}

/// A call of an offered tool, with words of the request or small numbers as arguments, then a word.
fn by_chance(row: &Row, request: &str, mut stream: Stream) -> Vec<AgentTurn> {
    let words: Vec<&str> = request.split_whitespace().collect();
    let word = |stream: &mut Stream| words.choose(stream).copied().unwrap_or_default().to_owned();
    let mut turns = vec![];
    if let Some(tool) = row.tools().choose(&mut stream) {
        let fields = tool.input_schema["properties"].as_object();
        let mut argument = |(name, schema): (&String, &serde_json::Value)| {
            let value = match schema["type"].as_str() {
                Some("integer" | "number") => json!(stream.random_range(0..10)),
                Some("boolean") => json!(stream.random_bool(0.5)),
                Some("array") => json!([word(&mut stream)]),
                Some("object") => json!({}),
                _ => json!(word(&mut stream)),
            };
            (name.clone(), value)
        };
        let arguments: serde_json::Map<_, _> = fields.into_iter().flatten().map(&mut argument).collect();
        turns.push(AgentTurn::call(&tool.name, arguments.into()));
    }
    turns.push(AgentTurn::Say(word(&mut stream)));
    turns
}

impl Taskset for NemoGym {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> &'static str {
        self.server.about
    }

    fn len(&self, split: Split) -> Option<u64> {
        Some(self.of(split).len() as u64)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        let rows = self.of(split);
        let row = usize::try_from(index)
            .ok()
            .and_then(|index| rows.get(index))
            .ok_or_else(|| EnvError::NoSuchTask {
                taskset: self.name.clone(),
                split: split.name(),
                index,
                len: rows.len() as u64,
            })?;
        if row.has_media() {
            return Err(EnvError::Data {
                what: format!("row {index} of {} shows an image, which a task cannot hold", self.name),
                remedy: "score recorded responses to it instead".into(),
            });
        }
        if self.server.acts == Acts::Elsewhere {
            return Err(EnvError::Data {
                what: format!("the tools of {} are its server's, and not here", self.name),
                remedy: "score recorded responses to it instead".into(),
            });
        }
        let (system, instruction) = request(row);
        Ok(Task {
            id: format!("{}/{index}", split.name()),
            kind: self.server.name.into(),
            system,
            instruction,
            seed: index,
            data: json!({"row": row.index}),
        })
    }

    fn environment(&self, task: &Task) -> Box<dyn Environment> {
        let mut world = World::new(self.server.name, self.rows.clone());
        world.begin(self.row(task).map_or(0, |row| row.index));
        Box::new(world)
    }

    fn budget(&self) -> Budget {
        Budget {
            max_turns: if self.server.acts == Acts::Once { 1 } else { 50 },
            max_calls: 200,
            max_turn_tokens: 4_096,
            max_tokens: 65_536,
            max_observation_chars: 16_384,
            tool_timeout_ms: 10_000,
            episode_timeout_ms: 1_800_000,
            on_malformed: OnMalformed::Observe,
            ..Budget::default()
        }
    }

    fn score(&self, task: &Task, episode: &Episode, environment: &dyn Environment) -> Score {
        let verdict = match self.row(task) {
            Some(row) => (self.server.verify)(row, &Response::of(episode), &environment.state()),
            None => Err(Broken("the task is of no row of this taskset".into())),
        };
        let verdict = verdict.unwrap_or_else(|broken| Verdict::of(0.0, broken.to_string()));
        let mut parts = vec![ScorePart {
            name: "reward".into(),
            value: verdict.reward,
            why: verdict.why,
        }];
        parts.extend(verdict.parts.iter().map(|(name, value)| ScorePart {
            name: (*name).into(),
            value: *value,
            why: String::new(),
        }));
        Score {
            scorer: self.name.clone(),
            version: SCORER_VERSION.into(),
            hash: Sha256::digest(format!("{}/{SCORER_VERSION}", self.name))
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            value: verdict.reward,
            parts,
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        SCRIPTS
    }

    fn script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let row = self.row(task)?;
        let turns = match name {
            "gold" => turns(row, (self.server.gold)(row)?),
            "do_nothing" => vec![],
            "random" => by_chance(row, &task.instruction, stream.named("random")),
            _ => return None,
        };
        Some(Box::new(Recital(turns.into_iter())))
    }
}

/// What a response gets whose calls are played in the row's world first.
///
/// # Errors
/// Where the original answers with an error.
pub fn play(server: &'static Server, rows: &Arc<Vec<Row>>, row: usize, response: &Response) -> Result<Verdict, Broken> {
    let mut world = World::new(server.name, rows.clone());
    world.begin(row);
    for (name, arguments) in response.calls() {
        // What a tool says does not matter here; errors are part of it.
        let _ = world.call(name, &serde_json::from_str(arguments).unwrap_or_default());
    }
    let row = rows.get(row).ok_or_else(|| Broken("there is no such row".into()))?;
    (server.verify)(row, response, &world.state())
}
