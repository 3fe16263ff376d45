//! Scripted players: one that computes, and two that do not.

use crate::problem::Problem;
use hone_env::{ScriptInfo, ScriptRole};
use hone_model::{AgentTurn, Message, Script};
use hone_tool::ERROR;
use hone_trace::Stream;
use rand::RngExt;
use serde_json::json;

pub(crate) const SCRIPTS: &[ScriptInfo] = &[
    ScriptInfo {
        name: "expert",
        about: "Writes a program for the problem, runs it in the sandbox and submits what it prints; solves every task.",
        role: ScriptRole::Expert,
    },
    ScriptInfo {
        name: "guess",
        about: "Runs nothing: submits a number of the problem, or the sum or product of two.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "do_nothing",
        about: "Says done at once.",
        role: ScriptRole::Baseline,
    },
];

/// The script of that name.
pub(crate) fn script(name: &str, problem: Problem, stream: &Stream) -> Option<Box<dyn Script>> {
    match name {
        "expert" => Some(Box::new(Expert(problem.code))),
        "guess" => Some(Box::new(Once(Some(guess(&problem.text, &mut stream.named("guess")))))),
        "do_nothing" => Some(Box::new(Once(None))),
        _ => None,
    }
}

/// Runs its program, then submits the last line that it printed.
struct Expert(String);

impl Script for Expert {
    fn next(&mut self, messages: &[Message]) -> AgentTurn {
        match messages.last() {
            Some(Message::Tool(shown)) if !shown.starts_with(ERROR) => match shown.trim().lines().last() {
                Some("finished") | None => AgentTurn::Say("done".to_owned()),
                Some(line) => AgentTurn::call("finish", json!({"answer": line})),
            },
            Some(Message::Tool(_)) => AgentTurn::Say("the program failed".to_owned()),
            _ => AgentTurn::call("python", json!({"code": self.0})),
        }
    }
}

/// Submits an answer if it has one, then says that it is done.
struct Once(Option<String>);

impl Script for Once {
    fn next(&mut self, _: &[Message]) -> AgentTurn {
        match self.0.take() {
            Some(answer) => AgentTurn::call("finish", json!({"answer": answer})),
            None => AgentTurn::Say("done".to_owned()),
        }
    }
}

fn guess(text: &str, draw: &mut Stream) -> String {
    let numbers: Vec<i64> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    let one = |draw: &mut Stream| match numbers.len() {
        0 => 0,
        n => numbers[draw.random_range(0..n)],
    };
    let (a, b) = (one(draw), one(draw));
    match draw.random_range(0..3) {
        0 => a.to_string(),
        1 => a.saturating_add(b).to_string(),
        _ => a.saturating_mul(b).to_string(),
    }
}
