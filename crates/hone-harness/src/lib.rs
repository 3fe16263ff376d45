//! Agent loops: how a model, an environment and a task become an episode.
//!
//! A [`Harness`] plays one episode and records all of it. It never fails: whatever goes wrong becomes the episode's
//! [`EndReason`](hone_trace::EndReason) and, where it is not the policy's fault, an
//! [`Outcome::InfraFailed`](hone_trace::Outcome) with its cause. It does not score either: an episode that may count
//! leaves with [`Outcome::PolicyFailed`](hone_trace::Outcome), and scoring (`hone-rollout`) turns successes into `Ok`.
//!
//! Every tool call takes [`hone_tool::dispatch`]; every await has a deadline, and the episode's own bound on time cuts the
//! wait for a model or a tool short.
//!
//! Deliberately not here: running many episodes, scoring (`hone-rollout`), and how text becomes tokens (`hone-model`).

mod confidence;
mod dialogue;
mod no_tools;
mod planner_executor;
mod react;
mod run;
mod setup;

pub use confidence::{QUESTION, Unsure};
pub use dialogue::Dialogue;
pub use no_tools::NoTools;
pub use planner_executor::{PlannerExecutor, RolePlayer};
pub use react::React;
pub use run::{DROPPED, End, Play, Snapshot};
pub use setup::{EpisodeSetup, Finished, Label, UserSetup};

use async_trait::async_trait;

/// An agent loop.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Name for the record.
    fn name(&self) -> &'static str;

    /// Play one episode. Needs a tokio runtime with time enabled.
    async fn run(&self, setup: EpisodeSetup) -> Finished;

    /// The same turn by turn, for loops whose episodes can be forked between turns; `None` for the others.
    fn turns(&self) -> Option<&'static dyn Turns> {
        None
    }
}

/// An agent loop taken turn by turn: an episode is opened, goes on until a turn ends it, and is then finished by
/// [`Play::finish`]. Between turns it can be forked ([`Play::snapshot`]).
#[async_trait]
pub trait Turns: Send + Sync {
    /// Everything before the agent's first turn.
    async fn open(&self, setup: EpisodeSetup) -> (Play, Result<(), End>);

    /// One turn of the agent with what it leads to.
    ///
    /// # Errors
    /// How the episode ended.
    async fn turn(&self, play: &mut Play) -> Result<(), End>;
}
