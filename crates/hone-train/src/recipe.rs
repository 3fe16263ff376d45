//! Recipes: TOML files that name everything a run does. Nothing but data, and validated as a whole before anything runs.

use crate::base::is_plain;
use crate::stages::{Method, Need, Schedule, Shape, StageError, Surrogate};
use crate::supervised::Supervised;
use hone_engine::{AdamW, Config, Lora};
use hone_env::Role;
use hone_rollout::branching::Branching;
use hone_tool::{ApprovalPolicy, Policy, PolicyError};
use hone_trace::Constraint;
use serde::{Deserialize, Serialize};

/// Least bound on a byte-level vocabulary: the bytes and the chat format's tokens.
const MIN_VOCABULARY: usize = 300;

/// What reinforcement supplies to the parts of a method.
const SUPPLIED: [Need; 7] = [
    Need::Scores,
    Need::Entropy,
    Need::Reference,
    Need::ReferenceFirst,
    Need::Turns,
    Need::Anchors,
    Need::ValidActions,
];

/// Any recipe.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Recipe {
    /// Makes a base model from a generated corpus.
    Base(Box<BaseRecipe>),
    /// Teaches a model a taskset: demonstrations, cold start, reinforcement.
    Agent(Box<AgentRecipe>),
}

/// What makes a base model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseRecipe {
    /// `base`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Seed of everything.
    pub seed: u64,
    /// Where the model goes, relative to the working directory.
    pub output: String,
    /// Shape of the model; `vocab_size` is the bound given to the tokenizer's training.
    pub model: Config,
    /// The corpus.
    pub corpus: Corpus,
    /// Training.
    pub pretrain: Supervised,
    /// Tasks per probe at the end.
    pub probes: usize,
}

/// A generated corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// Name: `primer`.
    pub name: String,
}

/// What teaches a model a taskset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRecipe {
    /// `agent`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Seed of everything.
    pub seed: u64,
    /// Taskset, as `hone eval` names it.
    pub taskset: String,
    /// Who plays the simulated users, in tasksets that have them: `script:NAME` or a model, as after `--user` of `hone eval`
    /// (default: the taskset's first script, which answers by rule). Nothing that a user says is trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Teach the planner of a planner-executor loop ([`PlannerExecutor`](hone_harness::PlannerExecutor)); demonstrations and
    /// baselines are then scripts that plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Roles>,
    /// Ask the agent at the end of each episode how sure it is, and teach the answer with the others: what rewards of an honest
    /// confidence (`parts.calibration`) read. Demonstrations name any confidence alike.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confidence: bool,
    /// The base model: a directory, or a GGUF file.
    pub base: String,
    /// Train an adapter of the base, which itself stays as it is. Without it all weights are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<Lora>,
    /// Keep less between forward and backward, and compute it again: less memory, and a third more time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checkpoint_activations: bool,
    /// Most tokens of an answer, where the taskset allows more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_answer_tokens: Option<u32>,
    /// Recipe of a base model to make first instead of loading `base` (`--from-scratch`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
    /// The demonstrations; without any there is no cold start, and reinforcement begins with the base model.
    #[serde(default)]
    pub demonstrations: Demonstrations,
    /// The cold start; no `steps` is none.
    #[serde(default = "no_cold_start")]
    pub sft: Supervised,
    /// Reinforcement.
    pub rl: Rl,
    /// Held-out evaluation.
    pub eval: Eval,
    /// Rules of which tool calls may run, as [`Policy`] reads them; without any, all may. What they leave to a person is
    /// rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<toml::Table>,
    /// What a budget changes: `[budget.fast]` holds any keys of the recipe, for `--budget fast`.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub budget: toml::Table,
}

/// Who plays the roles beside the planner, each `script:NAME` or a model, as after `--model` of `hone eval` (default: the
/// taskset's first script for the role). Nothing that they say is trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Makes a tool call of a planned step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// Says when to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// Writes the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// Planned steps of an episode at most, where the taskset allows more turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u32>,
}

impl Roles {
    /// Who plays a helper, as far as the recipe says it.
    pub fn player(&self, role: Role) -> Option<&str> {
        match role {
            Role::Planner => None,
            Role::Executor => self.executor.as_deref(),
            Role::Verifier => self.verifier.as_deref(),
            Role::Generator => self.generator.as_deref(),
        }
    }
}

fn no_cold_start() -> Supervised {
    Supervised {
        steps: 0,
        batch_tokens: 1,
        lr: Schedule {
            peak: 1.0,
            shape: Shape::Constant,
            warmup: 0,
            floor: 0.0,
        },
        adamw: AdamW::default(),
    }
}

/// Where the cold start's demonstrations come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demonstrations {
    /// A scripted agent of the taskset.
    pub script: String,
    /// Number of episodes, each on its own training task. May be 0 where there are chats.
    pub episodes: u64,
    /// Chats to learn from as well: JSON Lines in the form of OpenAI's Chat Completions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chats: Option<std::path::PathBuf>,
}

/// Reinforcement learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rl {
    /// A method's name.
    pub method: String,
    /// Settings of the method that differ from the preset.
    #[serde(default, rename = "override", skip_serializing_if = "toml_empty")]
    pub overrides: serde_json::Map<String, serde_json::Value>,
    /// Steps: rollouts, then updates.
    pub steps: u32,
    /// Sampled tokens after which reinforcement ends, at the end of the step that reaches them; 0 is no bound. `steps` holds
    /// besides, and schedules go by steps.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_tokens: u64,
    /// Training task to begin with (default: the one after those of the demonstrations).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_task: Option<u64>,
    /// Tasks per step (groups).
    pub tasks: u64,
    /// Rollouts per task (group size).
    pub samples: u32,
    /// Rollouts of each task beside those, of its prompt without tools, for methods that compare both (`parts.paired`). The
    /// training's figures of success are of the others.
    #[serde(default, skip_serializing_if = "none")]
    pub no_tools: u32,
    /// Optimiser steps per step: the groups are dealt to that many mini-batches.
    pub updates: u32,
    /// Rollouts of a micro-batch, for what counts by the micro-batch (`objective.aggregation.scope = "micro"`, and parts that say
    /// so); without, a mini-batch is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<u32>,
    /// Play a task's rollouts so many at a time, and no more once the method has what it asks for (`parts.balanced`); without,
    /// all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// How the rollouts of a group fork from each other; without, each begins at the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<Branching>,
    /// Learning rate over the steps.
    pub lr: Schedule,
    /// Optimiser.
    #[serde(default)]
    pub adamw: AdamW,
    /// How strongly tasks of kinds that already succeed make room for others: 0 takes tasks as they come, 1 hardly takes
    /// solved kinds.
    #[serde(default)]
    pub focus: f64,
    /// Validate every so many steps (0: never).
    #[serde(default)]
    pub validate_every: u32,
    /// Checkpoint every so many steps; a resumed run repeats at most that many.
    pub checkpoint_every: u32,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn none(n: &u32) -> bool {
    *n == 0
}

fn yes() -> bool {
    true
}

fn toml_empty(map: &serde_json::Map<String, serde_json::Value>) -> bool {
    map.is_empty()
}

/// Held-out evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eval {
    /// Taskset to evaluate on, where it is not the one trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taskset: Option<String>,
    /// Test tasks, each played greedily and once at temperature 1.
    pub tasks: u64,
    /// Whether they are played at temperature 1, too.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub sampled: bool,
    /// What greedy answers have to fit in one more evaluation of each policy: `"calls"`, `"tools"`, `{ schema = … }`,
    /// `{ regex = "…" }` or `{ lark = "…" }`. Needs a build with `--features constrain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
    /// Validation tasks for the curve during reinforcement.
    pub validation_tasks: u64,
    /// Scripted agents to compare with.
    pub baselines: Vec<String>,
    /// Whether to continue the cold start for the wall time that reinforcement took, for comparison.
    pub sft_matched: bool,
}

/// Why a recipe is refused.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Not TOML, an unknown key, a wrong type.
    #[error("{file}:{line}: {message}")]
    Syntax {
        /// Recipe file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// A value out of range.
    #[error("{file}:{line}: {source}")]
    Setting {
        /// Recipe file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Which key, and what is allowed.
        source: StageError,
    },
}

impl Recipe {
    /// Read a recipe. `file` is for the messages; `budget` names a table of [`AgentRecipe::budget`] to lay over it.
    ///
    /// # Errors
    /// Names the file, the line, the key and what is allowed.
    pub fn parse(text: &str, file: &str, budget: Option<&str>) -> Result<Self, RecipeError> {
        let syntax = |e: toml::de::Error| {
            let span = e.span().unwrap_or(0..0);
            RecipeError::Syntax {
                file: file.to_owned(),
                line: line_at(text, span.start),
                message: match key_at(text, span.start) {
                    Some(key) if e.message().starts_with("invalid") => format!("`{key}`: {}", e.message()),
                    _ => e.message().to_owned(),
                },
            }
        };
        #[derive(Deserialize)]
        struct Kind {
            kind: String,
        }
        let kind = toml::from_str::<Kind>(text).map_err(syntax)?.kind;
        let mut recipe = match kind.as_str() {
            "base" => {
                let recipe: BaseRecipe = toml::from_str(text).map_err(syntax)?;
                // A model's own config.json may say more than we read; a recipe may not.
                let known = toml::Table::try_from(&recipe.model).unwrap_or_default();
                let given: toml::Table = toml::from_str(text).map_err(syntax)?;
                let given = given.get("model").and_then(toml::Value::as_table);
                if let Some(key) = given.and_then(|t| t.keys().find(|key| !known.contains_key(*key))) {
                    let allowed: Vec<_> = known.keys().map(String::as_str).collect();
                    return Err(RecipeError::Syntax {
                        file: file.to_owned(),
                        line: line_of(text, &format!("model.{key}")),
                        message: format!("unknown field `{key}`, expected one of {}", allowed.join(", ")),
                    });
                }
                Self::Base(Box::new(recipe))
            }
            "agent" => Self::Agent(Box::new(toml::from_str(text).map_err(syntax)?)),
            _ => {
                return Err(RecipeError::Syntax {
                    file: file.to_owned(),
                    line: line_of(text, "kind"),
                    message: format!(
                        "`kind` is \"{kind}\"; allowed: \"base\" (makes a base model), \"agent\" (teaches one a taskset)"
                    ),
                });
            }
        };
        if let Some(name) = budget {
            recipe = recipe.with_budget(name).map_err(|message| RecipeError::Syntax {
                file: file.to_owned(),
                line: line_of(text, &format!("budget.{name}")),
                message,
            })?;
        }
        recipe.validate().map_err(|source| RecipeError::Setting {
            file: file.to_owned(),
            line: match &source {
                StageError::Setting { key, .. }
                | StageError::Value { key, .. }
                | StageError::UnknownKey { key, .. } => line_of(text, key),
                StageError::UnknownMethod { .. } => line_of(text, "rl.method"),
                _ => 1,
            },
            source,
        })?;
        Ok(recipe)
    }

    fn with_budget(self, name: &str) -> Result<Self, String> {
        let Self::Agent(recipe) = self else {
            return Err("a base recipe knows no budgets".to_owned());
        };
        let Some(toml::Value::Table(over)) = recipe.budget.get(name).cloned() else {
            let known: Vec<_> = recipe.budget.keys().map(String::as_str).collect();
            return Err(format!(
                "there is no budget `{name}`; this recipe has: {}",
                known.join(", ")
            ));
        };
        let mut table = toml::Table::try_from(&recipe).map_err(|e| e.to_string())?;
        lay_over(&mut table, over);
        table
            .try_into()
            .map(Self::Agent)
            .map_err(|e| format!("budget {name}: {}", e.message()))
    }

    /// Check every setting.
    ///
    /// # Errors
    /// Names the key and what is allowed.
    pub fn validate(&self) -> Result<(), StageError> {
        match self {
            Self::Base(recipe) => recipe.validate(),
            Self::Agent(recipe) => recipe.validate(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Base(recipe) => &recipe.name,
            Self::Agent(recipe) => &recipe.name,
        }
    }

    /// What it is.
    pub fn about(&self) -> &str {
        match self {
            Self::Base(recipe) => &recipe.about,
            Self::Agent(recipe) => &recipe.about,
        }
    }
}

fn refuse(key: &str, got: impl ToString, allowed: &str) -> Result<(), StageError> {
    Err(StageError::Setting {
        key: key.to_owned(),
        got: got.to_string(),
        allowed: allowed.to_owned(),
    })
}

fn between<T: PartialOrd + ToString>(key: &str, value: T, low: T, high: T) -> Result<(), StageError> {
    if value >= low && value <= high {
        return Ok(());
    }
    refuse(
        key,
        value.to_string(),
        &format!("between {} and {}", low.to_string(), high.to_string()),
    )
}

fn named(name: &str) -> Result<(), StageError> {
    match is_plain(name) {
        true => Ok(()),
        false => refuse(
            "name",
            format!("{name:?}"),
            "1 to 100 of a-z, A-Z, 0-9, `-`, `_` and `.`, not beginning with `.`",
        ),
    }
}

impl BaseRecipe {
    fn validate(&self) -> Result<(), StageError> {
        named(&self.name)?;
        if self.output.is_empty() {
            return refuse("output", "\"\"", "a directory");
        }
        between("model.vocab_size", self.model.vocab_size, MIN_VOCABULARY, 1 << 20)?;
        if let Err(e) = self.model.validate() {
            return refuse("model", e.to_string(), "a model that can be made");
        }
        if self.corpus.name != "primer" {
            return refuse("corpus.name", &self.corpus.name, "primer");
        }
        between("probes", self.probes, 1, 100_000)?;
        self.pretrain.validate("pretrain")
    }
}

impl AgentRecipe {
    fn validate(&self) -> Result<(), StageError> {
        named(&self.name)?;
        if let Err(error) = self.approval(&self.taskset) {
            let got = format!("wrong in rule {}: {}", error.rule.unwrap_or(1), error.what);
            return refuse("policy", got, "rules as docs/tools.md shows them");
        }
        if let Some(most) = self.roles.as_ref().and_then(|roles| roles.max_steps) {
            between("roles.max_steps", most, 1, 10_000)?;
        }
        if self.roles.is_some() && self.rl.branch.is_some() {
            return refuse(
                "rl.branch",
                "set",
                "nothing beside `roles`: a planner-executor loop cannot fork",
            );
        }
        if self.roles.is_some() && self.confidence {
            return refuse("confidence", true, "nothing beside `roles`: a planner does not answer");
        }
        let method = self.method()?;
        let supplied = |need: &Need| match need {
            Need::Tree => self.rl.branch.is_some(),
            Need::Variants => self.rl.no_tools > 0,
            Need::Confidence => self.confidence,
            need => SUPPLIED.contains(need),
        };
        if let Some((part, need)) = method.parts.needs().find(|(_, need)| !supplied(need)) {
            let why = match need {
                Need::Tree => format!("nothing without `rl.branch`: it needs {}", need.about()),
                Need::Variants => format!("nothing without `rl.no_tools`: it needs {}", need.about()),
                Need::Confidence => format!("nothing without `confidence = true`: it needs {}", need.about()),
                _ => format!(
                    "nothing in a recipe: it needs {}, which training does not record yet",
                    need.about()
                ),
            };
            return refuse(
                &format!("parts.{part}"),
                "set",
                &format!("{why}; `hone train explain` takes it"),
            );
        }
        if self.rl.no_tools > 0 {
            between("rl.no_tools", self.rl.no_tools, 1, 4096)?;
            if !method.parts.needs().any(|(_, need)| need == Need::Variants) {
                return refuse(
                    "rl.no_tools",
                    self.rl.no_tools,
                    "nothing without parts.paired, which compares rollouts with and without tools",
                );
            }
            if self.roles.is_some() {
                return refuse(
                    "rl.no_tools",
                    self.rl.no_tools,
                    "nothing beside `roles`: a planner has no tools of its own",
                );
            }
        }
        if let Some(wave) = self.rl.wave {
            between("rl.wave", wave, 1, self.rl.samples)?;
            if method.enough(&[]).is_none() {
                return refuse(
                    "rl.wave",
                    wave,
                    "nothing without parts.balanced, which says when a task has enough rollouts",
                );
            }
            if self.rl.branch.is_some() {
                return refuse(
                    "rl.wave",
                    wave,
                    "nothing beside `rl.branch`, whose groups are played as a whole",
                );
            }
        }
        if let Some(branch) = &self.rl.branch
            && let Err((key, got, allowed)) = branch.validate(self.rl.samples)
        {
            return refuse(&format!("rl.branch.{key}"), got, &allowed);
        }
        let objective = method.objective;
        if objective.surrogate == Surrogate::LogProb && self.rl.updates > 1 {
            return refuse(
                "rl.updates",
                self.rl.updates,
                "1 with a method that knows no ratio (reinforce, rloo): after the first update the rollouts are another policy's",
            );
        }
        self.rl
            .adamw
            .validate()
            .or_else(|e| refuse("rl.adamw", e.got, &e.allowed))?;
        between("demonstrations.episodes", self.demonstrations.episodes, 0, 10_000_000)?;
        let cold = self.demonstrations.episodes > 0 || self.demonstrations.chats.is_some();
        if cold || self.sft.steps > 0 {
            self.sft.validate("sft")?;
        }
        if !cold && (self.sft.steps > 0 || self.eval.sft_matched) {
            return refuse(
                "demonstrations.episodes",
                0,
                "at least 1, or `demonstrations.chats`, with a cold start (`sft.steps`, `eval.sft_matched`): it learns from them",
            );
        }
        if !cold && self.rl.steps == 0 {
            return refuse(
                "rl.steps",
                0,
                "at least 1 without a cold start: there would be nothing to do",
            );
        }
        self.rl.lr.validate("rl.lr")?;
        between("rl.steps", self.rl.steps, 0, 1_000_000)?;
        between("rl.first_task", self.rl.first_task.unwrap_or(0), 0, 1 << 40)?;
        between("rl.tasks", self.rl.tasks, 1, 100_000)?;
        between("rl.samples", self.rl.samples, 2, 4096)?;
        between("rl.updates", u64::from(self.rl.updates), 1, self.rl.tasks)?;
        between("rl.micro_batch", self.rl.micro_batch.unwrap_or(1), 1, 1_000_000)?;
        between("rl.focus", self.rl.focus, 0.0, 1.0)?;
        between("rl.checkpoint_every", self.rl.checkpoint_every, 1, 1_000_000)?;
        if let Some(Err((key, got, allowed))) = self.lora.as_ref().map(Lora::validate) {
            return refuse(&format!("lora.{key}"), got, allowed);
        }
        if let Some(most) = self.max_answer_tokens {
            between("max_answer_tokens", most, 1, 1 << 20)?;
        }
        between("eval.tasks", self.eval.tasks, 1, 1_000_000)?;
        between("eval.validation_tasks", self.eval.validation_tasks, 1, 1_000_000)
    }

    /// Which calls of tools may run.
    ///
    /// # Errors
    /// When a rule is wrong.
    pub fn approval(&self, taskset: &str) -> Result<ApprovalPolicy, PolicyError> {
        match self.policy.as_slice() {
            [] => Ok(ApprovalPolicy::AllowAll),
            rules => Ok(ApprovalPolicy::rules(Policy::of(rules, "the recipe")?, taskset)),
        }
    }

    /// The method with its overrides.
    ///
    /// # Errors
    /// When the method is unknown or a setting is out of range.
    pub fn method(&self) -> Result<Method, StageError> {
        Method::resolve(&self.rl.method, &serde_json::Value::Object(self.rl.overrides.clone()))
    }
}

/// Replace values of `table` by those of `over`, table by table.
fn lay_over(table: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(inside)), toml::Value::Table(over)) => lay_over(inside, over),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

fn line_at(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
        + 1
}

/// The key whose value begins at that byte.
fn key_at(text: &str, at: usize) -> Option<&str> {
    let before = text.get(..at)?.trim_end().strip_suffix('=')?.trim_end();
    let start = before
        .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .map_or(0, |i| i + 1);
    before.get(start..).filter(|key| !key.is_empty())
}

/// The line that sets a dotted key: its last part, inside the table that its first parts name; else that table; else 1.
fn line_of(text: &str, key: &str) -> usize {
    let mut table = String::new();
    let mut table_line = None;
    let mut best = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            table = format!("{}.", name.trim());
            if key.starts_with(&table) || key == name.trim() || format!("rl.override.{key}").starts_with(&table) {
                table_line = Some(index + 1);
            }
        } else if let Some((name, _)) = line.split_once('=') {
            let full = format!("{table}{}", name.trim());
            if key == full || key.starts_with(&format!("{full}.")) || format!("rl.override.{key}") == full {
                best = Some(index + 1);
            }
        }
    }
    best.or(table_line).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str = r#"kind = "agent"
name = "t"
about = "a test"
seed = 1
taskset = "shop"
base = "models/nano"

[demonstrations]
script = "over_eager"
episodes = 10

[sft]
steps = 2
batch_tokens = 100
lr = { peak = 1e-3 }

[rl]
method = "grpo"
steps = 1
tasks = 2
samples = 2
updates = 1
lr = { peak = 1e-4 }
checkpoint_every = 1

[eval]
tasks = 2
validation_tasks = 2
baselines = []
sft_matched = false
"#;

    #[test]
    fn a_recipe_comes_back_as_it_was() {
        let recipe = Recipe::parse(AGENT, "t.toml", None).unwrap();
        let text = toml::to_string(&recipe).unwrap();
        assert_eq!(Recipe::parse(&text, "t.toml", None).unwrap(), recipe);
    }

    #[test]
    fn a_budget_changes_what_it_names() {
        let text = format!("{AGENT}\n[budget.fast]\nsft = {{ steps = 1 }}\n[budget.odd]\nsft = {{ stepps = 1 }}\n");
        let Recipe::Agent(fast) = Recipe::parse(&text, "t.toml", Some("fast")).unwrap() else {
            panic!()
        };
        assert_eq!((fast.sft.steps, fast.sft.batch_tokens), (1, 100));
        let message = |budget| Recipe::parse(&text, "t.toml", Some(budget)).unwrap_err().to_string();
        assert!(message("odd").contains("stepps"), "{}", message("odd"));
        assert!(message("slow").contains("this recipe has: fast, odd"));
    }

    #[test]
    fn mistakes_are_named_with_file_line_and_key() {
        let message = |from: &str, to: &str| {
            assert!(AGENT.contains(from));
            Recipe::parse(&AGENT.replacen(from, to, 1), "t.toml", None)
                .unwrap_err()
                .to_string()
        };
        assert!(message("steps = 2", "stepps = 2").starts_with("t.toml:13: unknown field `stepps`"));
        assert!(message("seed = 1", "seed = \"one\"").starts_with("t.toml:4: `seed`: invalid type"));
        assert!(message("peak = 1e-4", "peak = \"x\"").starts_with("t.toml:23: `peak`: invalid type"));
        assert!(message("name = \"t\"", "name = \"../t\"").starts_with("t.toml:2: `name` is"));
        assert!(message("updates = 1", "updates = 2\nadamw = { beta1 = 7 }").starts_with("t.toml:23: `rl.adamw`"));
        assert!(message("updates = 1", "updates = 1\nadamw = { clip_norm = nan }").contains("clip_norm"));
        let rloo = AGENT.replace("\"grpo\"", "\"rloo\"");
        Recipe::parse(&rloo, "t.toml", None).unwrap();
        let twice = Recipe::parse(&rloo.replace("updates = 1", "updates = 2"), "t.toml", None).unwrap_err();
        assert!(twice.to_string().starts_with("t.toml:22: `rl.updates` is 2"), "{twice}");
        let k3 = "[rl.override]\nobjective = { kl = { estimator = \"k3\", beta = 0.1 } }\n\n[eval]";
        Recipe::parse(&AGENT.replacen("[eval]", k3, 1), "t.toml", None).unwrap();
        assert!(message("[eval]", &k3.replace("0.1", "-0.1")).contains("objective.kl.beta"));
        let parts = "[rl.override.parts.roc]\nkeep = 2\nselect = \"sorted\"\n\n[eval]";
        Recipe::parse(&AGENT.replacen("[eval]", parts, 1), "t.toml", None).unwrap();
        assert!(message("[eval]", &parts.replace("= 2", "= 1")).starts_with("t.toml:27: `parts.roc.keep` is 1"));
        assert!(message("[eval]", &parts.replace("keep", "kept")).contains("unknown field `kept`"));
        let tree = message("[eval]", "[rl.override.parts.tree]\n\n[eval]");
        assert!(
            tree.contains("`parts.tree` is set") && tree.contains("it needs forked rollouts"),
            "{tree}"
        );
        assert!(message("samples = 2", "samples = 1").starts_with("t.toml:21: `rl.samples` is 1. Allowed: between 2"));
        assert!(message("\"grpo\"", "\"grppo\"").starts_with("t.toml:18: there is no method `grppo`"));
        assert!(message("peak = 1e-4", "peak = -1.0").starts_with("t.toml:23: `rl.lr.peak`"));
        assert!(message("kind = \"agent\"", "kind = \"agnet\"").starts_with("t.toml:1: `kind`"));
        assert!(message("[eval]", "[rl.override]\nobjective = { clipp = 1 }\n\n[eval]").contains("objective.clipp"));
        assert!(message("name = \"t\"", "name = ").starts_with("t.toml:2:"));
        let roles = "[roles]\nmax_steps = 0\n\n[eval]";
        assert!(
            message("[eval]", roles).contains("`roles.max_steps` is 0"),
            "{}",
            message("[eval]", roles)
        );
        let roles = "[roles]\nplanner = \"script:x\"\n\n[eval]";
        assert!(message("[eval]", roles).contains("unknown field `planner`"));
        let branch = "[rl.branch]\nroots = 1\nwhen = { rule = \"threshold\", alpha = 0.5, beta = 0.2, tau = 0.5 }\nprobe = { tokens = 20, reduce = \"sum\" }";
        let roles = &format!("[roles]\n\n{branch}\n\n[eval]");
        assert!(
            message("[eval]", roles).contains("cannot fork"),
            "{}",
            message("[eval]", roles)
        );
        let sure = AGENT.replace("\"grpo\"", "\"rlcr\"");
        let asked = sure.replace("[demonstrations]", "confidence = true\n\n[demonstrations]");
        Recipe::parse(&asked, "t.toml", None).unwrap();
        let alone = Recipe::parse(&sure, "t.toml", None).unwrap_err().to_string();
        assert!(alone.contains("nothing without `confidence = true`"), "{alone}");
        let akbe = AGENT.replace("\"grpo\"", "\"akbe-paper\"");
        Recipe::parse(
            &akbe.replace("samples = 2", "samples = 2\nno_tools = 2"),
            "t.toml",
            None,
        )
        .unwrap();
        let alone = Recipe::parse(&akbe, "t.toml", None).unwrap_err().to_string();
        assert!(alone.contains("nothing without `rl.no_tools`"), "{alone}");
        assert!(message("samples = 2", "samples = 2\nno_tools = 2").contains("parts.paired"));
        let rules = "[[policy]]\naction = \"approve\"\n[[policy]]\naction = \"aprove\"\n\n[eval]";
        assert!(
            message("[eval]", rules).contains("`policy` is wrong in rule 2: `action`: unknown variant"),
            "{}",
            message("[eval]", rules)
        );
    }
}
