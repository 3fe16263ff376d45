//! The reward of a finished run, as τ²-bench computes it.
//!
//! A run that did not end by the agent's or the user's word earns nothing. Else the reward is the product of the
//! components in the task's basis ([`Component`]); the others are reported without counting.

mod replay;

pub use replay::{Replay, ReplayError, restore};

use crate::message::{Message, Termination, ToolCall};
use crate::py::Value;
use crate::raised::Raised;
use crate::task::{Action, Component, Criteria, Task};
use crate::toolkit::Side;
use crate::world::World;
use serde::Serialize;
use std::collections::BTreeMap;

/// Says whether assertions in words hold for a conversation.
pub trait Judge {
    /// One verdict per assertion.
    ///
    /// # Errors
    /// When there is no verdict, with the reason.
    fn judge(&mut self, conversation: &[Message], assertions: &[String]) -> Result<Vec<bool>, String>;
}

/// Why there is no reward.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The conversation cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An assertion of the task failed to run, as it would in the reference.
    #[error("task {task}: assertion {assertion} cannot be checked: {raised}")]
    Assertion {
        /// The task.
        task: String,
        /// The function.
        assertion: String,
        /// What it raised.
        raised: Raised,
    },
    /// The task's basis has assertions in words and there is no judge.
    #[error("task {task} is judged by assertions in words; give a judge or leave the task out")]
    NeedsJudge {
        /// The task.
        task: String,
    },
    /// The judge gave no verdict.
    #[error("task {task}: the judge gave no verdict: {reason}")]
    Judge {
        /// The task.
        task: String,
        /// Why.
        reason: String,
    },
}

/// A reward and what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reward {
    /// 0 or 1.
    pub reward: f64,
    /// The components that counted.
    pub breakdown: BTreeMap<Component, f64>,
    /// Whether the databases ended as after the reference solution; `None` if not compared.
    pub db: Option<bool>,
    /// Each assertion on the world.
    pub env_assertions: Vec<bool>,
    /// Each call of the reference solution.
    pub actions: Vec<bool>,
    /// Each text that had to be said.
    pub communicate: Vec<bool>,
    /// Each assertion in words; `None` if not judged.
    pub nl_assertions: Option<Vec<bool>>,
    /// Why nothing was compared, if so.
    pub note: Option<&'static str>,
}

/// What is being judged.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The whole conversation, the task's message history included.
    pub messages: &'a [Message],
    /// Why it ended.
    pub termination: Termination,
    /// Whether the agent worked without a user.
    pub solo: bool,
    /// Whether a replayed call must give what was recorded.
    pub replay: Replay,
}

impl<'a> Run<'a> {
    /// A conversation that the user ended, replayed strictly.
    pub fn ended(messages: &'a [Message]) -> Self {
        Self {
            messages,
            termination: Termination::UserStop,
            solo: false,
            replay: Replay::Strict,
        }
    }
}

/// The reward of a run. `fresh` is a world of the task's domain in which nothing has happened.
///
/// # Errors
/// See [`EvaluateError`].
pub fn evaluate(
    fresh: &dyn World,
    task: &Task,
    run: &Run<'_>,
    judge: Option<&mut dyn Judge>,
) -> Result<Reward, EvaluateError> {
    if !matches!(run.termination, Termination::UserStop | Termination::AgentStop) {
        return Ok(Reward {
            note: Some("the run ended prematurely"),
            ..Reward::default()
        });
    }
    let Some(criteria) = &task.evaluation_criteria else {
        return Ok(Reward {
            reward: 1.0,
            note: Some("the task has no criteria"),
            ..Reward::default()
        });
    };
    let mut result = Reward::default();
    let mut breakdown = BTreeMap::new();
    compare_worlds(fresh, task, criteria, run, &mut result, &mut breakdown)?;

    let calls: Vec<_> = run.messages.iter().filter_map(Message::calls).flatten().collect();
    let actions = criteria.actions.as_deref().unwrap_or_default();
    result.actions = actions
        .iter()
        .map(|action| calls.iter().any(|call| action_matches(action, call)))
        .collect();
    breakdown.insert(Component::Action, product(&result.actions));

    let said = criteria.communicate_info.as_deref().unwrap_or_default();
    result.communicate = said.iter().map(|text| communicated(run.messages, text)).collect();
    breakdown.insert(Component::Communicate, product(&result.communicate));

    if criteria.reward_basis.contains(&Component::NlAssertion) {
        let verdicts = judged(task, criteria, run.messages, judge)?;
        breakdown.insert(Component::NlAssertion, product(&verdicts));
        result.nl_assertions = Some(verdicts);
    }
    breakdown.retain(|component, _| criteria.reward_basis.contains(component));
    result.reward = breakdown.values().product();
    result.breakdown = breakdown;
    Ok(result)
}

fn product(checks: &[bool]) -> f64 {
    f64::from(u8::from(checks.iter().all(|check| *check)))
}

/// The components that ask for the world: databases and assertions.
fn compare_worlds(
    fresh: &dyn World,
    task: &Task,
    criteria: &Criteria,
    run: &Run<'_>,
    result: &mut Reward,
    breakdown: &mut BTreeMap<Component, f64>,
) -> Result<(), EvaluateError> {
    if criteria.actions.is_none() && criteria.env_assertions.is_none() {
        result.db = Some(true);
        return Ok(());
    }
    let mut predicted = fresh.fork();
    predicted.set_solo(run.solo);
    restore(&mut *predicted, task, run.messages, run.replay)?;
    let gold = gold_world(fresh, task, run.replay)?;
    let same = predicted.same(&*gold);
    result.db = Some(same);
    breakdown.insert(Component::Db, f64::from(u8::from(same)));
    for assertion in criteria.env_assertions.iter().flatten() {
        let call = &assertion.call;
        let failed = |raised| EvaluateError::Assertion {
            task: task.id.clone(),
            assertion: call.func_name.clone(),
            raised,
        };
        let reply = predicted
            .function(call.env_type, &call.func_name, &call.arguments)
            .map_err(failed)?;
        let crate::toolkit::Reply::Plain(Value::Bool(value)) = reply else {
            return Err(failed(Raised("it does not return a truth value".into())));
        };
        result.env_assertions.push(value == assertion.assert_value);
    }
    breakdown.insert(Component::EnvAssertion, product(&result.env_assertions));
    Ok(())
}

/// The world after the task's initial state and the reference solution. Calls of the solution that fail are passed over,
/// and the two sides are not made consistent between them, as in the reference.
///
/// # Errors
/// When the initial state cannot be restored.
pub fn gold_world(fresh: &dyn World, task: &Task, replay: Replay) -> Result<Box<dyn World>, ReplayError> {
    let mut gold = fresh.fork();
    let history = task
        .initial_state
        .as_ref()
        .and_then(|state| state.message_history.as_deref());
    restore(&mut *gold, task, history.unwrap_or_default(), replay)?;
    for action in gold_actions(task) {
        let _ = gold.call(action.requestor, &action.name, &action.arguments);
    }
    Ok(gold)
}

/// The reference solution.
pub fn gold_actions(task: &Task) -> &[Action] {
    let actions = task
        .evaluation_criteria
        .as_ref()
        .and_then(|criteria| criteria.actions.as_deref());
    actions.unwrap_or_default()
}

/// Whether a call is one of the reference solution: the same name, and equal values of the arguments that count.
///
/// Which count: those of `compare_args`; without that list those that the call has, so that an argument too many fails
/// and one too few does not; with none, the name alone decides.
pub fn action_matches(action: &Action, call: &ToolCall) -> bool {
    let (Value::Dict(wanted), Value::Dict(given)) = (&action.arguments, &call.arguments) else {
        return false;
    };
    if action.name != call.name {
        return false;
    }
    match &action.compare_args {
        None => given
            .iter()
            .all(|(key, value)| key.as_str().and_then(|key| wanted.get(key)) == Some(value)),
        Some(names) => names.iter().all(|name| wanted.get(name) == given.get(name)),
    }
}

/// The corrected rule, for a run that earned its reward: whether it would also without these defects of the original's.
///
/// * Where nothing has to change and nothing to be said, an agent that calls nothing passes; here not, if the reference
///   solution calls something.
/// * Where calls count, one call may match several of the reference solution, and an argument that is left out matches;
///   here each call matches once (the best assignment decides), and without `compare_args` the arguments are equal.
/// * A text that had to be said may be part of a longer number or word, and its own commas are kept while the message's are
///   removed; here it stands by itself, commas apart.
///
/// Returns that and the reason.
pub fn strict(task: &Task, run: &Run<'_>, reward: &Reward) -> (bool, String) {
    let fails = |why: &str| (false, why.to_owned());
    if reward.reward == 0.0 {
        return fails("it fails by the original's rule");
    }
    let Some(criteria) = &task.evaluation_criteria else {
        return (true, String::new());
    };
    let calls: Vec<&ToolCall> = run.messages.iter().filter_map(Message::calls).flatten().collect();
    let actions = gold_actions(task);
    if calls.is_empty() && !actions.is_empty() {
        return fails("nothing was called where the reference solution calls something");
    }
    if criteria.reward_basis.contains(&Component::Action) {
        let equal = |action: &Action, call: &ToolCall| {
            action_matches(action, call) && (action.compare_args.is_some() || action.arguments == call.arguments)
        };
        let fits: Vec<Vec<usize>> = actions
            .iter()
            .map(|action| (0..calls.len()).filter(|i| equal(action, calls[*i])).collect())
            .collect();
        if !assigned(&fits, calls.len()) {
            return fails("a call of the reference solution has no call of its own that equals it");
        }
    }
    let said = criteria.communicate_info.as_deref().unwrap_or_default();
    if criteria.reward_basis.contains(&Component::Communicate) && !said.iter().all(|text| stands(run.messages, text)) {
        return fails("a text that had to be said is only part of another");
    }
    (true, String::new())
}

/// Whether each left side can have a right side of its own (Kuhn's algorithm).
fn assigned(fits: &[Vec<usize>], rights: usize) -> bool {
    fn place(left: usize, fits: &[Vec<usize>], taken: &mut [Option<usize>], seen: &mut [bool]) -> bool {
        for &right in &fits[left] {
            if !std::mem::replace(&mut seen[right], true)
                && taken[right].is_none_or(|other| place(other, fits, taken, seen))
            {
                taken[right] = Some(left);
                return true;
            }
        }
        false
    }
    let mut taken = vec![None; rights];
    (0..fits.len()).all(|left| place(left, fits, &mut taken, &mut vec![false; rights]))
}

/// Whether the agent said a text as a whole: not within a longer word or number, commas apart.
fn stands(messages: &[Message], text: &str) -> bool {
    let text = text.to_lowercase().replace(',', "");
    messages.iter().any(|message| match message {
        Message::Assistant(turn) => {
            let content = turn
                .content
                .as_deref()
                .unwrap_or_default()
                .to_lowercase()
                .replace(',', "");
            content.match_indices(&text).any(|(at, _)| {
                let before = content[..at].chars().next_back();
                let mut after = content[at + text.len()..].chars();
                let next = after.next();
                let fraction = next == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit());
                !before.is_some_and(char::is_alphanumeric) && !next.is_some_and(char::is_alphanumeric) && !fraction
            })
        }
        _ => false,
    })
}

/// Whether the agent said a text: in one of its messages, without regard to case and to the message's commas.
fn communicated(messages: &[Message], text: &str) -> bool {
    let text = text.to_lowercase();
    messages.iter().any(|message| match message {
        Message::Assistant(turn) => {
            let content = turn.content.as_deref().unwrap_or_default();
            !content.trim().is_empty() && content.to_lowercase().replace(',', "").contains(&text)
        }
        _ => false,
    })
}

fn judged(
    task: &Task,
    criteria: &Criteria,
    messages: &[Message],
    judge: Option<&mut dyn Judge>,
) -> Result<Vec<bool>, EvaluateError> {
    let assertions = criteria.nl_assertions.as_deref().unwrap_or_default();
    if assertions.is_empty() {
        return Ok(vec![]);
    }
    let Some(judge) = judge else {
        return Err(EvaluateError::NeedsJudge { task: task.id.clone() });
    };
    let failed = |reason| EvaluateError::Judge {
        task: task.id.clone(),
        reason,
    };
    let verdicts = judge.judge(messages, assertions).map_err(failed)?;
    if verdicts.len() != assertions.len() {
        let (got, asked) = (verdicts.len(), assertions.len());
        return Err(failed(format!("{got} verdicts for {asked} assertions")));
    }
    Ok(verdicts)
}

/// Whether a judge is needed for the reward.
pub fn needs_judge(task: &Task) -> bool {
    task.evaluation_criteria.as_ref().is_some_and(|criteria| {
        let asked = criteria.reward_basis.contains(&Component::NlAssertion);
        asked
            && criteria
                .nl_assertions
                .as_ref()
                .is_some_and(|assertions| !assertions.is_empty())
    })
}

/// The conversation in which everything of the reference solution is called and nothing is said.
///
/// # Errors
/// When the task's initial state cannot be restored.
pub fn gold_messages(fresh: &dyn World, task: &Task) -> Result<Vec<Message>, ReplayError> {
    let history = task
        .initial_state
        .as_ref()
        .and_then(|state| state.message_history.clone());
    let mut messages = history.unwrap_or_default();
    let mut world = fresh.fork();
    restore(&mut *world, task, &messages, Replay::Strict)?;
    for (i, action) in gold_actions(task).iter().enumerate() {
        let id = format!("gold_{i}");
        let response = world.respond(action.requestor, &action.name, &action.arguments);
        let turn = crate::message::Turn {
            content: None,
            tool_calls: Some(vec![ToolCall {
                id: id.clone(),
                name: action.name.clone(),
                arguments: action.arguments.clone(),
                requestor: action.requestor,
            }]),
        };
        messages.push(match action.requestor {
            Side::Assistant => Message::Assistant(turn),
            Side::User => Message::User(turn),
        });
        messages.push(Message::Tool(crate::message::ToolResult {
            id,
            content: Some(response.content),
            requestor: action.requestor,
            error: response.error,
        }));
    }
    Ok(messages)
}

/// The conversation in which nothing happens after the task's message history.
pub fn idle_messages(task: &Task) -> Vec<Message> {
    let history = task
        .initial_state
        .as_ref()
        .and_then(|state| state.message_history.clone());
    history.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_match_by_the_arguments_that_count() {
        let action = |compare: Option<Vec<&str>>| Action {
            action_id: String::new(),
            requestor: Side::Assistant,
            name: "f".into(),
            arguments: serde_json::from_str(r#"{"a": 1, "b": "x"}"#).unwrap(),
            info: None,
            compare_args: compare.map(|names| names.into_iter().map(str::to_owned).collect()),
        };
        let call = |json: &str| ToolCall {
            id: String::new(),
            name: "f".into(),
            arguments: serde_json::from_str(json).unwrap(),
            requestor: Side::Assistant,
        };
        assert!(action_matches(&action(None), &call(r#"{"a": 1.0, "b": "x"}"#)));
        assert!(action_matches(&action(None), &call(r#"{"a": true}"#)));
        assert!(action_matches(&action(None), &call("{}")));
        assert!(!action_matches(&action(None), &call(r#"{"a": 1, "c": 2}"#)));
        assert!(action_matches(&action(Some(vec![])), &call(r#"{"z": 9}"#)));
        assert!(action_matches(&action(Some(vec!["a"])), &call(r#"{"a": 1, "b": "y"}"#)));
        assert!(!action_matches(&action(Some(vec!["a"])), &call("{}")));
        assert!(action_matches(&action(Some(vec!["z"])), &call("{}")));
    }
}
