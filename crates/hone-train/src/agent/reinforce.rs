//! Reinforcement: choose tasks, play them in groups, learn from them, publish the policy, and again.

use super::{Run, RunError, job};
use crate::observe::Step;
use crate::rows;
use crate::stages::Method;
use crate::update::{UpdateSettings, refer, update};
use hone_engine::checkpoint;
use hone_engine::{Learner, Sampler, Weights};
use hone_env::Split;
use hone_harness::NoTools;
use hone_rollout::{Job, Player, Rollout, Stats};
use hone_score::{Measures, Rate};
use hone_trace::Episode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// How fast a kind's success estimate follows.
const KIND_MEMORY: f64 = 0.7;
/// Least share of a kind's tasks that is taken, however settled the kind is.
const FOCUS_FLOOR: f64 = 0.05;

/// Where a run's store keeps what a step of reinforcement made of its rollouts: `{"stages": [StageReport], "seen": [Seen], "reference"}`. The last
/// holds, by rollout and row, all tokens' log-probabilities by the reference model, where the method's reward needs them.
pub fn update_key(step: u32) -> String {
    format!("rl/{step}/update")
}

impl Run<'_> {
    pub(super) fn reinforce(&mut self, method: &Method, sft: &Learner) -> Result<Arc<Weights>, RunError> {
        let phase = "rl";
        let settings = self.recipe.rl.clone();
        let mut learner = match &self.state.checkpoint {
            Some(name) => self.learner_of(&self.checkpoint_dir(name))?,
            None => self.learner(Weights::clone(&sft.weights())),
        };
        if self.is_done(phase) {
            return Ok(learner.weights());
        }
        self.observer.phase(phase);
        let from = self.state.rl_step;
        if let Some(first) = settings.first_task.filter(|_| from == 0) {
            self.state.cursor = first;
        }
        for step in from..settings.steps {
            let gone = self.store.delete_phase(&format!("rl/{step}"))?;
            let validated = self.store.delete_phase(&format!("validate/{step}"))?;
            // No step without the one before; and a run that a number of tokens ends may plan a million of them.
            if gone + validated == 0 {
                break;
            }
        }
        self.store.delete_metrics(phase, u64::from(from))?;
        let version = u64::from(from);
        let sampler = Arc::new(Sampler::new(
            "policy",
            self.codec.clone(),
            learner.weights(),
            version,
            self.threads,
        ));
        // The model that reinforcement starts from.
        let mut reference = (method.needs_reference() || method.needs_reference_first())
            .then(|| Learner::new(Weights::clone(&sft.weights()), self.threads));
        let mut start = Instant::now();
        let spent = |tokens: u64| settings.max_tokens > 0 && tokens >= settings.max_tokens;
        for step in from..settings.steps {
            if spent(self.state.sampled_tokens) {
                break;
            }
            let begin = Instant::now();
            let indices = self.choose_tasks(settings.tasks, settings.focus)?;
            let jobs = indices
                .iter()
                .zip(0..)
                .map(|(index, group)| Job {
                    group,
                    ..self.training(*index, settings.samples)
                })
                .collect::<Vec<_>>();
            let rollout = Rollout {
                concurrency: self.in_flight(jobs.len() * settings.samples as usize),
                ..self.rollout(&format!("rl/{step}"), Player::Shared(sampler.clone()), 1.0)
            };
            let alone = jobs.iter().map(|job| Job {
                samples: settings.samples..settings.samples + settings.no_tools,
                ..job.clone()
            });
            let alone: Vec<Job> = alone.filter(|job| !job.samples.is_empty()).collect();
            let episodes = match settings.wave {
                Some(wave) => self.play_waves(method, &rollout, jobs, wave)?,
                None => self.play(&rollout, &jobs)?,
            };
            let without = Rollout {
                harness: Arc::new(NoTools),
                forking: None,
                ..rollout
            };
            let alone = match settings.no_tools {
                0 => Vec::new(),
                _ => self.play(&without, &alone)?,
            };
            let sampling = begin.elapsed().as_secs_f64();
            let stats = Stats::of(&episodes);
            self.learn_kinds(&episodes);
            let all = episodes.iter().chain(&alone);
            let mut rollouts = all.clone().map(rows::rollout).collect::<Result<Vec<_>, _>>()?;
            if let Some(reference) = reference.as_mut().filter(|_| method.needs_reference_first()) {
                refer(reference, rollouts.iter_mut().flat_map(|it| &mut it.rows), 1.0);
            }
            let reference_first: BTreeMap<String, Vec<Option<Vec<f32>>>> = rollouts
                .iter()
                .filter(|_| method.needs_reference_first())
                .map(|it| (it.id.clone(), it.rows.iter().map(|row| row.logp_ref.clone()).collect()))
                .collect();
            let prepared = method.prepare_with(u64::from(step), rollouts, &mut self.state.memory)?;
            let lr = settings.lr.at(step, settings.steps);
            let how = UpdateSettings {
                updates: settings.updates,
                micro_batch: settings.micro_batch,
                temperature: 1.0,
                lr,
                adamw: settings.adamw,
            };
            let done = update(&mut learner, reference.as_mut(), method, prepared, &how)
                .map_err(|source| self.broken(phase, step, source))?;
            let mut record = serde_json::json!({"stages": done.reports, "seen": done.seen});
            if !reference_first.is_empty() {
                record["reference"] = serde_json::json!(reference_first);
            }
            self.store.set_meta(&update_key(step), &record)?;
            sampler.publish(&learner.weights(), u64::from(step) + 1);
            // What several leaves share was sampled once.
            let sampled = all.map(Episode::own_sampled_tokens).sum::<u64>();
            self.state.sampled_tokens += sampled;
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
                ("tokens_per_second", sampled as f64 / seconds),
                ("total_tokens", self.state.sampled_tokens as f64),
                ("calls", measures.mean_tool_calls().unwrap_or(0.0)),
            ];
            if reference.is_some() {
                metrics.push(("kl_ref", done.stats.kl_ref));
            }
            if let Some(said) = measures.calibration() {
                metrics.push(("ece", said.ece));
                metrics.push(("brier", said.brier));
            }
            if let Some(rate) = Measures::of(&alone).success() {
                metrics.push(("success_without_tools", rate.value));
            }
            if settings.branch.is_some() {
                let forked = episodes.iter().filter(|it| it.forked_from.is_some()).count();
                metrics.push(("forked", forked as f64 / episodes.len().max(1) as f64));
            }
            let parts = measures.score_parts();
            let parts: Vec<_> = parts
                .iter()
                .map(|(name, value)| (format!("part/{name}"), *value))
                .collect();
            metrics.extend(parts.iter().map(|(name, value)| (name.as_str(), *value)));
            let last = step + 1 == settings.steps || spent(self.state.sampled_tokens);
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

    /// Play jobs a wave of rollouts at a time, each as long as the method asks for more of its task.
    fn play_waves(
        &mut self,
        method: &Method,
        rollout: &Rollout,
        mut jobs: Vec<Job>,
        wave: u32,
    ) -> Result<Vec<Episode>, RunError> {
        let mut episodes: Vec<Episode> = Vec::new();
        let mut from = 0;
        while !jobs.is_empty() {
            let now = jobs.iter().map(|job| Job {
                samples: from..job.samples.end.min(from + wave),
                ..job.clone()
            });
            episodes.extend(self.play(rollout, &now.collect::<Vec<_>>())?);
            from += wave;
            jobs.retain(|job| {
                let counted = episodes.iter().filter(|it| it.group == job.group && it.counts());
                let rewards: Vec<f64> = counted.filter_map(|it| it.reward).collect();
                from < job.samples.end && method.enough(&rewards) == Some(false)
            });
        }
        episodes.sort_by_key(|it| (it.group, it.sample));
        Ok(episodes)
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
                let task = self.taskset.task(Split::Train, self.training(index, 1).index)?;
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
