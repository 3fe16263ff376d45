//! `hone eval`: many episodes, recorded, and what they add up to.

mod compare;
mod conformance;

use super::run::greedy_or;
use crate::console::{print_json, say, table};
use crate::interrupt::{self, Interrupted};
use crate::lock::RunLock;
use crate::models::{self, ModelSpec};
use crate::tasksets;
use anyhow::{Context, bail};
use hone_env::{Split, Taskset};
use hone_harness::React;
use hone_rollout::{Hooks, Job, Rollout, Stats};
use hone_score::{EvalSummary, Measures, Rate};
use hone_tool::ApprovalPolicy;
use hone_trace::{Episode, Filter, OutcomeKind, Store, StoreError};
use hone_view::{Progress, Status};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The phase that the episodes are recorded under.
const PHASE: &str = "eval";
/// Where the run's database keeps the settings.
const SETTINGS: &str = "eval";
/// Most tasks of an evaluation.
const MAX_TASKS: u64 = 1_000_000;
/// Where it keeps the seconds that went into it so far.
const SECONDS: &str = "seconds";

/// Measure a model or a script on many tasks.
///
/// Plays the first N tasks of a split and records every episode in a run directory as soon as it is finished. A run that
/// was stopped or killed goes on with --resume: what is recorded stays, only the rest is played. Episodes that failed for
/// the infrastructure's reasons count for nothing and are played again then.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// Taskset: shop, shop-guided, textcraft, textcraft:2-3
    #[arg(required_unless_present = "resume")]
    taskset: Option<String>,
    /// Who plays: a model's directory, or script:NAME. With --resume: where the same model is now, if it was moved
    #[arg(long, required_unless_present = "resume")]
    model: Option<ModelSpec>,
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
    /// Run directory to make (default: the next free runs/eval-TASKSET-MODEL-NNN)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in this directory, with the settings that it was started with
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["taskset", "split", "n", "samples", "temperature", "seed", "out"]
    )]
    resume: Option<PathBuf>,
}

/// What else there is to do than to play.
#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Compare two runs over the tasks that both tried
    Compare(compare::Args),
    /// Check our scorers of published suites against the originals
    Conformance(conformance::Args),
}

const EXAMPLES: &str = "\
Examples:
  hone eval shop --model script:expert                     200 held-out tasks, the upper bound
  hone eval shop --model models/nano --n 50                a quick look at a model
  hone eval textcraft:2-3 --model DIR --temperature 1 --samples 8 --json | jq .pass_at
  hone eval --resume runs/eval-shop-nano-001               go on after Ctrl-C or a crash";

/// What decides the episodes of a run. Kept in its database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    taskset: String,
    model: String,
    /// See [`models::Loaded::hash`]; none for a script.
    model_hash: Option<String>,
    split: Split,
    n: u64,
    samples: u32,
    temperature: f32,
    seed: u64,
}

impl Args {
    /// Measure.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        match self.other {
            Some(Other::Compare(args)) => return args.run(json),
            Some(Other::Conformance(args)) => return args.run(json),
            None => {}
        }
        let started = Instant::now();
        let concurrency = usize::from(self.concurrency);
        let run = match self.resume {
            Some(ref dir) => Run::resume(dir, self.model)?,
            None => self.start()?,
        };
        let before = run.seconds()?;
        let end = run.play(concurrency);
        let seconds = before + started.elapsed().as_secs_f64();
        run.store.set_meta(SECONDS, &seconds.into())?;
        let resume = format!("go on with `hone eval --resume {}`", run.dir.display());
        let stopped = end.with_context(|| format!("the evaluation broke off; when that is mended, {resume}"))?;
        let measures = run.measures()?;
        if stopped {
            let outcomes = &measures.outcomes;
            let played = outcomes.ok + outcomes.policy_failed + outcomes.infra_failed;
            let all = run.settings.n * u64::from(run.settings.samples);
            return Err(Interrupted(format!("stopped: {played} of {all} episodes are recorded; {resume}")).into());
        }
        let dir = run.dir.display().to_string();
        let Settings { taskset, model, .. } = &run.settings;
        let summary = EvalSummary::new(&dir, taskset, model, &measures, seconds);
        report(&summary, &measures);
        if json {
            print_json(&summary)?;
        }
        if summary.n == 0 {
            bail!("no episode counts, so nothing was measured; mend what failed, then {resume}");
        }
        Ok(())
    }

    /// A new run directory, with its settings written.
    fn start(self) -> anyhow::Result<Run> {
        // clap has made sure of both.
        let (Some(name), Some(model)) = (self.taskset, self.model) else {
            bail!("a taskset and --model are needed, or --resume DIR; see `hone eval --help`");
        };
        let taskset = tasksets::taskset(&name)?;
        let (player, model_hash) = models::player(&model, &taskset)?;
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
            None => next_directory(Path::new("runs"), &format!("eval-{name}-{}", model.policy()))?,
        };
        let lock = RunLock::take(&dir)?;
        let store = Store::create(dir.join("run.db"))?;
        let settings = Settings {
            taskset: name,
            model: model.to_string(),
            model_hash,
            split: self.split,
            n,
            samples: self.samples,
            temperature: self.temperature,
            seed: self.seed,
        };
        store.set_meta(SETTINGS, &serde_json::to_value(&settings)?)?;
        store.set_meta("hone", &env!("CARGO_PKG_VERSION").into())?;
        Ok(Run {
            _lock: lock,
            dir,
            store,
            settings,
            taskset,
            player,
        })
    }
}

/// A run under way.
struct Run {
    _lock: RunLock,
    dir: PathBuf,
    store: Store,
    settings: Settings,
    taskset: Arc<dyn Taskset>,
    player: hone_rollout::Player,
}

impl Run {
    fn resume(dir: &Path, moved: Option<ModelSpec>) -> anyhow::Result<Self> {
        let store = Store::open(dir.join("run.db"))?;
        let lock = RunLock::take(dir)?;
        let settings = store.get_meta(SETTINGS)?.with_context(|| {
            format!(
                "{} is not the run of an evaluation; give the directory that `hone eval` named",
                dir.display()
            )
        })?;
        let settings: Settings = serde_json::from_value(settings).with_context(|| {
            format!(
                "the settings of {} cannot be read; start the evaluation anew",
                dir.display()
            )
        })?;
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
        let taskset = tasksets::taskset(&settings.taskset)?;
        let (player, hash) = models::player(&spec, &taskset)?;
        let same_script = hash.is_some() || spec.to_string() == settings.model;
        if hash != settings.model_hash || !same_script {
            bail!(
                "{spec} is not the model that {} was started with; give that one with --model, or start a new evaluation",
                dir.display()
            );
        }
        Ok(Self {
            _lock: lock,
            dir: dir.into(),
            store,
            settings,
            taskset,
            player,
        })
    }

    /// Seconds that earlier calls put into it.
    fn seconds(&self) -> Result<f64, StoreError> {
        Ok(self.store.get_meta(SECONDS)?.and_then(|s| s.as_f64()).unwrap_or(0.0))
    }

    /// Play what is missing. Whether the user stopped it.
    fn play(&self, concurrency: usize) -> anyhow::Result<bool> {
        let recorded = self.store.episodes(&Filter::phase(PHASE))?;
        let done: BTreeSet<String> = recorded
            .into_iter()
            .filter(|episode| episode.outcome.kind() != OutcomeKind::InfraFailed)
            .map(|episode| episode.id)
            .collect();
        let s = &self.settings;
        let jobs = missing(s.split, s.n, s.samples, &done);
        if !done.is_empty() {
            say(format!("{} episodes are recorded already", done.len()));
        }
        let rollout = Rollout {
            budget: self.taskset.budget(),
            taskset: self.taskset.clone(),
            player: self.player.clone(),
            harness: Arc::new(React),
            sampling: greedy_or(s.temperature),
            approval: Arc::new(ApprovalPolicy::AllowAll),
            seed: s.seed,
            phase: PHASE.into(),
            concurrency,
        };
        let cancel = interrupt::flag();
        let mut progress = Progress::stderr();
        progress.phase(&format!("eval {}", s.taskset));
        let started = Instant::now();
        let mut stats = Stats::default();
        let mut steps = 0;
        let all: u64 = jobs
            .iter()
            .map(|job| u64::from(job.samples.end - job.samples.start))
            .sum();
        let mut count = |episode: &Episode| {
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
        let mut sink = |episode: &Episode| Ok(self.store.append(std::slice::from_ref(episode))?);
        let hooks = Hooks {
            sink: Some(&mut sink),
            on_episode: Some(&mut count),
            cancel: Some(cancel),
        };
        let played = rollout.run(&jobs, hooks)?;
        progress.finish();
        Ok((played.len() as u64) < all)
    }

    /// Of everything that is recorded.
    fn measures(&self) -> Result<Measures, StoreError> {
        let mut measures = Measures::default();
        self.store.for_each(&Filter::phase(PHASE), |episode| {
            measures.add(&episode);
            Ok::<_, StoreError>(())
        })?;
        Ok(measures)
    }
}

/// Tasks `0..n` with `samples` episodes each, without those that are done. Group and index are the same number.
fn missing(split: Split, n: u64, samples: u32, done: &BTreeSet<String>) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for index in 0..n {
        for sample in (0..samples).filter(|sample| !done.contains(&format!("{PHASE}/{index}/{sample}"))) {
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

/// Makes the first `PARENT/NAME-NNN` that does not exist.
fn next_directory(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = name.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    let cannot = |dir: &Path| {
        format!(
            "the run directory {} cannot be made; choose another with --out",
            dir.display()
        )
    };
    std::fs::create_dir_all(parent).with_context(|| cannot(parent))?;
    for number in 1.. {
        let dir = parent.join(format!("{name}-{number:03}"));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| cannot(&dir)),
        }
    }
    unreachable!("there are more numbers than directories")
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
        let share = name == "call_validity" || name.starts_with("end/");
        rows.push(line(name, if share { percent(*value) } else { format!("{value:.3}") }));
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
    say(format!(
        "recorded in {}; look into it with `hone trace ls {}`",
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
        let jobs = missing(Split::Test, 4, 3, &done);
        let found: Vec<_> = jobs.iter().map(|job| (job.index, job.samples.clone())).collect();
        assert_eq!(found, [(0, 1..3), (1, 0..1), (1, 2..3), (3, 0..3)]);
    }

    #[test]
    fn directories_are_never_taken_twice() {
        let parent = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| next_directory(parent.path(), "eval-textcraft:2-3-script:expert").unwrap())
            .map(|dir| dir.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let name = "eval-textcraft-2-3-script-expert";
        assert_eq!(names, [1, 2, 3].map(|i| format!("{name}-{i:03}")));
    }
}
