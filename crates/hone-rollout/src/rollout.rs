//! Running many episodes.

use crate::leaves::{self, Forking};
use crate::score;
use hone_env::{Budget, EnvError, Fork, Split, Task, Taskset};
use hone_harness::{EpisodeSetup, Finished, Harness, Label, UserSetup};
use hone_model::{Model, Replayed};
use hone_score::judge::{Jury, Panel, PanelError};
use hone_tool::{
    ApprovalPolicy, Recording, Reply, SchemaError, ToolCache, ToolMode, ToolSpec, Toolset, caught, guarded,
};
use hone_trace::{EndReason, Episode, Outcome, SamplingSettings, Stream};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// An error of the caller's making.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How often a run looks whether it was cancelled while it waits for episodes.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// Makes a finished episode durable.
pub type Sink<'a> = dyn FnMut(&Episode) -> Result<(), BoxError> + 'a;

/// Makes the model of one episode from its task, its number among the task's samples, and its own stream.
pub type Cast = dyn Fn(&Task, u32, &Stream) -> Arc<dyn Model> + Send + Sync;

/// Who plays the agent.
#[derive(Clone)]
pub enum Player {
    /// One model for all episodes (the policy).
    Shared(Arc<dyn Model>),
    /// A model per episode (a script), with the episode's stream `script` for its randomness.
    PerEpisode(Arc<Cast>),
}

impl Player {
    fn cast(&self, task: &Task, sample: u32, stream: &Stream) -> Arc<dyn Model> {
        match self {
            Self::Shared(model) => model.clone(),
            Self::PerEpisode(cast) => cast(task, sample, &stream.named("script")),
        }
    }
}

/// Who plays the simulated user.
#[derive(Clone)]
pub struct UserPlayer {
    /// The model or script.
    pub player: Player,
    /// Its sampling settings.
    pub sampling: SamplingSettings,
}

/// Rollouts of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Split of the task.
    pub split: Split,
    /// Index of the task within the split.
    pub index: u64,
    /// Group that the episodes belong to, unique within the phase.
    pub group: u64,
    /// Which samples of the group to play: `0..n`, or a later part when a run is resumed or a group extended.
    pub samples: Range<u32>,
}

/// What happens to episodes as they finish, and how a run is stopped.
#[derive(Default)]
pub struct Hooks<'a> {
    /// Makes an episode durable; called first. Its error stops the run.
    pub sink: Option<&'a mut Sink<'a>>,
    /// Counts an episode; called after the sink.
    pub on_episode: Option<&'a mut dyn FnMut(&Episode)>,
    /// Set it to stop the run: nothing more is launched, and what is in flight is dropped and not recorded. The run then
    /// returns the episodes finished so far.
    pub cancel: Option<&'a AtomicBool>,
    /// Set it to have nothing more launched; what is in flight is finished and recorded.
    pub enough: Option<&'a AtomicBool>,
}

impl Hooks<'_> {
    fn deliver(&mut self, episode: &Episode) -> Result<(), RolloutError> {
        if let Some(sink) = &mut self.sink {
            sink(episode).map_err(RolloutError::Sink)?;
        }
        if let Some(count) = &mut self.on_episode {
            count(episode);
        }
        Ok(())
    }

    fn enough(&self) -> bool {
        self.enough.is_some_and(|enough| enough.load(Ordering::Relaxed))
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }
}

/// Why a run could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// A task cannot be made.
    #[error(transparent)]
    Task(#[from] EnvError),
    /// Taskset code panicked before any episode ran.
    #[error("taskset {taskset} panicked while it made {what}: {message}; this is a defect of the taskset")]
    Panic {
        /// Taskset.
        taskset: String,
        /// What was being made.
        what: String,
        /// The panic's message.
        message: String,
    },
    /// The taskset names an even number of judges.
    #[error(transparent)]
    Judges(#[from] PanelError),
    /// The tools' schemas do not compile.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Two jobs would make the same episode.
    #[error("two jobs ask for episode {id}; give each job a group of its own")]
    Duplicate {
        /// The episode's id.
        id: String,
    },
    /// The sink failed.
    #[error("an episode could not be recorded: {0}; the run stops here and can be resumed")]
    Sink(#[source] BoxError),
    /// Rollouts cannot fork here.
    #[error("rollouts of {taskset} cannot fork: {why}; take a method without branching, or another taskset")]
    NoFork {
        /// Taskset.
        taskset: String,
        /// Why not.
        why: &'static str,
    },
    /// The runtime could not be made.
    #[error("no async runtime: {0}; the system is out of threads or file handles")]
    Runtime(#[source] std::io::Error),
}

/// Where results of tool calls come from, if not only from the tools.
#[derive(Clone, Default)]
pub struct ToolSource {
    /// The cache that runs share, and how it is used.
    pub cache: Option<(Arc<ToolCache>, ToolMode)>,
    /// Episodes that go on from a call that waited for a decision, by id.
    pub waiting: Arc<BTreeMap<String, Waiting>>,
}

/// An episode that ended with a call that waits for a decision.
#[derive(Clone)]
pub struct Waiting {
    /// What is recorded of it.
    pub episode: Episode,
    /// What was decided of the call, if anything was.
    pub reply: Option<Reply>,
}

impl Waiting {
    /// The same model, after it has said again what is recorded: a model's words cost time or money. A script that plays one
    /// episode begins anew instead, since it may count its turns.
    fn resume(&self, player: &Player, model: Arc<dyn Model>, replayed: fn(&Episode) -> Replayed) -> Arc<dyn Model> {
        match player {
            Player::Shared(_) => Arc::new(replayed(&self.episode).then(model)),
            Player::PerEpisode(_) => model,
        }
    }
}

/// Who plays what and how.
#[derive(Clone)]
pub struct Rollout {
    /// The tasks and their world.
    pub taskset: Arc<dyn Taskset>,
    /// The agent.
    pub player: Player,
    /// The simulated user, in tasksets that have one.
    pub user: Option<UserPlayer>,
    /// Who judges what only a judge can tell, in place of whom the taskset names; without either, such episodes do not count.
    pub judge: Option<Arc<Panel>>,
    /// The agent's loop.
    pub harness: Arc<dyn Harness>,
    /// Bounds of each episode.
    pub budget: Budget,
    /// Sampling settings of the agent.
    pub sampling: SamplingSettings,
    /// Which tools may run.
    pub approval: Arc<ApprovalPolicy>,
    /// Where results of tool calls come from.
    pub tools: ToolSource,
    /// How the rollouts of a job fork from each other; without, each begins at the root.
    pub forking: Option<Forking>,
    /// Seed of the run.
    pub seed: u64,
    /// Phase of the run: `eval/before`, `demo`, `rl/12`, …
    pub phase: String,
    /// Episodes in flight at once (at least 1).
    pub concurrency: usize,
}

/// An episode to be played.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) label: Label,
    task: Arc<Task>,
    pub(crate) stream: Stream,
    /// The stream of its group.
    pub(crate) group: Stream,
}

/// What the episodes of a run share.
pub(crate) struct Stage {
    rollout: Rollout,
    jury: Jury,
    toolset: Mutex<Arc<Toolset>>,
    user_toolset: Mutex<Arc<Toolset>>,
}

impl Rollout {
    /// Play `jobs` on a runtime of its own, on this thread; tools that are not inline run on threads of theirs.
    ///
    /// Returns the scored episodes, ordered by (group, sample). Must not be called from within an async runtime: there,
    /// await [`Rollout::run_async`].
    ///
    /// # Errors
    /// When a task, the tools or the runtime cannot be made, or the sink fails.
    pub fn run(&self, jobs: &[Job], hooks: Hooks<'_>) -> Result<Vec<Episode>, RolloutError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RolloutError::Runtime)?;
        let result = runtime.block_on(self.run_async(jobs, hooks));
        // A hanging tool must not hold up the end of the run.
        runtime.shutdown_background();
        result
    }

    /// [`Rollout::run`] on the current tokio runtime, which needs time enabled and, where tools may hang, must end with
    /// `shutdown_background`.
    ///
    /// # Errors
    /// As [`Rollout::run`].
    pub async fn run_async(&self, jobs: &[Job], mut hooks: Hooks<'_>) -> Result<Vec<Episode>, RolloutError> {
        let mut waiting = self.plan(jobs)?;
        let Some(first) = waiting.front().and_then(|group| group.first()) else {
            return Ok(Vec::new());
        };
        if self.forking.is_some() {
            self.can_fork(&first.task)?;
        }
        let stage = Arc::new(Stage {
            rollout: self.clone(),
            jury: Jury::of(self.judge.clone(), self.taskset.judges())?,
            toolset: Mutex::new(self.toolset(&first.task)?),
            user_toolset: Mutex::new(Arc::new(Toolset::compile(&[])?)),
        });
        let mut running = JoinSet::new();
        let mut in_flight = BTreeMap::new();
        let mut episodes = Vec::with_capacity(waiting.len());
        loop {
            while running.len() < self.concurrency.max(1)
                && !hooks.cancelled()
                && !hooks.enough()
                && let Some(planned) = waiting.pop_front()
            {
                let spare = planned.clone();
                let stage = stage.clone();
                let handle = running.spawn(async move { stage.play_all(planned).await });
                in_flight.insert(handle.id(), spare);
            }
            if hooks.cancelled() {
                running.shutdown().await;
                break;
            }
            let next = match hooks.cancel {
                None => running.join_next_with_id().await,
                Some(_) => match timeout(CANCEL_POLL, running.join_next_with_id()).await {
                    Ok(next) => next,
                    Err(_) => continue,
                },
            };
            let done: Vec<Episode> = match next {
                None => break,
                Some(Ok((id, done))) => {
                    in_flight.remove(&id);
                    done
                }
                Some(Err(lost)) => {
                    let planned = in_flight.remove(&lost.id()).into_iter().flatten();
                    planned
                        .map(|planned: Planned| planned.failed(lost.to_string()))
                        .collect()
                }
            };
            for episode in done {
                hooks.deliver(&episode)?;
                episodes.push(episode);
            }
        }
        episodes.sort_by_key(|episode: &Episode| (episode.group, episode.sample));
        Ok(episodes)
    }

    /// Whether tasks like this one can be played with forks.
    ///
    /// # Errors
    /// Why not.
    pub fn can_fork(&self, task: &Task) -> Result<(), RolloutError> {
        let environment = self.contain(|| "an environment".to_owned(), || self.taskset.environment(task))?;
        let why = if environment.fork_kind() != Fork::Native {
            "its world cannot be copied"
        } else if self.harness.turns().is_none() {
            "its agent loop cannot be forked"
        } else {
            return Ok(());
        };
        Err(RolloutError::NoFork {
            taskset: self.taskset.name().to_owned(),
            why,
        })
    }

    /// All episodes of the jobs, in launching order, their tasks made: those that are played together, together.
    fn plan(&self, jobs: &[Job]) -> Result<VecDeque<Vec<Planned>>, RolloutError> {
        let root = Stream::new(self.seed).named(&self.phase);
        let mut planned: VecDeque<Vec<Planned>> = VecDeque::new();
        let mut seen = std::collections::BTreeSet::new();
        for job in jobs {
            let what = || format!("task {}/{}", job.split.name(), job.index);
            let task = Arc::new(self.contain(what, || self.taskset.task(job.split, job.index))??);
            let group = root.at(job.group);
            for sample in job.samples.clone() {
                let id = format!("{}/{}/{sample}", self.phase, job.group);
                if !seen.insert((job.group, sample)) {
                    return Err(RolloutError::Duplicate { id });
                }
                let label = Label {
                    id,
                    phase: self.phase.clone(),
                    taskset: self.taskset.name().to_owned(),
                    group: job.group,
                    sample,
                };
                let one = Planned {
                    label,
                    task: task.clone(),
                    stream: group.at(u64::from(sample)),
                    group: group.clone(),
                };
                match planned.back_mut() {
                    Some(together) if self.forking.is_some() && sample > job.samples.start => together.push(one),
                    _ => planned.push_back(vec![one]),
                }
            }
        }
        Ok(planned)
    }

    /// Where the results of an episode's calls come from, if not only from the tools.
    fn recording(&self, waiting: Option<&Waiting>, task: &Task) -> Option<Recording> {
        if let Some(Waiting { episode, reply }) = waiting {
            return Some(Recording::resume(episode, reply.clone()));
        }
        let (cache, mode) = self.tools.cache.as_ref()?;
        // A task of the same name whose data has changed starts from another world.
        let start = serde_json::to_string(task).unwrap_or_else(|_| task.id.clone());
        let scope = format!("{} {start}", self.taskset.name());
        Some(Recording::cached(cache.clone(), *mode, &scope))
    }

    /// The tools of a task's environment, compiled.
    fn toolset(&self, task: &Task) -> Result<Arc<Toolset>, RolloutError> {
        let environment = self.contain(|| "an environment".to_owned(), || self.taskset.environment(task))?;
        Ok(Arc::new(Toolset::compile(environment.specs())?))
    }

    fn contain<R>(&self, what: impl Fn() -> String, make: impl FnOnce() -> R) -> Result<R, RolloutError> {
        catch_unwind(AssertUnwindSafe(make)).map_err(|payload| RolloutError::Panic {
            taskset: self.taskset.name().to_owned(),
            what: what(),
            message: hone_tool::panic_text(payload.as_ref()),
        })
    }
}

impl Planned {
    pub(crate) fn failed(self, cause: String) -> Episode {
        self.label
            .failed(&self.task, &self.stream, EndReason::EnvironmentFailure, cause)
    }
}

impl Stage {
    /// Episodes that are played together.
    async fn play_all(self: Arc<Self>, planned: Vec<Planned>) -> Vec<Episode> {
        if let (Some(how), Some(turns)) = (self.rollout.forking, self.rollout.harness.turns()) {
            return leaves::play(self, planned, turns, how).await;
        }
        let mut done = Vec::with_capacity(planned.len());
        for planned in planned {
            done.push(self.play(planned).await);
        }
        done
    }

    async fn play(&self, planned: Planned) -> Episode {
        let spare = planned.clone();
        let played = caught(async {
            let setup = self.setup(&planned)?;
            let finished = self.rollout.harness.run(setup).await;
            Ok::<_, SchemaError>(self.complete(&planned, finished).await)
        });
        match played.await {
            Ok(Ok(episode)) => episode,
            Ok(Err(schema)) => spare.failed(schema.to_string()),
            Err(panic) => spare.failed(format!("panicked: {panic}")),
        }
    }

    /// All that an episode starts from.
    pub(crate) fn setup(&self, planned: &Planned) -> Result<EpisodeSetup, SchemaError> {
        let Planned {
            label, task, stream, ..
        } = planned;
        let rollout = &self.rollout;
        let environment = rollout.taskset.environment(task);
        let toolset = compiled(&self.toolset, environment.specs())?;
        let waiting = rollout.tools.waiting.get(&label.id);
        let resumed = |player: &Player, model, replayed| match waiting {
            Some(waiting) => waiting.resume(player, model, replayed),
            None => model,
        };
        let model = rollout.player.cast(task, label.sample, stream);
        let model = resumed(&rollout.player, model, Replayed::of);
        let user = match (rollout.taskset.user(task), &rollout.user) {
            (Some(role), Some(UserPlayer { player, sampling })) => Some(UserSetup {
                role,
                model: resumed(
                    player,
                    player.cast(task, label.sample, &stream.named("user")),
                    Replayed::user,
                ),
                toolset: compiled(&self.user_toolset, environment.user_specs())?,
                sampling: sampling.clone(),
            }),
            _ => None,
        };
        Ok(EpisodeSetup {
            label: label.clone(),
            task: task.clone(),
            environment,
            toolset,
            model,
            user,
            budget: rollout.budget,
            sampling: rollout.sampling.clone(),
            approval: rollout.approval.clone(),
            recording: rollout.recording(waiting, task),
            stream: stream.clone(),
        })
    }

    /// The episode, judged and scored.
    pub(crate) async fn complete(&self, planned: &Planned, mut finished: Finished) -> Episode {
        let Planned { task, stream, .. } = planned;
        let time = Duration::from_millis(self.rollout.budget.tool_timeout_ms);
        if !self.jury.is_empty() && finished.episode.counts() {
            finished = self.judge(task, finished, &stream.named("judge"), time).await;
        }
        score(self.rollout.taskset.clone(), task.clone(), finished, time).await
    }
}

impl Stage {
    /// With the verdicts that the score needs. Without one of them the episode does not count.
    async fn judge(&self, task: &Arc<Task>, finished: Finished, stream: &Stream, time: Duration) -> Finished {
        let Finished { episode, environment } = finished;
        // The score says that the state is lost.
        let Some(environment) = environment else {
            return Finished { episode, environment };
        };
        let (taskset, task, shared) = (self.rollout.taskset.clone(), task.clone(), Arc::new(episode));
        let read = shared.clone();
        let asked = guarded(environment, time, move |environment| {
            taskset.questions(&task, &read, &*environment)
        });
        let asked = asked.await;
        let mut episode = Arc::unwrap_or_clone(shared);
        let (environment, judged) = match asked {
            Ok((environment, questions)) => {
                let judged = self.jury.judge(&mut episode, &questions, stream).await;
                (Some(environment), judged)
            }
            Err(lost) => (None, Err(lost.to_string())),
        };
        if let Err(reason) = judged {
            episode.outcome = Outcome::InfraFailed {
                cause: format!("judge: {reason}"),
            };
        }
        Finished { episode, environment }
    }
}

/// The compiled tools of an environment: those of the one before, if they are the same.
fn compiled(cache: &Mutex<Arc<Toolset>>, specs: &[ToolSpec]) -> Result<Arc<Toolset>, SchemaError> {
    let mut cached = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cached.specs() != specs {
        *cached = Arc::new(Toolset::compile(specs)?);
    }
    Ok(cached.clone())
}
