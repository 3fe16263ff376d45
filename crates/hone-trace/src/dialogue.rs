//! An episode as the messages that other programs know: who said what, with the calls beside the text.

use crate::{Episode, ModelCall, ToolCall, Turn};

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub enum Said<'a> {
    /// Instructions.
    System(&'a str),
    /// The user.
    User(&'a str),
    /// The agent: its text without the calls, and the calls.
    Agent {
        /// The model call that it is.
        model_call: &'a ModelCall,
        /// What it said besides.
        text: &'a str,
        /// What it called.
        calls: Vec<&'a ToolCall>,
    },
    /// A tool's answer.
    Tool(&'a ToolCall),
}

impl Episode {
    /// The conversation, in order. Turns that refer to no call of the record are left out.
    pub fn dialogue(&self) -> Vec<Said<'_>> {
        let mut calls: Vec<Vec<&ToolCall>> = vec![Vec::new(); self.model_calls.len()];
        for call in &self.tool_calls {
            if let Some(of) = call.model_call.and_then(|id| calls.get_mut(id as usize)) {
                of.push(call);
            }
        }
        self.turns
            .iter()
            .filter_map(|turn| {
                Some(match turn {
                    Turn::System { text } => Said::System(text),
                    Turn::User { text } => Said::User(text),
                    Turn::Agent { model_call } => {
                        let model_call = self.model_calls.get(*model_call as usize)?;
                        let calls = std::mem::take(calls.get_mut(model_call.id as usize)?);
                        let text = model_call.text_beside(&calls);
                        Said::Agent {
                            model_call,
                            text,
                            calls,
                        }
                    }
                    Turn::Tool { tool_call } => Said::Tool(self.tool_calls.get(*tool_call as usize)?),
                })
            })
            .collect()
    }
}

impl ModelCall {
    /// The text of the answer without the calls that it makes: what stands before the first, less the marker (`<…>`) in
    /// between. All of it where no call is written in it.
    pub fn text_beside(&self, calls: &[&ToolCall]) -> &str {
        if calls.is_empty() {
            return self.text.trim();
        }
        let raws = calls.iter().map(|call| call.raw.trim()).filter(|raw| !raw.is_empty());
        let starts = raws.filter_map(|raw| self.text.find(raw));
        let Some(at) = starts.min().or_else(|| self.text.find("{\"name\"")) else {
            return self.text.trim();
        };
        let before = self.text[..at].trim_end();
        match before.strip_suffix('>').and_then(|rest| rest.rfind('<')) {
            Some(marker) => before[..marker].trim(),
            None => before.trim(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Said, Stream, sample};

    #[test]
    fn text_and_calls_are_told_apart() {
        let mut episode = sample::episode(&Stream::new(3), "eval/0/0", 2);
        let raw = episode.tool_calls[0].raw.clone();
        let text = |episode: &mut crate::Episode, text: &str| {
            episode.model_calls[0].text = text.into();
            let call = &episode.tool_calls[0];
            episode.model_calls[0].text_beside(&[call]).to_owned()
        };
        assert_eq!(text(&mut episode, &format!("look first<|call|>{raw}")), "look first");
        assert_eq!(
            text(&mut episode, &format!("1 < 2 \n<tool_call>\n{raw}\n</tool_call>")),
            "1 < 2"
        );
        assert_eq!(text(&mut episode, "<|call|>{\"name\":\"a\"}"), "");
        assert_eq!(
            text(&mut episode, "the call came beside the text"),
            "the call came beside the text"
        );
        assert_eq!(episode.model_calls[1].text_beside(&[]), episode.model_calls[1].text);
        let said = episode.dialogue();
        assert_eq!(said.len(), episode.turns.len());
        assert!(matches!(&said[2], Said::Agent { calls, .. } if calls.len() == 1));
        assert!(matches!(said[3], Said::Tool(_)));
    }
}
