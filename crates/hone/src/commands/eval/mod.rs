//! `hone eval`: many episodes, recorded, and what they add up to.

mod baselines;
pub mod compare;
mod conformance;
pub mod gate;
mod page;
mod replay;
#[cfg(any(feature = "bfcl", feature = "tau"))]
mod score;
mod show;
mod tools;
mod watch;

use super::run::greedy_or;
use super::trace::{BUDGET, pending};
use crate::approve::{ApprovalArgs, How};
use crate::console::{print_json, say, table};
use crate::data;
use crate::interrupt::{self, Interrupted};
use crate::lock::RunLock;
use crate::models::{self, Cast, ModelSpec, PLAYERS};
use crate::run_dir;
use crate::tasksets::{self, Suite};
use crate::users;
use anyhow::{Context, bail};
use baselines::Recorded;
use gate::{Gate, GateFailed, Side};
use hone_env::{Split, Taskset};
use hone_rollout::{Hooks, Job, Rollout, Stats, ToolSource, UserPlayer};
use hone_score::judge::Panel;
use hone_score::{EvalSummary, Measures, Rate, alarms, define};
use hone_tool::ApprovalPolicy;
use hone_trace::{Episode, Filter, OutcomeKind, Secrets, Store, StoreError};
use hone_view::{EvalReport, Progress, Status};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tools::ToolArgs;
use watch::{Then, Watch};

/// The phase that the episodes are recorded under.
const PHASE: &str = "eval";
/// Where the run's database keeps the settings.
const SETTINGS: &str = "eval";
/// Most tasks of an evaluation.
const MAX_TASKS: u64 = 1_000_000;
/// Where it keeps the seconds that went into it so far.
const SECONDS: &str = "seconds";
/// Where it keeps what was spent on episodes that were played again and are no longer in the record, in US dollars.
const REPLACED_USD: &str = "replaced_usd";

/// Measure a model or a script on many tasks.
///
/// Plays the first N tasks of a split and records every episode in a run directory as soon as it is finished. A run that
/// was stopped or killed goes on with --resume: what is recorded stays, only the rest is played. Episodes that failed for
/// the infrastructure's reasons count for nothing and are played again then. A model that fails alike in the first eight
/// episodes (a wrong key, no such model, no server) ends it at once.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{PLAYERS}"), args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// Taskset: shop, shop-guided, textcraft, textcraft:2-3, or the folder of your own tasks
    #[arg(required_unless_present = "resume")]
    taskset: Option<String>,
    /// Who plays: a model's directory, openai:MODEL, http://HOST/v1#MODEL, gold, … (see Players below). With --resume: where
    /// the same model is now, if it was moved
    #[arg(long, required_unless_present = "resume")]
    model: Option<ModelSpec>,
    /// Who plays the simulated user, in tasksets that have one: a model's directory, or script:NAME
    #[arg(long, value_name = "MODEL")]
    user: Option<ModelSpec>,
    /// Who judges what only a judge can tell; given several times, the majority decides
    #[arg(long = "judge", value_name = "MODEL")]
    judges: Vec<ModelSpec>,
    /// Which tasks: train, validation, test
    #[arg(long, default_value = "test", value_parser = tasksets::split)]
    split: Split,
    /// Number of tasks
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=MAX_TASKS))]
    n: u64,
    /// Episodes per task, for pass@k and pass^k
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    samples: u32,
    /// 0 takes the likeliest token, 1 samples as the model says
    #[arg(long, default_value = "0", allow_negative_numbers = true, value_parser = models::temperature)]
    temperature: f32,
    /// All randomness comes from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Episodes in flight at once; changes the speed, never the result
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Where the data of published suites lies (default: HONE_DATA, .hone-data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Start no more episodes once so many US dollars are spent, over all calls for the same run
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = watch::usd)]
    max_cost: Option<f64>,
    /// More prices of models (repeatable); see Players below
    #[arg(long, value_name = "FILE")]
    prices: Vec<PathBuf>,
    /// Run directory to make (default: the next free runs/eval-TASKSET-MODEL-NNN)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in this directory, with the settings that it was started with
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["taskset", "user", "judges", "split", "n", "samples", "temperature", "seed", "out", "policy"]
    )]
    resume: Option<PathBuf>,
    #[command(flatten)]
    approval: ApprovalArgs,
    #[command(flatten)]
    tools: ToolArgs,
    /// Do not play the taskset's own scripts (expert, do_nothing, random) on the same tasks
    #[arg(long)]
    no_baselines: bool,
    /// End with status 3 if success is below this; METRIC=VALUE for another number, such as pass_hat/4=0.5 (repeatable)
    #[arg(long, value_name = "[METRIC=]VALUE")]
    fail_under: Vec<Gate>,
    /// End with status 3 if a number is above this, such as seconds_p95=2 (repeatable)
    #[arg(long, value_name = "METRIC=VALUE")]
    fail_over: Vec<Gate>,
}

/// What else there is to do than to play.
#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Show episodes one by one: what was expected, what came, where they part
    Show(show::Args),
    /// Compare two runs over the tasks that both tried
    Compare(compare::Args),
    /// Check our scorers of published suites against the originals
    Conformance(conformance::Args),
    /// Score what others recorded: simulations of τ²-bench, OpenAI messages, result files of BFCL
    #[cfg(any(feature = "bfcl", feature = "tau"))]
    Score(score::Args),
}

const EXAMPLES: &str = "\
Examples:
  hone eval shop --model script:expert                     200 held-out tasks, the upper bound
  hone eval shop --model models/nano --n 50                a quick look at a model
  hone eval my --model script:gold                         your own tasks, in a folder that `hone init my` made
  hone eval shop --model openai:MODEL --n 50 --max-cost 2 --prices prices.toml
  hone eval shop --model http://localhost:8000/v1#MODEL    a server of your own
  hone eval textcraft:2-3 --model DIR --temperature 1 --samples 8 --json | jq .pass_at
  hone eval bfcl:simple_python --model DIR --data DATA     a published suite (in a build with --features suites)
  hone eval --resume runs/eval-shop-nano-001               go on after Ctrl-C or a crash
  hone eval show runs/eval-shop-nano-001 --failed          why, episode by episode
  hone eval shop --model DIR --fail-under 0.8              a gate for continuous integration
  hone eval my --model DIR --policy rules.toml             tool calls under rules; what they leave to a person waits
  hone eval my --model DIR --tools replay-then-live --tool-cache cache      results of tools, shared between runs

Exit status: 0 measured, and every gate passed; 1 failed; 2 wrong usage; 3 measured, but a gate failed (--fail-under,
--fail-over); 130 stopped by the user.";

/// What decides the episodes of a run. Kept in its database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    taskset: String,
    model: String,
    /// See [`Cast::identity`].
    model_hash: Option<String>,
    /// Who plays the simulated user, where there is one, and the hash of its weights.
    #[serde(default)]
    user: Option<(String, Option<String>)>,
    #[serde(default)]
    judges: Vec<String>,
    /// Hash of the user's own tasks; none for a taskset that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tasks_hash: Option<String>,
    /// What the taskset calls itself, where `taskset` is a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    suite: Option<String>,
    split: Split,
    n: u64,
    samples: u32,
    temperature: f32,
    seed: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    prices: Vec<PathBuf>,
    /// The text of the policy that was given with --policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// What becomes of calls that a person must decide on, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approve: Option<How>,
}

impl Args {
    /// Measure.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        match self.other {
            Some(Other::Show(args)) => return args.run(json),
            Some(Other::Compare(args)) => return args.run(json),
            Some(Other::Conformance(args)) => return args.run(json),
            #[cfg(any(feature = "bfcl", feature = "tau"))]
            Some(Other::Score(args)) => return args.run(json),
            None => {}
        }
        if let Some(folder) = &self.data {
            data::look_in(folder.clone());
        }
        let started = Instant::now();
        let concurrency = usize::from(self.concurrency);
        let gates = [
            (Side::AtLeast, self.fail_under.clone()),
            (Side::AtMost, self.fail_over.clone()),
        ];
        let baselines = !self.no_baselines;
        let max_cost = self.max_cost;
        let (approve, tools) = (self.approval.approve, self.tools.clone());
        let run = match self.resume {
            Some(ref dir) => Run::resume(dir, self.model, self.prices, max_cost)?,
            None => self.start()?,
        };
        let approval = run.approval(approve)?;
        let (source, undecided) = run.source(&tools)?;
        // A baseline's calls would be nobody's decision, or would run where none may.
        let baselines = baselines && matches!(approval, ApprovalPolicy::AllowAll) && !tools.only_replay();
        let before = run.seconds()?;
        let end = run
            .play(approval, &source, &undecided, concurrency, max_cost)
            .and_then(|stopped| {
                Ok(stopped || (baselines && baselines::play(&run.dir, &run.settings, &run.taskset, concurrency)?))
            });
        self::tools::told(&source);
        let seconds = before + started.elapsed().as_secs_f64();
        run.store.set_meta(SECONDS, &seconds.into())?;
        let resume = format!("go on with `hone eval --resume {}`", run.dir.display());
        let stopped = end.with_context(|| format!("the evaluation broke off; when that is mended, {resume}"))?;
        let Run {
            dir,
            store,
            settings,
            taskset,
            ..
        } = &run;
        let recorded = Recorded::read(dir, &**taskset)?;
        let measures = measures(store, &recorded)?;
        if stopped {
            let outcomes = &measures.outcomes;
            let played = outcomes.ok + outcomes.policy_failed + outcomes.infra_failed;
            let all = settings.n * u64::from(settings.samples);
            return Err(Interrupted(format!("stopped: {played} of {all} episodes are recorded; {resume}")).into());
        }
        let mut summary = summary(dir, settings, &measures, &recorded, seconds);
        let kinds = measures
            .kinds
            .iter()
            .map(|(kind, tally)| (kind.clone(), (tally.ok, tally.n)));
        let aggregate = taskset.aggregate(&kinds.collect());
        summary.metrics.extend(aggregate.numbers);
        summary.missing = aggregate.missing;
        report(&summary, &measures);
        let path = dir.join("report.html");
        page::page(store, settings, &**taskset, &summary, &measures, &recorded)?
            .write(&path)
            .with_context(|| format!("{} cannot be written; free some space on its disk", path.display()))?;
        say(format!("the report is {}", path.display()));
        let waiting = pending::pending(store)?.len();
        if waiting > 0 {
            let dir = dir.display();
            say(format!(
                "{waiting} episodes wait for a decision on a call; see `hone trace pending {dir}`"
            ));
        }
        if json {
            print_json(&summary)?;
        }
        if summary.n == 0 {
            bail!("no episode counts, so nothing was measured; mend what failed, then {resume}");
        }
        let failed = gates
            .iter()
            .flat_map(|(side, gates)| gates.iter().map(move |gate| (side, gate)));
        let failed: Vec<String> = failed
            .filter_map(|(side, gate)| gate.failure(*side, &summary))
            .collect();
        if !failed.is_empty() {
            return Err(GateFailed(failed).into());
        }
        Ok(())
    }

    /// A new run directory, with its settings written.
    fn start(self) -> anyhow::Result<Run> {
        // clap has made sure of both.
        let (Some(name), Some(model)) = (self.taskset, self.model) else {
            bail!("a taskset and --model are needed, or --resume DIR; see `hone eval --help`");
        };
        let policy = self.approval.text()?;
        let suite = tasksets::suite(&name)?;
        let taskset = suite.taskset.clone();
        let cast = models::cast(&model, &taskset, &self.prices)?;
        affordable(&model, &cast, self.max_cost)?;
        let others = Others::of(self.user, &self.judges, &taskset)?;
        let n = match taskset.len(self.split) {
            Some(0) => bail!(
                "taskset {name} has no tasks in split {}; choose another split",
                self.split.name()
            ),
            Some(len) if len < self.n => {
                say(format!(
                    "{name} has only {len} tasks in split {}: all of them are played",
                    self.split.name()
                ));
                len
            }
            _ => self.n,
        };
        let dir = match self.out {
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
        let mut secrets = cast.secrets.clone();
        secrets.join(suite.secrets.clone());
        store.hide(secrets);
        let settings = Settings {
            taskset: name,
            model: model.to_string(),
            model_hash: cast.identity.clone(),
            user: others.named.clone(),
            judges: self.judges.iter().map(ModelSpec::to_string).collect(),
            suite: suite.digest.is_some().then(|| taskset.name().to_owned()),
            tasks_hash: suite.digest.clone(),
            split: self.split,
            n,
            samples: self.samples,
            temperature: self.temperature,
            seed: self.seed,
            prices: self.prices,
            policy,
            approve: self.approval.approve,
        };
        store.set_meta(SETTINGS, &serde_json::to_value(&settings)?)?;
        store.set_meta("hone", &env!("CARGO_PKG_VERSION").into())?;
        store.set_meta(BUDGET, &serde_json::to_value(cast.budget(&*taskset))?)?;
        Ok(Run {
            _lock: lock,
            dir,
            store,
            settings,
            suite,
            taskset,
            cast,
            others,
        })
    }
}

/// Who else takes part.
#[derive(Default)]
struct Others {
    /// The simulated user, by name and hash of its weights.
    named: Option<(String, Option<String>)>,
    user: Option<UserPlayer>,
    judge: Option<Arc<Panel>>,
}

impl Others {
    fn of(user: Option<ModelSpec>, judges: &[ModelSpec], taskset: &Arc<dyn Taskset>) -> anyhow::Result<Self> {
        let judge = users::judges(judges)?;
        let default = users::default_user(taskset);
        if let (None, Some(spec)) = (&user, &default) {
            say(format!(
                "the user is {spec}, which answers by rule; name a model with --user for the benchmark's own kind"
            ));
        }
        let Some(spec) = user.or(default) else {
            return Ok(Self {
                judge,
                ..Self::default()
            });
        };
        let (user, hash) = users::user(&spec, taskset)?;
        Ok(Self {
            named: Some((spec.to_string(), hash)),
            user: Some(user),
            judge,
        })
    }
}

/// A bound on cost needs a price.
fn affordable(model: &ModelSpec, cast: &Cast, max_cost: Option<f64>) -> anyhow::Result<()> {
    if max_cost.is_some() && !cast.priced {
        bail!("the price of {model} is not known, so --max-cost cannot be kept; give it in a file with --prices");
    }
    Ok(())
}

/// A run under way.
struct Run {
    _lock: RunLock,
    dir: PathBuf,
    store: Store,
    settings: Settings,
    suite: Suite,
    taskset: Arc<dyn Taskset>,
    cast: Cast,
    others: Others,
}

impl Run {
    fn resume(
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
        let suite = tasksets::suite(&settings.taskset)?;
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
        let others = Others::of(user, &judges, &taskset)?;
        if others.named != settings.user {
            bail!(
                "the simulated user of {} is not there as it was; bring its model back, or start a new evaluation",
                dir.display()
            );
        }
        let mut secrets = cast.secrets.clone();
        secrets.join(suite.secrets.clone());
        store.hide(secrets);
        Ok(Self {
            _lock: lock,
            dir: dir.into(),
            store,
            settings,
            suite,
            taskset,
            cast,
            others,
        })
    }

    /// What must not be written anywhere.
    fn secrets(&self) -> Secrets {
        let mut secrets = self.cast.secrets.clone();
        secrets.join(self.suite.secrets.clone());
        secrets
    }

    /// Seconds that earlier calls put into it.
    fn seconds(&self) -> Result<f64, StoreError> {
        Ok(self.store.get_meta(SECONDS)?.and_then(|s| s.as_f64()).unwrap_or(0.0))
    }

    /// What was spent on failed episodes that will be played again, by id, and on all others, in US dollars.
    fn spent(&self) -> Result<(BTreeMap<String, f64>, f64), StoreError> {
        let mut failed = BTreeMap::new();
        let mut spent = self.replaced()?;
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

    /// Play what is missing. Whether the user stopped it.
    fn play(
        &self,
        approval: ApprovalPolicy,
        source: &ToolSource,
        undecided: &[String],
        concurrency: usize,
        max_cost: Option<f64>,
    ) -> anyhow::Result<bool> {
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
        let rollout = Rollout {
            budget: self.cast.budget(&*self.taskset),
            taskset: self.taskset.clone(),
            player: self.cast.player.clone(),
            user: self.others.user.clone(),
            judge: self.others.judge.clone(),
            harness: self.suite.harness.clone(),
            sampling: greedy_or(s.temperature),
            approval: Arc::new(approval),
            tools: source.clone(),
            seed: s.seed,
            phase: PHASE.into(),
            concurrency,
        };
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
                loss: None,
                success: stats.success(),
                valid_calls: stats.valid_call_rate(),
                turns: stats.mean_turns(),
                tokens_per_second: Some(stats.sampled_tokens as f64 / started.elapsed().as_secs_f64().max(1e-3))
                    .filter(|_| stats.sampled_tokens > 0),
            });
        };
        let mut sink = |episode: &Episode| {
            self.store.append(std::slice::from_ref(episode))?;
            if source.waiting.contains_key(&episode.id) {
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

/// Of everything that is recorded, beside what the expert did.
fn measures(store: &Store, recorded: &Recorded) -> Result<Measures, StoreError> {
    let pieces = store.map_chunks(&Filter::phase(PHASE), |episodes| {
        let mut measures = Measures::default();
        for episode in episodes {
            measures.add_beside(episode, recorded.references.get(&episode.task));
        }
        measures
    })?;
    let mut measures = Measures::default();
    pieces.into_iter().for_each(|piece| measures.merge(piece));
    if let Some(usd) = store.get_meta(REPLACED_USD)?.and_then(|usd| usd.as_f64()) {
        measures.add_cost(usd);
    }
    Ok(measures)
}

fn summary(dir: &Path, settings: &Settings, measures: &Measures, recorded: &Recorded, seconds: f64) -> EvalSummary {
    let suite = settings.suite.as_ref().unwrap_or(&settings.taskset);
    let mut summary = EvalSummary::new(&dir.display().to_string(), suite, &settings.model, measures, seconds);
    summary.baselines = recorded.rates.clone();
    summary.alarms = measures
        .success()
        .map_or(Vec::new(), |rate| alarms(&rate, &summary.baselines));
    summary
}

/// The page of the run in this directory, as if its evaluation had just ended.
///
/// # Errors
/// When it is not the run of an evaluation, or its taskset is not there.
pub fn page_of(dir: &Path) -> anyhow::Result<EvalReport> {
    let store = Store::open_read_only(dir.join("run.db"))?;
    let settings = settings(&store, dir)?;
    let taskset = tasksets::taskset(&settings.taskset)?;
    let recorded = Recorded::read(dir, &*taskset)?;
    let measures = measures(&store, &recorded)?;
    let seconds = store.get_meta(SECONDS)?.and_then(|s| s.as_f64()).unwrap_or(0.0);
    let summary = summary(dir, &settings, &measures, &recorded, seconds);
    Ok(page::page(
        &store, &settings, &*taskset, &summary, &measures, &recorded,
    )?)
}

/// What a run was started with.
fn settings(store: &Store, dir: &Path) -> anyhow::Result<Settings> {
    let settings = store.get_meta(SETTINGS)?.with_context(|| {
        format!(
            "{} is not the run of an evaluation; give the directory that `hone eval` named",
            dir.display()
        )
    })?;
    serde_json::from_value(settings).with_context(|| {
        format!(
            "the settings of {} cannot be read; start the evaluation anew",
            dir.display()
        )
    })
}

/// Makes the run of an evaluation out of episodes that came from elsewhere, for benches.
///
/// # Errors
/// When the directory cannot be written.
pub fn make_run(dir: &Path, taskset: &str, n: u64) -> anyhow::Result<Store> {
    std::fs::create_dir_all(dir)?;
    let store = Store::create(dir.join("run.db"))?;
    let settings = Settings {
        taskset: taskset.to_owned(),
        model: "made-up".into(),
        model_hash: None,
        user: None,
        judges: Vec::new(),
        suite: None,
        tasks_hash: None,
        split: Split::Test,
        n,
        samples: 1,
        temperature: 0.0,
        seed: 0,
        prices: Vec::new(),
        policy: None,
        approve: None,
    };
    store.set_meta(SETTINGS, &serde_json::to_value(&settings)?)?;
    Ok(store)
}

/// Tasks `0..n` with `samples` episodes each, without those that are done. Group and index are the same number.
fn missing(phase: &str, split: Split, n: u64, samples: u32, done: &BTreeSet<String>) -> Vec<Job> {
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

fn report(summary: &EvalSummary, measures: &Measures) {
    let percent = |x: f64| format!("{:.1} %", 100.0 * x);
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = Vec::new();
    let success = match summary.success {
        Some(s) => {
            let [lo, hi] = summary.ci95;
            format!("{} (95 %: {} to {})", percent(s), percent(lo), percent(hi))
        }
        None => "unknown: no episode counts".into(),
    };
    rows.push(line("success", success));
    for (name, baseline) in &summary.baselines {
        let Rate { value, lo, hi, .. } = baseline.rate;
        let text = format!("{} (95 %: {} to {})", percent(value), percent(lo), percent(hi));
        rows.push(line(&format!("script:{name}"), text));
    }
    let o = summary.outcomes;
    let outcomes = format!(
        "{} ok, {} policy failed, {} infrastructure failed",
        o.ok, o.policy_failed, o.infra_failed
    );
    rows.push(line("episodes", outcomes));
    let mut causes: Vec<(&String, &u64)> = measures.causes.iter().collect();
    causes.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    for (cause, times) in causes.into_iter().take(3) {
        rows.push(line("failed", format!("{times} times: {cause}")));
    }
    for (k, pass) in summary.pass_at.iter().filter(|(k, _)| **k > 1) {
        let hat = summary
            .pass_hat
            .get(k)
            .map_or(String::new(), |hat| format!(", pass^{k} {}", percent(*hat)));
        rows.push(line(&format!("pass@{k}"), percent(*pass) + &hat));
    }
    for (name, value) in &summary.metrics {
        if name.starts_with("success/") {
            continue;
        }
        let share = define(name).is_some_and(|metric| metric.unit == "share");
        rows.push(line(name, if share { percent(*value) } else { format!("{value:.3}") }));
    }
    if !summary.missing.is_empty() {
        rows.push(line("not played", summary.missing.join(", ")));
    }
    say(table(&rows));
    let mut kinds = vec![
        ["kind of task", "n", "success", "95 % interval"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (kind, tally) in &measures.kinds {
        let Some(Rate { value, lo, hi, .. }) = tally.rate() else {
            continue;
        };
        let interval = format!("{} to {}", percent(lo), percent(hi));
        kinds.push(vec![kind.clone(), tally.n.to_string(), percent(value), interval]);
    }
    say(format!("\n{}\n", table(&kinds)));
    for alarm in &summary.alarms {
        say(format!("alarm: {alarm}"));
    }
    say(format!(
        "recorded in {}; look into it with `hone eval show {} --failed`",
        summary.run, summary.run
    ));
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
