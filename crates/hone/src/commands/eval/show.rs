//! `hone eval show`: episodes of an evaluation one by one: expected, got, and where they part.

use super::baselines::{self, Recorded, run_filter};
use super::settings::Settings;
use crate::console::{counted, print, print_json, say};
use crate::episode_text::{message, name};
use crate::tasksets;
use anyhow::bail;
use hone_env::Taskset;
use hone_score::{Failure, Reference, Unpaired, answer, as_call, classify, first_difference, shown};
use hone_trace::{Episode, Outcome, OutcomeKind, Store, StoreError, ToolCall, Turn};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Show episodes one by one: what was expected, what came, where they part.
///
/// What is expected are the calls, the final state and the answer of the taskset's expert on the same task, as far as the
/// run has them (see --no-baselines of `hone eval`). States are shown where playing the recorded calls again leads to the
/// recorded state. With --json: JSON Lines, an object for each episode.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Run directory
    run: PathBuf,
    /// Only episodes that failed by the policy's own fault
    #[arg(long)]
    failed: bool,
    /// Only episodes of this task, as `hone trace ls` shows it: test/3 (repeatable)
    #[arg(long, value_name = "ID")]
    task: Vec<String>,
    /// Only failures of this class, such as misread; `hone metrics` lists them
    #[arg(long)]
    class: Option<String>,
    /// Only the first that many
    #[arg(long)]
    limit: Option<usize>,
}

const EXAMPLES: &str = "\
Examples:
  hone eval show runs/eval-shop-nano-001 --failed --limit 5
  hone eval show runs/eval-shop-nano-001 --task test/3
  hone eval show runs/eval-shop-nano-001 --failed --json | jq -r .failure.class | sort | uniq -c";

/// One episode, as `--json` prints it.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    task: &'a str,
    kind: &'a str,
    request: &'a str,
    outcome: &'static str,
    end: String,
    failure: Option<Failure>,
    expected: Option<Side>,
    got: Side,
    difference: Option<Difference>,
    state_difference: Option<Difference>,
    step: Option<Step<'a>>,
    parts: Vec<Value>,
}

/// What was done and said.
#[derive(Serialize)]
struct Side {
    calls: Vec<String>,
    answer: Option<String>,
}

/// The first place in which two things differ; `null` where a side has nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Difference {
    /// `call`, `missing_call`, `extra_call`, `answer` or `state`.
    what: &'static str,
    /// Which: the number of the call with its argument, or the path in the state.
    at: String,
    expected: Value,
    got: Value,
}

/// The call that the failure shows in.
#[derive(Serialize)]
struct Step<'a> {
    /// Position among the turns.
    turn: usize,
    tool_call: u32,
    call: String,
    shown: &'a str,
}

impl Args {
    /// Show.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let store = Store::open_read_only(self.run.join("run.db"))?;
        let settings = super::settings::settings(&store, &self.run)?;
        // What is recorded can be shown without the taskset; only the final states need it.
        let taskset = tasksets::taskset(&settings.taskset);
        if let Err(error) = &taskset {
            say(format!("final states are not shown: {error}"));
        }
        let taskset = taskset.ok();
        let recorded = match &taskset {
            Some(taskset) => Recorded::read(&self.run, &**taskset)?,
            None => Recorded::default(),
        };
        if recorded.references.is_empty() {
            say("there is no run of the expert to compare with: `hone eval --resume` plays it, if the taskset has one");
        }
        let experts = baselines::file(&self.run);
        let experts = experts.exists().then(|| Store::open_read_only(&experts)).transpose()?;
        let mut count = 0;
        for summary in store.episodes(&run_filter())? {
            let wanted = (!self.failed || summary.outcome.kind() == OutcomeKind::PolicyFailed)
                && (self.task.is_empty() || self.task.contains(&summary.task));
            if !wanted || self.limit.is_some_and(|limit| count >= limit) {
                continue;
            }
            let Some(episode) = store.episode(&summary.id)? else {
                continue;
            };
            let reference = recorded.references.get(&episode.task);
            let failure = classify(&episode, reference);
            if self.class.is_some() && failure.as_ref().map(|f| f.class.name()) != self.class.as_deref() {
                continue;
            }
            count += 1;
            let states = match (&taskset, &experts) {
                (Some(taskset), Some(experts)) => self.states(taskset, &settings, &episode, experts)?,
                _ => None,
            };
            let difference = states.and_then(|(expected, got)| state_difference("", &expected, &got));
            let shown = Shown::of(&episode, failure, reference, difference);
            match json {
                true => print_json(&shown)?,
                false => print(shown.text() + "\n")?,
            }
        }
        if count == 0 {
            bail!(
                "no episode of {} is that; `hone trace ls {0}` shows what there is",
                self.run.display()
            );
        }
        say(counted(count as u64, "episode"));
        Ok(())
    }

    /// Final states of the expert's episode of the task and of this one, by playing their calls again; `None` where that
    /// does not lead to the states that are recorded.
    fn states(
        &self,
        taskset: &Arc<dyn Taskset>,
        settings: &Settings,
        episode: &Episode,
        experts: &Store,
    ) -> Result<Option<(Value, Value)>, StoreError> {
        let expert = taskset
            .scripts()
            .iter()
            .find(|s| s.role == hone_env::ScriptRole::Expert);
        let id = expert.map(|s| format!("baseline/{}/{}/0", s.name, episode.group));
        let Some(expert) = id.map(|id| experts.episode(&id)).transpose()?.flatten() else {
            return Ok(None);
        };
        if expert.final_state.is_none() || expert.final_state == episode.final_state || expert.task != episode.task {
            return Ok(None);
        }
        let replayed = |episode: &Episode| super::replay::final_state(&**taskset, settings.split, episode);
        Ok(replayed(&expert).zip(replayed(episode)))
    }
}

impl<'a> Shown<'a> {
    fn of(
        episode: &'a Episode,
        failure: Option<Failure>,
        reference: Option<&Reference>,
        state_difference: Option<Difference>,
    ) -> Self {
        let request = episode.turns.iter().find_map(|turn| match turn {
            Turn::User { text } => Some(text.as_str()),
            _ => None,
        });
        let culprit = failure.as_ref().and_then(|failure| failure.tool_call);
        let step = culprit.and_then(|id| {
            let call = episode.tool_calls.get(id as usize)?;
            let turn = episode
                .turns
                .iter()
                .position(|turn| *turn == Turn::Tool { tool_call: id })?;
            Some(Step {
                turn,
                tool_call: id,
                call: as_written(call),
                shown: &call.shown,
            })
        });
        let lacking = |part: &&hone_trace::ScorePart| !part.why.is_empty();
        let parts = episode.scores.iter().flat_map(|score| &score.parts).filter(lacking);
        Self {
            id: &episode.id,
            task: &episode.task,
            kind: &episode.task_kind,
            request: request.unwrap_or_default(),
            outcome: episode.outcome.kind().name(),
            end: name(&episode.end),
            difference: reference.and_then(|reference| difference(episode, reference)),
            expected: reference.map(|reference| Side {
                calls: reference.calls.iter().map(shown).collect(),
                answer: reference.answer.clone(),
            }),
            got: Side {
                calls: episode.tool_calls.iter().map(as_written).collect(),
                answer: answer(episode).map(str::to_owned),
            },
            failure,
            state_difference,
            step,
            parts: parts
                .map(|part| json!({"name": part.name, "value": part.value, "why": part.why}))
                .collect(),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![message(
            "episode",
            &format!("{}: {} ({}), {}", self.id, self.task, self.kind, self.outcome),
        )];
        let mut line = |speaker: &str, text: &str| lines.push(message(speaker, text));
        line("user", self.request);
        if let Some(failure) = &self.failure {
            line("why", &format!("{}: {}", failure.class.name(), failure.evidence));
        }
        if let Some(expected) = &self.expected {
            line("expected", &side(expected));
        }
        line("got", &side(&self.got));
        for difference in self.difference.iter().chain(&self.state_difference) {
            let value = |value: &Value| match value {
                Value::Null => "nothing".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let Difference {
                what,
                at,
                expected,
                got,
            } = difference;
            let what = what.replace('_', " ");
            line(
                "first",
                &format!("{what} {at}: expected {}, got {}", value(expected), value(got)),
            );
        }
        if let Some(step) = &self.step {
            line(
                "step",
                &format!(
                    "turn {}, call {}: {}\n{}",
                    step.turn, step.tool_call, step.call, step.shown
                ),
            );
        }
        line("end", &self.end);
        for part in &self.parts {
            let text = |key: &str| part[key].as_str().unwrap_or_default().to_owned();
            line("score", &format!("{} {}: {}", text("name"), part["value"], text("why")));
        }
        lines.join("\n")
    }
}

fn side(side: &Side) -> String {
    let mut lines = side.calls.clone();
    lines.extend(side.answer.iter().map(|answer| format!("says {answer:?}")));
    match lines.is_empty() {
        true => "nothing".into(),
        false => lines.join("\n"),
    }
}

/// The call, or what was written where it is none.
fn as_written(call: &ToolCall) -> String {
    let text = match call.tool.is_empty() {
        true => call.raw.chars().take(200).collect(),
        false => shown(&as_call(call)),
    };
    match &call.error {
        Some(error) => format!("{text}  ({})", name(&error.class)),
        None => text,
    }
}

/// The first difference in what was done, else in what was said.
fn difference(episode: &Episode, reference: &Reference) -> Option<Difference> {
    if episode.outcome == Outcome::Ok {
        return None;
    }
    let made: Vec<_> = episode.tool_calls.iter().map(as_call).collect();
    let unpaired = Unpaired::of(&reference.calls, &made);
    let expected = unpaired.expected.first().map(|&i| (i, &reference.calls[i]));
    let mut own = unpaired.made.iter().map(|&i| (i, &made[i]));
    if let Some((i, wanted)) = expected {
        let call = own.find(|(_, call)| call.name == wanted.name);
        return Some(
            match call.and_then(|(j, call)| Some((j, first_difference(&call.arguments, &wanted.arguments)?))) {
                Some((j, (field, got, expected))) => Difference {
                    what: "call",
                    at: format!("{j} ({}), argument `{field}`", wanted.name),
                    expected: expected.cloned().unwrap_or_default(),
                    got: got.cloned().unwrap_or_default(),
                },
                None => Difference {
                    what: "missing_call",
                    at: i.to_string(),
                    expected: shown(wanted).into(),
                    got: episode
                        .tool_calls
                        .get(i)
                        .map_or(Value::Null, |call| as_written(call).into()),
                },
            },
        );
    }
    if let Some(&i) = unpaired.made.first() {
        return Some(Difference {
            what: "extra_call",
            at: i.to_string(),
            expected: Value::Null,
            got: as_written(&episode.tool_calls[i]).into(),
        });
    }
    let (said, right) = (answer(episode), reference.answer.as_deref());
    (said != right).then(|| Difference {
        what: "answer",
        at: String::new(),
        expected: right.into(),
        got: said.into(),
    })
}

/// The first place, in order of keys, in which two states differ.
fn state_difference(at: &str, expected: &Value, got: &Value) -> Option<Difference> {
    let found = |expected: &Value, got: &Value| Difference {
        what: "state",
        at: at.to_owned(),
        expected: expected.clone(),
        got: got.clone(),
    };
    let below = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match (expected, got) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            let null = Value::Null;
            keys.into_iter()
                .find_map(|key| state_difference(&below(key), a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null)))
        }
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len())).find_map(|i| {
            let null = Value::Null;
            state_difference(
                &below(&i.to_string()),
                a.get(i).unwrap_or(&null),
                b.get(i).unwrap_or(&null),
            )
        }),
        (a, b) => (a != b).then(|| found(a, b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_compared_by_path() {
        let a = json!({"orders": [{"id": "A", "status": "open"}], "x/y": 1, "same": {}});
        let b = json!({"orders": [{"id": "A", "status": "closed"}], "x/y": 2, "same": {}});
        let found = state_difference("", &a, &b).unwrap();
        assert_eq!((found.at.as_str(), found.got), ("/orders/0/status", json!("closed")));
        assert_eq!(
            state_difference("", &json!({"x/y": 1}), &json!({})).unwrap().at,
            "/x~1y"
        );
        assert_eq!(state_difference("", &a, &a), None);
        let longer = state_difference("", &json!([1]), &json!([1, 2])).unwrap();
        assert_eq!((longer.at.as_str(), longer.expected), ("/1", Value::Null));
    }
}
