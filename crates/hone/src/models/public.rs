//! Players without a network: scripts of the taskset, recorded runs, turns from a file.

use anyhow::{Context, anyhow, bail};
use async_trait::async_trait;
use hone_env::{ScriptRole, Taskset};
use hone_model::{
    AgentTurn, CallRequest, Codec, Completion, Conversation, Model, ModelError, Replayed, Request, Scripted,
};
use hone_rollout::Player;
use hone_score::judge::Repeated;
use hone_trace::{Episode, Filter, Outcome, Store};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A script of the taskset as player; its turns become tokens of this codec.
///
/// # Errors
/// When the taskset has no such script.
pub fn script(taskset: &Arc<dyn Taskset>, name: &str, codec: Arc<Codec>) -> anyhow::Result<Player> {
    let scripts = taskset.scripts();
    let Some(script) = scripts.iter().find(|script| script.name == name) else {
        let lines = scripts.iter().map(|s| format!("  script:{:<18}{}", s.name, s.about));
        bail!(
            "taskset {} has no script `{name}`; choose one of:\n{}",
            taskset.name(),
            lines.collect::<Vec<_>>().join("\n")
        );
    };
    let (taskset, name) = (taskset.clone(), script.name);
    Ok(Player::PerEpisode(Arc::new(move |task, _, stream| {
        // A panic here ends the episode as the infrastructure's failure, with this text.
        let script = taskset
            .script(name, task, stream)
            .unwrap_or_else(|| panic!("the taskset offers script {name} but not for task {}", task.id));
        Arc::new(Scripted::new(format!("script:{name}"), script, codec.clone()))
    })))
}

/// The name of the taskset's expert.
///
/// # Errors
/// When it has none.
pub fn expert(taskset: &dyn Taskset) -> anyhow::Result<&'static str> {
    let expert = taskset
        .scripts()
        .iter()
        .find(|script| script.role == ScriptRole::Expert);
    expert.map(|script| script.name).ok_or_else(|| {
        anyhow!(
            "taskset {} has no expert, so there is no gold to play; choose another model",
            taskset.name()
        )
    })
}

/// Gives an empty answer at once.
pub fn null(codec: Arc<Codec>) -> Player {
    Player::PerEpisode(Arc::new(move |_, _, _| {
        let turns = vec![AgentTurn::Say(String::new())];
        Arc::new(Scripted::turns("null", turns, "it has answered already", codec.clone()))
    }))
}

/// A model that is not there, with the reason.
struct Absent {
    name: String,
    why: String,
}

#[async_trait]
impl Model for Absent {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn complete(&self, _: &mut Conversation, _: Request) -> Result<Completion, ModelError> {
        Err(ModelError::Unavailable(self.why.clone()))
    }
}

/// What the agent of a recorded evaluation said, by task and sample; the digest of it; and whether it was played with wider
/// bounds on tokens than the taskset's.
///
/// # Errors
/// When the run cannot be read or holds no episode of the taskset that counts.
pub fn replay(run: &Path, name: String, taskset: &str) -> anyhow::Result<(Player, String, bool)> {
    let store = Store::open_read_only(run.join("run.db"))?;
    let mut episodes: BTreeMap<(String, u32), Episode> = BTreeMap::new();
    store.for_each(&Filter::default(), |episode| {
        let counts = !matches!(episode.outcome, Outcome::InfraFailed { .. });
        let played = episode.phase == "eval" || episode.phase.starts_with("prepare/");
        if counts && played && episode.taskset == taskset {
            episodes.insert((episode.task.clone(), episode.sample), episode);
        }
        Ok::<_, hone_trace::StoreError>(())
    })?;
    if episodes.is_empty() {
        bail!(
            "{} is no evaluation with a finished episode of {taskset}; `hone trace ls {}` shows what it holds",
            run.display(),
            run.display()
        );
    }
    let digest = hone_trace::run_digest(episodes.values());
    let hidden = |episode: &Episode| episode.model_calls.iter().any(|call| call.remote.is_some());
    let wide = episodes
        .values()
        .any(|episode| hidden(episode) || episode.policy.contains("scripted:"));
    let run = run.display().to_string();
    let cast = move |task: &hone_env::Task, sample: u32, _: &hone_trace::Stream| -> Arc<dyn Model> {
        match episodes.get(&(task.id.clone(), sample)) {
            Some(episode) => Arc::new(Replayed::of(episode)),
            None => Arc::new(Absent {
                name: name.clone(),
                why: format!("{run} has no finished episode of task {}, sample {sample}", task.id),
            }),
        }
    };
    Ok((Player::PerEpisode(Arc::new(cast)), digest, wide))
}

/// The judges of a recorded run, who say again what they said there.
///
/// # Errors
/// When it cannot be read or nobody judged in it.
pub fn repeated_judges(run: &Path, name: &str) -> anyhow::Result<Vec<Arc<dyn Model>>> {
    let store = Store::open_read_only(run.join("run.db"))?;
    let mut judged = Vec::new();
    store.for_each(&Filter::default(), |episode| {
        if !hone_env::findings(&episode).is_empty() {
            judged.push(episode);
        }
        Ok::<_, hone_trace::StoreError>(())
    })?;
    let judges = Repeated::of(name, judged);
    if judges.is_empty() {
        bail!(
            "nobody judged in {}; name a run that was made with --judge",
            run.display()
        );
    }
    Ok(judges.into_iter().map(|judge| Arc::new(judge) as _).collect())
}

/// The turns of one task, as a line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    task: String,
    turns: Vec<Written>,
}

/// A turn as people write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    /// The answer.
    Answer(String),
    /// Calls.
    Calls(Vec<Call>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    #[serde(default = "no_arguments")]
    arguments: Value,
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}

impl From<Written> for AgentTurn {
    fn from(turn: Written) -> Self {
        match turn {
            Written::Answer(text) => Self::Say(text),
            Written::Calls(calls) => Self::Calls {
                content: String::new(),
                calls: calls
                    .into_iter()
                    .map(|call| CallRequest::new(call.name, call.arguments))
                    .collect(),
            },
        }
    }
}

/// The turns of a JSON Lines file, by task, and its SHA-256.
///
/// # Errors
/// When the file cannot be read; the message names the line.
pub fn scripted(file: &Path, name: String, codec: &Codec) -> anyhow::Result<(Player, String)> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read; name a file of turns", file.display()))?;
    let mut tasks: BTreeMap<String, Vec<AgentTurn>> = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{}, line {}", file.display(), at + 1);
        let form =
            "write {\"task\": \"test/0\", \"turns\": [[{\"name\": \"TOOL\", \"arguments\": {}}], \"the answer\"]}";
        let Line { task, turns } = serde_json::from_str(line).with_context(|| format!("{}: {form}", place()))?;
        if turns
            .iter()
            .any(|turn| matches!(turn, Written::Calls(calls) if calls.is_empty()))
        {
            bail!("{}: a turn has no call; write one, or a text for an answer", place());
        }
        if tasks.contains_key(&task) {
            bail!("{}: task {task} is there twice; leave one of them out", place());
        }
        tasks.insert(task, turns.into_iter().map(AgentTurn::from).collect());
    }
    let hash: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let codec = Arc::new(codec.with_several_calls()?);
    let file = file.display().to_string();
    let cast = move |task: &hone_env::Task, _: u32, _: &hone_trace::Stream| -> Arc<dyn Model> {
        match tasks.get(&task.id) {
            Some(turns) => {
                let end = format!("{file} has only {} turns for task {}", turns.len(), task.id);
                Arc::new(Scripted::turns(name.clone(), turns.clone(), end, codec.clone()))
            }
            None => Arc::new(Absent {
                name: name.clone(),
                why: format!("{file} has no line for task {}", task.id),
            }),
        }
    };
    Ok((Player::PerEpisode(Arc::new(cast)), hash))
}
