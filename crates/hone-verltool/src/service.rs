//! The router and the store.

use crate::tools::Tool;
use crate::{Item, Request, Response};
use hone_tool::{ApprovalPolicy, Asked, Rules, ToolHost, ToolRequest, Truncation, dispatch};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// The tool that every server has, which only the flag `finish` chooses.
const FINISH: &str = "finish";
/// Most characters that a tool is given to tell; each has a bound of its own below it.
const MAX_SHOWN: usize = 1_000_000;

/// Bounds.
#[derive(Clone, Copy, Debug)]
pub struct ServiceSettings {
    /// Actions that run at the same time; more wait.
    pub concurrent: usize,
    /// Trajectories whose tools hold something. More are refused until others finish.
    pub trajectories: usize,
    /// A trajectory that nobody used for so long is forgotten.
    pub idle: Duration,
    /// Bound of one call.
    pub timeout: Duration,
    /// Whether an action that is no tool's ends its trajectory.
    pub done_if_invalid: bool,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            concurrent: 64,
            trajectories: 4_096,
            idle: Duration::from_secs(30 * 60),
            timeout: Duration::from_secs(40),
            done_if_invalid: false,
        }
    }
}

/// What the service has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Actions that run or wait now.
    pub active: u64,
    /// Trajectories whose tools hold something now.
    pub trajectories: u64,
    /// Actions that were answered.
    pub actions: u64,
    /// Of them, those that were no tool's.
    pub invalid: u64,
    /// Of them, those whose tool failed through no fault of the action.
    pub failed: u64,
    /// Trajectories that were finished.
    pub finished: u64,
}

/// The hosts of a trajectory, by tool.
#[derive(Default)]
struct Room(BTreeMap<String, Box<dyn ToolHost>>);

struct Entry {
    /// Its actions run one after the other.
    room: Arc<tokio::sync::Mutex<Room>>,
    used: Instant,
}

/// The tool server without its network.
pub struct Service {
    tools: Vec<Tool>,
    settings: ServiceSettings,
    places: Semaphore,
    store: Mutex<HashMap<String, Entry>>,
    started: Instant,
    active: AtomicU64,
    actions: AtomicU64,
    invalid: AtomicU64,
    failed: AtomicU64,
    finished: AtomicU64,
}

/// The answer to one action.
struct Answer {
    observation: Value,
    done: bool,
    valid: bool,
}

impl Service {
    /// A service with these tools. They are asked in this order, `mcp_interface` last.
    pub fn new(mut tools: Vec<Tool>, settings: ServiceSettings) -> Self {
        tools.sort_by_key(|tool| tool.name == "mcp_interface");
        Self {
            tools,
            settings,
            places: Semaphore::new(settings.concurrent.clamp(1, Semaphore::MAX_PERMITS)),
            store: Mutex::default(),
            started: Instant::now(),
            active: AtomicU64::new(0),
            actions: AtomicU64::new(0),
            invalid: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            finished: AtomicU64::new(0),
        }
    }

    /// Names of the tools.
    pub fn names(&self) -> Vec<&str> {
        self.tools
            .iter()
            .map(|tool| tool.name.as_str())
            .chain([FINISH])
            .collect()
    }

    /// The tools whose runtimes cannot work now, with the reason. Takes some milliseconds: each is tried.
    pub fn ill(&self) -> Vec<(&str, String)> {
        let ill = |tool: &'_ Tool| tool.pulse.as_ref()?.ill();
        self.tools
            .iter()
            .filter_map(|tool| Some((tool.name.as_str(), ill(tool)?)))
            .collect()
    }

    /// What the runtime says of itself, in Prometheus's text format.
    pub fn runtime_metrics(&self) -> String {
        // All tools that have one share it.
        let pulse = self.tools.iter().find_map(|tool| tool.pulse.as_ref());
        pulse.map(|pulse| pulse.metrics()).unwrap_or_default()
    }

    /// The bounds.
    pub fn settings(&self) -> &ServiceSettings {
        &self.settings
    }

    /// Seconds since the start.
    pub fn uptime(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// What it has done.
    pub fn counts(&self) -> Counts {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Counts {
            active: of(&self.active),
            trajectories: self.store.lock().unwrap_or_else(PoisonError::into_inner).len() as u64,
            actions: of(&self.actions),
            invalid: of(&self.invalid),
            failed: of(&self.failed),
            finished: of(&self.finished),
        }
    }

    /// Answers a batch. Actions of different trajectories run at the same time, those of one in their order.
    pub async fn observe(&self, request: Request) -> Response {
        let start = Instant::now();
        let mut trajectories: BTreeMap<String, Vec<(usize, Item)>> = BTreeMap::new();
        for (n, item) in request.0.into_iter().enumerate() {
            trajectories.entry(item.trajectory.clone()).or_default().push((n, item));
        }
        let each = trajectories.into_values().map(|items| async move {
            let mut answers = Vec::new();
            for (n, item) in items {
                let waiting = Instant::now();
                self.active.fetch_add(1, Ordering::Relaxed);
                let answer = self.one(&item, waiting).await;
                self.active.fetch_sub(1, Ordering::Relaxed);
                answers.push((n, answer));
            }
            answers
        });
        let answers = futures_util::future::join_all(each).await;
        let mut answers: Vec<(usize, (Answer, Duration))> = answers.into_iter().flatten().collect();
        answers.sort_by_key(|(n, _)| *n);
        let mut response = Response::default();
        let mut queued = Duration::ZERO;
        for (_, (answer, waited)) in answers {
            response.observations.push(answer.observation);
            response.dones.push(answer.done);
            response.valids.push(answer.valid);
            queued = queued.max(waited);
        }
        response.queue_time_ms = queued.as_secs_f64() * 1e3;
        response.processing_time_ms = start.elapsed().saturating_sub(queued).as_secs_f64() * 1e3;
        response
    }

    /// One action, and how long it waited for its turn.
    async fn one(&self, item: &Item, waiting: Instant) -> (Answer, Duration) {
        self.actions.fetch_add(1, Ordering::Relaxed);
        if item.finish {
            self.finished.fetch_add(1, Ordering::Relaxed);
            self.forget(&item.trajectory);
            let answer = Answer {
                observation: json!(""),
                done: true,
                valid: true,
            };
            return (answer, waiting.elapsed());
        }
        let asked = self.tools.iter().find_map(|tool| Some((tool, (tool.parse)(item)?)));
        let Some((tool, (name, arguments))) = asked else {
            self.invalid.fetch_add(1, Ordering::Relaxed);
            let observation = json!({
                "obs": "",
                "invalid_reason": "No valid tool found for action",
                "available_tools": self.usage(),
            });
            let answer = Answer {
                observation,
                done: self.settings.done_if_invalid,
                valid: false,
            };
            return (answer, waiting.elapsed());
        };
        let Some(room) = self.room(&item.trajectory) else {
            let what = format!(
                "{} trajectories are open already; finish some",
                self.settings.trajectories
            );
            return (self.broken(tool, &what), waiting.elapsed());
        };
        let mut room = room.lock().await;
        let Ok(_place) = self.places.acquire().await else {
            return (self.broken(tool, "the server is closing"), waiting.elapsed());
        };
        let waited = waiting.elapsed();
        let host = match room.0.remove(&tool.name) {
            Some(host) => host,
            None => match (tool.hosts)() {
                Ok(host) => host,
                Err(why) => return (self.broken(tool, &why), waited),
            },
        };
        let approval = ApprovalPolicy::default();
        let rules = Rules {
            toolset: &tool.toolset,
            approval: &approval,
            timeout: self.settings.timeout,
            max_shown_chars: MAX_SHOWN,
            truncation: Truncation::Head,
            max_schema_chars: 500,
        };
        let request = ToolRequest {
            id: 0,
            model_call: None,
            raw: item.action.clone(),
            asked: Asked::Call { tool: name, arguments },
        };
        let done = dispatch(host, request, &rules, None).await;
        // A call that hung or panicked took its host along: the next action begins anew.
        if let Some(host) = done.host {
            room.0.insert(tool.name.clone(), host);
        }
        drop(room);
        if item.is_last_step {
            self.forget(&item.trajectory);
        }
        let failure = done.record.error;
        if let Some(failure) = failure.as_ref().filter(|failure| !failure.class.is_policy()) {
            return (self.broken(tool, &failure.message), waited);
        }
        let observation = match &failure {
            None => (tool.tell)(&item.action, Ok(&done.record.shown)),
            Some(failure) => (tool.tell)(&item.action, Err(failure)),
        };
        let answer = Answer {
            observation,
            done: done.terminal,
            valid: true,
        };
        (answer, waited)
    }

    /// What the original says when a tool raises.
    fn broken(&self, tool: &Tool, what: &str) -> Answer {
        self.failed.fetch_add(1, Ordering::Relaxed);
        Answer {
            observation: json!({"obs": "", "error": format!("Tool processing failed: {what}"), "tool_type": tool.name}),
            done: true,
            valid: false,
        }
    }

    fn usage(&self) -> String {
        let lines = self.tools.iter().map(|tool| format!("• {}: {}", tool.name, tool.usage));
        ["Available tools:".to_owned()]
            .into_iter()
            .chain(lines)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The room of a trajectory, unless there are too many.
    fn room(&self, trajectory: &str) -> Option<Arc<tokio::sync::Mutex<Room>>> {
        let now = Instant::now();
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = store.get_mut(trajectory) {
            entry.used = now;
            return Some(Arc::clone(&entry.room));
        }
        if store.len() >= self.settings.trajectories {
            store.retain(|_, entry| now.duration_since(entry.used) < self.settings.idle);
        }
        if store.len() >= self.settings.trajectories {
            return None;
        }
        let room = Arc::<tokio::sync::Mutex<Room>>::default();
        let entry = Entry {
            room: Arc::clone(&room),
            used: now,
        };
        store.insert(trajectory.to_owned(), entry);
        Some(room)
    }

    fn forget(&self, trajectory: &str) {
        let gone = self
            .store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(trajectory);
        // Ending sandboxes takes a moment: not under the lock.
        drop(gone);
    }
}
