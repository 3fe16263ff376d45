//! Scripted agents: the expert, an imperfect demonstrator that searches too much, and baselines.

use crate::question::Question;
use hone_env::{ScriptInfo, ScriptRole};
use hone_model::{AgentTurn, Message, Script};
use hone_trace::Stream;
use rand::RngExt;
use serde_json::json;

pub(crate) const SCRIPTS: &[ScriptInfo] = &[
    ScriptInfo {
        name: "expert",
        about: "Searches what it must and answers; solves every task.",
        role: ScriptRole::Expert,
    },
    ScriptInfo {
        name: "over_eager",
        about: "Imperfect: searches for what everybody knows, searches twice, sometimes stops a search too early.",
        role: ScriptRole::Demonstrator,
    },
    ScriptInfo {
        name: "do_nothing",
        about: "Says that it does not know.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "random",
        about: "Searches for the question and answers with a random word of what it found.",
        role: ScriptRole::Baseline,
    },
    ScriptInfo {
        name: "from_memory",
        about: "Answers what needs no search, and says of the rest that it does not know.",
        role: ScriptRole::Baseline,
    },
];

/// How often the demonstrator searches for what is known, looks twice at the end, and stops too early.
const NEEDLESS: f64 = 0.7;
const AGAIN: f64 = 0.3;
const EARLY: f64 = 0.2;

/// Queries, then an answer.
struct Plan {
    queries: std::vec::IntoIter<String>,
    answer: String,
}

impl Script for Plan {
    fn next(&mut self, _: &[Message]) -> AgentTurn {
        match self.queries.next() {
            Some(query) => AgentTurn::call("search", json!({ "query": query })),
            None => AgentTurn::Say(self.answer.clone()),
        }
    }
}

/// Searches for the question, and answers with some word of the result.
struct Random(Stream);

impl Script for Random {
    fn next(&mut self, messages: &[Message]) -> AgentTurn {
        match messages.last() {
            Some(Message::Tool(text)) => {
                let words: Vec<&str> = text
                    .split([' ', ',', ':', '\n'])
                    .filter(|word| !word.is_empty())
                    .collect();
                let at = self.0.random_range(0..words.len().max(1));
                AgentTurn::Say(words.get(at).copied().unwrap_or("nothing").to_owned())
            }
            Some(Message::User(asked)) => {
                let query: String = asked.chars().take(crate::world::MAX_QUERY).collect();
                AgentTurn::call("search", json!({ "query": query }))
            }
            _ => AgentTurn::Say("nothing".to_owned()),
        }
    }
}

pub(crate) fn script(name: &str, question: Question, asked: &str, stream: &Stream) -> Option<Box<dyn Script>> {
    let Question { answer, path, found } = question;
    let unknown = "i do not know".to_owned();
    let plan = |queries: Vec<String>, answer: String| -> Box<dyn Script> {
        Box::new(Plan {
            queries: queries.into_iter(),
            answer,
        })
    };
    Some(match name {
        "expert" => plan(path, answer),
        "over_eager" => {
            let mut draw = stream.named("over_eager");
            let (mut path, mut answer) = (path, answer);
            if path.is_empty() {
                if draw.random_bool(NEEDLESS) {
                    path.push(asked.chars().take(60).collect());
                }
            } else if path.len() > 1 && draw.random_bool(EARLY) {
                path.pop();
                answer = found.get(path.len() - 1).cloned().unwrap_or(answer);
            }
            let again = path.last().filter(|_| draw.random_bool(AGAIN)).cloned();
            path.extend(again);
            plan(path, answer)
        }
        "do_nothing" => plan(Vec::new(), unknown),
        "from_memory" => {
            let known = path.is_empty();
            plan(Vec::new(), if known { answer } else { unknown })
        }
        "random" => Box::new(Random(stream.named("random"))),
        _ => return None,
    })
}
