//! The conversation as the endpoint knows it.

use super::names::Names;
use crate::{AgentTurn, CallRequest, Conversation, Message};
use hone_wire::{Assistant, Part, ToolCall};
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};

/// The messages as they are sent: with the endpoint's own ids of calls, its reasoning and signatures. Kept in
/// [`Conversation::cache`] and only ever extended; made anew from the words where it is not there.
#[derive(Clone, Debug, Default)]
pub(super) struct Transcript {
    pub messages: Vec<hone_wire::Message>,
    /// Ids of the last answer's calls that no tool has answered yet.
    open: VecDeque<String>,
    /// All ids of calls.
    ids: BTreeSet<String>,
}

impl Transcript {
    /// The conversation up to its last message, ready to be sent.
    pub fn of(conversation: &Conversation, names: &Names) -> Self {
        let kept = conversation
            .cache
            .as_ref()
            .and_then(|cache| cache.downcast_ref::<Self>());
        let (mut transcript, from) = match kept {
            Some(kept) => (kept.clone(), conversation.rendered),
            None => (Self::default(), 0),
        };
        for message in conversation.messages.get(from..).unwrap_or_default() {
            transcript.add(message, names);
        }
        transcript.settle();
        transcript
    }

    fn add(&mut self, message: &Message, names: &Names) {
        match message {
            Message::Tool(text) => match self.open.pop_front() {
                Some(call_id) => self.messages.push(hone_wire::Message::Tool {
                    call_id,
                    text: text.clone(),
                    is_error: text.starts_with(hone_tool::ERROR),
                }),
                // What it answers was no call.
                None => self.messages.push(hone_wire::Message::user(text)),
            },
            Message::System(text) => {
                self.settle();
                self.messages.push(hone_wire::Message::system(text));
            }
            Message::User(text) => {
                self.settle();
                self.messages.push(hone_wire::Message::user(text));
            }
            Message::Agent(turn) => self.answered(self.assistant(turn, names)),
        }
    }

    /// A turn without the endpoint's own words for it.
    fn assistant(&self, turn: &AgentTurn, names: &Names) -> Assistant {
        let (text, calls) = match turn {
            AgentTurn::Calls { content, calls } => (content, &calls[..]),
            AgentTurn::Say(text) | AgentTurn::Malformed { raw: text, .. } => (text, &[][..]),
        };
        let call = |(at, call): (usize, &CallRequest)| {
            let arguments = match &call.arguments {
                Value::String(raw) if call.malformed.is_some() => raw.clone(),
                arguments => arguments.to_string(),
            };
            let id = format!("call_{}", self.ids.len() + at);
            Part::Call(ToolCall::new(id, names.sent(&call.name), arguments))
        };
        let text = (!text.is_empty()).then(|| Part::Text { text: text.clone() });
        Assistant {
            parts: text.into_iter().chain(calls.iter().enumerate().map(call)).collect(),
        }
    }

    /// Adds an answer. Ids of calls that occurred before are changed: an id must lead to one call.
    pub fn answered(&mut self, mut answer: Assistant) {
        self.settle();
        for part in &mut answer.parts {
            if let Part::Call(call) = part {
                let given = call.id.clone();
                let mut copies = (2..).map(|n| format!("{given}-{n}"));
                while !self.ids.insert(call.id.clone()) {
                    call.id = copies.next().unwrap_or_default();
                }
                self.open.push_back(call.id.clone());
            }
        }
        if !answer.parts.is_empty() {
            self.messages.push(hone_wire::Message::Assistant(answer));
        }
    }

    /// Takes the calls that nobody answered out of the last answer: servers refuse a call without its result. An answer
    /// that then says nothing goes as a whole.
    fn settle(&mut self) {
        let open: BTreeSet<String> = self.open.drain(..).collect();
        let last = self
            .messages
            .iter_mut()
            .rposition(|m| matches!(m, hone_wire::Message::Assistant(_)));
        if let Some(at) = last
            && let Some(hone_wire::Message::Assistant(answer)) = self.messages.get_mut(at)
        {
            answer
                .parts
                .retain(|part| !matches!(part, Part::Call(call) if open.contains(&call.id)));
            let says = |part: &Part| match part {
                Part::Text { text } => !text.is_empty(),
                Part::Call(_) => true,
                Part::Reasoning { .. } | Part::Redacted { .. } => false,
            };
            if !answer.parts.iter().any(says) {
                self.messages.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn names() -> Names {
        Names::of(["get.order", "pay"].into_iter())
    }

    /// The messages as JSON, short: role and what is in it.
    fn sent(transcript: &Transcript) -> Value {
        let short = |message: &hone_wire::Message| match message {
            hone_wire::Message::System { text } => json!(["system", text]),
            hone_wire::Message::User { text } => json!(["user", text]),
            hone_wire::Message::Tool {
                call_id,
                text,
                is_error,
            } => json!(["tool", call_id, text, is_error]),
            hone_wire::Message::Assistant(said) => {
                let calls: Vec<_> = said.calls().map(|c| json!([c.id, c.name, c.arguments.raw])).collect();
                json!(["assistant", said.text(), said.reasoning(), calls])
            }
        };
        transcript.messages.iter().map(short).collect()
    }

    /// A conversation after an answer with that text and calls of these ids.
    fn asked(text: &str, ids: &[&str]) -> Conversation {
        let mut conversation = Conversation {
            messages: vec![Message::User("hi".into())],
            ..Conversation::default()
        };
        let mut transcript = Transcript::of(&conversation, &names());
        let reasoning = Part::Reasoning {
            text: "hm".into(),
            signature: Some("proof".into()),
        };
        let text = (!text.is_empty()).then(|| Part::Text { text: text.into() });
        let calls = ids
            .iter()
            .map(|id| Part::Call(ToolCall::new(*id, "get_order", "{\"id\": 1}")));
        let parts = std::iter::once(reasoning).chain(text).chain(calls).collect();
        transcript.answered(Assistant { parts });
        let call = CallRequest::new("get.order", json!({"id": 1}));
        let turn = AgentTurn::Calls {
            content: String::new(),
            calls: vec![call; ids.len()],
        };
        conversation.messages.push(Message::Agent(turn));
        conversation.rendered = conversation.messages.len();
        conversation.cache = Some(Arc::new(transcript));
        conversation
    }

    #[test]
    fn answers_find_their_calls_and_the_endpoints_own_words_stay() {
        let mut conversation = asked("so", &["a", "b"]);
        conversation.messages.push(Message::Tool("one".into()));
        conversation.messages.push(Message::Tool("error: two".into()));
        let expected = json!([
            ["user", "hi"],
            [
                "assistant",
                "so",
                "hm",
                [["a", "get_order", "{\"id\": 1}"], ["b", "get_order", "{\"id\": 1}"]]
            ],
            ["tool", "a", "one", false],
            ["tool", "b", "error: two", true],
        ]);
        assert_eq!(sent(&Transcript::of(&conversation, &names())), expected);
        // Asking again changes nothing, and without the cache all is made from the words.
        assert_eq!(sent(&Transcript::of(&conversation, &names())), expected);
        conversation.forget();
        let anew = json!([
            ["user", "hi"],
            [
                "assistant",
                "",
                "",
                [
                    ["call_0", "get_order", "{\"id\":1}"],
                    ["call_1", "get_order", "{\"id\":1}"]
                ]
            ],
            ["tool", "call_0", "one", false],
            ["tool", "call_1", "error: two", true],
        ]);
        assert_eq!(sent(&Transcript::of(&conversation, &names())), anew);
    }

    #[test]
    fn calls_that_nobody_answered_are_dropped_and_no_message_is_left_empty() {
        let mut conversation = asked("", &["a", "b"]);
        conversation.messages.push(Message::Tool("one".into()));
        conversation.messages.push(Message::User("go on".into()));
        let expected = json!([
            ["user", "hi"],
            ["assistant", "", "hm", [["a", "get_order", "{\"id\": 1}"]]],
            ["tool", "a", "one", false],
            ["user", "go on"],
        ]);
        assert_eq!(sent(&Transcript::of(&conversation, &names())), expected);
        for (text, left) in [
            ("so", json!([["user", "hi"], ["assistant", "so", "hm", []]])),
            ("", json!([["user", "hi"]])),
        ] {
            assert_eq!(sent(&Transcript::of(&asked(text, &["a"]), &names())), left);
        }
    }

    #[test]
    fn an_id_that_comes_again_gets_another_name() {
        let mut conversation = asked("", &["call_0", "call_0"]);
        conversation
            .messages
            .extend(["one", "two"].map(|text| Message::Tool(text.into())));
        let mut transcript = Transcript::of(&conversation, &names());
        transcript.answered(Assistant {
            parts: vec![Part::Call(ToolCall::new("call_0", "pay", "{"))],
        });
        let ids = transcript.messages.iter().filter_map(|message| match message {
            hone_wire::Message::Assistant(said) => Some(said.calls().map(|call| call.id.as_str()).collect::<Vec<_>>()),
            _ => None,
        });
        assert_eq!(ids.collect::<Vec<_>>(), [vec!["call_0", "call_0-2"], vec!["call_0-3"]]);
    }

    #[test]
    fn turns_of_other_models_are_said_in_words() {
        let conversation = Conversation {
            messages: vec![
                Message::System("be brief".into()),
                Message::User("hi".into()),
                Message::Agent(AgentTurn::Malformed {
                    raw: "<call>".into(),
                    error: "no JSON".into(),
                }),
                Message::Tool("error: no JSON".into()),
                Message::Agent(AgentTurn::Calls {
                    content: "now".into(),
                    calls: vec![CallRequest {
                        name: "pay".into(),
                        arguments: json!("{\"x\""),
                        malformed: Some("cut".into()),
                    }],
                }),
                Message::Tool("error: pay: cut".into()),
                Message::Agent(AgentTurn::Say(String::new())),
                Message::User("and?".into()),
            ],
            ..Conversation::default()
        };
        let expected = json!([
            ["system", "be brief"],
            ["user", "hi"],
            ["assistant", "<call>", "", []],
            ["user", "error: no JSON"],
            ["assistant", "now", "", [["call_0", "pay", "{\"x\""]]],
            ["tool", "call_0", "error: pay: cut", true],
            ["user", "and?"],
        ]);
        assert_eq!(sent(&Transcript::of(&conversation, &names())), expected);
    }
}
