//! What a part of a method may do at each stage.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::terms::Slope;
use super::{Advantage, Channel, Clip, Dropped, Method, Rollout, StageError, TokenAdvantages, TrainRow};

/// A part of a method. Every function stands for a stage, in their order here, and does nothing unless the part says otherwise.
///
/// A part is plain settings: it keeps no state but what it leaves in a [`Memory`], draws random numbers only from streams that its settings and the step name, and panics for no
/// input.
pub trait Part: fmt::Debug + Send + Sync {
    /// Checks the settings, by themselves and against the rest of `method`. `at` is the part's key, such as `parts.roc`.
    fn validate(&self, method: &Method, at: &str) -> Result<(), StageError> {
        let _ = (method, at);
        Ok(())
    }

    /// What the record or the trainer must supply.
    fn needs(&self) -> &'static [Need] {
        &[]
    }

    /// `select`: why a valid rollout takes no part in the statistics; it is still shown to [`rows`](Self::rows).
    fn aside(&self, rollout: &Rollout) -> Option<String> {
        let _ = rollout;
        None
    }

    /// Whether [`value`](Self::value) gives something.
    fn gives_value(&self) -> bool {
        false
    }

    /// `reward`: a number that [`Reward`](super::Reward)'s terms can name by the part's name.
    fn value(&self, rollout: &Rollout) -> Result<f64, StageError> {
        let _ = rollout;
        Ok(0.0)
    }

    /// Whether it reads the reward part of that name itself.
    fn reads(&self, value: &str) -> bool {
        let _ = value;
        false
    }

    /// `filter`: what becomes of each rollout; `None` if the part filters nothing. All rewards are set.
    fn filter(&self, rollouts: &[Rollout], context: &Context<'_>) -> Result<Option<Vec<Verdict>>, StageError> {
        let _ = (rollouts, context);
        Ok(None)
    }

    /// `advantage`: changes the advantages of all tokens, and may clear masks. Returns figures for the report; `None` if it changes nothing.
    fn advantage(
        &self,
        rollouts: &mut [Rollout],
        advantages: &mut TokenAdvantages,
        context: &Context<'_>,
    ) -> Result<Option<Value>, StageError> {
        let _ = (rollouts, advantages, context);
        Ok(None)
    }

    /// `rows`: drops rows, or adds rows in a channel of their own. Returns a table of figures for the report; `None` if it does nothing.
    fn rows(&self, rows: &mut RowStage<'_>) -> Result<Option<Value>, StageError> {
        let _ = rows;
        Ok(None)
    }

    /// Whether a task's rollouts so far, by their rewards in order, are all that this part asks for; `None` if it does not say.
    /// Training then plays no more of them.
    fn enough(&self, rewards: &[f64]) -> Option<bool> {
        let _ = rewards;
        None
    }

    /// Whether [`later`](Self::later) does something.
    fn keeps(&self) -> bool {
        false
    }

    /// After `rows`: what the part keeps for later steps, and rows of earlier steps that are learnt from after this one's. `memory` is what it left
    /// there at the last step, null at first.
    fn later(&self, memory: &mut Value, stage: &LaterStage<'_>) -> Result<Later, StageError> {
        let _ = (memory, stage);
        Ok(Later::default())
    }

    /// Whether [`terms`](Self::terms) does something.
    fn changes_terms(&self) -> bool {
        false
    }

    /// `objective`: changes what the loss of each token is made of. `terms` is aligned with the batch's rows and their tokens. What it reads of
    /// the policy now counts as constant.
    fn terms(&self, batch: &Batch<'_>, terms: &mut [Vec<Term>]) -> Result<(), StageError> {
        let _ = (batch, terms);
        Ok(())
    }
}

/// A [`Part`] that can stand in a table of settings.
pub trait PartType: Part + Serialize + DeserializeOwned + 'static {
    /// Its name: a key of `parts`.
    const NAME: &'static str;
    /// What it does, in a sentence.
    const ABOUT: &'static str;
}

/// Something that a part reads and that not every source of rollouts has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Log-probabilities of the whole batch before its loss ([`BatchObjective::observe`](super::BatchObjective::observe)).
    Scores,
    /// Entropies now of the whole batch, too.
    Entropy,
    /// Log-probabilities by the reference model at the loss.
    Reference,
    /// The same before the reward is summed.
    ReferenceFirst,
    /// Turn numbers of tokens ([`Row::turns`](super::Row::turns)).
    Turns,
    /// What the agent saw before each turn ([`AgentStep::anchor`](super::AgentStep::anchor)).
    Anchors,
    /// Rewards of single steps ([`AgentStep::reward`](super::AgentStep::reward)).
    StepRewards,
    /// Which actions were valid ([`AgentStep::valid`](super::AgentStep::valid)).
    ValidActions,
    /// Checklists of steps ([`AgentStep::checks`](super::AgentStep::checks)).
    Checks,
    /// Forked rollouts ([`Rollout::parent`]).
    Tree,
    /// Rollouts of paired prompts ([`Rollout::variant`]).
    Variants,
    /// How sure the agent said that it was: the reward part `confidence`.
    Confidence,
}

impl Need {
    /// In words.
    pub fn about(self) -> &'static str {
        match self {
            Self::Scores => "the log-probabilities of the whole batch",
            Self::Entropy => "the entropies of the whole batch",
            Self::Reference | Self::ReferenceFirst => "log-probabilities by a reference model",
            Self::Turns => "turn numbers of tokens",
            Self::Anchors => "what the agent saw before each turn",
            Self::StepRewards => "rewards of single steps",
            Self::ValidActions => "which actions were valid",
            Self::Checks => "checklists of steps",
            Self::Tree => "forked rollouts",
            Self::Variants => "rollouts of paired prompts",
            Self::Confidence => "how sure the agent says that it is",
        }
    }
}

/// What becomes of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It leaves, for this reason.
    Drop(String),
    /// It stays in the statistics and loses its tokens, for this reason.
    Mask(String),
}

/// What the stages before the objective know besides the rollouts.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The method's advantage.
    pub advantage: &'a Advantage,
    /// Step of the training, from 0.
    pub step: u64,
}

/// The stage `rows`, as parts see it.
#[derive(Debug)]
pub struct RowStage<'a> {
    /// The rollouts whose rows these are, with their reward parts.
    pub rollouts: &'a [Rollout],
    /// The rollouts that a part set aside.
    pub aside: &'a [Rollout],
    /// The method's own objective.
    pub objective: &'a super::Objective,
    /// The rows that go on.
    pub rows: Vec<TrainRow>,
    /// The channels of the loss; rows name theirs by position. The first is the method's own.
    pub channels: Vec<Channel>,
    /// What was dropped.
    pub dropped: Vec<Dropped>,
}

impl RowStage<'_> {
    /// Drops the rows that `why` gives a reason for.
    pub fn retain(&mut self, mut why: impl FnMut(usize, &TrainRow) -> Option<String>) {
        let mut kept = Vec::with_capacity(self.rows.len());
        for (at, row) in std::mem::take(&mut self.rows).into_iter().enumerate() {
            match why(at, &row) {
                None => kept.push(row),
                Some(reason) => self.dropped.push(Dropped { id: row.id(), reason }),
            }
        }
        self.rows = kept;
    }

    /// A new channel of the loss; its number.
    pub fn channel(&mut self, channel: Channel) -> u32 {
        self.channels.push(channel);
        self.channels.len() as u32 - 1
    }
}

/// What a step came to, as parts see it that keep something for later.
#[derive(Clone, Copy, Debug)]
pub struct LaterStage<'a> {
    /// Step of the training, from 0.
    pub step: u64,
    /// All rollouts that were valid, before any filter.
    pub all: &'a [Rollout],
    /// Those that were left.
    pub rollouts: &'a [Rollout],
    /// The rows that are learnt from.
    pub rows: &'a [TrainRow],
    /// The method's own objective.
    pub objective: &'a super::Objective,
}

/// Rows of earlier steps for an optimiser step of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Later {
    /// The rows; their `channel` is one of these.
    pub rows: Vec<TrainRow>,
    /// The channels.
    pub channels: Vec<Channel>,
    /// Figures for the report.
    pub values: Value,
}

/// What the parts of a method keep from step to step, by name. It belongs to the training's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory(pub(super) BTreeMap<String, Value>);

impl Memory {
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The rows of an optimiser step, as parts see them at the objective.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The rows.
    pub rows: &'a [TrainRow],
    /// Micro-batch of each row.
    pub micro: &'a [u32],
    /// The channels that the rows name.
    pub channels: &'a [Channel],
    /// Step of the training, from 0.
    pub step: u64,
    /// The policy now; there if a part [needs](Need::Scores) it.
    pub now: Option<Scores<'a>>,
}

/// The policy now, on all tokens of all rows; what is not sampled means nothing.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    /// Log-probabilities in nats.
    pub logp: &'a [Vec<f64>],
    /// Entropies in nats; rows may be empty if nothing needs them.
    pub entropy: &'a [Vec<f64>],
}

impl<'a> Batch<'a> {
    /// The policy now.
    ///
    /// # Errors
    /// When it was not observed.
    pub fn now(&self, part: &str) -> Result<Scores<'a>, StageError> {
        self.now.ok_or_else(|| StageError::Unobserved { part: part.into() })
    }

    /// Places `(row, token)` of all sampled tokens of channel 0, by micro-batch.
    pub fn sampled(&self) -> BTreeMap<u32, Vec<(usize, usize)>> {
        let mut places: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
        for (i, row) in self.rows.iter().enumerate().filter(|(_, row)| row.channel == 0) {
            let sampled = (0..row.row.mask.len()).filter(|&j| row.row.mask[j]);
            places.entry(self.micro[i]).or_default().extend(sampled.map(|j| (i, j)));
        }
        places.retain(|_, places| !places.is_empty());
        places
    }
}

/// What the policy term of a token is made of: factor * C(advantage, ratio; clip) + pull * |l - l_old|.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// The advantage.
    pub advantage: f64,
    /// The clip bounds.
    pub clip: Clip,
    /// A constant factor; 0 leaves the token out.
    pub factor: f64,
    /// Weight of |l - l_old|.
    pub pull: f64,
    /// A policy term in place of C.
    pub own: Option<Slope>,
}

impl Term {
    /// As the method says, unchanged.
    pub fn new(advantage: f64, clip: Clip) -> Self {
        Self {
            advantage,
            clip,
            factor: 1.0,
            pull: 0.0,
            own: None,
        }
    }
}
