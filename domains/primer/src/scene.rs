//! A document while it is written: its tools, its messages, and the wording of requests.

use crate::values::{Kind, Values};
use crate::words::{PLACES, VERBS};
use hone_model::{AgentTurn, CallRequest, Message};
use serde_json::{Map, Value};
use std::ops::{Deref, DerefMut};

const OPENERS: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    "hello. ",
    "hi, ",
    "please ",
    "hello there, ",
    "i need help: ",
    "a small job: ",
    "task: ",
    "next: ",
    "can you do this? ",
    "good morning. ",
];
const CLOSERS: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    " thanks.",
    " please.",
    " thank you!",
    " that is all.",
    " be quick.",
    " i am in a hurry.",
];
const THEN: &[&str] = &[
    ". then ",
    ", then ",
    "; after that ",
    " and then ",
    ". next, ",
    ". once that is done, ",
    "; ",
];
const ACTS: &[&str] = &[
    "call {t}",
    "use {t}",
    "run {t}",
    "call the tool {t}",
    "please use {t}",
    "try {t}",
];
const PAIRS: &[&str] = &[
    "{k} {v}",
    "{k} {v}",
    "{k} is {v}",
    "{k}: {v}",
    "{k} = {v}",
    "the {k} {v}",
    "{k} \"{v}\"",
];
const LISTINGS: &[(&str, &str)] = &[
    ("tools: ", "; "),
    ("you can call ", ", "),
    ("your tools are:\n", "\n"),
    ("", "\n"),
    ("tools available: ", " | "),
];
const ACKS: &[&str] = &[
    "ok",
    "ok",
    "{\"ok\":true}",
    "{\"done\":true}",
    "done",
    "{\"result\":\"ok\"}",
    "accepted",
    "{}",
];

/// A tool of one document.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub name: String,
    /// The name as words: `open the gate`.
    words: String,
    /// Arguments, sorted by name, each with the kind of value it takes.
    pub keys: Vec<(String, Kind)>,
}

/// Replace each `{x}` of a template by the text that belongs to `x`, once, left to right.
pub(crate) fn fill(template: &str, slots: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let slot = after
            .split_once('}')
            .and_then(|(name, tail)| Some((slots.iter().find(|slot| slot.0 == name)?.1, tail)));
        rest = match slot {
            Some((value, tail)) => {
                text.push_str(value);
                tail
            }
            None => {
                text.push('{');
                after
            }
        };
    }
    text + rest
}

/// Fields as a compact JSON object in the given order.
pub(crate) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> String {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(key, value)| format!("{}:{value}", Value::from(key)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// A value as JSON: numbers as numbers.
pub(crate) fn json(kind: Kind, value: &str) -> Value {
    match (kind, value.parse::<u64>()) {
        (Kind::Number, Ok(number)) => number.into(),
        _ => value.into(),
    }
}

/// A value as plain text: strings without quotes.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// A document under way. Dereferences to its [`Values`].
pub(crate) struct Scene {
    values: Values,
    /// The document lists its tools in a system message, so requests may describe them in words.
    listed: bool,
    /// A rule that stands in the system message.
    pub rule: Option<String>,
    tools: Vec<Tool>,
    messages: Vec<Message>,
    targets: Vec<usize>,
}

impl Deref for Scene {
    type Target = Values;
    fn deref(&self) -> &Values {
        &self.values
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Values {
        &mut self.values
    }
}

impl Scene {
    pub fn new(mut values: Values) -> Self {
        let listed = values.chance(0.35);
        Self {
            values,
            listed,
            rule: None,
            tools: Vec::new(),
            messages: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Whether a system message lists the tools with their arguments.
    pub fn listed(&self) -> bool {
        self.listed
    }

    /// List the tools, since the request does not tell their arguments.
    pub fn list_tools(&mut self) {
        self.listed = true;
    }

    /// A new tool with `arguments` arguments of any kind.
    pub fn tool(&mut self, arguments: usize) -> Tool {
        let keys = (0..arguments).map(|_| self.key()).collect();
        self.tool_with(keys)
    }

    /// A new tool with these arguments.
    pub fn tool_with(&mut self, mut keys: Vec<(String, Kind)>) -> Tool {
        loop {
            let verb = self.pick(VERBS).to_string();
            let noun = if self.chance(0.25) {
                self.word()
            } else {
                self.pick(PLACES).to_string()
            };
            let (name, words) = match self.below(12) {
                0 => (noun.clone(), noun),
                1 => (format!("{noun}_{verb}"), format!("{noun} {verb}")),
                _ => (format!("{verb}_{noun}"), format!("{verb} the {noun}")),
            };
            if self.tools.iter().all(|tool| tool.name != name) && !crate::RESERVED_TOOLS.contains(&name.as_str()) {
                keys.sort_by(|a, b| a.0.cmp(&b.0));
                let tool = Tool { name, words, keys };
                self.tools.push(tool.clone());
                return tool;
            }
        }
    }

    /// How a request asks for a tool: by its name, or in words where the tools are listed.
    pub fn act(&mut self, tool: &Tool) -> String {
        if self.listed && self.chance(0.7) {
            return tool.words.clone();
        }
        let template = self.pick(ACTS);
        fill(template, &[("t", &tool.name)])
    }

    /// How a request gives a value for an argument.
    pub fn pair(&mut self, key: &str, value: &str) -> String {
        let template = self.pick(PAIRS);
        fill(template, &[("k", key), ("v", value)])
    }

    /// A request for one call with all its arguments: the text and the arguments.
    pub fn ask(&mut self, tool: &Tool) -> (String, Vec<(String, Value)>) {
        let act = self.act(tool);
        let arguments: Vec<_> = tool
            .keys
            .iter()
            .map(|(key, kind)| (key.clone(), *kind, self.make(*kind)))
            .collect();
        let text = match &arguments[..] {
            [(_, _, value)] if self.listed && self.chance(0.5) => {
                let template = self.pick(&["{a} for {v}", "{a} {v}", "{a}: {v}", "{a} with {v}"]);
                fill(template, &[("a", &act), ("v", value)])
            }
            _ => {
                // In the order of the call.
                let pairs: Vec<_> = arguments.iter().map(|(key, _, value)| self.pair(key, value)).collect();
                let pairs = pairs.join(self.pick(&[", ", " and ", ", ", "; "]));
                let template = self.pick(&["{a} with {p}", "{a} with {p}", "{a}: {p}", "{a}, {p}"]);
                fill(template, &[("a", &act), ("p", &pairs)])
            }
        };
        (
            text,
            arguments
                .into_iter()
                .map(|(key, kind, value)| (key, json(kind, &value)))
                .collect(),
        )
    }

    /// Steps of a request, one after the other.
    pub fn steps(&mut self, steps: &[String]) -> String {
        let mut text = String::new();
        for step in steps {
            if !text.is_empty() {
                text.push_str(self.pick(THEN));
            }
            text.push_str(step);
        }
        text
    }

    /// The user's message, with a greeting, which is sometimes in sentence case; the request itself stays as it is.
    pub fn user(&mut self, text: &str) {
        let mut opener = self.pick(OPENERS).to_string();
        if self.chance(0.3)
            && let Some(first) = opener.get_mut(..1)
        {
            first.make_ascii_uppercase();
        }
        let closer = self.pick(CLOSERS);
        // A farewell starts a new sentence, so that a word to be said at the end ends before it.
        let stop = if text.ends_with(['.', '?']) || closer.is_empty() && self.chance(0.5) {
            ""
        } else {
            "."
        };
        let text = [opener.as_str(), text, stop, closer].concat();
        self.messages.push(Message::User(text));
    }

    /// The user's message, exactly so.
    pub fn plain_user(&mut self, text: &str) {
        self.messages.push(Message::User(text.into()));
    }

    /// What the agent says when all is done: `done`, unless the request, which may be extended so, asks for another word.
    pub fn last_word(&mut self, request: &mut String) -> String {
        if !self.chance(0.25) {
            return "done".into();
        }
        let kind = if self.chance(0.5) { Kind::Phrase } else { Kind::Word };
        let word = self.make(kind);
        let template = self.pick(&[
            ". at the end say {w}",
            ". finish by saying {w}",
            ". when all is done, say {w}",
            ", and say {w} when done",
            ". then answer {w}",
        ]);
        request.push_str(&fill(template, &[("w", &word)]));
        word
    }

    /// The agent calls a tool.
    pub fn call(&mut self, tool: &Tool, arguments: impl IntoIterator<Item = (String, Value)>) {
        self.thought_call("", tool, arguments);
    }

    fn thought_call(&mut self, thought: &str, tool: &Tool, arguments: impl IntoIterator<Item = (String, Value)>) {
        let arguments = Value::Object(arguments.into_iter().collect::<Map<_, _>>());
        let call = CallRequest::new(&tool.name, arguments).after(thought);
        self.messages.push(Message::Agent(call));
    }

    /// The same, as one of the turns that a probe looks at.
    pub fn target_call(&mut self, tool: &Tool, arguments: impl IntoIterator<Item = (String, Value)>) {
        self.targets.push(self.messages.len());
        self.call(tool, arguments);
    }

    /// A call that needs what was found under `key`: the agent says what it found, then calls with it.
    pub fn target_found(&mut self, key: &str, value: &Value, tool: &Tool, argument: String) {
        self.targets.push(self.messages.len());
        let thought = format!("{key}: {}", plain(value));
        self.thought_call(&thought, tool, [(argument, value.clone())]);
    }

    /// A tool answers.
    pub fn result(&mut self, text: impl Into<String>) {
        self.messages.push(Message::Tool(text.into()));
    }

    /// A tool answers that all went well.
    pub fn ack(&mut self) {
        let ack = self.pick(ACKS);
        self.result(ack);
    }

    /// The agent answers.
    pub fn say(&mut self, text: impl Into<String>) {
        self.messages.push(Message::Agent(AgentTurn::Say(text.into())));
    }

    /// The messages, with the system message if there is one, and the places of the target calls.
    pub fn finish(mut self) -> (Vec<Message>, Vec<usize>) {
        let mut system = self.rule.take().unwrap_or_default();
        if self.listed {
            for _ in 0..self.below(3) {
                let arguments = self.between(1, 2);
                self.tool(arguments);
            }
            let mut tools = std::mem::take(&mut self.tools);
            self.shuffle(&mut tools);
            let signature = |tool: &Tool| {
                let keys: Vec<_> = tool.keys.iter().map(|(key, _)| key.as_str()).collect();
                format!("{}({})", tool.name, keys.join(","))
            };
            let (head, separator) = LISTINGS[self.below(LISTINGS.len())];
            let listing = head.to_string() + &tools.iter().map(signature).collect::<Vec<_>>().join(separator);
            system = if system.is_empty() {
                listing
            } else {
                format!("{listing}\n{system}")
            };
        }
        if !system.is_empty() {
            self.messages.insert(0, Message::System(system));
            self.targets.iter_mut().for_each(|target| *target += 1);
        }
        (self.messages, self.targets)
    }
}
