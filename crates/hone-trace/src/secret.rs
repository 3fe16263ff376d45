//! Keeps keys out of the record.

use crate::Episode;
use serde_json::Value;

/// Shortest secret that is looked for, in bytes: shorter ones would take innocent words out of the record.
const SHORTEST: usize = 8;

/// Secrets by name: values that are never written.
///
/// Matched as they are, in every string of a record. Token ids are not searched: a key belongs into a header or an
/// environment variable, never into a prompt.
#[derive(Clone, Default)]
pub struct Secrets(Vec<(String, String)>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Secrets {
    /// Never writes `value`; `[NAME]` stands in its place. Values of fewer than 8 bytes are not looked for.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        if value.len() >= SHORTEST {
            self.0.push((name.into(), value));
            // A secret that holds another goes first.
            self.0.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        }
    }

    /// Never writes those either.
    pub fn extend(&mut self, others: Self) {
        for (name, value) in others.0 {
            self.add(name, value);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The episode without them, if it holds any.
    pub fn redacted(&self, episode: &Episode) -> Option<Episode> {
        if self.is_empty() {
            return None;
        }
        let mut tree = serde_json::to_value(episode).ok()?;
        // The types of what has no strings are not touched, so what was read stays readable.
        if !self.clean(&mut tree) {
            return None;
        }
        serde_json::from_value(tree).ok()
    }

    /// Whether one of them stands in these bytes, as it is.
    pub fn stand_in(&self, bytes: &[u8]) -> bool {
        let found = |secret: &[u8]| bytes.windows(secret.len()).any(|piece| piece == secret);
        self.0.iter().any(|(_, secret)| found(secret.as_bytes()))
    }

    /// Take them out of a value. Whether it held any.
    pub fn hide(&self, value: &mut Value) -> bool {
        !self.is_empty() && self.clean(value)
    }

    /// Whether there was anything to take out.
    fn clean(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => {
                let mut found = false;
                for (name, secret) in &self.0 {
                    if text.contains(secret) {
                        *text = text.replace(secret, &format!("[{name}]"));
                        found = true;
                    }
                }
                found
            }
            Value::Array(items) => items.iter_mut().fold(false, |found, item| self.clean(item) | found),
            Value::Object(fields) => {
                let mut found = false;
                for (key, mut field) in std::mem::take(fields) {
                    found |= self.clean(&mut field);
                    let mut key = Value::String(key);
                    found |= self.clean(&mut key);
                    if let Value::String(key) = key {
                        fields.insert(key, field);
                    }
                }
                found
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stream, Turn, sample};

    #[test]
    fn secrets_are_taken_out_wherever_they_stand_and_nothing_else_changes() {
        let mut secrets = Secrets::default();
        secrets.add("API_KEY", "sk-0123456789");
        secrets.add("LONG_KEY", "sk-0123456789-and-more");
        secrets.add("SHORT", "order");
        assert_eq!(format!("{secrets:?}"), r#"["LONG_KEY", "API_KEY"]"#);
        let clean = sample::episode(&Stream::new(3), "eval/0/0", 4);
        assert_eq!(secrets.redacted(&clean), None);

        let mut leaky = clean.clone();
        leaky.turns.push(Turn::User {
            text: "use sk-0123456789-and-more or sk-0123456789".into(),
        });
        leaky.tool_calls[0].arguments = serde_json::json!({"sk-0123456789": ["x", {"y": "sk-0123456789"}]});
        leaky.model_calls[1].text = "sk-0123456789".into();
        let found = secrets.redacted(&leaky).expect("redacted");
        let mut wanted = leaky;
        if let Some(Turn::User { text }) = wanted.turns.last_mut() {
            *text = "use [LONG_KEY] or [API_KEY]".into();
        }
        wanted.tool_calls[0].arguments = serde_json::json!({"[API_KEY]": ["x", {"y": "[API_KEY]"}]});
        wanted.model_calls[1].text = "[API_KEY]".into();
        assert_eq!(found, wanted);
    }
}
