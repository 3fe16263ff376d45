//! Tasksets by the names that they have on the command line.

use crate::{data, models};
use anyhow::{anyhow, bail};
use hone_env::{Split, Taskset};
use hone_external::{CommandLine, ExternalHarness, Limits};
use hone_harness::{Dialogue, Harness, React};
use hone_project::Project;
use hone_shop::Shop;
use hone_textcraft::{Selection, Textcraft};
use hone_tool::Policy;
use hone_trace::Secrets;
use std::cell::RefCell;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The names, with what they mean.
pub const TASKSETS: &[(&str, &str)] = &[
    ("shop", "serve a store's customers as policy asks"),
    ("shop-guided", "the same, with the policy in a system message"),
    (
        "shop-dialogue",
        "the same kind of tasks with a simulated customer, who says the rest when asked",
    ),
    ("shop-dialogue-guided", "the same, with the policy in a system message"),
    ("textcraft", "craft items with the real Minecraft recipes"),
    (
        "textcraft-invented",
        "the same, most training tasks with recipes of their own",
    ),
    ("textcraft:D, textcraft:D-D", "only goals of these depths, 1 to 4"),
    #[cfg(all(feature = "tools", target_os = "linux"))]
    (
        "maths",
        "generated problems of mathematics that take a program, with Python in a sandbox",
    ),
    #[cfg(feature = "tools")]
    (
        "questions",
        "answer questions with a search over a generated encyclopedia; some need none",
    ),
    #[cfg(feature = "tools")]
    ("questions-guided", "the same, with a system message that says so"),
    #[cfg(all(feature = "tools", target_os = "linux"))]
    ("harbor:DIR", "tasks in Harbor's format that need no container image"),
    #[cfg(all(feature = "tools", target_os = "linux"))]
    ("harbor-possible:DIR", "the same, without those that do need one"),
    (
        "DIR",
        "your own tasks: a folder with a hone.toml (`hone init DIR` makes one)",
    ),
    #[cfg(feature = "dbbench")]
    (
        "dbbench, dbbench:FILE",
        "answer questions and make changes with SQL (AgentBench)",
    ),
    #[cfg(feature = "dbbench")]
    (
        "dbbench-strict",
        "the same, without broken records and by a stricter rule",
    ),
    #[cfg(feature = "nemo-gym")]
    ("nemo-gym:SERVER", "rows of a NeMo Gym server with its verifier"),
];

/// A taskset with what goes with it.
pub struct Suite {
    /// The tasks and their world.
    pub taskset: Arc<dyn Taskset>,
    /// How they are played.
    pub harness: Arc<dyn Harness>,
    /// Hash of the tasks, where they are files of the user's that may change.
    pub digest: Option<String>,
    /// Which calls may run, where the user's project says so.
    pub policy: Option<Policy>,
    /// The same as they are written there.
    pub rules: Vec<toml::Table>,
    /// Of the user's servers and of the judges that it names: what must not be written anywhere.
    pub secrets: Secrets,
}

impl Suite {
    /// The same, played in a loop by its name: `react`, `dialogue`, or `command:` with a program and its arguments, which
    /// spaces part. `None` changes nothing.
    ///
    /// # Errors
    /// When there is no such loop, the command does not speak the protocol, or the loop does not suit the tasks.
    pub fn played_in(self, name: Option<&str>) -> anyhow::Result<Self> {
        let Some(name) = name else { return Ok(self) };
        let users = !self.taskset.user_scripts().is_empty();
        let harness: Arc<dyn Harness> = match (name, name.strip_prefix("command:")) {
            ("react", _) => Arc::new(React),
            ("dialogue", _) => Arc::new(Dialogue),
            (_, Some(command)) => {
                let command = CommandLine {
                    argv: command.split_whitespace().map(str::to_owned).collect(),
                    label: None,
                    folder: std::env::current_dir()?,
                    env: Vec::new(),
                };
                if command.argv.is_empty() {
                    bail!("--harness command: names no program; write command:PROGRAM ARGUMENT…");
                }
                let timeout = Duration::from_millis(self.taskset.budget().tool_timeout_ms);
                Arc::new(ExternalHarness::new(command, timeout, Limits::default())?)
            }
            _ => bail!("there is no agent loop `{name}`; write react, dialogue, or command:PROGRAM ARGUMENT…"),
        };
        if users != (name == "dialogue") {
            bail!(match users {
                true => format!(
                    "{} has simulated users, whom only dialogue lets speak",
                    self.taskset.name()
                ),
                false => format!(
                    "{} has no simulated users, and dialogue needs one; write react",
                    self.taskset.name()
                ),
            });
        }
        Ok(Self { harness, ..self })
    }
}

/// The taskset of that name, with its agent loop.
///
/// # Errors
/// When there is none, its data is missing, or a project has a mistake.
pub fn suite(name: &str) -> anyhow::Result<Suite> {
    let suite = load(name)?;
    say_bounds();
    Ok(suite)
}

/// Says once what the system does not enforce of sandboxes' bounds, where there is a sandbox.
pub fn say_bounds() {
    #[cfg(all(feature = "tools", target_os = "linux"))]
    static SAID: std::sync::Once = std::sync::Once::new();
    #[cfg(all(feature = "tools", target_os = "linux"))]
    if let Some(weak) = hone_sandbox::in_use().and_then(hone_sandbox::Guarantees::weak) {
        SAID.call_once(|| crate::console::say(weak));
    }
}

fn load(name: &str) -> anyhow::Result<Suite> {
    let built_in = TASKSETS.iter().any(|(known, _)| *known == name) && name != "DIR";
    let folder = Path::new(name);
    if built_in || !folder.is_dir() {
        let taskset = taskset(name)?;
        // What a user's embedder finds belongs to the tasks.
        #[cfg(all(feature = "bfcl", feature = "tools"))]
        let digest = crate::embedder::memories::named();
        #[cfg(not(all(feature = "bfcl", feature = "tools")))]
        let digest = None;
        return Ok(Suite {
            harness: built_in_loop(&*taskset),
            taskset,
            digest,
            policy: None,
            rules: Vec::new(),
            secrets: Secrets::default(),
        });
    }
    let secrets = RefCell::new(Secrets::default());
    let judges = |name: &str| {
        let spec = name.parse()?;
        let mut judges = models::judges(&spec, &[], &mut secrets.borrow_mut()).map_err(|error| format!("{error:#}"))?;
        judges
            .pop()
            .filter(|_| judges.is_empty())
            .ok_or_else(|| format!("{name} is a panel of several judges"))
    };
    let project = Project::load(folder, &judges)?;
    let mut secrets = secrets.into_inner();
    secrets.extend(project.secrets());
    let recipe = project.recipe();
    let harness: Arc<dyn Harness> = match &recipe.harness {
        None => Arc::new(React),
        Some(settings) => {
            let command = CommandLine {
                argv: settings.command.clone(),
                label: None,
                folder: folder.to_owned(),
                env: Vec::new(),
            };
            let timeout = Duration::from_millis(recipe.limits.timeout_ms());
            Arc::new(ExternalHarness::new(command, timeout, Limits::default())?)
        }
    };
    Ok(Suite {
        digest: Some(project.digest().to_owned()),
        policy: project.policy()?,
        rules: recipe.policy.clone(),
        secrets,
        taskset: Arc::new(project),
        harness,
    })
}

/// The built-in loop that a taskset is played in: a conversation where it has simulated users.
pub fn built_in_loop(taskset: &dyn Taskset) -> Arc<dyn Harness> {
    match taskset.user_scripts() {
        [] => Arc::new(React),
        _ => Arc::new(Dialogue),
    }
}

/// The taskset of that name.
///
/// # Errors
/// When there is none, or its data is missing.
pub fn taskset(name: &str) -> anyhow::Result<Arc<dyn Taskset>> {
    Ok(match name {
        "shop" => hone_shop::shop(),
        "shop-guided" => Arc::new(Shop::guided()),
        "shop-dialogue" => Arc::new(Shop::new().in_dialogue()),
        "shop-dialogue-guided" => Arc::new(Shop::guided().in_dialogue()),
        _ if matches!(name.split(':').next(), Some("textcraft" | "textcraft-invented")) => {
            let selection = Selection::of(name).ok_or_else(|| {
                anyhow!("`{name}` names no depths of textcraft; write textcraft, textcraft:2 or textcraft:2-3, with depths from 1 to 4")
            })?;
            let folder = data::folder_with("textcraft/recipes.json");
            Arc::new(Textcraft::load(folder.as_deref(), &selection)?)
        }
        #[cfg(all(feature = "tools", target_os = "linux"))]
        "maths" => Arc::new(hone_maths::Maths::new()?),
        #[cfg(feature = "tools")]
        "questions" => Arc::new(hone_questions::Questions::new()?),
        #[cfg(feature = "tools")]
        "questions-guided" => Arc::new(hone_questions::Questions::guided()?),
        #[cfg(all(feature = "tools", target_os = "linux"))]
        _ if name.starts_with("harbor:") || name.starts_with("harbor-possible:") => {
            let (kind, folder) = name.split_once(':').unwrap_or_default();
            Arc::new(hone_harbor::Harbor::load(
                name,
                Path::new(folder),
                kind == "harbor-possible",
            )?)
        }
        _ if Path::new(name).is_dir() => load(name)?.taskset,
        _ => match published(name)? {
            Some(taskset) => taskset,
            None => bail!("there is no taskset `{name}`; choose one of:\n{}", listed()),
        },
    })
}

/// A taskset of the published suites. `None` if this build knows none of that name.
fn published(name: &str) -> anyhow::Result<Option<Arc<dyn Taskset>>> {
    #[cfg(feature = "bfcl")]
    if matches!(name.split(':').next(), Some("bfcl" | "bfcl-prompt" | "bfcl-split")) {
        // Its data may also be a folder of the package's own layout.
        let folder = data::folder_with("BFCL_v4_simple_python.json").map_or_else(|| data_of("bfcl"), Ok)?;
        #[cfg(feature = "tools")]
        let embedder = crate::embedder::memories::embedder();
        #[cfg(not(feature = "tools"))]
        let embedder = Arc::new(hone_bfcl::multi_turn::Lexical);
        return Ok(Some(Arc::new(hone_bfcl::Bfcl::load(name, &folder, embedder)?)));
    }
    #[cfg(feature = "tau")]
    if let Some(domain) = name
        .strip_prefix("tau:")
        .filter(|domain| hone_tau::v1::DOMAINS.contains(domain))
    {
        let folder = data_of("tau-bench")?.join("tau-bench").join(domain);
        return Ok(Some(Arc::new(hone_tau::v1::Tau1::load(domain, &folder)?)));
    }
    #[cfg(feature = "tau")]
    if name.starts_with("tau2:") {
        let selection = hone_tau::taskset::Selection::of(name).ok_or_else(|| {
            anyhow!(
                "`{name}` is no taskset of tau2; write tau2:retail, airline, telecom or mock, with options that fit it"
            )
        })?;
        let folder = data_of("tau2")?;
        let parts = folder.join("tau-bench").join("airline");
        let taskset = hone_tau::taskset::Tau2::load(&folder.join("tau2"), &parts, selection)?;
        return Ok(Some(Arc::new(taskset)));
    }
    #[cfg(feature = "dbbench")]
    if name.starts_with("dbbench") {
        let found = hone_dbbench::Dbbench::load(name, &data_of("dbbench")?)?;
        return Ok(found.map(|taskset| Arc::new(taskset) as _));
    }
    #[cfg(feature = "nemo-gym")]
    if name.starts_with("nemo-gym:") {
        let found = hone_nemo_gym::NemoGym::load(name, &data_of("nemo-gym")?)?;
        return Ok(found.map(|taskset| Arc::new(taskset) as _));
    }
    let _ = name;
    Ok(None)
}

/// The folder that holds a suite's data.
#[cfg(any(feature = "bfcl", feature = "dbbench", feature = "nemo-gym", feature = "tau"))]
fn data_of(suite: &str) -> anyhow::Result<std::path::PathBuf> {
    data::folder_with(suite).ok_or_else(|| {
        let places: Vec<String> = data::folders()
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        anyhow!(
            "there is no data of {suite} in {}; name the folder that holds {suite}/ with --data or in HONE_DATA",
            places.join(" or ")
        )
    })
}

/// The taskset of that name, for training, which plays the built-in loops.
///
/// # Errors
/// As [`taskset`], and when a project has a loop of its own.
pub fn for_training(name: &str) -> anyhow::Result<Suite> {
    let suite = suite(name)?;
    if suite.harness.name() != built_in_loop(&*suite.taskset).name() {
        bail!(
            "{name} has an agent loop of its own, and training plays the built-in ones; remove [harness] from its hone.toml"
        );
    }
    Ok(suite)
}

/// The names, a line each, for messages and help.
pub fn listed() -> String {
    let suites = [
        TASKSETS,
        #[cfg(feature = "bfcl")]
        hone_bfcl::NAMES.as_slice(),
        #[cfg(feature = "tau")]
        hone_tau::NAMES.as_slice(),
    ];
    let lines = suites
        .into_iter()
        .flatten()
        .map(|(name, about)| format!("  {name:<28}{about}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A split by its name.
///
/// # Errors
/// A sentence for the user when there is none of that name.
pub fn split(name: &str) -> Result<Split, String> {
    [Split::Train, Split::Validation, Split::Test]
        .into_iter()
        .find(|split| split.name() == name)
        .ok_or_else(|| format!("`{name}` is no split; write train, validation or test"))
}

/// A task by its split and index, written `test/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId {
    /// Its split.
    pub split: Split,
    /// Its index within the split.
    pub index: u64,
}

impl FromStr for TaskId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, index) = text.split_once('/').ok_or("write SPLIT/INDEX, such as test/3")?;
        Ok(Self {
            split: split(name)?,
            index: index
                .parse()
                .map_err(|_| format!("`{index}` is no index; write a whole number from 0, such as test/3"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_or_refused_with_the_list() {
        for name in ["shop", "shop-guided", "shop-dialogue", "shop-dialogue-guided"] {
            assert_eq!(taskset(name).unwrap().name(), name);
        }
        let error = |name: &str| taskset(name).err().unwrap().to_string();
        assert!(error("shopp").contains("textcraft:D-D"), "{}", error("shopp"));
        assert!(error("textcraft:0-9").contains("from 1 to 4"));
        assert!(error("textcraft2").contains("there is no taskset"));
    }

    #[test]
    fn task_ids() {
        let id: TaskId = "validation/12".parse().unwrap();
        assert_eq!((id.split, id.index), (Split::Validation, 12));
        for wrong in ["3", "test", "test/", "test/-1", "tst/3", "test/3/4"] {
            assert!(wrong.parse::<TaskId>().is_err(), "{wrong}");
        }
    }
}
