//! Planner, executor, verifier and generator over a shared memory (AgentFlow, arXiv 2510.05592).

mod prompts;

use crate::run::{End, Play, Speaker};
use crate::{EpisodeSetup, Finished, Harness};
use async_trait::async_trait;
use hone_env::{ActionStep, Brief, NextStep, Role, Task, VERIFY};
use hone_model::{AgentTurn, Message, Model};
use hone_tool::{Asked, Toolset};
use hone_trace::{EndReason, SamplingSettings, Stream, Turn};
use prompts::{Guide, read_next, read_verdict};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

/// Makes the model of a role for one episode from its task, its number among the task's samples, and a stream of its own.
pub type RoleCast = dyn Fn(&Task, u32, &Stream) -> Arc<dyn Model> + Send + Sync;

/// Who plays a role beside the planner: a script, a local model or a remote one.
#[derive(Clone)]
pub struct RolePlayer {
    /// Its model, for each episode.
    pub cast: Arc<RoleCast>,
    /// Its sampling settings.
    pub sampling: SamplingSettings,
}

/// AgentFlow's loop. With the query q, the tools K and the memory M, a step is:
/// 1. the planner, which is the episode's model, writes `{justification, context, sub_goal, tool_name}`;
/// 2. the executor is offered that tool alone and makes a call of it, which is run;
/// 3. the memory grows by `{tool_name, sub_goal, command, result}` under the key `Action Step t`;
/// 4. the verifier says of q and M whether to stop.
///
/// It ends when the verifier says so or the planner has no turn left; then the generator answers from q and M, and its answer
/// is the episode's. Every turn of the planner is a prompt of its own, which holds q and M and no more: so each is a training
/// row of its own. The helpers' model calls have their role's name as role and lineage, so that nothing of theirs is learnt.
///
/// Outputs are typed, as calls of the tools `next_step` and `verify`; of a text the last JSON object, or the last of the words
/// STOP and CONTINUE, is read. Names of tools match whatever their case and separators are. A turn of the planner that cannot
/// be read, and a tool that is none, are recorded as its failed call; the step counts, and its result says so. An executor
/// without a call leaves a step without a command, a verifier without a verdict goes on; the event `protocol` names them.
///
/// Left out of AgentFlow: the query's analysis before the first step, by a fixed model.
#[derive(Clone)]
pub struct PlannerExecutor {
    /// Makes calls of the planner's steps.
    pub executor: RolePlayer,
    /// Says when to stop.
    pub verifier: RolePlayer,
    /// Answers.
    pub generator: RolePlayer,
    /// Turns of the planner at most (T_max), where the budget allows more.
    pub max_steps: Option<u32>,
}

#[async_trait]
impl Harness for PlannerExecutor {
    fn name(&self) -> &'static str {
        "planner_executor"
    }

    async fn run(&self, mut setup: EpisodeSetup) -> Finished {
        if let Some(most) = self.max_steps {
            setup.budget.max_turns = setup.budget.max_turns.min(most);
        }
        let helper = |role: Role, player: &RolePlayer| {
            let stream = setup.stream.named(role.name());
            let model = (player.cast)(&setup.task, setup.label.sample, &stream);
            Speaker::helper(role.name(), model, setup.toolset.clone(), player.sampling.clone())
        };
        let (executor, verifier, generator) = (
            helper(Role::Executor, &self.executor),
            helper(Role::Verifier, &self.verifier),
            helper(Role::Generator, &self.generator),
        );
        let guide = match Guide::of(&setup.task) {
            Ok(guide) => guide,
            Err(error) => {
                let play = Play::start(self.name(), setup);
                let end = End::infra(EndReason::EnvironmentFailure, error.to_string());
                return play.finish(end).await;
            }
        };
        let mut flow = Flow {
            tools: setup.toolset.clone(),
            play: Play::start(self.name(), setup),
            executor,
            verifier,
            generator,
            guide,
            memory: Vec::new(),
        };
        let end = match flow.go_on().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        flow.play.finish(end).await
    }
}

struct Flow {
    /// Its speaker is the planner, except while a helper is asked.
    play: Play,
    executor: Speaker,
    verifier: Speaker,
    generator: Speaker,
    /// K.
    tools: Arc<Toolset>,
    guide: Guide,
    /// M.
    memory: Vec<ActionStep>,
}

impl Flow {
    async fn go_on(&mut self) -> Result<Infallible, End> {
        self.play.reset().await?;
        // Those that the environment chose, if it did.
        self.tools = self.play.speaker.toolset.clone();
        let query = self.play.task().instruction.clone();
        if let Some(text) = self.guide.system(Role::Planner, &self.tools) {
            self.play.episode.turns.push(Turn::System { text });
        }
        self.play.episode.turns.push(Turn::User { text: query });
        loop {
            let messages = self.messages(Role::Planner, None);
            self.play.speaker.begin(messages, self.guide.planner.clone());
            if !self.play.may_ask() {
                break;
            }
            let turn = self.play.ask().await?;
            if self.step(turn).await? {
                return Err(End::policy(EndReason::Terminal));
            }
            if self.enough().await? {
                break;
            }
        }
        self.answer().await
    }

    /// What a role hears.
    fn messages(&self, role: Role, next: Option<NextStep>) -> Vec<Message> {
        let brief = Brief {
            query: self.play.task().instruction.clone(),
            memory: self.memory.clone(),
            next,
        };
        let system = self.guide.system(role, &self.tools).map(Message::System);
        system.into_iter().chain([Message::User(brief.text())]).collect()
    }

    /// A helper in the planner's place, or back.
    fn swap(&mut self, role: Role) {
        let seat = match role {
            Role::Planner => return,
            Role::Executor => &mut self.executor,
            Role::Verifier => &mut self.verifier,
            Role::Generator => &mut self.generator,
        };
        std::mem::swap(&mut self.play.speaker, seat);
    }

    /// Do what the planner wrote, and remember it. Whether the environment says that the episode is over.
    async fn step(&mut self, turn: AgentTurn) -> Result<bool, End> {
        let mut step = ActionStep::default();
        let mut over = false;
        let known = read_next(turn, &self.tools);
        match known {
            Ok((next, Some(place))) => {
                let tool = self.tools.specs().get(place).map(|spec| spec.name.clone());
                step.tool_name = tool.unwrap_or_default();
                step.sub_goal.clone_from(&next.sub_goal);
                let messages = self.messages(Role::Executor, Some(next));
                let only = Arc::new(self.tools.among(&[place]));
                self.swap(Role::Executor);
                self.play.speaker.begin(messages, only);
                let done = self.execute().await;
                self.swap(Role::Executor);
                (step.command, step.result, over) = done?;
            }
            Ok((next, None)) => {
                step.tool_name.clone_from(&next.tool_name);
                step.sub_goal = next.sub_goal;
                let asked = Asked::Call {
                    tool: next.tool_name,
                    arguments: json!({}),
                };
                step.result = self.refused(asked).await?;
            }
            Err(error) => step.result = self.refused(Asked::Malformed { error }).await?,
        }
        self.memory.push(step);
        Ok(over)
    }

    /// The planner's failed call, as it is shown.
    async fn refused(&mut self, asked: Asked) -> Result<Value, End> {
        self.play.speaker.toolset = self.tools.clone();
        self.play.call(asked, None).await?;
        Ok(self.shown())
    }

    /// What the last call came to.
    fn shown(&self) -> Value {
        let shown = self.play.episode.tool_calls.last().map(|call| call.shown.as_str());
        let shown = shown.unwrap_or_default();
        serde_json::from_str(shown).unwrap_or_else(|_| Value::from(shown))
    }

    /// The executor's call: its arguments, its result, and whether the episode is over.
    async fn execute(&mut self) -> Result<(Value, Value, bool), End> {
        let asked = match self.play.ask().await? {
            AgentTurn::Calls { calls, .. } => calls.into_iter().next().map(|call| match call.malformed {
                Some(error) => Asked::Malformed {
                    error: format!("{}: {error}", call.name),
                },
                None => Asked::Call {
                    tool: call.name,
                    arguments: call.arguments,
                },
            }),
            AgentTurn::Malformed { error, .. } => Some(Asked::Malformed { error }),
            AgentTurn::Say(_) => None,
        };
        let Some(asked) = asked else {
            self.breach(Role::Executor, "gave no command");
            return Ok((Value::Null, Value::from("no result: there was no command"), false));
        };
        let command = match &asked {
            Asked::Call { arguments, .. } => arguments.clone(),
            Asked::Malformed { .. } => Value::Null,
        };
        let over = self.play.call(asked, None).await?;
        Ok((command, self.shown(), over))
    }

    /// Whether the verifier says that the memory is enough.
    async fn enough(&mut self) -> Result<bool, End> {
        let messages = self.messages(Role::Verifier, None);
        self.swap(Role::Verifier);
        self.play.speaker.begin(messages, self.guide.verifier.clone());
        let asked = self.play.ask().await;
        self.swap(Role::Verifier);
        let stop = read_verdict(&asked?);
        if stop.is_none() {
            self.breach(Role::Verifier, "gave no verdict");
        }
        Ok(stop.unwrap_or(false))
    }

    /// The generator's answer, which ends the episode.
    async fn answer(&mut self) -> Result<Infallible, End> {
        let messages = self.messages(Role::Generator, None);
        let none = Arc::new(self.tools.among(&[]));
        self.swap(Role::Generator);
        self.play.speaker.begin(messages, none);
        let asked = self.play.ask().await;
        self.swap(Role::Generator);
        if !matches!(asked?, AgentTurn::Say(text) if !text.trim().is_empty()) {
            self.breach(Role::Generator, "gave no answer in words");
        }
        let model_call = self.play.episode.model_calls.len().saturating_sub(1) as u32;
        self.play.episode.turns.push(Turn::Agent { model_call });
        Err(End::policy(EndReason::Answered))
    }

    fn breach(&mut self, by: Role, what: &str) {
        self.play.note("protocol", json!({"by": by.name(), "what": what}));
    }
}
