//! How messages are laid out as text: data, not code.

use serde::{Deserialize, Serialize};

/// The chat format: what stands before each kind of message, before a tool call, and after everything.
///
/// A message is its role's prefix, its content, and [`end`](Self::end). Prefixes may be several tokens
/// (`<|im_start|>user\n`); `end` and `pad` are one special token each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatFormat {
    /// Before a system message.
    pub system: String,
    /// Before a user message.
    pub user: String,
    /// Before an agent turn: the generation prompt.
    pub agent: String,
    /// Before a tool's answer.
    pub tool: String,
    /// Before the JSON of a tool call, within an agent turn.
    pub call: String,
    /// After every message: the token that ends a turn.
    pub end: String,
    /// Fills batches; never part of a conversation.
    pub pad: String,
    /// Whether a turn may hold several calls, each after its own [`call`](Self::call). Otherwise a second one makes the
    /// turn malformed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub several_calls: bool,
}

impl ChatFormat {
    /// The nano base's format: one special token for each part.
    pub fn nano() -> Self {
        Self {
            system: "<|system|>".into(),
            user: "<|user|>".into(),
            agent: "<|agent|>".into(),
            tool: "<|tool|>".into(),
            call: "<|call|>".into(),
            end: "<|end|>".into(),
            pad: "<|pad|>".into(),
            several_calls: false,
        }
    }

    /// All parts, in a fixed order.
    pub fn parts(&self) -> [&str; 7] {
        [
            &self.system,
            &self.user,
            &self.agent,
            &self.tool,
            &self.call,
            &self.end,
            &self.pad,
        ]
    }

    /// The same format as a Jinja chat template for Hugging Face `transformers`, which takes messages of roles `system`,
    /// `user`, `assistant` (with `content`, `tool_calls` of which only the first is rendered where a turn holds one, or both) and `tool`.
    pub fn jinja(&self) -> String {
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let [system, user, agent, tool, call, end, _] = self.parts().map(quote);
        let (each, done) = if self.several_calls {
            (
                "{%- for c in m['tool_calls'] -%}{%- set f = c['function'] -%}",
                "{%- endfor -%}",
            )
        } else {
            ("{%- set f = m['tool_calls'][0]['function'] -%}", "")
        };
        format!(
            "{{%- for m in messages -%}}\
             {{%- if m['role'] == 'assistant' -%}}\
             {{{{- {agent} -}}}}\
             {{%- if m['content'] -%}}{{{{- m['content'] -}}}}{{%- endif -%}}\
             {{%- if m['tool_calls'] -%}}\
             {each}\
             {{%- set a = f['arguments'] -%}}\
             {{{{- {call} + '{{\"name\":' + f['name'] | tojson + ',\"arguments\":' -}}}}\
             {{{{- a if a is string else a | tojson(separators=(',', ':'), sort_keys=true) -}}}}\
             {{{{- '}}' -}}}}\
             {done}\
             {{%- endif -%}}\
             {{%- else -%}}\
             {{{{- {{'system': {system}, 'user': {user}, 'tool': {tool}}}[m['role']] + m['content'] -}}}}\
             {{%- endif -%}}\
             {{{{- {end} -}}}}\
             {{%- endfor -%}}\
             {{%- if add_generation_prompt -%}}{{{{- {agent} -}}}}{{%- endif -%}}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jinja_template_is_the_one_that_was_checked_against_jinja2() {
        assert_eq!(
            ChatFormat::nano().jinja(),
            concat!(
                "{%- for m in messages -%}{%- if m['role'] == 'assistant' -%}{{- \"<|agent|>\" -}}",
                "{%- if m['content'] -%}{{- m['content'] -}}{%- endif -%}",
                "{%- if m['tool_calls'] -%}{%- set f = m['tool_calls'][0]['function'] -%}{%- set a = f['arguments'] -%}",
                "{{- \"<|call|>\" + '{\"name\":' + f['name'] | tojson + ',\"arguments\":' -}}",
                "{{- a if a is string else a | tojson(separators=(',', ':'), sort_keys=true) -}}{{- '}' -}}",
                "{%- endif -%}{%- else -%}",
                "{{- {'system': \"<|system|>\", 'user': \"<|user|>\", 'tool': \"<|tool|>\"}[m['role']] + m['content'] -}}",
                "{%- endif -%}{{- \"<|end|>\" -}}{%- endfor -%}",
                "{%- if add_generation_prompt -%}{{- \"<|agent|>\" -}}{%- endif -%}",
            )
        );
    }
}
