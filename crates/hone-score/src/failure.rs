//! Why an episode failed, decided by rules from its record and, where there is one, the reference run of the same task.
//!
//! One class per failed episode: the first that applies, in the order of [`FailureClass`]. The classes are FAMA's four
//! (arXiv:2604.25135: domain policy violation, incorrect retrieval, contextual misinterpretation or hallucination,
//! incomplete fulfilment) as far as rules can tell them apart, and what is plainer than those. Beside each stands the
//! fault type of τ-bench's error identification that it comes closest to.

use crate::trajectory::{Call, Matcher};
use hone_trace::{EndReason, Episode, Outcome, ToolCall, ToolErrorClass, Turn};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Characters of a value that evidence quotes.
const QUOTED: usize = 120;

/// A class of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// What claims to be a call could not be run as one, and that was the end of it.
    InvalidCall,
    /// A bound on turns, calls, tokens, context or time was reached.
    Limit,
    /// The world was changed with a tool that the reference does not change it with (FAMA: domain policy violation;
    /// τ: called wrong tool).
    PolicyViolation,
    /// A wrong argument that nothing shown to the agent contains (FAMA: hallucination; τ: used wrong tool argument).
    Hallucination,
    /// A wrong argument that stands in a tool's result: the wrong one was taken out of it (FAMA: incorrect retrieval;
    /// τ: used wrong tool argument).
    WrongRetrieval,
    /// A wrong argument that stands in what the user or the system said, or one left out (FAMA: contextual
    /// misinterpretation; τ: used wrong tool argument).
    Misread,
    /// Calls of the reference are missing (FAMA: incomplete fulfilment; τ: goal partially completed).
    Incomplete,
    /// All calls of the reference were made, and what was said is wrong.
    WrongAnswer,
    /// No rule applies, such as where there is no reference run.
    Other,
}

impl FailureClass {
    /// All, in the order in which they are tried.
    pub const ALL: [Self; 9] = [
        Self::InvalidCall,
        Self::Limit,
        Self::PolicyViolation,
        Self::Hallucination,
        Self::WrongRetrieval,
        Self::Misread,
        Self::Incomplete,
        Self::WrongAnswer,
        Self::Other,
    ];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidCall => "invalid_call",
            Self::Limit => "limit",
            Self::PolicyViolation => "policy_violation",
            Self::Hallucination => "hallucination",
            Self::WrongRetrieval => "wrong_retrieval",
            Self::Misread => "misread",
            Self::Incomplete => "incomplete",
            Self::WrongAnswer => "wrong_answer",
            Self::Other => "other",
        }
    }

    /// What it means, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Self::InvalidCall => "a call that could not be run, and nothing right after it",
            Self::Limit => "a bound on turns, calls, tokens or time was reached",
            Self::PolicyViolation => "changed what the reference leaves alone",
            Self::Hallucination => "an argument that nothing shown contains",
            Self::WrongRetrieval => "the wrong value taken from a tool's result",
            Self::Misread => "the wrong value taken from the conversation, or an argument left out",
            Self::Incomplete => "calls of the reference are missing",
            Self::WrongAnswer => "the right calls, the wrong answer",
            Self::Other => "no rule applies",
        }
    }
}

/// Why one episode failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The class.
    pub class: FailureClass,
    /// What in the record says so, in a sentence.
    pub evidence: String,
    /// The tool call that it shows in; `None` if it shows in what was not done or said.
    pub tool_call: Option<u32>,
}

/// What a run that solves a task did: the calls that an agent's are held against.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reference {
    /// Its calls that were carried out, in order.
    pub calls: Vec<Call>,
    /// For each whether it changed the state; as far as the record has hashes of it.
    pub changes: Vec<bool>,
    /// Hash of the state that it led to.
    pub final_state: Option<String>,
    /// What it said last.
    pub answer: Option<String>,
}

impl Reference {
    /// What this episode did. `None` unless it succeeded: a failed run is no reference.
    pub fn of(episode: &Episode) -> Option<Self> {
        if !episode.succeeded() {
            return None;
        }
        let carried_out = || episode.tool_calls.iter().filter(|call| call.error.is_none());
        Some(Self {
            calls: carried_out().map(as_call).collect(),
            changes: carried_out().map(changed).collect(),
            final_state: episode.final_state.clone(),
            answer: answer(episode).map(str::to_owned),
        })
    }
}

/// The text that an episode ended with, if its last turn led to no tool call.
pub fn answer(episode: &Episode) -> Option<&str> {
    let Some(Turn::Agent { model_call }) = episode.turns.last() else {
        return None;
    };
    let acted = |call: &ToolCall| call.model_call == Some(*model_call);
    if episode.tool_calls.iter().any(acted) {
        return None;
    }
    Some(&episode.model_calls.get(*model_call as usize)?.text)
}

/// A recorded call as one to compare.
pub fn as_call(call: &ToolCall) -> Call {
    Call {
        name: call.tool.clone(),
        arguments: call.arguments.clone(),
    }
}

/// Whether a call changed the state, by its hashes.
fn changed(call: &ToolCall) -> bool {
    call.state_before.is_some() && call.state_after.is_some() && call.state_before != call.state_after
}

/// Where an agent's calls and a reference's part: calls made that no expected one equals, and the other way round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpaired {
    /// Positions among the calls made, in order.
    pub made: Vec<usize>,
    /// Positions among the calls expected, in order.
    pub expected: Vec<usize>,
}

impl Unpaired {
    /// Pairs equal calls; each one once.
    pub fn of(expected: &[Call], made: &[Call]) -> Self {
        let exact = Matcher::default();
        let mut free: Vec<usize> = (0..expected.len()).collect();
        let unpaired = (0..made.len()).filter(|&i| {
            // Equality is transitive, so the first that is equal is as good as any.
            match free.iter().position(|&j| exact.same(&expected[j], &made[i])) {
                Some(at) => {
                    free.remove(at);
                    false
                }
                None => true,
            }
        });
        Self {
            made: unpaired.collect(),
            expected: free,
        }
    }
}

/// The class of a failed episode; `None` if it did not fail, or failed for the infrastructure's reasons.
pub fn classify(episode: &Episode, reference: Option<&Reference>) -> Option<Failure> {
    if episode.outcome != Outcome::PolicyFailed {
        return None;
    }
    let found = invalid(episode)
        .or_else(|| limit(episode))
        .or_else(|| beside(episode, reference?));
    Some(found.unwrap_or_else(|| {
        Failure {
            class: FailureClass::Other,
            evidence: match reference {
                Some(_) => "it made the calls of the reference and no other, and failed all the same",
                None => "there is no reference run of this task to compare with",
            }
            .into(),
            tool_call: None,
        }
    }))
}

fn invalid(episode: &Episode) -> Option<Failure> {
    let (last, error) = episode
        .tool_calls
        .last()
        .and_then(|call| Some((call, call.error.as_ref()?)))?;
    let bad = matches!(
        error.class,
        ToolErrorClass::Malformed | ToolErrorClass::UnknownTool | ToolErrorClass::InvalidArguments
    );
    (bad || episode.end == EndReason::Malformed).then(|| Failure {
        class: FailureClass::InvalidCall,
        evidence: format!("its last call was not carried out: {}", quoted(&error.message)),
        tool_call: Some(last.id),
    })
}

fn limit(episode: &Episode) -> Option<Failure> {
    let what = match episode.end {
        EndReason::MaxTurns => "turns",
        EndReason::MaxCalls => "tool calls",
        EndReason::MaxTokens => "tokens",
        EndReason::ContextOverflow => "the context window",
        EndReason::Deadline => "time",
        _ => return None,
    };
    let calls = &episode.tool_calls;
    let repeats = |w: &&[ToolCall]| w[0].tool == w[1].tool && w[0].arguments == w[1].arguments && w[0].raw == w[1].raw;
    let repeated = calls.windows(2).filter(repeats).count();
    let again = match repeated {
        0 => String::new(),
        n => format!("; {n} of its {} calls repeat the one before", calls.len()),
    };
    Some(Failure {
        class: FailureClass::Limit,
        evidence: format!("the bound on {what} was reached{again}"),
        tool_call: calls.last().map(|call| call.id),
    })
}

fn beside(episode: &Episode, reference: &Reference) -> Option<Failure> {
    let calls = &episode.tool_calls;
    let made: Vec<Call> = calls.iter().map(as_call).collect();
    let unpaired = Unpaired::of(&reference.calls, &made);
    let same_state = reference.final_state.is_some() && reference.final_state == episode.final_state;
    let expected = |tool: &str| {
        let mut of_it = unpaired.expected.iter().map(|&j| &reference.calls[j]);
        of_it.find(|call| call.name == tool)
    };
    let own = unpaired.made.iter().map(|&i| &calls[i]);
    if !same_state && let Some(call) = own.clone().find(|call| changed(call) && expected(&call.tool).is_none()) {
        return Some(Failure {
            class: FailureClass::PolicyViolation,
            evidence: format!(
                "{} changed the state, which the reference does not do",
                shown(&as_call(call))
            ),
            tool_call: Some(call.id),
        });
    }
    // A call with arguments that the reference has otherwise, unless the right one followed: that is what `expected` holds.
    if let Some((call, right)) = own.clone().find_map(|call| Some((call, expected(&call.tool)?)))
        && let Some((field, has, wanted)) = first_difference(&call.arguments, &right.arguments)
    {
        let told = format!(
            "{}: argument `{field}` is {}, the reference has {}",
            call.tool,
            has.map_or("left out".into(), quoted_value),
            wanted.map_or("none".into(), quoted_value)
        );
        let (class, why) = match has.map(|value| provenance(episode, call, value)) {
            Some(Provenance::Nowhere) => (FailureClass::Hallucination, "; nothing shown before contains it"),
            Some(Provenance::Result) => (FailureClass::WrongRetrieval, "; it stands in an earlier result"),
            Some(Provenance::Said) => (FailureClass::Misread, "; it stands in what was said before"),
            None => (FailureClass::Misread, ""),
        };
        return Some(Failure {
            class,
            evidence: told + why,
            tool_call: Some(call.id),
        });
    }
    let missing = |changes: bool| {
        let found = unpaired
            .expected
            .iter()
            .find(|&&j| !changes || reference.changes.get(j) == Some(&true));
        found.map(|&j| &reference.calls[j])
    };
    if let Some(call) = missing(true).or_else(|| missing(false)) {
        let done = match calls.iter().filter(|call| call.error.is_none()).count() {
            0 => "it made no call that was carried out",
            _ => "it ended before that",
        };
        return Some(Failure {
            class: FailureClass::Incomplete,
            evidence: format!("{} is missing; {done}", shown(call)),
            tool_call: None,
        });
    }
    let said = answer(episode)?;
    let state_differs = reference.final_state.is_some() && episode.final_state.is_some() && !same_state;
    let right = reference.answer.as_deref().filter(|right| *right != said)?;
    (!state_differs).then(|| Failure {
        class: FailureClass::WrongAnswer,
        evidence: format!("it said {}, the reference {}", quoted(said), quoted(right)),
        tool_call: None,
    })
}

/// The first argument, by name, in which two calls differ: name, the value made, the value expected.
pub fn first_difference<'a>(
    made: &'a Value,
    expected: &'a Value,
) -> Option<(String, Option<&'a Value>, Option<&'a Value>)> {
    let (Value::Object(a), Value::Object(b)) = (made, expected) else {
        return (made != expected).then(|| (String::new(), Some(made), Some(expected)));
    };
    let exact = Matcher::default();
    let wrap = |value: &Value| Call {
        name: String::new(),
        arguments: value.clone(),
    };
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort();
    let differ = |name: &&String| match (a.get(*name), b.get(*name)) {
        (Some(x), Some(y)) => !exact.same(&wrap(x), &wrap(y)),
        _ => true,
    };
    let name = names.into_iter().find(differ)?;
    Some((name.clone(), a.get(name), b.get(name)))
}

enum Provenance {
    Nowhere,
    Said,
    Result,
}

/// Where a value of a call's arguments stood before the call: in a tool's result, in what was said, or nowhere.
fn provenance(episode: &Episode, call: &ToolCall, value: &Value) -> Provenance {
    let text = match value {
        Value::String(text) => text.trim().to_lowercase(),
        // A truth value or nothing is a choice, not something to be found.
        Value::Bool(_) | Value::Null => return Provenance::Said,
        Value::Number(number) => number.to_string(),
        Value::Array(values) if !values.is_empty() => {
            let all: Vec<Provenance> = values.iter().map(|value| provenance(episode, call, value)).collect();
            return match () {
                () if all.iter().any(|p| matches!(p, Provenance::Nowhere)) => Provenance::Nowhere,
                () if all.iter().any(|p| matches!(p, Provenance::Result)) => Provenance::Result,
                () => Provenance::Said,
            };
        }
        _ => return Provenance::Said,
    };
    let (mut said, mut result) = (false, false);
    for turn in &episode.turns {
        match turn {
            Turn::Agent { model_call } if Some(*model_call) == call.model_call => break,
            Turn::System { text: words } | Turn::User { text: words } => said |= words.to_lowercase().contains(&text),
            Turn::Tool { tool_call } => {
                let earlier = episode.tool_calls.get(*tool_call as usize);
                result |= earlier.is_some_and(|earlier| earlier.shown.to_lowercase().contains(&text));
            }
            Turn::Agent { .. } => {}
        }
    }
    match (said, result) {
        (true, _) => Provenance::Said,
        (false, true) => Provenance::Result,
        (false, false) => Provenance::Nowhere,
    }
}

/// A call as people write it, shortened: `refund(order: "A7", amount: 12)`.
pub fn shown(call: &Call) -> String {
    let arguments = match &call.arguments {
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| format!("{k}: {v}"))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    cut(&format!("{}({arguments})", call.name))
}

fn quoted_value(value: &Value) -> String {
    cut(&value.to_string())
}

fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{call, episode};
    use hone_trace::{FinishReason, Lineage, ModelCall, Prompt, SamplingSettings, Timing};
    use serde_json::json;

    fn model_call(id: u32, text: &str) -> ModelCall {
        ModelCall {
            id,
            parent: None,
            retry_of: None,
            role: "agent".into(),
            policy: "p".into(),
            lineage: Lineage::Main,
            prompt: Prompt::default(),
            output: Vec::new(),
            origins: Vec::new(),
            logprobs: Vec::new(),
            sampled_logprobs: Vec::new(),
            entropies: Vec::new(),
            top_logprobs: Vec::new(),
            versions: Vec::new(),
            sampling: SamplingSettings {
                temperature: 0.0,
                top_p: 1.0,
                top_k: 0,
                max_tokens: 0,
                stream: String::new(),
                ..SamplingSettings::default()
            },
            finish: FinishReason::Stop,
            template: String::new(),
            grammar: None,
            text: text.into(),
            timing: Timing::default(),
            remote: None,
        }
    }

    /// An episode of these calls (tool, arguments, what it showed, whether it changed the state), then an answer.
    fn played(outcome: Outcome, calls: &[(&str, Value, &str, bool)], said: &str, state: &str) -> Episode {
        let mut e = episode("t", outcome);
        e.turns.push(Turn::User {
            text: "Refund order A7 of Mara Quill".into(),
        });
        for (i, (tool, arguments, shown, writes)) in calls.iter().enumerate() {
            let id = i as u32;
            e.model_calls.push(model_call(id, "call"));
            e.turns.push(Turn::Agent { model_call: id });
            let mut made = call(None);
            made.id = id;
            made.model_call = Some(id);
            made.tool = (*tool).into();
            made.arguments = arguments.clone();
            made.shown = (*shown).into();
            made.state_before = Some("0".into());
            made.state_after = Some(if *writes { "1" } else { "0" }.into());
            e.tool_calls.push(made);
            e.turns.push(Turn::Tool { tool_call: id });
        }
        let last = e.model_calls.len() as u32;
        e.model_calls.push(model_call(last, said));
        e.turns.push(Turn::Agent { model_call: last });
        e.final_state = Some(state.into());
        e
    }

    fn find() -> (&'static str, Value, &'static str, bool) {
        (
            "find",
            json!({"name": "Mara Quill"}),
            "{\"orders\": [\"A7\", \"B9\"]}",
            false,
        )
    }

    fn refund(order: &str) -> (&'static str, Value, &'static str, bool) {
        ("refund", json!({"order": order}), "ok", true)
    }

    fn class(calls: &[(&str, Value, &str, bool)], said: &str, state: &str) -> (FailureClass, Option<u32>, String) {
        let gold = played(Outcome::Ok, &[find(), refund("A7")], "refunded", "good");
        let reference = Reference::of(&gold).unwrap();
        let failed = played(Outcome::PolicyFailed, calls, said, state);
        let failure = classify(&failed, Some(&reference)).unwrap();
        (failure.class, failure.tool_call, failure.evidence)
    }

    #[test]
    fn each_class_has_its_evidence() {
        use FailureClass::*;
        let (c, at, why) = class(&[find(), ("close", json!({"order": "A7"}), "ok", true)], "done", "bad");
        assert_eq!((c, at), (PolicyViolation, Some(1)));
        assert_eq!(
            why,
            "close(order: \"A7\") changed the state, which the reference does not do"
        );
        let (c, at, why) = class(&[find(), refund("B9")], "refunded", "bad");
        assert_eq!((c, at), (WrongRetrieval, Some(1)));
        assert!(why.contains("`order` is \"B9\", the reference has \"A7\""), "{why}");
        let (c, _, _) = class(&[find(), refund("Z1")], "refunded", "bad");
        assert_eq!(c, Hallucination);
        let (c, _, why) = class(
            &[("find", json!({"name": "quill"}), "none", false)],
            "no such order",
            "start",
        );
        assert_eq!(c, Misread, "{why}");
        let (c, at, why) = class(&[find()], "refunded", "start");
        assert_eq!((c, at), (Incomplete, None));
        assert_eq!(why, "refund(order: \"A7\") is missing; it ended before that");
        assert!(class(&[], "hello", "start").2.ends_with("no call that was carried out"));
        let (c, _, why) = class(&[find(), refund("A7")], "refused", "good");
        assert_eq!(
            (c, why.as_str()),
            (WrongAnswer, "it said \"refused\", the reference \"refunded\"")
        );
        assert_eq!(class(&[find(), refund("A7")], "refunded", "odd").0, Other);
        // An error that the agent made good is no reason: the right call is there.
        let slip = ("refund", json!({"order": "Z1"}), "no such order", false);
        assert_eq!(class(&[find(), slip, refund("A7")], "refused", "good").0, WrongAnswer);
    }

    #[test]
    fn how_it_ended_comes_first() {
        let gold = Reference::of(&played(Outcome::Ok, &[find()], "x", "s")).unwrap();
        let mut e = played(Outcome::PolicyFailed, &[find(), find()], "x", "s");
        e.end = EndReason::MaxTurns;
        let limit = classify(&e, Some(&gold)).unwrap();
        assert_eq!(limit.class, FailureClass::Limit);
        assert!(
            limit.evidence.ends_with("1 of its 2 calls repeat the one before"),
            "{}",
            limit.evidence
        );
        e.tool_calls[1].error = call(Some(ToolErrorClass::Malformed)).error;
        assert_eq!(classify(&e, None).unwrap().class, FailureClass::InvalidCall);
        assert_eq!(
            classify(&played(Outcome::PolicyFailed, &[], "x", "s"), None)
                .unwrap()
                .class,
            FailureClass::Other
        );
        assert_eq!(classify(&played(Outcome::Ok, &[], "x", "s"), None), None);
        assert_eq!(Reference::of(&e), None, "a failed run is no reference");
    }
}
