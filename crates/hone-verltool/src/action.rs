//! What an action's text asks for, and how an observation is wrapped for it.

use serde_json::{Value, json};

/// Every text between two marks, the shortest first, as `re.findall(open + "(.*?)" + close)`.
pub fn between<'a>(mut text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    while let Some((_, rest)) = text.split_once(open) {
        let Some((inside, rest)) = rest.split_once(close) else {
            break;
        };
        found.push(inside);
        text = rest;
    }
    found
}

/// Every block that a fence and a word begin: ```` ```\n?WORD(.*?)``` ````.
fn fenced<'a>(mut text: &'a str, word: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    while let Some(at) = text.find("```") {
        let after = &text[at + 3..];
        let begun = after.strip_prefix('\n').unwrap_or(after).strip_prefix(word);
        match begun.and_then(|rest| rest.split_once("```")) {
            Some((inside, rest)) => {
                found.push(inside);
                text = rest;
            }
            // The next fence may begin within this one.
            None => text = &text[at + 1..],
        }
    }
    found
}

/// The first characters of a text, at most so many.
pub fn first(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}

/// The Python of an action: all blocks of the first form that occurs.
pub fn python(action: &str) -> Option<String> {
    let forms = [
        between(action, "<python>", "</python>"),
        fenced(action, "python"),
        fenced(action, "py"),
    ];
    let blocks = forms.into_iter().find(|blocks| !blocks.is_empty())?;
    let blocks: Vec<&str> = blocks.into_iter().map(str::trim).collect();
    Some(blocks.join("\n"))
}

/// The code of `<tool_call>{"name": "python", "arguments": {"code": …}}</tool_call>`.
pub fn python_call(action: &str) -> Option<String> {
    let call: Value = serde_json::from_str(between(action, "<tool_call>", "</tool_call>").first()?.trim()).ok()?;
    let code = call["arguments"]["code"].as_str()?.trim();
    (call["name"].as_str()?.trim() == "python" && !code.is_empty()).then(|| code.to_owned())
}

/// Standard input that the action brings along.
pub fn input(action: &str) -> Option<&str> {
    between(action, "```input\n", "\n```").first().map(|text| text.trim())
}

/// A call of any tool: in `<tool_call>`, or as JSON alone (`{"action": {"tool", "arguments"}}`, `{"tool", "arguments"}`).
pub fn call(action: &str) -> Option<(String, Value)> {
    let (name, arguments) = match between(action, "<tool_call>", "</tool_call>").first() {
        Some(text) => {
            let call: Value = serde_json::from_str(text.trim()).ok()?;
            (call.get("name")?.as_str()?.to_owned(), call.get("arguments").cloned())
        }
        None => {
            let whole: Value = serde_json::from_str(action).ok()?;
            let call = whole
                .get("action")
                .filter(|action| action.is_object())
                .unwrap_or(&whole);
            (call.get("tool")?.as_str()?.to_owned(), call.get("arguments").cloned())
        }
    };
    let arguments = match arguments {
        None | Some(Value::Null) => json!({}),
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Some(arguments) => arguments,
    };
    Some((name, arguments))
}

/// `python_code`'s observation (`postprocess_observation`, with the tag `result`).
pub fn result(action: &str, raw: &str) -> String {
    let closed = action.matches("```").count().is_multiple_of(2);
    if action.contains("```output") || action.contains("```python") {
        match closed {
            true => format!("\n```result\n{raw}\n```\n"),
            false => format!("\n{raw}\n```\n"),
        }
    } else if action.contains("</tool_call>") {
        format!("\n<tool_response>\n```result\n{raw}\n```\n</tool_response>\n")
    } else if action.trim_matches([' ', '\n']).ends_with("<result>") {
        format!("\n{raw}\n</result>\n")
    } else {
        format!("\n<result>\n{raw}\n</result>\n")
    }
}

/// `ipython_code`'s observation.
pub fn output(action: &str, raw: &str) -> String {
    let closed = action.matches("```").count().is_multiple_of(2);
    let asked = action.contains("<|calling system for feedback|>");
    if action.ends_with("```output") {
        format!("\n{raw}\n```\n")
    } else if action.ends_with("</tool_call>") {
        raw.to_owned()
    } else if action.ends_with("<output>") {
        format!("\n{raw}\n</output>\n")
    } else if action.contains("</python>") {
        format!("\n<output>\n{raw}\n</output>\n")
    } else if asked && action.contains("```python") {
        format!("\n```output\n{raw}\n```\n")
    } else if asked && action.contains("<python>") {
        format!("\n<output>\n{raw}\n</output>\n")
    } else if !asked && (action.trim_matches([' ', '\n']).ends_with("```") || action.contains("```python")) {
        match closed {
            true => format!("\n```output\n{raw}\n```\n"),
            false => format!("output\n{raw}\n```\n"),
        }
    } else {
        format!("\n{raw}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the patterns of `python_code.py` find, by Python's `re`.
    #[test]
    fn code_is_found_as_the_original_finds_it() {
        for (action, code) in [
            ("<python>print(1)</python> ...", Some("print(1)")),
            (
                "```python\nprint(1)\n``` and ```python\nprint(2)```",
                Some("print(1)\nprint(2)"),
            ),
            ("```\npython\nx\n```", Some("x")),
            ("```py\nx\n```", Some("x")),
            ("```<python>a</python> ... <python>b</python>```", Some("a\nb")),
            ("<python>a</python> ```python\nb\n```", Some("a")),
            ("```python\nnever closed", None),
            ("````python\nx\n```", Some("x")),
            ("<python>never closed", None),
            ("", None),
            ("no code", None),
        ] {
            assert_eq!(python(action).as_deref(), code, "{action}");
        }
        let call = r#"<tool_call>{"name": "python", "arguments": {"code": " 1+1 "}}</tool_call>"#;
        assert_eq!(python_call(call).as_deref(), Some("1+1"));
        assert_eq!(python_call(&call.replace("python", "sql")), None);
        assert_eq!(input("```python\nx\n```\n```input\n5\n6\n```"), Some("5\n6"));
    }

    /// Worked out from the branches of `postprocess_observation` in order.
    #[test]
    fn results_are_wrapped_as_the_action_is_written() {
        for (action, wrapped) in [
            ("```python\nx\n```", "\n```result\nR\n```\n"),
            ("```python\nx\n```\n```output", "\nR\n```\n"),
            (
                "<tool_call>{}</tool_call>",
                "\n<tool_response>\n```result\nR\n```\n</tool_response>\n",
            ),
            ("<python>x</python>\n<result>", "\nR\n</result>\n"),
            ("<python>x</python>", "\n<result>\nR\n</result>\n"),
        ] {
            assert_eq!(result(action, "R"), wrapped, "{action}");
        }
        assert_eq!(output("```python\nx\n```\n```output", "R"), "\nR\n```\n");
        assert_eq!(output("<python>x</python>", "R"), "\n<output>\nR\n</output>\n");
        assert_eq!(output("```python\nx\n```", "R"), "\n```output\nR\n```\n");
    }

    #[test]
    fn calls_are_read_in_both_forms() {
        let want = Some(("add".to_owned(), json!({"a": 1})));
        assert_eq!(
            call(r#"x <tool_call> {"name": "add", "arguments": {"a": 1}} </tool_call>"#),
            want
        );
        assert_eq!(call(r#"{"action": {"tool": "add", "arguments": "{\"a\": 1}"}}"#), want);
        assert_eq!(call(r#"{"tool": "add", "arguments": {"a": 1}}"#), want);
        for text in [
            "",
            "<tool_call></tool_call>",
            "<tool_call>{\"name\": 1}</tool_call>",
            "[]",
            "{}",
            "<tool_call>{",
        ] {
            assert_eq!(call(text), None, "{text}");
        }
    }
}
