//! Results that come from a recording instead of a tool.

use crate::cache::{Key, Shared, difference};
use crate::dispatch::{Answer, failure};
use crate::{Asked, Reply, ToolCache, ToolHost, ToolMode, ToolOutput, canonical};
use hone_trace::{Approval, Decision, EndReason, Episode, ToolCall, ToolErrorClass, ToolFailure};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a call that the recording does not hold does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Fails as an infrastructure error: the replay has left the recorded path.
    #[default]
    Fail,
    /// Runs the tool. Sensible only for tools without state, since replayed calls did not act on it.
    Run,
}

/// The recorded calls of an episode, each keyed by tool, canonical arguments as asked, and occurrence.
///
/// The `n`-th call of a tool with the same arguments gets the `n`-th recorded result, however other calls are interleaved,
/// and with it what was decided of it then. The host is not touched.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    calls: BTreeMap<(String, String), VecDeque<Recorded>>,
    left: usize,
    missing: Missing,
    /// Where the episode goes on from its recorded beginning.
    resumed: Option<Resumed>,
    /// Results that runs share.
    shared: Option<Shared>,
    /// All calls by position, where the whole episode is replayed.
    whole: Option<Vec<Recorded>>,
}

/// How an episode goes on.
#[derive(Clone, Debug)]
struct Resumed {
    /// Whether recorded calls are called again, in a fresh world, to bring it into its state.
    rebuild: bool,
    /// What was decided of the call that waited.
    reply: Option<(u32, Reply)>,
    /// The state that the recorded calls led to, until tools run again.
    reached: Option<Option<String>>,
}

/// A call as it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub tool: String,
    pub tool_version: String,
    /// As they were asked.
    pub asked: Value,
    pub approval: Approval,
    pub decision: Option<Box<Decision>>,
    /// As they were passed to the tool.
    pub arguments: Value,
    pub answer: Answer,
    pub state_after: Option<String>,
    pub shown: String,
    pub cut_from: Option<usize>,
}

/// What a recording has for a call.
pub(crate) enum Found {
    /// Nothing: the call takes its usual way.
    Nothing,
    /// The call.
    Call(Box<Recorded>),
    /// Nothing, and it should have.
    Missing(ToolFailure),
}

impl Recording {
    /// All calls of `episode` that were valid.
    pub fn of(episode: &Episode, missing: Missing) -> Self {
        let mut recording = Self {
            missing,
            ..Self::default()
        };
        let last = episode.tool_calls.len();
        let cuts = cuts(episode);
        for (index, call) in episode.tool_calls.iter().enumerate() {
            if matches!(call.approval, Approval::NotReached | Approval::Pending) {
                continue;
            }
            let terminal = index + 1 == last && episode.end == EndReason::Terminal;
            let asked = call.decision.as_ref().and_then(|decision| decision.asked.as_ref());
            let key = key(&call.tool, asked.unwrap_or(&call.arguments));
            let cut_from = cuts.get(&call.id).copied();
            let calls = recording.calls.entry(key).or_default();
            calls.push_back(Recorded::of(call, terminal, cut_from));
            recording.left += 1;
        }
        recording
    }

    /// The whole of an episode: its calls are answered by position, from the parsing on, without a host, a toolset or a
    /// policy. A call that is another than the recorded one fails.
    pub fn whole(episode: &Episode) -> Self {
        let (last, cuts) = (episode.tool_calls.len(), cuts(episode));
        let calls = episode.tool_calls.iter().enumerate().map(|(index, call)| {
            let terminal = index + 1 == last && episode.end == EndReason::Terminal;
            Recorded::of(call, terminal, cuts.get(&call.id).copied())
        });
        Self {
            whole: Some(calls.collect()),
            ..Self::default()
        }
    }

    /// Where the whole episode is replayed: what is recorded of the call at that position.
    pub(crate) fn at(&self, id: u32, asked: &Asked) -> Option<Result<Recorded, ToolFailure>> {
        let calls = self.whole.as_ref()?;
        let other = |why: String| {
            let message = format!("call {id} is not the recorded one: {why}");
            Some(Err(failure(ToolErrorClass::Infrastructure, message)))
        };
        let Some(recorded) = calls.get(id as usize) else {
            return other(format!("only {} are recorded", calls.len()));
        };
        match asked {
            Asked::Malformed { .. } if recorded.is_malformed() => {}
            Asked::Malformed { .. } => return other("it cannot be read".to_owned()),
            Asked::Call { .. } if recorded.is_malformed() => {
                return other("the recorded one cannot be read".to_owned());
            }
            Asked::Call { tool, .. } if *tool != recorded.tool => {
                return other(format!("recorded is {}, this is {tool}", recorded.tool));
            }
            Asked::Call { arguments, .. } => {
                let same = *arguments == recorded.asked || canonical(arguments.clone()) == recorded.asked;
                if !same && let Some(differs) = difference(&recorded.asked, arguments) {
                    return other(differs.first);
                }
            }
        }
        Some(Ok(recorded.clone()))
    }

    /// Results from the cache that runs share, or into it. `scope` names what the episode starts from: taskset and task.
    ///
    /// Hosts that are [`ToolHost::inline`](crate::ToolHost::inline) always run.
    pub fn cached(cache: Arc<ToolCache>, mode: ToolMode, scope: &str) -> Self {
        let shared = (mode != ToolMode::Live).then(|| Shared::new(cache, mode, scope));
        Self {
            shared,
            missing: Missing::Run,
            ..Self::default()
        }
    }

    /// The beginning of an episode that ended with a call that waits for a decision. After it, tools run; until then, a call
    /// that is not recorded fails. `reply` is what was decided.
    pub fn resume(episode: &Episode, reply: Option<Reply>) -> Self {
        let pending = episode
            .tool_calls
            .iter()
            .find(|call| call.approval == Approval::Pending);
        let ran: Vec<&ToolCall> = episode
            .tool_calls
            .iter()
            .filter(|call| call.approval.passed())
            .collect();
        Self {
            resumed: Some(Resumed {
                rebuild: false,
                reply: pending.map(|call| call.id).zip(reply),
                reached: ran.last().map(|call| call.state_after.clone()),
            }),
            ..Self::of(episode, Missing::Fail)
        }
    }

    /// Where an episode is resumed: bring the fresh world into its state by calling the recorded calls again, if its calls
    /// may be repeated. Otherwise they are not: each ran once, and does not run again.
    pub fn repeatable(&mut self, repeatable: bool) {
        if let Some(resumed) = &mut self.resumed {
            resumed.rebuild = repeatable;
        }
    }

    pub(crate) fn rebuilds(&self) -> bool {
        self.resumed.as_ref().is_some_and(|resumed| resumed.rebuild)
    }

    pub(crate) fn shared(&mut self) -> Option<&mut Shared> {
        self.shared.as_mut()
    }

    /// Before a tool runs for the first time after a recorded beginning: is the world where that led?
    pub(crate) fn enter<H: ToolHost + ?Sized>(&mut self, host: &H) -> Result<(), String> {
        let reached = self.resumed.as_mut().and_then(|resumed| resumed.reached.take());
        match reached.is_none_or(|state| state == host.state_hash()) {
            true => Ok(()),
            false => Err(
                "the episode cannot go on: its world cannot be brought back to the state that it was in, because its \
                          calls may not be repeated"
                    .to_owned(),
            ),
        }
    }

    /// What was decided of the call with that position.
    pub(crate) fn reply(&self, id: u32) -> Option<Reply> {
        let (call, reply) = self.resumed.as_ref()?.reply.as_ref()?;
        (*call == id).then(|| reply.clone())
    }

    /// What it has for this call, as it was asked.
    pub(crate) fn next(&mut self, asked: &ToolCall) -> Found {
        if self.resumed.is_some() && self.left == 0 {
            return Found::Nothing;
        }
        let next = self
            .calls
            .get_mut(&key(&asked.tool, &asked.arguments))
            .and_then(VecDeque::pop_front);
        match next {
            Some(recorded) => {
                self.left -= 1;
                Found::Call(Box::new(recorded))
            }
            None if self.missing == Missing::Run => Found::Nothing,
            None => Found::Missing(failure(ToolErrorClass::Infrastructure, self.why_missing(asked))),
        }
    }

    fn why_missing(&self, asked: &ToolCall) -> String {
        let of_tool = self
            .calls
            .iter()
            .filter(|((tool, _), left)| *tool == asked.tool && !left.is_empty());
        let keys = of_tool.map(|((tool, arguments), _)| {
            let arguments = serde_json::from_str(arguments).unwrap_or_default();
            Key::new(tool, "", arguments, String::new())
        });
        let this = Key::new(&asked.tool, "", asked.arguments.clone(), String::new());
        let compared = this.compared_with(&keys.collect::<Vec<_>>());
        format!(
            "the recording has no further call of {} with these arguments: {compared}",
            asked.tool
        )
    }
}

/// Characters that observations had before they were cut, by call.
fn cuts(episode: &Episode) -> BTreeMap<u32, usize> {
    let events = episode
        .events
        .iter()
        .filter(|event| event.kind == "truncated_observation");
    let cut = |event: &hone_trace::Event| {
        let call = event.detail["tool_call"].as_u64()?.try_into().ok()?;
        Some((call, event.detail["chars"].as_u64()?.try_into().ok()?))
    };
    events.filter_map(cut).collect()
}

impl Recorded {
    fn is_malformed(&self) -> bool {
        matches!(&self.answer.result, Err(failure) if failure.class == ToolErrorClass::Malformed)
    }

    fn of(call: &ToolCall, terminal: bool, cut_from: Option<usize>) -> Self {
        let result = match &call.error {
            None => Ok(ToolOutput {
                data: call.result.clone(),
                text: call.shown.clone(),
                media: call.media.clone(),
                terminal,
            }),
            Some(failure) => Err(failure.clone()),
        };
        let asked = call.decision.as_ref().and_then(|decision| decision.asked.clone());
        Self {
            tool: call.tool.clone(),
            tool_version: call.tool_version.clone(),
            asked: asked.unwrap_or_else(|| call.arguments.clone()),
            approval: call.approval,
            decision: call.decision.clone(),
            arguments: call.arguments.clone(),
            answer: Answer {
                result,
                state_before: call.state_before.clone(),
                state_after: call.state_after.clone(),
            },
            state_after: call.state_after.clone(),
            shown: call.shown.clone(),
            cut_from,
        }
    }
}

fn key(tool: &str, arguments: &Value) -> (String, String) {
    (tool.to_owned(), arguments.to_string())
}
