//! A script in a model's place.

use crate::{
    AgentTurn, Completion, Conversation, Message, Model, ModelError, Output, Request, Script, TokenCodec, finish_turn,
};
use async_trait::async_trait;
use hone_trace::{FinishReason, Origin, Timing};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The next turn after these messages.
type Next = dyn FnMut(&[Message]) -> Result<AgentTurn, ModelError> + Send;

/// A [`Script`] as a [`Model`]: its turns become tokens of origin [`Origin::Teacher`] without log-probabilities.
///
/// One instance plays one episode, as its script does.
pub struct Scripted {
    name: String,
    codec: Arc<dyn TokenCodec>,
    next: Mutex<Box<Next>>,
}

impl Scripted {
    /// A model that says what the script says.
    pub fn new(name: impl Into<String>, mut script: Box<dyn Script>, codec: Arc<dyn TokenCodec>) -> Self {
        Self {
            name: name.into(),
            codec,
            next: Mutex::new(Box::new(move |messages| Ok(script.next(messages)))),
        }
    }

    /// A model that says these turns, whatever it is told. After the last one it stops answering, and says why.
    pub fn turns(
        name: impl Into<String>,
        turns: Vec<AgentTurn>,
        end: impl Into<String>,
        codec: Arc<dyn TokenCodec>,
    ) -> Self {
        let (mut turns, end) = (turns.into_iter(), end.into());
        Self {
            name: name.into(),
            codec,
            next: Mutex::new(Box::new(move |_| {
                turns.next().ok_or_else(|| ModelError::Unavailable(end.clone()))
            })),
        }
    }
}

#[async_trait]
impl Model for Scripted {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn complete(&self, conversation: &mut Conversation, request: Request) -> Result<Completion, ModelError> {
        let clock = Instant::now();
        let start_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as u64);
        let turn = {
            let crashed = || format!("the script {} crashed in an earlier turn", self.name);
            let mut next = self.next.lock().map_err(|_| ModelError::Unavailable(crashed()))?;
            next(&conversation.messages)?
        };
        let output = Output {
            ids: self.codec.answer(conversation, &request.tools, &turn)?,
            origin: Origin::Teacher,
            forced: Vec::new(),
            logprobs: Vec::new(),
            sampled_logprobs: Vec::new(),
            entropies: Vec::new(),
            top_logprobs: Vec::new(),
            grammar: None,
            versions: Vec::new(),
            finish: FinishReason::Stop,
            timing: Timing {
                start_us,
                duration_us: clock.elapsed().as_micros() as u64,
            },
        };
        let prompt = self.codec.extend(conversation, &request.tools)?;
        Ok(finish_turn(
            &self.codec,
            conversation,
            &request,
            &self.name,
            prompt,
            output,
        ))
    }
}
