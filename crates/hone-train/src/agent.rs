//! Teaching a model a taskset: demonstrations, cold start, reinforcement, with held-out evaluation around each.
//!
//! A run is a sequence of phases over one directory: `run.db` (every episode and metric), `state.json` (what is done),
//! `checkpoints/`. A phase that is done is not repeated; one that was cut off is rolled back and played again, so that a
//! resumed run ends with the same episodes as one that was never stopped. The exception is said in the store: what
//! depends on the wall clock (the matched cold start, [`TIMED`]) stays out of the run's digest.

use crate::observe::{Observer, Step};
use crate::recipe::AgentRecipe;
use crate::rows;
use crate::stages::{Method, StageError};
use crate::supervised::{Breakdown, Example, supervised};
use crate::update::{UpdateError, UpdateSettings, update};
use hone_engine::checkpoint::{self, CheckpointError};
use hone_engine::{LearnError, Learner, Sampler, Weights};
use hone_env::{EnvError, Split, Taskset};
use hone_harness::React;
use hone_model::{Codec, CodecError, Model, Scripted};
use hone_rollout::{Hooks, Job, Player, Rollout, RolloutError, Stats};
use hone_score::{Measures, Rate};
use hone_tool::ApprovalPolicy;
use hone_trace::{Episode, Filter, Flaw, SamplingSettings, Store, StoreError, Stream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Phases that depend on the wall clock and are left out of a run's digest.
pub const TIMED: [&str; 2] = ["demonstrations/matched", "eval/sft_matched"];

/// Training tasks of the matched cold start begin here, far from those of the run proper.
const MATCHED_TASKS: u64 = 1 << 40;
/// Episodes in flight during evaluation and demonstrations.
const IN_FLIGHT: usize = 128;
/// How fast a kind's success estimate follows.
const KIND_MEMORY: f64 = 0.7;
/// Least share of a kind's tasks that is taken, however settled the kind is.
const FOCUS_FLOOR: f64 = 0.05;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    #[error(transparent)]
    Env(#[from] EnvError),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Update(#[from] UpdateError),
    #[error(
        "{phase} broke down at step {step} (the first is 0); lower `{key}` in {} before you resume",
        recipe.display()
    )]
    Broken {
        phase: String,
        step: u32,
        key: &'static str,
        recipe: PathBuf,
        source: Box<UpdateError>,
    },
    #[error(
        "the model that plays {phase} gives log-probabilities that are not finite, so nothing of this was recorded; take another base model, or a lower learning rate if training brought it here"
    )]
    Policy { phase: String },
    #[error("cannot write the tokenizer to {}; check that it may be written and that the disk is not full", path.display())]
    Codec { path: PathBuf, source: CodecError },
    #[error(transparent)]
    Learn(#[from] LearnError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("a recorded episode is damaged: {0}; delete the run directory and start again")]
    Flaw(#[from] Flaw),
    #[error("taskset {taskset} has no scripted agent {name}; it has {have}")]
    NoScript {
        taskset: String,
        name: String,
        have: String,
    },
    #[error("the demonstrations of {script} hold no token to learn; choose another `demonstrations.script`")]
    NoDemonstrations { script: String },
    #[error("{path}: {what}; the file is damaged, so the run cannot be resumed: start a new one")]
    State { path: PathBuf, what: String },
    #[error("stopped")]
    Stopped,
}

/// Success on the held-out tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Greedy decoding; for scripts, the way they play.
    pub greedy: Option<Rate>,
    /// Temperature 1.
    pub sampled: Option<Rate>,
}

/// What a run has done so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Phases that are done.
    pub done: Vec<String>,
    /// Wall-clock seconds by phase.
    pub seconds: BTreeMap<String, f64>,
    /// Held-out success by agent.
    pub evaluations: BTreeMap<String, Evaluation>,
    /// Success of the demonstrations themselves.
    pub demonstrations: Option<Rate>,
    /// Tokens sampled during reinforcement.
    pub sampled_tokens: u64,
    /// Tokens trained on in all phases.
    pub trained_tokens: u64,
    /// Reinforcement steps done.
    pub rl_step: u32,
    /// Next training task.
    pub cursor: u64,
    /// Running estimate of success by kind of task.
    pub kinds: BTreeMap<String, f64>,
    /// Checkpoint that reinforcement continues from.
    pub checkpoint: Option<String>,
    /// The base model that the run began with has this digest of its weights file.
    pub base: Option<String>,
}

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
    /// Tokenizer and chat format.
    pub codec: Arc<Codec>,
    /// The model to teach.
    pub base: Weights,
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

impl State {
    /// The state of a run's directory; a fresh one if there is none.
    ///
    /// # Errors
    /// When the file is damaged or cannot be read.
    pub fn load(dir: &Path) -> Result<Self, RunError> {
        let path = dir.join("state.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| RunError::State {
                path,
                what: e.to_string(),
            }),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(RunError::Checkpoint(CheckpointError::File {
                action: "read",
                path,
                source,
                remedy: "make it readable, then resume",
            })),
        }
    }
}

impl Run<'_> {
    /// Run all phases that are not done yet.
    ///
    /// # Errors
    /// When something cannot be made, read or written, or the run was stopped. What was done is kept.
    pub fn execute(&mut self) -> Result<(), RunError> {
        self.store.set_meta("timed_phases", &serde_json::json!(TIMED))?;
        let method = self.recipe.method()?;
        let examples = self.demonstrations()?;
        let base = Arc::new(self.base.clone());
        self.evaluate_policy("before", &base)?;
        for name in self.recipe.eval.baselines.clone() {
            self.evaluate_script(&name)?;
        }
        let sft = self.cold_start(&examples)?;
        self.evaluate_policy("sft", &sft.weights())?;
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

    fn checkpoint_dir(&self, name: &str) -> PathBuf {
        self.dir.join("checkpoints").join(name)
    }

    fn rollout(&self, phase: &str, player: Player, temperature: f32) -> Rollout {
        let held_out = phase.starts_with("eval/") || phase.starts_with("validate/");
        Rollout {
            taskset: Arc::clone(if held_out { &self.held_out } else { &self.taskset }),
            player,
            harness: Arc::new(React),
            budget: self.held_out.budget(),
            sampling: SamplingSettings {
                temperature,
                top_p: 1.0,
                top_k: 0,
                max_tokens: 0,
                stream: String::new(),
            },
            approval: Arc::new(ApprovalPolicy::AllowAll),
            seed: self.recipe.seed,
            phase: phase.to_owned(),
            concurrency: IN_FLIGHT,
        }
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
        let hooks = Hooks {
            cancel: Some(self.cancel),
            ..Hooks::default()
        };
        let episodes = rollout.run(jobs, hooks)?;
        self.stopped()?;
        let mut logprobs = episodes
            .iter()
            .flat_map(|e| &e.model_calls)
            .flat_map(|call| &call.logprobs);
        if logprobs.any(|l| !l.is_finite()) {
            return Err(RunError::Policy {
                phase: rollout.phase.clone(),
            });
        }
        self.store.append(&episodes)?;
        Ok(episodes)
    }

    fn script(&self, name: &str) -> Result<Player, RunError> {
        if !self.taskset.scripts().iter().any(|s| s.name == name) {
            let have: Vec<_> = self.taskset.scripts().iter().map(|s| s.name).collect();
            return Err(RunError::NoScript {
                taskset: self.taskset.name().to_owned(),
                name: name.to_owned(),
                have: have.join(", "),
            });
        }
        let (taskset, codec, name) = (Arc::clone(&self.taskset), Arc::clone(&self.codec), name.to_owned());
        Ok(Player::PerEpisode(Arc::new(move |task, stream| -> Arc<dyn Model> {
            // The name was checked above, for every task alike.
            let script = taskset
                .script(&name, task, stream)
                .unwrap_or_else(|| panic!("script {name} is gone"));
            Arc::new(Scripted::new(name.clone(), script, Arc::clone(&codec)))
        })))
    }

    fn demonstrations(&mut self) -> Result<Vec<Example>, RunError> {
        let (phase, settings) = ("demonstrations", self.recipe.demonstrations.clone());
        if !self.is_done(phase) {
            self.observer.phase(phase);
            let start = Instant::now();
            self.store.delete_phase(phase)?;
            let rollout = self.rollout(phase, self.script(&settings.script)?, 0.0);
            let mut measures = Measures::default();
            for from in (0..settings.episodes).step_by(512) {
                let jobs: Vec<_> = (from..settings.episodes.min(from + 512))
                    .map(|index| job(Split::Train, index, 1))
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
            if episode.phase == phase {
                examples.extend(rows::demonstration(&episode)?);
            }
            Ok(())
        })?;
        if examples.is_empty() {
            return Err(RunError::NoDemonstrations {
                script: settings.script,
            });
        }
        Ok(examples)
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
                sampled: None,
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
            Arc::clone(&self.codec),
            Arc::clone(weights),
            0,
            self.threads,
        ));
        let jobs: Vec<_> = (0..self.recipe.eval.tasks)
            .map(|index| job(Split::Test, index, 1))
            .collect();
        let mut evaluation = Evaluation::default();
        for (way, temperature) in [("greedy", 0.0), ("sampled", 1.0)] {
            let rollout = self.rollout(&format!("{phase}/{way}"), Player::Shared(sampler.clone()), temperature);
            let rate = Measures::of(&self.play(&rollout, &jobs)?).success();
            match way {
                "greedy" => evaluation.greedy = rate,
                _ => evaluation.sampled = rate,
            }
        }
        let percent = |rate: Option<Rate>| rate.map_or("no".to_owned(), |r| format!("{:.1} %", 100.0 * r.value));
        self.observer.note(&format!(
            "{name}: {} of {} held-out tasks greedily, {} at temperature 1",
            percent(evaluation.greedy),
            self.recipe.eval.tasks,
            percent(evaluation.sampled)
        ));
        self.state.evaluations.insert(name.to_owned(), evaluation);
        self.finish(&phase, start)
    }

    fn cold_start(&mut self, examples: &[Example]) -> Result<Learner, RunError> {
        let (phase, dir) = ("sft", self.checkpoint_dir("sft"));
        if self.is_done(phase) {
            let weights = checkpoint::load(&dir)?;
            let state = checkpoint::load_optimizer(&dir, &weights)?;
            let mut learner = Learner::new(weights, self.threads);
            learner.restore_optimizer(state)?;
            return Ok(learner);
        }
        self.observer.phase(phase);
        let start = Instant::now();
        self.store.delete_metrics(phase, 0)?;
        let mut learner = Learner::new(self.base.clone(), self.threads);
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
            return Ok(Arc::new(checkpoint::load(&dir)?));
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
                .map(|i| job(Split::Train, MATCHED_TASKS + i, 1))
                .collect();
            for episode in self.play(&rollout, &jobs)? {
                fresh.extend(rows::demonstration(&episode)?);
            }
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

    fn reinforce(&mut self, method: &Method, sft: &Learner) -> Result<Arc<Weights>, RunError> {
        let phase = "rl";
        let settings = self.recipe.rl.clone();
        let mut learner = match &self.state.checkpoint {
            Some(name) => {
                let dir = self.checkpoint_dir(name);
                let weights = checkpoint::load(&dir)?;
                let state = checkpoint::load_optimizer(&dir, &weights)?;
                let mut learner = Learner::new(weights, self.threads);
                learner.restore_optimizer(state)?;
                learner
            }
            None => Learner::new(Weights::clone(&sft.weights()), self.threads),
        };
        if self.is_done(phase) {
            return Ok(learner.weights());
        }
        self.observer.phase(phase);
        let from = self.state.rl_step;
        for step in from..settings.steps {
            self.store.delete_phase(&format!("rl/{step}"))?;
            self.store.delete_phase(&format!("validate/{step}"))?;
        }
        self.store.delete_metrics(phase, u64::from(from))?;
        let version = u64::from(from);
        let sampler = Arc::new(Sampler::new(
            "policy",
            Arc::clone(&self.codec),
            learner.weights(),
            version,
            self.threads,
        ));
        let mut start = Instant::now();
        for step in from..settings.steps {
            let begin = Instant::now();
            let indices = self.choose_tasks(settings.tasks, settings.focus)?;
            let jobs: Vec<_> = indices
                .iter()
                .zip(0..)
                .map(|(index, group)| Job {
                    group,
                    ..job(Split::Train, *index, settings.samples)
                })
                .collect();
            let rollout = Rollout {
                concurrency: jobs.len() * settings.samples as usize,
                ..self.rollout(&format!("rl/{step}"), Player::Shared(sampler.clone()), 1.0)
            };
            let episodes = self.play(&rollout, &jobs)?;
            let sampling = begin.elapsed().as_secs_f64();
            let stats = Stats::of(&episodes);
            self.learn_kinds(&episodes);
            let rollouts = episodes.iter().map(rows::rollout).collect::<Result<Vec<_>, _>>()?;
            let groups: BTreeMap<_, _> = rollouts.iter().map(|r| (r.id.clone(), r.group)).collect();
            let prepared = method.prepare(rollouts)?;
            let lr = settings.lr.at(step, settings.steps);
            let how = UpdateSettings {
                updates: settings.updates,
                temperature: 1.0,
                lr,
                adamw: settings.adamw,
            };
            let done = update(&mut learner, method, prepared, &groups, &how)
                .map_err(|source| self.broken(phase, step, source))?;
            sampler.publish(&learner.weights(), u64::from(step) + 1);
            self.state.sampled_tokens += stats.sampled_tokens;
            self.state.trained_tokens += done.trained as u64;
            let seconds = begin.elapsed().as_secs_f64();
            let measures = Measures::of(&episodes);
            let mut metrics = vec![
                ("success", stats.success().unwrap_or(0.0)),
                ("valid_calls", stats.valid_call_rate().unwrap_or(1.0)),
                ("turns", stats.mean_turns().unwrap_or(0.0)),
                ("sampled_tokens", measures.mean_sampled_tokens().unwrap_or(0.0)),
                ("zero_variance", done.stats.zero_variance_share),
                ("entropy", done.stats.entropy),
                ("clip_fraction", done.stats.clip_fraction),
                ("approx_kl", done.stats.approx_kl),
                ("ratio_error", done.stats.ratio_error),
                ("loss", done.stats.loss),
                ("gradient_norm", done.norm),
                ("lr", lr),
                ("infra_failed", stats.infra_failed as f64),
                ("seconds_sampling", sampling),
                ("seconds_learning", seconds - sampling),
                ("tokens_per_second", stats.sampled_tokens as f64 / seconds),
            ];
            let parts = measures.score_parts();
            let parts: Vec<_> = parts
                .iter()
                .map(|(name, value)| (format!("part/{name}"), *value))
                .collect();
            metrics.extend(parts.iter().map(|(name, value)| (name.as_str(), *value)));
            let last = step + 1 == settings.steps;
            let due = settings.validate_every > 0 && (step.is_multiple_of(settings.validate_every) || last);
            if due && let Some(rate) = self.validate(step, &sampler)? {
                metrics.push(("validation", rate.value));
            }
            self.store.append_metrics(u64::from(step), phase, &metrics)?;
            self.observer.step(&Step {
                phase,
                step: u64::from(step),
                steps: u64::from(settings.steps),
                metrics: &metrics,
            });
            self.state.rl_step = step + 1;
            if last || (step + 1) % settings.checkpoint_every == 0 {
                *self.state.seconds.entry(phase.to_owned()).or_default() += start.elapsed().as_secs_f64();
                start = Instant::now();
                self.checkpoint_rl(step + 1, &learner)?;
            }
            self.stopped()?;
        }
        self.finish(phase, start)?;
        Ok(learner.weights())
    }

    fn checkpoint_rl(&mut self, step: u32, learner: &Learner) -> Result<(), RunError> {
        let name = format!("rl-{step:05}");
        let dir = self.checkpoint_dir(&name);
        let weights = learner.weights();
        checkpoint::save(&dir, &weights)?;
        checkpoint::save_optimizer(&dir, &weights, &learner.optimizer_state())?;
        self.save_codec(&dir)?;
        let old = self.state.checkpoint.replace(name);
        self.save()?;
        if let Some(old) = old {
            // Left-overs do no harm.
            let _ = std::fs::remove_dir_all(self.checkpoint_dir(&old));
        }
        Ok(())
    }

    fn validate(&mut self, step: u32, sampler: &Arc<Sampler>) -> Result<Option<Rate>, RunError> {
        let rollout = self.rollout(&format!("validate/{step}"), Player::Shared(sampler.clone()), 0.0);
        let jobs: Vec<_> = (0..self.recipe.eval.validation_tasks)
            .map(|index| job(Split::Validation, index, 1))
            .collect();
        Ok(Measures::of(&self.play(&rollout, &jobs)?).success())
    }

    /// The next training tasks. A task of a kind that succeeds with probability `p` is taken with probability
    /// `1 - focus * p`: what is solved makes room for what is not, so that a majority of like cases (refusals, say) does
    /// not train away the minority.
    fn choose_tasks(&mut self, n: u64, focus: f64) -> Result<Vec<u64>, RunError> {
        let stream = self.stream().named("focus");
        let mut chosen = Vec::new();
        while (chosen.len() as u64) < n {
            let index = self.state.cursor;
            self.state.cursor += 1;
            let take = if focus > 0.0 {
                let task = self.taskset.task(Split::Train, index)?;
                let p = self.state.kinds.get(&task.kind).copied().unwrap_or(0.5);
                (1.0 - focus * p).max(FOCUS_FLOOR)
            } else {
                1.0
            };
            if stream.uniform(index) < take {
                chosen.push(index);
            }
        }
        Ok(chosen)
    }

    fn learn_kinds(&mut self, episodes: &[Episode]) {
        for (kind, tally) in &Measures::of(episodes).kinds {
            if let Some(now) = tally.fraction() {
                let p = self.state.kinds.entry(kind.clone()).or_insert(0.5);
                *p = KIND_MEMORY * *p + (1.0 - KIND_MEMORY) * now;
            }
        }
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
