//! Decisions that hold for later calls too.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a person decided once and for all of a run, by server and tool. Kept with the run as JSON.
///
/// They answer what a policy leaves to a person, and nothing else: a rule that rejects is not overruled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sticky {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    server: String,
    tool: String,
    /// Only calls with exactly these arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arguments: Option<Value>,
    allow: bool,
}

impl Sticky {
    /// Whether a call is allowed or refused for good. What was said of exactly these arguments goes before what was said
    /// of the tool; of two such words the later one counts.
    pub fn answer(&self, server: &str, tool: &str, arguments: &Value) -> Option<bool> {
        let of = |entry: &&Entry| entry.server == server && entry.tool == tool;
        let exact = |entry: &&Entry| entry.arguments.as_ref() == Some(arguments);
        let whole = |entry: &&Entry| entry.arguments.is_none();
        let entries = || self.entries.iter().rev().filter(of);
        entries()
            .find(exact)
            .or_else(|| entries().find(whole))
            .map(|entry| entry.allow)
    }

    /// From now on allow or refuse calls of the tool; with `arguments`, only calls with exactly these.
    pub fn remember(&mut self, server: &str, tool: &str, arguments: Option<Value>, allow: bool) {
        let same = |entry: &Entry| entry.server == server && entry.tool == tool && entry.arguments == arguments;
        self.entries.retain(|entry| !same(entry));
        self.entries.push(Entry {
            server: server.to_owned(),
            tool: tool.to_owned(),
            arguments,
            allow,
        });
    }

    /// Whether nothing was decided.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn they_hold_for_their_server_and_tool_only_and_the_exact_one_goes_first() {
        let mut sticky = Sticky::default();
        sticky.remember("a", "send", None, true);
        sticky.remember("a", "send", Some(json!({"to": "x"})), false);
        let answer = |server, tool, arguments| sticky.answer(server, tool, &arguments);
        assert_eq!(answer("a", "send", json!({"to": "y"})), Some(true));
        assert_eq!(answer("a", "send", json!({"to": "x"})), Some(false));
        assert_eq!(answer("b", "send", json!({"to": "y"})), None);
        assert_eq!(answer("a", "read", json!({})), None);
        let mut later = sticky.clone();
        later.remember("a", "send", None, false);
        assert_eq!(later.answer("a", "send", &json!({})), Some(false));
        assert_eq!(later.entries.len(), 2);
        let kept: Sticky = serde_json::from_value(serde_json::to_value(&later).unwrap()).unwrap();
        assert_eq!(kept, later);
    }
}
