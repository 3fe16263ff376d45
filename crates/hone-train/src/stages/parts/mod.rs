//! The parts that a method can name. Each is a type in a file of its own, and a line here.
//!
//! Letters and numbers such as F2 are those of the common notation for the GRPO family: F filter, R reward, A advantage, G credit, Q ratio, C clip,
//! W off-policy weight, T schedule.

mod anchor;
mod balanced;
mod batch_norm;
mod calibration;
mod channel_of;
mod checklist;
mod clip_cov;
mod cut;
mod dpo;
mod economy;
mod entropy_advantage;
mod importance;
mod invalid_actions;
mod kl_cov;
mod kl_reward;
mod m2po;
mod mask;
mod multi_tool;
mod outcome;
mod overlong;
mod paired;
mod replay;
mod roc;
mod signed_tools;
mod std_top;
mod step_credit;
mod tool_count;
mod tool_rate;
mod tree;
mod turn_credit;

pub use anchor::Anchor;
pub use balanced::{Balanced, balance};
pub use batch_norm::BatchNorm;
pub use calibration::{Calibration, Rule};
pub use channel_of::ChannelOf;
pub use checklist::Checklist;
pub use clip_cov::ClipCov;
pub use cut::Cut;
pub use dpo::Dpo;
pub use economy::Economy;
pub use entropy_advantage::EntropyAdvantage;
pub use importance::Importance;
pub use invalid_actions::InvalidActions;
pub use kl_cov::KlCov;
pub use kl_reward::KlReward;
pub use m2po::M2po;
pub use mask::Mask;
pub use multi_tool::MultiTool;
pub use outcome::Outcome;
pub use overlong::Overlong;
pub use paired::{Best, Paired};
pub use replay::Replay;
pub use roc::{Roc, RocSelect};
pub use signed_tools::{SignedTools, Version};
pub use std_top::StdTop;
pub use step_credit::StepCredit;
pub use tool_count::ToolCount;
pub use tool_rate::ToolRate;
pub use tree::Tree;
pub use turn_credit::TurnCredit;

use super::{AgentStep, Need, Registry, Rollout, StageError};

/// All parts, in the order in which a stage asks them.
pub(super) fn registry() -> Registry {
    let mut all = Registry::default();
    all.add::<Outcome>();
    all.add::<ToolRate>();
    all.add::<ToolCount>();
    all.add::<MultiTool>();
    all.add::<SignedTools>();
    all.add::<Checklist>();
    all.add::<Overlong>();
    all.add::<InvalidActions>();
    all.add::<Calibration>();
    all.add::<Economy>();
    all.add::<KlReward>();
    all.add::<Balanced>();
    all.add::<Roc>();
    all.add::<StdTop>();
    all.add::<Mask>();
    all.add::<TurnCredit>();
    all.add::<StepCredit>();
    all.add::<Anchor>();
    all.add::<Tree>();
    all.add::<BatchNorm>();
    all.add::<Cut>();
    all.add::<Paired>();
    all.add::<ChannelOf>();
    all.add::<Dpo>();
    all.add::<Replay>();
    all.add::<EntropyAdvantage>();
    all.add::<M2po>();
    all.add::<ClipCov>();
    all.add::<KlCov>();
    all.add::<Importance>();
    all
}

/// `None` if `values` has fewer than two members; else the standard deviation with n - 1.
fn std_unbiased(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt())
}

/// The rollout's steps.
///
/// # Errors
/// When it has sampled tokens and no steps.
fn steps_of<'a>(rollout: &'a Rollout, part: &'static str, need: Need) -> Result<&'a [AgentStep], StageError> {
    if rollout.steps.is_empty() && rollout.sampled() > 0 {
        return Err(StageError::Lacks {
            part,
            what: need.about(),
            rollout: rollout.id.clone(),
        });
    }
    Ok(&rollout.steps)
}

/// Calls `change` with the turn and the advantage of each sampled token.
///
/// # Errors
/// When a row does not say which turn its tokens are of.
fn at_turns(
    rollout: &Rollout,
    advantages: &mut [Vec<f64>],
    part: &'static str,
    mut change: impl FnMut(u32, &mut f64),
) -> Result<(), StageError> {
    for (row, advantages) in rollout.rows.iter().zip(advantages) {
        for (j, a) in advantages.iter_mut().enumerate().filter(|(j, _)| row.mask[*j]) {
            let turn = row.turns.get(j).ok_or_else(|| StageError::Lacks {
                part,
                what: Need::Turns.about(),
                rollout: rollout.id.clone(),
            })?;
            change(*turn, a);
        }
    }
    Ok(())
}

#[cfg(test)]
mod testing {
    use serde_json::{Value, json};

    use crate::stages::{AgentStep, BatchObjective, Call, Method, Part, Rollout, Row, TokenLoss, TrainRow};

    /// A rollout of turns of two tokens each, with a reward per turn.
    pub fn with_turns(id: &str, rewards: &[f64]) -> Rollout {
        let steps = rewards.iter().zip(0..).map(|(&reward, turn)| AgentStep {
            turn,
            reward,
            anchor: None,
            valid: true,
            checks: Vec::new(),
        });
        let mut out = Rollout {
            id: id.into(),
            steps: steps.collect(),
            ..long(2 * rewards.len())
        };
        out.rows[0].turns = (0..=2 * rewards.len() as u32)
            .map(|j| j.saturating_sub(1) / 2)
            .collect();
        out
    }

    /// A row that is sampled throughout.
    pub fn row(rollout: &str, group: u64, advantage: &[f64], old: &[f32]) -> TrainRow {
        TrainRow {
            rollout: rollout.into(),
            group,
            index: 0,
            row: Row {
                ids: vec![5; old.len()],
                mask: vec![true; old.len()],
                logp_sampler: old.to_vec(),
                ..Row::default()
            },
            advantage: advantage.to_vec(),
            channel: 0,
        }
    }

    /// All tokens of the rows under `grpo` with these parts, and the loss, after the parts saw the policy now.
    pub fn observed(
        parts: Value,
        rows: &[TrainRow],
        micro: &[u32],
        logp: &[Vec<f64>],
        entropy: &[Vec<f64>],
    ) -> (Vec<Vec<TokenLoss>>, f64) {
        let method = Method::resolve("grpo", &json!({ "parts": parts })).unwrap();
        let channels = [crate::stages::Channel::main(method.objective.clone())];
        let mut batch = BatchObjective::of(&channels, &method.parts, rows, micro, 0).unwrap();
        if batch.needs_observation() {
            batch.observe(logp, entropy).unwrap();
        }
        let tokens = |i: usize| {
            batch
                .tokens(i, &logp[i], &entropy[i])
                .unwrap()
                .into_iter()
                .map(|(_, t)| t)
                .collect()
        };
        let loss = (0..rows.len())
            .map(|i| batch.row(i, &logp[i], &entropy[i]).unwrap().loss)
            .sum();
        ((0..rows.len()).map(tokens).collect(), loss)
    }

    pub fn near(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance, "{got} is not {want}");
    }

    /// A rollout with calls that went well and calls that failed.
    pub fn called(good: usize, bad: usize) -> Rollout {
        let call = |ok| Call {
            tool: if ok { "search".into() } else { "python".into() },
            ok,
        };
        Rollout {
            calls: (0..good + bad).map(|i| call(i < good)).collect(),
            ..Rollout::default()
        }
    }

    /// A rollout of one row: a prompt token and `sampled` tokens.
    pub fn long(sampled: usize) -> Rollout {
        Rollout {
            rows: vec![Row {
                ids: (0..=sampled as u32).collect(),
                mask: (0..=sampled).map(|j| j > 0).collect(),
                logp_sampler: vec![-0.5; sampled + 1],
                ..Row::default()
            }],
            ..Rollout::default()
        }
    }

    /// The part's value where the rollout came with this reward.
    pub fn value(part: &dyn Part, rollout: &Rollout, reward: f64) -> f64 {
        part.value(&Rollout {
            reward,
            ..rollout.clone()
        })
        .unwrap()
    }
}
