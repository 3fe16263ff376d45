//! `hone eval compare`: two runs over the same tasks.

use super::settings::PHASE;
use crate::console::{print_json, say, table};
use anyhow::{Context, bail};
use hone_score::{Measures, Paired, Rate};
use hone_trace::{Filter, Store, Stream};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Compare two runs over the tasks that both tried.
///
/// Pairs the runs by task, which tells more than two separate intervals: tasks that both solve or both miss say nothing
/// about the difference. Episodes that failed for the infrastructure's reasons count on neither side.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Run directory of the first, such as the old model's
    first: PathBuf,
    /// Run directory of the second; a positive difference means that this one is better
    second: PathBuf,
    /// Phase of the first run: eval, or one of a training run, such as eval/sft/greedy
    #[arg(long, default_value = PHASE, value_name = "PHASE")]
    first_phase: String,
    /// Phase of the second run
    #[arg(long, default_value = PHASE, value_name = "PHASE")]
    second_phase: String,
}

const EXAMPLES: &str = "\
Examples:
  hone eval compare runs/eval-shop-a-001 runs/eval-shop-b-001
  hone eval compare runs/quickstart runs/quickstart --first-phase eval/sft/greedy --second-phase eval/rl/greedy";

/// What is printed with `--json`.
#[derive(Serialize)]
struct Comparison {
    first: Side,
    second: Side,
    #[serde(flatten)]
    paired: Paired,
}

#[derive(Serialize)]
struct Side {
    run: String,
    phase: String,
    n: u64,
    success: f64,
    ci95: [f64; 2],
}

impl Side {
    fn read(dir: &Path, phase: &str) -> anyhow::Result<(Self, Measures)> {
        let store = Store::open_read_only(dir.join("run.db"))?;
        let mut measures = Measures::default();
        store
            .episodes(&Filter::phase(phase))?
            .iter()
            .for_each(|summary| measures.add_summary(summary));
        let run = dir.display().to_string();
        let Some(Rate { value, lo, hi, n }) = measures.success() else {
            bail!("{run} has no episode of phase `{phase}` that counts; `hone trace ls {run}` shows what it has");
        };
        let side = Self {
            run,
            phase: phase.to_owned(),
            n,
            success: value,
            ci95: [lo, hi],
        };
        Ok((side, measures))
    }
}

/// Compare two evaluations.
///
/// # Errors
/// When one of them cannot be read, or they have no task in common.
pub fn paired(first: &Path, second: &Path) -> anyhow::Result<Paired> {
    let args = Args {
        first: first.into(),
        second: second.into(),
        first_phase: PHASE.into(),
        second_phase: PHASE.into(),
    };
    Ok(args.compare()?.paired)
}

impl Args {
    /// Compare.
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let comparison = self.compare()?;
        comparison.tell();
        if json {
            print_json(&comparison)?;
        }
        Ok(())
    }

    fn compare(&self) -> anyhow::Result<Comparison> {
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| Side::read(&self.second, &self.second_phase));
            let first = Side::read(&self.first, &self.first_phase);
            // A panic there is a panic here.
            let second = second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (first, second)
        });
        let ((first, a), (second, b)) = (first?, second?);
        let paired = Paired::compare(&a, &b, &Stream::new(0).named("compare"))
            .context("the two have no task in common; evaluate both on the same taskset, split and number of tasks")?;
        Ok(Comparison { first, second, paired })
    }
}

impl Comparison {
    fn tell(&self) {
        let percent = |x: f64| format!("{:.1} %", 100.0 * x);
        let points = |x: f64| format!("{:+.1}", 100.0 * x);
        let mut rows = vec![
            ["", "run", "phase", "n", "success", "95 % interval"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for (which, side) in [("first", &self.first), ("second", &self.second)] {
            let [lo, hi] = side.ci95;
            rows.push(vec![
                which.to_owned(),
                side.run.clone(),
                side.phase.clone(),
                side.n.to_string(),
                percent(side.success),
                format!("{} to {}", percent(lo), percent(hi)),
            ]);
        }
        say(table(&rows));
        let p = &self.paired;
        say(format!(
            "\nover the {} tasks that both tried, the second is {} points from the first (95 %: {} to {})",
            p.tasks,
            points(p.difference),
            points(p.ci95[0]),
            points(p.ci95[1]),
        ));
        say(format!(
            "better on {} tasks, worse on {}; p = {} (exact sign test): {}",
            p.second_better,
            p.first_better,
            match p.p_value < 1e-4 {
                true => format!("{:.1e}", p.p_value),
                false => format!("{:.4}", p.p_value),
            },
            match p.p_value < 0.05 {
                true => "a difference",
                false => "no difference that these tasks could show",
            }
        ));
    }
}
