//! `ragtruth`: whether a text is made up, in part.

use super::{Acts, Server, Verdict, json};
use crate::pattern::{Pattern, group};
use crate::response::Response;
use hone_python::Value;
use hone_python::text::strip;

/// The server.
pub const SERVER: Server = Server {
    name: "ragtruth",
    about: "whether `hallucination list` in the answer's JSON is empty, as it should be or not; an answer without such JSON says that it is",
    verify: |row, response, _| {
        let said = parsed(&response.output_text());
        let found = said
            .as_ref()
            .and_then(|said| said.get("hallucination list"))
            .and_then(Value::as_list)
            .is_some_and(|list| !list.is_empty());
        let wanted = row.get("is_halu").is_some_and(Value::truthy);
        let why = if said.is_none() {
            "there is no JSON"
        } else if found {
            "it names some"
        } else {
            "it names none"
        };
        Ok(Verdict::pass(found == wanted, why))
    },
    acts: Acts::UntilAnswer,
    gold: |row| {
        let list = if row.get("is_halu").is_some_and(Value::truthy) {
            r#"["this"]"#
        } else {
            "[]"
        };
        Some(Response::text(format!(r#"{{"hallucination list": {list}}}"#)))
    },
};

static PAIR: Pattern = Pattern::new(r"(?is)<think>.*?</think>");
static CLOSE: Pattern = Pattern::new(r"(?is).*</think>\s*");
static OPEN: Pattern = Pattern::new(r"(?i)<think>\s*");
static WHOLE: Pattern = Pattern::new(r"(?is)^```(?:json)?\s*\r?\n?(.*)\r?\n?```\s*$");
static INNER: Pattern = Pattern::new(r"(?is)```(?:json)?\s*\r?\n?(.*?)```");

/// The object in an answer, without thoughts and fences.
fn parsed(text: &str) -> Option<Value> {
    let text = OPEN.replaced(&CLOSE.replaced(&PAIR.replaced(text, ""), ""), "");
    let text = strip(&text);
    let inner = if !text.contains("```") {
        text
    } else if let Some(found) = WHOLE.captures(text) {
        strip(group(&found, 1))
    } else {
        INNER
            .captures(text)
            .map(|found| strip(group(&found, 1)))
            .filter(|inner| !inner.is_empty())
            .unwrap_or(text)
    };
    json(inner).filter(|value| matches!(value, Value::Dict(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_behind_thoughts_and_in_fences() {
        let list = |text: &str| parsed(text).map(|value| value.get("hallucination list").unwrap().to_string());
        for text in [
            r#"{"hallucination list": ["x"]}"#,
            "<think>{}</think>```json\n{\"hallucination list\": [\"x\"]}\n```",
            "so </think> {\"hallucination list\": [\"x\"]}",
            "Here: ```\n{\"hallucination list\": [\"x\"]}``` done",
        ] {
            assert_eq!(list(text).as_deref(), Some("['x']"), "{text}");
        }
        assert_eq!(list("[1]"), None);
        assert_eq!(list("It is: {\"hallucination list\": []}"), None);
    }
}
