//! Reading a turn while it is being written.

use crate::AgentTurn;
use crate::codec::MAX_CALLS;
use serde_json::Value;

const THINK: &str = "<think>";
const THOUGHT: &str = "</think>";

/// How a turn's text is laid out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnLayout {
    /// Before a call, or before all; empty where none of that is written.
    pub open: String,
    /// After a call; empty where nothing is written.
    pub close: String,
    /// Whether a turn that begins with a brace is a call.
    pub bare: bool,
    /// Whether the answer begins within reasoning.
    pub reasons: bool,
    /// Whether calls can be told only from the whole turn.
    pub whole: bool,
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnDelta {
    /// More reasoning.
    Reasoning(String),
    /// More of what is said.
    Text(String),
    /// A call begins.
    Call(String),
    /// More of the arguments of the call that began last, as they are written.
    Arguments(String),
}

/// Takes a turn's text in pieces and gives what they say as soon as that is certain.
///
/// What it gives adds up to what the codec's parser says of the whole text, which [`TurnStream::finish`] is told: JSON that is
/// no call after all comes then, as text.
#[derive(Debug)]
pub struct TurnStream {
    layout: TurnLayout,
    place: Place,
    /// Text that is not given yet.
    held: String,
    /// What was said so far.
    said: String,
    calls: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Reasoning,
    /// After the reasoning.
    Said,
    Text,
    /// Before a call's object, or after it.
    Calls,
    /// Within the arguments: how deep, whether in a string, whether after a backslash.
    Arguments(usize, bool, bool),
    /// After the arguments.
    Closing,
    /// What comes is not understood before the end.
    Unclear,
}

impl TurnStream {
    /// A turn in that layout.
    pub fn new(layout: TurnLayout) -> Self {
        Self {
            place: if layout.reasons { Place::Reasoning } else { Place::Start },
            layout,
            held: String::new(),
            said: String::new(),
            calls: 0,
        }
    }

    /// How many calls began so far.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// More of the text.
    pub fn push(&mut self, text: &str) -> Vec<TurnDelta> {
        self.held.push_str(text);
        let mut deltas = Vec::new();
        while self.step(&mut deltas) {}
        deltas
    }

    /// One step; whether there may be another.
    fn step(&mut self, deltas: &mut Vec<TurnDelta>) -> bool {
        match self.place {
            Place::Start | Place::Said => {
                let begun = self.held.trim_start();
                if begun.is_empty() {
                    return false;
                }
                let after = self.place == Place::Said;
                if begun.starts_with(THINK) && !after {
                    self.held = begun[THINK.len()..].to_owned();
                    self.place = Place::Reasoning;
                    return true;
                }
                if THINK.starts_with(begun) && !after || begun == "[" && self.layout.bare {
                    return false;
                }
                if after {
                    self.held = begun.to_owned();
                }
                let begun = self.held.trim_start();
                let bare = self.layout.bare && (begun.starts_with('{') || begun.starts_with("[{"));
                self.place = match bare {
                    _ if self.layout.whole => Place::Unclear,
                    true => Place::Calls,
                    false => Place::Text,
                };
                true
            }
            Place::Reasoning => {
                if let Some(at) = self.held.find(THOUGHT) {
                    push(deltas, TurnDelta::Reasoning, &self.held[..at]);
                    self.held.drain(..at + THOUGHT.len());
                    self.place = Place::Said;
                    return true;
                }
                let keep = possible(&self.held, THOUGHT);
                let sure = self.held.len() - keep;
                push(deltas, TurnDelta::Reasoning, &self.held[..sure]);
                self.held.drain(..sure);
                false
            }
            Place::Text => {
                let open = self.layout.open.as_str();
                if let Some(at) = self.held.find(open).filter(|_| !open.is_empty()) {
                    let text = self.held[..at].trim_end().to_owned();
                    self.held.drain(..at + open.len());
                    self.say(deltas, &text);
                    self.place = Place::Calls;
                    return true;
                }
                let sure = self.held[..self.held.len() - possible(&self.held, open)]
                    .trim_end()
                    .len();
                let text = self.held[..sure].to_owned();
                self.held.drain(..sure);
                self.say(deltas, &text);
                false
            }
            Place::Calls => {
                let trimmed = self
                    .held
                    .trim_start_matches(|c: char| c.is_whitespace() || ",;[]".contains(c));
                let marks = [&self.layout.open, &self.layout.close].map(|mark| mark.trim());
                for (mark, next) in marks.into_iter().zip([Place::Calls, Place::Text]) {
                    if let Some(rest) = trimmed.strip_prefix(mark).filter(|_| !mark.is_empty()) {
                        self.held = rest.to_owned();
                        self.place = next;
                        return true;
                    }
                }
                if trimmed.is_empty() || marks.iter().any(|mark| mark.starts_with(trimmed)) {
                    return false;
                }
                match head(trimmed) {
                    Head::Unfinished => return false,
                    Head::Other => self.place = Place::Unclear,
                    Head::Call(name, at) => {
                        self.held = trimmed[at..].to_owned();
                        self.calls += 1;
                        deltas.push(TurnDelta::Call(name));
                        self.place = Place::Arguments(0, false, false);
                    }
                }
                true
            }
            Place::Arguments(mut depth, mut quoted, mut escaped) => {
                let mut end = None;
                for (at, byte) in self.held.bytes().enumerate() {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' if quoted => escaped = true,
                        b'"' => quoted = !quoted,
                        b'{' | b'[' if !quoted => depth += 1,
                        b'}' | b']' if !quoted => {
                            depth = depth.saturating_sub(1);
                            if depth == 0 {
                                end = Some(at + 1);
                                break;
                            }
                        }
                        _ => {}
                    }
                }
                let given = end.unwrap_or(self.held.len());
                push(deltas, TurnDelta::Arguments, &self.held[..given]);
                self.held.drain(..given);
                let Some(_) = end else {
                    self.place = Place::Arguments(depth, quoted, escaped);
                    return false;
                };
                self.place = Place::Closing;
                true
            }
            Place::Closing => {
                // The call's own brace.
                let rest = self.held.trim_start();
                if rest.is_empty() {
                    return false;
                }
                match rest.strip_prefix('}') {
                    Some(rest) => {
                        self.held = rest.to_owned();
                        self.place = Place::Calls;
                    }
                    None => self.place = Place::Unclear,
                }
                true
            }
            Place::Unclear => false,
        }
    }

    fn say(&mut self, deltas: &mut Vec<TurnDelta>, text: &str) {
        self.said.push_str(text);
        push(deltas, TurnDelta::Text, text);
    }

    /// The end of the turn, and what it says as a whole: what is missing still.
    pub fn finish(mut self, turn: &AgentTurn) -> Vec<TurnDelta> {
        let mut deltas = Vec::new();
        match turn {
            AgentTurn::Say(text) | AgentTurn::Malformed { raw: text, .. } if self.calls == 0 => {
                let rest = text.strip_prefix(self.said.as_str()).map(str::to_owned);
                self.say(&mut deltas, &rest.unwrap_or_default());
            }
            AgentTurn::Say(_) | AgentTurn::Malformed { .. } => {}
            AgentTurn::Calls { content, calls } => {
                if self.calls == 0 {
                    let rest = content.strip_prefix(self.said.as_str()).map(str::to_owned);
                    self.say(&mut deltas, &rest.unwrap_or_default());
                }
                for call in calls.iter().skip(self.calls).take(MAX_CALLS) {
                    deltas.push(TurnDelta::Call(call.name.clone()));
                    deltas.push(TurnDelta::Arguments(written(&call.arguments)));
                }
            }
        }
        deltas
    }
}

/// Arguments as JSON; those that cannot be read as their text.
pub fn written(arguments: &Value) -> String {
    arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned)
}

fn push(deltas: &mut Vec<TurnDelta>, kind: fn(String) -> TurnDelta, text: &str) {
    if !text.is_empty() {
        deltas.push(kind(text.to_owned()));
    }
}

/// How many bytes at the end of a text may be the beginning of `mark`.
fn possible(text: &str, mark: &str) -> usize {
    let longest = mark.len().saturating_sub(1).min(text.len());
    let begins = |n: &usize| text.is_char_boundary(text.len() - n) && mark.starts_with(&text[text.len() - n..]);
    (1..=longest).rev().find(begins).unwrap_or(0)
}

enum Head {
    Unfinished,
    /// The name, and where the arguments begin.
    Call(String, usize),
    Other,
}

/// The beginning of a call: `{"name": "…", "arguments": ` and a brace.
fn head(text: &str) -> Head {
    let mut at = 0;
    let mut name = None;
    for part in ["{", "name", ":", "", ",", "arguments", ":", "{"] {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        match part {
            "{" | ":" | "," => {
                if rest.is_empty() {
                    return Head::Unfinished;
                }
                if !rest.starts_with(part) {
                    return Head::Other;
                }
                at += 1;
            }
            wanted => {
                let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                match strings.next() {
                    Some(Ok(found)) => {
                        let fits = match wanted {
                            "arguments" => found == "arguments" || found == "parameters",
                            "" => !found.is_empty(),
                            _ => found == wanted,
                        };
                        if !fits {
                            return Head::Other;
                        }
                        at += strings.byte_offset();
                        if wanted.is_empty() {
                            name = Some(found);
                        }
                    }
                    Some(Err(error)) if error.is_eof() => return Head::Unfinished,
                    None => return Head::Unfinished,
                    Some(Err(_)) => return Head::Other,
                }
            }
        }
    }
    // The brace belongs to the arguments.
    name.map_or(Head::Other, |name| Head::Call(name, at - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallFormat, CallRequest};
    use proptest::prelude::*;
    use serde_json::json;

    /// The turn as its parts say it.
    fn read(layout: &TurnLayout, pieces: &[&str], turn: &AgentTurn) -> (String, Vec<(String, String)>) {
        let mut stream = TurnStream::new(layout.clone());
        let mut deltas: Vec<TurnDelta> = pieces.iter().flat_map(|piece| stream.push(piece)).collect();
        deltas.extend(stream.finish(turn));
        let (mut text, mut calls) = (String::new(), Vec::<(String, String)>::new());
        for delta in deltas {
            match delta {
                TurnDelta::Reasoning(_) => {}
                TurnDelta::Text(more) => text.push_str(&more),
                TurnDelta::Call(name) => calls.push((name, String::new())),
                TurnDelta::Arguments(more) => calls.last_mut().unwrap().1.push_str(&more),
            }
        }
        (text, calls)
    }

    fn agrees(format: CallFormat, text: &str, cuts: &[usize]) {
        let turn = format.parse(text).unwrap_or_else(|error| AgentTurn::Malformed {
            raw: text.into(),
            error: error.to_string(),
        });
        let mut cuts: Vec<usize> = cuts
            .iter()
            .map(|at| at % (text.len() + 1))
            .filter(|at| text.is_char_boundary(*at))
            .collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
        let (said, calls) = read(&format.layout(), &pieces, &turn);
        match &turn {
            AgentTurn::Say(text) => assert_eq!((&said, calls.len()), (text, 0)),
            AgentTurn::Calls { content, calls: asked } => {
                assert_eq!(&said, content);
                let want: Vec<(String, Value)> = asked.iter().map(|c| (c.name.clone(), c.arguments.clone())).collect();
                let have: Vec<(String, Value)> = calls
                    .into_iter()
                    .map(|(n, a)| (n, serde_json::from_str(&a).unwrap()))
                    .collect();
                assert_eq!(have, want);
            }
            AgentTurn::Malformed { .. } => {}
        }
    }

    #[test]
    fn calls_come_as_they_are_written() {
        let mut stream = TurnStream::new(CallFormat::named("hermes").unwrap().layout());
        assert_eq!(stream.push("I look.\n<tool"), [TurnDelta::Text("I look.".into())]);
        assert_eq!(stream.push("_call>\n{\"name\": \"find\", \"argu"), []);
        let begun = stream.push("ments\": {\"q\": \"a}");
        assert_eq!(
            begun,
            [
                TurnDelta::Call("find".into()),
                TurnDelta::Arguments("{\"q\": \"a}".into())
            ]
        );
        assert_eq!(stream.push("\"}}\n</tool_call>"), [TurnDelta::Arguments("\"}".into())]);
        assert_eq!(stream.calls(), 1);
    }

    #[test]
    fn reasoning_is_no_text() {
        let layout = TurnLayout {
            reasons: true,
            ..CallFormat::named("hermes").unwrap().layout()
        };
        let mut stream = TurnStream::new(layout);
        assert_eq!(stream.push("so</thi"), [TurnDelta::Reasoning("so".into())]);
        assert_eq!(stream.push("nk>\n\nyes"), [TurnDelta::Text("yes".into())]);
    }

    proptest! {
        #[test]
        fn the_parts_add_up_to_the_whole(
            content in "[a-z <{\\[\n]{0,12}", name in "[a-z]{1,5}", value in "[^\u{0}-\u{1f}]{0,8}",
            n in 0usize..3, cuts in prop::collection::vec(any::<usize>(), 0..6), format in 0usize..5,
        ) {
            let format = CallFormat::ALL[format];
            let calls: Vec<_> = (0..n).map(|i| CallRequest::new(&name, json!({"v": value, "i": [i, {}]}))).collect();
            agrees(format, &format.render(&content, &calls), &cuts);
        }
    }
}
