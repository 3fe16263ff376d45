//! From a finished episode to a scored one.

use hone_env::{Task, Taskset};
use hone_harness::Finished;
use hone_tool::guarded;
use hone_trace::{Episode, Outcome};
use std::sync::Arc;
use std::time::Duration;

/// Apply the taskset's scorer: success is a value of at least 1, and the value is the reward.
///
/// Episodes that already failed for the infrastructure's reasons are left as they are. A scorer that panics, hangs beyond
/// `deadline` (where the environment is not inline) or gives no number makes the episode one of them; of a score that is no
/// number, the parts that are none say why.
pub async fn score(taskset: Arc<dyn Taskset>, task: Arc<Task>, finished: Finished, deadline: Duration) -> Episode {
    let Finished {
        mut episode,
        environment,
    } = finished;
    if !episode.counts() {
        return episode;
    }
    let Some(environment) = environment else {
        episode.outcome = Outcome::InfraFailed {
            cause: "scorer: the final state is lost".to_owned(),
        };
        return episode;
    };
    let shared = Arc::new(episode);
    let read = shared.clone();
    let result = guarded(environment, deadline, move |environment| {
        taskset.score(&task, &read, &*environment)
    })
    .await;
    let mut episode = Arc::unwrap_or_clone(shared);
    match result {
        Ok((_, score)) if score.value.is_finite() => {
            episode.outcome = if score.value >= 1.0 {
                Outcome::Ok
            } else {
                Outcome::PolicyFailed
            };
            episode.reward = Some(score.value);
            episode.scores.push(score);
        }
        Ok((_, score)) => {
            let untold = score.parts.iter().filter(|part| !part.value.is_finite());
            let causes: Vec<String> = untold.map(|part| format!("{}: {}", part.name, part.why)).collect();
            let cause = match causes.is_empty() {
                true => format!("scorer: {} is not a score", score.value),
                false => format!("scorer {}", causes.join("; ")),
            };
            episode.outcome = Outcome::InfraFailed { cause };
        }
        Err(lost) => {
            episode.outcome = Outcome::InfraFailed {
                cause: format!("scorer: {lost}"),
            }
        }
    }
    episode
}
