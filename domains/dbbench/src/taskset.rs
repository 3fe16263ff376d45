//! The records as a taskset.

use crate::data::{DataError, FILES, Kind, Record, load};
use crate::database::Database;
use crate::defects::{DEFECTS_VERSION, defect};
use crate::judge::{Mode, equal};
use crate::world::{Records, World};
use hone_env::{Budget, EnvError, Environment, OnMalformed, ScriptInfo, ScriptRole, Split, Task, Taskset};
use hone_model::{AgentTurn, Message, Script};
use hone_python::Value;
use hone_trace::{Episode, Score, ScorePart, Stream};
use rand::seq::IndexedRandom;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// Version of the scorer: the original's commit and ours.
pub const SCORER_VERSION: &str = "578c5e9/1";

/// What the original asks of the agent, in our words.
const SYSTEM: &str = "\
You answer a question with the help of a MySQL database, or change the database as you are asked. Think first and say what you think. \
Then call one of two tools: `execute_sql` runs one SQL statement, written in one line, and gives you MySQL's raw response; \
`commit_final_answer` ends the task with your answer. Commit only when you are sure: the answer must be exactly the right one, each value \
an item of the list. If the task is to change the database, the answer may be anything once the change is made. An answer in plain text \
does not count.";

/// DBBench.
pub struct Dbbench {
    name: String,
    mode: Mode,
    /// Records of the test split, then those for training and validation.
    records: Arc<Records>,
    tests: usize,
}

impl Dbbench {
    /// `dbbench` is AgentBench's standard set for tests and its dev set for training; `dbbench:FILE` has one file, for
    /// tests. `dbbench-strict` scores by [`Mode::Strict`]. `None` if the name is another taskset's.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn load(name: &str, data: &Path) -> Result<Option<Self>, DataError> {
        let (base, file) = name
            .split_once(':')
            .map_or((name, None), |(base, file)| (base, Some(file)));
        let mode = match base {
            "dbbench" => Mode::Faithful,
            "dbbench-strict" => Mode::Strict,
            _ => return Ok(None),
        };
        if file.is_some_and(|file| {
            !file
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
                || file.is_empty()
        }) {
            return Ok(None);
        }
        let mut records = load(data, file.unwrap_or(FILES[0]))?;
        let keep = |record: &Record| mode == Mode::Faithful || defect(record).is_none();
        records.retain(keep);
        let tests = records.len();
        if file.is_none() {
            let others = load(data, FILES[1])?.into_iter().filter(keep).enumerate();
            // They are sorted by kind, so every fifth is for validation.
            let (validation, train): (Vec<_>, Vec<_>) = others.partition(|(i, _)| i % 5 == 4);
            records.extend(train.into_iter().chain(validation).map(|(_, record)| record));
        }
        Ok(Some(Self {
            name: name.to_owned(),
            mode,
            records: Arc::new(Records::new(records)),
            tests,
        }))
    }

    fn of(&self, split: Split) -> &[Record] {
        let (tests, others) = self.records.all().split_at(self.tests);
        let cut = others.len() - others.len() / 5;
        match split {
            Split::Test => tests,
            Split::Train => &others[..cut],
            Split::Validation => &others[cut..],
        }
    }

    fn record(&self, task: &Task) -> Option<&Record> {
        let id = task.data.get("record")?.as_str()?;
        self.records.all().iter().find(|record| record.id == id)
    }
}

const SCRIPTS: &[ScriptInfo] = &[
    ScriptInfo {
        name: "gold",
        about: "Runs the statement that an order stands for, and commits the right answers to questions.",
        role: ScriptRole::Expert,
    },
    ScriptInfo {
        name: "do_nothing",
        about: "Commits an empty answer at once.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "random",
        about: "Commits a word of the request by chance.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "silent",
        about: "Never calls a tool.",
        role: ScriptRole::Baseline,
    },
];

/// Turns, one after the other; the last again and again.
struct Recital(Vec<AgentTurn>, usize);

impl Script for Recital {
    fn next(&mut self, _: &[Message]) -> AgentTurn {
        let turn = self.0.get(self.1).or(self.0.last()).cloned();
        self.1 += 1;
        turn.unwrap_or_else(|| AgentTurn::Say(String::new()))
    }
}

impl Taskset for Dbbench {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> &'static str {
        "Answer questions and make changes in a database with SQL (AgentBench's DBBench)."
    }

    fn len(&self, split: Split) -> Option<u64> {
        Some(self.of(split).len() as u64)
    }

    fn task(&self, split: Split, index: u64) -> Result<Task, EnvError> {
        let records = self.of(split);
        let record = usize::try_from(index)
            .ok()
            .and_then(|index| records.get(index))
            .ok_or_else(|| EnvError::NoSuchTask {
                taskset: self.name.clone(),
                split: split.name(),
                index,
                len: records.len() as u64,
            })?;
        let mut instruction = String::new();
        for (what, text) in [
            ("Evidence about the question", &record.evidence),
            ("Additional table information about the question", &record.about_table),
        ] {
            if !text.is_empty() {
                instruction += &format!("{what}: {text}\n");
            }
        }
        instruction += &format!("Question: {}\n", record.description);
        Ok(Task {
            id: format!("{}/{index}", split.name()),
            kind: record.category.clone(),
            system: Some(SYSTEM.into()),
            instruction,
            seed: index,
            data: json!({"record": record.id}),
        })
    }

    fn environment(&self, _: &Task) -> Box<dyn Environment> {
        Box::new(World::new(self.records.clone()))
    }

    fn budget(&self) -> Budget {
        Budget {
            max_turns: 20,
            max_calls: 100,
            max_turn_tokens: 1_024,
            max_tokens: 16_384,
            // The database itself cuts at 800.
            max_observation_chars: 1_000,
            tool_timeout_ms: 60_000,
            episode_timeout_ms: 1_800_000,
            on_malformed: OnMalformed::Observe,
            ..Budget::default()
        }
    }

    fn score(&self, task: &Task, _: &Episode, environment: &dyn Environment) -> Score {
        let state = environment.state();
        let part = |name: &str, (right, why): (bool, String)| ScorePart {
            name: name.into(),
            value: f64::from(u8::from(right)),
            why,
        };
        let mut parts = vec![];
        match self.record(task) {
            Some(record) => {
                parts.push(part("right", judge(record, &state, self.mode)));
                parts.push(part("faithful", judge(record, &state, Mode::Faithful)));
                match defect(record) {
                    // Whatever is answered to a broken record says nothing.
                    Some(harm) => parts.push(part("defect", (true, format!("{harm:?} (list {DEFECTS_VERSION})")))),
                    None => parts.push(part("strict", judge(record, &state, Mode::Strict))),
                }
            }
            None => parts.push(part(
                "right",
                (false, "the task is of no record of this taskset".into()),
            )),
        }
        let value = parts[0].value;
        Score {
            scorer: "dbbench".into(),
            version: SCORER_VERSION.into(),
            hash: Sha256::digest(format!(
                "dbbench/{SCORER_VERSION}/defects {DEFECTS_VERSION}/{:?}",
                self.mode
            ))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
            value,
            parts,
        }
    }

    fn scripts(&self) -> &'static [ScriptInfo] {
        SCRIPTS
    }

    fn script(&self, name: &str, task: &Task, stream: &Stream) -> Option<Box<dyn Script>> {
        let record = self.record(task)?;
        let commit = |answers: serde_json::Value| AgentTurn::call("commit_final_answer", json!({"answers": answers}));
        let turns = match name {
            "gold" => match record.kind {
                Kind::Change => vec![
                    AgentTurn::call("execute_sql", json!({"query": record.statement()?})),
                    commit(json!([])),
                ],
                Kind::Read => vec![commit(label(record))],
            },
            "do_nothing" => vec![commit(json!([]))],
            "random" => {
                let words: Vec<&str> = task.instruction.split_whitespace().collect();
                let word = words.choose(&mut stream.named("random")).copied().unwrap_or_default();
                vec![commit(json!([word]))]
            }
            "silent" => vec![AgentTurn::Say("I will not.".into())],
            _ => return None,
        };
        Some(Box::new(Recital(turns, 0)))
    }
}

/// The right answers as an agent would commit them.
pub fn label(record: &Record) -> serde_json::Value {
    let items = record.label.as_list().unwrap_or_default();
    json!(items.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// The truth that answers are compared with. An order without a recorded hash is measured by its own statement.
pub fn truth(record: &Record) -> Value {
    match (record.kind, record.hash.as_deref()) {
        (Kind::Read, _) => record.label.clone(),
        (Kind::Change, Some(hash)) if !hash.is_empty() => hash.into(),
        (Kind::Change, _) => {
            let played = Database::of(&record.tables).map(|mut database| {
                database.execute(record.gold_sql.as_deref().unwrap_or_default());
                database.hash(&record.tables)
            });
            played.map_or(Value::None, Value::from)
        }
    }
}

/// Whether a state (its committed answer, its tables' hash) is right, and why.
fn judge(record: &Record, state: &serde_json::Value, mode: Mode) -> (bool, String) {
    let answer = &state["answer"];
    if answer.is_null() {
        return (false, "no answer was committed".into());
    }
    let Some(hash) = state["hash"].as_str() else {
        return (false, "the table cannot be set up, here and in the original".into());
    };
    let truth = truth(record);
    let right = match record.kind {
        Kind::Change => equal(&hash.into(), &truth, Kind::Change, mode),
        Kind::Read => {
            serde_json::from_value(answer.clone()).is_ok_and(|answer| equal(&answer, &truth, Kind::Read, mode))
        }
    };
    let said = if record.kind == Kind::Change {
        hash.to_owned()
    } else {
        answer.to_string()
    };
    (right, format!("{said} for {truth}"))
}
