//! A script in a model's place.

use crate::{Codec, Completion, Conversation, Model, ModelError, Output, Request, Script, finish_turn};
use async_trait::async_trait;
use hone_trace::{FinishReason, Origin, Timing};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A [`Script`] as a [`Model`]: its turns become tokens of origin [`Origin::Teacher`] without log-probabilities.
///
/// One instance plays one episode, as its script does.
pub struct Scripted {
    name: String,
    codec: Arc<Codec>,
    script: Mutex<Box<dyn Script>>,
}

impl Scripted {
    /// A model that says what the script says.
    pub fn new(name: impl Into<String>, script: Box<dyn Script>, codec: Arc<Codec>) -> Self {
        Self {
            name: name.into(),
            codec,
            script: Mutex::new(script),
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
        let turn = self
            .script
            .lock()
            .map_err(|_| ModelError::Unavailable(format!("the script {} crashed in an earlier turn", self.name)))?
            .next(&conversation.messages);
        let output = Output {
            ids: self.codec.render_agent(&turn),
            origin: Origin::Teacher,
            logprobs: Vec::new(),
            sampled_logprobs: Vec::new(),
            entropies: Vec::new(),
            versions: Vec::new(),
            finish: FinishReason::Stop,
            timing: Timing {
                start_us,
                duration_us: clock.elapsed().as_micros() as u64,
            },
        };
        let prompt = self.codec.prompt(conversation);
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
