//! The generated corpus that the nano base is made from: tool-call syntax, copying, look-up.
//!
//! Document `index` of seed `seed` is a pure function of the two; there is no end of them. Everything in them is invented:
//! tool names, arguments, results, names, ids. A model that has seen them knows how to call a tool it has never heard
//! of, to copy an argument out of a request, to find a value in a result, and to follow a chain of both.
//!
//! Invariants:
//! * Every agent turn follows from what stands before it; train on all of them, content and end token.
//! * Nothing here is of the shop or of TextCraft: no tool name, no item, no color, no combination of arguments.
//! * Invented words are split by a hash of their spelling: [`probes`] use only words that no document holds.

mod copying;
mod following;
mod judging;
mod scene;
mod values;
mod words;

use copying::{copy, facts, recall, repeat};
use following::{choose, look_up, parts, two_hops};
use hone_model::{AgentTurn, CallRequest, Message};
use hone_trace::Stream;
use judging::{condition, error, short};
use scene::Scene;
use serde_json::Value;
use values::Values;
use words::COMMON;
pub use words::RESERVED_WORDS;

/// Tokens that hold any document, with the tokenizer that [`tokenizer_texts`] makes at a vocabulary of 1024. Of 60,000
/// documents one has more than 320 (it has 326).
pub const MAX_TOKENS: usize = 336;

/// Tool names that no document may use, because a domain that the base is judged on has them.
pub const RESERVED_TOOLS: &[&str] = &[
    "find_customer",
    "find_email",
    "get_customer",
    "list_orders",
    "get_order",
    "get_stock",
    "cancel_order",
    "refund_order",
    "refund",
    "exchange_order",
    "exchange",
    "change_address",
    "note_refusal",
    "finish",
    "get",
    "craft",
    "inventory",
    "lookup",
];

type Skill = fn(&mut Scene);

/// The skills with their names and how often they are drawn, of 100.
const SKILLS: &[(&str, usize, Skill)] = &[
    ("repeat", 5, repeat),
    ("recall", 16, recall),
    ("copy", 17, copy),
    ("facts", 7, facts),
    ("look_up", 20, look_up),
    ("two_hops", 13, two_hops),
    ("choose", 8, choose),
    ("condition", 7, condition),
    ("short", 1, short),
    ("parts", 4, parts),
    ("error", 2, error),
];

/// Characters beyond which a document is drawn again: about [`MAX_TOKENS`] tokens.
const MAX_CHARS: usize = 550;

/// One document of the corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The skill that it teaches.
    pub skill: &'static str,
    /// The conversation. Every agent turn is trained on.
    pub messages: Vec<Message>,
    /// Which messages are the agent turns that need the skill (some skills name none). What a probe checks.
    pub targets: Vec<usize>,
}

/// The corpus of a seed.
#[derive(Clone, Debug)]
pub struct Primer {
    stream: Stream,
}

impl Primer {
    /// The corpus of that seed.
    pub fn new(seed: u64) -> Self {
        Self {
            stream: Stream::new(seed).named("primer"),
        }
    }

    /// Document `index`.
    pub fn document(&self, index: u64) -> Document {
        let stream = self.stream.at(index);
        let mut draw = (stream.uniform(0) * SKILLS.iter().map(|skill| skill.1).sum::<usize>() as f64) as usize;
        let skill = SKILLS.iter().find(|skill| {
            let found = draw < skill.1;
            draw = draw.saturating_sub(skill.1);
            found
        });
        let (name, _, skill) = skill.unwrap_or(&SKILLS[0]);
        write(name, *skill, &stream, false)
    }
}

/// What a probe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Copy arguments from the request into a call.
    Copy,
    /// Find a value in a result and call with it.
    LookUp,
    /// Follow two results, one after the other.
    TwoHop,
}

/// `n` conversations whose names, ids and other values occur in no document. Each ends with the last of its
/// [`targets`](Document::targets): calls that a model should produce exactly, given what stands before each.
pub fn probes(kind: Probe, n: usize, seed: u64) -> Vec<Document> {
    let (name, skill): (_, Skill) = match kind {
        Probe::Copy => ("copy", copy),
        Probe::LookUp => ("look_up", look_up),
        Probe::TwoHop => ("two_hops", two_hops),
    };
    let stream = Stream::new(seed).named("probe").named(name);
    (0..)
        .map(|index| write(name, skill, &stream.at(index), true))
        .filter_map(|mut probe| {
            probe.messages.truncate(*probe.targets.last()? + 1);
            Some(probe)
        })
        .take(n)
        .collect()
}

fn write(name: &'static str, skill: Skill, stream: &Stream, held_out: bool) -> Document {
    for attempt in 0.. {
        let mut scene = Scene::new(Values::new(stream.at(attempt), held_out));
        skill(&mut scene);
        let (messages, targets) = scene.finish();
        let document = Document {
            skill: name,
            messages,
            targets,
        };
        if document.chars() <= MAX_CHARS {
            return document;
        }
    }
    unreachable!("an unbounded range ends only by returning")
}

impl Document {
    fn chars(&self) -> usize {
        self.messages
            .iter()
            .map(|message| {
                8 + match message {
                    Message::System(text) | Message::User(text) | Message::Tool(text) => text.len(),
                    Message::Agent(AgentTurn::Calls { content, calls }) => {
                        let length = |call: &CallRequest| call.name.len() + call.arguments.to_string().len();
                        content.len() + calls.iter().map(length).sum::<usize>()
                    }
                    Message::Agent(AgentTurn::Say(text) | AgentTurn::Malformed { raw: text, .. }) => text.len(),
                }
            })
            .sum()
    }
}

/// Text to train the tokenizer on: what the corpus consists of, without the punctuation of calls, and common words.
pub fn tokenizer_texts() -> Vec<String> {
    fn values(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                into.push(key.clone());
                values(value, into);
            }),
            Value::String(text) => into.push(text.clone()),
            _ => {}
        }
    }
    let primer = Primer::new(0x70);
    let mut texts: Vec<String> = COMMON
        .iter()
        .flat_map(|word| std::iter::repeat_n(word.to_string(), 4))
        .collect();
    for index in 0..3000 {
        for message in primer.document(index).messages {
            match message {
                Message::System(text) | Message::User(text) | Message::Tool(text) => texts.push(text),
                Message::Agent(AgentTurn::Say(text) | AgentTurn::Malformed { raw: text, .. }) => texts.push(text),
                Message::Agent(AgentTurn::Calls { calls, .. }) => {
                    for call in calls {
                        texts.push(call.name);
                        values(&call.arguments, &mut texts);
                    }
                }
            }
        }
    }
    texts
}
