//! `hone train explain`: what a method made of given rollouts, stage by stage and token by token.

use anyhow::{Context, Result, bail};
use clap::Args;
use hone_trace::{Filter, Store};
use hone_train::Seen;
use hone_train::recipe::Recipe;
use hone_train::stages::{self, Row};
use hone_view::{TokenCell, TokenMap, printable};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  hone train explain runs/quickstart-001 --step 10     a step of a run, from its record, by its own method
  hone train explain runs/quickstart-001 --preset rloo what another method would have made of it
  hone train explain --preset grpo-roc-code --input groups.json --svg groups.svg
  hone train explain --recipe mine.toml --input groups.json --json | jq .tokens
  echo '{\"preset\": \"grpo\", \"rollouts\": [
    {\"id\": \"a\", \"group\": 0, \"reward\": 1, \"rows\": [{\"ids\": [5, 6], \"mask\": [false, true], \"logp_sampler\": [0, -0.5]}]},
    {\"id\": \"b\", \"group\": 0, \"reward\": 0, \"rows\": [{\"ids\": [5, 7], \"mask\": [false, true], \"logp_sampler\": [0, -1.5]}]}
  ]}' | hone train explain -

Of a run, ratios are those that the trainer saw when it took the step. To given rollouts, `method` (overrides of the preset),
`now` (log-probabilities under the present policy, by rollout) and more may be added: docs/methods.md has the fields, and
docs/methods/ a page per family of parts with an example of each. `hone train methods` lists the presets and parts.";

/// Most characters of a stage's values in the readable form.
const MAX_VALUES: usize = 160;

/// Most bytes of an input file.
const MAX_INPUT: u64 = 256 << 20;

/// Show what an RL method makes of rollouts: what each stage keeps and drops, and each sampled token's advantage, ratio,
/// weight, loss and gradient
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// A run directory, or a JSON file with `rollouts` (`-` for standard input)
    #[arg(required_unless_present = "file")]
    input: Option<PathBuf>,
    /// The same by name
    #[arg(long = "input", value_name = "INPUT", conflicts_with = "input")]
    file: Option<PathBuf>,
    /// The method, instead of the run's or the file's: a preset with its own settings
    #[arg(long, conflicts_with = "recipe")]
    preset: Option<String>,
    /// The method of this recipe: a file, a folder with recipe.toml, or a name
    #[arg(long)]
    recipe: Option<String>,
    /// Which step of reinforcement: of a run (default: 0), or for what given rollouts schedule over the steps
    #[arg(long)]
    step: Option<u32>,
    /// Draw it, too, as an SVG file
    #[arg(long, value_name = "OUT")]
    svg: Option<PathBuf>,
}

impl Explain {
    pub fn run(self, as_json: bool) -> Result<()> {
        let path = self
            .input
            .or(self.file)
            .context("give a run directory or a JSON file")?;
        let mut input = if path.is_dir() {
            recorded(&path, self.step.unwrap_or(0))?
        } else {
            given(&path)?
        };
        if !input.is_object() {
            bail!("{} is not a JSON object with `rollouts`", path.display());
        }
        if let Some(step) = self.step {
            input["step"] = json!(step);
        }
        if let Some(preset) = self.preset {
            input["preset"] = json!(preset);
            input["method"] = json!({});
        }
        if let Some(name) = self.recipe {
            let Recipe::Agent(recipe) = super::recipes::find(&name, None)?.recipe else {
                bail!("{name} makes a base model; it has no method");
            };
            input["preset"] = json!(recipe.rl.method);
            input["method"] = json!(recipe.rl.overrides);
        }
        let out = stages::explain(&input).with_context(|| path.display().to_string())?;
        if let Some(file) = &self.svg {
            std::fs::write(file, drawn(&out).svg()).with_context(|| format!("cannot write {}", file.display()))?;
        }
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
    let mut micro: BTreeMap<String, u32> = BTreeMap::new();
    let reference: BTreeMap<String, Vec<Option<Vec<f32>>>> = match record.get("reference") {
        Some(all) => serde_json::from_value(all.clone())
            .with_context(|| format!("what {} says of step {step} is damaged", dir.display()))?,
        None => BTreeMap::new(),
    };
    for rollout in &mut rollouts {
        let id = &rollout.id;
        if let Some(seen) = seen.iter().find(|seen| seen.rollout == *id) {
            micro.insert(id.clone(), seen.micro);
        }
        for (row, logp) in rollout.rows.iter_mut().zip(reference.get(id).into_iter().flatten()) {
            row.logp_ref.clone_from(logp);
        }
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
    input["micro"] = json!(micro);
    input["step"] = json!(step);
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

fn drawn(out: &Value) -> TokenMap {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let mut map = TokenMap {
        title: text(&out["preset"]),
        loss: number(&out["loss"]),
        ..TokenMap::default()
    };
    for token in out["tokens"].as_array().into_iter().flatten() {
        let name = match token["channel"].as_str() {
            Some(channel) => format!("{} ({channel})", text(&token["rollout"])),
            None => text(&token["rollout"]),
        };
        let cell = TokenCell {
            pos: token["pos"].as_u64().unwrap_or(0),
            advantage: number(&token["advantage"]),
            grad: number(&token["grad"]),
            clipped: token["clip"] == true,
        };
        match map.rows.last_mut().filter(|(last, _)| *last == name) {
            Some((_, cells)) => cells.push(cell),
            None => map.rows.push((name, vec![cell])),
        }
    }
    let stages = out["stages"].as_array().into_iter().flatten();
    for drop in stages.flat_map(|stage| stage["dropped"].as_array().into_iter().flatten()) {
        map.left.push((text(&drop["id"]), text(&drop["reason"])));
    }
    map
}

fn readable(out: &Value) -> String {
    let mut text = format!("method {}\n\n", out["preset"].as_str().unwrap_or("?"));
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for stage in list(&out["stages"]) {
        let name = match (&stage["stage"], &stage["part"]) {
            (stage, Value::String(part)) => format!("{}: {part}", stage.as_str().unwrap_or("?")),
            (stage, _) => stage.as_str().unwrap_or("?").to_owned(),
        };
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
            "{:<24} {:>5} {:>10.4} {:>8.4} {:>8.5} {:>11.6} {:>11.6}{}{}\n",
            token["rollout"].as_str().unwrap_or("?"),
            token["pos"].to_string(),
            number("advantage"),
            number("ratio"),
            number("weight"),
            number("loss"),
            number("grad"),
            if token["clip"] == true { "  clipped" } else { "" },
            token["channel"]
                .as_str()
                .map_or(String::new(), |name| format!("  {name}"))
        );
    }
    text + &format!("\nloss {:.6}\n", out["loss"].as_f64().unwrap_or(f64::NAN))
}
