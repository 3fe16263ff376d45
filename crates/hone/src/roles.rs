//! The helpers of a planner by the names that they have in recipes.

use crate::commands::run::greedy_or;
use crate::models::{self, ModelSpec};
use anyhow::{Context, bail};
use hone_env::{Role, Taskset};
use hone_harness::{PlannerExecutor, RolePlayer};
use hone_model::{Model, Scripted};
use hone_rollout::Player;
use hone_trace::Secrets;
use hone_train::recipe::Roles;
use std::sync::Arc;

/// A planner's loop with its helpers, ready to play.
pub struct Team {
    /// The loop.
    pub harness: PlannerExecutor,
    /// What must not be written anywhere.
    pub secrets: Secrets,
}

/// Who plays a role: as the recipe says, or else the taskset's first script.
fn spec(roles: &Roles, role: Role, taskset: &Arc<dyn Taskset>) -> anyhow::Result<ModelSpec> {
    let scripts = taskset.role_scripts(role);
    let named = roles.player(role).map(|name| name.parse().map_err(anyhow::Error::msg));
    let named = named.transpose().with_context(|| format!("`roles.{}`", role.name()))?;
    let lines = || {
        scripts
            .iter()
            .map(|s| format!("  script:{:<18}{}", s.name, s.about))
            .collect::<Vec<_>>()
            .join("\n")
    };
    match named {
        Some(ModelSpec::Script(name)) if !scripts.iter().any(|script| script.name == name) => bail!(
            "`roles.{}`: no script `{name}` plays it in {}; choose a model, or one of:\n{}",
            role.name(),
            taskset.name(),
            lines()
        ),
        Some(ModelSpec::Gold | ModelSpec::Random | ModelSpec::Null | ModelSpec::Replay(_) | ModelSpec::Scripted(_)) => {
            bail!("`roles.{}` takes a script of the role, or a model", role.name())
        }
        Some(spec) => Ok(spec),
        None => match scripts.first() {
            Some(script) => Ok(ModelSpec::Script(script.name.into())),
            None => bail!(
                "{} has no script for the {}; name a model in `roles.{}`",
                taskset.name(),
                role.name(),
                role.name()
            ),
        },
    }
}

/// Whether the roles are there; models themselves are looked for only when they are needed.
///
/// # Errors
/// Which is not, and what to write instead.
pub fn check(roles: &Roles, taskset: &Arc<dyn Taskset>) -> anyhow::Result<()> {
    if !taskset.user_scripts().is_empty() {
        bail!(
            "`roles`: {} has simulated users, whom a planner-executor loop does not let speak",
            taskset.name()
        );
    }
    Role::HELPERS
        .into_iter()
        .try_for_each(|role| spec(roles, role, taskset).map(drop))
}

/// The loop with its helpers.
///
/// # Errors
/// When there is no such script, or a model cannot be read.
pub fn team(roles: &Roles, taskset: &Arc<dyn Taskset>) -> anyhow::Result<Team> {
    let mut secrets = Secrets::default();
    let mut player = |role: Role| -> anyhow::Result<RolePlayer> {
        let player = match spec(roles, role, taskset)? {
            ModelSpec::Script(name) => script(role, name, taskset)?,
            model => {
                let cast = models::cast(&model, taskset, &[]).with_context(|| format!("`roles.{}`", role.name()))?;
                secrets.extend(cast.secrets);
                cast.player
            }
        };
        Ok(RolePlayer {
            cast: match player {
                Player::Shared(model) => Arc::new(move |_, _, _| model.clone()),
                Player::PerEpisode(cast) => cast,
            },
            sampling: greedy_or(0.0),
        })
    };
    let harness = PlannerExecutor {
        executor: player(Role::Executor)?,
        verifier: player(Role::Verifier)?,
        generator: player(Role::Generator)?,
        max_steps: roles.max_steps,
    };
    Ok(Team { harness, secrets })
}

fn script(role: Role, name: String, taskset: &Arc<dyn Taskset>) -> anyhow::Result<Player> {
    let (taskset, codec) = (taskset.clone(), models::script_codec()?);
    Ok(Player::PerEpisode(Arc::new(move |task, _, stream| -> Arc<dyn Model> {
        // A panic here ends the episode as the infrastructure's failure, with this text.
        let script = taskset
            .role_script(role, &name, task, stream)
            .unwrap_or_else(|| panic!("the taskset offers script {name} but not for task {}", task.id));
        Arc::new(Scripted::new(format!("script:{name}"), script, codec.clone()))
    })))
}
