//! Which runs are to be made: a recipe each.

use crate::train::recipes;
use anyhow::{Context, Result, bail};
use hone_score::{Better, Claim};
use hone_train::recipe::{AgentRecipe, Demonstrations, Recipe};
use hone_train::stages::{self, Surrogate};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Training tasks between the first ones of two seeds.
const SEED_TASKS: u64 = 1_000_000;
/// More steps than any budget of tokens has.
const STEPS: u32 = 1_000_000;

/// A method to be measured.
pub(super) struct Method {
    pub name: String,
    pub about: String,
    pub claims: Vec<Claim>,
    /// The world's recipe with this method, but for the seed.
    recipe: AgentRecipe,
}

/// All that is to be done.
pub(super) struct Plan {
    pub world: String,
    pub budget: u64,
    pub seeds: u64,
    pub methods: Vec<Method>,
    /// The cold start.
    pub cold: AgentRecipe,
    pub out: PathBuf,
    first_task: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    claim: Vec<Claim>,
}

impl Plan {
    pub(super) fn of(world: &str, names: &[String], seeds: u64, budget: u64, out: &Path) -> Result<Self> {
        if budget == 0 {
            bail!("--budget is 0; give the tokens that a run may sample");
        }
        let found = recipes::find(world, None).or_else(|error| {
            let built_in = recipes::find(&format!("world-{world}"), None);
            built_in.map_err(|_| error)
        })?;
        let Recipe::Agent(base) = found.recipe else {
            bail!("--world {world} is the recipe of a base model; give one that teaches a taskset");
        };
        if base.demonstrations.episodes == 0 || base.sft.steps == 0 {
            bail!("--world {world} has no cold start; give a recipe with `demonstrations` and `sft`");
        }
        let mut base = base;
        // One cold start for all, so that what they learn after it is comparable.
        base.confidence |= names.iter().any(|name| asks(name));
        let mut methods: Vec<Method> = Vec::new();
        for name in names {
            if methods.iter().any(|method| method.name == *name) {
                bail!("--methods names {name} twice");
            }
            methods.push(method(name, &base).with_context(|| format!("--methods {name}"))?);
        }
        let mut cold = AgentRecipe::clone(&base);
        cold.name = format!("{}-cold", base.name);
        cold.rl.steps = 0;
        cold.eval.sft_matched = false;
        cold.budget = toml::Table::new();
        Ok(Self {
            world: world.to_owned(),
            budget,
            seeds,
            methods,
            cold,
            out: out.to_owned(),
            first_task: base.demonstrations.episodes,
        })
    }

    pub(super) fn cold_dir(&self) -> PathBuf {
        self.out.join("cold")
    }

    pub(super) fn dir(&self, method: &Method, seed: u64) -> PathBuf {
        self.out.join("runs").join(&method.name).join(seed.to_string())
    }

    /// The recipe of a run.
    pub(super) fn recipe(&self, method: &Method, seed: u64) -> AgentRecipe {
        let mut recipe = method.recipe.clone();
        recipe.seed = seed;
        recipe.base = self.cold_dir().join("model").display().to_string();
        recipe.rl.max_tokens = self.budget;
        // Behind the demonstrations' tasks, and apart from those of other seeds.
        recipe.rl.first_task = Some(self.first_task + seed * SEED_TASKS);
        recipe
    }
}

/// The file that says how a method is run at this size: `recipes/NAME/nano.toml`, or `recipes/NAME.toml` for a name like `m2po/stale`.
fn nano(name: &str) -> Option<PathBuf> {
    if !name.split('/').all(hone_train::is_plain) {
        return None;
    }
    let places = [format!("recipes/{name}/nano.toml"), format!("recipes/{name}.toml")];
    places.iter().find_map(|place| crate::train::resolve(place))
}

/// Whether a method's own recipe has the agent asked how sure it is.
fn asks(name: &str) -> bool {
    let own = nano(name).and_then(|path| recipes::find(&path.to_string_lossy(), None).ok());
    own.is_some_and(|found| matches!(found.recipe, Recipe::Agent(own) if own.confidence))
}

/// The world's recipe with the method's own part of `[rl]`.
fn method(name: &str, world: &AgentRecipe) -> Result<Method> {
    let mut recipe = world.clone();
    recipe.scratch = None;
    recipe.demonstrations = Demonstrations::default();
    recipe.sft.steps = 0;
    recipe.eval.baselines.clear();
    recipe.eval.sft_matched = false;
    recipe.budget = toml::Table::new();
    recipe.rl.overrides.clear();
    recipe.rl.branch = None;
    let mut about = String::new();
    let mut claims = Vec::new();
    match nano(name) {
        Some(path) => {
            let Recipe::Agent(own) = recipes::find(&path.to_string_lossy(), None)?.recipe else {
                bail!("{} is the recipe of a base model", path.display());
            };
            if own.roles != world.roles {
                bail!(
                    "{} trains a planner among helpers, and the world an agent alone; run it with hone train",
                    path.display()
                );
            }
            about.clone_from(&own.about);
            recipe.rl = own.rl;
            recipe.rl.focus = world.rl.focus;
            recipe.rl.validate_every = world.rl.validate_every;
            recipe.rl.checkpoint_every = world.rl.checkpoint_every;
        }
        None => {
            let Some(preset) = stages::presets().iter().find(|preset| preset.name == name) else {
                bail!(
                    "there is neither recipes/{name}/nano.toml nor recipes/{name}.toml nor a method {name}; see `hone train methods`"
                );
            };
            about.clone_from(&preset.about);
            name.clone_into(&mut recipe.rl.method);
            if preset.method.objective.surrogate == Surrogate::LogProb {
                recipe.rl.updates = 1;
            }
        }
    }
    if let Some(path) = crate::train::resolve(&format!("recipes/{name}/claims.toml")) {
        claims = read_claims(&path)?;
    }
    recipe.rl.steps = STEPS;
    recipe.name = name.replace('/', "-");
    Recipe::Agent(Box::new(recipe.clone())).validate()?;
    Ok(Method {
        name: name.to_owned(),
        about,
        claims,
        recipe,
    })
}

/// The claims that a file makes.
///
/// # Errors
/// Names the file and what is wrong.
pub(super) fn read_claims(path: &Path) -> Result<Vec<Claim>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Claims { claim } = toml::from_str(&text).with_context(|| format!("{} holds no claims", path.display()))?;
    for claim in &claim {
        let sides = [Some(claim.better), claim.keeps.as_ref().map(|keeps| keeps.better)];
        let known = |name: &str| super::figures::MEASURES.iter().any(|measure| measure.name == name);
        let kept = claim.keeps.as_ref().map(|keeps| keeps.measure.as_str());
        if let Some(name) = [Some(claim.measure.as_str()), kept]
            .into_iter()
            .flatten()
            .find(|name| !known(name))
        {
            let all: Vec<_> = super::figures::MEASURES.iter().map(|measure| measure.name).collect();
            bail!(
                "{}: there is no measure {name}; take one of {}",
                path.display(),
                all.join(", ")
            );
        }
        if sides.into_iter().flatten().any(|better| better == Better::Neither)
            || !claim.by.is_finite()
            || claim.by < 0.0
        {
            bail!(
                "{}: `better` is \"higher\" or \"lower\", and `by` a number from 0 on",
                path.display()
            );
        }
    }
    Ok(claim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_in_the_recipes_names_measures_and_methods_that_there_are() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
        let mut read = 0;
        for entry in std::fs::read_dir(&recipes).unwrap() {
            let path = entry.unwrap().path().join("claims.toml");
            if !path.is_file() {
                continue;
            }
            for claim in read_claims(&path).unwrap() {
                let preset = stages::presets().iter().any(|preset| preset.name == claim.than);
                assert!(
                    nano(&claim.than).is_some() || preset,
                    "{}: {}",
                    path.display(),
                    claim.than
                );
                read += 1;
            }
        }
        assert!(read >= 5, "{read}");
    }
}
