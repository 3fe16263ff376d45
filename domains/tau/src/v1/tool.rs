//! What a tool of τ-bench is, and those that both domains have. They differ from τ²-bench's in what they write, say and check.

use super::world::World;
use crate::calculate::calculate;
use crate::py::Value;
use crate::raised::{Outcome, Raised};
use crate::toolkit::{Info, Kind, Param, Shape, bind, param};

/// The tool that ends a run.
pub const TRANSFER: &str = "transfer_to_human_agents";

pub(super) type Run = fn(&mut World, &[Value]) -> Outcome<String>;

/// A tool: the class that the reference names in error texts, what a model is told, what it does.
pub(super) struct Tool {
    pub class: &'static str,
    pub info: Info,
    pub run: Run,
}

pub(super) const fn tool(
    kind: Kind,
    name: &'static str,
    class: &'static str,
    about: &'static str,
    params: &'static [Param],
    run: Run,
) -> Tool {
    let info = Info {
        name,
        about,
        kind,
        mutates: matches!(kind, Kind::Write),
        params,
        defs: None,
    };
    Tool { class, info, run }
}

pub(super) const CALCULATE: Tool = tool(
    Kind::Generic,
    "calculate",
    "Calculate",
    "Compute an arithmetic expression.",
    &[param(
        "expression",
        Shape::Text,
        "Numbers, the operators + - * /, parentheses and spaces, such as '2 + 2'.",
    )],
    |_, a| match &a[0] {
        Value::Str(text) if !text.chars().all(|c| "0123456789+-*/(). ".contains(c)) => {
            Ok("Error: invalid characters in expression".to_owned())
        }
        other => match calculate(other) {
            Ok(reply) => Ok(reply.shown()),
            Err(Raised(why)) => Ok(format!("Error: {why}")),
        },
    },
);

pub(super) const THINK: Tool = tool(
    Kind::Think,
    "think",
    "Think",
    "Note a thought. Nothing is looked up or changed.",
    &[param("thought", Shape::Text, "The thought.")],
    |_, _| Ok(String::new()),
);

pub(super) const HAND_OVER: Tool = tool(
    Kind::Generic,
    TRANSFER,
    "TransferToHumanAgents",
    "Hand the user over to a person: if they ask for it, or if the tools cannot solve the matter.",
    &[param("summary", Shape::Text, "The user's matter, in short.")],
    |_, _| Ok("Transfer successful".to_owned()),
);

impl World {
    /// What the agent is shown for a call. Errors are texts, some of which the tool itself gives, as in the reference.
    pub fn respond(&mut self, name: &str, arguments: &Value) -> String {
        let Some(tool) = self.domain.tools.iter().find(|tool| tool.info.name == name) else {
            return format!("Unknown action {name}");
        };
        let invoked = Info {
            name: "invoke",
            ..tool.info
        };
        let bound = bind(tool.class, &invoked, arguments);
        match bound.and_then(|bound| (tool.run)(self, &bound)) {
            Ok(text) => text,
            Err(Raised(why)) => format!("Error: {why}"),
        }
    }
}

/// `Err` of a text that the tool returns: what was changed before stays.
macro_rules! refuse {
    ($($text:tt)*) => { return Ok(format!($($text)*)) };
}
pub(super) use refuse;
