//! `hone eval`: many episodes, recorded, and what they add up to.

mod baselines;
pub mod compare;
mod conformance;
mod failures;
pub mod gate;
mod judges;
mod page;
mod prepare;
mod replay;
mod report;
mod run;
#[cfg(any(feature = "bfcl", feature = "tau"))]
mod score;
mod settings;
mod show;
mod tools;
mod watch;

use super::trace::pending;
use crate::approve::ApprovalArgs;
use crate::console::{print_json, say};
use crate::data;
#[cfg(all(feature = "bfcl", feature = "tools"))]
use crate::embedder;
use crate::interrupt::Interrupted;
use crate::models::{self, ModelSpec, PLAYERS, SamplingArgs};
use crate::tasksets;
use anyhow::{Context, bail};
use baselines::Recorded;
use gate::{Gate, GateFailed, Side};
use hone_env::Split;
use hone_tool::ApprovalPolicy;
use report::{measures, report, summary};
use run::{Run, SECONDS};
use settings::MAX_TASKS;
use std::path::PathBuf;
use std::time::Instant;
use tools::ToolArgs;

/// Time that an embedder may take for a text; before the first it may load a model.
#[cfg(all(feature = "bfcl", feature = "tools"))]
const EMBEDDER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

pub use report::page_of;
pub use settings::make_run;

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
    /// Taskset: shop, shop-guided, shop-dialogue, textcraft, textcraft:2-3, or the folder of your own tasks
    #[arg(required_unless_present = "resume")]
    taskset: Option<String>,
    /// Who plays: a model's directory, openai:MODEL, http://HOST/v1#MODEL, gold, … (see Players below). With --resume: where
    /// the same model is now, if it was moved
    #[cfg_attr(any(feature = "bfcl", feature = "tau"), arg(long, required_unless_present_any = ["resume", "responses"]))]
    #[cfg_attr(
        not(any(feature = "bfcl", feature = "tau")),
        arg(long, required_unless_present = "resume")
    )]
    model: Option<ModelSpec>,
    /// Score these recorded answers instead of playing: see `hone eval score --help`
    #[cfg(any(feature = "bfcl", feature = "tau"))]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "resume", "harness", "user", "max_cost", "fail_under", "fail_over"])]
    responses: Option<PathBuf>,
    /// With --responses, of BFCL: the answers are of a function-calling API
    #[cfg(any(feature = "bfcl", feature = "tau"))]
    #[arg(long, requires = "responses")]
    function_calling: bool,
    /// The agent's loop: react, dialogue, or command:PROGRAM ARGUMENT… (default: what the taskset is played in)
    #[arg(long, value_name = "LOOP")]
    harness: Option<String>,
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
    #[arg(long, visible_alias = "limit", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=MAX_TASKS))]
    n: u64,
    /// Episodes per task, for pass@k and pass^k
    #[arg(long, visible_alias = "k", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    samples: u32,
    /// 0 takes the likeliest token, 1 samples as the model says
    #[arg(long, default_value = "0", allow_negative_numbers = true, value_parser = models::temperature)]
    temperature: f32,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Ask the agent at the end of each episode how sure it is, and measure how far that can be trusted
    #[arg(long)]
    confidence: bool,
    /// All randomness comes from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Episodes in flight at once; changes the speed, never the result
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Where the data of published suites lies (default: HONE_DATA, .hone-data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A command that makes vectors of texts (docs/protocol.md), its words separated by spaces: what BFCL's vector memory
    /// finds texts with, in place of the built-in lexical one; with --resume say it again
    #[cfg(all(feature = "bfcl", feature = "tools"))]
    #[arg(long, value_name = "COMMAND")]
    embedder: Option<String>,
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
        conflicts_with_all = ["taskset", "harness", "user", "judges", "split", "n", "samples", "temperature", "options", "stop", "constrain", "confidence", "seed", "out", "policy"]
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
    /// Say how far judges agree, with each other and with people, and whether they listen
    Judges(judges::Args),
    /// Say why episodes failed, in published classes: by a judge, beside the rules
    Failures(failures::Args),
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
  hone eval bfcl --responses result/MODEL --data DATA      answers that others recorded, scored (see `hone eval score`)
  hone eval my --model DIR --harness 'command:python3 loop.py'
  hone eval --resume runs/eval-shop-nano-001               go on after Ctrl-C or a crash
  hone eval show runs/eval-shop-nano-001 --failed          why, episode by episode
  hone eval failures runs/eval-shop-nano-001 --judge MODEL why, by a judge (see `hone eval failures --help`)
  hone eval judges runs/eval-my-nano-001                   how far judges agree (see `hone eval judges --help`)
  hone eval shop --model DIR --confidence                  how far the model's own confidence can be trusted
  hone eval shop --model DIR --fail-under 0.8              a gate for continuous integration
  hone eval my --model DIR --policy rules.toml             tool calls under rules; what they leave to a person waits
  hone eval my --model DIR --tools replay-then-live --tool-cache cache      results of tools, shared between runs

Exit status: 0 measured, and every gate passed; 1 failed; 2 wrong usage; 3 measured, but a gate failed (--fail-under,
--fail-over); 130 stopped by the user.";

impl Args {
    /// Measure.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        match self.other {
            Some(Other::Show(args)) => return args.run(json),
            Some(Other::Compare(args)) => return args.run(json),
            Some(Other::Judges(args)) => return args.run(json),
            Some(Other::Failures(args)) => return args.run(json),
            Some(Other::Conformance(args)) => return args.run(json),
            #[cfg(any(feature = "bfcl", feature = "tau"))]
            Some(Other::Score(args)) => return args.run(json),
            None => {}
        }
        #[cfg(any(feature = "bfcl", feature = "tau"))]
        if let (Some(responses), Some(suite)) = (&self.responses, &self.taskset) {
            let args = score::Args {
                suite: suite.clone(),
                responses: responses.clone(),
                data: self.data,
                function_calling: self.function_calling,
                judges: self.judges,
                out: self.out,
            };
            return args.run(json);
        }
        if let Some(folder) = &self.data {
            data::look_in(folder.clone());
        }
        #[cfg(all(feature = "bfcl", feature = "tools"))]
        if let Some(command) = &self.embedder {
            embedder::memories::find_with(embedder::start(command, EMBEDDER_TIMEOUT)?);
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
        let mut run = match self.resume {
            Some(ref dir) => Run::resume(dir, self.model, self.prices, max_cost)?,
            None => Run::start(self)?,
        };
        let undecided = run.rule(approve, &tools)?;
        // A baseline's calls would be nobody's decision, or would run where none may.
        let baselines = baselines && matches!(*run.approval, ApprovalPolicy::AllowAll) && !tools.only_replay();
        let before = run.seconds()?;
        let end = run.prepare(concurrency, max_cost).and_then(|stopped| {
            Ok(stopped
                || run.play(&undecided, concurrency, max_cost)?
                || (baselines && baselines::play(&run.dir, &run.settings, &run.taskset, concurrency)?))
        });
        self::tools::told(&run.tools);
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
}
