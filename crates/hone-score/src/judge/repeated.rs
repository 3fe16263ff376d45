//! Recorded judges in the place of models.

use super::asked;
use async_trait::async_trait;
use hone_env::findings;
use hone_model::{AgentTurn, Completion, Conversation, Message, Model, ModelError, Request};
use hone_trace::{Episode, ModelCall};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A judge that says again what one judge of a recorded panel said to the same prompt, with the record of that call but for its price.
pub struct Repeated {
    name: String,
    replies: Arc<BTreeMap<String, Vec<ModelCall>>>,
    /// Which judge of the panel.
    seat: usize,
}

impl Repeated {
    /// The judges of these episodes, as many as sat on the largest panel. Of a prompt that was asked several times, the
    /// last replies count.
    pub fn of(name: &str, episodes: impl IntoIterator<Item = Episode>) -> Vec<Self> {
        let mut replies = BTreeMap::new();
        for episode in episodes {
            for finding in findings(&episode) {
                let call = |vote: &hone_env::Vote| episode.model_calls.get(vote.model_call as usize).cloned();
                let calls: Option<Vec<_>> = finding.votes.iter().map(call).collect();
                if let Some(calls) = calls {
                    replies.insert(asked(&finding.subject, &finding.statement), calls);
                }
            }
        }
        let seats = replies.values().map(Vec::len).max().unwrap_or(0);
        let replies = Arc::new(replies);
        let judge = |seat| Self {
            name: format!("{name}#{seat}"),
            replies: replies.clone(),
            seat,
        };
        (0..seats).map(judge).collect()
    }
}

#[async_trait]
impl Model for Repeated {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn complete(&self, conversation: &mut Conversation, request: Request) -> Result<Completion, ModelError> {
        let prompt = match conversation.messages.last() {
            Some(Message::User(prompt)) => prompt.as_str(),
            _ => "",
        };
        let call = self.replies.get(prompt).and_then(|calls| calls.get(self.seat));
        let Some(call) = call else {
            let what = "the recorded run holds no verdict on this statement about this subject";
            return Err(ModelError::Unavailable(what.to_owned()));
        };
        let mut call = call.clone();
        call.id = request.call_id;
        // Nobody pays for it again.
        if let Some(remote) = &mut call.remote {
            remote.cost_usd = None;
        }
        Ok(Completion {
            turn: AgentTurn::Say(call.text.clone()),
            call,
        })
    }
}
