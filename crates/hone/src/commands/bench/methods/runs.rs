//! Making the runs: `hone train` in processes of their own, as many at a time as there are jobs.

use super::plan::{Method, Plan};
use crate::console::say;
use crate::interrupt::Interrupted;
use anyhow::{Context, Result, bail};
use hone_engine::checkpoint;
use hone_train::recipe::{AgentRecipe, Recipe};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often it is looked whether a run has ended.
const POLL: Duration = Duration::from_millis(100);
/// What runs get to stop by themselves.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run under way.
struct Running {
    name: String,
    child: Child,
    begun: Instant,
}

impl Drop for Running {
    /// A run that is killed loses what is in flight, and is resumed.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How far a run has come.
enum Stand {
    New,
    Begun,
    Done,
}

fn stand(dir: &Path, planned: &AgentRecipe) -> Result<Stand> {
    let path = dir.join("recipe.toml");
    if !path.exists() {
        return Ok(Stand::New);
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Recipe::Agent(mut made) = Recipe::parse(&text, &path.display().to_string(), None)? else {
        bail!(
            "{} is not a run of this comparison; choose another --out",
            dir.display()
        );
    };
    // A project's own rules, which the run took over.
    made.policy.clone_from(&planned.policy);
    if *made != *planned {
        bail!(
            "the run in {} was made with other settings; choose another --out, or remove it",
            dir.display()
        );
    }
    Ok(match dir.join("result.json").exists() {
        true => Stand::Done,
        false => Stand::Begun,
    })
}

fn start(name: &str, dir: &Path, planned: &AgentRecipe, stand: &Stand, logs: &Path, threads: usize) -> Result<Running> {
    let log = logs.join(format!("{}.log", name.replace('/', "-")));
    std::fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let said = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(std::env::current_exe().context("this program's own path is unknown")?);
    command.arg("train");
    match stand {
        Stand::New => {
            let recipe = logs.join(format!("{}.toml", name.replace('/', "-")));
            checkpoint::write(&recipe, toml::to_string_pretty(planned)?.as_bytes())?;
            command.arg(recipe).arg("--out").arg(dir);
        }
        Stand::Begun | Stand::Done => {
            command.arg("--resume").arg(dir);
        }
    }
    command
        .args(["--threads", &threads.to_string()])
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said);
    let child = command
        .spawn()
        .with_context(|| format!("cannot start the run {name}"))?;
    Ok(Running {
        name: name.to_owned(),
        child,
        begun: Instant::now(),
    })
}

fn stopped(cancel: &AtomicBool, running: &mut [Running]) -> Result<()> {
    if !cancel.load(Ordering::Relaxed) {
        return Ok(());
    }
    // What the terminal told us it told them, too.
    let since = Instant::now();
    while since.elapsed() < PATIENCE && running.iter_mut().any(|run| matches!(run.child.try_wait(), Ok(None))) {
        std::thread::sleep(POLL);
    }
    Err(Interrupted("stopped; the same command goes on".into()).into())
}

/// Make the cold start, if it is not there.
pub(super) fn cold_start(plan: &Plan, threads: usize, cancel: &AtomicBool) -> Result<()> {
    let (dir, logs) = (plan.cold_dir(), plan.out.join("logs"));
    let stand = stand(&dir, &plan.cold)?;
    if matches!(stand, Stand::Done) {
        return Ok(());
    }
    say(format!("cold start on {}", plan.cold.taskset));
    let mut run = [start("cold", &dir, &plan.cold, &stand, &logs, threads)?];
    loop {
        stopped(cancel, &mut run)?;
        let [Running { child, begun, .. }] = &mut run;
        match child.try_wait().context("the cold start is lost")? {
            None => std::thread::sleep(POLL),
            Some(status) if status.success() => {
                say(format!("cold start: {:.0} s", begun.elapsed().as_secs_f64()));
                return Ok(());
            }
            Some(_) => bail!(
                "the cold start failed; what it said is in {}",
                logs.join("cold.log").display()
            ),
        }
    }
}

/// Make the runs that are not there. The names of those that failed.
pub(super) fn all(plan: &Plan, jobs: usize, cancel: &AtomicBool) -> Result<Vec<String>> {
    let logs = plan.out.join("logs");
    // All methods of a seed before the next seed: what is there can be compared at any time.
    let mut waiting: Vec<(String, PathBuf, AgentRecipe, Stand)> = Vec::new();
    for seed in 0..plan.seeds {
        for method in &plan.methods {
            let (dir, recipe) = (plan.dir(method, seed), plan.recipe(method, seed));
            let stand = stand(&dir, &recipe)?;
            if !matches!(stand, Stand::Done) {
                waiting.push((name(method, seed), dir, recipe, stand));
            }
        }
    }
    let all = waiting.len();
    let mut waiting = waiting.into_iter();
    let mut running: Vec<Running> = Vec::new();
    let mut failed = Vec::new();
    let mut done = 0;
    loop {
        stopped(cancel, &mut running)?;
        while running.len() < jobs
            && let Some((name, dir, recipe, stand)) = waiting.next()
        {
            running.push(start(&name, &dir, &recipe, &stand, &logs, 1)?);
        }
        if running.is_empty() {
            return Ok(failed);
        }
        let mut left = Vec::with_capacity(running.len());
        for mut run in running {
            let Some(status) = run
                .child
                .try_wait()
                .with_context(|| format!("the run {} is lost", run.name))?
            else {
                left.push(run);
                continue;
            };
            done += 1;
            let seconds = run.begun.elapsed().as_secs_f64();
            let how = if status.success() { "" } else { " FAILED" };
            say(format!("{} {seconds:.0} s{how} ({done} of {all})", run.name));
            if !status.success() {
                failed.push(run.name.clone());
            }
        }
        running = left;
        std::thread::sleep(POLL);
    }
}

fn name(method: &Method, seed: u64) -> String {
    format!("{}/{seed}", method.name)
}
