//! A command as an agent loop.

use crate::{CommandLine, ExternalError, Limits, Message as Line, Role, Session};
use async_trait::async_trait;
use hone_harness::{End, EpisodeSetup, Finished, Harness, Play};
use hone_model::{AgentTurn, Conversation, Message};
use hone_tool::{Asked, ERROR};
use hone_trace::{EndReason, Lineage, Turn};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The conversation that is the agent's own.
const MAIN: &str = "main";

/// An agent loop in a process of its own, a fresh one for each episode. It asks us for every turn of the model and every
/// tool call, so that all of them take the same path, within the same bounds, into the same record as with the built-in loop.
#[derive(Clone, Debug)]
pub struct ExternalHarness {
    command: CommandLine,
    timeout: Duration,
    limits: Limits,
}

/// A turn that it asks the model for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskModel {
    /// Which conversation goes on; a name that is new begins one.
    #[serde(default = "main")]
    conversation: String,
    /// What is said before the model's turn.
    #[serde(default)]
    messages: Vec<Said>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    role: SaidBy,
    content: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SaidBy {
    System,
    User,
}

/// A tool call that it asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskCall {
    name: String,
    #[serde(default)]
    arguments: Value,
    /// The conversation that reads the answer; `null` for none.
    #[serde(default = "some_main")]
    conversation: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    answer: Option<String>,
}

fn main() -> String {
    MAIN.to_owned()
}

fn some_main() -> Option<String> {
    Some(main())
}

impl ExternalHarness {
    /// A loop that runs this command; `timeout` bounds each of its steps. Starts it once, to see that it can.
    ///
    /// # Errors
    /// When it does not start or does not say hello as it must.
    pub fn new(command: CommandLine, timeout: Duration, limits: Limits) -> Result<Self, ExternalError> {
        Session::start(&command, Role::Harness, timeout, limits)?;
        Ok(Self {
            command,
            timeout,
            limits,
        })
    }
}

#[async_trait]
impl Harness for ExternalHarness {
    fn name(&self) -> &'static str {
        "external"
    }

    async fn run(&self, setup: EpisodeSetup) -> Finished {
        let play = Play::start(self.name(), setup);
        let mut run = Run {
            play,
            waiting: BTreeMap::new(),
            current: MAIN.to_owned(),
            timeout: self.timeout,
        };
        let end = match run.play(self).await {
            Ok(end) | Err(end) => end,
        };
        run.play.finish(end).await
    }
}

struct Run {
    play: Play,
    /// The conversations but the current one, which `play` holds.
    waiting: BTreeMap<String, Conversation>,
    current: String,
    timeout: Duration,
}

fn broke(error: ExternalError) -> End {
    End::infra(EndReason::EnvironmentFailure, format!("harness: {error}"))
}

impl Run {
    /// How it ended: `Err` where something cut it short.
    async fn play(&mut self, harness: &ExternalHarness) -> Result<End, End> {
        self.play.reset().await?;
        let ExternalHarness {
            command,
            timeout,
            limits,
        } = harness.clone();
        let start = move || Session::start(&command, Role::Harness, timeout, limits);
        let session = blocking(start).await?.map_err(broke)?;
        let task = self.play.task();
        let budget = self.play.budget();
        let params = json!({
            "task": {
                "id": task.id, "kind": task.kind, "system": task.system, "prompt": task.instruction,
                "metadata": task.data.get("metadata"),
            },
            "tools": self.play.toolset().specs(),
            "limits": {"max_turns": budget.max_turns, "max_calls": budget.max_calls},
        });
        let deadline = Instant::now() + self.timeout;
        let (mut session, asked) = with(session, move |session| session.ask("run", params, deadline)).await?;
        let run = asked.map_err(broke)?;
        loop {
            let deadline = Instant::now() + self.timeout.min(self.play.left());
            let (back, line) = with(session, move |session| session.receive("run", deadline)).await?;
            session = back;
            let (id, method, answer) = match line.map_err(broke)? {
                Line::Response { id, result } if id == run => {
                    let result = result.map_err(|message| broke(session.failed("run", message)))?;
                    let Answer { answer } = session.read("run", result).map_err(broke)?;
                    return Ok(self.over(answer));
                }
                Line::Response { id, .. } => {
                    return Err(broke(
                        session.broken("run", format!("it answered id {id}, which was not asked")),
                    ));
                }
                Line::Request { id, method, params } => {
                    let answer = match method.as_str() {
                        "model" => match serde_json::from_value(params) {
                            Ok(ask) => self.model(ask).await?,
                            Err(error) => return Err(broke(session.broken("model", error.to_string()))),
                        },
                        "call" => match serde_json::from_value(params) {
                            Ok(ask) => self.call(ask).await?,
                            Err(error) => return Err(broke(session.broken("call", error.to_string()))),
                        },
                        _ => return Err(broke(session.broken("run", "it may ask `model` and `call`".to_owned()))),
                    };
                    (id, method, answer)
                }
            };
            let (back, sent) = with(session, move |session| session.answer(&method, id, Ok(answer))).await?;
            session = back;
            sent.map_err(broke)?;
        }
    }

    fn over(&mut self, answer: Option<String>) -> End {
        match answer {
            Some(text) => {
                self.play.note("answer", json!({"text": text}));
                End::policy(EndReason::Answered)
            }
            None => End::policy(EndReason::Terminal),
        }
    }

    /// Make a conversation the current one.
    fn enter(&mut self, name: &str) {
        if self.current != name {
            let next = self.waiting.remove(name).unwrap_or_default();
            let last = std::mem::replace(self.play.conversation(), next);
            let last_name = std::mem::replace(&mut self.current, name.to_owned());
            self.waiting.insert(last_name, last);
        }
    }

    async fn model(&mut self, ask: AskModel) -> Result<Value, End> {
        self.enter(&ask.conversation);
        let main = self.current == MAIN;
        for Said { role, content } in ask.messages {
            let (turn, message) = match role {
                SaidBy::System => (Turn::System { text: content.clone() }, Message::System(content)),
                SaidBy::User => (Turn::User { text: content.clone() }, Message::User(content)),
            };
            if main {
                self.play.episode.turns.push(turn);
            }
            self.play.conversation().messages.push(message);
        }
        let before = self.play.episode.model_calls.len();
        let turns = self.play.episode.turns.len();
        let turn = self.play.ask().await;
        if !main && let Some(call) = self.play.episode.model_calls.get_mut(before) {
            // Another's words are no turn of the agent's.
            call.lineage = Lineage::SubAgent(self.current.clone());
            self.play.episode.turns.remove(turns);
        }
        Ok(match turn? {
            AgentTurn::Say(text) => json!({"content": text, "calls": []}),
            AgentTurn::Calls { content, calls } => {
                let calls: Vec<Value> = calls
                    .iter()
                    .map(|call| json!({"name": call.name, "arguments": call.arguments}))
                    .collect();
                json!({"content": content, "calls": calls})
            }
            AgentTurn::Malformed { raw, error } => {
                // The model is told, as in the built-in loop; the next turn can mend it.
                self.play.call(Asked::Malformed { error: error.clone() }, None).await?;
                json!({"content": raw, "calls": [], "error": error})
            }
        })
    }

    async fn call(&mut self, ask: AskCall) -> Result<Value, End> {
        let shown = ask.conversation.is_some();
        if let Some(name) = &ask.conversation {
            self.enter(name);
        }
        let raw = json!({"name": ask.name, "arguments": ask.arguments}).to_string();
        let asked = Asked::Call {
            tool: ask.name,
            arguments: ask.arguments,
        };
        let end = self.play.call(asked, Some(raw)).await?;
        if !shown {
            self.play.conversation().messages.pop();
        }
        let call = self.play.episode.tool_calls.last();
        let text = call.map_or("", |call| call.shown.as_str());
        let failed = call.is_some_and(|call| call.error.is_some());
        let text = if failed {
            text.strip_prefix(ERROR).unwrap_or(text)
        } else {
            text
        };
        Ok(json!({"text": text, "isError": failed, "end": end}))
    }
}

/// Work that waits for another process, on a thread for such work.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, End> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| End::infra(EndReason::EnvironmentFailure, format!("harness: {error}")))
}

async fn with<R: Send + 'static>(
    mut session: Session,
    work: impl FnOnce(&mut Session) -> R + Send + 'static,
) -> Result<(Session, R), End> {
    blocking(move || {
        let result = work(&mut session);
        (session, result)
    })
    .await
}
