//! A run under way: begun or gone on with, and played.

use super::settings::{MAX_TASKS, PHASE, SETTINGS, Settings, settings};
use super::watch::{self, Then, Watch};
use super::{Args, prepare};
use crate::commands::run::greedy_or;
use crate::commands::trace::{BUDGET, pending};
use crate::console::say;
use crate::interrupt;
use crate::lock::RunLock;
use crate::models::{self, Cast, ModelSpec};
use crate::run_dir;
use crate::tasksets::{self, Suite};
use crate::users;
use anyhow::{Context, bail};
use hone_env::{Budget, Split, Taskset};
use hone_rollout::{Hooks, Job, Rollout, Stats, ToolSource, UserPlayer};
use hone_score::judge::Panel;
use hone_tool::ApprovalPolicy;
use hone_trace::{Episode, Filter, OutcomeKind, Secrets, Store, StoreError};
use hone_view::{Progress, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Where the run's database keeps the seconds that went into it so far.
pub(super) const SECONDS: &str = "seconds";
/// Where it keeps what was spent on episodes that were played again and are no longer in the record, in US dollars.
pub(super) const REPLACED_USD: &str = "replaced_usd";

/// Who else takes part.
#[derive(Default)]
struct Others {
    /// The simulated user, by name and hash of its weights.
    named: Option<(String, Option<String>)>,
    user: Option<UserPlayer>,
    judge: Option<Arc<Panel>>,
    /// Of all of them: what must not be written anywhere.
    secrets: Secrets,
}

impl Others {
    fn of(
        user: Option<ModelSpec>,
        judges: &[ModelSpec],
        suite: &Suite,
        prices: &[PathBuf],
        max_cost: Option<f64>,
    ) -> anyhow::Result<Self> {
        if max_cost.is_some() {
            models::affordable(user.iter().chain(judges), prices)?;
        }
        let taskset = &suite.taskset;
        let mut secrets = suite.secrets.clone();
        let judge = users::judges(judges, prices, &mut secrets)?;
        let default = users::default_user(taskset);
        if let (None, Some(spec)) = (&user, &default) {
            say(format!(
                "the user is {spec}, which answers by rule; name a model with --user for the benchmark's own kind"
            ));
        }
        let Some(spec) = user.or(default) else {
            return Ok(Self {
                judge,
                secrets,
                ..Self::default()
            });
        };
        let user = users::user(&spec, taskset, prices)?;
        secrets.extend(user.secrets);
        Ok(Self {
            named: Some((spec.to_string(), user.hash)),
            user: Some(user.player),
            judge,
            secrets,
        })
    }
}

impl Others {
    /// What must not be written of anybody who takes part.
    fn hidden(&self, cast: &Cast) -> Secrets {
        let mut secrets = cast.secrets.clone();
        secrets.extend(self.secrets.clone());
        secrets
    }
}

/// A bound on cost needs a price.
fn affordable(model: &ModelSpec, cast: &Cast, max_cost: Option<f64>) -> anyhow::Result<()> {
    if max_cost.is_some() && !cast.priced {
        bail!("the price of {model} is not known, so --max-cost cannot be kept; give it in a file with --prices");
    }
    Ok(())
}

/// Bounds and rules of the episodes.
fn budget(cast: &Cast, taskset: &dyn Taskset, settings: &Settings) -> Budget {
    Budget {
        confidence: settings.confidence,
        ..cast.budget(taskset)
    }
}

/// A run under way.
pub(super) struct Run {
    _lock: RunLock,
    pub dir: PathBuf,
    pub store: Store,
    pub settings: Settings,
    pub suite: Suite,
    pub taskset: Arc<dyn Taskset>,
    pub cast: Cast,
    others: Others,
    /// Which calls may run. [`Run::rule`] sets it.
    pub approval: Arc<ApprovalPolicy>,
    /// Where their results come from.
    pub tools: ToolSource,
}

impl Run {
    /// A new run directory, with its settings written.
    pub fn start(args: Args) -> anyhow::Result<Self> {
        // clap has made sure of both.
        let (Some(name), Some(model)) = (args.taskset, args.model) else {
            bail!("a taskset and --model are needed, or --resume DIR; see `hone eval --help`");
        };
        let policy = args.approval.text()?;
        let suite = tasksets::suite(&name)?.played_in(args.harness.as_deref())?;
        let taskset = suite.taskset.clone();
        let sampling = args.sampling.settings(args.temperature, &model)?;
        let cast = models::cast(&model, &taskset, &args.prices)?;
        affordable(&model, &cast, args.max_cost)?;
        let others = Others::of(args.user, &args.judges, &suite, &args.prices, args.max_cost)?;
        if args.confidence && !taskset.user_scripts().is_empty() {
            bail!("--confidence asks the agent after its answer, and in {name} a simulated user has the last word");
        }
        let n = match taskset.len(args.split) {
            Some(0) => bail!(
                "taskset {name} has no tasks in split {}; choose another split",
                args.split.name()
            ),
            Some(len) if len < args.n => {
                say(format!(
                    "{name} has only {len} tasks in split {}: all of them are played",
                    args.split.name()
                ));
                len
            }
            _ => args.n,
        };
        let dir = match args.out {
            Some(dir) => {
                std::fs::create_dir_all(&dir).with_context(|| {
                    format!(
                        "the run directory {} cannot be made; choose another with --out",
                        dir.display()
                    )
                })?;
                dir
            }
            None => run_dir::next(
                Path::new("runs"),
                &format!("eval-{}-{}", taskset.name(), model.policy()),
            )?,
        };
        let lock = RunLock::take(&dir)?;
        let mut store = Store::create(dir.join("run.db"))?;
        store.hide(others.hidden(&cast));
        let settings = Settings {
            taskset: name,
            model: model.to_string(),
            model_hash: cast.identity.clone(),
            user: others.named.clone(),
            judges: args.judges.iter().map(ModelSpec::to_string).collect(),
            harness: args.harness,
            suite: suite.digest.is_some().then(|| taskset.name().to_owned()),
            tasks_hash: suite.digest.clone(),
            split: args.split,
            n,
            samples: args.samples,
            temperature: args.temperature,
            sampling,
            confidence: args.confidence,
            seed: args.seed,
            prices: args.prices,
            policy,
            approve: args.approval.approve,
        };
        store.set_meta(SETTINGS, &serde_json::to_value(&settings)?)?;
        store.set_meta("hone", &env!("CARGO_PKG_VERSION").into())?;
        let budget = budget(&cast, &*taskset, &settings);
        store.set_meta(BUDGET, &serde_json::to_value(budget)?)?;
        Ok(Self {
            _lock: lock,
            dir,
            store,
            settings,
            suite,
            taskset,
            cast,
            others,
            approval: Arc::default(),
            tools: ToolSource::default(),
        })
    }

    pub fn resume(
        dir: &Path,
        moved: Option<ModelSpec>,
        prices: Vec<PathBuf>,
        max_cost: Option<f64>,
    ) -> anyhow::Result<Self> {
        let mut store = Store::open(dir.join("run.db"))?;
        let lock = RunLock::take(dir)?;
        let settings = settings(&store, dir)?;
        let s = &settings;
        if !(1..=MAX_TASKS).contains(&s.n)
            || !(1..=1024).contains(&s.samples)
            || models::temperature(&s.temperature.to_string()).is_err()
        {
            bail!(
                "the settings of {} are out of range; start the evaluation anew",
                dir.display()
            );
        }
        let spec = match moved {
            Some(spec) => spec,
            None => settings.model.parse().map_err(anyhow::Error::msg)?,
        };
        let suite = tasksets::suite(&settings.taskset)?.played_in(settings.harness.as_deref())?;
        if suite.digest != settings.tasks_hash {
            bail!(
                "{} was changed since {} began; start a new evaluation",
                settings.taskset,
                dir.display()
            );
        }
        let taskset = suite.taskset.clone();
        let prices = if prices.is_empty() { &settings.prices } else { &prices };
        let cast = models::cast(&spec, &taskset, prices)?;
        affordable(&spec, &cast, max_cost)?;
        let same_script = cast.identity.is_some() || spec.to_string() == settings.model;
        if cast.identity != settings.model_hash || !same_script {
            bail!(
                "{spec} is not the model that {} was started with; give that one with --model, or start a new evaluation",
                dir.display()
            );
        }
        let spec = |name: &String| name.parse::<ModelSpec>().map_err(anyhow::Error::msg);
        let user = settings.user.as_ref().map(|(name, _)| spec(name)).transpose()?;
        let judges = settings.judges.iter().map(spec).collect::<anyhow::Result<Vec<_>>>()?;
        let others = Others::of(user, &judges, &suite, prices, max_cost)?;
        if others.named != settings.user {
            bail!(
                "the simulated user of {} is not there as it was; bring its model back, or start a new evaluation",
                dir.display()
            );
        }
        store.hide(others.hidden(&cast));
        Ok(Self {
            _lock: lock,
            dir: dir.into(),
            store,
            settings,
            suite,
            taskset,
            cast,
            others,
            approval: Arc::default(),
            tools: ToolSource::default(),
        })
    }

    /// What must not be written anywhere.
    pub fn secrets(&self) -> Secrets {
        self.others.hidden(&self.cast)
    }

    /// Seconds that earlier calls put into it.
    pub fn seconds(&self) -> Result<f64, StoreError> {
        Ok(self.store.get_meta(SECONDS)?.and_then(|s| s.as_f64()).unwrap_or(0.0))
    }

    /// What was spent on failed episodes that will be played again, by id, and on all others, in US dollars.
    pub fn spent(&self) -> Result<(BTreeMap<String, f64>, f64), StoreError> {
        let mut failed = BTreeMap::new();
        let mut spent = self.replaced()? + prepare::cost(&self.store)?;
        self.store.for_each(&Filter::phase(PHASE), |episode| {
            let cost = watch::cost(&episode);
            if episode.outcome.kind() == OutcomeKind::InfraFailed {
                failed.insert(episode.id, cost);
            } else {
                spent += cost;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok((failed, spent))
    }

    fn replaced(&self) -> Result<f64, StoreError> {
        Ok(self
            .store
            .get_meta(REPLACED_USD)?
            .and_then(|usd| usd.as_f64())
            .unwrap_or(0.0))
    }

    /// Who plays what and how.
    pub fn rollout(&self, taskset: Arc<dyn Taskset>, phase: &str, concurrency: usize) -> Rollout {
        Rollout {
            budget: budget(&self.cast, &*taskset, &self.settings),
            taskset,
            player: self.cast.player.clone(),
            user: self.others.user.clone(),
            judge: self.others.judge.clone(),
            harness: self.suite.harness.clone(),
            sampling: self
                .settings
                .sampling
                .clone()
                .unwrap_or_else(|| greedy_or(self.settings.temperature)),
            approval: self.approval.clone(),
            tools: self.tools.clone(),
            forking: None,
            seed: self.settings.seed,
            phase: phase.to_owned(),
            concurrency,
        }
    }

    /// Play what is missing, but for episodes that wait for a decision. Whether the user stopped it.
    pub fn play(&self, undecided: &[String], concurrency: usize, max_cost: Option<f64>) -> anyhow::Result<bool> {
        let recorded = self.store.episodes(&Filter::phase(PHASE))?;
        let mut done: BTreeSet<String> = recorded
            .into_iter()
            .filter(|episode| episode.outcome.kind() != OutcomeKind::InfraFailed)
            .map(|episode| episode.id)
            .collect();
        let finished = done.len();
        done.extend(undecided.iter().cloned());
        let s = &self.settings;
        let jobs = missing(PHASE, s.split, s.n, s.samples, &done);
        if finished > 0 {
            say(format!("{finished} episodes are recorded already"));
        }
        let rollout = self.rollout(self.taskset.clone(), PHASE, concurrency);
        let (failed, spent) = if self.cast.priced {
            self.spent()?
        } else {
            Default::default()
        };
        let mut watch = Watch::new(max_cost, spent + failed.values().sum::<f64>());
        let enough = AtomicBool::new(watch.stop().is_some());
        let cancel = interrupt::flag();
        let mut progress = Progress::stderr().of("episode");
        progress.phase(&format!("eval {}", s.taskset));
        let started = Instant::now();
        let mut stats = Stats::default();
        let mut steps = 0;
        let all: u64 = jobs
            .iter()
            .map(|job| u64::from(job.samples.end - job.samples.start))
            .sum();
        let mut count = |episode: &Episode| {
            match watch.see(episode) {
                Then::Go => {}
                Then::Finish => enough.store(true, Ordering::Relaxed),
                Then::Drop => cancel.store(true, Ordering::Relaxed),
            }
            stats.add(episode);
            steps += 1;
            progress.update(Status {
                step: steps,
                steps: all,
                success: stats.success(),
                valid_calls: stats.valid_call_rate(),
                turns: stats.mean_turns(),
                tokens_per_second: Some(stats.sampled_tokens as f64 / started.elapsed().as_secs_f64().max(1e-3))
                    .filter(|_| stats.sampled_tokens > 0),
                ..Status::default()
            });
        };
        let mut sink = |episode: &Episode| {
            self.store.append(std::slice::from_ref(episode))?;
            if self.tools.waiting.contains_key(&episode.id) {
                pending::done(&self.store, &episode.id)?;
            }
            if let Some(cost) = failed.get(&episode.id).filter(|cost| **cost > 0.0) {
                self.store.set_meta(REPLACED_USD, &(self.replaced()? + cost).into())?;
            }
            Ok(())
        };
        let hooks = Hooks {
            sink: Some(&mut sink),
            on_episode: Some(&mut count),
            cancel: Some(cancel),
            enough: Some(&enough),
        };
        let played = rollout.run(&jobs, hooks)?;
        progress.finish();
        // The last episode may have been the one that was too much.
        if let Some(why) = watch.stop()
            && (played.len() as u64) < all
        {
            bail!("{why}");
        }
        Ok((played.len() as u64) < all)
    }
}

/// Tasks `0..n` with `samples` episodes each, without those that are done. Group and index are the same number.
pub(super) fn missing(phase: &str, split: Split, n: u64, samples: u32, done: &BTreeSet<String>) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for index in 0..n {
        for sample in (0..samples).filter(|sample| !done.contains(&format!("{phase}/{index}/{sample}"))) {
            match jobs.last_mut() {
                Some(job) if job.index == index && job.samples.end == sample => job.samples.end += 1,
                _ => jobs.push(Job {
                    split,
                    index,
                    group: index,
                    samples: sample..sample + 1,
                }),
            }
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_played() {
        let done = ["eval/0/0", "eval/1/1", "eval/2/0", "eval/2/1", "eval/2/2", "eval/9/0"];
        let done = done.map(str::to_owned).into();
        let jobs = missing(PHASE, Split::Test, 4, 3, &done);
        let found: Vec<_> = jobs.iter().map(|job| (job.index, job.samples.clone())).collect();
        assert_eq!(found, [(0, 1..3), (1, 0..1), (1, 2..3), (3, 0..3)]);
    }
}
