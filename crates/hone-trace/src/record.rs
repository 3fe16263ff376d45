//! The types of the record.

use crate::sampling::{SamplingSettings, TopToken};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// A token id of the policy's tokenizer.
pub type TokenId = u32;

/// Kind of the event that holds how sure the agent said that it was: `value` from 0 to 1, or null; `model_call`, in which it
/// was asked.
pub const CONFIDENCE: &str = "confidence";

/// Version of the record's schema. A file with a newer one is refused.
pub const SCHEMA: u32 = 1;

/// Where a token came from. Training masks follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The policy sampled it; it has a log-probability.
    Sampled,
    /// A template or an observation put it there.
    Rendered,
    /// A demonstrator (script, person, larger model) wrote it.
    Teacher,
    /// The runtime appended it (a forced end-of-turn, a grammar's only choice).
    Forced,
}

/// A run of tokens with one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span<T> {
    /// First token of the run, relative to the call's output.
    pub start: u32,
    /// One past the last token.
    pub end: u32,
    /// What holds on it.
    pub value: T,
}

/// A call's prompt: the parent call's full sequence (its prompt and output) cut to `shared` tokens, then `new`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Number of tokens shared with the parent's prompt + output (0 without a parent).
    pub shared: u32,
    /// The ids after the shared prefix.
    pub new: Vec<TokenId>,
}

/// Which thread of an episode a model call belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lineage {
    /// The agent's main conversation.
    #[default]
    Main,
    /// A sub-agent, by name.
    SubAgent(String),
    /// A side call (title, summary, judge) that no later call continues.
    Side(String),
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It sampled its end-of-turn token.
    Stop,
    /// `max_tokens` was reached.
    Length,
    /// The context window is full.
    Context,
    /// The call was cancelled (time limit, shutdown).
    Cancelled,
    /// The model endpoint failed.
    Error,
}

/// Tokens that a remote model says it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the whole prompt, cached ones included.
    pub input: u64,
    /// Of the answer, reasoning included.
    pub output: u64,
    /// Of the prompt, those that the endpoint had cached.
    #[serde(default)]
    pub cached: u64,
    /// Of the answer, those spent on reasoning.
    #[serde(default)]
    pub reasoning: u64,
}

/// Which answer of which model it was, as the endpoint says. Excluded from the digest: a repeated call has others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The model's name as the endpoint gives it.
    pub model: String,
    /// The endpoint's id of the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Tries that it took, the last included.
    pub attempts: u32,
}

/// A message of a prompt in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptMessage {
    /// `system`, `user`, `assistant`, `tool`.
    pub role: String,
    /// Its text.
    pub text: String,
}

/// What is known of a call whose model hides its tokens: `prompt`, `output` and `origins` are then empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Remote {
    /// What the prompt adds to that of the parent call and its answer; all of it without a parent.
    pub asked: Vec<PromptMessage>,
    /// Reasoning that the model showed apart from its answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// Tokens, where the endpoint says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Price in US dollars, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Which answer it was.
    #[serde(default)]
    pub served: Served,
}

/// A picture, sound or other file, by its content.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Media {
    /// SHA-256 of the content, in hex.
    pub hash: String,
    /// Its media type, such as `image/png`.
    pub mime: String,
    /// Its length.
    pub bytes: u64,
    /// What its maker calls it: any text, not a path to write to as it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The content, on its way into the [`Store`](crate::Store), which keeps it once for all episodes. Not part of the record:
    /// what is read has none.
    #[serde(skip)]
    pub content: Option<Arc<[u8]>>,
}

impl Media {
    /// A file with its content.
    pub fn new(name: impl Into<String>, mime: impl Into<String>, content: Vec<u8>) -> Self {
        Self {
            hash: crate::digest::sha256(&content),
            mime: mime.into(),
            bytes: content.len() as u64,
            name: name.into(),
            content: Some(content.into()),
        }
    }
}

/// The hash stands for the content.
impl PartialEq for Media {
    fn eq(&self, other: &Self) -> bool {
        (&self.hash, &self.mime, self.bytes, &self.name) == (&other.hash, &other.mime, other.bytes, &other.name)
    }
}

impl Eq for Media {}

/// Where a branched episode comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkedFrom {
    /// The episode that it shares its beginning with.
    pub episode: String,
    /// The first of its own model calls.
    pub model_call: u32,
    /// The environment's snapshot that it went on from; empty where its calls were replayed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub snapshot: String,
}

/// Wall-clock facts. Excluded from the digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Start, in microseconds since the Unix epoch.
    pub start_us: u64,
    /// Duration in microseconds.
    pub duration_us: u64,
}

/// One call of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCall {
    /// Position in [`Episode::model_calls`]; the id of the call within its episode.
    pub id: u32,
    /// The call whose sequence this prompt continues.
    pub parent: Option<u32>,
    /// The call that this one repeats after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<u32>,
    /// Role in the episode: `agent`, `user`, `judge`, `executor`, …
    pub role: String,
    /// Model or policy name.
    pub policy: String,
    /// Main conversation, sub-agent or side call.
    #[serde(default)]
    pub lineage: Lineage,
    /// The prompt as reference to the parent plus what is new.
    pub prompt: Prompt,
    /// The ids of the answer.
    pub output: Vec<TokenId>,
    /// Origin of each output token, as runs.
    pub origins: Vec<Span<Origin>>,
    /// Log-probability of each output token under the model's raw distribution (nats; empty if unknown).
    #[serde(default)]
    pub logprobs: Vec<f32>,
    /// Log-probability under the distribution that was sampled from (temperature, top-p, grammar). Empty: same as raw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sampled_logprobs: Vec<f32>,
    /// Entropy in nats of the distribution that was sampled from, per token (empty if unknown).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entropies: Vec<f32>,
    /// The likeliest tokens at each place, likeliest first (empty unless [`SamplingSettings::top_logprobs`] asks).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top_logprobs: Vec<Vec<TopToken>>,
    /// Policy version that sampled each token, as runs: a partial rollout spans versions.
    #[serde(default)]
    pub versions: Vec<Span<u64>>,
    /// Settings.
    pub sampling: SamplingSettings,
    /// Why it ended.
    pub finish: FinishReason,
    /// Hash of the chat template and tool-call format.
    #[serde(default)]
    pub template: String,
    /// Hash of the grammar that constrained it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar: Option<String>,
    /// The decoded answer.
    pub text: String,
    /// What is known where the model hides its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Box<Remote>>,
    /// Wall clock.
    #[serde(default)]
    pub timing: Timing,
}

impl ModelCall {
    /// Whether it is a call of the policy, the agent that is measured: not of its user, its judge or a helper that is no
    /// part of it.
    pub fn by_policy(&self) -> bool {
        !matches!(
            self.role.as_str(),
            "user" | "judge" | "executor" | "verifier" | "generator"
        )
    }

    /// The origin of output token `index`.
    pub fn origin(&self, index: usize) -> Option<Origin> {
        let index = index as u32;
        self.origins
            .iter()
            .find(|s| s.start <= index && index < s.end)
            .map(|s| s.value)
    }

    /// Tokens of the prompt and of the answer: as recorded, or as the endpoint says where the model hides them.
    pub fn tokens(&self) -> (u64, u64) {
        match self.remote.as_ref().and_then(|remote| remote.usage) {
            Some(usage) => (usage.input, usage.output),
            None => (
                u64::from(self.prompt.shared) + self.prompt.new.len() as u64,
                self.output.len() as u64,
            ),
        }
    }

    /// Log-probability of the distribution that output token `index` was sampled from.
    pub fn sampling_logprob(&self, index: usize) -> Option<f32> {
        self.sampled_logprobs
            .get(index)
            .or_else(|| self.logprobs.get(index))
            .copied()
    }
}

/// What went wrong with a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolErrorClass {
    /// The text could not be parsed as a call.
    Malformed,
    /// No such tool.
    UnknownTool,
    /// The arguments do not fit the tool's schema.
    InvalidArguments,
    /// The approval policy said no.
    Denied,
    /// The tool ran and reported an error (no such order, out of stock).
    Tool,
    /// The tool ran, and its result is larger than the bound.
    TooLarge,
    /// The tool did not answer within its deadline.
    Timeout,
    /// The tool crashed.
    Panic,
    /// The way to the tool broke (server gone, sandbox lost).
    Infrastructure,
}

impl ToolErrorClass {
    /// Whether the policy is to blame: a call that it could have written better.
    pub fn is_policy(self) -> bool {
        matches!(
            self,
            Self::Malformed | Self::UnknownTool | Self::InvalidArguments | Self::Denied | Self::Tool | Self::TooLarge
        )
    }
}

/// A tool call's error as recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolFailure {
    /// Its class.
    pub class: ToolErrorClass,
    /// What the model was told.
    pub message: String,
}

/// What the approval policy said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Run.
    #[default]
    Allowed,
    /// Run with other arguments; see [`ToolCall::decision`].
    Modified,
    /// Refused.
    Denied,
    /// Refused, and the episode was ended for it.
    Terminated,
    /// Not run yet: somebody has to decide.
    Pending,
    /// Never asked: the call did not get that far.
    NotReached,
}

impl Approval {
    /// Whether the call was let through to its tool.
    pub fn passed(self) -> bool {
        matches!(self, Self::Allowed | Self::Modified)
    }
}

/// How a call was approved or refused, where there was a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Who decided: `rule 3`, `no rule`, `person`, `always`, `never`.
    pub by: String,
    /// What was asked, where the decision changed the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Value>,
    /// Why a person has to decide, where the policy said so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// One call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Position in [`Episode::tool_calls`].
    pub id: u32,
    /// The model call that asked for it.
    pub model_call: Option<u32>,
    /// The text as the model wrote it, kept whatever happens.
    pub raw: String,
    /// Tool name (empty when the text could not be parsed).
    pub tool: String,
    /// Tool version.
    #[serde(default)]
    pub tool_version: String,
    /// Arguments as canonical JSON (`null` when the text could not be parsed).
    pub arguments: Value,
    /// Approval.
    pub approval: Approval,
    /// Who approved or refused it, where there was a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Box<Decision>>,
    /// Result data (`null` on error).
    #[serde(default)]
    pub result: Value,
    /// The text shown to the model.
    pub shown: String,
    /// Error, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ToolFailure>,
    /// State hash before and after, where the environment has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_before: Option<String>,
    /// See `state_before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_after: Option<String>,
    /// Files of the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// Id of a snapshot of the environment that was kept after the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Whether the result came from a recording. Excluded from the digest: a replayed run is the same run.
    #[serde(default)]
    pub replayed: bool,
    /// Wall clock.
    #[serde(default)]
    pub timing: Timing,
}

/// One entry of the conversation, in order. Text of the agent's answers and tool results is in the calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum Turn {
    /// The system message.
    System { text: String },
    /// The user's message.
    User { text: String },
    /// The agent's answer: a model call.
    Agent { model_call: u32 },
    /// A tool's answer: a tool call.
    Tool { tool_call: u32 },
}

/// Why an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The agent gave its final answer.
    Answered,
    /// The environment said that it is over.
    Terminal,
    /// The bound on turns was reached.
    MaxTurns,
    /// The bound on tool calls was reached.
    MaxCalls,
    /// The bound on failed tool calls was reached.
    MaxErrors,
    /// The bound on tokens was reached.
    MaxTokens,
    /// The context window is full.
    ContextOverflow,
    /// The bound on time was reached.
    Deadline,
    /// A malformed turn ended it (where the taskset says so).
    Malformed,
    /// The approval policy ended it because of a call.
    Terminated,
    /// A call waits for somebody's decision; the episode goes on from there.
    Pending,
    /// A tool failed for reasons that are not the policy's.
    ToolFailure,
    /// The model endpoint failed.
    ModelFailure,
    /// The environment failed.
    EnvironmentFailure,
    /// The run was stopped.
    Cancelled,
}

/// Whether an episode may count, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// Success.
    Ok,
    /// The policy's own failure; counts as reward.
    PolicyFailed,
    /// Not the policy's: never enters a statistic.
    InfraFailed {
        /// Which part failed and how.
        cause: String,
    },
}

/// Named numbers from one scorer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Scorer name.
    pub scorer: String,
    /// Scorer version.
    pub version: String,
    /// Hash of the scorer's settings.
    pub hash: String,
    /// The total, in the scorer's own range (usually 0 to 1).
    pub value: f64,
    /// Its named parts.
    pub parts: Vec<ScorePart>,
}

/// One named number of a [`Score`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScorePart {
    /// Name, such as `state` or `said`.
    pub name: String,
    /// Value.
    pub value: f64,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Something worth knowing that is neither a model nor a tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Kind, such as `malformed_turn`, `truncated_observation`.
    pub kind: String,
    /// Detail.
    pub detail: Value,
}

/// The full record of one agent run on one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// [`SCHEMA`] at the time of writing.
    pub schema: u32,
    /// Unique within its run, and the same for the same seed: `phase/group/sample`.
    pub id: String,
    /// Phase of the run: `eval/before/greedy`, `rl/12`, …
    pub phase: String,
    /// Taskset name.
    pub taskset: String,
    /// Task id within the taskset.
    pub task: String,
    /// Kind of task, for breakdowns.
    pub task_kind: String,
    /// Group of rollouts of the same task, within the phase.
    pub group: u64,
    /// Index within the group.
    pub sample: u32,
    /// Episode seed.
    pub seed: u64,
    /// Harness name.
    pub harness: String,
    /// Policy or script name.
    pub policy: String,
    /// Where it branched off from another episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
    /// The conversation.
    pub turns: Vec<Turn>,
    /// Model calls.
    pub model_calls: Vec<ModelCall>,
    /// Tool calls.
    pub tool_calls: Vec<ToolCall>,
    /// Events.
    #[serde(default)]
    pub events: Vec<Event>,
    /// How it ended.
    pub end: EndReason,
    /// Whether it counts.
    pub outcome: Outcome,
    /// Hash of the final state, where the environment has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_state: Option<String>,
    /// Scores.
    pub scores: Vec<Score>,
    /// The reward that training uses: the weighted composition of scores. `None` when the outcome is `infra_failed`.
    pub reward: Option<f64>,
    /// Wall clock.
    #[serde(default)]
    pub timing: Timing,
}

impl Episode {
    /// Full token sequence (prompt and output) of a model call, following its parents.
    ///
    /// `None` if a parent is missing or a shared prefix is longer than its parent's sequence: a foreign or damaged record.
    pub fn sequence(&self, call: u32) -> Option<Vec<TokenId>> {
        let mut chain = Vec::new();
        let mut next = Some(call);
        while let Some(id) = next {
            let call = self.model_calls.get(id as usize)?;
            if chain.len() >= self.model_calls.len() || call.parent.is_some_and(|p| p >= id) {
                return None;
            }
            chain.push(call);
            next = call.parent;
        }
        let mut ids: Vec<TokenId> = Vec::new();
        for call in chain.iter().rev() {
            let shared = call.prompt.shared as usize;
            if shared > ids.len() {
                return None;
            }
            ids.truncate(shared);
            ids.extend_from_slice(&call.prompt.new);
            ids.extend_from_slice(&call.output);
        }
        Some(ids)
    }

    /// The role of who made a tool call: that of the model call that asked; the agent's where none did.
    pub fn caller(&self, call: &ToolCall) -> &str {
        let asked = call.model_call.and_then(|id| self.model_calls.get(id as usize));
        asked.map_or("agent", |call| &call.role)
    }

    /// How sure the agent said that it was, 0 to 1; `None` where it was not asked or what it said is no such number.
    pub fn confidence(&self) -> Option<f64> {
        let stated = self.events.iter().find(|event| event.kind == CONFIDENCE)?;
        let value = stated.detail.get("value")?.as_f64()?;
        (0.0..=1.0).contains(&value).then_some(value)
    }

    /// Whether the agent was to say how sure it is.
    pub fn wants_confidence(&self) -> bool {
        self.events.iter().any(|event| event.kind == CONFIDENCE)
    }

    /// The episode without its calls, which others keep in places of their own.
    pub(crate) fn without_calls(&self) -> Self {
        Self {
            schema: self.schema,
            id: self.id.clone(),
            phase: self.phase.clone(),
            taskset: self.taskset.clone(),
            task: self.task.clone(),
            task_kind: self.task_kind.clone(),
            group: self.group,
            sample: self.sample,
            seed: self.seed,
            harness: self.harness.clone(),
            policy: self.policy.clone(),
            turns: self.turns.clone(),
            model_calls: Vec::new(),
            tool_calls: Vec::new(),
            events: self.events.clone(),
            end: self.end,
            outcome: self.outcome.clone(),
            final_state: self.final_state.clone(),
            scores: self.scores.clone(),
            reward: self.reward,
            timing: self.timing,
            forked_from: self.forked_from.clone(),
        }
    }

    /// Whether the episode succeeded.
    pub fn succeeded(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// Whether the episode may enter a statistic.
    pub fn counts(&self) -> bool {
        !matches!(self.outcome, Outcome::InfraFailed { .. })
    }

    /// Number of tokens that the policy sampled; those of a simulated user, a judge or a helper are not its.
    pub fn sampled_tokens(&self) -> u64 {
        self.sampled_from(0)
    }

    /// The same without those that it shares with the episode that it was forked from.
    pub fn own_sampled_tokens(&self) -> u64 {
        self.sampled_from(self.forked_from.as_ref().map_or(0, |fork| fork.model_call))
    }

    fn sampled_from(&self, first: u32) -> u64 {
        self.model_calls
            .iter()
            .filter(|call| call.id >= first)
            .filter(|call| call.by_policy())
            .flat_map(|c| &c.origins)
            .filter(|s| s.value == Origin::Sampled)
            .map(|s| u64::from(s.end.saturating_sub(s.start)))
            .sum()
    }
}
