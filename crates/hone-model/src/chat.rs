//! Messages, the model trait, and scripted agents.

use async_trait::async_trait;
use hone_tool::Toolset;
use hone_trace::{ModelCall, SamplingSettings, Stream, TokenId, TopToken};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// A tool call as the model asked for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRequest {
    /// Tool name.
    pub name: String,
    /// Arguments (an object), or their text where they cannot be read.
    pub arguments: Value,
    /// Why the arguments cannot be read, for the model. The other calls of the turn are none the worse for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub malformed: Option<String>,
}

impl CallRequest {
    /// A call from a name and a JSON object.
    pub fn new(name: impl Into<String>, arguments: Value) -> Self {
        Self {
            name: name.into(),
            arguments,
            malformed: None,
        }
    }

    /// The same call after a thought, as a turn.
    pub fn after(self, thought: impl Into<String>) -> AgentTurn {
        AgentTurn::Calls {
            content: thought.into(),
            calls: vec![self],
        }
    }
}

impl From<CallRequest> for AgentTurn {
    fn from(call: CallRequest) -> Self {
        call.after("")
    }
}

/// What an agent's turn says: tool calls, a final answer, or text that claims to be a call but cannot be parsed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentTurn {
    /// Calls, to be run in order.
    Calls {
        /// What the model wrote before them: its thought (ReAct, Yao et al. 2022). Usually empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        content: String,
        /// The calls; at least one.
        calls: Vec<CallRequest>,
    },
    /// A final answer.
    Say(String),
    /// Not parsable; the raw text and what is wrong with it.
    Malformed {
        /// The text as it was written.
        raw: String,
        /// What is wrong, for the model.
        error: String,
    },
}

impl AgentTurn {
    /// A turn that is one call.
    pub fn call(name: impl Into<String>, arguments: Value) -> Self {
        CallRequest::new(name, arguments).into()
    }

    /// The same calls after a thought. An answer has none and stays what it is.
    pub fn after(self, thought: impl Into<String>) -> Self {
        match self {
            Self::Calls { calls, .. } => Self::Calls {
                content: thought.into(),
                calls,
            },
            other => other,
        }
    }

    /// The calls; none for an answer and for what cannot be parsed.
    pub fn calls(&self) -> &[CallRequest] {
        match self {
            Self::Calls { calls, .. } => calls,
            Self::Say(_) | Self::Malformed { .. } => &[],
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Instructions.
    System(String),
    /// The user.
    User(String),
    /// The agent.
    Agent(AgentTurn),
    /// A tool's answer. Those after an agent's turn answer its calls, in order.
    Tool(String),
}

/// A conversation under way: its messages and the exact tokens they became.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// All messages so far.
    pub messages: Vec<Message>,
    /// How many of `messages` are already in `ids`.
    pub rendered: usize,
    /// The token sequence so far (empty for models that hide their tokens).
    pub ids: Vec<TokenId>,
    /// The tools that were offered when `ids` was last extended.
    pub tools: Option<Arc<Toolset>>,
    /// The model call that `ids` ends with.
    pub last_call: Option<u32>,
    /// What the model keeps of it, the engine's cached sequence for one, released when the last clone is dropped.
    pub cache: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

impl Conversation {
    /// Has the messages rendered anew by the next call, after they were changed.
    pub fn forget(&mut self) {
        self.rendered = 0;
        self.ids.clear();
        self.tools = None;
        self.last_call = None;
        self.cache = None;
    }
}

/// One request to a model.
#[derive(Clone, Debug)]
pub struct Request {
    /// Settings.
    pub sampling: SamplingSettings,
    /// The stream that this call's randomness comes from.
    pub stream: Stream,
    /// Id that the recorded call gets.
    pub call_id: u32,
    /// The tools that may be called, for models that must be told.
    pub tools: Arc<Toolset>,
    /// Is told of each token as it is sampled, by models with tokens.
    pub on_token: Option<OnToken>,
}

/// A token just sampled.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// Its id.
    pub id: TokenId,
    /// Its log-probability under the raw distribution, in nats.
    pub logprob: f32,
    /// The likeliest tokens in its place, if asked for.
    pub top: Vec<TopToken>,
}

/// Listens to an answer as it is sampled, on the sampler's thread: it must return at once.
#[derive(Clone)]
pub struct OnToken(pub Arc<dyn Fn(Sampled) + Send + Sync>);

impl std::fmt::Debug for OnToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnToken")
    }
}

/// A model's answer.
#[derive(Clone, Debug)]
pub struct Completion {
    /// What it says.
    pub turn: AgentTurn,
    /// The record of the call.
    pub call: ModelCall,
}

/// Why a model could not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ModelError {
    /// The conversation does not fit the context window.
    #[error(
        "the conversation has {tokens} tokens and the model's context holds {limit}; shorten observations or use a model with a longer context"
    )]
    ContextOverflow {
        /// Tokens needed.
        tokens: usize,
        /// Tokens available.
        limit: usize,
    },
    /// The endpoint says that the conversation is too long.
    #[error("the conversation does not fit the model's context: {0}")]
    TooLong(String),
    /// Its chat template does not take the conversation.
    #[error("the conversation cannot be rendered: {0}")]
    Render(String),
    /// The model does not do what was asked.
    #[error("the request cannot be served: {0}")]
    Refused(String),
    /// The model is gone.
    #[error("the model stopped answering: {0}")]
    Unavailable(String),
    /// Its weights give no probabilities.
    #[error(
        "the model `{model}` gives probabilities that are not finite numbers: its weights are broken; use an earlier checkpoint"
    )]
    NotFinite {
        /// Which model.
        model: String,
    },
}

impl ModelError {
    /// Whether the conversation is too long for the model.
    pub fn is_overflow(&self) -> bool {
        matches!(self, Self::ContextOverflow { .. } | Self::TooLong(_))
    }
}

/// Anything that continues a chat.
#[async_trait]
pub trait Model: Send + Sync {
    /// Name for the record.
    fn name(&self) -> String;

    /// Continue the conversation by one agent turn: renders the messages after `rendered`, answers, appends the answer to
    /// `messages` and `ids`, and returns it with the record of the call.
    ///
    /// # Errors
    /// When the conversation does not fit or the model is gone; the conversation is then unchanged.
    async fn complete(&self, conversation: &mut Conversation, request: Request) -> Result<Completion, ModelError>;
}

/// A program that plays the agent: expert, imperfect demonstrator, or baseline.
///
/// One instance plays one episode. It sees the same messages as a model would.
pub trait Script: Send {
    /// The next turn, given all messages so far.
    fn next(&mut self, messages: &[Message]) -> AgentTurn;
}
