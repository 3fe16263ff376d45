//! The agent loop of `agent_loop/verltool_agent_loop.py`, and in which order trajectories go through it.
//!
//! A turn is a generation, then a tool. With [`Order::Async`] each trajectory goes on as soon as its own tool has answered; with
//! [`Order::Barrier`] all wait for the slowest, after the generation and after the tool, as batch rollouts do. So of latencies
//! `g` and `t` by trajectory `i` and turn `k` the time is `max_i Σ_k (g + t)` in the first case and `Σ_k (max_i g + max_i t)` in
//! the second, which is never less.

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

/// Which part of a long observation is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Left is cut: the end is kept, then the mark.
    Left,
    /// Right is cut: the beginning is kept, then the mark.
    Right,
    /// The middle is cut and the mark takes its place.
    Middle,
}

/// Whether trajectories wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// They do not; at most so many are under way.
    Async(usize),
    /// After each half of a turn.
    Barrier,
}

/// The loop's settings. Lengths are in tokens.
#[derive(Clone, Debug)]
pub struct LoopSettings {
    /// Turns with a tool; one more without may follow.
    pub max_turns: u32,
    /// Of all that follows the prompt.
    pub max_response_length: usize,
    /// Of one generation.
    pub max_action_length: usize,
    /// Of one observation, its mark not counted.
    pub max_obs_length: usize,
    /// Which part of a longer one is cut.
    pub truncate_obs_side: Side,
    /// Where a generation stops for a tool.
    pub action_stop_tokens: Vec<String>,
    /// Whether observations are masked in the loss.
    pub mask_observations: bool,
    /// Ids before and after an observation, where it becomes a turn of a chat (`enable_mtrl`).
    pub around: Option<(Vec<u32>, Vec<u32>)>,
    /// No loss on trajectories that did not come to an end by themselves.
    pub mask_overlong_loss: bool,
    /// No loss on trajectories with neither a valid action nor an answer (`\boxed`, `final_answer(`).
    pub mask_void_traj: bool,
    /// Whether there is a tool at all.
    pub use_tool: bool,
}

impl Default for LoopSettings {
    /// The dataclass's: its `truncate_obs_side` is the middle, where the file of defaults has the left.
    fn default() -> Self {
        Self {
            max_turns: 10,
            max_response_length: 4_096,
            max_action_length: 4_096,
            max_obs_length: 512,
            truncate_obs_side: Side::Middle,
            action_stop_tokens: Vec::new(),
            mask_observations: true,
            around: None,
            mask_overlong_loss: false,
            mask_void_traj: false,
            use_tool: true,
        }
    }
}

/// What a trajectory begins with.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its id.
    pub id: String,
    /// The prompt.
    pub prompt: Vec<u32>,
    /// The row's `extra_info`, for the tools.
    pub extra: Map<String, Value>,
}

/// What was generated.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// Its text, with the stop string.
    pub text: String,
    /// Its ids.
    pub ids: Vec<u32>,
    /// Log-probability of each; zeros if none are known.
    pub logprobs: Vec<f32>,
    /// `stop`, `length`, or what else the engine says.
    pub finish_reason: String,
    /// The stop string, if one was met.
    pub stop_reason: Option<String>,
}

/// The model's side.
#[async_trait]
pub trait Generator: Send + Sync {
    /// Continues these ids by at most so many, up to a stop string.
    async fn generate(&self, id: &str, ids: &[u32], max_tokens: usize) -> Generated;

    /// The ids of a text.
    fn encode(&self, text: &str) -> Vec<u32>;

    /// The text of ids.
    fn decode(&self, ids: &[u32]) -> String;
}

/// What a tool said.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The text.
    pub obs: String,
    /// The tool ends the trajectory.
    pub done: bool,
    /// The action was a tool's.
    pub valid: bool,
}

/// The tools' side.
#[async_trait]
pub trait ToolServer: Send + Sync {
    /// Runs an action.
    async fn observe(&self, id: &str, action: &str, extra: &Map<String, Value>) -> Observed;

    /// Says that a trajectory is over.
    async fn finish(&self, id: &str);
}

/// A finished trajectory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    /// Its id.
    pub id: String,
    /// All that follows the prompt.
    pub response: Vec<u32>,
    /// 1 where the loss counts: on what was sampled.
    pub mask: Vec<u8>,
    /// 0 where nothing was sampled.
    pub logprobs: Vec<f32>,
    /// Generations.
    pub turns: u32,
    /// Actions that reached a tool.
    pub tool_calls: u32,
    /// Of them the valid ones.
    pub valid_actions: u32,
    /// Why it ended, in VerlTool's words.
    pub stop_reason: String,
    /// Whether it ended by itself.
    pub finished: bool,
}

/// Control characters, which no action is sent with, but for tab, line feed and carriage return.
fn sanitized(text: &str) -> String {
    text.chars()
        .filter(|c| *c >= ' ' || matches!(c, '\t' | '\n' | '\r'))
        .collect()
}

/// A trajectory under way.
struct Run<'a> {
    settings: &'a LoopSettings,
    generator: &'a dyn Generator,
    tools: &'a dyn ToolServer,
    extra: Map<String, Value>,
    ids: Vec<u32>,
    prompt: usize,
    step: u32,
    so_far: Trajectory,
    /// The action of the turn that was generated last, until it was run.
    action: Option<String>,
    over: bool,
}

impl<'a> Run<'a> {
    fn new(
        settings: &'a LoopSettings,
        generator: &'a dyn Generator,
        tools: &'a dyn ToolServer,
        wanted: Wanted,
    ) -> Self {
        Self {
            settings,
            generator,
            tools,
            extra: wanted.extra,
            prompt: wanted.prompt.len(),
            ids: wanted.prompt,
            step: 0,
            so_far: Trajectory {
                id: wanted.id,
                ..Trajectory::default()
            },
            action: None,
            over: false,
        }
    }

    fn end(&mut self, reason: impl Into<String>, finished: bool) {
        self.so_far.stop_reason = reason.into();
        self.so_far.finished = finished;
        self.over = true;
    }

    /// The first half of a turn.
    async fn generate(&mut self) {
        let settings = self.settings;
        let room = settings
            .max_response_length
            .saturating_sub(self.ids.len() - self.prompt);
        let room = room.min(settings.max_action_length);
        if room == 0 {
            return self.end("max_model_len_exceeded", false);
        }
        let last = self.step == settings.max_turns;
        let mut made = self.generator.generate(&self.so_far.id, &self.ids, room).await;
        made.ids.truncate(room);
        made.logprobs.resize(made.ids.len(), 0.0);
        self.ids.extend(&made.ids);
        self.so_far.mask.extend(made.ids.iter().map(|_| 1));
        self.so_far.logprobs.extend(made.logprobs);
        self.so_far.turns += 1;
        self.step += 1;
        if !settings.use_tool {
            return self.end(format!("no_tool-{}", made.finish_reason), true);
        }
        let stop = made.stop_reason.unwrap_or_default();
        let token = settings.action_stop_tokens.iter().find(|token| stop.contains(*token));
        match (made.finish_reason.as_str(), token) {
            ("stop", Some(token)) if !last => {
                let before = made.text.split(token.as_str()).next().unwrap_or_default();
                self.action = Some(format!("{before}{token}"));
            }
            ("stop", Some(_)) => self.end("max_turns_reached", false),
            ("stop", None) if stop.is_empty() && made.text.trim().is_empty() => {
                self.end("model_chose_to_finish_with_empty_response", true);
            }
            ("stop", None) if stop.is_empty() => self.end("model_chose_to_finish", true),
            ("stop", None) => self.end(format!("no_action_stop_token_found_in_stop_reason={stop}"), false),
            ("length", _) => self.end("max_response_length_reached", false),
            (other, _) => self.end(format!("finish_reason_{other}"), true),
        }
    }

    /// The second half.
    async fn act(&mut self) {
        let Some(action) = self.action.take() else { return };
        self.so_far.tool_calls += 1;
        let observed = self
            .tools
            .observe(&self.so_far.id, &sanitized(&action), &self.extra)
            .await;
        self.so_far.valid_actions += u32::from(observed.valid);
        let ids = self.generator.encode(&observed.obs);
        let (most, side) = (self.settings.max_obs_length, self.settings.truncate_obs_side);
        let mut ids = cut(ids, most, side, |mark| self.generator.encode(mark));
        if let Some((before, after)) = &self.settings.around {
            ids = [before.as_slice(), &ids, after].concat();
        }
        let counts = u8::from(!self.settings.mask_observations);
        self.so_far.mask.extend(ids.iter().map(|_| counts));
        self.so_far.logprobs.extend(ids.iter().map(|_| 0.0));
        self.ids.extend(ids);
        if observed.done {
            self.end("tool_signaled_done", true);
        }
    }

    async fn finish(mut self) -> Trajectory {
        self.tools.finish(&self.so_far.id).await;
        let mut trajectory = self.so_far;
        trajectory.response = self.ids.split_off(self.prompt);
        let void = || {
            let text = self.generator.decode(&trajectory.response);
            trajectory.valid_actions == 0 && !text.contains("\\boxed") && !text.contains("final_answer(")
        };
        let masked =
            (self.settings.mask_overlong_loss && !trajectory.finished) || (self.settings.mask_void_traj && void());
        if masked {
            trajectory.mask.fill(0);
        }
        let most = self.settings.max_response_length;
        trajectory.response.truncate(most);
        trajectory.mask.truncate(most);
        trajectory.logprobs.truncate(most);
        trajectory
    }
}

/// Cuts an observation. The marks are the original's, and are not counted.
fn cut(ids: Vec<u32>, most: usize, side: Side, encode: impl Fn(&str) -> Vec<u32>) -> Vec<u32> {
    if ids.len() <= most {
        return ids;
    }
    let half = most / 2;
    let (head, tail) = (|n: usize| ids[..n].to_vec(), |n: usize| ids[ids.len() - n..].to_vec());
    match side {
        Side::Left => [tail(most), encode("...(truncated)")].concat(),
        Side::Right => [head(most), encode("(truncated)...")].concat(),
        Side::Middle => [head(half), encode("...(truncated)..."), tail(half)].concat(),
    }
}

/// Plays trajectories to their ends. They come back in the order in which they were given.
pub async fn rollout(
    settings: &LoopSettings,
    order: Order,
    generator: &dyn Generator,
    tools: &dyn ToolServer,
    wanted: Vec<Wanted>,
) -> Vec<Trajectory> {
    let mut runs: Vec<Run<'_>> = wanted
        .into_iter()
        .map(|wanted| Run::new(settings, generator, tools, wanted))
        .collect();
    match order {
        Order::Async(most) => {
            let places = &Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS));
            join_all(runs.into_iter().map(|mut run| async move {
                let _place = places.acquire().await;
                while !run.over {
                    run.generate().await;
                    run.act().await;
                }
                run.finish().await
            }))
            .await
        }
        Order::Barrier => {
            while runs.iter().any(|run| !run.over) {
                join_all(runs.iter_mut().filter(|run| !run.over).map(Run::generate)).await;
                join_all(runs.iter_mut().filter(|run| !run.over).map(Run::act)).await;
            }
            join_all(runs.into_iter().map(Run::finish)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Side, cut};

    /// Ids 0 to 9 with room for 4: the tail, the head, two of each.
    #[test]
    fn sides_of_a_cut() {
        let marked = |side| cut((0..10).collect(), 4, side, |_| vec![99]);
        assert_eq!(marked(Side::Left), [6, 7, 8, 9, 99]);
        assert_eq!(marked(Side::Right), [0, 1, 2, 3, 99]);
        assert_eq!(marked(Side::Middle), [0, 1, 99, 8, 9]);
        assert_eq!(cut(vec![1, 2], 2, Side::Left, |_| vec![99]), [1, 2]);
    }
}
