//! Simulated users and judges by the names that they have on the command line.

use crate::commands::run::greedy_or;
use crate::models::{self, ModelSpec};
use anyhow::{Context, bail};
use hone_env::Taskset;
use hone_model::Scripted;
use hone_rollout::{Player, UserPlayer};
use hone_score::judge::{Judge, Panel};
use std::sync::Arc;
use std::time::Duration;

/// Bound on a judge's answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// Who plays the users where nothing is said: the taskset's first script.
pub fn default_user(taskset: &Arc<dyn Taskset>) -> Option<ModelSpec> {
    let script = taskset.user_scripts().first()?;
    Some(ModelSpec::Script(script.name.into()))
}

/// The user's player, and the hash of its weights if it has any.
///
/// # Errors
/// When the taskset has no users or no such script, or the model cannot be read or told what to do.
pub fn user(spec: &ModelSpec, taskset: &Arc<dyn Taskset>) -> anyhow::Result<(UserPlayer, Option<String>)> {
    let scripts = taskset.user_scripts();
    if scripts.is_empty() {
        bail!("taskset {} has no simulated users; leave --user out", taskset.name());
    }
    let (player, hash) = match spec {
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
            (Player::PerEpisode(Arc::new(cast)), None)
        }
        model => {
            taskset.check_user()?;
            let cast = models::cast(model, taskset, &[])?;
            (cast.player, cast.identity)
        }
    };
    let sampling = greedy_or(0.0);
    Ok((UserPlayer { player, sampling }, hash))
}

/// The panel of judges; `None` without any.
///
/// # Errors
/// When their number is even, or one is a script or cannot be read.
pub fn judges(specs: &[ModelSpec]) -> anyhow::Result<Option<Arc<Panel>>> {
    if specs.is_empty() {
        return Ok(None);
    }
    let judge = |spec: &ModelSpec| {
        Ok(Judge {
            model: models::judge(&spec.to_string())?,
            sampling: greedy_or(0.0),
            timeout: PATIENCE,
        })
    };
    let judges = specs.iter().map(judge).collect::<anyhow::Result<_>>()?;
    Ok(Some(Arc::new(Panel::of(judges).context("--judge")?)))
}
