//! From an episode to a recorded run and its scores.

use super::defects::{DEFECTS_VERSION, defects};
use super::prompt::{GREETING, STOP};
use crate::environment::Mode;
use crate::evaluate::{EvaluateError, Judge, Reward, Run, evaluate, idle_messages, strict};
use crate::message::{Message, Simulation, Termination, ToolCall, ToolResult, Turn};
use crate::py::Value;
use crate::task::{Component, Task};
use crate::toolkit::Side;
use crate::world::World;
use hone_env::findings;
use hone_trace::{EndReason, Episode, Score, ScorePart, ToolCall as Call, Turn as Said};
use sha2::{Digest, Sha256};

/// Version of the scorer: another number where it may give other scores.
const VERSION: &str = "1";

/// The run that an episode recorded, as τ²-bench writes it.
pub fn simulation(task: &Task, episode: &Episode) -> Simulation {
    let mode = mode(episode);
    let mut messages = idle_messages(task);
    if messages.is_empty() && mode == Mode::Dialogue {
        messages.push(Message::Assistant(text(GREETING.to_owned())));
    }
    let calls_of = |id: u32| {
        episode
            .tool_calls
            .iter()
            .filter(move |call| call.model_call == Some(id))
    };
    for said in &episode.turns {
        match said {
            Said::System { .. } => {}
            // Without a user it is the ticket.
            Said::User { .. } if mode == Mode::Solo => {}
            Said::User { text: said } => messages.push(Message::User(text(said.clone()))),
            Said::Agent { model_call } => {
                let calls: Vec<_> = calls_of(*model_call)
                    .map(|call| called(call, Side::Assistant))
                    .collect();
                let call = episode.model_calls.get(*model_call as usize);
                messages.push(Message::Assistant(match calls.is_empty() {
                    true => text(call.map_or_else(String::new, |call| call.text.clone())),
                    false => Turn {
                        content: beside(episode, *model_call),
                        tool_calls: Some(calls),
                    },
                }));
            }
            Said::Tool { tool_call } => {
                let Some(call) = episode.tool_calls.get(*tool_call as usize) else {
                    continue;
                };
                let side = match episode.caller(call) {
                    "user" => Side::User,
                    _ => Side::Assistant,
                };
                if let (Side::User, Some(id)) = (side, call.model_call)
                    && calls_of(id).next().is_some_and(|first| first.id == call.id)
                {
                    messages.push(Message::User(Turn {
                        content: beside(episode, id),
                        tool_calls: Some(calls_of(id).map(|call| called(call, side)).collect()),
                    }));
                }
                messages.push(Message::Tool(result(call, side)));
            }
        }
    }
    Simulation {
        task_id: task.id.clone(),
        trial: Some(episode.sample),
        termination_reason: match (episode.end, mode) {
            (EndReason::Answered, Mode::Dialogue) => Termination::UserStop,
            (EndReason::Terminal, _) => Termination::AgentStop,
            _ => Termination::Premature,
        },
        messages,
        reward_info: None,
    }
}

/// Whether the episode had a user.
fn mode(episode: &Episode) -> Mode {
    match episode.harness.as_str() {
        "dialogue" => Mode::Dialogue,
        _ => Mode::Solo,
    }
}

fn text(content: String) -> Turn {
    Turn {
        content: Some(content),
        tool_calls: None,
    }
}

/// The text beside the calls of a turn.
fn beside(episode: &Episode, model_call: u32) -> Option<String> {
    let mut events = episode.events.iter().filter(|event| event.kind == "beside_calls");
    let event = events.find(|event| event.detail["model_call"] == model_call)?;
    event.detail["text"].as_str().map(str::to_owned)
}

fn call_id(call: &Call) -> String {
    format!("call_{}", call.id)
}

fn called(call: &Call, side: Side) -> ToolCall {
    let none = || Value::Dict(Default::default());
    ToolCall {
        id: call_id(call),
        name: call.tool.clone(),
        arguments: match call.arguments.is_object() {
            true => serde_json::from_value(call.arguments.clone()).unwrap_or_else(|_| none()),
            false => none(),
        },
        requestor: side,
    }
}

fn result(call: &Call, side: Side) -> ToolResult {
    ToolResult {
        id: call_id(call),
        content: Some(match &call.error {
            Some(failure) => format!("Error: {}", failure.message),
            None => call.shown.clone(),
        }),
        requestor: side,
        error: call.error.is_some(),
    }
}

/// What the judge said, as the trace holds it.
struct Recorded(Vec<hone_env::Finding>);

impl Judge for Recorded {
    fn judge(&mut self, _: &[Message], assertions: &[String]) -> Result<Vec<bool>, String> {
        let found = |assertion: &String| {
            let finding = self.0.iter().find(|finding| finding.statement == *assertion);
            finding
                .map(|finding| finding.pass)
                .ok_or_else(|| format!("nothing on {assertion:?}"))
        };
        assertions.iter().map(found).collect()
    }
}

/// What assertions in words are judged on: everything that was said and shown, a line each.
pub fn transcript(messages: &[Message]) -> String {
    let lines = messages.iter().filter_map(|message| {
        let line = |who: &str, turn: &Turn| {
            let calls = turn.tool_calls.iter().flatten();
            let calls = calls.map(|call| {
                let arguments = serde_json::to_string(&call.arguments).unwrap_or_default();
                format!("{who} calls {} {arguments}", call.name)
            });
            let said = turn.content.iter().filter(|text| !text.trim().is_empty());
            let said = said.map(|text| format!("{who}: {text}"));
            said.chain(calls).collect::<Vec<_>>().join("\n")
        };
        Some(match message {
            Message::System { .. } => return None,
            Message::Assistant(turn) => line("agent", turn),
            Message::User(turn) => line("user", turn),
            Message::Tool(result) => format!("tool: {}", result.content.as_deref().unwrap_or_default()),
        })
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Score an episode. The value is the reference's reward; see [`crate::taskset`] for the parts.
pub(super) fn score(name: &str, fresh: &dyn World, task: &Task, episode: &Episode) -> Score {
    let played = simulation(task, episode);
    let run = Run {
        termination: played.termination_reason,
        solo: mode(episode) == Mode::Solo,
        ..Run::ended(&played.messages)
    };
    let mut judge = Recorded(findings(episode));
    let judged = !judge.0.is_empty();
    let found = evaluate(fresh, task, &run, judged.then_some(&mut judge as &mut dyn Judge));
    let found = match found {
        // What the judge says cannot save a run that fails without it.
        Err(EvaluateError::NeedsJudge { task: id }) => {
            let mut rest = task.clone();
            if let Some(criteria) = &mut rest.evaluation_criteria {
                criteria
                    .reward_basis
                    .retain(|component| *component != Component::NlAssertion);
            }
            match evaluate(fresh, &rest, &run, None) {
                Ok(reward) if reward.reward == 0.0 => Ok(reward),
                Ok(_) => Err(EvaluateError::NeedsJudge { task: id }),
                Err(error) => Err(error),
            }
        }
        other => other,
    };
    let (value, mut parts) = match found {
        Ok(reward) => (reward.reward, parts(task, &run, &reward)),
        // It asserts over something that only a conversation makes, as in the reference, which fails there.
        Err(error @ EvaluateError::Assertion { .. }) => (0.0, vec![part("env_assertion", 0.0, error.to_string())]),
        Err(error) => (f64::NAN, vec![part("reward", f64::NAN, error.to_string())]),
    };
    parts.extend(defects(name, &task.id).map(|defect| part(defect.kind.name(), 1.0, defect.why.to_owned())));
    let settings = format!("{name}/{VERSION}, defects {DEFECTS_VERSION}");
    Score {
        scorer: "tau2".to_owned(),
        version: VERSION.to_owned(),
        hash: Sha256::digest(settings)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        value,
        parts,
    }
}

fn part(name: &str, value: f64, why: String) -> ScorePart {
    ScorePart {
        name: name.to_owned(),
        value,
        why,
    }
}

fn parts(task: &Task, run: &Run<'_>, reward: &Reward) -> Vec<ScorePart> {
    let holds = |holds: bool| f64::from(u8::from(holds));
    let basis = |component: Component| match task.evaluation_criteria.as_ref() {
        Some(criteria) if criteria.reward_basis.contains(&component) => "counts",
        _ => "does not count",
    };
    let mut parts = vec![];
    if let Some(note) = reward.note {
        parts.push(part("ended", 0.0, note.to_owned()));
    }
    if let Some(same) = reward.db {
        let end = if same { "as" } else { "otherwise than" };
        let why = format!(
            "the databases ended {end} after the reference solution; {}",
            basis(Component::Db)
        );
        parts.push(part("db", holds(same), why));
    }
    let mut each = |name: &str, component: Component, checks: &[bool], what: &str| {
        if !checks.is_empty() {
            let held = checks.iter().filter(|check| **check).count();
            let why = format!("{held} of {} {what}; {}", checks.len(), basis(component));
            parts.push(part(name, holds(held == checks.len()), why));
        }
    };
    each(
        "env_assertion",
        Component::EnvAssertion,
        &reward.env_assertions,
        "assertions on the world hold",
    );
    each(
        "action",
        Component::Action,
        &reward.actions,
        "calls of the reference solution were made",
    );
    each(
        "communicate",
        Component::Communicate,
        &reward.communicate,
        "texts were said",
    );
    let words = reward.nl_assertions.as_deref().unwrap_or_default();
    each(
        "nl_assertion",
        Component::NlAssertion,
        words,
        "assertions in words hold",
    );
    let (kept, why) = strict(task, run, reward);
    parts.push(part("faithful", reward.reward, String::new()));
    parts.push(part("strict", reward.reward * holds(kept), why));
    if let Some(Message::User(Turn {
        content: Some(text), ..
    })) = run.messages.last()
        && let Some(index) = STOP[1..].iter().position(|stop| text.contains(stop))
    {
        parts.push(part(["transferred", "out_of_scope"][index], 1.0, String::new()));
    }
    parts
}
