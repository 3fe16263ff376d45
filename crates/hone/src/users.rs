//! Simulated users and judges by the names that they have on the command line.

use crate::commands::run::greedy_or;
use crate::models::{self, ModelSpec};
use anyhow::{Context, bail};
use hone_env::{Task, Taskset};
use hone_harness::Label;
use hone_model::Scripted;
use hone_rollout::{Player, UserPlayer};
use hone_score::judge::{Judge, Panel};
use hone_trace::{EndReason, Episode, Outcome, Secrets, Stream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Bound on a judge's answer.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Who plays the users where nothing is said: the taskset's first script.
pub fn default_user(taskset: &Arc<dyn Taskset>) -> Option<ModelSpec> {
    let script = taskset.user_scripts().first()?;
    Some(ModelSpec::Script(script.name.into()))
}

/// A simulated user, ready to play.
pub struct User {
    /// The player.
    pub player: UserPlayer,
    /// The hash of its weights, if it has any.
    pub hash: Option<String>,
    /// What must not be written anywhere.
    pub secrets: Secrets,
}

/// The user's player; `prices` are files with more prices.
///
/// # Errors
/// When the taskset has no users or no such script, or the model cannot be read or told what to do.
pub fn user(spec: &ModelSpec, taskset: &Arc<dyn Taskset>, prices: &[PathBuf]) -> anyhow::Result<User> {
    let scripts = taskset.user_scripts();
    if scripts.is_empty() {
        bail!("taskset {} has no simulated users; leave --user out", taskset.name());
    }
    let (player, hash, secrets) = match spec {
        ModelSpec::Script(name) => {
            let Some(script) = scripts.iter().find(|script| script.name == name) else {
                let lines = scripts.iter().map(|s| format!("  script:{:<18}{}", s.name, s.about));
                bail!(
                    "no script `{name}` plays the users of {}; choose one of:\n{}",
                    taskset.name(),
                    lines.collect::<Vec<_>>().join("\n")
                );
            };
            let (taskset, name, codec) = (taskset.clone(), script.name, models::script_codec()?);
            let cast =
                move |task: &hone_env::Task, _: u32, stream: &hone_trace::Stream| -> Arc<dyn hone_model::Model> {
                    // A panic here ends the episode as the infrastructure's failure, with this text.
                    let script = taskset.user_script(name, task, stream).unwrap_or_else(|| {
                        panic!("the taskset offers user script {name} but not for task {}", task.id)
                    });
                    Arc::new(Scripted::new(format!("script:{name}"), script, codec.clone()))
                };
            (Player::PerEpisode(Arc::new(cast)), None, Secrets::default())
        }
        model => {
            taskset.check_user()?;
            let cast = models::cast(model, taskset, prices)?;
            (cast.player, cast.identity, cast.secrets)
        }
    };
    let sampling = greedy_or(0.0);
    Ok(User {
        player: UserPlayer { player, sampling },
        hash,
        secrets,
    })
}

/// The panel of judges; `None` without any. `prices` are files with more prices. Their secrets join the others.
///
/// # Errors
/// When their number is even, or one is a script or cannot be read.
pub fn judges(specs: &[ModelSpec], prices: &[PathBuf], secrets: &mut Secrets) -> anyhow::Result<Option<Arc<Panel>>> {
    if specs.is_empty() {
        return Ok(None);
    }
    let mut judges = Vec::new();
    for spec in specs {
        judges.extend(models::judges(spec, prices, secrets)?.into_iter().map(|model| Judge {
            model,
            sampling: greedy_or(0.0),
            timeout: PATIENCE,
        }));
    }
    Ok(Some(Arc::new(Panel::of(judges).context("--judge")?)))
}

/// An episode to record judges' words in, and nothing else.
pub fn only_judged(label: Label, task: String, kind: String) -> Episode {
    let task = Task {
        id: task,
        kind,
        system: None,
        instruction: String::new(),
        seed: 0,
        data: serde_json::Value::Null,
    };
    let mut episode = label.failed(&task, &Stream::new(0), EndReason::Answered, String::new());
    episode.outcome = Outcome::Ok;
    episode
}
