//! `hone train` and `hone recipe`.

mod combine;
mod corpus;
mod explain;
mod methods;
pub mod recipes;
mod report;
mod watch;

use crate::console::{print, print_json, say};
use crate::interrupt;
use crate::lock::RunLock;
use crate::models::Local;
use crate::roles::{self, Team};
use crate::run_dir;
use crate::tasksets::Suite;
use crate::users::{self, User};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use corpus::Generated;
use hone_engine::{Weights, checkpoint};
use hone_env::{Fork, Split, Taskset};
use hone_model::{TokenCodec, train_tokenizer};
use hone_primer::{Primer, tokenizer_texts};
use hone_trace::Store;
use hone_train::recipe::{AgentRecipe, BaseRecipe, Recipe};
use hone_train::stages::{self, Surrogate};
use hone_train::{BaseError, Made, Run, RunError, State, make_base, probe, scripts};
use hone_view::{Look, MetricLog, chart, printable};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use watch::Watch;

pub use recipes::resolve;

const EXAMPLES: &str = "\
Examples:
  hone train quickstart                         a small model learns to use a shop's tools
  hone train quickstart --budget fast           the same in miniature, to see that everything works
  hone train quickstart --method prefix_tree    another method from the same cold start
  hone train my/recipe.toml --dry-run           what a recipe would do
  hone train --resume runs/quickstart-001       go on with a run that was stopped
  hone train methods                            all RL methods, and the parts that they are made of
  hone train explain runs/quickstart-001        what the method made of a step's rollouts, token by token";

/// Where a run's database keeps the digest of the tasks that it trains on, if they are files of the user's.
const TASKS: &str = "tasks";

const RECIPE_EXAMPLES: &str = "\
Examples:
  hone recipe ls                                what there is
  hone recipe show quickstart > mine.toml       all settings, to change some
  hone recipe check mine.toml                   is it right, and are its tasks and scripts there?";

/// Teach a model: demonstrations, cold start, reinforcement, and what each brought on held-out tasks
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Train {
    #[command(subcommand)]
    command: Option<TrainCommand>,
    /// Recipe: a file, a folder with recipe.toml, or a name from `hone recipe ls`
    #[arg(required_unless_present = "resume")]
    recipe: Option<String>,
    /// Seed of everything, instead of the recipe's
    #[arg(long)]
    seed: Option<u64>,
    /// RL method, instead of the recipe's: grpo, rloo, grpo-roc-paper, … as `hone train methods` lists them. The recipe's [rl.override],
    /// written for its own method, is left out then
    #[arg(long)]
    method: Option<String>,
    /// A budget of the recipe, such as `fast`
    #[arg(long)]
    budget: Option<String>,
    /// Make the base model first, from random numbers, instead of loading it
    #[arg(long)]
    from_scratch: bool,
    /// The base model's directory, instead of the recipe's
    #[arg(long)]
    base: Option<String>,
    /// Directory of the run, instead of runs/NAME-NNN
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with the run in this directory
    #[arg(long, conflicts_with_all = ["recipe", "seed", "method", "budget", "from_scratch", "base", "out"])]
    resume: Option<PathBuf>,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
    /// Compute threads (default: all cores)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum TrainCommand {
    Explain(explain::Explain),
    Methods(methods::Methods),
    Combine(combine::Combine),
}

/// Look at recipes
#[derive(Debug, Subcommand)]
#[command(after_help = RECIPE_EXAMPLES)]
pub enum RecipeCommand {
    /// List the recipes of this project
    #[command(after_help = "Examples:\n  hone recipe ls\n  hone recipe ls --json | jq -r .name")]
    Ls,
    /// Print a recipe as it would run, with all defaults
    #[command(after_help = "Examples:\n  hone recipe show quickstart > mine.toml")]
    Show {
        /// File, folder or name
        recipe: String,
    },
    /// Check a recipe without running it
    #[command(after_help = "Examples:\n  hone recipe check mine.toml\n  hone recipe check quickstart --json")]
    Check {
        /// File, folder or name
        recipe: String,
    },
}

impl RecipeCommand {
    pub fn run(self, as_json: bool) -> Result<()> {
        match self {
            Self::Ls => {
                for (name, path) in recipes::list() {
                    let about = recipes::find(&name, None)
                        .map(|f| f.recipe.about().to_owned())
                        .unwrap_or_else(|e| format!("broken: {e}"));
                    if as_json {
                        print_json(&json!({"name": name, "path": path, "about": about}))?;
                    } else {
                        print(printable(&format!("{name:20} {about}")))?;
                    }
                }
            }
            Self::Show { recipe } => {
                let found = recipes::find(&recipe, None)?;
                if as_json {
                    print_json(&found.recipe)?;
                } else {
                    print(shown(&found.recipe)?)?;
                }
            }
            Self::Check { recipe } => {
                let found = recipes::find(&recipe, None)?;
                if let Recipe::Agent(recipe) = &found.recipe {
                    check(recipe)?;
                    match base_dir(recipe) {
                        Ok(base) => drop(Local::read(&base)?),
                        Err(_) => say(format!("there is no folder {} yet; training needs it", recipe.base)),
                    }
                    for budget in recipe.budget.keys() {
                        recipes::find(&found.path.to_string_lossy(), Some(budget))?;
                    }
                }
                if as_json {
                    print_json(&json!({"recipe": found.recipe.name(), "path": found.path, "ok": true}))?;
                } else {
                    say(format!("{}: ok", found.path.display()));
                }
            }
        }
        Ok(())
    }
}

/// A recipe as TOML, fit for a terminal.
fn shown(recipe: &Recipe) -> Result<String> {
    Ok(printable(toml::to_string_pretty(recipe)?.trim_end()))
}

/// Who plays the simulated users of a recipe's tasks; none where they have none.
fn user(recipe: &AgentRecipe, taskset: &Arc<dyn Taskset>) -> Result<Option<User>> {
    let named = recipe
        .user
        .as_ref()
        .map(|name| name.parse().map_err(anyhow::Error::msg));
    let spec = named.transpose().context("`user`")?;
    let spec = spec.or_else(|| users::default_user(taskset));
    spec.map(|spec| users::user(&spec, taskset, &[]).context("`user`"))
        .transpose()
}

/// What a recipe names must exist: tasksets, scripts, and the recipe that makes a base model; the model itself only when it is
/// run. The tasks to train on.
fn check(recipe: &AgentRecipe) -> Result<Suite> {
    let suite = crate::tasksets::for_training(&recipe.taskset)?;
    let taskset = suite.taskset.clone();
    user(recipe, &taskset)?;
    if let Some(roles) = &recipe.roles {
        roles::check(roles, &taskset)?;
    }
    let mut held_out = taskset.clone();
    let plans = recipe.roles.is_some();
    let have: Vec<_> = scripts(&*taskset, plans).iter().map(|s| s.name).collect();
    if let Some(name) = &recipe.eval.taskset {
        held_out = crate::tasksets::for_training(name)?.taskset;
        if scripts(&*held_out, plans)
            .iter()
            .map(|s| s.name)
            .ne(have.iter().copied())
        {
            bail!(
                "`eval.taskset` {name} is of another kind than `taskset` {}; evaluate on one of the same tools",
                recipe.taskset
            );
        }
    }
    if recipe.confidence && !taskset.user_scripts().is_empty() {
        bail!(
            "`confidence`: {} has simulated users, who have the last word, and so the agent is not asked; take it out, or another taskset",
            recipe.taskset
        );
    }
    if recipe.rl.no_tools > 0 && !taskset.user_scripts().is_empty() {
        bail!(
            "`rl.no_tools`: {} has simulated users, who are talked with and not answered once; take it out, or another taskset",
            recipe.taskset
        );
    }
    if recipe.rl.branch.is_some() {
        let task = taskset.task(Split::Train, 0)?;
        let native = taskset.environment(&task).fork_kind() == Fork::Native;
        if !native || !taskset.user_scripts().is_empty() {
            bail!(
                "`rl.branch`: rollouts of {} cannot fork, because {}; take it out, or another taskset",
                recipe.taskset,
                if native {
                    "a simulated user takes part"
                } else {
                    "its world cannot be copied"
                }
            );
        }
    }
    let validated = recipe.rl.steps > 0 && recipe.rl.validate_every > 0;
    for (key, taskset, split, wanted) in [
        ("demonstrations.episodes", &taskset, Split::Train, 1),
        ("eval.tasks", &held_out, Split::Test, recipe.eval.tasks),
        (
            "eval.validation_tasks",
            &held_out,
            Split::Validation,
            if validated { recipe.eval.validation_tasks } else { 0 },
        ),
    ] {
        if let Some(have) = taskset.len(split).filter(|have| *have < wanted) {
            bail!(
                "`{key}`: {} has {have} tasks in its split {}, fewer than {wanted}; ask for fewer, or add tasks there",
                taskset.name(),
                split.name()
            );
        }
    }
    if let Some(scratch) = &recipe.scratch
        && !matches!(recipes::find(scratch, None)?.recipe, Recipe::Base(_))
    {
        bail!("`scratch` is {scratch}, which is not the recipe of a base model");
    }
    let demonstrator = Some(&recipe.demonstrations.script).filter(|_| recipe.demonstrations.episodes > 0);
    for script in recipe.eval.baselines.iter().chain(demonstrator) {
        if !have.contains(&script.as_str()) {
            bail!(
                "taskset {} has no scripted agent {script}; it has {}",
                recipe.taskset,
                have.join(", ")
            );
        }
    }
    Ok(suite)
}

impl Train {
    pub fn run(self, as_json: bool) -> Result<()> {
        match self.command {
            Some(TrainCommand::Explain(explain)) => return explain.run(as_json),
            Some(TrainCommand::Methods(methods)) => return methods.run(as_json),
            Some(TrainCommand::Combine(combine)) => return combine.run(as_json),
            None => {}
        }
        let threads = match self.threads {
            Some(threads) => usize::from(threads),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        if let Some(dir) = &self.resume {
            let path = dir.join("recipe.toml");
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}: give the directory of a run", path.display()))?;
            let recipe = Recipe::parse(&text, &path.display().to_string(), None)?;
            if self.dry_run {
                return plan(&recipe, as_json);
            }
            return match recipe {
                Recipe::Agent(recipe) => teach(*recipe, dir, threads, as_json, true),
                Recipe::Base(recipe) => base(&recipe, dir, threads, as_json),
            };
        }
        let name = self.recipe.clone().unwrap_or_default();
        let mut found = recipes::find(&name, self.budget.as_deref())?;
        self.settle(&mut found.recipe)?;
        if self.dry_run {
            return plan(&found.recipe, as_json);
        }
        let dir = match &self.out {
            Some(dir) => {
                run_dir::claim(dir)?;
                dir.clone()
            }
            None => run_dir::next(Path::new("runs"), found.recipe.name())?,
        };
        let text = toml::to_string_pretty(&found.recipe)?;
        checkpoint::write(&dir.join("recipe.toml"), text.as_bytes()).inspect_err(|_| {
            // Empty, it would only be in the way of the next try.
            let _ = std::fs::remove_dir(&dir);
        })?;
        match found.recipe {
            Recipe::Agent(recipe) => teach(*recipe, &dir, threads, as_json, false),
            Recipe::Base(recipe) => base(&recipe, &dir, threads, as_json),
        }
    }

    /// Lay the command line over the recipe.
    fn settle(&self, recipe: &mut Recipe) -> Result<()> {
        match recipe {
            Recipe::Base(recipe) => {
                if self.method.is_some() || self.from_scratch || self.base.is_some() {
                    bail!(
                        "{} makes a base model; --method, --from-scratch and --base belong to recipes that teach one",
                        recipe.name
                    );
                }
                recipe.seed = self.seed.unwrap_or(recipe.seed);
            }
            Recipe::Agent(recipe) => {
                recipe.seed = self.seed.unwrap_or(recipe.seed);
                if let Some(method) = &self.method {
                    if *method != recipe.rl.method && !recipe.rl.overrides.is_empty() {
                        let keys = recipe.rl.overrides.keys().map(|key| format!("rl.override.{key}"));
                        let keys = keys.collect::<Vec<_>>().join(", ");
                        say(format!(
                            "the recipe's {keys} was written for {} and is left out; for {method} write a recipe of its own",
                            recipe.rl.method
                        ));
                        recipe.rl.overrides.clear();
                    }
                    recipe.rl.method.clone_from(method);
                    let ratio = stages::method(method).is_none_or(|m| m.objective.surrogate != Surrogate::LogProb);
                    if !ratio && recipe.rl.updates > 1 {
                        say(format!(
                            "{method} knows no ratio, so each step makes one update instead of {}",
                            recipe.rl.updates
                        ));
                        recipe.rl.updates = 1;
                    }
                }
                if let Some(base) = &self.base {
                    recipe.base.clone_from(base);
                }
                match (self.from_scratch, &recipe.scratch) {
                    (true, None) => bail!(
                        "recipe {} does not say how to begin from scratch (key `scratch`)",
                        recipe.name
                    ),
                    (true, Some(_)) => {}
                    (false, _) => recipe.scratch = None,
                }
                let suite = check(recipe)?;
                if recipe.scratch.is_none() {
                    Local::read(&base_dir(recipe)?)?;
                }
                if recipe.policy.is_empty() {
                    // A project's own rules hold in training too.
                    recipe.policy = suite.rules;
                }
            }
        }
        Ok(recipe.validate()?)
    }
}

fn plan(recipe: &Recipe, as_json: bool) -> Result<()> {
    if as_json {
        print_json(recipe)?;
        return Ok(());
    }
    print(shown(recipe)?)?;
    if let Recipe::Agent(recipe) = recipe {
        let rollouts = u64::from(recipe.rl.steps) * recipe.rl.tasks * u64::from(recipe.rl.samples);
        say(format!(
            "\nThis would play {} demonstrations, take {} SFT steps, then {} RL steps with {rollouts} rollouts, and evaluate on {} held-out tasks.",
            recipe.demonstrations.episodes, recipe.sft.steps, recipe.rl.steps, recipe.eval.tasks
        ));
    }
    Ok(())
}

/// Above whatever stopped a run.
fn unfinished(dir: &Path) -> String {
    format!(
        "the run in {} is not finished; what was done is kept: hone train --resume {}",
        dir.display(),
        dir.display()
    )
}

/// The loss as means of 100 steps, out of the lines `step,phase,name,value` of a run's metrics.
fn loss_curve(metrics: &str) -> String {
    let mut sums: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
    for line in metrics.lines() {
        let mut cells = line.split(',');
        let step = cells.next().and_then(|step| step.parse::<u64>().ok());
        let (Some(step), Some("pretrain"), Some("loss"), Some(value)) =
            (step, cells.next(), cells.next(), cells.next())
        else {
            continue;
        };
        if let Ok(value) = value.parse::<f64>() {
            let (sum, n) = sums.entry(step / 100).or_default();
            *sum += value;
            *n += 1;
        }
    }
    let lines = sums
        .into_iter()
        .map(|(hundred, (sum, n))| format!("{},{:.4}\n", (hundred + 1) * 100, sum / n as f64));
    "step,loss\n".to_owned() + &lines.collect::<String>()
}

/// The error of a run that the user stopped.
fn stopped(dir: &Path) -> anyhow::Error {
    interrupt::Interrupted(format!("stopped; go on with: hone train --resume {}", dir.display())).into()
}

fn pretrained(made: Result<Made, BaseError>, dir: &Path) -> Result<Made> {
    match made {
        Err(BaseError::Stopped) => Err(stopped(dir)),
        made => made.with_context(|| unfinished(dir)),
    }
}

fn base(recipe: &BaseRecipe, dir: &Path, threads: usize, as_json: bool) -> Result<()> {
    let _lock = RunLock::take(dir)?;
    let cancel = interrupt::flag();
    let codec = train_tokenizer(tokenizer_texts(), recipe.model.vocab_size)?;
    let corpus = Generated(Primer::new(recipe.seed));
    let mut watch = Watch::new(MetricLog::open(dir)?);
    let work = dir.join("checkpoint");
    let made = make_base(recipe, &codec, &corpus, &work, threads, &mut watch, cancel);
    watch.finish();
    let Made { mut learner, seconds } = pretrained(made, dir)?;
    let output = PathBuf::from(&recipe.output);
    store_model(&output, &learner.weights(), &codec).with_context(|| unfinished(dir))?;
    let probes = probe(&mut learner, &codec, &corpus, recipe.probes);
    let digest = digest(&output.join("model.safetensors"))?;
    let parameters = learner.weights().params().len();
    let mut result = json!({
        "recipe": recipe.name,
        "seed": recipe.seed,
        "parameters": parameters,
        "sha256": digest,
        "probes": probes,
        "seconds": seconds,
    });
    checkpoint::write(&output.join("made.json"), format!("{result:#}\n").as_bytes())?;
    // Where things lie is of interest now, not beside the weights.
    result["run"] = dir.display().to_string().into();
    result["model"] = output.display().to_string().into();
    let metrics = dir.join("metrics.csv");
    let curve = std::fs::read_to_string(&metrics).with_context(|| format!("cannot read {}", metrics.display()))?;
    checkpoint::write(&output.join("loss.csv"), loss_curve(&curve).as_bytes())?;
    if as_json {
        print_json(&result)?;
    } else {
        say(format!(
            "{} with {parameters} parameters, sha256 {digest}",
            output.display()
        ));
        for (skill, share) in probes {
            say(format!(
                "  {skill:8} {:5.1} % of {} probes with unseen names exactly right",
                100.0 * share,
                recipe.probes
            ));
        }
    }
    Ok(())
}

/// The weights come last: a directory that has them is whole.
fn store_model(dir: &Path, weights: &Weights, codec: &dyn TokenCodec) -> Result<()> {
    codec
        .save(dir)
        .with_context(|| format!("cannot write the tokenizer to {}; free some space there", dir.display()))?;
    Ok(checkpoint::save(dir, weights)?)
}

fn digest(path: &Path) -> Result<String> {
    use sha2::{Digest, Sha256};
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect())
}

/// Where the recipe's base model lies.
fn base_dir(recipe: &AgentRecipe) -> Result<PathBuf> {
    recipes::resolve(&recipe.base).with_context(|| {
        format!(
            "there is no base model {}: make it with `hone train nano-base`, or give --base DIR; a run is resumed in the \
             folder that it was begun in",
            recipe.base
        )
    })
}

fn teach(recipe: AgentRecipe, dir: &Path, threads: usize, as_json: bool, resume: bool) -> Result<()> {
    let _lock = RunLock::take(dir)?;
    let cancel = interrupt::flag();
    let start = Instant::now();
    let unfinished = || unfinished(dir);
    let Suite {
        taskset,
        mut secrets,
        digest,
        ..
    } = crate::tasksets::for_training(&recipe.taskset)?;
    let held_out = match &recipe.eval.taskset {
        Some(name) => {
            let suite = crate::tasksets::for_training(name)?;
            secrets.extend(suite.secrets);
            suite.taskset
        }
        None => Arc::clone(&taskset),
    };
    let user = user(&recipe, &taskset)?.map(|user| {
        secrets.extend(user.secrets);
        user.player
    });
    let roles = match &recipe.roles {
        Some(roles) => {
            let Team { harness, secrets: more } = roles::team(roles, &taskset)?;
            secrets.extend(more);
            Some(harness)
        }
        None => None,
    };
    let mut watch = Watch::new(MetricLog::open(dir).with_context(unfinished)?);
    let made = dir.join("base");
    let base = match &recipe.scratch {
        Some(scratch) if !made.join("model.safetensors").exists() => {
            let Recipe::Base(mut scratch) = recipes::find(scratch, None)?.recipe else {
                bail!("{scratch} is not the recipe of a base model")
            };
            scratch.seed = recipe.seed;
            let codec = train_tokenizer(tokenizer_texts(), scratch.model.vocab_size)?;
            let corpus = Generated(Primer::new(scratch.seed));
            let made_base = make_base(
                &scratch,
                &codec,
                &corpus,
                &dir.join("checkpoint-base"),
                threads,
                &mut watch,
                cancel,
            );
            let weights = Weights::clone(&pretrained(made_base, dir)?.learner.weights());
            store_model(&made, &weights, &codec).with_context(unfinished)?;
            made
        }
        Some(_) => made,
        None => base_dir(&recipe)?,
    };
    let base = Local::read(&base)?;
    let path = dir.join("run.db");
    let mut store = if resume && path.exists() {
        Store::open(&path)
    } else {
        Store::create(&path)
    }
    .with_context(unfinished)?;
    store.hide(secrets);
    let tasks = json!(digest);
    match store.get_meta(TASKS).with_context(unfinished)? {
        Some(begun) if begun != tasks => bail!(
            "{} was changed since the run in {} began; put it back, or start a new run",
            recipe.taskset,
            dir.display()
        ),
        Some(_) => {}
        None => store.set_meta(TASKS, &tasks).with_context(unfinished)?,
    }
    let mut state = State::load(dir)?;
    let hash = base.hash();
    match &state.base {
        Some(begun) if *begun != hash => bail!(
            "the base model {} is not the one that the run in {} began with; put that back, or start a new run",
            recipe.base,
            dir.display()
        ),
        _ => state.base = Some(hash),
    }
    let before: f64 = state.seconds.values().sum();
    let mut run = Run {
        recipe,
        dir: dir.to_owned(),
        taskset,
        held_out,
        user,
        roles,
        codec: base.codec,
        base: base.weights,
        store,
        threads,
        observer: &mut watch,
        cancel,
        state,
    };
    let ended = run.execute();
    let Run {
        recipe,
        codec,
        base,
        store,
        state,
        ..
    } = run;
    watch.finish();
    match ended {
        Err(RunError::Stopped) => return Err(stopped(dir)),
        other => other.with_context(unfinished)?,
    }
    let last = state.checkpoint.clone().unwrap_or_else(|| "sft".to_owned());
    // An adapter is added to its base, so that the model stands alone.
    let learnt = checkpoint::load_on(&dir.join("checkpoints").join(last), &base)?.merged()?;
    store_model(&dir.join("model"), &learnt, &*codec).with_context(unfinished)?;
    let seconds = if resume {
        before + start.elapsed().as_secs_f64()
    } else {
        start.elapsed().as_secs_f64()
    };
    let page = report::page(&recipe, &state, &store, dir, seconds)?;
    page.write(&dir.join("report.html"))
        .with_context(|| format!("cannot write {}/report.html; free some space there", dir.display()))
        .with_context(unfinished)?;
    let figures = report::figures(&recipe, &state, dir, seconds);
    checkpoint::write(&dir.join("result.json"), format!("{figures:#}\n").as_bytes()).with_context(unfinished)?;
    let look = Look::of_stderr();
    if let Some(panel) = page.panels.first() {
        say(format!("\n{}", chart(panel, 72, 14, look)));
    }
    say(format!(
        "\nSuccess on {} held-out tasks  greedy     T = 1",
        recipe.eval.tasks
    ));
    for row in &page.results {
        say(report::line(row));
    }
    say(format!(
        "\n{:.0} s, {:.0} MB at most. Report: {}/report.html",
        seconds,
        report::peak_rss_mb(),
        dir.display()
    ));
    say("Next:");
    for next in &page.next {
        say(format!("  {}\n      {}", next.command, next.what));
    }
    if as_json {
        print_json(&figures)?;
    }
    Ok(())
}
