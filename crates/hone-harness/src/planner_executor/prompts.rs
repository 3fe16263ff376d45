//! What the roles are told, and how what they say is read.

use super::*;
use hone_env::NEXT_STEP;
use hone_tool::{Annotations, SchemaError, ToolSpec};

const PLANNER: &str = "You plan, one step at a time, how a query is answered with the tools below. Read the query and the \
    steps taken so far, and call next_step with the tool for the next one: `sub_goal` says what it is to reach, `context` \
    what is needed to use the tool, copied from the query or from earlier results, `justification` why. Plan one step only.";
const EXECUTOR: &str = "You carry out a step of a plan: make one call of your tool that reaches the sub-goal, with arguments \
    from the step's context, the query and earlier results.";
const VERIFIER: &str = "You decide whether the steps taken so far are enough to answer the query. Call verify with your \
    analysis, and stop_signal true if nothing is left to be done, false if another step is needed.";
const GENERATOR: &str = "You write the answer to the query from the steps taken so far. State only what they show.";

/// What the roles are told beside their briefs, and the tools that type what they say.
pub(super) struct Guide {
    /// The task's own system message.
    system: Option<String>,
    pub(super) planner: Arc<Toolset>,
    pub(super) verifier: Arc<Toolset>,
}

impl Guide {
    pub(super) fn of(task: &Task) -> Result<Self, SchemaError> {
        let text = json!({"type": "string"});
        let next = json!({
            "type": "object",
            "properties": {"justification": text, "context": text, "sub_goal": text, "tool_name": text},
            "required": ["tool_name"],
        });
        let verdict = json!({
            "type": "object",
            "properties": {"analysis": text, "stop_signal": {"type": "boolean"}},
            "required": ["stop_signal"],
        });
        let only = |name: &str, description: &str, input_schema| {
            let spec = ToolSpec {
                name: name.into(),
                description: description.into(),
                input_schema,
                annotations: Annotations::default(),
                version: "1".into(),
                unchecked: false,
            };
            Ok::<_, SchemaError>(Arc::new(Toolset::compile(&[spec])?))
        };
        Ok(Self {
            system: task.system.clone(),
            planner: only(NEXT_STEP, "Say what the next step is.", next)?,
            verifier: only(VERIFY, "Say whether to stop.", verdict)?,
        })
    }

    /// A role's system message. The planner has none where the task has none: it then learns its part from examples, as an
    /// agent does that acts alone.
    pub(super) fn system(&self, role: Role, tools: &Toolset) -> Option<String> {
        let (part, cards) = match role {
            Role::Planner if self.system.is_none() => return None,
            Role::Planner => (PLANNER, true),
            Role::Executor => (EXECUTOR, false),
            Role::Verifier => (VERIFIER, true),
            Role::Generator => (GENERATOR, false),
        };
        let mut text = part.to_owned();
        if cards {
            text.push_str("\n\nTools:");
            for spec in tools.specs() {
                let card = json!({"tool_name": spec.name, "description": spec.description, "input": spec.input_schema});
                text.push_str(&format!("\n{card}"));
            }
        }
        if let Some(system) = &self.system {
            text.push_str("\n\nThe task:\n");
            text.push_str(system);
        }
        Some(text)
    }
}

/// The planner's step with the place of its tool among `tools`, if it is one of them.
///
/// # Errors
/// What is wrong, for the planner.
pub(super) fn read_next(turn: AgentTurn, tools: &Toolset) -> Result<(NextStep, Option<usize>), String> {
    let next = match turn {
        AgentTurn::Calls { calls, .. } => {
            let call = calls.into_iter().next().ok_or("no step was written")?;
            match call.malformed {
                Some(error) => return Err(format!("{}: {error}", call.name)),
                None if call.name == NEXT_STEP => call.arguments,
                None => return Err(format!("call {NEXT_STEP} and name the tool there")),
            }
        }
        AgentTurn::Say(text) => {
            last_object(&text).ok_or_else(|| format!("no step was written; call {NEXT_STEP} with the tool for it"))?
        }
        AgentTurn::Malformed { error, .. } => return Err(error),
    };
    let next: NextStep = serde_json::from_value(next).map_err(|error| format!("{NEXT_STEP}: {error}"))?;
    if next.tool_name.trim().is_empty() {
        return Err(format!("{NEXT_STEP}: `tool_name` names no tool"));
    }
    let place = |same: &dyn Fn(&str) -> bool| tools.specs().iter().position(|spec| same(&spec.name));
    let place = place(&|name| name == next.tool_name).or_else(|| place(&|name| plain(name) == plain(&next.tool_name)));
    Ok((next, place))
}

/// A tool's name without case and separators.
fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, ' ' | '_' | '-'));
    kept.flat_map(char::to_lowercase).collect()
}

/// The last JSON object of a text that does not lie in another one.
fn last_object(text: &str) -> Option<Value> {
    let mut found = None;
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        let mut read = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match read.next() {
            Some(Ok(value)) => {
                found = Some(value);
                rest = rest.get(read.byte_offset()..)?;
            }
            _ => rest = rest.get(1..)?,
        }
    }
    found
}

/// Whether a verifier says to stop; `None` if it does not say.
pub(super) fn read_verdict(turn: &AgentTurn) -> Option<bool> {
    match turn {
        AgentTurn::Calls { calls, .. } => {
            let call = calls.iter().find(|call| call.name == VERIFY)?;
            call.arguments.get("stop_signal")?.as_bool()
        }
        AgentTurn::Say(text) => {
            let words = text.split(|c: char| !c.is_alphanumeric());
            words.rev().find_map(|word| match word {
                "STOP" => Some(true),
                "CONTINUE" => Some(false),
                _ => None,
            })
        }
        AgentTurn::Malformed { .. } => None,
    }
}
