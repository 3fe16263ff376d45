//! Teaching a model a taskset: demonstrations, cold start, reinforcement, with held-out evaluation around each.
//!
//! A run is a sequence of phases over one directory: `run.db` (every episode and metric), `state.json` (what is done),
//! `checkpoints/`. A phase that is done is not repeated; one that was cut off is rolled back and played again, so that a
//! resumed run ends with the same episodes as one that was never stopped. The exception is said in the store: what
//! depends on the wall clock (the matched cold start, [`TIMED`]) stays out of the run's digest.

mod reinforce;
mod state;

pub use reinforce::update_key;
pub use state::{Evaluation, RunError, State};

use crate::base::is_plain;
use crate::chat;
use crate::observe::{Observer, Step};
use crate::recipe::AgentRecipe;
use crate::rows;
use crate::stages::{Method, StageError};
use crate::supervised::{Breakdown, Example, supervised};
use crate::update::UpdateError;
use hone_engine::checkpoint;
use hone_engine::{LearnError, Learner, Sampler, Weights};
use hone_env::{Budget, Role, ScriptInfo, Split, Taskset};
use hone_harness::{Dialogue, Harness, PlannerExecutor, React, Unsure};
use hone_model::{Model, Scripted, TokenCodec};
use hone_rollout::{Forking, Hooks, Job, Player, Rollout, ToolSource, UserPlayer};
use hone_score::{Measures, Rate};
use hone_tool::ApprovalPolicy;
use hone_trace::{CONFIDENCE, EndReason, Episode, Filter, Outcome, SamplingSettings, Store, Stream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Phases that depend on the wall clock and are left out of a run's digest.
pub const TIMED: [&str; 2] = ["demonstrations/matched", "eval/sft_matched"];

/// Training tasks of the matched cold start begin here, far from those of the run proper.
const MATCHED_TASKS: u64 = 1 << 40;
/// Episodes in flight during evaluation and demonstrations, at most.
const IN_FLIGHT: usize = 128;
/// Bytes that the keys and values of all episodes in flight may take, if each has [`USUAL_TOKENS`].
const CACHE_BYTES: usize = 1 << 30;
const USUAL_TOKENS: usize = 1024;

/// A run under way.
pub struct Run<'a> {
    /// The recipe.
    pub recipe: AgentRecipe,
    /// The run's directory.
    pub dir: PathBuf,
    /// The tasks to train on.
    pub taskset: Arc<dyn Taskset>,
    /// The tasks to evaluate on; usually the same taskset.
    pub held_out: Arc<dyn Taskset>,
    /// Who plays the simulated users, in tasksets that have them.
    pub user: Option<UserPlayer>,
    /// The loop with its helpers, where the recipe teaches a planner.
    pub roles: Option<PlannerExecutor>,
    /// Tokenizer and chat format.
    pub codec: Arc<dyn TokenCodec>,
    /// The model to teach.
    pub base: Arc<Weights>,
    /// The record.
    pub store: Store,
    /// Compute threads.
    pub threads: usize,
    /// Who watches.
    pub observer: &'a mut dyn Observer,
    /// Set to stop.
    pub cancel: &'a AtomicBool,
    /// What is done.
    pub state: State,
}

impl Run<'_> {
    /// Run all phases that are not done yet.
    ///
    /// # Errors
    /// When something cannot be made, read or written, or the run was stopped. What was done is kept.
    pub fn execute(&mut self) -> Result<(), RunError> {
        self.store.set_meta("timed_phases", &serde_json::json!(TIMED))?;
        self.store.set_meta("budget", &serde_json::json!(self.budget()))?;
        let method = self.recipe.method()?;
        if self.recipe.eval.constraint.is_some() && !hone_engine::CONSTRAINS {
            return Err(RunError::Unconstrained);
        }
        if self.state.checkpoint.as_deref().is_some_and(|name| !is_plain(name)) {
            return Err(RunError::State {
                path: self.dir.join("state.json"),
                what: "`checkpoint` is not the name of a folder".into(),
            });
        }
        let examples = self.demonstrations()?;
        self.check_reward(&method)?;
        let base = Arc::clone(&self.base);
        self.evaluate_policy("before", &base)?;
        for name in self.recipe.eval.baselines.clone() {
            self.evaluate_script(&name)?;
        }
        let sft = match self.recipe.sft.steps {
            0 => self.beginner()?,
            _ => {
                let sft = self.cold_start(&examples)?;
                self.evaluate_policy("sft", &sft.weights())?;
                sft
            }
        };
        if self.recipe.rl.steps > 0 {
            let weights = self.reinforce(&method, &sft)?;
            self.evaluate_policy("rl", &weights)?;
            if self.recipe.eval.sft_matched {
                let matched = self.matched(sft, &examples)?;
                self.evaluate_policy("sft_matched", &matched)?;
            }
        }
        Ok(())
    }

    fn is_done(&self, phase: &str) -> bool {
        self.state.done.iter().any(|d| d == phase)
    }

    fn save(&self) -> Result<(), RunError> {
        let text = serde_json::to_vec_pretty(&self.state).map_err(|e| RunError::State {
            path: self.dir.clone(),
            what: e.to_string(),
        })?;
        Ok(checkpoint::write(&self.dir.join("state.json"), &text)?)
    }

    fn finish(&mut self, phase: &str, start: Instant) -> Result<(), RunError> {
        *self.state.seconds.entry(phase.to_owned()).or_default() += start.elapsed().as_secs_f64();
        self.state.done.push(phase.to_owned());
        self.save()
    }

    fn stopped(&self) -> Result<(), RunError> {
        if self.cancel.load(Ordering::Relaxed) {
            Err(RunError::Stopped)
        } else {
            Ok(())
        }
    }

    fn stream(&self) -> Stream {
        Stream::new(self.recipe.seed).named("train")
    }

    /// A training task by its place in the order of the run. Where tasks are few, they come again and again.
    fn training(&self, place: u64, samples: u32) -> Job {
        let index = match self.taskset.len(Split::Train) {
            Some(tasks @ 1..) => place % tasks,
            _ => place,
        };
        Job {
            group: place,
            ..job(Split::Train, index, samples)
        }
    }

    fn checkpoint_dir(&self, name: &str) -> PathBuf {
        self.dir.join("checkpoints").join(name)
    }

    fn rollout(&self, phase: &str, player: Player, temperature: f32) -> Rollout {
        let held_out = phase.starts_with("eval/") || phase.starts_with("validate/");
        let taskset = if held_out { &self.held_out } else { &self.taskset };
        let harness: Arc<dyn Harness> = match (&self.roles, taskset.user_scripts()) {
            (Some(roles), _) => Arc::new(roles.clone()),
            (None, []) => Arc::new(React),
            (None, _) => Arc::new(Dialogue),
        };
        Rollout {
            taskset: Arc::clone(taskset),
            player,
            user: self.user.clone(),
            judge: None,
            harness,
            budget: self.budget(),
            sampling: SamplingSettings {
                temperature,
                top_p: 1.0,
                top_k: 0,
                max_tokens: 0,
                stream: String::new(),
                ..SamplingSettings::default()
            },
            // The recipe was checked as a whole before anything ran; should that change, nothing may run.
            approval: Arc::new(
                self.recipe
                    .approval(self.taskset.name())
                    .unwrap_or_else(|_| ApprovalPolicy::nothing()),
            ),
            tools: ToolSource::default(),
            forking: self
                .recipe
                .rl
                .branch
                .filter(|_| phase.starts_with("rl/"))
                .map(|branching| Forking {
                    branching,
                    vocabulary: self.base.config.vocab_size,
                }),
            seed: self.recipe.seed,
            phase: phase.to_owned(),
            concurrency: self.in_flight(IN_FLIGHT),
        }
    }

    fn budget(&self) -> Budget {
        let budget = self.held_out.budget();
        let most = self.recipe.max_answer_tokens.unwrap_or(u32::MAX);
        Budget {
            max_turn_tokens: budget.max_turn_tokens.min(most),
            confidence: self.recipe.confidence,
            ..budget
        }
    }

    /// How many of `most` episodes to play at a time, so that their keys and values fit into memory.
    fn in_flight(&self, most: usize) -> usize {
        let c = &self.base.config;
        let each = 8 * c.num_hidden_layers * c.kv_width() * USUAL_TOKENS;
        (CACHE_BYTES / each.max(1)).max(4).min(most)
    }

    fn learner(&self, weights: Weights) -> Learner {
        let mut learner = Learner::new(weights, self.threads);
        learner.checkpoint_activations(self.recipe.checkpoint_activations);
        learner
    }

    /// Training at a checkpoint, as it was left.
    fn learner_of(&self, dir: &Path) -> Result<Learner, RunError> {
        let weights = checkpoint::load_on(dir, &self.base)?;
        let state = checkpoint::load_optimizer(dir, &weights)?;
        let mut learner = self.learner(weights);
        learner.restore_optimizer(state)?;
        Ok(learner)
    }

    /// An error of training; a number that is not finite asks for another learning rate.
    fn broken(&self, phase: &str, step: u32, source: UpdateError) -> RunError {
        let learning = matches!(
            source,
            UpdateError::Learn(LearnError::NotFinite(..)) | UpdateError::Stage(StageError::NonFinite { .. })
        );
        if !learning {
            return source.into();
        }
        RunError::Broken {
            phase: phase.to_owned(),
            step,
            key: if phase == "rl" { "rl.lr.peak" } else { "sft.lr.peak" },
            recipe: self.dir.join("recipe.toml"),
            source: Box::new(source),
        }
    }

    /// Play jobs and make them durable; only then are they returned.
    fn play(&mut self, rollout: &Rollout, jobs: &[Job]) -> Result<Vec<Episode>, RunError> {
        let wanted = jobs.iter().map(|job| job.samples.len() as u64).sum();
        let (observer, mut ended) = (&mut *self.observer, 0);
        observer.played(ended, wanted);
        let mut count = |_: &Episode| {
            ended += 1;
            observer.played(ended, wanted);
        };
        let hooks = Hooks {
            cancel: Some(self.cancel),
            on_episode: Some(&mut count),
            ..Hooks::default()
        };
        let episodes = rollout.run(jobs, hooks)?;
        self.stopped()?;
        // Our own model fails for good, not by bad luck: nothing comes of going on.
        let failed = episodes.iter().find(|e| e.end == EndReason::ModelFailure);
        if let (Player::Shared(_), Some(Outcome::InfraFailed { cause })) = (&rollout.player, failed.map(|e| &e.outcome))
        {
            return Err(RunError::Policy {
                phase: rollout.phase.clone(),
                cause: cause.clone(),
            });
        }
        self.store.append(&episodes)?;
        Ok(episodes)
    }

    fn script(&self, name: &str) -> Result<Player, RunError> {
        let plans = self.roles.is_some();
        let scripts = scripts(&*self.taskset, plans);
        if !scripts.iter().any(|s| s.name == name) {
            let have: Vec<_> = scripts.iter().map(|s| s.name).collect();
            return Err(RunError::NoScript {
                taskset: self.taskset.name().to_owned(),
                name: name.to_owned(),
                have: have.join(", "),
            });
        }
        let (taskset, codec, name) = (Arc::clone(&self.taskset), Arc::clone(&self.codec), name.to_owned());
        let asked = self.recipe.confidence;
        Ok(Player::PerEpisode(Arc::new(move |task, _, stream| -> Arc<dyn Model> {
            // The name was checked above, for every task alike.
            let script = match plans {
                true => taskset.role_script(Role::Planner, &name, task, stream),
                false => taskset.script(&name, task, stream),
            };
            let mut script = script.unwrap_or_else(|| panic!("script {name} is gone"));
            if asked {
                let stream = stream.named(CONFIDENCE);
                script = Box::new(Unsure { script, stream });
            }
            Arc::new(Scripted::new(name.clone(), script, codec.clone()))
        })))
    }

    fn demonstrations(&mut self) -> Result<Vec<Example>, RunError> {
        let (phase, settings) = ("demonstrations", self.recipe.demonstrations.clone());
        if settings.episodes == 0 && settings.chats.is_none() {
            return Ok(Vec::new());
        }
        if settings.episodes > 0 && !self.is_done(phase) {
            self.observer.phase(phase);
            let start = Instant::now();
            self.store.delete_phase(phase)?;
            let rollout = self.rollout(phase, self.script(&settings.script)?, 0.0);
            let mut measures = Measures::default();
            for from in (0..settings.episodes).step_by(512) {
                let jobs: Vec<_> = (from..settings.episodes.min(from + 512))
                    .map(|index| self.training(index, 1))
                    .collect();
                let episodes = self.play(&rollout, &jobs)?;
                episodes.iter().for_each(|e| measures.add(e));
            }
            self.state.demonstrations = measures.success();
            self.state.cursor = settings.episodes;
            if let Some(rate) = self.state.demonstrations {
                self.observer.note(&format!(
                    "{} demonstrations by {}, of which {:.1} % succeed",
                    settings.episodes,
                    settings.script,
                    100.0 * rate.value
                ));
            }
            self.finish(phase, start)?;
        }
        let mut examples = Vec::new();
        let filter = Filter::phase(phase);
        self.store.for_each(&filter, |episode| -> Result<(), RunError> {
            if episode.phase == phase && episode.counts() {
                examples.extend(rows::demonstration(&episode)?);
            }
            Ok(())
        })?;
        if let Some(path) = &settings.chats {
            examples.extend(chat::examples(path, &*self.codec)?);
        }
        let all = examples.len();
        self.keep_fitting(&mut examples);
        if examples.len() < all {
            let positions = self.base.config.max_position_embeddings;
            let left = all - examples.len();
            self.observer.note(&format!(
                "{left} of {all} demonstrations are longer than the model's {positions} positions and are not learnt from"
            ));
        }
        if examples.is_empty() && all > 0 {
            return Err(RunError::TooLong {
                script: settings.script,
                positions: self.base.config.max_position_embeddings,
            });
        }
        if examples.is_empty() {
            return Err(RunError::NoDemonstrations {
                script: settings.script,
            });
        }
        Ok(examples)
    }

    /// A reward of parts that no scorer gives is refused before anything is learnt.
    fn check_reward(&self, method: &Method) -> Result<(), RunError> {
        if let Some(episode) = self.store.episode("demonstrations/0/0")?.filter(Episode::counts) {
            let mut rollout = rows::rollout(&episode)?;
            // What the reference model says makes no difference here.
            rollout
                .rows
                .iter_mut()
                .for_each(|row| row.logp_ref = Some(row.logp_sampler.clone()));
            method.value(&mut [rollout], 0)?;
        }
        Ok(())
    }

    fn keep_fitting(&self, examples: &mut Vec<Example>) {
        let positions = self.base.config.max_position_embeddings;
        examples.retain(|example| example.fed() <= positions);
    }

    fn evaluate_script(&mut self, name: &str) -> Result<(), RunError> {
        let phase = format!("eval/{name}");
        if self.is_done(&phase) {
            return Ok(());
        }
        self.observer.phase(&phase);
        let start = Instant::now();
        self.store.delete_phase(&phase)?;
        let rollout = self.rollout(&phase, self.script(name)?, 0.0);
        let jobs: Vec<_> = (0..self.recipe.eval.tasks)
            .map(|index| job(Split::Test, index, 1))
            .collect();
        let measures = Measures::of(&self.play(&rollout, &jobs)?);
        self.state.evaluations.insert(
            name.to_owned(),
            Evaluation {
                greedy: measures.success(),
                ..Evaluation::default()
            },
        );
        self.finish(&phase, start)
    }

    fn evaluate_policy(&mut self, name: &str, weights: &Arc<Weights>) -> Result<(), RunError> {
        let phase = format!("eval/{name}");
        if self.is_done(&phase) {
            return Ok(());
        }
        self.observer.phase(&phase);
        let start = Instant::now();
        self.store.delete_phase(&phase)?;
        let sampler = Arc::new(Sampler::new(
            name,
            self.codec.clone(),
            Arc::clone(weights),
            0,
            self.threads,
        ));
        let jobs: Vec<_> = (0..self.recipe.eval.tasks)
            .map(|index| job(Split::Test, index, 1))
            .collect();
        let mut evaluation = Evaluation::default();
        let settings = &self.recipe.eval;
        let ways = [
            Some(("greedy", 0.0, None)),
            settings.sampled.then_some(("sampled", 1.0, None)),
            settings.constraint.clone().map(|form| ("constrained", 0.0, Some(form))),
        ];
        for (way, temperature, constraint) in ways.into_iter().flatten() {
            let player = Player::Shared(sampler.clone());
            let mut rollout = self.rollout(&format!("{phase}/{way}"), player, temperature);
            rollout.sampling.constraint = constraint;
            let rate = Measures::of(&self.play(&rollout, &jobs)?).success();
            match way {
                "greedy" => evaluation.greedy = rate,
                "sampled" => evaluation.sampled = rate,
                _ => evaluation.constrained = rate,
            }
        }
        let percent = |rate: Rate| format!("{:.1} %", 100.0 * rate.value);
        let greedy = evaluation.greedy.map_or("no".to_owned(), percent);
        let sampled = evaluation
            .sampled
            .map(|rate| format!(", {} at temperature 1", percent(rate)));
        let constrained = evaluation
            .constrained
            .map(|rate| format!(", {} constrained", percent(rate)));
        self.observer.note(&format!(
            "{name}: {greedy} of {} held-out tasks greedily{}{}",
            self.recipe.eval.tasks,
            sampled.unwrap_or_default(),
            constrained.unwrap_or_default()
        ));
        self.state.evaluations.insert(name.to_owned(), evaluation);
        self.finish(&phase, start)
    }

    /// The base before any step, with the adapter that the recipe asks for.
    fn beginner(&self) -> Result<Learner, RunError> {
        Ok(self.learner(match &self.recipe.lora {
            Some(lora) => self.base.adapted(lora, &self.stream().named("lora"))?,
            None => Weights::clone(&self.base),
        }))
    }

    fn cold_start(&mut self, examples: &[Example]) -> Result<Learner, RunError> {
        let (phase, dir) = ("sft", self.checkpoint_dir("sft"));
        if self.is_done(phase) {
            return self.learner_of(&dir);
        }
        self.observer.phase(phase);
        let start = Instant::now();
        self.store.delete_metrics(phase, 0)?;
        let mut learner = self.beginner()?;
        let settings = self.recipe.sft;
        let mut deck = Deck::new(self.stream().named(phase), examples.len());
        let next = || examples[deck.draw()].clone();
        self.supervise(
            &mut learner,
            phase,
            |step| settings.rate(step),
            u64::from(settings.steps),
            next,
        )?;
        let weights = learner.weights();
        checkpoint::save(&dir, &weights)?;
        checkpoint::save_optimizer(&dir, &weights, &learner.optimizer_state())?;
        self.save_codec(&dir)?;
        self.finish(phase, start)?;
        Ok(learner)
    }

    fn save_codec(&self, dir: &Path) -> Result<(), RunError> {
        self.codec.save(dir).map_err(|source| RunError::Codec {
            path: dir.into(),
            source,
        })
    }

    fn supervise(
        &mut self,
        learner: &mut Learner,
        phase: &str,
        rate: impl FnMut(u32) -> Option<f64>,
        steps: u64,
        next: impl FnMut() -> Example,
    ) -> Result<(), RunError> {
        let start = Instant::now();
        let (mut fed, mut trained) = (0, 0);
        let mut failed = None;
        let (store, observer, cancel) = (&self.store, &mut *self.observer, self.cancel);
        let settings = self.recipe.sft;
        learner.drop_from(Some(Stream::new(self.recipe.seed).named("dropout").named(phase)));
        let done = supervised(learner, &settings, 0, rate, next, |_, step| {
            fed += step.tokens;
            trained += step.targets;
            let metrics = [
                ("loss", step.loss),
                ("gradient_norm", step.norm),
                ("lr", step.lr),
                ("tokens_per_second", fed as f64 / start.elapsed().as_secs_f64()),
            ];
            failed = store.append_metrics(u64::from(step.step), phase, &metrics).err();
            observer.step(&Step {
                phase,
                step: u64::from(step.step),
                steps,
                metrics: &metrics,
            });
            if failed.is_some() || cancel.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        learner.drop_from(None);
        done.map_err(|Breakdown { step, source }| self.broken(phase, step, source.into()))?;
        self.state.trained_tokens += trained as u64;
        match failed {
            Some(error) => Err(error.into()),
            None => self.stopped(),
        }
    }

    /// The cold start continued for the wall time that reinforcement took, on fresh demonstrations of the same kind.
    fn matched(&mut self, mut learner: Learner, examples: &[Example]) -> Result<Arc<Weights>, RunError> {
        let (phase, dir) = ("sft_matched", self.checkpoint_dir("sft_matched"));
        if self.is_done(phase) {
            return Ok(Arc::new(checkpoint::load_on(&dir, &self.base)?));
        }
        self.observer.phase(phase);
        let start = Instant::now();
        self.store.delete_metrics(phase, 0)?;
        self.store.delete_phase("demonstrations/matched")?;
        let seconds = self.state.seconds.get("rl").copied().unwrap_or_default();
        let settings = self.recipe.sft;
        // As many new demonstrations as the time is likely to use, and the first ones again after that.
        let per_second = examples.len() as f64 / self.state.seconds.get("sft").copied().unwrap_or(1.0).max(0.1);
        let epochs = f64::from(settings.steps) * settings.batch_tokens as f64
            / examples.iter().map(|e| e.ids.len() as f64).sum::<f64>().max(1.0);
        let wanted = ((per_second * epochs * seconds) as u64).clamp(1, 50_000);
        let script = self.recipe.demonstrations.script.clone();
        let rollout = self.rollout("demonstrations/matched", self.script(&script)?, 0.0);
        let mut fresh = Vec::new();
        for from in (0..wanted).step_by(512) {
            let jobs: Vec<_> = (from..wanted.min(from + 512))
                .map(|i| self.training(MATCHED_TASKS + i, 1))
                .collect();
            for episode in self.play(&rollout, &jobs)?.iter().filter(|e| e.counts()) {
                fresh.extend(rows::demonstration(episode)?);
            }
        }
        self.keep_fitting(&mut fresh);
        if fresh.is_empty() {
            return Err(RunError::NoDemonstrations { script });
        }
        let mut deck = Deck::new(self.stream().named(phase), fresh.len());
        let begin = Instant::now();
        let rate = |_| {
            let done = begin.elapsed().as_secs_f64() / seconds.max(1e-9);
            (done < 1.0).then_some(settings.lr.peak * (1.0 - done))
        };
        let trained = self.state.trained_tokens;
        self.supervise(&mut learner, phase, rate, 0, || fresh[deck.draw()].clone())?;
        self.state.trained_tokens = trained;
        let weights = learner.weights();
        checkpoint::save(&dir, &weights)?;
        self.save_codec(&dir)?;
        self.finish(phase, start)?;
        Ok(weights)
    }
}

/// The scripts that may play the agent: those that plan, where the agent is a planner.
pub fn scripts(taskset: &dyn Taskset, plans: bool) -> &'static [ScriptInfo] {
    match plans {
        true => taskset.role_scripts(Role::Planner),
        false => taskset.scripts(),
    }
}

fn job(split: Split, index: u64, samples: u32) -> Job {
    Job {
        split,
        index,
        group: index,
        samples: 0..samples,
    }
}

/// Examples in a new random order every epoch.
struct Deck {
    stream: Stream,
    order: Vec<usize>,
    epoch: u64,
    at: usize,
}

impl Deck {
    fn new(stream: Stream, len: usize) -> Self {
        Self {
            stream,
            order: (0..len).collect(),
            epoch: 0,
            at: len,
        }
    }

    fn draw(&mut self) -> usize {
        if self.at == self.order.len() {
            let stream = self.stream.at(self.epoch);
            self.order
                .sort_by(|a, b| stream.uniform(*a as u64).total_cmp(&stream.uniform(*b as u64)));
            self.epoch += 1;
            self.at = 0;
        }
        self.at += 1;
        self.order[self.at - 1]
    }
}
