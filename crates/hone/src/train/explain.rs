//! `hone train explain`: what a method made of given rollouts, stage by stage and token by token.

use anyhow::{Context, Result, bail};
use clap::Args;
use hone_trace::{Filter, Store};
use hone_train::Seen;
use hone_train::recipe::Recipe;
use hone_train::stages::{self, Row};
use hone_view::printable;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  hone train explain runs/quickstart-001 --step 10     a step of a run, from its record, by its own method
  hone train explain rollouts.json --json | jq .tokens
  echo '{\"preset\": \"grpo\", \"rollouts\": [
    {\"id\": \"a\", \"group\": 0, \"reward\": 1, \"rows\": [{\"ids\": [5, 6], \"mask\": [false, true], \"logp_sampler\": [0, -0.5]}]},
    {\"id\": \"b\", \"group\": 0, \"reward\": 0, \"rows\": [{\"ids\": [5, 7], \"mask\": [false, true], \"logp_sampler\": [0, -1.5]}]}
  ]}' | hone train explain -

Of a run, ratios are those that the trainer saw when it took the step. To given rollouts, `method` (overrides of the preset),
`now` (log-probabilities under the present policy, by rollout) and `updates` (which optimiser step, by rollout) may be added.";

/// Most characters of a stage's values in the readable form.
const MAX_VALUES: usize = 160;

/// Most bytes of an input file.
const MAX_INPUT: u64 = 256 << 20;

/// Show what an RL method makes of rollouts: what each stage keeps and drops, and each sampled token's advantage, ratio,
/// weight, loss and gradient
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// A run directory, or a JSON file with `preset` and `rollouts` (`-` for standard input)
    input: PathBuf,
    /// With a run: which step of reinforcement
    #[arg(long, default_value_t = 0)]
    step: u32,
}

impl Explain {
    pub fn run(self, as_json: bool) -> Result<()> {
        let input = if self.input.is_dir() {
            recorded(&self.input, self.step)?
        } else {
            given(&self.input)?
        };
        let out = stages::explain(&input).with_context(|| self.input.display().to_string())?;
        let text = if as_json {
            format!("{out}\n")
        } else {
            printable(&readable(&out))
        };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

fn given(path: &Path) -> Result<Value> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MAX_INPUT + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_INPUT + 1).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read {}: give a run directory or a JSON file", path.display()))?;
    if text.len() as u64 > MAX_INPUT {
        bail!(
            "{} is larger than {} MiB; explain fewer rollouts",
            path.display(),
            MAX_INPUT >> 20
        );
    }
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// The rollouts of a step as the run recorded them, with the method of its recipe.
fn recorded(dir: &Path, step: u32) -> Result<Value> {
    let path = dir.join("recipe.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}: give the directory of a run", path.display()))?;
    let Recipe::Agent(recipe) = Recipe::parse(&text, &path.display().to_string(), None)? else {
        bail!(
            "{} made a base model; only runs with reinforcement can be explained",
            dir.display()
        );
    };
    let store = Store::open_read_only(dir.join("run.db"))?;
    let phase = format!("rl/{step}");
    let mut rollouts = Vec::new();
    store.for_each(&Filter::phase(&phase), |episode| -> Result<()> {
        if episode.phase == phase {
            rollouts.push(hone_train::rollout(&episode)?);
        }
        Ok(())
    })?;
    if rollouts.is_empty() {
        bail!(
            "{} holds no rollouts of step {step}; look at `hone trace ls {}`",
            dir.display(),
            dir.display()
        );
    }
    let record = store.get_meta(&hone_train::update_key(step))?.with_context(|| {
        format!(
            "step {step} of {} was played but not learnt from; resume the run first",
            dir.display()
        )
    })?;
    let seen: Vec<Seen> = serde_json::from_value(record["seen"].clone())
        .with_context(|| format!("what {} says of step {step} is damaged", dir.display()))?;
    let mut now: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut updates: BTreeMap<String, u32> = BTreeMap::new();
    for rollout in &mut rollouts {
        let id = &rollout.id;
        let rows = rollout.rows.iter_mut().zip(0..).map(|(row, index)| {
            let seen = seen.iter().find(|s| s.rollout == *id && s.row == index)?;
            let exact = |values: &[f32]| Some(spread(row, values)?.into_iter().map(f64::from).collect::<Vec<_>>());
            let entropy = if seen.entropy.is_empty() {
                Some(Vec::new())
            } else {
                exact(&seen.entropy)
            };
            let now = json!({"logp": exact(&seen.logp)?, "entropy": entropy?});
            if !seen.reference.is_empty() {
                row.logp_ref = Some(spread(row, &seen.reference)?);
            }
            Some((seen.update, now))
        });
        let rows: Vec<Option<(u32, Value)>> = rows.collect();
        if let Some((update, _)) = rows.iter().flatten().next() {
            updates.insert(rollout.id.clone(), *update);
            let rows = rows
                .into_iter()
                .map(|row| row.map_or_else(|| json!({"logp": []}), |(_, now)| now));
            now.insert(rollout.id.clone(), rows.collect());
        }
    }
    let mut input = json!({"preset": recipe.rl.method, "method": recipe.rl.overrides, "rollouts": rollouts});
    input["now"] = json!(now);
    input["updates"] = json!(updates);
    Ok(input)
}

/// Values of a row's sampled tokens in their places, 0 elsewhere; none if there are too few.
fn spread(row: &Row, values: &[f32]) -> Option<Vec<f32>> {
    let mut values = values.iter().copied();
    let each = row
        .mask
        .iter()
        .map(|sampled| if *sampled { values.next() } else { Some(0.0) });
    each.collect()
}

fn readable(out: &Value) -> String {
    let mut text = format!("method {}\n\n", out["preset"].as_str().unwrap_or("?"));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for stage in list(&out["stages"]) {
        let name = stage["stage"].as_str().unwrap_or("?");
        let mut values = stage["values"].to_string();
        if values.chars().count() > MAX_VALUES {
            values = values.chars().take(MAX_VALUES).collect::<String>() + " … (--json shows all)";
        }
        text += &format!("{name:<10} keeps {:>5}  {values}\n", stage["kept"].to_string());
        let mut dropped: BTreeMap<String, u32> = BTreeMap::new();
        for drop in list(&stage["dropped"]) {
            *dropped
                .entry(drop["reason"].as_str().unwrap_or("?").to_owned())
                .or_default() += 1;
        }
        for (reason, count) in dropped {
            text += &format!("           drops {count:>5}  {reason}\n");
        }
    }
    text += "\nrollout                    pos  advantage    ratio   weight        loss        grad\n";
    for token in list(&out["tokens"]) {
        let number = |key: &str| token[key].as_f64().unwrap_or(f64::NAN);
        text += &format!(
            "{:<24} {:>5} {:>10.4} {:>8.4} {:>8.5} {:>11.6} {:>11.6}{}\n",
            token["rollout"].as_str().unwrap_or("?"),
            token["pos"].to_string(),
            number("advantage"),
            number("ratio"),
            number("weight"),
            number("loss"),
            number("grad"),
            if token["clip"] == true { "  clipped" } else { "" }
        );
    }
    text + &format!("\nloss {:.6}\n", out["loss"].as_f64().unwrap_or(f64::NAN))
}
