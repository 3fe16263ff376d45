//! From an episode's record to what the original would have noted of the model.

use crate::Answer;
use hone_trace::{Episode, ToolCall, ToolErrorClass, Turn};

/// The model's answers, in order: the calls of a turn (in text, if it was prompted), or what it said.
///
/// A turn that cannot be read is an answer that does not decode.
pub(super) fn answers(episode: &Episode, prompted: bool) -> Vec<Answer> {
    let mut answers = vec![];
    for turn in &episode.turns {
        let Turn::Agent { model_call } = turn else { continue };
        let Some(call) = episode.model_calls.get(*model_call as usize) else {
            continue;
        };
        let mut made = episode
            .tool_calls
            .iter()
            .filter(|made| made.model_call == Some(*model_call))
            .peekable();
        if prompted {
            // Calls of tools where there are none lead to an error, which the model sees, and count for nothing else.
            if made.all(malformed) {
                answers.push(Answer::Text(call.text.clone()));
            }
        } else if made.peek().is_none() {
            answers.push(Answer::Said(call.text.clone()));
        } else {
            answers.push(Answer::Calls(made.map(asked).collect()));
        }
    }
    answers
}

fn malformed(call: &ToolCall) -> bool {
    call.error
        .as_ref()
        .is_some_and(|error| error.class == ToolErrorClass::Malformed)
}

/// A call's name, and its arguments as JSON: none where they cannot be read.
fn asked(call: &ToolCall) -> (String, String) {
    let arguments = if malformed(call) {
        String::new()
    } else {
        call.arguments.to_string()
    };
    (call.tool.clone(), arguments)
}
