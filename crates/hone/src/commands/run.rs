//! `hone run`: one episode, told while it is played.

use crate::approve::{self, ApprovalArgs, How};
use crate::console::{print_json, say};
use crate::episode_text;
use crate::models::{self, ModelSpec, PLAYERS, SamplingArgs};
use crate::tasksets::{self, Suite, TaskId};
use crate::users;
use anyhow::{Context, bail};
use async_trait::async_trait;
use hone_model::{Completion, Conversation, Message, Model, ModelError, Request};
use hone_rollout::{Hooks, Job, Player, Rollout, ToolSource};
use hone_tool::{Policy, Sticky};
use hone_trace::{Outcome, SamplingSettings};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Play one episode and watch it step by step.
///
/// The request, each turn of the agent, each tool result and the score with its parts go to stderr as they come. Nothing
/// is recorded; `hone eval` records.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{PLAYERS}"))]
pub struct Args {
    /// Taskset: shop, shop-guided, shop-dialogue, textcraft, textcraft:2-3, or the folder of your own tasks
    taskset: String,
    /// The task, as SPLIT/INDEX: test/3, train/0
    #[arg(long)]
    task: TaskId,
    /// Who plays: a model's directory, openai:MODEL, http://HOST/v1#MODEL, gold, … (see Players below)
    #[arg(long)]
    model: ModelSpec,
    /// Who plays the simulated user, in tasksets that have one: a model's directory, or script:NAME
    #[arg(long, value_name = "MODEL")]
    user: Option<ModelSpec>,
    /// 0 takes the likeliest token, 1 samples as the model says
    #[arg(long, default_value = "0", allow_negative_numbers = true, value_parser = models::temperature)]
    temperature: f32,
    /// All randomness comes from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// More prices of models (repeatable); see Players below
    #[arg(long, value_name = "FILE")]
    prices: Vec<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    approval: ApprovalArgs,
}

const EXAMPLES: &str = "\
Examples:
  hone run shop --task test/3 --model script:expert        how the task is meant to be solved
  hone run shop --task test/3 --model models/nano          what the untrained base does with it
  hone run textcraft:2 --task train/0 --model DIR --temperature 1 --seed 7
  hone run shop --task test/3 --model models/nano --approve ask    be asked before each tool call
  hone run my --task test/0 --model openai:MODEL --policy rules.toml
  hone run shop --task test/3 --model script:expert --json | jq .turns";

impl Args {
    /// Play.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let Suite {
            taskset,
            harness,
            policy,
            mut secrets,
            ..
        } = tasksets::suite(&self.taskset)?;
        let policy = match (self.approval.text()?, policy) {
            (Some(text), _) => Some(Policy::parse(&text, "--policy")?),
            (None, policy) => policy,
        };
        if self.approval.approve == Some(How::Save) {
            bail!("nothing of `hone run` is recorded, so no call can wait; take --approve ask, or `hone eval`");
        }
        let guard = approve::guard(policy, self.approval.approve, How::Ask, taskset.name());
        let approval = approve::approval(guard, Sticky::default(), |_| {});
        let sampling = self.sampling.settings(self.temperature, &self.model)?;
        let cast = models::cast(&self.model, &taskset, &self.prices)?;
        let player = cast.player.clone();
        let user = self.user.or_else(|| users::default_user(&taskset));
        let user = user
            .map(|spec| users::user(&spec, &taskset, &self.prices))
            .transpose()?;
        secrets.extend(cast.secrets.clone());
        let user = user.map(|user| {
            secrets.extend(user.secrets);
            user.player
        });
        let told = Arc::new(AtomicUsize::new(0));
        let counter = told.clone();
        let told_after = Player::clone(&player);
        let as_it_comes = Player::PerEpisode(Arc::new(move |task, sample, stream| {
            let model = match &player {
                Player::Shared(model) => model.clone(),
                Player::PerEpisode(cast) => cast(task, sample, stream),
            };
            Arc::new(Told {
                model,
                messages: counter.clone(),
            })
        }));
        let rollout = Rollout {
            budget: cast.budget(&*taskset),
            // In a conversation of two models the agent's messages are not the whole; it is told when it is over.
            player: if user.is_some() { told_after } else { as_it_comes },
            taskset,
            user,
            judge: None,
            harness,
            sampling: sampling.unwrap_or_else(|| greedy_or(self.temperature)),
            approval: Arc::new(approval),
            tools: ToolSource::default(),
            forking: None,
            seed: self.seed,
            phase: "run".into(),
            concurrency: 1,
        };
        let job = Job {
            split: self.task.split,
            index: self.task.index,
            group: self.task.index,
            samples: 0..1,
        };
        let episodes = rollout.run(&[job], Hooks::default())?;
        let episode = episodes
            .first()
            .context("no episode came back; this is a defect, please report it")?;
        // What the model never read: the result of a last call, for one. Turns and messages correspond.
        for turn in episode.turns.iter().skip(told.load(Ordering::Relaxed)) {
            say(episode_text::turn(episode, turn));
        }
        say(episode_text::verdict(episode));
        if json {
            print_json(&secrets.redacted(episode).as_ref().unwrap_or(episode))?;
        }
        if let Outcome::InfraFailed { cause } = &episode.outcome {
            bail!("the episode does not count: {cause}; mend that and play it again");
        }
        Ok(())
    }
}

/// Sampling settings at a temperature, without any other change to the model's distribution; the taskset bounds lengths.
pub fn greedy_or(temperature: f32) -> SamplingSettings {
    SamplingSettings {
        temperature,
        ..SamplingSettings::default()
    }
}

/// A model that tells on stderr what it reads and says.
struct Told {
    model: Arc<dyn Model>,
    /// How many messages were told.
    messages: Arc<AtomicUsize>,
}

#[async_trait]
impl Model for Told {
    fn name(&self) -> String {
        self.model.name()
    }

    async fn complete(&self, conversation: &mut Conversation, request: Request) -> Result<Completion, ModelError> {
        let told = self.messages.load(Ordering::Relaxed);
        for message in conversation.messages.iter().skip(told) {
            match message {
                Message::System(text) => say(episode_text::message("system", text)),
                Message::User(text) => say(episode_text::message("user", text)),
                Message::Tool(text) => say(episode_text::message("tool", text)),
                Message::Agent(_) => {}
            }
        }
        self.messages.store(conversation.messages.len(), Ordering::Relaxed);
        let completion = self.model.complete(conversation, request).await?;
        say(episode_text::message("agent", &completion.call.text));
        self.messages.store(conversation.messages.len(), Ordering::Relaxed);
        Ok(completion)
    }
}
